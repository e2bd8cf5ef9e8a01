//! Apigee Edge and Apigee X, as far as developers, apps, consumer keys, API products and their OAuth scopes go.
//!
//! ```text
//! request -> path.rs (resource) -> auth.rs (caller) -> keys.rs apps.rs listing.rs holders.rs products.rs -> view.rs
//!                                                                      |                                 answer.rs
//!                                                        store.rs, switches.rs (what facts do not settle)
//! ```
//! One organization is one system of a world, and its edition decides shapes and statuses:
//!
//! | | Edge | X |
//! |---|---|---|
//! | numbers, empty lists | `-1`, `[]` | `"-1"`, left out |
//! | plain lists | `["a"]` | `{"apiProduct":[{"name":"a"}]}`, `{}` |
//! | teams | companies, their keys take PUT | app groups, their keys take POST `{"appGroupAppKey":{...}}` |
//! | removing a product that a key has not | 500 | 400 |
//! | authentication | Basic, or tokens of `/oauth/token` | tokens of `/token`, or signed by a service account |
//!
//! JSON is the only body that is read or written.

mod answer;
mod apps;
mod attributes;
mod auth;
mod body;
#[cfg(test)]
mod drifts;
mod holders;
pub(super) mod ids;
mod keys;
mod listing;
mod lookup;
mod path;
mod products;
mod query;
mod scopes;
mod store;
mod switches;
#[cfg(test)]
mod testing;
mod view;
mod world;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::answer::{Answer, Fault, respond};
use self::auth::Auth;
use self::body::Body;
use self::lookup::AppPath;
use self::path::{Attributes, Place, Resource};
use self::query::Query;
use self::store::Store;
use self::switches::{NullEntries, Switches};
use self::view::Shape;
use self::world::World;
use super::wire::{Emulated, Label, Request, Response, UNROUTED};

/// Which Apigee an organization lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Edition {
    Edge,
    X,
}

/// An emulated organization with the people who may call it.
#[derive(Debug)]
pub(crate) struct Apigee {
    organization: Organization,
    auth: Auth,
}

/// What an organization stores and how it behaves.
#[derive(Debug)]
struct Organization {
    name: String,
    edition: Edition,
    switches: Switches,
    store: Store,
    /// Counts what was made, so that two ids of one moment differ.
    made: u64,
}

/// A request, with what every handler needs of it.
struct Call<'a> {
    request: &'a Request,
    query: Query,
    /// Milliseconds since 1970.
    now: i64,
    null_entries: NullEntries,
}

impl<'a> Call<'a> {
    fn of(request: &'a Request, null_entries: NullEntries) -> Self {
        Self {
            null_entries,
            request,
            query: Query::parse(request.query.as_deref()),
            now: request.now.as_millisecond(),
        }
    }
}

impl Apigee {
    /// Reads an organization from what a world file has below `apigee`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn load(value: Value) -> Result<Self, String> {
        let mut world: World = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if world.organization.is_empty() {
            return Err("`organization` is empty".to_owned());
        }
        let store = world.take_store()?;
        Ok(Self {
            organization: Organization {
                name: world.organization,
                edition: world.edition,
                switches: world.switches,
                store,
                made: world.made,
            },
            auth: Auth::new(world.credentials, world.session),
        })
    }

    fn answer(&mut self, request: &Request, resource: Resource) -> Result<Answer, Fault> {
        let Self { organization, auth } = self;
        let caller = auth.caller(organization.edition, &organization.switches, request)?;
        auth::may_write(&caller, organization.edition, &request.method)?;
        let nulls = organization.switches.null_entries(organization.edition);
        organization.answer(&Call::of(request, nulls), resource)
    }
}

impl Emulated for Apigee {
    fn handle(&mut self, request: &Request) -> Response {
        let edition = self.organization.edition;
        if let Some(route) = auth::route(edition, &request.path) {
            return self
                .auth
                .token(edition, &self.organization.switches, request, route);
        }
        let (resource, route) = match self.organization.find(&request.path) {
            Found::Resource(resource) => {
                let route = resource.template();
                (resource, route)
            }
            Found::OtherOrganization => {
                let route = Resource::Organization.template();
                let fault = self.organization.unknown_organization();
                return fault.into_response(edition, route, true);
            }
            Found::Nothing => return answer::no_such_path(edition),
        };
        match self.answer(request, resource) {
            Ok(answer) => respond(edition, route, answer),
            Err(fault) => {
                fault.into_response(edition, route, self.organization.switches.error_details)
            }
        }
    }

    fn label(&self, request: &Request) -> Label {
        if let Some(route) = auth::route(self.organization.edition, &request.path) {
            return Label { route, token: true };
        }
        let route = match self.organization.find(&request.path) {
            Found::Resource(resource) => resource.template(),
            Found::OtherOrganization => Resource::Organization.template(),
            Found::Nothing => UNROUTED,
        };
        Label {
            route,
            token: false,
        }
    }

