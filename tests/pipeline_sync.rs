//! A sync that is asked for along with a change: only where a policy says so, and nothing stands against it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::Reason;
use serde_json::{Value, json};
use world::World;

const TAG: &str = "/spec/source/helm/parameters/0/value";

fn wanting(settings: &str) -> World {
    let rule = format!(
        "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0 }}]\nwriteBack: {{ application: {settings} }}"
    );
    let world = World::new(&rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags("registry.example/app", &["1.0.0", "1.0.2"]);
    world.applications.put_project("argocd", "default", json!({}));
    world
}

/// Looks twice; gives what is asked of Argo CD, and what is said of the change.
async fn asked(world: &mut World) -> (Value, String) {
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.at("app", TAG)), (Reason::Updated, json!("1.0.2")));
    let operation = world.at("app", "/operation");
    world.look().await;
    assert_eq!((world.applications.writes(), world.at("app", "/operation")), (1, operation.clone()));
    (operation, report.images[0].message.clone())
}

/// What stands against a sync, by the end of the message; empty where one is asked for.
async fn against(world: &mut World) -> String {
    let (operation, message) = asked(world).await;
    let cause = message.split_once("; no sync was asked for: ").map(|(_, cause)| cause.to_owned());
    assert_eq!(operation.is_null(), cause.is_some(), "{operation} {message}");
    cause.unwrap_or_default()
}

fn window(kind: &str, schedule: &str, change: &Value) -> Value {
    let mut window = json!({ "kind": kind, "schedule": schedule, "duration": "1h", "applications": ["*"] });
    window.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    window
}

#[tokio::test]
async fn a_change_is_synced_as_the_application_says_where_a_policy_wants_it() {
    let mut world = wanting("{ sync: true }");
    world.edit("app", |object| {
        object["spec"]["syncPolicy"] = json!({ "syncOptions": ["ServerSideApply=true"] });
        object["status"]["operationState"] = json!({ "phase": "Succeeded", "message": "of yesterday" });
    });
    let (operation, _) = asked(&mut world).await;
    let expected = json!({
        "initiatedBy": { "username": "fairlead", "automated": true },
        "info": [{ "name": "Reason", "value": "a newer image, by the policy argocd/web" }],
        "sync": { "syncOptions": ["ServerSideApply=true"] },
    });
    assert_eq!((operation, world.at("app", "/status/operationState")), (expected, Value::Null));
    assert_eq!(asked(&mut wanting("{}")).await.0, Value::Null);
    assert_eq!(asked(&mut wanting("{ refresh: true }")).await.0, Value::Null);
}

#[tokio::test]
async fn a_sync_under_way_is_not_disturbed() {
    for busy in
        [json!({ "operation": { "sync": {} } }), json!({ "status": { "operationState": { "phase": "Running" } } })]
    {
        let mut world = wanting("{ sync: true }");
        world.edit("app", |object| json_patch::merge(object, &busy));
        let report = world.look().await;
        assert_eq!(report.images[0].reason, Reason::Updated);
        let said = &report.images[0].message;
        assert!(said.ends_with("; no sync was asked for: another one is under way"), "{said}");
        let operation = busy.get("operation").cloned().unwrap_or_default();
        assert_eq!(world.at("app", "/operation"), operation);
    }
}

