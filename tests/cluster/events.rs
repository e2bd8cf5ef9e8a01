//! However many objects something happens to, a run tells of ten and sums up the rest.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::NO_THRESHOLDS;
use crate::support::{Cluster, Space, eventually, same};

/// How many Scopes there are: less than a run sends at most.
const MANY: usize = 200;

/// The events of a namespace: for each its name, its reason, and how often it was told.
fn events(space: &Space<'_>) -> Vec<(String, String, i64)> {
    let arguments = [
        "get",
        "events.events.k8s.io",
        "-n",
        &space.name,
        "-o",
        "json",
    ];
    let seen: Value = serde_json::from_str(&space.server.kubectl(&arguments)).expect("JSON");
    let items = seen["items"].as_array().expect("a list").iter();
    let told = items.map(|event| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let count = event["series"]["count"].as_i64().unwrap_or(1);
        (
            text(&event["metadata"]["name"]),
            text(&event["reason"]),
            count,
        )
    });
    told.collect()
}

/// How many runs over a Target there were.
fn runs(cluster: &Cluster, target: &str) -> usize {
    let log = cluster.operator.log();
    let begun = log.lines().filter(|line| line.contains("a run begins"));
    begun.filter(|line| line.contains(target)).count()
}

fn names() -> impl Iterator<Item = String> {
    (0..MANY).map(|n| format!("many-{n:04}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_for_a_word_are_ten_events_a_run_and_none_at_rest() {
    let cluster = Cluster::start().await;
    let space = Space::new(&cluster.server, "waiting", "approval: Manual").await;
    space.create_scopes("wso2", names()).await;
    space.run_now().await;
    eventually("all of them wait", async || {
        let count = space.status("target/wso2")["pendingPlan"]["count"].clone();
        if count == MANY {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await;
    let last = format!("scope/many-{:04}", MANY - 1);
    space
        .comes_to_reason(&last, "Stalled", "ApprovalRequired")
        .await;
    let told = eventually("the events", async || {
        let told = events(&space);
        let sums = told
            .iter()
            .filter(|(_, reason, _)| reason == "RunEnded")
            .count();
        if sums > 0 {
            Ok(told)
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    let runs = runs(&cluster, "waiting/wso2");
    let singles = told
        .iter()
        .filter(|(_, reason, _)| reason == "Withheld")
        .count();
    assert!(
        (10..=10 * runs).contains(&singles),
        "{singles} in {runs} runs"
    );
    assert!(told.len() <= 11 * runs, "{told:?}");
    for _ in 0..2 {
        space.run_now().await;
    }
    assert_eq!(events(&space), told);
    assert_eq!(space.systems.writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_a_system_refuses_are_ten_events_a_run_and_all_of_them_are_tried() {
    let cluster = Cluster::start().await;
    let space = Space::new(&cluster.server, "refusing", "interval: 1h").await;
    let refused =
        json!([{ "system": "wso2", "write": true, "fault": { "status": { "code": 400 } } }]);
    space.systems.faults(refused).await;
    space.create_scopes("wso2", names()).await;
    let tried = async || {
        let bodies = space.systems.bodies("POST").await;
        let named = names().filter(|name| {
            let quoted = format!("\"{name}\"");
            bodies.iter().any(|body| body.contains(&quoted))
        });
        named.collect::<BTreeSet<_>>().len()
    };
    eventually("all of them are tried", async || {
        let tried = tried().await;
        if tried == MANY {
            Ok(())
        } else {
            Err(format!("{tried}"))
        }
    })
    .await;
    space
        .comes_to_reason("target/wso2", "Synced", "Failed")
        .await;
    let told = events(&space);
    let runs = runs(&cluster, "refusing/wso2");
    assert!(
        told.len() <= 11 * runs && told.len() >= 11,
        "{} in {runs} runs",
        told.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_removal_is_told_by_its_name() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "farewells", NO_THRESHOLDS).await;
    space.scopes(&["a", "b", "c"]);
    space.wait("scope/c", "Synced");
    let arguments = ["delete", "-n", "farewells", "scope/a", "scope/b"];
    space.server.kubectl(&arguments);
    space.systems.comes_to("wso2", &["c"]).await;
    eventually("an event for each", async || {
        let path = "jsonpath={range .items[?(@.reason==\"Deleted\")]}{.regarding.kind} {.note}{\"\\n\"}{end}";
        let arguments = ["get", "events.events.k8s.io", "-n", "farewells", "-o", path];
        let told = space.server.kubectl(&arguments);
        let mut lines: Vec<&str> = told.lines().collect();
        lines.sort_unstable();
        same(&lines, &["Target a", "Target b"])
    })
    .await;
}
