//! Reading apps, keys and products with the fewest requests that can answer.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::api::{self, Cursor, PAGE, Progress, Query};
use super::convert::{
    ApigeeApp, Beside, Choice, Listing, WireApp, WireDeveloper, WireKey, WireProduct,
};
use super::{Apigee, ProviderError};
use crate::model::target::Edition;
use crate::model::{AppOwner, AppRef, ConsumerKey, LiveApp, LiveAppScopes, ScopeName};
use crate::provider::http::{Answer, Dated};

/// The references that were asked for, by their app.
type Wanted<'a> = BTreeMap<ApigeeApp, Vec<&'a AppRef>>;

/// What was read, under the references that were asked for.
type Found = BTreeMap<AppRef, LiveApp>;

impl Apigee {
    /// Reads apps: one by asking for it, more from the organization's listing as far as that costs less, the rest by
    /// asking. A listing leaves out what is revoked and what the caller may not see: what it lacks is asked for before it
    /// is said to be absent.
    pub(super) async fn read_apps(&self, references: &[AppRef]) -> Result<Found, ProviderError> {
        let mut wanted = Wanted::new();
        let mut found = Found::new();
        for reference in references {
            match reference {
                AppRef::Apigee { owner, app, key: _ } => {
                    let app = ApigeeApp {
                        owner: owner.clone(),
                        name: app.clone(),
                    };
                    wanted.entry(app).or_default().push(reference);
                }
                AppRef::OneLogin { app_id } => {
                    let why = format!("{app_id} is the id of a OneLogin app");
                    found.insert(reference.clone(), LiveApp::Absent { why });
                }
            }
        }
        let mut unseen: BTreeSet<&ApigeeApp> = wanted.keys().collect();
        self.list_apps(&wanted, &mut unseen, &mut found).await?;
        let calls = unseen
            .into_iter()
            .map(|app| self.ask_for_app(app, &wanted[app]));
        let asked = all(calls.collect()).await?;
        found.extend(asked.into_iter().flatten());
        Ok(found)
    }

