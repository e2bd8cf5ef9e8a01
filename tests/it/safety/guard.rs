//! Section 7: how much may go, and from whom.

use std::ops::Range;

use serde_json::json;

use super::{declare, numbered};
use crate::support::*;

/// So many scopes of ours, and then fewer declared.
fn shrunk(more: &str, before: usize, after: usize) -> Case {
    let case = Case::of([one_login("")]);
    case.target("onelogin", more);
    case.write(
        "keep.yaml",
        scope("onelogin", "keep", "description: The one that stays"),
    );
    declare(&case, "onelogin", 0..before - 1);
    case.first_sync();
    declare(&case, "onelogin", 0..after - 1);
    case
}

fn refused(ran: &Ran, rule: &str) -> (u64, u64, String) {
    let refusal = ran.refusal(rule);
    (
        refusal["limit"].as_u64().unwrap(),
        refusal["actual"].as_u64().unwrap(),
        refusal["message"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn thirty_percent_of_ten_may_go_and_forty_may_not() {
    let case = shrunk("", 10, 7);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 7);
    let case = shrunk("", 10, 6);
    let ran = case.sync(&[]).exits(REFUSED);
    let (limit, actual, message) = refused(&ran, "max_removal_percent");
    assert_eq!((limit, actual), (30, 40));
    assert_eq!(message, "4 of 10 scopes would go; at most 30 % may go");
    ran.says("--approve-plan sha256:");
    assert_eq!((case.scopes().len(), case.writes()), (10, 0));
}

#[test]
fn below_ten_half_may_go_and_more_than_half_may_not() {
    let case = shrunk("", 8, 4);
    case.sync(&[]).exits(DONE);
    let case = shrunk("", 9, 4);
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "more_than_half").2,
        "5 of 9 scopes would go; not more than half may go at once"
    );
    assert_eq!(case.scopes().len(), 9);
}

#[test]
fn the_only_one_may_go() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.first_sync();
    case.remove("a.yaml");
    case.sync(&[]).exits(DONE);
    assert!(case.scopes().is_empty());
}

#[test]
fn no_more_than_the_most_may_go_whatever_their_share() {
    let case = shrunk("safety: { maxRemovals: 2, maxRemovalPercent: 100 }", 20, 17);
    let ran = case.sync(&[]).exits(REFUSED);
    let (limit, actual, message) = refused(&ran, "max_removals");
    assert_eq!((limit, actual), (2, 3));
    assert_eq!(message, "3 of 20 scopes would go; at most 2 may go");
    declare(&case, "onelogin", 0..17);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 18);
}

#[test]
fn a_removal_counts_from_when_it_is_sent_whatever_becomes_of_the_run() {
    let case = shrunk("", 10, 10);
    for left in [9, 8, 7] {
        declare(&case, "onelogin", 0..left - 1);
        case.fail(
            json!([{ "method": "DELETE", "times": 1, "fault": { "hold": { "when": "after" } } }]),
        );
        let running = case.start(&["sync", ".", "--yes"], None);
        case.wait_until_held();
        running.kill();
        case.wait_until_let_go();
        case.heal();
        assert_eq!(case.scopes().len(), left);
    }
    declare(&case, "onelogin", 0..5);
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["max_removal_percent"]);
    assert_eq!(case.scopes().len(), 7);
    let log = case.read(".scopeward/audit.jsonl");
    let unknown = log.lines().filter(|line| {
        line.contains("\"action\":\"delete\"") && line.contains("\"outcome\":\"unknown\"")
    });
    assert_eq!(unknown.count(), 3, "{log}");
}

#[test]
fn a_removal_that_was_refused_does_not_count() {
    let case = shrunk("", 10, 7);
    case.fail(json!([{ "method": "DELETE", "fault": { "status": { "code": 403, "body": "{\"message\":\"no\"}" } } }]));
    for _ in 0..3 {
        case.sync(&[]).exits(FAILED);
    }
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 7);
}

