//! A server with a certificate that nobody trusts.

use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// For `localhost` and `127.0.0.1`, signed by itself, until 2126. Made for these tests and used nowhere else.
const CERTIFICATE: &str = "MIIBqjCCAVCgAwIBAgIUCJ/eVqhnye/JejUBFM9C/8ZzuqkwCgYIKoZIzj0EAwIwHTEbMBkGA1UEAwwSbm9ib2R5IHRydXN0cyB0aGlzMCAXDTI2MTEyMzA3NTU0NloYDzIxMjYxMDMwMDc1NTQ2WjAdMRswGQYDVQQDDBJub2JvZHkgdHJ1c3RzIHRoaXMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARO4pMDJyue1fzETtgVmkBCej03Gxm/KaU2Vi5JS+uqL97gHCOYQynyDrfxeKJF/Hzan18vI0abN7+dp5F1/ILNo2wwajAdBgNVHQ4EFgQUBz3FwFHlYLR6D1IV5RgAlZ1AY3YwHwYDVR0jBBgwFoAUBz3FwFHlYLR6D1IV5RgAlZ1AY3YwGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIhANo4JYeNRfRzSfDrF3N6PLnbWRj/pAPG9EagMpXFvhA+AiBG3nQryztHm7MRleiHBptEu766Oq+KHg6yvYavsw970w==";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUnFWWYTaHqXhb9SicLRfOIiJyqtzLZIrc2c51Vu8Le6hRANCAARO4pMDJyue1fzETtgVmkBCej03Gxm/KaU2Vi5JS+uqL97gHCOYQynyDrfxeKJF/Hzan18vI0abN7+dp5F1/ILN";

/// Another pair of the same kind, which may follow the first.
const NEXT_CERTIFICATE: &str = "MIIBnTCCAUSgAwIBAgIUSBFjC5tgZ+tPWChL+fT2lU4fe9wwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMdGhlIG5leHQgb25lMCAXDTI2MTEyMzExMzQ0NFoYDzIxMjYxMDMwMTEzNDQ0WjAXMRUwEwYDVQQDDAx0aGUgbmV4dCBvbmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARphRVwSjl++cxxM6uR1ZPedosnkOEZ2ZycyBRFNeUQGSUnM5+8GkyHSvheJyTo5Mq0+yu1V36ULFXqZth0a315o2wwajAdBgNVHQ4EFgQUGk3leab2+QuzWwYi17egoqd3TZ8wHwYDVR0jBBgwFoAUGk3leab2+QuzWwYi17egoqd3TZ8wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDRwAwRAIgUqiS9g7z93ZuyhW7D7Ewzdif+YPAm41RxP4R4UWAR6ICIG9nNBVNEMfQmByGK13iUs59+f6BhKwe5G86ZG5LiW3T";
const NEXT_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4iFWcIn0VF3NBGN2xrZtLfF43WM/tuH4ZIiRB0t93EqhRANCAARphRVwSjl++cxxM6uR1ZPedosnkOEZ2ZycyBRFNeUQGSUnM5+8GkyHSvheJyTo5Mq0+yu1V36ULFXqZth0a315";

/// The certificate of [`untrusted`], as a person would configure it.
pub fn certificate() -> String {
    pem("CERTIFICATE", CERTIFICATE)
}

/// Its key.
pub fn key() -> String {
    pem("PRIVATE KEY", KEY)
}

/// Another certificate and its key.
pub fn next() -> (String, String) {
    (pem("CERTIFICATE", NEXT_CERTIFICATE), pem("PRIVATE KEY", NEXT_KEY))
}

fn pem(what: &str, content: &str) -> String {
    format!("-----BEGIN {what}-----\n{content}\n-----END {what}-----\n")
}

/// What a server with that certificate needs.
pub fn config() -> ServerConfig {
    fairlead::adapters::oci::install_tls_provider();
    let decode = |text| STANDARD.decode(text).expect("the text above is base64");
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(decode(CERTIFICATE))], PrivatePkcs8KeyDer::from(decode(KEY)).into())
        .expect("certificate and key above belong together")
}

/// Starts a server on a thread of its own that answers one handshake. Gives where it listens.
pub fn untrusted() -> String {
    let config = config();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let host = listener.local_addr().expect("a listener has an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client comes");
        let mut connection = ServerConnection::new(Arc::new(config)).expect("the configuration is whole");
        // The client breaks off when it has seen the certificate.
        while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
    });
    host
}
