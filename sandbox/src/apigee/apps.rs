//! Apps of developers, companies and app groups.
//!
//! Whoever creates an app gets a key with it, products or not. A later call whose `apiProducts` is not empty makes a
//! further key, and an echo of a whole answer, `credentials` included, makes none.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::keys::expiry;
use super::lookup::unknown_app;
use super::path::Attributes;
use super::query::{Page, page_token, read_page_token};
use super::store::{App, Attribute, HolderKind, HolderName, Key, Status};
use super::switches::{Checked, ListedAppId};
use super::view::{AppView, ListView, ShownKeys};
use super::{Call, Edition, Organization, attributes};

/// How many of a holder's apps one answer has where the caller names no number, and at the most.
struct PageSizes {
    default: usize,
    most: usize,
}

impl Organization {
    /// The apps of one holder.
    pub(super) fn holder_apps(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        holder: &str,
    ) -> Result<Answer, Fault> {
        let holder = self.holder_name(kind, holder)?;
        match call.request.method {
            Method::GET if kind == HolderKind::AppGroup => self.list_group_apps(call, &holder),
            Method::GET => self.list_holder_apps(call, &holder),
            Method::POST => self.create_app(call, &holder),
            _ => Err(Fault::method()),
        }
    }

    /// One app.
    pub(super) fn holder_app(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        holder: &str,
        name: &str,
        sub: Attributes,
    ) -> Result<Answer, Fault> {
        let id = self.app_id(kind, holder, name)?;
        if sub != Attributes::None {
            return self.app_attributes(call, &id, sub);
        }
        match call.request.method {
            Method::GET => self.show_app(&id),
            Method::PUT => {
                // App groups know no POST on an app: its PUT takes the action.
                if let (HolderKind::AppGroup, Some(action)) = (kind, call.action()?) {
                    self.edit_app(&id, call.now, |app| app.status = action.status());
                    return Ok(Answer::NoContent);
                }
                let body = self.body(call)?;
                let echo = body.has("credentials");
                self.update_app(call, kind, &id, &body, echo)?;
                self.show_app(&id)
            }
            Method::POST if kind != HolderKind::AppGroup => {
                if let Some(action) = call.action()? {
                    self.edit_app(&id, call.now, |app| app.status = action.status());
                    return Ok(Answer::NoContent);
                }
                let body = self.body(call)?;
                let wanted = posted_status(&body)?;
                self.update_app(call, kind, &id, &body, false)?;
                if let Some(status) = wanted {
                    self.edit_app(&id, call.now, |app| app.status = status);
                }
                self.show_app(&id)
            }
            Method::DELETE => {
                let app = self
                    .store
                    .remove_app(&id)
                    .ok_or_else(|| unknown_app(name, holder))?;
                Ok(Answer::ok(&self.app_view(&app)))
            }
            _ => Err(Fault::method()),
        }
    }

    /// One app by its id, whoever holds it.
    pub(super) fn app_by_id(&self, call: &Call<'_>, id: &str) -> Result<Answer, Fault> {
        if call.request.method != Method::GET {
            return Err(Fault::method());
        }
        let app = self.store.app(id).ok_or_else(|| {
            Fault::coded(
                404,
                "developer.service.AppDoesNotExist",
                format!(
                    "App with id {id} does not exist in organization {}",
                    self.name
                ),
            )
        })?;
        Ok(Answer::ok(&AppView {
            listed: true,
            with_email: self.tells_email(),
            ..self.app_view(app)
        }))
    }

    pub(super) fn tells_email(&self) -> bool {
        self.edition == Edition::X && self.switches.listed_developer_email
    }

    /// An app as its own resource shows it.
    pub(super) fn app_view<'a>(&'a self, app: &'a App) -> AppView<'a> {
        let holder = self.store.holder(&app.holder);
        AppView {
            shape: self.shape(),
            app,
            developer_id: holder
                .filter(|_| app.holder.kind == HolderKind::Developer)
                .map(|holder| holder.id.as_str()),
            keys: ShownKeys::All,
            listed: false,
            with_email: false,
        }
    }

    fn show_app(&self, id: &str) -> Result<Answer, Fault> {
        let app = self
            .store
            .app(id)
            .ok_or_else(|| unknown_app(id, &self.name))?;
        Ok(Answer::ok(&self.app_view(app)))
    }

