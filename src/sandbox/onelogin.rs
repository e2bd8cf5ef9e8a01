//! OneLogin.
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::wire::{Emulated, Request, Response, UNROUTED};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {}

pub(crate) struct OneLogin;

impl OneLogin {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature is that of the emulator to come"
    )]
    pub(crate) fn load(_: Account) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Emulated for OneLogin {
    fn handle(&mut self, _request: &Request) -> Response {
        Response {
            status: 404,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            route: UNROUTED,
            token: false,
        }
    }
    fn serves(&self, path: &str) -> bool {
        path.starts_with("/api/2/") || path.starts_with("/auth/")
    }
    fn drift(&mut self, _change: &Value) -> Result<(), String> {
        Err("this system is not emulated yet".to_owned())
    }
    fn expire_tokens(&mut self) {}
    fn world(&self) -> Value {
        serde_json::json!({})
    }
}
