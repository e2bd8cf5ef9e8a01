//! The guard: its arithmetic at its borders, what an approval lifts, and what is withheld with what is refused
//! (safety, section 7).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::world::*;
use crate::model::Origin::{Created, Matched};
use crate::model::target::{Approval, Thresholds};
use crate::model::{Consumers, Counted, PastRemoval, Removal, Removals};
use crate::plan::digest::Digest;
use crate::plan::guard::{Approvals, ApprovedPlan, Limits};
use crate::plan::{Mode, Plan, Rule, SkipReason};

/// A place with `owned` scopes of ours, the first `gone` of which no manifest declares.
fn scopes(owned: usize, gone: usize) -> World {
    (0..owned).fold(World::onelogin(), |world, n| {
        let scope = format!("s{n:03}");
        let world = world.made(&scope);
        if n < gone { world } else { world.wants(&scope) }
    })
}

/// A scope with `owned` applied roles, the first `gone` of which are not wanted any more.
fn roles(owned: usize, gone: usize) -> World {
    let role = |n: usize| format!("r{n:03}");
    let leak = |from: usize| -> &'static str {
        let all: Vec<String> = (from..owned).map(role).collect();
        all.join(" ").leak()
    };
    World::wso2()
        .wants_so("a", bindings(leak(gone)))
        .has_so("a", bound_to(leak(0)))
        .owns_so("a", Created, applied(leak(0)))
}

pub(super) fn rules(approved: &ApprovedPlan) -> Vec<Rule> {
    let verdict = &approved.targets()[0];
    verdict
        .refusals()
        .iter()
        .map(|refusal| refusal.rule)
        .collect()
}

fn judged(world: &World) -> ApprovedPlan {
    judge(world.plan(), world, Removals::default(), false)
}

pub(super) fn past(
    counted: Counted,
    holder: Option<&str>,
    count: u64,
    at: Timestamp,
) -> PastRemoval {
    PastRemoval {
        at,
        removal: Removal {
            counted,
            holder: holder.map(str::to_owned),
            namespaces: BTreeSet::new(),
            count,
        },
    }
}

#[test]
fn thresholds_at_their_borders() {
    let limits = |max: u64, percent: u64, min: u64| Thresholds {
        max_removals: max,
        max_removal_percent: percent,
        min_population: min,
        ..Thresholds::default()
    };
    let standard = limits(50, 30, 10);
    let table = [
        // thresholds, population, removals, the rule that stops them
        (standard, 200, 50, None),
        (standard, 200, 51, Some(Rule::MaxRemovals)),
        (standard, 100, 30, None),
        (standard, 100, 31, Some(Rule::MaxRemovalPercent)),
        (standard, 10, 3, None),
        (standard, 10, 4, Some(Rule::MaxRemovalPercent)),
        (standard, 11, 3, None),
        (standard, 11, 4, Some(Rule::MaxRemovalPercent)),
        // Below the smallest population, one alone is never too many, and half is not more than half.
        (standard, 9, 4, None),
        (standard, 9, 5, Some(Rule::MoreThanHalf)),
        (standard, 8, 4, None),
        (standard, 2, 2, Some(Rule::MoreThanHalf)),
        (standard, 3, 1, None),
        (standard, 1, 1, None),
        (limits(0, 100, 0), 5, 1, Some(Rule::MaxRemovals)),
        (limits(9, 0, 0), 5, 1, Some(Rule::MaxRemovalPercent)),
        (limits(9, 100, 0), 5, 5, None),
        (limits(u64::MAX, u64::MAX, 0), 5, 5, None),
        (limits(9, 30, u64::MAX), 5, 3, Some(Rule::MoreThanHalf)),
    ];
    for (thresholds, population, removals, rule) in table {
        let world = scopes(population, removals).target(|target| target.safety = thresholds);
        let expected: Vec<Rule> = rule.into_iter().collect();
        let judged = judged(&world);
        assert_eq!(rules(&judged), expected, "{removals} of {population}");
        assert_eq!(
            judged.has_runs(),
            rule.is_none(),
            "{removals} of {population}"
        );
    }
}

#[test]
fn each_holder_is_measured_for_itself_beside_the_whole() {
    // Where the whole is stopped, that says it.
    let of_one = judged(&roles(10, 4));
    assert_eq!(rules(&of_one), [Rule::MaxRemovalPercent]);
    // Among many other roles the whole is fine, and the holder is not.
    let mut crowd = roles(10, 4);
    for n in 0..9 {
        let other = format!("o{n}");
        let all = "a b c d e f g h i j";
        crowd = crowd
            .wants_so(&other, bindings(all))
            .has_so(&other, bound_to(all))
            .owns_so(&other, Created, applied(all));
    }
    let judged = judged(&crowd);
    let verdict = &judged.targets()[0];
    let messages: Vec<&str> = verdict
        .refusals()
        .iter()
        .map(|r| r.message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["4 of 10 roles of a would go; at most 30 % may go"]
    );
}

