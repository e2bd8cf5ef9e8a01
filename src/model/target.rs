//! How a live system is reached and what may be done there.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::name::{LiveIdentity, TargetId};
use super::source::Source;
use super::system::System;

/// A live system, as a `Target` manifest describes it, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Namespace and name.
    pub id: TargetId,
    /// The manifest.
    pub source: Source,
    /// Which system, and where.
    pub endpoint: Endpoint,
    /// `credentialsRef.name`: which credential opens it.
    pub credential: String,
    /// What kinds of writes are allowed.
    pub policy: Policy,
    /// Nothing is read or written while it is set.
    pub suspend: bool,
    /// Whether a plan needs somebody's word.
    pub approval: Approval,
    /// `spec.approvedPlan`: the digest that `approval: Manual` waits for.
    pub approved_plan: Option<String>,
    /// Pace and concurrency.
    pub pace: Pace,
    /// When the guard stops removals.
    pub safety: Thresholds,
    /// How the server's certificate is judged.
    pub tls: Tls,
    /// What of the live objects a manifest may take.
    pub adoption: Adoption,
    /// What happens to changes made behind our back.
    pub drift: Drift,
}

/// Which system, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// One API authorization server of a OneLogin account.
    OneLogin {
        /// The account's URL, `https://acme.onelogin.com`.
        url: Url,
        /// The authorization server.
        server: AuthorizationServer,
    },
    /// One scope API of a WSO2 server.
    Wso2 {
        /// The server's URL.
        url: Url,
        /// Which API.
        api: Wso2Api,
        /// The Publisher's version segment, such as `v4`.
        version: String,
        /// The tenant's domain, where it is not the super tenant.
        tenant: Option<String>,
    },
    /// One Apigee organization.
    Apigee {
        /// The management URL without `/v1`.
        url: Url,
        /// The organization.
        organization: String,
        /// Edge or X.
        edition: Edition,
        /// How Edge is signed in to; `None` follows the credential's keys.
        auth: Option<ApigeeAuth>,
    },
}

/// How a OneLogin authorization server is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationServer {
    /// By its id.
    Id(u64),
    /// By its resource identifier; the id is looked up with one more request.
    ResourceIdentifier(String),
}

/// The scope APIs of WSO2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Wso2Api {
    /// `/api/auth/scope-registration/v1.0/scopes`.
    ScopeRegistration,
    /// The shared scopes of API Manager 3.2 to 4.x.
    Publisher,
}

/// The Apigee editions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Edition {
    /// Public or private cloud Edge.
    Edge,
    /// Apigee X and hybrid.
    X,
}

/// How Edge is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApigeeAuth {
    /// Name and password with every request.
    Basic,
    /// A token from the sign-in host.
    OAuth,
}

/// What kinds of writes a target allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Policy {
    /// Create, update and delete.
    #[default]
    Sync,
    /// Create and update; nothing is removed, entries of sets included.
    UpsertOnly,
    /// Create alone.
    CreateOnly,
    /// Nothing is written.
    Observe,
}

/// Whether a plan needs somebody's word before it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// The guard alone decides.
    #[default]
    Auto,
    /// Only the plan whose digest stands in `approvedPlan` is applied.
    Manual,
}

/// What of the live objects a manifest may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// Equal ones are matched; differing ones need `scopeward adopt`.
    #[default]
    Equal,
    /// All of them.
    Always,
    /// None, not even equal ones.
    Never,
}

/// What happens to changes that were made behind our back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// They are undone.
    #[default]
    Repair,
    /// They are reported.
    Report,
}

/// Pace and concurrency of the requests to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Requests started per second; 0 is unlimited.
    pub requests_per_second: u32,
    /// Requests in flight at once, at least 1.
    pub max_in_flight: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            requests_per_second: 0,
            max_in_flight: 10,
        }
    }
}

/// The longest `safety.window`: removals are remembered for longer.
pub const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(99 * 24);

