//! Section 4: sets are three-way, and a list that moved is left alone.

use serde_json::json;

use super::{CLIENT, CLIENTS, KEY, SCOPES};
use crate::support::manifest::{document, labelled, scope_spec};
use crate::support::*;

const THREE: &str =
    "scopes: [{ id: 1, value: a }, { id: 2, value: b }, { id: 3, value: c }, { id: 4, value: x }]";
const SHOP: &str = "1";
const SHOP_KEY: &str = "developers/ann@example.com/apps/shop/keys/k3y";

/// An app of ours with a, b and c, to which somebody gave x.
fn with_a_foreign_scope(foreign: &str) -> Case {
    let case = Case::of([one_login(THREE)]);
    case.write(
        "app.yaml",
        app(1, "[a, b, c]", &format!("foreignScopes: {foreign}")),
    );
    case.first_sync();
    case.drift(json!({ "setClientScopes": { "appId": 1, "scopes": [1, 2, 3, 4] } }));
    case
}

#[test]
fn remove_takes_foreign_entries_away() {
    let case = with_a_foreign_scope("Remove");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.losses(), ["app Shop (1) x"]);
    assert_eq!(case.app("1"), ["a", "b", "c"]);
}

#[test]
fn keep_leaves_foreign_entries_and_still_removes_its_own() {
    let case = with_a_foreign_scope("Keep");
    case.sync(&[]).exits(DONE);
    assert_eq!((case.app("1").len(), case.writes()), (4, 0));
    case.write("app.yaml", app(1, "[a, b]", "foreignScopes: Keep"));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a", "b", "x"]);
}

#[test]
fn fail_refuses_the_set_while_there_are_foreign_entries() {
    let case = with_a_foreign_scope("Fail");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("foreign_scopes {SHOP}")]);
    ran.says("x, which nobody declared");
    assert_eq!((case.app("1").len(), case.writes()), (4, 0));
    case.drift(json!({ "setClientScopes": { "appId": 1, "scopes": [1, 2] } }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a", "b", "c"]);
}

#[test]
fn a_foreign_scope_of_an_apigee_key_stays_goes_or_refuses_as_its_manifest_says() {
    for (foreign, code, after) in [
        ("Keep", DONE, ["A", "B"].as_slice()),
        ("Fail", REFUSED, &["A", "B"]),
        ("Remove", DONE, &["A"]),
    ] {
        let case = Case::of([apigee_shop("[A, B, C]", "[A]")]);
        case.write("app.yaml", key("[A]", &format!("foreignScopes: {foreign}")));
        case.first_sync();
        case.drift(json!({ "setKeyScopes": {
            "developer": "ann@example.com", "app": "shop", "consumerKey": "k3y", "scopes": ["A", "B"] } }));
        let ran = case.sync(&[]).exits(code);
        assert_eq!(case.app("shop/k3y"), after, "{foreign}");
        if code == REFUSED {
            assert_eq!(ran.refusals(), [format!("foreign_scopes {SHOP_KEY}")]);
        }
    }
}

#[test]
fn first_contact_with_a_richer_list_is_refused_with_the_list() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[READ, WRITE]")]);
    case.write("app.yaml", key("[READ, ADMIN]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("first_contact {SHOP_KEY}")]);
    ran.says("WRITE would go");
    assert_eq!(
        (case.app("shop/k3y"), case.writes()),
        (vec!["READ".to_owned(), "WRITE".to_owned()], 0)
    );
    // Growth needs no word.
    case.write("app.yaml", key("[READ, WRITE, ADMIN]", ""));
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.app("shop/k3y"), ["ADMIN", "READ", "WRITE"]);
}

#[test]
fn first_contact_under_keep_removes_nothing() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[READ, WRITE]")]);
    case.write("app.yaml", key("[READ, ADMIN]", "foreignScopes: Keep"));
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.app("shop/k3y"), ["ADMIN", "READ", "WRITE"]);
}

#[test]
fn first_contact_under_fail_is_refused() {
    let case = Case::of([one_login(&format!(
        "{THREE}, clients: [{{ appId: 1, scopes: [1, 4] }}]"
    ))]);
    case.write("app.yaml", app(1, "[a]", "foreignScopes: Fail"));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("first_contact {SHOP}")]);
}

#[test]
fn first_contact_with_roles_is_refused() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: A, bindings: [x, xy] }]",
    )]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.first_sync();
    assert_eq!(case.owned(), ["a matched"]);
    // Only now does its manifest speak of roles.
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x]"),
    );
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["first_contact a"]);
    assert_eq!(case.roles("a"), ["x", "xy"]);
    case.run(&["adopt", ".", "--only", "Scope/a"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["x"]);
}

