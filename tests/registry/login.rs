//! Logging in: with what, where, and never anywhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead::adapters::oci::RequestKind;
use futures::future::join_all;

use crate::support::faults::{Reply, Seen, Server, answer, json, status};
use crate::support::ports::World;

/// `team:s3cret` in base64, and `team:n3w`.
const OLD: &str = "Basic dGVhbTpzM2NyZXQ=";
const NEW: &str = "Basic dGVhbTpuM3c=";

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers.get(name).map_or("", String::as_str)
}

fn asks_for(challenge: &str) -> Reply {
    Reply::Send(answer(401, &[("www-authenticate", challenge)], ""))
}

/// A registry that takes one user's password.
async fn basic(accepted: &'static str) -> Server {
    Server::start(move |_, seen| {
        let accepted = header(seen, "authorization") == accepted;
        if accepted { json(r#"{"tags":["1.0"]}"#) } else { asks_for("Basic realm=\"registry\"") }
    })
    .await
}

/// A registry with a token service of its own. Tokens are `token-1`, `token-2`…; those in `revoked` are not taken. The tags
/// say who asked.
async fn bearer(revoked: &'static [&'static str]) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |_, seen| {
        let host = header(seen, "host");
        let authorization = header(seen, "authorization");
        if let Some(query) = seen.target.strip_prefix("/token?") {
            let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
            return match (authorization, query.contains("scope=repository%3A")) {
                ("" | OLD | NEW, true) => json(&format!(r#"{{"token":"token-{number}","expires_in":300}}"#)),
                _ => status(401),
            };
        }
        match authorization.strip_prefix("Bearer ").filter(|token| !revoked.contains(token)) {
            Some(token) => json(&format!(r#"{{"tags":["{token}"]}}"#)),
            None => asks_for(&format!("Bearer realm=\"http://{host}/token\",service=\"registry\"")),
        }
    })
    .await
}

#[tokio::test]
async fn a_password_is_sent_to_its_registry() {
    let server = basic(OLD).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, "[1.0]");
    assert_eq!(server.lines(), ["GET /v2/", "GET /v2/a/b/tags/list?n=100"]);
}

#[tokio::test]
async fn a_wrong_password_is_said_with_its_secret() {
    let server = basic(NEW).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    insta::assert_snapshot!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 401 Unauthorized; asked with the login of the Secret `team/pull`");
    assert_eq!(world.vault.reads(), 2, "the Secret is read again once");
    insta::assert_snapshot!(world.sentence(&format!("{}/a/b", server.host()), None).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 401 Unauthorized; no pull secret is given for it");
}

#[tokio::test]
async fn a_changed_secret_is_used_at_once() {
    let server = basic(NEW).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    assert!(world.tags_with(&format!("{}/a/b", server.host()), Some("pull")).await.is_err());
    world.vault.login("pull", server.host(), "team", "n3w");
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, "[1.0]");
}

#[tokio::test]
async fn without_its_secret_nothing_is_asked() {
    let server = basic(OLD).await;
    let world = World::new(&[server.host()]);
    let name = format!("{}/a/b", server.host());
    world.vault.login("elsewhere", "ghcr.io", "team", "s3cret");
    insta::assert_snapshot!(world.sentence(&name, Some("none")).await, @"CredentialsUnavailable: cannot list tags of `HOST/a/b`: the Secret `team/none` does not exist");
    insta::assert_snapshot!(world.sentence(&name, Some("elsewhere")).await, @"CredentialsUnavailable: cannot list tags of `HOST/a/b`: `.dockerconfigjson` of the Secret `team/elsewhere`: it holds no login for `HOST`");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn strangers_get_a_token_where_the_registry_wants_one() {
    let server = bearer(&[]).await;
    let world = World::new(&[server.host()]);
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), None).await, "[token-1]");
    insta::assert_snapshot!(server.lines().join("\n"), @"
    GET /v2/a/b/tags/list?n=100
    GET /token?scope=repository%3Aa%2Fb%3Apull&service=registry
    GET /v2/a/b/tags/list?n=100
    ");
}

#[tokio::test]
async fn a_herd_of_fifty_fetches_one_token() {
    let server = bearer(&[]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    let name = format!("{}/a/b", server.host());
    let lists = join_all((0..50).map(|_| world.sentence(&name, Some("pull")))).await;
    assert!(lists.iter().all(|list| list == "[token-1]"), "{lists:?}");
    assert_eq!(world.counter.all(), "ping denied 1, token answered 1, tags answered 1");
    assert_eq!(world.counter.not_needed(), 49);
}

#[tokio::test]
async fn a_token_serves_until_it_is_old_and_is_renewed_then() {
    let server = bearer(&[]).await;
    let world = World::new(&[server.host()]);
    let name = format!("{}/a/b", server.host());
    let mut lists = Vec::new();
    for _ in 0..3 {
        lists.push(world.sentence(&name, None).await);
        world.clock.advance(200);
    }
    assert_eq!(lists, ["[token-1]", "[token-1]", "[token-2]"]);
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once() {
    let server = bearer(&["token-1"]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, "[token-2]");
    let server = bearer(&["token-1", "token-2", "token-3"]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    let name = format!("{}/a/b", server.host());
    assert!(world.tags_with(&name, Some("pull")).await.is_err());
    assert_eq!(world.counter.of(RequestKind::Token), 2);
}

#[tokio::test]
async fn two_logins_at_one_registry_share_nothing() {
    let server = Server::start(|_, seen| match header(seen, "authorization") {
        OLD => json(r#"{"tags":["old"]}"#),
        NEW => json(r#"{"tags":["new"]}"#),
        "" if seen.target != "/v2/" => json(r#"{"tags":["public"]}"#),
        _ => asks_for("Basic realm=\"registry\""),
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    world.vault.login("one", server.host(), "team", "s3cret");
    world.vault.login("two", server.host(), "team", "n3w");
    world.vault.login("again", server.host(), "team", "s3cret");
    let name = format!("{}/a/b", server.host());
    let secrets = [Some("one"), Some("two"), None, Some("again"), Some("one")];
    let lists = join_all(secrets.map(|secret| world.sentence(&name, secret))).await;
    assert_eq!(lists, ["[old]", "[new]", "[public]", "[old]", "[old]"]);
    assert_eq!(world.counter.of(RequestKind::Tags), 3);
}

#[tokio::test]
async fn two_logins_get_two_tokens() {
    let server = bearer(&[]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("one", server.host(), "team", "s3cret");
    world.vault.login("two", server.host(), "team", "n3w");
    let name = format!("{}/a/b", server.host());
    let lists = [world.sentence(&name, Some("one")).await, world.sentence(&name, Some("two")).await];
    assert_eq!(lists, ["[token-1]", "[token-2]"]);
    let logins: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| seen.target.starts_with("/token"))
        .map(|seen| header(seen, "authorization").to_owned())
        .collect();
    assert_eq!(logins, [OLD, NEW]);
}

#[tokio::test]
async fn a_wrong_password_at_a_token_service_is_said_with_its_secret() {
    let server = bearer(&[]).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "wrong");
    insta::assert_snapshot!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry's token service answers 401 Unauthorized; asked with the login of the Secret `team/pull`");
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let server = Server::start(|_, seen| {
        if seen.target == "/token" {
            let grant = seen.body.contains("grant_type=refresh_token") && seen.body.contains("refresh_token=s3cret");
            return if grant { json(r#"{"access_token":"t"}"#) } else { status(400) };
        }
        match header(seen, "authorization") {
            "Bearer t" => json(r#"{"tags":["1.0"]}"#),
            _ => asks_for(&format!("Bearer realm=\"http://{}/token\"", header(seen, "host"))),
        }
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    let config =
        |token: &str| serde_json::json!({ "auths": { server.host(): { "identitytoken": token } } }).to_string();
    world.vault.write("good", &config("s3cret"));
    world.vault.write("bad", &config("other"));
    let name = format!("{}/a/b", server.host());
    assert_eq!(world.sentence(&name, Some("good")).await, "[1.0]");
    insta::assert_snapshot!(world.sentence(&name, Some("bad")).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry's token service answers 401 Unauthorized; asked with the login of the Secret `team/bad`");
}

#[tokio::test]
async fn a_redirect_to_another_host_goes_without_the_login() {
    let storage = Arc::new(Server::start(|_, _| json(r#"{"tags":["stored"]}"#)).await);
    let target = format!("http://{}/elsewhere", storage.host());
    let server = Server::start(move |_, seen| match (header(seen, "authorization"), seen.target.as_str()) {
        (OLD, "/v2/a/b/tags/list?n=100") => Reply::Send(answer(307, &[("location", "/v2/moved")], "")),
        (OLD, "/v2/moved") => Reply::Send(answer(302, &[("location", &target)], "")),
        _ => asks_for("Basic realm=\"registry\""),
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "s3cret");
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), Some("pull")).await, "[stored]");
    let seen = storage.seen();
    assert_eq!(seen.iter().map(|seen| header(seen, "authorization")).collect::<Vec<_>>(), [""]);
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = Server::start(|_, _| Reply::Send(answer(307, &[("location", "/v2/again")], ""))).await;
    let world = World::new(&[server.host()]);
    insta::assert_snapshot!(world.sentence(&format!("{}/a/b", server.host()), None).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry redirects more than 5 times");
    assert_eq!(server.seen().len(), 6);
}
