//! PATHs into files: the part of reading manifests that touches the file system.
//!
//! Of a folder, the files that end in `.yaml` or `.yml` are read, in any case of letters. What is hidden and what
//! `.scopewardignore` leaves out is passed over. Of what was read, the files with our group in them are ours; the others are
//! somebody else's, and are kept for the Secrets that a Target may name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::coverage::{self, FileId, Ground};
use super::kustomize;
use super::root::{Roots, relative};
use super::yaml::MAX_BYTES;
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{Repository, SourceFile};

/// What a pipe or a device is told to be.
const NOT_REGULAR: &str = "it is not a regular file";
/// What to do about a file in another encoding.
const SAVE_AS_UTF8: &str = "save it as UTF-8";
/// What to do about a file that cannot be read.
const MAKE_READABLE: &str = "make it readable, or name the paths that are to be read";
/// What to do about an overlay that cannot be built.
const MEND_OVERLAY: &str = "what it declares is not known until it builds";
/// The file that says what is passed over, in gitignore's syntax.
const IGNORE_FILE: &str = ".scopewardignore";
/// What every manifest of ours has in it.
const GROUP_MARK: &str = "scopeward.dev/";

/// What was found under the PATHs of a run.
#[derive(Default)]
pub(super) struct Files {
    /// The texts that are ours, each once, sorted by file.
    pub(super) texts: Vec<(SourceFile, String)>,
    /// The texts of a folder that are somebody else's.
    pub(super) foreign: Vec<(SourceFile, String)>,
    /// Where it was looked.
    pub(super) ground: Ground,
    /// The PATHs that are gone, in a checkout, and what they were.
    pub(super) gone: Vec<(PathBuf, SourceFile)>,
    /// The files that stand outside their roots, where a link leads to them.
    pub(super) outside: BTreeSet<SourceFile>,
    /// What could not be read.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads every manifest file under `paths`, each once, whatever links lead to it, and builds the overlays. All of it is the
/// repository `name`, if that is given.
///
/// # Errors
/// The first PATH that does not exist, and is not one that a checkout may have lost.
pub(super) fn read(
    paths: &[PathBuf],
    overlays: &[PathBuf],
    name: Option<Repository>,
) -> Result<Files, PathBuf> {
    let mut walk = Walk::default();
    walk.files.ground.roots = Roots::new(name);
    for path in paths {
        if path.as_os_str() == "-" {
            let file = SourceFile::standard_input();
            if walk.names.insert(file.clone()) {
                walk.files.take(file, read_text(io::stdin().lock(), true));
            }
            continue;
        }
        walk.path(path)?;
    }
    for overlay in overlays {
        walk.overlay(overlay)?;
    }
    Ok(walk.end())
}

/// Reads what else there is in a checkout, beside what a run has read.
pub(super) fn read_beside(folder: &Path, ground: &Ground) -> Files {
    let mut walk = Walk {
        base: folder.to_owned(),
        ids: ground.ids.clone(),
        names: ground.read.clone(),
        ..Walk::default()
    };
    walk.files.ground.roots = ground.roots.clone();
    walk.top(folder);
    walk.end()
}

/// A walk through folders.
#[derive(Default)]
struct Walk {
    files: Files,
    /// The folder that the names for people are relative to.
    base: PathBuf,
    /// The real files and folders that were read: links may go round in circles, and lead to one place many times.
    seen: BTreeSet<PathBuf>,
    /// The files that were read, by what they are on disk.
    ids: BTreeSet<FileId>,
    /// The names that were given.
    names: BTreeSet<SourceFile>,
    /// Links that were not followed yet.
    links: VecDeque<PathBuf>,
    /// What `.scopewardignore` files say, from the outermost folder to the present one.
    ignored: Vec<Gitignore>,
}

impl Walk {
    /// A PATH of the command line.
    fn path(&mut self, path: &Path) -> Result<(), PathBuf> {
        // The folder is made real and the last part kept, so that a file which is a link goes by its own name.
        let Some(real) = real(path) else {
            return self.gone(path);
        };
        // What owns a live object is a file by its name, and a pipe's is another one each time.
        if fs::metadata(path).is_ok_and(|found| !found.is_dir() && !found.is_file()) {
            let file = SourceFile::new(path.display().to_string());
            let error = io::Error::other(NOT_REGULAR);
            let help = "pass it on standard input, with `-` as its PATH";
            self.files.unreadable(file, &error, help);
            return Ok(());
        }
        self.base = base(&real);
        let place = self.place(&real);
        self.files.ground.paths.push(place);
        if real.is_dir() {
            self.top(&real);
        } else {
            self.file(&real, true);
        }
        Ok(())
    }

