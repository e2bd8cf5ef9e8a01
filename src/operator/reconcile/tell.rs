//! What a run is told as: statuses, events, metrics.

use super::judge::in_cluster;
use super::{Done, REQUESTED_AT, Reconciler, SHORTLY, Short};
use crate::apply::Outcome;
use crate::apply::TargetReport;
use crate::cluster::objects::Key;
use crate::cluster::objects::Object;
use crate::manifest::crd::LastRun;
use crate::manifest::crd::PendingPlan;
use crate::manifest::crd::TargetStatus;
use crate::model::InCluster;
use crate::model::Owned;
use crate::model::TargetId;
use crate::operator::Context;
use crate::operator::World;
use crate::operator::events;
use crate::operator::metrics::PlanCounts;
use crate::operator::publish;
use crate::operator::status;
use crate::operator::status::Ran;
use crate::operator::status::Reason;
use crate::operator::status::State;
use crate::operator::status::Verdict;
use crate::plan::PlannedChange;
use crate::plan::SkipReason;
use crate::plan::change::Change;
use crate::plan::guard::ApprovedTarget;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

impl Reconciler {
    /// Says what a run found and did, and when to run again.
    pub(super) async fn tell(
        &self,
        world: &World,
        object: &Object,
        done: &Done,
        took: Duration,
    ) -> Option<Duration> {
        let approved = &done.approved.targets()[0];
        let desired = world.targets.get(&self.target)?;
        let ran = Ran {
            desired,
            approved,
            report: done.report.as_ref(),
            owned: &self.owned,
        };
        let states = ran.states(|file| world.generation(file));
        let states = states.into_iter();
        let states = states.filter_map(|(file, state)| Some((Key::of(&file)?, state)));
        let states: BTreeMap<Key, State> = states.collect();
        let known = self.context.board.known(&self.target, states.keys());
        let told = events::of_run(approved, done.report.as_ref(), (&known, &states));
        let shortfall = done.shortfall().max(ran.shortfall());
        let now = Timestamp::now();
        self.count(
            approved,
            done.report.as_ref(),
            shortfall.as_ref().map(|(reason, _)| *reason),
            took,
        );
        // What a watch showed of it since the run began.
        let latest = self.context.store.get(&self.key());
        let object = latest.as_deref().unwrap_or(object);
        let before: TargetStatus = publish::said_before(object);
        let verdict = match &shortfall {
            None => Verdict {
                reason: Reason::Synced,
                message: "live is as declared".to_owned(),
                is_ready: true,
                is_drifted: false,
                ready: status::REACHED,
            },
            Some((reason, message)) => Verdict {
                reason: *reason,
                message: message.clone(),
                is_ready: true,
                is_drifted: ran.counts().drifted > 0,
                ready: status::REACHED,
            },
        };
        let withheld = ran.withheld();
        let next = TargetStatus {
            last_handled_reconcile_at: object.annotation(REQUESTED_AT).map(str::to_owned),
            objects: Some(ran.counts()),
            last_run: last_run(done, now).or_else(|| before.last_run.clone()),
            pending_plan: done.pending_plan(),
            inventory: done.witness.clone().or_else(|| before.inventory.clone()),
            withheld: (withheld.count > 0).then_some(withheld),
            ..before
        };
        let next = status::target(&verdict, &next, object.generation, now);
        self.context.board.states(&self.target, states).await;
        self.context.board.target(object, &next).await;
        self.context.events.tell(object, told).await;
        self.after(done, &ran, shortfall.map(|(reason, _)| reason))
    }

    /// When to run again; `None` is the interval.
    fn after(&self, done: &Done, ran: &Ran<'_>, shortfall: Option<Reason>) -> Option<Duration> {
        let is_transient = matches!(
            shortfall,
            Some(
                Reason::InProgress
                    | Reason::Moved
                    | Reason::DependencyFailed
                    | Reason::ObserveIncomplete
            )
        );
        // Behind whatever stands there may be a slice that goes on, or a plan that what was written made another one.
        let goes_on = done.goes_on();
        let has_written = done.report.as_ref().is_some_and(|report| report.writes > 0);
        // What did not work for a reason that may pass is tried again before the interval is over.
        let may_pass = matches!(shortfall, Some(Reason::Unreachable | Reason::RateLimited));
        if may_pass {
            return Some(super::PASSING);
        }
        if is_transient || goes_on || (has_written && done.pending.is_some()) {
            Some(SHORTLY)
        } else if ran.is_delayed() {
            Some(self.context.settings.deletion_delay.max(SHORTLY))
        } else {
            None
        }
    }

