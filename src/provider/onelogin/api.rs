//! What goes over the wire: paths, bodies, the token. Bodies hold the documented fields and no others, since some of
//! OneLogin's routes refuse what they do not know.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::{Answer, Cause, Http, ProviderError, Requests};
use crate::model::{ScopeName, ScopeState, Target};
use crate::provider::Credential;
use crate::provider::http::{Auth, Call, Dated, Token, TokenCalls, TokenSource};

/// Below which all paths of API authorization stand.
const ROOT: [&str; 3] = ["api", "2", "api_authorizations"];

/// The most pages of one list. No list of this API is known to have more than one.
const MOST_PAGES: usize = 1000;

/// An authorization server of the account.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) id: u64,
    pub(super) name: Option<String>,
    configuration: Option<Configuration>,
    /// It belongs to OneLogin itself.
    pub(super) onelogin: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct Configuration {
    resource_identifier: Option<String>,
}

impl Server {
    pub(super) fn resource_identifier(&self) -> Option<&str> {
        self.configuration.as_ref()?.resource_identifier.as_deref()
    }
}

/// A scope, in the list of scopes and in a client's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Scope {
    pub(super) id: u64,
    pub(super) value: String,
    description: Option<String>,
    inherited: Option<bool>,
}

impl Scope {
    /// What it holds.
    pub(super) fn state(&self) -> ScopeState {
        ScopeState {
            name: ScopeName::observed(&self.value),
            display_name: None,
            description: self.description.clone().filter(|text| !text.is_empty()),
            roles: Vec::new(),
        }
    }

    /// Whether it belongs to a parent configuration.
    pub(super) fn inherited(&self) -> bool {
        self.inherited.unwrap_or(false)
    }
}

/// A client of a server: an app with its scopes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Client {
    pub(super) app_id: u64,
    pub(super) name: Option<String>,
    pub(super) scopes: Vec<Scope>,
}

/// What POST and PUT of a scope answer.
#[derive(Deserialize)]
struct Made {
    id: u64,
}

/// How the requests of a target are signed.
pub(super) fn auth(target: &Target, credential: &Credential) -> Result<Auth, ProviderError> {
    let [client_id, client_secret] = credential.require(target, ["clientId", "clientSecret"])?;
    Ok(Auth::Token(Box::new(ClientCredentials {
        client_id: client_id.expose_secret().to_owned(),
        client_secret: client_secret.clone(),
        url: credential.token_url(target)?,
    })))
}

/// The token of a pair of API credentials.
struct ClientCredentials {
    client_id: String,
    client_secret: SecretString,
    /// Where it comes from, if not from the account's own URL.
    url: Option<Url>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    created_at: Option<Timestamp>,
    expires_in: Option<u32>,
    refresh_token: Option<String>,
}

impl TokenAnswer {
    /// When the token ends. OneLogin gives the same token until its end and says `expires_in: 36000` each time (recorded
    /// in graph-onelogin's HAR files), so that it counts from `created_at` and never from now. Without that a 401 tells.
    fn expires_at(&self) -> Option<Timestamp> {
        let lifetime = SignedDuration::from_secs(self.expires_in?.into());
        self.created_at?.checked_add(lifetime).ok()
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn mint(&self, calls: &TokenCalls<'_>) -> Result<Token, ProviderError> {
        let doing = "get a token from OneLogin";
        let call = match &self.url {
            Some(url) => calls.post(url, doing),
            None => calls.post_at(&["auth", "oauth2", "v2", "token"], doing),
        };
        let answer = call
            .basic(&self.client_id, &self.client_secret)
            .json(&json!({ "grant_type": "client_credentials" }))
            .send()
            .await?;
        let token: TokenAnswer =
            serde_json::from_slice(answer.body()).map_err(|_| answer.no_token())?;
        // It is not used, and no text may hold it all the same.
        if let Some(refresh) = token.refresh_token.clone() {
            calls.learn(&refresh.into());
        }
        Ok(Token {
            expires_at: token.expires_at(),
            secret: token.access_token.into(),
        })
    }
}

/// The calls of API authorization.
pub(super) struct Api {
    http: Http,
}

impl Api {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn requests(&self) -> Requests {
        self.http.requests()
    }

