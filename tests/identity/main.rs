//! Logins of clouds, from stand-ins for their services that check every signature, audience and header.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need the rest")]
mod support;

mod aws;
mod azure;
mod git;
mod google;
mod hours;
mod jwt;
mod limits;
mod secrecy;
mod stand_in;
