//! Who may import whom, checked on the sources: `docs/architecture.md` holds the same table for people.
//!
//! Comments and texts are left out; a path counts however it is written: in a `use`, in the midst of code, by `crate::` or
//! by `super::`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// One module of `src/`, with all that lies below it.
struct Rule {
    module: &'static str,
    /// What of ours it may import, itself aside.
    may_import: &'static [&'static str],
    /// Words and paths that do not stand in it. `::now` is every type's function of that name: a clock.
    forbidden: &'static [&'static [&'static str]],
}

/// What would make a module depend on more than its arguments.
const IMPURE: &[&str] = &[
    "async",
    "futures",
    "kube",
    "k8s_openapi",
    "rand",
    "reqwest",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "tokio",
    "tracing",
    "uuid",
    "::now",
];
const CLIENT: &[&str] = &["reqwest"];
const CLUSTER: &[&str] = &["kube", "k8s_openapi"];
const COMMAND_LINE: &[&str] = &["clap"];
const FILES: &[&str] = &["std::fs", "tokio::fs"];
const CLOCK: &[&str] = &["SystemTime", "::now"];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { module: "model",      may_import: &[],                                           forbidden: &[IMPURE, COMMAND_LINE] },
    Rule { module: "diagnostic", may_import: &["model"],                                    forbidden: &[IMPURE, COMMAND_LINE] },
    Rule { module: "plan",       may_import: &["model", "diagnostic"],                      forbidden: &[IMPURE, COMMAND_LINE] },
    Rule { module: "manifest",   may_import: &["model", "diagnostic"],                      forbidden: &[CLIENT, CLUSTER, COMMAND_LINE, CLOCK, &["tokio"]] },
    Rule { module: "inventory",  may_import: &["model"],                                    forbidden: &[CLIENT, CLUSTER, COMMAND_LINE] },
    Rule { module: "provider",   may_import: &["model", "plan::change", "plan::guard::ApprovedChange", "diagnostic"], forbidden: &[CLIENT, CLUSTER, COMMAND_LINE] },
    Rule { module: "apply",      may_import: &["model", "diagnostic", "plan", "provider", "inventory"], forbidden: &[CLIENT, CLUSTER, COMMAND_LINE, FILES] },
    Rule { module: "run",        may_import: &["apply", "diagnostic", "inventory", "manifest", "model", "plan", "provider"], forbidden: &[CLIENT, CLUSTER, COMMAND_LINE, FILES] },
    Rule { module: "render",     may_import: &["model", "plan", "diagnostic", "apply"],     forbidden: &[CLIENT, CLUSTER, COMMAND_LINE, FILES, CLOCK, &["tokio"]] },
    Rule { module: "cluster",    may_import: &["diagnostic", "inventory", "manifest", "model"], forbidden: &[CLIENT, COMMAND_LINE, FILES] },
    Rule { module: "operator",   may_import: &["apply", "cluster", "diagnostic", "inventory", "manifest", "model", "plan", "provider",
                                               "run", "telemetry"], forbidden: &[CLIENT, COMMAND_LINE, FILES, &["std::process"]] },
    Rule { module: "telemetry",  may_import: &[],                                           forbidden: &[CLIENT, CLUSTER, COMMAND_LINE, FILES] },
    Rule { module: "cli",        may_import: &["manifest", "model", "plan"],                forbidden: &[CLIENT, CLUSTER, FILES, &["tokio"]] },
    Rule { module: "commands",   may_import: &["apply", "cli", "cluster", "diagnostic", "inventory", "manifest", "model", "operator", "plan",
                                               "provider", "render", "run", "telemetry"], forbidden: &[CLIENT, CLUSTER] },
    Rule { module: "main",       may_import: &["commands"],                                 forbidden: &[CLIENT, CLUSTER, FILES, &["tokio"]] },
    Rule { module: "lib",        may_import: &[],                                           forbidden: &[CLIENT, CLUSTER, FILES, &["tokio"]] },
];

