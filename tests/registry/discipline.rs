//! How little is asked of a registry, and how what it asks for is obeyed.

use std::sync::Arc;
use std::time::Duration;

use fairlead::adapters::oci::RequestKind;
use fairlead::model::Reason;

use crate::support::faults::{Reply, Seen, Server, answer, json, nobody, status};
use crate::support::ports::{World, shown};

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
