//! The one integration test binary: every module tests the crate from outside.

mod provider_http;
mod sandbox;
