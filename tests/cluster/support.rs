//! A namespace with live systems behind it, and an operator over the cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use scopeward_sandbox::{Options, Sandbox, World};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::server::{Process, Server};

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Target whose thresholds stop nothing: what is shown holds by itself.
pub(crate) const NO_THRESHOLDS: &str =
    "safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }";

/// The operator as a process.
pub(crate) struct Operator {
    process: Option<Process>,
    command: Command,
    log: PathBuf,
    /// Where it serves metrics and health.
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Operator {
    /// Starts one in the namespace `scopeward`, with what a kubeconfig allows it, over Targets on this machine.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["--allow-loopback"], arguments].concat();
        Self::logging(kubeconfig, &arguments, "info,reconcile=debug")
    }

    /// The same with no more than these arguments, and with another log.
    pub(crate) fn logging(kubeconfig: &Path, arguments: &[&str], logged: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = crate::server::free_port();
        let log = folder.path().join("operator.log");
        let program = std::env::var_os("SCOPEWARD");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_scopeward").into());
        let mut command = Command::new(program);
        command
            .args(["operator", "--namespace", "scopeward"])
            .args(["--deletion-delay", "2s", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("SCOPEWARD_LOG", logged);
        let mut operator = Self {
            process: None,
            command,
            log,
            port,
            _folder: folder,
        };
        operator.go_on();
        operator
    }

    /// Starts it, anew where it was killed.
    pub(crate) fn go_on(&mut self) {
        self.process = Some(Process::start(&self.command, &self.log));
    }

    /// Kills it, as a machine that loses power does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub(crate) fn signal(&mut self, name: &str) {
        self.process.as_mut().expect("it runs").signal(name);
    }

    /// What it has logged since it was started last.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it serves.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.unwrap_or_default()))
    }

    /// A figure that it serves; 0 where there is none yet.
    pub(crate) async fn figure(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").await.expect("metrics");
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_default()
    }

    /// Whether it writes.
    pub(crate) async fn leads(&self) -> bool {
        self.figure("scopeward_is_leader ").await > 0.0
    }
}

/// An API server with an operator over it, and the namespace `scopeward`.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) operator: Operator,
}

impl Cluster {
    /// One of its own, for a test that stops or breaks something.
    pub(crate) async fn start() -> Self {
        let server = Server::start().await;
        server.kubectl(&["create", "namespace", "scopeward"]);
        let operator = Operator::start(&operators_kubeconfig(&server), &[]);
        Self { server, operator }
    }

    /// The one that tests share, each in a namespace of its own.
    pub(crate) async fn shared() -> Arc<Self> {
        static SHARED: OnceCell<Arc<Cluster>> = OnceCell::const_new();
        let start = async || Arc::new(Self::start().await);
        Arc::clone(SHARED.get_or_init(start).await)
    }
}

/// The kubeconfig of the chart's own `ServiceAccount`, with the rights that the chart gives it.
pub(crate) fn operators_kubeconfig(server: &Server) -> PathBuf {
    server.rights(None);
    let token = server.token_of("scopeward", "scopeward");
    server.kubeconfig("operator", &server.url(), &server.authority(), &token)
}

/// A write that a system behind the operator was asked for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Written {
    /// When it was made.
    pub(crate) time: Timestamp,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    /// What was answered; `None` where the connection was cut.
    pub(crate) status: Option<u16>,
    #[serde(default)]
    token: bool,
}

impl Written {
    /// The scope that it made, if it did.
    pub(crate) fn created(&self) -> Option<String> {
        let is_done = self.status.is_some_and(|status| status < 300);
        let body = self
            .body
            .as_ref()
            .filter(|_| self.method == "POST" && is_done)?;
        let body: Value = serde_json::from_str(body).ok()?;
        let name = body["name"].as_str().or(body["value"].as_str());
        name.map(str::to_owned)
    }
}

/// Systems behind the operator, served by the test: `wso2` and `onelogin`.
pub(crate) struct Systems {
    _sandbox: Sandbox,
    pub(crate) url: String,
    client: reqwest::Client,
}

