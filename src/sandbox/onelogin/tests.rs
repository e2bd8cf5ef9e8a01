//! The calls of the vendor's pages, and what published clients send, against one small account.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::wire::{Emulated, Request, Response, UNROUTED};
use super::OneLogin;

const NOW: Timestamp = Timestamp::constant(1_627_574_451, 0);

/// An account under test, and the token to reach it with.
struct Desk {
    system: OneLogin,
    now: Timestamp,
    bearer: Option<String>,
}

fn account() -> Value {
    json!({
        "accountId": 62,
        "credentials": [{ "clientId": "id", "clientSecret": "secret" }],
        "authorizationServers": [
            {
                "id": 31415, "name": "Orders API", "audiences": ["https://api.acme.com/orders"],
                "scopes": [
                    { "id": 1, "value": "orders:read", "description": "Read orders" },
                    { "id": 2, "value": "orders:write" },
                    { "id": 3, "value": "openid", "description": "Sign in", "inherited": true },
                ],
                "clients": [{ "appId": 1_026_152, "scopes": [1, 2] }],
                "claims": [{ "id": 7, "name": "role", "user_attribute_mappings": "roles" }],
            },
            { "id": 31416, "name": "Billing", "description": "Bills", "audiences": ["b"], "scopes": [{ "id": 51, "value": "bills" }] },
        ],
        "apps": [
            { "id": 1_026_152, "name": "Shop" }, { "id": 1_026_153, "name": "Till" },
            { "id": 9, "name": "Old", "oidc": false },
        ],
    })
}

fn load(account: Value) -> OneLogin {
    OneLogin::load(serde_json::from_value(account).unwrap()).unwrap()
}

impl Desk {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(switches: Value) -> Self {
        let mut account = account();
        account["switches"] = switches;
        Self::of(account)
    }

    fn of(account: Value) -> Self {
        let mut desk = Self {
            system: load(account),
            now: NOW,
            bearer: None,
        };
        desk.sign_in();
        desk
    }

    fn sign_in(&mut self) {
        let token = self.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
        self.bearer = Some(format!(
            "Bearer {}",
            token.1["access_token"].as_str().unwrap_or_default()
        ));
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target.to_owned(), None),
        };
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        self.system.handle(&Request {
            method: method.parse::<Method>().unwrap(),
            path,
            query,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            now: self.now,
        })
    }

    fn token(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let response = self.send("POST", path, headers, body);
        assert!(response.token, "{path} is a token call");
        (response.status, read(&response))
    }

    fn call(&mut self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let bearer = self.bearer.clone().unwrap_or_default();
        let target = format!("/api/2/api_authorizations{target}");
        let headers = [
            (AUTHORIZATION.as_str(), bearer.as_str()),
            (CONTENT_TYPE.as_str(), "application/json"),
        ];
        let response = self.send(method, &target, &headers, body);
        (response.status, read(&response))
    }

    fn get(&mut self, target: &str) -> Value {
        let (status, body) = self.call("GET", target, "");
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    /// Sends a call and compares its status and the message of its error.
    fn refused(&mut self, method: &str, target: &str, body: &str, status: u16, message: &str) {
        let (actual, answer) = self.call(method, target, body);
        assert_eq!(
            (actual, answer["message"].as_str()),
            (status, Some(message)),
            "{method} {target} {body}"
        );
        assert_eq!(answer["statusCode"], status);
        assert!(answer["name"].as_str().unwrap().ends_with("Error"));
    }

    fn drift(&mut self, change: Value) -> Result<(), String> {
        self.system.drift(&change)
    }
}

fn read(response: &Response) -> Value {
    if response.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&response.body).unwrap_or_default()
    }
}

fn values(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item["value"].as_str().unwrap())
        .collect()
}

const BASIC: (&str, &str) = ("authorization", "Basic aWQ6c2VjcmV0");
const VENDOR: (&str, &str) = ("authorization", "client_id:id, client_secret:secret");
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const GRANT: &str = r#"{"grant_type":"client_credentials"}"#;
const TAKEN: &str = "Validation failed: Value has already been taken";
const UNKNOWN: &str = "The resource with the given id could not be found";

mod tokens {
    use super::*;

    #[test]
    fn every_form_of_credentials_gives_the_same_token() {
        let mut desk = Desk::new();
        let with_all =
            r#"{"grant_type":"client_credentials","client_id":"id","client_secret":"secret"}"#;
        let form = "grant_type=client_credentials&client_id=id&client_secret=secret";
        let mut tokens = Vec::new();
        for (headers, body) in [
            (vec![BASIC, JSON], GRANT),
            (vec![VENDOR, JSON], GRANT),
            (vec![BASIC, FORM], "grant_type=client_credentials"),
            (vec![JSON], with_all),
            (vec![FORM], form),
            (
                vec![BASIC, ("content-type", "application/json; charset=utf-8")],
                GRANT,
            ),
        ] {
            let (status, token) = desk.token("/auth/oauth2/v2/token", &headers, body);
            assert_eq!(status, 200, "{headers:?} {body}: {token}");
            tokens.push(token);
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        let members: Vec<_> = tokens[0].as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            [
                "access_token",
                "created_at",
                "expires_in",
                "refresh_token",
                "token_type",
                "account_id"
            ]
        );
        assert_eq!(
            (&tokens[0]["account_id"], &tokens[0]["token_type"]),
            (&json!(62), &json!("bearer"))
        );
    }

    #[test]
    fn a_token_keeps_its_creation_time_and_its_36000_seconds_until_it_expires() {
        let mut desk = Desk::new();
        let (_, first) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
        assert_eq!(first["created_at"], "2021-07-29T16:00:51.000Z");
        desk.now = NOW + SignedDuration::from_secs(35_999);
        let (_, late) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
        assert_eq!((&late, &late["expires_in"]), (&first, &json!(36_000)));
        assert_eq!(desk.call("GET", "", "").0, 200);
        desk.now = NOW + SignedDuration::from_secs(36_000);
        assert_eq!(desk.call("GET", "", "").0, 401);
        let (_, next) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
        assert_ne!(next["access_token"], first["access_token"]);
        assert_eq!(next["created_at"], "2021-07-30T02:00:51.000Z");
    }