/// When the guard stops a target's removals (design: safety, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// The most removals of one kind.
    pub max_removals: u64,
    /// The largest share of the population that may be removed, in percent.
    pub max_removal_percent: u64,
    /// The population from which the percentage is applied.
    pub min_population: u64,
    /// For how many seconds earlier removals count together with new ones.
    pub window_seconds: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_removals: 50,
            max_removal_percent: 30,
            min_population: 10,
            window_seconds: 24 * 60 * 60,
        }
    }
}

/// How a server's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// A PEM file of certificate authorities to trust beside the system's, as the manifest writes it, relative to the
    /// manifest's folder.
    pub ca_file: Option<std::path::PathBuf>,
    /// A key of a credential that holds the same as PEM text: credential name and key.
    pub ca_secret: Option<(String, String)>,
    /// The SHA-256 of the only certificate to accept, 64 hexadecimal digits.
    pub pinned_sha256: Option<String>,
    /// Nothing is verified. Loud.
    pub insecure_skip_verify: bool,
}

impl Target {
    /// Which kind of system this is.
    pub fn system(&self) -> System {
        match &self.endpoint {
            Endpoint::OneLogin { .. } => System::OneLogin,
            Endpoint::Wso2 {
                api: Wso2Api::ScopeRegistration,
                ..
            } => System::Wso2ScopeRegistration,
            Endpoint::Wso2 {
                api: Wso2Api::Publisher,
                ..
            } => System::Wso2Publisher,
            Endpoint::Apigee {
                edition: Edition::Edge,
                ..
            } => System::ApigeeEdge,
            Endpoint::Apigee {
                edition: Edition::X,
                ..
            } => System::ApigeeX,
        }
    }

    /// The URL of the manifest.
    pub fn url(&self) -> &Url {
        match &self.endpoint {
            Endpoint::OneLogin { url, .. }
            | Endpoint::Wso2 { url, .. }
            | Endpoint::Apigee { url, .. } => url,
        }
    }

    /// The live identity, where the manifest alone tells it: a OneLogin server named by its resource identifier gets one
    /// when it has been looked up (see [`Target::live_identity_with`]).
    pub fn live_identity(&self) -> Option<LiveIdentity> {
        match &self.endpoint {
            Endpoint::OneLogin {
                server: AuthorizationServer::ResourceIdentifier(_),
                ..
            } => None,
            Endpoint::OneLogin {
                server: AuthorizationServer::Id(id),
                ..
            } => Some(self.live_identity_with(*id)),
            _ => Some(self.live_identity_with(0)),
        }
    }

    /// The live identity; `server` is the id of the OneLogin authorization server and means nothing elsewhere.
    pub fn live_identity_with(&self, server: u64) -> LiveIdentity {
        let url = canonical(self.url());
        LiveIdentity::new(match &self.endpoint {
            Endpoint::OneLogin { .. } => format!("oneLogin {url} {server}"),
            Endpoint::Wso2 { api, tenant, .. } => {
                format!(
                    "wso2 {url} {} {api:?}",
                    tenant.as_deref().unwrap_or("carbon.super")
                )
            }
            Endpoint::Apigee { organization, .. } => format!("apigee {url} {organization}"),
        })
    }
}

/// A URL in the one form in which identities and credentials compare it: scheme, lower-case host, port where it is not
/// the scheme's own, path without a slash at its end. The `url` crate has lower-cased the host and dropped the default
/// port already.
pub fn canonical(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{host}{port}{}",
        url.scheme(),
        url.path().trim_end_matches('/')
    )
}

/// Whether a URL is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_mean_one_place_are_one_text() {
        for text in [
            "https://acme.onelogin.com",
            "https://ACME.onelogin.com/",
            "https://acme.onelogin.com.:443/",
        ] {
            assert_eq!(
                canonical(&Url::parse(text).expect("valid")),
                "https://acme.onelogin.com"
            );
        }
        assert_eq!(
            canonical(&Url::parse("http://127.0.0.1:9400/a/").expect("valid")),
            "http://127.0.0.1:9400/a"
        );
    }

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for (url, here) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("https://acme.onelogin.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect("valid")), here, "{url}");
        }
    }
}