/// Where a word stands all the same: what a path starts with, and the word.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The derive alone, for the definitions of the four kinds, and the CEL rules that it makes: never a client.
    ("manifest/crd", "kube"),
    ("manifest/crd", "k8s_openapi"),
    ("manifest/schema.rs", "kube"),
    // The sandbox of `--sandbox`, and `scopeward sandbox`: there with the feature alone.
    ("commands/embedded.rs", "scopeward_sandbox"),
    ("commands/sandbox.rs", "scopeward_sandbox"),
    // Its runs are over manifests on disk.
    ("run/tests", "std::fs"),
    // All requests go through here: pace, retries, redaction and the refusal of writes are in one place.
    ("provider/http", "reqwest"),
];

/// Files that lead to each other, to be cut.
const CIRCLES: &[&str] = &[];

/// Verbs that change nothing hold nothing that could.
#[rustfmt::skip]
const READ_ONLY: &[(&str, &[&str])] = &[
    ("commands/plan.rs",     &["FileLedger", "Ledger", "Provider", "Execution", "run_target", "execute", "providers"]),
    ("commands/validate.rs", &["FileLedger", "Ledger", "Provider", "Execution", "run_target", "execute", "providers", "Observe", "Session"]),
    ("run/judge.rs",         &["FileLedger", "Ledger", "Provider", "Execution", "run_target", "execute", "providers"]),
];

