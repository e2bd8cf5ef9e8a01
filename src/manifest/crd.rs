//! The four kinds, once: the types that files and custom resources are read into, the schema that the API server and
//! editors check them with, and the CEL rules that both `kubectl apply` and `validate` run.
//!
//! | kind | says |
//! |---|---|
//! | [`Target`] | a live system and how to reach it |
//! | [`Scope`] | a name that may be granted, on one or several targets |
//! | [`ScopeBinding`] | roles for a scope, declared apart from it |
//! | [`AppScopeSet`] | the full list of scopes that an app holds |
//!
//! The comments of this file become the descriptions of the schemas, so they speak to the writer of a manifest. Absent is
//! not managed, `[]` is wanted empty, and `null` is an error: no field is `nullable` in the schemas.

#![expect(
    clippy::doc_markdown,
    reason = "the comments are the descriptions of the schemas, for people who do not read Rust"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns of one type repeat the words that give it"
)]

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The API group of the four kinds.
pub const GROUP: &str = "scopeward.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// Both, as `apiVersion` writes them.
pub const API_VERSION: &str = "scopeward.dev/v1alpha1";

/// Names of Kubernetes objects (DNS-1123 subdomain).
pub(crate) const OBJECT_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Names of namespaces (DNS-1123 label).
pub(crate) const NAMESPACE: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// RFC 6749's scope-token.
pub(crate) const SCOPE_TOKEN: &str = r"^[!#-\[\]-~]+$";
/// Anything that is more than white space.
pub(crate) const NOT_BLANK: &str = r"\S";
/// A line for people: more than white space, and no control character, which could steer the terminal that shows it.
pub(crate) const LINE: &str =
    r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// The same, of any number of lines.
pub(crate) const LINES: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x08\x0b-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
/// A number and one unit.
pub(crate) const DURATION: &str = r"^[1-9][0-9]{0,5}[smhd]$";
/// A number and one unit, 99 days at most.
pub(crate) const WINDOW: &str =
    r"^([1-9][0-9]{0,5}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h|[1-9][0-9]?d)$";
/// `https://`, or `http://` to a loopback host; no user, query or fragment.
pub(crate) const URL: &str = r"^(https://[^\s/?#@]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?)(/[^\s?#]*)?$";
/// A SHA-256 as hexadecimal digits.
pub(crate) const SHA256: &str = r"^[0-9a-fA-F]{64}$";
/// The digest of a plan.
pub(crate) const DIGEST: &str = r"^sha256:[0-9a-f]{64}$";
/// What may stand in a path of a URL without being taken for anything else.
pub(crate) const SEGMENT: &str = r"^[A-Za-z0-9._-]+$";
/// The version segment of the Publisher's path.
pub(crate) const PUBLISHER_VERSION: &str = r"^v[0-9]+(\.[0-9]+)*$";
/// Printable characters without a space.
pub(crate) const PRINTABLE: &str = r"^[!-~]+$";
/// A key of a Secret.
pub(crate) const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";

/// A live system and how to reach it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "Target",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    shortname = "swt",
    category = "scopeward",
    doc = "A live system and how to reach it.",
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
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
        name = "Drifted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Drifted")].status"#
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
    validation = Rule::new("(has(self.oneLogin) ? 1 : 0) + (has(self.wso2) ? 1 : 0) + (has(self.apigee) ? 1 : 0) == 1")
        .message("exactly one of oneLogin, wso2 and apigee says which system it is")
)]
pub struct TargetSpec {
    /// One API authorization server of a OneLogin account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_login: Option<OneLoginSpec>,
    /// One scope API of a WSO2 server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wso2: Option<Wso2Spec>,
    /// One Apigee organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apigee: Option<ApigeeSpec>,
    /// The credential that opens the system: in a cluster a Secret of the same namespace.
    pub credentials_ref: CredentialsRef,
    /// What kinds of writes are allowed.
    #[serde(default)]
    pub policy: Policy,
    /// How often the operator looks for drift, such as `90s`, `10m` or `1h`.
    #[serde(default = "ten_minutes")]
    #[schemars(regex(pattern = DURATION))]
    pub interval: String,
    /// Nothing is read or written while it is true, on the command line as in a cluster.
    #[serde(default)]
    pub suspend: bool,
    /// Whether a plan needs somebody's word before it is applied.
    #[serde(default)]
    pub approval: Approval,
    /// The digest of the plan that may be applied under `approval: Manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub approved_plan: Option<String>,
    /// Pace and concurrency of the requests.
    #[serde(default)]
    pub limits: Limits,
    /// When removals are stopped.
    #[serde(default)]
    pub safety: Safety,
    /// How the server's certificate is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What of the live objects a manifest may take over.
    #[serde(default)]
    pub adoption: Adoption,
    /// What happens to changes that were made behind our back.
    #[serde(default)]
    pub drift: Drift,
    /// The namespaces whose Scopes and AppScopeSets may use this target.
    #[serde(default)]
    pub allowed_namespaces: NamespaceRule,
    /// The namespaces whose ScopeBindings may bind roles here.
    #[serde(default)]
    pub allowed_bindings: NamespaceRule,
    /// Globs of the scope names that may be declared here; `*` stands for any text, `:` included. Absent allows every name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub allowed_scopes: Option<Vec<String>>,
}

