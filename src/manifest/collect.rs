//! Texts into what they declare: pure, and the same in any order of the texts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cluster::{self, Own};
use super::coverage::Ground;
use super::document::{self, Body, Document, ReadDocument};
use super::schema::Checker;
use super::{Loaded, Options, Texts, chunk, locate_all, resolve, yaml};
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::model::{
    AppRef, Coverage, Desired, Elsewhere, Found, LiveIdentity, ManifestRef, Owned, RoleName,
    ScopeName, SecretDocument, Source, SourceFile, TargetId,
};

/// How many files that are not ours are named.
const SHOWN_FILES: usize = 5;

/// What manifests declare: each by kind, namespace and name, and what they come to on their targets.
#[derive(Debug, Default)]
pub(super) struct Declared {
    places: BTreeMap<TargetId, Option<LiveIdentity>>,
    scopes: BTreeMap<(TargetId, ScopeName), Wish>,
    apps: BTreeMap<(TargetId, AppRef), Source>,
    roles: BTreeMap<(TargetId, ScopeName, RoleName), BTreeSet<ManifestRef>>,
}

/// A scope that is declared.
#[derive(Debug)]
struct Wish {
    file: SourceFile,
    previous_names: Vec<ScopeName>,
}

impl Declared {
    /// Takes what was resolved.
    fn of(desired: &Desired) -> Self {
        let mut declared = Self::default();
        for target in &desired.targets {
            let id = &target.target.id;
            let place = target.target.live_identity();
            declared.places.insert(id.clone(), place);
            for scope in target.scopes.values() {
                let wish = Wish {
                    file: scope.source.file.clone(),
                    previous_names: scope.previous_names.clone(),
                };
                declared
                    .scopes
                    .insert((id.clone(), scope.name.clone()), wish);
                let role = |role: &RoleName| (id.clone(), scope.name.clone(), role.clone());
                let entries = scope.roles.entries.iter();
                declared
                    .roles
                    .extend(entries.map(|(name, by)| (role(name), by.clone())));
            }
            let apps = target.apps.iter();
            let apps = apps.map(|wish| ((id.clone(), wish.app.clone()), wish.source.clone()));
            declared.apps.extend(apps);
        }
        declared
    }

    /// Whether something that is recorded, and whose file was looked for, is not declared here any more.
    pub(super) fn misses(&self, target: &TargetId, owned: &Owned, coverage: &Coverage) -> bool {
        let is_covered = |file: &SourceFile| coverage.of(file).may_remove();
        let mut scopes = owned.scopes.iter();
        let mut apps = owned.apps.iter();
        let asks = |role, manifest| {
            let by = self.roles.get(&role);
            by.is_some_and(|by| by.contains(manifest))
        };
        scopes.any(|(name, entry)| {
            let is_gone = is_covered(&entry.source.file)
                && !self.scopes.contains_key(&(target.clone(), name.clone()));
            is_gone
                || entry.applied.roles.iter().flatten().any(|(role, by)| {
                    let role = (target.clone(), name.clone(), role.clone());
                    let mut covered = by.iter().filter(|by| is_covered(&by.file));
                    covered.any(|manifest| !asks(role.clone(), manifest))
                })
        }) || apps.any(|(app, entry)| {
            is_covered(&entry.source.file)
                && !self.apps.contains_key(&(target.clone(), app.clone()))
        })
    }

    /// What of it some files declare.
    pub(super) fn of_files(&self, files: &BTreeSet<SourceFile>) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        let found = |target: &TargetId, file: &SourceFile| Found {
            identity: self.places.get(target).cloned().flatten(),
            file: file.clone(),
        };
        for ((target, name), wish) in &self.scopes {
            if files.contains(&wish.file) {
                for name in std::iter::once(name).chain(&wish.previous_names) {
                    let scopes = elsewhere.scopes.entry(name.clone()).or_default();
                    scopes.push(found(target, &wish.file));
                }
            }
        }
        for ((target, app), source) in &self.apps {
            if files.contains(&source.file) {
                let apps = elsewhere.apps.entry(app.clone()).or_default();
                apps.push(found(target, &source.file));
            }
        }
        for ((target, scope, role), by) in &self.roles {
            if let Some(by) = by.iter().find(|by| files.contains(&by.file)) {
                let role = (scope.clone(), role.clone());
                let roles = elsewhere.roles.entry(role).or_default();
                roles.push(found(target, &by.file));
            }
        }
        elsewhere
    }
}

