//! Reading apps, keys and products with the fewest requests that can answer.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::api;
use super::convert::{ApigeeApp, Beside, Choice, WireApp, WireKey, WireProduct};
use super::listing::{FoundApps, Walk, Wanted, key_of};
use super::{Apigee, ProviderError};
use crate::model::{AppRef, ConsumerKey, LiveApp, LiveAppScopes, ScopeName};
use crate::provider::http::{Answer, Dated};

impl Apigee {
    /// Reads apps: few by asking for them, more from the organization's lists as far as that costs less, the rest by
    /// asking. A listing leaves out what is revoked and what the caller may not see: what it lacks is asked for before it
    /// is said to be absent.
    pub(super) async fn read_apps(
        &self,
        references: &[AppRef],
    ) -> Result<FoundApps, ProviderError> {
        let mut wanted = Wanted::new();
        let mut found = FoundApps::new();
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
        let unseen = self.find_listed(&wanted, &mut found).await?;
        let calls = unseen
            .into_iter()
            .map(|app| self.ask_for_app(app, &wanted[app]));
        let asked = all(calls.collect()).await?;
        found.extend(asked.into_iter().flatten());
        Ok(found)
    }

    /// Asks for one app.
    async fn ask_for_app(
        &self,
        app: &ApigeeApp,
        references: &[&AppRef],
    ) -> Result<FoundApps, ProviderError> {
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
        let mut found = FoundApps::new();
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

    /// Reads the first page of the products, which serves whatever keys will turn out to have.
    pub(super) async fn list_products(&self) -> Result<Products, ProviderError> {
        let mut products = Products::default();
        self.next_products(&mut products).await?;
        Ok(products)
    }

    async fn next_products(&self, products: &mut Products) -> Result<(), ProviderError> {
        let id = |product: &WireProduct| Some(product.name.clone());
        let walk = &mut products.walk;
        let page = self.next_page(walk, api::products_query, id).await?;
        let whole = page.into_iter().filter(WireProduct::is_whole);
        let scopes = whole.map(|product| (product.name.clone(), product.scopes()));
        products.scopes.extend(scopes);
        Ok(())
    }

    /// Fills in what may stand in the keys' lists, by their products: one that is not listed yet by asking for it, more
    /// from the listing as far as that costs less, the rest by asking.
    pub(super) async fn read_allowed(
        &self,
        apps: &mut FoundApps,
        mut products: Products,
    ) -> Result<(), ProviderError> {
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
        loop {
            let missing: Vec<_> = names
                .iter()
                .filter(|name| !products.scopes.contains_key(*name))
                .collect();
            if !(products.walk).is_worth_going_on(names.len(), missing.len()) {
                let calls = missing.into_iter().map(|name| self.ask_for_product(name));
                products.scopes.extend(all(calls.collect()).await?);
                break;
            }
            self.next_products(&mut products).await?;
        }
        for app in &mut present {
            let union = app.products.iter().flat_map(|name| &products.scopes[name]);
            app.allowed = Some(union.cloned().collect());
        }
        Ok(())
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
}

/// The scopes of the products that were listed or asked for, by name.
pub(super) struct Products {
    walk: Walk,
    scopes: BTreeMap<String, BTreeSet<ScopeName>>,
}

impl Default for Products {
    fn default() -> Self {
        Self {
            walk: Walk::new("apiproducts", "list the products"),
            scopes: BTreeMap::new(),
        }
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
