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
