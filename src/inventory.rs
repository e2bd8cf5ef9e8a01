//! What we own and last applied, kept in a file, with a lock and an audit log beside it.
//!
//! ```text
//! inventory.json           the state after the last run that finished, by live identity
//! inventory.json.journal   what happened since: one JSON line a step, written as changes land
//! inventory.json.lock      an operating-system lock; its text only informs
//! audit.jsonl              every write that was ever sent
//! ```
//!
//! An inventory of another name has its own log: `orders.json` has `orders.json.audit.jsonl`.
//!
//! A run appends to the journal before and after each write, so that its cost does not grow with the inventory, and folds
//! it into the file when it ends. A run that was killed leaves its journal, and the next one replays it. The journal
//! names the generation of the file that it follows: one that was folded in already is never replayed. It also holds what
//! a killed run owes the audit log: the next run writes those lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::model::{Intent, LiveIdentity, Owned, PastRemoval, Record, TargetId};

mod files;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::Snapshot;
use snapshot::{JournalHead, JournalLine, Step};

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
        "\"{path}\" is no inventory of this version ({why}); restore it from a backup, or move it away and use `adopt`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
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
    /// Its line for the audit log.
    pub entry: serde_json::Value,
}

/// A write in the journal.
#[derive(Debug, Clone, Copy)]
pub struct WriteNumber(u64);

/// The inventory of a run that writes: locked until it is dropped.
#[derive(Debug)]
pub struct Inventory {
    path: PathBuf,
    inner: Mutex<Inner>,
    _lock: File,
}

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    /// Whether anything happened since the file was written.
    moved: bool,
    /// How many writes were sent.
    writes: u64,
    /// Whether a write to the journal failed: what stands at its end is not known then, and nothing may follow it.
    broken: bool,
    journal: tokio::fs::File,
    audit: tokio::fs::File,
}

impl Inventory {
    /// Locks the inventory and reads it. `holder` tells others who has it: user, host, run id. Blocks on the disk.
    ///
    /// # Errors
    /// [`InventoryError::Locked`] where another run has it; else as [`Snapshot::read`].
    pub fn open(path: &Path, holder: &str) -> Result<Self, InventoryError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| InventoryError::Write { path, source }
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(write(folder))?;
        }
        let path = files::real(path)?;
        let lock = files::take_lock(&path, holder)?;
        let mut snapshot = Snapshot::read(&path)?;
        let audit_path = files::audit_path(&path);
        let mut audit = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&audit_path)
            .map_err(write(&audit_path))?;
        // What a killed run left is settled first, so that this run's journal starts anew.
        let journal = files::journal_path(&path);
        if journal.exists() {
            let owed = std::mem::take(&mut snapshot.unanswered);
            for entry in owed.values() {
                writeln!(audit, "{entry}").map_err(write(&audit_path))?;
            }
            files::fold(&path, &mut snapshot)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&journal)
            .map_err(write(&journal))?;
        let mut head = serde_json::to_vec(&JournalHead {
            follows: snapshot.generation,
        })
        .expect("a number serialises");
        head.push(b'\n');
        file.write_all(&head).map_err(write(&journal))?;
        let (journal, audit) = (
            tokio::fs::File::from_std(file),
            tokio::fs::File::from_std(audit),
        );
        Ok(Self {
            path,
            inner: Mutex::new(Inner {
                snapshot,
                moved: false,
                writes: 0,
                broken: false,
                journal,
                audit,
            }),
            _lock: lock,
        })
    }

    /// What the inventory says now.
    pub async fn snapshot(&self) -> Snapshot {
        self.inner.lock().await.snapshot.clone()
    }

    /// What is ours on a live identity now.
    pub async fn owned(&self, identity: &LiveIdentity) -> Owned {
        self.inner.lock().await.snapshot.owned(identity)
    }

    /// Takes what was learned without a write.
    ///
    /// # Errors
    /// The journal cannot be written: the caller must not write to the system then.
    pub async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<(), InventoryError> {
        let steps = records.into_iter().map(record).collect();
        let mut inner = self.inner.lock().await;
        self.append(&mut inner, identity, target, steps).await
    }

    /// Takes a write that is about to be sent. It is in the journal before this returns, so that a kill does not lose it; it
    /// is not synced to the disk.
    ///
    /// # Errors
    /// The journal cannot be written: the caller must not send the write then.
    pub async fn sending(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Sending,
    ) -> Result<WriteNumber, InventoryError> {
        let mut inner = self.inner.lock().await;
        let number = inner.writes;
        inner.writes += 1;
        let intent = sending.intent.map(Record::Intent);
        let records = intent.into_iter().chain([Record::Write]).map(record);
        let removals = sending.removals.into_iter().map(Step::Removal);
        let sent = Step::Sent(number, sending.entry);
        let steps = records.chain(removals).chain([sent]).collect();
        self.append(&mut inner, identity, target, steps).await?;
        Ok(WriteNumber(number))
    }

    /// Takes what became of a write, and gives it its line in the audit log.
    ///
    /// # Errors
    /// The journal or the log cannot be written: the caller must not go on writing to the system.
    pub async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        WriteNumber(number): WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let mut inner = self.inner.lock().await;
        let records = answered.records.into_iter().map(record);
        let not_removed = answered.not_removed.into_iter().map(Step::NotRemoved);
        let steps = records.chain(not_removed).collect();
        self.append(&mut inner, identity, target, steps).await?;
        let line = format!("{}\n", answered.entry);
        let failed = |source| InventoryError::Write {
            path: files::audit_path(&self.path),
            source,
        };
        let audit = &mut inner.audit;
        audit.write_all(line.as_bytes()).await.map_err(failed)?;
        audit.flush().await.map_err(failed)?;
        let steps = vec![Step::Answered(number)];
        self.append(&mut inner, identity, target, steps).await
    }

    async fn append(
        &self,
        inner: &mut Inner,
        identity: &LiveIdentity,
        target: &TargetId,
        steps: Vec<Step>,
    ) -> Result<(), InventoryError> {
        if steps.is_empty() {
            return Ok(());
        }
        let failed = |source| InventoryError::Write {
            path: files::journal_path(&self.path),
            source,
        };
        if inner.broken {
            return Err(failed(io::Error::other("an earlier step failed")));
        }
        let line = JournalLine {
            identity: identity.clone(),
            target: target.clone(),
            steps,
        };
        let mut text =
            serde_json::to_vec(&line).expect("a record is plain data and always serialises");
        text.push(b'\n');
        let written = async {
            inner.journal.write_all(&text).await?;
            inner.journal.flush().await
        };
        if let Err(source) = written.await {
            inner.broken = true;
            return Err(failed(source));
        }
        inner.snapshot.take(line);
        inner.moved = true;
        Ok(())
    }

    /// Folds the journal into the file and lets the lock go. Blocks on the disk.
    ///
    /// # Errors
    /// The file cannot be written; the journal stays then, and the next run replays it.
    pub fn close(self) -> Result<(), InventoryError> {
        let Self {
            path,
            inner,
            _lock: lock,
        } = self;
        let Inner {
            mut snapshot,
            moved,
            broken,
            ..
        } = inner.into_inner();
        // The next run replays what stands there, and gives the audit log what it is owed.
        let is_open = broken || !snapshot.unanswered.is_empty();
        let result = if is_open {
            Ok(())
        } else if moved {
            files::fold(&path, &mut snapshot)
        } else {
            files::remove_journal(&path)
        };
        drop(lock);
        result
    }
}

fn record(record: Record) -> Step {
    Step::Record(Box::new(record))
}
