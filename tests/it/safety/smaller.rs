//! Section 13: smaller decisions.

use serde_json::json;

use crate::support::manifest::document;
use crate::support::place::one_login_with;
use crate::support::*;

#[test]
fn a_scope_without_description_is_created_with_its_display_name_else_its_name() {
    let case = Case::of([wso2(""), one_login(""), publisher("")]);
    case.write(
        "w.yaml",
        scope("wso2", "w1", "displayName: First") + &scope("wso2", "w2", ""),
    );
    case.write(
        "o.yaml",
        scope("onelogin", "o1", "displayName: First") + &scope("onelogin", "o2", ""),
    );
    case.write(
        "p.yaml",
        scope("publisher", "p1", "displayName: First") + &scope("publisher", "p2", ""),
    );
    case.sync(&[]).exits(DONE);
    for (system, letter) in [("wso2", "w"), ("onelogin", "o"), ("publisher", "p")] {
        let (first, second) = (format!("{letter}1"), format!("{letter}2"));
        assert_eq!(case.scope_of(system, &first)["description"], "First");
        assert_eq!(case.scope_of(system, &second)["description"], *second);
    }
    // What was filled in is not managed.
    case.drift(
        json!({ "system": "wso2", "updateScope": { "name": "w2", "description": "Theirs" } }),
    );
    let ran = case.sync(&[]).exits(DONE);
    assert!(ran.changes().is_empty(), "{ran}");
}

#[test]
fn an_app_set_may_name_a_scope_that_is_live_and_undeclared() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: legacy }]")]);
    case.write("app.yaml", app(1, "[legacy]", ""));
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.app("1"), ["legacy"]);
}

#[test]
fn an_app_set_may_not_name_a_scope_that_is_neither_declared_nor_live() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: legacy }]")]);
    case.write(
        "app.yaml",
        app(1, "[legacy, legacyy]", "") + &app(2, "[legacy]", ""),
    );
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(ran.codes(), ["SW202"]);
    ran.says("did you mean \"legacy\"?");
    assert_eq!(
        (case.apps_of("onelogin").len(), case.app("2")),
        (1, vec!["legacy".to_owned()])
    );
}

#[test]
fn names_that_a_list_holds_twice_are_a_finding_and_never_written_to() {
    let case = Case::of([one_login_with(
        "scopes: [{ id: 1, value: a, description: One }, { id: 2, value: a, description: Two }], clients: [{ appId: 1, scopes: [1] }]",
        "switches: { scopeUniqueness: none }",
    )]);
    case.write(
        "a.yaml",
        scope("onelogin", "a", "description: New")
            + &scope("onelogin", "b", "description: B")
            + &app(2, "[b]", ""),
    );
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(ran.codes(), ["SW203"]);
    assert_eq!(case.scopes(), ["a", "a", "b"]);
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["duplicate a"]);
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    assert!(
        !case.owned().iter().any(|line| line.starts_with("a ")),
        "{:?}",
        case.owned()
    );
}

#[test]
fn a_name_of_ours_that_turned_up_twice_is_not_deleted() {
    let case = Case::of([one_login_with("", "switches: { scopeUniqueness: none }")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.drift(json!({ "addScope": { "value": "a", "description": "Twin" } }));
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["duplicate a"]);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".into(), "a".into(), "b".into()], 0)
    );
}

