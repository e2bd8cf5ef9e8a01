//! Section 8: exit codes, strongest first, and who may be asked.

use serde_json::json;

use super::SCOPES;
use crate::support::*;

fn a(description: &str) -> String {
    scope("onelogin", "a", &format!("description: {description}"))
}

#[test]
fn nothing_to_do_and_everything_done_is_0() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.run(&["validate", "."]).exits(DONE);
    case.plan(&[]).exits(DONE);
    case.sync(&[]).exits(DONE).says("Done: 1 created.");
    case.sync(&[]).exits(DONE).says("No changes");
    case.apply(&[]).exits(DONE).says("No changes");
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.run(&["--help"]).exits(DONE);
    case.run(&["--version"]).exits(DONE);
}

#[test]
fn planned_changes_are_2_where_that_is_asked_for() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    case.plan(&["--detailed-exitcode"]).exits(CHANGES);
    case.sync(&[]).exits(DONE);
    case.plan(&["--detailed-exitcode"]).exits(DONE);
}

#[test]
fn what_failed_with_nothing_written_is_1() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "descriptoin: A"));
    for verb in ["validate", "plan"] {
        case.run(&[verb, "."]).exits(FAILED);
    }
    case.sync(&[]).exits(FAILED);
    case.apply(&[]).exits(FAILED);
    case.run(&["adopt", ".", "--all"]).exits(FAILED);
    assert_eq!(case.writes(), 0);
    // A system that answers nothing but errors.
    case.write("a.yaml", a("A"));
    case.fail(json!([{ "fault": { "status": { "code": 500 } } }]));
    case.run(&["validate", "."]).exits(DONE);
    case.plan(&["--detailed-exitcode"]).exits(FAILED);
    case.sync(&[]).exits(FAILED);
    case.apply(&[]).exits(FAILED);
    case.run(&["adopt", ".", "--all"]).exits(FAILED);
    // A write that is refused by the system.
    case.fail(
        json!([{ "method": "POST", "route": SCOPES, "fault": { "status": { "code": 422 } } }]),
    );
    case.sync(&[]).exits(FAILED);
    assert!(case.scopes().is_empty());
}

#[test]
fn an_apigee_scope_outside_the_keys_products_is_1() {
    let case = Case::of([apigee_shop("[READ]", "[READ]")]);
    case.write("app.yaml", key("[READ, DELETE]", ""));
    let ran = case.plan(&["--new-inventory"]).exits(FAILED);
    assert_eq!(ran.codes(), ["SW114"]);
    ran.says("allowed: READ");
    case.sync(&["--new-inventory"]).exits(FAILED);
    assert_eq!(
        (case.app("shop/k3y"), case.writes()),
        (vec!["READ".to_owned()], 0)
    );
}

#[test]
fn what_a_rule_refused_is_3_from_plan_as_from_sync_and_stronger_than_1_and_2() {
    let case = Case::of([one_login("scopes: [{ value: a, description: Theirs }]")]);
    case.write("a.yaml", a("A"));
    case.plan(&["--detailed-exitcode"]).exits(REFUSED);
    case.sync(&["--new-inventory"]).exits(REFUSED);
    case.apply(&[]).exits(REFUSED);
    case.write("broken.yaml", "# scopeward.dev/\nkind: [");
    case.plan(&[]).exits(REFUSED);
    case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(case.writes(), 0);
}

#[test]
fn something_written_and_something_left_is_5_and_stronger_than_3() {
    let case = Case::of([one_login("scopes: [{ value: a, description: Theirs }]")]);
    case.write("a.yaml", a("A") + &scope("onelogin", "b", "description: B"));
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(ran.changes(), ["create b done", "update a skipped"]);
    case.write("broken.yaml", "# scopeward.dev/\nkind: [");
    case.write("c.yaml", scope("onelogin", "c", "description: C"));
    case.apply(&[]).exits(PARTIAL);
}