    #[test]
    fn a_token_call_without_what_it_needs_is_answered_in_the_shape_of_auth() {
        let mut desk = Desk::new();
        let wrong = ("authorization", "Basic aWQ6d3Jvbmc=");
        let content_type = "Content Type is not specified or specified incorrectly. \
                            Content-Type header must be set to application/json";
        for (headers, body, status, kind, message) in [
            (
                vec![BASIC, JSON],
                r#"{"grant_type":"password"}"#,
                400,
                "bad request",
                "grant_type is incorrect. grant_type must be client_credentials",
            ),
            (
                vec![BASIC, JSON],
                "[",
                400,
                "bad request",
                "grant_type is incorrect. grant_type must be client_credentials",
            ),
            (vec![BASIC], GRANT, 400, "bad request", content_type),
            (
                vec![BASIC, ("content-type", "text/plain")],
                GRANT,
                400,
                "bad request",
                content_type,
            ),
            (
                vec![JSON],
                GRANT,
                400,
                "bad request",
                "The authorization information is missing",
            ),
            (
                vec![wrong, JSON],
                GRANT,
                401,
                "Unauthorized",
                "Authentication Failure",
            ),
        ] {
            let answer = desk.token("/auth/oauth2/v2/token", &headers, body);
            let expected = json!({ "status": { "error": true, "code": status, "type": kind, "message": message } });
            assert_eq!(answer, (status, expected), "{headers:?} {body}");
        }
        let response = desk.send("GET", "/auth/oauth2/v2/token", &[BASIC], "");
        assert_eq!(
            (response.status, &read(&response)["status"]["message"]),
            (404, &json!("No Route Exists"))
        );
    }

    #[test]
    fn the_first_version_wraps_its_answer_and_ends_the_token_before() {
        let mut desk = Desk::new();
        let (status, wrapped) = desk.token("/auth/oauth2/token", &[VENDOR, JSON], GRANT);
        assert_eq!(status, 200);
        assert_eq!(
            wrapped["status"],
            json!({ "error": false, "code": 200, "type": "success", "message": "Success" })
        );
        assert_eq!(wrapped["data"][0]["expires_in"], 36_000);
        assert_eq!(
            desk.call("GET", "", "").0,
            401,
            "the token of before is dead"
        );

        let mut desk = Desk::with(json!({ "v1TokenReplaces": false }));
        desk.token("/auth/oauth2/token", &[VENDOR, JSON], GRANT);
        assert_eq!(desk.call("GET", "", "").0, 200);
    }

    #[test]
    fn a_revoked_token_is_dead_and_the_next_is_another() {
        let mut desk = Desk::new();
        let token = desk.bearer.clone().unwrap().split_off("Bearer ".len());
        let body = json!({ "access_token": token }).to_string();
        assert_eq!(desk.token("/auth/oauth2/revoke", &[JSON], &body).0, 400);
        let (status, answer) = desk.token("/auth/oauth2/revoke", &[VENDOR, JSON], &body);
        assert_eq!(
            (status, &answer["status"]["message"]),
            (200, &json!("Success"))
        );
        assert_eq!(desk.call("GET", "", "").0, 401);
        desk.sign_in();
        assert_ne!(desk.bearer.clone().unwrap(), format!("Bearer {token}"));
        assert_eq!(desk.call("GET", "", "").0, 200);
    }

    #[test]
    fn the_second_version_of_the_api_takes_a_bearer_with_a_space_only() {
        let mut desk = Desk::new();
        let token = desk.bearer.clone().unwrap().split_off("Bearer ".len());
        for (header, status) in [
            (format!("bearer {token}"), 200),
            (format!("Bearer {token}"), 200),
            (format!("bearer:{token}"), 401),
            (format!("bearer: {token}"), 401),
            ("bearer 0".to_owned(), 401),
            (token.clone(), 401),
            ("bearer".to_owned(), 401),
            (BASIC.1.to_owned(), 401),
        ] {
            let response = desk.send(
                "GET",
                "/api/2/api_authorizations",
                &[("authorization", &header)],
                "",
            );
            assert_eq!(response.status, status, "{header}");
            if status == 401 {
                assert_eq!(
                    response.body,
                    r#"{"message":"Unauthorized","name":"UnauthorizedError","statusCode":401}"#
                );
            }
        }
        let colon = format!("bearer:{token}");
        let limit = desk.send("GET", "/auth/rate_limit", &[("authorization", &colon)], "");
        assert_eq!(
            read(&limit)["data"],
            json!({ "X-RateLimit-Limit": 5000, "X-RateLimit-Remaining": 5000, "X-RateLimit-Reset": 3600 })
        );
        assert!(!limit.token);
    }

    #[test]
    fn a_credential_may_do_what_its_access_says() {
        for (access, switches, on_read, on_write) in [
            ("manageAll", json!({}), 200, 200),
            ("readAll", json!({}), 200, 401),
            (
                "readAll",
                json!({ "readAllReads": false, "insufficientAccessStatus": 403 }),
                403,
                403,
            ),
            ("manageUsers", json!({}), 401, 401),
        ] {
            let mut account = account();
            account["credentials"][0]["access"] = json!(access);
            account["switches"] = switches;
            let mut desk = Desk::of(account);
            assert_eq!(desk.call("GET", "/31415/scopes", "").0, on_read, "{access}");
            assert_eq!(
                desk.call("POST", "/31415/scopes", r#"{"value":"x"}"#).0,
                on_write,
                "{access}"
            );
        }
    }

    #[test]
    fn a_credential_whose_user_is_gone_breaks_every_call() {
        let mut desk = Desk::new();
        desk.system.account.credentials[0].owner_deleted = true;
        assert_eq!(desk.call("GET", "", "").0, 500);
        assert_eq!(
            desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT).0,
            500
        );
    }

