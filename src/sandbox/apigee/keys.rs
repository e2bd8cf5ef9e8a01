//! Consumer keys: the scopes that they hold and the products that they are for.
//!
//! | call | developers, companies (Edge) | developers (X) | app groups (X) |
//! |---|---|---|---|
//! | PUT | replaces `scopes`; adds `apiProducts`; sets `attributes` | the same | none |
//! | POST | adds `apiProducts`; sets `attributes` | and takes `scopes` | `apiProducts`, `appGroupAppKey.{scopes,attributes}` |
//!
//! A scope list is checked against the union of the scopes of the key's products, the ones just added included, and a
//! refused call changes nothing.

use std::collections::HashSet;

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::path::decode_again;
use super::store::{
    App, Association, Attribute, HolderKind, HolderName, Key, NEVER, Product, Status,
};
use super::switches::{Blank, Case, Counted, EmptyList, Omitted, PostedScopes, ScopeCheck};
use super::view::KeyView;
use super::{Call, Edition, Organization};

/// The longest consumer key or secret, in bytes.
const MAX_KEY_BYTES: usize = 2048;

/// What a call wants of a key.
#[derive(Debug, Default)]
struct KeyChange {
    add_products: Vec<String>,
    scopes: Option<Vec<String>>,
    attributes: Option<Vec<Attribute>>,
}

/// What `?action=` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Approve,
    Revoke,
}

impl Action {
    pub(super) fn status(self) -> Status {
        match self {
            Self::Approve => Status::Approved,
            Self::Revoke => Status::Revoked,
        }
    }

    pub(super) fn parse(action: &str) -> Result<Self, Fault> {
        match action {
            "approve" => Ok(Self::Approve),
            "revoke" => Ok(Self::Revoke),
            other => Err(Fault::invalid(format!("Invalid action {other}"))),
        }
    }
}

impl Call<'_> {
    /// The `action` of the query, if there is one.
    pub(super) fn action(&self) -> Result<Option<Action>, Fault> {
        self.query.get("action").map(Action::parse).transpose()
    }
}

impl Organization {
    /// `keys` and `keys/create`: imports a key. There is no list of keys.
    pub(super) fn keys(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        holder: &str,
        app: &str,
    ) -> Result<Answer, Fault> {
        if call.request.method != Method::POST {
            return Err(Fault::method());
        }
        let body = self.body(call)?;
        let app_id = self.app_id(kind, holder, app)?;
        let key = self.imported_key(call, &body)?;
        let consumer_key = key.consumer_key.clone();
        if !self.store.add_key(&app_id, key) {
            return Err(Fault::coded(
                409,
                "keymanagement.service.ConsumerKeyAlreadyExists",
                "ConsumerKey already exists".to_owned(),
            ));
        }
        let key = self.stored_key(&app_id, &consumer_key)?;
        Ok(Answer::created(&KeyView {
            shape: self.shape(),
            key,
            imported: true,
        }))
    }

