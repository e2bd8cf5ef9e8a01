//! What the recordings do not hold: credentials, tokens, a failing key manager, usage, drift, large worlds.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Wso2;
use crate::drift;
use crate::wire::{Emulated, Request, Response};
use crate::world::Kind;

const REGISTRATION: &str = "/api/auth/scope-registration/v1.0/scopes";
const PUBLISHER: &str = "/api/am/publisher/v4/scopes";
const ADMIN: &str = "Basic YWRtaW46YWRtaW4=";
/// ann, who is a creator: she may look, and may not manage shared scopes.
const ANN: &str = "Basic YW5uOmFubg==";
const CLIENT: &str = "Basic YXBwOnNlY3JldA==";

fn server(mut world: Value) -> Wso2 {
    let users = json!([
        { "username": "admin", "password": "admin" },
        { "username": "ann", "password": "ann", "roles": ["Internal/creator"] },
    ]);
    world["users"] = users;
    world["clients"] = json!([{ "clientId": "app", "clientSecret": "secret" }]);
    Wso2::load(world).unwrap()
}

impl Wso2 {
    fn drift(&mut self, change: &Value) -> Result<(), String> {
        drift::make(Kind::Wso2, self, change)
    }
}

/// A request as it is built up; sent with `to`.
struct Call {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    now: Timestamp,
}

fn call(method: Method, target: impl Into<String>) -> Call {
    Call {
        method,
        target: target.into(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        now: Timestamp::UNIX_EPOCH,
    }
}

impl Call {
    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn by(self, authorization: &str) -> Self {
        self.header(AUTHORIZATION, authorization)
    }

    fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header(CONTENT_TYPE, "application/json")
    }

    fn form(mut self, body: &str) -> Self {
        self.body = body.to_owned().into();
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    fn at(mut self, seconds: i64) -> Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    fn to(self, server: &mut Wso2) -> Response {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (self.target, None),
        };
        let request = Request {
            method: self.method,
            path,
            query,
            headers: self.headers,
            body: self.body,
            now: self.now,
        };
        let label = server.label(&request);
        let answer = server.handle(&request);
        if !matches!(answer.status, 404 | 500) {
            assert_eq!(label.route, answer.route, "{}", request.path);
        }
        assert_eq!(label.token, answer.token, "{}", request.path);
        answer
    }
}

