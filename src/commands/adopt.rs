//! `adopt`: what the manifests declare and is live becomes ours, without a write to the system.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::session::{self, Session};
use super::{Exit, Stop, apply, output};
use crate::cli::{self, Only};
use crate::model::{
    Applied, DesiredApp, DesiredScope, DesiredTarget, ForeignScopes, Live, LiveApp, LiveAppScopes,
    LiveScope, Origin, Owned, OwnedApp, OwnedScope, Record, RoleName, ScopeName, Source,
};
use crate::plan::settle::{Entries, settle};
use crate::render::{count, visible};

/// A manifest: kind, namespace and name.
type Key<'a> = (&'a str, &'a str, &'a str);

/// What becomes of one chosen object on one target.
struct Choice<'a> {
    manifest: Key<'a>,
    /// `scope orders:read`
    label: String,
    fate: Fate,
}

enum Fate {
    Adopt(Box<Record>),
    /// Adopted before, just as it is.
    Ours,
    /// It cannot be adopted, for this reason.
    Left(String),
}

pub(super) async fn run(args: cli::Adopt) -> Result<Exit, Stop> {
    let session = Session::start(&args.reach).await?;
    if let Some(embedded) = &session.embedded {
        output::note(&embedded.heading());
    }
    let declared: BTreeSet<Key<'_>> = session
        .targets
        .iter()
        .flat_map(|target| declared(target))
        .collect();
    let wanted: BTreeSet<Key<'_>> = args
        .only
        .iter()
        .map(|only| named(only, &declared, &args.reach))
        .collect::<Result<_, _>>()?;
    let chosen = |key: Key<'_>| args.all || wanted.contains(&key);
    let inventory = apply::open_inventory(&session, &uuid::Uuid::new_v4().to_string()).await?;
    let observers = session.observers();
    let readings = session
        .read(observers.iter().map(|observer| observer.as_deref()))
        .await;

    let (mut adopted, mut left, mut failed) = (0, 0, false);
    let mut settled = BTreeSet::new();
    for reading in &readings {
        let target = &reading.desired.target;
        let live = match &reading.result {
            Ok(live) => live,
            Err(error) => {
                let why = crate::apply::failure(error);
                output::line(&format!("error: {}: {}", target.id, why.message));
                if let Some(help) = why.help {
                    output::line(&format!("  help: {help}"));
                }
                failed = true;
                continue;
            }
        };
        // What a killed run left open is settled first, and what was renamed goes by its present name.
        let owned = inventory.owned(&live.identity).await;
        let (owned, learned) = if target.suspend {
            (Cow::Borrowed(&owned), Vec::new())
        } else {
            settle(&reading.desired, live, &owned)
        };
        let recorded = inventory.record(&live.identity, &target.id, learned).await;
        recorded.map_err(|error| Stop::failed(super::sentence(&error)))?;
        for Choice {
            manifest,
            label,
            fate,
        } in choices(&reading.desired, live, &owned, &chosen)
        {
            let (word, why) = match fate {
                Fate::Adopt(record) => {
                    let recorded = inventory
                        .record(&live.identity, &target.id, vec![*record])
                        .await;
                    recorded.map_err(|error| Stop::failed(super::sentence(&error)))?;
                    adopted += 1;
                    settled.insert(manifest);
                    ("adopted", String::new())
                }
                Fate::Ours => {
                    left += 1;
                    settled.insert(manifest);
                    ("left", ": adopted already".to_owned())
                }
                Fate::Left(why) => {
                    left += 1;
                    ("left", format!(": {why}"))
                }
            };
            let line = format!("{word:<9}  {label} on {}{why}", target.id);
            output::print(&format!("{}\n", visible(&line)))?;
        }
    }
    apply::close(inventory).await?;
    if let Some(embedded) = session.embedded {
        embedded.stop().await?;
    }
    let left = match left {
        0 => String::new(),
        left => format!("; {left} left as they were"),
    };
    output::print(&format!(
        "Adopted: {}{left}. Inventory: {}\n",
        count(adopted, "object"),
        visible(&session.inventory_path.display().to_string())
    ))?;
    failed |= !session.loaded.complete || !wanted.is_subset(&settled);
    Ok(match (failed, adopted) {
        (false, _) => Exit::Done,
        (true, 0) => Exit::Failed,
        (true, _) => Exit::Partial,
    })
}

/// The manifest that `--only` names.
fn named<'a>(
    only: &Only,
    declared: &BTreeSet<Key<'a>>,
    reach: &cli::Reach,
) -> Result<Key<'a>, Stop> {
    let is_meant = |(kind, namespace, name): &&Key<'_>| {
        let meant = only
            .namespace
            .as_deref()
            .is_none_or(|own| own == *namespace);
        meant && *kind == only.kind && *name == only.name
    };
    let found: Vec<&Key<'_>> = declared.iter().filter(is_meant).collect();
    match found[..] {
        [key] => Ok(*key),
        [] => Err(Stop::usage(format!(
            "--only {only}: no manifest of that name is among {}",
            session::words(&reach.inputs.paths)
        ))),
        _ => {
            let names = found.iter().map(|(_, namespace, _)| *namespace);
            let names: Vec<&str> = names.collect();
            Err(Stop::usage(format!(
                "--only {only}: there is one in each of the namespaces {}",
                names.join(", ")
            ))
            .help(format!("write {}/NAMESPACE/{}", only.kind, only.name)))
        }
    }
}

