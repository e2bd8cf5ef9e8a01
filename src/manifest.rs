//! Manifests into what is wanted, with everything that is wrong with them.
//!
//! ```text
//! PATHs --walk--> texts --yaml--> values --schema, document--> documents --resolve--> Desired
//!                            \________________\______________________\____> findings --locate--> line:column
//! ```
//!
//! Only [`load`] touches the file system; [`read`] is pure. Neither stops at the first problem: a document with an error
//! is left out, the rest goes on, and [`Loaded::complete`] tells the planner that nothing may be removed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

mod coverage;
pub mod crd;
mod document;
pub mod generate;
mod locate;
mod resolve;
mod root;
mod schema;
mod secret;
mod suggest;
mod target;
mod walk;
mod yaml;

pub use secret::SecretDocument;

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::model::{Coverage, Desired, Source, SourceFile};
use coverage::Ground;
use document::Reading;
use schema::Checker;

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
}

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
    /// A selector that chooses nothing.
    #[error("no manifest has the labels that `-l` asks for")]
    NothingSelected,
}

/// Reads the manifests under `paths`: files, folders and `-`. Blocking.
///
/// # Errors
/// Where there is nothing to work on. What is wrong with a file or document is a finding instead.
pub fn load(paths: &[PathBuf], options: &Options) -> Result<Loaded, LoadError> {
    let files = walk::read(paths).map_err(|path| LoadError::NotFound { path })?;
    let unreadable = files.diagnostics.iter().any(Diagnostic::is_error);
    let mut loaded = read(&files.texts, options);
    loaded.complete &= !unreadable;
    if unreadable {
        loaded.forbid_removal();
    }
    loaded.diagnostics.extend(files.diagnostics);
    loaded.sort();
    loaded.ground = files.ground;
    loaded.texts = Texts(files.texts);
    if loaded.documents == 0 && loaded.secrets.is_empty() && !loaded.has_errors() {
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
    let checker = Checker::default();
    let mut diagnostics = Vec::new();
    let mut documents = Vec::new();
    let mut secrets = Vec::new();
    let mut broken = Vec::new();
    let mut complete = true;
    let mut skipped = 0;
    for (file, text) in texts {
        let chunks = yaml::split(text);
        if let Some(refusal) = yaml::check_size(file, text.len(), chunks.len()) {
            diagnostics.push(refusal);
            complete = false;
            continue;
        }
        let before = diagnostics.len();
        for chunk in &chunks {
            let (value, parsed) = match yaml::parse(*chunk, file) {
                Ok(value) => (value, true),
                Err((found, value)) => {
                    diagnostics.extend(found);
                    complete = false;
                    match value {
                        // Its other problems are worth knowing; it is left out all the same.
                        Some(value) => (value, false),
                        None => continue,
                    }
                }
            };
            // A document's own, since their number is bounded for each document by itself.
            let mut found = Vec::new();
            let reading = document::read(value, *chunk, file, &checker, options, &mut found);
            diagnostics.append(&mut found);
            match reading {
                Reading::Manifest(mut document) => {
                    document.valid &= parsed;
                    complete &= document.valid;
                    documents.push(*document);
                }
                Reading::Secret(secret) => secrets.extend(parsed.then_some(secret)),
                Reading::Broken(source) => {
                    complete = false;
                    broken.push(source);
                }
                Reading::Skipped => skipped += 1,
            }
        }
        join_notes(&mut diagnostics, before);
    }
    let count = documents.len() + broken.len();
    complete &= drop_duplicate_secrets(&mut secrets, &mut diagnostics);
    let resolved = resolve::resolve(documents, &broken, complete, &mut diagnostics);
    locate_all(&mut diagnostics, texts);
    let mut loaded = Loaded {
        desired: resolved.desired,
        diagnostics,
        secrets,
        complete: resolved.complete,
        filtered: options.selector.is_some(),
        selected: resolved.selected,
        ground: Ground {
            read: texts.iter().map(|(file, _)| file.clone()).collect(),
            ..Ground::default()
        },
        files: texts.len(),
        documents: count,
        skipped,
        texts: Texts::default(),
    };
    loaded.sort();
    loaded
}

/// Leaves one note of a file's documents that are not ours: a folder may hold a whole application.
fn join_notes(diagnostics: &mut Vec<Diagnostic>, from: usize) {
    let is_note = |d: &Diagnostic| d.code == codes::OTHER_API && d.severity == Severity::Note;
    let mut notes = diagnostics[from..].iter().filter(|d| is_note(d));
    let Some(mut first) = notes.next().cloned() else {
        return;
    };
    let more = notes.count();
    if more == 0 {
        return;
    }
    first
        .notes
        .push(("and", format!("{more} more of this file")));
    let mut at = 0;
    diagnostics.retain(|diagnostic| {
        at += 1;
        at <= from || !is_note(diagnostic)
    });
    diagnostics.push(first);
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
            locate::locate(findings, &yaml::split(text));
        }
    }
}

/// The folder that the names of files under `path` are relative to: the nearest one above that holds `.git`, else the
/// working folder. `None` where `path` is not there. Blocking.
pub fn base_folder(path: &Path) -> Option<PathBuf> {
    walk::base_of(path)
}

/// Leaves out Secrets of one namespace and name, and says whether there were none.
fn drop_duplicate_secrets(secrets: &mut Vec<SecretDocument>, found: &mut Vec<Diagnostic>) -> bool {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for secret in secrets.iter() {
        let key = (secret.namespace.clone(), secret.name.clone());
        *counts.entry(key).or_default() += 1;
    }
    let before = secrets.len();
    secrets.retain(|secret| {
        let Source {
            namespace, name, ..
        } = &secret.source;
        let times = counts[&(namespace.clone(), name.clone())];
        if times > 1 {
            let message = format!("the Secret \"{namespace}/{name}\" is declared {times} times");
            let error = Diagnostic::error(codes::DUPLICATE_MANIFEST, message);
            found.push(error.at(&secret.source, "/metadata/name"));
        }
        times == 1
    });
    secrets.len() == before
}

impl Loaded {
    /// Whether a finding is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Gives findings that came up after loading their line and column.
    pub fn locate(&self, diagnostics: &mut [Diagnostic]) {
        locate_all(diagnostics, &self.texts.0);
    }

    /// The PATHs of the run, as files and folders of their repositories; standard input is not among them.
    pub fn paths(&self) -> &[SourceFile] {
        &self.ground.paths
    }

    /// Finds out about the files that an inventory names: which were read, which are gone from disk, and which may still
    /// declare what they did. Those that were read are all there. Blocking.
    pub fn cover(&self, recorded: impl IntoIterator<Item = SourceFile>) -> Coverage {
        self.ground.cover(recorded)
    }

    /// Where a file of this run stands on disk; `None` for standard input.
    pub fn on_disk(&self, file: &SourceFile) -> Option<PathBuf> {
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
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
        self.selector.as_ref().is_none_or(|selector| {
            let mut wanted = selector.0.iter();
            wanted.all(|(key, value)| label(key) == Some(value))
        })
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