    /// Says why a run had no plan.
    pub(super) async fn tell_short(
        &self,
        world: &World,
        object: &Object,
        short: &Short,
        took: Duration,
    ) {
        let result = match short.reason {
            Reason::Suspended => "suspended",
            reason if reason.is_stalled() => "stalled",
            _ => "failed",
        };
        if short.reason == Reason::Suspended {
            self.context.metrics.is_suspended(&self.target);
        }
        self.context.metrics.ran(&self.target, result, took);
        let now = Timestamp::now();
        let latest = self.context.store.get(&self.key());
        let object = latest.as_deref().unwrap_or(object);
        let before: TargetStatus = publish::said_before(object);
        let verdict = Verdict {
            reason: short.reason,
            message: short.message.clone(),
            is_ready: short.is_ready,
            is_drifted: false,
            ready: "it is suspended",
        };
        let withheld = match short.reason {
            Reason::Suspended if self.owned.known => status::suspended(&self.owned, |file| {
                matches!(
                    in_cluster(world, &self.target, file),
                    InCluster::GoneSince(_)
                )
            }),
            _ => before.withheld.clone(),
        };
        let next = TargetStatus {
            last_handled_reconcile_at: object.annotation(REQUESTED_AT).map(str::to_owned),
            withheld,
            ..before
        };
        let next = status::target(&verdict, &next, object.generation, now);
        let reason = match short.reason {
            Reason::Suspended => Reason::Suspended,
            _ => Reason::TargetNotReady,
        };
        let message = format!("Target {}: {}", self.target, short.reason.word());
        let declared = world
            .targets
            .get(&self.target)
            .into_iter()
            .flat_map(|wanted| {
                let scopes = wanted.scopes.values().map(|scope| &scope.source.file);
                let roles = wanted
                    .scopes
                    .values()
                    .flat_map(|scope| scope.roles.entries.values());
                let bindings = roles.flatten().map(|by| &by.file);
                let apps = wanted.apps.iter().map(|app| &app.source.file);
                scopes.chain(bindings).chain(apps)
            });
        let states = declared.filter_map(|file| {
            let state = State::short(reason, message.clone(), world.generation(file));
            Some((Key::of(file)?, state))
        });
        self.context
            .board
            .states(&self.target, states.collect())
            .await;
        self.context.board.target(object, &next).await;
    }

    /// Counts what was sent to the system since this was last counted.
    pub(super) fn count_requests(&self, world: &World) {
        let requests = self.tally.take();
        if let Some(desired) = world.targets.get(&self.target) {
            let system = desired.target.system();
            self.context
                .metrics
                .requested(&self.target, system, &requests);
        }
    }

    fn count(
        &self,
        approved: &ApprovedTarget,
        report: Option<&TargetReport>,
        shortfall: Option<Reason>,
        took: Duration,
    ) {
        let metrics = &self.context.metrics;
        let result = match shortfall {
            None => "success",
            Some(Reason::Failed | Reason::Unreachable | Reason::RateLimited) => "failed",
            Some(reason) if reason.is_stalled() => "stalled",
            Some(_) => "withheld",
        };
        metrics.ran(&self.target, result, took);
        if shortfall.is_none() {
            metrics.succeeded(&self.target, Timestamp::now());
        }
        let plan = approved.plan();
        for (planned, outcome) in plan
            .changes
            .iter()
            .zip(report.into_iter().flat_map(|r| &r.outcomes))
        {
            let (word, _) = crate::apply::outcome_words(outcome);
            metrics.applied(&self.target, planned.change.action(), word);
        }
        metrics.planned(&self.target, &counts(approved, report, &self.owned));
    }
}

impl Done {
    /// Whether there is more to do than one run does.
    pub(super) fn has_more(&self) -> bool {
        let mut outcomes = self.report.iter().flat_map(|report| &report.outcomes);
        outcomes.any(|outcome| *outcome == Outcome::Skipped(SkipReason::NextSlice))
    }

    /// Whether there was no room for all that may run.
    pub(super) fn goes_on(&self) -> bool {
        let outcomes = self.report.iter().flat_map(|report| &report.outcomes);
        let mut skipped = outcomes.filter_map(|outcome| match outcome {
            Outcome::Skipped(reason) => Some(*reason),
            _ => None,
        });
        skipped.any(|reason| {
            matches!(
                reason,
                SkipReason::NextSlice | SkipReason::Stale | SkipReason::Interrupted
            )
        })
    }

