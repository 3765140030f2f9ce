//! Container registries, over the OCI distribution protocol.
//!
//! ```text
//!  RegistryClient ─► access        which entry, whose login? (model::RegistriesConfiguration, adapters::credentials)
//!        │
//!        └────────► index         known, or under way?     (memory: the decisions, flights: the waiting)
//!                     ├─► pages    all tags                 (pure state over one request a page)
//!                     └─► images   digests, dates           (manifest: what bytes mean)
//!                           └─► session     logged in       (challenge, tokens)
//!                                 └─► transport  one request, bounded    (host: its limits, quota: what is granted,
//!                                                                         breaker: leaving it alone, failure: sentences)
//! ```
//!
//! Types, media types and error documents come from `oci-client`. Its requests are not used: they read bodies of any size
//! and for any time, lose the status, `Retry-After` and `Link` of answers, keep the first login of a host for everybody,
//! and take a token realm at its word. Each of these would break a guarantee of [`RegistryClient`].

mod access;
mod breaker;
mod challenge;
mod client;
mod credentials;
mod failure;
mod flights;
mod host;
mod images;
mod index;
mod manifest;
mod memory;
mod observe;
mod pace;
mod pages;
mod quota;
mod session;
mod settings;
mod transport;

pub use access::Approach;
pub use client::{RegistryClient, SetUpError};
pub use observe::{RequestKind, RequestObserver, RequestOutcome};
pub use settings::{Limits, RegistrySettings, Timeouts};

/// Makes ring the cryptography of TLS in this process, unless another was chosen before. To be called first thing in `main`;
/// calling it again does nothing.
pub fn install_tls_provider() {
    // It fails where one is installed, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
