//! An inventory in a store of blobs: an object store, `ConfigMaps`, memory. One ledger over the [`Blobs`] of any of them.
//!
//! ```text
//! head                 the one blob that changes, by compare-and-swap; one a live identity       head.rs
//!   claim              who may write                                                             claim.rs
//!   entries | parts    what is recorded: in the head while it fits                               entries.rs
//!   pieces, tail       what happened since                                                       journal.rs
//! ```
//!
//! All that a head names never changes, so that a head is a picture of one moment (`read.rs`), and each write of a head
//! moves the inventory from one picture to the next (`place.rs`). What is about to be sent is kept by such a write, which
//! also proves that the claim stands: a holder sends only for a while after the last one, and a taker waits for longer
//! (`claim.rs`). Answers are kept with the next write; a kill in between leaves intents open, and the next run looks what
//! came of them.
//!
//! A thousand changes cost some fifty writes of blobs, one edit two or three, a run without changes none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use super::blobs::Blobs;
use super::fence::Fence;
use super::{Answered, InventoryError, Ledger, Sending, Snapshot, WriteNumber};
use crate::model::{LiveIdentity, Owned, Record, TargetId};

mod claim;
mod codec;
mod entries;
mod head;
mod journal;
mod place;
mod read;
#[cfg(test)]
mod tests;

pub use head::{Claim, HolderKind, LeaseTerm, OperatorNotes};
use place::Place;

/// How many writes are prepared at once.
const CHUNK: usize = 50;

/// Who holds what this ledger claims.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Who: user and host, or pod.
    pub holder: String,
    /// What that is.
    pub kind: HolderKind,
    /// The run; another one is another holder.
    pub run: String,
    /// The lease that it was elected by.
    pub lease: Option<LeaseTerm>,
}

/// Where the lines of the audit log go. A line may come twice where a run was killed.
pub type Audit = Arc<dyn Fn(&serde_json::Value) + Send + Sync>;

/// How large things become before they are laid out otherwise, in bytes if nothing else is said.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Entries that stay in the head.
    inline: usize,
    /// The text of a part that is tried first: it mostly packs to less than a part may have.
    part_text: usize,
    /// A part as it is stored.
    part: usize,
    /// The text of the journal that stands in the head: as much as a few edits need.
    tail: usize,
    /// The journal beside the head: it is folded then.
    journal: usize,
    /// How many pieces it has.
    pieces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline: 128 << 10,
            part_text: 1 << 20,
            part: 256 << 10,
            tail: 16 << 10,
            journal: 256 << 10,
            pieces: 50,
        }
    }
}

/// What a claim found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// What was read before is still so.
    AsLoaded,
    /// It was not read before, or others wrote meanwhile: what was planned from it is to be planned again.
    Newer,
}

/// The inventories of many live identities in one store, read at first need and kept in memory.
///
/// Reading claims nothing. What is recorded or prepared takes the claim with the very write that keeps it, where nobody
/// else has it: an inventory that others changed since it was read is a [`Conflict`](InventoryError::Conflict), after which
/// it is to be [loaded](Self::load) and planned again. To wait for another holder, [`claim`](Self::claim) first. Claims are
/// renewed in the background, on the runtime of whoever took them, and given back by [`release`](Self::release) or
/// [`close`](Ledger::close); dropped, they go stale.
pub struct RemoteLedger {
    blobs: Arc<dyn Blobs>,
    me: Holder,
    audit: Audit,
    limits: Limits,
    places: Mutex<BTreeMap<LiveIdentity, Arc<Place>>>,
}

impl RemoteLedger {
    /// The inventories of a store, for one holder.
    pub fn new(blobs: Arc<dyn Blobs>, me: Holder, audit: Audit) -> Self {
        Self {
            blobs,
            me,
            audit,
            limits: Limits::default(),
            places: Mutex::default(),
        }
    }

