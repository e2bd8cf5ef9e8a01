//! The sandbox over real HTTP.

use scopeward::sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};

async fn sandbox(world: &str) -> Sandbox {
    Sandbox::start(World::from_yaml(world).unwrap(), Options::default())
        .await
        .unwrap()
}

async fn get(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", sandbox.url()))
        .await
        .unwrap();
    (
        answer.status().as_u16(),
        answer.json().await.unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_path_of_no_system_is_answered_and_counted_apart() {
    let sandbox = sandbox("systems: []").await;
    assert_eq!(
        get(&sandbox, "/__sandbox/health").await,
        (200, json!({ "status": "ok", "systems": [] }))
    );
    assert_eq!(get(&sandbox, "/nowhere").await.0, 404);
    let (_, counts) = get(&sandbox, "/__sandbox/requests").await;
    assert_eq!(
        counts,
        json!({ "total": 1, "writes": 0, "routes": [
            { "system": null, "method": "GET", "route": "unrouted", "count": 1, "statuses": { "404": 1 } },
        ]})
    );
    sandbox.shutdown().await.unwrap();
}
