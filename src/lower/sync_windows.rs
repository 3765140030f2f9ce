//! The sync windows of an Argo CD project → model.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::api;
use crate::model::{Cron, Glob, SyncWindow};

use super::duration::duration;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Words for whole schedules, and what they stand for.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
/// A longer window is not judged, because every minute of it is looked at.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// The windows of a project.
///
/// # Errors
/// A sentence where one of them cannot be read: half of the windows may allow what all of them deny.
pub fn sync_windows(project: &api::AppProject) -> Result<Vec<SyncWindow>, String> {
    let windows = project.spec.sync_windows.iter().flatten();
    windows.map(|text| window(text).map_err(|cause| format!("the window `{}`: {cause}", text.schedule))).collect()
}

fn window(text: &api::SyncWindowText) -> Result<SyncWindow, String> {
    let allows = match text.kind.as_str() {
        "allow" => true,
        "deny" => false,
        other => return Err(format!("`{other}` is no kind of window")),
    };
    let length = duration(&text.duration).map_err(|error| error.to_string())?;
    let length = SignedDuration::try_from(length).ok().filter(|length| *length <= LONGEST);
    let zone = if text.time_zone.is_empty() { "UTC" } else { &text.time_zone };
    Ok(SyncWindow {
        allows,
        schedule: text.schedule.clone(),
        starts: cron(&text.schedule)?,
        length: length.ok_or_else(|| format!("`{}` is longer than a year", text.duration))?,
        zone: TimeZone::get(zone).map_err(|_| format!("there is no time zone `{zone}`"))?,
        fits_all: text.and_operator,
        applications: globs(text.applications.as_deref())?,
        namespaces: globs(text.namespaces.as_deref())?,
        clusters: globs(text.clusters.as_deref())?,
    })
}

/// Argo CD's globs also know classes and alternatives, which are not read here.
fn globs(texts: Option<&[String]>) -> Result<Vec<Glob>, String> {
    let glob = |text: &String| {
        if text.contains(['[', '{', '\\', '!']) {
            return Err(format!("the pattern `{text}` is not understood here"));
        }
        Ok(Glob::new(text.as_str()))
    };
    texts.unwrap_or_default().iter().map(glob).collect()
}

fn cron(text: &str) -> Result<Cron, String> {
    let wrong = || format!("`{text}` is no schedule of five fields");
    let words = WORDS.iter().find(|(word, _)| *word == text.trim()).map_or(text, |(_, meaning)| meaning);
    let fields: Vec<&str> = words.split_whitespace().collect();
    let &[minutes, hours, days, months, weekdays] = fields.as_slice() else { return Err(wrong()) };
    let every = |field: &str| field.starts_with(['*', '?']);
    let days_of = |field: &str, first, last, names: &[&str]| {
        let bits = bits(field, first, last, names).ok_or_else(wrong)?;
        Ok::<_, String>((bits != every_bit(first, last) || !every(field)).then_some(bits))
    };
    // Whether `*/2` is a star, for the rule that one of both days is enough, is not the same everywhere.
    let (days, weekdays) = match (days_of(days, 1, 31, &[])?, days_of(weekdays, 0, 6, &WEEKDAYS)?) {
        (Some(_), Some(_)) if every(days) || every(weekdays) => return Err(wrong()),
        both => both,
    };
    Ok(Cron {
        minutes: bits(minutes, 0, 59, &[]).ok_or_else(wrong)?,
        hours: bits(hours, 0, 23, &[]).ok_or_else(wrong)?,
        days,
        months: bits(months, 1, 12, &MONTHS).ok_or_else(wrong)?,
        weekdays,
    })
}

fn every_bit(first: u32, last: u32) -> u64 {
    (first..=last).fold(0, |bits, bit| bits | 1 << bit)
}

/// One field: parts with commas, each a value, a range or a star, with a step or without.
fn bits(field: &str, first: u32, last: u32, names: &[&str]) -> Option<u64> {
    let number = |text: &str| {
        let word = names.iter().zip(first..).find(|(name, _)| text.eq_ignore_ascii_case(name));
        word.map(|(_, number)| number).or_else(|| text.parse().ok())
    };
    field.split(',').try_fold(0, |bits, part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" || range == "?" => (first, last),
            None => (number(range)?, step.map_or(number(range)?, |_| last)),
        };
        let step: usize = step.map_or(Some(1), |step| step.parse().ok())?;
        let fits = first <= from && from <= to && to <= last && step > 0;
        fits.then(|| (from..=to).step_by(step).fold(bits, |bits, bit| bits | 1 << bit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        for (text, time, expected) in [
            ("* * * * *", "2026-06-01T12:34:00", true),
            ("30 12 * * *", "2026-06-01T12:30:00", true),
            ("30 12 * * *", "2026-06-01T12:31:00", false),
            ("*/15 8-17 * * MON-FRI", "2026-06-01T08:45:00", true),
            ("*/15 8-17 * * MON-FRI", "2026-06-01T08:46:00", false),
            ("*/15 8-17 * * mon-fri", "2026-06-06T08:45:00", false),
            ("5/20 * * * *", "2026-06-01T08:45:00", true),
            ("0 0 1 * *", "2026-06-01T00:00:00", true),
            ("0 0 13 * 1", "2026-06-01T00:00:00", true),
            ("0 0 13 * 1", "2026-06-13T00:00:00", true),
            ("0 0 13 * 1", "2026-06-12T00:00:00", false),
            ("0 0 1,15 jan,jun *", "2026-06-15T00:00:00", true),
            ("@weekly", "2026-06-07T00:00:00", true),
            ("@daily", "2026-06-07T01:00:00", false),
        ] {
            let cron = cron(text).expect("a schedule");
            assert_eq!(cron.matches(time.parse().expect("a time")), expected, "{text} {time}");
        }
        for text in ["", "* * * *", "60 * * * *", "* * * * 7", "5-3 * * * *", "*/0 * * * *", "0 0 */2 * 1", "@every 1h"]
        {
            assert!(cron(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_that_is_not_understood_leaves_none() {
        let read = |change: &dyn Fn(&mut api::SyncWindowText)| {
            let mut text = api::SyncWindowText {
                kind: "deny".to_owned(),
                schedule: "* * * * *".to_owned(),
                duration: "1h".to_owned(),
                ..api::SyncWindowText::default()
            };
            change(&mut text);
            let spec = api::AppProjectSpec { sync_windows: Some(vec![text]), ..api::AppProjectSpec::default() };
            sync_windows(&api::AppProject { spec, ..api::AppProject::default() })
        };
        assert_eq!(read(&|_| {}).map(|windows| windows.len()), Ok(1));
        let mut said = Vec::new();
        said.extend(read(&|text| text.kind = "Deny".to_owned()).err());
        said.extend(read(&|text| text.schedule = "always".to_owned()).err());
        said.extend(read(&|text| text.duration = "9000h".to_owned()).err());
        said.extend(read(&|text| text.time_zone = "Europe/Nowhere".to_owned()).err());
        said.extend(read(&|text| text.applications = Some(vec!["{a,b}".to_owned()])).err());
        insta::assert_snapshot!(said.join("\n"), @r"
        the window `* * * * *`: `Deny` is no kind of window
        the window `always`: `always` is no schedule of five fields
        the window `* * * * *`: `9000h` is longer than a year
        the window `* * * * *`: there is no time zone `Europe/Nowhere`
        the window `* * * * *`: the pattern `{a,b}` is not understood here
        ");
    }
}
