//! The one integration test binary: every module tests the crate from outside.

mod sandbox;
mod sandbox_apigee;
