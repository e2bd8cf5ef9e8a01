//! What a user sees, and what becomes of the systems, when something does not work. Golden texts say what failed, where,
//! and what to do next.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::busy::Busy;
use crate::support::trouble::Served;
use crate::support::*;

/// What each of the systems needs to be planned for: a scope, or an app's list.
fn one_manifest(place: &Place) -> String {
    match place.name.as_str() {
        "apigee" => key("[READ, WRITE]", ""),
        name => scope(
            name,
            "orders:read",
            "description: Read orders, displayName: Read orders",
        ),
    }
}

fn edge(auth: &str, credential: Vec<(&'static str, &'static str)>) -> Place {
    let shop = apigee_shop("[READ, WRITE]", "[READ]");
    Place {
        world: shop.world.replace("edition: X", "edition: Edge").replace(
            "{ token: ap1geeSecret }",
            "{ username: ann, password: edgeSecret }",
        ),
        endpoint: shop
            .endpoint
            .replace("edition: X", &format!("edition: Edge{auth}")),
        credential,
        ..shop
    }
}

/// Every way to sign in, each with one credential that is wrong.
fn ways_to_sign_in() -> Vec<(&'static str, Place, &'static str)> {
    let user = vec![("USERNAME", "ann"), ("PASSWORD", "edgeSecret")];
    let mut granted = publisher("clients: [{ clientId: client, clientSecret: cl1entSecret }]");
    granted
        .credential
        .extend([("CLIENT_ID", "client"), ("CLIENT_SECRET", "cl1entSecret")]);
    vec![
        (
            "onelogin",
            one_login(""),
            "SCOPEWARD_ONELOGIN_CLIENT_SECRET",
        ),
        ("wso2", wso2(""), "SCOPEWARD_WSO2_PASSWORD"),
        ("publisher", publisher(""), "SCOPEWARD_PUBLISHER_PASSWORD"),
        (
            "publisher_client",
            granted,
            "SCOPEWARD_PUBLISHER_CLIENT_SECRET",
        ),
        (
            "apigee_x",
            apigee_shop("[READ, WRITE]", "[READ]"),
            "SCOPEWARD_APIGEE_TOKEN",
        ),
        (
            "apigee_edge",
            edge("", user.clone()),
            "SCOPEWARD_APIGEE_PASSWORD",
        ),
        (
            "apigee_edge_oauth",
            edge(", auth: OAuth", user),
            "SCOPEWARD_APIGEE_PASSWORD",
        ),
    ]
}

#[test]
fn a_wrong_credential_is_told_with_the_servers_words_and_where_it_was_found() {
    for (name, place, variable) in ways_to_sign_in() {
        let manifest = one_manifest(&place);
        let case = Case::of([place]);
        case.write("manifest.yaml", manifest);
        let sign_in = format!("{}/oauth/token", case.url_of("apigee"));
        let environment = [("SCOPEWARD_APIGEE_TOKEN_URL", sign_in.as_str())];
        let environment = environment.map(|(name, value)| (name, Some(value)));
        case.run_in(&environment, &["plan", "."]).exits(DONE);
        case.forget_requests();
        let environment = [environment[0], (variable, Some("wrong"))];
        let ran = case.run_in(&environment, &["plan", "."]).exits(FAILED);
        assert_eq!(
            case.requests(),
            1,
            "a wrong credential is tried once\n{ran}"
        );
        insta::assert_snapshot!(format!("wrong_credential_{name}"), case.stable(&ran.stdout));
    }
}

/// What a run says, but for the number of calls: a list that fails ends the one beside it, before or after it was sent.
fn without_calls(case: &Case, ran: &Ran) -> String {
    let calls = regex::Regex::new(r" \d calls?,").unwrap();
    let text = case.stable(&ran.to_string());
    calls.replace_all(&text, " N calls,").into_owned()
}

#[test]
fn a_web_page_in_the_place_of_an_api_is_no_empty_list() {
    for place in [
        one_login(""),
        wso2(""),
        publisher(""),
        apigee_shop("[READ, WRITE]", "[READ]"),
    ] {
        let (name, manifest) = (place.name.clone(), one_manifest(&place));
        let case = Case::of([place]);
        case.write("manifest.yaml", manifest);
        let page = "<!doctype html><html><head><title>Sign in</title></head><body>Who are you?</body></html>";
        case.fail(json!([{ "token": false, "fault": { "status": { "code": 200, "body": page, "contentType": "text/html" } } }]));
        let ran = case.sync(&["--new-inventory"]).exits(FAILED);
        assert_eq!(case.writes(), 0, "{ran}");
        insta::assert_snapshot!(format!("web_page_{name}"), without_calls(&case, &ran));
    }
}

