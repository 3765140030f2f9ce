//! Where changes are written in Git → model.

use super::git_template::{check_branch, check_message};
use crate::api::{self, FileTargetSpec};
use crate::model::{
    CommitAuthor, CommitSettings, CommitSigning, CommitVia, FileKeys, FileTarget, GitTarget, GitWriteBack, KeyPath,
    MergeMethod, Problem, PullRequestProvider, PullRequestSettings, Reason, SecretRef, SigningMethod, WriteBack,
};

const SIGNING_KEY: &str = "signingKey";
/// The branch that is written where pull requests are opened and nothing is said.
pub const PULL_REQUEST_BRANCH: &str = "fairlead-{{ .TargetKey }}";

/// Where the changes of a policy in `namespace` are written, and what is wrong with the text at `spec.writeBack`.
pub fn write_back(text: Option<&api::WriteBackSpec>, namespace: &str) -> (WriteBack, Vec<Problem>) {
    let mut problems = Vec::new();
    let write_back = match text {
        Some(api::WriteBackSpec { method: api::WriteBackMethod::Git, git, application }) => {
            if application.is_some() {
                let text = "`application` is only read with `method: Application`";
                let problem = Problem::new(Reason::InvalidTarget, text).at("spec.writeBack.application");
                problems.push(problem.hint("remove `application`"));
            }
            let git = git.clone().unwrap_or_default();
            WriteBack::Git(Box::new(lower(&git, namespace, &mut problems)))
        }
        Some(api::WriteBackSpec { method: api::WriteBackMethod::Application, git: Some(_), application: _ }) => {
            let problem = Problem::new(Reason::InvalidTarget, "`git` is only read with `method: Git`");
            problems.push(problem.at("spec.writeBack.git").hint("add `method: Git`, or remove `git`"));
            WriteBack::Application
        }
        None | Some(api::WriteBackSpec { method: api::WriteBackMethod::Application, git: None, application: _ }) => {
            WriteBack::Application
        }
    };
    (write_back, problems)
}

fn lower(text: &api::GitWriteBack, namespace: &str, problems: &mut Vec<Problem>) -> GitWriteBack {
    let api::GitWriteBack {
        repository,
        branch,
        write_branch,
        target,
        path,
        create,
        credentials: _,
        secret_ref,
        commit,
        pull_request,
        refresh,
    } = text;
    contradictions(text, problems);
    let mut refuse = |problem: Problem| problems.push(problem);
    if let Some(Err(problem)) = repository.as_deref().map(check_repository) {
        refuse(problem);
    }
    if let Some(problem) = branch.as_deref().and_then(|branch| refused_branch(branch, "spec.writeBack.git.branch")) {
        refuse(problem);
    }
    if let Some(Err(error)) = write_branch.as_deref().map(check_branch) {
        refuse(invalid_template(&error, "spec.writeBack.git.writeBranch"));
    }
    let pull_request = pull_request.as_ref().map(|text| pull_request_settings(text, problems));
    let usual_branch = pull_request.as_ref().map(|_| PULL_REQUEST_BRANCH.to_owned());
    GitWriteBack {
        repository: repository.as_ref().map(|text| text.trim().to_owned()),
        branch: branch.clone(),
        write_branch: write_branch.clone().or(usual_branch),
        target: target.map(lower_target).unwrap_or_default(),
        path: path.clone(),
        create: create.unwrap_or_default(),
        secret: secret_ref
            .as_ref()
            .map(|secret| SecretRef { namespace: namespace.to_owned(), name: secret.name.clone() }),
        commit: commit_settings(commit.as_ref(), namespace, problems),
        pull_request,
        refresh: refresh.unwrap_or(true),
    }
}

