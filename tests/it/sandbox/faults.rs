//! Each fault as a client meets it.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::*;

/// Whether a request ended in a reset connection.
fn is_reset(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::ConnectionReset)
        {
            return true;
        }
        source = error.source();
    }
    false
}

fn create(bench: &Bench, value: &str) -> RequestBuilder {
    bench
        .request(Method::POST, SCOPES)
        .json(&json!({ "value": value }))
}

#[tokio::test]
async fn a_status_is_answered_in_place_of_the_effect_or_after_it() {
    let bench = Bench::start().await;
    bench
        .faults(json!([
            { "write": true, "times": 1, "fault": { "status": { "code": 503, "retryAfter": "1" } } },
            { "write": true, "times": 1, "fault": { "status": {
                "code": 500, "body": "<h1>Oops</h1>", "contentType": "text/html; charset=utf-8", "when": "after" } } },
        ]))
        .await;
    let answer = create(&bench, "a").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("503 Service Unavailable")
    );
    assert_eq!(bench.scopes().await, ["orders:read"]);
    let answer = create(&bench, "a").send().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), "<h1>Oops</h1>");
    assert_eq!(bench.scopes().await, ["orders:read", "a"]);
    assert_eq!(create(&bench, "b").send().await.unwrap().status(), 200);
    let log = bench.log(1).await;
    let told: Vec<_> = log
        .iter()
        .map(|entry| json!([entry["status"], entry["fault"], entry["route"]]))
        .collect();
    assert_eq!(
        told[0],
        json!([503, "status", SCOPES_ROUTE]),
        "a call that never arrived has its route"
    );
    assert_eq!(told[2], json!([500, "status", SCOPES_ROUTE]));
    assert_eq!(told[4], json!([200, null, SCOPES_ROUTE]));
}

#[tokio::test]
async fn a_reset_cuts_the_connection_before_or_after_the_effect() {
    let bench = Bench::start().await;
    bench
        .faults(json!([
            { "write": true, "times": 1, "fault": { "reset": { "when": "before" } } },
            { "write": true, "times": 1, "fault": { "reset": { "when": "after" } } },
        ]))
        .await;
    let error = create(&bench, "a").send().await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(bench.scopes().await, ["orders:read"]);
    let error = create(&bench, "a").send().await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(bench.scopes().await, ["orders:read", "a"]);
    let (_, counts) = bench.get("/__sandbox/requests").await;
    assert_eq!(
        (&counts["writes"], &counts["routes"][1]["statuses"]),
        (&json!(2), &json!({}))
    );
    assert_eq!(bench.log(1).await[0]["status"], Value::Null);
}

#[tokio::test]
async fn a_cut_body_announces_all_and_ends_early() {
    let bench = Bench::start().await;
    let whole = bench
        .request(Method::GET, SCOPES)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    bench
        .faults(json!([{ "route": SCOPES_ROUTE, "fault": { "truncate": { "bytes": 20 } } }]))
        .await;
    let mut answer = bench.request(Method::GET, SCOPES).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.content_length(), Some(whole.len() as u64));
    assert_eq!(answer.chunk().await.unwrap().unwrap(), whole[..20]);
    assert!(answer.chunk().await.is_err());
    bench
        .faults(json!([{ "fault": { "truncate": { "bytes": 0 } } }]))
        .await;
    assert!(
        bench
            .request(Method::GET, SCOPES)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .is_err()
    );
    bench
        .faults(json!([{ "fault": { "truncate": { "bytes": 100_000 } } }]))
        .await;
    assert_eq!(
        bench
            .request(Method::GET, SCOPES)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        whole
    );
}

#[tokio::test]
async fn latency_delays_and_lets_other_faults_apply() {
    let bench = Bench::start().await;
    bench
        .faults(json!([
            { "fault": { "latency": { "ms": 30, "jitterMs": 5 } } },
            { "token": false, "fault": { "status": { "code": 502 } } },
        ]))
        .await;
    let clock = std::time::Instant::now();
    assert_eq!(bench.get(SCOPES).await.0, 502);
    assert!(
        clock.elapsed() >= Duration::from_millis(30),
        "no answer can come sooner"
    );
    bench.sign_in("").await;
    let (_, report) = bench.get("/__sandbox/faults").await;
    assert_eq!(
        (&report["rules"][0]["applied"], &report["rules"][1]["seen"]),
        (&json!(2), &json!(1))
    );
    bench.control(Method::DELETE, "faults", Value::Null).await;
    assert_eq!(bench.get(SCOPES).await.0, 200);
    assert_eq!(bench.get("/__sandbox/faults").await.1["rules"], json!([]));
}

