//! The shared scopes of API Manager's Publisher: a scope is addressed by a UUID that only the list tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::convert::{PublisherBody, RestsOn, Scopes, Then, WireScope};
use super::{List, convert, is_conflict, refused, same_name, unsupported};
use crate::model::system::System;
use crate::model::{Live, LiveScope, RemoteId, ScopeName, ScopeState, Target};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;
use crate::provider::http::{Http, Settled, SharedList, Unseen, settle_create};
use crate::provider::{Applied, Apply, Cause, Fate, Interest, Observe, ProviderError, Requests};

/// The OAuth scope that writing shared scopes takes.
pub(super) const MANAGE: &str = "apim:shared_scope_manage";

/// The OAuth scope that reading them takes.
pub(super) const VIEW: &str = "apim:api_view";

/// The shared scopes of one server, of one tenant.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) target: Target,
    pub(super) http: Http,
    /// The version segment of its paths, such as `v4`.
    pub(super) version: String,
    /// What the token was granted, where the token server said so.
    pub(super) granted: Granted,
    /// The ids, from the last list and from our own creations since.
    pub(super) ids: Mutex<BTreeMap<ScopeName, RemoteId>>,
    /// The last list, which what is sent again is compared with.
    pub(super) last: SharedList<Scopes>,
}

/// The scopes of the current token, shared with what fetches it. A token server grants fewer than it was asked for where
/// the user lacks a role, and says so only here.
#[derive(Debug, Clone, Default)]
pub(super) struct Granted(Arc<Mutex<Option<String>>>);

impl Granted {
    /// Keeps what a token answer says.
    pub(super) fn set(&self, scope: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = scope;
    }

    /// What is granted, if that is known and lacks the right to write.
    fn without_manage(&self) -> Option<String> {
        let granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        granted
            .clone()
            .filter(|scopes| scopes.split_whitespace().all(|scope| scope != MANAGE))
    }
}

#[async_trait]
impl Observe for Publisher {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let (mut scopes, mut duplicates) = Default::default();
        if interest.scopes || interest.consumers {
            let list = self.list(&self.scopes()).read(false).await;
            let list = list.map_err(|error| self.explained(self.versioned(error)))?;
            (scopes, duplicates) = (*self.last.keep(list).await).clone();
            *self.ids() = ids(&scopes);
        }
        Ok(Live {
            identity: self.target.live_identity_with(0),
            title: format!("Publisher {}", self.version),
            scopes,
            duplicates,
            apps: BTreeMap::new(),
        })
    }

    fn requests(&self) -> Requests {
        self.http.requests()
    }
}

#[async_trait]
impl Apply for Publisher {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        match &*change {
            Change::CreateScope { after } => self.create(after).await,
            Change::UpdateScope { id, before, after } => {
                self.update(id.as_ref(), before, after).await
            }
            Change::DeleteScope { id, before } => {
                let planned = &change.planned().facts;
                self.delete(id.as_ref(), before, planned).await
            }
            _ => return Err(unsupported(&change)),
        }
        .map_err(|error| self.explained(error))
    }
}

impl Publisher {
    fn scopes(&self) -> [&str; 5] {
        ["api", "am", "publisher", &self.version, "scopes"]
    }

