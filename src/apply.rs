//! Runs an approved plan: level by level, bounded, an outcome for each change, then a reading to verify.
//!
//! ```text
//! for each level:   re-read what full-list replaces rest on
//!   for each change, as soon as what it needs is done:
//!                   record intent -> write -> record result
//! then:             read, plan again: what is left?
//! ```
//!
//! One failure stops what depends on it and nothing else. Nothing here decides what may run: that is the guard's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use crate::inventory::{Answered, InventoryError, Ledger, Sending};
use crate::model::{
    Live, LiveApp, LiveIdentity, PastRemoval, Record, RemoteId, Removal, Reread, TargetId,
};
use crate::plan::change::{Change, Level};
use crate::plan::guard::{ApprovedChange, ApprovedPlan, ApprovedTarget};
use crate::plan::{Failure, ObjectKind, PlannedChange, SkipReason, TargetPlan};
use crate::provider::error::Fate;
use crate::provider::{Applied, Interest, Interrupt, Provider, ProviderError};

/// How long a reading is repeated before a result counts as not converged.
const SETTLE: Duration = Duration::from_secs(10);

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is made.
    Done {
        /// The id of what was made.
        remote_id: Option<RemoteId>,
    },
    /// It is not made.
    Failed(Failure),
    /// It was not sent.
    Skipped(SkipReason),
    /// It was sent, and neither the answer nor a reading told what became of it.
    Unknown(Failure),
}

/// What became of a target.
#[derive(Debug, Clone)]
pub struct TargetReport {
    /// The target.
    pub target: TargetId,
    /// An outcome for each change of the plan, in its order.
    pub outcomes: Vec<Outcome>,
    /// Requests sent for this target, planning included.
    pub requests: u64,
    /// Writes sent.
    pub writes: u64,
    /// Whether the last reading showed what was wanted; `None` where nothing was written or the reading failed.
    pub converged: Option<bool>,
    /// What a further run would do, where something was written.
    pub remaining: Option<TargetPlan>,
    /// What went wrong beside the changes: a reading that failed, an inventory that could not be written.
    pub error: Option<Failure>,
}

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Names the run in the audit log and the lock.
    pub run_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The plan with the guard's word.
    pub approved: ApprovedPlan,
    /// One entry a target, in the plan's order.
    pub targets: Vec<TargetReport>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// How many changes are through, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    finished: AtomicU64,
}

impl Progress {
    /// How many changes have an outcome.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }
}

/// What is needed to run one target's part of a plan.
pub struct Work<'a> {
    /// Reaches the target.
    pub provider: &'a dyn Provider,
    /// How many writes are in flight at once.
    pub max_in_flight: usize,
    /// What a full reading asks for.
    pub interest: Interest,
    /// Plans the target again from a new picture: the same manifests, mode and paths.
    pub replan: &'a (dyn Fn(&Live, &crate::model::Owned) -> TargetPlan + Sync),
}

/// What is shared by all targets of a run.
pub struct Run<'a> {
    /// Names the run.
    pub run_id: &'a str,
    /// Who runs it, for the audit log.
    pub who: &'a str,
    /// Where results are recorded.
    pub ledger: &'a dyn Ledger,
    /// Cancelled by Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Counts changes that are through.
    pub progress: &'a Progress,
}

