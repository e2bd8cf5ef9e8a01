//! One live identity's inventory as a run has it in memory, and the one way in which its head is replaced.
//!
//! ```text
//! attempt --replace--> done                      45 s of the right to write, from when the first try began
//!    |        |
//!    |     no answer, or an error  --read-->  our write id         done
//!    |                                        the expected one     not written: the same bytes are tried again
//!    |                                        another one          conflict: load again
//!    +--------------------------------------  it cannot be read    in doubt: the same bytes come first next time
//! ```
//!
//! A write that seemed lost may still arrive. It is harmless as long as nothing else is tried against the same version,
//! which is why an attempt in doubt is always tried again as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::super::blobs::{BlobKey, Blobs, Version};
use super::super::fence::{FenceKeeper, Moment};
use super::super::snapshot::JournalLine;
use super::super::{InventoryError, Snapshot, WriteNumber};
use super::head::Head;
use super::read::{self, Found, PAUSE, TRIES, in_time};
use super::{Audit, Holder, Limits, RemoteLedger};
use crate::model::{LiveIdentity, Owned};

/// For how long a holder may send after its last confirmed write of the head began. A taker waits for longer than that.
pub(super) const RIGHT: Duration = Duration::from_secs(45);

/// One live identity's inventory.
pub(super) struct Place {
    pub(super) identity: LiveIdentity,
    pub(super) key: BlobKey,
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) me: Holder,
    pub(super) audit: Audit,
    pub(super) limits: Limits,
    pub(super) fence: FenceKeeper,
    pub(super) state: Mutex<State>,
}

/// What is known of it.
#[derive(Default)]
pub(super) struct State {
    pub(super) loaded: Option<Loaded>,
    /// A claim of somebody else: the write of the head that it was last seen in, and since when that stands.
    pub(super) seen: Option<(String, Instant)>,
    /// Whether somebody renews the claim in the background.
    pub(super) is_renewing: bool,
    /// The number of the next write.
    pub(super) numbers: u64,
}

/// What the store said last, and what happened since.
pub(super) struct Loaded {
    pub(super) head: Head,
    /// None while there is no head in the store.
    pub(super) version: Option<Version>,
    /// What is recorded, what is not kept yet included.
    pub(super) snapshot: Snapshot,
    /// Lines of the audit log that a killed run did not live to write.
    pub(super) owed: BTreeMap<WriteNumber, serde_json::Value>,
    /// What the next write of the head keeps.
    pub(super) unkept: Vec<JournalLine>,
    /// Whether the claim is ours, as far as the last confirmed write goes.
    pub(super) is_held: bool,
    /// When the last confirmed write began.
    pub(super) confirmed: Instant,
    /// Whether something could not be kept: what is here is not what the store has, and nothing may follow.
    pub(super) is_broken: bool,
    doubt: Option<Attempt>,
}

/// A write of the head that has begun.
#[derive(Clone)]
struct Attempt {
    head: Head,
    expected: Option<Version>,
    began: Moment,
    began_at: Instant,
}

impl Loaded {
    pub(super) fn of(identity: &LiveIdentity, found: Option<Found>) -> Self {
        let (head, version, snapshot) = match found {
            Some(found) => (found.head, Some(found.version), found.snapshot),
            None => (Head::new(identity), None, Snapshot::default()),
        };
        Self {
            head,
            version,
            owed: snapshot.unanswered.clone(),
            snapshot,
            unkept: Vec::new(),
            is_held: false,
            confirmed: Instant::now(),
            is_broken: false,
            doubt: None,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut known = self.snapshot.clone();
        known.lineage = Some(self.head.lineage.clone());
        // What is not recorded yet has no lineage either.
        let mut snapshot = Snapshot::default();
        snapshot.join(known);
        snapshot
    }

    /// Takes something that happened; the next write of the head keeps it.
    pub(super) fn remember(&mut self, line: JournalLine) {
        self.snapshot.take(line.clone());
        match self.unkept.last_mut() {
            Some(last) if last.target == line.target => last.steps.extend(line.steps),
            _ => self.unkept.push(line),
        }
    }
}

impl State {
    pub(super) fn put(&mut self, loaded: Loaded) -> &mut Loaded {
        let open = loaded.snapshot.unanswered.keys().next_back();
        self.numbers = self.numbers.max(open.map_or(0, |last| last.next()));
        self.loaded.insert(loaded)
    }
}

impl Place {
    pub(super) fn new(identity: &LiveIdentity, ledger: &RemoteLedger) -> Self {
        Self {
            identity: identity.clone(),
            key: BlobKey::head(identity),
            blobs: Arc::clone(&ledger.blobs),
            me: ledger.me.clone(),
            audit: Arc::clone(&ledger.audit),
            limits: ledger.limits,
            fence: FenceKeeper::default(),
            state: Mutex::default(),
        }
    }

