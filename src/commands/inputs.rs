//! What a run is given: PATHs, and what the cluster holds, into manifests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::ledger::Place;
use super::{Stop, output, sentence};
use crate::cli::{self, Inputs};
use crate::cluster::objects;
use crate::manifest::{self, ClusterState, LoadError, Loaded};
use crate::model::SourceFile;
use crate::plan::SkipReason;
use crate::run::Wanted;

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

/// What the cluster holds, if manifests are laid over it.
pub(super) async fn cluster_of(
    args: &cli::FromCluster,
    paths: &[String],
    place: &Place,
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
        holders: place
            .read()
            .await?
            .recorded()
            .map(|(target, owned)| (target.clone(), Arc::new(owned.clone())))
            .collect(),
    }))
}

/// Lets a run remove nothing that reads files of a repository without a name, and says so: another machine has other files
/// under the same path.
pub(super) fn keep_of_unknown_repositories(loaded: &Loaded, wanted: &mut Wanted) {
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
pub(super) fn all_paths(inputs: &Inputs) -> Vec<String> {
    inputs
        .paths
        .iter()
        .chain(&inputs.overlays)
        .cloned()
        .collect()
}

/// The files that the inventory names, where that decides about a PATH that is not there.
pub(super) async fn recorded(
    paths: &[String],
    place: &Place,
) -> Result<BTreeSet<SourceFile>, Stop> {
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
    use crate::run::Realm;

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
