//! The way of one request through the sandbox: whose it is, what goes wrong with it, its effect, its record, its answer.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::Value;

use super::answer::{AnswerBody, cut, problem, status_answer, whole};
use super::control;
use super::faults::{Facts, Fault, Verdict, When};
use super::journal::{Entry, is_write};
use super::shared::Shared;
use super::wire::{Label, Request, Response, UNROUTED};
use super::world::MAX_WORLD_BYTES;

/// The largest body that a system is given, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// What becomes of a request.
pub(super) enum Outcome {
    Answer(http::Response<AnswerBody>),
    /// The connection is reset.
    Reset,
}

impl Shared {
    /// Answers one request, or says that its connection is to be cut.
    pub(super) async fn answer(&self, request: http::Request<Incoming>) -> Outcome {
        let now = Timestamp::now();
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let is_control = path
            .strip_prefix(control::ROOT)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let limit = if is_control {
            MAX_WORLD_BYTES
        } else {
            MAX_BODY_BYTES
        };
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Outcome::Answer(problem(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is larger than the sandbox reads",
                ));
            }
            Err(_) => return Outcome::Reset,
        };
        if is_control {
            return Outcome::Answer(
                control::answer(self, &head.method, path, head.uri.query(), &body).await,
            );
        }
        let (name, path) = split_name(path);
        let request = Request {
            method: head.method,
            path: path.to_owned(),
            query: head.uri.query().map(ToOwned::to_owned),
            headers: head.headers,
            body,
            now,
        };
        self.answer_system(name, &request).await
    }

    async fn answer_system(&self, name: Option<&str>, request: &Request) -> Outcome {
        let (system, label) = {
            let live = self.live();
            let Some(system) = live.world.find(name, &request.path) else {
                let label = Label {
                    route: UNROUTED,
                    token: false,
                };
                self.record(None, request, label, (Some(404), None));
                return Outcome::Answer(problem(
                    StatusCode::NOT_FOUND,
                    "no system of this world serves this path",
                ));
            };
            let name = Arc::<str>::from(system.name.as_str());
            (name, system.emulated.label(request))
        };
        let verdict = self.faults().decide(&Facts {
            system: &system,
            method: request.method.as_str(),
            path: &request.path,
            write: is_write(request.method.as_str(), label.token),
            token: label.token,
        });
        if !verdict.latency.is_zero() {
            tokio::time::sleep(verdict.latency).await;
        }
        if let Some(outcome) = self.before(&system, request, label, &verdict).await {
            return outcome;
        }
        let (response, version) = {
            let mut live = self.live();
            let before = live.version;
            let Some(response) = live.handle(&system, request, &verdict) else {
                return Outcome::Answer(problem(
                    StatusCode::NOT_FOUND,
                    "the world was replaced by one without this system",
                ));
            };
            let follows = match &verdict.fault {
                Some(Fault::Drift(drift)) if drift.when == When::After => Some(&drift.change),
                Some(Fault::Status(status)) => status.change.as_ref(),
                _ => None,
            };
            if let Some(change) = follows {
                drifted(live.drift(change.clone(), Some(&system)));
            }
            let answered = Label {
                route: response.route,
                token: response.token,
            };
            // Recorded under the world's lock, so that the log's order is that of the effects.
            self.record(
                Some(&system),
                request,
                answered,
                (answered_status(&response, &verdict), verdict.fault.as_ref()),
            );
            (response, (live.version != before).then_some(live.version))
        };
        if let Some(version) = version {
            self.save(version).await;
        }
        self.after(response, &verdict).await
    }

    /// The faults that stand in the way of a request; `None` lets it go on.
    async fn before(
        &self,
        system: &Arc<str>,
        request: &Request,
        label: Label,
        verdict: &Verdict,
    ) -> Option<Outcome> {
        let fault = verdict.fault.as_ref()?;
        match fault {
            Fault::Status(status) if status.when == When::Before => {
                self.record(
                    Some(system),
                    request,
                    label,
                    (Some(status.code), Some(fault)),
                );
                if let Some(change) = &status.change {
                    self.drift_of_fault(change, system).await;
                }
                Some(Outcome::Answer(status_answer(status)))
            }
            Fault::Reset(at) if at.when == When::Before => {
                self.record(Some(system), request, label, (None, Some(fault)));
                Some(Outcome::Reset)
            }
            Fault::Hold(at) if at.when == When::Before => {
                let given_up = GivenUp {
                    shared: self,
                    system,
                    request,
                    label,
                    fault,
                    armed: true,
                };
                self.faults().hold(verdict).await;
                given_up.disarm();
                None
            }
            Fault::Drift(drift) if drift.when == When::Before => {
                self.drift_of_fault(&drift.change, system).await;
                None
            }
            _ => None,
        }
    }

    /// Makes the change by somebody else that a fault brings along.
    async fn drift_of_fault(&self, change: &Value, system: &str) {
        let version = {
            let mut live = self.live();
            drifted(live.drift(change.clone(), Some(system)));
            live.version
        };
        self.save(version).await;
    }

    /// The faults that befall an answer.
    async fn after(&self, response: Response, verdict: &Verdict) -> Outcome {
        match &verdict.fault {
            Some(Fault::Status(status)) => Outcome::Answer(status_answer(status)),
            Some(Fault::Reset(_)) => Outcome::Reset,
            Some(Fault::Truncate(truncate)) => Outcome::Answer(cut(response, truncate.bytes)),
            Some(Fault::Hold(at)) if at.when == When::After => {
                self.faults().hold(verdict).await;
                Outcome::Answer(whole(response))
            }
            _ => Outcome::Answer(whole(response)),
        }
    }

    /// Writes down what a client was told of a request, and the fault that had it told so.
    fn record(
        &self,
        system: Option<&Arc<str>>,
        request: &Request,
        label: Label,
        (status, fault): (Option<u16>, Option<&Fault>),
    ) {
        let body =
            (!request.body.is_empty()).then(|| String::from_utf8_lossy(&request.body).into_owned());
        self.journal().record(Entry {
            seq: 0,
            time: request.now,
            system: system.cloned(),
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            body,
            status,
            route: label.route,
            token: label.token,
            fault: fault.map(Fault::kind),
        });
    }
}

