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
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::{Host, Url};

use super::Requests;
use super::connect::{Connect, Interrupt, Patience};
use super::credential::Credential;
use super::error::{Cause, Fate, ProviderError};
use crate::model::target::{Limits, Target};

mod auth;
mod retry;
mod settle;
mod tls;
mod words;

pub(crate) use auth::{Auth, Token, TokenCalls, TokenSource};
pub(crate) use retry::Effect;
pub(crate) use settle::{Found, settle_create};
pub(crate) use words::Words;

use auth::{Signature, Tokens};
use retry::{Ending, Verdict};
use words::Redactor;

/// The largest list that is read, in bytes.
pub(crate) const LARGEST_LIST: usize = 64 << 20;

/// The largest answer to a write or a token request, in bytes; of a longer error its beginning is read.
const LARGEST_ANSWER: usize = 1 << 20;

/// What RFC 3986 lets stand in a path segment without question; everything else is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a provider was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
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

/// What a request carries.
enum Payload {
    Json(Bytes),
    Form(String),
}

/// The requests of one target.
pub(crate) struct Http {
    /// `iam/onelogin-prod`, for the log.
    target: String,
    base: Url,
    /// Host and port of the base, for people.
    host: String,
    sandbox: bool,
    access: Access,
    /// The credential's name and source, for people.
    credential: String,
    auth: Auth,
    tokens: Tokens,
    clients: Clients,
    gate: Gate,
    patience: Patience,
    redactor: Arc<Redactor>,
    total: AtomicU64,
    writes: AtomicU64,
    token_requests: AtomicU64,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("target", &self.target)
            .field("base", &self.base.as_str())
            .field("access", &self.access)
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
        access: Access,
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
        let limits = match connect.sandbox {
            Some(_) => Limits {
                requests_per_second: 0,
                ..target.limits
            },
            None => target.limits,
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
            access,
            credential: credential.to_string(),
            auth,
            tokens: Tokens::default(),
            clients,
            gate: Gate::new(limits, connect.interrupt.clone()),
            patience: connect.patience,
            redactor: Arc::new(redactor),
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
        let reads = method.is_safe();
        Call {
            http: self,
            url: self.url(segments, &doing),
            effect: match method {
                Method::PUT | Method::DELETE => Effect::Repeatable,
                _ if reads => Effect::Read,
                _ => Effect::Once,
            },
            limit: if reads { LARGEST_LIST } else { LARGEST_ANSWER },
            doing,
            method,
            body: None,
            kind: Kind::Api,
            authorization: None,
            expected: &[],
            settling: false,
        }
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

    /// A token request: it writes nothing, and sending it again gives a token again.
    fn token_call(&self, url: &Url, doing: String, settling: bool) -> Call<'_> {
        let url = if self.sandbox {
            let mut moved = self.base.clone();
            let base = self.base.path().trim_end_matches('/');
            moved.set_path(&format!("{base}{}", url.path()));
            moved
        } else {
            url.clone()
        };
        Call {
            http: self,
            doing,
            method: Method::POST,
            url: Ok(url),
            body: None,
            kind: Kind::Token,
            effect: Effect::Read,
            authorization: None,
            limit: LARGEST_ANSWER,
            expected: &[],
            settling,
        }
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
            Auth::None => None,
            Auth::Basic { username, password } => Some(self.basic_header(username, password)?),
            Auth::Bearer(token) => Some(self.bearer_header(token)?),
            Auth::Token(source) => {
                let calls = TokenCalls {
                    http: self,
                    settling,
                };
                return self
                    .tokens
                    .signature(source.as_ref(), &calls, refused)
                    .await;
            }
        };
        Ok(Signature {
            header,
            flight: None,
        })
    }
}

/// One request, before it is sent.
pub(crate) struct Call<'a> {
    http: &'a Http,
    doing: String,
    method: Method,
    /// The error is reported when it would be sent.
    url: Result<Url, ProviderError>,
    body: Option<Payload>,
    kind: Kind,
    effect: Effect,
    /// Instead of the target's own.
    authorization: Option<HeaderValue>,
    limit: usize,
    expected: &'a [u16],
    settling: bool,
}

