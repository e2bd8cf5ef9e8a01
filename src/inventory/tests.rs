//! The files on the disk, as kills and people leave them.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::memory::{Keeps, MemoryStore};
use super::*;
use crate::model::{Counted, Origin, OwnedScope, Removal, Removals, ScopeName, SourceFile};

pub(super) fn identity() -> LiveIdentity {
    LiveIdentity::new("oneLogin https://example.com 1")
}

pub(super) fn target() -> TargetId {
    TargetId {
        namespace: "iam".to_owned(),
        name: "onelogin".to_owned(),
    }
}

pub(super) fn made(name: &str) -> Record {
    Record::Scope {
        name: ScopeName::observed(name),
        entry: OwnedScope {
            origin: Origin::Created,
            remote_id: None,
            source: SourceFile::new("a.yaml").into(),
            deletion_policy: crate::model::DeletionPolicy::default(),
            protected: false,
            applied: crate::model::LastApplied::default(),
            hold_until: None,
            renamed_from: std::collections::BTreeSet::new(),
            parked_for: None,
            vanished_at: None,
            wanted_by: None,
        },
        replaces: None,
    }
}

pub(super) fn removal() -> PastRemoval {
    PastRemoval {
        at: Timestamp::now(),
        removal: Removal {
            counted: Counted::Scopes,
            holder: None,
            namespaces: std::collections::BTreeSet::new(),
            count: 1,
        },
    }
}

fn names(path: &Path) -> Vec<String> {
    let snapshot = Snapshot::read(path).unwrap();
    let owned = snapshot.owned(&identity());
    owned.scopes.keys().map(ToString::to_string).collect()
}

fn open(path: &Path) -> FileLedger {
    FileLedger::open(path, "a test").unwrap()
}

async fn close(ledger: FileLedger) {
    Box::new(ledger).close().await.unwrap();
}

/// A write of that name.
pub(super) fn sending(name: &str, removals: Vec<PastRemoval>) -> Sending {
    Sending {
        at: Timestamp::now(),
        intent: None,
        removals,
        entry: json!({ "object": name, "outcome": "unknown" }),
    }
}

/// Prepares a write, and says that it is done.
pub(super) async fn write(ledger: &dyn Ledger, sending: Sending, records: Vec<Record>) {
    let (identity, target) = (identity(), target());
    let entry = json!({ "object": sending.entry["object"] });
    let numbers = ledger.prepare(&identity, &target, vec![sending]).await;
    let answered = Answered {
        records,
        not_removed: Vec::new(),
        entry: Some(entry),
    };
    let answered = ledger.answered(&identity, &target, numbers.unwrap()[0], answered);
    answered.await.unwrap();
}

async fn record(inventory: &dyn Ledger, name: &str) {
    inventory
        .record(&identity(), &target(), vec![made(name)])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_last_line_that_was_cut_in_a_character_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = open(&path);
    record(&inventory, "a").await;
    record(&inventory, "für").await;
    drop(inventory);
    let journal = folder.path().join("inventory.json.journal");
    let bytes = fs::read(&journal).unwrap();
    let cut = bytes.iter().position(|byte| *byte == 0xC3).unwrap() + 1;
    fs::write(&journal, &bytes[..cut]).unwrap();
    assert_eq!(names(&path), ["a"]);
    close(open(&path)).await;
    assert_eq!(names(&path), ["a"]);
}

#[tokio::test]
async fn what_is_recorded_together_is_kept_or_lost_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = open(&path);
    let both = vec![made("a"), made("b")];
    inventory
        .record(&identity(), &target(), both)
        .await
        .unwrap();
    drop(inventory);
    let journal = folder.path().join("inventory.json.journal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 2]).unwrap();
    assert_eq!(names(&path), [""; 0]);
}

