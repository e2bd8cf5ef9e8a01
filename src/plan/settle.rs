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

use crate::model::{
    AppRef, DesiredApp, DesiredTarget, DisplayNames, ForeignScopes, Intent, Live, LiveApp,
    LiveAppScopes, LiveScope, Origin, Owned, OwnedApp, OwnedScope, Record, RemoteId, RoleName,
    ScopeName, ScopeState,
};

/// The inventory as it should be, and the records that make it so.
pub fn settle<'a>(
    desired: &DesiredTarget,
    live: &Live,
    owned: &'a Owned,
    now: Timestamp,
) -> (Cow<'a, Owned>, Vec<Record>) {
    let mut owned = Cow::Borrowed(owned);
    let mut records = intents(desired, live, &mut owned, now);
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
            None => &live.state.name,
        };
        self.owned.scopes.get_key_value(name)
    }
}

/// The live names by id.
pub(super) fn by_id(live: &Live) -> BTreeMap<&RemoteId, &ScopeName> {
    live.scopes
        .values()
        .filter_map(|scope| Some((scope.remote_id.as_ref()?, &scope.state.name)))
        .collect()
}

/// How long after a write a list may lag behind it. A later reading that shows nothing of it says that nothing came of it:
/// what shows after that is somebody else's.
const LAG: SignedDuration = SignedDuration::from_mins(10);

/// What came of each intent, as far as this picture tells.
///
/// | intent | the picture | result |
/// |---|---|---|
/// | create | as it was sent, or some of what was sent shows | ours |
/// | create | absent, or nothing of it shows | stays open |
/// | update, list of an app | as it was sent | applied |
/// | update, list of an app | entries that it was adding show | those are ours |
/// | update, list of an app | nothing of that shows | stays open |
/// | rename | under the new name | applied |
/// | rename | else | stays open |
/// | delete, detach | gone | forgotten |
/// | delete, detach | there | not made |
///
/// What was there before a write is nobody's still, though it was sent along. And a set of which nothing was applied before
/// becomes known by a part only where the entries of others stay in it, or where the app was being attached: else what others have there
/// could be taken out without the word that a first contact needs.
///
/// What stays open does so until a reading that no longer lags. One object may have several: the write of each run that was
/// killed. They are settled in the order in which they were recorded.
fn intents(
    desired: &DesiredTarget,
    live: &Live,
    owned: &mut Cow<'_, Owned>,
    now: Timestamp,
) -> Vec<Record> {
    let apps = apps(live);
    let mut records = Vec::new();
    let mut still_open = Vec::new();
    for open in owned.intents.clone() {
        let seen = Evidence {
            desired,
            live,
            apps: &apps,
            owned,
        };
        let is_late = now.duration_since(open.at) > LAG;
        let came_of_it = seen.result(&open.intent);
        if matches!(came_of_it, Shown::Nothing | Shown::Part(_)) && !is_late {
            still_open.push(open.clone());
        }
        let settled = match came_of_it {
            Shown::Nothing if is_late => vec![open.intent.came_to_nothing()],
            Shown::Nothing => Vec::new(),
            Shown::Part(record) | Shown::All(record) => vec![record],
            Shown::NotMade => std::iter::once(open.intent.came_to_nothing())
                .chain(open.removals.into_iter().map(Record::NotRemoved))
                .collect(),
        };
        take(&settled, owned);
        records.extend(settled);
    }
    // To record an object settles everything that was open for it.
    still_open.retain(|open| !owned.intents.contains(open));
    let reopened: Vec<_> = still_open.into_iter().map(Record::Intent).collect();
    take(&reopened, owned);
    records.extend(reopened);
    records
}

/// What a picture shows of an intent.
enum Shown {
    /// Nothing.
    Nothing,
    /// Some of what was to be added; the rest may follow.
    Part(Record),
    /// All of it, or enough to tell.
    All(Record),
    /// That it was not made.
    NotMade,
}

/// What intents are held against.
struct Evidence<'a> {
    desired: &'a DesiredTarget,
    live: &'a Live,
    apps: &'a BTreeMap<&'a AppRef, &'a LiveAppScopes>,
    owned: &'a Owned,
}

