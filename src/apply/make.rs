//! One change: intent, write, record, audit.

use jiff::Timestamp;

use super::{Outcome, TargetRun, failure, inventory_failure, outcome_words};
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
    /// Why nothing may follow.
    pub(super) stop: Option<InventoryError>,
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
        Self {
            outcome,
            in_doubt: Vec::new(),
            stop: None,
        }
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
        let overtaken = prepared.as_ref().and_then(|_| self.overtaken());
        let looked = match overtaken {
            Some(reason) => Err(Outcome::Skipped(reason)),
            None => self.look_at(change).await,
        };
        let prepared = match (looked, prepared) {
            (Ok(()), Some(prepared)) => prepared,
            (Ok(()), None) => {
                let mut prepared = self.prepare(&[change]).await?;
                prepared.pop().expect("there is one for each change")
            }
            (Err(outcome), Some(prepared)) => {
                let unsent = self.unsent(change.planned(), prepared, outcome);
                return Ok(unsent.await);
            }
            (Err(outcome), None) => return Ok(Made::of(outcome)),
        };
        self.send(change, prepared).await
    }

    /// Why a change that was prepared with others is not sent, now that its turn has come.
    fn overtaken(&self) -> Option<SkipReason> {
        if self.run.interrupt.is_cancelled() {
            return Some(SkipReason::Interrupted);
        }
        self.slice_time_is_over().then_some(SkipReason::NextSlice)
    }

    /// Sends what was prepared, if it is wanted still and the fence lets it through; drops it where the fence closes first.
    async fn send(
        &self,
        change: ApprovedChange<'_>,
        prepared: Prepared,
    ) -> Result<Made, InventoryError> {
        let planned = change.planned();
        if let Some(reason) = (self.work.still_wanted)(planned) {
            let unsent = self.unsent(planned, prepared, Outcome::Skipped(reason));
            return Ok(unsent.await);
        }
        if !self.fence.may_start() {
            let interrupted = Outcome::Skipped(SkipReason::Interrupted);
            let unsent = self.unsent(planned, prepared, interrupted).await;
            let stop = Some(InventoryError::FencePassed);
            return Ok(Made { stop, ..unsent });
        }
        let applied = tokio::select! {
            biased;
            applied = self.work.provider.apply(change) => Some(applied),
            () = self.fence.passed() => None,
        };
        self.answer(planned, prepared, applied).await
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
        let all_removals = changes.iter().map(|change| Self::removals(*change, at));
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

    /// Records the answer to a change that was sent; there is none where the fence closed first.
    async fn answer(
        &self,
        planned: &PlannedChange,
        prepared: Prepared,
        applied: Option<Result<Applied, ProviderError>>,
    ) -> Result<Made, InventoryError> {
        let stop = applied.is_none().then_some(InventoryError::FencePassed);
        let (outcome, records) = match applied.transpose() {
            // The intent stays open.
            Ok(None) => {
                let failure = inventory_failure(&InventoryError::FencePassed);
                (Outcome::Unknown(failure), Vec::new())
            }
            // Somebody else made it meanwhile: it is not ours, and the next picture says what it is.
            Ok(Some(Applied::Found)) => (Outcome::Skipped(SkipReason::Stale), unmade(planned)),
            // Somebody else wrote to it, perhaps after an attempt of ours took effect: what of that shows is ours.
            Ok(Some(Applied::Moved)) => (Outcome::Skipped(SkipReason::Stale), Vec::new()),
            Ok(Some(Applied::Done { remote_id })) => {
                let mut record = planned.record.clone();
                if let (Record::Scope { entry, .. }, Some(id)) = (&mut record, &remote_id) {
                    entry.remote_id = Some(id.clone());
                }
                (Outcome::Done { remote_id }, vec![record])
            }
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
        Ok(Made {
            outcome,
            in_doubt,
            stop,
        })
    }

    /// Takes back what was prepared and is not sent after all. Where that cannot be kept, the next run finds the intent open.
    async fn unsent(&self, planned: &PlannedChange, prepared: Prepared, outcome: Outcome) -> Made {
        let answered = Answered {
            records: unmade(planned),
            not_removed: prepared.removals,
            entry: None,
        };
        let stop = self.answered(prepared.number, answered).await.err();
        Made {
            stop,
            ..Made::of(outcome)
        }
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
    fn removals(change: ApprovedChange<'_>, at: Timestamp) -> Vec<PastRemoval> {
        if change.is_approved() {
            return Vec::new();
        }
        let removals = change.planned().removals.iter().cloned();
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