#[test]
fn adopting_a_set_takes_what_is_live_as_applied() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[READ, WRITE]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.sync(&["--new-inventory"]).exits(REFUSED);
    case.run(&["adopt", ".", "--only", "AppScopeSet/shop"])
        .exits(DONE)
        .says("adopted");
    assert_eq!(case.writes(), 0);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("shop/k3y"), ["READ"]);
}

#[test]
fn an_approval_settles_a_first_contact_too() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[READ, WRITE]")]);
    case.write("app.yaml", key("[READ]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    case.sync(&["--new-inventory", "--approve-plan", &ran.digest()])
        .exits(DONE);
    assert_eq!(case.app("shop/k3y"), ["READ"]);
}

#[test]
fn a_lost_inventory_is_a_first_contact_again() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[]")]);
    case.write("app.yaml", key("[READ, WRITE]", ""));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    case.lose_inventory();
    case.write("app.yaml", key("[READ]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("first_contact {SHOP_KEY}")]);
}

#[test]
fn another_key_than_the_recorded_one_is_a_first_contact() {
    let case = Case::of([apigee(
        "products: [{ name: orders, scopes: [READ, WRITE] }], developers: [{ email: ann@example.com, apps: [{ name: shop, keys: [\
         { consumerKey: k3y, products: [orders], scopes: [READ] }, { consumerKey: n3w, products: [orders], scopes: [READ, WRITE] }] }] }]",
    )]);
    case.write("app.yaml", key("[READ]", ""));
    case.first_sync();
    case.write("app.yaml", key("[READ]", "").replace("k3y", "n3w"));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        ran.refusals(),
        ["first_contact developers/ann@example.com/apps/shop/keys/n3w"]
    );
    assert_eq!(
        (case.app("shop/n3w"), case.writes()),
        (vec!["READ".to_owned(), "WRITE".to_owned()], 0)
    );
}

#[test]
fn a_new_key_of_an_app_whose_manifest_names_none_is_a_first_contact() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write(
        "app.yaml",
        key("[READ]", "").replace(", consumerKey: k3y", ""),
    );
    case.first_sync();
    let place = json!({ "developer": "ann@example.com", "app": "shop" });
    let with = |more: serde_json::Value| {
        let mut members = place.as_object().unwrap().clone();
        members.extend(more.as_object().unwrap().clone());
        serde_json::Value::Object(members)
    };
    case.drift(json!({ "addKey": with(json!({ "key": { "consumerKey": "n3w", "products": ["orders"], "scopes": ["READ", "WRITE"] } })) }));
    case.drift(json!({ "revokeKey": with(json!({ "consumerKey": "k3y" })) }));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        ran.refusals(),
        ["first_contact developers/ann@example.com/apps/shop/keys/n3w"]
    );
}

#[test]
fn an_empty_live_list_that_becomes_a_short_one_is_a_removal() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[]")]);
    case.write("app.yaml", key("[READ]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("first_contact {SHOP_KEY}")]);
    assert_eq!(
        (ran.gains().len(), ran.losses()),
        (0, vec!["app shop (ann@example.com) / k3y WRITE".to_owned()])
    );
    // `apply` removes nothing, and so leaves it alone.
    let ran = case.apply(&[]).exits(DONE);
    assert_eq!(ran.skipped(), [format!("no_delete {SHOP_KEY}: WRITE")]);
    assert_eq!((case.app("shop/k3y").len(), case.writes()), (0, 0));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("shop/k3y"), ["READ"]);
}

// Drift.

#[test]
fn drift_is_repaired_by_default() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, xy, z]"),
    );
    case.first_sync();
    case.drift(
        json!({ "updateScope": { "name": "a", "description": "B", "bindings": ["x", "xy", "w"] } }),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scope("a")["description"].clone(), case.roles("a")),
        (json!("A"), vec!["x".into(), "xy".into(), "z".into()])
    );
}

