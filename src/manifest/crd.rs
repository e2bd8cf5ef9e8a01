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
//! The comments of these files, and of the model's enums that stand in them, become the descriptions of the schemas, so they
//! speak to the writer of a manifest. Absent is not managed, `[]` is wanted empty, and `null` is an error: no field is
//! `nullable` in the schemas.

#![expect(
    clippy::doc_markdown,
    reason = "the comments are the descriptions of the schemas, for people who do not read Rust"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns of one type repeat the words that give it"
)]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

mod app;
mod binding;
mod scope;
mod status;
mod target;

pub use app::{ApigeeApp, App, AppDeletionPolicy, AppScopeSet, AppScopeSetSpec, OneLoginApp};
pub use binding::{ScopeBinding, ScopeBindingSpec, ScopeRef};
pub use scope::{ApigeeScope, Scope, ScopeSpec, TargetRef};
pub use status::{
    Condition, Counts, InventoryWitness, LastRun, ObjectState, ObjectStatus, PendingPlan,
    TargetStatus, Withheld, WithheldItem,
};
pub use target::{
    ApigeeSpec, AuthorizationServerRef, CredentialsRef, LimitsSpec, NamespaceRule,
    NamespaceSelector, NamespacesFrom, OneLoginSpec, SafetySpec, SecretKeyRef, Target, TargetSpec,
    TlsSpec, Wso2ApiName, Wso2Spec,
};

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
    // A fresh object is one that nobody has looked at yet, for everything that waits for it (kstatus).
    let versions = value["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        let status = &mut version["schema"]["openAPIV3Schema"]["properties"]["status"];
        status["default"] = json!({ "observedGeneration": -1 });
    }
    serde_json::from_value(value).expect("a definition without some members is one still")
}
