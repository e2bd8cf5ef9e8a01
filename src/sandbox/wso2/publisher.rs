//! The Publisher's shared scopes, `/api/am/publisher/v4/scopes`.
//!
//! What a client must not expect of it:
//!
//! | call | surprise |
//! |---|---|
//! | POST of a name that reads as JSON | 500, and the name is taken for good without being in the list |
//! | PUT of another name | 200, the name stays |
//! | PUT without bindings | removes them |
//! | PUT, DELETE while the key manager refuses | 200, and the key manager keeps the scope: the name cannot be made again |
//! | GET of one scope | `usageCount` is always 0: only the list counts |
//! | DELETE | 200, not 204 |
//! | bad credentials, missing scopes | both 401: there is no 403 |
//!
//! Requests are refused in this order: the route, the method, the media types, parameters and body, the credentials,
//! the length of values. Only then does the service run.

mod body;
mod store;

use http::Method;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use serde_json::{Value as Json, json};

use self::body::{Draft, Refused, reads_as_json};
pub(super) use self::store::{Definition, Usage};
use self::store::{Shared, Store};
use super::super::wire::{Request, Response, UNROUTED};
use super::accounts::{Accounts, decode_base64url, roles_grant};
use super::paging::{DEFAULT_LIMIT, Page};
use super::world::{KeyManager, LocalScope, SharedScope, SharedScopeOrder, Switches};
use super::{answer, target, tokens};

/// What every path of this API starts with.
pub(super) const PREFIX: &str = "/api/am/publisher";
const COLLECTION: &str = "/api/am/publisher/scopes";
const ITEM: &str = "/api/am/publisher/scopes/{scopeId}";
const USAGE: &str = "/api/am/publisher/scopes/{scopeId}/usage";
const ROLE: &str = "/api/am/publisher/roles/{roleId}";

const BINDING_LENGTH: usize = 255;

/// Which version segment the server answers to: it knows its own, and the latest minor of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    major: u8,
    minor: Option<u8>,
}

impl Version {
    /// Reads `v4` or `v4.5`.
    ///
    /// # Errors
    /// Anything else, and majors that were never released.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.strip_prefix('v').and_then(|numbers| {
            let (major, minor) = match numbers.split_once('.') {
                Some((major, minor)) => (major, Some(minor.parse().ok()?)),
                None => (numbers, None),
            };
            Some(Self {
                major: major.parse().ok()?,
                minor,
            })
        });
        parsed
            .filter(|version| (1..=4).contains(&version.major))
            .ok_or_else(|| format!("publisherVersion: {text:?} is none of v1, v2, v3, v4, v4.5"))
    }

    fn is_mine(&self, segment: &str) -> bool {
        let minor = self.minor.or((self.major == 4).then_some(5));
        segment == format!("v{}", self.major)
            || minor.is_some_and(|minor| segment == format!("v{}.{minor}", self.major))
    }

    /// The OAuth scopes of which one suffices. 4.1 took more of them in.
    fn accepted_scopes(&self, need: Need) -> &'static [&'static str] {
        match (need, self.major >= 3) {
            (Need::List | Need::Usage, false) => &["apim:api_view"],
            (Need::List, true) => &["apim:api_view", "apim:shared_scope_manage"],
            (Need::Write, _) => &["apim:shared_scope_manage"],
            (Need::Exists, false) => &["apim:api_create", "apim:api_publish"],
            (Need::Exists, true) => &[
                "apim:api_create",
                "apim:api_publish",
                "apim:api_manage",
                "apim:shared_scope_manage",
            ],
            (Need::Usage, true) => &[
                "apim:api_view",
                "apim:api_manage",
                "apim:shared_scope_manage",
            ],
        }
    }
}

impl Default for Version {
    fn default() -> Self {
        Self {
            major: 4,
            minor: None,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "v{}", self.major)?;
        match self.minor {
            Some(minor) => write!(formatter, ".{minor}"),
            None => Ok(()),
        }
    }
}

/// What a call needs permission for.
#[derive(Debug, Clone, Copy)]
enum Need {
    List,
    Write,
    Exists,
    Usage,
}

/// A call whose route, method, media types, parameters and body are sound.
enum Call {
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
    fn need(&self) -> Need {
        match self {
            Self::List(_) | Self::Get(_) => Need::List,
            Self::Create(_) | Self::Update(..) | Self::Delete(_) => Need::Write,
            Self::Exists(_) | Self::RoleExists(_) => Need::Exists,
            Self::Usage(_) => Need::Usage,
        }
    }

