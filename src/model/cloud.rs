//! Clouds whose registries are logged into with an identity of the process itself.

use std::fmt;

/// A cloud whose registries take short-lived logins made from an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cloud {
    /// AWS: ECR, private and public.
    Aws,
    /// Google: Artifact Registry and Container Registry.
    Gcp,
    /// Azure: Container Registry.
    Azure,
}

impl Cloud {
    /// The word for it in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    /// The cloud that a configuration calls `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Aws, Self::Gcp, Self::Azure].into_iter().find(|cloud| cloud.as_str() == word)
    }

    /// The cloud that a registry belongs to, by its host name.
    pub fn of_host(host: &str) -> Option<Self> {
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| host.ends_with(suffix));
        let ecr = host.contains(".dkr.ecr") && ends(&[".amazonaws.com", ".amazonaws.com.cn"]);
        if ecr || host == "public.ecr.aws" {
            Some(Self::Aws)
        } else if host == "gcr.io" || ends(&[".gcr.io", "-docker.pkg.dev"]) {
            Some(Self::Gcp)
        } else if ends(&[".azurecr.io", ".azurecr.cn", ".azurecr.us"]) {
            Some(Self::Azure)
        } else {
            None
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_their_cloud() {
        for (host, expected) in [
            ("123456789012.dkr.ecr.us-west-2.amazonaws.com", Some(Cloud::Aws)),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Some(Cloud::Aws)),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", Some(Cloud::Aws)),
            ("public.ecr.aws", Some(Cloud::Aws)),
            ("gcr.io", Some(Cloud::Gcp)),
            ("eu.gcr.io", Some(Cloud::Gcp)),
            ("europe-west1-docker.pkg.dev", Some(Cloud::Gcp)),
            ("acme.azurecr.io", Some(Cloud::Azure)),
            ("ghcr.io", None),
            ("evil.example", None),
            ("amazonaws.com.evil.example", None),
            ("notgcr.io", None),
        ] {
            assert_eq!(Cloud::of_host(host), expected, "{host}");
        }
    }
}
