//! What one tenant may not do: it is said on the object that asks for it, and no system hears of it.

use serde_json::Value;

use crate::server::Server;
use crate::support::{Cluster, Operator, Space, Systems, eventually, operators_kubeconfig};

/// Waits until a Target is not followed for this reason, and its message has these words.
async fn is_refused(space: &Space<'_>, target: &str, reason: &str, words: &str) {
    space.comes_to_reason(target, "Ready", reason).await;
    eventually(&format!("{target} says {words:?}"), async || {
        let status = space.status(target);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let said = |kind: &str| {
            let found = conditions
                .iter()
                .find(|condition| condition["type"] == kind);
            found
                .and_then(|found| found["message"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        if said("Ready").contains(words) && said("Stalled").contains(words) {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

/// A Target of a namespace by another name or URL.
fn target(namespace: &str, name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec: {{ wso2: {{ url: \"{url}\", api: ScopeRegistration }}, credentialsRef: {{ name: wso2 }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_name_that_the_target_does_not_allow_is_refused() {
    let cluster = Cluster::shared().await;
    let systems = Systems::start("scopes: [{ name: \"their:x\", description: Theirs }]").await;
    let allowed = "allowedScopes: [\"my:*\"], adoption: Always";
    let space = Space::over(&cluster.server, "former", allowed, systems);
    space.wait("target/wso2", "Synced");
    let requests = space.systems.requests().await;
    space
        .server
        .apply(&space.scope("taker", "name: \"my:x\", previousNames: [\"their:x\"]"));
    space
        .comes_to_reason("scope/taker", "Stalled", "NotAllowed")
        .await;
    assert_eq!(space.systems.requests().await, requests);
    // A run over the Target leaves it out.
    space.server.apply(&space.scope("good", "name: \"my:y\""));
    space.wait("scope/good", "Synced");
    assert_eq!(space.systems.names("wso2").await, ["my:y", "their:x"]);
    assert_eq!(space.reason("scope/taker", "Stalled"), "NotAllowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_and_its_link_are_not_called_unless_the_operator_is_told_to() {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let _operator = Operator::logging(&operators_kubeconfig(&server), &[], "info");
    let space = Space::new(&server, "local", "").await;
    let words = "loopback or link-local";
    let metadata = "https://169.254.169.254";
    space.server.apply(&target("local", "metadata", metadata));
    space.scopes(&["a"]);
    for target in ["target/wso2", "target/metadata"] {
        is_refused(&space, target, "NotAllowed", words).await;
    }
    space
        .comes_to_reason("scope/a", "Synced", "TargetNotReady")
        .await;
    assert_eq!(space.systems.requests().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_a_namespace_without_the_role_is_not_read() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    server.kubectl(&["create", "namespace", "roleless"]);
    let space = Space {
        server,
        name: "roleless".to_owned(),
        systems: Systems::start("").await,
    };
    space.secret("ws02Secret");
    space.target("");
    is_refused(&space, "target/wso2", "Unauthenticated", "cannot be read").await;
    assert_eq!(space.systems.requests().await, 0);
    // With the role it is, without anything else being touched.
    server.rights(Some("roleless"));
    space.wait("target/wso2", "Synced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sent_nowhere_but_to_the_url_that_it_names() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    let space = Space::new(server, "misled", "").await;
    space.wait("target/wso2", "Synced");
    let requests = space.systems.requests().await;
    // Somebody edits the Target, and may not read the Secret: another system in the same place.
    server.apply(&target(
        "misled",
        "wso2",
        &format!("{}/@onelogin", space.systems.url),
    ));
    is_refused(
        &space,
        "target/wso2",
        "Unauthenticated",
        "is for http://127.0.0.1",
    )
    .await;
    assert_eq!(space.systems.requests().await, requests);
    // One that names none is for this machine at most.
    server.apply(&target("misled", "wso2", "https://wso2.example.com"));
    is_refused(
        &space,
        "target/wso2",
        "Unauthenticated",
        "and the target's url is https://wso2.example.com",
    )
    .await;
    server.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: wso2, namespace: misled }\n\
         stringData: { username: admin, password: ws02Secret }\n",
    );
    server.kubectl(&[
        "patch",
        "secret",
        "wso2",
        "-n",
        "misled",
        "--type=merge",
        "-p",
        r#"{ "data": { "url": null } }"#,
    ]);
    is_refused(
        &space,
        "target/wso2",
        "Unauthenticated",
        "does not say which URL it is for",
    )
    .await;
    assert_eq!(space.systems.requests().await, requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_target_of_a_system_writes_nothing_and_says_nothing_of_other_namespaces() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    let first = Space::new(server, "first-come", "").await;
    first.scopes(&["a"]);
    first.wait("scope/a", "Synced");
    let writes = first.systems.writes().await;
    server.kubectl(&["create", "namespace", "second-come"]);
    server.rights(Some("second-come"));
    let url = format!("{}/@wso2", first.systems.url);
    let second = Space {
        server,
        name: "second-come".to_owned(),
        systems: Systems::start("").await,
    };
    server.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: wso2, namespace: second-come }}\n\
         stringData: {{ username: admin, password: ws02Secret, url: \"{url}\" }}\n"
    ));
    server.apply(&(target("second-come", "wso2", &url) + &second.scope("b", "")));
    is_refused(&second, "target/wso2", "Conflict", "was there first").await;
    second
        .comes_to_reason("scope/b", "Synced", "TargetNotReady")
        .await;
    assert_eq!(first.systems.writes().await, writes);
    first.run_now().await;
    assert_eq!(first.systems.names("wso2").await, ["a"]);
    for object in ["target/wso2", "scope/b"] {
        let said: Value = second.status(object);
        assert!(!said.to_string().contains("first-come"), "{said}");
    }
}
