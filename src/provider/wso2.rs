//! WSO2: the scope registration API of 2018, and the shared scopes of API Manager's Publisher.
//!
//! | | scope registration | Publisher |
//! |---|---|---|
//! | an object's address | its name | a UUID that only the list tells |
//! | display name | none | required |
//! | a PUT with another name in its body | overwrites the scope of *that* name | keeps the name |
//! | a 500 on create | the scope may be there | the name may be taken for ever |
//! | deletes of what is in use | done | 409, code 900985 |
//! | signs in with | name and password | the same, or a token for its OAuth client |
//!
//! Both answer their list in one piece however long it is, and move rows between pages as they are written to: so one
//! request asks for more rows than there are, a second one for still more if there are, and pages are never walked.
//! Neither API's `Location` leads anywhere, and HEAD answers carry bodies that derail a kept-alive connection: neither is
//! used.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

use super::http::{
    Auth, Call, Dated, Found, Http, Purpose, SharedList, Token, TokenCalls, TokenSource,
    settle_replace,
};
use super::oauth::TokenAnswer;
use super::{Applied, Cause, Connect, Credential, Provider, ProviderError};
use crate::model::system::System;
use crate::model::target::{Endpoint, Wso2Api};
use crate::model::{DisplayNames, LiveScope, ScopeName, ScopeState, Target};
use crate::plan::change::Change;

mod convert;
mod publisher;
mod registration;

use convert::{RestsOn, ScopeList, Scopes};
use publisher::{Granted, Publisher};
use registration::Registration;

/// How many rows the first request of a list asks for.
const FIRST_LIMIT: u64 = 10_000;

/// What reading a list is called.
const READ: &str = "read the scopes";

/// The most rows that a request can ask for: both servers read a Java `int`.
const LARGEST_LIMIT: u64 = i32::MAX as u64;

/// Opens a target; sends nothing.
pub(super) fn open(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
    purpose: Purpose,
) -> Result<Box<dyn Provider>, ProviderError> {
    let Endpoint::Wso2 {
        url: _,
        api,
        version,
        tenant,
    } = &target.endpoint
    else {
        unreachable!("the caller chose by the endpoint");
    };
    let open = |auth| Http::open(target, credential, connect, purpose, auth);
    match api {
        Wso2Api::ScopeRegistration => {
            if tenant.is_some() {
                let why = "scope registration has no tenants: leave `tenant` out".to_owned();
                return Err(refused(&format!("open target \"{}\"", target.id), why));
            }
            let auth = signed_in(target, credential, None)?;
            if let Auth::Basic { password, .. } = &auth
                && password.expose_secret().contains(':')
            {
                let why = format!(
                    "the password of {credential} has a `:`, and this server reads a password up to its first one"
                );
                return Err(ProviderError::new(
                    format!("open target \"{}\"", target.id),
                    Cause::Credential(why),
                )
                .with_help("give the user a password without a `:`"));
            }
            Ok(Box::new(Registration {
                target: target.clone(),
                http: open(auth)?,
                last: SharedList::default(),
            }))
        }
        Wso2Api::Publisher => {
            let granted = Granted::default();
            let tenant = tenant.as_deref();
            if let (Some(tenant), Some(_)) = (tenant, credential.get("token")) {
                let why = format!(
                    "`tenant: {tenant}` and a `token` do not go together: the token has a tenant of its own, and nothing \
                     would make it this one"
                );
                return Err(refused(&format!("open target \"{}\"", target.id), why).with_help(
                    "give the credential `username` and `password` instead: they sign in to the tenant",
                ));
            }
            let auth = if credential.get("token").is_none() && credential.get("clientId").is_some()
            {
                Auth::Token(Box::new(PasswordGrant::new(
                    target, credential, tenant, &granted,
                )?))
            } else {
                signed_in(target, credential, tenant)?
            };
            Ok(Box::new(Publisher {
                target: target.clone(),
                http: open(auth)?,
                version: version.clone(),
                granted,
                ids: std::sync::Mutex::default(),
                last: SharedList::default(),
            }))
        }
    }
}

/// A token that is given, else name and password with every request.
fn signed_in(
    target: &Target,
    credential: &Credential,
    tenant: Option<&str>,
) -> Result<Auth, ProviderError> {
    if let Some(token) = credential.get("token") {
        return Ok(Auth::Bearer(token.clone()));
    }
    let [username, password] = credential.require(target, ["username", "password"])?;
    Ok(Auth::Basic {
        username: in_tenant(username.expose_secret(), tenant),
        password: password.clone(),
    })
}

/// The name by which a tenant's user signs in, `admin@acme.com`. Publisher works on the tenant of the user that signs in:
/// its paths do not name one.
fn in_tenant(username: &str, tenant: Option<&str>) -> String {
    match tenant {
        Some(tenant) if !username.ends_with(&format!("@{tenant}")) => {
            format!("{username}@{tenant}")
        }
        _ => username.to_owned(),
    }
}

/// Tokens from the server's own `/oauth2/token`, for an OAuth client that somebody registered: none is registered here.
struct PasswordGrant {
    /// The credential's `tokenUrl`, where the token server is another one.
    url: Option<Url>,
    client_id: String,
    client_secret: SecretString,
    username: String,
    password: SecretString,
    granted: Granted,
}

