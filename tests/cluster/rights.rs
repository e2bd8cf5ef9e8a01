//! The operator works with the rights that the chart gives it, and with none of them less.
//!
//! A scenario makes the operator do all that it does. It runs once for each verb that the operator's `ServiceAccount` holds,
//! with that verb taken away, and has to break. Several run side by side, each on an API server of its own: an operator
//! says of every object what it takes for wrong with it.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::server::Server;
use crate::support::NO_THRESHOLDS;
use crate::support::{Operator, Space, Systems, within};

/// How many scenarios run side by side.
const LANES: usize = 3;
/// How long each step of one may take: some times what it takes.
const LIMIT: Duration = Duration::from_secs(30);

/// What tells which replica writes.
const LEASE: &str = "lease/scopeward";

/// Where a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole cluster.
    Cluster,
    /// The operator's namespace.
    Operator,
    /// A namespace with credentials.
    Credentials,
}

/// One verb on one resource, or on one object of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    place: Place,
    group: String,
    resource: String,
    name: Option<String>,
    verb: String,
}

impl Right {
    /// As a rule of a role.
    fn rule(&self) -> Value {
        let mut rule = json!({
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": [self.verb],
        });
        if let Some(name) = &self.name {
            rule["resourceNames"] = json!([name]);
        }
        rule
    }

    /// Whether an entry of the audit log is a request that was refused for want of it.
    fn is_missed_by(&self, entry: &Value) -> bool {
        let of = |key: &str| entry["objectRef"][key].as_str().unwrap_or_default();
        let resource = match of("subresource") {
            "" => of("resource").to_owned(),
            part => format!("{}/{part}", of("resource")),
        };
        entry["responseStatus"]["code"] == 403
            && entry["verb"] == self.verb.as_str()
            && of("apiGroup") == self.group
            && resource == self.resource
            && self.name.as_deref().is_none_or(|name| of("name") == name)
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        write!(
            f,
            "{} {} {name} ({:?})",
            self.verb, self.resource, self.place
        )
    }
}

/// Every right that the chart gives the operator.
fn granted(server: &Server) -> Vec<Right> {
    server.kubectl(&["create", "namespace", "granted"]);
    server.rights(Some("granted"));
    let mut all = Vec::new();
    for (place, role) in [
        (Place::Cluster, &["clusterrole/scopeward"][..]),
        (Place::Operator, &["role/scopeward", "-n", "scopeward"]),
        (
            Place::Credentials,
            &["role/scopeward-credentials", "-n", "granted"],
        ),
    ] {
        let arguments = [&["get", "-o", "json"], role].concat();
        let role: Value = serde_json::from_str(&server.kubectl(&arguments)).expect("JSON");
        for rule in role["rules"].as_array().expect("rules") {
            let texts = |key: &str| {
                let list = rule[key].as_array().into_iter().flatten();
                let texts = list.map(|text| text.as_str().expect("a text").to_owned());
                texts.collect::<Vec<String>>()
            };
            let names: Vec<Option<String>> = match texts("resourceNames") {
                none if none.is_empty() => vec![None],
                names => names.into_iter().map(Some).collect(),
            };
            let right = |resource: &String, name: &Option<String>, verb: &String| Right {
                place,
                group: texts("apiGroups")[0].clone(),
                resource: resource.clone(),
                name: name.clone(),
                verb: verb.clone(),
            };
            for resource in texts("resources") {
                for name in &names {
                    let verbs = texts("verbs");
                    all.extend(verbs.iter().map(|verb| right(&resource, name, verb)));
                }
            }
        }
    }
    all
}

/// A `ServiceAccount` that holds these rights, its credentials being those of one namespace.
fn account(name: &str, rights: &[&Right]) -> Value {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let subject = json!([{ "kind": "ServiceAccount", "name": name, "namespace": "scopeward" }]);
    let mut items = vec![json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": name, "namespace": "scopeward" },
    })];
    for (place, kind, namespace) in [
        (Place::Cluster, "ClusterRole", None),
        (Place::Operator, "Role", Some("scopeward")),
        (Place::Credentials, "Role", Some(name)),
    ] {
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace);
        }
        let rules = rights.iter().filter(|right| right.place == place);
        items.push(json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": kind,
            "metadata": metadata,
            "rules": rules.map(|right| right.rule()).collect::<Vec<_>>(),
        }));
        items.push(json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": { "apiGroup": GROUP, "kind": kind, "name": name },
            "subjects": subject,
        }));
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// One run of the scenario.
struct Case<'a> {
    space: Space<'a>,
    operator: Operator,
}

