//! Building answers.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use super::super::wire::{Request, Response};

/// An answer without a body.
pub(super) fn empty(route: &'static str, status: u16) -> Response {
    Response {
        status,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        route,
        token: false,
    }
}

/// An answer with a JSON body that is already written.
pub(super) fn json(route: &'static str, status: u16, body: impl Into<Bytes>) -> Response {
    let answer = Response {
        body: body.into(),
        ..empty(route, status)
    };
    with_header(
        answer,
        CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )
}

/// An answer with a JSON value.
pub(super) fn value(route: &'static str, status: u16, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body)
        .expect("answers hold only strings, numbers, booleans and lists of them");
    json(route, status, body)
}

/// Adds a header.
pub(super) fn with_header(mut answer: Response, name: HeaderName, value: HeaderValue) -> Response {
    answer.headers.insert(name, value);
    answer
}

/// The server's own address, as a client sees it: what it calls us by.
pub(super) fn origin(request: &Request) -> String {
    let host = request
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    format!("http://{host}")
}

/// A header's value as text, if the header is there.
pub(super) fn header(request: &Request, name: HeaderName) -> Option<String> {
    let value = request.headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
