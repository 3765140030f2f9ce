//! The container image from a static binary, as the Dockerfile's target `fairlead` makes it, without a daemon.
//!
//! One layer: the binary and the certificates that it trusts. Bytes depend on the arguments alone, so the same binary gives the same
//! image on every machine.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::images::{Document, Documents, LAYER, config_document, index, manifest};

/// Who runs in the image: nobody that other images know.
pub const USER: &str = "65532:65532";
/// Where certificates are looked for.
pub const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// The binary, static.
    pub binary: Vec<u8>,
    /// Certificates of authorities, PEM.
    pub certificates: Vec<u8>,
    /// The version, for the label.
    pub version: String,
    /// The commit, for the label.
    pub revision: String,
    /// Seconds since 1970 of everything in it: `SOURCE_DATE_EPOCH`.
    pub epoch: u64,
}

impl Assembly {
    /// From the binary of a release, the certificates of this machine, and the environment.
    ///
    /// # Errors
    /// A sentence on what cannot be read.
    pub fn of_release(binary: &Path) -> Result<Self, String> {
        let read = |path: &Path| fs::read(path).map_err(|cause| format!("cannot read `{}`: {cause}", path.display()));
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text.parse().map_err(|cause| format!("SOURCE_DATE_EPOCH: `{text}`: {cause}"))?,
            Err(_) => 0,
        };
        Ok(Self {
            binary: read(binary)?,
            certificates: read(&Path::new("/").join(CERTIFICATES))?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: std::env::var("FAIRLEAD_REVISION").unwrap_or_else(|_| "unknown".to_owned()),
            epoch,
        })
    }

    /// The labels, by name.
    pub fn labels(&self) -> Value {
        json!({
            "org.opencontainers.image.description": "Keeps the container images of Argo CD Applications up to date",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.revision": self.revision,
            "org.opencontainers.image.title": "fairlead",
            "org.opencontainers.image.version": self.version,
        })
    }

    /// What has to be pushed.
    pub fn documents(&self) -> Documents {
        let layer = Document { media_type: LAYER, bytes: self.layer() };
        let config = config_document(&json!({
            "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
            "os": "linux",
            "created": rfc3339(self.epoch),
            "config": {
                "User": USER,
                "ExposedPorts": {"8080/tcp": {}},
                "Env": ["PATH=/"],
                "Entrypoint": ["/fairlead"],
                "Cmd": ["run"],
                "Labels": self.labels(),
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
        }));
        let top = manifest(&config, &layer);
        Documents { blobs: vec![layer, config], manifests: Vec::new(), top }
    }

    /// Writes an OCI image layout, which other tools push, into an empty or new folder.
    ///
    /// # Errors
    /// A sentence on the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<String, String> {
        let documents = self.documents();
        let blobs = folder.join("blobs/sha256");
        let put = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).map_err(|cause| format!("cannot write `{}`: {cause}", path.display()))
        };
        fs::create_dir_all(&blobs).map_err(|cause| format!("cannot create `{}`: {cause}", blobs.display()))?;
        for document in documents.blobs.iter().chain([&documents.top]) {
            put(&blobs.join(document.digest().trim_start_matches("sha256:")), &document.bytes)?;
        }
        let mut entry = documents.top.descriptor();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": self.version});
        put(&folder.join("index.json"), &index(&[entry]).bytes)?;
        put(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(documents.top.digest())
    }

    fn layer(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        for folder in ["etc/", "etc/ssl/", "etc/ssl/certs/"] {
            entry(&mut tar, folder, 0o755, self.epoch, None);
        }
        entry(&mut tar, CERTIFICATES, 0o644, self.epoch, Some(&self.certificates));
        entry(&mut tar, "fairlead", 0o755, self.epoch, Some(&self.binary));
        tar.resize(tar.len() + 1024, 0);
        tar
    }
}

/// Appends a file, or a folder where there is no content, of root, as POSIX's ustar has it.
fn entry(tar: &mut Vec<u8>, name: &str, mode: u32, epoch: u64, content: Option<&[u8]>) {
    let mut header = [0_u8; 512];
    let mut put = |offset: usize, text: &str| header[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.map_or(0, <[u8]>::len)));
    put(136, &format!("{epoch:011o}"));
    // The sum is taken with spaces in its own place.
    put(148, "        ");
    put(156, if content.is_some() { "0" } else { "5" });
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
    tar.extend(header);
    tar.extend(content.unwrap_or_default());
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn rfc3339(epoch: u64) -> String {
    let seconds = i64::try_from(epoch).expect("a moment of this age");
    let time = k8s_openapi::jiff::Timestamp::from_second(seconds).expect("a moment that calendars know");
    time.to_string()
}
