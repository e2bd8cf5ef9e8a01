//! Authorization servers.

use super::*;

#[test]
fn a_server_is_listed_and_shown_in_the_documented_form() {
    let mut desk = Desk::new();
    let expected = json!({
        "id": 31415, "name": "Orders API", "description": null,
        "configuration": {
            "resource_identifier": "https://api.acme.com/orders", "audiences": ["https://api.acme.com/orders"],
        },
        "onelogin": false,
    });
    assert_eq!(desk.get("/31415"), expected);
    assert_eq!(desk.get("")[0], expected);
    assert_eq!(desk.get("").as_array().unwrap().len(), 2);
    assert_eq!(desk.get("?name=bill")[0]["id"], 31416);
    assert_eq!(desk.get("?name=Orders*")[0]["id"], 31415);
    assert_eq!(desk.get("?name=nothing"), json!([]));
}

#[test]
fn a_server_is_made_changed_and_removed() {
    let mut desk = Desk::new();
    let body = json!({
        "name": "Contacts API", "description": "Contacts", "connector_id": 1,
        "configuration": {
            "resource_identifier": "https://example.com/contacts", "audiences": ["https://example.com/contacts"],
            "access_token_expiration_minutes": 10, "refresh_token_expiration_minutes": 30, "unheard_of": 1,
        },
        "scopes": [{ "value": "read", "description": "Read" }],
        "claims": [{ "name": "role", "user_attribute_mappings": "_macro_", "user_attribute_macros": "{x}" }],
    });
    let (status, made) = desk.call("POST", "", &body.to_string());
    assert_eq!((status, made), (201, json!({ "id": 1_026_154 })));
    let shown = desk.get("/1026154");
    let configuration: Vec<_> = shown["configuration"].as_object().unwrap().keys().collect();
    assert_eq!(
        configuration,
        [
            "resource_identifier",
            "audiences",
            "access_token_expiration_minutes",
            "refresh_token_expiration_minutes",
        ]
    );
    assert_eq!(desk.get("").as_array().unwrap().len(), 3);
    let listed = desk.get("?name=Contacts");
    assert_eq!(
        listed[0]["configuration"].as_object().unwrap().len(),
        2,
        "lists show no minutes: {listed}"
    );
    assert_eq!(values(&desk.get("/1026154/scopes")), ["read"]);
    assert_eq!(
        desk.get("/1026154/claims")[0]["user_attribute_macros"],
        "{x}"
    );

    let put = json!({
        "id": 1_026_154, "name": "Contacts", "configuration": { "resource_identifier": "c", "audiences": ["c"] },
    });
    assert_eq!(
        desk.call("PUT", "/1026154", &put.to_string()),
        (200, json!({ "id": 1_026_154 }))
    );
    let shown = desk.get("/1026154");
    assert_eq!(
        (&shown["name"], &shown["description"]),
        (&json!("Contacts"), &Value::Null)
    );
    assert!(
        shown["configuration"]
            .get("access_token_expiration_minutes")
            .is_none(),
        "a PUT replaces"
    );
    assert_eq!(values(&desk.get("/1026154/scopes")), ["read"]);

    assert_eq!(desk.call("DELETE", "/1026154", ""), (204, Value::Null));
    desk.refused("GET", "/1026154", "", 404, UNKNOWN);
    desk.refused("DELETE", "/1026154", "", 404, UNKNOWN);
}

#[test]
fn a_server_that_would_not_be_valid_is_refused_in_the_documented_words() {
    let mut desk = Desk::new();
    let blank = "Validation failed: Resource identifier can't be blank, Audiences can't be blank";
    desk.refused("POST", "", r#"{"name":"x"}"#, 422, blank);
    desk.refused(
        "POST",
        "",
        r#"{"name":"x","resource_identifier":"y","audience":"z"}"#,
        422,
        blank,
    );
    desk.refused("PUT", "/31415", r#"{"name":"x"}"#, 422, blank);
    let taken = r#"{"name":"x","configuration":{"resource_identifier":"b","audiences":["b"]}}"#;
    desk.refused(
        "POST",
        "",
        taken,
        422,
        "Validation failed: Resource identifier has already been taken",
    );
    for (method, target) in [("POST", ""), ("PUT", "/31415")] {
        let (status, answer) = desk.call(method, target, "{}");
        let expected = json!({
            "field": "name", "message": "Missing required field", "name": "BadRequestError", "statusCode": 400,
        });
        assert_eq!((status, answer), (400, expected));
    }
    desk.refused(
        "POST",
        "",
        r#"{"name":1}"#,
        422,
        "instance.name is not of a type(s) string",
    );
    let twice = json!({
        "name": "x", "configuration": { "resource_identifier": "n", "audiences": ["n"] },
        "scopes": [{ "value": "a" }, { "value": "a" }],
    });
    desk.refused("POST", "", &twice.to_string(), 422, TAKEN);
    assert_eq!(desk.get("").as_array().unwrap().len(), 2);
}

#[test]
fn switches_change_what_a_put_and_a_list_do() {
    let mut desk = Desk::with(json!({
        "serverPut": "merge", "defaultExpirationMinutes": 60, "expirationMinutesInList": true,
        "newerFields": false, "serverListLimit": 1, "listOrder": "newestFirst",
    }));
    assert_eq!(desk.call("PUT", "/31416", r#"{"name":"Bills"}"#).0, 200);
    let list = desk.get("");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        list[0],
        json!({
            "id": 31416, "name": "Bills", "description": "Bills",
            "configuration": {
                "resource_identifier": "b", "audiences": ["b"],
                "access_token_expiration_minutes": 60, "refresh_token_expiration_minutes": 60,
            },
        })
    );
}

#[test]
fn pagination_arguments_do_nothing_unless_they_are_to_be_refused() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.get("?limit=1&page=2&cursor=x")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let mut desk = Desk::with(json!({ "mixedPagination": "refuse" }));
    let (status, answer) = desk.call("GET", "?limit=1&cursor=x", "");
    let expected = json!({
        "status": 400, "error": "BadRequestError",
        "description": "Requests can only have cursor xor pagination arguments",
    });
    assert_eq!((status, answer), (400, expected));
}
