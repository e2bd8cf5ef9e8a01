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
        default: usize,
        most: usize,
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
            self.cut(call, "rows", false, MOST, MOST)?
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
