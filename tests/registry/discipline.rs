//! How little is asked of a registry, and how what it asks for is obeyed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fairlead::adapters::oci::{RequestKind, Timeouts};
use fairlead::lower;
use fairlead::model::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::faults::{Reply, Seen, Server, answer, json, nobody, status};
use crate::support::ports::{World, limits, shown, timeouts};
use crate::support::tls;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A list of this text and name, or that it is still so.
fn named(seen: &Seen, etag: &str, link: Option<&str>, body: &str) -> Reply {
    if seen.headers.get("if-none-match").is_some_and(|known| known == etag) {
        return Reply::Send(answer(304, &[("etag", etag)], ""));
    }
    let link = link.map(|link| ("link", link));
    Reply::Send(answer(200, &[&[JSON, ("etag", etag)], link.as_slice()].concat(), body))
}

#[tokio::test]
async fn a_list_that_is_still_so_is_not_sent_again_and_counts_as_fresh() {
    let server = Server::start(|before, seen| match before {
        0..=2 => named(seen, "\"one\"", None, r#"{"tags":["1.0"]}"#),
        _ => named(seen, "\"two\"", None, r#"{"tags":["1.0","1.1"]}"#),
    });
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let first = world.tags(&name).await.expect("the list is read");
    for _ in 0..2 {
        world.clock.advance(120);
        let again = world.tags(&name).await.expect("the list is read");
        assert!(Arc::ptr_eq(&first, &again), "nothing is made anew");
        assert!(Arc::ptr_eq(&again, &world.tags(&name).await.expect("it is fresh")));
    }
    assert_eq!(world.counter.all(), "tags answered 1, tags not_modified 2");
    world.clock.advance(120);
    assert_eq!(shown(&world.tags(&name).await.expect("the list is read")), "[1.0 1.1]");
    world.clock.advance(3600);
    assert_eq!(shown(&world.tags(&name).await.expect("the list is read")), "[1.0 1.1]");
    let asked: Vec<_> = server.seen().iter().map(|seen| seen.headers.get("if-none-match").cloned()).collect();
    let one = Some("\"one\"".to_owned());
    assert_eq!(asked, [None, one.clone(), one.clone(), one, None], "after an hour it has to be sent again");
}

#[tokio::test]
async fn that_the_first_page_is_still_so_says_nothing_of_the_others() {
    let server = Server::start(|before, seen| match (seen.target.contains("last="), before) {
        (false, _) => named(seen, "\"first\"", Some("<?last=2>; rel=\"next\""), r#"{"tags":["1","2"]}"#),
        (true, 0..=3) => named(seen, "\"second\"", None, r#"{"tags":["3"]}"#),
        (true, _) => named(seen, "\"longer\"", Some("<?last=4>; rel=\"next\""), r#"{"tags":["3","4"]}"#),
    });
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let mut lists = Vec::new();
    for _ in 0..3 {
        lists.push(world.sentence(&name, None).await);
        world.clock.advance(120);
    }
    // The third page of the test's registry repeats the second.
    assert_eq!(
        lists,
        ["[1 2 3]", "[1 2 3]", "[1 2 3 4] (the registry repeats a page of its list instead of continuing it)"]
    );
    assert_eq!(world.counter.all(), "tags answered 4, tags not_modified 3");
    world.clock.advance(120);
    let before = server.seen().len();
    let _ = world.tags(&name).await;
    let named = server.seen()[before..].iter().filter(|seen| seen.headers.contains_key("if-none-match")).count();
    assert_eq!(named, 0, "a list without a proper end is read from its beginning");
}

#[tokio::test]
async fn a_list_without_a_name_is_compared() {
    let server =
        Server::start(|before, _| json(if before < 2 { r#"{"tags":["1"]}"# } else { r#"{"tags":["1","2"]}"# }));
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let first = world.tags(&name).await.expect("the list is read");
    world.clock.advance(120);
    assert!(Arc::ptr_eq(&first, &world.tags(&name).await.expect("the list is read")));
    world.clock.advance(120);
    assert_eq!(world.sentence(&name, None).await, "[1 2]");
}

#[tokio::test]
async fn a_doubted_list_that_is_still_so_is_believed() {
    let many = (0..100).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(",");
    let server = Server::start(move |before, seen| match before {
        // A full page without a link is followed by an empty one.
        0 => named(seen, "\"many\"", None, &format!("{{\"tags\":[{many}]}}")),
        1 => json(r#"{"tags":[]}"#),
        _ => named(seen, "\"few\"", None, r#"{"tags":["1"]}"#),
    });
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let mut doubts = Vec::new();
    for _ in 0..4 {
        doubts.push(world.tags(&name).await.expect("the list is read").incomplete.is_some());
        world.clock.advance(120);
    }
    assert_eq!(doubts, [false, true, false, false]);
}

#[tokio::test]
async fn not_modified_without_being_asked_is_no_answer() {
    let server = Server::start(|_, _| Reply::Send(answer(304, &[], ""))).await;
    let sentence = World::new(&[server.host()]).sentence(&format!("{}/a/b", server.host()), None).await;
    insta::assert_snapshot!(sentence, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry answers 304 Not Modified");
}

#[tokio::test]
async fn a_body_that_is_cut_off_once_is_not_seen() {
    let server = Server::start(|before, _| match before {
        0 => Reply::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"tags\":[".to_vec()),
        _ => json(r#"{"tags":["1.0"]}"#),
    });
    let server = server.await;
    assert_eq!(World::new(&[server.host()]).sentence(&format!("{}/a/b", server.host()), None).await, "[1.0]");
}

#[tokio::test]
async fn a_quota_that_is_used_up_stops_everybody_with_that_login_and_nobody_else() {
    let server = Server::start(|_, seen| match seen.headers.get("authorization") {
        _ if seen.target == "/v2/" => Reply::Send(answer(401, &[("www-authenticate", "Basic realm=\"x\"")], "")),
        Some(_) => json(r#"{"tags":["1.0"]}"#),
        None => {
            let left = [JSON, ("ratelimit-limit", "100"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "600")];
            Reply::Send(answer(200, &left, r#"{"tags":["1.0"]}"#))
        }
    });
    let server = server.await;
    let (world, host) = (World::new(&[server.host()]), server.host());
    world.vault.login("own", host, "team", "s3cret");
    assert_eq!(world.sentence(&format!("{host}/a/one"), None).await, "[1.0]");
    let error = world.tags(&format!("{host}/a/two")).await.expect_err("nothing is left");
    assert_eq!(error.reason, Reason::RateLimited);
    assert!(error.retry_after.is_some_and(|wait| (590..=600).contains(&wait.as_secs())), "{:?}", error.retry_after);
    assert_eq!(world.counter.of(RequestKind::Tags), 1, "it is not even asked");
    assert_eq!(world.sentence(&format!("{host}/a/two"), Some("own")).await, "[1.0]");
    assert_eq!(world.counter.quotas(), [(RequestKind::Tags, 0)]);
}

#[tokio::test]
async fn the_quota_of_docker_hub_is_told_and_stops_no_lists() {
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/x"}"#;
    let server = Server::start(move |_, seen| {
        let left = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")];
        if seen.target.contains("/tags/") {
            json(r#"{"tags":["1"]}"#)
        } else {
            Reply::Send(answer(200, &left, manifest))
        }
    });
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    assert!(world.dates(&name, &["1"], &[]).await.is_ok());
    assert_eq!(world.sentence(&name, None).await, "[1]");
    assert_eq!(world.counter.quotas(), [(RequestKind::Manifest, 0)]);
}

#[tokio::test]
async fn a_registry_where_nothing_works_is_left_alone_and_others_are_not() {
    let host = nobody().await;
    let well = Server::start(|_, _| json(r#"{"tags":["1.0"]}"#)).await;
    let world = World::new(&[&host, well.host()]);
    for number in 0..5 {
        assert!(world.tags(&format!("{host}/a/{number}")).await.is_err());
    }
    assert_eq!(world.counter.of(RequestKind::Tags), 10);
    insta::assert_snapshot!(world.sentence(&format!("{host}/a/b"), None).await, @"RegistryUnreachable: cannot list tags of `HOST/a/b`: no connection to the registry: Connection refused (os error 111); nothing else works there either, so it is left alone for a while and then asked by one request");
    let error = world.tags(&format!("{host}/a/b")).await.expect_err("it is left alone");
    assert!(error.retry_after.is_some_and(|wait| wait <= Duration::from_millis(12_500)), "{:?}", error.retry_after);
    assert_eq!(world.counter.of(RequestKind::Tags), 10);
    assert_eq!(world.sentence(&format!("{}/a/b", well.host()), None).await, "[1.0]");
}

#[tokio::test]
async fn one_repository_that_fails_does_not_close_its_registry() {
    let server =
        Server::start(|_, seen| if seen.target.contains("/bad/") { status(500) } else { json(r#"{"tags":[]}"#) });
    let server = server.await;
    let world = World::new(&[server.host()]);
    for _ in 0..8 {
        assert!(world.tags(&format!("{}/bad/app", server.host())).await.is_err());
    }
    assert_eq!(world.counter.of(RequestKind::Tags), 16);
    assert_eq!(world.sentence(&format!("{}/good/app", server.host()), None).await, "[]");
}

/// A proxy that forwards: connections for TLS, requests for plain HTTP. Gives where it listens and counts what it forwards.
async fn proxy(login: Option<&'static str>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    let host = listener.local_addr().expect("a listener has an address").to_string();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(forward(stream, login, Arc::clone(&counted)));
        }
    });
    (host, count)
}

async fn forward(mut client: TcpStream, login: Option<&'static str>, count: Arc<AtomicUsize>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    if login.is_some_and(|login| !head.contains(login)) {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        return None;
    }
    count.fetch_add(1, Ordering::Relaxed);
    let (method, rest) = head.split_once(' ')?;
    let mut server;
    if method == "CONNECT" {
        server = TcpStream::connect(rest.split_once(' ')?.0).await.ok()?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    } else {
        let (host, path) = rest.strip_prefix("http://")?.split_once('/')?;
        server = TcpStream::connect(host).await.ok()?;
        server.write_all(format!("{method} /{path}").as_bytes()).await.ok()?;
    }
    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok().map(|_| ())
}

/// The client for one registry with one more line in its entry.
fn through(address: &str, line: &str) -> World {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    let text = format!("registries:\n- name: Own\n  api_url: {address}\n  prefix: {host}\n  {line}\n");
    let world = World::with(&[], limits(), Timeouts { head: Duration::from_secs(2), ..timeouts() });
    world.client.configure(lower::registries(&text).expect("a configuration"));
    world
}

#[tokio::test]
async fn a_registry_is_asked_through_its_proxy() {
    let server = Server::start(|_, _| json(r#"{"tags":["1.0"]}"#)).await;
    let (address, name) = (format!("http://{}", server.host()), format!("{}/a/b", server.host()));
    // `team:canary-password` in base64.
    let login = "Basic dGVhbTpjYW5hcnktcGFzc3dvcmQ=";
    let ((open, opened), (closed, passed)) = (proxy(None).await, proxy(Some(login)).await);
    assert_eq!(through(&address, &format!("proxy: http://{open}")).sentence(&name, None).await, "[1.0]");
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    let world = through(&address, &format!("proxy: http://team:canary-password@{closed}"));
    assert_eq!(world.sentence(&name, None).await, "[1.0]");
    assert_eq!(passed.load(Ordering::Relaxed), 1);
    assert_eq!(through(&address, "proxy: none").sentence(&name, None).await, "[1.0]");
    let refused = through(&address, &format!("proxy: http://{closed}")).sentence(&name, None).await;
    insta::assert_snapshot!(refused, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry answers 407 Proxy Authentication Required");
    assert_eq!((opened.load(Ordering::Relaxed), passed.load(Ordering::Relaxed), server.seen().len()), (1, 1, 3));
}

#[tokio::test]
async fn tls_goes_through_a_proxy_to_the_registry_itself() {
    let ((proxy, count), host) = (proxy(None).await, tls::untrusted());
    let world = through(&format!("https://{host}"), &format!("proxy: http://{proxy}"));
    insta::assert_snapshot!(world.sentence(&format!("{host}/a/b"), None).await, @"TlsFailed: cannot list tags of `HOST/a/b`: no trusted TLS connection: invalid peer certificate: UnknownIssuer");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
