//! Section 5: an empty list can mean everyone.

use serde_json::json;

use crate::support::*;

const SHOP_KEY: &str = "developers/ann@example.com/apps/shop/keys/k3y";

#[test]
fn emptying_an_apigee_key_opens_it_to_all_and_is_refused() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.first_sync();
    case.write("app.yaml", key("[]", ""));
    let ran = case.plan(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), [format!("opens_to_all {SHOP_KEY}")]);
    // It widens, and is shown as what it does.
    assert_eq!(
        (ran.gains(), ran.losses().len()),
        (vec!["app shop (ann@example.com) / k3y WRITE".to_owned()], 0)
    );
    case.sync(&[]).exits(REFUSED);
    assert_eq!(
        (case.app("shop/k3y"), case.writes()),
        (vec!["READ".to_owned()], 0)
    );
}

#[test]
fn an_apigee_key_is_emptied_where_its_manifest_says_that_it_means_it() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.first_sync();
    case.write("app.yaml", key("[]", "allowEmpty: true"));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.gains(), ["app shop (ann@example.com) / k3y WRITE"]);
    assert!(case.app("shop/k3y").is_empty());
    // What `[]` holds is what was applied: a shorter list is a removal of what is known, not a first contact.
    case.write("app.yaml", key("[READ]", ""));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.losses(), ["app shop (ann@example.com) / k3y WRITE"]);
    assert_eq!(case.app("shop/k3y"), ["READ"]);
}

#[test]
fn an_approval_empties_an_apigee_key() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.first_sync();
    case.write("app.yaml", key("[]", ""));
    let ran = case.sync(&[]).exits(REFUSED);
    case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
    assert!(case.app("shop/k3y").is_empty());
}

#[test]
fn filling_an_empty_apigee_key_narrows_it() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[]")]);
    case.write("app.yaml", key("[READ]", ""));
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    let ran = case.plan(&[]).exits(DONE);
    assert_eq!(
        (ran.gains().len(), ran.losses()),
        (0, vec!["app shop (ann@example.com) / k3y WRITE".to_owned()])
    );
}

#[test]
fn spelling_an_empty_apigee_key_out_in_full_changes_nobodys_access() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[]")]);
    case.write("app.yaml", key("[READ, WRITE]", ""));
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!((ran.gains().len(), ran.losses().len()), (0, 0));
}

#[test]
fn taking_the_last_role_of_a_wso2_scope_opens_it_to_all_and_is_refused() {
    for (place, system) in [(wso2(""), "wso2"), (publisher(""), "publisher")] {
        let case = Case::of([place]);
        case.write(
            "a.yaml",
            scope(system, "a", "description: A, bindings: [x]"),
        );
        case.first_sync();
        case.write("a.yaml", scope(system, "a", "description: A, bindings: []"));
        let ran = case.sync(&[]).exits(REFUSED);
        assert_eq!(ran.refusals(), ["opens_to_all a"]);
        assert_eq!(
            (ran.gains(), ran.losses()),
            (vec!["any user a".to_owned()], vec!["role x a".to_owned()])
        );
        assert_eq!(case.roles("a"), ["x"]);
        case.sync(&["--approve-plan", &ran.digest()]).exits(DONE);
        assert!(case.roles("a").is_empty());
    }
}

#[test]
fn the_last_binding_that_goes_opens_a_scope_to_all_and_is_refused() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.write("one.yaml", binding("one", "a", "[one]"));
    case.first_sync();
    case.remove("one.yaml");
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["opens_to_all a"]);
    assert_eq!(case.roles("a"), ["one"]);
}

#[test]
fn giving_an_open_wso2_scope_its_first_role_narrows_it() {
    let case = Case::of([wso2("scopes: [{ name: a, description: A }]")]);
    case.write(
        "a.yaml",
        scope("wso2", "a", "description: A, bindings: [x]"),
    );
    case.run(&["adopt", ".", "--all"]).exits(DONE);
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        (ran.gains(), ran.losses()),
        (vec!["role x a".to_owned()], vec!["any user a".to_owned()])
    );
}

#[test]
fn the_last_scope_of_a_onelogin_app_is_refused_unless_its_manifest_means_it() {
    let case = Case::of([one_login("scopes: [{ id: 1, value: a }]")]);
    case.write("app.yaml", app(1, "[a]", ""));
    case.first_sync();
    case.write("app.yaml", app(1, "[]", ""));
    let ran = case.sync(&[]).exits(REFUSED);
    assert_eq!(ran.refusals(), ["last_entry 1"]);
    assert_eq!(
        (ran.losses(), case.app("1")),
        (vec!["app Shop (1) a".to_owned()], vec!["a".to_owned()])
    );
    case.write("app.yaml", app(1, "[]", "allowEmpty: true"));
    case.sync(&[]).exits(DONE);
    assert!(case.app("1").is_empty());
}

#[test]
fn an_app_set_on_apigee_cannot_say_delete() {
    let case = Case::of([apigee_shop("[READ]", "[READ]")]);
    case.write("app.yaml", key("[READ]", "deletionPolicy: Delete"));
    case.run(&["validate", "."])
        .exits(FAILED)
        .says("deletionPolicy");
    case.drift(json!({ "setProductScopes": { "product": "orders", "scopes": [] } }));
}
