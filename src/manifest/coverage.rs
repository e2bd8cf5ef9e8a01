//! What a run can say of the files that an inventory names: read, gone from disk, or still there and not read.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use super::root::Roots;
use crate::model::{Coverage, Covered, NotRead, SourceFile};

/// Where a run looked, and what it read there.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// The roots that it met.
    pub(super) roots: Roots,
    /// Its PATHs.
    pub(super) paths: Vec<SourceFile>,
    /// The files that it read.
    pub(super) read: BTreeSet<SourceFile>,
}

impl Ground {
    /// Looks for each of `recorded` that was not read. Blocking.
    pub(super) fn cover(&self, recorded: impl IntoIterator<Item = SourceFile>) -> Coverage {
        let read = self.read.iter().map(|file| (file.clone(), Covered::Read));
        let others = recorded
            .into_iter()
            .filter(|file| !self.read.contains(file));
        let others = others.map(|file| {
            let covered = self.look(&file);
            (file, covered)
        });
        read.chain(others).collect()
    }

    fn look(&self, file: &SourceFile) -> Covered {
        let mut roots = match file.repository() {
            Some(repository) => self.roots.of_repository(repository).peekable(),
            None => return Covered::NotRead(NotRead::OtherRepository),
        };
        if roots.peek().is_none() {
            return Covered::NotRead(NotRead::OtherRepository);
        }
        let is_inside = self.paths.iter().any(|path| file.is_inside(path));
        let is_gone = roots.all(|root| match fs::symlink_metadata(root.on_disk(file)) {
            Ok(_) => false,
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        });
        match (is_gone, is_inside) {
            (true, true) => Covered::Gone,
            (true, false) => Covered::GoneOutside,
            (false, true) => Covered::NotRead(NotRead::PassedOver),
            (false, false) => Covered::NotRead(NotRead::Outside),
        }
    }
}
