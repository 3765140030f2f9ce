//! Every kind of Application, looked at again and again: at most one write, the right one, and nothing of others is lost.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use serde_json::{Value, json};
use world::World;

const APP: &str = "registry.example/app";
const LIVE: &str = "registry.example/app:1.0.0";

/// A kind of Application: its spec and status, what the policy's image says beside the rule, and what is written where.
struct Kind {
    name: &'static str,
    spec: Value,
    status: Value,
    image: &'static str,
    written: Option<(&'static str, Value)>,
}

fn status(kind: &str, images: &[&str]) -> Value {
    json!({ "sourceType": kind, "summary": { "images": images } })
}

fn source(block: &str, content: &Value) -> Value {
    json!({ "repoURL": "https://git.example/web", "path": "web", block: content })
}

fn helm(tag: &str) -> Value {
    source("helm", &json!({ "parameters": [{ "name": "image.tag", "value": tag, "forceString": true }] }))
}

fn kustomize(image: &str) -> Value {
    source("kustomize", &json!({ "images": [image] }))
}

#[expect(clippy::too_many_lines, reason = "a flat table")]
fn kinds() -> Vec<Kind> {
    let kind = |name, spec, status, image, written| Kind { name, spec, status, image, written };
    let moved = |pointer, value: &str| Some((pointer, json!(value)));
    let parameter = "/spec/source/helm/parameters/0/value";
    let entry = "/spec/source/kustomize/images/0";
    let variable = json!({ "env": [{ "name": "TAG", "value": "1.0.0" }] });
    let digest = "registry.example/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let named = json!({ "parameters": [
        { "name": "image.name", "value": APP, "forceString": true },
        { "name": "image.tag", "value": "1.0.0", "forceString": true },
    ] });
    vec![
        kind("helm", json!({ "source": helm("1.0.0") }), status("Helm", &[LIVE]), "", moved(parameter, "1.0.2")),
        kind("helm, up to date", json!({ "source": helm("1.0.2") }), status("Helm", &[LIVE]), "", None),
        kind(
            "kustomize",
            json!({ "source": kustomize(LIVE) }),
            status("Kustomize", &[LIVE]),
            "",
            moved(entry, "registry.example/app:1.0.2"),
        ),
        kind(
            "plugin",
            json!({ "source": source("plugin", &variable) }),
            status("Plugin", &[LIVE]),
            ", target: { plugin: { tag: TAG } }",
            moved("/spec/source/plugin/env/0/value", "1.0.2"),
        ),
        kind(
            "values as a text",
            json!({ "source": source("helm", &json!({ "values": "# ours\nimage: {tag: 1.0.0} # moved\n" })) }),
            status("Helm", &[LIVE]),
            ", target: { helm: { values: { tag: image.tag } } }",
            moved("/spec/source/helm/values", "# ours\nimage: {tag: 1.0.2} # moved\n"),
        ),
        kind(
            "values as an object",
            json!({ "source": source("helm", &json!({ "valuesObject": { "image": { "tag": "1.0.0" } } })) }),
            status("Helm", &[LIVE]),
            ", target: { helm: { values: { tag: image.tag } } }",
            moved("/spec/source/helm/valuesObject/image/tag", "1.0.2"),
        ),
        kind(
            "several tags of one image",
            json!({ "source": source("helm", &json!({ "parameters": [
                { "name": "image.tag", "value": "1.0.0", "forceString": true },
                { "name": "old.tag", "value": "0.9.0", "forceString": true },
            ] })) }),
            status("Helm", &["registry.example/app:0.9.0", "registry.example/app:1.0.0", "registry.example/app:1.0.1"]),
            "",
            moved(parameter, "1.0.2"),
        ),
        kind(
            "two charts",
            json!({ "sources": [helm("1.0.0"), kustomize("registry.example/other:1")] }),
            status("", &[LIVE]),
            ", target: { helm: { tag: image.tag } }",
            moved("/spec/sources/0/helm/parameters/0/value", "1.0.2"),
        ),
        kind(
            "one of two kustomizations",
            json!({ "sources": [kustomize(LIVE), kustomize(LIVE)] }),
            status("", &[LIVE]),
            ", target: { source: { index: 1 } }",
            moved("/spec/sources/1/kustomize/images/0", "registry.example/app:1.0.2"),
        ),
        kind(
            "either of two kustomizations",
            json!({ "sources": [kustomize(LIVE), kustomize(LIVE)] }),
            status("", &[LIVE]),
            "",
            None,
        ),
        kind(
            "hydrator",
            json!({ "sourceHydrator": { "drySource": kustomize(LIVE) } }),
            status("Directory", &[LIVE]),
            "",
            moved("/spec/sourceHydrator/drySource/kustomize/images/0", "registry.example/app:1.0.2"),
        ),
        kind(
            "zero replicas",
            json!({ "source": source("helm", &named) }),
            status("Helm", &[]),
            "",
            moved("/spec/source/helm/parameters/1/value", "1.0.2"),
        ),
        kind(
            "idle CronJob",
            json!({ "source": kustomize(LIVE) }),
            status("Kustomize", &[]),
            "",
            moved(entry, "registry.example/app:1.0.2"),
        ),
        kind(
            "a rollout",
            json!({ "source": helm("1.0.0") }),
            status("Helm", &["registry.example/app:1.0.1", LIVE]),
            "",
            moved(parameter, "1.0.2"),
        ),
        kind(
            "digest only",
            json!({ "source": kustomize(digest) }),
            status("Kustomize", &[digest]),
            "",
            moved(entry, "registry.example/app:1.0.2"),
        ),
        kind(
            "no tag",
            json!({ "source": kustomize(APP) }),
            status("Kustomize", &[]),
            "",
            moved(entry, "registry.example/app:1.0.2"),
        ),
        kind(
            "plain manifests",
            json!({ "source": source("directory", &json!({})) }),
            status("Directory", &[LIVE]),
            "",
            None,
        ),
    ]
}

