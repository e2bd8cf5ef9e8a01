//! A Target's manifest into the model's.

use std::path::PathBuf;

use url::Url;

use super::crd::{TargetSpec, Wso2ApiName};
use crate::diagnostic::{Diagnostic, codes};
use crate::model::target::{
    AuthorizationServer, Endpoint, Pace, Thresholds, Tls, Wso2Api, canonical,
};
use crate::model::{Source, Target, TargetId};

/// Reads a manifest that its schema has passed; `None` where the endpoint cannot be told or is not supported.
pub(super) fn read(
    spec: &TargetSpec,
    source: &Source,
    found: &mut Vec<Diagnostic>,
) -> Option<Target> {
    let endpoint = endpoint(spec, source, found)?;
    let tls = spec.tls.as_ref();
    if tls.is_some_and(|tls| tls.insecure_skip_verify) {
        let warning = Diagnostic::warning(
            codes::INSECURE,
            "certificates are not verified: whoever stands between sees the credentials",
        );
        found.push(
            warning
                .at(source, "/spec/tls/insecureSkipVerify")
                .at_key()
                .help("use `caFile`, `caSecretRef` or `pinnedSha256`"),
        );
    }
    Some(Target {
        id: TargetId {
            namespace: source.namespace.clone(),
            name: source.name.clone(),
        },
        source: source.clone(),
        endpoint,
        credential: spec.credentials_ref.name.clone(),
        policy: spec.policy,
        suspend: spec.suspend,
        approval: spec.approval,
        approved_plan: spec.approved_plan.clone(),
        pace: Pace {
            requests_per_second: spec.limits.requests_per_second,
            max_in_flight: spec.limits.max_in_flight as usize,
        },
        safety: Thresholds {
            max_removals: spec.safety.max_removals.into(),
            max_removal_percent: spec.safety.max_removal_percent.into(),
            min_population: spec.safety.min_population.into(),
            window_seconds: seconds(&spec.safety.window),
        },
        tls: Tls {
            ca_file: tls.and_then(|tls| tls.ca_file.as_ref()).map(PathBuf::from),
            ca_secret: tls
                .and_then(|tls| tls.ca_secret_ref.as_ref())
                .map(|secret| (secret.name.clone(), secret.key.clone())),
            pinned_sha256: tls
                .and_then(|tls| tls.pinned_sha256.as_ref())
                .map(|digits| digits.to_lowercase()),
            insecure_skip_verify: tls.is_some_and(|tls| tls.insecure_skip_verify),
        },
        adoption: spec.adoption,
        drift: spec.drift,
    })
}

fn endpoint(spec: &TargetSpec, source: &Source, found: &mut Vec<Diagnostic>) -> Option<Endpoint> {
    let mut url = |text: &str, pointer: &str| match Url::parse(text) {
        Ok(url) => Some(url),
        Err(error) => {
            let error = Diagnostic::error(codes::BAD_URL, format!("not a valid URL: {error}"));
            found.push(error.at(source, pointer));
            None
        }
    };
    match spec {
        TargetSpec {
            one_login: Some(one_login),
            ..
        } => {
            let server = &one_login.authorization_server;
            let id = server.id.and_then(|id| u64::try_from(id).ok());
            Some(Endpoint::OneLogin {
                url: url(&one_login.url, "/spec/oneLogin/url")?,
                server: match (id, &server.resource_identifier) {
                    (Some(id), _) => AuthorizationServer::Id(id),
                    (None, text) => AuthorizationServer::ResourceIdentifier(text.clone()?),
                },
            })
        }
        TargetSpec {
            wso2: Some(wso2), ..
        } => Some(Endpoint::Wso2 {
            url: url(&wso2.url, "/spec/wso2/url")?,
            api: match wso2.api {
                Wso2ApiName::ScopeRegistration => Wso2Api::ScopeRegistration,
                Wso2ApiName::Publisher => Wso2Api::Publisher,
                Wso2ApiName::IdentityServer => {
                    let error = Diagnostic::error(
                        codes::NOT_SUPPORTED,
                        "the scope API of WSO2 Identity Server is not supported yet",
                    );
                    found.push(error.at(source, "/spec/wso2/api"));
                    return None;
                }
            },
            version: wso2.version.clone().unwrap_or_else(|| "v4".to_owned()),
            tenant: wso2.tenant.clone(),
        }),
        TargetSpec {
            apigee: Some(apigee),
            ..
        } => Some(Endpoint::Apigee {
            url: url(&apigee.url, "/spec/apigee/url")?,
            organization: apigee.organization.clone(),
            edition: apigee.edition,
            auth: apigee.auth,
        }),
        // The schema's rule asks for one of the three.
        _ => None,
    }
}

/// What a target is, as far as its manifest tells: its live identity, or the name under which that is looked up.
pub(super) fn offline_identity(target: &Target) -> String {
    match (&target.endpoint, target.live_identity()) {
        (_, Some(identity)) => identity.to_string(),
        (
            Endpoint::OneLogin {
                url,
                server: AuthorizationServer::ResourceIdentifier(text),
            },
            None,
        ) => {
            format!("oneLogin {} resource {text}", canonical(url))
        }
        (_, None) => target.id.to_string(),
    }
}

/// The seconds of a duration such as `10m`, whose form the schema has checked.
pub(super) fn seconds(text: &str) -> u64 {
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or_default() * unit
}
