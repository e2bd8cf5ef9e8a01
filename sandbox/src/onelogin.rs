//! OneLogin's API Authorization: servers, scopes, clients and claims, and the tokens to reach them.
//!
//! ```text
//!  token.rs   /auth/oauth2/v2/token, /auth/oauth2/token, /auth/oauth2/revoke, /auth/rate_limit
//!  servers.rs /api/2/api_authorizations[/{id}]
//!  scopes.rs    …/{id}/scopes[/{scope_id}]
//!  clients.rs   …/{id}/clients[/{app_id}]
//!  claims.rs    …/{id}/claims[/{claim_id}]
//!                  all on tables.rs, read from and written to a world file by account.rs
//! ```
//!
//! There is no call for one scope, one client or one claim: they are only ever listed, whole, and a write answers with
//! an id alone. What the real service does where nobody knows is in `switches.rs`.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::wire::{Emulated, Label, Request, Response, UNROUTED};

mod account;
mod answer;
mod body;
mod claims;
mod clients;
mod scopes;
mod servers;
mod switches;
mod tables;
#[cfg(test)]
mod tests;
mod token;

pub(super) use account::Account;

use account::Access;
use answer::{Answer, Refusal, shape_c, success_c};
use body::Fields;
use switches::Switches;
use tables::{AppId, ClaimId, ScopeId, Server, Tables};
use token::Version;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One OneLogin account.
#[derive(Debug)]
pub(super) struct OneLogin {
    account: Account,
    tables: Tables,
    hour: Hour,
    requests: u64,
}

