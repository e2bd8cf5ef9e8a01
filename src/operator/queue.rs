//! When: what is wanted is put together anew as the cluster changes, and a task a Target runs when that concerns it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::publish::Faulty;
use super::reconcile::{Reconciler, Trigger};
use super::status::{Reason, State};
use super::{Context, Shard, reconcile};
use crate::cluster::objects::{Key, Kind};
use crate::cluster::watch::Picture;
use crate::manifest::Holders;
use crate::manifest::cluster::{Assembled, Fault, Unusable, Usable, assemble as assemble_objects};
use crate::model::{DesiredTarget, Owned, SourceFile, TargetId};

/// How long it is quiet before changes are looked at.
const QUIET: Duration = Duration::from_millis(250);
/// How long changes wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The least time between two readings of one system.
const BETWEEN_READINGS: Duration = Duration::from_secs(2);

/// What is wanted, as the cluster was at one moment.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The objects.
    pub(super) picture: Picture,
    /// Whether each can be used.
    pub(super) objects: BTreeMap<SourceFile, Usable>,
    /// The Targets that can be used, with what is wanted there.
    pub(super) targets: BTreeMap<TargetId, Arc<DesiredTarget>>,
    /// How often each is read.
    pub(super) intervals: BTreeMap<TargetId, Duration>,
    /// Since when each object says what it says, or is gone.
    pub(super) since: Since,
    /// The Targets of which it is known what is ours there.
    pub(super) known: BTreeSet<TargetId>,
    /// Counts from 1; 0 before the cluster was seen.
    pub(super) number: u64,
}

/// By what the words of an object are known: labels and annotations of other tools come and go, and change nothing of them.
type Said = (String, i64, bool);

/// Since when objects say what they say, as far as this process has seen.
#[derive(Debug, Clone)]
pub(super) struct Since {
    /// When this process began to look: what happened before is as old as that.
    begun: Timestamp,
    objects: BTreeMap<Key, (Option<Said>, Timestamp)>,
}

impl Default for Since {
    fn default() -> Self {
        Self {
            begun: Timestamp::now(),
            objects: BTreeMap::new(),
        }
    }
}

/// How long an object waits for what it refers to before a person has to look: manifests of one commit come one by one.
const ARRIVING: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// After what time a status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(15);
fn is_conflict(unusable: &Unusable) -> bool {
    unusable.fault == Fault::Conflict
}

/// For how long it is remembered that an object is gone: then it is as old as the process.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

impl Since {
    /// Takes what there is now.
    fn take(&mut self, picture: &Picture, now: Timestamp) {
        for (key, (said, at)) in &mut self.objects {
            if said.is_some() && !picture.objects.contains_key(key) {
                (*said, *at) = (None, now);
            }
        }
        for (key, object) in &picture.objects {
            let says = (
                object.uid.clone(),
                object.generation,
                object.stamp.is_going(),
            );
            let known = self.objects.get(key).and_then(|(said, _)| said.as_ref());
            if known != Some(&says) {
                self.objects.insert(key.clone(), (Some(says), now));
            }
        }
        let is_old = |at: &Timestamp| now.duration_since(*at) >= REMEMBERED;
        self.objects
            .retain(|_, (said, at)| said.is_some() || !is_old(at));
    }

    /// Since when an object says what it says, or is gone.
    pub(super) fn of(&self, key: &Key) -> Timestamp {
        self.objects.get(key).map_or(self.begun, |(_, at)| *at)
    }
}

impl World {
    fn of(picture: Picture, since: Since, holders: Holders, number: u64) -> Self {
        let values = picture.objects.values().map(|object| &object.value);
        let namespaces = picture.namespaces.clone();
        let known = holders.keys().cloned().collect();
        let assembled = assemble_objects(values, namespaces, holders, Timestamp::now());
        let Assembled {
            desired,
            objects,
            intervals,
        } = assembled;
        let targets = desired.targets.into_iter();
        Self {
            targets: targets
                .map(|target| (target.target.id.clone(), Arc::new(target)))
                .collect(),
            picture,
            objects,
            intervals,
            since,
            known,
            number,
        }
    }

