//! Claims.

use super::*;

#[test]
fn a_claim_is_listed_with_every_member() {
    let mut desk = Desk::new();
    let list = desk.get("/31415/claims");
    let expected = json!({
        "id": 7, "name": "role", "label": "role", "user_attribute_mappings": "roles",
        "user_attribute_macros": null, "attributes_transformations": null, "skip_if_blank": null, "values": null,
        "default_values": null, "provisioned_entitlements": null, "safe_entitlements_enabled": null,
        "inherited": false,
    });
    assert_eq!(list, json!([expected]));
    assert_eq!(
        list[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        expected.as_object().unwrap().keys().collect::<Vec<_>>()
    );
}

#[test]
fn a_claim_is_made_changed_and_removed() {
    let mut desk = Desk::new();
    let body =
        r#"{"name":"email","user_attribute_mappings":"email","values":["a"],"auth_server_id":1}"#;
    assert_eq!(
        desk.call("POST", "/31415/claims", body),
        (200, json!({ "id": 8 }))
    );
    desk.refused(
        "POST",
        "/31415/claims",
        body,
        422,
        "Validation failed: Name has already been taken",
    );
    desk.refused(
        "PUT",
        "/31415/claims/7",
        body,
        422,
        "Validation failed: Name has already been taken",
    );
    desk.refused("POST", "/31415/claims", "{}", 400, "Missing required field");
    let put = r#"{"attributes_transformations":"semicolon_separated_list"}"#;
    assert_eq!(
        desk.call("PUT", "/31415/claims/8", put),
        (200, json!({ "id": 8 }))
    );
    let claim = desk.get("/31415/claims")[1].clone();
    assert_eq!(
        (&claim["values"], &claim["user_attribute_mappings"]),
        (&json!(["a"]), &json!("email"))
    );
    assert_eq!(
        claim["attributes_transformations"],
        "semicolon_separated_list"
    );
    assert_eq!(
        desk.call("DELETE", "/31415/claims/8", ""),
        (204, Value::Null)
    );
    desk.refused("DELETE", "/31415/claims/8", "", 404, UNKNOWN);
    let mut desk = Desk::with(json!({ "claimPut": "nameRequired" }));
    desk.refused("PUT", "/31415/claims/7", put, 400, "Missing required field");
}
