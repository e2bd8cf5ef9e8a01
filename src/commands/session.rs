//! What the verbs that reach a system start from: arguments into manifests, targets, credentials and an inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::embedded::Embedded;
use super::ledger::{self, Place};
use super::{Stop, hint, output, sentence};
use crate::cli::{self, Inputs, Planning, Reach};
use crate::cluster::objects;
use crate::diagnostic::Diagnostic;
use crate::inventory::Snapshot;
use crate::manifest::{self, ClusterState, LoadError, Loaded};
use crate::model::{Coverage, DesiredTarget, SourceFile};
use crate::plan::guard::{ApprovedPlan, OnThreshold};
use crate::plan::{Mode, NewInventory, SkipReason};
use crate::provider::{CredentialStore, Interrupt};
use crate::render;
use crate::run::{self, Judging, Reading, Realm, Systems, Wanted};

/// Reads manifests, here and now: nothing else runs yet, and memory that is taken on another thread costs more (glibc
/// grows its heap page by page).
pub(super) fn load(
    inputs: &Inputs,
    cluster: Option<ClusterState>,
    recorded: BTreeSet<SourceFile>,
) -> Result<Loaded, Stop> {
    let paths: Vec<PathBuf> = inputs.paths.iter().map(PathBuf::from).collect();
    let options = manifest::Options {
        strict: inputs.strict,
        selector: inputs.selector.clone(),
        now: Timestamp::now(),
        repository: inputs.repository.clone(),
        overlays: inputs.overlays.iter().map(PathBuf::from).collect(),
        cluster,
        recorded,
    };
    let loaded = tokio::task::block_in_place(|| manifest::load(&paths, &options));
    loaded.map_err(|error: LoadError| Stop::usage(sentence(&error)))
}

/// What a run that reaches live systems starts from.
pub(super) struct Session {
    pub(super) loaded: Loaded,
    pub(super) wanted: Wanted,
    pub(super) systems: Systems,
    pub(super) place: Place,
    pub(super) embedded: Option<Embedded>,
}

impl Session {
    /// Reads the manifests, says what is wrong with them, and starts the sandbox where it is asked for.
    pub(super) async fn start(reach: &Reach) -> Result<Self, Stop> {
        let paths = inputs_paths(&reach.inputs);
        let place = Place::of(&cli::InventoryLocation {
            paths: paths.clone(),
            inventory: reach.inventory.clone(),
            sandbox: reach.sandbox,
        })
        .await?;
        let recorded = recorded(&paths, &place).await?;
        let cluster = cluster_of(&reach.cluster, &paths).await?;
        let mut loaded = load(&reach.inputs, cluster, recorded)?;
        findings(&loaded.diagnostics);
        let realm = if reach.sandbox {
            Realm::Sandbox
        } else {
            Realm::Live
        };
        let mut wanted = Wanted::new(&mut loaded, &reach.target, realm)
            .map_err(|error| Stop::usage(sentence(&error)))?;
        if wanted.targets.is_empty() && !wanted.is_invalid() {
            return Err(Stop::usage(format!(
                "no Target is declared in {}, so there is no system to look at",
                hint::arguments(&reach.inputs.paths)
            ))
            .help("pass the files of the Targets too"));
        }
        if place.is_remote() {
            keep_of_unknown_repositories(&loaded, &mut wanted);
        }
        for target in &mut wanted.targets {
            place_authorities(Arc::make_mut(target), &loaded);
        }
        let embedded = if reach.sandbox {
            let folder = ledger::own_folder(&paths, true).await;
            Some(Embedded::start(&wanted.targets, &reach.inputs.paths, &folder).await?)
        } else {
            None
        };
        let systems = Systems {
            credentials: credentials(reach, &mut loaded),
            stand_in: embedded.as_ref().map(Embedded::copies),
            interrupt: Interrupt::default(),
        };
        Ok(Self {
            loaded,
            wanted,
            systems,
            place,
            embedded,
        })
    }

    /// What this run can say of the files that the inventory names.
    pub(super) fn cover(&self, snapshot: &Snapshot) -> Coverage {
        tokio::task::block_in_place(|| self.loaded.cover(snapshot.recorded()))
    }

    /// What a judgement depends on.
    pub(super) fn judging(
        &self,
        mode: Mode,
        new_inventory: NewInventory,
        planning: &Planning,
        snapshot: &Snapshot,
    ) -> Judging {
        Judging {
            mode,
            paths: planning.reach.inputs.paths.clone(),
            coverage: self.cover(snapshot),
            // What the sandbox holds is nobody's loss.
            new_inventory: match self.embedded {
                Some(_) => NewInventory::Allow,
                None => new_inventory,
            },
            approvals: planning.approve_plan.clone().into(),
            on_threshold: OnThreshold::Stop,
            frozen: BTreeMap::new(),
        }
    }

