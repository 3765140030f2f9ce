//! What commits say.

use std::collections::BTreeSet;

use crate::lower::git_template::ChangeFacts;
use crate::model::{ApplicationId, GitPlan, PolicyId};

/// The trailer that names a policy.
const POLICY: &str = "Fairlead-Policy";
/// The trailer that names an Application.
const APPLICATION: &str = "Fairlead-Application";
/// How Argo CD's hydrator knows what a commit stands for (Argo CD, source hydrator, "Commit Trailers").
const REFERENCE: &str = "Argocd-reference-commit-";
/// The label with the commit that an image was built from (OCI image specification, annotations).
pub(super) const REVISION: &str = "org.opencontainers.image.revision";
/// The label with the place of its source.
pub(super) const SOURCE: &str = "org.opencontainers.image.source";
/// How lines begin that Git itself puts among trailers.
const BY_GIT: [&str; 2] = ["Signed-off-by: ", "(cherry picked from commit "];
/// The message where there is none.
const NOTHING_SAID: &str = "Update container image versions";

/// Whether a commit with this message is one of ours.
pub fn is_ours(message: &str) -> bool {
    message.lines().any(|line| line.strip_prefix(POLICY).is_some_and(|rest| rest.starts_with(": ")))
}

/// The trailers of one Application's changes.
pub(super) fn trailers(policy: &PolicyId, application: &ApplicationId) -> Vec<(String, String)> {
    vec![(POLICY.to_owned(), policy.to_string()), (APPLICATION.to_owned(), application.to_string())]
}

/// The trailers that tell the hydrator which commit of the code all changed images were built from, as their labels say. None where that is not
/// one commit: Argo CD knows one a commit.
pub(super) fn references(changes: &[ChangeFacts]) -> Vec<(String, String)> {
    let built = changes.iter().map(|change| {
        let revision = change.labels.get(REVISION).map(|text| text.trim()).filter(|text| is_commit(text))?;
        let source = change.labels.get(SOURCE).map(|text| text.trim()).filter(|text| is_web_address(text));
        Some((revision, source))
    });
    let built: BTreeSet<_> = built.collect();
    let (Some(Some((revision, source))), 1) = (built.first().copied(), built.len()) else { return Vec::new() };
    let source = source.map(|source| (format!("{REFERENCE}repourl"), source.to_owned()));
    source.into_iter().chain([(format!("{REFERENCE}sha"), revision.to_owned())]).collect()
}

/// Whether a text is the name of a commit, as Argo CD takes it.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text is the address of a repository on the web, without a login in it.
pub(super) fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    let plain = text.len() <= 500 && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
}

/// The trailers of all plans. Where plans refer to different commits of the code, none is told.
fn all_trailers(plans: &[&GitPlan]) -> Vec<(String, String)> {
    let is_reference = |(key, _): &&(String, String)| key.starts_with(REFERENCE);
    let referring = plans.iter().map(|plan| plan.commit.trailers.iter().filter(is_reference).collect::<Vec<_>>());
    let agreed = referring.filter(|references| !references.is_empty()).collect::<BTreeSet<_>>().len() <= 1;
    let trailers = plans.iter().flat_map(|plan| &plan.commit.trailers);
    trailers.filter(|trailer| agreed || !is_reference(trailer)).cloned().collect()
}

/// The message of a commit that holds `plans`: of one its own, of several a section for each; then all trailers, each once: those of the messages
/// first, and `Signed-off-by` last, where a plan asks for it.
pub fn combined(plans: &[&GitPlan]) -> String {
    let Said { text, trailers } = match plans {
        [one] => Said::of(&one.commit.message),
        several => together(several),
    };
    let signers = plans.iter().filter(|plan| plan.commit.sign_off).map(|plan| &plan.commit.author);
    let signed = signers.map(|author| ("Signed-off-by".to_owned(), format!("{} <{}>", author.name, author.email)));
    // A value of several lines would end the block of trailers.
    let plain =
        |(key, value): (String, String)| format!("{key}: {}", value.split_whitespace().collect::<Vec<_>>().join(" "));
    let ours = all_trailers(plans).into_iter().chain(signed).map(plain);
    let mut lines: Vec<String> = Vec::new();
    for line in trailers.into_iter().chain(ours) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let text = if text.is_empty() { NOTHING_SAID } else { text.as_str() };
    match lines.as_slice() {
        [] => format!("{text}\n"),
        lines => format!("{text}\n\n{}\n", lines.join("\n")),
    }
}

