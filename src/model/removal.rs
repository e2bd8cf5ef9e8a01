//! What was or will be taken away, as the guard counts it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// What is counted. Objects and entries of sets count apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Counted {
    /// Scopes, as objects.
    Scopes,
    /// Attached apps, as objects.
    Apps,
    /// Roles of scopes.
    Roles,
    /// Scopes of apps.
    AppScopes,
}

/// How much of one kind a change removes, and from whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// What is counted.
    pub counted: Counted,
    /// The one app, or the one scope whose roles; `None` for objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How many.
    pub count: u64,
}

/// Removals that were made before, without an approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Removals(pub Vec<PastRemoval>);

/// Removals of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRemoval {
    /// When.
    pub at: Timestamp,
    /// What, from whom and how many.
    #[serde(flatten)]
    pub removal: Removal,
}
