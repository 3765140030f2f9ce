//! Google: the token service and the metadata server.

use std::sync::atomic::Ordering;

use fairlead::model::Cloud;
use fairlead::ports::CloudLogins as _;

use crate::jwt;
use crate::stand_in::{Site, World, form, same};
use crate::support::faults::{Reply, Seen, answer, json};

const HOST: &str = "europe-west1-docker.pkg.dev";
const ACCOUNT: &str = "fairlead@project.iam.gserviceaccount.com";
const HOUR: i64 = 3600;
pub const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/clusters/providers/ours";
const SUBJECT: &str = "system:serviceaccount:a:b";
const IMPERSONATION: &str =
    "/google/v1/projects/-/serviceAccounts/fairlead@project.iam.gserviceaccount.com:generateAccessToken";

/// What Google answers.
pub fn reply(site: &Site, path: &str, seen: &Seen) -> Result<Reply, String> {
    match (seen.method.as_str(), path) {
        ("POST", "/google/token") => {
            let fields = form(&seen.body);
            same("grant_type", fields.get("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer")?;
            let audience = format!("http://{}{path}", seen.headers.get("host").ok_or("no host")?);
            let claims = jwt::verified(fields.get("assertion").ok_or("no assertion")?, &audience, site.now())?;
            let (from, until) = (claims["iat"].as_i64(), claims["exp"].as_i64());
            match () {
                () if claims["iss"] != ACCOUNT => Err("another account".to_owned()),
                () if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" => {
                    Err("another scope".to_owned())
                }
                () if from != Some(site.now()) || until != Some(site.now() + HOUR) => Err("another hour".to_owned()),
                () => Ok(json(&token(site))),
            }
        }
        ("GET", "/google/computeMetadata/v1/instance/service-accounts/default/token") => {
            same("Metadata-Flavor", seen.headers.get("metadata-flavor"), "Google")?;
            Ok(Reply::Send(answer(200, &[("Metadata-Flavor", "Google")], &token(site))))
        }
        ("GET", "/google/impostor/computeMetadata/v1/instance/service-accounts/default/token") => {
            Ok(json(&token(site)))
        }
        _ => federation_reply(site, path, seen),
    }
}

