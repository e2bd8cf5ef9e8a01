//! What a plan can do to a live system: one variant a kind of write.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{AppRef, RemoteId, ScopeName, ScopeState};

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

/// When a change is made within its target. Each level is finished before the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Renames and creations: nothing is taken away, and what follows needs them.
    Make,
    /// Updates.
    Update,
    /// Lists of apps.
    Apps,
    /// What goes, when nobody of ours holds it any more.
    Delete,
}

/// One value of an object that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// `name`, `displayName`, `description`, `bindings` or `scopes`.
    pub path: &'static str,
    /// What it is.
    pub before: FieldValue,
    /// What it will be.
    pub after: FieldValue,
}

/// A text or a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// A text; `None` where there is none.
    Text(Option<String>),
    /// A set, sorted.
    Set(BTreeSet<String>),
}

impl Change {
    /// When it is made.
    pub fn level(&self) -> Level {
        match self {
            Self::CreateScope { .. } | Self::RenameScope { .. } => Level::Make,
            Self::UpdateScope { .. } => Level::Update,
            Self::AttachApp { .. } | Self::ReplaceAppScopes { .. } | Self::DetachApp { .. } => {
                Level::Apps
            }
            Self::DeleteScope { .. } => Level::Delete,
        }
    }

    /// The app whose whole list it writes, if it is that kind of change.
    pub fn app(&self) -> Option<&AppRef> {
        match self {
            Self::AttachApp { app, .. }
            | Self::ReplaceAppScopes { app, .. }
            | Self::DetachApp { app, .. } => Some(app),
            _ => None,
        }
    }

    /// Every word that [`Change::action`] gives.
    pub const ACTIONS: [&'static str; 7] = [
        "create", "update", "rename", "delete", "attach", "replace", "detach",
    ];

    /// The word for it: `create`, `update`, ...
    pub fn action(&self) -> &'static str {
        match self {
            Self::CreateScope { .. } => "create",
            Self::UpdateScope { .. } => "update",
            Self::RenameScope { .. } => "rename",
            Self::DeleteScope { .. } => "delete",
            Self::AttachApp { .. } => "attach",
            Self::ReplaceAppScopes { .. } => "replace",
            Self::DetachApp { .. } => "detach",
        }
    }

    /// The values that it changes.
    pub fn fields(&self) -> Vec<FieldChange> {
        let set = |path, before: &BTreeSet<ScopeName>, after: &BTreeSet<ScopeName>| {
            let texts =
                |set: &BTreeSet<ScopeName>| set.iter().map(|s| s.as_str().to_owned()).collect();
            FieldChange {
                path,
                before: FieldValue::Set(texts(before)),
                after: FieldValue::Set(texts(after)),
            }
        };
        match self {
            Self::CreateScope { after } => state_fields(None, Some(after)),
            Self::UpdateScope {
                id: _,
                before,
                after,
            }
            | Self::RenameScope {
                id: _,
                before,
                after,
            } => state_fields(Some(before), Some(after)),
            Self::DeleteScope { id: _, before: _ } => Vec::new(),
            Self::AttachApp { app: _, after } => vec![set("scopes", &BTreeSet::new(), after)],
            Self::ReplaceAppScopes {
                app: _,
                before,
                after,
                inherited: _,
            } => vec![set("scopes", before, after)],
            Self::DetachApp { app: _, before } => vec![set("scopes", before, &BTreeSet::new())],
        }
    }
}

fn state_fields(before: Option<&ScopeState>, after: Option<&ScopeState>) -> Vec<FieldChange> {
    let text = |path, of: fn(&ScopeState) -> Option<String>| FieldChange {
        path,
        before: FieldValue::Text(before.and_then(of)),
        after: FieldValue::Text(after.and_then(of)),
    };
    let roles = |state: Option<&ScopeState>| {
        FieldValue::Set(
            state
                .map(|s| s.roles.iter().map(|r| r.as_str().to_owned()).collect())
                .unwrap_or_default(),
        )
    };
    let mut fields = vec![
        text("name", |s| Some(s.name.as_str().to_owned())),
        text("displayName", |s| s.display_name.clone()),
        text("description", |s| s.description.clone()),
        FieldChange {
            path: "bindings",
            before: roles(before),
            after: roles(after),
        },
    ];
    if before.is_none() {
        fields.remove(0);
    }
    fields.retain(|field| field.before != field.after);
    fields
}
