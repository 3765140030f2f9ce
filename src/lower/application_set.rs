//! An Argo CD ApplicationSet → model.

use crate::api;
use crate::model::{ApplicationSet, IgnoredDifferences};

/// What an ApplicationSet does to its Applications. A jq expression counts where it plainly names a place, and is left
/// out elsewhere: what is not known to be left alone is taken to be set back.
pub fn application_set(object: &api::ApplicationSet) -> ApplicationSet {
    let policy = object.spec.sync_policy.as_ref().and_then(|policy| policy.applications_sync.as_deref());
    let ignored = |ignored: &api::IgnoreApplicationDifferences| {
        let expressions = ignored.jq_path_expressions.iter().flatten().filter_map(|text| pointer(text));
        IgnoredDifferences {
            application: ignored.name.clone().filter(|name| !name.is_empty()),
            pointers: ignored.json_pointers.iter().flatten().cloned().chain(expressions).collect(),
        }
    };
    ApplicationSet {
        creates_only: matches!(policy, Some("create-only" | "create-delete")),
        rolls: object.spec.strategy.as_ref().is_some_and(|strategy| strategy.kind == "RollingSync"),
        ignored: object.spec.ignore_application_differences.iter().flatten().map(ignored).collect(),
    }
}

/// `.spec.source.helm.parameters` or `.spec.source.helm.parameters[]` → the JSON pointer of the list.
fn pointer(expression: &str) -> Option<String> {
    let path = expression.trim();
    let path = path.strip_suffix("[]").unwrap_or(path).strip_prefix('.')?;
    let plain =
        |key: &str| !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    path.split('.').all(plain).then(|| format!("/{}", path.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_plainly_name_a_place_are_pointers() {
        for (expression, expected) in [
            (".spec.source.helm.parameters", Some("/spec/source/helm/parameters")),
            (" .spec.source.helm.parameters[] ", Some("/spec/source/helm/parameters")),
            (".spec.source.helm.parameters[0]", None),
            (".spec.source.helm.parameters[] | select(.name == \"a\")", None),
            (".spec.sources[].helm.parameters", None),
            (".", None),
            ("spec", None),
        ] {
            assert_eq!(pointer(expression).as_deref(), expected, "{expression}");
        }
    }
}
