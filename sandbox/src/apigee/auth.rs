//! Who may come in: tokens, passwords, and the token calls of both editions.
//!
//! | path | edition | answers |
//! |---|---|---|
//! | `POST /oauth/token` | Edge | `password` and `refresh_token` grants of the sign-in service, to its client `edgecli` |
//! | `POST /token` | X | a service account's signed assertion, or an authorized user's refresh token |
//! | `GET /computeMetadata/v1/instance/service-accounts/default/token` | X | the token of a machine's own account |
//!
//! Signatures are not verified: an assertion needs the right form and has to be in time.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Fault, json_response, page_not_found};
use super::switches::Switches;
use super::{Edition, ids};
use crate::wire::{Request, Response};

const EDGE_TOKEN: &str = "/oauth/token";
const GOOGLE_TOKEN: &str = "/token";
const METADATA_TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// `edgecli:edgeclisecret`, the published client of Edge's sign-in service.
const EDGE_CLIENT: (&str, &str) = ("edgecli", "edgeclisecret");

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long a signed assertion may be valid, and how far clocks may differ, in seconds.
const MAX_ASSERTION_SECONDS: i64 = 3600;
const CLOCK_SKEW_SECONDS: i64 = 300;

/// Tokens are swept when there are so many of them.
const MANY_TOKENS: usize = 1000;

/// The credentials of an organization and the tokens that were given out for them.
#[derive(Debug)]
pub(super) struct Auth {
    pub(super) credentials: Vec<Credential>,
    pub(super) session: Session,
}

/// One way in, as a world file has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Credential {
    /// A bearer token that never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// X: the `client_email` of a service account. Where no credential names one, any is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_account: Option<String>,
    /// May read and not write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
}

/// The tokens that were given out, in the form in which a state file keeps them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Session {
    access: BTreeMap<String, Issued>,
    refresh: BTreeMap<String, Caller>,
    /// Counts what was made up, so that two tokens of one moment differ.
    made: u64,
}

impl Session {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Issued {
    caller: Caller,
    /// Seconds since 1970.
    expires_at: i64,
}

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Caller {
    name: String,
    read_only: bool,
}

impl Credential {
    fn caller(&self) -> Caller {
        let name = self.username.as_ref().or(self.service_account.as_ref());
        Caller {
            name: name
                .cloned()
                .unwrap_or_else(|| "sandbox@example.com".to_owned()),
            read_only: self.read_only,
        }
    }
}

/// The route of a path that is a token call of this edition.
pub(super) fn route(edition: Edition, path: &str) -> Option<&'static str> {
    match (edition, path) {
        (Edition::Edge, EDGE_TOKEN) => Some(EDGE_TOKEN),
        (Edition::X, GOOGLE_TOKEN) => Some(GOOGLE_TOKEN),
        (Edition::X, METADATA_TOKEN) => Some(METADATA_TOKEN),
        _ => None,
    }
}

impl Auth {
    pub(super) fn new(credentials: Vec<Credential>, session: Session) -> Self {
        Self {
            credentials,
            session,
        }
    }

    /// Forgets every token that was given out; what the world file lists stays.
    pub(super) fn expire_tokens(&mut self) {
        self.session.access.clear();
        self.session.refresh.clear();
    }

    /// Finds out who calls the management API.
    pub(super) fn caller(
        &self,
        edition: Edition,
        switches: &Switches,
        request: &Request,
    ) -> Result<Caller, Fault> {
        let Some((scheme, value)) = authorization(&request.headers) else {
            return Err(unauthenticated(edition, "missing"));
        };
        let now = request.now.as_second();
        match (edition, scheme.to_ascii_lowercase().as_str()) {
            (_, "bearer") => self
                .bearer(edition, value, now)
                .ok_or_else(|| unauthenticated(edition, "invalid")),
            (Edition::Edge, "basic") if switches.basic_auth => self
                .basic(value)
                .ok_or_else(|| bad_password(switches.bad_password_status)),
            _ => Err(unauthenticated(edition, "invalid")),
        }
    }