#[tokio::test]
async fn a_write_without_an_answer_counts_its_removals_and_is_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = open(&path);
    let writes = ["a", "b", "c"].map(|name| sending(name, vec![removal()]));
    let (identity, target) = (identity(), target());
    let numbers = inventory.prepare(&identity, &target, writes.into());
    let numbers = numbers.await.unwrap();
    let refused = Answered {
        records: Vec::new(),
        not_removed: inventory.snapshot().await.removals(&identity).0[1..2].to_vec(),
        entry: Some(json!({ "object": "b", "outcome": "failed" })),
    };
    let answered = inventory
        .answered(&identity, &target, numbers[1], refused)
        .await;
    answered.unwrap();
    drop(inventory);
    assert_eq!(
        Snapshot::read(&path).unwrap().removals(&identity).0.len(),
        2
    );
    let audit = || fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(audit().lines().count(), 1);
    close(open(&path)).await;
    let lines = audit();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"object":"b","outcome":"failed"}"#,
            r#"{"object":"a","outcome":"unknown"}"#,
            r#"{"object":"c","outcome":"unknown"}"#,
        ]
    );
    close(open(&path)).await;
    assert_eq!(audit().lines().count(), 3);
    assert_eq!(
        Snapshot::read(&path).unwrap().removals(&identity).0.len(),
        2
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_followed_and_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared.json");
    let path = folder.path().join("inventory.json");
    std::os::unix::fs::symlink(&shared, &path).unwrap();
    // What it leads to may be away for now: that is no empty inventory.
    assert!(matches!(
        FileLedger::open(&path, "a test"),
        Err(InventoryError::Read { .. })
    ));
    close(open(&shared)).await;
    fs::write(
        &shared,
        r#"{"formatVersion":"1.0","generation":1,"identities":{}}"#,
    )
    .unwrap();
    let inventory = open(&path);
    record(&inventory, "a").await;
    assert!(matches!(
        FileLedger::open(&shared, "another"),
        Err(InventoryError::Locked { .. })
    ));
    close(inventory).await;
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(names(&shared), ["a"]);
}

#[tokio::test]
async fn half_a_line_that_a_full_disk_left_in_the_audit_log_breaks_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let log = folder.path().join("audit.jsonl");
    let long = "x".repeat(9000);
    for (found, kept) in [
        (
            format!("{{\"object\":\"a\"}}\n{{\"object\":\"{long}"),
            "{\"object\":\"a\"}\n",
        ),
        (format!("{{\"object\":\"{long}"), ""),
        ("{\"object\":\"a\"}\n".to_owned(), "{\"object\":\"a\"}\n"),
        (String::new(), ""),
    ] {
        fs::write(&log, found).unwrap();
        let inventory = open(&path);
        write(&inventory, sending("b", Vec::new()), Vec::new()).await;
        close(inventory).await;
        let expected = format!("{kept}{{\"object\":\"b\"}}\n");
        assert_eq!(fs::read_to_string(&log).unwrap(), expected);
    }
}

#[tokio::test]
async fn an_inventory_has_one_lineage_from_its_first_step_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let lineage = || Snapshot::read(&path).unwrap().owned(&identity()).lineage;
    let inventory = open(&path);
    // A plan that is made before anything is kept is that of an inventory that is not there.
    assert_eq!(inventory.owned(&identity()).await.unwrap().lineage, None);
    record(&inventory, "a").await;
    let made = inventory.owned(&identity()).await.unwrap().lineage;
    assert!(made.is_some());
    // A run that was killed leaves it in its journal.
    drop(inventory);
    assert_eq!(lineage(), made);
    close(open(&path)).await;
    let inventory = open(&path);
    record(&inventory, "b").await;
    close(inventory).await;
    assert_eq!(lineage(), made);
    let other = folder.path().join("other.json");
    let inventory = open(&other);
    record(&inventory, "a").await;
    let another = inventory.owned(&identity()).await.unwrap().lineage;
    assert!(another.is_some() && another != made);
}

#[tokio::test]
async fn removals_are_remembered_for_longer_than_any_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = open(&path);
    let past = |days: i64| PastRemoval {
        at: Timestamp::now() - jiff::SignedDuration::from_hours(days * 24),
        ..removal()
    };
    write(
        &inventory,
        sending("a", vec![past(98), past(101)]),
        Vec::new(),
    )
    .await;
    close(inventory).await;
    let kept = Snapshot::read(&path).unwrap().removals(&identity());
    assert_eq!(kept.0.len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_kept_later_is_lost_by_a_kill_and_its_intent_is_not() {
    let scope = |ledger: &Snapshot| ledger.owned(&identity()).scopes.len();
    for (keeps, known) in [(Keeps::EachStep, 1), (Keeps::AnswersLater, 0)] {
        let (owned, removals) = (Owned::default(), Removals::default());
        let store = MemoryStore::knowing(keeps, &identity(), &target(), owned, removals);
        let ledger = store.open();
        write(&ledger, sending("a", vec![removal()]), vec![made("a")]).await;
        drop(ledger);
        assert_eq!(scope(&store.snapshot()), known);
        assert_eq!(store.audit().len(), 1);
        assert_eq!(store.snapshot().removals(&identity()).0.len(), 1);
    }
    let store = MemoryStore::new(Keeps::AnswersLater);
    store.fail_after(1, true);
    let ledger = store.open();
    record(&ledger, "a").await;
    let failed = ledger.record(&identity(), &target(), vec![made("b")]).await;
    assert!(failed.is_err());
    let failed = ledger.record(&identity(), &target(), vec![made("c")]).await;
    assert!(failed.is_err());
    assert_eq!(scope(&store.snapshot()), 2);
}
