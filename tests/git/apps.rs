//! Tokens of GitHub Apps, from a stand-in of the API that checks who asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fairlead::adapters::git::{ConfigMaps, SecretLogins};
use fairlead::adapters::identity::{CloudIdentities, IdentitySettings};
use fairlead::model::{GitBranch, LoginMethod, SecretRef};
use fairlead::ports::{Clock, GitError, GitLogins as _, SecretData, SecretError, Secrets};
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::faults::{Reply, Seen, Server, answer};
use crate::jwt::{KEY, pem};
use crate::support::at;

const APP: &str = "12345";
const START: i64 = 1_767_225_600;

/// The time, as client and stand-in have it.
#[derive(Default)]
struct Now(AtomicI64);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).expect("a time")
    }
}

/// One Secret of Argo CD.
pub struct One(pub BTreeMap<String, Vec<u8>>);

#[async_trait]
impl Secrets for One {
    async fn read(&self, _: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        Ok(None)
    }

    async fn labelled(&self, namespace: &str, _: &str) -> Result<Vec<(SecretRef, String, SecretData)>, SecretError> {
        let secret = SecretRef { namespace: namespace.to_owned(), name: "repo".to_owned() };
        Ok(vec![(secret, "repo-creds".to_owned(), SecretData(self.0.clone()))])
    }
}

/// Without known hosts and certificates.
pub struct NoMaps;

#[async_trait]
impl ConfigMaps for NoMaps {
    async fn read(&self, _: &str, _: &str) -> Result<Option<BTreeMap<String, String>>, String> {
        Ok(None)
    }
}

/// A stand-in of an Enterprise server's API, and logins whose Secret names an App there.
struct World {
    server: Server,
    now: Arc<Now>,
    logins: SecretLogins,
}

impl World {
    async fn new(more: &[(&str, &str)]) -> Self {
        let now = Arc::new(Now(AtomicI64::new(START)));
        let clock = Arc::clone(&now);
        let server = Server::start(move |count, seen| Reply::Send(reply(count, seen, clock.now().as_second()))).await;
        let api = format!("http://{}/api/v3/", server.host());
        let key = pem();
        let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let usual = [
            ("url", "https://git.example"),
            ("githubAppID", APP),
            ("githubAppPrivateKey", key.as_str()),
            ("githubAppEnterpriseBaseUrl", api.as_str()),
        ];
        for (key, value) in usual.iter().chain(more) {
            data.insert((*key).to_owned(), value.as_bytes().to_vec());
        }
        let clouds = CloudIdentities::new(IdentitySettings::default(), now.clone()).expect("TLS can be set up");
        let logins = SecretLogins::new(Arc::new(One(data)), Arc::new(NoMaps), Arc::new(clouds), now.clone(), "argocd");
        Self { server, now, logins }
    }

