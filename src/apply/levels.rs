//! Level by level: each change as soon as those that it needs are done, and so many in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::make::{Made, Prepared};
use super::{Outcome, SoFar, TargetRun, inventory_failure};
use crate::inventory::InventoryError;
use crate::plan::change::{Change, Level};
use crate::plan::guard::ApprovedChange;
use crate::plan::{Failure, SkipReason};

/// How long a chunk of prepared changes is sent before the answers so far are kept.
const CHUNK_TIME: Duration = Duration::from_secs(5);
const NEXT_SLICE: Outcome = Outcome::Skipped(SkipReason::NextSlice);

impl TargetRun<'_> {
    /// Makes the changes that may run.
    pub(super) async fn levels(&self, so_far: &mut SoFar) {
        let can_wait = self.can_wait();
        let failed = self.failed_before();
        let mut by_level: BTreeMap<(bool, Level), Vec<usize>> = BTreeMap::new();
        for (index, planned) in self.plan().changes.iter().enumerate() {
            let outcome = match self.approved.why_withheld(index) {
                Some(reason) => Some(Outcome::Skipped(reason)),
                None => failed
                    .get(&index)
                    .map(|why| Outcome::Failed((*why).clone())),
            };
            match outcome {
                Some(outcome) => drop(so_far.outcomes.insert(index, outcome)),
                None => by_level
                    .entry((can_wait[index], planned.change.level()))
                    .or_default()
                    .push(index),
            }
        }
        for ((_, level), indexes) in by_level {
            if self.is_over(so_far) {
                return;
            }
            if self.slice_is_over(so_far) {
                for index in indexes {
                    self.finish(so_far, index, NEXT_SLICE);
                }
                continue;
            }
            let indexes = self.look(so_far, level, indexes).await;
            self.level(so_far, &indexes).await;
        }
    }

    /// What failed in the slices before this one, by index.
    fn failed_before(&self) -> BTreeMap<usize, &Failure> {
        let failed = self.work.slice.map(|slice| slice.failed);
        let Some(failed) = failed.filter(|failed| !failed.is_empty()) else {
            return BTreeMap::new();
        };
        let hashes = self.plan().change_hashes().into_iter().enumerate();
        hashes
            .filter_map(|(index, hash)| Some((index, failed.get(&hash)?)))
            .collect()
    }

    /// Which changes wait for the others where a run is cut into slices: what is made and what goes may be much, and an edit
    /// of what is there does not wait for all of it. What such an edit needs goes first with it.
    fn can_wait(&self) -> Vec<bool> {
        let changes = &self.plan().changes;
        let is_edit = |change: &Change| match change {
            Change::UpdateScope { .. }
            | Change::RenameScope { .. }
            | Change::ReplaceAppScopes { .. } => true,
            Change::CreateScope { .. }
            | Change::DeleteScope { .. }
            | Change::AttachApp { .. }
            | Change::DetachApp { .. } => false,
        };
        let mut can_wait = vec![self.work.slice.is_some(); changes.len()];
        let edits = changes.iter().enumerate();
        let edits = edits.filter(|(_, planned)| is_edit(&planned.change));
        let mut first: Vec<usize> = edits.map(|(index, _)| index).collect();
        while let Some(index) = first.pop() {
            if std::mem::take(&mut can_wait[index]) {
                first.extend(&changes[index].depends_on);
            }
        }
        can_wait
    }

    async fn level(&self, so_far: &mut SoFar, indexes: &[usize]) {
        let mut queue = Queue::new(indexes, |index| &self.plan().changes[index].depends_on);
        let mut chunk = Chunk::of(self.run.ledger.chunk());
        let mut flight = FuturesUnordered::new();
        loop {
            if so_far.error.is_some() {
                chunk.prepared.clear();
            } else if chunk.wants_more(&queue) {
                let room = chunk.size.saturating_sub(chunk.prepared.len());
                let changes = self.take_ready(so_far, &mut queue, room);
                if !changes.is_empty() || !chunk.prepared.is_empty() {
                    chunk.is_preparing = true;
                    flight.push(self.prepare_chunk(changes).boxed());
                }
            }
            while chunk.in_flight < self.work.max_in_flight {
                let next = if chunk.size > 1 {
                    chunk.prepared.pop_front()
                } else {
                    let ready = self.take_ready(so_far, &mut queue, 1).pop();
                    ready.map(|change| (change, None))
                };
                let Some((change, prepared)) = next else {
                    break;
                };
                so_far.sent = true;
                chunk.in_flight += 1;
                let make = async move {
                    let made = self.make(change, prepared).await;
                    Event::Made(change.index(), made)
                };
                flight.push(make.boxed());
            }
            match flight.next().await {
                Some(Event::Prepared(prepared)) => chunk.take(so_far, prepared),
                Some(Event::Made(index, made)) => {
                    chunk.in_flight -= 1;
                    let outcome = so_far.outcome_of(index, made);
                    self.finish(so_far, index, outcome);
                    queue.release(index);
                }
                None if queue.ready.is_empty() => return,
                None => {}
            }
        }
    }

    /// Takes changes out of the queue whose needs are met. Those whose needs are not get their outcome here.
    fn take_ready(
        &self,
        so_far: &mut SoFar,
        queue: &mut Queue,
        count: usize,
    ) -> Vec<ApprovedChange<'_>> {
        let mut changes = Vec::new();
        while changes.len() < count
            && let Some(index) = queue.ready.pop_front()
        {
            if self.is_over(so_far) {
                continue;
            }
            if self.slice_is_over(so_far) {
                self.finish(so_far, index, NEXT_SLICE);
                queue.release(index);
                continue;
            }
            let met = |on: &usize| matches!(so_far.outcomes.get(on), Some(Outcome::Done { .. }));
            let is_met = self.plan().changes[index].depends_on.iter().all(met);
            if let Some(change) = self.approved.change(index).filter(|_| is_met) {
                so_far.taken += 1;
                changes.push(change);
            } else {
                let outcome = Outcome::Skipped(SkipReason::DependencyFailed);
                self.finish(so_far, index, outcome);
                queue.release(index);
            }
        }
        changes
    }

    async fn prepare_chunk<'c>(&self, changes: Vec<ApprovedChange<'c>>) -> Event<'c> {
        let prepared = self.prepare(&changes).await;
        Event::Prepared(prepared.map(|prepared| {
            let prepared = prepared.into_iter().map(Some);
            changes.into_iter().zip(prepared).collect()
        }))
    }
}

