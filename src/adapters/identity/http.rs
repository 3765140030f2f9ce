//! One request to a service of a cloud, with time and size bounded, and what may be told of its failure.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::settings::IdentityTimeouts;
use crate::adapters::way;
use crate::model::{GitProxy, GitTls};

/// No answer of these services is longer.
const MAXIMUM_BODY: usize = 256 * 1024;

/// Words that errors of the clouds may consist of. Others are not shown, as they could be anything.
const KNOWN_CODES: [&str; 25] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RegionDisabledException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "UNAUTHORIZED",
    "UnrecognizedClientException",
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
];

/// What sends requests.
pub(super) struct Http {
    outside: reqwest::Client,
    inside: reqwest::Client,
    timeouts: IdentityTimeouts,
}

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the internet, by the proxy where there is one; tried twice.
    Outside,
    /// To this machine or its link: never by a proxy, and tried once.
    Inside,
}

/// A request to be sent.
pub(super) struct Call {
    /// Who is asked, for sentences: "AWS STS".
    pub(super) speaker: &'static str,
    way: Way,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: String,
    proxy: Option<GitProxy>,
}

/// An answer of success. What is in it may be secret, so it has no `Debug`.
pub(super) struct Answer {
    speaker: &'static str,
    pub(super) headers: HeaderMap,
    body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// A sentence without any secret.
    pub(super) cause: String,
    kind: FailureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    Final,
    Silent,
    CutOff,
    Status(StatusCode),
}

impl Failure {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), kind: FailureKind::Final }
    }

    /// Whether nobody is there who could answer such a question.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.kind, FailureKind::Silent | FailureKind::Status(StatusCode::NOT_FOUND))
    }

    fn is_denied(&self) -> bool {
        let denied = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].map(FailureKind::Status).contains(&self.kind);
        denied || self.cause.contains("(`AccessDenied")
    }

    /// Adds a sentence on what may help, where who asks may not.
    pub(super) fn hint_if_denied(mut self, hint: &str) -> Self {
        if self.is_denied() {
            self.cause.push_str("; ");
            self.cause.push_str(hint);
        }
        self
    }

    fn is_transient(&self) -> bool {
        match self.kind {
            FailureKind::Final => false,
            FailureKind::Silent | FailureKind::CutOff => true,
            FailureKind::Status(status) => status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
        }
    }
}

impl Call {
    pub(super) fn new(speaker: &'static str, way: Way, method: Method, url: Url) -> Self {
        Self { speaker, way, method, url, headers: HeaderMap::new(), body: String::new(), proxy: None }
    }

    /// A form that is posted for a JSON or XML answer.
    pub(super) fn form(speaker: &'static str, url: Url, fields: &[(&str, &str)]) -> Self {
        let mut call = Self::new(speaker, Way::Outside, Method::POST, url);
        call.body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        call
    }

    /// By way of a proxy, in place of that of the process, if any.
    pub(super) fn by(mut self, proxy: Option<&GitProxy>) -> Self {
        self.proxy = proxy.cloned();
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Adds a header, whose value is taken for a secret.
    pub(super) fn header(mut self, name: &str, value: &str) -> Result<Self, Failure> {
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|_| Failure::new(format!("`{name}` is no name of a header")))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Failure::new(format!("the value for the header `{name}` is no text of one line")))?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }
}

impl Answer {
    /// What the answer says, in JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // The parser's words may show parts of the text.
        serde_json::from_str(&self.body).map_err(|_| self.unreadable())
    }

    pub(super) fn text(&self) -> &str {
        &self.body
    }

    pub(super) fn unreadable(&self) -> Failure {
        Failure::new(format!("the answer of {} is not of the agreed form", self.speaker))
    }
}

impl Http {
    pub(super) fn new(timeouts: IdentityTimeouts) -> reqwest::Result<Self> {
        // A machine without CA certificates can still ask its metadata service; over TLS it then trusts nobody.
        let far = || builder(timeouts, timeouts.connect);
        let outside = far().build().or_else(|_| far().tls_certs_only([]).build())?;
        let near = || builder(timeouts, timeouts.connect_inside).no_proxy();
        let inside = near().build().or_else(|_| near().tls_certs_only([]).build())?;
        Ok(Self { outside, inside, timeouts })
    }

