//! Section 2: who owns what, and what follows from that.

use serde_json::json;

use super::{CLIENTS, SCOPES};
use crate::support::manifest::{document, labelled, scope_spec};
use crate::support::*;

const DESCRIBED: &str = "scopes: [{ id: 7, value: a, description: A }]";

fn a(description: &str) -> String {
    scope("onelogin", "a", &format!("description: {description}"))
}

// The table, row by row.

#[test]
fn what_is_declared_and_absent_is_created() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["create a done"]);
    assert_eq!(
        (case.scopes(), case.owned()),
        (vec!["a".into()], vec!["a created".into()])
    );
}

#[test]
fn what_is_declared_and_equal_is_matched_kept_equal_and_never_deleted() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    assert_eq!(case.owned(), ["a matched"]);
    case.drift(json!({ "updateScope": { "value": "a", "description": "B" } }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scope("a")["description"], "A");
    case.remove("a.yaml");
    case.forget_requests();
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["matched a"]);
    assert_eq!((case.scopes(), case.writes()), (vec!["a".to_owned()], 0));
}

#[test]
fn what_somebody_else_makes_between_plan_and_write_is_matched_and_not_created() {
    let places = [
        (
            one_login(""),
            "addScope",
            json!({ "value": "a", "description": "A" }),
        ),
        (
            wso2(""),
            "addScope",
            json!({ "name": "a", "description": "A" }),
        ),
        (
            publisher(""),
            "addSharedScope",
            json!({ "name": "a", "displayName": "a", "description": "A" }),
        ),
    ];
    for (place, verb, made) in places {
        let name = place.name.clone();
        let case = Case::of([place]);
        case.write("a.yaml", scope(&name, "a", "description: A"));
        case.fail(json!([{ "method": "POST", "token": false, "times": 1, "fault": { "drift": { "change": { verb: made } } } }]));
        let ran = case.sync(&[]).exits(STALE);
        assert_eq!(
            (ran.changes(), case.owned()),
            (
                vec!["create a skipped".to_owned()],
                vec!["a matched".to_owned()]
            ),
            "{name}"
        );
        case.remove("a.yaml");
        case.forget_requests();
        let ran = case.sync(&[]).exits(DONE);
        assert_eq!(
            (ran.skipped(), case.writes()),
            (vec!["matched a".to_owned()], 0),
            "{name}"
        );
    }
}

#[test]
fn an_app_that_somebody_else_attaches_between_plan_and_write_is_matched() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("app.yaml", app(1, "[a]", "deletionPolicy: Delete"));
    case.fail(json!([{ "method": "POST", "token": false, "times": 1,
        "fault": { "drift": { "change": { "addClient": { "appId": 1, "scopes": ["a"] } } } } }]));
    case.sync(&["--new-inventory"]).exits(STALE);
    case.remove("app.yaml");
    case.write("a.yaml", a("A"));
    case.forget_requests();
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.skipped(), case.writes()),
        (vec!["matched 1".to_owned()], 0)
    );
}

#[test]
fn what_is_adopted_under_another_name_than_the_inventorys_is_one_entry() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    assert_eq!(case.owned(), ["a matched"]);
    case.drift(json!({ "renameScope": { "from": "a", "to": "b" } }));
    case.write("a.yaml", scope("onelogin", "b", "description: A"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    assert_eq!(case.owned(), ["b adopted"]);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.owned(), ["b adopted"]);
    // Under a name that no manifest has but as a previous one.
    case.drift(json!({ "renameScope": { "from": "b", "to": "x" } }));
    case.write(
        "a.yaml",
        scope("onelogin", "c", "description: A, previousNames: [x]"),
    );
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    assert_eq!(case.owned(), ["x adopted"]);
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.owned(), case.scopes()),
        (vec!["c adopted".to_owned()], vec!["c".to_owned()])
    );
}

