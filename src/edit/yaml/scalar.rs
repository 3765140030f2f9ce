//! How a text is written as a YAML scalar.

use std::fmt::Write as _;
use std::sync::LazyLock;

use granit_parser::ScalarStyle;
use regex::Regex;

/// Around a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// Nothing, where that reads back as the same text.
    None,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
}

/// Where a scalar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Within block style alone.
    Block,
    /// Within `[…]` or `{…}`.
    Flow,
}

/// Numbers, times and dates of YAML 1.1 and 1.2, as any loader may understand them.
static NUMBER_OR_DATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(
            [-+]? [0-9] [0-9_,]* \.? [0-9_]* ([eE] [-+]? [0-9_]+)?
          | [-+]? \. [0-9_]+ ([eE] [-+]? [0-9_]+)?
          | [-+]? 0 [xX] [0-9a-fA-F_]+
          | [-+]? 0 [oO] [0-7_]+
          | [-+]? 0 [bB] [01_]+
          | [-+]? [0-9] [0-9_]* (: [0-9]{1,2})+ (\. [0-9_]*)?
          | [-+]? \. ([iI][nN][fF] | [nN][aA][nN])
          | [0-9]{4} - [0-9]{1,2} - [0-9]{1,2} ([Tt\s] .*)?
        )$",
    )
    .expect("the pattern is constant and valid")
});

/// Words that YAML 1.1 or 1.2 reads as something else than text, in lower case.
const WORDS: &[&str] = &["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "="];

/// Whether `text`, written without quotes, is a text to every loader: no number, date, boolean or null under YAML 1.1 or 1.2.
pub fn reads_as_text(text: &str) -> bool {
    // Some loaders take `_` away wherever it stands in what begins like a number: `0_x1F` is 31.
    let begins_as_number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    let number = NUMBER_OR_DATE.is_match(text)
        || (begins_as_number && text.contains('_') && NUMBER_OR_DATE.is_match(&text.replace('_', "")));
    !WORDS.contains(&text.to_ascii_lowercase().as_str()) && !number
}

/// Whether `text` can stand without quotes and reads back as itself.
fn can_be_plain(text: &str, context: Context) -> bool {
    let starts_well = text.starts_with(|first: char| !"-?:,[]{}#&*!|>'\"%@`".contains(first) && !first.is_whitespace());
    let ends_well = !text.ends_with([' ', '\t', ':']);
    let clean = !text.contains(": ") && !text.contains(" #") && text.chars().all(is_plain_character);
    let fits = context == Context::Block || !text.contains([',', '[', ']', '{', '}']);
    starts_well && ends_well && clean && fits && !text.starts_with("...") && reads_as_text(text)
}

fn is_plain_character(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// `text` as a scalar that reads back as that text: quoted as asked, or more strongly where it must be. A text that may be
/// plain but must not stays within `otherwise`.
pub(super) fn scalar(text: &str, quote: Quote, otherwise: Quote, context: Context) -> String {
    match quote {
        Quote::None if can_be_plain(text, context) => text.to_owned(),
        Quote::None if otherwise == Quote::None => scalar(text, Quote::Double, Quote::Double, context),
        Quote::None => scalar(text, otherwise, Quote::Double, context),
        Quote::Single if text.chars().all(is_plain_character) => format!("'{}'", text.replace('\'', "''")),
        Quote::Single | Quote::Double => double_quoted(text),
    }
}

/// `text` in double quotes, with escapes that JSON knows too.
fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if is_plain_character(other) => quoted.push(other),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    write!(quoted, "\\u{unit:04x}").expect("writing into a string never fails");
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

impl Quote {
    /// The quotes of a scalar that is there; `None` for block scalars.
    pub(super) fn of(style: ScalarStyle) -> Option<Self> {
        match style {
            ScalarStyle::Plain => Some(Self::None),
            ScalarStyle::SingleQuoted => Some(Self::Single),
            ScalarStyle::DoubleQuoted => Some(Self::Double),
            ScalarStyle::Literal | ScalarStyle::Folded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn only_what_every_loader_reads_as_text_stays_plain() {
        for text in [
            "1.2.3",
            "v1.10",
            "1.10.0-rc.1",
            "latest",
            "abc1234",
            "1e5abcd",
            "2024-01",
            "2024.01.02",
            "20240101-abc",
            "sha-0123",
            "ghcr.io/org/app:1.0",
            "a=b:1@sha256:0123",
            "0xyz",
            "1-2",
            "truely",
            "-rc"[1..].as_ref(),
            "1..2",
            "_1",
            "v1_2",
            "1_2_a",
        ] {
            assert_eq!(scalar(text, Quote::None, Quote::Double, Context::Block), text);
        }
        for text in [
            "",
            "1",
            "1.10",
            "1.",
            ".5",
            "1e3",
            "1E5",
            "1.5e-3",
            "0123",
            "1234567",
            "1e50000",
            "0x1f",
            "0o17",
            "0b11",
            "1_000",
            "0_x1F",
            "0_b11",
            "0_o7",
            "1_.e_3",
            "-_1",
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "true",
            "FALSE",
            "null",
            "~",
            "12:30:45",
            "1:20",
            "2024-01-02",
            "2024-1-2T10:00:00Z",
            ".inf",
            "-.INF",
            ".NaN",
            "+1",
            "-1.5",
            "<<",
            "=",
            "20240101",
            "a: b",
            "a #b",
            "a:",
            "#a",
            "-a",
            "*a",
            "&a",
            "!a",
            "@a",
            "%a",
            "`a",
            "- a",
            "[a]",
            "{a}",
            " a",
            "a ",
            "---",
            "...",
            "a\nb",
            "|",
            ">",
        ] {
            let written = scalar(text, Quote::None, Quote::Double, Context::Block);
            assert!(written.starts_with('"'), "{text:?} became {written}");
        }
        assert_eq!(scalar("a,b", Quote::None, Quote::Single, Context::Flow), "'a,b'");
        assert_eq!(scalar("a,b", Quote::None, Quote::Single, Context::Block), "a,b");
    }

    #[test]
    fn quotes_are_kept_and_escaped() {
        assert_eq!(scalar("a", Quote::Single, Quote::Double, Context::Block), "'a'");
        assert_eq!(scalar("it's", Quote::Single, Quote::Double, Context::Block), "'it''s'");
        assert_eq!(scalar("a\tb", Quote::Single, Quote::Double, Context::Block), "\"a\\tb\"");
        assert_eq!(
            scalar("a\"\\\u{1}\u{feff}😀", Quote::Double, Quote::Double, Context::Block),
            r#""a\"\\\u0001\ufeff😀""#
        );
    }
}