/// Runs one target's part of an approved plan, and verifies it.
pub async fn run_target(run: &Run<'_>, approved: &ApprovedTarget, work: &Work<'_>) -> TargetReport {
    let plan = approved.plan();
    let mut report = TargetReport {
        target: plan.target.clone(),
        outcomes: Vec::new(),
        requests: plan.requests,
        writes: 0,
        converged: None,
        remaining: None,
        error: plan.error.clone(),
    };
    let Some(identity) = plan.identity.as_ref() else {
        report.outcomes = vec![Outcome::Skipped(SkipReason::DependencyFailed); plan.changes.len()];
        return report;
    };
    let before = work.provider.requests();
    let mut target = TargetRun {
        run,
        plan,
        approved,
        work,
        identity,
        outcomes: BTreeMap::new(),
        sent: false,
        error: None,
    };
    target.learn().await;
    target.levels().await;
    if target.error.is_none() && target.sent && !run.interrupt.is_cancelled() {
        target.verify(&mut report).await;
    }
    report.error = report.error.or(target.error);
    report.outcomes = (0..plan.changes.len())
        .map(|index| {
            target
                .outcomes
                .remove(&index)
                .unwrap_or(Outcome::Skipped(SkipReason::Interrupted))
        })
        .collect();
    let after = work.provider.requests();
    report.requests += after.total - before.total;
    report.writes = after.writes - before.writes;
    report
}

struct TargetRun<'a> {
    run: &'a Run<'a>,
    plan: &'a TargetPlan,
    approved: &'a ApprovedTarget,
    work: &'a Work<'a>,
    identity: &'a LiveIdentity,
    outcomes: BTreeMap<usize, Outcome>,
    /// Whether any write was sent.
    sent: bool,
    error: Option<Failure>,
}

