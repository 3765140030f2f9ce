//! The kinds that the API server has to know: our own, and Argo CD's as far as we touch them.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Each definition, with the path that lists its objects.
pub fn definitions() -> Vec<(Value, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut definitions = vec![read(&root.join("../crds/fairlead.dev_imageupdatepolicies.yaml"))];
    for name in ["applications", "appprojects", "applicationsets"] {
        definitions.push(read(&root.join(format!("crds/{name}.yaml"))));
    }
    definitions.into_iter().map(|definition| (definition.clone(), list_path(&definition))).collect()
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()))
}

fn list_path(definition: &Value) -> String {
    let word = |path: &str| definition.pointer(path).and_then(Value::as_str).expect("a definition has it").to_owned();
    format!("/apis/{}/{}/{}", word("/spec/group"), word("/spec/versions/0/name"), word("/spec/names/plural"))
}
