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

mod answers;
mod body;
mod call;
mod store;
mod version;

use http::header::{AUTHORIZATION, HeaderValue, LOCATION};

use self::answers::{
    ListBody, Pagination, ScopeBody, display_name_missing, error, general_error, internal_error,
    invalid, unauthenticated, unknown_scope, usage_json,
};
use self::body::{Draft, reads_as_json};
use self::call::{Call, parse, route};
use self::store::Definition;
use self::store::Store;
use self::version::Need;
pub(super) use self::version::Version;
use super::super::wire::{Request, Response, UNROUTED};
use super::accounts::{Accounts, decode_base64url, roles_grant};
use super::paging::Page;
use super::world::{KeyManager, LocalScope, SharedScope, SharedScopeOrder, Switches};
use super::{answer, target, tokens};

/// What every path of this API starts with.
pub(super) const PREFIX: &str = "/api/am/publisher";
const COLLECTION: &str = "/api/am/publisher/scopes";
const ITEM: &str = "/api/am/publisher/scopes/{scopeId}";
const USAGE: &str = "/api/am/publisher/scopes/{scopeId}/usage";
const ROLE: &str = "/api/am/publisher/roles/{roleId}";

const BINDING_LENGTH: usize = 255;

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
                Some(scope) => answer::value(ITEM, 200, &ScopeBody::alone(scope)),
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
        let listed: Vec<ScopeBody<'_>> = match switches.shared_scope_order {
            SharedScopeOrder::Insertion => self
                .store
                .shared()
                .skip(skipped)
                .take(wanted)
                .map(ScopeBody::listed)
                .collect(),
            SharedScopeOrder::Id => self
                .store
                .shared_by_id()
                .skip(skipped)
                .take(wanted)
                .map(ScopeBody::listed)
                .collect(),
        };
        let (next, previous) = page.links(total);
        let body = ListBody {
            count: listed.len(),
            list: listed,
            pagination: Pagination {
                offset: page.offset,
                limit: page.limit,
                total,
                next,
                previous,
            },
        };
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
        let body = self.store.by_id(&id).map(ScopeBody::alone);
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
        let body = self.store.by_id(id).map(ScopeBody::alone);
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
