//! What each call does to a key, in either edition.

use serde_json::{Value, json};

use crate::apigee::testing::{Driver, NOW};

const KEY: &str = "/developers/ann@example.com/apps/shop/keys/k3y";

#[test]
fn a_put_replaces_the_whole_list_in_each_editions_shape() {
    let mut edge = Driver::orders("Edge");
    let (status, key) = edge.call("PUT", KEY, &json!({"scopes": ["WRITE"]}));
    assert_eq!(status, 200);
    assert_eq!(
        key,
        json!({
            "apiProducts": [{"apiproduct": "orders", "status": "approved"}],
            "attributes": [],
            "consumerKey": "k3y",
            "consumerSecret": key["consumerSecret"],
            "expiresAt": -1,
            "issuedAt": 1_700_000_000_000_i64,
            "scopes": ["WRITE"],
            "status": "approved",
        })
    );

    let mut x = Driver::orders("X");
    let (status, key) = x.call("PUT", KEY, &json!({"scopes": ["WRITE"]}));
    assert_eq!(status, 200);
    assert_eq!(
        key,
        json!({
            "apiProducts": [{"apiproduct": "orders", "status": "approved"}],
            "consumerKey": "k3y",
            "consumerSecret": key["consumerSecret"],
            "expiresAt": "-1",
            "issuedAt": "1700000000000",
            "scopes": ["WRITE"],
            "status": "approved",
        })
    );
}

#[test]
fn a_scope_outside_the_products_is_refused_with_the_list_that_is_allowed() {
    let message = "Invalid scopes. Scopes must be contained in [READ, WRITE]";
    let mut edge = Driver::orders("Edge");
    let answer = edge.call("PUT", KEY, &json!({"scopes": ["READ", "DELETE"]}));
    let body =
        json!({"code": "keymanagement.service.InvalidScopes", "message": message, "contexts": []});
    assert_eq!(answer, (400, body));
    assert_eq!(
        edge.fetch(KEY)["scopes"],
        json!(["READ"]),
        "a refused call changes nothing"
    );

    let mut x = Driver::orders("X");
    let (status, body) = x.call("PUT", KEY, &json!({"scopes": ["read"]}));
    assert_eq!((status, &body["error"]["message"]), (400, &json!(message)));
    let violation = &body["error"]["details"][0]["violations"][0];
    assert_eq!(violation["type"], "keymanagement.service.InvalidScopes");

    let mut x = Driver::orders_with("X", &json!({"errorDetails": false}));
    let (_, body) = x.call("PUT", KEY, &json!({"scopes": ["read"]}));
    assert_eq!(body["error"].get("details"), None);
}

