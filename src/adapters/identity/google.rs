//! Google: Artifact Registry, Container Registry, and Git as a service account.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde::Deserialize;
use url::Url;

use super::http::{Call, Failure, Way};
use super::kept::Granted;
use super::logins::Source;
use super::secret::{Secret, read_file};
use crate::model::Concealed;

mod federation;

const KEY_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const USERNAME: &str = "oauth2accesstoken";

/// What the file that `GOOGLE_APPLICATION_CREDENTIALS` names says of itself.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
}

/// The key of a service account.
#[derive(Deserialize)]
struct AccountKey {
    client_email: String,
    private_key: Secret,
    private_key_id: String,
    token_uri: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: Secret,
    /// Seconds.
    expires_in: i64,
}

/// A login for any registry of Google.
pub(super) async fn login(source: &Source, now: Timestamp) -> Result<Granted, Failure> {
    let token = match source.settings.variable(KEY_FILE) {
        Some(path) => by_file(source, path, now).await?,
        None => by_metadata(source).await?,
    };
    granted(USERNAME.to_owned(), token, now)
}

/// A login to Git by the key of a service account, which is the text of its file: `client_email` with a token, as Argo CD does.
///
/// Other kinds of such files name files and addresses to be read, and a Secret shall not choose what this process reads.
pub(super) async fn account(source: &Source, key: &Concealed, now: Timestamp) -> Result<Granted, Failure> {
    let strange = |what: &str| Failure::new(format!("its `gcpServiceAccountKey` {what}"));
    let file: KeyFile = serde_json::from_str(key.expose()).map_err(|_| strange("is not the JSON file of a key"))?;
    if file.kind != "service_account" {
        return Err(strange("is not the key of a service account: its `type` is not `service_account`"));
    }
    let (username, token) = by_key(source, key.expose(), &strange, now).await?;
    granted(username, token, now)
}

fn granted(username: String, token: Token, now: Timestamp) -> Result<Granted, Failure> {
    let expires = now.checked_add(SignedDuration::from_secs(token.expires_in));
    let expires = expires.map_err(|_| Failure::new("the token that Google gave has no readable end"))?;
    Ok(Granted { username, password: token.access_token, expires })
}

async fn by_file(source: &Source, path: &str, now: Timestamp) -> Result<Token, Failure> {
    let text = read_file(KEY_FILE, path).await?;
    let strange = |what: &str| Failure::new(format!("`{path}`, which `{KEY_FILE}` names, {what}"));
    let file: KeyFile = serde_json::from_str(text.expose()).map_err(|_| strange("is not a file of credentials"))?;
    match file.kind.as_str() {
        "service_account" => Ok(by_key(source, text.expose(), &strange, now).await?.1),
        "external_account" => federation::token(source, path, text.expose(), now).await,
        _ => Err(strange("is neither the key of a service account nor a file for workload identity federation")),
    }
}

/// The address and a token of the service account whose key `text` is.
async fn by_key(
    source: &Source,
    text: &str,
    strange: &impl Fn(&str) -> Failure,
    now: Timestamp,
) -> Result<(String, Token), Failure> {
    let key: AccountKey = serde_json::from_str(text).map_err(|_| strange("is not a whole service account key"))?;
    let url = Url::parse(&key.token_uri).ok().filter(|url| is_token_service(source, url));
    let url = url.ok_or_else(|| strange("names a `token_uri` that is not https at `googleapis.com`"))?;
    let assertion = assertion(&key, now).ok_or_else(|| strange("has a `private_key` that cannot be read"))?;
    let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose())];
    let token = source.http.send(Call::form("the token service of Google", url, &fields)).await?.json()?;
    Ok((key.client_email, token))
}

fn is_token_service(source: &Source, url: &Url) -> bool {
    let google = url.host_str().is_some_and(|host| host == "googleapis.com" || host.ends_with(".googleapis.com"));
    google && url.scheme() == "https"
        || source.settings.endpoints.google_token.as_ref().is_some_and(|known| known.origin() == url.origin())
}

/// A statement, signed with the key, of who asks for what: good for an hour.
fn assertion(key: &AccountKey, now: Timestamp) -> Option<Secret> {
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": key.private_key_id });
    let claims = serde_json::json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": now.as_second(),
        "exp": now.as_second() + 3600,
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let pem = key.private_key.expose();
    let lines: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let pair = KeyPair::from_pkcs8(&STANDARD.decode(lines).ok()?).ok()?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
    Some(Secret::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

async fn by_metadata(source: &Source) -> Result<Token, Failure> {
    const FLAVOR: &str = "metadata-flavor";
    let base = match source.settings.variable("GCE_METADATA_HOST") {
        Some(host) => Url::parse(&format!("http://{host}"))
            .map_err(|_| Failure::new("`GCE_METADATA_HOST` is not the name of a host"))?,
        None => source.settings.endpoints.google_metadata.clone(),
    };
    let url = base.join("computeMetadata/v1/instance/service-accounts/default/token");
    let url = url.map_err(|_| Failure::new("the address of the metadata server has no path"))?;
    let call = Call::new("the metadata server of Google", Way::Inside, Method::GET, url).header(FLAVOR, "Google")?;
    let answer = source.http.send(call).await.map_err(|failure| {
        if !failure.is_absent() {
            return failure;
        }
        Failure::new(format!(
            "this process has no Google identity: tried `{KEY_FILE}`, metadata server ({}); set the annotation \
             `iam.gke.io/gcp-service-account` on its ServiceAccount, or grant that the role \
             `artifactregistry.reader`",
            failure.cause
        ))
    })?;
    // Whoever else listens there does not know this header.
    if answer.headers.get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
        return Err(Failure::new(
            "what answers as the metadata server of Google is not it: no `Metadata-Flavor: Google`",
        ));
    }
    answer.json()
}
