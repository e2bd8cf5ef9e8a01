//! Scope registration v1.0: a scope's name is its id.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::convert::{RestsOn, Scopes, Then};
use super::{List, convert, is_conflict, refused, same_name, unsupported};
use crate::model::system::System;
use crate::model::{Live, ScopeName, ScopeState, Target};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;
use crate::provider::http::{Http, Settled, SharedList, Unseen, settle_create};
use crate::provider::{Applied, Apply, Interest, Observe, ProviderError, Requests};

const SCOPES: &[&str] = &["api", "auth", "scope-registration", "v1.0", "scopes"];

/// The scope registration API of one server.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) target: Target,
    pub(super) http: Http,
    /// The last list, which what is sent again is compared with.
    pub(super) last: SharedList<Scopes>,
}

#[async_trait]
impl Observe for Registration {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let (scopes, duplicates) = if interest.scopes || interest.consumers {
            let list = self.list().read(false).await?;
            (*self.last.keep(list).await).clone()
        } else {
            Default::default()
        };
        Ok(Live {
            identity: self.target.live_identity_with(0),
            title: "scope registration".to_owned(),
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
impl Apply for Registration {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        match &*change {
            Change::CreateScope { after } => self.create(after).await,
            Change::UpdateScope {
                id: _,
                before,
                after,
            } => self.update(before, after).await,
            Change::DeleteScope { id: _, before } => {
                self.delete(before, &change.planned().facts).await
            }
            _ => Err(unsupported(&change)),
        }
    }
}

impl Registration {
    fn list(&self) -> List<'_> {
        List {
            http: &self.http,
            path: SCOPES,
            system: System::Wso2ScopeRegistration,
        }
    }

    /// Makes a scope. A 500 may have made it: where its address cannot be built from its name, and where the answer could
    /// not be.
    async fn create(&self, after: &ScopeState) -> Result<Applied, ProviderError> {
        let doing = format!("create scope `{}`", after.name);
        let refuse = |why| refused(&doing, why);
        convert::creatable(after, System::Wso2ScopeRegistration).map_err(refuse)?;
        let body = convert::registration_body(after).map_err(refuse)?;
        let send = || async {
            self.http.post(SCOPES, &body, doing.as_str()).send().await?;
            Ok(())
        };
        let look = || self.list().look(after, |_| ());
        let Settled { found, .. } =
            settle_create(&self.http, send, look, is_conflict, Unseen::Again).await?;
        Ok(Applied::made(None, found))
    }

    /// Replaces a scope. The server looks for the name of the path, and then deletes and inserts the name of the *body*:
    /// the two are one value here.
    async fn update(
        &self,
        before: &ScopeState,
        after: &ScopeState,
    ) -> Result<Applied, ProviderError> {
        let name = same_name(before, after)?;
        let doing = format!("update scope `{name}`");
        addressable(&doing, name)?;
        let body = convert::registration_body(after).map_err(|why| refused(&doing, why))?;
        let path = [SCOPES, &[name.as_str()]].concat();
        let rests_on = RestsOn {
            id: None,
            before,
            then: Then::Becomes(after),
        };
        self.list()
            .write(&self.last, &rests_on, || {
                self.http.put(&path, &body, doing.as_str())
            })
            .await
    }

    /// Deletes a scope. The name is all that tells it from one that somebody makes anew, so that what is sent again is
    /// looked at first.
    async fn delete(
        &self,
        before: &ScopeState,
        planned: &BTreeSet<String>,
    ) -> Result<Applied, ProviderError> {
        let name = &before.name;
        let doing = format!("delete scope `{name}`");
        addressable(&doing, name)?;
        let path = [SCOPES, &[name.as_str()]].concat();
        let rests_on = RestsOn {
            id: None,
            before,
            then: Then::Goes(planned),
        };
        // 404: it is gone already.
        let call = || self.http.delete(&path, doing.as_str()).expecting(&[404]);
        match self.list().write(&self.last, &rests_on, call).await? {
            // Whoever did it: it is gone.
            Applied::Found => Ok(Applied::done()),
            applied => Ok(applied),
        }
    }
}

/// Refuses names whose path leads elsewhere: the server splits them at `/` even where it is escaped, and answers any path
/// with `swagger.yaml` in it with its own description, a DELETE included.
fn addressable(doing: &str, name: &ScopeName) -> Result<(), ProviderError> {
    for text in ["/", "swagger.yaml"] {
        if name.as_str().contains(text) {
            let why = format!("no path leads to a name with `{text}` on this server");
            return Err(refused(doing, why).with_help("delete it in the server's database"));
        }
    }
    Ok(())
}
