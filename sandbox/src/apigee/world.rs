//! The world-file form of an Apigee organization: what stands below `apigee:`.
//!
//! ```yaml
//! organization: acme
//! edition: X                                   # or Edge
//! credentials: [{ token: sandbox }]            # or username+password, refreshToken, serviceAccount
//! products: [{ name: orders, scopes: [READ, WRITE] }]
//! developers: [{ email: ann@example.com, apps: [{ name: shop, keys: [{ consumerKey: k3y, products: [orders] }] }] }]
//! companies: []                                # Edge
//! appGroups: []                                # X
//! switches: {}
//! ```
//! What a file leaves out (ids, secrets, times) is derived from names, so that it is the same at every start. What the
//! emulator writes is complete: loading it again gives the same state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::auth::{Auth, Credential, Session};
use super::store::{
    App, Association, Attribute, Holder, HolderKind, HolderName, Key, NEVER, Product, Status,
    Store, UNDATED,
};
use super::switches::Switches;
use super::{Edition, Organization, ids};

/// An organization as a world file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct World {
    pub(super) organization: String,
    pub(super) edition: Edition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) credentials: Vec<Credential>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    products: Vec<WorldProduct>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    developers: Vec<WorldDeveloper>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    companies: Vec<WorldTeam>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    app_groups: Vec<WorldTeam>,
    #[serde(default, skip_serializing_if = "Switches::is_default")]
    pub(super) switches: Switches,
    /// In a state file: how many ids were made up so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) made: u64,
    /// In a state file: the tokens that were given out.
    #[serde(default, skip_serializing_if = "Session::is_empty")]
    pub(super) session: Session,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorldProduct {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    /// All other members, as the API has them (`operationGroup`, `proxies`, `quota`, ...).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorldDeveloper {
    email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    developer_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Activity::is_active")]
    status: Activity,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    apps: Vec<WorldApp>,
}

/// A company or an app group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorldTeam {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Activity::is_active")]
    status: Activity,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    apps: Vec<WorldApp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Activity {
    #[default]
    Active,
    Inactive,
}

impl Activity {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_active(&self) -> bool {
        *self == Self::Active
    }

    fn of(active: bool) -> Self {
        if active { Self::Active } else { Self::Inactive }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorldApp {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(default, skip_serializing_if = "is_approved")]
    status: Status,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    callback_url: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<WorldKey>,
}

/// A key of an app, in world files and in drift.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WorldKey {
    consumer_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    products: Vec<WorldAssociation>,
    /// The stored list: none, or `[]`, is unrestricted.
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "is_approved")]
    status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<i64>,
    /// Milliseconds since 1970; -1, or none, is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum WorldAssociation {
    /// An approved product.
    Name(String),
    WithStatus(AssociationWithStatus),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssociationWithStatus {
    name: String,
    #[serde(default)]
    status: Status,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_approved(status: &Status) -> bool {
    *status == Status::Approved
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl World {
    /// Writes an organization down.
    pub(super) fn of(organization: &Organization, auth: &Auth) -> Self {
        let Organization {
            name,
            edition,
            switches,
            store,
            made,
        } = organization;
        let teams = |kind| {
            store
                .holders_from(kind, "")
                .map(|(name, holder)| WorldTeam::of(name, holder, store))
                .collect()
        };
        Self {
            organization: name.clone(),
            edition: *edition,
            credentials: auth.credentials.clone(),
            products: store.products.values().map(WorldProduct::of).collect(),
            developers: store
                .holders_from(HolderKind::Developer, "")
                .map(|(email, holder)| WorldDeveloper::of(email, holder, store))
                .collect(),
            companies: teams(HolderKind::Company),
            app_groups: teams(HolderKind::AppGroup),
            switches: switches.clone(),
            made: *made,
            session: auth.session.clone(),
        }
    }

    /// Takes the stored state out of a world.
    ///
    /// # Errors
    /// A sentence that names what stands twice, or what this edition does not know.
    pub(super) fn take_store(&mut self) -> Result<Store, String> {
        match self.edition {
            Edition::Edge if !self.app_groups.is_empty() => {
                return Err(
                    "`appGroups` exist on edition X; on Edge they are `companies`".to_owned(),
                );
            }
            Edition::X if !self.companies.is_empty() => {
                return Err(
                    "`companies` exist on edition Edge; on X they are `appGroups`".to_owned(),
                );
            }
            Edition::Edge | Edition::X => {}
        }
        let mut store = Store::default();
        for product in std::mem::take(&mut self.products) {
            let product = product.into_product();
            let name = product.name.clone();
            if store.products.insert(name.clone(), product).is_some() {
                return Err(format!("product {name:?} stands twice"));
            }
        }
        for developer in std::mem::take(&mut self.developers) {
            developer.add_to(&self.organization, &mut store)?;
        }
        for company in std::mem::take(&mut self.companies) {
            company.add_to(&self.organization, HolderKind::Company, &mut store)?;
        }
        for group in std::mem::take(&mut self.app_groups) {
            group.add_to(&self.organization, HolderKind::AppGroup, &mut store)?;
        }
        Ok(store)
    }
}

impl WorldProduct {
    fn of(product: &Product) -> Self {
        let mut fields = product.fields.clone();
        let mut text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) => {
                let text = text.clone();
                fields.shift_remove(name);
                Some(text)
            }
            _ => None,
        };
        Self {
            name: product.name.clone(),
            scopes: product.scopes.clone(),
            display_name: text("displayName"),
            description: text("description"),
            approval_type: text("approvalType"),
            attributes: product.attributes.clone(),
            fields,
            created_at: dated(product.created_at),
            last_modified_at: dated(product.modified_at),
        }
    }

    fn into_product(self) -> Product {
        let created_at = self.created_at.unwrap_or(UNDATED);
        let mut fields = self.fields;
        let texts = [
            ("displayName", self.display_name),
            ("description", self.description),
            ("approvalType", self.approval_type),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name.to_owned(), Value::String(text));
            }
        }
        for (name, text) in [
            ("displayName", self.name.as_str()),
            ("approvalType", "auto"),
        ] {
            fields.entry(name).or_insert_with(|| Value::from(text));
        }
        Product {
            name: self.name,
            scopes: self.scopes,
            attributes: self.attributes,
            fields,
            created_at,
            modified_at: self.last_modified_at.unwrap_or(created_at),
        }
    }
}

