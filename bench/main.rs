//! Whole-program runs of the release binary against the sandbox, each in a process of its own: seconds and peak memory.
//!
//! `make bench` prints a table and writes `target/bench.json`. Every figure is the median of its runs. The sandbox is
//! another process on loopback, with requests unlimited and 8 in flight.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints what it measured"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs};

use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const BINARY: &str = env!("CARGO_BIN_EXE_scopeward");
/// With this argument the program measures one command and prints what it took: peak memory is known of all children
/// together, so each measured command is the only child of a process.
const ONE: &str = "--measure-one";
const LATENCY_MS: u64 = 50;
const IN_FLIGHT: u64 = 8;

/// What one run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Sample {
    seconds: f64,
    peak_mib: f64,
}

/// One row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    runs: usize,
    seconds: f64,
    peak_mib: f64,
    goal: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    machine: String,
    version: &'static str,
    binary_mib: f64,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, command)) if first == ONE => measure_here(command),
        _ => bench(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command and prints its time and peak memory as JSON.
fn measure_here(command: &[String]) -> Outcome<()> {
    let start = Instant::now();
    let output = Command::new(BINARY)
        .args(command)
        .stdin(Stdio::null())
        .output()?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "scopeward {} ended with {}: {text}",
            command.join(" "),
            output.status
        )
        .into());
    }
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "kibibytes of memory fit a double"
    )]
    let peak_mib = usage.max_rss() as f64 / 1024.0;
    println!("{}", serde_json::to_string(&Sample { seconds, peak_mib })?);
    Ok(())
}

