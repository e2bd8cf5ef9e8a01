//! Section 9: what became of a write whose answer was lost, and what a reading after the writes shows.

use serde_json::json;

use super::{CLIENT, CLIENTS, SCOPE, SCOPES};
use crate::support::*;

fn a() -> String {
    scope("onelogin", "a", "description: A")
}

/// The writes that were sent, in order.
fn sent(case: &Case) -> Vec<String> {
    let log = case.log();
    let writes = log
        .iter()
        .filter(|entry| entry["path"] != "/auth/oauth2/v2/token");
    let line = |entry: &serde_json::Value| {
        format!("{} {}", entry["method"].as_str().unwrap(), entry["status"])
    };
    writes
        .map(line)
        .filter(|line| !line.starts_with("GET"))
        .collect()
}

#[test]
fn a_create_that_took_effect_behind_an_error_is_found_by_listing_and_not_sent_again() {
    for fault in [
        json!({ "status": { "code": 500, "when": "after" } }),
        json!({ "status": { "code": 502, "when": "after" } }),
        json!({ "reset": { "when": "after" } }),
        json!({ "truncate": { "bytes": 2 } }),
    ] {
        for (place, system, route) in [
            (one_login(""), "onelogin", SCOPES),
            (wso2(""), "wso2", "/api/auth/scope-registration/v1.0/scopes"),
            (publisher(""), "publisher", "/api/am/publisher/v4/scopes"),
        ] {
            let case = Case::of([place]);
            case.write("a.yaml", scope(system, "a", "description: A"));
            case.fail(json!([{ "method": "POST", "route": route, "times": 1, "fault": fault }]));
            let ran = case.sync(&[]).exits(DONE);
            assert_eq!(
                (case.scopes(), case.owned(), ran.changes()),
                (
                    vec!["a".into()],
                    vec!["a created".into()],
                    vec!["create a done".into()]
                ),
                "{system} {fault}"
            );
            assert_eq!(
                case.log()
                    .iter()
                    .filter(|entry| entry["method"] == "POST"
                        && entry["path"].as_str().unwrap().ends_with("/scopes"))
                    .count(),
                1
            );
            assert!(case.log().iter().all(|entry| entry["method"] != "HEAD"));
        }
    }
}

#[test]
fn a_create_behind_an_error_that_a_list_shows_late_is_ours() {
    for (place, system, route) in [
        (one_login(""), "onelogin", SCOPES),
        (wso2(""), "wso2", "/api/auth/scope-registration/v1.0/scopes"),
        (publisher(""), "publisher", "/api/am/publisher/v4/scopes"),
    ] {
        let case = Case::of([place]);
        case.write("a.yaml", scope(system, "a", "description: A"));
        case.write("b.yaml", scope(system, "b", "description: B"));
        // Lists lag behind the first write, and the second one gets an error for an answer.
        case.fail(json!([
            { "method": "POST", "route": route, "times": 1, "fault": { "lag": { "reads": 1 } } },
            { "method": "POST", "route": route, "times": 1, "fault": { "status": { "code": 500, "when": "after" } } },
        ]));
        case.sync(&[]).exits(DONE);
        assert_eq!(case.owned(), ["a created", "b created"], "{system}");
    }
}

#[test]
fn a_create_that_did_not_take_effect_is_not_said_to_have() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    case.fail(
        json!([{ "method": "POST", "route": SCOPES, "fault": { "status": { "code": 500 } } }]),
    );
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(
        (ran.changes(), case.scopes().len(), case.owned().len()),
        (vec!["create a unknown".to_owned()], 0, 0)
    );
    // Nobody's right grew out of the attempt: a list that is read later says that nothing came of it.
    case.heal();
    case.pass_hours(1);
    case.remove("a.yaml");
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.sync(&[]).exits(DONE);
    case.drift(json!({ "addScope": { "value": "a", "description": "A" } }));
    case.write("a.yaml", a());
    case.sync(&[]).exits(DONE);
    assert_eq!(case.owned(), ["a matched", "b created"]);
}

#[test]
fn an_attached_client_behind_an_error_is_found_by_listing() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.fail(json!([{ "method": "POST", "route": CLIENTS, "times": 1, "fault": { "status": { "code": 500, "when": "after" } } }]));
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(
        (ran.changes(), case.app("1")),
        (vec!["attach 1 done".to_owned()], vec!["a".to_owned()])
    );
}

