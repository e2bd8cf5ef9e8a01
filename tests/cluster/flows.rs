//! From `kubectl apply` to the live system and back to conditions.

use serde_json::{Value, json};

use crate::support::{Cluster, Space, Systems, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_created_updated_and_deleted() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "lifecycle", "").await;
    space.scopes(&["writes", "prints"]);
    space
        .server
        .apply(&space.scope("reads", "bindings: [support]"));
    for object in ["scope/reads", "target/wso2"] {
        space.wait(object, "Ready");
    }
    space
        .systems
        .comes_to("wso2", &["prints", "reads", "writes"])
        .await;

    space
        .server
        .apply(&space.scope("reads", "bindings: [support, sales]"));
    eventually("the roles", async || {
        let scopes = space.systems.scopes("wso2").await;
        let seen = scopes
            .iter()
            .any(|scope| scope["bindings"] == json!(["support", "sales"]));
        if seen {
            Ok(())
        } else {
            Err(format!("{scopes:?}"))
        }
    })
    .await;
    space.wait("scope/reads", "Synced");
    space.delete("scope/writes");
    space.systems.comes_to("wso2", &["prints", "reads"]).await;
    // At rest nothing is written.
    let writes = space.systems.writes().await;
    space.run_now().await;
    assert_eq!(space.systems.writes().await, writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_keeps_its_id_and_a_list_follows_it() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "renames", "").await;
    space.one_login();
    let manifests = |scope: &str| {
        format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders, namespace: renames }}\n\
             spec: {{ targetRefs: [{{ name: onelogin }}], description: Orders, {scope} }}\n"
        )
    };
    let list = |scope: &str| {
        format!(
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: AppScopeSet\nmetadata: {{ name: shop, namespace: renames }}\n\
             spec: {{ targetRef: {{ name: onelogin }}, app: {{ oneLogin: {{ appId: 1 }} }}, scopes: [\"{scope}\"] }}\n"
        )
    };
    space
        .server
        .apply(&(manifests("name: \"order:read\"") + &list("order:read")));
    for object in ["scope/orders", "appscopeset/shop", "target/onelogin"] {
        space.wait(object, "Ready");
    }
    let id = space.systems.scopes("onelogin").await[0]["id"].clone();
    let held =
        space.systems.state("onelogin").await["authorizationServers"][0]["clients"][0]["scopes"]
            .clone();
    assert_eq!(held, json!([id]));

    let renamed = manifests("name: \"orders:read\", previousNames: [\"order:read\"]");
    space.server.apply(&(renamed + &list("orders:read")));
    space.systems.comes_to("onelogin", &["orders:read"]).await;
    space.wait("scope/orders", "Synced");
    assert_eq!(space.systems.scopes("onelogin").await[0]["id"], id);
    let told = space.status("scope/orders");
    assert_eq!(told["targets"][0]["liveName"], "orders:read");
    assert_eq!(
        told["targets"][0]["remoteId"],
        Value::String(id.to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_repaired_or_reported_as_the_target_says() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "drifts", "").await;
    space.scopes(&["reads"]);
    space.wait("scope/reads", "Synced");
    let theirs = json!({ "updateScope": { "name": "reads", "description": "theirs" } });
    let is_ours = async || {
        let scopes = space.systems.scopes("wso2").await;
        scopes[0]["description"] == "A reads"
    };
    space.systems.drift(theirs.clone()).await;
    assert!(!is_ours().await);
    space.run_now().await;
    assert!(is_ours().await);

    space.target("drift: Report");
    space.run_now().await;
    space.systems.drift(theirs).await;
    space.run_now().await;
    space.wait("scope/reads", "Drifted");
    assert!(!is_ours().await);
    assert_eq!(space.status("target/wso2")["objects"]["drifted"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_orphaned_or_protected_stays_live_and_the_object_goes_at_once() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "stays", "").await;
    space.server.apply(&space.scope("kept", "protected: true"));
    space
        .server
        .apply(&space.scope("left", "deletionPolicy: Orphan"));
    space.scopes(&["gone"]);
    space
        .systems
        .comes_to("wso2", &["gone", "kept", "left"])
        .await;
    for scope in ["scope/kept", "scope/left", "scope/gone"] {
        space.wait(scope, "Synced");
        space.delete(scope);
    }
    space.systems.comes_to("wso2", &["kept", "left"]).await;
    // The one that is protected is listed, with its way out; nobody is stalled by it.
    eventually("what is withheld", async || {
        let status = space.status("target/wso2");
        let items = status["withheld"]["items"].to_string();
        if items.contains("kept") && items.contains("protected") {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    space.wait("target/wso2", "Ready");
    assert_eq!(space.reason("target/wso2", "Stalled"), "");
    // Put back, it is the same one.
    space.scopes(&["kept"]);
    space.wait("scope/kept", "Synced");
    assert_eq!(space.systems.names("wso2").await, ["kept", "left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_plan_waits_for_its_digest_in_the_manifest() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "approvals", "approval: Manual").await;
    space.scopes(&["a", "b"]);
    space
        .comes_to_reason("target/wso2", "Synced", "ApprovalRequired")
        .await;
    space.wait("target/wso2", "Stalled");
    let pending = space.status("target/wso2")["pendingPlan"].clone();
    assert_eq!(pending["count"], 2, "{pending}");
    assert!(space.systems.names("wso2").await.is_empty());
    let digest = pending["digest"].as_str().expect("a digest").to_owned();

    // What comes up meanwhile is not approved with it.
    space.scopes(&["c"]);
    eventually("the next pending plan", async || {
        let count = space.status("target/wso2")["pendingPlan"]["count"].clone();
        if count == 3 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await;
    space.target(&format!("approval: Manual, approvedPlan: \"{digest}\""));
    space.systems.comes_to("wso2", &["a", "b"]).await;
    eventually("what is left", async || {
        let count = space.status("target/wso2")["pendingPlan"]["count"].clone();
        if count == 1 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await;
    // A word that was used does nothing.
    space.systems.drift(json!({ "deleteScope": "a" })).await;
    space.run_now().await;
    assert_eq!(space.systems.names("wso2").await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_suspended_or_only_observed() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "watched", "policy: Observe").await;
    space.scopes(&["a"]);
    space.comes_to_reason("scope/a", "Synced", "Policy").await;
    assert_eq!(space.systems.writes().await, 0);
    space.target("suspend: true");
    space
        .comes_to_reason("target/wso2", "Synced", "Suspended")
        .await;
    space
        .comes_to_reason("scope/a", "Synced", "Suspended")
        .await;
    let requests = space.systems.requests().await;
    space.run_now().await;
    assert_eq!(space.systems.requests().await, requests);
    space.target("");
    space.systems.comes_to("wso2", &["a"]).await;
    space.wait("scope/a", "Ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_missing_wrong_or_another_systems_is_said_and_a_new_one_is_used_at_once() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "secrets", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    space.secret("wr0ng");
    space
        .comes_to_reason("target/wso2", "Ready", "Unauthenticated")
        .await;
    let requests = space.systems.requests().await;
    space
        .server
        .kubectl(&["delete", "secret", "-n", "secrets", "wso2"]);
    eventually("the missing Secret", async || {
        let yaml = space.yaml("target/wso2");
        if yaml.contains("is not there") {
            Ok(())
        } else {
            Err(yaml)
        }
    })
    .await;
    space.server.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: wso2, namespace: secrets }\n\
         stringData: { username: admin, password: ws02Secret, url: \"https://elsewhere.example.com\" }\n",
    );
    eventually("the other system's Secret", async || {
        let yaml = space.yaml("target/wso2");
        if yaml.contains("is for https://elsewhere.example.com") {
            Ok(())
        } else {
            Err(yaml)
        }
    })
    .await;
    assert_eq!(space.systems.requests().await, requests);
    space.secret("ws02Secret");
    space
        .comes_to_reason("target/wso2", "Ready", "Synced")
        .await;
    let log = cluster.operator.log();
    let everywhere = format!("{log}{}{}", space.yaml("target/wso2"), space.yaml("events"));
    for secret in ["ws02Secret", "wr0ng"] {
        assert!(!everywhere.contains(secret), "{secret} is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_of_other_namespaces_count_where_the_target_lets_them_in() {
    let cluster = Cluster::shared().await;
    let space = Space::new(
        &cluster.server,
        "owners",
        "allowedBindings: { from: Selector, selector: { matchLabels: { team: sales } } }",
    )
    .await;
    space.scopes(&["reads"]);
    for (namespace, label) in [("sellers", "team=sales"), ("strangers", "team=none")] {
        space.server.kubectl(&["create", "namespace", namespace]);
        space
            .server
            .kubectl(&["label", "namespace", namespace, label]);
        space.server.apply(&format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: ScopeBinding\nmetadata: {{ name: reads, namespace: {namespace} }}\n\
             spec: {{ scopeRef: {{ name: reads, namespace: owners }}, roles: [{namespace}] }}\n"
        ));
    }
    eventually("the binding", async || {
        let scopes = space.systems.scopes("wso2").await;
        let roles = scopes.first().map(|scope| scope["bindings"].clone());
        if roles == Some(json!(["sellers"])) {
            Ok(())
        } else {
            Err(format!("{scopes:?}"))
        }
    })
    .await;
    let wait = |namespace, condition: &str| {
        let condition = format!("--for=condition={condition}");
        let arguments = [
            "wait",
            "-n",
            namespace,
            "scopebinding/reads",
            &condition,
            "--timeout=60s",
        ];
        space.server.kubectl(&arguments);
    };
    wait("sellers", "Ready");
    wait("strangers", "Stalled");
    let said = space.server.kubectl(&[
        "get",
        "scopebinding",
        "reads",
        "-n",
        "strangers",
        "-o",
        "yaml",
    ]);
    assert!(said.contains("reason: NotAllowed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_targets_of_one_system_do_not_take_turns() {
    let cluster = Cluster::shared().await;
    let systems = Systems::start("").await;
    let url = systems.url.clone();
    let space = Space::over(&cluster.server, "firsts", "", systems);
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    let writes = space.systems.writes().await;
    space.server.apply(&format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: second, namespace: firsts }}\n\
         spec: {{ wso2: {{ url: \"{url}/@wso2\", api: ScopeRegistration }}, credentialsRef: {{ name: wso2 }} }}\n"
    ));
    space
        .comes_to_reason("target/second", "Ready", "Conflict")
        .await;
    space.run_now().await;
    assert_eq!(space.systems.writes().await, writes);
    space.wait("target/wso2", "Ready");
}
