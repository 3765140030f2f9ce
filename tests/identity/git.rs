//! Logins to Git as identities of clouds, by the Secrets of Argo CD and of policies.

#![allow(clippy::panic, reason = "a login of another kind fails a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use fairlead::adapters::git::{ConfigMaps, SecretLogins};
use fairlead::model::{Cloud, GitAccess, GitBranch, LoginMethod, SecretRef};
use fairlead::ports::{CloudLogins as _, GitLogins as _, SecretData, SecretError, Secrets};

use crate::azure::{CLIENT, CLIENT_SECRET, TENANT};
use crate::stand_in::World;
use crate::support::faults::Server;
use crate::support::ports::HandClock;
use crate::{azure, google, jwt};

const DEVOPS: &str = "https://org@dev.azure.com/org/project/_git/web";
const MINUTE: i64 = 60;

/// One Secret, which is Argo CD's and every policy's.
struct One(BTreeMap<String, Vec<u8>>);

#[async_trait]
impl Secrets for One {
    async fn read(&self, _: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        Ok(Some(SecretData(self.0.clone())))
    }

    async fn labelled(&self, namespace: &str, _: &str) -> Result<Vec<(SecretRef, String, SecretData)>, SecretError> {
        let secret = SecretRef { namespace: namespace.to_owned(), name: "repo".to_owned() };
        Ok(vec![(secret, "repo-creds".to_owned(), SecretData(self.0.clone()))])
    }
}

struct NoMaps;

#[async_trait]
impl ConfigMaps for NoMaps {
    async fn read(&self, _: &str, _: &str) -> Result<Option<BTreeMap<String, String>>, String> {
        Ok(None)
    }
}

/// Logins to Git of a process, whose Secret holds `fields`, for repositories whose address begins with `url`.
fn logins(world: &World, url: &str, fields: &[(&str, &str)]) -> SecretLogins {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
    let data = fields.iter().chain([("url", url)].iter()).map(text).collect();
    let clock = Arc::<HandClock>::clone(&world.site.clock);
    SecretLogins::new(Arc::new(One(data)), Arc::new(NoMaps), Arc::new(world.logins()), clock, "argocd")
}

fn branch(repository: &str, access: GitAccess) -> GitBranch {
    GitBranch { repository: repository.to_owned(), branch: None, access }
}

fn argocd() -> GitAccess {
    GitAccess::ArgoCd { project: "default".to_owned() }
}

fn secret_in(namespace: &str) -> GitAccess {
    GitAccess::Secret(SecretRef { namespace: namespace.to_owned(), name: "git".to_owned() })
}

async fn method(logins: &SecretLogins, repository: &str) -> LoginMethod {
    logins.login(&branch(repository, argocd())).await.expect("a login").method
}

async fn refusal(logins: &SecretLogins, repository: &str, access: GitAccess) -> String {
    logins.login(&branch(repository, access)).await.expect_err("no login").to_string()
}

/// The user and the password, checked to hold.
fn basic(world: &World, method: LoginMethod) -> (String, String) {
    let LoginMethod::Basic { username, password } = method else { panic!("{method:?}") };
    assert!(world.site.holds(password.expose()), "it is one that was given");
    (username, password.expose().to_owned())
}

/// The token, checked to hold.
fn bearer(world: &World, method: LoginMethod) -> String {
    let LoginMethod::Bearer(token) = method else { panic!("{method:?}") };
    assert!(world.site.holds(token.expose()), "it is one that was given");
    token.expose().to_owned()
}

fn principal<'a>(secret: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let whole = [
        ("azureServicePrincipalClientId", CLIENT),
        ("azureServicePrincipalClientSecret", secret),
        ("azureServicePrincipalTenantId", TENANT),
    ];
    whole.into_iter().chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn a_google_service_account_is_a_user_whose_password_is_renewed_before_it_ends() {
    let world = World::new().await;
    let key = google::key_file(world.at("/google/token").as_str(), &jwt::pem());
    let logins = logins(&world, "https://source.developers.google.com", &[("gcpServiceAccountKey", &key)]);
    let ask = async || basic(&world, method(&logins, "https://source.developers.google.com/p/a/r/web").await);
    let first = ask().await;
    assert_eq!(first.0, "fairlead@project.iam.gserviceaccount.com");
    for _ in 0..4 {
        world.site.clock.advance(10 * MINUTE);
        assert_eq!(ask().await, first, "it holds still");
    }
    assert_eq!(world.seen().len(), 1, "a token that holds is used again");
    world.site.clock.advance(9 * MINUTE);
    assert_ne!(ask().await, first, "it would end in ten minutes");
    assert_eq!((world.seen().len(), world.complaints()), (2, Vec::new()));
    world.fail(true);
    world.site.clock.advance(55 * MINUTE);
    let holds = ask().await;
    world.site.clock.advance(4 * MINUTE);
    assert_eq!(ask().await, holds, "an outage is bridged by the token at hand");
    world.site.clock.advance(MINUTE);
    insta::assert_snapshot!(refusal(&logins, "https://source.developers.google.com/p/a/r/web", argocd()).await, @"the Google service account of the Secret `argocd/repo`: the token service of Google answers 503 Service Unavailable");
}

