//! Approvals by changes: what runs by them, and how long (operator, section 6).

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::guard::rules;
use super::withholding::{judged_with, messages, runs, team};
use super::world::*;
use crate::model::Origin::Created;
use crate::model::target::Approval;
use crate::model::{Populations, Record, Removals};
use crate::plan::approvals::{
    ApprovalLog, ApprovedChanges, PendingPlan, PlanStale, approved_changes,
};
use crate::plan::digest::{ChangeHash, Digest};
use crate::plan::guard::{Approvals, ApprovedChange, ApprovedPlan};
use crate::plan::{Rule, TargetPlan};

fn judged(world: &World, approvals: &Approvals) -> ApprovedPlan {
    judged_with(
        world,
        Removals::default(),
        Populations::default(),
        approvals,
    )
}

fn by_changes(hashes: impl IntoIterator<Item = ChangeHash>) -> Approvals {
    Approvals {
        changes: hashes.into_iter().collect(),
        ..Approvals::default()
    }
}

fn manual(world: World) -> World {
    world.target(|target| target.approval = Approval::Manual)
}

fn hours(hours: i64) -> Timestamp {
    in_hours(hours)
}

#[test]
fn approved_changes_run_beside_new_ones_that_wait() {
    let world = manual(World::onelogin().wants("a").wants("b"));
    let approvals = by_changes(world.plan().change_hashes());
    let all = judged(&world, &approvals);
    assert!(all.is_clean());
    let more = judged(&world.wants("c"), &approvals);
    let target = &more.targets()[0];
    assert_eq!(runs(target), ["create a", "create b"]);
    assert!(target.changes().all(ApprovedChange::is_approved));
    assert!(!target.is_approved());
    assert_eq!(
        messages(target),
        ["iam/it says `approval: Manual`, and 1 of 3 changes are not approved"]
    );
    assert_eq!(target.refusal_of(2).unwrap().rule, Rule::ManualApproval);
}

#[test]
fn an_approved_change_runs_although_a_liftable_rule_stands_against_it() {
    let takeover = World::onelogin().has("a").wants_so("a", |wanted| {
        wanted.description = Some("other".to_owned());
    });
    assert_eq!(takeover.says(), ["update a: description; takeover"]);
    let approvals = by_changes(takeover.plan().change_hashes());
    assert!(judged(&takeover, &approvals).has_runs());
    let operations = |live: &mut crate::model::LiveScope| {
        live.consumers = crate::model::Consumers::Usages(2);
    };
    let in_use = World::of(crate::model::System::Wso2Publisher);
    let in_use = in_use.has_so("a", operations).owns("a", Created);
    let approvals = by_changes(in_use.plan().change_hashes());
    assert_eq!(rules(&judged(&in_use, &approvals)), [Rule::InUse]);
}

#[test]
fn approved_and_new_removals_count_together_and_only_the_approved_ones_run() {
    let approvals = by_changes(team(World::onelogin(), "a", 10, 3).plan().change_hashes());
    let world = team(World::onelogin(), "a", 10, 5);
    let judged = judged(&world, &approvals);
    let target = &judged.targets()[0];
    assert_eq!(
        messages(target),
        ["5 of 10 scopes from namespace a would go; at most 30 % may go"]
    );
    assert_eq!(runs(target), ["delete a:00", "delete a:01", "delete a:02"]);
    assert!(!target.frozen().is_empty());
}

#[test]
fn where_the_target_stops_an_approved_change_runs_all_the_same_but_into_no_unknown_inventory() {
    let mut world = team(World::onelogin(), "a", 10, 5);
    let hashes = world.plan().change_hashes();
    let stopped = |world: &World| {
        let plan = crate::plan::Plan {
            mode: crate::plan::Mode::Sync,
            paths: Vec::new(),
            targets: vec![world.plan()],
        };
        plan.approve(&[].into(), &by_changes(hashes[..2].to_vec()), now())
    };
    assert_eq!(
        runs(&stopped(&world).targets()[0]),
        ["delete a:00", "delete a:01"]
    );
    world.owned.known = false;
    assert!(!stopped(&world).has_runs());
}

