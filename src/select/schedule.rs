//! Whether a schedule lets changes be written now, and when that changes.

use jiff::civil::{Date, Time};
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::model::{Closed, Reason, Schedule, Window};

/// Windows repeat every week; a day more covers what changes of the clocks move.
const DAYS_AHEAD: i64 = 9;

/// Why nothing may be written at `now`; `None` when it may.
pub fn closed(schedule: &Schedule, now: Timestamp) -> Option<Closed> {
    let spans = Spans::around(schedule, now);
    if spans.open_at(now) {
        return None;
    }
    let horizon = now.checked_add(SignedDuration::from_hours(24 * DAYS_AHEAD)).unwrap_or(Timestamp::MAX);
    let mut ahead = spans.boundaries().into_iter().filter(|boundary| now < *boundary && *boundary < horizon);
    let until = ahead.find(|time| spans.open_at(*time));
    let zone = schedule.windows.first().map_or(TimeZone::UTC, |window| window.zone.clone());
    let when = until.map(|until| until.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string());
    let in_closed = spans.closed.iter().any(|span| span.holds(now));
    let now_is = if in_closed { "in a closed window" } else { "outside of the open windows" };
    let message = match when {
        Some(when) => format!("now is {now_is} of the schedule; it opens {when}"),
        None => format!("now is {now_is} of the schedule, and it does not open within {DAYS_AHEAD} days"),
    };
    Some(Closed { reason: Reason::OutsideWindow, message, until })
}

/// The times at which windows are around now.
struct Spans {
    open: Vec<Span>,
    closed: Vec<Span>,
    /// Whether any window opens; without one, all time is open that no window closes.
    only_within_open: bool,
}

/// From a time on, up to another.
struct Span {
    start: Timestamp,
    end: Timestamp,
}

impl Span {
    fn holds(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }
}

impl Spans {
    fn around(schedule: &Schedule, now: Timestamp) -> Self {
        let spans = |opens: bool| {
            let windows = schedule.windows.iter().filter(move |window| window.opens == opens);
            windows.flat_map(|window| occurrences(window, now)).collect()
        };
        Self {
            open: spans(true),
            closed: spans(false),
            only_within_open: schedule.windows.iter().any(|window| window.opens),
        }
    }

    fn open_at(&self, time: Timestamp) -> bool {
        let opened = !self.only_within_open || self.open.iter().any(|span| span.holds(time));
        opened && !self.closed.iter().any(|span| span.holds(time))
    }

    fn boundaries(&self) -> Vec<Timestamp> {
        let starts = self.open.iter().map(|span| span.start);
        let mut boundaries: Vec<_> = starts.chain(self.closed.iter().map(|span| span.end)).collect();
        boundaries.sort_unstable();
        boundaries
    }
}

/// Where a window lies on the days around now, by the clocks of its zone. What the clocks skip lies behind the gap; of an
/// hour that they repeat a window starts in the first one, an open window ends in the first, a closed one in the second.
fn occurrences(window: &Window, now: Timestamp) -> Vec<Span> {
    let today = now.to_zoned(window.zone.clone()).date();
    let days = (-2..=DAYS_AHEAD + 2).filter_map(|offset| today.checked_add(offset.days()).ok());
    let on_day = |day: &Date| window.days.is_empty() || window.days.contains(&day.weekday());
    let end_choice = if window.opens { Disambiguation::Compatible } else { Disambiguation::Later };
    let span = |day: Date| {
        let start = at(&window.zone, day, window.start, Disambiguation::Compatible)?;
        let end_time = window.end.unwrap_or(Time::midnight());
        let end_day = if window.end.is_some_and(|end| end > window.start) { day } else { day.tomorrow().ok()? };
        let end = at(&window.zone, end_day, end_time, end_choice)?;
        Some(Span { start, end })
    };
    days.filter(on_day).filter_map(span).collect()
}

fn at(zone: &TimeZone, day: Date, time: Time, choice: Disambiguation) -> Option<Timestamp> {
    let zoned: Zoned = zone.to_ambiguous_zoned(day.to_datetime(time)).disambiguate(choice).ok()?;
    Some(zoned.timestamp())
}
