//! Section 3: what is needed before anything is removed.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::{CLIENTS, SCOPES};
use crate::support::manifest::{labelled, scope_spec};
use crate::support::*;

fn one(name: &str) -> String {
    scope("onelogin", name, "description: D")
}

/// Two scopes of ours, one of which no manifest declares any more.
fn with_one_to_go() -> Case {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", one("a"));
    case.write("b.yaml", one("b"));
    case.first_sync();
    case.remove("b.yaml");
    case
}

// Lists that failed.

#[test]
fn a_list_that_failed_stops_all_writes_on_its_target_and_the_others_go_on() {
    for route in [SCOPES, CLIENTS] {
        let case = Case::of([one_login(""), wso2("")]);
        case.write("a.yaml", one("a") + &scope("wso2", "b", "description: B"));
        case.fail(json!([{ "system": "onelogin", "method": "GET", "route": route, "fault": { "status": { "code": 500 } } }]));
        let ran = case.sync(&[]).exits(PARTIAL);
        assert_eq!(ran.target("onelogin")["complete"], false);
        assert_eq!(
            (case.scopes_of("onelogin").len(), case.scopes_of("wso2")),
            (0, vec!["b".to_owned()])
        );
        // Once the others have nothing to do, nothing is written and it failed.
        case.forget_requests();
        case.sync(&[]).exits(FAILED);
        assert_eq!(case.writes(), 0);
    }
}

#[test]
fn a_list_that_is_no_list_is_a_failure_and_not_an_empty_one() {
    let case = with_one_to_go();
    for body in ["[]]", "{}", "null", "", "[{}]", "<html></html>"] {
        case.fail(json!([{ "method": "GET", "route": SCOPES, "fault": { "status": { "code": 200, "body": body, "contentType": "application/json" } } }]));
        case.sync(&[]).exits(FAILED);
        assert_eq!(case.writes(), 0, "{body:?}");
    }
}

#[test]
fn a_cut_list_is_a_failure() {
    let case = with_one_to_go();
    case.fail(json!([{ "method": "GET", "route": SCOPES, "times": 1, "fault": { "truncate": { "bytes": 3 } } }]));
    // It is asked for again, and the whole list counts.
    case.plan(&[]).exits(DONE);
    case.fail(
        json!([{ "method": "GET", "route": SCOPES, "fault": { "truncate": { "bytes": 3 } } }]),
    );
    case.sync(&[]).exits(FAILED);
    assert_eq!((case.scopes().len(), case.writes()), (2, 0));
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_declared_app_that_answers_404_fails_only_its_own_set() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    let ghost = key("[READ]", "")
        .replace("app: shop", "app: ghost")
        .replace("name: shop", "name: ghost");
    case.write("apps.yaml", key("[READ, WRITE]", "") + &ghost);
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(
        (ran.changes().len(), ran.codes()),
        (1, vec!["SW201".to_owned()])
    );
    assert_eq!(case.app("shop/k3y"), ["READ", "WRITE"]);
    case.sync(&[]).exits(FAILED);
}

#[test]
fn an_app_that_does_not_exist_fails_only_its_own_set_on_onelogin() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("apps.yaml", app(1, "[a]", "") + &app(99, "[a]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(ran.changes(), ["attach 1 done", "attach 99 failed"]);
    assert_eq!(case.apps_of("onelogin").len(), 1);
}

// Manifests that are not whole.

#[test]
fn an_invalid_document_removes_nothing_anywhere_while_the_rest_is_done() {
    let case = Case::of([one_login(""), wso2("")]);
    case.write("a.yaml", one("a") + &scope("wso2", "x", "description: X"));
    case.write(
        "b.yaml",
        one("b") + &scope("wso2", "xy", "description: Why"),
    );
    case.first_sync();
    case.remove("b.yaml");
    case.write("broken.yaml", scope("wso2", "z", "descriptoin: Z"));
    case.write("c.yaml", one("c"));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(
        ran.skipped(),
        ["incomplete_manifests b", "incomplete_manifests xy"]
    );
    assert_eq!(
        (case.scopes_of("onelogin"), case.scopes_of("wso2")),
        (
            vec!["a".into(), "b".into(), "c".into()],
            vec!["x".into(), "xy".into()]
        )
    );
    // With nothing to write, it failed.
    case.sync(&[]).exits(FAILED);
    case.remove("broken.yaml");
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scopes_of("onelogin"), case.scopes_of("wso2")),
        (vec!["a".into(), "c".into()], vec!["x".into()])
    );
}