impl TargetRun<'_> {
    /// Records what the plan learned without a write, before the first one: what the writes record is newer, and must not
    /// be overwritten by it.
    async fn learn(&mut self) {
        let may_record = self.approved.may_record();
        let learned = self
            .plan
            .records
            .iter()
            .filter(|record| may_record || record.only_protects())
            .cloned()
            .collect();
        let recorded = self
            .run
            .ledger
            .record(self.identity, &self.plan.target, learned)
            .await;
        if let Err(error) = recorded {
            self.error = Some(inventory_failure(&error));
        }
    }

    async fn levels(&mut self) {
        let mut by_level: BTreeMap<Level, Vec<usize>> = BTreeMap::new();
        for (index, planned) in self.plan.changes.iter().enumerate() {
            match self.approved.why_withheld(index) {
                Some(reason) => {
                    self.outcomes.insert(index, Outcome::Skipped(reason));
                }
                None => by_level
                    .entry(planned.change.level())
                    .or_default()
                    .push(index),
            }
        }
        for (level, indexes) in by_level {
            if self.run.interrupt.is_cancelled() || self.error.is_some() {
                return;
            }
            let indexes = self.reread(level, indexes).await;
            self.level(&indexes).await;
        }
    }

    /// Reads the lists again that this level's full-list replaces rest on, once for all of them, and takes out what moved.
    async fn reread(&mut self, level: Level, indexes: Vec<usize>) -> Vec<usize> {
        let capabilities = self.plan.system.capabilities();
        let changes = indexes
            .iter()
            .map(|&index| &self.plan.changes[index].change);
        let interest = match level {
            Level::Update if capabilities.roles => Interest {
                scopes: true,
                ..Interest::default()
            },
            Level::Apps if capabilities.reread == Reread::PerLevel => {
                let apps: Vec<_> = changes.filter_map(Change::app).cloned().collect();
                if apps.is_empty() {
                    return indexes;
                }
                Interest {
                    apps,
                    ..Interest::default()
                }
            }
            _ => return indexes,
        };
        match self.work.provider.observe(&interest).await {
            Ok(live) => {
                let (hold, moved): (Vec<usize>, Vec<usize>) = indexes
                    .into_iter()
                    .partition(|&index| holds(&self.plan.changes[index].change, &live));
                for index in moved {
                    self.finish(index, Outcome::Skipped(SkipReason::Stale));
                }
                hold
            }
            Err(error) => {
                for index in indexes {
                    self.finish(index, Outcome::Failed(failure(&error)));
                }
                Vec::new()
            }
        }
    }

    fn finish(&mut self, index: usize, outcome: Outcome) {
        self.run.progress.finished.fetch_add(1, Ordering::Relaxed);
        self.outcomes.insert(index, outcome);
    }

    /// Makes the changes of one level, each as soon as those that it needs are done.
    async fn level(&mut self, indexes: &[usize]) {
        let here: BTreeSet<usize> = indexes.iter().copied().collect();
        let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut ready = std::collections::VecDeque::new();
        for &index in indexes {
            let needs: Vec<usize> = self.plan.changes[index]
                .depends_on
                .iter()
                .copied()
                .filter(|on| here.contains(on))
                .collect();
            for on in &needs {
                waiters.entry(*on).or_default().push(index);
            }
            if needs.is_empty() {
                ready.push_back(index);
            } else {
                waits.insert(index, needs.len());
            }
        }
        let mut flight = FuturesUnordered::new();
        loop {
            while flight.len() < self.work.max_in_flight {
                let Some(index) = ready.pop_front() else {
                    break;
                };
                if self.run.interrupt.is_cancelled() || self.error.is_some() {
                    continue;
                }
                let met = |on: &usize| matches!(self.outcomes.get(on), Some(Outcome::Done { .. }));
                if self.plan.changes[index].depends_on.iter().all(met)
                    && let Some(change) = self.approved.change(index)
                {
                    self.sent = true;
                    flight.push(make(
                        self.run,
                        self.approved,
                        self.work.provider,
                        self.identity,
                        change,
                    ));
                } else {
                    self.finish(index, Outcome::Skipped(SkipReason::DependencyFailed));
                    release(index, &mut waits, &waiters, &mut ready);
                }
            }
            let Some((index, outcome)) = flight.next().await else {
                if ready.is_empty() {
                    return;
                }
                continue;
            };
            match outcome {
                Ok(outcome) => self.finish(index, outcome),
                Err(error) => {
                    self.error = Some(inventory_failure(&error));
                    self.finish(index, Outcome::Unknown(inventory_failure(&error)));
                }
            }
            release(index, &mut waits, &waiters, &mut ready);
        }
    }

    /// Reads until the picture shows what was wanted, for ten seconds at most, and settles what was left open.
    async fn verify(&mut self, report: &mut TargetReport) {
        let failed = |index| {
            matches!(
                self.outcomes.get(&index),
                Some(Outcome::Failed(_) | Outcome::Skipped(_))
            )
        };
        let expected: BTreeSet<(ObjectKind, String)> = (0..self.plan.changes.len())
            .filter(|&index| failed(index))
            .map(|index| self.plan.changes[index].object.key())
            .collect();
        let deadline = tokio::time::Instant::now() + SETTLE;
        let mut pause = Duration::from_millis(100);
        loop {
            let live = match self.work.provider.observe(&self.work.interest).await {
                Ok(live) => live,
                Err(error) => {
                    self.error = Some(failure(&error));
                    return;
                }
            };
            let owned = self.run.ledger.owned(self.identity).await;
            let remaining = (self.work.replan)(&live, &owned);
            let converged = remaining
                .changes
                .iter()
                .all(|left| expected.contains(&left.object.key()));
            if !converged
                && tokio::time::Instant::now() + pause < deadline
                && !self.run.interrupt.is_cancelled()
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
                continue;
            }
            report.converged = Some(converged);
            self.settle(remaining, report).await;
            return;
        }
    }

    /// What a reading shows as done is done, whatever its answer was.
    async fn settle(&mut self, remaining: TargetPlan, report: &mut TargetReport) {
        let left: BTreeSet<(ObjectKind, String)> =
            remaining.changes.iter().map(|c| c.object.key()).collect();
        let mut records: Vec<Record> = Vec::new();
        for (index, planned) in self.plan.changes.iter().enumerate() {
            let is_left = left.contains(&planned.object.key());
            if let Some(Outcome::Unknown(_)) = self.outcomes.get(&index)
                && !is_left
            {
                if planned.intent.is_none() {
                    records.push(planned.record.clone());
                }
                self.outcomes.insert(
                    index,
                    Outcome::Done {
                        remote_id: planned.object.remote_id.clone(),
                    },
                );
            }
        }
        records.extend(remaining.records.iter().cloned());
        if let Err(error) = self
            .run
            .ledger
            .record(self.identity, &self.plan.target, records)
            .await
        {
            self.error = Some(inventory_failure(&error));
        }
        report.remaining = Some(remaining);
    }
}

