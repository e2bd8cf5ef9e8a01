//! Keeps the state file up to date.
//!
//! Saves are grouped: while one is being written, any number of changes wait for the next. An answer to a write waits
//! for the save that holds its effect, so whoever saw the answer finds the effect after a kill. Where the state is large
//! (a world of very many objects), answers do not wait and saves are spaced out, so that saving does not become what is
//! measured; the last state is written at shutdown in any case.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How large a state may be, in bytes, for answers to wait for its save. A size and not a time, so that a busy machine
/// keeps the promise as well as an idle one.
const SMALL: usize = 1024 * 1024;

/// How much longer than the save of a large state the pause after it is.
const PAUSE_FACTOR: u32 = 8;

/// Gives the state to be saved, and the version that it holds.
pub(super) type Snapshot = dyn Fn() -> (u64, Vec<u8>) + Send + Sync;

/// The state file's writer.
#[derive(Debug)]
pub(super) struct Store {
    wanted: watch::Sender<u64>,
    saved: watch::Receiver<u64>,
    large: Arc<AtomicBool>,
}

/// A held state file: two sandboxes that write one file would undo each other's work.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock beside the state file; it ends with this value, or with the process.
    pub(super) fn take(state: &Path) -> io::Result<Option<Self>> {
        if let Some(folder) = state.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(state, "lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }
}

impl Store {
    /// Starts the writer; it ends, after a last save, when the store is dropped.
    ///
    /// The lock goes with the writer, so that nobody else writes the file before its last save is done.
    pub(super) fn start(
        path: PathBuf,
        lock: StateLock,
        snapshot: Arc<Snapshot>,
    ) -> (Self, JoinHandle<io::Result<()>>) {
        let (wanted, wanted_receiver) = watch::channel(0);
        let (saved_sender, saved) = watch::channel(0);
        let large = Arc::new(AtomicBool::new(false));
        let saving = keep_saved(
            path,
            snapshot,
            wanted_receiver,
            saved_sender,
            Arc::clone(&large),
        );
        let writer = tokio::spawn(async move {
            let _lock = lock;
            saving.await
        });
        (
            Self {
                wanted,
                saved,
                large,
            },
            writer,
        )
    }

    /// Says that the world has reached this version.
    pub(super) fn changed(&self, version: u64) {
        self.wanted.send_if_modified(|wanted| {
            let newer = version > *wanted;
            *wanted = version.max(*wanted);
            newer
        });
    }

    /// Waits until this version is in the file, unless the state is large.
    pub(super) async fn saved(&self, version: u64) {
        if !self.large.load(Ordering::Relaxed) {
            // An error means that the writer has ended, and there is nothing left to wait for.
            let _ = self.saved.clone().wait_for(|saved| *saved >= version).await;
        }
    }
}

async fn keep_saved(
    path: PathBuf,
    snapshot: Arc<Snapshot>,
    mut wanted: watch::Receiver<u64>,
    saved: watch::Sender<u64>,
    large: Arc<AtomicBool>,
) -> io::Result<()> {
    let mut outcome = Ok(());
    let mut stopping = false;
    while !stopping {
        stopping = wanted.changed().await.is_err();
        if *wanted.borrow_and_update() == *saved.borrow() {
            continue;
        }
        let (path, snapshot) = (path.clone(), Arc::clone(&snapshot));
        let started = Instant::now();
        let (version, size, written) = tokio::task::spawn_blocking(move || {
            let (version, bytes) = snapshot();
            (version, bytes.len(), replace(&path, &bytes))
        })
        .await
        .map_err(io::Error::other)?;
        if let Err(error) = &written {
            tracing::error!(%error, "the sandbox's state could not be saved");
        }
        outcome = written;
        large.store(size > SMALL, Ordering::Relaxed);
        saved.send_replace(version);
        if size > SMALL && !stopping {
            tokio::select! {
                () = tokio::time::sleep(started.elapsed() * PAUSE_FACTOR) => {}
                () = closed(wanted.clone()) => {}
            }
        }
    }
    outcome
}

/// Waits until the store is dropped.
async fn closed(mut wanted: watch::Receiver<u64>) {
    while wanted.changed().await.is_ok() {}
}

/// Replaces a file's content in one step, so that a reader sees the old or the new one and never a part.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, "tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(&temporary, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(version: u64) -> Arc<Snapshot> {
        Arc::new(move || (version, version.to_string().into_bytes()))
    }

    #[tokio::test]
    async fn an_answer_waits_for_its_save() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        let lock = StateLock::take(&path).unwrap().unwrap();
        let (store, _writer) = Store::start(path.clone(), lock, numbered(3));
        store.changed(3);
        store.saved(3).await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "3");
        assert!(!beside(&path, "tmp").exists());
    }

    #[tokio::test]
    async fn the_last_change_is_saved_when_the_store_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let lock = StateLock::take(&path).unwrap().unwrap();
        let (store, writer) = Store::start(path.clone(), lock, numbered(1));
        store.changed(1);
        drop(store);
        writer.await.unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
    }

    #[tokio::test]
    async fn a_save_that_fails_is_reported_and_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/state.json");
        let lock = StateLock::take(&path).unwrap().unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let (store, writer) = Store::start(path, lock, numbered(1));
        store.changed(1);
        store.saved(1).await;
        drop(store);
        assert_eq!(
            writer.await.unwrap().unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_state_file_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let first = StateLock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(StateLock::take(&path).unwrap().is_none());
        drop(first);
        assert!(StateLock::take(&path).unwrap().is_some());
    }
}
