//! The kinds that the API server has to know: our own, and Argo CD's as far as we touch them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The definitions of our own for Argo CD's kinds.
pub fn of_argo_cd() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    ["applications", "appprojects", "applicationsets"].map(|name| folder.join(format!("{name}.yaml"))).into()
}

/// Each definition, ours and `files`, with the path that lists its objects.
pub fn definitions(files: &[PathBuf]) -> Vec<(Value, String)> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/fairlead.dev_imageupdatepolicies.yaml");
    let definitions = std::iter::once(&ours).chain(files).map(|path| read(path));
    definitions.map(|definition| (definition.clone(), list_path(&definition))).collect()
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()))
}

fn list_path(definition: &Value) -> String {
    let word = |path: &str| definition.pointer(path).and_then(Value::as_str).expect("a definition has it").to_owned();
    format!("/apis/{}/{}/{}", word("/spec/group"), word("/spec/versions/0/name"), word("/spec/names/plural"))
}
