//! What is deleted in the cluster and is not to go from the live system: the object goes at once, and nothing is lost.

use serde_json::Value;

use crate::support::{Cluster, Space, eventually};

/// Four of a population of twelve: over the default of 30 percent.
const MANY: [&str; 4] = ["s00", "s01", "s02", "s03"];

fn names() -> Vec<String> {
    (0..12).map(|n| format!("s{n:02}")).collect()
}

/// A namespace with twelve Scopes that are live.
async fn with_scopes<'a>(cluster: &'a Cluster, name: &str) -> Space<'a> {
    let space = Space::new(&cluster.server, name, "").await;
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    space.scopes(&names);
    space.systems.comes_to("wso2", &names).await;
    space.wait("target/wso2", "Synced");
    space
}

/// Waits until what is withheld has this many entries, each with a way out, and gives one.
async fn are_withheld(space: &Space<'_>, count: usize, word: &str) -> Value {
    eventually("what is withheld", async || {
        let withheld = space.status("target/wso2")["withheld"].clone();
        let items = withheld["items"].as_array().cloned().unwrap_or_default();
        let says = |item: &&Value| {
            item["message"]
                .as_str()
                .is_some_and(|text| text.contains(word))
        };
        if withheld["count"] == count && items.iter().filter(says).count() == count {
            Ok(items[0].clone())
        } else {
            Err(withheld.to_string())
        }
    })
    .await
}

/// Takes four of the twelve away, which must not go from the live system, and brings them back.
async fn go_and_come_back(space: &Space<'_>, way_out: &str) {
    let writes = space.systems.writes().await;
    for name in MANY {
        space.delete(&format!("scope/{name}"));
    }
    are_withheld(space, MANY.len(), way_out).await;
    assert_eq!(space.systems.names("wso2").await, names());
    space.scopes(&MANY);
    eventually("nothing is withheld", async || {
        match space.status("target/wso2")["withheld"].clone() {
            Value::Null => Ok(()),
            some => Err(some.to_string()),
        }
    })
    .await;
    assert_eq!(space.systems.writes().await, writes, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_threshold_stops_is_listed_with_its_way_out_and_the_same_when_put_back() {
    let cluster = Cluster::shared().await;
    let space = with_scopes(&cluster, "threshold").await;
    go_and_come_back(&space, "spec.approvedPlan").await;
    for name in MANY {
        space.wait(&format!("scope/{name}"), "Synced");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_approval_is_listed_with_its_way_out_and_the_same_when_put_back() {
    let cluster = Cluster::shared().await;
    let space = with_scopes(&cluster, "manual").await;
    space.target(
        "approval: Manual, safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }",
    );
    space.run_now().await;
    go_and_come_back(&space, "spec.approvedPlan").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_while_its_target_is_suspended_is_listed_and_the_same_when_put_back() {
    let cluster = Cluster::shared().await;
    let space = with_scopes(&cluster, "suspended").await;
    let more = "safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }";
    space.target(&format!("suspend: true, {more}"));
    space
        .comes_to_reason("target/wso2", "Synced", "Suspended")
        .await;
    let requests = space.systems.requests().await;
    go_and_come_back(&space, "take `suspend` away").await;
    assert_eq!(space.systems.requests().await, requests, "nobody looked");
    space.target(more);
    space.wait("target/wso2", "Synced");
    assert_eq!(space.systems.names("wso2").await, names());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_put_back_keeps_its_remote_id() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "again", "").await;
    space.one_login();
    let scope = "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: { name: a, namespace: again }\n\
                 spec: { targetRefs: [{ name: onelogin }], name: \"a\", description: \"A\", protected: true }\n";
    space.server.apply(scope);
    space.wait("scope/a", "Synced");
    let id = space.status("scope/a")["targets"][0]["remoteId"].clone();
    assert!(id.is_string(), "{id}");
    space.delete("scope/a");
    eventually("it is listed", async || {
        let withheld = space.status("target/onelogin")["withheld"].to_string();
        if withheld.contains("protected") {
            Ok(())
        } else {
            Err(withheld)
        }
    })
    .await;
    space.server.apply(scope);
    space.wait("scope/a", "Synced");
    assert_eq!(space.status("scope/a")["targets"][0]["remoteId"], id);
    assert_eq!(space.systems.writes().await, 1, "it was made once");
}
