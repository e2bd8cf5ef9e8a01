//! The inventory of a verb that records something: opened, known by what its repositories are called now, and closed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Stop, output, sentence};
use crate::cli;
use crate::inventory::{FileLedger, InventoryError, Ledger, Snapshot};
use crate::manifest::{self, Loaded};
use crate::model::{Owned, Record};

/// Opens the inventory for writing, on a thread that may block.
pub(super) async fn open(path: &Path, run_id: &str) -> Result<Box<dyn Ledger>, Stop> {
    let path = path.to_owned();
    let holder = format!(
        "{}, process {}, since {}, run {run_id}",
        who(),
        std::process::id(),
        Timestamp::now()
    );
    let opened = tokio::task::spawn_blocking(move || FileLedger::open(&path, &holder)).await;
    let opened = opened
        .map_err(|error| Stop::failed(error.to_string()))?
        .map_err(|error| inventory_stop(&error))?;
    Ok(Box::new(opened))
}

/// Closes the inventory.
pub(super) async fn close(ledger: Box<dyn Ledger>) -> Result<(), Stop> {
    let closed = ledger.close().await;
    closed.map_err(|error| inventory_stop(&error))
}

/// Who runs this, for the lock and the audit log.
pub(super) fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("GITHUB_ACTOR")
        .or_else(|| variable("GITLAB_USER_LOGIN"))
        .or_else(|| variable("USER"));
    let host = variable("HOSTNAME")
        .map(|host| format!("@{host}"))
        .unwrap_or_default();
    format!("{}{host}", user.unwrap_or_else(|| "unknown".to_owned()))
}

/// Gives what is recorded of a repository its new name, and says how many entries that are on each target.
pub(super) async fn rename(
    ledger: &dyn Ledger,
    record: &Record,
) -> Result<BTreeMap<String, u64>, Stop> {
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

/// The file of an inventory.
pub(super) async fn inventory_path(location: &cli::InventoryLocation) -> Result<PathBuf, Stop> {
    let Some(text) = &location.inventory else {
        let folder = own_folder(&location.paths, location.sandbox).await;
        return Ok(folder.join("inventory.json"));
    };
    for later in ["configmap:", "s3://", "gs://", "az://"] {
        if text.starts_with(later) {
            return Err(Stop::usage(format!(
                "--inventory {text}: inventories at `{later}` are not supported yet; `file:PATH` is"
            )));
        }
    }
    match text.strip_prefix("file:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(Stop::usage(format!(
            "--inventory {text}: `file:PATH` is needed"
        ))),
    }
}

/// The end of a run that has no inventory.
pub(super) fn inventory_stop(error: &InventoryError) -> Stop {
    let stop = Stop::failed(sentence(error));
    match error {
        InventoryError::Read { .. } | InventoryError::Write { .. } => stop.help(
            "give the right to read and write there, or name another place with --inventory file:PATH",
        ),
        _ => stop,
    }
}

/// The folder of what is kept. What a sandbox keeps has one of its own, so that nobody who starts afresh loses a real
/// inventory.
pub(super) async fn own_folder(paths: &[String], sandbox: bool) -> PathBuf {
    let mut folder = root_of(paths).await.join(".scopeward");
    if sandbox {
        folder.push("sandbox");
    }
    folder
}

/// The folder that `.scopeward/` stands in: the one above the first PATH that holds `.git`, else the working folder.
/// Standard input stands where the run does. Relative where that is the working folder itself, for people.
async fn root_of(paths: &[String]) -> PathBuf {
    let first = paths.iter().find(|path| *path != "-");
    let first = first.cloned().unwrap_or_else(|| ".".to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let base = manifest::base_folder(Path::new(&first));
        base.filter(|base| here.is_ok_and(|here| *base != here))
    })
    .await;
    found.ok().flatten().unwrap_or_default()
}