#[tokio::test]
async fn each_kind_is_written_once_at_most_and_rightly() {
    for Kind { name, spec, status, image, written } in kinds() {
        let rule = format!("applications: [{{ name: app }}]\nimages: [{{ image: {APP}, constraint: ~1.0{image} }}]");
        let mut world =
            World::new(&rule).application("app", spec, status).tags(APP, &["1.0.0", "1.0.1", "1.0.2", "2.0.0"]);
        let mut expected = world.at("app", "");
        for round in 0..20 {
            let report = world.look().await;
            if round == 0
                && let Some((pointer, value)) = &written
            {
                let place = expected.pointer_mut(pointer);
                *place.unwrap_or_else(|| panic!("{name}: {report:#?}")) = value.clone();
            }
            let mut found = world.at("app", "");
            found["metadata"]["resourceVersion"] = expected["metadata"]["resourceVersion"].clone();
            assert_eq!(found, expected, "{name}, look {round}: {report:#?}");
        }
        assert_eq!(world.applications.writes(), usize::from(written.is_some()), "{name}");
    }
}

#[tokio::test]
async fn edits_of_others_between_and_during_writes_are_kept() {
    let rule = "applications: [{ name: '*' }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
    let mut world = World::new(rule).tags(APP, &["1.0.0"]);
    for number in 0..40 {
        let (spec, kind) = if number % 2 == 0 {
            (json!({ "source": helm("1.0.0") }), "Helm")
        } else {
            (json!({ "source": kustomize(LIVE) }), "Kustomize")
        };
        world = world.application(&format!("app-{number}"), spec, status(kind, &[LIVE]));
    }
    // Others edit before every other write, each edit another one.
    let mut edits = 0_u32;
    world.applications.intrude(move |object| {
        edits += 1;
        let seed = edits.wrapping_mul(2_654_435_761) >> 28;
        if seed.is_multiple_of(2) {
            let count = object["status"]["edits"].as_u64().unwrap_or_default();
            object["status"]["edits"] = json!(count + 1);
            let made = object["spec"]["edits"].as_array().cloned().unwrap_or_default();
            object["spec"]["edits"] = made.into_iter().chain([json!(count)]).collect();
        }
    });
    for patch in 1..=5 {
        world.push(APP, &format!("1.0.{patch}"), &format!("2026-04-{patch:02}T00:00:00Z"));
        for _ in 0..4 {
            world.look().await;
        }
    }
    for number in 0..40 {
        let name = format!("app-{number}");
        let mut object = world.at(&name, "");
        let count = object["status"]["edits"].as_u64().unwrap_or_default();
        let made: Vec<Value> = (0..count).map(|edit| json!(edit)).collect();
        let edits = object["spec"].as_object_mut().unwrap().remove("edits").unwrap_or_else(|| json!([]));
        assert_eq!(edits, Value::Array(made), "{name}");
        let expected = if number % 2 == 0 { helm("1.0.5") } else { kustomize("registry.example/app:1.0.5") };
        assert_eq!(object["spec"], json!({ "source": expected }), "{name}");
    }
    assert_eq!(world.applications.writes(), 40 * 5);
}
