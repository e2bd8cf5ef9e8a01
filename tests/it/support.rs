//! The real binary against live systems: a folder of manifests, a sandbox in this process, and what became of both.
//!
//! A test reads as state before, command, exit code, state after:
//!
//! ```text
//! let case = Case::of([one_login("scopes: [{ id: 1, value: a, description: A }]")]);
//! case.write("scopes.yaml", scope("onelogin", "b", "description: B"));
//! case.sync(&["--new-inventory"]).exits(DONE);
//! assert_eq!(case.scopes(), ["a", "b"]);
//! ```
//!
//! Everything here blocks, so that a test is a plain function; the sandbox is served by a thread of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use scopeward_sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) mod approved;
#[cfg(unix)]
pub(crate) mod busy;
pub(crate) mod manifest;
pub(crate) mod place;
#[cfg(unix)]
pub(crate) mod terminal;
#[cfg(unix)]
pub(crate) mod trouble;

pub(crate) use manifest::{app, binding, key, scope};
pub(crate) use place::{Place, apigee, apigee_shop, one_login, publisher, wso2};

/// The exit codes, as `--help` lists them.
pub(crate) const DONE: i32 = 0;
pub(crate) const FAILED: i32 = 1;
pub(crate) const CHANGES: i32 = 2;
pub(crate) const REFUSED: i32 = 3;
pub(crate) const STALE: i32 = 4;
pub(crate) const PARTIAL: i32 = 5;
pub(crate) const USAGE: i32 = 64;

/// A folder of manifests and the systems that they are for.
pub(crate) struct Case {
    folder: TempDir,
    places: Vec<Place>,
    sandbox: Option<Sandbox>,
    url: String,
    runtime: Runtime,
    client: reqwest::Client,
    reports: AtomicUsize,
}

