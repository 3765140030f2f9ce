//! When a schedule is closed, and until when; across midnight and changes of the clocks.

use fairlead::api::{DaySpec, ScheduleSpec, ScheduleWindowSpec, WindowKind};
use fairlead::lower::schedule;
use fairlead::select::closed;

/// Windows: `Open Mon,Tue 09:00-17:00 Europe/Berlin; Closed * -12:00 UTC`.
fn spec(text: &str) -> ScheduleSpec {
    let window = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (start, end) = words[2].split_once('-').unwrap();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ScheduleWindowSpec {
            kind: if words[0] == "Open" { WindowKind::Open } else { WindowKind::Closed },
            days: words[1].split(',').filter(|day| *day != "*").map(|day| DaySpec(day.to_owned())).collect(),
            start: some(start),
            end: some(end),
            time_zone: words.get(3).map(|zone| (*zone).to_owned()),
        }
    };
    ScheduleSpec { windows: text.split(';').filter(|text| !text.trim().is_empty()).map(window).collect() }
}

/// `open`, or until when it is closed.
fn state(windows: &str, now: &str) -> String {
    let (schedule, problems) = schedule(&spec(windows), "spec.schedule");
    let schedule = schedule.unwrap_or_else(|| panic!("{problems:?}"));
    match closed(&schedule, now.parse().unwrap()) {
        None => "open".to_owned(),
        Some(closed) => closed.until.map_or("never".to_owned(), |until| until.to_string()),
    }
}

#[test]
fn windows_open_and_close() {
    // 2026-01-05 is a Monday.
    for (windows, now, expected) in [
        ("Open * 09:00-17:00", "2026-01-05T08:59:59Z", "2026-01-05T09:00:00Z"),
        ("Open * 09:00-17:00", "2026-01-05T09:00:00Z", "open"),
        ("Open * 09:00-17:00", "2026-01-05T16:59:59Z", "open"),
        ("Open * 09:00-17:00", "2026-01-05T17:00:00Z", "2026-01-06T09:00:00Z"),
        ("Open Mon 09:00-17:00", "2026-01-05T17:00:00Z", "2026-01-12T09:00:00Z"),
        ("Open Mon,Wed 09:00-17:00", "2026-01-05T18:00:00Z", "2026-01-07T09:00:00Z"),
        ("Open Sat,Sun -", "2026-01-05T00:00:00Z", "2026-01-10T00:00:00Z"),
        ("Open Sat,Sun -", "2026-01-10T00:00:00Z", "open"),
        ("Open Sat,Sun -", "2026-01-11T23:59:59Z", "open"),
        ("Open * -12:00", "2026-01-05T11:59:59Z", "open"),
        ("Open * 12:00-", "2026-01-05T23:59:59Z", "open"),
        ("Open * 12:00-24:00", "2026-01-05T23:59:59Z", "open"),
        ("Open * 12:00-24:00", "2026-01-06T00:00:00Z", "2026-01-06T12:00:00Z"),
        ("Open * 12:00-12:00", "2026-01-06T00:00:00Z", "open"),
        ("Closed * 09:00-17:00", "2026-01-05T08:59:59Z", "open"),
        ("Closed * 09:00-17:00", "2026-01-05T09:00:00Z", "2026-01-05T17:00:00Z"),
        ("Closed * 09:00-17:00", "2026-01-05T17:00:00Z", "open"),
        ("Closed Fri 12:00-; Closed Sat,Sun -", "2026-01-09T12:00:00Z", "2026-01-12T00:00:00Z"),
        ("Closed * -", "2026-01-05T09:00:00Z", "never"),
        ("Open * 09:00-17:00; Closed * 12:00-13:00", "2026-01-05T12:30:00Z", "2026-01-05T13:00:00Z"),
        ("Open * 09:00-17:00; Closed * 16:00-18:00", "2026-01-05T16:30:00Z", "2026-01-06T09:00:00Z"),
        ("Open * 09:00-12:00; Open * 11:00-14:00", "2026-01-05T13:00:00Z", "open"),
        ("Open * 09:00-17:00; Closed * 08:00-18:00", "2026-01-05T09:00:00Z", "never"),
    ] {
        assert_eq!(state(windows, now), expected, "{windows} at {now}");
    }
}

#[test]
fn windows_run_over_midnight() {
    for (windows, now, expected) in [
        ("Open * 22:00-06:00", "2026-01-05T23:00:00Z", "open"),
        ("Open * 22:00-06:00", "2026-01-05T05:59:59Z", "open"),
        ("Open * 22:00-06:00", "2026-01-05T06:00:00Z", "2026-01-05T22:00:00Z"),
        ("Open Fri 22:00-06:00", "2026-01-10T05:00:00Z", "open"),
        ("Open Fri 22:00-06:00", "2026-01-09T05:00:00Z", "2026-01-09T22:00:00Z"),
        ("Closed Sun 22:00-06:00", "2026-01-05T05:00:00Z", "2026-01-05T06:00:00Z"),
        ("Open * 22:00-00:00", "2026-01-05T23:00:00Z", "open"),
        ("Open * 22:00-00:00", "2026-01-06T00:00:00Z", "2026-01-06T22:00:00Z"),
    ] {
        assert_eq!(state(windows, now), expected, "{windows} at {now}");
    }
}

