//! Pull secrets: the text of `.dockerconfigjson` and `.dockercfg`, and which of their logins is meant for a repository.
//!
//! # Rules
//!
//! - A key is a host, with or without scheme and path: `ghcr.io`, `https://ghcr.io`, `ghcr.io/team`. `/v1/` and `/v2/` at its
//!   end are the registry's API, not a path of repositories. All names of Docker Hub are one host.
//! - A path in the key must be the repository's path or a whole number of its leading parts: `ghcr.io/team` is meant for
//!   `ghcr.io/team/app`, not for `ghcr.io/team-b/app`.
//! - `*` in a key's host stands for any letters of one label: `*.azurecr.io`.
//! - The longest path wins, an exact host before one with `*`.
//!
//! No message ever holds a value of the text: it is full of passwords.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::Repository;

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
pub const DOCKER_CONFIG_JSON: &str = ".dockerconfigjson";
/// The key of a Secret of type `kubernetes.io/dockercfg`.
pub const DOCKER_CFG: &str = ".dockercfg";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The logins of one pull secret. Its `Debug` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// In the order of their keys, so that no hash decides anything.
    entries: Vec<(Place, Entry)>,
}

/// A way to log in to a registry. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user name and a password, or a token in the place of one.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// A refresh token, which the registry's token service exchanges.
    IdentityToken(String),
}

/// Why the text of a pull secret gives no login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// It is not JSON.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line of the first wrong character, from 1.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// It is JSON of another form.
    #[error("it holds no `auths` object")]
    NoAuths,
    /// The login of one registry has another form.
    #[error("the login of `{key}` cannot be read: {cause}")]
    Login {
        /// The key under `auths`.
        key: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// There is no login for the registry.
    #[error("it holds no login for `{0}`")]
    NoLogin(String),
}

/// What a key of `auths` is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    key: String,
    host: String,
    path: String,
}

/// The value of a key of `auths`: read when it is the one that is needed, so that a broken entry for one registry does
/// not spoil the others.
#[derive(Clone, PartialEq, Eq)]
struct Entry(Value);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl DockerConfig {
    /// Reads the value of the key [`DOCKER_CONFIG_JSON`].
    pub fn parse(text: &[u8]) -> Result<Self, DockerConfigError> {
        match parse_object(text)?.get("auths") {
            Some(Value::Object(auths)) => Ok(Self::of(auths)),
            Some(Value::Null) => Ok(Self { entries: Vec::new() }),
            _ => Err(DockerConfigError::NoAuths),
        }
    }

    /// Reads the value of the key [`DOCKER_CFG`]: the same without `auths` around it.
    pub fn parse_legacy(text: &[u8]) -> Result<Self, DockerConfigError> {
        parse_object(text).map(|auths| Self::of(&auths))
    }

    /// The login that is meant for a repository.
    pub fn login_for(&self, repository: &Repository) -> Result<Login, DockerConfigError> {
        let best =
            self.entries.iter().filter(|(place, _)| place.serves(repository)).max_by_key(|(place, _)| place.rank());
        match best {
            None => Err(DockerConfigError::NoLogin(repository.registry.clone())),
            Some((place, entry)) => {
                let wrong = |cause| DockerConfigError::Login { key: place.key.clone(), cause };
                entry.login().map_err(wrong)?.ok_or_else(|| DockerConfigError::NoLogin(repository.registry.clone()))
            }
        }
    }

    fn of(auths: &Map<String, Value>) -> Self {
        let mut entries: Vec<_> = auths.iter().map(|(key, value)| (Place::of(key), Entry(value.clone()))).collect();
        entries.sort_by(|(left, _), (right, _)| left.key.cmp(&right.key));
        Self { entries }
    }
}

impl Place {
    fn of(key: &str) -> Self {
        let lower = key.trim().to_ascii_lowercase();
        let secure = !lower.starts_with("http://");
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).unwrap_or(&lower);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if secure { host.strip_suffix(":443").unwrap_or(host) } else { host };
        let path = path.trim_matches('/');
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Self { key: key.to_owned(), host: one_name_for_docker_hub(host).to_owned(), path: path.to_owned() }
    }

    fn serves(&self, repository: &Repository) -> bool {
        let host = repository.registry.strip_suffix(":443").unwrap_or(&repository.registry);
        let beyond = repository.path.strip_prefix(self.path.as_str());
        host_matches(&self.host, host)
            && (self.path.is_empty() || beyond.is_some_and(|beyond| beyond.is_empty() || beyond.starts_with('/')))
    }

    fn rank(&self) -> (usize, bool, usize) {
        (self.path.len(), !self.host.contains('*'), self.host.len())
    }
}