    /// Reads it, unless it is held: nobody else wrote then. What was learned and never kept is dropped where others wrote.
    pub(super) async fn load(&self) -> Result<(), InventoryError> {
        let mut state = self.state.lock().await;
        let is_ours = |loaded: &Loaded| loaded.is_held && !loaded.is_broken;
        if state.loaded.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        let found = read::inventory(self.blobs.as_ref(), &self.key, &self.identity).await?;
        let write_id = found.as_ref().map(|found| &found.head.write_id);
        let is_same = |loaded: &Loaded| {
            let known = loaded.version.as_ref().map(|_| &loaded.head.write_id);
            !loaded.is_broken && known == write_id
        };
        if !state.loaded.as_ref().is_some_and(is_same) {
            state.put(Loaded::of(&self.identity, found));
        }
        Ok(())
    }

    /// What was read before, or is read now.
    pub(super) async fn loaded<'s>(
        &self,
        state: &'s mut State,
    ) -> Result<&'s mut Loaded, InventoryError> {
        if state.loaded.is_none() {
            let found = read::inventory(self.blobs.as_ref(), &self.key, &self.identity).await?;
            state.put(Loaded::of(&self.identity, found));
        }
        let loaded = state.loaded.as_mut().expect("it was put there");
        if loaded.is_broken {
            return Err(self.unsettled());
        }
        Ok(loaded)
    }

    pub(super) async fn owned(&self) -> Result<Owned, InventoryError> {
        let mut state = self.state.lock().await;
        if state.loaded.is_none() {
            self.loaded(&mut state).await?;
        }
        let loaded = state.loaded.as_ref().expect("it was read");
        Ok(loaded.snapshot().owned(&self.identity))
    }

    /// What is recorded, if it was read.
    pub(super) async fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state.lock().await;
        state.loaded.as_ref().map(Loaded::snapshot)
    }

    /// Replaces the head. The caller marks what is broken should it not come back.
    ///
    /// # Errors
    /// Somebody else wrote; or it is not written, or in doubt.
    pub(super) async fn swap(&self, loaded: &mut Loaded, head: Head) -> Result<(), InventoryError> {
        let attempt = Attempt {
            head,
            expected: loaded.version.clone(),
            began: Moment::now(),
            began_at: Instant::now(),
        };
        self.drive(loaded, attempt).await
    }

    /// Brings an attempt in doubt to its end, if there is one.
    pub(super) async fn settle(&self, loaded: &mut Loaded) -> Result<(), InventoryError> {
        match loaded.doubt.clone() {
            Some(attempt) => self.drive(loaded, attempt).await,
            None => Ok(()),
        }
    }

    async fn drive(&self, loaded: &mut Loaded, attempt: Attempt) -> Result<(), InventoryError> {
        // Should the caller go away in the midst of it, nobody knows.
        loaded.doubt = Some(attempt.clone());
        let bytes = attempt.head.bytes();
        let mut last = None;
        for attempted in 0..TRIES {
            if attempted > 0 {
                sleep(PAUSE).await;
            }
            let blobs = self.blobs.as_ref();
            let written = match &attempt.expected {
                Some(version) => in_time(blobs.replace(&self.key, &bytes, version)).await,
                None => in_time(blobs.create(&self.key, &bytes)).await,
            };
            let error = match written {
                Ok(version) => {
                    self.confirm(loaded, attempt, version);
                    return Ok(());
                }
                Err(error) => error,
            };
            let found = read::get(blobs, &self.key).await?;
            let write_id = |bytes: &[u8]| {
                let head = Head::read(&self.key, &self.identity, bytes);
                head.map(|head| head.write_id)
            };
            match (found, &attempt.expected) {
                (None, None) => {}
                (Some((_, version)), Some(expected)) if version == *expected => {}
                (Some((bytes, version)), _) if write_id(&bytes)? == attempt.head.write_id => {
                    self.confirm(loaded, attempt, version);
                    return Ok(());
                }
                _ => {
                    loaded.doubt = None;
                    loaded.is_held = false;
                    loaded.is_broken = true;
                    self.fence.close();
                    return Err(self.conflict());
                }
            }
            last = Some(error);
        }
        Err(InventoryError::Unwritable {
            name: self.key.to_string(),
            source: last,
        })
    }

    fn confirm(&self, loaded: &mut Loaded, attempt: Attempt, version: Version) {
        let claim = attempt.head.claim.as_ref();
        loaded.is_held = claim.is_some_and(|claim| self.me.is(claim));
        loaded.confirmed = attempt.began_at;
        loaded.head = attempt.head;
        loaded.version = Some(version);
        loaded.doubt = None;
        if loaded.is_held {
            self.fence.hold_until(attempt.began.plus(RIGHT));
        } else {
            self.fence.close();
        }
    }

    fn conflict(&self) -> InventoryError {
        InventoryError::Conflict {
            name: self.key.to_string(),
        }
    }

    fn unsettled(&self) -> InventoryError {
        InventoryError::Unsettled {
            name: self.key.to_string(),
        }
    }
}
