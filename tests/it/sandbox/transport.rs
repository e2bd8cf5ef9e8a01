//! The listener: raw targets, kept connections, limits and TLS.

use std::net::SocketAddr;

use scopeward_sandbox::SandboxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn a_target_arrives_as_it_was_sent() {
    let bench = Bench::start().await;
    let mut stream = TcpStream::connect(bench.sandbox.addr()).await.unwrap();
    let targets = [
        "/auth/%zz/a%2Fb//c;d=e?x=%&y=+",
        "/auth/./../a",
        "/auth/{}\"|",
    ];
    for target in targets {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(
            answer[..read].starts_with(b"HTTP/1.1 404"),
            "{}",
            String::from_utf8_lossy(&answer[..read])
        );
    }
    let log = bench.log(1).await;
    let arrived: Vec<String> = log
        .iter()
        .map(|entry| match entry["query"].as_str() {
            Some(query) => format!("{}?{query}", entry["path"].as_str().unwrap()),
            None => entry["path"].as_str().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(arrived, targets, "and over one connection");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let bench = Bench::start().await;
    let body = vec![b' '; 16 * 1024 * 1024 + 1];
    let request = bench
        .request(Method::POST, SCOPES)
        .header("content-type", "application/json")
        .body(body);
    match request.send().await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        // The answer may come while the body is still on its way, and the client may not see it then.
        Err(error) => assert!(error.is_request(), "{error:?}"),
    }
    assert_eq!(bench.log(1).await.len(), 0);
    assert_eq!(bench.get(SCOPES).await.0, 200);
}

#[tokio::test]
async fn https_is_served_with_a_certificate_that_can_be_trusted() {
    let options = Options {
        tls: true,
        ..Options::default()
    };
    let sandbox = Sandbox::start(World::from_yaml(WORLD).unwrap(), options)
        .await
        .unwrap();
    let pem = sandbox.certificate().unwrap();
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let trusting = Client::builder()
        .tls_certs_only([certificate])
        .no_proxy()
        .build()
        .unwrap();
    assert!(sandbox.url().starts_with("https://127.0.0.1:"));
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/__sandbox/health", sandbox.addr().port());
        assert_eq!(
            trusting.get(url).send().await.unwrap().status(),
            200,
            "{host}"
        );
    }
    assert!(
        client()
            .get(format!("{}/__sandbox/health", sandbox.url()))
            .send()
            .await
            .is_err()
    );
    let plan = json!({ "rules": [{ "fault": { "reset": {} } }] });
    trusting
        .put(format!("{}/__sandbox/faults", sandbox.url()))
        .json(&plan)
        .send()
        .await
        .unwrap();
    assert!(
        trusting
            .get(format!("{}{SCOPES}", sandbox.url()))
            .send()
            .await
            .is_err()
    );
    sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let listen: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let options = Options {
        listen,
        ..Options::default()
    };
    let error = Sandbox::start(World::from_yaml(WORLD).unwrap(), options)
        .await
        .unwrap_err();
    assert!(matches!(error, SandboxError::NotLoopback { .. }), "{error}");
    let taken = Bench::start().await;
    let options = Options {
        listen: taken.sandbox.addr(),
        ..Options::default()
    };
    let error = Sandbox::start(World::from_yaml(WORLD).unwrap(), options)
        .await
        .unwrap_err();
    assert!(matches!(error, SandboxError::Listen { .. }), "{error}");
}