#[test]
fn taking_a_target_out_of_target_refs_is_a_removal_there() {
    let case = Case::of([one_login(""), wso2("")]);
    let on = |targets: &str| {
        document(
            "Scope",
            "a",
            &format!("targetRefs: {targets}, description: A"),
        )
    };
    case.write("a.yaml", on("[{ name: onelogin }, { name: wso2 }]"));
    case.first_sync();
    case.write("a.yaml", on("[{ name: wso2 }]"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["delete a done"]);
    assert_eq!(
        (case.scopes_of("onelogin").len(), case.scopes_of("wso2")),
        (0, vec!["a".to_owned()])
    );
}

#[test]
fn names_that_a_system_would_break_on_are_refused_before_anything_is_sent() {
    let case = Case::of([wso2(""), publisher(""), one_login("")]);
    for (target, name) in [
        ("wso2", "a/b"),
        ("wso2", "a%b"),
        ("publisher", "true"),
        ("publisher", "007"),
    ] {
        let text = scope(target, name, "description: A")
            .replace("metadata: { name: 007 }", "metadata: { name: n007 }")
            .replace("metadata: { name: true }", "metadata: { name: ntrue }");
        case.write("a.yaml", text);
        case.run(&["validate", "."])
            .exits(FAILED)
            .says("cannot hold a scope named");
    }
    case.write("a.yaml", scope("onelogin", "a/b", "description: A"));
    case.run(&["validate", "."]).exits(DONE);
    assert_eq!(case.requests(), 0);
}

#[test]
fn a_field_that_is_not_supported_yet_is_an_error_that_says_so() {
    let case = Case::of([one_login("")]);
    case.write(
        "a.yaml",
        scope(
            "onelogin",
            "a",
            "description: A, apigee: { products: [orders] }",
        ),
    );
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("not supported yet");
}

#[test]
fn an_app_set_is_unique_by_place_owner_app_and_key() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    let again = key("[WRITE]", "").replace("name: shop }", "name: again }");
    case.write("app.yaml", key("[READ]", "") + &again);
    let ran = case.sync(&["--new-inventory"]).exits(FAILED);
    ran.says("more than one AppScopeSet is for the app");
    // One of them leaves its key out, and it turns out to be the same.
    case.write(
        "app.yaml",
        key("[READ]", "") + &again.replace(", consumerKey: k3y", ""),
    );
    case.sync(&["--new-inventory"]).exits(FAILED);
    assert_eq!(
        (case.app("shop/k3y"), case.writes()),
        (vec!["READ".to_owned()], 0)
    );
}

#[test]
fn an_app_or_key_that_cannot_be_used_is_managed_and_said_so() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write("app.yaml", key("[READ, WRITE]", ""));
    case.drift(json!({ "revokeKey": { "developer": "ann@example.com", "app": "shop", "consumerKey": "k3y" } }));
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    ran.says("cannot be used now");
    assert_eq!(case.app("shop/k3y"), ["READ", "WRITE"]);
}

#[test]
fn a_list_is_asked_for_again_where_there_are_more_rows_than_it_gave() {
    let rows: Vec<String> = (0..1500)
        .map(|n| format!("{{ name: n{n}, description: D }}"))
        .collect();
    for (place, system) in [
        (wso2(&format!("scopes: [{}]", rows.join(", "))), "wso2"),
        (
            publisher(&format!("sharedScopes: [{}]", rows.join(", "))),
            "publisher",
        ),
    ] {
        let case = Case::of([place]);
        case.write(
            "a.yaml",
            scope(system, "n1499", "description: D") + &scope(system, "new", "description: New"),
        );
        let ran = case.sync(&["--new-inventory"]).exits(DONE);
        assert_eq!(
            (
                ran.changes(),
                ran.target(system)["population"]["live"].clone()
            ),
            (vec!["create new done".to_owned()], json!(1500))
        );
        assert!(case.owned().contains(&"n1499 matched".to_owned()));
        // Never by pages: a PUT moves rows between them.
        assert!(case.log().iter().all(|entry| {
            !entry["query"]
                .as_str()
                .unwrap_or_default()
                .contains("offset=1")
        }));
    }
}

#[test]
fn the_publisher_is_signed_in_to_by_basic_and_no_client_is_registered() {
    let case = Case::of([publisher("")]);
    case.write("a.yaml", scope("publisher", "a", "description: A"));
    case.sync(&[]).exits(DONE);
    let log = case.log();
    assert!(log.iter().all(|entry| entry["token"] != true), "{log:?}");
    assert!(
        log.iter()
            .all(|entry| entry["path"] == "/api/am/publisher/v4/scopes"),
        "{log:?}"
    );
}
