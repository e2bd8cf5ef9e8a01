//! The scope registration API, `/api/auth/scope-registration/v1.0/scopes`.
//!
//! What a client must not expect of it, each seen on the real server:
//!
//! | call | surprise |
//! |---|---|
//! | POST, PUT without a description | 500, and the scope is stored: the list shows it, HEAD finds it, GET does not |
//! | POST of a name that no URI can hold | 500, and the scope is stored |
//! | PUT of another name than the path's | 200, and the scope of the *body's* name is replaced or made |
//! | PUT of anything | moves the scope to the end of the table, and so to another page |
//! | GET with `limit=0` | `next` is the page itself |
//! | a name with `/` | can be created and listed, never addressed |
//! | malformed JSON | 500, as a line of text |
//!
//! Requests are refused in this order: the target, the route, the method, the media types, parameters and body, the
//! credentials. Only then does the service run.

mod answers;
mod call;
mod table;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};

use self::answers::{
    authentication_error, error, list, not_found, null_pointer, readable, server_error, text,
    unauthorized, unknown_scope,
};
pub(super) use self::call::route_template;
use self::call::{Body, Call, Operation, parse};
use self::table::Table;
use self::table::{Draft, Refused};
use super::super::wire::{Request, Response};
use super::accounts::{Accounts, decode_base64};
use super::answer;
use super::paging::Page;
use super::target;
use super::world::{MissingAuthorization, Scope, Switches};

/// What every path of this API starts with.
pub(super) const PREFIX: &str = "/api/auth/scope-registration";
const COLLECTION: &str = "/api/auth/scope-registration/v1.0/scopes";
const ITEM: &str = "/api/auth/scope-registration/v1.0/scopes/{name}";

/// Netty's limit for the request line.
const MAX_REQUEST_LINE: usize = 4096;

/// The interceptor hands out its API's description to everybody, before it looks at credentials.
const SWAGGER: &str = "swagger: '2.0'\ninfo: {title: Scope Registration, version: v1.0}\nbasePath: /api/auth/scope-registration/v1.0\n";

/// The service with its table.
#[derive(Debug, Default)]
pub(super) struct Registration {
    table: Table,
}

impl Registration {
    /// # Errors
    /// The name of a scope that the database could not hold, or not twice.
    pub(super) fn load(scopes: Vec<Scope>) -> Result<Self, String> {
        let mut table = Table::default();
        for scope in scopes {
            let Scope {
                name,
                description,
                bindings,
            } = scope;
            let draft = Draft {
                name: Some(name.clone()),
                description,
                bindings,
            };
            if table.insert(draft).is_err() {
                return Err(format!(
                    "scopes: {name:?} stands there twice, or is longer than the database allows"
                ));
            }
        }
        Ok(Self { table })
    }

    pub(super) fn world(&self) -> Vec<Scope> {
        self.table
            .rows()
            .map(|row| Scope {
                name: row.name.to_string(),
                description: row.description.clone(),
                bindings: row.bindings.clone(),
            })
            .collect()
    }

    pub(super) fn handle(
        &mut self,
        request: &Request,
        accounts: &Accounts,
        switches: &Switches,
    ) -> Response {
        let uri = target::latin1(&match &request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.clone(),
        });
        let request_line =
            request.method.as_str().len() + uri.len() + " ".len() + " HTTP/1.1".len();
        if request_line > MAX_REQUEST_LINE {
            return not_found("/bad-request");
        }
        match parse(request, &uri) {
            Ok(call) => intercept(request, &uri, &call, accounts, switches)
                .unwrap_or_else(|| self.invoke(request, call.operation)),
            Err(refusal) => *refusal,
        }
    }

    fn invoke(&mut self, request: &Request, operation: Operation) -> Response {
        let route = operation.route();
        match operation {
            Operation::List(page) => self.list(page),
            Operation::Get(name) => match self.table.get(&name).filter(|row| row.is_readable()) {
                Some(row) => answer::json(route, 200, readable(row)),
                None => unknown_scope(),
            },
            Operation::Head(name) => {
                answer::empty(route, if self.table.contains(&name) { 200 } else { 404 })
            }
            Operation::Create(Body::Read(draft)) => self.create(request, draft),
            Operation::Update(name, Body::Read(draft)) => self.replace(&name, draft),
            Operation::Create(Body::Unread) | Operation::Update(_, Body::Unread) => {
                text(route, "Exception occurred :argument type mismatch")
            }
            Operation::Delete(name) => match self.table.remove(&name) {
                Some(_) => answer::empty(route, 204),
                None => unknown_scope(),
            },
        }
    }

    fn list(&self, page: Page) -> Response {
        // H2 takes a negative LIMIT for none and a negative OFFSET for zero.
        let rows = self.table.page(
            usize::try_from(page.offset).unwrap_or(0),
            usize::try_from(page.limit).ok(),
        );
        answer::json(COLLECTION, 200, list(&rows, page, self.table.len()))
    }

    fn create(&mut self, request: &Request, draft: Draft) -> Response {
        if draft
            .name
            .as_deref()
            .is_some_and(|name| self.table.contains(name))
        {
            return error(
                COLLECTION,
                409,
                900_400,
                "Resource already exists",
                "A scope already exists with same name",
            );
        }
        let Ok(row) = self.table.insert(draft) else {
            return server_error(COLLECTION);
        };
        if !row.is_readable() {
            return null_pointer(COLLECTION);
        }
        // The address is made after the commit, from the name as it is: not every name can stand in one.
        let path = format!("/scopes/{}", row.name);
        let Some(location) = target::check(&path)
            .ok()
            .and_then(|()| location(request, &path))
        else {
            return server_error(COLLECTION);
        };
        answer::with_header(
            answer::json(COLLECTION, 201, readable(row)),
            LOCATION,
            location,
        )
    }

    fn replace(&mut self, name: &str, draft: Draft) -> Response {
        if !self.table.contains(name) {
            return unknown_scope();
        }
        // From here on the name in the path counts no more.
        match self.table.replace(draft) {
            Ok(row) if row.is_readable() => answer::json(ITEM, 200, readable(row)),
            Ok(_) => null_pointer(ITEM),
            Err(Refused) => server_error(ITEM),
        }
    }
}