    fn edit_app(&mut self, id: &str, now: i64, edit: impl FnOnce(&mut App)) {
        self.store.edit_app(id, |app| {
            edit(app);
            app.modified_at = now;
        });
    }

    fn app_attributes(
        &mut self,
        call: &Call<'_>,
        id: &str,
        sub: Attributes,
    ) -> Result<Answer, Fault> {
        let edition = self.edition;
        let mut answer = Err(unknown_app(id, &self.name));
        self.store.edit_app(id, |app| {
            answer = attributes::answer(call, edition, &mut app.attributes, sub);
        });
        answer
    }

    fn create_app(&mut self, call: &Call<'_>, holder: &HolderName) -> Result<Answer, Fault> {
        let body = self.body(call)?;
        let name = body.text("name")?.unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Fault::coded(
                400,
                "developer.service.InvalidAppName",
                "App name is required".to_owned(),
            ));
        }
        if self.store.app_id(holder, &name).is_some() {
            return Err(Fault::coded(
                409,
                "developer.service.AppAlreadyExists",
                format!("App named {name} already exists under {}", holder.name),
            ));
        }
        let attributes = body.attributes("attributes")?.unwrap_or_default();
        let callback_url = body.text("callbackUrl")?.unwrap_or_default().to_owned();
        let key = self.minted_key(call, holder.kind, &body)?;
        let id = self.new_app_id(call.now);
        self.store.add_app(App {
            id: id.clone(),
            name,
            holder: holder.clone(),
            status: Status::Approved,
            attributes,
            callback_url,
            created_at: call.now,
            modified_at: call.now,
            keys: Vec::new(),
        });
        self.store.add_key(&id, key);
        let app = self.store.app(&id).expect("the app was just added");
        Ok(Answer::created(&self.app_view(app)))
    }

    /// An app id that nobody has.
    fn new_app_id(&mut self, now: i64) -> String {
        loop {
            let id = self.uuid("app", now);
            if self.store.app(&id).is_none() {
                return id;
            }
        }
    }

    /// Replaces an app's attributes and callback, and makes a key where products are named. Scopes of existing keys
    /// are out of its reach.
    fn update_app(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        id: &str,
        body: &Body,
        echo: bool,
    ) -> Result<(), Fault> {
        let attributes: Vec<Attribute> = body.attributes("attributes")?.unwrap_or_default();
        let callback_url = body.text("callbackUrl")?.unwrap_or_default().to_owned();
        let key = if echo || body.products()?.is_empty() {
            None
        } else {
            Some(self.minted_key(call, kind, body)?)
        };
        self.edit_app(id, call.now, |app| {
            app.attributes = attributes;
            app.callback_url = callback_url;
        });
        if let Some(key) = key {
            self.store.add_key(id, key);
        }
        Ok(())
    }

    /// Makes the key that comes with an app, or with products named on it.
    fn minted_key(&mut self, call: &Call<'_>, kind: HolderKind, body: &Body) -> Result<Key, Fault> {
        let mut products = Vec::new();
        self.associate(&mut products, &body.products()?)?;
        let scopes = self.cleaned(body.names("scopes")?.unwrap_or_default());
        if self.switches.app_create_scopes == Checked::Check {
            self.check_scopes(&scopes, &products, None)?;
        }
        // Milliseconds, but for app groups, whose document says seconds.
        let unit = if kind == HolderKind::AppGroup {
            1000
        } else {
            1
        };
        let lifetime = body
            .number("keyExpiresIn")?
            .map(|lifetime| lifetime.saturating_mul(unit));
        let secret_length = match self.edition {
            Edition::Edge => 16,
            Edition::X => 64,
        };
        Ok(Key {
            consumer_key: self.new_consumer_key(call.now),
            consumer_secret: self.letters("secret", call.now, secret_length),
            products,
            scopes,
            status: Status::Approved,
            attributes: Vec::new(),
            issued_at: call.now,
            expires_at: expiry(call.now, lifetime),
        })
    }

    fn list_holder_apps(&self, call: &Call<'_>, holder_name: &HolderName) -> Result<Answer, Fault> {
        let holder = self
            .store
            .holder(holder_name)
            .ok_or_else(|| self.unknown_holder(holder_name.kind, &holder_name.name))?;
        let sizes = match self.edition {
            Edition::Edge => PageSizes {
                default: 100,
                most: 100,
            },
            Edition::X => PageSizes {
                default: 100,
                most: 1000,
            },
        };
        let expand = call.query.flag("expand");
        let cut = self.cut(call, "count", expand, sizes.default, sizes.most)?;
        let apps = self.store.apps_of(holder, cut.start).take(cut.size);
        if expand {
            let items: Vec<AppView<'_>> = apps.map(|app| self.app_view(app)).collect();
            return Ok(self.listed("app", &items));
        }
        if call.query.flag("shallowExpand") {
            let shallow = |app| AppView {
                keys: ShownKeys::None,
                ..self.app_view(app)
            };
            return Ok(self.listed("app", &apps.map(shallow).collect::<Vec<_>>()));
        }
        let name = |app: &'_ App| match (self.edition, self.switches.listed_app_id) {
            (Edition::Edge, _) | (Edition::X, ListedAppId::Name) => app.name.clone(),
            (Edition::X, ListedAppId::Id) => app.id.clone(),
        };
        Ok(self.plain_list("app", "appId", apps.map(name).collect()))
    }

    fn list_group_apps(&self, call: &Call<'_>, holder_name: &HolderName) -> Result<Answer, Fault> {
        let holder = self
            .store
            .holder(holder_name)
            .ok_or_else(|| self.unknown_holder(holder_name.kind, &holder_name.name))?;
        let size = call.query.number("pageSize")?.filter(|size| *size > 0);
        let start = call
            .query
            .get("pageToken")
            .map(read_page_token)
            .transpose()?;
        let apps = self
            .store
            .apps_of(holder, start.as_deref().unwrap_or_default());
        let page = Page::take(apps, size.unwrap_or(1000).min(1000));
        Ok(Answer::ok(&ListView {
            edition: self.edition,
            name: "appGroupApps",
            items: &page
                .items
                .into_iter()
                .map(|app| self.app_view(app))
                .collect::<Vec<_>>(),
            next_page_token: page.next.map(|app| page_token(&app.name)),
            total_size: None,
        }))
    }
}

