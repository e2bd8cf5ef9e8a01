//! The bodies that the scope registration API answers with: Gson's JSON, and the framework's lines of text.

use http::header::{HeaderValue, WWW_AUTHENTICATE};

use super::super::super::wire::{Response, UNROUTED};
use super::super::paging::Page;
use super::super::{answer, gson, target};
use super::ITEM;
use super::table::Row;

/// A page of scopes, blank bindings and unreadable scopes included.
pub(super) fn list(rows: &[&Row], page: Page, total: usize) -> Vec<u8> {
    let (next, previous) = page.links(total);
    let mut body = Vec::with_capacity(64 * rows.len() + 128);
    body.extend_from_slice(format!("{{\"count\":{},\"list\":[", rows.len()).as_bytes());
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_scope(&mut body, row, |_| true);
    }
    let Page { offset, limit } = page;
    body.extend_from_slice(
        format!(
            "],\"pagination\":{{\"total\":{total},\"offset\":{offset},\"limit\":{limit},\"next\":"
        )
        .as_bytes(),
    );
    gson::write_text(&mut body, &next);
    body.extend_from_slice(b",\"previous\":");
    gson::write_text(&mut body, &previous);
    body.extend_from_slice(b"}}");
    body
}

/// A scope as the calls for one scope show it: blank bindings are left out.
pub(super) fn readable(row: &Row) -> Vec<u8> {
    let mut body = Vec::new();
    write_scope(&mut body, row, |binding| !target::is_blank(binding));
    body
}

pub(super) fn write_scope(out: &mut Vec<u8>, row: &Row, shows: impl Fn(&str) -> bool) {
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

pub(super) fn error(
    route: &'static str,
    status: u16,
    code: u32,
    message: &str,
    description: &str,
) -> Response {
    let body = serde_json::json!({"code": code, "message": message, "description": description});
    answer::value(route, status, &body)
}

pub(super) fn unknown_scope() -> Response {
    error(ITEM, 404, 900_401, "Not found", "Scope not found")
}

pub(super) fn server_error(route: &'static str) -> Response {
    error(
        route,
        500,
        900_300,
        "General Error",
        "Server Error Occurred",
    )
}

pub(super) fn authentication_error(
    route: &'static str,
    status: u16,
    message: &str,
    description: &str,
) -> Response {
    let body =
        serde_json::json!({"code": 0, "message": message, "description": description, "error": []});
    answer::value(route, status, &body)
}

pub(super) fn unauthorized(route: &'static str) -> Response {
    let answer = authentication_error(
        route,
        401,
        "Authentication Failure",
        "Authentication Failure",
    );
    answer::with_header(answer, WWW_AUTHENTICATE, HeaderValue::from_static("Basic"))
}

/// What became of a scope that was stored and cannot be read back.
pub(super) fn null_pointer(route: &'static str) -> Response {
    text(route, "Exception occurred :null")
}

pub(super) fn not_found(uri: &str) -> Response {
    framework_text(
        UNROUTED,
        404,
        &format!("Problem accessing: {uri}. Reason: Not Found"),
    )
}

pub(super) fn text(route: &'static str, message: &str) -> Response {
    framework_text(route, 500, message)
}

/// A line of text from the framework, which counts characters where it should count bytes and so cuts the line short
/// by as many bytes as there are beyond ASCII.
pub(super) fn framework_text(route: &'static str, status: u16, message: &str) -> Response {
    let mut bytes = message.as_bytes().to_vec();
    bytes.truncate(target::utf16_length(message));
    Response {
        body: bytes.into(),
        ..answer::empty(route, status)
    }
}