#[tokio::test]
async fn a_key_of_google_says_what_is_wrong_with_it_and_is_shown_to_google_alone() {
    let world = World::new().await;
    let said = async |key: &str| {
        let logins = logins(&world, "https://git.example", &[("gcpServiceAccountKey", key)]);
        refusal(&logins, "https://git.example/web", argocd()).await
    };
    insta::assert_snapshot!(said("canary").await, @"the Google service account of the Secret `argocd/repo`: its `gcpServiceAccountKey` is not the JSON file of a key");
    insta::assert_snapshot!(said(r#"{"type":"external_account","credential_source":{"file":"/etc/passwd"}}"#).await, @"the Google service account of the Secret `argocd/repo`: its `gcpServiceAccountKey` is not the key of a service account: its `type` is not `service_account`");
    insta::assert_snapshot!(said(r#"{"type":"service_account"}"#).await, @"the Google service account of the Secret `argocd/repo`: its `gcpServiceAccountKey` is not a whole service account key");
    insta::assert_snapshot!(said(&google::key_file("https://evil.example/token", &jwt::pem())).await, @"the Google service account of the Secret `argocd/repo`: its `gcpServiceAccountKey` names a `token_uri` that is not https at `googleapis.com`");
    insta::assert_snapshot!(said(&google::key_file("https://oauth2.googleapis.com/token", "canary")).await, @"the Google service account of the Secret `argocd/repo`: its `gcpServiceAccountKey` has a `private_key` that cannot be read");
    assert_eq!(world.seen(), []);
}

#[tokio::test]
async fn the_azure_identity_of_the_process_is_a_token_for_azure_devops() {
    let mut world = azure::federated().await;
    let own = [("useAzureWorkloadIdentity", "true")];
    let logins = logins(&world, "https://org@dev.azure.com", &own);
    let first = bearer(&world, method(&logins, DEVOPS).await);
    assert!(first.starts_with("devops"), "{first}");
    world.site.clock.advance(40 * MINUTE);
    assert_eq!(bearer(&world, method(&logins, DEVOPS).await), first);
    world.file("AZURE_FEDERATED_TOKEN_FILE", &world.projected("api://AzureADTokenExchange"));
    world.site.clock.advance(10 * MINUTE);
    assert_ne!(bearer(&world, method(&logins, DEVOPS).await), first);
    assert_eq!((world.seen().len(), world.complaints()), (2, Vec::new()));
}

#[tokio::test]
async fn the_azure_identity_of_a_machine_does_as_well() {
    let mut world = World::new().await;
    world.settings.endpoints.azure_instance = world.at("/azure/instance/");
    let logins = logins(&world, "https://dev.azure.com", &[("useAzureWorkloadIdentity", "true")]);
    bearer(&world, method(&logins, "https://dev.azure.com/org/project/_git/web").await);
    assert_eq!(world.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_identity_of_the_process_is_lent_by_argo_cd_alone_and_for_azure_devops_alone() {
    let world = azure::federated().await;
    let own = [("useAzureWorkloadIdentity", "true")];
    let everywhere = logins(&world, "https:", &own);
    insta::assert_snapshot!(refusal(&everywhere, DEVOPS, secret_in("team")).await, @"the Azure identity that the Secret `team/git` asks for: it is that of this process, which only Secrets in the namespace of Argo CD, `argocd`, may use; a service principal may be in any");
    insta::assert_snapshot!(refusal(&everywhere, "https://git.example/web", argocd()).await, @"the Azure identity that the Secret `argocd/repo` asks for: its token is for Azure DevOps alone: `https://dev.azure.com/…`, or `https://….visualstudio.com/…`");
    for stranger in ["https://dev.azure.com.evil.example/a", "https://evilvisualstudio.com/a"] {
        refusal(&everywhere, stranger, argocd()).await;
    }
    refusal(&logins(&world, "http:", &own), "http://dev.azure.com/a", argocd()).await;
    assert_eq!(world.seen(), []);
    let ours = everywhere.login(&branch(DEVOPS, secret_in("argocd"))).await.expect("it is the administrator's");
    bearer(&world, ours.method);
    bearer(&world, method(&everywhere, "https://org.visualstudio.com/project/_git/web").await);
    assert_eq!(world.seen().len(), 1);
}

#[tokio::test]
async fn a_service_principal_asks_by_its_secret_where_it_is_told_to() {
    let world = World::new().await;
    let fields = principal(CLIENT_SECRET, &[]);
    let of_policy = logins(&world, "https://other.example", &fields);
    let login = of_policy.login(&branch("https://git.example/web", secret_in("team"))).await.expect("a login");
    assert!(bearer(&world, login.method).starts_with("devops"));
    let place = world.at("/azure/authority").to_string();
    let fields = principal(CLIENT_SECRET, &[("azureActiveDirectoryEndpoint", &place)]);
    bearer(&world, method(&logins(&world, "https://git.example", &fields), "https://git.example/web").await);
    assert_eq!((world.seen().len(), world.complaints()), (2, Vec::new()));

    let said = async |fields: &[(&str, &str)]| {
        refusal(&logins(&world, "https://git.example", fields), "https://git.example/web", argocd()).await
    };
    insta::assert_snapshot!(said(&principal("canary-wrong", &[])).await, @"the Azure service principal of the Secret `argocd/repo`: the token service of Azure answers 401 Unauthorized (`invalid_client, AADSTS7000215`)");
    let evil = [("azureActiveDirectoryEndpoint", "http://evil.example")];
    insta::assert_snapshot!(said(&principal(CLIENT_SECRET, &evil)).await, @"the Azure service principal of the Secret `argocd/repo`: `azureActiveDirectoryEndpoint` is not an https address");
    insta::assert_snapshot!(said(&[("azureServicePrincipalClientId", CLIENT), ("azureServicePrincipalClientSecret", "canary"), ("azureServicePrincipalTenantId", "x/../y")]).await, @"the Azure service principal of the Secret `argocd/repo`: `azureServicePrincipalTenantId` is not the id of a tenant");
    insta::assert_snapshot!(said(&[("azureServicePrincipalClientId", CLIENT)]).await, @"the Secret `argocd/repo` holds a service principal of Azure without `azureServicePrincipalClientSecret`");
}

#[tokio::test]
async fn a_service_principal_asks_by_way_of_the_proxy_of_the_repository() {
    let world = World::new().await;
    let site = Arc::clone(&world.site);
    let proxy = Server::start(move |_, seen| {
        let path = seen.target.trim_start_matches("http://login.example");
        assert_eq!(seen.headers.get("proxy-authorization").map(String::as_str), Some("Basic Ym90OnNlY3JldA=="));
        azure::reply(&site, path, seen).expect("what Azure expects")
    })
    .await;
    let mut world = world;
    world.settings.endpoints.azure_authority = "http://login.example/azure/authority/".parse().ok();
    let address = format!("http://bot:secret@{}", proxy.host());
    let fields = principal(CLIENT_SECRET, &[("proxy", &address)]);
    bearer(&world, method(&logins(&world, "https://git.example", &fields), "https://git.example/web").await);
    assert_eq!(proxy.lines(), [format!("POST http://login.example/azure/authority/{TENANT}/oauth2/v2.0/token")]);

    world.settings.endpoints.azure_authority = Some(world.at("/azure/authority/"));
    let fields = principal(CLIENT_SECRET, &[("proxy", &address), ("noProxy", "127.0.0.1")]);
    bearer(&world, method(&logins(&world, "https://git.example", &fields), "https://git.example/web").await);
    assert_eq!((proxy.seen().len(), world.seen().len()), (1, 1), "past the proxy");
}

#[tokio::test]
async fn no_key_or_token_of_git_is_shown() {
    let mut shown = String::new();
    let world = World::new().await;
    let key = google::key_file(world.at("/google/token").as_str(), &jwt::pem());
    let all = [vec![("gcpServiceAccountKey", key.as_str())], principal(CLIENT_SECRET, &[])];
    for fields in &all {
        let logins = logins(&world, "https://git.example", fields);
        let login = logins.login(&branch("https://git.example/web", argocd())).await.expect("a login");
        let _ = writeln!(shown, "{login:?}");
        world.fail(true);
        world.site.clock.advance(3600);
        let error = logins.login(&branch("https://git.example/web", argocd())).await.expect_err("no login");
        let _ = writeln!(shown, "{error} {error:?}");
        world.fail(false);
    }
    assert!(shown.contains("answers 503"), "{shown}");
    for secret in [CLIENT_SECRET, "ya29", "devops-", &jwt::KEY[..40]] {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

#[tokio::test]
async fn a_login_to_git_is_none_to_a_registry() {
    let world = azure::federated().await;
    let registry = world.logins().login(Cloud::Azure, "acme.azurecr.io").await.expect("a login");
    let logins = logins(&world, "https://dev.azure.com", &[("useAzureWorkloadIdentity", "true")]);
    let git = bearer(&world, method(&logins, "https://dev.azure.com/org/project/_git/web").await);
    assert_ne!(registry.password, git);
}
