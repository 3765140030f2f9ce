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

/// The message of a commit that holds `plans`: of one its own, of several a section for each; then their trailers, each once.
///
/// The `Signed-off-by` trailer is the last, where a plan asks for it.
pub fn combined(plans: &[&GitPlan]) -> String {
    let mut message = match plans {
        [] => String::new(),
        [one] => one.commit.message.trim_end().to_owned(),
        several => {
            let sections = several.iter().map(|plan| section(plan));
            let subject = format!("build: automatic update of {} applications", several.len());
            std::iter::once(subject).chain(sections).collect::<Vec<_>>().join("\n\n")
        }
    };
    let mut lines: Vec<String> = Vec::new();
    let signers = plans.iter().filter(|plan| plan.commit.sign_off).map(|plan| &plan.commit.author);
    let signed = signers.map(|author| ("Signed-off-by".to_owned(), format!("{} <{}>", author.name, author.email)));
    for (key, value) in all_trailers(plans).into_iter().chain(signed) {
        // A value of several lines would end the block of trailers.
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = format!("{key}: {value}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        message = format!("{message}\n\n{}", lines.join("\n"));
    }
    message.push('\n');
    message
}

/// The changes of one of several Applications: its message, under its name where the subject does not say it.
fn section(plan: &GitPlan) -> String {
    let message = plan.commit.message.trim_end();
    let subject = message.lines().next().unwrap_or_default();
    let name = &plan.application.name;
    if subject.contains(name.as_str()) { message.to_owned() } else { format!("{name}: {message}") }
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

    #[test]
    fn a_commit_for_several_applications_refers_to_one_commit_of_the_code_or_none() {
        let plan = |name: &str, revision: &str| {
            let application = ApplicationId::new("argocd", name);
            let branch = GitBranch {
                repository: "https://git.example/web".to_owned(),
                branch: None,
                access: GitAccess::ArgoCd { project: "default".to_owned() },
            };
            GitPlan {
                policy: PolicyId::new("argocd", "web"),
                base: branch,
                write_branch: None,
                files: Vec::new(),
                edits: Vec::new(),
                commit: CommitPlan {
                    via: CommitVia::Git,
                    message: format!("update {name}"),
                    trailers: references(&[change(&[(REVISION, revision)])]),
                    alone: false,
                    author: CommitAuthor { name: "fairlead".to_owned(), email: "fairlead@example.com".to_owned() },
                    sign_off: false,
                    signing: None,
                },
                application,
            }
        };
        let (one, same, other, silent) =
            (plan("a", "0123abcd"), plan("b", "0123abcd"), plan("c", "fedcba98"), plan("d", ""));
        let refers = |plans: &[&GitPlan]| combined(plans).matches("Argocd-reference-commit-sha: ").count();
        assert_eq!((refers(&[&one, &same, &silent]), refers(&[&one, &other]), refers(&[&silent])), (1, 0, 0));
    }
}
