//! What must not happen: nothing is removed because it was not seen, not said, or said by somebody else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{
    Cluster, NO_THRESHOLDS, Operator, Space, eventually, operators_kubeconfig, same, told,
};

/// The only ledger's head of a namespace of a test.
fn head(space: &Space<'_>) -> String {
    let status = space.status("target/wso2");
    let name = status["inventory"]["name"].as_str();
    name.expect("a ledger").to_owned()
}

/// A namespace beside that of a test, with one Scope.
async fn with_one_scope<'a>(cluster: &'a Cluster, name: &str) -> Space<'a> {
    let space = Space::new(&cluster.server, name, "").await;
    space.scopes(&["x"]);
    space.wait("scope/x", "Synced");
    space
}

/// Waits until a removal is made that began to wait after everything before: what was to be removed is gone by then.
async fn makes_a_removal(other: &Space<'_>) {
    other.delete("scope/x");
    other.systems.comes_to("wso2", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_status_removes_nothing_of_a_neighbour() {
    let cluster = Cluster::shared().await;
    let space = Space::new(
        &cluster.server,
        "forged",
        "allowedNamespaces: { from: All }",
    )
    .await;
    space.scopes(&["mine"]);
    space.wait("scope/mine", "Synced");
    space.server.kubectl(&["create", "namespace", "tenant"]);
    space.server.apply(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: { name: forged, namespace: tenant }\n\
         spec: { targetRefs: [{ name: wso2, namespace: forged }], name: theirs, description: Theirs }\n",
    );
    space.systems.comes_to("wso2", &["mine", "theirs"]).await;
    let forged = json!({ "status": { "targets": [
        { "namespace": "forged", "name": "wso2", "liveName": "mine", "state": "Synced" }
    ] } });
    space.server.kubectl(&[
        "patch",
        "scope",
        "forged",
        "-n",
        "tenant",
        "--subresource=status",
        "--type=merge",
        "-p",
        &forged.to_string(),
    ]);
    space
        .server
        .kubectl(&["delete", "scope", "forged", "-n", "tenant"]);
    space.systems.comes_to("wso2", &["mine"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_deleted_leaves_everything_live() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "leaving", "").await;
    space.scopes(&["a", "b"]);
    space.systems.comes_to("wso2", &["a", "b"]).await;
    space.delete("target/wso2");
    space
        .comes_to_reason("scope/a", "Synced", "ReferenceNotUsable")
        .await;
    let other = with_one_scope(&cluster, "leaving-not").await;
    space.delete("scope/a");
    makes_a_removal(&other).await;
    assert_eq!(space.systems.names("wso2").await, ["a", "b"]);
    // Back again, what nobody declares any more goes, by the ledger that was kept.
    space.target("");
    space.systems.comes_to("wso2", &["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_emptied_removes_nothing_and_does_not_hang() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "emptied", "").await;
    space.scopes(&["a", "b"]);
    space.systems.comes_to("wso2", &["a", "b"]).await;
    let other = with_one_scope(&cluster, "emptied-not").await;
    space
        .server
        .kubectl(&["delete", "namespace", "emptied", "--wait=false"]);
    // What a controller-manager does: the objects first, in any order, then the namespace.
    for kind in ["scopes", "targets", "secrets"] {
        space
            .server
            .kubectl(&["delete", kind, "-n", "emptied", "--all", "--wait=true"]);
    }
    eventually("no object is left", async || {
        let left = space
            .server
            .kubectl(&["get", "scopes,targets", "-n", "emptied", "-o", "name"]);
        if left.trim().is_empty() {
            Ok(())
        } else {
            Err(left)
        }
    })
    .await;
    makes_a_removal(&other).await;
    assert_eq!(space.systems.names("wso2").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_teams_mass_deletion_stops_that_team_alone() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "teams", "allowedNamespaces: { from: All }").await;
    let scope = |namespace: &str, name: &str| {
        format!(
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
             spec: {{ targetRefs: [{{ name: wso2, namespace: teams }}], description: \"A {name}\" }}\n"
        )
    };
    for namespace in ["blue", "green"] {
        space.server.kubectl(&["create", "namespace", namespace]);
        let all: String = (0..12)
            .map(|n| scope(namespace, &format!("{namespace}-{n:02}")))
            .collect();
        space.server.apply(&all);
    }
    eventually("the scopes", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen == 24 {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    space.wait("target/wso2", "Synced");
    space
        .server
        .kubectl(&["delete", "scopes", "-n", "blue", "--all"]);
    space
        .server
        .kubectl(&["delete", "scope", "-n", "green", "green-00"]);
    space.server.apply(&scope("green", "green-new"));
    eventually("the other team goes on", async || {
        let seen = space.systems.names("wso2").await;
        let has = |name: &str| seen.iter().any(|seen| seen == name);
        if has("green-new") && !has("green-00") {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
    space
        .comes_to_reason("target/wso2", "Synced", "ThresholdExceeded")
        .await;
    let blue = space.systems.names("wso2").await;
    let blue = blue.iter().filter(|name| name.starts_with("blue")).count();
    assert_eq!(blue, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_lost_or_rolled_back_removes_nothing_until_somebody_says_so() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "ledgers", "").await;
    space.scopes(&["a", "b", "c"]);
    space.wait("scope/c", "Synced");
    space.wait("target/wso2", "Synced");
    let name = head(&space);
    let old = space
        .server
        .kubectl(&["get", "configmap", "-n", "scopeward", &name, "-o", "json"]);
    space.scopes(&["d"]);
    space.wait("scope/d", "Synced");
    // An older one comes back, as from a backup of the cluster.
    let mut old: Value = serde_json::from_str(&old).expect("JSON");
    for key in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "managedFields",
    ] {
        old["metadata"]
            .as_object_mut()
            .expect("metadata")
            .remove(key);
    }
    space
        .server
        .kubectl(&["delete", "configmap", "-n", "scopeward", &name]);
    space.server.apply(&old.to_string());
    cluster_forgets(&space).await;
    space
        .comes_to_reason("target/wso2", "Synced", "InventoryRolledBack")
        .await;
    space.delete("scope/a");
    space.run_now().await;
    space.run_now().await;
    assert!(space.systems.names("wso2").await.contains(&"a".to_owned()));
    let digest = space.status("target/wso2")["pendingPlan"]["digest"].clone();
    let digest = digest.as_str().expect("a digest");
    space.target(&format!("approvedPlan: \"{digest}\""));
    eventually("the removal that was approved", async || {
        let seen = space.systems.names("wso2").await;
        same(&seen, &["b", "c", "d"])
    })
    .await;
}

/// Has the operator read its ledgers anew, as one that starts does: another process writes to the head meanwhile.
async fn cluster_forgets(space: &Space<'_>) {
    // A change has to be recorded, which finds the head moved, and then reads it again.
    space.scopes(&["e"]);
    eventually("the head is read again", async || {
        let reason = space.reason("target/wso2", "Synced");
        if reason.starts_with("Inventory") {
            Ok(())
        } else {
            Err(reason)
        }
    })
    .await;
    space
        .server
        .kubectl(&["delete", "scope", "-n", &space.name, "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_cluster_is_not_written_until_it_is_taken() {
    let cluster = Cluster::start().await;
    let space = Space::new(&cluster.server, "clones", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    let name = head(&space);
    let mut cluster_operator = cluster.operator;
    cluster_operator.kill();
    // The head as the other cluster has it.
    let text =
        cluster
            .server
            .kubectl(&["get", "configmap", "-n", "scopeward", &name, "-o", "json"]);
    let mut map: Value = serde_json::from_str(&text).expect("JSON");
    let bytes = map["binaryData"]["inventory"].as_str().expect("bytes");
    let mut head = decode(bytes);
    head["operator"]["clusterUid"] = json!("11111111-2222-3333-4444-555555555555");
    map["binaryData"]["inventory"] = json!(encode(&head));
    map["metadata"]
        .as_object_mut()
        .expect("metadata")
        .remove("managedFields");
    cluster
        .server
        .kubectl(&["delete", "configmap", "-n", "scopeward", &name]);
    for key in ["resourceVersion", "uid", "creationTimestamp"] {
        map["metadata"]
            .as_object_mut()
            .expect("metadata")
            .remove(key);
    }
    cluster.server.apply(&map.to_string());
    cluster_operator.go_on();
    space
        .comes_to_reason("target/wso2", "Ready", "ForeignInventory")
        .await;
    let writes = space.systems.writes().await;
    space.scopes(&["b"]);
    space.run_now().await;
    assert_eq!(space.systems.writes().await, writes);
    cluster.server.kubectl(&[
        "annotate",
        "-n",
        "clones",
        "target/wso2",
        "scopeward.dev/take-inventory=11111111-2222-3333-4444-555555555555",
    ]);
    space.systems.comes_to("wso2", &["a", "b"]).await;
}

fn decode(text: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("base64");
    serde_json::from_slice(&bytes).expect("a head is JSON")
}

fn encode(value: &Value) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(value.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_definition_is_deleted_removes_nothing() {
    let cluster = Cluster::start().await;
    let space = Space::new(&cluster.server, "undefined", NO_THRESHOLDS).await;
    space.scopes(&["a", "b"]);
    space.systems.comes_to("wso2", &["a", "b"]).await;
    space.wait("target/wso2", "Synced");
    let crd = "crd/scopes.scopeward.dev";
    // It is being deleted for as long as somebody holds it, and answers with an empty list meanwhile.
    let finalizers = |held: bool| {
        let held = if held {
            json!(["test.local/held"])
        } else {
            json!([])
        };
        let patch = json!({ "metadata": { "finalizers": held } }).to_string();
        let arguments = ["patch", crd, "--type=merge", "-p", &patch];
        cluster.server.kubectl(&arguments);
    };
    finalizers(true);
    cluster.server.kubectl(&["delete", crd, "--wait=false"]);
    let is_barred = async |times: usize| {
        eventually("the removal that is stopped", async || {
            let log = cluster.operator.log();
            let seen = log.matches("nothing is removed").count();
            if seen >= times { Ok(seen) } else { Err(log) }
        })
        .await
    };
    let seen = is_barred(1).await;
    assert_eq!(space.systems.names("wso2").await, ["a", "b"]);
    finalizers(false);
    cluster
        .server
        .kubectl(&["wait", "--for=delete", crd, "--timeout=30s"]);
    is_barred(seen + 2).await;
    assert_eq!(space.systems.names("wso2").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_object_holds_up_what_it_contributed_and_nothing_else() {
    let cluster = Cluster::start().await;
    let server: &Server = &cluster.server;
    let space = Space::new(server, "apples", "").await;
    // An older schema let it in.
    let crd = "scopes.scopeward.dev";
    let loosen = json!([{ "op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/name/pattern" }]);
    space.scopes(&["a", "b", "c"]);
    space.wait("scope/c", "Synced");
    server.kubectl(&[
        "patch",
        "crd",
        crd,
        "--type=json",
        "-p",
        &loosen.to_string(),
    ]);
    eventually("the older schema", async || {
        let bad = space.scope("b", "name: \"bad name\"");
        server.apply_may_fail(&bad, &[])
    })
    .await;
    space
        .comes_to_reason("scope/b", "Stalled", "InvalidSpec")
        .await;
    space.scopes(&["d"]);
    space.delete("scope/a");
    space.systems.comes_to("wso2", &["b", "c", "d"]).await;
    space.wait("scope/d", "Ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_goes_on_where_a_killed_one_stopped() {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let kubeconfig = operators_kubeconfig(&server);
    let mut first = Operator::start(&kubeconfig, &[]);
    let space = Space::new(&server, "killed", "limits: { requestsPerSecond: 40 }").await;
    let names: Vec<String> = (0..200).map(|n| format!("s{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    space.wait("target/wso2", "Ready");
    let second = Operator::start(&kubeconfig, &[]);
    space.scopes(&names);
    eventually("the middle", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen > 50 {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    first.kill();
    let killed = tokio::time::Instant::now();
    let at = space.systems.names("wso2").await.len();
    assert!(at < 200, "it was through before it was killed");
    eventually("the other replica goes on", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen > at + 10 {
            Ok(())
        } else {
            Err(format!("{seen}\n{}", second.log()))
        }
    })
    .await;
    let gap = killed.elapsed();
    told(&format!("the other one goes on after {gap:?}"));
    assert!(gap <= Duration::from_secs(15), "{gap:?}");
    eventually("all of them", async || {
        let seen = space.systems.names("wso2").await;
        same(&seen, &names)
    })
    .await;
    space.wait("scope/s199", "Synced");
    // What the killed one made is ours: it goes with its manifest.
    space.delete("scope/s000");
    eventually("one less", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen == 199 {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recovers_from_an_api_server_and_a_store_that_were_away() {
    let mut cluster = Cluster::start().await;
    {
        let space = Space::new(&cluster.server, "away", "").await;
        space.scopes(&["a"]);
        space.wait("scope/a", "Synced");
    }
    let (status, _) = cluster.operator.get("/readyz").await.expect("an answer");
    assert_eq!(status, 200);
    cluster.server.stop_apiserver();
    eventually("it says so", async || {
        match cluster.operator.get("/readyz").await? {
            (200, text) => Err(text),
            _ => Ok(()),
        }
    })
    .await;
    cluster.server.start_apiserver();
    cluster.server.is_ready().await;
    eventually("it is ready again", async || {
        match cluster.operator.get("/readyz").await? {
            (200, _) => Ok(()),
            (_, text) => Err(text),
        }
    })
    .await;
}
