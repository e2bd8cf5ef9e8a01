//! Manifests into what is wanted, with everything that is wrong with them.
//!
//! ```text
//! PATHs --walk--> texts --yaml--> values --schema, document--> documents --resolve--> Desired
//!                            \________________\______________________\____> findings --locate--> line:column
//! ```
//!
//! Only [`load`] touches the file system; [`read`] is pure. Neither stops at the first problem: a document with an error
//! is left out, the rest goes on, and [`Loaded::complete`] tells the planner that nothing may be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

mod beside;
mod chunk;
pub mod cluster;
mod collect;
mod coverage;
pub mod crd;
mod document;
pub mod generate;
mod kustomize;
mod locate;
mod resolve;
mod root;
mod schema;
mod secret;
mod suggest;
mod target;
mod walk;
mod yaml;

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::model::{
    Coverage, Desired, Owned, Record, Repository, SecretDocument, SourceFile, TargetId,
};
use cluster::Merged;
use collect::Declared;
use coverage::Ground;

/// The most findings of one document: what is wrong in more places than that is wrong as a whole.
const MAX_FINDINGS: usize = 100;

/// How manifests are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Documents that are not ours are errors instead of notes.
    pub strict: bool,
    /// Only manifests with these labels are used; Targets always are.
    pub selector: Option<Selector>,
    /// The present, by which holds are judged.
    pub now: Timestamp,
    /// The name of the repository that everything is of, where its checkout does not tell.
    pub repository: Option<Repository>,
    /// The folders of overlays, which kustomize builds.
    pub overlays: Vec<PathBuf>,
    /// What a cluster holds, where documents are read together with it.
    pub cluster: Option<ClusterState>,
    /// The files that the inventory names: a PATH that is gone was one of manifests only if some of them lay there.
    pub recorded: BTreeSet<SourceFile>,
}

/// What a cluster holds. Documents are laid over it, and go by their places in the cluster as its objects do.
#[derive(Debug, Clone, Default)]
pub struct ClusterState {
    /// Its namespaces, for what asks for their labels; files have none.
    pub namespaces: Namespaces,
    /// The objects of the four kinds, as its API server gives them.
    pub objects: Vec<Value>,
    /// The namespace of documents that name none; `default` where this is left out.
    pub default_namespace: Option<String>,
    /// Which objects count as deleted where no document is one of them.
    pub prune: Option<Selector>,
    /// What the manifests hold on each Target already: of those that contradict each other there, the holder goes on.
    pub holders: Holders,
}

/// What is ours on Targets, as an inventory says.
pub type Holders = BTreeMap<TargetId, Arc<Owned>>;

/// The labels of the namespaces of a cluster.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// Labels that a manifest must have, `-l key=value,key=value`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(BTreeMap<String, String>);

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no label: write `key=value`")]
pub struct InvalidSelector(String);

/// What the manifests of a run come to.
#[derive(Debug)]
pub struct Loaded {
    /// What is wanted, from every document without an error.
    pub desired: Desired,
    /// What is wrong and what is worth knowing, sorted by place and located.
    pub diagnostics: Vec<Diagnostic>,
    /// The credentials that came with the manifests.
    pub secrets: Vec<SecretDocument>,
    /// Whether every file and document was used: if not, nothing may be removed anywhere.
    pub complete: bool,
    /// Whether a selector was given: then nothing may be removed either.
    pub filtered: bool,
    /// How many manifests beside Targets the selector chose.
    pub selected: usize,
    /// How many files were read.
    pub files: usize,
    /// How many documents are manifests of ours, broken ones included.
    pub documents: usize,
    /// How many documents were skipped as somebody else's.
    pub skipped: usize,
    /// Where the run looked.
    ground: Ground,
    /// The files' texts, for findings that only the live systems show.
    texts: Texts,
    /// The files that stand outside their roots, where a link leads to them.
    outside: BTreeSet<SourceFile>,
    /// What the manifests declare, and whether it was used.
    declared: Declared,
    /// The objects of the cluster, with the documents that are laid over them.
    cluster: Option<Merged>,
    /// The present, as the run has it.
    now: Timestamp,
}

/// The texts of the files. They may hold Secrets, so `Debug` shows none of them.
#[derive(Default)]
struct Texts(Vec<(SourceFile, String)>);

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts", self.0.len())
    }
}

/// Why there is nothing to work on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// A PATH that is not there.
    #[error("there is no file or folder {:?}", .path.display().to_string())]
    NotFound {
        /// The PATH.
        path: PathBuf,
    },
    /// Not one manifest under any PATH.
    #[error(
        "there is no manifest in {paths}: a manifest is a YAML document with `apiVersion: scopeward.dev/v1alpha1`"
    )]
    NoDocuments {
        /// The PATHs.
        paths: String,
    },
    /// One name for several repositories.
    #[error("--repository names one repository, and the paths lead into several: {folders}")]
    SeveralRoots {
        /// The roots.
        folders: String,
    },
    /// A selector that chooses nothing.
    #[error("no manifest has the labels that `-l` asks for")]
    NothingSelected,
}

