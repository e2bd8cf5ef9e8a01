//! Overlays: what the user's own kustomize makes of a folder. It is one text, and one source for ownership.

use std::io;
use std::path::Path;
use std::process::Command;

/// The file that an overlay goes by, whatever it was put together from.
pub(super) const FILE: &str = "kustomization.yaml";

/// Whether a file is kustomize's own.
pub(super) fn is_own_file(path: &Path) -> bool {
    let names = [FILE, "kustomization.yml", "Kustomization"];
    names
        .iter()
        .any(|name| path.file_name().is_some_and(|file| file == *name))
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