#[test]
fn kinds_are_counted_apart() {
    // 5 of 10 roles and 3 of 10 scopes: only the roles are too many.
    let mut world = roles(10, 5);
    for n in 0..9 {
        let scope = format!("s{n}");
        world = world.made(&scope);
        if n >= 3 {
            world = world.wants(&scope);
        }
    }
    let judged = judged(&world);
    let verdict = &judged.targets()[0];
    assert!(
        verdict
            .refusals()
            .iter()
            .all(|r| r.message.contains("roles"))
    );
    assert_eq!(rules(&judged), [Rule::MaxRemovalPercent]);
}

#[test]
fn removals_of_the_window_count_together() {
    let world = scopes(10, 2);
    let with = |count, at| {
        let window = Removals(vec![past(Counted::Scopes, None, count, at)]);
        rules(&judge(world.plan(), &world, window, false))
    };
    // Two now and two before, of twelve.
    assert_eq!(with(1, in_hours(-1)), []);
    assert_eq!(with(2, in_hours(-1)), [Rule::MaxRemovalPercent]);
    // What is as old as the window is forgotten, and what a clock puts into the future does not count.
    assert_eq!(with(2, in_hours(-24)), []);
    assert_eq!(
        with(2, in_hours(-24) + SignedDuration::from_secs(1)),
        [Rule::MaxRemovalPercent]
    );
    assert_eq!(with(2, in_hours(1)), []);
    assert_eq!(with(u64::MAX, in_hours(-1)), [Rule::MaxRemovals]);
    // Another kind does not count.
    let other = Removals(vec![past(Counted::Roles, None, 9, in_hours(-1))]);
    assert_eq!(rules(&judge(world.plan(), &world, other, false)), []);
    // A plan without removals is not stopped by those of before.
    let quiet = scopes(10, 0).wants("new");
    let window = Removals(vec![past(Counted::Scopes, None, 60, in_hours(-1))]);
    assert!(judge(quiet.plan(), &quiet, window, false).has_runs());
}

#[test]
fn a_trickle_of_one_holder_does_not_slip_through() {
    let world = roles(10, 1);
    let window = Removals(vec![past(Counted::Roles, Some("a"), 3, in_hours(-1))]);
    let judged = judge(world.plan(), &world, window, false);
    // Four of thirteen.
    assert_eq!(rules(&judged), [Rule::MaxRemovalPercent]);
    let verdict = &judged.targets()[0];
    assert!(
        verdict.refusals()[0]
            .message
            .contains("3 of them earlier in the window")
    );
}

#[test]
fn a_whole_window_of_seconds_is_no_overflow() {
    let world = scopes(10, 2).target(|target| target.safety.window_seconds = u64::MAX);
    let old = Removals(vec![past(Counted::Scopes, None, 2, Timestamp::MIN)]);
    assert_eq!(
        rules(&judge(world.plan(), &world, old, false)),
        [Rule::MaxRemovalPercent]
    );
}

#[test]
fn an_approval_lifts_that_very_plan() {
    let world = scopes(4, 3);
    assert!(!judged(&world).has_runs());
    let approve = |digests: &[Digest]| {
        let plan = Plan {
            mode: Mode::Sync,
            paths: Vec::new(),
            targets: vec![world.plan()],
        };
        plan.approve(&[].into(), &digests.to_vec().into(), now())
    };
    let target = world.plan().digest();
    let top = approve(&[]).digest().clone();
    for digest in [target, top] {
        let approved = approve(&[digest]);
        assert!(approved.has_runs() && approved.is_clean());
        assert!(approved.targets()[0].is_approved());
    }
    let other = scopes(4, 2).plan().digest();
    assert!(!approve(&[other]).has_runs());
}

#[test]
fn a_plan_that_was_applied_does_not_come_again() {
    let mut world = scopes(4, 3);
    let before = world.plan().digest();
    world.owned.record(crate::model::Record::Write);
    assert_ne!(world.plan().digest(), before);
}

#[test]
fn a_target_that_waits_for_a_word_runs_nothing_without_it() {
    let world = World::onelogin()
        .wants("a")
        .has("b")
        .wants("b")
        .target(|target| target.approval = Approval::Manual);
    let waits = judged(&world);
    assert_eq!(rules(&waits), [Rule::ManualApproval]);
    let verdict = &waits.targets()[0];
    assert!(!verdict.runs(0) && !verdict.may_record());
    let digest = world.plan().digest().to_string();
    let named = world.target(|target| target.approved_plan = Some(digest));
    assert!(judged(&named).has_runs());
    // There is nothing to approve where there is nothing to do.
    let quiet = World::onelogin().target(|target| target.approval = Approval::Manual);
    assert_eq!(rules(&judged(&quiet)), []);
}

#[test]
fn a_new_inventory_is_refused_as_a_whole_and_learns_nothing() {
    let mut world = World::onelogin().has("a").wants("a").wants("b");
    world.owned.known = false;
    let refused = judged(&world);
    let verdict = &refused.targets()[0];
    assert_eq!(rules(&refused), [Rule::NewInventory]);
    assert!(!refused.has_runs() && !verdict.may_record());
    assert!(judge(world.plan(), &world, Removals::default(), true).has_runs());
}

