//! Apps of developers, companies and app groups.
//!
//! Whoever creates an app gets a key with it, products or not. A later call whose `apiProducts` is not empty makes a
//! further key, and an echo of a whole answer, `credentials` included, makes none.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::keys::expiry;
use super::listing::PageSizes;
use super::lookup::{AppPath, unknown_app};
use super::path::Attributes;
use super::query::{Page, page_token, read_page_token};
use super::store::{App, Attribute, HolderKind, HolderName, Key, Status};
use super::switches::{Checked, ListedAppId};
use super::view::{AppView, ListView, ShownKeys};
use super::{Call, Edition, Organization, attributes};

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
        app: AppPath<'_>,
        sub: Attributes,
    ) -> Result<Answer, Fault> {
        let kind = app.kind;
        let id = self.app_id(app)?;
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
                // An answer that is sent back makes no key.
                let mints = (!body.has("credentials")).then_some(kind);
                self.update_app(call, &id, &body, mints)?;
                self.show_app(&id)
            }
            Method::POST if kind != HolderKind::AppGroup => {
                if let Some(action) = call.action()? {
                    self.edit_app(&id, call.now, |app| app.status = action.status());
                    return Ok(Answer::NoContent);
                }
                let body = self.body(call)?;
                let wanted = posted_status(&body)?;
                self.update_app(call, &id, &body, Some(kind))?;
                if let Some(status) = wanted {
                    self.edit_app(&id, call.now, |app| app.status = status);
                }
                self.show_app(&id)
            }
            Method::DELETE => {
                let removed = self.store.remove_app(&id);
                let removed = removed.ok_or_else(|| unknown_app(app.app, app.holder))?;
                Ok(Answer::ok(&self.app_view(&removed)))
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
        id: &str,
        body: &Body,
        mints: Option<HolderKind>,
    ) -> Result<(), Fault> {
        let attributes: Vec<Attribute> = body.attributes("attributes")?.unwrap_or_default();
        let callback_url = body.text("callbackUrl")?.unwrap_or_default().to_owned();
        let key = match mints {
            Some(kind) if !body.products()?.is_empty() => Some(self.minted_key(call, kind, body)?),
            _ => None,
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
        let cut = self.cut(call, "count", expand, sizes)?;
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
mod tests;
