//! Changes by somebody else.

use super::*;

#[test]
fn scopes_change_behind_the_back() {
    let mut desk = Desk::new();
    for change in [
        json!({ "server": 31415, "addScope": { "value": "new", "description": "New" } }),
        json!({ "server": 31415, "updateScope": { "value": "orders:write", "description": "Write" } }),
        json!({ "server": 31415, "renameScope": { "from": "new", "to": "newer" } }),
        json!({ "server": 31415, "updateScope": { "id": 3, "newValue": "profile", "inherited": false } }),
        json!({ "server": 31415, "deleteScope": "orders:read" }),
    ] {
        desk.drift(&change).unwrap();
    }
    assert_eq!(
        desk.get("/31415/scopes"),
        json!([
            { "id": 2, "value": "orders:write", "description": "Write", "inherited": false },
            { "id": 3, "value": "profile", "description": "Sign in", "inherited": false },
            { "id": 52, "value": "newer", "description": "New", "inherited": false },
        ])
    );
    assert_eq!(
        values(&desk.get("/31415/clients")[0]["scopes"]),
        ["orders:write"]
    );
}

#[test]
fn clients_apps_servers_and_claims_change_behind_the_back() {
    let mut desk = Desk::new();
    for change in [
        json!({ "server": 31415, "setClientScopes": { "appId": 1_026_152, "scopes": ["orders:write"] } }),
        json!({ "addApp": { "id": 77, "name": "Kiosk" } }),
        json!({ "server": 31415, "addClient": { "appId": 77, "scopes": [1] } }),
        json!({ "removeServer": 31416 }),
        json!({ "updateServer": { "name": "Orders", "onelogin": true } }),
        json!({ "addClaim": { "name": "email" } }),
        json!({ "removeClaim": "role" }),
    ] {
        desk.drift(&change).unwrap();
    }
    let clients = desk.get("/31415/clients");
    assert_eq!(
        (&clients[0]["app_id"], values(&clients[0]["scopes"])),
        (&json!(77), vec!["orders:read"])
    );
    assert_eq!(values(&clients[1]["scopes"]), ["orders:write"]);
    assert_eq!(desk.get("/31415/claims")[0]["name"], "email");
    let server = desk.get("/31415");
    assert_eq!(
        (&server["name"], &server["onelogin"]),
        (&json!("Orders"), &json!(true))
    );
    desk.drift(&json!({ "removeClient": 77 })).unwrap();
    desk.drift(&json!({ "removeApp": 1_026_152 })).unwrap();
    assert_eq!(desk.get("/31415/clients"), json!([]));
    desk.drift(&json!({ "addServer": { "name": "Other", "audiences": ["o"] } }))
        .unwrap();
    assert_eq!(desk.get("").as_array().unwrap().len(), 2);
}

#[test]
fn a_change_that_cannot_be_made_says_why_and_does_nothing() {
    let mut desk = Desk::new();
    let before = desk.system.world();
    for (change, reason) in [
        (
            json!({ "deleteScope": "orders:read" }),
            "say which with \"server\"",
        ),
        (
            json!({ "server": 31415, "deleteScope": "absent" }),
            "absent",
        ),
        (
            json!({ "server": 31415, "addScope": { "value": "orders:read" } }),
            "orders:read",
        ),
        (
            json!({ "server": 31415, "addScope": { "id": 51, "value": "x" } }),
            "the id 51",
        ),
        (
            json!({ "server": 31415, "renameScope": { "from": 1, "to": "orders:write" } }),
            "orders:write",
        ),
        (
            json!({ "server": 31415, "updateScope": { "id": 1, "newValue": "openid" } }),
            "openid",
        ),
        (
            json!({ "addServer": { "name": "x", "scopes": [{ "id": 1, "value": "y" }],
                "clients": [{ "appId": 78 }] } }),
            "the id 1",
        ),
        (
            json!({ "server": 1, "deleteScope": "x" }),
            "there is no server 1",
        ),
        (
            json!({ "server": "x", "deleteScope": "x" }),
            "\"server\" is the id",
        ),
        (json!({ "server": 31415, "dropScope": "x" }), "dropScope"),
        (
            json!({ "server": 31415, "updateScope": { "description": "x" } }),
            "by \"value\" or \"id\"",
        ),
        (
            json!({ "server": 31415, "addClient": { "appId": 4 } }),
            "no app 4",
        ),
        (json!({ "server": 31415, "removeClient": 4 }), "no client"),
        (json!({ "removeApp": 4 }), "no app 4"),
        (json!({}), "one verb"),
        (json!([]), "a change is an object"),
    ] {
        let error = desk.drift(&change).unwrap_err();
        assert!(error.contains(reason), "{change}: {error}");
    }
    assert_eq!(desk.system.world(), before);
}
