//! What a Target may ask of the operator: hosts, and how their certificates are judged. Pure.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use super::Settings;
use crate::model::Target;

/// Why a Target is not followed, if so.
pub(super) fn refusal(target: &Target, settings: &Settings) -> Option<String> {
    if let Some(why) = refused_url(target.url(), settings) {
        return Some(format!("spec url: {why}"));
    }
    if target.tls.ca_file.is_some() {
        return Some(
            "spec.tls.caFile: a file is for the command line; use caSecretRef here".to_owned(),
        );
    }
    if target.tls.insecure_skip_verify && !settings.allow_insecure {
        return Some(
            "spec.tls.insecureSkipVerify: the operator is not started with --allow-insecure-skip-verify"
                .to_owned(),
        );
    }
    None
}

/// Why a URL is not called, if so.
pub(super) fn refused_url(url: &Url, settings: &Settings) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    if is_local(url) && !settings.allow_loopback {
        return Some(format!(
            "{host} is a loopback or link-local address, which the operator does not call"
        ));
    }
    let allowed = settings.allowed_hosts.as_ref();
    let is_refused = allowed.is_some_and(|allowed| !allowed.is_match(host));
    is_refused.then(|| format!("{host} is none of the hosts that --allowed-hosts gives"))
}

/// Whether a URL leads to this machine, to its link, or to no place that can be told: a name is resolved only when it is
/// called, and a network policy holds what it leads to.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_local_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        None => true,
    }
}

fn is_local_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().or_else(|| compatible(v6));
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || mapped.is_some_and(|v4| is_local_address(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address of the old form `::127.0.0.1`.
fn compatible(address: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let segments = address.segments();
    let is_compatible = segments[..6].iter().all(|part| *part == 0) && segments[6] != 0;
    is_compatible.then(|| address.to_ipv4()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_this_machine_and_its_link_is_known() {
        for (url, local) in [
            ("http://127.0.0.1:1", true),
            ("http://127.1.2.3", true),
            ("http://2130706433/", true),
            ("http://0x7f.1/", true),
            ("http://[::1]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://[::127.0.0.1]", true),
            ("http://0.0.0.0", true),
            ("http://[::]", true),
            ("http://169.254.169.254/", true),
            ("http://[fe80::1]", true),
            ("http://localhost.", true),
            ("http://a.LOCALHOST", true),
            ("https://10.0.0.1", false),
            ("https://acme.onelogin.com", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_local(&Url::parse(url).expect("valid")), local, "{url}");
        }
    }
}
