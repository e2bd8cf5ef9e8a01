//! The account as a world file has it.

use super::*;

#[test]
fn an_account_is_saved_and_loaded_without_loss() {
    let mut desk = Desk::with(json!({ "scopeCase": "insensitive" }));
    assert_eq!(
        desk.call("POST", "/31415/scopes", r#"{"value":"new"}"#).0,
        200
    );
    assert_eq!(desk.call("DELETE", "/31415/scopes/52", "").0, 204);
    let saved = desk.system.world();
    desk.system = load(saved.clone());
    assert_eq!(desk.system.world(), saved);
    assert_eq!(desk.call("GET", "", "").0, 200, "the token lives on");
    assert_eq!(
        desk.call("POST", "/31415/scopes", r#"{"value":"new"}"#).1["id"],
        53
    );
    assert_eq!(
        desk.call("POST", "/31415/scopes", r#"{"value":"NEW"}"#).0,
        422
    );
}

#[test]
fn an_account_of_which_nothing_is_said_can_be_signed_in_to() {
    let mut system = Desk {
        system: load(json!({})),
        now: NOW,
        bearer: None,
    };
    let sandbox = ("authorization", "Basic c2FuZGJveDpzYW5kYm94");
    assert_eq!(
        system
            .token("/auth/oauth2/v2/token", &[sandbox, JSON], GRANT)
            .0,
        200
    );
}

#[test]
fn ids_may_be_left_out_and_scopes_named_by_value() {
    let system = load(json!({
        "authorizationServers": [
            { "name": "A", "scopes": [{ "value": "x" }, { "id": 2, "value": "y" }],
              "clients": [{ "appId": 5, "name": "Shop", "scopes": ["x", 2] }] },
        ],
    }));
    let world = system.world();
    let server = &world["authorizationServers"][0];
    assert_eq!(
        (&server["id"], &server["scopes"][1]["id"]),
        (&json!(6), &json!(3))
    );
    assert_eq!(
        server["clients"][0],
        json!({ "appId": 5, "name": "Shop", "scopes": [2, 3] })
    );
    assert_eq!(world["apps"], json!([{ "id": 5, "name": "Shop" }]));
}

#[test]
fn an_account_that_contradicts_itself_is_refused() {
    for (account, reason) in [
        (
            json!({ "apps": [{ "id": 1, "name": "a" }, { "id": 1, "name": "b" }] }),
            "two apps or servers have the id 1",
        ),
        (
            json!({ "apps": [{ "id": 1, "name": "a" }], "authorizationServers": [{ "id": 1, "name": "b" }] }),
            "the id 1",
        ),
        (
            json!({ "authorizationServers": [{ "name": "b", "scopes": [{ "value": "x" }, { "value": "x" }] }] }),
            "\"x\"",
        ),
        (
            json!({ "authorizationServers": [{ "name": "b", "scopes": [{ "id": 1, "value": "x" }, { "id": 1, "value": "y" }] }] }),
            "the id 1",
        ),
        (
            json!({ "authorizationServers": [
            { "name": "a", "scopes": [{ "id": 1, "value": "x" }] }, { "name": "b", "scopes": [{ "id": 1, "value": "x" }] },
        ] }),
            "two scopes have the id 1",
        ),
        (
            json!({ "authorizationServers": [{ "name": "b", "clients": [{ "appId": 1, "scopes": [9] }] }] }),
            "the id 9",
        ),
        (
            json!({ "authorizationServers": [{ "id": 1, "name": "b", "clients": [{ "appId": 1 }] }] }),
            "its own client",
        ),
        (
            json!({ "authorizationServers": [{ "name": "b", "claims": [{ "name": "c", "vlaues": 1 }] }] }),
            "vlaues",
        ),
        (
            json!({ "credentials": [{ "clientId": "a", "clientSecret": "b" }, { "clientId": "a", "clientSecret": "c" }] }),
            "\"a\"",
        ),
        (
            json!({ "switches": { "createScopeStatus": 204 } }),
            "createScopeStatus",
        ),
        (
            json!({ "switches": { "insufficientAccessStatus": 404 } }),
            "insufficientAccessStatus",
        ),
    ] {
        let error = OneLogin::load(serde_json::from_value(account.clone()).unwrap()).unwrap_err();
        assert!(error.contains(reason), "{account}: {error}");
    }
}

#[test]
fn tokens_can_be_forgotten_all_at_once() {
    let mut desk = Desk::new();
    desk.system.expire_tokens();
    assert_eq!(desk.call("GET", "", "").0, 401);
    let dead = desk.bearer.clone();
    desk.sign_in();
    assert_ne!(desk.bearer, dead);
}
