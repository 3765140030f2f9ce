//! Beside another updater: its shadow, its place, and who goes first.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::{Comparison, Reason};
use serde_json::{Value, json};
use world::World;

const APP: &str = "registry.example/app";
const RULE: &str = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
const TAG: &str = "/spec/source/helm/parameters/0/value";

fn world(rule: &str) -> World {
    World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1", "1.0.2"])
}

/// What the API server keeps of a write of the whole object by argocd-image-updater.
fn written_by_the_other(object: &mut Value, tag: &str, at: &str) {
    *object.pointer_mut(TAG).unwrap() = json!(tag);
    object["metadata"]["managedFields"] = json!([{
        "manager": "argocd-image-updater", "operation": "Update", "apiVersion": "argoproj.io/v1alpha1", "time": at,
        "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:source": { "f:helm": { "f:parameters": {} } } } },
    }]);
}

#[tokio::test]
async fn what_another_updater_wrote_today_is_left_to_it() {
    let mut world = world(RULE);
    world.edit("app", |object| written_by_the_other(object, "1.0.1", "2026-06-01T10:00:00Z"));
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.at("app", TAG)), (Reason::AnotherUpdaterWrites, json!("1.0.1")));
    insta::assert_snapshot!(report.images[0].message, @r#"`argocd-image-updater` wrote `argocd/app` at 2026-06-01T10:00:00Z; stop it and set `fairlead.dev/take-over: "true"` on the policy or the Application, or wait until 2026-06-02T10:00:00Z"#);
    assert_eq!(report.images[0].until.map(|until| until.to_string()).as_deref(), Some("2026-06-02T10:00:00Z"));
    let explained = world.explain("app", None).await.unwrap();
    assert_eq!(explained.problems[0].message, report.images[0].message);

    world.edit("app", |object| object["metadata"]["annotations"] = json!({ "fairlead.dev/take-over": "true" }));
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.at("app", TAG)), (Reason::Updated, json!("1.0.2")));
}

#[tokio::test]
async fn what_it_wrote_the_day_before_yesterday_is_not() {
    let mut world = world(RULE);
    world.edit("app", |object| written_by_the_other(object, "1.0.1", "2026-05-31T11:59:59Z"));
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"));
}

#[tokio::test]
async fn a_dry_run_counts_how_often_the_other_agrees() {
    let mut world = world(&format!("{RULE}\ndryRun: true"));
    let first = world.look().await;
    assert_eq!(first.images[0].compared, None);
    world.edit("app", |object| written_by_the_other(object, "1.0.2", "2026-06-01T10:00:00Z"));
    assert_eq!(world.look().await.images[0].compared, Some(Comparison::Agrees));
    assert_eq!(world.look().await.images[0].compared, None, "each write counts once");
    world.restart();
    world.edit("app", |object| written_by_the_other(object, "1.0.1", "2026-06-01T11:00:00Z"));
    let report = world.look().await;
    assert_eq!(report.images[0].compared, Some(Comparison::Differs));
    let shadow = report.images[0].shadow.clone().unwrap();
    let difference = shadow.last_difference.unwrap();
    assert_eq!((shadow.agreements, shadow.differences), (1, 1));
    assert_eq!((difference.ours.as_str(), difference.theirs.as_str()), ("1.0.2", "1.0.1"));
    assert_eq!(world.status.as_ref().unwrap().summary.as_ref().unwrap().shadow.as_deref(), Some("1 agree, 1 differ"));
}

#[tokio::test]
async fn a_branch_that_another_updater_committed_to_today_is_left_to_it() {
    const REPOSITORY: &str = "https://git.example/web";
    let mut world = World::new(&format!("{RULE}\nwriteBack: {{ method: Git }}"))
        .helm("app", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1", "1.0.2"]);
    let commits = |world: &World| world.git.log(REPOSITORY, "main").len();
    world.git.push(REPOSITORY, "main", "README.md", "read me\n");
    world.git.made_by(REPOSITORY, "main", "argocd-image-updater", "2026-06-01T10:00:00Z".parse().unwrap());
    let report = world.look().await;
    assert_eq!((report.images[0].reason, commits(&world)), (Reason::AnotherUpdaterWrites, 1));
    insta::assert_snapshot!(report.images[0].message, @r#"`argocd-image-updater` wrote `https://git.example/web` at 2026-06-01T10:00:00Z; stop it and set `fairlead.dev/take-over: "true"` on the policy or the Application, or wait until 2026-06-02T10:00:00Z"#);

    // Somebody else's commit is no sign of it, and neither is one of two days ago.
    world.git.made_by(REPOSITORY, "main", "somebody", "2026-06-01T10:00:00Z".parse().unwrap());
    let report = world.look().await;
    assert_eq!((report.images[0].reason, commits(&world)), (Reason::Updated, 2));

    // Nor is our own, whose subject is the same.
    world.git.made_by(REPOSITORY, "main", "fairlead", "2026-06-01T11:59:00Z".parse().unwrap());
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    let report = world.look().await;
    assert_eq!((report.images[0].reason, commits(&world)), (Reason::Updated, 3));
}
