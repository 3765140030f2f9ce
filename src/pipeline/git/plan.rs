//! Drafts → plans for Git: one a branch. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::change::one_in_the_other;
use super::destination::Destination;
use super::message::{references, trailers};
use super::sheet::Sheet;
use crate::lower::git_template::{ChangeFacts, DEFAULT_MESSAGE, Facts, TemplateError};
use crate::lower::git_write_back::invalid_branch;
use crate::model::{
    Application, CommitPlan, Current, Edit, GitBranch, GitPlan, GitWriteBack, HeadBranch, Policy, Problem, Reason,
    Sources,
};
use crate::pipeline::write::Draft;

/// The longest name of a branch, in bytes.
const LONGEST_BRANCH: usize = 255;

/// What one Application wants of one branch.
#[derive(Debug, Clone)]
pub struct Job {
    /// The plan; without edits where nothing is to be changed.
    pub plan: GitPlan,
    /// The name of the branch that was read.
    pub base_name: String,
    /// The branch that is written, where it is another one.
    pub head: Option<HeadBranch>,
    /// What templates see.
    pub facts: Facts,
    /// Why the commit has another message than the policy asks for, in words that follow a message.
    pub note: Option<String>,
}

/// The files that one branch gets, as they are made.
struct Work {
    branch_name: String,
    sheets: Vec<Sheet>,
    edits: Vec<Edit>,
    changes: Vec<ChangeFacts>,
}

