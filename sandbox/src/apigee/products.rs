//! API products: their scopes are the most that a key with the product may hold.

use http::Method;
use serde_json::{Map, Value};

use super::answer::{Answer, Fault};
use super::body::Body;
use super::listing::PageSizes;
use super::store::{App, Attribute, Product};
use super::switches::Omitted;
use super::view::ProductView;
use super::{Call, Edition, Organization};

/// Members that the service keeps itself: what a request says of them does not count.
const KEPT: [&str; 7] = [
    "name",
    "scopes",
    "attributes",
    "createdAt",
    "createdBy",
    "lastModifiedAt",
    "lastModifiedBy",
];

/// The most keys or apps of a product that Edge lists in one answer.
const MOST_USERS: usize = 100;

impl Organization {
    /// All products.
    pub(super) fn products(&mut self, call: &Call<'_>) -> Result<Answer, Fault> {
        match call.request.method {
            Method::GET => self.list_products(call),
            Method::POST => self.create_product(call),
            _ => Err(Fault::method()),
        }
    }

    /// One product.
    pub(super) fn product(&mut self, call: &Call<'_>, name: &str) -> Result<Answer, Fault> {
        match call.request.method {
            Method::GET
                if self.edition == Edition::Edge && call.query.get("query") == Some("list") =>
            {
                self.list_users(call, name)
            }
            Method::GET => self.show_product(name),
            // One published client updates by POST.
            Method::PUT | Method::POST => {
                self.stored_product(name)?;
                let body = self.body(call)?;
                self.update_product(call, name, body)?;
                self.show_product(name)
            }
            Method::DELETE => {
                let removed = self.store.products.remove(name);
                let product = removed.ok_or_else(|| self.unknown_product(name))?;
                if self.switches.shrink_prunes_keys {
                    self.prune(|key| {
                        key.products
                            .iter()
                            .any(|association| association.product == name)
                    });
                }
                Ok(Answer::ok(&self.product_view(&product)))
            }
            _ => Err(Fault::method()),
        }
    }

    pub(super) fn product_attributes(&mut self, name: &str) -> Result<&mut Vec<Attribute>, Fault> {
        let unknown = self.unknown_product(name);
        let product = self.store.products.get_mut(name);
        product
            .map(|product| &mut product.attributes)
            .ok_or(unknown)
    }

    /// Sets a product's scopes, and lets stored key lists follow where the switch says so.
    pub(super) fn set_product_scopes(
        &mut self,
        name: &str,
        scopes: Vec<String>,
    ) -> Result<(), Fault> {
        let unknown = self.unknown_product(name);
        let product = self.store.products.get_mut(name).ok_or(unknown)?;
        let shrinks = product.scopes.iter().any(|scope| !scopes.contains(scope));
        product.scopes = scopes;
        if shrinks && self.switches.shrink_prunes_keys {
            self.prune(|key| {
                key.products
                    .iter()
                    .any(|association| association.product == name)
            });
        }
        Ok(())
    }

