//! Environment variables of a config management plugin, `plugin.env`. Of two with one name the last counts, as in a shell.

use crate::model::{Node, Operation, Pointer, Source, Variable};

/// The value of the variable `name`.
pub(super) fn get(source: &Source, name: &str) -> Option<String> {
    variable(source, name).map(|(_, variable)| variable.value.clone())
}

fn variable<'a>(source: &'a Source, name: &str) -> Option<(usize, &'a Variable)> {
    let env = source.plugin.as_ref()?.env.as_ref()?;
    env.iter().enumerate().rfind(|(_, variable)| variable.name == name)
}

/// Puts `value` into the variable `name`, in place; without one, into a new one at the end.
pub(super) fn set(place: &Pointer, source: &mut Source, name: &str, value: &str) -> Vec<Operation> {
    let plugin = place.clone().key("plugin");
    let list = plugin.clone().key("env");
    let found = variable(source, name).map(|(index, variable)| (index, variable.value.clone()));
    let node = Node::map([("name", Node::text(name)), ("value", Node::text(value))]);
    let operations = match (&found, source.plugin.as_ref().map(|plugin| &plugin.env)) {
        (Some((_, held)), _) if held == value => return Vec::new(),
        (Some((index, held)), _) => {
            let at = |key: &str| list.clone().index(*index).key(key);
            vec![
                Operation::Test(at("name"), Node::text(name)),
                Operation::Test(at("value"), Node::text(held)),
                Operation::Replace(at("value"), Node::text(value)),
            ]
        }
        (None, None) => vec![Operation::Add(plugin, Node::map([("env", Node::List(vec![node]))]))],
        (None, Some(None)) => vec![Operation::Add(list, Node::List(vec![node]))],
        (None, Some(Some(_))) => vec![Operation::Add(list.end(), node)],
    };
    let env = source.plugin.get_or_insert_default().env.get_or_insert_default();
    match found {
        Some((index, _)) => value.clone_into(&mut env[index].value),
        None => env.push(Variable { name: name.to_owned(), value: value.to_owned() }),
    }
    operations
}
