//! Whose login a question is asked with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use oci_client::secrets::RegistryAuth;
use sha2::{Digest as _, Sha256};

use crate::adapters::credentials::Login;
use crate::model::Repository;

/// A login, or none. Its `Debug` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// By user name and password, or not at all.
    Direct(RegistryAuth),
    /// By a refresh token that a token service exchanges.
    IdentityToken(IdentityToken),
}

/// A refresh token. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct IdentityToken(pub(super) String);

/// What tells one login from another without showing it: a SHA-256 of the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity([u8; 32]);

impl Credential {
    /// No login.
    pub(super) const ANONYMOUS: Self = Self::Direct(RegistryAuth::Anonymous);

    /// What tells this login from others.
    pub(super) fn identity(&self) -> Identity {
        let parts: [&str; 3] = match self {
            Self::Direct(RegistryAuth::Anonymous) => ["anonymous", "", ""],
            Self::Direct(RegistryAuth::Basic(username, password)) => ["basic", username, password],
            Self::Direct(RegistryAuth::Bearer(token)) => ["bearer", token, ""],
            Self::IdentityToken(IdentityToken(token)) => ["identity", token, ""],
        };
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Identity(hash.finalize().into())
    }

    /// Whether there is a login at all.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self, Self::Direct(RegistryAuth::Anonymous))
    }

    /// The header that logs in by user name and password, where the login is of that kind.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        match self {
            Self::Direct(RegistryAuth::Basic(username, password)) => {
                secret_header(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            Self::Direct(RegistryAuth::Anonymous | RegistryAuth::Bearer(_)) | Self::IdentityToken(_) => None,
        }
    }

    pub(super) fn of(login: Login) -> Self {
        match login {
            Login::Password { username, password } => Self::Direct(RegistryAuth::Basic(username, password)),
            Login::IdentityToken(token) => Self::IdentityToken(IdentityToken(token)),
        }
    }
}

/// A header value that no log shows.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The actions a token must allow, in the words of the registry.
pub(super) fn scope(repository: &Repository) -> String {
    // Tokens of scope maps in Azure do not show tags with `pull` alone.
    let azure = repository.registry.ends_with(".azurecr.io");
    let actions = if azure { "pull,metadata_read,content_read" } else { "pull" };
    format!("repository:{}:{actions}", repository.path)
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IdentityToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_differ_when_any_part_of_them_does() {
        let identity = |username: &str, password: &str| {
            let login = Login::Password { username: username.to_owned(), password: password.to_owned() };
            Credential::of(login).identity()
        };
        assert_eq!(identity("a", "bc"), identity("a", "bc"));
        assert_ne!(identity("a", "bc"), identity("ab", "c"));
        assert_ne!(identity("", ""), Credential::ANONYMOUS.identity());
    }
}
