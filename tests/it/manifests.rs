//! Manifests: what is read, what is found wrong, and what is generated.

use std::path::PathBuf;

use scopeward::manifest::{self, Loaded, Options};
use scopeward::model::SourceFile;
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

/// Compares generated files with those of the repository; `SCOPEWARD_GENERATE=1` writes them instead.
fn is_current(folder: &str, files: Vec<(String, String)>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    for (name, text) in files {
        let path = folder.join(name);
        if std::env::var_os("SCOPEWARD_GENERATE").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == text,
            "{} is not what the types say: run the tests with SCOPEWARD_GENERATE=1, and look at what changes",
            path.display()
        );
    }
}

#[test]
fn the_stored_definitions_are_current() {
    is_current("crds", manifest::generate::crds());
}

#[test]
fn the_stored_schemas_are_current() {
    is_current("schemas", manifest::generate::schemas());
}

#[test]
fn the_page_of_checks_is_current() {
    let page = scopeward::diagnostic::codes::page();
    is_current("docs", vec![("checks.md".to_owned(), page)]);
}

/// Every fixture is read by itself; what people would see is stored beside it.
#[test]
fn malformed_manifests_get_every_finding_in_one_run() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/malformed");
    let entries = std::fs::read_dir(&folder).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    assert!(paths.len() >= 40, "there are {} fixtures", paths.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in paths {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("a text");
            let file = SourceFile::new(format!("{name}.yaml"));
            let loaded = manifest::read(&[(file, text)], &options());
            let seen = format!(
                "{}\n{}; {}",
                finding::findings(&loaded.diagnostics, false),
                finding::counts(&loaded.diagnostics),
                if loaded.complete {
                    "complete"
                } else {
                    "not complete"
                },
            );
            assert!(!seen.contains("hunter2"), "{name} shows a secret");
            insta::assert_snapshot!(name, seen);
        }
    });
}
