//! The calls below `/__sandbox/`: what was asked, what is, what goes wrong from now on.
//!
//! | call | does |
//! |---|---|
//! | `GET health` | says that the sandbox serves, and which systems |
//! | `GET requests`, `DELETE requests` | counters by system, method and route; back to zero |
//! | `GET log?since=N` | the requests after number N, as JSON lines |
//! | `GET state`, `PUT state` | the world, in the form of its file |
//! | `POST drift` | a change behind the reconciler's back |
//! | `GET faults`, `PUT faults`, `DELETE faults` | the fault plan; `?waitHolding=N` answers once so many requests are held |

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{AnswerBody, json, problem};
use super::faults::FaultPlan;
use super::shared::Shared;
use super::world::World;

/// Where the control calls stand.
pub(super) const ROOT: &str = "/__sandbox";

/// How long `?waitHolding=N` waits.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);

/// Answers one control call.
pub(super) async fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &Bytes,
) -> http::Response<AnswerBody> {
    let call = path.strip_prefix(ROOT).unwrap_or(path).trim_matches('/');
    match (method.as_str(), call) {
        ("GET", "health") => {
            let systems: Vec<String> = shared.live().world.names().map(ToOwned::to_owned).collect();
            json(
                StatusCode::OK,
                &json!({ "status": "ok", "systems": systems }),
            )
        }
        ("GET", "requests") => json(StatusCode::OK, &shared.journal().counts()),
        ("DELETE", "requests") => {
            shared.journal().reset_counts();
            done()
        }
        ("GET", "log") => log(shared, query),
        ("GET", "state") => json(StatusCode::OK, &shared.live().world.to_value()),
        ("PUT", "state") => put_state(shared, body).await,
        ("POST", "drift") => drift(shared, body).await,
        ("GET", "faults") => faults(shared, query).await,
        ("PUT", "faults") => match serde_json::from_slice::<FaultPlan>(body) {
            Ok(plan) => {
                shared.faults().replace(plan);
                done()
            }
            Err(error) => problem(
                StatusCode::BAD_REQUEST,
                &format!("this is no fault plan: {error}"),
            ),
        },
        ("DELETE", "faults") => {
            shared.faults().replace(FaultPlan::default());
            done()
        }
        (_, "health" | "requests" | "log" | "state" | "drift" | "faults") => problem(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("{method} is not a call of {ROOT}/{call}"),
        ),
        _ => problem(
            StatusCode::NOT_FOUND,
            "the sandbox's own calls are health, requests, log, state, drift and faults",
        ),
    }
}

fn log(shared: &Shared, query: Option<&str>) -> http::Response<AnswerBody> {
    let since = match parameter(query, "since").map(str::parse) {
        None => 0,
        Some(Ok(since)) => since,
        Some(Err(_)) => {
            return problem(
                StatusCode::BAD_REQUEST,
                "\"since\" is the number of a request",
            );
        }
    };
    let mut lines = Vec::new();
    for entry in shared.journal().since(since) {
        serde_json::to_writer(&mut lines, entry)
            .expect("an entry has string keys, and memory takes every write");
        lines.push(b'\n');
    }
    let mut answer = http::Response::new(AnswerBody::whole(lines.into()));
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    answer
}

async fn put_state(shared: &Shared, body: &Bytes) -> http::Response<AnswerBody> {
    let is_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let world = if is_json {
        World::from_json(body).map_err(|error| error.to_string())
    } else {
        std::str::from_utf8(body)
            .map_err(|error| error.to_string())
            .and_then(|text| World::from_yaml(text).map_err(|error| error.to_string()))
    };
    match world {
        Ok(world) => {
            let version = {
                let mut live = shared.live();
                live.replace(world);
                live.version
            };
            shared.save(version).await;
            done()
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}

async fn drift(shared: &Shared, body: &Bytes) -> http::Response<AnswerBody> {
    let change = match serde_json::from_slice::<Value>(body) {
        Ok(change) => change,
        Err(error) => {
            return problem(
                StatusCode::BAD_REQUEST,
                &format!("this is no change: {error}"),
            );
        }
    };
    let drifted = {
        let mut live = shared.live();
        live.drift(change, None).map(|()| live.version)
    };
    match drifted {
        Ok(version) => {
            shared.save(version).await;
            done()
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}

async fn faults(shared: &Shared, query: Option<&str>) -> http::Response<AnswerBody> {
    let count = match parameter(query, "waitHolding").map(str::parse) {
        None => 0,
        Some(Ok(count)) => count,
        Some(Err(_)) => 1,
    };
    let held = shared.faults().wait_holding(count);
    if tokio::time::timeout(HOLD_PATIENCE, held).await.is_err() {
        return json(StatusCode::REQUEST_TIMEOUT, &shared.faults().report());
    }
    json(StatusCode::OK, &shared.faults().report())
}

fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some((key, value)) if key == name => Some(value),
            None if pair == name => Some(""),
            _ => None,
        })
}

fn done() -> http::Response<AnswerBody> {
    let mut answer = http::Response::new(AnswerBody::whole(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
