//! Durations: `2m`, `1h30m`, `7d`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// It is not made of numbers and units.
    #[error("cannot read the duration `{text}`: `{part}` is not a number with a unit")]
    Part {
        /// What was written.
        text: String,
        /// The part that is wrong.
        part: String,
    },
    /// It is empty.
    #[error("the duration is empty")]
    Empty,
    /// It is longer than time is.
    #[error("the duration `{text}` is too long")]
    TooLong {
        /// What was written.
        text: String,
    },
}

/// What to write in place of a text that is no duration.
pub(super) const HINT: &str = "write numbers with ms, s, m, h, d or w, for example `90s`, `1h30m` or `7d`";

const UNITS: &[(&str, u64)] = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// The duration that `text` states: `500ms`, `2m`, `1h30m`, `1.5h`, `24h`, `7d`, `1w`. A day has 24 hours.
pub fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(InvalidDuration::Empty);
    }
    let too_long = || InvalidDuration::TooLong { text: text.to_owned() };
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let wrong = || InvalidDuration::Part { text: text.to_owned(), part: rest.to_owned() };
        let letters = rest.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.').ok_or_else(wrong)?;
        let (amount, after) = rest.split_at(letters);
        let end = after.find(|symbol: char| !symbol.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(wrong());
        }
        let part = part(whole, fraction, *nanoseconds).ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(total)
}

/// `whole.fraction` units of so many nanoseconds; digits below a nanosecond are cut off.
fn part(whole: &str, fraction: &str, nanoseconds: u64) -> Option<Duration> {
    let whole: u64 = whole.parse().ok()?;
    let fraction = fraction.get(..15).unwrap_or(fraction);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let below = fraction.parse::<u128>().ok()? * u128::from(nanoseconds) / scale;
    let total = u128::from(whole) * u128::from(nanoseconds) + below;
    let seconds = u64::try_from(total / 1_000_000_000).ok().filter(|seconds| *seconds <= MAXIMUM_SECONDS)?;
    Some(Duration::new(seconds, u32::try_from(total % 1_000_000_000).ok()?))
}

/// A thousand years.
const MAXIMUM_SECONDS: u64 = 1000 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_their_parts() {
        for (text, milliseconds) in [
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("1s500ms", 1500),
            ("0s", 0),
            (" 10s ", 10_000),
            ("90s", 90_000),
            ("1w1d1h1m1s1ms", 694_861_001),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in [
            "",
            " ",
            "5",
            "m",
            "5x",
            "5 m",
            "-5m",
            "1h30",
            "1..5h",
            ".5h",
            "5.h",
            "1H",
            "５m",
            "1µs",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn messages_quote_the_wrong_part() {
        let message = |text| duration(text).map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
        insta::assert_snapshot!(message("1h5x"), @"cannot read the duration `1h5x`: `5x` is not a number with a unit");
        insta::assert_snapshot!(message(""), @"the duration is empty");
        insta::assert_snapshot!(message("99999999w"), @"the duration `99999999w` is too long");
    }
}