#[test]
fn an_app_that_somebody_else_attaches_with_another_list_is_left_to_them() {
    let case = Case::of([one_login(
        "scopes: [{ id: 7, value: a, description: A }, { id: 8, value: b }]",
    )]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.fail(
        json!([{ "method": "GET", "route": CLIENTS, "skip": 1, "times": 1,
        "fault": { "drift": { "change": { "addClient": { "appId": 1, "scopes": ["b"] } } } } }]),
    );
    case.sync(&["--new-inventory"]).exits(STALE);
    assert_eq!((case.writes(), case.app("1")), (0, vec!["b".to_owned()]));
}

#[test]
fn a_matched_app_that_is_gone_is_forgotten_after_a_day() {
    let case = Case::of([one_login(
        "scopes: [{ id: 7, value: a, description: A }], clients: [{ appId: 1, scopes: [7] }]",
    )]);
    case.write("app.yaml", app(1, "[a]", "deletionPolicy: Delete"));
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.owned(), [r#"{"oneLogin":{"appId":1}} matched"#]);
    case.remove("app.yaml");
    case.drift(json!({ "removeClient": 1 }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.owned(), [r#"{"oneLogin":{"appId":1}} matched"#]);
    case.pass_hours(25);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.owned(), [""; 0]);
}

#[test]
fn what_is_declared_and_differs_is_refused_until_it_is_adopted() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("a.yaml", a("B"));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["takeover a"]);
    assert_eq!((case.writes(), case.owned().len()), (0, 0));
    case.run(&["adopt", ".", "--only", "Scope/a"]).exits(DONE);
    assert_eq!(
        (case.writes(), case.owned()),
        (0, vec!["a adopted".to_owned()])
    );
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["update a done"]);
    assert_eq!(case.scope("a")["description"], "B");
}

#[test]
fn adoption_always_takes_what_differs_and_what_is_equal_and_may_delete_it() {
    let case = Case::of([one_login(
        "scopes: [{ id: 7, value: a, description: A }, { id: 8, value: b, description: B }]",
    )]);
    case.target("onelogin", "adoption: Always");
    case.write(
        "a.yaml",
        a("other") + &scope("onelogin", "b", "description: B"),
    );
    case.first_sync();
    assert_eq!(case.owned(), ["a adopted", "b adopted"]);
    case.write("a.yaml", a("other"));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn adoption_always_renames_what_is_live_under_a_previous_name() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.target("onelogin", "adoption: Always");
    case.write(
        "b.yaml",
        scope("onelogin", "b", "description: A, previousNames: [a]"),
    );
    let ran = case.first_sync();
    assert_eq!(ran.changes(), ["rename b done"]);
    assert_eq!(case.scope("b")["id"], 7);
}

#[test]
fn adoption_never_refuses_what_is_equal_too() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.target("onelogin", "adoption: Never");
    case.write("a.yaml", a("A"));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["adoption_never a"]);
    assert_eq!(case.owned().len(), 0);
}

#[test]
fn what_is_ours_and_differs_is_updated_field_by_field() {
    let case = Case::of([publisher("")]);
    case.write(
        "a.yaml",
        scope(
            "publisher",
            "a",
            "displayName: First, description: A, bindings: [support]",
        ),
    );
    case.first_sync();
    // Somebody changes what is managed no longer, and what still is.
    case.write("a.yaml", scope("publisher", "a", "description: A"));
    case.drift(json!({ "updateSharedScope": { "name": "a", "displayName": "Theirs", "description": "Theirs", "bindings": ["sales"] } }));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["update a done"]);
    let live = case.scope("a");
    assert_eq!(
        (&live["description"], &live["displayName"], case.roles("a")),
        (&json!("A"), &json!("Theirs"), vec!["sales".to_owned()])
    );
}

#[test]
fn a_rename_of_what_was_only_matched_is_refused_until_it_is_adopted() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    case.write(
        "a.yaml",
        scope("onelogin", "b", "description: A, previousNames: [a]"),
    );
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["takeover a"]);
    assert_eq!((case.scopes(), case.writes()), (vec!["a".to_owned()], 0));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scope("b")["id"], 7);
    assert_eq!(case.owned(), ["b adopted"]);
}

#[test]
fn what_we_made_goes_with_its_manifest_under_sync() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["delete a done"]);
    assert!(case.scopes().is_empty() && case.owned().is_empty());
}

#[test]
fn what_was_adopted_goes_with_its_manifest_under_sync() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("a.yaml", a("A"));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.remove("a.yaml");
    case.sync(&[]).exits(DONE);
    assert!(case.scopes().is_empty());
}

