//! The four kinds and the namespaces, kept in memory as they change.
//!
//! Each kind has a watch of its own. A picture counts only once every kind was listed, and a kind that is listed anew keeps
//! its old picture until the new one is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::objects::{Key, Kind, Object};
use crate::manifest::Namespaces;

/// For how long a watch counts as broken after it failed: it is tried again sooner than that.
const BROKEN: Duration = Duration::from_secs(45);
/// How long the API server keeps a watch open, in seconds.
const WATCH_SECONDS: u32 = 60;

/// What there is in a cluster, as far as the watches have told.
#[derive(Debug, Default)]
struct Held {
    objects: BTreeMap<Key, Arc<Object>>,
    namespaces: Namespaces,
    /// The kinds that were listed; `None` is that of namespaces.
    listed: BTreeSet<Option<Kind>>,
    /// When the watch of each broke off last. One that works again says nothing until something changes.
    broken: BTreeMap<Option<Kind>, Instant>,
}

/// A picture of a cluster, and word of each change of it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    held: Arc<Mutex<Held>>,
    changes: watch::Sender<u64>,
}

/// A picture at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    /// The objects.
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    /// The namespaces' labels.
    pub(crate) namespaces: Namespaces,
}

impl Store {
    /// Starts the watches; they end with `end`.
    pub(crate) fn start(client: &Client, end: &CancellationToken) -> Self {
        let (changes, _) = watch::channel(0);
        let store = Self {
            held: Arc::default(),
            changes,
        };
        for kind in Kind::all() {
            let watching = store.clone().watch_kind(client.clone(), kind);
            tokio::spawn(end.clone().run_until_cancelled_owned(watching));
        }
        let watching = store.clone().watch_namespaces(client.clone());
        tokio::spawn(end.clone().run_until_cancelled_owned(watching));
        store
    }

    /// Tells of changes: the number grows with each.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether every kind was listed at least once.
    pub(crate) fn is_synced(&self) -> bool {
        self.with(|held| held.listed.len() > Kind::all().count())
    }

    /// The kinds whose watches are broken, for people.
    pub(crate) fn broken(&self) -> Vec<&'static str> {
        self.with(|held| {
            let broken = held.broken.iter().filter(|(_, at)| at.elapsed() < BROKEN);
            let name = |(kind, _): (&Option<Kind>, _)| kind.map_or("Namespace", Kind::name);
            broken.map(name).collect()
        })
    }

    fn works(&self, kind: Option<Kind>, works: bool) {
        self.with(|held| {
            if works {
                held.broken.remove(&kind);
            } else {
                held.broken.insert(kind, Instant::now());
            }
        });
    }

    /// What there is now.
    pub(crate) fn picture(&self) -> Picture {
        self.with(|held| Picture {
            objects: held.objects.clone(),
            namespaces: held.namespaces.clone(),
        })
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.with(|held| held.objects.get(key).cloned())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        // Nothing panics while it is held.
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    async fn watch_kind(self, client: Client, kind: Kind) {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let events = watch_objects(kind.everywhere(&client), config).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            self.works(Some(kind), event.is_ok());
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    let object = Object::of(kind, object);
                    listed.insert(object.key.clone(), Arc::new(object));
                }
                Ok(Event::InitDone) => {
                    let new = std::mem::take(&mut listed);
                    self.replace(kind, new);
                }
                Ok(Event::Apply(object)) => self.apply(Object::of(kind, object)),
                Ok(Event::Delete(object)) => self.delete(&Object::of(kind, object).key),
                Err(error) => {
                    tracing::warn!(target: "watch", kind = kind.name(), %error, "the watch broke off and is begun anew");
                }
            }
        }
    }

    fn replace(&self, kind: Kind, new: BTreeMap<Key, Arc<Object>>) {
        self.with(|held| {
            held.objects.retain(|key, _| key.kind != kind);
            held.objects.extend(new);
            held.listed.insert(Some(kind));
        });
        self.changed();
    }

    fn apply(&self, object: Object) {
        let object = Arc::new(object);
        let key = object.key.clone();
        let before = self.with(|held| held.objects.insert(key, Arc::clone(&object)));
        // What the operator says of it is no news.
        let is_news = before.is_none_or(|before| {
            before.stamp != object.stamp || before.value["spec"] != object.value["spec"]
        });
        if is_news {
            self.changed();
        }
    }

    fn delete(&self, key: &Key) {
        self.with(|held| held.objects.remove(key));
        self.changed();
    }

    async fn watch_namespaces(self, client: Client) {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let all = Api::<PartialObjectMeta<Namespace>>::all(client);
        let events = watch_objects(all, config).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            self.works(None, event.is_ok());
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(namespace)) => listed.push(namespace),
                Ok(Event::InitDone) => {
                    self.with(|held| {
                        held.namespaces.clear();
                        for namespace in listed.drain(..) {
                            held.take(&namespace);
                        }
                        held.listed.insert(None);
                    });
                    self.changed();
                }
                Ok(Event::Apply(namespace)) => {
                    self.with(|held| held.take(&namespace));
                    self.changed();
                }
                Ok(Event::Delete(namespace)) => {
                    self.with(|held| held.forget(&namespace.name_any()));
                    self.changed();
                }
                Err(error) => {
                    tracing::warn!(target: "watch", kind = "Namespace", %error, "the watch broke off and is begun anew");
                }
            }
        }
    }
}

impl Held {
    fn take(&mut self, namespace: &PartialObjectMeta<Namespace>) {
        let name = namespace.name_any();
        self.forget(&name);
        let labels = namespace.labels().clone();
        self.namespaces.insert(name, labels);
    }

    fn forget(&mut self, name: &str) {
        self.namespaces.remove(name);
    }
}
