//! `adopt`, and the refusals that lead to it.

use crate::support::*;

/// A repository whose Targets and Scopes stand in folders of their own, run from a third.
fn repository() -> Case {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: Live, bindings: [keep, gone] }, { name: b, description: Live }]",
    )]);
    std::fs::create_dir(case.path().join(".git")).unwrap();
    case.write("work/readme.md", "");
    case.write(
        "team one/scopes.yaml",
        scope("wso2", "a", "description: Live, bindings: [keep]")
            + &scope("wso2", "b", "description: Ours"),
    );
    case
}

/// Runs `scopeward ARGS` in the folder `work`.
fn run(case: &Case, args: &[&str]) -> (Option<i32>, String) {
    let mut command = case.command(args);
    let output = command
        .current_dir(case.path().join("work"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Runs a command line as a shell would, in the folder `work`.
fn run_line(case: &Case, line: &str) -> (Option<i32>, String) {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    let args: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(args[0], "scopeward", "{line}");
    run(case, &args[1..])
}

#[test]
fn the_command_that_a_refusal_prints_leads_through_it() {
    let case = repository();
    let inventory = format!("file:{}/my inventory.json", case.path().display());
    let paths = [
        "../targets",
        "../team one",
        "--inventory",
        &inventory,
        "--target",
        "wso2",
    ];
    let (code, plan) = run(&case, &[&["plan"], &paths[..]].concat());
    assert_eq!(code, Some(REFUSED), "{plan}");
    let lines: Vec<&str> = plan
        .lines()
        .filter(|line| line.contains("scopeward adopt"))
        .collect();
    // Neither `a`, which would lose a role that was never applied from here, nor `b` is ours.
    assert_eq!(plan.matches("takeover").count(), 2, "{plan}");
    assert!(lines.len() >= 2, "{plan}");
    for line in lines {
        let (code, text) = run_line(&case, line);
        assert_eq!(code, Some(DONE), "{text}");
    }
    let (code, plan) = run(&case, &[&["plan"], &paths[..]].concat());
    assert_eq!(code, Some(DONE), "{plan}");
    // The same in markdown, and in the sandbox.
    let sandbox = ["../targets", "../team one", "--sandbox"];
    case.write(
        "team one/sandbox.yaml",
        format!("systems: [{{ name: wso2, {} }}]", case_world()),
    );
    let (code, plan) = run(
        &case,
        &[&["plan"], &sandbox[..], &["-o", "markdown"]].concat(),
    );
    assert_eq!(code, Some(REFUSED), "{plan}");
    assert!(
        plan.contains("adopt ../targets '../team one' --sandbox --only Scope/default/b"),
        "{plan}"
    );
}

fn case_world() -> String {
    wso2("scopes: [{ name: b, description: Live }]").world
}

#[test]
fn adopt_says_what_became_of_every_object_that_was_chosen() {
    let case = Case::of([
        wso2("scopes: [{ name: a, description: Live }]"),
        one_login(
            "scopes: [{ id: 1, value: old, description: Old }], clients: [{ appId: 1, name: Shop, scopes: [1] }]",
        ),
    ]);
    case.target("onelogin", "suspend: true");
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: Declared")
            + &scope("wso2", "b", "description: B")
            + &scope("onelogin", "old", "description: Old")
            + &app(1, "[old]", ""),
    );
    let ran = case.run(&["adopt", ".", "--all"]).exits(DONE);
    insta::assert_snapshot!("adopt_all", ran.stdout);
    // What was named and is not there was not adopted.
    case.run(&["adopt", ".", "--only", "Scope/a"])
        .exits(DONE)
        .says("adopted already");
    case.run(&["adopt", ".", "--only", "Scope/b"])
        .exits(FAILED)
        .says("left       scope b on default/wso2: it is not live");
    case.run(&["adopt", ".", "--only", "Scope/old"])
        .exits(FAILED)
        .says("suspended");
    case.lose_inventory();
    case.run(&["adopt", ".", "--only", "Scope/a", "--only", "Scope/b"])
        .exits(PARTIAL);
    assert_eq!(case.owned(), ["a adopted"]);
}

#[test]
fn a_name_that_two_namespaces_have_is_asked_back() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: A }, { name: b, description: B }]",
    )]);
    case.target("wso2", "allowedNamespaces: { from: All }");
    let in_namespace = |namespace: &str, scope: &str| {
        let spec = format!(
            "targetRefs: [{{ name: wso2, namespace: default }}], name: {scope}, description: Ours"
        );
        manifest::labelled(
            "Scope",
            &format!("name: same, namespace: {namespace}"),
            &spec,
        )
    };
    case.write(
        "a.yaml",
        in_namespace("one", "a") + &in_namespace("two", "b"),
    );
    case.run(&["adopt", ".", "--only", "Scope/same"])
        .exits(USAGE)
        .says("there is one in each of the namespaces one, two")
        .says("Scope/NAMESPACE/same");
    assert!(case.owned().is_empty());
    case.run(&["adopt", ".", "--only", "Scope/two/same"])
        .exits(DONE);
    assert_eq!(case.owned(), ["b adopted"]);
    case.run(&["adopt", ".", "--only", "Scope/three/same"])
        .exits(USAGE);
}

#[test]
fn adopt_that_is_told_nothing_names_both_ways() {
    let case = repository();
    case.run(&["adopt", "."])
        .exits(USAGE)
        .says("--only")
        .says("--all");
}

#[test]
fn standard_input_has_the_inventory_of_the_repository_that_the_run_stands_in() {
    let case = repository();
    let manifests = case.read("targets/wso2.yaml");
    let mut command = case.command(&["adopt", "-", "../team one", "--only", "Scope/b"]);
    command.current_dir(case.path().join("work"));
    let input = |text: &str| {
        case.write("input.txt", text);
        std::fs::File::open(case.path().join("input.txt")).unwrap()
    };
    assert_eq!(
        command.stdin(input(&manifests)).status().unwrap().code(),
        Some(DONE)
    );
    assert_eq!(case.owned(), ["b adopted"]);
    let all = manifests + &case.read("team one/scopes.yaml");
    let mut command = case.command(&["adopt", "-", "--all"]);
    command
        .current_dir(case.path().join("work"))
        .stdin(input(&all));
    assert_eq!(command.status().unwrap().code(), Some(DONE));
    assert_eq!(case.owned(), ["a adopted", "b adopted"]);
    assert!(!case.path().join("work/.scopeward").exists());
}

#[test]
fn a_run_without_any_manifest_is_a_usage_error() {
    let case = Case::of([]);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { token: t }\n";
    for verb in [&["plan"][..], &["sync", "--yes"], &["adopt", "--all"]] {
        case.run_with_input(&[verb, &["-"]].concat(), secret)
            .exits(USAGE)
            .says("there is no manifest in \"-\"");
    }
}
