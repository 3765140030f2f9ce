//! One request, with everything that may go wrong on the way bounded: time, size, redirects, numbers.
//!
//! # Guarantees
//!
//! - Every wait ends: connection, head, each piece of a body, the whole.
//! - No body is read beyond its limit, and none is unpacked: an answer that is compressed is refused.
//! - `Authorization` goes to the origin that the request was made for; a redirect elsewhere goes without.
//! - A redirect leads neither from TLS to plain HTTP nor from outside to an address of this machine or its link.
//! - What a moment may heal (429, 5xx, no connection, one that breaks off) is tried once more.
//! - What a registry asks for is obeyed by all who ask it with that login; one where nothing works is left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rand::Rng;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use url::Url;

use super::breaker::is_unwell;
use super::failure::Failure;
use super::host::{Endpoint, Host, is_inner};
use super::observe::{RequestKind, RequestObserver, RequestOutcome};
use super::quota::{Account, LONGEST_WAIT, Quota, Ticket};
use super::settings::{RegistrySettings, Timeouts};
use crate::model::{ProxyChoice, Reason};

const MAXIMUM_REDIRECTS: usize = 5;

/// What sends requests, for all registries.
pub(super) struct Transport {
    settings: RegistrySettings,
    http: reqwest::Client,
    trusts_nobody: bool,
    timeouts: Timeouts,
    error_limit: usize,
    observer: Arc<dyn RequestObserver>,
}

/// A request to be sent.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) kind: RequestKind,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: Option<&'static str>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) form: Option<Vec<(&'static str, String)>>,
    /// What the answer was called that is known already; one that is the same need not be sent again.
    pub(super) etag: Option<HeaderValue>,
    /// How much of the body is read; a longer one is a failure.
    pub(super) limit: usize,
}

/// An answer with its whole body, of any status that another try would not change.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn get(kind: RequestKind, url: Url, limit: usize) -> Self {
        Self { kind, method: Method::GET, url, accept: None, authorization: None, form: None, etag: None, limit }
    }
}

impl Answer {
    /// The answer if its status is 200, its failure otherwise.
    pub(super) fn success(self, speaker: &str) -> Result<Self, Failure> {
        match self.status {
            StatusCode::OK => Ok(self),
            status => Err(Failure::of_status(speaker, status, &self.body, None)),
        }
    }

    /// The value of a header, if it is a text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type, lower case and without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        let text = self.header("content-type")?;
        text.split(';').next().map(|text| text.trim().to_ascii_lowercase()).filter(|text| !text.is_empty())
    }
}

impl Transport {
    pub(super) fn new(settings: &RegistrySettings, observer: Arc<dyn RequestObserver>) -> reqwest::Result<Self> {
        // A machine without CA certificates can still speak plain HTTP; over TLS it then trusts nobody, and says why.
        let (http, trusts_nobody) = match builder(settings).build() {
            Ok(http) => (http, false),
            Err(_) => (builder(settings).tls_certs_only([]).build()?, true),
        };
        let (timeouts, error_limit) = (settings.timeouts, settings.limits.error);
        Ok(Self { settings: settings.clone(), http, trusts_nobody, timeouts, error_limit, observer })
    }

    /// What speaks to a registry with a trust or a proxy of its own; `None` where it is spoken to like all others.
    pub(super) fn client_for(&self, endpoint: &Endpoint) -> Result<Option<reqwest::Client>, Failure> {
        let wrong =
            |cause: &str| Failure::new(Reason::TlsFailed, format!("the certificates configured for it {cause}"));
        let unusable = |_| Failure::new(Reason::RegistryUnreachable, "the proxy configured for it cannot be used");
        let builder = || match &endpoint.proxy {
            ProxyChoice::Environment => Ok(builder(&self.settings)),
            ProxyChoice::None => Ok(builder(&self.settings).no_proxy()),
            ProxyChoice::Through(proxy) => {
                Ok(builder(&self.settings).proxy(reqwest::Proxy::all(proxy.with_login()).map_err(unusable)?))
            }
        };
        let client = match &endpoint.authority {
            _ if endpoint.insecure => builder()?.tls_danger_accept_invalid_certs(true).build(),
            Some(text) => {
                let certificates = certificates(text).ok_or_else(|| wrong("cannot be read"))?;
                match builder()?.tls_certs_merge(certificates.clone()).build() {
                    Err(_) if self.trusts_nobody => builder()?.tls_certs_only(certificates).build(),
                    client => client,
                }
            }
            None if endpoint.proxy == ProxyChoice::Environment => return Ok(None),
            None if self.trusts_nobody => builder()?.tls_certs_only([]).build(),
            None => builder()?.build(),
        };
        client.map(Some).map_err(|_| wrong("cannot be used"))
    }