/// One API authorization server of a OneLogin account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OneLoginSpec {
    /// The account's URL, such as `https://acme.onelogin.com`.
    #[schemars(length(max = 2048), regex(pattern = URL))]
    pub url: String,
    /// The authorization server, by exactly one of its id and its resource identifier.
    pub authorization_server: AuthorizationServerRef,
}

/// An authorization server, by exactly one of its id and its resource identifier.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.resourceIdentifier)")
        .message("exactly one of id and resourceIdentifier names the authorization server")
)]
pub struct AuthorizationServerRef {
    /// Its id, the number in its address in the administration portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub id: Option<i64>,
    /// Its resource identifier, such as `https://api.acme.com/orders`; its id is then looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = PRINTABLE))]
    pub resource_identifier: Option<String>,
}

/// One scope API of a WSO2 server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.version) || self.api == 'Publisher'")
        .message("version belongs to the Publisher API alone")
)]
pub struct Wso2Spec {
    /// The server's URL, such as `https://wso2.acme.com:9443`.
    #[schemars(length(max = 2048), regex(pattern = URL))]
    pub url: String,
    /// Which API: `ScopeRegistration` is `/api/auth/scope-registration/v1.0/scopes`, `Publisher` the shared scopes of API
    /// Manager 3.2 to 4.x, `IdentityServer` `/api/identity/oauth2/v1.0/scopes` (not supported yet).
    pub api: Wso2Api,
    /// The version segment of the Publisher's path; `v4` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = PUBLISHER_VERSION))]
    pub version: Option<String>,
    /// The tenant's domain, where it is not the super tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = SEGMENT))]
    pub tenant: Option<String>,
}

/// One Apigee organization.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.auth) || self.edition == 'Edge'")
        .message("auth belongs to Edge alone: Apigee X takes Google credentials")
)]
pub struct ApigeeSpec {
    /// The management URL without `/v1`, such as `https://apigee.googleapis.com`.
    #[schemars(length(max = 2048), regex(pattern = URL))]
    pub url: String,
    /// The organization.
    #[schemars(length(max = 255), regex(pattern = SEGMENT))]
    pub organization: String,
    /// Which Apigee it is.
    pub edition: Edition,
    /// How Edge is signed in to; absent follows the keys of the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ApigeeAuth>,
}

/// The scope APIs of WSO2.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wso2Api {
    /// `/api/auth/scope-registration/v1.0/scopes`.
    ScopeRegistration,
    /// The shared scopes of API Manager 3.2 to 4.x.
    Publisher,
    /// `/api/identity/oauth2/v1.0/scopes`; not supported yet.
    IdentityServer,
}

/// The Apigee editions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Public or private cloud Edge.
    Edge,
    /// Apigee X and hybrid.
    X,
}

/// How Edge is signed in to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApigeeAuth {
    /// Name and password with every request.
    Basic,
    /// A token from the sign-in host.
    OAuth,
}

/// A credential, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsRef {
    /// Its name: a Secret of the target's namespace, a folder of `--credentials`, or the middle part of
    /// `SCOPEWARD_<NAME>_<KEY>` in the environment.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}

/// What kinds of writes a target allows.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Create, update and delete.
    #[default]
    Sync,
    /// Create and update; nothing is removed, entries of sets included.
    UpsertOnly,
    /// Create alone.
    CreateOnly,
    /// Nothing is written.
    Observe,
}

/// Whether a plan needs somebody's word before it is applied.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// The guard alone decides.
    #[default]
    Auto,
    /// Only the plan whose digest stands in `approvedPlan` is applied.
    Manual,
}

/// What of the live objects a manifest may take over.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adoption {
    /// Equal ones are matched; differing ones need `scopeward adopt`.
    #[default]
    Equal,
    /// All of them.
    Always,
    /// None, not even equal ones.
    Never,
}

/// What happens to changes that were made behind our back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// They are undone.
    #[default]
    Repair,
    /// They are reported.
    Report,
}

/// Pace and concurrency of the requests to one target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Requests started per second; 0 is unlimited.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub requests_per_second: u32,
    /// Requests in flight at once.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 64))]
    pub max_in_flight: u32,
}

/// When removals are stopped: whichever limit is reached first.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Safety {
    /// The most removals of one kind.
    #[serde(default = "fifty")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_removals: u32,
    /// The largest share of what is managed that may be removed, in percent.
    #[serde(default = "thirty")]
    #[schemars(range(min = 0, max = 100))]
    pub max_removal_percent: u32,
    /// The size from which the percentage is applied.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_population: u32,
    /// For how long earlier removals count together with new ones, such as `24h`; `99d` at most.
    #[serde(default = "one_day")]
    #[schemars(regex(pattern = WINDOW))]
    pub window: String,
}

