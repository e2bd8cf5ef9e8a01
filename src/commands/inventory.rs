//! `inventory`: what is ours, for people; and another name for a repository that moved.

use std::fmt::Write as _;

use super::{Exit, Stop, hint, ledger, output};
use crate::cli::{self, Inventory};
use crate::inventory::Snapshot;
use crate::model::{ManifestRef, Origin, Owned, Record};
use crate::render::{count, visible};

pub(super) async fn run(command: Inventory) -> Result<Exit, Stop> {
    match command {
        Inventory::Show(location) => show(&location).await,
        Inventory::RenameRepository(args) => rename_repository(&args).await,
    }
}

async fn show(location: &cli::InventoryLocation) -> Result<Exit, Stop> {
    let path = ledger::inventory_path(location).await?;
    let read = path.clone();
    let snapshot = tokio::task::spawn_blocking(move || Snapshot::read(&read)).await;
    let snapshot = snapshot.map_err(|error| Stop::failed(error.to_string()))?;
    let snapshot = snapshot.map_err(|error| ledger::inventory_stop(&error))?;
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
        visible(&path.display().to_string())
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
    let path = ledger::inventory_path(&args.location).await?;
    let ledger = ledger::open(&path, &uuid::Uuid::new_v4().to_string()).await?;
    let record = Record::RenameRepository {
        old: args.old.clone(),
        new: args.new.clone(),
        below: String::new(),
    };
    let renamed = ledger::rename(ledger.as_ref(), &record).await?;
    ledger::close(ledger).await?;
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
        visible(&path.display().to_string())
    ))?;
    Ok(Exit::Done)
}
