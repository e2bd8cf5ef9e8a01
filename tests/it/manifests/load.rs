//! PATHs into files, and files into names.

use std::fs;
use std::path::{Path, PathBuf};

use scopeward::diagnostic::codes;
use scopeward::manifest::{self, LoadError, Loaded, Options};
use scopeward::model::SourceFile;
use scopeward::render::finding;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::options;

const TARGET: &str = "apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: onelogin }
spec:
  oneLogin: { url: https://acme.onelogin.com, authorizationServer: { id: 1 } }
  credentialsRef: { name: onelogin }
";

/// A scope on the target above.
fn scope(name: &str) -> String {
    format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: {name}, labels: {{ team: {name} }} }}\nspec: {{ targetRefs: [{{ name: onelogin }}] }}\n"
    )
}

/// A repository with these files.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn load(path: PathBuf) -> Loaded {
    manifest::load(&[path], &options()).expect("there are manifests")
}

/// The names of the scopes, and where they are from.
fn scopes(loaded: &Loaded) -> Vec<(String, String)> {
    let targets = loaded.desired.targets.iter();
    targets
        .flat_map(|target| target.scopes.values())
        .map(|scope| (scope.name.to_string(), scope.source.file.to_string()))
        .collect()
}

#[test]
fn the_quick_start_has_no_findings() {
    let loaded = load(super::repository("examples/quickstart"));
    assert_eq!(finding::findings(&loaded.diagnostics, false), "");
    assert!(loaded.complete);
    assert_eq!((loaded.files, loaded.documents), (4, 15));
    let roots: Vec<&str> = loaded.paths().iter().map(SourceFile::as_str).collect();
    assert_eq!(roots, ["examples/quickstart"]);
}

#[test]
fn a_folder_is_read_with_its_folders_and_without_what_is_hidden() {
    let orders = scope("orders");
    let folder = repository(&[
        ("prod/targets.yaml", TARGET),
        ("prod/a/orders.yml", &orders),
        ("prod/sandbox.yaml", "systems: []\n"),
        ("prod/notes.txt", "not: [yaml"),
        ("prod/.hidden/x.yaml", "not: [yaml"),
        ("prod/.hidden.yaml", "not: [yaml"),
        ("other/x.yaml", "not: [yaml"),
    ]);
    let loaded = load(folder.path().join("prod"));
    assert_eq!(finding::findings(&loaded.diagnostics, false), "");
    assert_eq!(
        scopes(&loaded),
        [("orders".to_owned(), "prod/a/orders.yml".to_owned())]
    );
    assert_eq!(loaded.paths()[0].as_str(), "prod");
    assert!(
        loaded.desired.targets[0]
            .scopes
            .values()
            .all(|s| s.source.file.is_inside(&loaded.paths()[0]))
    );
}

#[test]
fn names_are_relative_to_the_folder_that_holds_git() {
    let folder = repository(&[("targets.yaml", TARGET)]);
    let whole = load(folder.path().to_owned());
    assert_eq!(whole.paths()[0].as_str(), ".");
    assert_eq!(
        whole.desired.targets[0].target.source.file.as_str(),
        "targets.yaml"
    );
    let file = load(folder.path().join("targets.yaml"));
    assert_eq!(file.paths()[0].as_str(), "targets.yaml");
}

#[cfg(unix)]
#[test]
fn links_that_go_round_in_circles_end() {
    let orders = scope("orders");
    let folder = repository(&[("a/targets.yaml", TARGET), ("a/b/orders.yaml", &orders)]);
    std::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("a/b/up"))
        .expect("a link");
    let loaded = load(folder.path().join("a"));
    assert_eq!(loaded.files, 2);
    assert!(!loaded.has_errors());
}

#[cfg(unix)]
#[test]
fn a_mounted_config_map_is_read_once() {
    let folder = repository(&[("cm/..2026/targets.yaml", TARGET)]);
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(to, folder.path().join("cm").join(from)).expect("a link");
    };
    link("..2026", "..data");
    link("..data/targets.yaml", "targets.yaml");
    let loaded = load(folder.path().join("cm"));
    assert_eq!(loaded.files, 1);
    assert_eq!(
        loaded.desired.targets[0].target.source.file.as_str(),
        "cm/targets.yaml"
    );
}

