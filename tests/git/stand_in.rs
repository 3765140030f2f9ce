//! A proxy of both kinds on one port: SOCKS5, and HTTP with CONNECT and with whole addresses. It knows one name, and writes down what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What a proxy lets pass.
#[derive(Clone, Default)]
struct Rules {
    /// User and password, where it wants some.
    user: Option<(String, String)>,
    /// Where targets really are: `git.example:22` is `127.0.0.1:4711`. Others are refused.
    places: BTreeMap<String, String>,
}

/// The proxy; it ends with its runtime.
pub struct Proxy {
    /// `127.0.0.1:<port>`.
    pub host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy for who says `user` (name and password), if anybody, that knows where `places` are.
    pub async fn start(user: Option<(&str, &str)>, places: &[(&str, &str)]) -> Self {
        let rules = Rules {
            user: user.map(|(name, password)| (name.to_owned(), password.to_owned())),
            places: places.iter().map(|(target, place)| ((*target).to_owned(), (*place).to_owned())).collect(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that is refused breaks off.
                tokio::spawn(serve(stream, rules.clone(), Arc::clone(&log)));
            }
        });
        Self { host, asked }
    }

    /// What it was asked for: `SOCKS git.example:22`, `CONNECT git.example:443`, `GET http://git.example/…`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn serve(mut stream: TcpStream, rules: Rules, log: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    let mut server = match first {
        [5] => socks(&mut stream, &rules, &log).await?,
        _ => http(&mut stream, &rules, &log).await?,
    };
    copy_bidirectional(&mut stream, &mut server).await.ok().map(|_| ())
}

/// RFC 1928.
async fn socks(stream: &mut TcpStream, rules: &Rules, log: &Mutex<Vec<String>>) -> Option<TcpStream> {
    greeted(stream, rules.user.as_ref()).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.ok()?;
    let host = match head {
        [5, 1, 0, 1] => std::net::Ipv4Addr::from(stream.read_u32().await.ok()?).to_string(),
        [5, 1, 0, 3] => text(stream).await?,
        _ => panic!("{head:?}"),
    };
    let target = format!("{host}:{}", stream.read_u16().await.ok()?);
    log.lock().expect("not poisoned").push(format!("SOCKS {target}"));
    let place = rules.places.get(&target);
    // It succeeds, or the host cannot be reached.
    let answer = if place.is_some() { 0 } else { 4 };
    stream.write_all(&[5, answer, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    Some(TcpStream::connect(place?).await.expect("the server listens"))
}

/// RFC 1929, where a user is wanted.
async fn greeted(stream: &mut TcpStream, user: Option<&(String, String)>) -> Option<()> {
    stream.read_u8().await.ok()?;
    let methods = text(stream).await?;
    let wanted = if user.is_some() { 2 } else { 0 };
    let known = methods.as_bytes().contains(&wanted);
    stream.write_all(&[5, if known { wanted } else { 0xff }]).await.ok()?;
    let Some((name, password)) = user.filter(|_| known) else { return known.then_some(()) };
    stream.read_u8().await.ok()?;
    let right = text(stream).await? == *name && text(stream).await? == *password;
    stream.write_all(&[1, u8::from(!right)]).await.ok()?;
    right.then_some(())
}

/// A text with its length before it.
async fn text(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

async fn http(stream: &mut TcpStream, rules: &Rules, log: &Mutex<Vec<String>>) -> Option<TcpStream> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let whole = String::from_utf8(head).expect("a head is text");
        let mut words = whole.split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
        log.lock().expect("not poisoned").push(format!("{method} {target}"));
        let said = whole.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
        let wanted = rules.user.as_ref().map(|(name, password)| STANDARD.encode(format!("{name}:{password}")));
        if wanted.is_some() && said != wanted.as_deref() {
            let answer = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        let authority = target.strip_prefix("http://").map_or(target, |rest| rest.split('/').next().expect("a host"));
        let Some(place) = rules.places.get(authority) else {
            stream.write_all(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n").await.ok()?;
            continue;
        };
        let mut server = TcpStream::connect(place).await.expect("the server listens");
        if method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 Fine\r\nVia: a proxy\r\n\r\n").await.ok()?;
        } else {
            // Those that follow on this connection are for the same server.
            server.write_all(whole.as_bytes()).await.ok()?;
        }
        return Some(server);
    }
}