    /// The generation of an object.
    pub(super) fn generation(&self, file: &SourceFile) -> i64 {
        let object = Key::of(file).and_then(|key| self.picture.objects.get(&key));
        object.map(|object| object.generation).unwrap_or_default()
    }

    /// Whether objects contradict each other.
    fn has_conflicts(&self) -> bool {
        self.objects.values().any(|usable| match usable {
            Usable::No(unusable) => is_conflict(unusable),
            Usable::Partly(targets) => targets.values().flatten().any(is_conflict),
            Usable::Yes | Usable::LeftOut => false,
        })
    }

    /// What is wrong with objects that no run uses.
    fn faults(&self, shard: Shard, now: Timestamp) -> BTreeMap<Key, Faulty> {
        let fault = |(file, usable): (&SourceFile, &Usable)| {
            let key = Key::of(file)?;
            let generation = self.generation(file);
            let is_new = now.duration_since(self.since.of(&key)) < ARRIVING;
            let state = |unusable: Option<&Unusable>| match unusable {
                Some(unusable) => State::unusable(unusable, is_new, generation),
                None => State::short(
                    Reason::ReferenceNotUsable,
                    "what it refers to cannot be used",
                    generation,
                ),
            };
            let faulty = match usable {
                Usable::Yes => return None,
                Usable::No(unusable) => Faulty::Whole(state(Some(unusable))),
                Usable::LeftOut => Faulty::Whole(state(None)),
                Usable::Partly(targets) => {
                    // What is to be said of another shard's Target is said there.
                    let targets = targets.iter().filter(|(id, _)| self.is_of(shard, id));
                    let on = targets.map(|(id, why)| {
                        let is_conflict = why.as_ref().is_some_and(is_conflict);
                        let state = if is_conflict && !self.known.contains(id) {
                            let message = "who holds it is not known yet";
                            State::short(Reason::TargetNotReady, message, generation)
                        } else {
                            state(why.as_ref())
                        };
                        (id.clone(), state)
                    });
                    Faulty::On(on.collect())
                }
            };
            (key.kind != Kind::Target).then_some((key, faulty))
        };
        self.objects.iter().filter_map(fault).collect()
    }

    /// Whether a Target is of a shard, or of none since it is not there.
    fn is_of(&self, shard: Shard, target: &TargetId) -> bool {
        let key = Key {
            kind: Kind::Target,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        };
        let object = self.picture.objects.get(&key);
        object.is_none_or(|object| shard.has(&object.uid))
    }

    /// When the next reference that leads nowhere has been given its time, after `now`.
    fn next_arrival(&self, now: Timestamp) -> Option<Duration> {
        let is_missing = |unusable: &Unusable| unusable.fault == Fault::ReferenceNotFound;
        let waits = self.objects.iter().filter(|(_, usable)| match usable {
            Usable::No(unusable) => is_missing(unusable),
            Usable::Partly(targets) => targets.values().flatten().any(is_missing),
            Usable::Yes | Usable::LeftOut => false,
        });
        let left = waits.filter_map(|(file, _)| {
            let since = self.since.of(&Key::of(file)?);
            let left = ARRIVING - now.duration_since(since);
            Duration::try_from(left).ok().filter(|left| !left.is_zero())
        });
        left.min()
    }

    /// The Secrets that the Targets name.
    fn secrets(&self) -> BTreeSet<(String, String)> {
        let named = self.targets.values().flat_map(|wanted| {
            let target = &wanted.target;
            let authorities = target.tls.ca_secret.iter().map(|(name, _)| name);
            let names = authorities.chain([&target.credential]);
            names.map(|name| (target.id.namespace.clone(), name.clone()))
        });
        named.collect()
    }
}