    /// Reads the inventory of a live identity, anew unless it is held. What was recorded of it and not kept yet is
    /// dropped where others wrote.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub async fn load(&self, identity: &LiveIdentity) -> Result<(), InventoryError> {
        self.place(identity).load().await
    }

    /// Reads all inventories of the store.
    ///
    /// # Errors
    /// One of them cannot be read, or they cannot be listed.
    pub async fn load_all(&self) -> Result<(), InventoryError> {
        for identity in self.identities().await? {
            self.load(&identity).await?;
        }
        Ok(())
    }

    /// Takes the claim of a live identity, and waits for so long where another holder has it. One that is taken by nobody
    /// while it is waited for goes stale after a minute: a shorter wait never takes one away, but the time that it was seen
    /// unchanged counts for the next call.
    ///
    /// # Errors
    /// [`Held`](InventoryError::Held) by another one; or it cannot be read or written.
    pub async fn claim(
        &self,
        identity: &LiveIdentity,
        patience: Duration,
    ) -> Result<Claimed, InventoryError> {
        self.place(identity).claim(patience).await
    }

    /// Keeps what is not kept yet, and gives the claim of a live identity back. It does nothing where there is neither.
    ///
    /// # Errors
    /// It cannot be written; intents that were prepared are not lost.
    pub async fn release(&self, identity: &LiveIdentity) -> Result<(), InventoryError> {
        self.place(identity).release().await
    }

    /// Takes all claims of one run away, and of no other, and says of which live identities they were. That run may send
    /// for up to 45 s more if it is alive after all.
    ///
    /// # Errors
    /// The inventories cannot be read or written.
    pub async fn force_unlock(&self, run: &str) -> Result<Vec<LiveIdentity>, InventoryError> {
        let mut unlocked = Vec::new();
        for identity in self.identities().await? {
            if self.place(&identity).force_unlock(run).await? {
                unlocked.push(identity);
            }
        }
        Ok(unlocked)
    }

    /// How often the head of a live identity was written; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn generation(&self, identity: &LiveIdentity) -> Result<Option<u64>, InventoryError> {
        self.place(identity).generation().await
    }

    /// What the operator keeps beside the inventory of a live identity.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn notes(&self, identity: &LiveIdentity) -> Result<OperatorNotes, InventoryError> {
        self.place(identity).notes().await
    }

    /// Changes what the operator keeps beside the inventory, and takes the claim with it. Nothing is written where nothing
    /// changes.
    ///
    /// # Errors
    /// Another holder has the claim, others wrote meanwhile, or it cannot be written.
    pub async fn update_notes(
        &self,
        identity: &LiveIdentity,
        update: impl FnOnce(&mut OperatorNotes) + Send,
    ) -> Result<(), InventoryError> {
        self.place(identity).update_notes(update).await
    }

    /// Whose inventories the store has.
    async fn identities(&self) -> Result<Vec<LiveIdentity>, InventoryError> {
        let unreadable = |source| InventoryError::Unreadable {
            name: "*".to_owned(),
            why: "the store does not list what it has".to_owned(),
            source: Some(source),
        };
        let heads = read::in_time(self.blobs.heads()).await;
        let mut identities = Vec::new();
        for key in heads.map_err(unreadable)? {
            identities.extend(read::owner(self.blobs.as_ref(), &key).await?);
        }
        Ok(identities)
    }

    /// The same with other limits.
    #[cfg(test)]
    fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn place(&self, identity: &LiveIdentity) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places
            .entry(identity.clone())
            .or_insert_with(|| Arc::new(Place::new(identity, self)));
        Arc::clone(place)
    }

    fn all(&self) -> Vec<Arc<Place>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.values().cloned().collect()
    }
}

#[async_trait]
impl Ledger for RemoteLedger {
    /// What was read so far says: [`load_all`](RemoteLedger::load_all) reads all that there is.
    async fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for place in self.all() {
            if let Some(known) = place.snapshot().await {
                snapshot.join(known);
            }
        }
        snapshot
    }

    async fn owned(&self, identity: &LiveIdentity) -> Result<Owned, InventoryError> {
        self.place(identity).owned().await
    }

    fn fence(&self, identity: &LiveIdentity) -> Fence {
        self.place(identity).fence.fence()
    }

    fn chunk(&self) -> usize {
        CHUNK
    }

    async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError> {
        self.place(identity).record(target, records).await
    }

    async fn prepare(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError> {
        self.place(identity).prepare(target, sending).await
    }

    async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let place = self.place(identity);
        place.answered(target, number, answered).await
    }

    async fn close(self: Box<Self>) -> Result<(), InventoryError> {
        let places = self.all();
        let released = join_all(places.iter().map(|place| place.release())).await;
        released.into_iter().collect()
    }
}
