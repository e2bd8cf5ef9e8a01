//! Lists: how they are cut into pages, their plain forms, and the organization-wide list of apps.
//!
//! `startKey` is inclusive everywhere: the first item of a page repeats the last of the page before.

use std::collections::HashSet;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Answer, Fault};
use super::query::{Page, page_token, read_page_token};
use super::store::{App, HolderKind, HolderName, Status};
use super::switches::{ExpandWithCount, Listed, StartKeyAlone};
use super::view::{AppView, ListView, ShownKeys};
use super::{Call, Edition, Organization};

/// The most apps that the organization-wide list answers on Edge for Private Cloud, which has no pages.
const PRIVATE_CLOUD_APPS: usize = 10_000;

/// The most items of the other lists, and of a page of apps.
pub(super) const MOST: usize = 1000;

/// How many items a page has where the caller names no number, and at the most.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSizes {
    pub(super) default: usize,
    pub(super) most: usize,
}

impl PageSizes {
    /// Those of all lists but a holder's apps.
    pub(super) const USUAL: Self = Self {
        default: MOST,
        most: MOST,
    };
}

/// Where a page begins and how long it is.
pub(super) struct Cut<'a> {
    pub(super) start: &'a str,
    pub(super) size: usize,
}

impl Organization {
    /// Reads `startKey` and the number beside it.
    pub(super) fn cut<'a>(
        &self,
        call: &'a Call<'_>,
        number: &str,
        expand: bool,
        PageSizes { default, most }: PageSizes,
    ) -> Result<Cut<'a>, Fault> {
        let whole = Cut {
            start: "",
            size: usize::MAX,
        };
        let wanted = call.query.number(number)?.filter(|size| *size > 0);
        let mut start = call.query.get("startKey");
        if !self.pages() {
            return Ok(whole);
        }
        if expand && (wanted.is_some() || start.is_some()) && number == "count" {
            match self.switches.expand_with_count {
                ExpandWithCount::Honour => {}
                ExpandWithCount::ExpandOnly => {
                    return Ok(Cut {
                        start: "",
                        size: most,
                    });
                }
                ExpandWithCount::Refuse => {
                    return Err(Fault::invalid(
                        "expand is not valid with count or startKey".to_owned(),
                    ));
                }
            }
        }
        if start.is_some() && wanted.is_none() {
            match self.switches.start_key_alone {
                StartKeyAlone::Honour => {}
                StartKeyAlone::Ignore => start = None,
                StartKeyAlone::Refuse => {
                    return Err(Fault::invalid(format!(
                        "startKey must be used with {number}"
                    )));
                }
            }
        }
        Ok(Cut {
            start: start.unwrap_or_default(),
            size: wanted.unwrap_or(default).min(most),
        })
    }

    /// Whether lists have pages: X and Edge for Public Cloud.
    fn pages(&self) -> bool {
        self.edition == Edition::X || self.switches.cps
    }

    /// An expanded list.
    pub(super) fn listed<T: Serialize>(&self, name: &'static str, items: &[T]) -> Answer {
        Answer::ok(&ListView {
            edition: self.edition,
            name,
            items,
            next_page_token: None,
            total_size: None,
        })
    }

    /// An unexpanded list: names on Edge, objects of one member on X.
    pub(super) fn plain_list(
        &self,
        name: &'static str,
        member: &str,
        names: Vec<String>,
    ) -> Answer {
        match self.edition {
            Edition::Edge => Answer::ok(&names),
            Edition::X => {
                let items: Vec<Value> = names
                    .into_iter()
                    .map(|name| json!({member: name}))
                    .collect();
                self.listed(name, &items)
            }
        }
    }

    /// The apps of the organization.
    ///
    /// X has two ways of paging: `rows` with an inclusive `startKey`, and `pageSize` with tokens and a total.
    pub(super) fn apps(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        if call.request.method != Method::GET {
            return Err(Fault::method());
        }
        let query = &call.query;
        let filter = AppFilter::read(self, call)?;
        let by_token = self.edition == Edition::X
            && (query.get("pageSize").or(query.get("pageToken"))).is_some();
        let token = query.get("pageToken").filter(|_| by_token);
        let token = token.map(read_page_token).transpose()?;
        let cut = if by_token {
            let size = query.number("pageSize")?.filter(|size| *size > 0);
            Cut {
                start: token.as_deref().unwrap_or_default(),
                size: size.unwrap_or(MOST).min(MOST),
            }
        } else if self.pages() {
            self.cut(call, "rows", false, PageSizes::USUAL)?
        } else {
            Cut {
                start: "",
                size: PRIVATE_CLOUD_APPS,
            }
        };
        let page = Page::take(self.apps_in(&filter, cut.start), cut.size);
        let told = by_token || (self.edition == Edition::X && self.switches.page_token_always);
        let paging = Paging {
            next: page.next.filter(|_| told).map(|app| page_token(&app.id)),
            total: told.then(|| self.apps_in(&filter, "").count()),
        };
        if !query.flag("expand") {
            let ids = page.items.iter().map(|app| app.id.as_str());
            return Ok(match self.edition {
                Edition::Edge => Answer::ok(&ids.collect::<Vec<_>>()),
                Edition::X => {
                    let items: Vec<Value> = ids.map(|id| json!({"appId": id})).collect();
                    self.app_list(&items, paging)
                }
            });
        }
        let without_keys = query
            .get("includeCred")
            .is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let keys = if without_keys {
            ShownKeys::None
        } else {
            filter.keys
        };
        let views: Vec<AppView<'_>> = page
            .items
            .into_iter()
            .map(|app| AppView {
                keys,
                listed: true,
                with_email: self.tells_email(),
                ..self.app_view(app)
            })
            .collect();
        Ok(self.app_list(&views, paging))
    }

    fn app_list<T: Serialize>(&self, items: &[T], paging: Paging) -> Answer {
        Answer::ok(&ListView {
            edition: self.edition,
            name: "app",
            items,
            next_page_token: paging.next,
            total_size: paging.total,
        })
    }

    /// The apps that a filter lets through, in the order of their ids, from `start` on. The narrow filters read an
    /// index; the others walk on from `start`.
    fn apps_in<'a>(
        &'a self,
        filter: &'a AppFilter<'_>,
        start: &'a str,
    ) -> Box<dyn Iterator<Item = &'a App> + 'a> {
        let store = &self.store;
        let candidates: Box<dyn Iterator<Item = &App>> =
            if let Some(consumer_key) = filter.consumer_key {
                Box::new(store.app_of_key(consumer_key).into_iter())
            } else if let Some(id) = filter.app_id {
                Box::new(store.app(id).into_iter())
            } else if let Some(name) = &filter.holder {
                let apps = store
                    .holder(name)
                    .into_iter()
                    .flat_map(|holder| store.apps_of(holder, ""));
                let mut apps: Vec<&App> = apps.collect();
                apps.sort_unstable_by(|one, other| one.id.cmp(&other.id));
                Box::new(apps.into_iter())
            } else {
                Box::new(store.apps_from(start))
            };
        Box::new(candidates.filter(move |app| app.id.as_str() >= start && filter.lets_through(app)))
    }
}

