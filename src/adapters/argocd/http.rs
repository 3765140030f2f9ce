//! One exchange with Argo CD's server: bounded, and told without the token.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::{ArgoCdSettings, SetUpError, Timings, TokenSource};
use crate::adapters::forge::plain;
use crate::ports::ApplicationsError;

/// No answer is longer: the list of ten thousand Applications with long histories is a quarter of it.
const MAXIMUM_BODY: usize = 512 * 1024 * 1024;
/// What a connection that is silent is asked after, so that one that is dead is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// gRPC's code: there is no such object, or none in that project, or the account may not even know.
const NOT_FOUND: i64 = 5;
/// gRPC's codes of what was given up, took too long or had nobody to do it: it may have been done all the same.
const UNSURE: [i64; 3] = [1, 4, 14];

/// What speaks to the server.
pub(super) struct Api {
    client: reqwest::Client,
    server: Url,
    token: TokenSource,
    pub(super) timings: Timings,
}

/// Why there is no answer of success. Its cause never shows the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The status of the answer; `None` where there was none that could be read.
    pub(super) status: Option<u16>,
    /// gRPC's code, where the body told one.
    pub(super) code: Option<i64>,
    /// Whether it took too long.
    pub(super) late: bool,
    /// What came back, in words.
    pub(super) cause: String,
}

impl Failure {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { status: None, code: None, late: false, cause: cause.into() }
    }

    /// Whether the account may not do it, or is not known.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self.status, Some(401 | 403))
    }

    /// Whether Argo CD itself says that there is no such thing, and not something on the way to it.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == Some(404) && self.code == Some(NOT_FOUND)
    }

    /// Whether a change that was answered so may have been made: Argo CD itself does not say that it was not.
    pub(super) fn leaves_open(&self) -> bool {
        !self.is_denied() && self.code.is_none_or(|code| UNSURE.contains(&code))
    }

    /// The failure of asking for something that may be missing or forbidden.
    pub(super) fn of_asking(self) -> String {
        if self.is_denied() { format!("not allowed to read it: {}", self.cause) } else { self.cause }
    }

    /// The failure of reading `what`.
    pub(super) fn of_reading(self, what: &str) -> ApplicationsError {
        let (what, cause, denied) = (what.to_owned(), self.cause.clone(), self.is_denied());
        if denied { ApplicationsError::Denied { what, cause } } else { ApplicationsError::Unavailable { what, cause } }
    }
}

impl Api {
    pub(super) fn new(settings: &ArgoCdSettings) -> Result<Self, SetUpError> {
        let ArgoCdSettings { server, token, insecure, authorities, timings } = settings;
        let mut certificates = Vec::new();
        if let Some(pem) = authorities {
            certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
            if certificates.is_empty() {
                return Err(SetUpError("what is named as its authorities holds no certificate in PEM".to_owned()));
            }
        }
        let builder = || builder(timings, *insecure);
        // A machine without authorities of its own still has those that are named.
        let client = builder().tls_certs_merge(certificates.clone()).build();
        let client = client.or_else(|_| builder().tls_certs_only(certificates).build());
        let client = client.map_err(|error| SetUpError(error.to_string()))?;
        Ok(Self { client, server: server.clone(), token: token.clone(), timings: *timings })
    }

    /// The address of something of the API, by the parts of its path after `/api/v1`.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// What is at `url`, within `limit`.
    pub(super) async fn get(&self, url: Url, limit: Duration) -> Result<Bytes, Failure> {
        self.call(Method::GET, url, None, limit).await
    }

    /// Changes what is at `url`.
    pub(super) async fn patch(&self, url: Url, body: &Value) -> Result<Bytes, Failure> {
        self.call(Method::PATCH, url, Some(body), self.timings.change).await
    }

    /// Asks for something to be done.
    pub(super) async fn post(&self, url: Url, body: &Value) -> Result<Bytes, Failure> {
        self.call(Method::POST, url, Some(body), self.timings.change).await
    }

    /// An answer that goes on. Its head comes with the first news, however late that is.
    pub(super) async fn stream(&self, url: Url) -> Result<reqwest::Response, Failure> {
        self.send(self.client.get(url)).await
    }

