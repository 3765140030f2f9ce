//! Schedules: when changes may be written.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use crate::api::{DaySpec, ScheduleSpec, ScheduleWindowSpec, WindowKind};
use crate::model::{Problem, Reason, Schedule, Window};

use super::nearest::nearest;

const DAYS: &[(&str, Weekday)] = &[
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// The schedule that `spec` states. With a part that cannot be read there is none: half a schedule may be open when it
/// should be closed.
pub fn schedule(spec: &ScheduleSpec, place: &str) -> (Option<Schedule>, Vec<Problem>) {
    let mut problems = Vec::new();
    if spec.windows.is_empty() {
        let problem = Problem::new(Reason::InvalidSchedule, "the schedule has no windows");
        problems.push(problem.at(format!("{place}.windows")).hint("leave out the schedule to write at any time"));
    }
    let mut windows = Vec::new();
    for (index, window) in spec.windows.iter().enumerate() {
        match read_window(window, &format!("{place}.windows[{index}]")) {
            Ok(window) => windows.push(window),
            Err(found) => problems.extend(found),
        }
    }
    (problems.is_empty().then_some(Schedule { windows }), problems)
}

fn read_window(spec: &ScheduleWindowSpec, place: &str) -> Result<Window, Vec<Problem>> {
    let ScheduleWindowSpec { kind, days, start, end, time_zone } = spec;
    let mut problems = Vec::new();
    let mut note = |found: Result<Option<Time>, Problem>| {
        found.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })
    };
    let start = note(start.as_deref().map(|text| clock(text, &format!("{place}.start"))).transpose());
    let end = note(match end.as_deref() {
        None | Some("24:00") => Ok(None),
        Some(text) => clock(text, &format!("{place}.end")).map(Some),
    });
    let mut weekdays = Vec::new();
    for (index, DaySpec(text)) in days.iter().enumerate() {
        match DAYS.iter().find(|(word, _)| word == text) {
            Some((_, day)) => weekdays.push(*day),
            None => problems.push(unknown_day(text, &format!("{place}.days[{index}]"))),
        }
    }
    let zone_name = time_zone.as_deref().unwrap_or("UTC");
    let zone = TimeZone::get(zone_name).map_err(|_| {
        let problem = Problem::new(Reason::InvalidSchedule, format!("there is no time zone `{zone_name}`"));
        problem.at(format!("{place}.timeZone")).hint("write a name of the IANA list, for example `Europe/Berlin`")
    });
    match zone {
        Ok(zone) if problems.is_empty() => {
            let opens = matches!(kind, WindowKind::Open);
            Ok(Window { opens, days: weekdays, start: start.unwrap_or(Time::midnight()), end, zone })
        }
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

fn clock(text: &str, place: &str) -> Result<Time, Problem> {
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = text.split_once(':').filter(|(hour, minute)| digits(hour) && digits(minute));
    let time = time.and_then(|(hour, minute)| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok());
    time.ok_or_else(|| {
        let problem = Problem::new(Reason::InvalidSchedule, format!("`{text}` is not a time of day"));
        problem.at(place).hint("write hours and minutes, for example `07:30`")
    })
}

fn unknown_day(text: &str, place: &str) -> Problem {
    let problem = Problem::new(Reason::InvalidSchedule, format!("`{text}` is not a day of the week")).at(place);
    match nearest(text.get(..3).unwrap_or(text), DAYS.iter().map(|(word, _)| *word)) {
        Some(word) => problem.hint(format!("did you mean `{word}`?")),
        None => problem.hint("write Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
    }
}
