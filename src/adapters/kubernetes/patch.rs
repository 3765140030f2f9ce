//! Our operations as JSON Patch (RFC 6902).

use serde_json::{Value, json};

use crate::api::FIELD_MANAGER;
use crate::model::{ApplicationPlan, Guard, Node, Operation, SyncRequest};

/// A plan as JSON Patch: first that the object is still what the plan's guard asks, then the plan's own operations.
pub fn json_patch(plan: &ApplicationPlan) -> Value {
    let mut operations = vec![json!({ "op": "test", "path": "/metadata/uid", "value": plan.uid })];
    if plan.guard == Guard::Version {
        operations.push(json!({ "op": "test", "path": "/metadata/resourceVersion", "value": plan.resource_version }));
    }
    operations.extend(plan.operations().chain(&plan.refresh).map(|operation| {
        let (op, pointer, node) = match operation {
            Operation::Test(pointer, node) => ("test", pointer, node),
            Operation::Replace(pointer, node) => ("replace", pointer, node),
            Operation::Add(pointer, node) => ("add", pointer, node),
        };
        json!({ "op": op, "path": pointer.to_json_pointer(), "value": value(node) })
    }));
    operations.extend(plan.sync.iter().flat_map(sync));
    Value::Array(operations)
}

/// Asks for a sync as Argo CD's own API server does: what is said of an earlier one goes.
fn sync(request: &SyncRequest) -> Vec<Value> {
    let SyncRequest { reason, options, replaces } = request;
    let mut asked = json!({
        "initiatedBy": { "username": FIELD_MANAGER, "automated": true },
        "info": [{ "name": "Reason", "value": reason }],
        "sync": {},
    });
    if !options.is_empty() {
        asked["sync"]["syncOptions"] = json!(options);
    }
    let forget = replaces.then(|| json!({ "op": "remove", "path": "/status/operationState" }));
    forget.into_iter().chain([json!({ "op": "add", "path": "/operation", "value": asked })]).collect()
}

fn value(node: &Node) -> Value {
    match node {
        Node::Text(text) => Value::String(text.clone()),
        Node::Bool(bool) => Value::Bool(*bool),
        Node::List(items) => items.iter().map(value).collect(),
        Node::Map(entries) => Value::Object(entries.iter().map(|(key, node)| (key.clone(), value(node))).collect()),
    }
}
