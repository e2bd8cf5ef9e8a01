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
//! names the generation of the file that it follows: one that was folded in already is never replayed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::model::{
    AppRef, Intent, LiveIdentity, Owned, OwnedApp, OwnedScope, PastRemoval, Record, Removals,
    ScopeName, TargetId,
};

/// The format of the file.
const FORMAT_VERSION: &str = "1.0";
/// The largest inventory that is read, in bytes: far above what a million entries need.
const MAX_BYTES: u64 = 1 << 30;
/// How long removals are remembered: longer than any sensible `safety.window`.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(31 * 24);

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

/// The file as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    format_version: String,
    generation: u64,
    identities: BTreeMap<LiveIdentity, Section>,
}

/// One live identity in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Section {
    target: TargetId,
    writes: u64,
    #[serde(default)]
    scopes: BTreeMap<ScopeName, OwnedScope>,
    #[serde(default)]
    apps: Vec<AppEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    intents: Vec<Intent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removals: Vec<PastRemoval>,
}

/// One app in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppEntry {
    app: AppRef,
    entry: OwnedApp,
}

/// What is known of one live identity.
#[derive(Debug, Clone)]
struct Known {
    target: TargetId,
    owned: Owned,
    removals: Removals,
}

/// The journal's first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JournalHead {
    follows: u64,
}

/// Any other line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JournalLine {
    identity: LiveIdentity,
    target: TargetId,
    #[serde(flatten)]
    step: Step,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    Record(Box<Record>),
    Removal(PastRemoval),
}

/// What the inventory says at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    generation: u64,
    known: BTreeMap<LiveIdentity, Known>,
}

impl Snapshot {
    /// Reads the file and the journal beside it. A file that is not there is an empty inventory.
    ///
    /// # Errors
    /// A file that cannot be read, or that is none: never taken for an empty inventory.
    pub fn read(path: &Path) -> Result<Self, InventoryError> {
        let mut snapshot = match read_limited(path)? {
            None => Self::default(),
            Some(text) => Self::parse(path, &text)?,
        };
        let journal = journal_path(path);
        if let Some(text) = read_limited(&journal)? {
            snapshot.replay(&journal, &text)?;
        }
        Ok(snapshot)
    }

    /// What is ours on a live identity.
    pub fn owned(&self, identity: &LiveIdentity) -> Owned {
        self.known
            .get(identity)
            .map(|known| known.owned.clone())
            .unwrap_or_default()
    }

    /// What was removed there lately.
    pub fn removals(&self, identity: &LiveIdentity) -> Removals {
        self.known
            .get(identity)
            .map(|known| known.removals.clone())
            .unwrap_or_default()
    }

    /// The identities that it knows, each with the target that it was last reached by.
    pub fn identities(&self) -> impl Iterator<Item = (&LiveIdentity, &TargetId, &Owned)> {
        self.known
            .iter()
            .map(|(identity, known)| (identity, &known.target, &known.owned))
    }

    fn parse(path: &Path, text: &str) -> Result<Self, InventoryError> {
        let malformed = |why: String| InventoryError::Malformed {
            path: path.to_owned(),
            why,
        };
        let document: Document =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if document.format_version.split('.').next() != FORMAT_VERSION.split('.').next() {
            return Err(malformed(format!(
                "its formatVersion is {:?}",
                document.format_version
            )));
        }
        let known = document
            .identities
            .into_iter()
            .map(|(identity, section)| (identity, section.into()))
            .collect();
        Ok(Self {
            generation: document.generation,
            known,
        })
    }

    fn replay(&mut self, path: &Path, text: &str) -> Result<(), InventoryError> {
        let malformed = |line: usize, why: &serde_json::Error| InventoryError::Malformed {
            path: path.to_owned(),
            why: format!("line {line}: {why}"),
        };
        // The last line may have been cut by a kill in the midst of writing it: it has no end, and is not counted.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines().zip(1..);
        let Some((head, number)) = lines.next() else {
            return Ok(());
        };
        let head: JournalHead =
            serde_json::from_str(head).map_err(|error| malformed(number, &error))?;
        if head.follows != self.generation {
            return Ok(());
        }
        for (line, number) in lines {
            self.take(serde_json::from_str(line).map_err(|error| malformed(number, &error))?);
        }
        Ok(())
    }

    fn take(&mut self, line: JournalLine) {
        let known = self.known.entry(line.identity).or_insert_with(|| Known {
            target: line.target.clone(),
            owned: Owned {
                known: true,
                ..Owned::default()
            },
            removals: Removals::default(),
        });
        known.target = line.target;
        match line.step {
            Step::Record(record) => known.owned.record(*record),
            Step::Removal(removal) => known.removals.0.push(removal),
        }
    }

    fn document(&self, now: Timestamp) -> Document {
        let identities = self
            .known
            .iter()
            .map(|(identity, known)| (identity.clone(), Section::of(known, now)))
            .collect();
        Document {
            format_version: FORMAT_VERSION.to_owned(),
            generation: self.generation,
            identities,
        }
    }
}

impl From<Section> for Known {
    fn from(section: Section) -> Self {
        let Section {
            target,
            writes,
            scopes,
            apps,
            intents,
            removals,
        } = section;
        let apps = apps
            .into_iter()
            .map(|AppEntry { app, entry }| (app, entry))
            .collect();
        Self {
            target,
            owned: Owned {
                known: true,
                writes,
                scopes,
                apps,
                intents,
            },
            removals: Removals(removals),
        }
    }
}

