//! How a pull request reads: a title in one line, a table of the changes in Markdown, and the mark.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::marker::Marker;
use crate::model::{PullRequestChange, PullRequestDraft, PullRequestPlan};

/// Rows of the table; of more the number is told.
const MAXIMUM_ROWS: usize = 100;
/// Characters of a title that every forge takes.
const MAXIMUM_TITLE: usize = 250;
/// Bytes of a text of a template, so that the mark still finds room.
const MAXIMUM_BODY: usize = 24 * 1024;
/// As many digits as nobody can find another content for by chance.
const FINGERPRINT_BYTES: usize = 12;

/// A pull request as it is to be, and its mark.
pub(super) struct Text {
    pub(super) draft: PullRequestDraft,
    pub(super) marker: Marker,
}

impl Text {
    /// The pull request that brings `changes`: those of the plan, and those of other policies that share it.
    ///
    /// What the policy's templates made is only used where the policy is the only one, as two policies would write their texts over each
    /// other for ever.
    pub(super) fn new(plan: &PullRequestPlan, changes: &[PullRequestChange]) -> Self {
        let alone = changes.iter().all(|change| change.policy == plan.policy);
        let made = |text: &Option<String>| text.clone().filter(|text| alone && !text.trim().is_empty());
        let title = made(&plan.style.title).map_or_else(|| default_title(changes), |text| one_line(&text));
        let body = made(&plan.style.body).map_or_else(|| default_body(changes), |text| bounded(text, MAXIMUM_BODY));
        let (labels, reviewers) = (unique(&plan.style.labels), unique(&plan.style.reviewers));
        let content = content(changes);
        let mut parts = vec![content.as_str(), plan.head.name(), &plan.base, &title, &body];
        parts.extend(labels.iter().chain(&reviewers).map(String::as_str));
        let marker = Marker::new(&plan.target_key, content.clone(), fingerprint(&parts), changes);
        let marker = marker.written(plan.commit.as_ref());
        let head = plan.head.name().to_owned();
        let body = marker.put_into(&body);
        let draft = PullRequestDraft { head, base: plan.base.clone(), title, body, labels, reviewers };
        Self { draft, marker }
    }
}

