//! Where requests wait for their turn: how many are in flight, how fast they follow each other, and a pause for all when
//! the server is overrun. Waiting ends with an interrupt.
//!
//! | | a 429 | each round of requests that worked |
//! |---|---|---|
//! | in flight | half of it, at least one | one more, up to the limit |
//! | all requests | wait until the pause is over | |

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Kind;
use super::retry::Effect;
use crate::model::target::Pace;
use crate::provider::connect::Interrupt;

/// The interrupt came.
pub(super) struct Interrupted;

/// Where requests wait for their turn.
pub(super) struct Gate {
    /// A permit for each request that may be in flight.
    in_flight: Semaphore,
    pace: Option<DefaultDirectRateLimiter>,
    flow: Mutex<Flow>,
    interrupt: Interrupt,
}

/// How many requests the server takes just now, and from when on.
struct Flow {
    /// No request is started before this moment.
    resume_at: Instant,
    /// As many as the target's pace says.
    most: usize,
    /// How many may be in flight.
    allowed: usize,
    /// Permits that are taken out of use when they come back.
    surplus: usize,
    /// How many requests worked since `allowed` changed.
    worked: usize,
    /// When `allowed` was halved: refusals of what was sent before say nothing new.
    halved_at: Option<Instant>,
    /// The refusals of reads and of writes, which a quota may count apart.
    reads: Refusals,
    writes: Refusals,
}

/// What was refused (429) since a request of its kind worked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusals {
    /// How often, with what was refused together counted as one.
    pub(super) count: u32,
    /// When the first one came.
    pub(super) since: Option<Instant>,
    /// Until when a refusal is not waited out any more: it was tried, in vain.
    hopeless_until: Option<Instant>,
}

impl Refusals {
    /// Whether refusals were waited out in vain a short while ago.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless_until
            .is_some_and(|until| Instant::now() < until)
    }
}

impl Flow {
    fn refusals(&mut self, effect: Effect) -> &mut Refusals {
        match effect {
            Effect::Read => &mut self.reads,
            Effect::Repeatable | Effect::Once => &mut self.writes,
        }
    }
}

/// The slot of a request that is in flight; dropping it gives it back.
pub(super) struct Slot<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut flow = self.gate.flow();
        if let Some(permit) = self.permit.take()
            && flow.surplus > 0
        {
            flow.surplus -= 1;
            permit.forget();
        }
    }
}

