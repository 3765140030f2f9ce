//! Failures, from what came over the wire to the sentence that a user reads.
//!
//! A failure holds words of ours, statuses, and error codes in capital letters; nothing else that a registry sent, for a
//! registry may echo what it was sent: a token, a header, a query.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::StatusCode;
use oci_client::errors::OciEnvelope;

use crate::model::{Reason, Repository, Tag};
use crate::ports::RegistryError;

/// Why a request gave no usable answer; what it was for is added by [`Failure::listing`] and [`Failure::reading`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) cause: String,
    pub(super) retry_after: Option<Duration>,
    /// Whether another try a moment later may succeed.
    pub(super) transient: bool,
    /// Whether the registry answered 401: other credentials or a new token may help.
    pub(super) unauthorized: bool,
    /// Whether the registry answered 404 for the one thing that was asked for.
    pub(super) missing: bool,
    /// Whether nobody was there to be asked.
    pub(super) unreached: bool,
}

impl Failure {
    pub(super) fn new(reason: Reason, cause: impl Into<String>) -> Self {
        Self {
            reason,
            cause: cause.into(),
            retry_after: None,
            transient: false,
            unauthorized: false,
            missing: false,
            unreached: false,
        }
    }

    pub(super) fn unreadable(cause: impl Into<String>) -> Self {
        Self::new(Reason::UnreadableAnswer, cause)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::unreadable(format!("the registry's answer is larger than {limit} bytes"))
    }

    pub(super) fn cut_off() -> Self {
        Self { transient: true, ..Self::unreadable("the registry's answer is cut off") }
    }

    pub(super) fn no_answer(within: Duration) -> Self {
        Self::new(Reason::RegistryTimeout, format!("the registry does not answer within {}", seconds(within)))
    }

    pub(super) fn silence(after: Duration) -> Self {
        let cause = format!("the registry falls silent for {} in the middle of its answer", seconds(after));
        Self::new(Reason::RegistryTimeout, cause)
    }

    pub(super) fn too_slow(whole: Duration) -> Self {
        let cause = format!("the registry does not finish its answer within {}", seconds(whole));
        Self::new(Reason::RegistryTimeout, cause)
    }

    /// The registry asked to wait, and it is not the time yet.
    pub(super) fn asked_to_wait(remaining: Duration) -> Self {
        // Without the time that is left: a text that differs at each look would be news at each look.
        let cause = "the registry asked to wait; it is asked again when that time is over";
        Self { retry_after: Some(remaining), ..Self::new(Reason::RateLimited, cause) }
    }

    /// What an answer without success means. `speaker` says who answered: "the registry".
    pub(super) fn of_status(speaker: &str, status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let code = error_code(body);
        let shown = code.as_deref().map(|code| format!(" (`{code}`)")).unwrap_or_default();
        let cause = format!("{speaker} answers {status}{shown}");
        let failure = |reason| Self { retry_after, ..Self::new(reason, cause.clone()) };
        match status.as_u16() {
            401 => Self { unauthorized: true, ..failure(Reason::RegistryDenied) },
            403 => failure(Reason::RegistryDenied),
            404 => Self { missing: code.as_deref() != Some("NAME_UNKNOWN"), ..failure(Reason::RepositoryNotFound) },
            429 => Self { transient: true, ..failure(Reason::RateLimited) },
            500..=599 => Self { transient: true, ..failure(Reason::RegistryFailed) },
            _ => failure(Reason::UnreadableAnswer),
        }
    }

    /// What a request that got no head of an answer means.
    pub(super) fn of_request(error: &reqwest::Error, connect: Duration) -> Self {
        if let Some(tls) = find::<rustls::Error>(error) {
            let hint = match tls {
                rustls::Error::InvalidMessage(_) => "; does it speak plain HTTP?",
                _ => "",
            };
            let failure = Self::new(Reason::TlsFailed, format!("no trusted TLS connection: {tls}{hint}"));
            return Self { unreached: true, ..failure };
        }
        let transient = |reason, cause: String| Self { transient: true, ..Self::new(reason, cause) };
        if error.is_timeout() {
            let cause = format!("no connection to the registry within {}", seconds(connect));
            return Self { unreached: true, ..transient(Reason::RegistryUnreachable, cause) };
        }
        if error.is_connect() {
            let cause = format!("no connection to the registry: {}", deepest(error));
            return Self { unreached: true, ..transient(Reason::RegistryUnreachable, cause) };
        }
        transient(Reason::RegistryUnreachable, "the registry closes the connection without an answer".to_owned())
    }

