//! Clients and what they hold.

use super::*;

#[test]
fn a_client_is_listed_with_its_scopes_whole() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.get("/31415/clients"),
        json!([{ "app_id": 1_026_152, "api_auth_id": 31415, "name": "Shop", "scopes": [
            { "id": 1, "value": "orders:read", "description": "Read orders", "inherited": false },
            { "id": 2, "value": "orders:write", "description": null, "inherited": false },
        ]}])
    );
    assert_eq!(desk.get("/31416/clients"), json!([]));
}

#[test]
fn a_client_is_attached_changed_and_detached() {
    let mut desk = Desk::new();
    let both = json!({ "app_id": 1_026_153, "api_auth_id": 31415 });
    let body = r#"{"app_id":1026153,"api_auth_id":31415,"scopes":[1,1]}"#;
    assert_eq!(
        desk.call("POST", "/31415/clients", body),
        (201, both.clone())
    );
    assert_eq!(
        desk.call("PUT", "/31415/clients/1026153", r#"{"scopes":[2,3]}"#),
        (200, both.clone())
    );
    assert_eq!(
        values(&desk.get("/31415/clients")[1]["scopes"]),
        ["orders:write", "openid"]
    );
    assert_eq!(
        desk.call("PUT", "/31415/clients/1026153", "{}"),
        (200, both)
    );
    assert_eq!(desk.get("/31415/clients")[1]["scopes"], json!([]));
    assert_eq!(
        desk.call("DELETE", "/31415/clients/1026153", ""),
        (204, Value::Null)
    );
    desk.refused("DELETE", "/31415/clients/1026153", "", 404, UNKNOWN);
    desk.refused(
        "PUT",
        "/31415/clients/1026153",
        r#"{"scopes":[]}"#,
        404,
        UNKNOWN,
    );
}

#[test]
fn a_client_call_of_the_wrong_shape_is_refused_in_the_recorded_words() {
    let mut desk = Desk::new();
    desk.refused(
        "POST",
        "/31415/clients",
        r#"{"id":1026153}"#,
        400,
        "Missing required field: app_id",
    );
    let foreign =
        "Validation failed: Scopes 51 does not belong to the specified ApiAuthorizationApp";
    desk.refused(
        "POST",
        "/31415/clients",
        r#"{"app_id":1026153,"scopes":[51]}"#,
        422,
        foreign,
    );
    desk.refused(
        "PUT",
        "/31415/clients/1026152",
        r#"{"scopes":[1,51]}"#,
        422,
        foreign,
    );
    let alone = r#"instance is not allowed to have the additional property "app_id""#;
    desk.refused(
        "PUT",
        "/31415/clients/1026152",
        r#"{"app_id":1026152,"scopes":[1]}"#,
        422,
        alone,
    );
    let strings = "instance.scopes[0] is not of a type(s) integer";
    desk.refused(
        "PUT",
        "/31415/clients/1026152",
        r#"{"scopes":["1"]}"#,
        422,
        strings,
    );
    for no_oidc_app in [1, 9, 31416] {
        let body = json!({ "app_id": no_oidc_app, "scopes": [1] }).to_string();
        desk.refused("POST", "/31415/clients", &body, 404, UNKNOWN);
    }
    let again = "Validation failed: App has already been taken";
    desk.refused(
        "POST",
        "/31415/clients",
        r#"{"app_id":1026152,"scopes":[1]}"#,
        422,
        again,
    );
    assert_eq!(
        values(&desk.get("/31415/clients")[0]["scopes"]),
        ["orders:read", "orders:write"]
    );
}

#[test]
fn switches_decide_what_an_empty_or_absent_grant_does() {
    for (switches, body, status, held) in [
        (json!({}), r#"{"scopes":[]}"#, 200, 0),
        (json!({}), "{}", 200, 0),
        (
            json!({ "emptyGrant": "refuse" }),
            r#"{"scopes":[]}"#,
            422,
            2,
        ),
        (json!({ "emptyGrant": "refuse" }), "{}", 422, 2),
        (json!({ "absentGrant": "keep" }), "{}", 200, 2),
        (json!({ "absentGrant": "refuse" }), "{}", 400, 2),
        (
            json!({ "clientPutExtraFields": "accept" }),
            r#"{"app_id":1,"scopes":[1]}"#,
            200,
            1,
        ),
    ] {
        let mut desk = Desk::with(switches.clone());
        let (actual, answer) = desk.call("PUT", "/31415/clients/1026152", body);
        assert_eq!(actual, status, "{switches} {body}: {answer}");
        let scopes = desk.get("/31415/clients")[0]["scopes"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(scopes, held, "{switches} {body}");
    }
    let mut desk = Desk::with(json!({ "attachTwice": "replace" }));
    assert_eq!(
        desk.call(
            "POST",
            "/31415/clients",
            r#"{"app_id":1026152,"scopes":[2]}"#
        )
        .0,
        201
    );
    assert_eq!(
        values(&desk.get("/31415/clients")[0]["scopes"]),
        ["orders:write"]
    );
}

#[test]
fn a_list_of_clients_can_be_cut_short() {
    let mut desk = Desk::with(json!({ "clientListLimit": 1, "listOrder": "newestFirst" }));
    let body = r#"{"app_id":1026153,"scopes":[1]}"#;
    assert_eq!(desk.call("POST", "/31415/clients", body).0, 201);
    let list = desk.get("/31415/clients");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["app_id"], 1_026_153);
}