/// The authentication layer. Some is its answer; none lets the call through.
fn intercept(
    request: &Request,
    uri: &str,
    call: &Call,
    accounts: &Accounts,
    switches: &Switches,
) -> Option<Response> {
    if !accounts.required {
        return None;
    }
    let route = call.operation.route();
    if uri.to_lowercase().contains("swagger.yaml") {
        let answer = answer::json(route, 200, SWAGGER);
        return Some(answer::with_header(
            answer,
            CONTENT_TYPE,
            HeaderValue::from_static("text/x-yaml"),
        ));
    }
    if request.method == Method::OPTIONS {
        return Some(cross_origin(request, route));
    }
    if switches.authentication_gaps && !call.is_guarded_version {
        return None;
    }
    let Some(header) = answer::header(request, AUTHORIZATION) else {
        return Some(match switches.missing_authorization {
            MissingAuthorization::ServerError => {
                authentication_error(route, 500, "General Error", "Server Error Occurred")
            }
            MissingAuthorization::Unauthorized => unauthorized(route),
        });
    };
    if header.starts_with("Bearer") {
        return if switches.authentication_gaps {
            None
        } else {
            Some(unauthorized(route))
        };
    }
    match credentials(&header) {
        Some((name, password)) if accounts.user(&name, &password).is_some() => None,
        Some(_) => Some(unauthorized(route)),
        None => {
            let message = "Exception while executing request interceptor class \
                 org.wso2.carbon.auth.rest.api.authenticators.interceptors.RESTAPISecurityInterceptor";
            let answer = text(route, message);
            Some(answer::with_header(
                answer,
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain"),
            ))
        }
    }
}

/// Name and password of a Basic header; the password ends at the second colon.
fn credentials(header: &str) -> Option<(String, String)> {
    let decoded = decode_base64(header.strip_prefix("Basic")?.trim())?;
    let mut parts = decoded.split(':');
    let name = parts.next()?;
    let password = parts.next()?;
    // Java's `split` drops empty parts at the end, so an empty password is none.
    if password.is_empty() && parts.all(str::is_empty) {
        return None;
    }
    Some((name.to_owned(), password.to_owned()))
}

fn cross_origin(request: &Request, route: &'static str) -> Response {
    let methods = if route == ITEM {
        "GET, HEAD, PUT, DELETE"
    } else {
        "GET, POST"
    };
    let mut answer = answer::empty(route, 200);
    let headers = &mut answer.headers;
    headers.insert(
        "access-control-allow-methods",
        HeaderValue::from_static(methods),
    );
    headers.insert(
        "access-control-allow-headers",
        HeaderValue::from_static("authorization, content-type"),
    );
    if let Some(origin) = request.headers.get("origin") {
        headers.insert("access-control-allow-origin", origin.clone());
        headers.insert(
            "access-control-allow-credentials",
            HeaderValue::from_static("true"),
        );
    }
    answer
}

fn location(request: &Request, path: &str) -> Option<HeaderValue> {
    // A header is Latin-1 to this server: what lies beyond becomes a question mark, one for each UTF-16 code unit.
    let latin1 = path
        .encode_utf16()
        .map(|unit| u8::try_from(unit).unwrap_or(b'?'));
    let value: Vec<u8> = answer::origin(request)
        .into_bytes()
        .into_iter()
        .chain(latin1)
        .collect();
    HeaderValue::from_bytes(&value).ok()
}
