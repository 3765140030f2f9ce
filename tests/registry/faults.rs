//! What a registry, or what stands between, does wrong; and what is said about it.

use std::time::Duration;

use fairlead::adapters::oci::{Limits, RequestKind, Timeouts};
use fairlead::model::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::faults::{Reply, Seen, Server, answer, json, nobody, status};
use crate::support::ports::{World, described, limits, timeouts};
use crate::support::tls;

const JSON: (&str, &str) = ("content-type", "application/json");

/// What is said when a registry answers every request so.
async fn said(reply: Reply) -> String {
    said_within(timeouts(), reply).await
}

async fn said_within(timeouts: Timeouts, reply: Reply) -> String {
    let server = Server::start(move |_, _| reply.clone()).await;
    World::with(&[server.host()], limits(), timeouts).sentence(&format!("{}/a/b", server.host()), None).await
}

#[tokio::test]
async fn every_status_has_its_sentence() {
    let coded = |code: u16, word: &str| {
        Reply::Send(answer(code, &[JSON], &format!(r#"{{"errors":[{{"code":"{word}","message":"x"}}]}}"#)))
    };
    insta::assert_snapshot!(said(status(401)).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 401 Unauthorized; no pull secret is given for it");
    insta::assert_snapshot!(said(coded(403, "DENIED")).await, @"RegistryDenied: cannot list tags of `HOST/a/b`: the registry answers 403 Forbidden (`DENIED`); no pull secret is given for it");
    insta::assert_snapshot!(said(coded(404, "NAME_UNKNOWN")).await, @"RepositoryNotFound: cannot list tags of `HOST/a/b`: the registry answers 404 Not Found (`NAME_UNKNOWN`)");
    insta::assert_snapshot!(said(status(404)).await, @"RepositoryNotFound: cannot list tags of `HOST/a/b`: the registry answers 404 Not Found");
    insta::assert_snapshot!(said(coded(429, "TOOMANYREQUESTS")).await, @"RateLimited: cannot list tags of `HOST/a/b`: the registry answers 429 Too Many Requests (`TOOMANYREQUESTS`)");
    insta::assert_snapshot!(said(status(500)).await, @"RegistryFailed: cannot list tags of `HOST/a/b`: the registry answers 500 Internal Server Error");
    insta::assert_snapshot!(said(status(503)).await, @"RegistryFailed: cannot list tags of `HOST/a/b`: the registry answers 503 Service Unavailable");
    insta::assert_snapshot!(said(status(204)).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry answers 204 No Content");
}

#[tokio::test]
async fn every_broken_answer_has_its_sentence() {
    let typed = |media_type: &str, body: &str| Reply::Send(answer(200, &[("content-type", media_type)], body));
    let cut = answer(200, &[JSON], r#"{"tags":["1.0","1.1"]}"#);
    let half = cut[..cut.len() - 8].to_vec();
    insta::assert_snapshot!(said(typed("text/html", r#"{"tags":["1.0"]}"#)).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry answers with something that is not JSON");
    insta::assert_snapshot!(said(json(r#"{"errors":[{"code":"UNKNOWN"}]}"#)).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry's answer is not a list of tags");
    insta::assert_snapshot!(said(json(r#"{"tags":["1.0","#)).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry's answer is not a list of tags");
    insta::assert_snapshot!(said(Reply::SendAndClose(half)).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry's answer is cut off");
    insta::assert_snapshot!(said(Reply::SendAndClose(Vec::new())).await, @"RegistryUnreachable: cannot list tags of `HOST/a/b`: the registry closes the connection without an answer");
    insta::assert_snapshot!(said(Reply::SendAndClose(b"SSH-2.0\r\n".to_vec())).await, @"RegistryUnreachable: cannot list tags of `HOST/a/b`: the registry closes the connection without an answer");
    let bomb = Reply::Send(answer(200, &[JSON, ("content-encoding", "gzip")], "\u{1f}"));
    insta::assert_snapshot!(said(bomb).await, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry's answer is compressed, which was not asked for");
}

#[tokio::test]
async fn every_wait_has_an_end_and_a_sentence() {
    let short = Duration::from_millis(100);
    let head = Timeouts { head: short, ..timeouts() };
    let piece = Timeouts { piece: short, ..timeouts() };
    let whole = Timeouts { whole: short, ..timeouts() };
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{".to_vec();
    insta::assert_snapshot!(said_within(head, Reply::SendAndFallSilent(Vec::new())).await, @"RegistryTimeout: cannot list tags of `HOST/a/b`: the registry does not answer within 100 ms");
    insta::assert_snapshot!(said_within(piece, Reply::SendAndFallSilent(begun.clone())).await, @"RegistryTimeout: cannot list tags of `HOST/a/b`: the registry falls silent for 100 ms in the middle of its answer");
    insta::assert_snapshot!(said_within(whole, Reply::Drip(begun)).await, @"RegistryTimeout: cannot list tags of `HOST/a/b`: the registry does not finish its answer within 100 ms");
}

#[tokio::test]
async fn answers_larger_than_their_bound_are_not_read() {
    let stated = Server::start(|_, _| {
        Reply::SendAndFallSilent(b"HTTP/1.1 200 OK\r\ncontent-length: 300000000\r\n\r\n".to_vec())
    });
    let endless = Server::start(|_, _| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        bytes.resize(100_000, b' ');
        Reply::SendAndFallSilent(bytes)
    });
    let (stated, endless) = (stated.await, endless.await);
    let world = World::with(&[stated.host(), endless.host()], Limits { tags_page: 1000, ..limits() }, timeouts());
    for host in [stated.host(), endless.host()] {
        let sentence = world.sentence(&format!("{host}/a/b"), None).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(sentence, @"UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry's answer is larger than 1000 bytes");
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let host = nobody().await;
    let world = World::new(&[&host]);
    insta::assert_snapshot!(world.sentence(&format!("{host}/a/b"), None).await, @"RegistryUnreachable: cannot list tags of `HOST/a/b`: no connection to the registry: Connection refused (os error 111)");
    assert_eq!(world.counter.all(), "tags no_answer 2");
}

#[tokio::test]
async fn a_registry_without_tls_is_not_spoken_to_unless_it_is_set_so() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    let host = listener.local_addr().expect("a listener has an address").to_string();
    // Usual servers answer so when TLS comes where plain HTTP was expected.
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("the client comes");
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.expect("the client says hello");
        stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await.expect("the client listens");
        hello
    };
    let (world, name) = (World::new(&[]), format!("{host}/a/b"));
    let (hello, sentence) = tokio::join!(server, world.sentence(&name, None));
    insta::assert_snapshot!(sentence, @"TlsFailed: cannot list tags of `HOST/a/b`: no trusted TLS connection: received corrupt message of type InvalidContentType; does it speak plain HTTP?");
    assert_eq!(hello[0], 22, "the first byte of a TLS handshake");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let host = tls::untrusted();
    insta::assert_snapshot!(World::new(&[]).sentence(&format!("{host}/a/b"), None).await, @"TlsFailed: cannot list tags of `HOST/a/b`: no trusted TLS connection: invalid peer certificate: UnknownIssuer");
}

#[tokio::test]
async fn one_failure_that_a_moment_heals_is_not_seen() {
    for first in [status(429), status(500), status(503), Reply::SendAndClose(Vec::new())] {
        let server = Server::start(move |before, _| match before {
            0 => first.clone(),
            _ => json(r#"{"tags":["1.0"]}"#),
        });
        let server = server.await;
        let world = World::new(&[server.host()]);
        assert_eq!(world.sentence(&format!("{}/a/b", server.host()), None).await, "[1.0]");
        assert_eq!(world.counter.of(RequestKind::Tags), 2);
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_a_long_wait_is_left_alone() {
    let server = Server::start(|_, _| Reply::Send(answer(429, &[("retry-after", "30")], ""))).await;
    let world = World::new(&[server.host()]);
    let error = world.tags(&format!("{}/a/b", server.host())).await.err();
    assert_eq!(
        error.map(|error| (error.reason, error.retry_after)),
        Some((Reason::RateLimited, Some(Duration::from_secs(30))))
    );
    let error = world.tags(&format!("{}/other", server.host())).await.err();
    assert_eq!(error.map(|error| error.reason), Some(Reason::RateLimited));
    let error = world.digests(&format!("{}/other", server.host()), &["1.0"]).await.err();
    let error = error.expect("it is left alone");
    assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(9)));
    assert!(error.to_string().contains("/other:1.0`: the registry asked to wait"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_short_wait_is_waited_for() {
    let server = Server::start(|before, _| match before {
        0 => Reply::Send(answer(503, &[("retry-after", "0")], "")),
        _ => json(r#"{"tags":["1.0"]}"#),
    });
    let server = server.await;
    // What is between two tries where the registry says nothing would be too long.
    let timeouts = Timeouts { back_off: Duration::from_secs(3600), ..Timeouts::default() };
    let world = World::with(&[server.host()], limits(), timeouts);
    assert_eq!(world.sentence(&format!("{}/a/b", server.host()), None).await, "[1.0]");
}

#[tokio::test]
async fn a_repository_that_hangs_does_not_hold_up_another() {
    let server = Server::start(|_, seen| {
        let hangs = seen.target.contains("/hangs/");
        if hangs { Reply::SendAndFallSilent(Vec::new()) } else { json(r#"{"tags":["1.0"]}"#) }
    });
    let server = server.await;
    let timeouts =
        Timeouts { head: Duration::from_secs(3600), whole: Duration::from_secs(3600), ..Timeouts::default() };
    let world = World::with(&[server.host()], limits(), timeouts);
    let (hanging, fine) = (format!("{}/hangs/app", server.host()), format!("{}/fine/app", server.host()));
    let tags = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    tokio::select! {
        _ = world.digests(&hanging, &tags) => unreachable!("it hangs"),
        said = async {
            while server.seen().len() < 4 { tokio::task::yield_now().await; }
            world.sentence(&fine, None).await
        } => assert_eq!(said, "[1.0]"),
    }
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn pages_are_followed_in_every_form() {
    type Link = fn(&Seen) -> String;
    let paged = |link: Link| {
        Server::start(move |_, seen| {
            if seen.target.contains("last=") {
                return json(r#"{"tags":["3"]}"#);
            }
            Reply::Send(answer(200, &[JSON, ("link", &link(seen))], r#"{"tags":["1","2"]}"#))
        })
    };
    let forms: [(Link, &str); 4] = [
        (|seen| format!("<http://{}/v2/a/b/tags/list?last=2>; rel=\"next\"", seen.headers["host"]), "[1 2 3]"),
        (|_| "</v2/a/b/tags/list?last=2&n=2>; rel=\"next\"".to_owned(), "[1 2 3]"),
        (|_| "</behind/a/proxy/v2/a/b/tags/list?last=2>; rel=\"next\"".to_owned(), "[1 2 3]"),
        (
            |_| "<http://127.0.0.9/v2/a/b/tags/list?last=2>; rel=\"next\"".to_owned(),
            "UnreadableAnswer: cannot list tags of `HOST/a/b`: the registry continues its list at another host",
        ),
    ];
    for (link, expected) in forms {
        let server = paged(link).await;
        let world = World::new(&[server.host()]);
        assert_eq!(world.sentence(&format!("{}/a/b", server.host()), None).await, expected);
    }
}

#[tokio::test]
async fn a_failing_page_fails_the_whole_list() {
    let server = Server::start(|before, _| match before {
        0 => Reply::Send(answer(200, &[JSON, ("link", "<?last=2>")], r#"{"tags":["1","2"]}"#)),
        _ => status(500),
    });
    let server = server.await;
    let sentence = World::new(&[server.host()]).sentence(&format!("{}/a/b", server.host()), None).await;
    insta::assert_snapshot!(sentence, @"RegistryFailed: cannot list tags of `HOST/a/b`: the registry answers 500 Internal Server Error");
}

#[tokio::test]
async fn looping_pages_make_an_incomplete_list() {
    let server = Server::start(|_, seen| {
        let (tags, link) =
            if seen.target.ends_with("last=2") { (r#"["3"]"#, "<?last=3>") } else { (r#"["1"]"#, "<?last=2>") };
        Reply::Send(answer(200, &[JSON, ("link", link)], &format!(r#"{{"tags":{tags}}}"#)))
    });
    let server = server.await;
    let sentence = World::new(&[server.host()]).sentence(&format!("{}/a/b", server.host()), None).await;
    insta::assert_snapshot!(sentence, @"[1 3] (the registry repeats a page of its list instead of continuing it)");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn null_is_an_empty_list() {
    assert_eq!(said(json(r#"{"name":"a/b","tags":null}"#)).await, "[]");
}

#[tokio::test]
async fn one_failing_tag_fails_the_whole_answer_and_what_was_read_is_not_asked_again() {
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/x"}"#;
    let server = Server::start(move |before, seen| match (before, seen.target.as_str()) {
        (0..5, "/v2/a/b/manifests/2") => status(502),
        _ => Reply::Send(answer(200, &[("content-type", "application/vnd.oci.image.manifest.v1+json")], manifest)),
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    let name = format!("{}/a/b", server.host());
    let error =
        world.dates(&name, &["1", "2"], &[]).await.err().map(|error| error.to_string().replace(server.host(), "HOST"));
    insta::assert_snapshot!(error.unwrap_or_default(), @"cannot read `HOST/a/b:2`: the registry answers 502 Bad Gateway");
    while server.seen().len() < 5 {
        let _ = world.dates(&name, &["1", "2"], &[]).await;
    }
    let both = world.dates(&name, &["1", "2"], &[]).await.expect("both are read");
    insta::assert_snapshot!(described(&both), @"
    1: a manifest of type `application/x`
    2: a manifest of type `application/x`
    ");
    let asked = server.lines().iter().filter(|line| line.ends_with("manifests/1")).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_manifest_that_does_not_match_its_digest_is_refused() {
    let wrong = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let server = Server::start(move |_, _| {
        Reply::Send(answer(200, &[JSON, ("docker-content-digest", wrong)], r#"{"schemaVersion":2}"#))
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    let error = world.dates(&format!("{}/a/b", server.host()), &["1"], &[]).await.err();
    let error = error.map(|error| error.to_string().replace(server.host(), "HOST")).unwrap_or_default();
    insta::assert_snapshot!(error, @"cannot read `HOST/a/b:1`: the manifest does not match its digest `sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`");
}

#[tokio::test]
async fn a_digest_is_found_without_its_header_and_a_missing_tag_is_left_out() {
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
    let server = Server::start(move |_, seen| match seen.target.as_str() {
        "/v2/a/b/manifests/1" => json(r#"{"schemaVersion":2,"manifests":[]}"#),
        "/v2/a/b/manifests/page" => Reply::Send(answer(404, &[("content-type", "text/html")], "<html>")),
        _ => Reply::Send(answer(404, &[JSON], unknown)),
    });
    let server = server.await;
    let (world, name) = (World::new(&[server.host()]), format!("{}/a/b", server.host()));
    let found = world.digests(&name, &["1", "2"]).await.expect("the digest is found");
    assert_eq!(found.iter().map(|candidate| candidate.tag.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(world.counter.all(), "head answered 1, head not_found 1, manifest answered 1, manifest not_found 1");
    let error = world.digests(&name, &["page"]).await.err().map(|error| error.reason);
    assert_eq!(error, Some(Reason::UnreadableAnswer));
}
