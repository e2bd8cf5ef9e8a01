//! What the API server takes and what `validate` takes are the same, document by document.

use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective,
};
use scopeward::diagnostic::Diagnostic;
use scopeward::manifest::{self, Options};
use scopeward::model::SourceFile;
use serde_json::{Value, json};

use crate::support::Cluster;

/// One document of the table: what is changed of a good one, and whether it is taken.
struct Case {
    kind: &'static str,
    what: &'static str,
    edit: fn(&mut Value),
    /// What both say of it; empty where it is taken.
    says: &'static str,
}

const fn takes(kind: &'static str, what: &'static str, edit: fn(&mut Value)) -> Case {
    Case {
        kind,
        what,
        edit,
        says: "",
    }
}

const fn refuses(kind: &'static str, what: &'static str, edit: fn(&mut Value)) -> Case {
    Case {
        kind,
        what,
        edit,
        says: "-",
    }
}

/// Refused by one CEL rule, in the same words.
const fn rule(
    kind: &'static str,
    what: &'static str,
    edit: fn(&mut Value),
    says: &'static str,
) -> Case {
    Case {
        kind,
        what,
        edit,
        says,
    }
}

const TARGET: &str = "Target";
const SCOPE: &str = "Scope";
const BINDING: &str = "ScopeBinding";
const APP: &str = "AppScopeSet";

/// A good document of each kind.
fn good(kind: &str) -> Value {
    let spec = match kind {
        TARGET => json!({
            "wso2": { "url": "https://wso2.example.com:9443", "api": "ScopeRegistration" },
            "credentialsRef": { "name": "wso2" },
        }),
        SCOPE => json!({ "targetRefs": [{ "name": "known" }], "name": "orders:read" }),
        BINDING => json!({ "scopeRef": { "name": "known" }, "roles": ["support"] }),
        _ => json!({
            "targetRef": { "name": "known-onelogin" },
            "app": { "oneLogin": { "appId": 1 } },
            "scopes": ["orders:read"],
        }),
    };
    json!({
        "apiVersion": "scopeward.dev/v1alpha1",
        "kind": kind,
        "metadata": { "name": "the-one", "namespace": "default" },
        "spec": spec,
    })
}

/// What the documents refer to.
const KNOWN: &str = r#"
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: known }
spec: { wso2: { url: "https://known.example.com", api: ScopeRegistration }, credentialsRef: { name: known } }
---
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: known-onelogin }
spec: { oneLogin: { url: "https://known.onelogin.com", authorizationServer: { id: 1 } }, credentialsRef: { name: known } }
---
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: known-apigee }
spec: { apigee: { url: "https://apigee.example.com", organization: acme, edition: X }, credentialsRef: { name: known } }
---
apiVersion: scopeward.dev/v1alpha1
kind: Scope
metadata: { name: known }
spec: { targetRefs: [{ name: known }], name: "known:scope" }
"#;

