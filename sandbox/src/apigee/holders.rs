//! Developers, companies and app groups.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::listing::{MOST, PageSizes};
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
        let cut = self.cut(call, "count", expand, PageSizes::USUAL)?;
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apigee::testing::{Driver, NOW};

    #[test]
    fn a_developer_is_created_shown_changed_and_deleted() {
        let mut driver = Driver::orders("Edge");
        let body = json!({"email": "bob@example.com", "firstName": "Bob", "lastName": "B", "userName": "bob"});
        let (status, developer) = driver.call("POST", "/developers", &body);
        assert_eq!(status, 201);
        let now = NOW * 1000;
        assert_eq!(
            developer,
            json!({
                "apps": [], "companies": [], "developerId": developer["developerId"], "email": "bob@example.com",
                "organizationName": "acme", "firstName": "Bob", "lastName": "B", "userName": "bob", "attributes": [],
                "status": "active", "createdAt": now, "createdBy": "admin@example.com", "lastModifiedAt": now,
                "lastModifiedBy": "admin@example.com",
            })
        );
        let (status, error) = driver.call("POST", "/developers", &body);
        assert_eq!(
            (status, &error["code"]),
            (409, &json!("developer.service.DeveloperAlreadyExists"))
        );
        let bob = "/developers/bob@example.com";
        assert_eq!(
            driver
                .call("POST", &format!("{bob}?action=inactive"), &Value::Null)
                .0,
            204
        );
        assert_eq!(driver.fetch(bob)["status"], "inactive");
        driver.now += 5;
        driver.call("POST", &format!("{bob}?action=active"), &Value::Null);
        assert_eq!(driver.fetch(bob)["lastModifiedAt"], now + 5000);
        let (status, changed) = driver.call(
            "PUT",
            bob,
            &json!({"email": "bob@example.com", "firstName": "Rob"}),
        );
        assert_eq!((status, &changed["firstName"]), (200, &json!("Rob")));
        assert_eq!(changed.get("lastName"), None, "what is left out is gone");

        let (status, _) = driver.call("DELETE", "/developers/ann@example.com", &Value::Null);
        assert_eq!(status, 200);
        assert_eq!(
            driver.fetch("/apps"),
            json!([]),
            "a developer's apps go with them"
        );
        assert_eq!(driver.fetch("/developers"), json!(["bob@example.com"]));
    }

    #[test]
    fn an_upper_case_mail_is_refused_on_x_and_kept_on_edge() {
        let body = json!({"email": "Bob@Example.com"});
        for (edition, switches, expected) in [
            ("Edge", json!({}), (201, json!("Bob@Example.com"))),
            ("X", json!({}), (400, Value::Null)),
            (
                "X",
                json!({"upperCaseEmails": "lower"}),
                (201, json!("bob@example.com")),
            ),
        ] {
            let mut driver = Driver::orders_with(edition, &switches);
            let (status, answer) = driver.call("POST", "/developers", &body);
            assert_eq!(
                (status, answer["email"].clone()),
                expected,
                "{edition} {switches}"
            );
        }
    }

    #[test]
    fn developers_are_paged_inclusively_and_found_by_app() {
        let developers: Vec<Value> = ["a", "b", "c"]
            .map(|name| json!({"email": format!("{name}@example.com"), "apps": [{"name": format!("app-{name}")}]}))
            .into();
        let mut edge = Driver::new(json!({"edition": "Edge", "developers": developers}));
        assert_eq!(
            edge.fetch("/developers?count=2"),
            json!(["a@example.com", "b@example.com"])
        );
        assert_eq!(
            edge.fetch("/developers?count=2&startKey=b%40example.com"),
            json!(["b@example.com", "c@example.com"])
        );
        assert_eq!(
            edge.fetch("/developers?app=app-c"),
            json!(["c@example.com"])
        );
        assert_eq!(
            edge.fetch("/developers?expand=true")["developer"][0]["apps"],
            json!(["app-a"])
        );
        let mut x = Driver::new(json!({"edition": "X", "developers": developers}));
        assert_eq!(
            x.fetch("/developers?count=1"),
            json!({"developer": [{"email": "a@example.com"}]})
        );
        assert_eq!(
            x.fetch("/developers?expand=true")["developer"][0].get("companies"),
            None
        );
        assert_eq!(
            Driver::new(json!({"edition": "X"})).fetch("/developers"),
            json!({})
        );
    }

    #[test]
    fn app_groups_are_listed_by_token_and_switched_by_put() {
        let mut driver =
            Driver::new(json!({"edition": "X", "appGroups": [{"name": "a"}, {"name": "b"}]}));
        let page = driver.fetch("/appgroups?pageSize=1");
        assert_eq!(
            (&page["appGroups"][0]["name"], &page["totalSize"]),
            (&json!("a"), &json!(2))
        );
        let token = page["nextPageToken"].as_str().unwrap();
        let page = driver.fetch(&format!("/appgroups?pageSize=1&pageToken={token}"));
        assert_eq!(page["appGroups"][0]["name"], "b");
        assert_eq!(page.get("nextPageToken"), None);
        assert_eq!(
            driver
                .call("PUT", "/appgroups/a?action=inactive", &Value::Null)
                .0,
            204
        );
        assert_eq!(
            driver.fetch("/appgroups?filter=status=inactive")["appGroups"][0]["name"],
            "a"
        );
        let (status, group) = driver.call(
            "POST",
            "/appgroups",
            &json!({"name": "c", "displayName": "C"}),
        );
        assert_eq!((status, &group["displayName"]), (201, &json!("C")));
        assert_eq!(
            driver.call("POST", "/appgroups", &json!({"name": "c"})).0,
            409
        );
        assert_eq!(driver.call("POST", "/appgroups", &json!({})).0, 400);
    }

    #[test]
    fn companies_hold_apps_as_developers_do() {
        let mut driver = Driver::new(
            json!({"edition": "Edge", "companies": [{"name": "c", "apps": [{"name": "a"}]}]}),
        );
        assert_eq!(driver.fetch("/companies"), json!(["c"]));
        assert_eq!(driver.fetch("/companies/c")["apps"], json!(["a"]));
        let (status, app) = driver.call("POST", "/companies/c/apps", &json!({"name": "b"}));
        assert_eq!((status, &app["companyName"]), (201, &json!("c")));
        assert_eq!(driver.fetch("/companies/c/apps"), json!(["a", "b"]));
        assert_eq!(driver.get("/companies/d").0, 404);
    }
}
