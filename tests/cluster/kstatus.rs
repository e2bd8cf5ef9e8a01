//! Every object says how it is so that kubectl, Flux and Argo CD understand it without knowing its kind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::health::health;
use crate::support::NO_THRESHOLDS;
use crate::support::{Cluster, Space, eventually, within};

/// How an object is, in the words of kstatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kstatus {
    /// As it is declared.
    Current,
    /// On its way there.
    InProgress,
    /// It gets no further without a person.
    Failed,
    /// It is being deleted.
    Terminating,
}

/// Judges an object by the generic rules of kstatus (sigs.k8s.io/cli-utils, `status`), which look at no kind.
fn kstatus(object: &Value) -> Kstatus {
    let number = |pointer| object.pointer(pointer).and_then(Value::as_i64);
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Kstatus::Terminating;
    }
    let observed = number("/status/observedGeneration");
    if observed.is_some() && observed != number("/metadata/generation") {
        return Kstatus::InProgress;
    }
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let conditions = || conditions.into_iter().flatten();
    for condition in conditions().filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return Kstatus::InProgress,
            Some("Stalled") => return Kstatus::Failed,
            _ => {}
        }
    }
    match conditions().find(|condition| condition["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => Kstatus::InProgress,
        _ => Kstatus::Current,
    }
}

#[test]
fn the_generic_rules_are_those_of_kstatus() {
    let with = |generation: i64, observed: Value, conditions: &[(&str, &str)]| {
        let conditions = conditions.iter();
        let conditions = conditions.map(|(kind, status)| json!({ "type": kind, "status": status }));
        let conditions: Vec<Value> = conditions.collect();
        let mut object = json!({
            "metadata": { "generation": generation },
            "status": { "conditions": conditions },
        });
        if !observed.is_null() {
            object["status"]["observedGeneration"] = observed;
        }
        object
    };
    for (object, wanted) in [
        (with(1, Value::Null, &[]), Kstatus::Current),
        (with(1, json!(1), &[]), Kstatus::Current),
        (with(1, json!(-1), &[]), Kstatus::InProgress),
        (
            with(2, json!(1), &[("Stalled", "True")]),
            Kstatus::InProgress,
        ),
        (with(1, json!(1), &[("Ready", "True")]), Kstatus::Current),
        (
            with(1, json!(1), &[("Ready", "False")]),
            Kstatus::InProgress,
        ),
        (
            with(1, json!(1), &[("Ready", "Unknown")]),
            Kstatus::InProgress,
        ),
        (
            with(1, json!(1), &[("Ready", "True"), ("Reconciling", "True")]),
            Kstatus::InProgress,
        ),
        (
            with(1, json!(1), &[("Ready", "False"), ("Stalled", "True")]),
            Kstatus::Failed,
        ),
        (
            with(
                1,
                json!(1),
                &[("Stalled", "False"), ("Reconciling", "False")],
            ),
            Kstatus::Current,
        ),
    ] {
        assert_eq!(kstatus(&object), wanted, "{object}");
    }
    let mut going = with(1, json!(-1), &[]);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(kstatus(&going), Kstatus::Terminating);
}

/// Waits until an object is judged so, and until Argo CD has this word for it.
async fn comes_to(space: &Space<'_>, object: &str, wanted: Kstatus, word: &str) {
    // What is not there yet is waited for, for a minute.
    let seen = within(Duration::from_secs(90), async || {
        let seen = space.object(object);
        let judged = (kstatus(&seen), health(&seen));
        if judged.0 == wanted && judged.1.0 == word {
            Ok(())
        } else {
            Err(format!("{judged:?}\n{seen:#}"))
        }
    })
    .await;
    if let Err(seen) = seen {
        panic!("{object} {wanted:?} {word}: {seen}");
    }
}

/// A `ScopeBinding` for a Scope of its own namespace.
fn binding(namespace: &str, scope: &str) -> String {
    format!(
        "---\napiVersion: scopeward.dev/v1alpha1\nkind: ScopeBinding\nmetadata: {{ name: {scope}, namespace: {namespace} }}\n\
         spec: {{ scopeRef: {{ name: {scope} }}, roles: [support] }}\n"
    )
}

