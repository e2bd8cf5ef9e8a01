//! Objects that come back: by force, from Git, or from a backup with a status of before. And Secrets that change.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Cluster, Operator, Space, eventually, operators_kubeconfig};

/// A Scope on the Target `onelogin`, whose system gives it an id.
fn orders(namespace: &str) -> String {
    format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders, namespace: {namespace} }}\n\
         spec: {{ targetRefs: [{{ name: onelogin }}], description: Orders }}\n"
    )
}

/// Waits until an object of this UID is as declared, and gives the id that the system has for it.
async fn remote_id(space: &Space<'_>, uid: &Value) -> Value {
    eventually("the object and its id", async || {
        let seen = space.object("scope/orders");
        let status = &seen["status"];
        let is_seen = status["observedGeneration"] == seen["metadata"]["generation"];
        let id = &status["targets"][0]["remoteId"];
        if is_seen && seen["metadata"]["uid"] == *uid && status["targets"][0]["state"] == "Synced" {
            Ok(id.clone())
        } else {
            Err(format!("{seen:#}"))
        }
    })
    .await
}

/// What an object is stored as by a backup tool: without what the cluster gives it.
fn backup(space: &Space<'_>, object: &str) -> Value {
    let mut backup = space.object(object);
    let metadata = backup["metadata"].as_object_mut().expect("metadata");
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        metadata.remove(key);
    }
    backup
}

/// Puts it back, its status after it.
fn restore(space: &Space<'_>, object: &str, backup: &Value) {
    space.server.apply(&backup.to_string());
    let status = json!({ "status": backup["status"] }).to_string();
    let arguments = [
        "patch",
        "-n",
        &space.name,
        object,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    space.server.kubectl(&arguments);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_under_a_new_uid_keeps_what_it_made() {
    let mut cluster = Cluster::start().await;
    let space = Space::new(&cluster.server, "replaced", "").await;
    space.one_login();
    space.server.apply(&orders("replaced"));
    let uid = |space: &Space<'_>| space.object("scope/orders")["metadata"]["uid"].clone();
    let first = uid(&space);
    let id = remote_id(&space, &first).await;
    space.wait("target/onelogin", "Synced");
    let writes = space.systems.writes().await;

    // Argo CD's replace: deleted and made anew at once.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), orders("replaced")).expect("written");
    let path = file.path().display().to_string();
    space.server.kubectl(&["replace", "--force", "-f", &path]);
    let second = uid(&space);
    assert_ne!(first, second);
    assert_eq!(remote_id(&space, &second).await, id);

    // While nobody watches: from Git, without a status.
    cluster.operator.kill();
    space.delete("scope/orders");
    space.server.apply(&orders("replaced"));
    cluster.operator.go_on();
    let third = uid(&space);
    assert_ne!(second, third);
    assert_eq!(remote_id(&space, &third).await, id);
    // A removal that began to wait after all of that is made, so that none of them waits any more.
    space.scopes(&["x"]);
    space.wait("scope/x", "Synced");
    space.delete("scope/x");
    space.systems.comes_to("wso2", &[]).await;
    assert_eq!(space.systems.names("onelogin").await, ["orders"]);
    // Two writes are those of the Scope that came and went.
    assert_eq!(space.systems.writes().await, writes + 2);
    assert_eq!(space.reason("scope/orders", "Stalled"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_an_old_status_removes_and_takes_over_nothing() {
    let mut cluster = Cluster::start().await;
    let theirs = "scopes: [{ name: theirs, description: Theirs }]";
    let systems = crate::support::Systems::start(theirs).await;
    let space = Space::over(&cluster.server, "restored", "", systems);
    space.scopes(&["a", "b"]);
    for object in ["scope/a", "scope/b", "target/wso2"] {
        space.wait(object, "Synced");
    }
    let (target, a) = (backup(&space, "target/wso2"), backup(&space, "scope/a"));
    // What was done since then is in no backup.
    space.scopes(&["c"]);
    space.wait("scope/c", "Synced");
    space.wait("target/wso2", "Synced");
    let writes = space.systems.writes().await;

    cluster.operator.kill();
    for object in ["scope/a", "scope/b", "target/wso2"] {
        space.delete(object);
    }
    restore(&space, "target/wso2", &target);
    // Its status names what another one made, as one would who wanted that gone.
    let mut forged = a.clone();
    forged["status"]["targets"][0]["liveName"] = json!("theirs");
    restore(&space, "scope/a", &forged);
    space.scopes(&["b"]);
    cluster.operator.go_on();
    eventually("the status is true again", async || {
        let seen = space.status("scope/a");
        if seen["targets"][0]["liveName"] == "a" && seen["targets"][0]["state"] == "Synced" {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    space.run_now().await;
    for object in ["scope/a", "scope/b", "scope/c", "target/wso2"] {
        space.wait(object, "Synced");
        assert_eq!(space.reason(object, "Stalled"), "", "{object}");
    }
    assert_eq!(space.systems.names("wso2").await, ["a", "b", "c", "theirs"]);
    assert_eq!(space.systems.writes().await, writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_changes_is_used_at_once_and_told_nowhere() {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let kubeconfig = operators_kubeconfig(&server);
    let operator = Operator::logging(&kubeconfig, &["--allow-loopback"], "trace");
    let space = Space::new(&server, "rotated", "interval: 1h").await;
    let (old, new) = ("f0rmerPassw0rd", "ws02Secret");
    space.secret(old);
    space
        .comes_to_reason("target/wso2", "Ready", "Unauthenticated")
        .await;
    space.secret(new);
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    space.wait("target/wso2", "Synced");

    let log = operator.log();
    assert!(log.contains(" TRACE "), "the log is not whole");
    let kinds = "events,configmaps,targets,scopes";
    let mut told = server.kubectl(&["get", kinds, "-A", "-o", "yaml"]);
    let base64 = base64::engine::general_purpose::STANDARD;
    // The inventories, as their bytes are.
    let maps = server.kubectl(&["get", "configmaps", "-n", "scopeward", "-o", "json"]);
    let maps: Value = serde_json::from_str(&maps).expect("JSON");
    let items = maps["items"].as_array().expect("a list");
    let data = items
        .iter()
        .filter_map(|map| map["binaryData"]["inventory"].as_str());
    for data in data {
        let bytes = base64.decode(data).expect("base64");
        told += &String::from_utf8_lossy(&bytes);
    }
    assert!(told.contains("\"a\""), "no inventory is read");
    for secret in [old, new] {
        let header = base64.encode(format!("admin:{secret}"));
        for (place, text) in [("the log", &log), ("the cluster", &told)] {
            for form in [secret.to_owned(), base64.encode(secret), header.clone()] {
                assert!(!text.contains(&form), "{place} has {form}");
            }
        }
    }
}
