//! From `kubectl apply` to the live system and back to conditions.

use std::sync::Arc;

use serde_json::Value;

use crate::server::Server;
use crate::support::{Operator, Started, Systems, eventually, shared};

/// The shared server with one operator over it.
async fn operated() -> Arc<Server> {
    static STARTED: tokio::sync::OnceCell<Operator> = tokio::sync::OnceCell::const_new();
    let server = shared().await;
    let start = async || {
        server.kubectl(&["create", "namespace", "scopeward"]);
        let kubeconfig = server.admin();
        Operator::start(&Started {
            server: &server,
            kubeconfig,
            arguments: &[],
        })
    };
    STARTED.get_or_init(start).await;
    server
}

const WORLD: &str = r#"
systems:
  - name: wso2
    wso2: { users: [{ username: admin, password: ws02Secret }] }
"#;

/// A namespace with a Target that leads to a sandbox of its own.
async fn space(server: &Server, name: &str, more: &str) -> Systems {
    let systems = Systems::start(WORLD).await;
    let url = format!("{}/@wso2", systems.url);
    server.kubectl(&["create", "namespace", name]);
    server.apply(&format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{ name: wso2, namespace: {name} }}
stringData: {{ username: admin, password: ws02Secret, url: "{url}" }}
---
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: {{ name: wso2, namespace: {name} }}
spec:
  wso2: {{ url: "{url}", api: ScopeRegistration }}
  credentialsRef: {{ name: wso2 }}
  {more}
"#
    ));
    systems
}

fn scope(namespace: &str, name: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: scopeward.dev/v1alpha1
kind: Scope
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {{ targetRefs: [{{ name: wso2 }}], description: "A {name}", {more} }}
"#
    )
}

/// The live scopes of the system `wso2`, by name.
async fn live(systems: &Systems) -> Vec<String> {
    let state = systems.state().await;
    let all = state
        .pointer("/systems/0/wso2/scopes")
        .and_then(Value::as_array);
    let mut names: Vec<String> = all
        .into_iter()
        .flatten()
        .filter_map(|scope| Some(scope.get("name")?.as_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

async fn comes_to(systems: &Systems, wanted: &[&str]) {
    eventually("the live scopes", async || {
        let seen = live(systems).await;
        if seen == wanted {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
}

/// Waits for a condition as its user does.
fn wait(server: &Server, namespace: &str, object: &str, condition: &str) {
    let condition = format!("--for=condition={condition}");
    server.kubectl(&["wait", "-n", namespace, object, &condition, "--timeout=60s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_created_updated_and_deleted() {
    let server = operated().await;
    let systems = space(&server, "lifecycle", "").await;
    server.apply(&scope("lifecycle", "reads", "bindings: [support]"));
    server.apply(&scope("lifecycle", "writes", ""));
    server.apply(&scope("lifecycle", "prints", ""));
    wait(&server, "lifecycle", "scope/reads", "Ready");
    wait(&server, "lifecycle", "target/wso2", "Ready");
    comes_to(&systems, &["prints", "reads", "writes"]).await;

    server.apply(&scope("lifecycle", "reads", "bindings: [support, sales]"));
    eventually("the roles", async || {
        let state = systems.state().await.to_string();
        if state.contains("sales") {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
    wait(&server, "lifecycle", "scope/reads", "Synced");

    server.kubectl(&["delete", "scope", "-n", "lifecycle", "writes"]);
    comes_to(&systems, &["prints", "reads"]).await;
}
