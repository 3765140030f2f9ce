//! The adapter of the port `Git`, on real servers: folders, smart HTTP with a login, and SSH with host keys.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests prepare folders, run Git, and fail when they cannot"
)]

mod apps;
mod by_github;
mod certificates;
mod clouds;
#[path = "../contract/git.rs"]
mod contract;
mod evicts;
#[path = "../support/faults.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod faults;
#[path = "../identity/jwt.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod jwt;
mod keeps;
mod kills;
mod leads;
mod owns;
mod proxies;
mod server;
mod servers;
mod signs;
mod ssh;
mod stand_in;
mod support;
#[path = "../support/tls.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod tls;
mod trust;
mod writes;