fn together(plans: &[&GitPlan]) -> Said {
    let subject = format!("build: automatic update of {} applications", plans.len());
    let mut all = Said { text: subject, trailers: Vec::new() };
    for plan in plans {
        let Said { text, trailers } = Said::of(&plan.commit.message);
        all.text = format!("{}\n\n{}", all.text, section(&text, &plan.application.name));
        all.trailers.extend(trailers);
    }
    all
}

/// The changes of one of several Applications: its message, under its name where the subject does not say it.
fn section(message: &str, name: &str) -> String {
    let subject = message.lines().next().unwrap_or_default();
    if subject.contains(name) { message.to_owned() } else { format!("{name}: {message}") }
}

/// A message, taken apart.
struct Said {
    /// What stands before the trailers, without an empty line around it.
    text: String,
    /// The trailers, each with the lines that go on with it.
    trailers: Vec<String>,
}

impl Said {
    /// Takes a message apart as git-interpret-trailers(1) does: trailers are the lines `Key: value` of the last paragraph, but not of the first,
    /// where nothing else stands there, or one that Git makes itself and at most three times as many other lines.
    fn of(message: &str) -> Self {
        let message = cleaned(message);
        let Some((before, last)) = message.rsplit_once("\n\n") else {
            return Self { text: message, trailers: Vec::new() };
        };
        let (mut others, mut trailers): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        let mut in_trailer = false;
        for line in last.lines() {
            match trailers.last_mut() {
                Some(trailer) if in_trailer && line.starts_with([' ', '\t']) => *trailer = format!("{trailer}\n{line}"),
                _ => {
                    in_trailer = is_trailer(line);
                    if in_trailer { trailers.push(line.to_owned()) } else { others.push(line) }
                }
            }
        }
        let by_git = trailers.iter().any(|trailer| BY_GIT.iter().any(|start| trailer.starts_with(start)));
        let text = match others.as_slice() {
            [] => before.to_owned(),
            others if by_git && others.len() <= 3 * trailers.len() => format!("{before}\n\n{}", others.join("\n")),
            _ => return Self { text: message, trailers: Vec::new() },
        };
        Self { text, trailers }
    }
}

/// Whether a line is a trailer as Git has them: letters, digits and hyphens, then a colon.
fn is_trailer(line: &str) -> bool {
    let key = line.split_once(':').map(|(key, _)| key.trim_end_matches([' ', '\t']));
    let plain = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    line.starts_with(BY_GIT[1]) || key.is_some_and(plain)
}

