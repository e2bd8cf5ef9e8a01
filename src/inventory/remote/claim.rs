//! Who may write: a claim in the head, taken, renewed and given back by replacing it.
//!
//! | a claim | is taken |
//! |---|---|
//! | of nobody, or of this run | at once |
//! | of the same lease, with fewer transitions | at once: the lease's own fence has stopped that holder |
//! | of anybody else | once the head stood unchanged for [`STALE`], by the taker's own monotonic clock |
//!
//! Every write of the head renews the claim. A holder sends nothing for longer than [`RIGHT`](super::place::RIGHT) after its
//! last confirmed one began, and a taker saw that one no earlier than it began: so there are never two.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::super::InventoryError;
use super::head::{Claim, Head};
use super::place::{Loaded, Place, State};
use super::read;
use super::{Claimed, Holder};

/// How long a claim stands unchanged before somebody else takes it.
pub(super) const STALE: Duration = Duration::from_mins(1);
/// How old a claim is when it is renewed.
const RENEWED: Duration = Duration::from_secs(15);
/// How long a renewal that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a claim that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Holder {
    /// Whether a claim is this run's.
    pub(super) fn is(&self, claim: &Claim) -> bool {
        claim.run == self.run && claim.holder == self.holder
    }

    /// The claim of this run; one that it has already keeps its beginning.
    fn claim(&self, before: Option<&Claim>) -> Claim {
        let before = before.filter(|claim| self.is(claim));
        Claim {
            holder: self.holder.clone(),
            kind: self.kind,
            run: self.run.clone(),
            lease: self.lease.clone(),
            since: before.map_or_else(Timestamp::now, |claim| claim.since),
        }
    }

    /// Whether a claim is that of a former holder of the same lease.
    fn succeeds(&self, claim: &Claim) -> bool {
        match (&self.lease, &claim.lease) {
            (Some(mine), Some(other)) => {
                mine.name == other.name && other.transitions < mine.transitions
            }
            _ => false,
        }
    }
}

impl Place {
    /// The head that follows, claimed by this run.
    pub(super) fn next_head(&self, head: &Head) -> Head {
        let claim = Some(self.me.claim(head.claim.as_ref()));
        Head {
            claim,
            ..head.next()
        }
    }

    /// Whether the claim in a head may be taken now.
    ///
    /// # Errors
    /// Who holds it.
    fn may_take(
        &self,
        seen: &mut Option<(String, Instant)>,
        head: &Head,
    ) -> Result<(), InventoryError> {
        let Some(claim) = &head.claim else {
            *seen = None;
            return Ok(());
        };
        if self.me.is(claim) || self.me.succeeds(claim) {
            return Ok(());
        }
        match seen {
            Some((write_id, since)) if *write_id == head.write_id => {
                if since.elapsed() >= STALE {
                    return Ok(());
                }
            }
            _ => *seen = Some((head.write_id.clone(), Instant::now())),
        }
        Err(InventoryError::Held {
            name: self.key.to_string(),
            claim: Box::new(claim.clone()),
        })
    }

