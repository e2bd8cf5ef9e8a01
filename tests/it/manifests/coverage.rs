//! Absence counts only where it was looked for: which recorded files a run covers, and what it says of the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scopeward::manifest::{self, LoadError, Loaded, Options};
use scopeward::model::{
    Covered, LiveIdentity, ManifestRef, NotRead, Origin, Owned, OwnedScope, Repository, ScopeName,
    SourceFile, TargetId,
};
use tempfile::TempDir;

const TARGET: &str = "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: { name: wso2 }\nspec: { wso2: { url: \"https://wso2.example.com\", api: ScopeRegistration }, credentialsRef: { name: wso2 } }\n";

fn scope(name: &str) -> String {
    format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Scope\nmetadata: {{ name: {name} }}\nspec: {{ targetRefs: [{{ name: wso2 }}] }}\n"
    )
}

/// A checkout of `github.com/acme/iam` with these files.
fn checkout(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    origin(folder.path(), "https://github.com/acme/iam.git");
    write(folder.path(), "targets.yaml", TARGET);
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn origin(folder: &Path, url: &str) {
    write(
        folder,
        ".git/config",
        &format!("[remote \"origin\"]\n\turl = {url}\n"),
    );
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn load(paths: &[PathBuf]) -> Loaded {
    manifest::load(paths, &super::options()).expect("there are manifests")
}

fn whole(folder: &TempDir) -> Loaded {
    load(&[folder.path().to_owned()])
}

fn iam() -> Repository {
    Repository::named("github.com/acme/iam").expect("a name")
}

/// What a run says of a file of `github.com/acme/iam` that the inventory names as the source of the scope `old`.
fn covered(loaded: &Loaded, path: &str) -> Covered {
    let file = SourceFile::new(path).of(iam());
    loaded.cover([(&target(), &recorded(&file))]).of(&file)
}

fn target() -> TargetId {
    TargetId::from("wso2".to_owned())
}

fn recorded(file: &SourceFile) -> Owned {
    let mut owned = Owned::default();
    owned.scopes.insert(
        ScopeName::observed("old"),
        OwnedScope {
            origin: Origin::Created,
            remote_id: None,
            source: old(file),
            deletion_policy: scopeward::model::DeletionPolicy::default(),
            protected: false,
            applied: scopeward::model::LastApplied::default(),
            hold_until: None,
            renamed_from: std::collections::BTreeSet::default(),
            parked_for: None,
            vanished_at: None,
            wanted_by: None,
        },
    );
    owned
}

fn old(file: &SourceFile) -> ManifestRef {
    ManifestRef {
        file: file.clone(),
        kind: "Scope".to_owned(),
        namespace: "default".to_owned(),
        name: "old".to_owned(),
    }
}

/// The file outside the PATHs to which the recorded scope `old` of `path` has moved, as a run says.
fn moved_to(loaded: &Loaded, path: &str) -> Option<String> {
    let file = SourceFile::new(path).of(iam());
    let coverage = loaded.cover([(&target(), &recorded(&file))]);
    let found = coverage.scope_moved_to(None, &ScopeName::observed("old"), &old(&file));
    found.map(|file| file.path().to_owned())
}

#[test]
fn a_file_is_known_by_the_origin_of_its_checkout_and_its_path_there() {
    let folder = checkout(&[("iam/a.yaml", &scope("a"))]);
    let loaded = load(&[
        folder.path().join("targets.yaml"),
        folder.path().join("iam"),
    ]);
    assert_eq!(covered(&loaded, "iam/a.yaml"), Covered::Read);
    let elsewhere =
        SourceFile::new("iam/a.yaml").of(Repository::named("github.com/acme/shop").unwrap());
    let coverage = loaded.cover([(&target(), &recorded(&elsewhere))]);
    assert_eq!(
        coverage.of(&elsewhere),
        Covered::NotRead(NotRead::OtherRepository)
    );
}

#[test]
fn what_an_included_file_says_of_the_origin_counts_nothing() {
    let folder = checkout(&[]);
    write(
        folder.path(),
        "other",
        "[remote \"origin\"]\n\turl = https://github.com/acme/shop\n",
    );
    write(
        folder.path(),
        ".git/config",
        "[include]\n\tpath = ../other\n",
    );
    let loaded = whole(&folder);
    let real = fs::canonicalize(folder.path()).expect("a folder");
    let repository = loaded.paths()[0].repository().expect("a repository");
    assert_eq!(repository.as_str(), real.display().to_string());
}

#[test]
fn a_worktree_is_of_the_repository_that_it_belongs_to() {
    let main = checkout(&[]);
    let own = main.path().join(".git/worktrees/one");
    write(&own, "commondir", "../..\n");
    let tree = tempfile::tempdir().expect("a folder");
    write(tree.path(), ".git", &format!("gitdir: {}\n", own.display()));
    write(tree.path(), "targets.yaml", TARGET);
    assert_eq!(covered(&whole(&tree), "targets.yaml"), Covered::Read);
}

#[test]
fn a_nested_repository_is_one_of_its_own() {
    let folder = checkout(&[("sub/a.yaml", &scope("a"))]);
    origin(&folder.path().join("sub"), "git@github.com:acme/sub.git");
    let loaded = whole(&folder);
    let inner = SourceFile::new("a.yaml").of(Repository::named("github.com/acme/sub").unwrap());
    let coverage = loaded.cover([(&target(), &recorded(&inner))]);
    assert_eq!(coverage.of(&inner), Covered::Read);
    let named = Options {
        repository: Some(iam()),
        ..super::options()
    };
    let refused = manifest::load(&[folder.path().to_owned()], &named);
    assert!(matches!(refused, Err(LoadError::SeveralRoots { .. })));
}

#[test]
fn a_name_on_the_command_line_is_the_repositorys() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), ".git/HEAD", "");
    write(folder.path(), "targets.yaml", TARGET);
    let named = Options {
        repository: Some(iam()),
        ..super::options()
    };
    let loaded = manifest::load(&[folder.path().to_owned()], &named).expect("a manifest");
    assert_eq!(covered(&loaded, "targets.yaml"), Covered::Read);
}

