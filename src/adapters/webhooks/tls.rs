//! Certificate and key of the port for webhooks, in files that are followed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long files are taken to be as they were.
const EVERY: Duration = Duration::from_secs(10);

/// A certificate and its key, read anew when a connection comes and the last look is ten seconds old. A pair that is broken
/// is told of once, and the last good one stays in use.
pub struct WebhookTls {
    certificate: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    /// The last pair that was looked at, whether it was good or not.
    seen: Result<Pair, String>,
    config: Arc<ServerConfig>,
}

/// The content of both files. No `Debug`: one is a key.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Files that hold no certificate and its key.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve webhooks over TLS with the certificate `{certificate}` and the key `{key}`: {cause}")]
pub struct UnusableTls {
    certificate: String,
    key: String,
    cause: String,
}

impl WebhookTls {
    /// The pair in these files, in PEM: the server's certificate with those between it and the authority, and its key.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, UnusableTls> {
        let unusable = |cause| UnusableTls {
            certificate: certificate.display().to_string(),
            key: key.display().to_string(),
            cause,
        };
        crate::adapters::oci::install_tls_provider();
        let read = |path| std::fs::read(path).map_err(|error| unusable(format!("`{}`: {error}", Path::display(path))));
        let pair = Pair { certificate: read(certificate)?, key: read(key)? };
        let config = Arc::new(pair.config().map_err(unusable)?);
        let state = Mutex::new(State { looked: Instant::now(), seen: Ok(pair), config });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), state })
    }

    /// What is to be used now.
    pub(super) async fn config(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock().await;
        if state.looked.elapsed() >= EVERY {
            state.looked = Instant::now();
            let seen = self.read().await;
            if seen != state.seen {
                match seen.as_ref().map_err(Clone::clone).and_then(Pair::config) {
                    Ok(config) => {
                        tracing::info!("the certificate for webhooks has changed and is in use");
                        state.config = Arc::new(config);
                    }
                    Err(cause) => {
                        let (certificate, key) = (self.certificate.display(), self.key.display());
                        tracing::error!(%certificate, %key, cause, "the certificate for webhooks cannot be used; the last one stays in use");
                    }
                }
                state.seen = seen;
            }
        }
        Arc::clone(&state.config)
    }

    async fn read(&self) -> Result<Pair, String> {
        let read =
            async |path: &Path| tokio::fs::read(path).await.map_err(|error| format!("`{}`: {error}", path.display()));
        Ok(Pair { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }
}

impl Pair {
    /// The configuration for it, or why there is none; never a part of the key.
    fn config(&self) -> Result<ServerConfig, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
        let certificates = certificates.ok_or("the one holds no certificate in PEM")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| "the other holds no private key in PEM")?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
        let mut config = config.map_err(|error| format!("they do not belong together: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
