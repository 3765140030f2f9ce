//! Why an Application is as it is, without a change.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::Reason;
use world::World;

fn world() -> World {
    let rule = "applications: [{ name: app }, { selector: { matchLabels: { team: web } } }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
    World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .helm("bare", &[], &["registry.example/app:1.0.0"])
        .tags("registry.example/app", &["1.0.0", "1.0.2", "2.0.0"])
}

#[tokio::test]
async fn the_next_change_is_told_and_not_made() {
    let world = world();
    let explained = world.explain("app", Some("2.0.0")).await.unwrap();
    let image = &explained.images[0];
    assert_eq!((image.report.reason, image.report.chosen.as_deref()), (Reason::WouldUpdate, Some("1.0.2")));
    assert_eq!((explained.images.len(), image.runs, image.rule.as_str()), (1, false, "SemVer `~1.0`"));
    let verdict = image.verdict.clone().unwrap().unwrap();
    assert_eq!((verdict.reason, world.applications.writes()), (Reason::OutsideConstraint, 0));
}

#[tokio::test]
async fn what_runs_is_told_apart_from_what_is_stated() {
    assert!(world().explain("bare", None).await.unwrap().images[0].runs);
}

#[tokio::test]
async fn a_hold_and_a_missing_tag_are_told() {
    let mut world = world();
    world.look().await;
    world.edit("app", |object| {
        object["spec"]["source"]["helm"]["parameters"][0]["value"] = "1.0.0".into();
    });
    world.look().await;
    let explained = world.explain("app", Some("7")).await.unwrap();
    let image = &explained.images[0];
    assert_eq!(image.report.reason, Reason::RolledBackByHand);
    assert_eq!(image.report.held_back.as_ref().map(|held| held.0.as_str()), Some("1.0.2"));
    let taken_back = world.explain("app", Some("1.0.2")).await.unwrap().images[0].verdict.clone();
    assert_eq!(taken_back.unwrap().unwrap().reason, Reason::RolledBackByHand);
    insta::assert_snapshot!(image.verdict.clone().unwrap().unwrap_err(), @"`registry.example/app` has no tag `7`");
}

#[tokio::test]
async fn an_application_of_nobody_is_not_explained() {
    assert_eq!(world().explain("other", None).await.map(|explained| explained.policy), None);
}
