//! What a scope holds, wherever it stands: live, wanted, sent.

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
