//! Changes behind the reconciler's back.
//!
//! ```json
//! {"setKeyScopes": {"developer": "ann@example.com", "app": "shop", "consumerKey": "k3y", "scopes": ["READ"]}}
//! ```
//!
//! | change | members |
//! |---|---|
//! | `setKeyScopes` | a key, `scopes` |
//! | `addProduct`, `removeProduct` | a key, `product` |
//! | `setProductStatus` | a key, `product`, `status` |
//! | `deleteKey`, `revokeKey`, `approveKey`, `expireKey` | a key |
//! | `addKey` | an app, `key` as in a world file |
//! | `addApp`, `deleteApp`, `revokeApp`, `approveApp` | an app |
//! | `setProductScopes` | `product`, `scopes` |
//! | `deleteProduct` | `product` |
//! | `deleteDeveloper` | `developer` |
//!
//! An app is `app` with one of `developer`, `company` and `appGroup`; a key is an app with `consumerKey`, which may be
//! left out where the app has one key. Nothing is checked as the API would: drift makes states that other hands left.

use serde::Deserialize;
use serde_json::Value;

use super::store::{App, Association, HolderKind, HolderName, Key, Status, UNDATED};
use super::world::WorldKey;
use super::{Organization, ids};

/// When a key expired that drift lets expire: long ago by any clock.
const LONG_AGO: i64 = 1;

/// All that a change may say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Details {
    developer: Option<String>,
    company: Option<String>,
    app_group: Option<String>,
    app: Option<String>,
    consumer_key: Option<String>,
    product: Option<String>,
    scopes: Option<Vec<String>>,
    status: Option<Status>,
    key: Option<WorldKey>,
}

impl Organization {
    /// Makes one change.
    pub(super) fn drift(&mut self, change: &Value) -> Result<(), String> {
        let members = change.as_object().ok_or("a change is an object")?;
        let mut kinds = members.iter().filter(|(name, _)| *name != "system");
        let (Some((kind, details)), None) = (kinds.next(), kinds.next()) else {
            return Err("a change has one member beside `system`".to_owned());
        };
        let details = Details::deserialize(details).map_err(|error| format!("{kind}: {error}"))?;
        self.make(kind, details)
            .map_err(|error| format!("{kind}: {error}"))
    }

    fn make(&mut self, kind: &str, mut details: Details) -> Result<(), String> {
        match kind {
            "setKeyScopes" => {
                let scopes = details.scopes.take().ok_or("`scopes` is missing")?;
                self.drifting_key(&details)?.scopes = scopes;
            }
            "addProduct" => {
                let product = details.product()?.to_owned();
                if !self.store.products.contains_key(&product) {
                    return Err(format!("there is no product {product:?}"));
                }
                let key = self.drifting_key(&details)?;
                if !key
                    .products
                    .iter()
                    .any(|association| association.product == product)
                {
                    key.products.push(Association {
                        product,
                        status: Status::Approved,
                    });
                }
            }
            "removeProduct" => {
                let (id, consumer_key) = self.key_place(&details)?;
                self.remove_product_from_key(&id, &consumer_key, details.product()?)
                    .map_err(|fault| fault.message)?;
            }
            "setProductStatus" => {
                let status = details.status.ok_or("`status` is missing")?;
                let product = details.product()?;
                let key = self.drifting_key(&details)?;
                let association = key.products.iter_mut().find(|a| a.product == product);
                association.ok_or("the key has no such product")?.status = status;
            }
            "deleteKey" => {
                let (id, consumer_key) = self.key_place(&details)?;
                self.store.remove_key(&id, &consumer_key);
            }
            "revokeKey" => self.drifting_key(&details)?.status = Status::Revoked,
            "approveKey" => self.drifting_key(&details)?.status = Status::Approved,
            "expireKey" => self.drifting_key(&details)?.expires_at = LONG_AGO,
            "addKey" => {
                let key = details.key.take().ok_or("`key` is missing")?;
                let id = self.app_place(&details)?;
                if !self.store.add_key(&id, key.into_key()) {
                    return Err("the consumer key is taken".to_owned());
                }
            }
            "addApp" => self.add_drifting_app(&details)?,
            "deleteApp" => {
                let id = self.app_place(&details)?;
                self.store.remove_app(&id);
            }
            "revokeApp" => self.set_app_status(&details, Status::Revoked)?,
            "approveApp" => self.set_app_status(&details, Status::Approved)?,
            "setProductScopes" => {
                let scopes = details.scopes.take().ok_or("`scopes` is missing")?;
                self.set_product_scopes(details.product()?, scopes)
                    .map_err(|fault| fault.message)?;
            }
            "deleteProduct" => {
                let name = details.product()?;
                let removed = self.store.products.remove(name);
                removed.ok_or_else(|| format!("there is no product {name:?}"))?;
            }
            "deleteDeveloper" => {
                let holder = details.holder()?;
                let removed = self.store.remove_holder(&holder);
                removed.ok_or_else(|| format!("there is no developer {:?}", holder.name))?;
            }
            _ => return Err("no such change is known".to_owned()),
        }
        Ok(())
    }

