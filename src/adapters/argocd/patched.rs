//! Whether a plan fits a state of an Application, and whether a state holds what was planned. Pure.

use serde_json::Value;

use crate::adapters::kubernetes::json_patch;
use crate::model::{ApplicationPlan, Node, Operation, Pointer, Step};

/// Whether the plan could be written on this state: it is the object, in the version, with the values that were decided on.
pub(super) fn fits(plan: &ApplicationPlan, object: &Value) -> bool {
    let patch: Result<::json_patch::Patch, _> = serde_json::from_value(json_patch(plan));
    patch.is_ok_and(|patch| ::json_patch::patch(&mut object.clone(), &patch).is_ok())
}

/// Whether this state is of the plan's object, and holds everything that the plan writes.
pub(super) fn holds(plan: &ApplicationPlan, object: &Value) -> bool {
    let written = |operation: &Operation| match operation {
        Operation::Test(..) => true,
        Operation::Replace(place, node) | Operation::Add(place, node) => is_at(object, place, node),
    };
    object["metadata"]["uid"] == plan.uid && plan.operations().all(written)
}

fn is_at(object: &Value, place: &Pointer, node: &Node) -> bool {
    match place.steps.split_last() {
        Some((Step::End, list)) => {
            let list = Pointer { steps: list.to_vec() };
            let items = object.pointer(&list.to_json_pointer()).and_then(Value::as_array);
            items.is_some_and(|items| items.iter().any(|item| is(Some(item), node)))
        }
        _ => is(object.pointer(&place.to_json_pointer()), node),
    }
}

/// Whether a value is what was written. Argo CD leaves out what is empty or false, and may add fields.
fn is(value: Option<&Value>, node: &Node) -> bool {
    match (value, node) {
        (None, Node::Text(text)) => text.is_empty(),
        (None, Node::Bool(truth)) => !truth,
        (None, Node::List(items)) => items.is_empty(),
        (None, Node::Map(entries)) => entries.iter().all(|(_, node)| is(None, node)),
        (Some(Value::String(value)), Node::Text(text)) => value == text,
        (Some(Value::Bool(value)), Node::Bool(truth)) => value == truth,
        (Some(Value::Array(values)), Node::List(items)) => {
            values.len() == items.len() && values.iter().zip(items).all(|(value, item)| is(Some(value), item))
        }
        (Some(Value::Object(fields)), Node::Map(entries)) => {
            entries.iter().all(|(key, node)| is(fields.get(key), node))
        }
        (Some(_), Node::Text(_) | Node::Bool(_) | Node::List(_) | Node::Map(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{ApplicationId, Edit, Guard};

    fn plan(operations: Vec<Operation>) -> ApplicationPlan {
        ApplicationPlan {
            application: ApplicationId::new("argocd", "web"),
            uid: "one".to_owned(),
            resource_version: "7".to_owned(),
            guard: Guard::Version,
            edits: vec![Edit { image: 0, from: None, to: "1".to_owned(), operations }],
            refresh: None,
            sync: None,
        }
    }

    fn parameters() -> Pointer {
        Pointer::root().key("parameters")
    }

    #[test]
    fn what_argo_cd_leaves_out_or_adds_does_not_hide_that_it_was_written() {
        let object = json!({
            "metadata": { "uid": "one", "resourceVersion": "8" },
            "parameters": [{ "name": "tag", "value": "2", "more": 1 }, { "name": "empty" }],
        });
        let added = |entries: Node| holds(&plan(vec![Operation::Add(parameters().end(), entries)]), &object);
        let parameter = |name: &str, value: &str| Node::map([("name", Node::text(name)), ("value", Node::text(value))]);
        assert!(added(parameter("tag", "2")));
        assert!(added(parameter("empty", "")));
        assert!(added(Node::map([("name", Node::text("tag")), ("forceString", Node::Bool(false))])));
        assert!(!added(Node::map([("name", Node::text("tag")), ("forceString", Node::Bool(true))])));
        assert!(!added(parameter("tag", "3")));
        assert!(!added(parameter("other", "2")));
        let value = |text: &str| Operation::Replace(parameters().index(0).key("value"), Node::text(text));
        assert!(holds(&plan(vec![value("2")]), &object));
        assert!(!holds(&plan(vec![value("1")]), &object));
        let other = ApplicationPlan { uid: "two".to_owned(), ..plan(vec![value("2")]) };
        assert!(!holds(&other, &object), "another object of the name");
    }

    #[test]
    fn a_plan_fits_the_state_that_it_was_decided_on() {
        let state = |version: &str, value: &str| {
            json!({
                "metadata": { "uid": "one", "resourceVersion": version }, "parameters": [{ "value": value }],
            })
        };
        let at = || parameters().index(0).key("value");
        let operations = vec![Operation::Test(at(), Node::text("1")), Operation::Replace(at(), Node::text("2"))];
        let strict = plan(operations);
        let lenient = ApplicationPlan { guard: Guard::Values, ..strict.clone() };
        for (object, by_version, by_values) in
            [(state("7", "1"), true, true), (state("8", "1"), false, true), (state("7", "2"), false, false)]
        {
            assert_eq!((fits(&strict, &object), fits(&lenient, &object)), (by_version, by_values), "{object}");
        }
    }
}
