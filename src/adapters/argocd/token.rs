//! The token of Argo CD's API, as it is now.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Concealed, SecretRef};
use crate::ports::Secrets;

/// Where the token comes from. What can change is read anew for each request.
#[derive(Clone)]
pub enum TokenSource {
    /// It is this.
    Fixed(Concealed),
    /// The file with it, as a mounted Secret has it.
    File(PathBuf),
    /// A key of a Secret.
    Secret {
        /// What reads Secrets.
        secrets: Arc<dyn Secrets>,
        /// The Secret.
        secret: SecretRef,
        /// The key in its data.
        key: String,
    },
}

impl TokenSource {
    /// The token.
    ///
    /// # Errors
    /// Why there is none: a sentence without it.
    pub(super) async fn read(&self) -> Result<Concealed, String> {
        let (text, place) = match self {
            Self::Fixed(token) => (token.expose().to_owned(), "that is given".to_owned()),
            Self::File(path) => {
                let place = format!("in `{}`", path.display());
                let text = tokio::fs::read_to_string(path).await;
                (text.map_err(|error| format!("the token {place} cannot be read: {error}"))?, place)
            }
            Self::Secret { secrets, secret, key } => {
                let SecretRef { namespace, name } = secret;
                let place = format!("in the Secret `{namespace}/{name}`");
                let data = secrets.read(secret).await.map_err(|error| error.to_string())?;
                let data = data.ok_or_else(|| format!("there is no Secret `{namespace}/{name}` with a token"))?;
                let bytes = data.0.get(key).ok_or_else(|| format!("there is no `{key}` {place}"))?;
                (String::from_utf8_lossy(bytes).into_owned(), place)
            }
        };
        match text.trim() {
            "" => Err(format!("the token {place} is empty")),
            text if text.chars().all(|letter| letter.is_ascii_graphic()) => Ok(Concealed::new(text)),
            _ => Err(format!("the token {place} is no text of one line")),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(token) => formatter.debug_tuple("Fixed").field(token).finish(),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Secret { secret, key, .. } => formatter.debug_tuple("Secret").field(secret).field(key).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;

    use super::*;
    use crate::ports::{SecretData, SecretError};

    struct One(&'static str);

    #[async_trait]
    impl Secrets for One {
        async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
            let data = BTreeMap::from([("argocd.token".to_owned(), self.0.as_bytes().to_vec())]);
            Ok((secret.name == "updater").then_some(SecretData(data)))
        }
    }

    fn secret(name: &str, key: &str) -> TokenSource {
        let secret = SecretRef { namespace: "argocd".to_owned(), name: name.to_owned() };
        TokenSource::Secret { secrets: Arc::new(One("canary\n")), secret, key: key.to_owned() }
    }

    #[tokio::test]
    async fn a_file_is_read_as_it_is_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let source = TokenSource::File(path.clone());
        for text in ["first", "second\n"] {
            std::fs::write(&path, text).expect("it can be written");
            assert_eq!(source.read().await.expect("a token").expose(), text.trim());
        }
        std::fs::write(&path, "\n").expect("it can be written");
        let cause = source.read().await.expect_err("nothing is in it");
        insta::assert_snapshot!(cause.replace(&path.display().to_string(), "PATH"), @"the token in `PATH` is empty");
        std::fs::remove_file(&path).expect("it can be removed");
        let cause = source.read().await.expect_err("it is gone");
        insta::assert_snapshot!(cause.replace(&path.display().to_string(), "PATH"), @"the token in `PATH` cannot be read: No such file or directory (os error 2)");
    }

    #[tokio::test]
    async fn a_secret_is_read_and_what_is_missing_is_said() {
        assert_eq!(secret("updater", "argocd.token").read().await.expect("a token").expose(), "canary");
        insta::assert_snapshot!(secret("other", "argocd.token").read().await.expect_err("no such Secret"), @"there is no Secret `argocd/other` with a token");
        insta::assert_snapshot!(secret("updater", "other").read().await.expect_err("no such key"), @"there is no `other` in the Secret `argocd/updater`");
        let broken = TokenSource::Fixed(Concealed::new("canary\nx-more: header"));
        insta::assert_snapshot!(broken.read().await.expect_err("two lines"), @"the token that is given is no text of one line");
        assert!(!format!("{broken:?} {:?}", secret("updater", "key")).contains("canary"));
    }
}
