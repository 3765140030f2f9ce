//! Plans on what a commit holds: pure, and where it is decided which of them share a commit.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{PLAIN, Standing};
use crate::edit::yaml;
use crate::model::{
    CommitAuthor, CommitSigning, CommitVia, FileChange, GitEntry, GitPlan, Node, Operation, Pointer, Reason, Step,
};
use crate::pipeline::git::{ChangeError, changed, combined, one_in_the_other};
use crate::ports::GitError;

/// How many items of a list are compared with one that is to be appended.
const MAXIMUM_ITEMS: usize = 100;

/// Files by path: those of a commit, or those that change with their new texts.
pub(super) type Files = BTreeMap<String, Standing>;

/// How a commit looks beside its content; plans that agree share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Who wrote it.
    pub author: CommitAuthor,
    /// How it is signed.
    pub signing: Option<CommitSigning>,
    sign_off: bool,
}

/// What one commit brings.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// How it looks.
    pub look: Look,
    /// The plans in it, by their places in the batch.
    pub plans: Vec<usize>,
    /// The files that it changes, with their texts after it.
    pub changes: Files,
    /// Its message.
    pub message: String,
}

/// The commits for plans, and what became of all others, by their places.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Commits, in order.
    pub commits: Vec<Commit>,
    /// Plans that a push brought whose answer was lost, or that change nothing.
    pub there: Vec<usize>,
    /// Plans that cannot be written.
    pub failed: Vec<(usize, GitError)>,
}

/// A plan that waits to be written.
pub(super) struct Wanted<'a> {
    /// The plan.
    pub plan: &'a GitPlan,
    /// Whether a commit with it was pushed before: then it may be there.
    pub pushed: bool,
}

/// Applies `plans` one after the other, each all or not at all, and gathers them in commits.
pub(super) fn batch(tip: &Files, plans: &[Wanted<'_>]) -> Batch {
    let mut batch = Batch::default();
    let mut files = tip.clone();
    // Commits are made in the order of their first plan, so plans are applied in that order, too.
    for group in groups(plans) {
        let mut commit: Option<Commit> = None;
        for place in group {
            let Wanted { plan, pushed } = plans[place];
            if pushed && is_there(tip, plan) {
                batch.there.push(place);
                continue;
            }
            // A plan before it may have brought the very same.
            let same = commit.as_ref().is_some_and(|_| changes(tip, plan).is_ok() && is_there(&files, plan));
            let changed = if same { Ok(Files::new()) } else { changes(&files, plan) };
            match (changed, &mut commit) {
                (Err(error), _) => batch.failed.push((place, error)),
                (Ok(changed), None) if changed.is_empty() => batch.there.push(place),
                (Ok(changed), _) => {
                    files.extend(changed.clone());
                    let commit = commit.get_or_insert_with(|| Commit::new(look(plan)));
                    commit.plans.push(place);
                    commit.changes.extend(changed);
                }
            }
        }
        if let Some(mut commit) = commit {
            let written: Vec<&GitPlan> = commit.plans.iter().map(|place| plans[*place].plan).collect();
            commit.message = combined(&written);
            batch.commits.push(commit);
        }
    }
    batch
}

impl Commit {
    const fn new(look: Look) -> Self {
        Self { look, plans: Vec::new(), changes: Files::new(), message: String::new() }
    }
}

/// The files that `plan` changes, with their new texts.
fn changes(files: &Files, plan: &GitPlan) -> Result<Files, GitError> {
    let mut all = Files::new();
    for change in &plan.files {
        let standing = all.get(&change.path).or_else(|| files.get(&change.path));
        let standing = standing.ok_or_else(|| GitError::changed(format!("`{}` was not read", change.path)))?;
        let before = match &standing.entry {
            GitEntry::File(text) => Some(text.as_str()),
            GitEntry::Missing => None,
            GitEntry::Folder(_) => return Err(not_a_file(&change.path, "a folder")),
            GitEntry::Other(what) => return Err(not_a_file(&change.path, what)),
        };
        if before.is_none() {
            let files = || all.iter().chain(files).filter(|(_, standing)| matches!(standing.entry, GitEntry::File(_)));
            if let Some((other, _)) = files().find(|(other, _)| one_in_the_other(other, &change.path)) {
                let message = format!("`{}` is not made beside `{other}`: one would lie in the other", change.path);
                return Err(GitError::new(Reason::InvalidTarget, message));
            }
        }
        let text = changed(before, change).map_err(|error| match error {
            ChangeError::Changed { .. } => GitError::changed(error.to_string()),
            ChangeError::Refused { .. } => GitError::new(Reason::CannotEditLosslessly, error.to_string()),
        })?;
        if standing.entry != GitEntry::File(text.clone()) {
            let mode = standing.mode;
            if plan.commit.via == CommitVia::GitHubApi && mode != PLAIN {
                return Err(GitError::new(
                    Reason::InvalidTarget,
                    format!(
                        "`{}` is executable, which a commit by GitHub's API does not keep; leave out `commit.via`",
                        change.path
                    ),
                ));
            }
            all.insert(change.path.clone(), Standing { entry: GitEntry::File(text), mode });
        }
    }
    Ok(all)
}

fn not_a_file(path: &str, what: &str) -> GitError {
    GitError::new(Reason::InvalidTarget, format!("`{path}` is {what}, which is not edited"))
}

/// Whether all that `plan` writes stands there.
fn is_there(files: &Files, plan: &GitPlan) -> bool {
    plan.files.iter().all(|change| match files.get(&change.path).map(|standing| &standing.entry) {
        Some(GitEntry::File(text)) => change_is_there(text, change),
        _ => false,
    })
}

fn change_is_there(text: &str, change: &FileChange) -> bool {
    let holds = |pointer: Pointer, node: &Node| {
        yaml::apply(text, change.document, &[Operation::Test(pointer, node.clone())]).is_ok()
    };
    let created = change.create.as_deref().is_none_or(|create| text.ends_with(create));
    if change.operations.is_empty() {
        return created;
    }
    change.operations.iter().all(|operation| match operation {
        Operation::Test(..) => true,
        Operation::Add(pointer, node) if pointer.steps.last() == Some(&Step::End) => {
            let list = Pointer { steps: pointer.steps[..pointer.steps.len() - 1].to_vec() };
            (0..MAXIMUM_ITEMS).any(|index| holds(list.clone().index(index), node))
        }
        Operation::Replace(pointer, node) | Operation::Add(pointer, node) => holds(pointer.clone(), node),
    })
}

fn look(plan: &GitPlan) -> Look {
    let commit = &plan.commit;
    Look { author: commit.author.clone(), signing: commit.signing.clone(), sign_off: commit.sign_off }
}

/// The places of plans that share a commit.
fn groups(plans: &[Wanted<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Look, bool, Vec<usize>)> = Vec::new();
    for (place, Wanted { plan, .. }) in plans.iter().enumerate() {
        let look = look(plan);
        let shared = groups.iter_mut().find(|(known, alone, _)| !*alone && !plan.commit.alone && *known == look);
        match shared {
            Some((_, _, places)) => places.push(place),
            None => groups.push((look, plan.commit.alone, vec![place])),
        }
    }
    groups.into_iter().map(|(_, _, places)| places).collect()
}

/// The files that plans name.
pub(super) fn paths<'a>(plans: impl Iterator<Item = &'a GitPlan>) -> BTreeSet<String> {
    plans.flat_map(|plan| plan.files.iter().map(|file| file.path.clone())).collect()
}
