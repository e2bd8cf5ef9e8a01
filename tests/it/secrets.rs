//! No output of a run holds a secret, whatever the log level, whatever goes wrong, whatever the servers echo.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::*;

/// A system of every kind, opened by planted secrets.
fn places() -> [Place; 5] {
    let wso2_user = |place: Place| Place {
        world: place.world.replace("ws02Secret", "PLANTED-pass/word+1"),
        credential: vec![("USERNAME", "admin"), ("PASSWORD", "PLANTED-pass/word+1")],
        ..place
    };
    let mut granted = wso2_user(publisher(
        "clients: [{ clientId: client, clientSecret: PLANTED-client-secret }]",
    ));
    granted.credential.extend([
        ("CLIENT_ID", "client"),
        ("CLIENT_SECRET", "PLANTED-client-secret"),
    ]);
    let account = one_login("");
    let shop = |place: Place| {
        Place {
        world: place.world.replace(
            "consumerKey: k3y,",
            "consumerKey: k3y, consumerSecret: PLANTED-consumer-secret, attributes: [{ name: pin, value: PLANTED-attribute }],",
        ),
        ..place
    }
    };
    let x = shop(apigee_shop("[READ, WRITE]", "[READ]"));
    let edge = shop(apigee_shop("[READ, WRITE]", "[READ]"));
    [
        Place {
            world: account.world.replace("0neL0ginSecret", "PLANTED-one-login"),
            credential: vec![("CLIENT_ID", "id"), ("CLIENT_SECRET", "PLANTED-one-login")],
            ..account
        },
        wso2_user(wso2("")),
        granted,
        Place {
            world: x.world.replace("ap1geeSecret", "PLANTED-x-token"),
            credential: vec![("TOKEN", "PLANTED-x-token")],
            ..x
        },
        Place {
            name: "edge".to_owned(),
            world: edge.world.replace("edition: X", "edition: Edge").replace(
                "{ token: ap1geeSecret }",
                "{ username: ann, password: PLANTED-edge-password }",
            ),
            endpoint: edge
                .endpoint
                .replace("edition: X", "edition: Edge, auth: OAuth"),
            credential: vec![("USERNAME", "ann"), ("PASSWORD", "PLANTED-edge-password")],
        },
    ]
}

/// Where a run finds its credentials.
#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Environment,
    Folder,
    Documents,
}

struct Planted {
    case: Case,
    from: From,
}