#[test]
fn what_has_unknown_consumers_is_approved_by_its_plan_alone() {
    let world = manual(World::wso2().made("a").wants("b"));
    let plan = world.plan();
    let approvals = by_changes(plan.change_hashes());
    assert_eq!(runs(&judged(&world, &approvals).targets()[0]), ["create b"]);
    let whole = Approvals::from(vec![plan.digest()]);
    assert!(judged(&world, &whole).is_clean());
}

#[test]
fn what_is_used_up_approves_nothing_although_a_manifest_names_it() {
    let world = manual(World::onelogin().wants("a"));
    let digest = world.plan().digest();
    let text = digest.to_string();
    let world = world.target(|target| target.approved_plan = Some(text));
    assert!(judged(&world, &Approvals::default()).has_runs());
    let used_up = Approvals {
        used_up: vec![digest],
        ..Approvals::default()
    };
    assert!(!judged(&world, &used_up).has_runs());
}

/// Plans of ever more scopes, each another plan.
fn plans(count: usize) -> Vec<TargetPlan> {
    let worlds = (1..=count)
        .map(|n| (0..n).fold(World::onelogin(), |world, n| world.wants(&format!("s{n}"))));
    worlds.map(|world| world.plan()).collect()
}

#[test]
fn the_last_five_plans_are_remembered_and_the_one_that_is_approved() {
    let (plans, mut log) = (plans(8), ApprovalLog::default());
    let first = plans[0].digest();
    for plan in &plans {
        log.wait(plan, Some(&first), now());
        log.wait(plan, Some(&first), hours(1));
    }
    let kept: Vec<&Digest> = log.pending.iter().map(|plan| &plan.digest).collect();
    let expected: Vec<Digest> = [0, 4, 5, 6, 7].map(|n| plans[n].digest()).into();
    assert_eq!(kept, expected.iter().collect::<Vec<_>>());
    assert!(log.pending.iter().all(|plan| plan.since == now()));
    let hashes: BTreeSet<ChangeHash> = plans[7].change_hashes().into_iter().collect();
    assert_eq!(
        approved_changes(&log.pending, &plans[7].digest()),
        ApprovedChanges::Known(hashes)
    );
    assert_eq!(
        approved_changes(&log.pending, &plans[1].digest()),
        ApprovedChanges::Unknown
    );
}

#[test]
fn an_approval_holds_over_as_many_runs_as_its_changes_take() {
    let (plans, mut log) = (plans(3), ApprovalLog::default());
    let (small, large) = (&plans[1], &plans[2]);
    log.wait(small, None, now());
    let digest = small.digest();
    let hashes = small.change_hashes();
    // A third change came, and so it is another plan: the two of before are approved still.
    let approvals = log.approvals(&digest, large, hours(1)).unwrap();
    assert_eq!(approvals, by_changes(hashes.clone()));
    log.made(&digest, &[hashes[0].clone()].into(), hours(1));
    let approvals = log.approvals(&digest, large, hours(2)).unwrap();
    assert_eq!(approvals, by_changes([hashes[1].clone()]));
    // The last one ends it: none of them is made again by it.
    log.made(&digest, &[hashes[1].clone()].into(), hours(2));
    let over = log.approvals(&digest, small, hours(3)).unwrap();
    assert_eq!((over.changes.len(), over.used_up), (0, vec![digest]));
}

#[test]
fn an_approval_ends_a_day_after_it_was_seen_and_is_used_up_for_a_month() {
    let (plans, mut log) = (plans(1), ApprovalLog::default());
    let (plan, digest) = (&plans[0], plans[0].digest());
    log.wait(plan, None, now());
    // It waited for longer than an approval lasts.
    let seen = hours(100);
    let counts = |log: &mut ApprovalLog, at| {
        let approvals = log.approvals(&digest, plan, at).unwrap();
        (
            approvals.digests.len(),
            approvals.changes.len(),
            approvals.used_up.len(),
        )
    };
    assert_eq!(counts(&mut log, seen), (1, 1, 0));
    assert_eq!(counts(&mut log, hours(123)), (1, 1, 0));
    assert_eq!(counts(&mut log, hours(124)), (0, 0, 1));
    // As long as the manifest names it, and for a month after.
    let late = hours(124 + 40 * 24);
    assert_eq!(counts(&mut log, late), (0, 0, 1));
    log.forget(None, hours(124 + 31 * 24 - 1));
    assert_eq!(log.given.len(), 1);
    log.forget(None, hours(124 + 31 * 24));
    assert_eq!(log.given.len(), 0);
}

