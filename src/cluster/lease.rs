//! Which replica writes: a Lease, and until when it counts.
//!
//! A replica writes until 9 s after the moment *before* its last renewal that succeeded; another one takes the lease when it
//! stood unchanged for 12 s by that one's own monotonic clock. No wall clock is compared with another machine's. The claim in
//! the inventory's head is what fences a writer that was stopped in the middle of a request; the lease says who should try.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::inventory::fence::{Fence, FenceKeeper, Moment};

/// For how long a lease stands unchanged before another replica takes it.
pub(crate) const DURATION: Duration = Duration::from_secs(12);
/// For how long after a renewal its holder writes.
const VALID: Duration = Duration::from_secs(9);
/// How often its holder renews it.
const RENEW: Duration = Duration::from_secs(2);
/// How often the others ask.
const ASK: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// What a replica does about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is there and ours.
    Renew,
    /// Nobody has it, or whoever has it is silent.
    Take,
    /// Somebody else has it.
    Wait,
}

/// What a replica does about a lease that it has seen unchanged for so long.
pub(crate) fn evaluate(lease: Option<&LeaseSpec>, me: &str, unchanged: Duration) -> Decision {
    let holder = lease.and_then(|lease| lease.holder_identity.as_deref());
    match holder {
        None | Some("") => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if unchanged >= DURATION => Decision::Take,
        Some(_) => Decision::Wait,
    }
}

/// Whether this replica writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leadership {
    /// Until when, while it does.
    pub(crate) until: Option<Instant>,
    /// How often the lease changed hands.
    pub(crate) transitions: i32,
    /// Whether the API server told of the lease when it was asked last.
    pub(crate) is_known: bool,
}

impl Leadership {
    /// Whether this replica writes now.
    pub(crate) fn is_leader(self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// A replica that stands for a lease.
pub(crate) struct Candidate {
    api: Api<Lease>,
    name: String,
    me: String,
    told: watch::Sender<Leadership>,
    keeper: FenceKeeper,
    /// The lease as it was last seen, and when that was first.
    seen: Option<(Lease, Instant)>,
}

impl Candidate {
    /// Stands for the lease `name` of a namespace as `me`, which no other process is called.
    pub(crate) fn new(client: Client, namespace: &str, name: &str, me: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me: me.to_owned(),
            told: watch::Sender::default(),
            keeper: FenceKeeper::default(),
            seen: None,
        }
    }

    /// Tells whether this replica writes.
    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.told.subscribe()
    }

    /// Until when writes may be sent.
    pub(crate) fn fence(&self) -> Fence {
        self.keeper.fence()
    }

    /// Stands until `end`, and gives the lease back then.
    pub(crate) async fn run(mut self, end: CancellationToken) {
        loop {
            let begun = Instant::now();
            self.turn().await;
            let pause = if self.told.borrow().until.is_some() {
                RENEW
            } else {
                ASK
            };
            tokio::select! {
                // A try that got no answer took its time already.
                () = tokio::time::sleep_until(begun + pause) => {}
                () = end.cancelled() => break,
            }
        }
        self.give_back().await;
    }

    async fn turn(&mut self) {
        let (begun, moment) = (Instant::now(), Moment::now());
        let held = self.told.borrow().until;
        if held.is_some_and(|until| until <= begun) {
            tracing::warn!(target: "lease", lease = self.name, "the lease was not renewed in time: nothing is written");
            self.lose();
        }
        let result = match &self.seen {
            // Its holder knows what it looks like, and is told by a conflict where it does not.
            Some((lease, _)) if self.told.borrow().until.is_some() => {
                let renewed = self.renewed(lease);
                timeout(
                    TRY,
                    self.api
                        .replace(&self.name, &PostParams::default(), &renewed),
                )
                .await
            }
            _ => match timeout(TRY, self.api.get_opt(&self.name)).await {
                Ok(Ok(lease)) => {
                    self.known(true);
                    let Some(write) = self.stand(lease) else {
                        return;
                    };
                    let params = PostParams::default();
                    if write.metadata.resource_version.is_some() {
                        timeout(TRY, self.api.replace(&self.name, &params, &write)).await
                    } else {
                        timeout(TRY, self.api.create(&params, &write)).await
                    }
                }
                Ok(Err(error)) => Ok(Err(error)),
                Err(late) => Err(late),
            },
        };
        match result {
            Ok(Ok(lease)) => {
                self.keeper.hold_until(moment.plus(VALID));
                self.won(lease, begun);
            }
            Ok(Err(error)) => {
                // A conflict tells of the lease; another refusal does not.
                let is_conflict = super::status(&error) == Some(409);
                self.known(is_conflict);
                tracing::warn!(target: "lease", lease = self.name, %error, "the lease was not written");
                // Somebody else may have it: look before the next try.
                if is_conflict {
                    self.lose();
                }
            }
            Err(_) => {
                self.known(false);
                tracing::warn!(target: "lease", lease = self.name, "the API server did not answer in time");
            }
        }
    }