    /// Every authorization server of the account.
    pub(super) async fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let doing = "list the authorization servers";
        let servers = self.list(&ROOT, doing, false, |server: &Server| server.id);
        Ok(servers.await?.of)
    }

    /// Every scope of a server. `settling` is for a look at what became of a write.
    pub(super) async fn scopes(
        &self,
        server: u64,
        settling: bool,
    ) -> Result<Dated<Vec<Scope>>, ProviderError> {
        let doing = format!("read the scopes of authorization server {server}");
        let server = server.to_string();
        self.list(
            &path(&server, &["scopes"]),
            &doing,
            settling,
            |scope: &Scope| scope.id,
        )
        .await
    }

    /// Every client of a server.
    pub(super) async fn clients(
        &self,
        server: u64,
        settling: bool,
    ) -> Result<Dated<Vec<Client>>, ProviderError> {
        let doing = format!("read the clients of authorization server {server}");
        let server = server.to_string();
        self.list(
            &path(&server, &["clients"]),
            &doing,
            settling,
            |client: &Client| client.app_id,
        )
        .await
    }

    /// Makes a scope and gives its id.
    pub(super) async fn create_scope(
        &self,
        server: u64,
        name: &ScopeName,
        description: &str,
    ) -> Result<u64, ProviderError> {
        let body = json!({ "value": name, "description": description });
        let doing = format!("create scope \"{name}\"");
        let server = server.to_string();
        let call = self.http.post(&path(&server, &["scopes"]), &body, doing);
        let made: Made = send(call).await?.json()?;
        Ok(made.id)
    }

    /// Gives a scope another name or description. Both are sent always: whether a PUT without one keeps it is unknown.
    pub(super) fn update_scope(
        &self,
        server: u64,
        id: u64,
        (name, description): (&ScopeName, &str),
        doing: &str,
    ) -> Call<'_> {
        let body = json!({ "value": name, "description": description });
        let (server, id) = (server.to_string(), id.to_string());
        self.http
            .put(&path(&server, &["scopes", &id]), &body, doing)
    }

    /// Deletes a scope; one that is gone is deleted.
    pub(super) fn delete_scope(&self, server: u64, id: u64, name: &ScopeName) -> Call<'_> {
        let doing = format!("delete scope \"{name}\"");
        let (server, id) = (server.to_string(), id.to_string());
        let call = self.http.delete(&path(&server, &["scopes", &id]), doing);
        call.expecting(&[404])
    }

    /// Makes an app a client.
    pub(super) async fn create_client(
        &self,
        server: u64,
        app: u64,
        scopes: &[u64],
    ) -> Result<(), ProviderError> {
        let body = json!({ "app_id": app, "scopes": scopes });
        let doing = format!("attach app {app}");
        let server = server.to_string();
        send(self.http.post(&path(&server, &["clients"]), &body, doing)).await?;
        Ok(())
    }

    /// Replaces the scopes of a client. `scopes` alone is allowed in the body, and stands there even if it is empty.
    pub(super) fn replace_client(&self, server: u64, app: u64, scopes: &[u64]) -> Call<'_> {
        let body = json!({ "scopes": scopes });
        let doing = format!("replace the scopes of app {app}");
        let (server, app) = (server.to_string(), app.to_string());
        self.http
            .put(&path(&server, &["clients", &app]), &body, doing)
    }

    /// Detaches an app; one that is no client is detached.
    pub(super) fn delete_client(&self, server: u64, app: u64) -> Call<'_> {
        let doing = format!("detach app {app}");
        let (server, app) = (server.to_string(), app.to_string());
        let call = self.http.delete(&path(&server, &["clients", &app]), doing);
        call.expecting(&[404])
    }

    /// A whole list. No page of this API is known, but OneLogin's other lists go on under `After-Cursor`, and half a list
    /// would look like deletions.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        doing: &str,
        settling: bool,
        id: impl Fn(&T) -> u64 + Send,
    ) -> Result<Dated<Vec<T>>, ProviderError> {
        let mut begun = None;
        let mut all: Vec<T> = vec![];
        let mut cursors = BTreeSet::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = self.http.get(path, doing).settling(settling);
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let answer = send(call).await?;
            if answer.status() != 200 {
                return Err(answer.unexpected("a list is answered with 200"));
            }
            let at = *begun.get_or_insert(answer.sent_at());
            all.extend(answer.json::<Vec<T>>()?);
            let next = answer
                .header("after-cursor")
                .filter(|next| !next.is_empty());
            let Some(next) = next.map(str::to_owned) else {
                return each_once(Dated { at, of: all }, doing, id);
            };
            if !cursors.insert(next.clone()) || cursors.len() > MOST_PAGES {
                let why = format!("its pages do not come to an end after {}", cursors.len());
                return Err(ProviderError::new(doing, Cause::ObserveIncomplete(why)));
            }
            cursor = Some(next);
        }
    }
}

