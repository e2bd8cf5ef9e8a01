//! Second runs write nothing: after every example, and after random worlds; and names that are hard on URLs.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::support::*;

#[test]
fn the_second_run_of_every_example_writes_nothing() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let example = entry.unwrap().path();
        let case = Case::of([]);
        let name = example.file_name().unwrap().to_str().unwrap().to_owned();
        let mut files = Vec::new();
        yaml_files(&example, &mut files);
        // An example of a pipeline holds no manifests of its own.
        if !files
            .iter()
            .any(|file| fs::read_to_string(file).unwrap().contains("kind: Target"))
        {
            continue;
        }
        seen += 1;
        for file in files {
            let inside = file.strip_prefix(example.parent().unwrap()).unwrap();
            case.write(inside.to_str().unwrap(), fs::read_to_string(&file).unwrap());
        }
        case.run(&["validate", &name]).exits(DONE);
        let first = case.run(&["sync", &name, "--sandbox"]).exits(DONE);
        assert!(!first.changes().is_empty(), "{first}");
        assert!(
            first
                .changes()
                .iter()
                .all(|change| !change.starts_with("delete")),
            "{first}"
        );
        let second = case.run(&["sync", &name, "--sandbox"]).exits(DONE);
        assert_eq!(second.changes(), [""; 0], "{second}");
        for target in second.report["targets"].as_array().unwrap() {
            assert_eq!(target["writes"], 0, "{second}");
        }
    }
    assert!(seen > 0);
}

fn yaml_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            found.push(path);
        }
    }
}

/// Some of the entries, in a YAML list.
fn some(random: &mut StdRng, of: &[&str]) -> String {
    let count = random.random_range(0..=of.len());
    let chosen: Vec<&str> = of.choose_multiple(random, count).copied().collect();
    format!("[{}]", chosen.join(", "))
}

