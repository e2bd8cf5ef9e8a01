//! Scopes.

use super::*;

#[test]
fn the_list_shows_every_scope_with_its_number_and_where_it_is_from() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.get("/31415/scopes"),
        json!([
            { "id": 1, "value": "orders:read", "description": "Read orders", "inherited": false },
            { "id": 2, "value": "orders:write", "description": null, "inherited": false },
            { "id": 3, "value": "openid", "description": "Sign in", "inherited": true },
        ])
    );
}

#[test]
fn a_write_answers_with_the_number_alone() {
    let mut desk = Desk::new();
    let body = r#"{"value":"custom:scope","description":"A custom scope"}"#;
    assert_eq!(
        desk.call("POST", "/31415/scopes", body),
        (200, json!({ "id": 52 }))
    );
    let body = r#"{"value":"custom:renamed","description":"Renamed"}"#;
    assert_eq!(
        desk.call("PUT", "/31415/scopes/52", body),
        (200, json!({ "id": 52 }))
    );
    assert_eq!(desk.get("/31415/scopes")[3]["value"], "custom:renamed");
    assert_eq!(
        desk.call("DELETE", "/31415/scopes/52", ""),
        (204, Value::Null)
    );
    desk.refused("DELETE", "/31415/scopes/52", "", 404, UNKNOWN);
    assert_eq!(
        desk.call("POST", "/31415/scopes", body).1["id"],
        53,
        "a number is not given again"
    );
}

#[test]
fn what_published_clients_send_besides_is_let_through_or_refused_by_a_switch() {
    let post = r#"{"value":"a","description":"b","auth_server_id":31415}"#;
    let put = r#"{"id":1,"auth_server_id":31415,"value":"orders:read","description":"b"}"#;
    let mut desk = Desk::new();
    assert_eq!(desk.call("POST", "/31415/scopes", post).0, 200);
    assert_eq!(desk.call("PUT", "/31415/scopes/1", put).0, 200);
    let mut desk = Desk::with(json!({ "extraFields": "refuse" }));
    let not_allowed = r#"instance is not allowed to have the additional property "auth_server_id""#;
    desk.refused("POST", "/31415/scopes", post, 422, not_allowed);
    let not_allowed = r#"instance is not allowed to have the additional property "id""#;
    desk.refused("PUT", "/31415/scopes/1", put, 422, not_allowed);
}

#[test]
fn a_value_that_is_taken_or_unfit_is_refused() {
    let mut desk = Desk::new();
    desk.refused(
        "POST",
        "/31415/scopes",
        r#"{"value":"orders:read"}"#,
        422,
        TAKEN,
    );
    desk.refused(
        "PUT",
        "/31415/scopes/2",
        r#"{"value":"orders:read"}"#,
        422,
        TAKEN,
    );
    desk.refused(
        "POST",
        "/31415/scopes",
        r#"{"description":"x"}"#,
        400,
        "Missing required field",
    );
    desk.refused(
        "POST",
        "/31415/scopes",
        r#"{"value":""}"#,
        422,
        "Validation failed: Value can't be blank",
    );
    desk.refused(
        "POST",
        "/31415/scopes",
        r#"{"value":"a b"}"#,
        422,
        "Validation failed: Value is invalid",
    );
    desk.refused(
        "POST",
        "/31415/scopes",
        r#"{"value":7}"#,
        422,
        "instance.value is not of a type(s) string",
    );
    let long = json!({ "value": "x".repeat(256) }).to_string();
    let too_long = "Validation failed: Value is too long (maximum is 255 characters)";
    desk.refused("POST", "/31415/scopes", &long, 422, too_long);
    for accepted in [
        r#"{"value":"bills"}"#,
        r#"{"value":"ORDERS:READ"}"#,
        r#"{"value":"a\"b"}"#,
    ] {
        assert_eq!(
            desk.call("POST", "/31415/scopes", accepted).0,
            200,
            "{accepted}"
        );
    }
}

