//! Section 7, its second half: what an approval lifts, and how often.

use serde_json::json;

use super::{CLIENT, declare};
use crate::support::*;

/// Ten scopes of ours, of which two are declared.
fn with_eight_to_go() -> Case {
    let case = Case::of([one_login("")]);
    declare(&case, "onelogin", 0..10);
    case.first_sync();
    declare(&case, "onelogin", 0..2);
    case
}

#[test]
fn an_approval_lets_exactly_that_plan_through() {
    let case = with_eight_to_go();
    let plan = case.plan(&[]).exits(REFUSED);
    let digest = plan.digest();
    // One more removal is another plan.
    declare(&case, "onelogin", 0..1);
    case.sync(&["--approve-plan", &digest]).exits(REFUSED);
    assert_eq!((case.scopes().len(), case.writes()), (10, 0));
    declare(&case, "onelogin", 0..2);
    case.sync(&["--approve-plan", &digest]).exits(DONE);
    assert_eq!(case.scopes().len(), 2);
}

#[test]
fn a_digest_that_was_used_does_nothing_a_second_time() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x]"),
    );
    case.first_sync();
    case.write("a.yaml", scope("wso2", "a", "description: A, bindings: []"));
    let digest = case.plan(&[]).exits(REFUSED).digest();
    case.sync(&["--approve-plan", &digest]).exits(DONE);
    assert!(case.roles("a").is_empty());
    // The very same change is wanted again.
    case.drift(json!({ "updateScope": { "name": "a", "bindings": ["x"] } }));
    let ran = case.sync(&["--approve-plan", &digest]).exits(REFUSED);
    assert_ne!(ran.digest(), digest);
    assert_eq!(case.roles("a"), ["x"]);
}

#[test]
fn the_digest_of_another_plan_lifts_nothing() {
    let case = with_eight_to_go();
    let wrong = format!("sha256:{}", "0".repeat(64));
    case.sync(&["--approve-plan", &wrong]).exits(REFUSED);
    case.sync(&["--approve-plan", "sha256:short"]).exits(USAGE);
    assert_eq!(case.scopes().len(), 10);
    // That of `apply` is another one too.
    let other = case.plan(&["--no-delete"]).exits(DONE).digest();
    case.sync(&["--approve-plan", &other]).exits(REFUSED);
}

#[test]
fn the_same_plan_has_the_same_digest_from_plan_and_sync_and_in_any_order() {
    let case = with_eight_to_go();
    let plan = case.plan(&[]).exits(REFUSED);
    let sync = case.sync(&[]).exits(REFUSED);
    assert_eq!(
        (plan.digest(), plan.digest_of("onelogin")),
        (sync.digest(), sync.digest_of("onelogin"))
    );
    let (one, two) = (
        scope("onelogin", "s00", "description: One of many"),
        scope("onelogin", "s01", "description: One of many"),
    );
    case.write("many.yaml", two + &one);
    assert_eq!(case.plan(&[]).exits(REFUSED).digest(), plan.digest());
    plan.says(&sync.digest());
}

/// Eight of ten scopes are to go on both systems.
fn on_two_targets() -> Case {
    let case = Case::of([one_login(""), wso2("")]);
    declare(&case, "onelogin", 0..10);
    let both = case.read("many.yaml");
    let on_wso2 = both
        .replace("name: onelogin", "name: wso2")
        .replace("name: s", "name: w")
        .replace("name: \"s", "name: \"w");
    case.write("wso2.yaml", &on_wso2);
    case.write("many.yaml", &both);
    case.first_sync();
    let first_two = |text: &str| {
        let documents: Vec<&str> = text.split_inclusive("}\n---").collect();
        documents[..2].concat().trim_end_matches("---").to_owned()
    };
    case.write("wso2.yaml", first_two(&on_wso2));
    case.write("many.yaml", first_two(&both));
    case
}

