//! Platforms: `os/arch` or `os/arch/variant`.

use std::fmt;
use std::str::FromStr;

/// An operating system and processor architecture, with a variant where one is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// For example `arm64`.
    pub architecture: String,
    /// For example `v8`.
    pub variant: Option<String>,
}

/// A text that is not `os/arch[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform")]
pub struct InvalidPlatform {
    /// What was written.
    pub text: String,
}

impl Platform {
    /// Whether an image built for `offered` serves somebody who wants `self`.
    ///
    /// Equal, or wanted without a variant and offered with one: `linux/arm64` accepts `linux/arm64/v8`, not the reverse
    /// (argocd-image-updater, platforms).
    pub fn accepts(&self, offered: &Self) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant.is_none() || self.variant == offered.variant)
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPlatform { text: text.to_owned() };
        let mut parts = text.trim().splitn(3, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty() && !part.contains(char::is_whitespace));
        let os = part().ok_or_else(invalid)?.to_owned();
        let architecture = part().ok_or_else(invalid)?.to_owned();
        let variant = match parts.next() {
            None => None,
            Some(variant) if variant.is_empty() || variant.contains(char::is_whitespace) => return Err(invalid()),
            Some(variant) => Some(variant.to_owned()),
        };
        Ok(Self { os, architecture, variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}
