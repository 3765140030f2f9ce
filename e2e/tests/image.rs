//! The image of a release: its size, that it needs nothing else, how soon it is ready, and that it works. Run by `make image`.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    reason = "these tests are part of the world, and tell figures"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fairlead_e2e::{Assembly, Scene};
use serde_json::json;

const LARGEST: usize = 25 * 1024 * 1024;
const SOON_ENOUGH: Duration = Duration::from_millis(300);
const STARTS: usize = 7;

fn release() -> Assembly {
    let path =
        std::env::var_os("FAIRLEAD_BIN").map(PathBuf::from).expect("FAIRLEAD_BIN names the binary: run `make image`");
    Assembly::of_release(&path).unwrap_or_else(|text| panic!("{text}"))
}

#[test]
fn the_image_is_small_and_twice_the_same() {
    let documents = release().documents();
    let size: usize = documents.blobs.iter().map(|blob| blob.bytes.len()).sum();
    eprintln!("the image has {size} bytes, not compressed");
    assert!(size <= LARGEST, "{size} bytes");
    assert_eq!(documents.top.digest(), release().documents().top.digest());
}

/// An ELF file that is loaded by something else names that in a segment of type 3.
#[test]
fn the_binary_needs_no_other_file() {
    let binary = release().binary;
    let number = |offset: usize, length: usize| {
        binary[offset..offset + length].iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
    };
    assert_eq!(&binary[..5], b"\x7fELF\x02", "a 64-bit ELF file");
    let (table, entry, entries) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(entries > 2, "{entries}");
    assert!((0..entries).all(|index| number(table + index * entry, 4) != 3), "it asks for a dynamic loader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_soon_and_updates_an_application() {
    let scene = Scene::new("image-start").await;
    scene.registry().push_all(&scene.repository("web"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&scene.image("web"), "1.0.0")).await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let fairlead = scene.start().await;
        times.push(begun.elapsed());
        drop(fairlead);
    }
    times.sort();
    eprintln!("ready after {:?} (median), {:?} (best), {:?} (worst)", times[STARTS / 2], times[0], times[STARTS - 1]);
    // Other work on this machine only makes it slower.
    assert!(times[0] <= SOON_ENOUGH, "{times:?}");
    let _fairlead = scene.start().await;
    let target = json!({"helm": {"name": "image.name", "tag": "image.tag"}});
    let images = json!([{"image": scene.image("web"), "constraint": "~1.0", "target": target}]);
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": images})).await;
    scene.expect_tag("web", "1.0.1").await;
}