#[test]
fn what_cannot_be_understood_is_64_and_stronger_than_all() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", "# scopeward.dev/\nkind: [");
    for args in [
        &["sync"][..],
        &["synk", "."],
        &["sync", ".", "--yess"],
        &["sync", ".", "--yes", "-o", "yaml"],
        &["sync", ".", "--yes", "--inventory", "nonsense"],
        &["sync", ".", "--yes", "--approve-plan", "nonsense"],
        &["sync", ".", "--yes", "--target", "nobody"],
        &["adopt", "."],
        &["adopt", ".", "--only", "Scope/a", "--all"],
        &["adopt", ".", "--only", "a"],
        &["validate"],
        &["plan", "nowhere"],
        &["import", "onelogin"],
        &["sync", ".", "--yes", "--log", "][="],
    ] {
        let output = case.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{args:?} {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(case.requests(), 0);
}

#[test]
fn off_a_terminal_without_yes_is_64_with_the_hint_and_asks_nothing_of_anybody() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    for verb in ["sync", "apply"] {
        case.run(&[verb, "."]).exits(USAGE).says("pass --yes");
    }
    case.run_with_input(&["sync", "."], "yes\n").exits(USAGE);
    assert_eq!(case.requests(), 0);
}

#[test]
fn manifests_from_standard_input_without_yes_are_64() {
    let case = Case::of([one_login("")]);
    case.run_with_input(&["sync", "targets", "-"], &a("A"))
        .exits(USAGE)
        .says("standard input")
        .says("--yes");
    assert_eq!(case.requests(), 0);
    // A plan asks nobody.
    case.run_with_input(&["plan", "targets", "-"], &a("A"))
        .exits(DONE);
}

#[cfg(unix)]
mod on_a_terminal {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        let case = Case::of([one_login("")]);
        case.write("a.yaml", a("A"));
        for answer in ["no", "y", "", "YES"] {
            let mut run = case.start_on_terminal(&["sync", "."]);
            run.wait_for("Go ahead?");
            run.type_line(answer);
            let (code, screen) = run.finish();
            assert_eq!(code, Some(FAILED), "{answer:?}\n{screen}");
            assert!(
                screen.contains("not confirmed; nothing was written"),
                "{screen}"
            );
        }
        assert_eq!(case.writes(), 0);
        let mut run = case.start_on_terminal(&["sync", "."]);
        run.wait_for("Go ahead?");
        run.type_line("yes");
        let (code, screen) = run.finish();
        assert_eq!(
            (code, case.scopes()),
            (Some(DONE), vec!["a".to_owned()]),
            "{screen}"
        );
    }

    #[test]
    fn what_moved_while_somebody_was_asked_is_4() {
        let case = Case::of([one_login("")]);
        case.write("a.yaml", a("A"));
        case.first_sync();
        case.write("a.yaml", a("B"));
        let mut run = case.start_on_terminal(&["sync", "."]);
        run.wait_for("Go ahead?");
        case.drift(json!({ "updateScope": { "value": "a", "description": "Theirs" } }));
        run.type_line("yes");
        let (code, screen) = run.finish();
        assert_eq!((code, case.writes()), (Some(STALE), 0), "{screen}");
        assert_eq!(case.scope("a")["description"], "Theirs");
    }

    #[test]
    fn nobody_is_asked_where_nothing_may_run() {
        let case = Case::of([one_login("scopes: [{ value: a, description: Theirs }]")]);
        case.write("a.yaml", a("A"));
        let (code, screen) = case
            .start_on_terminal(&["sync", ".", "--new-inventory"])
            .finish();
        assert_eq!(code, Some(REFUSED), "{screen}");
        assert!(!screen.contains("Go ahead?"), "{screen}");
        let (code, screen) = case.start_on_terminal(&["apply", ".", "--yes"]).finish();
        assert_eq!(code, Some(REFUSED), "{screen}");
    }
}

#[test]
fn nothing_that_is_not_a_result_goes_to_standard_output() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", a("A"));
    let output = case.command(&["plan", ".", "-o", "json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["summary"]["create"], 1);
    let output = case
        .command(&["sync", ".", "--yes", "-o", "json"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"], "applied");
}

#[test]
fn an_inventory_that_cannot_be_folded_after_a_write_is_5_and_loses_nothing() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write(".scopeward/inventory.json.new/in-the-way", "");
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(ran.changes(), ["create a done"]);
    ran.says("cannot write the inventory");
    case.remove(".scopeward/inventory.json.new/in-the-way");
    std::fs::remove_dir(case.path().join(".scopeward/inventory.json.new")).unwrap();
    case.forget_requests();
    case.sync(&[]).exits(DONE);
    assert_eq!(
        (case.writes(), case.owned()),
        (0, vec!["a created".to_owned()])
    );
}
