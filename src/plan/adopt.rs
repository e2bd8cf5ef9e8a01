//! What becomes ours by somebody's word alone: live objects that manifests declare, without a write to the system.
//!
//! | the object | all are adopted | it is named |
//! |---|---|---|
//! | live, and nobody holds it | adopted | adopted |
//! | live, and this manifest holds it | adopted | adopted |
//! | live, and another manifest holds it | left | adopted, and said whose it was |
//! | not live, inherited, or listed twice | left | left |
//!
//! What was protected stays protected: only its own manifest, once applied, takes that back.

use std::collections::{BTreeMap, BTreeSet};

use super::settle::Entries;
use crate::model::{
    Coverage, DesiredApp, DesiredScope, DesiredTarget, ForeignScopes, LastApplied, Live, LiveApp,
    LiveAppScopes, LiveScope, ManifestRef, Origin, Owned, OwnedApp, OwnedScope, Record, RoleName,
    ScopeName, Source,
};

/// How a manifest was chosen to be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// With all others.
    All,
    /// By its name.
    Named,
}

/// What becomes of one chosen manifest's object.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// The manifest.
    pub manifest: &'a Source,
    /// `scope orders:read`
    pub label: String,
    /// What becomes of it.
    pub outcome: AdoptOutcome,
}

/// What becomes of an object that is to be adopted.
#[derive(Debug, Clone, PartialEq)]
pub enum AdoptOutcome {
    /// It becomes ours.
    Taken {
        /// What the inventory records.
        record: Box<Record>,
        /// The other manifest that held it.
        from: Option<ManifestRef>,
    },
    /// It was adopted before, just as it is.
    Unchanged,
    /// It is left, for this reason.
    Left(String),
}

/// Says what becomes of the manifests' objects on one target; `chosen` tells which are meant. `owned` is settled already.
/// What a manifest held that is gone, as `coverage` tells, is held by nobody.
pub fn adopt<'a>(
    desired: &'a DesiredTarget,
    live: &Live,
    owned: &Owned,
    coverage: &Coverage,
    chosen: &dyn Fn(&Source) -> Option<Chosen>,
) -> Vec<Choice<'a>> {
    let entries = Entries::of(owned);
    let mut choices = Vec::new();
    for scope in desired.scopes.values() {
        if let Some(chosen) = chosen(&scope.source) {
            choices.push(Choice {
                manifest: &scope.source,
                label: format!("scope {}", scope.name),
                outcome: adopt_scope(scope, live, &entries, Taking { coverage, chosen }),
            });
        }
    }
    for app in &desired.apps {
        if let Some(chosen) = chosen(&app.source) {
            choices.push(Choice {
                manifest: &app.source,
                label: format!("app {}", app.app),
                outcome: adopt_app(app, live, owned, Taking { coverage, chosen }),
            });
        }
    }
    choices
}

/// An object that is to be ours no more.
#[derive(Debug)]
pub struct Release<'a> {
    /// What it is called, for people.
    pub label: String,
    /// The manifest that holds it.
    pub holder: &'a ManifestRef,
    /// What makes it so.
    pub records: Vec<Record>,
}

/// Takes what a manifest holds out of what is ours: each object with the records that do it. An entry of an older format
/// names no manifest; it goes by the name of its scope.
pub fn release<'a>(
    owned: &'a Owned,
    is_meant: &dyn Fn(&ManifestRef) -> bool,
    is_named: &dyn Fn(&ScopeName) -> bool,
) -> Vec<Release<'a>> {
    let is_older = |manifest: &ManifestRef| manifest.name.is_empty();
    let scopes = owned.scopes.iter().filter(|(name, entry)| {
        is_meant(&entry.source) || is_older(&entry.source) && is_named(name)
    });
    let scopes = scopes.map(|(name, entry)| {
        let settled = Record::SettledScope { name: name.clone() };
        let forgotten = Record::ForgetScope { name: name.clone() };
        Release {
            label: format!("scope {name}"),
            holder: &entry.source,
            records: vec![settled, forgotten],
        }
    });
    let apps = owned
        .apps
        .iter()
        .filter(|(_, entry)| is_meant(&entry.source));
    let apps = apps.map(|(app, entry)| {
        let settled = Record::SettledApp { app: app.clone() };
        let forgotten = Record::ForgetApp { app: app.clone() };
        Release {
            label: format!("app {app}"),
            holder: &entry.source,
            records: vec![settled, forgotten],
        }
    });
    scopes.chain(apps).collect()
}

fn adopt_scope(
    scope: &DesiredScope,
    live: &Live,
    entries: &Entries<'_>,
    taking: Taking<'_>,
) -> AdoptOutcome {
    // A scope under a previous name is adopted under that name, so that it may be renamed.
    let mut names = std::iter::once(&scope.name).chain(&scope.previous_names);
    let is_live =
        |name: &&ScopeName| live.scopes.contains_key(*name) || live.duplicates.contains(*name);
    let Some(name) = names.find(is_live) else {
        return AdoptOutcome::Left("it is not live".to_owned());
    };
    let is_alone = !live.duplicates.contains(name);
    let Some(found) = live.scopes.get(name).filter(|_| is_alone) else {
        return AdoptOutcome::Left("the system lists it more than once".to_owned());
    };
    if found.inherited {
        return AdoptOutcome::Left("it is inherited from a parent configuration".to_owned());
    }
    let known = entries.get(found);
    let holder = known.map(|(_, entry)| &entry.source);
    let from = match taking.from(holder, &scope.source) {
        Ok(from) => from,
        Err(why) => return AdoptOutcome::Left(why),
    };
    let entry = adopted_scope(scope, found, known.map(|(_, entry)| entry));
    if known == Some((name, &entry)) {
        return AdoptOutcome::Unchanged;
    }
    let replaces = known.map(|(old, _)| old.clone());
    let record = Record::Scope {
        name: name.clone(),
        entry,
        replaces: replaces.filter(|old| old != name),
    };
    AdoptOutcome::Taken {
        record: Box::new(record),
        from,
    }
}