    fn bearer(&self, edition: Edition, token: &str, now: i64) -> Option<Caller> {
        if let Some(credential) = self
            .credentials
            .iter()
            .find(|c| c.token.as_deref() == Some(token))
        {
            return Some(credential.caller());
        }
        if let Some(issued) = self.session.access.get(token) {
            return (now < issued.expires_at).then(|| issued.caller.clone());
        }
        // Google's APIs take a service account's own signed token in place of one from the token endpoint.
        match edition {
            Edition::Edge => None,
            Edition::X => self.assertion(token, now).ok(),
        }
    }

    fn basic(&self, value: &str) -> Option<Caller> {
        let (username, password) = decode_basic(value)?;
        self.by_password(&username, &password)
    }

    fn by_password(&self, username: &str, password: &str) -> Option<Caller> {
        let known = |credential: &&Credential| {
            credential.username.as_deref() == Some(username)
                && credential.password.as_deref() == Some(password)
        };
        self.credentials.iter().find(known).map(Credential::caller)
    }

    fn by_refresh_token(&self, token: &str) -> Option<Caller> {
        let listed = self
            .credentials
            .iter()
            .find(|c| c.refresh_token.as_deref() == Some(token));
        listed
            .map(Credential::caller)
            .or_else(|| self.session.refresh.get(token).cloned())
    }

