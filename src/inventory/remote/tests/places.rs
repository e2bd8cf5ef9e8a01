//! What is not to be read is an error, and never an inventory that owns nothing.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::entries::{entries, recorded};
use super::*;
use crate::inventory::memory_blobs::Call;
use crate::model::OpenIntent;

/// A store with an inventory that has parts, and the key of its head.
async fn with_parts() -> (BlobStore, BlobKey) {
    let store = BlobStore::default();
    let run = ledger(&store, "1").with_limits(SMALL);
    for chunk in names(0..20).chunks(10) {
        make(&run, chunk).await.unwrap();
    }
    close(run).await.unwrap();
    assert!(store.keys().len() > 2);
    (store, BlobKey::head(&identity()))
}

/// Why it cannot be read; it is not written over either.
async fn fails(blobs: MemoryBlobs) -> InventoryError {
    let ledger = over(blobs, holder("2"));
    let failed = ledger.owned(&identity()).await.unwrap_err();
    assert!(make_one(&ledger, "a").await.is_err());
    assert!(ledger.claim(&identity(), SECOND).await.is_err());
    failed
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_owns_nothing() {
    let owned = read(&BlobStore::default()).await;
    assert!(!owned.known && owned.scopes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_to_read_is_an_error() {
    let (store, key) = with_parts().await;
    for is_head in [true, false] {
        let key = key.clone();
        let refuses = move |_, of: &BlobKey| ((*of == key) == is_head).then_some(Fault::Refuse);
        let failed = fails(store.troubled(refuses)).await;
        assert!(matches!(failed, InventoryError::Unreadable { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_gone_or_cut_is_an_error() {
    let (store, key) = with_parts().await;
    let part = store.keys().into_iter().find(|of| *of != key).unwrap();
    let bytes = store.bytes(&part).unwrap();
    store.put(&part, bytes[..bytes.len() / 2].to_vec());
    let of_part = |failed: InventoryError| matches!(failed, InventoryError::Unreadable { name, .. } if name == part.as_str());
    assert!(of_part(fails(store.open()).await));
    store.remove(&part);
    assert!(of_part(fails(store.open()).await));
}

#[tokio::test(start_paused = true)]
async fn a_head_of_a_later_format_or_of_another_identity_is_an_error() {
    let (store, key) = with_parts().await;
    let head = store.bytes(&key).unwrap();
    let edit = |field: &str, value: Value| {
        let mut head: Value = serde_json::from_slice(&head).unwrap();
        head[field] = value;
        store.put(&key, head.to_string().into_bytes());
    };
    edit("leastReader", json!(2));
    let failed = fails(store.open()).await;
    assert!(matches!(failed, InventoryError::Newer { .. }));
    edit("identity", json!("another"));
    let failed = fails(store.open()).await;
    assert!(matches!(failed, InventoryError::Foreign { .. }));
    let all = ledger(&store, "2").load_all().await;
    assert!(matches!(all, Err(InventoryError::Unreadable { .. })));
    edit("parts", json!("nonsense"));
    let failed = fails(store.open()).await;
    assert!(matches!(failed, InventoryError::Unreadable { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_a_later_version_wrote_beside_the_rest_is_carried_along() {
    let (store, key) = with_parts().await;
    let head = || -> Value { serde_json::from_slice(&store.bytes(&key).unwrap()).unwrap() };
    let mut edited = head();
    edited["later"] = json!(7);
    store.put(&key, edited.to_string().into_bytes());
    let run = ledger(&store, "2");
    make_one(&run, "a").await.unwrap();
    close(run).await.unwrap();
    assert_eq!(head()["later"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_misses_a_part_because_others_fold_reads_the_head_again() {
    let (store, key) = with_parts().await;
    let older = store.bytes(&key).unwrap();
    let parts = store.keys();
    let run = ledger(&store, "2").with_limits(SMALL);
    for n in 0..20 {
        make_one(&run, &format!("scope:{n:05}:")).await.unwrap();
    }
    close(run).await.unwrap();
    let newer = store.bytes(&key).unwrap();
    let after = store.keys();
    assert!(parts.iter().any(|part| !after.contains(part)), "{after:?}");
    // It has read the head when others replace that, and a part is gone when it comes to it.
    store.put(&key, older);
    let (late, mut reads) = (store.clone(), 0);
    let replaces = move |call, of: &BlobKey| {
        if call == Call::Get && *of != key && reads == 0 {
            reads += 1;
            late.put(&key, newer.clone());
        }
        None
    };
    let reader = over(store.troubled(replaces), holder("3"));
    let owned = reader.owned(&identity()).await.unwrap();
    assert_eq!(owned.scopes.len(), 40);
}

#[test]
fn entries_come_back_as_they_were() {
    let mut owned = Owned::default();
    for name in ["b", "a", "ä"] {
        owned.record(made(name));
    }
    let now = Timestamp::now();
    for name in ["y", "x", "y"] {
        owned.record(Record::Intent(OpenIntent {
            at: now,
            intent: making(name).intent.unwrap(),
            removals: vec![removal()],
        }));
    }
    let removals = Removals(vec![removal(), removal()]);
    let all = entries(&owned, &removals, now);
    assert_eq!(recorded(all.into_values().collect()), (owned, removals));
}