/// What is ours on each Target, as their runs have learned: who holds what decides between objects that contradict each
/// other.
pub(super) struct Known {
    all: Mutex<Holders>,
    changes: watch::Sender<u64>,
}

impl Known {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            all: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Takes what is ours on a Target.
    pub(super) fn learn(&self, target: &TargetId, owned: &Arc<Owned>) {
        self.locked().insert(target.clone(), Arc::clone(owned));
        self.changes.send_modify(|number| *number += 1);
    }

    /// Forgets a Target that is gone.
    fn forget(&self, target: &TargetId) {
        self.locked().remove(target);
    }

    fn locked(&self) -> MutexGuard<'_, Holders> {
        // Nothing panics while it is held.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts together what is wanted, as the cluster changes.
pub(super) async fn assemble(context: Arc<Context>, worlds: watch::Sender<Arc<World>>) {
    let mut changes = context.store.changes();
    // All of it may have been listed before anybody listened.
    changes.mark_changed();
    let mut quiet = Box::pin(settled(changes));
    let mut learned = Box::pin(settled(context.holders.changes.subscribe()));
    let mut number = 0;
    let mut since = Since::default();
    let mut leadership = context.leadership.clone();
    let mut was_leader = false;
    let mut arrival: Option<Instant> = None;
    loop {
        let arrived = async {
            match arrival {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changes = &mut quiet => quiet = Box::pin(settled(changes)),
            changes = &mut learned => {
                learned = Box::pin(settled(changes));
                // Who holds what matters where two say the same.
                if !worlds.borrow().has_conflicts() {
                    continue;
                }
            }
            () = arrived => arrival = None,
            // Whoever writes from now on says what the one before had no time to say.
            changed = leadership.changed() => {
                let is_leader = leadership.borrow_and_update().is_leader(Instant::now());
                if changed.is_ok() && is_leader && !was_leader {
                    let world = Arc::clone(&worlds.borrow());
                    let faults = world.faults(context.settings.shard, Timestamp::now());
                    context.board.faults(faults).await;
                }
                was_leader = is_leader;
                continue;
            }
            () = context.end.cancelled() => return,
        }
        if !context.store.is_synced() {
            continue;
        }
        number += 1;
        let now = Timestamp::now();
        let picture = context.store.picture();
        since.take(&picture, now);
        let (known, holders) = (since.clone(), context.holders.locked().clone());
        let world = move || World::of(picture, known, holders, number);
        let world = match tokio::task::spawn_blocking(world).await {
            Ok(world) => Arc::new(world),
            Err(error) => {
                tracing::error!(target: "operator", %error, "what is wanted could not be put together: nothing changes");
                continue;
            }
        };
        context.secrets.watch_only(&world.secrets());
        worlds.send_replace(Arc::clone(&world));
        if context.leadership.borrow().is_leader(Instant::now()) {
            let faults = world.faults(context.settings.shard, now);
            context.board.faults(faults).await;
        }
        context
            .board
            .forget(|key| world.picture.objects.contains_key(key));
        let again = context.board.has_unwritten().then_some(AGAIN);
        let next = world.next_arrival(now).into_iter().chain(again).min();
        arrival = next.map(|left| Instant::now() + left);
    }
}

/// Waits for a change and then for quiet, but not for ever, and gives back what tells of the next one. It must not be dropped
/// half-way: what it has seen already would be lost.
async fn settled(mut changes: watch::Receiver<u64>) -> watch::Receiver<u64> {
    if changes.changed().await.is_err() {
        return std::future::pending().await;
    }
    let latest = Instant::now() + LONGEST_WAIT;
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return changes },
            () = tokio::time::sleep(QUIET) => return changes,
            () = tokio::time::sleep_until(latest) => return changes,
        }
    }
}

