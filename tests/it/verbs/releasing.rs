//! `release` and `inventory`: the ways out that refusals name.

use crate::support::manifest::{document, scope_spec};
use crate::support::*;

fn made() -> Case {
    let case = Case::of([wso2("scopes: []")]);
    case.write(
        "scopes.yaml",
        scope("wso2", "a", "description: A, protected: true")
            + &scope("wso2", "b", "description: B"),
    );
    case.first_sync().exits(DONE);
    case
}

#[test]
fn what_is_released_stays_live_and_is_not_ours_any_more() {
    let case = made();
    case.write("scopes.yaml", scope("wso2", "b", "description: B"));
    case.sync(&[]).exits(REFUSED).says("scopeward release");
    case.run(&["release", ".", "--only", "Scope/a"])
        .exits(DONE)
        .says("released   scope a on default/wso2; the live object stays");
    assert_eq!(case.owned(), ["b created"]);
    case.sync(&[]).exits(DONE);
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn releasing_what_nothing_holds_says_where_to_look() {
    let case = made();
    case.run(&["release", ".", "--only", "Scope/nosuch"])
        .exits(FAILED)
        .says("the inventory holds nothing for Scope/nosuch")
        .says("scopeward inventory show .");
    case.run(&[
        "release",
        ".",
        "--only",
        "Scope/a",
        "--only",
        "Scope/nosuch",
    ])
    .exits(PARTIAL);
    case.run(&["release", ".", "--only", "Scope/b", "--target", "other"])
        .exits(FAILED);
    assert_eq!(case.owned(), ["b created"]);
}

#[test]
fn what_two_manifests_of_one_name_hold_is_listed_and_not_released() {
    let case = made();
    case.run(&["inventory", "rename-repository", "/", "github.com/acme/iam"])
        .exits(DONE);
    case.write(
        "scopes.yaml",
        document("Scope", "a", &scope_spec("wso2", "c", "description: C")),
    );
    case.sync(&[]).exits(DONE);
    let owned = ["a created", "b created", "c created"];
    assert_eq!(case.owned(), owned);
    case.run(&["release", ".", "--only", "Scope/b", "--only", "Scope/a"])
        .exits(USAGE)
        .says("--only Scope/a: several manifests of that name hold something")
        .says("scope a on default/wso2 (Scope/default/a")
        .says("scopes.yaml of github.com/acme/iam)")
        .says("scope c on default/wso2 (Scope/default/a")
        .says("scopes.yaml of /)")
        .says("--target");
    assert_eq!(case.owned(), owned);
    // One that nobody else has the name of is released, whatever repository it is of.
    case.run(&["release", ".", "--only", "Scope/b"]).exits(DONE);
    assert_eq!(case.owned(), ["a created", "c created"]);
}

#[test]
fn the_inventory_is_shown_with_the_manifests_that_hold_each_object() {
    let case = made();
    case.run(&["inventory", "show"])
        .exits(DONE)
        .says("created  scope a")
        .says("Scope/default/a")
        .says("protected")
        .says("Managed: 2 objects.");
}

#[test]
fn a_repository_that_moved_keeps_what_it_holds_once_it_is_renamed() {
    let case = made();
    let old = case.entry("a")["source"]["repository"]
        .as_str()
        .unwrap()
        .to_owned();
    case.run(&[
        "inventory",
        "rename-repository",
        &old,
        "github.com/acme/iam",
    ])
    .exits(DONE)
    .says("is github.com/acme/iam from here on");
    assert_eq!(
        case.entry("b")["source"]["repository"],
        "github.com/acme/iam"
    );
    // What this checkout declares is held by another repository now.
    case.sync(&[]).exits(REFUSED).says("github.com/acme/iam");
    case.run(&[
        "inventory",
        "rename-repository",
        "github.com/acme/iam",
        &old,
    ])
    .exits(DONE);
    case.sync(&[]).exits(DONE);
    case.run(&["inventory", "rename-repository", "github.com/no/such", &old])
        .exits(FAILED);
}

#[test]
fn a_folder_that_becomes_a_checkout_with_an_origin_keeps_what_it_holds() {
    let case = made();
    let by_path = case.entry("b")["source"].clone();
    assert_eq!(by_path["repository"], "/");
    // `git init`, and later `git remote add origin`.
    case.write(".git/config", "[core]\n");
    case.plan(&[]).exits(DONE).says("Plan: no changes");
    case.sync(&[]).exits(DONE).says("from here on");
    case.write(
        ".git/config",
        "[remote \"origin\"]\n url = https://git.example/acme/iam\n",
    );
    case.sync(&[])
        .exits(DONE)
        .says("of the repository git.example/acme/iam from here on");
    let source = case.entry("b")["source"].clone();
    assert_eq!(source["repository"], "git.example/acme/iam");
    case.sync(&[]).exits(DONE).never_says("from here on");
}