    fn add_drifting_app(&mut self, details: &Details) -> Result<(), String> {
        let holder = details.holder()?;
        let name = details.app()?.to_owned();
        let kind = format!("{:?}", holder.kind);
        let app = App {
            id: ids::uuid(&["drift", &self.name, &kind, &holder.name, &name]),
            name,
            holder,
            status: Status::Approved,
            attributes: Vec::new(),
            callback_url: String::new(),
            created_at: UNDATED,
            modified_at: UNDATED,
            keys: Vec::new(),
        };
        if self.store.add_app(app) {
            Ok(())
        } else {
            Err("its holder is unknown, or it is there already".to_owned())
        }
    }

    fn set_app_status(&mut self, details: &Details, status: Status) -> Result<(), String> {
        let id = self.app_place(details)?;
        self.store.edit_app(&id, |app| app.status = status);
        Ok(())
    }

    fn app_place(&self, details: &Details) -> Result<String, String> {
        let holder = details.holder()?;
        let name = details.app()?;
        let id = self.store.app_id(&holder, name);
        id.map(str::to_owned)
            .ok_or_else(|| format!("there is no app {name:?} of {:?}", holder.name))
    }

    fn key_place(&self, details: &Details) -> Result<(String, String), String> {
        let id = self.app_place(details)?;
        let keys = self
            .store
            .app(&id)
            .map_or(&[][..], |app| app.keys.as_slice());
        let key = match (&details.consumer_key, keys) {
            (Some(wanted), _) => keys.iter().find(|key| key.consumer_key == *wanted),
            (None, [only]) => Some(only),
            (None, _) => {
                return Err("`consumerKey` is needed: the app has not exactly one key".to_owned());
            }
        };
        let key = key.ok_or("the app has no such key")?;
        Ok((id, key.consumer_key.clone()))
    }

    fn drifting_key(&mut self, details: &Details) -> Result<&mut Key, String> {
        let (id, consumer_key) = self.key_place(details)?;
        self.stored_key_mut(&id, &consumer_key)
            .map_err(|fault| fault.message)
    }
}

impl Details {
    fn holder(&self) -> Result<HolderName, String> {
        match (&self.developer, &self.company, &self.app_group) {
            (Some(name), None, None) => Ok(HolderName::new(HolderKind::Developer, name)),
            (None, Some(name), None) => Ok(HolderName::new(HolderKind::Company, name)),
            (None, None, Some(name)) => Ok(HolderName::new(HolderKind::AppGroup, name)),
            _ => Err("exactly one of `developer`, `company` and `appGroup` is needed".to_owned()),
        }
    }

    fn app(&self) -> Result<&str, String> {
        self.app
            .as_deref()
            .ok_or_else(|| "`app` is missing".to_owned())
    }