    /// What keeps the Target from being as declared, beside what its plan says.
    fn shortfall(&self) -> Option<(Reason, String)> {
        if let Some(trouble) = &self.trouble {
            return Some((trouble.reason, trouble.message.clone()));
        }
        if let Some(reason) = self.distrust {
            let digest = self.pending.as_ref().map(|plan| plan.digest().to_string());
            let message = format!(
                "the inventory is not what it was: nothing is removed until spec.approvedPlan says {}",
                digest.unwrap_or_default()
            );
            return Some((reason, message));
        }
        if let Some(stale) = &self.stale {
            return Some((Reason::PlanStale, stale.clone()));
        }
        Some(match self.bar? {
            SkipReason::ObserveIncomplete => (
                Reason::ObserveIncomplete,
                "the cluster was not seen as a whole: nothing is removed yet".to_owned(),
            ),
            _ => (
                Reason::RemovalsWithheld,
                "the namespace is being deleted: nothing is removed".to_owned(),
            ),
        })
    }

    /// The plan that waits, as the status shows it.
    fn pending_plan(&self) -> Option<PendingPlan> {
        const SHOWN: usize = 20;
        let plan = self.pending.as_ref()?;
        let line = |planned: &PlannedChange| {
            let fields = planned.change.fields();
            let fields: Vec<&str> = fields.iter().map(|field| field.path).collect();
            let fields = match fields.join(", ") {
                none if none.is_empty() => none,
                some => format!(" ({some})"),
            };
            let action = planned.change.action();
            status::cut(format!("{action} {}{fields}", planned.object.label), 512)
        };
        Some(PendingPlan {
            digest: plan.digest().to_string(),
            since: status::seconds(self.since.unwrap_or_else(Timestamp::now)),
            count: plan.changes.len() as u64,
            changes: plan.changes.iter().take(SHOWN).map(line).collect(),
        })
    }
}

/// What is recorded of a run that changed something.
fn last_run(done: &Done, now: Timestamp) -> Option<LastRun> {
    let report = done.report.as_ref().filter(|report| report.writes > 0)?;
    let count = |is: fn(&Outcome) -> bool| report.outcomes.iter().filter(|o| is(o)).count() as u64;
    Some(LastRun {
        finished_at: status::seconds(now),
        digest: done.digest.clone(),
        done: count(|outcome| matches!(outcome, Outcome::Done { .. })),
        failed: count(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unknown(_))),
        skipped: count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    })
}

/// The numbers of a plan, for the metrics.
fn counts(approved: &ApprovedTarget, report: Option<&TargetReport>, owned: &Owned) -> PlanCounts {
    use strum::VariantNames as _;
    let plan = approved.plan();
    let is_done = |index: usize| {
        let outcome = report.and_then(|report| report.outcomes.get(index));
        matches!(outcome, Some(Outcome::Done { .. }))
    };
    let actions = Change::ACTIONS.map(|action| {
        let left = plan.changes.iter().enumerate();
        let left =
            left.filter(|(index, planned)| planned.change.action() == action && !is_done(*index));
        (action, left.count())
    });
    let refusals = crate::plan::rule::Rule::VARIANTS.iter().map(|rule| {
        let of_it = approved.refusals().iter().filter(|refusal| {
            let word: &str = refusal.rule.into();
            word == *rule
        });
        (*rule, of_it.count())
    });
    let drift = crate::plan::ObjectKind::VARIANTS.iter().map(|kind| {
        let of_it = plan.skipped.iter().filter(|skip| {
            let word: &str = skip.object.kind.into();
            skip.reason == SkipReason::Drift && word == *kind
        });
        (*kind, of_it.count())
    });
    PlanCounts {
        drift: drift.collect(),
        actions: actions.into(),
        refusals: refusals.collect(),
        owned: owned.scopes.len() + owned.apps.len(),
        withheld: (0..plan.changes.len())
            .filter(|index| !approved.runs(*index))
            .count(),
    }
}

/// Lets go of what is counted of a Target that is gone.
pub(in crate::operator) fn forget(context: &Context, target: &TargetId) {
    use strum::VariantNames as _;
    let zero = |words: &[&'static str]| words.iter().map(|word| (*word, 0)).collect();
    let counts = PlanCounts {
        drift: zero(crate::plan::ObjectKind::VARIANTS),
        actions: zero(&Change::ACTIONS),
        refusals: zero(crate::plan::rule::Rule::VARIANTS),
        owned: 0,
        withheld: 0,
    };
    context.metrics.forget(target, &counts);
}