    fn serves(&self, path: &str) -> bool {
        auth::route(self.organization.edition, path).is_some()
            || match path::place(path) {
                Place::Organizations => true,
                Place::Below { organization, .. } => organization == self.organization.name,
                Place::Elsewhere => false,
            }
    }

    fn reload(&mut self, world: Value) -> Result<(), String> {
        *self = Self::load(world)?;
        Ok(())
    }

    fn expire_tokens(&mut self) {
        self.auth.expire_tokens();
    }

    fn sessions(&self) -> Value {
        json!(self.auth.session)
    }

    fn resume(&mut self, sessions: Value) {
        self.auth.session =
            serde_json::from_value(sessions).expect("this is an organization's own session");
    }

    fn world(&self) -> Value {
        serde_json::to_value(World::of(&self.organization, &self.auth))
            .expect("a world has string keys and cannot fail")
    }
}

/// What a path of the management API leads to.
enum Found {
    Resource(Resource),
    OtherOrganization,
    Nothing,
}

impl Organization {
    fn find(&self, path: &str) -> Found {
        match path::place(path) {
            Place::Organizations => Found::Resource(Resource::Organizations),
            Place::Below { organization, rest } if organization == self.name => {
                path::resource(self.edition, rest).map_or(Found::Nothing, Found::Resource)
            }
            Place::Below { .. } => Found::OtherOrganization,
            Place::Elsewhere => Found::Nothing,
        }
    }

