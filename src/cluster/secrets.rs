//! Credentials of a cluster: one watch a Secret, by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A Secret, by namespace and name.
pub(crate) type SecretName = (String, String);

/// What is known of a Secret.
#[derive(Clone, Default)]
pub(crate) enum Known {
    /// Nothing yet.
    #[default]
    NotYet,
    /// It is not there.
    Missing,
    /// It may not be read, or the API server does not answer.
    Refused(String),
    /// Its keys.
    Keys(Arc<BTreeMap<String, SecretString>>),
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotYet => f.write_str("NotYet"),
            Self::Missing => f.write_str("Missing"),
            Self::Refused(why) => f.debug_tuple("Refused").field(why).finish(),
            Self::Keys(keys) => f.debug_tuple("Keys").field(&keys.len()).finish(),
        }
    }
}

/// The Secrets that Targets name, and word of each change of one.
#[derive(Clone)]
pub(crate) struct Secrets {
    client: Client,
    held: Arc<Mutex<BTreeMap<SecretName, Watched>>>,
    changes: watch::Sender<u64>,
}

struct Watched {
    known: Known,
    /// Ends the watch with the entry.
    _end: DropGuard,
}

impl Secrets {
    /// None yet.
    pub(crate) fn new(client: Client) -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            client,
            held: Arc::default(),
            changes,
        }
    }

    /// Tells of changes: the number grows with each.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Watches these Secrets and no others from here on.
    pub(crate) fn watch_only(&self, wanted: &BTreeSet<SecretName>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|name, _| wanted.contains(name));
        for name in wanted {
            held.entry(name.clone()).or_insert_with(|| {
                let end = CancellationToken::new();
                let watching = self.clone().watch(name.clone());
                tokio::spawn(end.clone().run_until_cancelled_owned(watching));
                Watched {
                    known: Known::NotYet,
                    _end: end.drop_guard(),
                }
            });
        }
    }

    /// What is known of a Secret now.
    pub(crate) fn get(&self, name: &SecretName) -> Known {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(name)
            .map(|watched| watched.known.clone())
            .unwrap_or_default()
    }

    fn set(&self, name: &SecretName, known: Known) {
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(watched) = held.get_mut(name) else {
                return;
            };
            watched.known = known;
        }
        self.changes.send_modify(|count| *count += 1);
    }

    async fn watch(self, name: SecretName) {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &name.0);
        let config = watcher::Config::default()
            .fields(&format!("metadata.name={}", name.1))
            .timeout(60);
        let events = watcher::watcher(secrets, config).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut found = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => found = None,
                Ok(Event::InitApply(secret)) => found = Some(secret),
                Ok(Event::InitDone) => {
                    let known = found.take().map_or(Known::Missing, keys);
                    self.set(&name, known);
                }
                Ok(Event::Apply(secret)) => self.set(&name, keys(secret)),
                Ok(Event::Delete(_)) => self.set(&name, Known::Missing),
                // What was read of it before stays good; a right that is missing is worth a word.
                Err(error) if matches!(self.get(&name), Known::Keys(_)) => {
                    tracing::debug!(target: "watch", %error, "the watch of a Secret broke off and is begun anew");
                }
                Err(error) => self.set(&name, Known::Refused(why(&error))),
            }
        }
    }
}

/// Why a Secret cannot be read, in the server's own words.
fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.message.clone(),
        other => other.to_string(),
    }
}

fn keys(secret: Secret) -> Known {
    let data = secret.data.unwrap_or_default();
    let text = |(key, bytes): (String, k8s_openapi::ByteString)| {
        // A key that is no text is none that a system takes.
        let text = String::from_utf8(bytes.0).ok()?;
        Some((key, SecretString::from(text)))
    };
    Known::Keys(Arc::new(data.into_iter().filter_map(text).collect()))
}
