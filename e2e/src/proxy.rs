//! A registry that can be made to misbehave: in front of a real one, it forwards, refuses, lies or falls silent.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Forwards it to the real registry.
    Healthy,
    /// Nobody listens.
    Refused,
    /// Answers 401, and asks for a name and a password.
    Unauthorized,
    /// Answers 404 in a registry's words.
    NotFound,
    /// Answers 429, and asks to wait for a second.
    TooManyRequests,
    /// Answers 500.
    InternalError,
    /// Takes the request and never answers.
    Silent,
    /// Sends half of an answer and then nothing more.
    HalfBody,
    /// Answers 200 with something that is no list of tags.
    Nonsense,
}

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    /// `127.0.0.1:…`
    pub address: String,
    wanted: watch::Sender<Fault>,
    in_force: watch::Receiver<Option<Fault>>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// A healthy one in front of the registry at `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let (wanted, orders) = watch::channel(Fault::Healthy);
        let (acknowledge, in_force) = watch::channel(Some(Fault::Healthy));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let upstream = Upstream { address: upstream.to_owned(), requests: Arc::clone(&requests) };
        let task = tokio::spawn(listen(listener, upstream, orders, acknowledge));
        Self { address, wanted, in_force, requests, task }
    }

    /// Misbehaves from now on, also towards those who are connected.
    pub async fn set(&self, fault: Fault) {
        self.wanted.send(fault).expect("the proxy runs");
        let mut in_force = self.in_force.clone();
        in_force.wait_for(|now| *now == Some(fault)).await.expect("the proxy runs");
    }

    /// The first lines of the requests so far: `GET /v2/…`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody fails while writing it").clone()
    }

    /// How often tags were listed so far.
    pub fn listings(&self) -> usize {
        self.requests().iter().filter(|line| line.contains("/tags/list")).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Upstream {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn listen(
    listener: TcpListener,
    upstream: Upstream,
    mut orders: watch::Receiver<Fault>,
    acknowledge: watch::Sender<Option<Fault>>,
) {
    let address = listener.local_addr().expect("a listener has an address");
    let mut listener = Some(listener);
    loop {
        let fault = *orders.borrow_and_update();
        if fault == Fault::Refused {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("the port is still free"));
        }
        acknowledge.send_replace(Some(fault));
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            connection = accept(listener.as_ref()) => {
                let (upstream, mut orders) = (upstream.clone(), orders.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = orders.changed() => {}
                        // A connection that breaks is part of the game.
                        _ = converse(connection, fault, &upstream) => {}
                    }
                });
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("connections are accepted").0,
        None => std::future::pending().await,
    }
}

async fn converse(mut connection: TcpStream, fault: Fault, upstream: &Upstream) -> io::Result<()> {
    if fault == Fault::Healthy {
        return forward(connection, upstream).await;
    }
    let mut buffer = [0; 8192];
    let length = connection.read(&mut buffer).await?;
    upstream.note(&buffer[..length]);
    let challenge = "www-authenticate: Basic realm=\"e2e\"\r\n";
    let (answer, stays_open) = match fault {
        Fault::Healthy | Fault::Refused | Fault::Silent => (String::new(), true),
        Fault::HalfBody => {
            let body = r#"{"name":"app","tags":["1.0.0","#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n";
            (format!("{head}{body}"), true)
        }
        Fault::Unauthorized => (whole("401 Unauthorized", challenge, &errors("UNAUTHORIZED")), false),
        Fault::NotFound => (whole("404 Not Found", "", &errors("NAME_UNKNOWN")), false),
        Fault::TooManyRequests => {
            (whole("429 Too Many Requests", "retry-after: 1\r\n", &errors("TOOMANYREQUESTS")), false)
        }
        Fault::InternalError => (whole("500 Internal Server Error", "", &errors("UNKNOWN")), false),
        Fault::Nonsense => (whole("200 OK", "", "<html>Welcome to the hotel</html>"), false),
    };
    connection.write_all(answer.as_bytes()).await?;
    if stays_open {
        std::future::pending::<()>().await;
    }
    connection.shutdown().await
}

fn errors(code: &str) -> String {
    format!(r#"{{"errors":[{{"code":"{code}","message":"made up for a test"}}]}}"#)
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

/// Forwards both ways until either side ends.
async fn forward(connection: TcpStream, upstream: &Upstream) -> io::Result<()> {
    let server = TcpStream::connect(&upstream.address).await?;
    let (mut from_client, mut to_client) = connection.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 16384];
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                return to_server.shutdown().await;
            }
            upstream.note(&buffer[..length]);
            to_server.write_all(&buffer[..length]).await?;
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}

impl Upstream {
    /// Readers of a registry send each request, which has no body, in one piece.
    fn note(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        self.requests.lock().expect("nobody fails while writing it").push(line);
    }
}
