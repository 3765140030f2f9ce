//! Forges: one contract for all, on stand-ins that keep state and answer in the documented shapes; and the life of a pull request on each.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need the rest")]
mod support;

#[path = "../world/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need the rest")]
mod world;

mod commit;
mod contract;
mod decide;
mod faults;
mod flow;
mod gitea;
mod github;
mod gitlab;
mod site;
mod story;
