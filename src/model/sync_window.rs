//! Sync windows of an Argo CD project: when Argo CD syncs its Applications, and when it does not.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Application, Glob};

/// A span of time in which syncs are allowed, or denied, for some Applications of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncWindow {
    /// Whether it allows syncs; else it denies them.
    pub allows: bool,
    /// What people wrote as its schedule.
    pub schedule: String,
    /// When it starts.
    pub starts: Cron,
    /// How long it lasts.
    pub length: SignedDuration,
    /// Whose clocks are meant.
    pub zone: TimeZone,
    /// Whether an Application must fit every list that is not empty; else one is enough.
    pub fits_all: bool,
    /// Names of Applications.
    pub applications: Vec<Glob>,
    /// Namespaces that are deployed to.
    pub namespaces: Vec<Glob>,
    /// Names or addresses of clusters that are deployed to.
    pub clusters: Vec<Glob>,
}

impl SyncWindow {
    /// Whether the window is for `application`.
    pub fn is_for(&self, application: &Application) -> bool {
        let fits = |globs: &[Glob], names: &[&str]| {
            let named = |glob: &Glob| names.iter().any(|name| !name.is_empty() && glob.matches(name));
            (!globs.is_empty()).then(|| globs.iter().any(named))
        };
        let destination = &application.destination;
        let lists = [
            fits(&self.applications, &[&application.id.name]),
            fits(&self.namespaces, &[&destination.namespace]),
            fits(&self.clusters, &[&destination.name, &destination.server]),
        ];
        let mut stated = lists.into_iter().flatten().peekable();
        if self.fits_all { stated.peek().is_some() && stated.all(|fits| fits) } else { stated.any(|fits| fits) }
    }
}

/// Minutes, by the rules of cron: where both days of the month and of the week are stated, one of them is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u64,
    /// Bits 1 to 31; `None`: every day.
    pub days: Option<u64>,
    /// Bits 1 to 12.
    pub months: u64,
    /// Bits 0 (Sunday) to 6; `None`: every day.
    pub weekdays: Option<u64>,
}

impl Cron {
    /// Whether the minute of `time` is one of them.
    pub fn matches(&self, time: DateTime) -> bool {
        let has = |bits: u64, bit: i8| u32::try_from(bit).is_ok_and(|bit| bits >> bit & 1 == 1);
        let day = self.days.map(|days| has(days, time.day()));
        let weekday = self.weekdays.map(|weekdays| has(weekdays, time.weekday().to_sunday_zero_offset()));
        let on_day = match (day, weekday) {
            (Some(day), Some(weekday)) => day || weekday,
            (day, weekday) => day.or(weekday).unwrap_or(true),
        };
        on_day && has(self.months, time.month()) && has(self.hours, time.hour()) && has(self.minutes, time.minute())
    }
}