/// What X tells about further pages of apps.
struct Paging {
    next: Option<String>,
    total: Option<usize>,
}

/// What the organization-wide list of apps is narrowed by.
struct AppFilter<'a> {
    status: Option<Status>,
    /// The keys that count and are shown.
    keys: ShownKeys,
    /// Whether an app needs such a key.
    needs_key: bool,
    kind: Option<HolderKind>,
    ids: Option<HashSet<&'a str>>,
    api_product: Option<&'a str>,
    consumer_key: Option<&'a str>,
    app_id: Option<&'a str>,
    app_name: Option<&'a str>,
    holder: Option<HolderName>,
}

impl<'a> AppFilter<'a> {
    fn read(organization: &Organization, call: &'a Call<'_>) -> Result<Self, Fault> {
        let query = &call.query;
        let status = query.get("status").map(status).transpose()?;
        let mut filter = Self {
            status,
            keys: ShownKeys::All,
            needs_key: false,
            kind: None,
            ids: None,
            api_product: None,
            consumer_key: None,
            app_id: None,
            app_name: None,
            holder: None,
        };
        match organization.edition {
            Edition::Edge => filter.kind = query.get("apptype").map(holder_kind).transpose()?,
            Edition::X => {
                // Both default to approved: this list cannot show that a revoked app or key is gone.
                filter.status = Some(status.unwrap_or(Status::Approved));
                let key_status = query.get("keyStatus").map(self::status).transpose()?;
                filter.keys = ShownKeys::With(key_status.unwrap_or(Status::Approved));
                filter.needs_key = organization.switches.apps_without_matching_keys == Listed::Hide;
                filter.api_product = query.get("apiProduct");
                filter.ids = query
                    .get("ids")
                    .map(|ids| ids.split(',').map(str::trim).collect());
                if let Some(expression) = query.get("filter") {
                    filter.narrow(organization, expression)?;
                }
            }
        }
        Ok(filter)
    }

