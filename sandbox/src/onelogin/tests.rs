//! The calls of the vendor's pages, and what published clients send, against one small account.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::drift;
use super::super::wire::{Emulated, Request, Response, UNROUTED};
use super::super::world::Kind;
use super::OneLogin;

mod claims;
mod clients;
mod drifts;
mod scopes;
mod servers;
mod size;
mod tokens;
mod worlds;

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
    #[expect(
        clippy::too_many_arguments,
        reason = "a call and its answer, as a row of a table"
    )]
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

    fn drift(&mut self, change: &Value) -> Result<(), String> {
        drift::make(Kind::OneLogin, &mut self.system, change)
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
