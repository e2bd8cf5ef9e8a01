//! The one integration test binary: every module tests the crate from outside.

mod manifests;
mod recordings;
mod sandbox;