#[test]
fn a_file_that_cannot_be_read_removes_nothing_anywhere() {
    let case = with_one_to_go();
    symlink("nowhere", case.path().join("gone.yaml")).unwrap();
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["incomplete_manifests b"]);
    std::fs::remove_file(case.path().join("gone.yaml")).unwrap();
    std::fs::write(case.path().join("latin.yaml"), b"# caf\xe9\n").unwrap();
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["incomplete_manifests b"]);
    case.write("latin.yaml", "# caf\u{e9}\n");
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_document_that_is_no_yaml_removes_nothing_anywhere() {
    let case = with_one_to_go();
    case.write("broken.yaml", "# scopeward.dev/\nkind: [");
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["incomplete_manifests b"]);
}

#[test]
fn documents_of_others_are_skipped_with_a_note_and_hinder_nothing_unless_strict() {
    let case = with_one_to_go();
    case.write(
        "other.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n",
    );
    case.sync(&["--strict"]).exits(FAILED);
    assert_eq!(case.scopes(), ["a", "b"]);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

// Contributors to sets.

#[test]
fn a_set_only_grows_while_a_contributor_is_invalid() {
    let case = Case::of([wso2("")]);
    let bound = |roles: &str| scope("wso2", "a", &format!("description: A, bindings: {roles}"));
    case.write("a.yaml", bound("[admin, support]"));
    case.write("sales.yaml", binding("sales", "a", "[sales]"));
    case.first_sync();
    case.write("a.yaml", bound("[admin, audit]"));
    case.write(
        "sales.yaml",
        binding("sales", "a", "[sales, \"with,comma\"]"),
    );
    let ran = case.sync(&[]).exits(PARTIAL);
    assert!(
        ran.skipped()
            .contains(&"incomplete_manifests a: sales, support".to_owned()),
        "{:?}",
        ran.skipped()
    );
    assert_eq!(case.roles("a"), ["admin", "audit", "sales", "support"]);
    case.write("sales.yaml", binding("sales", "a", "[sales]"));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["admin", "audit", "sales"]);
}

#[test]
fn a_set_only_grows_while_a_contributor_is_not_permitted() {
    let case = Case::of([wso2("")]);
    let theirs = |namespace: &str| {
        labelled(
            "ScopeBinding",
            &format!("name: theirs, namespace: {namespace}"),
            "scopeRef: { name: a, namespace: default }, roles: [theirs]",
        )
    };
    case.target("wso2", "allowedBindings: { from: All }");
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [ours]"),
    );
    case.write("theirs.yaml", theirs("team"));
    case.first_sync();
    assert_eq!(case.roles("a"), ["ours", "theirs"]);
    // The owner of the target takes the permission back: what they contributed is not removed behind their back.
    case.target("wso2", "");
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["incomplete_manifests a: theirs"]);
    assert_eq!(
        (case.roles("a"), case.writes()),
        (vec!["ours".to_owned(), "theirs".to_owned()], 0)
    );
    case.remove("theirs.yaml");
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["ours"]);
}

#[test]
fn an_app_set_only_grows_while_a_document_is_invalid() {
    let case = Case::of([apigee_shop("[READ, WRITE, ADMIN]", "[]")]);
    case.write("app.yaml", key("[READ, WRITE]", ""));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.sync(&[]).exits(DONE);
    case.write("broken.yaml", scope("apigee", "z", "nonsense: Z"));
    case.write("app.yaml", key("[READ, ADMIN]", ""));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(
        ran.skipped(),
        ["incomplete_manifests developers/ann@example.com/apps/shop/keys/k3y: WRITE"]
    );
    assert_eq!(case.app("shop/k3y"), ["ADMIN", "READ", "WRITE"]);
}

// PATHs.

