//! What each call does to an app, in either edition.

use serde_json::{Value, json};

use crate::apigee::testing::{Driver, NOW};

const APPS: &str = "/developers/ann@example.com/apps";
const SHOP: &str = "/developers/ann@example.com/apps/shop";

fn keys(app: &Value) -> usize {
    app["credentials"].as_array().unwrap().len()
}

#[test]
fn an_app_is_created_with_a_key_that_holds_the_scopes_sent() {
    let mut driver = Driver::orders("Edge");
    let body = json!({
        "name": "myapp", "apiProducts": ["orders"], "scopes": ["READ"], "callbackUrl": "example.com",
        "attributes": [{"name": "DisplayName", "value": "My App"}], "keyExpiresIn": 60_000, "status": "approved",
    });
    let (status, app) = driver.call("POST", APPS, &body);
    assert_eq!(status, 201);
    let now = NOW * 1000;
    assert_eq!(
        app,
        json!({
            "appFamily": "default",
            "appId": app["appId"],
            "attributes": [{"name": "DisplayName", "value": "My App"}],
            "callbackUrl": "example.com",
            "createdAt": now,
            "createdBy": "admin@example.com",
            "credentials": [{
                "apiProducts": [{"apiproduct": "orders", "status": "approved"}],
                "attributes": [],
                "consumerKey": app["credentials"][0]["consumerKey"],
                "consumerSecret": app["credentials"][0]["consumerSecret"],
                "expiresAt": now + 60_000,
                "issuedAt": now,
                "scopes": ["READ"],
                "status": "approved",
            }],
            "developerId": app["developerId"],
            "lastModifiedAt": now,
            "lastModifiedBy": "admin@example.com",
            "name": "myapp",
            "scopes": [],
            "status": "approved",
        })
    );
    assert_eq!(driver.fetch(&format!("{APPS}/myapp")), app);
    let (status, error) = driver.call("POST", APPS, &body);
    assert_eq!((status, error["contexts"].clone()), (409, json!([])));
}

#[test]
fn an_app_without_products_gets_a_key_too() {
    let mut driver = Driver::orders("X");
    let (status, app) = driver.call("POST", APPS, &json!({"name": "bare"}));
    assert_eq!((status, keys(&app)), (201, 1));
    assert_eq!(app["credentials"][0].get("apiProducts"), None);
    assert_eq!(app.get("scopes"), None);
}

#[test]
fn what_an_app_put_or_post_does_to_its_keys() {
    // (method, body, keys afterwards)
    let table = [
        ("PUT", json!({"attributes": []}), 1),
        ("PUT", json!({"apiProducts": []}), 1),
        ("PUT", json!({"apiProducts": ["orders"]}), 2),
        (
            "POST",
            json!({"apiProducts": ["orders"], "scopes": ["WRITE"]}),
            2,
        ),
        (
            "POST",
            json!({"apiProducts": ["orders"], "status": "revoke"}),
            2,
        ),
        (
            "PUT",
            json!({"name": "shop", "apiProducts": ["orders"], "credentials": [{}]}),
            1,
        ),
    ];
    for edition in ["Edge", "X"] {
        for (method, body, expected) in &table {
            let mut driver = Driver::orders(edition);
            let (status, app) = driver.call(method, SHOP, body);
            assert_eq!(
                (status, keys(&app)),
                (200, *expected),
                "{edition} {method} {body}"
            );
            assert_eq!(
                app["credentials"][0]["scopes"],
                json!(["READ"]),
                "the old key stays as it is"
            );
        }
    }
}

#[test]
fn a_whole_answer_sent_back_changes_nothing_but_the_time() {
    for edition in ["Edge", "X"] {
        let mut driver = Driver::orders(edition);
        driver.call(
            "PUT",
            SHOP,
            &json!({"attributes": [{"name": "a", "value": "b"}], "callbackUrl": "c"}),
        );
        let before = driver.fetch(SHOP);
        let (status, after) = driver.call("PUT", SHOP, &before);
        assert_eq!((status, after), (200, before), "{edition}");
    }
}

#[test]
fn an_app_put_removes_what_it_leaves_out() {
    let mut driver = Driver::orders("Edge");
    let attributes = json!([{"name": "a", "value": "b"}]);
    let (_, app) = driver.call(
        "PUT",
        SHOP,
        &json!({"attributes": attributes, "callbackUrl": "c"}),
    );
    assert_eq!(
        (&app["attributes"], &app["callbackUrl"]),
        (&attributes, &json!("c"))
    );
    let (_, app) = driver.call("PUT", SHOP, &json!({}));
    assert_eq!(
        (&app["attributes"], &app["callbackUrl"]),
        (&json!([]), &json!(""))
    );
}

