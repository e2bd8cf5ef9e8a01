//! The one way to a live system: every provider's requests, and its token requests, go through an [`Http`].
//!
//! ```text
//! Call --gate--> attempt --> Answer
//!   ^  in flight,   |
//!   |  pace, pause  | 401: the token is renewed once
//!   +--- delay -----+ 429, 502..504, a broken connection: `retry` decides by what the request does
//! ```
//!
//! What holds for every request, so that no provider can forget it:
//! - In read mode only GET, HEAD and token requests are sent; anything else is an error before it is.
//! - A credential goes to the URL that it names and nowhere else; redirects are not followed.
//! - Answers have a size limit, errors give the server's own words, and no text holds a secret: header values and the
//!   bodies of token requests are never logged, and neither are answers.
//! - After an interrupt no request is started, except those that find out what became of one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Serialize;
use url::Url;

use super::Requests;
use super::connect::{Connect, Patience};
use super::credential::Credential;
use super::error::{Cause, ProviderError};
use super::tally::Tally;
use crate::model::target::{Pace, Target};

mod answer;
mod auth;
mod call;
mod client;
mod gate;
mod look;
mod retry;
mod settle;
mod tls;
mod words;

pub(crate) use answer::Answer;
pub(crate) use auth::{Auth, Token, TokenCalls, TokenSource};
pub(crate) use call::Call;
pub(crate) use look::{Dated, SharedList};
pub(crate) use settle::{Found, Settled, Unseen, settle_create, settle_replace};

use auth::{Signature, Tokens};
use client::Clients;
use gate::Gate;
use words::Redactor;

/// What RFC 3986 lets stand in a path segment without question; everything else is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a provider was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look: a write is refused before anything is sent.
    Read,
    /// To look and to write.
    Write,
}

/// What a request is for, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The system's API.
    Api,
    /// A token.
    Token,
}

/// The requests of one target.
pub(crate) struct Http {
    /// `iam/onelogin-prod`, for the log.
    target: String,
    base: Url,
    /// Host and port of the base, for people.
    host: String,
    sandbox: bool,
    purpose: Purpose,
    /// The credential's name and source, for people.
    credential: String,
    auth: Auth,
    tokens: Tokens,
    clients: Clients,
    gate: Gate,
    patience: Patience,
    tally: Tally,
    redactor: Arc<Redactor>,
    /// Whether the server could not be reached for as long as that was tried.
    unreachable: AtomicBool,
    total: AtomicU64,
    writes: AtomicU64,
    token_requests: AtomicU64,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("target", &self.target)
            .field("base", &self.base.as_str())
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Prepares the requests of a target; sends nothing.
    ///
    /// # Errors
    /// A credential that is not for the target's URL, and TLS settings that cannot be used.
    pub(crate) fn open(
        target: &Target,
        credential: &Credential,
        connect: &Connect,
        purpose: Purpose,
        auth: Auth,
    ) -> Result<Self, ProviderError> {
        if connect.sandbox.is_none() {
            credential.check_url(target)?;
        }
        let base = connect.sandbox.as_ref().unwrap_or(target.url()).clone();
        let redactor = Redactor::default();
        for secret in credential.secrets() {
            redactor.learn(secret.expose_secret());
        }
        let pace = match connect.sandbox {
            Some(_) => Pace {
                requests_per_second: 0,
                ..target.pace
            },
            None => target.pace,
        };
        let clients = Clients::new(target, credential, connect).map_err(|why| {
            ProviderError::new(
                format!("connect to {} for target \"{}\"", host_of(&base), target.id),
                Cause::Configuration(why),
            )
        })?;
        Ok(Self {
            target: target.id.to_string(),
            host: host_of(&base),
            base,
            sandbox: connect.sandbox.is_some(),
            purpose,
            credential: credential.to_string(),
            auth,
            tokens: Tokens::default(),
            clients,
            gate: Gate::new(pace, connect.interrupt.clone()),
            patience: connect.patience,
            tally: connect.tally.clone(),
            redactor: Arc::new(redactor),
            unreachable: AtomicBool::new(false),
            total: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            token_requests: AtomicU64::new(0),
        })
    }

    /// How many requests were sent so far.
    pub(crate) fn requests(&self) -> Requests {
        Requests {
            total: self.total.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            tokens: self.token_requests.load(Ordering::Relaxed),
        }
    }

    /// A request to the API. `segments` are percent-encoded one by one; `doing` completes "could not".
    pub(crate) fn call(
        &self,
        method: Method,
        segments: &[&str],
        doing: impl Into<String>,
    ) -> Call<'_> {
        let doing = doing.into();
        let url = self.url(segments, &doing);
        Call::new(self, method, url, doing)
    }

    /// A GET.
    pub(crate) fn get(&self, segments: &[&str], doing: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, segments, doing)
    }

    /// A POST of JSON.
    pub(crate) fn post(
        &self,
        segments: &[&str],
        body: &impl Serialize,
        doing: impl Into<String>,
    ) -> Call<'_> {
        self.call(Method::POST, segments, doing).json(body)
    }

    /// A PUT of JSON.
    pub(crate) fn put(
        &self,
        segments: &[&str],
        body: &impl Serialize,
        doing: impl Into<String>,
    ) -> Call<'_> {
        self.call(Method::PUT, segments, doing).json(body)
    }

    /// A DELETE.
    pub(crate) fn delete(&self, segments: &[&str], doing: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, segments, doing)
    }

    /// The base with segments added.
    fn url(&self, segments: &[&str], doing: &str) -> Result<Url, ProviderError> {
        let mut path = self.base.path().trim_end_matches('/').to_owned();
        for segment in segments {
            // URLs give these a meaning that no escape takes away: a DELETE of the scope `..` would go one level up.
            if matches!(*segment, "" | "." | "..") {
                let why = format!("{segment:?} cannot stand in a URL");
                return Err(ProviderError::new(doing, Cause::Configuration(why)));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let mut url = self.base.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// Where a request to a token server goes: against the sandbox to the same path there.
    fn token_url(&self, url: &Url) -> Url {
        if !self.sandbox {
            return url.clone();
        }
        let mut moved = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        moved.set_path(&format!("{base}{}", url.path()));
        moved
    }

    fn sandboxed(&self) -> bool {
        self.sandbox
    }

    fn count(&self, kind: Kind, write: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        match kind {
            Kind::Token => {
                self.token_requests.fetch_add(1, Ordering::Relaxed);
            }
            Kind::Api if write => {
                self.writes.fetch_add(1, Ordering::Relaxed);
            }
            Kind::Api => {}
        }
    }

    /// Signs a request to the API.
    async fn sign(&self, refused: Option<u64>, settling: bool) -> Result<Signature, ProviderError> {
        let header = match &self.auth {
            Auth::Basic { username, password } => self.basic_header(username, password)?,
            Auth::Bearer(token) => self.bearer_header(token)?,
            Auth::Token(source) => {
                let calls = TokenCalls {
                    http: self,
                    settling,
                    after_refusal: refused.is_some(),
                };
                return self
                    .tokens
                    .signature(source.as_ref(), &calls, refused)
                    .await;
            }
        };
        Ok(Signature {
            header: Some(header),
            flight: None,
        })
    }
}

/// Host and port, for people.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
