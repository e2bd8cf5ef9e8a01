//! `Target`: a live system and how to reach it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DIGEST, DURATION, OBJECT_NAME, PRINTABLE, PUBLISHER_VERSION, SECRET_KEY, SEGMENT, SHA256,
    TargetStatus, URL, WINDOW,
};
use crate::model::target::{Adoption, ApigeeAuth, Approval, Drift, Edition, Policy};

/// A live system and how to reach it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "scopeward.dev",
    version = "v1alpha1",
    kind = "Target",
    namespaced,
    status = "TargetStatus",
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
    pub limits: LimitsSpec,
    /// When removals are stopped.
    #[serde(default)]
    pub safety: SafetySpec,
    /// How the server's certificate is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
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
    #[x_kube(merge_strategy = ListMerge::Atomic)]
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
    pub api: Wso2ApiName,
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

// One more than the model has: a manifest that names it is told that it is not supported yet.
/// The scope APIs of WSO2.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wso2ApiName {
    /// `/api/auth/scope-registration/v1.0/scopes`.
    ScopeRegistration,
    /// The shared scopes of API Manager 3.2 to 4.x.
    Publisher,
    /// `/api/identity/oauth2/v1.0/scopes`; not supported yet.
    IdentityServer,
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

/// Pace and concurrency of the requests to one target.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
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
pub struct SafetySpec {
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
pub struct TlsSpec {
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

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            requests_per_second: 0,
            max_in_flight: ten(),
        }
    }
}

impl Default for SafetySpec {
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
