//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;

/// Tells how the process is.
pub trait Health: Send + Sync + 'static {
    /// What it still waits for, if it is not ready yet.
    fn waits_for(&self) -> Option<String>;

    /// What hangs in a way that a restart ends, and nothing else does.
    fn is_stuck(&self) -> Option<String>;
}

struct Shared {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
}

/// Serves health and metrics until `shutdown` ends.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let routes = Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .with_state(Arc::new(Shared { health, metrics }));
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

async fn alive(State(shared): State<Arc<Shared>>) -> Response {
    match shared.health.is_stuck() {
        None => "ok\n".into_response(),
        Some(what) => {
            tracing::error!(what, "stuck: {what}");
            (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {what}\n")).into_response()
        }
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.health.waits_for() {
        None => "ok\n".into_response(),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")).into_response(),
    }
}

async fn metrics_page(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.text()).into_response()
}