    /// What speaks to an address on behalf of a registry. That a registry's certificate is not looked at says nothing of
    /// other hosts.
    fn speaker<'a>(&'a self, host: &'a Host, url: &Url) -> &'a reqwest::Client {
        let own = host.http.as_ref().filter(|_| !host.endpoint.insecure || url.host() == host.base.host());
        own.unwrap_or(&self.http)
    }

    pub(super) fn avoided(&self, registry: &str) {
        self.observer.avoided(registry);
    }

    /// Sends a request on behalf of a registry, and once more where that may help. `about` names the repository that it is
    /// for.
    pub(super) async fn exchange(
        &self,
        host: &Host,
        account: &Account,
        about: &str,
        request: &Request,
    ) -> Result<Answer, Failure> {
        let trial = host.admit(self.timeouts.patience).await?;
        match self.twice(host, account, request).await {
            Err(failure) if is_unwell(&failure) => Err(trial.failed(about, failure)),
            Err(failure) if failure.reason == Reason::RateLimited => Err(failure),
            result => {
                trial.answered();
                result
            }
        }
    }

    async fn twice(&self, host: &Host, account: &Account, request: &Request) -> Result<Answer, Failure> {
        match self.attempt(host, account, request).await {
            Err(failure)
                if failure.transient && failure.retry_after.is_none_or(|wait| wait <= self.timeouts.patience) =>
            {
                // What a registry asks for is waited for at its gate.
                if failure.retry_after.is_none() && failure.reason != Reason::RateLimited {
                    tokio::time::sleep(self.back_off()).await;
                }
                self.attempt(host, account, request).await
            }
            result => result,
        }
    }

    fn back_off(&self) -> Duration {
        self.timeouts.back_off.mul_f64(rand::rng().random_range(1.0..2.0))
    }

    async fn attempt(&self, host: &Host, account: &Account, request: &Request) -> Result<Answer, Failure> {
        let (_permit, ticket) = self.enter(host, account, request.kind).await?;
        let whole = self.timeouts.whole;
        let answer =
            timeout(whole, self.follow(host, request)).await.unwrap_or_else(|_| Err(Failure::too_slow(whole)))?;
        let wait = self.heed(host, request.kind, &ticket, &answer);
        let transient = answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error();
        if transient {
            return Err(Failure::of_status("the registry", answer.status, &answer.body, wait));
        }
        Ok(answer)
    }

    /// Waits for a place among the requests to a registry, and for the time that it wants to be left alone by this login. Where
    /// that is longer than this client is patient, it fails at once.
    async fn enter<'a>(
        &self,
        host: &'a Host,
        account: &'a Account,
        kind: RequestKind,
    ) -> Result<(Option<SemaphorePermit<'a>>, Ticket<'a>), Failure> {
        let patience = self.timeouts.patience;
        let mut waited = Duration::ZERO;
        loop {
            let permit = host.enter(patience).await?;
            match account.enter(kind) {
                Ok(ticket) => return Ok((permit, ticket)),
                Err(wait) if waited + wait > patience => return Err(Failure::asked_to_wait(wait)),
                Err(wait) => {
                    // Others, with another login, may go meanwhile.
                    drop(permit);
                    tokio::time::sleep(wait).await;
                    waited += wait;
                }
            }
        }
    }

    /// Takes in what an answer says of when to ask again, and gives how long to wait where it says so.
    fn heed(&self, host: &Host, kind: RequestKind, ticket: &Ticket<'_>, answer: &Answer) -> Option<Duration> {
        let quota = Quota::of(&answer.headers, Timestamp::now());
        if let Some(quota) = quota {
            ticket.told(quota);
            self.observer.quota(&host.name, kind, quota.remaining);
        }
        let wait = retry_after(&answer.headers);
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let granted = || quota.filter(|quota| quota.remaining == 0)?.resets_in;
                let wait = wait.or_else(granted);
                ticket.refused(wait, self.back_off());
                wait
            }
            status => {
                if let (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) = (status, wait) {
                    host.wait_for(wait);
                }
                if !status.is_server_error() {
                    ticket.welcome();
                }
                wait
            }
        }
    }

    async fn follow(&self, host: &Host, request: &Request) -> Result<Answer, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=MAXIMUM_REDIRECTS {
            let response = self.head(host, request, &url).await?;
            let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            match location {
                Some(location) if request.form.is_none() => url = redirect(&host.base, &url, location)?,
                _ => return self.body(request, response).await,
            }
        }
        Err(Failure::unreadable(format!("the registry redirects more than {MAXIMUM_REDIRECTS} times")))
    }

    async fn head(&self, host: &Host, request: &Request, url: &Url) -> Result<reqwest::Response, Failure> {
        let mut builder = self.speaker(host, url).request(request.method.clone(), url.clone());
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(etag) = &request.etag {
            builder = builder.header(IF_NONE_MATCH, etag);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| url.origin() == request.url.origin()) {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(form) = &request.form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            builder = builder.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let start = Instant::now();
        let result = timeout(self.timeouts.head, builder.send()).await;
        let outcome = match &result {
            Ok(Ok(response)) => RequestOutcome::of(response.status()),
            Ok(Err(_)) | Err(_) => RequestOutcome::NoAnswer,
        };
        self.observer.observed(&host.name, request.kind, outcome, start.elapsed().as_secs_f64());
        match result {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.unanswered(&error)),
            Err(_) => Err(Failure::no_answer(self.timeouts.head)),
        }
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let failure = Failure::of_request(error, self.timeouts.connect);
        if self.trusts_nobody && failure.reason == Reason::TlsFailed {
            return failure.with_hint("this machine has no CA certificates that can be read");
        }
        failure
    }

    async fn body(&self, request: &Request, mut response: reqwest::Response) -> Result<Answer, Failure> {
        let (status, headers) = (response.status(), response.headers().clone());
        if request.method == Method::HEAD {
            return Ok(Answer { status, headers, body: Bytes::new() });
        }
        let success = status.is_success();
        if success && headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Failure::unreadable("the registry's answer is compressed, which was not asked for"));
        }
        let limit = if success { request.limit } else { self.error_limit };
        let mut body = BytesMut::new();
        if success && response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::too_large(limit));
        }
        loop {
            let piece = match timeout(self.timeouts.piece, response.chunk()).await {
                Ok(Ok(piece)) => piece,
                // The status of a failure says enough; its body is only a comment.
                _ if !success => None,
                Ok(Err(_)) => return Err(Failure::cut_off()),
                Err(_) => return Err(Failure::silence(self.timeouts.piece)),
            };
            match piece {
                Some(piece) if body.len() + piece.len() <= limit => body.extend_from_slice(&piece),
                Some(_) if success => return Err(Failure::too_large(limit)),
                Some(_) | None => return Ok(Answer { status, headers, body: body.freeze() }),
            }
        }
    }
}

