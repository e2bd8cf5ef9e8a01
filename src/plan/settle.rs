//! What the inventory turns out to know once the picture is held against it, before anything is planned.
//!
//! - Writes whose record was lost, to a kill or to an answer that never came: their intents took effect or did not.
//! - Objects whose scope somebody renamed to a name that a manifest declares: their entries go by that name.
//!
//! Both are learned without a write, and planning starts from what was learned, so that a run that was killed between any
//! two steps is planned on as if it had not been.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    AppRef, DesiredTarget, Intent, Live, LiveApp, LiveAppScopes, LiveScope, Owned, OwnedScope,
    Record, RemoteId, RoleName, ScopeName,
};

/// The inventory as it should be, and the records that make it so.
pub fn settle<'a>(
    desired: &DesiredTarget,
    live: &Live,
    owned: &'a Owned,
) -> (Cow<'a, Owned>, Vec<Record>) {
    let mut records = intents(live, owned);
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

/// Every intent is settled, one way or the other.
fn intents(live: &Live, owned: &Owned) -> Vec<Record> {
    if owned.intents.is_empty() {
        return Vec::new();
    }
    let apps = apps(live);
    let owned_ids: BTreeSet<&RemoteId> = owned
        .scopes
        .values()
        .filter_map(|entry| entry.remote_id.as_ref())
        .collect();
    // Where a scope has no id, what is there now appeared since the intent, whatever was known by its name before.
    let is_owned = |found: &LiveScope| {
        let id = found.remote_id.as_ref();
        id.is_some_and(|id| owned_ids.contains(id))
    };
    // Of two scopes of one name nobody can tell which is the one that was written.
    let scope = |name: &ScopeName| {
        live.scopes
            .get(name)
            .filter(|_| !live.duplicates.contains(name))
    };
    let nothing = |name: &ScopeName| Record::SettledScope { name: name.clone() };
    let settle = |intent: &Intent| match intent {
        Intent::CreateScope {
            name,
            display_name,
            description,
            roles,
            entry,
        } => scope(name)
            .filter(|found| {
                !is_owned(found)
                    && is_as_sent(found, display_name.as_ref(), description.as_ref(), roles)
            })
            .map_or_else(|| nothing(name), |found| ours(found, entry)),
        Intent::UpdateScope {
            name,
            display_name,
            description,
            roles,
            entry,
        } => scope(name)
            .filter(|found| {
                found.remote_id == entry.remote_id
                    && is_as_sent(found, display_name.as_ref(), description.as_ref(), roles)
            })
            .map_or_else(|| nothing(name), |found| ours(found, entry)),
        Intent::RenameScope {
            name,
            entry,
            replaces,
        } => scope(name)
            .filter(|found| found.remote_id.is_some() && found.remote_id == entry.remote_id)
            .map_or_else(
                || nothing(name),
                |_| Record::Scope {
                    name: name.clone(),
                    entry: entry.clone(),
                    replaces: Some(replaces.clone()).filter(|old| old != name),
                },
            ),
        Intent::SetAppScopes { app, scopes, entry } => {
            if apps.get(app).is_some_and(|live| live.scopes == *scopes) {
                Record::App {
                    app: app.clone(),
                    entry: entry.clone(),
                }
            } else {
                Record::SettledApp { app: app.clone() }
            }
        }
    };
    owned.intents.iter().map(settle).collect()
}

fn ours(found: &LiveScope, entry: &OwnedScope) -> Record {
    Record::Scope {
        name: found.name.clone(),
        entry: OwnedScope {
            remote_id: found.remote_id.clone(),
            ..entry.clone()
        },
        replaces: None,
    }
}

fn is_as_sent(
    found: &LiveScope,
    display_name: Option<&String>,
    description: Option<&String>,
    roles: &BTreeSet<RoleName>,
) -> bool {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    text(description) == text(found.description.as_ref())
        && (display_name.is_none() || display_name == found.display_name.as_ref())
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