    fn product_view<'a>(&self, product: &'a Product) -> ProductView<'a> {
        ProductView {
            shape: self.shape(),
            product,
        }
    }

    fn show_product(&self, name: &str) -> Result<Answer, Fault> {
        Ok(Answer::ok(&self.product_view(self.stored_product(name)?)))
    }

    fn create_product(&mut self, call: &Call<'_>) -> Result<Answer, Fault> {
        let body = self.body(call)?;
        let name = body.text("name")?.unwrap_or_default().to_owned();
        check_name(&name)?;
        check_display_name(&body)?;
        if self.store.products.contains_key(&name) {
            return Err(Fault::coded(
                409,
                "keymanagement.service.apiproduct_already_exists",
                format!("API Product [{name}] already exists"),
            ));
        }
        let scopes = body.names("scopes")?.unwrap_or_default();
        let attributes = body.attributes("attributes")?.unwrap_or_default();
        let mut fields = carried(body);
        for (field, default) in [("displayName", name.as_str()), ("approvalType", "auto")] {
            fields.entry(field).or_insert_with(|| Value::from(default));
        }
        let product = Product {
            name: name.clone(),
            scopes,
            attributes,
            fields,
            created_at: call.now,
            modified_at: call.now,
        };
        let answer = Answer::created(&self.product_view(&product));
        self.store.products.insert(name, product);
        Ok(answer)
    }

    fn update_product(&mut self, call: &Call<'_>, name: &str, body: Body) -> Result<(), Fault> {
        check_display_name(&body)?;
        let (scopes, attributes) = (body.names("scopes")?, body.attributes("attributes")?);
        let given = carried(body);
        let omitted = self.switches.product_put_omitted;
        let unknown = self.unknown_product(name);
        let product = self.store.products.get_mut(name).ok_or(unknown)?;
        match omitted {
            Omitted::Keep => {
                product.fields.extend(given);
                product.attributes =
                    attributes.unwrap_or_else(|| std::mem::take(&mut product.attributes));
            }
            Omitted::Clear => {
                let before = std::mem::replace(&mut product.fields, given);
                product.attributes = attributes.unwrap_or_default();
                // These two are required: a product is never without them.
                for field in ["displayName", "approvalType"] {
                    if let (false, Some(value)) =
                        (product.fields.contains_key(field), before.get(field))
                    {
                        product.fields.insert(field.to_owned(), value.clone());
                    }
                }
            }
        }
        product.modified_at = call.now;
        match (scopes, omitted) {
            (Some(scopes), _) => self.set_product_scopes(name, scopes),
            (None, Omitted::Clear) => self.set_product_scopes(name, Vec::new()),
            (None, Omitted::Keep) => Ok(()),
        }
    }

    fn list_products(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        let query = &call.query;
        let expand = query.flag("expand");
        // Nothing in the documents of this list rules expansion with paging out.
        let cut = self.cut(call, "count", false, PageSizes::USUAL)?;
        let attribute = query.get("attributename");
        let wanted = |product: &&Product| {
            attribute.is_none_or(|name| {
                let value = query.get("attributevalue");
                let mut found = product
                    .attributes
                    .iter()
                    .filter(|attribute| attribute.name == name);
                found.any(|attribute| value.is_none_or(|value| attribute.value == value))
            })
        };
        let products = self
            .store
            .products
            .range(cut.start.to_owned()..)
            .map(|(_, product)| product)
            .filter(wanted)
            .take(cut.size);
        if expand {
            let items: Vec<ProductView<'_>> =
                products.map(|product| self.product_view(product)).collect();
            return Ok(self.listed("apiProduct", &items));
        }
        Ok(self.plain_list(
            "apiProduct",
            "name",
            products.map(|product| product.name.clone()).collect(),
        ))
    }

    /// Lists the keys or the apps that use a product: Edge alone has this call.
    fn list_users(&self, call: &Call<'_>, name: &str) -> Result<Answer, Fault> {
        self.stored_product(name)?;
        let uses = |app: &&App| {
            let mut products = app.keys.iter().flat_map(|key| &key.products);
            products.any(|association| association.product == name)
        };
        let apps = self.store.apps_from("").filter(uses);
        let mut users: Vec<&str> = match call.query.get("entity") {
            Some("keys") => apps
                .flat_map(|app| &app.keys)
                .filter(|key| {
                    key.products
                        .iter()
                        .any(|association| association.product == name)
                })
                .map(|key| key.consumer_key.as_str())
                .collect(),
            Some("apps") => apps.map(|app| app.name.as_str()).collect(),
            other => {
                let other = other.unwrap_or_default();
                return Err(Fault::invalid(format!("Entity {other} is not supported")));
            }
        };
        users.sort_unstable();
        if self.switches.cps {
            let start = call.query.get("startkey").unwrap_or_default();
            users.drain(..users.partition_point(|user| *user < start));
            users.truncate(
                call.query
                    .number("count")?
                    .unwrap_or(MOST_USERS)
                    .min(MOST_USERS),
            );
        }
        Ok(Answer::ok(&users))
    }
}

/// The members of a request that a product carries as they are.
fn carried(body: Body) -> Map<String, Value> {
    let mut members = body.into_members();
    members.retain(|name, value| !KEPT.contains(&name.as_str()) && !value.is_null());
    members
}

fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$ %".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(Fault::coded(
            400,
            "keymanagement.service.apiproduct_name_invalid",
            format!("API Product name [{name}] is invalid"),
        ));
    }
    Ok(())
}

