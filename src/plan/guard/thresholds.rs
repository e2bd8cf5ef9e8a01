//! The threshold rules: how many removals are too many.
//!
//! | measured | where | a refusal withholds, under [`OnThreshold::Withhold`] |
//! |---|---|---|
//! | a kind, or one holder | what comes from one namespace | every removal from that namespace |
//! | a kind | the target | every removal |
//! | one holder | the target | that holder's |
//!
//! Namespaces come first, and what they have withheld is not about to go from the target. What somebody approved counts
//! with the rest, and is not withheld.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Limits, OnThreshold};
use crate::model::target::Thresholds;
use crate::model::{Counted, Measure, PastRemoval, Populations, Record};
use crate::plan::TargetPlan;
use crate::plan::rule::{Refusal, Rule, WayThrough};

/// What the thresholds say of a plan.
#[derive(Debug, Default)]
pub(super) struct Exceeded {
    /// The refusals that stand.
    pub(super) refusals: Vec<Refusal>,
    /// The changes that they withhold, each with the place of its refusal among them.
    pub(super) withheld: BTreeMap<usize, usize>,
    /// The populations that what stands was measured against.
    pub(super) frozen: Populations,
}

/// What of a plan counts for one measure.
#[derive(Default)]
struct Tally {
    count: u64,
    changes: BTreeSet<usize>,
}

struct Judge<'p> {
    plan: &'p TargetPlan,
    limits: &'p Limits,
    approved: &'p BTreeSet<usize>,
    earlier: Populations,
    labels: BTreeMap<&'p str, &'p str>,
    exceeded: Exceeded,
}

/// Measures the removals of a plan; `approved` are the changes that somebody approved.
pub(super) fn judge(
    plan: &TargetPlan,
    limits: &Limits,
    approved: &BTreeSet<usize>,
    now: Timestamp,
) -> Exceeded {
    let mut labels = BTreeMap::new();
    for change in &plan.changes {
        let holders = change
            .removals
            .iter()
            .filter_map(|removal| removal.holder.as_deref());
        labels.extend(holders.map(|holder| (holder, change.object.label.as_str())));
    }
    let mut judge = Judge {
        plan,
        limits,
        approved,
        earlier: earlier(plan, limits, now),
        labels,
        exceeded: Exceeded::default(),
    };
    if limits.on_threshold == OnThreshold::Withhold {
        judge.round(|measure| measure.namespace.is_some());
    }
    judge.round(|measure| measure.namespace.is_none());
    judge.exceeded
}

/// The removals of the window. What the plan's own reading shows not to have been made does not count.
fn earlier(plan: &TargetPlan, limits: &Limits, now: Timestamp) -> Populations {
    let seconds = i64::try_from(limits.thresholds.window_seconds).unwrap_or(i64::MAX);
    let window = SignedDuration::from_secs(seconds);
    let is_recent =
        |past: &&PastRemoval| (SignedDuration::ZERO..window).contains(&now.duration_since(past.at));
    let not_made = |past: &PastRemoval| {
        let mut learned = plan.records.iter();
        learned.any(|record| matches!(record, Record::NotRemoved(removal) if removal == past))
    };
    let mut earlier = Populations::default();
    let made = limits.window.0.iter().filter(is_recent);
    for past in made.filter(|past| !not_made(past)) {
        earlier.add(&past.removal);
    }
    earlier
}

impl Judge<'_> {
    /// Holds what is about to go against the limits, by these measures.
    fn round(&mut self, is_meant: impl Fn(&Measure) -> bool) {
        let mut whole: BTreeSet<(Option<String>, Counted)> = BTreeSet::new();
        for (measure, tally) in self.tallies(is_meant) {
            // The population is never more than it was when the refusal first stood: growth does not lift it.
            let earlier = self.earlier.get(&measure).unwrap_or_default();
            let owned = self.plan.populations.get(&measure).unwrap_or_default();
            let frozen = self.limits.frozen.get(&measure).unwrap_or(u64::MAX);
            let population = owned.saturating_add(earlier).min(frozen);
            let label = measure.holder.as_deref();
            let label = label.map(|holder| self.labels.get(holder).copied().unwrap_or(holder));
            let numbers = (tally.count, earlier, population);
            let exceeds = exceeds(&self.limits.thresholds, &measure, label, numbers);
            let Some(refusal) = exceeds.filter(|_| !tally.changes.is_subset(self.approved)) else {
                continue;
            };
            self.exceeded.frozen.set(measure.clone(), population);
            // Where the whole kind is stopped, that says it: its holders come after it, and are not told apart.
            let kind = (measure.namespace.clone(), measure.counted);
            if whole.contains(&kind) {
                continue;
            }
            if measure.holder.is_none() {
                whole.insert(kind);
            }
            self.withhold(&measure, tally.changes);
            self.exceeded.refusals.push(refusal);
        }
    }

    fn tallies(&self, is_meant: impl Fn(&Measure) -> bool) -> BTreeMap<Measure, Tally> {
        let mut tallies: BTreeMap<Measure, Tally> = BTreeMap::new();
        for (index, change) in self.plan.changes.iter().enumerate() {
            if self.exceeded.withheld.contains_key(&index) {
                continue;
            }
            for removal in &change.removals {
                for measure in removal.measures().filter(&is_meant) {
                    let tally = tallies.entry(measure).or_default();
                    tally.count = tally.count.saturating_add(removal.count);
                    tally.changes.insert(index);
                }
            }
        }
        tallies
    }

    /// Withholds what the next refusal stops, but for what is approved.
    fn withhold(&mut self, measure: &Measure, counted: BTreeSet<usize>) {
        let place = self.exceeded.refusals.len();
        let changes = self.plan.changes.iter().enumerate();
        let from = |namespace: &String| {
            let of = changes.clone().filter(|(_, change)| {
                let mut removals = change.removals.iter();
                removals.any(|removal| removal.namespaces.contains(namespace))
            });
            of.map(|(index, _)| index).collect()
        };
        let meant: BTreeSet<usize> = match (&measure.namespace, &measure.holder) {
            (Some(namespace), _) => from(namespace),
            (None, Some(_)) => counted,
            (None, None) => {
                let of = changes
                    .clone()
                    .filter(|(_, change)| !change.removals.is_empty());
                of.map(|(index, _)| index).collect()
            }
        };
        for index in meant.difference(self.approved) {
            self.exceeded.withheld.entry(*index).or_insert(place);
        }
    }
}

/// The rule that these numbers break, if they do.
fn exceeds(
    thresholds: &Thresholds,
    measure: &Measure,
    label: Option<&str>,
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
    let what = match (measure.counted, label) {
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
    let namespace = measure.namespace.clone();
    let place = match &namespace {
        Some(namespace) => format!(" from namespace {namespace}"),
        None => String::new(),
    };
    let message = format!("{removals} of {population} {what}{place} would go{before}; {bound}");
    Some(Refusal {
        namespace,
        ..Refusal::whole(rule, message, WayThrough::Review).counted(limit, actual)
    })
}
