//! Logins, from where an administrator or a user keeps them.
//!
//! No message, log or `Debug` shows a login; what a script writes is read for its one line and shown to nobody.

mod script;
mod sources;

pub use script::{SCRIPT_TIME, script};
pub use sources::{Login, Sources, Wanted};

use crate::lower::docker_config::{DOCKER_CFG, DOCKER_CONFIG_JSON, DockerConfig};
use crate::model::{Repository, SecretRef};
use crate::ports::{SecretData, Secrets};

/// A pull secret that was read. Its `Debug` shows no password.
#[derive(Debug)]
struct PullSecret {
    secret: SecretRef,
    key: &'static str,
    config: DockerConfig,
}

/// The logins of a pull secret.
///
/// # Errors
/// A sentence without any value of the Secret.
async fn pull_secret(secrets: &dyn Secrets, secret: &SecretRef) -> Result<PullSecret, String> {
    let data = data(secrets, secret).await?;
    let (key, config) = match (data.0.get(DOCKER_CONFIG_JSON), data.0.get(DOCKER_CFG)) {
        (Some(text), _) => (DOCKER_CONFIG_JSON, DockerConfig::parse(text)),
        (None, Some(text)) => (DOCKER_CFG, DockerConfig::parse_legacy(text)),
        (None, None) => return Err(format!("the Secret {} has no key `{DOCKER_CONFIG_JSON}`", shown(secret))),
    };
    let config = config.map_err(|error| format!("`{key}` of the Secret {}: {error}", shown(secret)))?;
    Ok(PullSecret { secret: secret.clone(), key, config })
}

impl PullSecret {
    /// The login that is meant for a repository: under the first of its names that has one.
    fn login_for(&self, names: &[&Repository]) -> Result<Login, String> {
        let mut failure = None;
        for name in names {
            match self.config.login_for(name) {
                Ok(login) => return Ok(login),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let secret = shown(&self.secret);
        Err(failure.map_or_else(
            || format!("the Secret {secret} was asked for nothing"),
            |error| format!("`{}` of the Secret {secret}: {error}", self.key),
        ))
    }
}

/// The login that a field of a Secret holds.
async fn secret_field(secrets: &dyn Secrets, secret: &SecretRef, field: &str) -> Result<Login, String> {
    let data = data(secrets, secret).await?;
    let value = data.0.get(field).ok_or_else(|| format!("the Secret {} has no key `{field}`", shown(secret)))?;
    let text = std::str::from_utf8(value).ok();
    text.and_then(login).ok_or_else(|| format!("`{field}` of the Secret {} is not `user:password`", shown(secret)))
}

async fn data(secrets: &dyn Secrets, secret: &SecretRef) -> Result<SecretData, String> {
    let data = secrets.read(secret).await.map_err(|error| error.to_string())?;
    data.ok_or_else(|| format!("the Secret {} does not exist", shown(secret)))
}

/// The login that one line `user:password` holds.
fn login(text: &str) -> Option<Login> {
    let line = text.trim_end_matches(['\r', '\n']);
    let (username, password) = line.split_once(':')?;
    let whole = !username.is_empty() && !password.is_empty() && !line.contains(['\r', '\n', '\0']);
    whole.then(|| Login::Password { username: username.to_owned(), password: password.to_owned() })
}

/// A Secret, as messages name it.
pub fn shown(secret: &SecretRef) -> String {
    format!("`{}/{}`", secret.namespace, secret.name)
}
