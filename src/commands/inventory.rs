//! `inventory`: what is ours, for people; and another name for a repository that moved.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Exit, Stop, apply, hint, output, session};
use crate::cli::{self, Inventory};
use crate::inventory::{Ledger, Snapshot};
use crate::manifest::Loaded;
use crate::model::{ManifestRef, Origin, Owned, Record};
use crate::render::{count, visible};

pub(super) async fn run(command: Inventory) -> Result<Exit, Stop> {
    match command {
        Inventory::Show(place) => show(&place).await,
        Inventory::RenameRepository(args) => rename_repository(&args).await,
    }
}

async fn show(place: &cli::Place) -> Result<Exit, Stop> {
    let path = session::inventory_path(place).await?;
    let read = path.clone();
    let snapshot = tokio::task::spawn_blocking(move || Snapshot::read(&read)).await;
    let snapshot = snapshot.map_err(|error| Stop::failed(error.to_string()))?;
    let snapshot = snapshot.map_err(|error| session::inventory_stop(&error))?;
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
        "Ours: {}. Inventory: {}\n",
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
fn of(manifest: &ManifestRef) -> String {
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
    let path = session::inventory_path(&args.place).await?;
    let ledger = apply::open_inventory(&path, &uuid::Uuid::new_v4().to_string()).await?;
    let record = Record::RenameRepository {
        old: args.old.clone(),
        new: args.new.clone(),
        below: String::new(),
    };
    let renamed = rename(ledger.as_ref(), &record).await?;
    apply::close(ledger).await?;
    if renamed.is_empty() {
        let show = hint::inventory_command("show", &args.place);
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

/// Gives what is recorded of a repository its new name, and says how many entries that are on each target.
async fn rename(ledger: &dyn Ledger, record: &Record) -> Result<BTreeMap<String, u64>, Stop> {
    let mut renamed = BTreeMap::new();
    for (identity, target, owned) in ledger.snapshot().await.identities() {
        let count = concerned(owned, record);
        if count == 0 {
            continue;
        }
        let recorded = ledger.record(identity, target, vec![record.clone()]).await;
        recorded.map_err(|error| Stop::failed(super::sentence(&error)))?;
        renamed.insert(target.to_string(), count);
    }
    Ok(renamed)
}

/// How many entries a repository's new name is about.
fn concerned(owned: &Owned, record: &Record) -> u64 {
    let Record::RenameRepository { old, below, .. } = record else {
        return 0;
    };
    let of_it = owned.manifests().filter(|manifest| {
        manifest.file.repository() == Some(old) && manifest.file.below(below).is_some()
    });
    of_it.count() as u64
}

/// Gives roots that were recorded by their paths the names that they have got since.
pub(super) async fn rename_roots(loaded: &Loaded, ledger: &dyn Ledger) -> Result<(), Stop> {
    let snapshot = ledger.snapshot().await;
    for record in loaded.renamed(snapshot.recorded().map(|(_, owned)| owned)) {
        if !rename(ledger, &record).await?.is_empty() {
            say_renamed(&record);
        }
    }
    Ok(())
}

/// The same for a run that only looks: nothing is recorded.
pub(super) fn with_renamed_roots(loaded: &Loaded, mut snapshot: Snapshot) -> Snapshot {
    for record in loaded.renamed(snapshot.recorded().map(|(_, owned)| owned)) {
        let concerned = snapshot
            .identities()
            .filter(|(_, _, owned)| concerned(owned, &record) > 0);
        let identities: Vec<_> = concerned.map(|(identity, ..)| identity.clone()).collect();
        if !identities.is_empty() {
            say_renamed(&record);
        }
        for identity in identities {
            snapshot.learn(&identity, record.clone());
        }
    }
    snapshot
}

fn say_renamed(record: &Record) {
    if let Record::RenameRepository { old, new, below } = record {
        let folder = std::path::Path::new(old.as_str()).join(below);
        output::line(&format!(
            "note: what the inventory knew by the folder {} is of the repository {new} from here on",
            folder.display()
        ));
    }
}
