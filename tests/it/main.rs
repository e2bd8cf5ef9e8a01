//! The one integration test binary: every module tests the crate from outside.
#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "tests put texts together where that reads best"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architecture;
#[cfg(unix)]
mod calls;
mod conformance;
mod documents;
#[cfg(unix)]
mod failures;
#[cfg(unix)]
mod kills;
mod manifests;
mod provider_apigee;
mod provider_http;
mod provider_looks;
mod provider_onelogin;
mod provider_wso2;
mod providing;
mod recordings;
mod recovery;
mod safety;
mod sandbox;
mod sandbox_apigee;
#[cfg(unix)]
mod secrets;
mod support;
#[cfg(unix)]
mod verbs;
#[cfg(unix)]
mod worlds;
