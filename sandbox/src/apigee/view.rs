//! The stored objects as each edition shows them.
//!
//! | | Edge | X |
//! |---|---|---|
//! | times and expiry | numbers | strings |
//! | empty lists and texts | `[]`, `""` | left out |
//! | who created and changed it | `createdBy`, `lastModifiedBy` | left out |
//!
//! Views borrow and write straight into the answer: an expanded page of a thousand apps builds no tree in between.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::Edition;
use super::store::{App, Association, Attribute, Holder, HolderKind, Key, Product, Status};
use super::switches::Order;

/// Who stands in `createdBy` and `lastModifiedBy` on Edge.
const AUTHOR: &str = "admin@example.com";

/// What an answer depends on beside the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) edition: Edition,
    pub(super) scope_order: Order,
    pub(super) credential_order: Order,
}

/// A key, as an object of its own or among an app's credentials.
pub(super) struct KeyView<'a> {
    pub(super) shape: Shape,
    pub(super) key: &'a Key,
    /// Edge's answer to an import has no `expiresAt`.
    pub(super) imported: bool,
}

impl Serialize for KeyView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            shape,
            key,
            imported,
        } = self;
        let mut members = Members::start(serializer, shape.edition)?;
        members.list(
            "apiProducts",
            &key.products.iter().map(AssociationView).collect::<Vec<_>>(),
        )?;
        members.list("attributes", &key.attributes)?;
        members.put("consumerKey", &key.consumer_key)?;
        members.put("consumerSecret", &key.consumer_secret)?;
        if !(*imported && shape.edition == Edition::Edge) {
            members.millis("expiresAt", key.expires_at)?;
        }
        members.millis("issuedAt", key.issued_at)?;
        members.ordered("scopes", &key.scopes, shape.scope_order)?;
        members.put("status", key.status.as_str())?;
        members.end()
    }
}

struct AssociationView<'a>(&'a Association);

impl Serialize for AssociationView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("apiproduct", &self.0.product)?;
        map.serialize_entry("status", self.0.status.as_str())?;
        map.end()
    }
}

/// Which of an app's keys an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShownKeys {
    All,
    /// Those of one status: X's organization-wide list.
    With(Status),
    /// None at all: `includeCred=false`.
    None,
}

impl ShownKeys {
    pub(super) fn shows(self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::With(status) => key.status == status,
            Self::None => false,
        }
    }
}

/// An app.
pub(super) struct AppView<'a> {
    pub(super) shape: Shape,
    pub(super) app: &'a App,
    /// The developer's id.
    pub(super) developer_id: Option<&'a str>,
    pub(super) keys: ShownKeys,
    /// Found below `/apps` and not below its holder.
    pub(super) listed: bool,
    /// Whether `developerEmail` is told.
    pub(super) with_email: bool,
}

impl Serialize for AppView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, app, .. } = self;
        let edge = shape.edition == Edition::Edge;
        let mut members = Members::start(serializer, shape.edition)?;
        if self.listed {
            // The vendor's examples have this list, always empty, in the organization-wide form alone.
            members.list::<&str>("apiProducts", &[])?;
        }
        if app.holder.kind == HolderKind::AppGroup {
            members.put("appGroup", &app.holder.name)?;
        } else {
            members.put("appFamily", "default")?;
        }
        members.put("appId", &app.id)?;
        members.list("attributes", &app.attributes)?;
        members.text("callbackUrl", &app.callback_url)?;
        if app.holder.kind == HolderKind::Company {
            members.put("companyName", &app.holder.name)?;
        }
        members.millis("createdAt", app.created_at)?;
        members.author("createdBy")?;
        let credentials = Credentials(self);
        if self.keys != ShownKeys::None && (edge || credentials.shown().next().is_some()) {
            members.put("credentials", &credentials)?;
        }
        if self.with_email && app.holder.kind == HolderKind::Developer {
            members.put("developerEmail", &app.holder.name)?;
        }
        if let Some(id) = self.developer_id {
            members.put("developerId", id)?;
        }
        members.millis("lastModifiedAt", app.modified_at)?;
        members.author("lastModifiedBy")?;
        members.put("name", &app.name)?;
        // Scopes belong to keys: the app's own list is empty in all of the vendor's examples.
        members.list::<&str>("scopes", &[])?;
        members.put("status", app.status.as_str())?;
        members.end()
    }
}

/// The keys of an app that an answer shows.
struct Credentials<'a>(&'a AppView<'a>);

impl<'a> Credentials<'a> {
    fn shown(&self) -> impl DoubleEndedIterator<Item = KeyView<'a>> {
        let Self(AppView {
            shape, app, keys, ..
        }) = *self;
        app.keys
            .iter()
            .filter(|key| keys.shows(key))
            .map(|key| KeyView {
                shape: *shape,
                key,
                imported: false,
            })
    }
}

impl Serialize for Credentials<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.shape.credential_order {
            Order::Stored => serializer.collect_seq(self.shown()),
            Order::Reversed => serializer.collect_seq(self.shown().rev()),
        }
    }
}

