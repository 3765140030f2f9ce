//! What operators see: logs, metrics, health.

mod http;
mod logs;
mod metrics;
mod older;
mod policies;
mod table;
mod vitals;

pub use http::{Health, serve};
pub use logs::{LogFormat, start_logs};
pub use metrics::Metrics;
pub use older::OlderNames;
pub use table::{FAMILIES, Family, Kind, OLDER_V0_FAMILIES, OLDER_V1_FAMILIES};