    /// An overlay, which goes by one file whatever it is made from.
    fn overlay(&mut self, folder: &Path) -> Result<(), PathBuf> {
        let Some(real) = real(folder).filter(|real| real.is_dir()) else {
            return self.gone(&folder.join(kustomize::FILE));
        };
        self.base = base(&real);
        let path = real.join(kustomize::FILE);
        let file = self.name(&path);
        self.files.ground.paths.push(file.clone());
        if !self.names.insert(file.clone()) {
            return Ok(());
        }
        match kustomize::build(&real) {
            Ok(text) => {
                let root = self.files.ground.roots.of(&real);
                self.files.ground.folders.insert(root.folder.clone());
                self.files.texts.push((file, text));
                for part in kustomize::parts(&real) {
                    let part = self.name(&part);
                    self.files.ground.parts.insert(part);
                }
            }
            Err(error) => self.files.unreadable(file, &error, MEND_OVERLAY),
        }
        Ok(())
    }

    /// A folder that the walk starts in.
    fn top(&mut self, folder: &Path) {
        let root = self.files.ground.roots.of(folder);
        // It counts as looked at, though nothing may be left in it.
        self.files.ground.folders.insert(root.folder.clone());
        // What lies above says what is passed over below, as far as the checkout reaches.
        let above: Vec<&Path> = folder
            .ancestors()
            .skip(1)
            .take_while(|above| root.is_checkout() && above.starts_with(&root.folder))
            .collect();
        let ignored = above
            .into_iter()
            .rev()
            .filter_map(|above| self.rules(above));
        self.ignored = ignored.collect();
        self.folder(folder);
        // Links come last, so that what is there by itself goes by its own name.
        while let Some(link) = self.links.pop_front() {
            self.entry(&link);
        }
        self.ignored.clear();
    }

    fn folder(&mut self, folder: &Path) {
        match fs::canonicalize(folder).map(|real| self.seen.insert(real)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.unreadable(folder, &error),
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(folder, &error),
        };
        if entries.is_empty() && self.files.ground.roots.of(folder).is_bare_submodule(folder) {
            let message = "a submodule is not checked out, so what it declared stays as it is";
            let warning = Diagnostic::warning(codes::NOT_CHECKED_OUT, message);
            return self.say(
                folder,
                warning.help("`git submodule update --init` checks it out"),
            );
        }
        let rules = self.rules(folder);
        let has_rules = rules.is_some();
        self.ignored.extend(rules);
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type();
            let is_folder = kind.as_ref().is_ok_and(fs::FileType::is_dir);
            // `.git`, `.scopeward`, and the `..data` of a mounted ConfigMap, whose files are linked beside it.
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if is_hidden || self.is_ignored(&path, is_folder) {
                continue;
            }
            if kind.is_ok_and(|kind| kind.is_symlink()) {
                self.links.push_back(path);
            } else {
                self.entry(&path);
            }
        }
        if has_rules {
            self.ignored.pop();
        }
    }

