//! Whom it speaks to, with which token, and that nobody else learns of that.

#![allow(clippy::disallowed_methods, reason = "writes tokens for tests")]

use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead::adapters::argocd::{ArgoCdSettings, TokenSource, server_address};
use fairlead::model::Concealed;
use fairlead::ports::Applications as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::stand_in::{ArgoCd, Call, Fault, TOKEN, until};
use crate::support::{faults, tls};
use crate::{NAMESPACE, follow, manifest, reach, settings, timings, web};

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

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is said of a server when one Application is asked for.
async fn said(settings: &ArgoCdSettings) -> String {
    let answer = reach(settings, &[None]).port.fresh(&web()).await;
    answer.expect_err("it cannot be read").to_string()
}

fn at(host: &str, plaintext: bool) -> ArgoCdSettings {
    let server = server_address(host, plaintext, "").expect("an address");
    ArgoCdSettings { timings: timings(), ..ArgoCdSettings::new(server, TokenSource::Fixed(Concealed::new(TOKEN))) }
}

#[tokio::test]
async fn a_token_that_changes_in_its_file_is_in_force_at_once() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("it can be written");
    let reached =
        follow(&argocd, &ArgoCdSettings { token: TokenSource::File(file.clone()), ..settings(&argocd) }).await;
    argocd.rotate("the-next-one");
    assert!(reached.port.fresh(&web()).await.is_err());
    std::fs::write(&file, "the-next-one\n").expect("it can be written");
    assert!(reached.port.fresh(&web()).await.expect("an answer").is_some());
}

/// Every way to fail, at every level of the log.
#[tokio::test]
async fn the_token_is_in_no_error_and_no_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let reached = follow(&argocd, &settings(&argocd)).await;
    let mut errors = vec![format!("{:?}", settings(&argocd))];
    argocd.rotate("another");
    argocd.end_streams();
    until("it was noticed", || !reached.port.index().is_synced()).await;
    errors.push(reached.port.list(NAMESPACE).await.expect_err("it is refused").to_string());
    errors.push(reached.port.fresh(&web()).await.expect_err("it is refused").to_string());
    errors.push(said(&at(&faults::nobody().await, true)).await);
    drop(guard);
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(logged.contains("cannot list the Applications through Argo CD's API"), "{logged}");
    errors.push(logged);
    for text in errors {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn what_is_not_argo_cds_server_is_said() {
    let host = faults::nobody().await;
    insta::assert_snapshot!(said(&at(&host, true)).await.replace(&host, "HOST"), @"cannot read `argocd/web`: no connection to `HOST`");
    let host = tls::untrusted();
    insta::assert_snapshot!(said(&at(&host, false)).await.replace(&host, "HOST"), @"cannot read `argocd/web`: the certificate of `HOST` is not trusted; name its authority, or ask not to look at it");
    let argocd = ArgoCd::start("/tools").await;
    let page = said(&settings(&argocd)).await;
    insta::assert_snapshot!(page.replace(argocd.host(), "HOST"), @"cannot read `argocd/web`: the answer of `HOST` is not of Argo CD's API (it cannot be read at line 1, column 1); is this the address of Argo CD's server, with the path that it is served under?");
    let redirect = faults::answer(307, &[("location", "https://argocd.example.com/login?state=canary")], "");
    let server = faults::Server::start(move |_, _| faults::Reply::Send(redirect.clone())).await;
    let moved = said(&at(server.host(), true)).await;
    insta::assert_snapshot!(moved.replace(server.host(), "HOST"), @"cannot read `argocd/web`: `HOST` answers 307 Temporary Redirect and leads to `https://argocd.example.com/login`: name that address, or leave plaintext out");
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let reached = follow(&argocd, &settings(&argocd)).await;
    argocd.fault(Call::Get, Fault::Says(200, "{}"));
    let other = reached.port.fresh(&web()).await.expect_err("that is no Application").to_string();
    insta::assert_snapshot!(other.replace(argocd.host(), "HOST"), @"cannot read `argocd/web`: the answer of `HOST` is not of Argo CD's API (it is not the Application that was asked for); is this the address of Argo CD's server, with the path that it is served under?");
}

/// A server with a certificate of its own that has an empty list for every request.
fn over_tls() -> String {
    let config = Arc::new(tls::config());
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(config).expect("the configuration is whole");
                let mut stream = rustls::StreamOwned::new(connection, socket);
                let answer = faults::answer(200, &[], r#"{"metadata":{"resourceVersion":"1"},"items":null}"#);
                // Requests without a body come in one piece.
                while stream.read(&mut [0; 8192]).is_ok_and(|read| read > 0) && stream.write_all(&answer).is_ok() {}
            });
        }
    });
    format!("localhost:{port}")
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_authority_or_not_looked_at() {
    let host = over_tls();
    assert!(said(&at(&host, false)).await.contains("is not trusted"));
    let authorities = Some(tls::certificate());
    for settings in
        [ArgoCdSettings { authorities, ..at(&host, false) }, ArgoCdSettings { insecure: true, ..at(&host, false) }]
    {
        let answer = reach(&settings, &[None]).port.fresh(&web()).await;
        assert_eq!(answer.expect("an answer"), None);
    }
    let broken = ArgoCdSettings { authorities: Some("none".to_owned()), ..at(&host, false) };
    let (sender, _changes) = tokio::sync::mpsc::unbounded_channel();
    let error = fairlead::adapters::argocd::ArgoCdApplications::start(&broken, &[None], &sender).err();
    insta::assert_snapshot!(error.expect("it is no certificate"), @"cannot make a client for Argo CD's API: what is named as its authorities holds no certificate in PEM");
}