/// What Google's STS answers, and those beside it.
fn federation_reply(site: &Site, path: &str, seen: &Seen) -> Result<Reply, String> {
    match (seen.method.as_str(), path) {
        ("GET", "/google/issuer") => {
            same("x-issuer", seen.headers.get("x-issuer"), "let me in")?;
            let claims = serde_json::json!({ "aud": PROVIDER, "sub": SUBJECT, "exp": site.now() + HOUR });
            Ok(json(&serde_json::json!({ "id_token": jwt::signed(&claims) }).to_string()))
        }
        ("POST", "/google/sts") => {
            let fields = form(&seen.body);
            same("grant_type", fields.get("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange")?;
            same("audience", fields.get("audience"), PROVIDER)?;
            same("scope", fields.get("scope"), "https://www.googleapis.com/auth/cloud-platform")?;
            let (access, jwt) =
                ("urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt");
            same("requested_token_type", fields.get("requested_token_type"), access)?;
            same("subject_token_type", fields.get("subject_token_type"), jwt)?;
            let token = fields.get("subject_token").ok_or("no subject_token")?;
            let claims = jwt::verified(token, PROVIDER, site.now())?;
            if claims["sub"] == SUBJECT {
                Ok(json(&token_of(site, "ya29.federated")))
            } else {
                Err("another subject".to_owned())
            }
        }
        (
            "POST",
            "/google/v1/projects/-/serviceAccounts/fairlead@project.iam.gserviceaccount.com:generateAccessToken",
        ) => {
            let token = seen.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let token = token.filter(|token| token.starts_with("ya29.federated") && site.holds(token));
            let body: serde_json::Value = serde_json::from_str(&seen.body).map_err(|_| "no JSON")?;
            match () {
                () if token.is_none() => Err("no federated token that holds".to_owned()),
                () if body
                    != serde_json::json!({ "scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "3600s" }) =>
                {
                    Err("another scope or lifetime".to_owned())
                }
                () => {
                    let until = jiff::Timestamp::from_second(site.now() + HOUR).map_err(|_| "no time")?;
                    let token = site.give("ya29.account", HOUR);
                    Ok(json(&serde_json::json!({ "accessToken": token, "expireTime": until.to_string() }).to_string()))
                }
            }
        }
        _ => Err("nothing is here".to_owned()),
    }
}

fn token(site: &Site) -> String {
    token_of(site, "ya29.google")
}

fn token_of(site: &Site, prefix: &str) -> String {
    site.logins.fetch_add(1, Ordering::Relaxed);
    let token = site.give(prefix, HOUR);
    format!(r#"{{"access_token":"{token}","expires_in":{},"token_type":"Bearer"}}"#, HOUR - 1)
}

/// The file of a service account's key.
pub fn key_file(token_uri: &str, private_key: &str) -> String {
    let file = serde_json::json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": token_uri,
    });
    file.to_string()
}

/// A file for workload identity federation, with its token from `from`.
fn federation_file(world: &World, from: &serde_json::Value, act_as: bool) -> String {
    let mut file = serde_json::json!({
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": world.at("/google/sts").as_str(),
        "credential_source": from,
    });
    if act_as {
        file["service_account_impersonation_url"] = world.at(IMPERSONATION).as_str().into();
    }
    file.to_string()
}

/// A process with a projected token that Google's STS exchanges.
pub async fn federated() -> World {
    let mut world = World::new().await;
    let path = world.file("PROJECTED", &world.projected(PROVIDER));
    let file = federation_file(&world, &serde_json::json!({ "file": path }), true);
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &file);
    world
}

/// A process whose STS is at an address, and whose token is this one.
pub async fn federated_at(address: &str, token: &str) -> World {
    let mut world = World::new().await;
    let path = world.file("PROJECTED", token);
    let from = serde_json::json!({ "file": path });
    let mut file: serde_json::Value = serde_json::from_str(&federation_file(&world, &from, true)).expect("it is JSON");
    file["token_url"] = address.into();
    file["service_account_impersonation_url"] = address.into();
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &file.to_string());
    world
}

#[tokio::test]
async fn a_projected_token_is_exchanged() {
    let mut world = World::new().await;
    let path = world.file("PROJECTED", &world.projected(PROVIDER));
    let file = federation_file(&world, &serde_json::json!({ "file": path }), false);
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &file);
    let login = world.login(Cloud::Gcp, HOST).await;
    assert_eq!((login.username.as_str(), login.password.starts_with("ya29.federated")), ("oauth2accesstoken", true));
    assert_eq!(login.expires.as_second(), world.site.now() + HOUR - 1);
}

#[tokio::test]
async fn a_federated_identity_acts_as_a_service_account() {
    let login = federated().await.login(Cloud::Gcp, HOST).await;
    assert!(login.password.starts_with("ya29.account"));
}

#[tokio::test]
async fn a_token_is_asked_for_where_the_file_says_so() {
    let mut world = World::new().await;
    let format = serde_json::json!({ "type": "json", "subject_token_field_name": "id_token" });
    let from = serde_json::json!({ "url": world.at("/google/issuer").as_str(), "headers": { "X-Issuer": "let me in" }, "format": format });
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &federation_file(&world, &from, true));
    world.login(Cloud::Gcp, HOST).await;
}

#[tokio::test]
async fn a_projected_token_that_rotates_is_read_anew_and_one_for_somebody_else_is_refused() {
    let mut world = federated().await;
    let logins = world.logins();
    logins.login(Cloud::Gcp, HOST).await.expect("a login");
    for _ in 0..5 {
        world.site.clock.advance(HOUR);
        world.file("PROJECTED", &world.projected(PROVIDER));
        let login = logins.login(Cloud::Gcp, HOST).await.expect("a login");
        assert!(world.site.holds(&login.password));
    }
    assert_eq!(world.complaints(), Vec::<String>::new());
    world.file("PROJECTED", &world.projected("//iam.googleapis.com/other"));
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: the token exchange of Google answers 400 Bad Request (`invalid_request`)");
}

