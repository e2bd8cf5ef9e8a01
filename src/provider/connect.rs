//! What a connection to a target needs beside the target and its credential.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use super::tally::Tally;

/// How a run connects.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Where the sandbox's copy of the target stands, when the run is against the sandbox: every request of the target goes
    /// there, its token requests included. The credential given with it is the sandbox's own and belongs to no URL.
    pub sandbox: Option<Url>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Cancelled by Ctrl-C.
    pub interrupt: Interrupt,
    /// How long answers are waited for, and how often a request is sent again.
    pub patience: Patience,
    /// Counts every request.
    pub tally: Tally,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            sandbox: None,
            user_agent: concat!("scopeward/", env!("CARGO_PKG_VERSION")).to_owned(),
            interrupt: Interrupt::default(),
            patience: Patience::default(),
            tally: Tally::default(),
        }
    }
}

/// How long answers are waited for, and how often a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, its TLS handshake included.
    pub connect: Duration,
    /// For a whole answer, from the first byte sent to the last one read.
    pub request: Duration,
    /// How often a request is sent at most, tries that end in a 429 aside.
    pub attempts: u32,
    /// For a server that takes no more requests (429) and does not say for how long: a quota of a minute is waited out.
    /// Where it was in vain, the requests that follow try once.
    pub quota: Duration,
    /// The most between two tries while a quota is waited out: a server that refuses some requests and takes others is
    /// tried often enough to come across the others.
    pub quota_delay: Duration,
    /// For one request with all its repetitions and pauses. A server that asks for a longer pause is not waited for.
    pub total: Duration,
    /// For reaching the server at all: after this no further connection is tried. Where it was in vain, the requests that
    /// follow try once.
    pub reach: Duration,
    /// The ceiling of the first random delay before a repetition; it doubles with each one.
    pub first_delay: Duration,
    /// The highest that the ceiling gets.
    pub longest_delay: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(1),
            attempts: 7,
            quota: Duration::from_secs(90),
            quota_delay: Duration::from_secs(5),
            total: Duration::from_mins(3),
            // A second attempt that times out fits in, so that a dead host costs about twenty seconds.
            reach: Duration::from_secs(12),
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
        }
    }
}

/// Ctrl-C: once it is cancelled no new request is started, and those in flight are finished. Clones share it.
pub type Interrupt = CancellationToken;