#[test]
fn modules_import_only_what_they_may() {
    let mut broken = Vec::new();
    for file in SOURCES.iter() {
        let rule = rule_of(file);
        for path in &file.paths {
            let Some(ours) = path.inside_the_crate(file.depth()) else {
                continue;
            };
            let itself = ours.first() == Some(&rule.module);
            let allowed = |entry: &&&str| {
                entry
                    .split("::")
                    .eq(ours.iter().take(entry.split("::").count()).copied())
            };
            let known = RULES.iter().any(|rule| Some(&rule.module) == ours.first());
            if known && !itself && rule.may_import.iter().find(allowed).is_none() {
                broken.push(format!(
                    "src/{}:{}: {} imports {}",
                    file.name,
                    path.line,
                    rule.module,
                    ours.join("::")
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn modules_mention_nothing_that_their_row_forbids() {
    let (mut broken, mut used) = (Vec::new(), BTreeSet::new());
    for file in SOURCES.iter() {
        let excepted = |word: &str| {
            EXCEPTIONS
                .iter()
                .position(|(place, except)| *except == word && file.name.starts_with(place))
        };
        let forbidden = rule_of(file).forbidden.iter().copied().flatten();
        for word in forbidden.chain(&["scopeward_sandbox"]) {
            let found = file
                .paths
                .iter()
                .filter(|path| path.mentions(word))
                .map(|path| path.line)
                .min();
            match (found, excepted(word)) {
                (Some(_), Some(exception)) => _ = used.insert(exception),
                (Some(line), None) => broken.push(format!("src/{}:{line}: `{word}`", file.name)),
                (None, _) => {}
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let unused: Vec<_> = (0..EXCEPTIONS.len())
        .filter(|index| !used.contains(index))
        .map(|i| EXCEPTIONS[i])
        .collect();
    assert!(
        unused.is_empty(),
        "exceptions that nothing needs: {unused:?}"
    );
}

/// That it imports nothing of the engine is the compiler's to see: it is a crate that does not depend on it.
#[test]
fn the_sandbox_mentions_no_client_of_the_systems_that_it_is() {
    let forbidden = [CLIENT, CLUSTER, COMMAND_LINE].into_iter().flatten();
    let found: Vec<_> = forbidden
        .flat_map(|word| SANDBOX.iter().map(move |file| (file, word)))
        .filter(|(file, word)| file.paths.iter().any(|path| path.mentions(word)))
        .map(|(file, word)| format!("sandbox/src/{}: `{word}`", file.name))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn verbs_that_only_look_hold_nothing_that_writes() {
    for (name, words) in READ_ONLY {
        let file = SOURCES.iter().find(|file| file.name == *name).unwrap();
        let found: Vec<_> = file
            .paths
            .iter()
            .filter(|path| words.iter().any(|word| path.mentions(word)))
            .map(|path| format!("{}: {}", path.line, path.segments.join("::")))
            .collect();
        assert!(found.is_empty(), "src/{name}: {}", found.join(", "));
    }
}

#[test]
fn every_module_has_a_row() {
    let there: BTreeSet<String> = SOURCES
        .iter()
        .map(|file| file.module().to_owned())
        .collect();
    let rows: BTreeSet<String> = RULES.iter().map(|rule| rule.module.to_owned()).collect();
    assert_eq!(there, rows);
}

/// A module and what lies below it are one thing: what is shared stands in the upper file, and both may name the other.
/// Between all other files a circle means that neither can be read, tested or moved without the other.
#[test]
fn no_files_lead_to_each_other() {
    let engine = circles("src", &SOURCES).into_iter();
    let found: Vec<String> = engine.chain(circles("sandbox/src", &SANDBOX)).collect();
    assert_eq!(found, CIRCLES, "\n{}\n", found.join("\n"));
}

#[test]
fn a_circle_is_found_whatever_its_length() {
    let file = |name: &str, text: &str| Source {
        name: name.to_owned(),
        paths: paths(text),
    };
    let files = [
        file("a.rs", "mod x; mod y; use x::X;"),
        file("a/x.rs", "use super::{A, y::Y};"),
        file("a/y.rs", "use crate::b::B;"),
        file("b.rs", "use crate::{a::x::X, c};"),
        file("c.rs", "fn c() -> super::d::D {}"),
        file("d.rs", "use super::b_is_another;"),
    ];
    assert_eq!(circles("src", &files), ["src/: a/x.rs a/y.rs b.rs"]);
}

/// The scanner itself: what it has to see, and what it has to overlook.
#[test]
fn a_path_counts_however_it_is_written() {
    let told = |text: &str, depth: usize| -> Vec<String> {
        let paths = paths(text);
        let ours = paths.iter().filter_map(|path| path.inside_the_crate(depth));
        ours.map(|path| path.join("::")).collect()
    };
    #[rustfmt::skip]
    let table: &[(&str, usize, &[&str])] = &[
        ("use crate::plan;", 1, &["plan"]),
        ("use crate::{plan::change::Change, model::{self, name::*}};", 1, &["plan::change::Change", "model", "model::name::*"]),
        ("pub(crate) use crate::plan::Plan as P;", 1, &["plan::Plan"]),
        ("fn f(p: &crate::plan::Plan) {}", 2, &["plan::Plan"]),
        ("fn f() { scopeward::plan::run() }", 2, &["plan::run"]),
        ("use super::plan;", 1, &["plan"]),
        ("use super::plan;", 2, &[]),
        ("use super::super::plan::{Plan, Rule};", 2, &["plan::Plan", "plan::Rule"]),
        ("mod tests { use super::super::plan; }", 1, &["plan"]),
        ("// use crate::plan;\n/* crate::plan\n */ const R: &str = \"*/*\";", 1, &[]),
        ("const A: &str = \"crate::plan \\\" // crate::plan\"; const B: &str = r#\"crate::plan \"quoted\"\"#;", 1, &[]),
        ("fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } use crate::plan;", 1, &["plan"]),
    ];
    for (text, depth, expected) in table {
        assert_eq!(told(text, *depth), *expected, "{text}");
    }
    let mentions = |text: &str, word: &str| paths(text).iter().any(|path| path.mentions(word));
    #[rustfmt::skip]
    let table = [
        ("use std::{collections, fs::File};", "std::fs", true),
        ("let x = std::fs::read(p);", "std::fs", true),
        ("use std::fmt;", "std::fs", false),
        ("#[tokio::test]", "tokio", true),
        ("async fn f() {}", "async", true),
        ("let t = jiff::Timestamp::now();", "::now", true),
        ("let t = options.now;", "::now", false),
        ("use super::world::now;", "::now", false),
        ("let kubelike = 1;", "kube", false),
    ];
    for (text, word, expected) in table {
        assert_eq!(mentions(text, word), expected, "{text}");
    }
}

/// A source file.
struct Source {
    /// Its path below its crate's `src/`, with slashes.
    name: String,
    /// The paths and words of its code.
    paths: Vec<Words>,
}

impl Source {
    /// The module of the table that it belongs to.
    fn module(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap()
    }

    /// How many modules deep it stands: `plan.rs` is 1, `plan/guard.rs` 2.
    fn depth(&self) -> usize {
        match self.name.as_str() {
            "lib.rs" | "main.rs" => 0,
            name => name.split('/').count(),
        }
    }

    /// The modules on the way to it and itself: `plan/guard.rs` is `plan`, `guard`.
    fn place(&self) -> Vec<&str> {
        match self.name.as_str() {
            "lib.rs" | "main.rs" => vec![self.name.as_str()],
            name => name.trim_end_matches(".rs").split('/').collect(),
        }
    }

    /// The files whose items it names, but those above and below it.
    fn leads_to(&self, modules: &BTreeMap<Vec<&str>, usize>) -> BTreeSet<usize> {
        let here = self.place();
        let full = |path: &Words| -> Option<Vec<String>> {
            let up = path
                .segments
                .iter()
                .take_while(|part| *part == "super")
                .count();
            let (base, rest) = match path.segments[0].as_str() {
                "crate" | "scopeward" => (0, &path.segments[1..]),
                "super" => (here.len().checked_sub(up)?, &path.segments[up..]),
                _ => return None,
            };
            let base = here[..base].iter().map(|&part| part.to_owned());
            Some(base.chain(rest.iter().cloned()).collect())
        };
        let mut found = BTreeSet::new();
        for path in self.paths.iter().filter_map(full) {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            // The deepest module of the path is the one that is meant.
            let module = (1..=parts.len())
                .rev()
                .find_map(|length| modules.get_key_value(&parts[..length]));
            if let Some((place, index)) = module
                && !here.starts_with(place)
                && !place.starts_with(&here)
            {
                found.insert(*index);
            }
        }
        found
    }
}

/// The sets of files each of which leads to all others of its set, as `FOLDER/: FILE FILE`.
fn circles(folder: &str, files: &[Source]) -> Vec<String> {
    let modules: BTreeMap<Vec<&str>, usize> = files
        .iter()
        .enumerate()
        .map(|(index, file)| (file.place(), index))
        .collect();
    let mut reached: Vec<BTreeSet<usize>> =
        files.iter().map(|file| file.leads_to(&modules)).collect();
    // What is reached by a detour, until nothing new is.
    while {
        let further: Vec<BTreeSet<usize>> = reached
            .iter()
            .map(|direct| {
                direct
                    .iter()
                    .flat_map(|&next| &reached[next])
                    .copied()
                    .collect()
            })
            .collect();
        let before: usize = reached.iter().map(BTreeSet::len).sum();
        reached
            .iter_mut()
            .zip(further)
            .for_each(|(all, more)| all.extend(more));
        before < reached.iter().map(BTreeSet::len).sum()
    } {}
    let mut found = BTreeSet::new();
    for (index, all) in reached.iter().enumerate() {
        let circle = all.iter().filter(|&&other| reached[other].contains(&index));
        let names: Vec<&str> = circle.map(|&other| files[other].name.as_str()).collect();
        if !names.is_empty() {
            found.insert(format!("{folder}/: {}", names.join(" ")));
        }
    }
    found.into_iter().collect()
}

fn rule_of(file: &Source) -> &'static Rule {
    let row = RULES.iter().find(|rule| rule.module == file.module());
    row.unwrap_or_else(|| {
        panic!(
            "src/{}: its module has no row in tests/it/architecture.rs",
            file.name
        )
    })
}

/// All of the engine, read once.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| sources("src"));

/// All of the sandbox, read once.
static SANDBOX: LazyLock<Vec<Source>> = LazyLock::new(|| sources("sandbox/src"));

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts = path
                    .strip_prefix(&root)
                    .unwrap()
                    .iter()
                    .map(|part| part.to_str().unwrap());
                let name = parts.collect::<Vec<_>>().join("/");
                found.push(Source {
                    name,
                    paths: paths(&fs::read_to_string(&path).unwrap()),
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(
        found.len() > 50,
        "the sources are not where they are looked for"
    );
    found
}

/// A path such as `crate::plan::Plan`, or a single word.
struct Words {
    line: usize,
    segments: Vec<String>,
}

impl Words {
    /// What it names below the crate's root, as seen from a file that stands `depth` modules deep.
    fn inside_the_crate(&self, depth: usize) -> Option<Vec<&str>> {
        let supers = self
            .segments
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let rest = match self.segments.first().map(String::as_str) {
            Some("crate" | "scopeward") => &self.segments[1..],
            // A module within the file, such as its tests, stands one deeper.
            Some("super") if supers == depth || supers == depth + 1 => &self.segments[supers..],
            _ => return None,
        };
        (!rest.is_empty()).then(|| rest.iter().map(String::as_str).collect())
    }

    fn mentions(&self, word: &str) -> bool {
        if let Some(wanted) = word.strip_prefix("::") {
            // Of a type: a test's own `now()` is a constant.
            return matches!(&self.segments[..], [.., owner, last]
                if last == wanted && owner.starts_with(char::is_uppercase));
        }
        let wanted: Vec<&str> = word.split("::").collect();
        self.segments
            .windows(wanted.len())
            .any(|some| some == wanted)
    }
}

static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z_][A-Za-z_0-9]*|::|\S|\n").unwrap());

/// Comments, strings and characters.
static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
          //[^\n]*
        | /\*(?s:.*?)\*/
        | \b[bc]?r"[^"]*"
        | \b[bc]?r\#"(?s:.*?)"\#
        | \b[bc]?r\#\#"(?s:.*?)"\#\#
        | "(?:\\(?s:.)|[^"\\])*"
        | '(?:\\[^u]|\\u\{[^}]*\}|[^'\\])'
        "#,
    )
    .unwrap()
});

/// Every path and every word of a source, with what stands in braces behind a path written out.
fn paths(source: &str) -> Vec<Words> {
    let text = code(source);
    let mut found = Vec::new();
    let (mut line, mut path, mut joined) = (1, Vec::<String>::new(), false);
    // The beginnings that braces share, and whether the braces belong to a path at all.
    let mut groups: Vec<Option<Vec<String>>> = Vec::new();
    let mut end = |path: &mut Vec<String>, line: usize| {
        if !path.is_empty() {
            found.push(Words {
                line,
                segments: std::mem::take(path),
            });
        }
    };
    for token in TOKEN.find_iter(&text).map(|found| found.as_str()) {
        let shared = || {
            groups
                .iter()
                .rev()
                .find_map(Clone::clone)
                .unwrap_or_default()
        };
        match token {
            "\n" => line += 1,
            "::" => joined = true,
            "{" if joined => {
                groups.push(Some(std::mem::take(&mut path)));
                joined = false;
            }
            "{" => {
                end(&mut path, line);
                groups.push(None);
            }
            "}" | "," => {
                end(&mut path, line);
                if token == "}" {
                    groups.pop();
                }
                joined = false;
            }
            word if word == "*" && joined
                || word.starts_with(|c: char| c.is_alphabetic() || c == '_') =>
            {
                if !joined {
                    end(&mut path, line);
                    path = match groups.last() {
                        Some(Some(_)) => shared(),
                        _ => Vec::new(),
                    };
                }
                joined = false;
                // `{self}` is the path itself.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
            }
            _ => {
                end(&mut path, line);
                joined = false;
            }
        }
    }
    end(&mut path, line);
    found
}

/// A source with its comments, strings and characters blanked; the line breaks stay, so that what is found has its line.
fn code(source: &str) -> String {
    let breaks = |found: &Captures<'_>| found[0].chars().filter(|c| *c == '\n').collect::<String>();
    HIDDEN
        .replace_all(source, |found: &Captures<'_>| {
            format!(" {} ", breaks(found))
        })
        .into_owned()
}
