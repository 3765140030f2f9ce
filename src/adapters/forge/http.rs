//! One exchange with a forge: bounded, within its limits, and told without secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::ForgeTimeouts;
use super::pause::Pauses;
use crate::adapters::way;
use crate::model::{GitProxy, GitTls, Reason};
use crate::ports::Clock;

/// No answer is longer: thirty pull requests with texts of the longest kind are two megabytes.
const MAXIMUM_BODY: usize = 8 * 1024 * 1024;
/// Answers kept to ask whether they still hold, in bytes. Such a question costs nothing of GitHub's limit.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;
/// Moves followed within one host.
const MAXIMUM_MOVES: usize = 3;
/// Characters of a forge's own words that are shown.
const MAXIMUM_WORDS: usize = 200;
/// Clients at once.
const MAXIMUM_CLIENTS: usize = 64;

/// What speaks HTTP.
pub(super) struct Http {
    /// One client for each way to get there.
    clients: Mutex<HashMap<(GitTls, Option<GitProxy>), reqwest::Client>>,
    timeouts: ForgeTimeouts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pauses: Pauses,
    kept: Cache<String, (HeaderValue, Bytes)>,
}

/// A request.
pub(super) struct Call<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<serde_json::Value>,
    /// The value of the header `Authorization`.
    pub(super) login: &'a HeaderValue,
    /// The token within it, so that it can be taken out of what a forge says.
    pub(super) token: &'a str,
}

/// Why there is no answer of success. Its cause never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) cause: String,
    pub(super) retry_after: Option<Duration>,
    /// The status of the answer, where there was one.
    pub(super) status: Option<StatusCode>,
}

impl Failure {
    pub(super) fn new(reason: Reason, cause: impl Into<String>) -> Self {
        Self { reason, cause: cause.into(), retry_after: None, status: None }
    }

    /// Whether the forge as a whole does not work for now with this token.
    pub(super) fn is_of_forge(&self) -> bool {
        let denied = self.status == Some(StatusCode::UNAUTHORIZED);
        denied || matches!(self.reason, Reason::ForgeUnreachable | Reason::ForgeRateLimited | Reason::ForgeFailed)
    }
}

impl Http {
    pub(super) fn new(timeouts: ForgeTimeouts, clock: Arc<dyn Clock>) -> Self {
        let weigh = |key: &String, (_, body): &(HeaderValue, Bytes)| {
            u32::try_from(key.len() + body.len() + 200).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().weigher(weigh).max_capacity(KEPT_BYTES).build();
        Self { clients: Mutex::default(), timeouts, clock, pauses: Pauses::default(), kept }
    }

    /// Sends a request. A question is asked once more where that may help; a change is not, as it may have been made.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Bytes, Failure> {
        let result = self.attempt(call).await;
        let transient = |failure: &Failure| {
            let passing = matches!(failure.reason, Reason::ForgeUnreachable | Reason::ForgeFailed);
            passing && failure.retry_after.is_none()
        };
        match result {
            Err(failure) if call.method == Method::GET && transient(&failure) => self.attempt(call).await,
            result => result,
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Bytes, Failure> {
        let key = format!("{} {}", call.url, mark(call.token));
        let kept = if call.method == Method::GET { self.kept.get(&key).await } else { None };
        let mut url = call.url.clone();
        for _ in 0..=MAXIMUM_MOVES {
            let mut request = call
                .client
                .request(call.method.clone(), url.clone())
                .header(ACCEPT, "application/json")
                .header(AUTHORIZATION, call.login.clone());
            if let Some((tag, _)) = &kept {
                request = request.header(IF_NONE_MATCH, tag.clone());
            }
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|error| self.unanswered(&url, &error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if let Some(next) = moved(call, &url, status, &headers)? {
                url = next;
                continue;
            }
            if let (StatusCode::NOT_MODIFIED, Some((_, body))) = (status, kept) {
                return Ok(body);
            }
            let body = self.read(response, &url).await?;
            if !status.is_success() {
                return Err(refused(call, status, &headers, &body, self.clock.now()));
            }
            if let (Some(tag), &Method::GET) = (headers.get(ETAG), &call.method) {
                self.kept.insert(key, (tag.clone(), body.clone())).await;
            }
            return Ok(body);
        }
        Err(Failure::new(Reason::ForgeFailed, format!("`{}` moves again and again", host(&url))))
    }

    async fn read(&self, mut response: reqwest::Response, url: &Url) -> Result<Bytes, Failure> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() <= MAXIMUM_BODY => body.extend_from_slice(&piece),
                Ok(Some(_)) => {
                    let cause = format!("the answer of `{}` is larger than {MAXIMUM_BODY} bytes", host(url));
                    return Err(Failure::new(Reason::ForgeFailed, cause));
                }
                Ok(None) => return Ok(body.into()),
                Err(error) if error.is_timeout() => return Err(self.unanswered(url, &error)),
                Err(_) => {
                    return Err(Failure::new(
                        Reason::ForgeUnreachable,
                        format!("the answer of `{}` is cut off", host(url)),
                    ));
                }
            }
        }
    }

