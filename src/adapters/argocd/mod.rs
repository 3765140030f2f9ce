//! Argo CD's REST API in place of the Kubernetes API of its cluster. Applications alone are reached through it; policies,
//! Secrets and events stay in the cluster that Fairlead runs in.
//!
//! # Flow
//! The stream of changes is opened, then all Applications are listed, and what the stream says is taken over from then on, into the
//! same index that a watch of Kubernetes feeds. Every few minutes, and whenever the stream ends, this is done anew.
//!
//! # Guarantees
//! - What is written are the planned values alone, by JSON Patch, tested against the state that they were decided on, and read back.
//! - Every call names project and namespace of the Application, so that "not there" and "not allowed" are told apart.
//! - The token is read anew for each request, goes to the configured server alone, and is in no log and no error.
//!
//! # Caveats
//! Argo CD's server has no optimistic locking: what it tests is the state that it read, and when somebody else writes within that moment
//! it writes its own state over it. Its stream leaves out what happens while nobody listens, and what a slow listener has no room for.
//!
//! Sources: `server/application`, `server/applicationset`, `pkg/apiclient/application` of Argo CD 3.x.

mod address;
mod applications;
mod follow;
mod http;
mod patched;
mod read;
mod token;

use std::path::Path;
use std::time::Duration;

use url::Url;

pub use address::server_address;
pub use applications::ArgoCdApplications;
pub use token::TokenSource;

/// Where Argo CD's API is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct ArgoCdSettings {
    /// The address of the server, with the path that it is served under; see [`server_address`].
    pub server: Url,
    /// Where the token comes from.
    pub token: TokenSource,
    /// Whether the server's certificate is not looked at.
    pub insecure: bool,
    /// Certificates of authorities in PEM that are trusted beside the system's own.
    pub authorities: Option<String>,
    /// How long things may take.
    pub timings: Timings,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Until there is a connection.
    pub connect: Duration,
    /// One question.
    pub call: Duration,
    /// All Applications.
    pub list: Duration,
    /// A change: Argo CD renders the manifests before it takes one.
    pub change: Duration,
    /// How long a refresh is waited for; it goes on without us.
    pub refresh: Duration,
    /// How soon everything is listed anew although the stream goes on.
    pub resync: Duration,
    /// The first pause after the stream has ended; each further one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// What is known of Applications counts no longer than this when they cannot be listed any more.
    pub stale: Duration,
}

/// Why no client can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a client for Argo CD's API: {0}")]
pub struct SetUpError(String);

impl ArgoCdSettings {
    /// A server whose certificate is checked against the system's authorities.
    pub fn new(server: Url, token: TokenSource) -> Self {
        Self { server, token, insecure: false, authorities: None, timings: Timings::default() }
    }

    /// The same, trusting the authorities whose certificates, in PEM, are in `file`.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn trusting(self, file: &Path) -> Result<Self, SetUpError> {
        let unreadable = |error| {
            SetUpError(format!("the certificates of authorities in `{}` cannot be read: {error}", file.display()))
        };
        let authorities = Some(std::fs::read_to_string(file).map_err(unreadable)?);
        Ok(Self { authorities, ..self })
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(30),
            list: Duration::from_secs(120),
            change: Duration::from_secs(120),
            refresh: Duration::from_secs(10),
            resync: Duration::from_secs(300),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            stale: Duration::from_secs(180),
        }
    }
}
