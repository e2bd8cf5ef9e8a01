//! Finding apps in the organization's lists, as far as that costs fewer requests than asking for each.
//!
//! A listed app tells its developer by an id alone on Edge, and at times on X; manifests name the address. So pages of
//! developers are read side by side with pages of apps, and the one is worth what the other one makes of it:
//!
//! | a wanted app that is not seen yet | what could show it |
//! |---|---|
//! | its developer's id is known, or its owner is no developer | further pages of apps |
//! | an app of its name is listed, of a developer whose address is not known | further pages of developers |
//! | neither | further pages of both |
//! | its developer is not in the list of developers, which is over | a request of its own |

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::api::{self, Cursor, PAGE, Progress, Query};
use super::convert::{ApigeeApp, Choice, Listing, WireApp, WireDeveloper};
use super::{Apigee, ProviderError};
use crate::model::target::Edition;
use crate::model::{AppOwner, AppRef, ConsumerKey, LiveApp};

/// The references that were asked for, by their app.
pub(super) type Wanted<'a> = BTreeMap<ApigeeApp, Vec<&'a AppRef>>;

/// What was read, under the references that were asked for.
pub(super) type FoundApps = BTreeMap<AppRef, LiveApp>;

/// A listing that is read page by page.
#[derive(Debug)]
pub(super) struct Walk {
    resource: &'static str,
    doing: &'static str,
    cursor: Cursor,
    progress: Progress,
    /// Whether nothing more is to be had from it.
    over: bool,
}

impl Walk {
    /// A listing of which nothing is read yet.
    pub(super) fn new(resource: &'static str, doing: &'static str) -> Self {
        Self {
            resource,
            doing,
            cursor: Cursor::Start,
            progress: Progress::default(),
            over: false,
        }
    }

    /// Whether another page costs less than what it could save: a request for each of `unseen` objects of all `wanted`.
    /// A server may have pages without an end, so that no more of them are read than objects are wanted.
    pub(super) fn is_worth_going_on(&self, wanted: usize, unseen: usize) -> bool {
        self.pages_to_come(wanted) < unseen
    }

    fn pages_to_come(&self, wanted: usize) -> usize {
        if self.over || self.progress.pages >= wanted {
            usize::MAX
        } else {
            self.progress.pages_to_come()
        }
    }
}

impl Apigee {
    /// Reads the next page of a listing. Whoever may not list may still ask for single objects, so that the listing is
    /// over then; and so it is where a server takes the first page's query and not the next one's.
    ///
    /// Edge's pages start with the last item of the page before, and some servers give the same page for ever: a page
    /// that leads nowhere is the last one, and so is one that is longer than a page can be.
    pub(super) async fn next_page<T: DeserializeOwned>(
        &self,
        walk: &mut Walk,
        query: impl Fn(&Cursor) -> Query<'_>,
        id: impl Fn(&T) -> Option<String>,
    ) -> Result<Vec<T>, ProviderError> {
        let path = self.path(&[walk.resource]);
        let mut call = self.http.get(&path, walk.doing);
        for (name, value) in query(&walk.cursor) {
            call = call.query(name, value);
        }
        if walk.cursor != Cursor::Start {
            call = call.expecting(&[400]);
        }
        let page: Listing<T> = match call.send().await {
            Ok(answer) if answer.status() == 400 => {
                walk.over = true;
                return Ok(Vec::new());
            }
            Ok(answer) => answer.json()?,
            Err(error) if self.may_not_list(&error) => {
                walk.over = true;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        walk.progress.pages += 1;
        walk.progress.rows += page.items.len();
        walk.progress.total = page.total;
        let is_full = page.items.len() == PAGE;
        let next = match (page.next_page_token, page.items.last().and_then(&id)) {
            (Some(token), _) => Cursor::Token(token),
            (None, Some(last)) if is_full => Cursor::From(last),
            _ => Cursor::Start,
        };
        walk.over = next == Cursor::Start || next == walk.cursor;
        walk.cursor = next;
        Ok(page.items)
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

    /// Finds what the lists can show of the wanted apps for less than asking costs, and gives the apps that are left to
    /// be asked for.
    pub(super) async fn find_listed<'a>(
        &self,
        wanted: &'a Wanted<'_>,
        found: &mut FoundApps,
    ) -> Result<BTreeSet<&'a ApigeeApp>, ProviderError> {
        let mut search = Search::new(wanted);
        let mut apps = Walk::new("apps", "list the apps");
        let mut developers = Walk::new("developers", "list the developers");
        loop {
            let next = search.next(&apps, &developers);
            if !next.apps && !next.developers {
                search.unseen.append(&mut search.incomplete);
                return Ok(search.unseen);
            }
            let listed = async {
                if next.apps {
                    let id = |app: &WireApp| app.app_id.clone();
                    self.next_page(&mut apps, |from| api::apps_query(self.edition, from), id)
                        .await
                } else {
                    Ok(Vec::new())
                }
            };
            let known = async {
                if next.developers {
                    let id = |developer: &WireDeveloper| developer.email.clone();
                    let walk = &mut developers;
                    self.next_page(walk, api::developers_query, id).await
                } else {
                    Ok(Vec::new())
                }
            };
            // Both are waited for, so that what is said of two that fail does not depend on which was faster.
            let (listed, known) = futures::join!(listed, known);
            let (listed, known) = (listed?, known?);
            search.learn(known);
            search.take(listed, found);
            if developers.over {
                search.unclear.clear();
            }
        }
    }
}

/// Which pages are read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next {
    apps: bool,
    developers: bool,
}

