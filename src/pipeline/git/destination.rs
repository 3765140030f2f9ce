//! Which file of which branch an image is written to. Pure: what has to be read to know, it only names.

use super::above::Above;
use crate::model::{
    Application, FileKeys, GitAccess, GitBranch, GitTarget, GitWriteBack, Image, ImageReference, Keys, Pointer,
    Problem, Reason, Source, Sources, Target,
};
use crate::pipeline::place::source_of;

/// The names of a kustomization file, in kustomize's order.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
pub(super) const COMMON_OVERRIDE: &str = ".argocd-source.yaml";
const OVERRIDE: &str = ".argocd-source-";

/// Which file of which branch an image is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The branch.
    pub branch: GitBranch,
    /// The file, as far as that is known without reading.
    pub file: FileChoice,
    /// What may go before it, where it is known what reads it.
    pub above: Option<Above>,
}

/// The file, as far as that is known without reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// The override file of the Application.
    Override {
        /// The source that it is merged over, as a place in the Application.
        source: Pointer,
        /// The file that is merged before it.
        common: String,
        /// The names that Argo CD reads it by, as far as that is known; the first is the one that is made.
        names: Vec<String>,
        /// The other name, where Argo CD does not read it.
        unread: Option<String>,
    },
    /// Keys of a file.
    Keys {
        /// The file.
        path: String,
        /// The keys.
        keys: FileKeys,
        /// Whether it is made where it is missing.
        create: bool,
        /// Whether Helm reads it, which reads the first document alone.
        values: bool,
    },
    /// A kustomization file.
    Kustomization {
        /// Its possible names.
        names: Vec<String>,
        /// The image's name in the manifests.
        image: ImageReference,
    },
    /// The Application's manifest.
    Manifest {
        /// The file.
        path: String,
    },
}

impl Destination {
    /// Where `image` of `application` is written.
    ///
    /// # Errors
    /// A problem where the text of the policy and the Application's sources name no file.
    pub fn of(git: &GitWriteBack, image: &Image, application: &Application) -> Result<Self, Problem> {
        let file_at = |place: &str| format!("spec.images[{}].target{place}", image.index);
        let (at, file) = match git.target {
            GitTarget::Files => {
                let Some(Target::File(target)) = &image.target else {
                    let problem = Problem::new(Reason::InvalidTarget, "the image names no file");
                    return Err(problem.at(file_at("")));
                };
                let path = clean(&target.path).map_err(|problem| problem.at(file_at(".file.path")))?;
                let file = FileChoice::Keys { path, keys: target.keys.clone(), create: target.create, values: false };
                (owning_source(git, image, application)?, file)
            }
            GitTarget::Application => {
                let path = clean(git.path.as_deref().unwrap_or_default()).map_err(at_path)?;
                (owning_source(git, image, application)?, FileChoice::Manifest { path })
            }
            GitTarget::HelmValues => values_file(git, image, application)?,
            GitTarget::Override => {
                let (pointer, source) = source_of(image, application)?;
                (Some(source), override_file(git, (pointer, source), application)?)
            }
            GitTarget::Kustomization => {
                let image_name = match &image.target {
                    None | Some(Target::Kustomize(None)) => image.reference.clone(),
                    Some(Target::Kustomize(Some(name))) => name.clone(),
                    Some(_) => return Err(wrong_target(image, "kustomize")),
                };
                let source = owning_source(git, image, application)?;
                let names = kustomization(git, source, application)?;
                (source, FileChoice::Kustomization { names, image: image_name })
            }
        };
        let branch = branch(git, at, application)?;
        let above = Above::of(git, image, application, (&branch, &file))?;
        Ok(Self { branch, file, above })
    }

    /// The usual name of the file, whatever is there.
    pub fn usual_path(&self) -> &str {
        match &self.file {
            FileChoice::Override { names, .. } | FileChoice::Kustomization { names, .. } => {
                names.first().map_or("", String::as_str)
            }
            FileChoice::Keys { path, .. } | FileChoice::Manifest { path } => path,
        }
    }

    /// The files that have to be read.
    pub fn paths(&self) -> Vec<String> {
        let above = self.above.iter().flat_map(|above| above.overrides.iter().chain(&above.values).cloned());
        let mut paths = self.own_paths();
        paths.extend(above);
        paths
    }

