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

mod table;

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method};

pub(super) use self::table::{Draft, Refused};
use self::table::{Row, Table};
use super::super::wire::{Request, Response, UNROUTED};
use super::accounts::{Accounts, decode_base64};
use super::answer;
use super::gson::{self, Unreadable, Value};
use super::paging::{DEFAULT_LIMIT, Page};
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

/// A call whose target, method, media types, parameters and body are sound.
struct Call {
    operation: Operation,
    /// True for v1.0, the only version that the authentication layer was told of.
    is_guarded_version: bool,
}

enum Operation {
    List(Page),
    Create(Body),
    Get(String),
    Head(String),
    Update(String, Body),
    Delete(String),
}

/// A body that was read, or one that was never looked at because its content type named no reader.
enum Body {
    Read(Draft),
    Unread,
}

impl Operation {
    fn route(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Create(_) => COLLECTION,
            Self::Get(_) | Self::Head(_) | Self::Update(..) | Self::Delete(_) => ITEM,
        }
    }
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

    /// Adds a scope behind the API's back.
    pub(super) fn add(&mut self, draft: Draft) -> Result<(), Refused> {
        self.table.insert(draft).map(|_| ())
    }

    /// Changes a scope behind the API's back; what `change` returns takes its place.
    pub(super) fn update(
        &mut self,
        name: &str,
        change: impl FnOnce(Draft) -> Draft,
    ) -> Result<bool, Refused> {
        let Some(row) = self.table.get(name) else {
            return Ok(false);
        };
        let draft = Draft {
            name: Some(row.name.to_string()),
            description: row.description.clone(),
            bindings: row.bindings.clone(),
        };
        self.table.replace(change(draft)).map(|_| true)
    }

    /// Removes a scope behind the API's back.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.table.remove(name).is_some()
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
        let total = self.table.len();
        let (next, previous) = page.links(total);
        let mut body = Vec::with_capacity(64 * rows.len() + 128);
        body.extend_from_slice(format!("{{\"count\":{},\"list\":[", rows.len()).as_bytes());
        for (index, row) in rows.into_iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_scope(&mut body, row, |_| true);
        }
        let Page { offset, limit } = page;
        body.extend_from_slice(
            format!("],\"pagination\":{{\"total\":{total},\"offset\":{offset},\"limit\":{limit},\"next\":").as_bytes(),
        );
        gson::write_text(&mut body, &next);
        body.extend_from_slice(b",\"previous\":");
        gson::write_text(&mut body, &previous);
        body.extend_from_slice(b"}}");
        answer::json(COLLECTION, 200, body)
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

/// Everything that is decided before credentials are looked at. The error is the answer.
fn parse(request: &Request, uri: &str) -> Result<Call, Box<Response>> {
    target::check(uri)
        .map_err(|invalid| text(UNROUTED, &format!("Exception occurred :{invalid}")))?;
    let path = target::percent_decode(uri.split(['?', '#']).next().unwrap_or_default());
    let (version, name) = route(&path).ok_or_else(|| not_found(uri))?;
    let route = if name.is_some() { ITEM } else { COLLECTION };

    // The collection's GET carries the annotation for OPTIONS as well.
    let method = &request.method;
    let served = match name {
        None => [Method::GET, Method::POST, Method::OPTIONS].contains(method),
        Some(_) => [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
        ]
        .contains(method),
    };
    if !served {
        return Err(framework_text(route, 405, uri).into());
    }
    if !has_json(&request.headers, &ACCEPT) || !has_json(&request.headers, &CONTENT_TYPE) {
        let message = format!("Problem accessing: {uri}. Reason: Unsupported Media Type");
        return Err(framework_text(route, 415, &message).into());
    }

    let unreadable = || {
        text(
            route,
            &format!("Error in executing request: {method} {uri}"),
        )
    };
    let operation = match (name, method.as_str()) {
        (None, "POST") => Operation::Create(body(request).map_err(|Unreadable| unreadable())?),
        (None, _) => Operation::List(page(request.query.as_deref()).ok_or_else(unreadable)?),
        (Some(name), "PUT") => {
            Operation::Update(name, body(request).map_err(|Unreadable| unreadable())?)
        }
        (Some(name), "HEAD") => Operation::Head(name),
        (Some(name), "DELETE") => Operation::Delete(name),
        (Some(name), _) => Operation::Get(name),
    };
    Ok(Call {
        operation,
        is_guarded_version: version == "v1.0",
    })
}

/// The template under which a call to a path is counted.
pub(super) fn route_template(path: &str) -> &'static str {
    match route(&target::percent_decode(path)) {
        Some((_, Some(_))) => ITEM,
        Some((_, None)) => COLLECTION,
        None => UNROUTED,
    }
}

/// The version and the name that a decoded path holds. Repeated and trailing slashes do not count.
fn route(path: &str) -> Option<(&str, Option<String>)> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    for expected in ["api", "auth", "scope-registration"] {
        if segments.next()? != expected {
            return None;
        }
    }
    let version = segments.next().filter(|segment| is_version(segment))?;
    if segments.next()? != "scopes" {
        return None;
    }
    let name = segments.next().map(str::to_owned);
    match segments.next() {
        None => Some((version, name)),
        Some(_) => None,
    }
}