impl Planted {
    fn new(from: From) -> Self {
        let case = Case::of(places());
        let mut text = String::new();
        for system in ["onelogin", "wso2", "publisher"] {
            for name in ["a", "b"] {
                text.push_str(&scope(
                    system,
                    &format!("{system}-{name}"),
                    "description: D, displayName: D",
                ));
            }
        }
        let app = key("[READ, WRITE]", "");
        text.push_str(&app);
        text.push_str(
            &app.replace("name: shop }", "name: edge-shop }")
                .replace("{ name: apigee }", "{ name: edge }"),
        );
        case.write("manifests.yaml", text);
        let planted = Self { case, from };
        for place in places() {
            let url = planted.case.url_of(&place.name);
            let mut keys = vec![("url", url.clone())];
            if place.name == "edge" {
                keys.push(("tokenUrl", format!("{url}/oauth/token")));
            }
            let known = [
                ("CLIENT_ID", "clientId"),
                ("CLIENT_SECRET", "clientSecret"),
                ("USERNAME", "username"),
                ("PASSWORD", "password"),
                ("TOKEN", "token"),
            ];
            for (variable, value) in &place.credential {
                let (_, key) = known.iter().find(|(known, _)| known == variable).unwrap();
                keys.push((key, (*value).to_owned()));
            }
            match from {
                From::Environment => {}
                From::Folder => {
                    for (key, value) in keys {
                        planted
                            .case
                            .write(&format!(".keys/{}/{key}", place.name), value);
                    }
                }
                From::Documents => {
                    let data: serde_json::Map<String, Value> = keys
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value.into()))
                        .collect();
                    let document = json!({
                        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": place.name }, "stringData": data,
                    });
                    planted.case.write(
                        &format!("secrets/{}.yaml", place.name),
                        document.to_string(),
                    );
                }
            }
        }
        planted
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut args = args.to_vec();
        args.extend(["--log", "trace"]);
        if self.from == From::Folder {
            args.extend(["--credentials", ".keys"]);
        }
        let token_url = format!("{}/oauth/token", self.case.url_of("edge"));
        let mut environment = vec![(
            "SCOPEWARD_EDGE_TOKEN_URL".to_owned(),
            Some(token_url.as_str()),
        )];
        if self.from != From::Environment {
            environment[0].1 = None;
            for place in places() {
                let keys = place.credential.iter().map(|(key, _)| *key).chain(["URL"]);
                let name = place.name.to_uppercase();
                environment.extend(keys.map(|key| (format!("SCOPEWARD_{name}_{key}"), None)));
            }
        }
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        self.case.run_in(&environment, &args)
    }

    /// Every secret that there is by now: what was planted, and the tokens that were given out.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec!["PLANTED".to_owned()];
        tokens(&self.case.worlds(), &mut secrets);
        for pair in [
            "id:PLANTED-one-login",
            "admin:PLANTED-pass/word+1",
            "client:PLANTED-client-secret",
            "ann:PLANTED-edge-password",
        ] {
            secrets.push(STANDARD.encode(pair));
        }
        secrets
    }

    /// Looks for every secret in an output, and in every file that the run left.
    #[track_caller]
    fn is_clean(&self, ran: &Ran) {
        let secrets = self.secrets();
        let mut outputs = vec![
            ("stdout".to_owned(), ran.stdout.clone()),
            ("stderr".to_owned(), ran.stderr.clone()),
        ];
        files(self.case.path(), &mut outputs);
        for (place, text) in &outputs {
            for secret in &secrets {
                assert!(
                    !text.contains(secret),
                    "{secret} stands in {place}:\n{text}"
                );
            }
        }
        assert!(
            ran.stderr.contains("TRACE") || ran.stderr.contains("DEBUG"),
            "nothing was logged\n{ran}"
        );
        assert!(!ran.stderr.contains("panicked"), "{ran}");
    }
}

/// The tokens of a world.
fn tokens(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                // Apigee's are the names of the members themselves.
                if let (true, Some(issued)) = (
                    ["access", "refresh"].contains(&key.as_str()),
                    member.as_object(),
                ) {
                    found.extend(issued.keys().cloned());
                    continue;
                }
                match member.as_str() {
                    Some(text)
                        if ["access", "refresh", "accessToken", "refreshToken", "token"]
                            .contains(&key.as_str()) =>
                    {
                        if text != "manageAll" {
                            found.push(text.to_owned());
                        }
                    }
                    _ => tokens(member, found),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| tokens(entry, found)),
        _ => {}
    }
}

/// Every file below a folder, but for those that the secrets were put into.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".keys") || path.ends_with("secrets") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn a_run_at_trace_level_shows_no_secret_wherever_the_credentials_are() {
    for from in [From::Environment, From::Folder, From::Documents] {
        let planted = Planted::new(from);
        let outputs = [
            "-o",
            "text",
            "-o",
            "json=plan.json",
            "-o",
            "markdown=plan.md",
            "-v",
        ];
        planted.is_clean(
            &planted
                .run(&[&["plan", "."][..], &outputs].concat())
                .exits(DONE),
        );
        let ran = planted
            .run(&[&["sync", ".", "--yes", "--new-inventory"][..], &outputs].concat())
            .exits(DONE);
        assert!(
            planted.secrets().len() >= 8,
            "the tokens were given out: {:?}",
            planted.secrets()
        );
        planted.is_clean(&ran);
        planted.is_clean(&planted.run(&["adopt", ".", "--all"]).exits(DONE));
        planted.case.remove("manifests.yaml");
        let ran = planted.run(&["sync", ".", "--yes", "-o", "json"]);
        planted.is_clean(&ran);
    }
}