/// Lets those go that waited for a change.
fn release(
    index: usize,
    waits: &mut BTreeMap<usize, usize>,
    waiters: &BTreeMap<usize, Vec<usize>>,
    ready: &mut std::collections::VecDeque<usize>,
) {
    for waiter in waiters.get(&index).into_iter().flatten() {
        if let Some(count) = waits.get_mut(waiter) {
            *count -= 1;
            if *count == 0 {
                ready.push_back(*waiter);
            }
        }
    }
}

/// Makes one change: intent, write, record, audit.
///
/// # Errors
/// The inventory cannot be written: the run stops, since what follows could not be recorded either.
async fn make(
    run: &Run<'_>,
    approved: &ApprovedTarget,
    provider: &dyn Provider,
    identity: &LiveIdentity,
    change: ApprovedChange<'_>,
) -> (usize, Result<Outcome, InventoryError>) {
    (
        change.index(),
        make_one(run, approved, provider, identity, change).await,
    )
}

async fn make_one(
    run: &Run<'_>,
    approved: &ApprovedTarget,
    provider: &dyn Provider,
    identity: &LiveIdentity,
    change: ApprovedChange<'_>,
) -> Result<Outcome, InventoryError> {
    let (plan, planned) = (approved.plan(), change.planned());
    if plan.system.capabilities().reread == Reread::PerChange
        && let Some(app) = planned.change.app()
    {
        let interest = Interest {
            apps: vec![app.clone()],
            ..Interest::default()
        };
        match provider.observe(&interest).await {
            Ok(live) if holds(&planned.change, &live) => {}
            Ok(_) => return Ok(Outcome::Skipped(SkipReason::Stale)),
            Err(error) => return Ok(Outcome::Failed(failure(&error))),
        }
    }
    let entry = |outcome: &str, error: Option<&str>| {
        audit_entry(run, approved, identity, planned, (outcome, error))
    };
    let removals: Vec<PastRemoval> = if approved.is_approved() {
        Vec::new()
    } else {
        let at = Timestamp::now();
        let past = |removal: &Removal| PastRemoval {
            at,
            removal: removal.clone(),
        };
        planned.removals.iter().map(past).collect()
    };
    let sending = Sending {
        intent: planned.intent.clone(),
        removals: removals.clone(),
        entry: entry("unknown", Some("the run ended before the answer came")),
    };
    let number = run.ledger.prepare(identity, &plan.target, sending).await?;
    let outcome = match provider.apply(change).await {
        Ok(Applied::Done { remote_id }) => Outcome::Done { remote_id },
        // Somebody else wrote to it meanwhile: the next picture says what it is.
        Ok(Applied::Found | Applied::Moved) => Outcome::Skipped(SkipReason::Stale),
        Err(error) if error.fate == Fate::Unknown => Outcome::Unknown(failure(&error)),
        Err(error) => Outcome::Failed(failure(&error)),
    };
    let (word, error) = outcome_words(&outcome);
    let answered = Answered {
        records: outcome_records(planned, &outcome),
        not_removed: match outcome {
            Outcome::Failed(_) | Outcome::Skipped(_) => removals,
            Outcome::Done { .. } | Outcome::Unknown(_) => Vec::new(),
        },
        entry: entry(word, error),
    };
    run.ledger
        .answered(identity, &plan.target, number, answered)
        .await?;
    Ok(outcome)
}

