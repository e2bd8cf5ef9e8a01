//! Every verb and flag: what it answers, on which stream, in which form, with which exit code.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::trouble::Served;
use crate::support::*;

mod adopting;
mod formats;
mod hostile;
mod outputs;
mod releasing;

/// A case with every kind of change, of skip, of access and of finding in its plan.
fn varied() -> Case {
    let case = Case::of([
        one_login(
            "scopes: [{ id: 1, value: kept, description: Kept }, { id: 2, value: strange, description: Strange }, \
             { id: 3, value: old, description: Old }, { id: 4, value: was, description: Was }], \
             clients: [{ appId: 1, name: Shop, scopes: [1, 3, 4] }]",
        ),
        wso2("scopes: [{ name: taken, description: Taken, bindings: [a] }]"),
        apigee_shop("[READ, WRITE]", "[READ]"),
    ]);
    let describe =
        |name: &str, text: &str| scope("onelogin", name, &format!("description: {text}"));
    case.write(
        "clusters/scopes.yaml",
        [
            describe("kept", "Kept"),
            describe("old", "Old"),
            describe("was", "Was"),
            app(1, "[kept, old, was]", ""),
        ]
        .concat(),
    );
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.write(
        "clusters/scopes.yaml",
        [
            describe("kept", "Kept and described"),
            scope("onelogin", "is", "description: Was, previousNames: [was]"),
            describe("new", "New"),
            app(1, "[kept, is, new]", ""),
            scope("wso2", "taken", "description: Ours"),
            scope("wso2", "open", "description: Open, displayName: Open"),
            key("[READ, WRITE]", ""),
        ]
        .concat(),
    );
    case.forget_requests();
    case
}