    fn own_paths(&self) -> Vec<String> {
        match &self.file {
            FileChoice::Override { source: _, common, names, unread } => {
                let common = std::iter::once(common).filter(|common| !common.is_empty());
                common.chain(names).chain(unread).cloned().collect()
            }
            FileChoice::Kustomization { names, image: _ } => names.clone(),
            FileChoice::Keys { path, .. } | FileChoice::Manifest { path } => vec![path.clone()],
        }
    }
}

/// The source whose repository is written: the one that is named, or the only one, or the only repository of all.
fn owning_source<'a>(
    git: &GitWriteBack,
    image: &Image,
    application: &'a Application,
) -> Result<Option<&'a Source>, Problem> {
    if let (Sources::Many(sources), None) = (&application.sources, &image.source) {
        let mut in_git = sources.iter().filter(|source| source.in_git());
        if let Some(repository) = &git.repository {
            return Ok(in_git.find(|source| same_repository(&source.repo_url, repository)));
        }
        let first = in_git.next();
        let one = first.is_some_and(|first| {
            in_git.all(|source| {
                same_repository(&source.repo_url, &first.repo_url) && source.target_revision == first.target_revision
            })
        });
        if one {
            return Ok(first);
        }
        let message =
            format!("the sources of `{}` lie in more than one repository or branch, or in none", application.id);
        return Err(Problem::new(Reason::AmbiguousSource, message)
            .at(format!("spec.images[{}].target.source", image.index))
            .hint(
                "name one with `target: { source: { index: 0 } }`, or give `writeBack.git.repository` and `branch`",
            ));
    }
    // A target in a file says nothing about the type of the source.
    let untyped = Image { target: None, ..image.clone() };
    match (&application.sources, &image.source) {
        (Sources::Many(_), _) | (_, Some(_)) => source_of(&untyped, application).map(|(_, source)| Some(source)),
        _ => Ok(application.sources.each().into_iter().next().map(|(_, source)| source)),
    }
}

/// The branch of the repository that belongs to `source`.
fn branch(git: &GitWriteBack, source: Option<&Source>, application: &Application) -> Result<GitBranch, Problem> {
    let id = &application.id;
    let of_source = source.filter(|source| source.in_git()).map(|source| source.repo_url.clone());
    let repository = git.repository.clone().or(of_source).filter(|text| !text.is_empty()).ok_or_else(|| {
        let message = format!("the source of `{id}` lies in no Git repository, and the policy names none");
        Problem::new(Reason::InvalidTarget, message).at("spec.writeBack.git").hint("give `repository`")
    })?;
    let branch = if let Some(branch) = &git.branch {
        Some(branch.clone())
    } else {
        let sources = application.sources.each();
        let in_repository = |source: &&Source| same_repository(&source.repo_url, &repository);
        let others = || sources.iter().map(|(_, source)| *source).filter(|source| source.in_git());
        let same = source.filter(in_repository).or_else(|| others().find(in_repository));
        let follows = same.or(source).filter(|source| source.in_git());
        follows.map_or(Ok(None), |source| followed(source, application))?
    };
    let access = match &git.secret {
        Some(secret) => GitAccess::Secret(secret.clone()),
        None => GitAccess::ArgoCd { project: application.project.clone() },
    };
    Ok(GitBranch { repository, branch, access })
}

/// The branch that a source follows; `None`: the remote's default branch.
pub(super) fn followed(source: &Source, application: &Application) -> Result<Option<String>, Problem> {
    let Some(revision) = source.target_revision.as_deref().map(str::trim) else { return Ok(None) };
    let branch = revision.strip_prefix("refs/heads/").unwrap_or(revision);
    if matches!(branch, "" | "HEAD") {
        return Ok(None);
    }
    let commit = matches!(branch.len(), 40 | 64) && branch.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !commit && !branch.starts_with("refs/") && crate::lower::git_write_back::invalid_branch(branch).is_none() {
        return Ok(Some(branch.to_owned()));
    }
    let message = format!("`{}` follows `{revision}`, which is no branch that can be written", application.id);
    Err(Problem::new(Reason::InvalidTarget, message).at("spec.writeBack.git.branch").hint("name the branch there"))
}