/// A developer, company or app group.
pub(super) struct HolderView<'a> {
    pub(super) shape: Shape,
    pub(super) organization: &'a str,
    pub(super) kind: HolderKind,
    pub(super) name: &'a str,
    pub(super) holder: &'a Holder,
}

impl Serialize for HolderView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, holder, .. } = self;
        let mut members = Members::start(serializer, shape.edition)?;
        match self.kind {
            HolderKind::Developer => {
                // The documents promise the first hundred apps and no more.
                members.list("apps", &holder.app_names().take(100).collect::<Vec<_>>())?;
                members.list::<&str>("companies", &[])?;
                members.put("developerId", &holder.id)?;
                members.put("email", self.name)?;
                members.put("organizationName", self.organization)?;
            }
            HolderKind::Company => {
                members.list("apps", &holder.app_names().collect::<Vec<_>>())?;
                members.put("name", self.name)?;
                members.put("organization", self.organization)?;
            }
            HolderKind::AppGroup => {
                members.put("appGroupId", &holder.id)?;
                members.put("name", self.name)?;
                members.put("organization", self.organization)?;
            }
        }
        for (name, text) in &holder.fields {
            members.text(name, text)?;
        }
        members.list("attributes", &holder.attributes)?;
        members.put("status", if holder.active { "active" } else { "inactive" })?;
        members.millis("createdAt", holder.created_at)?;
        members.author("createdBy")?;
        members.millis("lastModifiedAt", holder.modified_at)?;
        members.author("lastModifiedBy")?;
        members.end()
    }
}

/// An API product.
pub(super) struct ProductView<'a> {
    pub(super) shape: Shape,
    pub(super) product: &'a Product,
}

impl Serialize for ProductView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, product } = self;
        let edge = shape.edition == Edition::Edge;
        let mut members = Members::start(serializer, shape.edition)?;
        if edge {
            for name in ["apiResources", "environments", "proxies"] {
                if !product.fields.contains_key(name) {
                    members.list::<&str>(name, &[])?;
                }
            }
        }
        members.list("attributes", &product.attributes)?;
        members.millis("createdAt", product.created_at)?;
        members.author("createdBy")?;
        for (name, value) in &product.fields {
            if edge || !is_empty(value) {
                members.put(name, value)?;
            }
        }
        members.millis("lastModifiedAt", product.modified_at)?;
        members.author("lastModifiedBy")?;
        members.put("name", &product.name)?;
        members.ordered("scopes", &product.scopes, shape.scope_order)?;
        members.end()
    }
}

/// A list of attributes as its own resource.
pub(super) struct AttributesView<'a> {
    pub(super) edition: Edition,
    pub(super) attributes: &'a [Attribute],
}

impl Serialize for AttributesView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::start(serializer, self.edition)?;
        members.list("attribute", self.attributes)?;
        members.end()
    }
}

/// A list under one member name, such as `{"app": [...]}`; without items it is `{}` on X.
pub(super) struct ListView<'a, T> {
    pub(super) edition: Edition,
    pub(super) name: &'static str,
    pub(super) items: &'a [T],
    pub(super) next_page_token: Option<String>,
    pub(super) total_size: Option<usize>,
}

impl<T: Serialize> Serialize for ListView<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::start(serializer, self.edition)?;
        members.list(self.name, self.items)?;
        if let Some(token) = &self.next_page_token {
            members.put("nextPageToken", token)?;
        }
        if let Some(total) = self.total_size.filter(|total| *total > 0) {
            members.put("totalSize", &total)?;
        }
        members.end()
    }
}

/// What protobuf leaves out of JSON.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Writes the members of an object by an edition's rules.
struct Members<S: Serializer> {
    map: S::SerializeMap,
    edition: Edition,
}

impl<S: Serializer> Members<S> {
    fn start(serializer: S, edition: Edition) -> Result<Self, S::Error> {
        let map = serializer.serialize_map(None)?;
        Ok(Self { map, edition })
    }

    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), S::Error> {
        self.map.serialize_entry(name, value)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), S::Error> {
        if text.is_empty() && self.edition == Edition::X {
            return Ok(());
        }
        self.put(name, text)
    }

    fn list<T: Serialize>(&mut self, name: &str, items: &[T]) -> Result<(), S::Error> {
        if items.is_empty() && self.edition == Edition::X {
            return Ok(());
        }
        self.put(name, items)
    }

    fn ordered(&mut self, name: &str, items: &[String], order: Order) -> Result<(), S::Error> {
        match order {
            Order::Stored => self.list(name, items),
            Order::Reversed if items.is_empty() => self.list(name, items),
            Order::Reversed => self.put(name, &Reversed(items)),
        }
    }

    fn millis(&mut self, name: &str, time: i64) -> Result<(), S::Error> {
        match self.edition {
            Edition::Edge => self.put(name, &time),
            Edition::X => self.put(name, &time.to_string()),
        }
    }

    fn author(&mut self, name: &str) -> Result<(), S::Error> {
        match self.edition {
            Edition::Edge => self.put(name, AUTHOR),
            Edition::X => Ok(()),
        }
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.map.end()
    }
}

struct Reversed<'a>(&'a [String]);

impl Serialize for Reversed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0.iter().rev() {
            list.serialize_element(item)?;
        }
        list.end()
    }
}
