//! The API of one repository's forge, with its token.

use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::address::Address;
use super::http::{Call, Failure, Http, mark, plain};
use crate::model::{Concealed, ForgeRepository, GitLogin, LoginMethod, PullRequestProvider, Reason};
use crate::ports::ForgeError;

/// The API of one repository's forge, with its token.
pub(super) struct Session<'a> {
    http: &'a Http,
    at: &'a ForgeRepository,
    pub(super) address: Address,
    client: reqwest::Client,
    token: Concealed,
    header: HeaderValue,
}

/// What a request is for.
struct Task<'a> {
    /// In words, after "cannot": "open a pull request".
    words: &'a str,
    method: Method,
    url: Url,
    body: Option<Value>,
}

impl<'a> Session<'a> {
    pub(super) fn new(http: &'a Http, at: &'a ForgeRepository, login: &GitLogin) -> Result<Self, ForgeError> {
        let denied = |cause: &str| {
            let hint = "an API needs a token: as the password of the repository, or by a GitHub App";
            ForgeError::new(
                Reason::ForgeDenied,
                format!("cannot use the API of {} for `{at}`: {cause}; {hint}", at.provider),
            )
        };
        let (token, api) = match &login.method {
            LoginMethod::Basic { password, .. } => (password, None),
            LoginMethod::GitHubApp { token, api } => {
                (token, Some(api.as_str()).filter(|_| at.provider == PullRequestProvider::GitHub))
            }
            LoginMethod::Bearer(token) => (token, None),
            LoginMethod::Anonymous => return Err(denied("there are no credentials")),
            LoginMethod::Ssh { .. } => return Err(denied("the credentials are an SSH key")),
        };
        let scheme = match at.provider {
            PullRequestProvider::GitHub | PullRequestProvider::GitLab => "Bearer",
            PullRequestProvider::Gitea => "token",
        };
        let mut header = HeaderValue::from_str(&format!("{scheme} {}", token.expose()))
            .map_err(|_| denied("the token is no text of one line"))?;
        header.set_sensitive(true);
        let address = Address::of(at, api)?;
        let client = http.client(&login.tls, login.proxy.as_ref()).map_err(|failure| denied(&failure.cause))?;
        Ok(Self { http, at, address, client, token: token.clone(), header })
    }

