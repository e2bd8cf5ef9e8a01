//! One change: intent, write, record, audit.

use jiff::Timestamp;

use super::{Outcome, TargetRun, failure, outcome_words};
use crate::inventory::{Answered, InventoryError, Sending, WriteNumber};
use crate::model::{Intent, PastRemoval, Record};
use crate::plan::guard::ApprovedChange;
use crate::plan::{PlannedChange, SkipReason};
use crate::provider::{Applied, Fate, ProviderError};

/// What became of a change.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) outcome: Outcome,
    /// What the window counts for it, while nobody knows whether that was made.
    pub(super) in_doubt: Vec<PastRemoval>,
}

/// A change whose intent is kept, and that may be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    number: WriteNumber,
    /// What the window counts for it.
    removals: Vec<PastRemoval>,
}

impl Made {
    fn of(outcome: Outcome) -> Self {
        let in_doubt = Vec::new();
        Self { outcome, in_doubt }
    }
}

impl TargetRun<'_> {
    /// Makes one change. One that was prepared together with others is looked at after that, since it may have waited;
    /// what turns out to have moved then is answered as not made.
    ///
    /// # Errors
    /// The inventory cannot be written: the run stops, since what follows could not be recorded either.
    pub(super) async fn make(
        &self,
        change: ApprovedChange<'_>,
        prepared: Option<Prepared>,
    ) -> Result<Made, InventoryError> {
        let looked = match &prepared {
            Some(_) if self.run.interrupt.is_cancelled() => {
                Err(Outcome::Skipped(SkipReason::Interrupted))
            }
            _ => self.look_at(change).await,
        };
        let prepared = match (looked, prepared) {
            (Ok(()), Some(prepared)) => prepared,
            (Ok(()), None) => {
                let mut prepared = self.prepare(&[change]).await?;
                prepared.pop().expect("there is one for each change")
            }
            (Err(outcome), Some(prepared)) => {
                return self.unsent(change.planned(), prepared, outcome).await;
            }
            (Err(outcome), None) => return Ok(Made::of(outcome)),
        };
        let applied = self.work.provider.apply(change).await;
        self.answer(change.planned(), prepared, applied).await
    }

    /// Has the inventory keep what is about to be sent, all of it at once.
    ///
    /// # Errors
    /// It cannot be kept: none of it may be sent.
    pub(super) async fn prepare(
        &self,
        changes: &[ApprovedChange<'_>],
    ) -> Result<Vec<Prepared>, InventoryError> {
        let at = Timestamp::now();
        let died = Some("the run ended before the answer came");
        let all_removals = changes
            .iter()
            .map(|change| self.removals(change.planned(), at));
        let all_removals: Vec<_> = all_removals.collect();
        let sending = changes.iter().zip(&all_removals).map(|(change, removals)| {
            let planned = change.planned();
            Sending {
                at,
                intent: planned.intent.clone(),
                removals: removals.clone(),
                entry: self.audit_entry(planned, "unknown", died),
            }
        });
        let sending = sending.collect();
        let target = &self.plan().target;
        let numbers = self.run.ledger.prepare(self.identity, target, sending);
        let prepared = numbers.await?.into_iter().zip(all_removals);
        let prepared = prepared.map(|(number, removals)| Prepared { number, removals });
        Ok(prepared.collect())
    }

    /// Records the answer to a change that was sent.
    async fn answer(
        &self,
        planned: &PlannedChange,
        prepared: Prepared,
        applied: Result<Applied, ProviderError>,
    ) -> Result<Made, InventoryError> {
        let (outcome, records) = match applied {
            // Somebody else made it meanwhile: it is not ours, and the next picture says what it is.
            Ok(Applied::Found) => (Outcome::Skipped(SkipReason::Stale), unmade(planned)),
            // Somebody else wrote to it, perhaps after an attempt of ours took effect: what of that shows is ours.
            Ok(Applied::Moved) => (Outcome::Skipped(SkipReason::Stale), Vec::new()),
            Ok(Applied::Done { remote_id }) => {
                let mut record = planned.record.clone();
                if let (Record::Scope { entry, .. }, Some(id)) = (&mut record, &remote_id) {
                    entry.remote_id = Some(id.clone());
                }
                (Outcome::Done { remote_id }, vec![record])
            }
            // The intent stays open.
            Err(error) if error.fate == Fate::Unknown => {
                (Outcome::Unknown(failure(&error)), Vec::new())
            }
            Err(error) => (Outcome::Failed(failure(&error)), unmade(planned)),
        };
        let (not_removed, in_doubt) = match outcome {
            Outcome::Failed(_) | Outcome::Skipped(_) => (prepared.removals, Vec::new()),
            Outcome::Unknown(_) => (Vec::new(), prepared.removals),
            Outcome::Done { .. } => (Vec::new(), Vec::new()),
        };
        let (word, error) = outcome_words(&outcome);
        let answered = Answered {
            records,
            not_removed,
            entry: Some(self.audit_entry(planned, word, error)),
        };
        self.answered(prepared.number, answered).await?;
        Ok(Made { outcome, in_doubt })
    }

    /// Takes back what was prepared and is not sent after all.
    async fn unsent(
        &self,
        planned: &PlannedChange,
        prepared: Prepared,
        outcome: Outcome,
    ) -> Result<Made, InventoryError> {
        let answered = Answered {
            records: unmade(planned),
            not_removed: prepared.removals,
            entry: None,
        };
        self.answered(prepared.number, answered).await?;
        Ok(Made::of(outcome))
    }

    async fn answered(
        &self,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let target = &self.plan().target;
        let ledger = self.run.ledger;
        ledger
            .answered(self.identity, target, number, answered)
            .await
    }

    /// What the window counts from here on; nothing where somebody approved it.
    fn removals(&self, planned: &PlannedChange, at: Timestamp) -> Vec<PastRemoval> {
        if self.approved.is_approved() {
            return Vec::new();
        }
        let removals = planned.removals.iter().cloned();
        removals
            .map(|removal| PastRemoval { at, removal })
            .collect()
    }

    /// A write's line for the audit log.
    fn audit_entry(
        &self,
        planned: &PlannedChange,
        outcome: &str,
        error: Option<&str>,
    ) -> serde_json::Value {
        let mut change = serde_json::to_value(&planned.change).unwrap_or_default();
        let mut take = |field: &str| {
            let value = change.get_mut(field).map(serde_json::Value::take);
            value.unwrap_or_default()
        };
        let (before, after) = (take("before"), take("after"));
        serde_json::json!({
            "time": Timestamp::now().to_string(),
            "runId": self.run.run_id,
            "who": self.run.who,
            "digest": self.approved.digest(),
            "target": self.plan().target,
            "liveIdentity": self.identity,
            "request": { "action": planned.change.action(), "object": planned.object },
            "before": before,
            "after": after,
            "outcome": outcome,
            "error": error,
        })
    }
}

/// What is recorded where nothing came of a change.
fn unmade(planned: &PlannedChange) -> Vec<Record> {
    let intent = planned.intent.iter();
    intent.map(Intent::came_to_nothing).collect()
}
