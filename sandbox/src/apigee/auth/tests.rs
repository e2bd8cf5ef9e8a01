//! Who is let in, and with which token.

use super::*;
use crate::apigee::Apigee;
use crate::apigee::testing::{Driver, NOW};
use crate::wire::Emulated as _;

const EDGECLI: &str = "Basic ZWRnZWNsaTplZGdlY2xpc2VjcmV0";

fn edge() -> Driver {
    Driver::new(json!({
        "edition": "Edge",
        "credentials": [
            {"username": "ann@example.com", "password": "s3cret", "refreshToken": "standing"},
            {"token": "reader", "readOnly": true},
        ],
        "products": [{"name": "orders"}],
    }))
}

fn form(driver: &mut Driver, path: &str, client: &str, body: &str) -> (u16, Value) {
    let content_type = ("content-type", "application/x-www-form-urlencoded");
    let response = driver.raw(
        "POST",
        path,
        &[("authorization", client), content_type],
        body,
    );
    assert!(response.token, "counted apart");
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap(),
    )
}

/// A token in the form of a service account's, signed by nobody.
fn assertion(claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "1"});
    format!("{}.{}.c2lnbmF0dXJl", encode(&header), encode(claims))
}

fn claims() -> Value {
    json!({
        "iss": "ci@acme.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token", "iat": NOW, "exp": NOW + 3600,
    })
}

#[test]
fn a_copy_that_takes_over_the_tokens_knows_who_may_ask() {
    let (mut original, mut copy) = (edge(), edge());
    let body = "grant_type=password&username=ann%40example.com&password=s3cret";
    let (_, answer) = form(&mut original, "/oauth/token", EDGECLI, body);
    copy.authorization = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    assert_eq!(copy.get("/apiproducts").0, 401);
    copy.apigee.resume(original.apigee.sessions());
    assert_eq!(copy.get("/apiproducts").0, 200);
}

