//! How requests are signed, and the one token that all of a target's requests share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::{Answer, Call, Http, Kind, words};
use crate::provider::error::{Cause, ProviderError};

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_mins(1);

/// How long a token is used at least, however close its end: OneLogin gives the same token again until it ends, and a
/// clock that runs ahead would have one fetched for every request. Should it end meanwhile, the 401 renews it.
const LEAST_USE: Duration = Duration::from_secs(10);

/// How long a refusal holds without another try: a run of many requests must not lock an account by trying one wrong
/// password for each.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);

/// How requests are signed.
pub(crate) enum Auth {
    /// Name and password with every request.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A token that is given, and that nothing can renew.
    Bearer(SecretString),
    /// A token that is fetched, and renewed before it ends and once when it is refused.
    Token(Box<dyn TokenSource>),
}

/// A token.
pub(crate) struct Token {
    /// The token itself.
    pub(crate) secret: SecretString,
    /// When it ends; `None` is never.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Where tokens come from.
#[async_trait]
pub(crate) trait TokenSource: Send + Sync {
    /// Fetches a token. Never called twice at once.
    ///
    /// # Errors
    /// What the token server said, as far as it says nothing secret.
    async fn mint(&self, calls: &TokenCalls<'_>) -> Result<Token, ProviderError>;
}

/// What a [`TokenSource`] may send.
pub(crate) struct TokenCalls<'a> {
    pub(super) http: &'a Http,
    pub(super) settling: bool,
    /// Whether the token that was in use has been refused.
    pub(super) after_refusal: bool,
}

impl<'a> TokenCalls<'a> {
    /// A POST to a token server, whatever its host; against the sandbox the same path of the sandbox.
    pub(crate) fn post(&self, url: &Url, doing: impl Into<String>) -> Call<'a> {
        Call::token(self.http, Ok(self.http.token_url(url)), doing.into()).settling(self.settling)
    }

    /// A POST to a token server on the target's own host; `segments` are percent-encoded one by one.
    pub(crate) fn post_at(&self, segments: &[&str], doing: impl Into<String>) -> Call<'a> {
        let doing = doing.into();
        let url = self.http.url(segments, &doing);
        Call::token(self.http, url, doing).settling(self.settling)
    }

    /// Learns a secret that a token answer holds beside the token, so that no text of this provider holds it: token
    /// servers name the refresh token that they refuse.
    pub(crate) fn learn(&self, secret: &SecretString) {
        self.http.redactor.learn(secret.expose_secret());
    }

    /// Whether the token that was in use has been refused, so that one that a library keeps is of no use.
    pub(crate) fn after_refusal(&self) -> bool {
        self.after_refusal
    }

    /// Counts a token request that a library sends by itself.
    pub(crate) fn count(&self) {
        self.http.count(Kind::Token, false);
    }

    /// Whether the run is against the sandbox, which no library's own request may leave.
    pub(crate) fn sandboxed(&self) -> bool {
        self.http.sandboxed()
    }
}

impl Answer {
    /// An error about a token answer. It says nothing of the body, which may hold the token.
    pub(crate) fn no_token(&self) -> ProviderError {
        if words::is_markup(&self.body) {
            return self.unexpected("an HTML page where a token should be");
        }
        self.unexpected("it holds no token in the form that this token server gives")
    }
}

/// What is needed to sign one request.
pub(super) struct Signature {
    pub(super) header: Option<HeaderValue>,
    /// Which fetched token it is, so that a refusal renews that one and no younger one.
    pub(super) flight: Option<u64>,
}

/// The current token of a [`TokenSource`].
#[derive(Default)]
pub(super) struct Tokens {
    /// How many fetches have ended.
    flights: AtomicU64,
    /// The outcome of the last one; held while one is under way, so that there is only ever one.
    last: Mutex<Option<Flight>>,
}

/// A fetch that has ended.
struct Flight {
    outcome: Result<Minted, ProviderError>,
    ended_at: Instant,
}

/// A token with what is needed to use it.
#[derive(Clone)]
struct Minted {
    header: HeaderValue,
    flight: u64,
    renew_at: Option<Timestamp>,
}