    fn unanswered(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let host = host(url);
        let cause = if error.is_connect() && is_certificate(error) {
            format!("the certificate of `{host}` is not trusted")
        } else if error.is_timeout() {
            format!("`{host}` does not answer within {:?}", self.timeouts.whole)
        } else if error.is_connect() {
            format!("no connection to `{host}`")
        } else {
            format!("`{host}` closes the connection without an answer")
        };
        Failure::new(Reason::ForgeUnreachable, cause)
    }

    /// The client that trusts whom a login trusts, and goes its way.
    pub(super) fn client(&self, tls: &GitTls, proxy: Option<&GitProxy>) -> Result<reqwest::Client, Failure> {
        let way = (tls.clone(), proxy.cloned());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        let client = self.build(tls, proxy)?;
        if clients.len() >= MAXIMUM_CLIENTS {
            clients.clear();
        }
        clients.insert(way, client.clone());
        Ok(client)
    }

    fn build(&self, tls: &GitTls, proxy: Option<&GitProxy>) -> Result<reqwest::Client, Failure> {
        let unusable = |what| Failure::new(Reason::ForgeDenied, format!("{what} of its login cannot be used"));
        way::client(builder(self.timeouts), tls, proxy).map_err(unusable)
    }
}

fn builder(timeouts: ForgeTimeouts) -> reqwest::ClientBuilder {
    crate::adapters::oci::install_tls_provider();
    reqwest::Client::builder()
        .user_agent(concat!("fairlead/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.whole)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

/// Where a repository that was renamed is now. Only the same host gets the token, and a change is only sent on where the forge says that it
/// stays one.
fn moved(call: &Call<'_>, url: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Failure> {
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let next = headers.get(LOCATION).and_then(|place| place.to_str().ok()).and_then(|place| url.join(place).ok());
    match next {
        Some(next) if next.origin() == url.origin() && (keeps_method || call.method == Method::GET) => Ok(Some(next)),
        _ => {
            let cause = format!("`{}` says that the repository has moved: write its new address", host(url));
            Err(Failure { status: Some(status), ..Failure::new(Reason::ForgeRejected, cause) })
        }
    }
}

fn refused(call: &Call<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Failure {
    let words = words(body, call.token).map(|words| format!(" (`{words}`)")).unwrap_or_default();
    let retry_after = wait(headers, now);
    let limited = status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && retry_after.is_some());
    let reason = match status {
        _ if limited => Reason::ForgeRateLimited,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Reason::ForgeDenied,
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => Reason::ForgeFailed,
        _ => Reason::ForgeRejected,
    };
    let hint = match status {
        _ if limited => "",
        StatusCode::UNAUTHORIZED => "; the token is wrong or has ended",
        StatusCode::FORBIDDEN => "; the token lacks a right",
        StatusCode::NOT_FOUND => "; it does not exist, or the token does not show it",
        _ => "",
    };
    let cause = format!("`{}` answers {status}{words}{hint}", host(&call.url));
    Failure { reason, cause, retry_after, status: Some(status) }
}

/// How long the forge asks to wait: by `Retry-After`, or until its window ends where nothing is left of it.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(seconds) = headers.get(RETRY_AFTER).and_then(|_| number("retry-after")) {
        return Some(Duration::from_secs(seconds));
    }
    let end = |remaining: &str, reset: &str| {
        let reset = number(reset).filter(|_| number(remaining) == Some(0))?;
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        Some(Duration::from_secs(reset.saturating_sub(now).max(1)))
    };
    end("x-ratelimit-remaining", "x-ratelimit-reset").or_else(|| end("ratelimit-remaining", "ratelimit-reset"))
}

/// What the forge says is wrong, in one short line without the token.
fn words(body: &[u8], token: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut parts = Vec::new();
    collect(document.get("message").or_else(|| document.get("error"))?, &mut parts);
    document.get("errors").into_iter().for_each(|errors| collect(errors, &mut parts));
    Some(plain(&parts.join(": "), token)).filter(|words| !words.is_empty())
}

/// A server's own words in one short line without the token.
pub(in crate::adapters) fn plain(text: &str, token: &str) -> String {
    let text = if token.is_empty() { text.to_owned() } else { text.replace(token, "***") };
    let words: Vec<&str> = text.split(|character: char| character.is_whitespace() || character.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").replace('`', "'");
    line.chars().take(MAXIMUM_WORDS).collect()
}

fn collect(value: &serde_json::Value, parts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => parts.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, parts)),
        serde_json::Value::Object(fields) => {
            let message = fields.get("message").or_else(|| fields.get("code"));
            match message {
                Some(message) => collect(message, parts),
                None => fields.values().for_each(|value| collect(value, parts)),
            }
        }
        _ => {}
    }
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

fn is_certificate(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.to_string().contains("certificate") {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Tells tokens apart without showing any.
pub(super) fn mark(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
