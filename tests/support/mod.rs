//! What tests share: servers with faults, and the small ports around a client.

pub mod faults;
pub mod ports;
#[allow(dead_code, reason = "shared with tests that need another part")]
pub mod tls;
