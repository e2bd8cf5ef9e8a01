//! `Scope`: a name that may be granted.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{LINE, LINES, NAMESPACE, NOT_BLANK, OBJECT_NAME, ObjectStatus, SCOPE_TOKEN};
use crate::model::DeletionPolicy;

/// A name that may be granted, on one or several targets.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "Scope",
    namespaced,
    status = "ObjectStatus",
    derive = "PartialEq",
    shortname = "sws",
    category = "scopeward",
    doc = "A name that may be granted, on one or several targets.",
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Synced")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Synced")].reason"#
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeSpec {
    /// The targets that should have the scope.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub target_refs: Vec<TargetRef>,
    /// The scope's name, as a token carries it; `metadata.name` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = SCOPE_TOKEN))]
    pub name: Option<String>,
    /// How people read it, where the system has a place for it. Absent is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = LINE))]
    pub display_name: Option<String>,
    /// What it allows, in a sentence. Absent is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = LINES))]
    pub description: Option<String>,
    /// The roles that get it, where the system has them (WSO2): the full list. Absent leaves all but what ScopeBindings say
    /// unmanaged; on WSO2 a scope without roles is issued to anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 255), regex(pattern = LINE)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub bindings: Option<Vec<String>>,
    /// Names that it had, newest first: where the system can, it is renamed in place instead of deleted and made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255), regex(pattern = SCOPE_TOKEN)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub previous_names: Vec<String>,
    /// It is never deleted, not even when this manifest is gone.
    #[serde(default)]
    pub protected: bool,
    /// What removing this manifest does to the live scope.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What an Apigee target needs to know (not supported yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apigee: Option<ApigeeScope>,
}

/// What an Apigee target needs to know of a scope (not supported yet).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApigeeScope {
    /// The API products whose list of scopes must hold this name.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 255), regex(pattern = NOT_BLANK)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub products: Vec<String>,
}

/// A target, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// The Target's name.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Its namespace; this manifest's own where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
}