/// What the inventory learns from an outcome. An intent stays open while the fate is unknown.
fn outcome_records(planned: &PlannedChange, outcome: &Outcome) -> Vec<Record> {
    match (outcome, planned.record.clone()) {
        (
            Outcome::Done {
                remote_id: Some(id),
            },
            Record::Scope {
                name,
                mut entry,
                replaces,
            },
        ) => {
            entry.remote_id = Some(id.clone());
            vec![Record::Scope {
                name,
                entry,
                replaces,
            }]
        }
        (Outcome::Done { .. }, record) => vec![record],
        (Outcome::Failed(_) | Outcome::Skipped(_), Record::Scope { name, .. })
            if planned.intent.is_some() =>
        {
            vec![Record::SettledScope { name }]
        }
        (Outcome::Failed(_) | Outcome::Skipped(_), Record::App { app, .. })
            if planned.intent.is_some() =>
        {
            vec![Record::SettledApp { app }]
        }
        (Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Unknown(_), _) => Vec::new(),
    }
}

/// A write's line for the audit log.
fn audit_entry(
    run: &Run<'_>,
    approved: &ApprovedTarget,
    identity: &LiveIdentity,
    planned: &PlannedChange,
    (outcome, error): (&str, Option<&str>),
) -> serde_json::Value {
    let mut change = serde_json::to_value(&planned.change).unwrap_or_default();
    let mut take = |field: &str| {
        change
            .get_mut(field)
            .map(serde_json::Value::take)
            .unwrap_or_default()
    };
    let (before, after) = (take("before"), take("after"));
    serde_json::json!({
        "time": Timestamp::now().to_string(),
        "runId": run.run_id,
        "who": run.who,
        "digest": approved.digest(),
        "target": approved.plan().target,
        "liveIdentity": identity,
        "request": { "action": planned.change.action(), "object": planned.object },
        "before": before,
        "after": after,
        "outcome": outcome,
        "error": error,
    })
}

/// The word for an outcome, and its error.
pub fn outcome_words(outcome: &Outcome) -> (&'static str, Option<&str>) {
    match outcome {
        Outcome::Done { .. } => ("done", None),
        Outcome::Failed(failure) => ("failed", Some(&failure.message)),
        Outcome::Skipped(_) => ("skipped", None),
        Outcome::Unknown(failure) => ("unknown", Some(&failure.message)),
    }
}

/// Whether what a full-list replace rests on is still so.
fn holds(change: &Change, live: &Live) -> bool {
    match change {
        Change::UpdateScope { id, before, .. } => {
            live.scopes.get(&before.name).is_some_and(|now| {
                now.remote_id == *id
                    && now.description == before.description
                    && now.display_name == before.display_name
                    && now.roles.iter().collect::<BTreeSet<_>>()
                        == before.roles.iter().collect::<BTreeSet<_>>()
            })
        }
        Change::ReplaceAppScopes {
            app,
            before,
            inherited,
            ..
        } => matches!(
            live.apps.get(app),
            Some(LiveApp::Present(now)) if now.scopes == *before && now.inherited == *inherited
        ),
        Change::DetachApp { app, before } => {
            matches!(live.apps.get(app), Some(LiveApp::Present(now)) if now.scopes == *before)
        }
        Change::AttachApp { app, .. } => !matches!(live.apps.get(app), Some(LiveApp::Present(_))),
        Change::CreateScope { .. } | Change::RenameScope { .. } | Change::DeleteScope { .. } => {
            true
        }
    }
}

/// A provider's error in words: what was being done, and why it failed.
pub fn failure(error: &ProviderError) -> Failure {
    Failure {
        reason: error.reason(),
        status: error.status(),
        message: format!("{error}: {}", error.cause),
        help: error.help.clone(),
    }
}

fn inventory_failure(error: &InventoryError) -> Failure {
    let source = std::error::Error::source(error)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    Failure {
        reason: "inventory",
        status: None,
        message: format!("{error}{source}"),
        help: None,
    }
}
