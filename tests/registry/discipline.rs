//! How little is asked of a registry, and how what it asks for is obeyed.

use std::sync::Arc;

use crate::support::faults::{Reply, Seen, Server, answer, json};
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
