//! Overlays: what the user's own kustomize makes of a folder. It is one text, and one source for ownership.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::Deserialize;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::chunk;

/// The file that an overlay goes by, whatever it was put together from.
pub(super) const FILE: &str = "kustomization.yaml";

/// The names that kustomize's own file may have.
const NAMES: [&str; 3] = [FILE, "kustomization.yml", "Kustomization"];

/// Whether a file is kustomize's own.
pub(super) fn is_own_file(path: &Path) -> bool {
    NAMES
        .iter()
        .any(|name| path.file_name().is_some_and(|file| file == *name))
}

/// What a kustomization names of the files that it is put together from.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kustomization {
    resources: Vec<String>,
    bases: Vec<String>,
    components: Vec<String>,
    patches: Vec<Patch>,
    patches_strategic_merge: Vec<String>,
}

#[derive(Deserialize)]
struct Patch {
    path: Option<String>,
}

/// The files that an overlay is put together from, as far as they are on this disk. What they declare is what the overlay
/// makes of it. Blocking.
pub(super) fn parts(folder: &Path) -> BTreeSet<PathBuf> {
    let mut parts = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        let text = NAMES
            .iter()
            .find_map(|name| fs::read_to_string(folder.join(name)).ok());
        let read = text.and_then(|text| {
            serde_saphyr::from_str_with_options(&text, chunk::options(DuplicateKeyPolicy::LastWins))
                .ok()
        });
        let found: Kustomization = read.unwrap_or_default();
        let patches = found.patches.into_iter().filter_map(|patch| patch.path);
        let named = [
            found.resources,
            found.bases,
            found.components,
            found.patches_strategic_merge,
        ];
        for name in named.into_iter().flatten().chain(patches) {
            match fs::canonicalize(folder.join(name)) {
                Ok(path) if path.is_dir() => folders.push(path),
                Ok(path) => drop(parts.insert(path)),
                // One of the web, or a patch that stands in the file itself.
                Err(_) => {}
            }
        }
    }
    parts
}

/// The programs that build overlays, first choice first.
const PROGRAMS: [(&str, &str); 2] = [("kustomize", "build"), ("kubectl", "kustomize")];

/// Builds an overlay. Blocking.
///
/// # Errors
/// No such program, or what it says is wrong with the overlay.
pub(super) fn build(folder: &Path) -> io::Result<String> {
    for (program, verb) in PROGRAMS {
        let output = match Command::new(program).arg(verb).arg(folder).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            output => output?,
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().rev().find(|line| !line.trim().is_empty());
            let said = said.unwrap_or("it does not say why").trim();
            return Err(io::Error::other(format!(
                "`{program} {verb}` failed: {said}"
            )));
        }
        let text = String::from_utf8(output.stdout);
        return text
            .map_err(|_| io::Error::other(format!("`{program} {verb}` wrote no UTF-8 text")));
    }
    let message = "neither `kustomize` nor `kubectl` is there to build the overlay";
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}
