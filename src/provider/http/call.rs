//! One request: signed, sent, sent again where `retry` says so, and what its failures mean.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::answer::{Answer, Body, cause_of, read};
use super::auth::Signature;
use super::client::deepest;
use super::gate::Refusals;
use super::retry::{self, Effect, Ending, Verdict};
use super::{Http, Kind, Purpose, host_of, tls, words};
use crate::provider::connect::Patience;
use crate::provider::error::{Cause, Fate, ProviderError};

/// The largest list that is read, in bytes.
const LARGEST_LIST: usize = 64 << 20;

/// The largest answer to a write or a token request, in bytes; of a longer error its beginning is read.
const LARGEST_ANSWER: usize = 1 << 20;

/// After how many tries in vain a repetition is worth a line in the log, and after how long a pause.
const PATIENT_TRIES: u32 = 3;
const NOTICEABLE: Duration = Duration::from_secs(4);

/// What a request carries.
enum Payload {
    Json(Bytes),
    Form(String),
}

/// One request, before it is sent.
#[must_use = "nothing is sent before `send`"]
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
    logged: bool,
}

impl<'a> Call<'a> {
    /// A request to the API.
    pub(super) fn new(
        http: &'a Http,
        method: Method,
        url: Result<Url, ProviderError>,
        doing: String,
    ) -> Self {
        let (effect, limit) = match method {
            Method::GET | Method::HEAD => (Effect::Read, LARGEST_LIST),
            Method::PUT | Method::DELETE => (Effect::Repeatable, LARGEST_ANSWER),
            _ => (Effect::Once, LARGEST_ANSWER),
        };
        Self {
            http,
            doing,
            method,
            url,
            body: None,
            kind: Kind::Api,
            effect,
            authorization: None,
            limit,
            expected: &[],
            settling: false,
            logged: true,
        }
    }

    /// A token request: it changes nothing, and sending it again gives a token again.
    pub(super) fn token(http: &'a Http, url: Result<Url, ProviderError>, doing: String) -> Self {
        Self {
            kind: Kind::Token,
            effect: Effect::Read,
            ..Self::new(http, Method::POST, url, doing)
        }
    }

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