impl Entry {
    /// `None` where the entry is there and empty, as credential helpers leave it.
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let fields = Fields::deserialize(&self.0).map_err(|_| "its fields are not texts")?;
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        if let Some(token) = given(fields.identitytoken) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        let (username, password) = match (given(fields.auth), given(fields.username), given(fields.password)) {
            (Some(auth), _, _) => decode_auth(&auth)?,
            (None, Some(username), Some(password)) => (username, password),
            (None, Some(_), None) => return Err("it has a `username` and no `password`"),
            (None, None, Some(_)) => return Err("it has a `password` and no `username`"),
            (None, None, None) => return Ok(None),
        };
        // Docker's own spelling of an identity token in the fields for a password.
        let token = username == "<token>";
        Ok(Some(if token { Login::IdentityToken(password) } else { Login::Password { username, password } }))
    }
}

fn parse_object(text: &[u8]) -> Result<Map<String, Value>, DockerConfigError> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| DockerConfigError::NotJson { line: error.line(), column: error.column() })?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(DockerConfigError::NoAuths),
    }
}

fn decode_auth(auth: &str) -> Result<(String, String), &'static str> {
    let packed: String = auth.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(packed).map_err(|_| "its `auth` is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "its `auth` is not a text")?;
    let (username, password) = text.split_once(':').ok_or("its `auth` is not `user:password`")?;
    Ok((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

fn one_name_for_docker_hub(host: &str) -> &str {
    let names = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];
    if names.contains(&host) { "docker.io" } else { host }
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let (patterns, labels): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    patterns.len() == labels.len() && patterns.iter().zip(labels).all(|(pattern, label)| label_matches(pattern, label))
}

fn label_matches(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(mut beyond) = label.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = beyond.find(part) else { return false };
        beyond = &beyond[at + part.len()..];
    }
    beyond.ends_with(end)
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
        })
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        name.parse::<crate::model::ImageReference>().expect("what a test writes is valid").repository
    }

    /// The user that logs in for `image`, where each key's user is the key itself.
    fn chosen(keys: &[&str], image: &str) -> Option<String> {
        let login = |key: &&str| ((*key).to_owned(), serde_json::json!({ "username": key, "password": "p" }));
        let auths: Map<String, Value> = keys.iter().map(login).collect();
        let config = DockerConfig::parse(serde_json::json!({ "auths": auths }).to_string().as_bytes());
        match config.and_then(|config| config.login_for(&repository(image))) {
            Ok(Login::Password { username, .. }) => Some(username),
            _ => None,
        }
    }

    fn login(entry: &Value) -> Result<Login, DockerConfigError> {
        let text = serde_json::json!({ "auths": { "ghcr.io": entry } }).to_string();
        DockerConfig::parse(text.as_bytes())?.login_for(&repository("ghcr.io/a/b"))
    }

    fn password(username: &str, password: &str) -> Login {
        Login::Password { username: username.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn keys_are_read_as_container_engines_read_them() {
        for (key, image, serves) in [
            ("ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io/", "ghcr.io/a/b", true),
            ("https://ghcr.io/v2/", "ghcr.io/a/b", true),
            ("GHCR.io", "ghcr.io/a/b", true),
            ("ghcr.io:443", "ghcr.io/a/b", true),
            ("ghcr.io.evil.example", "ghcr.io/a/b", false),
            ("evil-ghcr.io", "ghcr.io/a/b", false),
            ("ghcr.io/a", "ghcr.io/a/b", true),
            ("ghcr.io/a/b", "ghcr.io/a/b", true),
            ("ghcr.io/a/b/c", "ghcr.io/a/b", false),
            ("ghcr.io/a", "ghcr.io/ab/c", false),
            ("reg.example:5000", "reg.example:5000/a", true),
            ("reg.example", "reg.example:5000/a", false),
            ("http://reg.example:5000/v1/", "reg.example:5000/a", true),
            ("https://index.docker.io/v1/", "nginx", true),
            ("docker.io", "org/app", true),
            ("registry-1.docker.io", "nginx", true),
            ("https://index.docker.io/v1/", "ghcr.io/a/b", false),
            ("*.azurecr.io", "team.azurecr.io/app", true),
            ("*.azurecr.io", "a.team.azurecr.io/app", false),
            ("te*m.azurecr.io", "team.azurecr.io/app", true),
            ("*a*x.azurecr.io", "team.azurecr.io/app", false),
        ] {
            assert_eq!(chosen(&[key], image).is_some(), serves, "{key} for {image}");
        }
    }

    #[test]
    fn the_longest_path_wins_and_an_exact_host_wins_over_a_pattern() {
        let keys = ["ghcr.io", "ghcr.io/team", "ghcr.io/team/app", "*.io"];
        assert_eq!(chosen(&keys, "ghcr.io/team/app"), Some("ghcr.io/team/app".to_owned()));
        assert_eq!(chosen(&keys, "ghcr.io/team/application"), Some("ghcr.io/team".to_owned()));
        assert_eq!(chosen(&keys, "ghcr.io/other/app"), Some("ghcr.io".to_owned()));
        assert_eq!(chosen(&keys, "quay.io/other/app"), Some("*.io".to_owned()));
    }

    #[test]
    fn a_login_is_auth_or_user_and_password_or_an_identity_token() {
        // `user:pa:ss`, with and without padding, and with the NUL that Docker leaves behind.
        assert_eq!(login(&serde_json::json!({ "auth": "dXNlcjpwYTpzcw==" })), Ok(password("user", "pa:ss")));
        assert_eq!(login(&serde_json::json!({ "auth": "dXNlcjpwYTpzcw" })), Ok(password("user", "pa:ss")));
        assert_eq!(login(&serde_json::json!({ "auth": "dXNlcjpwAAA=\n" })), Ok(password("user", "p")));
        let both = serde_json::json!({ "auth": "dXNlcjpwYTpzcw==", "username": "x", "password": "y" });
        assert_eq!(login(&both), Ok(password("user", "pa:ss")));
        assert_eq!(login(&serde_json::json!({ "username": "x", "password": "y" })), Ok(password("x", "y")));
        let token = Login::IdentityToken("t".to_owned());
        assert_eq!(login(&serde_json::json!({ "auth": "dTpw", "identitytoken": "t" })), Ok(token.clone()));
        assert_eq!(login(&serde_json::json!({ "username": "<token>", "password": "t" })), Ok(token));
    }

    #[test]
    fn a_broken_entry_spoils_no_other() {
        let text = br#"{"auths":{"quay.io":7,"ghcr.io":{"username":"x","password":"y"}}}"#;
        let config = DockerConfig::parse(text);
        assert_eq!(config.and_then(|config| config.login_for(&repository("ghcr.io/a"))), Ok(password("x", "y")));
    }

    #[test]
    fn the_legacy_form_has_no_auths_around_it() {
        let config = DockerConfig::parse_legacy(br#"{"https://ghcr.io":{"auth":"dTpw"}}"#);
        assert_eq!(config.and_then(|config| config.login_for(&repository("ghcr.io/a"))), Ok(password("u", "p")));
    }

    #[test]
    fn every_way_to_be_wrong_has_its_sentence() {
        let parse = |text: &str| DockerConfig::parse(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string());
        let message = |entry: Value| login(&entry).map_err(|error| error.to_string()).err().unwrap_or_default();
        insta::assert_snapshot!(parse(r#"{"auths": {"a": "s3cret"#).err().unwrap_or_default(), @"it is not JSON (line 1, column 23)");
        insta::assert_snapshot!(parse("[]").err().unwrap_or_default(), @"it holds no `auths` object");
        insta::assert_snapshot!(parse("{}").err().unwrap_or_default(), @"it holds no `auths` object");
        insta::assert_snapshot!(message(serde_json::json!({})), @"it holds no login for `ghcr.io`");
        insta::assert_snapshot!(message(serde_json::json!({ "auth": 7 })), @"the login of `ghcr.io` cannot be read: its fields are not texts");
        insta::assert_snapshot!(message(serde_json::json!({ "auth": "s3cret!" })), @"the login of `ghcr.io` cannot be read: its `auth` is not base64");
        insta::assert_snapshot!(message(serde_json::json!({ "auth": "/////w==" })), @"the login of `ghcr.io` cannot be read: its `auth` is not a text");
        insta::assert_snapshot!(message(serde_json::json!({ "auth": "dXNlcg==" })), @"the login of `ghcr.io` cannot be read: its `auth` is not `user:password`");
        insta::assert_snapshot!(message(serde_json::json!({ "username": "u" })), @"the login of `ghcr.io` cannot be read: it has a `username` and no `password`");
        insta::assert_snapshot!(message(serde_json::json!({ "password": "p" })), @"the login of `ghcr.io` cannot be read: it has a `password` and no `username`");
    }

    #[test]
    fn debug_shows_no_password() {
        let config = DockerConfig::parse(br#"{"auths":{"ghcr.io":{"username":"x","password":"s3cret"}}}"#);
        let login = config.clone().and_then(|config| config.login_for(&repository("ghcr.io/a")));
        assert!(!format!("{config:?} {login:?}").contains("s3cret"));
    }
}