#[test]
fn drift_is_only_reported_where_the_target_says_so_and_wanted_changes_go_on() {
    let case = Case::of([wso2("")]);
    case.target("wso2", "drift: Report");
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, xy, z]"),
    );
    case.write("gone.yaml", scope("wso2", "gone", "description: G"));
    case.first_sync();
    case.drift(
        json!({ "updateScope": { "name": "a", "description": "B", "bindings": ["x", "xy", "w"] } }),
    );
    case.drift(json!({ "deleteScope": "gone" }));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["drift a: description, w, z", "drift gone"]);
    assert_eq!(case.writes(), 0);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, xy, z, new]"),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scope("a")["description"].clone(), case.roles("a")),
        (
            json!("B"),
            vec!["new".into(), "w".into(), "x".into(), "xy".into()]
        )
    );
    case.target("wso2", "");
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (
            case.scopes(),
            case.roles("a").len(),
            case.scope("a")["description"].clone()
        ),
        (vec!["a".into(), "gone".into()], 4, json!("A"))
    );
}

#[test]
fn drift_of_an_apps_list_is_only_reported_where_the_target_says_so() {
    let case = Case::of([one_login(THREE)]);
    case.target("onelogin", "drift: Report");
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.first_sync();
    case.drift(json!({ "setClientScopes": { "appId": 1, "scopes": [1, 4] } }));
    let ran = case.sync(&[]).exits(DONE);
    assert!(
        ran.skipped().contains(&format!("drift {SHOP}: b, x")),
        "{ran}"
    );
    case.write("app.yaml", app(1, "[a, b, c]", ""));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a", "c", "x"]);
}

// Holds.

/// A moment so many hours from now, as an annotation's value.
fn hours_from_now(hours: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).to_string()
}

fn held(kind: &str, name: &str, hours: i64, spec: &str) -> String {
    let until = hours_from_now(hours);
    labelled(
        kind,
        &format!("name: {name}, annotations: {{ scopeward.dev/hold-until: \"{until}\" }}"),
        spec,
    )
}

#[test]
fn an_object_on_hold_is_written_by_nobody_and_the_plan_says_so() {
    let case = Case::of([wso2("")]);
    let spec = |more: &str| scope_spec("wso2", "a", more);
    case.write(
        "a.yaml",
        document("Scope", "a", &spec("description: A, bindings: [x]")),
    );
    case.first_sync();
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            2,
            &spec("description: New, bindings: [x, xy]"),
        ),
    );
    case.write(
        "b.yaml",
        held("Scope", "b", 2, &scope_spec("wso2", "b", "description: B")),
    );
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["held a", "held b"]);
    ran.says("on hold (scopeward.dev/hold-until)");
    assert_eq!((case.writes(), case.scopes()), (0, vec!["a".to_owned()]));
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            -1,
            &spec("description: New, bindings: [x, xy]"),
        ),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["x", "xy"]);
}

#[test]
fn an_app_on_hold_is_not_detached() {
    let case = Case::of([one_login(THREE)]);
    let spec = "targetRef: { name: onelogin }, app: { oneLogin: { appId: 1 } }, scopes: [a], deletionPolicy: Delete";
    case.write("app.yaml", held("AppScopeSet", "app-1", 2, spec));
    case.write("other.yaml", app(2, "[b]", "deletionPolicy: Delete"));
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.apps_of("onelogin").len(), 1);
    // It is written once it is not held; then held, and its manifest goes.
    case.write("app.yaml", document("AppScopeSet", "app-1", spec));
    case.sync(&[]).exits(DONE);
    case.write("app.yaml", held("AppScopeSet", "app-1", 2, spec));
    case.sync(&[]).exits(DONE);
    case.remove("app.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.skipped().last().unwrap().as_str(), case.app("1")),
        ("held 1", vec!["a".to_owned()])
    );
}

#[test]
fn a_hold_outlives_its_manifest() {
    let case = Case::of([one_login("")]);
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            -1,
            &scope_spec("onelogin", "a", "description: A"),
        ),
    );
    case.first_sync();
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            2,
            &scope_spec("onelogin", "a", "description: A"),
        ),
    );
    case.sync(&[]).exits(DONE);
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.skipped(), case.scopes()),
        (vec!["held a".to_owned()], vec!["a".to_owned()])
    );
}

