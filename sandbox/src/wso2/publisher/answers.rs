//! The bodies that the Publisher answers with.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::super::wire::Response;
use super::super::answer;
use super::store::{Shared, Usage};

/// A scope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScopeBody<'a> {
    id: &'a str,
    name: &'a str,
    display_name: &'a str,
    description: Option<&'a str>,
    bindings: &'a [String],
    usage_count: usize,
}

impl<'a> ScopeBody<'a> {
    /// As POST, PUT and GET of one scope show it: unused, whatever is true.
    pub(super) fn alone(scope: Shared<'a>) -> Self {
        Self {
            id: scope.id,
            name: scope.name,
            display_name: &scope.definition.display_name,
            description: scope.definition.description.as_deref(),
            bindings: &scope.definition.bindings,
            usage_count: 0,
        }
    }

    /// As the list shows it.
    pub(super) fn listed(scope: Shared<'a>) -> Self {
        Self {
            usage_count: scope.usage.map_or(0, Usage::total),
            ..Self::alone(scope)
        }
    }
}

/// A page of scopes.
#[derive(Serialize)]
pub(super) struct ListBody<'a> {
    pub(super) count: usize,
    pub(super) list: Vec<ScopeBody<'a>>,
    pub(super) pagination: Pagination,
}

/// Where a page stands.
#[derive(Serialize)]
pub(super) struct Pagination {
    pub(super) offset: i32,
    pub(super) limit: i32,
    pub(super) total: usize,
    pub(super) next: String,
    pub(super) previous: String,
}

/// Which APIs use a scope, in the older form and in the newer one.
pub(super) fn usage_json(scope: Shared<'_>) -> Json {
    let apis = |revision: &str, with_type: bool| -> Vec<Json> {
        let used_by = scope
            .usage
            .map(|usage| usage.used_by.as_slice())
            .unwrap_or_default();
        used_by
            .iter()
            .map(|used_by| {
                let api = used_by.api();
                let resources: Vec<Json> = api
                    .operations
                    .iter()
                    .map(|operation| json!({"target": operation.target, "verb": operation.verb}))
                    .collect();
                let mut body = json!({
                    "name": api.name,
                    "context": api.context,
                    "version": api.version,
                    "provider": api.provider,
                    revision: null,
                });
                if with_type {
                    body["type"] = json!("API");
                }
                body["usedResourceList"] = json!(resources);
                body
            })
            .collect()
    };
    json!({
        "id": scope.id,
        "name": scope.name,
        "usedApiList": apis("revisionID", false),
        "usages": apis("revisionId", true),
    })
}

pub(super) fn error(
    route: &'static str,
    status: u16,
    code: u32,
    message: &str,
    description: &str,
) -> Response {
    answer::value(route, status, &error_body(code, message, description, &[]))
}

fn error_body(code: u32, message: &str, description: &str, details: &[Json]) -> Json {
    json!({
        "code": code,
        "message": message,
        "description": description,
        "moreInfo": "",
        "error": details,
    })
}

pub(super) fn invalid(route: &'static str, violations: &[Json]) -> Response {
    let body = error_body(400, "Bad Request", "Validation Error", violations);
    answer::value(route, 400, &body)
}

pub(super) fn display_name_missing(route: &'static str) -> Response {
    let message = "Shared Scope display name not specified";
    error(route, 400, 900_987, message, message)
}

pub(super) fn unknown_scope(route: &'static str, id: &str) -> Response {
    // Both spaces are the real server's.
    let description = format!("Requested Shared Scope ID  {id} could not be found");
    error(route, 404, 900_981, "Shared Scope not found", &description)
}

pub(super) fn unauthenticated(route: &'static str) -> Response {
    error(route, 401, 401, "", "Unauthenticated request")
}

pub(super) fn general_error(route: &'static str) -> Response {
    error(
        route,
        500,
        900_967,
        "General Error",
        "Server Error Occurred",
    )
}

pub(super) fn internal_error(route: &'static str) -> Response {
    let description = "The server encountered an internal error. Please contact administrator.";
    error(route, 500, 500, "Internal server error", description)
}