#[test]
fn texts_are_kept_as_they_are_sent_or_rewritten() {
    let body = r#"{"value":"Orders:Export","description":" Export orders\n"}"#;
    for (kept, value, description) in [
        ("asSent", "Orders:Export", " Export orders\n"),
        ("trimmed", "Orders:Export", "Export orders"),
        ("lowerCase", "orders:export", " export orders\n"),
    ] {
        let mut desk = Desk::with(json!({ "scopeTexts": kept }));
        for (method, target) in [("POST", "/31415/scopes"), ("PUT", "/31415/scopes/52")] {
            assert_eq!(desk.call(method, target, body).0, 200);
            assert_eq!(
                desk.get("/31415/scopes")[3],
                json!({ "id": 52, "value": value, "description": description, "inherited": false })
            );
        }
    }
}

#[test]
fn switches_decide_where_a_value_is_unique_and_what_it_may_hold() {
    for (switches, value, status) in [
        (json!({ "scopeUniqueness": "account" }), "bills", 422),
        (json!({ "scopeUniqueness": "none" }), "orders:read", 200),
        (json!({ "scopeCase": "insensitive" }), "Orders:Read", 422),
        (json!({ "scopeCharacters": "any" }), "a b", 200),
        (json!({ "scopeCharacters": "scopeToken" }), "a\"b", 422),
        (json!({ "scopeCharacters": "scopeToken" }), "a:b/c", 200),
        (
            json!({ "maxScopeLength": null }),
            "x".repeat(300).as_str(),
            200,
        ),
        (json!({ "descriptionRequired": true }), "x", 400),
        (json!({ "createScopeStatus": 201 }), "x", 201),
    ] {
        let mut desk = Desk::with(switches.clone());
        let (actual, answer) = desk.call(
            "POST",
            "/31415/scopes",
            &json!({ "value": value }).to_string(),
        );
        assert_eq!(actual, status, "{switches} {value}: {answer}");
    }
}

