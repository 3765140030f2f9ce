//! Where changes are written: into the Application, or into which file and branch of which repository.

use super::{Findings, Text};
use crate::api::{
    GitCredentials, GitTarget, GitWriteBack, PullRequestSettings, PullSecretReference, WriteBackMethod, WriteBackSpec,
};
use crate::lower::git_write_back::write_back;
use crate::lower::rule::Placed;
use crate::model::{Problem, Reason};

/// The texts about writing back; none of them is empty.
#[derive(Debug, Clone, Default)]
pub(in crate::lower) struct WriteBack {
    /// `argocd` or `git[:CREDENTIALS]`.
    pub method: Option<Text>,
    /// The file.
    pub target: Option<Text>,
    /// The branches.
    pub branch: Option<Text>,
    /// The repository.
    pub repository: Option<Text>,
    /// How pull requests look, if they are wanted.
    pub pull_request: Option<Placed<PullRequestSettings>>,
}

/// Whose credentials a method names.
enum Credentials {
    ArgoCd,
    Secret(String),
}

impl WriteBack {
    /// These texts, with what they leave out taken from `base`.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            method: self.method.or(base.method),
            target: self.target.or(base.target),
            branch: self.branch.or(base.branch),
            repository: self.repository.or(base.repository),
            pull_request: self.pull_request.or(base.pull_request),
        }
    }

    /// What the texts mean; `Some(None)`: into the Application. `None` when they cannot be read: then nothing may be written.
    #[expect(clippy::option_option, reason = "wrong and absent are different answers")]
    pub fn read(&self, namespace: &str, findings: &mut Findings) -> Option<Option<WriteBackSpec>> {
        let method = self.method.as_ref();
        let git = method.map_or(Ok(None), |text| credentials(&text.value, namespace).map_err(|p| p.at(&text.place)));
        let git = findings.keep(git)?;
        let Some(credentials) = git else {
            self.unused(findings);
            return Some(None);
        };
        let mut settings = GitWriteBack {
            repository: self.repository.as_ref().map(|text| text.value.clone()),
            pull_request: self.pull_request.as_ref().map(|request| request.value.clone()),
            ..GitWriteBack::default()
        };
        match credentials {
            Credentials::ArgoCd => settings.credentials = Some(GitCredentials::ArgoCD),
            Credentials::Secret(name) => settings.secret_ref = Some(PullSecretReference { name }),
        }
        let branch = self.branch.as_ref().map(|text| branches(text, self.pull_request.is_some()));
        let target = self.target.as_ref().map(|text| target(&text.value).map_err(|problem| problem.at(&text.place)));
        let branch = branch.map_or(Some((None, None)), |branch| findings.keep(branch));
        let target = target.map_or(Some((None, None)), |target| findings.keep(target));
        (settings.branch, settings.write_branch) = branch?;
        (settings.target, settings.path) = target?;
        let spec = WriteBackSpec { method: WriteBackMethod::Git, git: Some(settings), application: None };
        let (_, problems) = write_back(Some(&spec), namespace);
        let usable = problems.is_empty();
        for problem in problems {
            findings.refuse(self.at_its_text(problem));
        }
        usable.then_some(Some(spec))
    }

    /// A problem of the policy's text, at the text that it came from.
    fn at_its_text(&self, problem: Problem) -> Problem {
        let field = problem.place.as_deref().and_then(|place| place.strip_prefix("spec.writeBack.git."));
        let text = match field.unwrap_or_default() {
            "branch" | "writeBranch" => self.branch.as_ref(),
            "repository" => self.repository.as_ref(),
            "path" | "target" | "create" => self.target.as_ref(),
            _ => self.method.as_ref(),
        };
        let request =
            self.pull_request.as_ref().filter(|_| field.is_some_and(|field| field.starts_with("pullRequest")));
        let place = request.map(|request| request.place.clone());
        let text = place.or_else(|| text.or(self.method.as_ref()).map(|text| text.place.clone()));
        text.map_or(problem.clone(), |place| problem.at(place))
    }

    /// Notes what only counts in Git.
    fn unused(&self, findings: &mut Findings) {
        for text in [&self.target, &self.branch, &self.repository].into_iter().flatten() {
            // The URL of a repository may hold a password.
            let what =
                text.value.split_once("://").map_or(text.value.as_str(), |(_, rest)| match rest.split_once('@') {
                    Some((_, host)) => host,
                    None => rest,
                });
            let message = format!("`{what}` is not read, because changes are written into the Application");
            let note = Problem::new(Reason::UnreadSetting, message).at(&text.place);
            findings.note(note.hint("it counts with the method `git`"));
        }
        if let Some(request) = &self.pull_request {
            let message = "no pull request is opened, because changes are written into the Application";
            let note = Problem::new(Reason::UnreadSetting, message).at(&request.place);
            findings.note(note.hint("it counts with the method `git`"));
        }
    }
}

