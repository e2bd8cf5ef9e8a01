//! What the inventory says: the file, and the journal that follows it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answered, InventoryError, Sending, WriteNumber, files};
use crate::model::target::LONGEST_WINDOW;
use crate::model::{
    AppRef, Lineage, LiveIdentity, OpenIntent, Owned, OwnedApp, OwnedScope, PastRemoval, Record,
    Removals, Repository, ScopeName, TargetId,
};

/// The format of the file.
const FORMAT_VERSION: &str = "1.0";
/// How long removals are remembered: longer than any `safety.window` may be.
pub(super) const REMEMBERED: SignedDuration =
    SignedDuration::from_secs(LONGEST_WINDOW.as_secs() + 24 * 60 * 60);

/// The file as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    format_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lineage: Option<Lineage>,
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
    intents: Vec<OpenIntent>,
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
pub(super) struct JournalHead {
    pub(super) follows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lineage: Option<Lineage>,
}

/// Any other line of the journal: steps that are taken together or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JournalLine {
    pub(super) identity: LiveIdentity,
    pub(super) target: TargetId,
    pub(super) steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Step {
    /// Something was learned or done.
    Record(Box<Record>),
    /// Removals that nobody approved are about to be sent. They count from here on, whatever becomes of the process.
    Removal(PastRemoval),
    /// Removals that were sent are known not to have been made.
    NotRemoved(PastRemoval),
    /// A write is about to be sent: its number in this journal, and its line for the audit log.
    Sent(WriteNumber, serde_json::Value),
    /// That write's line stands in the audit log.
    Answered(WriteNumber),
}

impl JournalLine {
    pub(super) fn of(identity: &LiveIdentity, target: &TargetId, steps: Vec<Step>) -> Self {
        Self {
            identity: identity.clone(),
            target: target.clone(),
            steps,
        }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.steps.iter().filter_map(|step| match step {
            Step::Record(record) => Some(record.as_ref()),
            _ => None,
        })
    }

    /// How many writes it is about to send.
    pub(super) fn writes(&self) -> u64 {
        let writes = self.records().filter(|record| **record == Record::Write);
        writes.count() as u64
    }

    /// The repositories that go by another name from here on: the old one and the new one.
    pub(super) fn renamed_repositories(&self) -> impl Iterator<Item = (&Repository, &Repository)> {
        self.records().filter_map(|record| match record {
            Record::RenameRepository { old, new, below } if below.is_empty() => Some((old, new)),
            _ => None,
        })
    }
}

impl Step {
    /// What was learned without a write.
    pub(super) fn learned(records: Vec<Record>) -> Vec<Self> {
        records.into_iter().map(Self::record).collect()
    }

    /// Writes that are about to be sent, numbered from a counter on.
    pub(super) fn all_prepared(
        counter: &mut u64,
        sending: Vec<Sending>,
    ) -> (Vec<WriteNumber>, Vec<Self>) {
        let first = *counter;
        let numbers: Vec<_> = (first..).map(WriteNumber).take(sending.len()).collect();
        *counter += sending.len() as u64;
        let all = numbers.iter().zip(sending);
        let steps = all.flat_map(|(number, sending)| Self::prepared(*number, sending));
        let steps = steps.collect();
        (numbers, steps)
    }

    /// A write that is about to be sent.
    fn prepared(number: WriteNumber, sending: Sending) -> Vec<Self> {
        let Sending {
            at,
            intent,
            removals,
            entry,
        } = sending;
        let open = |intent| OpenIntent {
            at,
            intent,
            removals: removals.clone(),
        };
        let intent = intent.map(open).map(Record::Intent);
        let records = intent.into_iter().chain([Record::Write]).map(Self::record);
        let removals = removals.into_iter().map(Self::Removal);
        records
            .chain(removals)
            .chain([Self::Sent(number, entry)])
            .collect()
    }

    /// What became of a write.
    pub(super) fn answered(answered: Answered) -> Vec<Self> {
        let Answered {
            records,
            not_removed,
            entry: _,
        } = answered;
        let records = records.into_iter().map(Self::record);
        let not_removed = not_removed.into_iter().map(Self::NotRemoved);
        records.chain(not_removed).collect()
    }

    fn record(record: Record) -> Self {
        Self::Record(Box::new(record))
    }
}

/// What the inventory says at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(super) generation: u64,
    /// Made with the inventory; `None` until something is kept in it.
    pub(super) lineage: Option<Lineage>,
    known: BTreeMap<LiveIdentity, Known>,
    /// Writes whose outcome the journal does not tell: their lines for the audit log.
    pub(super) unanswered: BTreeMap<WriteNumber, serde_json::Value>,
}

