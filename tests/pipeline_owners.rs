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
async fn twenty_looks_at_a_child_write_once_at_most() {
    for (policy, written) in [("sync", 0), ("create-update", 0), ("create-only", 1), ("create-delete", 1)] {
        let mut world = child();
        world.applications.put_set("set", Ok(json!({ "spec": { "syncPolicy": { "applicationsSync": policy } } })));
        for _ in 0..20 {
            world.look().await;
        }
        let expected = if written == 1 { "1.0.2" } else { "1.0.0" };
        assert_eq!((world.applications.writes(), world.at("app", TAG)), (written, json!(expected)), "{policy}");
    }
}

#[tokio::test]
async fn a_set_that_cannot_be_read_stops_the_write() {
    let (reason, message, tag) = look(Err("not allowed to read it: no".to_owned())).await;
    assert_eq!((reason, tag), (Reason::OwnedByApplicationSet, json!("1.0.0")));
    insta::assert_snapshot!(message, @"`argocd/app` is made by the ApplicationSet `set`, and whether that would set `spec.source.helm.parameters` back is not known: not allowed to read it: no; let Fairlead get `applicationsets.argoproj.io`, or put the ApplicationSet beside the Application");
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

/// An Application whose place states no version before the write, and nothing after `steps` of others.
async fn undone(world: &mut World, times: usize) -> (Reason, String) {
    let mut last = (Reason::UpToDate, String::new());
    for _ in 0..times {
        let report = world.look().await;
        last = (report.images[0].reason, report.images[0].message.clone());
        world.edit("app", |object| object["spec"]["source"]["helm"] = json!({ "parameters": [] }));
    }
    last
}

fn bare() -> World {
    World::new(RULE).helm("app", &[], &["registry.example/app:1.0.0"]).tags("registry.example/app", &["1.0.0", "1.0.2"])
}

#[tokio::test]
async fn what_is_undone_is_not_written_again() {
    let mut world = bare();
    let (reason, message) = undone(&mut world, 20).await;
    assert_eq!((reason, world.applications.writes()), (Reason::RolledBackByHand, 1));
    insta::assert_snapshot!(message, @"`1.0.2` was taken back by hand; it is held until something newer appears");
}

#[tokio::test]
async fn who_undoes_is_named() {
    let mut world = bare();
    world.edit("app", |object| {
        let tracking = "fleet_parent:argoproj.io/Application:argocd/app";
        object["metadata"]["annotations"] = json!({ "argocd.argoproj.io/tracking-id": tracking });
        let entry = |manager: &str, time: &str, fields: Value| json!({ "manager": manager, "operation": "Update", "time": time, "fieldsV1": fields });
        object["metadata"]["managedFields"] = json!([
            entry("kubectl", "2026-06-01T10:00:00Z", json!({ "f:spec": { "f:source": {} } })),
            entry("argocd-controller", "2026-06-01T11:00:00Z", json!({ "f:spec": { "f:source": {} } })),
            entry("other-controller", "2026-06-01T11:30:00Z", json!({ "f:status": {} })),
            entry("fairlead", "2026-06-01T11:59:00Z", json!({ "f:spec": { "f:source": {} } })),
        ]);
    });
    let (_, message) = undone(&mut world, 3).await;
    insta::assert_snapshot!(message, @"`1.0.2` was taken back by hand; it is held until something newer appears; `argocd-controller` changed the Application last, and Argo CD manages it as a part of `fleet/parent`");
}

#[tokio::test]
async fn a_lower_version_is_held_at_once_whoever_set_it() {
    let mut world = child();
    world.edit("app", |object| {
        object["metadata"]["ownerReferences"].take();
        object["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("parent");
    });
    world.look().await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::RolledBackByHand, 1));
    insta::assert_snapshot!(report.images[0].message, @"`1.0.2` was taken back by hand; it is held until something newer appears; Argo CD manages the Application as a part of `parent`");
}

fn rolled_back() -> World {
    let world = child();
    world.edit("app", |object| {
        object["metadata"]["ownerReferences"].take();
    });
    world
}

type Resume = fn(&mut World, &str);

#[tokio::test]
async fn resume_lifts_a_rollback_once() {
    let policy = |world: &mut World, value: &str| world.annotate("fairlead.dev/resume", value);
    let application = |world: &mut World, value: &str| {
        world.edit("app", |object| {
            object["metadata"]["annotations"] = json!({ "fairlead.dev/resume": value });
        });
    };
    for (resume, first, second) in [
        (policy as Resume, "now", "again"),
        (policy, "app/registry.example/app", "app/registry.example/app 2"),
        (application, "now", "again"),
    ] {
        let mut world = rolled_back();
        resume(&mut world, "before anything was held");
        for (round, value) in [first, second].into_iter().enumerate() {
            world.look().await;
            world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
            for _ in 0..3 {
                assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand, "{first} {round}");
            }
            resume(&mut world, value);
            assert_eq!(world.look().await.images[0].reason, Reason::Updated, "{first} {round}");
        }
        let status = world.status.as_ref().unwrap();
        let shown = status.resumed.as_deref().or(status.remembered[0].resumed.as_deref());
        assert_eq!((shown, world.applications.writes()), (Some(second), 3));
    }
}

#[tokio::test]
async fn resume_of_another_image_lifts_nothing() {
    let mut world = rolled_back();
    world.look().await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    world.look().await;
    for other in ["other/registry.example/app", "app/other"] {
        world.annotate("fairlead.dev/resume", other);
        assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand, "{other}");
    }
}

#[tokio::test]
async fn resume_lets_what_was_undone_be_written_again() {
    let mut world = bare();
    undone(&mut world, 3).await;
    world.annotate("fairlead.dev/resume", "the parent is changed");
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert_eq!(world.look().await.images[0].reason, Reason::UpToDate);
}