/// `None`: into the Application.
fn credentials(text: &str, namespace: &str) -> Result<Option<Credentials>, Problem> {
    let invalid = |message: String| Problem::new(Reason::InvalidSetting, message);
    let unknown = || invalid(format!("there is no method `{text}`")).hint(METHOD_HINT);
    let Some(source) = text.strip_prefix("git") else {
        return if text == "argocd" { Ok(None) } else { Err(unknown()) };
    };
    if source.is_empty() || source == ":repocreds" {
        return Ok(Some(Credentials::ArgoCd));
    }
    let Some(secret) = source.strip_prefix(":secret:") else { return Err(unknown()) };
    let (other, name) = secret.split_once('/').map_or((namespace, secret), |(other, name)| (other, name));
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_name = |name: &str| !name.is_empty() && name.len() <= 253 && name.bytes().all(fits);
    if !is_name(name) || !is_name(other) {
        return Err(invalid(format!("`{text}` names no Secret")).hint("write `git:secret:NAME`"));
    }
    if other != namespace {
        let message = format!("`{text}` names a Secret of `{other}`, and the Application's namespace is `{namespace}`");
        let problem = Problem::new(Reason::InvalidCredentials, message);
        return Err(problem.hint(format!("copy the Secret to `{namespace}` and write `git:secret:{name}`")));
    }
    Ok(Some(Credentials::Secret(name.to_owned())))
}

type Branches = (Option<String>, Option<String>);

/// The branch that is read, and the one that is written.
fn branches(text: &Text, pull_request: bool) -> Result<Branches, Problem> {
    let invalid =
        |message: String, hint: &str| Err(Problem::new(Reason::InvalidSetting, message).at(&text.place).hint(hint));
    let said = |part: &str| Some(part.trim().to_owned()).filter(|part| !part.is_empty());
    let value = &text.value;
    match value.split(':').collect::<Vec<_>>()[..] {
        [base] => Ok((said(base), None)),
        [_, _] if pull_request => invalid(
            format!("`{value}` names a branch to write, which a pull request names itself"),
            "write the base alone",
        ),
        [base, template] if said(base).is_some() || said(template).is_some() => Ok((said(base), said(template))),
        [_, _] => invalid(format!("`{value}` names no branch"), BRANCH_HINT),
        _ => invalid(format!("`{value}` has more than one `:`"), BRANCH_HINT),
    }
}

type Target = (Option<GitTarget>, Option<String>);

/// The kind of file, and its path: from the root of the repository with a `/` in front, else from the source's path.
fn target(text: &str) -> Result<Target, Problem> {
    let said = |path: &str| Some(path.trim().to_owned()).filter(|path| !path.is_empty());
    let invalid = |hint: String| {
        let message = format!("`{text}` is no target of a write-back");
        Err(Problem::new(Reason::InvalidTarget, message).hint(hint))
    };
    for (word, kind) in [("kustomization", GitTarget::Kustomization), ("helmvalues", GitTarget::HelmValues)] {
        match text.strip_prefix(word) {
            Some("") => return Ok((Some(kind), None)),
            Some(rest) => match rest.strip_prefix(':') {
                Some(path) => return Ok((Some(kind), said(path))),
                None => return invalid(format!("write `{word}`, or `{word}:PATH`")),
            },
            None => {}
        }
    }
    let path = text.trim_start_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    if matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization") {
        let folder = path.strip_suffix(name).unwrap_or_default().trim_end_matches('/');
        return invalid(format!("write `kustomization:/{folder}`"));
    }
    if name.is_empty() {
        return invalid("write the path of a file".to_owned());
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let values = !name.starts_with(".argocd-source-") && matches!(extension, Some("yaml" | "yml"));
    let kind = if values { GitTarget::HelmValues } else { GitTarget::Override };
    Ok((Some(kind), Some(format!("/{path}"))))
}

const METHOD_HINT: &str = "write `argocd`, `git`, `git:repocreds` or `git:secret:NAME`";
const BRANCH_HINT: &str = "write `BASE`, `BASE:TEMPLATE` or `:TEMPLATE`";
