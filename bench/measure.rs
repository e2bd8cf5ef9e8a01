//! One run of a program: how long, and how much memory.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The release binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_scopeward");
/// The first argument of this program where it runs one other and says what that took: the kernel knows the peak memory
/// of all children together, so each measured program is the only child of a process of its own.
pub const ONE: &str = "--measure-one";
/// The first argument of this program where it only parses the files of a folder.
pub const PARSE: &str = "--parse";

/// What one run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// From before the process was started until it had ended.
    pub milliseconds: f64,
    /// The most memory that was resident at once; `None` for a part of a run.
    pub peak_mib: Option<f64>,
}

/// Measures `scopeward` in a folder. What it prints must hold `said`.
pub fn scopeward(folder: &Path, arguments: &[&str], said: &str) -> Outcome<Sample> {
    measure(folder, &[&[said, BINARY], arguments].concat())
}

/// Measures a program that parses the files of a folder and does nothing else.
pub fn parse(folder: &Path, said: &str) -> Outcome<Sample> {
    let this = env::current_exe()?;
    let this = this.to_str().ok_or("this program's path is no text")?;
    measure(folder, &[said, this, PARSE, "."])
}

fn measure(folder: &Path, command: &[&str]) -> Outcome<Sample> {
    let output = Command::new(env::current_exe()?)
        .arg(ONE)
        .args(command)
        .current_dir(folder)
        .env_clear()
        .envs([
            ("SCOPEWARD_BENCH_CLIENT_ID", "sandbox"),
            ("SCOPEWARD_BENCH_CLIENT_SECRET", "sandbox"),
        ])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a command, whose first word it must say, and prints what it took.
pub fn one(command: &[String]) -> Outcome<()> {
    let [said, program, arguments @ ..] = command else {
        return Err("what to measure?".into());
    };
    let start = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let result = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !result.contains(said) {
        let messages = String::from_utf8_lossy(&output.stderr);
        let command = arguments.join(" ");
        let status = output.status;
        return Err(format!(
            "`{command}` ended with {status} and did not say {said:?}: {result}{messages}"
        )
        .into());
    }
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    #[expect(
        clippy::cast_precision_loss,
        reason = "kibibytes of memory fit a double"
    )]
    let peak_mib = Some(kib as f64 / 1024.0);
    let sample = Sample {
        milliseconds,
        peak_mib,
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