/// What exists at first, with further members of the WSO2 server.
fn world(wso2: &str) -> String {
    format!(
        r"
systems:
  - name: wso2
    wso2: {{ users: [{{ username: admin, password: ws02Secret }}], {wso2} }}
  - name: onelogin
    oneLogin:
      credentials: [{{ clientId: id, clientSecret: 0neL0ginSecret }}]
      authorizationServers:
        - {{ id: 7, name: Orders, audiences: [x], scopes: [], clients: [{{ appId: 1, name: Shop, scopes: [] }}] }}
      apps: [{{ id: 1, name: Shop }}]
"
    )
}

impl Systems {
    /// Serves them.
    pub(crate) async fn start(wso2: &str) -> Self {
        let text = world(wso2);
        let world = World::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let sandbox = Sandbox::start(world, Options::default()).await;
        let sandbox = sandbox.expect("a sandbox");
        let url = sandbox.url().trim_end_matches('/').to_owned();
        Self {
            _sandbox: sandbox,
            url,
            client: reqwest::Client::new(),
        }
    }

    async fn control(&self, call: &str) -> Value {
        let url = format!("{}/__sandbox/{call}", self.url);
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// A system's state.
    pub(crate) async fn state(&self, system: &str) -> Value {
        let state = self.control("state").await;
        let systems = state["systems"].as_array().expect("systems");
        let found = systems.iter().find(|found| found["name"] == system);
        let members = found.and_then(Value::as_object).expect("a system");
        let state = members.iter().find(|(key, _)| *key != "name");
        state.expect("its state").1.clone()
    }

    /// The live scopes of a system.
    pub(crate) async fn scopes(&self, system: &str) -> Vec<Value> {
        let state = self.state(system).await;
        let lists = [
            &state["scopes"],
            &state["authorizationServers"][0]["scopes"],
        ];
        let found = lists.iter().filter_map(|list| list.as_array()).flatten();
        found.cloned().collect()
    }

    /// Their names, sorted.
    pub(crate) async fn names(&self, system: &str) -> Vec<String> {
        let scopes = self.scopes(system).await;
        let name = |scope: &Value| {
            let name = scope["name"].as_str().or(scope["value"].as_str());
            name.map(str::to_owned)
        };
        let mut names: Vec<String> = scopes.iter().filter_map(name).collect();
        names.sort();
        names
    }

    /// Waits until they are these.
    pub(crate) async fn comes_to(&self, system: &str, wanted: &[&str]) {
        eventually("the live scopes", async || {
            let seen = self.names(system).await;
            same(&seen, wanted)
        })
        .await;
    }

    /// The writes that were sent, in the order in which they arrived.
    pub(crate) async fn log_of_writes(&self) -> Vec<Written> {
        let url = format!("{}/__sandbox/log", self.url);
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("JSON lines");
        let read = |line| serde_json::from_str(line).expect("a request");
        let all = text.lines().map(read);
        all.filter(|written: &Written| written.method != "GET" && !written.token)
            .collect()
    }

    /// How often each scope was made.
    pub(crate) async fn made(&self) -> BTreeMap<String, usize> {
        let mut made = BTreeMap::new();
        let writes = self.log_of_writes().await;
        for name in writes.iter().filter_map(Written::created) {
            *made.entry(name).or_default() += 1;
        }
        made
    }

    /// Every write is answered so much later from here on.
    pub(crate) async fn slow(&self, milliseconds: u64) {
        self.faults(json!([{ "write": true, "fault": { "latency": { "ms": milliseconds } } }]))
            .await;
    }

    /// How many writes were sent.
    pub(crate) async fn writes(&self) -> u64 {
        self.control("requests").await["writes"]
            .as_u64()
            .expect("a number")
    }

    /// The requests that were sent, in the order in which they arrived.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let url = format!("{}/__sandbox/log", self.url);
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("JSON lines");
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a request"))
            .collect()
    }

    /// The bodies of the requests of a method.
    pub(crate) async fn bodies(&self, method: &str) -> Vec<String> {
        let log = self.log().await;
        let of_it = log.iter().filter(|entry| entry["method"] == method);
        let bodies = of_it.filter_map(|entry| entry["body"].as_str().map(str::to_owned));
        bodies.collect()
    }

    /// How many requests were sent.
    pub(crate) async fn requests(&self) -> u64 {
        self.control("requests").await["total"]
            .as_u64()
            .expect("a number")
    }

