//! Where a login comes from: `pullsecret:ns/name`, `secret:ns/name#field`, `env:NAME`, `ext:/script`, a name, or a cloud.

use super::nearest::nearest;
use crate::model::{Cloud, CredentialSource, SecretRef};

/// Who wrote the text, and so what it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The administrator, in the registries configuration: everything, by its full name.
    Administrator,
    /// A policy: Secrets of its namespace, and the clouds' identities.
    Policy {
        /// The policy's namespace; a Secret that is named without one is there.
        namespace: &'a str,
        /// What the administrator allows beside.
        allowed: &'a [CredentialSource],
    },
}

/// A text that names no source, or one that must not be used here. It never repeats more than the names in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// The word before the colon is unknown.
    #[error(
        "`{kind}` is no source of credentials: write `pullsecret:`, `secret:`, `env:`, `ext:`, `aws`, `gcp` or `azure`{}",
        .suggestion.as_ref().map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
    )]
    Kind {
        /// The word.
        kind: String,
        /// The one that was meant.
        suggestion: Option<String>,
    },
    /// What follows the colon has another form.
    #[error("`{kind}:` must be followed by {form}")]
    Form {
        /// The word before the colon.
        kind: &'static str,
        /// What should follow.
        form: &'static str,
    },
    /// A name without a namespace, where there is none to fall back on.
    #[error("`{0}` names no namespace: write `pullsecret:NAMESPACE/{0}`")]
    NoNamespace(String),
    /// A Secret of another namespace.
    #[error("a policy in the namespace `{own}` may not read Secrets of `{other}`")]
    OtherNamespace {
        /// The policy's namespace.
        own: String,
        /// The Secret's.
        other: String,
    },
    /// A source that belongs to the administrator.
    #[error("`{0}:` belongs to the administrator: a policy may use it only where that is allowed")]
    AdministratorOnly(&'static str),
}

impl InvalidSource {
    /// What to do about it in a policy.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Kind { .. } | Self::Form { .. } | Self::NoNamespace(_) => {
                "write `pullsecret:NAME`, `secret:NAME#FIELD`, `aws`, `gcp` or `azure`"
            }
            Self::OtherNamespace { .. } => {
                "keep the Secret in the policy's namespace, or let the administrator name it in the registries configuration"
            }
            Self::AdministratorOnly(_) => {
                "let the administrator set it for the registry in the registries configuration, or allow it to the controller with `--allow-credential-sources`"
            }
        }
    }
}

/// The source that `text` names, if who wrote it may use it.
///
/// `registry=` in front, as older configurations have it, says nothing and is passed over.
pub fn credential_source(text: &str, scope: Scope<'_>) -> Result<CredentialSource, InvalidSource> {
    match scope {
        Scope::Administrator => read(text, None),
        Scope::Policy { namespace, allowed } => {
            let source = read(text, Some(namespace))?;
            if allowed.contains(&source) { Ok(source) } else { of_policy(source, namespace) }
        }
    }
}

/// What a policy may use without being allowed to.
fn of_policy(source: CredentialSource, own: &str) -> Result<CredentialSource, InvalidSource> {
    match &source {
        CredentialSource::PullSecret(secret) | CredentialSource::Secret { secret, .. } if secret.namespace != own => {
            Err(InvalidSource::OtherNamespace { own: own.to_owned(), other: secret.namespace.clone() })
        }
        CredentialSource::Environment(_) => Err(InvalidSource::AdministratorOnly("env")),
        CredentialSource::Script(_) => Err(InvalidSource::AdministratorOnly("ext")),
        CredentialSource::PullSecret(_) | CredentialSource::Secret { .. } | CredentialSource::Cloud(_) => Ok(source),
    }
}

