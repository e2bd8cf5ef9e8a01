//! What goes over the wire, as the emulators see it: a request with its target untouched, and an answer.
//!
//! An emulator is a state machine without sockets: `handle` takes a [`Request`], changes its own state and gives a
//! [`Response`]. Listening, faults, counting and the log are `sandbox.rs`'s, so that each system's file reads like that
//! system's behaviour and nothing else.

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;

/// A request as it came in: nothing of its target is decoded, because the systems differ in how they decode it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path as sent, percent escapes included, without a leading `/@NAME`.
    pub(crate) path: String,
    /// What follows the first `?`, as sent.
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The moment of arrival by the sandbox's clock.
    pub(crate) now: Timestamp,
}

/// An answer, with the labels under which it is counted.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The route's template, such as `/api/2/api_authorizations/{id}/scopes`; `unrouted` where nothing matched.
    pub(crate) route: &'static str,
    /// A token request: counted apart, and never as a write.
    pub(crate) token: bool,
}

/// Under what a request is counted and matched by faults before the system has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) route: &'static str,
    pub(crate) token: bool,
}

impl Label {
    /// What is known of a request from its path alone: no route, and whether its last segment is that of a token call.
    pub(crate) fn of_path(path: &str) -> Self {
        let last = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        Self {
            route: UNROUTED,
            token: matches!(last, "token" | "revoke"),
        }
    }
}

/// The route of a request that no system answers.
pub(crate) const UNROUTED: &str = "unrouted";

/// One emulated system of a world.
pub(crate) trait Emulated: Send {
    /// Answers one request and changes the state as the real system would.
    fn handle(&mut self, request: &Request) -> Response;

    /// Whether a path (without `/@NAME`) belongs to this kind of system.
    fn serves(&self, path: &str) -> bool;

    /// The labels that `handle` would give its answer to this request, found without any effect.
    ///
    /// Asked for when a fault answers in the system's place, so that the call is still counted under its route.
    fn label(&self, request: &Request) -> Label {
        Label::of_path(&request.path)
    }

    /// Puts the state that a world file has below its kind's key in the place of this one.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it; nothing has changed then.
    fn reload(&mut self, world: serde_json::Value) -> Result<(), String>;

    /// Forgets every token given out, as an expiry would.
    fn expire_tokens(&mut self);

    /// The tokens given out.
    fn sessions(&self) -> serde_json::Value;

    /// Takes over the [`sessions`](Self::sessions) of the same system in another state: a copy that lags behind in
    /// everything else still knows who may ask.
    fn resume(&mut self, sessions: serde_json::Value);

    /// The system's state, in the form of the world file and below its kind's key (`oneLogin`, `wso2`, `apigee`), so that
    /// it can be saved and loaded again without loss.
    fn world(&self) -> serde_json::Value;
}
