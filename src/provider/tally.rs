//! How many requests went out, by what they ask for and how they ended, for whoever counts over many runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

/// What requests ask for, as the last of these words in their paths says: a label must not grow with ids.
const RESOURCES: [&str; 7] = [
    "apiproducts",
    "api_authorizations",
    "apps",
    "clients",
    "keys",
    "scopes",
    "appgroups",
];

/// Requests of one kind that ended in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The method.
    pub method: &'static str,
    /// What was asked for: `scopes`, `clients`, ..., `token`, or `other`.
    pub resource: &'static str,
    /// How it ended: `2xx`, `4xx`, `429`, ..., or `none` where no answer came.
    pub class: &'static str,
}

/// Requests that were sent, repetitions included. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<Counted, u64>>>);

impl Tally {
    /// Counts a request; a `status` of 0 is no answer.
    pub(super) fn add(&self, method: &str, url: &Url, is_token: bool, status: u16) {
        let counted = Counted {
            method: word_of(method),
            resource: if is_token { "token" } else { resource(url) },
            class: class(status),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(counted).or_default() += 1;
    }

    /// Gives what was counted, and begins anew.
    pub(crate) fn take(&self) -> BTreeMap<Counted, u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn word_of(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

fn resource(url: &Url) -> &'static str {
    let mut segments = url.path_segments().into_iter().flatten().rev();
    let known = segments.find_map(|segment| RESOURCES.into_iter().find(|word| *word == segment));
    known.unwrap_or("other")
}

fn class(status: u16) -> &'static str {
    match status {
        0 => "none",
        429 => "429",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_words_of_ours_whatever_the_ids_in_their_paths() {
        let tally = Tally::default();
        let add = |method, path: &str, status| {
            let url = format!("https://iam.example.com{path}");
            tally.add(method, &Url::parse(&url).expect("valid"), false, status);
        };
        add("GET", "/api/2/api_authorizations/7/scopes", 200);
        add("GET", "/api/2/api_authorizations/8/scopes", 200);
        add("PUT", "/api/2/api_authorizations/7/clients/9", 429);
        add("DELETE", "/api/auth/scopes/a%2Fb", 503);
        add("PATCH", "/else", 0);
        let counted: Vec<(&str, &str, &str, u64)> = tally
            .take()
            .into_iter()
            .map(|(of, n)| (of.method, of.resource, of.class, n))
            .collect();
        assert_eq!(
            counted,
            [
                ("DELETE", "scopes", "5xx", 1),
                ("GET", "scopes", "2xx", 2),
                ("PUT", "clients", "429", 1),
                ("other", "other", "none", 1),
            ]
        );
        assert!(tally.take().is_empty());
    }
}