/// The base path is the pattern `v1.[\d]+`, in which the dot stands for any character.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix("v1") else {
        return false;
    };
    let mut characters = rest.chars();
    characters.next().is_some()
        && !characters.as_str().is_empty()
        && characters.all(|character| character.is_ascii_digit())
}

/// Whether a media type header is absent or names JSON. The comparison is to the letter: `application/*` does not do.
fn has_json(headers: &HeaderMap, name: &HeaderName) -> bool {
    let Some(value) = headers.get(name) else {
        return true;
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    (*name == CONTENT_TYPE && value.trim().is_empty())
        || value.split(',').any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            matches!(range, "application/json" | "*/*")
        })
}

fn page(query: Option<&str>) -> Option<Page> {
    let parameter =
        |name, default| match target::query_parameter(query.unwrap_or_default(), &['&', ';'], name)
        {
            Some(value) => value.parse::<i32>().ok(),
            None => Some(default),
        };
    Some(Page {
        offset: parameter("offset", 0)?,
        limit: parameter("limit", DEFAULT_LIMIT)?,
    })
}

fn body(request: &Request) -> Result<Body, Unreadable> {
    let content_type = answer::header(request, CONTENT_TYPE).unwrap_or_default();
    if content_type.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Ok(Body::Unread);
    }
    let Value::Object(members) = gson::read(&request.body)? else {
        return Err(Unreadable);
    };
    let mut draft = Draft::default();
    for (name, value) in members {
        match name.as_str() {
            "name" => draft.name = as_string(value)?,
            "description" => draft.description = as_string(value)?,
            "bindings" => draft.bindings = bindings(value)?,
            _ => {}
        }
    }
    Ok(Body::Read(draft))
}

/// The roles of a body; null elements are skipped when they are written to the database.
fn bindings(value: Value) -> Result<Vec<String>, Unreadable> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => elements
            .into_iter()
            .filter_map(|element| as_string(element).transpose())
            .collect(),
        _ => Err(Unreadable),
    }
}

fn as_string(value: Value) -> Result<Option<String>, Unreadable> {
    match value {
        // An integer goes through a Java `long`, which has no negative zero.
        Value::Number(text) if text == "-0" => Ok(Some("0".to_owned())),
        other => other.into_text(),
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

/// A scope as the calls for one scope show it: blank bindings are left out.
fn readable(row: &Row) -> Vec<u8> {
    let mut body = Vec::new();
    write_scope(&mut body, row, |binding| !target::is_blank(binding));
    body
}

fn write_scope(out: &mut Vec<u8>, row: &Row, shows: impl Fn(&str) -> bool) {
    out.extend_from_slice(b"{\"name\":");
    gson::write_text(out, &row.name);
    if let Some(description) = &row.description {
        out.extend_from_slice(b",\"description\":");
        gson::write_text(out, description);
    }
    out.extend_from_slice(b",\"bindings\":[");
    for (index, binding) in row
        .bindings
        .iter()
        .filter(|binding| shows(binding))
        .enumerate()
    {
        if index > 0 {
            out.push(b',');
        }
        gson::write_text(out, binding);
    }
    out.extend_from_slice(b"]}");
}

fn error(
    route: &'static str,
    status: u16,
    code: u32,
    message: &str,
    description: &str,
) -> Response {
    let body = serde_json::json!({"code": code, "message": message, "description": description});
    answer::value(route, status, &body)
}

fn unknown_scope() -> Response {
    error(ITEM, 404, 900_401, "Not found", "Scope not found")
}

fn server_error(route: &'static str) -> Response {
    error(
        route,
        500,
        900_300,
        "General Error",
        "Server Error Occurred",
    )
}

fn authentication_error(
    route: &'static str,
    status: u16,
    message: &str,
    description: &str,
) -> Response {
    let body =
        serde_json::json!({"code": 0, "message": message, "description": description, "error": []});
    answer::value(route, status, &body)
}

fn unauthorized(route: &'static str) -> Response {
    let answer = authentication_error(
        route,
        401,
        "Authentication Failure",
        "Authentication Failure",
    );
    answer::with_header(answer, WWW_AUTHENTICATE, HeaderValue::from_static("Basic"))
}

/// What became of a scope that was stored and cannot be read back.
fn null_pointer(route: &'static str) -> Response {
    text(route, "Exception occurred :null")
}

fn not_found(uri: &str) -> Response {
    framework_text(
        UNROUTED,
        404,
        &format!("Problem accessing: {uri}. Reason: Not Found"),
    )
}

fn text(route: &'static str, message: &str) -> Response {
    framework_text(route, 500, message)
}

/// A line of text from the framework, which counts characters where it should count bytes and so cuts the line short
/// by as many bytes as there are beyond ASCII.
fn framework_text(route: &'static str, status: u16, message: &str) -> Response {
    let mut bytes = message.as_bytes().to_vec();
    bytes.truncate(target::utf16_length(message));
    Response {
        body: bytes.into(),
        ..answer::empty(route, status)
    }
}