impl WorldDeveloper {
    fn of(email: &str, holder: &Holder, store: &Store) -> Self {
        let text = |name: &str| holder.fields.get(name).cloned();
        Self {
            email: email.to_owned(),
            developer_id: Some(holder.id.clone()),
            first_name: text("firstName"),
            last_name: text("lastName"),
            user_name: text("userName"),
            status: Activity::of(holder.active),
            attributes: holder.attributes.clone(),
            created_at: dated(holder.created_at),
            last_modified_at: dated(holder.modified_at),
            apps: store.apps_of(holder, "").map(WorldApp::of).collect(),
        }
    }

    fn add_to(self, organization: &str, store: &mut Store) -> Result<(), String> {
        let name = HolderName::new(HolderKind::Developer, self.email);
        let id = self
            .developer_id
            .unwrap_or_else(|| ids::uuid(&["developer", organization, &name.name]));
        let local_part = name.name.split('@').next().unwrap_or_default().to_owned();
        let fields = [
            (
                "firstName",
                self.first_name.unwrap_or_else(|| local_part.clone()),
            ),
            (
                "lastName",
                self.last_name.unwrap_or_else(|| local_part.clone()),
            ),
            ("userName", self.user_name.unwrap_or(local_part)),
        ];
        let created_at = self.created_at.unwrap_or(UNDATED);
        let mut holder = Holder::new(id, created_at);
        holder.modified_at = self.last_modified_at.unwrap_or(created_at);
        holder.active = self.status.is_active();
        holder.attributes = self.attributes;
        holder.fields = fields.map(|(name, text)| (name.to_owned(), text)).into();
        add_holder(organization, &name, holder, self.apps, store)
    }
}

impl WorldTeam {
    fn of(name: &str, holder: &Holder, store: &Store) -> Self {
        let text = |name: &str| holder.fields.get(name).cloned();
        Self {
            name: name.to_owned(),
            id: Some(holder.id.clone()),
            display_name: text("displayName"),
            channel_id: text("channelId"),
            channel_uri: text("channelUri"),
            email: text("email"),
            status: Activity::of(holder.active),
            attributes: holder.attributes.clone(),
            created_at: dated(holder.created_at),
            last_modified_at: dated(holder.modified_at),
            apps: store.apps_of(holder, "").map(WorldApp::of).collect(),
        }
    }