#[test]
fn a_run_over_one_folder_never_removes_what_another_folder_declared() {
    let case = Case::of([one_login("")]);
    case.write("one/a.yaml", one("a"));
    case.write("two/b.yaml", one("b"));
    case.first_sync();
    case.remove("two/b.yaml");
    let ran = case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    assert_eq!(ran.skipped(), ["other_source b"]);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".to_owned(), "b".to_owned()], 0)
    );
    // A file of a like name is another place as well.
    case.run(&["sync", "targets", "one/a.yaml", "--yes"])
        .exits(DONE);
    assert_eq!(case.scopes(), ["a", "b"]);
    case.run(&["sync", "targets", "two", "--yes"]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_run_over_one_folder_never_detaches_an_app_of_another() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("one/app.yaml", app(1, "[a]", ""));
    case.write("two/app.yaml", app(2, "[a]", "deletionPolicy: Delete"));
    case.first_sync();
    case.remove("two/app.yaml");
    let ran = case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a", "other_source 2"]);
    assert_eq!((case.app("2"), case.writes()), (vec!["a".to_owned()], 0));
    case.sync(&[]).exits(DONE);
    assert!(!case.apps_of("onelogin").contains_key("2"));
}

#[test]
fn a_run_over_the_working_folder_never_removes_what_came_from_outside_it() {
    let case = Case::of([one_login("")]);
    case.write("work/targets.yaml", case.read("targets/onelogin.yaml"));
    case.write("work/a.yaml", one("a"));
    case.write("elsewhere/b.yaml", one("b"));
    let run = |paths: &[&str]| {
        let mut command = case.command(&[&["sync", "--yes"], paths].concat());
        command
            .current_dir(case.path().join("work"))
            .output()
            .unwrap()
    };
    let output = run(&["../elsewhere", "targets.yaml"]);
    assert_eq!(output.status.code(), Some(DONE), "{output:?}");
    let output = run(&["."]);
    assert_eq!(output.status.code(), Some(DONE), "{output:?}");
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn entries_of_sets_that_another_folder_contributed_stay() {
    let case = Case::of([wso2("")]);
    case.write(
        "one/a.yaml",
        scope("wso2", "a", "description: A, bindings: [ours]"),
    );
    case.write("two/theirs.yaml", binding("theirs", "a", "[theirs]"));
    case.first_sync();
    assert_eq!(case.roles("a"), ["ours", "theirs"]);
    case.remove("two/theirs.yaml");
    let ran = case.run(&["sync", "targets", "one", "--yes"]).exits(DONE);
    assert_eq!(ran.skipped(), ["other_source a: theirs"]);
    assert_eq!(
        (case.roles("a"), case.writes()),
        (vec!["ours".to_owned(), "theirs".to_owned()], 0)
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a"), ["ours"]);
}

#[test]
fn standard_input_removes_nothing_and_hands_over_what_it_held() {
    let case = Case::of([one_login("")]);
    case.run_with_input(&["sync", "targets", "-", "--yes"], &(one("a") + &one("b")))
        .exits(DONE);
    assert_eq!(case.file_of("a"), "-");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["other_source a", "other_source b"]);
    case.run_with_input(&["sync", "targets", "-", "--yes"], &one("b"))
        .exits(DONE);
    assert_eq!(case.scopes(), ["a", "b"]);
    case.write("a.yaml", one("a"));
    case.sync(&[]).exits(DONE);
    assert!(case.file_of("a").ends_with("/a.yaml"));
}

// Narrowed runs.

#[test]
fn a_run_with_a_selector_removes_nothing() {
    let case = Case::of([wso2("")]);
    let chosen = |name: &str, roles: &str| {
        labelled(
            "Scope",
            &format!("name: {name}, labels: {{ team: ours }}"),
            &scope_spec("wso2", name, &format!("description: D, bindings: {roles}")),
        )
    };
    case.write("a.yaml", chosen("a", "[x, xy]"));
    case.write("b.yaml", chosen("b", "[x]"));
    case.write("c.yaml", scope("wso2", "c", "description: C"));
    case.write("d.yaml", scope("wso2", "d", "description: D"));
    case.first_sync();
    case.write("a.yaml", chosen("a", "[x, z]"));
    case.remove("b.yaml");
    case.remove("c.yaml");
    let ran = case.sync(&["-l", "team=ours"]).exits(DONE);
    assert_eq!(case.scopes(), ["a", "b", "c", "d"]);
    assert_eq!(case.roles("a"), ["x", "xy", "z"]);
    assert!(
        ran.skipped().contains(&"selection b".to_owned()),
        "{:?}",
        ran.skipped()
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scopes(), case.roles("a")),
        (
            vec!["a".to_owned(), "d".to_owned()],
            vec!["x".to_owned(), "z".to_owned()]
        )
    );
}

