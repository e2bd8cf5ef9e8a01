//! The state of an emulated organization, and the indexes that keep every lookup short.
//!
//! ```text
//! holders (developers, companies, app groups) --name--> app id --> apps --> keys --> associations with products
//! consumer key --------------------------------------------------> app id
//! ```
//! The store knows no editions and no switches: it holds what is stored, not what is answered.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The time of what a world file gives no time for: 2023-11-14T22:13:20Z, in milliseconds.
pub(super) const UNDATED: i64 = 1_700_000_000_000;

/// The `expiresAt` of a key that does not expire.
pub(super) const NEVER: i64 = -1;

/// What may hold apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum HolderKind {
    Developer,
    Company,
    AppGroup,
}

/// The identity of a holder: a developer's e-mail, or a company's or app group's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HolderName {
    pub(super) kind: HolderKind,
    pub(super) name: String,
}

impl HolderName {
    pub(super) fn new(kind: HolderKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

/// Approval of an app, of a key, or of a product on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    #[default]
    Approved,
    Pending,
    Revoked,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Pending => "pending",
            Self::Revoked => "revoked",
        }
    }
}

/// A custom attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attribute {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

/// An API product; `fields` holds all members that the emulator only carries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Product {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) fields: Map<String, Value>,
    pub(super) created_at: i64,
    pub(super) modified_at: i64,
}

impl Product {
    /// The status that a key gets when this product is added to it.
    pub(super) fn first_status(&self) -> Status {
        match self.fields.get("approvalType").and_then(Value::as_str) {
            Some("manual") => Status::Pending,
            _ => Status::Approved,
        }
    }
}

/// A developer, company or app group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Holder {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) attributes: Vec<Attribute>,
    /// Descriptive texts, such as `firstName` or `displayName`.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) created_at: i64,
    pub(super) modified_at: i64,
    /// App ids by name.
    apps: BTreeMap<String, String>,
}

impl Holder {
    pub(super) fn new(id: String, now: i64) -> Self {
        Self {
            id,
            active: true,
            attributes: Vec::new(),
            fields: BTreeMap::new(),
            created_at: now,
            modified_at: now,
            apps: BTreeMap::new(),
        }
    }

    pub(super) fn app_names(&self) -> impl Iterator<Item = &str> {
        self.apps.keys().map(String::as_str)
    }
}

/// An app with its keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) holder: HolderName,
    pub(super) status: Status,
    pub(super) attributes: Vec<Attribute>,
    pub(super) callback_url: String,
    pub(super) created_at: i64,
    pub(super) modified_at: i64,
    pub(super) keys: Vec<Key>,
}

impl App {
    pub(super) fn key(&self, consumer_key: &str) -> Option<&Key> {
        self.keys
            .iter()
            .find(|key| key.consumer_key == consumer_key)
    }
}

/// A consumer key. `scopes: []` stands for every scope of its products: nothing says "no scope at all".
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_field_names,
    reason = "a consumer key is what the API calls it"
)]
pub(super) struct Key {
    pub(super) consumer_key: String,
    pub(super) consumer_secret: String,
    pub(super) products: Vec<Association>,
    pub(super) scopes: Vec<String>,
    pub(super) status: Status,
    pub(super) attributes: Vec<Attribute>,
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
}

/// A product on a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Association {
    pub(super) product: String,
    pub(super) status: Status,
}

/// Everything that an organization stores.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Store {
    pub(super) products: BTreeMap<String, Product>,
    holders: BTreeMap<HolderName, Holder>,
    /// Developers' e-mails by developer id.
    developer_ids: HashMap<String, String>,
    apps: BTreeMap<String, App>,
    /// App ids by consumer key.
    keys: HashMap<String, String>,
}

impl Store {
    pub(super) fn holder(&self, name: &HolderName) -> Option<&Holder> {
        self.holders.get(name)
    }

    pub(super) fn holder_mut(&mut self, name: &HolderName) -> Option<&mut Holder> {
        self.holders.get_mut(name)
    }

    pub(super) fn developer_by_id(&self, id: &str) -> Option<&str> {
        self.developer_ids.get(id).map(String::as_str)
    }

    /// The holders of one kind in the order of their names, from `start` on, `start` included.
    pub(super) fn holders_from(
        &self,
        kind: HolderKind,
        start: &str,
    ) -> impl Iterator<Item = (&str, &Holder)> {
        self.holders
            .range(HolderName::new(kind, start)..)
            .take_while(move |(name, _)| name.kind == kind)
            .map(|(name, holder)| (name.name.as_str(), holder))
    }

    /// Adds a holder; `false` where its name, or a developer's id, is taken.
    pub(super) fn add_holder(&mut self, name: HolderName, holder: Holder) -> bool {
        if self.holders.contains_key(&name) {
            return false;
        }
        if name.kind == HolderKind::Developer {
            if self.developer_ids.contains_key(&holder.id) {
                return false;
            }
            self.developer_ids
                .insert(holder.id.clone(), name.name.clone());
        }
        self.holders.insert(name, holder);
        true
    }

