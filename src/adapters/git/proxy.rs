//! SSH by way of a proxy.
//!
//! `ssh` knows no proxies, but calls a program for its connection: this one, by a command that people are not shown. The program makes the
//! connection, hands it over, and ends. What the way is stands in a file that is kept as a key is; arguments name that file, and the host.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use hyper_util::client::proxy::matcher::Matcher;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;
use url::Url;

use super::address::percent_decoded;
use super::private::PrivateFile;
use crate::model::{GitProxy, Reason};
use crate::ports::GitError;

/// The command of this program that `ssh` calls.
const COMMAND: &str = "ssh-connect";
/// How long a connection may take, with all that is said to the proxy.
const TIME: Duration = Duration::from_secs(20);
/// No answer of a proxy has a longer head.
const MAXIMUM_HEAD: usize = 16 * 1024;

/// The way, as the file tells it.
#[derive(Serialize, Deserialize)]
struct Way {
    proxy: String,
    except: String,
}

/// A proxy that can be spoken with.
#[derive(Debug, PartialEq, Eq)]
struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    /// User and password.
    user: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SOCKS, version 5. It looks up names itself.
    Socks,
    /// The method CONNECT of HTTP.
    Connect,
}

/// The options of `ssh`, for a shell, with which `program`, which is this one, connects it to `address` by way of `proxy`.
///
/// # Errors
/// When the proxy is none for SSH, or the address could be taken for a command.
pub(super) fn options(
    program: &Path,
    address: &str,
    proxy: &GitProxy,
    named: &mut Vec<PrivateFile>,
) -> Result<String, GitError> {
    let refused = |why: String| GitError::new(Reason::CredentialsUnavailable, why);
    Proxy::parse(&proxy.address).map_err(refused)?;
    if !is_plain(address) {
        let why = "an address for SSH by way of a proxy consists of letters, digits, `.`, `-` and `_` up to its path";
        return Err(refused(why.to_owned()));
    }
    let way = Way { proxy: proxy.address.clone(), except: proxy.except.clone() };
    let file = serde_json::to_string(&way).map_err(io::Error::from).and_then(|text| PrivateFile::new(&text));
    let file = file.map_err(|error| GitError::new(Reason::GitFailed, format!("cannot tell `ssh` the way: {error}")))?;
    // `ssh` replaces what begins with `%`, and gives the rest to a shell of its own.
    let fixed = |path: &Path| word(&path.to_string_lossy()).replace('%', "%%");
    let command = format!("{} {COMMAND} {} '%h' '%p'", fixed(program), fixed(file.path()));
    named.push(file);
    Ok(format!(" -o ProxyUseFdpass=yes -o {}", word(&format!("ProxyCommand={command}"))))
}

/// A word for a shell.
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What must not be shown of the address of a proxy: its password, in all its forms.
pub(super) fn secrets(address: &str) -> Vec<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let Some((user, password)) = rest.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return Vec::new();
    };
    let plain = percent_decoded(password);
    let basic = STANDARD.encode(format!("{}:{plain}", percent_decoded(user)));
    vec![password.to_owned(), plain, basic]
}

