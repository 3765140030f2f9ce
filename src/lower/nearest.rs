//! Did you mean …?

/// The word of `words` that is nearest to `text`, if any is near enough to have been meant.
pub(super) fn nearest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let text = plain(text);
    let close = |word: &&str| distance(&text, &plain(word)) <= word.len().div_ceil(4);
    words.into_iter().filter(close).min_by_key(|word| distance(&text, &plain(word)))
}

/// How many letters must be put in, left out or replaced to get from one text to the other. Long texts are far from all.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, expected) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *expected);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_word_that_was_meant() {
        let words = ["SemVer", "NewestBuild", "Alphabetical", "Digest", "CalVer", "Numeric"];
        for (text, expected) in [
            ("semver", Some("SemVer")),
            ("sem-ver", Some("SemVer")),
            ("SemVr", Some("SemVer")),
            ("newest-build", Some("NewestBuild")),
            ("newestbuilt", Some("NewestBuild")),
            ("alphabetic", Some("Alphabetical")),
            ("digets", Some("Digest")),
            ("calvar", Some("CalVer")),
            ("number", None),
            ("", None),
            ("something else", None),
        ] {
            assert_eq!(nearest(text, words), expected, "{text}");
        }
    }
}
