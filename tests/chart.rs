//! The Helm chart says what the rest of the project says.

#![allow(clippy::disallowed_methods, reason = "reads the chart")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn the_charts_definitions_are_those_of_the_project() {
    let ours = files("crds");
    let charts = files("charts/fairlead/crds");
    assert!(ours == charts, "crds/ and charts/fairlead/crds/ differ: run `make crds`");
}

#[test]
fn roles_take_their_rules_from_the_one_file() {
    let template = read("charts/fairlead/templates/rbac.yaml");
    assert!(template.contains(r#".Files.Get "files/rules.yaml""#));
    assert!(!template.contains("verbs:"), "rules belong into charts/fairlead/files/rules.yaml");
}

#[test]
fn no_rule_is_a_wildcard() {
    let rules = read("charts/fairlead/files/rules.yaml");
    let code: Vec<&str> = rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    assert!(!code.join("\n").contains('*'), "{rules}");
}

#[test]
fn the_chart_has_the_version_of_the_binary() {
    let line = format!("appVersion: {}", env!("CARGO_PKG_VERSION"));
    assert!(read("charts/fairlead/Chart.yaml").lines().any(|found| found == line), "no line `{line}` in Chart.yaml");
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the chart has this file")
}

fn files(folder: &str) -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if !path.exists() {
        return BTreeMap::new();
    }
    let entries =
        fs::read_dir(path).expect("a folder can be read").map(|entry| entry.expect("an entry can be read").path());
    let name = |path: &Path| path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read_to_string(&path).expect("a definition is text"))).collect()
}
