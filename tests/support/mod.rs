//! What tests share: servers with faults, and the small ports around a client.

pub mod faults;
pub mod ports;
pub mod tls;