/// Whether all before the path, in which Git would decode `%`, is no more than names and numbers.
fn is_plain(address: &str) -> bool {
    let authority = match address.strip_prefix("ssh://") {
        Some(rest) => rest.split('/').next(),
        // The path begins after the first colon that is in no brackets.
        None if address.contains('[') => address.split(']').next(),
        None => address.split(':').next(),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+@:[]".contains(&byte);
    authority.is_some_and(|authority| authority.bytes().all(plain))
}

/// Connects to `port` of `host` by the way that a file tells, and hands the connection over to who called this program.
///
/// # Errors
/// A sentence without a secret.
pub async fn connect_by_proxy(way: &Path, host: &str, port: u16) -> Result<(), String> {
    let unreadable = "cannot read the way to the server: this command is for `ssh` alone";
    let text = tokio::fs::read_to_string(way).await.map_err(|_| unreadable.to_owned())?;
    let way: Way = serde_json::from_str(&text).map_err(|_| unreadable.to_owned())?;
    let stream = connect(&way, host, port).await?;
    hand_over(stream).map_err(|error| format!("cannot hand the connection to `ssh`: {error}"))
}

async fn connect(way: &Way, host: &str, port: u16) -> Result<TcpStream, String> {
    let proxy = Proxy::parse(&way.proxy)?;
    let late = || format!("{proxy} gives no connection to `{host}` within {} s", TIME.as_secs());
    let connecting = async {
        if excepted(&way.except, host) {
            let direct = TcpStream::connect((host, port)).await;
            return direct.map_err(|error| format!("connect to host {host} port {port}: {error}"));
        }
        let stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await;
        let stream = stream.map_err(|error| format!("no connection to {proxy}: {error}"))?;
        match proxy.kind {
            Kind::Socks => proxy.socks(stream, host, port).await,
            Kind::Connect => proxy.tunnel(stream, host, port).await,
        }
    };
    tokio::time::timeout(TIME, connecting).await.unwrap_or_else(|_| Err(late()))
}

/// Whether `host` is one of those that are reached directly, as HTTP has it.
fn excepted(except: &str, host: &str) -> bool {
    let uri = format!("http://{}/", in_brackets(host)).parse::<http::Uri>();
    let proxied = Matcher::builder().all("http://proxy.invalid").no(except.to_owned()).build();
    uri.is_ok_and(|uri| proxied.intercept(&uri).is_none())
}

/// A host as it stands in an address.
fn in_brackets(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl Proxy {
    fn parse(address: &str) -> Result<Self, String> {
        let refused = || {
            "the `proxy` of the credentials is none for SSH: `socks5://host:port` or `http://host:port`, where need be with `user:password@`".to_owned()
        };
        let whole = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = Url::parse(&whole).map_err(|_| refused())?;
        let (kind, usual) = match url.scheme() {
            "socks5" | "socks5h" => (Kind::Socks, 1080),
            "http" => (Kind::Connect, 80),
            _ => return Err(refused()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(refused)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let user = percent_decoded(url.username());
        let password = url.password().map(percent_decoded).unwrap_or_default();
        let user = (!user.is_empty() || !password.is_empty()).then_some((user, password));
        Ok(Self { kind, host, port: url.port().unwrap_or(usual), user })
    }

    async fn socks(&self, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, String> {
        let connected = match &self.user {
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, (host, port), user, password).await
            }
            None => Socks5Stream::connect_with_socket(stream, (host, port)).await,
        };
        connected.map(Socks5Stream::into_inner).map_err(|error| match error {
            SocksError::PasswordAuthFailure(_) => format!("{self} refuses user and password"),
            SocksError::AuthorizationRequired | SocksError::NoAcceptableAuthMethods => {
                format!("{self} refuses to go on without another user and password")
            }
            error => format!("{self} gives no connection to `{host}`: {error}"),
        })
    }

    /// By CONNECT. The head of the answer is read and not a byte more: what follows is the server's.
    async fn tunnel(&self, mut stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, String> {
        let broken = |error: io::Error| format!("{self} breaks off: {error}");
        let target = format!("{}:{port}", in_brackets(host));
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some((user, password)) = &self.user {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            request = format!("{request}Proxy-Authorization: Basic {basic}\r\n");
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAXIMUM_HEAD {
                return Err(format!("{self} does not answer as a proxy does"));
            }
            head.push(stream.read_u8().await.map_err(broken)?);
        }
        let status = String::from_utf8_lossy(&head).split(' ').nth(1).and_then(|code| code.parse::<StatusCode>().ok());
        match status {
            Some(status) if head.starts_with(b"HTTP/1.") && status.is_success() => Ok(stream),
            Some(status) if head.starts_with(b"HTTP/1.") => Err(format!("{self} answers {status}")),
            _ => Err(format!("{self} does not answer as a proxy does")),
        }
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the proxy `{}:{}`", in_brackets(&self.host), self.port)
    }
}

/// Gives the connection to the process at the other end of standard output, which `ssh` made a socket for that.
fn hand_over(stream: TcpStream) -> io::Result<()> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    let descriptors = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(io::stdout(), &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_one_of_two_kinds() {
        let parsed = |address: &str| Proxy::parse(address).map(|proxy| (proxy.to_string(), proxy.kind, proxy.user));
        let bot = || Some(("b@t".to_owned(), "s:cret".to_owned()));
        let table = [
            ("socks5://proxy.example:1081", "the proxy `proxy.example:1081`", Kind::Socks, None),
            ("socks5h://b%40t:s%3Acret@[::1]", "the proxy `[::1]:1080`", Kind::Socks, bot()),
            ("http://b%40t:s%3Acret@proxy.example", "the proxy `proxy.example:80`", Kind::Connect, bot()),
            ("proxy.example:3128", "the proxy `proxy.example:3128`", Kind::Connect, None),
        ];
        for (address, shown, kind, user) in table {
            assert_eq!(parsed(address), Ok((shown.to_owned(), kind, user)), "{address}");
        }
        for refused in ["https://proxy.example", "socks4://proxy.example", "http://", "socks5://", ""] {
            let error = parsed(refused).expect_err("it is refused");
            assert!(error.starts_with("the `proxy` of the credentials is none for SSH"), "{error}");
        }
    }

    #[test]
    fn an_address_is_never_a_command() {
        for fine in ["ssh://git@git.example.com:22/a b/$c", "git@git.example.com:a/b.git", "git@[::1]:a", "host:a;b"] {
            assert!(is_plain(fine), "{fine}");
        }
        let evil = ["ssh://git@h;id/a", "ssh://h%27;id%2Fx@host/a", "git@h'$(id)':a", "git@[::1`id`]:a", "h`id`:a"];
        for refused in evil {
            assert!(!is_plain(refused), "{refused}");
        }
    }

    #[test]
    fn options_name_no_secret_and_are_words_of_a_shell() {
        let proxy = GitProxy { address: "http://bot:geheim@proxy.example".to_owned(), except: String::new() };
        let mut named = Vec::new();
        let text = options(Path::new("/opt/it's 100%/fairlead"), "git@host:a", &proxy, &mut named).expect("a proxy");
        let place = named[0].path().display().to_string();
        assert_eq!(std::fs::read_to_string(named[0].path()).expect("ours").matches("geheim").count(), 1);
        insta::assert_snapshot!(text.replace(&place, "WAY"), @r" -o ProxyUseFdpass=yes -o 'ProxyCommand='\''/opt/it'\''\'\'''\''s 100%%/fairlead'\'' ssh-connect '\''WAY'\'' '\''%h'\'' '\''%p'\'''");
    }

    #[test]
    fn exceptions_are_read_as_those_of_http() {
        for host in ["git.example.com", "example.com", "10.1.2.3", "::1"] {
            assert!(excepted("other, .example.com,10.0.0.0/8,::1", host), "{host}");
        }
        for host in ["notexample.com", "11.1.2.3", "::2"] {
            assert!(!excepted("other, .example.com,10.0.0.0/8,::1", host), "{host}");
        }
        assert!(excepted("*", "host") && !excepted("", "host"));
    }

    #[test]
    fn the_password_of_a_proxy_is_concealed_in_all_its_forms() {
        assert_eq!(secrets("http://b:p%40ss@proxy:1"), ["p%40ss", "p@ss", "YjpwQHNz"]);
        assert_eq!(secrets("b:pass@proxy:1").first().map(String::as_str), Some("pass"));
        assert_eq!(secrets("http://proxy:1"), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_says_nothing_is_left_in_time() {
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = silent.local_addr().expect("a listener has an address").to_string();
        for scheme in ["http", "socks5"] {
            let way = Way { proxy: format!("{scheme}://{host}"), except: String::new() };
            let error = connect(&way, "git.example", 22).await.expect_err("silence").replace(&host, "PROXY");
            insta::allow_duplicates!(
                insta::assert_snapshot!(error, @"the proxy `PROXY` gives no connection to `git.example` within 20 s")
            );
        }
    }
}
