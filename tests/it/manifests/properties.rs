//! What holds for every input.

use proptest::prelude::*;
use scopeward::diagnostic::{Code, Severity};
use scopeward::manifest::{self, Loaded};
use scopeward::model::{Desired, SourceFile};
use scopeward::render::finding;

use super::{options, repository};

/// The documents of the quick start and of some fixtures that contradict each other.
fn documents() -> Vec<String> {
    let mut documents = Vec::new();
    for file in ["targets", "scopes", "bindings", "apps"] {
        documents.extend(split(&format!("examples/quickstart/{file}.yaml")));
    }
    for fixture in [
        "declared-twice",
        "previous-names",
        "one-app-twice",
        "no-place",
        "roles",
    ] {
        // Each in a namespace and a company of its own, so that they get in the way of themselves alone.
        let own = |text: String| {
            text.replace(
                "metadata: { name:",
                &format!("metadata: {{ namespace: {fixture}, name:"),
            )
            .replace("acme", fixture)
        };
        let parts = split(&format!("tests/fixtures/malformed/{fixture}.yaml"));
        documents.extend(parts.into_iter().map(own));
    }
    documents
}

fn split(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(path)).expect("a file");
    text.split("---\n").map(str::to_owned).collect()
}

/// The quick start as one text.
fn quickstart() -> String {
    let files = ["targets", "scopes", "bindings", "apps"];
    let parts = files.map(|file| split(&format!("examples/quickstart/{file}.yaml")).join("---\n"));
    parts.join("---\n")
}

fn read(texts: &[(SourceFile, String)]) -> Loaded {
    manifest::read(texts, &options())
}

/// Everything that must hold of any text.
fn survives(text: &str) {
    let loaded = read(&[(SourceFile::new("any.yaml"), text.to_owned())]);
    let lines = text.split('\n').count();
    for diagnostic in &loaded.diagnostics {
        let span = diagnostic
            .span
            .as_ref()
            .expect("a finding in a text has a place");
        assert!(
            (1..=lines).contains(&(span.line as usize)),
            "{diagnostic:?}"
        );
        assert!(span.column >= 1, "{diagnostic:?}");
    }
    assert_eq!(loaded.complete, !loaded.has_errors());
    let _ = finding::findings(&loaded.diagnostics, true);
}

/// What is wanted, without the places that an order of documents changes.
fn unplaced(mut desired: Desired) -> Desired {
    for target in &mut desired.targets {
        let mut changed = (*target.target).clone();
        (changed.source.document, changed.source.line) = (0, 0);
        target.target = changed.into();
        for scope in target.scopes.values_mut() {
            (scope.source.document, scope.source.line) = (0, 0);
        }
        for app in &mut target.apps {
            (app.source.document, app.source.line) = (0, 0);
        }
    }
    desired
}

/// One change to a text.
#[derive(Debug, Clone)]
enum Edit {
    Insert(String),
    Delete(usize),
    Replace(String),
    RepeatLine,
    DropLine,
}

fn edit() -> impl Strategy<Value = Edit> {
    let token = prop_oneof![
        Just("\t"),
        Just(":"),
        Just("- "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("!!str "),
        Just("|\n"),
        Just("---\n"),
        Just("..."),
        Just("null"),
        Just("~"),
        Just("12"),
        Just("true"),
        Just("\u{0}"),
        Just("\u{feff}"),
        Just("é"),
        Just("#"),
        Just("? "),
        Just("%YAML"),
        Just("\n"),
        Just(" "),
        Just("spec:\n"),
        Just("name: x\n"),
        Just(".inf"),
        Just("99999999999999999999"),
        Just("\r"),
    ];
    let token = token.prop_map(str::to_owned);
    prop_oneof![
        token.clone().prop_map(Edit::Insert),
        (1..20_usize).prop_map(Edit::Delete),
        token.prop_map(Edit::Replace),
        Just(Edit::RepeatLine),
        Just(Edit::DropLine),
    ]
}

/// Applies a change at the `place`-th character, counted round.
fn apply(text: &str, place: usize, edit: &Edit) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = place % (characters.len() + 1);
    let (before, after) = characters.split_at(at);
    let (before, after): (String, String) = (before.iter().collect(), after.iter().collect());
    let skip = |text: &str, count: usize| text.chars().skip(count).collect::<String>();
    let line_end = after.find('\n').map_or(after.len(), |end| end + 1);
    match edit {
        Edit::Insert(token) => before + token + &after,
        Edit::Delete(count) => before + &skip(&after, *count),
        Edit::Replace(token) => before + token + &skip(&after, 1),
        Edit::RepeatLine => format!("{before}{}{after}", &after[..line_end]),
        Edit::DropLine => before + &after[line_end..],
    }
}

/// Each text in a file that is named for it, so that it has the same name in every order.
fn files(documents: &[String]) -> Vec<(SourceFile, String)> {
    let mut sorted = documents.to_vec();
    sorted.sort();
    let place = |text: &String| sorted.binary_search(text).expect("it is there");
    documents
        .iter()
        .map(|text| {
            (
                SourceFile::new(format!("{}.yaml", place(text))),
                text.clone(),
            )
        })
        .collect()
}

/// Codes and severities of findings, sorted.
fn codes(loaded: &Loaded) -> Vec<(Code, Severity)> {
    let findings = loaded.diagnostics.iter();
    let mut codes: Vec<_> = findings
        .map(|finding| (finding.code, finding.severity))
        .collect();
    codes.sort();
    codes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_survived(text in "\\PC*|[ -~\n\t]{0,200}|[-:{}\\[\\]&*!|>'\"%#?,\n a]{0,120}") {
        survives(&text);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_damaged_manifest_is_survived(edits in proptest::collection::vec((any::<usize>(), edit()), 1..6)) {
        let mut text = quickstart();
        for (place, edit) in &edits {
            text = apply(&text, *place, edit);
        }
        survives(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_files_changes_nothing(order in Just(documents()).prop_shuffle()) {
        let (expected, loaded) = (read(&files(&documents())), read(&files(&order)));
        prop_assert_eq!(format!("{:?}", expected.desired), format!("{:?}", loaded.desired));
        prop_assert_eq!(expected.diagnostics, loaded.diagnostics);
        prop_assert_eq!(expected.complete, loaded.complete);
    }

    #[test]
    fn the_order_of_documents_changes_nothing(order in Just(documents()).prop_shuffle()) {
        let file = |documents: &[String]| [(SourceFile::new("all.yaml"), documents.join("---\n"))];
        let (expected, loaded) = (read(&file(&documents())), read(&file(&order)));
        prop_assert_eq!(codes(&expected), codes(&loaded));
        prop_assert_eq!(
            format!("{:?}", unplaced(expected.desired)),
            format!("{:?}", unplaced(loaded.desired))
        );
    }
}