#[test]
fn an_update_a_replacement_and_a_delete_behind_errors_are_settled_by_the_reading_after_them() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.write("c.yaml", scope("onelogin", "c", "description: C"));
    case.write("app.yaml", app(1, "[a]", ""));
    case.first_sync();
    case.write("a.yaml", scope("onelogin", "a", "description: New"));
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.remove("c.yaml");
    let after = json!({ "status": { "code": 500, "when": "after" } });
    case.fail(json!([
        { "method": "PUT", "route": SCOPE, "times": 1, "fault": after },
        { "method": "PUT", "route": CLIENT, "times": 1, "fault": after },
        { "method": "DELETE", "route": SCOPE, "times": 1, "fault": after },
    ]));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        ran.changes(),
        ["update a done", "replace 1 done", "delete c done"]
    );
    assert_eq!(
        (case.scopes(), case.app("1"), case.writes()),
        (
            vec!["a".into(), "b".into()],
            vec!["a".into(), "b".into()],
            3
        )
    );
    case.heal();
    let ran = case.sync(&[]).exits(DONE);
    assert!(ran.changes().is_empty());
    // What was applied behind an error is the base of what comes next.
    case.write("app.yaml", app(1, "[a]", ""));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a"]);
}

#[test]
fn a_write_that_was_lost_without_effect_is_left_and_said_so() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    case.first_sync();
    case.write("a.yaml", scope("onelogin", "a", "description: New"));
    case.fail(json!([{ "method": "PUT", "route": SCOPE, "fault": { "status": { "code": 500 } } }]));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(
        (ran.changes(), ran.remaining()),
        (
            vec!["update a unknown".to_owned()],
            vec!["update a".to_owned()]
        )
    );
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scope("a")["description"], "New");
}

#[test]
fn a_delete_of_what_is_gone_already_is_done() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.first_sync();
    case.remove("a.yaml");
    case.fail(json!([{ "method": "DELETE", "times": 1, "fault": { "drift": { "change": { "deleteScope": "a" } } } }]));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.changes(), sent(&case)),
        (
            vec!["delete a done".to_owned()],
            vec!["POST 201".to_owned(), "DELETE 404".to_owned()]
        )
    );
}

#[test]
fn a_result_that_lags_is_waited_for() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    case.fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "lag": { "reads": 4 } } }]));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.target("onelogin")["converged"], true);
}

#[test]
fn a_result_that_never_shows_did_not_converge() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    case.first_sync();
    case.write("a.yaml", scope("onelogin", "a", "description: New"));
    // Somebody undoes it as soon as it is made.
    case.fail(
        json!([{ "method": "PUT", "route": SCOPE, "fault": { "drift": { "when": "after", "change": {
        "updateScope": { "value": "a", "description": "Theirs" } } } } }]),
    );
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(ran.target("onelogin")["converged"], false);
    assert_eq!(ran.remaining(), ["update a"]);
    ran.says("did not converge");
    assert_eq!(case.writes(), 1);
}

#[test]
fn every_write_stands_in_the_audit_log_with_who_why_and_what_became_of_it() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a());
    let ran = case.first_sync();
    case.write("a.yaml", scope("onelogin", "a", "description: New"));
    case.fail(json!([{ "method": "PUT", "route": SCOPE, "fault": { "status": { "code": 422 } } }]));
    case.sync(&[]).exits(FAILED);
    let log = case.read(".scopeward/audit.jsonl");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["outcome"], &lines[1]["outcome"]),
        (&json!("done"), &json!("failed"))
    );
    assert_eq!(lines[0]["runId"], ran.report["runId"]);
    assert_eq!(lines[0]["digest"], ran.digest_of("onelogin"));
    assert_eq!(
        (
            &lines[1]["before"]["description"],
            &lines[1]["after"]["description"]
        ),
        (&json!("A"), &json!("New"))
    );
    for line in &lines {
        assert!(
            line["time"].is_string() && line["who"].is_string() && line["liveIdentity"].is_string(),
            "{line}"
        );
    }
    assert!(!log.contains("0neL0ginSecret"));
}
