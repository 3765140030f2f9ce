//! What annotations may say beyond a policy: names of their own, older names, looser forms.

use crate::api::AllowTags;
use crate::model::{Problem, Reason, Strategy};

/// Names of strategies in annotations; those that are old last.
pub(super) const STRATEGIES: &[(&str, Strategy)] = &[
    ("semver", Strategy::SemVer),
    ("newest-build", Strategy::NewestBuild),
    ("alphabetical", Strategy::Alphabetical),
    ("digest", Strategy::Digest),
    ("calver", Strategy::CalVer),
    ("numeric", Strategy::Numeric),
    ("latest", Strategy::NewestBuild),
    ("name", Strategy::Alphabetical),
];

/// The strategy that a word in an annotation means, in any case; the words of policies are understood too.
pub fn strategy(text: &str) -> Option<Strategy> {
    let text = text.trim();
    let policy = Strategy::ALL.iter().find(|strategy| strategy.as_str().eq_ignore_ascii_case(text)).copied();
    policy
        .or_else(|| STRATEGIES.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, strategy)| *strategy))
}

/// Today's name of a strategy, where the text is an older one.
pub(super) fn todays_name(text: &str) -> Option<&'static str> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("latest") => Some("newest-build"),
        text if text.eq_ignore_ascii_case("name") => Some("alphabetical"),
        _ => None,
    }
}

/// What the text of an `allow-tags` annotation means in a policy, and a note if it is not in its exact form.
///
/// `any`, `regexp:EXPRESSION`, or a bare regular expression. Without a place; the caller knows it.
pub fn allow_tags(text: &str) -> Result<(AllowTags, Option<Problem>), Problem> {
    let text = text.trim();
    let any = AllowTags { any: Some(true), ..AllowTags::default() };
    let regex = |regex: &str| AllowTags { regex: Some(regex.to_owned()), ..AllowTags::default() };
    if text.is_empty() || text.eq_ignore_ascii_case("any") {
        return Ok((any, None));
    }
    match text.split_once(':') {
        Some((function, expression)) if function.trim().eq_ignore_ascii_case("regexp") => Ok((regex(expression), None)),
        Some((function, expression)) if is_word(function) => {
            let message = format!("there is no function `{function}` for allow-tags");
            Err(Problem::new(Reason::InvalidPattern, message).hint(format!("did you mean `regexp:{expression}`?")))
        }
        _ => {
            let note = Problem::new(Reason::AmbiguousText, format!("`{text}` is read as a regular expression"));
            Ok((regex(text), Some(note.hint(format!("`regexp:{text}` says so exactly")))))
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}
