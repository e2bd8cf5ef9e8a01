//! Developers, companies and app groups.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::listing::MOST;
use super::path::Attributes;
use super::query::{Page, page_token, read_page_token};
use super::store::{Holder, HolderKind, HolderName};
use super::switches::UpperCase;
use super::view::{HolderView, ListView};
use super::{Call, Edition, Organization, attributes};

/// The descriptive texts of each kind, as requests and answers name them.
fn texts(kind: HolderKind) -> &'static [&'static str] {
    match kind {
        HolderKind::Developer => &["firstName", "lastName", "userName"],
        HolderKind::Company => &["displayName"],
        HolderKind::AppGroup => &["channelId", "channelUri", "displayName", "email"],
    }
}

impl Organization {
    /// All holders of one kind.
    pub(super) fn holders(&mut self, call: &Call<'_>, kind: HolderKind) -> Result<Answer, Fault> {
        match call.request.method {
            Method::GET if kind == HolderKind::AppGroup => self.list_app_groups(call),
            Method::GET => self.list_holders(call, kind),
            Method::POST => self.create_holder(call, kind),
            _ => Err(Fault::method()),
        }
    }

    /// One holder.
    pub(super) fn holder(
        &mut self,
        call: &Call<'_>,
        kind: HolderKind,
        given: &str,
        sub: Attributes,
    ) -> Result<Answer, Fault> {
        let name = self.holder_name(kind, given).map_err(|fault| match kind {
            // Only calls for the developer itself have this code; those for its apps speak of the id.
            HolderKind::Developer => Fault::coded(
                404,
                "developer.service.DeveloperDoesNotExist",
                fault.message,
            ),
            HolderKind::Company | HolderKind::AppGroup => fault,
        })?;
        if sub != Attributes::None {
            let edition = self.edition;
            let holder = self.stored_holder_mut(&name)?;
            return attributes::answer(call, edition, &mut holder.attributes, sub);
        }
        match call.request.method {
            Method::GET => self.show_holder(&name),
            Method::PUT | Method::POST => {
                if let Some(active) = activity(call)? {
                    let holder = self.stored_holder_mut(&name)?;
                    holder.active = active;
                    holder.modified_at = call.now;
                    return Ok(Answer::NoContent);
                }
                if call.request.method == Method::POST && kind == HolderKind::AppGroup {
                    return Err(Fault::method());
                }
                let body = self.body(call)?;
                let mut changed = self.stored_holder_mut(&name)?.clone();
                describe(&mut changed, kind, &body)?;
                changed.modified_at = call.now;
                *self.stored_holder_mut(&name)? = changed;
                self.show_holder(&name)
            }
            Method::DELETE => {
                let answer = self.show_holder(&name)?;
                self.store.remove_holder(&name);
                Ok(answer)
            }
            _ => Err(Fault::method()),
        }
    }

    fn stored_holder_mut(&mut self, name: &HolderName) -> Result<&mut Holder, Fault> {
        let unknown = self.unknown_holder(name.kind, &name.name);
        self.store.holder_mut(name).ok_or(unknown)
    }

