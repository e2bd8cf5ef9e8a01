//! What is wrong with a manifest, as people see it.

use std::path::PathBuf;

use scopeward::diagnostic::{Diagnostic, Severity};
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
                counts(&loaded.diagnostics),
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

/// `2 errors, 1 warning`; `no findings` where there are none.
fn counts(diagnostics: &[Diagnostic]) -> String {
    let counted = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ]
    .map(|(severity, word)| {
        let found = diagnostics.iter().filter(|d| d.severity == severity);
        match found.count() {
            0 => None,
            1 => Some(format!("1 {word}")),
            count => Some(format!("{count} {word}s")),
        }
    });
    let counted: Vec<String> = counted.into_iter().flatten().collect();
    if counted.is_empty() {
        "no findings".to_owned()
    } else {
        counted.join(", ")
    }
}

/// A finding of each of many manifests that names all the others would make megabytes of them.
#[test]
fn a_finding_stays_short_however_many_manifests_contradict_each_other() {
    let document = |kind: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {spec}\n"
        )
    };
    let target = |name: &str| {
        let spec = "{ oneLogin: { url: https://acme.onelogin.com, authorizationServer: { id: 1 } }, credentialsRef: { name: a } }";
        document("Target", name, spec)
    };
    let spelled = |index: usize| -> String {
        let letter = |bit: usize| if index >> bit & 1 == 1 { 'A' } else { 'a' };
        (0..9).map(letter).collect()
    };
    let many = |make: &dyn Fn(usize) -> String| (0..512).map(make).collect::<Vec<_>>();
    let scope = |name: &str, more: &str| {
        document(
            "Scope",
            name,
            &format!("{{ targetRefs: [{{ name: t }}], {more} }}"),
        )
    };
    let cases = [
        many(&|_| scope("a", "protected: true")),
        many(&|index| scope(&format!("a{index}"), "name: same")),
        many(&|index| scope(&format!("a{index}"), "previousNames: [same]")),
        many(&|index| scope(&format!("a{index}"), &format!("name: {}", spelled(index)))),
        many(&|index| target(&format!("t{index}"))),
        many(&|index| {
            let spec = "{ targetRef: { name: t }, app: { oneLogin: { appId: 1 } }, scopes: [] }";
            document("AppScopeSet", &format!("a{index}"), spec)
        }),
    ];
    for documents in cases {
        let text = format!("{}---\n{}", target("t"), documents.join("---\n"));
        let loaded = super::read(&text);
        assert!(loaded.diagnostics.len() >= 512, "{}", documents[0]);
        for finding in &loaded.diagnostics {
            assert!(finding.message.len() < 200, "{}", finding.message);
            assert!(
                finding.notes.iter().all(|(_, fact)| fact.len() < 300),
                "{:?}",
                finding.notes
            );
        }
    }
}

#[test]
fn every_broken_manifest_of_many_is_found_and_left_out() {
    let document = |index: usize| {
        format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: a{index} }}\nspec: {{ targetRefs: [{{ name: t }}], description: \" \" }}\n"
        )
    };
    let target = "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: { name: t }\nspec: { oneLogin: { url: https://acme.onelogin.com, authorizationServer: { id: 1 } }, credentialsRef: { name: a } }\n";
    let documents: Vec<String> = (0..300).map(document).collect();
    let loaded = super::read(&format!("{target}---\n{}", documents.join("---\n")));
    assert_eq!(loaded.diagnostics.len(), 300);
    assert!(loaded.desired.targets[0].scopes.is_empty());
}
