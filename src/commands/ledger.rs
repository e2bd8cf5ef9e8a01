//! The inventory of a verb that records something: opened, known by what its repositories are called now, and closed.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::{Stop, output, session};
use crate::inventory::{FileLedger, Ledger, Snapshot};
use crate::manifest::Loaded;
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
        .map_err(|error| session::inventory_stop(&error))?;
    Ok(Box::new(opened))
}

/// Closes the inventory.
pub(super) async fn close(ledger: Box<dyn Ledger>) -> Result<(), Stop> {
    let closed = ledger.close().await;
    closed.map_err(|error| session::inventory_stop(&error))
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