fn check_display_name(body: &Body) -> Result<(), Fault> {
    if body
        .text("displayName")?
        .is_some_and(|name| name.trim().is_empty())
    {
        return Err(Fault::coded(
            400,
            "keymanagement.service.apiproduct_invalid_displayname",
            "API Product display name is invalid".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apigee::testing::{Driver, NOW};

    #[test]
    fn a_product_is_created_and_shown_in_each_editions_shape() {
        let body = json!({
            "name": "myproduct", "displayName": "My product", "approvalType": "auto", "apiResources": ["/"],
            "attributes": [{"name": "access", "value": "public"}], "environments": ["test"], "proxies": [],
            "scopes": [], "description": "", "createdAt": "7",
        });
        let now = NOW * 1000;
        let mut edge = Driver::orders("Edge");
        let (status, product) = edge.call("POST", "/apiproducts", &body);
        assert_eq!(status, 201);
        assert_eq!(
            product,
            json!({
                "apiResources": ["/"], "approvalType": "auto", "attributes": [{"name": "access", "value": "public"}],
                "createdAt": now, "createdBy": "admin@example.com", "description": "", "displayName": "My product",
                "environments": ["test"], "lastModifiedAt": now, "lastModifiedBy": "admin@example.com",
                "name": "myproduct", "proxies": [], "scopes": [],
            })
        );
        assert_eq!(edge.call("POST", "/apiproducts", &body).0, 409);

        let mut x = Driver::orders("X");
        let (status, product) = x.call("POST", "/apiproducts", &body);
        assert_eq!(status, 201);
        assert_eq!(
            product,
            json!({
                "apiResources": ["/"], "approvalType": "auto", "attributes": [{"name": "access", "value": "public"}],
                "createdAt": now.to_string(), "displayName": "My product", "environments": ["test"],
                "lastModifiedAt": now.to_string(), "name": "myproduct",
            })
        );
    }

    #[test]
    fn an_empty_scope_name_of_a_product_comes_back_and_allows_nothing() {
        let mut driver = Driver::orders("Edge");
        let (_, product) = driver.call(
            "POST",
            "/apiproducts",
            &json!({"name": "open", "scopes": [""]}),
        );
        assert_eq!(product["scopes"], json!([""]));
        let key = "/developers/ann@example.com/apps/shop/keys/k3y";
        let (status, error) = driver.call(
            "PUT",
            key,
            &json!({"apiProducts": ["open"], "scopes": ["X"]}),
        );
        assert_eq!(status, 400);
        assert_eq!(
            error["message"],
            "Invalid scopes. Scopes must be contained in [READ, WRITE]"
        );
    }

    #[test]
    fn a_product_put_carries_unknown_members_and_drops_what_it_leaves_out() {
        for method in ["PUT", "POST"] {
            let mut driver = Driver::orders("X");
            let mut product = driver.fetch("/apiproducts/orders");
            product["payloadOperationGroup"] = json!({"operationConfigs": [{"apiSource": "a"}]});
            product["scopes"] = json!(["READ", "WRITE", "DELETE"]);
            let (status, answer) = driver.call(method, "/apiproducts/orders", &product);
            assert_eq!(status, 200);
            product["lastModifiedAt"] = answer["lastModifiedAt"].clone();
            assert_eq!(answer, product);
            let list = json!({"attribute": [{"name": "access", "value": "public"}]});
            driver.call("POST", "/apiproducts/orders/attributes", &list);
            let (_, answer) = driver.call(
                method,
                "/apiproducts/orders",
                &json!({"displayName": "Orders"}),
            );
            assert_eq!(answer.get("attributes"), None);
            assert_eq!(
                (answer.get("scopes"), answer.get("payloadOperationGroup")),
                (None, None)
            );
            assert_eq!(
                (&answer["displayName"], &answer["approvalType"]),
                (&json!("Orders"), &json!("auto"))
            );
        }
        let mut keeping = Driver::orders_with("X", &json!({"productPutOmitted": "keep"}));
        let (_, answer) = keeping.call(
            "PUT",
            "/apiproducts/orders",
            &json!({"displayName": "Orders"}),
        );
        assert_eq!(answer["scopes"], json!(["READ", "WRITE"]));
    }

    #[test]
    fn a_products_shrinking_prunes_keys_only_by_the_switch() {
        for (prunes, expected) in [(false, json!(["READ"])), (true, json!([]))] {
            let mut driver = Driver::orders_with("Edge", &json!({"shrinkPrunesKeys": prunes}));
            driver.call(
                "PUT",
                "/apiproducts/orders",
                &json!({"displayName": "o", "scopes": ["WRITE"]}),
            );
            let key = driver.fetch("/developers/ann@example.com/apps/shop/keys/k3y");
            assert_eq!(key["scopes"], expected, "{prunes}");
        }
    }

    #[test]
    fn a_deleted_product_stays_named_on_its_keys() {
        let mut driver = Driver::orders("Edge");
        let (status, product) = driver.call("DELETE", "/apiproducts/orders", &Value::Null);
        assert_eq!((status, &product["name"]), (200, &json!("orders")));
        let (status, error) = driver.get("/apiproducts/orders");
        assert_eq!(
            (status, &error["code"]),
            (
                404,
                &json!("keymanagement.service.apiproduct_doesnot_exist")
            )
        );
        let key = driver.fetch("/developers/ann@example.com/apps/shop/keys/k3y");
        assert_eq!(key["apiProducts"][0]["apiproduct"], "orders");
    }

    #[test]
    fn products_are_listed_paged_and_filtered() {
        let mut edge = Driver::orders("Edge");
        assert_eq!(
            edge.fetch("/apiproducts"),
            json!(["orders", "refunds", "vip"])
        );
        assert_eq!(
            edge.fetch("/apiproducts?count=2&startKey=refunds"),
            json!(["refunds", "vip"])
        );
        assert_eq!(
            edge.fetch("/apiproducts?expand=true&count=1")["apiProduct"][0]["scopes"],
            json!(["READ", "WRITE"])
        );
        let list = json!({"attribute": [{"name": "access", "value": "public"}]});
        edge.call("POST", "/apiproducts/vip/attributes", &list);
        assert_eq!(
            edge.fetch("/apiproducts?attributename=access&attributevalue=public"),
            json!(["vip"])
        );
        assert_eq!(
            edge.fetch("/apiproducts?attributename=access&attributevalue=private"),
            json!([])
        );
        let mut x = Driver::orders("X");
        assert_eq!(
            x.fetch("/apiproducts?count=1"),
            json!({"apiProduct": [{"name": "orders"}]})
        );
    }

    #[test]
    fn edge_lists_the_keys_and_apps_of_a_product() {
        let mut driver = Driver::orders("Edge");
        assert_eq!(
            driver.fetch("/apiproducts/orders?query=list&entity=keys"),
            json!(["k3y"])
        );
        assert_eq!(
            driver.fetch("/apiproducts/orders?query=list&entity=apps"),
            json!(["shop"])
        );
        assert_eq!(
            driver.fetch("/apiproducts/vip?query=list&entity=apps"),
            json!([])
        );
        assert_eq!(
            driver.get("/apiproducts/orders?query=list&entity=cats").0,
            400
        );
        let keys = "/developers/ann@example.com/apps/shop/keys";
        for name in ["m", "z"] {
            driver.call("POST", keys, &json!({"consumerKey": name}));
            driver.call(
                "POST",
                &format!("{keys}/{name}"),
                &json!({"apiProducts": ["orders"]}),
            );
        }
        let page = driver.fetch("/apiproducts/orders?query=list&entity=keys&startkey=m&count=1");
        assert_eq!(page, json!(["m"]));
    }

    #[test]
    fn a_product_needs_a_name_that_the_documents_allow() {
        let mut driver = Driver::orders("Edge");
        for (body, code) in [
            (
                json!({"displayName": "x"}),
                "keymanagement.service.apiproduct_name_invalid",
            ),
            (
                json!({"name": "a/b"}),
                "keymanagement.service.apiproduct_name_invalid",
            ),
            (
                json!({"name": "a", "displayName": ""}),
                "keymanagement.service.apiproduct_invalid_displayname",
            ),
        ] {
            let (status, error) = driver.call("POST", "/apiproducts", &body);
            assert_eq!((status, &error["code"]), (400, &json!(code)), "{body}");
        }
        assert_eq!(
            driver
                .call(
                    "POST",
                    "/apiproducts",
                    &json!({"name": "My $1 product_v1.0 - 5%"})
                )
                .0,
            201
        );
        assert_eq!(
            driver
                .get("/apiproducts/My%20%241%20product_v1.0%20-%205%25")
                .0,
            200
        );
    }
}
