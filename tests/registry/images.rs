//! Tags, digests, platforms and dates of a registry that does well.

use fairlead::adapters::embedded::{Image, Registry};
use fairlead::adapters::oci::RequestKind;
use fairlead::model::Details;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;

use crate::support::ports::{World, described, platforms, shown};

fn image(created: &str, wanted: &[&str]) -> Image {
    Image { created: created.parse().ok(), platforms: platforms(wanted), ..Image::default() }
}

#[tokio::test]
async fn every_page_of_tags_is_read() {
    let registry = Registry::start().await.expect("the registry starts");
    for number in 0..250 {
        registry.push("demo/app", &format!("1.{number}"), &Image::default());
    }
    let world = World::new(&[registry.host()]);
    let listing = world.tags(&format!("{}/demo/app", registry.host())).await.expect("the list is read");
    assert_eq!((listing.candidates.len(), listing.incomplete.clone()), (250, None));
    assert_eq!(registry.counts().tags, 3);
    assert_eq!(world.counter.all(), "tags answered 3");
}

#[tokio::test]
async fn dates_of_wanted_platforms_are_found_and_attestations_are_not_images() {
    let registry = Registry::start().await.expect("the registry starts");
    let name = format!("{}/demo/app", registry.host());
    registry.push("demo/app", "one", &image("2026-01-01T00:00:00Z", &[]));
    registry.push("demo/app", "dateless", &image("", &["linux/arm64/v8"]));
    registry.push(
        "demo/app",
        "many",
        &image("2026-02-01T00:00:00Z", &["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
    );
    let world = World::new(&[registry.host()]);
    let tags = ["one", "dateless", "many", "gone"];
    let all = world.dates(&name, &tags, &[]).await.expect("the images are read");
    insta::assert_snapshot!(described(&all), @"
    one: linux/amd64 2026-01-01T00:00:00Z
    dateless: linux/arm64/v8 ?
    many: linux/amd64 2026-02-01T00:00:00Z linux/arm64/v8 2026-02-01T00:00:00Z windows/amd64 2026-02-01T00:00:00Z
    ");
    let world = World::new(&[registry.host()]);
    let arm = world.dates(&name, &tags, &["linux/arm64"]).await.expect("the images are read");
    insta::assert_snapshot!(described(&arm), @"
    one: linux/amd64 2026-01-01T00:00:00Z
    dateless: linux/arm64/v8 ?
    many: linux/arm64/v8 2026-02-01T00:00:00Z
    ");
    let other = world.dates(&name, &["many"], &["linux/s390x"]).await.expect("the images are read");
    insta::assert_snapshot!(described(&other), @"many: linux/amd64 ? linux/arm64/v8 ? windows/amd64 ?");
}

#[tokio::test]
async fn the_digest_of_a_tag_is_that_of_its_index_and_costs_one_head() {
    let registry = Registry::start().await.expect("the registry starts");
    let digest = registry.push("demo/app", "many", &image("2026-02-01T00:00:00Z", &["linux/amd64", "linux/arm64"]));
    let world = World::new(&[registry.host()]);
    let found = world.digests(&format!("{}/demo/app", registry.host()), &["many"]).await.expect("the digest is read");
    let digests = found.iter().map(|candidate| match &candidate.details {
        Details::Known(known) => (known.digest.clone(), known.builds.len()),
        _ => (digest.clone(), 99),
    });
    assert_eq!(digests.collect::<Vec<_>>(), [(digest.clone(), 0)]);
    let counts = registry.counts();
    assert_eq!((counts.heads, counts.manifests, counts.blobs), (1, 0, 0));
}

#[tokio::test]
async fn a_new_digest_costs_one_manifest_and_one_configuration_and_an_old_one_nothing() {
    let registry = Registry::start().await.expect("the registry starts");
    let name = format!("{}/demo/app", registry.host());
    for number in 0..30 {
        registry.push("demo/app", &format!("1.{number}"), &image(&format!("2026-01-01T00:00:{number:02}Z"), &[]));
    }
    let world = World::new(&[registry.host()]);
    let tags: Vec<_> = (0..30).map(|number| format!("1.{number}")).collect();
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    let first = world.dates(&name, &tags, &[]).await.expect("the images are read");
    let counts = registry.counts();
    assert_eq!((counts.heads, counts.manifests, counts.blobs), (0, 30, 30));
    // As fresh as before: nothing. Fresher: twenty of them are asked whether they moved, however many ask.
    for _ in 0..3 {
        assert_eq!(world.dates(&name, &tags, &[]).await.as_ref(), Ok(&first));
    }
    assert_eq!(registry.counts(), counts);
    world.clock.advance(120);
    for _ in 0..3 {
        assert_eq!(world.dates(&name, &tags, &[]).await.as_ref(), Ok(&first));
    }
    let counts = registry.counts();
    assert_eq!((counts.heads, counts.manifests, counts.blobs), (20, 30, 30));
    // One that moved is read by its digest.
    world.clock.advance(120);
    registry.push("demo/app", "1.25", &image("2026-03-01T00:00:00Z", &[]));
    let moved = world.dates(&name, &["1.25"], &[]).await.expect("the image is read");
    insta::assert_snapshot!(described(&moved), @"1.25: linux/amd64 2026-03-01T00:00:00Z");
    let counts = registry.counts();
    assert_eq!((counts.heads, counts.manifests, counts.blobs), (21, 31, 31));
}

#[tokio::test]
async fn a_list_that_shrinks_is_doubted_once() {
    let registry = Registry::start().await.expect("the registry starts");
    let name = format!("{}/demo/app", registry.host());
    for number in 0..20 {
        registry.push("demo/app", &format!("1.{number}"), &Image::default());
    }
    let world = World::new(&[registry.host()]);
    assert_eq!(world.tags(&name).await.map(|listing| listing.incomplete.clone()), Ok(None));
    for number in 1..20 {
        registry.untag("demo/app", &format!("1.{number}"));
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        world.clock.advance(60);
        seen.push(world.tags(&name).await.map(|listing| shown(&listing)).unwrap_or_default());
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    [1.0] (it had 20 tags at the last look and has 1 now; believed when the next look finds the same)
    [1.0]
    ");
}

/// Another client than ours agrees with the embedded registry.
#[tokio::test]
async fn the_embedded_registry_speaks_to_other_clients() {
    let registry = Registry::start().await.expect("the registry starts");
    let digest = registry.push("demo/app", "1.0", &image("2026-01-01T00:00:00Z", &["linux/amd64", "linux/arm64"]));
    registry.push("demo/app", "2.0", &Image::default());
    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let client = Client::try_from(config).expect("the client is set up");
    let reference: oci_client::Reference = format!("{}/demo/app:1.0", registry.host()).parse().expect("a reference");
    let tags = client.list_tags(&reference, &RegistryAuth::Anonymous, Some(1), None).await.map(|page| page.tags);
    assert_eq!(tags.ok(), Some(vec!["1.0".to_owned()]));
    let found = client.fetch_manifest_digest(&reference, &RegistryAuth::Anonymous).await;
    assert_eq!(found.ok().as_deref(), Some(digest.as_str()));
    let (_, _, config) =
        client.pull_manifest_and_config(&reference, &RegistryAuth::Anonymous).await.expect("the image is pulled");
    assert!(config.contains("2026-01-01T00:00:00Z"));
    let world = World::new(&[registry.host()]);
    assert!(world.tags(&format!("{}/demo/none", registry.host())).await.is_err());
    assert_eq!(world.counter.of(RequestKind::Tags), 1);
}
