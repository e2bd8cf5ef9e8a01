//! Where results go, and what becomes of a run whose results can go nowhere.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::Value;

use super::varied;
use crate::support::*;

/// One scope to create.
fn one_create() -> Case {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case
}

#[test]
fn a_file_that_cannot_be_opened_ends_a_run_before_its_first_write() {
    let case = one_create();
    let args = [
        "sync",
        ".",
        "--yes",
        "--new-inventory",
        "-o",
        "json=no/such/x.json",
        "-o",
        "text",
    ];
    let ran = case.run_in(&[], &args).exits(FAILED);
    ran.says("cannot write \"no/such/x.json\"");
    assert_eq!(case.requests(), 0);
    assert!(case.scopes().is_empty());
}

#[test]
fn a_report_that_cannot_be_written_is_told_where_it_still_can_and_the_run_counts_as_partial() {
    let case = one_create();
    let args = [
        "sync",
        ".",
        "--yes",
        "--new-inventory",
        "-o",
        "json=/dev/full",
        "-o",
        "markdown=report.md",
        "-o",
        "text",
    ];
    let ran = case.run_in(&[], &args).exits(PARTIAL);
    assert!(ran.stdout.contains("Done: 1 created."), "{ran}");
    assert!(ran.stderr.contains("Done: 1 created."), "{ran}");
    assert!(
        ran.stderr.contains("error: cannot write \"/dev/full\""),
        "{ran}"
    );
    assert!(case.read("report.md").contains("Done: 1 created."));
    assert_eq!(case.scopes(), ["a"]);
    // Where nothing was written to the systems, the run has failed and no more.
    let ran = case.run_in(&[], &args).exits(FAILED);
    ran.says("No changes");
    // Standard output is such a place too.
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    let mut command = case.command(&["sync", ".", "--yes", "-o", "json"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(PARTIAL), "{stderr}");
    assert!(stderr.contains("Done: 1 created."), "{stderr}");
    assert_eq!(case.scopes(), ["a", "b"]);
}

#[test]
fn a_run_without_a_result_leaves_the_files_as_they_were() {
    let case = one_create();
    case.write("old.json", "old");
    for file in ["old.json", "new.json"] {
        let output = format!("json={file}");
        case.run_in(&[], &["plan", ".", "--target", "nowhere", "-o", &output])
            .exits(USAGE);
    }
    assert_eq!(case.read("old.json"), "old");
    assert!(!case.path().join("new.json").exists());
    case.run_in(&[], &["plan", ".", "-o", "json=old.json"])
        .exits(DONE);
    let _: Value = serde_json::from_str(&case.read("old.json")).unwrap();
}

#[test]
fn two_results_have_no_place_in_common() {
    let case = one_create();
    for line in [
        "-o json -o text",
        "-o text -o text",
        "-o json=x -o markdown=x",
    ] {
        let args: Vec<&str> = ["plan", "."].into_iter().chain(line.split(' ')).collect();
        case.run_in(&[], &args)
            .exits(USAGE)
            .says("two results would go to");
    }
    assert_eq!(case.requests(), 0);
}

#[test]
fn who_is_asked_sees_the_plan_even_where_standard_output_is_a_file() {
    let case = one_create();
    let out = File::create(case.path().join("out.txt")).unwrap();
    let mut run = case.start_on_terminal_with(
        &["sync", ".", "--new-inventory", "--color", "never"],
        Some(out.into()),
    );
    run.wait_for("Go ahead?");
    assert!(
        run.screen_so_far().contains("+ create   a"),
        "{}",
        run.screen_so_far()
    );
    run.type_line("yes");
    let (code, screen) = run.finish();
    assert_eq!(code, Some(DONE), "{screen}");
    assert!(case.read("out.txt").contains("Done: 1 created."));
}

#[test]
fn progress_ends_with_a_line_of_its_own() {
    let case = one_create();
    let (code, screen) = case
        .start_on_terminal(&["sync", ".", "--new-inventory", "--yes", "--color", "never"])
        .finish();
    assert_eq!(code, Some(DONE), "{screen}");
    let line = regex::Regex::new(r"(?m)applying   1 of 1   \d+\.\d s\r?$").unwrap();
    assert!(line.is_match(&screen), "{screen:?}");
    assert!(screen.contains("\nverified   1 target"), "{screen:?}");
}

#[test]
fn a_report_in_markdown_says_what_became_of_each_change() {
    let case = varied();
    let args = ["apply", ".", "--yes", "--new-inventory", "-o", "markdown"];
    let ran = case.run_in(&[], &args).exits(PARTIAL);
    insta::assert_snapshot!("report_markdown", case.stable(&ran.stdout));
}

#[test]
fn a_plan_in_markdown_and_json_has_what_a_reviewer_decides_on() {
    let case = Case::of([wso2(
        "scopes: [{ name: a, description: A }, { name: b, description: B }, { name: c, description: C }]",
    )]);
    let all = ["a", "b", "c"].map(|name| scope("wso2", name, "description: Ours"));
    case.write("all.yaml", all.concat());
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.write("all.yaml", "");
    let ran = case.plan(&[]).exits(REFUSED);
    let change = &ran.report["targets"][0]["changes"][0];
    assert_eq!(
        change["remark"],
        "no manifest declares it; consumers: unknown"
    );
    assert_eq!(change["withheld"], "refused");
    let ran = case
        .run_in(&[], &["plan", ".", "-o", "markdown"])
        .exits(REFUSED);
    ran.says(
        "- **delete** `a` (no manifest declares it; consumers: unknown; **refused**, see above)",
    );
    let ran = case
        .run_in(&[], &["plan", ".", "-o", "markdown", "--no-delete"])
        .exits(DONE);
    ran.says("- not removed in this mode: 3 objects");
}

#[test]
fn all_who_gain_or_lose_can_be_listed() {
    let case = Case::of([wso2("")]);
    let roles: Vec<String> = (10..35).map(|n| format!("role{n}")).collect();
    let bindings = format!("description: A, bindings: [{}]", roles.join(", "));
    case.write("a.yaml", scope("wso2", "a", &bindings));
    let ran = case.run_in(&[], &["plan", "."]).exits(DONE);
    ran.never_says("role role34")
        .says("and 5 more (-v lists them)");
    case.run_in(&[], &["plan", ".", "-v"])
        .exits(DONE)
        .says("role role34");
}

#[test]
fn a_run_is_asked_to_end_by_a_supervisor_as_by_ctrl_c() {
    let case = one_create();
    case.fail(serde_json::json!([{ "write": true, "fault": { "hold": {} } }]));
    let mut run = case.start(&["sync", ".", "--yes", "--new-inventory"], None);
    case.wait_until_held();
    run.terminate();
    run.wait_for_stderr("interrupted: finishing the calls in flight");
    case.heal();
    let ran = run.finish();
    assert!(ran.code.is_some(), "{ran}");
    assert!(!ran.report.is_null(), "{ran}");
}

#[test]
fn a_reader_of_help_learns_of_the_second_ctrl_c() {
    let case = one_create();
    case.fail(serde_json::json!([{ "write": true, "fault": { "hold": {} } }]));
    let mut run = case.start(&["sync", ".", "--yes", "--new-inventory"], None);
    case.wait_until_held();
    run.interrupt();
    run.wait_for_stderr("once more ends at once");
    run.interrupt();
    assert_eq!(run.finish().code, Some(130));
    case.run(&["--help"]).exits(DONE).says("130");
}

#[test]
fn two_inventories_of_one_folder_have_an_audit_log_each() {
    let case = one_create();
    case.sync(&["--new-inventory", "--inventory", "file:state/orders.json"])
        .exits(DONE);
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.sync(&[
        "--new-inventory",
        "--inventory",
        "file:state/inventory.json",
    ])
    .exits(DONE);
    let names = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(case.path().join("state").join(file)).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["target"].to_string()).collect()
    };
    assert_eq!(names("orders.json.audit.jsonl").len(), 1);
    assert_eq!(names("audit.jsonl").len(), 1);
}

#[test]
fn a_word_that_is_no_level_is_no_filter() {
    let case = one_create();
    for (filter, code) in [
        ("nonsense", USAGE),
        ("debugg,hyper=info", USAGE),
        ("info", DONE),
        ("warn,scopeward=debug", DONE),
        ("scopeward::plan", DONE),
        ("off", DONE),
    ] {
        let mut command = case.command(&["validate", ".", "--log", filter]);
        let status = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{filter}");
    }
}
