//! What the inventory turns out to know once the picture is held against it, before anything is planned.
//!
//! - Writes whose record was lost, to a kill or to an answer that never came: what of their intents shows.
//! - Objects whose scope somebody renamed to a name that a manifest declares: their entries go by that name.
//!
//! Both are learned without a write, and planning starts from what was learned, so that a run that was killed between any
//! two steps is planned on as if it had not been.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::TOMBSTONE;
use crate::model::{
    AppRef, DesiredTarget, Intent, Live, LiveApp, LiveAppScopes, LiveScope, OpenIntent, Owned,
    OwnedApp, OwnedScope, Record, RemoteId, ScopeName,
};

/// The inventory as it should be, and the records that make it so.
pub fn settle<'a>(
    desired: &DesiredTarget,
    live: &Live,
    owned: &'a Owned,
    now: Timestamp,
) -> (Cow<'a, Owned>, Vec<Record>) {
    let mut records = intents(live, owned, now);
    let mut owned = Cow::Borrowed(owned);
    take(&records, &mut owned);
    let moved = moved(desired, live, &owned);
    take(&moved, &mut owned);
    records.extend(moved);
    let respelled = respelled(live, &owned);
    take(&respelled, &mut owned);
    records.extend(respelled);
    (owned, records)
}

pub(super) fn take(records: &[Record], owned: &mut Cow<'_, Owned>) {
    if !records.is_empty() {
        let owned = owned.to_mut();
        for record in records {
            owned.record(record.clone());
        }
    }
}

/// The apps of a picture by their full references, each once: a manifest may leave the key out, and two may lead to one key.
pub(super) fn apps(live: &Live) -> BTreeMap<&AppRef, &LiveAppScopes> {
    let present = live.apps.values().filter_map(|app| match app {
        LiveApp::Present(app) => Some((&app.app, app)),
        LiveApp::Absent { .. } => None,
    });
    let mut seen = BTreeSet::new();
    present
        .filter(|(app, _)| seen.insert(app.identity()))
        .collect()
}

/// What is ours among what is live.
pub struct Entries<'a> {
    owned: &'a Owned,
    by_id: BTreeMap<&'a RemoteId, &'a ScopeName>,
}

impl<'a> Entries<'a> {
    /// Looks them up in an inventory.
    pub fn of(owned: &'a Owned) -> Self {
        let scopes = owned.scopes.iter();
        let by_id = scopes.filter_map(|(name, entry)| Some((entry.remote_id.as_ref()?, name)));
        Self {
            owned,
            by_id: by_id.collect(),
        }
    }

    /// The entry of a live scope, with the inventory's name for it: by its id, and by its name where it has none.
    pub fn get(&self, live: &LiveScope) -> Option<(&'a ScopeName, &'a OwnedScope)> {
        let name = match &live.remote_id {
            Some(id) => self.by_id.get(id).copied()?,
            None => &live.name,
        };
        self.owned.scopes.get_key_value(name)
    }
}

/// The live names by id.
pub(super) fn by_id(live: &Live) -> BTreeMap<&RemoteId, &ScopeName> {
    live.scopes
        .values()
        .filter_map(|scope| Some((scope.remote_id.as_ref()?, &scope.name)))
        .collect()
}

/// How long an intent stays open while no reading shows what came of it: a list may lag, and what shows much later is more
/// likely somebody else's.
const OPEN: SignedDuration = TOMBSTONE;

/// What came of each intent, as far as this picture tells.
///
/// | intent | the picture | result |
/// |---|---|---|
/// | create | as it was sent, or some of what was sent shows | ours |
/// | create | absent, or nothing of it shows | stays open |
/// | update, list of an app | as it was sent | applied |
/// | update, list of an app | entries that were to be added show | those are ours |
/// | update, list of an app | nothing of it shows | stays open |
/// | rename | under the new name | applied |
/// | rename | else | stays open |
/// | delete, detach | gone | forgotten |
/// | delete, detach | there | not made |
///
/// What stays open does so for a day, or until a newer write to the same object.
fn intents(live: &Live, owned: &Owned, now: Timestamp) -> Vec<Record> {
    let apps = apps(live);
    let seen = Seen { live, apps, owned };
    let settle = |open: &OpenIntent| {
        let found = seen.result(&open.intent);
        if found.is_empty() && now.duration_since(open.at) > OPEN {
            return vec![open.intent.settled()];
        }
        let not_made = found.contains(&open.intent.settled());
        let not_removed = open.removals.iter().filter(|_| not_made).cloned();
        found
            .into_iter()
            .chain(not_removed.map(Record::NotRemoved))
            .collect()
    };
    owned.intents.iter().flat_map(settle).collect()
}