    #[test]
    fn the_hourly_limit_counts_and_shows_only_where_asked_to() {
        let mut desk = Desk::new();
        let bearer = desk.bearer.clone().unwrap();
        let response = desk.send(
            "GET",
            "/api/2/api_authorizations",
            &[("authorization", &bearer)],
            "",
        );
        assert!(
            response
                .headers
                .keys()
                .all(|name| !name.as_str().starts_with("x-ratelimit"))
        );
        assert!(response.headers.contains_key("x-request-id"));

        let counts =
            json!({ "rateLimitCountsV2": true, "rateLimitPerHour": 2, "rateLimitHeaders": true });
        let mut desk = Desk::with(counts);
        let bearer = desk.bearer.clone().unwrap();
        let mut left = Vec::new();
        for _ in 0..3 {
            let response = desk.send(
                "GET",
                "/api/2/api_authorizations",
                &[("authorization", &bearer)],
                "",
            );
            left.push((
                response.status,
                response.headers["x-ratelimit-remaining"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            ));
        }
        assert_eq!(
            left,
            [
                (200, "1".to_owned()),
                (200, "0".to_owned()),
                (429, "0".to_owned())
            ]
        );
        desk.now = NOW + SignedDuration::from_hours(1);
        assert_eq!(desk.call("GET", "", "").0, 200);
    }
}

mod servers {
    use super::*;

    #[test]
    fn a_server_is_listed_and_shown_in_the_documented_form() {
        let mut desk = Desk::new();
        let expected = json!({
            "id": 31415, "name": "Orders API", "description": null,
            "configuration": {
                "resource_identifier": "https://api.acme.com/orders", "audiences": ["https://api.acme.com/orders"],
            },
            "onelogin": false,
        });
        assert_eq!(desk.get("/31415"), expected);
        assert_eq!(desk.get("")[0], expected);
        assert_eq!(desk.get("").as_array().unwrap().len(), 2);
        assert_eq!(desk.get("?name=bill")[0]["id"], 31416);
        assert_eq!(desk.get("?name=Orders*")[0]["id"], 31415);
        assert_eq!(desk.get("?name=nothing"), json!([]));
    }

    #[test]
    fn a_server_is_made_changed_and_removed() {
        let mut desk = Desk::new();
        let body = json!({
            "name": "Contacts API", "description": "Contacts", "connector_id": 1,
            "configuration": {
                "resource_identifier": "https://example.com/contacts", "audiences": ["https://example.com/contacts"],
                "access_token_expiration_minutes": 10, "refresh_token_expiration_minutes": 30, "unheard_of": 1,
            },
            "scopes": [{ "value": "read", "description": "Read" }],
            "claims": [{ "name": "role", "user_attribute_mappings": "_macro_", "user_attribute_macros": "{x}" }],
        });
        let (status, made) = desk.call("POST", "", &body.to_string());
        assert_eq!((status, made), (201, json!({ "id": 1_026_154 })));
        let shown = desk.get("/1026154");
        let configuration: Vec<_> = shown["configuration"].as_object().unwrap().keys().collect();
        assert_eq!(
            configuration,
            [
                "resource_identifier",
                "audiences",
                "access_token_expiration_minutes",
                "refresh_token_expiration_minutes",
            ]
        );
        assert_eq!(desk.get("").as_array().unwrap().len(), 3);
        let listed = desk.get("?name=Contacts");
        assert_eq!(
            listed[0]["configuration"].as_object().unwrap().len(),
            2,
            "lists show no minutes: {listed}"
        );
        assert_eq!(values(&desk.get("/1026154/scopes")), ["read"]);
        assert_eq!(
            desk.get("/1026154/claims")[0]["user_attribute_macros"],
            "{x}"
        );

        let put = json!({
            "id": 1_026_154, "name": "Contacts", "configuration": { "resource_identifier": "c", "audiences": ["c"] },
        });
        assert_eq!(
            desk.call("PUT", "/1026154", &put.to_string()),
            (200, json!({ "id": 1_026_154 }))
        );
        let shown = desk.get("/1026154");
        assert_eq!(
            (&shown["name"], &shown["description"]),
            (&json!("Contacts"), &Value::Null)
        );
        assert!(
            shown["configuration"]
                .get("access_token_expiration_minutes")
                .is_none(),
            "a PUT replaces"
        );
        assert_eq!(values(&desk.get("/1026154/scopes")), ["read"]);

        assert_eq!(desk.call("DELETE", "/1026154", ""), (204, Value::Null));
        desk.refused("GET", "/1026154", "", 404, UNKNOWN);
        desk.refused("DELETE", "/1026154", "", 404, UNKNOWN);
    }

