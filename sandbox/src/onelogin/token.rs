//! Tokens: one per credential, the same one until it expires or is revoked, with the creation time that it first had.
//!
//! `expires_in` is always 36000, also on a token that has a minute left: a client that adds it to the time of its own
//! request holds a dead token at the end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::wire::Request;
use super::account::{Account, Credential, Token};
use super::answer::{Answer, shape_c, success_c};

/// For how long a token is good, in seconds.
const LIFETIME_SECONDS: u32 = 36_000;

const LIFETIME: SignedDuration = SignedDuration::from_secs(LIFETIME_SECONDS as i64);

/// Which of the two token calls was made; they differ in the form of the answer, and in what a second call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A client id and its secret, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Presented {
    client_id: String,
    client_secret: String,
}

impl Token {
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.created_at + LIFETIME
    }
}

/// Answers a token call.
pub(super) fn mint(account: &mut Account, version: Version, request: &Request) -> Answer {
    let Some(body) = read_body(request) else {
        return bad_request(
            "Content Type is not specified or specified incorrectly. \
                 Content-Type header must be set to application/json",
        );
    };
    if body.get("grant_type").and_then(Value::as_str) != Some("client_credentials") {
        return bad_request("grant_type is incorrect. grant_type must be client_credentials");
    }
    let Some(presented) = presented(request).or_else(|| presented_in(&body)) else {
        return bad_request("The authorization information is missing");
    };
    let credential = match authenticate(account, &presented) {
        Ok(credential) => credential.client_id.clone(),
        Err(answer) => return answer,
    };
    let replaces = version == Version::V1 && account.switches.v1_token_replaces;
    let token = live_token(account, &credential, request.now, replaces);
    let content = json!({
        "access_token": token.access,
        "created_at": format!("{:.3}", token.created_at),
        "expires_in": LIFETIME_SECONDS,
        "refresh_token": token.refresh,
        "token_type": "bearer",
        "account_id": account.id,
    });
    match version {
        Version::V1 => success_c(Some(json!([content]))),
        Version::V2 => Answer::json(200, &content),
    }
}

/// Answers the call that ends a token. What names no live token ends nothing, and is no error either.
pub(super) fn revoke(account: &mut Account, request: &Request) -> Answer {
    let body = read_body(request).unwrap_or_default();
    let Some(presented) = presented(request).or_else(|| presented_in(&body)) else {
        return bad_request("The authorization information is missing");
    };
    if let Err(answer) = authenticate(account, &presented) {
        return answer;
    }
    let Some(access_token) = body.get("access_token").and_then(Value::as_str) else {
        return bad_request("access_token is missing");
    };
    account
        .tokens
        .retain(|token| token.access != access_token || token.client_id != presented.client_id);
    success_c(None)
}

/// The credential whose live token a request carries; `colon` says whether `bearer:TOKEN` counts, as it does in v1 only.
pub(super) fn bearer<'a>(
    account: &'a Account,
    request: &Request,
    colon: bool,
) -> Option<&'a Credential> {
    let header = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_at_checked("bearer".len())?;
    let separator = rest.chars().next()?;
    if !scheme.eq_ignore_ascii_case("bearer") || !(separator == ' ' || (colon && separator == ':'))
    {
        return None;
    }
    let presented = rest[separator.len_utf8()..].trim();
    let token = account
        .tokens
        .iter()
        .find(|token| token.access == presented && token.is_live(request.now))?;
    account
        .credentials
        .iter()
        .find(|credential| credential.client_id == token.client_id)
}

/// The live token of a credential, or a new one in its place.
fn live_token(account: &mut Account, client_id: &str, now: Timestamp, replaces: bool) -> Token {
    let held = account
        .tokens
        .iter()
        .find(|token| token.client_id == client_id && token.is_live(now));
    if let Some(token) = held
        && !replaces
    {
        return token.clone();
    }
    account.tokens_given += 1;
    let number = account.tokens_given;
    let secret = |kind: &str| {
        let hash = Sha256::digest(format!("{kind}\n{client_id}\n{number}"));
        format!("{:x}", Bytes::copy_from_slice(&hash))
    };
    let token = Token {
        client_id: client_id.to_owned(),
        access: secret("access"),
        refresh: secret("refresh"),
        created_at: now,
    };
    account.tokens.retain(|token| token.client_id != client_id);
    account.tokens.push(token.clone());
    token
}

fn authenticate<'a>(account: &'a Account, presented: &Presented) -> Result<&'a Credential, Answer> {
    let found = account.credentials.iter().find(|credential| {
        credential.client_id == presented.client_id
            && credential.client_secret == presented.client_secret
    });
    match found {
        None => Err(shape_c(401, "Unauthorized", "Authentication Failure")),
        Some(credential) if credential.owner_deleted => Err(shape_c(
            500,
            "Internal Server Error",
            "Internal Server Error",
        )),
        Some(credential) => Ok(credential),
    }
}

/// What the `Authorization` header says: Basic, or `client_id:ID, client_secret:SECRET`.
fn presented(request: &Request) -> Option<Presented> {
    let header = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (client_id, client_secret) = match header.split_at_checked("basic ".len()) {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic ") => {
            let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
            let (id, secret) = decoded.split_once(':')?;
            (id.to_owned(), secret.to_owned())
        }
        _ => {
            let (id, secret) = header.split_once(',')?;
            let id = id.trim().strip_prefix("client_id:")?;
            let secret = secret.trim().strip_prefix("client_secret:")?;
            (id.trim().to_owned(), secret.trim().to_owned())
        }
    };
    Some(Presented {
        client_id,
        client_secret,
    })
}

fn presented_in(body: &Map<String, Value>) -> Option<Presented> {
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    Some(Presented {
        client_id: text("client_id")?,
        client_secret: text("client_secret")?,
    })
}

/// The members of a JSON or a form body; nothing where the content type is neither.
fn read_body(request: &Request) -> Option<Map<String, Value>> {
    let content_type = request.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        // A body that is no JSON has no grant type, and is answered as such.
        Some(serde_json::from_slice(&request.body).unwrap_or_default())
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(&request.body);
        Some(
            pairs
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    } else {
        None
    }
}

fn bad_request(message: &str) -> Answer {
    shape_c(400, "bad request", message)
}
