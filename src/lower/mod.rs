//! Users' text → model, with problems that point at that text. Pure and total: nothing here fails, asks or waits.

pub mod annotation;
mod constraint;
pub mod docker_config;
mod duration;
mod nearest;
mod rule;
mod schedule;

pub use duration::{InvalidDuration, duration};
pub use rule::{Dialect, rule};
pub use schedule::schedule;