#[tokio::test]
async fn a_sync_window_that_forbids_it_is_obeyed() {
    // It is Monday, 12:00 UTC.
    let (none, allowed, denied) = (
        String::new(),
        "the project `default` allows it only in the window `",
        "the project `default` denies it in the window `",
    );
    let other = json!({ "applications": ["other"] });
    for (windows, expected, schedule) in [
        (vec![window("deny", "30 11 * * *", &json!({}))], denied, "30 11 * * *"),
        (vec![window("deny", "0 11 * * *", &json!({}))], none.as_str(), ""),
        (vec![window("deny", "0 12 * * *", &json!({}))], denied, "0 12 * * *"),
        (vec![window("deny", "1 12 * * *", &json!({}))], none.as_str(), ""),
        (vec![window("deny", "30 13 * * 1", &json!({ "timeZone": "Europe/Berlin" }))], denied, "30 13 * * 1"),
        (vec![window("deny", "0 0 * * SUN", &json!({ "duration": "48h" }))], denied, "0 0 * * SUN"),
        (vec![window("deny", "30 11 * * *", &json!({ "manualSync": true }))], denied, "30 11 * * *"),
        (vec![window("deny", "30 11 * * *", &other)], none.as_str(), ""),
        (
            vec![window("deny", "30 11 * * *", &json!({ "applications": null, "namespaces": ["w?b"] }))],
            denied,
            "30 11 * * *",
        ),
        (vec![window("deny", "30 11 * * *", &json!({ "andOperator": true, "namespaces": ["db"] }))], none.as_str(), ""),
        (
            vec![window("deny", "30 11 * * *", &json!({ "andOperator": true, "clusters": ["*.example"] }))],
            denied,
            "30 11 * * *",
        ),
        (vec![window("allow", "30 11 * * *", &json!({}))], none.as_str(), ""),
        (vec![window("allow", "0 3 * * *", &json!({}))], allowed, "0 3 * * *"),
        (vec![window("allow", "0 3 * * *", &json!({})), window("allow", "30 11 * * *", &json!({}))], none.as_str(), ""),
        (
            vec![window("allow", "30 11 * * *", &json!({})), window("deny", "45 11 * * *", &json!({}))],
            denied,
            "45 11 * * *",
        ),
        (vec![window("allow", "0 3 * * *", &other)], none.as_str(), ""),
    ] {
        let mut world = wanting("{ sync: true }");
        world.edit("app", |object| {
            object["spec"]["destination"] = json!({ "server": "https://kubernetes.example", "namespace": "web" });
        });
        world.applications.put_project("argocd", "default", json!({ "spec": { "syncWindows": windows } }));
        let full = if schedule.is_empty() { String::new() } else { format!("{expected}{schedule}`") };
        assert_eq!(against(&mut world).await, full, "{windows:#?}");
    }
}

#[tokio::test]
async fn windows_that_are_not_known_forbid() {
    let mut world = wanting("{ sync: true }");
    world.edit("app", |object| object["spec"]["project"] = json!("team"));
    assert_eq!(
        against(&mut world).await,
        "the sync windows of the project `argocd/team` are not known: there is no such project"
    );
    let mut world = wanting("{ sync: true }");
    let windows = json!({ "spec": { "syncWindows": [window("deny", "sometimes", &json!({}))] } });
    world.applications.put_project("argocd", "default", windows);
    assert_eq!(
        against(&mut world).await,
        "the sync windows of the project `argocd/default` are not known: the window `sometimes`: `sometimes` is no schedule of five fields"
    );
    let mut world = wanting("{ sync: true }");
    world.edit("app", |object| object["status"]["controllerNamespace"] = json!("elsewhere"));
    world.applications.put_project("elsewhere", "default", json!({}));
    assert_eq!(against(&mut world).await, "");
}

#[tokio::test]
async fn a_child_of_a_set_that_syncs_step_by_step_waits_for_it() {
    for (strategy, expected) in [
        (json!({ "type": "RollingSync" }), "the ApplicationSet `set` syncs its Applications step by step"),
        (Value::Null, ""),
    ] {
        let mut world = wanting("{ sync: true }");
        world.edit("app", |object| {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "set", "uid": "u", "controller": true,
            }]);
        });
        let spec = json!({ "syncPolicy": { "applicationsSync": "create-only" }, "strategy": strategy });
        world.applications.put_set("set", Ok(json!({ "spec": spec })));
        assert_eq!(against(&mut world).await, expected);
    }
}

#[tokio::test]
async fn an_application_that_never_rests_is_not_synced() {
    let mut world = wanting("{ sync: true }");
    let mut rounds = 0;
    world.applications.intrude(move |object| {
        rounds += 1;
        object["metadata"]["annotations"] = json!({ "round": rounds.to_string() });
    });
    assert_eq!(against(&mut world).await, "others change it all the time");
}