/// Reads manifests from texts that are ours, beside others that are somebody else's.
pub(super) fn read(
    texts: &[(SourceFile, String)],
    foreign: &[(SourceFile, String)],
    options: &Options,
) -> Loaded {
    let mut read = Read::default();
    for (file, text) in texts {
        read.file(file, text, options);
    }
    let count = read.documents.len() + read.broken.len();
    let laid = options.cluster.as_ref().map(|state| {
        let mut own = Own {
            documents: &mut read.documents,
            broken: &mut read.broken,
            found: &mut read.diagnostics,
            is_complete: read.complete,
        };
        cluster::lay_over(state, &mut own, &read.checker, options)
    });
    let named = credentials_of(&read.documents);
    let mut secrets = read.secrets(&named);
    secrets.extend(
        foreign
            .iter()
            .flat_map(|(file, text)| secrets_of(file, text, &named, options)),
    );
    let skipped = foreign_files(foreign, &secrets, options);
    read.complete &= !skipped.as_ref().is_some_and(Diagnostic::is_error);
    read.diagnostics.extend(skipped);
    read.complete &= drop_duplicate_secrets(&mut secrets, &mut read.diagnostics);
    let Read {
        documents,
        broken,
        mut diagnostics,
        complete,
        skipped,
        ..
    } = read;
    let resolved = resolve::resolve(
        documents,
        &broken,
        complete,
        options.cluster.as_ref(),
        &mut diagnostics,
    );
    let declared = Declared::of(&resolved.desired);
    let merged = laid.map(|laid| laid.merge(resolved.unused, resolved.apart, &mut diagnostics));
    let complete = match merged {
        // What is invalid there holds what it contributed, and nothing else.
        Some(_) => complete && !diagnostics.iter().any(Diagnostic::is_error),
        None => resolved.complete,
    };
    locate_all(&mut diagnostics, texts);
    let mut loaded = Loaded {
        desired: resolved.desired,
        diagnostics,
        secrets,
        complete,
        filtered: options.selector.is_some(),
        selected: resolved.selected,
        files: texts.len(),
        documents: count,
        skipped,
        ground: Ground {
            read: texts.iter().map(|(file, _)| file.clone()).collect(),
            ..Ground::default()
        },
        texts: Texts::default(),
        outside: BTreeSet::new(),
        declared,
        cluster: merged,
        now: options.now,
    };
    loaded.sort();
    loaded
}

/// What the texts come to, document by document.
struct Read {
    checker: Checker,
    documents: Vec<Document>,
    /// The documents that were left out.
    broken: Vec<Source>,
    /// Those of them that are Secrets, and the good ones: they count only if a Target names them.
    secrets: Vec<PossibleSecret>,
    diagnostics: Vec<Diagnostic>,
    complete: bool,
    skipped: usize,
}

/// A `v1` Secret of a file of ours, and what is wrong with it.
struct PossibleSecret {
    source: Source,
    document: Option<Box<SecretDocument>>,
    findings: Vec<Diagnostic>,
}

impl Read {
    fn file(&mut self, file: &SourceFile, text: &str, options: &Options) {
        let chunks = chunk::split(text);
        if let Some(refusal) = yaml::check_size(file, text.len(), chunks.len()) {
            self.diagnostics.push(refusal);
            self.complete = false;
            return;
        }
        let before = self.diagnostics.len();
        for chunk in &chunks {
            self.document(*chunk, file, options);
        }
        join_notes(&mut self.diagnostics, before);
    }

    fn document(&mut self, chunk: chunk::Chunk<'_>, file: &SourceFile, options: &Options) {
        let (value, parsed) = match yaml::parse(chunk, file) {
            Ok(value) => (value, true),
            Err((found, value)) => {
                self.diagnostics.extend(found);
                self.complete = false;
                match value {
                    // Its other problems are worth knowing; it is left out all the same.
                    Some(value) => (value, false),
                    None => return,
                }
            }
        };
        // A document's own, since their number is bounded for each document by itself.
        let mut found = Vec::new();
        let source = document::start(chunk, file, options);
        match document::read(value, source, &self.checker, options, &mut found) {
            ReadDocument::Secret(source, document) => {
                return self.secrets.push(PossibleSecret {
                    source,
                    document: document.filter(|_| parsed),
                    findings: found,
                });
            }
            ReadDocument::Manifest(mut document) => {
                document.valid &= parsed;
                self.complete &= document.valid;
                self.documents.push(*document);
            }
            ReadDocument::Broken(source) => {
                self.complete = false;
                self.broken.push(source);
            }
            ReadDocument::Skipped => self.skipped += 1,
        }
        self.diagnostics.append(&mut found);
    }

