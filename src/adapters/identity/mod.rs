//! Logins for the registries of clouds and for Git, from the identity that the cloud gives this process, or that a Secret holds.
//!
//! ```text
//!  CloudIdentities ─► kept logins: one exchange at a time a host or account, renewed at 80 % of their life
//!        ├─► aws     environment, web identity, container, instance ─► signed request to ECR
//!        ├─► google  service account key, federated token, metadata server
//!        └─► azure   federated token, managed identity, service principal ─► exchange at the registry
//!              └─► http  one request, bounded; metadata addresses never by a proxy
//! ```
//!
//! # Guarantees
//!
//! - Files with tokens are read anew for every exchange, because they rotate.
//! - No login is handed out that has ended; one that still holds survives a failed renewal.
//! - Errors and `Debug` show no token and no body, and of error codes only known words.

mod aws;
mod azure;
mod google;
mod http;
mod kept;
mod logins;
mod secret;
mod settings;

pub use logins::CloudIdentities;
pub use settings::{IdentityEndpoints, IdentitySettings, IdentityTimeouts};