/// Records a request whose client hung up while it was held before its effect.
struct GivenUp<'a> {
    shared: &'a Shared,
    system: &'a Arc<str>,
    request: &'a Request,
    label: Label,
    fault: &'a Fault,
    armed: bool,
}

impl GivenUp<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.shared.record(
                Some(self.system),
                self.request,
                self.label,
                (None, Some(self.fault)),
            );
        }
    }
}

/// The name in a path of the form `/@NAME/…`, and the path without it.
fn split_name(path: &str) -> (Option<&str>, &str) {
    match path.strip_prefix("/@") {
        Some(rest) => match rest.find('/') {
            Some(end) => (Some(&rest[..end]), &rest[end..]),
            None => (Some(rest), "/"),
        },
        None => (None, path),
    }
}

/// What the client is told of the status, for the log: what a fault says in the system's place, or nothing at a reset.
fn answered_status(response: &Response, verdict: &Verdict) -> Option<u16> {
    match &verdict.fault {
        Some(Fault::Status(status)) => Some(status.code),
        Some(Fault::Reset(_)) => None,
        _ => Some(response.status),
    }
}

fn drifted(result: Result<(), String>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the drift of a fault plan could not be made");
    }
}

/// What ends a connection from within: there is nothing to say.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut by a fault")]
pub(super) struct CutConnection;

/// The outcome in the form that the HTTP library takes.
pub(super) fn into_service_result(
    outcome: Outcome,
) -> Result<http::Response<AnswerBody>, CutConnection> {
    match outcome {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::Reset => Err(CutConnection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_off_the_path() {
        for (path, name, rest) in [
            ("/@one/api/2", Some("one"), "/api/2"),
            ("/@one", Some("one"), "/"),
            ("/@/x", Some(""), "/x"),
            ("/api/@one/x", None, "/api/@one/x"),
        ] {
            assert_eq!(split_name(path), (name, rest));
        }
    }
}