#[test]
fn every_spelling_of_the_ending_and_a_file_named_sandbox_are_read() {
    let folder = checkout(&[
        ("a.YAML", &scope("a")),
        ("b.Yml", &scope("b")),
        ("sandbox.yaml", &scope("c")),
    ]);
    let loaded = whole(&folder);
    assert!(loaded.diagnostics.is_empty());
    assert_eq!(loaded.desired.targets[0].scopes.len(), 3);
    for file in ["a.YAML", "b.Yml", "sandbox.yaml"] {
        assert_eq!(covered(&loaded, file), Covered::Read, "{file}");
    }
}

#[test]
fn what_is_passed_over_is_not_taken_for_read_or_gone() {
    let folder = checkout(&[
        ("a.json", &scope("old")),
        ("left/a.yaml", &scope("old")),
        ("foreign.yaml", "kind: Deployment\n"),
        (".scopewardignore", "left/\n"),
    ]);
    let loaded = whole(&folder);
    assert_eq!(loaded.desired.targets[0].scopes.len(), 0);
    for file in ["a.json", "left/a.yaml", "foreign.yaml"] {
        let passed = Covered::NotRead(NotRead::PassedOver);
        assert_eq!(covered(&loaded, file), passed, "{file}");
    }
    // An ignore file above the PATH holds below it.
    write(folder.path(), "left/targets.yaml", TARGET);
    let inside = manifest::load(&[folder.path().join("left")], &super::options());
    assert!(inside.is_ok(), "what is named is read");
}

#[test]
fn an_emptied_file_is_read_and_declares_nothing() {
    let folder = checkout(&[("a.yaml", "# nothing any more\n---\n")]);
    assert_eq!(covered(&whole(&folder), "a.yaml"), Covered::Read);
}

