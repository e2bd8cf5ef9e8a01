//! Changes by somebody else, as the API shows them.

use serde_json::{Value, json};

use crate::apigee::testing::Driver;

const SHOP: &str = "/developers/ann@example.com/apps/shop";

/// A change's members with the address of the key `k3y`.
fn on_key(mut members: Value) -> Value {
    members["developer"] = json!("ann@example.com");
    members["app"] = json!("shop");
    members["consumerKey"] = json!("k3y");
    members
}

#[test]
fn each_change_shows_in_the_answers() {
    let app = json!({"developer": "ann@example.com", "app": "shop"});
    // (change, path, pointer into the answer, value there)
    let table = [
        (
            json!({"setKeyScopes": on_key(json!({"scopes": ["ANY"]}))}),
            "/keys/k3y",
            "/scopes",
            json!(["ANY"]),
        ),
        (
            json!({"addProduct": on_key(json!({"product": "vip"}))}),
            "/keys/k3y",
            "/apiProducts/1/status",
            json!("approved"),
        ),
        (
            json!({"removeProduct": on_key(json!({"product": "orders"}))}),
            "/keys/k3y",
            "/apiProducts",
            json!([]),
        ),
        (
            json!({"setProductStatus": on_key(json!({"product": "orders", "status": "pending"}))}),
            "/keys/k3y",
            "/apiProducts/0/status",
            json!("pending"),
        ),
        (
            json!({"revokeKey": on_key(json!({}))}),
            "/keys/k3y",
            "/status",
            json!("revoked"),
        ),
        (
            json!({"expireKey": app}),
            "/keys/k3y",
            "/expiresAt",
            json!(1),
        ),
        (json!({"deleteKey": app}), "", "/credentials", json!([])),
        (
            json!({"addKey": {"developer": "ann@example.com", "app": "shop", "key": {"consumerKey": "new"}}}),
            "",
            "/credentials/1/consumerKey",
            json!("new"),
        ),
        (json!({"revokeApp": app}), "", "/status", json!("revoked")),
        (
            json!({"system": "apigee-prod", "approveKey": app}),
            "/keys/k3y",
            "/status",
            json!("approved"),
        ),
    ];
    for (change, path, pointer, expected) in table {
        let mut driver = Driver::orders("Edge");
        driver.drift(&change).unwrap();
        let answer = driver.fetch(&format!("{SHOP}{path}"));
        assert_eq!(answer.pointer(pointer), Some(&expected), "{change}");
    }
}

#[test]
fn objects_come_and_go() {
    let mut driver = Driver::orders("X");
    let mut drift = |change: Value| driver.drift(&change).unwrap();
    drift(json!({"setProductScopes": {"product": "orders", "scopes": ["READ"]}}));
    drift(json!({"deleteProduct": {"product": "vip"}}));
    drift(json!({"addApp": {"developer": "ann@example.com", "app": "new"}}));
    drift(json!({"deleteApp": {"developer": "ann@example.com", "app": "shop"}}));
    assert_eq!(
        driver.fetch("/apiproducts/orders")["scopes"],
        json!(["READ"])
    );
    assert_eq!(driver.get("/apiproducts/vip").0, 404);
    assert_eq!(
        driver.fetch("/developers/ann@example.com/apps"),
        json!({"app": [{"appId": "new"}]})
    );
    driver
        .drift(&json!({"deleteDeveloper": {"developer": "ann@example.com"}}))
        .unwrap();
    assert_eq!(driver.fetch("/developers"), json!({}));
}

#[test]
fn a_change_that_cannot_be_made_says_why() {
    let mut driver = Driver::orders("X");
    for (change, message) in [
        (json!({"eatKey": {}}), "eatKey: no such change is known"),
        (
            json!({"system": "x"}),
            "a change has one verb beside system",
        ),
        (json!({"revokeKey": {"app": "shop"}}), "exactly one of"),
        (
            json!({"revokeKey": {"developer": "ann@example.com", "app": "no"}}),
            "there is no app \"no\"",
        ),
        (
            json!({"setKeyScopes": on_key(json!({}))}),
            "`scopes` is missing",
        ),
        (
            json!({"setKeyScopes": on_key(json!({"scope": []}))}),
            "unknown field `scope`",
        ),
        (
            json!({"addProduct": on_key(json!({"product": "no"}))}),
            "there is no product \"no\"",
        ),
        (json!([]), "a change is an object"),
    ] {
        let error = driver.drift(&change).unwrap_err();
        assert!(error.contains(message), "{change}: {error}");
    }
}
