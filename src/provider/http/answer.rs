//! What came back: a status, headers that are never logged, a body of bounded size.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::words::{self, Redactor, Words};
use crate::provider::error::{Cause, Fate, ProviderError};

/// What came back.
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) doing: String,
    /// When its request was sent: what it shows is no older.
    pub(super) sent_at: Instant,
    /// Whether it answers a write.
    pub(super) writes: bool,
    pub(super) redactor: Arc<Redactor>,
}

impl Answer {
    /// The status: a success, or one that the call expects.
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// When its request was sent: what it shows is no older.
    pub(crate) fn sent_at(&self) -> Instant {
        self.sent_at
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
                self.unexpected(&self.words().text)
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
        let error = ProviderError::new(&self.doing, Cause::UnexpectedAnswer(why)).with_fate(fate);
        if words::is_markup(&self.body) {
            error.with_help("check the url: a web page answers there, and not the API")
        } else {
            error
        }
    }

    /// What an expected status other than a success says.
    pub(crate) fn words(&self) -> Words {
        words::words(&self.body, &self.redactor)
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

/// What was read of a body.
pub(super) enum Body {
    Whole(Bytes),
    Cut(Bytes),
}

/// Reads a body up to `limit`, and no further.
pub(super) async fn read(response: &mut Response, limit: usize) -> Result<Body, reqwest::Error> {
    let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limit {
        return Ok(Body::Cut(Bytes::new()));
    }
    let mut body = BytesMut::with_capacity(announced.min(1 << 20));
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(Body::Cut(body.freeze()));
        }
    }
    Ok(Body::Whole(body.freeze()))
}

/// The cause that a status stands for.
pub(super) fn cause_of(status: u16, message: String) -> Cause {
    match status {
        // Apigee answers a wrong password with 403 and a missing permission with 401.
        401 | 403 => Cause::Unauthorized { status, message },
        404 => Cause::NotFound { status, message },
        429 => Cause::RateLimited { status, message },
        _ => Cause::Status { status, message },
    }
}