    async fn ask(&self, repository: &str) -> Result<String, GitError> {
        let branch: GitBranch = at(repository);
        match self.logins.login(&branch).await?.method {
            LoginMethod::GitHubApp { token, api } => {
                let api = api.replace(self.server.host(), "github.example");
                assert_eq!(api, "http://github.example/api/v3", "forges are asked there, too");
                Ok(token.expose().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn token(&self) -> String {
        self.ask("https://git.example/org/web.git").await.expect("a token")
    }

    async fn refusal(&self, repository: &str) -> String {
        self.ask(repository).await.expect_err("no token").to_string().replace(self.server.host(), "HOST")
    }

    fn at_minute(&self, minute: i64) {
        self.now.0.store(START + minute * 60, Ordering::SeqCst);
    }
}

/// Answers as GitHub does: to a JWT of the App that holds now, and to nothing else. `count` tells tokens apart.
fn reply(count: usize, seen: &Seen, now: i64) -> Vec<u8> {
    let jwt = seen.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if let Err(cause) = checked(jwt, now) {
        return answer(401, &[], &json!({ "message": cause }).to_string());
    }
    // A proxy is told whole addresses.
    match (seen.method.as_str(), seen.target.trim_start_matches("http://github.example")) {
        ("GET", "/api/v3/repos/org/web/installation") => {
            answer(200, &[], &json!({ "id": 77, "app_id": 12345 }).to_string())
        }
        ("POST", "/api/v3/app/installations/77/access_tokens") => {
            let token = json!({ "token": format!("ghs_{count}"), "expires_at": "2026-01-01T01:00:00Z" });
            answer(201, &[], &token.to_string())
        }
        _ => answer(404, &[], "{}"),
    }
}

/// What GitHub checks: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>.
fn checked(jwt: &str, now: i64) -> Result<(), String> {
    let (text, signature) = jwt.rsplit_once('.').ok_or("no signature")?;
    let (header, claims) = text.split_once('.').ok_or("no claims")?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "no base64");
    let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| "no JSON");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair().public().as_ref().to_vec());
    public.verify(text.as_bytes(), &decode(signature)?).map_err(|_| "a wrong signature")?;
    let (header, claims) = (read(header)?, read(claims)?);
    let (from, end) = claims["iat"].as_i64().zip(claims["exp"].as_i64()).ok_or("no times")?;
    match () {
        () if header["alg"] != "RS256" => Err("another algorithm".to_owned()),
        () if claims["iss"] != APP => Err(format!("of {}", claims["iss"])),
        () if from > now || end <= now || end - now > 600 => Err(format!("from {from} to {end} at {now}")),
        () => Ok(()),
    }
}

fn pair() -> KeyPair {
    KeyPair::from_pkcs8(&STANDARD.decode(KEY).expect("base64")).expect("a key")
}

const FOUND: &str = "GET /api/v3/repos/org/web/installation";
const MADE: &str = "POST /api/v3/app/installations/77/access_tokens";

#[tokio::test]
async fn the_installation_is_found_and_its_token_renewed_before_it_ends() {
    let world = World::new(&[]).await;
    let first = world.token().await;
    assert_eq!(world.server.lines(), [FOUND, MADE]);
    for minute in [1, 30, 49] {
        world.at_minute(minute);
        assert_eq!(world.token().await, first, "minute {minute}");
    }
    assert_eq!(world.server.lines().len(), 2, "a token that holds is used again");
    world.at_minute(50);
    let second = world.token().await;
    assert_ne!(second, first, "it would end in ten minutes");
    assert_eq!(world.server.lines(), [FOUND, MADE, FOUND, MADE]);
}

#[tokio::test]
async fn an_installation_that_is_named_is_not_looked_for_and_shared_by_all_who_ask() {
    let world = World::new(&[("githubAppInstallationID", "77")]).await;
    let repositories: Vec<String> = (0..20).map(|number| format!("https://git.example/org/{number}")).collect();
    let tokens = join_all(repositories.iter().map(|repository| world.ask(repository))).await;
    assert!(tokens.iter().all(|token| token.as_deref().ok() == Some("ghs_0")), "{tokens:?}");
    assert_eq!(world.server.lines(), [MADE]);
}

#[tokio::test]
async fn the_key_may_have_the_form_that_github_gives() {
    // What follows the head of PKCS#8 is the key as PKCS#1.
    let inner = STANDARD.encode(&STANDARD.decode(KEY).expect("base64")[26..]);
    let lines = inner.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    let lines: Vec<String> = lines.collect();
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
    let world = World::new(&[("githubAppPrivateKey", &key)]).await;
    assert_eq!(world.token().await, "ghs_1");
}

#[tokio::test]
async fn what_github_refuses_is_said_with_the_secret_and_without_what_is_in_it() {
    let other = World::new(&[("githubAppID", "999")]).await;
    insta::assert_snapshot!(other.refusal("https://git.example/org/web").await, @"the GitHub App of the Secret `argocd/repo`: `GET http://HOST/api/v3/repos/org/web/installation` answers 401 Unauthorized");
    let world = World::new(&[]).await;
    insta::assert_snapshot!(world.refusal("https://git.example/org/not-installed").await, @"the GitHub App of the Secret `argocd/repo`: `GET http://HOST/api/v3/repos/org/not-installed/installation` answers 404 Not Found");
    assert_eq!(world.token().await, "ghs_2", "a refusal keeps no other repository back");
    let broken = World::new(&[("githubAppPrivateKey", "canary")]).await;
    insta::assert_snapshot!(broken.refusal("https://git.example/org/web").await, @"the GitHub App of the Secret `argocd/repo`: its private key is no RSA key in PEM");
    assert_eq!(broken.server.lines().len(), 0);
}

#[tokio::test]
async fn a_token_is_asked_for_by_way_of_the_proxy_of_the_repository() {
    let api = ("githubAppEnterpriseBaseUrl", "http://github.example/api/v3");
    let proxy = World::new(&[]).await;
    let way = format!("http://bot:s3cret@{}", proxy.server.host());
    let world = World::new(&[api, ("proxy", &way)]).await;
    assert_eq!(world.token().await, "ghs_1");
    let whole = |line: &str| line.replace("/api", "http://github.example/api");
    assert_eq!(proxy.server.lines(), [whole(FOUND), whole(MADE)]);
    let said = proxy.server.seen().pop().and_then(|seen| seen.headers.get("proxy-authorization").cloned());
    assert_eq!(said.as_deref(), Some("Basic Ym90OnMzY3JldA=="));
    let past = World::new(&[api, ("proxy", &way), ("noProxy", "github.example")]).await;
    past.ask("https://git.example/org/web").await.expect_err("there is no such host");
    assert_eq!(proxy.server.seen().len(), 2, "past the proxy");
}
