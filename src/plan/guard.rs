//! The guard: what of a plan may run. The only maker of an [`ApprovedPlan`].
//!
//! Rules on single changes and objects come with the plan. Here the removals are counted against the target's thresholds,
//! together with those of the window before, and approvals are weighed. What each rule stops is in [`rule`](super::rule).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use jiff::{SignedDuration, Timestamp};

use super::change::Change;
use super::digest::Digest;
use super::rule::{Refusal, Rule, Stops, WayThrough};
use super::{Mode, Plan, PlannedChange, SkipReason, Summary, TargetPlan};
use crate::model::target::{Approval, Thresholds};
use crate::model::{Counted, PastRemoval, Record, Removal, Removals, TargetId};

/// What the guard measures one target against.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The target's thresholds.
    pub thresholds: Thresholds,
    /// What was removed before.
    pub window: Removals,
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
    approved: bool,
    runs: BTreeSet<usize>,
    refusals: Vec<Refusal>,
}

/// A change that may run: the only thing that a provider writes.
///
/// Nobody but the guard makes one:
///
/// ```compile_fail,E0451
/// # use scopeward::plan::{PlannedChange, guard::ApprovedChange};
/// fn smuggle(planned: &PlannedChange) -> ApprovedChange<'_> {
///     ApprovedChange { planned, index: 0 }
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
        self.runs(index)
            .then_some(ApprovedChange { planned, index })
    }

    /// What may run, in the plan's order.
    pub fn changes(&self) -> impl Iterator<Item = ApprovedChange<'_>> {
        self.runs.iter().filter_map(|&index| self.change(index))
    }

    /// The target's own digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
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
        self.refusals.iter().all(|refusal| refusal.rule.may_learn())
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
    /// `approvals` are the digests that somebody passed, of a target or of the whole plan; they lift what stands in that
    /// very plan, but neither protection nor a conflict.
    pub fn approve(
        self,
        limits: &BTreeMap<TargetId, Limits>,
        approvals: &[Digest],
        now: Timestamp,
    ) -> ApprovedPlan {
        let digest = self.digest();
        let all = approvals.contains(&digest);
        let fallback = Limits::default();
        let targets = self.targets.into_iter().map(|plan| {
            let own = plan.digest();
            let named = plan.approved_plan.as_deref() == Some(own.as_str());
            let approved = all || named || approvals.contains(&own);
            let limits = limits.get(&plan.target).unwrap_or(&fallback);
            judge(plan, own, approved, limits, now)
        });
        ApprovedPlan {
            mode: self.mode,
            paths: self.paths,
            digest,
            targets: targets.collect(),
        }
    }
}

