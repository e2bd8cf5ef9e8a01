//! What manifests say should exist, resolved: every reference followed, every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::{AppRef, RoleName, ScopeName};
use super::source::{ManifestRef, Source};
use super::target::Target;

/// Everything that a run's manifests want.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// One entry a target, sorted by its id. A target without wishes is here too: `sync` removes there what nobody
    /// declares any more.
    pub targets: Vec<DesiredTarget>,
}

/// What is wanted on one target.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredTarget {
    /// The target.
    pub target: Arc<Target>,
    /// The scopes, by name.
    pub scopes: BTreeMap<ScopeName, DesiredScope>,
    /// The app scope sets, sorted by app; no two of one app.
    pub apps: Vec<DesiredApp>,
}

/// A scope that should exist.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredScope {
    /// Its name.
    pub name: ScopeName,
    /// The display name; `None` is not managed.
    pub display_name: Option<String>,
    /// The description; `None` is not managed.
    pub description: Option<String>,
    /// The roles.
    pub roles: DesiredRoles,
    /// Names that it had, newest first.
    pub previous_names: Vec<ScopeName>,
    /// It is never deleted.
    pub protected: bool,
    /// What removing the manifest does.
    pub deletion_policy: DeletionPolicy,
    /// Nothing is written to it before this moment.
    pub hold_until: Option<Timestamp>,
    /// The manifest.
    pub source: Source,
}

/// The roles that a scope should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredRoles {
    /// Whether the scope's own manifest gives `bindings`: then the set is replaced as a whole, and else only what
    /// `ScopeBinding`s contribute is managed.
    pub whole: bool,
    /// Each role with the manifests that ask for it.
    pub entries: BTreeMap<RoleName, BTreeSet<ManifestRef>>,
    /// Whether every contributor was read, is valid, permitted and selected: only then may the set shrink.
    pub may_shrink: bool,
}

/// The full list of scopes that an app should hold.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredApp {
    /// The app.
    pub app: AppRef,
    /// The scopes in the manifest's order, each once.
    pub scopes: Vec<ScopeName>,
    /// What becomes of entries that nobody declared.
    pub foreign: ForeignScopes,
    /// `[]` is meant, with what it means on that system.
    pub allow_empty: bool,
    /// What removing the manifest does.
    pub deletion_policy: DeletionPolicy,
    /// Nothing is written to it before this moment.
    pub hold_until: Option<Timestamp>,
    /// Whether every contributor was read, is valid, permitted and selected: only then may the set shrink.
    pub may_shrink: bool,
    /// The manifest; `spec.scopes[i]` is the place of `scopes[i]`.
    pub source: Source,
}

/// What removing a manifest does to the live object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, and is no longer managed.
    Orphan,
}

/// What becomes of an app's live scopes that nobody declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ForeignScopes {
    /// They are taken away.
    #[default]
    Remove,
    /// They stay.
    Keep,
    /// The set is refused while there are any.
    Fail,
}

impl DesiredApp {
    /// The scopes as a set.
    pub fn scope_set(&self) -> BTreeSet<ScopeName> {
        self.scopes.iter().cloned().collect()
    }
}
