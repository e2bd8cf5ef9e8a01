//! A real API server: etcd and kube-apiserver, started and ended with the test.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tempfile::TempDir;

/// The folder of the programs, built at first need.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/tools/build");
    let output = Command::new(script)
        .stderr(Stdio::inherit())
        .output()
        .expect("tests/cluster/tools/build starts");
    assert!(output.status.success(), "the tools cannot be built");
    let text = String::from_utf8(output.stdout).expect("a path");
    PathBuf::from(text.trim())
});

/// A program of the tools.
pub(crate) fn tool(name: &str) -> PathBuf {
    TOOLS.join(name)
}

/// A process that ends when its handle does, and when the test's own process ends however.
pub(crate) struct Process {
    /// Its shell, which reads signals to send, and ends with its standard input.
    shell: Child,
}

impl Process {
    /// Starts a program with its output in a file.
    pub(crate) fn start(command: &Command, log: &Path) -> Self {
        // The shell's input is a pipe from this process: it ends with this process, even with one that is killed.
        const WATCH: &str = r#""$@" </dev/null & child=$!; trap 'kill -CONT $child; kill -9 $child' EXIT
            while read -r signal; do kill -s "$signal" $child; done; exit"#;
        let log = fs::File::create(log).expect("a log file");
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "sh"]).arg(command.get_program());
        shell.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn()
            .expect("sh starts");
        Self { shell }
    }

    /// Sends the program a signal, such as `STOP`.
    pub(crate) fn signal(&mut self, name: &str) {
        let input = self.shell.stdin.as_mut().expect("it is piped");
        writeln!(input, "{name}").expect("the shell reads");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// An API server with its store.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    apiserver: Option<Process>,
    etcd: Option<Process>,
    etcd_port: u16,
    peer_port: u16,
}

