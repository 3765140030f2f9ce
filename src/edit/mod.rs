//! Text and a change → text with every other byte as it was.
//!
//! Invariant: pure. No file, no clock, no log; a change that cannot be made exactly is refused.

pub mod yaml;