#[test]
fn a_put_without_a_field_follows_the_switch() {
    for (switch, body, status, shown) in [
        (
            "keep",
            r#"{"description":"New"}"#,
            200,
            json!(["orders:read", "New"]),
        ),
        ("keep", r#"{"value":"a"}"#, 200, json!(["a", "Read orders"])),
        (
            "keep",
            r#"{"value":"a","description":null}"#,
            200,
            json!(["a", null]),
        ),
        ("clear", r#"{"value":"a"}"#, 200, json!(["a", null])),
        (
            "clear",
            r#"{"description":"New"}"#,
            400,
            json!(["orders:read", "Read orders"]),
        ),
        (
            "refuse",
            r#"{"value":"a"}"#,
            400,
            json!(["orders:read", "Read orders"]),
        ),
    ] {
        let mut desk = Desk::with(json!({ "scopePut": switch }));
        assert_eq!(
            desk.call("PUT", "/31415/scopes/1", body).0,
            status,
            "{switch} {body}"
        );
        let scope = &desk.get("/31415/scopes")[0];
        assert_eq!(
            json!([scope["value"], scope["description"]]),
            shown,
            "{switch} {body}"
        );
    }
}

#[test]
fn a_swap_of_two_values_needs_a_third() {
    let mut desk = Desk::new();
    desk.refused(
        "PUT",
        "/31415/scopes/1",
        r#"{"value":"orders:write"}"#,
        422,
        TAKEN,
    );
    for (id, value) in [(1, "between"), (2, "orders:read"), (1, "orders:write")] {
        let body = json!({ "value": value }).to_string();
        assert_eq!(
            desk.call("PUT", &format!("/31415/scopes/{id}"), &body).0,
            200
        );
    }
    assert_eq!(
        values(&desk.get("/31415/scopes")),
        ["orders:write", "orders:read", "openid"]
    );
}

#[test]
fn a_rename_keeps_grants_and_a_delete_takes_them_away() {
    let mut desk = Desk::new();
    let granted = |desk: &mut Desk| desk.get("/31415/clients")[0]["scopes"].clone();
    assert_eq!(
        desk.call("PUT", "/31415/scopes/1", r#"{"value":"orders:see"}"#)
            .0,
        200
    );
    assert_eq!(values(&granted(&mut desk)), ["orders:see", "orders:write"]);
    assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 204);
    assert_eq!(values(&granted(&mut desk)), ["orders:write"]);

    let mut desk = Desk::with(json!({ "deleteGrantedScope": "refuse" }));
    assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 422);
    assert_eq!(values(&granted(&mut desk)), ["orders:read", "orders:write"]);
    assert_eq!(
        desk.call("PUT", "/31415/clients/1026152", r#"{"scopes":[2]}"#)
            .0,
        200
    );
    assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 204);
}

#[test]
fn an_inherited_scope_is_changed_only_where_a_switch_lets_it() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.call("PUT", "/31415/scopes/3", r#"{"value":"x"}"#).0,
        422
    );
    assert_eq!(desk.call("DELETE", "/31415/scopes/3", "").0, 422);
    let mut desk = Desk::with(json!({ "inheritedScopeWrites": "accept" }));
    assert_eq!(
        desk.call("PUT", "/31415/scopes/3", r#"{"value":"x"}"#).0,
        200
    );
    assert_eq!(desk.call("DELETE", "/31415/scopes/3", "").0, 204);
}

#[test]
fn what_is_no_route_or_no_record_is_not_found() {
    let mut desk = Desk::new();
    for (method, target, message) in [
        ("GET", "/scopes", UNKNOWN),
        ("GET", "/99/scopes", UNKNOWN),
        ("POST", "/99/scopes", UNKNOWN),
        ("PUT", "/31416/scopes/1", UNKNOWN),
        ("DELETE", "/31415/scopes/orders:read", UNKNOWN),
        ("GET", "/31415/scopes/1", "No Route Exists"),
        ("PATCH", "/31415/scopes/1", "No Route Exists"),
        ("GET", "/31415/rules", "No Route Exists"),
        ("DELETE", "/31415/scopes", "No Route Exists"),
    ] {
        desk.refused(method, target, r#"{"value":"x"}"#, 404, message);
    }
}

#[test]
fn a_body_that_is_no_object_is_answered_by_the_framework() {
    for body in ["{", "[]", "7", "\"x\"", &"[".repeat(100_000)] {
        let mut desk = Desk::new();
        let bearer = desk.bearer.clone().unwrap();
        let headers = [("authorization", bearer.as_str()), JSON];
        let response = desk.send(
            "POST",
            "/api/2/api_authorizations/31415/scopes",
            &headers,
            body,
        );
        assert_eq!(response.status, 400);
        assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
        let mut desk = Desk::with(json!({ "malformedJson": "json" }));
        desk.refused("POST", "/31415/scopes", body, 400, "Bad Request");
    }
}

#[test]
fn lists_can_be_cut_and_turned_around() {
    let mut desk = Desk::with(json!({ "scopeListLimit": 2, "listOrder": "newestFirst" }));
    assert_eq!(
        values(&desk.get("/31415/scopes")),
        ["openid", "orders:write"]
    );
}

#[test]
fn calls_are_counted_under_their_route() {
    let mut desk = Desk::new();
    for (method, path, route) in [
        (
            "GET",
            "/api/2/api_authorizations/1/scopes",
            "/api/2/api_authorizations/{id}/scopes",
        ),
        (
            "PUT",
            "/api/2/api_authorizations/1/clients/2/",
            "/api/2/api_authorizations/{id}/clients/{app_id}",
        ),
        (
            "GET",
            "/api/2/api_authorizations",
            "/api/2/api_authorizations",
        ),
        ("GET", "/api/2/users", UNROUTED),
        ("POST", "/auth/oauth2/token", "/auth/oauth2/token"),
        ("POST", "/auth/oauth2/v2/other", UNROUTED),
    ] {
        assert_eq!(desk.send(method, path, &[], "").route, route, "{path}");
        assert!(desk.system.serves(path));
    }
    assert!(
        !desk
            .system
            .serves("/api/auth/scope-registration/v1.0/scopes")
    );
}
