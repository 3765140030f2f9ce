//! Forges that fail: each failure is told without a secret, bounded, and not repeated at once.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fairlead::model::{Concealed, LoginMethod, PullRequestProvider, Reason};
use fairlead::ports::{Forge as _, ForgeError};

use crate::site::{TOKEN, World, at, draft, forges};
use crate::story::{change, is_newer, plan};
use crate::support::faults::{Reply, Server, answer, json, nobody};
use crate::support::ports::HandClock;

async fn ask(world: &World) -> Result<usize, ForgeError> {
    world.forges.find(&world.at, "fairlead-1", "main").await.map(|found| found.len())
}

fn fail(world: &World, reply: Reply) {
    world.state().fault = Some(reply);
}

#[tokio::test]
async fn a_forge_that_asks_to_wait_gets_no_request_until_then() {
    let world = World::new(PullRequestProvider::GitLab).await;
    fail(&world, Reply::Send(answer(429, &[("retry-after", "120")], r#"{"message":"Too many requests"}"#)));
    let error = ask(&world).await.expect_err("it asks to wait");
    assert_eq!((error.reason, error.retry_after), (Reason::ForgeRateLimited, Some(Duration::from_secs(120))));
    assert_eq!(world.server.seen().len(), 1);
    world.state().fault = None;
    world.clock.advance(119);
    let error = ask(&world).await.expect_err("it is left alone");
    assert_eq!((error.reason, error.retry_after), (Reason::ForgeRateLimited, Some(Duration::from_secs(1))));
    assert_eq!(world.server.seen().len(), 1);
    world.clock.advance(1);
    assert_eq!(ask(&world).await, Ok(0));
}

#[tokio::test]
async fn the_end_of_githubs_window_is_waited_for() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let reset = (1_767_225_600 + 300).to_string();
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    fail(&world, Reply::Send(answer(403, &headers, r#"{"message":"API rate limit exceeded for installation"}"#)));
    let error = ask(&world).await.expect_err("it asks to wait");
    assert_eq!((error.reason, error.retry_after), (Reason::ForgeRateLimited, Some(Duration::from_secs(300))));
}

#[tokio::test]
async fn a_forge_that_fails_is_asked_twice_and_then_left_alone() {
    let world = World::new(PullRequestProvider::Gitea).await;
    fail(&world, Reply::Send(answer(502, &[], "")));
    assert_eq!(ask(&world).await.expect_err("it fails").reason, Reason::ForgeFailed);
    assert_eq!(world.server.seen().len(), 2);
    for _ in 0..10 {
        assert_eq!(ask(&world).await.expect_err("it is left alone").reason, Reason::ForgeFailed);
    }
    assert_eq!(world.server.seen().len(), 2);
    world.clock.advance(30);
    world.state().fault = None;
    assert_eq!(ask(&world).await, Ok(0));
    // A change is tried once, as it may have been made.
    fail(&world, Reply::Send(answer(500, &[], "")));
    let before = world.server.seen().len();
    world.forges.open(&world.at, &draft("fairlead-1")).await.expect_err("it fails");
    assert_eq!(world.server.seen().len(), before + 1);
}

#[tokio::test]
async fn a_change_that_was_refused_is_not_sent_again_in_the_same_form() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let same = crate::site::BASE_COMMIT;
    world.state().set_branch("fairlead-1", same);
    for _ in 0..5 {
        let wish = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
        let seen = fairlead::pipeline::pull_request::look(&world.forges, &wish).await.expect("an answer");
        let outcome = fairlead::pipeline::pull_request::follow(&world.forges, &wish, &seen, &is_newer).await;
        assert_eq!(outcome.reason, Reason::ForgeRejected);
        assert!(outcome.message.contains("No commits between main and fairlead-1"), "{}", outcome.message);
    }
    let opened = world.server.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(opened, 1);
    // Something newer is tried at once.
    world.state().set_branch("fairlead-1", crate::site::HEAD_COMMIT);
    let wish = plan(&world, &[change("web", "web", "nginx", "1.2.0")]);
    assert_eq!(crate::story::one_look(&world, &wish).await.reason, Reason::PullRequestOpen);
}

#[tokio::test]
async fn a_token_never_leaves_for_another_host() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let stranger = Server::start(|_, _| json("[]")).await;
    let place = format!("http://{}/stolen", stranger.host());
    fail(&world, Reply::Send(answer(302, &[("location", &place)], "")));
    let error = ask(&world).await.expect_err("it leads elsewhere");
    assert_eq!(error.reason, Reason::ForgeRejected);
    assert_eq!(stranger.seen(), []);
}

#[tokio::test]
async fn a_renamed_repository_is_followed_within_its_host() {
    let server = Server::start(|_, seen| {
        if seen.target.starts_with("/api/v3/repositories/7") {
            return json("[]");
        }
        Reply::Send(answer(301, &[("location", "/api/v3/repositories/7/pulls")], ""))
    })
    .await;
    let at = at(PullRequestProvider::GitHub, &format!("http://{}/org/web", server.host()));
    let forges = forges(&Arc::<HandClock>::default(), crate::site::basic(TOKEN));
    assert_eq!(forges.find(&at, "fairlead-1", "main").await, Ok(Vec::new()));
    let error = forges.open(&at, &draft("fairlead-1")).await.expect_err("a change would become a question");
    assert_eq!(error.reason, Reason::ForgeRejected);
    assert!(error.message.contains("write its new address"), "{error}");
}

#[tokio::test]
async fn an_endless_answer_and_a_silent_forge_end() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{}", " ".repeat(9 * 1024 * 1024));
    fail(&world, Reply::SendAndClose(endless.into_bytes()));
    let error = ask(&world).await.expect_err("it is too large");
    assert!(error.message.contains("is larger than"), "{error}");
    let gone = at(PullRequestProvider::GitLab, &format!("http://{}/org/web", nobody().await));
    let error = world.forges.find(&gone, "a", "main").await.expect_err("nobody is there");
    assert_eq!(error.reason, Reason::ForgeUnreachable);
}

#[tokio::test]
async fn what_is_no_token_is_told_and_not_sent() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let ssh = LoginMethod::Ssh { private_key: Concealed::new("canary-key") };
    let login = |method: LoginMethod| forges(&world.clock, method);
    let message = |error: ForgeError| error.message.replace(world.server.host(), "HOST");
    let error = login(ssh).find(&world.at, "a", "main").await.expect_err("an SSH key is no token");
    insta::assert_snapshot!(message(error), @"cannot use the API of GitHub for `http://HOST/org/web.git`: the credentials are an SSH key; an API needs a token: as the password of the repository, or by a GitHub App");
    let error = login(LoginMethod::Anonymous).find(&world.at, "a", "main").await.expect_err("nobody");
    insta::assert_snapshot!(message(error), @"cannot use the API of GitHub for `http://HOST/org/web.git`: there are no credentials; an API needs a token: as the password of the repository, or by a GitHub App");
    assert_eq!(world.server.seen(), []);
}

#[tokio::test]
async fn failures_read_well_and_show_no_secret() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let mut told = Vec::new();
    let echo = format!(r#"{{"message":"the token {TOKEN}\nis bad","errors":[{{"code":"custom","message":"`x`"}}]}}"#);
    for (status, body) in [
        (401, echo.as_str()),
        (403, r#"{"message":"Resource not accessible by integration"}"#),
        (404, ""),
        (422, echo.as_str()),
        (500, "<html>"),
        (200, "[{}]"),
    ] {
        fail(&world, Reply::Send(answer(status, &[], body)));
        let error = ask(&world).await.expect_err("it fails");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        told.push(format!("{}: {}", error.reason, error.message.replace(world.server.host(), "HOST")));
        world.clock.advance(3600);
    }
    insta::assert_snapshot!(told.join("\n"), @"
    ForgeDenied: cannot list the pull requests in `http://HOST/org/web.git`: `HOST` answers 401 Unauthorized (`the token *** is bad: 'x'`); the token is wrong or has ended
    ForgeDenied: cannot list the pull requests in `http://HOST/org/web.git`: `HOST` answers 403 Forbidden (`Resource not accessible by integration`); the token lacks a right
    ForgeDenied: cannot list the pull requests in `http://HOST/org/web.git`: `HOST` answers 404 Not Found; it does not exist, or the token does not show it
    ForgeRejected: cannot list the pull requests in `http://HOST/org/web.git`: `HOST` answers 422 Unprocessable Entity (`the token *** is bad: 'x'`)
    ForgeFailed: cannot list the pull requests in `http://HOST/org/web.git`: `HOST` answers 500 Internal Server Error
    ForgeFailed: cannot list the pull requests in `http://HOST/org/web.git`: the answer is not of the documented form
    ");
}

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

#[tokio::test]
async fn no_log_shows_a_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for provider in [PullRequestProvider::GitHub, PullRequestProvider::GitLab, PullRequestProvider::Gitea] {
        let world = World::new(provider).await;
        world.forges.open(&world.at, &draft("fairlead-1")).await.expect("it is opened");
        fail(&world, Reply::SendAndClose(Vec::new()));
        ask(&world).await.expect_err("it fails");
    }
    let shown = String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(shown.contains("TRACE hyper"), "the log is on");
    let line = shown.lines().find(|line| line.contains(TOKEN));
    assert_eq!(line, None);
}
