//! What is to be done on the targets that were read, and what of it may run: pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Wanted;
use super::reading::{Picture, Reading};
use crate::apply::failure;
use crate::inventory::Snapshot;
use crate::model::{Coverage, Owned, Populations, Removals, TargetId};
use crate::plan::guard::{Approvals, ApprovedPlan, Limits, OnThreshold};
use crate::plan::targets::{self, Orphans, Sight};
use crate::plan::{
    Failure, Mode, NewInventory, Plan, PlanOptions, SkipReason, TargetPlan, plan_target,
};

/// What a judgement depends on beside manifests, live state and inventory.
#[derive(Debug, Clone)]
pub(crate) struct Judging {
    /// Whether removals are wanted at all.
    pub(crate) mode: Mode,
    /// The PATHs of the run as they were given.
    pub(crate) paths: Vec<String>,
    /// What became of the files that the inventory names: only what a run looked for is gone.
    pub(crate) coverage: Coverage,
    /// What to do where the inventory does not know a target.
    pub(crate) new_inventory: NewInventory,
    /// What somebody approved.
    pub(crate) approvals: Approvals,
    /// What a threshold that is exceeded stops.
    pub(crate) on_threshold: OnThreshold,
    /// What the guard gave out when it judged these targets last.
    pub(crate) frozen: BTreeMap<TargetId, Populations>,
}

/// Plans every target that was read, and says what of the plan may run.
pub(crate) fn judge<P: ?Sized>(
    wanted: &Wanted,
    readings: &[Reading<P>],
    snapshot: &Snapshot,
    judging: &Judging,
    now: Timestamp,
) -> ApprovedPlan {
    let shared = targets::shared(&sights(wanted, readings));
    let options = options(wanted, readings, judging, now);
    let plan_of = |reading: &Reading<P>| {
        let desired = &reading.desired;
        let identity = reading.identity.as_ref();
        let mut plan = match &reading.picture {
            Picture::Suspended => TargetPlan::empty(desired, judging.mode),
            Picture::Failed(error) => stopped(reading, judging.mode, failure(error)),
            Picture::Live(live) => match identity.and_then(|identity| shared.get(identity)) {
                Some(others) => stopped(reading, judging.mode, one_place(others)),
                None => plan_target(
                    desired,
                    live,
                    &snapshot.owned(&live.identity),
                    &options[&desired.target.id],
                ),
            },
        };
        plan.requests = reading.requests;
        plan
    };
    let plan = Plan {
        mode: judging.mode,
        paths: judging.paths.clone(),
        targets: readings.iter().map(plan_of).collect(),
    };
    plan.approve(
        &limits(readings, snapshot, judging),
        &judging.approvals,
        now,
    )
}

/// What the inventory holds of places that no manifest leads to any more: reported, never deleted. Only a run that sees all
/// of the manifests can tell.
pub(crate) fn orphans<P: ?Sized>(
    wanted: &Wanted,
    readings: &[Reading<P>],
    snapshot: &Snapshot,
    coverage: &Coverage,
) -> Vec<Orphans> {
    if wanted.is_invalid() {
        return Vec::new();
    }
    let is_declared_here = |owned: &Owned| {
        let scopes = owned.scopes.values().map(|entry| &entry.source);
        let mut sources = scopes.chain(owned.apps.values().map(|entry| &entry.source));
        sources.any(|source| coverage.of(&source.file).may_remove())
    };
    let known = snapshot.identities();
    let known = known.filter(|(_, _, owned)| is_declared_here(owned));
    targets::orphans(&sights(wanted, readings), known)
}

/// The options of planning each target.
pub(super) fn options<P: ?Sized>(
    wanted: &Wanted,
    readings: &[Reading<P>],
    judging: &Judging,
    now: Timestamp,
) -> BTreeMap<TargetId, PlanOptions> {
    let twins = targets::with_unread_twins(&sights(wanted, readings));
    let of = |reading: &Reading<P>| {
        let target = reading.desired.target.id.clone();
        let twin = twins.contains(&target).then_some(SkipReason::UnreadTarget);
        let options = PlanOptions {
            mode: judging.mode,
            now,
            coverage: judging.coverage.clone(),
            removal_block: wanted.gap.or(twin),
            new_inventory: judging.new_inventory,
        };
        (target, options)
    };
    readings.iter().map(of).collect()
}

/// Every Target of the manifests as this run sees it.
fn sights<'a, P: ?Sized>(wanted: &'a Wanted, readings: &'a [Reading<P>]) -> Vec<Sight<'a>> {
    let others = wanted.others.iter().map(|other| Sight {
        target: &other.target,
        identity: other.identity.as_ref(),
        is_read: false,
    });
    readings.iter().map(Reading::sight).chain(others).collect()
}

/// The plan of a target on which nothing can be planned.
fn stopped<P: ?Sized>(reading: &Reading<P>, mode: Mode, error: Failure) -> TargetPlan {
    let mut plan = TargetPlan::empty(&reading.desired, mode);
    plan.error = Some(error);
    plan
}

fn one_place(targets: &[TargetId]) -> Failure {
    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    Failure {
        reason: "shared_identity",
        status: None,
        message: format!("targets {} are one live place", names.join(" and ")),
        help: Some("keep one of them".to_owned()),
    }
}

/// What the guard measures each target against.
fn limits<P: ?Sized>(
    readings: &[Reading<P>],
    snapshot: &Snapshot,
    judging: &Judging,
) -> BTreeMap<TargetId, Limits> {
    let limits = |reading: &Reading<P>| {
        let target = &reading.desired.target;
        let window = match reading.live() {
            Some(live) => snapshot.removals(&live.identity),
            None => Removals::default(),
        };
        let limits = Limits {
            thresholds: target.safety,
            window,
            on_threshold: judging.on_threshold,
            frozen: judging.frozen.get(&target.id).cloned().unwrap_or_default(),
        };
        (target.id.clone(), limits)
    };
    readings.iter().map(limits).collect()
}