/// What admission refuses as well; in a folder nobody does before.
fn contradictions(text: &api::GitWriteBack, problems: &mut Vec<Problem>) {
    let mut refuse = |place: &str, message: &str, hint: &str| {
        let problem = Problem::new(Reason::InvalidTarget, message).at(format!("spec.writeBack.git.{place}"));
        problems.push(problem.hint(hint));
    };
    if text.credentials.is_some() && text.secret_ref.is_some() {
        refuse("secretRef", "both `credentials` and `secretRef` are given", "give one of the two");
    }
    match (text.target, text.path.as_deref().map(str::trim)) {
        (_, Some("")) => refuse("path", "the path is empty", "leave it out for the usual place"),
        (Some(api::GitTarget::Application), None) => {
            refuse("path", "target Application needs a path", "name the file with the Application's manifest");
        }
        (Some(api::GitTarget::Files), Some(_)) => {
            refuse("path", "with target Files each image names its file", "use `target.file.path` of the image");
        }
        _ => {}
    }
    let by_github = text.commit.as_ref().is_some_and(|commit| commit.via == Some(api::CommitVia::GitHubApi));
    let elsewhere = |pull: &api::PullRequestSettings| pull.provider != api::PullRequestProvider::GitHub;
    if by_github && text.pull_request.as_ref().is_some_and(elsewhere) {
        let message = "GitHub makes no commits in a repository of another forge";
        refuse("commit.via", message, "leave out `via`, or name the provider GitHub at `pullRequest`");
    }
    if text.create == Some(true) && text.target != Some(api::GitTarget::HelmValues) {
        let hint = "the override file is made by itself; for target Files say it at `target.file`";
        refuse("create", "`create` is for target HelmValues", hint);
    }
}

const fn lower_target(target: api::GitTarget) -> GitTarget {
    match target {
        api::GitTarget::Override => GitTarget::Override,
        api::GitTarget::HelmValues => GitTarget::HelmValues,
        api::GitTarget::Kustomization => GitTarget::Kustomization,
        api::GitTarget::Files => GitTarget::Files,
        api::GitTarget::Application => GitTarget::Application,
    }
}

fn check_repository(text: &str) -> Result<(), Problem> {
    let text = text.trim();
    let known = ["https://", "http://", "ssh://"].iter().any(|scheme| text.starts_with(scheme));
    let remote = !text.contains("://") && text.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    let authority = text.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let place = "spec.writeBack.git.repository";
    if authority.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        // The text is not repeated: it holds a password.
        let problem = Problem::new(Reason::InvalidTarget, "the address of the repository holds a password").at(place);
        return Err(problem.hint("put it into a Secret and name that with `secretRef`"));
    }
    let clean = !text.contains(char::is_whitespace) && !text.starts_with('-');
    if clean && (known || remote) {
        return Ok(());
    }
    let problem = Problem::new(Reason::InvalidTarget, format!("`{text}` is not the address of a repository")).at(place);
    Err(problem.hint("write for example `https://git.example.com/org/app.git` or `git@git.example.com:org/app.git`"))
}

/// Why `branch`, written at `place`, is not the name of a branch.
fn refused_branch(branch: &str, place: &str) -> Option<Problem> {
    let cause = invalid_branch(branch)?;
    Some(Problem::new(Reason::InvalidTarget, format!("`{branch}` is not the name of a branch: {cause}")).at(place))
}

/// Why `name` is not the name of a branch; the rules of `git check-ref-format --branch`.
pub fn invalid_branch(name: &str) -> Option<&'static str> {
    let forbidden =
        |character: char| character.is_control() || matches!(character, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let part = |part: &str| part.is_empty() || part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock");
    match name {
        "" => Some("it is empty"),
        "@" | "HEAD" => Some("that word has a meaning of its own"),
        _ if name.len() > 255 => Some("it is longer than 255 bytes"),
        _ if name.starts_with('-') => Some("it begins with `-`"),
        _ if name.contains(forbidden) => Some("it holds a blank, or one of `~^:?*[\\`"),
        _ if name.contains("..") || name.contains("@{") => Some("it holds `..` or `@{`"),
        _ if name.ends_with('.') => Some("it ends with a dot"),
        _ if name.split('/').any(part) => Some("a part is empty, begins with a dot or ends with `.lock`"),
        _ => None,
    }
}

