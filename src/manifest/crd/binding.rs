//! `ScopeBinding`: roles for a scope.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{LINE, NAMESPACE, OBJECT_NAME, ObjectStatus, TargetRef};

/// Roles for a scope, declared apart from it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "ScopeBinding",
    namespaced,
    status = "ObjectStatus",
    derive = "PartialEq",
    shortname = "swb",
    category = "scopeward",
    doc = "Roles for a scope, declared apart from it.",
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scopeRef.name"),
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
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeBindingSpec {
    /// The Scope.
    pub scope_ref: ScopeRef,
    /// The roles that get it, beside those of the Scope and of its other ScopeBindings.
    #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 255), regex(pattern = LINE)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub roles: Vec<String>,
    /// Narrows the binding to some of the scope's targets; absent or empty means all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub target_refs: Vec<TargetRef>,
}

/// A Scope, by the name of its manifest.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeRef {
    /// The Scope's `metadata.name`.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Its namespace; this manifest's own where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
}
