//! A namespace with a sandbox behind it, and an operator over the cluster.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use scopeward_sandbox::{Options, Sandbox, World};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::server::{Process, Server};

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The operator as a process.
pub(crate) struct Operator {
    process: Option<Process>,
    command: Command,
    log: PathBuf,
    pub(crate) port: u16,
    _folder: TempDir,
}

/// How an operator is started.
pub(crate) struct Started<'a> {
    pub(crate) server: &'a Server,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) arguments: &'a [&'a str],
}

impl Operator {
    /// Starts one in the namespace `scopeward`.
    pub(crate) fn start(started: &Started<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let log = folder.path().join("operator.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_scopeward"));
        command
            .args(["operator", "--namespace", "scopeward", "--allow-loopback"])
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--deletion-delay",
                "2s",
            ])
            .args(started.arguments)
            .env("KUBECONFIG", &started.kubeconfig)
            .env("SCOPEWARD_LOG", "info,reconcile=debug");
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

    /// Starts it anew after it was stopped.
    pub(crate) fn go_on(&mut self) {
        self.process = Some(Process::start(&self.command, &self.log));
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Systems behind the operator, served by the test.
pub(crate) struct Systems {
    pub(crate) sandbox: Sandbox,
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Systems {
    /// Serves a world, as the sandbox's YAML writes it.
    pub(crate) async fn start(world: &str) -> Self {
        let world = World::from_yaml(world).unwrap_or_else(|error| panic!("{error}\n{world}"));
        let sandbox = Sandbox::start(world, Options::default())
            .await
            .expect("a sandbox");
        let url = sandbox.url().to_string();
        Self {
            sandbox,
            url: url.trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
        }
    }

    /// The state of all systems.
    pub(crate) async fn state(&self) -> Value {
        let url = format!("{}/__sandbox/state", self.url);
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }
}

/// Waits until something holds, and says what was seen last where it does not.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(Instant::now() < deadline, "{what}: {seen}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The server that tests share.
pub(crate) async fn shared() -> Arc<Server> {
    static SHARED: tokio::sync::OnceCell<Arc<Server>> = tokio::sync::OnceCell::const_new();
    let start = async || Arc::new(Server::start().await);
    Arc::clone(SHARED.get_or_init(start).await)
}