#[test]
fn a_file_that_is_gone_counts_inside_the_paths_alone() {
    let folder = checkout(&[("iam/a.yaml", &scope("a"))]);
    let loaded = whole(&folder);
    assert_eq!(covered(&loaded, "gone.yaml"), Covered::Gone);
    assert_eq!(covered(&loaded, "iam/a.yaml/b.yaml"), Covered::Gone);
    let narrow = load(&[
        folder.path().join("targets.yaml"),
        folder.path().join("iam"),
    ]);
    assert_eq!(covered(&narrow, "iam/gone.yaml"), Covered::Gone);
    assert_eq!(covered(&narrow, "gone.yaml"), Covered::GoneOutside);
    write(folder.path(), "there.yaml", &scope("old"));
    assert_eq!(
        covered(&narrow, "there.yaml"),
        Covered::NotRead(NotRead::Outside)
    );
}

#[test]
fn a_file_that_was_read_by_another_name_is_read() {
    let folder = checkout(&[("a.yaml", &scope("a"))]);
    fs::hard_link(folder.path().join("a.yaml"), folder.path().join("b.yaml")).expect("a link");
    let loaded = whole(&folder);
    assert!(!loaded.has_errors());
    assert_eq!(covered(&loaded, "b.yaml"), Covered::Read);
}

#[cfg(unix)]
#[test]
fn below_a_link_that_leads_nowhere_nothing_is_gone() {
    use std::os::unix::fs::symlink;
    let folder = checkout(&[]);
    symlink("/nowhere/at/all", folder.path().join("v1.2")).expect("a link");
    let loaded = whole(&folder);
    assert_eq!(super::codes(&loaded), ["SW015"]);
    assert!(loaded.complete, "it is a warning");
    assert_eq!(
        covered(&loaded, "v1.2/a.yaml"),
        Covered::NotRead(NotRead::DeadLink)
    );
    assert_eq!(covered(&loaded, "gone/a.yaml"), Covered::Gone);
    symlink("/nowhere/at/all.yaml", folder.path().join("a.yaml")).expect("a link");
    let loaded = whole(&folder);
    assert!(!loaded.complete, "it may be a manifest");
    assert_eq!(
        covered(&loaded, "a.yaml"),
        Covered::NotRead(NotRead::PassedOver)
    );
}

#[test]
fn in_a_submodule_that_is_not_checked_out_nothing_is_gone() {
    let folder = checkout(&[(
        ".gitmodules",
        "[submodule \"sub\"]\n\tpath = sub\n\turl = ../sub\n",
    )]);
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let loaded = whole(&folder);
    assert_eq!(super::codes(&loaded), ["SW016"]);
    assert_eq!(
        covered(&loaded, "sub/a.yaml"),
        Covered::NotRead(NotRead::NotCheckedOut)
    );
    assert_eq!(covered(&loaded, "empty/a.yaml"), Covered::Gone);
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_not_gone() {
    let folder = checkout(&[("in/a.yaml", &scope("a")), ("out/b.yaml", &scope("old"))]);
    fs::remove_dir_all(folder.path().join(".git")).expect("a folder");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"];
        let mut command = Command::new("git");
        command.args(identity).arg(folder.path()).args(arguments);
        command.output().is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q"]) {
        say("git is not here, so sparse checkouts were not looked at");
        return;
    }
    assert!(git(&[
        "remote",
        "add",
        "origin",
        "https://github.com/acme/iam"
    ]));
    assert!(git(&["add", "."]) && git(&["commit", "-qm", "all"]));
    assert!(git(&["sparse-checkout", "set", "in"]));
    assert!(!folder.path().join("out").exists());
    let loaded = whole(&folder);
    assert_eq!(
        covered(&loaded, "out/b.yaml"),
        Covered::NotRead(NotRead::LeftOut)
    );
    assert_eq!(covered(&loaded, "in/gone.yaml"), Covered::Gone);
    // Where git cannot answer, everything may be there.
    fs::write(folder.path().join(".git/index"), "broken").expect("a file");
    assert_eq!(
        covered(&loaded, "in/gone.yaml"),
        Covered::NotRead(NotRead::LeftOut)
    );
}

