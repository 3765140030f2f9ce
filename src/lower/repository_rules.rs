//! What an Argo CD project says of repositories → model.

use regex::Regex;

use super::git_credentials::normalised;
use crate::api;
use crate::model::{AddressGlob, Admission, RepositoryRules, SignedCommits, SourceRule};

/// Characters that Argo CD writes as `%7B` and the like where it reads an address, a glob too. So an entry with one of them permits nothing.
const ESCAPED: [char; 10] = ['{', '}', '\\', '^', '|', ' ', '"', '<', '>', '`'];

/// What `project`, of the Argo CD in the namespace `home`, says to an Application in `namespace`; `None`: there is no such project.
///
/// The rules are those of Argo CD (`AppProject`: `IsSourcePermitted`, `IsAppNamespacePermitted`, `EffectiveSourceIntegrity`), without those of global projects.
pub fn repository_rules(project: Option<&api::AppProject>, home: &str, namespace: &str) -> RepositoryRules {
    let Some(api::AppProject { spec, metadata: _ }) = project else {
        return RepositoryRules { admission: Admission::NoProject, sources: Vec::new(), signed: Vec::new() };
    };
    let admitted = namespace == home || spec.source_namespaces.iter().flatten().any(|text| admits(text, namespace));
    RepositoryRules {
        admission: if admitted { Admission::Admitted } else { Admission::NotItsNamespace },
        sources: spec.source_repos.iter().flatten().map(|text| source(text)).collect(),
        signed: signed(spec),
    }
}

/// A glob, or between two `/` a regular expression.
fn admits(text: &str, namespace: &str) -> bool {
    let expression = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let expression = expression.and_then(|expression| Regex::new(expression).ok());
    expression.is_some_and(|expression| expression.is_match(namespace))
        || AddressGlob::new(text, false).is_some_and(|glob| glob.matches(namespace))
}

fn source(text: &str) -> SourceRule {
    if let Some(denied) = text.strip_prefix('!') {
        return SourceRule { denies: true, glob: AddressGlob::new(&normalised(denied), true) };
    }
    let address = normalised(text);
    let address = if address == "*" { "**" } else { &address };
    let readable = !address.contains(ESCAPED);
    SourceRule { denies: false, glob: readable.then(|| AddressGlob::new(address, true)).flatten() }
}

/// What the newer field says counts alone where it is there.
fn signed(spec: &api::AppProjectSpec) -> Vec<SignedCommits> {
    let Some(git) = spec.source_integrity.as_ref().and_then(|integrity| integrity.git.as_ref()) else {
        let demanded = spec.signature_keys.as_ref().is_some_and(|keys| !keys.is_empty());
        let repositories = AddressGlob::new("**", true).into_iter().collect();
        let all = SignedCommits { field: "spec.signatureKeys", repositories, except: Vec::new() };
        return demanded.then_some(all).into_iter().collect();
    };
    let verifies = |policy: &&api::GitIntegrityPolicy| policy.gpg.as_ref().is_some_and(|gpg| gpg.mode != "none");
    git.policies.iter().flatten().filter(verifies).map(signed_by_policy).collect()
}

