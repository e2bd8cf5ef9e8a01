//! Manifests: what is read, what is found wrong, and what is generated.

use std::path::PathBuf;

use scopeward::manifest::{self, Loaded, Options};
use scopeward::model::SourceFile;

mod coverage;
mod foreign;
mod generated;
mod load;
mod malformed;
mod overlays;
mod properties;
mod resolve;
mod rules;

/// The options of the tests: nothing special, at a time that does not pass.
fn options() -> Options {
    Options {
        strict: false,
        selector: None,
        now: "2026-01-10T12:00:00Z".parse().expect("a time"),
        repository: None,
        overlays: Vec::new(),
        cluster: None,
        recorded: std::collections::BTreeSet::new(),
    }
}

/// Reads one text.
fn read(text: &str) -> Loaded {
    read_all(&[("a.yaml", text)])
}

/// Reads several texts.
fn read_all(texts: &[(&str, &str)]) -> Loaded {
    let texts: Vec<(SourceFile, String)> = texts
        .iter()
        .map(|(file, text)| (SourceFile::new(*file), (*text).to_owned()))
        .collect();
    manifest::read(&texts, &options())
}

/// The codes of the findings, in order.
fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded
        .diagnostics
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// A file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
