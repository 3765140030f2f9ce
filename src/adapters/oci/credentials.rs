//! Whose login a question is asked with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use oci_client::secrets::RegistryAuth;
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use crate::lower::docker_config::{DOCKER_CFG, DOCKER_CONFIG_JSON, DockerConfig, Login};
use crate::model::{Reason, Repository, SecretRef};
use crate::ports::{Question, Secrets};

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
    /// Reads the login for a question from its pull secret.
    ///
    /// # Errors
    /// Whatever stands in the way is an error: a question with a pull secret is never asked anonymously.
    pub(super) async fn read(secrets: &dyn Secrets, question: &Question<'_>) -> Result<Self, Failure> {
        let Some(secret) = question.pull_secret else { return Ok(Self::Direct(RegistryAuth::Anonymous)) };
        let unavailable = |cause: String| Failure::new(Reason::CredentialsUnavailable, cause);
        let data = secrets.read(secret).await.map_err(|error| unavailable(error.to_string()))?;
        let data = data.ok_or_else(|| unavailable(format!("the Secret {} does not exist", shown(secret))))?;
        let (key, config) = match (data.0.get(DOCKER_CONFIG_JSON), data.0.get(DOCKER_CFG)) {
            (Some(text), _) => (DOCKER_CONFIG_JSON, DockerConfig::parse(text)),
            (None, Some(text)) => (DOCKER_CFG, DockerConfig::parse_legacy(text)),
            (None, None) => {
                let cause = format!("the Secret {} has no key `{DOCKER_CONFIG_JSON}`", shown(secret));
                return Err(unavailable(cause));
            }
        };
        let login = config.and_then(|config| config.login_for(question.repository));
        let login = login.map_err(|error| unavailable(format!("`{key}` of the Secret {}: {error}", shown(secret))))?;
        Ok(Self::of(login))
    }

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

    fn of(login: Login) -> Self {
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

/// What may help when a registry denies a question.
pub(super) fn denied_hint(question: &Question<'_>) -> String {
    match question.pull_secret {
        None => "no pull secret is given for it".to_owned(),
        Some(secret) => format!("asked with the login of the Secret {}", shown(secret)),
    }
}

/// A Secret, as messages name it.
pub(super) fn shown(secret: &SecretRef) -> String {
    format!("`{}/{}`", secret.namespace, secret.name)
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
    use async_trait::async_trait;

    use super::*;
    use crate::ports::{SecretData, SecretError};

    struct Fixed(Option<(&'static str, &'static str)>);

    #[async_trait]
    impl Secrets for Fixed {
        async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
            if secret.name == "forbidden" {
                let cause = "secrets is forbidden".to_owned();
                return Err(SecretError { namespace: secret.namespace.clone(), name: secret.name.clone(), cause });
            }
            Ok(self.0.map(|(key, value)| SecretData([(key.to_owned(), value.as_bytes().to_vec())].into())))
        }
    }

    async fn read(name: &str, content: Option<(&'static str, &'static str)>) -> Result<Credential, String> {
        let repository = Repository { registry: "ghcr.io".to_owned(), path: "a/b".to_owned() };
        let secret = SecretRef { namespace: "team".to_owned(), name: name.to_owned() };
        let question = Question { repository: &repository, pull_secret: Some(&secret), platforms: &[], dates: false };
        Credential::read(&Fixed(content), &question).await.map_err(|failure| failure.listing(&repository).to_string())
    }

    #[tokio::test]
    async fn whatever_is_wrong_with_a_pull_secret_is_said_and_nothing_is_asked_anonymously() {
        let message = async |name, content| read(name, content).await.err().unwrap_or_default();
        insta::assert_snapshot!(message("pull", None).await, @"cannot list tags of `ghcr.io/a/b`: the Secret `team/pull` does not exist");
        insta::assert_snapshot!(message("forbidden", None).await, @"cannot list tags of `ghcr.io/a/b`: cannot read the Secret `team/forbidden`: secrets is forbidden");
        insta::assert_snapshot!(message("pull", Some(("token", "x"))).await, @"cannot list tags of `ghcr.io/a/b`: the Secret `team/pull` has no key `.dockerconfigjson`");
        insta::assert_snapshot!(message("pull", Some((DOCKER_CONFIG_JSON, "x"))).await, @"cannot list tags of `ghcr.io/a/b`: `.dockerconfigjson` of the Secret `team/pull`: it is not JSON (line 1, column 1)");
        insta::assert_snapshot!(message("pull", Some((DOCKER_CFG, "{}"))).await, @"cannot list tags of `ghcr.io/a/b`: `.dockercfg` of the Secret `team/pull`: it holds no login for `ghcr.io`");
    }

    #[tokio::test]
    async fn logins_differ_when_any_part_of_them_does() {
        let identity = |username: &str, password: &str| {
            Credential::Direct(RegistryAuth::Basic(username.to_owned(), password.to_owned())).identity()
        };
        assert_eq!(identity("a", "bc"), identity("a", "bc"));
        assert_ne!(identity("a", "bc"), identity("ab", "c"));
        assert_ne!(identity("", ""), Credential::Direct(RegistryAuth::Anonymous).identity());
        let config = r#"{"auths":{"ghcr.io":{"username":"a","password":"bc"}}}"#;
        let read = read("pull", Some((DOCKER_CONFIG_JSON, config))).await;
        assert_eq!(read.map(|credential| credential.identity()), Ok(identity("a", "bc")));
    }
}
