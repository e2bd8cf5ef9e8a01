//! From a request to a call of the service: route, method, media types, parameters and body, in this order.

use http::Method;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};

use super::super::super::wire::{Request, Response, UNROUTED};
use super::super::paging::{DEFAULT_LIMIT, Page};
use super::super::{answer, target};
use super::answers::{error, internal_error};
use super::body::{Draft, Refused};
use super::version::{Need, Version};
use super::{COLLECTION, ITEM, ROLE, USAGE};

/// A call whose route, method, media types, parameters and body are sound.
pub(super) enum Call {
    List(Page),
    Create(Draft),
    Get(String),
    Update(String, Draft),
    Delete(String),
    Exists(String),
    Usage(String),
    RoleExists(String),
}

impl Call {
    pub(super) fn need(&self) -> Need {
        match self {
            Self::List(_) | Self::Get(_) => Need::List,
            Self::Create(_) | Self::Update(..) | Self::Delete(_) => Need::Write,
            Self::Exists(_) | Self::RoleExists(_) => Need::Exists,
            Self::Usage(_) => Need::Usage,
        }
    }

    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Create(_) => COLLECTION,
            Self::Get(_) | Self::Update(..) | Self::Delete(_) | Self::Exists(_) => ITEM,
            Self::Usage(_) => USAGE,
            Self::RoleExists(_) => ROLE,
        }
    }
}

/// Everything that is decided before credentials are looked at. The error is the answer.
pub(super) fn parse(request: &Request, version: &Version) -> Result<Call, Box<Response>> {
    let (route, id) = route(&request.path, version).ok_or_else(|| answer::empty(UNROUTED, 404))?;
    let method = request.method.as_str();
    let methods: &[&str] = match route {
        COLLECTION => &["GET", "POST", "HEAD"],
        ITEM => &["GET", "PUT", "DELETE", "HEAD"],
        USAGE => &["GET", "HEAD"],
        _ => &["HEAD"],
    };
    if request.method == Method::OPTIONS || !methods.contains(&method) {
        let status = if request.method == Method::OPTIONS {
            200
        } else {
            405
        };
        let allow = HeaderValue::from_str(&methods.join(",")).expect("method names are ASCII");
        return Err(answer::with_header(answer::empty(route, status), ALLOW, allow).into());
    }
    let has_body = matches!(method, "POST" | "PUT");
    if has_body
        && !takes(
            answer::header(request, CONTENT_TYPE)
                .as_deref()
                .unwrap_or("*/*"),
            true,
        )
    {
        return Err(answer::empty(route, 415).into());
    }
    if !takes(
        answer::header(request, ACCEPT).as_deref().unwrap_or("*/*"),
        false,
    ) {
        return Err(answer::empty(route, 406).into());
    }

    Ok(match (route, method) {
        (COLLECTION, "POST") => Call::Create(draft(request, route)?),
        (COLLECTION, _) => {
            Call::List(page(request.query.as_deref()).ok_or_else(|| answer::empty(route, 404))?)
        }
        (ITEM, "PUT") => Call::Update(id, draft(request, route)?),
        (ITEM, "DELETE") => Call::Delete(id),
        (ITEM, "HEAD") => Call::Exists(id),
        (USAGE, _) => Call::Usage(id),
        (ROLE, _) => Call::RoleExists(id),
        _ => Call::Get(id),
    })
}

/// The template of a path and the id in it, if there is one.
pub(super) fn route(path: &str, version: &Version) -> Option<(&'static str, String)> {
    let mut segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .skip(3)
        // Matrix parameters are cut off each segment.
        .map(|segment| target::percent_decode(segment.split(';').next().unwrap_or_default()))
        // The version may stand there more than once.
        .skip_while(|segment| version.is_mine(segment))
        .collect();
    let route = match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["scopes"] => COLLECTION,
        ["scopes", _] => ITEM,
        ["scopes", _, "usage"] => USAGE,
        ["roles", _] => ROLE,
        _ => return None,
    };
    let id = if route == COLLECTION {
        String::new()
    } else {
        segments.swap_remove(1)
    };
    Some((route, id))
}

/// Whether a media type header leaves room for JSON. What is no media type at all counts as a wildcard.
fn takes(header: &str, empty_counts: bool) -> bool {
    if header.trim().is_empty() {
        return empty_counts;
    }
    header.split(',').any(|range| {
        let range = range
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        !range.contains('/')
            || matches!(range.as_str(), "application/json" | "application/*" | "*/*")
    })
}

fn page(query: Option<&str>) -> Option<Page> {
    let parameter =
        |name, default| match target::query_parameter(query.unwrap_or_default(), &['&'], name) {
            Some(value) if !value.is_empty() => value.parse::<i32>().ok(),
            _ => Some(default),
        };
    Some(Page {
        offset: parameter("offset", 0)?,
        limit: parameter("limit", DEFAULT_LIMIT)?,
    })
}

fn draft(request: &Request, route: &'static str) -> Result<Draft, Box<Response>> {
    if !request.headers.contains_key(CONTENT_TYPE) {
        return Err(internal_error(route).into());
    }
    Draft::read(&request.body).map_err(|refused| {
        Box::new(match refused {
            Refused::Invalid(description) => error(route, 400, 400, "Bad Request", &description),
            Refused::Nothing => internal_error(route),
        })
    })
}
