//! What the chart renders for sets of values, and what it says of its values. The snapshots are made by helm, in the e2e tests.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "reads the chart and its snapshots")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use fairlead::cli::Cli;
use serde_json::Value;

#[test]
fn the_binary_knows_every_argument_that_the_chart_passes() {
    for (name, objects) in snapshots() {
        let deployments: Vec<&Value> = of_kind(&objects, "Deployment").collect();
        assert_eq!(deployments.len(), 1, "{name}");
        let arguments = container(deployments[0])["args"].as_array().expect("the chart passes arguments");
        let arguments = arguments.iter().map(|argument| argument.as_str().expect("an argument is text"));
        let parsed = Cli::try_parse_from(std::iter::once("fairlead").chain(arguments));
        assert!(parsed.is_ok(), "{name}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
    }
}

#[test]
fn copies_of_repositories_are_told_how_large_their_folder_may_be() {
    for (name, objects) in snapshots() {
        let deployment = of_kind(&objects, "Deployment").next().expect("a Deployment");
        let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes");
        let limit = volumes.iter().find(|volume| volume["name"] == "git").map(|volume| {
            let limit = volume["emptyDir"]["sizeLimit"].as_str().expect("a size");
            assert!(fairlead::lower::size(limit).is_ok(), "{name}: {limit}");
            format!("--git-state-size={limit}")
        });
        let arguments = container(deployment)["args"].as_array().expect("the chart passes arguments");
        let told = arguments.iter().filter_map(Value::as_str).find(|text| text.starts_with("--git-state-size"));
        assert_eq!(told, limit.as_deref(), "{name}");
    }
}

/// A flag that the chart calls unknown, and that the binary knows, is refused for nothing.
#[test]
fn the_binary_knows_no_argument_that_the_chart_refuses() {
    let text = read("charts/fairlead/templates/_refusals.tpl");
    let refused: Vec<&str> = text.split('"').filter_map(|word| word.strip_prefix("--")).collect();
    assert!(refused.len() > 15, "{refused:?}");
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is such a command");
    for flag in refused {
        assert!(run.get_arguments().all(|argument| argument.get_long() != Some(flag)), "--{flag}");
    }
}

#[test]
fn no_right_is_a_wildcard_and_only_the_scope_cluster_has_a_cluster_role() {
    for (name, objects) in snapshots() {
        let mut rules = 0;
        for role in of_kind(&objects, "Role").chain(of_kind(&objects, "ClusterRole")) {
            for rule in role["rules"].as_array().expect("a role has rules") {
                assert!(!rule.to_string().contains('*') && rule.get("nonResourceURLs").is_none(), "{name}: {rule}");
                rules += 1;
            }
        }
        assert!(rules > 0, "{name}");
        let of_cluster =
            objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster")));
        assert_eq!(of_cluster.count(), if name == "cluster" { 2 } else { 0 }, "{name}");
    }
}

#[test]
fn through_argo_cds_api_nothing_of_argo_cd_is_touched_in_the_cluster() {
    let objects = &snapshots()["argocd-api"];
    let roles: Vec<&Value> = of_kind(objects, "Role").collect();
    assert_eq!(roles.len(), 1);
    let allowed = roles[0]["rules"].to_string();
    assert!(allowed.contains("imageupdatepolicies") && !allowed.contains("argoproj.io"), "{allowed}");
    let deployment = of_kind(objects, "Deployment").next().expect("there is one");
    let arguments = container(deployment)["args"].to_string();
    assert!(arguments.contains("--applications-api=argocd"), "{arguments}");
    let volumes = deployment["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(volumes.contains(r#""secretName":"argocd-account","items":[{"key":"token","path":"token"}]"#), "{volumes}");
}

#[test]
fn pods_may_nothing_that_they_do_not_need() {
    for (name, objects) in snapshots() {
        let deployment = of_kind(&objects, "Deployment").next().expect("there is one");
        let pod = &deployment["spec"]["template"]["spec"];
        let container = container(deployment);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL", "{name}");
        for mount in container["volumeMounts"].as_array().expect("there are some") {
            let found = pod["volumes"]
                .as_array()
                .expect("there are some")
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let volume = found.unwrap_or_else(|| panic!("{name}: no volume for {mount}"));
            assert!(volume.get("emptyDir").is_some() || mount["readOnly"] == true, "{name}: {mount}");
        }
    }
}

#[test]
fn the_policy_of_the_network_lets_in_what_is_served() {
    let all = snapshots();
    for (name, ports) in [("webhook-ingress", vec!["http", "webhook"]), ("hardened", vec!["http"])] {
        let policy = of_kind(&all[name], "NetworkPolicy").next().expect("there is one");
        let let_in: Vec<&str> = policy["spec"]["ingress"]
            .as_array()
            .expect("rules")
            .iter()
            .filter_map(|rule| rule["ports"][0]["port"].as_str())
            .collect();
        assert_eq!(let_in, ports, "{name}");
        let served = container(of_kind(&all[name], "Deployment").next().expect("there is one"))["ports"]
            .as_array()
            .expect("ports");
        let served: Vec<&str> = served.iter().filter_map(|port| port["name"].as_str()).collect();
        assert_eq!(served, ports, "{name}");
    }
}

#[test]
fn services_and_routes_lead_to_ports_that_are_there() {
    for (name, objects) in snapshots() {
        let deployment = of_kind(&objects, "Deployment").next().expect("there is one");
        let served = container(deployment)["ports"].to_string();
        let services: Vec<&Value> = of_kind(&objects, "Service").collect();
        for service in &services {
            let target = service["spec"]["ports"][0]["targetPort"].as_str().expect("a port's name");
            assert!(served.contains(&format!(r#""name":"{target}""#)), "{name}");
            assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"], "{name}");
        }
        let backends = of_kind(&objects, "Ingress")
            .map(|ingress| ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"].clone());
        let backends = backends.chain(
            of_kind(&objects, "HTTPRoute").map(|route| route["spec"]["rules"][0]["backendRefs"][0]["name"].clone()),
        );
        for backend in backends {
            assert!(services.iter().any(|service| service["metadata"]["name"] == backend), "{name}: {backend}");
        }
    }
}

#[test]
fn the_readme_lists_every_value() {
    let mut table = "| value | default | what it is |\n|---|---|---|\n".to_owned();
    for value in values() {
        assert!(!value.description.is_empty(), "`{}` has no description in values.yaml", value.path);
        let default = if value.default == r#""""# { "empty".to_owned() } else { format!("`{}`", value.default) };
        writeln!(table, "| `{}` | {default} | {} |", value.path, value.description).expect("a text takes text");
    }
    let readme = read("charts/fairlead/README.md");
    let (before, rest) = readme.split_once("<!-- values -->\n").expect("the place is marked");
    let (found, after) = rest.split_once("<!-- /values -->").expect("its end is marked");
    if std::env::var_os("FAIRLEAD_UPDATE_GENERATED").is_some() {
        let text = format!("{before}<!-- values -->\n{table}<!-- /values -->{after}");
        fs::write(path("charts/fairlead/README.md"), text).expect("the page can be written");
        return;
    }
    assert!(found == table, "charts/fairlead/README.md is stale: run `make generated`");
}

#[test]
fn schema_values_and_readme_name_the_same() {
    let schema: Value = serde_json::from_str(&read("charts/fairlead/values.schema.json")).expect("the schema is JSON");
    let mut allowed = BTreeMap::new();
    allowed_by(&schema, "", &mut allowed);
    let values = values();
    for value in &values {
        let known = allowed
            .iter()
            .any(|(path, open)| *path == value.path || *open && value.path.starts_with(&format!("{path}.")));
        assert!(known, "`{}` is not in the schema", value.path);
    }
    let readme = read("charts/fairlead/README.md");
    let documented = |path: &str| {
        values.iter().any(|value| value.path == path || value.path.starts_with(&format!("{path}.")))
            || readme.contains(&format!("`{path}`"))
    };
    let missing: Vec<&String> = allowed.keys().filter(|path| *path != "global" && !documented(path)).collect();
    assert!(missing.is_empty(), "the schema allows what nobody describes: {missing:?}");
}

#[test]
fn the_schema_knows_every_field_of_a_registry() {
    let schema: Value = serde_json::from_str(&read("charts/fairlead/values.schema.json")).expect("the schema is JSON");
    let fields = schema["properties"]["config"]["properties"]["registries"]["items"]["properties"].as_object();
    let mut fields: Vec<&str> = fields.expect("fields").keys().map(String::as_str).collect();
    let page = read("docs/reference/registries.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| `name` |")).take_while(|line| line.starts_with('|'));
    let mut described: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    fields.sort_unstable();
    described.sort_unstable();
    assert_eq!(fields, described);
}

/// Every path that a schema allows, and whether anything is allowed below it.
fn allowed_by(schema: &Value, prefix: &str, allowed: &mut BTreeMap<String, bool>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "`{prefix}` lets slips through");
    for (name, schema) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        allowed.insert(path.clone(), schema.get("properties").is_none() && schema["type"] == "object");
        allowed_by(schema, &path, allowed);
    }
}

/// One value of the chart, as values.yaml has it.
struct ChartValue {
    path: String,
    default: String,
    description: String,
}

fn values() -> Vec<ChartValue> {
    let (mut values, mut comment, mut parents) = (Vec::new(), Vec::new(), Vec::<String>::new());
    for line in read("charts/fairlead/values.yaml").lines() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim().to_owned());
            continue;
        }
        if let Some((key, default)) = text.split_once(':') {
            parents.truncate((line.len() - text.len()) / 2);
            parents.push(key.to_owned());
            if !default.is_empty() {
                let description = comment.join(" ").replace('|', "\\|");
                values.push(ChartValue { path: parents.join("."), default: default.trim().to_owned(), description });
            }
        }
        comment.clear();
    }
    assert!(values.len() > 100, "{}", values.len());
    values
}

fn snapshots() -> BTreeMap<String, Vec<Value>> {
    let folder = path("tests/snapshots/chart");
    let paths =
        fs::read_dir(folder).expect("there are snapshots").map(|entry| entry.expect("an entry can be read").path());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a snapshot is text");
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (name, serde_saphyr::from_multiple(&text).expect("a snapshot is YAML"))
    };
    let snapshots: BTreeMap<_, _> = paths.map(read).collect();
    assert!(snapshots.len() >= 10);
    snapshots
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|cause| panic!("{file}: {cause}"))
}
