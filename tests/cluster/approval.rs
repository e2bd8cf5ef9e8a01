//! Plans that wait for a word in Git, and what takes effect while many changes are written.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Cluster, Operator, Space, eventually, operators_kubeconfig};

/// The digest of a Target's pending plan, once it has so many changes.
async fn pending(space: &Space<'_>, count: usize) -> String {
    eventually("the pending plan", async || {
        let pending = space.status("target/wso2")["pendingPlan"].clone();
        match pending["digest"].as_str() {
            Some(digest) if pending["count"] == count => Ok(digest.to_owned()),
            _ => Err(pending.to_string()),
        }
    })
    .await
}

/// Waits until at least so many scopes are live.
async fn are_live(space: &Space<'_>, count: usize) -> usize {
    eventually("the live scopes", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen >= count {
            Ok(seen)
        } else {
            Err(seen.to_string())
        }
    })
    .await
}

/// What `scopeward plan` says of a folder laid over the cluster, as JSON.
fn plan_of(server: &Server, space: &Space<'_>, folder: &Path) -> Value {
    let plan = Command::new(env!("CARGO_BIN_EXE_scopeward"))
        .arg("plan")
        .arg(folder)
        .args(["--from-cluster", "--default-namespace", &space.name])
        .args([
            "--prune-selector",
            "app=shop",
            "--inventory",
            "cluster:scopeward",
        ])
        .args(["--target", &format!("{}/wso2", space.name), "-o", "json"])
        .env("KUBECONFIG", server.admin())
        .output()
        .expect("scopeward starts");
    let said = String::from_utf8_lossy(&plan.stderr).into_owned();
    serde_json::from_slice(&plan.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_a_pull_requests_plan_is_the_pending_one_after_its_merge() {
    let cluster = Cluster::shared().await;
    let manual =
        "approval: Manual, safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }";
    let space = Space::new(&cluster.server, "request", manual).await;
    let scope = |name: &str, description: &str| {
        format!(
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\n\
             metadata: {{ name: {name}, namespace: request, labels: {{ app: shop }} }}\n\
             spec: {{ targetRefs: [{{ name: wso2 }}], description: {description} }}\n"
        )
    };
    space
        .server
        .apply(&(scope("a", "before") + &scope("b", "before")));
    let digest = pending(&space, 2).await;
    space.target(&format!("{manual}, approvedPlan: \"{digest}\""));
    space.systems.comes_to("wso2", &["a", "b"]).await;
    space.wait("target/wso2", "Synced");

    // The pull request: one is changed, one goes, one is new.
    let folder = tempfile::tempdir().expect("a folder");
    let request = scope("a", "after") + &scope("c", "new");
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: wso2 }}\n\
         stringData: {{ username: admin, password: ws02Secret, url: \"{}/@wso2\" }}\n",
        space.systems.url
    );
    std::fs::write(folder.path().join("all.yaml"), request.clone() + &secret).expect("a file");
    let plan = plan_of(&cluster.server, &space, folder.path());
    let changes = plan["targets"][0]["changes"].as_array().map(Vec::len);
    assert_eq!(changes, Some(3), "{plan:#}");
    let requested = plan["targets"][0]["digest"].as_str().expect("a digest");

    space.server.apply(&request);
    space.delete("scope/b");
    let digest = pending(&space, 3).await;
    assert_eq!(digest, requested);
    // And committed, it is the word for it.
    space.target(&format!("{manual}, approvedPlan: \"{requested}\""));
    space.systems.comes_to("wso2", &["a", "c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_plan_goes_on_after_drift_elsewhere_and_a_kill() {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let mut operator = Operator::start(&operators_kubeconfig(&server), &[]);
    let manual = "approval: Manual, limits: { requestsPerSecond: 10 }";
    let space = Space::new(&server, "approved", manual).await;
    let names: Vec<String> = (0..30).map(|n| format!("s{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    space.scopes(&names);
    let digest = pending(&space, 30).await;
    space.target(&format!("{manual}, approvedPlan: \"{digest}\""));
    are_live(&space, 8).await;
    operator.kill();
    let live = space.systems.names("wso2").await.len();
    assert!(live < 30, "it was through before it was killed");
    // What others do elsewhere, and what is new, is not what was approved.
    space
        .systems
        .drift(json!({ "addScope": { "name": "theirs", "description": "theirs" } }))
        .await;
    space.scopes(&["zz"]);
    operator.go_on();
    let mut all = names.clone();
    all.push("theirs");
    eventually("all that was approved", async || {
        let seen = space.systems.names("wso2").await;
        let said = || format!("{}\n{}", space.yaml("target/wso2"), operator.log());
        crate::support::same(&seen, &all).map_err(|seen| format!("{seen}\n{}", said()))
    })
    .await;
    pending(&space, 1).await;
    space.run_now().await;
    assert!(!space.systems.names("wso2").await.contains(&"zz".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_a_hold_and_a_suspension_take_effect_within_a_slice() {
    const MANY: usize = 1_200;
    const SLICE: usize = 500;
    let cluster = Cluster::start().await;
    let more = "limits: { requestsPerSecond: 40 }";
    let space = Space::new(&cluster.server, "slices", more).await;
    let scopes = |range: std::ops::Range<usize>| -> String {
        range
            .map(|n| space.scope(&format!("s{n:04}"), ""))
            .collect()
    };
    space.scopes(&["urgent"]);
    space.systems.comes_to("wso2", &["urgent"]).await;
    // All of them are there before the first is written.
    space.target(&format!("suspend: true, {more}"));
    space
        .comes_to_reason("target/wso2", "Synced", "Suspended")
        .await;
    space.server.apply(&scopes(0..MANY));
    space.target(more);
    let before = are_live(&space, 20).await;
    // The last one is to wait, and the first one of all to change.
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let hold = format!("scopeward.dev/hold-until={tomorrow}");
    space
        .server
        .kubectl(&["annotate", "-n", &space.name, "scope/s1199", &hold]);
    let edit = json!({ "spec": { "description": "now" } }).to_string();
    space.server.kubectl(&[
        "patch",
        "-n",
        &space.name,
        "scope/urgent",
        "--type=merge",
        "-p",
        &edit,
    ]);
    let urgent = async || {
        let scopes = space.systems.scopes("wso2").await;
        let urgent = scopes.iter().find(|scope| scope["name"] == "urgent");
        let is_live = urgent.is_some_and(|urgent| urgent["description"] == "now");
        (is_live, scopes.len())
    };
    let after = eventually("the edit", async || match urgent().await {
        (true, live) => Ok(live),
        (false, live) => Err(live.to_string()),
    })
    .await;
    assert!(after < MANY, "all were made before the edit");
    assert!(
        after <= before + SLICE + 50,
        "{before} before it, {after} after it"
    );
    // Then nothing more is sent.
    space.target(&format!("suspend: true, {more}"));
    space
        .comes_to_reason("target/wso2", "Synced", "Suspended")
        .await;
    let writes = space.systems.writes().await;
    assert!(
        writes < (MANY + 1) as u64,
        "all were made before the suspension"
    );
    space.run_now().await;
    assert_eq!(space.systems.writes().await, writes);
    space.target("");
    are_live(&space, MANY).await;
    space.run_now().await;
    let names = space.systems.names("wso2").await;
    assert!(!names.contains(&"s1199".to_owned()), "it is on hold");
    space.comes_to_reason("scope/s1199", "Synced", "Held").await;
}
