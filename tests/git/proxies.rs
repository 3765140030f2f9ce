//! The way to a server by a proxy: HTTP and SOCKS5, for repositories by HTTP(S) and by SSH.

use std::time::Duration;

use fairlead::adapters::clock::SystemClock;
use fairlead::model::{Concealed, GitLogin, GitProxy, GitTls, HostKeys, LoginMethod, Reason};
use fairlead::ports::{Clock as _, Git as _};
use russh::keys::ssh_key::LineEnding;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::server::{Server, basic};
use crate::servers::{FILES, bot, has, reason, seen};
use crate::ssh::{SshServer, new_key};
use crate::stand_in::Proxy;
use crate::support::{Remotes, at, engine, plan, settings};
use crate::tls;

const PASSWORD: &str = "proxy-canary-91b7";

fn by(proxy: &str, login: GitLogin) -> GitLogin {
    GitLogin { proxy: Some(GitProxy { address: proxy.to_owned(), except: String::new() }), ..login }
}

fn past(proxy: &str, except: &str, login: GitLogin) -> GitLogin {
    GitLogin { proxy: Some(GitProxy { address: proxy.to_owned(), except: except.to_owned() }), ..login }
}

/// Writes once by `login`, and checks that it has arrived.
async fn writes(remotes: &Remotes, address: &str, login: GitLogin) {
    let state = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(settings(state.path()), login).await;
    let before = remotes.commits("main");
    let text = remotes.text("main", "values.yaml").expect("a file");
    let (from, to) = (format!("1.0.{}", before - 1), format!("1.0.{before}"));
    assert_eq!(text, format!("tag: {from}\n"));
    let written = engine.write(plan(address, "web", "values.yaml", &from, &to)).await.expect("written");
    assert!(written.pushed && remotes.commits("main") == before + 1);
}

#[tokio::test]
async fn a_repository_by_http_is_reached_by_proxies_of_both_kinds() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret"))).await;
    let address = "http://git.example/web.git";
    let open = Proxy::start(None, &[("git.example", &server.host), ("git.example:80", &server.host)]).await;
    writes(&remotes, address, by(&format!("http://{}", open.host), bot("s3cret"))).await;
    let asked = open.asked();
    assert!(asked.iter().all(|line| line.contains(" http://git.example/web.git/")), "{asked:?}");
    writes(&remotes, address, by(&format!("socks5h://{}", open.host), bot("s3cret"))).await;
    assert_eq!(open.asked().last().map(String::as_str), Some("SOCKS git.example:80"));

    let user = Some(("bot", PASSWORD));
    let closed = Proxy::start(user, &[("git.example", &server.host), ("git.example:80", &server.host)]).await;
    for scheme in ["http", "socks5h"] {
        let proxy = format!("{scheme}://bot:{PASSWORD}@{}", closed.host);
        writes(&remotes, address, by(&proxy, bot("s3cret"))).await;
        for wrong in [format!("{scheme}://{}", closed.host), format!("{scheme}://bot:{PASSWORD}x@{}", closed.host)] {
            let (reason, message) = reason(address, by(&wrong, bot("s3cret"))).await;
            assert_eq!(reason, Reason::GitDenied, "{message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_repository_by_https_is_reached_through_a_proxy_which_sees_nothing() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret"))).await;
    let host = server.with_tls(tls::config()).await;
    let trusting =
        || GitLogin { tls: GitTls { authorities: Some(tls::certificate()), ..GitTls::default() }, ..bot("s3cret") };
    let proxy = Proxy::start(Some(("bot", PASSWORD)), &[("localhost:443", &host), (&host, &host)]).await;
    for scheme in ["http", "socks5h"] {
        let way = format!("{scheme}://bot:{PASSWORD}@{}", proxy.host);
        writes(&remotes, "https://localhost/web.git", by(&way, trusting())).await;
    }
    let asked = proxy.asked();
    assert!(asked.contains(&"CONNECT localhost:443".to_owned()), "{asked:?}");
    assert!(asked.contains(&"SOCKS localhost:443".to_owned()), "{asked:?}");
    assert!(asked.iter().all(|line| !line.contains("web.git")), "{asked:?}");

    // Whom the login trusts is asked behind a proxy, too.
    let way = format!("http://bot:{PASSWORD}@{}", proxy.host);
    assert_eq!(reason("https://localhost/web.git", by(&way, bot("s3cret"))).await.0, Reason::GitNotTrusted);

    let before = proxy.asked().len();
    for except in ["127.0.0.1", "other.example,127.0.0.1"] {
        writes(&remotes, &format!("https://{host}/web.git"), past(&way, except, trusting())).await;
    }
    assert_eq!(proxy.asked().len(), before, "past the proxy");
    let refusing = format!("http://{}", proxy.host);
    let (reason, message) = reason("https://localhost/web.git", by(&refusing, trusting())).await;
    assert_eq!(reason, Reason::GitDenied, "{message}");
    assert!(message.contains("407"), "{message}");
}