    /// Removes a holder with all its apps and keys.
    pub(super) fn remove_holder(&mut self, name: &HolderName) -> Option<Holder> {
        let holder = self.holders.remove(name)?;
        for id in holder.apps.values() {
            if let Some(app) = self.apps.remove(id) {
                self.forget_keys(&app);
            }
        }
        self.developer_ids.remove(&holder.id);
        Some(holder)
    }

    pub(super) fn app(&self, id: &str) -> Option<&App> {
        self.apps.get(id)
    }

    pub(super) fn app_id(&self, holder: &HolderName, name: &str) -> Option<&str> {
        self.holders.get(holder)?.apps.get(name).map(String::as_str)
    }

    /// The app that holds a consumer key.
    pub(super) fn app_of_key(&self, consumer_key: &str) -> Option<&App> {
        self.apps.get(self.keys.get(consumer_key)?)
    }

    /// All apps in the order of their ids, from `start` on, `start` included.
    pub(super) fn apps_from(&self, start: &str) -> impl Iterator<Item = &App> {
        self.apps
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .map(|(_, app)| app)
    }

    /// The apps of one holder in the order of their names, from `start` on, `start` included.
    pub(super) fn apps_of<'a>(
        &'a self,
        holder: &'a Holder,
        start: &'a str,
    ) -> impl Iterator<Item = &'a App> {
        holder
            .apps
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .filter_map(|(_, id)| self.apps.get(id))
    }

    /// Adds an app without keys; `false` where its holder is unknown, or its name or id is taken.
    pub(super) fn add_app(&mut self, app: App) -> bool {
        debug_assert!(
            app.keys.is_empty(),
            "keys are added one by one, so that each is known to be unique"
        );
        if self.apps.contains_key(&app.id) {
            return false;
        }
        let Some(holder) = self.holders.get_mut(&app.holder) else {
            return false;
        };
        if holder.apps.contains_key(&app.name) {
            return false;
        }
        holder.apps.insert(app.name.clone(), app.id.clone());
        self.apps.insert(app.id.clone(), app);
        true
    }

    /// Lets `edit` change an app's own members. Its id, name, holder and keys have ways of their own, which keep the
    /// indexes right.
    pub(super) fn edit_app(&mut self, id: &str, edit: impl FnOnce(&mut App)) -> Option<&App> {
        let app = self.apps.get_mut(id)?;
        edit(app);
        Some(app)
    }

    pub(super) fn remove_app(&mut self, id: &str) -> Option<App> {
        let app = self.apps.remove(id)?;
        if let Some(holder) = self.holders.get_mut(&app.holder) {
            holder.apps.remove(&app.name);
        }
        self.forget_keys(&app);
        Some(app)
    }

    pub(super) fn has_key(&self, consumer_key: &str) -> bool {
        self.keys.contains_key(consumer_key)
    }

    /// Adds a key to an app; `false` where the app is unknown or the consumer key is taken in the organization.
    pub(super) fn add_key(&mut self, app_id: &str, key: Key) -> bool {
        let Some(app) = self.apps.get_mut(app_id) else {
            return false;
        };
        if self.keys.contains_key(&key.consumer_key) {
            return false;
        }
        self.keys
            .insert(key.consumer_key.clone(), app_id.to_owned());
        app.keys.push(key);
        true
    }

    /// A key for editing; its `consumer_key` must stay as it is.
    pub(super) fn key_mut(&mut self, app_id: &str, consumer_key: &str) -> Option<&mut Key> {
        let app = self.apps.get_mut(app_id)?;
        app.keys
            .iter_mut()
            .find(|key| key.consumer_key == consumer_key)
    }

    pub(super) fn remove_key(&mut self, app_id: &str, consumer_key: &str) -> Option<Key> {
        let app = self.apps.get_mut(app_id)?;
        let place = app
            .keys
            .iter()
            .position(|key| key.consumer_key == consumer_key)?;
        self.keys.remove(consumer_key);
        Some(app.keys.remove(place))
    }

    /// Every key of the organization, for the rare change that touches all of them.
    pub(super) fn keys_mut(
        &mut self,
    ) -> impl Iterator<Item = (&BTreeMap<String, Product>, &mut Key)> {
        let products = &self.products;
        self.apps
            .values_mut()
            .flat_map(|app| app.keys.iter_mut())
            .map(move |key| (products, key))
    }

    fn forget_keys(&mut self, app: &App) {
        for key in &app.keys {
            self.keys.remove(&key.consumer_key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_developers_id_is_free_again() {
        let mut store = Store::default();
        let ann = HolderName::new(HolderKind::Developer, "ann@example.com");
        let bob = HolderName::new(HolderKind::Developer, "bob@example.com");
        assert!(store.add_holder(ann.clone(), Holder::new("1".to_owned(), 0)));
        assert!(
            !store.add_holder(bob.clone(), Holder::new("1".to_owned(), 0)),
            "ids are unique"
        );
        store.remove_holder(&ann);
        assert_eq!(store.developer_by_id("1"), None);
        assert!(store.add_holder(bob, Holder::new("1".to_owned(), 0)));
    }
}