/// What intents are held against.
struct Seen<'a> {
    live: &'a Live,
    apps: BTreeMap<&'a AppRef, &'a LiveAppScopes>,
    owned: &'a Owned,
}

impl Seen<'_> {
    /// What an intent turned out to have done; nothing while it stays open.
    fn result(&self, intent: &Intent) -> Vec<Record> {
        let record = match intent {
            Intent::CreateScope { name, entry, .. } => self
                .scope(name)
                .filter(|found| !self.is_owned(found) && shows(found, intent))
                .map(|found| ours(found, entry.clone())),
            Intent::UpdateScope { name, entry, .. } => {
                let found = self.scope(name);
                let found = found.filter(|found| found.remote_id == entry.remote_id);
                found.and_then(|found| {
                    if is_as_sent(found, intent) {
                        return Some(ours(found, entry.clone()));
                    }
                    let known = self.owned.scopes.get(name).unwrap_or(entry);
                    let known = with_roles_that_show(found, known, entry)?;
                    Some(ours(found, known))
                })
            }
            Intent::RenameScope {
                name,
                entry,
                replaces,
            } => self
                .scope(name)
                .filter(|found| found.remote_id.is_some() && found.remote_id == entry.remote_id)
                .map(|_| Record::Scope {
                    name: name.clone(),
                    entry: entry.clone(),
                    replaces: Some(replaces.clone()).filter(|old| old != name),
                }),
            Intent::SetAppScopes { app, scopes, entry } => self.apps.get(app).and_then(|found| {
                let entry = if found.scopes == *scopes {
                    entry.clone()
                } else {
                    with_scopes_that_show(found, self.owned.apps.get(app), entry)?
                };
                let app = app.clone();
                Some(Record::App { app, entry })
            }),
            Intent::DeleteScope {
                name,
                live,
                remote_id,
            } => {
                let is_there = match remote_id {
                    Some(_) => {
                        let mut scopes = self.live.scopes.values();
                        scopes.any(|found| found.remote_id == *remote_id)
                    }
                    None => self.live.scopes.contains_key(live),
                };
                Some(if is_there {
                    intent.settled()
                } else {
                    Record::ForgetScope { name: name.clone() }
                })
            }
            Intent::DetachApp { app } => Some(if self.apps.contains_key(app) {
                intent.settled()
            } else {
                Record::ForgetApp { app: app.clone() }
            }),
        };
        record.into_iter().collect()
    }

    /// A live scope. Of two of one name nobody can tell which is the one that was written.
    fn scope(&self, name: &ScopeName) -> Option<&LiveScope> {
        let found = self.live.scopes.get(name);
        found.filter(|_| !self.live.duplicates.contains(name))
    }

    /// Whether it is known by its id. Where a scope has none, what is there now appeared since the intent, whatever was
    /// known by its name before.
    fn is_owned(&self, found: &LiveScope) -> bool {
        let mut entries = self.owned.scopes.values();
        found.remote_id.is_some() && entries.any(|entry| entry.remote_id == found.remote_id)
    }
}

fn ours(found: &LiveScope, entry: OwnedScope) -> Record {
    Record::Scope {
        name: found.name.clone(),
        entry: OwnedScope {
            remote_id: found.remote_id.clone(),
            ..entry
        },
        replaces: None,
    }
}

/// What is known of a scope, with the roles that an update was to add and that show.
fn with_roles_that_show(
    found: &LiveScope,
    known: &OwnedScope,
    sent: &OwnedScope,
) -> Option<OwnedScope> {
    let mut entry = known.clone();
    let applied = entry.applied.roles.get_or_insert_default();
    let before = applied.len();
    for (role, sources) in sent.applied.roles.iter().flatten() {
        if found.roles.contains(role) && !applied.contains_key(role) {
            applied.insert(role.clone(), sources.clone());
        }
    }
    (applied.len() > before).then_some(entry)
}

