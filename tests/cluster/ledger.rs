//! What ownership costs in writes, what a kill between two of them leaves, and who else may write.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::proxy::{Apart, Asked, Verdict};
use crate::server::Server;
use crate::support::{Cluster, NO_THRESHOLDS, Space, eventually, eventually_within, same, told};

/// Waits until so many scopes are live, and the Target says that all is as declared.
async fn settles(space: &Space<'_>, count: usize) {
    eventually_within(Duration::from_mins(3), "the live scopes", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen == count {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    space
        .comes_to_reason("target/wso2", "Synced", "Synced")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_cost_few_writes_of_the_inventory_an_edit_three_and_rest_none() {
    let apart = Apart::start().await;
    let space = Space::new(&apart.server, "many", "suspend: true").await;
    let kept = || apart.proxy.count(Asked::keeps_inventory);
    let names: Vec<String> = (0..1000).map(|n| format!("s{n:04}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    for some in all.chunks(250) {
        space.scopes(some);
    }
    let suspended = kept();
    space.target("");
    settles(&space, 1000).await;
    let (thousand, statuses) = (
        kept(),
        apart
            .proxy
            .count(|asked| asked.is_write() && asked.is_of("scopes")),
    );
    space
        .server
        .apply(&space.scope("s0000", "bindings: [support]"));
    eventually("the edit", async || {
        let scopes = space.systems.scopes("wso2").await;
        let is_live = scopes
            .iter()
            .any(|scope| scope["bindings"] == json!(["support"]));
        if is_live {
            Ok(())
        } else {
            Err("not live".to_owned())
        }
    })
    .await;
    space.wait("scope/s0000", "Synced");
    space.run_now().await;
    let edit = kept();
    space.run_now().await;
    space.run_now().await;
    let rest = kept();
    let (thousand, edit, rest) = (thousand - suspended, edit - thousand, rest - edit);
    told(&format!(
        "writes of the inventory: {thousand} for 1000 changes, {edit} for an edit, {rest} at rest; {statuses} writes of statuses"
    ));
    assert!(
        (1..=60).contains(&thousand),
        "{thousand} writes for 1000 changes"
    );
    assert!((1..=3).contains(&edit), "{edit} writes for an edit");
    assert_eq!((suspended, rest), (0, 0));
}

/// Takes the lease from a process that was killed, so that the next one need not wait until it is over.
fn frees_the_lease(server: &Server) {
    let free = json!({ "spec": { "holderIdentity": "" } }).to_string();
    server.kubectl(&[
        "patch",
        "lease",
        "scopeward",
        "-n",
        "scopeward",
        "--type=merge",
        "-p",
        &free,
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_be_killed_between_any_two_writes_of_the_inventory() {
    let Apart {
        mut operator,
        proxy,
        server,
    } = Apart::start().await;
    let mut writes = 0;
    loop {
        let space = Space::new(&server, &format!("killed-{writes}"), NO_THRESHOLDS).await;
        space.scopes(&["changed", "gone"]);
        space.wait("scope/changed", "Synced");
        space.wait("scope/gone", "Synced");
        space
            .comes_to_reason("target/wso2", "Synced", "Synced")
            .await;
        // So many pass, and whoever comes next is held.
        let passed = AtomicUsize::new(0);
        proxy.rule(move |asked| {
            let is_held =
                asked.keeps_inventory() && passed.fetch_add(1, Ordering::SeqCst) >= writes;
            if is_held {
                Verdict::Hold
            } else {
                Verdict::Pass
            }
        });
        let held = || proxy.count(|asked| asked.keeps_inventory() && asked.status.is_none());
        let held_before = held();
        let mut all: String = ["a", "b", "c", "d", "e", "f"]
            .map(|name| space.scope(name, ""))
            .concat();
        all.push_str(&space.scope("changed", "bindings: [support]"));
        server.apply(&all);
        space.delete("scope/gone");
        let wanted = ["a", "b", "c", "d", "e", "f", "changed"];
        let mut wanted = wanted.map(str::to_owned);
        wanted.sort();
        let is_held = eventually("a write that is held, or the end", async || {
            let is_over = same(&space.systems.names("wso2").await, &wanted).is_ok()
                && space.reason("target/wso2", "Synced") == "Synced";
            match (held() > held_before, is_over) {
                (true, _) => Ok(true),
                (false, true) => Ok(false),
                _ => Err(space.yaml("target/wso2")),
            }
        })
        .await;
        if is_held {
            operator.kill();
            frees_the_lease(&server);
        }
        proxy.pass();
        if is_held {
            operator.go_on();
        }
        goes_to_the_end(&space, &wanted).await;
        if !is_held {
            break;
        }
        writes += 1;
        assert!(writes < 30, "it does not come to an end");
    }
    told(&format!("killed between {writes} writes of the inventory"));
    assert!(writes >= 4, "{writes} writes");
}

/// Waits until all is as declared, and makes sure that nothing was made twice and that all of it is ours.
async fn goes_to_the_end(space: &Space<'_>, wanted: &[String]) {
    eventually("as declared", async || {
        same(&space.systems.names("wso2").await, wanted)?;
        let scopes = space.systems.scopes("wso2").await;
        let changed = scopes.iter().find(|scope| scope["name"] == "changed");
        let roles = changed.expect("it is there")["bindings"].clone();
        if roles == json!(["support"]) {
            Ok(())
        } else {
            Err(roles.to_string())
        }
    })
    .await;
    space
        .comes_to_reason("target/wso2", "Synced", "Synced")
        .await;
    let made = space.systems.made().await;
    assert!(made.values().all(|times| *times == 1), "{made:?}");
    space.empties().await;
}

/// A repository of manifests for the command line, with the Target of a namespace.
struct Repository<'a> {
    folder: TempDir,
    space: &'a Space<'a>,
}

impl<'a> Repository<'a> {
    fn new(space: &'a Space<'a>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = Self { folder, space };
        repository.file(
            ".git/config",
            "[remote \"origin\"]\n\turl = https://git.example.com/iam/scopes.git\n",
        );
        let (namespace, url) = (&space.name, &space.systems.url);
        repository.file("target.yaml", &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: wso2, namespace: {namespace} }}\n\
             stringData: {{ username: admin, password: ws02Secret, url: \"{url}/@wso2\" }}\n---\n\
             apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: wso2, namespace: {namespace} }}\n\
             spec: {{ wso2: {{ url: \"{url}/@wso2\", api: ScopeRegistration }}, credentialsRef: {{ name: wso2 }} }}\n"
        ));
        repository
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        let folder = path.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Has these Scopes and no others.
    fn scopes(&self, names: &[&str]) {
        let all: String = names
            .iter()
            .map(|name| self.space.scope(name, ""))
            .collect();
        self.file("scopes.yaml", &all);
    }

    /// Runs `scopeward sync` over it, with the operator's inventory.
    fn sync(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_scopeward"))
            .args(["sync", ".", "--yes", "--inventory", "cluster:scopeward"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("KUBECONFIG", self.space.server.admin())
            .output()
            .expect("it starts")
    }
}

/// What a run of the command line said, which has to have ended like this.
fn said(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_operator_take_turns_on_one_inventory() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "turns", NO_THRESHOLDS).await;
    space.wait("target/wso2", "Ready");
    let repository = Repository::new(&space);
    repository.scopes(&["file-a", "file-b"]);
    said(&repository.sync(&["--new-inventory"]), 0);
    space.systems.comes_to("wso2", &["file-a", "file-b"]).await;

    space.scopes(&["cluster-a", "cluster-b"]);
    space.wait("scope/cluster-b", "Synced");
    let all = ["cluster-a", "cluster-b", "file-a", "file-b"];
    space.systems.comes_to("wso2", &all).await;

    repository.scopes(&["file-b", "file-c"]);
    said(&repository.sync(&[]), 0);
    let all = ["cluster-a", "cluster-b", "file-b", "file-c"];
    assert_eq!(space.systems.names("wso2").await, all);

    space.scopes(&["cluster-c"]);
    space.delete("scope/cluster-a");
    let all = ["cluster-b", "cluster-c", "file-b", "file-c"];
    space.systems.comes_to("wso2", &all).await;
    space.wait("scope/cluster-c", "Synced");
    // Nobody takes what the other one has.
    repository.scopes(&["file-b", "cluster-b"]);
    let refused = said(&repository.sync(&[]), 5);
    assert!(refused.contains("cluster-b"), "{refused}");
    let all = ["cluster-b", "cluster-c", "file-b"];
    assert_eq!(space.systems.names("wso2").await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_waits_for_the_operators_run_or_is_told_whose_it_is() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "waits", "limits: { maxInFlight: 1 }").await;
    space.scopes(&["first"]);
    space.wait("scope/first", "Synced");
    let repository = Repository::new(&space);
    repository.scopes(&["of-a-file"]);
    space.systems.slow(400).await;
    let names: Vec<String> = (0..50).map(|n| format!("s{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    space.scopes(&names);
    eventually("the middle of a run", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen > 5 {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    let arguments = [
        "get",
        "lease",
        "scopeward",
        "-n",
        "scopeward",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    let leader = cluster.server.kubectl(&arguments);
    assert!(!leader.is_empty());
    let refused = said(&repository.sync(&["--wait-for-lock", "0s"]), 1);
    assert!(
        refused.contains(&leader),
        "{leader} is not named: {refused}"
    );
    assert!(refused.contains("force-unlock"), "{refused}");
    let waited = said(&repository.sync(&["--wait-for-lock", "5m"]), 0);
    assert!(waited.contains("waiting"), "{waited}");
    let seen = space.systems.names("wso2").await;
    assert_eq!(seen.len(), names.len() + 2, "{seen:?}");
}