    fn route(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Create(_) => COLLECTION,
            Self::Get(_) | Self::Update(..) | Self::Delete(_) | Self::Exists(_) => ITEM,
            Self::Usage(_) => USAGE,
            Self::RoleExists(_) => ROLE,
        }
    }
}

/// The service with its tables.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    pub(super) version: Version,
    store: Store,
}

impl Publisher {
    /// # Errors
    /// What cannot stand in the tables.
    pub(super) fn load(
        version: Version,
        shared: Vec<SharedScope>,
        local: Vec<LocalScope>,
        key_manager: Vec<String>,
    ) -> Result<Self, String> {
        let store = Store::load(shared, local, key_manager)?;
        Ok(Self { version, store })
    }

    /// The shared scopes, the scopes of single APIs, and the key manager's orphans.
    pub(super) fn world(&self) -> (Vec<SharedScope>, Vec<LocalScope>, Vec<String>) {
        self.store.world()
    }

    /// Adds a shared scope behind the API's back; false if the name is taken.
    pub(super) fn add(&mut self, name: &str, definition: Definition) -> bool {
        let is_free = !self.store.is_defined(name);
        if is_free {
            self.store.add(name.to_owned(), definition);
        }
        is_free
    }

    /// Changes a shared scope behind the API's back; false if there is none of that name.
    pub(super) fn update(
        &mut self,
        name: &str,
        change: impl FnOnce(Definition) -> Definition,
    ) -> bool {
        let Some(definition) = self
            .store
            .by_name(name)
            .map(|scope| scope.definition.clone())
        else {
            return false;
        };
        self.store.redefine(name, change(definition));
        true
    }