#[tokio::test]
async fn a_file_for_federation_says_what_is_wrong_with_it_and_shows_nothing_to_others() {
    let mut world = World::new().await;
    let path = world.file("PROJECTED", &world.projected(PROVIDER));
    let whole = federation_file(&world, &serde_json::json!({ "file": path }), true);
    let said = async |world: &mut World, change: &dyn Fn(&mut serde_json::Value)| {
        let mut file = serde_json::from_str(&whole).expect("it is JSON");
        change(&mut file);
        world.file("GOOGLE_APPLICATION_CREDENTIALS", &file.to_string());
        world.failure(Cloud::Gcp, HOST).await
    };
    insta::assert_snapshot!(said(&mut world, &|file| file["token_url"] = "https://sts.example.com/v1/token".into()).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, names a `token_url` that is not https at `googleapis.com`");
    insta::assert_snapshot!(said(&mut world, &|file| file["service_account_impersonation_url"] = "http://iamcredentials.googleapis.com/v1/a".into()).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, names a `service_account_impersonation_url` that is not https at `googleapis.com`");
    insta::assert_snapshot!(said(&mut world, &|file| file["credential_source"] = serde_json::json!({ "environment_id": "aws1" })).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, takes its token from neither `credential_source.file` nor `credential_source.url`: others are not supported");
    insta::assert_snapshot!(said(&mut world, &|file| file["credential_source"] = serde_json::json!({ "url": "file:///etc/passwd" })).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, names a `credential_source.url` that is no address of the web");
    insta::assert_snapshot!(said(&mut world, &|file| file["credential_source"]["format"] = serde_json::json!({ "type": "xml" })).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, has a `credential_source.format` that is neither `text` nor `json` with a field");
    insta::assert_snapshot!(said(&mut world, &|file| file["credential_source"]["format"] = serde_json::json!({ "type": "json", "subject_token_field_name": "a" })).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: what `credential_source` names holds no token of the agreed form");
    assert_eq!(world.seen(), []);
}

/// A process with the key of a service account.
pub async fn with_key() -> World {
    let mut world = World::new().await;
    let file = key_file(world.at("/google/token").as_str(), &jwt::pem());
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &file);
    world
}

#[tokio::test]
async fn a_service_account_key_signs_for_an_hour() {
    let world = with_key().await;
    for host in [HOST, "gcr.io", "eu.gcr.io"] {
        let login = world.login(Cloud::Gcp, host).await;
        assert_eq!(login.username, "oauth2accesstoken");
        assert_eq!(login.expires.as_second(), world.site.now() + HOUR - 1);
    }
}

#[tokio::test]
async fn the_metadata_server_says_that_it_is_one() {
    let mut world = World::new().await;
    world.settings.endpoints.google_metadata = world.at("/google/");
    world.login(Cloud::Gcp, HOST).await;
    world.settings.endpoints.google_metadata = world.at("/google/impostor/");
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: what answers as the metadata server of Google is not it: no `Metadata-Flavor: Google`");
}

#[tokio::test]
async fn a_key_is_shown_to_google_alone() {
    for address in
        ["https://evil.example/token", "https://notgoogleapis.com/token", "http://oauth2.googleapis.com/token"]
    {
        let mut world = World::new().await;
        world.file("GOOGLE_APPLICATION_CREDENTIALS", &key_file(address, &jwt::pem()));
        let sentence = world.failure(Cloud::Gcp, HOST).await;
        insta::allow_duplicates!(
            insta::assert_snapshot!(sentence, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, names a `token_uri` that is not https at `googleapis.com`")
        );
        assert_eq!(world.seen(), []);
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let mut world = World::new().await;
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: this process has no Google identity: tried `GOOGLE_APPLICATION_CREDENTIALS`, metadata server (no connection to the metadata server of Google at `127.0.0.1`); set the annotation `iam.gke.io/gcp-service-account` on its ServiceAccount, or grant that the role `artifactregistry.reader`");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", r#"{"type":"external_account"}"#);
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not a whole file for workload identity federation");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", r#"{"type":"authorized_user"}"#);
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is neither the key of a service account nor a file for workload identity federation");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", "{");
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not a file of credentials");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", r#"{"type":"service_account"}"#);
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not a whole service account key");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &key_file("https://oauth2.googleapis.com/token", "-----BEGIN"));
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, has a `private_key` that cannot be read");
}
