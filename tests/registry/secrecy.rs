//! A canary: what must not be seen is in no error, no log of any level, and no `Debug`.

#![allow(clippy::disallowed_methods, reason = "writes scripts for tests")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fairlead::adapters::oci::Timeouts;
use fairlead::ports::SecretData;

use tracing_subscriber::fmt::MakeWriter;

use crate::support::faults::{Reply, Server, answer, json, status};
use crate::support::ports::{World, limits, timeouts};

const PASSWORD: &str = "canary-password";
const TOKEN: &str = "canary-token";
const QUERY: &str = "canary-query";
/// `team:canary-password` in base64.
const BASIC: &str = "dGVhbTpjYW5hcnktcGFzc3dvcmQ";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A registry that logs in by token and then answers so, with the token in its words.
async fn registry(after: Reply) -> Server {
    Server::start(move |_, seen| {
        let host = seen.headers.get("host").map_or("", String::as_str);
        if seen.target.starts_with("/token") {
            return json(&format!(r#"{{"token":"{TOKEN}"}}"#));
        }
        if seen.headers.contains_key("authorization") {
            return after.clone();
        }
        let challenge = format!("Bearer realm=\"http://{host}/token?q={QUERY}\"");
        Reply::Send(answer(401, &[("www-authenticate", &challenge)], ""))
    })
    .await
}

/// What is said where logins come from every source of a registries configuration, and are refused or broken.
async fn configured() -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut errors = Vec::new();
    let scripts = [format!("echo team:{PASSWORD}"), format!("echo {PASSWORD}"), format!("echo {PASSWORD} >&2; exit 1")];
    let scripts = scripts.iter().enumerate().map(|(number, line)| {
        let path = folder.path().join(format!("{number}.sh"));
        std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("it can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        format!("ext:{}", path.display())
    });
    let secrets = ["secret:argocd/whole#login", "secret:argocd/broken#login", "pullsecret:argocd/pull"];
    for source in scripts.chain(secrets.map(str::to_owned)) {
        let server = registry(status(403)).await;
        let world = World::with(&[], limits(), timeouts());
        for (name, login) in [("whole", format!("team:{PASSWORD}")), ("broken", PASSWORD.to_owned())] {
            world.vault.put(name, SecretData([("login".to_owned(), login.into_bytes())].into()));
        }
        world.vault.login("pull", server.host(), "team", PASSWORD);
        let host = server.host();
        let text =
            format!("registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}', credentials: '{source}'}}]");
        let configuration = fairlead::lower::registries(&text).expect("a configuration");
        world.client.configure(configuration.clone());
        let error = world.tags(&format!("{host}/a/b")).await.expect_err("it fails");
        errors.push(format!("{error} {error:?} {configuration:?}\n"));
    }
    errors
}

#[tokio::test]
async fn no_password_token_or_query_is_ever_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is on");
    let echo = format!(r#"{{"errors":[{{"code":"{TOKEN}","message":"{TOKEN} {PASSWORD}"}}]}}"#);
    let location = format!("http://127.0.0.1:1/?{QUERY}");
    let replies = [
        Reply::Send(answer(403, &[("content-type", "application/json")], &echo)),
        Reply::Send(answer(401, &[], &echo)),
        Reply::Send(answer(429, &[("retry-after", "60")], &echo)),
        Reply::Send(answer(302, &[("location", &location)], "")),
        Reply::Send(answer(200, &[("link", &format!("<http://[{QUERY}>"))], r#"{"tags":["1"]}"#)),
        Reply::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec()),
        Reply::SendAndFallSilent(Vec::new()),
        json(&echo),
        status(500),
    ];
    let mut errors = Vec::new();
    for reply in replies {
        let server = registry(reply).await;
        let timeouts = Timeouts { head: Duration::from_millis(300), ..timeouts() };
        let world = World::with(&[server.host()], limits(), timeouts);
        world.vault.login("pull", server.host(), "team", PASSWORD);
        let error = world.tags_with(&format!("{}/a/b", server.host()), Some("pull")).await.expect_err("it fails");
        errors.push(format!("{error} {error:?}\n"));
        assert!(server.seen().iter().any(|seen| seen.target.contains(QUERY)), "the query was in play");
        assert!(server.seen().iter().any(|seen| format!("{seen:?}").contains(BASIC)), "the password was in play");
        assert!(server.seen().iter().any(|seen| format!("{seen:?}").contains(TOKEN)), "the token was in play");
    }
    errors.extend(configured().await);
    let world = World::new(&[]);
    world.vault.write("pull", &format!("{{{PASSWORD}"));
    let error = world.tags_with("ghcr.io/a/b", Some("pull")).await.expect_err("it fails");
    errors.push(format!("{error} {error:?}\n"));
    let mut shown = errors.concat();
    shown.push_str(&String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)));
    assert!(shown.contains("the log is on") && shown.contains("TRACE hyper"));
    for secret in [PASSWORD, TOKEN, QUERY, BASIC] {
        let line = shown.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is shown");
    }
}

#[tokio::test]
async fn the_login_of_a_proxy_is_never_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let proxy = Server::start(|_, _| status(407)).await;
    let mut errors = Vec::new();
    for (scheme, address) in [("http", proxy.host()), ("https", proxy.host()), ("http", "127.0.0.1:1")] {
        let text = format!(
            "registries: [{{name: Own, api_url: '{scheme}://own.example', prefix: own.example, proxy: 'http://team:{PASSWORD}@{address}'}}]"
        );
        let configuration = fairlead::lower::registries(&text).expect("a configuration");
        let world = World::with(&[], limits(), timeouts());
        world.client.configure(configuration.clone());
        let error = world.tags("own.example/a/b").await.expect_err("it fails");
        errors.push(format!("{error} {error:?} {configuration:?}\n"));
    }
    let broken =
        format!("registries: [{{name: Own, api_url: 'http://own.example', proxy: 'ftp://team:{PASSWORD}@x'}}]");
    errors.push(format!("{:?}\n", fairlead::lower::registries(&broken).expect_err("it is refused")));
    let mut shown = errors.concat();
    assert!(proxy.seen().iter().any(|seen| format!("{seen:?}").contains(BASIC)), "the password was in play");
    shown.push_str(&String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)));
    assert!(shown.contains("TRACE hyper"));
    for secret in [PASSWORD, BASIC] {
        assert_eq!(shown.lines().find(|line| line.contains(secret)), None, "{secret} is shown");
    }
}