/// Reads the manifests under `paths`: files, folders and `-`. Blocking.
///
/// # Errors
/// Where there is nothing to work on. What is wrong with a file or document is a finding instead.
pub fn load(paths: &[PathBuf], options: &Options) -> Result<Loaded, LoadError> {
    let lost = |path| LoadError::NotFound { path };
    let mut files =
        walk::read(paths, &options.overlays, options.repository.clone()).map_err(lost)?;
    for (path, place) in std::mem::take(&mut files.gone) {
        if !options.recorded.iter().any(|file| file.is_inside(&place)) {
            return Err(lost(path));
        }
        files.diagnostics.push(gone(&path));
        files.ground.paths.push(place);
    }
    if options.repository.is_some() {
        only_root(&files.ground)?;
    }
    let unreadable = files.diagnostics.iter().any(Diagnostic::is_error);
    let mut loaded = collect::read(&files.texts, &files.foreign, options);
    hide(&mut loaded.diagnostics, &files.outside);
    loaded.complete &= !unreadable;
    if unreadable {
        loaded.forbid_removal();
    }
    loaded.diagnostics.extend(files.diagnostics);
    loaded.sort();
    loaded.ground = files.ground;
    loaded.texts = Texts(files.texts);
    loaded.outside = files.outside;
    let has_recorded = || {
        let mut recorded = options.recorded.iter();
        recorded.any(|file| loaded.ground.is_inside(file))
    };
    let is_empty = loaded.documents == 0 && loaded.secrets.is_empty();
    if is_empty && !loaded.has_errors() && !has_recorded() {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| format!("{:?}", path.display().to_string()))
            .collect();
        return Err(LoadError::NoDocuments {
            paths: paths.join(", "),
        });
    }
    if loaded.selected == 0 && options.selector.is_some() && !loaded.has_errors() {
        return Err(LoadError::NothingSelected);
    }
    Ok(loaded)
}

/// Reads manifests from texts. Pure: the same texts, in any order, give the same.
pub fn read(texts: &[(SourceFile, String)], options: &Options) -> Loaded {
    collect::read(texts, &[], options)
}

/// The note on a PATH whose files are all gone.
fn gone(path: &Path) -> Diagnostic {
    let shown = path.display().to_string();
    let message = format!("there is no {shown:?} any more: what lay there counts as gone");
    Diagnostic::note(codes::GONE_PATH, message)
}

/// Checks that all that was read lies in one root.
fn only_root(ground: &Ground) -> Result<(), LoadError> {
    let folders = ground.folders.iter();
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    if folders.len() < 2 {
        return Ok(());
    }
    let folders = folders.join(", ");
    Err(LoadError::SeveralRoots { folders })
}

/// Takes the quoted lines from findings in files that stand outside their roots: whoever may add a link to a repository
/// must not see what a runner holds.
fn hide(diagnostics: &mut [Diagnostic], outside: &BTreeSet<SourceFile>) {
    for diagnostic in diagnostics {
        let is_outside = diagnostic
            .file
            .as_ref()
            .is_some_and(|file| outside.contains(file));
        if let Some(span) = diagnostic.span.as_mut().filter(|_| is_outside) {
            span.text.clear();
        }
    }
}

/// Gives every finding its line and column. Only files with findings are looked at again.
fn locate_all(diagnostics: &mut [Diagnostic], texts: &[(SourceFile, String)]) {
    let mut by_file: BTreeMap<SourceFile, Vec<&mut Diagnostic>> = BTreeMap::new();
    for diagnostic in diagnostics.iter_mut().filter(|d| d.span.is_none()) {
        if let Some(file) = diagnostic.file.clone() {
            by_file.entry(file).or_default().push(diagnostic);
        }
    }
    if by_file.is_empty() {
        return;
    }
    for (file, text) in texts {
        if let Some(findings) = by_file.remove(file) {
            locate::locate(findings, &chunk::split(text));
        }
    }
}

/// The folder that the names of files under `path` are relative to: the nearest one above that holds `.git`, else the
/// working folder. `None` where `path` is not there. Blocking.
pub fn base_folder(path: &Path) -> Option<PathBuf> {
    walk::base_of(path)
}

impl Loaded {
    /// Whether a finding is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Gives findings that came up after loading their line and column.
    pub fn locate(&self, diagnostics: &mut [Diagnostic]) {
        if let Some(merged) = &self.cluster {
            merged.lead_back(diagnostics);
        }
        locate_all(diagnostics, &self.texts.0);
        hide(diagnostics, &self.outside);
    }

    /// The PATHs of the run, as files and folders of their repositories; standard input is not among them.
    pub fn paths(&self) -> &[SourceFile] {
        &self.ground.paths
    }

    /// The roots of the run that have no name but their path, which only this machine knows.
    pub fn unnamed_roots(&self) -> impl Iterator<Item = &Path> {
        // What is laid over a cluster goes by its place there.
        let roots = self.ground.roots.each().filter(|_| self.cluster.is_none());
        let unnamed = roots.filter(|root| root.repository.is_path());
        let read = unnamed.filter(|root| self.ground.folders.contains(&root.folder));
        read.map(|root| root.folder.as_path())
    }

