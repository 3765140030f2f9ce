//! A Git server for smart HTTP: `git http-backend` behind a small bridge, with a login and with failures on demand. It makes commits when it is asked
//! to as GitHub is.

#[path = "github.rs"]
mod github;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What the server does with the requests that come.
#[derive(Debug, Clone, Default)]
pub enum Mood {
    /// Answers.
    #[default]
    Kind,
    /// Answers every request with this status; a redirect leads to itself.
    Status(u16),
    /// Takes a push or a wish for a commit, and answers it with an error.
    LosesAnswers,
    /// Tells that a push or a wish for a commit has come, and goes on when it is told to, even if the client is gone by then.
    HoldsPushes,
    /// Never answers.
    Silent,
    /// Makes no commit that it is asked for, and says this.
    #[allow(dead_code, reason = "only the tests of the engine ask for it")]
    RefusesCommits(&'static str),
}

/// The server; it ends with its runtime.
pub struct Server {
    /// `127.0.0.1:<port>`.
    pub host: String,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    authorization: Option<String>,
    mood: Mutex<Mood>,
    pushes: AtomicUsize,
    commits: AtomicUsize,
    lookups: AtomicUsize,
    arrived: Notify,
    go_on: Notify,
    done: Notify,
}

impl Server {
    /// Serves the repositories in `folder` to those who send the header `Authorization` with this value; `None`: to all.
    pub async fn start(folder: &Path, authorization: Option<String>) -> Self {
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            authorization,
            mood: Mutex::default(),
            pushes: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            lookups: AtomicUsize::new(0),
            arrived: Notify::new(),
            go_on: Notify::new(),
            done: Notify::new(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { host, shared }
    }

    /// Where the repository `name` is for those who take this server for GitHub Enterprise.
    pub fn as_github(&self, name: &str) -> String {
        let link = self.shared.folder.join("org");
        if !link.exists() {
            std::os::unix::fs::symlink(&self.shared.folder, link).expect("ours");
        }
        format!("http://{}/org/{name}.git", self.host)
    }

    /// From now on.
    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().expect("not poisoned") = mood;
    }

    /// How many pushes have come.
    pub fn pushes(&self) -> usize {
        self.shared.pushes.load(Ordering::SeqCst)
    }

    /// How many commits were asked for.
    pub fn commits(&self) -> usize {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// How many conversations have begun, those for pushes left out.
    #[allow(dead_code, reason = "the e2e tests count them")]
    pub fn lookups(&self) -> usize {
        self.shared.lookups.load(Ordering::SeqCst)
    }

    /// Waits for a push to come.
    pub async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// Lets the push go on.
    pub fn go_on(&self) {
        self.shared.go_on.notify_one();
    }

    /// Waits for the end of a push that was held.
    pub async fn done(&self) {
        self.shared.done.notified().await;
    }

    /// Where it serves by TLS, too, with the certificate of `tests/support/tls.rs`.
    pub async fn with_tls(&self, config: rustls::ServerConfig) -> String {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let plain = self.host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                tokio::spawn(async move {
                    let mut stream = match acceptor.accept(stream).into_fallible().await {
                        Ok(stream) => stream,
                        Err((_, mut broken)) => {
                            // One that does not trust us breaks off; one that we do not trust is to read why.
                            let _ = tokio::io::copy(&mut broken, &mut tokio::io::sink()).await;
                            return;
                        }
                    };
                    let mut plain = TcpStream::connect(plain).await.expect("the server listens");
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        host
    }
}

/// The value of `Authorization` for a user.
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mood = shared.mood.lock().expect("not poisoned").clone();
    let body = to_bytes(body, 64 * 1024 * 1024).await.expect("a body");
    let push = parts.uri.path().ends_with("git-receive-pack") && parts.method == "POST";
    if push {
        shared.pushes.fetch_add(1, Ordering::SeqCst);
    }
    if parts.uri.to_string().ends_with("info/refs?service=git-upload-pack") {
        shared.lookups.fetch_add(1, Ordering::SeqCst);
    }
    let asked = parts.uri.path() == "/api/graphql" && parts.method == "POST";
    if asked {
        shared.commits.fetch_add(1, Ordering::SeqCst);
    }
    let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let wanted = shared.authorization.as_deref().map(|basic| if asked { bearer(basic) } else { basic.to_owned() });
    let allowed = wanted.is_none_or(|wanted| authorization == Some(wanted.as_bytes()));
    match mood {
        Mood::Status(status @ 300..400) => {
            let there = format!("/elsewhere{}", parts.uri);
            return (StatusCode::from_u16(status).expect("a status"), [(header::LOCATION, there)]).into_response();
        }
        Mood::Status(status) => return StatusCode::from_u16(status).expect("a status").into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::HoldsPushes if (push || asked) && allowed => {
            let held = tokio::spawn(async move {
                shared.arrived.notify_one();
                shared.go_on.notified().await;
                let answer = if asked {
                    axum::Json(commit(&shared, &body)).into_response()
                } else {
                    git(&shared, &parts, &body).await
                };
                shared.done.notify_one();
                answer
            });
            return held.await.expect("it does not fail");
        }
        Mood::LosesAnswers if push => {
            git(&shared, &parts, &body).await;
            return StatusCode::BAD_GATEWAY.into_response();
        }
        Mood::LosesAnswers if asked => {
            commit(&shared, &body);
            return StatusCode::BAD_GATEWAY.into_response();
        }
        Mood::RefusesCommits(message) if asked => {
            return axum::Json(github::failed("UNPROCESSABLE", message)).into_response();
        }
        Mood::Kind | Mood::HoldsPushes | Mood::LosesAnswers | Mood::RefusesCommits(_) => {}
    }
    if !allowed {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")]).into_response();
    }
    if asked {
        return axum::Json(commit(&shared, &body)).into_response();
    }
    git(&shared, &parts, &body).await
}

/// The password of a user as GitHub's API takes it.
fn bearer(basic: &str) -> String {
    let pair = STANDARD.decode(basic.trim_start_matches("Basic ")).expect("base64");
    let pair = String::from_utf8(pair).expect("text");
    format!("Bearer {}", pair.split_once(':').expect("user and password").1)
}

fn commit(shared: &Shared, body: &Bytes) -> serde_json::Value {
    github::commit(&shared.folder, &serde_json::from_slice(body).expect("JSON"))
}

async fn git(shared: &Shared, parts: &Parts, body: &Bytes) -> Response {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", &shared.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "bot")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("`git http-backend` starts; it comes with Git");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = body.clone();
    tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.expect("it ends").stdout;
    response(&output)
}

/// The answer of a CGI program.
fn response(output: &[u8]) -> Response {
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name == "Status" {
            let code = value.split(' ').next().expect("a code");
            status = code.parse().expect("a status");
        } else {
            let name: HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
    }
    (status, headers, Body::from(output[end + 4..].to_vec())).into_response()
}
