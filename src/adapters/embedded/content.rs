//! What lies in a repository of the embedded registry, and how an image is made of it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Image;
use crate::model::{Digest, Platform};

/// The layer of every image: an empty file, for what is in an image plays no part here.
const LAYER: &[u8] = b"";

/// Tags, manifests and blobs of one repository.
#[derive(Default)]
pub(super) struct Repository {
    /// Sorted, as the real registry lists them.
    pub(super) tags: BTreeMap<String, Digest>,
    /// With their media types.
    pub(super) manifests: HashMap<Digest, (&'static str, Bytes)>,
    pub(super) blobs: HashMap<Digest, Bytes>,
}

impl Repository {
    pub(super) fn push(&mut self, tag: &str, image: &Image) -> Digest {
        let linux = || Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
        let digest = match &*image.platforms {
            [] => self.put_image(image, &linux()).0,
            [platform] => self.put_image(image, platform).0,
            platforms => self.put_index(image, platforms),
        };
        self.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    pub(super) fn untag(&mut self, tag: &str) {
        self.tags.remove(tag);
    }

    /// The manifest that a tag or digest names.
    pub(super) fn manifest(&self, reference: &str) -> Option<(Digest, &'static str, Bytes)> {
        let digest = self.tags.get(reference).cloned().or_else(|| reference.parse().ok())?;
        let (media_type, body) = self.manifests.get(&digest)?;
        Some((digest, media_type, body.clone()))
    }

    fn put_index(&mut self, image: &Image, platforms: &[Platform]) -> Digest {
        let mut entries = Vec::new();
        for platform in platforms {
            let (digest, size) = self.put_image(image, platform);
            let shown = with_variant(json!({ "architecture": platform.architecture, "os": platform.os }), platform);
            entries.push(entry(&digest, size, &shown));
            let (attestation, size) = self.put_attestation(&digest);
            entries.push(entry(&attestation, size, &json!({ "architecture": "unknown", "os": "unknown" })));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": entries });
        self.put_manifest(OCI_IMAGE_INDEX_MEDIA_TYPE, &index).0
    }

    fn put_image(&mut self, image: &Image, platform: &Platform) -> (Digest, usize) {
        let mut config = with_variant(json!({ "architecture": platform.architecture, "os": platform.os }), platform);
        if let Some(created) = image.created {
            config["created"] = Value::String(created.to_string());
        }
        config["config"] = json!({ "Labels": image.labels });
        config["rootfs"] = json!({ "type": "layers", "diff_ids": [digest_of(LAYER).as_str()] });
        self.put(&config, IMAGE_LAYER_GZIP_MEDIA_TYPE)
    }

    fn put_attestation(&mut self, subject: &Digest) -> (Digest, usize) {
        let config = json!({ "architecture": "unknown", "os": "unknown", "config": { "subject": subject.as_str() } });
        self.put(&config, "application/vnd.in-toto+json")
    }

    fn put(&mut self, config: &Value, layer_type: &str) -> (Digest, usize) {
        let body = Bytes::from(config.to_string());
        let descriptor = |media_type: &str, body: &[u8]| json!({ "mediaType": media_type, "digest": digest_of(body).as_str(), "size": body.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "config": descriptor(IMAGE_CONFIG_MEDIA_TYPE, &body),
            "layers": [descriptor(layer_type, LAYER)],
        });
        self.blobs.insert(digest_of(&body), body);
        self.blobs.insert(digest_of(LAYER), Bytes::from_static(LAYER));
        self.put_manifest(OCI_IMAGE_MEDIA_TYPE, &manifest)
    }

    fn put_manifest(&mut self, media_type: &'static str, manifest: &Value) -> (Digest, usize) {
        let body = Bytes::from(manifest.to_string());
        let (digest, size) = (digest_of(&body), body.len());
        self.manifests.insert(digest.clone(), (media_type, body));
        (digest, size)
    }
}

fn entry(digest: &Digest, size: usize, platform: &Value) -> Value {
    json!({ "mediaType": OCI_IMAGE_MEDIA_TYPE, "digest": digest.as_str(), "size": size, "platform": platform })
}

fn with_variant(mut value: Value, platform: &Platform) -> Value {
    if let Some(variant) = &platform.variant {
        value["variant"] = Value::String(variant.clone());
    }
    value
}

fn digest_of(body: &[u8]) -> Digest {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(body) {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.parse().expect("a SHA-256 in hexadecimal digits is a digest")
}
