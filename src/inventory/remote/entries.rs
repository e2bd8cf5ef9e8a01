//! What is recorded as a sorted list of entries, and how that list is laid into parts: a part whose entries did not change
//! stays as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::blobs::BlobName;
use super::super::snapshot::REMEMBERED;
use super::Limits;
use super::codec::Text;
use crate::model::{
    AppRef, OpenIntent, Owned, OwnedApp, OwnedScope, PastRemoval, Removals, ScopeName,
};

/// One thing that is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Entry {
    App {
        app: AppRef,
        entry: Box<OwnedApp>,
    },
    Scope {
        name: ScopeName,
        entry: Box<OwnedScope>,
    },
    Removal(PastRemoval),
    Intent(Box<OpenIntent>),
}

/// A part: entries of a range of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    #[serde(flatten)]
    pub(super) name: BlobName,
    /// The least key of the range, which ends where the next part's begins. The first range begins below all keys.
    pub(super) from: String,
    /// Of its text: what tells whether its entries changed, and whether it was read whole.
    pub(super) sha256: String,
}

/// The entries by their keys: what kind they are, and which of it.
pub(super) type Entries = BTreeMap<String, Entry>;

/// What is recorded, without the removals that no window reaches any more.
pub(super) fn entries(owned: &Owned, removals: &Removals, now: Timestamp) -> Entries {
    let apps = owned.apps.iter().map(|(app, entry)| {
        let key = serde_json::to_string(app).expect("a reference always serialises");
        let (app, entry) = (app.clone(), Box::new(entry.clone()));
        (format!("app {key}"), Entry::App { app, entry })
    });
    let scopes = owned.scopes.iter().map(|(name, entry)| {
        let (name, entry) = (name.clone(), Box::new(entry.clone()));
        (format!("scope {name}"), Entry::Scope { name, entry })
    });
    let past = removals.0.iter();
    let past = past.filter(|past| now.duration_since(past.at) < REMEMBERED);
    let past = past.map(|past| (past.at, "removal", Entry::Removal(past.clone())));
    let open = owned.intents.iter();
    let open = open.map(|open| (open.at, "intent", Entry::Intent(Box::new(open.clone()))));
    let mut all: Entries = apps.chain(scopes).collect();
    for (at, kind, entry) in past.chain(open) {
        // By their time first, so that what goes at one end leaves the others where they are.
        let at = at.as_nanosecond().max(0);
        let first = format!("{kind} {at:030}");
        let same = all.range(first.clone()..format!("{first}~")).count();
        all.insert(format!("{first} {same:08}"), entry);
    }
    all
}

/// What entries say.
pub(super) fn recorded(entries: Vec<Entry>) -> (Owned, Removals) {
    let mut owned = Owned {
        known: true,
        ..Owned::default()
    };
    let mut removals = Removals::default();
    for entry in entries {
        match entry {
            Entry::App { app, entry } => drop(owned.apps.insert(app, *entry)),
            Entry::Scope { name, entry } => drop(owned.scopes.insert(name, *entry)),
            Entry::Removal(past) => removals.0.push(past),
            Entry::Intent(open) => owned.intents.push(*open),
        }
    }
    (owned, removals)
}

/// How entries are kept.
pub(super) enum Layout {
    /// In the head.
    Inline(Vec<Entry>),
    /// In parts: those that stay, and those that are to be made, in the order of their keys.
    Parts(Vec<Laid>),
}

pub(super) enum Laid {
    Stays(Part),
    New {
        from: String,
        sha256: String,
        bytes: Vec<u8>,
    },
}

impl Laid {
    /// The part, once it has a name.
    pub(super) fn named(self, name: BlobName) -> Part {
        match self {
            Self::Stays(part) => part,
            Self::New { from, sha256, .. } => Part { name, from, sha256 },
        }
    }
}

/// Lays entries out over the parts that there are.
pub(super) fn lay(entries: Entries, parts: &[Part], limits: &Limits) -> Layout {
    let list: Vec<&Entry> = entries.values().collect();
    if is_small(&list, limits) {
        return Layout::Inline(entries.into_values().collect());
    }
    let mut laid = Vec::new();
    let mut rest: Vec<_> = entries.iter().collect();
    for (part, next) in parts
        .iter()
        .zip(parts.iter().skip(1).map(Some).chain([None]))
    {
        let is_before = |(key, _): &(&String, &Entry)| next.is_none_or(|next| **key < next.from);
        let after = rest.split_off(rest.partition_point(is_before));
        let range = std::mem::replace(&mut rest, after);
        if Text::of(&values(&range)).sha256 == part.sha256 {
            laid.push(Laid::Stays(part.clone()));
        } else {
            split(&range, limits, &mut laid);
        }
    }
    split(&rest, limits, &mut laid);
    Layout::Parts(laid)
}

/// Whether a list may stay in the head.
fn is_small(list: &[&Entry], limits: &Limits) -> bool {
    // Counting them first spares the text of what is far too long.
    const LEAST: usize = 32;
    list.len() * LEAST <= limits.inline && Text::of(&list).json.len() <= limits.inline
}

fn values<'e>(range: &[(&String, &'e Entry)]) -> Vec<&'e Entry> {
    range.iter().map(|(_, entry)| *entry).collect()
}

/// Makes parts of a range, none of them too large.
fn split(range: &[(&String, &Entry)], limits: &Limits, laid: &mut Vec<Laid>) {
    let Some((from, _)) = range.first() else {
        return;
    };
    let text = Text::of(&values(range));
    if text.json.len() <= limits.part_text || range.len() == 1 {
        let bytes = text.pack();
        if bytes.len() <= limits.part || range.len() == 1 {
            laid.push(Laid::New {
                from: (*from).clone(),
                sha256: text.sha256,
                bytes,
            });
            return;
        }
    }
    let (low, high) = range.split_at(range.len() / 2);
    split(low, limits, laid);
    split(high, limits, laid);
}
