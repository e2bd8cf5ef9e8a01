//! What is away for a while: the store, the number of shards, connections that nobody ends.

use std::time::Duration;

use jiff::Timestamp;

use crate::proxy::{Apart, Verdict};
use crate::server::Server;
use crate::support::{
    Cluster, NO_THRESHOLDS, Operator, Space, Systems, eventually, eventually_within,
    operators_kubeconfig, same, told,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_by_readiness_and_survived() {
    let Cluster {
        mut server,
        operator,
    } = Cluster::start().await;
    let systems = {
        let space = Space::new(&server, "stores", "").await;
        space.scopes(&["a", "b"]);
        space.wait("scope/b", "Synced");
        space.systems
    };
    let deletes = async |systems: &Systems| {
        let writes = systems.log_of_writes().await;
        writes
            .iter()
            .filter(|written| written.method == "DELETE")
            .count()
    };
    server.stop_etcd();
    let stopped = tokio::time::Instant::now();
    eventually("it is not ready", async || {
        match operator.get("/readyz").await? {
            (200, text) => Err(text),
            _ => Ok(()),
        }
    })
    .await;
    let noticed = stopped.elapsed();
    let away = Duration::from_secs(20);
    while stopped.elapsed() < away {
        let (status, text) = operator.get("/readyz").await.expect("the same process");
        assert_ne!(status, 200, "{text}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    server.start_etcd();
    server.is_ready().await;
    let back = tokio::time::Instant::now();
    eventually_within(
        Duration::from_secs(90),
        "it is ready again",
        async || match operator.get("/readyz").await? {
            (200, _) => Ok(()),
            (_, text) => Err(text),
        },
    )
    .await;
    told(&format!(
        "not ready after {noticed:?}, ready again {:?} after the store",
        back.elapsed()
    ));
    assert_eq!(deletes(&systems).await, 0);
    server.apply(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: { name: c, namespace: stores }\n\
         spec: { targetRefs: [{ name: wso2 }], description: \"A c\" }\n",
    );
    systems.comes_to("wso2", &["a", "b", "c"]).await;
    assert_eq!(deletes(&systems).await, 0);
}

/// Namespaces with a Target and so many Scopes each, that a single operator has begun to create.
async fn begun<'a>(server: &'a Server, prefix: &str, count: usize) -> Vec<Space<'a>> {
    let more = format!("{NO_THRESHOLDS}, limits: {{ maxInFlight: 1 }}");
    let mut spaces = Vec::new();
    for n in 0..6 {
        let name = format!("{prefix}-{n}");
        let space = Space::new(server, &name, &more).await;
        space.systems.slow(200).await;
        spaces.push(space);
    }
    for space in &spaces {
        space.wait("target/wso2", "Ready");
    }
    for space in &spaces {
        let all: String = names(count)
            .iter()
            .map(|name| space.scope(name, ""))
            .collect();
        server.apply(&all);
    }
    eventually("the middle", async || {
        for space in &spaces {
            let seen = space.systems.names("wso2").await.len();
            if seen < 3 {
                return Err(format!("{seen} in {}", space.name));
            }
        }
        Ok(())
    })
    .await;
    spaces
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:02}")).collect()
}

/// Waits until two shards have finished what one operator began, and makes sure that they did it once and own all of it.
async fn finish(spaces: &[Space<'_>], count: usize) {
    let wanted = names(count);
    for space in spaces {
        space.systems.faults(serde_json::json!([])).await;
    }
    for space in spaces {
        eventually_within(Duration::from_secs(150), "all of them", async || {
            same(&space.systems.names("wso2").await, &wanted)
        })
        .await;
        space
            .comes_to_reason("target/wso2", "Synced", "Synced")
            .await;
        let made = space.systems.made().await;
        assert!(made.values().all(|times| *times == 1), "{made:?}");
        space.empties().await;
    }
}

/// One operator is in the midst of its writes as two shards begin.
async fn becomes_two(prefix: &str, is_killed: bool) {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let kubeconfig = operators_kubeconfig(&server);
    let mut one = Operator::start(&kubeconfig, &[]);
    let spaces = begun(&server, prefix, 60).await;
    if is_killed {
        one.kill();
    }
    let _shards = ["0/2", "1/2"].map(|shard| Operator::start(&kubeconfig, &["--shard", shard]));
    finish(&spaces, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shards_finish_what_one_operator_began_that_was_killed() {
    becomes_two("halves", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shards_and_one_operator_that_goes_on_do_nothing_twice() {
    becomes_two("thirds", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_never_answered_holds_up_no_target() {
    let apart = Apart::start().await;
    let space = Space::new(&apart.server, "unanswered", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    space.wait("target/wso2", "Synced");
    apart.proxy.rule(|asked| {
        if asked.is_write() && asked.path.contains("/status") {
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    });
    space.scopes(&["b"]);
    eventually("the status that is held", async || {
        let held = apart
            .proxy
            .count(|asked| asked.path.contains("/status") && asked.status.is_none());
        if held > 0 {
            Ok(())
        } else {
            Err(apart.operator.log())
        }
    })
    .await;
    space.scopes(&["c"]);
    eventually_within(Duration::from_secs(150), "the later one", async || {
        same(&space.systems.names("wso2").await, &["a", "b", "c"])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_never_heard_of_again_are_given_up() {
    let apart = Apart::start().await;
    let space = Space::new(&apart.server, "unheard", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    space.wait("target/wso2", "Synced");
    // As behind a gateway that forgot them: nothing comes any more of what was asked before, and all else passes.
    let forgotten = Timestamp::now();
    apart.proxy.rule(move |asked| {
        if asked.at < forgotten {
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    });
    let begun = tokio::time::Instant::now();
    space.scopes(&["b"]);
    eventually_within(Duration::from_secs(100), "what came since", async || {
        same(&space.systems.names("wso2").await, &["a", "b"])
    })
    .await;
    told(&format!("seen after {:?}", begun.elapsed()));
    space.wait("scope/b", "Synced");
}
