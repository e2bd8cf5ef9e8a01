//! `inventory`: what is ours, for people; another name for a repository that moved; and a claim taken away from a dead run.

use std::fmt::Write as _;

use super::ledger::{self, Place};
use super::{Exit, Stop, hint, output};
use crate::cli::{self, Inventory};
use crate::model::{ManifestRef, Origin, Owned, Record};
use crate::render::{count, visible};

pub(super) async fn run(command: Inventory) -> Result<Exit, Stop> {
    match command {
        Inventory::Show(location) => show(&location).await,
        Inventory::RenameRepository(args) => rename_repository(&args).await,
        Inventory::ForceUnlock(args) => force_unlock(&args).await,
    }
}

async fn show(location: &cli::InventoryLocation) -> Result<Exit, Stop> {
    let place = Place::of(location).await?;
    let snapshot = place.read().await?;
    let mut out = String::new();
    let mut objects = 0;
    for (identity, target, owned) in snapshot.identities() {
        let _ = writeln!(out, "{target}  {identity}");
        for row in rows(owned) {
            objects += 1;
            let _ = writeln!(out, "  {row}");
        }
        out.push('\n');
    }
    let shown: Vec<_> = out.lines().map(visible).collect();
    output::print(&format!("{}\n", shown.join("\n")))?;
    output::print(&format!(
        "Managed: {}. Inventory: {}\n",
        count(objects, "object"),
        visible(&place.to_string())
    ))?;
    Ok(Exit::Done)
}

/// A line for each object of a live place.
fn rows(owned: &Owned) -> Vec<String> {
    let origin = |origin: Origin| match origin {
        Origin::Created => "created",
        Origin::Adopted => "adopted",
        Origin::Matched => "matched",
    };
    let scopes = owned.scopes.iter().map(|(name, entry)| {
        let mut row = format!(
            "{:<8} scope {:<32} {}",
            origin(entry.origin),
            name.as_str(),
            of(&entry.source)
        );
        if entry.protected {
            row.push_str("  protected");
        }
        if let Some(until) = entry.hold_until {
            let _ = write!(row, "  held until {until}");
        }
        if let Some(at) = entry.vanished_at {
            let _ = write!(row, "  not live since {at}");
        }
        row
    });
    let apps = owned.apps.iter().map(|(app, entry)| {
        let app = app.to_string();
        format!(
            "{:<8} app   {app:<32} {}",
            origin(entry.origin),
            of(&entry.source)
        )
    });
    scopes.chain(apps).collect()
}

/// The manifest of an entry: what `release --only` takes, and where it stood.
pub(super) fn of(manifest: &ManifestRef) -> String {
    let ManifestRef {
        file,
        kind,
        namespace,
        name,
    } = manifest;
    let repository = file.repository();
    let repository = repository.map(|repository| format!(" of {repository}"));
    let place = format!("{}{}", file.path(), repository.unwrap_or_default());
    if name.is_empty() {
        place
    } else {
        format!("{kind}/{namespace}/{name}  {place}")
    }
}

async fn rename_repository(args: &cli::RenameRepository) -> Result<Exit, Stop> {
    let place = Place::of(&args.location).await?;
    let run_id = uuid::Uuid::new_v4().to_string();
    let opened = place.open(&run_id, args.waiting).await?;
    let record = Record::RenameRepository {
        old: args.old.clone(),
        new: args.new.clone(),
        below: String::new(),
    };
    let renamed = ledger::rename(&opened, &record).await;
    let closed = opened.close().await;
    let renamed = renamed?;
    closed?;
    if renamed.is_empty() {
        let show = hint::inventory_command("show", &args.location);
        return Err(Stop::failed(format!(
            "the inventory holds nothing of the repository {}",
            args.old
        ))
        .help(format!(
            "`{show}` lists what it holds, and of which repositories"
        )));
    }
    for (target, objects) in &renamed {
        let entries = count(*objects, "entry").replace("entrys", "entries");
        output::print(&format!("renamed    {entries} on {target}\n"))?;
    }
    output::print(&format!(
        "{} is {} from here on. Inventory: {}\n",
        args.old,
        args.new,
        visible(&place.to_string())
    ))?;
    Ok(Exit::Done)
}

async fn force_unlock(args: &cli::ForceUnlock) -> Result<Exit, Stop> {
    let place = Place::of(&args.location).await?;
    let unlocked = place.force_unlock(&args.run).await?;
    if unlocked.is_empty() {
        return Err(Stop::failed(format!(
            "the run {} holds nothing of the inventory {}",
            visible(&args.run),
            visible(&place.to_string())
        )));
    }
    for identity in &unlocked {
        let line = format!("unlocked   {identity}");
        output::print(&format!("{}\n", visible(&line)))?;
    }
    output::print(&format!(
        "The run {} holds nothing any more. If it is alive after all, it may write to these systems for up to 45 s from now.\n",
        visible(&args.run)
    ))?;
    Ok(Exit::Done)
}
