//! The harness: real servers on loopback, and the real `fairlead` binary among them.
//!
//! ```text
//!  tools ──► servers: etcd, kube-apiserver (RBAC, audit log), registry      once a test process
//!                │
//!  Scene ────────┴── a namespace, a repository prefix, a ServiceAccount      once a test
//!    ├── Fairlead      the binary, with that ServiceAccount's rights
//!    ├── FaultProxy    a registry that can be made to misbehave
//!    ├── Helm          the chart, rendered or installed
//!    ├── Prometheus    reads the metrics, knows the alerts
//!    ├── Deployed      the binary as an installed Deployment would run it
//!    └── writes()      what the ServiceAccount wrote, from the API server's audit log
//! ```
//!
//! Guarantees: nothing outside of loopback is asked while tests run; every process is gone when the test process is, however
//! it ends; tests share servers and nothing else. A missing tool is a failure that says what to install.

#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "the harness is part of the world, and what it cannot do fails the test at once"
)]

pub mod argocd;
pub mod assemble;
pub mod audit;
mod certificates;
pub mod deployed;
pub mod eventually;
pub mod fairlead;
pub mod guarded;
pub mod helm;
pub mod images;
mod kinds;
mod process;
pub mod prometheus;
pub mod proxy;
mod recipe;
pub mod registry;
pub mod scene;
pub mod servers;
pub mod token_service;
pub mod tools;

pub use assemble::Assembly;
pub use audit::AuditEntry;
pub use deployed::Deployed;
pub use eventually::{Deadline, eventually};
pub use fairlead::{Configured, Fairlead, command_line};
pub use guarded::Guarded;
pub use helm::Helm;
pub use images::Image;
pub use prometheus::Prometheus;
pub use proxy::{Fault, FaultProxy};
pub use registry::{Login, Registry};
pub use scene::{Scene, Unready};

/// A client for tests that ask a server themselves.
pub fn http_client() -> reqwest::Client {
    servers::http_client(None)
}
