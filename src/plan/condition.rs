//! The reasons that conditions of resources in a cluster show: one enum for what a plan, a verdict and a run say.

use strum::{EnumIter, IntoStaticStr, VariantNames};

use super::rule::Rule;
use super::{Failure, SkipReason};

/// Why a resource is not as declared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantNames, EnumIter,
)]
pub enum ConditionReason {
    /// Another manifest, or another Target, holds the same.
    Conflict,
    /// The resource is invalid.
    InvalidSpec,
    /// Its Target does not permit it.
    NotAllowed,
    /// It names something that is not there.
    ReferenceNotFound,
    /// The system refuses the credential, or there is none for it.
    Unauthenticated,
    /// There is no ledger where there was one.
    InventoryLost,
    /// The ledger is older than what was seen of it.
    InventoryRolledBack,
    /// The ledger is another cluster's.
    ForeignInventory,
    /// The ledger cannot be read or written.
    InventoryUnavailable,
    /// More would be removed than allowed.
    ThresholdExceeded,
    /// Somebody has to approve it.
    ApprovalRequired,
    /// What was approved is not what would be done.
    PlanStale,
    /// Something that it shares an entry with is invalid or cannot be read.
    IncompleteContributors,
    /// What is to go was not gone for long enough.
    DeletionDelayed,
    /// Something that is to go is kept, by protection, policy, hold or suspension.
    RemovalsWithheld,
    /// What it needs is not done yet, or the next run tries again.
    Progressing,
    /// The system takes fewer requests than were sent.
    RateLimited,
    /// The system does not answer.
    Unreachable,
    /// The system does not show all that it has.
    ObserveIncomplete,
    /// The system refuses what was sent.
    RequestRefused,
}

impl ConditionReason {
    /// Whether nothing becomes of it until a person acts. A missing reference counts only once it has been missing for a
    /// while: what it names may be applied a moment later.
    pub fn is_stalled(self) -> bool {
        match self {
            Self::Conflict
            | Self::InvalidSpec
            | Self::NotAllowed
            | Self::Unauthenticated
            | Self::InventoryLost
            | Self::InventoryRolledBack
            | Self::ForeignInventory
            | Self::ThresholdExceeded
            | Self::ApprovalRequired
            | Self::PlanStale => true,
            Self::ReferenceNotFound
            | Self::InventoryUnavailable
            | Self::IncompleteContributors
            | Self::DeletionDelayed
            | Self::RemovalsWithheld
            | Self::Progressing
            | Self::RateLimited
            | Self::Unreachable
            | Self::ObserveIncomplete
            | Self::RequestRefused => false,
        }
    }

    /// The reason for something that is left as it is; `None` where that is nobody's concern, or where a refusal or a finding
    /// tells it.
    pub fn of_skip(reason: SkipReason) -> Option<Self> {
        match reason {
            SkipReason::Unmanaged
            | SkipReason::Matched
            | SkipReason::OtherSource
            | SkipReason::Moved
            | SkipReason::Orphaned
            | SkipReason::Drift
            | SkipReason::Duplicate
            | SkipReason::Refused => None,
            SkipReason::IncompleteManifests | SkipReason::IncompleteContributors => {
                Some(Self::IncompleteContributors)
            }
            SkipReason::NotAllowed => Some(Self::NotAllowed),
            SkipReason::DeletionDelayed => Some(Self::DeletionDelayed),
            SkipReason::NoDelete
            | SkipReason::Policy
            | SkipReason::Held
            | SkipReason::Selection
            | SkipReason::UnreadTarget
            | SkipReason::NamespaceTerminating
            | SkipReason::Inherited => Some(Self::RemovalsWithheld),
            SkipReason::RenameBlocked
            | SkipReason::DependencyFailed
            | SkipReason::Stale
            | SkipReason::Interrupted => Some(Self::Progressing),
        }
    }
}

impl From<Rule> for ConditionReason {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Conflict | Rule::NameTaken | Rule::AdoptionNever => Self::Conflict,
            Rule::Protected | Rule::InUse => Self::RemovalsWithheld,
            Rule::OpensToAll
            | Rule::Takeover
            | Rule::FirstContact
            | Rule::ForeignScopes
            | Rule::LastEntry
            | Rule::UnmanagedConsumers
            | Rule::ManualApproval => Self::ApprovalRequired,
            Rule::MaxRemovals | Rule::MaxRemovalPercent | Rule::MoreThanHalf => {
                Self::ThresholdExceeded
            }
            Rule::NewInventory => Self::InventoryLost,
        }
    }
}

impl From<&Failure> for ConditionReason {
    fn from(failure: &Failure) -> Self {
        match failure.reason {
            "credential" | "unauthorized" => Self::Unauthenticated,
            "configuration" => Self::InvalidSpec,
            "shared_identity" => Self::Conflict,
            "inventory" => Self::InventoryUnavailable,
            "rate_limited" => Self::RateLimited,
            "transport" | "timeout" | "certificate" => Self::Unreachable,
            "observe_incomplete" | "unexpected_answer" | "too_large" => Self::ObserveIncomplete,
            "interrupted" => Self::Progressing,
            _ => Self::RequestRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn what_waits_for_a_person_is_stalled_and_what_passes_by_itself_is_not() {
        let rules = Rule::iter().filter(|rule| !ConditionReason::from(*rule).is_stalled());
        let passing: Vec<Rule> = rules.collect();
        assert_eq!(passing, [Rule::Protected, Rule::InUse]);
        for reason in [
            SkipReason::DeletionDelayed,
            SkipReason::Held,
            SkipReason::Stale,
        ] {
            let reason = ConditionReason::of_skip(reason).unwrap();
            assert!(!reason.is_stalled(), "{reason:?}");
        }
    }

    #[test]
    fn a_reason_is_a_word_as_conditions_have_them() {
        for reason in ConditionReason::iter() {
            let word: &str = reason.into();
            assert!(
                word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric)
            );
        }
    }
}