    /// One key.
    pub(super) fn key(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        holder: &str,
        app: &str,
        consumer_key: &str,
    ) -> Result<Answer, Fault> {
        match call.request.method {
            Method::GET => {
                let app_id = self.app_id(kind, holder, app)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::PUT if self.has_key_put(kind) => {
                let change = self.put_change(&self.body(call)?)?;
                let app_id = self.app_id(kind, holder, app)?;
                self.change_key(&app_id, consumer_key, change)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::POST => {
                let app_id = self.app_id(kind, holder, app)?;
                if let Some(action) = call.action()? {
                    self.stored_key_mut(&app_id, consumer_key)?.status = action.status();
                    return Ok(Answer::NoContent);
                }
                let body = self.body(call)?;
                self.post_key(kind, &app_id, consumer_key, &body)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::DELETE => {
                let app_id = self.app_id(kind, holder, app)?;
                let key = self
                    .store
                    .remove_key(&app_id, consumer_key)
                    .ok_or_else(unknown_key)?;
                Ok(self.key_answer(&key))
            }
            _ => Err(Fault::method()),
        }
    }

    /// One product of a key.
    pub(super) fn key_product(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        holder: &str,
        app: &str,
        consumer_key: &str,
        product: &str,
    ) -> Result<Answer, Fault> {
        match call.request.method {
            Method::POST => {
                let app_id = self.app_id(kind, holder, app)?;
                let Some(action) = call.action()? else {
                    return Err(Fault::invalid(
                        "An action of approve or revoke is needed".to_owned(),
                    ));
                };
                let key = self.stored_key_mut(&app_id, consumer_key)?;
                let association = key.products.iter_mut().find(|a| a.product == product);
                association.ok_or_else(not_associated)?.status = action.status();
                Ok(Answer::NoContent)
            }
            Method::DELETE => {
                let app_id = self.app_id(kind, holder, app)?;
                self.remove_product_from_key(&app_id, consumer_key, product)?;
                self.show_key(&app_id, consumer_key)
            }
            _ => Err(Fault::method()),
        }
    }

    pub(super) fn remove_product_from_key(
        &mut self,
        app_id: &str,
        consumer_key: &str,
        product: &str,
    ) -> Result<(), Fault> {
        let key = self.stored_key_mut(app_id, consumer_key)?;
        let place = key.products.iter().position(|a| a.product == product);
        key.products.remove(place.ok_or_else(not_associated)?);
        if self.switches.shrink_prunes_keys {
            self.prune(|key| key.consumer_key == consumer_key);
        }
        Ok(())
    }

    /// Takes out of keys the scopes that none of their products has any more. A list that becomes empty this way is
    /// unrestricted, like any other.
    pub(super) fn prune(&mut self, concerns: impl Fn(&Key) -> bool) {
        for (products, key) in self.store.keys_mut() {
            if !concerns(key) {
                continue;
            }
            let left: HashSet<&str> = key
                .products
                .iter()
                .filter_map(|association| products.get(&association.product))
                .flat_map(|product| product.scopes.iter().map(String::as_str))
                .collect();
            key.scopes.retain(|scope| left.contains(scope.as_str()));
        }
    }

    fn has_key_put(&self, kind: HolderKind) -> bool {
        match kind {
            HolderKind::Developer => true,
            HolderKind::Company => self.switches.company_key_put,
            HolderKind::AppGroup => false,
        }
    }

    fn put_change(&self, body: &Body) -> Result<KeyChange, Fault> {
        let scopes = body.names("scopes")?;
        Ok(KeyChange {
            add_products: body.products()?,
            scopes: match (scopes, self.switches.key_put_without_scopes) {
                (None, Omitted::Clear) => Some(Vec::new()),
                (scopes, _) => scopes,
            },
            attributes: body.attributes("attributes")?,
        })
    }

    fn post_key(
        &mut self,
        kind: HolderKind,
        app_id: &str,
        consumer_key: &str,
        body: &Body,
    ) -> Result<(), Fault> {
        let before = self.stored_key(app_id, consumer_key)?;
        let change = if kind == HolderKind::AppGroup {
            self.app_group_change(before, body)?
        } else {
            self.post_change(before, body)?
        };
        let action = match kind {
            HolderKind::AppGroup => body.text("action")?.map(Action::parse).transpose()?,
            HolderKind::Developer | HolderKind::Company => None,
        };
        self.change_key(app_id, consumer_key, change)?;
        if let Some(action) = action {
            self.stored_key_mut(app_id, consumer_key)?.status = action.status();
        }
        Ok(())
    }

    fn post_change(&self, before: &Key, body: &Body) -> Result<KeyChange, Fault> {
        let scopes = body
            .names("scopes")?
            .filter(|scopes| self.posts_scopes(scopes));
        let scopes = match self.switches.posted_scopes(self.edition) {
            PostedScopes::Replace => scopes,
            PostedScopes::Merge => {
                scopes.map(|scopes| before.scopes.iter().cloned().chain(scopes).collect())
            }
            PostedScopes::Ignore => None,
        };
        Ok(KeyChange {
            add_products: body.products()?,
            scopes,
            attributes: body.attributes("attributes")?,
        })
    }

    fn app_group_change(&self, before: &Key, body: &Body) -> Result<KeyChange, Fault> {
        let add_products = body.products()?;
        let Some(amended) = body.object("appGroupAppKey")? else {
            return Ok(KeyChange {
                add_products,
                ..KeyChange::default()
            });
        };
        let scopes = amended
            .names("scopes")?
            .filter(|scopes| self.posts_scopes(scopes));
        let attributes = amended.attributes("attributes")?;
        let clears = self.switches.app_group_key_omitted_attributes == Omitted::Clear;
        Ok(KeyChange {
            add_products,
            attributes: if attributes.is_none()
                && scopes.is_some()
                && clears
                && !before.attributes.is_empty()
            {
                Some(Vec::new())
            } else {
                attributes
            },
            scopes,
        })
    }

    /// Whether a list of scopes in a POST says anything: an empty one looks like none in protobuf.
    fn posts_scopes(&self, scopes: &[String]) -> bool {
        !scopes.is_empty() || self.switches.key_post_empty_scopes == EmptyList::Clear
    }

    /// Makes all of a change or none of it.
    fn change_key(
        &mut self,
        app_id: &str,
        consumer_key: &str,
        change: KeyChange,
    ) -> Result<(), Fault> {
        let KeyChange {
            add_products,
            scopes,
            attributes,
        } = change;
        let mut key = self.stored_key(app_id, consumer_key)?.clone();
        self.associate(&mut key.products, &add_products)?;
        if let Some(scopes) = scopes {
            key.scopes = self.cleaned(scopes);
            let app = self.store.app(app_id);
            self.check_scopes(&key.scopes, &key.products, app)?;
        }
        if let Some(attributes) = attributes {
            key.attributes = attributes;
        }
        *self.stored_key_mut(app_id, consumer_key)? = key;
        Ok(())
    }

    /// Adds products to a key's list, each once, with the status that its approval type gives.
    pub(super) fn associate(
        &self,
        associations: &mut Vec<Association>,
        products: &[String],
    ) -> Result<(), Fault> {
        for name in products {
            let product = self.stored_product(name)?;
            if !associations
                .iter()
                .any(|association| association.product == *name)
            {
                associations.push(Association {
                    product: name.clone(),
                    status: product.first_status(),
                });
            }
        }
        Ok(())
    }

    /// Drops empty names and repetitions; the order stays.
    pub(super) fn cleaned(&self, mut scopes: Vec<String>) -> Vec<String> {
        if self.switches.blank_key_scopes == Blank::Drop {
            scopes.retain(|scope| !scope.is_empty());
        }
        let mut seen = HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes
    }

    /// Refuses scopes that none of the products has, with the list that would be allowed.
    ///
    /// `app` lends the products of its other keys where the check is by app.
    pub(super) fn check_scopes(
        &self,
        scopes: &[String],
        products: &[Association],
        app: Option<&App>,
    ) -> Result<(), Fault> {
        let others = match self.switches.scope_check {
            ScopeCheck::Key => None,
            ScopeCheck::App => app,
        };
        let associations = products.iter().chain(
            others
                .into_iter()
                .flat_map(|app| &app.keys)
                .flat_map(|key| &key.products),
        );
        let mut allowed: Vec<&str> = Vec::new();
        let mut known = HashSet::new();
        for association in associations {
            if self.switches.unapproved_products == Counted::Ignore
                && association.status != Status::Approved
            {
                continue;
            }
            let product = self.store.products.get(&association.product);
            for scope in product.iter().flat_map(|product| &product.scopes) {
                if !scope.is_empty() && known.insert(self.scope_name(scope)) {
                    allowed.push(scope);
                }
            }
        }
        let refused =
            |scope: &String| !scope.is_empty() && !known.contains(&self.scope_name(scope));
        if scopes.iter().any(refused) {
            return Err(Fault::coded(
                400,
                "keymanagement.service.InvalidScopes",
                format!(
                    "Invalid scopes. Scopes must be contained in [{}]",
                    allowed.join(", ")
                ),
            ));
        }
        Ok(())
    }

    /// The form in which scope names are compared.
    fn scope_name(&self, scope: &str) -> String {
        match self.switches.scope_names {
            Case::Sensitive => scope.to_owned(),
            Case::Insensitive => scope.to_lowercase(),
        }
    }

    /// Makes the key that a world's user brings along: no products, and scopes that nobody checks.
    fn imported_key(&mut self, call: &Call<'_>, body: &Body) -> Result<Key, Fault> {
        let given = |name: &str| -> Result<Option<String>, Fault> {
            let text = body.text(name)?.filter(|text| !text.is_empty());
            text.map(|text| checked_key(name, text)).transpose()
        };
        let (consumer_key, consumer_secret) = (given("consumerKey")?, given("consumerSecret")?);
        let scopes = body.names("scopes")?.unwrap_or_default();
        let attributes = body.attributes("attributes")?.unwrap_or_default();
        let lifetime = match self.edition {
            Edition::Edge => None,
            Edition::X => body.number("expiresInSeconds")?,
        };
        let consumer_key = consumer_key.unwrap_or_else(|| self.new_consumer_key(call.now));
        let consumer_secret =
            consumer_secret.unwrap_or_else(|| self.letters("secret", call.now, 16));
        Ok(Key {
            consumer_key,
            consumer_secret,
            products: Vec::new(),
            scopes: self.cleaned(scopes),
            status: Status::Approved,
            attributes,
            issued_at: call.now,
            expires_at: expiry(
                call.now,
                lifetime.map(|seconds| seconds.saturating_mul(1000)),
            ),
        })
    }

    /// A consumer key that nobody has.
    pub(super) fn new_consumer_key(&mut self, now: i64) -> String {
        let length = match self.edition {
            Edition::Edge => 32,
            Edition::X => 48,
        };
        loop {
            let consumer_key = self.letters("key", now, length);
            if !self.store.has_key(&consumer_key) {
                return consumer_key;
            }
        }
    }

    /// The id of an app that a path names.
    pub(super) fn app_id(
        &self,
        kind: HolderKind,
        holder: &str,
        app: &str,
    ) -> Result<String, Fault> {
        let name = self.holder_name(kind, holder)?;
        let id = self.store.app_id(&name, app).map(str::to_owned);
        id.ok_or_else(|| unknown_app(app, holder))
    }

    /// The holder that a path names: a developer's e-mail, escaped once or twice, or id, or a team's name.
    pub(super) fn holder_name(&self, kind: HolderKind, given: &str) -> Result<HolderName, Fault> {
        let once = std::iter::once(given.to_owned());
        let spellings = once.chain(decode_again(given));
        for spelling in spellings {
            let mut name = HolderName::new(kind, spelling);
            if self.store.holder(&name).is_some() {
                return Ok(name);
            }
            if kind != HolderKind::Developer {
                continue;
            }
            if let Some(email) = self.store.developer_by_id(&name.name) {
                return Ok(HolderName::new(kind, email));
            }
            if self.switches.email_lookup == Case::Insensitive {
                name.name = name.name.to_lowercase();
                let mut developers = self.store.holders_from(kind, "");
                if let Some((email, _)) =
                    developers.find(|(email, _)| email.to_lowercase() == name.name)
                {
                    return Ok(HolderName::new(kind, email));
                }
            }
        }
        Err(self.unknown_holder(kind, given))
    }

    pub(super) fn unknown_holder(&self, kind: HolderKind, given: &str) -> Fault {
        let organization = &self.name;
        match kind {
            HolderKind::Developer => Fault::coded(
                404,
                "developer.service.DeveloperIdDoesNotExist",
                format!("DeveloperId {given} does not exist in organization {organization}"),
            ),
            HolderKind::Company => Fault::coded(
                404,
                "developer.service.CompanyDoesNotExist",
                format!("Company {given} does not exist in organization {organization}"),
            ),
            HolderKind::AppGroup => Fault::coded(
                404,
                "developer.service.AppGroupDoesNotExist",
                format!("AppGroup {given} does not exist in organization {organization}"),
            ),
        }
    }

    pub(super) fn stored_product(&self, name: &str) -> Result<&Product, Fault> {
        self.store
            .products
            .get(name)
            .ok_or_else(|| self.unknown_product(name))
    }

    pub(super) fn unknown_product(&self, name: &str) -> Fault {
        Fault::coded(
            404,
            "keymanagement.service.apiproduct_doesnot_exist",
            format!(
                "API Product [{name}] does not exist for tenant [{}] and id [null]",
                self.name
            ),
        )
    }

    pub(super) fn stored_key(&self, app_id: &str, consumer_key: &str) -> Result<&Key, Fault> {
        let app = self.store.app(app_id);
        app.and_then(|app| app.key(consumer_key))
            .ok_or_else(unknown_key)
    }

    pub(super) fn stored_key_mut(
        &mut self,
        app_id: &str,
        consumer_key: &str,
    ) -> Result<&mut Key, Fault> {
        self.store
            .key_mut(app_id, consumer_key)
            .ok_or_else(unknown_key)
    }

    fn show_key(&self, app_id: &str, consumer_key: &str) -> Result<Answer, Fault> {
        Ok(self.key_answer(self.stored_key(app_id, consumer_key)?))
    }

    fn key_answer(&self, key: &Key) -> Answer {
        Answer::ok(&KeyView {
            shape: self.shape(),
            key,
            imported: false,
        })
    }
}

/// When a key that is made now with this lifetime in milliseconds expires.
pub(super) fn expiry(now: i64, lifetime: Option<i64>) -> i64 {
    match lifetime {
        Some(lifetime) if lifetime > 0 => now.saturating_add(lifetime),
        _ => NEVER,
    }
}

fn checked_key(name: &str, text: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.len() > MAX_KEY_BYTES || !text.bytes().all(allowed) {
        return Err(Fault::invalid(format!(
            "Invalid value at '{name}': letters, digits, underscores and hyphens, at most 2 KB"
        )));
    }
    Ok(text.to_owned())
}

pub(super) fn unknown_app(app: &str, holder: &str) -> Fault {
    Fault::coded(
        404,
        "developer.service.AppDoesNotExist",
        format!("App named {app} does not exist under {holder}"),
    )
}

fn unknown_key() -> Fault {
    Fault::coded(
        404,
        "keymanagement.service.InvalidClientIdForGivenApp",
        "Invalid consumer key for Given App".to_owned(),
    )
}

fn not_associated() -> Fault {
    Fault::coded(
        400,
        "keymanagement.service.APIProductNotAssociated",
        "APIProduct is not associated with consumer key".to_owned(),
    )
    .on_edge(500)
}
