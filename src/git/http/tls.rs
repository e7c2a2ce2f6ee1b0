//! TLS settings of one Channel: whom to trust, and who we say we are.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::git::error::GitError;
use crate::git::spec::{Auth, Credential};

/// The settings of a Channel, for its connections only.
pub(super) fn client_config(auth: &Auth) -> Result<ClientConfig, GitError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let invalid = |what: &'static str, reason: String| GitError::InvalidAuth { what, reason };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS settings", error.to_string()))?;
    let builder = if auth.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        let own = certificates("caCerts", auth.ca_certs.as_deref().unwrap_or_default())?;
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for certificate in &own {
            roots
                .add(certificate.clone())
                .map_err(|error| invalid("caCerts", error.to_string()))?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| invalid("caCerts", error.to_string()))?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustOwn { inner, own }))
    };
    let Credential::ClientCertificate { cert, key } = &auth.credential else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("clientCert", cert)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        invalid(
            "clientKey",
            "it holds no private key in PEM form".to_owned(),
        )
    })?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| invalid("clientCert and clientKey", error.to_string()))
}

/// The certificates of a PEM text; an empty text has none, a text without any
/// is an error, so that a mistake is not taken for "trust nothing more".
fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, GitError> {
    if pem.trim().is_empty() && what == "caCerts" {
        return Ok(Vec::new());
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| GitError::InvalidAuth {
            what,
            reason: "it is not valid PEM".to_owned(),
        })?;
    if found.is_empty() {
        return Err(GitError::InvalidAuth {
            what,
            reason: "it holds no certificate in PEM form".to_owned(),
        });
    }
    Ok(found)
}

/// The usual rules, except that a server certificate which the Channel itself
/// lists may be a CA: `gitea cert --ca` and its like make such certificates,
/// and every other git client accepts them.
#[derive(Debug)]
struct TrustOwn {
    inner: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for TrustOwn {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usual = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match usual {
            // webpki looks at the validity period before it says this.
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(why)))
                if why.to_string().contains("CaUsedAsEndEntity")
                    && self.own.iter().any(|own| own == end_entity) =>
            {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `insecureSkipVerify`: any certificate, but the handshake must still be
/// signed by its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistaken_certificate_is_an_error_without_its_text() {
        for (auth, what) in [
            (
                Auth {
                    ca_certs: Some("secret, not PEM".to_owned()),
                    ..Auth::default()
                },
                "caCerts",
            ),
            (
                Auth {
                    credential: Credential::ClientCertificate {
                        cert: "secret".to_owned(),
                        key: "secret".to_owned(),
                    },
                    ..Auth::default()
                },
                "clientCert",
            ),
        ] {
            let error = client_config(&auth).unwrap_err();
            assert!(matches!(error, GitError::InvalidAuth { .. }));
            assert!(error.to_string().contains(what), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_listed_certificate_is_trusted_for_its_name_and_time_even_if_it_is_a_ca() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["git.example.com".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap();
        let own = certificates("caCerts", &cert.pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own[0].clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let check = |own: Vec<_>, name: &'static str, at: u64| {
            let verifier = TrustOwn {
                inner: inner.clone(),
                own,
            };
            let name = ServerName::try_from(name).unwrap();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
            verifier
                .verify_server_cert(cert.der(), &[], &name, &[], now)
                .is_ok()
        };
        let (now, far) = (1_800_000_000, 90_000_000_000_000);
        assert!(check(own.clone(), "git.example.com", now));
        assert!(!check(own.clone(), "other.example.com", now));
        assert!(!check(own, "git.example.com", far));
        assert!(!check(Vec::new(), "git.example.com", now));
    }
}