    /// What is to be written of a lease that was just read, if this replica may have it.
    fn stand(&mut self, lease: Option<Lease>) -> Option<Lease> {
        let now = Instant::now();
        let Some(lease) = lease else {
            self.seen = None;
            return Some(self.renewed(&Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            }));
        };
        let since = match &self.seen {
            Some((before, since)) if *before == lease => *since,
            _ => now,
        };
        self.seen = Some((lease.clone(), since));
        match evaluate(lease.spec.as_ref(), &self.me, now - since) {
            Decision::Wait => None,
            Decision::Renew | Decision::Take => Some(self.renewed(&lease)),
        }
    }

    /// A lease with this replica as its holder.
    fn renewed(&self, lease: &Lease) -> Lease {
        let before = lease.spec.clone().unwrap_or_default();
        let is_ours = before.holder_identity.as_deref() == Some(self.me.as_str());
        let now = MicroTime(Timestamp::now());
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: lease.metadata.clone(),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
                acquire_time: before
                    .acquire_time
                    .filter(|_| is_ours)
                    .or_else(|| Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(if is_ours {
                    transitions
                } else {
                    transitions.saturating_add(1)
                }),
                ..before
            }),
        }
    }

    /// Whether the API server tells of the lease.
    fn known(&self, is_known: bool) {
        let told =
            |told: &mut Leadership| std::mem::replace(&mut told.is_known, is_known) != is_known;
        self.told.send_if_modified(told);
    }

    /// Nothing is written from here on.
    fn lose(&self) {
        self.keeper.close();
        self.told.send_modify(|told| told.until = None);
    }

    fn won(&mut self, lease: Lease, begun: Instant) {
        let spec = lease.spec.clone().unwrap_or_default();
        let transitions = spec.lease_transitions.unwrap_or(0);
        if self.told.borrow().until.is_none() {
            tracing::info!(target: "lease", lease = self.name, holder = self.me, transitions, "this replica writes");
        }
        self.seen = Some((lease, Instant::now()));
        self.told.send_replace(Leadership {
            until: Some(begun + VALID),
            transitions,
            is_known: true,
        });
    }

    /// Lets the next one have it at once.
    async fn give_back(&mut self) {
        let is_ours = self.told.borrow().until.is_some();
        self.lose();
        let Some((lease, _)) = self.seen.take().filter(|_| is_ours) else {
            return;
        };
        let mut free = lease;
        if let Some(spec) = &mut free.spec {
            spec.holder_identity = Some(String::new());
        }
        let given = timeout(
            TRY,
            self.api.replace(&self.name, &PostParams::default(), &free),
        )
        .await;
        if !matches!(given, Ok(Ok(_))) {
            tracing::warn!(target: "lease", lease = self.name, "the lease could not be given back; it ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held_by(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_its_holder_is_silent() {
        let silent = DURATION;
        let alive = DURATION
            .checked_sub(Duration::from_millis(1))
            .expect("longer");
        assert_eq!(evaluate(None, "a", Duration::ZERO), Decision::Take);
        assert_eq!(
            evaluate(Some(&held_by("")), "a", Duration::ZERO),
            Decision::Take
        );
        assert_eq!(evaluate(Some(&held_by("a")), "a", silent), Decision::Renew);
        assert_eq!(evaluate(Some(&held_by("b")), "a", alive), Decision::Wait);
        assert_eq!(evaluate(Some(&held_by("b")), "a", silent), Decision::Take);
    }

    #[test]
    fn a_holder_stops_before_another_one_may_take_its_lease() {
        // The last renewal was seen by nobody before it was sent.
        assert!(VALID + TRY < DURATION);
    }

    proptest! {
        #[test]
        fn clocks_that_are_apart_decide_nothing(hours in -1_000_i64..1_000, unchanged in 0_u64..30) {
            let mut lease = held_by("b");
            let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(10_000 + hours);
            lease.renew_time = Some(MicroTime(now));
            lease.acquire_time = Some(MicroTime(now));
            let unchanged = Duration::from_secs(unchanged);
            let wanted = if unchanged >= DURATION { Decision::Take } else { Decision::Wait };
            prop_assert_eq!(evaluate(Some(&lease), "a", unchanged), wanted);
        }
    }
}
