//! Tokens of installations of GitHub Apps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::adapters::way;
use crate::lower::git_credentials::GitHubApp;
use crate::model::{Concealed, GitProxy, GitTls};
use crate::ports::Clock;

/// Tokens live for an hour.
const LIFE: SignedDuration = SignedDuration::from_mins(50);
const TIME: Duration = Duration::from_secs(20);
const MAXIMUM_ANSWER: usize = 1024 * 1024;

/// An App, and the owner whose installation it is where the App does not say.
type Key = (GitHubApp, Option<String>);

/// Tokens, each kept until it is about to end.
pub(super) struct GitHubApps {
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<Key, (Timestamp, Concealed)>>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl GitHubApps {
    /// No tokens so far.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        crate::adapters::oci::install_tls_provider();
        Self { clock, tokens: Mutex::default() }
    }

    /// A token of `app` for `repository`, asked for as the login's TLS and proxy say.
    ///
    /// # Errors
    /// A sentence without a secret.
    pub async fn token(
        &self,
        app: &GitHubApp,
        repository: &str,
        tls: &GitTls,
        proxy: Option<&GitProxy>,
    ) -> Result<Concealed, String> {
        let place = match &app.installation {
            Some(_) => None,
            None => Some(
                place(repository)
                    .ok_or("the address of the repository names no owner; set `githubAppInstallationID`")?,
            ),
        };
        let key = (app.clone(), place.clone().map(|(owner, _)| owner));
        let mut tokens = self.tokens.lock().await;
        let now = self.clock.now();
        tokens.retain(|_, (made, _)| now.duration_since(*made) < LIFE);
        if let Some((_, token)) = tokens.get(&key) {
            return Ok(token.clone());
        }
        let jwt = jwt(&app.id, &app.private_key, now)?;
        let client = client(tls, proxy)?;
        let installation = match (&app.installation, place) {
            (Some(id), _) => id.clone(),
            (None, Some((owner, name))) => {
                let path = format!("repos/{owner}/{name}/installation");
                ask::<Installation>(&client, reqwest::Method::GET, app, &path, &jwt).await?.id.to_string()
            }
            (None, None) => return Err("no installation is known".to_owned()),
        };
        let path = format!("app/installations/{installation}/access_tokens");
        let token = Concealed::new(ask::<Token>(&client, reqwest::Method::POST, app, &path, &jwt).await?.token);
        tokens.insert(key, (now, token.clone()));
        Ok(token)
    }
}

fn client(tls: &GitTls, proxy: Option<&GitProxy>) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder().timeout(TIME).redirect(reqwest::redirect::Policy::none());
    let builder = builder.user_agent(concat!("fairlead/", env!("CARGO_PKG_VERSION")));
    way::client(builder, tls, proxy).map_err(|what| format!("{what} of the credentials cannot be used"))
}

async fn ask<T: for<'a> Deserialize<'a>>(
    client: &reqwest::Client,
    method: reqwest::Method,
    app: &GitHubApp,
    path: &str,
    jwt: &str,
) -> Result<T, String> {
    let address = format!("{}/{path}", app.api);
    let failed = |why: String| format!("`{method} {address}` {why}");
    let request = client.request(method.clone(), &address).bearer_auth(jwt);
    let request = request.header("Accept", "application/vnd.github+json");
    let mut answer = request.send().await.map_err(|error| failed(format!("fails: {}", error.without_url())))?;
    if !answer.status().is_success() {
        return Err(failed(format!("answers {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(part) =
        answer.chunk().await.map_err(|error| failed(format!("breaks off: {}", error.without_url())))?
    {
        body.extend_from_slice(&part);
        if body.len() > MAXIMUM_ANSWER {
            return Err(failed("answers too much".to_owned()));
        }
    }
    // The parser's words could hold the token.
    serde_json::from_slice(&body).map_err(|_| failed("gives an answer that cannot be read".to_owned()))
}

/// Owner and name of a repository.
fn place(repository: &str) -> Option<(String, String)> {
    let path = url::Url::parse(repository).ok()?.path().trim_matches('/').to_owned();
    let (owner, name) = path.rsplit_once('/')?;
    let owner = owner.rsplit('/').next()?;
    Some((owner.to_owned(), name.strip_suffix(".git").unwrap_or(name).to_owned()))
}

/// The token that says who the App is, for ten minutes.
fn jwt(id: &str, key: &Concealed, now: Timestamp) -> Result<String, String> {
    let pair = pair(key.expose()).ok_or("its private key is no RSA key in PEM")?;
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let seconds = now.as_second();
    let head = encode(json!({ "alg": "RS256", "typ": "JWT" }));
    let claims = encode(json!({ "iss": id, "iat": seconds - 60, "exp": seconds + 540 }));
    let text = format!("{head}.{claims}");
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "its private key does not sign")?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The key in PEM of either form: `BEGIN RSA PRIVATE KEY` or `BEGIN PRIVATE KEY`.
fn pair(pem: &str) -> Option<RsaKeyPair> {
    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let bytes = STANDARD.decode(lines.collect::<String>()).ok()?;
    RsaKeyPair::from_der(&bytes).or_else(|_| RsaKeyPair::from_pkcs8(&bytes)).ok()
}