impl Case {
    /// Serves the systems, and writes a Target for each into `targets/NAME.yaml`.
    pub(crate) fn of(places: impl IntoIterator<Item = Place>) -> Self {
        let places: Vec<Place> = places.into_iter().collect();
        let mut text = "systems:\n".to_owned();
        for place in &places {
            writeln!(text, "  - {{ name: {}, {} }}", place.name, place.world).unwrap();
        }
        if places.is_empty() {
            text.insert_str("systems:".len(), " []");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let world = World::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let sandbox = runtime
            .block_on(Sandbox::start(world, Options::default()))
            .unwrap();
        let case = Self {
            folder: tempfile::tempdir().unwrap(),
            url: sandbox.url(),
            sandbox: Some(sandbox),
            places,
            runtime,
            client: reqwest::Client::new(),
            reports: AtomicUsize::new(0),
        };
        for place in &case.places {
            case.target(&place.name, "");
        }
        case
    }

    /// The folder that commands run in.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a system stands.
    pub(crate) fn url_of(&self, system: &str) -> String {
        format!("{}/@{system}", self.url)
    }

    /// Writes the Target of a system, with further members of its spec.
    pub(crate) fn target(&self, system: &str, more: &str) {
        self.write(
            &format!("targets/{system}.yaml"),
            self.target_manifest(system, system, more),
        );
    }

    /// A Target called `name` for a system.
    pub(crate) fn target_manifest(&self, system: &str, name: &str, more: &str) -> String {
        let place = self.place(system);
        let endpoint = place.endpoint.replace("{url}", &self.url_of(system));
        manifest::document(
            "Target",
            name,
            &format!(
                "{endpoint}, credentialsRef: {{ name: {system} }}, limits: {{ requestsPerSecond: 0 }}, {more}"
            ),
        )
    }

    fn place(&self, system: &str) -> &Place {
        let found = self.places.iter().find(|place| place.name == system);
        found.unwrap_or_else(|| panic!("no system is called {system:?}"))
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, file: &str, text: impl AsRef<str>) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.as_ref()).unwrap();
    }

    /// Removes a file of the folder.
    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    /// Moves a file within the folder.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let to = self.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.path().join(from), to).unwrap();
    }

    /// The text of a file of the folder.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    // Commands.

    /// `scopeward ARGS` as a process that was not started yet, with nothing at all in its environment.
    pub(crate) fn bare_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scopeward"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same with the credentials in its environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare_command(args);
        for place in &self.places {
            let name = place.name.to_uppercase();
            command.env(format!("SCOPEWARD_{name}_URL"), self.url_of(&place.name));
            for (key, value) in &place.credential {
                command.env(format!("SCOPEWARD_{name}_{key}"), value);
            }
        }
        command
    }

    /// Starts a command; `input` is its standard input.
    pub(crate) fn start(&self, args: &[&str], input: Option<&str>) -> Running {
        let mut all: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut report = None;
        if matches!(args.first(), Some(&("plan" | "apply" | "sync"))) {
            let number = self.reports.fetch_add(1, Ordering::Relaxed);
            let file = self.path().join(format!(".report-{number}.json"));
            all.extend(["-o".into(), "text".into(), "-o".into()]);
            all.push(format!("json={}", file.display()));
            report = Some(file);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut command = self.command(&all);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // A command that ends before it reads is the test's to judge by its exit code.
            let _ = stdin.write_all(input.as_bytes());
        }
        Running {
            child,
            report,
            words: args.join(" "),
        }
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.start(args, None).finish()
    }

    /// Runs a command to its end, with this standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        self.start(args, Some(input)).finish()
    }

    /// `scopeward sync . --yes MORE`
    pub(crate) fn sync(&self, more: &[&str]) -> Ran {
        self.run(&[&["sync", ".", "--yes"], more].concat())
    }

    /// `scopeward apply . --yes MORE`
    pub(crate) fn apply(&self, more: &[&str]) -> Ran {
        self.run(&[&["apply", ".", "--yes"], more].concat())
    }

    /// `scopeward plan . MORE`
    pub(crate) fn plan(&self, more: &[&str]) -> Ran {
        self.run(&[&["plan", "."], more].concat())
    }

    /// Starts an inventory with what the manifests say now, which has to succeed; then counts from zero.
    pub(crate) fn first_sync(&self) -> Ran {
        let ran = self.sync(&["--new-inventory"]).exits(DONE);
        self.forget_requests();
        ran
    }

    // The systems.

    fn control(&self, method: Method, call: &str, body: Option<Value>) -> String {
        let url = format!("{}/__sandbox/{call}", self.url);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(status.is_success(), "{call}: {text}");
            text
        })
    }

    fn control_json(&self, call: &str) -> Value {
        serde_json::from_str(&self.control(Method::GET, call, None)).unwrap()
    }

    /// A system's state, in the form of a world file.
    pub(crate) fn state(&self, system: &str) -> Value {
        let state = self.control_json("state");
        let systems = state["systems"].as_array().unwrap();
        let found = systems.iter().find(|found| found["name"] == system);
        let members = found.unwrap().as_object().unwrap();
        members
            .iter()
            .find(|(key, _)| *key != "name")
            .unwrap()
            .1
            .clone()
    }

    fn only(&self) -> &str {
        assert_eq!(self.places.len(), 1, "say which system is meant");
        &self.places[0].name
    }

    fn scope_objects(&self, system: &str) -> Vec<Value> {
        let state = self.state(system);
        let lists = [
            &state["authorizationServers"][0]["scopes"],
            &state["scopes"],
            &state["sharedScopes"],
        ];
        let found = lists.iter().filter_map(|list| list.as_array());
        found.flatten().cloned().collect()
    }

    /// The names of the scopes of a system, sorted.
    pub(crate) fn scopes_of(&self, system: &str) -> Vec<String> {
        let objects = self.scope_objects(system);
        let mut names: Vec<String> = objects.iter().map(name_of).collect();
        names.sort();
        names
    }

    /// The names of the scopes of the only system, sorted.
    pub(crate) fn scopes(&self) -> Vec<String> {
        self.scopes_of(self.only())
    }

    /// A scope of a system: its members in a world file.
    pub(crate) fn scope_of(&self, system: &str, name: &str) -> Value {
        let objects = self.scope_objects(system);
        let found = objects.into_iter().find(|object| name_of(object) == name);
        found.unwrap_or_else(|| panic!("{system} has no scope {name:?}"))
    }

    /// A scope of the only system.
    pub(crate) fn scope(&self, name: &str) -> Value {
        self.scope_of(self.only(), name)
    }

    /// The roles of a scope of the only system, sorted.
    pub(crate) fn roles(&self, name: &str) -> Vec<String> {
        texts(&self.scope(name)["bindings"])
    }

    /// What each app of a system holds: on OneLogin by app id, on Apigee by app and key; names sorted.
    pub(crate) fn apps_of(&self, system: &str) -> BTreeMap<String, Vec<String>> {
        let state = self.state(system);
        let server = &state["authorizationServers"][0];
        let name = |id: &Value| {
            let scopes = server["scopes"].as_array().unwrap();
            name_of(scopes.iter().find(|scope| scope["id"] == *id).unwrap())
        };
        let mut apps = BTreeMap::new();
        for client in server["clients"].as_array().into_iter().flatten() {
            let ids = client["scopes"].as_array().into_iter().flatten();
            let mut names: Vec<String> = ids.map(name).collect();
            names.sort();
            apps.insert(client["appId"].to_string(), names);
        }
        let holders = ["developers", "companies", "appGroups"];
        for holder in holders
            .iter()
            .filter_map(|kind| state[kind].as_array())
            .flatten()
        {
            for app in holder["apps"].as_array().into_iter().flatten() {
                for key in app["keys"].as_array().into_iter().flatten() {
                    let path = format!(
                        "{}/{}",
                        app["name"].as_str().unwrap(),
                        key["consumerKey"].as_str().unwrap()
                    );
                    apps.insert(path, texts(&key["scopes"]));
                }
            }
        }
        apps
    }

    /// What an app of the only system holds, sorted.
    pub(crate) fn app(&self, app: &str) -> Vec<String> {
        let mut apps = self.apps_of(self.only());
        apps.remove(app)
            .unwrap_or_else(|| panic!("there is no app {app:?}"))
    }

    /// A change behind our back; the system may be left out where there is one.
    pub(crate) fn drift(&self, change: Value) {
        self.control(Method::POST, "drift", Some(change));
    }

    /// The faults from now on.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that a test writes the rules where it passes them"
    )]
    pub(crate) fn fail(&self, rules: Value) {
        self.control(Method::PUT, "faults", Some(json!({ "rules": rules })));
    }

    /// Ends the faults, and lets go of what they hold.
    pub(crate) fn heal(&self) {
        self.control(Method::DELETE, "faults", None);
    }

    /// Returns when a request is held by a fault.
    pub(crate) fn wait_until_held(&self) {
        self.control(Method::GET, "faults?waitHolding=1", None);
    }

    /// Returns when no request is held any more, because those who sent them are gone.
    pub(crate) fn wait_until_let_go(&self) {
        while self.control_json("faults")["holding"] != 0 {
            std::thread::yield_now();
        }
    }

    /// The writes since the counters were at zero.
    pub(crate) fn writes(&self) -> u64 {
        self.control_json("requests")["writes"].as_u64().unwrap()
    }

    /// The requests of one system since the counters were at zero, tokens' included.
    pub(crate) fn requests_of(&self, system: &str) -> u64 {
        let counted = self.control_json("requests");
        let routes = counted["routes"].as_array().unwrap();
        let of_system = routes.iter().filter(|route| route["system"] == system);
        of_system
            .map(|route| route["count"].as_u64().unwrap())
            .sum()
    }

    /// All requests since the counters were at zero, tokens' included.
    pub(crate) fn requests(&self) -> u64 {
        self.control_json("requests")["total"].as_u64().unwrap()
    }

    /// Sets the counters to zero.
    pub(crate) fn forget_requests(&self) {
        self.control(Method::DELETE, "requests", None);
    }

    /// The requests in order.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = self.control(Method::GET, "log", None);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    // The inventory.

    /// Where the inventory is kept.
    pub(crate) fn inventory_path(&self) -> PathBuf {
        self.path().join(".scopeward/inventory.json")
    }

    /// The inventory's file.
    pub(crate) fn inventory(&self) -> Value {
        serde_json::from_slice(&fs::read(self.inventory_path()).unwrap()).unwrap()
    }

    /// Changes the inventory's file, as time or another version might.
    pub(crate) fn edit_inventory(&self, edit: impl FnOnce(&mut Value)) {
        let mut inventory = self.inventory();
        edit(&mut inventory);
        fs::write(
            self.inventory_path(),
            serde_json::to_vec(&inventory).unwrap(),
        )
        .unwrap();
    }

    /// Loses the inventory, the lock and the audit log.
    pub(crate) fn lose_inventory(&self) {
        fs::remove_dir_all(self.path().join(".scopeward")).unwrap();
    }

    /// Lets so many hours pass, as far as the inventory remembers moments.
    pub(crate) fn pass_hours(&self, hours: i64) {
        self.edit_inventory(|inventory| age(inventory, hours));
    }

    /// What is ours, over all identities: scopes and apps with how they came to be ours, as `orders:read created`.
    pub(crate) fn owned(&self) -> Vec<String> {
        if !self.inventory_path().exists() {
            return Vec::new();
        }
        let inventory = self.inventory();
        let mut lines = Vec::new();
        for section in inventory["identities"].as_object().unwrap().values() {
            for (name, entry) in section["scopes"].as_object().unwrap() {
                lines.push(format!("{name} {}", entry["origin"].as_str().unwrap()));
            }
            for app in section["apps"].as_array().unwrap() {
                lines.push(format!(
                    "{} {}",
                    app["app"],
                    app["entry"]["origin"].as_str().unwrap()
                ));
            }
        }
        lines.sort();
        lines
    }

    /// What the inventory says of a scope, on whichever system.
    pub(crate) fn entry(&self, name: &str) -> Value {
        let inventory = self.inventory();
        let mut sections = inventory["identities"].as_object().unwrap().values();
        let found = sections.find_map(|section| section["scopes"].get(name));
        found
            .unwrap_or_else(|| panic!("{name} is not in the inventory"))
            .clone()
    }

    /// The path that the inventory has for a scope's file.
    pub(crate) fn file_of(&self, name: &str) -> String {
        let path = self.entry(name)["source"]["path"].clone();
        path.as_str().expect("a source has a path").to_owned()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // The sandbox ends itself on its runtime, which has to be entered for that.
        let _entered = self.runtime.enter();
        drop(self.sandbox.take());
    }
}

