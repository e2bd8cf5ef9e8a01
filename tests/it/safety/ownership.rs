//! Who owns what, and what follows from that.

use serde_json::json;

use crate::support::*;

const EXISTING: &str = "scopes: [{ id: 7, value: orders:read, description: Read orders }]";

#[test]
fn what_is_declared_and_absent_is_created() {
    let case = Case::of([one_login("")]);
    case.write(
        "scopes.yaml",
        scope("onelogin", "orders:read", "description: Read orders"),
    );
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["create orders:read done"]);
    assert_eq!(case.scopes(), ["orders:read"]);
    assert_eq!(case.owned(), ["orders:read created"]);
}

#[test]
fn what_is_declared_and_equal_is_matched_and_kept_when_its_manifest_goes() {
    let case = Case::of([one_login(EXISTING)]);
    case.write(
        "scopes.yaml",
        scope("onelogin", "orders:read", "description: Read orders"),
    );
    case.first_sync();
    assert_eq!(case.owned(), ["orders:read matched"]);
    case.remove("scopes.yaml");
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["matched orders:read"]);
    assert_eq!(
        (case.scopes(), case.writes()),
        (vec!["orders:read".to_owned()], 0)
    );
}

#[test]
fn a_terminal_is_asked() {
    let case = Case::of([wso2("")]);
    case.write(
        "scopes.yaml",
        scope("wso2", "orders:read", "description: Read orders"),
    );
    let mut terminal = case.start_on_terminal(&["sync", "."]);
    terminal.wait_for("Go ahead?");
    terminal.type_line("yes");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(DONE), "{screen}");
    case.drift(json!({ "deleteScope": "orders:read" }));
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write("apps.yaml", key("[READ, WRITE]", ""));
    case.first_sync();
    assert_eq!(case.app("shop/k3y"), ["READ", "WRITE"]);
}
