//! Looking at the targets of a run, all of them at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use url::Url;

use super::{Realm, Wanted};
use crate::model::{AppRef, DesiredTarget, Live, LiveIdentity, TargetId};
use crate::plan::targets::Sight;
use crate::provider::{
    self, Connect, Credential, CredentialStore, Interest, Interrupt, Observe, Provider,
    ProviderError, Tally,
};

/// How a run reaches its targets.
pub(crate) struct Systems {
    /// What opens them.
    pub(crate) credentials: CredentialStore,
    /// The emulation that takes the place of all of them, if one does: where each target's copy is, and what opens it. No
    /// request goes to the manifests' hosts then, and their credentials are not read.
    pub(crate) stand_in: Option<BTreeMap<TargetId, (Url, Credential)>>,
    /// Ends the run: no request is started after it.
    pub(crate) interrupt: Interrupt,
    /// Counts the requests.
    pub(crate) tally: Tally,
}

/// A target of a run, how it is reached, and what was seen.
pub(crate) struct Reading<P: ?Sized> {
    /// What is wanted there.
    pub(crate) desired: Arc<DesiredTarget>,
    /// What its manifest says it is, or a reading has told.
    pub(crate) identity: Option<LiveIdentity>,
    /// What there is.
    pub(crate) picture: Picture,
    /// Requests that the reading took.
    pub(crate) requests: u64,
    connection: Result<Box<P>, ProviderError>,
}

/// What there is on a target.
pub(crate) enum Picture {
    /// The manifest says `suspend`: nobody looked.
    Suspended,
    /// It could not be read.
    Failed(ProviderError),
    /// All of it.
    Live(Live),
}

impl Systems {
    /// Opens the targets to look at them alone. Sends nothing.
    pub(crate) fn observers(&self, wanted: &Wanted) -> Vec<Reading<dyn Observe>> {
        self.open(wanted, |desired, credential, connect| {
            provider::observer(&desired.target, credential, connect)
        })
    }

    /// Opens the targets to write to them. Sends nothing.
    pub(crate) fn providers(&self, wanted: &Wanted) -> Vec<Reading<dyn Provider>> {
        self.open(wanted, |desired, credential, connect| {
            provider::provider(&desired.target, credential, connect)
        })
    }

    fn open<P: ?Sized>(
        &self,
        wanted: &Wanted,
        open: impl Fn(&DesiredTarget, &Credential, &Connect) -> Result<Box<P>, ProviderError>,
    ) -> Vec<Reading<P>> {
        let targets = wanted.targets.iter();
        let reading = |desired: &Arc<DesiredTarget>| {
            let connection = self
                .way(desired)
                .and_then(|(credential, connect)| open(desired, &credential, &connect));
            let identity = desired.target.live_identity();
            let identity = identity.map(|identity| self.in_realm(identity));
            Reading::of(desired, identity, connection)
        };
        targets.map(reading).collect()
    }

    /// The way to a target: what opens it, and how it is connected to.
    fn way(&self, desired: &DesiredTarget) -> Result<(Credential, Connect), ProviderError> {
        let connect = Connect {
            interrupt: self.interrupt.clone(),
            tally: self.tally.clone(),
            ..Connect::default()
        };
        match &self.stand_in {
            Some(stand_in) => {
                let (url, credential) = &stand_in[&desired.target.id];
                let sandbox = Some(url.clone());
                Ok((credential.clone(), Connect { sandbox, ..connect }))
            }
            None => Ok((self.credentials.find(&desired.target)?, connect)),
        }
    }

    /// An identity as the inventory has it.
    pub(super) fn in_realm(&self, identity: LiveIdentity) -> LiveIdentity {
        let realm = match self.stand_in {
            Some(_) => Realm::Sandbox,
            None => Realm::Live,
        };
        realm.of(identity)
    }
}

/// Reads every target at once. A suspended one is not asked.
pub(crate) async fn read<P: Observe + ?Sized>(
    systems: &Systems,
    readings: Vec<Reading<P>>,
) -> Vec<Reading<P>> {
    join_all(readings.into_iter().map(|reading| reading.look(systems))).await
}

impl<P: ?Sized> Reading<P> {
    /// A target that nobody has looked at yet.
    pub(super) fn of(
        desired: &Arc<DesiredTarget>,
        identity: Option<LiveIdentity>,
        connection: Result<Box<P>, ProviderError>,
    ) -> Self {
        Self {
            desired: Arc::clone(desired),
            identity,
            picture: Picture::Suspended,
            requests: 0,
            connection,
        }
    }

    /// The same connection for another wish, where nothing of the way to the system is another.
    pub(crate) fn renewed(self, desired: &Arc<DesiredTarget>) -> Option<Self> {
        let (old, new) = (&self.desired.target, &desired.target);
        let is_same_way =
            old.endpoint == new.endpoint && old.tls == new.tls && old.pace == new.pace;
        (is_same_way && self.connection.is_ok()).then(|| Self {
            desired: Arc::clone(desired),
            picture: Picture::Suspended,
            requests: 0,
            ..self
        })
    }

    /// The picture, where there is one of something that is there.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.picture {
            Picture::Live(live) => Some(live),
            Picture::Suspended | Picture::Failed(_) => None,
        }
    }

    /// What this run sees of the target.
    pub(crate) fn sight(&self) -> Sight<'_> {
        Sight {
            target: &self.desired.target,
            identity: self.identity.as_ref(),
            is_read: self.live().is_some(),
        }
    }

    /// How it is reached.
    pub(crate) fn connection(&self) -> Result<&P, &ProviderError> {
        self.connection.as_deref()
    }
}

impl<P: Observe + ?Sized> Reading<P> {
    /// Looks, once more where it did before.
    async fn look(mut self, systems: &Systems) -> Self {
        if self.desired.target.suspend {
            return self;
        }
        let observer = match &self.connection {
            Ok(observer) => observer,
            Err(error) => {
                self.picture = Picture::Failed(error.clone());
                return self;
            }
        };
        let before = observer.requests().total;
        let result = observer.observe(&interest(&self.desired)).await;
        self.requests += observer.requests().total - before;
        self.picture = match result {
            Ok(mut live) => {
                live.identity = systems.in_realm(live.identity);
                self.identity = Some(live.identity.clone());
                Picture::Live(live)
            }
            Err(error) => Picture::Failed(error),
        };
        self
    }
}

/// What a full reading of a target asks for.
pub(crate) fn interest(desired: &DesiredTarget) -> Interest {
    let capabilities = desired.target.system().capabilities();
    let apps: Vec<AppRef> = desired.apps.iter().map(|app| app.app.clone()).collect();
    Interest {
        scopes: capabilities.scopes,
        consumers: capabilities.scopes,
        allowed: !apps.is_empty(),
        apps,
    }
}
