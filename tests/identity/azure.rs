//! Azure: the token service, the metadata service and a registry's exchange.

use std::sync::atomic::Ordering;

use fairlead::model::Cloud;

use crate::jwt;
use crate::stand_in::{Site, World, form, same};
use crate::support::faults::{Reply, Seen, answer, json};

const HOST: &str = "acme.azurecr.io";
const STRANGER: &str = "stranger.azurecr.io";
const DEVOPS_SCOPE: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";
/// The secret of the service principal.
pub const CLIENT_SECRET: &str = "canary-client-secret";
pub const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
pub const TENANT: &str = "99999999-8888-7777-6666-555555555555";
const AUDIENCE: &str = "api://AzureADTokenExchange";
const HOUR: i64 = 3600;

/// What Azure answers.
pub fn reply(site: &Site, path: &str, seen: &Seen) -> Result<Reply, String> {
    match (seen.method.as_str(), path) {
        ("POST", "/azure/authority/99999999-8888-7777-6666-555555555555/oauth2/v2.0/token") => {
            let fields = form(&seen.body);
            same("client_id", fields.get("client_id"), CLIENT)?;
            same("grant_type", fields.get("grant_type"), "client_credentials")?;
            let given = match fields.get("scope").map(String::as_str) {
                Some("https://containerregistry.azure.net/.default") => site.give("entra", HOUR),
                Some(DEVOPS_SCOPE) => site.give("devops", HOUR),
                _ => return Err("another scope".to_owned()),
            };
            let token = json(&format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{given}"}}"#));
            if let Some(secret) = fields.get("client_secret") {
                same("scope", fields.get("scope"), DEVOPS_SCOPE)?;
                let wrong = r#"{"error":"invalid_client","error_description":"no","error_codes":[7000215]}"#;
                let wrong = Reply::Send(answer(401, &[("content-type", "application/json")], wrong));
                return Ok(if secret == CLIENT_SECRET { token } else { wrong });
            }
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            same("client_assertion_type", fields.get("client_assertion_type"), kind)?;
            jwt::verified(fields.get("client_assertion").ok_or("no assertion")?, AUDIENCE, site.now())?;
            Ok(token)
        }
        ("GET", "/azure/instance/metadata/identity/oauth2/token") => {
            same("Metadata", seen.headers.get("metadata"), "true")?;
            let query = form(seen.target.split_once('?').ok_or("no query")?.1);
            same("api-version", query.get("api-version"), "2018-02-01")?;
            query.get("client_id").map_or(Ok(()), |client| same("client_id", Some(client), CLIENT))?;
            let given = match query.get("resource").map(String::as_str) {
                Some("https://containerregistry.azure.net") => site.give("entra", HOUR),
                Some("499b84ac-1321-427f-aa17-267ca6975798") => site.give("devops", HOUR),
                _ => return Err("another resource".to_owned()),
            };
            Ok(json(&format!(r#"{{"expires_in":"3599","access_token":"{given}"}}"#)))
        }
        ("POST", "/azure/registry/oauth2/exchange") => {
            let fields = form(&seen.body);
            same("grant_type", fields.get("grant_type"), "access_token")?;
            if !fields.get("access_token").is_some_and(|token| site.holds(token)) {
                return Err("the token is over".to_owned());
            }
            if fields.get("service").is_some_and(|service| service == STRANGER) {
                let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#;
                return Ok(Reply::Send(answer(401, &[("content-type", "application/json")], body)));
            }
            same("service", fields.get("service"), HOST)?;
            site.logins.fetch_add(1, Ordering::Relaxed);
            let until = site.now() + 3 * HOUR;
            let number = site.logins.load(Ordering::Relaxed);
            let token = jwt::signed(&serde_json::json!({ "aud": HOST, "exp": until, "jti": number }));
            site.gave(&token, until);
            Ok(json(&format!(r#"{{"refresh_token":"{token}"}}"#)))
        }
        _ => Err("nothing is here".to_owned()),
    }
}

/// A process with the identity of its ServiceAccount.
pub async fn federated() -> World {
    let mut world = World::new().await;
    world.set("AZURE_CLIENT_ID", CLIENT);
    world.set("AZURE_TENANT_ID", TENANT);
    world.file("AZURE_FEDERATED_TOKEN_FILE", &world.projected(AUDIENCE));
    world
}

#[tokio::test]
async fn a_federated_token_becomes_a_login_of_three_hours() {
    let world = federated().await;
    let login = world.login(Cloud::Azure, HOST).await;
    assert_eq!(login.username, "00000000-0000-0000-0000-000000000000");
    assert_eq!(login.expires.as_second(), world.site.now() + 3 * HOUR);
    insta::assert_snapshot!(world.failure(Cloud::Azure, STRANGER).await, @"cannot log in to `stranger.azurecr.io` with the azure identity of this process: the token exchange of the registry answers 401 Unauthorized (`UNAUTHORIZED`); does the identity have the role `AcrPull` on the registry?");
}

#[tokio::test]
async fn the_identity_of_the_machine_is_taken_without_another() {
    let mut world = World::new().await;
    world.settings.endpoints.azure_instance = world.at("/azure/instance/");
    world.login(Cloud::Azure, HOST).await;
    world.set("AZURE_CLIENT_ID", CLIENT);
    world.login(Cloud::Azure, HOST).await;
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let mut world = federated().await;
    world.file("AZURE_FEDERATED_TOKEN_FILE", &world.projected("sts.amazonaws.com"));
    insta::assert_snapshot!(world.failure(Cloud::Azure, HOST).await, @"cannot log in to `acme.azurecr.io` with the azure identity of this process: cannot become `11111111-2222-3333-4444-555555555555` with the token in `FOLDER/AZURE_FEDERATED_TOKEN_FILE`: the token service of Azure answers 400 Bad Request (`invalid_request`)");
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let world = World::new().await;
    insta::assert_snapshot!(world.failure(Cloud::Azure, HOST).await, @r#"cannot log in to `acme.azurecr.io` with the azure identity of this process: this process has no Azure identity: tried workload identity, managed identity (no connection to the metadata service of Azure at `127.0.0.1`); set the annotation `azure.workload.identity/client-id` on its ServiceAccount and the label `azure.workload.identity/use: "true"` on its Pod"#);
    insta::assert_snapshot!(world.failure(Cloud::Azure, "evil.example#.azurecr.io").await, @"cannot log in to `evil.example#.azurecr.io` with the azure identity of this process: `evil.example#.azurecr.io` is not a registry of azure");
    let mut world = federated().await;
    world.set("AZURE_TENANT_ID", "x/../y");
    insta::assert_snapshot!(world.failure(Cloud::Azure, HOST).await, @"cannot log in to `acme.azurecr.io` with the azure identity of this process: `AZURE_TENANT_ID` is not the id of a tenant");
    world.settings.endpoints.azure_authority = None;
    world.set("AZURE_AUTHORITY_HOST", "http://evil.example");
    insta::assert_snapshot!(world.failure(Cloud::Azure, HOST).await, @"cannot log in to `acme.azurecr.io` with the azure identity of this process: `AZURE_AUTHORITY_HOST` is not an https address");
    assert_eq!(world.seen(), []);
}
