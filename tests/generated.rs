//! Generated files are what their sources say. `make generated` refreshes them all.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]

use std::fmt::Write as _;
use std::path::Path;

use fairlead::api;
use fairlead::model::{Reason, Severity};
use fairlead::telemetry::{FAMILIES, Family, Kind, OLDER_V0_FAMILIES, OLDER_V1_FAMILIES};

fn check(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("FAIRLEAD_UPDATE_GENERATED").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    let line =
        actual.lines().zip(expected.lines()).position(|(actual, expected)| actual != expected).unwrap_or_default();
    assert!(actual == expected, "{file} is stale from line {} on; run `make generated` to refresh it", line + 1);
}

#[test]
fn the_definition_is_what_the_types_say() {
    let definition = api::definition().unwrap();
    check("crds/fairlead.dev_imageupdatepolicies.yaml", &definition);
    check("charts/fairlead/files/crds/fairlead.dev_imageupdatepolicies.yaml", &definition);
}

#[test]
fn the_list_of_reasons_is_complete() {
    let mut page =
        "# Reasons\n\nThe one list of words that conditions, events, metrics and verdicts use.\n\n".to_owned();
    page.push_str("| reason | `Ready` | what it means |\n|---|---|---|\n");
    for reason in Reason::ALL {
        let ready = match reason.severity() {
            Severity::Fine => "True",
            Severity::Waiting => "True, pending",
            Severity::Failing => "False, tried again by itself (`Reconciling`)",
            Severity::Stalled => "False, a person must act (`Stalled`)",
        };
        writeln!(page, "| `{reason}` | {ready} | {} |", reason.description()).unwrap();
    }
    check("docs/reference/reasons.md", &page);
}

#[test]
fn the_page_about_annotations_is_the_table() {
    check("docs/reference/annotations.md", &api::annotations::page());
}

#[test]
fn the_page_about_metrics_is_the_table() {
    let mut page = "# Metrics\n\nEvery family that `/metrics` shows. Values of labels come from closed lists, or are names of objects; never tags or messages. \
        What uses them: [the guide](../guides/observability.md).\n\n"
        .to_owned();
    rows(&mut page, FAMILIES);
    page.push_str(
        "\n## Names of argocd-image-updater\n\nShown beside the others where they are asked for. What that one defines and never counts is not here: \
         `argocd_image_updater_k8s_api_requests_total`, `argocd_image_updater_k8s_api_errors_total`.\n",
    );
    for (version, families) in [("v1", OLDER_V1_FAMILIES), ("v0", OLDER_V0_FAMILIES)] {
        write!(page, "\n`--compat-metrics {version}`, `metrics.compat: {version}` of the chart:\n\n").unwrap();
        rows(&mut page, families);
    }
    check("docs/reference/metrics.md", &page);
}

fn rows(page: &mut String, families: &[Family]) {
    page.push_str("| metric | type | labels | what it tells |\n|---|---|---|---|\n");
    for Family { name, kind, labels, help } in families {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let buckets = match kind {
            Kind::Histogram(bounds) => {
                let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
                format!(" Buckets: {}.", bounds.join(", "))
            }
            Kind::Gauge | Kind::Counter => String::new(),
        };
        writeln!(page, "| `{name}` | {} | {} | {help}{buckets} |", kind.as_str(), labels.join(", ")).unwrap();
    }
}
