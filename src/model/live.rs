//! What a provider saw: a complete, sorted picture, or there is none.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{AppRef, LiveIdentity, RemoteId, ScopeName};
use super::state::ScopeState;

/// The picture of one target. A list that failed or came short is an error of the provider, never a shorter picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What the target really is.
    pub identity: LiveIdentity,
    /// How people call the place: `Orders API (31415)`, `acme (X)`. Empty where the URL says it all.
    pub title: String,
    /// Every scope, managed or not; empty on systems whose scopes are no objects of their own.
    pub scopes: BTreeMap<ScopeName, LiveScope>,
    /// Names that the answer held more than once: no write touches them.
    pub duplicates: BTreeSet<ScopeName>,
    /// The apps: on OneLogin every client of the server, on Apigee each one that was asked for, under the reference that
    /// was asked for.
    pub apps: BTreeMap<AppRef, LiveApp>,
}

/// A scope as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveScope {
    /// What it holds.
    pub state: ScopeState,
    /// Its id; `None` on WSO2 scope registration, where the name is the id.
    pub remote_id: Option<RemoteId>,
    /// It belongs to a parent configuration (OneLogin): never written to.
    pub inherited: bool,
    /// Who uses it.
    pub consumers: Consumers,
}

/// Who uses a scope, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumers {
    /// The system does not tell.
    Unknown,
    /// These apps hold it (OneLogin).
    Apps(BTreeSet<AppRef>),
    /// That many API operations require it (WSO2 Publisher's `usageCount`).
    Usages(u64),
}

impl Consumers {
    /// What a delete rests on: a line for each that would lose the scope.
    pub fn facts(&self) -> BTreeSet<String> {
        match self {
            Self::Unknown => ["consumers: unknown".to_owned()].into(),
            Self::Usages(0) => BTreeSet::new(),
            Self::Usages(count) => [format!("consumers: {count} usages")].into(),
            Self::Apps(apps) => apps
                .iter()
                .map(|app| format!("consumer: {}", app.path()))
                .collect(),
        }
    }
}

/// An app as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are present, so that a box would only cost"
)]
pub enum LiveApp {
    /// It is not there (or its key is not, or no single key could be told); the sentence says what and what the server
    /// said. On OneLogin an app that is no client of the server has no entry at all.
    Absent {
        /// What is missing.
        why: String,
    },
    /// It is there.
    Present(LiveAppScopes),
}

/// An app's scopes as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAppScopes {
    /// The app, its key filled in.
    pub app: AppRef,
    /// How people call it.
    pub name: Option<String>,
    /// The scopes of its own list, inherited ones left out.
    pub scopes: BTreeSet<ScopeName>,
    /// Inherited entries (OneLogin): carried along with every write and never counted.
    pub inherited: BTreeSet<ScopeName>,
    /// What may stand in the list: the union of its products' scopes (Apigee). `None` where the server's own scopes are
    /// the measure. An empty list holds all of these.
    pub allowed: Option<BTreeSet<ScopeName>>,
    /// The names of its products (Apigee).
    pub products: Vec<String>,
    /// Why it cannot be used right now (revoked, expired), if so; its scopes are managed all the same.
    pub unusable: Option<String>,
}

impl LiveAppScopes {
    /// What the app can get: its list, or everything that is allowed where an empty list means that.
    pub fn effective(&self) -> BTreeSet<ScopeName> {
        self.effective_of(&self.scopes)
    }

    /// What the app could get if its list were `scopes`.
    pub fn effective_of(&self, scopes: &BTreeSet<ScopeName>) -> BTreeSet<ScopeName> {
        match &self.allowed {
            Some(allowed) if scopes.is_empty() => allowed.clone(),
            _ => scopes.clone(),
        }
    }
}
