//! After the writes: reads until the picture shows what was wanted, and settles what was left open.

use std::collections::BTreeSet;
use std::time::Duration;

use super::look::{find, holds, shows};
use super::{Outcome, SoFar, TargetReport, TargetRun, failure, inventory_failure};
use crate::model::{Live, Record};
use crate::plan::change::Change;
use crate::plan::{ObjectKind, TargetPlan};

impl TargetRun<'_> {
    /// Reads for as long as there is patience.
    pub(super) async fn verify(&self, so_far: &mut SoFar, report: &mut TargetReport) {
        let failed = |index: &usize| {
            matches!(
                so_far.outcomes.get(index),
                Some(Outcome::Failed(_) | Outcome::Skipped(_))
            )
        };
        let changes = &self.plan().changes;
        let expected: BTreeSet<(ObjectKind, String)> = (0..changes.len())
            .filter(failed)
            .map(|index| changes[index].object.key())
            .collect();
        let deadline = tokio::time::Instant::now() + self.work.patience;
        let mut pause = Duration::from_millis(100);
        loop {
            let live = match self.work.provider.observe(&self.work.interest).await {
                Ok(live) => live,
                Err(error) => {
                    so_far.error = Some(failure(&error));
                    return;
                }
            };
            let owned = match self.run.ledger.owned(self.identity).await {
                Ok(owned) => owned,
                Err(error) => {
                    so_far.error = Some(inventory_failure(&error));
                    return;
                }
            };
            let remaining = (self.work.replan)(&live, &owned);
            let left = &remaining.changes;
            let converged = left
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
            self.settle(so_far, &live, &remaining).await;
            report.remaining = Some(remaining);
            return;
        }
    }

    /// What a reading shows as done is done, whatever its answer was; what it shows as it was before took nothing away.
    async fn settle(&self, so_far: &mut SoFar, live: &Live, remaining: &TargetPlan) {
        let mut records: Vec<Record> = Vec::new();
        for (index, planned) in self.plan().changes.iter().enumerate() {
            let Some(Outcome::Unknown(_)) = so_far.outcomes.get(&index) else {
                continue;
            };
            if shows(&planned.change, live) {
                if planned.intent.is_none() {
                    records.push(planned.record.clone());
                }
                let remote_id = match &planned.change {
                    Change::CreateScope { after } => {
                        find(live, None, &after.name).and_then(|made| made.remote_id.clone())
                    }
                    _ => planned.object.remote_id.clone(),
                };
                so_far.outcomes.insert(index, Outcome::Done { remote_id });
            } else if holds(&planned.change, live) {
                let removals = so_far.in_doubt.remove(&index).unwrap_or_default();
                records.extend(removals.into_iter().map(Record::NotRemoved));
            }
        }
        records.extend(remaining.records.iter().cloned());
        let ledger = self.run.ledger;
        let recorded = ledger.record(self.identity, &self.plan().target, records);
        if let Err(error) = recorded.await {
            so_far.error = Some(inventory_failure(&error));
        }
    }
}
