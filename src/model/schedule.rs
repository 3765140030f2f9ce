//! When changes may be written.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::Reason;

/// When changes may be written: within an open window if there are any, and within no closed one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    /// Its windows. None: always open.
    pub windows: Vec<Window>,
}

/// A span of time on some days of the week, by the clocks of one time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Whether changes may be written within it.
    pub opens: bool,
    /// Days on which it starts; empty: every day.
    pub days: Vec<Weekday>,
    /// When it starts.
    pub start: Time,
    /// When it ends: on the same day if after `start`, else on the next. `None`: with the day on which it starts.
    pub end: Option<Time>,
    /// Whose clocks are meant.
    pub zone: TimeZone,
}

/// Why nothing may be written now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The word for it.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
    /// When it ends, where that is known.
    pub until: Option<Timestamp>,
}