fn name_of(scope: &Value) -> String {
    let name = scope.get("value").or_else(|| scope.get("name"));
    name.and_then(Value::as_str).unwrap().to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    let entries = list.as_array().into_iter().flatten();
    let mut texts: Vec<String> = entries
        .map(|entry| entry.as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

/// Moves every moment of a tree back.
fn age(value: &mut Value, hours: i64) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str().map(str::parse::<jiff::Timestamp>) {
                    Some(Ok(at)) if key.ends_with("at") || key.ends_with("At") => {
                        *member = (at - jiff::SignedDuration::from_hours(hours))
                            .to_string()
                            .into();
                    }
                    _ => age(member, hours),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| age(entry, hours)),
        _ => {}
    }
}

/// A command that was started.
pub(crate) struct Running {
    child: Child,
    report: Option<PathBuf>,
    words: String,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn finish(self) -> Ran {
        let output = self.child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            report: read_report(self.report.as_deref()),
            words: self.words,
        }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn read_report(file: Option<&Path>) -> Value {
    let text = file.and_then(|file| fs::read(file).ok());
    // A run that was ended at once leaves what it had opened.
    let text = text.filter(|text| !text.is_empty());
    text.map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
}

/// A command that ended.
pub(crate) struct Ran {
    /// Its exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Its plan or report in JSON; null where it ended before it had one.
    pub(crate) report: Value,
    words: String,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(self.code == Some(code), "exit {code} was expected\n{self}");
        self
    }