/// What the hourly limit has counted. It is not part of the world file: a restart begins a new hour.
#[derive(Debug, Default)]
struct Hour {
    began: Option<Timestamp>,
    used: u32,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Token(Version),
    Revoke,
    RateLimit,
    Servers,
    Server(&'a str),
    Children(&'a str, Family),
    Child(&'a str, Family, &'a str),
    Unknown,
}

/// What belongs to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Scopes,
    Clients,
    Claims,
}

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Self {
        let mut segments = path.trim_matches('/').split('/');
        match (segments.next(), segments.next(), segments.next()) {
            (Some("auth"), Some("oauth2"), Some("v2")) => {
                match (segments.next(), segments.next()) {
                    (Some("token"), None) => Self::Token(Version::V2),
                    _ => Self::Unknown,
                }
            }
            (Some("auth"), Some("oauth2"), Some(last)) if segments.next().is_none() => match last {
                "token" => Self::Token(Version::V1),
                "revoke" => Self::Revoke,
                _ => Self::Unknown,
            },
            (Some("auth"), Some("rate_limit"), None) => Self::RateLimit,
            (Some("api"), Some("2"), Some("api_authorizations")) => {
                let (id, family, child) = (segments.next(), segments.next(), segments.next());
                let family = family.map(Family::parse);
                match (id, family, child, segments.next()) {
                    (None, ..) => Self::Servers,
                    (Some(id), None, ..) => Self::Server(id),
                    (Some(id), Some(Some(family)), None, _) => Self::Children(id, family),
                    (Some(id), Some(Some(family)), Some(child), None) => {
                        Self::Child(id, family, child)
                    }
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }

    fn label(self) -> Label {
        let route = match self {
            Self::Token(Version::V2) => "/auth/oauth2/v2/token",
            Self::Token(Version::V1) => "/auth/oauth2/token",
            Self::Revoke => "/auth/oauth2/revoke",
            Self::RateLimit => "/auth/rate_limit",
            Self::Servers => "/api/2/api_authorizations",
            Self::Server(_) => "/api/2/api_authorizations/{id}",
            Self::Children(_, Family::Scopes) => "/api/2/api_authorizations/{id}/scopes",
            Self::Children(_, Family::Clients) => "/api/2/api_authorizations/{id}/clients",
            Self::Children(_, Family::Claims) => "/api/2/api_authorizations/{id}/claims",
            Self::Child(_, Family::Scopes, _) => "/api/2/api_authorizations/{id}/scopes/{scope_id}",
            Self::Child(_, Family::Clients, _) => "/api/2/api_authorizations/{id}/clients/{app_id}",
            Self::Child(_, Family::Claims, _) => "/api/2/api_authorizations/{id}/claims/{claim_id}",
            Self::Unknown => UNROUTED,
        };
        Label {
            route,
            token: matches!(self, Self::Token(_) | Self::Revoke),
        }
    }
}

impl Family {
    fn parse(segment: &str) -> Option<Self> {
        match segment {
            "scopes" => Some(Self::Scopes),
            "clients" => Some(Self::Clients),
            "claims" => Some(Self::Claims),
            _ => None,
        }
    }
}

impl OneLogin {
    /// Makes the account that a world file describes.
    pub(super) fn load(account: Account) -> Result<Self, String> {
        let (account, tables) = account.into_tables()?;
        Ok(Self {
            account,
            tables,
            hour: Hour::default(),
            requests: 0,
        })
    }

    fn auth(&mut self, route: Route<'_>, request: &Request) -> Answer {
        match (route, &request.method) {
            (Route::Token(version), &Method::POST) => {
                token::mint(&mut self.account, version, request)
            }
            (Route::Revoke, &Method::POST) => token::revoke(&mut self.account, request),
            (Route::RateLimit, &Method::GET | &Method::HEAD) => {
                if token::bearer(&self.account, request, true).is_none() {
                    return shape_c(401, "Unauthorized", "Authentication Failure");
                }
                let (limit, remaining, reset) = self.limits(request.now);
                success_c(Some(json!({
                    "X-RateLimit-Limit": limit,
                    "X-RateLimit-Remaining": remaining,
                    "X-RateLimit-Reset": reset,
                })))
            }
            _ => shape_c(404, "Not Found", "No Route Exists"),
        }
    }

    fn api(&mut self, route: Route<'_>, request: &Request) -> Result<Answer, Refusal> {
        let read = matches!(request.method, Method::GET | Method::HEAD);
        self.check_access(request, read)?;
        if self.account.switches.rate_limit_counts_v2 {
            self.count(request.now)?;
        }
        if read {
            self.read(route, request)
        } else {
            self.write(route, request)
        }
    }

    fn read(&self, route: Route<'_>, request: &Request) -> Result<Answer, Refusal> {
        let switches = &self.account.switches;
        match route {
            Route::Servers => servers::list(self, request),
            Route::Server(id) => {
                let (id, server) = self.server(id)?;
                Ok(servers::show(id, server, switches))
            }
            Route::Children(id, family) => {
                let (id, server) = self.server(id)?;
                Ok(match family {
                    Family::Scopes => scopes::list(server, switches),
                    Family::Clients => clients::list(&self.tables, id, server, switches),
                    Family::Claims => claims::list(server, switches),
                })
            }
            _ => Err(Refusal::NoRoute),
        }
    }

    fn write(&mut self, route: Route<'_>, request: &Request) -> Result<Answer, Refusal> {
        let fields = Fields::read(&request.body, self.account.switches.malformed_json);
        match (request.method.as_str(), route) {
            ("POST", Route::Servers) => servers::create(self, &fields?),
            ("PUT", Route::Server(id)) => {
                let fields = fields?;
                let (id, _) = self.server(id)?;
                servers::update(self, id, &fields)
            }
            ("DELETE", Route::Server(id)) => {
                let (id, _) = self.server(id)?;
                servers::delete(self, id)
            }
            ("POST", Route::Children(id, family)) => {
                let fields = fields?;
                let (id, _) = self.server(id)?;
                match family {
                    Family::Scopes => scopes::create(self, id, &fields),
                    Family::Clients => clients::create(self, id, &fields),
                    Family::Claims => claims::create(self, id, &fields),
                }
            }
            ("PUT", Route::Child(id, family, child)) => {
                let fields = fields?;
                let (id, _) = self.server(id)?;
                let child = number(child)?;
                match family {
                    Family::Scopes => scopes::update(self, id, ScopeId(child), &fields),
                    Family::Clients => clients::update(self, id, AppId(child), &fields),
                    Family::Claims => claims::update(self, id, ClaimId(child), &fields),
                }
            }
            ("DELETE", Route::Child(id, family, child)) => {
                let (id, _) = self.server(id)?;
                let child = number(child)?;
                match family {
                    Family::Scopes => scopes::delete(self, id, ScopeId(child)),
                    Family::Clients => clients::delete(self, id, AppId(child)),
                    Family::Claims => claims::delete(self, id, ClaimId(child)),
                }
            }
            _ => Err(Refusal::NoRoute),
        }
    }

    fn server(&self, id: &str) -> Result<(AppId, &Server), Refusal> {
        let id = AppId(number(id)?);
        let server = self.tables.servers.get(&id).ok_or(Refusal::NotFound)?;
        Ok((id, server))
    }

    fn check_access(&self, request: &Request, read: bool) -> Result<(), Refusal> {
        let credential =
            token::bearer(&self.account, request, false).ok_or(Refusal::Unauthorized)?;
        if credential.owner_deleted {
            return Err(Refusal::Broken);
        }
        match credential.access {
            Access::ManageAll => Ok(()),
            Access::ReadAll if read && self.account.switches.read_all_reads => Ok(()),
            _ if self.account.switches.insufficient_access_status == 403 => Err(Refusal::Forbidden),
            _ => Err(Refusal::Unauthorized),
        }
    }

    /// The limit, what is left of it, and the seconds until it is whole again.
    fn limits(&mut self, now: Timestamp) -> (u32, u32, i64) {
        const LENGTH: SignedDuration = SignedDuration::from_hours(1);
        let began = match self.hour.began {
            Some(began) if now.duration_since(began) < LENGTH => began,
            _ => {
                self.hour = Hour {
                    began: Some(now),
                    used: 0,
                };
                now
            }
        };
        let limit = self.account.switches.rate_limit_per_hour;
        let left = LENGTH - now.duration_since(began);
        (limit, limit.saturating_sub(self.hour.used), left.as_secs())
    }

    fn count(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let (_, remaining, _) = self.limits(now);
        if remaining == 0 {
            return Err(Refusal::TooManyRequests);
        }
        self.hour.used += 1;
        Ok(())
    }
}

impl Emulated for OneLogin {
    fn handle(&mut self, request: &Request) -> Response {
        let route = Route::parse(&request.path);
        let is_auth = request.path.starts_with("/auth/");
        let answer = if is_auth {
            self.auth(route, request)
        } else {
            self.api(route, request)
                .unwrap_or_else(|refusal| refusal.answer())
        };
        self.requests += 1;
        let mut headers = HeaderMap::new();
        if let Some(content_type) = answer.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let request_id = format!("{:032x}", self.requests);
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_str(&request_id).expect("hexadecimal digits are header text"),
        );
        if self.account.switches.rate_limit_headers && !is_auth {
            let (limit, remaining, reset) = self.limits(request.now);
            headers.insert(LIMIT, limit.into());
            headers.insert(REMAINING, remaining.into());
            headers.insert(RESET, reset.into());
        }
        let Label { route, token } = route.label();
        Response {
            status: answer.status,
            headers,
            body: answer.body,
            route,
            token,
        }
    }

    fn label(&self, request: &Request) -> Label {
        Route::parse(&request.path).label()
    }

    fn serves(&self, path: &str) -> bool {
        path.starts_with("/api/2/") || path.starts_with("/auth/")
    }

    fn reload(&mut self, world: Value) -> Result<(), String> {
        let account = serde_json::from_value(world).map_err(|error| error.to_string())?;
        // What was counted of requests is no part of a world, and goes on.
        let Self {
            account, tables, ..
        } = Self::load(account)?;
        self.account = account;
        self.tables = tables;
        Ok(())
    }

    fn expire_tokens(&mut self) {
        self.account.tokens.clear();
    }

    fn sessions(&self) -> Value {
        json!(self.account.tokens)
    }

    fn resume(&mut self, sessions: Value) {
        self.account.tokens =
            serde_json::from_value(sessions).expect("these are an account's own tokens");
    }

    fn world(&self) -> Value {
        serde_json::to_value(self.account.with_tables(&self.tables))
            .expect("an account has string keys and finite numbers")
    }
}

/// An id in a path. A word binds to the same place and is no record's id.
fn number(segment: &str) -> Result<u64, Refusal> {
    segment.parse().map_err(|_| Refusal::NotFound)
}
