//! The sandbox over real HTTP: what is common to all systems, and the calls of the vendors' pages.

mod control;
mod faults;
mod onelogin;
mod state;
mod transport;

use reqwest::{Client, Method, RequestBuilder};
use scopeward_sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};

/// Two accounts, so that names matter.
const WORLD: &str = "
systems:
  - name: onelogin-prod
    oneLogin:
      credentials: [{ clientId: sandbox, clientSecret: sandbox }]
      authorizationServers:
        - id: 31415
          name: Orders API
          audiences: [https://api.acme.com/orders]
          scopes: [{ id: 1, value: 'orders:read', description: Read orders }]
          clients: [{ appId: 1026152, name: Shop, scopes: [1] }]
      apps: [{ id: 1026152, name: Shop }]
  - name: onelogin-test
    oneLogin:
      authorizationServers: [{ id: 1, name: Other, audiences: [o], scopes: [{ id: 9, value: other }] }]
";

const SCOPES: &str = "/api/2/api_authorizations/31415/scopes";
const SCOPES_ROUTE: &str = "/api/2/api_authorizations/{id}/scopes";
const TOKEN: &str = "/auth/oauth2/v2/token";

/// A sandbox under test and a client that is signed in to its first system.
struct Bench {
    sandbox: Sandbox,
    client: Client,
    token: String,
}

impl Bench {
    async fn start() -> Self {
        Self::of(World::from_yaml(WORLD).unwrap(), Options::default()).await
    }

    async fn of(world: World, options: Options) -> Self {
        let sandbox = Sandbox::start(world, options).await.unwrap();
        let mut bench = Self {
            sandbox,
            client: client(),
            token: String::new(),
        };
        bench.token = bench.sign_in("").await;
        bench
    }

    async fn sign_in(&self, root: &str) -> String {
        let request = self
            .client
            .post(format!("{}{root}{TOKEN}", self.sandbox.url()));
        let request = request.basic_auth("sandbox", Some("sandbox"));
        let answer = request
            .json(&json!({ "grant_type": "client_credentials" }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.sandbox.url()))
            .bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path)).await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        read(self.request(method, path).json(&body)).await
    }

    /// A control call that must succeed.
    async fn control(&self, method: Method, call: &str, body: Value) {
        let (status, answer) = self.send(method, &format!("/__sandbox/{call}"), body).await;
        assert_eq!(status, 204, "{call}: {answer}");
    }

    async fn faults(&self, rules: Value) {
        self.control(Method::PUT, "faults", json!({ "seed": 7, "rules": rules }))
            .await;
    }

    async fn log(&self, since: u64) -> Vec<Value> {
        let answer = self
            .request(Method::GET, &format!("/__sandbox/log?since={since}"))
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The values of the scopes that the first system holds.
    async fn scopes(&self) -> Vec<String> {
        let (status, list) = self.get(SCOPES).await;
        assert_eq!(status, 200, "{list}");
        list.as_array()
            .unwrap()
            .iter()
            .map(|scope| scope["value"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A client that sends each request once: resets and errors are what is looked at here.
fn client() -> Client {
    Client::builder()
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .unwrap()
}

async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}
