//! Changes of an Apigee organization.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::apigee::ids;
use super::{entry, list, take, unknown};

/// When a key expired that a change lets expire, in milliseconds since 1970: long ago by any clock.
const LONG_AGO: i64 = 1;

/// Who may have apps: the member that names one, the list of a world, the member of its entries.
const HOLDERS: [(&str, &str, &str); 3] = [
    ("developer", "developers", "email"),
    ("company", "companies", "name"),
    ("appGroup", "appGroups", "name"),
];

/// All that a change may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Details {
    developer: Value,
    company: Value,
    app_group: Value,
    app: Value,
    consumer_key: Value,
    product: Value,
    scopes: Option<Value>,
    status: Option<Value>,
    key: Option<Value>,
}

pub(super) fn edit(
    world: &mut Value,
    verb: &str,
    details: Value,
    _: &Map<String, Value>,
) -> Result<(), String> {
    let mut details = Details::deserialize(details).map_err(|error| error.to_string())?;
    let scopes = details.scopes.take().ok_or("`scopes` is missing");
    match verb {
        "setKeyScopes" => details.key_in(world)?["scopes"] = scopes?,
        "addProduct" => {
            entry(list(world, "products"), "product", "name", &details.product)?;
            let products = list(details.key_in(world)?, "products");
            if !products
                .iter()
                .any(|product| *name_of(product) == details.product)
            {
                products.push(details.product);
            }
        }
        "removeProduct" => {
            *details.association_in(world)? = Value::Null;
            let key = details.key_in(world)?;
            list(key, "products").retain(|product| !product.is_null());
            let consumer_key = key["consumerKey"].clone();
            prune(world, |key| key["consumerKey"] == consumer_key);
        }
        "setProductStatus" => {
            let status = details.status.take().ok_or("`status` is missing")?;
            *details.association_in(world)? = json!({ "name": details.product, "status": status });
        }
        "deleteKey" => {
            let consumer_key = details.key_in(world)?["consumerKey"].clone();
            take(
                list(details.app_in(world)?, "keys"),
                "key",
                "consumerKey",
                &consumer_key,
            )?;
        }
        "revokeKey" => details.key_in(world)?["status"] = json!("revoked"),
        "approveKey" => details.key_in(world)?["status"] = json!("approved"),
        "expireKey" => details.key_in(world)?["expiresAt"] = json!(LONG_AGO),
        "addKey" => {
            let key = details.key.take().ok_or("`key` is missing")?;
            list(details.app_in(world)?, "keys").push(key);
        }
        "addApp" => {
            // Another app than one of this name that a world file had.
            let place = [&world["organization"], details.holder()?.2, &details.app];
            let id = ids::uuid(&["drift", &json!(place).to_string()]);
            let apps = list(details.holder_in(world)?, "apps");
            apps.push(json!({ "name": details.app, "appId": id }));
        }
        "deleteApp" => {
            take(
                list(details.holder_in(world)?, "apps"),
                "app",
                "name",
                &details.app,
            )?;
        }
        "revokeApp" => details.app_in(world)?["status"] = json!("revoked"),
        "approveApp" => details.app_in(world)?["status"] = json!("approved"),
        "setProductScopes" => {
            let product = entry(list(world, "products"), "product", "name", &details.product)?;
            let before = std::mem::replace(&mut product["scopes"], scopes?);
            let after = product["scopes"].clone();
            if texts(&before).any(|scope| !texts(&after).any(|kept| kept == scope)) {
                prune(world, |key| holds(key, &details.product));
            }
        }
        "deleteProduct" => {
            take(list(world, "products"), "product", "name", &details.product)?;
        }
        "deleteDeveloper" => {
            take(
                list(world, "developers"),
                "developer",
                "email",
                &details.developer,
            )?;
        }
        _ => return unknown(),
    }
    Ok(())
}

impl Details {
    /// The list that the holder stands in, the member that names it there, and its name.
    fn holder(&self) -> Result<(&'static str, &'static str, &Value), String> {
        let named = [&self.developer, &self.company, &self.app_group];
        let mut given = HOLDERS
            .iter()
            .zip(named)
            .filter(|(_, name)| !name.is_null());
        match (given.next(), given.next()) {
            (Some(((_, list, key), name)), None) => Ok((list, key, name)),
            _ => Err("exactly one of `developer`, `company` and `appGroup` is needed".to_owned()),
        }
    }

    fn holder_in<'w>(&self, world: &'w mut Value) -> Result<&'w mut Value, String> {
        let (holders, key, name) = self.holder()?;
        entry(list(world, holders), "holder of apps", key, name)
    }

    fn app_in<'w>(&self, world: &'w mut Value) -> Result<&'w mut Value, String> {
        entry(
            list(self.holder_in(world)?, "apps"),
            "app",
            "name",
            &self.app,
        )
    }

    fn key_in<'w>(&self, world: &'w mut Value) -> Result<&'w mut Value, String> {
        let keys = list(self.app_in(world)?, "keys");
        match (&self.consumer_key, keys.as_mut_slice()) {
            (Value::Null, [only]) => Ok(only),
            (Value::Null, _) => {
                Err("`consumerKey` is needed: the app has not exactly one key".to_owned())
            }
            (wanted, keys) => entry(keys, "key", "consumerKey", wanted),
        }
    }

    /// The product of a key.
    fn association_in<'w>(&self, world: &'w mut Value) -> Result<&'w mut Value, String> {
        let products = list(self.key_in(world)?, "products").iter_mut();
        let mut found = products.filter(|product| *name_of(product) == self.product);
        found
            .next()
            .ok_or_else(|| format!("the key has no product {}", self.product))
    }
}

/// The name of a product of a key: the entry itself where it has no other status than approved.
fn name_of(association: &Value) -> &Value {
    association.get("name").unwrap_or(association)
}

fn holds(key: &Value, product: &Value) -> bool {
    let products = key["products"].as_array().into_iter().flatten();
    products.map(name_of).any(|name| name == product)
}

fn texts(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Takes from keys what their products allow no more, where the world's switch says that Apigee does.
fn prune(world: &mut Value, concerns: impl Fn(&Value) -> bool) {
    if world["switches"]["shrinkPrunesKeys"] != true {
        return;
    }
    let products = list(world, "products").clone();
    for (_, holders, _) in HOLDERS {
        let apps = list(world, holders)
            .iter_mut()
            .flat_map(|holder| list(holder, "apps"));
        for key in apps
            .flat_map(|app| list(app, "keys"))
            .filter(|key| concerns(key))
        {
            let allowing = products
                .iter()
                .filter(|product| holds(key, &product["name"]));
            let allowed: Vec<Value> = allowing
                .flat_map(|product| texts(&product["scopes"]))
                .cloned()
                .collect();
            list(key, "scopes").retain(|scope| allowed.contains(scope));
        }
    }
}
