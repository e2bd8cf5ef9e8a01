//! What is wrong with a manifest, as people see it.

use std::path::PathBuf;

use scopeward::manifest;
use scopeward::model::SourceFile;
use scopeward::render::finding;

use super::options;

/// Every fixture is read by itself; what people would see is stored beside it.
#[test]
fn malformed_manifests_get_every_finding_in_one_run() {
    let folder = super::repository("tests/fixtures/malformed");
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
