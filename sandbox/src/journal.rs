//! What was asked of the sandbox: every request in order, and how often each route was called.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// One request, as the log shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// Counts from 1, in the order in which the systems saw the requests.
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    /// `null` where no system of the world serves the path.
    pub(super) system: Option<Arc<str>>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// As text, whatever its type; `null` where none was sent.
    pub(super) body: Option<String>,
    /// `null` where the connection was cut in place of an answer.
    pub(super) status: Option<u16>,
    pub(super) route: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) token: bool,
    /// The kind of the fault that was applied, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<&'static str>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// The log and the counters.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    counts: BTreeMap<RouteKey, Count>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RouteKey {
    system: Option<Arc<str>>,
    method: String,
    route: &'static str,
    token: bool,
}

#[derive(Debug, Default)]
struct Count {
    count: u64,
    statuses: BTreeMap<u16, u64>,
}

impl Journal {
    /// Appends a request, gives it its number, and counts it.
    pub(super) fn record(&mut self, mut entry: Entry) {
        entry.seq = self.entries.len() as u64 + 1;
        let key = RouteKey {
            system: entry.system.clone(),
            method: entry.method.clone(),
            route: entry.route,
            token: entry.token,
        };
        let count = self.counts.entry(key).or_default();
        count.count += 1;
        if let Some(status) = entry.status {
            *count.statuses.entry(status).or_default() += 1;
        }
        self.entries.push(entry);
    }

    /// The requests after number `since`, oldest first.
    pub(super) fn since(&self, since: u64) -> &[Entry] {
        let start = usize::try_from(since)
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        &self.entries[start..]
    }

    /// Sets the counters to zero; the log and its numbers go on.
    pub(super) fn reset_counts(&mut self) {
        self.counts.clear();
    }

    /// The counters, in the form of `GET /__sandbox/requests`.
    pub(super) fn counts(&self) -> Value {
        let mut total = 0;
        let mut writes = 0;
        let mut routes = Vec::with_capacity(self.counts.len());
        for (key, count) in &self.counts {
            total += count.count;
            if is_write(&key.method, key.token) {
                writes += count.count;
            }
            let statuses: BTreeMap<String, u64> = count
                .statuses
                .iter()
                .map(|(s, n)| (s.to_string(), *n))
                .collect();
            let mut route = json!({
                "system": key.system,
                "method": key.method,
                "route": key.route,
                "count": count.count,
                "statuses": statuses,
            });
            if key.token {
                route["token"] = Value::Bool(true);
            }
            routes.push(route);
        }
        json!({ "total": total, "writes": writes, "routes": routes })
    }
}

/// Whether a request is counted as a write: anything that is neither a read nor a token request.
pub(super) fn is_write(method: &str, token: bool) -> bool {
    !token && !matches!(method, "GET" | "HEAD" | "OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(method: &str, route: &'static str, status: Option<u16>, token: bool) -> Entry {
        Entry {
            seq: 0,
            time: Timestamp::UNIX_EPOCH,
            system: Some("one".into()),
            method: method.to_owned(),
            path: "/a".to_owned(),
            query: None,
            body: None,
            status,
            route,
            token,
            fault: None,
        }
    }

    #[test]
    fn requests_are_counted_by_route_and_token_requests_are_no_writes() {
        let mut journal = Journal::default();
        journal.record(entry("POST", "/token", Some(200), true));
        journal.record(entry("GET", "/a/{id}", Some(200), false));
        journal.record(entry("GET", "/a/{id}", Some(404), false));
        journal.record(entry("PUT", "/a/{id}", None, false));
        assert_eq!(
            journal.counts(),
            json!({ "total": 4, "writes": 1, "routes": [
                { "system": "one", "method": "GET", "route": "/a/{id}", "count": 2, "statuses": { "200": 1, "404": 1 } },
                { "system": "one", "method": "POST", "route": "/token", "count": 1, "statuses": { "200": 1 }, "token": true },
                { "system": "one", "method": "PUT", "route": "/a/{id}", "count": 1, "statuses": {} },
            ] })
        );
    }

    #[test]
    fn resetting_the_counters_leaves_the_log() {
        let mut journal = Journal::default();
        journal.record(entry("GET", "/a", Some(200), false));
        journal.reset_counts();
        journal.record(entry("GET", "/b", Some(200), false));
        assert_eq!(journal.counts()["total"], 1);
        assert_eq!(journal.since(0).len(), 2);
        assert_eq!(journal.since(1)[0].route, "/b");
        assert_eq!(journal.since(1)[0].seq, 2);
        assert!(journal.since(u64::MAX).is_empty());
    }
}
