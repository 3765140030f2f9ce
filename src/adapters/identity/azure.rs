//! Azure: Container Registry, and Git of Azure DevOps.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::http::{Call, Failure, Way};
use super::kept::Granted;
use super::logins::Source;
use super::secret::{Secret, read_file};
use crate::lower::git_credentials::AzurePrincipal;
use crate::model::GitProxy;

const AUTHORITY: &str = "https://login.microsoftonline.com/";
const REGISTRIES: Audience =
    Audience { scope: "https://containerregistry.azure.net/.default", resource: "https://containerregistry.azure.net" };
/// Azure DevOps: <https://learn.microsoft.com/en-us/azure/devops/integrate/get-started/authentication/service-principal-managed-identity>.
const DEVOPS: Audience = Audience {
    scope: "499b84ac-1321-427f-aa17-267ca6975798/.default",
    resource: "499b84ac-1321-427f-aa17-267ca6975798",
};
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const USERNAME: &str = "00000000-0000-0000-0000-000000000000";
/// How long a refresh token holds that does not say it: less than the three hours of those that do.
const ASSUMED_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// Whom a token is for.
#[derive(Clone, Copy)]
struct Audience {
    /// As Entra ID names it.
    scope: &'static str,
    /// As the metadata service of a machine names it.
    resource: &'static str,
}

#[derive(Deserialize)]
struct AccessToken {
    access_token: Secret,
    /// Seconds: a number, or a text of one.
    #[serde(default)]
    expires_in: Value,
}

