//! What the bytes of a manifest or an image configuration mean. Pure.

use jiff::Timestamp;
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageIndex, OciImageManifest,
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};

use super::failure::Failure;
use crate::model::{Digest, Platform};
use crate::ports::Labels;

/// All four kinds of manifests. A registry that is not told that an index is welcome may send one of its manifests instead,
/// with another digest.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

const UNKNOWN: &str = "unknown";

/// The longest label that is taken in, in bytes; a longer one is left out.
const LONGEST_LABEL: usize = 1_000;
/// So much of the labels of an image is taken in, in bytes.
const MOST_LABELS: usize = 16 * 1024;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manifest {
    /// An image for one platform, which its configuration tells.
    Image {
        /// The digest of the configuration.
        config: Digest,
    },
    /// Images for several platforms; attestations are left out.
    Index(Vec<Entry>),
    /// Something else, in words.
    NotAnImage(String),
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    pub(super) platform: Option<Platform>,
    pub(super) is_index: bool,
}

/// What an image configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) platform: Platform,
    pub(super) created: Option<Timestamp>,
}

/// How sure it is that the bytes are what was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// They have the digest that was asked for or stated; nonsense in them was pushed.
    Verified,
    /// Nothing states a digest; nonsense may come from something between.
    Unverified,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<i64>,
    media_type: Option<String>,
    #[serde(default)]
    manifests: Value,
    #[serde(default)]
    config: Value,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Config {
    created: Value,
    os: Value,
    architecture: Value,
    variant: Value,
}

/// Reads a manifest.
///
/// # Errors
/// When it cannot have been pushed as it is.
pub(super) fn read(media_type: Option<&str>, body: &[u8], trust: Trust) -> Result<Manifest, Failure> {
    let nonsense = |what: &str| match trust {
        Trust::Verified => Ok(Manifest::NotAnImage(format!("its manifest cannot be read: {what}"))),
        Trust::Unverified => Err(Failure::unreadable(format!("the registry's answer is not a manifest: {what}"))),
    };
    if media_type.is_some_and(|text| !text.contains("json") && text.starts_with("text/") && text != "text/plain") {
        return Err(Failure::unreadable("the registry answers with something that is not a manifest"));
    }
    let Ok(probe) = serde_json::from_slice::<Probe>(body) else { return nonsense("it is not a JSON object") };
    match probe.schema_version {
        Some(2) => {}
        Some(1) => return Ok(Manifest::NotAnImage("a manifest of schema 1, which states nothing reliably".to_owned())),
        _ => return Err(Failure::unreadable("the registry's answer is not a manifest: it has no `schemaVersion`")),
    }
    let known = |text: &str| {
        [IMAGE_MANIFEST_LIST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE]
            .contains(&text)
    };
    let stated = probe.media_type.as_deref().or(media_type.filter(|text| known(text)));
    match stated {
        Some(IMAGE_MANIFEST_LIST_MEDIA_TYPE | OCI_IMAGE_INDEX_MEDIA_TYPE) => {}
        Some(IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE) => {
            return image(body).or_else(|()| nonsense("a field is missing"));
        }
        Some(other) => return Ok(Manifest::NotAnImage(format!("a manifest of type `{}`", shown(other)))),
        None if probe.manifests.is_array() => {}
        None if probe.config.is_object() => return image(body).or_else(|()| nonsense("a field is missing")),
        None => return nonsense("it has neither `manifests` nor `config`"),
    }
    match serde_json::from_slice::<OciImageIndex>(body) {
        Ok(index) => Ok(Manifest::Index(index.manifests.iter().filter_map(entry).collect())),
        Err(_) => nonsense("a field is missing"),
    }
}