#[test]
fn a_web_page_in_the_place_of_a_token_is_told_without_its_text() {
    let case = Case::of([one_login("")]);
    case.write("manifest.yaml", scope("onelogin", "a", "description: A"));
    case.fail(json!([{ "token": true, "fault": { "status": { "code": 200, "body": "<html><title>s3cret</title></html>" } } }]));
    let ran = case.plan(&[]).exits(FAILED).never_says("s3cret");
    insta::assert_snapshot!(case.stable(&ran.stdout));
}

#[test]
fn a_dead_host_is_given_up_and_said_to_be_tried_meanwhile() {
    let case = Case::of([wso2("")]);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let dead = format!("http://127.0.0.1:{port}");
    let target = case
        .read("targets/wso2.yaml")
        .replace(&case.url_of("wso2"), &dead);
    case.write("targets/wso2.yaml", target);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    let environment = [("SCOPEWARD_WSO2_URL", Some(dead.as_str()))];
    let ran = case.run_in(&environment, &["plan", "."]).exits(FAILED);
    let ran = ran.says("WARN").says("trying again").says("attempt=3");
    let text = ran.stdout.replace(&dead[7..], "dead");
    let calls = regex::Regex::new(r" +\d calls,").unwrap();
    insta::assert_snapshot!(calls.replace(&case.stable(&text), " N calls,"));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_shown_with_the_ways_to_trust_it() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write(
        ".world/world.yaml",
        format!("systems: [{{ name: wso2, {} }}]", wso2("").world),
    );
    let served = Served::start(
        &case,
        &["--world", ".world/world.yaml", "--tls", ".world/cert.pem"],
    );
    let url = format!("{}/@wso2", served.url);
    let target = case
        .read("targets/wso2.yaml")
        .replace(&case.url_of("wso2"), &url);
    case.write("targets/wso2.yaml", &target);
    let environment = [("SCOPEWARD_WSO2_URL", Some(url.as_str()))];
    let ran = case.run_in(&environment, &["plan", "."]).exits(FAILED);
    let address = served.url.trim_start_matches("https://");
    let print = regex::Regex::new("[0-9a-f]{64}").unwrap();
    let told = print.find(&ran.stdout).unwrap().as_str().to_owned();
    let text = case.stable(&ran.stdout.replace(address, "sandbox"));
    insta::assert_snapshot!(text.replace(&told, "FINGERPRINT"));

    // Both ways work.
    for tls in [
        format!("tls: {{ pinnedSha256: {told} }}"),
        "tls: { caFile: ../.world/cert.pem }".to_owned(),
    ] {
        let target = target.replace("limits:", &format!("{tls}, limits:"));
        case.write("targets/wso2.yaml", target);
        case.run_in(&environment, &["plan", "."])
            .exits(DONE)
            .says("create   a");
    }
    served.stop();
}

#[test]
fn a_credential_goes_to_no_other_url_than_its_own() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.forget_requests();
    let environment = [("SCOPEWARD_WSO2_URL", Some("https://wso2.acme.com"))];
    let ran = case
        .run_in(&environment, &["sync", ".", "--yes", "--new-inventory"])
        .exits(FAILED);
    assert_eq!(case.requests(), 0);
    insta::assert_snapshot!(case.stable(&ran.stdout));
}

#[test]
fn a_credential_that_names_no_url_goes_to_this_machine_alone() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    let environment = [("SCOPEWARD_WSO2_URL", None)];
    case.run_in(&environment, &["plan", "."]).exits(DONE);
    let target = case.read("targets/wso2.yaml");
    case.write(
        "targets/wso2.yaml",
        target.replace(&case.url_of("wso2"), "https://wso2.acme.com"),
    );
    let ran = case.run_in(&environment, &["plan", "."]).exits(FAILED);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_credential_that_is_nowhere_or_lacks_a_key_is_told_with_all_places() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.forget_requests();
    let none = ["URL", "USERNAME", "PASSWORD"].map(|key| format!("SCOPEWARD_WSO2_{key}"));
    let none: Vec<_> = none.iter().map(|name| (name.as_str(), None)).collect();
    case.write("keys/another/url", "https://example.com");
    let nowhere = case
        .run_in(&none, &["plan", ".", "--credentials", "keys"])
        .exits(FAILED);
    let lacking = case.run_in(&none[1..], &["plan", "."]).exits(FAILED);
    assert_eq!(case.requests(), 0);
    insta::assert_snapshot!(case.stable(&format!("{}\n{}", nowhere.stdout, lacking.stdout)));
}