impl Tokens {
    /// The current token, or a new one where there is none, where it is about to end, and where it is the refused one.
    /// Whoever waited for a fetch shares its outcome.
    pub(super) async fn signature(
        &self,
        source: &dyn TokenSource,
        calls: &TokenCalls<'_>,
        refused: Option<u64>,
    ) -> Result<Signature, ProviderError> {
        let ended_before = self.flights.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        let ended = self.flights.load(Ordering::Acquire);
        let minted = match last.as_ref().map(|flight| (&flight.outcome, flight)) {
            Some((Ok(minted), _)) if Some(minted.flight) != refused && minted.is_fresh() => {
                minted.clone()
            }
            Some((Err(error), flight)) if flight.holds(error, ended > ended_before) => {
                return Err(error.clone());
            }
            _ => {
                let outcome = mint(source, calls, ended + 1).await;
                *last = Some(Flight {
                    outcome: outcome.clone(),
                    ended_at: Instant::now(),
                });
                self.flights.store(ended + 1, Ordering::Release);
                outcome?
            }
        };
        Ok(Signature {
            header: Some(minted.header),
            flight: Some(minted.flight),
        })
    }
}

impl Flight {
    /// Whether its error is the answer to somebody else as well; `waited` says that they waited for it.
    fn holds(&self, error: &ProviderError, waited: bool) -> bool {
        // A look at what became of a write goes out after an interrupt, and needs its token.
        if error.cause == Cause::Interrupted {
            return false;
        }
        waited || (error.is_refused_sign_in() && self.ended_at.elapsed() < REFUSAL_HOLDS)
    }
}

impl Minted {
    fn is_fresh(&self) -> bool {
        self.renew_at.is_none_or(|moment| Timestamp::now() < moment)
    }
}

/// Fetches a token and makes it ready for use.
async fn mint(
    source: &dyn TokenSource,
    calls: &TokenCalls<'_>,
    flight: u64,
) -> Result<Minted, ProviderError> {
    let token = source.mint(calls).await?;
    Ok(Minted {
        header: calls.http.bearer_header(&token.secret)?,
        flight,
        renew_at: token.expires_at.map(|end| renew_at(end, Timestamp::now())),
    })
}

/// When a token that ends at `end` is renewed.
fn renew_at(end: Timestamp, now: Timestamp) -> Timestamp {
    end.saturating_sub(MARGIN)
        .unwrap_or(end)
        .max(now.saturating_add(LEAST_USE).unwrap_or(now))
}

impl Http {
    /// The header of a token; from now on no text of this provider holds it.
    pub(super) fn bearer_header(&self, token: &SecretString) -> Result<HeaderValue, ProviderError> {
        self.redactor.learn(token.expose_secret());
        self.sensitive(&format!("Bearer {}", token.expose_secret()))
    }

    /// The header of a name and a password; from now on no text of this provider holds it.
    pub(super) fn basic_header(
        &self,
        username: &str,
        password: &SecretString,
    ) -> Result<HeaderValue, ProviderError> {
        let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
        self.redactor.learn(password.expose_secret());
        self.redactor.learn(&pair);
        self.sensitive(&format!("Basic {pair}"))
    }

    fn sensitive(&self, text: &str) -> Result<HeaderValue, ProviderError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            let why = format!(
                "{} holds characters that no HTTP header can carry",
                self.credential
            );
            ProviderError::new(format!("sign in to {}", self.host), Cause::Credential(why))
        })?;
        // Keeps it out of every Debug text and out of HTTP/2's compression tables.
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends_and_used_for_a_while_at_least() {
        let at = |text: &str| text.parse::<Timestamp>().expect("valid");
        let now = at("2026-11-22T10:00:00Z");
        assert_eq!(
            renew_at(at("2026-11-22T11:00:00Z"), now),
            at("2026-11-22T10:59:00Z")
        );
        assert_eq!(
            renew_at(at("2026-11-22T10:00:30Z"), now),
            at("2026-11-22T10:00:10Z")
        );
        assert_eq!(
            renew_at(at("2020-01-01T00:00:00Z"), now),
            at("2026-11-22T10:00:10Z")
        );
        assert_eq!(renew_at(Timestamp::MIN, now), at("2026-11-22T10:00:10Z"));
    }
}