#[test]
fn what_a_manifest_protects_is_protected_even_by_a_run_that_a_rule_stops() {
    let case = shrunk("", 10, 3);
    let keep = "description: The one that stays, protected: true";
    case.write("keep.yaml", scope("onelogin", "keep", keep));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["max_removal_percent"]);
    assert_eq!(case.entry("keep")["protected"], true);
    declare(&case, "onelogin", 0..9);
    case.remove("keep.yaml");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["protected keep"]);
    assert_eq!(case.scopes().len(), 10);
}

#[test]
fn the_old_spelling_of_a_name_goes_only_after_the_new_one_is_made() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "orders", "description: A"));
    case.first_sync();
    case.write("a.yaml", scope("onelogin", "Orders", "description: A"));
    case.fail(json!([{ "method": "POST", "token": false, "fault": { "status": { "code": 422, "body": "{\"message\":\"no\"}" } } }]));
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(
        ran.changes(),
        ["create Orders failed", "delete orders skipped"]
    );
    assert_eq!(case.scopes(), ["orders"]);
    case.heal();
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["Orders"]);
}

#[test]
fn the_default_most_is_fifty() {
    let case = shrunk("safety: { maxRemovalPercent: 100 }", 60, 9);
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "max_removals").2,
        "51 of 60 scopes would go; at most 50 may go"
    );
    declare(&case, "onelogin", 0..9);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 10);
}

#[test]
fn a_threshold_stops_the_whole_target_and_no_other() {
    let case = Case::of([one_login(""), wso2("")]);
    declare(&case, "onelogin", 0..10);
    case.first_sync();
    declare(&case, "onelogin", 0..2);
    case.write(
        "new.yaml",
        scope("onelogin", "new", "description: New")
            + &scope("wso2", "new", "description: New")
                .replace("name: new }\nspec", "name: new2 }\nspec"),
    );
    let ran = case.sync(&[]).exits(PARTIAL);
    assert_eq!(ran.refusals(), ["max_removal_percent"]);
    assert_eq!(
        (case.scopes_of("onelogin").len(), case.scopes_of("wso2")),
        (10, vec!["new".to_owned()])
    );
    case.sync(&[]).exits(REFUSED);
}

#[test]
fn only_what_is_ours_is_the_measure() {
    let case = Case::of([one_login(
        "scopes: [{ value: u1 }, { value: u2 }, { value: u3 }, { value: u4 }, { value: u5 }, { value: u6 }, { value: u7 }, { value: u8 }]",
    )]);
    declare(&case, "onelogin", 0..4);
    case.first_sync();
    declare(&case, "onelogin", 0..1);
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "more_than_half").2,
        "3 of 4 scopes would go; not more than half may go at once"
    );
}

#[test]
fn entries_of_an_apps_list_count_for_that_app() {
    let case = Case::of([one_login("")]);
    declare(&case, "onelogin", 0..12);
    case.write(
        "app.yaml",
        app(1, &numbered(0..12), "")
            + &app(2, &numbered(0..12), "")
            + &app(3, &numbered(0..12), ""),
    );
    case.first_sync();
    // Four of twelve are a third of one app, and a ninth of all.
    case.write(
        "app.yaml",
        app(1, &numbered(0..8), "") + &app(2, &numbered(0..12), "") + &app(3, &numbered(0..12), ""),
    );
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "max_removal_percent").2,
        "4 of 12 scopes of Shop (1) would go; at most 30 % may go"
    );
    assert_eq!((case.app("1").len(), case.writes()), (12, 0));
    case.write(
        "app.yaml",
        app(1, &numbered(0..9), "") + &app(2, &numbered(0..12), "") + &app(3, &numbered(0..12), ""),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(case.app("1").len(), 9);
}

#[test]
fn entries_count_over_all_apps_together_too() {
    let case = Case::of([one_login("")]);
    case.target("onelogin", "safety: { maxRemovals: 5 }");
    declare(&case, "onelogin", 0..20);
    let apps = |n| app(1, &numbered(0..n), "") + &app(2, &numbered(0..n), "");
    case.write("app.yaml", apps(20));
    case.first_sync();
    case.write("app.yaml", apps(17));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "max_removals").2,
        "6 of 40 scopes of apps would go; at most 5 may go"
    );
}

