//! Image references: `[registry[:port]/]path[:tag][@digest]`.
//!
//! Source of the rules: the distribution reference grammar, and argocd-image-updater's reading of it, with its slips on
//! ports and `library/` mended.

use std::fmt;
use std::str::FromStr;

const DOCKER_HUB: &str = "docker.io";
const MAXIMUM_TAG_LENGTH: usize = 128;
const MAXIMUM_NAME_LENGTH: usize = 255;

/// The tag of an image: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// The digest of a manifest: `algorithm:hex`, at least 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// A repository in a registry, in its one normal form: `nginx`, `docker.io/nginx` and `index.docker.io/library/nginx` are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// Host, lower case, with its port where one is written. `docker.io` for Docker Hub.
    pub registry: String,
    /// Path, with `library/` in front of official Docker Hub images.
    pub path: String,
}

/// An image reference as a person wrote it, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// The name as it was written, without tag and digest.
    pub name: String,
    /// The repository it means.
    pub repository: Repository,
    /// The tag, if one was written.
    pub tag: Option<Tag>,
    /// The digest, if one was written.
    pub digest: Option<Digest>,
}

/// A text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tag")]
pub struct InvalidTag(pub String);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest")]
pub struct InvalidDigest(pub String);

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImage {
    /// Nothing was written.
    #[error("the image has no name")]
    Empty,
    /// The path has characters that no repository may have.
    #[error(
        "`{text}` is not an image: `{part}` may hold lower-case letters, digits and single `.`, `_`, `-` between them"
    )]
    Path {
        /// What was written.
        text: String,
        /// The part of it that is wrong.
        part: String,
    },
    /// The host in front of the path is not one.
    #[error("`{text}` is not an image: `{host}` is not a registry host")]
    Host {
        /// What was written.
        text: String,
        /// The part of it that is wrong.
        host: String,
    },
    /// What follows the colon is no tag.
    #[error("`{text}` is not an image: `{tag}` is not a tag")]
    Tag {
        /// What was written.
        text: String,
        /// The part of it that is wrong.
        tag: String,
    },
    /// What follows the `@` is no digest.
    #[error("`{text}` is not an image: `{digest}` is not a digest")]
    Digest {
        /// What was written.
        text: String,
        /// The part of it that is wrong.
        digest: String,
    },
    /// The name is longer than 255 characters.
    #[error("the image name has {length} characters; at most 255 are allowed")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Digest {
    /// The digest's text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= MAXIMUM_TAG_LENGTH
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTag(text.to_owned())) }
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.split_once(':').is_some_and(|(algorithm, hex)| {
            let expected = match algorithm {
                "sha256" => hex.len() == 64,
                "sha512" => hex.len() == 128,
                _ => hex.len() >= 32,
            };
            expected
                && algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
                && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
                && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidDigest(text.to_owned())) }
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let wrong = |_| InvalidImage::Digest { text: text.to_owned(), digest: digest.to_owned() };
                (rest, Some(digest.parse().map_err(wrong)?))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => {
                let wrong = |_| InvalidImage::Tag { text: text.to_owned(), tag: tag.to_owned() };
                (name, Some(tag.parse().map_err(wrong)?))
            }
            _ => (rest, None),
        };
        Ok(Self { name: name.to_owned(), repository: parse_name(text, name)?, tag, digest })
    }
}

fn parse_name(text: &str, name: &str) -> Result<Repository, InvalidImage> {
    if name.is_empty() {
        return Err(InvalidImage::Empty);
    }
    if name.len() > MAXIMUM_NAME_LENGTH {
        return Err(InvalidImage::TooLong { length: name.len() });
    }
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (normal_host(text, host)?, path.to_owned()),
        _ => (DOCKER_HUB.to_owned(), name.to_owned()),
    };
    if let Some(part) = path.split('/').find(|part| !is_path_part(part)) {
        return Err(InvalidImage::Path { text: text.to_owned(), part: part.to_owned() });
    }
    let official = registry == DOCKER_HUB && !path.contains('/');
    let path = if official { format!("library/{path}") } else { path };
    Ok(Repository { registry, path })
}

