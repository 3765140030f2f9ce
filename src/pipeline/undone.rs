//! Who undoes writes: a parent Application that heals its children, an operator with its own opinion. Pure.

use crate::model::Application;

/// Who seems to have changed the Application, where that is no person.
pub(super) fn suspect(application: &Application) -> Option<String> {
    let controller = |name: &&String| name.starts_with("argocd") || name.contains("controller");
    let editor = application.edited_by.as_ref().filter(controller);
    match (editor, &application.tracked_by) {
        (Some(editor), Some(parent)) => {
            Some(format!("`{editor}` changed the Application last, and Argo CD manages it as a part of `{parent}`"))
        }
        (Some(editor), None) => Some(format!("`{editor}` changed the Application last")),
        (None, Some(parent)) => Some(format!("Argo CD manages the Application as a part of `{parent}`")),
        (None, None) => None,
    }
}
