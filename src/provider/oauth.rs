//! The token answer of OAuth 2.0 (RFC 6749, section 5.1), as WSO2 and Apigee Edge give it.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;

use super::ProviderError;
use super::http::{Answer, Token};

/// A token answer.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    access_token: String,
    expires_in: Option<i64>,
    /// What the token may do, where that is said: fewer scopes than were asked for, at times.
    pub(super) scope: Option<String>,
    /// What gets the next token, where there is one.
    pub(super) refresh_token: Option<String>,
}

impl TokenAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// Anything else. The error says nothing of the body, which may hold a token.
    pub(super) fn read(answer: &Answer) -> Result<Self, ProviderError> {
        match answer.json::<Self>() {
            Ok(read) if !read.access_token.is_empty() => Ok(read),
            _ => Err(answer.no_token()),
        }
    }

    /// The token. One that does not say when it ends is used until it is refused.
    pub(super) fn into_token(self) -> Token {
        let lifetime = self.expires_in.map(SignedDuration::from_secs);
        Token {
            secret: SecretString::from(self.access_token),
            expires_at: lifetime
                .and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok()),
        }
    }
}
