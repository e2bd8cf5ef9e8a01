//! What tests of bad conditions need beside: processes that are interrupted, counts by route, text for golden files.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use regex::Regex;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Case, Ran, Running, texts};

impl Case {
    /// Runs a command to its end with changes to its environment; `None` takes a variable away.
    pub(crate) fn run_in(&self, environment: &[(&str, Option<&str>)], args: &[&str]) -> Ran {
        let mut command = self.command(args);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn().unwrap();
        let words = args.join(" ");
        Running {
            child,
            report: None,
            words,
        }
        .finish()
    }

    /// What was asked since the counters were at zero: `2 x GET /api/… 200`, one line a route and status, sorted.
    pub(crate) fn counted(&self) -> Vec<String> {
        let counts = self.control_json("requests");
        let mut lines = Vec::new();
        for route in counts["routes"].as_array().unwrap() {
            let (method, name) = (&route["method"], &route["route"]);
            let words = format!("{} {}", method.as_str().unwrap(), name.as_str().unwrap());
            let statuses = route["statuses"].as_object().unwrap();
            let answered: u64 = statuses.values().filter_map(Value::as_u64).sum();
            for (status, count) in statuses {
                lines.push(format!("{count} x {words} {status}"));
            }
            let cut = route["count"].as_u64().unwrap() - answered;
            if cut > 0 {
                lines.push(format!("{cut} x {words} cut"));
            }
        }
        lines.sort();
        lines
    }

    /// Everything that exists, in every system.
    pub(crate) fn worlds(&self) -> Value {
        self.control_json("state")
    }

    /// Puts everything that exists back to an earlier state.
    pub(crate) fn put_worlds(&self, worlds: &Value) {
        self.control(Method::PUT, "state", Some(worlds.clone()));
    }

    /// How often the rules of the fault plan acted.
    pub(crate) fn faults_applied(&self) -> u64 {
        let report = self.control_json("faults");
        let rules = report["rules"].as_array().unwrap();
        rules
            .iter()
            .map(|rule| rule["applied"].as_u64().unwrap())
            .sum()
    }

    /// The bodies that were sent by writes, in order: `PUT /path {…}`.
    pub(crate) fn written(&self) -> Vec<String> {
        let is_write = |entry: &&Value| entry["method"] != "GET" && entry["token"] != true;
        let line = |entry: &Value| {
            let words = [&entry["method"], &entry["path"], &entry["body"]];
            let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
            words.join(" ")
        };
        self.log().iter().filter(is_write).map(line).collect()
    }

    /// Copies the inventory with what lies beside it to another folder of the case.
    pub(crate) fn keep_inventory(&self, name: &str) {
        copy(&self.path().join(".scopeward"), &self.path().join(name));
    }

    /// Puts the inventory back to what was kept.
    pub(crate) fn put_inventory(&self, name: &str) {
        copy(&self.path().join(name), &self.path().join(".scopeward"));
    }

    /// A text without what differs from run to run: ports, folders, digests, ids of runs, moments.
    pub(crate) fn stable(&self, text: &str) -> String {
        let text = text
            .replace(&self.url, "http://sandbox")
            .replace(self.url.trim_start_matches("http://"), "sandbox")
            .replace(&self.path().display().to_string(), "FOLDER");
        let rules = [
            (r"sha256:[0-9a-f]{64}", "sha256:…"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "MOMENT"),
            (r"process \d+", "process N"),
        ];
        rules.iter().fold(text, |text, (pattern, stand_in)| {
            Regex::new(pattern)
                .unwrap()
                .replace_all(&text, *stand_in)
                .into_owned()
        })
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

impl Running {
    /// Interrupts it, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Ends it as a supervisor does.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Returns when a text was written to standard error, which is not in what `finish` gives then.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0];
        // One byte at a time, so that nothing is read past the text.
        while !seen.ends_with(text.as_bytes()) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{text:?} never came");
            seen.push(byte[0]);
        }
    }
}

/// The entries of a list, sorted.
pub(crate) fn sorted(list: &Value) -> Vec<String> {
    texts(list)
}

/// A sandbox served by the binary itself.
pub(crate) struct Served {
    running: Running,
    pub(crate) url: String,
}

impl Served {
    /// Starts `scopeward sandbox ARGS` on a free port, and returns when it serves.
    pub(crate) fn start(case: &Case, args: &[&str]) -> Self {
        let args = [&["sandbox", "--listen", "127.0.0.1:0"], args].concat();
        let mut running = case.start(&args, None);
        let stdout = running.child.stdout.as_mut().unwrap();
        let mut url = Vec::new();
        let mut byte = [0];
        while !url.ends_with(b"\n") {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it never served");
            url.push(byte[0]);
        }
        Self {
            running,
            url: String::from_utf8(url).unwrap().trim().to_owned(),
        }
    }

    /// Ends it as a supervisor does.
    pub(crate) fn stop(self) -> Ran {
        self.running.terminate();
        self.running.finish()
    }
}
