//! The server for webhooks, over loopback: whom it believes, and what it does to the others.

#![allow(clippy::disallowed_methods, reason = "sends requests, and keeps secrets in a folder")]

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead::adapters::memory::MemoryClock;
use fairlead::adapters::webhooks::{PushReceiver, WebhookObserver, WebhookOutcome, WebhookSecrets, WebhookServer};
use fairlead::model::Repository;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use reqwest::{Client, Response};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "canary-5f0c";
const NOW: i64 = 1_780_315_200;
const GENERIC: &str = r#"{"image": "ghcr.io/fleet/web:1.4.2"}"#;
const GHCR: &str = include_str!("data/webhooks/ghcr.json");
const HARBOR: &str = include_str!("data/webhooks/harbor.json");
const DOCKER_HUB: &str = include_str!("data/webhooks/dockerhub.json");
/// A path, headers and a body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// What everybody is answered who is not believed.
const UNAUTHORIZED: (u16, &str) = (401, "unauthorized\n");

#[tokio::test]
async fn who_knows_the_secret_is_believed() {
    let server = TestServer::start(&["ghcr", "harbor", "dockerhub", "generic"]).await;

    let hub = server.post("ghcr", &[("X-Hub-Signature-256", &format!("sha256={}", sign(SECRET, GHCR)))], GHCR).await;
    let harbor = server.post("harbor", &[("Authorization", SECRET)], HARBOR).await;
    let path = server.post(&format!("dockerhub/{SECRET}"), &[], DOCKER_HUB).await;
    let query = server.post(&format!("dockerhub?secret={SECRET}&registry=mirror.example"), &[], DOCKER_HUB).await;
    let timed = server.post("generic", &[("X-Fairlead-Signature", &timed(NOW, GENERIC))], GENERIC).await;

    for answer in [hub, harbor, path, query, timed] {
        assert_eq!(said(answer).await, (202, "accepted\n".to_owned()));
    }
    assert_eq!(
        server.pushed(),
        [
            "ghcr.io/fleet/web",
            "harbor.example.com/fleet/team/web",
            "docker.io/fleet/web",
            "mirror.example/fleet/web",
            "ghcr.io/fleet/web",
        ]
    );
    assert_eq!(
        server.counted(),
        ["ghcr accepted", "harbor accepted", "dockerhub accepted", "dockerhub accepted", "generic accepted"]
    );
}

#[tokio::test]
async fn everybody_else_gets_one_and_the_same_answer() {
    let server = TestServer::start(&["ghcr", "harbor", "dockerhub", "generic", "empty"]).await;
    let wrong = format!("sha256={}", sign("guess", GHCR));
    let of_another_body = format!("sha256={}", sign(SECRET, "{}"));
    let cases: &[Case<'_>] = &[
        ("ghcr", &[], GHCR),
        ("ghcr", &[("X-Hub-Signature-256", &wrong)], GHCR),
        ("ghcr", &[("X-Hub-Signature-256", &of_another_body)], GHCR),
        ("ghcr", &[("X-Hub-Signature-256", "nonsense")], GHCR),
        ("ghcr?secret=canary-5f0c", &[], GHCR),
        ("harbor", &[("Authorization", "guess")], HARBOR),
        ("dockerhub", &[], DOCKER_HUB),
        ("dockerhub/guess", &[], DOCKER_HUB),
        ("dockerhub/%FF%00", &[], DOCKER_HUB),
        ("generic", &[("X-Fairlead-Signature", "t=1,v1=2")], GENERIC),
        // No secret is configured, or none that is one.
        ("quay/canary-5f0c", &[], "{}"),
        ("gitlab", &[("X-Gitlab-Token", "")], "{}"),
        // There is no such source.
        ("nexus", &[("Authorization", SECRET)], "{}"),
        ("..%2Fghcr", &[("Authorization", SECRET)], "{}"),
    ];
    for (path, headers, body) in cases {
        let (status, text) = said(server.post(path, headers, body).await).await;
        assert_eq!((status, text.as_str()), UNAUTHORIZED, "{path} {headers:?}");
    }
    assert_eq!(server.pushed(), Vec::<String>::new());
    assert_eq!(server.counted().len(), cases.len());
    assert!(server.counted().iter().all(|counted| counted.ends_with(" refused")), "{:?}", server.counted());
    assert!(server.counted().contains(&"unknown refused".to_owned()));
}

