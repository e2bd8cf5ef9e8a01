//! The files on the disk, as kills and people leave them.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::model::{Counted, Origin, OwnedScope, Removal, ScopeName, SourceFile};

fn identity() -> LiveIdentity {
    LiveIdentity::new("oneLogin https://example.com 1")
}

fn target() -> TargetId {
    TargetId {
        namespace: "iam".to_owned(),
        name: "onelogin".to_owned(),
    }
}

fn made(name: &str) -> Record {
    Record::Scope {
        name: ScopeName::observed(name),
        entry: OwnedScope {
            origin: Origin::Created,
            remote_id: None,
            source: SourceFile::new("a.yaml"),
            deletion_policy: crate::model::DeletionPolicy::default(),
            protected: false,
            applied: crate::model::Applied::default(),
            hold_until: None,
            renamed_from: std::collections::BTreeSet::new(),
            parked_for: None,
            vanished_at: None,
        },
        replaces: None,
    }
}

fn removal() -> PastRemoval {
    PastRemoval {
        at: Timestamp::now(),
        removal: Removal {
            counted: Counted::Scopes,
            holder: None,
            count: 1,
        },
    }
}

fn names(path: &Path) -> Vec<String> {
    let snapshot = Snapshot::read(path).unwrap();
    let owned = snapshot.owned(&identity());
    owned.scopes.keys().map(ToString::to_string).collect()
}

async fn record(inventory: &Inventory, name: &str) {
    inventory
        .record(&identity(), &target(), [made(name)])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_last_line_that_was_cut_in_a_character_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = Inventory::open(&path, "a test").unwrap();
    record(&inventory, "a").await;
    record(&inventory, "für").await;
    drop(inventory);
    let journal = folder.path().join("inventory.json.journal");
    let bytes = fs::read(&journal).unwrap();
    let cut = bytes.iter().position(|byte| *byte == 0xC3).unwrap() + 1;
    fs::write(&journal, &bytes[..cut]).unwrap();
    assert_eq!(names(&path), ["a"]);
    Inventory::open(&path, "the next").unwrap().close().unwrap();
    assert_eq!(names(&path), ["a"]);
}

#[tokio::test]
async fn what_is_recorded_together_is_kept_or_lost_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.json");
    let inventory = Inventory::open(&path, "a test").unwrap();
    let both = [made("a"), made("b")];
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
    let inventory = Inventory::open(&path, "a test").unwrap();
    let sending = |name: &str| Sending {
        intent: None,
        removals: vec![removal()],
        entry: json!({ "object": name, "outcome": "unknown" }),
    };
    let mut numbers = Vec::new();
    for name in ["a", "b", "c"] {
        let sent = inventory
            .sending(&identity(), &target(), sending(name))
            .await;
        numbers.push(sent.unwrap());
    }
    let refused = Answered {
        records: Vec::new(),
        not_removed: inventory.snapshot().await.removals(&identity()).0[1..2].to_vec(),
        entry: json!({ "object": "b", "outcome": "failed" }),
    };
    let answered = inventory
        .answered(&identity(), &target(), numbers[1], refused)
        .await;
    answered.unwrap();
    drop(inventory);
    assert_eq!(
        Snapshot::read(&path).unwrap().removals(&identity()).0.len(),
        2
    );
    let audit = || fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(audit().lines().count(), 1);
    Inventory::open(&path, "the next").unwrap().close().unwrap();
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
    Inventory::open(&path, "once more")
        .unwrap()
        .close()
        .unwrap();
    assert_eq!(audit().lines().count(), 3);
    assert_eq!(
        Snapshot::read(&path).unwrap().removals(&identity()).0.len(),
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
        Inventory::open(&path, "a test"),
        Err(InventoryError::Read { .. })
    ));
    Inventory::open(&shared, "a test").unwrap().close().unwrap();
    fs::write(
        &shared,
        r#"{"formatVersion":"1.0","generation":1,"identities":{}}"#,
    )
    .unwrap();
    let inventory = Inventory::open(&path, "a test").unwrap();
    record(&inventory, "a").await;
    assert!(matches!(
        Inventory::open(&shared, "another"),
        Err(InventoryError::Locked { .. })
    ));
    inventory.close().unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(names(&shared), ["a"]);
}
