//! Runs an approved plan: level by level, bounded, an outcome for each change, then a reading to verify.
//!
//! ```text
//! for each level:   look again at what its changes rest on                  look.rs
//!   for each change, as soon as what it needs is done:                      levels.rs
//!                   record intent -> write -> record result               make.rs
//! then:             read, plan again: what is left?                         verify.rs
//! ```
//!
//! One failure stops what depends on it and nothing else. Nothing here decides what may run: that is the guard's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::inventory::{Fence, InventoryError, Ledger};
use crate::model::{Live, LiveIdentity, Owned, PastRemoval, RemoteId, TargetId};
use crate::plan::digest::ChangeHash;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Failure, PlannedChange, SkipReason, TargetPlan};
use crate::provider::{Interest, Interrupt, Provider, ProviderError};

mod levels;
mod look;
mod make;
mod result;
#[cfg(test)]
mod tests;
mod verify;

pub use result::{RunResult, Shortfall, has_errors};

/// How long a system may take to show what was written.
pub const PATIENCE: Duration = Duration::from_secs(10);

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
    /// How long a reading is repeated before a result counts as not converged.
    pub patience: Duration,
    /// Plans the target again from a new picture: the same manifests, mode and paths.
    pub replan: &'a (dyn Fn(&Live, &Owned) -> TargetPlan + Sync),
    /// Asked just before a change is sent: why it is not to be sent any more, if that is so.
    pub still_wanted: &'a StillWanted<'a>,
    /// How much is done at most; what is over is left to the next run.
    pub slice: Option<Slice<'a>>,
}

/// Says why a change is not to be sent any more, if that is so.
pub type StillWanted<'a> = dyn Fn(&PlannedChange) -> Option<SkipReason> + Sync + 'a;

/// Where nobody changes what is wanted while a run goes on.
pub fn always_wanted(_: &PlannedChange) -> Option<SkipReason> {
    None
}

/// How much a run does on a target at most, so that what comes in meanwhile need not wait for long.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// How many changes are sent.
    pub max_changes: usize,
    /// How long changes are sent.
    pub max_time: Duration,
    /// What failed in the slices before this one: it is not sent again before the others had their turn.
    pub failed: &'a BTreeMap<ChangeHash, Failure>,
}

/// What is shared by all targets of a run.
pub struct Run<'a> {
    /// Names the run.
    pub run_id: &'a str,
    /// Who runs it, for the audit log.
    pub who: &'a str,
    /// Where results are recorded.
    pub ledger: &'a dyn Ledger,
    /// Until when writes may be sent, beside what the ledger says.
    pub fence: Fence,
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
    let target = TargetRun {
        run,
        approved,
        work,
        identity,
        fence: run.fence.and(&run.ledger.fence(identity)),
        slice_ends: work.slice.map(|slice| Instant::now() + slice.max_time),
    };
    let mut so_far = SoFar::default();
    target.learn(&mut so_far).await;
    target.levels(&mut so_far).await;
    if so_far.sent && !target.is_over(&so_far) {
        target.verify(&mut so_far, &mut report).await;
    }
    report.error = report.error.or(so_far.error);
    report.outcomes = (0..plan.changes.len())
        .map(|index| {
            let outcome = so_far.outcomes.remove(&index);
            outcome.unwrap_or(Outcome::Skipped(SkipReason::Interrupted))
        })
        .collect();
    let after = work.provider.requests();
    report.requests += after.total - before.total;
    report.writes = after.writes - before.writes;
    report
}

/// One target's part of a run: what all of its changes share.
struct TargetRun<'a> {
    run: &'a Run<'a>,
    approved: &'a ApprovedTarget,
    work: &'a Work<'a>,
    identity: &'a LiveIdentity,
    fence: Fence,
    slice_ends: Option<Instant>,
}

/// How far a target's part of a run has come.
#[derive(Debug, Default)]
struct SoFar {
    outcomes: BTreeMap<usize, Outcome>,
    /// Whether any write was sent.
    sent: bool,
    /// How many changes were taken up.
    taken: usize,
    /// What the window counts for changes whose fate is unknown.
    in_doubt: BTreeMap<usize, Vec<PastRemoval>>,
    error: Option<Failure>,
}

impl TargetRun<'_> {
    fn plan(&self) -> &TargetPlan {
        self.approved.plan()
    }

    /// Whether no further change is to be sent.
    fn is_over(&self, so_far: &SoFar) -> bool {
        self.run.interrupt.is_cancelled() || so_far.error.is_some()
    }

    /// Whether the run has done its share.
    fn slice_is_over(&self, so_far: &SoFar) -> bool {
        let is_full = |slice: Slice<'_>| so_far.taken >= slice.max_changes;
        self.work.slice.is_some_and(is_full) || self.slice_time_is_over()
    }

    fn slice_time_is_over(&self) -> bool {
        self.slice_ends.is_some_and(|end| Instant::now() >= end)
    }

    /// Records what the plan learned without a write, before the first one: what the writes record is newer, and must not
    /// be overwritten by it.
    async fn learn(&self, so_far: &mut SoFar) {
        let ledger = self.run.ledger;
        let may_record = self.approved.may_record();
        let learned = self
            .plan()
            .records
            .iter()
            .filter(|record| may_record || record.only_protects())
            .cloned();
        let recorded = ledger.record(self.identity, &self.plan().target, learned.collect());
        if let Err(error) = recorded.await {
            so_far.error = Some(inventory_failure(&error));
        }
    }

    fn finish(&self, so_far: &mut SoFar, index: usize, outcome: Outcome) {
        self.run.progress.finished.fetch_add(1, Ordering::Relaxed);
        so_far.outcomes.insert(index, outcome);
    }
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
