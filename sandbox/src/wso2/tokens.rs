//! The Publisher's way to a token: dynamic client registration, then the OAuth token endpoint.
//!
//! Fewer scopes than asked for are granted without a word where the user's roles lack them, so a client has to read the
//! answer's `scope` back.

use http::Method;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::super::wire::{Request, Response};
use super::accounts::{Accounts, decode_base64, roles_grant};
use super::answer;
use super::world::{Client, Switches, Token};

pub(super) const TOKEN_PATH: &str = "/oauth2/token";
pub(super) const REGISTRATION_ROUTE: &str = "/client-registration/{version}/register";
/// What a token gets whose request named no scope, or none that was granted.
const DEFAULT_SCOPE: &str = "default";

/// Whether a path is the registration of a client, in any of its versions.
pub(super) fn is_registration(path: &str) -> bool {
    path.strip_prefix("/client-registration/v0.")
        .and_then(|rest| rest.strip_suffix("/register"))
        .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Answers `POST /oauth2/token`.
pub(super) fn issue(request: &Request, accounts: &mut Accounts, switches: &Switches) -> Response {
    let mut answer = if request.method == Method::POST {
        grant(request, accounts, switches).unwrap_or_else(Refusal::into_answer)
    } else {
        answer::empty(TOKEN_PATH, 405)
    };
    answer.token = true;
    answer
}

struct Refusal {
    status: u16,
    error: &'static str,
    description: String,
}

impl Refusal {
    fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status,
            error,
            description: description.into(),
        }
    }

    fn into_answer(self) -> Response {
        let body = json!({"error_description": self.description, "error": self.error});
        let answer = answer::value(TOKEN_PATH, self.status, &body);
        if self.status == 401 {
            return answer::with_header(
                answer,
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"sandbox\""),
            );
        }
        answer
    }
}

/// The fields of a token request.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(request: &Request) -> Self {
        let fields = url::form_urlencoded::parse(&request.body);
        Self(fields.into_owned().collect())
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.field(name).ok_or_else(|| {
            Refusal::new(
                400,
                "invalid_request",
                format!("Missing parameters: {name}"),
            )
        })
    }
}

fn grant(
    request: &Request,
    accounts: &mut Accounts,
    switches: &Switches,
) -> Result<Response, Refusal> {
    let form = Form::of(request);
    let client_id = authenticate_client(request, &form, accounts)?;
    let (username, granted) = granted_to(&form, &client_id, accounts, switches)?;
    let now = request.now;
    let reusable = accounts.tokens().find(|token| {
        switches.reuses_tokens
            && now < token.expires
            && token.client_id == client_id
            && token.username == username
            && token.scopes == granted
    });
    if let Some(token) = reusable {
        return Ok(token_answer(token, now));
    }
    let lifetime = SignedDuration::from_secs(i64::from(switches.token_lifetime_seconds));
    let token = Token {
        access: Uuid::new_v4().to_string(),
        refresh: username.is_some().then(|| Uuid::new_v4().to_string()),
        client_id,
        username,
        scopes: granted,
        expires: now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
    };
    let answer = token_answer(&token, now);
    accounts.add_token(token);
    Ok(answer)
}

/// Who a token is for, none being the client itself, and the scopes that it gets.
fn granted_to(
    form: &Form,
    client_id: &str,
    accounts: &mut Accounts,
    switches: &Switches,
) -> Result<(Option<String>, Vec<String>), Refusal> {
    let wanted = form.field("scope").unwrap_or_default();
    let invalid = |description: String| Refusal::new(400, "invalid_grant", description);
    match form.required("grant_type")? {
        "password" => {
            let (username, password) = (form.required("username")?, form.required("password")?);
            let user = accounts
                .user(username, password)
                .ok_or_else(|| invalid(format!("Authentication failed for {username}")))?;
            let granted = granted(wanted, |scope| roles_grant(&user.roles, scope));
            Ok((Some(username.to_owned()), granted))
        }
        "client_credentials" => {
            let granted = granted(wanted, |_| switches.client_credentials_scopes);
            Ok((None, granted))
        }
        "refresh_token" => {
            let refresh = form.required("refresh_token")?;
            let old = accounts.tokens().find(|token| {
                token.refresh.as_deref() == Some(refresh) && token.client_id == client_id
            });
            let old = old
                .cloned()
                .ok_or_else(|| invalid("Persisted access token data not found".to_owned()))?;
            accounts.remove_token(&old.access);
            Ok((old.username, old.scopes))
        }
        _ => Err(Refusal::new(
            400,
            "unsupported_grant_type",
            "Unsupported grant_type value",
        )),
    }
}