    /// How what an inventory has recorded of roots by their paths goes now: a root may have got an origin since, or a name
    /// from `--repository`, or be a checkout now that was none.
    pub fn renamed<'o>(&self, recorded: impl IntoIterator<Item = &'o Owned>) -> Vec<Record> {
        if self.cluster.is_some() {
            return Vec::new();
        }
        let recorded = recorded.into_iter().flat_map(Owned::files);
        let old: BTreeSet<&Repository> = recorded
            .filter_map(SourceFile::repository)
            .filter(|repository| repository.is_path())
            .collect();
        let mut roots: Vec<_> = self.ground.roots.each().collect();
        // A root within another one comes before it.
        roots.sort_by_key(|root| std::cmp::Reverse(root.folder.as_os_str().len()));
        let pairs = roots
            .iter()
            .flat_map(|root| old.iter().map(move |old| (root, *old)));
        // Below the root of the disk lies what is other folders' own.
        let renamed =
            pairs.filter(|(root, old)| root.repository != **old && root.folder.parent().is_some());
        renamed
            .filter_map(|(root, old)| {
                let below = root.folder.strip_prefix(old.as_str()).ok()?;
                Some(Record::RenameRepository {
                    old: old.clone(),
                    new: root.repository.clone(),
                    below: below.to_string_lossy().into_owned(),
                })
            })
            .collect()
    }

    /// Finds out about what an inventory has recorded on its targets: which files were read, which are gone from disk, and
    /// which may still declare what they did. Where something is not declared any more, the rest of the checkouts is read as
    /// well, since it may have moved there. Blocking.
    pub fn cover<'o>(
        &self,
        recorded: impl IntoIterator<Item = (&'o TargetId, &'o Owned)>,
    ) -> Coverage {
        let recorded: Vec<_> = recorded.into_iter().collect();
        let files: BTreeSet<&SourceFile> = recorded
            .iter()
            .flat_map(|(_, owned)| owned.files())
            .collect();
        if let Some(merged) = &self.cluster {
            return merged.cover(files);
        }
        let coverage = self.ground.cover(files.into_iter().cloned());
        let mut each = recorded.iter();
        if !each.any(|(target, owned)| self.declared.misses(target, owned, &coverage)) {
            return coverage;
        }
        let options = Options {
            strict: false,
            selector: None,
            now: self.now,
            repository: None,
            overlays: Vec::new(),
            cluster: None,
            recorded: BTreeSet::new(),
        };
        let owned: Vec<&Owned> = recorded.iter().map(|(_, owned)| *owned).collect();
        coverage.with(beside::elsewhere(
            &self.ground,
            &self.texts.0,
            &owned,
            &options,
        ))
    }

    /// Where a file of this run stands on disk; `None` for standard input.
    pub fn on_disk(&self, file: &SourceFile) -> Option<PathBuf> {
        let file = match &self.cluster {
            Some(merged) => merged.place(file),
            None => file,
        };
        let roots = self.ground.roots.of_repository(file.repository()?);
        roots
            .map(|root| root.on_disk(file))
            .find(|path| path.exists())
    }

    /// Takes back every permission to shrink a set.
    fn forbid_removal(&mut self) {
        for target in &mut self.desired.targets {
            target
                .scopes
                .values_mut()
                .for_each(|scope| scope.roles.may_shrink = false);
            target
                .apps
                .iter_mut()
                .for_each(|app| app.may_shrink = false);
        }
    }

    /// Sorts the findings by place.
    fn sort(&mut self) {
        self.diagnostics.sort_by(|a, b| {
            let place = |d: &Diagnostic| {
                let span = d.span.as_ref().map(|span| (span.line, span.column));
                (d.file.clone(), span, d.severity, d.code, d.message.clone())
            };
            place(a).cmp(&place(b))
        });
    }
}

impl Options {
    /// Whether a manifest with this metadata is used.
    fn selects(&self, metadata: Option<&Value>) -> bool {
        let selector = self.selector.as_ref();
        selector.is_none_or(|selector| selector.chooses(metadata))
    }

    /// The namespace of a document that names none.
    fn default_namespace(&self) -> &str {
        let named = self.cluster.as_ref();
        let named = named.and_then(|state| state.default_namespace.as_deref());
        named.unwrap_or("default")
    }

    /// How much it weighs that a document is somebody else's.
    fn skipped(&self) -> Severity {
        if self.strict {
            Severity::Error
        } else {
            Severity::Note
        }
    }
}

impl Selector {
    /// Whether a manifest with this metadata has the labels.
    fn chooses(&self, metadata: Option<&Value>) -> bool {
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
        let mut wanted = self.0.iter();
        wanted.all(|(key, value)| label(key) == Some(value))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        f.write_str(&pairs.join(","))
    }
}

impl std::str::FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let value = value.strip_prefix('=').unwrap_or(value);
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(InvalidSelector(pair.to_owned())),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}
