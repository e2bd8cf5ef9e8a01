//! Scope registration v1.0: a scope's name is its id.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{List, convert, is_conflict, refused, same_name, unsupported};
use crate::model::system::System;
use crate::model::{Live, ScopeName, Target};
use crate::plan::change::{Change, ScopeState};
use crate::plan::guard::ApprovedChange;
use crate::provider::http::{Http, Settled, Unseen, settle_create};
use crate::provider::{Apply, Done, Interest, Observe, ProviderError, Requests};

const SCOPES: &[&str] = &["api", "auth", "scope-registration", "v1.0", "scopes"];

/// The scope registration API of one server.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) target: Target,
    pub(super) http: Http,
}

#[async_trait]
impl Observe for Registration {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let (scopes, duplicates) = if interest.scopes || interest.consumers {
            self.list().read(false).await?
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
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Done, ProviderError> {
        match &*change {
            Change::CreateScope { after } => self.create(after).await,
            Change::UpdateScope {
                id: _,
                before,
                after,
            } => self.update(before, after).await,
            Change::DeleteScope { id: _, before } => self.delete(&before.name).await,
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
    async fn create(&self, after: &ScopeState) -> Result<Done, ProviderError> {
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
        Ok(Done {
            remote_id: None,
            found,
        })
    }

    /// Replaces a scope. The server looks for the name of the path, and then deletes and inserts the name of the *body*:
    /// the two are one value here.
    async fn update(&self, before: &ScopeState, after: &ScopeState) -> Result<Done, ProviderError> {
        let name = same_name(before, after)?;
        let doing = format!("update scope `{name}`");
        addressable(&doing, name)?;
        let body = convert::registration_body(after).map_err(|why| refused(&doing, why))?;
        let path = [SCOPES, &[name.as_str()]].concat();
        self.http.put(&path, &body, doing).send().await?;
        Ok(Done::default())
    }

    async fn delete(&self, name: &ScopeName) -> Result<Done, ProviderError> {
        let doing = format!("delete scope `{name}`");
        addressable(&doing, name)?;
        let path = [SCOPES, &[name.as_str()]].concat();
        // 404: it is gone already.
        self.http
            .delete(&path, doing)
            .expecting(&[404])
            .send()
            .await?;
        Ok(Done::default())
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
