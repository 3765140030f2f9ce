//! The Helm chart says what the rest of the project says.

#![allow(clippy::disallowed_methods, reason = "reads the chart")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn the_charts_definitions_are_those_of_the_project() {
    let ours = files("crds");
    let charts = files("charts/fairlead/files/crds");
    assert!(ours == charts, "crds/ and charts/fairlead/files/crds/ differ: run `make crds`");
}

#[test]
fn rules_stand_in_files_of_their_own_and_none_is_a_wildcard() {
    let template = template("rbac");
    assert!(!template.contains("verbs:"), "rules belong into charts/fairlead/files/rules*.yaml");
    let rules: Vec<String> =
        files("charts/fairlead/files").into_keys().filter(|name| name.starts_with("rules")).collect();
    assert_eq!(rules.len(), 6);
    for name in rules {
        assert!(template.contains(&format!(r#".Files.Get "files/{name}""#)), "{name}");
        let text = read(&format!("charts/fairlead/files/{name}"));
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        assert!(!code.join("\n").contains('*'), "{text}");
        for (above, _) in text.lines().zip(text.lines().skip(1)).filter(|(_, line)| line.starts_with("- apiGroups")) {
            assert!(above.starts_with("# "), "a rule of {name} has no reason");
        }
    }
}

#[test]
fn the_chart_has_the_version_of_the_binary() {
    let line = format!("appVersion: {}", env!("CARGO_PKG_VERSION"));
    assert!(read("charts/fairlead/Chart.yaml").lines().any(|found| found == line), "no line `{line}` in Chart.yaml");
}

#[test]
fn values_in_guides_are_values_of_the_chart() {
    let parse = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).expect("values are YAML");
    let values = parse(&read("charts/fairlead/values.yaml"));
    let guides = read("docs/guides/cloud-identity.md") + &read("docs/guides/observability.md");
    let blocks: Vec<&str> = guides.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let block = parse(block);
        assert!(is_part(&block, &values), "{block} is not of the chart's values");
    }
}

/// Whether every key of `part` is one of `whole`; what the chart leaves empty may hold anything.
fn is_part(part: &serde_json::Value, whole: &serde_json::Value) -> bool {
    match (part.as_object(), whole.as_object()) {
        (Some(part), Some(whole)) => {
            let known = |(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole));
            whole.is_empty() || part.iter().all(known)
        }
        (None, None) => true,
        _ => false,
    }
}

#[test]
fn the_chart_names_every_source_of_webhooks() {
    let values = read("charts/fairlead/values.yaml").replace("\n  #", "");
    let guide = read("docs/guides/webhooks.md");
    for source in fairlead::lower::push_event::Source::ALL {
        assert!(values.contains(&format!(" {source},")) || values.contains(&format!(" {source}.")), "{source}");
        assert!(guide.contains(&format!("| `{source}` |")), "{source}");
    }
}

#[test]
fn the_registries_of_the_reference_page_and_of_the_charts_values_are_understood() {
    let page = read("docs/reference/registries.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let values = read("charts/fairlead/values.yaml");
    let commented = values.lines().skip_while(|line| *line != "  registries: []").skip(1);
    let example = commented.map_while(|line| line.strip_prefix("  # ")).collect::<Vec<_>>().join("\n");
    let mut read = 0;
    for text in blocks.map(str::to_owned).chain([format!("registries:\n{example}\n")]) {
        let configuration = fairlead::lower::registries(&text);
        assert!(configuration.is_ok_and(|configuration| configuration.entries.len() > 1), "{text}");
        read += 1;
    }
    assert_eq!(read, 2);
}

#[test]
fn what_the_chart_configures_is_where_it_is_looked_for() {
    let (deployment, map) = (template("deployment"), template("configmap"));
    assert!(deployment.contains("--registries-conf=/app/registries/registries.conf"));
    assert_eq!(fairlead::adapters::registries_file::CERTIFICATES, "/app/config/tls");
    for line in ["mountPath: /app/registries", "mountPath: /app/config/tls", "mountPath: /scripts", "defaultMode: 0555"]
    {
        assert!(deployment.lines().any(|found| found.trim() == line), "{line}");
    }
    assert!(map.contains("registries.conf: |\n    registries:\n      {{- toYaml . | nindent 6 }}"), "{map}");
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do_and_every_page_an_alert() {
    let alerts: serde_json::Value =
        serde_saphyr::from_str(&read("charts/fairlead/files/alerts/fairlead.yaml")).expect("alerts are YAML");
    let index = read("docs/runbooks/README.md");
    let mut pages = files("docs/runbooks");
    assert!(pages.remove("README.md").is_some());
    for rule in alerts["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        let page = pages.remove(&format!("{name}.md")).unwrap_or_default();
        for part in
            [format!("# {name}\n"), "**Impact.** ".to_owned(), "\n## Look at\n".to_owned(), "\n## Do\n".to_owned()]
        {
            assert!(page.contains(&part), "docs/runbooks/{name}.md has no `{part}`");
        }
        let severity = rule["labels"]["severity"].as_str().expect("a severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}");
        assert!(index.contains(&format!("| [{name}]({name}.md) | {severity} |")), "{name}");
        let annotations = &rule["annotations"];
        assert!(
            annotations["runbook_url"].as_str().is_some_and(|url| url.ends_with(&format!("/docs/runbooks/{name}.md"))),
            "{name}"
        );
        assert!(annotations["summary"].is_string() && annotations["description"].is_string(), "{name}");
    }
    assert_eq!(pages.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "pages without an alert");
}

#[test]
fn dashboards_have_names_of_their_own_and_panels_that_do_not_overlap() {
    let dashboards = files("charts/fairlead/files/dashboards");
    assert_eq!(dashboards.len(), 2);
    for (name, text) in dashboards {
        let dashboard: serde_json::Value = serde_json::from_str(&text).expect("a dashboard is JSON");
        assert_eq!(dashboard["uid"], format!("fairlead-{}", name.trim_end_matches(".json")));
        assert_eq!(dashboard["tags"][0], "fairlead");
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {}", panel["title"]);
            let side = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
            for (x, y) in
                (side("x")..side("x") + side("w")).flat_map(|x| (side("y")..side("y") + side("h")).map(move |y| (x, y)))
            {
                assert!(x < 24 && taken.insert((x, y)), "{name}: {} lies on another", panel["title"]);
            }
            for target in panel["targets"].as_array().into_iter().flatten() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}: {}", panel["title"]);
            }
        }
    }
}

fn template(name: &str) -> String {
    read(&format!("charts/fairlead/templates/{name}.yaml"))
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
    let texts = entries.filter(|path| path.is_file());
    texts.map(|path| (name(&path), fs::read_to_string(&path).expect("a definition is text"))).collect()
}