impl Snapshot {
    /// Reads the file and the journal beside it. A file that is not there is an empty inventory.
    ///
    /// # Errors
    /// A file that cannot be read, or that is none: never taken for an empty inventory.
    pub fn read(path: &Path) -> Result<Self, InventoryError> {
        let path = files::real(path)?;
        let journal = files::journal_path(&path);
        let mut text = files::read_text(&path)?;
        loop {
            let steps = files::read_lines(&journal)?;
            // A run may have folded its journal into the file between the two readings.
            let again = files::read_text(&path)?;
            if again != text {
                text = again;
                continue;
            }
            let mut snapshot = match text {
                None => Self::default(),
                Some(text) => Self::parse(&path, &text)?,
            };
            if let Some(steps) = steps {
                snapshot.replay(&journal, &steps)?;
            }
            return Ok(snapshot);
        }
    }

    /// One that knows this of one place.
    pub(super) fn knowing(
        identity: &LiveIdentity,
        target: &TargetId,
        owned: Owned,
        removals: Removals,
    ) -> Self {
        let known = Known {
            target: target.clone(),
            owned,
            removals,
        };
        Self {
            known: [(identity.clone(), known)].into(),
            ..Self::default()
        }
    }

    /// What is ours on a live identity.
    pub fn owned(&self, identity: &LiveIdentity) -> Owned {
        let known = self.known.get(identity);
        let owned = known.map(|known| known.owned.clone()).unwrap_or_default();
        Owned {
            lineage: self.lineage.clone().or(owned.lineage),
            ..owned
        }
    }

    /// Takes in what another inventory knows; each identity keeps the lineage of its own.
    pub(super) fn join(&mut self, other: Self) {
        for (identity, mut known) in other.known {
            known.owned.lineage = known.owned.lineage.or_else(|| other.lineage.clone());
            self.known.insert(identity, known);
        }
    }

    /// What is recorded of a live identity, if anything is.
    pub(super) fn place(&self, identity: &LiveIdentity) -> Option<(&TargetId, &Owned, &Removals)> {
        let known = self.known.get(identity)?;
        Some((&known.target, &known.owned, &known.removals))
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

    /// What is recorded, with the target that each part was recorded for.
    pub fn recorded(&self) -> impl Iterator<Item = (&TargetId, &Owned)> {
        self.known
            .values()
            .map(|known| (&known.target, &known.owned))
    }

    /// Takes what was learned of an identity without a write.
    pub fn learn(&mut self, identity: &LiveIdentity, record: Record) {
        if let Some(known) = self.known.get_mut(identity) {
            known.owned.record(record);
        }
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
            lineage: document.lineage,
            known,
            unanswered: BTreeMap::new(),
        })
    }

    fn replay(&mut self, path: &Path, text: &str) -> Result<(), InventoryError> {
        let malformed = |line: usize, why: &serde_json::Error| InventoryError::Malformed {
            path: path.to_owned(),
            why: format!("line {line}: {why}"),
        };
        let mut lines = text.lines().zip(1..);
        let Some((head, number)) = lines.next() else {
            return Ok(());
        };
        let head: JournalHead =
            serde_json::from_str(head).map_err(|error| malformed(number, &error))?;
        if head.follows != self.generation {
            return Ok(());
        }
        for (line, number) in lines {
            self.lineage = self.lineage.take().or_else(|| head.lineage.clone());
            self.take(serde_json::from_str(line).map_err(|error| malformed(number, &error))?);
        }
        Ok(())
    }

    pub(super) fn take(&mut self, line: JournalLine) {
        let known = self.known.entry(line.identity).or_insert_with(|| Known {
            target: line.target.clone(),
            owned: Owned {
                known: true,
                ..Owned::default()
            },
            removals: Removals::default(),
        });
        known.target = line.target;
        for step in line.steps {
            match step {
                Step::Record(record) => {
                    if let Record::NotRemoved(removal) = record.as_ref() {
                        known.not_removed(removal);
                    }
                    known.owned.record(*record);
                }
                Step::Removal(removal) => known.removals.0.push(removal),
                Step::NotRemoved(removal) => known.not_removed(&removal),
                Step::Sent(number, entry) => drop(self.unanswered.insert(number, entry)),
                Step::Answered(number) => drop(self.unanswered.remove(&number)),
            }
        }
    }

    pub(super) fn document(&self, now: Timestamp) -> Document {
        let identities = self
            .known
            .iter()
            .map(|(identity, known)| (identity.clone(), Section::of(known, now)))
            .collect();
        Document {
            format_version: FORMAT_VERSION.to_owned(),
            lineage: self.lineage.clone(),
            generation: self.generation,
            identities,
        }
    }
}

impl Known {
    fn not_removed(&mut self, removal: &PastRemoval) {
        let mut all = self.removals.0.iter();
        if let Some(last) = all.rposition(|past| past == removal) {
            self.removals.0.remove(last);
        }
    }
}

/// The lineage of an inventory that is made now.
pub(super) fn new_lineage() -> Lineage {
    Lineage::new(uuid::Uuid::new_v4().simple().to_string())
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
                lineage: None,
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
            lineage: _,
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