    fn entry(&mut self, path: &Path) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_manifest = extension.is_some_and(|extension| {
            ["yaml", "yml"]
                .iter()
                .any(|ours| extension.eq_ignore_ascii_case(ours))
        });
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(_) if !is_manifest => {}
            Ok(metadata) if metadata.is_file() => self.file(path, false),
            // A pipe or a device would never end.
            Ok(_) => self.unreadable(path, &io::Error::other(NOT_REGULAR)),
            Err(error) if is_manifest => self.unreadable(path, &error),
            // What is not there any more may have been a folder of manifests.
            Err(_) => {
                let message = "a link leads nowhere, so what was declared below it stays as it is";
                let warning = Diagnostic::warning(codes::DEAD_LINK, message);
                self.say(
                    path,
                    warning.help("mend the link, or remove it if what it led to is gone"),
                );
            }
        }
    }

    fn file(&mut self, path: &Path, is_named: bool) {
        // Kustomize's own file is none of ours, although a patch in it may look like one: only `-k` reads it.
        if kustomize::is_own_file(path) {
            if is_named {
                let file = self.name(path);
                let error = io::Error::other("it is kustomize's own file");
                let help = "pass its folder with `-k`, which builds it";
                self.files.unreadable(file, &error, help);
            }
            return;
        }
        match fs::canonicalize(path).map(|real| self.seen.insert(real)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.unreadable(path, &error),
        }
        let id = fs::metadata(path).ok().as_ref().and_then(coverage::file_id);
        // One file by another name, such as a second hard link, says nothing new.
        if id.is_some_and(|id| !self.ids.insert(id)) {
            return;
        }
        let file = self.name(path);
        if self.leads_out(path) {
            self.files.outside.insert(file.clone());
        }
        if self.names.insert(file.clone()) {
            let read = File::open(path).and_then(|file| read_text(file, is_named));
            let is_ours = self.files.take(file, read);
            if is_ours {
                let root = self.files.ground.roots.of(path.parent().unwrap_or(path));
                self.files.ground.folders.insert(root.folder.clone());
                self.files.ground.ids.extend(id);
            }
        } else {
            let error = io::Error::other("another checkout of its repository has the same file");
            self.files.unreadable(file, &error, "run them apart");
        }
    }

    /// A PATH that is not there: in a checkout it may be one whose files all went.
    fn gone(&mut self, path: &Path) -> Result<(), PathBuf> {
        let lost = || path.to_owned();
        let is_absent = |path: &Path| {
            fs::symlink_metadata(path).is_err_and(|error| coverage::is_absent(&error))
        };
        let nearest = path.ancestors().skip(1).find(|above| !is_absent(above));
        let nearest = nearest
            .filter(|above| *above != Path::new(""))
            .unwrap_or(Path::new("."));
        let rest = path.strip_prefix(nearest).unwrap_or(path);
        let is_plain = rest
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let folder = fs::canonicalize(nearest).map_err(|_| lost())?;
        let root = self.files.ground.roots.of(&folder);
        if !is_plain || !is_absent(path) || !root.is_checkout() {
            return Err(lost());
        }
        self.files.ground.folders.insert(root.folder.clone());
        self.files
            .gone
            .push((lost(), root.file(&folder.join(rest))));
        Ok(())
    }

    /// What a folder's own `.scopewardignore` says.
    fn rules(&mut self, folder: &Path) -> Option<Gitignore> {
        let file = folder.join(IGNORE_FILE);
        if !file.is_file() {
            return None;
        }
        let mut builder = GitignoreBuilder::new(folder);
        let failed = builder.add(&file);
        match failed.map_or_else(|| builder.build(), Err) {
            Ok(rules) => Some(rules),
            Err(error) => {
                self.unreadable(&file, &io::Error::other(error));
                None
            }
        }
    }

    fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        // The innermost file that says anything decides.
        let mut said = self
            .ignored
            .iter()
            .rev()
            .map(|rules| rules.matched(path, is_folder));
        said.find(|said| !said.is_none())
            .is_some_and(|said| said.is_ignore())
    }

    /// A file's name.
    fn name(&mut self, path: &Path) -> SourceFile {
        let folder = path.parent().unwrap_or(path);
        let root = self.files.ground.roots.of(folder);
        root.file(path).shown_as(relative(path, &self.base))
    }

    /// A PATH's name: a folder that is a root is all of its repository.
    fn place(&mut self, path: &Path) -> SourceFile {
        if path.is_dir() {
            self.files.ground.roots.of(path).file(path)
        } else {
            self.name(path)
        }
    }

    /// Whether a file really stands outside its root.
    fn leads_out(&mut self, path: &Path) -> bool {
        let root = self.files.ground.roots.of(path.parent().unwrap_or(path));
        match (fs::canonicalize(path), fs::canonicalize(&root.folder)) {
            (Ok(file), Ok(folder)) => !file.starts_with(folder),
            _ => true,
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let file = self.name(path);
        self.files.unreadable(file, error, MAKE_READABLE);
    }

    fn say(&mut self, path: &Path, mut diagnostic: Diagnostic) {
        diagnostic.file = Some(self.name(path));
        self.files.diagnostics.push(diagnostic);
    }

    fn end(mut self) -> Files {
        self.files.texts.sort();
        self.files.foreign.sort();
        self.files.tell_apart();
        let read = self.files.texts.iter().map(|(file, _)| file.clone());
        self.files.ground.read = read.collect();
        self.files
    }
}