#[test]
fn an_app_on_hold_keeps_its_list() {
    let case = Case::of([one_login(THREE)]);
    let spec = |scopes: &str| {
        format!(
            "targetRef: {{ name: onelogin }}, app: {{ oneLogin: {{ appId: 1 }} }}, scopes: {scopes}"
        )
    };
    case.write("app.yaml", document("AppScopeSet", "app", &spec("[a, b]")));
    case.first_sync();
    case.write("app.yaml", held("AppScopeSet", "app", 2, &spec("[a, c]")));
    let ran = case.sync(&[]).exits(DONE);
    assert!(
        ran.skipped().contains(&format!("held {SHOP}")),
        "{:?}",
        ran.skipped()
    );
    assert_eq!(
        (case.writes(), case.app("1")),
        (0, vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn a_hold_reaches_thirty_days_at_most() {
    let case = Case::of([one_login("")]);
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            24 * 31,
            &scope_spec("onelogin", "a", "description: A"),
        ),
    );
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("more than 30 days");
    case.write(
        "a.yaml",
        held(
            "Scope",
            "a",
            24 * 29,
            &scope_spec("onelogin", "a", "description: A"),
        ),
    );
    case.run(&["validate", "."]).exits(DONE);
}

// Roles that only bindings contribute.

#[test]
fn without_bindings_on_the_scope_only_the_roles_that_bindings_contribute_are_managed() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: A, bindings: [theirs] }]",
    )]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write(
        "bindings.yaml",
        binding("one", "a", "[one]") + &binding("two", "a", "[two]"),
    );
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["one", "theirs", "two"]);
    case.write("bindings.yaml", binding("one", "a", "[one]"));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["one", "theirs"]);
    case.drift(json!({ "updateScope": { "name": "a", "bindings": ["theirs", "more"] } }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["more", "one", "theirs"]);
}

#[test]
fn the_last_binding_takes_its_role_along_and_nobody_elses() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write("one.yaml", binding("one", "a", "[one]"));
    case.first_sync();
    case.drift(json!({ "updateScope": { "name": "a", "bindings": ["one", "theirs"] } }));
    case.remove("one.yaml");
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["theirs"]);
}

#[test]
fn roles_of_a_scope_without_any_wish_for_them_are_left() {
    let case = Case::of([wso2("scopes: [{ name: a, description: A, bindings: [x] }]")]);
    case.write("a.yaml", scope("wso2", "a", "description: New"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scope("a")["description"].clone(), case.roles("a")),
        (json!("New"), vec!["x".to_owned()])
    );
}

// Lists that moved.

#[test]
fn an_apps_list_that_moved_since_it_was_planned_is_left_alone_and_the_run_is_stale() {
    let case = Case::of([one_login(THREE)]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.first_sync();
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.fail(json!([{ "method": "GET", "route": CLIENTS, "skip": 1, "times": 1,
        "fault": { "drift": { "change": { "setClientScopes": { "appId": 1, "scopes": [1, 4] } } } } }]));
    let ran = case.sync(&[]).exits(STALE);
    assert_eq!(ran.changes(), [format!("replace {SHOP} skipped")]);
    assert_eq!(
        (case.app("1"), case.writes(), ran.report["result"].clone()),
        (vec!["a".into(), "x".into()], 0, json!("stale"))
    );
}

#[test]
fn a_list_that_moved_beside_something_that_was_written_leaves_something() {
    let case = Case::of([one_login(THREE)]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.first_sync();
    case.write(
        "app.yaml",
        app(1, "[a, b]", "") + &scope("onelogin", "new", "description: New"),
    );
    case.fail(json!([{ "method": "GET", "route": CLIENTS, "skip": 1, "times": 1,
        "fault": { "drift": { "change": { "setClientScopes": { "appId": 1, "scopes": [1, 4] } } } } }]));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(
        ran.changes(),
        [
            "create new done".to_owned(),
            format!("replace {SHOP} skipped")
        ]
    );
    assert_eq!(case.app("1"), ["a", "x"]);
    assert_eq!(ran.remaining(), [format!("replace {SHOP}")]);
}

#[test]
fn an_apigee_key_that_moved_since_it_was_planned_is_left_alone() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[READ]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.first_sync();
    case.write("app.yaml", key("[READ, WRITE]", ""));
    case.fail(json!([{ "method": "GET", "route": KEY, "times": 1, "fault": { "drift": { "change": {
        "setKeyScopes": { "developer": "ann@example.com", "app": "shop", "consumerKey": "k3y", "scopes": ["ADMIN"] } } } } }]));
    case.sync(&[]).exits(STALE);
    assert_eq!(
        (case.app("shop/k3y"), case.writes()),
        (vec!["ADMIN".to_owned()], 0)
    );
}

#[test]
fn a_scopes_roles_that_moved_since_they_were_planned_are_left_alone() {
    for (place, system, route, change) in [
        (
            wso2(""),
            "wso2",
            "/api/auth/scope-registration/v1.0/scopes",
            json!({ "updateScope": { "name": "a", "bindings": ["z"] } }),
        ),
        (
            publisher(""),
            "publisher",
            "/api/am/publisher/v4/scopes",
            json!({ "updateSharedScope": { "name": "a", "bindings": ["z"] } }),
        ),
    ] {
        let case = Case::of([place]);
        case.write(
            "a.yaml",
            scope(system, "a", "description: A, bindings: [x]"),
        );
        case.first_sync();
        case.write(
            "a.yaml",
            scope(system, "a", "description: A, bindings: [x, xy]"),
        );
        case.fail(json!([{ "method": "GET", "route": route, "skip": 1, "times": 1, "fault": { "drift": { "change": change } } }]));
        case.sync(&[]).exits(STALE);
        assert_eq!((case.roles("a"), case.writes()), (vec!["z".to_owned()], 0));
    }
}

// What is sent.

#[test]
fn fields_that_are_not_managed_are_sent_back_as_they_are() {
    let case = Case::of([publisher(
        "sharedScopes: [{ name: a, displayName: Theirs, description: Their words, bindings: [x] }]",
    )]);
    case.write("a.yaml", scope("publisher", "a", "bindings: [x, xy]"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    let log = case.log();
    let put = log.iter().find(|entry| entry["method"] == "PUT").unwrap();
    let body: serde_json::Value = match &put["body"] {
        serde_json::Value::String(text) => serde_json::from_str(text).unwrap(),
        body => body.clone(),
    };
    assert_eq!(
        body,
        json!({ "name": "a", "displayName": "Theirs", "description": "Their words", "bindings": ["x", "xy"] })
    );
}

#[test]
fn inherited_entries_are_carried_along_and_never_counted() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }, { id: 9, value: parent, inherited: true }], clients: [{ appId: 1, scopes: [1, 9] }]",
    )]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.first_sync();
    case.write("app.yaml", app(1, "[b]", ""));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.gains(), ran.losses()),
        (
            vec!["app Shop (1) b".to_owned()],
            vec!["app Shop (1) a".to_owned()]
        )
    );
    assert_eq!(case.app("1"), ["b", "parent"]);
    // What nobody can take away is no entry to be left with.
    case.pass_hours(25);
    case.write("app.yaml", app(1, "[]", ""));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["last_entry 1"]);
    case.write("app.yaml", app(1, "[]", "allowEmpty: true"));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["parent"]);
}

