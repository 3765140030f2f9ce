//! Where people see what is new in an image: an address made of the labels of its old and its new version. Pure.

use super::destination::host;
use super::message::{REVISION, SOURCE, is_commit, is_web_address};
use crate::model::PullRequestProvider::{self, GitHub, GitLab, Gitea};
use crate::ports::Labels;

/// Sites whose addresses are known.
const SITES: [(&str, PullRequestProvider); 4] =
    [("github.com", GitHub), ("gitlab.com", GitLab), ("gitea.com", Gitea), ("codeberg.org", Gitea)];

/// The comparison of the two commits that the versions were built from; else the commit of the new one; else its source. `None` where the labels name
/// no source on the web.
///
/// How addresses are made is known of some sites, and of the one that the pull request is on: `repository`, whose forge is `provider`.
pub(super) fn link(old: &Labels, new: &Labels, provider: PullRequestProvider, repository: &str) -> Option<String> {
    let source = source(new)?;
    let site = host(source);
    let known = SITES.iter().find(|(known, _)| *known == site).map(|(_, forge)| *forge);
    let forge = known.or_else(|| (host(repository) == site).then_some(provider));
    let (Some(forge), Some(revision)) = (forge, revision(new)) else { return Some(source.to_owned()) };
    let parent = if forge == GitLab { format!("{source}/-") } else { source.to_owned() };
    let before = revision_of_same(old, source).filter(|before| *before != revision);
    Some(match before {
        Some(before) => format!("{parent}/compare/{before}...{revision}"),
        None => format!("{parent}/commit/{revision}"),
    })
}

fn revision_of_same<'a>(labels: &'a Labels, source: &str) -> Option<&'a str> {
    revision(labels).filter(|_| self::source(labels).is_some_and(|other| other.eq_ignore_ascii_case(source)))
}

fn revision(labels: &Labels) -> Option<&str> {
    labels.get(REVISION).map(|text| text.trim()).filter(|text| is_commit(text))
}

/// The address of the source's repository, as browsers take it.
fn source(labels: &Labels) -> Option<&str> {
    let text = labels.get(SOURCE)?.trim().trim_end_matches('/');
    let text = text.strip_suffix(".git").unwrap_or(text);
    Some(text).filter(|text| is_web_address(text) && !text.contains(['?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef01234567";
    const NEW: &str = "89abcdef0123456789abcdef0123456789abcdef";

    fn labels(source: &str, revision: &str) -> Labels {
        [(SOURCE, source), (REVISION, revision)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// Short for what is read.
    fn shown(old: &Labels, new: &Labels) -> String {
        let link = link(old, new, Gitea, "git@git.example.com:org/config.git");
        link.unwrap_or_else(|| "nothing".to_owned()).replace(OLD, "OLD").replace(NEW, "NEW")
    }

    #[test]
    fn each_forge_compares_by_addresses_of_its_own() {
        for (source, expected) in [
            ("https://github.com/org/web", "https://github.com/org/web/compare/OLD...NEW"),
            ("https://github.com/org/web.git/", "https://github.com/org/web/compare/OLD...NEW"),
            ("https://gitlab.com/org/sub/web", "https://gitlab.com/org/sub/web/-/compare/OLD...NEW"),
            ("https://codeberg.org/org/web", "https://codeberg.org/org/web/compare/OLD...NEW"),
            ("https://git.example.com/org/web", "https://git.example.com/org/web/compare/OLD...NEW"),
            ("https://bitbucket.org/org/web", "https://bitbucket.org/org/web"),
        ] {
            assert_eq!(shown(&labels(source, OLD), &labels(source, NEW)), expected);
        }
    }

    #[test]
    fn less_is_told_where_less_is_known() {
        let source = "https://github.com/org/web";
        let commit = "https://github.com/org/web/commit/NEW";
        for old in [
            Labels::new(),
            labels("https://github.com/org/other", OLD),
            labels(source, "main"),
            labels(source, NEW),
            labels("", OLD),
        ] {
            assert_eq!(shown(&old, &labels(source, NEW)), commit, "{old:?}");
        }
        let old = labels(source, OLD);
        assert_eq!(shown(&old, &labels("https://gitlab.com/org/web", NEW)), "https://gitlab.com/org/web/-/commit/NEW");
        assert_eq!(shown(&old, &labels(source, "v1.0.1")), source);
        for source in ["git@github.com:org/web", "https://user:word@github.com/org/web", "javascript:x", "https://a/?b"]
        {
            assert_eq!(shown(&old, &labels(source, NEW)), "nothing", "{source}");
        }
        assert_eq!(shown(&old, &Labels::new()), "nothing");
    }
}