    /// Sends a request, and once more where that may help.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, Failure> {
        match self.attempt(&call).await {
            Err(failure) if failure.is_transient() && call.way == Way::Outside => {
                tokio::time::sleep(self.timeouts.back_off).await;
                self.attempt(&call).await
            }
            result => result,
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        let client = match (call.way, &call.proxy) {
            (Way::Outside, None) => self.outside.clone(),
            // Tokens are asked for once an hour.
            (Way::Outside, Some(_)) => {
                let builder = builder(self.timeouts, self.timeouts.connect);
                let client = way::client(builder, &GitTls::default(), call.proxy.as_ref());
                client.map_err(|what| Failure::new(format!("{what} of the credentials cannot be used")))?
            }
            (Way::Inside, _) => self.inside.clone(),
        };
        let request = client
            .request(call.method.clone(), call.url.clone())
            .header(ACCEPT, "application/json, */*;q=0.5")
            .headers(call.headers.clone())
            .body(call.body.clone());
        let mut response = request.send().await.map_err(|error| self.unanswered(call, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() <= MAXIMUM_BODY => body.extend_from_slice(&piece),
                Ok(Some(_)) => {
                    let cause = format!("the answer of {} is larger than {MAXIMUM_BODY} bytes", call.speaker);
                    return Err(Failure::new(cause));
                }
                Ok(None) => break,
                Err(error) if error.is_timeout() => {
                    let whole = self.timeouts.whole;
                    let cause = format!("{} does not finish its answer within {whole:?}", call.speaker);
                    return Err(Failure { cause, kind: FailureKind::CutOff });
                }
                Err(_) => {
                    let cause = format!("the answer of {} is cut off", call.speaker);
                    return Err(Failure { cause, kind: FailureKind::CutOff });
                }
            }
        }
        let answer = Answer { speaker: call.speaker, headers, body: String::from_utf8_lossy(&body).into_owned() };
        if status == StatusCode::OK { Ok(answer) } else { Err(refused(status, &answer)) }
    }

    fn unanswered(&self, call: &Call, error: &reqwest::Error) -> Failure {
        let (speaker, place) = (call.speaker, call.url.host_str().unwrap_or_default());
        let cause = if error.is_connect() {
            format!("no connection to {speaker} at `{place}`")
        } else if error.is_timeout() {
            format!("{speaker} at `{place}` does not answer within {:?}", self.timeouts.whole)
        } else {
            format!("{speaker} at `{place}` closes the connection without an answer")
        };
        Failure { cause, kind: FailureKind::Silent }
    }
}

fn builder(timeouts: IdentityTimeouts, connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("fairlead/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .timeout(timeouts.whole)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

fn refused(status: StatusCode, answer: &Answer) -> Failure {
    let code = code(&answer.body).map(|code| format!(" (`{code}`)")).unwrap_or_default();
    Failure { cause: format!("{} answers {status}{code}", answer.speaker), kind: FailureKind::Status(status) }
}

/// The error code of an answer, in XML or JSON, if it is a known one. Azure adds a number that says more.
fn code(body: &str) -> Option<String> {
    let known = |text: &str| KNOWN_CODES.iter().find(|known| **known == text).map(|known| (*known).to_owned());
    if let Some(code) = element(body, "Code") {
        return known(code);
    }
    let document: serde_json::Value = serde_json::from_str(body).ok()?;
    let fields = ["__type", "error", "Code", "code"].iter().find_map(|name| document.get(name)?.as_str());
    let nested = || document.get("errors")?.get(0)?.get("code")?.as_str();
    let word = fields.or_else(nested)?;
    let code = known(word.rsplit('#').next()?)?;
    let number = document.get("error_codes").and_then(|codes| codes.get(0)).and_then(serde_json::Value::as_u64);
    Some(number.filter(|number| *number < 10_000_000).map_or(code.clone(), |number| format!("{code}, AADSTS{number}")))
}

/// The text of the first element of a name in simple XML: one without attributes, whose text has no escapes.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(text.trim()).filter(|text| !text.contains(['<', '&']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(status: u16, body: &str) -> String {
        let answer = Answer { speaker: "AWS STS", headers: HeaderMap::new(), body: body.to_owned() };
        refused(StatusCode::from_u16(status).expect("a test's status is one"), &answer).cause
    }

    #[test]
    fn known_codes_are_shown_and_nothing_else_of_a_body() {
        insta::assert_snapshot!(sentence(403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>s3cret</Message></Error></ErrorResponse>"), @"AWS STS answers 403 Forbidden (`AccessDenied`)");
        insta::assert_snapshot!(sentence(400, r#"{"__type":"com.amazonaws.ecr#ExpiredTokenException","message":"s3cret"}"#), @"AWS STS answers 400 Bad Request (`ExpiredTokenException`)");
        insta::assert_snapshot!(sentence(401, r#"{"error":"invalid_client","error_description":"s3cret","error_codes":[700213]}"#), @"AWS STS answers 401 Unauthorized (`invalid_client, AADSTS700213`)");
        insta::assert_snapshot!(sentence(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"s3cret"}]}"#), @"AWS STS answers 401 Unauthorized (`UNAUTHORIZED`)");
        insta::assert_snapshot!(sentence(401, r#"{"error":"s3cret"}"#), @"AWS STS answers 401 Unauthorized");
        insta::assert_snapshot!(sentence(500, "<Code>s3cret</Code>"), @"AWS STS answers 500 Internal Server Error");
        insta::assert_snapshot!(sentence(302, "s3cret"), @"AWS STS answers 302 Found");
    }

    #[test]
    fn an_element_is_its_text() {
        assert_eq!(element("<a><B> x+/= </B></a>", "B"), Some("x+/="));
        assert_eq!(element("<B>x", "B"), None);
        assert_eq!(element("<B><c>x</c></B>", "B"), None);
    }
}
