//! `POST` and `OPTIONS /webhook/<source>`, and what is answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::connections;
use super::limits::{Limit, Limits};
use super::secrets::WebhookSecrets;
use super::tls::WebhookTls;
use crate::lower::push_event::{Delivery, Source, push_event, validation_code};
use crate::lower::webhook_authenticity::{Genuine, WebhookSecret, needs_body, webhook_authenticity};
use crate::model::Repository;
use crate::ports::Clock;

/// Bytes that a body may have.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bodies that are read at once, so that memory is bounded.
const AT_ONCE: usize = 64;

/// Who wants to know what was pushed.
pub trait PushReceiver: Send + Sync + 'static {
    /// Something was pushed to these repositories, says somebody who knows the secret. Must not wait.
    fn pushed(&self, repositories: Vec<Repository>);
}

/// Who counts requests.
pub trait WebhookObserver: Send + Sync + 'static {
    /// A request was answered; `source` is one of the known ones, or `unknown`.
    fn answered(&self, source: &'static str, outcome: WebhookOutcome);
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It tells of a push, and those concerned are told.
    Accepted,
    /// It is genuine and tells of no push.
    Ignored,
    /// It is genuine and asks whether events are wanted here.
    Validated,
    /// It is not genuine, came before, or its source is unknown or has no secret.
    Refused,
    /// It is genuine and cannot be understood.
    Malformed,
    /// Its body is larger than 1 MiB.
    TooLarge,
    /// Its body did not arrive in time.
    TooSlow,
    /// Its source sends too many, or too many are in hand.
    Limited,
}

/// The server.
pub struct WebhookServer {
    secrets: WebhookSecrets,
    receiver: Arc<dyn PushReceiver>,
    observer: Arc<dyn WebhookObserver>,
    clock: Arc<dyn Clock>,
    tls: Option<WebhookTls>,
    limits: Mutex<Limits>,
    places: Semaphore,
}

/// An answer.
struct Answer {
    outcome: WebhookOutcome,
    text: String,
    /// Headers beside.
    headers: Vec<(&'static str, HeaderValue)>,
}

impl WebhookOutcome {
    /// Its word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
            Self::Validated => "validated",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Limited => "limited",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Ignored => StatusCode::ACCEPTED,
            Self::Validated => StatusCode::OK,
            Self::Refused => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl WebhookServer {
    /// A server that believes who knows one of `secrets`.
    pub fn new(
        secrets: WebhookSecrets,
        receiver: Arc<dyn PushReceiver>,
        observer: Arc<dyn WebhookObserver>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (limits, places) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Self { secrets, receiver, observer, clock, tls: None, limits, places }
    }

    /// The same over TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: WebhookTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves until `stop` is cancelled; requests in hand have a little time then.
    pub async fn serve(mut self, listener: TcpListener, stop: CancellationToken) {
        let tls = self.tls.take();
        let taken = on(MethodFilter::POST.or(MethodFilter::OPTIONS), receive);
        let routes = Router::new()
            .route("/webhook/{source}", taken.clone())
            .route("/webhook/{source}/{token}", taken)
            .with_state(Arc::new(self));
        connections::serve(listener, tls, routes, stop).await;
    }

    async fn answer(&self, source: Source, token: Option<String>, request: Request) -> Result<Answer, Answer> {
        let refused = || Answer::of(WebhookOutcome::Refused);
        let secret = self.secrets.secret(source).await.ok_or_else(refused)?;
        let asks = request.method() == Method::OPTIONS;
        let (delivery, body) = opened(token, request);
        if asks {
            let genuine = self.genuine(source, &secret, &delivery)?;
            self.take(source, &genuine)?;
            return Ok(Answer::wanted(&delivery));
        }
        if !needs_body(source, &delivery) {
            // Nobody else's body is read.
            self.genuine(source, &secret, &delivery)?;
        }
        let place = self.places.try_acquire().map_err(|_| Answer::again_after(1))?;
        let body = tokio::time::timeout(PATIENCE, read(body, &delivery)).await;
        let delivery = Delivery { body: body.map_err(|_| Answer::of(WebhookOutcome::TooSlow))??, ..delivery };
        let genuine = self.genuine(source, &secret, &delivery)?;
        self.take(source, &genuine)?;
        if let Some(code) = validation_code(source, &delivery) {
            return Ok(Answer::validated(&code));
        }
        let pushes = push_event(source, &delivery)
            .map_err(|error| Answer { text: format!("{error}\n"), ..Answer::of(WebhookOutcome::Malformed) })?;
        drop(place);
        if pushes.is_empty() {
            return Ok(Answer::of(WebhookOutcome::Ignored));
        }
        let mut repositories: Vec<Repository> = pushes.into_iter().map(|push| push.repository).collect();
        repositories.dedup();
        self.receiver.pushed(repositories);
        Ok(Answer::of(WebhookOutcome::Accepted))
    }

    fn genuine(&self, source: Source, secret: &WebhookSecret, delivery: &Delivery) -> Result<Genuine, Answer> {
        let genuine = webhook_authenticity(source, secret, delivery, self.clock.now());
        genuine.map_err(|_| Answer::of(WebhookOutcome::Refused))
    }

    fn take(&self, source: Source, genuine: &Genuine) -> Result<(), Answer> {
        let now = self.clock.now();
        let taken = self.limits.lock().unwrap_or_else(PoisonError::into_inner).take(source, genuine, now);
        taken.map_err(|limit| match limit {
            Limit::Rate(seconds) => Answer::again_after(seconds),
            Limit::Replayed => Answer::of(WebhookOutcome::Refused),
        })
    }
}

impl Answer {
    fn of(outcome: WebhookOutcome) -> Self {
        let text = match outcome {
            WebhookOutcome::Accepted => "accepted\n",
            WebhookOutcome::Ignored => "accepted: no push of an image\n",
            WebhookOutcome::Validated => "",
            WebhookOutcome::Refused => "unauthorized\n",
            WebhookOutcome::Malformed => "the body broke off\n",
            WebhookOutcome::TooLarge => "the body is larger than 1 MiB\n",
            WebhookOutcome::TooSlow => "the body did not arrive within 10 s\n",
            WebhookOutcome::Limited => "too many requests\n",
        };
        Self { outcome, text: text.to_owned(), headers: Vec::new() }
    }

