//! Roots: the folders that paths of files are relative to, and the repositories that they are.
//!
//! The root of a file is the nearest folder above it that holds `.git`, else `/`. Its repository is what `--repository`
//! says, else the `origin` of the git folder's own `config`, else the root's real path. Nested repositories and submodules
//! are roots of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gix_config::{File, Source};

use crate::model::{Repository, SourceFile};

/// The nearest folder with `.git` above some files, else the file system's.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) folder: PathBuf,
    pub(super) repository: Repository,
    /// Where git keeps its own files, if this is a checkout.
    git: Option<GitFolder>,
}

/// Git's own folder of a checkout.
#[derive(Debug)]
struct GitFolder {
    /// That of this checkout.
    own: PathBuf,
    /// That which all worktrees share; the same in most checkouts.
    common: PathBuf,
}

/// The roots that a run met.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots {
    /// What `--repository` says.
    name: Option<Repository>,
    by_folder: BTreeMap<PathBuf, Arc<Root>>,
}

impl Roots {
    /// No root yet; all will be the repository `name`, if there is one.
    pub(super) fn new(name: Option<Repository>) -> Self {
        Self {
            name,
            by_folder: BTreeMap::new(),
        }
    }

    /// The root of what lies in `folder`, an absolute path.
    pub(super) fn of(&mut self, folder: &Path) -> Arc<Root> {
        if let Some(known) = self.by_folder.get(folder) {
            return Arc::clone(known);
        }
        let root = match folder.parent() {
            Some(parent) if !folder.join(".git").exists() => self.of(parent),
            _ => Arc::new(Root::at(folder, self.name.as_ref())),
        };
        self.by_folder.insert(folder.to_owned(), Arc::clone(&root));
        root
    }

    /// The root of a file that was met, among those of its repository where several are checkouts of it.
    pub(super) fn of_repository(&self, repository: &Repository) -> impl Iterator<Item = &Root> {
        self.each()
            .filter(move |root| root.repository == *repository)
    }

    /// Every root.
    pub(super) fn each(&self) -> impl Iterator<Item = &Root> {
        let roots = self.by_folder.iter();
        let roots = roots.filter(|(folder, root)| root.folder == **folder);
        roots.map(|(_, root)| root.as_ref())
    }
}

impl Root {
    fn at(folder: &Path, name: Option<&Repository>) -> Self {
        let git = GitFolder::of(folder);
        let origin = || git.as_ref()?.origin();
        let path = || {
            let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            Repository::at(real.to_string_lossy())
        };
        Self {
            folder: folder.to_owned(),
            repository: name.cloned().or_else(origin).unwrap_or_else(path),
            git,
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

    /// Whether it is a checkout.
    pub(super) fn is_checkout(&self) -> bool {
        self.git.is_some()
    }

    /// Whether a folder of this root is a submodule that is not checked out: an empty folder that `.gitmodules` lists.
    pub(super) fn is_bare_submodule(&self, folder: &Path) -> bool {
        let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        is_empty && self.is_checkout() && {
            let place = relative(folder, &self.folder);
            let listed = read(&self.folder.join(".gitmodules"));
            listed.is_some_and(|file| {
                let sections = file.sections_by_name("submodule").into_iter().flatten();
                let mut paths = sections.filter_map(|section| section.body().value("path"));
                paths.any(|path| path.to_string().trim_end_matches('/') == place)
            })
        }
    }

    /// The paths that a sparse checkout leaves out, for a root that is one. Nobody knows them where git cannot answer.
    pub(super) fn left_out(&self) -> LeftOut {
        let Some(git) = self.git.as_ref().filter(|git| git.is_sparse()) else {
            return LeftOut::Nothing;
        };
        let mut command = Command::new("git");
        for variable in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_COMMON_DIR",
        ] {
            command.env_remove(variable);
        }
        // A repository's own settings may name programs to run: none of them is, for a question about an index.
        command
            .args(["-c", "core.fsmonitor=false", "-C"])
            .arg(&self.folder)
            .args(["ls-files", "-t", "-z", "--full-name"]);
        match command.output() {
            Ok(output) if output.status.success() && git.own.exists() => {
                let listed = String::from_utf8_lossy(&output.stdout);
                let skipped = listed
                    .split('\0')
                    .filter_map(|line| line.strip_prefix("S "));
                LeftOut::These(skipped.map(str::to_owned).collect())
            }
            _ => LeftOut::Unknown,
        }
    }
}

/// What a sparse checkout leaves out.
pub(super) enum LeftOut {
    Nothing,
    These(BTreeSet<String>),
    Unknown,
}

impl LeftOut {
    /// Whether a file that is not on disk may be one of them.
    pub(super) fn may_hold(&self, file: &SourceFile) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(paths) => paths.contains(file.path()),
            Self::Unknown => true,
        }
    }
}

impl GitFolder {
    fn of(root: &Path) -> Option<Self> {
        let path = root.join(".git");
        // A worktree and a submodule have a file that says where the folder is.
        let own = match fs::read_to_string(&path) {
            Ok(text) => root.join(text.strip_prefix("gitdir:")?.trim()),
            Err(_) if path.is_dir() => path,
            Err(_) => return None,
        };
        let common = match fs::read_to_string(own.join("commondir")) {
            Ok(text) => own.join(text.trim()),
            Err(_) => own.clone(),
        };
        Some(Self { own, common })
    }

    fn origin(&self) -> Option<Repository> {
        let url = read(&self.common.join("config"))?.string("remote.origin.url")?;
        Repository::of_origin(&url.to_string())
    }

    /// Whether the checkout is told to leave paths out; git keeps that in the shared `config` or in the worktree's own.
    fn is_sparse(&self) -> bool {
        let places = [self.own.join("config.worktree"), self.common.join("config")];
        let mut files = places.iter().filter_map(|path| read(path));
        // What cannot be read as yes or no is taken for yes: that only keeps things.
        files.any(|file| !matches!(file.boolean("core.sparseCheckout"), Ok(None | Some(false))))
    }
}

/// A file in the form of git's configuration, without what it includes; `None` where there is none that can be read.
fn read(path: &Path) -> Option<File> {
    File::from_path_no_includes(path.to_owned(), Source::Local).ok()
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
