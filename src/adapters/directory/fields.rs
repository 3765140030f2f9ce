//! Whether a policy's text has the fields that its schema knows, with the types that they have there.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::api::ImageUpdatePolicy;
use crate::model::{Pointer, Problem, Reason};

/// The schema of a policy, as the custom resource definition has it.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = ImageUpdatePolicy::crd();
    let version = crd.spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema).and_then(|schema| schema.open_api_v3_schema);
    serde_json::to_value(schema).expect("a schema is JSON")
});

/// What in `policy` the schema does not know, as the API server would see it: fields, types, and what is missing.
pub(super) fn unknown(policy: &Value) -> Vec<(Pointer, Problem)> {
    let mut found = Vec::new();
    for part in ["spec", "status"] {
        let (value, schema) = (policy.get(part), SCHEMA.get("properties").and_then(|properties| properties.get(part)));
        if let (Some(value), Some(schema)) = (value, schema) {
            check(value, schema, &Pointer::root().key(part), &mut found);
        }
    }
    found
}

fn check(value: &Value, schema: &Value, here: &Pointer, found: &mut Vec<(Pointer, Problem)>) {
    let nullable = schema.get("nullable").and_then(Value::as_bool).unwrap_or_default();
    if value.is_null() && nullable {
        return;
    }
    let wanted = schema.get("type").and_then(Value::as_str);
    if let Some(wanted) = wanted.filter(|wanted| !has_type(value, wanted)) {
        found.push((here.clone(), wrong_type(value, wanted, here)));
        return;
    }
    match value {
        Value::Object(entries) => check_entries(entries, schema, here, found),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                check(item, schema, &here.clone().index(index), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_entries(entries: &Map<String, Value>, schema: &Value, here: &Pointer, found: &mut Vec<(Pointer, Problem)>) {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let any = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
    for (key, value) in entries {
        let place = here.clone().key(key);
        match known.get(key).or(others) {
            Some(schema) => check(value, schema, &place, found),
            None if any => {}
            None => found.push((place.clone(), unknown_field(key, known.keys(), &place))),
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for missing in required.filter(|key| !entries.contains_key(*key)) {
        let problem = Problem::new(Reason::UnreadableObject, format!("the field `{missing}` is missing"));
        found.push((here.clone(), problem.at(here.to_string())));
    }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn wrong_type(value: &Value, wanted: &str, here: &Pointer) -> Problem {
    let (found, scalar) = match value {
        Value::Null => ("nothing", false),
        Value::Bool(_) => ("a boolean", true),
        Value::Number(_) => ("a number", true),
        Value::String(_) => ("a text", false),
        Value::Array(_) => ("a list", false),
        Value::Object(_) => ("a mapping", false),
    };
    let wanted = match wanted {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        _ => "a number",
    };
    let problem = Problem::new(Reason::UnreadableObject, format!("here stands {found}, and {wanted} is expected"));
    let problem = problem.at(here.to_string());
    if wanted == "a text" && scalar { problem.hint("put it in quotes") } else { problem }
}

fn unknown_field<'a>(key: &str, known: impl Iterator<Item = &'a String>, place: &Pointer) -> Problem {
    let problem = Problem::new(Reason::UnreadableObject, format!("there is no field `{key}`")).at(place.to_string());
    let mut known: Vec<&str> = known.map(String::as_str).collect();
    known.sort_unstable();
    match closest(key, &known) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.hint(format!("there are: {}", known.join(", "))),
    }
}

/// The word of `known` that is most like `word`, if one is like it at all.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = known.iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate));
    scored.filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3)).min().map(|(_, candidate)| candidate)
}

/// How many characters must be put in, taken out, changed, or swapped with the next one.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (row, left) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in to.iter().enumerate() {
            let change = rows[row][column] + usize::from(left != right);
            let mut best = change.min(rows[row][column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *left == to[column - 1] && from[row - 1] == *right {
                best = best.min(rows[row - 1][column - 1] + 1);
            }
            line.push(best);
        }
        rows.push(line);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> String {
        let policy: Value = serde_saphyr::from_str(spec).expect("valid YAML");
        let lines: Vec<_> = unknown(&policy).into_iter().map(|(_, problem)| problem.to_string()).collect();
        lines.join("\n")
    }

    #[test]
    fn a_policy_with_all_kinds_of_fields_is_fine() {
        let spec = "
spec:
  suspend: false
  interval: 2m
  applications: [{name: web, selector: {matchLabels: {team: web}}}]
  defaults: {strategy: SemVer, pullSecret: {name: x}, constraint: null}
  images:
  - image: x
    allowTags: {regex: a}
    ignoreTags: ['*']
    target: {helm: {name: a, tag: b}, source: {index: 0}}
  - image: other
    allowTags: {any: true}
  writeBack: {method: Git, git: {commit: {author: {name: a, email: b}}}}
  schedule: {windows: [{days: [Mon], start: '10:00'}]}
";
        assert_eq!(problems(spec), "");
    }

    #[test]
    fn every_way_to_be_unknown_has_its_sentence() {
        insta::assert_snapshot!(problems("spec: {applications: [{name: a}], images: [{image: x, constriant: 1}]}"), @"spec.images[0].constriant: there is no field `constriant`; did you mean `constraint`?");
        insta::assert_snapshot!(problems("spec: {applications: [{name: a}], images: [{image: x, Strategy: 1, zzz: 2}]}"), @"
        spec.images[0].Strategy: there is no field `Strategy`; did you mean `strategy`?
        spec.images[0].zzz: there is no field `zzz`; there are: alias, allowDowngrade, allowTags, constraint, credentials, forceUpdate, ignoreTags, image, minimumAge, pin, platforms, pullSecret, strategy, target, verify
        ");
        insta::assert_snapshot!(problems("spec: {applications: [{name: a}], images: [{image: x, constraint: 1.0}]}"), @"spec.images[0].constraint: here stands a number, and a text is expected; put it in quotes");
        insta::assert_snapshot!(problems("spec: {applications: {name: a}, images: [{alias: x, forceUpdate: maybe}]}"), @r#"
        spec.applications: here stands a mapping, and a list is expected
        spec.images[0].forceUpdate: here stands a text, and true or false is expected
        spec.images[0]: the field `image` is missing
        "#);
        insta::assert_snapshot!(problems("spec: {dryrun: true, applications: [a], images: []}"), @r#"
        spec.dryrun: there is no field `dryrun`; did you mean `dryRun`?
        spec.applications[0]: here stands a text, and a mapping is expected
        "#);
    }
}
