//! What an administrator configures: where a registry is spoken to, with whose login, and with which trust.

#![allow(clippy::disallowed_methods, reason = "writes scripts for tests, and reads what they left")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use fairlead::lower;
use fairlead::model::{Cloud, TagOrder};
use fairlead::ports::{CloudLogin, CloudLoginError, CloudLogins, SecretData};
use jiff::Timestamp;

use crate::support::faults::{Reply, Server, answer, json};
use crate::support::ports::World;
use crate::support::tls;

/// A registry that wants a login; its tags say who asked: `one`, `two`, or another.
async fn registry() -> Server {
    Server::start(|_, seen| {
        let who = match seen.headers.get("authorization").map(String::as_str) {
            Some("Basic b25lOnMzY3JldA==") => "one",
            Some("Basic dHdvOnMzY3JldA==") => "two",
            Some("Basic QVdTOnRva2Vu") => "aws",
            Some(_) | None => return Reply::Send(answer(401, &[("www-authenticate", "Basic realm=\"registry\"")], "")),
        };
        json(&format!(r#"{{"tags":["{who}"]}}"#))
    })
    .await
}

/// A client with this configuration.
fn world(configuration: &str) -> World {
    let world = World::new(&[]);
    let configuration = lower::registries(configuration).expect("a test's configurations are good");
    world.client.configure(configuration);
    world
}

/// A script of these lines.
fn script(lines: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("auth.sh");
    std::fs::write(&path, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{lines}\n")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = path.to_str().expect("a readable path").to_owned();
    (folder, path)
}

#[tokio::test]
async fn two_teams_on_one_host_have_their_own_logins() {
    let server = registry().await;
    let host = server.host();
    let world = world(&format!(
        "
registries:
- {{name: One, api_url: 'http://{host}', prefix: '{host}/one', credentials: 'pullsecret:argocd/one'}}
- {{name: Two, api_url: 'http://{host}', prefix: '{host}/two', credentials: 'secret:argocd/two#creds'}}
"
    ));
    world.vault.login("one", host, "one", "s3cret");
    world.vault.put("two", SecretData([("creds".to_owned(), b"two:s3cret\n".to_vec())].into()));
    assert_eq!(world.sentence(&format!("{host}/one/app"), None).await, "[one]");
    assert_eq!(world.sentence(&format!("{host}/two/app"), None).await, "[two]");
    world.vault.login("own", host, "one", "s3cret");
    assert_eq!(world.sentence(&format!("{host}/two/app"), Some("own")).await, "[one]", "the image's own login wins");
}

#[tokio::test]
async fn a_login_that_cannot_be_had_is_said_with_its_source_and_nothing_is_asked() {
    let server = registry().await;
    let host = server.host();
    let (_folder, path) = script("exit 7");
    for (source, expected) in [
        ("pullsecret:argocd/none".to_owned(), "the Secret `argocd/none` does not exist"),
        ("env:FAIRLEAD_TEST_NOT_SET".to_owned(), "the variable `FAIRLEAD_TEST_NOT_SET` is not set"),
        (format!("ext:{path}"), "the script `SCRIPT` ends with status 7"),
        ("aws".to_owned(), "there is no aws identity here"),
    ] {
        let world = world(&format!(
            "registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credentials: '{source}'}}]"
        ));
        let sentence = world.sentence(&format!("{host}/a/b"), None).await.replace(&path, "SCRIPT");
        let expected = format!(
            "CredentialsUnavailable: cannot list tags of `HOST/a/b`: {expected}; the registries configuration wants it for `Own`"
        );
        assert_eq!(sentence, expected);
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_login_that_a_registry_refuses_is_read_anew_once() {
    let server = registry().await;
    let host = server.host();
    let (folder, path) = script("echo x >> runs; [ -e renewed ] && echo two:s3cret || echo two:old");
    let world = world(&format!(
        "registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credentials: 'ext:{path}'}}]"
    ));
    let runs = || std::fs::read_to_string(folder.path().join("runs")).unwrap_or_default().lines().count();
    let sentence = world.sentence(&format!("{host}/a/b"), None).await.replace(&path, "SCRIPT");
    insta::assert_snapshot!(sentence, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 401 Unauthorized; asked with the login from `ext:SCRIPT`, as the registries configuration says for `Own`");
    assert_eq!(runs(), 2);
    assert!(world.tags(&format!("{host}/a/b")).await.is_err());
    assert_eq!(runs(), 2, "it is left alone for a while");
    std::fs::write(folder.path().join("renewed"), "").expect("it can be written");
    world.clock.advance(31);
    assert_eq!(world.sentence(&format!("{host}/a/b"), None).await, "[two]");
    assert_eq!(runs(), 3);
}

#[tokio::test]
async fn a_mirror_is_asked_and_the_image_keeps_its_name() {
    let server = Server::start(|_, seen| match seen.target.as_str() {
        "/base/v2/hub/library/nginx/tags/list?n=100" => json(r#"{"tags":["1.0"]}"#),
        _ => Reply::Send(answer(404, &[], "")),
    });
    let server = server.await;
    let world = world(&format!(
        "registries: [{{name: Cache, api_url: 'http://{}/base', prefix: cache.example/hub, mirrorOf: docker.io}}]",
        server.host()
    ));
    assert_eq!(world.sentence("nginx", None).await, "[1.0]");
    insta::assert_snapshot!(world.sentence("docker.io/a/b", None).await, @"RepositoryNotFound: cannot list tags of `HOST/a/b`: the registry answers 404 Not Found");
}

#[tokio::test]
async fn what_is_configured_anew_is_in_force_at_once() {
    let server = registry().await;
    let host = server.host();
    let text = |secret: &str| {
        format!(
            "registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credentials: 'pullsecret:argocd/{secret}'}}]"
        )
    };
    let world = world(&text("one"));
    world.vault.login("one", host, "one", "s3cret");
    world.vault.login("two", host, "two", "s3cret");
    assert_eq!(world.sentence(&format!("{host}/a/b"), None).await, "[one]");
    world.client.configure(lower::registries(&text("two")).expect("a configuration"));
    assert_eq!(world.sentence(&format!("{host}/a/b"), None).await, "[two]");
}

#[tokio::test]
async fn trust_is_given_to_one_registry_alone() {
    let entry = |host: &str, line: &str| {
        format!("registries:\n- name: Own\n  api_url: https://{host}\n  prefix: {host}\n  {line}\n")
    };
    let pem = tls::certificate().replace('\n', "\\n");
    for (line, trusted) in
        [("insecure: no".to_owned(), false), ("insecure: yes".to_owned(), true), (format!("ca_data: \"{pem}\""), true)]
    {
        let host = tls::untrusted();
        let sentence = world(&entry(&host, &line)).sentence(&format!("{host}/a/b"), None).await;
        // The server ends the connection after the handshake.
        assert_eq!(!sentence.starts_with("TlsFailed"), trusted, "{line}: {sentence}");
    }
    let (one, other) = (tls::untrusted(), tls::untrusted());
    let world = world(&entry(&one, "insecure: yes"));
    assert!(world.sentence(&format!("{other}/a/b"), None).await.starts_with("TlsFailed"));
    let broken = entry(&one, "ca_data: nothing");
    insta::assert_snapshot!(self::world(&broken).sentence(&format!("{one}/a/b"), None).await, @"TlsFailed: cannot list tags of `HOST/a/b`: the certificates configured for it cannot be read");
}

#[tokio::test]
async fn the_order_of_a_list_is_kept_where_it_is_trusted() {
    let server = Server::start(|_, seen| {
        let first = !seen.target.contains("last=");
        let (tags, link): (_, &[_]) = if first {
            (r#"["c","a"]"#, &[("content-type", "application/json"), ("link", "<?last=a>")])
        } else {
            (r#"["b"]"#, &[("content-type", "application/json")])
        };
        Reply::Send(answer(200, link, &format!(r#"{{"tags":{tags}}}"#)))
    });
    let server = server.await;
    for (mode, expected) in [("none", None), ("latest-first", Some([2, 1, 0])), ("latest-last", Some([0, 1, 2]))] {
        let world = World::new(&[]);
        let text = format!(
            "registries: [{{name: Own, api_url: 'http://{0}', prefix: '{0}', tagsortmode: {mode}}}]",
            server.host()
        );
        let configuration = lower::registries(&text).expect("a configuration");
        assert_eq!(configuration.entries[0].tag_order == TagOrder::None, mode == "none");
        world.client.configure(configuration);
        let listing = world.tags(&format!("{}/a/b", server.host())).await.expect("the list is read");
        let place = |tag: &str| listing.places.as_ref().map(|places| places[&tag.parse().expect("a tag")]);
        let places = (place("c"), place("a"), place("b"));
        assert_eq!(
            places,
            (expected.map(|all| all[0]), expected.map(|all| all[1]), expected.map(|all| all[2])),
            "{mode}"
        );
    }
}

struct Aws;

#[async_trait]
impl CloudLogins for Aws {
    async fn login(&self, _: Cloud, _: &str) -> Result<CloudLogin, CloudLoginError> {
        let (username, password) = ("AWS".to_owned(), "token".to_owned());
        Ok(CloudLogin { username, password, issued: Timestamp::UNIX_EPOCH, expires: Timestamp::MAX })
    }
}

#[tokio::test]
async fn the_identity_of_a_cloud_logs_in() {
    let server = registry().await;
    let host = server.host();
    let mut world =
        world(&format!("registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credentials: aws}}]"));
    world.client = world.client.with_cloud_logins(Arc::new(Aws));
    assert_eq!(world.sentence(&format!("{host}/a/b"), None).await, "[aws]");
}