#[test]
fn windows_follow_the_clocks_of_their_zone() {
    // Berlin: clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
    for (windows, now, expected) in [
        ("Open * 09:00-17:00 Europe/Berlin", "2026-01-05T08:00:00Z", "open"),
        ("Open * 09:00-17:00 Europe/Berlin", "2026-07-06T07:00:00Z", "open"),
        ("Open * 09:00-17:00 Europe/Berlin", "2026-07-06T15:00:00Z", "2026-07-07T07:00:00Z"),
        ("Open * 09:00-17:00 Europe/Berlin", "2026-03-28T17:00:00Z", "2026-03-29T07:00:00Z"),
        ("Open * 09:00-17:00 America/New_York", "2026-01-05T14:00:00Z", "open"),
        ("Open Mon 00:00-01:00 Asia/Tokyo", "2026-01-04T15:30:00Z", "open"),
        ("Open * 02:30-04:00 Europe/Berlin", "2026-03-29T01:10:00Z", "2026-03-29T01:30:00Z"),
        ("Open * 02:30-04:00 Europe/Berlin", "2026-03-29T01:30:00Z", "open"),
        ("Open * 02:30-04:00 Europe/Berlin", "2026-03-29T02:00:00Z", "2026-03-30T00:30:00Z"),
        ("Open * 01:00-02:30 Europe/Berlin", "2026-10-25T00:29:00Z", "open"),
        ("Open * 01:00-02:30 Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T00:00:00Z"),
        ("Closed * 01:00-02:30 Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),
        ("Closed * 23:00-05:00 Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T04:00:00Z"),
        ("Closed * 23:00-05:00 Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T03:00:00Z"),
    ] {
        assert_eq!(state(windows, now), expected, "{windows} at {now}");
    }
}

#[test]
fn messages_say_when_it_opens() {
    let say = |windows: &str, now: &str| {
        let schedule = schedule(&spec(windows), "spec.schedule").0.unwrap();
        closed(&schedule, now.parse().unwrap()).unwrap().message
    };
    insta::assert_snapshot!(say("Open Mon 09:00-17:00 Europe/Berlin", "2026-07-07T00:00:00Z"), @"now is outside of the open windows of the schedule; it opens Mon 2026-07-13 09:00 CEST");
    insta::assert_snapshot!(say("Closed * 09:00-17:00", "2026-01-05T09:00:00Z"), @"now is in a closed window of the schedule; it opens Mon 2026-01-05 17:00 UTC");
    insta::assert_snapshot!(say("Closed * -", "2026-01-05T09:00:00Z"), @"now is in a closed window of the schedule, and it does not open within 9 days");
}

#[test]
fn a_part_that_cannot_be_read_gives_no_schedule() {
    let problems = |windows: &str| {
        let (schedule, problems) = schedule(&spec(windows), "spec.schedule");
        assert!(schedule.is_none());
        problems.iter().map(|problem| format!("{}: {problem}", problem.reason)).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(problems(""), @"InvalidSchedule: spec.schedule.windows: the schedule has no windows; leave out the schedule to write at any time");
    insta::assert_snapshot!(problems("Open Monday 09:00-17:00"), @"InvalidSchedule: spec.schedule.windows[0].days[0]: `Monday` is not a day of the week; did you mean `Mon`?");
    insta::assert_snapshot!(problems("Open Xyz 09:00-17:00"), @"InvalidSchedule: spec.schedule.windows[0].days[0]: `Xyz` is not a day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun");
    insta::assert_snapshot!(problems("Open * 9:00-25:00"), @r#"
        InvalidSchedule: spec.schedule.windows[0].start: `9:00` is not a time of day; write hours and minutes, for example `07:30`
        InvalidSchedule: spec.schedule.windows[0].end: `25:00` is not a time of day; write hours and minutes, for example `07:30`
        "#);
    insta::assert_snapshot!(problems("Open * 09:00-17:00 Europe/Atlantis"), @"InvalidSchedule: spec.schedule.windows[0].timeZone: there is no time zone `Europe/Atlantis`; write a name of the IANA list, for example `Europe/Berlin`");
    insta::assert_snapshot!(problems("Open * 24:00-17:00; Open mon 09:00-1700 Mars"), @r#"
        InvalidSchedule: spec.schedule.windows[0].start: `24:00` is not a time of day; write hours and minutes, for example `07:30`
        InvalidSchedule: spec.schedule.windows[1].end: `1700` is not a time of day; write hours and minutes, for example `07:30`
        InvalidSchedule: spec.schedule.windows[1].days[0]: `mon` is not a day of the week; did you mean `Mon`?
        InvalidSchedule: spec.schedule.windows[1].timeZone: there is no time zone `Mars`; write a name of the IANA list, for example `Europe/Berlin`
        "#);
}
