//! Apigee's paths and queries, and how far a listing is worth reading.

use super::convert::ApigeeApp;
use crate::model::target::Edition;
use crate::model::{AppOwner, ConsumerKey};

/// The most rows that a page of any listing holds.
pub(super) const PAGE: usize = 1000;

/// A request's path, segment by segment, as the HTTP layer takes it.
pub(super) type Path<'a> = Vec<&'a str>;

/// A request's query.
pub(super) type Query<'a> = Vec<(&'static str, &'a str)>;

/// Where the next page of a listing starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cursor {
    /// At the beginning.
    Start,
    /// Where X says.
    Token(String),
    /// At this item, the last one of the page before, which comes again.
    From(String),
}

/// What lies below an organization.
pub(super) fn organization<'a>(organization: &'a str, rest: &[&'a str]) -> Path<'a> {
    [&["v1", "organizations", organization], rest].concat()
}

/// One app, below its organization.
pub(super) fn app(app: &ApigeeApp) -> [&str; 4] {
    let (collection, owner) = match &app.owner {
        AppOwner::Developer(email) => ("developers", email),
        AppOwner::Company(name) => ("companies", name),
        AppOwner::AppGroup(name) => ("appgroups", name),
    };
    [collection, owner, "apps", &app.name]
}

/// One key of an app. Keys have no listing: an app's are among its credentials.
pub(super) fn key<'a>(of: &'a ApigeeApp, key: &'a ConsumerKey) -> [&'a str; 6] {
    let [collection, owner, apps, name] = app(of);
    [collection, owner, apps, name, "keys", key.as_str()]
}

/// The query of a page of the organization's apps, whole, with their keys.
pub(super) fn apps_query(edition: Edition, cursor: &Cursor) -> Query<'_> {
    // `rows` is Edge's word; X pages by its own.
    let size = match edition {
        Edition::Edge => "rows",
        Edition::X => "pageSize",
    };
    let mut query = vec![("expand", "true"), ("includeCred", "true"), (size, "1000")];
    match cursor {
        Cursor::Start => {}
        Cursor::Token(token) => query.push(("pageToken", token)),
        Cursor::From(id) => query.push(("startKey", id)),
    }
    query
}

/// The query of a page of the organization's products, whole.
pub(super) fn products_query(cursor: &Cursor) -> Query<'_> {
    expanded_query(cursor)
}

/// The query of a page of the organization's developers, whole.
pub(super) fn developers_query(cursor: &Cursor) -> Query<'_> {
    expanded_query(cursor)
}

fn expanded_query(cursor: &Cursor) -> Query<'_> {
    let mut query = vec![("expand", "true")];
    if let Cursor::From(name) | Cursor::Token(name) = cursor {
        query.extend([("count", "1000"), ("startKey", name.as_str())]);
    }
    query
}

/// How far a listing was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Pages read.
    pub(super) pages: usize,
    /// Rows read.
    pub(super) rows: usize,
    /// Rows in all, where the server says so.
    pub(super) total: Option<u64>,
}

impl Progress {
    /// How many pages are still to come. One is worth its request only while those are fewer than the objects not yet seen,
    /// each of which can be asked for by one request instead.
    ///
    /// Edge does not say how many pages there are. As many are taken to come as were read already, so that the listing
    /// never costs more than twice what asking would have cost.
    pub(super) fn pages_to_come(&self) -> usize {
        match self.total.map(usize::try_from) {
            Some(Ok(total)) => total.saturating_sub(self.rows).div_ceil(PAGE).max(1),
            Some(Err(_)) => usize::MAX,
            None => self.pages.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_owner_has_its_own_path() {
        let shop = |owner| ApigeeApp {
            owner,
            name: "my shop".to_owned(),
        };
        let consumer_key = ConsumerKey::new("k3y");
        for (owner, collection) in [
            (AppOwner::Developer("o".to_owned()), "developers"),
            (AppOwner::Company("o".to_owned()), "companies"),
            (AppOwner::AppGroup("o".to_owned()), "appgroups"),
        ] {
            let shop = shop(owner);
            assert_eq!(
                organization("acme", &key(&shop, &consumer_key)),
                [
                    "v1",
                    "organizations",
                    "acme",
                    collection,
                    "o",
                    "apps",
                    "my shop",
                    "keys",
                    "k3y"
                ]
            );
        }
    }

    #[test]
    fn listings_are_asked_for_in_each_editions_words() {
        let text = |query: Query<'_>| {
            let pairs: Vec<_> = query
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join("&")
        };
        let start = Cursor::Start;
        assert_eq!(
            text(apps_query(Edition::Edge, &start)),
            "expand=true&includeCred=true&rows=1000"
        );
        assert_eq!(
            text(apps_query(Edition::Edge, &Cursor::From("a-1".to_owned()))),
            "expand=true&includeCred=true&rows=1000&startKey=a-1"
        );
        assert_eq!(
            text(apps_query(Edition::X, &Cursor::Token("t=".to_owned()))),
            "expand=true&includeCred=true&pageSize=1000&pageToken=t="
        );
        assert_eq!(text(products_query(&start)), "expand=true");
        assert_eq!(
            text(products_query(&Cursor::From("a b".to_owned()))),
            "expand=true&count=1000&startKey=a b"
        );
        assert_eq!(PAGE, 1000);
    }

    #[test]
    fn a_listing_is_read_while_its_pages_are_fewer_than_what_is_unseen() {
        let edge = |pages| Progress {
            pages,
            rows: pages * PAGE,
            total: None,
        };
        let x = |pages, total| Progress {
            pages,
            rows: pages * PAGE,
            total: Some(total),
        };
        #[rustfmt::skip]
        let table = [
            // (read so far, unseen, another page)
            (edge(0), 0, false),
            (edge(0), 1, false),
            (edge(0), 2, true),
            (edge(1), 1, false),
            (edge(1), 2, true),
            (edge(2), 2, false),
            (edge(7), 8, true),
            (x(1, 1001), 2, true),
            (x(1, 2500), 2, false),
            (x(1, 2500), 3, true),
            (x(1, 9), 1, false),
            (x(1, u64::MAX), 5_000, false),
        ];
        for (progress, unseen, worth) in table {
            assert_eq!(
                progress.pages_to_come() < unseen,
                worth,
                "{progress:?} {unseen}"
            );
        }
    }
}
