//! The one integration test binary: every module tests the crate from outside.

mod provider_apigee;
mod provider_wso2;
mod providing;
mod recordings;
mod sandbox;
