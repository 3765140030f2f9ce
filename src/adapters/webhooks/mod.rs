//! Webhooks of registries: a server that believes nobody without the secret of its source.
//!
//! # Guarantees
//!
//! - A source without a secret is answered as one that does not exist: 401.
//! - No log and no metric shows a body, a header, a query or a secret.
//! - A request is bounded in size and time, a source in requests, and a timed signature is taken once.
//! - A connection is bounded in time before and between its requests; all together are bounded in number.
//!
//! # Caveats
//!
//! Plain HTTP unless it is given a certificate: then what stands in front (an Ingress, a Gateway) brings TLS.

mod connections;
mod limits;
mod secrets;
mod server;
mod tls;

pub use secrets::WebhookSecrets;
pub use server::{PushReceiver, WebhookObserver, WebhookOutcome, WebhookServer};
pub use tls::WebhookTls;