    /// What is loaded, once nothing is in doubt and nobody else has the claim.
    ///
    /// # Errors
    /// It cannot be written to now.
    pub(super) async fn writable<'s>(
        &self,
        state: &'s mut State,
    ) -> Result<&'s mut Loaded, InventoryError> {
        self.loaded(state).await?;
        let State { loaded, seen, .. } = state;
        let loaded = loaded.as_mut().expect("it was loaded");
        self.settle(loaded).await?;
        if !loaded.is_held {
            self.may_take(seen, &loaded.head)?;
        }
        Ok(loaded)
    }

    /// Takes the claim, and waits for it as long as there is patience.
    pub(super) async fn claim(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<Claimed, InventoryError> {
        let deadline = Instant::now() + patience;
        loop {
            let taken = {
                let mut state = self.state.lock().await;
                let taken = self.try_claim(&mut state).await;
                if taken.is_ok() {
                    self.held(&mut state);
                }
                taken
            };
            match taken {
                Err(InventoryError::Held { .. } | InventoryError::Conflict { .. })
                    if Instant::now() < deadline =>
                {
                    let left = deadline.saturating_duration_since(Instant::now());
                    sleep(LOOK.min(left)).await;
                }
                taken => return taken,
            }
        }
    }

    async fn try_claim(&self, state: &mut State) -> Result<Claimed, InventoryError> {
        let is_ours = |loaded: &Loaded| loaded.is_held && !loaded.is_broken;
        if state.loaded.as_ref().is_some_and(is_ours) {
            return Ok(Claimed::AsLoaded);
        }
        let found = read::get(self.blobs.as_ref(), &self.key).await?;
        let found = match found {
            Some((bytes, version)) => {
                let head = Head::read(&self.key, &self.identity, &bytes)?;
                self.may_take(&mut state.seen, &head)?;
                Some((head, version))
            }
            None => None,
        };
        let claimed = match (&mut state.loaded, found) {
            (Some(loaded), None) if loaded.version.is_none() && !loaded.is_broken => {
                Claimed::AsLoaded
            }
            (Some(loaded), Some((head, version)))
                if !loaded.is_broken && loaded.head.records_the_same(&head) =>
            {
                (loaded.head, loaded.version) = (head, Some(version));
                Claimed::AsLoaded
            }
            _ => {
                let found = read::inventory(self.blobs.as_ref(), &self.key, &self.identity).await?;
                let found = Loaded::of(&self.identity, found);
                self.may_take(&mut state.seen, &found.head)?;
                state.put(found);
                Claimed::Newer
            }
        };
        let loaded = state.loaded.as_mut().expect("it was read");
        let head = self.next_head(&loaded.head);
        loaded.is_broken = true;
        self.swap(loaded, head).await?;
        loaded.is_broken = false;
        Ok(claimed)
    }

    /// The claim is this run's from here on: it is renewed in the background, and what a killed run owes the audit log is
    /// written there.
    pub(super) fn held(self: &Arc<Self>, state: &mut State) {
        let Some(loaded) = state.loaded.as_mut().filter(|loaded| loaded.is_held) else {
            return;
        };
        self.pay_what_is_owed(loaded);
        if std::mem::replace(&mut state.is_renewing, true) {
            return;
        }
        let place = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut pause = RENEWED;
            loop {
                sleep(pause).await;
                let Some(place) = place.upgrade() else { return };
                let Some(next) = place.renew().await else {
                    return;
                };
                pause = next;
            }
        });
    }

    /// Renews the claim, and says when to come again, if it is to be.
    async fn renew(&self) -> Option<Duration> {
        let mut state = self.state.lock().await;
        let is_ours = |loaded: &&mut Loaded| loaded.is_held && !loaded.is_broken;
        let Some(loaded) = state.loaded.as_mut().filter(is_ours) else {
            state.is_renewing = false;
            return None;
        };
        let age = loaded.confirmed.elapsed();
        if age < RENEWED {
            return Some(RENEWED.saturating_sub(age));
        }
        let renewed = match self.settle(loaded).await {
            Ok(()) if loaded.confirmed.elapsed() < RENEWED => Ok(()),
            Ok(()) => {
                let head = self.next_head(&loaded.head);
                self.swap(loaded, head).await
            }
            failed => failed,
        };
        let Err(error) = renewed else {
            return Some(
                RENEWED
                    .saturating_sub(loaded.confirmed.elapsed())
                    .max(AGAIN),
            );
        };
        tracing::warn!(inventory = %self.key, %error, "the claim could not be renewed");
        if loaded.is_broken {
            state.is_renewing = false;
            return None;
        }
        Some(AGAIN)
    }

    /// Takes a claim away from a run, if it is that run's.
    pub(super) async fn force_unlock(&self, run: &str) -> Result<bool, InventoryError> {
        let mut state = self.state.lock().await;
        let found = read::inventory(self.blobs.as_ref(), &self.key, &self.identity).await?;
        let loaded = state.put(Loaded::of(&self.identity, found));
        let is_its = |claim: &Claim| claim.run == run;
        if !loaded.head.claim.as_ref().is_some_and(is_its) {
            return Ok(false);
        }
        let head = Head {
            claim: None,
            ..loaded.head.next()
        };
        loaded.is_broken = true;
        self.swap(loaded, head).await?;
        loaded.is_broken = false;
        Ok(true)
    }
}
