//! Apigee: the scope lists of apps' keys, on Edge and on X.
//!
//! A key's own list is replaced as a whole and must stay within the scopes of the key's products. Nothing else of an app
//! is ever written: a PUT of the app object mints a new key, and adding or removing products resets approvals.
//!
//! | | developer's key | company's key (Edge) | app group's key (X) |
//! |---|---|---|---|
//! | read | GET | GET | GET |
//! | replace | PUT `{"scopes"}` | PUT `{"scopes"}`, undocumented, used by the vendor's own client | POST `{"appGroupAppKey": {"scopes"}}` |
//!
//! Whether a replace keeps the attributes that it does not name is not known. Those that the key had when it was last
//! looked at, just before, go along.
//!
//! ```text
//! observe: one app   -> GET app, then its products: one by GET, more by listing
//!          several   -> lists of apps, developers and products side by side, then GET for what is missing
//!          one key, to see whether it moved -> GET key
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::http::{Dated, Http, Purpose, settle_replace};
use super::seen::{self, Seen};
use super::{
    Applied, Apply, Cause, Connect, Credential, Interest, Observe, Provider, ProviderError,
    Requests,
};
use crate::model::target::{Edition, Endpoint};
use crate::model::{AppOwner, AppRef, ConsumerKey, Live, LiveApp, ScopeName, Target};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;

mod api;
mod auth;
mod convert;
mod listing;
mod observe;

use convert::{ApigeeApp, AppGroupKeyBody, Beside, KeyBody};
use observe::Products;

/// One organization.
#[derive(Debug)]
struct Apigee {
    target: Target,
    organization: String,
    edition: Edition,
    http: Http,
    /// One lock an app: near-simultaneous writes to one entity can end in conflicts.
    writing: Mutex<HashMap<ApigeeApp, Arc<tokio::sync::Mutex<()>>>>,
    /// What keys have beside their lists, from the last look at each; a replace takes it from here.
    beside: Mutex<HashMap<(ApigeeApp, ConsumerKey), Dated<Beside>>>,
}

/// Opens a target; sends nothing.
pub(super) fn open(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
    purpose: Purpose,
) -> Result<Box<dyn Provider>, ProviderError> {
    let Endpoint::Apigee {
        url: _,
        organization,
        edition,
        auth,
    } = &target.endpoint
    else {
        unreachable!("the caller chose by the endpoint");
    };
    let auth = match edition {
        Edition::Edge => auth::edge(target, credential, *auth, connect.sandbox.is_some())?,
        Edition::X => auth::x(target, credential, *auth)?,
    };
    Ok(Box::new(Apigee {
        target: target.clone(),
        organization: organization.clone(),
        edition: *edition,
        http: Http::open(target, credential, connect, purpose, auth)?,
        writing: Mutex::default(),
        beside: Mutex::default(),
    }))
}

#[async_trait]
impl Observe for Apigee {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let mut products = Products::default();
        let mut apps = match interest.apps.as_slice() {
            // Whether a key has moved since it was read: the key itself says so in the fewest bytes.
            [
                only @ AppRef::Apigee {
                    owner,
                    app,
                    key: Some(key),
                },
            ] if !interest.allowed => {
                let app = ApigeeApp {
                    owner: owner.clone(),
                    name: app.clone(),
                };
                BTreeMap::from([(only.clone(), self.read_key(&app, key).await?.of)])
            }
            // What several keys may hold, the list of products tells, and it takes the time that the apps take anyway.
            several @ [_, _, ..] if interest.allowed => {
                let (apps, listed) = futures::join!(self.read_apps(several), self.list_products());
                let apps = apps?;
                products = listed?;
                apps
            }
            apps => self.read_apps(apps).await?,
        };
        if interest.allowed {
            self.read_allowed(&mut apps, products).await?;
        }
        Ok(Live {
            identity: self.target.live_identity_with(0),
            title: format!("{} ({:?})", self.organization, self.edition),
            scopes: BTreeMap::new(),
            duplicates: BTreeSet::new(),
            apps,
        })
    }

    fn requests(&self) -> Requests {
        self.http.requests()
    }
}

#[async_trait]
impl Apply for Apigee {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        let Change::ReplaceAppScopes {
            app: AppRef::Apigee { owner, app, key },
            before,
            after,
            inherited: _,
        } = &*change
        else {
            return Err(refused(
                "apply the change",
                "nothing but a key's list is written here",
            ));
        };
        let app = ApigeeApp {
            owner: owner.clone(),
            name: app.clone(),
        };
        let doing = format!("replace the scopes of {app}");
        let Some(key) = key else {
            return Err(refused(&doing, "the change does not say which key"));
        };
        let writing = self.writing(&app);
        let _one_at_a_time = writing.lock().await;
        let replaced = self.replace(&app, key, (before, after), &doing).await;
        self.kept().remove(&(app, key.clone()));
        replaced
    }
}

impl Apigee {
    /// A path below the organization.
    fn path<'a>(&'a self, rest: &[&'a str]) -> api::Path<'a> {
        api::organization(&self.organization, rest)
    }

    /// Replaces the whole list of a key. The answer is the key; whether the list took is the verification's to see.
    async fn replace(
        &self,
        app: &ApigeeApp,
        key: &ConsumerKey,
        (before, after): (&BTreeSet<ScopeName>, &BTreeSet<ScopeName>),
        doing: &str,
    ) -> Result<Applied, ProviderError> {
        let path = self.path(&api::key(app, key));
        let known = || self.kept().get(&(app.clone(), key.clone())).cloned();
        let call = || {
            let beside = known().map(|beside| beside.of).unwrap_or_default();
            let body = KeyBody::new(after, &beside);
            match &app.owner {
                // There is no PUT; lists that are given replace what is there, so that sending it again changes nothing.
                AppOwner::AppGroup(_) => {
                    let body = AppGroupKeyBody {
                        app_group_app_key: body,
                    };
                    self.http.post(&path, &body, doing).repeatable()
                }
                AppOwner::Developer(_) | AppOwner::Company(_) => self.http.put(&path, &body, doing),
            }
            .unlogged()
        };
        let looked_at = known().map(|beside| beside.at);
        settle_replace(&self.http, looked_at, call, |_| async {
            let live = self.read_key(app, key).await?;
            let seen = match live.of {
                LiveApp::Present(live) => seen::set(&live.scopes, before, after).seen(),
                LiveApp::Absent { .. } => Seen::Moved { ours: false },
            };
            Ok((live.at, seen))
        })
        .await
    }

    /// Keeps what a look at a key showed.
    fn keep(&self, app: &ApigeeApp, key: &ConsumerKey, beside: Dated<Beside>) {
        self.kept().insert((app.clone(), key.clone()), beside);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(ApigeeApp, ConsumerKey), Dated<Beside>>> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock of an app.
    fn writing(&self, app: &ApigeeApp) -> Arc<tokio::sync::Mutex<()>> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writing.entry(app.clone()).or_default())
    }
}

/// An error of a write that is not sent.
fn refused(doing: &str, why: &str) -> ProviderError {
    ProviderError::new(doing, Cause::Configuration(why.to_owned()))
}
