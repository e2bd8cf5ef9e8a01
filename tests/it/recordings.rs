//! What WSO2's own code answered, replayed against the sandbox over real HTTP.
//!
//! The recordings stand beside this repository, not in it: `SCOPEWARD_RECORDINGS` names their folder. Where that is not
//! set, one line says that nothing was replayed. Every scenario gets a fresh world. An exchange that differs has to stand
//! in [`DIFFERENCES`] with its reason, and one that stands there has to differ.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Once;

use scopeward_sandbox::{Options, Sandbox, World};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Says once that nothing was replayed.
static NOT_REPLAYED: Once = Once::new();

/// At least this many of a hundred exchanges of a file are alike.
const FLOOR_PERCENT: usize = 97;

const REGISTRATION: &str = "wso2-scope-registration.jsonl";
const PUBLISHER: &str = "wso2-publisher-shared-scopes.jsonl";

const HEAD_BODY: &str = "the recorded framework sends a body after HEAD, which HTTP forbids";

/// File, scenario, step, and why the sandbox answers otherwise.
const DIFFERENCES: &[(&str, &str, u32, &str)] = &[
    (REGISTRATION, "create/empty-name", 5, HEAD_BODY),
    (REGISTRATION, "odd-name/slash", 4, HEAD_BODY),
    (REGISTRATION, "odd-name/slash", 8, HEAD_BODY),
    (REGISTRATION, "odd-name/double-slash", 4, HEAD_BODY),
    (REGISTRATION, "odd-name/double-slash", 8, HEAD_BODY),
    (REGISTRATION, "odd-name/dotdot-slash", 4, HEAD_BODY),
    (REGISTRATION, "odd-name/dotdot-slash", 8, HEAD_BODY),
    (REGISTRATION, "auth/bad-every-operation", 4, HEAD_BODY),
];

/// One line of a recording.
#[derive(Debug, Deserialize)]
struct Exchange {
    scenario: String,
    step: u32,
    /// Whether the recorded server asked for credentials; absent where any would have done.
    #[serde(default)]
    authentication: bool,
    request: RecordedRequest,
    response: RecordedResponse,
}

#[derive(Debug, Deserialize)]
struct RecordedRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RecordedResponse {
    status: u16,
    location: Option<String>,
    body: Option<String>,
}

/// What the sandbox answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

#[tokio::test]
async fn scope_registration_answers_as_recorded() {
    replay(REGISTRATION).await;
}

#[tokio::test]
async fn the_publisher_answers_as_recorded() {
    replay(PUBLISHER).await;
}

async fn replay(file: &str) {
    let Some(folder) = std::env::var_os("SCOPEWARD_RECORDINGS").map(PathBuf::from) else {
        NOT_REPLAYED.call_once(|| {
            // Not by a macro: what those print, nobody sees of a test that passes.
            let line =
                b"SCOPEWARD_RECORDINGS is not set: the recordings of WSO2 were not replayed\n";
            std::io::stderr().write_all(line).unwrap();
        });
        return;
    };
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let exchanges: Vec<Exchange> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();

    let mut differing = BTreeMap::new();
    for scenario in exchanges.chunk_by(|one, next| one.scenario == next.scenario) {
        let sandbox = fresh_sandbox(scenario[0].authentication).await;
        let mut names = Placeholders::new(&sandbox.url());
        for exchange in scenario {
            let answer = send(&sandbox, &exchange.request, &mut names).await;
            if let Err(difference) = compare(&exchange.response, &answer, &mut names) {
                differing.insert((exchange.scenario.as_str(), exchange.step), difference);
            }
        }
        sandbox.shutdown().await.unwrap();
    }

    let listed: BTreeMap<(&str, u32), &str> = DIFFERENCES
        .iter()
        .filter(|(of, ..)| *of == file)
        .map(|(_, scenario, step, reason)| ((*scenario, *step), *reason))
        .collect();
    let unlisted: Vec<String> = differing
        .iter()
        .filter(|(at, _)| !listed.contains_key(at))
        .map(|((scenario, step), difference)| format!("{scenario} {step}: {difference}"))
        .collect();
    assert!(
        unlisted.is_empty(),
        "{} differ:\n{}",
        unlisted.len(),
        unlisted.join("\n")
    );
    let outdated: Vec<_> = listed
        .keys()
        .filter(|at| !differing.contains_key(at))
        .collect();
    assert!(
        outdated.is_empty(),
        "listed as different and alike: {outdated:?}"
    );
    let alike = exchanges.len() - differing.len();
    assert!(
        alike * 100 >= FLOOR_PERCENT * exchanges.len(),
        "only {alike} of {} exchanges are alike",
        exchanges.len()
    );
}

async fn fresh_sandbox(authentication: bool) -> Sandbox {
    let world = json!({ "systems": [{ "name": "recorded", "wso2": {
        "authentication": authentication,
        "users": [{ "username": "admin", "password": "admin" }, { "username": "bob", "password": "pass" }],
    }}]});
    // JSON is YAML.
    Sandbox::start(
        World::from_yaml(&world.to_string()).unwrap(),
        Options::default(),
    )
    .await
    .unwrap()
}

