//! Section 6: renames.

use serde_json::{Value, json};

use super::SCOPE;
use crate::support::*;

/// a and b of ours, held by apps that no manifest knows.
fn two_held() -> Case {
    let case = Case::of([one_login("")]);
    case.write("scopes.yaml", named("a", "") + &named("b", ""));
    case.first_sync();
    case.drift(json!({ "addClient": { "appId": 1, "scopes": ["a"] } }));
    case.drift(json!({ "addClient": { "appId": 3, "scopes": ["b"] } }));
    case
}

/// The scope `name`, once called `previous`; its description says which of the two it is.
fn named(name: &str, previous: &str) -> String {
    let previous = if previous.is_empty() {
        String::new()
    } else {
        format!(", previousNames: [{previous}]")
    };
    scope("onelogin", name, &format!("displayName: {name}{previous}"))
}

fn id(case: &Case, name: &str) -> Value {
    case.scope(name)["id"].clone()
}

#[test]
fn a_rename_on_onelogin_keeps_the_id_and_every_app_that_holds_it() {
    let case = two_held();
    let before = id(&case, "a");
    case.write("scopes.yaml", named("orders:read", "a") + &named("b", ""));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["rename orders:read done"]);
    ran.says("stays, 1 app keep");
    assert_eq!(
        (id(&case, "orders:read"), case.app("1"), case.scopes()),
        (
            before,
            vec!["orders:read".to_owned()],
            vec!["b".into(), "orders:read".into()]
        )
    );
    assert_eq!(case.writes(), 1);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.writes(), 1);
}

#[test]
fn a_rename_and_an_apps_list_go_together() {
    let case = two_held();
    case.write("app.yaml", app(1, "[a]", ""));
    case.sync(&[]).exits(DONE);
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    case.write("app.yaml", app(1, "[b, c]", ""));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.gains(), ran.losses().len()),
        (vec!["app Shop (1) b".to_owned()], 0)
    );
    assert_eq!(case.app("1"), ["b", "c"]);
}

#[test]
fn an_apps_list_that_still_has_the_old_name_is_told_the_new_one() {
    let case = two_held();
    case.write("app.yaml", app(1, "[a]", ""));
    case.sync(&[]).exits(DONE);
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert!(ran.codes().contains(&"SW202".to_owned()), "{ran}");
    ran.says("scope \"a\" is being renamed to \"c\"");
    assert_eq!(case.app("1"), ["c"]);
}

#[test]
fn a_chain_of_renames_runs_in_the_order_of_its_dependence() {
    let case = two_held();
    let (first, second) = (id(&case, "a"), id(&case, "b"));
    // b becomes c, and only then a can become b.
    case.write("scopes.yaml", named("b", "a") + &named("c", "b"));
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (id(&case, "b"), id(&case, "c"), case.scopes().len()),
        (first, second, 2)
    );
    assert_eq!(
        (case.app("1"), case.app("3")),
        (vec!["b".to_owned()], vec!["c".to_owned()])
    );
    case.forget_requests();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.writes(), 0);
}

#[test]
fn a_swap_goes_through_a_temporary_name() {
    let case = two_held();
    let (first, second) = (id(&case, "a"), id(&case, "b"));
    case.write("scopes.yaml", named("a", "b") + &named("b", "a"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes().len(), 3);
    assert_eq!(
        (id(&case, "b"), id(&case, "a"), case.scopes().len()),
        (first, second, 2)
    );
    assert_eq!(
        (case.app("1"), case.app("3")),
        (vec!["b".to_owned()], vec!["a".to_owned()])
    );
    // What was swapped is not swapped back by the same manifests.
    case.forget_requests();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.writes(), 0);
}

#[test]
fn a_swap_that_was_killed_half_way_is_finished_by_the_next_run() {
    for stage in 0..3 {
        for when in ["before", "after"] {
            let case = two_held();
            let (first, second) = (id(&case, "a"), id(&case, "b"));
            case.write("scopes.yaml", named("a", "b") + &named("b", "a"));
            case.fail(json!([{ "method": "PUT", "route": SCOPE, "skip": stage, "times": 1, "fault": { "hold": { "when": when } } }]));
            let run = case.start(&["sync", ".", "--yes"], None);
            case.wait_until_held();
            run.kill();
            case.wait_until_let_go();
            case.heal();
            case.sync(&[]).exits(DONE);
            assert_eq!(
                (id(&case, "b"), id(&case, "a"), case.scopes().len()),
                (first, second, 2),
                "{stage} {when}"
            );
            assert_eq!(
                (case.app("1"), case.app("3")),
                (vec!["b".to_owned()], vec!["a".to_owned()]),
                "{stage} {when}"
            );
        }
    }
}