/// Reads an image configuration. One without a date, or with one that is none, is fine; one without a platform is taken for
/// `linux/amd64`, as container engines of old wrote it.
pub(super) fn read_config(body: &[u8]) -> Option<Build> {
    let config: Config = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let platform = Platform {
        os: text(&config.os).unwrap_or_else(|| "linux".to_owned()),
        architecture: text(&config.architecture).unwrap_or_else(|| "amd64".to_owned()),
        variant: text(&config.variant),
    };
    // Year 1 is Go's way to write "no date".
    let created = text(&config.created).and_then(|text| text.parse::<Timestamp>().ok());
    let created =
        created.filter(|created| *created > Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN));
    Some(Build { platform, created })
}

/// The labels of an image configuration, each of one line. What is too long, is no text, or does not fit beside the others is left out.
pub(super) fn read_labels(body: &[u8]) -> Labels {
    let stated = serde_json::from_slice::<Value>(body).ok();
    let stated = stated.as_ref().and_then(|config| config.pointer("/config/Labels")?.as_object());
    let (mut labels, mut room) = (Labels::new(), MOST_LABELS);
    for (key, value) in stated.into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        let size = key.len() + value.len();
        if value.len() > LONGEST_LABEL || size > room || key.chars().any(char::is_control) {
            continue;
        }
        room -= size;
        let line = value.chars().map(|character| if character.is_control() { ' ' } else { character });
        labels.insert(key.clone(), line.collect());
    }
    labels
}

/// The SHA-256 digest of some bytes.
pub(super) fn digest_of(body: &[u8]) -> Option<Digest> {
    format!("sha256:{}", hex(&Sha256::digest(body))).parse().ok()
}

/// Whether bytes have a digest; no for algorithms that are not known.
pub(super) fn matches(digest: &Digest, body: &[u8]) -> bool {
    let actual = match digest.as_str().split_once(':') {
        Some(("sha256", _)) => format!("sha256:{}", hex(&Sha256::digest(body))),
        Some(("sha512", _)) => format!("sha512:{}", hex(&Sha512::digest(body))),
        _ => return false,
    };
    actual == digest.as_str()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]].map(char::from);
    bytes.iter().flat_map(digits).collect()
}

fn image(body: &[u8]) -> Result<Manifest, ()> {
    let manifest: OciImageManifest = serde_json::from_slice(body).map_err(|_| ())?;
    let config = manifest.config.media_type.as_str();
    if !matches!(config, IMAGE_CONFIG_MEDIA_TYPE | IMAGE_DOCKER_CONFIG_MEDIA_TYPE) {
        let kind = match config {
            "application/vnd.cncf.helm.config.v1+json" => "a Helm chart".to_owned(),
            "application/vnd.oci.empty.v1+json" => {
                format!("an artefact of type `{}`", shown(manifest.artifact_type.as_deref().unwrap_or("unknown")))
            }
            other => format!("an artefact of type `{}`", shown(other)),
        };
        return Ok(Manifest::NotAnImage(kind));
    }
    // Signatures and attestations carry an image's configuration and no layer of one.
    let layers = || manifest.layers.iter().map(|layer| layer.media_type.as_str());
    let runnable = layers().any(|layer| {
        layer.starts_with("application/vnd.oci.image.layer.")
            || layer.starts_with("application/vnd.docker.image.rootfs.")
    });
    match layers().next() {
        Some(layer) if !runnable => {
            Ok(Manifest::NotAnImage(format!("an artefact with layers of type `{}`", shown(layer))))
        }
        _ => Ok(Manifest::Image { config: manifest.config.digest.parse().map_err(|_| ())? }),
    }
}

fn entry(entry: &ImageIndexEntry) -> Option<Entry> {
    let kind = entry.media_type.as_str();
    let is_index = matches!(kind, IMAGE_MANIFEST_LIST_MEDIA_TYPE | OCI_IMAGE_INDEX_MEDIA_TYPE);
    let is_image = matches!(kind, IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE);
    let platform = entry.platform.as_ref().map(|platform| Platform {
        os: platform.os.to_string(),
        architecture: platform.architecture.to_string(),
        variant: platform.variant.clone().filter(|variant| !variant.is_empty()),
    });
    let no_platform = |platform: &Platform| platform.os == UNKNOWN || platform.architecture == UNKNOWN;
    if !is_index && (!is_image || platform.as_ref().is_some_and(no_platform)) {
        return None;
    }
    let platform = platform.filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
    Some(Entry { digest: entry.digest.parse().ok()?, platform, is_index })
}