    fn again_after(seconds: u64) -> Self {
        let headers = vec![(header::RETRY_AFTER.as_str(), HeaderValue::from(seconds))];
        Self { headers, ..Self::of(WebhookOutcome::Limited) }
    }

    /// What Event Grid asks to be told in its own form.
    fn validated(code: &str) -> Self {
        let text = serde_json::json!({ "validationResponse": code }).to_string();
        let headers = vec![(header::CONTENT_TYPE.as_str(), HeaderValue::from_static("application/json"))];
        Self { text, headers, ..Self::of(WebhookOutcome::Validated) }
    }

    /// What the sender of `CloudEvents` asks first: that its events are wanted, as often as it likes; the limit of the source
    /// is told when it is met. The callback that such a request may name is never called.
    fn wanted(delivery: &Delivery) -> Self {
        let asked = |name: &str| HeaderValue::from_str(delivery.headers.get(name)?).ok();
        let mut headers = Vec::new();
        headers.extend(asked("webhook-request-origin").map(|origin| ("webhook-allowed-origin", origin)));
        headers.extend(asked("webhook-request-rate").map(|rate| ("webhook-allowed-rate", rate)));
        headers.push((header::ALLOW.as_str(), HeaderValue::from_static("POST, OPTIONS")));
        Self { headers, ..Self::of(WebhookOutcome::Validated) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.outcome.status(), self.text).into_response();
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

async fn receive(
    State(server): State<Arc<WebhookServer>>,
    path: Result<Path<BTreeMap<String, String>>, PathRejection>,
    request: Request,
) -> Answer {
    let mut path = path.map(|Path(path)| path).unwrap_or_default();
    let source = path.remove("source").and_then(|source| source.parse::<Source>().ok());
    let answer = match source {
        None => Answer::of(WebhookOutcome::Refused),
        Some(source) => server.answer(source, path.remove("token"), request).await.unwrap_or_else(|answer| answer),
    };
    let (source, outcome) = (source.map_or("unknown", Source::as_str), answer.outcome);
    server.observer.answered(source, outcome);
    tracing::debug!(source, outcome = outcome.as_str(), "webhook");
    answer
}

/// All of a request but its body, and its body to be read.
fn opened(token: Option<String>, request: Request) -> (Delivery, axum::body::Body) {
    let (parts, body) = request.into_parts();
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = parts.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)));
    let mut delivery = Delivery { headers: headers.collect(), token, ..Delivery::default() };
    for (key, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        match key.as_ref() {
            "secret" if delivery.token.is_none() => delivery.token = Some(value.into_owned()),
            "registry" => delivery.registry = Some(value.into_owned()),
            _ => {}
        }
    }
    (delivery, body)
}

async fn read(body: axum::body::Body, delivery: &Delivery) -> Result<Vec<u8>, Answer> {
    let announced = delivery.headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(Answer::of(WebhookOutcome::TooLarge));
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Answer::of(WebhookOutcome::Malformed))?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            return Err(Answer::of(WebhookOutcome::TooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