impl Section {
    fn of(known: &Known, now: Timestamp) -> Self {
        let Owned {
            known: _,
            writes,
            scopes,
            apps,
            intents,
        } = known.owned.clone();
        let removals = known
            .removals
            .0
            .iter()
            .filter(|past| now.duration_since(past.at) < REMEMBERED)
            .cloned()
            .collect();
        Self {
            target: known.target.clone(),
            writes,
            scopes,
            apps: apps
                .into_iter()
                .map(|(app, entry)| AppEntry { app, entry })
                .collect(),
            intents,
            removals,
        }
    }
}

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
        let lock = take_lock(path, holder)?;
        let mut snapshot = Snapshot::read(path)?;
        // What a killed run left is folded in first, so that this run's journal starts anew.
        let journal = journal_path(path);
        if journal.exists() {
            fold(path, &mut snapshot)?;
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
        let audit_path = audit_of(path);
        let audit = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&audit_path)
            .map_err(write(&audit_path))?;
        let (journal, audit) = (
            tokio::fs::File::from_std(file),
            tokio::fs::File::from_std(audit),
        );
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner {
                snapshot,
                moved: false,
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

    /// Takes steps. They are in the journal before it returns, so that a kill does not lose them; they are not synced to the
    /// disk.
    ///
    /// # Errors
    /// The journal cannot be written: the caller must not write to the system then.
    pub async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<(), InventoryError> {
        self.append(
            identity,
            target,
            records
                .into_iter()
                .map(|record| Step::Record(Box::new(record))),
        )
        .await
    }

    /// Remembers removals that nobody approved.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn removed(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        removals: impl IntoIterator<Item = PastRemoval>,
    ) -> Result<(), InventoryError> {
        self.append(identity, target, removals.into_iter().map(Step::Removal))
            .await
    }

    async fn append(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        steps: impl Iterator<Item = Step>,
    ) -> Result<(), InventoryError> {
        let lines: Vec<JournalLine> = steps
            .map(|step| JournalLine {
                identity: identity.clone(),
                target: target.clone(),
                step,
            })
            .collect();
        let mut text = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut text, line)
                .expect("a record is plain data and always serialises");
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner.lock().await;
        let failed = |source| InventoryError::Write {
            path: journal_path(&self.path),
            source,
        };
        inner.journal.write_all(&text).await.map_err(failed)?;
        inner.journal.flush().await.map_err(failed)?;
        for line in lines {
            inner.snapshot.take(line);
        }
        inner.moved = true;
        Ok(())
    }

    /// Appends a line to the audit log.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn audit(&self, entry: &serde_json::Value) -> Result<(), InventoryError> {
        let mut text = entry.to_string();
        text.push('\n');
        let mut inner = self.inner.lock().await;
        let failed = |source| InventoryError::Write {
            path: audit_of(&self.path),
            source,
        };
        inner
            .audit
            .write_all(text.as_bytes())
            .await
            .map_err(failed)?;
        inner.audit.flush().await.map_err(failed)
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
            ..
        } = inner.into_inner();
        let result = if moved {
            fold(&path, &mut snapshot)
        } else {
            remove_journal(&path)
        };
        drop(lock);
        result
    }
}

/// Writes the file anew, one generation on, and removes the journal. The file is replaced in one step: whoever reads sees
/// the old or the new one.
fn fold(path: &Path, snapshot: &mut Snapshot) -> Result<(), InventoryError> {
    let failed = |source| InventoryError::Write {
        path: path.to_owned(),
        source,
    };
    snapshot.generation += 1;
    let mut text = serde_json::to_vec_pretty(&snapshot.document(Timestamp::now()))
        .expect("an inventory always serialises");
    text.push(b'\n');
    let temporary = with_suffix(path, ".new");
    let mut file = File::create(&temporary).map_err(failed)?;
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    remove_journal(path)
}

fn remove_journal(path: &Path) -> Result<(), InventoryError> {
    let journal = journal_path(path);
    match fs::remove_file(&journal) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(InventoryError::Write {
            path: journal,
            source,
        }),
        _ => Ok(()),
    }
}

fn take_lock(path: &Path, holder: &str) -> Result<File, InventoryError> {
    let lock_path = with_suffix(path, ".lock");
    let failed = |source| InventoryError::Write {
        path: lock_path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = (&file).take(1024).read_to_string(&mut text);
            let holder = if text.trim().is_empty() {
                "another run".to_owned()
            } else {
                text.trim().to_owned()
            };
            return Err(InventoryError::Locked {
                path: path.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{holder}"))
        .map_err(failed)?;
    Ok(file)
}

fn journal_path(path: &Path) -> PathBuf {
    with_suffix(path, ".journal")
}

/// The audit log: the folder's own beside an inventory of the usual name, else the inventory's, so that two in one folder
/// do not share one.
fn audit_of(path: &Path) -> PathBuf {
    if path
        .file_name()
        .is_some_and(|name| name == "inventory.json")
    {
        path.with_file_name("audit.jsonl")
    } else {
        with_suffix(path, ".audit.jsonl")
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads a text file, or nothing where there is none.
fn read_limited(path: &Path) -> Result<Option<String>, InventoryError> {
    let failed = |source| InventoryError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(InventoryError::Malformed {
                path: path.to_owned(),
                why: "it is not UTF-8 text".to_owned(),
            });
        }
        Err(error) => return Err(failed(error)),
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(InventoryError::Malformed {
            path: path.to_owned(),
            why: format!("larger than {MAX_BYTES} bytes"),
        });
    }
    Ok(Some(text))
}
