//! What the watches do not tell, and how often what they tell is acted on.

use std::time::Duration;

use serde_json::json;

use crate::proxy::{Apart, Verdict};
use crate::support::{NO_THRESHOLDS, Space, eventually, told};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_live_is_deleted_while_the_watch_of_scopes_is_silent() {
    let apart = Apart::start().await;
    let targets = format!("{NO_THRESHOLDS}, allowedNamespaces: {{ from: All }}");
    let space = Space::new(&apart.server, "silent", &targets).await;
    space.scopes(&["moves", "goes", "stays"]);
    space
        .systems
        .comes_to("wso2", &["goes", "moves", "stays"])
        .await;
    space.wait("target/wso2", "Synced");
    apart.server.kubectl(&["create", "namespace", "elsewhere"]);
    // That it goes is told still; that it comes elsewhere is not.
    space.delete("scope/moves");
    eventually("the removal that waits", async || {
        let status = space.status("target/wso2");
        if status["withheld"]["count"] == 1 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    apart.proxy.rule(|asked| {
        if asked.watches("scopes") {
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    });
    apart.server.apply(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: { name: moves, namespace: elsewhere }\n\
         spec: { targetRefs: [{ name: wso2, namespace: silent }], description: \"A moves\" }\n",
    );
    space.scopes(&["comes"]);
    space.delete("scope/goes");
    eventually("the removal that is due and is not made", async || {
        let log = apart.operator.log();
        if log.matches("the watch is behind").count() >= 3 {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(
        space.systems.names("wso2").await,
        ["goes", "moves", "stays"]
    );
    apart.proxy.pass();
    space
        .systems
        .comes_to("wso2", &["comes", "moves", "stays"])
        .await;
    space.wait("target/wso2", "Synced");
    let deleted: Vec<String> = space
        .systems
        .log_of_writes()
        .await
        .into_iter()
        .filter(|written| written.method == "DELETE")
        .map(|written| written.path)
        .collect();
    assert!(
        deleted.len() == 1 && deleted[0].ends_with("/goes"),
        "{deleted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_edits_are_gathered_and_the_last_one_is_live_soon() {
    use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};

    /// For how long there are ten edits a second.
    const EDITED: Duration = Duration::from_mins(1);
    let cluster = crate::support::Cluster::shared().await;
    let space = Space::new(&cluster.server, "edited", "").await;
    space.scopes(&["edited"]);
    space.wait("scope/edited", "Synced");
    let series = |result: &str| {
        format!("scopeward_reconcile_total{{target=\"edited/wso2\",result=\"{result}\"}} ")
    };
    let runs = async || {
        let mut runs = 0.0;
        for result in ["success", "withheld", "stalled", "failed"] {
            runs += cluster.operator.figure(&series(result)).await;
        }
        runs
    };
    let kind = GroupVersionKind::gvk("scopeward.dev", "v1alpha1", "Scope");
    let resource = ApiResource::from_gvk(&kind);
    let client = cluster.server.client().await;
    let scopes: Api<DynamicObject> = Api::namespaced_with(client, "edited", &resource);
    let (before, requests) = (runs().await, space.systems.requests().await);
    assert!(before > 0.0, "the runs are not counted");
    let begun = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut last = String::new();
    for edit in 0.. {
        ticks.tick().await;
        if begun.elapsed() >= EDITED {
            break;
        }
        last = format!("edit {edit}");
        let patch = Patch::Merge(json!({ "spec": { "description": last } }));
        let patched = scopes
            .patch("edited", &PatchParams::default(), &patch)
            .await;
        patched.expect("the edit is taken");
    }
    let ended = tokio::time::Instant::now();
    eventually("the last edit", async || {
        let seen = space.systems.scopes("wso2").await[0]["description"].clone();
        if seen == last {
            Ok(())
        } else {
            Err(format!("{seen} after {last}"))
        }
    })
    .await;
    let (late, took) = (ended.elapsed(), ended - begun);
    let (made, asked) = (
        runs().await - before,
        space.systems.requests().await - requests,
    );
    let figures =
        format!("{made} runs with {asked} requests in {took:?}, the last one after {late:?}");
    told(&figures);
    assert!(late < Duration::from_secs(5), "{figures}");
    assert!(made <= took.as_secs_f64() / 2.0 + 2.0, "{figures}");
    assert!(made >= took.as_secs_f64() / 20.0, "{figures}");
}