    /// Removes a shared scope behind the API's back; false if there is none of that name.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.store.by_name(name).is_some() && self.store.remove(name)
    }

    /// Says who uses a shared scope; false if there is none of that name.
    pub(super) fn set_usage(&mut self, name: &str, usage: Usage) -> bool {
        let exists = self.store.by_name(name).is_some();
        if exists {
            self.store.set_usage(name, usage);
        }
        exists
    }

    /// The template under which a call to a path is counted.
    pub(super) fn route_template(&self, path: &str) -> &'static str {
        route(path, &self.version).map_or(UNROUTED, |(route, _)| route)
    }

    pub(super) fn handle(
        &mut self,
        request: &Request,
        accounts: &Accounts,
        switches: &Switches,
    ) -> Response {
        match parse(request, &self.version) {
            Err(refusal) => *refusal,
            Ok(call) if !self.may(request, call.need(), accounts) => unauthenticated(call.route()),
            Ok(call) => self.invoke(request, call, accounts, switches),
        }
    }

    fn may(&self, request: &Request, need: Need, accounts: &Accounts) -> bool {
        if !accounts.required {
            return true;
        }
        let accepted = self.version.accepted_scopes(need);
        let header = answer::header(request, AUTHORIZATION).unwrap_or_default();
        if let Some(access) = header.strip_prefix("Bearer ") {
            return accounts
                .token(access.trim(), request.now)
                .is_some_and(|token| {
                    token
                        .scopes
                        .iter()
                        .any(|granted| accepted.contains(&granted.as_str()))
                });
        }
        tokens::basic(request)
            .and_then(|(name, password)| accounts.user(&name, &password))
            .is_some_and(|user| accepted.iter().any(|scope| roles_grant(&user.roles, scope)))
    }

    fn invoke(
        &mut self,
        request: &Request,
        call: Call,
        accounts: &Accounts,
        switches: &Switches,
    ) -> Response {
        match call {
            Call::List(page) => self.list(page, switches),
            Call::Get(id) => match self.store.by_id(&id) {
                Some(scope) => answer::value(ITEM, 200, &scope_json(scope, 0)),
                None => unknown_scope(ITEM, &id),
            },
            Call::Create(draft) => self.create(request, &draft, switches),
            Call::Update(id, draft) => self.replace(&id, &draft, switches),
            Call::Delete(id) => self.delete(&id, switches),
            Call::Exists(encoded) => self.exists(&encoded, switches),
            Call::Usage(id) => match self.store.by_id(&id) {
                Some(scope) => answer::value(USAGE, 200, &usage_json(scope)),
                None => unknown_scope(USAGE, &id),
            },
            Call::RoleExists(encoded) => match decode_base64url(&encoded) {
                // A literal `=` does not get through to the service.
                _ if encoded.contains('=') => unauthenticated(ROLE),
                Some(role) => answer::empty(ROLE, if accounts.has_role(&role) { 200 } else { 404 }),
                None => internal_error(ROLE),
            },
        }
    }

    fn list(&self, page: Page, switches: &Switches) -> Response {
        let total = self.store.len();
        let size = i32::try_from(total).unwrap_or(i32::MAX);
        // The real service's own arithmetic: a negative offset or limit shows nothing, and so does an overflow.
        let start = if (0..size).contains(&page.offset) {
            page.offset
        } else {
            i32::MAX
        };
        let end = start.wrapping_add(page.limit).wrapping_sub(1).min(size - 1);
        let skipped = usize::try_from(start).unwrap_or(usize::MAX);
        let wanted = usize::try_from(i64::from(end) - i64::from(start) + 1).unwrap_or(0);
        let listed: Vec<Json> = match switches.shared_scope_order {
            SharedScopeOrder::Insertion => self
                .store
                .shared()
                .skip(skipped)
                .take(wanted)
                .map(listed_json)
                .collect(),
            SharedScopeOrder::Id => self
                .store
                .shared_by_id()
                .skip(skipped)
                .take(wanted)
                .map(listed_json)
                .collect(),
        };
        let (next, previous) = page.links(total);
        let body = json!({
            "count": listed.len(),
            "list": listed,
            "pagination": {
                "offset": page.offset,
                "limit": page.limit,
                "total": total,
                "next": next,
                "previous": previous,
            },
        });
        answer::value(COLLECTION, 200, &body)
    }

    fn create(&mut self, request: &Request, draft: &Draft, switches: &Switches) -> Response {
        let violations = draft.violations();
        let (Some(name), true) = (&draft.name, violations.is_empty()) else {
            return invalid(COLLECTION, &violations);
        };
        let Some(definition) = definition(draft) else {
            return display_name_missing(COLLECTION);
        };
        if switches.refuses_reserved_names && name.starts_with("apim:") {
            let description = format!("Scope name {name} starts with a restricted prefix");
            return error(COLLECTION, 400, 901_004, "Invalid scope name", &description);
        }
        if self.store.is_defined(name) || (switches.asks_key_manager && self.store.is_orphan(name))
        {
            return error(
                COLLECTION,
                409,
                900_984,
                "Scope already exists",
                &format!("Scope {name} already exists"),
            );
        }
        if switches.asks_key_manager && switches.key_manager != KeyManager::Reachable {
            return internal_error(COLLECTION);
        }
        if has_long_binding(&definition) {
            return general_error(COLLECTION);
        }
        if reads_as_json(name) {
            self.store.insert_local(name.clone(), definition);
            return internal_error(COLLECTION);
        }
        let bindings = definition.bindings.clone();
        // A POST looks at the roles as one text, and at nothing in it if that text is blank.
        let bindings = if target::is_blank(&bindings.join(",")) {
            Vec::new()
        } else {
            bindings
        };
        let id = self.store.add(
            name.clone(),
            Definition {
                bindings,
                ..definition
            },
        );
        let body = self
            .store
            .by_id(&id)
            .map(|scope| scope_json(scope, 0))
            .unwrap_or_default();
        let answer = answer::value(COLLECTION, 201, &body);
        match HeaderValue::from_str(&format!("{}{COLLECTION}/{id}", answer::origin(request))) {
            Ok(location) => answer::with_header(answer, LOCATION, location),
            Err(_) => answer,
        }
    }

    fn replace(&mut self, id: &str, draft: &Draft, switches: &Switches) -> Response {
        let violations = draft.violations();
        if !violations.is_empty() {
            return invalid(ITEM, &violations);
        }
        let Some(definition) = definition(draft) else {
            return display_name_missing(ITEM);
        };
        // The name of the body is looked at for its length, and for nothing else.
        let Some(name) = self.store.by_id(id).map(|scope| scope.name.to_owned()) else {
            return unknown_scope(ITEM, id);
        };
        if is_cut_off(switches) {
            return internal_error(ITEM);
        }
        if has_long_binding(&definition) {
            return general_error(ITEM);
        }
        self.store.redefine(&name, definition);
        if reads_as_json(&name) {
            return internal_error(ITEM);
        }
        let body = self
            .store
            .by_id(id)
            .map(|scope| scope_json(scope, 0))
            .unwrap_or_default();
        answer::value(ITEM, 200, &body)
    }

    fn delete(&mut self, id: &str, switches: &Switches) -> Response {
        let Some(scope) = self.store.by_id(id) else {
            return unknown_scope(ITEM, id);
        };
        if scope.usage.is_some_and(|usage| usage.total() > 0) {
            let description = format!("Shared Scope {id} is already used by one or more APIs");
            return error(
                ITEM,
                409,
                900_985,
                "Shared Scope already attached",
                &description,
            );
        }
        if is_cut_off(switches) {
            return internal_error(ITEM);
        }
        let name = scope.name.to_owned();
        self.store.remove(&name);
        if switches.key_manager != KeyManager::Reachable {
            self.store.add_orphan(&name);
        }
        if reads_as_json(&name) {
            return internal_error(ITEM);
        }
        answer::empty(ITEM, 200)
    }

    fn exists(&self, encoded: &str, switches: &Switches) -> Response {
        let Some(name) = decode_base64url(encoded) else {
            return internal_error(ITEM);
        };
        if switches.asks_key_manager && switches.key_manager != KeyManager::Reachable {
            return internal_error(ITEM);
        }
        // Before the key manager was asked, these counted as allowed anywhere, and so as no scope of their own.
        let is_allowed_anywhere =
            !switches.asks_key_manager && (name == "openid" || name.starts_with("device_"));
        let is_known = self.store.is_defined(&name)
            || (switches.asks_key_manager && self.store.is_orphan(&name));
        if is_known && !is_allowed_anywhere {
            answer::json(ITEM, 200, "")
        } else {
            answer::empty(ITEM, 404)
        }
    }
}

