//! `[registry[:port]/]path[:constraint][@digest]`: an image and which versions of it are wanted.

use super::within;
use crate::model::{ImageReference, PartialVersion, Problem, Reason};

/// An image, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lower) struct Identifier {
    /// The image without a version, as it was written.
    pub image: String,
    /// The constraint, or under `digest` the tag; never empty.
    pub constraint: Option<String>,
    /// Whether a digest was written, which says nothing.
    pub digest: bool,
}

/// What an identifier names. The port of a registry and a constraint are told apart by the last `/`.
pub(in crate::lower) fn identifier(text: &str) -> Result<Identifier, Problem> {
    let text = text.trim();
    let (rest, digest) = text.split_once('@').map_or((text, false), |(rest, _)| (rest, true));
    let path = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (image, constraint) = match rest[path..].split_once(':') {
        Some((_, constraint)) => (&rest[..rest.len() - constraint.len() - 1], Some(constraint.trim())),
        None => (rest, None),
    };
    let image = image.trim();
    let invalid = |message: String| Problem::new(Reason::InvalidImage, message);
    if is_version(image) {
        return Err(invalid(format!("`{image}` is a version and no image")).hint("write `IMAGE:CONSTRAINT`"));
    }
    image.parse::<ImageReference>().map_err(|error| {
        // The reference says what it was given; the user wrote more.
        let message = if image == text { error.to_string() } else { format!("in `{text}`: {error}") };
        invalid(message).hint("write for example `ghcr.io/org/app:~1.2`")
    })?;
    let constraint = constraint.filter(|constraint| !constraint.is_empty()).map(str::to_owned);
    if let Some(constraint) = &constraint {
        within(constraint, 1024, Reason::InvalidConstraint, "the constraint")?;
    }
    Ok(Identifier { image: image.to_owned(), constraint, digest })
}

/// Whether a text is a version such as `1`, `1.2` or `v1.2.3`.
pub(in crate::lower) fn is_version(text: &str) -> bool {
    PartialVersion::parse(text).is_some_and(|version| version.is_limited())
}

/// What a policy takes for an alias.
pub(in crate::lower) fn is_alias(text: &str) -> bool {
    text.len() <= 63
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slash_tells_ports_and_constraints_apart() {
        for (text, image, constraint) in [
            ("nginx", "nginx", None),
            ("nginx:1.20", "nginx", Some("1.20")),
            ("nginx:", "nginx", None),
            ("nginx:~1.26", "nginx", Some("~1.26")),
            ("nginx: 1.0 - 2.0", "nginx", Some("1.0 - 2.0")),
            ("docker.io/library/nginx:~1.2", "docker.io/library/nginx", Some("~1.2")),
            ("localhost:5000/foo:~1", "localhost:5000/foo", Some("~1")),
            ("reg:5000/foo", "reg:5000/foo", None),
            ("registry.local:5000/a/b:>=1 <2", "registry.local:5000/a/b", Some(">=1 <2")),
            ("gcr.io/x/y:t@sha256:0", "gcr.io/x/y", Some("t")),
            ("gcr.io/x/y@sha256:0", "gcr.io/x/y", None),
        ] {
            let read = identifier(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!((read.image.as_str(), read.constraint.as_deref()), (image, constraint), "{text}");
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let said = |text| identifier(text).map_or_else(|problem| problem.to_string(), |read| format!("{read:?}"));
        insta::assert_snapshot!(said(""), @"the image has no name; write for example `ghcr.io/org/app:~1.2`");
        insta::assert_snapshot!(said("1.2"), @"`1.2` is a version and no image; write `IMAGE:CONSTRAINT`");
        insta::assert_snapshot!(said("ghcr.io/Org/app:1"), @"in `ghcr.io/Org/app:1`: `ghcr.io/Org/app` is not an image: `Org` may hold lower-case letters, digits and single `.`, `_`, `-` between them; write for example `ghcr.io/org/app:~1.2`");
        insta::assert_snapshot!(said("a b"), @"`a b` is not an image: `a b` may hold lower-case letters, digits and single `.`, `_`, `-` between them; write for example `ghcr.io/org/app:~1.2`");
    }
}
