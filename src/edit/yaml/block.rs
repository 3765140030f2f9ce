//! Literal block scalars (`|`), changed line by line: lines that stay keep their bytes.

use super::splice::Splice;
use super::tree::{Parsed, Tree};

/// A line of the scalar's text, where it stands.
struct Line<'a> {
    start: usize,
    value: &'a str,
}

/// The bytes to change for the literal scalar `old` to hold `new` instead of `text`; `None` where its header or indentation would
/// have to change, too.
pub(super) fn literal(parsed: &Parsed<'_>, old: &Tree, text: &str, new: &str) -> Option<Splice> {
    // How a block ends is said by its header, which stays.
    if trailing_newlines(text) != trailing_newlines(new) || new.contains('\r') {
        return None;
    }
    let (lines, indentation, end) = located(parsed.text, body_start(parsed.text, old)?, &values(text))?;
    let new = values(new);
    let same = |(line, value): &(&Line<'_>, &&str)| line.value == **value;
    let before = lines.iter().zip(&new).take_while(same).count();
    let longest = lines.len().min(new.len()) - before;
    let behind = lines.iter().rev().zip(new.iter().rev()).take(longest).take_while(same).count();
    let start_of = |index: usize| lines.get(index).map_or(end, |line| line.start);
    let range = start_of(before)..start_of(lines.len() - behind);
    let eol = if parsed.text[..end].ends_with("\r\n") { "\r\n" } else { "\n" };
    let indented = |value: &&str| if value.is_empty() { String::new() } else { format!("{indentation}{value}") };
    let inserted: Vec<String> = new[before..new.len() - behind].iter().map(indented).collect();
    let joined = inserted.join(eol);
    let open = behind == 0 && !parsed.text[..end].ends_with('\n');
    let replacement = match (inserted.is_empty(), open) {
        (true, _) => String::new(),
        (false, true) if before == lines.len() => format!("{eol}{joined}"),
        (false, true) => joined,
        (false, false) => format!("{joined}{eol}"),
    };
    Some((range, replacement))
}

fn trailing_newlines(text: &str) -> usize {
    text.len() - text.trim_end_matches('\n').len()
}

/// The lines of a scalar's text, without the empty one behind its last line end.
fn values(text: &str) -> Vec<&str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').collect()
}

/// Where the line behind the header begins.
fn body_start(text: &str, old: &Tree) -> Option<usize> {
    let header = text.get(..old.range.start)?.trim_end_matches([' ', '\n', '\r']).len();
    Some(header + text[header..].find('\n')? + 1)
}

/// The lines where they stand, their common indentation, and where the last one ends.
fn located<'a>(text: &'a str, start: usize, values: &[&'a str]) -> Option<(Vec<Line<'a>>, String, usize)> {
    let (mut lines, mut indentation, mut position) = (Vec::new(), None::<usize>, start);
    let mut source = text.get(start..)?.split_inclusive('\n');
    for value in values {
        let whole = source.next()?;
        let line = whole.trim_end_matches(['\n', '\r']);
        let before = line.strip_suffix(value)?;
        if !before.chars().all(|character| character == ' ') {
            return None;
        }
        if !value.is_empty() && *indentation.get_or_insert(before.len()) != before.len() {
            return None;
        }
        lines.push(Line { start: position, value });
        position += whole.len();
    }
    let indentation = indentation.filter(|indentation| *indentation > 0)?;
    Some((lines, " ".repeat(indentation), position))
}
