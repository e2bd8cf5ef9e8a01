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
            let resume_at = *self
                .resume_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if resume_at > Instant::now() {
                self.sleep(resume_at, settling).await?;
                continue;
            }
            match self.pace.as_ref().map(RateLimiter::check) {
                Some(Err(not_yet)) => {
                    let wait = not_yet.wait_time_from(DefaultClock::default().now());
                    self.sleep(Instant::now() + wait, settling).await?;
                }
                None | Some(Ok(())) => break,
            }
        }
        if self.interrupt.is_set() && !settling {
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
            () = self.interrupt.wait() => Err(Interrupted),
            output = future => Ok(output),
        }
    }
}