#[test]
fn edge_gives_a_token_that_clients_can_decode_and_use() {
    let mut driver = edge();
    let body = "grant_type=password&username=ann%40example.com&password=s3cret&response_type=token";
    let (status, answer) = form(&mut driver, "/oauth/token", EDGECLI, body);
    assert_eq!(status, 200);
    assert_eq!(answer["token_type"], "bearer");
    let access_token = answer["access_token"].as_str().unwrap();
    let claims = decode_json(access_token.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(
        (&claims["exp"], &claims["email"], &claims["user_name"]),
        (
            &json!(NOW + 3600),
            &json!("ann@example.com"),
            &json!("ann@example.com")
        )
    );
    driver.authorization = format!("Bearer {access_token}");
    assert_eq!(driver.get("/apiproducts").0, 200);

    let body = format!(
        "grant_type=refresh_token&refresh_token={}",
        answer["refresh_token"].as_str().unwrap()
    );
    let (status, refreshed) = form(&mut driver, "/oauth/token", EDGECLI, &body);
    assert_eq!(status, 200);
    assert_ne!(refreshed["access_token"], answer["access_token"]);

    driver.now += 3600;
    let (status, error) = driver.get("/apiproducts");
    assert_eq!(status, 401, "the token has ended");
    assert!(error["fault"]["detail"]["errorcode"].is_string(), "{error}");
}

#[test]
fn a_saved_and_reloaded_system_still_knows_its_tokens() {
    let mut driver = edge();
    let body = "grant_type=password&username=ann%40example.com&password=s3cret";
    let (_, answer) = form(&mut driver, "/oauth/token", EDGECLI, body);
    driver.authorization = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    driver.apigee = Apigee::load(driver.apigee.world()).unwrap();
    assert_eq!(driver.get("/apiproducts").0, 200);
    let (_, second) = form(&mut driver, "/oauth/token", EDGECLI, body);
    assert_eq!(
        second["refresh_token"], answer["refresh_token"],
        "one for each caller"
    );

    driver.apigee.expire_tokens();
    assert_eq!(driver.get("/apiproducts").0, 401);
    for (refresh_token, expected) in [
        (answer["refresh_token"].as_str().unwrap(), 401),
        ("standing", 200),
    ] {
        let body = format!("grant_type=refresh_token&refresh_token={refresh_token}");
        assert_eq!(
            form(&mut driver, "/oauth/token", EDGECLI, &body).0,
            expected
        );
    }
}

#[test]
fn edge_refuses_wrong_clients_passwords_and_grants() {
    let good = "grant_type=password&username=ann%40example.com&password=s3cret";
    for (client, body, expected) in [
        (EDGECLI, good, 200),
        (
            EDGECLI,
            "grant_type=refresh_token&refresh_token=standing",
            200,
        ),
        ("Basic eDp5", good, 401),
        ("Bearer x", good, 401),
        (
            EDGECLI,
            "grant_type=password&username=ann%40example.com&password=wrong",
            401,
        ),
        (EDGECLI, "grant_type=refresh_token&refresh_token=wrong", 401),
        (EDGECLI, "grant_type=client_credentials", 400),
        (EDGECLI, "", 400),
    ] {
        let (status, answer) = form(&mut edge(), "/oauth/token", client, body);
        assert_eq!(status, expected, "{client} {body}");
        assert_eq!(answer["error"].is_string(), expected != 200);
    }
}

#[test]
fn who_may_call_edge() {
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    // (switches, authorization, method, status)
    let table = [
        (json!({}), basic("ann@example.com:s3cret"), "GET", 200),
        (json!({}), basic("ann@example.com:wrong"), "GET", 403),
        (
            json!({"badPasswordStatus": 401}),
            basic("ann@example.com:wrong"),
            "GET",
            401,
        ),
        (
            json!({"basicAuth": false}),
            basic("ann@example.com:s3cret"),
            "GET",
            401,
        ),
        (json!({}), "Bearer nosuch".to_owned(), "GET", 401),
        (json!({}), "Nonsense".to_owned(), "GET", 401),
        (json!({}), "Bearer reader".to_owned(), "GET", 200),
        (json!({}), "Bearer reader".to_owned(), "DELETE", 401),
    ];
    for (switches, authorization, method, expected) in table {
        let mut driver = edge();
        let mut world = driver.apigee.world();
        world["switches"] = switches.clone();
        driver = Driver {
            authorization: authorization.clone(),
            ..Driver::new(world)
        };
        let (status, answer) = driver.call(method, "/apiproducts/orders", &Value::Null);
        assert_eq!(
            status, expected,
            "{switches} {authorization} {method}: {answer}"
        );
    }
}

#[test]
fn a_service_account_is_let_in_by_the_form_of_its_assertion() {
    let mut driver = Driver::new(json!({"edition": "X"}));
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
        assertion(&claims())
    );
    let (status, answer) = form(&mut driver, "/token", "", &body);
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
    driver.authorization = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    assert_eq!(driver.get("/apiproducts").0, 200);
    driver.apigee.expire_tokens();
    let (status, error) = driver.get("/apiproducts");
    assert_eq!(
        (status, &error["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );

    driver.authorization = format!("Bearer {}", assertion(&claims()));
    assert_eq!(
        driver.get("/apiproducts").0,
        200,
        "a signed token is good without the exchange"
    );
    driver.authorization = "Bearer sandbox".to_owned();
    assert_eq!(
        driver.get("/apiproducts").0,
        200,
        "listed tokens do not end"
    );
}

#[test]
fn an_assertion_out_of_form_or_time_is_refused() {
    let with = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        assertion(&claims)
    };
    let named = json!({"edition": "X", "credentials": [{"serviceAccount": "cd@acme.iam.gserviceaccount.com"}]});
    for (world, token) in [
        (json!({"edition": "X"}), "a.b".to_owned()),
        (json!({"edition": "X"}), "a.b.c".to_owned()),
        (json!({"edition": "X"}), with("exp", json!(NOW))),
        (json!({"edition": "X"}), with("exp", json!(NOW + 86_400))),
        (json!({"edition": "X"}), with("iat", json!(NOW + 3000))),
        (json!({"edition": "X"}), with("iat", json!(i64::MIN))),
        (json!({"edition": "X"}), with("iss", Value::Null)),
        (named, assertion(&claims())),
    ] {
        let mut driver = Driver::new(world);
        let body =
            format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={token}");
        let (status, answer) = form(&mut driver, "/token", "", &body);
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("invalid_grant")),
            "{token}"
        );
        driver.authorization = format!("Bearer {token}");
        assert_eq!(driver.get("/apiproducts").0, 401);
    }
}

#[test]
fn a_machine_gets_its_own_token() {
    let mut driver = Driver::new(json!({"edition": "X"}));
    assert_eq!(driver.raw("GET", METADATA_TOKEN, &[], "").status, 403);
    let response = driver.raw("GET", METADATA_TOKEN, &[("metadata-flavor", "Google")], "");
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    driver.authorization = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    assert_eq!(driver.get("/apiproducts").0, 200);
}

#[test]
fn a_reader_is_refused_with_each_editions_status() {
    let mut driver = Driver::new(
        json!({"edition": "X", "credentials": [{"token": "sandbox", "readOnly": true}]}),
    );
    let (status, error) = driver.call("POST", "/apiproducts", &json!({"name": "p"}));
    assert_eq!(
        (status, &error["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
}
