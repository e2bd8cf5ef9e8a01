//! The documents: what they point at is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

#[test]
fn tests_that_the_documents_name_exist() {
    let head = Regex::new(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")
        .unwrap();
    let mut there = BTreeSet::new();
    for file in files(&["src", "tests"], "rs") {
        let text = fs::read_to_string(file).unwrap();
        there.extend(head.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let name = Regex::new(r"`(\w+)`").unwrap();
    let mut named = 0;
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for paragraph in text
            .split("\n\n")
            .filter(|paragraph| paragraph.starts_with("Tests: "))
        {
            for test in name
                .captures_iter(paragraph)
                .map(|found| found[1].to_owned())
            {
                assert!(
                    there.contains(&test),
                    "{}: there is no test `{test}`",
                    file.display()
                );
                named += 1;
            }
        }
    }
    assert!(named > 0, "the rules of docs/safety.md name their tests");
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            assert!(path.exists(), "{}: {target} is not there", file.display());
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&path).unwrap());
                assert!(
                    anchors.contains(anchor),
                    "{}: {target}: no such heading",
                    file.display()
                );
            }
        }
    }
}

/// The anchors that a page's headings have.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn documents() -> Vec<PathBuf> {
    let mut found = files(&["docs", "examples"], "md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    found.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root.join(name)));
    found
}

/// The files of some folders that have an extension.
fn files(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|other| other == extension) {
                found.push(path);
            }
        }
    }
    found
}
