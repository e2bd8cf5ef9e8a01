//! The inventory of a verb: where it is kept, how it is read, and how one that records something opens it, is alone with it,
//! and closes it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Stop, output, sentence};
use crate::cli;
use crate::cluster::inventory::ConfigMaps;
use crate::inventory::blobs::Blobs;
use crate::inventory::remote::{Audit, Claimed, Holder, HolderKind};
use crate::inventory::{FileLedger, InventoryError, Ledger, RemoteLedger, Snapshot};
use crate::manifest::{self, Loaded};
use crate::model::{LiveIdentity, Owned, Record};

/// For how long a run that nobody watches waits for another one, which goes stale after a minute if it is dead.
const UNWATCHED: Duration = Duration::from_secs(90);

/// Where an inventory is kept.
#[derive(Clone)]
pub(super) enum Place {
    /// In a file of this machine.
    File(PathBuf),
    /// Where the operator has it.
    Cluster(Arc<ConfigMaps>),
}

impl Place {
    /// Where the arguments say. Sends nothing.
    pub(super) async fn of(location: &cli::InventoryLocation) -> Result<Self, Stop> {
        let Some(text) = &location.inventory else {
            let folder = own_folder(&location.paths, location.sandbox).await;
            return Ok(Self::File(folder.join("inventory.json")));
        };
        for later in ["s3://", "gs://", "az://"] {
            if text.starts_with(later) {
                return Err(Stop::usage(format!(
                    "--inventory {text}: inventories at `{later}` are not supported yet; `file:PATH` and `cluster` are"
                )));
            }
        }
        let namespace = match text.split_once(':') {
            None if text == "cluster" => None,
            Some(("cluster", namespace)) if !namespace.is_empty() => Some(namespace),
            Some(("file", path)) if !path.is_empty() => {
                return Ok(Self::File(PathBuf::from(path)));
            }
            _ => {
                return Err(Stop::usage(format!(
                    "--inventory {text}: `file:PATH`, `cluster` or `cluster:NAMESPACE` is needed"
                )));
            }
        };
        let opened = ConfigMaps::open(namespace).await;
        let maps = opened.map_err(|error| Stop::failed(sentence(&error)))?;
        Ok(Self::Cluster(Arc::new(maps)))
    }

    /// Whether other machines have it too.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// What is recorded there now. Nothing is claimed.
    pub(super) async fn read(&self) -> Result<Snapshot, Stop> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || Snapshot::read(&path)).await;
                let read = read.map_err(|error| Stop::failed(error.to_string()))?;
                read.map_err(|error| inventory_stop(&error))
            }
            Self::Cluster(maps) => {
                let ledger = remote(maps.clone(), "");
                loaded(&ledger).await?;
                Ok(ledger.snapshot().await)
            }
        }
    }

    /// Opens it for writing. That of a file is this run's alone from here on; of another one it is what it
    /// [claims](Opened::claim).
    pub(super) async fn open(&self, run_id: &str, waiting: cli::Waiting) -> Result<Opened, Stop> {
        let (kept, foreign) = match self {
            Self::File(path) => (
                Kept::File(open_file(path, run_id).await?),
                BTreeMap::default(),
            ),
            Self::Cluster(maps) => {
                let ledger = remote(maps.clone(), run_id);
                loaded(&ledger).await?;
                let foreign = foreign(&ledger, maps).await?;
                (Kept::Cluster(ledger), foreign)
            }
        };
        Ok(Opened {
            kept,
            foreign,
            patience: patience(waiting),
        })
    }

    /// Takes it away from a run, and says of which live systems.
    pub(super) async fn force_unlock(&self, run: &str) -> Result<Vec<LiveIdentity>, Stop> {
        let Self::Cluster(maps) = self else {
            return Err(Stop::usage(format!(
                "{self} is a file, which is free once the run ends that has it"
            ))
            .help("name one in a cluster: --inventory cluster[:NAMESPACE]"));
        };
        let ledger = remote(maps.clone(), "");
        let unlocked = ledger.force_unlock(run).await;
        unlocked.map_err(|error| inventory_stop(&error))
    }
}

/// As `--inventory` takes it, but for the path of a file, which people know as it is.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Cluster(maps) => write!(f, "cluster:{}", maps.namespace()),
        }
    }
}

/// An inventory that is open for writing.
pub(super) struct Opened {
    kept: Kept,
    /// What was written in another cluster, by that one's UID: this one is a clone of it, and the original may be alive.
    foreign: BTreeMap<LiveIdentity, String>,
    /// For how long others are waited for.
    patience: Duration,
}

enum Kept {
    File(FileLedger),
    Cluster(RemoteLedger),
}

impl Opened {
    /// What records.
    pub(super) fn ledger(&self) -> &dyn Ledger {
        match &self.kept {
            Kept::File(ledger) => ledger,
            Kept::Cluster(ledger) => ledger,
        }
    }

