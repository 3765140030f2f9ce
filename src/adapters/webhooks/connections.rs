//! Connections: accepted, bounded in number and time, over TLS or not.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls::WebhookTls;

/// How long the head of a request may take, and the wait for the next one on the same connection.
const HEAD: Duration = Duration::from_secs(10);
/// How long TLS may take to be agreed on.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that are open at once; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// After a failure to accept, which means that this process lacks something.
const PAUSE: Duration = Duration::from_millis(100);
/// How long requests in hand may take after a stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` is cancelled; requests in hand have a little time then.
pub(super) async fn serve(listener: TcpListener, tls: Option<WebhookTls>, routes: Router, stop: CancellationToken) {
    let tls = tls.map(Arc::new);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // Nobody closes the semaphore.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (tls, routes, stop) = (tls.clone(), routes.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, tls.as_deref(), routes, stop).await;
                        drop(place);
                    });
                    while connections.try_join_next().is_some() {}
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection for webhooks cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What has not ended is cut off with the set.
    let _ = tokio::time::timeout(GRACE, ended).await;
}

async fn connection(stream: TcpStream, tls: Option<&WebhookTls>, routes: Router, stop: CancellationToken) {
    let Some(tls) = tls else { return requests(stream, routes, stop).await };
    let acceptor = TlsAcceptor::from(tls.config().await);
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, routes, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with who came for webhooks"),
        Err(_) => tracing::debug!("no TLS within ten seconds with who came for webhooks"),
    }
}

async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin + Send, routes: Router, stop: CancellationToken) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection for webhooks broke off");
    }
}