    fn list<'a>(&'a self, path: &'a [&'a str]) -> List<'a> {
        List {
            http: &self.http,
            path,
            system: System::Wso2Publisher,
        }
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, BTreeMap<ScopeName, RemoteId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, after: &ScopeState) -> Result<Applied, ProviderError> {
        let doing = format!("create scope `{}`", after.name);
        let refuse = |why| refused(&doing, why);
        convert::creatable(after, System::Wso2Publisher).map_err(refuse)?;
        let body = convert::publisher_body(after).map_err(refuse)?;
        self.may_write(&doing)?;
        let path = self.scopes();
        let send = || self.post(&path, &body, &doing);
        let look = || self.list(&path).look(after, |live| live.remote_id.clone());
        // No index keeps names apart here, and the list shows a scope only after every key manager has answered: a second
        // create could make a second scope of the name.
        let Settled { object: id, found } =
            settle_create(&self.http, send, look, is_conflict, Unseen::Left)
                .await
                .map_err(|error| match error {
                    // With help, it was seen: it is listed, and differs.
                    ProviderError {
                        fate: Fate::NotDone,
                        help: None,
                        ..
                    } if is_conflict(&error) => orphan(error, &after.name),
                    _ => error,
                })?;
        if let Some(id) = &id {
            self.ids().insert(after.name.clone(), id.clone());
        }
        Ok(Applied::made(id, found))
    }

    async fn post(
        &self,
        path: &[&str],
        body: &PublisherBody<'_>,
        doing: &str,
    ) -> Result<Option<RemoteId>, ProviderError> {
        let answer = self.http.post(path, body, doing).send().await?;
        match answer.json::<WireScope>()?.into_id() {
            None => Err(answer.unexpected("it has no id")),
            id => Ok(id),
        }
    }

    async fn update(
        &self,
        id: Option<&RemoteId>,
        before: &ScopeState,
        after: &ScopeState,
    ) -> Result<Applied, ProviderError> {
        let name = same_name(before, after)?;
        let doing = format!("update scope `{name}`");
        let body = convert::publisher_body(after).map_err(|why| refused(&doing, why))?;
        self.may_write(&doing)?;
        let id = self.id(id, name, &doing)?;
        let path = [&self.scopes()[..], &[id.as_str()]].concat();
        let list = self.scopes();
        let rests_on = RestsOn {
            id: Some(&id),
            before,
            then: Then::Becomes(after),
        };
        self.list(&list)
            .write(&self.last, &rests_on, || {
                self.http.put(&path, &body, doing.as_str())
            })
            .await
    }

    /// Deletes a scope. A success may leave it in a key manager that refused; a later create of the name says so.
    async fn delete(
        &self,
        id: Option<&RemoteId>,
        before: &ScopeState,
        planned: &BTreeSet<String>,
    ) -> Result<Applied, ProviderError> {
        let name = &before.name;
        let doing = format!("delete scope `{name}`");
        self.may_write(&doing)?;
        let id = self.id(id, name, &doing)?;
        let path = [&self.scopes()[..], &[id.as_str()]].concat();
        let list = self.scopes();
        let rests_on = RestsOn {
            id: Some(&id),
            before,
            then: Then::Goes(planned),
        };
        // 404: it is gone already.
        let call = || self.http.delete(&path, doing.as_str()).expecting(&[404]);
        match self.list(&list).write(&self.last, &rests_on, call).await {
            Ok(Applied::Moved) => Ok(Applied::Moved),
            // Whoever did it: it is gone.
            Ok(Applied::Done { .. } | Applied::Found) => {
                self.ids().remove(name);
                Ok(Applied::done())
            }
            Err(error) if is_conflict(&error) => Err(error.with_help(
                "an API, or an old revision of one, still requires this scope: take it out there first; \
                 the scope's usage in the Publisher portal names them",
            )),
            Err(error) => Err(error),
        }
    }

    /// The id that a change carries, or else the one that the last list gave.
    fn id(
        &self,
        id: Option<&RemoteId>,
        name: &ScopeName,
        doing: &str,
    ) -> Result<RemoteId, ProviderError> {
        let known = || self.ids().get(name).cloned();
        id.cloned().or_else(known).ok_or_else(|| {
            refused(
                doing,
                format!("the id of `{name}` is not known: it was in no list"),
            )
        })
    }

    /// Stops a write that the token is known not to allow: the server would answer no more than 401.
    fn may_write(&self, doing: &str) -> Result<(), ProviderError> {
        match self.granted.without_manage() {
            Some(granted) => {
                let why = format!("the token was granted `{granted}`, without `{MANAGE}`");
                Err(ProviderError::new(doing, Cause::Credential(why)).with_help(NEEDS_ROLE))
            }
            None => Ok(()),
        }
    }

    /// Says what a list that is nowhere means: a server knows the paths of its own version alone.
    fn versioned(&self, error: ProviderError) -> ProviderError {
        if !error.is_not_found() {
            return error;
        }
        let help = format!(
            "the target says version `{}`, and a server answers its own alone: API Manager 3.2 is v1, 4.0 v2, 4.1 v3, \
             4.2 and later v4",
            self.version
        );
        let found = error.help.clone().map(|found| format!("{found}; "));
        error.with_help(found.unwrap_or_default() + &help)
    }

    /// Says what 401 can mean here: Publisher answers it to a wrong password and to a right one that may not do this alike.
    fn explained(&self, error: ProviderError) -> ProviderError {
        if !matches!(error.cause, Cause::Unauthorized { .. }) {
            return error;
        }
        let help = match self.granted.without_manage() {
            Some(granted) => format!("the token was granted `{granted}`: {NEEDS_ROLE}"),
            None => format!(
                "besides a wrong credential, 401 can mean that the user or the token lacks a scope: reading takes `{VIEW}`, \
                 writing `{MANAGE}`; {NEEDS_ROLE}"
            ),
        };
        error.with_help(help)
    }
}

/// The ids of a list.
fn ids(scopes: &BTreeMap<ScopeName, LiveScope>) -> BTreeMap<ScopeName, RemoteId> {
    let known = scopes.values();
    known
        .filter_map(|scope| Some((scope.state.name.clone(), scope.remote_id.clone()?)))
        .collect()
}

const NEEDS_ROLE: &str =
    "give the user a role that `apim:shared_scope_manage` is mapped to (by default `admin` alone)";

/// A name that the server says exists and does not list: a key manager kept it when the scope was deleted, or an API has
/// it as a scope of its own. It stays so however often it is tried.
fn orphan(error: ProviderError, name: &ScopeName) -> ProviderError {
    error.with_help(format!(
        "no shared scope is called `{name}`, so either an API defines it as its own scope, or a key manager kept it when it \
         was deleted here (an orphan): remove it there (resident key manager: DELETE \
         /api/identity/oauth2/v1.0/scopes/name/{name}) or use another name"
    ))
}
