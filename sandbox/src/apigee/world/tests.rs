//! What a world file says and what is written back.

use serde_json::{Value, json};

use crate::apigee::Apigee;
use crate::apigee::testing::Driver;
use crate::wire::Emulated as _;

#[test]
fn the_example_of_the_formats_page_is_read() {
    let world = json!({
        "organization": "acme",
        "edition": "X",
        "credentials": [{"token": "sandbox"}],
        "products": [{"name": "orders", "scopes": ["READ", "WRITE"]}],
        "developers": [{"email": "ann@example.com", "apps": [
            {"name": "shop", "keys": [{"consumerKey": "k3y", "products": ["orders"], "scopes": ["READ"]}]},
        ]}],
    });
    assert!(Apigee::load(world).is_ok());
}

#[test]
fn what_is_written_loads_to_the_same_state_at_every_stage() {
    let mut driver = Driver::orders_with(
        "Edge",
        &json!({"shrinkPrunesKeys": true, "keyPostScopes": "merge"}),
    );
    driver
        .drift(&json!({"expireKey": {"developer": "ann@example.com", "app": "shop"}}))
        .unwrap();
    let app = "/developers/ann@example.com/apps/shop";
    driver.call(
        "PUT",
        app,
        &json!({"apiProducts": ["vip"], "attributes": [{"name": "a"}], "callbackUrl": "c"}),
    );
    driver.call("POST", &format!("{app}?action=revoke"), &Value::Null);
    driver.call(
        "PUT",
        "/apiproducts/vip",
        &json!({"displayName": "V", "quota": "5", "unheardOf": {"a": []}}),
    );
    driver.call(
        "POST",
        "/companies",
        &json!({"name": "c", "displayName": "C"}),
    );
    driver.call("POST", "/companies/c?action=inactive", &Value::Null);
    let world = driver.apigee.world();
    let again = Apigee::load(world.clone()).unwrap();
    assert_eq!(again.world(), world);
    let answers = |apigee: Apigee| {
        let mut driver = Driver {
            apigee,
            ..Driver::orders("Edge")
        };
        [
            "/apps?expand=true",
            "/apiproducts?expand=true",
            "/developers?expand=true",
            "/companies?expand=true",
        ]
        .map(|path| driver.fetch(path))
    };
    assert_eq!(answers(again), answers(driver.apigee));
}

#[test]
fn a_saved_and_reloaded_system_goes_on_making_new_names() {
    let mut driver = Driver::orders("X");
    let apps = "/developers/ann@example.com/apps";
    let (_, first) = driver.call("POST", apps, &json!({"name": "a"}));
    let world = driver.apigee.world();
    assert_eq!(world["made"], 3, "an id, a key and a secret were made up");
    driver.apigee = Apigee::load(world).unwrap();
    let (status, second) = driver.call("POST", apps, &json!({"name": "b"}));
    assert_eq!(status, 201, "{second}");
    assert_ne!(first["appId"], second["appId"]);
    assert_ne!(
        first["credentials"][0]["consumerKey"],
        second["credentials"][0]["consumerKey"]
    );
}

#[test]
fn a_world_that_contradicts_itself_is_refused() {
    let developer = |apps: Value| json!([{"email": "a@example.com", "apps": apps}]);
    let key = json!({"consumerKey": "k"});
    for (member, value, message) in [
        (
            "products",
            json!([{"name": "p"}, {"name": "p"}]),
            "product \"p\" stands twice",
        ),
        (
            "developers",
            json!([{"email": "a"}, {"email": "a"}]),
            "stands twice",
        ),
        (
            "developers",
            developer(json!([{"name": "x"}, {"name": "x"}])),
            "app \"x\" of \"a@example.com\"",
        ),
        (
            "developers",
            developer(json!([{"name": "x", "keys": [key, key]}])),
            "consumer key \"k\" stands twice",
        ),
        (
            "developers",
            developer(json!([{"name": "x", "scopes": []}])),
            "unknown field `scopes`",
        ),
        (
            "companies",
            json!([{"name": "c"}]),
            "`companies` exist on edition Edge",
        ),
        (
            "switches",
            json!({"keyPutWithoutScope": "keep"}),
            "unknown field `keyPutWithoutScope`",
        ),
        (
            "switches",
            json!({"keyPutWithoutScopes": "maybe"}),
            "unknown variant `maybe`",
        ),
        ("edition", json!("x"), "unknown variant `x`"),
        ("organization", json!(""), "`organization` is empty"),
    ] {
        let mut world = json!({"organization": "acme", "edition": "X"});
        world[member] = value;
        let error = Apigee::load(world).unwrap_err();
        assert!(error.contains(message), "{member}: {error}");
    }
    let error =
        Apigee::load(json!({"organization": "a", "edition": "Edge", "appGroups": [{"name": "g"}]}));
    assert!(
        error
            .unwrap_err()
            .contains("`appGroups` exist on edition X")
    );
}
