//! The inventory's files: reading with limits, the lock, and the fold of the journal into the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{InventoryError, Snapshot};

/// The largest inventory that is read, in bytes: far above what a million entries need.
const MAX_BYTES: u64 = 1 << 30;

/// Writes the file anew, one generation on, and removes the journal. The file is replaced in one step: whoever reads sees
/// the old or the new one.
pub(super) fn fold(path: &Path, snapshot: &mut Snapshot) -> Result<(), InventoryError> {
    let failed = |source| InventoryError::Write {
        path: path.to_owned(),
        source,
    };
    snapshot.generation += 1;
    let mut text = serde_json::to_vec_pretty(&snapshot.document(Timestamp::now()))
        .expect("an inventory always serialises");
    text.push(b'\n');
    let temporary = with_suffix(path, ".new");
    let mut file = File::create(&temporary).map_err(failed)?;
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    remove_journal(path)
}

pub(super) fn remove_journal(path: &Path) -> Result<(), InventoryError> {
    let journal = journal_path(path);
    match fs::remove_file(&journal) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(InventoryError::Write {
            path: journal,
            source,
        }),
        _ => Ok(()),
    }
}

pub(super) fn take_lock(path: &Path, holder: &str) -> Result<File, InventoryError> {
    let lock_path = with_suffix(path, ".lock");
    let failed = |source| InventoryError::Write {
        path: lock_path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = (&file).take(1024).read_to_string(&mut text);
            let holder = if text.trim().is_empty() {
                "another run".to_owned()
            } else {
                text.trim().to_owned()
            };
            return Err(InventoryError::Locked {
                path: path.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{holder}"))
        .map_err(failed)?;
    Ok(file)
}

pub(super) fn journal_path(path: &Path) -> PathBuf {
    with_suffix(path, ".journal")
}

/// The audit log: the folder's own beside an inventory of the usual name, else the inventory's, so that two in one folder
/// do not share one.
pub(super) fn audit_path(path: &Path) -> PathBuf {
    if path
        .file_name()
        .is_some_and(|name| name == "inventory.json")
    {
        path.with_file_name("audit.jsonl")
    } else {
        with_suffix(path, ".audit.jsonl")
    }
}

/// Opens the audit log to append to it. Half a line at its end, which a disk that was full leaves, is taken off: the line
/// stands in the journal as well, and what is written next would be torn with it.
pub(super) fn open_audit(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        file.seek(io::SeekFrom::Start(start))?;
        let length = usize::try_from(end - start).unwrap_or(block.len());
        let read = &mut block[..length];
        file.read_exact(read)?;
        if let Some(line_end) = read.iter().rposition(|byte| *byte == b'\n') {
            end = start + line_end as u64 + 1;
            break;
        }
        end = start;
    }
    if end < file.metadata()?.len() {
        file.set_len(end)?;
    }
    Ok(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The place that a path means: links are followed, so that the file behind one is replaced and locked, and not the link.
///
/// # Errors
/// A link to what is not there: its folder may be away for now, and an inventory that is away is not an empty one.
pub(super) fn real(path: &Path) -> Result<PathBuf, InventoryError> {
    let failed = |source| InventoryError::Read {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => fs::canonicalize(path).map_err(failed),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(path.to_owned()),
    }
}

/// Reads a text file, or nothing where there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, InventoryError> {
    let Some(bytes) = read_limited(path)? else {
        return Ok(None);
    };
    text(path, bytes).map(Some)
}

/// Reads the whole lines of a file, or nothing where there is none. The last line may have been cut by a kill in the midst
/// of writing it: it has no end, and is not counted.
pub(super) fn read_lines(path: &Path) -> Result<Option<String>, InventoryError> {
    let Some(mut bytes) = read_limited(path)? else {
        return Ok(None);
    };
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    bytes.truncate(end.map_or(0, |end| end + 1));
    text(path, bytes).map(Some)
}

fn read_limited(path: &Path) -> Result<Option<Vec<u8>>, InventoryError> {
    let failed = |source| InventoryError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(InventoryError::Malformed {
            path: path.to_owned(),
            why: format!("larger than {MAX_BYTES} bytes"),
        });
    }
    Ok(Some(bytes))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, InventoryError> {
    String::from_utf8(bytes).map_err(|_| InventoryError::Malformed {
        path: path.to_owned(),
        why: "it is not UTF-8 text".to_owned(),
    })
}