#[test]
fn a_path_that_is_gone_is_an_empty_folder_only_where_something_lay_there() {
    let folder = checkout(&[]);
    let paths = [
        folder.path().join("targets.yaml"),
        folder.path().join("old"),
    ];
    let refused = manifest::load(&paths, &super::options());
    assert!(matches!(refused, Err(LoadError::NotFound { .. })));
    let known = Options {
        recorded: [SourceFile::new("old/a.yaml").of(iam())].into(),
        ..super::options()
    };
    let loaded = manifest::load(&paths, &known).expect("there are manifests");
    assert_eq!(super::codes(&loaded), ["SW014"]);
    assert_eq!(covered(&loaded, "old/a.yaml"), Covered::Gone);
    // Without a checkout around it, it may never have been there.
    fs::remove_dir_all(folder.path().join(".git")).expect("a folder");
    assert!(manifest::load(&paths, &known).is_err());
}

#[test]
fn two_repositories_in_one_run_are_told_apart() {
    let (iam, shop) = (checkout(&[("a.yaml", &scope("a"))]), checkout(&[]));
    origin(shop.path(), "https://github.com/acme/shop");
    fs::remove_file(shop.path().join("targets.yaml")).expect("a file");
    write(shop.path(), "a.yaml", &scope("b"));
    let loaded = load(&[iam.path().to_owned(), shop.path().to_owned()]);
    assert!(loaded.complete && loaded.diagnostics.is_empty());
    let scopes = loaded.desired.targets[0].scopes.values();
    let shown: Vec<String> = scopes.map(|scope| scope.source.file.to_string()).collect();
    assert_eq!(
        shown,
        ["github.com/acme/iam/a.yaml", "github.com/acme/shop/a.yaml"]
    );
}

#[test]
fn what_moved_to_a_folder_that_runs_apart_is_found_there() {
    let folder = checkout(&[
        ("one/other.yaml", &scope("other")),
        ("two/a.yaml", &scope("old")),
    ]);
    let one = [
        folder.path().join("targets.yaml"),
        folder.path().join("one"),
    ];
    assert_eq!(
        moved_to(&load(&one), "one/old.yaml").as_deref(),
        Some("two/a.yaml")
    );
    // The object is what counts, whatever its manifest is called now.
    let renamed = scope("renamed").replace("targetRefs", "name: old, targetRefs");
    write(folder.path(), "two/a.yaml", &renamed);
    assert_eq!(
        moved_to(&load(&one), "one/old.yaml").as_deref(),
        Some("two/a.yaml")
    );
    // Where references lead nowhere, the manifest's name has to do.
    write(
        folder.path(),
        "two/a.yaml",
        &scope("old").replace("name: wso2", "name: nobody"),
    );
    assert_eq!(
        moved_to(&load(&one), "one/old.yaml").as_deref(),
        Some("two/a.yaml")
    );
    // Another scope under that name is another thing.
    write(
        folder.path(),
        "two/a.yaml",
        &scope("old").replace("targetRefs", "name: new, targetRefs"),
    );
    assert_eq!(moved_to(&load(&one), "one/old.yaml"), None);
}

#[test]
fn a_move_is_seen_where_each_folder_has_a_target_of_its_own() {
    // The same live place, declared in both folders under one name.
    let folder = checkout(&[
        ("one/target.yaml", TARGET),
        ("one/other.yaml", &scope("other")),
        ("two/target.yaml", TARGET),
        (
            "two/a.yaml",
            &scope("renamed").replace("targetRefs", "name: old, targetRefs"),
        ),
    ]);
    fs::remove_file(folder.path().join("targets.yaml")).unwrap();
    let one = || load(&[folder.path().join("one")]);
    assert_eq!(moved_at(&one(), WSO2).as_deref(), Some("two/a.yaml"));
    // Another live place under the same names, as environments are laid out.
    let staging = TARGET.replace("wso2.example.com", "staging.example.com");
    write(folder.path(), "two/target.yaml", &staging);
    write(folder.path(), "two/a.yaml", &scope("old"));
    assert_eq!(moved_at(&one(), WSO2), None);
    // Two such environments beside each other do not hide what either declares.
    write(folder.path(), "three/targets/target.yaml", TARGET);
    write(folder.path(), "three/scopes/a.yaml", &scope("old"));
    assert_eq!(
        moved_at(&one(), WSO2).as_deref(),
        Some("three/scopes/a.yaml")
    );
}

