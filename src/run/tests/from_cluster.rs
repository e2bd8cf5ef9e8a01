//! One digest: what a run over files beside a cluster plans is what the cluster's own plan will be once they are applied.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::trees::carry_out;
use crate::inventory::memory::{Keeps, MemoryStore};
use crate::manifest::{self, ClusterState, Holders, Loaded, Namespaces, Options, crd};
use crate::model::{Live, LiveIdentity, SourceFile, System};
use crate::provider::memory::Memory;

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let app = if name == "gone" { "shop" } else { "else" };
    json!({
        "apiVersion": crd::API_VERSION,
        "kind": kind,
        "metadata": { "name": name, "namespace": "iam", "labels": { "app": app } },
        "spec": spec,
    })
}

fn target() -> Value {
    let spec = json!({
        "wso2": { "url": "https://wso2.example.com", "api": "ScopeRegistration" },
        "credentialsRef": { "name": "wso2" },
    });
    object("Target", "wso2", &spec)
}

fn scope(name: &str, description: &str, roles: &[&str]) -> Value {
    let spec = json!({
        "targetRefs": [{ "name": "wso2" }],
        "displayName": name,
        "description": description,
        "bindings": roles,
    });
    object("Scope", name, &spec)
}

fn loaded(objects: Vec<Value>, documents: &[Value]) -> Loaded {
    let text: Vec<String> = documents.iter().map(ToString::to_string).collect();
    let options = Options {
        strict: false,
        selector: None,
        now: Timestamp::now(),
        repository: None,
        overlays: Vec::new(),
        cluster: Some(ClusterState {
            namespaces: Namespaces::new(),
            objects,
            default_namespace: None,
            prune: (!documents.is_empty()).then(|| "app=shop".parse().unwrap()),
            holders: Holders::new(),
        }),
        recorded: BTreeSet::new(),
    };
    let file = SourceFile::new("all.yaml");
    manifest::read(&[(file, text.join("\n---\n"))], &options)
}

/// What the first run made, and the digest and the outcome of the second one.
fn second_run(second: Loaded) -> (String, String) {
    let before = vec![
        target(),
        scope("changed", "one", &["r"]),
        scope("gone", "x", &[]),
        scope("kept", "x", &["r", "s"]),
    ];
    let empty = Live {
        identity: LiveIdentity::new("a"),
        ..crate::plan::tests::world::World::of(System::Wso2ScopeRegistration).live
    };
    let memory = Memory::new(System::Wso2ScopeRegistration, empty);
    let store = MemoryStore::new(Keeps::EachStep);
    carry_out(loaded(before, &[]), &memory, &store);
    let (digest, said) = carry_out(second, &memory, &store);
    (digest.to_string(), said)
}

#[test]
fn files_over_a_cluster_come_to_the_digest_of_the_cluster_that_they_were_applied_to() {
    let after = [
        scope("changed", "two", &["s"]),
        scope("kept", "x", &["r", "s"]),
        scope("new", "x", &["r"]),
    ];
    let applied = after.iter().cloned().chain([target()]).collect();
    let by_the_operator = second_run(loaded(applied, &[]));
    let before = vec![
        target(),
        scope("changed", "one", &["r"]),
        scope("gone", "x", &[]),
        scope("kept", "x", &["r", "s"]),
    ];
    let by_hand = second_run(loaded(before, &after));
    assert_eq!(by_hand, by_the_operator);
    for word in ["create", "update", "delete"] {
        assert!(by_hand.1.contains(word), "{}", by_hand.1);
    }
}
