//! Reading: a head and all that it names, at one moment.
//!
//! Parts and pieces never change, so what a head names is one picture, however long the reading takes. A writer may have
//! replaced the head meanwhile, and deleted what only the old one named: the head is read again then.

use std::time::Duration;

use futures::future::try_join_all;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::super::blobs::{BlobError, BlobKey, Blobs, Version};
use super::super::snapshot::JournalLine;
use super::super::{InventoryError, Snapshot};
use super::codec::unpack;
use super::entries::{Entry, recorded};
use super::head::{Head, identity_of};
use crate::model::LiveIdentity;

/// How long a store may take over one call.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// How often a call is made before it counts as failed.
pub(super) const TRIES: usize = 3;
/// How long the pause before another try is.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// How many parts and pieces are read at once.
const AT_ONCE: usize = 8;
/// How often a head is read anew because something that it names is not there.
const READINGS: usize = 10;

/// A head and what it says.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) version: Version,
    pub(super) snapshot: Snapshot,
}

/// A piece of the journal, as it is stored.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PieceText {
    /// The write that it was made for: no two pieces are the same.
    pub(super) write_id: String,
    pub(super) lines: Vec<JournalLine>,
}

/// Reads a live identity's inventory; `None` where there is none.
///
/// # Errors
/// It is there and cannot be read: never taken for an empty one.
pub(super) async fn inventory(
    blobs: &dyn Blobs,
    key: &BlobKey,
    identity: &LiveIdentity,
) -> Result<Option<Found>, InventoryError> {
    let mut missing = None;
    for reading in 0..READINGS {
        let Some((bytes, version)) = get(blobs, key).await? else {
            return Ok(None);
        };
        let head = Head::read(key, identity, &bytes)?;
        match named(blobs, key, &head).await? {
            Ok(snapshot) => {
                return Ok(Some(Found {
                    head,
                    version,
                    snapshot,
                }));
            }
            Err(gone) => missing = Some(gone),
        }
        if reading > 0 {
            sleep(PAUSE).await;
        }
    }
    let name = missing.unwrap_or_else(|| key.clone()).to_string();
    Err(InventoryError::Unreadable {
        name,
        why: "its head names it, and it is not there".to_owned(),
        source: None,
    })
}

/// Whose inventory a head is; `None` where it is gone by now.
///
/// # Errors
/// It cannot be read, or stands under another one's key.
pub(super) async fn owner(
    blobs: &dyn Blobs,
    key: &BlobKey,
) -> Result<Option<LiveIdentity>, InventoryError> {
    let Some((bytes, _)) = get(blobs, key).await? else {
        return Ok(None);
    };
    let identity = identity_of(key, &bytes)?;
    if BlobKey::head(&identity) == *key {
        return Ok(Some(identity));
    }
    Err(InventoryError::Unreadable {
        name: key.to_string(),
        why: format!("it is that of {identity}, whose name is another"),
        source: None,
    })
}

/// Reads a blob, with some patience.
pub(super) async fn get(
    blobs: &dyn Blobs,
    key: &BlobKey,
) -> Result<Option<(Vec<u8>, Version)>, InventoryError> {
    let mut last = None;
    for reading in 0..TRIES {
        if reading > 0 {
            sleep(PAUSE).await;
        }
        match in_time(blobs.get(key)).await {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(InventoryError::Unreadable {
        name: key.to_string(),
        why: "the store does not give it".to_owned(),
        source: last,
    })
}

/// One call of the store, for so long as it may take.
pub(super) async fn in_time<T>(
    call: impl Future<Output = Result<T, BlobError>>,
) -> Result<T, BlobError> {
    let late = |_| Err(BlobError::new("no answer in time"));
    timeout(CALL, call).await.unwrap_or_else(late)
}

/// Reads all that a head names; in an error's place the key of what is not there.
async fn named(
    blobs: &dyn Blobs,
    key: &BlobKey,
    head: &Head,
) -> Result<Result<Snapshot, BlobKey>, InventoryError> {
    let parts = head.parts.iter();
    let parts = parts.map(|part| (key.part(part.name), part.sha256.clone()));
    let parts: Vec<Vec<Entry>> = match all(blobs, parts.collect()).await? {
        Ok(parts) => parts,
        Err(missing) => return Ok(Err(missing)),
    };
    let pieces = head.pieces.iter();
    let pieces = pieces.map(|piece| (key.piece(piece.name), piece.sha256.clone()));
    let pieces: Vec<PieceText> = match all(blobs, pieces.collect()).await? {
        Ok(pieces) => pieces,
        Err(missing) => return Ok(Err(missing)),
    };
    let parts = parts.into_iter().flatten();
    let entries: Vec<Entry> = head.entries.iter().cloned().chain(parts).collect();
    let lines = pieces.into_iter().flat_map(|piece| piece.lines);
    let lines = lines.chain(head.tail.iter().cloned());
    Ok(Ok(picture(key, head, entries, lines.collect())?))
}

/// What a head, its entries and its journal come to.
fn picture(
    key: &BlobKey,
    head: &Head,
    entries: Vec<Entry>,
    lines: Vec<JournalLine>,
) -> Result<Snapshot, InventoryError> {
    let Some(target) = &head.reached_by else {
        return Ok(Snapshot::default());
    };
    let (mut owned, removals) = recorded(entries);
    let sent = |line: &JournalLine| line.writes();
    let since: u64 = lines.iter().map(sent).sum();
    owned.lineage = Some(head.lineage.clone());
    owned.writes = head.writes.saturating_sub(since);
    let mut snapshot = Snapshot::knowing(&head.identity, target, owned, removals);
    for line in lines {
        if line.identity != head.identity {
            return Err(InventoryError::Foreign {
                name: key.to_string(),
                found: line.identity,
                expected: head.identity.clone(),
            });
        }
        snapshot.take(line);
    }
    Ok(snapshot)
}

/// Reads blobs that never change, each with the hash that it is to have, in their order; in an error's place the key of
/// one that is not there.
async fn all<T: DeserializeOwned>(
    blobs: &dyn Blobs,
    keys: Vec<(BlobKey, String)>,
) -> Result<Result<Vec<T>, BlobKey>, InventoryError> {
    let mut all = Vec::new();
    for some in keys.chunks(AT_ONCE) {
        let each: Vec<_> = some.iter().map(|(key, _)| get(blobs, key)).collect();
        let found = try_join_all(each).await?;
        for ((key, sha256), found) in some.iter().zip(found) {
            let Some((bytes, _)) = found else {
                return Ok(Err(key.clone()));
            };
            let read = unpack(&bytes, sha256).map_err(|why| InventoryError::Unreadable {
                name: key.to_string(),
                why,
                source: None,
            });
            all.push(read?);
        }
    }
    Ok(Ok(all))
}
