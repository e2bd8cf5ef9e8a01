//! Apigee: a placeholder that answers 404 to everything.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::wire::{Emulated, Request, Response, UNROUTED};

pub(crate) struct Apigee(Value);

impl Apigee {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature is that of the emulator to come"
    )]
    pub(crate) fn load(world: Value) -> Result<Self, String> {
        Ok(Self(world))
    }
}

impl Emulated for Apigee {
    fn handle(&mut self, _request: &Request) -> Response {
        Response {
            status: 404,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            route: UNROUTED,
            token: false,
        }
    }

    fn serves(&self, _path: &str) -> bool {
        false
    }

    fn drift(&mut self, _change: &Value) -> Result<(), String> {
        Err("this system is not emulated yet".to_owned())
    }

    fn expire_tokens(&mut self) {}

    fn world(&self) -> Value {
        self.0.clone()
    }
}
