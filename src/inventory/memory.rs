//! An inventory in memory, for tests: it fails and is killed where a test says.
//!
//! ```text
//! MemoryStore --open()--> MemoryLedger       as often as there are runs; what was confirmed outlives each of them
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::snapshot::{JournalLine, Step};
use super::{Answered, InventoryError, Ledger, Sending, Snapshot, WriteNumber};
use crate::model::{Lineage, LiveIdentity, Owned, Record, Removals, TargetId};

/// When a step outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// As it is taken, as on a disk.
    EachStep,
    /// Answers with the next step that is not one, as where each round trip is dear.
    AnswersLater,
}

/// Where the inventory lies. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct MemoryStore(Arc<Mutex<Store>>);

#[derive(Debug)]
struct Store {
    keeps: Keeps,
    /// How many writes are prepared at once.
    chunk: usize,
    /// What a run that starts now would see.
    kept: Snapshot,
    /// The audit log.
    audit: Vec<serde_json::Value>,
    /// How many steps were taken.
    steps: u64,
    /// The step that fails, and with it all that follow in that run; whether it is kept all the same.
    fails_at: Option<(u64, bool)>,
}

/// The inventory of a run.
#[derive(Debug)]
pub(crate) struct MemoryLedger {
    store: MemoryStore,
    inner: tokio::sync::Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    writes: u64,
    broken: bool,
}

impl MemoryStore {
    /// An empty inventory.
    pub(crate) fn new(keeps: Keeps) -> Self {
        Self(Arc::new(Mutex::new(Store {
            keeps,
            chunk: 1,
            kept: Snapshot::default(),
            audit: Vec::new(),
            steps: 0,
            fails_at: None,
        })))
    }

    /// An inventory that knows this of one place.
    pub(crate) fn knowing(
        keeps: Keeps,
        identity: &LiveIdentity,
        target: &TargetId,
        owned: Owned,
        removals: Removals,
    ) -> Self {
        let store = Self::new(keeps);
        store.lock().kept = Snapshot::knowing(identity, target, owned, removals);
        store
    }

    /// Lets so many writes be prepared at once.
    pub(crate) fn in_chunks_of(&self, chunk: usize) {
        self.lock().chunk = chunk;
    }

    /// Opens it for a run. What a killed one owes the audit log is written there.
    pub(crate) fn open(&self) -> MemoryLedger {
        let mut store = self.lock();
        let owed = std::mem::take(&mut store.kept.unanswered);
        store.audit.extend(owed.into_values());
        store
            .kept
            .lineage
            .get_or_insert_with(|| Lineage::new("memory"));
        MemoryLedger {
            store: self.clone(),
            inner: tokio::sync::Mutex::new(Inner {
                snapshot: store.kept.clone(),
                writes: 0,
                broken: false,
            }),
        }
    }

    /// What a run that starts now would see.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().kept.clone()
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        self.lock().audit.clone()
    }

    /// Lets the step after so many more fail, and all that follow in that run. One that is `kept` is kept all the same.
    pub(crate) fn fail_after(&self, steps: u64, kept: bool) {
        let mut store = self.lock();
        store.fails_at = Some((store.steps + steps, kept));
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryLedger {
    async fn take(
        &self,
        line: impl FnOnce(&mut Inner) -> JournalLine,
        is_answer: bool,
    ) -> Result<(), InventoryError> {
        let mut inner = self.inner.lock().await;
        let line = line(&mut inner);
        let mut store = self.store.lock();
        let fails = store.fails_at.filter(|(at, _)| store.steps >= *at);
        store.steps += 1;
        inner.broken |= fails.is_some();
        let is_kept = !inner.broken || fails.is_some_and(|(_, kept)| kept);
        if fails.is_some() {
            store.fails_at = None;
        }
        if is_kept {
            inner.snapshot.take(line);
            if !is_answer || store.keeps == Keeps::EachStep {
                store.kept = inner.snapshot.clone();
            }
        }
        if inner.broken { Err(failed()) } else { Ok(()) }
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn snapshot(&self) -> Snapshot {
        self.inner.lock().await.snapshot.clone()
    }

    async fn owned(&self, identity: &LiveIdentity) -> Result<Owned, InventoryError> {
        Ok(self.inner.lock().await.snapshot.owned(identity))
    }

    fn chunk(&self) -> usize {
        self.store.lock().chunk
    }

    async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError> {
        if records.is_empty() {
            return Ok(());
        }
        let steps = Step::learned(records);
        self.take(|_| JournalLine::of(identity, target, steps), false)
            .await
    }

    async fn prepare(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError> {
        let mut numbers = Vec::new();
        let line = |inner: &mut Inner| {
            let steps;
            (numbers, steps) = Step::all_prepared(&mut inner.writes, sending);
            JournalLine::of(identity, target, steps)
        };
        self.take(line, false).await?;
        Ok(numbers)
    }

    async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let entry = answered.entry.clone();
        let mut steps = Step::answered(answered);
        steps.push(Step::Answered(number));
        self.take(|_| JournalLine::of(identity, target, steps), true)
            .await?;
        self.store.lock().audit.extend(entry);
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), InventoryError> {
        let inner = self.inner.into_inner();
        if inner.broken {
            return Err(failed());
        }
        self.store.lock().kept = inner.snapshot;
        Ok(())
    }
}

fn failed() -> InventoryError {
    InventoryError::Write {
        path: "memory".into(),
        source: std::io::Error::other("as the test asked for"),
    }
}