#[test]
fn protection_and_conflict_are_never_lifted() {
    let there: crate::model::ManifestRef = crate::model::SourceFile::new(THERE).into();
    let world = World::onelogin()
        .has("p")
        .owns_so("p", Created, |entry| entry.protected = true)
        .has("c")
        .wants_so("c", |c| c.description = Some("new".to_owned()))
        .owns_so("c", Created, |entry| entry.source = there)
        .wants("new");
    let approved = judge(world.plan(), &world, Removals::default(), true);
    assert_eq!(rules(&approved), [Rule::Conflict, Rule::Protected]);
    // They stop nothing but themselves.
    let verdict = &approved.targets()[0];
    let plan = verdict.plan();
    assert_eq!(
        (says(plan)[0].as_str(), verdict.runs(0)),
        ("create new", true)
    );
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn what_needs_something_refused_is_withheld_with_it() {
    let world = World::onelogin()
        .has("old")
        .owns("old", Matched)
        .wants_so("moved", was("old"))
        .wants("free")
        .has_app(&client(1), "")
        .wants_app(&client(1), "moved")
        .has_app(&client(2), "")
        .wants_app(&client(2), "free");
    let judged = judged(&world);
    let verdict = &judged.targets()[0];
    let plan = verdict.plan();
    let runs: Vec<(String, Option<SkipReason>)> = says(plan)
        .into_iter()
        .zip(0..plan.changes.len())
        .map(|(line, index)| (line, verdict.why_withheld(index)))
        .collect();
    let withheld = |line: &str, why| (line.to_owned(), why);
    assert_eq!(
        runs,
        [
            withheld("rename old to moved; takeover", Some(SkipReason::Refused)),
            withheld("create free", None),
            withheld(
                "replace 1 [] with [moved]",
                Some(SkipReason::DependencyFailed)
            ),
            withheld("replace 2 [] with [free]", None),
        ]
    );
}

#[test]
fn a_scope_that_somebody_unknown_uses_is_not_deleted_without_a_word() {
    let used = World::onelogin().made("a").has_app(&client(9), "a");
    assert_eq!(used.says(), ["delete a; unmanaged_consumers"]);
    let operations = |live: &mut crate::model::LiveScope| live.consumers = Consumers::Usages(2);
    let publisher = World::of(crate::model::System::Wso2Publisher)
        .has_so("a", operations)
        .owns("a", Created);
    // An approval would not make it go.
    assert_eq!(publisher.says(), ["delete a; in_use"]);
    assert!(!Rule::InUse.is_liftable());
    // Where nobody can tell, the plan says so.
    let unknown = World::wso2().made("a").plan();
    assert!(unknown.changes[0].facts.contains("consumers: unknown"));
    assert!(
        unknown.changes[0]
            .remark
            .as_deref()
            .unwrap()
            .contains("consumers: unknown")
    );
}

#[test]
fn a_scope_goes_after_the_lists_that_give_it_up() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .wants("b")
        .has_app(&client(1), "a b")
        .owns_app(&client(1), "a b")
        .wants_app(&client(1), "b");
    let plan = world.plan();
    assert_eq!(says(&plan), ["replace 1 [a b] with [b]", "delete a"]);
    assert_eq!(plan.changes[1].depends_on, [0].into());
    // The list is refused, and so the scope stays.
    let mut first = world;
    first.owned.apps.clear();
    let judged = judged(&first);
    assert!(!judged.has_runs());
    assert_eq!(rules(&judged), [Rule::FirstContact]);
}

#[test]
fn the_thresholds_of_a_target_that_is_not_named_are_the_usual_ones() {
    let world = scopes(10, 4);
    let plan = Plan {
        mode: Mode::Sync,
        paths: Vec::new(),
        targets: vec![world.plan()],
    };
    let other = crate::model::TargetId {
        namespace: "iam".to_owned(),
        name: "other".to_owned(),
    };
    let generous = Limits {
        thresholds: Thresholds {
            max_removal_percent: 100,
            ..Thresholds::default()
        },
        ..Limits::default()
    };
    assert!(
        !plan
            .approve(&[(other, generous)].into(), &Approvals::default(), now())
            .has_runs()
    );
}

#[test]
fn one_change_shows_one_refusal_and_one_kind_one_threshold() {
    let world = World::wso2()
        .wants_so("a", bindings(""))
        .has_so("a", bound_to("r s"))
        .owns("a", Matched);
    let world = world.wants_so("a", |scope| {
        bindings("")(scope);
        scope.description = Some("new".to_owned());
    });
    assert_eq!(
        world.says(),
        ["update a: description bindings; opens_to_all"]
    );
    let many = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r s t u"))
        .owns_so("a", Created, applied("r s t u"));
    assert_eq!(rules(&judged(&many)), [Rule::MoreThanHalf]);
}
