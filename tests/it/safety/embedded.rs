//! Section 12: the embedded sandbox.

use crate::support::*;

/// `scopeward ARGS` in the case's folder with nothing at all in its environment.
fn bare(case: &Case, args: &[&str]) -> (Option<i32>, String) {
    let output = case.bare_command(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn every_system() -> Case {
    let case = Case::of([one_login(""), wso2(""), apigee_shop("[READ]", "[READ]")]);
    case.write(
        "a.yaml",
        scope("onelogin", "a", "description: A")
            + &scope("wso2", "b", "description: B")
            + &key("[READ]", "")
            + &app(1, "[a]", ""),
    );
    case
}

#[test]
fn the_embedded_sandbox_sends_nothing_to_the_manifests_hosts_and_reads_no_credentials() {
    let case = every_system();
    for args in [
        &["plan", ".", "--sandbox"][..],
        &["apply", ".", "--sandbox"],
        &["sync", ".", "--sandbox"],
        &["adopt", ".", "--all", "--sandbox"],
    ] {
        let (code, text) = bare(&case, args);
        assert_eq!(code, Some(DONE), "{text}");
    }
    assert_eq!(case.requests(), 0);
    assert!(case.scopes_of("onelogin").is_empty());
    // A real run still finds nothing done, and wants its credentials.
    let (code, text) = bare(&case, &["sync", ".", "--yes"]);
    assert_eq!(code, Some(FAILED), "{text}");
    assert_eq!(case.requests(), 0);
}

#[test]
fn the_embedded_sandbox_lets_a_tenants_administrator_in() {
    let mut place = publisher("");
    place.endpoint = place
        .endpoint
        .replace("version: v4", "version: v4, tenant: acme.com");
    let case = Case::of([place]);
    case.write("a.yaml", scope("publisher", "a", "description: A"));
    for _ in 0..2 {
        let (code, text) = bare(&case, &["sync", ".", "--sandbox"]);
        assert_eq!(code, Some(DONE), "{text}");
    }
}

#[test]
fn real_credentials_never_reach_the_embedded_sandbox() {
    let case = every_system();
    case.run(&["sync", ".", "--sandbox", "--log", "trace"])
        .exits(DONE)
        .never_says("0neL0ginSecret")
        .never_says("ws02Secret");
    let state = case.read(".scopeward/sandbox/world.json");
    for secret in ["0neL0ginSecret", "ws02Secret", "ap1geeSecret"] {
        assert!(!state.contains(secret), "{secret}");
    }
}

#[test]
fn the_embedded_sandboxes_inventory_is_apart_from_the_real_one() {
    let case = every_system();
    case.run(&["sync", ".", "--sandbox"]).exits(DONE);
    assert!(!case.inventory_path().exists());
    let sandbox = case.read(".scopeward/sandbox/inventory.json");
    let inventory: serde_json::Value = serde_json::from_str(&sandbox).unwrap();
    let identities: Vec<&String> = inventory["identities"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(identities.len(), 3);
    assert!(
        identities
            .iter()
            .all(|identity| identity.starts_with("sandbox:")),
        "{identities:?}"
    );
    // What was made there gives no right here, even with its inventory passed by mistake.
    case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.scopes_of("onelogin"), ["a"]);
    case.lose_inventory();
    case.write("theirs.json", sandbox);
    case.write("a.yaml", scope("wso2", "b", "description: B"));
    case.sync(&["--inventory", "file:theirs.json"])
        .exits(REFUSED);
    case.sync(&["--inventory", "file:theirs.json", "--new-inventory"])
        .exits(DONE);
    assert_eq!(case.scopes_of("onelogin"), ["a"]);
}

#[test]
fn starting_the_sandbox_afresh_keeps_the_real_inventory() {
    let case = every_system();
    case.sync(&["--new-inventory"]).exits(DONE);
    let real = case.inventory();
    case.run(&["sync", ".", "--sandbox"])
        .exits(DONE)
        .says("state in .scopeward/sandbox\n");
    let ran = case.run(&["sync", ".", "--sandbox"]).exits(DONE);
    let hint = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Next:  remove "));
    let folder = hint
        .and_then(|line| line.strip_suffix(" to start afresh"))
        .unwrap();
    std::fs::remove_dir_all(case.path().join(folder)).unwrap();
    assert_eq!(case.inventory(), real);
    assert!(case.path().join(".scopeward/audit.jsonl").exists());
    // Everything of the sandbox was in there: the world, the inventory and the audit log.
    let ran = case.run(&["sync", ".", "--sandbox"]).exits(DONE);
    assert!(ran.changes().len() >= 3, "{ran}");
}

#[test]
fn every_verb_says_that_it_looks_at_the_sandbox() {
    let case = every_system();
    for args in [&["plan", "."][..], &["sync", "."], &["adopt", ".", "--all"]] {
        case.run(&[args, &["--sandbox"]].concat())
            .says("sandbox    all three systems, embedded");
    }
}

#[test]
fn the_embedded_sandbox_needs_no_word_for_a_new_inventory_and_nobodys_yes() {
    let case = every_system();
    case.write(
        "sandbox.yaml",
        "systems:\n  - name: onelogin\n    oneLogin: { credentials: [{ clientId: x, clientSecret: z }], authorizationServers: \
         [{ id: 31415, name: S, audiences: [x], scopes: [{ value: legacy, description: L }] }], apps: [{ id: 1, name: Shop }] }\n",
    );
    let ran = case.run(&["sync", ".", "--sandbox"]).exits(DONE);
    assert!(
        ran.skipped().contains(&"unmanaged legacy".to_owned()),
        "{:?}",
        ran.skipped()
    );
    // The same state is there for the next run, whatever its port.
    let ran = case.run(&["sync", ".", "--sandbox"]).exits(DONE);
    assert!(ran.changes().is_empty(), "{ran}");
    let state = case.read(".scopeward/sandbox/world.json");
    assert!(
        state.contains("legacy") && state.contains("\"a\""),
        "{state}"
    );
}

#[test]
fn a_file_named_sandbox_yaml_is_the_world_and_no_manifest() {
    let case = every_system();
    case.write("sandbox.yaml", "systems: []\n");
    case.run(&["validate", ".", "--strict"]).exits(DONE);
    case.sync(&["--new-inventory"]).exits(DONE);
}

#[test]
fn the_quick_start_creates_and_grows_and_the_second_run_has_nothing_to_do() {
    let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart");
    let case = Case::of([]);
    for entry in std::fs::read_dir(quickstart).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        case.write(
            &format!("quickstart/{name}"),
            std::fs::read_to_string(&path).unwrap(),
        );
    }
    let ran = case.run(&["sync", "quickstart", "--sandbox"]).exits(DONE);
    assert!(
        ran.refusals().is_empty() && ran.losses().is_empty(),
        "{ran}"
    );
    assert!(
        ran.changes()
            .iter()
            .all(|change| !change.starts_with("delete") && change.ends_with(" done")),
        "{ran}"
    );
    let ran = case.run(&["sync", "quickstart", "--sandbox"]).exits(DONE);
    assert!(ran.changes().is_empty(), "{ran}");
}