impl Gate {
    pub(super) fn new(pace: Pace, interrupt: Interrupt) -> Self {
        let most = pace.max_in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            in_flight: Semaphore::new(most),
            pace: NonZeroU32::new(pace.requests_per_second)
                .map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            flow: Mutex::new(Flow {
                resume_at: Instant::now(),
                most,
                allowed: most,
                surplus: 0,
                worked: 0,
                halved_at: None,
                reads: Refusals::default(),
                writes: Refusals::default(),
            }),
            interrupt,
        }
    }

    /// Waits for the turn of one request. A token request is part of the request that needs it, and takes no slot of
    /// its own.
    pub(super) async fn enter(
        &self,
        kind: Kind,
        settling: bool,
    ) -> Result<Option<Slot<'_>>, Interrupted> {
        let slot = match kind {
            Kind::Token => None,
            Kind::Api => Some(Slot {
                gate: self,
                permit: self
                    .unless_interrupted(settling, self.in_flight.acquire())
                    .await?
                    .ok(),
            }),
        };
        loop {
            self.opened(settling).await?;
            match self.pace.as_ref().map(RateLimiter::check) {
                Some(Err(not_yet)) => {
                    let wait = not_yet.wait_time_from(DefaultClock::default().now());
                    self.sleep(Instant::now() + wait, settling).await?;
                }
                None | Some(Ok(())) => break,
            }
        }
        if self.interrupt.is_cancelled() && !settling {
            return Err(Interrupted);
        }
        Ok(slot)
    }

    /// Starts no request before `until`.
    pub(super) fn pause(&self, until: Instant) {
        let mut flow = self.flow();
        flow.resume_at = until.max(flow.resume_at);
    }

    /// Halves what may be in flight, once for all that was refused together: the server takes fewer than that.
    /// Gives what was refused since a request of this effect worked.
    pub(super) fn refused(&self, effect: Effect, sent_at: Instant) -> Refusals {
        let mut flow = self.flow();
        let now = Instant::now();
        let is_new = flow.halved_at.is_none_or(|halved| sent_at > halved);
        if is_new {
            let fewer = flow.allowed / 2;
            flow.halved_at = Some(now);
            flow.allowed -= fewer;
            flow.worked = 0;
            flow.surplus += fewer - self.in_flight.forget_permits(fewer);
        }
        let refusals = flow.refusals(effect);
        refusals.count += u32::from(is_new || refusals.count == 0);
        refusals.since.get_or_insert(now);
        *refusals
    }

    /// Lets one more be in flight for each round of requests that worked, up to the target's limit.
    pub(super) fn worked(&self, effect: Effect) {
        let mut flow = self.flow();
        *flow.refusals(effect) = Refusals::default();
        flow.worked += 1;
        if flow.allowed == flow.most || flow.worked < flow.allowed {
            return;
        }
        flow.worked = 0;
        flow.allowed += 1;
        if flow.surplus > 0 {
            flow.surplus -= 1;
        } else {
            self.in_flight.add_permits(1);
        }
    }

    /// Says that refusals were waited out in vain, so that the next ones are not before `until`.
    pub(super) fn give_up(&self, effect: Effect, until: Instant) {
        self.flow().refusals(effect).hopeless_until = Some(until);
    }

    /// When the last pause ends or ended.
    pub(super) fn resume_at(&self) -> Instant {
        self.flow().resume_at
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is no pause.
    pub(super) async fn opened(&self, settling: bool) -> Result<(), Interrupted> {
        loop {
            let resume_at = self.resume_at();
            if resume_at <= Instant::now() {
                return Ok(());
            }
            self.sleep(resume_at, settling).await?;
        }
    }

    pub(super) async fn sleep(&self, until: Instant, settling: bool) -> Result<(), Interrupted> {
        self.unless_interrupted(settling, tokio::time::sleep_until(until))
            .await
    }

    async fn unless_interrupted<F: Future>(
        &self,
        settling: bool,
        future: F,
    ) -> Result<F::Output, Interrupted> {
        if settling {
            return Ok(future.await);
        }
        tokio::select! {
            biased;
            () = self.interrupt.cancelled() => Err(Interrupted),
            output = future => Ok(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    fn gate(requests_per_second: u32, max_in_flight: usize) -> (Gate, Interrupt) {
        let interrupt = Interrupt::default();
        let pace = Pace {
            requests_per_second,
            max_in_flight,
        };
        (Gate::new(pace, interrupt.clone()), interrupt)
    }

    #[tokio::test]
    async fn no_more_requests_are_in_flight_than_allowed() {
        let (gate, _) = gate(0, 2);
        let first = gate.enter(Kind::Api, false).await.ok();
        let _second = gate.enter(Kind::Api, false).await.ok();
        let mut third = pin!(gate.enter(Kind::Api, false));
        assert!(futures::poll!(&mut third).is_pending());
        // A token request is part of the request that waits for it.
        assert!(gate.enter(Kind::Token, false).await.is_ok());
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn requests_follow_each_other_at_their_pace_and_an_interrupt_ends_the_wait() {
        let (gate, interrupt) = gate(1, 4);
        assert!(gate.enter(Kind::Api, false).await.is_ok());
        let mut second = pin!(gate.enter(Kind::Api, false));
        assert!(futures::poll!(&mut second).is_pending());
        interrupt.cancel();
        assert!(second.await.is_err());
        assert!(gate.enter(Kind::Token, false).await.is_err());
    }

    #[tokio::test]
    async fn a_pause_holds_every_request_and_is_never_shortened() {
        let (gate, interrupt) = gate(0, 4);
        let now = Instant::now();
        gate.pause(now + Duration::from_hours(1));
        gate.pause(now);
        for kind in [Kind::Api, Kind::Token] {
            assert!(futures::poll!(pin!(gate.enter(kind, false))).is_pending());
            assert!(futures::poll!(pin!(gate.enter(kind, true))).is_pending());
        }
        interrupt.cancel();
        assert!(gate.enter(Kind::Api, false).await.is_err());
    }

    /// When a request is sent after all that was refused until now.
    fn after_that() -> Instant {
        Instant::now() + Duration::from_millis(1)
    }

    #[tokio::test]
    async fn a_refusal_halves_what_is_in_flight_once_for_all_and_success_gives_it_back() {
        let (gate, _) = gate(0, 8);
        let sent_at = Instant::now();
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(gate.enter(Kind::Api, false).await.ok());
        }
        for _ in 0..8 {
            gate.refused(Effect::Once, sent_at);
        }
        held.clear();
        assert_eq!(gate.in_flight.available_permits(), 4);
        for _ in 0..3 {
            gate.refused(Effect::Once, after_that());
        }
        assert_eq!(gate.in_flight.available_permits(), 1);
        // 1 + 2 + 3 + ... successes for one more each time.
        for _ in 0..28 {
            gate.worked(Effect::Once);
        }
        assert_eq!(gate.in_flight.available_permits(), 8);
        gate.worked(Effect::Once);
        assert_eq!(gate.in_flight.available_permits(), 8);
    }

    #[tokio::test]
    async fn refusals_add_up_until_a_request_of_their_kind_works() {
        let (gate, _) = gate(0, 8);
        let burst = Instant::now();
        let first = gate.refused(Effect::Once, burst);
        assert_eq!(gate.refused(Effect::Once, burst).count, 1);
        let second = gate.refused(Effect::Repeatable, after_that());
        assert_eq!((second.count, second.since), (2, first.since));
        // A look that works says nothing of the quota of writes.
        gate.worked(Effect::Read);
        gate.give_up(Effect::Once, burst + Duration::from_hours(1));
        let third = gate.refused(Effect::Once, after_that());
        assert!(third.count == 3 && third.is_hopeless());
        gate.worked(Effect::Once);
        let anew = gate.refused(Effect::Once, after_that());
        assert!(anew.count == 1 && anew.since > first.since && !anew.is_hopeless());
    }
}
