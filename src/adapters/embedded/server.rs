//! The HTTP side of the embedded registry.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use axum::routing::get;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::content::Repository;

#[derive(Deserialize)]
struct Page {
    n: Option<usize>,
    last: Option<String>,
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().route("/v2/", get(ping)).route("/v2/{*path}", get(answer)).with_state(state)
}

async fn ping(Shared(state): Shared<Arc<State>>) -> Response {
    state.pings.fetch_add(1, Ordering::Relaxed);
    respond(StatusCode::OK, &[("content-type", "application/json")], "{}")
}

/// Takes the path apart from its end, for the names of repositories hold slashes.
async fn answer(
    method: Method,
    Shared(state): Shared<Arc<State>>,
    Path(path): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    let Some((rest, last)) = path.rsplit_once('/') else { return failure("NAME_UNKNOWN") };
    let Some((name, kind)) = rest.rsplit_once('/') else { return failure("NAME_UNKNOWN") };
    let count = match (kind, last) {
        ("tags", "list") => &state.tags,
        ("manifests", _) if method == Method::HEAD => &state.heads,
        ("manifests", _) => &state.manifests,
        ("blobs", _) => &state.blobs,
        _ => return failure("UNSUPPORTED"),
    };
    count.fetch_add(1, Ordering::Relaxed);
    let repositories = state.repositories.lock().unwrap_or_else(PoisonError::into_inner);
    match (repositories.get(name), kind) {
        (None, _) => failure("NAME_UNKNOWN"),
        (Some(repository), "tags") => tags(name, repository, &page),
        (Some(repository), "manifests") => manifest(repository, last),
        (Some(repository), _) => blob(repository, last),
    }
}

fn tags(name: &str, repository: &Repository, page: &Page) -> Response {
    let after = page.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = repository.tags.range((after, Bound::Unbounded)).map(|(tag, _)| tag);
    let tags: Vec<&String> = rest.by_ref().take(page.n.unwrap_or(usize::MAX)).collect();
    let body = json!({ "name": name, "tags": tags }).to_string();
    let json = ("content-type", "application/json");
    match (tags.last(), rest.next(), page.n) {
        (Some(last), Some(_), Some(n)) => {
            let link = format!("</v2/{name}/tags/list?last={last}&n={n}>; rel=\"next\"");
            respond(StatusCode::OK, &[json, ("link", &link)], body)
        }
        _ => respond(StatusCode::OK, &[json], body),
    }
}

fn manifest(repository: &Repository, reference: &str) -> Response {
    let Some((digest, media_type, body)) = repository.manifest(reference) else { return failure("MANIFEST_UNKNOWN") };
    let headers = [("content-type", media_type), ("docker-content-digest", digest.as_str())];
    respond(StatusCode::OK, &headers, body)
}

fn blob(repository: &Repository, reference: &str) -> Response {
    let body = reference.parse().ok().and_then(|digest| repository.blobs.get(&digest));
    let Some(body) = body else { return failure("BLOB_UNKNOWN") };
    let headers = [("content-type", "application/octet-stream"), ("docker-content-digest", reference)];
    respond(StatusCode::OK, &headers, body.clone())
}

fn failure(code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": "not known to the registry" }] }).to_string();
    respond(StatusCode::NOT_FOUND, &[("content-type", "application/json")], body)
}

fn respond(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status).header("docker-distribution-api-version", "registry/2.0");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    // Only a header that cannot be written makes this fail; then there is nothing to say but that.
    response.body(body.into()).unwrap_or_else(|_| Response::new(Body::empty()))
}
