//! Who wants to count requests implements [`RequestObserver`].

/// Is told of every request to a registry, and of every one that was not needed.
pub trait RequestObserver: Send + Sync {
    /// One request was answered, or failed, after `seconds`.
    fn observed(&self, registry: &str, kind: RequestKind, outcome: RequestOutcome, seconds: f64);

    /// A question was answered from what is known, or by a request that was under way for somebody else.
    fn avoided(&self, registry: &str);

    /// A registry told how many requests of a kind it grants before it asks to wait.
    fn quota(&self, registry: &str, kind: RequestKind, remaining: u64);
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// How to log in.
    Ping,
    /// A token, of the token service that the registry names.
    Token,
    /// A page of tags.
    Tags,
    /// The digest of a manifest alone.
    Head,
    /// A manifest.
    Manifest,
    /// An image configuration.
    Config,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestOutcome {
    /// Status 2xx or 3xx.
    Answered,
    /// Status 304: what is known is still so.
    NotModified,
    /// Status 401 or 403.
    Denied,
    /// Status 404.
    NotFound,
    /// Status 429.
    RateLimited,
    /// Any other status 4xx.
    Refused,
    /// Status 5xx.
    ServerFailed,
    /// No head of an answer in time, or none at all.
    NoAnswer,
}

/// Listens to nothing.
pub(super) struct Nobody;

impl RequestKind {
    /// The word for it, as metric labels carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Token => "token",
            Self::Tags => "tags",
            Self::Head => "head",
            Self::Manifest => "manifest",
            Self::Config => "config",
        }
    }
}

impl RequestOutcome {
    /// The word for it, as metric labels carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotModified => "not_modified",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::ServerFailed => "server_failed",
            Self::NoAnswer => "no_answer",
        }
    }

    /// The outcome that a status means.
    pub(super) fn of(status: http::StatusCode) -> Self {
        match status.as_u16() {
            304 => Self::NotModified,
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::RateLimited,
            400..=499 => Self::Refused,
            500..=599 => Self::ServerFailed,
            _ => Self::Answered,
        }
    }
}

impl RequestObserver for Nobody {
    fn observed(&self, _: &str, _: RequestKind, _: RequestOutcome, _: f64) {}

    fn avoided(&self, _: &str) {}

    fn quota(&self, _: &str, _: RequestKind, _: u64) {}
}