fn pretty(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_plan_reads_as_text_json_and_markdown() {
    let case = varied();
    let text = case.run_in(&[], &["plan", "."]).exits(REFUSED);
    insta::assert_snapshot!("plan_text", case.stable(&text.to_string()));
    let json = case
        .run_in(&[], &["plan", ".", "-o", "json"])
        .exits(REFUSED);
    insta::assert_snapshot!("plan_json", case.stable(&pretty(&json.stdout)));
    let markdown = case
        .run_in(&[], &["plan", ".", "-o", "markdown"])
        .exits(REFUSED);
    insta::assert_snapshot!("plan_markdown", case.stable(&markdown.stdout));
    assert_eq!(case.writes(), 0);
}

#[test]
fn a_report_reads_as_text_and_json() {
    let case = varied();
    let args = [
        "sync",
        ".",
        "--yes",
        "--new-inventory",
        "-o",
        "text",
        "-o",
        "json=report.json",
    ];
    let ran = case.run_in(&[], &args).exits(PARTIAL);
    insta::assert_snapshot!("report_text", case.stable(&ran.to_string()));
    let json = pretty(&case.read("report.json"));
    insta::assert_snapshot!("report_json", case.stable(&json));
}

/// The members that `formats` promises, wherever they stand.
#[test]
fn plans_and_reports_have_every_member_that_was_promised() {
    let case = varied();
    let plan = case.plan(&[]).exits(REFUSED).report;
    has(
        &plan,
        "formatVersion digest mode source targets diagnostics summary",
    );
    assert_eq!(
        (&plan["formatVersion"], &plan["mode"]),
        (&"1.0".into(), &"sync".into())
    );
    has(&plan["source"], "paths");
    for target in plan["targets"].as_array().unwrap() {
        has(
            target,
            "target system liveIdentity digest complete error requests population changes skipped access refusals summary",
        );
        has(&target["population"], "live managed unmanaged desired");
        has(&target["access"], "gains losses");
        has(&target["summary"], "create update rename replace delete");
        for change in target["changes"].as_array().unwrap() {
            has(change, "action object manifest reason fields precondition");
            has(&change["object"], "kind name");
            has(&change["precondition"], "before");
            for field in change["fields"].as_array().unwrap() {
                has(field, "path before after");
            }
            if change["action"] != "delete" {
                has(&change["manifest"], "file line kind namespace name");
            }
        }
        for refusal in target["refusals"].as_array().unwrap() {
            has(refusal, "rule message");
        }
    }
    for finding in plan["diagnostics"].as_array().unwrap() {
        has(finding, "code severity message file line column");
    }
    let report = case.sync(&["--new-inventory"]).exits(PARTIAL).report;
    has(
        &report,
        "formatVersion digest mode targets summary result runId startedAt finishedAt",
    );
    assert_eq!(report["result"], "partial");
    for target in report["targets"].as_array().unwrap() {
        has(target, "requests writes converged remaining");
        for change in target["changes"].as_array().unwrap() {
            has(change, "outcome");
            if change["outcome"] == "done"
                && change["object"]["kind"] == "Scope"
                && target["system"] == "oneLogin"
            {
                has(change, "remoteId");
            }
        }
    }
}

#[track_caller]
fn has(value: &Value, members: &str) {
    for member in members.split(' ') {
        assert!(
            value.get(member).is_some(),
            "{member} is missing in {value}"
        );
    }
}

#[test]
fn standard_output_is_the_result_and_nothing_else() {
    let case = varied();
    // One JSON document, whatever else there is to say.
    for args in [
        &["validate", ".", "-o", "json"][..],
        &["plan", ".", "-o", "json"],
        &["sync", ".", "--yes", "--new-inventory", "-o", "json"],
        &["sync", ".", "--sandbox", "-o", "json"],
    ] {
        let ran = case.run_in(&[], args);
        let parsed: Result<Value, _> = serde_json::from_str(&ran.stdout);
        assert!(parsed.is_ok(), "{ran}");
    }
    let ran = case.run_in(&[], &["plan", ".", "-o", "json=plan.json"]);
    assert_eq!(ran.stdout, "");
    let ran = case.run_in(&[], &["plan", ".", "-o", "markdown"]);
    assert!(ran.stdout.starts_with("<!-- scopeward -->\n"), "{ran}");
}

#[test]
fn every_format_goes_where_it_is_told() {
    let case = varied();
    let args = [
        "plan",
        ".",
        "-o",
        "json=plan.json",
        "-o",
        "markdown=plan.md",
        "-o",
        "text=plan.txt",
        "-o",
        "text",
    ];
    let all = case.run_in(&[], &args).exits(REFUSED);
    for (format, file) in [
        ("json", "plan.json"),
        ("markdown", "plan.md"),
        ("text", "plan.txt"),
    ] {
        let alone = case
            .run_in(&[], &["plan", ".", "-o", format])
            .exits(REFUSED);
        assert_eq!(case.read(file), alone.stdout);
        assert!(!case.read(file).contains('\u{1b}'));
    }
    assert_eq!(all.stdout, case.read("plan.txt"));
    let ran = case
        .run_in(&[], &["plan", ".", "-o", "json=no/such/folder.json"])
        .exits(FAILED);
    assert_eq!(
        ran.stderr.lines().last(),
        Some("error: cannot write \"no/such/folder.json\": No such file or directory (os error 2)")
    );
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let case = varied();
    for format in ["text", "json", "markdown"] {
        let args = ["plan", ".", "-v", "-o", format];
        let (once, again) = (case.run_in(&[], &args), case.run_in(&[], &args));
        assert_eq!(
            (once.stdout, once.stderr),
            (again.stdout, again.stderr),
            "{format}"
        );
    }
}

#[test]
fn colour_is_for_terminals_and_whoever_asks() {
    let case = varied();
    let colored = |environment: &[(&str, Option<&str>)], args: &[&str]| {
        let args = [&["plan", "."], args].concat();
        let ran = case.run_in(environment, &args).exits(REFUSED);
        (ran.stdout.contains('\u{1b}'), ran.stderr.contains('\u{1b}'))
    };
    let no_color = [("NO_COLOR", Some("1"))];
    assert_eq!(colored(&[], &[]), (false, false), "this is no terminal");
    assert_eq!(colored(&[], &["--color", "never"]), (false, false));
    assert_eq!(colored(&[], &["--color", "always"]), (true, true));
    assert_eq!(colored(&no_color, &["--color", "auto"]), (false, false));
    assert_eq!(
        colored(&no_color, &["--color", "always"]),
        (true, true),
        "a flag is closer than a variable"
    );
    // Colour adds, and carries no meaning: the words are the same.
    let plain = case.run_in(&[], &["plan", "."]);
    let colored = case.run_in(&[], &["plan", ".", "--color", "always"]);
    let stripped = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    assert_eq!(stripped.replace_all(&colored.stdout, ""), plain.stdout);
}

#[test]
fn colour_is_on_a_terminal_unless_no_color_is_set() {
    let case = varied();
    let (_, screen) = case.start_on_terminal(&["plan", "."]).finish();
    assert!(screen.contains('\u{1b}'), "{screen}");
    let (_, screen) = case
        .start_on_terminal(&["plan", ".", "--color", "never"])
        .finish();
    assert!(!screen.contains('\u{1b}'), "{screen}");
}

#[test]
fn a_reader_that_went_away_changes_nothing() {
    let case = varied();
    for args in [
        &["plan", "."][..],
        &["plan", ".", "-o", "json"],
        &["validate", "."],
        &["--help"],
        &["generate", "crds"],
        &["sync", ".", "--yes", "--new-inventory"],
    ] {
        let expected = match args[0] {
            "plan" => REFUSED,
            "sync" => PARTIAL,
            _ => DONE,
        };
        let mut child = case.command(args).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let status = child.wait().unwrap();
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{args:?}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    assert!(
        case.inventory_path().exists(),
        "the sync went on to its end"
    );
}

#[test]
fn help_names_the_exit_codes_of_every_verb() {
    let case = Case::of([]);
    let ran = case.run(&["--help"]).exits(DONE);
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!("help", ran.stdout);
    for verb in [
        "validate", "plan", "apply", "sync", "adopt", "sandbox", "generate",
    ] {
        let short = case.run_in(&[], &[verb, "-h"]).exits(DONE);
        assert!(short.stdout.contains("Usage: scopeward"), "{short}");
    }
    case.run(&["--version"]).exits(DONE).says("scopeward 0.");
}

#[test]
fn what_is_not_supported_yet_says_so() {
    let case = varied();
    let mut text = String::new();
    for line in [
        "show plan.json",
        "import onelogin",
        "plan . --out plan.json",
        "apply --plan plan.json",
        "generate completions",
        "generate man",
        "apply --plan plan.json .",
        "sync . --plan plan.json",
        "plan . -o github",
        "plan . -o sarif=x",
        "plan . -o junit",
        "plan . -o html",
        "plan . --inventory s3://bucket/key",
        "plan . --inventory gs://bucket/key",
        "validate . -o markdown",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let ran = case.run_in(&[], &args).exits(USAGE);
        assert_eq!(ran.stdout, "", "{ran}");
        text.push_str(&format!("$ scopeward {line}\n{}", ran.stderr));
    }
    assert_eq!(case.requests(), 0);
    insta::assert_snapshot!(text);
}

#[test]
fn a_command_line_that_cannot_be_understood_is_64() {
    let case = varied();
    for line in [
        "",
        "plam .",
        "plan",
        "plan . --bogus",
        "plan nowhere",
        "plan . --target nowhere",
        "plan . --approve-plan sha256:12",
        "plan . --inventory cluster:",
        "plan . --default-namespace iam",
        "plan . --prune-selector app=shop",
        "plan - --from-cluster --prune-selector app=shop",
        "sync . --yes --wait-for-lock soon",
        "inventory force-unlock 1",
        "plan . -o",
        "plan . -o yaml",
        "plan . -o json=",
        "plan . -l ==",
        "plan . --color blue",
        "plan . --log a=b=c",
        "plan . --inventory inventory.json",
        "sync .",
        "apply .",
        "sync - --new-inventory",
        "adopt .",
        "adopt . --only kept",
        "adopt . --only Scope/nothing",
        "adopt . --all --only Scope/kept",
        "sandbox",
        "sandbox --listen nowhere",
        "generate",
        "generate nothing",
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let ran = case.run_in(&[], &args).exits(USAGE);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran}");
    }
    assert_eq!(case.requests(), 0);
}

#[test]
fn nothing_to_do_is_a_usage_error_and_not_a_deletion() {
    let case = varied();
    fs::create_dir(case.path().join("empty")).unwrap();
    case.write(
        "foreign/deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: shop }\n",
    );
    for line in [
        "sync empty --yes",
        "plan empty",
        "sync foreign --yes",
        "plan . -l team=nobody",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        case.run_in(&[], &args).exits(USAGE);
    }
    assert_eq!(case.requests(), 0);
}

#[test]
fn detailed_exit_codes_tell_changes_from_none() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.plan(&[]).exits(DONE);
    case.plan(&["--detailed-exitcode"]).exits(CHANGES);
    case.first_sync();
    case.plan(&["--detailed-exitcode"]).exits(DONE);
    case.remove("a.yaml");
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    let ran = case.plan(&["--no-delete"]).exits(DONE);
    assert_eq!(ran.changes(), ["create b"]);
    assert_eq!(ran.report["mode"], "apply");
}