#[test]
fn an_emptied_list_is_stored_as_empty_which_is_unrestricted() {
    for (edition, shown) in [("Edge", Some(json!([]))), ("X", None)] {
        let mut driver = Driver::orders(edition);
        let (status, key) = driver.call("PUT", KEY, &json!({"scopes": []}));
        assert_eq!(
            (status, key.get("scopes").cloned()),
            (200, shown),
            "{edition}"
        );
        let (status, key) = driver.call("PUT", KEY, &json!({"scopes": ["READ", "WRITE"]}));
        assert_eq!(
            (status, &key["scopes"]),
            (200, &json!(["READ", "WRITE"])),
            "{edition}: back again"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_a_body_does_to_the_scopes_of_a_key() {
    // (edition, method, body, switches, scopes afterwards; the key starts with READ)
    let table = [
        (
            "Edge",
            "PUT",
            json!({"attributes": []}),
            json!({}),
            json!(["READ"]),
        ),
        (
            "Edge",
            "PUT",
            json!({"scopes": null}),
            json!({}),
            json!(["READ"]),
        ),
        (
            "Edge",
            "PUT",
            json!({}),
            json!({"keyPutWithoutScopes": "clear"}),
            json!([]),
        ),
        (
            "Edge",
            "POST",
            json!({"scopes": ["WRITE"]}),
            json!({}),
            json!(["READ"]),
        ),
        (
            "Edge",
            "POST",
            json!({"apiProducts": ["refunds"]}),
            json!({}),
            json!(["READ"]),
        ),
        (
            "X",
            "POST",
            json!({"scopes": ["WRITE"]}),
            json!({}),
            json!(["WRITE"]),
        ),
        (
            "X",
            "POST",
            json!({"scopes": ["WRITE"]}),
            json!({"keyPostScopes": "merge"}),
            json!(["READ", "WRITE"]),
        ),
        (
            "X",
            "POST",
            json!({"scopes": ["WRITE"]}),
            json!({"keyPostScopes": "ignore"}),
            json!(["READ"]),
        ),
        (
            "X",
            "POST",
            json!({"scopes": []}),
            json!({}),
            json!(["READ"]),
        ),
        (
            "X",
            "POST",
            json!({"scopes": []}),
            json!({"keyPostEmptyScopes": "clear"}),
            Value::Null,
        ),
        ("X", "PUT", json!({"scopes": [""]}), json!({}), Value::Null),
        (
            "X",
            "PUT",
            json!({"scopes": [""]}),
            json!({"blankKeyScopes": "keep"}),
            json!([""]),
        ),
        (
            "X",
            "PUT",
            json!({"scopes": ["WRITE", "READ", "WRITE"]}),
            json!({}),
            json!(["WRITE", "READ"]),
        ),
        (
            "X",
            "PUT",
            json!({"scopes": ["WRITE", "READ"]}),
            json!({"scopeOrder": "reversed"}),
            json!(["READ", "WRITE"]),
        ),
        (
            "X",
            "PUT",
            json!({"scopes": ["read"]}),
            json!({"scopeNames": "insensitive"}),
            json!(["read"]),
        ),
        (
            "Edge",
            "PUT",
            json!({"apiProducts": ["refunds"], "scopes": ["READ", "REFUND"]}),
            json!({}),
            json!(["READ", "REFUND"]),
        ),
    ];
    for (edition, method, body, switches, expected) in table {
        let mut driver = Driver::orders_with(edition, &switches);
        let (status, key) = driver.call(method, KEY, &body);
        assert_eq!(status, 200, "{edition} {method} {body}: {key}");
        assert_eq!(
            key["scopes"], expected,
            "{edition} {method} {body} {switches}"
        );
        assert_eq!(driver.fetch(KEY), key, "what is answered is what is stored");
    }
}

#[test]
fn products_are_appended_and_attributes_replaced() {
    let mut driver = Driver::orders("X");
    let attributes = json!([{"name": "tier", "value": "gold"}]);
    driver.call("POST", KEY, &json!({"attributes": attributes}));
    let (status, key) = driver.call("POST", KEY, &json!({"apiProducts": ["vip", "orders"]}));
    assert_eq!(status, 200);
    assert_eq!(
        key["apiProducts"],
        json!([{"apiproduct": "orders", "status": "approved"}, {"apiproduct": "vip", "status": "pending"}])
    );
    assert_eq!(key["attributes"], attributes);
    assert_eq!(
        key["scopes"],
        json!(["READ"]),
        "a product brings no scopes along"
    );

    let (status, error) = driver.call(
        "PUT",
        KEY,
        &json!({"apiProducts": ["refunds", "nosuch"], "scopes": []}),
    );
    assert_eq!(status, 404);
    assert_eq!(
        error["error"]["message"],
        "API Product [nosuch] does not exist for tenant [acme] and id [null]"
    );
    assert_eq!(driver.fetch(KEY), key, "nothing of a refused call stays");
}

#[test]
fn null_in_a_list_is_passed_over_or_refused() {
    let gold = json!({"name": "tier", "value": "gold"});
    let body = json!({"attributes": [gold, null], "scopes": ["WRITE", null]});
    for (edition, switches, status) in [
        ("X", json!({}), 200),
        ("X", json!({"nullEntries": "refuse"}), 400),
        ("Edge", json!({}), 400),
        ("Edge", json!({"nullEntries": "drop"}), 200),
    ] {
        let mut driver = Driver::orders_with(edition, &switches);
        let before = driver.fetch(KEY);
        let (actual, answer) = driver.call("PUT", KEY, &body);
        assert_eq!(actual, status, "{edition} {switches}: {answer}");
        let key = driver.fetch(KEY);
        if status == 200 {
            assert_eq!(
                (&key["attributes"], &key["scopes"]),
                (&json!([gold]), &json!(["WRITE"]))
            );
        } else {
            assert_eq!(key, before);
        }
    }
}

#[test]
fn a_put_without_attributes_keeps_them_or_clears_them() {
    let gold = json!([{"name": "tier", "value": "gold"}]);
    for (answer, expected) in [("keep", gold.clone()), ("clear", json!([]))] {
        let switches = json!({"keyPutWithoutAttributes": answer});
        let mut driver = Driver::orders_with("Edge", &switches);
        driver.call("PUT", KEY, &json!({"attributes": gold}));
        let (_, key) = driver.call("PUT", KEY, &json!({"scopes": ["WRITE"]}));
        assert_eq!(key["attributes"], expected);
        let (_, key) = driver.call("PUT", KEY, &json!({"scopes": ["READ"], "attributes": gold}));
        assert_eq!(key["attributes"], gold);
    }
}

#[test]
fn which_products_allow_a_scope() {
    // A second key of the app has `refunds`, and `vip` is pending on the first.
    let table = [
        ("REFUND", json!({}), 400),
        ("REFUND", json!({"scopeCheck": "app"}), 200),
        ("VIP", json!({}), 200),
        ("VIP", json!({"unapprovedProducts": "ignore"}), 400),
    ];
    for (scope, switches, expected) in table {
        let mut driver = Driver::orders_with("Edge", &switches);
        driver.call("POST", KEY, &json!({"apiProducts": ["vip"]}));
        let app = "/developers/ann@example.com/apps/shop";
        let (status, _) = driver.call("POST", app, &json!({"apiProducts": ["refunds"]}));
        assert_eq!(status, 200);
        let (status, answer) = driver.call("PUT", KEY, &json!({"scopes": [scope]}));
        assert_eq!(status, expected, "{scope} {switches}: {answer}");
    }
}

#[test]
fn an_imported_key_has_no_products_and_unchecked_scopes() {
    let keys = "/developers/ann@example.com/apps/shop/keys";
    let body = json!({
        "consumerKey": "mine", "consumerSecret": "s3cret", "scopes": ["ANY"], "apiProducts": ["orders"],
        "status": "revoked", "expiresInSeconds": "60",
    });
    for path in [keys.to_owned(), format!("{keys}/create")] {
        let mut edge = Driver::orders("Edge");
        let (status, key) = edge.call("POST", &path, &body);
        assert_eq!(status, 201);
        assert_eq!(
            key,
            json!({
                "apiProducts": [], "attributes": [], "consumerKey": "mine", "consumerSecret": "s3cret",
                "issuedAt": NOW * 1000, "scopes": ["ANY"], "status": "approved",
            })
        );
        let (status, error) = edge.call("POST", &path, &body);
        assert_eq!(
            (status, &error["code"]),
            (
                409,
                &json!("keymanagement.service.ConsumerKeyAlreadyExists")
            )
        );
    }
    let mut x = Driver::orders("X");
    let (status, key) = x.call("POST", keys, &body);
    assert_eq!(status, 201);
    assert_eq!(key["expiresAt"], ((NOW + 60) * 1000).to_string());
    let (status, _) = x.call(
        "POST",
        keys,
        &json!({"consumerKey": "a b", "consumerSecret": "s"}),
    );
    assert_eq!(status, 400, "a space cannot stand in a key");
    let (status, _) = x.call("GET", keys, &Value::Null);
    assert_eq!(status, 404, "there is no list of keys");
}

#[test]
fn keys_and_their_products_are_approved_revoked_and_removed() {
    let mut driver = Driver::orders("Edge");
    driver.call("POST", KEY, &json!({"apiProducts": ["vip"]}));
    let product = format!("{KEY}/apiproducts/vip");
    assert_eq!(
        driver.call("POST", &format!("{KEY}?action=revoke"), &Value::Null),
        (204, Value::Null)
    );
    assert_eq!(
        driver.call("POST", &format!("{product}?action=approve"), &Value::Null),
        (204, Value::Null)
    );
    let key = driver.fetch(KEY);
    assert_eq!(key["status"], "revoked");
    assert_eq!(
        key["apiProducts"][1],
        json!({"apiproduct": "vip", "status": "approved"})
    );

    let (status, key) = driver.call("DELETE", &product, &Value::Null);
    assert_eq!(
        (status, key["apiProducts"].as_array().unwrap().len()),
        (200, 1)
    );
    let (status, key) = driver.call("DELETE", KEY, &Value::Null);
    assert_eq!((status, &key["consumerKey"]), (200, &json!("k3y")));
    let (status, error) = driver.get(KEY);
    assert_eq!(status, 404);
    assert_eq!(
        error["code"],
        "keymanagement.service.InvalidClientIdForGivenApp"
    );
    assert_eq!(error["message"], "Invalid consumer key for Given App");
    let keys = KEY.strip_suffix("/k3y").unwrap();
    let (status, _) = driver.call("POST", keys, &json!({"consumerKey": "k3y"}));
    assert_eq!(status, 201, "a deleted key's name is free again");
}

#[test]
fn removing_a_product_that_a_key_has_not_is_500_on_edge_and_400_on_x() {
    let product = format!("{KEY}/apiproducts/refunds");
    let (status, error) = Driver::orders("Edge").call("DELETE", &product, &Value::Null);
    assert_eq!(
        (status, &error["message"]),
        (
            500,
            &json!("APIProduct is not associated with consumer key")
        )
    );
    let (status, error) = Driver::orders("X").call("DELETE", &product, &Value::Null);
    assert_eq!(status, 400);
    assert_eq!(
        error["error"]["message"],
        "APIProduct is not associated with consumer key"
    );
}

#[test]
fn a_removed_product_leaves_the_stored_list_unless_the_switch_prunes() {
    for (prunes, expected) in [(false, json!(["READ"])), (true, json!([]))] {
        let mut driver = Driver::orders_with("Edge", &json!({"shrinkPrunesKeys": prunes}));
        let (_, key) = driver.call("DELETE", &format!("{KEY}/apiproducts/orders"), &Value::Null);
        assert_eq!(key["scopes"], expected);
    }
}

#[test]
fn a_stale_scope_is_refused_the_next_time_it_is_sent() {
    let mut driver = Driver::orders("Edge");
    let (status, _) = driver.call(
        "PUT",
        "/apiproducts/orders",
        &json!({"displayName": "o", "scopes": ["WRITE"]}),
    );
    assert_eq!(status, 200);
    assert_eq!(driver.fetch(KEY)["scopes"], json!(["READ"]));
    let (status, error) = driver.call("PUT", KEY, &json!({"scopes": ["READ"]}));
    assert_eq!(status, 400);
    assert_eq!(
        error["message"],
        "Invalid scopes. Scopes must be contained in [WRITE]"
    );
}

#[test]
fn an_app_groups_key_takes_a_post_with_a_nested_key_and_no_put() {
    let world = |switches: Value| {
        json!({
            "edition": "X",
            "switches": switches,
            "products": [{"name": "orders", "scopes": ["READ", "WRITE"]}],
            "appGroups": [{"name": "partners", "apps": [{"name": "shop", "keys": [
                {"consumerKey": "k3y", "products": ["orders"], "attributes": [{"name": "a", "value": "1"}]},
            ]}]}],
        })
    };
    let key = "/appgroups/partners/apps/shop/keys/k3y";
    let body = json!({"appGroupAppKey": {"scopes": ["WRITE"]}});
    for (switches, attributes) in [
        (json!({}), json!([{"name": "a", "value": "1"}])),
        (
            json!({"appGroupKeyOmittedAttributes": "clear"}),
            Value::Null,
        ),
    ] {
        let mut driver = Driver::new(world(switches));
        let (status, answer) = driver.call("POST", key, &body);
        assert_eq!((status, &answer["scopes"]), (200, &json!(["WRITE"])));
        assert_eq!(answer["attributes"], attributes);
    }
    for (answer, expected) in [
        ("replace", json!(["READ"])),
        ("merge", json!(["WRITE", "READ"])),
    ] {
        let mut driver = Driver::new(world(json!({"appGroupKeyPostScopes": answer})));
        driver.call("POST", key, &body);
        let (_, answer) = driver.call(
            "POST",
            key,
            &json!({"appGroupAppKey": {"scopes": ["READ"]}}),
        );
        assert_eq!(answer["scopes"], expected);
    }
    let mut driver = Driver::new(world(json!({})));
    let (status, _) = driver.call(
        "POST",
        key,
        &json!({"appGroupAppKey": {"scopes": ["NONE"]}}),
    );
    assert_eq!(status, 400);
    let (status, answer) = driver.call("POST", key, &json!({"scopes": ["WRITE"]}));
    assert_eq!(
        (status, answer.get("scopes")),
        (200, None),
        "scopes beside the nested key say nothing"
    );
    let (status, _) = driver.call("PUT", key, &json!({"scopes": ["WRITE"]}));
    assert_eq!(status, 404, "X knows no PUT here");
    let (status, answer) = driver.call("POST", key, &json!({"action": "revoke"}));
    assert_eq!((status, &answer["status"]), (200, &json!("revoked")));
}

#[test]
fn a_companys_key_takes_the_undocumented_put_unless_the_switch_refuses_it() {
    for (accepted, expected) in [(true, 200), (false, 405)] {
        let mut driver = Driver::new(json!({
            "edition": "Edge",
            "switches": {"companyKeyPut": accepted},
            "products": [{"name": "orders", "scopes": ["READ"]}],
            "companies": [{"name": "partners", "apps": [{"name": "shop", "keys": [
                {"consumerKey": "k3y", "products": ["orders"]},
            ]}]}],
        }));
        let key = "/companies/partners/apps/shop/keys/k3y";
        assert_eq!(
            driver.call("PUT", key, &json!({"scopes": ["READ"]})).0,
            expected
        );
    }
}

#[test]
fn a_developer_is_found_by_mail_escaped_once_or_twice_and_by_id() {
    let mut driver = Driver::orders("X");
    let id = driver.fetch("/developers/ann@example.com")["developerId"]
        .as_str()
        .unwrap()
        .to_owned();
    for developer in [
        "ann@example.com",
        "ann%40example.com",
        "ann%2540example.com",
        id.as_str(),
    ] {
        let key = format!("/developers/{developer}/apps/shop/keys/k3y/");
        assert_eq!(driver.fetch(&key)["consumerKey"], "k3y", "{developer}");
    }
    assert_eq!(driver.get("/developers/Ann@example.com").0, 404);
    let mut driver = Driver::orders_with("X", &json!({"emailLookup": "insensitive"}));
    assert_eq!(driver.get("/developers/Ann@example.com").0, 200);
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let mut driver = Driver::orders("Edge");
    for body in [
        json!({"scopes": "READ"}),
        json!({"scopes": [1]}),
        json!(["READ"]),
        json!({"apiProducts": {}}),
    ] {
        assert_eq!(driver.call("PUT", KEY, &body).0, 400, "{body}");
    }
    let target = format!("/v1/o/acme{KEY}");
    let deep = "[".repeat(100_000);
    let headers = [
        ("authorization", "Bearer sandbox"),
        ("content-type", "application/json"),
    ];
    assert_eq!(driver.raw("PUT", &target, &headers, &deep).status, 400);
    let headers = [
        ("authorization", "Bearer sandbox"),
        ("content-type", "text/plain"),
    ];
    assert_eq!(driver.raw("PUT", &target, &headers, "{}").status, 415);
}
