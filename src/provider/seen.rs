//! What a look shows of an object that is to be replaced: whether it is as it was, as it is to be, or something else.

use std::collections::BTreeSet;

use crate::model::{Consumers, DisplayNames, ScopeState};

/// What a look shows of an object that is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is as it was when the change was planned.
    AsBefore,
    /// It is as it is to be.
    AsWanted,
    /// It is neither.
    Moved {
        /// It holds some of what the change was to bring all the same, so that a write whose answer was lost may be in it.
        ours: bool,
    },
}

/// Whether all who use a scope are among those that its delete was planned with: they are ours, or somebody approved that
/// they lose it. Where a system cannot tell who uses it, so it is.
pub(crate) fn are_known(consumers: &Consumers, planned: &BTreeSet<String>) -> bool {
    *consumers == Consumers::Unknown || consumers.facts().is_subset(planned)
}

/// How a live value stands to what it was and to what it is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    as_before: bool,
    as_wanted: bool,
    ours: bool,
}

/// Compares a value that a change writes as a whole.
pub(super) fn value<T: PartialEq>(live: &T, before: &T, after: &T) -> Compared {
    Compared {
        as_before: live == before,
        as_wanted: live == after,
        ours: before != after && live == after,
    }
}

/// Compares a set: something of ours is what the change adds and is there, or what it takes away and is gone.
pub(super) fn set<T: Ord>(
    live: &BTreeSet<T>,
    before: &BTreeSet<T>,
    after: &BTreeSet<T>,
) -> Compared {
    Compared {
        as_before: live == before,
        as_wanted: live == after,
        ours: after.difference(before).any(|added| live.contains(added))
            || before.difference(after).any(|gone| !live.contains(gone)),
    }
}

/// Compares a scope that a change writes as a whole.
pub(super) fn scope(live: &ScopeState, before: &ScopeState, after: &ScopeState) -> Seen {
    let is = |state| live.holds(state, DisplayNames::AsShown);
    let text = |of: fn(&ScopeState) -> &str| value(&of(live), &of(before), &of(after)).ours;
    let roles = set(&live.role_set(), &before.role_set(), &after.role_set());
    let shows_name = live.display_name.is_some();
    let compared = Compared {
        as_before: is(before),
        as_wanted: is(after),
        ours: text(|state| state.name.as_str())
            || text(ScopeState::description)
            || roles.ours
            || shows_name && text(ScopeState::shown_name),
    };
    compared.seen()
}

impl Compared {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            as_before: self.as_before && other.as_before,
            as_wanted: self.as_wanted && other.as_wanted,
            ours: self.ours || other.ours,
        }
    }

    /// What that shows.
    pub(super) fn seen(self) -> Seen {
        match self {
            Self {
                as_before: true, ..
            } => Seen::AsBefore,
            Self {
                as_wanted: true, ..
            } => Seen::AsWanted,
            Self { ours, .. } => Seen::Moved { ours },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_as_it_was_as_it_is_to_be_or_somebody_elses_with_or_without_ours() {
        let of = |text: &str| text.chars().collect::<BTreeSet<_>>();
        let moved = |ours| Seen::Moved { ours };
        #[rustfmt::skip]
        let table = [
            // (live, before, after, seen)
            ("ab",  "ab", "ac", Seen::AsBefore),
            ("ac",  "ab", "ac", Seen::AsWanted),
            ("abx", "ab", "abc", moved(false)),
            ("abcx", "ab", "abc", moved(true)),
            ("ax",  "ab", "a",  moved(true)),
            ("abx", "ab", "a",  moved(false)),
            ("",    "ab", "abc", moved(false)),
        ];
        for (live, before, after, seen) in table {
            let compared = set(&of(live), &of(before), &of(after));
            assert_eq!(compared.seen(), seen, "{live} {before} {after}");
        }
    }

    #[test]
    fn several_values_are_as_they_were_only_together() {
        let table = [
            (("d", "n"), Seen::AsBefore),
            (("D", "N"), Seen::AsWanted),
            (("D", "n"), Seen::Moved { ours: true }),
            (("x", "n"), Seen::Moved { ours: false }),
        ];
        for ((first, second), seen) in table {
            let both = value(&first, &"d", &"D").and(value(&second, &"n", &"N"));
            assert_eq!(both.seen(), seen, "{first} {second}");
        }
    }
}