fn texts(n: usize) -> Value {
    (0..n).map(|n| json!(format!("s{n}"))).collect()
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    takes(TARGET, "as it is", |_| {}),
    takes(TARGET, "OneLogin by id", |o| o["spec"] = json!({ "oneLogin": { "url": "https://a.onelogin.com", "authorizationServer": { "id": 7 } }, "credentialsRef": { "name": "a" } })),
    takes(TARGET, "Apigee Edge with Basic", |o| o["spec"] = json!({ "apigee": { "url": "https://api.enterprise.apigee.com", "organization": "acme", "edition": "Edge", "auth": "Basic" }, "credentialsRef": { "name": "a" } })),
    takes(TARGET, "a Publisher of a version", |o| o["spec"]["wso2"] = json!({ "url": "https://w.example.com", "api": "Publisher", "version": "v4.1" })),
    takes(TARGET, "loopback without TLS", |o| o["spec"]["wso2"]["url"] = json!("http://127.0.0.1:9400/@wso2")),
    takes(TARGET, "all limits", |o| o["spec"]["limits"] = json!({ "requestsPerSecond": 1000, "maxInFlight": 64 })),
    takes(TARGET, "safety of its own", |o| o["spec"]["safety"] = json!({ "maxRemovals": 0, "maxRemovalPercent": 100, "minPopulation": 1, "window": "99d" })),
    takes(TARGET, "a digest", |o| { o["spec"]["approval"] = json!("Manual"); o["spec"]["approvedPlan"] = json!(format!("sha256:{}", "a".repeat(64))); }),
    takes(TARGET, "all namespaces", |o| o["spec"]["allowedNamespaces"] = json!({ "from": "All" })),
    takes(TARGET, "no scope allowed", |o| o["spec"]["allowedScopes"] = json!([])),
    takes(TARGET, "256 globs", |o| o["spec"]["allowedScopes"] = texts(256)),
    takes(TARGET, "a glob that stands twice", |o| o["spec"]["allowedScopes"] = json!(["a:*", "a:*"])),
    takes(TARGET, "a pinned certificate", |o| o["spec"]["tls"] = json!({ "pinnedSha256": "0".repeat(64) })),
    takes(TARGET, "an interval of a second", |o| o["spec"]["interval"] = json!("1s")),
    rule(TARGET, "no system", |o| drop(o["spec"].as_object_mut().and_then(|spec| spec.remove("wso2"))), "exactly one of oneLogin, wso2 and apigee says which system it is"),
    rule(TARGET, "two systems", |o| o["spec"]["apigee"] = json!({ "url": "https://a.example.com", "organization": "a", "edition": "X" }), "exactly one of oneLogin, wso2 and apigee says which system it is"),
    rule(TARGET, "a version without Publisher", |o| o["spec"]["wso2"]["version"] = json!("v4"), "version belongs to the Publisher API alone"),
    rule(TARGET, "a server named twice", |o| o["spec"] = json!({ "oneLogin": { "url": "https://a.onelogin.com", "authorizationServer": { "id": 7, "resourceIdentifier": "x" } }, "credentialsRef": { "name": "a" } }), "exactly one of id and resourceIdentifier names the authorization server"),
    rule(TARGET, "a server without a name", |o| o["spec"] = json!({ "oneLogin": { "url": "https://a.onelogin.com", "authorizationServer": {} }, "credentialsRef": { "name": "a" } }), "exactly one of id and resourceIdentifier names the authorization server"),
    rule(TARGET, "X with Basic", |o| o["spec"] = json!({ "apigee": { "url": "https://apigee.googleapis.com", "organization": "acme", "edition": "X", "auth": "Basic" }, "credentialsRef": { "name": "a" } }), "auth belongs to Edge alone: Apigee X takes Google credentials"),
    rule(TARGET, "two authorities", |o| o["spec"]["tls"] = json!({ "caFile": "ca.pem", "caSecretRef": { "name": "a", "key": "b" } }), "at most one of caFile and caSecretRef gives the certificate authorities"),
    rule(TARGET, "verification off and on", |o| o["spec"]["tls"] = json!({ "insecureSkipVerify": true, "pinnedSha256": "0".repeat(64) }), "insecureSkipVerify makes caFile, caSecretRef and pinnedSha256 void: choose one way"),
    rule(TARGET, "a selector without Selector", |o| o["spec"]["allowedNamespaces"] = json!({ "from": "All", "selector": { "matchLabels": { "a": "b" } } }), "selector and `from: Selector` go together"),
    refuses(TARGET, "plain HTTP to another machine", |o| o["spec"]["wso2"]["url"] = json!("http://wso2.example.com")),
    refuses(TARGET, "a user in the URL", |o| o["spec"]["wso2"]["url"] = json!("https://admin:secret@wso2.example.com")),
    refuses(TARGET, "a query in the URL", |o| o["spec"]["wso2"]["url"] = json!("https://wso2.example.com/?a=b")),
    refuses(TARGET, "an API that is none", |o| o["spec"]["wso2"]["api"] = json!("Scopes")),
    refuses(TARGET, "a policy that is none", |o| o["spec"]["policy"] = json!("sync")),
    refuses(TARGET, "no credential", |o| drop(o["spec"].as_object_mut().and_then(|spec| spec.remove("credentialsRef")))),
    refuses(TARGET, "a credential with a blank", |o| o["spec"]["credentialsRef"]["name"] = json!("a b")),
    refuses(TARGET, "an interval without a unit", |o| o["spec"]["interval"] = json!("10")),
    refuses(TARGET, "nothing in flight", |o| o["spec"]["limits"] = json!({ "maxInFlight": 0 })),
    refuses(TARGET, "65 in flight", |o| o["spec"]["limits"] = json!({ "maxInFlight": 65 })),
    refuses(TARGET, "more than all", |o| o["spec"]["safety"] = json!({ "maxRemovalPercent": 101 })),
    refuses(TARGET, "a window of 100 days", |o| o["spec"]["safety"] = json!({ "window": "100d" })),
    refuses(TARGET, "a digest that is none", |o| o["spec"]["approvedPlan"] = json!("sha256:abc")),
    refuses(TARGET, "suspend as text", |o| o["spec"]["suspend"] = json!("yes")),
    refuses(TARGET, "257 globs", |o| o["spec"]["allowedScopes"] = texts(257)),
    refuses(TARGET, "an unknown key", |o| o["spec"]["intervall"] = json!("10m")),
    takes(SCOPE, "as it is", |_| {}),
    takes(SCOPE, "everything", |o| o["spec"] = json!({ "targetRefs": [{ "name": "known", "namespace": "default" }], "name": "a", "displayName": "A", "description": "What it allows\nin two lines", "bindings": ["r"], "previousNames": ["b"], "protected": true, "deletionPolicy": "Orphan" })),
    takes(SCOPE, "no roles", |o| o["spec"]["bindings"] = json!([])),
    takes(SCOPE, "a role that stands twice", |o| o["spec"]["bindings"] = json!(["a", "a"])),
    takes(SCOPE, "a target that stands twice", |o| o["spec"]["targetRefs"] = json!([{ "name": "known" }, { "name": "known" }])),
    takes(SCOPE, "1000 roles", |o| o["spec"]["bindings"] = texts(1000)),
    takes(SCOPE, "the longest name", |o| o["spec"]["name"] = json!("a".repeat(100))),
    refuses(SCOPE, "no target", |o| o["spec"]["targetRefs"] = json!([])),
    refuses(SCOPE, "a name with a blank", |o| o["spec"]["name"] = json!("orders read")),
    refuses(SCOPE, "a name with a quote", |o| o["spec"]["name"] = json!("orders\"read")),
    refuses(SCOPE, "an empty name", |o| o["spec"]["name"] = json!("")),
    refuses(SCOPE, "a name of 256", |o| o["spec"]["name"] = json!("a".repeat(256))),
    refuses(SCOPE, "a blank description", |o| o["spec"]["description"] = json!("  ")),
    refuses(SCOPE, "an escape in a description", |o| o["spec"]["description"] = json!("a\u{1b}[31m")),
    refuses(SCOPE, "a description of 513", |o| o["spec"]["description"] = json!("a".repeat(513))),
    refuses(SCOPE, "1001 roles", |o| o["spec"]["bindings"] = texts(1001)),
    refuses(SCOPE, "a role as a number", |o| o["spec"]["bindings"] = json!([1])),
    refuses(SCOPE, "17 previous names", |o| o["spec"]["previousNames"] = texts(17)),
    refuses(SCOPE, "targets as text", |o| o["spec"]["targetRefs"] = json!("known")),
    refuses(SCOPE, "a deletion policy that is none", |o| o["spec"]["deletionPolicy"] = json!("Retain")),
    refuses(SCOPE, "protected as text", |o| o["spec"]["protected"] = json!("true")),
    takes(BINDING, "as it is", |_| {}),
    takes(BINDING, "narrowed", |o| o["spec"]["targetRefs"] = json!([{ "name": "known" }])),
    takes(BINDING, "a role that stands twice", |o| o["spec"]["roles"] = json!(["a", "a"])),
    refuses(BINDING, "no role", |o| o["spec"]["roles"] = json!([])),
    refuses(BINDING, "a blank role", |o| o["spec"]["roles"] = json!([" "])),
    refuses(BINDING, "no scope", |o| drop(o["spec"].as_object_mut().and_then(|spec| spec.remove("scopeRef")))),
    refuses(BINDING, "a namespace with a dot", |o| o["spec"]["scopeRef"]["namespace"] = json!("a.b")),
    takes(APP, "as it is", |_| {}),
    takes(APP, "an Apigee key", |o| { o["spec"]["targetRef"]["name"] = json!("known-apigee"); o["spec"]["app"] = json!({ "apigee": { "developer": "ann@example.com", "app": "shop", "consumerKey": "k" } }); }),
    takes(APP, "empty on purpose", |o| { o["spec"]["scopes"] = json!([]); o["spec"]["allowEmpty"] = json!(true); }),
    takes(APP, "detached when it goes", |o| o["spec"]["deletionPolicy"] = json!("Delete")),
    rule(APP, "two apps", |o| o["spec"]["app"]["apigee"] = json!({ "developer": "a", "app": "b" }), "exactly one of oneLogin and apigee names the app"),
    rule(APP, "no app", |o| o["spec"]["app"] = json!({}), "exactly one of oneLogin and apigee names the app"),
    rule(APP, "two owners", |o| { o["spec"]["targetRef"]["name"] = json!("known-apigee"); o["spec"]["app"] = json!({ "apigee": { "developer": "a", "company": "c", "app": "b" } }); }, "exactly one of developer, appGroup and company owns the app"),
    rule(APP, "a deleted key", |o| { o["spec"]["targetRef"]["name"] = json!("known-apigee"); o["spec"]["deletionPolicy"] = json!("Delete"); o["spec"]["app"] = json!({ "apigee": { "developer": "a", "app": "b" } }); }, "deletionPolicy Delete is for OneLogin apps alone: elsewhere an empty list opens the app to everything"),
    refuses(APP, "an id of zero", |o| o["spec"]["app"]["oneLogin"]["appId"] = json!(0)),
    refuses(APP, "an id as text", |o| o["spec"]["app"]["oneLogin"]["appId"] = json!("1")),
    refuses(APP, "no scopes", |o| drop(o["spec"].as_object_mut().and_then(|spec| spec.remove("scopes")))),
    refuses(APP, "1001 scopes", |o| o["spec"]["scopes"] = texts(1001)),
    refuses(APP, "a choice that is none", |o| o["spec"]["foreignScopes"] = json!("Ignore")),
];