    fn narrow(&mut self, organization: &Organization, expression: &'a str) -> Result<(), Fault> {
        let Some((name, value)) = expression.split_once('=') else {
            return Err(Fault::invalid(format!("Invalid filter: {expression}")));
        };
        let value = value.trim().trim_matches('"');
        match name.trim() {
            "developerEmail" => {
                let name = organization.holder_name(HolderKind::Developer, value);
                self.holder =
                    Some(name.unwrap_or_else(|_| HolderName::new(HolderKind::Developer, value)));
            }
            "appGroup" => self.holder = Some(HolderName::new(HolderKind::AppGroup, value)),
            "apiProduct" => self.api_product = Some(value),
            "consumerKey" => self.consumer_key = Some(value),
            "status" => self.status = Some(status(value)?),
            "appId" => self.app_id = Some(value),
            "appName" => self.app_name = Some(value),
            "appType" => self.kind = Some(holder_kind(value)?),
            _ => return Err(Fault::invalid(format!("Invalid filter: {expression}"))),
        }
        Ok(())
    }

    fn lets_through(&self, app: &App) -> bool {
        let mut keys = app.keys.iter().filter(|key| self.keys.shows(key));
        let key_matches = match (self.api_product, self.consumer_key) {
            (None, None) => !self.needs_key || keys.next().is_some(),
            (product, consumer_key) => keys.any(|key| {
                product.is_none_or(|product| key.products.iter().any(|a| a.product == product))
                    && consumer_key.is_none_or(|consumer_key| key.consumer_key == consumer_key)
            }),
        };
        key_matches
            && self.status.is_none_or(|status| app.status == status)
            && self.kind.is_none_or(|kind| app.holder.kind == kind)
            && self
                .ids
                .as_ref()
                .is_none_or(|ids| ids.contains(app.id.as_str()))
            && self.app_name.is_none_or(|name| app.name == name)
    }
}

fn status(text: &str) -> Result<Status, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "approved" => Ok(Status::Approved),
        "revoked" => Ok(Status::Revoked),
        "pending" => Ok(Status::Pending),
        _ => Err(Fault::invalid(format!("Invalid status {text}"))),
    }
}