#[test]
fn a_targets_digest_approves_that_target_alone_and_the_top_one_all() {
    let case = on_two_targets();
    let plan = case.plan(&[]).exits(REFUSED);
    assert_eq!(plan.refusals().len(), 2);
    let ran = case
        .sync(&["--approve-plan", &plan.digest_of("wso2")])
        .exits(PARTIAL);
    assert_eq!(ran.refusals().len(), 1);
    assert_eq!(
        (
            case.scopes_of("onelogin").len(),
            case.scopes_of("wso2").len()
        ),
        (10, 2)
    );
    let case = on_two_targets();
    let plan = case.plan(&[]).exits(REFUSED);
    case.sync(&["--approve-plan", &plan.digest()]).exits(DONE);
    assert_eq!(
        (
            case.scopes_of("onelogin").len(),
            case.scopes_of("wso2").len()
        ),
        (2, 2)
    );
    let case = on_two_targets();
    let plan = case.plan(&[]).exits(REFUSED);
    let both = [plan.digest_of("wso2"), plan.digest_of("onelogin")];
    case.sync(&["--approve-plan", &both[0], "--approve-plan", &both[1]])
        .exits(DONE);
    assert_eq!(
        (
            case.scopes_of("onelogin").len(),
            case.scopes_of("wso2").len()
        ),
        (2, 2)
    );
}

#[test]
fn an_approval_still_needs_a_yes_off_a_terminal() {
    let case = with_eight_to_go();
    let digest = case.plan(&[]).exits(REFUSED).digest();
    case.run(&["sync", ".", "--approve-plan", &digest])
        .exits(USAGE)
        .says("--yes");
    assert_eq!(case.writes(), 0);
}

#[test]
fn after_a_partial_run_the_digest_of_the_remainder_is_printed_and_works() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }], clients: [{ appId: 1, scopes: [1, 2] }]",
    )]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.write("new.yaml", scope("onelogin", "new", "description: New"));
    let plan = case.plan(&["--new-inventory"]).exits(REFUSED);
    let ran = case.sync(&["--new-inventory"]).exits(PARTIAL);
    assert_eq!(
        (ran.refusals(), ran.remaining()),
        (
            vec!["first_contact 1".to_owned()],
            vec!["replace 1".to_owned()]
        )
    );
    let rest = ran.remaining_digest_of("onelogin");
    let ran = ran.says(&format!("--approve-plan {rest}"));
    assert_ne!(rest, ran.digest_of("onelogin"));
    case.sync(&["--approve-plan", &plan.digest()])
        .exits(REFUSED);
    case.sync(&["--approve-plan", &rest]).exits(DONE);
    assert_eq!(case.app("1"), ["a"]);
}

#[test]
fn after_a_failure_the_digest_of_the_remainder_works() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }], clients: [{ appId: 1, scopes: [1, 2] }]",
    )]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.write("new.yaml", scope("onelogin", "new", "description: New"));
    let plan = case.plan(&["--new-inventory"]).exits(REFUSED);
    case.fail(json!([{ "method": "PUT", "route": CLIENT, "times": 1, "fault": { "status": { "code": 422 } } }]));
    let ran = case
        .sync(&["--new-inventory", "--approve-plan", &plan.digest()])
        .exits(PARTIAL);
    let rest = ran.remaining_digest_of("onelogin");
    ran.says(&rest);
    case.sync(&["--approve-plan", &plan.digest()])
        .exits(REFUSED);
    case.sync(&["--approve-plan", &rest]).exits(DONE);
    assert_eq!(case.app("1"), ["a"]);
}

#[test]
fn an_approval_lifts_a_takeover_and_starts_an_inventory() {
    let case = Case::of([one_login("scopes: [{ id: 7, value: a, description: A }]")]);
    case.write("a.yaml", scope("onelogin", "a", "description: B"));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["new_inventory", "takeover a"]);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert_eq!(
        (case.scope("a")["description"].clone(), case.owned()),
        (json!("B"), vec!["a adopted".to_owned()])
    );
}

#[test]
fn an_approval_lifts_foreign_scopes_and_a_last_entry() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }]",
    )]);
    case.write("app.yaml", app(1, "[a]", "foreignScopes: Fail"));
    case.sync(&["--new-inventory"]).exits(DONE);
    case.drift(json!({ "setClientScopes": { "appId": 1, "scopes": [1, 2] } }));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["foreign_scopes 1"]);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert_eq!(case.app("1"), ["a"]);
    case.write("app.yaml", app(1, "[]", ""));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["last_entry 1"]);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert_eq!(case.app("1"), [""; 0]);
}

#[test]
fn another_mode_and_another_place_are_another_plan() {
    let case = Case::of([one_login(""), one_login("").called("other")]);
    let both = scope("onelogin", "a", "description: A")
        + &scope("other", "a", "description: A").replace("name: a }", "name: a2 }");
    case.write("a.yaml", both);
    let (sync, apply) = (
        case.plan(&[]).exits(DONE),
        case.plan(&["--no-delete"]).exits(DONE),
    );
    assert_eq!(sync.changes(), apply.changes());
    assert_ne!(sync.digest_of("onelogin"), apply.digest_of("onelogin"));
    assert_ne!(sync.digest_of("onelogin"), sync.digest_of("other"));
}

