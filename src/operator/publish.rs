//! Writes statuses: server-side apply, a few in flight, and nothing where nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Shard;
use super::status::{self, Reason, State};
use crate::cluster::objects::{Key, Kind, Object};
use crate::cluster::watch::Store;
use crate::manifest::crd::{self, ObjectStatus, TargetStatus};
use crate::model::TargetId;

/// Who writes the statuses, for the API server.
const MANAGER: &str = "scopeward-operator";
/// How many are written at once.
const IN_FLIGHT: usize = 16;
/// For how long a watch may be behind what was written.
const LAG: Duration = Duration::from_secs(5);
/// How long a write may take, with all of its answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(45);
/// How often a write is tried where another shard is faster.
const TRIES: u32 = 10;
/// How long the watch is given to show what another shard wrote.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// What is to be said of every object.
pub(super) struct Board {
    client: Client,
    store: Store,
    /// The Targets that this process speaks of.
    shard: Shard,
    said: Mutex<Said>,
}

/// What became of a write.
#[derive(PartialEq, Eq)]
enum Written {
    /// It is made, or there is nothing more to do about it.
    Settled,
    /// What it rested on is not the latest.
    Behind,
    /// The API server did not take it.
    Refused,
}

/// The API server did not answer.
struct Unanswered;

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Faulty {
    /// It counts for nothing.
    Whole(State),
    /// It counts for nothing on these.
    On(BTreeMap<TargetId, State>),
}

#[derive(Default)]
struct Said {
    /// What the runs found.
    states: BTreeMap<Key, BTreeMap<TargetId, State>>,
    /// What is wrong with objects that no run uses, or that one Target does not use.
    faults: BTreeMap<Key, Faulty>,
    /// What was written of which object, and when.
    written: BTreeMap<Key, (String, Value, Instant)>,
    /// What is to be written once more, since it could not be.
    unwritten: BTreeSet<Key>,
}