/// Sends a request byte by byte as it was recorded: no HTTP client would send some of the targets.
async fn send(sandbox: &Sandbox, request: &RecordedRequest, names: &mut Placeholders) -> Answer {
    let authority = sandbox.url().trim_start_matches("http://").to_owned();
    let target = names.fill(&request.target);
    let mut lines = vec![format!("{} {target} HTTP/1.1", request.method)];
    let has = |name: &str| {
        request
            .headers
            .iter()
            .any(|(sent, _)| sent.eq_ignore_ascii_case(name))
    };
    if !has("host") {
        lines.push(format!("Host: {authority}"));
    }
    for (name, value) in &request.headers {
        lines.push(format!("{name}: {}", names.fill(value)));
    }
    let body = request.body.as_deref().map(|body| names.fill(body));
    if let Some(body) = &body {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    lines.push("Connection: close\r\n\r\n".to_owned());
    let head = lines.join("\r\n");

    let mut stream = TcpStream::connect(&authority).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
        .write_all(body.unwrap_or_default().as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&answer)
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("an answer has a head");
    // Header values are Latin-1, one of the recorded ones beyond ASCII.
    let head: String = answer[..end].iter().copied().map(char::from).collect();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap();
    let location = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .map(|(_, value)| without_origin(value));
    Answer {
        status: status.parse().unwrap(),
        location,
        body: String::from_utf8_lossy(&answer[end + 4..]).into_owned(),
    }
}

fn without_origin(location: &str) -> String {
    match location.split_once("://") {
        Some((_, rest)) => rest[rest.find('/').unwrap_or(rest.len())..].to_owned(),
        None => location.to_owned(),
    }
}

fn compare(
    recorded: &RecordedResponse,
    answer: &Answer,
    names: &mut Placeholders,
) -> Result<(), String> {
    let location_alike = match (&recorded.location, &answer.location) {
        (Some(recorded), Some(answered)) => names.bind(recorded, answered),
        (recorded, answered) => recorded == answered,
    };
    let body = recorded.body.as_deref().unwrap_or_default();
    let body_alike = match (
        serde_json::from_str(body),
        serde_json::from_str(&answer.body),
    ) {
        (Ok(recorded), Ok(answered)) => alike(&recorded, &answered, names),
        _ => names.bind(body, &answer.body),
    };
    if recorded.status == answer.status && location_alike && body_alike {
        return Ok(());
    }
    Err(format!("\n  recorded {recorded:?}\n  answered {answer:?}"))
}

fn alike(recorded: &Value, answered: &Value, names: &mut Placeholders) -> bool {
    match (recorded, answered) {
        (Value::String(recorded), Value::String(answered)) => names.bind(recorded, answered),
        (Value::Array(recorded), Value::Array(answered)) => {
            recorded.len() == answered.len()
                && recorded
                    .iter()
                    .zip(answered)
                    .all(|(recorded, answered)| alike(recorded, answered, names))
        }
        (Value::Object(recorded), Value::Object(answered)) => {
            recorded.len() == answered.len()
                && recorded.iter().all(|(key, recorded)| {
                    answered
                        .get(key)
                        .is_some_and(|answered| alike(recorded, answered, names))
                })
        }
        _ => recorded == answered,
    }
}

/// `{id1}`, `{id2}` … of a scenario, bound to the sandbox's ids in the order of their appearance, and `{origin}`.
struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    fn new(origin: &str) -> Self {
        Self(BTreeMap::from([("{origin}".to_owned(), origin.to_owned())]))
    }

    /// The text with its placeholders filled in; an id that no answer has given yet is one that does not exist.
    fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = split_at_placeholder(rest) {
            let count = self.0.len();
            let id = self
                .0
                .entry(name.to_owned())
                .or_insert_with(|| format!("00000000-0000-4000-8000-{count:012}"));
            filled = filled + before + id;
            rest = after;
        }
        filled + rest
    }

    /// Whether an answer is the recorded text, binding each placeholder that appears for the first time.
    fn bind(&mut self, recorded: &str, answered: &str) -> bool {
        let (mut recorded, mut answered) = (recorded, answered);
        while let Some((before, name, after)) = split_at_placeholder(recorded) {
            let Some(at) = answered.strip_prefix(before) else {
                return false;
            };
            let value = match self.0.get(name) {
                Some(bound) => bound.clone(),
                None => match at.get(..36).filter(|id| is_uuid(id)) {
                    Some(id) => id.to_owned(),
                    None => return false,
                },
            };
            let Some(rest) = at.strip_prefix(value.as_str()) else {
                return false;
            };
            self.0.insert(name.to_owned(), value);
            (recorded, answered) = (after, rest);
        }
        recorded == answered
    }
}

/// What stands before the first placeholder, the placeholder, and what stands behind it.
fn split_at_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    for (start, _) in text.match_indices('{') {
        let end = start + text[start..].find('}')? + 1;
        let inside = &text[start + 1..end - 1];
        let is_id = inside.strip_prefix("id").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        if is_id || inside == "origin" {
            return Some((&text[..start], &text[start..end], &text[end..]));
        }
    }
    None
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[test]
fn placeholders_bind_once_and_hold_from_then_on() {
    let mut names = Placeholders::new("http://127.0.0.1:1");
    let (first, second) = (
        "01234567-0123-4123-8123-0123456789ab",
        "fedcba98-0123-4123-8123-0123456789ab",
    );
    assert!(names.bind("/scopes/{id1}", &format!("/scopes/{first}")));
    assert!(!names.bind("{id1}", second));
    assert!(names.bind("a{b}{id2}", &format!("a{{b}}{second}")));
    assert!(!names.bind("{id3}", "no id"));
    assert_eq!(
        names.fill("{origin}/{id1}/{x}"),
        format!("http://127.0.0.1:1/{first}/{{x}}")
    );
}