    fn holder_view<'a>(
        &'a self,
        kind: HolderKind,
        name: &'a str,
        holder: &'a Holder,
    ) -> HolderView<'a> {
        HolderView {
            shape: self.shape(),
            organization: &self.name,
            kind,
            name,
            holder,
        }
    }

    fn show_holder(&self, name: &HolderName) -> Result<Answer, Fault> {
        let holder = self.store.holder(name);
        let holder = holder.ok_or_else(|| self.unknown_holder(name.kind, &name.name))?;
        Ok(Answer::ok(&self.holder_view(name.kind, &name.name, holder)))
    }

    fn create_holder(&mut self, call: &Call<'_>, kind: HolderKind) -> Result<Answer, Fault> {
        let body = self.body(call)?;
        let name = match kind {
            HolderKind::Developer => self.new_email(body.text("email")?.unwrap_or_default())?,
            HolderKind::Company | HolderKind::AppGroup => {
                body.text("name")?.unwrap_or_default().to_owned()
            }
        };
        if name.is_empty() {
            return Err(Fault::coded(
                400,
                "developer.service.InvalidName",
                "A name, or for a developer an email, is required".to_owned(),
            ));
        }
        let mut holder = Holder::new(self.uuid("holder", call.now), call.now);
        describe(&mut holder, kind, &body)?;
        let taken = match kind {
            HolderKind::Developer => Fault::coded(
                409,
                "developer.service.DeveloperAlreadyExists",
                format!(
                    "Developer with Email {name} already exists in organization {}",
                    self.name
                ),
            ),
            HolderKind::Company => Fault::coded(
                409,
                "developer.service.CompanyAlreadyExists",
                format!(
                    "Company {name} already exists in organization {}",
                    self.name
                ),
            ),
            HolderKind::AppGroup => Fault::coded(
                409,
                "developer.service.AppGroupAlreadyExists",
                format!(
                    "AppGroup {name} already exists in organization {}",
                    self.name
                ),
            ),
        };
        let name = HolderName::new(kind, name);
        if !self.store.add_holder(name.clone(), holder) {
            return Err(taken);
        }
        let holder = self.store.holder(&name).expect("the holder was just added");
        Ok(Answer::created(&self.holder_view(kind, &name.name, holder)))
    }

    fn new_email(&self, email: &str) -> Result<String, Fault> {
        if !email.contains(char::is_uppercase) {
            return Ok(email.to_owned());
        }
        match self.switches.upper_case(self.edition) {
            UpperCase::Keep => Ok(email.to_owned()),
            UpperCase::Lower => Ok(email.to_lowercase()),
            UpperCase::Refuse => Err(Fault::invalid(format!(
                "Email {email} must be in lower case"
            ))),
        }
    }

    fn list_holders(&self, call: &Call<'_>, kind: HolderKind) -> Result<Answer, Fault> {
        let (list, member) = match kind {
            HolderKind::Developer => ("developer", "email"),
            HolderKind::Company | HolderKind::AppGroup => ("company", "name"),
        };
        let expand = call.query.flag("expand");
        let cut = self.cut(call, "count", expand, MOST, MOST)?;
        let app = call
            .query
            .get("app")
            .filter(|_| kind == HolderKind::Developer);
        let ids = call.query.get("ids").filter(|_| self.edition == Edition::X);
        let ids: Option<Vec<&str>> = ids.map(|ids| ids.split(',').collect());
        let holders = self
            .store
            .holders_from(kind, cut.start)
            .filter(|(_, holder)| app.is_none_or(|app| holder.app_names().any(|name| name == app)))
            .filter(|(_, holder)| {
                ids.as_ref()
                    .is_none_or(|ids| ids.contains(&holder.id.as_str()))
            })
            .take(cut.size);
        if expand {
            let items: Vec<HolderView<'_>> = holders
                .map(|(name, holder)| self.holder_view(kind, name, holder))
                .collect();
            return Ok(self.listed(list, &items));
        }
        Ok(self.plain_list(
            list,
            member,
            holders.map(|(name, _)| name.to_owned()).collect(),
        ))
    }

    fn list_app_groups(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        let filter = call
            .query
            .get("filter")
            .map(GroupFilter::read)
            .transpose()?;
        let size = call.query.number("pageSize")?.filter(|size| *size > 0);
        let start = call
            .query
            .get("pageToken")
            .map(read_page_token)
            .transpose()?;
        let groups = |start| {
            let wanted = |(_, holder): &(&str, &Holder)| {
                filter
                    .as_ref()
                    .is_none_or(|filter| filter.lets_through(holder))
            };
            self.store
                .holders_from(HolderKind::AppGroup, start)
                .filter(wanted)
        };
        let page = Page::take(
            groups(start.as_deref().unwrap_or_default()),
            size.unwrap_or(MOST).min(MOST),
        );
        let items: Vec<HolderView<'_>> = page
            .items
            .into_iter()
            .map(|(name, holder)| self.holder_view(HolderKind::AppGroup, name, holder))
            .collect();
        Ok(Answer::ok(&ListView {
            edition: self.edition,
            name: "appGroups",
            items: &items,
            next_page_token: page.next.map(|(name, _)| page_token(name)),
            total_size: Some(groups("").count()),
        }))
    }
}

/// The filter of the list of app groups.
struct GroupFilter<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> GroupFilter<'a> {
    fn read(expression: &'a str) -> Result<Self, Fault> {
        match expression.split_once('=') {
            Some((name @ ("status" | "channelId" | "channelUri"), value)) => {
                Ok(Self { name, value })
            }
            _ => Err(Fault::invalid(format!("Invalid filter: {expression}"))),
        }
    }

    fn lets_through(&self, holder: &Holder) -> bool {
        match self.name {
            "status" => holder.active == (self.value == "active"),
            name => holder
                .fields
                .get(name)
                .is_some_and(|text| text == self.value),
        }
    }
}

/// Takes the descriptive members of a request; what it leaves out is gone.
fn describe(holder: &mut Holder, kind: HolderKind, body: &Body) -> Result<(), Fault> {
    holder.attributes = body.attributes("attributes")?.unwrap_or_default();
    holder.fields.clear();
    for name in texts(kind) {
        if let Some(text) = body.text(name)? {
            holder.fields.insert((*name).to_owned(), text.to_owned());
        }
    }
    Ok(())
}

/// What `?action=` makes of a holder.
fn activity(call: &Call<'_>) -> Result<Option<bool>, Fault> {
    match call.query.get("action") {
        None => Ok(None),
        Some("active") => Ok(Some(true)),
        Some("inactive") => Ok(Some(false)),
        Some(other) => Err(Fault::invalid(format!("Invalid action {other}"))),
    }
}