impl Board {
    /// Nothing is said yet.
    pub(super) fn new(client: Client, store: Store, shard: Shard) -> Self {
        Self {
            client,
            store,
            shard,
            said: Mutex::default(),
        }
    }

    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        // Nothing panics while it is held.
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why each of these objects was as it was on a Target, as the last run over it said; as its status says where this
    /// process said nothing yet.
    pub(super) fn known<'k>(
        &self,
        target: &TargetId,
        keys: impl Iterator<Item = &'k Key>,
    ) -> BTreeMap<Key, Reason> {
        let mut known = BTreeMap::new();
        let mut unknown = Vec::new();
        self.said(|said| {
            for key in keys {
                let states = said.states.get(key);
                match states.and_then(|by_target| by_target.get(target)) {
                    Some(state) => drop(known.insert(key.clone(), state.reason)),
                    None => unknown.push(key),
                }
            }
        });
        let written = unknown.into_iter().filter_map(|key| {
            let status: ObjectStatus = said_before(&*self.store.get(key)?);
            let mut states = status.targets.iter();
            let state =
                states.find(|of| of.namespace == target.namespace && of.name == target.name)?;
            Some((key.clone(), state.state.parse().ok()?))
        });
        known.extend(written);
        known
    }

    /// Takes what is wrong with objects, all of it.
    pub(super) async fn faults(&self, faults: BTreeMap<Key, Faulty>) {
        let touched = self.said(|said| {
            let before = std::mem::replace(&mut said.faults, faults);
            let keys = before.keys().chain(said.faults.keys());
            let is_other = |key: &&Key| before.get(key) != said.faults.get(key);
            let touched: BTreeSet<Key> = keys.filter(is_other).cloned().collect();
            touched.union(&said.unwritten).cloned().collect()
        });
        self.write(touched).await;
    }

    /// Takes what a run over a Target says of its objects, all of it.
    pub(super) async fn states(&self, target: &TargetId, mut states: BTreeMap<Key, State>) {
        let touched = self.said(|said| {
            let mut touched = BTreeSet::new();
            said.states.retain(|key, by_target| {
                let new = states.remove(key);
                let before = match new.clone() {
                    Some(state) => by_target.insert(target.clone(), state),
                    None => by_target.remove(target),
                };
                if before.is_some() || new.is_some() {
                    touched.insert(key.clone());
                }
                !by_target.is_empty()
            });
            for (key, state) in states {
                touched.insert(key.clone());
                said.states.insert(key, [(target.clone(), state)].into());
            }
            touched
        });
        self.write(touched).await;
    }

    /// Whether anything could not be written.
    pub(super) fn has_unwritten(&self) -> bool {
        self.said(|said| !said.unwritten.is_empty())
    }

    async fn write(&self, keys: BTreeSet<Key>) {
        self.said(|said| said.unwritten.extend(keys.iter().cloned()));
        // Where one gets no answer, the others would wait in vain as well: they are tried again later.
        let writes = futures::stream::iter(keys.into_iter().map(Ok));
        let _ = writes
            .try_for_each_concurrent(IN_FLIGHT, async |key| self.write_one(&key).await)
            .await;
    }

    /// Writes what is to be said of an object, once more where another shard was first.
    async fn write_one(&self, key: &Key) -> Result<(), Unanswered> {
        for _ in 0..TRIES {
            let object = self.store.get(key);
            let status = object
                .as_ref()
                .and_then(|object| self.status_of(object, Timestamp::now()));
            let (Some(object), Some(status)) = (object, status) else {
                self.is_written(key);
                return Ok(());
            };
            let Ok(status) = serde_json::to_value(status) else {
                return Ok(());
            };
            match self.patch(&object, status).await? {
                Written::Settled => {
                    self.is_written(key);
                    return Ok(());
                }
                Written::Refused => return Ok(()),
                Written::Behind => tokio::time::sleep(BETWEEN_TRIES).await,
            }
        }
        Ok(())
    }

    fn is_written(&self, key: &Key) {
        self.said(|said| drop(said.unwritten.take(key)));
    }

    /// What is to be said of an object; `None` where that is what it says already.
    fn status_of(&self, object: &Object, now: Timestamp) -> Option<ObjectStatus> {
        let before: ObjectStatus = said_before(object);
        let said = self.said(|said| {
            let states = said.states.get(&object.key).cloned().unwrap_or_default();
            match said.faults.get(&object.key).cloned() {
                Some(Faulty::Whole(fault)) => Err(fault),
                Some(Faulty::On(faults)) => Ok(states.into_iter().chain(faults).collect()),
                None => Ok(states),
            }
        });
        let status = match said {
            Err(fault) => status::of_fault(fault, &before.conditions, now),
            Ok(states) => {
                let mut states: BTreeMap<TargetId, State> = states;
                if states.is_empty() {
                    return None;
                }
                for (target, state) in self.of_others(object, &before) {
                    states.entry(target).or_insert(state);
                }
                status::object(&states, &before.conditions, object.generation, now)
            }
        };
        (status != before).then_some(status)
    }

    /// What other shards say of an object on their Targets.
    fn of_others(
        &self,
        object: &Object,
        before: &ObjectStatus,
    ) -> impl Iterator<Item = (TargetId, State)> {
        let declared = object.target_refs();
        let generation = before.observed_generation.unwrap_or_default();
        before.targets.iter().filter_map(move |said| {
            let target = TargetId {
                namespace: said.namespace.clone(),
                name: said.name.clone(),
            };
            let key = Key {
                kind: Kind::Target,
                namespace: target.namespace.clone(),
                name: target.name.clone(),
            };
            // A binding may name no Target: it is for those of its Scope.
            let is_declared = declared.is_empty()
                || declared
                    .iter()
                    .any(|(namespace, name)| *namespace == said.namespace && *name == said.name);
            let is_anothers = self
                .store
                .get(&key)
                .is_some_and(|target| !self.shard.has(&target.uid));
            (is_declared && is_anothers).then(|| Some((target, State::read(said, generation)?)))?
        })
    }

    /// Says something of a Target, unless it says so already.
    pub(super) async fn target(&self, object: &Object, status: &TargetStatus) {
        let before: TargetStatus = said_before(object);
        if *status != before {
            let status = serde_json::to_value(status).unwrap_or_default();
            let _ = self.patch(object, status).await;
        }
    }

    async fn patch(&self, object: &Object, status: Value) -> Result<Written, Unanswered> {
        let key = &object.key;
        let is_known = self.said(|said| {
            let written = said.written.get(key);
            written.is_some_and(|(uid, before, at)| {
                *uid == object.uid && *before == status && at.elapsed() < LAG
            })
        });
        if is_known {
            return Ok(Written::Settled);
        }
        let mut body = json!({
            "apiVersion": crd::API_VERSION,
            "kind": key.kind.name(),
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": object.uid },
            "status": status,
        });
        let is_shared = self.shard.count > 1 && key.kind != Kind::Target;
        if is_shared {
            // It carries what other shards said: only as long as that is the latest.
            body["metadata"]["resourceVersion"] =
                object.value["metadata"]["resourceVersion"].clone();
        }
        let api = key.kind.within(&self.client, &key.namespace);
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&body);
        let patching = api.patch_status(&key.name, &params, &patch);
        // An answer that has begun may never end.
        let Ok(patched) = tokio::time::timeout(LONGEST_ANSWER, patching).await else {
            return Err(Unanswered);
        };
        match patched {
            Ok(_) => self.said(|said| {
                let written = (object.uid.clone(), status, Instant::now());
                said.written.insert(key.clone(), written);
            }),
            Err(error) if is_shared && crate::cluster::status(&error) == Some(409) => {
                return Ok(Written::Behind);
            }
            // It is gone, or another one took its name.
            Err(error) if matches!(crate::cluster::status(&error), Some(404 | 409)) => {}
            Err(error) => {
                tracing::warn!(target: "status", kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "the status was not written");
                if crate::cluster::status(&error).is_none() {
                    return Err(Unanswered);
                }
                return Ok(Written::Refused);
            }
        }
        Ok(Written::Settled)
    }

    /// Forgets what is gone.
    pub(super) fn forget(&self, is_there: impl Fn(&Key) -> bool) {
        self.said(|said| {
            said.states.retain(|key, _| is_there(key));
            said.written.retain(|key, _| is_there(key));
            said.unwritten.retain(|key| is_there(key));
        });
    }
}

/// What an object says of itself; nothing where that cannot be read.
pub(super) fn said_before<T: DeserializeOwned + Default>(object: &Object) -> T {
    let status = object.value.get("status").cloned();
    let read = status.map(serde_json::from_value);
    read.and_then(Result::ok).unwrap_or_default()
}

/// Since when a Target says that it is as declared, or that it is not any more: it was until then.
pub(super) fn synced_at(target: &Object) -> Option<Timestamp> {
    let status: TargetStatus = said_before(target);
    let mut conditions = status.conditions.iter();
    let synced = conditions.find(|condition| condition.type_ == "Synced")?;
    synced.last_transition_time.parse().ok()
}
