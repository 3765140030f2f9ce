//! After the write: what Argo CD makes of a version is followed, told once, and never loud.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]
#![cfg(feature = "operator")]

mod world;

use std::time::Duration;

use fairlead::api::{RolloutStatus, RolloutWord};
use fairlead::model::{ImageReport, Reason};
use fairlead::pipeline;
use fairlead::telemetry::Metrics;
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::World;

const RULE: &str = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";

/// An Application whose version was moved from `1.0.0` to `1.0.2` at 12:00.
async fn written() -> World {
    written_after(0).await
}

/// The same, so many milliseconds after 12:00.
async fn written_after(milliseconds: i64) -> World {
    let mut world = World::new(RULE)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags("registry.example/app", &["1.0.0", "1.0.2"]);
    world.edit("app", |object| {
        object["spec"]["syncPolicy"] = json!({ "automated": {} });
    });
    say(&world, "11:59:00", "Synced", "Healthy", &json!(null));
    world.clock.advance(SignedDuration::from_millis(milliseconds));
    world.look().await;
    assert_eq!(world.applications.writes(), 1);
    world
}

/// What Argo CD says of the Application from now on.
fn say(world: &World, reconciled: &str, sync: &str, health: &str, operation: &Value) {
    world.edit("app", |object| {
        let status = object["status"].as_object_mut().unwrap();
        status.insert("reconciledAt".to_owned(), json!(format!("2026-06-01T{reconciled}Z")));
        status.insert("sync".to_owned(), json!({ "status": sync }));
        status.insert("health".to_owned(), json!({ "status": health }));
        status.insert("operationState".to_owned(), operation.clone());
    });
}

fn runs(world: &World, tags: &[&str]) {
    let images: Vec<String> = tags.iter().map(|tag| format!("registry.example/app:{tag}")).collect();
    world.edit("app", |object| object["status"]["summary"]["images"] = json!(images));
}

async fn after(world: &mut World, seconds: i64) -> ImageReport {
    world.clock.advance(SignedDuration::from_secs(seconds));
    world.look().await.images[0].clone()
}

fn shown(world: &World) -> RolloutStatus {
    world.status.as_ref().unwrap().images[0].rollout.clone().unwrap()
}

#[tokio::test]
async fn a_version_is_followed_until_it_runs_and_the_lag_is_told() {
    let mut world = written().await;
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
    // What Argo CD said before the write is not about it.
    assert_eq!(after(&mut world, 10).await.reason, Reason::UpToDate);
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
    say(&world, "12:00:15", "OutOfSync", "Healthy", &json!(null));
    after(&mut world, 10).await;
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
    // Old and new Pods side by side.
    runs(&world, &["1.0.0", "1.0.2"]);
    say(&world, "12:00:25", "Synced", "Progressing", &json!(null));
    after(&mut world, 10).await;
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
    say(&world, "12:00:40", "Synced", "Healthy", &json!(null));
    after(&mut world, 15).await;
    let rollout = shown(&world);
    assert_eq!((rollout.state, rollout.lag_seconds), (RolloutWord::Healthy, Some(45)));
    assert_eq!(world.status.as_ref().unwrap().rollouts, []);
    // It stays shown, also after a restart, and nothing more is said.
    let before = world.status.clone();
    world.restart();
    for _ in 0..5 {
        after(&mut world, 60).await;
        assert!(pipeline::same_but_time(before.as_ref().unwrap(), world.status.as_ref().unwrap()));
    }
    assert_eq!(world.applications.writes(), 1);
}

#[tokio::test]
async fn health_of_what_was_there_before_is_not_taken_for_the_new_one() {
    let mut world = written().await;
    say(&world, "12:00:01", "Synced", "Healthy", &json!(null));
    after(&mut world, 2).await;
    assert_eq!(shown(&world).state, RolloutWord::Progressing, "live Pods show the old version");
    // Where live Pods never tell, as of a CronJob, a later word of Argo CD does.
    say(&world, "12:01:10", "Synced", "Healthy", &json!(null));
    after(&mut world, 70).await;
    assert_eq!(shown(&world).state, RolloutWord::Healthy);
}

#[tokio::test]
async fn what_argo_cd_does_within_the_second_of_the_write_counts_as_later() {
    let mut world = written_after(400).await;
    world.edit("app", |object| object["spec"]["syncPolicy"]["automated"]["enabled"] = json!(false));
    say(&world, "12:00:00", "OutOfSync", "Healthy", &json!(null));
    after(&mut world, 30).await;
    assert_eq!(shown(&world).state, RolloutWord::Unknown, "it waits for a person");

    let mut world = written_after(400).await;
    let done = json!({ "phase": "Succeeded", "startedAt": "2026-06-01T12:00:00Z" });
    runs(&world, &["1.0.2"]);
    say(&world, "12:00:00", "OutOfSync", "Healthy", &done);
    after(&mut world, 30).await;
    assert_eq!(shown(&world).state, RolloutWord::Healthy);

    // Nothing fails so fast: it was broken before.
    let mut world = written_after(400).await;
    say(&world, "12:00:00", "Synced", "Degraded", &json!(null));
    assert_eq!(after(&mut world, 30).await.reason, Reason::UpToDate);
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
}

