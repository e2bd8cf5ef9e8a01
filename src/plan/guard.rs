//! The guard: what of a plan may run. The only maker of an [`ApprovedPlan`].
//!
//! Rules on single changes and objects come with the plan. Here the removals are counted against the target's thresholds,
//! together with those of the window before, and approvals are weighed. What each rule stops is in [`rule`](super::rule).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use jiff::Timestamp;

use super::change::Change;
use super::digest::{ChangeHash, Digest};
use super::rule::{Refusal, Rule, Stops, WayThrough};
use super::{Mode, Plan, PlannedChange, SkipReason, Summary, TargetPlan};
use crate::model::target::{Approval, Thresholds};
use crate::model::{Populations, Removals, TargetId};

mod thresholds;

/// What the guard measures one target against.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The target's thresholds.
    pub thresholds: Thresholds,
    /// What was removed before.
    pub window: Removals,
    /// What becomes of a target with more removals than that.
    pub on_threshold: OnThreshold,
    /// What [`ApprovedTarget::frozen`] gave when this target was judged last.
    pub frozen: Populations,
}

/// What a threshold that is exceeded stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnThreshold {
    /// The target: somebody waits for the answer, and decides.
    #[default]
    Stop,
    /// Its removals and what needs them, those of each namespace by themselves first: nobody waits, and what grows goes on.
    Withhold,
}

/// What somebody approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Plans, of a target or of a run: all that stands in that very plan.
    pub digests: Vec<Digest>,
    /// Changes, in whatever plan they come out identically; but not those of which nobody can tell who loses by them.
    pub changes: BTreeSet<ChangeHash>,
    /// Plans that a manifest may name, and that are approved no more.
    pub used_up: Vec<Digest>,
}

/// A plan with the guard's word on every change.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedPlan {
    mode: Mode,
    paths: Vec<String>,
    digest: Digest,
    targets: Vec<ApprovedTarget>,
}

/// A target's plan, and what of it may run.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedTarget {
    plan: TargetPlan,
    digest: Digest,
    /// Whether the plan is approved as a whole.
    approved: bool,
    /// The changes that are approved.
    approved_changes: BTreeSet<usize>,
    runs: BTreeSet<usize>,
    refusals: Vec<Refusal>,
    /// Changes that a refusal of the target or of a namespace stops, with its place among the refusals.
    stopped: BTreeMap<usize, usize>,
    on_threshold: OnThreshold,
    frozen: Populations,
}

/// A change that may run: the only thing that a provider writes.
///
/// Nobody but the guard makes one:
///
/// ```compile_fail,E0451
/// # use scopeward::plan::{PlannedChange, guard::ApprovedChange};
/// fn smuggle(planned: &PlannedChange) -> ApprovedChange<'_> {
///     ApprovedChange { planned, index: 0, is_approved: true }
/// }
/// ```
///
/// It is had from a target that was judged, for a change that no rule stops:
///
/// ```
/// # use scopeward::plan::guard::{ApprovedChange, ApprovedTarget};
/// fn first(target: &ApprovedTarget) -> Option<ApprovedChange<'_>> {
///     target.change(0)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ApprovedChange<'a> {
    planned: &'a PlannedChange,
    index: usize,
    is_approved: bool,
}

impl<'a> ApprovedChange<'a> {
    /// The change with its reason, and what the inventory records of it.
    pub fn planned(self) -> &'a PlannedChange {
        self.planned
    }

    /// Its place in its target's plan.
    pub fn index(self) -> usize {
        self.index
    }

    /// Whether somebody approved it: then the window does not count what it removes.
    pub fn is_approved(self) -> bool {
        self.is_approved
    }
}

impl Deref for ApprovedChange<'_> {
    type Target = Change;

    fn deref(&self) -> &Change {
        &self.planned.change
    }
}

impl ApprovedPlan {
    /// Whether removals are wanted.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The run's PATHs as given.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The digest of the whole plan.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The targets with the guard's word on each, sorted.
    pub fn targets(&self) -> &[ApprovedTarget] {
        &self.targets
    }

    /// The counts of what was planned over all targets, withheld changes included.
    pub fn summary(&self) -> Summary {
        Summary::of(self.targets.iter().flat_map(|target| &target.plan.changes))
    }

    /// Whether nothing was refused.
    pub fn is_clean(&self) -> bool {
        self.targets.iter().all(|target| target.refusals.is_empty())
    }

    /// Whether there is a change that may run.
    pub fn has_runs(&self) -> bool {
        self.targets.iter().any(|target| !target.runs.is_empty())
    }
}