pub(super) fn at_path(problem: Problem) -> Problem {
    problem.at("spec.writeBack.git.path")
}

/// `path` seen from the folder of `source`, or with a leading `/` from the root.
fn resolved(path: &str, git: &GitWriteBack, source: Option<&Source>, id: &Application) -> Result<String, Problem> {
    if path.starts_with('/') {
        return clean(path).map_err(at_path);
    }
    let own = source.filter(|source| source.in_git()).map(|source| source.path.clone().unwrap_or_default());
    let folder = own.or_else(|| git.repository.as_ref().map(|_| String::new())).ok_or_else(|| {
        let message = format!(
            "the source of `{}` is a chart of a registry or Helm repository, which has no folder in Git",
            id.id
        );
        at_path(
            Problem::new(Reason::InvalidTarget, message)
                .hint("use `target: HelmValues` with a values file of another source, `path: $name/values.yaml`"),
        )
    })?;
    let stays = clean(&folder).map_err(|problem| {
        let message = format!("the path of the source of `{}`: {problem}", id.id);
        Problem::new(Reason::InvalidTarget, message).hint("correct `path` of the source")
    });
    stays.and_then(|folder| clean(&format!("{folder}/{path}")).map_err(at_path))
}

fn folder(git: &GitWriteBack, source: &Source, application: &Application) -> Result<String, Problem> {
    if !source.in_git() {
        // Argo CD reads the file beside the chart, which is unpacked from an archive.
        return resolved("", &GitWriteBack { repository: None, ..git.clone() }, Some(source), application);
    }
    if source.reference.is_some() && source.path.is_none() {
        let message = format!(
            "the source of `{}` only lends its files to others; Argo CD reads no override there",
            application.id
        );
        return Err(Problem::new(Reason::InvalidTarget, message).hint("use `target: HelmValues`"));
    }
    resolved(git.path.as_deref().unwrap_or_default(), git, Some(source), application)
}

fn override_file(
    git: &GitWriteBack,
    (place, source): (Pointer, &Source),
    application: &Application,
) -> Result<FileChoice, Problem> {
    let folder = folder(git, source, application)?;
    alone(&place, source, application)?;
    if git.path.is_some() && git.repository.as_ref().is_none_or(|other| same_repository(other, &source.repo_url)) {
        read_by_argo_cd(&folder, source, application)?;
    }
    let (source, folder) = (place, folder.as_str());
    let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
    if git.path.is_some() && name.starts_with(OVERRIDE) {
        let common = joined(parent, COMMON_OVERRIDE);
        return Ok(FileChoice::Override { source, common, names: vec![folder.to_owned()], unread: None });
    }
    if git.path.is_some() && [".yaml", ".yml"].iter().any(|end| name.ends_with(end)) {
        let message = format!("Argo CD reads no override file of the name `{name}`");
        let problem = at_path(Problem::new(Reason::InvalidTarget, message));
        return Err(problem.hint("for a values file write `target: HelmValues`"));
    }
    let (names, unread) = override_names(application);
    let [names, unread] =
        [names, unread.into_iter().collect()].map(|names| names.iter().map(|name| joined(folder, name)).collect());
    let common = joined(folder, COMMON_OVERRIDE);
    Ok(FileChoice::Override { source, common, names, unread: Vec::into_iter(unread).next() })
}

/// Refuses a source whose override is that of another source of the Application, too.
fn alone(place: &Pointer, source: &Source, application: &Application) -> Result<(), Problem> {
    let seen = |source: &Source| {
        let revision = source.target_revision.as_deref().map(str::trim).filter(|text| !matches!(*text, "" | "HEAD"));
        let folder = source.path.as_deref().map(clean).and_then(Result::ok);
        (plain_address(&source.repo_url), folder, revision.map(ToOwned::to_owned))
    };
    let sources = application.sources.each();
    let mut others = sources.iter().filter(|(other, _)| other != place).filter(|(_, other)| other.path.is_some());
    let Some((other, _)) = others.find(|(_, other)| other.in_git() && seen(other) == seen(source)) else {
        return Ok(());
    };
    let folder = source.path.as_deref().unwrap_or_default();
    let message = format!(
        "`{place}` and `{other}` of `{}` lie in one folder, `{folder}`, and both would read the override",
        application.id
    );
    Err(Problem::new(Reason::AmbiguousSource, message)
        .hint("use `target: HelmValues` with a values file of one of them"))
}

