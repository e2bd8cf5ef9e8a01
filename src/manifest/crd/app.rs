//! `AppScopeSet`: the full list of scopes of an app.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NOT_BLANK, ObjectStatus, PRINTABLE, SCOPE_TOKEN, TargetRef};
use crate::model::ForeignScopes;

/// The full list of scopes that an app holds.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "AppScopeSet",
    namespaced,
    status = "ObjectStatus",
    derive = "PartialEq",
    shortname = "swa",
    category = "scopeward",
    doc = "The full list of scopes that an app holds.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
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
#[x_kube(
    validation = Rule::new("!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || has(self.app.oneLogin)")
        .message("deletionPolicy Delete is for OneLogin apps alone: elsewhere an empty list opens the app to everything")
)]
pub struct AppScopeSetSpec {
    /// The target that has the app.
    pub target_ref: TargetRef,
    /// The app.
    pub app: App,
    /// The full list of its scopes; `[]` is wanted empty.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 255), regex(pattern = SCOPE_TOKEN)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub scopes: Vec<String>,
    /// What becomes of live entries that nobody declared.
    #[serde(default)]
    pub foreign_scopes: ForeignScopes,
    /// Says that `scopes: []` is meant: on an Apigee key it gives every scope of its products.
    #[serde(default)]
    pub allow_empty: bool,
    /// What removing this manifest does: leave the app as it is, or detach it (OneLogin alone).
    #[serde(default)]
    pub deletion_policy: AppDeletionPolicy,
}

/// An app: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.oneLogin) != has(self.apigee)")
        .message("exactly one of oneLogin and apigee names the app")
)]
pub struct App {
    /// A client of a OneLogin authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_login: Option<OneLoginApp>,
    /// One key of an Apigee app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apigee: Option<ApigeeApp>,
}

/// A client of a OneLogin authorization server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OneLoginApp {
    /// The id of the OIDC app, the number in its address in the administration portal.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub app_id: i64,
}

/// One key of an Apigee app.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(has(self.developer) ? 1 : 0) + (has(self.appGroup) ? 1 : 0) + (has(self.company) ? 1 : 0) == 1")
        .message("exactly one of developer, appGroup and company owns the app")
)]
pub struct ApigeeApp {
    /// The developer who owns the app, by e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = PRINTABLE))]
    pub developer: Option<String>,
    /// The app group that owns it (X).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = NOT_BLANK))]
    pub app_group: Option<String>,
    /// The company that owns it (Edge).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = NOT_BLANK))]
    pub company: Option<String>,
    /// The app's name.
    #[schemars(length(max = 255), regex(pattern = NOT_BLANK))]
    pub app: String,
    /// The key; it may be left out when the app has exactly one approved key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = PRINTABLE))]
    pub consumer_key: Option<String>,
}

// Not the model's: the default is the other one, and what deleting means is another thing.
/// What removing an AppScopeSet's manifest does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppDeletionPolicy {
    /// The app stays as it is, and is no longer managed.
    #[default]
    Orphan,
    /// The app is detached (OneLogin alone).
    Delete,
}
