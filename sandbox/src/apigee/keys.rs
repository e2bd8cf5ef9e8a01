//! Consumer keys: the scopes that they hold and the products that they are for.
//!
//! | call | developers, companies (Edge) | developers (X) | app groups (X) |
//! |---|---|---|---|
//! | PUT | replaces `scopes`; adds `apiProducts`; sets `attributes` | the same | none |
//! | POST | adds `apiProducts`; sets `attributes` | and takes `scopes` | `apiProducts`, and both in `appGroupAppKey` |
//!
//! A scope list is checked against the union of the scopes of the key's products, the ones just added included, and a
//! refused call changes nothing.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::lookup::{AppPath, unknown_key};
use super::store::{Attribute, HolderKind, Key, NEVER, Status};
use super::switches::{EmptyList, GivenList, Omitted, PostedScopes};
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
    pub(super) fn keys(&mut self, call: &Call<'_>, app: AppPath<'_>) -> Result<Answer, Fault> {
        if call.request.method != Method::POST {
            return Err(Fault::method());
        }
        let body = self.body(call)?;
        let app_id = self.app_id(app)?;
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
        app: AppPath<'_>,
        consumer_key: &str,
    ) -> Result<Answer, Fault> {
        match call.request.method {
            Method::GET => {
                let app_id = self.app_id(app)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::PUT if self.has_key_put(app.kind) => {
                let change = self.put_change(&self.body(call)?)?;
                let app_id = self.app_id(app)?;
                self.change_key(&app_id, consumer_key, change)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::POST => {
                let app_id = self.app_id(app)?;
                if let Some(action) = call.action()? {
                    self.stored_key_mut(&app_id, consumer_key)?.status = action.status();
                    return Ok(Answer::NoContent);
                }
                let body = self.body(call)?;
                self.post_key(app.kind, &app_id, consumer_key, &body)?;
                self.show_key(&app_id, consumer_key)
            }
            Method::DELETE => {
                let app_id = self.app_id(app)?;
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
        app: AppPath<'_>,
        consumer_key: &str,
        product: &str,
    ) -> Result<Answer, Fault> {
        match call.request.method {
            Method::POST => {
                let app_id = self.app_id(app)?;
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
                let app_id = self.app_id(app)?;
                self.remove_product_from_key(&app_id, consumer_key, product)?;
                self.show_key(&app_id, consumer_key)
            }
            _ => Err(Fault::method()),
        }
    }

    fn remove_product_from_key(
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
            attributes: match (
                body.attributes("attributes")?,
                self.switches.key_put_without_attributes,
            ) {
                (None, Omitted::Clear) => Some(Vec::new()),
                (attributes, _) => attributes,
            },
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
            PostedScopes::Merge => merged(before, scopes),
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
            scopes: match self.switches.app_group_key_post_scopes {
                GivenList::Replace => scopes,
                GivenList::Merge => merged(before, scopes),
            },
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

/// A key's list with what a call adds to it.
fn merged(before: &Key, scopes: Option<Vec<String>>) -> Option<Vec<String>> {
    scopes.map(|scopes| before.scopes.iter().cloned().chain(scopes).collect())
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

fn not_associated() -> Fault {
    Fault::coded(
        400,
        "keymanagement.service.APIProductNotAssociated",
        "APIProduct is not associated with consumer key".to_owned(),
    )
    .on_edge(500)
}

#[cfg(test)]
mod tests;