/// What the text says, whoever wrote it; `namespace` is that of Secrets without one.
fn read(text: &str, namespace: Option<&str>) -> Result<CredentialSource, InvalidSource> {
    let text = text.trim();
    let text = match text.split_once('=') {
        Some((before, after)) if !before.contains(':') => after.trim(),
        _ => text,
    };
    let Some((kind, body)) = text.split_once(':') else { return bare(text, namespace) };
    let body = body.trim();
    match kind.trim().to_ascii_lowercase().as_str() {
        "pullsecret" => {
            let form = InvalidSource::Form { kind: "pullsecret", form: "`NAMESPACE/NAME`" };
            Ok(CredentialSource::PullSecret(secret(body, namespace).ok_or(form)?))
        }
        "secret" => {
            let form = || InvalidSource::Form { kind: "secret", form: "`NAMESPACE/NAME#FIELD`" };
            let (name, field) = body.split_once('#').ok_or_else(form)?;
            let secret = secret(name, namespace).filter(|_| is_key(field)).ok_or_else(form)?;
            Ok(CredentialSource::Secret { secret, field: field.to_owned() })
        }
        "env" if is_variable(body) => Ok(CredentialSource::Environment(body.to_owned())),
        "env" => Err(InvalidSource::Form { kind: "env", form: "the name of a variable" }),
        "ext" if body.starts_with('/') => Ok(CredentialSource::Script(body.to_owned())),
        "ext" => Err(InvalidSource::Form { kind: "ext", form: "the absolute path of a script" }),
        other => {
            let suggestion = nearest(other, ["pullsecret", "secret", "env", "ext"]).map(str::to_owned);
            Err(InvalidSource::Kind { kind: other.to_owned(), suggestion })
        }
    }
}

/// A text without a colon: a cloud, or a pull secret of the namespace at hand.
fn bare(text: &str, namespace: Option<&str>) -> Result<CredentialSource, InvalidSource> {
    if let Some(cloud) = Cloud::from_word(text) {
        return Ok(CredentialSource::Cloud(cloud));
    }
    let form = InvalidSource::Form { kind: "pullsecret", form: "`NAMESPACE/NAME`" };
    match namespace {
        _ if !is_name(text) => Err(form),
        None => Err(InvalidSource::NoNamespace(text.to_owned())),
        Some(namespace) => {
            Ok(CredentialSource::PullSecret(SecretRef { namespace: namespace.to_owned(), name: text.to_owned() }))
        }
    }
}

