//! PATHs into files: the only part of reading manifests that touches the file system.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::coverage::Ground;
use super::root::relative;
use super::yaml::MAX_BYTES;
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::SourceFile;

/// What a pipe or a device is told to be.
const NOT_REGULAR: &str = "it is not a regular file";
/// What to do about a file in another encoding.
const SAVE_AS_UTF8: &str = "save it as UTF-8";
/// What to do about a file that cannot be read.
const MAKE_READABLE: &str = "make it readable, or name the paths that are to be read";

/// What was found under the PATHs of a run.
#[derive(Default)]
pub(super) struct Files {
    /// The texts, each once, sorted by file.
    pub(super) texts: Vec<(SourceFile, String)>,
    /// Where it was looked.
    pub(super) ground: Ground,
    /// What could not be read.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads every manifest file under `paths`, each once, whatever links lead to it.
///
/// # Errors
/// The first PATH that does not exist.
pub(super) fn read(paths: &[PathBuf]) -> Result<Files, PathBuf> {
    let mut walk = Walk::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let file = SourceFile::standard_input();
            if walk.names.insert(file.clone()) {
                walk.files.take(file, read_text(io::stdin().lock()));
            }
            continue;
        }
        // The folder is made real and the last part kept, so that a file which is a link goes by its own name.
        let Some(real) = real(path) else {
            return Err(path.clone());
        };
        // What owns a live object is a file by its name, and a pipe's is another one each time.
        if fs::metadata(path).is_ok_and(|found| !found.is_dir() && !found.is_file()) {
            let file = SourceFile::new(path.display().to_string());
            let error = io::Error::other(NOT_REGULAR);
            walk.files.unreadable(
                file,
                &error,
                "pass it on standard input, with `-` as its PATH",
            );
            continue;
        }
        walk.base = base(&real);
        let place = walk.place(&real);
        walk.files.ground.paths.push(place);
        if real.is_dir() {
            walk.folder(&real);
            // Links come last, so that what is there by itself goes by its own name.
            while let Some(link) = walk.links.pop_front() {
                walk.entry(&link);
            }
        } else {
            walk.file(&real);
        }
    }
    walk.files.texts.sort();
    walk.files.tell_apart();
    let read = walk.files.texts.iter().map(|(file, _)| file.clone());
    walk.files.ground.read = read.collect();
    Ok(walk.files)
}

/// A walk through folders.
#[derive(Default)]
struct Walk {
    files: Files,
    /// The folder that the names for people are relative to.
    base: PathBuf,
    /// The real files and folders that were read: links may go round in circles, and lead to one place many times.
    seen: BTreeSet<PathBuf>,
    /// The names that were given.
    names: BTreeSet<SourceFile>,
    /// Links that were not followed yet.
    links: VecDeque<PathBuf>,
}

impl Walk {
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
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            // `.git`, `.scopeward`, and the `..data` of a mounted ConfigMap, whose files are linked beside it.
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.links.push_back(entry.path());
            } else {
                self.entry(&entry.path());
            }
        }
    }

    fn entry(&mut self, path: &Path) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let manifest = matches!(extension, Some("yaml" | "yml"));
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(_) if !manifest || path.ends_with("sandbox.yaml") => {}
            Ok(metadata) if metadata.is_file() => self.file(path),
            // A pipe or a device would never end.
            Ok(_) => self.unreadable(path, &io::Error::other(NOT_REGULAR)),
            // What is not there any more may have been a folder of manifests.
            Err(error) if manifest || extension.is_none() => self.unreadable(path, &error),
            Err(_) => {}
        }
    }

    fn file(&mut self, path: &Path) {
        match fs::canonicalize(path).map(|real| self.seen.insert(real)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.unreadable(path, &error),
        }
        let file = self.name(path);
        if self.names.insert(file.clone()) {
            let read = File::open(path).and_then(read_text);
            self.files.take(file, read);
        } else {
            let error = io::Error::other("another checkout of its repository has the same file");
            self.files.unreadable(file, &error, "run them apart");
        }
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

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let file = self.name(path);
        self.files.unreadable(file, error, MAKE_READABLE);
    }
}

impl Files {
    /// Gives files that would read alike the names of their repositories.
    fn tell_apart(&mut self) {
        let mut alike: BTreeMap<String, BTreeSet<SourceFile>> = BTreeMap::new();
        let found = self
            .diagnostics
            .iter_mut()
            .filter_map(|found| found.file.as_mut());
        let mut files: Vec<&mut SourceFile> = self
            .texts
            .iter_mut()
            .map(|(file, _)| file)
            .chain(found)
            .collect();
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

    fn take(&mut self, file: SourceFile, read: io::Result<Result<String, Diagnostic>>) {
        match read {
            Ok(Ok(text)) => self.texts.push((file, text)),
            Ok(Err(mut diagnostic)) => {
                diagnostic.file = Some(file);
                self.diagnostics.push(diagnostic);
            }
            Err(error) => self.unreadable(file, &error, MAKE_READABLE),
        }
    }

    fn unreadable(&mut self, file: SourceFile, error: &io::Error, help: &str) {
        let message = format!("cannot read {:?}: {error}", file.as_str());
        let mut diagnostic = Diagnostic::error(codes::UNREADABLE, message).help(help);
        diagnostic.file = Some(file);
        self.diagnostics.push(diagnostic);
    }
}

/// Reads a text of bearable size.
fn read_text(reader: impl io::Read) -> io::Result<Result<String, Diagnostic>> {
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
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Ok(text)),
        // Without its byte order mark it is hardly ever anything but text with NUL characters, which are refused as such.
        Err(error) if matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) => refuse(
            codes::NOT_UTF8,
            "the file is UTF-16 text, and manifests are UTF-8".to_owned(),
            SAVE_AS_UTF8,
        ),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..at];
            let line = before.split(|byte| *byte == b'\n').count();
            refuse(
                codes::NOT_UTF8,
                format!("the file is not UTF-8 text: line {line} has other bytes"),
                SAVE_AS_UTF8,
            )
        }
    }
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
