//! Workload identity federation: a token of somebody else, exchanged for one of Google.
//!
//! # Flow
//!
//! The file of credentials names a file or an address with a token, which rotates and so is read anew each time. STS gives a
//! token of Google for it; where the file names a service account to act as, that token is exchanged once more.

use std::collections::BTreeMap;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{KEY_FILE, SCOPE, Token, is_token_service};
use crate::adapters::identity::http::{Call, Failure, Way};
use crate::adapters::identity::logins::Source;
use crate::adapters::identity::secret::{Secret, read_file};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A file of the type `external_account`.
#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: TokenSource,
}

/// Where the token to be exchanged comes from.
#[derive(Deserialize)]
struct TokenSource {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject_token_field_name: Option<String>,
}

/// The answer of the service that lets one account act as another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: Secret,
    expire_time: Timestamp,
}

/// A token of Google, by the file at `path` that says `text`.
pub(super) async fn token(source: &Source, path: &str, text: &str, now: Timestamp) -> Result<Token, Failure> {
    let strange = |what: &str| Failure::new(format!("`{path}`, which `{KEY_FILE}` names, {what}"));
    let account: ExternalAccount =
        serde_json::from_str(text).map_err(|_| strange("is not a whole file for workload identity federation"))?;
    let google = |field: &str, address: &str| {
        let url = Url::parse(address).ok().filter(|url| is_token_service(source, url));
        url.ok_or_else(|| strange(&format!("names a `{field}` that is not https at `googleapis.com`")))
    };
    // Both are known to be Google's before anybody is shown anything.
    let exchange = google("token_url", &account.token_url)?;
    let act_as = account.service_account_impersonation_url.as_deref();
    let act_as = act_as.map(|address| google("service_account_impersonation_url", address)).transpose()?;
    let subject = subject(source, &account.credential_source, &strange).await?;
    let fields = [
        ("grant_type", EXCHANGE),
        ("audience", &account.audience),
        ("scope", SCOPE),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token_type", &account.subject_token_type),
        ("subject_token", subject.expose()),
    ];
    let answer = source.http.send(Call::form("the token exchange of Google", exchange, &fields)).await;
    let hint = "does the provider of the workload identity pool trust issuer, subject and audience of the token?";
    let token = answer.map_err(|failure| failure.hint_if_denied(hint))?.json::<Token>()?;
    match act_as {
        Some(url) => impersonated(source, url, &token, now).await,
        None => Ok(token),
    }
}

/// The token of the service account that the holder of `token` may act as.
async fn impersonated(source: &Source, url: Url, token: &Token, now: Timestamp) -> Result<Token, Failure> {
    const SPEAKER: &str = "the service that lets act as a Google service account";
    let body = serde_json::json!({ "scope": [SCOPE], "lifetime": "3600s" }).to_string();
    let call = Call::new(SPEAKER, Way::Outside, Method::POST, url)
        .header(CONTENT_TYPE.as_str(), "application/json")?
        .header(AUTHORIZATION.as_str(), &format!("Bearer {}", token.access_token.expose()))?
        .body(&body);
    let hint = "has the federated identity the role `iam.workloadIdentityUser` on the service account?";
    let answer = source.http.send(call).await.map_err(|failure| failure.hint_if_denied(hint))?;
    let Impersonated { access_token, expire_time } = answer.json()?;
    Ok(Token { access_token, expires_in: expire_time.duration_since(now).as_secs() })
}

/// The token to be exchanged, as it is now.
async fn subject(source: &Source, from: &TokenSource, strange: &impl Fn(&str) -> Failure) -> Result<Secret, Failure> {
    let text = match (&from.file, &from.url) {
        (Some(path), None) => read_file("credential_source.file", path).await?,
        (None, Some(address)) => {
            let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let url = url.ok_or_else(|| strange("names a `credential_source.url` that is no address of the web"))?;
            // What is not over TLS is meant to be near: a metadata service, or the machine itself.
            let way = if url.scheme() == "http" { Way::Inside } else { Way::Outside };
            let mut call = Call::new("what `credential_source.url` names", way, Method::GET, url);
            for (name, value) in &from.headers {
                call = call.header(name, value.expose())?;
            }
            Secret::new(source.http.send(call).await?.text().trim())
        }
        _ => {
            let what = "takes its token from neither `credential_source.file` nor `credential_source.url`: others are not supported";
            return Err(strange(what));
        }
    };
    let token = match (from.format.kind.as_deref(), &from.format.subject_token_field_name) {
        (None | Some("text"), _) => Some(text),
        (Some("json"), Some(field)) => {
            let value: Option<Value> = serde_json::from_str(text.expose()).ok();
            value.and_then(|value| value.get(field)?.as_str().map(Secret::new))
        }
        _ => return Err(strange("has a `credential_source.format` that is neither `text` nor `json` with a field")),
    };
    let token = token.filter(|token| !token.expose().is_empty());
    token.ok_or_else(|| Failure::new("what `credential_source` names holds no token of the agreed form"))
}
