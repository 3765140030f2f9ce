//! A text that is not to be seen, and where such texts lie in files.

use std::fmt;

use serde::Deserialize;

use super::http::Failure;

/// No token or key file of a cloud is longer.
const MAXIMUM_FILE: u64 = 64 * 1024;

/// A password, token or key. Its `Debug` shows nothing of it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// The text of the file that the environment variable `variable` names, as it is now.
pub(super) async fn read_file(variable: &str, path: &str) -> Result<Secret, Failure> {
    use tokio::io::AsyncReadExt as _;
    let failed = |cause: &str| Failure::new(format!("cannot read `{path}`, which `{variable}` names: {cause}"));
    let file = tokio::fs::File::open(path).await.map_err(|error| failed(&error.kind().to_string()))?;
    let mut text = String::new();
    let read = file.take(MAXIMUM_FILE + 1).read_to_string(&mut text).await;
    let length = read.map_err(|error| failed(&error.kind().to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty")),
        _ if length as u64 > MAXIMUM_FILE => Err(failed(&format!("it is larger than {MAXIMUM_FILE} bytes"))),
        text => Ok(Secret::new(text)),
    }
}
