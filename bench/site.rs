//! A OneLogin authorization server in the sandbox, manifests for it, and an inventory.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::measure::{self, BINARY, Outcome, Sample};

/// The sandbox runs in another process, on a port that the system picks, and ends with this.
pub struct Site {
    sandbox: Child,
    url: String,
    folder: TempDir,
}

impl Site {
    /// A server with `live` scopes, and manifests for `declared`.
    pub fn start(live: usize, declared: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("sandbox.yaml");
        fs::write(&file, world(live))?;
        let mut sandbox = Command::new(BINARY)
            .args(["sandbox", "--listen", "127.0.0.1:0", "--world"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut url = String::new();
        if let Some(stdout) = sandbox.stdout.take() {
            BufReader::new(stdout).read_line(&mut url)?;
        }
        // From here on it ends with the site.
        let site = Self {
            sandbox,
            url: url.trim().to_owned(),
            folder,
        };
        if site.url.is_empty() {
            return Err("the sandbox did not start".into());
        }
        fs::write(
            site.folder.path().join("manifests.yaml"),
            manifests(&site.url, declared),
        )?;
        Ok(site)
    }

    /// A server with exactly the scopes of its manifests, and an inventory that knows them.
    pub fn in_sync(scopes: usize) -> Outcome<Self> {
        let site = Self::start(scopes, scopes)?;
        site.run("sync", "no changes")?;
        Ok(site)
    }

    /// From now on every answer takes its time.
    pub fn latency(&self, milliseconds: u64) -> Outcome<()> {
        let plan =
            serde_json::json!({ "rules": [{ "fault": { "latency": { "ms": milliseconds } } }] });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}/__sandbox/faults", self.url);
        let answer = runtime.block_on(client.put(url).json(&plan).send())?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Measures `plan` or `sync`. What it prints must hold `said`.
    pub fn run(&self, verb: &str, said: &str) -> Outcome<Sample> {
        let mut arguments = vec![verb, ".", "--new-inventory", "--inventory"];
        arguments.push("file:inventory.json");
        if verb == "sync" {
            arguments.push("--yes");
        }
        measure::scopeward(self.folder.path(), &arguments, said)
    }

    /// How long the writes of the last run took, in milliseconds: from the first line of the audit log, which has one
    /// for each result, to the last; and one latency more, since the first requests were sent that long before.
    pub fn writing(&self, latency: u64) -> Outcome<f64> {
        let log = fs::read_to_string(self.folder.path().join("audit.jsonl"))?;
        let time = |line: Option<&str>| -> Outcome<Timestamp> {
            let line: Value = serde_json::from_str(line.ok_or("the audit log is empty")?)?;
            Ok(line["time"]
                .as_str()
                .ok_or("a line without time")?
                .parse()?)
        };
        let (first, last) = (time(log.lines().next())?, time(log.lines().last())?);
        let between = last.duration_since(first).as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let latency = latency as f64;
        Ok(between + latency)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.sandbox.kill();
        let _ = self.sandbox.wait();
    }
}

fn world(scopes: usize) -> String {
    let scopes: Vec<Value> = (0..scopes)
        .map(
            |n| serde_json::json!({ "id": n + 1, "value": name(n), "description": description(n) }),
        )
        .collect();
    let server = serde_json::json!({
        "id": 31415, "name": "Bench", "audiences": ["https://api.acme.com"], "scopes": scopes, "clients": []
    });
    // JSON is YAML.
    serde_json::json!({ "systems": [{ "name": "bench", "oneLogin": {
        "credentials": [{ "clientId": "sandbox", "clientSecret": "sandbox" }], "authorizationServers": [server]
    }}]})
    .to_string()
}

fn manifests(url: &str, scopes: usize) -> String {
    let mut text = format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: bench }}\nspec:\n  \
         oneLogin: {{ url: \"{url}\", authorizationServer: {{ id: 31415 }} }}\n  credentialsRef: {{ name: bench }}\n"
    );
    for n in 0..scopes {
        let _ = write!(
            text,
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders-{n:05} }}\nspec:\n  \
             targetRefs: [{{ name: bench }}]\n  name: \"{}\"\n  description: {}\n",
            name(n),
            description(n)
        );
    }
    text
}

fn name(n: usize) -> String {
    format!("orders:{n:05}")
}

fn description(n: usize) -> String {
    format!("Scope number {n}")
}