#[test]
fn what_needs_a_refused_change_is_withheld_with_it() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a, description: A }]")]);
    case.write(
        "b.yaml",
        scope("onelogin", "b", "description: A, previousNames: [a]"),
    );
    case.write("app.yaml", app(1, "[b]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["takeover a"]);
    assert_eq!(ran.changes(), ["rename b skipped", "attach 1 skipped"]);
    assert_eq!((case.writes(), case.scopes()), (0, vec!["a".to_owned()]));
    case.sync(&["--new-inventory", "--approve-plan", &ran.digest()])
        .exits(DONE);
    assert_eq!(case.app("1"), ["b"]);
}

#[test]
fn an_approval_lifts_neither_protection_nor_incomplete_manifests() {
    let case = Case::of([one_login("")]);
    case.write(
        "a.yaml",
        scope("onelogin", "a", "description: A, protected: true"),
    );
    case.write("b.yaml", scope("onelogin", "b", "description: B"));
    case.first_sync();
    case.remove("a.yaml");
    case.remove("b.yaml");
    case.write("broken.yaml", "# scopeward.dev/\nkind: [");
    let plan = case.plan(&[]).exits(FAILED);
    assert_eq!(
        plan.skipped(),
        ["incomplete_manifests a", "incomplete_manifests b"]
    );
    case.sync(&["--approve-plan", &plan.digest()]).exits(FAILED);
    case.remove("broken.yaml");
    let plan = case.plan(&[]).exits(REFUSED);
    let ran = case
        .sync(&["--approve-plan", &plan.digest()])
        .exits(PARTIAL);
    assert_eq!(
        (ran.refusals(), case.scopes()),
        (vec!["protected a".to_owned()], vec!["a".to_owned()])
    );
    ran.says("0 of 1 targets as declared");
}

#[test]
fn an_approval_does_not_lift_a_list_that_failed_or_moved() {
    let case = Case::of([one_login(
        "scopes: [{ id: 1, value: a }, { id: 2, value: b }, { id: 3, value: c }], clients: [{ appId: 1, scopes: [1, 2] }]",
    )]);
    case.write("app.yaml", app(1, "[a]", ""));
    let digest = case.plan(&["--new-inventory"]).exits(REFUSED).digest();
    let approved = ["--new-inventory", "--approve-plan", &digest];
    case.fail(json!([{ "method": "GET", "route": super::CLIENTS, "fault": { "status": { "code": 500 } } }]));
    case.sync(&approved).exits(FAILED);
    case.fail(json!([{ "method": "GET", "route": super::CLIENTS, "skip": 1, "times": 1,
        "fault": { "drift": { "change": { "setClientScopes": { "appId": 1, "scopes": [1, 2, 3] } } } } }]));
    case.sync(&approved).exits(STALE);
    assert_eq!(case.app("1"), ["a", "b", "c"]);
    case.heal();
    case.sync(&approved).exits(REFUSED);
    assert_eq!(case.app("1"), ["a", "b", "c"]);
}

#[test]
fn a_target_with_manual_approval_waits_for_the_word_in_its_spec() {
    let case = Case::of([one_login("")]);
    case.target("onelogin", "approval: Manual");
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["manual_approval"]);
    let digest = ran.digest_of("onelogin");
    ran.says(&format!("approvedPlan: {digest}"));
    assert_eq!((case.writes(), case.owned().len()), (0, 0));
    let wrong = format!("sha256:{}", "0".repeat(64));
    case.target(
        "onelogin",
        &format!("approval: Manual, approvedPlan: \"{wrong}\""),
    );
    case.sync(&[]).exits(REFUSED);
    case.target(
        "onelogin",
        &format!("approval: Manual, approvedPlan: \"{digest}\""),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
    // The word was for that plan.
    case.sync(&[]).exits(DONE);
    case.write("a.yaml", scope("onelogin", "a", "description: B"));
    case.sync(&[]).exits(REFUSED);
    let digest = case.plan(&[]).exits(REFUSED).digest_of("onelogin");
    case.sync(&["--approve-plan", &digest]).exits(DONE);
}

#[test]
fn a_word_in_the_spec_lifts_refusals_as_the_flag_does() {
    let case = with_eight_to_go();
    let digest = case.plan(&[]).exits(REFUSED).digest_of("onelogin");
    case.target("onelogin", &format!("approvedPlan: \"{digest}\""));
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes().len(), 2);
}