fn adopt_app(app: &DesiredApp, live: &Live, owned: &Owned, taking: Taking<'_>) -> AdoptOutcome {
    let found = match live.apps.get(&app.app) {
        Some(LiveApp::Present(found)) => found,
        Some(LiveApp::Absent { why }) => {
            return AdoptOutcome::Left(format!("it cannot be found: {why}"));
        }
        None => return AdoptOutcome::Left("it is not live".to_owned()),
    };
    let known = owned.apps.get(&found.app);
    let from = match taking.from(known.map(|entry| &entry.source), &app.source) {
        Ok(from) => from,
        Err(why) => return AdoptOutcome::Left(why),
    };
    let entry = adopted_app(app, found, known);
    if known == Some(&entry) {
        return AdoptOutcome::Unchanged;
    }
    let record = Record::App {
        app: found.app.clone(),
        entry,
    };
    AdoptOutcome::Taken {
        record: Box::new(record),
        from,
    }
}

/// What decides whether an object is taken from another manifest.
#[derive(Clone, Copy)]
struct Taking<'a> {
    coverage: &'a Coverage,
    chosen: Chosen,
}

impl Taking<'_> {
    /// The other manifest that an object is taken from, if one holds it; nothing is taken from another unless it is named.
    fn from(
        self,
        holder: Option<&ManifestRef>,
        manifest: &Source,
    ) -> Result<Option<ManifestRef>, String> {
        let holds = |holder: &&ManifestRef| {
            holder.file != manifest.file && !self.coverage.of(&holder.file).may_hand_over()
        };
        match holder.filter(holds) {
            Some(holder) if self.chosen == Chosen::All => Err(format!(
                "{} holds it; name it to take it from there",
                holder.file.beside(&manifest.file)
            )),
            holder => Ok(holder.cloned()),
        }
    }
}

/// Everything live counts as applied from here on: what the manifest leaves out goes with the next `sync`. Where it leaves
/// the set to others beside itself, only what is its own does: the next `sync` must not take theirs.
fn adopted_scope(
    scope: &DesiredScope,
    live: &LiveScope,
    before: Option<&OwnedScope>,
) -> OwnedScope {
    OwnedScope {
        origin: Origin::Adopted,
        remote_id: live.remote_id.clone(),
        source: scope.source.manifest(),
        deletion_policy: scope.deletion_policy,
        protected: scope.protected || before.is_some_and(|entry| entry.protected),
        applied: LastApplied {
            display_name: live.state.display_name.clone(),
            description: live.state.description.clone(),
            roles: roles_as_applied(scope, live, before),
            all_roles: scope.roles.whole,
        },
        hold_until: scope
            .hold_until
            .max(before.and_then(|entry| entry.hold_until)),
        renamed_from: before
            .map(|entry| entry.renamed_from.clone())
            .unwrap_or_default(),
        parked_for: before.and_then(|entry| entry.parked_for.clone()),
        vanished_at: None,
        wanted_by: None,
    }
}

/// The live roles that count as applied by a manifest once its scope is adopted, each with the manifests that ask for it:
/// without `bindings` of its own, those that are contributed or were applied before; `None` where roles are not managed.
pub(super) fn roles_as_applied(
    scope: &DesiredScope,
    live: &LiveScope,
    before: Option<&OwnedScope>,
) -> Option<BTreeMap<RoleName, BTreeSet<ManifestRef>>> {
    let wanted = &scope.roles.entries;
    if !scope.roles.whole && wanted.is_empty() {
        return None;
    }
    let last = before.and_then(|entry| entry.applied.roles.as_ref());
    let sources = |role: &RoleName| {
        let known = wanted.get(role).or_else(|| last?.get(role));
        known.cloned()
    };
    let own = |role: &RoleName| match sources(role) {
        Some(sources) => Some((role.clone(), sources)),
        None if scope.roles.whole => Some((role.clone(), [scope.source.manifest()].into())),
        None => None,
    };
    Some(live.state.roles.iter().filter_map(own).collect())
}

fn adopted_app(app: &DesiredApp, live: &LiveAppScopes, before: Option<&OwnedApp>) -> OwnedApp {
    let mut applied = live.effective();
    if app.foreign == ForeignScopes::Keep {
        let wanted = live.effective_of(&app.scope_set());
        let last = before.map(|entry| live.effective_of(&entry.applied));
        applied.retain(|scope| {
            wanted.contains(scope) || last.as_ref().is_some_and(|last| last.contains(scope))
        });
    }
    OwnedApp {
        origin: Origin::Adopted,
        source: app.source.manifest(),
        deletion_policy: app.deletion_policy,
        applied,
        hold_until: app
            .hold_until
            .max(before.and_then(|entry| entry.hold_until)),
        vanished_at: None,
        wanted_by: None,
    }
}