#[test]
fn manifests_may_come_from_standard_input() {
    let case = Case::of([wso2("")]);
    let manifests = case.read("targets/wso2.yaml") + &scope("wso2", "a", "description: A");
    case.run_with_input(&["validate", "-"], &manifests)
        .exits(DONE);
    let ran = case
        .run_with_input(&["sync", "-", "--yes", "--new-inventory"], &manifests)
        .exits(DONE);
    assert_eq!(ran.changes(), ["create a done"]);
    case.run_with_input(&["sync", "-"], &manifests)
        .exits(USAGE)
        .says("--yes");
}

#[test]
fn adopt_takes_what_is_declared_and_live_and_writes_nothing() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: Live, bindings: [x] }]",
    )]);
    case.write("a.yaml", scope("wso2", "a", "description: Declared"));
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    let ran = case.run(&["adopt", ".", "--only", "Scope/a"]).exits(DONE);
    insta::assert_snapshot!("adopt", case.stable(&ran.to_string()));
    assert_eq!(case.owned(), ["a adopted"]);
    let ran = case
        .run(&["adopt", ".", "--all"])
        .exits(DONE)
        .says("Adopted: 0 objects");
    assert_eq!(case.writes(), 0, "{ran}");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["create b done", "update a done"]);
}

#[test]
fn validate_shows_every_finding_at_once() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope("wso2", "a/b", "description: A") + &scope("nowhere", "c", "description: C"),
    );
    let ran = case.run(&["validate", "."]).exits(FAILED);
    insta::assert_snapshot!("validate_text", case.stable(&ran.to_string()));
    let ran = case.run(&["validate", ".", "-o", "json"]).exits(FAILED);
    insta::assert_snapshot!("validate_json", case.stable(&pretty(&ran.stdout)));
    assert_eq!(case.requests(), 0);
}