/// What is known of an app's list, with the scopes that a write was to add and that show.
fn with_scopes_that_show(
    found: &LiveAppScopes,
    known: Option<&OwnedApp>,
    sent: &OwnedApp,
) -> Option<OwnedApp> {
    let mut entry = known.cloned().unwrap_or_else(|| OwnedApp {
        applied: BTreeSet::new(),
        ..sent.clone()
    });
    let before = entry.applied.len();
    let shown = sent.applied.intersection(&found.scopes).cloned();
    entry.applied.extend(shown);
    (entry.applied.len() > before).then_some(entry)
}

/// Whether something of what was to be made shows: more than its name, which anybody may give.
fn shows(found: &LiveScope, intent: &Intent) -> bool {
    let Intent::CreateScope {
        description, roles, ..
    } = intent
    else {
        return false;
    };
    let text = description.as_ref().filter(|text| !text.is_empty());
    let has_text = text.is_some() && text == found.description.as_ref();
    let has_roles = !roles.is_empty() && roles.iter().all(|role| found.roles.contains(role));
    has_text || has_roles || is_as_sent(found, intent)
}

/// Whether a scope is just as it was sent.
fn is_as_sent(found: &LiveScope, intent: &Intent) -> bool {
    let (Intent::CreateScope {
        display_name,
        description,
        roles,
        ..
    }
    | Intent::UpdateScope {
        display_name,
        description,
        roles,
        ..
    }) = intent
    else {
        return false;
    };
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    text(description.as_ref()) == text(found.description.as_ref())
        && (display_name.is_none() || display_name == &found.display_name)
        && *roles == found.roles.iter().cloned().collect()
}

/// Entries of apps that the picture has under another spelling: they go by that one.
fn respelled(live: &Live, owned: &Owned) -> Vec<Record> {
    if owned.apps.is_empty() {
        return Vec::new();
    }
    let apps = apps(live);
    let spelled: BTreeMap<_, _> = apps.keys().map(|app| (app.identity(), *app)).collect();
    let present = live.apps.values().filter_map(|app| match app {
        LiveApp::Present(app) => Some(&app.app),
        LiveApp::Absent { .. } => None,
    });
    let present: BTreeSet<&AppRef> = present.collect();
    let mut taken: BTreeSet<&AppRef> = owned.apps.keys().collect();
    let mut records = Vec::new();
    for (old, entry) in &owned.apps {
        // Where both spellings are asked for, two manifests mean one app: nothing is done about it.
        let Some(app) = spelled
            .get(&old.identity())
            .filter(|_| !present.contains(old))
        else {
            continue;
        };
        records.push(Record::ForgetApp { app: old.clone() });
        if taken.insert(*app) {
            records.push(Record::App {
                app: (*app).clone(),
                entry: entry.clone(),
            });
        }
    }
    records
}

/// Entries whose object is live under another name that a manifest declares. All of them move at once: two may have
/// swapped their names.
fn moved(desired: &DesiredTarget, live: &Live, owned: &Owned) -> Vec<Record> {
    let by_id = by_id(live);
    let names: BTreeMap<&ScopeName, &ScopeName> = owned
        .scopes
        .iter()
        .filter_map(|(name, entry)| {
            let at = by_id.get(entry.remote_id.as_ref()?).copied()?;
            (at != name && desired.scopes.contains_key(at)).then_some((name, at))
        })
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let forget = names.keys().map(|name| Record::ForgetScope {
        name: (*name).clone(),
    });
    let enter = names.iter().map(|(name, at)| {
        let mut entry = owned.scopes[*name].clone();
        if desired.scopes[*at].previous_names.contains(*name) {
            entry.renamed_from.insert((*name).clone());
        }
        Record::Scope {
            name: (*at).clone(),
            entry,
            replaces: None,
        }
    });
    let apps = owned.apps.iter().filter_map(|(app, entry)| {
        let applied: BTreeSet<ScopeName> = entry
            .applied
            .iter()
            .map(|name| names.get(name).copied().unwrap_or(name).clone())
            .collect();
        (applied != entry.applied).then(|| {
            let mut entry = entry.clone();
            entry.applied = applied;
            let app = app.clone();
            Record::App { app, entry }
        })
    });
    forget.chain(enter).chain(apps).collect()
}
