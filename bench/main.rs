//! Whole runs of the release binary against the sandbox: time and peak memory.
//!
//! `make bench` prints a table and writes `target/bench.json`; `docs/performance.md` says what each row means. Each row
//! is measured once a round, so that a moment in which the machine has other work does not fall on one row alone, and
//! its figure is the median of the rounds. A run that does not say what it should is an error and not a figure.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints what it measured"
)]

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

mod documents;
mod measure;
mod site;
mod table;

use measure::{Outcome, Sample};
use site::Site;
use table::Table;

const ROUNDS: usize = 7;
/// How long the sandbox takes for an answer where writes are measured.
const LATENCY_MS: u64 = 50;
/// How many requests are in flight by default.
const IN_FLIGHT: u64 = 10;
const FEW_CREATES: u64 = 100;
const CREATES: u64 = 1_000;
const DOCUMENTS: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, command)) if first == measure::ONE => measure::one(command),
        Some((first, [folder])) if first == measure::PARSE => parse(Path::new(folder)),
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

fn bench() -> Outcome<()> {
    let small = Site::in_sync(1_000)?;
    let large = Site::in_sync(10_000)?;
    let empty = Site::start(0, 10_000)?;
    let company = tempfile::tempdir()?;
    for (name, text) in documents::company(DOCUMENTS) {
        fs::write(company.path().join(name), text)?;
    }
    let count = DOCUMENTS + documents::TARGETS;

    let mut table = Table::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let version = measure::scopeward(company.path(), &["--version"], "scopeward")?;
        table.add("start-up, --version", version);

        let nothing = "no changes";
        table.add(
            "plan, 1000 scopes, nothing to do",
            small.run("plan", nothing)?,
        );
        table.add(
            "plan, 10000 scopes, nothing to do",
            large.run("plan", nothing)?,
        );
        table.add(
            "plan, 10000 scopes, all new",
            empty.run("plan", "10000 creates")?,
        );

        let (few, _) = creates(FEW_CREATES)?;
        table.add("sync, 100 creates at 50 ms", few);
        let (sync, writes) = creates(CREATES)?;
        table.add("sync, 1000 creates at 50 ms", sync);
        table.add("  its writes", writes);

        let said = format!("{count} documents");
        table.add(
            "parse of 10000 documents",
            measure::parse(company.path(), &said)?,
        );
        let said = format!("{count} manifests in");
        let validate = measure::scopeward(company.path(), &["validate", "."], &said)?;
        table.add("validate of 10000 documents", validate);
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let ideal = (LATENCY_MS * CREATES / IN_FLIGHT) as f64;
    table.goal("start-up, --version", 10.0);
    table.goal("sync, 100 creates at 50 ms", 1000.0);
    table.goal("sync, 1000 creates at 50 ms", 1.15 * ideal);
    table.goal("  its writes", 1.15 * ideal);
    let parsing = table.median("parse of 10000 documents");
    table.goal("validate of 10000 documents", 1.5 * parsing);

    println!("{}", table.text()?);
    println!("{}", table.save()?.display());
    Ok(())
}

/// A run that creates so many scopes, each answered after the latency; and the part of it that writes, from the first
/// request to the last answer.
fn creates(count: u64) -> Outcome<(Sample, Sample)> {
    let site = Site::start(0, usize::try_from(count)?)?;
    site.latency(LATENCY_MS)?;
    let sync = site.run("sync", &format!("{count} created"))?;
    let writes = Sample {
        milliseconds: site.writing(LATENCY_MS)?,
        peak_mib: None,
    };
    Ok((sync, writes))
}

/// What `validate` is held against: a program that reads the same files and parses them, and does nothing else.
fn parse(folder: &Path) -> Outcome<()> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text)?;
        count += values.len();
    }
    println!("{count} documents");
    Ok(())
}
