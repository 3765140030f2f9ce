//! What a real Prometheus makes of the metrics, the dashboards and the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use fairlead::telemetry::{FAMILIES, Kind};
use fairlead_e2e::helm::root;
use fairlead_e2e::prometheus::promtool;
use fairlead_e2e::{Deadline, Image, Prometheus, Scene, Unready, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const ALERTS: &str = "charts/fairlead/files/alerts/fairlead.yaml";
const SECRET: &str = "canary-metrics-11aa";

/// Labels that Prometheus adds to what it reads.
const OF_TARGETS: [&str; 3] = ["namespace", "job", "instance"];
/// What this run has no cause to count: it writes nothing to Git, its registry tells no quota, and nobody else writes.
const UNCOUNTED: [&str; 4] = [
    "fairlead_git_operation_duration_seconds",
    "fairlead_git_operations_total",
    "fairlead_registry_rate_limit_remaining",
    "fairlead_shadow_comparisons_total",
];

#[test]
fn alerts_are_told_when_they_should_be() {
    let alerts = root().join(ALERTS);
    let alerts = alerts.to_str().expect("a readable name");
    let checked = promtool(&["check", "rules", "--lint=all", "--lint-fatal", alerts]);
    assert!(checked.is_ok(), "{checked:?}");
    let text = fs::read_to_string(root().join("e2e/data/alerts_test.yaml")).expect("the tests are there");
    let path = std::env::temp_dir().join(format!("fairlead-alerts-{}.yaml", std::process::id()));
    fs::write(&path, text.replace("{{rules}}", alerts)).expect("a file can be written");
    let tested = promtool(&["test", "rules", path.to_str().expect("a readable name")]);
    fs::remove_file(&path).expect("it is ours");
    assert!(tested.as_ref().is_ok_and(|words| words.contains("SUCCESS")), "{tested:?}");
    for rule in rules_of_file() {
        let told = format!("alertname=\"{}\"", rule["alert"].as_str().expect("a name"));
        assert!(text.contains(&told), "no test tells {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_ask_for_what_a_real_run_shows() {
    let scene = Scene::new("metrics").await;
    let fairlead = scene.start_with_webhooks(&[], &[("generic", SECRET)]).await;
    live_through_everything(&scene, &fairlead).await;
    let page = fairlead.page("/metrics").await;
    let problems = promtool_of(&page);
    assert!(problems.is_empty(), "{problems}");
    let mut expected: BTreeMap<String, String> = table();
    for name in UNCOUNTED {
        assert!(expected.remove(name).is_some(), "{name}");
    }
    assert_eq!(families(&page), expected);

    let prometheus = Prometheus::start("prometheus", fairlead.address(), &root().join(ALERTS)).await;
    // What is counted from the first look on shows no increase before the second.
    scene.touch("broken").await;
    eventually("another failure is read", Deadline::seconds(30), async || {
        let increased = prometheus.query("increase(fairlead_failures_total[1m]) > 0").await;
        if increased.is_empty() { Err("none yet") } else { Ok(()) }
    })
    .await;
    for (place, query) in queries_of_dashboards().into_iter().chain(queries_of_alerts()) {
        let tree = prometheus.parse(&query).await;
        let named = judge(&tree, &place);
        let found = prometheus.query(&query).await;
        let uncounted = UNCOUNTED.iter().any(|name| named.iter().any(|named| named.starts_with(name)));
        let filtered = place.starts_with("alert");
        assert!(!found.is_empty() || uncounted || filtered, "{place}: `{query}` shows nothing");
    }
    for rule in prometheus.rules().await {
        assert!(rule["lastError"].is_null() && rule["health"] == "ok", "{rule}");
    }
}

/// Updates that become healthy, a version that waits, a policy that fails, and webhooks.
async fn live_through_everything(scene: &Scene, fairlead: &fairlead_e2e::Fairlead) {
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push(&repository, "1.0.0", &Image::new("1.0.0").built("2026-01-01T00:00:00Z")).await;
    scene.registry().push(&repository, "1.0.1", &Image::new("1.0.1").built("2026-01-02T00:00:00Z")).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    scene.application("held", Scene::helm(&image, "1.0.0")).await;
    let missing = scene.image("missing");
    scene.application("broken", Scene::helm(&missing, "1.0.0")).await;
    // The newest build, so that it is known since when a version waits.
    let spec = |name: &str, image: &str| json!({"applications": [{"name": name}], "images": [{"image": image, "strategy": "NewestBuild"}]});
    scene.policy("web", spec("web", &image)).await;
    let mut held = spec("held", &image);
    held["dryRun"] = json!(true);
    scene.policy("held", held).await;
    scene.policy("broken", spec("broken", &missing)).await;
    scene.expect_tag("web", "1.0.1").await;
    let unready = Unready { reason: "RepositoryNotFound", stalled: true, says: &[] };
    scene.expect_unready("broken", unready).await;

    let event = json!({"image": format!("{image}:1.0.1")});
    assert_eq!(fairlead.webhook("generic", SECRET, &event).await, 202);
    let written_at = scene.expect_policy("web", "the write is followed", Deadline::seconds(30), |policy| {
        policy.status.as_ref().is_some_and(|status| status.images.iter().any(|image| image.rollout.is_some()))
    });
    let written_at =
        written_at.await.status.and_then(|status| status.images[0].rollout.clone()).expect("a rollout").written_at;
    let later = written_at.0 + std::time::Duration::from_secs(61);
    let status = json!({"status": {"reconciledAt": later.to_string(), "sync": {"status": "Synced"}, "health": {"status": "Healthy"}}});
    scene.applications().patch("web", &PatchParams::default(), &Patch::Merge(status)).await.expect("Argo CD may write");
    let healthy = format!("fairlead_written_to_healthy_seconds_count{{namespace=\"{}\"}} 1", scene.namespace);
    let behind = format!("fairlead_policy_versions_behind{{namespace=\"{}\",policy=\"held\"}} 1", scene.namespace);
    eventually("all of it is counted", Deadline::seconds(60), async || {
        let page = fairlead.page("/metrics").await;
        if [&healthy, &behind].iter().all(|line| page.lines().any(|found| found == **line)) {
            Ok(())
        } else {
            Err(page)
        }
    })
    .await;
}

/// What `promtool check metrics` has against a page, but for names that others gave.
fn promtool_of(page: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let tools = fairlead_e2e::tools::Tools::find(&|_| {}).expect("the tools are there");
    let mut child = Command::new(tools.promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("it listens").write_all(page.as_bytes()).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Type, help and labels of each family of the table.
fn table() -> BTreeMap<String, String> {
    let row = |family: &fairlead::telemetry::Family| {
        let labels: BTreeSet<&str> = family.labels.iter().copied().collect();
        (family.name.to_owned(), format!("{} {labels:?} {}", family.kind.as_str(), family.help))
    };
    FAMILIES.iter().map(row).collect()
}

/// The same of a page.
fn families(page: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, help) in page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')) {
        let kind = page.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("a type");
        let mut labels = BTreeSet::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (full, rest) = series.split_once('{').unwrap_or((series, ""));
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| full.strip_suffix(end));
            if full == name || (kind == "histogram" && base == Some(name)) {
                labels.extend(rest.split("\",").filter_map(|label| label.split_once('=')).map(|(label, _)| label));
            }
        }
        labels.remove("le");
        found.insert(name.to_owned(), format!("{kind} {labels:?} {help}"));
    }
    found
}

/// What a panel or an alert asks, with Grafana's variables filled in.
fn queries_of_dashboards() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for name in ["fleet", "troubleshooting"] {
        let path = root().join(format!("charts/fairlead/files/dashboards/{name}.json"));
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels").iter();
        let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
        let asked = variables.filter(|variable| variable["type"] == "query").map(|variable| {
            let text = variable["query"]["query"].as_str().expect("a query");
            let inner = text.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')')).expect("a function");
            let (selector, label) = inner.rsplit_once(", ").expect("two arguments");
            format!("count by ({label}) ({selector})")
        });
        queries.extend(asked.map(|query| (format!("a variable of {name}"), filled_in(&query))));
        for panel in panels.filter(|panel| panel["type"] != "row") {
            let place = format!("{name}: {}", panel["title"].as_str().expect("a title"));
            let targets = panel["targets"].as_array().expect("targets").iter();
            queries.extend(targets.map(|target| (place.clone(), filled_in(target["expr"].as_str().expect("a query")))));
        }
    }
    assert!(queries.len() > 40, "{}", queries.len());
    queries
}

