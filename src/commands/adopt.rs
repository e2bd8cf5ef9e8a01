//! `adopt`: what the manifests declare and is live becomes ours, without a write to the system.

use std::collections::BTreeSet;

use super::session::{Session, command_words};
use super::{Exit, Stop, apply, output};
use crate::cli;
use crate::model::{
    Applied, DesiredApp, DesiredScope, DesiredTarget, ForeignScopes, Live, LiveApp, LiveAppScopes,
    LiveScope, Origin, Owned, OwnedApp, OwnedScope, Record, RoleName,
};
use crate::render::count;

pub(super) async fn run(args: cli::Adopt) -> Result<Exit, Stop> {
    let session = Session::start(&args.reach).await?;
    let wanted: BTreeSet<(&str, &str)> = args
        .only
        .iter()
        .map(|(kind, name)| (kind.as_str(), name.as_str()))
        .collect();
    let chosen = |kind: &str, name: &str| args.all || wanted.contains(&(kind, name));
    let declared: BTreeSet<(&str, &str)> = session
        .targets
        .iter()
        .flat_map(|target| declared(target))
        .collect();
    if let Some((kind, name)) = wanted.iter().find(|only| !declared.contains(*only)) {
        return Err(Stop::usage(format!(
            "--only {kind}/{name}: no manifest of that name is among {}",
            command_words(&args.reach)
        )));
    }
    let inventory = apply::open_inventory(&session, &uuid::Uuid::new_v4().to_string()).await?;
    let observers = session.observers();
    let readings = session
        .read(observers.iter().map(|observer| observer.as_deref()))
        .await;

    let (mut adopted, mut failed) = (0, false);
    for reading in &readings {
        let target = &reading.desired.target;
        let live = match &reading.result {
            Ok(live) => live,
            Err(error) => {
                let why = crate::apply::failure(error);
                output::note(&format!("error: {}: {}", target.id, why.message));
                if let Some(help) = why.help {
                    output::note(&format!("  help: {help}"));
                }
                failed = true;
                continue;
            }
        };
        let owned = inventory.owned(&live.identity).await;
        let records = records(&reading.desired, live, &owned, &chosen);
        for (record, line) in &records {
            output::print(&format!("adopted    {line} on {}\n", target.id))?;
            let recorded = inventory
                .record(&live.identity, &target.id, [record.clone()])
                .await;
            recorded.map_err(|error| Stop::failed(super::sentence(&error)))?;
        }
        adopted += records.len();
    }
    apply::close(inventory).await?;
    if let Some(embedded) = session.embedded {
        embedded.stop().await?;
    }
    output::print(&format!(
        "Adopted: {}. Inventory: {}\n",
        count(adopted as u64, "object"),
        session.inventory_path.display()
    ))?;
    Ok(match (failed || !session.loaded.complete, adopted) {
        (false, _) => Exit::Done,
        (true, 0) => Exit::Failed,
        (true, _) => Exit::Partial,
    })
}

fn declared(target: &DesiredTarget) -> impl Iterator<Item = (&str, &str)> {
    let scopes = target
        .scopes
        .values()
        .map(|scope| ("Scope", scope.source.name.as_str()));
    scopes.chain(
        target
            .apps
            .iter()
            .map(|app| ("AppScopeSet", app.source.name.as_str())),
    )
}

/// What the inventory learns, and a line for each.
fn records(
    desired: &DesiredTarget,
    live: &Live,
    owned: &Owned,
    chosen: &dyn Fn(&str, &str) -> bool,
) -> Vec<(Record, String)> {
    let mut records = Vec::new();
    for scope in desired
        .scopes
        .values()
        .filter(|scope| chosen("Scope", &scope.source.name))
    {
        // A scope under a previous name is adopted under that name, so that it may be renamed.
        let names = std::iter::once(&scope.name).chain(&scope.previous_names);
        let Some(found) = names
            .filter(|name| !live.duplicates.contains(*name))
            .find_map(|name| live.scopes.get(name))
        else {
            continue;
        };
        if found.inherited {
            continue;
        }
        let entry = adopted_scope(scope, found, owned.scopes.get(&found.name));
        if owned.scopes.get(&found.name) != Some(&entry) {
            let name = found.name.clone();
            records.push((
                Record::Scope {
                    name,
                    entry,
                    replaces: None,
                },
                format!("scope {}", found.name),
            ));
        }
    }
    for app in desired
        .apps
        .iter()
        .filter(|app| chosen("AppScopeSet", &app.source.name))
    {
        let Some(LiveApp::Present(found)) = live.apps.get(&app.app) else {
            continue;
        };
        let entry = adopted_app(app, found, owned.apps.get(&found.app));
        if owned.apps.get(&found.app) != Some(&entry) {
            records.push((
                Record::App {
                    app: found.app.clone(),
                    entry,
                },
                format!("app {}", found.app),
            ));
        }
    }
    records
}

/// Everything live counts as applied from here on: what the manifest leaves out goes with the next `sync`. Where it leaves
/// the set to others beside itself, only what is its own does: the next `sync` must not take theirs.
fn adopted_scope(
    scope: &DesiredScope,
    live: &LiveScope,
    before: Option<&OwnedScope>,
) -> OwnedScope {
    let file = &scope.source.file;
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
            known.cloned().unwrap_or_else(|| [file.clone()].into())
        };
        let own = live.roles.iter().filter(own);
        own.map(|role| (role.clone(), sources(role))).collect()
    });
    OwnedScope {
        origin: Origin::Adopted,
        remote_id: live.remote_id.clone(),
        source: file.clone(),
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
        source: app.source.file.clone(),
        deletion_policy: app.deletion_policy,
        applied,
        hold_until: app.hold_until,
        vanished_at: None,
    }
}