/// Refuses a folder or a file beside those that Argo CD reads overrides from.
fn read_by_argo_cd(path: &str, source: &Source, application: &Application) -> Result<(), Problem> {
    let own = clean(source.path.as_deref().unwrap_or_default()).unwrap_or_default();
    let (names, _) = override_names(application);
    let read: Vec<String> = names.iter().map(|name| joined(&own, name)).collect();
    if path == own || read.iter().any(|read| read == path) {
        return Ok(());
    }
    let message =
        format!("Argo CD reads no override of `{}` at `{path}`, but at `{}`", application.id, read.join("` or `"));
    Err(at_path(Problem::new(Reason::InvalidTarget, message))
        .hint("leave out `path`; for a values file write `target: HelmValues`"))
}

/// The names of the override file that Argo CD reads, and one that it does not and people take for it.
///
/// Argo CD reads the bare name in its own namespace, and elsewhere the one with the namespace alone
/// (<https://argo-cd.readthedocs.io/en/stable/user-guide/parameters/>): there the bare name is that of another Application.
pub(super) fn override_names(application: &Application) -> (Vec<String>, Option<String>) {
    let id = &application.id;
    let plain = format!("{OVERRIDE}{}.yaml", id.name);
    let long = format!("{OVERRIDE}{}_{}.yaml", id.namespace, id.name);
    match &application.controller_namespace {
        None => (vec![plain, long], None),
        Some(namespace) if *namespace == id.namespace => (vec![plain], Some(long)),
        Some(_) => (vec![long], None),
    }
}

fn kustomization(
    git: &GitWriteBack,
    source: Option<&Source>,
    application: &Application,
) -> Result<Vec<String>, Problem> {
    let path = resolved(git.path.as_deref().unwrap_or_default(), git, source, application)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    if KUSTOMIZATIONS.contains(&name) {
        return Ok(vec![path]);
    }
    Ok(KUSTOMIZATIONS.iter().map(|name| joined(&path, name)).collect())
}

/// The values file of the source, and the source that it lies in.
fn values_file<'a>(
    git: &GitWriteBack,
    image: &Image,
    application: &'a Application,
) -> Result<(Option<&'a Source>, FileChoice), Problem> {
    let keys = match &image.target {
        None => Keys::default(),
        Some(Target::Helm(keys) | Target::HelmValues(keys)) => keys.clone(),
        Some(_) => return Err(wrong_target(image, "helm")),
    };
    let keys = file_keys(&keys, image)?;
    let typed = Image { target: Some(Target::Helm(Keys::default())), ..image.clone() };
    let single = application.sources.each();
    let source = match (&application.sources, single.as_slice()) {
        (Sources::Many(_), _) => source_of(&typed, application)?.1,
        (_, [(_, only)]) => *only,
        _ => return Err(source_of(&typed, application).err().unwrap_or_else(|| no_values_file(application, &[]))),
    };
    let lent: Vec<&str> = source
        .helm
        .iter()
        .flat_map(|helm| helm.value_files.iter().map(String::as_str))
        .filter(|file| file.starts_with('$'))
        .collect();
    let path = match (git.path.as_deref(), !source.in_git() && git.repository.is_none(), lent.as_slice()) {
        (Some(path), _, _) => path,
        (None, false, _) => "values.yaml",
        (None, true, [one]) => one,
        (None, true, several) => return Err(no_values_file(application, several)),
    };
    let (source, path) = match path.strip_prefix('$') {
        Some(lent) => {
            let (name, path) = lent.split_once('/').unwrap_or((lent, ""));
            let lender =
                single.iter().map(|(_, source)| *source).find(|source| source.reference.as_deref() == Some(name));
            let lender = lender.ok_or_else(|| {
                let message = format!("no source of `{}` has the name `ref: {name}`", application.id);
                at_path(Problem::new(Reason::InvalidTarget, message))
            })?;
            (lender, clean(path).map_err(at_path)?)
        }
        None => (source, resolved(path, git, Some(source), application)?),
    };
    Ok((Some(source), FileChoice::Keys { path, keys, create: git.create, values: true }))
}

