//! What operators see: logs, metrics, health.

mod http;
mod logs;
mod metrics;
mod vitals;

pub use http::{Health, serve};
pub use logs::{LogFormat, start_logs};
pub use metrics::Metrics;