    /// A failure to read on in an answer.
    pub(super) fn cut_off(&self, error: &reqwest::Error) -> Failure {
        let host = self.host();
        let cause = if error.is_timeout() { "took too long" } else { "was cut off" };
        Failure { late: error.is_timeout(), ..Failure::new(format!("the answer of `{host}` {cause}")) }
    }

    /// A failure to understand an answer.
    pub(super) fn strange(&self, cause: &str) -> Failure {
        let host = self.host();
        let hint = "is this the address of Argo CD's server, with the path that it is served under?";
        Failure::new(format!("the answer of `{host}` is not of Argo CD's API ({cause}); {hint}"))
    }

    async fn call(&self, method: Method, url: Url, body: Option<&Value>, limit: Duration) -> Result<Bytes, Failure> {
        let mut request = self.client.request(method, url).timeout(limit);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request).await?;
        self.read(response).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
        let token = self.token.read().await.map_err(Failure::new)?;
        let mut login = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Failure::new("the token is no text of one line"))?;
        login.set_sensitive(true);
        let request = request.header(ACCEPT, "application/json").header(AUTHORIZATION, login);
        let response = request.send().await.map_err(|error| self.unanswered(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(response);
        }
        let body = self.read(response).await.unwrap_or_default();
        Err(self.refused(status, &headers, &body, token.expose()))
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.cut_off(&error))? {
            if body.len() + piece.len() > MAXIMUM_BODY {
                return Err(Failure::new(format!(
                    "the answer of `{}` is larger than {MAXIMUM_BODY} bytes",
                    self.host()
                )));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.into())
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let host = self.host();
        let cause = if error.is_connect() && is_certificate(error) {
            format!("the certificate of `{host}` is not trusted; name its authority, or ask not to look at it")
        } else if error.is_connect() {
            format!("no connection to `{host}`")
        } else if error.is_timeout() {
            format!("`{host}` does not answer in time")
        } else {
            format!("`{host}` closes the connection without an answer")
        };
        Failure { late: error.is_timeout(), ..Failure::new(cause) }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], token: &str) -> Failure {
        let document: Option<Value> = serde_json::from_slice(body).ok();
        let said = |key: &str| document.as_ref().and_then(|document| document.get(key));
        let words = said("message").or_else(|| said("error")).and_then(Value::as_str).map(|words| plain(words, token));
        let words = words.filter(|words| !words.is_empty()).map(|words| format!(" (`{words}`)")).unwrap_or_default();
        let hint = match status {
            StatusCode::UNAUTHORIZED => "; the token is wrong or has ended".to_owned(),
            StatusCode::FORBIDDEN => "; the account of the token lacks a right, or it is not there".to_owned(),
            status if status.is_redirection() => elsewhere(headers),
            _ if document.is_none() && status.is_client_error() => {
                "; is this the address of Argo CD's server?".to_owned()
            }
            _ => String::new(),
        };
        let cause = format!("`{}` answers {status}{words}{hint}", self.host());
        Failure { status: Some(status.as_u16()), code: said("code").and_then(Value::as_i64), late: false, cause }
    }

    fn host(&self) -> String {
        let port = self.server.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.server.host_str().unwrap_or_default())
    }
}

fn builder(timings: &Timings, insecure: bool) -> reqwest::ClientBuilder {
    crate::adapters::oci::install_tls_provider();
    // Argo CD's server tells REST from gRPC by the version of HTTP: over HTTP/2 it hears gRPC alone.
    reqwest::Client::builder()
        .http1_only()
        .user_agent(concat!("fairlead/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timings.connect)
        .tcp_keepalive(KEEP_ALIVE)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .tls_danger_accept_invalid_certs(insecure)
}

/// Where a redirect leads, without what may be secret.
fn elsewhere(headers: &HeaderMap) -> String {
    let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
    let place = place.and_then(|place| place.split(['?', '#']).next()).unwrap_or("elsewhere");
    format!(" and leads to `{}`: name that address, or leave plaintext out", plain(place, ""))
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
