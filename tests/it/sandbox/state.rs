//! The world as it is read, kept and given back.

use std::path::Path;

use scopeward_sandbox::SandboxError;

use super::*;

fn kept(path: &Path) -> Options {
    Options {
        state: Some(path.to_owned()),
        ..Options::default()
    }
}

fn world() -> World {
    World::from_yaml(WORLD).unwrap()
}

async fn create(bench: &Bench, value: &str) -> u16 {
    bench
        .send(Method::POST, SCOPES, json!({ "value": value }))
        .await
        .0
}

#[tokio::test]
async fn a_state_is_taken_out_and_put_back() {
    let bench = Bench::start().await;
    let (_, before) = bench.get("/__sandbox/state").await;
    assert_eq!(
        before["systems"][0]["oneLogin"]["authorizationServers"][0]["scopes"][0]["value"],
        "orders:read"
    );
    assert_eq!(create(&bench, "new").await, 200);
    bench.control(Method::PUT, "state", before.clone()).await;
    assert_eq!(bench.get("/__sandbox/state").await.1, before);
    assert_eq!(bench.scopes().await, ["orders:read"]);
    for (body, status) in [
        (WORLD, 204),
        ("systems: [{ name: x }]", 400),
        ("{", 400),
        ("\u{0}", 400),
    ] {
        let request = bench.request(Method::PUT, "/__sandbox/state").body(body);
        assert_eq!(read(request).await.0, status, "{body:?}");
    }
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_left_and_its_tokens_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".scopeward/sandbox.json");
    let first = Bench::of(world(), kept(&path)).await;
    assert_eq!(create(&first, "new").await, 200);
    let token = first.token.clone();
    first.sandbox.shutdown().await.unwrap();

    let second = Bench::of(World::from_yaml("systems: []").unwrap(), kept(&path));
    let second = second.await;
    assert_eq!(second.token, token);
    assert_eq!(second.scopes().await, ["orders:read", "new"]);
}

#[tokio::test]
async fn what_was_answered_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let bench = Bench::of(world(), kept(&path)).await;
    let drift = json!({ "system": "onelogin-prod", "addScope": { "value": "drifted" } });
    bench.control(Method::POST, "drift", drift).await;
    for number in 0..20 {
        let value = format!("scope:{number}");
        assert_eq!(create(&bench, &value).await, 200);
        let saved = std::fs::read_to_string(&path).unwrap();
        assert!(
            saved.contains(&format!("\"{value}\"")) && saved.contains("\"drifted\""),
            "{value}"
        );
        assert!(World::from_json(saved.as_bytes()).is_ok());
    }
}

#[tokio::test]
async fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let bench = Bench::of(world(), kept(&path)).await;
    let writes = (0..200).map(|number| {
        let request = bench
            .request(Method::POST, SCOPES)
            .json(&json!({ "value": format!("scope:{number}") }));
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = futures::future::join_all(writes).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let log = bench.log(0).await;
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry["seq"] == seq));
    bench.sandbox.shutdown().await.unwrap();
    let saved = std::fs::read(&path).unwrap();
    let world = World::from_json(&saved).unwrap().to_value();
    let scopes = world["systems"][0]["oneLogin"]["authorizationServers"][0]["scopes"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(scopes, 201);
}

#[tokio::test]
async fn a_state_file_that_is_in_use_or_no_world_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let first = Sandbox::start(world(), kept(&path)).await.unwrap();
    let error = Sandbox::start(world(), kept(&path)).await.unwrap_err();
    assert!(matches!(error, SandboxError::StateInUse { .. }), "{error}");
    first.shutdown().await.unwrap();
    std::fs::write(&path, "{}").unwrap();
    let error = Sandbox::start(world(), kept(&path)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("state.json cannot be used, remove it"),
        "{error}"
    );
}

#[tokio::test]
async fn a_sandbox_that_is_dropped_frees_its_file_and_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let first = Bench::of(world(), kept(&path)).await;
    assert_eq!(create(&first, "new").await, 200);
    let listen = first.sandbox.addr();
    drop(first);
    let options = Options {
        listen,
        ..kept(&path)
    };
    let second = loop {
        match Sandbox::start(world(), options.clone()).await {
            Ok(sandbox) => break sandbox,
            Err(SandboxError::StateInUse { .. } | SandboxError::Listen { .. }) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    second.shutdown().await.unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"new\""));
}