fn no_values_file(application: &Application, several: &[&str]) -> Problem {
    let id = &application.id;
    let message = if several.is_empty() {
        format!("the chart of `{id}` comes from a Helm repository, and it has no values file in Git")
    } else {
        format!("`{id}` has more than one values file in Git: {}", several.join(", "))
    };
    at_path(Problem::new(Reason::AmbiguousFile, message).hint("name the file, for example `path: $values/values.yaml`"))
}

fn file_keys(keys: &Keys, image: &Image) -> Result<FileKeys, Problem> {
    let read = |text: &String| {
        text.parse().map_err(|error: crate::model::InvalidKeyPath| {
            let problem = Problem::new(Reason::InvalidTarget, error.to_string());
            problem.at(format!("spec.images[{}].target", image.index))
        })
    };
    Ok(match keys {
        Keys::Spec(spec) => FileKeys { spec: Some(read(spec)?), ..FileKeys::default() },
        Keys::NameAndTag { name, tag } => {
            FileKeys { name: name.as_ref().map(read).transpose()?, tag: Some(read(tag)?), ..FileKeys::default() }
        }
    })
}

fn wrong_target(image: &Image, kind: &str) -> Problem {
    let message = "the image's target is not one of the file that `writeBack.git.target` names";
    let problem = Problem::new(Reason::InvalidTarget, message).at(format!("spec.images[{}].target", image.index));
    problem.hint(format!("use `target.{kind}`, or leave it out"))
}

pub(super) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A path from the root of the repository, without `.`, `..` and empty parts.
///
/// # Errors
/// A problem where it leaves the repository, or goes into its administration.
pub(super) fn clean(path: &str) -> Result<String, Problem> {
    let refuse = |cause: &str| Err(Problem::new(Reason::InvalidTarget, format!("`{path}` {cause}")));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => return refuse("leads out of the repository"),
            _ if part.eq_ignore_ascii_case(".git") => return refuse("leads into `.git`"),
            _ if part.contains(['\\', '\0', '\n']) => return refuse("is not a path in a repository"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Whether two addresses name one repository, whatever the scheme, the user and the ending.
pub fn same_repository(one: &str, other: &str) -> bool {
    plain_address(one) == plain_address(other)
}

/// The name of the host that an address leads to.
pub(super) fn host(address: &str) -> String {
    plain_address(address).split(['/', ':']).next().unwrap_or_default().to_owned()
}

/// The one form of all addresses of a repository: host and path, in small letters.
pub(super) fn plain_address(address: &str) -> String {
    let address = address.trim().to_ascii_lowercase();
    let (scheme, rest) = address.split_once("://").map_or(("", address.as_str()), |(scheme, rest)| (scheme, rest));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = if scheme.is_empty() { rest.replacen(':', "/", 1) } else { rest.to_owned() };
    let rest = rest.trim_end_matches('/').trim_end_matches(".git").to_owned();
    let (host, path) = rest.split_once('/').unwrap_or((rest.as_str(), ""));
    let port = [("https", ":443"), ("http", ":80"), ("ssh", ":22")].into_iter().find(|(known, _)| *known == scheme);
    let host = port.and_then(|(_, port)| host.strip_suffix(port)).unwrap_or(host);
    format!("{host}/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_repository() {
        let say = |path: &str| clean(path).unwrap_or_else(|problem| problem.to_string());
        assert_eq!(say("/a//b/./c/../d/"), "a/b/d");
        assert_eq!(say("charts/web/../../base"), "base");
        insta::assert_snapshot!(say("charts/../../base"), @"`charts/../../base` leads out of the repository");
        insta::assert_snapshot!(say("a/.GIT/config"), @"`a/.GIT/config` leads into `.git`");
    }

    #[test]
    fn one_repository_has_many_addresses() {
        for other in [
            "https://git.example.com/Org/web",
            "git@git.example.com:org/web.git",
            "ssh://git@git.example.com:22/org/web.git/",
            "https://token@git.example.com:443/org/web.git",
        ] {
            assert!(same_repository("https://git.example.com/org/web.git", other), "{other}");
        }
        for other in [
            "https://git.example.com/org/web2",
            "https://git.example.com:8443/org/web",
            "https://other.example.com/org/web",
        ] {
            assert!(!same_repository("https://git.example.com/org/web.git", other), "{other}");
        }
    }
}