    #[test]
    fn a_server_that_would_not_be_valid_is_refused_in_the_documented_words() {
        let mut desk = Desk::new();
        let blank =
            "Validation failed: Resource identifier can't be blank, Audiences can't be blank";
        desk.refused("POST", "", r#"{"name":"x"}"#, 422, blank);
        desk.refused(
            "POST",
            "",
            r#"{"name":"x","resource_identifier":"y","audience":"z"}"#,
            422,
            blank,
        );
        desk.refused("PUT", "/31415", r#"{"name":"x"}"#, 422, blank);
        let taken = r#"{"name":"x","configuration":{"resource_identifier":"b","audiences":["b"]}}"#;
        desk.refused(
            "POST",
            "",
            taken,
            422,
            "Validation failed: Resource identifier has already been taken",
        );
        for (method, target) in [("POST", ""), ("PUT", "/31415")] {
            let (status, answer) = desk.call(method, target, "{}");
            let expected = json!({
                "field": "name", "message": "Missing required field", "name": "BadRequestError", "statusCode": 400,
            });
            assert_eq!((status, answer), (400, expected));
        }
        desk.refused(
            "POST",
            "",
            r#"{"name":1}"#,
            422,
            "instance.name is not of a type(s) string",
        );
        let twice = json!({
            "name": "x", "configuration": { "resource_identifier": "n", "audiences": ["n"] },
            "scopes": [{ "value": "a" }, { "value": "a" }],
        });
        desk.refused("POST", "", &twice.to_string(), 422, TAKEN);
        assert_eq!(desk.get("").as_array().unwrap().len(), 2);
    }

    #[test]
    fn switches_change_what_a_put_and_a_list_do() {
        let mut desk = Desk::with(json!({
            "serverPut": "merge", "defaultExpirationMinutes": 60, "expirationMinutesInList": true,
            "newerFields": false, "serverListLimit": 1, "listOrder": "newestFirst",
        }));
        assert_eq!(desk.call("PUT", "/31416", r#"{"name":"Bills"}"#).0, 200);
        let list = desk.get("");
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(
            list[0],
            json!({
                "id": 31416, "name": "Bills", "description": "Bills",
                "configuration": {
                    "resource_identifier": "b", "audiences": ["b"],
                    "access_token_expiration_minutes": 60, "refresh_token_expiration_minutes": 60,
                },
            })
        );
    }

    #[test]
    fn pagination_arguments_do_nothing_unless_they_are_to_be_refused() {
        let mut desk = Desk::new();
        assert_eq!(
            desk.get("?limit=1&page=2&cursor=x")
                .as_array()
                .unwrap()
                .len(),
            2
        );
        let mut desk = Desk::with(json!({ "mixedPagination": "refuse" }));
        let (status, answer) = desk.call("GET", "?limit=1&cursor=x", "");
        let expected = json!({
            "status": 400, "error": "BadRequestError",
            "description": "Requests can only have cursor xor pagination arguments",
        });
        assert_eq!((status, answer), (400, expected));
    }
}

mod scopes {
    use super::*;

    #[test]
    fn the_list_shows_every_scope_with_its_number_and_where_it_is_from() {
        let mut desk = Desk::new();
        assert_eq!(
            desk.get("/31415/scopes"),
            json!([
                { "id": 1, "value": "orders:read", "description": "Read orders", "inherited": false },
                { "id": 2, "value": "orders:write", "description": null, "inherited": false },
                { "id": 3, "value": "openid", "description": "Sign in", "inherited": true },
            ])
        );
    }

    #[test]
    fn a_write_answers_with_the_number_alone() {
        let mut desk = Desk::new();
        let body = r#"{"value":"custom:scope","description":"A custom scope"}"#;
        assert_eq!(
            desk.call("POST", "/31415/scopes", body),
            (200, json!({ "id": 52 }))
        );
        let body = r#"{"value":"custom:renamed","description":"Renamed"}"#;
        assert_eq!(
            desk.call("PUT", "/31415/scopes/52", body),
            (200, json!({ "id": 52 }))
        );
        assert_eq!(desk.get("/31415/scopes")[3]["value"], "custom:renamed");
        assert_eq!(
            desk.call("DELETE", "/31415/scopes/52", ""),
            (204, Value::Null)
        );
        desk.refused("DELETE", "/31415/scopes/52", "", 404, UNKNOWN);
        assert_eq!(
            desk.call("POST", "/31415/scopes", body).1["id"],
            53,
            "a number is not given again"
        );
    }

    #[test]
    fn what_published_clients_send_besides_is_let_through_or_refused_by_a_switch() {
        let post = r#"{"value":"a","description":"b","auth_server_id":31415}"#;
        let put = r#"{"id":1,"auth_server_id":31415,"value":"orders:read","description":"b"}"#;
        let mut desk = Desk::new();
        assert_eq!(desk.call("POST", "/31415/scopes", post).0, 200);
        assert_eq!(desk.call("PUT", "/31415/scopes/1", put).0, 200);
        let mut desk = Desk::with(json!({ "extraFields": "refuse" }));
        let not_allowed =
            r#"instance is not allowed to have the additional property "auth_server_id""#;
        desk.refused("POST", "/31415/scopes", post, 422, not_allowed);
        let not_allowed = r#"instance is not allowed to have the additional property "id""#;
        desk.refused("PUT", "/31415/scopes/1", put, 422, not_allowed);
    }

    #[test]
    fn a_value_that_is_taken_or_unfit_is_refused() {
        let mut desk = Desk::new();
        desk.refused(
            "POST",
            "/31415/scopes",
            r#"{"value":"orders:read"}"#,
            422,
            TAKEN,
        );
        desk.refused(
            "PUT",
            "/31415/scopes/2",
            r#"{"value":"orders:read"}"#,
            422,
            TAKEN,
        );
        desk.refused(
            "POST",
            "/31415/scopes",
            r#"{"description":"x"}"#,
            400,
            "Missing required field",
        );
        desk.refused(
            "POST",
            "/31415/scopes",
            r#"{"value":""}"#,
            422,
            "Validation failed: Value can't be blank",
        );
        desk.refused(
            "POST",
            "/31415/scopes",
            r#"{"value":"a b"}"#,
            422,
            "Validation failed: Value is invalid",
        );
        desk.refused(
            "POST",
            "/31415/scopes",
            r#"{"value":7}"#,
            422,
            "instance.value is not of a type(s) string",
        );
        let long = json!({ "value": "x".repeat(256) }).to_string();
        let too_long = "Validation failed: Value is too long (maximum is 255 characters)";
        desk.refused("POST", "/31415/scopes", &long, 422, too_long);
        for accepted in [
            r#"{"value":"bills"}"#,
            r#"{"value":"ORDERS:READ"}"#,
            r#"{"value":"a\"b"}"#,
        ] {
            assert_eq!(
                desk.call("POST", "/31415/scopes", accepted).0,
                200,
                "{accepted}"
            );
        }
    }

    #[test]
    fn switches_decide_where_a_value_is_unique_and_what_it_may_hold() {
        for (switches, value, status) in [
            (json!({ "scopeUniqueness": "account" }), "bills", 422),
            (json!({ "scopeUniqueness": "none" }), "orders:read", 200),
            (json!({ "scopeCase": "insensitive" }), "Orders:Read", 422),
            (json!({ "scopeCharacters": "any" }), "a b", 200),
            (json!({ "scopeCharacters": "scopeToken" }), "a\"b", 422),
            (json!({ "scopeCharacters": "scopeToken" }), "a:b/c", 200),
            (
                json!({ "maxScopeLength": null }),
                "x".repeat(300).as_str(),
                200,
            ),
            (json!({ "descriptionRequired": true }), "x", 400),
            (json!({ "createScopeStatus": 201 }), "x", 201),
        ] {
            let mut desk = Desk::with(switches.clone());
            let (actual, answer) = desk.call(
                "POST",
                "/31415/scopes",
                &json!({ "value": value }).to_string(),
            );
            assert_eq!(actual, status, "{switches} {value}: {answer}");
        }
    }

    #[test]
    fn a_put_without_a_field_follows_the_switch() {
        for (switch, body, status, shown) in [
            (
                "keepAbsent",
                r#"{"description":"New"}"#,
                200,
                json!(["orders:read", "New"]),
            ),
            (
                "keepAbsent",
                r#"{"value":"a"}"#,
                200,
                json!(["a", "Read orders"]),
            ),
            (
                "keepAbsent",
                r#"{"value":"a","description":null}"#,
                200,
                json!(["a", null]),
            ),
            ("clearAbsent", r#"{"value":"a"}"#, 200, json!(["a", null])),
            (
                "clearAbsent",
                r#"{"description":"New"}"#,
                400,
                json!(["orders:read", "Read orders"]),
            ),
            (
                "refuseAbsent",
                r#"{"value":"a"}"#,
                400,
                json!(["orders:read", "Read orders"]),
            ),
        ] {
            let mut desk = Desk::with(json!({ "scopePut": switch }));
            assert_eq!(
                desk.call("PUT", "/31415/scopes/1", body).0,
                status,
                "{switch} {body}"
            );
            let scope = &desk.get("/31415/scopes")[0];
            assert_eq!(
                json!([scope["value"], scope["description"]]),
                shown,
                "{switch} {body}"
            );
        }
    }

    #[test]
    fn a_swap_of_two_values_needs_a_third() {
        let mut desk = Desk::new();
        desk.refused(
            "PUT",
            "/31415/scopes/1",
            r#"{"value":"orders:write"}"#,
            422,
            TAKEN,
        );
        for (id, value) in [(1, "between"), (2, "orders:read"), (1, "orders:write")] {
            let body = json!({ "value": value }).to_string();
            assert_eq!(
                desk.call("PUT", &format!("/31415/scopes/{id}"), &body).0,
                200
            );
        }
        assert_eq!(
            values(&desk.get("/31415/scopes")),
            ["orders:write", "orders:read", "openid"]
        );
    }

    #[test]
    fn a_rename_keeps_grants_and_a_delete_takes_them_away() {
        let mut desk = Desk::new();
        let granted = |desk: &mut Desk| desk.get("/31415/clients")[0]["scopes"].clone();
        assert_eq!(
            desk.call("PUT", "/31415/scopes/1", r#"{"value":"orders:see"}"#)
                .0,
            200
        );
        assert_eq!(values(&granted(&mut desk)), ["orders:see", "orders:write"]);
        assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 204);
        assert_eq!(values(&granted(&mut desk)), ["orders:write"]);

        let mut desk = Desk::with(json!({ "deleteGrantedScope": "refuse" }));
        assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 422);
        assert_eq!(values(&granted(&mut desk)), ["orders:read", "orders:write"]);
        assert_eq!(
            desk.call("PUT", "/31415/clients/1026152", r#"{"scopes":[2]}"#)
                .0,
            200
        );
        assert_eq!(desk.call("DELETE", "/31415/scopes/1", "").0, 204);
    }

    #[test]
    fn an_inherited_scope_is_changed_only_where_a_switch_lets_it() {
        let mut desk = Desk::new();
        assert_eq!(
            desk.call("PUT", "/31415/scopes/3", r#"{"value":"x"}"#).0,
            422
        );
        assert_eq!(desk.call("DELETE", "/31415/scopes/3", "").0, 422);
        let mut desk = Desk::with(json!({ "inheritedScopeWrites": "accept" }));
        assert_eq!(
            desk.call("PUT", "/31415/scopes/3", r#"{"value":"x"}"#).0,
            200
        );
        assert_eq!(desk.call("DELETE", "/31415/scopes/3", "").0, 204);
    }

    #[test]
    fn what_is_no_route_or_no_record_is_not_found() {
        let mut desk = Desk::new();
        for (method, target, message) in [
            ("GET", "/scopes", UNKNOWN),
            ("GET", "/99/scopes", UNKNOWN),
            ("POST", "/99/scopes", UNKNOWN),
            ("PUT", "/31416/scopes/1", UNKNOWN),
            ("DELETE", "/31415/scopes/orders:read", UNKNOWN),
            ("GET", "/31415/scopes/1", "No Route Exists"),
            ("PATCH", "/31415/scopes/1", "No Route Exists"),
            ("GET", "/31415/rules", "No Route Exists"),
            ("DELETE", "/31415/scopes", "No Route Exists"),
        ] {
            desk.refused(method, target, r#"{"value":"x"}"#, 404, message);
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_answered_by_the_framework() {
        for body in ["{", "[]", "7", "\"x\"", &"[".repeat(100_000)] {
            let mut desk = Desk::new();
            let bearer = desk.bearer.clone().unwrap();
            let headers = [("authorization", bearer.as_str()), JSON];
            let response = desk.send(
                "POST",
                "/api/2/api_authorizations/31415/scopes",
                &headers,
                body,
            );
            assert_eq!(response.status, 400);
            assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
            let mut desk = Desk::with(json!({ "malformedJson": "json" }));
            desk.refused("POST", "/31415/scopes", body, 400, "Bad Request");
        }
    }

    #[test]
    fn lists_can_be_cut_and_turned_around() {
        let mut desk = Desk::with(json!({ "scopeListLimit": 2, "listOrder": "newestFirst" }));
        assert_eq!(
            values(&desk.get("/31415/scopes")),
            ["openid", "orders:write"]
        );
    }

    #[test]
    fn calls_are_counted_under_their_route() {
        let mut desk = Desk::new();
        for (method, path, route) in [
            (
                "GET",
                "/api/2/api_authorizations/1/scopes",
                "/api/2/api_authorizations/{id}/scopes",
            ),
            (
                "PUT",
                "/api/2/api_authorizations/1/clients/2/",
                "/api/2/api_authorizations/{id}/clients/{app_id}",
            ),
            (
                "GET",
                "/api/2/api_authorizations",
                "/api/2/api_authorizations",
            ),
            ("GET", "/api/2/users", UNROUTED),
            ("POST", "/auth/oauth2/token", "/auth/oauth2/token"),
            ("POST", "/auth/oauth2/v2/other", UNROUTED),
        ] {
            assert_eq!(desk.send(method, path, &[], "").route, route, "{path}");
            assert!(desk.system.serves(path));
        }
        assert!(
            !desk
                .system
                .serves("/api/auth/scope-registration/v1.0/scopes")
        );
    }
}

mod clients {
    use super::*;

    #[test]
    fn a_client_is_listed_with_its_scopes_whole() {
        let mut desk = Desk::new();
        assert_eq!(
            desk.get("/31415/clients"),
            json!([{ "app_id": 1_026_152, "api_auth_id": 31415, "name": "Shop", "scopes": [
                { "id": 1, "value": "orders:read", "description": "Read orders", "inherited": false },
                { "id": 2, "value": "orders:write", "description": null, "inherited": false },
            ]}])
        );
        assert_eq!(desk.get("/31416/clients"), json!([]));
    }

    #[test]
    fn a_client_is_attached_changed_and_detached() {
        let mut desk = Desk::new();
        let both = json!({ "app_id": 1_026_153, "api_auth_id": 31415 });
        let body = r#"{"app_id":1026153,"api_auth_id":31415,"scopes":[1,1]}"#;
        assert_eq!(
            desk.call("POST", "/31415/clients", body),
            (201, both.clone())
        );
        assert_eq!(
            desk.call("PUT", "/31415/clients/1026153", r#"{"scopes":[2,3]}"#),
            (200, both.clone())
        );
        assert_eq!(
            values(&desk.get("/31415/clients")[1]["scopes"]),
            ["orders:write", "openid"]
        );
        assert_eq!(
            desk.call("PUT", "/31415/clients/1026153", "{}"),
            (200, both)
        );
        assert_eq!(desk.get("/31415/clients")[1]["scopes"], json!([]));
        assert_eq!(
            desk.call("DELETE", "/31415/clients/1026153", ""),
            (204, Value::Null)
        );
        desk.refused("DELETE", "/31415/clients/1026153", "", 404, UNKNOWN);
        desk.refused(
            "PUT",
            "/31415/clients/1026153",
            r#"{"scopes":[]}"#,
            404,
            UNKNOWN,
        );
    }

    #[test]
    fn a_client_call_of_the_wrong_shape_is_refused_in_the_recorded_words() {
        let mut desk = Desk::new();
        desk.refused(
            "POST",
            "/31415/clients",
            r#"{"id":1026153}"#,
            400,
            "Missing required field: app_id",
        );
        let foreign =
            "Validation failed: Scopes 51 does not belong to the specified ApiAuthorizationApp";
        desk.refused(
            "POST",
            "/31415/clients",
            r#"{"app_id":1026153,"scopes":[51]}"#,
            422,
            foreign,
        );
        desk.refused(
            "PUT",
            "/31415/clients/1026152",
            r#"{"scopes":[1,51]}"#,
            422,
            foreign,
        );
        let alone = r#"instance is not allowed to have the additional property "app_id""#;
        desk.refused(
            "PUT",
            "/31415/clients/1026152",
            r#"{"app_id":1026152,"scopes":[1]}"#,
            422,
            alone,
        );
        let strings = "instance.scopes[0] is not of a type(s) integer";
        desk.refused(
            "PUT",
            "/31415/clients/1026152",
            r#"{"scopes":["1"]}"#,
            422,
            strings,
        );
        for no_oidc_app in [1, 9, 31416] {
            let body = json!({ "app_id": no_oidc_app, "scopes": [1] }).to_string();
            desk.refused("POST", "/31415/clients", &body, 404, UNKNOWN);
        }
        let again = "Validation failed: App has already been taken";
        desk.refused(
            "POST",
            "/31415/clients",
            r#"{"app_id":1026152,"scopes":[1]}"#,
            422,
            again,
        );
        assert_eq!(
            values(&desk.get("/31415/clients")[0]["scopes"]),
            ["orders:read", "orders:write"]
        );
    }

    #[test]
    fn switches_decide_what_an_empty_or_absent_grant_does() {
        for (switches, body, status, held) in [
            (json!({}), r#"{"scopes":[]}"#, 200, 0),
            (json!({}), "{}", 200, 0),
            (
                json!({ "emptyGrant": "refuse" }),
                r#"{"scopes":[]}"#,
                422,
                2,
            ),
            (json!({ "emptyGrant": "refuse" }), "{}", 422, 2),
            (json!({ "absentGrant": "keep" }), "{}", 200, 2),
            (json!({ "absentGrant": "refuse" }), "{}", 400, 2),
            (
                json!({ "clientPutExtraFields": "accept" }),
                r#"{"app_id":1,"scopes":[1]}"#,
                200,
                1,
            ),
        ] {
            let mut desk = Desk::with(switches.clone());
            let (actual, answer) = desk.call("PUT", "/31415/clients/1026152", body);
            assert_eq!(actual, status, "{switches} {body}: {answer}");
            let scopes = desk.get("/31415/clients")[0]["scopes"]
                .as_array()
                .unwrap()
                .len();
            assert_eq!(scopes, held, "{switches} {body}");
        }
        let mut desk = Desk::with(json!({ "attachTwice": "replace" }));
        assert_eq!(
            desk.call(
                "POST",
                "/31415/clients",
                r#"{"app_id":1026152,"scopes":[2]}"#
            )
            .0,
            201
        );
        assert_eq!(
            values(&desk.get("/31415/clients")[0]["scopes"]),
            ["orders:write"]
        );
    }
}

mod claims {
    use super::*;

    #[test]
    fn a_claim_is_listed_with_every_member() {
        let mut desk = Desk::new();
        let list = desk.get("/31415/claims");
        let expected = json!({
            "id": 7, "name": "role", "label": "role", "user_attribute_mappings": "roles",
            "user_attribute_macros": null, "attributes_transformations": null, "skip_if_blank": null, "values": null,
            "default_values": null, "provisioned_entitlements": null, "safe_entitlements_enabled": null,
            "inherited": false,
        });
        assert_eq!(list, json!([expected]));
        assert_eq!(
            list[0].as_object().unwrap().keys().collect::<Vec<_>>(),
            expected.as_object().unwrap().keys().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_claim_is_made_changed_and_removed() {
        let mut desk = Desk::new();
        let body = r#"{"name":"email","user_attribute_mappings":"email","values":["a"],"auth_server_id":1}"#;
        assert_eq!(
            desk.call("POST", "/31415/claims", body),
            (200, json!({ "id": 8 }))
        );
        desk.refused(
            "POST",
            "/31415/claims",
            body,
            422,
            "Validation failed: Name has already been taken",
        );
        desk.refused(
            "PUT",
            "/31415/claims/7",
            body,
            422,
            "Validation failed: Name has already been taken",
        );
        desk.refused("POST", "/31415/claims", "{}", 400, "Missing required field");
        let put = r#"{"attributes_transformations":"semicolon_separated_list"}"#;
        assert_eq!(
            desk.call("PUT", "/31415/claims/8", put),
            (200, json!({ "id": 8 }))
        );
        let claim = desk.get("/31415/claims")[1].clone();
        assert_eq!(
            (&claim["values"], &claim["user_attribute_mappings"]),
            (&json!(["a"]), &json!("email"))
        );
        assert_eq!(
            claim["attributes_transformations"],
            "semicolon_separated_list"
        );
        assert_eq!(
            desk.call("DELETE", "/31415/claims/8", ""),
            (204, Value::Null)
        );
        desk.refused("DELETE", "/31415/claims/8", "", 404, UNKNOWN);
        let mut desk = Desk::with(json!({ "claimPut": "nameRequired" }));
        desk.refused("PUT", "/31415/claims/7", put, 400, "Missing required field");
    }
}

mod worlds {
    use super::*;

    #[test]
    fn an_account_is_saved_and_loaded_without_loss() {
        let mut desk = Desk::with(json!({ "scopeCase": "insensitive" }));
        assert_eq!(
            desk.call("POST", "/31415/scopes", r#"{"value":"new"}"#).0,
            200
        );
        assert_eq!(desk.call("DELETE", "/31415/scopes/52", "").0, 204);
        let saved = desk.system.world();
        desk.system = load(saved.clone());
        assert_eq!(desk.system.world(), saved);
        assert_eq!(desk.call("GET", "", "").0, 200, "the token lives on");
        assert_eq!(
            desk.call("POST", "/31415/scopes", r#"{"value":"new"}"#).1["id"],
            53
        );
        assert_eq!(
            desk.call("POST", "/31415/scopes", r#"{"value":"NEW"}"#).0,
            422
        );
    }

    #[test]
    fn an_account_of_which_nothing_is_said_can_be_signed_in_to() {
        let mut system = Desk {
            system: load(json!({})),
            now: NOW,
            bearer: None,
        };
        let sandbox = ("authorization", "Basic c2FuZGJveDpzYW5kYm94");
        assert_eq!(
            system
                .token("/auth/oauth2/v2/token", &[sandbox, JSON], GRANT)
                .0,
            200
        );
    }

    #[test]
    fn ids_may_be_left_out_and_scopes_named_by_value() {
        let system = load(json!({
            "authorizationServers": [
                { "name": "A", "scopes": [{ "value": "x" }, { "id": 2, "value": "y" }],
                  "clients": [{ "appId": 5, "name": "Shop", "scopes": ["x", 2] }] },
            ],
        }));
        let world = system.world();
        let server = &world["authorizationServers"][0];
        assert_eq!(
            (&server["id"], &server["scopes"][1]["id"]),
            (&json!(6), &json!(3))
        );
        assert_eq!(
            server["clients"][0],
            json!({ "appId": 5, "name": "Shop", "scopes": [2, 3] })
        );
        assert_eq!(world["apps"], json!([{ "id": 5, "name": "Shop" }]));
    }

    #[test]
    fn an_account_that_contradicts_itself_is_refused() {
        for (account, reason) in [
            (
                json!({ "apps": [{ "id": 1, "name": "a" }, { "id": 1, "name": "b" }] }),
                "two apps or servers have the id 1",
            ),
            (
                json!({ "apps": [{ "id": 1, "name": "a" }], "authorizationServers": [{ "id": 1, "name": "b" }] }),
                "the id 1",
            ),
            (
                json!({ "authorizationServers": [{ "name": "b", "scopes": [{ "value": "x" }, { "value": "x" }] }] }),
                "\"x\"",
            ),
            (
                json!({ "authorizationServers": [{ "name": "b", "scopes": [{ "id": 1, "value": "x" }, { "id": 1, "value": "y" }] }] }),
                "the id 1",
            ),
            (
                json!({ "authorizationServers": [
                { "name": "a", "scopes": [{ "id": 1, "value": "x" }] }, { "name": "b", "scopes": [{ "id": 1, "value": "x" }] },
            ] }),
                "two scopes have the id 1",
            ),
            (
                json!({ "authorizationServers": [{ "name": "b", "clients": [{ "appId": 1, "scopes": [9] }] }] }),
                "the id 9",
            ),
            (
                json!({ "authorizationServers": [{ "id": 1, "name": "b", "clients": [{ "appId": 1 }] }] }),
                "its own client",
            ),
            (
                json!({ "authorizationServers": [{ "name": "b", "claims": [{ "name": "c", "vlaues": 1 }] }] }),
                "vlaues",
            ),
            (
                json!({ "credentials": [{ "clientId": "a", "clientSecret": "b" }, { "clientId": "a", "clientSecret": "c" }] }),
                "\"a\"",
            ),
            (
                json!({ "switches": { "createScopeStatus": 204 } }),
                "createScopeStatus",
            ),
            (
                json!({ "switches": { "insufficientAccessStatus": 404 } }),
                "insufficientAccessStatus",
            ),
        ] {
            let error =
                OneLogin::load(serde_json::from_value(account.clone()).unwrap()).unwrap_err();
            assert!(error.contains(reason), "{account}: {error}");
        }
    }

    #[test]
    fn tokens_can_be_forgotten_all_at_once() {
        let mut desk = Desk::new();
        desk.system.expire_tokens();
        assert_eq!(desk.call("GET", "", "").0, 401);
        let dead = desk.bearer.clone();
        desk.sign_in();
        assert_ne!(desk.bearer, dead);
    }
}

mod drifts {
    use super::*;

    #[test]
    fn scopes_change_behind_the_back() {
        let mut desk = Desk::new();
        for change in [
            json!({ "server": 31415, "addScope": { "value": "new", "description": "New" } }),
            json!({ "server": 31415, "updateScope": { "value": "orders:write", "description": "Write" } }),
            json!({ "server": 31415, "renameScope": { "from": "new", "to": "newer" } }),
            json!({ "server": 31415, "updateScope": { "id": 3, "newValue": "profile", "inherited": false } }),
            json!({ "server": 31415, "deleteScope": "orders:read" }),
        ] {
            desk.drift(change).unwrap();
        }
        assert_eq!(
            desk.get("/31415/scopes"),
            json!([
                { "id": 2, "value": "orders:write", "description": "Write", "inherited": false },
                { "id": 3, "value": "profile", "description": "Sign in", "inherited": false },
                { "id": 52, "value": "newer", "description": "New", "inherited": false },
            ])
        );
        assert_eq!(
            values(&desk.get("/31415/clients")[0]["scopes"]),
            ["orders:write"]
        );
    }

    #[test]
    fn clients_apps_servers_and_claims_change_behind_the_back() {
        let mut desk = Desk::new();
        for change in [
            json!({ "server": 31415, "setClientScopes": { "appId": 1_026_152, "scopes": ["orders:write"] } }),
            json!({ "addApp": { "id": 77, "name": "Kiosk" } }),
            json!({ "server": 31415, "addClient": { "appId": 77, "scopes": [1] } }),
            json!({ "removeServer": 31416 }),
            json!({ "updateServer": { "name": "Orders", "onelogin": true } }),
            json!({ "addClaim": { "name": "email" } }),
            json!({ "removeClaim": "role" }),
        ] {
            desk.drift(change).unwrap();
        }
        let clients = desk.get("/31415/clients");
        assert_eq!(
            (&clients[0]["app_id"], values(&clients[0]["scopes"])),
            (&json!(77), vec!["orders:read"])
        );
        assert_eq!(values(&clients[1]["scopes"]), ["orders:write"]);
        assert_eq!(desk.get("/31415/claims")[0]["name"], "email");
        let server = desk.get("/31415");
        assert_eq!(
            (&server["name"], &server["onelogin"]),
            (&json!("Orders"), &json!(true))
        );
        desk.drift(json!({ "removeClient": 77 })).unwrap();
        desk.drift(json!({ "removeApp": 1_026_152 })).unwrap();
        assert_eq!(desk.get("/31415/clients"), json!([]));
        desk.drift(json!({ "addServer": { "name": "Other", "audiences": ["o"] } }))
            .unwrap();
        assert_eq!(desk.get("").as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_change_that_cannot_be_made_says_why_and_does_nothing() {
        let mut desk = Desk::new();
        let before = desk.system.world();
        for (change, reason) in [
            (
                json!({ "deleteScope": "orders:read" }),
                "say which with \"server\"",
            ),
            (
                json!({ "server": 31415, "deleteScope": "absent" }),
                "absent",
            ),
            (
                json!({ "server": 31415, "addScope": { "value": "orders:read" } }),
                "orders:read",
            ),
            (
                json!({ "server": 1, "deleteScope": "x" }),
                "there is no server 1",
            ),
            (
                json!({ "server": "x", "deleteScope": "x" }),
                "\"server\" is the id",
            ),
            (json!({ "server": 31415, "dropScope": "x" }), "dropScope"),
            (
                json!({ "server": 31415, "updateScope": { "description": "x" } }),
                "by \"value\" or \"id\"",
            ),
            (
                json!({ "server": 31415, "addClient": { "appId": 4 } }),
                "no app 4",
            ),
            (json!({ "server": 31415, "removeClient": 4 }), "no client"),
            (json!({ "removeApp": 4 }), "no app 4"),
            (json!({}), "no change"),
            (json!([]), "no change"),
        ] {
            let error = desk.drift(change.clone()).unwrap_err();
            assert!(error.contains(reason), "{change}: {error}");
        }
        assert_eq!(desk.system.world(), before);
    }
}

mod size {
    use std::time::Instant;

    use super::*;

    /// The times are shown and not asserted: run it with `--nocapture`.
    #[test]
    fn a_hundred_thousand_scopes_on_one_server_are_served() {
        let mut account = account();
        let scopes: Vec<Value> =
            (100..100_100).map(|id| json!({ "id": id, "value": format!("scope:{id}"), "description": "One of many" })).collect();
        account["authorizationServers"][0]["scopes"]
            .as_array_mut()
            .unwrap()
            .extend(scopes);
        account["authorizationServers"][0]["clients"][0]["scopes"] = (100..50_100).collect();
        let mut desk = Desk::of(account);
        let clock = Instant::now();
        let bearer = desk.bearer.clone().unwrap();
        let list = desk.send(
            "GET",
            "/api/2/api_authorizations/31415/scopes",
            &[("authorization", &bearer)],
            "",
        );
        let listed = clock.elapsed();
        assert_eq!(read(&list).as_array().unwrap().len(), 100_003);
        let clock = Instant::now();
        for id in 100..1100 {
            assert_eq!(
                desk.call("DELETE", &format!("/31415/scopes/{id}"), "").0,
                204
            );
        }
        let deleted = clock.elapsed();
        let clock = Instant::now();
        for id in 100..1100 {
            assert_eq!(
                desk.call(
                    "POST",
                    "/31415/scopes",
                    &json!({ "value": format!("again:{id}") }).to_string()
                )
                .0,
                200
            );
        }
        let created = clock.elapsed();
        let clock = Instant::now();
        let world = desk.system.world();
        let saved = clock.elapsed();
        assert_eq!(
            world["authorizationServers"][0]["scopes"]
                .as_array()
                .unwrap()
                .len(),
            100_003
        );
        eprintln!(
            "list {listed:?}, 1000 deletes {deleted:?}, 1000 creates {created:?}, world {saved:?}"
        );
    }
}