fn holder_kind(text: &str) -> Result<HolderKind, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "developer" => Ok(HolderKind::Developer),
        "company" => Ok(HolderKind::Company),
        "appgroup" => Ok(HolderKind::AppGroup),
        _ => Err(Fault::invalid(format!("Invalid app type {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use crate::apigee::testing::Driver;

    fn many(edition: &str, switches: &Value, apps: usize) -> Driver {
        let apps: Vec<Value> = (0..apps)
            .map(|n| {
                let key = json!({"consumerKey": format!("key-{n}"), "products": ["orders"], "scopes": ["READ"]});
                json!({"name": format!("app-{n}"), "appId": format!("{n:08}"), "keys": [key]})
            })
            .collect();
        Driver::new(json!({
            "edition": edition,
            "switches": switches,
            "products": [{"name": "orders", "scopes": ["READ", "WRITE"]}],
            "developers": [{"email": "ann@example.com", "apps": apps}],
        }))
    }

    fn ids(list: &Value) -> Vec<&str> {
        let items = list
            .as_array()
            .or(list["app"].as_array())
            .map_or(&[][..], Vec::as_slice);
        items
            .iter()
            .map(|item| item["appId"].as_str().or(item.as_str()).unwrap())
            .collect()
    }

    #[test]
    fn the_organizations_apps_are_walked_by_an_inclusive_start_key() {
        for edition in ["Edge", "X"] {
            let mut driver = many(edition, &json!({}), 2500);
            let mut seen = BTreeSet::new();
            let mut start = String::new();
            for _ in 0..3 {
                let page = driver.fetch(&format!("/apps?expand=true&rows=1000&startKey={start}"));
                let page = ids(&page);
                if !start.is_empty() {
                    assert_eq!(page[0], start, "{edition}: the last item comes again");
                }
                start = (*page.last().unwrap()).to_owned();
                seen.extend(page.into_iter().map(str::to_owned));
            }
            assert_eq!(seen.len(), 2500, "{edition}");
        }
    }

    #[test]
    fn x_pages_by_token_and_tells_the_total() {
        let mut driver = many("X", &json!({}), 250);
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let page = driver.fetch(&format!("/apps?pageSize=100&pageToken={token}"));
            assert_eq!(page["totalSize"], 250);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            match page["nextPageToken"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), 250);
        seen.dedup();
        assert_eq!(seen.len(), 250, "no item comes twice");
        assert_eq!(driver.fetch("/apps?rows=10").get("nextPageToken"), None);
        assert_eq!(driver.get("/apps?pageToken=!!").0, 400);
        let mut telling = many("X", &json!({"pageTokenAlways": true}), 3);
        assert!(telling.fetch("/apps?rows=2")["nextPageToken"].is_string());
    }

    #[test]
    fn plain_lists_are_arrays_on_edge_and_objects_on_x() {
        assert_eq!(
            many("Edge", &json!({}), 1).fetch("/apps"),
            json!(["00000000"])
        );
        assert_eq!(
            many("X", &json!({}), 1).fetch("/apps"),
            json!({"app": [{"appId": "00000000"}]})
        );
        assert_eq!(
            many("Edge", &json!({}), 0).fetch("/apps?expand=true"),
            json!({"app": []})
        );
        assert_eq!(
            many("X", &json!({}), 0).fetch("/apps?expand=true"),
            json!({})
        );
        assert_eq!(
            many("X", &json!({}), 0).fetch("/apps?pageSize=5"),
            json!({})
        );
    }

    #[test]
    fn private_cloud_answers_ten_thousand_apps_at_once() {
        let mut driver = many("Edge", &json!({"cps": false}), 10_001);
        assert_eq!(
            ids(&driver.fetch("/apps?rows=10&startKey=00000005")).len(),
            10_000
        );
        let mut cloud = many("Edge", &json!({}), 1001);
        assert_eq!(ids(&cloud.fetch("/apps?rows=5000")).len(), 1000);
    }

    #[test]
    fn credentials_come_along_without_being_asked_for() {
        let mut driver = many("X", &json!({}), 1);
        assert_eq!(
            driver.fetch("/apps?expand=true")["app"][0]["credentials"][0]["consumerKey"],
            "key-0"
        );
        let bare = driver.fetch("/apps?expand=true&includeCred=false");
        assert_eq!(bare["app"][0].get("credentials"), None);
        assert_eq!(bare["app"][0].get("developerEmail"), None);
        let mut telling = many("X", &json!({"listedDeveloperEmail": true}), 1);
        assert_eq!(
            telling.fetch("/apps?expand=true")["app"][0]["developerEmail"],
            "ann@example.com"
        );
    }

    #[test]
    fn x_hides_revoked_apps_and_keys_unless_asked() {
        let world = |edition: &str, switches: Value| {
            json!({
                "edition": edition,
                "switches": switches,
                "developers": [{"email": "ann@example.com", "apps": [
                    {"name": "on", "appId": "1", "keys": [
                        {"consumerKey": "good"}, {"consumerKey": "bad", "status": "revoked"}]},
                    {"name": "only-bad", "appId": "2", "keys": [{"consumerKey": "worse", "status": "revoked"}]},
                    {"name": "off", "appId": "3", "status": "revoked", "keys": [{"consumerKey": "idle"}]},
                ]}],
            })
        };
        // (switches, query, ids, keys of the first)
        let table: [(Value, &str, &[&str], usize); 7] = [
            (json!({}), "", &["1", "2"], 1),
            (json!({"appsWithoutMatchingKeys": "hide"}), "", &["1"], 1),
            (json!({}), "&status=revoked", &["3"], 1),
            (json!({}), "&keyStatus=revoked", &["1", "2"], 1),
            (json!({}), "&filter=status=revoked", &["3"], 1),
            (json!({}), "&filter=consumerKey=good", &["1"], 1),
            (json!({}), "&filter=consumerKey=bad", &[], 0),
        ];
        for (switches, query, expected, keys) in table {
            let mut driver = Driver::new(world("X", switches.clone()));
            let list = driver.fetch(&format!("/apps?expand=true{query}"));
            assert_eq!(ids(&list), expected, "{switches} {query}");
            let found = list["app"][0]["credentials"].as_array().map_or(0, Vec::len);
            assert_eq!(found, keys, "{switches} {query}");
        }
        let mut edge = Driver::new(world("Edge", json!({})));
        assert_eq!(
            ids(&edge.fetch("/apps")),
            ["1", "2", "3"],
            "Edge hides nothing by itself"
        );
        assert_eq!(ids(&edge.fetch("/apps?status=revoked")), ["3"]);
        assert_eq!(
            edge.fetch("/apps?expand=true")["app"][0]["credentials"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn x_filters_by_what_the_documents_name() {
        let mut driver = Driver::new(json!({
            "edition": "X",
            "products": [{"name": "orders"}],
            "developers": [
                {"email": "ann@example.com", "apps": [{"name": "shop", "appId": "1",
                    "keys": [{"consumerKey": "k", "products": ["orders"]}]}]},
                {"email": "bob@example.com", "apps": [{"name": "shop", "appId": "2"}]},
            ],
            "appGroups": [{"name": "partners", "apps": [{"name": "portal", "appId": "3"}]}],
        }));
        let table: [(&str, &[&str]); 11] = [
            ("filter=developerEmail%3Dann@example.com", &["1"]),
            ("filter=developerEmail=no@example.com", &[]),
            ("filter=apiProduct=orders", &["1"]),
            ("apiProduct=orders", &["1"]),
            ("filter=consumerKey=k", &["1"]),
            ("filter=appId=2", &["2"]),
            ("filter=appName=shop", &["1", "2"]),
            ("filter=appType=AppGroup", &["3"]),
            ("filter=appType=Developer", &["1", "2"]),
            ("filter=appGroup=partners", &["3"]),
            ("ids=3,1", &["1", "3"]),
        ];
        for (query, expected) in table {
            assert_eq!(
                ids(&driver.fetch(&format!("/apps?{query}"))),
                expected,
                "{query}"
            );
            let paged = driver.fetch(&format!("/apps?pageSize=1000&{query}"));
            assert_eq!(ids(&paged), expected, "{query}, by pages");
            assert_eq!(
                paged["totalSize"].as_u64().unwrap_or_default(),
                expected.len() as u64
            );
        }
        assert_eq!(driver.get("/apps?filter=color=red").0, 400);
        assert_eq!(driver.get("/apps?filter=red").0, 400);
        assert_eq!(driver.get("/apps?rows=many").0, 400);
    }

    #[test]
    fn a_narrowed_list_pages_by_id_as_the_whole_one_does() {
        // The order of names is not that of ids.
        let apps = json!([{"name": "a", "appId": "3"}, {"name": "b", "appId": "1"}, {"name": "c", "appId": "2"}]);
        let mut driver = Driver::new(json!({
            "edition": "X", "developers": [{"email": "ann@example.com", "apps": apps}],
        }));
        let mut seen = Vec::new();
        let mut token = String::new();
        for _ in 0..3 {
            let filter = "filter=developerEmail=ann@example.com";
            let page = driver.fetch(&format!("/apps?{filter}&pageSize=1&pageToken={token}"));
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            page["nextPageToken"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut token);
        }
        assert_eq!(
            (seen, token),
            (["1", "2", "3"].map(str::to_owned).into(), String::new())
        );
        assert_eq!(
            ids(&driver.fetch("/apps?filter=appId=1&startKey=2&rows=5")),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn edge_lists_apps_by_type() {
        let mut driver = Driver::new(json!({
            "edition": "Edge",
            "developers": [{"email": "ann@example.com", "apps": [{"name": "a", "appId": "1"}]}],
            "companies": [{"name": "c", "apps": [{"name": "b", "appId": "2"}]}],
        }));
        assert_eq!(driver.fetch("/apps?apptype=company"), json!(["2"]));
        assert_eq!(driver.fetch("/apps?apptype=developer"), json!(["1"]));
        assert_eq!(driver.fetch("/apps/2")["companyName"], "c");
    }
}