fn measure(folder: &Path, arguments: &[&str]) -> Outcome<Sample> {
    let output = Command::new(env::current_exe()?)
        .arg(ONE)
        .args(arguments)
        .current_dir(folder)
        .envs([
            ("SCOPEWARD_BENCH_CLIENT_ID", "sandbox"),
            ("SCOPEWARD_BENCH_CLIENT_SECRET", "sandbox"),
        ])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn bench() -> Outcome<()> {
    let mut rows = Vec::new();
    rows.push(row("start-up (--version)", Some("10 ms"), 21, |folder| {
        measure(folder, &["--version"])
    })?);
    for scopes in [1_000, 10_000] {
        let folder = tempfile::tempdir()?;
        let world = Sandbox::start(folder.path(), scopes)?;
        manifests(folder.path(), &world.url, scopes)?;
        measure(folder.path(), &["sync", ".", "--yes", "--new-inventory"])?;
        let name = format!("plan of {scopes} scopes, nothing to do");
        rows.push(row_in(folder.path(), &name, None, 7, &["plan", "."])?);
    }
    rows.push(creates()?);
    let folder = tempfile::tempdir()?;
    manifests(folder.path(), "http://127.0.0.1:9", 10_000)?;
    rows.push(row_in(
        folder.path(),
        "validate of 10000 documents",
        None,
        7,
        &["validate", "."],
    )?);

    let results = Results {
        machine: machine(),
        version: env!("CARGO_PKG_VERSION"),
        binary_mib: binary_mib()?,
        rows,
    };
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    fs::write(&file, serde_json::to_vec_pretty(&results)?)?;
    println!("{}", table(&results));
    Ok(())
}

/// A thousand creates, each answered after 50 ms.
fn creates() -> Outcome<Row> {
    const CREATES: u64 = 1_000;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let bound = (CREATES * LATENCY_MS) as f64 / IN_FLIGHT as f64 / 1000.0;
    let goal = format!("{:.2} s (1.15 x {bound:.2})", bound * 1.15);
    row(
        &format!("sync, {CREATES} creates at {LATENCY_MS} ms"),
        Some(&goal),
        3,
        |folder| {
            let _ = fs::remove_dir_all(folder.join(".scopeward"));
            let world = Sandbox::start(folder, 0)?;
            manifests(folder, &world.url, usize::try_from(CREATES)?)?;
            world.latency()?;
            measure(folder, &["sync", ".", "--yes", "--new-inventory"])
        },
    )
}

fn row_in(
    folder: &Path,
    name: &str,
    goal: Option<&str>,
    runs: usize,
    arguments: &[&str],
) -> Outcome<Row> {
    row(name, goal, runs, |_| measure(folder, arguments))
}

fn row(
    name: &str,
    goal: Option<&str>,
    runs: usize,
    run: impl Fn(&Path) -> Outcome<Sample>,
) -> Outcome<Row> {
    let folder = tempfile::tempdir()?;
    let mut samples: Vec<Sample> = (0..runs)
        .map(|_| run(folder.path()))
        .collect::<Outcome<_>>()?;
    samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let Sample { seconds, .. } = samples[runs / 2];
    let peak_mib = samples
        .iter()
        .map(|sample| sample.peak_mib)
        .fold(0.0, f64::max);
    eprintln!("{name}: {seconds:.3} s");
    Ok(Row {
        name: name.to_owned(),
        runs,
        seconds,
        peak_mib,
        goal: goal.map(str::to_owned),
    })
}

/// One OneLogin server with that many scopes, served by another process.
struct Sandbox {
    child: Child,
    url: String,
}

impl Sandbox {
    fn start(folder: &Path, scopes: usize) -> Outcome<Self> {
        let mut world = String::from(
            "systems:\n  - name: bench\n    oneLogin:\n      credentials: [{ clientId: sandbox, clientSecret: sandbox }]\n      \
             authorizationServers:\n        - id: 31415\n          name: Bench\n          audiences: [https://api.acme.com]\n          \
             clients: []\n          scopes:\n",
        );
        if scopes == 0 {
            world.truncate(world.len() - 1);
            world.push_str(" []\n");
        }
        for n in 0..scopes {
            writeln!(
                world,
                "            - {{ id: {}, value: \"orders:{n:05}\", description: Scope number {n} }}",
                n + 1
            )?;
        }
        let file = folder.join("sandbox.yaml");
        fs::write(&file, world)?;
        let mut child = Command::new(BINARY)
            .args(["sandbox", "--listen", "127.0.0.1:0", "--world"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child
            .stdout
            .take()
            .ok_or("the sandbox has no standard output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let url = url.trim().to_owned();
        if url.is_empty() {
            return Err("the sandbox did not start".into());
        }
        Ok(Self { child, url })
    }

    /// From now on every answer takes its time.
    fn latency(&self) -> Outcome<()> {
        let body = format!(
            r#"{{"seed": 1, "rules": [{{"fault": {{"latency": {{"ms": {LATENCY_MS}, "jitterMs": 0}}}}}}]}}"#
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let answer = client
                .put(format!("{}/__sandbox/faults", self.url))
                .body(body)
                .send()
                .await?;
            answer.error_for_status()?;
            Ok(())
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn manifests(folder: &Path, url: &str, scopes: usize) -> Outcome<()> {
    let mut text = format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: bench }}\nspec:\n  \
         oneLogin: {{ url: \"{url}\", authorizationServer: {{ id: 31415 }} }}\n  credentialsRef: {{ name: bench }}\n  \
         limits: {{ requestsPerSecond: 0, maxInFlight: {IN_FLIGHT} }}\n"
    );
    for n in 0..scopes {
        write!(
            text,
            "---\napiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: orders-{n:05} }}\nspec:\n  \
             targetRefs: [{{ name: bench }}]\n  name: \"orders:{n:05}\"\n  description: Scope number {n}\n"
        )?;
    }
    fs::write(folder.join("manifests.yaml"), text)?;
    Ok(())
}

fn binary_mib() -> Outcome<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a file's size fits a double")]
    let bytes = fs::metadata(BINARY)?.len() as f64;
    Ok(bytes / 1024.0 / 1024.0)
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{} cores, {}",
        cores,
        model.trim_start_matches([' ', '\t', ':'])
    )
}

fn table(results: &Results) -> String {
    let mut text = format!(
        "{}, scopeward {}, stripped binary {:.1} MiB (goal 25 MB)\n\n{:<40} {:>5} {:>10} {:>10}  goal\n",
        results.machine, results.version, results.binary_mib, "", "runs", "median s", "peak MiB"
    );
    for row in &results.rows {
        let goal = row.goal.as_deref().unwrap_or("");
        let _ = writeln!(
            text,
            "{:<40} {:>5} {:>10.3} {:>10.1}  {goal}",
            row.name, row.runs, row.seconds, row.peak_mib
        );
    }
    text
}