    /// Checks the form and the times of a service account's signed token.
    fn assertion(&self, token: &str, now: i64) -> Result<Caller, &'static str> {
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("Invalid JWT: not three parts.");
        };
        let (Some(header), Some(claims)) = (decode_json(header), decode_json(claims)) else {
            return Err("Invalid JWT: header or claims are not JSON.");
        };
        if header["alg"] != "RS256" || signature.is_empty() {
            return Err("Invalid JWT Signature.");
        }
        let (Some(issuer), Some(issued_at), Some(expires_at)) = (
            claims["iss"].as_str(),
            claims["iat"].as_i64(),
            claims["exp"].as_i64(),
        ) else {
            return Err("Invalid JWT: iss, iat and exp are needed.");
        };
        let in_time = issued_at <= now.saturating_add(CLOCK_SKEW_SECONDS)
            && now < expires_at
            && expires_at.saturating_sub(issued_at) <= MAX_ASSERTION_SECONDS + CLOCK_SKEW_SECONDS;
        if !in_time {
            return Err(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            );
        }
        self.service_account(issuer)
            .ok_or("Invalid grant: account not found")
    }

    /// The caller behind a service account; any account is let in where the world names none.
    fn service_account(&self, email: &str) -> Option<Caller> {
        let mut named = self
            .credentials
            .iter()
            .filter(|c| c.service_account.is_some())
            .peekable();
        if named.peek().is_none() {
            return Some(Caller {
                name: email.to_owned(),
                read_only: false,
            });
        }
        named
            .find(|credential| credential.service_account.as_deref() == Some(email))
            .map(Credential::caller)
    }

    /// Answers a call of one of the token routes.
    pub(super) fn token(
        &mut self,
        edition: Edition,
        switches: &Switches,
        request: &Request,
        route: &'static str,
    ) -> Response {
        let mut response = match edition {
            Edition::Edge => self.edge_token(switches, request),
            Edition::X if route == METADATA_TOKEN => self.metadata_token(switches, request),
            Edition::X => self.google_token(switches, request),
        };
        response.token = true;
        response
    }

    fn edge_token(&mut self, switches: &Switches, request: &Request) -> Response {
        let answer = |status, body: Value| json_response(Edition::Edge, status, &body, EDGE_TOKEN);
        let refused = |status, error: &str, description: &str| {
            answer(
                status,
                json!({"error": error, "error_description": description}),
            )
        };
        if request.method != Method::POST {
            return refused(405, "method_not_allowed", "Request method not supported");
        }
        let client = authorization(&request.headers)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, value)| decode_basic(value));
        if client.is_none_or(|(id, secret)| (id.as_str(), secret.as_str()) != EDGE_CLIENT) {
            return refused(401, "unauthorized", "Bad credentials");
        }
        let form = form(request);
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let caller = match field("grant_type") {
            "password" => self.by_password(field("username"), field("password")),
            "refresh_token" => match self.by_refresh_token(field("refresh_token")) {
                Some(caller) => Some(caller),
                None => return refused(401, "invalid_token", "Invalid refresh token"),
            },
            "" => return refused(400, "invalid_request", "Missing grant type"),
            other => {
                return refused(
                    400,
                    "unsupported_grant_type",
                    &format!("Unsupported grant type: {other}"),
                );
            }
        };
        let Some(caller) = caller else {
            return refused(401, "unauthorized", "Bad credentials");
        };
        let refresh_token = self.refresh_token_of(&caller, request);
        let id = self.random("jti", request, &caller.name, 22);
        let access_token = edge_jwt(
            &caller,
            &id,
            field("grant_type"),
            request,
            switches.token_seconds,
        );
        self.issue(access_token.clone(), caller, request, switches);
        answer(
            200,
            json!({
                "access_token": access_token,
                "token_type": "bearer",
                "refresh_token": refresh_token,
                "expires_in": switches.token_seconds - 1,
                "scope": "scim.me openid password.write approvals.me oauth.approvals",
                "jti": id,
            }),
        )
    }

    fn google_token(&mut self, switches: &Switches, request: &Request) -> Response {
        let refused = |status, error: &str, description: &str| {
            let body = json!({"error": error, "error_description": description});
            json_response(Edition::X, status, &body, GOOGLE_TOKEN)
        };
        if request.method != Method::POST {
            return page_not_found(GOOGLE_TOKEN);
        }
        let form = form(request);
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let caller = match field("grant_type") {
            JWT_BEARER => match self.assertion(field("assertion"), request.now.as_second()) {
                Ok(caller) => caller,
                Err(description) => return refused(400, "invalid_grant", description),
            },
            "refresh_token" => match self.by_refresh_token(field("refresh_token")) {
                Some(caller) => caller,
                None => return refused(400, "invalid_grant", "Bad Request"),
            },
            other => {
                return refused(
                    400,
                    "unsupported_grant_type",
                    &format!("Invalid grant_type: {other}"),
                );
            }
        };
        self.google_answer(caller, switches, request, GOOGLE_TOKEN)
    }

    fn metadata_token(&mut self, switches: &Switches, request: &Request) -> Response {
        // The header proves that the call was not made by a page or a redirect.
        let flavour = request.headers.get("metadata-flavor");
        if flavour.map(HeaderValue::as_bytes) != Some(b"Google") {
            let body = json!({"error": "Missing Metadata-Flavor:Google header."});
            return json_response(Edition::X, 403, &body, METADATA_TOKEN);
        }
        let account = self
            .credentials
            .iter()
            .find(|c| c.service_account.is_some());
        let caller = account.map_or_else(|| Credential::default().caller(), Credential::caller);
        let mut response = self.google_answer(caller, switches, request, METADATA_TOKEN);
        response
            .headers
            .insert("metadata-flavor", HeaderValue::from_static("Google"));
        response
    }

    fn google_answer(
        &mut self,
        caller: Caller,
        switches: &Switches,
        request: &Request,
        route: &'static str,
    ) -> Response {
        let access_token = format!("ya29.{}", self.random("access", request, &caller.name, 64));
        self.issue(access_token.clone(), caller, request, switches);
        let body = json!({
            "access_token": access_token,
            "expires_in": switches.token_seconds - 1,
            "token_type": "Bearer",
        });
        json_response(Edition::X, 200, &body, route)
    }

    fn issue(&mut self, token: String, caller: Caller, request: &Request, switches: &Switches) {
        let now = request.now.as_second();
        if self.session.access.len() >= MANY_TOKENS {
            self.session
                .access
                .retain(|_, issued| now < issued.expires_at);
        }
        let expires_at = now.saturating_add(switches.token_seconds);
        self.session
            .access
            .insert(token, Issued { caller, expires_at });
    }

    /// The refresh token of a caller: one each, however often they sign in.
    fn refresh_token_of(&mut self, caller: &Caller, request: &Request) -> String {
        let known = self
            .session
            .refresh
            .iter()
            .find(|(_, holder)| *holder == caller);
        if let Some((token, _)) = known {
            return token.clone();
        }
        let token = self.random("refresh", request, &caller.name, 43);
        self.session.refresh.insert(token.clone(), caller.clone());
        token
    }

    fn random(&mut self, purpose: &str, request: &Request, name: &str, length: usize) -> String {
        self.session.made += 1;
        let parts = [
            purpose,
            &request.now.to_string(),
            &self.session.made.to_string(),
            name,
        ];
        ids::alphanumeric(&parts, length)
    }
}

