//! Paths in `helm.values`, a YAML text within the Application. The text is changed by bytes, so comments, order and quotes in it
//! stay, and replaced as one string.

use super::values::nest;
use crate::edit::yaml::{EditError, Standing, apply, documents, look};
use crate::model::{Node, Operation, Pointer, Problem, Reason, Source};

/// Any version: whether one can be written is tried with it.
const TRIAL: &str = "v0.0.0";

/// The text at `path`.
pub(super) fn get(source: &Source, path: &str) -> Option<String> {
    let inline = source.helm.as_ref()?.inline.as_ref()?;
    match look(inline, 0, &Pointer::from_value_path(path)?) {
        Ok(Standing::Text(text)) => Some(text),
        Ok(Standing::Other | Standing::Nothing(_)) | Err(_) => None,
    }
}

/// Why no version can be written at `path`, in words that follow the name of the Application.
pub(super) fn refusal(source: &Source, path: &str) -> Option<(Reason, String)> {
    let inline = source.helm.as_ref()?.inline.as_ref()?;
    let pointer = Pointer::from_value_path(path)?;
    match look(inline, 0, &pointer) {
        Ok(Standing::Other) => {
            let text = format!("holds something at `{path}` of its Helm `values` that is no text");
            Some((Reason::InvalidTarget, text))
        }
        Err(EditError::Changed { .. }) => {
            Some((Reason::InvalidTarget, format!("has no place for `{path}` in its Helm `values`")))
        }
        Ok(Standing::Text(_) | Standing::Nothing(_)) | Err(_) => {
            let error = edited(inline, &pointer, TRIAL).err()?;
            Some((Reason::CannotEditLosslessly, format!("has Helm `values` that cannot be changed there: {error}")))
        }
    }
}

/// Puts `value` at `path`.
///
/// # Errors
/// A problem where that cannot be done without touching the rest of the text.
pub(super) fn set(place: &Pointer, source: &mut Source, path: &str, value: &str) -> Result<Vec<Operation>, Problem> {
    let inline = source.helm.as_mut().and_then(|helm| helm.inline.as_mut());
    let (Some(inline), Some(pointer)) = (inline, Pointer::from_value_path(path)) else { return Ok(Vec::new()) };
    let after = edited(inline, &pointer, value).map_err(|error| {
        let message = format!("cannot write `{path}` of the Helm `values` without touching the rest: {error}");
        Problem::new(Reason::CannotEditLosslessly, message)
    })?;
    if *after == **inline {
        return Ok(Vec::new());
    }
    let at = place.clone().key("helm").key("values");
    let before = std::mem::replace(inline, after.as_str().into());
    Ok(vec![Operation::Test(at.clone(), Node::text(&*before)), Operation::Replace(at, Node::Text(after))])
}

fn edited(inline: &str, pointer: &Pointer, value: &str) -> Result<String, EditError> {
    let count = documents(inline).len();
    if count != 1 {
        let cause = format!("it holds {count} documents, and one is expected");
        return Err(EditError::Refused { line: 1, cause });
    }
    let operation = match look(inline, 0, pointer)? {
        Standing::Text(_) | Standing::Other => Operation::Replace(pointer.clone(), Node::text(value)),
        Standing::Nothing(depth) => {
            let (there, missing) = pointer.steps.split_at(depth + 1);
            let node = nest(missing, value).map(|(node, _)| node);
            let refused = || EditError::Refused { line: 1, cause: "no list is made where there is none".to_owned() };
            let node = node.ok_or_else(refused)?;
            Operation::Add(Pointer { steps: there.to_vec() }, node)
        }
    };
    apply(inline, 0, &[operation])
}