    fn product(&self) -> Result<&str, String> {
        self.product
            .as_deref()
            .ok_or_else(|| "`product` is missing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apigee::testing::Driver;
    use crate::wire::Emulated as _;

    const SHOP: &str = "/developers/ann@example.com/apps/shop";

    /// A change's members with the address of the key `k3y`.
    fn on_key(mut members: Value) -> Value {
        members["developer"] = json!("ann@example.com");
        members["app"] = json!("shop");
        members["consumerKey"] = json!("k3y");
        members
    }

    #[test]
    fn each_change_shows_in_the_answers() {
        let app = json!({"developer": "ann@example.com", "app": "shop"});
        // (change, path, pointer into the answer, value there)
        let table = [
            (
                json!({"setKeyScopes": on_key(json!({"scopes": ["ANY"]}))}),
                "/keys/k3y",
                "/scopes",
                json!(["ANY"]),
            ),
            (
                json!({"addProduct": on_key(json!({"product": "vip"}))}),
                "/keys/k3y",
                "/apiProducts/1/status",
                json!("approved"),
            ),
            (
                json!({"removeProduct": on_key(json!({"product": "orders"}))}),
                "/keys/k3y",
                "/apiProducts",
                json!([]),
            ),
            (
                json!({"setProductStatus": on_key(json!({"product": "orders", "status": "pending"}))}),
                "/keys/k3y",
                "/apiProducts/0/status",
                json!("pending"),
            ),
            (
                json!({"revokeKey": on_key(json!({}))}),
                "/keys/k3y",
                "/status",
                json!("revoked"),
            ),
            (
                json!({"expireKey": app}),
                "/keys/k3y",
                "/expiresAt",
                json!(1),
            ),
            (json!({"deleteKey": app}), "", "/credentials", json!([])),
            (
                json!({"addKey": {"developer": "ann@example.com", "app": "shop", "key": {"consumerKey": "new"}}}),
                "",
                "/credentials/1/consumerKey",
                json!("new"),
            ),
            (json!({"revokeApp": app}), "", "/status", json!("revoked")),
            (
                json!({"system": "apigee-prod", "approveKey": app}),
                "/keys/k3y",
                "/status",
                json!("approved"),
            ),
        ];
        for (change, path, pointer, expected) in table {
            let mut driver = Driver::orders("Edge");
            driver.apigee.drift(&change).unwrap();
            let answer = driver.fetch(&format!("{SHOP}{path}"));
            assert_eq!(answer.pointer(pointer), Some(&expected), "{change}");
        }
    }

    #[test]
    fn objects_come_and_go() {
        let mut driver = Driver::orders("X");
        let mut drift = |change: Value| driver.apigee.drift(&change).unwrap();
        drift(json!({"setProductScopes": {"product": "orders", "scopes": ["READ"]}}));
        drift(json!({"deleteProduct": {"product": "vip"}}));
        drift(json!({"addApp": {"developer": "ann@example.com", "app": "new"}}));
        drift(json!({"deleteApp": {"developer": "ann@example.com", "app": "shop"}}));
        assert_eq!(
            driver.fetch("/apiproducts/orders")["scopes"],
            json!(["READ"])
        );
        assert_eq!(driver.get("/apiproducts/vip").0, 404);
        assert_eq!(
            driver.fetch("/developers/ann@example.com/apps"),
            json!({"app": [{"appId": "new"}]})
        );
        driver
            .apigee
            .drift(&json!({"deleteDeveloper": {"developer": "ann@example.com"}}))
            .unwrap();
        assert_eq!(driver.fetch("/developers"), json!({}));
    }

    #[test]
    fn a_change_that_cannot_be_made_says_why() {
        let mut driver = Driver::orders("X");
        for (change, message) in [
            (json!({"eatKey": {}}), "eatKey: no such change is known"),
            (
                json!({"system": "x"}),
                "a change has one member beside `system`",
            ),
            (json!({"revokeKey": {"app": "shop"}}), "exactly one of"),
            (
                json!({"revokeKey": {"developer": "ann@example.com", "app": "no"}}),
                "there is no app \"no\"",
            ),
            (
                json!({"setKeyScopes": on_key(json!({}))}),
                "`scopes` is missing",
            ),
            (
                json!({"setKeyScopes": on_key(json!({"scope": []}))}),
                "unknown field `scope`",
            ),
            (
                json!({"addProduct": on_key(json!({"product": "no"}))}),
                "there is no product \"no\"",
            ),
            (json!([]), "a change is an object"),
        ] {
            let error = driver.apigee.drift(&change).unwrap_err();
            assert!(error.contains(message), "{change}: {error}");
        }
    }
}