/// A server for SSH that calls itself `git.example`, and a login there.
struct Ssh {
    remotes: Remotes,
    server: SshServer,
    login: GitLogin,
}

const SSH: &str = "ssh://git@git.example/web.git";

impl Ssh {
    async fn new() -> Self {
        let (remotes, key) = (Remotes::new(FILES), new_key());
        let server = SshServer::start(remotes.folder.path(), key.public_key()).await;
        let (_, host_key) = server.known_host.split_once(' ').expect("a line");
        let private_key = Concealed::new(key.to_openssh(LineEnding::LF).expect("a key").as_str());
        let host_keys = HostKeys::Known(format!("git.example {host_key}{}", server.known_host));
        let login = GitLogin { method: LoginMethod::Ssh { private_key }, host_keys, ..GitLogin::anonymous() };
        Self { remotes, server, login }
    }

    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }
}

#[tokio::test]
async fn a_repository_by_ssh_is_reached_by_proxies_of_both_kinds_and_its_host_key_is_checked() {
    let ssh = Ssh::new().await;
    for user in [None, Some(("b@t", PASSWORD))] {
        let proxy = Proxy::start(user, &[("git.example:22", &ssh.place())]).await;
        let login = user.map_or_else(String::new, |_| format!("b%40t:{PASSWORD}@"));
        for (scheme, line) in [("socks5", "SOCKS git.example:22"), ("http", "CONNECT git.example:22")] {
            let way = format!("{scheme}://{login}{}", proxy.host);
            let before = proxy.asked().len();
            writes(&ssh.remotes, SSH, by(&way, ssh.login.clone())).await;
            writes(&ssh.remotes, "git@git.example:web.git", by(&way, ssh.login.clone())).await;
            let asked = proxy.asked().split_off(before);
            assert!(asked.len() > 2 && asked.iter().all(|asked| asked == line), "{asked:?}");
            // What comes after the greeting of the proxy is the same with a password.
            if user.is_some() {
                continue;
            }
            let other = new_key().public_key().to_openssh().expect("a key");
            for known in [String::new(), format!("git.example {other}\n")] {
                let login = GitLogin { host_keys: HostKeys::Known(known), ..ssh.login.clone() };
                let (reason, message) = reason(SSH, by(&way, login)).await;
                assert_eq!(reason, Reason::GitNotTrusted, "{message}");
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_is_excepted_is_reached_by_ssh_without_the_proxy() {
    let ssh = Ssh::new().await;
    let proxy = Proxy::start(None, &[]).await;
    let address = format!("ssh://git@{}/web.git", ssh.place());
    let way = format!("socks5://{}", proxy.host);
    writes(&ssh.remotes, &address, past(&way, "git.example,127.0.0.0/8", ssh.login.clone())).await;
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_gives_ssh_no_connection_says_why() {
    let ssh = Ssh::new().await;
    let closed = Proxy::start(Some(("bot", PASSWORD)), &[]).await;
    let said = async |proxy: &str| {
        let (reason, message) = reason(SSH, by(proxy, ssh.login.clone())).await;
        assert!(!message.contains("canary"), "{message}");
        format!("{reason:?}: {}", message.replace(&closed.host, "PROXY"))
    };
    let host = &closed.host;
    insta::assert_snapshot!(said(&format!("http://{host}")).await, @"GitDenied: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` answers 407 Proxy Authentication Required; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("http://bot:canary-wrong@{host}")).await, @"GitDenied: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` answers 407 Proxy Authentication Required; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("http://bot:{PASSWORD}@{host}")).await, @"GitUnreachable: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` answers 502 Bad Gateway; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("socks5://{host}")).await, @"GitDenied: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` refuses to go on without another user and password; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("socks5://bot:canary-wrong@{host}")).await, @"GitDenied: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` refuses user and password; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("socks5://bot:{PASSWORD}@{host}")).await, @"GitUnreachable: cannot look at `ssh://git.example/web.git`: error: the proxy `PROXY` gives no connection to `git.example`: Host unreachable; fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said("socks5://127.0.0.1:1").await, @"GitUnreachable: cannot look at `ssh://git.example/web.git`: error: no connection to the proxy `127.0.0.1:1`: Connection refused (os error 111); fatal: Could not read from remote repository; Please make sure you have the correct access rights; and the repository exists");
    insta::assert_snapshot!(said(&format!("https://bot:{PASSWORD}@{host}")).await, @"CredentialsUnavailable: the `proxy` of the credentials is none for SSH: `socks5://host:port` or `http://host:port`, where need be with `user:password@`");
    assert_eq!(
        reason("ssh://git@git.example;id/web.git", by("http://127.0.0.1:1", ssh.login)).await.0,
        Reason::CredentialsUnavailable
    );
}

#[tokio::test]
async fn what_waits_for_a_proxy_ends_with_the_command_that_it_is_for() {
    let ssh = Ssh::new().await;
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    let address = silent.local_addr().expect("a listener has an address");
    let state = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(settings(state.path()), by(&format!("socks5://{address}"), ssh.login)).await;
    let looking = tokio::spawn(async move { engine.tip(&at(SSH), SystemClock.now()).await });
    let (mut stream, _) = silent.accept().await.expect("it comes");
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await.expect("a greeting");
    looking.abort();
    let closed = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut Vec::new())).await;
    let more = closed.expect("it is killed before its own time is over").expect("it is closed");
    assert_eq!((greeting, more), ([5, 1, 0], 0), "a greeting, and no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_a_proxy_is_seen_nowhere() {
    let encoded = basic("bot", PASSWORD).replace("Basic ", "");
    let held = async |address: &str, login: GitLogin, proxy: &TcpListener| {
        let state = tempfile::tempdir().expect("a folder");
        let (engine, _) = engine(settings(state.path()), login).await;
        let branch = at(address);
        let looking = tokio::spawn(async move { engine.tip(&branch, SystemClock.now()).await });
        let (connection, _) = proxy.accept().await.expect("it comes");
        let all = seen(state.path());
        assert!(has(&all, "ls-remote"), "the look is among what is looked at");
        assert!(!has(&all, PASSWORD) && !has(&all, &encoded), "{address}");
        drop(connection);
        let error = looking.await.expect("no panic").expect_err("no connection").to_string();
        assert!(!error.contains(PASSWORD) && !error.contains(&encoded), "{error}");
        all
    };
    let ssh = Ssh::new().await;
    for scheme in ["http", "socks5"] {
        let proxy = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let way = format!("{scheme}://bot:{PASSWORD}@{}", proxy.local_addr().expect("an address"));
        let all = held(SSH, by(&way, ssh.login.clone()), &proxy).await;
        assert!(has(&all, "ssh-connect"), "what connects is among what is looked at");
        held("https://localhost/web.git", by(&way, GitLogin::anonymous()), &proxy).await;
    }
}
