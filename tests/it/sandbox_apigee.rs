//! Apigee's documented calls, and what published clients send, over real HTTP.

use reqwest::{Client, Method, RequestBuilder};
use scopeward_sandbox::{Options, Sandbox, World};
use serde_json::{Value, json};

const WORLD: &str = r"
systems:
  - name: apigee-edge
    apigee:
      organization: acme-edge
      edition: Edge
      credentials:
        - { username: ann@example.com, password: s3cret }
      products:
        - { name: Hotels, scopes: [READ, WRITE] }
        - { name: Restaurants, scopes: [BOOK] }
      developers:
        - email: ahamilton@example.com
          apps:
            - name: myapp
              keys: [{ consumerKey: k3y, products: [Hotels], scopes: [READ] }]
      companies:
        - { name: partners, apps: [{ name: portal, keys: [{ consumerKey: c0mpany, products: [Hotels] }] }] }
  - name: apigee-x
    apigee:
      organization: acme-x
      edition: X
      credentials: [{ token: sandbox }]
      products:
        - { name: Hotels, scopes: [READ, WRITE] }
        - { name: Restaurants, scopes: [BOOK] }
      developers:
        - email: ahamilton@example.com
          apps:
            - name: myapp
              keys: [{ consumerKey: x-k3y, products: [Hotels], scopes: [READ] }]
      appGroups:
        - { name: partners, apps: [{ name: portal, keys: [{ consumerKey: gr0up, products: [Hotels] }] }] }
";

/// One organization of a served world, as a client sees it.
struct Organization {
    sandbox: Sandbox,
    client: Client,
    name: &'static str,
}

impl Organization {
    async fn edge() -> Self {
        Self::of("acme-edge").await
    }

    async fn x() -> Self {
        Self::of("acme-x").await
    }