/// Whether the first part of a name is a registry: `localhost`, or with a dot, a port or an upper-case letter in it.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn normal_host(text: &str, host: &str) -> Result<String, InvalidImage> {
    let wrong = || InvalidImage::Host { text: text.to_owned(), host: host.to_owned() };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let valid_name = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_host_label),
    };
    let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if !valid_name || !valid_port {
        return Err(wrong());
    }
    let host = host.to_ascii_lowercase();
    let docker_hub = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"].contains(&host.as_str());
    Ok(if docker_hub { DOCKER_HUB.to_owned() } else { host })
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, the distribution specification's path component.
fn is_path_part(part: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_plain = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    ends_plain
        && part
            .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.registry.as_str(), self.path.strip_prefix("library/")) {
            (DOCKER_HUB, Some(official)) if !official.contains('/') => formatter.write_str(official),
            _ => write!(formatter, "{}/{}", self.registry, self.path),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(formatter, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, registry: &str, path: &str, tag: Option<&str>, digest: Option<&str>) {
        let image: ImageReference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((image.repository.registry.as_str(), image.repository.path.as_str()), (registry, path), "{text}");
        assert_eq!(image.tag.as_ref().map(Tag::as_str), tag, "{text}");
        assert_eq!(image.digest.as_ref().map(Digest::as_str), digest, "{text}");
        assert_eq!(image.to_string(), text);
    }

    #[test]
    fn names_mean_one_repository_however_they_are_spelled() {
        for text in [
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "docker.io/library/nginx",
            "index.docker.io/library/nginx",
            "DOCKER.IO/nginx",
        ] {
            check(text, "docker.io", "library/nginx", None, None);
        }
        check("org/app", "docker.io", "org/app", None, None);
        check("ghcr.io/a/b", "ghcr.io", "a/b", None, None);
        check("GHCR.io/a/b", "ghcr.io", "a/b", None, None);
        check("harbor.example/library/app", "harbor.example", "library/app", None, None);
        check("localhost/app", "localhost", "app", None, None);
        check("[::1]:5000/app", "[::1]:5000", "app", None, None);
        check("reg.example/a__b/c-d/e.f", "reg.example", "a__b/c-d/e.f", None, None);
    }

    #[test]
    fn ports_are_not_tags() {
        check("localhost:5000/foo", "localhost:5000", "foo", None, None);
        check("reg:5000/foo:1.0", "reg:5000", "foo", Some("1.0"), None);
        check("127.0.0.1:5000/a/b:1", "127.0.0.1:5000", "a/b", Some("1"), None);
    }

    #[test]
    fn tags_and_digests_are_kept_side_by_side() {
        check(&format!("gcr.io/x/y:t@{DIGEST}"), "gcr.io", "x/y", Some("t"), Some(DIGEST));
        check(&format!("x@{DIGEST}"), "docker.io", "library/x", None, Some(DIGEST));
        check("app:V1_2.3-x", "docker.io", "library/app", Some("V1_2.3-x"), None);
    }

    #[test]
    fn every_way_to_be_wrong_has_its_sentence() {
        let message = |text: &str| {
            text.parse::<ImageReference>().map_or_else(|error| error.to_string(), |image| format!("{image:?}"))
        };
        insta::assert_snapshot!(message(""), @"the image has no name");
        insta::assert_snapshot!(message(":1.0"), @"the image has no name");
        insta::assert_snapshot!(message("ghcr.io/Org/app"), @"`ghcr.io/Org/app` is not an image: `Org` may hold lower-case letters, digits and single `.`, `_`, `-` between them");
        insta::assert_snapshot!(message("a//b"), @"`a//b` is not an image: `` may hold lower-case letters, digits and single `.`, `_`, `-` between them");
        insta::assert_snapshot!(message("app:~1.0"), @"`app:~1.0` is not an image: `~1.0` is not a tag");
        insta::assert_snapshot!(message("app@sha256:12"), @"`app@sha256:12` is not an image: `sha256:12` is not a digest");
        insta::assert_snapshot!(message("reg:99999/app"), @"`reg:99999/app` is not an image: `reg:99999` is not a registry host");
        insta::assert_snapshot!(message("a..b.example/app"), @"`a..b.example/app` is not an image: `a..b.example` is not a registry host");
        insta::assert_snapshot!(message(&"a".repeat(300)), @"the image name has 300 characters; at most 255 are allowed");
    }

    #[test]
    fn repositories_read_as_people_write_them() {
        let shown = |text: &str| text.parse::<ImageReference>().map(|image| image.repository.to_string());
        assert_eq!(shown("docker.io/library/nginx"), Ok("nginx".to_owned()));
        assert_eq!(shown("org/app"), Ok("docker.io/org/app".to_owned()));
        assert_eq!(shown("reg:5000/library/app"), Ok("reg:5000/library/app".to_owned()));
    }
}