#[test]
fn roles_count_for_their_scope_and_apart_from_objects() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [r1, r2, r3, r4]"),
    );
    case.write(
        "b.yaml",
        scope("wso2", "b", "description: B") + &scope("wso2", "c", "description: C"),
    );
    case.first_sync();
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [r1]"),
    );
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(
        refused(&ran, "more_than_half")
            .2
            .starts_with("3 of 4 roles of scopes")
    );
    assert_eq!(case.roles("a").len(), 4);
    // Two roles and one scope are half of the one and a third of the other.
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [r1, r2]"),
    );
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.sync(&[]).exits(DONE);
    assert_eq!((case.roles("a").len(), case.scopes().len()), (2, 2));
}

#[test]
fn the_roles_of_one_scope_are_counted_for_themselves() {
    let case = Case::of([wso2("")]);
    let many = "r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, r11, r12, r13, r14, r15, r16";
    case.write(
        "b.yaml",
        scope("wso2", "b", &format!("description: B, bindings: [{many}]")),
    );
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x, xy, z, zz]"),
    );
    case.first_sync();
    // Three of twenty roles, and three of the four of one scope.
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x]"),
    );
    let ran = case.sync(&[]).exits(REFUSED);
    let message = refused(&ran, "more_than_half").2;
    assert!(message.starts_with("3 of 4 roles of a"), "{message}");
    assert_eq!(case.roles("a").len(), 4);
}

#[test]
fn roles_trickle_no_more_than_objects() {
    let case = Case::of([wso2("")]);
    let bound = |roles: Range<usize>| {
        scope(
            "wso2",
            "a",
            &format!("description: A, bindings: {}", numbered(roles)),
        )
    };
    case.write("a.yaml", bound(0..10));
    case.first_sync();
    case.write("a.yaml", bound(0..7));
    case.sync(&[]).exits(DONE);
    case.write("a.yaml", bound(0..6));
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(
        refused(&ran, "max_removal_percent")
            .2
            .starts_with("4 of 10 roles of scopes")
    );
    case.pass_hours(25);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.roles("a").len(), 6);
}

#[test]
fn detached_apps_count_at_once_and_one_after_the_other() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    let apps = |ids: &[u64]| -> String {
        ids.iter()
            .map(|id| app(*id, "[a]", "deletionPolicy: Delete"))
            .collect()
    };
    case.write("apps.yaml", apps(&[1, 2, 3]));
    case.first_sync();
    case.write("apps.yaml", apps(&[3]));
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(refused(&ran, "more_than_half").2.starts_with("2 of 3 apps"));
    assert_eq!((case.apps_of("onelogin").len(), case.writes()), (3, 0));
    case.write("apps.yaml", apps(&[2, 3]));
    case.sync(&[]).exits(DONE);
    case.write("apps.yaml", apps(&[3]));
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(refused(&ran, "more_than_half").2.starts_with("2 of 3 apps"));
    assert_eq!(case.apps_of("onelogin").len(), 2);
}

#[test]
fn a_shorter_apigee_list_counts_what_was_effective() {
    let case = Case::of([apigee_shop("[A, B, C, D, E, F]", "[]")]);
    case.write("app.yaml", key("[A, B]", ""));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(
        refused(&ran, "more_than_half")
            .2
            .starts_with("4 of 6 scopes of apps")
    );
    assert!(case.app("shop/k3y").is_empty());
}

// The window.

#[test]
fn a_trickle_of_removals_does_not_slip_through() {
    let case = shrunk("", 10, 9);
    case.sync(&[]).exits(DONE);
    for left in [8, 7] {
        declare(&case, "onelogin", 0..left - 1);
        case.sync(&[]).exits(DONE);
    }
    declare(&case, "onelogin", 0..5);
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        refused(&ran, "max_removal_percent").2,
        "4 of 10 scopes would go, 3 of them earlier in the window; at most 30 % may go"
    );
    case.pass_hours(23);
    case.sync(&[]).exits(REFUSED);
    case.pass_hours(2);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 6);
}

#[test]
fn the_window_is_the_targets_to_say() {
    let case = shrunk("safety: { window: 1h }", 10, 7);
    case.sync(&[]).exits(DONE);
    declare(&case, "onelogin", 0..5);
    case.sync(&[]).exits(REFUSED);
    case.pass_hours(2);
    case.sync(&[]).exits(DONE);
}