#[tokio::test]
async fn a_signature_is_taken_once_and_not_for_long() {
    let server = TestServer::start(&["generic"]).await;
    let first = timed(NOW, GENERIC);
    let post = async |signature: &str| {
        said(server.post("generic", &[("X-Fairlead-Signature", signature)], GENERIC).await).await.0
    };

    assert_eq!(post(&first).await, 202);
    assert_eq!(post(&first).await, 401);
    assert_eq!(post(&timed(NOW - 301, GENERIC)).await, 401);
    assert_eq!(post(&timed(NOW + 1, GENERIC)).await, 202);
    server.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(post(&first).await, 401);
    assert_eq!(server.pushed().len(), 2);
}

#[tokio::test]
async fn what_is_no_push_or_no_event_tells_nobody() {
    let server = TestServer::start(&["ghcr", "generic"]).await;
    let ping = include_str!("data/webhooks/ghcr-ping.json");
    let signature = format!("sha256={}", sign(SECRET, ping));

    let ignored = server.post("ghcr", &[("X-Hub-Signature-256", &signature), ("X-GitHub-Event", "ping")], ping).await;
    let malformed = server.post("generic", &[("X-Fairlead-Token", SECRET)], "{").await;
    let nothing = server.post("generic", &[("X-Fairlead-Token", SECRET)], "{}").await;

    assert_eq!(said(ignored).await, (202, "accepted: no push of an image\n".to_owned()));
    insta::assert_snapshot!(said(malformed).await.1, @"the body is not JSON: EOF while parsing an object at line 1 column 1");
    assert_eq!(said(nothing).await, (400, "the event has no text `image`\n".to_owned()));
    assert_eq!(server.pushed(), Vec::<String>::new());
    assert_eq!(server.counted(), ["ghcr ignored", "generic malformed", "generic malformed"]);
}

#[tokio::test]
async fn a_body_is_one_mebibyte_at_most() {
    let server = TestServer::start(&["generic", "ghcr"]).await;
    let token = [("X-Fairlead-Token", SECRET)];
    let large = format!("{}{}", GENERIC, " ".repeat(1024 * 1024));
    assert_eq!(said(server.post("generic", &token, &large[..1024 * 1024]).await).await.0, 202);
    assert_eq!(said(server.post("generic", &token, &large).await).await.0, 413);

    // Without an announced length.
    let mut head = format!("POST /webhook/generic HTTP/1.1\r\nHost: x\r\nX-Fairlead-Token: {SECRET}\r\n");
    head.push_str("Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = server.raw(&format!("{head}{}", chunk.repeat(17))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(server.counted(), ["generic accepted", "generic too_large", "generic too_large"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let server = TestServer::start(&["generic"]).await;
    let head = format!("POST /webhook/generic HTTP/1.1\r\nHost: x\r\nX-Fairlead-Token: {SECRET}\r\n");
    let answer = server.raw(&format!("{head}Content-Length: 100\r\n\r\n{{\"image\": ")).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.counted(), ["generic too_slow"]);
}