    /// Has requests go wrong from now on, as the sandbox's rules say; none ends that.
    pub(crate) async fn faults(&self, rules: Value) {
        let url = format!("{}/__sandbox/faults", self.url);
        let body = json!({ "rules": rules });
        let answer = self.client.put(url).json(&body).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{status}: {said}");
    }

    /// Somebody else's change of the system `wso2`.
    pub(crate) async fn drift(&self, change: Value) {
        let mut body = json!({ "system": "wso2" });
        if let (Value::Object(all), Value::Object(change)) = (&mut body, change) {
            all.extend(change);
        }
        let url = format!("{}/__sandbox/drift", self.url);
        let answer = self
            .client
            .post(url)
            .json(&body)
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        assert!(
            status.is_success(),
            "{status}: {}",
            answer.text().await.unwrap_or_default()
        );
    }
}

/// Whether what was seen is what is wanted.
pub(crate) fn same<T: PartialEq<U> + std::fmt::Debug, U>(
    seen: &[T],
    wanted: &[U],
) -> Result<(), String> {
    let is_same = seen.len() == wanted.len() && seen.iter().zip(wanted).all(|(a, b)| a == b);
    if is_same {
        Ok(())
    } else {
        Err(format!("{seen:?}"))
    }
}

/// A namespace with Targets that lead to systems of its own.
pub(crate) struct Space<'a> {
    pub(crate) server: &'a Server,
    pub(crate) name: String,
    pub(crate) systems: Systems,
}

impl<'a> Space<'a> {
    /// The namespace, with a Target `wso2` whose spec has further members.
    pub(crate) async fn new(server: &'a Server, name: &str, more: &str) -> Self {
        Self::over(server, name, more, Systems::start("").await)
    }

    /// The same over systems that are there.
    pub(crate) fn over(server: &'a Server, name: &str, more: &str, systems: Systems) -> Self {
        server.kubectl(&["create", "namespace", name]);
        server.rights(Some(name));
        let space = Self {
            server,
            name: name.to_owned(),
            systems,
        };
        space.secret("ws02Secret");
        space.target(more);
        space
    }

