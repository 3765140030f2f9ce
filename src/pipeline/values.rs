//! Paths in `helm.valuesObject`. A text is replaced in place; a missing key is added with the mappings that it needs.

use std::collections::BTreeMap;

use crate::model::{Node, Operation, Pointer, Source, Step, Values};

/// The text at `path`.
pub(super) fn get(source: &Source, path: &str) -> Option<String> {
    let mut at = source.helm.as_ref()?.values.as_ref()?;
    for step in &Pointer::from_value_path(path)?.steps {
        at = child(at, step)?;
    }
    if let Values::Text(text) = at { Some(text.clone()) } else { None }
}

fn child<'a>(values: &'a Values, step: &Step) -> Option<&'a Values> {
    match (values, step) {
        (Values::Map(entries), Step::Key(key)) => entries.get(key),
        (Values::List(items), Step::Index(index)) => items.get(*index),
        _ => None,
    }
}

/// Why no version can be written at `path`, in words that follow the name of the Application.
pub(super) fn refusal(source: &Source, path: &str) -> Option<String> {
    let mut at = source.helm.as_ref()?.values.as_ref()?;
    let steps = Pointer::from_value_path(path)?.steps;
    for (depth, step) in steps.iter().enumerate() {
        match (at, step, child(at, step)) {
            (_, _, Some(next)) => at = next,
            (Values::Map(_), Step::Key(_), None) if steps[depth..].iter().all(|step| matches!(step, Step::Key(_))) => {
                return None;
            }
            _ => return Some(format!("has no place for `{path}` in its `valuesObject`")),
        }
    }
    (!matches!(at, Values::Text(_)))
        .then(|| format!("holds something at `{path}` of its `valuesObject` that is no text"))
}

/// Puts `value` at `path`. What [`refusal`] names is left as it is.
pub(super) fn set(place: &Pointer, source: &mut Source, path: &str, value: &str) -> Vec<Operation> {
    let Some(Pointer { steps }) = Pointer::from_value_path(path) else { return Vec::new() };
    let block = place.clone().key("helm");
    let had_block = source.helm.is_some();
    let helm = source.helm.get_or_insert_default();
    let root = block.clone().key("valuesObject");
    let Some(mut at) = helm.values.as_mut() else {
        let Some((node, values)) = nest(&steps, value) else { return Vec::new() };
        helm.values = Some(values);
        let operation = if had_block {
            Operation::Add(root, node)
        } else {
            Operation::Add(block, Node::map([("valuesObject", node)]))
        };
        return vec![operation];
    };
    let mut pointer = root;
    for (depth, step) in steps.iter().enumerate() {
        pointer.steps.push(step.clone());
        at = match (at, step) {
            (Values::Map(entries), Step::Key(key)) if !entries.contains_key(key) => {
                let Some((node, values)) = nest(&steps[depth + 1..], value) else { return Vec::new() };
                entries.insert(key.clone(), values);
                return vec![Operation::Add(pointer, node)];
            }
            (Values::Map(entries), Step::Key(key)) => entries.entry(key.clone()).or_insert(Values::Other),
            (Values::List(items), Step::Index(index)) if *index < items.len() => &mut items[*index],
            _ => return Vec::new(),
        };
    }
    let Values::Text(text) = at else { return Vec::new() };
    if text == value {
        return Vec::new();
    }
    let before = std::mem::replace(text, value.to_owned());
    vec![Operation::Test(pointer.clone(), Node::Text(before)), Operation::Replace(pointer, Node::text(value))]
}

/// The mappings that `steps` need around `value`; lists are not made.
pub(super) fn nest(steps: &[Step], value: &str) -> Option<(Node, Values)> {
    let mut nested = (Node::text(value), Values::Text(value.to_owned()));
    for step in steps.iter().rev() {
        let Step::Key(key) = step else { return None };
        let (node, values) = nested;
        nested = (Node::Map(vec![(key.clone(), node)]), Values::Map(BTreeMap::from([(key.clone(), values)])));
    }
    Some(nested)
}