    /// Takes from the listing every app of which all wanted keys are in it.
    async fn list_apps<'a>(
        &self,
        wanted: &'a Wanted<'_>,
        unseen: &mut BTreeSet<&'a ApigeeApp>,
        found: &mut Found,
    ) -> Result<(), ProviderError> {
        let now = Timestamp::now();
        let mut named: BTreeMap<&str, Vec<&ApigeeApp>> = BTreeMap::new();
        for app in wanted.keys() {
            named.entry(&app.name).or_default().push(app);
        }
        let mut owners = Owners::new(self.edition, wanted);
        let pages = Pages {
            resource: "apps",
            doing: "list the apps",
            unseen: owners.unseen(unseen.len()),
        };
        self.walk(
            pages,
            |cursor| api::apps_query(self.edition, cursor),
            |listed: &WireApp| listed.app_id.clone(),
            |listed| {
                owners.untold |= !listed.tells_its_owner();
                let candidates = listed.name.as_deref().and_then(|name| named.get(name));
                let mut may_be_wanted = false;
                for app in candidates.into_iter().flatten().copied() {
                    match listed.is(app) {
                        Some(true) => {
                            owners.unclear.remove(app);
                            take(&listed, (app, &wanted[app]), now, unseen, found);
                        }
                        None if unseen.contains(app) => {
                            owners.unclear.insert(app);
                            may_be_wanted = true;
                        }
                        Some(false) | None => {}
                    }
                }
                if may_be_wanted {
                    owners.apps.push(listed);
                }
                owners.unseen(unseen.len())
            },
        )
        .await?;

        // One page of developers tells the addresses of up to 1,000 of them.
        if Progress::default().worth_another_page(owners.unclear.len()) {
            let emails = self.read_developers().await?;
            for mut listed in owners.apps {
                let id = listed.developer_id.as_ref();
                listed.developer_email = id.and_then(|id| emails.get(id)).cloned();
                let candidates = listed.name.as_deref().and_then(|name| named.get(name));
                for app in candidates.into_iter().flatten().copied() {
                    if listed.is(app) == Some(true) {
                        take(&listed, (app, &wanted[app]), now, unseen, found);
                    }
                }
            }
        }
        Ok(())
    }

    /// The addresses of the organization's developers, or of the first 1,000, by their ids.
    async fn read_developers(&self) -> Result<BTreeMap<String, String>, ProviderError> {
        let path = self.path(&["developers"]);
        let call = self
            .http
            .get(&path, "list the developers")
            .query("expand", "true");
        let page: Listing<WireDeveloper> = match call.send().await {
            Ok(answer) => answer.json()?,
            Err(error) if self.may_not_list(&error) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let known = page.items.into_iter();
        Ok(known
            .filter_map(|one| Some((one.developer_id?, one.email?)))
            .collect())
    }

    /// Asks for one app.
    async fn ask_for_app(
        &self,
        app: &ApigeeApp,
        references: &[&AppRef],
    ) -> Result<Found, ProviderError> {
        let path = self.path(&api::app(app));
        let call = self
            .http
            .get(&path, format!("read {app}"))
            .expecting(&[404]);
        let answer = call.send().await?;
        if answer.status() == 404 {
            let why = format!("{app} is not there: {}", said(&answer));
            let absent =
                |reference: &&AppRef| ((*reference).clone(), LiveApp::Absent { why: why.clone() });
            return Ok(references.iter().map(absent).collect());
        }
        let wire: WireApp = answer.json()?;
        if wire.name.is_none() {
            return Err(answer.unexpected("it is no app"));
        }
        let now = Timestamp::now();
        let mut found = Found::new();
        for reference in references {
            let key = key_of(reference);
            let live = match (wire.choose(app, key, now), key) {
                (Choice::Key(scopes), _) => LiveApp::Present(*scopes),
                (Choice::Unclear(why), _) => LiveApp::Absent { why },
                // The server has the last word on a key that the app does not show.
                (Choice::NotThere, Some(key)) => self.read_key(app, key).await?.of,
                (Choice::NotThere, None) => continue,
            };
            found.insert((*reference).clone(), live);
        }
        Ok(found)
    }

    /// Asks for one key, and keeps what it has beside its list.
    pub(super) async fn read_key(
        &self,
        app: &ApigeeApp,
        key: &ConsumerKey,
    ) -> Result<Dated<LiveApp>, ProviderError> {
        let doing = format!("read the key {} of {app}", key.shortened());
        let path = self.path(&api::key(app, key));
        let answer = self.http.get(&path, doing).expecting(&[404]).send().await?;
        let at = answer.sent_at();
        if answer.status() == 404 {
            let shortened = key.shortened();
            let why = format!(
                "the key {shortened} of {app} is not there: {}",
                said(&answer)
            );
            return Ok(Dated {
                at,
                of: LiveApp::Absent { why },
            });
        }
        let wire: WireKey = answer.json()?;
        if wire.key() != *key {
            return Err(answer.unexpected("it is not the key that was asked for"));
        }
        let of = answer.json::<Beside>()?;
        self.keep(app, key, Dated { at, of });
        Ok(Dated {
            at,
            of: LiveApp::Present(wire.to_scopes(app, Timestamp::now())),
        })
    }

    /// Reads the products of all keys, each once, and fills in what may stand in the keys' lists.
    pub(super) async fn read_allowed(&self, apps: &mut Found) -> Result<(), ProviderError> {
        let mut present: Vec<&mut LiveAppScopes> = apps
            .values_mut()
            .filter_map(|app| match app {
                LiveApp::Present(scopes) => Some(scopes),
                LiveApp::Absent { .. } => None,
            })
            .collect();
        let names: BTreeSet<String> = present
            .iter()
            .flat_map(|app| app.products.iter().cloned())
            .collect();
        let products = self.read_products(&names).await?;
        for app in &mut present {
            let union = app.products.iter().flat_map(|name| &products[name]);
            app.allowed = Some(union.cloned().collect());
        }
        Ok(())
    }

    /// The scopes of products: one by asking for it, more from the listing as far as that costs less, the rest by asking.
    async fn read_products(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<ScopeName>>, ProviderError> {
        let mut products = BTreeMap::new();
        let pages = Pages {
            resource: "apiproducts",
            doing: "list the products",
            unseen: names.len(),
        };
        self.walk(
            pages,
            api::products_query,
            |product: &WireProduct| Some(product.name.clone()),
            |product| {
                if product.is_whole() && names.contains(&product.name) {
                    products.insert(product.name.clone(), product.scopes());
                }
                names.len() - products.len()
            },
        )
        .await?;
        let missing = names.iter().filter(|name| !products.contains_key(*name));
        let calls = missing.map(|name| self.ask_for_product(name)).collect();
        products.extend(all(calls).await?);
        Ok(products)
    }

    /// Asks for one product. One that was deleted under a key grants nothing.
    async fn ask_for_product(
        &self,
        name: &str,
    ) -> Result<(String, BTreeSet<ScopeName>), ProviderError> {
        let path = self.path(&["apiproducts", name]);
        let call = self
            .http
            .get(&path, format!("read the product `{name}`"))
            .expecting(&[404]);
        let answer = call.send().await?;
        if answer.status() == 404 {
            return Ok((name.to_owned(), BTreeSet::new()));
        }
        let product: WireProduct = answer.json()?;
        if product.name.is_empty() {
            return Err(answer.unexpected("it is no product"));
        }
        Ok((name.to_owned(), product.scopes()))
    }

    /// Walks a listing while that is worth it. `take` is given every item, and says how many objects are still unseen.
    /// Whoever may not list may still ask for single objects, so that the walk ends there and the rest is asked for.
    ///
    /// Edge's pages start with the last item of the page before, and some servers give the same page for ever: a page
    /// that leads nowhere ends the walk, and so does one page for each object that was wanted.
    async fn walk<T: DeserializeOwned>(
        &self,
        pages: Pages,
        query: impl Fn(&Cursor) -> Query<'_>,
        id: impl Fn(&T) -> Option<String>,
        mut take: impl FnMut(T) -> usize,
    ) -> Result<(), ProviderError> {
        let path = self.path(&[pages.resource]);
        let mut progress = Progress::default();
        let mut unseen = pages.unseen;
        let mut cursor = Cursor::Start;
        while progress.pages < pages.unseen && progress.worth_another_page(unseen) {
            let call = self.http.get(&path, pages.doing);
            let pairs = query(&cursor);
            let call = pairs
                .iter()
                .fold(call, |call, (name, value)| call.query(name, value));
            let page: Listing<T> = match call.send().await {
                Ok(answer) => answer.json()?,
                Err(error) if self.may_not_list(&error) => break,
                Err(error) => return Err(error),
            };
            progress.pages += 1;
            progress.rows += page.items.len();
            progress.total = page.total;
            let is_full = page.items.len() >= PAGE;
            let next = match (page.next_page_token, page.items.last().and_then(&id)) {
                (Some(token), _) => Cursor::Token(token),
                (None, Some(last)) if is_full => Cursor::From(last),
                _ => Cursor::Start,
            };
            for item in page.items {
                unseen = take(item);
            }
            if next == Cursor::Start || next == cursor {
                break;
            }
            cursor = next;
        }
        Ok(())
    }

    /// Whether a call was refused for want of a permission, and not of the right credential: 401 on Edge, where 403 is a
    /// wrong password, and 403 on X.
    fn may_not_list(&self, error: &ProviderError) -> bool {
        let forbidden = match self.edition {
            Edition::Edge => 401,
            Edition::X => 403,
        };
        error.status() == Some(forbidden)
    }
}

/// Listed apps that tell no more of their owner than a developer's id: Edge's always, and X's at times.
struct Owners<'a> {
    /// Whether such apps are there.
    untold: bool,
    /// The apps that may be wanted ones.
    apps: Vec<WireApp>,
    /// The wanted apps that they may be.
    unclear: BTreeSet<&'a ApigeeApp>,
}