#[test]
fn entries_of_a_list_trickle_no_more_than_objects() {
    let case = Case::of([one_login("")]);
    declare(&case, "onelogin", 0..10);
    case.write("app.yaml", app(1, &numbered(0..10), ""));
    case.first_sync();
    case.write("app.yaml", app(1, &numbered(0..7), ""));
    case.sync(&[]).exits(DONE);
    case.write("app.yaml", app(1, &numbered(0..6), ""));
    let ran = case.sync(&[]).exits(REFUSED);
    assert!(
        refused(&ran, "max_removal_percent")
            .2
            .starts_with("4 of 10 scopes of apps")
    );
}

#[test]
fn approved_removals_do_not_count_again() {
    let case = shrunk("", 20, 10);
    let ran = case.sync(&[]).exits(REFUSED);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert_eq!(case.scopes().len(), 10);
    declare(&case, "onelogin", 0..6);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 7);
}

// Consumers.

#[test]
fn a_scope_that_an_unmanaged_app_holds_is_not_deleted() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.drift(json!({ "addClient": { "appId": 3, "scopes": ["a"] } }));
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        (ran.refusals(), ran.losses()),
        (
            vec!["unmanaged_consumers a".to_owned()],
            vec!["app Stranger (3) a".to_owned()]
        )
    );
    ran.says("a is used by app Stranger (3), which would lose it");
    assert_eq!((case.app("3"), case.writes()), (vec!["a".to_owned()], 0));
    // A consumer that comes after the plan is not covered by its approval.
    let ran = case.plan(&[]).exits(REFUSED);
    case.drift(json!({ "addClient": { "appId": 2, "scopes": ["a"] } }));
    case.sync(&["--approve-plan", &ran.digest()]).exits(REFUSED);
    case.drift(json!({ "removeClient": 2 }));
    case.drift(json!({ "removeClient": 3 }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["b"]);
}

#[test]
fn an_approval_deletes_what_an_unmanaged_app_holds() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.first_sync();
    case.drift(json!({ "addClient": { "appId": 3, "scopes": ["a"] } }));
    case.remove("a.yaml");
    let ran = case.plan(&[]).exits(REFUSED);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert!(case.scopes().is_empty());
}

#[test]
fn a_scope_goes_once_every_declared_app_let_go_of_it() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.first_sync();
    case.remove("a.yaml");
    // Its manifest still lists it.
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.codes(), ["SW202"]);
    assert_eq!(case.app("1"), ["a", "b"]);
    case.write("app.yaml", app(1, "[b]", ""));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["replace 1 done", "delete a done"]);
}

#[test]
fn a_scope_stays_while_the_list_that_lets_go_of_it_could_not_be_written() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.write("app.yaml", app(1, "[a, b]", ""));
    case.first_sync();
    case.remove("a.yaml");
    case.write("app.yaml", app(1, "[b]", ""));
    case.fail(json!([{ "method": "PUT", "route": super::CLIENT, "fault": { "status": { "code": 422 } } }]));
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.changes(), ["replace 1 failed", "delete a skipped"]);
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn a_shared_scope_that_apis_use_is_not_deleted() {
    let case = Case::of([publisher("")]);
    case.write("a.yaml", scope("publisher", "a", "description: A"));
    case.write("b.yaml", scope("publisher", "b", "description: B"));
    case.first_sync();
    case.drift(json!({ "setUsage": { "name": "a", "usageCount": 2 } }));
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        (ran.refusals(), case.scopes().len()),
        (vec!["in_use a".to_owned()], 2)
    );
    assert!(
        ran.losses().contains(&"2 API operations a".to_owned()),
        "{:?}",
        ran.losses()
    );
    case.drift(json!({ "setUsage": { "name": "a", "usageCount": 0 } }));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["b"]);
}

#[test]
fn consumers_that_a_system_cannot_tell_are_unknown_and_never_none() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.first_sync();
    case.remove("a.yaml");
    case.plan(&[]).exits(DONE).says("consumers: unknown");
}