/// A media type that a stranger wrote, fit for a sentence.
fn shown(text: &str) -> String {
    let plain = |character: &char| character.is_ascii_graphic() && *character != '`';
    text.chars().filter(plain).take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": DIGEST, "size": 0 })
    }

    fn manifest(config: &str, layers: &[&str]) -> Value {
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
        json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE_MEDIA_TYPE, "config": descriptor(config), "layers": layers })
    }

    fn said(media_type: Option<&str>, body: &Value, trust: Trust) -> String {
        match read(media_type, body.to_string().as_bytes(), trust) {
            Ok(Manifest::Image { .. }) => "an image".to_owned(),
            Ok(Manifest::Index(entries)) => {
                let shown = |entry: &Entry| match (&entry.platform, entry.is_index) {
                    (_, true) => "index".to_owned(),
                    (Some(platform), false) => platform.to_string(),
                    (None, false) => "?".to_owned(),
                };
                format!("index of {}", entries.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            Ok(Manifest::NotAnImage(what)) => format!("no image: {what}"),
            Err(failure) => format!("error: {}", failure.cause),
        }
    }

    #[test]
    fn images_are_told_from_what_else_lies_in_a_repository() {
        let said = |config: &str, layers: &[&str]| said(None, &manifest(config, layers), Trust::Verified);
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        insta::assert_snapshot!(said(IMAGE_CONFIG_MEDIA_TYPE, &[layer]), @"an image");
        insta::assert_snapshot!(said(IMAGE_CONFIG_MEDIA_TYPE, &[]), @"an image");
        insta::assert_snapshot!(said(IMAGE_DOCKER_CONFIG_MEDIA_TYPE, &["application/vnd.docker.image.rootfs.diff.tar.gzip"]), @"an image");
        insta::assert_snapshot!(said("application/vnd.cncf.helm.config.v1+json", &[layer]), @"no image: a Helm chart");
        insta::assert_snapshot!(said("application/vnd.oci.empty.v1+json", &["text/plain"]), @"no image: an artefact of type `unknown`");
        insta::assert_snapshot!(said("application/x`y z", &[layer]), @"no image: an artefact of type `application/xyz`");
        insta::assert_snapshot!(said(IMAGE_CONFIG_MEDIA_TYPE, &["application/vnd.dev.cosign.simplesigning.v1+json"]), @"no image: an artefact with layers of type `application/vnd.dev.cosign.simplesigning.v1+json`");
    }

    #[test]
    fn an_index_names_its_platforms_without_attestations() {
        let entry = |kind: &str, platform: Value| {
            let mut entry = descriptor(kind);
            entry["platform"] = platform;
            entry
        };
        let entries = [
            entry(OCI_IMAGE_MEDIA_TYPE, json!({ "os": "linux", "architecture": "arm64", "variant": "v8" })),
            entry(OCI_IMAGE_MEDIA_TYPE, json!({ "os": "unknown", "architecture": "unknown" })),
            entry(OCI_IMAGE_INDEX_MEDIA_TYPE, Value::Null),
            entry(IMAGE_MANIFEST_MEDIA_TYPE, Value::Null),
            entry("application/vnd.example", json!({ "os": "linux", "architecture": "amd64" })),
        ];
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        insta::assert_snapshot!(said(Some(OCI_IMAGE_INDEX_MEDIA_TYPE), &index, Trust::Verified), @"index of linux/arm64/v8 index ?");
        insta::assert_snapshot!(said(None, &index, Trust::Verified), @"index of linux/arm64/v8 index ?");
    }

    #[test]
    fn what_was_pushed_is_told_from_what_came_between() {
        let json = Some("application/json");
        insta::assert_snapshot!(said(json, &json!({ "errors": [] }), Trust::Verified), @"error: the registry's answer is not a manifest: it has no `schemaVersion`");
        insta::assert_snapshot!(said(Some("text/html"), &json!({}), Trust::Verified), @"error: the registry answers with something that is not a manifest");
        insta::assert_snapshot!(said(json, &json!({ "schemaVersion": 1 }), Trust::Unverified), @"no image: a manifest of schema 1, which states nothing reliably");
        insta::assert_snapshot!(said(json, &json!({ "schemaVersion": 2 }), Trust::Unverified), @"error: the registry's answer is not a manifest: it has neither `manifests` nor `config`");
        insta::assert_snapshot!(said(json, &json!({ "schemaVersion": 2 }), Trust::Verified), @"no image: its manifest cannot be read: it has neither `manifests` nor `config`");
        insta::assert_snapshot!(said(json, &json!([]), Trust::Unverified), @"error: the registry's answer is not a manifest: it is not a JSON object");
        insta::assert_snapshot!(said(json, &json!({ "schemaVersion": 2, "config": {} }), Trust::Verified), @"no image: its manifest cannot be read: a field is missing");
        insta::assert_snapshot!(said(json, &json!({ "schemaVersion": 2, "mediaType": "application/x" }), Trust::Verified), @"no image: a manifest of type `application/x`");
    }

    #[test]
    fn a_configuration_tells_platform_and_date() {
        let build = |text: &str| {
            read_config(text.as_bytes())
                .map(|build| format!("{} {:?}", build.platform, build.created))
                .unwrap_or_default()
        };
        insta::assert_snapshot!(build(r#"{"created":"2026-01-02T03:04:05.123456789Z","os":"linux","architecture":"arm64","variant":"v8"}"#), @"linux/arm64/v8 Some(2026-01-02T03:04:05.123456789Z)");
        insta::assert_snapshot!(build(r#"{"created":"0001-01-01T00:00:00Z","os":"windows","architecture":"amd64"}"#), @"windows/amd64 None");
        insta::assert_snapshot!(build(r#"{"created":"yesterday"}"#), @"linux/amd64 None");
        assert_eq!(read_config(b"[1"), None);
    }

    #[test]
    fn labels_are_short_lines_of_text() {
        let long = "x".repeat(LONGEST_LABEL + 1);
        let stated = json!({ "a": "1", "b": "two\nlines\tmore", "number": 7, "long": long, "new\nline": "x" });
        let config = json!({ "config": { "Labels": stated } }).to_string();
        let expected = [("a", "1"), ("b", "two lines more")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read_labels(config.as_bytes()), Labels::from(expected));
        let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("{n:03}"), json!("y".repeat(997)))).collect();
        assert_eq!(read_labels(json!({ "config": { "Labels": many } }).to_string().as_bytes()).len(), 16);
        for none in ["{}", "[]", "{", r#"{"config":{"Labels":null}}"#, r#"{"config":null}"#] {
            assert_eq!(read_labels(none.as_bytes()), Labels::new(), "{none}");
        }
    }

    #[test]
    fn digests_are_compared_with_the_bytes() {
        let digest = |text: &str| text.parse::<Digest>().expect("what a test writes is valid");
        assert!(matches(&digest(DIGEST), b"") && !matches(&digest(DIGEST), b"x"));
        assert_eq!(digest_of(b""), Some(digest(DIGEST)));
        let long = format!("sha512:{}", hex(&Sha512::digest(b"x")));
        assert!(matches(&digest(&long), b"x") && !matches(&digest(&long), b""));
        assert!(!matches(&digest(&DIGEST.replace("sha256", "other")), b""));
    }
}