/// The fingerprint of what is changed to what, whatever was there before.
pub(super) fn content(changes: &[PullRequestChange]) -> String {
    let mut lines: Vec<String> = changes
        .iter()
        .map(|change| format!("{}\n{}\n{}\n{}", change.policy, change.application, change.image, change.to))
        .collect();
    lines.sort();
    fingerprint(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter().take(FINGERPRINT_BYTES).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn default_title(changes: &[PullRequestChange]) -> String {
    let applications: BTreeSet<String> = changes.iter().map(|change| change.application.name.clone()).collect();
    let whose = match applications.len() {
        1 => applications.first().cloned().unwrap_or_default(),
        several => format!("{several} applications"),
    };
    let title = match changes {
        [change] => format!("Update {} of {whose} to {}", change.image, change.to),
        several => format!("Update {} images of {whose}", several.len()),
    };
    one_line(&title)
}

fn default_body(changes: &[PullRequestChange]) -> String {
    let policies: BTreeSet<String> = changes.iter().map(|change| code(&change.policy.to_string())).collect();
    let (noun, policies) =
        (if policies.len() == 1 { "policy" } else { "policies" }, policies.into_iter().collect::<Vec<_>>().join(", "));
    let mut text = format!(
        "Newer versions, by the {noun} {policies}.\n\n| application | image | from | to |\n|---|---|---|---|\n"
    );
    for PullRequestChange { application, image, from, to, link, .. } in changes.iter().take(MAXIMUM_ROWS) {
        let from = from.as_deref().map(code).unwrap_or_default();
        let to = link.as_deref().and_then(address).map_or_else(|| code(to), |link| format!("[{}]({link})", code(to)));
        let _ = writeln!(text, "| {} | {} | {from} | {to} |", code(&application.to_string()), code(image));
    }
    if let Some(more @ 1..) = changes.len().checked_sub(MAXIMUM_ROWS) {
        let _ = writeln!(text, "\nAnd {more} more.");
    }
    text.push_str(
        "\nMerge it to take the change. Close it to say no: then nothing is offered until something newer appears.\n",
    );
    text
}

/// A text that Markdown shows as it is, also in a table: no mention, no link, no HTML.
fn code(text: &str) -> String {
    let plain: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let plain = plain.replace('`', "'").replace('|', "\\|");
    if plain.trim().is_empty() { String::new() } else { format!("`{}`", plain.trim()) }
}

/// An address that can stand in a link of a table and leads to a web page.
fn address(text: &str) -> Option<String> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'*+,;=%".contains(&byte);
    (web && text.len() <= 500 && text.bytes().all(plain)).then(|| text.to_owned())
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|character: char| character.is_whitespace() || character.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAXIMUM_TITLE {
        return line;
    }
    line.chars().take(MAXIMUM_TITLE - 1).chain(['…']).collect()
}

fn bounded(mut text: String, maximum: usize) -> String {
    if text.len() > maximum {
        let end = (0..=maximum).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What is left of a list without empty and repeated items, in its order.
fn unique(items: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let trimmed = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    trimmed.filter(|item| seen.insert(item.to_lowercase())).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ApplicationId, PolicyId};

    fn change(application: &str, image: &str, to: &str, link: Option<&str>) -> PullRequestChange {
        PullRequestChange {
            policy: PolicyId::new("argocd", "web"),
            application: ApplicationId::new("argocd", application),
            image: image.to_owned(),
            from: Some("1.0.0".to_owned()),
            to: to.to_owned(),
            link: link.map(str::to_owned),
        }
    }

    #[test]
    fn the_table_shows_every_text_as_it_is() {
        let changes = [
            change("web", "nginx", "1.0.1", Some("https://github.com/org/web/commit/abc")),
            change("web", "a|b`<img src=x>\n@all", "[x](javascript:1)", Some("javascript:alert(1)")),
            change("api", "nginx", "1.0.1", Some("https://example.com/a) [b](c")),
        ];
        insta::assert_snapshot!(default_body(&changes), @r"
        Newer versions, by the policy `argocd/web`.

        | application | image | from | to |
        |---|---|---|---|
        | `argocd/web` | `nginx` | `1.0.0` | [`1.0.1`](https://github.com/org/web/commit/abc) |
        | `argocd/web` | `a\|b'<img src=x> @all` | `1.0.0` | `[x](javascript:1)` |
        | `argocd/api` | `nginx` | `1.0.0` | `1.0.1` |

        Merge it to take the change. Close it to say no: then nothing is offered until something newer appears.
        ");
    }

    #[test]
    fn titles_tell_one_change_and_count_several() {
        let (one, two) = (change("web", "nginx", "1.0.1", None), change("web", "redis", "7.0.1", None));
        let other = change("api", "redis", "7.0.1", None);
        insta::assert_snapshot!(default_title(std::slice::from_ref(&one)), @"Update nginx of web to 1.0.1");
        insta::assert_snapshot!(default_title(&[one.clone(), two]), @"Update 2 images of web");
        insta::assert_snapshot!(default_title(&[one, other]), @"Update 2 images of 2 applications");
        assert_eq!(one_line(&"é".repeat(400)).chars().count(), MAXIMUM_TITLE);
    }

    #[test]
    fn a_mark_is_found_again_and_hides_nothing_that_ends_it() {
        let changes = [change("a--b", "nginx --> x", "1.0.1--rc", None)];
        let marker = Marker::new("0123abcd", content(&changes), "f".to_owned(), &changes);
        let body = marker.put_into("Some text. <!-- and a comment -->");
        assert_eq!(body.matches("--").count(), 4);
        assert_eq!(Marker::find(&body), Some(marker.clone()));
        assert_eq!(marker.changes(), changes);
        let again = marker.closed().put_into(&body);
        assert_eq!((again.matches("fairlead:pull-request").count(), again.starts_with("Some text.")), (1, true));
        for broken in [
            "",
            "<!-- fairlead:pull-request ",
            "<!-- fairlead:pull-request e30= -->",
            "<!-- fairlead:pull-request %% -->",
        ] {
            assert_eq!(Marker::find(broken), None, "{broken}");
        }
    }

    #[test]
    fn very_many_changes_still_fit_into_a_text() {
        let changes: Vec<_> = (0..3000)
            .map(|index| change(&format!("app-{index}"), "nginx", "1.0.1", Some("https://example.com/")))
            .collect();
        let marker = Marker::new("0123abcd", content(&changes), "f".to_owned(), &changes);
        let body = marker.put_into(&default_body(&changes));
        assert!(body.len() < 60_000, "{}", body.len());
        assert!(body.contains("And 2900 more."));
        assert!(Marker::find(&body).is_some_and(|marker| marker.content == content(&changes)));
    }
}
