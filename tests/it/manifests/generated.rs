//! Generated files are what the types say.

use scopeward::manifest;

/// Compares generated files with those of the repository; `SCOPEWARD_GENERATE=1` writes them instead.
fn is_current(folder: &str, files: Vec<(String, String)>) {
    let folder = super::repository(folder);
    for (name, text) in files {
        let path = folder.join(name);
        if std::env::var_os("SCOPEWARD_GENERATE").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == text,
            "{} is not what the types say: run the tests with SCOPEWARD_GENERATE=1, and look at what changes",
            path.display()
        );
    }
}

#[test]
fn the_stored_definitions_are_current() {
    is_current("crds", manifest::generate::crds());
}

#[test]
fn the_stored_schemas_are_current() {
    is_current("schemas", manifest::generate::schemas());
    is_current("schemas", scopeward::render::json::schemas());
}

/// The tables that stand between markers on a page that people write.
#[test]
fn the_table_of_rules_is_current() {
    const MARKS: [&str; 2] = ["<!-- rules -->\n", "<!-- /rules -->\n"];
    let page = super::repository("docs/safety.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let (before, rest) = page
        .split_once(MARKS[0])
        .expect("the table has a beginning");
    let (_, after) = rest.split_once(MARKS[1]).expect("the table has an end");
    let table = scopeward::plan::rule::table();
    let page = format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]);
    is_current("docs", vec![("safety.md".to_owned(), page)]);
}

#[test]
fn the_page_of_checks_is_current() {
    let page = scopeward::diagnostic::codes::page();
    is_current("docs", vec![("checks.md".to_owned(), page)]);
}