#[test]
fn an_inventory_that_cannot_be_used_stops_a_run_before_it_reads() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write("broken.json", "{\"formatVersion\": \"1.0\", \"gener");
    case.write(
        "newer.json",
        "{\"formatVersion\": \"2.0\", \"generation\": 1, \"identities\": {}}",
    );
    case.write("other.json", "{\"orders\": []}");
    case.write("empty.json", "");
    fs::write(case.path().join("binary.json"), [0xff, 0xfe, 0]).unwrap();
    fs::create_dir(case.path().join("folder.json")).unwrap();
    case.forget_requests();
    let mut text = String::new();
    for file in [
        "broken.json",
        "newer.json",
        "other.json",
        "empty.json",
        "binary.json",
        "folder.json",
        "a.yaml/inventory.json",
    ] {
        for verb in [&["plan", "."][..], &["sync", ".", "--yes"]] {
            let inventory = format!("file:{file}");
            let args = [verb, &["--inventory", &inventory]].concat();
            let ran = case.run_in(&[], &args).exits(FAILED);
            assert_eq!(ran.stdout, "");
            text.extend([verb[0], " ", file, "\n", &ran.stderr, "\n"]);
        }
    }
    assert_eq!(case.requests(), 0);
    assert_eq!(
        case.read("broken.json"),
        "{\"formatVersion\": \"1.0\", \"gener",
        "it is not touched"
    );
    insta::assert_snapshot!(case.stable(&text));
}

#[test]
fn an_inventory_that_another_run_holds_is_left_to_it() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.fail(json!([{ "times": 1, "fault": { "hold": {} } }]));
    let first = case.start(&["sync", ".", "--yes", "--new-inventory"], None);
    case.wait_until_held();
    let second = case.run_in(&[], &["sync", ".", "--yes"]).exits(FAILED);
    insta::assert_snapshot!(case.stable(&second.stderr));
    case.heal();
    first.finish().exits(DONE);
    assert_eq!(case.owned(), ["a created"]);
}

#[test]
fn an_inventory_in_a_folder_that_cannot_be_written_is_told_before_anything_is_written() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    // Where the process may write anywhere, the kernel's own folder may not be written all the same.
    let ran = case.run_in(
        &[],
        &[
            "sync",
            ".",
            "--yes",
            "--inventory",
            "file:/proc/inventory.json",
        ],
    );
    let ran = ran.exits(FAILED);
    assert_eq!(case.writes(), 0);
    insta::assert_snapshot!(case.stable(&ran.stderr));
}

#[test]
fn a_state_file_that_is_no_world_is_told() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write("state.json", "{\"systems\": ");
    let served = case
        .run_in(
            &[],
            &[
                "sandbox",
                "--listen",
                "127.0.0.1:0",
                "--state",
                "state.json",
            ],
        )
        .exits(FAILED);
    case.write(".scopeward/sandbox/world.json", "{\"systems\": 3}");
    let embedded = case.run_in(&[], &["sync", ".", "--sandbox"]).exits(FAILED);
    case.write("sandbox.yaml", "systems: [{ name: wso2 }]");
    case.remove(".scopeward/sandbox/world.json");
    let world = case.run_in(&[], &["sync", ".", "--sandbox"]).exits(FAILED);
    insta::assert_snapshot!(case.stable(&format!(
        "{}\n{}\n{}",
        served.stderr, embedded.stderr, world.stderr
    )));
}

#[test]
fn what_cannot_be_read_among_the_manifests_removes_nothing_anywhere() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.first_sync();
    fs::write(case.path().join("b.yaml"), [0xff, 0xfe, 0]).unwrap();
    let ran = case.run_in(&[], &["sync", ".", "--yes"]).exits(FAILED);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".to_owned(), "b".to_owned()], 0)
    );
    insta::assert_snapshot!(case.stable(&ran.to_string()));
}