#[test]
fn what_nobody_declares_and_is_not_ours_is_counted_listed_on_demand_and_never_touched() {
    let case = Case::of([one_login(
        "scopes: [{ id: 7, value: legacy, description: L }]",
    )]);
    case.write("a.yaml", a("A"));
    case.first_sync().says("unmanaged, never touched: 1 object");
    let ran = case.sync(&["-v"]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged legacy"]);
    ran.says("kept     legacy");
    assert_eq!(case.scopes(), ["a", "legacy"]);
}

#[test]
fn what_vanished_is_a_tombstone_for_a_day_and_ours_if_it_comes_back() {
    let case = Case::of([wso2("")]);
    let one = |name| scope("wso2", name, "description: D");
    case.write("a.yaml", one("a") + &one("b"));
    case.first_sync();
    case.write("a.yaml", one("b"));
    case.drift(json!({ "deleteScope": "a" }));
    case.sync(&[]).exits(DONE);
    assert!(
        case.entry("a")["vanishedAt"].is_string(),
        "{}",
        case.entry("a")
    );
    // It was there all the time, and a list lagged.
    case.drift(json!({ "addScope": { "name": "a", "description": "D" } }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["b"]);
}

#[test]
fn a_tombstone_goes_after_a_day() {
    let again = json!({ "description": "D" });
    for (place, remove, add, key) in [
        (wso2(""), "deleteScope", "addScope", "name"),
        (publisher(""), "deleteSharedScope", "addSharedScope", "name"),
        (one_login(""), "deleteScope", "addScope", "value"),
    ] {
        let name = place.name.clone();
        let case = Case::of([place]);
        let one = |scope_name| scope(&name, scope_name, "description: D");
        case.write("a.yaml", one("a") + &one("b"));
        case.first_sync();
        case.write("a.yaml", one("b"));
        case.drift(json!({ remove: "a" }));
        case.sync(&[]).exits(DONE);
        case.pass_hours(23);
        case.sync(&[]).exits(DONE);
        assert_eq!(case.owned(), ["a created", "b created"], "{name}");
        case.pass_hours(2);
        case.sync(&[]).exits(DONE);
        assert_eq!(case.owned(), ["b created"], "{name}");
        let mut made = again.clone();
        made[key] = json!("a");
        case.drift(json!({ add: made }));
        case.sync(&[]).exits(DONE);
        assert_eq!(case.scopes(), ["a", "b"], "{name}");
    }
}

// Remote ids.

#[test]
fn what_was_deleted_and_made_again_by_somebody_else_is_not_ours() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A") + &scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.drift(json!({ "deleteScope": "a" }));
    case.drift(json!({ "addScope": { "id": 900, "value": "a", "description": "A" } }));
    case.write("a.yaml", scope("onelogin", "b", "description: B"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a"]);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".to_owned(), "b".to_owned()], 0)
    );
}

#[test]
fn a_changed_copy_of_ours_by_somebody_else_is_not_taken_over() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A") + &scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.drift(json!({ "deleteScope": "a" }));
    case.drift(json!({ "addScope": { "id": 900, "value": "a", "description": "Theirs" } }));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["takeover a"]);
    assert_eq!(case.scope("a")["description"], "Theirs");
}

#[test]
fn what_somebody_renamed_stays_ours_and_gets_its_name_back() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    let id = case.scope("a")["id"].clone();
    case.drift(json!({ "renameScope": { "from": "a", "to": "z" } }));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["rename a done"]);
    assert_eq!(
        (case.scopes(), &case.scope("a")["id"]),
        (vec!["a".to_owned()], &id)
    );
}

// Two that declare the same.

#[test]
fn a_second_manifest_for_what_another_holds_gets_conflict_and_changes_nothing() {
    let case = Case::of([one_login("")]);
    case.write("one/a.yaml", a("A"));
    case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    case.write("two/a.yaml", a("B"));
    let ran = case
        .run(&["sync", "targets", "two", "--yes"])
        .exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict a"]);
    let ran = case
        .run(&[
            "sync",
            "targets",
            "two",
            "--yes",
            "--approve-plan",
            &ran.digest(),
        ])
        .exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict a"]);
    assert_eq!(case.scope("a")["description"], "A");
}

#[test]
fn a_second_namespace_that_declares_what_another_holds_gets_conflict() {
    let case = Case::of([one_login("")]);
    case.target("onelogin", "allowedNamespaces: { from: All }");
    case.write("one/a.yaml", a("A"));
    case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    let spec = "targetRefs: [{ name: onelogin, namespace: default }], name: a, description: B";
    case.write(
        "two/a.yaml",
        labelled("Scope", "name: a, namespace: team-b", spec),
    );
    let ran = case
        .run(&["sync", "targets", "two", "--yes"])
        .exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict a"]);
    assert_eq!(case.scope("a")["description"], "A");
}