    async fn of(name: &'static str) -> Self {
        let world = World::from_yaml(WORLD).unwrap();
        let sandbox = Sandbox::start(world, Options::default()).await.unwrap();
        Self {
            sandbox,
            client: Client::new(),
            name,
        }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.sandbox.url());
        let request = self.client.request(method.parse::<Method>().unwrap(), url);
        match self.name {
            "acme-edge" => request.basic_auth("ann@example.com", Some("s3cret")),
            _ => request.bearer_auth("sandbox"),
        }
    }

    async fn call(&self, method: &str, below: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/organizations/{}{below}", self.name);
        let request = self.request(method, &path);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        answer(request).await
    }

    async fn get(&self, below: &str) -> (u16, Value) {
        self.call("GET", below, Value::Null).await
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn the_allowed_scopes_of_an_edge_app_are_replaced_as_the_vendors_page_says() {
    let edge = Organization::edge().await;
    let key = "/v1/organizations/acme-edge/developers/ahamilton@example.com/apps/myapp/keys/k3y";
    let put = |body: &'static str| {
        let request = edge
            .request("PUT", key)
            .header("content-type", "application/json");
        answer(request.body(body))
    };

    let (status, body) = put(r#"{"scopes":["READ","WRITE"]}"#).await;
    assert_eq!((status, &body["scopes"]), (200, &json!(["READ", "WRITE"])));
    assert_eq!(
        body["apiProducts"],
        json!([{"apiproduct": "Hotels", "status": "approved"}])
    );
    assert_eq!(body["expiresAt"], -1);

    let (status, body) = put(r#"{"scopes":["READ","WRITE","DELETE"]}"#).await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        json!({
            "code": "keymanagement.service.InvalidScopes",
            "message": "Invalid scopes. Scopes must be contained in [READ, WRITE]",
            "contexts": [],
        })
    );

    assert_eq!(put(r#"{"scopes":[]}"#).await.1["scopes"], json!([]));
    assert_eq!(
        put(r#"{"scopes":["WRITE"]}"#).await.1["scopes"],
        json!(["WRITE"])
    );
    let (_, stored) = edge
        .get("/developers/ahamilton%40example.com/apps/myapp")
        .await;
    assert_eq!(stored["credentials"][0]["scopes"], json!(["WRITE"]));
    assert_eq!(
        stored["scopes"],
        json!([]),
        "the app's own list stays empty"
    );
    edge.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_scopes_of_an_x_key_are_replaced_and_its_products_grow() {
    let x = Organization::x().await;
    let key = "/developers/ahamilton@example.com/apps/myapp/keys/x-k3y";
    let (status, body) = x.call("PUT", key, json!({"scopes": ["WRITE"]})).await;
    assert_eq!(
        (status, &body["scopes"], &body["expiresAt"]),
        (200, &json!(["WRITE"]), &json!("-1"))
    );
    let (status, body) = x.call("PUT", key, json!({"scopes": ["BOOK"]})).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["code"], 400);
    let message = "Invalid scopes. Scopes must be contained in [READ, WRITE]";
    assert_eq!(body["error"]["message"], message);

    // apigeecli sets products and scopes in one PUT, after taking all products off the key.
    let (status, _) = x
        .call("DELETE", &format!("{key}/apiproducts/Hotels"), Value::Null)
        .await;
    assert_eq!(status, 200);
    let both = json!({"consumerKey": "x-k3y", "apiProducts": ["Restaurants"], "scopes": ["BOOK"], "attributes": []});
    let (status, body) = x.call("PUT", key, both).await;
    assert_eq!((status, &body["scopes"]), (200, &json!(["BOOK"])));
    assert_eq!(
        body["apiProducts"],
        json!([{"apiproduct": "Restaurants", "status": "approved"}])
    );
    assert_eq!(body.get("attributes"), None);
    x.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn team_keys_take_the_call_of_their_edition() {
    let edge = Organization::edge().await;
    let (status, body) = edge
        .call(
            "PUT",
            "/companies/partners/apps/portal/keys/c0mpany",
            json!({"scopes": ["READ"]}),
        )
        .await;
    assert_eq!((status, &body["scopes"]), (200, &json!(["READ"])));
    edge.sandbox.shutdown().await.unwrap();

    let x = Organization::x().await;
    let key = "/appgroups/partners/apps/portal/keys/gr0up";
    let nested = json!({"appGroupAppKey": {"scopes": ["READ"]}});
    let (status, body) = x.call("POST", key, nested).await;
    assert_eq!((status, &body["scopes"]), (200, &json!(["READ"])));
    let (status, body) = x.call("PUT", key, json!({"scopes": ["WRITE"]})).await;
    assert_eq!(
        (status, body),
        (404, Value::Null),
        "no JSON: the front end knows no such method"
    );
    x.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_key_is_revoked_as_documented_with_an_empty_octet_stream() {
    for organization in [Organization::edge().await, Organization::x().await] {
        let key = match organization.name {
            "acme-edge" => "k3y",
            _ => "x-k3y",
        };
        let path = format!(
            "/v1/o/{}/developers/ahamilton@example.com/apps/myapp/keys/{key}",
            organization.name
        );
        let revoke = organization
            .request("POST", &format!("{path}?action=revoke"))
            .header("content-type", "application/octet-stream");
        assert_eq!(answer(revoke).await, (204, Value::Null));
        let (status, body) = answer(organization.request("GET", &path)).await;
        assert_eq!((status, &body["status"]), (200, &json!("revoked")));
        organization.sandbox.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn one_full_body_serves_import_post_and_put() {
    // A Terraform provider for Edge sends the same body three times.
    let edge = Organization::edge().await;
    let keys = "/developers/ahamilton@example.com/apps/myapp/keys";
    let body = json!({
        "consumerKey": "imported", "consumerSecret": "s3cret", "apiProducts": ["Hotels"],
        "scopes": ["READ"], "attributes": [{"name": "tier", "value": "gold"}],
    });
    assert_eq!(
        edge.call("POST", &format!("{keys}/create"), body.clone())
            .await
            .0,
        201
    );
    let one = format!("{keys}/imported");
    assert_eq!(edge.call("POST", &one, body.clone()).await.0, 200);
    let (status, key) = edge.call("PUT", &one, body).await;
    assert_eq!((status, &key["scopes"]), (200, &json!(["READ"])));
    assert_eq!(key["apiProducts"].as_array().unwrap().len(), 1);
    assert_eq!(
        key["attributes"],
        json!([{"name": "tier", "value": "gold"}])
    );
    edge.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_app_comes_with_a_key_and_its_echo_makes_no_other() {
    let x = Organization::x().await;
    let apps = "/developers/ahamilton%2540example.com/apps";
    let body = json!({"name": "new", "apiProducts": ["Hotels"], "scopes": ["READ"]});
    let (status, app) = x.call("POST", apps, body).await;
    assert_eq!(
        status, 201,
        "an e-mail that is escaped twice is understood: {app}"
    );
    assert_eq!(app["credentials"][0]["scopes"], json!(["READ"]));
    let (status, after) = x.call("PUT", &format!("{apps}/new"), app.clone()).await;
    assert_eq!((status, &after["credentials"]), (200, &app["credentials"]));
    let (_, after) = x
        .call(
            "PUT",
            &format!("{apps}/new"),
            json!({"apiProducts": ["Hotels"]}),
        )
        .await;
    assert_eq!(after["credentials"].as_array().unwrap().len(), 2);
    x.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn queries_that_clients_send_are_understood() {
    let x = Organization::x().await;
    let (status, list) = x
        .get("/apps?alt=json&prettyPrint=false&expand=True&rows=10&startKey=")
        .await;
    assert_eq!(status, 200);
    assert_eq!(list["app"].as_array().unwrap().len(), 2);
    assert!(list["app"][0]["credentials"][0]["consumerSecret"].is_string());
    let (status, list) = x.get("/apps?filter=consumerKey%3Dx-k3y&expand=true").await;
    assert_eq!((status, &list["app"][0]["name"]), (200, &json!("myapp")));
    assert_eq!(
        x.get("/").await.1["name"],
        "acme-x",
        "with a trailing slash"
    );
    assert_eq!(
        x.get("/apiproducts?count=1&startKey=Restaurants").await.1,
        json!({"apiProduct": [{"name": "Restaurants"}]})
    );
    x.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn edge_tokens_are_had_renewed_and_ended() {
    let edge = Organization::edge().await;
    let url = format!("{}/oauth/token", edge.sandbox.url());
    let token = |form: &'static [(&'static str, &'static str)]| {
        let request = edge
            .client
            .post(&url)
            .header("accept", "application/json;charset=utf-8")
            .header("authorization", "Basic ZWRnZWNsaTplZGdlY2xpc2VjcmV0")
            .form(form);
        answer(request)
    };
    let form = &[
        ("grant_type", "password"),
        ("username", "ann@example.com"),
        ("password", "s3cret"),
    ];
    let (status, body) = token(form).await;
    assert_eq!(status, 200);
    assert_eq!(body["token_type"], "bearer");

    let list = |bearer: String| {
        let url = format!("{}/v1/o/acme-edge/apiproducts", edge.sandbox.url());
        answer(edge.client.get(url).bearer_auth(bearer))
    };
    let bearer = body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(
        list(bearer.clone()).await,
        (200, json!(["Hotels", "Restaurants"]))
    );
    let (status, fault) = list("wrong".to_owned()).await;
    assert_eq!(status, 401);
    assert!(fault["fault"]["faultstring"].is_string());

    let (_, counts) = answer(
        edge.client
            .get(format!("{}/__sandbox/requests", edge.sandbox.url())),
    )
    .await;
    let routes = counts["routes"].as_array().unwrap();
    let tokens = routes
        .iter()
        .find(|route| route["route"] == "/oauth/token")
        .unwrap();
    assert_eq!(
        (&tokens["token"], &counts["writes"]),
        (&json!(true), &json!(0))
    );
    edge.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn drift_and_state_go_through_the_control_api() {
    let x = Organization::x().await;
    let url = |path: &str| format!("{}/__sandbox/{path}", x.sandbox.url());
    let change = json!({
        "system": "apigee-x",
        "setKeyScopes": {"developer": "ahamilton@example.com", "app": "myapp", "consumerKey": "x-k3y", "scopes": ["GONE"]},
    });
    let (status, body) = answer(x.client.post(url("drift")).json(&change)).await;
    assert!((200..300).contains(&status), "{status} {body}");
    let key = "/developers/ahamilton@example.com/apps/myapp/keys/x-k3y";
    assert_eq!(x.get(key).await.1["scopes"], json!(["GONE"]));

    let (_, state) = answer(x.client.get(url("state"))).await;
    x.call("DELETE", key, Value::Null).await;
    assert_eq!(x.get(key).await.0, 404);
    let (status, body) = answer(x.client.put(url("state")).json(&state)).await;
    assert!((200..300).contains(&status), "{status} {body}");
    assert_eq!(x.get(key).await.1["scopes"], json!(["GONE"]));
    assert_eq!(answer(x.client.get(url("state"))).await.1, state);
    x.sandbox.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_organization_that_the_world_does_not_have_is_not_served() {
    let x = Organization::x().await;
    let (status, _) = answer(x.request("GET", "/v1/organizations/other/apps")).await;
    assert_eq!(status, 404);
    let (status, body) = answer(x.request("GET", "/@apigee-x/v1/organizations/other/apps")).await;
    assert_eq!(
        (status, &body["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    x.sandbox.shutdown().await.unwrap();
}
