//! Answers and errors, in the shapes of both editions.
//!
//! | | Edge | X |
//! |---|---|---|
//! | error | `{"code","message","contexts":[]}` | `{"error":{"code","message","status","details":[{violations}]}}` |
//! | bad token | `{"fault":{"faultstring","detail":{"errorcode"}}}` | the same as above, `UNAUTHENTICATED` |
//! | wrong method | 405 | an HTML page, 404: the front end knows no such method |

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::json;

use super::Edition;
use crate::wire::{Response, UNROUTED};

/// What a call comes to.
pub(super) enum Answer {
    Json { status: u16, body: Vec<u8> },
    NoContent,
}

impl Answer {
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(super) fn created(body: &impl Serialize) -> Self {
        Self::json(201, body)
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("the views have string keys and cannot fail");
        Self::Json { status, body }
    }
}

/// An error that the system answers with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) status: u16,
    /// The status on Edge, where it differs.
    edge_status: Option<u16>,
    kind: FaultKind,
    pub(super) message: String,
}

#[derive(Debug, Clone, PartialEq)]
enum FaultKind {
    /// An error of the key management, with Edge's code.
    Coded(&'static str),
    /// A malformed request: X reports it without an Edge code.
    Malformed,
    /// The gateway in front of Edge refuses the token.
    Gateway(&'static str),
    /// The method does not exist on this path.
    Method,
}

impl Fault {
    /// An error with a code that Edge is known to use, or one made by analogy (`docs/fidelity.md` says which).
    pub(super) fn coded(status: u16, code: &'static str, message: String) -> Self {
        Self {
            status,
            edge_status: None,
            kind: FaultKind::Coded(code),
            message,
        }
    }

    /// A request that cannot be read.
    pub(super) fn invalid(message: String) -> Self {
        Self {
            status: 400,
            edge_status: None,
            kind: FaultKind::Malformed,
            message,
        }
    }

    pub(super) fn gateway(status: u16, code: &'static str, message: &str) -> Self {
        Self {
            status,
            edge_status: None,
            kind: FaultKind::Gateway(code),
            message: message.to_owned(),
        }
    }

    pub(super) fn method() -> Self {
        Self {
            status: 404,
            edge_status: Some(405),
            kind: FaultKind::Method,
            message: "Method Not Allowed".to_owned(),
        }
    }

    /// Gives the fault another status on Edge.
    pub(super) fn on_edge(mut self, status: u16) -> Self {
        self.edge_status = Some(status);
        self
    }

    pub(super) fn into_response(
        self,
        edition: Edition,
        route: &'static str,
        with_details: bool,
    ) -> Response {
        match edition {
            Edition::Edge => self.edge_response(route),
            Edition::X => self.x_response(route, with_details),
        }
    }

    fn edge_response(self, route: &'static str) -> Response {
        let status = self.edge_status.unwrap_or(self.status);
        let body = match self.kind {
            FaultKind::Coded(code) => {
                json!({"code": code, "message": self.message, "contexts": []})
            }
            FaultKind::Malformed => {
                json!({"code": "BadRequest", "message": self.message, "contexts": []})
            }
            FaultKind::Method => {
                json!({"code": "MethodNotAllowed", "message": self.message, "contexts": []})
            }
            FaultKind::Gateway(code) => {
                json!({"fault": {"faultstring": self.message, "detail": {"errorcode": code}}})
            }
        };
        json_response(Edition::Edge, status, &body, route)
    }

    fn x_response(self, route: &'static str, with_details: bool) -> Response {
        if self.kind == FaultKind::Method {
            return page_not_found(route);
        }
        let name = match (self.status, &self.kind) {
            (400, FaultKind::Coded(_)) => "FAILED_PRECONDITION",
            (400, _) => "INVALID_ARGUMENT",
            (401, _) => "UNAUTHENTICATED",
            (403, _) => "PERMISSION_DENIED",
            (404, _) => "NOT_FOUND",
            (409, _) => "ALREADY_EXISTS",
            _ => "INTERNAL",
        };
        let mut error = json!({"code": self.status, "message": self.message, "status": name});
        if let (FaultKind::Coded(code), true) = (&self.kind, with_details) {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
                "violations": [{"type": code, "subject": "", "description": self.message}],
            }]);
        }
        let mut response = json_response(Edition::X, self.status, &json!({"error": error}), route);
        if self.status == 401 {
            let challenge =
                HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
            response.headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Puts an answer on the wire.
pub(super) fn respond(edition: Edition, route: &'static str, answer: Answer) -> Response {
    match answer {
        Answer::Json { status, body } => {
            response(status, content_type(edition), body.into(), route)
        }
        Answer::NoContent => Response {
            status: 204,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            route,
            token: false,
        },
    }
}

/// A JSON answer outside the management API, such as a token or its refusal.
pub(super) fn json_response(
    edition: Edition,
    status: u16,
    body: &serde_json::Value,
    route: &'static str,
) -> Response {
    response(
        status,
        content_type(edition),
        body.to_string().into(),
        route,
    )
}

/// The page that Google's front end answers for a path or a method that no API has.
pub(super) fn page_not_found(route: &'static str) -> Response {
    let page = "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n\
                <p><b>404.</b> <ins>That\u{2019}s an error.</ins>\n<p>The requested URL was not found on this server.\n";
    response(404, "text/html; charset=UTF-8", page.into(), route)
}

fn content_type(edition: Edition) -> &'static str {
    match edition {
        Edition::Edge => "application/json",
        Edition::X => "application/json; charset=UTF-8",
    }
}

fn response(status: u16, content_type: &'static str, body: Bytes, route: &'static str) -> Response {
    let mut headers: HeaderMap<HeaderValue> = HeaderMap::new();
    let (name, value): (HeaderName, _) = (CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(name, value);
    Response {
        status,
        headers,
        body,
        route,
        token: false,
    }
}

/// The answer to a path that this edition does not have.
pub(super) fn no_such_path(edition: Edition) -> Response {
    match edition {
        Edition::Edge => Fault::coded(
            404,
            "ResourceNotFound",
            "The resource does not exist".to_owned(),
        )
        .into_response(edition, UNROUTED, true),
        Edition::X => page_not_found(UNROUTED),
    }
}
