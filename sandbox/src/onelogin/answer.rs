//! The shapes in which OneLogin answers, its errors above all: there are four of them, by where they come from.
//!
//! | shape | body | from |
//! |---|---|---|
//! | A | `{"message", "name", "statusCode"}`, on 400 also `field` | `/api/2` |
//! | B | `{"status", "error", "description"}` | pagination of `/api/2` |
//! | C | `{"status": {"error", "code", "type", "message"}}` | `/auth` |
//! | D | HTML | the framework at a body that is no JSON; the edge, which is a fault here |

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::switches::MalformedJson;

/// An answer before it gets its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Bytes,
}

const JSON: &str = "application/json; charset=utf-8";

impl Answer {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body)
            .expect("these answers have string keys, and memory takes every write");
        Self {
            status,
            content_type: Some(JSON),
            body: body.into(),
        }
    }

    pub(super) fn no_content() -> Self {
        Self {
            status: 204,
            content_type: None,
            body: Bytes::new(),
        }
    }
}

/// Why a call of `/api/2` is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Unauthorized,
    Forbidden,
    NotFound,
    NoRoute,
    /// The body is no JSON object.
    Malformed(MalformedJson),
    /// A required member is not there; servers and clients word it differently.
    MissingField {
        field: &'static str,
        named: bool,
    },
    /// The request has a shape that the route does not take.
    Schema(String),
    /// The record would not be valid; the sentences are joined as one.
    Invalid(Vec<String>),
    /// `cursor` beside `limit` or `page`.
    MixedPagination,
    TooManyRequests,
    /// The user who made the credential is gone.
    Broken,
}

impl Refusal {
    /// A record that is invalid for one reason.
    pub(super) fn invalid(sentence: &str) -> Self {
        Self::Invalid(vec![sentence.to_owned()])
    }

    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Unauthorized => shape_a(401, "UnauthorizedError", "Unauthorized"),
            Self::Forbidden => shape_a(403, "ForbiddenError", "Forbidden"),
            Self::NotFound => shape_a(
                404,
                "NotFoundError",
                "The resource with the given id could not be found",
            ),
            Self::NoRoute => shape_a(404, "NotFoundError", "No Route Exists"),
            Self::Malformed(MalformedJson::Html) => Answer {
                status: 400,
                content_type: Some("text/html; charset=utf-8"),
                body: Bytes::from_static(
                    b"<!DOCTYPE html>\n<html><body><h1>400 Bad Request</h1></body></html>\n",
                ),
            },
            Self::Malformed(MalformedJson::Json) => shape_a(400, "BadRequestError", "Bad Request"),
            Self::MissingField { field, named } => {
                let colon_field = if *named {
                    format!(": {field}")
                } else {
                    String::new()
                };
                let message = format!("Missing required field{colon_field}");
                let name = "BadRequestError";
                Answer::json(
                    400,
                    &json!({ "field": field, "message": message, "name": name, "statusCode": 400 }),
                )
            }
            Self::Schema(message) => shape_a(422, "UnprocessableEntityError", message),
            Self::Invalid(sentences) => shape_a(
                422,
                "UnprocessableEntityError",
                &format!("Validation failed: {}", sentences.join(", ")),
            ),
            Self::MixedPagination => Answer::json(
                400,
                &json!({
                    "status": 400,
                    "error": "BadRequestError",
                    "description": "Requests can only have cursor xor pagination arguments",
                }),
            ),
            Self::TooManyRequests => shape_c(
                429,
                "Too Many Requests",
                "The hourly limit of requests is reached",
            ),
            Self::Broken => shape_a(500, "InternalServerError", "Internal Server Error"),
        }
    }
}

fn shape_a(status: u16, name: &str, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "message": message, "name": name, "statusCode": status }),
    )
}

/// An error of `/auth`.
pub(super) fn shape_c(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(status, &status_of(true, status, kind, message))
}

/// A success of `/auth`, with what else the body holds.
pub(super) fn success_c(data: Option<Value>) -> Answer {
    let mut body = status_of(false, 200, "success", "Success");
    if let Some(data) = data {
        body["data"] = data;
    }
    Answer::json(200, &body)
}

fn status_of(error: bool, code: u16, kind: &str, message: &str) -> Value {
    json!({ "status": { "error": error, "code": code, "type": kind, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_bad_credentials_has_the_recorded_length() {
        assert_eq!(
            shape_c(401, "Unauthorized", "Authentication Failure")
                .body
                .len(),
            93
        );
    }

    #[test]
    fn an_unknown_token_is_answered_as_recorded() {
        let body = r#"{"message":"Unauthorized","name":"UnauthorizedError","statusCode":401}"#;
        assert_eq!(Refusal::Unauthorized.answer().body, body);
    }

    #[test]
    fn several_reasons_make_one_sentence() {
        let refusal = Refusal::Invalid(vec!["A can't be blank".into(), "B can't be blank".into()]);
        let body: Value = serde_json::from_slice(&refusal.answer().body).unwrap();
        assert_eq!(
            body["message"],
            "Validation failed: A can't be blank, B can't be blank"
        );
    }
}
