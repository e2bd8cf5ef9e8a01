//! Where requests wait for their turn: how many are in flight, how fast they follow each other, and a pause for all when
//! the server is overrun. Waiting ends with an interrupt.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Kind;
use crate::model::target::Limits;
use crate::provider::connect::Interrupt;

/// The interrupt came.
pub(super) struct Interrupted;

/// Where requests wait for their turn.
pub(super) struct Gate {
    in_flight: Semaphore,
    pace: Option<DefaultDirectRateLimiter>,
    /// No request is started before this moment.
    resume_at: Mutex<Instant>,
    interrupt: Interrupt,
}

impl Gate {
    pub(super) fn new(limits: Limits, interrupt: Interrupt) -> Self {
        Self {
            in_flight: Semaphore::new(limits.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            pace: NonZeroU32::new(limits.requests_per_second)
                .map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            resume_at: Mutex::new(Instant::now()),
            interrupt,
        }
    }

    /// Waits for the turn of one request. A token request is part of the request that needs it, and takes no place of
    /// its own.
    pub(super) async fn enter(
        &self,
        kind: Kind,
        settling: bool,
    ) -> Result<Option<SemaphorePermit<'_>>, Interrupted> {
        let permit = match kind {
            Kind::Token => None,
            Kind::Api => self
                .unless_interrupted(settling, self.in_flight.acquire())
                .await?
                .ok(),
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
        Ok(permit)
    }

    /// Starts no request before `until`.
    pub(super) fn pause(&self, until: Instant) {
        let mut resume_at = self
            .resume_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *resume_at = until.max(*resume_at);
    }

    /// When the last pause ends or ended.
    pub(super) fn resume_at(&self) -> Instant {
        *self
            .resume_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let limits = Limits {
            requests_per_second,
            max_in_flight,
        };
        (Gate::new(limits, interrupt.clone()), interrupt)
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
}