#[derive(Deserialize)]
struct RefreshToken {
    refresh_token: Secret,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

/// A login for the registry `host`.
pub(super) async fn login(source: &Source, host: &str, now: Timestamp) -> Result<Granted, Failure> {
    let token = own(source, REGISTRIES).await?.access_token;
    let base = match &source.settings.endpoints.azure_registry {
        Some(base) => base.clone(),
        None => Url::parse(&format!("https://{host}/")).map_err(|_| Failure::new("the registry has no address"))?,
    };
    let url = base.join("oauth2/exchange").map_err(|_| Failure::new("the registry has no address"))?;
    let fields = [("grant_type", "access_token"), ("service", host), ("access_token", token.expose())];
    let answer = source.http.send(Call::form("the token exchange of the registry", url, &fields)).await;
    let hint = "does the identity have the role `AcrPull` on the registry?";
    let answer = answer.map_err(|failure| failure.hint_if_denied(hint))?;
    let RefreshToken { refresh_token } = answer.json()?;
    let expires = end(&refresh_token).or_else(|| now.checked_add(ASSUMED_LIFE).ok());
    let expires = expires.ok_or_else(|| answer.unreadable())?;
    Ok(Granted { username: USERNAME.to_owned(), password: refresh_token, expires })
}

/// A login to Azure DevOps as the identity of this process.
pub(super) async fn workload(source: &Source, now: Timestamp) -> Result<Granted, Failure> {
    granted(own(source, DEVOPS).await?, now)
}

/// A login to Azure DevOps as a service principal.
pub(super) async fn principal(
    source: &Source,
    principal: &AzurePrincipal,
    proxy: Option<&GitProxy>,
    now: Timestamp,
) -> Result<Granted, Failure> {
    let AzurePrincipal { tenant, client, secret, authority } = principal;
    let url = tenant_url(&principal_authority(source, authority.as_deref())?, "azureServicePrincipalTenantId", tenant)?;
    let fields = [
        ("client_id", client.as_str()),
        ("scope", DEVOPS.scope),
        ("client_secret", secret.expose()),
        ("grant_type", "client_credentials"),
    ];
    let answer = source.http.send(Call::form("the token service of Azure", url, &fields).by(proxy)).await?;
    granted(answer.json()?, now)
}

fn granted(token: AccessToken, now: Timestamp) -> Result<Granted, Failure> {
    let AccessToken { access_token, expires_in } = token;
    let seconds = expires_in.as_i64().or_else(|| expires_in.as_str()?.parse().ok());
    let expires = seconds.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    let expires = expires.ok_or_else(|| Failure::new("the token that Azure gave has no readable end"))?;
    Ok(Granted { username: String::new(), password: access_token, expires })
}

/// Where a service principal's tokens are given: where its Secret says, or in the public cloud.
fn principal_authority(source: &Source, named: Option<&str>) -> Result<Url, Failure> {
    let known = &source.settings.endpoints.azure_authority;
    let text = named.or(known.as_ref().map(Url::as_str)).unwrap_or(AUTHORITY);
    let trusted =
        |url: &Url| url.scheme() == "https" || known.as_ref().is_some_and(|known| known.origin() == url.origin());
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok().filter(trusted);
    url.ok_or_else(|| Failure::new("`azureActiveDirectoryEndpoint` is not an https address"))
}

/// A token of the identity that this process has.
async fn own(source: &Source, audience: Audience) -> Result<AccessToken, Failure> {
    match federated(source, audience).await? {
        Some(token) => Ok(token),
        None => managed(source, audience).await,
    }
}

/// Where the tokens of a tenant are given; `variable` is what names the tenant.
fn tenant_url(authority: &Url, variable: &str, tenant: &str) -> Result<Url, Failure> {
    let url = authority.join(&format!("{tenant}/oauth2/v2.0/token"));
    let plain = tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let url = url.ok().filter(|_| plain);
    url.ok_or_else(|| Failure::new(format!("`{variable}` is not the id of a tenant")))
}

/// The token that Azure gives for the one that Kubernetes projects into the Pod, if that is set up.
async fn federated(source: &Source, audience: Audience) -> Result<Option<AccessToken>, Failure> {
    let variable = |name| source.settings.variable(name);
    let names = (variable("AZURE_CLIENT_ID"), variable("AZURE_TENANT_ID"), variable(TOKEN_FILE));
    let (Some(client), Some(tenant), Some(path)) = names else { return Ok(None) };
    let url = tenant_url(&authority(source)?, "AZURE_TENANT_ID", tenant)?;
    let token = read_file(TOKEN_FILE, path).await?;
    let fields = [
        ("client_id", client),
        ("scope", audience.scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", token.expose()),
        ("grant_type", "client_credentials"),
    ];
    let answer = source.http.send(Call::form("the token service of Azure", url, &fields)).await;
    let answer = answer.map_err(|failure| {
        Failure::new(format!("cannot become `{client}` with the token in `{path}`: {}", failure.cause))
    })?;
    Ok(Some(answer.json()?))
}

fn authority(source: &Source) -> Result<Url, Failure> {
    const VARIABLE: &str = "AZURE_AUTHORITY_HOST";
    if let Some(url) = &source.settings.endpoints.azure_authority {
        return Ok(url.clone());
    }
    let text = source.settings.variable(VARIABLE).unwrap_or(AUTHORITY);
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    url.ok_or_else(|| Failure::new(format!("`{VARIABLE}` is not an https address")))
}

/// The token of the identity that the machine has.
async fn managed(source: &Source, audience: Audience) -> Result<AccessToken, Failure> {
    let url = source.settings.endpoints.azure_instance.join("metadata/identity/oauth2/token");
    let mut url = url.map_err(|_| Failure::new("the address of the metadata service has no path"))?;
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", audience.resource);
    if let Some(client) = source.settings.variable("AZURE_CLIENT_ID") {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    let call = Call::new("the metadata service of Azure", Way::Inside, Method::GET, url).header("metadata", "true")?;
    let answer = source.http.send(call).await.map_err(|failure| {
        if !failure.is_absent() {
            return failure;
        }
        Failure::new(format!(
            "this process has no Azure identity: tried workload identity, managed identity ({}); set the annotation \
             `azure.workload.identity/client-id` on its ServiceAccount and the label \
             `azure.workload.identity/use: \"true\"` on its Pod",
            failure.cause
        ))
    })?;
    answer.json()
}

/// When a token ends, by its own words. They are not verified: the registry will.
fn end(token: &Secret) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
    Timestamp::from_second(serde_json::from_slice::<Claims>(&claims).ok()?.exp).ok()
}
