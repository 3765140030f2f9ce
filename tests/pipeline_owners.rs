//! Applications that something else makes: what would be set back is not written.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::Reason;
use serde_json::{Value, json};
use world::World;

const RULE: &str = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
const TAG: &str = "/spec/source/helm/parameters/0/value";

fn child() -> World {
    let world = World::new(RULE)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags("registry.example/app", &["1.0.0", "1.0.2"]);
    world.edit("app", |object| {
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "set", "uid": "u", "controller": true,
        }]);
    });
    world
}

async fn look(set: Result<Value, String>) -> (Reason, String, Value) {
    let mut world = child();
    world.applications.put_set("set", set);
    let report = world.look().await;
    (report.images[0].reason, report.images[0].message.clone(), world.at("app", TAG))
}

fn ignoring(pointers: &Value) -> Value {
    json!({ "spec": { "ignoreApplicationDifferences": [{ "jsonPointers": pointers }] } })
}

#[tokio::test]
async fn a_set_that_leaves_the_place_alone_lets_it_be_written() {
    let policy = |policy: &str| Ok(json!({ "spec": { "syncPolicy": { "applicationsSync": policy } } }));
    let expression = |text: &str| {
        Ok(json!({ "spec": { "ignoreApplicationDifferences": [{ "name": "app", "jqPathExpressions": [text] }] } }))
    };
    for set in [
        policy("create-only"),
        policy("create-delete"),
        Ok(ignoring(&json!(["/spec/source/helm/parameters"]))),
        Ok(ignoring(&json!(["/spec/other", "/spec/source/helm"]))),
        Ok(ignoring(&json!(["/spec"]))),
        expression(".spec.source.helm.parameters"),
        expression(".spec.source.helm.parameters[]"),
    ] {
        let (reason, message, tag) = look(set.clone()).await;
        assert_eq!((reason, tag), (Reason::Updated, json!("1.0.2")), "{set:?} {message}");
    }
}

#[tokio::test]
async fn a_set_that_would_set_it_back_stops_the_write() {
    let other_application = json!({ "spec": { "ignoreApplicationDifferences": [
        { "name": "other", "jsonPointers": ["/spec/source/helm/parameters"] }
    ] } });
    for set in [
        Ok(json!({})),
        Ok(json!({ "spec": { "syncPolicy": { "applicationsSync": "create-update" } } })),
        Ok(json!({ "spec": { "syncPolicy": { "applicationsSync": "sync" } } })),
        Ok(ignoring(&json!(["/spec/source/helm/para"]))),
        Ok(ignoring(&json!(["/spec/source/helm/parameters/0"]))),
        Ok(ignoring(&json!(["/spec/source/kustomize/images", ""]))),
        Ok(other_application),
    ] {
        let (reason, message, tag) = look(set.clone()).await;
        assert_eq!((reason, tag), (Reason::OwnedByApplicationSet, json!("1.0.0")), "{set:?} {message}");
    }
    let (_, message, _) = look(Ok(json!({}))).await;
    insta::assert_snapshot!(message, @"`argocd/app` is made by the ApplicationSet `set`, which would set `spec.source.helm.parameters` back; add to the spec of the ApplicationSet `ignoreApplicationDifferences: [{ jsonPointers: [/spec/source/helm/parameters] }]`");
}

#[tokio::test]
async fn a_set_that_cannot_be_read_stops_the_write() {
    let (reason, message, tag) = look(Err("not allowed to read it: no".to_owned())).await;
    assert_eq!((reason, tag), (Reason::OwnedByApplicationSet, json!("1.0.0")));
    insta::assert_snapshot!(message, @"`argocd/app` is made by the ApplicationSet `set`, and whether that would set `spec.source.helm.parameters` back is not known: not allowed to read it: no; let Fairlead get `applicationsets.argoproj.io`");
    assert_eq!(child().look().await.images[0].reason, Reason::OwnedByApplicationSet);
}

#[tokio::test]
async fn several_sources_must_be_left_alone_as_a_whole() {
    for (pointer, expected) in
        [("/spec/sources", Reason::Updated), ("/spec/sources/0/helm/parameters", Reason::OwnedByApplicationSet)]
    {
        let mut world = child();
        world.edit("app", |object| {
            let source = object["spec"]["source"].take();
            object["spec"] = json!({ "sources": [source] });
            object["status"]["sourceTypes"] = json!(["Helm"]);
        });
        world.applications.put_set("set", Ok(ignoring(&json!([pointer]))));
        assert_eq!(world.look().await.images[0].reason, expected, "{pointer}");
    }
}
