//! From a request to a call of the service: target, route, method, media types, parameters and body, in this order.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Method};

use super::super::super::wire::{Request, Response, UNROUTED};
use super::super::gson::{self, Unreadable, Value};
use super::super::paging::{DEFAULT_LIMIT, Page};
use super::super::{answer, target};
use super::answers::{framework_text, not_found, text};
use super::table::Draft;
use super::{COLLECTION, ITEM};

/// A call whose target, method, media types, parameters and body are sound.
pub(super) struct Call {
    pub(super) operation: Operation,
    /// True for v1.0, the only version that the authentication layer was told of.
    pub(super) is_guarded_version: bool,
}

pub(super) enum Operation {
    List(Page),
    Create(Body),
    Get(String),
    Head(String),
    Update(String, Body),
    Delete(String),
}

/// A body that was read, or one that was never looked at because its content type named no reader.
pub(super) enum Body {
    Read(Draft),
    Unread,
}

impl Operation {
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Create(_) => COLLECTION,
            Self::Get(_) | Self::Head(_) | Self::Update(..) | Self::Delete(_) => ITEM,
        }
    }
}

/// Everything that is decided before credentials are looked at. The error is the answer.
pub(super) fn parse(request: &Request, uri: &str) -> Result<Call, Box<Response>> {
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
pub(in super::super) fn route_template(path: &str) -> &'static str {
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
