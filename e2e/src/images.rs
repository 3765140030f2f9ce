//! Container images, made up: the same description gives the same digest on every machine.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image to push.
#[derive(Debug, Clone)]
pub struct Image {
    parts: Vec<Part>,
    multi: bool,
}

/// The image for one platform.
#[derive(Debug, Clone)]
struct Part {
    platform: String,
    built: Option<String>,
    label: String,
}

/// Bytes that a registry stores, with their type.
#[derive(Debug, Clone)]
pub struct Document {
    /// The media type.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All that has to be pushed for an image, in this order.
#[derive(Debug)]
pub struct Documents {
    /// Configs and the layer.
    pub blobs: Vec<Document>,
    /// Manifests that are pushed by their digest.
    pub manifests: Vec<Document>,
    /// The manifest or index that the tag leads to.
    pub top: Document,
}

impl Image {
    /// An image for `linux/amd64`; `label` tells it from others.
    pub fn new(label: &str) -> Self {
        Self { parts: vec![Part::new("linux/amd64", None, label)], multi: false }
    }

    /// An index of images, each a platform and when it was built.
    pub fn multi(label: &str, parts: &[(&str, &str)]) -> Self {
        let parts = parts.iter().map(|(platform, built)| Part::new(platform, Some(built), label)).collect();
        Self { parts, multi: true }
    }

    /// The same image, built at `built` (RFC 3339).
    #[must_use]
    pub fn built(mut self, built: &str) -> Self {
        for part in &mut self.parts {
            part.built = Some(built.to_owned());
        }
        self
    }

    /// What has to be pushed.
    pub fn documents(&self) -> Documents {
        let layer = Document { media_type: LAYER, bytes: vec![0; 1024] };
        let configs: Vec<Document> = self.parts.iter().map(|part| part.config(&layer)).collect();
        let manifests: Vec<Document> = configs.iter().map(|config| manifest(config, &layer)).collect();
        let blobs = std::iter::once(layer).chain(configs).collect();
        if self.multi {
            let entries = self.parts.iter().zip(&manifests).map(|(part, manifest)| part.entry(manifest));
            Documents { blobs, top: index(&entries.collect::<Vec<_>>()), manifests }
        } else {
            let top = manifests.into_iter().next().expect("an image has a part");
            Documents { blobs, manifests: Vec::new(), top }
        }
    }

    /// The digest that a tag of this image leads to.
    pub fn digest(&self) -> String {
        self.documents().top.digest()
    }
}

impl Part {
    fn new(platform: &str, built: Option<&str>, label: &str) -> Self {
        Self { platform: platform.to_owned(), built: built.map(str::to_owned), label: label.to_owned() }
    }

    fn platform(&self) -> Value {
        let words: Vec<&str> = self.platform.split('/').collect();
        let mut platform = json!({"architecture": words[1], "os": words[0]});
        if let Some(variant) = words.get(2) {
            platform["variant"] = json!(variant);
        }
        platform
    }

    fn config(&self, layer: &Document) -> Document {
        let mut config = self.platform();
        if let Some(built) = &self.built {
            config["created"] = json!(built);
        }
        config["config"] = json!({"Labels": {"e2e": self.label}});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [layer.digest()]});
        config_document(&config)
    }

    fn entry(&self, manifest: &Document) -> Value {
        let mut entry = manifest.descriptor();
        entry["platform"] = self.platform();
        entry
    }
}

impl Document {
    fn of(media_type: &'static str, value: &Value) -> Self {
        Self { media_type, bytes: value.to_string().into_bytes() }
    }

    /// `sha256:…`
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&Sha256::digest(&self.bytes)))
    }

    pub(crate) fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

/// The config of an image.
pub(crate) fn config_document(config: &Value) -> Document {
    Document::of(CONFIG, config)
}

pub(crate) fn manifest(config: &Document, layer: &Document) -> Document {
    let value = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": [layer.descriptor()],
    });
    Document::of(MANIFEST, &value)
}

pub(crate) fn index(entries: &[Value]) -> Document {
    Document::of(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes text");
        text
    })
}