    /// The credential of the Target `wso2`.
    pub(crate) fn secret(&self, password: &str) {
        let (name, url) = (&self.name, &self.systems.url);
        self.server.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: wso2, namespace: {name} }}\n\
             stringData: {{ username: admin, password: {password}, url: \"{url}/@wso2\" }}\n"
        ));
    }

    /// The Target `wso2`.
    pub(crate) fn target(&self, more: &str) {
        let (name, url) = (&self.name, &self.systems.url);
        self.server.apply(&format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: wso2, namespace: {name} }}\n\
             spec: {{ wso2: {{ url: \"{url}/@wso2\", api: ScopeRegistration }}, credentialsRef: {{ name: wso2 }}, {more} }}\n"
        ));
    }

    /// The Target `onelogin` and its credential.
    pub(crate) fn one_login(&self) {
        let (name, url) = (&self.name, &self.systems.url);
        self.server.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: onelogin, namespace: {name} }}\n\
             stringData: {{ clientId: id, clientSecret: 0neL0ginSecret, url: \"{url}/@onelogin\" }}\n---\n\
             apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: onelogin, namespace: {name} }}\n\
             spec: {{ oneLogin: {{ url: \"{url}/@onelogin\", authorizationServer: {{ id: 7 }} }}, credentialsRef: {{ name: onelogin }} }}\n"
        ));
    }

    /// A Scope on the Target `wso2`, with further members of its spec.
    pub(crate) fn scope(&self, name: &str, more: &str) -> String {
        let namespace = &self.name;
        format!(
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
             spec: {{ targetRefs: [{{ name: wso2 }}], description: \"A {name}\", {more} }}\n"
        )
    }

    /// Applies Scopes of these names.
    pub(crate) fn scopes(&self, names: &[&str]) {
        let all: String = names.iter().map(|name| self.scope(name, "")).collect();
        self.server.apply(&all);
    }

    /// Creates Scopes on a Target, many at once.
    pub(crate) async fn create_scopes(&self, target: &str, names: impl Iterator<Item = String>) {
        let kind = GroupVersionKind::gvk("scopeward.dev", "v1alpha1", "Scope");
        let resource = ApiResource::from_gvk(&kind);
        let client = self.server.client().await;
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.name, &resource);
        let created = futures::stream::iter(names).for_each_concurrent(32, async |name| {
            let spec = json!({ "targetRefs": [{ "name": target }], "description": "One of many" });
            let object = DynamicObject::new(&name, &resource).data(json!({ "spec": spec }));
            let made = api.create(&PostParams::default(), &object).await;
            made.unwrap_or_else(|error| panic!("{name}: {error}"));
        });
        created.await;
    }

    /// Takes an object away.
    pub(crate) fn delete(&self, object: &str) {
        self.server
            .kubectl(&["delete", "-n", &self.name, object, "--wait=true"]);
    }

    /// Takes all Scopes away, and waits until nothing is left live: all of it was ours.
    pub(crate) async fn empties(&self) {
        let arguments = ["delete", "scopes", "-n", &self.name, "--all"];
        self.server.kubectl(&arguments);
        eventually_within(Duration::from_mins(2), "nothing is left", async || {
            same::<_, String>(&self.systems.names("wso2").await, &[])
        })
        .await;
    }

    /// Waits for a condition as its user does, such as `Ready` or `Stalled`.
    pub(crate) fn wait(&self, object: &str, condition: &str) {
        let wanted = format!("--for=condition={condition}");
        let arguments = ["wait", "-n", &self.name, object, &wanted, "--timeout=60s"];
        if let Err(error) = self.server.kubectl_may_fail(&arguments) {
            panic!("{object} {condition}: {error}\n{}", self.yaml(object));
        }
    }

    /// An object as kubectl shows it.
    pub(crate) fn yaml(&self, object: &str) -> String {
        self.server
            .kubectl(&["get", "-n", &self.name, object, "-o", "yaml"])
    }

    /// An object.
    pub(crate) fn object(&self, object: &str) -> Value {
        let arguments = ["get", "-n", &self.name, object, "-o", "json"];
        serde_json::from_str(&self.server.kubectl(&arguments)).expect("JSON")
    }

    /// An object's status.
    pub(crate) fn status(&self, object: &str) -> Value {
        self.object(object)["status"].clone()
    }

    /// The reason of a condition.
    pub(crate) fn reason(&self, object: &str, condition: &str) -> String {
        let status = self.status(object);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|found| found["type"] == condition);
        let reason = found.and_then(|found| found["reason"].as_str());
        reason.unwrap_or_default().to_owned()
    }

    /// Waits until a condition has a reason.
    pub(crate) async fn comes_to_reason(&self, object: &str, condition: &str, wanted: &str) {
        eventually(&format!("{object} {condition}"), async || {
            let seen = self.reason(object, condition);
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{seen}\n{}", self.yaml(object)))
            }
        })
        .await;
    }

    /// Asks for a run now, and waits until it is through.
    pub(crate) async fn run_now(&self) {
        let at = jiff::Timestamp::now().to_string();
        let annotation = format!("scopeward.dev/reconcile-requested-at={at}");
        let arguments = [
            "annotate",
            "-n",
            &self.name,
            "--overwrite",
            "target/wso2",
            &annotation,
        ];
        self.server.kubectl(&arguments);
        eventually("the run that was asked for", async || {
            let status = self.status("target/wso2");
            if status["lastHandledReconcileAt"] == at {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    }
}

/// Tells what was measured, for `--nocapture`.
#[expect(clippy::print_stdout, reason = "a test's own words are captured")]
pub(crate) fn told(figures: &str) {
    println!("{figures}");
}

/// Waits until something holds, and says what was seen last where it does not.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    match within(PATIENCE, look).await {
        Ok(found) => found,
        Err(seen) => panic!("{what}: {seen}"),
    }
}

/// The same with another patience.
pub(crate) async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    match within(patience, look).await {
        Ok(found) => found,
        Err(seen) => panic!("{what}: {seen}"),
    }
}

/// Waits until something holds, but no longer than that, and gives what was seen last where it does not.
pub(crate) async fn within<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Err(_) if Instant::now() < deadline => {}
            seen => return seen,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