fn key(source: &Source) -> Key<'_> {
    (&source.kind, &source.namespace, &source.name)
}

fn declared(target: &DesiredTarget) -> impl Iterator<Item = Key<'_>> {
    let scopes = target.scopes.values().map(|scope| key(&scope.source));
    scopes.chain(target.apps.iter().map(|app| key(&app.source)))
}

/// What becomes of each chosen object of a target.
fn choices<'a>(
    desired: &'a DesiredTarget,
    live: &Live,
    owned: &Owned,
    chosen: &dyn Fn(Key<'_>) -> bool,
) -> Vec<Choice<'a>> {
    let fate = |fate: Fate| {
        if desired.target.suspend {
            Fate::Left("the target is suspended".to_owned())
        } else {
            fate
        }
    };
    let entries = Entries::of(owned);
    let mut choices = Vec::new();
    for scope in desired
        .scopes
        .values()
        .filter(|scope| chosen(key(&scope.source)))
    {
        choices.push(Choice {
            manifest: key(&scope.source),
            label: format!("scope {}", scope.name),
            fate: fate(scope_fate(scope, live, &entries)),
        });
    }
    for app in desired.apps.iter().filter(|app| chosen(key(&app.source))) {
        choices.push(Choice {
            manifest: key(&app.source),
            label: format!("app {}", app.app),
            fate: fate(app_fate(app, live, owned)),
        });
    }
    choices
}

fn scope_fate(scope: &DesiredScope, live: &Live, entries: &Entries<'_>) -> Fate {
    // A scope under a previous name is adopted under that name, so that it may be renamed.
    let mut names = std::iter::once(&scope.name).chain(&scope.previous_names);
    let is_live =
        |name: &&ScopeName| live.scopes.contains_key(*name) || live.duplicates.contains(*name);
    let Some(name) = names.find(is_live) else {
        return Fate::Left("not live".to_owned());
    };
    let Some(found) = live
        .scopes
        .get(name)
        .filter(|_| !live.duplicates.contains(name))
    else {
        return Fate::Left("the system lists it more than once".to_owned());
    };
    if found.inherited {
        return Fate::Left("inherited from a parent configuration".to_owned());
    }
    let known = entries.get(found);
    let entry = adopted_scope(scope, found, known.map(|(_, entry)| entry));
    if known == Some((name, &entry)) {
        return Fate::Ours;
    }
    let replaces = known.map(|(old, _)| old.clone());
    Fate::Adopt(Box::new(Record::Scope {
        name: name.clone(),
        entry,
        replaces: replaces.filter(|old| old != name),
    }))
}

fn app_fate(app: &DesiredApp, live: &Live, owned: &Owned) -> Fate {
    let found = match live.apps.get(&app.app) {
        Some(LiveApp::Present(found)) => found,
        Some(LiveApp::Absent { why }) => return Fate::Left(format!("cannot be found: {why}")),
        None => return Fate::Left("not live".to_owned()),
    };
    let entry = adopted_app(app, found, owned.apps.get(&found.app));
    if owned.apps.get(&found.app) == Some(&entry) {
        return Fate::Ours;
    }
    Fate::Adopt(Box::new(Record::App {
        app: found.app.clone(),
        entry,
    }))
}

/// Everything live counts as applied from here on: what the manifest leaves out goes with the next `sync`. Where it leaves
/// the set to others beside itself, only what is its own does: the next `sync` must not take theirs.
fn adopted_scope(
    scope: &DesiredScope,
    live: &LiveScope,
    before: Option<&OwnedScope>,
) -> OwnedScope {
    let manifest = scope.source.manifest();
    let last = before.and_then(|entry| entry.applied.roles.as_ref());
    let wanted = &scope.roles.entries;
    let managed = scope.roles.whole || !wanted.is_empty();
    let roles = managed.then(|| {
        let own = |role: &&RoleName| {
            scope.roles.whole
                || wanted.contains_key(*role)
                || last.is_some_and(|last| last.contains_key(*role))
        };
        let sources = |role| {
            let known = wanted
                .get(role)
                .or_else(|| last.and_then(|last| last.get(role)));
            known.cloned().unwrap_or_else(|| [manifest.clone()].into())
        };
        let own = live.roles.iter().filter(own);
        own.map(|role| (role.clone(), sources(role))).collect()
    });
    OwnedScope {
        origin: Origin::Adopted,
        remote_id: live.remote_id.clone(),
        source: manifest.clone(),
        deletion_policy: scope.deletion_policy,
        protected: scope.protected,
        applied: Applied {
            display_name: live.display_name.clone(),
            description: live.description.clone(),
            roles,
        },
        hold_until: scope.hold_until,
        renamed_from: before
            .map(|entry| entry.renamed_from.clone())
            .unwrap_or_default(),
        parked_for: before.and_then(|entry| entry.parked_for.clone()),
        vanished_at: None,
    }
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
        hold_until: app.hold_until,
        vanished_at: None,
    }
}
