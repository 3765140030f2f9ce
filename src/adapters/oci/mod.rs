//! Container registries.

mod challenge;
mod credentials;
mod failure;
mod host;
mod observe;
mod pages;
mod session;
mod settings;
mod transport;

pub use observe::{RequestKind, RequestObserver, RequestOutcome};
pub use settings::{Limits, RegistrySettings, Timeouts};