/// How a server's certificate is judged.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!(has(self.caFile) && has(self.caSecretRef))")
        .message("at most one of caFile and caSecretRef gives the certificate authorities"),
    validation = Rule::new("!has(self.insecureSkipVerify) || !self.insecureSkipVerify || !(has(self.caFile) || has(self.caSecretRef) || has(self.pinnedSha256))")
        .message("insecureSkipVerify makes caFile, caSecretRef and pinnedSha256 void: choose one way")
)]
pub struct Tls {
    /// A key of a Secret that holds certificate authorities to trust beside the system's, as PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// A PEM file of the same, relative to the manifest's folder; for the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub ca_file: Option<String>,
    /// The SHA-256 of the only certificate to accept, as 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SHA256))]
    pub pinned_sha256: Option<String>,
    /// Verifies nothing: whoever stands between sees the credentials. For experiments alone.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// A key of a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// The key.
    #[schemars(length(max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

/// Which namespaces may use a target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(has(self.from) && self.from == 'Selector') == has(self.selector)")
        .message("selector and `from: Selector` go together")
)]
pub struct NamespaceRule {
    /// Which namespaces.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// The labels of the namespaces, under `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Which namespaces may use a target.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamespacesFrom {
    /// The target's own.
    #[default]
    Same,
    /// Every one.
    All,
    /// Those whose labels match `selector`; judged in a cluster alone.
    Selector,
}

/// Labels that a namespace must carry.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// Labels with their values; all of them must match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// A name that may be granted, on one or several targets.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "Scope",
    namespaced,
    status = "Status",
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
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub bindings: Option<Vec<String>>,
    /// Names that it had, newest first: where the system can, it is renamed in place instead of deleted and made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255), regex(pattern = SCOPE_TOKEN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub previous_names: Vec<String>,
    /// It is never deleted, not even when this manifest is gone.
    #[serde(default)]
    pub protected: bool,
    /// What removing this manifest does to the live scope.
    #[serde(default)]
    pub deletion_policy: ScopeDeletionPolicy,
    /// What an Apigee target needs to know (not supported yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apigee: Option<ApigeeScope>,
}

/// What removing a Scope's manifest does to the live scope.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeDeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, and is no longer managed.
    Orphan,
}

/// What an Apigee target needs to know of a scope (not supported yet).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApigeeScope {
    /// The API products whose list of scopes must hold this name.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 255), regex(pattern = NOT_BLANK)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
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

/// Roles for a scope, declared apart from it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "ScopeBinding",
    namespaced,
    status = "Status",
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
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<String>,
    /// Narrows the binding to some of the scope's targets; absent or empty means all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
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

/// The full list of scopes that an app holds.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "AppScopeSet",
    namespaced,
    status = "Status",
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
    #[x_kube(merge_strategy = ListMerge::Set)]
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

/// What becomes of an app's live scopes that nobody declared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignScopes {
    /// They are taken away.
    #[default]
    Remove,
    /// They stay.
    Keep,
    /// The set is refused while there are any.
    Fail,
}

/// What removing an AppScopeSet's manifest does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppDeletionPolicy {
    /// The app stays as it is, and is no longer managed.
    #[default]
    Orphan,
    /// The app is detached (OneLogin alone).
    Delete,
}

/// What the operator last saw and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation of the manifest that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state: `Ready`, `Synced`, `Drifted`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: 0,
            max_in_flight: ten(),
        }
    }
}

impl Default for Safety {
    fn default() -> Self {
        Self {
            max_removals: fifty(),
            max_removal_percent: thirty(),
            min_population: ten(),
            window: one_day(),
        }
    }
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn one_day() -> String {
    "24h".to_owned()
}

fn ten() -> u32 {
    10
}

fn thirty() -> u32 {
    30
}

fn fifty() -> u32 {
    50
}

/// The definitions of the four kinds, as they are installed and as `validate` reads their rules.
pub fn definitions() -> [CustomResourceDefinition; 4] {
    [
        Target::crd(),
        Scope::crd(),
        ScopeBinding::crd(),
        AppScopeSet::crd(),
    ]
    .map(plain)
}

/// Takes out of a definition what the derive adds and the contract does not have: `nullable` (here `null` is an error) and
/// number formats that the API server does not know and warns about.
fn plain(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                // A property may itself be called `format` or `nullable`: then its value is a schema, an object.
                members.retain(|key, value| match key.as_str() {
                    "nullable" => !value.is_boolean(),
                    "format" => !value.as_str().is_some_and(|f| f.starts_with("uint")),
                    _ => true,
                });
                members.values_mut().for_each(walk);
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(definition).expect("a definition has string keys alone");
    walk(&mut value);
    serde_json::from_value(value).expect("a definition without some members is one still")
}
