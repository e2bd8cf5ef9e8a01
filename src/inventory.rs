//! What we own and last applied: a [`Ledger`], wherever it is kept.
//!
//! | kept in | module |
//! |---|---|
//! | a file, with a lock and an audit log beside it | [`file`] |
//! | a store of blobs that replaces one only where nobody else did | [`remote`], over [`blobs`] |
//! | memory, for tests | `memory`, `memory_blobs` |
//!
//! A run learns, prepares a write before it is sent, and says what became of it; nothing above the trait knows where that
//! is kept. What a ledger confirmed survives the process: a killed run costs no knowledge.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use blobs::BlobError;
use remote::Claim;

use crate::model::{Intent, LiveIdentity, Owned, PastRemoval, Record, TargetId};

pub mod blobs;
pub mod fence;
pub mod file;
mod files;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod memory_blobs;
pub mod remote;
mod snapshot;
#[cfg(test)]
mod tests;

pub use fence::Fence;
pub use file::FileLedger;
pub use remote::RemoteLedger;
pub use snapshot::Snapshot;

/// What is ours, for a run that writes: it is this run's alone until it is closed or dropped.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What the inventory says now.
    async fn snapshot(&self) -> Snapshot;

    /// What is ours on a live identity now.
    ///
    /// # Errors
    /// It cannot be read, where it was not read before.
    async fn owned(&self, identity: &LiveIdentity) -> Result<Owned, InventoryError>;

    /// Takes what was learned without a write; all of it or nothing.
    ///
    /// # Errors
    /// It cannot be kept: the caller must not write to the system then.
    async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError>;

    /// Until when writes to a live identity may be sent; without end where nobody can take the inventory away.
    fn fence(&self, _identity: &LiveIdentity) -> Fence {
        Fence::default()
    }

    /// How many writes are best prepared at once: more than one where each round trip is dear.
    fn chunk(&self) -> usize {
        1
    }

    /// Takes writes that are about to be sent: their intents, and their removals, which count from here on. All of it is
    /// kept before this returns, so that a kill does not lose it; with none of them, the answers of earlier ones are. Gives
    /// a number for each, in their order.
    ///
    /// # Errors
    /// It cannot be kept: the caller must send none of the writes then.
    async fn prepare(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError>;

    /// Takes what became of a write, and gives it its line in the audit log. It may be kept only with the next write that
    /// is prepared: until then a kill leaves the intent open, and the next run looks what came of it.
    ///
    /// # Errors
    /// It cannot be kept: the caller must not go on writing to the system.
    async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError>;

    /// Puts everything in its place, and gives the inventory back.
    ///
    /// # Errors
    /// It cannot be put there; what was confirmed is not lost, and the next run finds it.
    async fn close(self: Box<Self>) -> Result<(), InventoryError>;
}

/// Why the inventory cannot be used. It is never taken for an empty one.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// A file cannot be read.
    #[error("cannot read the inventory \"{path}\"")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write the inventory \"{path}\"")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not an inventory.
    #[error(
        "\"{path}\" is not an inventory of this version ({why}); restore it from a backup, or move it away and use `adopt`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Somebody else wrote to it since it was read.
    #[error("somebody else wrote to the inventory \"{name}\" meanwhile; plan again")]
    Conflict {
        /// Its name in the store.
        name: String,
    },
    /// Somebody else may write to it now.
    #[error(
        "the inventory \"{name}\" is held by {holder} ({kind}, run {run}) since {since}",
        holder = claim.holder, kind = claim.kind, run = claim.run, since = claim.since
    )]
    Held {
        /// Its name in the store.
        name: String,
        /// Who, and which run.
        claim: Box<Claim>,
    },
    /// It is that of another live identity.
    #[error("the inventory \"{name}\" is that of {found}, and not of {expected}")]
    Foreign {
        /// Its name in the store.
        name: String,
        /// Whose it is.
        found: LiveIdentity,
        /// Whose it is to be.
        expected: LiveIdentity,
    },
    /// A later version wrote it.
    #[error(
        "the inventory \"{name}\" has format {format}, which this version cannot read; use a later one"
    )]
    Newer {
        /// Its name in the store.
        name: String,
        /// Its format.
        format: u32,
    },
    /// It is there and cannot be read.
    #[error("cannot read the inventory \"{name}\": {why}")]
    Unreadable {
        /// The name of what cannot be read.
        name: String,
        /// What is wrong.
        why: String,
        /// What the store says.
        #[source]
        source: Option<BlobError>,
    },
    /// It cannot be written, or nobody knows whether it was.
    #[error("cannot write the inventory \"{name}\"; a right may be missing")]
    Unwritable {
        /// Its name in the store.
        name: String,
        /// What the store says.
        #[source]
        source: Option<BlobError>,
    },
    /// An earlier write of it failed.
    #[error("the inventory \"{name}\" has to be read again, since an earlier write of it failed")]
    Unsettled {
        /// Its name in the store.
        name: String,
    },
    /// The right to write ran out.
    #[error(
        "the right to write ran out before it was renewed; the next run looks what became of what was in flight"
    )]
    FencePassed,
    /// Another run holds it.
    #[error("the inventory \"{path}\" is in use by {holder}; wait for that run to end")]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the lock's text says.
        holder: String,
    },
}

/// A write that is about to be sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// When.
    pub at: Timestamp,
    /// What will be ours if it takes effect.
    pub intent: Option<Intent>,
    /// What it takes away, where nobody approved that.
    pub removals: Vec<PastRemoval>,
    /// Its line for the audit log, with the outcome `unknown`: what is written should this process not live to say more.
    pub entry: serde_json::Value,
}

/// What became of a write.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What the inventory learns.
    pub records: Vec<Record>,
    /// Its removals, where they are known not to have been made.
    pub not_removed: Vec<PastRemoval>,
    /// Its line for the audit log; none where it was not sent after all.
    pub entry: Option<serde_json::Value>,
}

/// A write in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteNumber(u64);

impl WriteNumber {
    /// The counter after it.
    fn next(self) -> u64 {
        self.0 + 1
    }
}