#[test]
fn a_role_stays_while_the_binding_that_asks_for_it_is_not_selected() {
    let case = Case::of([wso2("")]);
    let chosen = |description: &str| {
        labelled(
            "Scope",
            "name: a, labels: { team: ours }",
            &scope_spec(
                "wso2",
                "a",
                &format!("description: {description}, bindings: [x]"),
            ),
        )
    };
    case.write("a.yaml", chosen("Old"));
    case.write("theirs.yaml", binding("theirs", "a", "[xy]"));
    case.first_sync();
    case.write("a.yaml", chosen("New"));
    case.sync(&["-l", "team=ours"]).exits(DONE);
    assert_eq!(
        (case.scope("a")["description"].clone(), case.roles("a")),
        (json!("New"), strings(&["x", "xy"]))
    );
}

#[test]
fn a_run_for_one_target_removes_nothing_on_the_others() {
    let case = Case::of([one_login(""), wso2("")]);
    case.write("a.yaml", one("a") + &scope("wso2", "b", "description: B"));
    case.first_sync();
    case.remove("a.yaml");
    case.sync(&["--target", "wso2"]).exits(DONE);
    assert_eq!(
        (case.scopes_of("onelogin"), case.scopes_of("wso2").len()),
        (vec!["a".to_owned()], 0)
    );
    case.sync(&["--target", "default/onelogin"]).exits(DONE);
    assert!(case.scopes_of("onelogin").is_empty());
}

#[test]
fn no_documents_an_unknown_target_and_an_empty_selection_are_usage() {
    let case = with_one_to_go();
    case.write("empty/note.txt", "");
    case.write("empty/nothing.yaml", "# nothing\n");
    for args in [
        &["sync", "empty", "--yes"][..],
        &["sync", "nowhere", "--yes"],
        &["sync", ".", "--yes", "--target", "nobody"],
        &["sync", ".", "--yes", "-l", "team=nobody"],
        &["plan", "empty"],
        &["validate", "empty"],
        &["adopt", ".", "--only", "Scope/nobody"],
    ] {
        case.run(args).exits(USAGE);
    }
    case.run_with_input(&["sync", "-", "--yes"], "")
        .exits(USAGE);
    assert_eq!(
        (case.scopes(), case.requests()),
        (vec!["a".to_owned(), "b".to_owned()], 0)
    );
}

// Modes and policies.

#[test]
fn apply_removes_nothing_entries_of_sets_included_and_is_content_with_that() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, xy]"),
    );
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.first_sync();
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, z]"),
    );
    case.remove("b.yaml");
    let plan = case.plan(&["--no-delete"]).exits(DONE);
    let ran = case.apply(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["no_delete a: xy", "no_delete b"]);
    assert_eq!(
        (plan.skipped(), plan.digest()),
        (ran.skipped(), ran.digest())
    );
    assert_eq!(ran.target("wso2")["converged"], true);
    assert_eq!(
        (case.scopes(), case.roles("a")),
        (
            vec!["a".into(), "b".into()],
            vec!["x".into(), "xy".into(), "z".into()]
        )
    );
    case.apply(&["--detailed-exitcode"]).exits(USAGE);
    case.plan(&["--no-delete", "--detailed-exitcode"])
        .exits(DONE);
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.scopes(), case.roles("a")),
        (vec!["a".into()], vec!["x".into(), "z".into()])
    );
}