    fn answer(&mut self, call: &Call<'_>, resource: Resource) -> Result<Answer, Fault> {
        match resource {
            Resource::Organizations => self.list_organizations(call),
            Resource::Organization => self.describe(call),
            Resource::Apps => self.apps(call),
            Resource::App { id } => self.app_by_id(call, &id),
            Resource::Products => self.products(call),
            Resource::Product {
                name,
                sub: Attributes::None,
            } => self.product(call, &name),
            Resource::Product { name, sub } => {
                let edition = self.edition;
                attributes::answer(call, edition, self.product_attributes(&name)?, sub)
            }
            Resource::Holders(kind) => self.holders(call, kind),
            Resource::Holder { kind, name, sub } => self.holder(call, kind, &name, sub),
            Resource::HolderApps { kind, holder } => self.holder_apps(call, kind, &holder),
            Resource::HolderApp {
                kind,
                holder,
                app,
                sub,
            } => {
                let (holder, app) = (&holder, &app);
                self.holder_app(call, AppPath { kind, holder, app }, sub)
            }
            Resource::Keys { kind, holder, app } => {
                let (holder, app) = (&holder, &app);
                self.keys(call, AppPath { kind, holder, app })
            }
            Resource::Key {
                kind,
                holder,
                app,
                key,
            } => {
                let (holder, app) = (&holder, &app);
                self.key(call, AppPath { kind, holder, app }, &key)
            }
            Resource::KeyProduct {
                kind,
                holder,
                app,
                key,
                product,
            } => {
                let (holder, app) = (&holder, &app);
                self.key_product(call, AppPath { kind, holder, app }, &key, &product)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape {
            edition: self.edition,
            scope_order: self.switches.scope_order,
            credential_order: self.switches.credential_order,
        }
    }

    fn body(&self, call: &Call<'_>) -> Result<Body, Fault> {
        Body::read(self.edition, call)
    }

    /// Makes up an id that was not there before.
    fn uuid(&mut self, purpose: &str, call_now: i64) -> String {
        self.made += 1;
        ids::uuid(&[
            purpose,
            &self.name,
            &call_now.to_string(),
            &self.made.to_string(),
        ])
    }

    /// Makes up a consumer key or secret.
    fn letters(&mut self, purpose: &str, call_now: i64, length: usize) -> String {
        self.made += 1;
        let parts = [
            purpose,
            &self.name,
            &call_now.to_string(),
            &self.made.to_string(),
        ];
        ids::alphanumeric(&parts, length)
    }

    fn unknown_organization(&self) -> Fault {
        match self.edition {
            Edition::Edge => Fault::coded(
                404,
                "organizations.OrganizationDoesNotExist",
                "Organization does not exist".to_owned(),
            ),
            Edition::X => Fault::coded(
                403,
                "IAM_PERMISSION_DENIED",
                "Permission denied on resource (or it may not exist).".to_owned(),
            ),
        }
    }

    fn list_organizations(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        if call.request.method != Method::GET {
            return Err(Fault::method());
        }
        Ok(match self.edition {
            Edition::Edge => Answer::ok(&json!([self.name])),
            Edition::X => Answer::ok(&json!({
                "organizations": [{"organization": self.name, "projectId": self.name, "projectIds": [self.name]}],
            })),
        })
    }

    /// Describes the organization; clients read from `properties` whether lists are paged and whether it is X.
    fn describe(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        if call.request.method != Method::GET {
            return Err(Fault::method());
        }
        let environments = json!(["test", "prod"]);
        Ok(match self.edition {
            Edition::Edge => Answer::ok(&json!({
                "createdAt": store::UNDATED,
                "createdBy": "admin@example.com",
                "displayName": self.name,
                "environments": environments,
                "lastModifiedAt": store::UNDATED,
                "lastModifiedBy": "admin@example.com",
                "name": self.name,
                "properties": {"property": [
                    {"name": "features.isCpsEnabled", "value": self.switches.cps.to_string()},
                ]},
                "type": "paid",
            })),
            Edition::X => Answer::ok(&json!({
                "createdAt": store::UNDATED.to_string(),
                "environments": environments,
                "lastModifiedAt": store::UNDATED.to_string(),
                "name": self.name,
                "projectId": self.name,
                "properties": {"property": [
                    {"name": "features.hybrid.enabled", "value": "true"},
                    {"name": "features.isCpsEnabled", "value": "true"},
                ]},
                "runtimeType": "CLOUD",
                "state": "ACTIVE",
                "subscriptionType": "PAID",
            })),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Driver;
    use super::*;

    #[test]
    fn an_organization_serves_its_own_paths_and_its_editions_token_calls() {
        let edge = Driver::new(json!({"edition": "Edge"})).apigee;
        let x = Driver::new(json!({"edition": "X"})).apigee;
        for (path, by_edge, by_x) in [
            ("/v1/o/acme/apps", true, true),
            ("/v1/organizations/acme/", true, true),
            ("/v1/organizations", true, true),
            ("/v1/o/other/apps", false, false),
            ("/v1/orders", false, false),
            ("/oauth/token", true, false),
            ("/token", false, true),
            ("/oauth2/token", false, false),
        ] {
            assert_eq!(
                (edge.serves(path), x.serves(path)),
                (by_edge, by_x),
                "{path}"
            );
        }
    }

    #[test]
    fn every_answer_is_counted_under_the_label_of_its_request() {
        let mut driver = Driver::orders("X");
        for (method, path, route, token) in [
            (
                "GET",
                "/v1/o/acme",
                "/v1/organizations/{organization}",
                false,
            ),
            (
                "GET",
                "/v1/o/acme/apps",
                "/v1/organizations/{organization}/apps",
                false,
            ),
            (
                "PATCH",
                "/v1/o/acme/apps",
                "/v1/organizations/{organization}/apps",
                false,
            ),
            (
                "GET",
                "/v1/o/other/apps",
                "/v1/organizations/{organization}",
                false,
            ),
            ("GET", "/v1/o/acme/environments", "unrouted", false),
            ("POST", "/token", "/token", true),
        ] {
            let answer = driver.raw(method, path, &[], "");
            assert_eq!((answer.route, answer.token), (route, token), "{path}");
            let request = Request {
                method: method.parse().unwrap(),
                path: path.to_owned(),
                query: None,
                headers: http::HeaderMap::new(),
                body: bytes::Bytes::new(),
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            let label = driver.apigee.label(&request);
            assert_eq!((label.route, label.token), (route, token), "{path}");
        }
    }

    #[test]
    fn an_organization_tells_what_clients_look_for() {
        let property = |organization: &Value, name: &str| {
            let properties = organization["properties"]["property"]
                .as_array()
                .unwrap()
                .clone();
            properties
                .into_iter()
                .find(|p| p["name"] == name)
                .map(|p| p["value"].clone())
        };
        for (edition, switches, paged, hybrid) in [
            ("Edge", json!({}), "true", None),
            ("Edge", json!({"cps": false}), "false", None),
            ("X", json!({}), "true", Some(json!("true"))),
        ] {
            let organization = Driver::orders_with(edition, &switches).fetch("/");
            assert_eq!(
                property(&organization, "features.isCpsEnabled"),
                Some(json!(paged))
            );
            assert_eq!(property(&organization, "features.hybrid.enabled"), hybrid);
        }
    }

    #[test]
    fn a_method_that_does_not_exist_is_405_on_edge_and_a_page_on_x() {
        assert_eq!(
            Driver::orders("Edge")
                .call("PATCH", "/apps", &Value::Null)
                .0,
            405
        );
        let headers = [("authorization", "Bearer sandbox")];
        let answer = Driver::orders("X").raw("PATCH", "/v1/o/acme/apps", &headers, "");
        assert_eq!(answer.status, 404);
        assert!(answer.body.starts_with(b"<!DOCTYPE html>"));
    }

    #[test]
    fn paths_that_make_no_sense_are_not_found() {
        let mut driver = Driver::orders("Edge");
        for path in [
            "/apps//",
            "/developers/%ff",
            "/developers//apps",
            "/environments/test",
            "/apps/a/b",
        ] {
            assert_eq!(driver.get(path).0, 404, "{path}");
        }
    }
}