impl SoFar {
    fn outcome_of(&mut self, index: usize, made: Result<Made, InventoryError>) -> Outcome {
        match made {
            Ok(made) => {
                if !made.in_doubt.is_empty() {
                    self.in_doubt.insert(index, made.in_doubt);
                }
                if let Some(stop) = made.stop {
                    self.error = Some(inventory_failure(&stop));
                }
                made.outcome
            }
            Err(error) => {
                self.error = Some(inventory_failure(&error));
                Outcome::Unknown(inventory_failure(&error))
            }
        }
    }
}

/// A change, with what the inventory keeps of it where that was prepared with others.
type Next<'c> = (ApprovedChange<'c>, Option<Prepared>);

/// Something that ended.
enum Event<'c> {
    Prepared(Result<Vec<Next<'c>>, InventoryError>),
    Made(usize, Result<Made, InventoryError>),
}

/// Changes that were prepared together and are being sent.
struct Chunk<'c> {
    /// How many are prepared at once; one is prepared just before it is sent.
    size: usize,
    prepared: VecDeque<Next<'c>>,
    is_preparing: bool,
    prepared_at: Instant,
    in_flight: usize,
}

impl<'c> Chunk<'c> {
    fn of(size: usize) -> Self {
        Self {
            size,
            prepared: VecDeque::new(),
            is_preparing: false,
            prepared_at: Instant::now(),
            in_flight: 0,
        }
    }

    /// Whether more are to be prepared: when all are on their way and a chunk can be filled, or no more than what is there
    /// can come; and when a chunk takes long, so that the answers so far are kept.
    fn wants_more(&self, queue: &Queue) -> bool {
        if self.size == 1 || self.is_preparing {
            return false;
        }
        if self.prepared.is_empty() {
            let can_fill = queue.ready.len() >= self.size;
            return can_fill || self.in_flight == 0 || queue.waits.is_empty();
        }
        self.prepared_at.elapsed() >= CHUNK_TIME
    }

    /// Takes what was prepared. What could not be kept is not sent.
    fn take(&mut self, so_far: &mut SoFar, prepared: Result<Vec<Next<'c>>, InventoryError>) {
        self.is_preparing = false;
        self.prepared_at = Instant::now();
        match prepared {
            Ok(prepared) => self.prepared.extend(prepared),
            Err(error) => so_far.error = Some(inventory_failure(&error)),
        }
    }
}

/// The changes of a level: those that may be made now, and those that wait for one of the same level.
struct Queue {
    ready: VecDeque<usize>,
    /// For how many others a change waits; those that wait for none are not in it.
    waits: BTreeMap<usize, usize>,
    waiters: BTreeMap<usize, Vec<usize>>,
}

impl Queue {
    fn new<'n>(indexes: &[usize], needs: impl Fn(usize) -> &'n BTreeSet<usize>) -> Self {
        let here: BTreeSet<usize> = indexes.iter().copied().collect();
        let mut queue = Self {
            ready: VecDeque::new(),
            waits: BTreeMap::new(),
            waiters: BTreeMap::new(),
        };
        for &index in indexes {
            let mut count = 0;
            for on in needs(index).intersection(&here) {
                queue.waiters.entry(*on).or_default().push(index);
                count += 1;
            }
            if count == 0 {
                queue.ready.push_back(index);
            } else {
                queue.waits.insert(index, count);
            }
        }
        queue
    }

    /// Lets those go that waited for a change.
    fn release(&mut self, index: usize) {
        for waiter in self.waiters.remove(&index).unwrap_or_default() {
            if let Some(count) = self.waits.get_mut(&waiter) {
                *count -= 1;
                if *count == 0 {
                    self.waits.remove(&waiter);
                    self.ready.push_back(waiter);
                }
            }
        }
    }
}
