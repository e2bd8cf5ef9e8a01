//! Section 1: what a target really is, whatever its manifest is called.

use serde_json::json;

use crate::support::*;

#[test]
fn two_targets_of_one_live_place_are_errors_on_both() {
    let case = Case::of([one_login("")]);
    case.write("again.yaml", case.target_manifest("onelogin", "again", ""));
    case.write("scopes.yaml", scope("onelogin", "a", "description: A"));
    let ran = case.run(&["validate", "."]).exits(FAILED);
    ran.says("\"default/again\" is the same live system")
        .says("\"default/onelogin\" is the same live system");
    case.sync(&["--new-inventory"]).exits(FAILED);
    assert_eq!(case.writes(), 0);
}

#[test]
fn two_targets_of_one_live_place_are_errors_on_both_even_where_one_is_named_by_its_identifier() {
    let case = Case::of([one_login("")]);
    let again = case.target_manifest("onelogin", "again", "").replace(
        "id: 31415",
        "resourceIdentifier: \"https://api.acme.com/orders\"",
    );
    case.write("again.yaml", again);
    case.write(
        "scopes.yaml",
        scope("again", "a", "description: A") + &scope("onelogin", "b", "description: B"),
    );
    case.run(&["validate", "."]).exits(DONE);
    let ran = case.sync(&["--new-inventory"]).exits(FAILED);
    for target in ["again", "onelogin"] {
        let error = ran.target(target)["error"].to_string();
        assert!(
            error.contains("default/again and default/onelogin are one live place"),
            "{error}"
        );
    }
    assert_eq!((case.writes(), case.scopes().len()), (0, 0));
}

/// A Target by id that holds a and b, and another one for the same server by identifier, to which b's manifest moves.
fn moved_to_a_twin(edit: impl FnOnce(String) -> String) -> Case {
    let case = Case::of([one_login("")]);
    let (a, b) = (
        scope("onelogin", "a", "description: A"),
        scope("onelogin", "b", "description: B"),
    );
    case.write("a.yaml", a.clone() + &b);
    case.first_sync();
    let again = case.target_manifest("onelogin", "again", "").replace(
        "id: 31415",
        "resourceIdentifier: \"https://api.acme.com/orders\"",
    );
    case.write("again.yaml", edit(again));
    case.write("a.yaml", a + &scope("again", "b", "description: B"));
    case.forget_requests();
    case
}

#[test]
fn a_place_whose_other_target_is_not_chosen_loses_nothing() {
    let case = moved_to_a_twin(|text| text);
    let ran = case.sync(&["--target", "onelogin"]).exits(DONE);
    assert_eq!(ran.skipped(), ["unread_target b"]);
    assert_eq!((case.writes(), case.scopes().len()), (0, 2));
    // The other way round the reading tells which server it is.
    let ran = case.sync(&["--target", "again"]).exits(FAILED);
    ran.says("default/again and default/onelogin are one live place");
    assert_eq!((case.writes(), case.scopes().len()), (0, 2));
}

#[test]
fn two_identifiers_are_two_places_whichever_of_them_is_read() {
    let mut place = one_login("");
    let other = "{ id: 99999, name: Other, resourceIdentifier: \"https://api.acme.com/other\", audiences: [x] }";
    place.world = place
        .world
        .replace(" }], apps:", &format!(" }}, {other}], apps:"));
    let case = Case::of([place]);
    let by = |name: &str, identifier: &str| {
        let named = format!("resourceIdentifier: \"https://api.acme.com/{identifier}\"");
        case.target_manifest("onelogin", name, "")
            .replace("id: 31415", &named)
    };
    case.write("targets/onelogin.yaml", by("onelogin", "orders"));
    case.write("targets/other.yaml", by("other", "other"));
    let (a, b) = (
        scope("onelogin", "a", "description: A"),
        scope("onelogin", "b", "description: B"),
    );
    case.write("a.yaml", a.clone() + &b);
    case.first_sync();
    case.write("a.yaml", a);
    case.sync(&["--target", "onelogin"]).exits(DONE);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_place_whose_other_target_is_suspended_loses_nothing() {
    let case = moved_to_a_twin(|text| text.replace("limits:", "suspend: true, limits:"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.skipped(), ["unread_target b"]);
    assert_eq!((case.writes(), case.scopes().len()), (0, 2));
}

#[test]
fn a_place_whose_other_target_cannot_be_read_loses_nothing() {
    let case = moved_to_a_twin(|text| {
        text.replace(
            "credentialsRef: { name: onelogin }",
            "credentialsRef: { name: nowhere }",
        )
    });
    let ran = case.sync(&[]).exits(FAILED);
    assert_eq!(ran.skipped(), ["unread_target b"]);
    assert_eq!((case.writes(), case.scopes().len()), (0, 2));
}

#[test]
fn a_target_with_another_url_is_another_place_and_owns_nothing() {
    let case = Case::of([
        one_login(""),
        one_login("scopes: [{ id: 5, value: a, description: A }]").called("other"),
    ]);
    case.remove("targets/other.yaml");
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.first_sync();
    assert_eq!(case.owned(), ["a created"]);
    // The same Target leads elsewhere from now on, and its manifests are gone.
    case.write(
        "targets/onelogin.yaml",
        case.target_manifest("other", "onelogin", ""),
    );
    case.remove("a.yaml");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["new_inventory"]);
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(ran.skipped(), ["unmanaged a"]);
    ran.says("the inventory holds 1 objects of default/onelogin");
    assert_eq!(
        (
            case.writes(),
            case.scopes_of("onelogin"),
            case.scopes_of("other")
        ),
        (0, vec!["a".into()], vec!["a".into()])
    );
}

#[test]
fn entries_whose_target_is_gone_are_reported_and_left() {
    let case = Case::of([one_login(""), wso2("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.write("b.yaml", scope("wso2", "b", "description: B"));
    case.first_sync();
    case.remove("targets/wso2.yaml");
    case.remove("b.yaml");
    let ran = case.sync(&[]).exits(DONE);
    ran.says("the inventory holds 1 objects of default/wso2")
        .says("they are left alone");
    assert_eq!(
        (case.writes(), case.scopes_of("wso2")),
        (0, vec!["b".to_owned()])
    );
    assert_eq!(case.owned(), ["a created", "b created"]);
    // The Target comes back: what it made is still ours.
    case.target("wso2", "");
    case.sync(&[]).exits(DONE);
    assert!(case.scopes_of("wso2").is_empty());
}

#[test]
fn a_renamed_target_keeps_what_it_owns() {
    let case = Case::of([one_login("")]);
    case.write(
        "a.yaml",
        scope("onelogin", "a", "description: A") + &scope("onelogin", "b", "description: B"),
    );
    case.first_sync();
    case.remove("targets/onelogin.yaml");
    case.write(
        "targets/iam.yaml",
        case.target_manifest("onelogin", "iam", ""),
    );
    case.write("a.yaml", scope("iam", "a", "description: A"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes(), ["delete b done"]);
    assert_eq!(case.scopes(), ["a"]);
}

#[test]
fn a_suspended_target_is_neither_read_nor_written() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.target("onelogin", "suspend: true");
    case.sync(&[]).exits(DONE);
    assert_eq!(case.requests(), 0);
    case.target("onelogin", "");
    case.first_sync();
    case.remove("a.yaml");
    case.target("onelogin", "suspend: true");
    case.sync(&[]).exits(DONE);
    assert_eq!((case.requests(), case.scopes()), (0, vec!["a".to_owned()]));
    case.drift(json!({ "deleteScope": "a" }));
}
