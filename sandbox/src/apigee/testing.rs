//! Drives an emulated organization without sockets.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Apigee;
use crate::drift;
use crate::wire::{Emulated, Request, Response};
use crate::world::Kind;

/// The moment of every request, unless a test moves it.
pub(super) const NOW: i64 = 1_760_000_000;

/// An organization and the credentials that its tests use.
pub(super) struct Driver {
    pub(super) apigee: Apigee,
    pub(super) now: i64,
    pub(super) authorization: String,
}

impl Driver {
    /// Loads the world below `apigee`, with a token that may do everything.
    pub(super) fn new(mut world: Value) -> Self {
        world["organization"] = json!("acme");
        if world.get("credentials").is_none() {
            world["credentials"] = json!([{"token": "sandbox"}]);
        }
        Self {
            apigee: Apigee::load(world).unwrap(),
            now: NOW,
            authorization: "Bearer sandbox".to_owned(),
        }
    }

    /// An organization of the seed's example: product `orders` with READ and WRITE, and a key that holds READ.
    pub(super) fn orders(edition: &str) -> Self {
        Self::orders_with(edition, &json!({}))
    }

    pub(super) fn orders_with(edition: &str, switches: &Value) -> Self {
        Self::new(json!({
            "edition": edition,
            "switches": switches,
            "products": [
                {"name": "orders", "scopes": ["READ", "WRITE"]},
                {"name": "refunds", "scopes": ["REFUND"]},
                {"name": "vip", "scopes": ["VIP"], "approvalType": "manual"},
            ],
            "developers": [{
                "email": "ann@example.com",
                "apps": [{"name": "shop", "keys": [
                    {"consumerKey": "k3y", "products": ["orders"], "scopes": ["READ"]},
                ]}],
            }],
        }))
    }

    pub(super) fn raw(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        self.apigee.handle(&Request {
            method: method.parse::<Method>().unwrap(),
            path: path.to_owned(),
            query,
            headers: map,
            body: Bytes::from(body.to_owned()),
            now: Timestamp::from_second(self.now).unwrap(),
        })
    }

    /// Calls the management API below the organization; no JSON in the answer reads as null.
    pub(super) fn call(&mut self, method: &str, below: &str, body: &Value) -> (u16, Value) {
        let authorization = self.authorization.clone();
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let response = self.raw(
            method,
            &format!("/v1/organizations/acme{below}"),
            &headers,
            &body,
        );
        let value = serde_json::from_slice(&response.body).unwrap_or_default();
        (response.status, value)
    }

    /// Makes a change behind the back.
    pub(super) fn drift(&mut self, change: &Value) -> Result<(), String> {
        drift::make(Kind::Apigee, &mut self.apigee, change)
    }

    pub(super) fn get(&mut self, below: &str) -> (u16, Value) {
        self.call("GET", below, &Value::Null)
    }

    /// A GET that must succeed.
    pub(super) fn fetch(&mut self, below: &str) -> Value {
        let (status, value) = self.get(below);
        assert_eq!(status, 200, "GET {below}: {value}");
        value
    }
}