fn secret(text: &str, namespace: Option<&str>) -> Option<SecretRef> {
    let (namespace, name) = text.split_once('/').or_else(|| Some((namespace?, text)))?;
    let names = is_name(namespace) && is_name(name);
    names.then(|| SecretRef { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Whether a text can be a key of a Secret.
fn is_key(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits)
}

/// Whether a text can be the name of an object: it becomes part of a path of the API.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) && !text.starts_with(['.', '-'])
}

fn is_variable(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, scope: Scope<'_>) -> String {
        credential_source(text, scope).map_or_else(|error| error.to_string(), |source| format!("{source}"))
    }

    #[test]
    fn the_administrator_may_use_every_source() {
        for (text, expected) in [
            ("pullsecret:argocd/pull", "pullsecret:argocd/pull"),
            ("PullSecret:argocd/pull", "pullsecret:argocd/pull"),
            ("ghcr.io=pullsecret:argocd/pull", "pullsecret:argocd/pull"),
            ("secret:argocd/login#creds", "secret:argocd/login#creds"),
            ("env:REGISTRY_LOGIN", "env:REGISTRY_LOGIN"),
            ("ext:/scripts/auth.sh", "ext:/scripts/auth.sh"),
            ("ext:/scripts/a=b:c.sh", "ext:/scripts/a=b:c.sh"),
            ("aws", "aws"),
            ("gcp", "gcp"),
            ("azure", "azure"),
        ] {
            assert_eq!(read(text, Scope::Administrator), expected, "{text}");
        }
    }

    #[test]
    fn a_policy_names_secrets_of_its_own_namespace() {
        let own = Scope::Policy { namespace: "team", allowed: &[] };
        for (text, expected) in [
            ("pull", "pullsecret:team/pull"),
            ("pullsecret:pull", "pullsecret:team/pull"),
            ("pullsecret:team/pull", "pullsecret:team/pull"),
            ("secret:login#creds", "secret:team/login#creds"),
            ("secret:team/login#creds", "secret:team/login#creds"),
            ("aws", "aws"),
        ] {
            assert_eq!(read(text, own), expected, "{text}");
        }
        insta::assert_snapshot!(read("pullsecret:other/pull", own), @"a policy in the namespace `team` may not read Secrets of `other`");
        insta::assert_snapshot!(read("Secret:other/pull#x", own), @"a policy in the namespace `team` may not read Secrets of `other`");
        insta::assert_snapshot!(read("foo=secret:other/pull#x", own), @"a policy in the namespace `team` may not read Secrets of `other`");
        insta::assert_snapshot!(read("env:HOME", own), @"`env:` belongs to the administrator: a policy may use it only where that is allowed");
        insta::assert_snapshot!(read("EXT:/bin/sh", own), @"`ext:` belongs to the administrator: a policy may use it only where that is allowed");
        insta::assert_snapshot!(read("secret:login", own), @"`secret:` must be followed by `NAMESPACE/NAME#FIELD`");
        insta::assert_snapshot!(read("secret:login#../x", own), @"`secret:` must be followed by `NAMESPACE/NAME#FIELD`");
    }

    #[test]
    fn the_administrator_may_allow_a_source_and_no_other_by_that() {
        let allowed = ["env:HUB", "ext:/scripts/ecr.sh", "pullsecret:shared/pull", "secret:shared/login#creds"]
            .map(|text| credential_source(text, Scope::Administrator).expect("a source"));
        let scope = Scope::Policy { namespace: "team", allowed: &allowed };
        for (text, expected) in [
            ("env:HUB", "env:HUB"),
            ("ext:/scripts/ecr.sh", "ext:/scripts/ecr.sh"),
            ("pullsecret:shared/pull", "pullsecret:shared/pull"),
            ("secret:shared/login#creds", "secret:shared/login#creds"),
        ] {
            assert_eq!(read(text, scope), expected, "{text}");
        }
        for text in ["env:HOME", "env:HUB2", "ext:/scripts/ecr.sh/../x", "ext:/scripts", "secret:shared/login#other"] {
            assert!(credential_source(text, scope).is_err(), "{text}");
        }
    }

    #[test]
    fn every_way_to_be_wrong_has_its_sentence() {
        let said = |text| read(text, Scope::Administrator);
        insta::assert_snapshot!(said("pull"), @"`pull` names no namespace: write `pullsecret:NAMESPACE/pull`");
        insta::assert_snapshot!(said("pullsecret:pull"), @"`pullsecret:` must be followed by `NAMESPACE/NAME`");
        insta::assert_snapshot!(said("secret:login#creds"), @"`secret:` must be followed by `NAMESPACE/NAME#FIELD`");
        insta::assert_snapshot!(said("pullsecret:a/b/c"), @"`pullsecret:` must be followed by `NAMESPACE/NAME`");
        insta::assert_snapshot!(said("pullsecret:a/../b"), @"`pullsecret:` must be followed by `NAMESPACE/NAME`");
        insta::assert_snapshot!(said("secret:a/b"), @"`secret:` must be followed by `NAMESPACE/NAME#FIELD`");
        insta::assert_snapshot!(said("env:"), @"`env:` must be followed by the name of a variable");
        insta::assert_snapshot!(said("ext:auth.sh"), @"`ext:` must be followed by the absolute path of a script");
        insta::assert_snapshot!(said("pullsecrt:a/b"), @"`pullsecrt` is no source of credentials: write `pullsecret:`, `secret:`, `env:`, `ext:`, `aws`, `gcp` or `azure`; did you mean `pullsecret`?");
        insta::assert_snapshot!(said("vault:a/b"), @"`vault` is no source of credentials: write `pullsecret:`, `secret:`, `env:`, `ext:`, `aws`, `gcp` or `azure`");
    }
}
