//! An approval that a manifest names by a digest, over all the runs that it takes: pure, every moment is an argument.
//!
//! | the digest names | it approves |
//! |---|---|
//! | a plan that was pending | those of its changes that come out identically, in as many runs as it takes |
//! | the very plan at hand | that plan as a whole, what has unknown consumers included; its changes are remembered |
//! | neither | nothing: [`PlanStale`] |
//!
//! It ends when all of its changes are made, or a day after it was first seen. Then it is used up, and approves nothing for
//! a month, nor as long as the manifest goes on to name it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::TargetPlan;
use super::digest::{ChangeHash, Digest};
use super::guard::Approvals;

/// How many plans that wait for a word are remembered.
const PENDING: usize = 5;

/// How many changes of such plans are remembered in all, so that what they take stays far below what a blob may hold.
const MOST_CHANGES: usize = 8_000;

/// How long an approval lasts.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// How long one that has ended approves nothing.
const USED_UP: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A plan that waits for somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingPlan {
    /// What names it.
    pub digest: Digest,
    /// When it was first pending.
    pub since: Timestamp,
    /// Its changes, but for those that were made by its approval.
    pub hashes: BTreeSet<ChangeHash>,
}

/// An approval that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenApproval {
    /// The plan that it names.
    pub digest: Digest,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// What is kept of a target's plans and approvals from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalLog {
    /// The last plans that waited, the latest last.
    pub pending: Vec<PendingPlan>,
    /// The approvals that were seen.
    pub given: Vec<GivenApproval>,
}

/// The changes that a digest stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovedChanges {
    /// Those of a plan that was pending.
    Known(BTreeSet<ChangeHash>),
    /// No such plan was pending: nobody knows.
    Unknown,
}

/// An approval of a plan that was never pending and is not what would be done now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the approved plan {approved} is none that was pending, and what would be done now is {planned}"
)]
pub struct PlanStale {
    /// The plan that was approved.
    pub approved: Digest,
    /// The plan at hand.
    pub planned: Digest,
}

impl PendingPlan {
    /// A plan that waits from now on.
    pub fn of(plan: &TargetPlan, now: Timestamp) -> Self {
        Self {
            digest: plan.digest(),
            since: now,
            hashes: plan.change_hashes().into_iter().collect(),
        }
    }
}

/// The pending plan that a digest names.
pub fn named<'p>(pending: &'p [PendingPlan], digest: &Digest) -> Option<&'p PendingPlan> {
    pending.iter().rfind(|plan| plan.digest == *digest)
}

/// The changes that an approval by this digest stands for.
pub fn approved_changes(pending: &[PendingPlan], approved: &Digest) -> ApprovedChanges {
    match named(pending, approved) {
        Some(plan) => ApprovedChanges::Known(plan.hashes.clone()),
        None => ApprovedChanges::Unknown,
    }
}

impl ApprovalLog {
    /// Remembers a plan that waits. The last five are kept, and the one that the manifest names, whatever came after it: its
    /// changes may take more runs than that.
    pub fn wait(&mut self, plan: &TargetPlan, approved: Option<&Digest>, now: Timestamp) {
        let plan = PendingPlan::of(plan, now);
        if let Some(known) = self
            .pending
            .iter()
            .position(|known| known.digest == plan.digest)
        {
            // The one that is shown is the last to be forgotten.
            let known = self.pending.remove(known);
            self.pending.push(known);
            return self.bound(approved);
        }
        self.pending.push(plan);
        let mut surplus = self.pending.len().saturating_sub(PENDING);
        self.pending.retain(|plan| {
            let goes = surplus > 0 && approved != Some(&plan.digest);
            surplus -= usize::from(goes);
            !goes
        });
        self.bound(approved);
    }

    /// Forgets the oldest plans where all of them have more changes than are kept in one place, but neither the latest nor
    /// the one that the manifest names.
    fn bound(&mut self, approved: Option<&Digest>) {
        let mut total: usize = self.pending.iter().map(|plan| plan.hashes.len()).sum();
        let latest = self.pending.last().map(|plan| plan.digest.clone());
        self.pending.retain(|plan| {
            let stays = Some(&plan.digest) == latest.as_ref() || Some(&plan.digest) == approved;
            let goes = total > MOST_CHANGES && !stays;
            total -= if goes { plan.hashes.len() } else { 0 };
            !goes
        });
    }

    /// What a manifest that names this digest approves of the plan at hand.
    ///
    /// # Errors
    /// The digest names neither a plan that was pending nor the one at hand.
    pub fn approvals(
        &mut self,
        approved: &Digest,
        plan: &TargetPlan,
        now: Timestamp,
    ) -> Result<Approvals, PlanStale> {
        self.forget(Some(approved), now);
        let used_up = Approvals {
            used_up: vec![approved.clone()],
            ..Approvals::default()
        };
        let mut given = self.given.iter();
        let given = given.find(|given| given.digest == *approved);
        if given.is_some_and(|given| given.used_at.is_some()) {
            return Ok(used_up);
        }
        let is_new = given.is_none();
        let planned = plan.digest();
        let is_at_hand = planned == *approved;
        if is_at_hand {
            self.wait(plan, Some(approved), now);
        }
        let ApprovedChanges::Known(changes) = approved_changes(&self.pending, approved) else {
            let approved = approved.clone();
            return Err(PlanStale { approved, planned });
        };
        if is_new {
            self.given.push(GivenApproval {
                digest: approved.clone(),
                first_seen: now,
                used_at: None,
            });
        }
        Ok(Approvals {
            digests: is_at_hand.then_some(planned).into_iter().collect(),
            changes,
            used_up: Vec::new(),
        })
    }

    /// Takes note of approved changes that were made: none of them is made a second time by this approval, and it ends with
    /// the last one.
    pub fn made(&mut self, approved: &Digest, made: &BTreeSet<ChangeHash>, now: Timestamp) {
        let mut pending = self.pending.iter_mut();
        let Some(plan) = pending.rfind(|plan| plan.digest == *approved) else {
            return;
        };
        plan.hashes.retain(|hash| !made.contains(hash));
        let is_done = plan.hashes.is_empty();
        let mut given = self.given.iter_mut();
        if let Some(given) = given.find(|given| is_done && given.digest == *approved) {
            given.used_at.get_or_insert(now);
        }
    }

    /// Ends approvals that have lasted, and forgets those that ended long ago, but not the one that the manifest names.
    pub fn forget(&mut self, approved: Option<&Digest>, now: Timestamp) {
        for given in &mut self.given {
            if now.duration_since(given.first_seen) >= LASTS {
                given.used_at.get_or_insert(now);
            }
        }
        self.given.retain(|given| {
            let is_old = |used_at| now.duration_since(used_at) >= USED_UP;
            approved == Some(&given.digest) || !given.used_at.is_some_and(is_old)
        });
    }
}
