//! Answers on their way out: a system's own, whole or cut short, and those that the sandbox gives in its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use super::faults::StatusFault;
use super::wire::Response;

/// The body of an answer, whole or cut short.
pub(super) struct AnswerBody {
    data: Bytes,
    cut: bool,
    flushed: bool,
}

impl AnswerBody {
    pub(super) fn whole(data: Bytes) -> Self {
        Self {
            data,
            cut: false,
            flushed: false,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        if !self.cut {
            return Poll::Ready(None);
        }
        if !self.flushed {
            // One more turn, in which what was said so far goes out; the error below would throw it away.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut short by a fault"))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.data.len() as u64)
        }
    }
}

/// A system's answer as it is.
pub(super) fn whole(response: Response) -> http::Response<AnswerBody> {
    let Response {
        status,
        headers,
        body,
        route: _,
        token: _,
    } = response;
    build(status, headers, AnswerBody::whole(body))
}

/// A system's answer, announced in full and ended after some bytes.
pub(super) fn cut(response: Response, bytes: usize) -> http::Response<AnswerBody> {
    let Response {
        status,
        mut headers,
        mut body,
        route: _,
        token: _,
    } = response;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let cut = bytes < body.len();
    body.truncate(bytes);
    build(
        status,
        headers,
        AnswerBody {
            data: body,
            cut,
            flushed: false,
        },
    )
}

fn build(status: u16, headers: HeaderMap, body: AnswerBody) -> http::Response<AnswerBody> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *answer.headers_mut() = headers;
    answer
}

/// The answer of a `status` fault; without a body it is the short page of a proxy at the edge.
pub(super) fn status_answer(status: &StatusFault) -> http::Response<AnswerBody> {
    let body = status
        .body
        .clone()
        .unwrap_or_else(|| edge_page(status.code));
    let content_type = status.content_type.as_deref().unwrap_or("text/html");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (CONTENT_TYPE, Some(content_type)),
        (RETRY_AFTER, status.retry_after.as_deref()),
    ] {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    build(status.code, headers, AnswerBody::whole(body.into()))
}

fn edge_page(code: u16) -> String {
    let reason = StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let sentence = if code == 429 {
        "You have sent too many requests in a given amount of time.\n"
    } else {
        ""
    };
    format!("<html><body><h1>{code} {reason}</h1>\n{sentence}</body></html>\n")
}

/// An answer of the sandbox itself, not of one of its systems.
pub(super) fn problem(status: StatusCode, message: &str) -> http::Response<AnswerBody> {
    json(status, &serde_json::json!({ "error": message }))
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> http::Response<AnswerBody> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    build(
        status.as_u16(),
        headers,
        AnswerBody::whole(value.to_string().into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_too_many_requests_has_the_recorded_length() {
        assert_eq!(edge_page(429).len(), 117);
        assert!(edge_page(599).contains("599 Error"));
    }
}