#[test]
fn a_server_that_echoes_what_it_was_sent_tells_nobody() {
    let planted = Planted::new(From::Environment);
    planted.run(&["plan", "."]).exits(DONE);
    // Each server knows what belongs to it: what it was sent as it is and encoded, and the tokens that it gave.
    let sent = |place: &Place| {
        let mut sent: Vec<String> = Vec::new();
        for (_, value) in &place.credential {
            let encoded = value.replace('/', "%2F").replace('+', "%2B");
            sent.extend([(*value).to_owned(), encoded]);
        }
        let pairs = [
            ("onelogin", "id:PLANTED-one-login"),
            ("wso2", "admin:PLANTED-pass/word+1"),
            ("publisher", "client:PLANTED-client-secret"),
        ];
        let pairs = pairs.iter().filter(|(system, _)| *system == place.name);
        sent.extend(pairs.map(|(_, pair)| STANDARD.encode(pair)));
        sent
    };
    let given = |place: &Place| {
        let worlds = planted.case.worlds();
        let systems = worlds["systems"].as_array().unwrap();
        let mut given = Vec::new();
        let system = systems.iter().find(|system| system["name"] == *place.name);
        tokens(system.unwrap(), &mut given);
        given
    };
    let rules = |code: u16, shape: &str, of: &str| -> Value {
        let rule = |place: &Place| {
            let mut words = sent(place);
            if of == "write" {
                words.extend(given(place));
            }
            let words = words.join(" ");
            let body = match shape {
                "json" => json!({ "message": words, "error": words, "error_description": words, "description": words })
                    .to_string(),
                "html" => format!("<html><title>{words}</title><h1>{words}</h1></html>"),
                _ => words,
            };
            json!({ "system": place.name, of: true, "fault": { "status": { "code": code, "body": body } } })
        };
        places().iter().map(rule).collect()
    };
    for (code, shape) in [
        (400, "json"),
        (401, "text"),
        (403, "html"),
        (409, "json"),
        (422, "text"),
        (500, "html"),
    ] {
        planted.case.fail(rules(code, shape, "write"));
        let args = [
            "sync",
            ".",
            "--yes",
            "--new-inventory",
            "-o",
            "text",
            "-o",
            "json=report.json",
        ];
        let ran = planted.run(&args);
        assert_ne!(ran.code, Some(DONE), "{ran}");
        assert!(
            ran.stdout.contains("[redacted]"),
            "the servers' words are shown\n{ran}"
        );
        planted.is_clean(&ran);
        planted.case.fail(rules(code, shape, "token"));
        let ran = planted
            .run(&["plan", ".", "-o", "text", "-o", "json=plan.json"])
            .exits(FAILED);
        planted.is_clean(&ran);
        let mut all = rules(code, shape, "token");
        for rule in all.as_array_mut().unwrap() {
            rule.as_object_mut().unwrap().remove("token");
        }
        planted.case.fail(all);
        planted.is_clean(&planted.run(&["plan", "."]).exits(FAILED));
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_not_shown() {
    let planted = Planted::new(From::Environment);
    // A success that holds a token and is no JSON, and one that is JSON of another shape.
    for body in [
        "access_token=PLANTED-given-token",
        "{\"accessToken\": \"PLANTED-given-token\"}",
        "<html><title>PLANTED-given-token</title>",
    ] {
        planted
            .case
            .fail(json!([{ "token": true, "fault": { "status": { "code": 200, "body": body } } }]));
        planted.is_clean(&planted.run(&["plan", "."]).exits(FAILED));
    }
}