    /// Asserts that a text was written, to standard output or standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "{text:?} was expected\n{self}");
        self
    }

    /// Asserts that a text was not written.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!said, "{text:?} was not expected\n{self}");
        self
    }

    fn targets(&self) -> impl Iterator<Item = &Value> {
        self.report["targets"].as_array().into_iter().flatten()
    }

    fn each<'a>(&'a self, list: &'a str) -> impl Iterator<Item = &'a Value> {
        self.targets()
            .flat_map(move |target| target[list].as_array().into_iter().flatten())
    }

    /// The changes in order: `create orders:read`, in a report with what became of it: `create orders:read done`.
    pub(crate) fn changes(&self) -> Vec<String> {
        let line = |change: &Value| {
            let mut line = format!("{} {}", text(&change["action"]), object(change));
            if let Some(outcome) = change["outcome"].as_str() {
                write!(line, " {outcome}").unwrap();
            }
            line
        };
        self.each("changes").map(line).collect()
    }

    /// The changes that a further run would make.
    pub(crate) fn remaining(&self) -> Vec<String> {
        self.each("remaining")
            .map(|change| format!("{} {}", text(&change["action"]), object(change)))
            .collect()
    }

    /// The refusals: the rule, and what it stops unless that is the target.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let line = |refusal: &Value| {
            let mut line = text(&refusal["rule"]).to_owned();
            if refusal.get("object").is_some() {
                write!(line, " {}", object(refusal)).unwrap();
            }
            line
        };
        self.each("refusals").map(line).collect()
    }

    /// A refusal by its rule.
    #[track_caller]
    pub(crate) fn refusal(&self, rule: &str) -> &Value {
        self.each("refusals")
            .find(|refusal| refusal["rule"] == rule)
            .unwrap_or_else(|| panic!("nothing was refused by {rule}\n{self}"))
    }

    /// What is left alone: the reason and the object, with entries where it is about those.
    pub(crate) fn skipped(&self) -> Vec<String> {
        let line = |skip: &Value| {
            let mut line = format!("{} {}", text(&skip["reason"]), object(skip));
            let entries = texts(&skip["entries"]);
            if !entries.is_empty() {
                write!(line, ": {}", entries.join(", ")).unwrap();
            }
            line
        };
        self.each("skipped").map(line).collect()
    }

    fn access(&self, side: &str) -> Vec<String> {
        let grants = |target: &Value| target["access"][side].as_array().unwrap().clone();
        let lines = self.targets().flat_map(grants);
        lines
            .map(|grant| format!("{} {}", text(&grant["subject"]), text(&grant["scope"])))
            .collect()
    }

    /// Who gets what: `role support orders:read`.
    pub(crate) fn gains(&self) -> Vec<String> {
        self.access("gains")
    }

    /// Who loses what.
    pub(crate) fn losses(&self) -> Vec<String> {
        self.access("losses")
    }

    /// The codes of the findings.
    pub(crate) fn codes(&self) -> Vec<String> {
        let found = self.report["diagnostics"].as_array().into_iter().flatten();
        found
            .map(|finding| text(&finding["code"]).to_owned())
            .collect()
    }

    /// The plan's top digest.
    pub(crate) fn digest(&self) -> String {
        text(&self.report["digest"]).to_owned()
    }

    /// A target's report.
    #[track_caller]
    pub(crate) fn target(&self, name: &str) -> &Value {
        let full = format!("default/{name}");
        self.targets()
            .find(|target| target["target"] == *full)
            .unwrap_or_else(|| panic!("there is no target {full}\n{self}"))
    }

    /// A target's digest.
    #[track_caller]
    pub(crate) fn digest_of(&self, name: &str) -> String {
        text(&self.target(name)["digest"]).to_owned()
    }

    /// The digest of what a target's run left.
    #[track_caller]
    pub(crate) fn remaining_digest_of(&self, name: &str) -> String {
        text(&self.target(name)["remainingDigest"]).to_owned()
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text, but {value}"))
}

fn object(of: &Value) -> &str {
    text(&of["object"]["name"])
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        writeln!(f, "$ scopeward {}\nexit {code}", self.words)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