    /// Sends a form.
    pub(crate) fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.body = Some(Payload::Form(text));
        self
    }

    /// Signs this one request with name and password, as token servers want it.
    pub(crate) fn basic(mut self, username: &str, password: &SecretString) -> Self {
        match self.http.basic_header(username, password) {
            Ok(header) => self.authorization = Some(header),
            Err(error) => self.url = Err(error),
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

    /// Keeps its body out of the log at any level: it carries what somebody else wrote, and nobody knows how secret that is.
    pub(crate) fn unlogged(mut self) -> Self {
        self.logged = false;
        self
    }

    /// Sends it, again where that is safe, and gives a success or an expected status.
    ///
    /// # Errors
    /// Everything else; [`ProviderError::fate`] counts every attempt.
    pub(crate) async fn send(self) -> Result<Answer, ProviderError> {
        let mut tries = Tries::new(self.http);
        loop {
            if let Some(answer) = self.once(&mut tries, None).await? {
                return Ok(answer);
            }
        }
    }

    /// What completes "could not".
    pub(super) fn doing(&self) -> &str {
        &self.doing
    }

    /// Sends it once. `None` says that it is to be sent again, after the wait that it takes; or that nothing was sent, since
    /// the target paused after `looked_at`, so that what was seen then may have changed.
    pub(super) async fn once(
        &self,
        tries: &mut Tries,
        looked_at: Option<Instant>,
    ) -> Result<Option<Answer>, ProviderError> {
        let http = self.http;
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        if http.purpose == Purpose::Read && self.kind == Kind::Api && !reads {
            let what = format!("{} {}", self.method, http.host);
            return Err(ProviderError::new(&self.doing, Cause::WriteRefused(what)));
        }
        let url = self.url.clone()?;
        let Ok(permit) = http.gate.enter(self.kind, self.settling).await else {
            return Err(tries.given_up(&self.doing));
        };
        if looked_at.is_some_and(|looked_at| looked_at < http.gate.resume_at()) {
            return Ok(None);
        }
        let signature = self
            .sign(tries.refused)
            .await
            .map_err(|error| error.with_fate(tries.fate))?;
        http.count(self.kind, self.effect != Effect::Read);
        tries.made += 1;
        let sent_at = Instant::now();
        let failure = match self.attempt(&url, signature.header, tries.made).await {
            Ok(answer) => {
                http.gate.worked(self.effect);
                return Ok(Some(answer));
            }
            Err(failure) => failure,
        };
        let is_refused = failure.ending == Ending::Answered(429);
        let refusals = is_refused.then(|| http.gate.refused(self.effect, sent_at));
        drop(permit);
        let renewable = signature.flight.is_some() && tries.refused.is_none();
        if failure.ending == Ending::Answered(401) && renewable {
            tries.refused = signature.flight;
            tries.again_at = Some(Instant::now());
            return Ok(None);
        }
        match tries.after(self, failure, refusals)? {
            Next::PauseAll(until) => http.gate.pause(until),
            Next::Sleep(until) => {
                // An interrupt is noticed at the gate.
                let _ = http.gate.sleep(until, self.settling).await;
            }
        }
        Ok(None)
    }

    /// Signs it: with its own signature, else the target's. Token requests have their own or none.
    async fn sign(&self, refused: Option<u64>) -> Result<Signature, ProviderError> {
        match (&self.authorization, self.kind) {
            (None, Kind::Api) => self.http.sign(refused, self.settling).await,
            (header, _) => Ok(Signature {
                header: header.clone(),
                flight: None,
            }),
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
        let is_token = self.kind == Kind::Token;
        self.http
            .tally
            .add(self.method.as_str(), url, is_token, status);
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
            token = is_token,
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
                let logged = self.logged && self.kind == Kind::Api;
                if logged && tracing::enabled!(tracing::Level::TRACE) {
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
        let sent_at = Instant::now();
        let mut response = request
            .send()
            .await
            .map_err(|error| self.broken(url, &error))?;
        http.unreachable.store(false, Ordering::Relaxed);
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
                sent_at,
                writes: self.effect != Effect::Read,
                redactor: Arc::clone(&http.redactor),
            });
        }
        let asked_wait = retry::asked_wait(status.as_u16(), response.headers(), Timestamp::now());
        let mut failure = if status.is_redirection() {
            redirected(url, &response)
        } else {
            // What an error says is worth having, and not worth failing for.
            let body = match read(&mut response, LARGEST_ANSWER).await {
                Ok(Body::Whole(bytes) | Body::Cut(bytes)) => bytes,
                Err(_) => Bytes::new(),
            };
            let message = words::words(&body, &http.redactor).text;
            let status = status.as_u16();
            Failure::new(Ending::Answered(status), cause_of(status, message))
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
        if let Some(rejected) = tls::Rejected::beneath(error) {
            let cause = Cause::Certificate(format!(
                "the certificate of {host} is not trusted: {rejected}"
            ));
            return Failure {
                help: Some(format!(
                    "if this is the right server, name its authority in tls.caFile or tls.caSecretRef, or compare the \
                     fingerprint with the server's own and set tls.pinnedSha256: {}",
                    rejected.sha256
                )),
                ..Failure::new(Ending::NotTrusted, cause)
            };
        }
        let why = http.redactor.redact(&deepest(error));
        if error.is_connect() {
            let why = if error.is_timeout() {
                format!("no answer within {} s", http.patience.connect.as_secs())
            } else {
                why
            };
            let cause = Cause::Transport(format!("no connection to {host}: {why}"));
            return Failure {
                help: Some(
                    "check the url, and that this machine reaches it: name server, firewall, proxy"
                        .to_owned(),
                ),
                ..Failure::new(Ending::NotSent, cause)
            };
        }
        if error.is_timeout() {
            let seconds = http.patience.request.as_secs();
            return Failure::new(Ending::Lost, Cause::Timeout(seconds));
        }
        let cause = Cause::Transport(format!("the connection to {host} broke: {why}"));
        Failure::new(Ending::Lost, cause)
    }
}

/// What has come of a request so far.
pub(super) struct Tries {
    made: u32,
    /// When the wait for the next attempt is over.
    again_at: Option<Instant>,
    deadline: Instant,
    /// When no further connection is tried.
    reach_by: Instant,
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    /// Unknown as soon as one attempt may have taken effect.
    pub(super) fate: Fate,
    /// The token that was refused: it is renewed once.
    refused: Option<u64>,
    pub(super) last: Option<ProviderError>,
}

/// What to wait for before the next attempt.
enum Next {
    /// This request alone waits.
    Sleep(Instant),
    /// The server is overrun: every request of the target waits.
    PauseAll(Instant),
}

impl Tries {
    pub(super) fn new(http: &Http) -> Self {
        let now = Instant::now();
        Self {
            made: 0,
            again_at: None,
            deadline: now + http.patience.total,
            reach_by: if http.unreachable.load(Ordering::Relaxed) {
                now
            } else {
                now + http.patience.reach
            },
            delays: Box::new(retry::delays(&http.patience)),
            fate: Fate::NotDone,
            refused: None,
            last: None,
        }
    }

    /// When the wait for the next attempt is over; `None` before the first one.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// The error of a request that is not sent again, although it could be: the last one, else that of an interrupt.
    pub(super) fn given_up(&mut self, doing: &str) -> ProviderError {
        let interrupted = || ProviderError::new(doing, Cause::Interrupted);
        self.last.take().unwrap_or_else(interrupted)
    }

    /// Decides what follows a failed attempt: another one, or the error.
    fn after(
        &mut self,
        call: &Call<'_>,
        failure: Failure,
        refusals: Option<Refusals>,
    ) -> Result<Next, ProviderError> {
        let verdict = retry::verdict(call.effect, failure.ending);
        let (Verdict::Again(fate) | Verdict::Final(fate)) = verdict;
        if fate == Fate::Unknown {
            self.fate = Fate::Unknown;
        }
        let error = ProviderError {
            doing: call.doing.clone(),
            cause: failure.cause,
            fate: self.fate,
            help: failure.help,
        };
        let patience = &call.http.patience;
        let random = match refusals {
            Some(refusals) => Some(retry::quota_delay(patience, refusals.count)),
            None => self.delays.next(),
        };
        let (Verdict::Again(_), Some(random)) = (verdict, random) else {
            return Err(error);
        };
        let wait = failure.asked_wait.unwrap_or(random);
        // A server may ask for a longer wait than a clock can count.
        let until = Instant::now().checked_add(wait);
        let is_before = |end: Instant| until.filter(|until| *until <= end);
        if failure.ending == Ending::NotSent && is_before(self.reach_by).is_none() {
            call.http.unreachable.store(true, Ordering::Relaxed);
            return Err(error);
        }
        let deadline = match refusals {
            Some(refusals) => quota_deadline(patience, refusals, failure.asked_wait),
            None => self.deadline,
        };
        let Some(until) = is_before(deadline) else {
            if refusals.is_some() {
                let until = Instant::now() + patience.quota;
                call.http.gate.give_up(call.effect, until);
            }
            return Err(match failure.asked_wait {
                None => error,
                Some(wait) => error.with_help(format!(
                    "the server asks to wait {} s, longer than a run waits: try again then",
                    wait.as_secs()
                )),
            });
        };
        // The first repetitions pass unnoticed; whoever waits longer wants to know what for.
        if self.made == PATIENT_TRIES || wait > NOTICEABLE {
            tracing::warn!(
                target_id = call.http.target,
                doing = call.doing,
                why = %error.cause,
                attempt = self.made,
                wait_seconds = wait.as_secs(),
                "trying again"
            );
        }
        self.last = Some(error);
        self.again_at = Some(until);
        let overrun = failure.asked_wait.is_some() || refusals.is_some();
        Ok(if overrun {
            Next::PauseAll(until)
        } else {
            Next::Sleep(until)
        })
    }
}

/// Until when refusals are waited out, counted from the first one since a request worked: as long as a run waits where the
/// server says how long that takes, else as long as a quota takes; not at all where that was in vain a short while ago.
fn quota_deadline(
    patience: &Patience,
    refusals: Refusals,
    asked_wait: Option<Duration>,
) -> Instant {
    let now = Instant::now();
    if refusals.is_hopeless() {
        return now;
    }
    let longest = match asked_wait {
        Some(_) => patience.total,
        None => patience.quota,
    };
    refusals.since.unwrap_or(now) + longest
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
    let status = response.status().as_u16();
    let cause = Cause::Status { status, message };
    Failure {
        help: Some(
            "if the system has moved, change the url of the target and that of its credential"
                .to_owned(),
        ),
        ..Failure::new(Ending::Answered(status), cause)
    }
}
