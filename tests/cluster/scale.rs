//! Figures at rest and at scale. They take minutes and say numbers, so that they run by hand and on a release build:
//!
//! ```text
//! cargo build --release --locked
//! SCOPEWARD=target/release/scopeward cargo test --locked --test cluster -- --ignored --nocapture --test-threads=1 scale
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::Server;
use crate::support::{Operator, Space, eventually, operators_kubeconfig, told};

/// A Target whose thresholds stop nothing, read every ten seconds.
const EVERY_TEN_SECONDS: &str =
    "interval: 10s, safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }";

fn api(client: &kube::Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("scopeward.dev", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

async fn change(api: &Api<DynamicObject>, name: &str, change: &Value) {
    let params = PatchParams::default();
    let patched = api.patch(name, &params, &Patch::Merge(change)).await;
    patched.expect("it is changed");
}

/// Makes that many Scopes, as fast as the API server takes them.
async fn make_scopes(server: &Server, namespace: &str, count: usize) {
    let scopes = &api(&server.client().await, namespace, "Scope");
    let make = async |n: usize| {
        let scope = json!({
            "apiVersion": "scopeward.dev/v1alpha1",
            "kind": "Scope",
            "metadata": { "name": format!("s{n:05}") },
            "spec": { "targetRefs": [{ "name": "wso2" }], "description": "One of many" },
        });
        let scope = serde_json::from_value(scope).expect("a scope");
        let made = scopes.create(&PostParams::default(), &scope).await;
        made.expect("it is made");
    };
    futures::stream::iter(0..count)
        .for_each_concurrent(16, make)
        .await;
}

/// Waits until that many Scopes of a namespace say that they are live.
async fn are_synced(server: &Server, namespace: &str, count: usize) {
    let scopes = api(&server.client().await, namespace, "Scope");
    let deadline = Instant::now() + Duration::from_mins(15);
    loop {
        let all = scopes.list(&kube::api::ListParams::default()).await;
        let is_synced = |object: &&DynamicObject| {
            let conditions = object.data["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Synced" && condition["status"] == "True")
        };
        let synced = all.expect("a list").items.iter().filter(is_synced).count();
        if synced == count {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{namespace}: {synced} of {count}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What the API server was asked for, by verb, kind and subresource.
fn asked(server: &Server) -> BTreeMap<String, u64> {
    let text = server.kubectl(&["get", "--raw", "/metrics"]);
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let Some(line) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let Some((labels, count)) = line.rsplit_once("} ") else {
            continue;
        };
        let label = |name: &str| {
            let at = labels.find(&format!("{name}=\""))? + name.len() + 2;
            labels[at..].split('"').next()
        };
        let words = ["verb", "resource", "subresource"].map(|name| label(name).unwrap_or_default());
        let count: f64 = count.parse().expect("a number");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of requests"
        )]
        let count = count as u64;
        *all.entry(words.join(" ")).or_default() += count;
    }
    all
}

/// What was asked more often in the second picture than in the first, of what the operator may be.
fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let of_ours = |key: &str| {
        let kinds = [
            "scopes",
            "targets",
            "scopebindings",
            "appscopesets",
            "configmaps",
            "leases",
            "events",
        ];
        kinds.iter().any(|kind| key.contains(kind))
    };
    let grown = after.iter().filter_map(|(key, count)| {
        let grown = count - before.get(key).copied().unwrap_or_default();
        (grown > 0 && of_ours(key)).then(|| (key.clone(), grown))
    });
    grown.collect()
}

/// Seconds of a core that a process has taken, and its resident memory in MiB and at its peak.
fn taken(operator: &Operator) -> (f64, u64, u64) {
    let port = format!("127.0.0.1:{}", operator.port);
    let processes = std::fs::read_dir("/proc").expect("a list of processes");
    let folder = processes.filter_map(Result::ok).map(|entry| entry.path());
    let is_it = |folder: &std::path::PathBuf| {
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(&port) && !line.starts_with("sh\0")
    };
    let folder = folder.into_iter().find(is_it).expect("the process");
    let stat = std::fs::read_to_string(folder.join("stat")).expect("its figures");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks: f64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<f64>().expect("a number"))
        .sum();
    let status = std::fs::read_to_string(folder.join("status")).expect("its figures");
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let word = line.and_then(|line| line.split_whitespace().nth(1));
        word.and_then(|word| word.parse::<u64>().ok())
            .unwrap_or_default()
            / 1024
    };
    (ticks / 100.0, mebibytes("VmRSS"), mebibytes("VmHWM"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes and gives figures: see the head of the file"]
async fn scale_at_rest_ten_thousand_scopes_cost_their_readings_and_nothing_else() {
    const TARGETS: usize = 10;
    const SCOPES: usize = 1_000;
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let operator = Operator::start(&operators_kubeconfig(&server), &[]);
    let mut spaces = Vec::new();
    for n in 0..TARGETS {
        spaces.push(Space::new(&server, &format!("team-{n}"), EVERY_TEN_SECONDS).await);
    }
    let begun = Instant::now();
    for space in &spaces {
        make_scopes(&server, &space.name, SCOPES).await;
    }
    told(&format!("made after {:.1?}", begun.elapsed()));
    for space in &spaces {
        are_synced(&server, &space.name, SCOPES).await;
    }
    told(&format!(
        "all synced after {:.1?}; {:?}",
        begun.elapsed(),
        taken(&operator)
    ));
    for interval in [10, 60] {
        for space in &spaces {
            let kind = api(&server.client().await, &space.name, "Target");
            let patch = json!({ "spec": { "interval": format!("{interval}s") } });
            change(&kind, "wso2", &patch).await;
            space.run_now().await;
        }
        // What the last changes have begun is over.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (before, reads) = (asked(&server), requests(&spaces).await);
        let (cpu, ..) = taken(&operator);
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(5 * interval)).await;
        let (after, cpu_after, resident, peak) = {
            let (cpu, resident, peak) = taken(&operator);
            (asked(&server), cpu, resident, peak)
        };
        let reads = requests(&spaces).await - reads;
        let share = (cpu_after - cpu) / begun.elapsed().as_secs_f64() * 100.0;
        told(&format!(
            "interval {interval} s, five of them: {reads} requests to {TARGETS} systems, {share:.2} % of a core, {resident} MiB resident, {peak} MiB at most"
        ));
        let writes = difference(&before, &after);
        told(&format!("  the API server was asked: {writes:?}"));
        let is_write = |key: &str| {
            key.starts_with("PATCH") || key.starts_with("PUT configmaps") || key.starts_with("POST")
        };
        let written: Vec<_> = writes.iter().filter(|(key, _)| is_write(key)).collect();
        assert!(written.is_empty(), "rest writes nothing: {written:?}");
    }
}

async fn requests(spaces: &[Space<'_>]) -> u64 {
    let mut all = 0;
    for space in spaces {
        all += space.systems.requests().await;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes and gives figures: see the head of the file"]
async fn scale_a_thousand_scopes_in_one_go_are_written_once_each() {
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let operator = Operator::start(&operators_kubeconfig(&server), &[]);
    let space = Space::new(&server, "many", "").await;
    space.wait("target/wso2", "Ready");
    let (writes, requests) = (space.systems.writes().await, space.systems.requests().await);
    let before = asked(&server);
    let begun = Instant::now();
    make_scopes(&server, "many", 1_000).await;
    let streamed = begun.elapsed();
    are_synced(&server, "many", 1_000).await;
    let took = begun.elapsed();
    let writes = space.systems.writes().await - writes;
    let readings = space.systems.requests().await - requests - writes;
    told(&format!(
        "1,000 Scopes in a stream of {streamed:.1?}, all synced after {took:.1?}: {writes} writes, {readings} readings; {:?}",
        taken(&operator)
    ));
    told(&format!(
        "  the API server was asked: {:?}",
        difference(&before, &asked(&server))
    ));
    assert_eq!(writes, 1_000, "each is written once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes and gives figures: see the head of the file"]
async fn scale_an_edit_is_live_within_a_second() {
    let edits: usize = std::env::var("EDITS").map_or(200, |text| text.parse().expect("a number"));
    let server = Server::start().await;
    server.kubectl(&["create", "namespace", "scopeward"]);
    let _operator = Operator::start(&operators_kubeconfig(&server), &[]);
    let space = Space::new(&server, "edits", "").await;
    space.scopes(&["a"]);
    space.systems.comes_to("wso2", &["a"]).await;
    let scopes = api(&server.client().await, "edits", "Scope");
    let mut all = Vec::new();
    for n in 0..edits {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let text = format!("edit {n}");
        let patch = json!({ "spec": { "description": text } });
        let at = Timestamp::now();
        change(&scopes, "a", &patch).await;
        eventually("the edit", async || {
            let scopes = space.systems.scopes("wso2").await;
            match &scopes[0]["description"] {
                Value::String(seen) if *seen == text => Ok(()),
                seen => Err(seen.to_string()),
            }
        })
        .await;
        let log = space.systems.log().await;
        let written = log
            .iter()
            .rev()
            .find(|line| line["method"] == "PUT")
            .expect("a write");
        let written: Timestamp = written["time"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a moment");
        all.push(written.duration_since(at).as_millis());
    }
    all.sort_unstable();
    let at = |share: usize| all[(all.len() - 1) * share / 100];
    told(&format!(
        "{edits} edits, from the patch to the write, in ms: median {}, p90 {}, p99 {}, most {}",
        at(50),
        at(90),
        at(99),
        at(100)
    ));
}