    /// Shows what only the live state and the inventory told of the manifests, and gives the findings.
    pub(super) fn show_learned<P: ?Sized>(
        &self,
        approved: &ApprovedPlan,
        readings: &[Reading<P>],
        snapshot: &Snapshot,
        coverage: &Coverage,
    ) -> Vec<Diagnostic> {
        let targets = approved.targets().iter();
        let mut found: Vec<Diagnostic> = targets
            .flat_map(|target| target.plan().diagnostics.iter().cloned())
            .collect();
        self.loaded.locate(&mut found);
        findings(&found);
        for left in run::orphans(&self.wanted, readings, snapshot, coverage) {
            output::line(&format!(
                "note: the inventory holds {} objects of {} ({}), which no Target of this run leads to; they are left alone",
                left.objects, left.target, left.identity
            ));
        }
        found
    }
}

/// What the cluster holds, if manifests are laid over it.
async fn cluster_of(
    args: &cli::FromCluster,
    paths: &[String],
) -> Result<Option<ClusterState>, Stop> {
    if !args.from_cluster {
        return Ok(None);
    }
    if args.prune_selector.is_some() && paths.iter().any(|path| path == "-") {
        return Err(Stop::usage(
            "--prune-selector: what a pipe lacks that was cut would count as deleted",
        )
        .help("write the manifests to a file, and pass that"));
    }
    let held = objects::everything().await;
    let (all, namespaces) = held.map_err(|error| Stop::failed(sentence(&error)))?;
    Ok(Some(ClusterState {
        namespaces,
        objects: all.into_iter().map(|object| object.value).collect(),
        default_namespace: args.default_namespace.clone(),
        prune: args.prune_selector.clone(),
    }))
}

/// Where credentials are looked for.
fn credentials(reach: &Reach, loaded: &mut Loaded) -> CredentialStore {
    let documents = std::mem::take(&mut loaded.secrets);
    CredentialStore::new(reach.credentials.clone(), std::env::vars_os(), documents)
}

/// Shows findings on standard error.
pub(super) fn findings(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        output::note(render::finding::findings(diagnostics, true).trim_end());
        output::note("");
    }
}

/// Leads `tls.caFile` from where the process is: manifests write it relative to their own folder.
fn place_authorities(target: &mut DesiredTarget, loaded: &Loaded) {
    let Some(written) = &target.target.tls.ca_file else {
        return;
    };
    let manifest = loaded.on_disk(&target.target.source.file);
    if let Some(folder) = manifest.as_deref().and_then(Path::parent) {
        let file = folder.join(written);
        Arc::make_mut(&mut target.target).tls.ca_file = Some(file);
    }
}

/// Lets a run remove nothing that reads files of a repository without a name, and says so: another machine has other files
/// under the same path.
fn keep_of_unknown_repositories(loaded: &Loaded, wanted: &mut Wanted) {
    let folders: Vec<String> = loaded
        .unnamed_roots()
        .map(|folder| folder.display().to_string())
        .collect();
    if folders.is_empty() {
        return;
    }
    wanted.gap = wanted.gap.or(Some(SkipReason::UnknownRepository));
    output::line(&format!(
        "note: {} has no name that other machines know, so this run removes nothing (unknown_repository)",
        folders.join(", ")
    ));
    output::line("  help: give the checkout an `origin`, or pass --repository NAME");
}

/// All PATHs of a run, overlays included.
fn inputs_paths(inputs: &Inputs) -> Vec<String> {
    inputs
        .paths
        .iter()
        .chain(&inputs.overlays)
        .cloned()
        .collect()
}

/// The files that the inventory names, where that decides about a PATH that is not there.
async fn recorded(paths: &[String], place: &Place) -> Result<BTreeSet<SourceFile>, Stop> {
    if paths
        .iter()
        .all(|path| path == "-" || Path::new(path).exists())
    {
        return Ok(BTreeSet::new());
    }
    let snapshot = place.read().await?;
    let recorded = snapshot.recorded();
    Ok(recorded
        .flat_map(|(_, owned)| owned.files())
        .cloned()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: wso2 }
spec:
  wso2: { url: https://wso2.example.com, api: ScopeRegistration }
  credentialsRef: { name: wso2 }
";

    fn gap(folder: &Path, repository: Option<&str>) -> Option<SkipReason> {
        let options = manifest::Options {
            strict: false,
            selector: None,
            now: Timestamp::UNIX_EPOCH,
            repository: repository.map(|name| name.parse().unwrap()),
            overlays: Vec::new(),
            cluster: None,
            recorded: BTreeSet::new(),
        };
        let mut loaded = manifest::load(&[folder.to_owned()], &options).unwrap();
        let mut wanted = Wanted::new(&mut loaded, &[], Realm::Live).unwrap();
        keep_of_unknown_repositories(&loaded, &mut wanted);
        wanted.gap
    }

    #[test]
    fn files_of_a_repository_without_a_name_remove_nothing_from_an_inventory_that_others_have_too()
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("target.yaml"), TARGET).unwrap();
        let unknown = Some(SkipReason::UnknownRepository);
        assert_eq!(gap(folder.path(), None), unknown);
        assert_eq!(gap(folder.path(), Some("github.com/acme/iam")), None);
        let git = folder.path().join(".git");
        std::fs::create_dir(&git).unwrap();
        assert_eq!(gap(folder.path(), None), unknown);
        let origin = "[remote \"origin\"]\n url = https://github.com/acme/iam\n";
        std::fs::write(git.join("config"), origin).unwrap();
        assert_eq!(gap(folder.path(), None), None);
    }
}
