//! What a plan can do to a live system: one variant a kind of write.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{AppRef, RemoteId, RoleName, ScopeName};

/// A scope's whole state, as far as a system holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeState {
    /// Its name.
    pub name: ScopeName,
    /// Its display name, where the system has one.
    pub display_name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its roles in the order to send: live ones first, in their order; each once. Empty where the system has none.
    pub roles: Vec<RoleName>,
}

/// One write. It carries the whole state before, which is its precondition, and the whole state after, live values of
/// unmanaged fields included, since every system's update replaces the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "action",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Change {
    /// A scope that is absent is made.
    CreateScope {
        /// What it will be.
        after: ScopeState,
    },
    /// A scope gets other values.
    UpdateScope {
        /// Its id.
        id: Option<RemoteId>,
        /// What it is.
        before: ScopeState,
        /// What it will be.
        after: ScopeState,
    },
    /// A scope gets another name, and keeps its id.
    RenameScope {
        /// Its id.
        id: RemoteId,
        /// What it is.
        before: ScopeState,
        /// What it will be.
        after: ScopeState,
    },
    /// A scope goes.
    DeleteScope {
        /// Its id.
        id: Option<RemoteId>,
        /// What it is.
        before: ScopeState,
    },
    /// An app becomes a client with these scopes (OneLogin).
    AttachApp {
        /// The app.
        app: AppRef,
        /// Its list.
        after: BTreeSet<ScopeName>,
    },
    /// An app's full list of scopes is replaced.
    ReplaceAppScopes {
        /// The app, its key filled in.
        app: AppRef,
        /// Its list as it is.
        before: BTreeSet<ScopeName>,
        /// Its list as it will be.
        after: BTreeSet<ScopeName>,
        /// Inherited entries, sent along (OneLogin).
        inherited: BTreeSet<ScopeName>,
    },
    /// An app is no client any more (OneLogin).
    DetachApp {
        /// The app.
        app: AppRef,
        /// Its list as it is.
        before: BTreeSet<ScopeName>,
    },
}