#[test]
fn a_path_that_is_not_there_is_told_from_one_without_manifests() {
    let folder = repository(&[
        ("a/values.yaml", "replicas: 3\n"),
        ("b/empty.yaml", "# nothing\n---\n"),
    ]);
    let missing = folder.path().join("missing.yaml");
    let error = manifest::load(&[folder.path().to_owned(), missing.clone()], &options());
    assert_eq!(error.err(), Some(LoadError::NotFound { path: missing }));
    for path in ["a", "b"] {
        let error = manifest::load(&[folder.path().join(path)], &options());
        assert!(
            matches!(error, Err(LoadError::NoDocuments { .. })),
            "{path}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_stops_every_removal() {
    let orders = scope("orders");
    let folder = repository(&[("targets.yaml", TARGET), ("orders.yaml", &orders)]);
    write(
        folder.path(),
        "broken.yaml",
        b"# scopeward.dev/\na: \xff\xfe\n",
    );
    write(folder.path(), "folder.yaml/x.yaml", b"");
    let loaded = load(folder.path().to_owned());
    assert_eq!(super::codes(&loaded), [codes::NOT_UTF8.as_str()]);
    assert_eq!(
        loaded.diagnostics[0].file.as_ref().map(SourceFile::as_str),
        Some("broken.yaml")
    );
    assert!(!loaded.complete);
    assert_eq!(scopes(&loaded).len(), 1);
    let scope = loaded.desired.targets[0]
        .scopes
        .values()
        .next()
        .expect("a scope");
    assert!(!scope.roles.may_shrink);
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_a_file_that_cannot_be_read() {
    let folder = repository(&[("targets.yaml", TARGET)]);
    for link in ["lost.yaml", "lost-folder", "lost.txt"] {
        std::os::unix::fs::symlink("nowhere", folder.path().join(link)).expect("a link");
    }
    let loaded = load(folder.path().to_owned());
    let (dead, unreadable) = (codes::DEAD_LINK.as_str(), codes::UNREADABLE.as_str());
    assert_eq!(super::codes(&loaded), [dead, dead, unreadable]);
    assert!(!loaded.complete);
}

#[cfg(unix)]
#[test]
fn a_folder_that_links_lead_to_is_read_once_under_its_own_name() {
    let orders = scope("orders");
    let folder = repository(&[("b/targets.yaml", TARGET), ("b/orders.yaml", &orders)]);
    // Each level doubles the ways down: without an end to it, this would be a thousand million of them.
    for level in 0..30 {
        for side in ["left", "right"] {
            let from = folder.path().join(format!("a{level}"));
            fs::create_dir_all(&from).expect("a folder");
            let to = match level {
                29 => folder.path().join("b"),
                _ => folder.path().join(format!("a{}", level + 1)),
            };
            std::os::unix::fs::symlink(to, from.join(side)).expect("a link");
        }
    }
    let loaded = load(folder.path().to_owned());
    assert_eq!(finding::findings(&loaded.diagnostics, false), "");
    assert_eq!(
        scopes(&loaded),
        [("orders".to_owned(), "b/orders.yaml".to_owned())]
    );
}

#[test]
fn files_of_two_repositories_with_one_name_are_told_apart() {
    let (one, two) = (
        repository(&[("t.yaml", TARGET)]),
        repository(&[("t.yaml", &scope("orders"))]),
    );
    let paths = [one.path().to_owned(), two.path().to_owned()];
    let loaded = manifest::load(&paths, &options()).expect("there are manifests");
    assert!(loaded.complete && loaded.diagnostics.is_empty());
    let real = std::fs::canonicalize(two.path()).expect("a folder");
    let shown = real.join("t.yaml").display().to_string();
    assert_eq!(scopes(&loaded), [("orders".to_owned(), shown)]);
}

#[test]
fn a_file_without_end_is_refused() {
    let folder = repository(&[("targets.yaml", TARGET)]);
    write(folder.path(), "large.yaml", &vec![b'#'; 17 * 1024 * 1024]);
    let loaded = load(folder.path().to_owned());
    assert_eq!(super::codes(&loaded), [codes::TOO_LARGE.as_str()]);
    assert!(!loaded.complete);
    let many = "a: 1\n---\n".repeat(50_001);
    assert_eq!(
        super::codes(&super::read(&many)),
        [codes::TOO_MANY_DOCUMENTS.as_str()]
    );
}

#[test]
fn the_same_file_twice_is_read_once() {
    let folder = repository(&[("targets.yaml", TARGET)]);
    let paths = [folder.path().to_owned(), folder.path().join("targets.yaml")];
    let loaded = manifest::load(&paths, &options()).expect("there are manifests");
    assert_eq!(loaded.files, 1);
    assert!(!loaded.has_errors());
    let roots: Vec<&str> = loaded.paths().iter().map(SourceFile::as_str).collect();
    assert_eq!(roots, [".", "targets.yaml"]);
}

#[test]
fn a_selector_chooses_manifests_and_keeps_targets() {
    let (orders, sales) = (scope("orders"), scope("sales"));
    let folder = repository(&[
        ("targets.yaml", TARGET),
        ("orders.yaml", &orders),
        ("sales.yaml", &sales),
    ]);
    let select = |text: &str| {
        let options = Options {
            selector: Some(text.parse().expect("a selector")),
            ..options()
        };
        manifest::load(&[folder.path().to_owned()], &options)
    };
    let loaded = select("team=sales").expect("there are manifests");
    assert!(loaded.filtered && loaded.complete);
    assert_eq!(loaded.selected, 1);
    assert_eq!(
        scopes(&loaded),
        [("sales".to_owned(), "sales.yaml".to_owned())]
    );
    assert_eq!(
        select("team=nobody").err(),
        Some(LoadError::NothingSelected)
    );
    assert!("team".parse::<manifest::Selector>().is_err());
    assert!("=x".parse::<manifest::Selector>().is_err());
}

#[test]
fn other_documents_are_notes_and_under_strict_errors() {
    let text = "apiVersion: apps/v1\nkind: Deployment\n---\nreplicas: 3\n";
    let folder = repository(&[("targets.yaml", &format!("{TARGET}---\n{text}"))]);
    let loaded = load(folder.path().to_owned());
    assert_eq!(super::codes(&loaded), [codes::OTHER_API.as_str()]);
    assert!(loaded.complete && !loaded.has_errors());
    assert_eq!(loaded.skipped, 2);
    let strict = Options {
        strict: true,
        ..options()
    };
    let loaded = manifest::load(&[folder.path().to_owned()], &strict).expect("there are manifests");
    assert_eq!(
        loaded
            .diagnostics
            .iter()
            .filter(|finding| finding.is_error())
            .count(),
        2
    );
    assert!(!loaded.complete);
}

#[test]
fn secrets_are_read_and_never_shown() {
    let text = r#"apiVersion: v1
kind: Secret
metadata: { name: onelogin, namespace: iam }
data:
  clientId: c2FuZA==
  clientSecret: >-
    aHVu
    dGVyMg==
stringData: { clientId: box, note: "not hunter2 either" }
"#;
    let target = "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: { name: any, namespace: iam }\nspec: { oneLogin: { url: \"https://acme.onelogin.com\", authorizationServer: { id: 1 } }, credentialsRef: { name: onelogin } }\n";
    let folder = repository(&[("secret.yaml", text), ("targets.yaml", target)]);
    let loaded = load(folder.path().to_owned());
    let secret = &loaded.secrets[0];
    assert_eq!(
        (
            secret.source.namespace.as_str(),
            secret.source.name.as_str()
        ),
        ("iam", "onelogin")
    );
    assert_eq!(secret.keys["clientId"].expose_secret(), "box");
    assert_eq!(secret.keys["clientSecret"].expose_secret(), "hunter2");
    assert!(!format!("{loaded:?}").contains("hunter2"));
}