impl ApprovedTarget {
    /// The plan as it was made.
    pub fn plan(&self) -> &TargetPlan {
        &self.plan
    }

    /// The change at this place, if it may run.
    pub fn change(&self, index: usize) -> Option<ApprovedChange<'_>> {
        let planned = self.plan.changes.get(index)?;
        let is_approved = self.approved_changes.contains(&index);
        self.runs(index).then_some(ApprovedChange {
            planned,
            index,
            is_approved,
        })
    }

    /// What may run, in the plan's order.
    pub fn changes(&self) -> impl Iterator<Item = ApprovedChange<'_>> {
        self.runs.iter().filter_map(|&index| self.change(index))
    }

    /// The target's own digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The hashes of its changes, in their order: what an approval by changes goes by.
    pub fn change_hashes(&self) -> Vec<ChangeHash> {
        self.plan.change_hashes()
    }

    /// Whether somebody approved this very plan.
    pub fn is_approved(&self) -> bool {
        self.approved
    }

    /// Whether the change at this place may run.
    pub fn runs(&self, index: usize) -> bool {
        self.runs.contains(&index)
    }

    /// How many changes may run.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Whether the inventory may learn from this run.
    pub fn may_record(&self) -> bool {
        let is_frozen = |rule: Rule| {
            // What it is measured against does not grow by what is learned.
            self.on_threshold == OnThreshold::Withhold && rule.is_threshold()
        };
        let mut rules = self.refusals.iter().map(|refusal| refusal.rule);
        rules.all(|rule| rule.may_learn() || is_frozen(rule))
    }

    /// The populations that the thresholds that stand were measured against. Whoever judges the target again passes them in
    /// [`Limits::frozen`], or growth meanwhile would lift a refusal by itself: they are to be kept before anything of this
    /// plan is sent. What is approved, or not wanted any more, is not among them.
    pub fn frozen(&self) -> &Populations {
        &self.frozen
    }

    /// The refusal that stops the change at this place: its own, or one of its namespace or of the target. `None` where it
    /// runs, and where it only waits for another one that does not.
    pub fn refusal_of(&self, index: usize) -> Option<&Refusal> {
        if self.runs(index) {
            return None;
        }
        let own = standing(&self.plan, &self.approved_changes, index).next();
        own.or_else(|| self.refusals.get(*self.stopped.get(&index)?))
    }

    /// Whether a refusal of what did not run can be lifted.
    pub fn is_liftable(&self) -> bool {
        self.refusals
            .iter()
            .any(|refusal| refusal.rule.is_liftable())
    }

    /// What stands refused, approvals counted in.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Why the change at this place does not run: refused itself, or because of what it needs.
    pub fn why_withheld(&self, index: usize) -> Option<SkipReason> {
        if self.runs(index) {
            return None;
        }
        let planned = self.plan.changes.get(index)?;
        let waits = !planned.depends_on.iter().all(|on| self.runs(*on));
        Some(if planned.refusals.is_empty() && waits {
            SkipReason::DependencyFailed
        } else {
            SkipReason::Refused
        })
    }
}

impl Plan {
    /// Decides what may run. There is no other way to an [`ApprovedPlan`].
    ///
    /// Approvals lift what stands in a plan or against a change, but neither protection nor a conflict. A change that is
    /// approved runs although others of its target wait for a word or exceed a threshold; it counts with them.
    pub fn approve(
        self,
        limits: &BTreeMap<TargetId, Limits>,
        approvals: &Approvals,
        now: Timestamp,
    ) -> ApprovedPlan {
        let digest = self.digest();
        let all = approvals.digests.contains(&digest);
        let fallback = Limits::default();
        let targets = self.targets.into_iter().map(|plan| {
            let limits = limits.get(&plan.target).unwrap_or(&fallback);
            judge(plan, all, approvals, limits, now)
        });
        ApprovedPlan {
            mode: self.mode,
            paths: self.paths,
            digest,
            targets: targets.collect(),
        }
    }
}

impl Approvals {
    /// Whether a target's plan is approved as a whole.
    fn approve(&self, plan: &TargetPlan, digest: &Digest) -> bool {
        let is_named = plan.approved_plan.as_deref() == Some(digest.as_str());
        is_named && !self.used_up.contains(digest) || self.digests.contains(digest)
    }