#[test]
fn a_move_is_seen_under_a_new_name_and_in_a_file_that_is_broken() {
    let folder = checkout(&[
        ("one/other.yaml", &scope("other")),
        (
            "two/a.yaml",
            &scope("new").replace("targetRefs", "previousNames: [old], targetRefs"),
        ),
    ]);
    let one = || {
        load(&[
            folder.path().join("targets.yaml"),
            folder.path().join("one"),
        ])
    };
    let two = Some("two/a.yaml".to_owned());
    assert_eq!(moved_at(&one(), WSO2), two);
    let conflict = format!("<<<<<<< HEAD\n{}=======\n", scope("old"));
    write(folder.path(), "two/a.yaml", &conflict);
    assert_eq!(moved_at(&one(), WSO2), two);
    // A schema's error in a manifest of another name.
    let unknown = scope("renamed").replace("targetRefs", "name: old, nosuch: 1, targetRefs");
    write(folder.path(), "two/a.yaml", &unknown);
    assert_eq!(moved_at(&one(), WSO2), two);
    // What does not mention it says nothing of it.
    write(folder.path(), "two/a.yaml", "scopeward.dev/v1alpha1: [");
    assert_eq!(moved_at(&one(), WSO2), None);
}

const WSO2: &str = "https://wso2.example.com";

/// The same for a live place.
fn moved_at(loaded: &Loaded, url: &str) -> Option<String> {
    let file = SourceFile::new("one/old.yaml").of(iam());
    let coverage = loaded.cover([(&target(), &recorded(&file))]);
    let place = LiveIdentity::new(format!("wso2 {url} carbon.super ScopeRegistration"));
    let found = coverage.scope_moved_to(Some(&place), &ScopeName::observed("old"), &old(&file));
    found.map(|file| file.path().to_owned())
}

#[test]
fn kustomizes_own_file_is_read_by_an_overlay_alone() {
    let patch = format!(
        "patches:\n- patch: |\n{}",
        scope("old").replace('\n', "\n    ")
    );
    let folder = checkout(&[("over/kustomization.yaml", &patch)]);
    let loaded = whole(&folder);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert_eq!(
        covered(&loaded, "over/kustomization.yaml"),
        Covered::NotRead(NotRead::PassedOver)
    );
}

#[test]
fn what_an_overlay_is_made_from_declares_nothing_by_itself() {
    if !super::overlays::can_build() {
        return;
    }
    let patch = format!(
        "{}$patch: delete\n",
        scope("old").replace("spec: { targetRefs: [{ name: wso2 }] }\n", "")
    );
    let folder = checkout(&[
        (
            "base/kustomization.yaml",
            "resources: [old.yaml, kept.yaml, targets.yaml]",
        ),
        ("base/targets.yaml", TARGET),
        ("base/old.yaml", &scope("old")),
        ("base/kept.yaml", &scope("kept")),
        (
            "over/kustomization.yaml",
            "resources: [../base]\npatches:\n- path: drop.yaml\n",
        ),
        ("over/drop.yaml", &patch),
    ]);
    fs::remove_file(folder.path().join("targets.yaml")).expect("it is there");
    let over = || {
        let options = Options {
            overlays: vec![folder.path().join("over")],
            ..super::options()
        };
        manifest::load(&[], &options).expect("there are manifests")
    };
    let loaded = over();
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert_eq!(loaded.desired.targets[0].scopes.len(), 1);
    assert_eq!(moved_to(&loaded, "over/kustomization.yaml"), None);
    // A file of nobody's overlay does.
    write(folder.path(), "beside/old.yaml", &scope("old"));
    assert_eq!(
        moved_to(&over(), "over/kustomization.yaml").as_deref(),
        Some("beside/old.yaml")
    );
}

#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn say(text: &str) {
    eprintln!("{text}");
}