impl Case<'_> {
    /// The namespace that has the binding.
    fn other(&self) -> String {
        format!("{}-other", self.space.name)
    }

    /// Waits until an object of a namespace is as declared.
    async fn is_synced(&self, namespace: &str, object: &str) -> Result<(), String> {
        within(LIMIT, async || {
            let arguments = ["get", "-n", namespace, object, "-o", "json"];
            let text = self.space.server.kubectl(&arguments);
            let seen: Value = serde_json::from_str(&text).expect("JSON");
            let conditions = seen["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            let is_synced = conditions.any(|c| c["type"] == "Synced" && c["status"] == "True");
            if is_synced && seen["status"]["observedGeneration"] == seen["metadata"]["generation"] {
                Ok(())
            } else {
                Err(format!("{object} is not as declared: {}", seen["status"]))
            }
        })
        .await
    }

    /// All that an operator does.
    async fn run(&self) -> Result<(), String> {
        self.creates().await?;
        self.follows_namespaces().await?;
        self.updates().await?;
        self.takes_a_new_secret().await?;
        self.deletes().await?;
        self.keeps_its_lease().await
    }

    async fn creates(&self) -> Result<(), String> {
        let space = &self.space;
        within(LIMIT, async || match self.operator.get("/readyz").await? {
            (200, _) => Ok(()),
            (_, text) => Err(format!("not ready: {text}")),
        })
        .await?;
        // Whatever is made from here on is seen by a watch alone.
        let name = &space.name;
        let allowed = format!(
            "allowedBindings: {{ from: Selector, selector: {{ matchLabels: {{ team: {name} }} }} }}, {NO_THRESHOLDS}"
        );
        space.secret("ws02Secret");
        space.target(&allowed);
        space.one_login();
        let other = self.other();
        let mut all = format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders, namespace: {name} }}\n\
             spec: {{ targetRefs: [{{ name: onelogin }}], description: Orders }}\n---\n\
             apiVersion: scopeward.dev/v1alpha1\nkind: AppScopeSet\nmetadata: {{ name: shop, namespace: {name} }}\n\
             spec: {{ targetRef: {{ name: onelogin }}, app: {{ oneLogin: {{ appId: 1 }} }}, scopes: [orders] }}\n---\n\
             apiVersion: scopeward.dev/v1alpha1\nkind: ScopeBinding\nmetadata: {{ name: reads, namespace: {other} }}\n\
             spec: {{ scopeRef: {{ name: reads, namespace: {name} }}, roles: [support] }}\n"
        );
        all += &space.scope("reads", "bindings: [sales]");
        all += &space.scope("gone", "");
        // So much at once needs a ConfigMap beside the head for a while.
        let long = format!("displayName: \"{}\"", "long".repeat(50));
        for n in 0..40 {
            all += &space.scope(&format!("many-{n}"), &long);
        }
        space.server.apply(&all);
        for object in [
            "target/wso2",
            "target/onelogin",
            "scope/reads",
            "scope/many-39",
            "appscopeset/shop",
        ] {
            self.is_synced(name, object).await?;
        }
        let head = space.status("target/wso2")["inventory"]["name"].clone();
        let head = head.as_str().expect("a ledger").to_owned();
        within(LIMIT, async || {
            let all = space
                .server
                .kubectl(&["get", "configmap", "-n", "scopeward", "-o", "name"]);
            let of_it = all.lines().filter(|line| line.contains(&head)).count();
            if of_it == 1 {
                Ok(())
            } else {
                Err(format!("{of_it} ConfigMaps are left: {all}"))
            }
        })
        .await
    }

    async fn follows_namespaces(&self) -> Result<(), String> {
        let team = format!("team={}", self.space.name);
        let other = self.other();
        self.space
            .server
            .kubectl(&["label", "namespace", &other, &team]);
        self.is_synced(&other, "scopebinding/reads").await
    }

    async fn updates(&self) -> Result<(), String> {
        let space = &self.space;
        for (roles, role) in [
            ("sales, audit", "audit"),
            ("sales, audit, finance", "finance"),
        ] {
            space
                .server
                .apply(&space.scope("reads", &format!("bindings: [{roles}]")));
            within(LIMIT, async || {
                let live = space.systems.state("wso2").await.to_string();
                if live.contains(role) {
                    Ok(())
                } else {
                    Err(format!("{role} is not live"))
                }
            })
            .await?;
        }
        within(LIMIT, async || {
            let arguments = [
                "get",
                "events.events.k8s.io",
                "-n",
                &space.name,
                "-o",
                "json",
            ];
            let text = space.server.kubectl(&arguments);
            let seen: Value = serde_json::from_str(&text).expect("JSON");
            let events = seen["items"].as_array().expect("a list");
            let mut updated = events.iter().filter(|event| event["reason"] == "Updated");
            if updated.any(|event| event["series"]["count"].as_i64() >= Some(2)) {
                Ok(())
            } else {
                Err(format!(
                    "no event counts both updates: {} events",
                    events.len()
                ))
            }
        })
        .await
    }

    async fn takes_a_new_secret(&self) -> Result<(), String> {
        self.space.secret("wr0ng");
        within(LIMIT, async || {
            match self.space.reason("target/wso2", "Stalled").as_str() {
                "Unauthenticated" => Ok(()),
                _ => Err("the new Secret was not used".to_owned()),
            }
        })
        .await?;
        self.space.secret("ws02Secret");
        self.is_synced(&self.space.name, "target/wso2").await
    }

    async fn deletes(&self) -> Result<(), String> {
        self.space.delete("scope/gone");
        within(LIMIT, async || {
            let names = self.space.systems.names("wso2").await;
            if names.iter().any(|name| name == "gone") {
                Err("what is gone is live still".to_owned())
            } else {
                Ok(())
            }
        })
        .await
    }

    async fn keeps_its_lease(&self) -> Result<(), String> {
        within(LIMIT, async || {
            let arguments = ["get", "-n", "scopeward", LEASE, "-o", "json"];
            let text = self.space.server.kubectl_may_fail(&arguments)?;
            let seen: Value = serde_json::from_str(&text).expect("JSON");
            if seen["spec"]["renewTime"] == seen["spec"]["acquireTime"] {
                Err("the lease was never renewed".to_owned())
            } else {
                Ok(())
            }
        })
        .await
    }

    /// Leaves nothing that the next one on this API server would follow.
    fn end(mut self) {
        self.operator.kill();
        let server = self.space.server;
        server.kubectl(&["delete", "-n", "scopeward", LEASE, "--ignore-not-found"]);
        let other = self.other();
        for namespace in [&self.space.name, &other] {
            for kind in ["scopebindings,appscopesets,scopes", "targets"] {
                server.kubectl(&["delete", kind, "-n", namespace, "--all"]);
            }
        }
    }
}