fn judge(
    plan: TargetPlan,
    digest: Digest,
    approved: bool,
    limits: &Limits,
    now: Timestamp,
) -> ApprovedTarget {
    let stands = |refusal: &Refusal| !(approved && refusal.rule.is_liftable());
    let mut whole: Vec<Refusal> = plan
        .refusals
        .iter()
        .filter(|r| stands(r))
        .cloned()
        .collect();
    whole.extend(thresholds(&plan, limits, now).into_iter().filter(&stands));
    if plan.approval == Approval::Manual && !approved && !plan.changes.is_empty() {
        let message = format!(
            "{} says `approval: Manual`, and this plan is not the approved one",
            plan.target
        );
        let way = WayThrough::Approve(digest.clone());
        whole.push(Refusal::whole(Rule::ManualApproval, message, way));
    }
    let target_stopped = whole
        .iter()
        .any(|refusal| refusal.rule.stops() == Stops::Target);
    let mut runs = BTreeSet::new();
    if !target_stopped {
        runs.extend(
            (0..plan.changes.len()).filter(|&i| !plan.changes[i].refusals.iter().any(&stands)),
        );
    }
    withhold_dependents(&plan, &mut runs);
    let refusals = whole
        .into_iter()
        .chain(
            plan.changes
                .iter()
                .flat_map(|c| &c.refusals)
                .filter(|r| stands(r))
                .cloned(),
        )
        .collect();
    ApprovedTarget {
        plan,
        digest,
        approved,
        runs,
        refusals,
    }
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

/// The threshold rules: per kind over the whole target, and per holder.
fn thresholds(plan: &TargetPlan, limits: &Limits, now: Timestamp) -> Vec<Refusal> {
    let mut planned: BTreeMap<(Counted, Option<&str>), u64> = BTreeMap::new();
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    for change in &plan.changes {
        for removal in &change.removals {
            add(&mut planned, removal);
            if let Some(holder) = &removal.holder {
                labels.insert(holder, &change.object.label);
            }
        }
    }
    let window = SignedDuration::from_secs(
        i64::try_from(limits.thresholds.window_seconds).unwrap_or(i64::MAX),
    );
    let mut before: BTreeMap<(Counted, Option<&str>), u64> = BTreeMap::new();
    // What the plan's own reading shows not to have been made does not count.
    let not_made = |past: &PastRemoval| {
        let mut learned = plan.records.iter();
        learned.any(|record| matches!(record, Record::NotRemoved(removal) if removal == past))
    };
    for past in limits
        .window
        .0
        .iter()
        .filter(|past| (SignedDuration::ZERO..window).contains(&now.duration_since(past.at)))
        .filter(|past| !not_made(past))
    {
        add(&mut before, &past.removal);
    }
    let mut refusals = Vec::new();
    let mut whole: BTreeSet<Counted> = BTreeSet::new();
    for (&(counted, holder), &count) in &planned {
        let earlier = before.get(&(counted, holder)).copied().unwrap_or_default();
        let key = (counted, holder.map(str::to_owned));
        let population = plan.populations.0.get(&key).copied().unwrap_or_default();
        let label = holder.map(|holder| labels.get(holder).copied().unwrap_or(holder));
        let numbers = (count, earlier, population.saturating_add(earlier));
        // Where the whole kind is stopped, that says it: its holders come after it, and are not told apart.
        if !whole.contains(&counted)
            && let Some(refusal) = exceeds(&limits.thresholds, counted, label, numbers)
        {
            if holder.is_none() {
                whole.insert(counted);
            }
            refusals.push(refusal);
        }
    }
    refusals
}

/// Counts a removal over its kind and over its holder.
fn add<'r>(counts: &mut BTreeMap<(Counted, Option<&'r str>), u64>, removal: &'r Removal) {
    let holder = removal.holder.as_deref().map(Some);
    for of in [None].into_iter().chain(holder) {
        let count = counts.entry((removal.counted, of)).or_default();
        *count = count.saturating_add(removal.count);
    }
}

/// The rule that these numbers break, if they do.
fn exceeds(
    thresholds: &Thresholds,
    counted: Counted,
    holder: Option<&str>,
    (planned, earlier, population): (u64, u64, u64),
) -> Option<Refusal> {
    let removals = planned.saturating_add(earlier);
    let share = removals.saturating_mul(100);
    let (rule, limit, actual) = if removals > thresholds.max_removals {
        (Rule::MaxRemovals, thresholds.max_removals, removals)
    } else if population >= thresholds.min_population {
        if share <= thresholds.max_removal_percent.saturating_mul(population) {
            return None;
        }
        (
            Rule::MaxRemovalPercent,
            thresholds.max_removal_percent,
            share.div_ceil(population.max(1)),
        )
    } else if removals >= 2 && removals.saturating_mul(2) > population {
        (Rule::MoreThanHalf, population / 2, removals)
    } else {
        return None;
    };
    let what = match (counted, holder) {
        (Counted::Scopes, _) => "scopes".to_owned(),
        (Counted::Apps, _) => "apps".to_owned(),
        (Counted::Roles, None) => "roles of scopes".to_owned(),
        (Counted::AppScopes, None) => "scopes of apps".to_owned(),
        (Counted::Roles, Some(holder)) => format!("roles of {holder}"),
        (Counted::AppScopes, Some(holder)) => format!("scopes of {holder}"),
    };
    let before = if earlier > 0 {
        format!(", {earlier} of them earlier in the window")
    } else {
        String::new()
    };
    let bound = match rule {
        Rule::MaxRemovals => format!("at most {limit} may go"),
        Rule::MaxRemovalPercent => format!("at most {limit} % may go"),
        _ => "not more than half may go at once".to_owned(),
    };
    let message = format!("{removals} of {population} {what} would go{before}; {bound}");
    Some(Refusal::whole(rule, message, WayThrough::Review).counted(limit, actual))
}