/// One plan for each branch that the drafts are written to, also where nothing is to be changed there. A draft whose change cannot be made says why, and
/// the others go on.
pub fn jobs(policy: &Policy, git: &GitWriteBack, application: &Arc<Application>, drafts: &mut [Draft<'_>]) -> Vec<Job> {
    let mut works: BTreeMap<GitBranch, Work> = BTreeMap::new();
    for draft in drafts.iter_mut() {
        let Some(file) = draft.file().cloned() else { continue };
        let branch_name = file.branch_name.clone();
        let work = works.entry(file.branch.clone()).or_insert_with(|| Work {
            branch_name,
            sheets: Vec::new(),
            edits: Vec::new(),
            changes: Vec::new(),
        });
        if draft.version().is_none() {
            continue;
        }
        if let Some(other) = work.sheets.iter().map(Sheet::path).find(|other| one_in_the_other(other, &file.path)) {
            let message = format!("`{}` and `{other}` cannot both be files: one would lie in the other", file.path);
            draft.fail(Reason::InvalidTarget, message);
            continue;
        }
        let same = |sheet: &Sheet| sheet.path() == file.path && sheet.document() == file.document;
        let position = work.sheets.iter().position(same).unwrap_or_else(|| {
            work.sheets.push(file.sheet());
            work.sheets.len() - 1
        });
        let Some(version) = draft.version() else { continue };
        match file.write(&mut work.sheets[position], draft.image, &version) {
            Ok(false) => {}
            Ok(true) => {
                let (from, to) = (draft.current().map(ToString::to_string), version.text());
                work.edits.push(Edit { image: draft.image.index, from, to, operations: Vec::new() });
                work.changes.push(facts_of(draft));
            }
            Err(problem) => {
                let text = problem.to_string();
                draft.fail(problem.reason, text);
            }
        }
    }
    let mut jobs = Vec::new();
    for (base, work) in works {
        let images: Vec<usize> = work.edits.iter().map(|edit| edit.image).collect();
        match job(policy, git, application, base, work) {
            Ok(job) => jobs.push(job),
            // Without a change a template that names the content has nothing to say: no draft is told of it.
            Err(problem) => {
                for draft in drafts.iter_mut().filter(|draft| images.contains(&draft.image.index)) {
                    draft.fail(problem.reason, problem.to_string());
                }
            }
        }
    }
    jobs
}

fn job(
    policy: &Policy,
    git: &GitWriteBack,
    application: &Application,
    base: GitBranch,
    work: Work,
) -> Result<Job, Problem> {
    let Work { branch_name, sheets, edits, changes } = work;
    let files: Vec<_> = sheets.into_iter().filter_map(Sheet::change).collect();
    let facts = Facts {
        application: application.id.name.clone(),
        namespace: application.id.namespace.clone(),
        policy: policy.id.to_string(),
        target_key: target_key(&base, git, &usual_paths(policy, git, application, &base)),
        changes,
    };
    let invalid = |error: &TemplateError| {
        Problem::new(Reason::InvalidTemplate, error.to_string()).at("spec.writeBack.git.writeBranch")
    };
    let (message, note) = message(git, &facts);
    let head = match &git.write_branch {
        None => None,
        Some(template) => {
            let name = facts.branch(template).map_err(|error| invalid(&error))?;
            let name = Some(checked(&name)?).filter(|name| *name != branch_name);
            name.map(|name| HeadBranch::from_template(template, name))
        }
    };
    let mut trailers = trailers(&policy.id, &application.id);
    if matches!(application.sources, Sources::Hydrated(_)) {
        trailers.extend(references(&facts.changes));
    }
    let commit = CommitPlan {
        via: git.commit.via,
        message,
        template: git.commit.message.clone(),
        facts: facts.clone(),
        trailers,
        alone: git.commit.per_application,
        author: git.commit.author.clone(),
        sign_off: git.commit.sign_off,
        signing: git.commit.signing.clone(),
    };
    let plan = GitPlan {
        application: application.id.clone(),
        policy: policy.id.clone(),
        base,
        write_branch: head.as_ref().map(|head| head.name().to_owned()),
        files,
        edits,
        commit,
    };
    Ok(Job { plan, base_name: branch_name, head, facts, note })
}

/// The message of a commit, and what has to be told of it: a template that fails holds nothing up.
fn message(git: &GitWriteBack, facts: &Facts) -> (String, Option<String>) {
    match facts.message(git.commit.message.as_deref().unwrap_or(DEFAULT_MESSAGE)) {
        Ok(message) => (message, None),
        Err(error) => {
            let note = format!("with the built-in message, as `commit.messageTemplate` fails: {}", error.cause);
            (facts.message(DEFAULT_MESSAGE).unwrap_or_default(), Some(note))
        }
    }
}

/// The files of a branch that the policy may write for an Application, whether they change now or not: so they name one destination for ever.
fn usual_paths(policy: &Policy, git: &GitWriteBack, application: &Application, base: &GitBranch) -> String {
    let destinations = policy.images.iter().filter_map(|image| Destination::of(git, image, application).ok());
    let mut paths: Vec<String> = Vec::new();
    for destination in destinations.filter(|destination| destination.branch == *base) {
        let path = destination.usual_path().to_owned();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.join(",")
}

/// The name of a branch that a template made: cut to what Git takes.
fn checked(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let end = name.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = end.take_while(|end| *end <= LONGEST_BRANCH).last().unwrap_or_default();
    let name = &name[..end];
    let Some(cause) = invalid_branch(name) else { return Ok(name.to_owned()) };
    let message = format!("the template makes `{name}`, which is not the name of a branch: {cause}");
    Err(Problem::new(Reason::InvalidTemplate, message).at("spec.writeBack.git.writeBranch"))
}

/// What tells one destination from another, as existing installations make it: eight digits of a hash.
fn target_key(base: &GitBranch, git: &GitWriteBack, paths: &str) -> String {
    let branch = git.branch.as_deref().unwrap_or_default();
    let hash = Sha256::digest(format!("{}|{branch}|{paths}", base.repository));
    hash.iter().take(4).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// What templates see of one change.
fn facts_of(draft: &Draft<'_>) -> ChangeFacts {
    let image = draft.image;
    let (old, new) = (draft.current(), draft.version());
    let digest_or_tag = |current: &Current| match (&current.digest, &current.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let digest = |current: Option<&Current>| {
        current.and_then(|current| current.digest.as_ref()).map(ToString::to_string).unwrap_or_default()
    };
    let new = new.map(|version| Current { tag: version.tag.cloned(), digest: version.digest.cloned() });
    let titled = image.title != image.reference.repository.to_string();
    ChangeFacts {
        image: image.reference.repository.path.clone(),
        alias: if titled { image.title.clone() } else { String::new() },
        old_tag: old.map(digest_or_tag).unwrap_or_default(),
        new_tag: new.as_ref().map(digest_or_tag).unwrap_or_default(),
        old_digest: digest(old),
        new_digest: digest(new.as_ref()),
        labels: (*draft.labels).clone(),
    }
}