    /// The address of something of the API, by the parts of its path after the base.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.address.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, words: &str, url: Url) -> Result<T, ForgeError> {
        self.json(Task { words, method: Method::GET, url, body: None }).await
    }

    /// Like [`Self::get`], where nothing may be there.
    pub(super) async fn get_if_there<T: DeserializeOwned>(
        &self,
        words: &str,
        url: Url,
    ) -> Result<Option<T>, ForgeError> {
        let task = Task { words, method: Method::GET, url, body: None };
        match self.send(&task).await {
            Err((_, Some(StatusCode::NOT_FOUND))) => Ok(None),
            Err((error, _)) => Err(error),
            Ok(bytes) => self.read(words, &bytes).map(Some),
        }
    }

    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        words: &str,
        method: Method,
        url: Url,
        body: Value,
    ) -> Result<T, ForgeError> {
        self.json(Task { words, method, url, body: Some(body) }).await
    }

    /// Opens a pull request. Forges say in two ways that there is one: by a status, and GitHub in words.
    pub(super) async fn open<T: DeserializeOwned>(&self, url: Url, body: Value) -> Result<T, ForgeError> {
        let task = Task { words: "open a pull request", method: Method::POST, url, body: Some(body) };
        match self.send(&task).await {
            Ok(bytes) => self.read(task.words, &bytes),
            Err((error, status)) => {
                let said = status == Some(StatusCode::UNPROCESSABLE_ENTITY) && error.message.contains("already exists");
                Err(ForgeError { exists: said || status == Some(StatusCode::CONFLICT), ..error })
            }
        }
    }

    /// Like [`Self::change`], where an answer of success may tell of a failure, which `refusal` finds.
    pub(super) async fn change_unless<T: DeserializeOwned>(
        &self,
        words: &str,
        url: Url,
        body: Value,
        refusal: impl Fn(&[u8]) -> Option<Failure>,
    ) -> Result<T, ForgeError> {
        let task = Task { words, method: Method::POST, url, body: Some(body) };
        let bytes = self.exchange(&task, refusal).await.map_err(|(error, _)| error)?;
        self.read(words, &bytes)
    }

    /// Makes a change whose answer does not matter.
    pub(super) async fn change_only(
        &self,
        words: &str,
        method: Method,
        url: Url,
        body: Value,
    ) -> Result<(), ForgeError> {
        let task = Task { words, method, url, body: Some(body) };
        self.send(&task).await.map(drop).map_err(|(error, _)| error)
    }

    /// A failure of this repository: what was tried, and why it did not work.
    pub(super) fn error(&self, reason: Reason, words: &str, cause: &str) -> ForgeError {
        ForgeError::new(reason, format!("cannot {words} in `{}`: {cause}", self.at))
    }

    /// A forge's own words in one short line without the token.
    pub(super) fn plain(&self, text: &str) -> String {
        plain(text, self.token.expose())
    }

    async fn json<T: DeserializeOwned>(&self, task: Task<'_>) -> Result<T, ForgeError> {
        let bytes = self.send(&task).await.map_err(|(error, _)| error)?;
        self.read(task.words, &bytes)
    }

    fn read<T: DeserializeOwned>(&self, words: &str, bytes: &[u8]) -> Result<T, ForgeError> {
        // The parser's words may show parts of the text.
        let unreadable = |_| self.error(Reason::ForgeFailed, words, "the answer is not of the documented form");
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    async fn send(&self, task: &Task<'_>) -> Result<bytes::Bytes, (ForgeError, Option<StatusCode>)> {
        self.exchange(task, |_| None).await
    }

    /// Sends a request unless the forge, or this very change, is left alone for now. `refusal` finds a failure in an answer of success.
    async fn exchange(
        &self,
        task: &Task<'_>,
        refusal: impl Fn(&[u8]) -> Option<Failure>,
    ) -> Result<bytes::Bytes, (ForgeError, Option<StatusCode>)> {
        let http = self.http;
        let forge = format!("{} {}", self.address.base, mark(self.token.expose()));
        let change = task.body.as_ref().map(|body| format!("{} {} {}", task.method, task.url, mark(&body.to_string())));
        let now = http.clock.now();
        for whom in [Some(&forge), change.as_ref()].into_iter().flatten() {
            if let Some((left, reason, cause)) = http.pauses.left(whom, now) {
                // In the same words as before: what did not change is no news.
                let error = self.error(reason, task.words, &cause);
                return Err((ForgeError { retry_after: Some(left), ..error }, None));
            }
        }
        let call = Call {
            method: task.method.clone(),
            url: task.url.clone(),
            body: task.body.clone(),
            client: &self.client,
            login: &self.header,
            token: self.token.expose(),
        };
        let answer = http.send(&call).await;
        match answer.and_then(|bytes| refusal(&bytes).map_or(Ok(bytes), Err)) {
            Ok(bytes) => {
                http.pauses.end(&forge);
                if let Some(change) = &change {
                    http.pauses.end(change);
                }
                Ok(bytes)
            }
            Err(failure) => {
                let Failure { reason, cause, retry_after, status } = &failure;
                // A branch that moved is no refusal of the change.
                let refused = change.as_ref().filter(|_| *reason != Reason::WriteConflict);
                let whom = if failure.is_of_forge() { Some(&forge) } else { refused };
                if let Some(whom) = whom {
                    http.pauses.begin(whom, *retry_after, (*reason, cause), now);
                }
                let mut error = self.error(*reason, task.words, cause);
                error.retry_after = *retry_after;
                Err((error, *status))
            }
        }
    }
}