#[tokio::test]
async fn nobody_elses_body_is_waited_for() {
    let server = TestServer::start(&["harbor"]).await;
    let head = "POST /webhook/harbor HTTP/1.1\r\nHost: x\r\nAuthorization: guess\r\nContent-Length: 100\r\n\r\n{";
    assert!(server.raw(head).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_source_that_sends_too_much_is_told_when_to_come_again() {
    let server = TestServer::start(&["generic", "harbor"]).await;
    for _ in 0..200 {
        assert_eq!(server.post("generic", &[("X-Fairlead-Token", SECRET)], GENERIC).await.status(), 202);
    }
    let limited = server.post("generic", &[("X-Fairlead-Token", SECRET)], GENERIC).await;
    assert_eq!(limited.headers().get("retry-after").map(HeaderValue::as_bytes), Some(b"1".as_slice()));
    assert_eq!(said(limited).await, (429, "too many requests\n".to_owned()));
    assert_eq!(server.post("harbor", &[("Authorization", SECRET)], HARBOR).await.status(), 202);
    server.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(server.post("generic", &[("X-Fairlead-Token", SECRET)], GENERIC).await.status(), 202);
}

#[tokio::test]
async fn who_is_not_believed_uses_up_nothing() {
    let server = TestServer::start(&["harbor"]).await;
    for _ in 0..300 {
        assert_eq!(server.post("harbor", &[("Authorization", "guess")], HARBOR).await.status(), 401);
    }
    assert_eq!(server.post("harbor", &[("Authorization", SECRET)], HARBOR).await.status(), 202);
}

#[tokio::test]
async fn a_secret_that_changes_holds_at_once() {
    let server = TestServer::start(&["harbor"]).await;
    let status =
        async |secret: &str| server.post("harbor", &[("Authorization", secret)], HARBOR).await.status().as_u16();
    assert_eq!((status(SECRET).await, status("next").await), (202, 401));
    server.set_secret("harbor", "next\ncanary-5f0c\n");
    assert_eq!((status(SECRET).await, status("next").await), (202, 202));
    server.set_secret("harbor", "next\n");
    assert_eq!((status(SECRET).await, status("next").await), (401, 202));
    fs::remove_file(server.secrets.path().join("harbor")).expect("it is there");
    assert_eq!(status("next").await, 401);
}

#[tokio::test]
async fn nothing_but_a_post_to_a_source_is_answered() {
    let server = TestServer::start(&["dockerhub"]).await;
    let get = server.client.get(format!("{}/webhook/dockerhub/{SECRET}", server.url)).send().await.expect("an answer");
    assert_eq!(get.status(), 405);
    for path in ["/", "/metrics", "/webhook", "/webhook/dockerhub/a/b"] {
        let answer = server.client.post(format!("{}{path}", server.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_stop_ends_it() {
    let server = TestServer::start(&["harbor"]).await;
    assert_eq!(server.post("harbor", &[("Authorization", SECRET)], HARBOR).await.status(), 202);
    server.stop.cancel();
    server.serving.await.expect("it ends").expect("it ends well");
}

/// A running server, and what it told whom.
struct TestServer {
    client: Client,
    url: String,
    address: String,
    secrets: TempDir,
    clock: Arc<MemoryClock>,
    told: Arc<Told>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

#[derive(Default)]
struct Told {
    pushed: Mutex<Vec<String>>,
    counted: Mutex<Vec<String>>,
}

impl PushReceiver for Told {
    fn pushed(&self, repositories: Vec<Repository>) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        pushed.extend(repositories.iter().map(Repository::to_string));
    }
}

impl WebhookObserver for Told {
    fn answered(&self, source: &'static str, outcome: WebhookOutcome) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.push(format!("{source} {}", outcome.as_str()));
    }
}

impl TestServer {
    /// A server where these sources have [`SECRET`], all but `empty`, which is GitLab's with nothing in its file.
    async fn start(sources: &[&str]) -> Self {
        fairlead::adapters::oci::install_tls_provider();
        let secrets = tempfile::tempdir().expect("a folder");
        for source in sources {
            let (name, secret) = if *source == "empty" { ("gitlab", "") } else { (*source, SECRET) };
            fs::write(secrets.path().join(name), format!("{secret}\n")).expect("a secret is written");
        }
        let now = Timestamp::from_second(NOW).expect("a time");
        let (clock, told) = (Arc::new(MemoryClock::at(now)), Arc::<Told>::default());
        let folder = WebhookSecrets::open(secrets.path()).expect("the folder is there");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let stop = CancellationToken::new();
        let server = WebhookServer::new(folder, told.clone(), told.clone(), clock.clone());
        let serving = tokio::spawn(server.serve(listener, stop.clone()));
        Self { client: Client::new(), url: format!("http://{address}"), address, secrets, clock, told, stop, serving }
    }

    fn set_secret(&self, source: &str, content: &str) {
        fs::write(self.secrets.path().join(source), content).expect("a secret is written");
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = self.client.post(format!("{}/webhook/{path}", self.url)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// Sends bytes as they are, and gives what comes back first.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        // The server may answer and close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    fn pushed(&self) -> Vec<String> {
        self.told.pushed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counted(&self) -> Vec<String> {
        self.told.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Status and text of an answer, which never shows the secret.
async fn said(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let all = format!("{:?}", answer.headers());
    let text = answer.text().await.expect("an answer is text");
    assert!(!format!("{all}{text}").contains(SECRET), "{all} {text}");
    (status, text)
}

fn sign(secret: &str, text: &str) -> String {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.chain_update(text.as_bytes()).finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn timed(seconds: i64, body: &str) -> String {
    format!("t={seconds},v1={}", sign(SECRET, &format!("{seconds}.{body}")))
}