impl<'a> Call<'a> {
    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    /// Sends JSON.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = Some(Payload::Json(bytes.into())),
            Err(error) => {
                let cause = Cause::Configuration(format!("the request is no JSON: {error}"));
                self.url = Err(ProviderError::new(&self.doing, cause));
            }
        }
        self
    }

    /// Says that sending this POST once more does the same as sending it once: a full replacement.
    pub(crate) fn repeatable(mut self) -> Self {
        self.effect = Effect::Repeatable;
        self
    }

    /// Takes these statuses as answers rather than errors; the caller looks at [`Answer::status`].
    pub(crate) fn expecting(mut self, statuses: &'a [u16]) -> Self {
        self.expected = statuses;
        self
    }

    /// Sends it even after an interrupt: it finds out what became of a request that was in flight.
    pub(crate) fn settling(mut self, settling: bool) -> Self {
        self.settling = settling;
        self
    }

    /// Sends it, again where that is safe, and gives a success or an expected status.
    ///
    /// # Errors
    /// Everything else; [`ProviderError::fate`] counts every attempt.
    pub(crate) async fn send(self) -> Result<Answer, ProviderError> {
        let http = self.http;
        let writes = self.effect != Effect::Read;
        if http.access == Access::Read && self.kind == Kind::Api && !self.method.is_safe() {
            let what = format!("{} {}", self.method, http.host);
            return Err(ProviderError::new(self.doing, Cause::WriteRefused(what)));
        }
        let url = self.url.clone()?;
        let deadline = Instant::now() + http.patience.total;
        let mut delays = retry::delays(&http.patience);
        let mut fate = Fate::NotDone;
        let mut last: Option<ProviderError> = None;
        let mut refused = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Ok(permit) = http.gate.enter(self.kind, self.settling).await else {
                return Err(
                    last.unwrap_or_else(|| ProviderError::new(&self.doing, Cause::Interrupted))
                );
            };
            let signature = match (&self.authorization, self.kind) {
                (None, Kind::Api) => http
                    .sign(refused, self.settling)
                    .await
                    .map_err(|error| error.with_fate(fate))?,
                (header, _) => Signature {
                    header: header.clone(),
                    flight: None,
                },
            };
            http.count(self.kind, writes);
            let failure = match self.attempt(&url, signature.header, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            drop(permit);
            if failure.ending == Ending::Answered(401)
                && signature.flight.is_some()
                && refused.is_none()
            {
                refused = signature.flight;
                continue;
            }
            let verdict = retry::verdict(self.effect, failure.ending);
            let (Verdict::Again(this) | Verdict::Final(this)) = verdict;
            if this == Fate::Unknown {
                fate = Fate::Unknown;
            }
            let error = ProviderError {
                doing: self.doing.clone(),
                cause: failure.cause,
                fate,
                help: failure.help,
            };
            let Verdict::Again(_) = verdict else {
                return Err(error);
            };
            let Some(random) = delays.next() else {
                return Err(error);
            };
            let delay = failure.asked_wait.unwrap_or(random);
            let until = Instant::now() + delay;
            if until > deadline {
                let help = format!(
                    "the server asks to wait {} s, which is longer than a run waits; try again later",
                    delay.as_secs()
                );
                return Err(if failure.asked_wait.is_some() {
                    error.with_help(help)
                } else {
                    error
                });
            }
            if failure.asked_wait.is_some() || failure.ending == Ending::Answered(429) {
                http.gate.pause(until);
            } else if http.gate.sleep(until, self.settling).await.is_err() {
                return Err(error);
            }
            last = Some(error);
        }
    }

    /// Sends it once.
    async fn attempt(
        &self,
        url: &Url,
        authorization: Option<HeaderValue>,
        number: u32,
    ) -> Result<Answer, Failure> {
        let started = Instant::now();
        let result = self.exchange(url, authorization).await;
        let status = match &result {
            Ok(answer) => answer.status.as_u16(),
            Err(Failure {
                ending: Ending::Answered(status),
                ..
            }) => *status,
            Err(_) => 0,
        };
        let reason: &str = match &result {
            Ok(_) => "ok",
            Err(failure) => (&failure.cause).into(),
        };
        tracing::debug!(
            target_id = self.http.target,
            method = %self.method,
            path = url.path(),
            status,
            reason,
            attempt = number,
            milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            token = self.kind == Kind::Token,
            "request"
        );
        result
    }

    /// One request and its answer.
    async fn exchange(
        &self,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        let http = self.http;
        let mut request = http
            .clients
            .for_url(url)
            .request(self.method.clone(), url.clone())
            .header(ACCEPT, "application/json");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        match &self.body {
            Some(Payload::Json(bytes)) => {
                if self.kind == Kind::Api && tracing::enabled!(tracing::Level::TRACE) {
                    let body = http.redactor.redact(&String::from_utf8_lossy(bytes));
                    tracing::trace!(target_id = http.target, method = %self.method, body, "request body");
                }
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(bytes.clone());
            }
            Some(Payload::Form(text)) => {
                request = request
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(text.clone());
            }
            None => {}
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.broken(url, &error))?;
        let status = response.status();
        if status.is_success() || self.expected.contains(&status.as_u16()) {
            let body = match read(&mut response, self.limit).await {
                Ok(Body::Whole(bytes)) => bytes,
                Ok(Body::Cut(_)) => {
                    return Err(Failure::new(Ending::Unusable, Cause::TooLarge(self.limit)));
                }
                Err(error) => return Err(self.broken(url, &error)),
            };
            return Ok(Answer {
                status,
                headers: response.headers().clone(),
                body,
                doing: self.doing.clone(),
                writes: self.effect != Effect::Read,
                redactor: Arc::clone(&http.redactor),
            });
        }
        let asked_wait = matches!(status.as_u16(), 429 | 503)
            .then(|| retry::asked_wait(response.headers(), Timestamp::now()))
            .flatten();
        let mut failure = if status.is_redirection() {
            redirected(url, &response)
        } else {
            // What an error says is worth having, and not worth failing for.
            let body = match read(&mut response, LARGEST_ANSWER).await {
                Ok(Body::Whole(bytes) | Body::Cut(bytes)) => bytes,
                Err(_) => Bytes::new(),
            };
            let message = http.redactor.redact(&words::words(&body).text);
            Failure::new(Ending::Answered(status.as_u16()), cause_of(status, message))
        };
        failure.asked_wait = asked_wait;
        if matches!(failure.cause, Cause::Unauthorized { .. }) {
            failure.help = Some(format!(
                "check that {} is valid and may do this",
                http.credential
            ));
        }
        Err(failure)
    }

    /// What an error of the HTTP client means.
    fn broken(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let http = self.http;
        let host = host_of(url);
        let why = http.redactor.redact(&deepest(error));
        if let Some(rejected) = tls::Rejected::beneath(error) {
            let cause =
                Cause::Certificate(format!("the certificate of {host} is not trusted: {why}"));
            return Failure {
                help: Some(format!(
                    "if this is the right server, name its authority in tls.caFile or tls.caSecretRef, or compare the \
                     fingerprint with the server's own and set tls.pinnedSha256: {}",
                    rejected.sha256
                )),
                ..Failure::new(Ending::NotTrusted, cause)
            };
        }
        if error.is_connect() {
            let why = if error.is_timeout() {
                format!("no answer within {} s", http.patience.connect.as_secs())
            } else {
                why
            };
            let cause = Cause::Transport(format!("no connection to {host}: {why}"));
            return Failure::new(Ending::NotSent, cause);
        }
        if error.is_timeout() {
            let seconds = http.patience.request.as_secs();
            return Failure::new(Ending::Lost, Cause::Timeout(seconds));
        }
        let cause = Cause::Transport(format!("the connection to {host} broke: {why}"));
        Failure::new(Ending::Lost, cause)
    }
}

