//! What became of a run as a whole, and whether the systems are as declared: one judgement over the declarations, for text,
//! JSON and the exit code alike.
//!
//! | a target is | when |
//! |---|---|
//! | as declared | it was read, every manifest is valid, nothing is left to do, and nothing is withheld, refused or not there |
//! | short of it, as asked | a manifest itself asks to leave it: a hold, `drift: Report`, a policy, `suspend`, a narrowed run |
//! | short of it | else: the run failed, or is done in part |

use super::{Outcome, Report, TargetReport};
use crate::diagnostic::Diagnostic;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{SkipReason, TargetPlan};

/// The word for a whole run, as the report's JSON has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    /// Nothing was to be done.
    NoChanges,
    /// Everything was done.
    Applied,
    /// Something was written and something is left.
    Partial,
    /// A safety rule stopped it, and nothing was written.
    Refused,
    /// It failed, and nothing was written.
    Failed,
    /// What it rested on moved, and nothing was written.
    Stale,
}

impl RunResult {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoChanges => "noChanges",
            Self::Applied => "applied",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

/// How far a target is from what was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortfall {
    /// It is as declared.
    None,
    /// It is not, as a manifest or the narrowing of the run asks.
    Asked,
    /// It is not.
    Unasked,
}

impl Shortfall {
    /// How far a target is from what its manifests say once this plan, which was made last, is not carried out.
    fn of_plan(plan: &TargetPlan) -> Self {
        if plan.suspended {
            return Self::Asked;
        }
        let is_short = plan.error.is_some()
            || !plan.changes.is_empty()
            || !plan.refusals.is_empty()
            || plan.diagnostics.iter().any(Diagnostic::is_error);
        if is_short {
            return Self::Unasked;
        }
        let skipped = plan.skipped.iter().map(|skip| Self::of_skip(skip.reason));
        skipped.max().unwrap_or(Self::None)
    }

    /// What it means for the declarations that something is left alone.
    fn of_skip(reason: SkipReason) -> Self {
        match reason {
            // Nobody declares it, or not here; a declared name that is live twice has a finding that says so.
            SkipReason::Unmanaged
            | SkipReason::Duplicate
            | SkipReason::Matched
            | SkipReason::NoDelete
            | SkipReason::OtherSource
            | SkipReason::Moved
            | SkipReason::Orphaned => Self::None,
            SkipReason::Held
            | SkipReason::Drift
            | SkipReason::Policy
            | SkipReason::Selection
            | SkipReason::UnknownRepository
            | SkipReason::DeletionDelayed
            | SkipReason::ObserveIncomplete
            | SkipReason::NamespaceTerminating
            | SkipReason::UnreadTarget => Self::Asked,
            SkipReason::IncompleteManifests
            | SkipReason::IncompleteContributors
            | SkipReason::NotAllowed
            | SkipReason::Inherited
            | SkipReason::RenameBlocked
            | SkipReason::DependencyFailed
            | SkipReason::Stale
            | SkipReason::Interrupted
            | SkipReason::NextSlice
            | SkipReason::Refused => Self::Unasked,
        }
    }
}

impl TargetReport {
    /// How far the target is from what was declared, as the last reading shows it.
    pub fn shortfall(&self, approved: &ApprovedTarget) -> Shortfall {
        let last = self.remaining.as_ref().unwrap_or(approved.plan());
        if self.error.is_some() || self.converged == Some(false) || !approved.refusals().is_empty()
        {
            return Shortfall::Unasked;
        }
        Shortfall::of_plan(last)
    }
}

impl Report {
    /// The targets with what became of each.
    pub fn results(&self) -> impl Iterator<Item = (&ApprovedTarget, &TargetReport)> {
        self.approved.targets().iter().zip(&self.targets)
    }

    /// How many targets are as declared. `invalid` says that a manifest is left out: nobody knows of which target it was.
    pub fn as_declared(&self, invalid: bool) -> usize {
        if invalid {
            return 0;
        }
        self.results()
            .filter(|(approved, target)| target.shortfall(approved) == Shortfall::None)
            .count()
    }

    /// What became of the run as a whole. `invalid` says that a document was left out or a finding stands.
    pub fn result(&self, invalid: bool) -> RunResult {
        let outcomes = || self.targets.iter().flat_map(|target| &target.outcomes);
        let is_made =
            |outcome: &Outcome| matches!(outcome, Outcome::Done { .. } | Outcome::Unknown(_));
        let written =
            self.targets.iter().any(|target| target.writes > 0) && outcomes().any(is_made);
        let stale = outcomes().any(|outcome| *outcome == Outcome::Skipped(SkipReason::Stale));
        let refused = !self.approved.is_clean();
        let failed = invalid
            || self.interrupted
            || outcomes()
                .any(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unknown(_)))
            || self
                .results()
                .any(|(approved, target)| target.shortfall(approved) == Shortfall::Unasked);
        match (written, stale, refused, failed) {
            (true, false, false, false) => RunResult::Applied,
            (true, ..) => RunResult::Partial,
            (false, true, ..) => RunResult::Stale,
            (false, false, true, _) => RunResult::Refused,
            (false, false, false, true) => RunResult::Failed,
            (false, false, false, false) => RunResult::NoChanges,
        }
    }
}

/// Whether a target could not be read, or the live state shows an error of the manifests.
pub fn has_errors(approved: &ApprovedPlan) -> bool {
    let mut plans = approved.targets().iter().map(ApprovedTarget::plan);
    plans.any(|plan| plan.error.is_some() || plan.diagnostics.iter().any(Diagnostic::is_error))
}