/// What is known of the wanted apps while the lists are read.
struct Search<'a> {
    wanted: &'a Wanted<'a>,
    names: BTreeSet<&'a str>,
    unseen: BTreeSet<&'a ApigeeApp>,
    /// Those that are listed without a key that is wanted of them.
    incomplete: BTreeSet<&'a ApigeeApp>,
    now: Timestamp,
    /// Addresses of developers by their ids, and every address and id among them.
    addresses: BTreeMap<String, String>,
    developers: BTreeSet<String>,
    /// Whether listed apps leave out the address of their developer, once some are seen.
    untold: Option<bool>,
    /// Listed apps of a wanted name, of a developer whose address is not known yet.
    unclear: Vec<WireApp>,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a Wanted<'_>) -> Self {
        Self {
            wanted,
            names: wanted.keys().map(|app| app.name.as_str()).collect(),
            unseen: wanted.keys().collect(),
            incomplete: BTreeSet::new(),
            now: Timestamp::now(),
            addresses: BTreeMap::new(),
            developers: BTreeSet::new(),
            untold: None,
            unclear: Vec::new(),
        }
    }

    /// Weighs the pages still to come against the requests that they could save.
    fn next(&self, apps: &Walk, developers: &Walk) -> Next {
        let most = self.wanted.len();
        let apps_to_come = apps.pages_to_come(most);
        let developers_to_come = developers.pages_to_come(most);

        // Edge always does, and X does by its documents.
        let untold = self.untold.unwrap_or(true);
        let (mut by_apps, mut by_developers, mut by_both) = (0, 0, 0);
        let mut unclear: BTreeMap<&str, usize> = BTreeMap::new();
        for listed in &self.unclear {
            *unclear.entry(listed.name()).or_default() += 1;
        }
        for app in &self.unseen {
            match &app.owner {
                AppOwner::Developer(name) if untold && !self.developers.contains(name) => {
                    let listed = unclear.get_mut(app.name.as_str());
                    match listed.filter(|listed| **listed > 0) {
                        Some(listed) => {
                            *listed -= 1;
                            by_developers += 1;
                        }
                        None if developers_to_come < usize::MAX => by_both += 1,
                        None => {}
                    }
                }
                _ => by_apps += 1,
            }
        }
        let apps = apps_to_come < by_apps
            || apps_to_come.saturating_add(developers_to_come) < by_apps + by_both;
        Next {
            apps,
            developers: developers_to_come < by_developers + if apps { by_both } else { 0 },
        }
    }

    /// Learns whose address belongs to which id.
    fn learn(&mut self, developers: Vec<WireDeveloper>) {
        for developer in developers {
            if let (Some(id), Some(address)) = (developer.developer_id, developer.email) {
                self.developers.extend([id.clone(), address.clone()]);
                self.addresses.insert(id, address);
            }
        }
    }

    /// Takes the wanted ones among listed apps, and among those that were not clear before.
    fn take(&mut self, listed: Vec<WireApp>, found: &mut FoundApps) {
        if !listed.is_empty() {
            let untold = listed.iter().any(|app| app.untold_developer().is_some());
            self.untold = Some(untold || self.untold == Some(true));
        }
        let earlier = std::mem::take(&mut self.unclear);
        for mut app in earlier.into_iter().chain(listed) {
            if !self.names.contains(app.name()) {
                continue;
            }
            if let Some(id) = app.untold_developer() {
                let address = self.addresses.get(id).cloned();
                app.developer_email = address;
            }
            for owner in app.owners() {
                self.see(&app, owner, found);
            }
            if app.untold_developer().is_some() {
                self.unclear.push(app);
            }
        }
    }

    /// Takes a listed app as seen, if every key that is wanted of it is in the listing; else it is asked for.
    fn see(&mut self, listed: &WireApp, owner: AppOwner, found: &mut FoundApps) {
        let name = listed.name().to_owned();
        let Some((app, references)) = self.wanted.get_key_value(&ApigeeApp { owner, name }) else {
            return;
        };
        let mut seen = Vec::new();
        for reference in references {
            match listed.choose(app, key_of(reference), self.now) {
                Choice::Key(scopes) => seen.push(((*reference).clone(), LiveApp::Present(*scopes))),
                Choice::NotThere | Choice::Unclear(_) => {
                    self.unseen.remove(app);
                    self.incomplete.insert(app);
                    return;
                }
            }
        }
        if self.unseen.remove(app) {
            found.extend(seen);
        }
    }
}

