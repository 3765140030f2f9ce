//! Helm parameters of a source. Of two parameters with one name the last counts (Argo CD, Helm), so that one is read and
//! written. What is written is always forced to be a string: a tag like `1.10` would become a number.

use crate::model::{HelmParameter, Node, Operation, Pointer, Source};

/// The value of the parameter `name`.
pub(super) fn get(source: &Source, name: &str) -> Option<String> {
    parameter(source, name).map(|(_, parameter)| parameter.value.clone())
}

fn parameter<'a>(source: &'a Source, name: &str) -> Option<(usize, &'a HelmParameter)> {
    let parameters = source.helm.as_ref()?.parameters.as_ref()?;
    parameters.iter().enumerate().rfind(|(_, parameter)| parameter.name == name)
}

/// Puts `value` into the parameter `name`, in place; without one, into a new one at the end.
pub(super) fn set(place: &Pointer, source: &mut Source, name: &str, value: &str) -> Vec<Operation> {
    let helm = place.clone().key("helm");
    let list = helm.clone().key("parameters");
    let found = parameter(source, name).map(|(index, parameter)| (index, parameter.clone()));
    let new = HelmParameter { name: name.to_owned(), value: value.to_owned(), force_string: Some(true) };
    let node = Node::map([("name", Node::text(name)), ("value", Node::text(value)), ("forceString", Node::Bool(true))]);
    let operations = match (&found, source.helm.as_ref().map(|helm| &helm.parameters)) {
        (Some((_, parameter)), _) if *parameter == new => return Vec::new(),
        (Some((index, parameter)), _) => change_parameter(&list.index(*index), parameter, value),
        (None, None) => vec![Operation::Add(helm, Node::map([("parameters", Node::List(vec![node]))]))],
        (None, Some(None)) => vec![Operation::Add(list, Node::List(vec![node]))],
        (None, Some(Some(_))) => vec![Operation::Add(list.end(), node)],
    };
    let parameters = source.helm.get_or_insert_default().parameters.get_or_insert_default();
    match found {
        Some((index, _)) => parameters[index] = new,
        None => parameters.push(new),
    }
    operations
}

fn change_parameter(place: &Pointer, parameter: &HelmParameter, value: &str) -> Vec<Operation> {
    let at = |key: &str| place.clone().key(key);
    let mut operations = vec![Operation::Test(at("name"), Node::text(&parameter.name))];
    if parameter.value != value {
        operations.push(Operation::Test(at("value"), Node::text(&parameter.value)));
        operations.push(Operation::Replace(at("value"), Node::text(value)));
    }
    match parameter.force_string {
        Some(true) => {}
        Some(false) => operations.push(Operation::Replace(at("forceString"), Node::Bool(true))),
        None => operations.push(Operation::Add(at("forceString"), Node::Bool(true))),
    }
    operations
}
