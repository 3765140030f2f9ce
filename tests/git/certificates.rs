//! A server that takes only who shows a certificate.

use std::sync::Arc;

use fairlead::model::{ClientCertificate, Concealed, GitLogin, GitTls, Reason};
use fairlead::ports::Git as _;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use crate::server::Server;
use crate::servers::{FILES, reason};
use crate::support::{Remotes, engine, plan, settings};
use crate::tls;

/// Takes who has the key of one certificate.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Only {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let known = certificate == &self.certificate;
        let unknown = Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        if known { Ok(ClientCertVerified::assertion()) } else { Err(unknown) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// TLS for who has the second certificate of these tests.
fn demanding(versions: &[&'static rustls::SupportedProtocolVersion]) -> ServerConfig {
    fairlead::adapters::oci::install_tls_provider();
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let only = Only { certificate: read(&tls::next().0), algorithms };
    let key = PrivateKeyDer::from_pem_slice(tls::key().as_bytes()).expect("a key");
    ServerConfig::builder_with_protocol_versions(versions)
        .with_client_cert_verifier(Arc::new(only))
        .with_single_cert(vec![read(&tls::certificate())], key)
        .expect("certificate and key belong together")
}

fn showing(client: Option<(String, String)>) -> GitLogin {
    let client = client.map(|(certificate, key)| ClientCertificate { certificate, key: Concealed::new(key) });
    GitLogin { tls: GitTls { authorities: Some(tls::certificate()), client, insecure: false }, ..GitLogin::anonymous() }
}

#[tokio::test]
async fn a_certificate_of_our_own_is_shown_where_it_is_demanded() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let remotes = Remotes::new(FILES);
        let server = Server::start(remotes.folder.path(), None).await;
        let host = server.with_tls(demanding(&[version])).await;
        let address = format!("https://{host}/web.git");
        for client in [None, Some((tls::certificate(), tls::key()))] {
            let (reason, message) = reason(&address, showing(client)).await;
            assert_eq!(reason, Reason::GitDenied, "{message}");
            assert!(message.contains("`tlsClientCertData`"), "{message}");
        }
        let state = tempfile::tempdir().expect("a folder");
        let (engine, _) = engine(settings(state.path()), showing(Some(tls::next()))).await;
        let written = engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await.expect("written");
        assert!(written.pushed);
        assert_eq!(remotes.text("main", "values.yaml").as_deref(), Some("tag: 1.0.1\n"));
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_told() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), None).await;
    let host = server.with_tls(demanding(&[&rustls::version::TLS13])).await;
    let broken = showing(Some((tls::next().0, "canary".to_owned())));
    let (reason, message) = reason(&format!("https://{host}/web.git"), broken).await;
    assert_eq!(reason, Reason::CredentialsUnavailable, "{message}");
    assert!(!message.contains("canary"), "{message}");
}