#[test]
fn what_another_manifest_holds_is_protected_by_its_own_manifest_alone() {
    let case = Case::of([wso2("")]);
    case.write("one/a.yaml", scope("wso2", "a", "description: A"));
    case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    let other = "description: B, previousNames: [a], protected: true";
    case.write("two/b.yaml", scope("wso2", "b", other));
    let ran = case.run(&["sync", "targets", "two", "--yes"]).exits(FAILED);
    assert_eq!(ran.codes(), ["SW204"]);
    assert_eq!(case.entry("a")["protected"], false);
}

#[test]
fn a_second_manifest_for_an_app_that_another_holds_gets_conflict() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("one/app.yaml", app(1, "[a]", ""));
    case.run(&["sync", "targets", "one", "--yes", "--new-inventory"])
        .exits(DONE);
    case.write("two/app.yaml", app(1, "[]", "allowEmpty: true"));
    let ran = case
        .run(&["sync", "targets", "two", "--yes"])
        .exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict 1"]);
    assert_eq!(case.app("1"), ["a"]);
}

/// A scope of ours whose manifest is broken now, and another manifest.
fn broken_holder(other: &str) -> Case {
    let case = Case::of([one_login("")]);
    let protected = scope("onelogin", "a", "description: A, protected: true");
    case.write("a.yaml", &protected);
    case.first_sync();
    case.write("a.yaml", protected.replace("description", "descripton"));
    let spec = scope_spec("onelogin", other, "description: B");
    let spec = if other == "a" {
        spec
    } else {
        spec + ", previousNames: [a]"
    };
    case.write("b.yaml", document("Scope", "other", &spec));
    case
}

#[test]
fn a_holder_whose_manifest_is_broken_is_not_gone() {
    let case = broken_holder("a");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict a"]);
    assert_eq!(
        (case.writes(), case.entry("a")["protected"].clone()),
        (0, json!(true))
    );
    case.remove("a.yaml");
    case.remove("b.yaml");
    case.sync(&[]).exits(REFUSED);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn what_a_broken_manifest_holds_is_not_renamed_by_another() {
    let case = broken_holder("b");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict b"]);
    assert_eq!((case.writes(), case.scopes()), (0, vec!["a".to_owned()]));
}

#[test]
fn an_app_that_a_broken_manifest_holds_is_not_handed_over() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }]",
    )]);
    case.write("one.yaml", app(1, "[a, b]", ""));
    case.sync(&["--new-inventory"]).exits(DONE);
    case.write(
        "one.yaml",
        app(1, "[a, b]", "").replace("scopes:", "scope:"),
    );
    case.write("two.yaml", app(1, "[a]", "").replace("app-1", "other"));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["conflict 1"]);
    assert_eq!(case.app("1"), ["a", "b"]);
}

#[test]
fn what_another_manifest_declares_when_its_holder_goes_is_handed_over_not_deleted() {
    let case = Case::of([one_login("")]);
    case.write("one/a.yaml", a("A"));
    case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    case.forget_requests();
    case.rename("one/a.yaml", "two/a.yaml");
    // Its old file is gone from disk, whatever this run's paths are.
    case.run(&["sync", "targets", "two", "--yes"]).exits(DONE);
    assert_eq!(case.writes(), 0);
    assert!(case.file_of("a").ends_with("two/a.yaml"));
    assert_eq!(case.owned(), ["a created"]);
    // The new holder alone decides from here on.
    case.remove("two/a.yaml");
    case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
    case.run(&["sync", "targets", "two", "--yes"]).exits(DONE);
    assert!(case.scopes().is_empty());
}

// Inventories.

#[test]
fn a_sync_that_would_start_a_new_inventory_says_so_and_needs_a_word() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["new_inventory"]);
    ran.says("--new-inventory");
    assert_eq!((case.writes(), case.owned().len()), (0, 0));
    case.sync(&[]).exits(REFUSED);
    let ran = case.apply(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["new_inventory"]);
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.scopes(), ["a", "b"]);
    case.sync(&[]).exits(DONE);
}

#[test]
fn a_plan_only_warns_of_a_new_inventory_and_takes_the_flag_too() {
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    let ran = case.plan(&[]).exits(DONE);
    assert_eq!(ran.codes(), ["SW210"]);
    let ran = case.plan(&["--new-inventory"]).exits(DONE);
    assert!(ran.codes().is_empty());
    let ran = case.plan(&["--detailed-exitcode"]).exits(CHANGES);
    assert_eq!(ran.codes(), ["SW210"]);
}