fn of(case: &Case) -> Value {
    let mut object = good(case.kind);
    (case.edit)(&mut object);
    object
}

/// The errors of `validate`.
fn validated(object: &Value) -> Vec<String> {
    let file = SourceFile::new("case.yaml");
    let texts = [
        (file.clone(), object.to_string()),
        (SourceFile::new("known.yaml"), KNOWN.to_owned()),
    ];
    let options = Options {
        strict: false,
        selector: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        repository: None,
        overlays: Vec::new(),
        cluster: None,
        recorded: [].into(),
    };
    let loaded = manifest::read(&texts, &options);
    let errors = loaded.diagnostics.into_iter().filter(Diagnostic::is_error);
    let errors = errors.filter(|found| found.file.as_ref() == Some(&file));
    errors.map(|found| found.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_and_validate_agree_on_every_document() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    let client = server.client().await;
    let params = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some("test".to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    assert!(CASES.len() >= 60, "{} documents", CASES.len());
    let mut apart = Vec::new();
    for case in CASES {
        let kind = GroupVersionKind::gvk("scopeward.dev", "v1alpha1", case.kind);
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
        let object = of(case);
        let said = match api.patch("the-one", &params, &Patch::Apply(&object)).await {
            Ok(_) => String::new(),
            Err(kube::Error::Api(status)) => status.message.clone(),
            Err(error) => panic!("{error}"),
        };
        let errors = validated(&object);
        let name = format!("{} {}", case.kind, case.what);
        if said.is_empty() != case.says.is_empty() {
            apart.push(format!("{name}: the API server says {said:?}"));
        }
        if errors.is_empty() != case.says.is_empty() {
            apart.push(format!("{name}: validate says {errors:?}"));
        }
        if case.says.len() > 1 {
            if !said.contains(case.says) {
                apart.push(format!("{name}: the API server says {said:?}"));
            }
            if !errors.iter().any(|error| error.contains(case.says)) {
                apart.push(format!("{name}: validate says {errors:?}"));
            }
        }
    }
    assert!(apart.is_empty(), "{}", apart.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_is_one_that_nobody_has_looked_at() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    let object = good("Scope").to_string();
    server.kubectl(&["create", "namespace", "fresh"]);
    let object = object.replace("\"default\"", "\"fresh\"");
    server.apply(&object);
    let path = "jsonpath={.status.observedGeneration}";
    let seen = server.kubectl(&["get", "scope", "the-one", "-n", "fresh", "-o", path]);
    assert_eq!(seen, "-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explain_says_what_each_field_of_a_spec_is_for() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    for (field, word) in [
        ("scope.spec.bindings", "roles"),
        ("target.spec.safety.maxRemovals", "most removals"),
        ("scopebinding.spec.targetRefs", "Narrows"),
        (
            "appscopeset.spec.app.apigee.consumerKey",
            "exactly one approved key",
        ),
        ("target.status.inventory", "ledger"),
    ] {
        let said = server.kubectl(&["explain", field]);
        assert!(said.contains(word), "{field}: {said}");
    }
}
