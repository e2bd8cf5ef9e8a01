//! What a scope holds, wherever it stands: live, wanted, sent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::name::{RoleName, ScopeName};

/// A scope's whole state, as far as a system holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeState {
    /// Its name.
    pub name: ScopeName,
    /// Its display name, where the system has one.
    pub display_name: Option<String>,
    /// Its description; `None` and empty are the same.
    pub description: Option<String>,
    /// Its roles in the order answered or to send (live ones first, in their order), each once; empty where the system has
    /// none.
    pub roles: Vec<RoleName>,
}

/// How a live display name is held against a wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisplayNames {
    /// Both were read, or both are what a system is to hold: they are equal or they are not.
    Exact,
    /// One of them was sent: a system that answers none says nothing of it, and one that was sent none shows the name.
    AsShown,
}

impl ScopeState {
    /// Whether this live state is as wanted, by all that counts: see [`ScopeState::difference`].
    pub fn holds(&self, wanted: &Self, display_names: DisplayNames) -> bool {
        self.difference(wanted, display_names).is_none()
    }

    /// How this live state differs from the wanted one, in words that follow "it is there, and"; `None` where it does not.
    /// No description and an empty one are the same, and so are roles in any order.
    pub fn difference(&self, wanted: &Self, display_names: DisplayNames) -> Option<&'static str> {
        let same_display_name = match display_names {
            DisplayNames::Exact => self.display_name == wanted.display_name,
            DisplayNames::AsShown => {
                self.display_name.is_none() || self.shown_name() == wanted.shown_name()
            }
        };
        if self.name != wanted.name {
            Some("its name is another one")
        } else if self.description() != wanted.description() {
            Some("its description is another one")
        } else if self.role_set() != wanted.role_set() {
            Some("its roles are others")
        } else if !same_display_name {
            Some("its display name is another one")
        } else {
            None
        }
    }

    /// The description, empty where there is none.
    pub fn description(&self) -> &str {
        self.description.as_deref().unwrap_or_default()
    }

    /// The roles, whatever their order.
    pub fn role_set(&self) -> BTreeSet<&RoleName> {
        self.roles.iter().collect()
    }

    /// What a system with display names shows: where none is given, the name.
    pub fn shown_name(&self) -> &str {
        let given = self.display_name.as_deref().filter(|name| !name.is_empty());
        given.unwrap_or(self.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_scope_is_as_wanted_by_all_that_counts_and_by_nothing_else() {
        let state = |(name, display, text, roles): (&str, &str, &str, &str)| ScopeState {
            name: ScopeName::observed(name),
            display_name: Some(display.to_owned()).filter(|display| display != "-"),
            description: Some(text.to_owned()).filter(|text| text != "-"),
            roles: roles.split_terminator(' ').map(RoleName::new).collect(),
        };
        #[rustfmt::skip]
        let table = [
            // live: name, display name, description, roles; wanted; exact, as shown
            (("s", "S", "d", "a b"), ("s", "S", "d", "a b"), true,  true),
            (("s", "S", "d", "a b"), ("s", "S", "d", "b a"), true,  true),
            (("s", "S", "d", "a b"), ("s", "S", "d", "a"),   false, false),
            (("s", "S", "d", "a"),   ("s", "S", "d", "a b"), false, false),
            (("s", "S", "d", ""),    ("s", "S", "D", ""),    false, false),
            (("s", "S", "-", ""),    ("s", "S", "", ""),     true,  true),
            (("s", "S", "", ""),     ("s", "S", "-", ""),    true,  true),
            (("s", "S", "-", ""),    ("s", "S", " ", ""),    false, false),
            (("s", "S", "d", ""),    ("t", "S", "d", ""),    false, false),
            (("s", "S", "d", ""),    ("s", "T", "d", ""),    false, false),
            (("s", "-", "d", ""),    ("s", "-", "d", ""),    true,  true),
            (("s", "-", "d", ""),    ("s", "S", "d", ""),    false, true),
            (("s", "S", "d", ""),    ("s", "-", "d", ""),    false, false),
            (("s", "s", "d", ""),    ("s", "-", "d", ""),    false, true),
        ];
        for (live, wanted, exact, as_shown) in table {
            let (live, wanted) = (state(live), state(wanted));
            let holds = |how| live.holds(&wanted, how);
            assert_eq!(holds(DisplayNames::Exact), exact, "{live:?} {wanted:?}");
            assert_eq!(
                holds(DisplayNames::AsShown),
                as_shown,
                "{live:?} {wanted:?}"
            );
        }
    }
}
