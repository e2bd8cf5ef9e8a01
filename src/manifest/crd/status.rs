//! `status` of the four kinds: what the operator says, and never what it reads back as the truth.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// The generation of the manifest that the conditions speak of; -1 before anybody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state: `Ready`, `Synced`, `Drifted`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The state on each target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "name".into()]))]
    pub targets: Vec<ObjectState>,
}

/// The state on one target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectState {
    /// The Target's namespace.
    pub namespace: String,
    /// The Target's name.
    pub name: String,
    /// What it is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_name: Option<String>,
    /// Its id there, where the system gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// `Synced`, or the reason why it is not.
    pub state: String,
    /// Whether it is there as declared, whatever waits to be removed.
    #[serde(default)]
    pub ready: bool,
    /// The generation that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Why, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// One aspect of the state.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence.
    pub message: String,
    /// When `status` last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the manifest that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What the operator last saw and did on a target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The generation of the manifest that the conditions speak of; -1 before anybody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state: `Ready`, `Synced`, `Drifted`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The last value of the annotation `scopeward.dev/reconcile-requested-at` that was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// How many objects there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Counts>,
    /// The last run that changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The plan that waits for `spec.approvedPlan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_plan: Option<PendingPlan>,
    /// What is not removed or not written, and the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
    /// The ledger that was last written: one that is older or gone stops removals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryWitness>,
}

/// Counts of objects on a target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Scopes that are declared.
    #[serde(default)]
    pub scopes: u64,
    /// Lists of apps that are declared.
    #[serde(default)]
    pub app_scope_sets: u64,
    /// What is managed, declared or not.
    #[serde(default)]
    pub owned: u64,
    /// What differs from what was applied, and was not changed by a manifest.
    #[serde(default)]
    pub drifted: u64,
}

/// A run that changed something.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// When it ended.
    #[schemars(extend("format" = "date-time"))]
    pub finished_at: String,
    /// The digest of its plan.
    pub digest: String,
    /// Changes that were made.
    pub done: u64,
    /// Changes that failed, or whose fate is unknown.
    pub failed: u64,
    /// Changes that were not sent.
    pub skipped: u64,
}

/// A plan that waits for somebody's word.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PendingPlan {
    /// What `spec.approvedPlan` has to say.
    pub digest: String,
    /// Since when it waits.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// How many changes it has.
    pub count: u64,
    /// The first of them, as a plan shows them.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub changes: Vec<String>,
}

/// What is not removed or not written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Withheld {
    /// How much that is.
    #[serde(default)]
    pub count: u64,
    /// The first of it.
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(default)]
    pub items: Vec<WithheldItem>,
}

/// Something that is not removed or not written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WithheldItem {
    /// What, as a plan names it.
    #[schemars(length(max = 512))]
    pub object: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence, and what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Where a target's ledger is, and how far it was when it was last written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InventoryWitness {
    /// The ConfigMap.
    pub name: String,
    /// How often it was written.
    pub generation: u64,
}