fn commit_settings(text: Option<&api::CommitSettings>, namespace: &str, problems: &mut Vec<Problem>) -> CommitSettings {
    let text = text.cloned().unwrap_or_default();
    made_by_github(&text, problems);
    let api::CommitSettings { via, author, message_template, per_application, sign_off, signing } = text;
    if let Some(Err(error)) = message_template.as_deref().map(check_message) {
        problems.push(invalid_template(&error, "spec.writeBack.git.commit.messageTemplate"));
    }
    let trimmed = |author: api::CommitAuthor| CommitAuthor {
        name: author.name.trim().to_owned(),
        email: author.email.trim().to_owned(),
    };
    let author = author.map(trimmed).unwrap_or_default();
    let unusable = |text: &str| text.is_empty() || text.contains(['<', '>', '\n', '\0']);
    if unusable(&author.name) || unusable(&author.email) {
        let problem =
            Problem::new(Reason::InvalidTarget, "name or mail address of the author cannot stand in a commit");
        problems.push(problem.at("spec.writeBack.git.commit.author").hint("`<`, `>` and line ends cannot"));
    }
    CommitSettings {
        via: via.map(lower_via).unwrap_or_default(),
        author,
        message: message_template,
        per_application: per_application.unwrap_or_default(),
        sign_off: sign_off.unwrap_or_default(),
        signing: signing.map(|signing| signing_settings(signing, namespace)),
    }
}

const fn lower_via(via: api::CommitVia) -> CommitVia {
    match via {
        api::CommitVia::Git => CommitVia::Git,
        api::CommitVia::GitHubApi => CommitVia::GitHubApi,
    }
}

/// What nobody can say of a commit that GitHub makes (<https://docs.github.com/en/graphql/reference/input-objects#createcommitonbranchinput>).
fn made_by_github(text: &api::CommitSettings, problems: &mut Vec<Problem>) {
    if text.via != Some(api::CommitVia::GitHubApi) {
        return;
    }
    let of_github = [
        ("author", text.author.is_some(), "the author of a commit that GitHub makes is the owner of the token"),
        ("signing", text.signing.is_some(), "a commit that GitHub makes carries GitHub's signature and no other"),
        ("signOff", text.sign_off == Some(true), "who signs off is the author, and GitHub decides who that is"),
    ];
    for (key, _, message) in of_github.into_iter().filter(|(_, given, _)| *given) {
        let problem = Problem::new(Reason::InvalidTarget, message).at(format!("spec.writeBack.git.commit.{key}"));
        problems.push(problem.hint(format!("remove `{key}`, or `via: GitHubApi`")));
    }
}

fn signing_settings(text: api::SigningSettings, namespace: &str) -> CommitSigning {
    let api::SigningSettings { method, secret_ref } = text;
    CommitSigning {
        method: match method {
            api::SigningMethod::SSH => SigningMethod::Ssh,
            api::SigningMethod::OpenPGP => SigningMethod::OpenPgp,
        },
        secret: SecretRef { namespace: namespace.to_owned(), name: secret_ref.name },
        key: secret_ref.key.unwrap_or_else(|| SIGNING_KEY.to_owned()),
    }
}

fn pull_request_settings(text: &api::PullRequestSettings, problems: &mut Vec<Problem>) -> PullRequestSettings {
    let api::PullRequestSettings { provider, labels, reviewers, title, body, auto_merge, merge_method } = text;
    for (key, template) in [("title", title), ("body", body)] {
        if let Some(Err(error)) = template.as_deref().map(check_message) {
            problems.push(invalid_template(&error, &format!("spec.writeBack.git.pullRequest.{key}")));
        }
    }
    let clean = |texts: &[String]| {
        let mut kept = Vec::new();
        for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            if !kept.iter().any(|kept| kept == text) {
                kept.push(text.to_owned());
            }
        }
        kept
    };
    for (message, hint) in refused_merge(*provider, auto_merge.unwrap_or_default(), *merge_method) {
        let problem = Problem::new(Reason::InvalidTarget, message).at("spec.writeBack.git.pullRequest.mergeMethod");
        problems.push(problem.hint(hint));
    }
    PullRequestSettings {
        provider: match provider {
            api::PullRequestProvider::GitHub => PullRequestProvider::GitHub,
            api::PullRequestProvider::GitLab => PullRequestProvider::GitLab,
            api::PullRequestProvider::Gitea => PullRequestProvider::Gitea,
        },
        labels: clean(labels),
        reviewers: clean(reviewers),
        title: title.clone(),
        body: body.clone(),
        auto_merge: auto_merge.unwrap_or_default().then_some(match merge_method {
            None | Some(api::MergeMethod::Merge) => MergeMethod::Merge,
            Some(api::MergeMethod::Squash) => MergeMethod::Squash,
            Some(api::MergeMethod::Rebase) => MergeMethod::Rebase,
        }),
    }
}