#[test]
fn adopting_a_set_that_leaves_room_for_others_does_not_take_theirs() {
    let case = Case::of([one_login(&format!(
        "{THREE}, clients: [{{ appId: 1, scopes: [1, 2, 4] }}]"
    ))]);
    case.write("app.yaml", app(1, "[a, b, c]", "foreignScopes: Keep"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a", "b", "c", "x"]);
    // What is its own goes with the manifest's wish all the same, adopted once more or not.
    case.write("app.yaml", app(1, "[a, b]", "foreignScopes: Keep"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1"), ["a", "b", "x"]);
}

#[test]
fn adoption_always_leaves_the_roles_that_bindings_do_not_contribute() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: A, bindings: [theirs] }]",
    )]);
    case.target("wso2", "adoption: Always");
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A") + &binding("one", "a", "[one]"),
    );
    case.first_sync();
    assert_eq!(case.roles("a"), ["one", "theirs"]);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["one", "theirs"]);
}

#[test]
fn a_set_that_needs_a_scope_which_could_not_be_made_is_skipped_and_never_sent_short() {
    let case = Case::of([one_login(THREE)]);
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.first_sync();
    case.write(
        "app.yaml",
        app(1, "[a, c, new]", "")
            + &app(2, "[a, new]", "")
            + &scope("onelogin", "new", "description: New"),
    );
    case.fail(
        json!([{ "method": "POST", "route": SCOPES, "fault": { "status": { "code": 422 } } }]),
    );
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(
        ran.changes(),
        [
            "create new failed".to_owned(),
            format!("replace {SHOP} skipped"),
            "attach 2 skipped".to_owned()
        ]
    );
    assert_eq!(
        (case.app("1"), case.apps_of("onelogin").len()),
        (vec!["a".into(), "b".into()], 1)
    );
    assert!(
        case.log()
            .iter()
            .all(|entry| entry["route"] != CLIENT || entry["method"] == "GET")
    );
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.app("1"), case.app("2")),
        (
            vec!["a".into(), "c".into(), "new".into()],
            vec!["a".into(), "new".into()]
        )
    );
}