#[test]
fn a_new_name_that_is_live_and_not_ours_refuses() {
    let case = two_held();
    case.drift(json!({ "addScope": { "value": "c", "description": "Theirs" } }));
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["name_taken c"]);
    let ran = case.sync(&["--approve-plan", &ran.digest()]).exits(REFUSED);
    ran.says("a cannot be renamed to c");
    assert_eq!(
        (case.scopes(), case.writes(), case.app("1")),
        (
            vec!["a".into(), "b".into(), "c".into()],
            0,
            vec!["a".to_owned()]
        )
    );
}

#[test]
fn what_is_not_ours_is_not_renamed() {
    let case = Case::of([one_login("scopes: [{ id: 7, value: a, description: A }]")]);
    case.write("scopes.yaml", named("b", "a"));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["takeover a"]);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn an_old_name_that_somebody_else_takes_after_the_rename_is_theirs() {
    let case = two_held();
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    case.sync(&[]).exits(DONE);
    case.drift(json!({ "addScope": { "value": "a", "description": "Theirs" } }));
    case.forget_requests();
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a"]);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".into(), "b".into(), "c".into()], 0)
    );
}

#[test]
fn a_rename_that_fails_is_neither_a_create_nor_a_delete() {
    let case = two_held();
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    case.fail(json!([{ "method": "PUT", "route": SCOPE, "fault": { "status": { "code": 422 } } }]));
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.changes(), ["rename c failed"]);
    assert_eq!(
        (case.scopes(), case.app("1")),
        (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()])
    );
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["b", "c"]);
}

#[test]
fn apply_renames_too_since_nothing_is_removed() {
    let case = two_held();
    case.write("scopes.yaml", named("c", "a") + &named("b", ""));
    case.apply(&[]).exits(DONE);
    assert_eq!(
        (case.scopes(), case.app("1")),
        (vec!["b".to_owned(), "c".to_owned()], vec!["c".to_owned()])
    );
}

#[test]
fn a_previous_name_that_another_manifest_declares_is_an_error() {
    let case = Case::of([one_login("")]);
    case.write("scopes.yaml", named("a", "") + &named("b", "a"));
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("\"a\" is declared by another Scope");
    case.write("scopes.yaml", named("b", "a") + &named("c", "a"));
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("2 Scopes on \"default/onelogin\" were named \"a\" before");
}

#[test]
fn two_names_that_differ_only_in_case_are_an_error() {
    let case = Case::of([one_login("")]);
    let other = scope("onelogin", "A", "displayName: A").replace("name: a }", "name: upper }");
    case.write("scopes.yaml", named("a", "") + &other);
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("differ only in case");
}

#[test]
fn where_a_system_cannot_rename_a_previous_name_is_an_error_only_while_it_is_live() {
    for (place, system, live) in [
        (
            wso2("scopes: [{ name: a, description: A, bindings: [x] }]"),
            "wso2",
            json!({ "deleteScope": "a" }),
        ),
        (
            publisher("sharedScopes: [{ name: a, description: A, bindings: [x] }]"),
            "publisher",
            json!({ "deleteSharedScope": "a" }),
        ),
    ] {
        let case = Case::of([place]);
        case.write(
            "scopes.yaml",
            scope(system, "b", "description: A, previousNames: [a]")
                + &scope(system, "c", "description: C"),
        );
        let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
        assert_eq!(ran.codes(), ["SW204"]);
        assert_eq!(case.scopes(), ["a", "c"]);
        assert!(case.log().iter().all(|entry| entry["method"] != "PUT"));
        case.drift(live);
        case.sync(&[]).exits(DONE);
        assert_eq!(case.scopes(), ["b", "c"]);
    }
}