#[test]
fn a_target_without_live_objects_needs_no_word() {
    let case = Case::of([one_login("")]);
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.sync(&[]).exits(DONE);
}

#[test]
fn a_lost_inventory_owns_nothing_and_deletes_nothing() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A") + &scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.lose_inventory();
    case.write("a.yaml", scope("onelogin", "b", "description: B"));
    case.sync(&[]).exits(REFUSED);
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a"]);
    assert_eq!(
        (case.scopes(), case.owned()),
        (
            vec!["a".to_owned(), "b".to_owned()],
            vec!["b matched".to_owned()]
        )
    );
}

#[test]
fn a_foreign_inventory_owns_nothing() {
    let theirs = Case::of([one_login("")]);
    theirs.write("a.yaml", a("A"));
    theirs.first_sync();
    let case = Case::of([one_login(DESCRIBED)]);
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.write("theirs.json", theirs.read(".scopeward/inventory.json"));
    let ran = case
        .sync(&["--inventory", "file:theirs.json"])
        .exits(REFUSED);
    assert_eq!(ran.refusals(), ["new_inventory"]);
    case.sync(&["--inventory", "file:theirs.json", "--new-inventory"])
        .exits(DONE);
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn an_inventory_that_cannot_be_read_is_never_an_empty_one() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.first_sync();
    case.write(".scopeward/inventory.json", "{ \"formatVersion\": \"9.0\"");
    case.write("a.yaml", a("B"));
    for verb in ["plan", "sync", "apply"] {
        let yes: &[&str] = if verb == "plan" {
            &[]
        } else {
            &["--yes", "--new-inventory"]
        };
        case.run(&[&[verb, "."], yes].concat())
            .exits(FAILED)
            .says("not an inventory of this version");
    }
    assert_eq!(case.writes(), 0);
}

// Intents and the lock.

#[test]
fn what_a_500_made_all_the_same_is_created_and_not_matched() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "status": { "code": 500, "when": "after" } } }]));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["create a done"]);
    assert_eq!(case.owned(), ["a created"]);
}

#[test]
fn what_a_killed_run_made_is_created_and_not_matched() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: held }]")]);
    case.write("a.yaml", a("A") + &app(1, "[held]", ""));
    case.fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "hold": { "when": "after" } } }]));
    let run = case.start(&["sync", ".", "--yes", "--new-inventory"], None);
    case.wait_until_held();
    run.kill();
    case.heal();
    assert_eq!(case.scopes(), ["a", "held"]);
    // The next run finishes what was begun, and may delete what was made.
    case.sync(&[]).exits(DONE);
    assert!(
        case.owned().contains(&"a created".to_owned()),
        "{:?}",
        case.owned()
    );
    assert_eq!(case.app("1"), ["held"]);
    case.write("a.yaml", app(1, "[held]", ""));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["held"]);
}

#[test]
fn an_intent_that_came_to_nothing_gives_no_right_to_what_somebody_else_makes_later() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: live }]")]);
    case.write("a.yaml", a("A"));
    case.fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "hold": {} } }]));
    let run = case.start(&["sync", ".", "--yes", "--new-inventory"], None);
    case.wait_until_held();
    run.kill();
    case.wait_until_let_go();
    case.heal();
    assert_eq!(case.scopes(), ["live"]);
    case.write("a.yaml", scope("onelogin", "b", "description: B"));
    case.sync(&[]).exits(DONE);
    // A list that is read at once may lag; one that is read later says that nothing came of it.
    case.pass_hours(1);
    case.sync(&[]).exits(DONE);
    case.drift(json!({ "addScope": { "value": "a", "description": "A" } }));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a", "unmanaged live"]);
    assert_eq!(case.scopes(), ["a", "b", "live"]);
}

#[test]
fn two_runs_at_once_are_kept_apart_and_the_lock_dies_with_its_process() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "hold": {} } }]));
    let first = case.start(&["sync", ".", "--yes"], None);
    case.wait_until_held();
    case.sync(&[])
        .exits(FAILED)
        .says("is in use by")
        .says(", run ");
    case.run(&["adopt", ".", "--all"])
        .exits(FAILED)
        .says("is in use by");
    // A plan only reads, and is never kept out.
    case.plan(&[]).exits(DONE);
    first.kill();
    case.wait_until_let_go();
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scopes(), case.owned()),
        (vec!["a".to_owned()], vec!["a created".to_owned()])
    );
}