fn signed_by_policy(policy: &api::GitIntegrityPolicy) -> SignedCommits {
    let (mut repositories, mut except) = (Vec::new(), Vec::new());
    for repository in policy.repos.iter().flatten() {
        match repository.url.strip_prefix('!') {
            Some(text) => except.extend(AddressGlob::new(text, false)),
            None => repositories.extend(AddressGlob::new(&repository.url, false)),
        }
    }
    SignedCommits { field: "spec.sourceIntegrity", repositories, except }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Refusal;

    fn rules(spec: &Value, namespace: &str) -> RepositoryRules {
        let project = serde_json::from_value(json!({ "spec": spec })).expect("a project");
        repository_rules(Some(&project), "argocd", namespace)
    }

    fn permits(sources: &[&str], repository: &str) -> bool {
        rules(&json!({ "sourceRepos": sources }), "argocd").refusal(&normalised(repository)).is_none()
    }

    #[test]
    fn a_project_permits_what_it_permits_in_argo_cd() {
        for (sources, repository, expected) in [
            (&["*"][..], "https://github.com/argoproj/test.git", true),
            (&["https://github.com/argoproj/test.git"], "https://github.com/argoproj/test", true),
            (&["ssh://git@GITHUB.com:argoproj/test"], "ssh://git@github.com:argoproj/test", true),
            (&["git@github.com:argoproj/*"], "ssh://git@github.com/argoproj/test.git", true),
            (&["https://github.com/argoproj/*"], "https://github.com/argoproj/argoproj.git", true),
            (
                &["https://github.com/test1/test.git", "https://github.com/test2/test.git"],
                "https://github.com/test2/test.git",
                true,
            ),
            (&["https://github.com/argoproj/test1.git"], "https://github.com/argoproj/test2.git", false),
            (&["https://github.com/argoproj/*.git"], "https://github.com/argoproj1/test2.git", false),
            (&["https://github.com/argoproj/foo"], "https://github.com/argoproj/foo1", false),
            (&["https://gitlab.com/group/*"], "https://gitlab.com/group/repo/owner", false),
            (&["https://gitlab.com/group/*/*"], "https://gitlab.com/group/repo/owner", true),
            (&["https://gitlab.com/group/**"], "https://gitlab.com/group/sub-group/repo/owner", true),
            (&["https://{git,gitlab}.com/*"], "https://git.com/a", false),
            (&["!https://github.com/argoproj/test.git"], "https://github.com/argoproj/test.git", false),
            (&["!ssh://git@GITHUB.com:argoproj/test"], "ssh://git@github.com:argoproj/test", false),
            (&["!https://github.com/argoproj/foo*"], "https://github.com/argoproj/foo1", false),
            (&["!https://gitlab.com/group/**"], "https://gitlab.com/group/sub-group/repo/owner", false),
            (&["!https://github.com/argoproj/*.git", "*"], "https://github.com/argoproj1/test2.git", true),
            (&["*", "!https://github.com/argoproj/*"], "https://github.com/argoproj/test", false),
            (&["!https://github.com/argoproj/*"], "https://github.com/other/test", true),
            (&[], "https://github.com/argoproj/test", false),
        ] {
            assert_eq!(permits(sources, repository), expected, "{sources:?} {repository}");
        }
    }

    #[test]
    fn an_entry_that_denies_permits_nothing_beside_those_that_permit() {
        let sources = ["https://h/team/*", "!https://h/team/secret"];
        assert!(permits(&sources, "https://h/team/a"));
        assert!(!permits(&sources, "https://h/team/secret"));
        assert!(!permits(&sources, "https://h/platform/infra"));
    }

    #[test]
    fn no_spelling_of_an_address_leads_past_the_rules() {
        let team = ["https://h/team/**"];
        for (address, expected) in [
            ("https://h/team/a", true),
            ("https://h/team/a.b/..c", true),
            ("https://h/team/../platform/infra", false),
            ("https://h/team/%2e%2E/platform/infra", false),
            ("https://h/team/x%2F..%2f..%2Fplatform/infra", false),
            ("https://h/team/..\\platform", false),
            ("https://h/team//a", false),
        ] {
            assert_eq!(permits(&team, address), expected, "{address}");
            assert!(permits(&["*"], address), "{address}");
        }
        let others = ["*", "!https://h/platform/*"];
        for address in ["https://h//platform/infra", "https://h/platform/infra/", "https://h/x/../platform/infra"] {
            assert!(!permits(&others, address), "{address}");
        }
        assert!(permits(&others, "https://h/team/a"));
        assert!(!permits(&["*", "![a"], "https://h/team/a"), "a denial that cannot be read denies all");
    }

    #[test]
    fn a_project_has_applications_of_the_namespaces_that_it_names() {
        let spec = json!({ "sourceRepos": ["*"], "sourceNamespaces": ["team-*", "/^x[0-9]$/"] });
        for (namespace, expected) in [
            ("argocd", None),
            ("team-a", None),
            ("x1", None),
            ("x12", Some(Refusal::NotItsNamespace)),
            ("other", Some(Refusal::NotItsNamespace)),
        ] {
            assert_eq!(rules(&spec, namespace).refusal("https://h/a"), expected, "{namespace}");
        }
        assert_eq!(rules(&json!({ "sourceRepos": ["*"] }), "team").refusal("h"), Some(Refusal::NotItsNamespace));
        let missing = repository_rules(None, "argocd", "argocd");
        assert_eq!(missing.refusal("https://h/a"), Some(Refusal::NoProject));
        assert_eq!(missing.demands_signatures(&["https://h/a"]), None);
    }

    #[test]
    fn signed_commits_are_demanded_where_argo_cd_verifies_them() {
        let keys = json!([{ "keyID": "4AEE18F83AFDEB23" }]);
        let gpg = |mode: &str, repos: &[&str]| {
            let repos: Vec<Value> = repos.iter().map(|url| json!({ "url": url })).collect();
            json!({ "repos": repos, "gpg": { "mode": mode, "keys": ["4AEE18F83AFDEB23"] } })
        };
        let integrity = |policies: Value| json!({ "sourceIntegrity": { "git": { "policies": policies } } });
        let (old, new) = (Some("spec.signatureKeys"), Some("spec.sourceIntegrity"));
        let mut both = integrity(json!([gpg("head", &["https://h/b/*"])]));
        both["signatureKeys"] = keys.clone();
        for (spec, expected) in [
            (json!({}), None),
            (json!({ "signatureKeys": [] }), None),
            (json!({ "signatureKeys": keys }), old),
            (json!({ "signatureKeys": keys, "sourceIntegrity": {} }), old),
            (both, None),
            (integrity(json!([gpg("head", &["https://h/*"])])), new),
            (integrity(json!([gpg("strict", &["https://g/*", "*"])])), new),
            (integrity(json!([gpg("later", &["*"])])), new),
            (integrity(json!([gpg("none", &["*"])])), None),
            (integrity(json!([gpg("head", &["*", "!https://h/a/*"])])), None),
            (integrity(json!([{ "repos": [{ "url": "*" }] }])), None),
            (integrity(json!([])), None),
        ] {
            assert_eq!(rules(&spec, "argocd").demands_signatures(&["https://h/a/x"]), expected, "{spec}");
        }
    }
}
