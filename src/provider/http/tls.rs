//! Whether a server is who it should be.
//!
//! Four ways: the system's authorities, those and the target's own, one pinned certificate whatever its name (WSO2's
//! stock certificate has no subjectAltName, so that no authority could vouch for it), and, loudly, nothing at all.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};

use crate::model::target::Tls;

/// Why a server was not trusted, and which certificate it showed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Rejected {
    why: String,
    /// The SHA-256 of the certificate, as `pinnedSha256` takes it.
    pub(crate) sha256: String,
}

impl Rejected {
    /// Finds the rejection beneath an error of the HTTP client, if that is what it was.
    pub(crate) fn beneath(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(rustls::Error::Other(OtherError(inner))) = error.downcast_ref()
                && let Some(rejected) = inner.downcast_ref::<Self>()
            {
                return Some(rejected.clone());
            }
            // An I/O error's `source` skips the error that it wraps.
            next = match error
                .downcast_ref::<std::io::Error>()
                .map(std::io::Error::get_ref)
            {
                Some(Some(inner)) => Some(inner),
                _ => error.source(),
            };
        }
        None
    }
}

/// The client's side of TLS for one target; the error is a sentence about the target's settings.
pub(crate) fn config(tls: &Tls, authorities: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let judge = Judge {
        algorithms: provider.signature_verification_algorithms,
        trust: trust(tls, authorities, &provider)?,
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads what the target says about trust.
fn trust(
    tls: &Tls,
    authorities: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Trust, String> {
    if let Some(pin) = &tls.pinned_sha256 {
        return Ok(Trust::Pinned(fingerprint(pin)?));
    }
    if tls.insecure_skip_verify {
        return Ok(Trust::Anything);
    }
    let mut extra = vec![];
    if let Some(path) = &tls.ca_file {
        let pem = std::fs::read(path).map_err(|error| {
            format!(
                "tls.caFile {:?} cannot be read: {error}",
                path.display().to_string()
            )
        })?;
        extra.extend(
            certificates(&pem)
                .map_err(|why| format!("tls.caFile {:?} {why}", path.display().to_string()))?,
        );
    }
    if let Some(pem) = authorities {
        extra.extend(
            certificates(pem.as_bytes())
                .map_err(|why| format!("the text of tls.caSecretRef {why}"))?,
        );
    }
    if extra.is_empty() {
        return Ok(Trust::System);
    }
    Verifier::new_with_extra_roots(extra, Arc::clone(provider))
        .map(|verifier| Trust::Extended(Box::new(verifier)))
        .map_err(|error| format!("the authorities of `tls` cannot be used: {error}"))
}

/// Every certificate of a PEM text.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(certificates)
}

/// Reads 64 hexadecimal digits; colons between them, as openssl prints them, do not matter.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .unwrap_or_default();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    match <[u8; 32]>::try_from(bytes) {
        Ok(fingerprint) if digits.len() == 64 => Ok(fingerprint),
        _ => Err(format!(
            "tls.pinnedSha256 {text:?} is not a SHA-256 in 64 hexadecimal digits"
        )),
    }
}

/// Who is trusted.
#[derive(Debug)]
enum Trust {
    System,
    Extended(Box<Verifier>),
    Pinned([u8; 32]),
    Anything,
}

/// Judges the certificate that a server shows.
#[derive(Debug)]
struct Judge {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
}

/// The system's authorities, read when the first server asks for them: plain HTTP never does.
fn system(provider: &Arc<CryptoProvider>) -> Result<&'static Verifier, rustls::Error> {
    static SYSTEM: OnceLock<Result<Verifier, rustls::Error>> = OnceLock::new();
    SYSTEM
        .get_or_init(|| Verifier::new(Arc::clone(provider)))
        .as_ref()
        .map_err(Clone::clone)
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Sha256::digest(end_entity);
        let verify = |verifier: &Verifier| {
            verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| error.to_string())
        };
        match &self.trust {
            Trust::Anything => Ok(ServerCertVerified::assertion()),
            Trust::Pinned(pin) if *pin == *shown => Ok(ServerCertVerified::assertion()),
            Trust::Pinned(_) => Err("it is not the pinned one".to_owned()),
            Trust::Extended(verifier) => verify(verifier),
            Trust::System => system(&self.provider)
                .map_err(|error| error.to_string())
                .and_then(verify),
        }
        .map_err(|why| {
            let sha256 = format!("{:x}", Bytes::copy_from_slice(&shown));
            rustls::Error::Other(OtherError(Arc::new(Rejected { why, sha256 })))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if matches!(self.trust, Trust::Anything) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if matches!(self.trust, Trust::Anything) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_64_hexadecimal_digits() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        assert_eq!(fingerprint(&plain), Ok([0xab; 32]));
        assert_eq!(fingerprint(&colons), Ok([0xab; 32]));
        for bad in ["", "ab", &plain[1..], &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_say_so() {
        let with_file = |path: &str| Tls {
            ca_file: Some(path.into()),
            ..Tls::default()
        };
        let error = config(&with_file("/nowhere/ca.pem"), None).expect_err("no file");
        assert!(
            error.contains("tls.caFile \"/nowhere/ca.pem\" cannot be read"),
            "{error}"
        );
        let error = config(&Tls::default(), Some("no certificate")).expect_err("no PEM");
        assert!(
            error.contains("tls.caSecretRef holds no certificate"),
            "{error}"
        );
        let pinned = Tls {
            pinned_sha256: Some("12".to_owned()),
            ..Tls::default()
        };
        let error = config(&pinned, None).expect_err("no pin");
        assert!(error.contains("pinnedSha256"), "{error}");
    }
}