    fn add_to(self, organization: &str, kind: HolderKind, store: &mut Store) -> Result<(), String> {
        let name = HolderName::new(kind, self.name);
        let id = self.id.unwrap_or_else(|| {
            ids::uuid(&["team", organization, &format!("{kind:?}"), &name.name])
        });
        let created_at = self.created_at.unwrap_or(UNDATED);
        let mut holder = Holder::new(id, created_at);
        holder.modified_at = self.last_modified_at.unwrap_or(created_at);
        holder.active = self.status.is_active();
        holder.attributes = self.attributes;
        let texts = [
            ("displayName", self.display_name),
            ("channelId", self.channel_id),
            ("channelUri", self.channel_uri),
            ("email", self.email),
        ];
        holder.fields = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?)))
            .collect::<BTreeMap<_, _>>();
        add_holder(organization, &name, holder, self.apps, store)
    }
}

fn add_holder(
    organization: &str,
    name: &HolderName,
    holder: Holder,
    apps: Vec<WorldApp>,
    store: &mut Store,
) -> Result<(), String> {
    if !store.add_holder(name.clone(), holder) {
        return Err(format!(
            "{:?} {:?}, or its id, stands twice",
            name.kind, name.name
        ));
    }
    apps.into_iter()
        .try_for_each(|app| app.add_to(organization, name, store))
}

impl WorldApp {
    fn of(app: &App) -> Self {
        Self {
            name: app.name.clone(),
            app_id: Some(app.id.clone()),
            status: app.status,
            callback_url: app.callback_url.clone(),
            attributes: app.attributes.clone(),
            created_at: dated(app.created_at),
            last_modified_at: dated(app.modified_at),
            keys: app.keys.iter().map(WorldKey::of).collect(),
        }
    }

    fn add_to(
        self,
        organization: &str,
        holder: &HolderName,
        store: &mut Store,
    ) -> Result<(), String> {
        let kind = format!("{:?}", holder.kind);
        let id = self
            .app_id
            .unwrap_or_else(|| ids::uuid(&["app", organization, &kind, &holder.name, &self.name]));
        let created_at = self.created_at.unwrap_or(UNDATED);
        let app = App {
            id: id.clone(),
            name: self.name.clone(),
            holder: holder.clone(),
            status: self.status,
            attributes: self.attributes,
            callback_url: self.callback_url,
            created_at,
            modified_at: self.last_modified_at.unwrap_or(created_at),
            keys: Vec::new(),
        };
        if !store.add_app(app) {
            return Err(format!(
                "app {:?} of {:?}, or its id, stands twice",
                self.name, holder.name
            ));
        }
        for key in self.keys {
            let consumer_key = key.consumer_key.clone();
            if !store.add_key(&id, key.into_key()) {
                return Err(format!("consumer key {consumer_key:?} stands twice"));
            }
        }
        Ok(())
    }
}

impl WorldKey {
    fn of(key: &Key) -> Self {
        Self {
            consumer_key: key.consumer_key.clone(),
            consumer_secret: Some(key.consumer_secret.clone()),
            products: key.products.iter().map(WorldAssociation::of).collect(),
            scopes: key.scopes.clone(),
            status: key.status,
            attributes: key.attributes.clone(),
            issued_at: dated(key.issued_at),
            expires_at: (key.expires_at != NEVER).then_some(key.expires_at),
        }
    }

    pub(super) fn into_key(self) -> Key {
        Key {
            consumer_secret: self
                .consumer_secret
                .unwrap_or_else(|| ids::alphanumeric(&["secret", &self.consumer_key], 16)),
            consumer_key: self.consumer_key,
            products: self
                .products
                .into_iter()
                .map(WorldAssociation::into_association)
                .collect(),
            scopes: self.scopes,
            status: self.status,
            attributes: self.attributes,
            issued_at: self.issued_at.unwrap_or(UNDATED),
            expires_at: self.expires_at.unwrap_or(NEVER),
        }
    }
}

impl WorldAssociation {
    fn of(association: &Association) -> Self {
        let name = association.product.clone();
        match association.status {
            Status::Approved => Self::Name(name),
            status => Self::WithStatus(AssociationWithStatus { name, status }),
        }
    }

    fn into_association(self) -> Association {
        match self {
            Self::Name(product) => Association {
                product,
                status: Status::Approved,
            },
            Self::WithStatus(AssociationWithStatus { name, status }) => Association {
                product: name,
                status,
            },
        }
    }
}

/// A time worth writing down.
fn dated(time: i64) -> Option<i64> {
    (time != UNDATED).then_some(time)
}

#[cfg(test)]
mod tests;