/// An `AppScopeSet` on a Target, with a Scope of that Target for it.
fn app(namespace: &str, target: &str) -> String {
    format!(
        "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders, namespace: {namespace} }}\n\
         spec: {{ targetRefs: [{{ name: {target} }}], description: Orders }}\n---\n\
         apiVersion: scopeward.dev/v1alpha1\nkind: AppScopeSet\nmetadata: {{ name: shop, namespace: {namespace} }}\n\
         spec: {{ targetRef: {{ name: {target} }}, app: {{ oneLogin: {{ appId: 1 }} }}, scopes: [orders] }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_looked_at_is_in_progress() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    server.kubectl(&["create", "namespace", "unseen"]);
    let target = "---\napiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: { name: wso2, namespace: unseen }\n\
                  spec: { wso2: { url: \"http://127.0.0.1:1\", api: ScopeRegistration }, credentialsRef: { name: wso2 } }\n";
    // What a write answers is how the object was stored: nobody has seen it before that.
    let fresh = server.applied(&(binding("unseen", "orders") + &app("unseen", "wso2") + target));
    assert_eq!(fresh.len(), 4);
    for object in fresh {
        assert_eq!(kstatus(&object), Kstatus::InProgress, "{object:#}");
        assert_eq!(object["status"]["observedGeneration"], -1);
        assert_eq!(health(&object).0, "Progressing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_as_declared_is_current_and_kubectl_waits_for_it() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "current", "").await;
    space.one_login();
    let scope = space.scope("reads", "bindings: [sales]");
    let all = scope + &binding("current", "reads") + &app("current", "onelogin");
    space.server.apply(&all);
    for object in [
        "scope/reads",
        "scopebinding/reads",
        "scope/orders",
        "appscopeset/shop",
        "target/wso2",
        "target/onelogin",
    ] {
        space.wait(object, "Ready");
        space.wait(object, "Synced");
        comes_to(&space, object, Kstatus::Current, "Healthy").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_is_failed() {
    let cluster = Cluster::shared().await;
    let server = &cluster.server;
    let space = Space::new(server, "words", "approval: Manual").await;
    space.scopes(&["a"]);
    server.apply(&binding("words", "nowhere"));
    server.apply(&app("words", "nowhere"));
    // What they name may come with the next manifest.
    for object in ["scope/orders", "scopebinding/nowhere", "appscopeset/shop"] {
        comes_to(&space, object, Kstatus::InProgress, "Progressing").await;
    }
    for (object, reason) in [
        ("target/wso2", "ApprovalRequired"),
        ("scope/a", "ApprovalRequired"),
        ("scope/orders", "ReferenceNotFound"),
        ("scopebinding/nowhere", "ReferenceNotFound"),
        ("appscopeset/shop", "ReferenceNotFound"),
    ] {
        comes_to(&space, object, Kstatus::Failed, "Degraded").await;
        assert_eq!(space.reason(object, "Stalled"), reason, "{object}");
        // The word for a person is the one that Argo CD shows.
        let message = health(&space.object(object)).1;
        assert!(message.starts_with(reason), "{object}: {message}");
    }

    let space = Space::new(server, "limits", "safety: { maxRemovals: 0 }").await;
    space.scopes(&["a", "b"]);
    space.wait("scope/b", "Synced");
    space.delete("scope/b");
    comes_to(&space, "target/wso2", Kstatus::Failed, "Degraded").await;
    assert_eq!(space.reason("target/wso2", "Stalled"), "ThresholdExceeded");
    // What is as declared is not failed by what is not removed.
    assert_eq!(kstatus(&space.object("scope/a")), Kstatus::Current);

    space.secret("wr0ng");
    space
        .comes_to_reason("target/wso2", "Stalled", "Unauthenticated")
        .await;
    comes_to(&space, "target/wso2", Kstatus::Failed, "Degraded").await;
    // Nothing is to be done about the Scope itself.
    comes_to(&space, "scope/a", Kstatus::InProgress, "Progressing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_is_in_progress_until_live_is_as_it_says() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "generations", "").await;
    space.scopes(&["a"]);
    comes_to(&space, "scope/a", Kstatus::Current, "Healthy").await;
    // What grows is made at once; a removal waits, and an object is as it should be meanwhile.
    for roles in [
        vec!["sales"],
        vec!["sales", "support"],
        vec!["sales", "support", "audit"],
    ] {
        let edited = space.scope("a", &format!("bindings: {}", json!(roles)));
        for object in space.server.applied(&edited) {
            assert_eq!(kstatus(&object), Kstatus::InProgress, "{object:#}");
            assert_eq!(health(&object).0, "Progressing");
        }
        comes_to(&space, "scope/a", Kstatus::Current, "Healthy").await;
        let live = space.systems.scopes("wso2").await;
        assert_eq!(live[0]["bindings"], json!(roles));
    }
    // The Target's own generations count as its Scopes' do.
    for more in ["drift: Report", "suspend: true", ""] {
        space.target(more);
        eventually("the Target's generation", async || {
            let seen = space.object("target/wso2");
            let is_seen = seen["status"]["observedGeneration"] == seen["metadata"]["generation"];
            if is_seen && kstatus(&seen) == Kstatus::Current {
                Ok(())
            } else {
                Err(format!("{seen:#}"))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_by_itself_is_in_progress_and_what_somebody_paused_is_suspended() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "pauses", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Ready");
    space
        .systems
        .faults(json!([{ "system": "wso2", "fault": { "reset": {} } }]))
        .await;
    space.target("interval: 1h");
    for object in ["target/wso2", "scope/a"] {
        comes_to(&space, object, Kstatus::InProgress, "Progressing").await;
    }
    assert_eq!(space.reason("target/wso2", "Reconciling"), "Unreachable");
    space.systems.faults(json!([])).await;
    space.target("suspend: true");
    comes_to(&space, "target/wso2", Kstatus::Current, "Suspended").await;
    comes_to(&space, "scope/a", Kstatus::InProgress, "Suspended").await;
    space.target("policy: Observe");
    space.scopes(&["b"]);
    comes_to(&space, "scope/b", Kstatus::InProgress, "Suspended").await;
    comes_to(&space, "scope/a", Kstatus::Current, "Healthy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_holds_back_from_deletion_is_terminating() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "holders", NO_THRESHOLDS).await;
    space.scopes(&["a", "b", "c"]);
    space.wait("scope/c", "Synced");
    let finalizers = |held: Value| {
        let patch = json!({ "metadata": { "finalizers": held } }).to_string();
        let arguments = [
            "patch",
            "-n",
            "holders",
            "scope/a",
            "--type=merge",
            "-p",
            &patch,
        ];
        space.server.kubectl(&arguments);
    };
    finalizers(json!(["test.local/held"]));
    let arguments = ["delete", "-n", "holders", "scope/a", "--wait=false"];
    space.server.kubectl(&arguments);
    assert_eq!(kstatus(&space.object("scope/a")), Kstatus::Terminating);
    // It is declared for as long as it is there: a removal that began to wait after it is made, and its own is not.
    space.delete("scope/b");
    space.systems.comes_to("wso2", &["a", "c"]).await;
    assert_eq!(kstatus(&space.object("scope/a")), Kstatus::Terminating);
    finalizers(json!([]));
    space.systems.comes_to("wso2", &["c"]).await;
}