/// How one attempt failed.
struct Failure {
    ending: Ending,
    cause: Cause,
    asked_wait: Option<Duration>,
    help: Option<String>,
}

impl Failure {
    fn new(ending: Ending, cause: Cause) -> Self {
        Self {
            ending,
            cause,
            asked_wait: None,
            help: None,
        }
    }
}

/// A redirect, which is not followed: it would carry the request, and what signs it, to a place that nobody named.
fn redirected(url: &Url, response: &Response) -> Failure {
    let to = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| url.join(text).ok());
    let message = match to {
        Some(to) => format!("a redirect to {}, which is not followed", host_of(&to)),
        None => "a redirect to nowhere".to_owned(),
    };
    let cause = Cause::Status {
        status: status_text(response.status()),
        message,
    };
    Failure {
        help: Some(
            "if the system has moved, change the url of the target and that of its credential"
                .to_owned(),
        ),
        ..Failure::new(Ending::Answered(response.status().as_u16()), cause)
    }
}

/// The cause that a status stands for.
fn cause_of(status: StatusCode, message: String) -> Cause {
    let text = status_text(status);
    match status.as_u16() {
        // Apigee answers a wrong password with 403 and a missing permission with 401.
        401 | 403 => Cause::Unauthorized {
            status: text,
            message,
        },
        404 => Cause::NotFound {
            status: text,
            message,
        },
        429 => Cause::RateLimited {
            status: text,
            message,
        },
        _ => Cause::Status {
            status: text,
            message,
        },
    }
}

/// `404 Not Found`.
fn status_text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The innermost reason of an error; the outer ones repeat the URL.
fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Host and port, for people.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What was read of a body.
enum Body {
    Whole(Bytes),
    Cut(Bytes),
}

/// Reads a body up to `limit`, and no further.
async fn read(response: &mut Response, limit: usize) -> Result<Body, reqwest::Error> {
    let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut body = BytesMut::with_capacity(announced.min(limit).min(1 << 20));
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(Body::Cut(body.freeze()));
        }
    }
    Ok(Body::Whole(body.freeze()))
}

/// What came back.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    doing: String,
    writes: bool,
    redactor: Arc<Redactor>,
}

