//! Why a call did not give what was asked for.

use http::StatusCode;
use strum::IntoStaticStr;
use thiserror::Error;

/// A call to a live system that failed: what was being done, why it failed, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("could not {doing}")]
pub struct ProviderError {
    /// What was being done: `read the scopes of authorization server 31415`.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub cause: Cause,
    /// Whether a write may have taken effect all the same.
    pub fate: Fate,
    /// What to do, where that is known.
    pub help: Option<String>,
}

/// What became of a request as far as the system's state is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing changed.
    NotDone,
    /// It may have taken effect: only a list tells.
    Unknown,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// A credential is missing, lacks a key or is for another URL; nothing was sent.
    #[error("{0}")]
    Credential(String),
    /// The target's settings cannot be used (a CA file that cannot be read, say); nothing was sent.
    #[error("{0}")]
    Configuration(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Transport(String),
    /// No answer in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The server's certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// The credential was refused.
    #[error("the server said: {}, {message}", status_text(*status))]
    Unauthorized {
        /// The status code.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// What the call is about does not exist.
    #[error("the server said: {}, {message}", status_text(*status))]
    NotFound {
        /// The status code.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// The server takes fewer requests than were sent, to the last retry.
    #[error("the server said: {}, {message}", status_text(*status))]
    RateLimited {
        /// The status code.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// Any other status that is not a success.
    #[error("the server said: {}, {message}", status_text(*status))]
    Status {
        /// The status code.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// A success whose body is not what the API answers.
    #[error("the answer is not what this API gives: {0}")]
    UnexpectedAnswer(String),
    /// A list that is shorter than it says it is.
    #[error("the list is incomplete: {0}")]
    ObserveIncomplete(String),
    /// An answer beyond the size limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// An observer was asked to write: a defect of Scopeward, stopped before anything was sent.
    #[error("a read-only run tried to send {0}")]
    WriteRefused(String),
    /// The interrupt came before the request was sent.
    #[error("interrupted before the request was sent")]
    Interrupted,
}

impl ProviderError {
    /// A failure that changed nothing.
    pub fn new(doing: impl Into<String>, cause: Cause) -> Self {
        Self {
            doing: doing.into(),
            cause,
            fate: Fate::NotDone,
            help: None,
        }
    }

    /// Says what became of the write.
    pub fn with_fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// Says what to do.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A short name of the cause, for metrics, status and JSON: `unauthorized`, `observe_incomplete`, ...
    pub fn reason(&self) -> &'static str {
        (&self.cause).into()
    }

    /// The status of the server's answer, where that is why it failed.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Unauthorized { status, .. }
            | Cause::NotFound { status, .. }
            | Cause::RateLimited { status, .. }
            | Cause::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether a token server refuses what it was sent, rather than does not answer: OAuth's own word for a wrong password is
    /// a 400 (`invalid_grant`).
    pub(crate) fn is_refused_sign_in(&self) -> bool {
        matches!(self.status(), Some(400 | 401 | 403))
    }

    /// Whether the same call may work a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.cause,
            Cause::Transport(_)
                | Cause::Timeout(_)
                | Cause::RateLimited { .. }
                | Cause::Status {
                    status: 502..=504,
                    ..
                }
        )
    }

    /// Whether what the call is about does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause, Cause::NotFound { .. })
    }
}

/// `404 Not Found`.
fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}