#[tokio::test]
async fn expired_tokens_are_refused_until_the_next_sign_in() {
    let mut bench = Bench::start().await;
    bench
        .faults(json!([{ "write": true, "times": 1, "fault": { "expireTokens": {} } }]))
        .await;
    assert_eq!(bench.get(SCOPES).await.0, 200);
    assert_eq!(create(&bench, "a").send().await.unwrap().status(), 401);
    assert_eq!(bench.get(SCOPES).await.0, 401);
    bench.token = bench.sign_in("").await;
    assert_eq!(create(&bench, "a").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_held_call_waits_for_the_next_plan_and_then_goes_on() {
    for (when, effect_while_held) in [("before", false), ("after", true)] {
        let bench = Bench::start().await;
        bench
            .faults(json!([{ "write": true, "fault": { "hold": { "when": when } } }]))
            .await;
        let held = tokio::spawn(create(&bench, "a").send());
        let (status, report) = bench.get("/__sandbox/faults?waitHolding=1").await;
        assert_eq!((status, &report["rules"][0]["holding"]), (200, &json!(1)));
        assert!(!held.is_finished());
        assert_eq!(bench.scopes().await.len() == 2, effect_while_held, "{when}");
        bench.control(Method::DELETE, "faults", Value::Null).await;
        assert_eq!(held.await.unwrap().unwrap().status(), 200);
        assert_eq!(bench.scopes().await, ["orders:read", "a"]);
    }
}

#[tokio::test]
async fn a_client_that_dies_while_it_is_held_leaves_what_had_happened_by_then() {
    for (when, scopes) in [("before", 1), ("after", 2)] {
        let bench = Bench::start().await;
        bench
            .faults(json!([{ "write": true, "fault": { "hold": { "when": when } } }]))
            .await;
        // A client of its own, so that nothing keeps the connection open when it is gone.
        let request = client()
            .post(format!("{}{SCOPES}", bench.sandbox.url()))
            .bearer_auth(&bench.token);
        let held = tokio::spawn(request.json(&json!({ "value": "a" })).send());
        assert_eq!(bench.get("/__sandbox/faults?waitHolding=1").await.0, 200);
        held.abort();
        assert!(held.await.unwrap_err().is_cancelled());
        while bench.get("/__sandbox/faults").await.1["holding"] != 0 {
            tokio::task::yield_now().await;
        }
        bench.control(Method::DELETE, "faults", Value::Null).await;
        assert_eq!(bench.scopes().await.len(), scopes, "{when}");
        assert_eq!(
            bench.log(1).await[0]["fault"],
            "hold",
            "{when}: the call is in the log"
        );
    }
}

#[tokio::test]
async fn a_shutdown_lets_held_calls_go() {
    let bench = Bench::start().await;
    bench
        .faults(json!([{ "write": true, "fault": { "hold": {} } }]))
        .await;
    let held = tokio::spawn(create(&bench, "a").send());
    assert_eq!(bench.get("/__sandbox/faults?waitHolding=1").await.0, 200);
    bench.sandbox.shutdown().await.unwrap();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn reads_lag_behind_a_write() {
    let bench = Bench::start().await;
    bench
        .faults(json!([{ "write": true, "times": 1, "fault": { "lag": { "reads": 2 } } }]))
        .await;
    assert_eq!(create(&bench, "a").send().await.unwrap().status(), 200);
    assert_eq!(bench.scopes().await, ["orders:read"]);
    assert_eq!(
        create(&bench, "b").send().await.unwrap().status(),
        200,
        "writes see what is"
    );
    assert_eq!(bench.scopes().await, ["orders:read"]);
    assert_eq!(bench.scopes().await, ["orders:read", "a", "b"]);
}

#[tokio::test]
async fn a_token_given_during_a_lag_is_good_for_the_reads_that_lag() {
    let mut bench = Bench::start().await;
    bench
        .faults(json!([
            { "write": true, "times": 1, "fault": { "lag": { "reads": 3 } } },
            { "method": "GET", "times": 1, "fault": { "expireTokens": {} } },
        ]))
        .await;
    assert_eq!(create(&bench, "a").send().await.unwrap().status(), 200);
    assert_eq!(bench.get(SCOPES).await.0, 401, "the token has ended");
    bench.token = bench.sign_in("").await;
    assert_eq!(bench.scopes().await, ["orders:read"]);
    assert_eq!(bench.scopes().await, ["orders:read"]);
    assert_eq!(bench.scopes().await, ["orders:read", "a"]);
}

#[tokio::test]
async fn somebody_else_writes_just_before_or_after() {
    let bench = Bench::start().await;
    let add = |value: &str| json!({ "addScope": { "value": value } });
    bench
        .faults(json!([
            { "method": "GET", "times": 1, "fault": { "drift": { "change": add("early"), "when": "before" } } },
            { "method": "GET", "times": 1, "fault": { "drift": { "change": add("late"), "when": "after" } } },
        ]))
        .await;
    assert_eq!(bench.scopes().await, ["orders:read", "early"]);
    assert_eq!(bench.scopes().await, ["orders:read", "early"]);
    assert_eq!(bench.scopes().await, ["orders:read", "early", "late"]);
}

#[tokio::test]
async fn somebody_else_writes_while_a_client_waits_that_was_told_to_try_again() {
    let bench = Bench::start().await;
    bench
        .faults(json!([{ "write": true, "times": 2, "fault": { "status": {
            "code": 503, "retryAfter": "0", "change": { "updateScope": { "id": 1, "description": "theirs" } } } } }]))
        .await;
    for _ in 0..2 {
        assert_eq!(create(&bench, "a").send().await.unwrap().status(), 503);
        let (_, scopes) = bench.get(SCOPES).await;
        assert_eq!(scopes[0]["description"], "theirs");
    }
    assert_eq!(create(&bench, "a").send().await.unwrap().status(), 200);
    assert_eq!(bench.scopes().await, ["orders:read", "a"]);
}

#[tokio::test]
async fn a_plan_that_cannot_be_read_is_refused_and_changes_nothing() {
    let bench = Bench::start().await;
    bench
        .faults(json!([{ "fault": { "status": { "code": 418 } } }]))
        .await;
    let (status, answer) = bench
        .send(Method::PUT, "/__sandbox/faults", json!({ "rules": [{}] }))
        .await;
    assert_eq!(status, 400);
    assert!(
        answer["error"].as_str().unwrap().contains("fault"),
        "{answer}"
    );
    assert_eq!(bench.get(SCOPES).await.0, 418);
}