/// Keeps a task for each Target of this shard until the end.
pub(super) async fn run(context: Arc<Context>) {
    let mut worlds = context.worlds.clone();
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<TargetId, (CancellationToken, tokio::task::Id)> = BTreeMap::new();
    loop {
        let world = Arc::clone(&worlds.borrow_and_update());
        let there = world.picture.objects.values().filter(|object| {
            object.key.kind == Kind::Target && context.settings.shard.has(&object.uid)
        });
        let there: BTreeSet<TargetId> = there
            .map(|object| TargetId {
                namespace: object.key.namespace.clone(),
                name: object.key.name.clone(),
            })
            .collect();
        running.retain(|target, (end, _)| {
            let stays = there.contains(target);
            if !stays {
                end.cancel();
            }
            stays
        });
        for target in there {
            running.entry(target.clone()).or_insert_with(|| {
                let end = context.end.child_token();
                let task = tasks.spawn(follow(Arc::clone(&context), target, end.clone()));
                (end, task.id())
            });
        }
        tokio::select! {
            changed = worlds.changed() => if changed.is_err() { break },
            () = context.end.cancelled() => break,
            Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(target: "operator", %error, "a task broke off, and is begun anew");
                        error.id()
                    }
                };
                running.retain(|_, (_, task)| *task != id);
            }
        }
    }
    // What was sent is waited for: its answer is recorded.
    while tasks.join_next().await.is_some() {}
}

/// Follows one Target until it is gone.
async fn follow(context: Arc<Context>, target: TargetId, end: CancellationToken) {
    let mut worlds = context.worlds.clone();
    let mut secrets = context.secrets.changes();
    let mut leadership = context.leadership.clone();
    let mut reconciler = Reconciler::new(Arc::clone(&context), target.clone(), end.clone());
    let mut due = Instant::now();
    let mut next_reading = Instant::now();
    let mut compared = None;
    let mut was_leader = false;
    loop {
        let is_leader = leadership.borrow_and_update().is_leader(Instant::now());
        if was_leader && !is_leader {
            // Whoever leads now counts it.
            reconcile::forget(&context, &target);
        }
        was_leader = is_leader;
        let world = Arc::clone(&worlds.borrow_and_update());
        let seen = (world.number, *secrets.borrow_and_update());
        // The lease is renewed every two seconds: that alone is nothing new.
        let is_new = compared != Some(seen) && reconciler.is_concerned_by(&world);
        compared = Some(seen).filter(|_| !is_new);
        let now = Instant::now();
        if is_leader && world.number > 0 && (is_new || now >= due) {
            if now < next_reading {
                due = due.min(next_reading);
            } else {
                let trigger = if is_new {
                    Trigger::Changed
                } else {
                    Trigger::Interval
                };
                let after = reconciler.run(&world, trigger).await;
                let pause = BETWEEN_READINGS.max(reconciler.read_took() * 10);
                next_reading = Instant::now() + pause.min(MOST_BETWEEN);
                due = Instant::now() + after.unwrap_or_else(|| interval(&world, &target));
                continue;
            }
        }
        let wake = if is_leader {
            due
        } else {
            now + Duration::from_secs(1)
        };
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep_until(wake) => {}
            changed = worlds.changed() => if changed.is_err() { break },
            changed = secrets.changed() => if changed.is_err() { break },
            changed = leadership.changed() => if changed.is_err() { break },
        }
    }
    reconcile::forget(&context, &target);
    context.holders.forget(&target);
}

/// The most that a slow reading keeps the next one away.
const MOST_BETWEEN: Duration = Duration::from_mins(1);

/// How long until a Target is looked at again: its interval, a tenth more or less, so that a cluster's Targets spread.
fn interval(world: &World, target: &TargetId) -> Duration {
    let interval = world.intervals.get(target).copied();
    let interval = interval.unwrap_or(Duration::from_mins(10));
    interval.mul_f64(rand::rng().random_range(0.9..1.1))
}
