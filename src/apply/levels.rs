//! Level by level: each change as soon as those that it needs are done, and so many in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::{Outcome, SoFar, TargetRun, inventory_failure};
use crate::plan::SkipReason;
use crate::plan::change::Level;

impl TargetRun<'_> {
    /// Makes the changes that may run.
    pub(super) async fn levels(&self, so_far: &mut SoFar) {
        let mut by_level: BTreeMap<Level, Vec<usize>> = BTreeMap::new();
        for (index, planned) in self.plan().changes.iter().enumerate() {
            match self.approved.why_withheld(index) {
                Some(reason) => drop(so_far.outcomes.insert(index, Outcome::Skipped(reason))),
                None => by_level
                    .entry(planned.change.level())
                    .or_default()
                    .push(index),
            }
        }
        for (level, indexes) in by_level {
            if self.is_over(so_far) {
                return;
            }
            let indexes = self.look(so_far, level, indexes).await;
            self.level(so_far, &indexes).await;
        }
    }

    async fn level(&self, so_far: &mut SoFar, indexes: &[usize]) {
        let mut queue = Queue::new(indexes, |index| &self.plan().changes[index].depends_on);
        let mut flight = FuturesUnordered::new();
        loop {
            while flight.len() < self.work.max_in_flight {
                let Some(index) = queue.ready.pop_front() else {
                    break;
                };
                if self.is_over(so_far) {
                    continue;
                }
                let met =
                    |on: &usize| matches!(so_far.outcomes.get(on), Some(Outcome::Done { .. }));
                let is_met = self.plan().changes[index].depends_on.iter().all(met);
                if let Some(change) = self.approved.change(index).filter(|_| is_met) {
                    so_far.sent = true;
                    flight.push(async move { (index, self.make(change).await) });
                } else {
                    let outcome = Outcome::Skipped(SkipReason::DependencyFailed);
                    self.finish(so_far, index, outcome);
                    queue.release(index);
                }
            }
            let Some((index, made)) = flight.next().await else {
                if queue.ready.is_empty() {
                    return;
                }
                continue;
            };
            let outcome = match made {
                Ok(made) => {
                    if !made.in_doubt.is_empty() {
                        so_far.in_doubt.insert(index, made.in_doubt);
                    }
                    made.outcome
                }
                Err(error) => {
                    so_far.error = Some(inventory_failure(&error));
                    Outcome::Unknown(inventory_failure(&error))
                }
            };
            self.finish(so_far, index, outcome);
            queue.release(index);
        }
    }
}

/// The changes of a level: those that may be made now, and those that wait for one of the same level.
struct Queue {
    ready: VecDeque<usize>,
    /// For how many others a change waits.
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
                    self.ready.push_back(waiter);
                }
            }
        }
    }
}
