//! Carrying out what was approved, on all targets at once.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;

use super::judge::options;
use super::reading::interest;
use super::{Judging, Reading, Systems, Wanted};
use crate::apply::{
    PATIENCE, Progress, Report, Run, Slice, StillWanted, TargetReport, Work, run_target,
};
use crate::inventory::{Fence, Ledger};
use crate::model::{Live, Owned, TargetId};
use crate::plan::guard::ApprovedPlan;
use crate::plan::{NewInventory, PlanOptions, TargetPlan, plan_target};
use crate::provider::Provider;

/// A run that writes.
pub(crate) struct Execution<'a> {
    /// Names the run in the audit log and the lock.
    pub(crate) run_id: String,
    /// Who runs it, for the audit log.
    pub(crate) who: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Where results are recorded.
    pub(crate) ledger: &'a dyn Ledger,
    /// How the targets are reached.
    pub(crate) systems: &'a Systems,
    /// Counts changes that are through.
    pub(crate) progress: &'a Progress,
    /// Until when writes may be sent, beside what the ledger says.
    pub(crate) fence: Fence,
    /// Asked just before a change is sent.
    pub(crate) still_wanted: &'a StillWanted<'a>,
    /// How much is done on each target at most.
    pub(crate) slice: Option<Slice<'a>>,
}

/// Carries out an approved plan, and verifies it.
pub(crate) async fn execute(
    execution: Execution<'_>,
    wanted: &Wanted,
    readings: &[Reading<dyn Provider>],
    judging: &Judging,
    approved: ApprovedPlan,
) -> Report {
    let run = Run {
        run_id: &execution.run_id,
        who: &execution.who,
        ledger: execution.ledger,
        fence: execution.fence,
        interrupt: &execution.systems.interrupt,
        progress: execution.progress,
    };
    // What this run writes starts the inventory where there was none.
    let judging = Judging {
        new_inventory: NewInventory::Allow,
        ..judging.clone()
    };
    let options = options(wanted, readings, &judging, execution.started_at);
    let by_target: BTreeMap<&TargetId, &Reading<dyn Provider>> = readings
        .iter()
        .map(|reading| (&reading.desired.target.id, reading))
        .collect();
    let each = approved.targets().iter().map(async |approved| {
        let target = &approved.plan().target;
        let reading = by_target[target];
        let Ok(provider) = reading.connection() else {
            return nothing_run(approved.plan());
        };
        let desired = &reading.desired;
        let replan = |live: &Live, owned: &Owned| {
            let mut live = live.clone();
            live.identity = execution.systems.in_realm(live.identity);
            let options = PlanOptions {
                now: Timestamp::now(),
                ..options[target].clone()
            };
            plan_target(desired, &live, owned, &options)
        };
        let work = Work {
            provider,
            max_in_flight: desired.target.pace.max_in_flight,
            interest: interest(desired),
            patience: PATIENCE,
            replan: &replan,
            still_wanted: execution.still_wanted,
            slice: execution.slice,
        };
        run_target(&run, approved, &work).await
    });
    let targets = join_all(each).await;
    Report {
        run_id: execution.run_id,
        started_at: execution.started_at,
        finished_at: Timestamp::now(),
        approved,
        targets,
        interrupted: execution.systems.interrupt.is_cancelled(),
    }
}

/// A target that could not be opened: everything about it is left.
fn nothing_run(plan: &TargetPlan) -> TargetReport {
    TargetReport {
        target: plan.target.clone(),
        outcomes: Vec::new(),
        requests: 0,
        writes: 0,
        converged: None,
        remaining: None,
        error: plan.error.clone(),
    }
}
