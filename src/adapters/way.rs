//! The way to a server that the login of a repository names, for clients of HTTP.

use crate::model::{GitProxy, GitTls};

/// A client that trusts whom a login trusts, shows its certificate, and goes by way of its proxy, past it to the hosts that it names.
///
/// # Errors
/// What of the login cannot be used, in words: "the proxy". The causes could show parts of keys and addresses.
pub(super) fn client(
    mut builder: reqwest::ClientBuilder,
    tls: &GitTls,
    proxy: Option<&GitProxy>,
) -> Result<reqwest::Client, &'static str> {
    let GitTls { authorities, client, insecure } = tls;
    builder = builder.tls_danger_accept_invalid_certs(*insecure);
    if let Some(pem) = authorities {
        let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        builder = builder.tls_certs_only(roots.map_err(|_| "the certificate authorities")?);
    }
    if let Some(client) = client {
        let pem = format!("{}\n{}", client.certificate, client.key.expose());
        let identity = reqwest::Identity::from_pem(pem.as_bytes());
        builder = builder.identity(identity.map_err(|_| "the client certificate")?);
    }
    if let Some(proxy) = proxy {
        let except = reqwest::NoProxy::from_string(&proxy.except);
        let proxy = reqwest::Proxy::all(&proxy.address).map_err(|_| "the proxy")?;
        builder = builder.proxy(proxy.no_proxy(except));
    }
    builder.build().map_err(|_| "the TLS settings")
}