/// What admission refuses of an automatic merge: the message, and what to do.
fn refused_merge(
    provider: api::PullRequestProvider,
    auto_merge: bool,
    method: Option<api::MergeMethod>,
) -> Vec<(&'static str, &'static str)> {
    let Some(method) = method else { return Vec::new() };
    let mut refused = Vec::new();
    if !auto_merge {
        refused.push(("`mergeMethod` is how an automatic merge is made", "add `autoMerge: true`, or leave it out"));
    }
    if provider == api::PullRequestProvider::GitLab && method != api::MergeMethod::Squash {
        let hint = "leave it out, and set the merge method of the project in GitLab";
        refused.push(("GitLab merges by the method of the project; only `Squash` can be asked for", hint));
    }
    refused
}

fn invalid_template(error: &super::git_template::TemplateError, place: &str) -> Problem {
    let problem = Problem::new(Reason::InvalidTemplate, error.to_string()).at(place);
    problem.hint("it is a Go template; the fields are listed in the guide on Git")
}

/// The file that `text`, at `place`, names.
pub(super) fn file_target(text: &FileTargetSpec, place: &str, problems: &mut Vec<Problem>) -> Option<FileTarget> {
    let FileTargetSpec { path, keys, create } = text;
    let api::FileKeys { name, tag, digest, spec } = keys;
    let mut wrong = |message: String, place: String, hint: &str| {
        problems.push(Problem::new(Reason::InvalidTarget, message).at(place).hint(hint));
    };
    let mut usable = true;
    let mut read = |key: &str, text: &Option<String>| -> Option<KeyPath> {
        let path = text.as_deref()?.parse::<KeyPath>();
        path.map_err(|error| {
            usable = false;
            let hint = "write for example `image.tag` or `containers[name=web].image`";
            wrong(error.to_string(), format!("{place}.keys.{key}"), hint);
        })
        .ok()
    };
    let keys = FileKeys {
        name: read("name", name),
        tag: read("tag", tag),
        digest: read("digest", digest),
        spec: read("spec", spec),
    };
    if usable && keys.main().is_none() {
        usable = false;
        wrong("no key holds the version".to_owned(), format!("{place}.keys"), "give `spec`, `tag` or `digest`");
    }
    if usable && keys.spec.is_some() && (keys.name.is_some() || keys.tag.is_some() || keys.digest.is_some()) {
        usable = false;
        let hint = "give either `spec`, or `name`, `tag` and `digest`";
        wrong("the keys have both a spec and a name, tag or digest".to_owned(), format!("{place}.keys"), hint);
    }
    usable.then(|| FileTarget { path: path.clone(), keys, create: *create })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_branches_are_those_that_git_takes() {
        for name in ["main", "feature/a", "image-updates-0f", "a.b", "a@b", "ü"] {
            assert_eq!(invalid_branch(name), None, "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "", "@", "HEAD", "-a", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a/", "/a", "a//b",
            ".a", "a/.b", "a.lock", "a.", "a@{1}", "a\u{7f}", &long,
        ] {
            assert!(invalid_branch(name).is_some(), "{name}");
        }
    }

    #[test]
    fn addresses_with_a_password_are_refused_without_repeating_it() {
        let say =
            |text: &str| check_repository(text).map_or_else(|problem| problem.to_string(), |()| "taken".to_owned());
        for text in
            ["https://git.example.com/a.git", "http://h/a", "ssh://git@h:22/a", "git@h:a/b.git", "https://user@h/a"]
        {
            assert_eq!(say(text), "taken", "{text}");
        }
        assert!(!say("https://user:geheim@h/a").contains("geheim"));
        for text in ["", "a/b", "ftp://h/a", "file:///a", "-u@h:a", "https://h/a b", "ext::sh -c a"] {
            assert_ne!(say(text), "taken", "{text}");
        }
    }
}