#[test]
fn credentials_come_oldest_first_unless_the_switch_turns_them() {
    for (order, newest) in [("stored", 1), ("reversed", 0)] {
        let mut driver = Driver::orders_with("Edge", &json!({"credentialOrder": order}));
        let (_, app) = driver.call("POST", SHOP, &json!({"apiProducts": ["vip"]}));
        let product = &app["credentials"][newest]["apiProducts"][0];
        assert_eq!(
            product,
            &json!({"apiproduct": "vip", "status": "pending"}),
            "{order}"
        );
    }
}

#[test]
fn a_refused_app_call_leaves_no_app_and_no_key() {
    let mut driver = Driver::orders("X");
    let (status, _) = driver.call(
        "POST",
        APPS,
        &json!({"name": "new", "apiProducts": ["nosuch"]}),
    );
    assert_eq!(status, 404);
    let (status, error) = driver.call(
        "POST",
        APPS,
        &json!({"name": "new", "apiProducts": ["orders"], "scopes": ["REFUND"]}),
    );
    assert_eq!(status, 400);
    assert_eq!(
        error["error"]["message"],
        "Invalid scopes. Scopes must be contained in [READ, WRITE]"
    );
    assert_eq!(driver.get(&format!("{APPS}/new")).0, 404);
    assert_eq!(driver.call("POST", APPS, &json!({})).0, 400);

    let mut lenient = Driver::orders_with("X", &json!({"appCreateScopes": "accept"}));
    let (status, app) = lenient.call("POST", APPS, &json!({"name": "new", "scopes": ["REFUND"]}));
    assert_eq!(
        (status, &app["credentials"][0]["scopes"]),
        (201, &json!(["REFUND"]))
    );
}

#[test]
fn apps_are_approved_revoked_and_deleted() {
    let mut driver = Driver::orders("Edge");
    let (status, body) = driver.call("POST", &format!("{SHOP}?action=revoke"), &Value::Null);
    assert_eq!((status, body), (204, Value::Null));
    let app = driver.fetch(SHOP);
    assert_eq!(app["status"], "revoked");
    assert_eq!(
        app["credentials"][0]["status"], "approved",
        "the keys keep their own status"
    );
    let by_id = driver.fetch(&format!("/apps/{}", app["appId"].as_str().unwrap()));
    assert_eq!(by_id["apiProducts"], json!([]));
    assert_eq!(by_id["credentials"], app["credentials"]);

    let (status, deleted) = driver.call("DELETE", SHOP, &Value::Null);
    assert_eq!((status, deleted), (200, app));
    let (status, error) = driver.get(SHOP);
    assert_eq!(status, 404);
    assert_eq!(error["code"], "developer.service.AppDoesNotExist");
    assert_eq!(
        error["message"],
        "App named shop does not exist under ann@example.com"
    );
    let (status, _) = driver.call("POST", APPS, &json!({"name": "shop"}));
    assert_eq!(status, 201, "the name is free again");
    let import = json!({"consumerKey": "k3y", "consumerSecret": "s"});
    assert_eq!(
        driver.call("POST", &format!("{SHOP}/keys"), &import).0,
        201,
        "so is the key"
    );
}

#[test]
fn an_app_of_an_unknown_developer_has_the_code_of_app_calls() {
    let mut driver = Driver::orders("Edge");
    let (status, error) = driver.get("/developers/no@example.com/apps/shop");
    assert_eq!(status, 404);
    assert_eq!(error["code"], "developer.service.DeveloperIdDoesNotExist");
    assert_eq!(
        error["message"],
        "DeveloperId no@example.com does not exist in organization acme"
    );
    assert_eq!(
        driver.get("/developers/no@example.com").1["code"],
        "developer.service.DeveloperDoesNotExist"
    );
}

#[test]
fn a_developers_apps_are_listed_in_each_editions_form() {
    let mut edge = Driver::orders("Edge");
    edge.call("POST", APPS, &json!({"name": "bar"}));
    assert_eq!(edge.fetch(APPS), json!(["bar", "shop"]));
    assert_eq!(
        edge.fetch(&format!("{APPS}?count=1&startKey=shop")),
        json!(["shop"])
    );
    let expanded = edge.fetch(&format!("{APPS}?expand=True"));
    assert_eq!(expanded["app"][1]["credentials"][0]["consumerKey"], "k3y");

    let mut x = Driver::orders("X");
    assert_eq!(x.fetch(APPS), json!({"app": [{"appId": "shop"}]}));
    let shallow = x.fetch(&format!("{APPS}?shallowExpand=true"));
    assert_eq!(shallow["app"][0]["name"], "shop");
    assert_eq!(shallow["app"][0].get("credentials"), None);
    x.call("DELETE", SHOP, &Value::Null);
    assert_eq!(x.fetch(APPS), json!({}), "nothing is an empty object");
    let mut x = Driver::orders_with("X", &json!({"listedAppId": "id"}));
    assert_ne!(x.fetch(APPS), json!({"app": [{"appId": "shop"}]}));
}

