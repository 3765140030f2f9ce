//! What the webhooks of registries mean. One file of `tests/data/webhooks/` is one event, as its source sends it.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "reads its cases, and fails when it cannot")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fairlead::lower::push_event::{Delivery, Push, Source, push_event};
use proptest::prelude::*;
use serde_json::Value;

/// What every fixture means. A fixture belongs to the source that its name begins with.
const MEANINGS: &[(&str, &[&str])] = &[
    ("acr", &["fleet.azurecr.io/fleet/web:1.4.2"]),
    ("acr-cloudevent", &["fleet.azurecr.io/fleet/web:1.4.2"]),
    ("acr-event-grid", &["fleet.azurecr.io/fleet/web:1.4.2"]),
    ("acr-ping", &[]),
    ("acr-validation", &[]),
    (
        "aliyun",
        &["registry-vpc.cn-hangzhou.aliyuncs.com/fleet/web:1.4.2", "registry.cn-hangzhou.aliyuncs.com/fleet/web:1.4.2"],
    ),
    ("distribution", &["registry.example.com:5000/fleet/web:1.4", "registry.example.com:5000/fleet/web:1.4.2"]),
    ("distribution-layer", &[]),
    ("distribution-two-names", &["registry.example.com:5000/fleet/web:1.4.2", "registry.svc:5000/fleet/web:1.4.2"]),
    ("dockerhub", &["docker.io/fleet/web:1.4.2"]),
    ("ecr", &["123456789012.dkr.ecr.us-west-2.amazonaws.com/fleet/web:1.4.2"]),
    ("ecr-china", &["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/fleet/web:1.4.2"]),
    ("ecr-cloudevent", &["210987654321.dkr.ecr.eu-central-1.amazonaws.com/fleet/web:1.4.2"]),
    ("ecr-cloudevent-native", &["123456789012.dkr.ecr.us-west-2.amazonaws.com/fleet/web:1.4.2"]),
    ("ecr-delete", &[]),
    ("generic", &["ghcr.io/fleet/web:1.4.2"]),
    ("generic-several", &["nginx:1.27", "ghcr.io/fleet/web:1.4.2", "registry.example.com:5000/fleet/api"]),
    ("ghcr", &["ghcr.io/fleet/web:1.4.2"]),
    ("ghcr-npm", &[]),
    ("ghcr-ping", &[]),
    ("ghcr-registry-package", &["ghcr.io/fleet/team/web:1.4.2"]),
    ("gitea", &["gitea.example.com:3000/fleet/web:1.4.2"]),
    ("gitea-deleted", &[]),
    ("gitea-manifest", &["gitea.example.com:3000/fleet/web"]),
    ("gitea-npm", &[]),
    ("gitlab", &["registry.example.com:5000/fleet/web:1.4.2"]),
    ("gitlab-pipeline", &[]),
    ("harbor", &["harbor.example.com/fleet/team/web:1.4.2"]),
    ("harbor-cloudevent", &["harbor.example.com/fleet/team/web:1.4.2"]),
    ("harbor-pull", &[]),
    ("quay", &["quay.io/fleet/web:1.4.2"]),
];

#[test]
fn every_event_names_its_repositories() {
    let fixtures = fixtures();
    let told: BTreeMap<&str, Vec<String>> =
        fixtures.iter().map(|(name, body)| (name.as_str(), meaning(name, &delivery(body)))).collect();
    let expected: BTreeMap<&str, Vec<String>> = MEANINGS
        .iter()
        .map(|(name, images)| (*name, images.iter().map(|image| (*image).to_owned()).collect()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_address_of_the_webhook_may_name_the_registry() {
    for (name, body) in fixtures().into_iter().filter(|(name, _)| !name.starts_with("generic")) {
        let delivery = Delivery { registry: Some("mirror.example".to_owned()), ..delivery(&body) };
        for image in meaning(&name, &delivery) {
            assert!(image.starts_with("mirror.example/fleet/"), "{name}: {image}");
        }
    }
}

#[test]
fn other_events_of_github_and_gitea_are_let_go() {
    let package = &fixtures()["ghcr"];
    for (header, source) in [("x-github-event", Source::Ghcr), ("x-gitea-event", Source::Gitea)] {
        let headers = BTreeMap::from([(header.to_owned(), "push".to_owned())]);
        assert_eq!(push_event(source, &Delivery { headers, ..delivery(package) }), Ok(Vec::new()));
    }
}

#[test]
fn an_event_names_a_hundred_repositories_at_most() {
    let images: Vec<String> = (0..1000).map(|number| format!("ghcr.io/fleet/app{number}")).collect();
    let body = serde_json::json!({ "images": images }).to_string();
    assert_eq!(push_event(Source::Generic, &delivery(&body)).map(|pushes| pushes.len()), Ok(100));
}

#[test]
fn a_field_that_is_lost_or_of_another_kind_breaks_nothing() {
    for (name, body) in fixtures() {
        let whole: Value = serde_json::from_str(&body).expect("fixtures are JSON");
        for pointer in pointers(&whole, "") {
            for value in
                [Value::Null, 7.into(), "".into(), "%$ §".into(), Value::Array(vec![]), "a".repeat(5000).into()]
            {
                let mut changed = whole.clone();
                if let Some(place) = changed.pointer_mut(&pointer) {
                    *place = value;
                }
                // Whatever it says, it says something.
                let _ = push_event(source(&name), &delivery(&changed.to_string()));
            }
        }
    }
}

#[test]
fn a_deep_body_is_refused() {
    let body = "[".repeat(500_000);
    for source in Source::ALL {
        assert!(push_event(source, &delivery(&body)).is_err());
    }
}

proptest! {
    #[test]
    fn no_body_breaks_anything(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for source in Source::ALL {
            let _ = push_event(source, &Delivery { body: body.clone(), ..Delivery::default() });
        }
    }

    #[test]
    fn no_text_in_a_field_breaks_anything(text in ".{0,40}", registry in proptest::option::of(".{0,20}")) {
        for (name, body) in fixtures() {
            for known in ["fleet/team/web", "fleet/web", "web", "fleet", "1.4.2", "us-west-2"] {
                let quoted = Value::from(text.as_str()).to_string();
                let body = body.replace(&format!("\"{known}\""), &quoted);
                let _ = push_event(source(&name), &Delivery { registry: registry.clone(), ..delivery(&body) });
            }
        }
    }
}

fn fixtures() -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/webhooks");
    let paths = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), fs::read_to_string(&path).expect("a fixture is text"))).collect()
}

fn source(name: &str) -> Source {
    name.split('-').next().expect("a first part").parse().expect("a fixture begins with its source")
}

fn delivery(body: &str) -> Delivery {
    Delivery { body: body.as_bytes().to_vec(), ..Delivery::default() }
}

fn meaning(name: &str, delivery: &Delivery) -> Vec<String> {
    let pushes = push_event(source(name), delivery).unwrap_or_else(|error| panic!("{name}: {error}"));
    pushes.iter().map(shown).collect()
}

fn shown(push: &Push) -> String {
    let tag = push.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    format!("{}{tag}", push.repository)
}

/// Every place in a document.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.replace('/', "~1"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    let mut all = vec![at.to_owned()];
    all.extend(children.iter().flat_map(|(key, value)| pointers(value, &format!("{at}/{key}"))));
    all
}
