//! What was measured, as a table and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::measure::{BINARY, Outcome, Sample};

/// The largest stripped binary that is fine, in megabytes.
const SIZE_GOAL: f64 = 25.0;

/// All rows, in the order in which they were first measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    samples: Vec<Sample>,
    goal: Option<f64>,
}

/// The file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    machine: String,
    version: &'static str,
    binary_megabytes: f64,
    rows: Vec<Figures>,
}

/// A row of the file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    name: &'static str,
    runs: usize,
    median_ms: f64,
    fastest_ms: f64,
    slowest_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_ms: Option<f64>,
}

impl Table {
    pub fn add(&mut self, name: &'static str, sample: Sample) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row {
                name,
                samples: vec![sample],
                goal: None,
            }),
        }
    }

    /// Sets the most milliseconds that a row should take.
    pub fn goal(&mut self, name: &str, milliseconds: f64) {
        for row in self.rows.iter_mut().filter(|row| row.name == name) {
            row.goal = Some(milliseconds);
        }
    }

    pub fn median(&self, name: &str) -> f64 {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map_or(f64::NAN, |row| row.figures().median_ms)
    }

    /// The table for people.
    pub fn text(&self) -> Outcome<String> {
        let results = self.results()?;
        let mut text = format!("scopeward {}, {}\n\n", results.version, results.machine);
        writeln!(
            text,
            "{:<36}{:>5}{:>11}{:>11}{:>11}{:>10}{:>11}",
            "", "runs", "median ms", "fastest", "slowest", "peak MiB", "goal ms"
        )?;
        for row in &results.rows {
            let peak = row.peak_mib.map(|mib| format!("{mib:.1}"));
            let goal = row.goal_ms.map(|goal| format!("{goal:.1}"));
            let met = row.goal_ms.map(|goal| met(row.median_ms, goal));
            writeln!(
                text,
                "{:<36}{:>5}{:>11.1}{:>11.1}{:>11.1}{:>10}{:>11}  {}",
                row.name,
                row.runs,
                row.median_ms,
                row.fastest_ms,
                row.slowest_ms,
                peak.unwrap_or_default(),
                goal.unwrap_or_default(),
                met.unwrap_or_default()
            )?;
        }
        let size = results.binary_megabytes;
        let met = met(size, SIZE_GOAL);
        write!(
            text,
            "\nstripped binary {size:.1} MB, goal {SIZE_GOAL} MB  {met}"
        )?;
        Ok(text)
    }

    /// Writes the file, and gives its path.
    pub fn save(&self) -> Outcome<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = folder.with_file_name("bench.json");
        fs::write(&file, serde_json::to_vec_pretty(&self.results()?)?)?;
        Ok(file)
    }

    fn results(&self) -> Outcome<Results> {
        #[expect(clippy::cast_precision_loss, reason = "a file's size fits a double")]
        let bytes = fs::metadata(BINARY)?.len() as f64;
        Ok(Results {
            machine: machine(),
            version: env!("CARGO_PKG_VERSION"),
            binary_megabytes: bytes / 1e6,
            rows: self.rows.iter().map(Row::figures).collect(),
        })
    }
}

impl Row {
    fn figures(&self) -> Figures {
        let mut times: Vec<f64> = self.samples.iter().map(|s| s.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        Figures {
            name: self.name,
            runs: times.len(),
            median_ms: times[times.len() / 2],
            fastest_ms: times[0],
            slowest_ms: times[times.len() - 1],
            peak_mib: self
                .samples
                .iter()
                .filter_map(|s| s.peak_mib)
                .reduce(f64::max),
            goal_ms: self.goal,
        }
    }
}

fn met(figure: f64, goal: f64) -> &'static str {
    if figure <= goal { "met" } else { "MISSED" }
}

/// Processor, cores and kernel, and how busy the machine was.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| {
        model.trim_start_matches(['\t', ' ', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    // What follows the version proper is the distribution's own, or somebody's name for a build.
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!(
        "{model}, {cores} cores, {} {kernel}, load {}",
        std::env::consts::OS,
        load.join(" ")
    )
}
