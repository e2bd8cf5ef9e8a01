//! Overlays of kustomize, `-k DIR`: built by what is there, else said so.

use std::path::PathBuf;
use std::process::Command;

use scopeward::manifest::{self, Loaded, Options};

fn has(program: &str, verb: &str) -> bool {
    let asked = Command::new(program).args([verb, "--help"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Whether anything here builds overlays; a test that cannot run says so.
pub(crate) fn can_build() -> bool {
    let can = has("kustomize", "build") || has("kubectl", "kustomize");
    if !can {
        say("neither kustomize nor kubectl is here, so no overlay was built");
    }
    can
}

fn load(folder: PathBuf) -> Loaded {
    let options = Options {
        overlays: vec![folder],
        ..super::options()
    };
    manifest::load(&[], &options).expect("there are manifests")
}

#[test]
fn an_overlay_is_one_source_whose_references_follow_its_names() {
    if !can_build() {
        return;
    }
    for environment in ["dev", "prod"] {
        let folder = format!("examples/environments/{environment}");
        let loaded = load(super::repository(&folder));
        assert!(
            loaded.complete && loaded.diagnostics.is_empty(),
            "{:?}",
            loaded.diagnostics
        );
        let target = &loaded.desired.targets[0];
        assert_eq!(target.target.id.name, format!("wso2-{environment}"));
        assert_eq!(target.target.credential, format!("wso2-{environment}"));
        let scopes = target.scopes.values();
        let sources: Vec<&str> = scopes.map(|scope| scope.source.file.as_str()).collect();
        let file = format!("{folder}/kustomization.yaml");
        assert_eq!(sources, [file.as_str(), file.as_str()]);
        let read = target.scopes.values().next().expect("a scope");
        assert_eq!(read.protected, environment == "prod");
        assert!(
            read.roles
                .entries
                .keys()
                .any(|role| role.as_str() == "support")
        );
    }
}

#[test]
fn an_overlay_that_does_not_build_is_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let loaded = load(folder.path().to_owned());
    assert_eq!(super::codes(&loaded), ["SW001"]);
    assert!(!loaded.complete);
}

#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn say(text: &str) {
    eprintln!("{text}");
}
