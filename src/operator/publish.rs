//! Writes statuses: server-side apply, a few in flight, and nothing where nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::status::{self, State};
use crate::cluster::objects::{Key, Object};
use crate::cluster::watch::Store;
use crate::manifest::crd::{self, ObjectStatus, TargetStatus};
use crate::model::TargetId;

/// Who writes the statuses, for the API server.
const MANAGER: &str = "scopeward-operator";
/// How many are written at once.
const IN_FLIGHT: usize = 16;
/// For how long a watch may be behind what was written.
const LAG: Duration = Duration::from_secs(5);

/// What is to be said of every object.
pub(super) struct Board {
    client: Client,
    store: Store,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// What the runs found.
    states: BTreeMap<Key, BTreeMap<TargetId, State>>,
    /// What is wrong with objects that no run uses.
    faults: BTreeMap<Key, State>,
    /// What was written, and when.
    written: BTreeMap<Key, (Value, Instant)>,
}

impl Board {
    /// Nothing is said yet.
    pub(super) fn new(client: Client, store: Store) -> Self {
        Self {
            client,
            store,
            said: Mutex::default(),
        }
    }

    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        // Nothing panics while it is held.
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the last run over a Target said of its objects.
    pub(super) fn known(&self, target: &TargetId) -> BTreeMap<Key, State> {
        self.said(|said| {
            let of_target = said
                .states
                .iter()
                .filter_map(|(key, by_target)| Some((key.clone(), by_target.get(target)?.clone())));
            of_target.collect()
        })
    }

    /// Takes what is wrong with objects, all of it.
    pub(super) async fn faults(&self, faults: BTreeMap<Key, State>) {
        let touched = self.said(|said| {
            let before = std::mem::replace(&mut said.faults, faults);
            let keys = before.keys().chain(said.faults.keys());
            let is_other = |key: &&Key| before.get(key) != said.faults.get(key);
            keys.filter(is_other).cloned().collect()
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

    async fn write(&self, keys: BTreeSet<Key>) {
        let now = Timestamp::now();
        let writes = keys.into_iter().filter_map(|key| {
            let object = self.store.get(&key)?;
            let status = self.status_of(&object, now)?;
            Some((object, serde_json::to_value(status).ok()?))
        });
        let writes = futures::stream::iter(writes.collect::<Vec<_>>());
        writes
            .for_each_concurrent(IN_FLIGHT, async |(object, status)| {
                self.patch(&object, status).await;
            })
            .await;
    }

    /// What is to be said of an object; `None` where that is what it says already.
    fn status_of(&self, object: &Object, now: Timestamp) -> Option<ObjectStatus> {
        let before: ObjectStatus = said_before(object);
        let status = self.said(|said| {
            let none = TargetId {
                namespace: String::new(),
                name: String::new(),
            };
            let states = match said.faults.get(&object.key) {
                Some(fault) => BTreeMap::from([(none, fault.clone())]),
                None => said.states.get(&object.key).cloned().unwrap_or_default(),
            };
            let is_fault = said.faults.contains_key(&object.key);
            let mut status = status::object(&states, &before.conditions, object.generation, now);
            if is_fault || states.is_empty() {
                status.targets.clear();
            }
            (!states.is_empty()).then_some(status)
        })?;
        (status != before).then_some(status)
    }

    /// Says something of a Target, unless it says so already.
    pub(super) async fn target(&self, object: &Object, status: &TargetStatus) {
        let before: TargetStatus = said_before(object);
        if *status != before {
            let status = serde_json::to_value(status).unwrap_or_default();
            self.patch(object, status).await;
        }
    }

    async fn patch(&self, object: &Object, status: Value) {
        let key = &object.key;
        let is_known = self.said(|said| {
            let written = said.written.get(key);
            written.is_some_and(|(before, at)| *before == status && at.elapsed() < LAG)
        });
        if is_known {
            return;
        }
        let body = json!({
            "apiVersion": crd::API_VERSION,
            "kind": key.kind.name(),
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": object.uid },
            "status": status,
        });
        let api = key.kind.within(&self.client, &key.namespace);
        let params = PatchParams::apply(MANAGER).force();
        match api
            .patch_status(&key.name, &params, &Patch::Apply(&body))
            .await
        {
            Ok(_) => self.said(|said| {
                said.written.insert(key.clone(), (status, Instant::now()));
            }),
            // It is gone, or another one took its name.
            Err(error) if matches!(crate::cluster::status(&error), Some(404 | 409)) => {}
            Err(error) => {
                tracing::warn!(target: "status", kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "the status was not written");
            }
        }
    }

    /// Forgets what is gone.
    pub(super) fn forget(&self, is_there: impl Fn(&Key) -> bool) {
        self.said(|said| {
            said.states.retain(|key, _| is_there(key));
            said.written.retain(|key, _| is_there(key));
        });
    }
}

/// What an object says of itself; nothing where that cannot be read.
pub(super) fn said_before<T: DeserializeOwned + Default>(object: &Object) -> T {
    let status = object.value.get("status").cloned();
    let read = status.map(serde_json::from_value);
    read.and_then(Result::ok).unwrap_or_default()
}

/// Since when a Target says that it is as declared, if it does.
pub(super) fn synced_since(target: &Object) -> Option<Timestamp> {
    let status: TargetStatus = said_before(target);
    let mut conditions = status.conditions.iter();
    let synced = conditions.find(|condition| condition.type_ == "Synced")?;
    let is_synced = synced.status == "True";
    is_synced.then(|| synced.last_transition_time.parse().ok())?
}