#[test]
fn sandbox_serves_a_world_keeps_its_state_and_ends_when_it_is_told() {
    let case = Case::of([wso2("")]);
    case.write(
        "world.yaml",
        format!("systems: [{{ name: wso2, {} }}]", wso2("").world),
    );
    let folder = case.path().join("m");
    fs::create_dir(&folder).unwrap();
    let args = ["--world", "world.yaml", "--state", "state.json"];
    for changes in [&["create a done"][..], &[]] {
        let served = Served::start(&case, &args);
        let url = format!("{}/@wso2", served.url);
        let target = case
            .read("targets/wso2.yaml")
            .replace(&case.url_of("wso2"), &url);
        // The port is another one each time, and with it the live identity.
        case.write("m/target.yaml", target);
        case.write("m/a.yaml", scope("wso2", "a", "description: A"));
        let environment = [("SCOPEWARD_WSO2_URL", Some(url.as_str()))];
        let args = ["sync", "m", "--yes", "--new-inventory", "-o", "json"];
        let ran = case.run_in(&environment, &args).exits(DONE);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let made: Vec<String> = report["targets"][0]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| {
                format!(
                    "{} {} {}",
                    change["action"], change["object"]["name"], change["outcome"]
                )
                .replace('"', "")
            })
            .collect();
        assert_eq!(made, changes);
        served.stop().exits(DONE);
    }
    assert!(case.read("state.json").contains("\"a\""));
}

#[test]
fn generate_writes_to_standard_output_or_a_folder() {
    let case = Case::of([]);
    for (what, first) in [
        ("crds", "apiVersion: apiextensions.k8s.io/v1"),
        ("schema", "{"),
    ] {
        let printed = case.run(&["generate", what]).exits(DONE);
        assert!(printed.stdout.contains(first), "{printed}");
        let ran = case.run(&["generate", what, "--dir", what]).exits(DONE);
        assert_eq!(ran.stdout, "");
        let mut written = String::new();
        let mut files: Vec<_> = fs::read_dir(case.path().join(what))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in &files {
            written.push_str(&fs::read_to_string(file).unwrap());
        }
        assert_eq!(written.len(), printed.stdout.len(), "{what}");
    }
}