/// The last lines of a log, but for what was written.
fn tail(log: &str) -> String {
    let lines = log.lines().rev().filter(|line| !line.contains("\"audit\""));
    let lines: Vec<&str> = lines.take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Runs the scenario with all rights but one, and says what is wrong with that right, if so.
async fn fault(
    server: &Server,
    number: usize,
    granted: &[Right],
    missing: Option<&Right>,
) -> Option<String> {
    let name = format!("right-{number}");
    for namespace in [name.clone(), format!("{name}-other")] {
        server.kubectl(&["create", "namespace", &namespace]);
    }
    let held = granted.iter().filter(|right| Some(*right) != missing);
    let held: Vec<&Right> = held.collect();
    server.apply(&account(&name, &held).to_string());
    let token = server.token_of("scopeward", &name);
    let kubeconfig = server.kubeconfig(&name, &server.url(), &server.authority(), &token);
    let case = Case {
        operator: Operator::start(&kubeconfig, &[]),
        space: Space {
            server,
            name: name.clone(),
            systems: Systems::start("").await,
        },
    };
    let ended = case.run().await;
    let log = case.operator.log();
    case.end();
    match (missing, ended) {
        (None, Ok(())) => None,
        (None, Err(why)) => Some(format!("with all rights: {why}\n{}", tail(&log))),
        (Some(right), Ok(())) => Some(format!("nothing needs {right}")),
        (Some(right), Err(why)) => {
            let asked = server.asked("scopeward", &name);
            // Whatever else breaks it proves nothing.
            let is_it = asked.iter().any(|entry| right.is_missed_by(entry));
            (!is_it).then(|| format!("{right} was never refused, and yet: {why}\n{}", tail(&log)))
        }
    }
}

/// Runs the scenario with all rights, and with all but each of those that are chosen.
async fn try_each(is_chosen: fn(&Right) -> bool) {
    let servers: Vec<Server> = join_all((0..LANES).map(|_| Server::start())).await;
    for server in &servers {
        server.kubectl(&["create", "namespace", "scopeward"]);
    }
    let granted = granted(&servers[0]);
    let chosen = granted.iter().filter(|right| is_chosen(right));
    let cases: Vec<_> = [None].into_iter().chain(chosen.map(Some)).collect();
    assert!(cases.len() > LANES, "{granted:#?}");
    let cases = Mutex::new(cases.into_iter().enumerate());
    let runtime = tokio::runtime::Handle::current();
    let lane = |server: &Server| {
        let mut faults = Vec::new();
        loop {
            let next = cases.lock().expect("no panic").next();
            let Some((number, missing)) = next else {
                return faults;
            };
            faults.extend(runtime.block_on(fault(server, number, &granted, missing)));
        }
    };
    // A thread each, since kubectl is waited for.
    let faults: Vec<String> = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let lane = &lane;
            let begin = |server| scope.spawn(move || lane(server));
            let lanes: Vec<_> = servers.iter().map(begin).collect();
            let ended = lanes.into_iter().map(|lane| lane.join().expect("no panic"));
            ended.flatten().collect()
        })
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_needs_the_rights_that_are_used_least() {
    try_each(|right| {
        matches!(
            (right.verb.as_str(), right.resource.as_str()),
            ("delete", "configmaps")
                | ("patch", "events")
                | ("watch", "namespaces")
                | ("update", "leases")
        ) || right.name.as_deref() == Some("scopebindings.scopeward.dev")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: one operator for each right; `make cluster-rights` runs it"]
async fn the_operator_needs_every_right_that_the_chart_gives_it() {
    try_each(|_| true).await;
}