/// Whether a write fails without effect because the key manager cannot be reached.
fn is_cut_off(switches: &Switches) -> bool {
    switches.asks_key_manager && switches.key_manager == KeyManager::Unreachable
}

/// Everything that is decided before credentials are looked at. The error is the answer.
fn parse(request: &Request, version: &Version) -> Result<Call, Box<Response>> {
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
fn route(path: &str, version: &Version) -> Option<(&'static str, String)> {
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

/// What a draft makes of its scope; none without a display name.
fn definition(draft: &Draft) -> Option<Definition> {
    Some(Definition {
        display_name: draft.display_name.clone().filter(|name| !name.is_empty())?,
        description: draft.description.clone(),
        bindings: draft.roles(),
    })
}

fn has_long_binding(definition: &Definition) -> bool {
    definition
        .bindings
        .iter()
        .any(|binding| target::utf16_length(binding) > BINDING_LENGTH)
}

fn listed_json(scope: Shared<'_>) -> Json {
    scope_json(scope, scope.usage.map_or(0, Usage::total))
}

fn scope_json(scope: Shared<'_>, usage_count: usize) -> Json {
    json!({
        "id": scope.id,
        "name": scope.name,
        "displayName": scope.definition.display_name,
        "description": scope.definition.description,
        "bindings": scope.definition.bindings,
        "usageCount": usage_count,
    })
}

fn usage_json(scope: Shared<'_>) -> Json {
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

fn error(
    route: &'static str,
    status: u16,
    code: u32,
    message: &str,
    description: &str,
) -> Response {
    detailed_error(route, status, code, message, description, &[])
}

fn detailed_error(
    route: &'static str,
    status: u16,
    code: u32,
    message: &str,
    description: &str,
    details: &[Json],
) -> Response {
    let body = json!({
        "code": code,
        "message": message,
        "description": description,
        "moreInfo": "",
        "error": details,
    });
    answer::value(route, status, &body)
}

fn invalid(route: &'static str, violations: &[Json]) -> Response {
    detailed_error(
        route,
        400,
        400,
        "Bad Request",
        "Validation Error",
        violations,
    )
}

fn display_name_missing(route: &'static str) -> Response {
    let message = "Shared Scope display name not specified";
    error(route, 400, 900_987, message, message)
}

fn unknown_scope(route: &'static str, id: &str) -> Response {
    // Both spaces are the real server's.
    let description = format!("Requested Shared Scope ID  {id} could not be found");
    error(route, 404, 900_981, "Shared Scope not found", &description)
}

fn unauthenticated(route: &'static str) -> Response {
    error(route, 401, 401, "", "Unauthenticated request")
}

fn general_error(route: &'static str) -> Response {
    error(
        route,
        500,
        900_967,
        "General Error",
        "Server Error Occurred",
    )
}

fn internal_error(route: &'static str) -> Response {
    let description = "The server encountered an internal error. Please contact administrator.";
    error(route, 500, 500, "Internal server error", description)
}