#[test]
fn a_plan_that_was_never_pending_has_to_be_the_one_at_hand() {
    let (plans, mut log) = (plans(2), ApprovalLog::default());
    let (approved, planned) = (plans[0].digest(), plans[1].digest());
    let stale = log.approvals(&approved, &plans[1], now());
    assert_eq!(
        stale,
        Err(PlanStale {
            approved: approved.clone(),
            planned
        })
    );
    assert_eq!(log, ApprovalLog::default());
    let exact = log.approvals(&approved, &plans[0], now()).unwrap();
    assert_eq!(exact.digests, std::slice::from_ref(&approved));
    // From then on its changes are known, so that a run that does a part of them is followed by another.
    let next = log.approvals(&approved, &plans[1], hours(1)).unwrap();
    assert_eq!(next, by_changes(plans[0].change_hashes()));
}

#[test]
fn what_is_kept_of_approvals_is_read_as_it_is_written() {
    let (plans, mut log) = (plans(1), ApprovalLog::default());
    log.approvals(&plans[0].digest(), &plans[0], now()).unwrap();
    let text = serde_json::to_string(&log).unwrap();
    assert_eq!(serde_json::from_str::<ApprovalLog>(&text).unwrap(), log);
    let pending = PendingPlan::of(&plans[0], now());
    let text = serde_json::to_string(&pending).unwrap();
    assert!(serde_json::from_str::<PendingPlan>(&text.replace("sha256:", "")).is_err());
    let hash = plans[0].change_hashes()[0].to_string();
    assert!(serde_json::from_str::<PendingPlan>(&text.replace(&hash, &hash[1..])).is_err());
}

#[test]
fn a_write_elsewhere_leaves_an_approval_as_it_is() {
    let mut world = manual(World::onelogin().wants("a").wants("b"));
    let mut log = ApprovalLog::default();
    let plan = world.plan();
    log.wait(&plan, None, now());
    world.owned.record(Record::Write);
    world = world.made("a");
    let approvals = log.approvals(&plan.digest(), &world.plan(), now()).unwrap();
    assert_eq!(runs(&judged(&world, &approvals).targets()[0]), ["create b"]);
}

#[test]
fn plans_that_wait_take_no_more_room_than_one_large_one() {
    let world = manual(World::onelogin()).wants("a");
    let text = serde_json::to_string(&world.plan().change_hashes()[0]).unwrap();
    let hash = |n: usize| -> ChangeHash {
        let digits = text.trim_end_matches('"');
        let other = format!("{}{n:06}\"", &digits[..digits.len() - 6]);
        serde_json::from_str(&other).unwrap()
    };
    let waiting = |name: &str, count: usize| PendingPlan {
        digest: manual(World::onelogin()).wants(name).plan().digest(),
        since: hours(0),
        hashes: (0..count).map(hash).collect(),
    };
    let mut log = ApprovalLog {
        pending: vec![
            waiting("w", 3_000),
            waiting("x", 5_000),
            waiting("y", 4_000),
        ],
        ..ApprovalLog::default()
    };
    let named = log.pending[0].digest.clone();
    log.wait(&world.plan(), Some(&named), hours(1));
    let kept: Vec<usize> = log.pending.iter().map(|plan| plan.hashes.len()).collect();
    assert_eq!(kept, [3_000, 4_000, 1]);
    // The latest and the one that the manifest names stay whatever they take.
    log.pending.push(waiting("z", 9_000));
    log.wait(&world.plan(), Some(&named), hours(2));
    let kept: Vec<usize> = log.pending.iter().map(|plan| plan.hashes.len()).collect();
    assert_eq!(kept, [3_000, 1]);
}