#[test]
fn upsert_only_removes_nothing_and_create_only_changes_nothing_either() {
    for policy in ["UpsertOnly", "CreateOnly", "Observe"] {
        let case = Case::of([wso2("")]);
        case.write(
            "a.yaml",
            scope("wso2", "a", "description: A, bindings: [x, xy]"),
        );
        case.write("b.yaml", scope("wso2", "b", "description: B"));
        case.first_sync();
        case.target("wso2", &format!("policy: {policy}"));
        case.write(
            "a.yaml",
            scope("wso2", "a", "description: New, bindings: [x, z]"),
        );
        case.write("b.yaml", scope("wso2", "c", "description: C"));
        case.sync(&[]).exits(DONE);
        let (scopes, roles): (&[&str], &[&str]) = match policy {
            "UpsertOnly" => (&["a", "b", "c"], &["x", "xy", "z"]),
            "CreateOnly" => (&["a", "b", "c"], &["x", "xy"]),
            _ => (&["a", "b"], &["x", "xy"]),
        };
        assert_eq!(
            (case.scopes(), case.roles("a")),
            (strings(scopes), strings(roles)),
            "{policy}"
        );
    }
}

#[test]
fn app_sets_are_only_grown_by_upsert_only_and_left_by_create_only() {
    for (policy, after) in [
        ("UpsertOnly", &["a", "b", "c"][..]),
        ("CreateOnly", &["a", "b"]),
        ("Observe", &["a", "b"]),
    ] {
        let case = Case::of([one_login(
            "scopes: [{ id: 1, value: a }, { id: 2, value: b }, { id: 3, value: c }]",
        )]);
        case.write("app.yaml", app(1, "[a, b]", ""));
        case.first_sync();
        case.target("onelogin", &format!("policy: {policy}"));
        case.write("app.yaml", app(1, "[a, c]", "") + &app(2, "[a]", ""));
        case.sync(&[]).exits(DONE);
        assert_eq!(case.app("1"), strings(after), "{policy}");
        assert_eq!(
            case.apps_of("onelogin").contains_key("2"),
            policy != "Observe",
            "{policy}"
        );
    }
}

// What the last applied manifest said.

#[test]
fn a_scope_whose_manifest_said_orphan_stays_and_is_ours_no_longer() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", one("a"));
    case.write(
        "b.yaml",
        scope("onelogin", "b", "description: B, deletionPolicy: Orphan"),
    );
    case.first_sync();
    case.remove("b.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["orphaned b"]);
    assert_eq!(
        (case.scopes(), case.owned()),
        (vec!["a".into(), "b".into()], vec!["a created".into()])
    );
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged b"]);
}

#[test]
fn an_app_set_is_orphaned_unless_its_manifest_said_delete() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("one.yaml", app(1, "[a]", ""));
    case.write("two.yaml", app(2, "[a]", "deletionPolicy: Delete"));
    case.first_sync();
    case.remove("one.yaml");
    case.remove("two.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.skipped(), ran.changes()),
        (
            vec!["unmanaged a".to_owned(), "orphaned 1".to_owned()],
            vec!["detach 2 done".to_owned()]
        )
    );
    assert_eq!(case.apps_of("onelogin").keys().collect::<Vec<_>>(), ["1"]);
    assert!(case.owned().is_empty());
}

#[test]
fn an_app_that_was_only_matched_is_not_detached() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }], clients: [{ appId: 1, scopes: [1] }]",
    )]);
    case.write("one.yaml", app(1, "[a]", "deletionPolicy: Delete"));
    case.first_sync();
    case.remove("one.yaml");
    case.sync(&[]).exits(DONE);
    assert_eq!((case.app("1"), case.writes()), (vec!["a".to_owned()], 0));
}

#[test]
fn a_protected_scope_survives_the_removal_of_its_manifest() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", one("a"));
    case.write(
        "b.yaml",
        scope("onelogin", "b", "description: B, protected: true"),
    );
    case.first_sync();
    // Editing it and removing it at once does not help: what counts is what was applied last.
    case.write("b.yaml", one("b"));
    case.remove("b.yaml");
    case.write("c.yaml", one("c"));
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(ran.refusals(), ["protected b"]);
    assert_eq!(case.scopes(), ["a", "b", "c"]);
    let ran = case.sync(&[]).exits(REFUSED);
    let ran = case.sync(&["--approve-plan", &ran.digest()]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["protected b"]);
    // The way through: the manifest comes back without it, is applied, and goes.
    case.write("b.yaml", one("b"));
    case.sync(&[]).exits(DONE);
    case.remove("b.yaml");
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a", "c"]);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