fn filled_in(query: &str) -> String {
    let mut query = query.replace("$__rate_interval", "10s").replace("$__range", "1m");
    for variable in ["$namespace", "$policy", "$registry"] {
        query = query.replace(variable, ".*");
    }
    assert!(!query.contains('$'), "{query}");
    query
}

fn rules_of_file() -> Vec<Value> {
    let text = fs::read_to_string(root().join(ALERTS)).expect("alerts are there");
    let alerts: Value = serde_saphyr::from_str(&text).expect("alerts are YAML");
    alerts["groups"][0]["rules"].as_array().expect("rules").clone()
}

fn queries_of_alerts() -> Vec<(String, String)> {
    let query = |rule: &Value| {
        let text = |field: &str| rule[field].as_str().expect("a text").to_owned();
        (format!("alert {}", text("alert")), text("expr"))
    };
    rules_of_file().iter().map(query).collect()
}

/// Every metric of a query is one of the table, and every label one that it has. Gives the metrics.
fn judge(tree: &Value, place: &str) -> BTreeSet<String> {
    let (mut metrics, mut labels, mut named) =
        (BTreeSet::new(), BTreeSet::from(OF_TARGETS.map(str::to_owned)), BTreeSet::new());
    walk(tree, &mut |node| {
        if let Some(name) =
            node["name"].as_str().filter(|_| matches!(node["type"].as_str(), Some("vectorSelector" | "matrixSelector")))
        {
            let own = labels_of(name).unwrap_or_else(|| panic!("{place}: there is no metric `{name}`"));
            for matcher in node["matchers"].as_array().into_iter().flatten() {
                let label = matcher["name"].as_str().expect("a name");
                let known = label == "__name__" || own.contains(label) || OF_TARGETS.contains(&label);
                assert!(known, "{place}: `{name}` has no label `{label}`");
            }
            labels.extend(own.into_iter().map(str::to_owned));
            metrics.insert(name.to_owned());
        }
        let lists = [&node["grouping"], &node["matching"]["labels"], &node["matching"]["include"]];
        named.extend(
            lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).map(str::to_owned),
        );
    });
    assert!(!metrics.is_empty(), "{place}: nothing is asked for");
    let strange: Vec<&String> = named.difference(&labels).collect();
    assert!(strange.is_empty(), "{place}: no metric of it has {strange:?}");
    metrics
}

fn labels_of(series: &str) -> Option<BTreeSet<&'static str>> {
    FAMILIES.iter().find_map(|family| {
        let own: BTreeSet<&str> = family.labels.iter().copied().collect();
        match family.kind {
            Kind::Gauge | Kind::Counter => (family.name == series).then_some(own),
            Kind::Histogram(_) => match series.strip_prefix(family.name)? {
                "_bucket" => Some(own.into_iter().chain(["le"]).collect()),
                "_sum" | "_count" => Some(own),
                _ => None,
            },
        }
    })
}

fn walk(tree: &Value, visit: &mut impl FnMut(&Value)) {
    match tree {
        Value::Object(fields) => {
            visit(tree);
            fields.values().for_each(|value| walk(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}