#[tokio::test]
async fn a_rollout_that_goes_wrong_is_told_once_and_heals() {
    let mut world = written().await;
    runs(&world, &["1.0.2"]);
    say(&world, "12:00:20", "Synced", "Degraded", &json!(null));
    let previous = world.status.clone();
    let report = {
        world.clock.advance(SignedDuration::from_secs(30));
        world.look().await
    };
    assert_eq!(report.images[0].reason, Reason::RolloutDegraded);
    insta::assert_snapshot!(report.images[0].message, @"written at 2026-06-01T12:00:00Z, and the Application is Degraded since");
    let events = pipeline::events(&report, previous.as_ref());
    assert_eq!(events.iter().filter(|event| event.reason == Reason::RolloutDegraded).count(), 3, "{events:#?}");
    assert_eq!(world.ready().0, "False");
    let told = world.status.clone().unwrap();
    world.restart();
    world.clock.advance(SignedDuration::from_secs(30));
    let report = world.look().await;
    assert!(pipeline::same_but_time(&told, world.status.as_ref().unwrap()));
    assert_eq!(pipeline::events(&report, Some(&told)), []);
    say(&world, "12:05:00", "Synced", "Healthy", &json!(null));
    assert_eq!(after(&mut world, 300).await.reason, Reason::UpToDate);
    assert_eq!((shown(&world).state, world.ready().0.as_str()), (RolloutWord::Healthy, "True"));
}

#[tokio::test]
async fn a_sync_that_fails_is_told_with_its_words() {
    let mut world = written().await;
    let failed =
        |started: &str| json!({ "phase": "Failed", "startedAt": started, "message": "one or more objects failed" });
    say(&world, "12:00:20", "OutOfSync", "Healthy", &failed("2026-06-01T11:00:00Z"));
    assert_eq!(after(&mut world, 30).await.reason, Reason::UpToDate, "a sync from before the write");
    say(&world, "12:00:40", "OutOfSync", "Healthy", &failed("2026-06-01T12:00:30Z"));
    let report = after(&mut world, 30).await;
    assert_eq!(report.reason, Reason::RolloutDegraded);
    insta::assert_snapshot!(report.message, @"written at 2026-06-01T12:00:00Z, and its sync failed: one or more objects failed");
}

#[tokio::test]
async fn an_application_that_always_differs_is_healthy_after_a_sync() {
    let mut world = written().await;
    runs(&world, &["1.0.2"]);
    let done = json!({ "phase": "Succeeded", "startedAt": "2026-06-01T12:00:05Z" });
    say(&world, "12:00:20", "OutOfSync", "Healthy", &done);
    after(&mut world, 30).await;
    assert_eq!(shown(&world).state, RolloutWord::Healthy);
}

#[tokio::test]
async fn a_rollout_without_an_end_is_told_after_half_an_hour() {
    let mut world = written().await;
    say(&world, "12:00:20", "Synced", "Progressing", &json!(null));
    assert_eq!(after(&mut world, 29 * 60).await.reason, Reason::UpToDate);
    let report = after(&mut world, 60).await;
    assert_eq!(report.reason, Reason::RolloutStuck);
    insta::assert_snapshot!(report.message, @"written at 2026-06-01T12:00:00Z, and not Synced and Healthy after 30 minutes; Argo CD says Synced and Progressing");
    assert!(!report.rollout.unwrap().is_under_way(world::time("2026-06-01T12:30:00Z")));
    // Something newer is written all the same.
    world.push("registry.example/app", "1.0.3", "2026-06-01T12:30:00Z");
    assert_eq!(after(&mut world, 60).await.reason, Reason::Updated);
    assert_eq!(shown(&world).state, RolloutWord::Progressing);
}

#[tokio::test]
async fn what_waits_for_a_person_is_no_failure() {
    for (sync, health, automated) in
        [("OutOfSync", "Healthy", false), ("OutOfSync", "Degraded", false), ("Synced", "Suspended", true)]
    {
        let mut world = written().await;
        world.edit("app", |object| object["spec"]["syncPolicy"]["automated"]["enabled"] = json!(automated));
        say(&world, "12:00:20", sync, health, &json!(null));
        assert_eq!(after(&mut world, 3600).await.reason, Reason::UpToDate, "{sync} {health}");
        assert_eq!(shown(&world).state, RolloutWord::Unknown, "{sync} {health}");
    }
}

#[tokio::test]
async fn what_a_person_took_back_is_not_followed() {
    let mut world = written().await;
    world.edit("app", |object| object["spec"]["source"]["helm"]["parameters"][0]["value"] = json!("1.0.0"));
    say(&world, "12:00:20", "Synced", "Degraded", &json!(null));
    assert_eq!(after(&mut world, 30).await.reason, Reason::RolledBackByHand);
    let status = world.status.as_ref().unwrap();
    assert_eq!((status.images[0].rollout.clone(), status.rollouts.len()), (None, 0));
}

#[tokio::test]
async fn the_lags_are_measured_once() {
    let rule = RULE.replace("constraint: ~1.0", "strategy: NewestBuild");
    let mut world =
        World::new(&rule).helm("app", &[("image.tag", "1.0.0")], &[]).tags("registry.example/app", &["1.0.0"]);
    world.push("registry.example/app", "1.0.2", "2026-06-01T11:59:00Z");
    world.edit("app", |object| {
        object["spec"]["source"]["helm"]["parameters"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "image.name", "value": "registry.example/app", "forceString": true }));
    });
    let metrics = Metrics::new().unwrap();
    metrics.observe(&world.look().await, Duration::ZERO);
    say(&world, "12:00:20", "Synced", "Healthy", &json!(null));
    for _ in 0..3 {
        world.clock.advance(SignedDuration::from_secs(20));
        metrics.observe(&world.look().await, Duration::ZERO);
    }
    let text = metrics.text();
    for line in [
        "fairlead_push_to_written_seconds_sum{namespace=\"argocd\"} 60",
        "fairlead_push_to_written_seconds_count{namespace=\"argocd\"} 1",
        "fairlead_written_to_healthy_seconds_sum{namespace=\"argocd\"} 20",
        "fairlead_written_to_healthy_seconds_count{namespace=\"argocd\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