/// The certificates in a text of PEM; `None` where there is none, or one that is broken.
fn certificates(text: &str) -> Option<Vec<reqwest::Certificate>> {
    let certificates = reqwest::Certificate::from_pem_bundle(text.as_bytes()).ok();
    certificates.filter(|certificates| !certificates.is_empty())
}

fn builder(settings: &RegistrySettings) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.timeouts.connect)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

fn redirect(base: &Url, from: &Url, location: &HeaderValue) -> Result<Url, Failure> {
    let refused = |what: &str| Failure::unreadable(format!("the registry redirects {what}"));
    let target = location.to_str().ok().and_then(|text| from.join(text).ok());
    let target = target.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(target) = target else { return Err(refused("to what is no address")) };
    if target.scheme() == "http" && from.scheme() == "https" {
        return Err(Failure::new(Reason::TlsFailed, "the registry redirects from TLS to plain HTTP"));
    }
    if is_inner(&target) && !is_inner(base) {
        return Err(refused("to an address of this machine or its link"));
    }
    Ok(target)
}

/// How long the registry asks to wait, as a number of seconds or until a date; at most an hour is believed.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str) -> Option<Duration> {
        let value = HeaderValue::from_str(text).ok()?;
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Wed, 21 Oct 2099 07:28:00 GMT"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn redirects_lead_neither_off_tls_nor_inside() {
        let to = |base: &str, location: &'static str| {
            let base = Url::parse(base).expect("what a test writes is valid");
            let target = redirect(&base, &base, &HeaderValue::from_static(location));
            target.map_or_else(|failure| failure.cause, |url| url.to_string())
        };
        insta::assert_snapshot!(to("https://ghcr.io", "/v2/other"), @"https://ghcr.io/v2/other");
        insta::assert_snapshot!(to("https://ghcr.io", "https://cdn.example/x"), @"https://cdn.example/x");
        insta::assert_snapshot!(to("http://127.0.0.1:5000", "http://127.0.0.1:6000/x"), @"http://127.0.0.1:6000/x");
        insta::assert_snapshot!(to("https://ghcr.io", "http://cdn.example/x"), @"the registry redirects from TLS to plain HTTP");
        insta::assert_snapshot!(to("http://reg.example", "http://169.254.169.254/latest"), @"the registry redirects to an address of this machine or its link");
        insta::assert_snapshot!(to("https://ghcr.io", "file:///etc/passwd"), @"the registry redirects to what is no address");
    }
}
