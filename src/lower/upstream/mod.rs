//! What argocd-image-updater's texts mean in a policy: the same texts stand in annotations and in its own resources.
//!
//! Everything here takes texts with their places and gives parts of a policy. A part that cannot be read is a problem, and what
//! depends on it is left out.

mod identifier;
mod settings;
mod target;
mod write_back;

pub(super) use identifier::{Identifier, identifier, is_alias, is_version};
pub(super) use settings::{Rules, Settings, rules};
pub(super) use target::{helm, kustomize, plugin};
pub(super) use write_back::WriteBack;

use super::rule::Placed;
use crate::model::{Problem, Reason};

/// A text and where the user wrote it.
pub(super) type Text = Placed<String>;

/// What is found wrong or remarkable while reading.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What cannot be carried over.
    pub problems: Vec<Problem>,
    /// What is understood, and worth knowing.
    pub notes: Vec<Problem>,
}

impl Findings {
    /// The value, or nothing and a problem.
    pub fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.refuse(problem)).ok()
    }

    /// Adds a problem, once.
    pub fn refuse(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a note, once.
    pub fn note(&mut self, note: Problem) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The problem of a text that is longer than a policy may hold.
fn within(text: &str, most: usize, reason: Reason, what: &str) -> Result<(), Problem> {
    match text.chars().count() {
        length if length <= most => Ok(()),
        length => {
            let start: String = text.chars().take(40).collect();
            let message = format!("{what} `{start}…` has {length} characters, and a policy holds at most {most}");
            Err(Problem::new(reason, message).hint("write it shorter"))
        }
    }
}
