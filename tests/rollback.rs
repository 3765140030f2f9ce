//! What a person took back stays back: through failed looks, restarts, changes of the policy, and for every strategy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::Reason;
use fairlead::ports::RegistryError;
use serde_json::{Value, json};
use world::{World, repository_of};

const APP: &str = "registry.example/app";
const RULE: &str = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
const TAG: &str = "/spec/source/helm/parameters/0/value";

/// A world in which Fairlead wrote 1.0.2 and a person took it back to 1.0.0.
async fn rolled_back(rule: &str) -> World {
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1", "1.0.2"]);
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"));
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    world
}

async fn expect_held(world: &mut World) {
    let report = world.look().await;
    assert_eq!(
        (report.images[0].reason, world.at("app", TAG)),
        (Reason::RolledBackByHand, json!("1.0.0")),
        "{report:#?}"
    );
}

fn chart(chart: &str) -> Value {
    json!({ "repoURL": "x", "chart": chart, "helm": { "parameters": [
        { "name": "image.tag", "value": "1.0.0", "forceString": true },
    ] } })
}

#[tokio::test]
async fn a_hold_stays_where_a_source_gets_a_name() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, target: { source: { index: 1 } } }]";
    let spec = json!({ "sources": [chart("one"), chart("one")] });
    let status = json!({ "summary": { "images": ["registry.example/app:1.0.0"] } });
    let mut world = World::new(rule).application("app", spec, status).tags("registry.example/app", &["1.0.0", "1.0.2"]);
    world.look().await;
    world.edit("app", |object| object["spec"]["sources"][1] = chart("one"));
    assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
    // Until now its place in the list alone told it from the other.
    world.edit("app", |object| object["spec"]["sources"][1]["name"] = json!("second"));
    for _ in 0..3 {
        assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
    }
    assert_eq!((world.applications.writes(), world.status.as_ref().unwrap().remembered.len()), (1, 1));
}

fn named_chart(name: &str) -> Value {
    let mut source = chart(name);
    source["name"] = json!(name);
    source
}

#[tokio::test]
async fn a_hold_stays_where_sources_are_reordered() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, target: { source: { chart: two } } }]";
    for source in [chart, named_chart] {
        let spec = json!({ "sources": [source("one"), source("two")] });
        let status = json!({ "summary": { "images": ["registry.example/app:1.0.0"] } });
        let mut world =
            World::new(rule).application("app", spec, status).tags("registry.example/app", &["1.0.0", "1.0.2"]);
        world.look().await;
        world.edit("app", |object| object["spec"]["sources"][1]["helm"] = source("two")["helm"].clone());
        assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
        world.restart();
        world.edit("app", |object| object["spec"]["sources"].as_array_mut().unwrap().reverse());
        for _ in 0..3 {
            assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
        }
        // A name that is given later is no other source.
        world.edit("app", |object| object["spec"]["sources"][0]["ref"] = json!("later"));
        world.look().await;
        world.edit("app", |object| object["spec"]["sources"].as_array_mut().unwrap().reverse());
        assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
        assert_eq!(world.at("app", "/spec/sources/1/helm"), source("two")["helm"]);
        assert_eq!((world.applications.writes(), world.status.as_ref().unwrap().remembered.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_failed_look_forgets_nothing() {
    let mut world = rolled_back(RULE).await;
    expect_held(&mut world).await;
    world.applications.be_away(true);
    world.look().await;
    world.applications.be_away(false);
    world.restart();
    expect_held(&mut world).await;
    world.rewrite(&format!("{RULE}\ninterval: soon"));
    world.look().await;
    world.restart();
    world.rewrite(RULE);
    expect_held(&mut world).await;
    world.registry.fail(&repository_of(APP), Some(RegistryError::new(Reason::RegistryFailed, "500")));
    world.look().await;
    world.registry.fail(&repository_of(APP), None);
    world.restart();
    expect_held(&mut world).await;
}

#[tokio::test]
async fn a_night_without_pods_forgets_nothing() {
    let mut world = rolled_back(RULE).await;
    expect_held(&mut world).await;
    world.edit("app", |object| object["status"]["summary"]["images"] = json!([]));
    world.look().await;
    world.restart();
    world.edit("app", |object| object["status"]["summary"]["images"] = json!(["registry.example/app:1.0.0"]));
    expect_held(&mut world).await;
}

#[tokio::test]
async fn a_new_alias_forgets_nothing() {
    let mut world = rolled_back(RULE).await;
    expect_held(&mut world).await;
    world.rewrite(&RULE.replace("{ image:", "{ alias: web, image:"));
    expect_held(&mut world).await;
}

#[tokio::test]
async fn another_repository_or_another_object_is_not_held() {
    let mut world = rolled_back(RULE).await.tags("registry.example/other", &["0.3.0", "0.4.0"]);
    world.rewrite("applications: [{ name: app }]\nimages: [{ image: registry.example/other, forceUpdate: true, target: { helm: { tag: image.tag } } }]");
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("0.3.0"));
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("0.4.0"), "versions of another repository are no rollback");
    let mut world = rolled_back(RULE).await;
    world.replace("app");
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"), "another object of the name was never written");
}

#[tokio::test]
async fn a_removed_parameter_is_not_put_back() {
    let mut world = rolled_back(RULE).await;
    world.edit("app", |object| object["spec"]["source"]["helm"]["parameters"] = json!([]));
    let report = world.look().await;
    assert_eq!(report.images[0].reason, Reason::RolledBackByHand);
    assert_eq!(world.at("app", "/spec/source/helm/parameters"), json!([]));
}

#[tokio::test]
async fn a_word_that_a_person_put_in_place_stays() {
    let mut world = rolled_back(RULE).await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("hotfix"));
    assert_eq!(
        (world.look().await.images[0].reason, world.at("app", TAG)),
        (Reason::RolledBackByHand, json!("hotfix"))
    );
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.3"));
}

