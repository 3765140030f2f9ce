//! The server for webhooks, over loopback: whom it believes, and what it does to the others.

#![allow(clippy::disallowed_methods, reason = "sends requests, and keeps secrets in a folder")]

#[path = "support/tls.rs"]
#[allow(dead_code, reason = "shared with tests that need the rest")]
mod tls;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead::adapters::memory::MemoryClock;
use fairlead::adapters::webhooks::{
    PushReceiver, WebhookObserver, WebhookOutcome, WebhookSecrets, WebhookServer, WebhookTls,
};
use fairlead::model::Repository;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, Response};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant};
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
async fn event_grid_is_answered_its_code_and_nobody_else_is() {
    let server = TestServer::start(&["acr", "generic"]).await;
    let body = include_str!("data/webhooks/acr-validation.json");
    let type_of = |answer: &Response| {
        answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let answer = server.post(&format!("acr/{SECRET}"), &[("aeg-event-type", "SubscriptionValidation")], body).await;
    assert_eq!(type_of(&answer), "application/json");
    let code = r#"{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}"#;
    assert_eq!(said(answer).await, (200, code.to_owned()));

    let guess = server.post("acr/guess", &[("aeg-event-type", "SubscriptionValidation")], body).await;
    assert_eq!(said(guess).await, (401, "unauthorized\n".to_owned()));
    let odd = body.replace("512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "<script>");
    assert_eq!(
        said(server.post(&format!("acr/{SECRET}"), &[], &odd).await).await.0,
        202,
        "such a code is not repeated"
    );
    let elsewhere = server.post("generic", &[("X-Fairlead-Token", SECRET)], body).await;
    assert_eq!(elsewhere.status(), 400);
    assert_eq!(server.pushed(), Vec::<String>::new());
    assert_eq!(server.counted(), ["acr validated", "acr refused", "acr ignored", "generic malformed"]);
}

#[tokio::test]
async fn who_asks_first_whether_events_are_wanted_is_told_if_it_knows_the_secret() {
    let server = TestServer::start(&["acr", "ghcr"]).await;
    let options = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = server.client.request(Method::OPTIONS, format!("{}/webhook/{path}", server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let header = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let allowed = ["webhook-allowed-origin", "webhook-allowed-rate"].map(|name| header(name).map(str::to_owned));
        (said(answer).await, allowed)
    };
    let asks = [("WebHook-Request-Origin", "eventgrid.azure.net"), ("WebHook-Request-Rate", "120")];
    let callback = ("WebHook-Request-Callback", "http://127.0.0.1:1/callback");
    let (text, origin, rate) = (String::new(), Some("eventgrid.azure.net".to_owned()), Some("120".to_owned()));
    assert_eq!(
        options(&format!("acr?secret={SECRET}"), &[asks[0], asks[1], callback]).await,
        ((200, text), [origin, rate])
    );
    let refused = ((401, "unauthorized\n".to_owned()), [None, None]);
    assert_eq!(options("acr?secret=guess", &asks).await, refused);
    assert_eq!(options("acr", &asks).await, refused);
    assert_eq!(options(&format!("ghcr?secret={SECRET}"), &asks).await, refused, "it signs its requests");
    assert_eq!(options(&format!("quay/{SECRET}"), &asks).await, refused, "it has no secret");
    assert_eq!(server.pushed(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_never_ends_the_head_of_a_request_is_cut_off() {
    let server = TestServer::start(&["generic"]).await;
    let began = Instant::now();
    let mut stream = TcpStream::connect(&server.address).await.expect("it listens");
    stream.write_all(b"POST /webhook/generic HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it closes");
    assert_eq!((answer.len(), began.elapsed().as_secs()), (0, 10));

    // Nor does who asks once keep a connection for longer.
    let head = format!("POST /webhook/generic HTTP/1.1\r\nHost: x\r\nX-Fairlead-Token: {SECRET}\r\n");
    let mut stream = TcpStream::connect(&server.address).await.expect("it listens");
    let request = format!("{head}Content-Length: {}\r\n\r\n{GENERIC}", GENERIC.len());
    stream.write_all(request.as_bytes()).await.expect("it reads");
    stream.read_to_end(&mut answer).await.expect("it closes");
    assert!(answer.starts_with(b"HTTP/1.1 202 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.counted(), ["generic accepted"]);
}

#[tokio::test(start_paused = true)]
async fn who_holds_every_connection_keeps_nobody_out_for_long() {
    let server = TestServer::start(&["generic"]).await;
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(TcpStream::connect(&server.address).await.expect("it listens"));
    }
    assert_eq!(server.post("generic", &[("X-Fairlead-Token", SECRET)], GENERIC).await.status(), 202);
}

#[tokio::test]
async fn it_speaks_tls_and_follows_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |certificate: &str, key: &str| {
        fs::write(folder.path().join("tls.crt"), certificate).expect("it is written");
        fs::write(folder.path().join("tls.key"), key).expect("it is written");
    };
    put(&tls::certificate(), &tls::key());
    let server = TestServer::start_with(&["generic"], Some(folder.path())).await;
    let url = format!("https://{}/webhook/generic", server.address);
    let post = async |certificate: &str| {
        let trusted = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let client = Client::builder().tls_certs_only([trusted]).build().expect("a client");
        let answer = client.post(&url).header("X-Fairlead-Token", SECRET).body(GENERIC).send().await;
        answer.map(|answer| answer.status().as_u16()).ok()
    };
    let (next, next_key) = tls::next();
    let (first, second) = (tls::certificate(), next.as_str());
    assert_eq!((post(&first).await, post(second).await), (Some(202), None));

    tokio::time::pause();
    let later = async || {
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
        let answers = (post(&first).await, post(second).await);
        tokio::time::pause();
        answers
    };
    put("nothing", &next_key);
    assert_eq!(later().await, (Some(202), None), "what is broken is not used");
    put(&next, &tls::key());
    assert_eq!(later().await, (Some(202), None), "nor what does not belong together");
    put(&next, &next_key);
    assert_eq!(later().await, (None, Some(202)));

    let mut plain = TcpStream::connect(&server.address).await.expect("it listens");
    tokio::time::resume();
    plain.write_all(b"POST /webhook/generic HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it reads");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is said without TLS");
}

#[test]
fn a_pair_that_cannot_be_used_is_named_and_its_key_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = |certificate: &str, key: &str| {
        let (one, other) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        fs::write(&one, certificate).expect("it is written");
        fs::write(&other, key).expect("it is written");
        let error = WebhookTls::open(&one, &other).err().map(|error| error.to_string()).unwrap_or_default();
        error.replace(&folder.path().display().to_string(), "")
    };
    insta::assert_snapshot!(message("", &tls::key()), @"cannot serve webhooks over TLS with the certificate `/tls.crt` and the key `/tls.key`: the one holds no certificate in PEM");
    insta::assert_snapshot!(message(&tls::certificate(), "canary"), @"cannot serve webhooks over TLS with the certificate `/tls.crt` and the key `/tls.key`: the other holds no private key in PEM");
    insta::assert_snapshot!(message(&tls::next().0, &tls::key()), @"cannot serve webhooks over TLS with the certificate `/tls.crt` and the key `/tls.key`: they do not belong together: keys may not be consistent: KeyMismatch");
}

#[tokio::test]
async fn a_stop_ends_it() {
    let server = TestServer::start(&["harbor"]).await;
    assert_eq!(server.post("harbor", &[("Authorization", SECRET)], HARBOR).await.status(), 202);
    server.stop.cancel();
    server.serving.await.expect("it ends");
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
    serving: tokio::task::JoinHandle<()>,
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
        Self::start_with(sources, None).await
    }

    /// The same over TLS, with the pair in this folder.
    async fn start_with(sources: &[&str], pair: Option<&Path>) -> Self {
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
        let tls = |folder: &Path| {
            WebhookTls::open(&folder.join("tls.crt"), &folder.join("tls.key")).expect("the pair can be used")
        };
        let server = match pair {
            Some(folder) => server.with_tls(tls(folder)),
            None => server,
        };
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
