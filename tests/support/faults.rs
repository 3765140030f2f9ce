//! A server on a socket that does exactly what a test tells it to, right or wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// What happens on the socket then.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes; the connection stays open for the next request.
    Send(Vec<u8>),
    /// These bytes, and the connection is closed.
    SendAndClose(Vec<u8>),
    /// These bytes, and then nothing more.
    SendAndFallSilent(Vec<u8>),
    /// These bytes, and then one more byte again and again.
    Drip(Vec<u8>),
}

/// A running server. It stops when it is dropped.
pub struct Server {
    host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Server {
    /// Starts a server that asks `script` what to do with each request; it is told how many came before.
    pub async fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let (seen, script) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(script));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self { host, seen, task: task.abort_handle() }
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests so far, each as method and target.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address").to_string()
}

/// A whole answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// A whole answer in JSON, with status 200.
pub fn json(body: &str) -> Reply {
    Reply::Send(answer(200, &[("content-type", "application/json")], body))
}

/// A failure with nothing in it.
pub fn status(status: u16) -> Reply {
    Reply::Send(answer(status, &[], ""))
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    script: Arc<impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static>,
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer).await {
        let before = {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(seen.clone());
            log.len() - 1
        };
        let (bytes, after) = match script(before, &seen) {
            Reply::Send(bytes) => (bytes, After::GoOn),
            Reply::SendAndClose(bytes) => (bytes, After::Close),
            Reply::SendAndFallSilent(bytes) => (bytes, After::FallSilent),
            Reply::Drip(bytes) => (bytes, After::Drip),
        };
        // The answer to HEAD has no body.
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").filter(|_| seen.method == "HEAD");
        if stream.write_all(&bytes[..end.map_or(bytes.len(), |end| end + 4)]).await.is_err() {
            return;
        }
        match after {
            After::GoOn => {}
            After::Close => return,
            After::FallSilent => std::future::pending().await,
            After::Drip => {
                let mut beat = tokio::time::interval(Duration::from_millis(20));
                while stream.write_all(b" ").await.is_ok() {
                    beat.tick().await;
                }
            }
        }
    }
}

enum After {
    GoOn,
    Close,
    FallSilent,
    Drip,
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut lines = head.split("\r\n");
            let mut words = lines.next()?.split(' ');
            let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
            let header =
                |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
            let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let whole = end + 4 + length;
            if buffer.len() >= whole {
                let body = String::from_utf8_lossy(&buffer[end + 4..whole]).into_owned();
                buffer.drain(..whole);
                return Some(Seen { method, target, headers, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