fn body(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn text(answer: &Response) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn token(server: &mut Wso2, form: &str) -> Response {
    call(Method::POST, "/oauth2/token")
        .by(CLIENT)
        .form(form)
        .to(server)
}

fn bearer(server: &mut Wso2, user: &str, scopes: &str) -> String {
    let form = format!("grant_type=password&username={user}&password={user}&scope={scopes}");
    let answer = token(server, &form);
    format!("Bearer {}", body(&answer)["access_token"].as_str().unwrap())
}

fn create_shared(server: &mut Wso2, name: &str) -> Response {
    let scope = json!({ "name": name, "displayName": name });
    call(Method::POST, PUBLISHER)
        .by(ADMIN)
        .json(&scope)
        .to(server)
}

fn head_of(server: &mut Wso2, base64url: &str) -> u16 {
    call(Method::HEAD, format!("{PUBLISHER}/{base64url}"))
        .by(ADMIN)
        .to(server)
        .status
}

fn shared_names(server: &mut Wso2) -> Vec<String> {
    let answer = call(Method::GET, PUBLISHER).by(ADMIN).to(server);
    let names = body(&answer)["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope["name"].clone())
        .collect::<Vec<_>>();
    names
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn registration_wants_basic_credentials() {
    let mut server = server(json!({}));
    let mut get = |authorization: Option<&str>| {
        let call = call(Method::GET, REGISTRATION);
        match authorization {
            Some(value) => call.by(value),
            None => call,
        }
        .to(&mut server)
    };
    assert_eq!(get(Some(ADMIN)).status, 200);
    let missing = get(None);
    assert_eq!(
        (missing.status, body(&missing)["code"].clone()),
        (500, json!(0))
    );
    let wrong = get(Some("Basic YWRtaW46YmFk"));
    assert_eq!(
        (
            wrong.status,
            wrong.headers["www-authenticate"].to_str().unwrap()
        ),
        (401, "Basic")
    );
    for malformed in [
        "",
        "Digest x",
        "basic YWRtaW46YWRtaW4=",
        "Basic %%",
        "Basic YWRtaW4=",
        "Basic YWRtaW46",
    ] {
        let answer = get(Some(malformed));
        assert_eq!(answer.status, 500, "{malformed}");
        assert!(
            text(&answer).starts_with("Exception while executing request interceptor class "),
            "{malformed}"
        );
    }
    assert_eq!(get(Some("Bearer x")).status, 401);
}

#[test]
fn the_gaps_of_the_authentication_layer_are_a_switch() {
    let mut server = server(json!({ "switches": { "authenticationGaps": true } }));
    assert_eq!(
        call(Method::GET, REGISTRATION)
            .by("Bearer x")
            .to(&mut server)
            .status,
        200
    );
    let other_version = REGISTRATION.replace("v1.0", "v1.7");
    assert_eq!(call(Method::GET, other_version).to(&mut server).status, 200);
    assert_eq!(call(Method::GET, REGISTRATION).to(&mut server).status, 500);
}

#[test]
fn an_earlier_milestone_answers_missing_credentials_with_401() {
    let mut server = server(json!({ "switches": { "missingAuthorization": "unauthorized" } }));
    assert_eq!(call(Method::GET, REGISTRATION).to(&mut server).status, 401);
}

#[test]
fn the_authentication_layer_hands_out_its_description_and_cors_headers_to_anybody() {
    let mut server = server(json!({}));
    let swagger = call(Method::GET, format!("{REGISTRATION}/Swagger.YAML")).to(&mut server);
    assert_eq!(
        (
            swagger.status,
            swagger.headers["content-type"].to_str().unwrap()
        ),
        (200, "text/x-yaml")
    );
    let options = call(Method::OPTIONS, REGISTRATION)
        .header(HeaderName::from_static("origin"), "https://a.example")
        .to(&mut server);
    assert_eq!(
        options.headers["access-control-allow-origin"],
        "https://a.example"
    );
}

#[test]
fn a_post_without_content_type_never_reaches_the_service() {
    let mut server = server(json!({}));
    let mut request = call(Method::POST, REGISTRATION).by(ADMIN);
    request.body = Bytes::from_static(br#"{"name":"s","description":"d"}"#);
    let answer = request.to(&mut server);
    assert_eq!(
        (answer.status, text(&answer)),
        (500, "Exception occurred :argument type mismatch")
    );
    assert_eq!(server.world()["scopes"], json!([]));
}

#[test]
fn a_whole_table_comes_in_one_page_and_in_the_order_of_names() {
    let scopes: Vec<Value> = (0..100_000)
        .rev()
        .map(|number| json!({ "name": format!("scope{number:06}"), "description": "d" }))
        .collect();
    let mut server = server(json!({ "scopes": scopes }));
    for number in 0..1000 {
        let name = format!("scope{number:06}");
        let answer = call(Method::PUT, format!("{REGISTRATION}/{name}"))
            .by(ADMIN)
            .json(&json!({ "name": name, "description": "changed" }))
            .to(&mut server);
        assert_eq!(answer.status, 200);
    }
    let answer = call(Method::GET, format!("{REGISTRATION}?limit=1000000"))
        .by(ADMIN)
        .to(&mut server);
    let page = body(&answer);
    assert_eq!(page["count"], 100_000);
    assert_eq!(page["list"][0]["name"], "scope000000");
    assert_eq!(page["list"][99_999]["name"], "scope099999");
    // The table itself starts with the oldest row.
    let answer = call(Method::GET, format!("{REGISTRATION}?limit=1"))
        .by(ADMIN)
        .to(&mut server);
    assert_eq!(body(&answer)["list"][0]["name"], "scope099999");
}

#[test]
fn a_token_carries_what_the_user_s_roles_allow_and_no_more() {
    let mut server = server(json!({}));
    let form = "grant_type=password&username=ann&password=ann&scope=apim:shared_scope_manage%20apim:api_view";
    let answer = token(&mut server, form);
    assert_eq!(answer.status, 200);
    let granted = body(&answer);
    assert_eq!(granted["scope"], "apim:api_view");
    assert_eq!(
        (&granted["token_type"], &granted["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
}

#[test]
fn writes_need_the_scope_for_it_and_the_refusal_is_a_401() {
    let mut server = server(json!({}));
    let reader = bearer(&mut server, "ann", "apim:shared_scope_manage+apim:api_view");
    let writer = bearer(&mut server, "admin", "apim:shared_scope_manage");
    let scope = json!({ "name": "s", "displayName": "S" });
    let mut post = |who: &str| {
        call(Method::POST, PUBLISHER)
            .by(who)
            .json(&scope)
            .to(&mut server)
    };
    for refused in [
        "",
        "Bearer unknown",
        "basic YWRtaW46YWRtaW4=",
        "Basic YWRtaW46YmFk",
        ANN,
        &reader,
    ] {
        let answer = post(refused);
        assert_eq!(answer.status, 401, "{refused}");
        assert_eq!(
            body(&answer),
            json!({ "code": 401, "message": "", "description": "Unauthenticated request", "moreInfo": "", "error": [] })
        );
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    assert_eq!(post(&writer).status, 201);
    assert_eq!(
        call(Method::GET, PUBLISHER)
            .by(&reader)
            .to(&mut server)
            .status,
        200
    );
    assert_eq!(
        call(Method::GET, PUBLISHER).by(ANN).to(&mut server).status,
        200
    );
}

#[test]
fn malformed_bodies_and_unknown_routes_are_answered_before_credentials_are_looked_at() {
    let mut server = server(json!({}));
    let unknown_field = json!({ "name": "s", "foo": 1 });
    assert_eq!(
        call(Method::POST, PUBLISHER)
            .json(&unknown_field)
            .to(&mut server)
            .status,
        400
    );
    assert_eq!(call(Method::PATCH, PUBLISHER).to(&mut server).status, 405);
    assert_eq!(
        call(Method::GET, "/api/am/publisher/v4/nope")
            .to(&mut server)
            .status,
        404
    );
    assert_eq!(
        call(Method::GET, format!("{PUBLISHER}?limit=x"))
            .to(&mut server)
            .status,
        404
    );
    // Lengths come after.
    assert_eq!(
        call(Method::POST, PUBLISHER)
            .json(&json!({}))
            .to(&mut server)
            .status,
        401
    );
}

#[test]
fn tokens_expire_and_are_refreshed() {
    let mut server = server(json!({}));
    let form = "grant_type=password&username=admin&password=admin&scope=apim:api_view";
    let first = body(&token(&mut server, form));
    let access = format!("Bearer {}", first["access_token"].as_str().unwrap());
    let mut list = |seconds, access: &str| {
        call(Method::GET, PUBLISHER)
            .by(access)
            .at(seconds)
            .to(&mut server)
            .status
    };
    assert_eq!((list(3599, &access), list(3600, &access)), (200, 401));

    let again = call(Method::POST, "/oauth2/token")
        .by(CLIENT)
        .form(form)
        .at(600)
        .to(&mut server);
    assert_eq!(body(&again)["access_token"], first["access_token"]);
    assert_eq!(body(&again)["expires_in"], 3000);
    let late = call(Method::POST, "/oauth2/token")
        .by(CLIENT)
        .form(form)
        .at(3600)
        .to(&mut server);
    assert_ne!(body(&late)["access_token"], first["access_token"]);

    let refresh = format!(
        "grant_type=refresh_token&refresh_token={}",
        first["refresh_token"].as_str().unwrap()
    );
    let refreshed = body(&token(&mut server, &refresh));
    assert_eq!(refreshed["scope"], "apim:api_view");
    assert_ne!(refreshed["access_token"], first["access_token"]);
    assert_eq!(
        call(Method::GET, PUBLISHER)
            .by(&access)
            .to(&mut server)
            .status,
        401
    );

    server.expire_tokens();
    let access = format!("Bearer {}", refreshed["access_token"].as_str().unwrap());
    assert_eq!(
        call(Method::GET, PUBLISHER)
            .by(&access)
            .to(&mut server)
            .status,
        401
    );
}

#[test]
fn a_copy_that_takes_over_the_tokens_knows_who_may_ask() {
    let (mut original, mut copy) = (server(json!({})), server(json!({})));
    let stale = bearer(&mut copy, "admin", "apim:api_view");
    let given = bearer(
        &mut original,
        "admin",
        "apim:api_view apim:shared_scope_manage",
    );
    copy.resume(original.sessions());
    for (access, status) in [(given, 200), (stale, 401)] {
        let answer = call(Method::GET, PUBLISHER).by(&access).to(&mut copy);
        assert_eq!(answer.status, status, "{}", text(&answer));
    }
}

#[test]
fn the_token_endpoint_refuses_strangers() {
    let mut server = server(json!({}));
    let form = "grant_type=password&username=admin&password=admin";
    let stranger = call(Method::POST, "/oauth2/token")
        .by(ADMIN)
        .form(form)
        .to(&mut server);
    assert_eq!(
        (stranger.status, body(&stranger)["error"].clone()),
        (401, json!("invalid_client"))
    );
    let wrong = token(
        &mut server,
        "grant_type=password&username=admin&password=bad",
    );
    assert_eq!(
        (wrong.status, body(&wrong)["error"].clone()),
        (400, json!("invalid_grant"))
    );
    let unknown = token(&mut server, "grant_type=magic");
    assert_eq!(
        (unknown.status, body(&unknown)["error"].clone()),
        (400, json!("unsupported_grant_type"))
    );
}

#[test]
fn a_registered_client_gets_a_token() {
    let mut server = server(json!({}));
    let wish = json!({ "clientName": "scopes", "owner": "admin", "grantType": "password refresh_token", "saasApp": true });
    let mut register = |who: &str| {
        let answer = call(Method::POST, "/client-registration/v0.17/register")
            .by(who)
            .json(&wish)
            .to(&mut server);
        (answer.status, body(&answer))
    };
    assert_eq!(register("Basic YWRtaW46YmFk").0, 401);
    let (status, client) = register(ADMIN);
    assert_eq!((status, &client["isSaasApplication"]), (200, &json!(true)));
    assert_eq!(register(ADMIN).1["clientId"], client["clientId"]);
    let form = format!(
        "client_id={}&client_secret={}&grant_type=password&username=admin&password=admin",
        client["clientId"].as_str().unwrap(),
        client["clientSecret"].as_str().unwrap()
    );
    assert_eq!(
        call(Method::POST, "/oauth2/token")
            .form(&form)
            .to(&mut server)
            .status,
        200
    );
}

#[test]
fn an_unreachable_key_manager_stops_every_write() {
    let mut server = server(json!({ "sharedScopes": [{ "id": "1", "name": "s" }] }));
    server
        .drift(&json!({ "switches": { "keyManager": "unreachable" } }))
        .unwrap();
    let before = server.world();
    let item = format!("{PUBLISHER}/1");
    let change = json!({ "name": "s", "displayName": "changed" });
    assert_eq!(create_shared(&mut server, "t").status, 500);
    assert_eq!(
        call(Method::PUT, item.as_str())
            .by(ADMIN)
            .json(&change)
            .to(&mut server)
            .status,
        500
    );
    assert_eq!(
        call(Method::DELETE, item.as_str())
            .by(ADMIN)
            .to(&mut server)
            .status,
        500
    );
    assert_eq!(server.world(), before);
}

#[test]
fn a_delete_that_the_key_manager_refuses_leaves_an_orphan_that_blocks_the_name() {
    let mut server = server(json!({
        "sharedScopes": [{ "id": "1", "name": "s" }],
        "switches": { "keyManager": "refusing" },
    }));
    assert_eq!(create_shared(&mut server, "t").status, 500);
    assert_eq!(
        call(Method::DELETE, format!("{PUBLISHER}/1"))
            .by(ADMIN)
            .to(&mut server)
            .status,
        200
    );
    assert!(shared_names(&mut server).is_empty());
    server
        .drift(&json!({ "switches": { "keyManager": "reachable" } }))
        .unwrap();
    let blocked = create_shared(&mut server, "s");
    assert_eq!(
        (blocked.status, body(&blocked)["code"].clone()),
        (409, json!(900_984))
    );
    assert_eq!(head_of(&mut server, "cw"), 200);
    assert_eq!(server.world()["keyManagerScopes"], json!(["s"]));
}

#[test]
fn a_release_that_does_not_ask_the_key_manager_answers_for_its_own_tables() {
    let mut server = server(json!({
        "keyManagerScopes": ["s"],
        "switches": { "keyManager": "refusing", "asksKeyManager": false },
    }));
    assert_eq!(create_shared(&mut server, "s").status, 201);
    assert_eq!(create_shared(&mut server, "openid").status, 201);
    assert_eq!(
        (
            head_of(&mut server, "cw"),
            head_of(&mut server, "b3BlbmlkIA")
        ),
        (200, 404)
    );
    assert_eq!(head_of(&mut server, "b3Blbmlk"), 404);
}

#[test]
fn a_scope_in_use_is_counted_in_the_list_alone_and_cannot_be_deleted() {
    let mut server = server(
        json!({ "sharedScopes": [{ "id": "1", "name": "s", "usedBy": ["Orders", {
            "name": "Shop", "context": "/shop", "version": "1.0.0", "provider": "admin",
            "operations": [{ "target": "/a", "verb": "GET" }, { "target": "/b", "verb": "PUT" }],
        }]}]}),
    );
    let item = format!("{PUBLISHER}/1");
    let list = call(Method::GET, PUBLISHER).by(ADMIN).to(&mut server);
    assert_eq!(body(&list)["list"][0]["usageCount"], 3);
    let one = call(Method::GET, item.as_str()).by(ADMIN).to(&mut server);
    assert_eq!(body(&one)["usageCount"], 0);
    let usage = body(
        &call(Method::GET, format!("{item}/usage"))
            .by(ADMIN)
            .to(&mut server),
    );
    assert_eq!(usage["usedApiList"][0]["name"], "Orders");
    assert_eq!(
        usage["usages"][1]["usedResourceList"][1],
        json!({ "target": "/b", "verb": "PUT" })
    );
    let refused = call(Method::DELETE, item.as_str())
        .by(ADMIN)
        .to(&mut server);
    assert_eq!(
        (refused.status, body(&refused)["code"].clone()),
        (409, json!(900_985))
    );

    server
        .drift(&json!({ "setUsage": { "name": "s" } }))
        .unwrap();
    assert_eq!(
        call(Method::DELETE, item.as_str())
            .by(ADMIN)
            .to(&mut server)
            .status,
        200
    );
}

#[test]
fn old_revisions_can_be_counted_without_being_listed() {
    let mut server =
        server(json!({ "sharedScopes": [{ "id": "1", "name": "s", "usageCount": 2 }] }));
    let usage = body(
        &call(Method::GET, format!("{PUBLISHER}/1/usage"))
            .by(ADMIN)
            .to(&mut server),
    );
    assert_eq!(usage["usages"], json!([]));
    assert_eq!(
        call(Method::DELETE, format!("{PUBLISHER}/1"))
            .by(ADMIN)
            .to(&mut server)
            .status,
        409
    );
}

#[test]
fn a_name_that_reads_as_json_is_changed_and_deleted_with_a_500() {
    let mut server = server(json!({ "sharedScopes": [{ "id": "1", "name": "007" }] }));
    let change = json!({ "name": "x", "displayName": "changed" });
    let item = format!("{PUBLISHER}/1");
    assert_eq!(
        call(Method::PUT, item.as_str())
            .by(ADMIN)
            .json(&change)
            .to(&mut server)
            .status,
        500
    );
    assert_eq!(server.world()["sharedScopes"][0]["displayName"], "changed");
    assert_eq!(
        call(Method::DELETE, item.as_str())
            .by(ADMIN)
            .to(&mut server)
            .status,
        500
    );
    assert_eq!(server.world()["sharedScopes"], json!([]));
}

#[test]
fn a_blank_role_is_dropped_by_post_and_kept_by_put() {
    let mut server = server(json!({}));
    let scope = json!({ "name": "s", "displayName": "S", "bindings": [" "] });
    let created = body(
        &call(Method::POST, PUBLISHER)
            .by(ADMIN)
            .json(&scope)
            .to(&mut server),
    );
    assert_eq!(created["bindings"], json!([]));
    let item = format!("{PUBLISHER}/{}", created["id"].as_str().unwrap());
    let changed = body(
        &call(Method::PUT, item)
            .by(ADMIN)
            .json(&scope)
            .to(&mut server),
    );
    assert_eq!(changed["bindings"], json!([" "]));
}

#[test]
fn only_the_publisher_s_own_version_is_served() {
    for (version, served, unserved) in [
        (
            json!({}),
            ["v4/", "v4.5/", "", "v4/v4/"],
            ["v3/", "v4.4/", "v5/", "V4/"],
        ),
        (
            json!({ "publisherVersion": "v4.3" }),
            ["v4/", "v4.3/", "", "v4.3/v4/"],
            ["v4.5/", "v3/", "v1/", "v/"],
        ),
        (
            json!({ "publisherVersion": "v2" }),
            ["v2/", "", "v2/v2/", "//"],
            ["v4/", "v2.0/", "v1/", "v3/"],
        ),
    ] {
        let mut server = server(version);
        let mut status = |prefix: &str| {
            call(Method::GET, format!("/api/am/publisher/{prefix}scopes"))
                .by(ADMIN)
                .to(&mut server)
                .status
        };
        assert_eq!(served.map(&mut status), [200; 4]);
        assert_eq!(unserved.map(&mut status), [404; 4]);
    }
    assert!(Wso2::load(json!({ "publisherVersion": "4" })).is_err());
    assert!(Wso2::load(json!({ "publisherVersion": "v5" })).is_err());
}

#[test]
fn two_scopes_of_one_name_share_their_fate() {
    let mut server =
        server(json!({ "sharedScopes": [{ "id": "1", "name": "s" }, { "id": "2", "name": "s" }] }));
    assert_eq!(shared_names(&mut server), ["s", "s"]);
    assert_eq!(
        call(Method::DELETE, format!("{PUBLISHER}/1"))
            .by(ADMIN)
            .to(&mut server)
            .status,
        200
    );
    let list = call(Method::GET, PUBLISHER).by(ADMIN).to(&mut server);
    assert_eq!(body(&list)["pagination"]["total"], 0);
}

#[test]
fn a_scope_of_a_single_api_takes_its_name_and_is_not_listed() {
    let mut server = server(json!({ "localScopes": [{ "name": "s" }] }));
    assert_eq!(create_shared(&mut server, "s").status, 409);
    assert!(shared_names(&mut server).is_empty());
    assert_eq!(head_of(&mut server, "cw"), 200);
}

#[test]
fn roles_are_looked_up_by_base64url() {
    let mut server = server(json!({ "roles": ["support"] }));
    let mut role = |encoded: &str| {
        call(
            Method::HEAD,
            format!("/api/am/publisher/v4/roles/{encoded}"),
        )
        .by(ADMIN)
        .to(&mut server)
        .status
    };
    assert_eq!(
        (role("c3VwcG9ydA"), role("c2FsZXM"), role("c2FsZXM=")),
        (200, 404, 401)
    );
    assert_eq!(role("SW50ZXJuYWwvY3JlYXRvcg"), 200);
    assert_eq!(head_of(&mut server, "*"), 500);
}

#[test]
fn reserved_names_and_the_list_s_order_are_switches() {
    let mut server = server(json!({
        "sharedScopes": [{ "id": "2", "name": "a" }, { "id": "1", "name": "b" }],
        "switches": { "refusesReservedNames": true, "sharedScopeOrder": "id" },
    }));
    assert_eq!(shared_names(&mut server), ["b", "a"]);
    let refused = create_shared(&mut server, "apim:api_view");
    assert_eq!(
        (refused.status, body(&refused)["code"].clone()),
        (400, json!(901_004))
    );
}

#[test]
fn the_identity_server_is_served_with_a_plain_no() {
    let mut server = server(json!({}));
    for path in [
        "/api/identity/oauth2/v1.0/scopes",
        "/t/acme.com/api/identity/oauth2/v1.0/scopes/name/s",
    ] {
        assert!(server.serves(path));
        let mut request = call(Method::GET, path);
        request.headers = HeaderMap::new();
        let answer = request.to(&mut server);
        assert_eq!(
            (answer.status, body(&answer)["code"].clone()),
            (404, json!("not_emulated"))
        );
    }
    for path in [
        "/api/identity/other",
        "/api/auth/scope-registrations",
        "/oauth2/tokens",
        "/t/x",
        "/v1/o/acme",
    ] {
        assert!(!server.serves(path), "{path}");
    }
}

#[test]
fn drift_changes_scopes_of_both_apis() {
    let mut server =
        server(json!({ "scopes": [{ "name": "a", "description": "d", "bindings": ["r"] }] }));
    for change in [
        json!({ "addScope": { "name": "b", "description": "d" } }),
        json!({ "updateScope": { "name": "a", "bindings": ["x"] } }),
        json!({ "addSharedScope": { "name": "p", "displayName": "P" } }),
        json!({ "api": "Publisher", "addScope": { "name": "q" } }),
        json!({ "sharedScope": true, "updateScope": { "name": "p", "description": "changed", "bindings": ["y"] } }),
        json!({ "deleteSharedScope": "q" }),
        json!({ "deleteScope": "b" }),
    ] {
        server
            .drift(&change)
            .unwrap_or_else(|error| panic!("{change}: {error}"));
    }
    let world = server.world();
    assert_eq!(
        world["scopes"],
        json!([{ "name": "a", "description": "d", "bindings": ["x"] }])
    );
    let shared = world["sharedScopes"].as_array().unwrap();
    assert_eq!(shared.len(), 1);
    assert_eq!(
        (&shared[0]["displayName"], &shared[0]["description"]),
        (&json!("P"), &json!("changed"))
    );
    server
        .drift(&json!({ "updateScope": { "name": "a", "description": null } }))
        .unwrap();
    assert_eq!(
        server.world()["scopes"],
        json!([{ "name": "a", "bindings": ["x"] }])
    );
}

#[test]
fn drift_says_what_it_cannot_do() {
    let mut server = server(json!({ "scopes": [{ "name": "a", "description": "d" }] }));
    let before = server.world();
    for (change, reason) in [
        (json!([]), "a change is an object"),
        (json!({}), "one verb"),
        (
            json!({ "deleteScope": "a", "deleteSharedScope": "b" }),
            "one verb",
        ),
        (json!({ "deleteScope": "b" }), "there is no scope \"b\""),
        (
            json!({ "deleteSharedScope": "a" }),
            "there is no shared scope \"a\"",
        ),
        (json!({ "addScope": { "name": "a" } }), "stands there twice"),
        (
            json!({ "addScope": { "name": "b", "roles": [] } }),
            "unknown field `roles`",
        ),
        (
            json!({ "updateScope": { "name": "a", "description": "x".repeat(513) } }),
            "longer than the database allows",
        ),
        (json!({ "burn": "a" }), "no such change is known"),
        (
            json!({ "switches": { "keyManager": "tired" } }),
            "unknown variant `tired`",
        ),
        (
            json!({ "switches": { "nope": true } }),
            "unknown field `nope`",
        ),
        (
            json!({ "api": "IdentityServer", "deleteScope": "a" }),
            "\"api\" is",
        ),
    ] {
        let error = server.drift(&change).unwrap_err();
        assert!(error.contains(reason), "{change}: {error}");
    }
    assert_eq!(server.world(), before);
}

#[test]
fn a_world_is_saved_and_loaded_without_loss() {
    let mut server = server(json!({
        "roles": ["support"],
        "scopes": [{ "name": "b", "description": "d", "bindings": ["r", "r", ""] }, { "name": "a" }],
        "publisherVersion": "v4.3",
        "sharedScopes": [{ "name": "s", "usedBy": ["Orders"] }, { "name": "t", "usageCount": 1 }],
        "localScopes": [{ "name": "l" }],
        "keyManagerScopes": ["o"],
        "switches": { "sharedScopeOrder": "id" },
    }));
    let access = bearer(&mut server, "admin", "apim:api_view");
    let world = server.world();
    let mut loaded = Wso2::load(world.clone()).unwrap();
    assert_eq!(loaded.world(), world);
    assert_eq!(
        call(Method::GET, PUBLISHER)
            .by(&access)
            .to(&mut loaded)
            .status,
        200
    );
}

#[test]
fn a_world_with_a_mistake_is_refused_with_its_field() {
    for (world, reason) in [
        (json!({ "scope": [] }), "unknown field `scope`"),
        (
            json!({ "scopes": [{ "name": "a" }, { "name": "a" }] }),
            "scopes: \"a\"",
        ),
        (
            json!({ "sharedScopes": [{ "id": "1", "name": "a" }, { "id": "1", "name": "b" }] }),
            "the id \"1\"",
        ),
        (
            json!({ "sharedScopes": [{ "name": "a", "roles": [] }] }),
            "unknown field `roles`",
        ),
        (
            json!({ "sharedScopes": [{ "name": "a" }], "localScopes": [{ "name": "a" }] }),
            "localScopes: \"a\"",
        ),
        (
            json!({ "publisherVersion": "latest" }),
            "publisherVersion: \"latest\"",
        ),
    ] {
        let error = Wso2::load(world).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