/// Refuses a caller who may only read. Edge says 401 for "may not", against custom.
pub(super) fn may_write(caller: &Caller, edition: Edition, method: &Method) -> Result<(), Fault> {
    if !caller.read_only || method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    Err(match edition {
        Edition::Edge => Fault::coded(
            401,
            "security.authorization.Unauthorized",
            "User does not have permission to perform this operation".to_owned(),
        ),
        Edition::X => Fault::coded(
            403,
            "IAM_PERMISSION_DENIED",
            "The caller does not have permission".to_owned(),
        ),
    })
}

fn unauthenticated(edition: Edition, what: &str) -> Fault {
    match (edition, what) {
        (Edition::Edge, "missing") => {
            Fault::gateway(401, "oauth.v2.InvalidAccessToken", "Invalid access token")
        }
        (Edition::Edge, _) => Fault::gateway(
            401,
            "keymanagement.service.invalid_access_token",
            "Invalid Access Token",
        ),
        (Edition::X, "missing") => Fault::gateway(
            401,
            "",
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or \
             other valid authentication credential.",
        ),
        (Edition::X, _) => Fault::gateway(
            401,
            "",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential.",
        ),
    }
}

fn bad_password(status: u16) -> Fault {
    Fault::coded(
        status,
        "usersandroles.InvalidCredentials",
        "Invalid user name or password for the organization".to_owned(),
    )
}

fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some((scheme, value.trim()))
}

fn decode_basic(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

fn decode_json(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The fields of a form; where one stands twice, the first counts.
fn form(request: &Request) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(&request.body) {
        fields
            .entry(name.into_owned())
            .or_insert_with(|| value.into_owned());
    }
    fields
}

/// Makes an access token in the form of Edge's: clients decode it to read `exp`, `email` and `user_name`.
fn edge_jwt(
    caller: &Caller,
    id: &str,
    grant_type: &str,
    request: &Request,
    lifetime: i64,
) -> String {
    let now = request.now.as_second();
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({
        "jti": id,
        "sub": ids::uuid(&["user", &caller.name]),
        "scope": ["scim.me", "openid", "password.write", "approvals.me", "oauth.approvals"],
        "client_id": EDGE_CLIENT.0,
        "cid": EDGE_CLIENT.0,
        "grant_type": grant_type,
        "user_id": ids::uuid(&["user", &caller.name]),
        "user_name": caller.name,
        "email": caller.name,
        "iat": now,
        "exp": now.saturating_add(lifetime),
        "iss": "https://login.apigee.com",
        "aud": [EDGE_CLIENT.0, "scim", "openid", "password", "approvals", "oauth"],
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(ids::alphanumeric(&["signature", id], 64));
    format!("{}.{}.{signature}", encode(&header), encode(&claims))
}

#[cfg(test)]
mod tests;
