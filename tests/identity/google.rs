//! Google: the token service and the metadata server.

use std::sync::atomic::Ordering;

use fairlead::model::Cloud;

use crate::jwt;
use crate::stand_in::{Site, World, form, same};
use crate::support::faults::{Reply, Seen, answer, json};

const HOST: &str = "europe-west1-docker.pkg.dev";
const ACCOUNT: &str = "fairlead@project.iam.gserviceaccount.com";
const HOUR: i64 = 3600;

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
        _ => Err("nothing is here".to_owned()),
    }
}

fn token(site: &Site) -> String {
    site.logins.fetch_add(1, Ordering::Relaxed);
    let token = site.give("ya29.google", HOUR);
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
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is for workload identity federation, which is not supported; use a service account key, or the workload identity of GKE");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", r#"{"type":"authorized_user"}"#);
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not the key of a service account");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", "{");
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not a file of credentials");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", r#"{"type":"service_account"}"#);
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, is not a whole service account key");
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &key_file("https://oauth2.googleapis.com/token", "-----BEGIN"));
    insta::assert_snapshot!(world.failure(Cloud::Gcp, HOST).await, @"cannot log in to `europe-west1-docker.pkg.dev` with the gcp identity of this process: `FOLDER/GOOGLE_APPLICATION_CREDENTIALS`, which `GOOGLE_APPLICATION_CREDENTIALS` names, has a `private_key` that cannot be read");
}
