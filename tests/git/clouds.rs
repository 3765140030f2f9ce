//! Identities of clouds, from the Secret to the server of Git: the token arrives there, and is seen nowhere else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fairlead::adapters::clock::SystemClock;
use fairlead::adapters::git::{GitEngine, SecretLogins};
use fairlead::adapters::identity::{CloudIdentities, IdentityEndpoints, IdentitySettings};
use fairlead::ports::{Clock as _, Git as _};

use crate::apps::{NoMaps, One};
use crate::faults::{Reply, Server as Service, answer, json};
use crate::jwt;
use crate::server::{Mood, Server, basic};
use crate::servers::{FILES, has, seen};
use crate::support::{Remotes, Vault, plan, settings, start};

const ACCOUNT: &str = "fairlead@project.iam.gserviceaccount.com";
const TOKEN: &str = "ya29.canary-5d1c8807";
const SECRET: &str = "client-canary-77aa01";

/// A service that gives [`TOKEN`] to who proves to be the account or the principal.
async fn service() -> Service {
    Service::start(|_, seen| {
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let audience = format!("http://{}/google/token", seen.headers["host"]);
        let now = SystemClock.now().as_second();
        let right = match seen.target.as_str() {
            "/google/token" => {
                jwt::verified(&fields["assertion"], &audience, now).is_ok_and(|claims| claims["iss"] == ACCOUNT)
            }
            "/tenant/oauth2/v2.0/token" => fields["client_secret"] == SECRET && fields["client_id"] == "client",
            _ => false,
        };
        let token = serde_json::json!({ "access_token": TOKEN, "expires_in": 3599 });
        if right { json(&token.to_string()) } else { Reply::Send(answer(401, &[], "")) }
    })
    .await
}

async fn engine(service: &Service, state: &Path, fields: &[(&str, &str)]) -> GitEngine {
    let at = |path: &str| format!("http://{}{path}", service.host()).parse::<url::Url>().ok();
    let endpoints = IdentityEndpoints {
        google_token: at("/google/token"),
        azure_authority: at("/"),
        ..IdentityEndpoints::default()
    };
    let identity = IdentitySettings { endpoints, ..IdentitySettings::default() };
    let clouds = CloudIdentities::new(identity, Arc::new(SystemClock)).expect("TLS can be set up");
    let data = fields.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    let logins =
        SecretLogins::new(Arc::new(One(data)), Arc::new(NoMaps), Arc::new(clouds), Arc::new(SystemClock), "argocd");
    start(settings(state), Arc::new(logins), Vault::default()).await.0
}

/// Pushes with a login that the server takes as `authorization`, and looks everywhere while the push is held.
async fn pushes(service: &Service, fields: &[(&str, &str)], authorization: &str, canaries: &[&str]) {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), Some(authorization.to_owned())).await;
    let url = format!("http://{}", server.host);
    let address = format!("{url}/web.git");
    let state = tempfile::tempdir().expect("a folder");
    let fields: Vec<_> = fields.iter().copied().chain([("url", url.as_str())]).collect();
    let engine = engine(service, state.path(), &fields).await;
    server.set(Mood::HoldsPushes);
    let writing =
        tokio::spawn(async move { engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await });
    server.arrived().await;
    let held = seen(state.path());
    assert!(has(&held, "git\0-c\0co"), "the push is among what is looked at");
    server.go_on();
    assert!(writing.await.expect("no panic").expect("written").pushed);
    let after = seen(state.path());
    for canary in canaries {
        assert!(!has(&held, canary), "{canary} is seen while the push is held");
        assert!(!has(&after, canary), "{canary} is seen after the push");
    }
    assert_eq!(remotes.text("main", "values.yaml").as_deref(), Some("tag: 1.0.1\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_google_service_account_pushes_and_neither_its_key_nor_its_token_is_seen() {
    let service = service().await;
    let key = serde_json::json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key": jwt::pem(),
        "private_key_id": "1",
        "token_uri": format!("http://{}/google/token", service.host()),
    });
    let authorization = basic(ACCOUNT, TOKEN);
    let encoded = authorization.replace("Basic ", "");
    let canaries = [TOKEN, encoded.as_str(), &jwt::KEY[60..100]];
    pushes(&service, &[("gcpServiceAccountKey", &key.to_string())], &authorization, &canaries).await;
    assert_eq!(service.lines(), ["POST /google/token"], "one token for all that Git does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_principal_of_azure_pushes_and_neither_its_secret_nor_its_token_is_seen() {
    let service = service().await;
    let fields = [
        ("azureServicePrincipalClientId", "client"),
        ("azureServicePrincipalClientSecret", SECRET),
        ("azureServicePrincipalTenantId", "tenant"),
    ];
    pushes(&service, &fields, &format!("Bearer {TOKEN}"), &[TOKEN, SECRET]).await;
    assert_eq!(service.lines(), ["POST /tenant/oauth2/v2.0/token"], "one token for all that Git does");
}