    /// Adds a sentence on what may help.
    pub(super) fn with_hint(mut self, hint: &str) -> Self {
        self.cause.push_str("; ");
        self.cause.push_str(hint);
        self
    }

    /// The error of a call that was to list the tags of a repository.
    pub(super) fn listing(self, repository: &Repository) -> RegistryError {
        self.into_error(&format!("cannot list tags of `{repository}`"))
    }

    /// The error of a call that was to read the images behind tags, at one of them or before the first.
    pub(super) fn reading(self, repository: &Repository, tag: Option<&Tag>) -> RegistryError {
        match tag {
            None => self.into_error(&format!("cannot read images of `{repository}`")),
            Some(tag) => self.into_error(&format!("cannot read `{repository}:{tag}`")),
        }
    }

    fn into_error(self, tried: &str) -> RegistryError {
        let message = format!("{tried}: {}", self.cause);
        RegistryError { reason: self.reason, message, retry_after: self.retry_after }
    }
}

/// The error code of a registry's error document, if it is one.
fn error_code(body: &[u8]) -> Option<String> {
    let envelope: OciEnvelope = serde_json::from_slice(body).ok()?;
    let code = serde_json::to_value(&envelope.errors.first()?.code).ok()?;
    let plain = |text: &&str| text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    code.as_str().filter(plain).map(str::to_owned)
}

/// The first error of a type in a chain, also inside of I/O errors, which hide what they wrap.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = inner(error);
    }
    None
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(next) = inner(current) {
        current = next;
    }
    current.to_string()
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 || duration > Duration::from_secs(10) {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failure: Failure) -> String {
        let repository = Repository { registry: "ghcr.io".to_owned(), path: "a/b".to_owned() };
        failure.listing(&repository).to_string()
    }

    fn status(code: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(code).unwrap_or_default();
        Failure::of_status("the registry", status, body.as_bytes(), None)
    }

    #[test]
    fn every_failure_has_its_sentence() {
        let denied = r#"{"errors":[{"code":"DENIED","message":"token s3cret is not welcome"}]}"#;
        let echo = r#"{"errors":[{"code":"s3cret"}]}"#;
        insta::assert_snapshot!(message(status(503, "<html>")), @"cannot list tags of `ghcr.io/a/b`: the registry answers 503 Service Unavailable");
        insta::assert_snapshot!(message(status(403, denied)), @"cannot list tags of `ghcr.io/a/b`: the registry answers 403 Forbidden (`DENIED`)");
        insta::assert_snapshot!(message(status(401, echo)), @"cannot list tags of `ghcr.io/a/b`: the registry answers 401 Unauthorized");
        insta::assert_snapshot!(message(status(418, "")), @"cannot list tags of `ghcr.io/a/b`: the registry answers 418 I'm a teapot");
        insta::assert_snapshot!(message(Failure::too_large(1024)), @"cannot list tags of `ghcr.io/a/b`: the registry's answer is larger than 1024 bytes");
        insta::assert_snapshot!(message(Failure::cut_off()), @"cannot list tags of `ghcr.io/a/b`: the registry's answer is cut off");
        insta::assert_snapshot!(message(Failure::no_answer(Duration::from_secs(10))), @"cannot list tags of `ghcr.io/a/b`: the registry does not answer within 10 s");
        insta::assert_snapshot!(message(Failure::silence(Duration::from_millis(200))), @"cannot list tags of `ghcr.io/a/b`: the registry falls silent for 200 ms in the middle of its answer");
        insta::assert_snapshot!(message(Failure::too_slow(Duration::from_secs(60))), @"cannot list tags of `ghcr.io/a/b`: the registry does not finish its answer within 60 s");
        insta::assert_snapshot!(message(Failure::asked_to_wait(Duration::from_millis(29_600))), @"cannot list tags of `ghcr.io/a/b`: the registry asked to wait; it is asked again when that time is over");
    }

    #[test]
    fn each_status_has_its_reason() {
        for (code, reason, transient) in [
            (401, Reason::RegistryDenied, false),
            (403, Reason::RegistryDenied, false),
            (404, Reason::RepositoryNotFound, false),
            (429, Reason::RateLimited, true),
            (500, Reason::RegistryFailed, true),
            (503, Reason::RegistryFailed, true),
            (418, Reason::UnreadableAnswer, false),
            (204, Reason::UnreadableAnswer, false),
        ] {
            let failure = status(code, "");
            assert_eq!((failure.reason, failure.transient), (reason, transient), "{code}");
        }
    }

    #[test]
    fn a_missing_repository_is_told_from_a_missing_tag() {
        assert!(!status(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#).missing);
        assert!(status(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#).missing);
        assert!(status(404, "").missing);
    }
}
