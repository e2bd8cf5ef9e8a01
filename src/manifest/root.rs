//! Roots: the folders that paths of files are relative to, and the repositories that they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::model::{Repository, SourceFile};

/// The nearest folder with `.git` above some files, else the file system's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) folder: PathBuf,
    pub(super) repository: Repository,
}

/// The roots that a run met.
#[derive(Debug, Default)]
pub(super) struct Roots {
    by_folder: BTreeMap<PathBuf, Arc<Root>>,
}

impl Roots {
    /// The root of what lies in `folder`, an absolute path.
    pub(super) fn of(&mut self, folder: &Path) -> Arc<Root> {
        if let Some(known) = self.by_folder.get(folder) {
            return Arc::clone(known);
        }
        let root = match folder.parent() {
            Some(parent) if !folder.join(".git").exists() => self.of(parent),
            _ => Arc::new(Root::at(folder)),
        };
        self.by_folder.insert(folder.to_owned(), Arc::clone(&root));
        root
    }

    /// The folders that are roots of a repository: more than one where it is checked out more than once.
    pub(super) fn of_repository(&self, repository: &Repository) -> impl Iterator<Item = &Root> {
        let roots = self
            .by_folder
            .iter()
            .filter(|(folder, root)| root.folder == **folder);
        roots
            .map(|(_, root)| root.as_ref())
            .filter(move |root| root.repository == *repository)
    }
}

impl Root {
    fn at(folder: &Path) -> Self {
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        Self {
            folder: folder.to_owned(),
            repository: Repository::at(real.to_string_lossy()),
        }
    }

    /// The file or folder at an absolute path below the root.
    pub(super) fn file(&self, path: &Path) -> SourceFile {
        SourceFile::new(relative(path, &self.folder)).of(self.repository.clone())
    }

    /// Where a file of the repository stands on disk.
    pub(super) fn on_disk(&self, file: &SourceFile) -> PathBuf {
        self.folder.join(file.path())
    }
}

/// A path relative to `base`, with `/` between its parts.
pub(super) fn relative(path: &Path, base: &Path) -> String {
    let mut path_parts = path.components().peekable();
    let mut base_parts = base.components().peekable();
    while let (Some(a), Some(b)) = (path_parts.peek(), base_parts.peek())
        && a == b
    {
        path_parts.next();
        base_parts.next();
    }
    let up = base_parts.map(|_| "..".to_owned());
    let down = path_parts.map(|part| match part {
        Component::Normal(name) => name.to_string_lossy().into_owned(),
        other => other.as_os_str().to_string_lossy().into_owned(),
    });
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}
