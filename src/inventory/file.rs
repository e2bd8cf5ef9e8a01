//! An inventory kept in a file, with a lock and an audit log beside it.
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
//! a killed run owes the audit log: the next run writes those lines. What is appended is not synced to the disk: it
//! outlives the process, and not a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::snapshot::{JournalHead, JournalLine, Step};
use super::{Answered, InventoryError, Ledger, Sending, Snapshot, WriteNumber, files, snapshot};
use crate::model::{Lineage, LiveIdentity, Owned, Record, TargetId};

/// The inventory of a run that writes: locked until it is dropped.
#[derive(Debug)]
pub struct FileLedger {
    path: PathBuf,
    inner: Mutex<Inner>,
    _lock: File,
}

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    /// The lineage that the inventory has, or gets with its first step.
    lineage: Lineage,
    /// Whether anything happened since the file was written.
    moved: bool,
    /// How many writes were sent.
    writes: u64,
    /// Whether a write to the journal or the log failed: what stands at its end is not known then, and nothing may follow.
    broken: bool,
    journal: tokio::fs::File,
    audit: tokio::fs::File,
}

impl FileLedger {
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
        let mut audit = files::open_audit(&audit_path).map_err(write(&audit_path))?;
        // What a killed run left is settled first, so that this run's journal starts anew.
        let journal = files::journal_path(&path);
        if journal.exists() {
            let owed = std::mem::take(&mut snapshot.unanswered);
            for entry in owed.values() {
                audit
                    .write_all(format!("{entry}\n").as_bytes())
                    .map_err(write(&audit_path))?;
            }
            files::fold(&path, &mut snapshot)?;
        }
        let lineage = snapshot.lineage.clone();
        let lineage = lineage.unwrap_or_else(snapshot::new_lineage);
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&journal)
            .map_err(write(&journal))?;
        let mut head = serde_json::to_vec(&JournalHead {
            follows: snapshot.generation,
            lineage: Some(lineage.clone()),
        })
        .expect("a number and a text serialise");
        head.push(b'\n');
        file.write_all(&head).map_err(write(&journal))?;
        let inner = Inner {
            snapshot,
            lineage,
            moved: false,
            writes: 0,
            broken: false,
            journal: tokio::fs::File::from_std(file),
            audit: tokio::fs::File::from_std(audit),
        };
        Ok(Self {
            path,
            inner: Mutex::new(inner),
            _lock: lock,
        })
    }

    async fn append(&self, inner: &mut Inner, line: JournalLine) -> Result<(), InventoryError> {
        if line.steps.is_empty() {
            return Ok(());
        }
        let mut text =
            serde_json::to_vec(&line).expect("a record is plain data and always serialises");
        text.push(b'\n');
        let path = files::journal_path(&self.path);
        write(&mut inner.journal, &mut inner.broken, &text, path).await?;
        inner.snapshot.lineage = Some(inner.lineage.clone());
        inner.snapshot.take(line);
        inner.moved = true;
        Ok(())
    }

    /// Folds the journal into the file and lets the lock go. Blocks on the disk.
    fn fold(self) -> Result<(), InventoryError> {
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

#[async_trait]
impl Ledger for FileLedger {
    async fn snapshot(&self) -> Snapshot {
        self.inner.lock().await.snapshot.clone()
    }

    async fn owned(&self, identity: &LiveIdentity) -> Result<Owned, InventoryError> {
        Ok(self.inner.lock().await.snapshot.owned(identity))
    }

    async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError> {
        let mut inner = self.inner.lock().await;
        let line = JournalLine::of(identity, target, Step::learned(records));
        self.append(&mut inner, line).await
    }

    async fn prepare(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError> {
        let mut inner = self.inner.lock().await;
        let (numbers, steps) = Step::all_prepared(&mut inner.writes, sending);
        let line = JournalLine::of(identity, target, steps);
        self.append(&mut inner, line).await?;
        Ok(numbers)
    }

    async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let mut guard = self.inner.lock().await;
        let entry = answered.entry.as_ref().map(|entry| format!("{entry}\n"));
        let line = JournalLine::of(identity, target, Step::answered(answered));
        self.append(&mut guard, line).await?;
        let inner = &mut *guard;
        if let Some(entry) = entry {
            let path = files::audit_path(&self.path);
            write(&mut inner.audit, &mut inner.broken, entry.as_bytes(), path).await?;
        }
        // Only now: what was not written there is owed, and a run that is killed in between leaves that line to the next.
        let line = JournalLine::of(identity, target, vec![Step::Answered(number)]);
        self.append(inner, line).await
    }

    async fn close(self: Box<Self>) -> Result<(), InventoryError> {
        let path = self.path.clone();
        let folded = tokio::task::spawn_blocking(move || self.fold()).await;
        folded.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(InventoryError::Write { path, source })
        })
    }
}

/// Writes a whole line, or says that nothing may follow.
async fn write(
    file: &mut tokio::fs::File,
    broken: &mut bool,
    line: &[u8],
    path: PathBuf,
) -> Result<(), InventoryError> {
    if *broken {
        let source = io::Error::other("an earlier step failed");
        return Err(InventoryError::Write { path, source });
    }
    // A caller that goes away in the midst of it leaves half a line.
    *broken = true;
    let written = async {
        file.write_all(line).await?;
        file.flush().await
    };
    let written = written.await;
    *broken = written.is_err();
    written.map_err(|source| InventoryError::Write { path, source })
}