/// The scopes of a request that are granted, sorted and once each.
fn granted(wanted: &str, may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut scopes: Vec<String> = wanted
        .split_whitespace()
        .filter(|scope| may(scope))
        .map(str::to_owned)
        .collect();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        scopes.push(DEFAULT_SCOPE.to_owned());
    }
    scopes
}

/// The client of a request, by HTTP Basic or by the form.
fn authenticate_client(
    request: &Request,
    form: &Form,
    accounts: &Accounts,
) -> Result<String, Refusal> {
    let (client_id, client_secret) = match basic(request) {
        Some(credentials) => credentials,
        None => match (form.field("client_id"), form.field("client_secret")) {
            (Some(id), Some(secret)) => (id.to_owned(), secret.to_owned()),
            _ => {
                return Err(Refusal::new(
                    401,
                    "invalid_client",
                    "Client credentials are invalid.",
                ));
            }
        },
    };
    if accounts.client(&client_id, &client_secret).is_some() {
        return Ok(client_id);
    }
    let known = accounts.clients.iter().any(|client| client.id == client_id);
    Err(Refusal::new(
        401,
        "invalid_client",
        if known {
            "Client Authentication failed.".to_owned()
        } else {
            format!("A valid OAuth client could not be found for client_id: {client_id}")
        },
    ))
}

/// The two halves of a Basic header.
pub(super) fn basic(request: &Request) -> Option<(String, String)> {
    let header = answer::header(request, AUTHORIZATION)?;
    let decoded = decode_base64(header.strip_prefix("Basic ")?.trim())?;
    let (name, secret) = decoded.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

fn token_answer(token: &Token, now: Timestamp) -> Response {
    let mut body = json!({"access_token": token.access});
    if let Some(refresh) = &token.refresh {
        body["refresh_token"] = json!(refresh);
    }
    body["scope"] = json!(token.scopes.join(" "));
    body["token_type"] = json!("Bearer");
    body["expires_in"] = json!(token.expires.duration_since(now).as_secs());
    answer::value(TOKEN_PATH, 200, &body)
}

/// Answers `POST /client-registration/…/register`. A name that its owner has registered already gives the same client.
pub(super) fn register(request: &Request, accounts: &mut Accounts) -> Response {
    if request.method != Method::POST {
        return answer::empty(REGISTRATION_ROUTE, 405);
    }
    let user = basic(request).and_then(|(name, password)| accounts.user(&name, &password));
    if accounts.required && user.is_none() {
        return answer::empty(REGISTRATION_ROUTE, 401);
    }
    let body: serde_json::Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => return registration_refused(&format!("the body is no JSON: {error}")),
    };
    let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
    let Some(client_name) = text("clientName").filter(|name| !name.is_empty()) else {
        return registration_refused("clientName is missing");
    };
    let registered = accounts
        .clients
        .iter()
        .find(|client| client.name.as_deref() == Some(client_name));
    let client = registered.cloned().unwrap_or_else(|| Client {
        id: Uuid::new_v4().simple().to_string(),
        secret: Uuid::new_v4().simple().to_string(),
        name: Some(client_name.to_owned()),
    });
    if registered.is_none() {
        accounts.clients.push(client.clone());
    }
    let details = json!({
        "grant_types": text("grantType").unwrap_or("client_credentials password refresh_token"),
        "redirect_uris": text("callbackUrl"),
        "client_name": client_name,
    });
    answer::value(
        REGISTRATION_ROUTE,
        200,
        &json!({
            "clientId": client.id,
            "clientName": client_name,
            "callBackURL": text("callbackUrl"),
            "clientSecret": client.secret,
            "isSaasApplication": body.get("saasApp").and_then(serde_json::Value::as_bool).unwrap_or(false),
            "appOwner": text("owner"),
            "jsonString": details.to_string(),
            "jsonAppAttribute": "{}",
            "tokenType": null,
        }),
    )
}

fn registration_refused(description: &str) -> Response {
    answer::value(
        REGISTRATION_ROUTE,
        400,
        &json!({"code": 400, "message": "Bad Request", "description": description, "moreInfo": "", "error": []}),
    )
}
