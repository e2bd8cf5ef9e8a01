//! What goes wrong in a run: a script is asked at each step of the system and of the inventory.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::inventory::{Answered, Fence, InventoryError, Ledger, Sending, Snapshot, WriteNumber};
use crate::model::{Live, LiveIdentity, Owned, Record, TargetId};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;
use crate::provider::memory::Memory;
use crate::provider::{Applied, Apply, Cause, Fate, Interest, Observe, ProviderError, Requests};

/// A moment of a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment<'a> {
    /// Before a reading.
    Reading,
    /// After one, with what was asked for and given.
    Read(&'a Interest, &'a Live),
    /// Before a write.
    Writing,
    /// After one that took effect.
    Written(&'a Change),
    /// Before the inventory takes something.
    Keeping,
    /// After it has.
    Kept,
    /// After it has kept the outcome of a write.
    Answered,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Go,
    /// The process is killed.
    Die,
    /// It is refused, and nothing is done.
    Refuse,
    /// The answer is lost or a 500: before a write nothing is done, and after it all is.
    Lose,
    /// A reading gives what was there so many writes ago.
    Lag(usize),
}

/// A script, and what it is about. Clones are the same one.
#[derive(Clone)]
pub(super) struct Script<'s>(Arc<Mutex<Ask<'s>>>);

type Ask<'s> = dyn FnMut(Moment<'_>) -> Act + Send + 's;

impl<'s> Script<'s> {
    pub(super) fn new(script: impl FnMut(Moment<'_>) -> Act + Send + 's) -> Self {
        Self(Arc::new(Mutex::new(script)))
    }

    /// Asks; a killed process never comes back from here.
    async fn at(&self, moment: Moment<'_>) -> Act {
        let act = {
            let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            script(moment)
        };
        if act == Act::Die {
            std::future::pending::<()>().await;
        }
        act
    }
}

/// A system in memory with a script.
pub(super) struct TroubledSystem<'s> {
    pub(super) memory: Memory,
    pub(super) script: Script<'s>,
    /// What was there before each write.
    pub(super) past: Mutex<Vec<Live>>,
}

fn broken(fate: Fate) -> ProviderError {
    let cause = Cause::Status {
        status: 500,
        message: "as the test asked for".to_owned(),
    };
    ProviderError::new("do it", cause).with_fate(fate)
}

#[async_trait]
impl Observe for TroubledSystem<'_> {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let live = match self.script.at(Moment::Reading).await {
            Act::Refuse | Act::Lose => return Err(broken(Fate::NotDone)),
            Act::Lag(writes) => {
                let past = {
                    let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
                    past.iter().rev().nth(writes).cloned()
                };
                let memory = past.map(|past| Memory::new(self.memory.system(), past));
                let memory = memory.as_ref().unwrap_or(&self.memory);
                memory.observe(interest).await?
            }
            Act::Go | Act::Die => self.memory.observe(interest).await?,
        };
        self.script.at(Moment::Read(interest, &live)).await;
        Ok(live)
    }

    fn requests(&self) -> Requests {
        self.memory.requests()
    }
}

#[async_trait]
impl Apply for TroubledSystem<'_> {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        match self.script.at(Moment::Writing).await {
            Act::Refuse => return Err(broken(Fate::NotDone)),
            Act::Lose => return Err(broken(Fate::Unknown)),
            Act::Go | Act::Lag(_) | Act::Die => {}
        }
        let before = self.memory.live();
        let done = self.memory.apply(change).await?;
        if done == Applied::Found {
            return Ok(done);
        }
        {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            past.push(before);
        }
        match self.script.at(Moment::Written(&change)).await {
            Act::Go => Ok(done),
            _ => Err(broken(Fate::Unknown)),
        }
    }
}

/// An inventory with a script.
pub(super) struct TroubledLedger<'s> {
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) script: Script<'s>,
}

#[async_trait]
impl Ledger for TroubledLedger<'_> {
    async fn snapshot(&self) -> Snapshot {
        self.ledger.snapshot().await
    }

    async fn owned(&self, identity: &LiveIdentity) -> Result<Owned, InventoryError> {
        self.ledger.owned(identity).await
    }

    fn fence(&self, identity: &LiveIdentity) -> Fence {
        self.ledger.fence(identity)
    }

    fn chunk(&self) -> usize {
        self.ledger.chunk()
    }

    async fn record(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError> {
        self.script.at(Moment::Keeping).await;
        let recorded = self.ledger.record(identity, target, records).await;
        self.script.at(Moment::Kept).await;
        recorded
    }

    async fn prepare(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError> {
        self.script.at(Moment::Keeping).await;
        let numbers = self.ledger.prepare(identity, target, sending).await;
        self.script.at(Moment::Kept).await;
        numbers
    }

    async fn answered(
        &self,
        identity: &LiveIdentity,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        self.script.at(Moment::Keeping).await;
        let kept = self.ledger.answered(identity, target, number, answered);
        let kept = kept.await;
        self.script.at(Moment::Answered).await;
        kept
    }

    async fn close(self: Box<Self>) -> Result<(), InventoryError> {
        self.ledger.close().await
    }
}