/// The status that a POST on an app asks for in its body.
fn posted_status(body: &Body) -> Result<Option<Status>, Fault> {
    Ok(match body.text("status")? {
        Some("approve" | "approved") => Some(Status::Approved),
        Some("revoke" | "revoked") => Some(Status::Revoked),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apigee::testing::{Driver, NOW};

    const APPS: &str = "/developers/ann@example.com/apps";
    const SHOP: &str = "/developers/ann@example.com/apps/shop";

    fn keys(app: &Value) -> usize {
        app["credentials"].as_array().unwrap().len()
    }

    #[test]
    fn an_app_is_created_with_a_key_that_holds_the_scopes_sent() {
        let mut driver = Driver::orders("Edge");
        let body = json!({
            "name": "myapp", "apiProducts": ["orders"], "scopes": ["READ"], "callbackUrl": "example.com",
            "attributes": [{"name": "DisplayName", "value": "My App"}], "keyExpiresIn": 60_000, "status": "approved",
        });
        let (status, app) = driver.call("POST", APPS, &body);
        assert_eq!(status, 201);
        let now = NOW * 1000;
        assert_eq!(
            app,
            json!({
                "appFamily": "default",
                "appId": app["appId"],
                "attributes": [{"name": "DisplayName", "value": "My App"}],
                "callbackUrl": "example.com",
                "createdAt": now,
                "createdBy": "admin@example.com",
                "credentials": [{
                    "apiProducts": [{"apiproduct": "orders", "status": "approved"}],
                    "attributes": [],
                    "consumerKey": app["credentials"][0]["consumerKey"],
                    "consumerSecret": app["credentials"][0]["consumerSecret"],
                    "expiresAt": now + 60_000,
                    "issuedAt": now,
                    "scopes": ["READ"],
                    "status": "approved",
                }],
                "developerId": app["developerId"],
                "lastModifiedAt": now,
                "lastModifiedBy": "admin@example.com",
                "name": "myapp",
                "scopes": [],
                "status": "approved",
            })
        );
        assert_eq!(driver.fetch(&format!("{APPS}/myapp")), app);
        let (status, error) = driver.call("POST", APPS, &body);
        assert_eq!((status, error["contexts"].clone()), (409, json!([])));
    }

    #[test]
    fn an_app_without_products_gets_a_key_too() {
        let mut driver = Driver::orders("X");
        let (status, app) = driver.call("POST", APPS, &json!({"name": "bare"}));
        assert_eq!((status, keys(&app)), (201, 1));
        assert_eq!(app["credentials"][0].get("apiProducts"), None);
        assert_eq!(app.get("scopes"), None);
    }

    #[test]
    fn what_an_app_put_or_post_does_to_its_keys() {
        // (method, body, keys afterwards)
        let table = [
            ("PUT", json!({"attributes": []}), 1),
            ("PUT", json!({"apiProducts": []}), 1),
            ("PUT", json!({"apiProducts": ["orders"]}), 2),
            (
                "POST",
                json!({"apiProducts": ["orders"], "scopes": ["WRITE"]}),
                2,
            ),
            (
                "POST",
                json!({"apiProducts": ["orders"], "status": "revoke"}),
                2,
            ),
            (
                "PUT",
                json!({"name": "shop", "apiProducts": ["orders"], "credentials": [{}]}),
                1,
            ),
        ];
        for edition in ["Edge", "X"] {
            for (method, body, expected) in &table {
                let mut driver = Driver::orders(edition);
                let (status, app) = driver.call(method, SHOP, body);
                assert_eq!(
                    (status, keys(&app)),
                    (200, *expected),
                    "{edition} {method} {body}"
                );
                assert_eq!(
                    app["credentials"][0]["scopes"],
                    json!(["READ"]),
                    "the old key stays as it is"
                );
            }
        }
    }

    #[test]
    fn a_whole_answer_sent_back_changes_nothing_but_the_time() {
        for edition in ["Edge", "X"] {
            let mut driver = Driver::orders(edition);
            driver.call(
                "PUT",
                SHOP,
                &json!({"attributes": [{"name": "a", "value": "b"}], "callbackUrl": "c"}),
            );
            let before = driver.fetch(SHOP);
            let (status, after) = driver.call("PUT", SHOP, &before);
            assert_eq!((status, after), (200, before), "{edition}");
        }
    }

    #[test]
    fn an_app_put_removes_what_it_leaves_out() {
        let mut driver = Driver::orders("Edge");
        let attributes = json!([{"name": "a", "value": "b"}]);
        let (_, app) = driver.call(
            "PUT",
            SHOP,
            &json!({"attributes": attributes, "callbackUrl": "c"}),
        );
        assert_eq!(
            (&app["attributes"], &app["callbackUrl"]),
            (&attributes, &json!("c"))
        );
        let (_, app) = driver.call("PUT", SHOP, &json!({}));
        assert_eq!(
            (&app["attributes"], &app["callbackUrl"]),
            (&json!([]), &json!(""))
        );
    }

    #[test]
    fn credentials_come_oldest_first_unless_the_switch_turns_them() {
        for (order, newest) in [("stored", 1), ("reversed", 0)] {
            let mut driver = Driver::orders_with("Edge", &json!({"credentialOrder": order}));
            let (_, app) = driver.call("POST", SHOP, &json!({"apiProducts": ["vip"]}));
            let product = &app["credentials"][newest]["apiProducts"][0];
            assert_eq!(
                product,
                &json!({"apiproduct": "vip", "status": "pending"}),
                "{order}"
            );
        }
    }

    #[test]
    fn a_refused_app_call_leaves_no_app_and_no_key() {
        let mut driver = Driver::orders("X");
        let (status, _) = driver.call(
            "POST",
            APPS,
            &json!({"name": "new", "apiProducts": ["nosuch"]}),
        );
        assert_eq!(status, 404);
        let (status, error) = driver.call(
            "POST",
            APPS,
            &json!({"name": "new", "apiProducts": ["orders"], "scopes": ["REFUND"]}),
        );
        assert_eq!(status, 400);
        assert_eq!(
            error["error"]["message"],
            "Invalid scopes. Scopes must be contained in [READ, WRITE]"
        );
        assert_eq!(driver.get(&format!("{APPS}/new")).0, 404);
        assert_eq!(driver.call("POST", APPS, &json!({})).0, 400);

        let mut lenient = Driver::orders_with("X", &json!({"appCreateScopes": "accept"}));
        let (status, app) =
            lenient.call("POST", APPS, &json!({"name": "new", "scopes": ["REFUND"]}));
        assert_eq!(
            (status, &app["credentials"][0]["scopes"]),
            (201, &json!(["REFUND"]))
        );
    }

    #[test]
    fn apps_are_approved_revoked_and_deleted() {
        let mut driver = Driver::orders("Edge");
        let (status, body) = driver.call("POST", &format!("{SHOP}?action=revoke"), &Value::Null);
        assert_eq!((status, body), (204, Value::Null));
        let app = driver.fetch(SHOP);
        assert_eq!(app["status"], "revoked");
        assert_eq!(
            app["credentials"][0]["status"], "approved",
            "the keys keep their own status"
        );
        let by_id = driver.fetch(&format!("/apps/{}", app["appId"].as_str().unwrap()));
        assert_eq!(by_id["apiProducts"], json!([]));
        assert_eq!(by_id["credentials"], app["credentials"]);

        let (status, deleted) = driver.call("DELETE", SHOP, &Value::Null);
        assert_eq!((status, deleted), (200, app));
        let (status, error) = driver.get(SHOP);
        assert_eq!(status, 404);
        assert_eq!(error["code"], "developer.service.AppDoesNotExist");
        assert_eq!(
            error["message"],
            "App named shop does not exist under ann@example.com"
        );
        let (status, _) = driver.call("POST", APPS, &json!({"name": "shop"}));
        assert_eq!(status, 201, "the name is free again");
        let import = json!({"consumerKey": "k3y", "consumerSecret": "s"});
        assert_eq!(
            driver.call("POST", &format!("{SHOP}/keys"), &import).0,
            201,
            "so is the key"
        );
    }

    #[test]
    fn an_app_of_an_unknown_developer_has_the_code_of_app_calls() {
        let mut driver = Driver::orders("Edge");
        let (status, error) = driver.get("/developers/no@example.com/apps/shop");
        assert_eq!(status, 404);
        assert_eq!(error["code"], "developer.service.DeveloperIdDoesNotExist");
        assert_eq!(
            error["message"],
            "DeveloperId no@example.com does not exist in organization acme"
        );
        assert_eq!(
            driver.get("/developers/no@example.com").1["code"],
            "developer.service.DeveloperDoesNotExist"
        );
    }

    #[test]
    fn a_developers_apps_are_listed_in_each_editions_form() {
        let mut edge = Driver::orders("Edge");
        edge.call("POST", APPS, &json!({"name": "bar"}));
        assert_eq!(edge.fetch(APPS), json!(["bar", "shop"]));
        assert_eq!(
            edge.fetch(&format!("{APPS}?count=1&startKey=shop")),
            json!(["shop"])
        );
        let expanded = edge.fetch(&format!("{APPS}?expand=True"));
        assert_eq!(expanded["app"][1]["credentials"][0]["consumerKey"], "k3y");

        let mut x = Driver::orders("X");
        assert_eq!(x.fetch(APPS), json!({"app": [{"appId": "shop"}]}));
        let shallow = x.fetch(&format!("{APPS}?shallowExpand=true"));
        assert_eq!(shallow["app"][0]["name"], "shop");
        assert_eq!(shallow["app"][0].get("credentials"), None);
        x.call("DELETE", SHOP, &Value::Null);
        assert_eq!(x.fetch(APPS), json!({}), "nothing is an empty object");
        let mut x = Driver::orders_with("X", &json!({"listedAppId": "id"}));
        assert_ne!(x.fetch(APPS), json!({"app": [{"appId": "shop"}]}));
    }

    #[test]
    fn a_page_of_a_developers_apps_has_a_hundred_items() {
        let apps: Vec<Value> = (0..250)
            .map(|n| json!({"name": format!("app-{n:03}")}))
            .collect();
        let world = |edition: &str, switches: Value| json!({"edition": edition, "switches": switches, "developers": [{"email": "ann@example.com", "apps": apps}]});
        let mut edge = Driver::new(world("Edge", json!({})));
        assert_eq!(edge.fetch(APPS).as_array().unwrap().len(), 100);
        let developer = edge.fetch("/developers/ann@example.com");
        assert_eq!(
            developer["apps"].as_array().unwrap().len(),
            100,
            "the first hundred alone"
        );
        let page = edge.fetch(&format!("{APPS}?count=500&startKey=app-099"));
        assert_eq!(
            (&page[0], page.as_array().unwrap().len()),
            (&json!("app-099"), 100)
        );
        let mut x = Driver::new(world("X", json!({})));
        assert_eq!(x.fetch(APPS)["app"].as_array().unwrap().len(), 100);
        assert_eq!(
            x.fetch(&format!("{APPS}?count=1000"))["app"]
                .as_array()
                .unwrap()
                .len(),
            250
        );
        let mut private = Driver::new(world("Edge", json!({"cps": false})));
        let all = private.fetch(&format!("{APPS}?count=10&startKey=app-099"));
        assert_eq!(
            all.as_array().unwrap().len(),
            250,
            "private cloud has no pages"
        );
    }

    #[test]
    fn what_start_key_and_expand_do_where_documents_rule_them_out() {
        // (switches, query, status, items)
        let table = [
            (json!({}), "startKey=b", 200, 2),
            (json!({"startKeyAlone": "ignore"}), "startKey=b", 200, 3),
            (json!({"startKeyAlone": "refuse"}), "startKey=b", 400, 0),
            (json!({}), "expand=true&count=1", 200, 1),
            (
                json!({"expandWithCount": "expandOnly"}),
                "expand=true&count=1",
                200,
                3,
            ),
            (
                json!({"expandWithCount": "refuse"}),
                "expand=true&count=1",
                400,
                0,
            ),
        ];
        for (switches, query, expected, items) in table {
            let apps = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
            let mut driver = Driver::new(json!({
                "edition": "X", "switches": switches, "developers": [{"email": "ann@example.com", "apps": apps}],
            }));
            let (status, body) = driver.get(&format!("{APPS}?{query}"));
            let found = body["app"].as_array().map_or(0, Vec::len);
            assert_eq!((status, found), (expected, items), "{switches} {query}");
        }
    }

    #[test]
    fn an_app_groups_app_takes_its_action_by_put_and_lists_by_token() {
        let mut driver = Driver::new(json!({
            "edition": "X",
            "appGroups": [{"name": "partners", "apps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}],
        }));
        let apps = "/appgroups/partners/apps";
        let first = driver.fetch(&format!("{apps}?pageSize=2"));
        assert_eq!(first["appGroupApps"].as_array().unwrap().len(), 2);
        let token = first["nextPageToken"].as_str().unwrap();
        let second = driver.fetch(&format!("{apps}?pageSize=2&pageToken={token}"));
        assert_eq!(second["appGroupApps"].as_array().unwrap().len(), 1);
        assert_eq!(second["appGroupApps"][0]["appGroup"], "partners");
        assert_eq!(second.get("nextPageToken"), None);

        assert_eq!(
            driver
                .call("PUT", &format!("{apps}/a?action=revoke"), &Value::Null)
                .0,
            204
        );
        assert_eq!(driver.fetch(&format!("{apps}/a"))["status"], "revoked");
        assert_eq!(
            driver
                .call("POST", &format!("{apps}/a?action=approve"), &Value::Null)
                .0,
            404
        );
        let (status, app) = driver.call("POST", apps, &json!({"name": "d", "keyExpiresIn": "60"}));
        assert_eq!(status, 201);
        assert_eq!(
            app["credentials"][0]["expiresAt"],
            ((NOW + 60) * 1000).to_string(),
            "seconds, here alone"
        );
    }

    #[test]
    fn attributes_are_resources_of_their_own() {
        let mut driver = Driver::orders("Edge");
        let attributes = format!("{SHOP}/attributes");
        let list = json!({"attribute": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
        assert_eq!(driver.call("POST", &attributes, &list), (200, list));
        let one = format!("{attributes}/b");
        assert_eq!(
            driver.call("POST", &one, &json!({"value": "3"})),
            (200, json!({"name": "b", "value": "3"}))
        );
        assert_eq!(driver.call("DELETE", &one, &Value::Null).0, 200);
        assert_eq!(driver.get(&one).0, 404);
        assert_eq!(
            driver.fetch(SHOP)["attributes"],
            json!([{"name": "a", "value": "1"}])
        );
    }
}