    /// The Secrets that a Target names; what is wrong with another one is nobody's business.
    fn secrets(&mut self, named: &Named) -> Vec<SecretDocument> {
        let mut secrets = Vec::new();
        for secret in std::mem::take(&mut self.secrets) {
            if !named.contains(&(secret.source.namespace, secret.source.name)) {
                continue;
            }
            self.complete &= secret.document.is_some();
            self.diagnostics.extend(secret.findings);
            secrets.extend(secret.document.map(|document| *document));
        }
        secrets
    }
}

impl Default for Read {
    fn default() -> Self {
        Self {
            checker: Checker::default(),
            documents: Vec::new(),
            broken: Vec::new(),
            secrets: Vec::new(),
            diagnostics: Vec::new(),
            complete: true,
            skipped: 0,
        }
    }
}

/// Namespaces and names of the Secrets that Targets ask for.
type Named = BTreeSet<(String, String)>;

fn credentials_of(documents: &[Document]) -> Named {
    let targets = documents
        .iter()
        .filter_map(|document| match &document.body {
            Body::Target(spec) => Some((document.source.namespace.clone(), spec)),
            _ => None,
        });
    targets
        .map(|(namespace, spec)| (namespace, spec.credentials_ref.name.clone()))
        .collect()
}

/// The Secrets of a file that has nothing else of ours, as far as a Target names them.
fn secrets_of(
    file: &SourceFile,
    text: &str,
    wanted: &Named,
    options: &Options,
) -> Vec<SecretDocument> {
    if wanted.is_empty() || !text.contains("Secret") {
        return Vec::new();
    }
    let chunks = chunk::split(text);
    if yaml::check_size(file, text.len(), chunks.len()).is_some() {
        return Vec::new();
    }
    let secrets = chunks.into_iter().filter_map(|chunk| {
        let value = yaml::parse(chunk, file).ok()?;
        document::secret(&value, chunk, file, options, &mut Vec::new())
    });
    secrets
        .filter(|secret| wanted.contains(&named(secret)))
        .collect()
}

/// By what a target names it.
fn named(secret: &SecretDocument) -> (String, String) {
    let Source {
        namespace, name, ..
    } = &secret.source;
    (namespace.clone(), name.clone())
}

/// One word on all files of folders that are somebody else's; a world of the sandbox is not.
fn foreign_files(
    foreign: &[(SourceFile, String)],
    secrets: &[SecretDocument],
    options: &Options,
) -> Option<Diagnostic> {
    let is_world = |text: &str| text.lines().any(|line| line.starts_with("systems:"));
    let is_used = |file: &SourceFile| secrets.iter().any(|secret| secret.source.file == *file);
    let files: Vec<&str> = foreign
        .iter()
        .filter(|(file, text)| !is_world(text) && !is_used(file))
        .map(|(file, _)| file.as_str())
        .collect();
    let count = match files.len() {
        0 => return None,
        1 => "1 file is".to_owned(),
        more => format!("{more} files are"),
    };
    let message = format!("{count} not ours, and skipped: nothing in them is of `scopeward.dev/`");
    let mut note = Diagnostic::new(codes::OTHER_API, options.skipped(), message);
    let mut shown = files[..files.len().min(SHOWN_FILES)].join(", ");
    if files.len() > SHOWN_FILES {
        let _ = write!(shown, ", {} more", files.len() - SHOWN_FILES);
    }
    note.notes.push(("files", shown));
    Some(note.help("`.scopewardignore` leaves files out without a word"))
}

/// Leaves one note of a file's documents that are not ours: a folder may hold a whole application.
fn join_notes(diagnostics: &mut Vec<Diagnostic>, from: usize) {
    let is_note = |d: &Diagnostic| {
        matches!(d.code, codes::OTHER_API | codes::NO_KIND) && d.severity == Severity::Note
    };
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

/// Leaves out Secrets of one namespace and name, and says whether there were none.
fn drop_duplicate_secrets(secrets: &mut Vec<SecretDocument>, found: &mut Vec<Diagnostic>) -> bool {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for secret in secrets.iter() {
        *counts.entry(named(secret)).or_default() += 1;
    }
    let before = secrets.len();
    secrets.retain(|secret| {
        let key = named(secret);
        let times = counts[&key];
        if times > 1 {
            let (namespace, name) = key;
            let message = format!("the Secret \"{namespace}/{name}\" is declared {times} times");
            let error = Diagnostic::error(codes::DUPLICATE_MANIFEST, message);
            found.push(error.at(&secret.source, "/metadata/name"));
        }
        times == 1
    });
    secrets.len() == before
}