#[test]
fn a_list_that_stays_short_is_no_picture_and_removes_nothing() {
    let case = Case::of([wso2("")]);
    case.write(
        "scopes.yaml",
        ["a", "b"]
            .map(|name| scope("wso2", name, "description: D"))
            .concat(),
    );
    case.first_sync();
    case.write("scopes.yaml", scope("wso2", "a", "description: D"));
    let list = json!({
        "count": 2,
        "list": [{ "name": "a", "description": "D", "bindings": [] }],
        "pagination": { "total": 2, "limit": 10_000, "offset": 0, "next": "", "previous": "" },
    });
    case.fail(json!([{ "method": "GET", "fault": { "status": { "code": 200, "body": list.to_string() } } }]));
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(
        case.counted(),
        ["2 x GET /api/auth/scope-registration/v1.0/scopes 200"]
    );
    assert_eq!(case.scopes(), ["a", "b"]);
    insta::assert_snapshot!(case.stable(&ran.stdout));
}

#[test]
fn a_list_that_is_cut_is_asked_for_again() {
    let case = Case::of([
        one_login(""),
        wso2(""),
        apigee_shop("[READ, WRITE]", "[READ]"),
    ]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.write("c.yaml", key("[READ, WRITE]", ""));
    case.first_sync();
    let cut = |system: &str| json!({ "system": system, "method": "GET", "times": 1, "fault": { "truncate": { "bytes": 5 } } });
    case.fail(json!([cut("onelogin"), cut("wso2"), cut("apigee")]));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!((case.faults_applied(), case.writes()), (3, 0), "{ran}");
}

#[test]
fn a_server_that_is_overrun_is_waited_for() {
    for retry_after in [Some("0"), Some("1"), None] {
        for method in ["GET", "POST"] {
            let case = Case::of([wso2("")]);
            case.write("a.yaml", scope("wso2", "a", "description: A"));
            let mut status = json!({ "code": 429 });
            if let Some(seconds) = retry_after {
                status["retryAfter"] = seconds.into();
            }
            case.fail(json!([{ "method": method, "times": 1, "fault": { "status": status } }]));
            let ran = case.sync(&["--new-inventory"]).exits(DONE);
            assert_eq!(
                (case.faults_applied(), case.scopes()),
                (1, vec!["a".to_owned()]),
                "{ran}"
            );
            // One that was refused, and one that was processed: nothing is looked up in between.
            let posts = case
                .written()
                .iter()
                .filter(|line| line.starts_with("POST"))
                .count();
            assert_eq!(posts, if method == "POST" { 2 } else { 1 });
        }
    }
}

#[test]
fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.fail(json!([{ "fault": { "status": { "code": 429, "retryAfter": "3600" } } }]));
    let ran = case.plan(&[]).exits(FAILED);
    assert_eq!(case.requests(), 1);
    insta::assert_snapshot!(case.stable(&ran.stdout));
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_run_is_renewed_once() {
    let mut edge = edge(
        ", auth: OAuth",
        vec![("USERNAME", "ann"), ("PASSWORD", "edgeSecret")],
    );
    edge.name = "apigee".to_owned();
    let mut granted = publisher("clients: [{ clientId: client, clientSecret: cl1entSecret }]");
    granted
        .credential
        .extend([("CLIENT_ID", "client"), ("CLIENT_SECRET", "cl1entSecret")]);
    for place in [one_login(""), granted, edge] {
        let name = place.name.clone();
        let manifest = match name.as_str() {
            "apigee" => key("[READ, WRITE]", ""),
            name => (1..=6)
                .map(|n| scope(name, &format!("s-{n}"), "description: D, displayName: D"))
                .collect(),
        };
        let case = Case::of([place]);
        case.write("manifest.yaml", manifest);
        let sign_in = format!("{}/oauth/token", case.url_of("apigee"));
        case.fail(
            json!([{ "token": false, "skip": 2, "times": 1, "fault": { "expireTokens": {} } }]),
        );
        let environment = [("SCOPEWARD_APIGEE_TOKEN_URL", Some(sign_in.as_str()))];
        let ran = case
            .run_in(&environment, &["sync", ".", "--yes", "--new-inventory"])
            .exits(DONE);
        assert_eq!(case.faults_applied(), 1, "{ran}");
        // Edge's refresh token is gone as well, so that a refused request lies between the two.
        let given = |entry: &&Value| entry["token"] == true && entry["status"] == 200;
        let tokens = case.log().iter().filter(given).count();
        assert_eq!(tokens, 2, "{name}\n{ran}");
    }
}

#[test]
fn one_system_that_fails_does_not_keep_the_others() {
    let case = Case::of([one_login(""), wso2("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.fail(json!([{
        "system": "onelogin", "method": "GET", "route": "/api/2/api_authorizations/{id}/scopes",
        "fault": { "status": { "code": 500, "body": "{\"message\":\"Internal Server Error\"}" } },
    }]));
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(
        (case.scopes_of("onelogin"), case.scopes_of("wso2")),
        (vec![], vec!["b".to_owned()])
    );
    insta::assert_snapshot!(without_calls(&case, &ran));
}

