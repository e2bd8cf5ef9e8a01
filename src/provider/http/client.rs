//! The HTTP clients beneath: TLS, proxies, timeouts.

use reqwest::{Client, redirect};
use url::Url;

use super::tls;
use crate::model::Target;
use crate::model::target::is_loopback;
use crate::provider::connect::Connect;
use crate::provider::credential::Credential;

/// The HTTP clients of a target: what is on this machine is never asked for through a proxy.
pub(super) struct Clients {
    direct: Client,
    outside: Client,
}

impl Clients {
    pub(super) fn new(
        target: &Target,
        credential: &Credential,
        connect: &Connect,
    ) -> Result<Self, String> {
        let tls = tls::config(&target.tls, credential.authorities.as_deref())?;
        let builder = || {
            Client::builder()
                .user_agent(&connect.user_agent)
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(connect.patience.connect)
                .timeout(connect.patience.request)
                .tls_backend_preconfigured(tls.clone())
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| format!("the HTTP client cannot be built: {}", deepest(&error)))
        };
        Ok(Self {
            direct: build(builder().no_proxy())?,
            outside: build(builder())?,
        })
    }

    pub(super) fn for_url(&self, url: &Url) -> &Client {
        if is_loopback(url) {
            &self.direct
        } else {
            &self.outside
        }
    }
}

/// The innermost reason of an error; the outer ones repeat the URL.
pub(super) fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
