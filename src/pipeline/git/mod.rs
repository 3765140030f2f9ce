//! Writing to Git: where a version stands in a file, what is changed there, and how the commit looks. Decisions are pure.

mod change;
mod message;

pub use change::{ChangeError, changed};
pub use message::{combined, trailers};