/// Some of the entries, at least one.
fn at_least_one(random: &mut StdRng, of: &[&str]) -> String {
    let count = random.random_range(1..=of.len());
    let chosen: Vec<&str> = of.choose_multiple(random, count).copied().collect();
    format!("[{}]", chosen.join(", "))
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e:read", "e:write", "f.g", "h-i"];
const ROLES: [&str; 4] = ["support", "sales", "accounting", "it"];
const SCOPES: [&str; 4] = ["A", "B", "C", "D"];

/// Live systems that hold some of everything.
fn random_systems(random: &mut StdRng) -> Vec<Place> {
    let mut ids = Vec::new();
    let mut scopes = String::new();
    for (name, id) in NAMES.iter().zip(1..) {
        if random.random_bool(0.5) {
            ids.push(id.to_string());
            let text = if random.random_bool(0.5) {
                "Declared"
            } else {
                "Live"
            };
            scopes.push_str(&format!(
                "{{ id: {id}, value: \"{name}\", description: {text} }}, "
            ));
        }
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let held = some(random, &ids);
    let one = one_login(&format!(
        "scopes: [{scopes}], clients: [{{ appId: 1, name: Shop, scopes: {held} }}]"
    ));
    let mut wso2_scopes = String::new();
    let mut shared = String::new();
    for name in NAMES {
        let text = if random.random_bool(0.5) {
            "Declared"
        } else {
            "Live"
        };
        let roles = some(random, &ROLES);
        if random.random_bool(0.5) {
            wso2_scopes.push_str(&format!(
                "{{ name: \"{name}\", description: {text}, bindings: {roles} }}, "
            ));
        }
        if random.random_bool(0.5) {
            shared.push_str(&format!("{{ name: \"{name}\", displayName: {text}, description: {text}, bindings: {roles} }}, "));
        }
    }
    let mut apps = String::new();
    for n in 0..4 {
        let scopes = some(random, &SCOPES);
        apps.push_str(&format!("{{ name: app{n}, keys: [{{ consumerKey: k{n}, products: [all], scopes: {scopes} }}] }}, "));
    }
    vec![
        one,
        wso2(&format!("scopes: [{wso2_scopes}]")),
        publisher(&format!("sharedScopes: [{shared}]")),
        apigee(&format!(
            "products: [{{ name: all, scopes: [A, B, C, D] }}], developers: [{{ email: ann@example.com, apps: [{apps}] }}]"
        )),
    ]
}

/// Manifests for some of everything.
fn random_manifests(random: &mut StdRng) -> String {
    let mut text = String::new();
    let mut declared = Vec::new();
    for system in ["onelogin", "wso2", "publisher"] {
        for name in NAMES {
            if random.random_bool(0.4) {
                continue;
            }
            if system == "onelogin" {
                declared.push(name);
            }
            let mut more = "description: Declared".to_owned();
            if system == "publisher" {
                more.push_str(", displayName: Declared");
            }
            if system != "onelogin" {
                more.push_str(&format!(", bindings: {}", at_least_one(random, &ROLES)));
            }
            if random.random_bool(0.03) {
                more.push_str(", protected: true");
            }
            let manifest = manifest::document(
                "Scope",
                &format!("{system}-{}", manifest::manifest_name(name)),
                &manifest::scope_spec(system, name, &more),
            );
            text.push_str(&manifest);
        }
    }
    let policies = ["Remove", "Keep"];
    if !declared.is_empty() {
        let names: Vec<String> = declared.iter().map(|name| format!("\"{name}\"")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let foreign = policies.choose(random).unwrap();
        text.push_str(&app(
            1,
            &at_least_one(random, &names),
            &format!("foreignScopes: {foreign}"),
        ));
    }
    for n in 0..4 {
        if random.random_bool(0.3) {
            continue;
        }
        let foreign = policies.choose(random).unwrap();
        let scopes = at_least_one(random, &SCOPES);
        let spec = format!(
            "targetRef: {{ name: apigee }}, app: {{ apigee: {{ developer: ann@example.com, app: app{n}, consumerKey: k{n} }} }}, \
             scopes: {scopes}, foreignScopes: {foreign}"
        );
        text.push_str(&manifest::document(
            "AppScopeSet",
            &format!("key-{n}"),
            &spec,
        ));
    }
    text
}

#[test]
fn the_second_run_in_a_random_world_writes_nothing() {
    let mut done = 0;
    for seed in 0..25 {
        let mut random = StdRng::seed_from_u64(seed);
        let case = Case::of(random_systems(&mut random));
        for system in ["onelogin", "wso2", "publisher", "apigee"] {
            case.target(system, "adoption: Always, safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }");
        }
        // Three states of the repository, one after the other.
        for step in 0..3 {
            case.write("manifests.yaml", random_manifests(&mut random));
            if seed % 3 > 0 {
                case.run(&["adopt", ".", "--all"]).exits(DONE);
            }
            let ran = case.sync(&["--new-inventory"]);
            assert!(
                [Some(DONE), Some(REFUSED), Some(PARTIAL)].contains(&ran.code),
                "seed {seed}, step {step}\n{ran}"
            );
            let failed = ran
                .changes()
                .iter()
                .any(|change| change.ends_with("failed") || change.ends_with("unknown"));
            assert!(!failed, "seed {seed}, step {step}\n{ran}");
            done += usize::from(ran.code == Some(DONE));
            case.forget_requests();
            let again = case.sync(&[]);
            assert_eq!(case.writes(), 0, "seed {seed}, step {step}\n{ran}\n{again}");
            if ran.code == Some(DONE) {
                assert_eq!(
                    (again.code, again.changes()),
                    (Some(DONE), vec![]),
                    "seed {seed}, step {step}\n{ran}\n{again}"
                );
            } else {
                assert_eq!(
                    again.code,
                    Some(REFUSED),
                    "seed {seed}, step {step}\n{ran}\n{again}"
                );
            }
        }
    }
    assert!(done > 25, "most worlds can be made as declared: {done}");
}

#[test]
fn a_refusal_by_numbers_does_not_lift_itself() {
    let case = Case::of([apigee(
        "products: [{ name: all, scopes: [A, B, C, D] }], developers: [{ email: ann@example.com, apps: [\
         { name: one, keys: [{ consumerKey: k1, products: [all], scopes: [A, B] }] }, \
         { name: two, keys: [{ consumerKey: k2, products: [all], scopes: [A, B, C, D] }] }] }]",
    )]);
    case.target("apigee", "safety: { minPopulation: 1 }");
    let list = |app: &str, key: &str, scopes: &str| {
        let app_reference = format!(
            "{{ apigee: {{ developer: ann@example.com, app: {app}, consumerKey: {key} }} }}"
        );
        let spec = format!("targetRef: {{ name: apigee }}, app: {app_reference}, scopes: {scopes}");
        manifest::document("AppScopeSet", app, &spec)
    };
    case.write("one.yaml", list("one", "k1", "[A, B]"));
    case.first_sync();
    case.write("one.yaml", list("one", "k1", "[A]"));
    // Found equal, and so a reason to count six entries instead of two: but not before somebody has looked.
    case.write("two.yaml", list("two", "k2", "[A, B, C, D]"));
    for _ in 0..2 {
        case.sync(&[]).exits(REFUSED).refusal("max_removal_percent");
    }
    assert_eq!(case.writes(), 0);
}

/// Names that scope registration can hold, hard as they are on URLs.
const ALLOWED: [&str; 12] = [
    "a:b",
    "a%2Fb",
    "a%b0",
    "a%25",
    "a%20b",
    "a+b",
    "a;b=c",
    "a?b",
    "a#b",
    "a&b",
    "a.b*c",
    "urn:acme:orders:read'(!)",
];

#[test]
fn names_that_are_hard_on_urls_are_made_changed_and_deleted() {
    for place in [wso2(""), publisher("")] {
        let system = place.name.clone();
        let case = Case::of([place]);
        case.target(
            &system,
            "safety: { maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }",
        );
        // Publisher's key manager refuses some of them.
        let names: Vec<&str> = ALLOWED
            .into_iter()
            .filter(|name| system == "wso2" || !name.contains(['?', '#', '(']))
            .collect();
        let declare = |text: &str| {
            let manifests = names.iter().enumerate().map(|(n, name)| {
                let more = format!("description: {text}, displayName: D, bindings: [support]");
                manifest::document(
                    "Scope",
                    &format!("s-{n}"),
                    &manifest::scope_spec(&system, name, &more),
                )
            });
            case.write("scopes.yaml", manifests.collect::<String>());
        };
        let mut sorted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        sorted.sort();
        declare("First");
        case.sync(&["--new-inventory"]).exits(DONE);
        assert_eq!(case.scopes(), sorted);
        declare("Second");
        let ran = case.sync(&[]).exits(DONE);
        for name in &names {
            assert_eq!(case.scope(name)["description"], "Second", "{ran}");
        }
        case.forget_requests();
        case.sync(&[]).exits(DONE);
        assert_eq!(case.writes(), 0);
        case.remove("scopes.yaml");
        case.sync(&[]).exits(DONE);
        assert_eq!(case.scopes(), [""; 0]);
    }
}

#[test]
fn names_that_a_system_breaks_on_are_refused_by_validate() {
    for (system, names) in [
        (
            "wso2",
            &[
                "a/b",
                "a%b",
                "a%",
                "a%2",
                "a[b",
                "a{b}",
                "a|b",
                "a<b",
                "a^b",
                "a`b",
                "swagger.yaml",
            ][..],
        ),
        (
            "publisher",
            &[
                "a/b", "a?b", "a#b", "a(b)", "5", "1e3", "true", "null", "apim:x",
            ],
        ),
    ] {
        let case = Case::of([if system == "wso2" {
            wso2("")
        } else {
            publisher("")
        }]);
        for (n, name) in names.iter().enumerate() {
            let spec = manifest::scope_spec(system, name, "description: D, displayName: D");
            let document = manifest::document("Scope", &format!("s-{n}"), &spec);
            case.write(&format!("scope-{n}.yaml"), document);
        }
        let ran = case.run(&["validate", "."]).exits(FAILED);
        for (n, name) in names.iter().enumerate() {
            let place = format!("scope-{n}.yaml:5:");
            assert!(ran.stdout.contains(&place), "{name}\n{ran}");
        }
        case.sync(&["--new-inventory"]).exits(FAILED);
        assert_eq!(case.writes(), 0, "nothing that was refused was sent");
    }
}

#[test]
fn a_scope_that_a_500_made_is_found_and_not_made_twice() {
    for place in [wso2(""), publisher(""), one_login("")] {
        let system = place.name.clone();
        let case = Case::of([place]);
        case.write(
            "a.yaml",
            scope(&system, "orders:read", "description: D, displayName: D"),
        );
        case.fail(json!([{ "method": "POST", "token": false, "times": 1, "fault": { "status": { "code": 500, "when": "after" } } }]));
        let ran = case.sync(&["--new-inventory"]).exits(DONE);
        assert_eq!(ran.changes(), ["create orders:read done"]);
        let posts = case
            .written()
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count();
        assert_eq!((posts, case.scopes()), (1, vec!["orders:read".to_owned()]));
        assert_eq!(
            case.owned(),
            ["orders:read created"],
            "it was absent before, so that it is ours"
        );
    }
}
