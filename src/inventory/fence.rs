//! Until when writes may be sent: a right that runs out by itself, where nobody can take it back in time.
//!
//! ```text
//! FenceKeeper --hold_until--> deadline        whoever renews a claim or a lease
//!     |
//!   fence()  -->  Fence  -->  may_start, passed          whoever sends; several are one, of which the earliest counts
//! ```

use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::{pending, select_all};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long before a deadline no write starts any more.
pub const LAST_MOMENTS: Duration = Duration::from_secs(1);
/// How often the clocks are compared: a machine that slept is behind on its monotonic one, and timers run by that.
const GLANCE: Duration = Duration::from_secs(1);

/// A moment, on the monotonic and on the wall clock. Whichever has come further counts: the monotonic one stands still
/// while a machine sleeps, and the wall clock may be set back.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// So long after it.
    pub fn plus(self, time: Duration) -> Self {
        Self {
            monotonic: self.monotonic + time,
            wall: self.wall + time,
        }
    }

    /// How long it is until then; zero once either clock is past it.
    pub fn remaining(self) -> Duration {
        let by_wall = self.wall.duration_since(SystemTime::now());
        let by_wall = by_wall.unwrap_or(Duration::ZERO);
        let by_monotonic = self.monotonic.saturating_duration_since(Instant::now());
        by_monotonic.min(by_wall)
    }
}

/// Sets the deadline of a fence. One whose keeper is gone keeps its last deadline, and so closes by itself.
#[derive(Debug)]
pub struct FenceKeeper(watch::Sender<Option<Moment>>);

impl Default for FenceKeeper {
    /// One that is closed until it is held.
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl FenceKeeper {
    /// The fence that it keeps.
    pub fn fence(&self) -> Fence {
        Fence(vec![self.0.subscribe()])
    }

    /// Lets writes be sent until then.
    pub fn hold_until(&self, deadline: Moment) {
        self.0.send_replace(Some(deadline));
    }

    /// Lets no write be sent from now on, and drops those in flight.
    pub fn close(&self) {
        self.0.send_replace(None);
    }
}

/// Says until when writes may be sent. The default is no fence at all.
#[derive(Debug, Clone, Default)]
pub struct Fence(Vec<watch::Receiver<Option<Moment>>>);

impl Fence {
    /// Both together: the earlier deadline counts.
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// How long writes may be sent still; `None` where there is no fence.
    pub fn remaining(&self) -> Option<Duration> {
        let each = self.0.iter().map(|deadline| {
            let deadline = *deadline.borrow();
            deadline.map_or(Duration::ZERO, Moment::remaining)
        });
        each.min()
    }

    /// Whether a write may start: not in the last moments before the deadline.
    pub fn may_start(&self) -> bool {
        self.remaining().is_none_or(|left| left > LAST_MOMENTS)
    }

    /// Waits until no write may be in flight any more. A deadline that moves on meanwhile is waited for; without a fence
    /// this never ends.
    pub async fn passed(&self) {
        let mut deadlines = self.0.clone();
        while self.remaining().is_none_or(|left| left > Duration::ZERO) {
            let left = self.remaining().map(|left| left.min(GLANCE));
            let glance = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => pending().await,
                }
            };
            let moved = deadlines.iter_mut().map(|deadline| {
                let moved = async {
                    if deadline.changed().await.is_err() {
                        pending::<()>().await;
                    }
                };
                moved.boxed()
            });
            let moved = moved.chain([pending().boxed()]);
            tokio::select! {
                () = glance => {}
                _ = select_all(moved) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held(seconds: u32) -> (FenceKeeper, Fence) {
        let keeper = FenceKeeper::default();
        keeper.hold_until(Moment::now().plus(SECOND * seconds));
        let fence = keeper.fence();
        (keeper, fence)
    }

    #[tokio::test(start_paused = true)]
    async fn no_write_starts_in_the_last_second_before_the_deadline() {
        let (_keeper, fence) = held(10);
        let began = Instant::now();
        assert!(fence.may_start());
        tokio::time::advance(SECOND * 9).await;
        assert!(!fence.may_start());
        fence.passed().await;
        assert!(began.elapsed() >= SECOND * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_on_is_waited_for_and_a_fence_that_closes_is_not() {
        let (keeper, fence) = held(10);
        let began = Instant::now();
        let renew = async {
            tokio::time::sleep(SECOND * 8).await;
            keeper.hold_until(Moment::now().plus(SECOND * 10));
            tokio::time::sleep(SECOND * 8).await;
            keeper.close();
        };
        tokio::join!(renew, fence.passed());
        assert_eq!(began.elapsed().as_secs(), 16);
        assert!(!fence.may_start());
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_fences_the_earliest_counts_and_none_is_no_bar() {
        let ((_a, long), (_b, short)) = (held(20), held(5));
        let both = Fence::default().and(&long).and(&short);
        assert!(both.remaining().unwrap() <= SECOND * 5);
        assert!(Fence::default().may_start());
        assert_eq!(Fence::default().remaining(), None);
        let never = FenceKeeper::default();
        assert!(!both.and(&never.fence()).may_start());
    }

    #[test]
    fn whichever_clock_is_past_a_moment_it_is_over() {
        let now = Moment::now();
        let later = now.plus(SECOND * 60);
        let past = now.wall.checked_sub(SECOND).unwrap();
        assert!(later.remaining() > SECOND * 50);
        let slept = Moment {
            wall: past,
            ..later
        };
        let set_back = Moment {
            monotonic: now.monotonic,
            ..later
        };
        assert_eq!(slept.remaining(), Duration::ZERO);
        assert_eq!(set_back.remaining(), Duration::ZERO);
    }
}
