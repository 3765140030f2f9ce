//! Versions as people write them in tags.

use semver::{BuildMetadata, Prerelease, Version};

/// A semantic version, read loosely, and how much of it was written.
///
/// `v1.2` is 1.2.0 with two parts written. Leading zeros and one leading `v` are allowed, missing parts are 0. Build
/// metadata is checked and left out, because it never orders anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseVersion {
    /// The version.
    pub version: Version,
    /// How many of major, minor and patch were written.
    pub parts: u8,
}

impl LooseVersion {
    /// The version that `text` is; `None` when it is none, or a number is beyond 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let end = rest.find(['-', '+']).unwrap_or(rest.len());
        let (core, suffix) = rest.split_at(end);
        let mut numbers = [0; 3];
        let mut parts = 0;
        for part in core.split('.') {
            *numbers.get_mut(usize::from(parts))? = number(part)?;
            parts += 1;
        }
        let pre = pre_release(suffix)?;
        let [major, minor, patch] = numbers;
        Some(Self { version: Version { major, minor, patch, pre, build: BuildMetadata::EMPTY }, parts })
    }
}

/// The number that the digits of `text` are; `None` for anything else, and beyond 64 bits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The pre-release in a suffix `[-pre][+build]`.
pub(super) fn pre_release(suffix: &str) -> Option<Prerelease> {
    let (pre, build) = match suffix.split_once('+') {
        None => (suffix, None),
        Some((pre, build)) => (pre, Some(build)),
    };
    if build.is_some_and(|build| build.is_empty() || BuildMetadata::new(build).is_err()) {
        return None;
    }
    match pre.strip_prefix('-') {
        None => Some(Prerelease::EMPTY),
        Some("") => None,
        Some(pre) => Prerelease::new(pre).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u8)>) {
        let found = LooseVersion::parse(text).map(|loose| (loose.version.to_string(), loose.parts));
        assert_eq!(found, expected.map(|(version, parts)| (version.to_owned(), parts)), "{text}");
    }

    #[test]
    fn versions_are_read_loosely() {
        for (text, expected) in [
            ("1.2.3", Some(("1.2.3", 3))),
            ("v1.2.3", Some(("1.2.3", 3))),
            ("1.2", Some(("1.2.0", 2))),
            ("v1", Some(("1.0.0", 1))),
            ("1.02.003", Some(("1.2.3", 3))),
            ("20240101", Some(("20240101.0.0", 1))),
            ("2024.01.02", Some(("2024.1.2", 3))),
            ("1.2.3-alpine3.18", Some(("1.2.3-alpine3.18", 3))),
            ("3.18-slim-bookworm", Some(("3.18.0-slim-bookworm", 2))),
            ("1-rc.1", Some(("1.0.0-rc.1", 1))),
            ("1.2.3-0", Some(("1.2.3-0", 3))),
            ("1.2.3+build.01", Some(("1.2.3", 3))),
            ("1.2.3-rc.1+build", Some(("1.2.3-rc.1", 3))),
            ("18446744073709551615", Some(("18446744073709551615.0.0", 1))),
            ("18446744073709551616", None),
            ("00000000000000000000001", Some(("1.0.0", 1))),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn other_texts_are_no_versions() {
        for text in [
            "",
            "v",
            "V1.2.3",
            "vv1",
            "latest",
            "1.2.3.4",
            "1.2.3_1",
            "1.2.3-01",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3+",
            "1..2",
            ".1",
            "1.",
            "-1",
            "+1",
            "1.2.x",
            "1.2-rc_1",
            "１.2",
        ] {
            check(text, None);
        }
    }
}