impl PasswordGrant {
    fn new(
        target: &Target,
        credential: &Credential,
        tenant: Option<&str>,
        granted: &Granted,
    ) -> Result<Self, ProviderError> {
        let [client_id, client_secret, username, password] =
            credential.require(target, ["clientId", "clientSecret", "username", "password"])?;
        Ok(Self {
            url: credential.token_url(target)?,
            client_id: client_id.expose_secret().to_owned(),
            client_secret: client_secret.clone(),
            username: in_tenant(username.expose_secret(), tenant),
            password: password.clone(),
            granted: granted.clone(),
        })
    }
}

#[async_trait]
impl TokenSource for PasswordGrant {
    async fn mint(&self, calls: &TokenCalls<'_>) -> Result<Token, ProviderError> {
        let scope = format!("{} {}", publisher::MANAGE, publisher::VIEW);
        let call = match &self.url {
            Some(url) => calls.post(url, "get a token"),
            None => calls.post_at(&["oauth2", "token"], "get a token"),
        };
        let answer = call
            .basic(&self.client_id, &self.client_secret)
            .form(&[
                ("grant_type", "password"),
                ("username", &self.username),
                ("password", self.password.expose_secret()),
                ("scope", &scope),
            ])
            .send()
            .await?;
        let read = TokenAnswer::read(&answer)?;
        self.granted.set(read.scope.clone());
        // It is not used, and no text may hold it all the same.
        if let Some(refresh) = &read.refresh_token {
            calls.learn(&SecretString::from(refresh.clone()));
        }
        Ok(read.into_token())
    }
}

/// A scope API's list.
#[derive(Debug, Clone, Copy)]
struct List<'a> {
    http: &'a Http,
    path: &'a [&'a str],
    system: System,
}

impl List<'_> {
    /// Reads every scope, with one request, or with two where there are more than the first one asks for. `settling` is
    /// for a look at what became of a write, which an interrupt does not stop.
    async fn read(self, settling: bool) -> Result<Dated<Scopes>, ProviderError> {
        let (mut at, mut list) = self.ask(FIRST_LIMIT, settling).await?;
        if list.rows() < list.total() {
            // Room for what is being added meanwhile.
            let limit = list.total().saturating_add(list.total() / 10 + 100);
            (at, list) = self.ask(limit.min(LARGEST_LIMIT), settling).await?;
        }
        if list.rows() < list.total() {
            let why = format!(
                "the server says that there are {} scopes and gave {}",
                list.total(),
                list.rows()
            );
            return Err(failed(Cause::ObserveIncomplete(why)).with_help(
                "run it again; where it stays so, something before the server shortens its lists",
            ));
        }
        let of = list
            .into_scopes(self.system)
            .map_err(|why| failed(Cause::UnexpectedAnswer(why)))?;
        Ok(Dated { at, of })
    }

    async fn ask(self, limit: u64, settling: bool) -> Result<(Instant, ScopeList), ProviderError> {
        let answer = self
            .http
            .get(self.path, READ)
            .query("limit", limit)
            .query("offset", 0)
            .settling(settling)
            .send()
            .await?;
        Ok((answer.sent_at(), answer.json()?))
    }

    /// Sends what rests on a scope being as it was `before`, and looks at the list before it is sent again; `after` is
    /// `None` for what takes the scope away.
    async fn write<'c>(
        self,
        last: &SharedList<Scopes>,
        rests_on: &RestsOn<'_>,
        call: impl Fn() -> Call<'c> + Send,
    ) -> Result<Applied, ProviderError> {
        let looked_at = last.read_at().await.unwrap_or_else(Instant::now);
        settle_replace(self.http, Some(looked_at), call, |since| async move {
            let scopes = last.since(since, || self.read(false)).await?;
            Ok((scopes.at, convert::see(&scopes.of, rests_on)))
        })
        .await
    }

    /// What a list shows of a scope that was to be made.
    async fn look<T>(
        self,
        wanted: &ScopeState,
        made: impl FnOnce(&LiveScope) -> T,
    ) -> Result<Found<T>, ProviderError> {
        let (scopes, duplicates) = self.read(true).await?.of;
        if duplicates.contains(&wanted.name) {
            return Ok(Found::Different("there are two of that name".to_owned()));
        }
        Ok(match scopes.get(&wanted.name) {
            None => Found::Absent,
            Some(live) => match live.state.difference(wanted, DisplayNames::AsShown) {
                None => Found::Equal(made(live)),
                Some(how) => Found::Different(how.to_owned()),
            },
        })
    }
}

/// The error of a list that is no picture.
fn failed(cause: Cause) -> ProviderError {
    ProviderError::new(READ, cause)
}

/// Whether an error says that the object exists already.
fn is_conflict(error: &ProviderError) -> bool {
    error.status() == Some(409)
}

/// An error of a write that is not sent.
fn refused(doing: &str, why: String) -> ProviderError {
    ProviderError::new(doing, Cause::Configuration(why))
}

/// The name that an update is about. Neither API can rename: scope registration would overwrite the scope of the other
/// name, and Publisher would keep the old one without a word.
fn same_name<'a>(
    before: &'a ScopeState,
    after: &ScopeState,
) -> Result<&'a ScopeName, ProviderError> {
    if before.name == after.name {
        return Ok(&before.name);
    }
    let why = format!(
        "an update cannot make `{}` out of `{}` here",
        after.name, before.name
    );
    Err(refused(&format!("update scope `{}`", before.name), why))
}

/// The error of a change that neither API knows.
fn unsupported(change: &Change) -> ProviderError {
    let what = match change {
        Change::RenameScope { .. } => "cannot rename scopes",
        _ => "has no apps",
    };
    refused("apply the change", format!("WSO2 {what}"))
}