impl Files {
    /// Gives files that would read alike the names of their repositories.
    fn tell_apart(&mut self) {
        let found = self
            .diagnostics
            .iter_mut()
            .filter_map(|found| found.file.as_mut());
        let texts = self.texts.iter_mut().chain(&mut self.foreign);
        let mut files: Vec<&mut SourceFile> = texts.map(|(file, _)| file).chain(found).collect();
        let mut alike: BTreeMap<String, BTreeSet<SourceFile>> = BTreeMap::new();
        for file in &files {
            alike
                .entry(file.to_string())
                .or_default()
                .insert((*file).clone());
        }
        for file in &mut files {
            if let Some(repository) = file.repository().filter(|_| alike[file.as_str()].len() > 1) {
                let shown = format!("{repository}/{}", file.path());
                **file = file.clone().shown_as(shown);
            }
        }
    }

    /// Takes a file, and says whether it is ours.
    fn take(&mut self, file: SourceFile, read: io::Result<Result<Text, Diagnostic>>) -> bool {
        match read {
            Ok(Ok(Text::Ours(text))) => {
                self.texts.push((file, text));
                return true;
            }
            Ok(Ok(Text::Foreign(text))) => self.foreign.push((file, text)),
            Ok(Err(mut diagnostic)) => {
                diagnostic.file = Some(file);
                self.diagnostics.push(diagnostic);
            }
            Err(error) => self.unreadable(file, &error, MAKE_READABLE),
        }
        false
    }

    fn unreadable(&mut self, file: SourceFile, error: &io::Error, help: &str) {
        let message = format!("cannot read {:?}: {error}", file.as_str());
        let mut diagnostic = Diagnostic::error(codes::UNREADABLE, message).help(help);
        diagnostic.file = Some(file);
        self.diagnostics.push(diagnostic);
    }
}
/// A file's text, and whose it is.
enum Text {
    Ours(String),
    /// Somebody else's, who may write anything.
    Foreign(String),
}

/// Reads a text of bearable size. One that stands on the command line is ours, whatever it holds.
fn read_text(reader: impl io::Read, is_named: bool) -> io::Result<Result<Text, Diagnostic>> {
    let refuse = |code: Code, message: String, help: &str| {
        Ok(Err(Diagnostic::error(code, message).help(help)))
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES / (1024 * 1024));
        return refuse(codes::TOO_LARGE, message, "split it");
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // Without its byte order mark it is hardly ever anything but text with NUL characters, which are refused as such.
        Err(error) if matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) => {
            let message = "the file is UTF-16 text, and manifests are UTF-8".to_owned();
            return refuse(codes::NOT_UTF8, message, SAVE_AS_UTF8);
        }
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes());
            if !is_named && !is_ours(&text) {
                return Ok(Ok(Text::Foreign(text.into_owned())));
            }
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            let message = format!("the file is not UTF-8 text: line {line} has other bytes");
            return refuse(codes::NOT_UTF8, message, SAVE_AS_UTF8);
        }
    };
    Ok(Ok(if is_named || is_ours(&text) {
        Text::Ours(text)
    } else {
        Text::Foreign(text)
    }))
}

/// Whether a text in a folder is ours: it names our group, or says nothing at all, such as a manifest that was emptied.
fn is_ours(text: &str) -> bool {
    let is_silent = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    text.contains(GROUP_MARK) || text.lines().all(is_silent)
}

/// A path whose folders are real and whose last part is kept; `None` where it does not exist.
fn real(path: &Path) -> Option<PathBuf> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.is_dir() {
        return fs::canonicalize(path).ok();
    }
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
}

/// The folder that the names of files under `path` are relative to; `None` where `path` is not there.
pub(super) fn base_of(path: &Path) -> Option<PathBuf> {
    real(path).map(|real| base(&real))
}

/// The folder that names are relative to: the nearest one above that holds `.git`, else the working folder.
fn base(path: &Path) -> PathBuf {
    let holds_git = |folder: &&Path| folder.join(".git").exists();
    match path.ancestors().find(holds_git) {
        Some(folder) => folder.to_owned(),
        None => std::env::current_dir()
            .and_then(fs::canonicalize)
            .unwrap_or_default(),
    }
}
