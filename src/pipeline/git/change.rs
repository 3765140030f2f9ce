//! A change of a file, made on the text that stands there by now. Whatever writes to Git changes files by this alone.

use crate::edit::yaml::{EditError, apply, documents};
use crate::model::FileChange;

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The file is not what the change was decided on: read it anew and decide again.
    #[error("`{path}` changed: {cause}")]
    Changed {
        /// The file.
        path: String,
        /// What differs.
        cause: String,
    },
    /// The file cannot be changed without touching something else.
    #[error("`{path}` cannot be changed without touching something else: {cause}")]
    Refused {
        /// The file.
        path: String,
        /// What stands in the way.
        cause: String,
    },
}

/// The text of a file with `change` made; `before` is its present text, `None` where it is missing.
///
/// A change that [creates](FileChange::create) puts its text behind what a file without a document holds: nothing, or comments.
///
/// # Errors
/// [`ChangeError::Changed`] where the file is not what the change was decided on.
pub fn changed(before: Option<&str>, change: &FileChange) -> Result<String, ChangeError> {
    let path = || change.path.clone();
    let differs = |cause: &str| ChangeError::Changed { path: path(), cause: cause.to_owned() };
    match (&change.create, before) {
        (None, None) => Err(differs("it is no longer there")),
        (None, Some(before)) => apply(before, change.document, &change.operations).map_err(|error| match error {
            EditError::Changed { .. } | EditError::NoDocument { .. } => {
                ChangeError::Changed { path: path(), cause: error.to_string() }
            }
            EditError::Unreadable { .. } | EditError::Refused { .. } | EditError::NotLossless { .. } => {
                ChangeError::Refused { path: path(), cause: error.to_string() }
            }
        }),
        (Some(text), None) => Ok(text.clone()),
        (Some(_), Some(before)) if !documents(before).is_empty() => Err(differs("it was not there, and is by now")),
        (Some(text), Some(before)) => Ok(behind(before, text)),
    }
}

/// Whether one of two paths lies in the other, so that not both can be files.
pub fn one_in_the_other(one: &str, other: &str) -> bool {
    let inside = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    inside(one, other) || inside(other, one)
}

/// `text` behind comments, in their line ends.
pub(super) fn behind(before: &str, text: &str) -> String {
    let eol = if before.contains("\r\n") { "\r\n" } else { "\n" };
    let joint = if before.is_empty() || before.ends_with('\n') || before == "\u{feff}" { "" } else { eol };
    format!("{before}{joint}{}", text.replace('\n', eol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Node, Operation, Pointer};

    fn edit() -> FileChange {
        let at = Pointer::root().key("a");
        let operations =
            vec![Operation::Test(at.clone(), Node::text("1.0")), Operation::Replace(at, Node::text("1.1"))];
        FileChange { path: "a.yaml".to_owned(), document: 0, operations, create: None }
    }

    fn creation() -> FileChange {
        FileChange { operations: Vec::new(), create: Some("a: b\n".to_owned()), ..edit() }
    }

    #[test]
    fn an_edit_needs_what_it_was_decided_on() {
        assert_eq!(changed(Some("a: '1.0' # x\n"), &edit()).as_deref(), Ok("a: '1.1' # x\n"));
        insta::assert_snapshot!(changed(Some("a: 2.0\n"), &edit()).unwrap_err(), @"`a.yaml` changed: line 1: `a` holds something else than expected");
        insta::assert_snapshot!(changed(Some(""), &edit()).unwrap_err(), @"`a.yaml` changed: there is no document 0; the file has 0");
        insta::assert_snapshot!(changed(None, &edit()).unwrap_err(), @"`a.yaml` changed: it is no longer there");
        insta::assert_snapshot!(changed(Some("a: &x 1.0\nb: *x\n"), &edit()).unwrap_err(), @"`a.yaml` cannot be changed without touching something else: line 1: `a` has an anchor that is used elsewhere, too");
    }

    #[test]
    fn a_creation_keeps_comments_and_replaces_no_document() {
        assert_eq!(changed(None, &creation()).as_deref(), Ok("a: b\n"));
        assert_eq!(changed(Some(""), &creation()).as_deref(), Ok("a: b\n"));
        assert_eq!(changed(Some("\u{feff}"), &creation()).as_deref(), Ok("\u{feff}a: b\n"));
        assert_eq!(changed(Some("# head\r\n# no end"), &creation()).as_deref(), Ok("# head\r\n# no end\r\na: b\r\n"));
        insta::assert_snapshot!(changed(Some("c: d\n"), &creation()).unwrap_err(), @"`a.yaml` changed: it was not there, and is by now");
    }
}