impl Evidence<'_> {
    fn result(&self, intent: &Intent) -> Shown {
        let all = |record: Option<Record>| record.map_or(Shown::Nothing, Shown::All);
        match intent {
            Intent::CreateScope { state, entry } => all(self
                .scope(&state.name)
                .filter(|found| !self.is_owned(found) && shows(&found.state, state))
                .map(|found| ours(found, entry.clone()))),
            Intent::UpdateScope { state, entry, adds } => self
                .scope(&state.name)
                .filter(|found| found.remote_id == entry.remote_id)
                .map_or(Shown::Nothing, |found| {
                    self.updated(found, state, entry, adds)
                }),
            Intent::RenameScope {
                name,
                entry,
                replaces,
            } => all(self
                .scope(name)
                .filter(|found| found.remote_id.is_some() && found.remote_id == entry.remote_id)
                .map(|_| Record::Scope {
                    name: name.clone(),
                    entry: entry.clone(),
                    replaces: Some(replaces.clone()).filter(|old| old != name),
                })),
            Intent::SetAppScopes {
                app,
                scopes,
                entry,
                adds,
            } => {
                let found = self.apps.get(app);
                let record = |entry| Record::App {
                    app: app.clone(),
                    entry,
                };
                match found {
                    None => Shown::Nothing,
                    Some(found) if found.scopes == *scopes => Shown::All(record(entry.clone())),
                    Some(found) => self
                        .known_list(found, entry)
                        .and_then(|known| with_scopes_that_show(found, known, adds))
                        .map_or(Shown::Nothing, |entry| Shown::Part(record(entry))),
                }
            }
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
                if is_there {
                    Shown::NotMade
                } else {
                    Shown::All(Record::ForgetScope { name: name.clone() })
                }
            }
            Intent::DetachApp { app } if self.apps.contains_key(app) => Shown::NotMade,
            Intent::DetachApp { app } => Shown::All(Record::ForgetApp { app: app.clone() }),
        }
    }

    /// What a scope shows of an update of it.
    fn updated(
        &self,
        found: &LiveScope,
        sent: &ScopeState,
        entry: &OwnedScope,
        adds: &BTreeSet<RoleName>,
    ) -> Shown {
        if is_as_sent(&found.state, sent) {
            return Shown::All(ours(found, entry.clone()));
        }
        let wanted = self.desired.scopes.get(&found.state.name);
        let others_stay = wanted.is_some_and(|wanted| !wanted.roles.whole);
        let known = self.owned.scopes.get(&found.state.name);
        known
            .filter(|known| known.remote_id == found.remote_id)
            .filter(|known| known.applied.roles.is_some() || others_stay)
            .and_then(|known| with_roles_that_show(found, known, entry, adds))
            .map_or(Shown::Nothing, |known| Shown::Part(ours(found, known)))
    }

    /// What is known of an app's list beside the write at hand: nothing but whose it is, where it was not known before.
    fn known_list(&self, found: &LiveAppScopes, entry: &OwnedApp) -> Option<OwnedApp> {
        let known = self.owned.apps.get(&found.app).cloned();
        let is_meant = |wanted: &&DesiredApp| match self.live.apps.get(&wanted.app) {
            Some(LiveApp::Present(live)) => live.app == found.app,
            _ => false,
        };
        let mut wanted = self.desired.apps.iter().filter(is_meant);
        let others_stay = wanted.any(|wanted| wanted.foreign == ForeignScopes::Keep);
        let was_attached = entry.origin == Origin::Created;
        known.or_else(|| {
            (others_stay || was_attached).then(|| OwnedApp {
                applied: BTreeSet::new(),
                ..entry.clone()
            })
        })
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
        name: found.state.name.clone(),
        entry: OwnedScope {
            remote_id: found.remote_id.clone(),
            ..entry
        },
        replaces: None,
    }
}

/// What is known of a scope, with the roles that an update was adding and that show.
fn with_roles_that_show(
    found: &LiveScope,
    known: &OwnedScope,
    sent: &OwnedScope,
    adds: &BTreeSet<RoleName>,
) -> Option<OwnedScope> {
    let mut entry = known.clone();
    let applied = entry.applied.roles.get_or_insert_default();
    let before = applied.len();
    for (role, sources) in sent.applied.roles.iter().flatten() {
        let shows = adds.contains(role) && found.state.roles.contains(role);
        if shows && !applied.contains_key(role) {
            applied.insert(role.clone(), sources.clone());
        }
    }
    (applied.len() > before).then_some(entry)
}

/// What is known of an app's list, with the scopes that a write was adding and that show.
fn with_scopes_that_show(
    found: &LiveAppScopes,
    mut known: OwnedApp,
    adds: &BTreeSet<ScopeName>,
) -> Option<OwnedApp> {
    let before = known.applied.len();
    let shown = adds.intersection(&found.scopes).cloned();
    known.applied.extend(shown);
    (known.applied.len() > before).then_some(known)
}

/// Whether something of what was to be made shows: more than its name, which anybody may give.
fn shows(found: &ScopeState, sent: &ScopeState) -> bool {
    let text = sent.description.as_ref().filter(|text| !text.is_empty());
    let has_text = text.is_some() && text == found.description.as_ref();
    let has_roles =
        !sent.roles.is_empty() && sent.roles.iter().all(|role| found.roles.contains(role));
    has_text || has_roles || is_as_sent(found, sent)
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

/// Whether a scope is just as it was sent: a display name that was sent has to show.
fn is_as_sent(found: &ScopeState, sent: &ScopeState) -> bool {
    let has_name = sent.display_name.is_none() || sent.display_name == found.display_name;
    has_name && found.holds(sent, DisplayNames::AsShown)
}