/// A message as `git commit -F` leaves it: no blanks at the end of a line, no empty lines around it, one between paragraphs. Characters that
/// control a terminal, or end the text for Git, are left out.
fn cleaned(message: &str) -> String {
    let shown = |character: &char| matches!(character, '\n' | '\t') || !character.is_control();
    let message: String = message.chars().filter(shown).collect();
    let mut lines: Vec<&str> = Vec::new();
    for line in message.lines().map(str::trim_end) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommitAuthor, CommitPlan, CommitVia, GitAccess, GitBranch};

    fn change(labels: &[(&str, &str)]) -> ChangeFacts {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ChangeFacts { labels, ..ChangeFacts::default() }
    }

    fn said(changes: &[ChangeFacts]) -> String {
        references(changes).iter().fold(String::new(), |said, (key, value)| said + &format!("{key}: {value}\n"))
    }

    #[test]
    fn what_images_were_built_from_is_told_where_it_is_one_commit() {
        let built = |revision, source| change(&[(REVISION, revision), (SOURCE, source)]);
        let one = built("0123abcd", "https://git.example/org/web");
        let expected =
            "Argocd-reference-commit-repourl: https://git.example/org/web\nArgocd-reference-commit-sha: 0123abcd\n";
        assert_eq!(said(&[one.clone(), one.clone()]), expected);
        assert_eq!(said(&[change(&[(REVISION, "0123abcd")])]), "Argocd-reference-commit-sha: 0123abcd\n");
        assert_eq!(said(&[one.clone(), built("fedcba98", "https://git.example/org/web")]), "", "two commits");
        assert_eq!(said(&[one, change(&[])]), "", "an image that does not say");
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn labels_that_name_no_commit_or_no_plain_address_are_left_out() {
        for revision in ["", "main", "0123ab", "0123ABCD", "0123abcd\nSigned-off-by: x", &"0".repeat(41)] {
            assert_eq!(said(&[change(&[(REVISION, revision)])]), "", "{revision}");
        }
        for source in [
            "",
            "git@git.example:org/web",
            "https://",
            "https://user:word@git.example/web",
            "javascript:x",
            "https://a b",
        ] {
            let said = said(&[change(&[(REVISION, "0123abcd"), (SOURCE, source)])]);
            assert_eq!(said, "Argocd-reference-commit-sha: 0123abcd\n", "{source}");
        }
    }

    fn plan(name: &str, message: &str, trailers: Vec<(String, String)>) -> GitPlan {
        let base = GitBranch {
            repository: "https://git.example/web".to_owned(),
            branch: None,
            access: GitAccess::ArgoCd { project: "default".to_owned() },
        };
        GitPlan {
            policy: PolicyId::new("argocd", "web"),
            base,
            write_branch: None,
            files: Vec::new(),
            edits: Vec::new(),
            commit: CommitPlan {
                via: CommitVia::Git,
                message: message.to_owned(),
                trailers,
                alone: false,
                author: CommitAuthor { name: "fairlead".to_owned(), email: "fairlead@example.com".to_owned() },
                sign_off: false,
                signing: None,
            },
            application: ApplicationId::new("argocd", name),
        }
    }

    #[test]
    fn a_commit_for_several_applications_refers_to_one_commit_of_the_code_or_none() {
        let plan = |name: &str, revision: &str| {
            plan(name, &format!("update {name}"), references(&[change(&[(REVISION, revision)])]))
        };
        let (one, same, other, silent) =
            (plan("a", "0123abcd"), plan("b", "0123abcd"), plan("c", "fedcba98"), plan("d", ""));
        let refers = |plans: &[&GitPlan]| combined(plans).matches("Argocd-reference-commit-sha: ").count();
        assert_eq!((refers(&[&one, &same, &silent]), refers(&[&one, &other]), refers(&[&silent])), (1, 0, 0));
    }

    /// The message of one Application, with a trailer of ours.
    fn alone(message: &str) -> String {
        combined(&[&plan("web", message, vec![("Ours".to_owned(), "x".to_owned())])])
    }

    #[test]
    fn trailers_of_a_template_stay_trailers() {
        insta::assert_snapshot!(alone("build: x\n\nbody\n\nCo-authored-by: A <a@b.c>\nRefs: #12\n  and #13"), @"
        build: x

        body

        Co-authored-by: A <a@b.c>
        Refs: #12
          and #13
        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nbody: of\nno trailer"), @"
        build: x

        body: of
        no trailer

        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x"), @"
        build: x

        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nwhy\nSigned-off-by: A <a@b.c>"), @"
        build: x

        why

        Signed-off-by: A <a@b.c>
        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nhttp://a.b is\nOurs: x"), @"
        build: x

        http://a.b is
        Ours: x
        ");
        let (one, other) = (
            plan("web", "update web\n\nRefs: #1\nRefs: #2", Vec::new()),
            plan("api", "update api\n\nbody\n\nRefs: #1", vec![("Ours".to_owned(), "x".to_owned())]),
        );
        let said = combined(&[&one, &other]);
        assert!(said.ends_with("\n\nbody\n\nRefs: #1\nRefs: #2\nOurs: x\n"), "{said}");
    }

    #[test]
    fn a_message_is_cleaned_as_git_does() {
        assert_eq!(alone("\n\n  lead  \n\n\n \n\nx\ty\t\r\n\n"), "  lead\n\nx\ty\n\nOurs: x\n");
        assert_eq!(alone("a\0b\u{1b}[31m"), "ab[31m\n\nOurs: x\n");
        assert_eq!(alone(" \n\0\n"), "Update container image versions\n\nOurs: x\n");
        assert_eq!(alone("# no comment"), "# no comment\n\nOurs: x\n");
    }
}
