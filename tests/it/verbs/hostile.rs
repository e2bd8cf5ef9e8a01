//! Data of others in what somebody answers "yes" to: it cannot steer the terminal that shows it.

use crate::support::*;

/// Clears the screen, goes up a line, turns text around, has no width, is a C1 control, ends a line.
const TRICKS: [&str; 6] = [
    "\u{1b}[2J",
    "\u{1b}[1A",
    "\u{202e}",
    "\u{200b}",
    "\u{9b}",
    "\r",
];

#[test]
fn nothing_invisible_reaches_whoever_decides() {
    let tricks = TRICKS.concat();
    let yaml = |text: &str| {
        let escaped = text.chars().map(|c| match c {
            ' '..='~' => c.to_string(),
            c => format!("\\u{:04x}", u32::from(c)),
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    let long = format!("{}\n{tricks}long\n{}", "x".repeat(60), "y".repeat(60));
    let case = Case::of([
        wso2(&format!(
            "scopes: [{{ name: a, description: {}, bindings: [{}, keep] }}, {{ name: b, description: {}, bindings: [keep] }}]",
            yaml(&format!("{tricks}short")),
            yaml(&format!("role{tricks}")),
            yaml(&long),
        )),
        one_login(&format!(
            "scopes: [{{ id: 1, value: c, description: C }}], clients: [{{ appId: 1, name: {}, scopes: [1] }}]",
            yaml(&format!("Shop{tricks}")),
        )),
    ]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: Ours, bindings: [keep]")
            + &scope("wso2", "b", "description: Ours too, bindings: [keep]")
            + &scope("onelogin", "c", "description: C")
            + &app(1, "[c]", ""),
    );
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: Ours, bindings: [keep]")
            + &scope("wso2", "b", "description: Ours too, bindings: [keep]")
            + &scope("onelogin", "c", "description: C")
            + &scope("onelogin", "d", "description: D")
            + &app(1, "[d]", ""),
    );
    for args in [
        &["plan", ".", "-v"][..],
        &["plan", ".", "-v", "-o", "markdown"],
        &["sync", ".", "--yes", "-o", "text"],
        &["adopt", ".", "--all"],
    ] {
        let ran = case.run_in(&[], args);
        for text in [&ran.stdout, &ran.stderr] {
            let steers = |c: &char| c.is_control() && *c != '\n' || "\u{202e}\u{200b}".contains(*c);
            assert_eq!(text.chars().find(steers), None, "{ran}");
        }
        if args[0] == "plan" {
            ran.says("\\u{1b}[2J")
                .says("\\u{202e}")
                .says("\\u{200b}")
                .says("\\u{9b}");
        }
    }
}

#[test]
fn a_files_name_cannot_steer_a_terminal_either() {
    let case = Case::of([wso2("")]);
    let name = "\u{1b}[2Ja.yaml";
    case.write(name, scope("wso2", "a", "description: \" \", protected: 1"));
    for args in [
        &["validate", "."][..],
        &["plan", "."],
        &["plan", "no\u{1b}[2Jthing"],
    ] {
        case.run_in(&[], args)
            .never_says("\u{1b}")
            .says("\\u{1b}[2J");
    }
}

#[test]
fn manifests_hold_no_control_characters() {
    let case = Case::of([wso2("")]);
    let refused = [
        r#"description: "a\e[2J""#,
        r#"description: "a\rb""#,
        r#"displayName: "a\nb""#,
        r#"bindings: ["a\u0007"]"#,
        r#"bindings: ["a\u009b"]"#,
    ];
    for more in refused {
        case.write("a.yaml", scope("wso2", "a", more));
        case.run(&["validate", "."])
            .exits(FAILED)
            .says("SW107")
            .says("control characters");
    }
    case.write(
        "a.yaml",
        scope("wso2", "a", r#"description: "two\nlines\tand a tab""#),
    );
    case.run(&["validate", "."]).exits(DONE);
    let roles = r#"["a\u0007"]"#;
    case.write("b.yaml", binding("b", "a", roles));
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("control characters");
}

#[cfg(unix)]
#[test]
fn a_pipe_given_as_a_path_is_led_to_standard_input() {
    let case = Case::of([wso2("")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        case.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let ran = case.run(&["validate", "pipe"]).exits(FAILED);
    ran.says("cannot read \"pipe\": it is not a regular file")
        .says("standard input");
}