    /// Makes these live systems' inventories this run's alone, and waits for others as long as there is patience.
    /// [`Newer`](Claimed::Newer) where others wrote to one of them since it was read: what was planned from it is to be
    /// planned again.
    pub(super) async fn claim(
        &self,
        identities: impl IntoIterator<Item = &LiveIdentity>,
    ) -> Result<Claimed, Stop> {
        let Kept::Cluster(ledger) = &self.kept else {
            return Ok(Claimed::AsLoaded);
        };
        let mut all = Claimed::AsLoaded;
        for identity in identities {
            if let Some(uid) = self.foreign.get(identity) {
                return Err(Stop::failed(format!(
                    "the inventory of {identity} was written in another cluster ({uid}); nothing was written"
                ))
                .help(format!(
                    "the annotation scopeward.dev/take-inventory: {uid} on its Target lets the operator take it"
                )));
            }
            let mut claimed = ledger.claim(identity, Duration::ZERO).await;
            if let Err(error @ InventoryError::Held { .. }) = &claimed
                && !self.patience.is_zero()
            {
                let seconds = self.patience.as_secs();
                output::line(&format!("waiting    up to {seconds} s: {error}"));
                claimed = ledger.claim(identity, self.patience).await;
            }
            match claimed {
                Ok(Claimed::AsLoaded) => {}
                Ok(Claimed::Newer) => all = Claimed::Newer,
                Err(error) => return Err(inventory_stop(&error)),
            }
            let notes = ledger.notes(identity).await;
            let notes = notes.map_err(|error| inventory_stop(&error))?;
            if let Some(reason) = notes.distrust {
                return Err(Stop::failed(format!(
                    "the operator does not trust the inventory of {identity} ({reason}); nothing was written"
                ))
                .help("write the digest of the Target's status.pendingPlan into its spec.approvedPlan"));
            }
        }
        Ok(all)
    }

    /// Puts everything in its place, and gives back what was claimed.
    pub(super) async fn close(self) -> Result<(), Stop> {
        let ledger: Box<dyn Ledger> = match self.kept {
            Kept::File(ledger) => Box::new(ledger),
            Kept::Cluster(ledger) => Box::new(ledger),
        };
        let closed = ledger.close().await;
        closed.map_err(|error| inventory_stop(&error))
    }
}

/// The inventories of a store, as a run of the command line has them.
fn remote(blobs: Arc<dyn Blobs>, run_id: &str) -> RemoteLedger {
    let holder = Holder {
        holder: who(),
        kind: HolderKind::CommandLine,
        run: run_id.to_owned(),
        lease: None,
    };
    // There is no file beside it.
    let audit: Audit = Arc::new(|line| tracing::info!(target: "audit", "{line}"));
    RemoteLedger::new(blobs, holder, audit)
}

/// The inventories that say of themselves that they are another cluster's.
async fn foreign(
    ledger: &RemoteLedger,
    maps: &ConfigMaps,
) -> Result<BTreeMap<LiveIdentity, String>, Stop> {
    let mut written_in = BTreeMap::new();
    for (identity, ..) in ledger.snapshot().await.identities() {
        let notes = ledger.notes(identity).await;
        let notes = notes.map_err(|error| inventory_stop(&error))?;
        if let Some(uid) = notes.cluster_uid {
            written_in.insert(identity.clone(), uid);
        }
    }
    if !written_in.is_empty() {
        let own = maps.cluster_uid().await;
        let own = own.map_err(|error| Stop::failed(sentence(&error)))?;
        written_in.retain(|_, uid| *uid != own);
    }
    Ok(written_in)
}

async fn loaded(ledger: &RemoteLedger) -> Result<(), Stop> {
    let loaded = ledger.load_all().await;
    loaded.map_err(|error| inventory_stop(&error))
}

/// Opens an inventory in a file, on a thread that may block.
async fn open_file(path: &Path, run_id: &str) -> Result<FileLedger, Stop> {
    let path = path.to_owned();
    let holder = format!(
        "{}, process {}, since {}, run {run_id}",
        who(),
        std::process::id(),
        Timestamp::now()
    );
    let opened = tokio::task::spawn_blocking(move || FileLedger::open(&path, &holder)).await;
    opened
        .map_err(|error| Stop::failed(error.to_string()))?
        .map_err(|error| inventory_stop(&error))
}

