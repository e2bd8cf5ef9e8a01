//! One change: intent, write, record, audit.

use jiff::Timestamp;

use super::{Outcome, TargetRun, failure, outcome_words};
use crate::inventory::{Answered, InventoryError, Sending};
use crate::model::{Intent, PastRemoval, Record};
use crate::plan::guard::ApprovedChange;
use crate::plan::{PlannedChange, SkipReason};
use crate::provider::{Applied, Fate};

/// What became of a change.
pub(super) struct Made {
    pub(super) outcome: Outcome,
    /// What the window counts for it, while nobody knows whether that was made.
    pub(super) in_doubt: Vec<PastRemoval>,
}

impl TargetRun<'_> {
    /// Makes one change.
    ///
    /// # Errors
    /// The inventory cannot be written: the run stops, since what follows could not be recorded either.
    pub(super) async fn make(&self, change: ApprovedChange<'_>) -> Result<Made, InventoryError> {
        let planned = change.planned();
        if let Err(outcome) = self.look_at(change).await {
            let in_doubt = Vec::new();
            return Ok(Made { outcome, in_doubt });
        }
        let at = Timestamp::now();
        let removals = Self::removals(change, at);
        let ledger = self.run.ledger;
        let target = &self.plan().target;
        let died = Some("the run ended before the answer came");
        let sending = Sending {
            at,
            intent: planned.intent.clone(),
            removals: removals.clone(),
            entry: self.audit_entry(planned, "unknown", died),
        };
        let number = ledger.prepare(self.identity, target, sending).await?;
        let unmade = || {
            let intent = planned.intent.iter();
            intent.map(Intent::came_to_nothing).collect()
        };
        let (outcome, records) = match self.work.provider.apply(change).await {
            // Somebody else made it meanwhile: it is not ours, and the next picture says what it is.
            Ok(Applied::Found) => (Outcome::Skipped(SkipReason::Stale), unmade()),
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
            Err(error) => (Outcome::Failed(failure(&error)), unmade()),
        };
        let (not_removed, in_doubt) = match outcome {
            Outcome::Failed(_) | Outcome::Skipped(_) => (removals, Vec::new()),
            Outcome::Unknown(_) => (Vec::new(), removals),
            Outcome::Done { .. } => (Vec::new(), Vec::new()),
        };
        let (word, error) = outcome_words(&outcome);
        let answered = Answered {
            records,
            not_removed,
            entry: self.audit_entry(planned, word, error),
        };
        ledger
            .answered(self.identity, target, number, answered)
            .await?;
        Ok(Made { outcome, in_doubt })
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
