//! What the files of the same checkouts declare that lie outside the PATHs of a run.
//!
//! Environments that are run apart have Targets of their own, mostly under equal names: files are read together with the
//! Targets of the nearest folder above them that has some, and with what the run itself has read only where they do not
//! stand by themselves. What makes no sense even then may declare whatever it mentions. What an overlay of the run is put
//! together from declares what the overlay makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::coverage::Ground;
use super::{Diagnostic, Loaded, Options, collect, walk};
use crate::model::{Elsewhere, ManifestRef, Owned, Repository, SourceFile};

/// A document that declares a Target, however it is written.
static TARGET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"kind["']?\s*:\s*["']?Target\b"#).expect("the pattern is written here")
});

type Text = (SourceFile, String);
/// A folder of a repository.
type Folder = (Option<Repository>, String);

/// Reads the rest of the checkouts. `texts` is what the run has read. Blocking.
pub(super) fn elsewhere(
    ground: &Ground,
    texts: &[Text],
    recorded: &[&Owned],
    options: &Options,
) -> Elsewhere {
    let mut beside = Vec::new();
    let mut unread: BTreeMap<SourceFile, Option<String>> = BTreeMap::new();
    for folder in &ground.folders {
        if !folder.join(".git").exists() {
            continue;
        }
        let files = walk::read_beside(folder, ground);
        let failed = files.diagnostics.into_iter().filter(Diagnostic::is_error);
        let failed = failed.filter_map(|found| found.file);
        let is_part = |file: &SourceFile| ground.parts.contains(file);
        unread.extend(
            failed
                .filter(|file| !is_part(file))
                .map(|file| (file, None)),
        );
        let texts = files.texts.into_iter();
        beside.extend(texts.filter(|(file, _)| !is_part(file)));
    }
    let mut elsewhere = Elsewhere::default();
    for group in groups(beside) {
        let alone = collect::read(&group.all(), &[], options);
        elsewhere.add(alone.declared.of_files(&group.files()));
        let mut broken = in_error(&alone, &group.files());
        if broken.is_empty() {
            continue;
        }
        let mut with_the_run = group.all();
        with_the_run.extend(texts.iter().cloned());
        let together = collect::read(&with_the_run, &[], options);
        elsewhere.add(together.declared.of_files(&broken));
        let still = in_error(&together, &group.files());
        broken.retain(|file| still.contains(file));
        let own = group
            .own
            .into_iter()
            .filter(|(file, _)| broken.contains(file));
        unread.extend(own.map(|(file, text)| (file, Some(text))));
    }
    elsewhere.mentions = mentions(&unread, recorded);
    elsewhere
}

/// Files that are read together.
#[derive(Default)]
struct Group {
    /// What is looked into.
    own: Vec<Text>,
    /// The Targets below, which stand in folders that have their own.
    targets: Vec<Text>,
}

impl Group {
    fn all(&self) -> Vec<Text> {
        self.own.iter().chain(&self.targets).cloned().collect()
    }

    fn files(&self) -> BTreeSet<SourceFile> {
        self.own.iter().map(|(file, _)| file.clone()).collect()
    }
}

/// Each file with those that lie in or below the nearest folder above it that has Targets.
fn groups(texts: Vec<Text>) -> Vec<Group> {
    let targets: Vec<Text> = texts
        .iter()
        .filter(|(_, text)| TARGET.is_match(text))
        .cloned()
        .collect();
    let with_targets: BTreeSet<Folder> = targets.iter().flat_map(|(file, _)| above(file)).collect();
    let home = |file: &SourceFile| {
        let mut above = above(file);
        above
            .find(|folder| with_targets.contains(folder))
            .unwrap_or_else(|| (file.repository().cloned(), String::new()))
    };
    let mut groups: BTreeMap<Folder, Group> = BTreeMap::new();
    for text in texts {
        groups.entry(home(&text.0)).or_default().own.push(text);
    }
    for (folder, group) in &mut groups {
        let below = targets
            .iter()
            .filter(|(file, _)| home(file) != *folder && above(file).any(|above| above == *folder));
        group.targets.extend(below.cloned());
    }
    groups.into_values().collect()
}

/// The folders above a file, the nearest first.
fn above(file: &SourceFile) -> impl Iterator<Item = Folder> {
    let repository = file.repository().cloned();
    let mut path = Some(file.path().to_owned());
    std::iter::from_fn(move || {
        let at = path.take()?;
        let folder = match at.rsplit_once('/') {
            Some((folder, _)) => folder.to_owned(),
            None if at.is_empty() => return None,
            None => String::new(),
        };
        path = Some(folder.clone());
        Some((repository.clone(), folder))
    })
}

/// Those of some files in which something is wrong.
fn in_error(loaded: &Loaded, files: &BTreeSet<SourceFile>) -> BTreeSet<SourceFile> {
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error());
    let in_error = errors.filter_map(|found| found.file.clone());
    in_error.filter(|file| files.contains(file)).collect()
}

/// The recorded names that stand in files nobody could make sense of. What could not even be read may mention all of them.
fn mentions(
    unread: &BTreeMap<SourceFile, Option<String>>,
    recorded: &[&Owned],
) -> BTreeMap<String, SourceFile> {
    if unread.is_empty() {
        return BTreeMap::new();
    }
    let scopes = recorded.iter().flat_map(|owned| owned.scopes.keys());
    let roles = recorded.iter().flat_map(|owned| {
        let entries = owned.scopes.values();
        entries.flat_map(|entry| entry.applied.roles.iter().flat_map(BTreeMap::keys))
    });
    let manifests = recorded.iter().flat_map(|owned| owned.manifests());
    let named =
        |manifest: &ManifestRef| Some(manifest.name.clone()).filter(|name| !name.is_empty());
    let names: BTreeSet<String> = scopes
        .map(ToString::to_string)
        .chain(roles.map(ToString::to_string))
        .chain(manifests.filter_map(named))
        .collect();
    let place = |name: &String| {
        let mut unread = unread.iter();
        let found = unread.find(|(_, text)| text.as_ref().is_none_or(|text| text.contains(name)));
        found.map(|(file, _)| file.clone())
    };
    let found = names.into_iter().filter_map(|name| {
        let file = place(&name)?;
        Some((name, file))
    });
    found.collect()
}
