//! OneLogin's documented calls as they stand on its pages, and the forms that published clients send.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::*;

#[tokio::test]
async fn the_documented_token_calls_are_answered() {
    let bench = Bench::start().await;
    let url = format!("{}{TOKEN}", bench.sandbox.url());
    let grant = json!({ "grant_type": "client_credentials" });
    let vendor = "client_id:sandbox, client_secret:sandbox";
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "sandbox"),
        ("client_secret", "sandbox"),
    ];
    for request in [
        bench
            .client
            .post(&url)
            .header(AUTHORIZATION, vendor)
            .json(&grant),
        bench
            .client
            .post(&url)
            .basic_auth("sandbox", Some("sandbox"))
            .json(&grant),
        bench.client.post(&url).form(&form),
    ] {
        let (status, token) = read(request).await;
        assert_eq!(
            (status, &token["expires_in"], &token["token_type"]),
            (200, &json!(36_000), &json!("bearer"))
        );
        assert_eq!(
            token["access_token"], bench.token,
            "one token for one credential"
        );
    }
    let wrong = bench
        .client
        .post(&url)
        .basic_auth("sandbox", Some("wrong"))
        .json(&grant);
    let answer = wrong.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.content_length()),
        (401, Some(93))
    );
    assert_eq!(
        answer.headers()[CONTENT_TYPE],
        "application/json; charset=utf-8"
    );
}

#[tokio::test]
async fn a_scope_lives_its_documented_life() {
    let bench = Bench::start().await;
    let body = json!({ "value": "custom:scope", "description": "A custom scope" });
    assert_eq!(
        bench.send(Method::POST, SCOPES, body.clone()).await,
        (200, json!({ "id": 2 }))
    );
    let (status, taken) = bench.send(Method::POST, SCOPES, body).await;
    assert_eq!(
        (status, &taken["message"]),
        (
            422,
            &json!("Validation failed: Value has already been taken")
        )
    );
    let one = format!("{SCOPES}/2");
    let body = json!({ "value": "custom:renamed", "description": "A custom scope" });
    assert_eq!(
        bench.send(Method::PUT, &one, body).await,
        (200, json!({ "id": 2 }))
    );
    assert_eq!(
        bench.get(SCOPES).await.1[1],
        json!({ "id": 2, "value": "custom:renamed", "description": "A custom scope", "inherited": false })
    );
    let deleted = bench.request(Method::DELETE, &one).send().await.unwrap();
    assert_eq!(
        (
            deleted.status().as_u16(),
            deleted.bytes().await.unwrap().len()
        ),
        (204, 0)
    );
    assert_eq!(read(bench.request(Method::DELETE, &one)).await.0, 404);
}

#[tokio::test]
async fn a_client_is_granted_scopes_as_published_clients_do_it() {
    let bench = Bench::start().await;
    let clients = "/api/2/api_authorizations/31415/clients";
    let one = format!("{clients}/1026152");
    assert_eq!(read(bench.request(Method::DELETE, &one)).await.0, 204);
    let body = json!({ "app_id": 1_026_152, "api_auth_id": 31415, "scopes": [1] });
    let both = json!({ "app_id": 1_026_152, "api_auth_id": 31415 });
    assert_eq!(
        bench.send(Method::POST, clients, body).await,
        (201, both.clone())
    );
    assert_eq!(bench.send(Method::PUT, &one, json!({})).await, (200, both));
    let answer = bench.request(Method::GET, clients).send().await.unwrap();
    assert!(!answer.headers().contains_key("after-cursor"));
    let list: Value = answer.json().await.unwrap();
    assert_eq!(
        list,
        json!([{ "app_id": 1_026_152, "api_auth_id": 31415, "name": "Shop", "scopes": [] }])
    );
}

#[tokio::test]
async fn a_client_that_signs_in_before_every_call_is_not_throttled() {
    let bench = Bench::start().await;
    for _ in 0..45 {
        assert_eq!(bench.sign_in("").await, bench.token);
        assert_eq!(bench.get(SCOPES).await.0, 200);
    }
}
