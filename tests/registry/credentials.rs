//! How long a login is used, whose it is, and what happens when it cannot be read anew. The clock is the test's.

use std::sync::Arc;

use async_trait::async_trait;
use fairlead::adapters::oci::RequestKind;
use fairlead::lower;
use fairlead::model::{Cloud, CredentialSource, SecretRef};
use fairlead::ports::{CloudLogin, CloudLoginError, CloudLogins, Question, SecretData};
use jiff::Timestamp;

use crate::support::faults::{Reply, Seen, Server, answer, json};
use crate::support::ports::{World, repository, shown};

/// Of `team` with the password `one`, and with `two`.
const ONE: &str = "Basic dGVhbTpvbmU=";
const TWO: &str = "Basic dGVhbTp0d28=";

fn authorization(seen: &Seen) -> &str {
    seen.headers.get("authorization").map_or("", String::as_str)
}

/// A registry that takes these headers; its tags say with which it was asked.
async fn taking(accepted: &'static [&'static str]) -> Server {
    Server::start(move |_, seen| match authorization(seen) {
        ONE if accepted.contains(&ONE) => json(r#"{"tags":["one"]}"#),
        TWO if accepted.contains(&TWO) => json(r#"{"tags":["two"]}"#),
        _ => Reply::Send(answer(401, &[("www-authenticate", "Basic realm=\"registry\"")], "")),
    })
    .await
}

fn pull_secret(name: &str) -> CredentialSource {
    CredentialSource::PullSecret(SecretRef { namespace: "team".to_owned(), name: name.to_owned() })
}

fn field(name: &str, field: &str) -> CredentialSource {
    let secret = SecretRef { namespace: "team".to_owned(), name: name.to_owned() };
    CredentialSource::Secret { secret, field: field.to_owned() }
}

fn put(world: &World, name: &str, login: &str) {
    world.vault.put(name, SecretData([("creds".to_owned(), login.as_bytes().to_vec())].into()));
}

async fn asked(world: &World, name: &str, source: &CredentialSource) -> String {
    match world.tags_by(name, Some(source)).await {
        Ok(listing) => shown(&listing),
        Err(error) => format!("{}: {error}", error.reason),
    }
}

/// A world where logins for `host` are good for an hour.
fn world_with_life(host: &str) -> World {
    let world = World::new(&[]);
    let text = format!("registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credsexpire: 1h}}]");
    world.client.configure(lower::registries(&text).expect("a configuration"));
    world
}

#[tokio::test]
async fn a_pull_secret_is_read_once_for_all_its_repositories() {
    let server = taking(&[ONE]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "one");
    for number in 0..20 {
        let name = format!("{}/a/b{number}", server.host());
        assert_eq!(asked(&world, &name, &pull_secret("pull")).await, "[one]");
    }
    assert_eq!(world.vault.reads(), 1);
}

#[tokio::test]
async fn a_secret_is_read_anew_each_minute_or_at_four_fifths_of_credsexpire() {
    for (life, source) in [
        (60, pull_secret("pull")),
        (60, field("login", "creds")),
        (3600, pull_secret("pull")),
        (3600, field("login", "creds")),
    ] {
        let server = taking(&[ONE, TWO]).await;
        let world = if life == 60 { World::new(&[server.host()]) } else { world_with_life(server.host()) };
        let name = format!("{}/a/b", server.host());
        world.vault.login("pull", server.host(), "team", "one");
        put(&world, "login", "team:one");
        assert_eq!(asked(&world, &name, &source).await, "[one]");
        world.vault.login("pull", server.host(), "team", "two");
        put(&world, "login", "team:two");
        world.clock.advance(life * 4 / 5 - 1);
        assert_eq!((asked(&world, &name, &source).await.as_str(), world.vault.reads()), ("[one]", 1));
        world.clock.advance(1);
        assert_eq!((asked(&world, &name, &source).await.as_str(), world.vault.reads()), ("[two]", 2));
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_read_anew_once_and_used() {
    let server = taking(&[TWO]).await;
    let world = world_with_life(server.host());
    let name = format!("{}/a/b", server.host());
    world.vault.login("pull", server.host(), "team", "one");
    assert!(asked(&world, &name, &pull_secret("pull")).await.starts_with("RegistryDenied"));
    assert_eq!(world.vault.reads(), 2, "once anew");
    world.vault.login("pull", server.host(), "team", "two");
    assert_eq!(asked(&world, &name, &pull_secret("pull")).await, "[two]");
    assert_eq!(world.counter.of(RequestKind::Ping), 2, "one for each login");
}

#[tokio::test]
async fn a_login_stays_in_use_while_it_cannot_be_read_anew() {
    let server = taking(&[ONE, TWO]).await;
    for source in [pull_secret("pull"), field("login", "creds")] {
        let world = World::new(&[server.host()]);
        let name = format!("{}/a/b", server.host());
        world.vault.login("pull", server.host(), "team", "one");
        put(&world, "login", "team:one");
        assert_eq!(asked(&world, &name, &source).await, "[one]");
        world.vault.set_broken(true);
        for _ in 0..60 {
            world.clock.advance(60);
            assert_eq!(asked(&world, &name, &source).await, "[one]");
        }
        assert_eq!(world.vault.reads(), 61);
        assert_eq!(asked(&world, &name, &source).await, "[one]");
        assert_eq!(world.vault.reads(), 61, "not at every question");
        world.vault.login("pull", server.host(), "team", "two");
        put(&world, "login", "team:two");
        world.vault.set_broken(false);
        world.clock.advance(60);
        assert_eq!(asked(&world, &name, &source).await, "[two]");
    }
}

#[tokio::test]
async fn a_login_for_another_repository_that_is_added_to_a_secret_is_found_at_once() {
    let server = taking(&[ONE]).await;
    let world = World::new(&[server.host()]);
    let (host, source) = (server.host(), pull_secret("pull"));
    let key = format!("{host}/a");
    world.vault.login("pull", &key, "team", "one");
    assert_eq!(asked(&world, &format!("{host}/a/app"), &source).await, "[one]");
    insta::assert_snapshot!(asked(&world, &format!("{host}/b/app"), &source).await.replace(host, "HOST"), @"CredentialsUnavailable: cannot list tags of `HOST/b/app`: `.dockerconfigjson` of the Secret `team/pull`: it holds no login for `HOST`");
    world.vault.login("pull", host, "team", "one");
    assert_eq!(asked(&world, &format!("{host}/b/app"), &source).await, "[one]");
}

#[tokio::test]
async fn two_sources_share_a_list_where_their_login_is_the_same_and_nothing_where_it_is_not() {
    let server = taking(&[ONE, TWO]).await;
    let world = World::new(&[server.host()]);
    let name = format!("{}/a/b", server.host());
    world.vault.login("pull", server.host(), "team", "one");
    put(&world, "same", "team:one");
    put(&world, "other", "team:two");
    let sources = [pull_secret("pull"), field("same", "creds"), field("other", "creds")];
    let mut lists = Vec::new();
    for source in &sources {
        lists.push(asked(&world, &name, source).await);
    }
    assert_eq!(lists, ["[one]", "[one]", "[two]"]);
    assert_eq!(world.counter.of(RequestKind::Tags), 2);
}

#[tokio::test]
async fn the_source_is_named_where_its_login_is_refused_or_missing() {
    let server = taking(&[]).await;
    let world = World::new(&[server.host()]);
    let (host, name) = (server.host(), format!("{}/a/b", server.host()));
    put(&world, "login", "team:one");
    insta::assert_snapshot!(asked(&world, &name, &field("login", "creds")).await.replace(host, "HOST"), @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 401 Unauthorized; asked with the login from `secret:team/login#creds`");
    insta::assert_snapshot!(asked(&world, &name, &field("login", "other")).await.replace(host, "HOST"), @"CredentialsUnavailable: cannot list tags of `HOST/a/b`: the Secret `team/login` has no key `other`");
    insta::assert_snapshot!(asked(&world, &name, &CredentialSource::Environment("FAIRLEAD_TEST_NOT_SET".to_owned())).await.replace(host, "HOST"), @"CredentialsUnavailable: cannot list tags of `HOST/a/b`: the variable `FAIRLEAD_TEST_NOT_SET` is not set");
    insta::assert_snapshot!(asked(&world, &name, &CredentialSource::Cloud(Cloud::Gcp)).await.replace(host, "HOST"), @"CredentialsUnavailable: cannot list tags of `HOST/a/b`: there is no gcp identity here");
}

/// An identity for every cloud but Azure.
struct Identities;

#[async_trait]
impl CloudLogins for Identities {
    async fn login(&self, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError> {
        if cloud == Cloud::Azure {
            let cause = "this process has no Azure identity".to_owned();
            return Err(CloudLoginError { host: host.to_owned(), cloud, cause });
        }
        let (username, password) = (cloud.to_string(), "token".to_owned());
        Ok(CloudLogin { username, password, issued: Timestamp::UNIX_EPOCH, expires: Timestamp::MAX })
    }
}

/// Where the login for a repository comes from, or why a cloud gives none. No registry is asked.
async fn chosen(world: &World, name: &str, credentials: Option<&CredentialSource>) -> String {
    let repository = repository(name);
    let question = Question { repository: &repository, credentials, platforms: &[], dates: false };
    match world.client.approach(&question).await {
        Ok(approach) => approach.login.or(approach.no_identity).unwrap_or_else(|| "nobody's".to_owned()),
        Err(error) => format!("{}: {error}", error.reason),
    }
}

#[tokio::test]
async fn the_host_tells_whose_identity_logs_in_where_nothing_is_configured() {
    let mut world = World::new(&[]);
    world.client = world.client.with_cloud_logins(Arc::new(Identities));
    for (name, expected) in [
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/app", "the aws identity of this process"),
        ("public.ecr.aws/nginx/nginx", "the aws identity of this process"),
        ("europe-west1-docker.pkg.dev/project/images/app", "the gcp identity of this process"),
        ("gcr.io/project/app", "the gcp identity of this process"),
        ("eu.gcr.io/project/app", "the gcp identity of this process"),
        ("ghcr.io/team/app", "nobody's"),
        ("nginx", "nobody's"),
        ("gcr.io.evil.example/app", "nobody's"),
        (
            "acme.azurecr.io/app",
            "cannot log in to `acme.azurecr.io` with the azure identity of this process: this process has no Azure identity",
        ),
    ] {
        assert_eq!(chosen(&world, name, None).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_configured_goes_before_the_identity_of_a_cloud() {
    let mut world = World::new(&[]);
    world.client = world.client.with_cloud_logins(Arc::new(Identities));
    world.vault.login("pull", "gcr.io", "team", "one");
    world.vault.put("login", SecretData([("creds".to_owned(), b"team:one".to_vec())].into()));
    let image = "gcr.io/project/app";
    assert_eq!(chosen(&world, image, Some(&pull_secret("pull"))).await, "`pullsecret:team/pull`");
    let missing = chosen(&world, image, Some(&pull_secret("none"))).await;
    insta::assert_snapshot!(missing, @"CredentialsUnavailable: cannot list tags of `gcr.io/project/app`: the Secret `team/none` does not exist");
    let text = "
registries:
- {name: Google, api_url: 'https://gcr.io', prefix: gcr.io, credentials: 'secret:argocd/login#creds'}
- {name: Azure, api_url: 'https://acme.azurecr.io', prefix: acme.azurecr.io, credentials: azure}
- {name: Amazon, api_url: 'https://public.ecr.aws', prefix: public.ecr.aws}
";
    world.client.configure(lower::registries(text).expect("a configuration"));
    assert_eq!(chosen(&world, image, None).await, "`secret:argocd/login#creds`, by the entry `Google`");
    assert_eq!(chosen(&world, "public.ecr.aws/a/b", None).await, "the aws identity of this process");
    insta::assert_snapshot!(chosen(&world, "acme.azurecr.io/app", None).await, @"CredentialsUnavailable: cannot list tags of `acme.azurecr.io/app`: cannot log in to `acme.azurecr.io` with the azure identity of this process: this process has no Azure identity; the registries configuration wants it for `Azure`");
}

#[tokio::test]
async fn without_identities_of_clouds_their_registries_are_asked_as_strangers() {
    assert_eq!(chosen(&World::new(&[]), "gcr.io/project/app", None).await, "nobody's");
}