    /// The changes of a plan that are approved by themselves.
    fn changes_of(&self, plan: &TargetPlan) -> BTreeSet<usize> {
        if self.changes.is_empty() {
            return BTreeSet::new();
        }
        let hashes = plan.change_hashes().into_iter().enumerate();
        let approved = hashes.filter(|(_, hash)| self.changes.contains(hash));
        let approved = approved.map(|(index, _)| index);
        approved
            .filter(|index| !plan.changes[*index].has_unknown_consumers())
            .collect()
    }
}

impl From<Vec<Digest>> for Approvals {
    fn from(digests: Vec<Digest>) -> Self {
        Self {
            digests,
            ..Self::default()
        }
    }
}

fn judge(
    plan: TargetPlan,
    all: bool,
    approvals: &Approvals,
    limits: &Limits,
    now: Timestamp,
) -> ApprovedTarget {
    let digest = plan.digest();
    let approved = all || approvals.approve(&plan, &digest);
    let places = 0..plan.changes.len();
    let approved_changes = if approved {
        places.clone().collect()
    } else {
        approvals.changes_of(&plan)
    };
    let mut whole: Vec<Refusal> = plan.refusals.clone();
    whole.retain(|refusal| !(approved && refusal.rule.is_liftable()));
    let exceeded = thresholds::judge(&plan, limits, &approved_changes, now);
    let first = whole.len();
    whole.extend(exceeded.refusals);
    whole.extend(waits(&plan, &digest, &approved_changes));
    let withheld = exceeded.withheld.into_iter();
    let mut stopped: BTreeMap<usize, usize> = withheld
        .map(|(index, place)| (index, first + place))
        .collect();
    for (place, Refusal { rule, .. }) in whole.iter().enumerate() {
        let withholds = rule.is_threshold() && limits.on_threshold == OnThreshold::Withhold;
        if rule.stops() == Stops::Target && !withholds {
            // What is approved by itself was not shown with an inventory that is not the target's.
            let all = *rule == Rule::NewInventory;
            let is_meant = |index: &usize| all || !approved_changes.contains(index);
            for index in places.clone().filter(is_meant) {
                stopped.entry(index).or_insert(place);
            }
        }
    }
    let own = |index| standing(&plan, &approved_changes, index);
    let mut runs: BTreeSet<usize> = places
        .clone()
        .filter(|index| !stopped.contains_key(index) && own(*index).next().is_none())
        .collect();
    withhold_dependents(&plan, &mut runs);
    whole.extend(places.flat_map(own).cloned());
    ApprovedTarget {
        plan,
        digest,
        approved,
        approved_changes,
        runs,
        refusals: whole,
        stopped,
        on_threshold: limits.on_threshold,
        frozen: exceeded.frozen,
    }
}

/// The refusals of a change that no approval lifts.
fn standing<'p>(
    plan: &'p TargetPlan,
    approved: &BTreeSet<usize>,
    index: usize,
) -> impl Iterator<Item = &'p Refusal> + use<'p> {
    let is_approved = approved.contains(&index);
    let refusals = plan.changes.get(index).map(|planned| &planned.refusals);
    let refusals = refusals.into_iter().flatten();
    refusals.filter(move |refusal| !(is_approved && refusal.rule.is_liftable()))
}

/// The refusal of a target that waits for a word, where there is something that nobody approved.
fn waits(plan: &TargetPlan, digest: &Digest, approved: &BTreeSet<usize>) -> Option<Refusal> {
    let (all, waiting) = (plan.changes.len(), plan.changes.len() - approved.len());
    if plan.approval != Approval::Manual || waiting == 0 {
        return None;
    }
    let target = &plan.target;
    let what = if waiting == all {
        "this plan is not the approved one".to_owned()
    } else {
        format!("{waiting} of {all} changes are not approved")
    };
    let message = format!("{target} says `approval: Manual`, and {what}");
    let way = WayThrough::Approve(digest.clone());
    Some(Refusal::whole(Rule::ManualApproval, message, way))
}

/// Takes out, along the dependencies, every change that needs one that does not run. A change may need one that stands
/// before or behind it in the list.
fn withhold_dependents(plan: &TargetPlan, runs: &mut BTreeSet<usize>) {
    let mut dependents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, planned) in plan.changes.iter().enumerate() {
        for on in &planned.depends_on {
            dependents.entry(*on).or_default().push(index);
        }
    }
    let mut stopped: Vec<usize> = (0..plan.changes.len())
        .filter(|index| !runs.contains(index))
        .collect();
    while let Some(index) = stopped.pop() {
        for dependent in dependents.get(&index).into_iter().flatten() {
            if runs.remove(dependent) {
                stopped.push(*dependent);
            }
        }
    }
}