#[tokio::test]
async fn a_higher_version_by_hand_is_no_rollback() {
    let mut world = rolled_back("applications: [{ name: app }]\nimages: [{ image: registry.example/app }]").await;
    world.push(APP, "1.1.0", "2026-04-01T00:00:00Z");
    world.push(APP, "1.2.0", "2026-04-02T00:00:00Z");
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.1.0"));
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.2.0"));
}

#[tokio::test]
async fn a_followed_tag_stays_at_the_digest_that_a_person_chose() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, strategy: Digest, constraint: latest }]";
    let image = "/spec/source/kustomize/images/0";
    let mut world = World::new(rule).kustomize("app", &[], &["registry.example/app:latest"]).tags(APP, &["latest"]);
    world.look().await;
    let first = world.at("app", image);
    world.push(APP, "latest", "2026-04-01T00:00:00Z");
    world.look().await;
    assert_ne!(world.at("app", image), first);
    world.edit("app", |object| *object.pointer_mut(image).unwrap() = first.clone());
    for _ in 0..2 {
        let report = world.look().await;
        assert_eq!((report.images[0].reason, world.at("app", image)), (Reason::RolledBackByHand, first.clone()));
    }
    world.push(APP, "latest", "2026-05-01T00:00:00Z");
    assert_eq!(world.look().await.images[0].reason, Reason::Updated, "another image ends the hold");
}

#[tokio::test]
async fn our_own_write_that_the_watch_has_not_brought_is_no_rollback() {
    let mut world = rolled_back(RULE).await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.2"));
    world.applications.lag(|object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    let report = world.look().await;
    assert_eq!((report.images[0].reason, report.images[0].held_back.as_ref()), (Reason::UpToDate, None));
}

#[tokio::test]
async fn a_rollback_of_the_last_of_a_thousand_stays_over_a_restart() {
    let rule = "applications: [{ name: '*' }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
    let mut world = World::new(rule).tags(APP, &["1.0.0", "1.0.2"]);
    for index in 0..1000 {
        world = world.helm(&format!("app-{index:04}"), &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"]);
    }
    world.look().await;
    world.restart();
    world.edit("app-0999", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    world.look().await;
    world.restart();
    world.look().await;
    assert_eq!(world.at("app-0999", TAG), json!("1.0.0"));
    assert!(serde_json::to_vec(world.status.as_ref().unwrap()).unwrap().len() < 256 * 1024);
}

#[tokio::test]
async fn a_new_version_waits_although_nothing_was_read_before() {
    let rule =
        "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, minimumAge: 24h }]";
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.2")], &["registry.example/app:1.0.2"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    world.look().await;
    world.push(APP, "1.0.3", "1970-01-01T00:00:00Z");
    world.restart();
    assert_eq!(world.look().await.images[0].reason, Reason::TooYoung, "a build date is what its publisher says");
}

#[tokio::test]
async fn hundreds_of_dated_tags_make_no_noise() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, strategy: NewestBuild, minimumAge: 24h }]";
    let mut world = World::new(rule).helm("app", &[("image.tag", "b-0")], &["registry.example/app:b-0"]);
    for index in 0..300 {
        world.push(APP, &format!("b-{index}"), &format!("2025-{:02}-{:02}T00:00:00Z", 1 + index / 28, 1 + index % 28));
    }
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("b-299"));
    let told = world.status.clone().unwrap();
    for _ in 0..3 {
        world.restart();
        world.look().await;
        assert!(fairlead::pipeline::same_but_time(&told, world.status.as_ref().unwrap()));
    }
}

#[tokio::test]
async fn a_version_that_is_gone_for_a_while_stays_taken_back() {
    let mut world = rolled_back(RULE).await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.1"));
    assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
    world.registry.remove(&repository_of(APP), &"1.0.2".parse().unwrap());
    world.look().await;
    world.restart();
    world.push(APP, "1.0.2", "2026-03-03T00:00:00Z");
    assert_eq!((world.look().await.images[0].reason, world.at("app", TAG)), (Reason::RolledBackByHand, json!("1.0.1")));
}

#[tokio::test]
async fn a_resume_for_one_forgets_nothing_of_the_others() {
    let mut world =
        World::new("applications: [{ name: '*' }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]")
            .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
            .helm("other", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
            .tags(APP, &["1.0.0", "1.0.2"]);
    world.look().await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    world.look().await;
    world.annotate("fairlead.dev/resume", "now");
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"));
    world.edit("other", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    world.look().await;
    assert_eq!(world.at("other", TAG), json!("1.0.0"));
}

#[tokio::test]
async fn a_first_look_that_broke_off_is_none() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, strategy: NewestBuild, minimumAge: 24h }]";
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    world.registry.fail_details(true);
    assert_eq!(world.look().await.images[0].reason, Reason::RegistryFailed);
    world.registry.fail_details(false);
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"), "what was there at first counts by its build date");
}