impl<'a> Owners<'a> {
    fn new(edition: Edition, wanted: &'a Wanted<'_>) -> Self {
        let a_developers = |app: &ApigeeApp| matches!(app.owner, AppOwner::Developer(_));
        Self {
            untold: edition == Edition::Edge && wanted.keys().any(a_developers),
            apps: Vec::new(),
            unclear: BTreeSet::new(),
        }
    }

    /// How many apps the rest of the listing could save a request for. Those that a page of developers will settle are
    /// seen; as long as there is none of them, that page has to be earned first.
    fn unseen(&self, unseen: usize) -> usize {
        let without_a_trace = unseen.saturating_sub(self.unclear.len());
        if self.untold && self.unclear.is_empty() {
            without_a_trace.saturating_sub(1)
        } else {
            without_a_trace
        }
    }
}

/// A listing, and how many of its objects are wanted.
struct Pages {
    resource: &'static str,
    doing: &'static str,
    unseen: usize,
}

/// Takes a listed app as seen, if every key that is wanted of it is in the listing; else it is asked for.
fn take<'a>(
    listed: &WireApp,
    (app, references): (&'a ApigeeApp, &[&AppRef]),
    now: Timestamp,
    unseen: &mut BTreeSet<&'a ApigeeApp>,
    found: &mut Found,
) {
    let mut seen = Vec::new();
    for reference in references {
        match listed.choose(app, key_of(reference), now) {
            Choice::Key(scopes) => seen.push(((*reference).clone(), LiveApp::Present(*scopes))),
            Choice::NotThere | Choice::Unclear(_) => return,
        }
    }
    if unseen.remove(app) {
        found.extend(seen);
    }
}

/// The key that a reference names.
fn key_of(reference: &AppRef) -> Option<&ConsumerKey> {
    match reference {
        AppRef::Apigee { key, .. } => key.as_ref(),
        AppRef::OneLogin { .. } => None,
    }
}

/// `the server said: App named a does not exist under b`.
fn said(answer: &Answer) -> String {
    format!(
        "the server said: {}, {}",
        answer.status(),
        answer.words().text
    )
}

/// Waits for many answers; the HTTP layer says how many requests are in flight.
async fn all<R, F>(calls: Vec<F>) -> Result<Vec<R>, ProviderError>
where
    F: Future<Output = Result<R, ProviderError>>,
{
    stream::iter(calls).buffer_unordered(64).try_collect().await
}
