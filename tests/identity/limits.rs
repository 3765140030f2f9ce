//! Services that answer too much, too slowly or not at all.

use std::env::current_exe;
use std::time::Duration;

use fairlead::model::Cloud;
use tokio::time::Instant;

use crate::google;
use crate::jwt;
use crate::stand_in::World;
use crate::support::faults::{Reply, Server, answer, json, status};

/// The sentence of a failure of a token service, and how often it was asked.
async fn sentence(reply: Reply) -> (String, usize) {
    let scripted = reply.clone();
    let server = Server::start(move |_, _| scripted.clone()).await;
    let address = format!("http://{}/token", server.host());
    let mut world = World::new().await;
    world.settings.endpoints.google_token = Some(address.parse().expect("it is an address"));
    // Where the wait is the point it is short, and elsewhere long enough for a busy machine.
    if matches!(reply, Reply::SendAndFallSilent(_) | Reply::Drip(_)) {
        world.settings.timeouts.whole = Duration::from_millis(300);
    }
    world.file("GOOGLE_APPLICATION_CREDENTIALS", &google::key_file(&address, &jwt::pem()));
    let start = Instant::now();
    let sentence = world.failure(Cloud::Gcp, "gcr.io").await;
    assert!(start.elapsed() < Duration::from_secs(30), "it ends");
    let cause = sentence.split_once("process: ").expect("the sentence has a cause").1;
    (cause.to_owned(), server.seen().len())
}

#[tokio::test]
async fn every_wait_ends_and_no_answer_is_too_large() {
    let large = Reply::Send(answer(200, &[], &" ".repeat(300_000)));
    insta::assert_debug_snapshot!(sentence(large).await, @r#"
    (
        "the answer of the token service of Google is larger than 262144 bytes",
        1,
    )
    "#);
    let silent = Reply::SendAndFallSilent(Vec::new());
    insta::assert_debug_snapshot!(sentence(silent).await, @r#"
    (
        "the token service of Google at `127.0.0.1` does not answer within 300ms",
        2,
    )
    "#);
    let slow = Reply::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec());
    insta::assert_debug_snapshot!(sentence(slow).await, @r#"
    (
        "the token service of Google does not finish its answer within 300ms",
        2,
    )
    "#);
    let cut = Reply::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec());
    insta::assert_debug_snapshot!(sentence(cut).await, @r#"
    (
        "the answer of the token service of Google is cut off",
        2,
    )
    "#);
}

#[tokio::test]
async fn what_is_no_login_is_refused() {
    insta::assert_debug_snapshot!(sentence(json("{}")).await, @r#"
    (
        "the answer of the token service of Google is not of the agreed form",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(sentence(json(r#"{"access_token":"x","expires_in":0}"#)).await, @r#"
    (
        "the login that was given is over already; is the clock right?",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(sentence(json(r#"{"access_token":"x","expires_in":9223372036854775807}"#)).await, @r#"
    (
        "the token that Google gave has no readable end",
        1,
    )
    "#);
    let elsewhere = Reply::Send(answer(307, &[("location", "http://127.0.0.1:1/")], ""));
    insta::assert_debug_snapshot!(sentence(elsewhere).await, @r#"
    (
        "the token service of Google answers 307 Temporary Redirect",
        1,
    )
    "#);
}

/// Runs another test of this file's program where a proxy is set. Gives whether it passes, and how often the proxy was asked.
#[allow(clippy::disallowed_methods, reason = "the environment of a process is set when it starts")]
async fn by_proxy(test: &str) -> (bool, usize) {
    let proxy = Server::start(|_, _| status(502)).await;
    let mut command = tokio::process::Command::new(current_exe().expect("a test is a program"));
    command.args(["--exact", test]).env("HTTP_PROXY", format!("http://{}", proxy.host())).env_remove("NO_PROXY");
    command.env_remove("no_proxy").env_remove("http_proxy").env("INSTA_UPDATE", "no");
    let output = command.output().await.expect("it starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "it exists");
    (output.status.success(), proxy.seen().len())
}

#[tokio::test]
async fn metadata_is_never_asked_for_by_a_proxy() {
    assert_eq!(by_proxy("google::the_metadata_server_says_that_it_is_one").await, (true, 0));
    let (passes, asked) = by_proxy("azure::a_token_for_somebody_else_is_refused").await;
    assert!(!passes && asked > 0, "what is outside is asked by the proxy");
}
