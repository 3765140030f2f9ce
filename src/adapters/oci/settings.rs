//! What an administrator can set about talking to registries.

use std::time::Duration;

/// How registries are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Hosts, as `host` or `host:port` and exactly as image references name them, that are spoken to over plain HTTP.
    /// All others are spoken to over TLS alone.
    pub plain_http: Vec<String>,
    /// What the client calls itself.
    pub user_agent: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How much to read.
    pub limits: Limits,
}

/// How long to wait for a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, the connection included.
    pub head: Duration,
    /// Between two pieces of a body.
    pub piece: Duration,
    /// For one whole answer.
    pub whole: Duration,
    /// Before the one retry; up to as much again is added by chance.
    pub back_off: Duration,
    /// The longest `Retry-After` that is waited for within a call; beyond it the call fails and the caller comes again later.
    pub patience: Duration,
}

/// How much is read of an answer, in bytes, and how many answers make a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One page of tags.
    pub tags_page: usize,
    /// One manifest.
    pub manifest: usize,
    /// One image configuration.
    pub config: usize,
    /// One answer of a token service.
    pub token: usize,
    /// The body of an error; what lies beyond is not read.
    pub error: usize,
    /// Tags asked for at once.
    pub page_size: usize,
    /// Pages of one list; a list with more is incomplete.
    pub pages: usize,
    /// Tags of one list; a list with more is incomplete.
    pub tags: usize,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            user_agent: concat!("fairlead/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(10),
            piece: Duration::from_secs(10),
            whole: Duration::from_secs(60),
            back_off: Duration::from_millis(300),
            patience: Duration::from_secs(5),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MEBIBYTE: usize = 1024 * 1024;
        Self {
            tags_page: 32 * MEBIBYTE,
            manifest: 4 * MEBIBYTE,
            config: 8 * MEBIBYTE,
            token: MEBIBYTE,
            error: 64 * 1024,
            page_size: 1_000,
            pages: 1_000,
            tags: 500_000,
        }
    }
}
