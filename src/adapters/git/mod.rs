//! Git, by the `git` executable: reading at the tip of a branch, and one queue for each branch that is written.
//!
//! Why the executable, and how it is kept from everything else: `docs/architecture.md`.

mod address;
mod apply;
mod by_forge;
mod command;
mod commit;
mod copies;
mod engine;
mod failure;
mod github_app;
mod homes;
mod logins;
mod mirror;
mod objects;
mod observe;
mod ownership;
mod private;
mod process;
mod proxy;
mod queue;
mod reads;
mod refs;
mod remove;
mod round;
mod session;
mod sign;
mod tips;
mod tree;

pub use engine::{GitEngine, GitSettings, proxy_of_environment};
pub use logins::{ConfigMaps, SecretLogins};
pub use observe::{GitObserver, GitOperation};
pub use proxy::connect_by_proxy;
