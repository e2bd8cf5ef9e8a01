//! Files among the manifests that are somebody else's, and secrets that stand where none belong.

use std::fs;
use std::path::Path;

use scopeward::manifest::{self, Loaded, Options};
use scopeward::render::finding;
use tempfile::TempDir;

const TARGET: &str = "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: { name: wso2 }\nspec: { wso2: { url: \"https://wso2.example.com\", api: ScopeRegistration }, credentialsRef: { name: wso2 } }\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    for (name, text) in [("targets.yaml", TARGET)].iter().chain(files) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load(path: &Path) -> Loaded {
    manifest::load(&[path.to_owned()], &super::options()).expect("there are manifests")
}

fn shown(loaded: &Loaded) -> String {
    finding::findings(&loaded.diagnostics, false)
}

#[test]
fn files_that_are_somebody_elses_are_one_note_whatever_their_syntax() {
    let folder = folder(&[
        (
            "chart/templates/x.yaml",
            "{{- if .Values.on }}\nkind: Deployment\n{{- end }}\n",
        ),
        ("playbook.yaml", "- hosts: all\n"),
        ("latin.yml", "name: plain\n"),
        ("sandbox.yaml", "systems: []\n"),
    ]);
    fs::write(folder.path().join("latin.yml"), b"name: caf\xe9\n").expect("a file");
    let loaded = load(folder.path());
    assert!(loaded.complete);
    insta::assert_snapshot!(shown(&loaded), @r"
    note[SW009]: 3 files are not ours, and skipped: nothing in them is of `scopeward.dev/`
     |
     = files: chart/templates/x.yaml, latin.yml, playbook.yaml
     = help: `.scopewardignore` leaves files out without a word
    ");
    let strict = Options {
        strict: true,
        ..super::options()
    };
    let strict = manifest::load(&[folder.path().to_owned()], &strict).expect("there are manifests");
    assert!(strict.has_errors() && !strict.complete);
}

#[test]
fn what_stands_on_the_command_line_is_ours_whatever_it_holds() {
    let folder = folder(&[("playbook.yaml", "- hosts: all\n")]);
    let paths = ["targets.yaml", "playbook.yaml"].map(|name| folder.path().join(name));
    let loaded = manifest::load(&paths, &super::options()).expect("there are manifests");
    assert_eq!(super::codes(&loaded), ["SW008"]);
}

#[test]
fn an_ignore_file_leaves_paths_out_without_a_word() {
    let folder = folder(&[
        ("chart/values.yaml", "a: 1\n"),
        ("docs/x.yaml", "a: 1\n"),
        ("docs/keep.yaml", TARGET),
        (".scopewardignore", "chart/\ndocs/*\n!docs/keep.yaml\n"),
        (".gitignore", "targets.yaml\n"),
    ]);
    let loaded = load(folder.path());
    assert_eq!(super::codes(&loaded), ["SW111", "SW111"]);
}

#[test]
fn a_note_on_a_document_of_somebody_else_quotes_nothing_of_it() {
    let mixed = format!("{TARGET}---\nkind: pa55word\napiVersion: hunter2/v1\n---\nhunter3: 1\n");
    let folder = folder(&[(
        "mixed.yaml",
        &mixed.replace("name: wso2 }", "name: other }"),
    )]);
    let text = shown(&load(folder.path()));
    assert!(
        text.contains("mixed.yaml") && !text.contains("pa55word"),
        "{text}"
    );
    assert!(!text.contains("hunter"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_file_that_a_link_leads_out_of_the_repository_to_is_never_quoted() {
    let outside = tempfile::tempdir().expect("a folder");
    let text = "# scopeward.dev/\nkind: Target\napiVersion: scopeward.dev/v1alpha1\nspec: { hunter2: 1 }\n";
    fs::write(outside.path().join("runner.yaml"), text).expect("a file");
    let folder = folder(&[]);
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink(outside.path().join("runner.yaml"), link).expect("a link");
    let loaded = load(folder.path());
    let text = shown(&loaded);
    assert!(loaded.has_errors() && text.contains("link.yaml"), "{text}");
    assert!(!text.contains("spec: {"), "{text}");
}

#[test]
fn a_secret_is_read_only_where_a_target_names_it() {
    let secret = |name: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\ndata: {{ username: {value} }}\n"
        )
    };
    let folder = folder(&[
        ("ours.yaml", &secret("wso2", "YWRtaW4=")),
        ("theirs.yaml", &secret("database", "\"not base64!\"")),
    ]);
    let loaded = load(folder.path());
    let names: Vec<&str> = loaded
        .secrets
        .iter()
        .map(|secret| secret.source.name.as_str())
        .collect();
    assert_eq!(names, ["wso2"]);
    assert!(loaded.complete, "{}", shown(&loaded));
}

#[test]
fn a_secret_that_stands_where_none_belongs_is_not_echoed() {
    let place = |from: &str, to: &str| shown(&super::read(&TARGET.replace(from, to)));
    let spec = "credentialsRef: { name: wso2 }";
    for text in [
        place(spec, "credentialsRef: { name: wso2, password: hunter2 }"),
        place(
            spec,
            "credentialsRef: { name: wso2, client_secret: hunter2 }",
        ),
        place("wso2.example.com", "wso2.example.com/?token=hunter2"),
        place("wso2.example.com", "ann:hunter2@wso2.example.com"),
        place("wso2.example.com", "wso2.example.com/#hunter2"),
    ] {
        assert!(
            text.starts_with("error") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
