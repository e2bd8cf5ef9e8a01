//! What the tests of the providers share: a sandbox to talk to, targets in it, and what the sandbox counted.

use std::collections::BTreeSet;
use std::time::Duration;

use scopeward::model::target::{
    Adoption, Approval, Drift, Endpoint, Pace, Policy, Target, Thresholds, Tls,
};
use scopeward::model::{RoleName, ScopeName, ScopeState, Source, SourceFile, TargetId};
use scopeward::provider::{
    Connect, Credential, Observe, Patience, Provider, ProviderError, observer, provider,
};
use scopeward_sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};
use url::Url;

/// A sandbox that holds one system, called `it`.
pub(crate) struct Place {
    sandbox: Sandbox,
    client: reqwest::Client,
}

impl Place {
    /// Serves one system; `kind` is its key in a world file.
    pub(crate) async fn with(kind: &str, system: Value) -> Self {
        let world = json!({ "systems": [{ "name": "it", kind: system }] });
        let world = World::from_json(&serde_json::to_vec(&world).unwrap()).unwrap();
        Self {
            sandbox: Sandbox::start(world, Options::default()).await.unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&self.sandbox.url()).unwrap()
    }

    async fn control(&self, method: reqwest::Method, call: &str, body: Option<Value>) -> Value {
        let url = format!("{}/__sandbox/{call}", self.sandbox.url());
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
        let body = answer.bytes().await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// What was asked since the counters were last read: `GET /path 200` with how often, sorted.
    pub(crate) async fn counted(&self) -> Vec<String> {
        let counts = self.control(reqwest::Method::GET, "requests", None).await;
        self.control(reqwest::Method::DELETE, "requests", None)
            .await;
        let mut lines = Vec::new();
        for route in counts["routes"].as_array().unwrap() {
            for (status, count) in route["statuses"].as_object().unwrap() {
                lines.push(format!(
                    "{count} x {} {} {status}",
                    route["method"].as_str().unwrap(),
                    route["route"].as_str().unwrap()
                ));
            }
        }
        lines.sort();
        lines
    }

    /// The requests so far in order, as the sandbox logged them.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let url = format!("{}/__sandbox/log", self.sandbox.url());
        let text = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The system's state, as in a world file.
    pub(crate) async fn state(&self) -> Value {
        let state = self.control(reqwest::Method::GET, "state", None).await;
        let system = state["systems"][0].as_object().unwrap().clone();
        system.into_iter().find(|(key, _)| key != "name").unwrap().1
    }

    /// Sets fault rules.
    pub(crate) async fn fail(&self, rules: Value) {
        self.control(
            reqwest::Method::PUT,
            "faults",
            Some(json!({ "rules": rules })),
        )
        .await;
    }

    /// Returns when so many requests are held by faults.
    pub(crate) async fn wait_until_held(&self, count: usize) {
        let call = format!("faults?waitHolding={count}");
        self.control(reqwest::Method::GET, &call, None).await;
    }
}

/// Opens a system to look and to write.
pub(crate) fn open(endpoint: Endpoint, keys: &[(&str, &str)]) -> Box<dyn Provider> {
    try_open(endpoint, keys).unwrap_or_else(|error| panic!("{error}: {}", error.cause))
}

/// The same, which may be refused.
pub(crate) fn try_open(
    endpoint: Endpoint,
    keys: &[(&str, &str)],
) -> Result<Box<dyn Provider>, ProviderError> {
    provider(&target(endpoint), &credential(keys), &connect())
}

/// Opens a system to look alone.
pub(crate) fn open_to_look(endpoint: Endpoint, keys: &[(&str, &str)]) -> Box<dyn Observe> {
    observer(&target(endpoint), &credential(keys), &connect())
        .unwrap_or_else(|error| panic!("{error}: {}", error.cause))
}

/// A target with nothing but its endpoint.
pub(crate) fn target(endpoint: Endpoint) -> Target {
    Target {
        id: TargetId {
            namespace: "iam".to_owned(),
            name: "it".to_owned(),
        },
        source: Source {
            file: SourceFile::new("target.yaml"),
            document: 0,
            line: 1,
            kind: "Target".to_owned(),
            namespace: "iam".to_owned(),
            name: "it".to_owned(),
        },
        endpoint,
        credential: "it".to_owned(),
        policy: Policy::default(),
        suspend: false,
        approval: Approval::default(),
        approved_plan: None,
        pace: Pace {
            requests_per_second: 0,
            max_in_flight: 4,
        },
        safety: Thresholds::default(),
        tls: Tls::default(),
        adoption: Adoption::default(),
        drift: Drift::default(),
    }
}

pub(crate) fn credential(keys: &[(&str, &str)]) -> Credential {
    Credential::new("it", "a test", keys.iter().copied())
}

/// Connections that give up soon.
pub(crate) fn connect() -> Connect {
    Connect {
        patience: Patience {
            attempts: 3,
            quota: Duration::from_mins(1),
            quota_delay: Duration::from_millis(1),
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(1),
            ..Patience::default()
        },
        ..Connect::default()
    }
}

pub(crate) fn scope(name: &str) -> ScopeName {
    ScopeName::observed(name)
}

pub(crate) fn scopes<const N: usize>(names: [&str; N]) -> BTreeSet<ScopeName> {
    names.map(scope).into()
}

/// A scope's state: its name, description and roles.
pub(crate) fn state(name: &str, description: &str, roles: &[&str]) -> ScopeState {
    ScopeState {
        name: scope(name),
        display_name: None,
        description: Some(description.to_owned()),
        roles: roles.iter().copied().map(RoleName::new).collect(),
    }
}
