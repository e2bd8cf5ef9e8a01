//! A store of blobs in memory, for tests: it conflicts, loses answers, takes its time and misses blobs where a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::blobs::{BlobError, BlobKey, Blobs, Version};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and an error comes.
    Refuse,
    /// It is done, and an error comes.
    LoseAnswer,
    /// It is done after so long.
    Late(Duration),
    /// An error comes at once, and it is done after so long, if it may be then.
    ErrorFirst(Duration),
    /// Nothing is done, and no answer ever comes: the process was killed before it.
    DieBefore,
    /// It is done, and no answer ever comes: the process was killed after it.
    DieAfter,
}

/// A call, as a script is asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    Create,
    Replace,
    Delete,
}

/// Says what becomes of a call.
type Script = dyn FnMut(Call, &BlobKey) -> Option<Fault> + Send;

/// How many calls took effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) creates: usize,
    pub(crate) replaces: usize,
    pub(crate) deletes: usize,
}

impl Calls {
    /// Those that cost: deletes come after the fact.
    pub(crate) fn writes(self) -> usize {
        self.creates + self.replaces
    }
}

/// What is kept. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlobStore(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    blobs: BTreeMap<BlobKey, (Vec<u8>, u64)>,
    versions: u64,
    calls: Calls,
}

/// A way to it; each may have troubles of its own.
#[derive(Clone)]
pub(crate) struct MemoryBlobs {
    store: BlobStore,
    script: Arc<Mutex<Box<Script>>>,
}

impl BlobStore {
    /// A way to it without trouble.
    pub(crate) fn open(&self) -> MemoryBlobs {
        self.troubled(|_, _| None)
    }

    /// A way to it with trouble.
    pub(crate) fn troubled(
        &self,
        script: impl FnMut(Call, &BlobKey) -> Option<Fault> + Send + 'static,
    ) -> MemoryBlobs {
        MemoryBlobs {
            store: self.clone(),
            script: Arc::new(Mutex::new(Box::new(script))),
        }
    }

    pub(crate) fn calls(&self) -> Calls {
        self.lock().calls
    }

    pub(crate) fn keys(&self) -> Vec<BlobKey> {
        self.lock().blobs.keys().cloned().collect()
    }

    pub(crate) fn bytes(&self, key: &BlobKey) -> Option<Vec<u8>> {
        self.lock().blobs.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// Puts bytes there, whatever there is.
    pub(crate) fn put(&self, key: &BlobKey, bytes: Vec<u8>) {
        let mut stored = self.lock();
        stored.versions += 1;
        let version = stored.versions;
        stored.blobs.insert(key.clone(), (bytes, version));
    }

    pub(crate) fn remove(&self, key: &BlobKey) {
        self.lock().blobs.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn write(
        &mut self,
        key: &BlobKey,
        bytes: &[u8],
        expected: Option<&Version>,
    ) -> Result<Version, BlobError> {
        let found = self.blobs.get(key).map(|(_, version)| version.to_string());
        if found.as_deref() != expected.map(Version::as_str) {
            return Err(BlobError::new("the condition does not hold"));
        }
        self.versions += 1;
        self.blobs
            .insert(key.clone(), (bytes.to_vec(), self.versions));
        match expected {
            Some(_) => self.calls.replaces += 1,
            None => self.calls.creates += 1,
        }
        Ok(Version::new(self.versions.to_string()))
    }
}

impl MemoryBlobs {
    async fn call<T: Send>(
        &self,
        call: Call,
        key: &BlobKey,
        act: impl FnOnce(&mut Stored) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let fault = {
            let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
            script(call, key)
        };
        let lost = || Err(BlobError::new("as the test asked for"));
        match fault {
            None => act(&mut self.store.lock()),
            Some(Fault::Refuse) => lost(),
            Some(Fault::LoseAnswer) => {
                act(&mut self.store.lock()).ok();
                lost()
            }
            Some(Fault::Late(time)) => {
                tokio::time::sleep(time).await;
                act(&mut self.store.lock())
            }
            Some(Fault::ErrorFirst(time)) => {
                let store = self.store.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    act(&mut store.lock()).ok();
                });
                lost()
            }
            Some(Fault::DieBefore) => std::future::pending().await,
            Some(Fault::DieAfter) => {
                act(&mut self.store.lock()).ok();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn get(&self, key: &BlobKey) -> Result<Option<(Vec<u8>, Version)>, BlobError> {
        let of = key.clone();
        let act = move |stored: &mut Stored| {
            let found = stored.blobs.get(&of);
            Ok(found.map(|(bytes, version)| (bytes.clone(), Version::new(version.to_string()))))
        };
        self.call(Call::Get, key, act).await
    }

    async fn create(&self, key: &BlobKey, bytes: &[u8]) -> Result<Version, BlobError> {
        let (of, bytes) = (key.clone(), bytes.to_vec());
        let act = move |stored: &mut Stored| stored.write(&of, &bytes, None);
        self.call(Call::Create, key, act).await
    }

    async fn replace(
        &self,
        key: &BlobKey,
        bytes: &[u8],
        version: &Version,
    ) -> Result<Version, BlobError> {
        let (of, bytes, version) = (key.clone(), bytes.to_vec(), version.clone());
        let act = move |stored: &mut Stored| stored.write(&of, &bytes, Some(&version));
        self.call(Call::Replace, key, act).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let of = key.clone();
        let act = move |stored: &mut Stored| {
            if stored.blobs.remove(&of).is_some() {
                stored.calls.deletes += 1;
            }
            Ok(())
        };
        self.call(Call::Delete, key, act).await
    }

    async fn heads(&self) -> Result<Vec<BlobKey>, BlobError> {
        let keys = self.store.keys().into_iter();
        Ok(keys.filter(BlobKey::is_head).collect())
    }
}
