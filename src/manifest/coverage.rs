//! What a run can say of the files that an inventory names: read, gone from disk, or perhaps still there.
//!
//! Absence counts only where it was looked for, and whatever else keeps a file from being read means that it is there: a
//! folder that cannot be entered, a link that leads nowhere, a submodule or a sparse checkout that leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::root::{LeftOut, Root, Roots};
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
    /// The same, by what they are on disk, whatever their names.
    pub(super) ids: BTreeSet<FileId>,
    /// The files that its overlays are put together from.
    pub(super) parts: BTreeSet<SourceFile>,
    /// The roots that they lie in.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// What a file is on disk, whatever its name; `None` where the system does not tell.
#[cfg_attr(
    unix,
    expect(clippy::unnecessary_wraps, reason = "other systems do not tell")
)]
pub(super) fn file_id(metadata: &fs::Metadata) -> Option<FileId> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

impl Ground {
    /// Whether a file lies inside the PATHs.
    pub(super) fn is_inside(&self, file: &SourceFile) -> bool {
        self.paths.iter().any(|path| file.is_inside(path))
    }

    /// Looks for each of `recorded` that was not read. Blocking.
    pub(super) fn cover(&self, recorded: impl IntoIterator<Item = SourceFile>) -> Coverage {
        let mut left_out = BTreeMap::new();
        // A pipe that was cut is valid YAML: that it says nothing of something means nothing.
        let read = self.read.iter().filter(|file| !file.is_standard_input());
        let read = read.map(|file| (file.clone(), Covered::Read));
        let others = recorded
            .into_iter()
            .filter(|file| !self.read.contains(file));
        let others = others.map(|file| {
            let covered = self.look(&file, &mut left_out);
            (file, covered)
        });
        read.chain(others).collect()
    }

    fn look(&self, file: &SourceFile, left_out: &mut BTreeMap<PathBuf, LeftOut>) -> Covered {
        let other_repository = Covered::NotRead(NotRead::OtherRepository);
        let Some(repository) = file.repository() else {
            return other_repository;
        };
        let mut found = None;
        for root in self.roots.of_repository(repository) {
            let on_disk = root.on_disk(file);
            match fs::symlink_metadata(&on_disk) {
                Err(error) if is_absent(&error) => {}
                _ => return self.not_gone(file, &on_disk),
            }
            if let Some(why) = hidden(root, &on_disk) {
                return Covered::NotRead(why);
            }
            let known = left_out.entry(root.folder.clone());
            if known.or_insert_with(|| root.left_out()).may_hold(file) {
                return Covered::NotRead(NotRead::LeftOut);
            }
            found = Some(if self.is_inside(file) {
                Covered::Gone
            } else {
                Covered::GoneOutside
            });
        }
        found.unwrap_or(other_repository)
    }

    /// What is known of a file that is there.
    fn not_gone(&self, file: &SourceFile, on_disk: &Path) -> Covered {
        let id = fs::metadata(on_disk).ok().as_ref().and_then(file_id);
        if id.is_some_and(|id| self.ids.contains(&id)) {
            Covered::Read
        } else if self.is_inside(file) {
            Covered::NotRead(NotRead::PassedOver)
        } else {
            Covered::NotRead(NotRead::Outside)
        }
    }
}

/// Whether a file is not there, as opposed to one that cannot be looked at.
pub(super) fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Why a path that is not there says nothing: what should hold it is not there itself.
fn hidden(root: &Root, path: &Path) -> Option<NotRead> {
    let above = path.ancestors().skip(1);
    let mut above = above.take_while(|folder| folder.starts_with(&root.folder));
    let nearest = above.find(|folder| fs::symlink_metadata(folder).is_ok())?;
    if fs::metadata(nearest).is_err() {
        Some(NotRead::DeadLink)
    } else if root.is_bare_submodule(nearest) {
        Some(NotRead::NotCheckedOut)
    } else {
        None
    }
}