#[test]
fn a_page_of_a_developers_apps_has_a_hundred_items() {
    let apps: Vec<Value> = (0..250)
        .map(|n| json!({"name": format!("app-{n:03}")}))
        .collect();
    let world = |edition: &str, switches: Value| json!({"edition": edition, "switches": switches, "developers": [{"email": "ann@example.com", "apps": apps}]});
    let mut edge = Driver::new(world("Edge", json!({})));
    assert_eq!(edge.fetch(APPS).as_array().unwrap().len(), 100);
    let developer = edge.fetch("/developers/ann@example.com");
    assert_eq!(
        developer["apps"].as_array().unwrap().len(),
        100,
        "the first hundred alone"
    );
    let page = edge.fetch(&format!("{APPS}?count=500&startKey=app-099"));
    assert_eq!(
        (&page[0], page.as_array().unwrap().len()),
        (&json!("app-099"), 100)
    );
    let mut x = Driver::new(world("X", json!({})));
    assert_eq!(x.fetch(APPS)["app"].as_array().unwrap().len(), 100);
    assert_eq!(
        x.fetch(&format!("{APPS}?count=1000"))["app"]
            .as_array()
            .unwrap()
            .len(),
        250
    );
    let mut private = Driver::new(world("Edge", json!({"cps": false})));
    let all = private.fetch(&format!("{APPS}?count=10&startKey=app-099"));
    assert_eq!(
        all.as_array().unwrap().len(),
        250,
        "private cloud has no pages"
    );
}

#[test]
fn what_start_key_and_expand_do_where_documents_rule_them_out() {
    // (switches, query, status, items)
    let table = [
        (json!({}), "startKey=b", 200, 2),
        (json!({"startKeyAlone": "ignore"}), "startKey=b", 200, 3),
        (json!({"startKeyAlone": "refuse"}), "startKey=b", 400, 0),
        (json!({}), "expand=true&count=1", 200, 1),
        (
            json!({"expandWithCount": "expandOnly"}),
            "expand=true&count=1",
            200,
            3,
        ),
        (
            json!({"expandWithCount": "refuse"}),
            "expand=true&count=1",
            400,
            0,
        ),
    ];
    for (switches, query, expected, items) in table {
        let apps = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
        let mut driver = Driver::new(json!({
            "edition": "X", "switches": switches, "developers": [{"email": "ann@example.com", "apps": apps}],
        }));
        let (status, body) = driver.get(&format!("{APPS}?{query}"));
        let found = body["app"].as_array().map_or(0, Vec::len);
        assert_eq!((status, found), (expected, items), "{switches} {query}");
    }
}

#[test]
fn an_app_groups_app_takes_its_action_by_put_and_lists_by_token() {
    let mut driver = Driver::new(json!({
        "edition": "X",
        "appGroups": [{"name": "partners", "apps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}],
    }));
    let apps = "/appgroups/partners/apps";
    let first = driver.fetch(&format!("{apps}?pageSize=2"));
    assert_eq!(first["appGroupApps"].as_array().unwrap().len(), 2);
    let token = first["nextPageToken"].as_str().unwrap();
    let second = driver.fetch(&format!("{apps}?pageSize=2&pageToken={token}"));
    assert_eq!(second["appGroupApps"].as_array().unwrap().len(), 1);
    assert_eq!(second["appGroupApps"][0]["appGroup"], "partners");
    assert_eq!(second.get("nextPageToken"), None);

    assert_eq!(
        driver
            .call("PUT", &format!("{apps}/a?action=revoke"), &Value::Null)
            .0,
        204
    );
    assert_eq!(driver.fetch(&format!("{apps}/a"))["status"], "revoked");
    assert_eq!(
        driver
            .call("POST", &format!("{apps}/a?action=approve"), &Value::Null)
            .0,
        404
    );
    let (status, app) = driver.call("POST", apps, &json!({"name": "d", "keyExpiresIn": "60"}));
    assert_eq!(status, 201);
    assert_eq!(
        app["credentials"][0]["expiresAt"],
        ((NOW + 60) * 1000).to_string(),
        "seconds, here alone"
    );
}

#[test]
fn attributes_are_resources_of_their_own() {
    let mut driver = Driver::orders("Edge");
    let attributes = format!("{SHOP}/attributes");
    let list = json!({"attribute": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
    assert_eq!(driver.call("POST", &attributes, &list), (200, list));
    let one = format!("{attributes}/b");
    assert_eq!(
        driver.call("POST", &one, &json!({"value": "3"})),
        (200, json!({"name": "b", "value": "3"}))
    );
    assert_eq!(driver.call("DELETE", &one, &Value::Null).0, 200);
    assert_eq!(driver.get(&one).0, 404);
    assert_eq!(
        driver.fetch(SHOP)["attributes"],
        json!([{"name": "a", "value": "1"}])
    );
}
