//! A certificate authority for one test process.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// PEM texts for the API server.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: String,
    /// The server's certificate.
    pub server: String,
    /// The server's key.
    pub server_key: String,
    /// The key that signs ServiceAccount tokens.
    pub tokens_key: String,
    /// The key that checks them.
    pub tokens_public_key: String,
}

impl Certificates {
    /// New ones.
    pub fn new() -> Self {
        Self::try_new().expect("certificates can be made")
    }

    fn try_new() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "fairlead-e2e");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let tokens_key = KeyPair::generate()?;
        Ok(Self {
            authority: authority_pem,
            server: server.signed_by(&server_key, &issuer)?.pem(),
            server_key: server_key.serialize_pem(),
            tokens_key: tokens_key.serialize_pem(),
            tokens_public_key: tokens_key.public_key_pem(),
        })
    }
}
