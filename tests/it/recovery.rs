//! The commands of `docs/recovery.md`, each section on a case like the one that it is for.

use std::fs;

use serde_json::json;

use crate::support::*;

/// The commands of a section, without the program's name.
fn commands(section: &str) -> Vec<Vec<&'static str>> {
    let page = include_str!("../../docs/recovery.md");
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let text = rest.split("\n## ").next().unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("$ scopeward "));
    let commands: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    assert!(!commands.is_empty(), "{section}");
    commands
}

/// Runs a command of the page where nobody can be asked.
fn run(case: &Case, command: &[&str]) -> Ran {
    let yes: &[&str] = match command[0] {
        "apply" | "sync" => &["--yes"],
        _ => &[],
    };
    case.run(&[command, yes].concat())
}

fn run_all(case: &Case, section: &str) {
    for command in commands(section) {
        run(case, &command).exits(DONE);
    }
}

fn scopes(names: &[&str]) -> String {
    let scope = |name: &&str| scope("onelogin", name, "description: D");
    names.iter().map(scope).collect()
}

/// A repository with two scopes in `iam/`, both made by a run.
fn case() -> Case {
    let case = Case::of([one_login("")]);
    fs::create_dir(case.path().join(".git")).unwrap();
    case.rename("targets/onelogin.yaml", "iam/target.yaml");
    case.write("iam/scopes.yaml", scopes(&["a", "b"]));
    run(&case, &["sync", "iam", "--new-inventory"]).exits(DONE);
    case.forget_requests();
    case
}

/// Takes the manifest of `b` away, which is the end of a scope that is ours.
fn b_goes_with_its_manifest(case: &Case, folder: &str) {
    case.write(&format!("{folder}/scopes.yaml"), scopes(&["a"]));
    run(case, &["sync", folder]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_lost_inventory_is_had_again_by_adopting() {
    let case = case();
    case.lose_inventory();
    run(&case, &["sync", "iam"])
        .exits(REFUSED)
        .says("new_inventory");
    run_all(&case, "The inventory is lost");
    assert_eq!(case.writes(), 0);
    b_goes_with_its_manifest(&case, "iam");
}

#[test]
fn what_was_deleted_is_made_again() {
    let case = case();
    b_goes_with_its_manifest(&case, "iam");
    assert!(
        case.read(".scopeward/audit.jsonl")
            .lines()
            .any(|line| line.contains("delete"))
    );
    case.write("iam/scopes.yaml", scopes(&["a", "b"]));
    run_all(&case, "Something was deleted that is still needed");
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn an_inventory_in_use_is_free_when_its_run_has_ended() {
    let case = case();
    case.write("iam/scopes.yaml", scopes(&["a", "b", "c"]));
    case.fail(json!([{ "method": "POST", "token": false, "times": 1, "fault": { "hold": {} } }]));
    let first = case.start(&["sync", "iam", "--yes"], None);
    case.wait_until_held();
    run(&case, &["sync", "iam"]).exits(FAILED).says("in use by");
    first.kill();
    case.heal();
    run_all(&case, "The inventory is in use");
    assert_eq!(case.scopes(), ["a", "b", "c"]);
}

#[test]
fn a_renamed_folder_is_handed_over() {
    let case = case();
    for file in ["target.yaml", "scopes.yaml"] {
        case.rename(&format!("iam/{file}"), &format!("teams/iam/{file}"));
    }
    fs::remove_dir(case.path().join("iam")).unwrap();
    run_all(&case, "A folder was renamed");
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["a".to_owned(), "b".to_owned()], 0)
    );
    b_goes_with_its_manifest(&case, "teams/iam");
}

#[test]
fn a_repository_that_moved_keeps_what_it_holds() {
    let case = case();
    let origin = |name: &str| {
        let url = format!("https://git.example/acme/{name}");
        case.write(
            ".git/config",
            format!("[remote \"origin\"]\n url = {url}\n"),
        );
    };
    origin("old");
    run(&case, &["sync", "iam"]).exits(DONE);
    origin("iam");
    run(&case, &["sync", "iam"])
        .exits(REFUSED)
        .says("rename-repository");
    run_all(&case, "The repository moved");
    assert_eq!(case.writes(), 0);
    b_goes_with_its_manifest(&case, "iam");
}

#[test]
fn what_is_released_stays() {
    let case = case();
    case.write("iam/scopes.yaml", scopes(&["a"]));
    run_all(&case, "An object is to stay, and to be managed no more");
    assert_eq!(case.scopes(), ["a", "b"]);
    assert_eq!(case.owned(), ["a created"]);
}