impl Answer {
    /// The status: a success, or one that the call expects.
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// A header's text. Headers are never logged: WSO2 echoes the request's own, `Authorization` included.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it came.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Anything else: a page of HTML, half an answer, another shape. After a write its fate is unknown then.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            if words::is_markup(&self.body) {
                self.unexpected(&words::words(&self.body).text)
            } else if self.body.trim_ascii().is_empty() {
                self.unexpected("it is empty")
            } else {
                self.unexpected(&error.to_string())
            }
        })
    }

    /// The error of an answer that is not what the API gives.
    pub(crate) fn unexpected(&self, why: &str) -> ProviderError {
        let why = format!(
            "status {}, {}",
            self.status.as_u16(),
            words::line(&self.redactor.redact(why))
        );
        let fate = if self.writes {
            Fate::Unknown
        } else {
            Fate::NotDone
        };
        ProviderError::new(&self.doing, Cause::UnexpectedAnswer(why)).with_fate(fate)
    }

    /// What an expected status other than a success says.
    pub(crate) fn words(&self) -> Words {
        let words = words::words(&self.body);
        Words {
            text: self.redactor.redact(&words.text),
            code: words.code.map(|code| self.redactor.redact(&code)),
        }
    }

    /// The error that this answer is, where an expected status turns out to be one.
    pub(crate) fn into_error(self) -> ProviderError {
        let cause = cause_of(self.status, self.words().text);
        let effect = if self.writes {
            Effect::Once
        } else {
            Effect::Read
        };
        let (Verdict::Again(fate) | Verdict::Final(fate)) =
            retry::verdict(effect, Ending::Answered(self.status.as_u16()));
        ProviderError::new(self.doing, cause).with_fate(fate)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The HTTP clients of a target: what is on this machine is never asked for through a proxy.
struct Clients {
    direct: Client,
    outside: Client,
}

impl Clients {
    fn new(target: &Target, credential: &Credential, connect: &Connect) -> Result<Self, String> {
        let tls = tls::config(&target.tls, credential.authorities.as_deref())?;
        let builder = || {
            Client::builder()
                .user_agent(&connect.user_agent)
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(connect.patience.connect)
                .timeout(connect.patience.request)
                .tls_backend_preconfigured(tls.clone())
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| format!("the HTTP client cannot be built: {}", deepest(&error)))
        };
        Ok(Self {
            direct: build(builder().no_proxy())?,
            outside: build(builder())?,
        })
    }

    fn for_url(&self, url: &Url) -> &Client {
        if is_loopback(url) {
            &self.direct
        } else {
            &self.outside
        }
    }
}

/// Whether a URL is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The interrupt came.
struct Interrupted;

/// Where requests wait for their turn.
struct Gate {
    in_flight: Semaphore,
    pace: Option<DefaultDirectRateLimiter>,
    /// No request is started before this moment.
    resume_at: Mutex<Instant>,
    interrupt: Interrupt,
}

impl Gate {
    fn new(limits: Limits, interrupt: Interrupt) -> Self {
        Self {
            in_flight: Semaphore::new(limits.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            pace: NonZeroU32::new(limits.requests_per_second)
                .map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            resume_at: Mutex::new(Instant::now()),
            interrupt,
        }
    }

    /// Waits for the turn of one request. A token request is part of the request that needs it, and takes no place of
    /// its own.
    async fn enter(
        &self,
        kind: Kind,
        settling: bool,
    ) -> Result<Option<SemaphorePermit<'_>>, Interrupted> {
        let permit = match kind {
            Kind::Token => None,
            Kind::Api => self
                .unless_interrupted(settling, self.in_flight.acquire())
                .await?
                .ok(),
        };
        loop {
            let resume_at = *self
                .resume_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if resume_at > Instant::now() {
                self.sleep(resume_at, settling).await?;
                continue;
            }
            match self.pace.as_ref().map(RateLimiter::check) {
                Some(Err(not_yet)) => {
                    let wait = not_yet.wait_time_from(DefaultClock::default().now());
                    self.sleep(Instant::now() + wait, settling).await?;
                }
                None | Some(Ok(())) => break,
            }
        }
        if self.interrupt.is_set() && !settling {
            return Err(Interrupted);
        }
        Ok(permit)
    }

    /// Starts no request before `until`.
    fn pause(&self, until: Instant) {
        let mut resume_at = self
            .resume_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *resume_at = until.max(*resume_at);
    }

    async fn sleep(&self, until: Instant, settling: bool) -> Result<(), Interrupted> {
        self.unless_interrupted(settling, tokio::time::sleep_until(until))
            .await
    }

    async fn unless_interrupted<F: Future>(
        &self,
        settling: bool,
        future: F,
    ) -> Result<F::Output, Interrupted> {
        if settling {
            return Ok(future.await);
        }
        tokio::select! {
            biased;
            () = self.interrupt.wait() => Err(Interrupted),
            output = future => Ok(output),
        }
    }
}
