//! Counters, log, drift and names.

use super::*;

#[tokio::test]
async fn calls_are_counted_by_system_method_route_and_status() {
    let bench = Bench::start().await;
    assert_eq!(bench.get(SCOPES).await.0, 200);
    assert_eq!(bench.get("/api/2/api_authorizations/7/scopes").await.0, 404);
    assert_eq!(
        bench
            .send(Method::POST, SCOPES, json!({ "value": "new" }))
            .await
            .0,
        200
    );
    assert_eq!(bench.get("/nowhere").await.0, 404);
    let (_, counts) = bench.get("/__sandbox/requests").await;
    assert_eq!(
        counts,
        json!({ "total": 5, "writes": 1, "routes": [
            { "system": null, "method": "GET", "route": "unrouted", "count": 1, "statuses": { "404": 1 } },
            { "system": "onelogin-prod", "method": "GET", "route": SCOPES_ROUTE, "count": 2,
              "statuses": { "200": 1, "404": 1 } },
            { "system": "onelogin-prod", "method": "POST", "route": SCOPES_ROUTE, "count": 1,
              "statuses": { "200": 1 } },
            { "system": "onelogin-prod", "method": "POST", "route": TOKEN, "count": 1,
              "statuses": { "200": 1 }, "token": true },
        ]})
    );
    bench.control(Method::DELETE, "requests", Value::Null).await;
    assert_eq!(
        bench.get("/__sandbox/requests").await.1,
        json!({ "total": 0, "writes": 0, "routes": [] })
    );
    bench.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_log_tells_each_request_as_it_came() {
    let bench = Bench::start().await;
    bench
        .get("/@onelogin-prod/api/2/api_authorizations?name=a%20b")
        .await;
    bench
        .send(
            Method::PUT,
            &format!("{SCOPES}/1%2F2"),
            json!({ "value": "x" }),
        )
        .await;
    let log = bench.log(1).await;
    assert_eq!(log.len(), 2);
    let told: Vec<Value> = log
        .iter()
        .map(|entry| {
            json!([
                entry["seq"],
                entry["system"],
                entry["method"],
                entry["path"],
                entry["query"],
                entry["body"],
                entry["status"],
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([
                2,
                "onelogin-prod",
                "GET",
                "/api/2/api_authorizations",
                "name=a%20b",
                null,
                200
            ]),
            json!([
                3,
                "onelogin-prod",
                "PUT",
                format!("{SCOPES}/1%2F2"),
                null,
                "{\"value\":\"x\"}",
                404
            ]),
        ]
    );
    assert_eq!(bench.log(0).await.len(), 3);
    assert_eq!(bench.log(3).await.len(), 0);
    assert_eq!(bench.get("/__sandbox/log?since=x").await.0, 400);
}

#[tokio::test]
async fn a_system_is_reached_by_its_name_and_the_first_without() {
    let bench = Bench::start().await;
    let list = "/api/2/api_authorizations";
    assert_eq!(bench.get(list).await.1[0]["id"], 31415);
    assert_eq!(
        bench.get(&format!("/@onelogin-prod{list}")).await.1[0]["id"],
        31415
    );
    assert_eq!(
        bench.get(&format!("/@onelogin-test{list}")).await.0,
        401,
        "each system has its own tokens"
    );
    let token = bench.sign_in("/@onelogin-test").await;
    let url = format!("{}{list}", bench.sandbox.url_of("onelogin-test"));
    let (status, servers) = read(bench.client.get(url).bearer_auth(token)).await;
    assert_eq!((status, &servers[0]["id"]), (200, &json!(1)));
    assert_eq!(bench.get(&format!("/@nobody{list}")).await.0, 404);
}

#[tokio::test]
async fn a_drift_changes_the_system_that_it_names() {
    let bench = Bench::start().await;
    let drift = json!({ "system": "onelogin-prod", "deleteScope": "orders:read" });
    bench.control(Method::POST, "drift", drift).await;
    assert_eq!(bench.scopes().await, Vec::<String>::new());
    for (change, reason) in [
        (
            json!({ "system": "nobody", "deleteScope": "x" }),
            "\"nobody\"",
        ),
        (json!({ "deleteScope": "x" }), "several systems"),
        (json!({ "system": 1 }), "the name of a system"),
        (
            json!({ "system": "onelogin-prod", "deleteScope": "x" }),
            "\"x\"",
        ),
        (json!([]), "JSON object"),
    ] {
        let (status, answer) = bench.send(Method::POST, "/__sandbox/drift", change).await;
        assert_eq!(status, 400);
        assert!(
            answer["error"].as_str().unwrap().contains(reason),
            "{answer}"
        );
    }
    let (_, counts) = bench.get("/__sandbox/requests").await;
    assert_eq!(
        (&counts["total"], &counts["writes"]),
        (&json!(2), &json!(0)),
        "control calls are not counted"
    );
}

#[tokio::test]
async fn control_calls_that_do_not_exist_say_which_do() {
    let bench = Bench::start().await;
    let health = json!({ "status": "ok", "systems": ["onelogin-prod", "onelogin-test"] });
    assert_eq!(bench.get("/__sandbox/health").await, (200, health));
    assert_eq!(
        bench
            .send(Method::POST, "/__sandbox/state", json!({}))
            .await
            .0,
        405
    );
    let (status, answer) = bench.get("/__sandbox/stat").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().contains("health"));
    assert_eq!(
        bench.get("/__sandboxed").await.1["error"],
        "no system of this world serves this path"
    );
}