/// A list in which every id stands once: pages that overlap are no picture.
fn each_once<T>(
    list: Dated<Vec<T>>,
    doing: &str,
    id: impl Fn(&T) -> u64,
) -> Result<Dated<Vec<T>>, ProviderError> {
    let mut ids = BTreeSet::new();
    match list.of.iter().map(id).find(|id| !ids.insert(*id)) {
        None => Ok(list),
        Some(twice) => {
            let why = format!("the id {twice} stands in it twice");
            Err(ProviderError::new(doing, Cause::ObserveIncomplete(why)))
        }
    }
}

/// The path of something of a server.
fn path<'a>(server: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&ROOT[..], &[server], rest].concat()
}

/// Sends a call, and adds what is known about OneLogin to an error.
async fn send(call: Call<'_>) -> Result<Answer, ProviderError> {
    call.send().await.map_err(explain)
}

/// Says what OneLogin's statuses tend to mean.
pub(super) fn explain(mut error: ProviderError) -> ProviderError {
    let more = match &error.cause {
        Cause::Unauthorized { .. } => "OneLogin wants an API credential of the scope Manage All",
        Cause::NotFound { .. } => {
            "check the target's url and authorizationServer: OneLogin answers so to an unknown server, scope or app"
        }
        Cause::Status { status: 500, .. } => {
            "OneLogin answers 500 to every call if the user who made the API credential was deleted"
        }
        _ => return error,
    };
    error.help = Some(match error.help {
        Some(help) => format!("{help}; {more}"),
        None => more.to_owned(),
    });
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_when_it_was_made_to_end_and_not_ten_hours_from_now() {
        // Recorded: asked for at 20:57:52Z, five hours after it was made.
        let answer: TokenAnswer = serde_json::from_str(
            r#"{"access_token":"t","created_at":"2021-07-29T16:00:51.123Z","expires_in":36000,"refresh_token":"r",
                "token_type":"bearer","account_id":1}"#,
        )
        .expect("valid");
        let end: Timestamp = "2021-07-30T02:00:51.123Z".parse().expect("valid");
        assert_eq!(answer.expires_at(), Some(end));
    }

    #[test]
    fn a_token_of_unknown_age_is_used_until_it_is_refused() {
        for text in [
            r#"{"access_token":"t","expires_in":36000}"#,
            r#"{"access_token":"t","created_at":"2021-07-29T16:00:51Z"}"#,
        ] {
            let answer: TokenAnswer = serde_json::from_str(text).expect("valid");
            assert_eq!(answer.expires_at(), None, "{text}");
        }
    }
}