/// What the chart renders for the namespace `scopeward`, with one value set.
pub(crate) fn rendered(value: Option<&str>) -> String {
    let mut helm = Command::new(tool("helm"));
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/scopeward");
    helm.args(["template", "scopeward"]).arg(chart);
    helm.args(["--namespace", "scopeward", "--set", "crds.install=false"]);
    helm.args(value.into_iter().flat_map(|value| ["--set", value]));
    let output = helm.output().expect("helm starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// What its audit log holds: what `ServiceAccount`s ask, and what becomes of it.
const AUDITED: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
                       rules: [{ level: Metadata, userGroups: [\"system:serviceaccounts\"] }, { level: None }]\n";

/// Its administrator's token.
const ADMIN: &str = "admin-token-of-a-test";

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    /// Starts one and waits until it is ready, with the four kinds installed.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        fs::write(folder.path().join("sa.key"), key.serialize_pem()).expect("a file");
        fs::write(folder.path().join("sa.pub"), key.public_key_pem()).expect("a file");
        let tokens = format!("{ADMIN},admin,admin-uid,\"system:masters\"\n");
        fs::write(folder.path().join("tokens.csv"), tokens).expect("a file");
        fs::write(folder.path().join("audit.yaml"), AUDITED).expect("a file");
        let mut server = Self {
            folder,
            port: free_port(),
            apiserver: None,
            etcd: None,
            etcd_port: free_port(),
            peer_port: free_port(),
        };
        server.kubeconfig("admin", &server.url(), &server.authority(), ADMIN);
        server.start_etcd();
        server.start_apiserver();
        server.is_ready().await;
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        server.kubectl(&["apply", "--server-side", "-k", &crds.display().to_string()]);
        server.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ]);
        server
    }

    pub(crate) fn start_etcd(&mut self) {
        let mut etcd = Command::new(tool("etcd"));
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        etcd.arg("--data-dir").arg(self.path("etcd"));
        etcd.args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        etcd.args(["--listen-peer-urls", &peer, "--unsafe-no-fsync"]);
        self.etcd = Some(Process::start(&etcd, &self.path("etcd.log")));
    }

    pub(crate) fn stop_etcd(&mut self) {
        self.etcd = None;
    }

    pub(crate) fn start_apiserver(&mut self) {
        let mut server = Command::new(tool("kube-apiserver"));
        let etcd = format!("http://127.0.0.1:{}", self.etcd_port);
        let port = self.port.to_string();
        let key = self.path("sa.key").display().to_string();
        let public = self.path("sa.pub").display().to_string();
        server.args([
            "--etcd-servers",
            &etcd,
            "--secure-port",
            &port,
            "--bind-address",
            "127.0.0.1",
        ]);
        server.arg("--cert-dir").arg(self.path("certs"));
        server.args([
            "--service-cluster-ip-range",
            "10.0.0.0/24",
            "--service-account-issuer",
            "https://test.local",
        ]);
        server.args([
            "--service-account-key-file",
            &public,
            "--service-account-signing-key-file",
            &key,
        ]);
        server.arg("--token-auth-file").arg(self.path("tokens.csv"));
        server
            .arg("--audit-policy-file")
            .arg(self.path("audit.yaml"));
        server.arg("--audit-log-path").arg(self.path("audit.log"));
        server.args([
            "--authorization-mode",
            "RBAC",
            "--disable-admission-plugins",
            "ServiceAccount",
        ]);
        self.apiserver = Some(Process::start(&server, &self.path("apiserver.log")));
    }

    pub(crate) fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Waits until it takes requests.
    pub(crate) async fn is_ready(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
        loop {
            let asked = self.kubectl_may_fail(&["get", "--raw", "/readyz"]);
            if asked.is_ok() {
                return;
            }
            let log = fs::read_to_string(self.path("apiserver.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            assert!(
                tokio::time::Instant::now() < deadline,
                "the API server does not get ready: {asked:?}\n{tail:#?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its certificate authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path("certs/apiserver.crt")
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Writes a kubeconfig for a token, and gives its path.
    pub(crate) fn kubeconfig(
        &self,
        name: &str,
        url: &str,
        authority: &Path,
        token: &str,
    ) -> PathBuf {
        let path = self.path(&format!("{name}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{ name: test, cluster: {{ server: \"{url}\", certificate-authority: \"{}\" }} }}]\n\
             users: [{{ name: test, user: {{ token: \"{token}\" }} }}]\n\
             contexts: [{{ name: test, context: {{ cluster: test, user: test }} }}]\n",
            authority.display()
        );
        fs::write(&path, text).expect("a file");
        path
    }

    /// The kubeconfig with all rights.
    pub(crate) fn admin(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// A client with all rights.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.admin()).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.expect("a config")).expect("a client")
    }

    /// Runs kubectl with all rights, and gives what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        match self.kubectl_may_fail(arguments) {
            Ok(text) => text,
            Err(error) => panic!("kubectl {arguments:?}: {error}"),
        }
    }

    /// The same, with what it says where it fails.
    pub(crate) fn kubectl_may_fail(&self, arguments: &[&str]) -> Result<String, String> {
        let mut kubectl = Command::new(tool("kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.admin())
            .args(arguments);
        let output = kubectl
            .stdin(Stdio::null())
            .output()
            .expect("kubectl starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Applies manifests, server-side as Flux and Argo CD do.
    pub(crate) fn apply(&self, text: &str) {
        if let Err(error) = self.apply_may_fail(text, &[]) {
            panic!("{error}\n{text}");
        }
    }

    /// The same, with what the API server says where it refuses.
    pub(crate) fn apply_may_fail(&self, text: &str, arguments: &[&str]) -> Result<String, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
        let path = file.path().display().to_string();
        let mut all = vec!["apply", "--server-side", "--force-conflicts", "-f", &path];
        all.extend(arguments);
        self.kubectl_may_fail(&all)
    }

    /// Applies manifests, and gives the objects as they stand right after that.
    pub(crate) fn applied(&self, text: &str) -> Vec<Value> {
        let shown = self.apply_may_fail(text, &["-o", "json"]);
        let shown = shown.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let objects = serde_json::Deserializer::from_str(&shown).into_iter::<Value>();
        let objects = objects.map(|object| object.expect("JSON"));
        let items = |object: Value| match object["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![object],
        };
        objects.flat_map(items).collect()
    }

    /// Applies what the chart renders of the kinds that give rights, and of the `ServiceAccount`; `namespace` is one whose
    /// Secrets are to be read.
    pub(crate) fn rights(&self, namespace: Option<&str>) {
        let value = namespace.map(|name| format!("credentials.namespaces[0].name={name}"));
        let text = rendered(value.as_deref());
        let gives_rights = |document: &&str| {
            let is_of = |kind: &str| document.contains(&format!("\nkind: {kind}\n"));
            let kinds = [
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding",
                "Role",
                "RoleBinding",
            ];
            kinds.into_iter().any(is_of) && !document.contains("helm.sh/hook")
        };
        let documents: Vec<&str> = text.split("\n---\n").filter(gives_rights).collect();
        self.apply(&documents.join("\n---\n"));
    }

    /// What a `ServiceAccount` has asked so far and what came of it, as the audit log has it.
    pub(crate) fn asked(&self, namespace: &str, account: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.path("audit.log")).unwrap_or_default();
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let lines = log.lines().map(serde_json::from_str::<Value>);
        let entries = lines.filter_map(Result::ok);
        entries
            .filter(|entry| entry["user"]["username"] == user.as_str())
            .collect()
    }

    /// A token of a `ServiceAccount`, for an hour.
    pub(crate) fn token_of(&self, namespace: &str, account: &str) -> String {
        let token = self.kubectl(&["create", "token", account, "-n", namespace, "--duration=1h"]);
        token.trim().to_owned()
    }
}
