//! `kill -9` at any moment: no wrong and no double write.

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_e2e::scene::{comparable, parameter_of};
use fairlead_e2e::{Deadline, Image, Scene, eventually};
use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::json;

const APPLICATIONS: usize = 20;
const ROUNDS: u64 = 4;
const KILLS_A_ROUND: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_each_application_is_written_once() {
    let scene = Scene::new("restart-kill").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0"]).await;
    for number in 0..APPLICATIONS {
        scene.application(&format!("web-{number}"), Scene::helm(&image, "1.0.0")).await;
    }
    let list = scene.applications().list(&ListParams::default()).await.expect("they can be listed");
    let start = list.metadata.resource_version.expect("a list has a version");
    let history = tokio::spawn(tags_until_the_end(scene.clone(), start));
    scene.policy("web", json!({"applications": [{"name": "web-*"}], "images": [{"image": image}]})).await;
    let mut fairlead = scene.start().await;
    scene.expect_settled("web").await;

    for round in 1..=ROUNDS {
        let tag = format!("1.0.{round}");
        scene.registry().push(&repository, &tag, &Image::new(&tag)).await;
        scene.touch("web").await;
        for kill in 0..KILLS_A_ROUND {
            let moment = moment(round * KILLS_A_ROUND + kill);
            // The moment is what is tested; a round that is over sooner needs no kill.
            if tokio::time::timeout(moment, expect_all(&scene, &tag)).await.is_err() {
                fairlead.kill();
            }
            fairlead.start_again();
        }
        fairlead.wait_until_ready().await;
        expect_all(&scene, &tag).await;
    }

    scene.application("end", Scene::helm(&image, "1.0.0")).await;
    let tags: Vec<String> = (1..=ROUNDS).map(|round| format!("1.0.{round}")).collect();
    let expected = (0..APPLICATIONS).map(|number| (format!("web-{number}"), tags.clone())).collect();
    assert_eq!(history.await.expect("the history is read"), expected, "each was written once a round");
    // Nor is a write asked for that changes nothing. The log may tell less: a write whose asker is killed is a 504 there, done or not.
    let mut patches: BTreeMap<String, u64> = BTreeMap::new();
    for write in scene.writes().await.into_iter().filter(|write| write.of_application() && write.done()) {
        *patches.entry(write.name).or_default() += 1;
    }
    assert!(patches.values().all(|count| *count <= ROUNDS), "{patches:#?}");
    scene.expect_ready("web").await;
}

/// The tag that each write of each Application left behind, until an Application `end` appears.
async fn tags_until_the_end(scene: Scene, mut version: String) -> BTreeMap<String, Vec<String>> {
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let applications = scene.applications();
        let mut events = applications.watch(&WatchParams::default(), &version).await.expect("a watch").boxed();
        while let Some(event) = events.try_next().await.expect("the watch goes on") {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
            version = object.metadata.resource_version.clone().expect("a version");
            let name = object.metadata.name.clone().expect("a name");
            if name == "end" {
                return tags;
            }
            tags.entry(name).or_default().extend(parameter_of(&comparable(&object), "image.tag"));
        }
    }
}

/// A moment between 0 and 700 ms; the same ones every time.
fn moment(number: u64) -> Duration {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    Duration::from_millis((mixed >> 33) % 700)
}

async fn expect_all(scene: &Scene, tag: &str) {
    eventually(&format!("all are at {tag}"), Deadline::seconds(60), async || {
        let list = scene.applications().list(&ListParams::default()).await.expect("they can be listed");
        let tags = list.items.iter().map(|object| parameter_of(&comparable(object), "image.tag"));
        let behind: Vec<_> = tags.filter(|found| found.as_deref() != Some(tag)).collect();
        if behind.is_empty() { Ok(()) } else { Err(behind) }
    })
    .await;
}