/// For how long others are waited for: who sits at a terminal decides that by themselves.
fn patience(waiting: cli::Waiting) -> Duration {
    let is_watched = io::stdin().is_terminal() && io::stderr().is_terminal();
    let usual = if is_watched {
        Duration::ZERO
    } else {
        UNWATCHED
    };
    waiting.wait_for_lock.unwrap_or(usual)
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
    opened: &Opened,
    record: &Record,
) -> Result<BTreeMap<String, u64>, Stop> {
    let ledger = opened.ledger();
    let mut renamed = BTreeMap::new();
    for (identity, target, owned) in ledger.snapshot().await.identities() {
        if concerned(owned, record) == 0 {
            continue;
        }
        opened.claim([identity]).await?;
        let owned = ledger.owned(identity).await;
        let count = concerned(&owned.map_err(|error| inventory_stop(&error))?, record);
        let recorded = ledger.record(identity, target, vec![record.clone()]).await;
        recorded.map_err(|error| inventory_stop(&error))?;
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
///
/// An inventory that other machines have too knows no root by its path: there it may be another one's.
pub(super) async fn rename_roots(loaded: &Loaded, opened: &Opened) -> Result<(), Stop> {
    if matches!(opened.kept, Kept::Cluster(_)) {
        return Ok(());
    }
    let snapshot = opened.ledger().snapshot().await;
    for record in loaded.renamed(snapshot.recorded().map(|(_, owned)| owned)) {
        if !rename(opened, &record).await?.is_empty() {
            say_renamed(&record);
        }
    }
    Ok(())
}

/// The same for a run that only looks: nothing is recorded.
pub(super) fn with_renamed_roots(
    loaded: &Loaded,
    place: &Place,
    mut snapshot: Snapshot,
) -> Snapshot {
    if place.is_remote() {
        return snapshot;
    }
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

/// The end of a run that has no inventory.
pub(super) fn inventory_stop(error: &InventoryError) -> Stop {
    let stop = Stop::failed(sentence(error));
    match error {
        InventoryError::Read { .. } | InventoryError::Write { .. } => stop.help(
            "give the right to read and write there, or name another place with --inventory file:PATH",
        ),
        InventoryError::Held { claim, .. } => stop.help(format!(
            "wait for it with --wait-for-lock 5m; or, if that run is dead, take it away with `scopeward inventory \
             force-unlock {}` and the same --inventory",
            claim.run
        )),
        InventoryError::Conflict { .. }
        | InventoryError::Unsettled { .. }
        | InventoryError::FencePassed => {
            stop.help("run it again: it looks what became of what was in flight")
        }
        InventoryError::Unreadable { .. } => stop.help(
            "nothing is taken for an empty inventory; give the right to get and list ConfigMaps there (the chart's role \
             `scopeward-plan`), or restore what is missing",
        ),
        InventoryError::Unwritable { .. } => stop.help(
            "give the right to create, update and delete ConfigMaps there (the chart's role `scopeward-apply`)",
        ),
        InventoryError::Malformed { .. }
        | InventoryError::Foreign { .. }
        | InventoryError::Newer { .. }
        | InventoryError::Locked { .. } => stop,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::memory_blobs::BlobStore;
    use crate::model::TargetId;

    fn identity() -> LiveIdentity {
        LiveIdentity::new("wso2 https://wso2.example.com")
    }

    async fn opened(store: &BlobStore, run_id: &str, patience: Duration) -> Opened {
        let ledger = remote(Arc::new(store.open()), run_id);
        loaded(&ledger).await.unwrap();
        Opened {
            kept: Kept::Cluster(ledger),
            foreign: BTreeMap::new(),
            patience,
        }
    }

    async fn start(opened: &Opened) {
        let target = TargetId {
            namespace: "iam".to_owned(),
            name: "wso2".to_owned(),
        };
        let identity = identity();
        let recorded = opened
            .ledger()
            .record(&identity, &target, vec![Record::Start]);
        recorded.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_an_inventory_is_named_with_both_ways_on() {
        let store = BlobStore::default();
        let first = opened(&store, "run-1", Duration::ZERO).await;
        first.claim([&identity()]).await.unwrap();
        let second = opened(&store, "run-2", Duration::ZERO).await;
        let stop = second.claim([&identity()]).await.unwrap_err();
        assert!(stop.message.contains(&who()), "{}", stop.message);
        let help = stop.help.unwrap();
        assert!(help.contains("--wait-for-lock"), "{help}");
        assert!(help.contains("force-unlock run-1"), "{help}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_with_patience_plans_again_after_the_other_has_written() {
        let store = BlobStore::default();
        let first = opened(&store, "run-1", Duration::ZERO).await;
        let second = opened(&store, "run-2", UNWATCHED).await;
        first.claim([&identity()]).await.unwrap();
        start(&first).await;
        let ends = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            first.close().await.unwrap();
        };
        let identity = identity();
        let (claimed, ()) = tokio::join!(second.claim([&identity]), ends);
        assert_eq!(claimed.unwrap(), Claimed::Newer);
        assert!(second.ledger().owned(&identity).await.unwrap().known);
        let again = second.claim([&identity]).await;
        assert_eq!(again.unwrap(), Claimed::AsLoaded);
    }

    #[tokio::test]
    async fn an_inventory_of_another_cluster_is_not_claimed() {
        let store = BlobStore::default();
        let mut clone = opened(&store, "run-1", Duration::ZERO).await;
        clone.foreign = [(identity(), "7b1c".to_owned())].into();
        let stop = clone.claim([&identity()]).await.unwrap_err();
        let help = stop.help.unwrap();
        assert!(help.contains("take-inventory: 7b1c"), "{help}");
        assert_eq!(store.calls().writes(), 0);
    }
}
