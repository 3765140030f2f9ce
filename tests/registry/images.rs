//! Tags, digests, platforms and dates of a registry that does well.

use std::collections::BTreeMap;

use fairlead::adapters::embedded::{Image, Registry};
use fairlead::adapters::oci::RequestKind;
use fairlead::model::Details;
use fairlead::ports::{Clock as _, Question, Registry as _};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::faults::{Reply, Server, answer};
use crate::support::ports::{World, described, platforms, repository, shown};

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

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What a registry serves below `a/b`: bodies with their types, by path.
#[derive(Default)]
struct Shelf(BTreeMap<String, (String, String)>);

impl Shelf {
    /// Puts something in below its digest, and gives its descriptor.
    fn put(&mut self, kind: &str, media_type: &str, body: &Value) -> Value {
        let body = body.to_string();
        let hex: Vec<String> = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let descriptor = json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": body.len() });
        self.0.insert(format!("/v2/a/b/{kind}/sha256:{hex}"), (media_type.to_owned(), body));
        descriptor
    }

    fn image(&mut self, created: &str) -> Value {
        let config = self.put("blobs", CONFIG, &json!({ "created": created, "os": "linux", "architecture": "amd64" }));
        self.put("manifests", MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [] }))
    }

    fn index(&mut self, entries: &[Value]) -> Value {
        self.put("manifests", INDEX, &json!({ "schemaVersion": 2, "manifests": entries }))
    }

    fn tag(&mut self, tag: &str, descriptor: &Value) {
        let path = |reference: &str| format!("/v2/a/b/manifests/{reference}");
        let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
        let content = self.0[&path(digest)].clone();
        self.0.insert(path(tag), content);
    }

    async fn serve(self) -> Server {
        Server::start(move |_, seen| match self.0.get(&seen.target) {
            Some((media_type, body)) => Reply::Send(answer(200, &[("content-type", media_type)], body)),
            None => Reply::Send(answer(404, &[], "")),
        })
        .await
    }
}

#[tokio::test]
async fn an_index_in_an_index_is_looked_into_once_and_what_is_missing_is_left_out() {
    let mut shelf = Shelf::default();
    let (first, second) = (shelf.image("2026-01-01T00:00:00Z"), shelf.image("2026-02-02T00:00:00Z"));
    let missing = json!({ "mediaType": MANIFEST, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
    let deepest = shelf.index(std::slice::from_ref(&second));
    let inner = shelf.index(&[first, deepest.clone()]);
    let outer = shelf.index(&[second, inner, missing.clone()]);
    let hollow = shelf.index(&[missing]);
    let too_deep = shelf.index(&[deepest]);
    let too_deep = shelf.index(&[too_deep]);
    for (tag, descriptor) in [("outer", &outer), ("hollow", &hollow), ("too-deep", &too_deep)] {
        shelf.tag(tag, descriptor);
    }
    let server = shelf.serve().await;
    let world = World::new(&[server.host()]);
    let found = world.dates(&format!("{}/a/b", server.host()), &["outer", "hollow", "too-deep"], &[]).await;
    insta::assert_snapshot!(described(&found.expect("the images are read")), @"
    outer: linux/amd64 2026-02-02T00:00:00Z linux/amd64 2026-01-01T00:00:00Z
    hollow: an index without an image for any platform
    too-deep: an index without an image for any platform
    ");
}

#[tokio::test]
async fn a_configuration_that_does_not_match_its_digest_is_refused_and_a_missing_one_is_said() {
    let mut shelf = Shelf::default();
    let image = shelf.image("2026-01-01T00:00:00Z");
    let missing = json!({ "mediaType": CONFIG, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
    let hollow = shelf.put("manifests", MANIFEST, &json!({ "schemaVersion": 2, "config": missing, "layers": [] }));
    shelf.tag("changed", &image);
    shelf.tag("hollow", &hollow);
    for (path, (_, body)) in &mut shelf.0 {
        if path.contains("/blobs/") {
            *body = body.replace("2026", "2027");
        }
    }
    let server = shelf.serve().await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let error = world.dates(&name, &["changed"], &[]).await.err().map(|error| error.to_string()).unwrap_or_default();
    insta::assert_snapshot!(error.replace(server.host(), "HOST"), @"cannot read `HOST/a/b:changed`: the image configuration does not match its digest `sha256:c3eea8a59bf8f4681f88b39075d8ca428ae72ef9cfa1b49e226dcbaae1b6f75f`");
    let found = world.dates(&name, &["hollow"], &[]).await.expect("the manifest is read");
    insta::assert_snapshot!(described(&found), @"hollow: a part of it is missing in the registry");
}

#[tokio::test]
async fn labels_are_read_once_and_of_the_wanted_platform() {
    let registry = Registry::start().await.expect("the registry starts");
    let labels = [("org.opencontainers.image.revision".to_owned(), "0123abcd".to_owned())];
    let many = image("2026-02-01T00:00:00Z", &["linux/amd64", "linux/arm64"]);
    registry.push("demo/app", "many", &Image { labels: labels.clone().into(), ..many });
    registry.push("demo/app", "plain", &image("2026-02-01T00:00:00Z", &[]));
    let world = World::new(&[registry.host()]);
    let (repository, wanted) = (repository(&format!("{}/demo/app", registry.host())), platforms(&["linux/arm64"]));
    let question = Question { repository: &repository, credentials: None, platforms: &wanted, dates: false };
    let ask = async |tag: &str| {
        let tag = tag.parse().expect("a tag");
        world.client.labels(&question, &tag, world.clock.now()).await.expect("the labels are read")
    };
    assert_eq!(*ask("many").await, labels.into());
    assert_eq!(*ask("many").await, *ask("many").await);
    assert_eq!(world.counter.all(), "manifest answered 2, config answered 1", "an index, an image, its configuration");
    assert_eq!((ask("plain").await.len(), ask("gone").await.len()), (0, 0));
    let other = Question { repository: &repository, credentials: None, platforms: &[], dates: false };
    world.clock.advance(60);
    let labels = world.client.labels(&other, &"many".parse().expect("a tag"), world.clock.now()).await;
    assert_eq!(labels.expect("the labels are read").len(), 1);
}

#[tokio::test]
async fn labels_that_cannot_be_read_are_an_error_that_names_the_image() {
    let server = Server::start(|_, _| Reply::Send(answer(500, &[], ""))).await;
    let world = World::new(&[server.host()]);
    let repository = repository(&format!("{}/a/b", server.host()));
    let question = Question { repository: &repository, credentials: None, platforms: &[], dates: false };
    let labels = world.client.labels(&question, &"1.0".parse().expect("a tag"), world.clock.now()).await;
    let said = labels.expect_err("no answer").to_string().replace(server.host(), "HOST");
    insta::assert_snapshot!(said, @"cannot read `HOST/a/b:1.0`: the registry answers 500 Internal Server Error");
}