/// Every kind of write: where it goes, by system and method.
const WRITES: [(&str, &str, &str); 13] = [
    ("onelogin", "POST", "/api/2/api_authorizations/{id}/scopes"),
    (
        "onelogin",
        "PUT",
        "/api/2/api_authorizations/{id}/scopes/{id}",
    ),
    (
        "onelogin",
        "DELETE",
        "/api/2/api_authorizations/{id}/scopes/{id}",
    ),
    ("onelogin", "POST", "/api/2/api_authorizations/{id}/clients"),
    (
        "onelogin",
        "PUT",
        "/api/2/api_authorizations/{id}/clients/{id}",
    ),
    (
        "onelogin",
        "DELETE",
        "/api/2/api_authorizations/{id}/clients/{id}",
    ),
    ("wso2", "POST", "/api/auth/scope-registration/v1.0/scopes"),
    (
        "wso2",
        "PUT",
        "/api/auth/scope-registration/v1.0/scopes/{name}",
    ),
    (
        "wso2",
        "DELETE",
        "/api/auth/scope-registration/v1.0/scopes/{name}",
    ),
    ("publisher", "POST", "/api/am/publisher/v4/scopes"),
    ("publisher", "PUT", "/api/am/publisher/v4/scopes/{id}"),
    ("publisher", "DELETE", "/api/am/publisher/v4/scopes/{id}"),
    ("apigee", "PUT", "*"),
];

/// Runs a busy sync with a fault at the first write of every kind.
fn at_every_kind_of_write(fault: &Value, code: i32) {
    at_writes(&Busy::new(1), &WRITES, fault, code);
}

/// One sync for all of them: the systems know nothing of each other, and a run has to get over more than one fault.
fn at_writes(busy: &Busy, writes: &[(&str, &str, &str)], fault: &Value, code: i32) {
    busy.again();
    let rule = |(system, method, route): &(&str, &str, &str)| {
        let mut rule = json!({ "system": system, "method": method, "times": 1, "fault": fault });
        if *route != "*" {
            rule["route"] = (*route).into();
        }
        rule
    };
    busy.case.fail(writes.iter().map(rule).collect());
    let ran = busy.case.sync(&[]);
    assert_eq!(
        busy.case.faults_applied(),
        writes.len() as u64,
        "{fault}\n{ran}"
    );
    assert_eq!(ran.code, Some(code), "{fault}\n{ran}");
    busy.case.heal();
    busy.finish(&fault.to_string());
}

#[test]
fn a_connection_that_breaks_before_a_write_is_made_up_for() {
    let fault = json!({ "reset": { "when": "before" } });
    let is_publishers = |write: &(&str, &str, &str)| (write.0, write.1) == ("publisher", "POST");
    let (left, again): (Vec<_>, Vec<_>) = WRITES.into_iter().partition(is_publishers);
    let busy = Busy::new(1);
    at_writes(&busy, &again, &fault, DONE);
    // Publisher would take a second one of the name, and may be at work on the first.
    at_writes(&busy, &left, &fault, PARTIAL);
}

#[test]
fn a_connection_that_breaks_after_a_write_makes_nothing_twice() {
    at_every_kind_of_write(&json!({ "reset": { "when": "after" } }), DONE);
}

#[test]
fn a_500_after_a_write_is_settled_by_looking() {
    let fault = json!({ "status": { "code": 500, "when": "after" } });
    // What needs a scope whose change was not answered waits for the next run.
    let (changes, others): (Vec<_>, Vec<_>) =
        WRITES.into_iter().partition(|write| *write == WRITES[1]);
    let busy = Busy::new(1);
    at_writes(&busy, &others, &fault, PARTIAL);
    at_writes(&busy, &changes, &fault, PARTIAL);
}

/// One of each: what is not made, and what may have been changed. The latter is looked at for ten seconds.
const FEW: [(&str, &str, &str); 4] = [WRITES[0], WRITES[6], WRITES[9], WRITES[7]];

#[test]
fn a_500_before_a_write_is_told_and_left_to_the_next_run() {
    at_writes(
        &Busy::new(1),
        &FEW,
        &json!({ "status": { "code": 500, "when": "before" } }),
        PARTIAL,
    );
}

#[test]
fn a_gateway_that_gave_up_waiting_is_not_believed() {
    at_every_kind_of_write(&json!({ "status": { "code": 504, "when": "after" } }), DONE);
}