/// The key that a reference names.
pub(super) fn key_of(reference: &AppRef) -> Option<&ConsumerKey> {
    match reference {
        AppRef::Apigee { key, .. } => key.as_ref(),
        AppRef::OneLogin { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(owners: impl IntoIterator<Item = AppOwner>) -> Wanted<'static> {
        let app = |owner| ApigeeApp {
            owner,
            name: "shop".to_owned(),
        };
        owners
            .into_iter()
            .map(|owner| (app(owner), Vec::new()))
            .collect()
    }

    fn address(n: usize) -> String {
        format!("d{n}@example.com")
    }

    fn read(pages: usize) -> Walk {
        let mut walk = Walk::new("apps", "list the apps");
        walk.progress.pages = pages;
        walk
    }

    fn over() -> Walk {
        let mut walk = read(1);
        walk.over = true;
        walk
    }

    #[test]
    fn pages_are_read_for_what_they_could_show() {
        let next = |apps, developers| Next { apps, developers };
        // Wanted of developers; listed ones of unknown developers; known developers; pages; which page is next.
        #[rustfmt::skip]
        let table = [
            (2, 0, 0, read(0), read(0), next(false, false)),
            (3, 0, 0, read(0), read(0), next(true, true)),
            // All are listed, and whose they are is not known yet.
            (5, 5, 0, read(1), read(1), next(false, true)),
            (5, 9, 0, read(1), read(1), next(false, true)),
            (5, 9, 0, read(1), read(5), next(false, false)),
            (5, 9, 0, read(1), over(), next(false, false)),
            // The developers are known, and their apps are on another page.
            (5, 0, 5, read(1), over(), next(true, false)),
            (5, 0, 5, read(4), read(1), next(true, false)),
            (5, 0, 5, read(5), read(1), next(false, false)),
            (3, 0, 2, read(1), over(), next(true, false)),
            (3, 0, 2, read(2), over(), next(false, false)),
            // Some of each.
            (9, 3, 3, read(2), read(2), next(true, true)),
            (9, 3, 3, read(2), over(), next(true, false)),
            // A developer who is in no list, and who has no listed app.
            (9, 0, 0, read(1), over(), next(false, false)),
        ];
        for (wanted, unclear, known, of_apps, of_developers, expected) in table {
            let all = apps((0..wanted).map(|n| AppOwner::Developer(address(n))));
            let mut search = Search::new(&all);
            search.developers = (0..known).map(address).collect();
            let listed: WireApp = serde_json::from_str(r#"{"name":"shop"}"#).expect("an app");
            search.unclear = vec![listed; unclear];
            assert_eq!(
                search.next(&of_apps, &of_developers),
                expected,
                "{wanted} {unclear} {known} {of_apps:?} {of_developers:?}"
            );
        }
    }

    #[test]
    fn owners_that_the_listing_tells_need_no_developers() {
        let companies = apps(["a", "b"].map(|name| AppOwner::Company(name.to_owned())));
        let told = apps((0..2).map(|n| AppOwner::Developer(address(n))));
        let mut told = Search::new(&told);
        told.untold = Some(false);
        for search in [Search::new(&companies), told] {
            let next = search.next(&read(0), &read(0));
            assert!(next.apps && !next.developers);
        }
    }
}
