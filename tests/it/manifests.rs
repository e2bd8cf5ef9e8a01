//! Manifests: what is read, what is found wrong, and what is generated.

use std::path::PathBuf;

use scopeward::manifest::{self, Loaded, Options};
use scopeward::render::finding;

fn options() -> Options {
    Options {
        strict: false,
        selector: None,
        now: "2026-01-10T12:00:00Z".parse().expect("a time"),
    }
}

fn load(path: &str) -> Loaded {
    manifest::load(&[PathBuf::from(path)], &options()).expect("there are manifests")
}

#[test]
fn the_quick_start_has_no_findings() {
    let loaded = load("examples/quickstart");
    assert_eq!(finding::findings(&loaded.diagnostics, false), "");
    assert!(loaded.complete);
    assert_eq!(loaded.files, 4);
}
