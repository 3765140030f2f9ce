//! One registry spoken to with one login: what is known of how to log in, and the tokens it gave out.
//!
//! # Flow
//!
//! With a login, the first request asks `/v2/` how to log in; without one, the repository itself is asked, and only a
//! registry that wants a token even from strangers (Docker Hub does) is asked again with one. A 401 later on means that a
//! token ran out or that the registry changed its ways: both are learned anew, once.
//!
//! # Guarantees
//!
//! - One token at a time is fetched for a repository, however many wait for it.
//! - A session is never used with another login than its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;

use super::challenge::{Challenge, token_service};
use super::credentials::{Credential, Identity, IdentityToken, scope, secret_header};
use super::failure::Failure;
use super::host::Host;
use super::observe::RequestKind;
use super::quota::Account;
use super::settings::Limits;
use super::transport::{Answer, Request, Transport};
use crate::model::Repository;
use crate::ports::Clock;

/// What a token without a stated life lives (the distribution specification's default), and the least that is believed.
const SHORTEST_LIFE: u64 = 60;
const LONGEST_LIFE: u64 = 24 * 3600;

/// A registry, spoken to with one login.
pub(super) struct Session {
    pub(super) host: Arc<Host>,
    pub(super) identity: Identity,
    pub(super) limits: Limits,
    pub(super) transport: Arc<Transport>,
    account: Account,
    clock: Arc<dyn Clock>,
    credential: Credential,
    way: AsyncMutex<Way>,
    tokens: Mutex<HashMap<String, Arc<AsyncMutex<Option<Token>>>>>,
}

/// How to log in, as far as it is known.
enum Way {
    Unknown,
    NoLogin,
    Login(Challenge),
}

struct Token {
    header: HeaderValue,
    until: Timestamp,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Session {
    pub(super) fn new(
        host: Arc<Host>,
        credential: Credential,
        limits: Limits,
        transport: Arc<Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let way = AsyncMutex::new(Way::Unknown);
        let identity = credential.identity();
        let account = Account::default();
        Self { host, identity, limits, transport, account, clock, credential, way, tokens: Mutex::default() }
    }

    /// Asks something about a repository, logged in. The answer has any status but one that another try may change.
    pub(super) async fn ask(&self, repository: &Repository, mut request: Request) -> Result<Answer, Failure> {
        let _permit = self.host.enter_repository(&repository.path).await;
        request.authorization = self.authorization(repository).await?;
        let answer = self.send(&repository.path, &request).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.forget(repository, request.authorization.as_ref()).await;
        if let Some(challenge) = Challenge::of(&answer.headers) {
            *self.way.lock().await = Way::Login(challenge);
        }
        let authorization = self.authorization(repository).await?;
        if authorization == request.authorization {
            return Ok(answer);
        }
        request.authorization = authorization;
        self.send(&repository.path, &request).await
    }

    async fn send(&self, about: &str, request: &Request) -> Result<Answer, Failure> {
        self.transport.exchange(&self.host, &self.account, about, request).await
    }

    async fn authorization(&self, repository: &Repository) -> Result<Option<HeaderValue>, Failure> {
        match self.challenge().await? {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.credential.basic()),
            Some(Challenge::Bearer { realm, service }) => {
                self.token(repository, &realm, service.as_deref()).await.map(Some)
            }
        }
    }

    /// How to log in. Asked once, by whoever comes first; the others wait for it.
    async fn challenge(&self) -> Result<Option<Challenge>, Failure> {
        let mut way = self.way.lock().await;
        if matches!(*way, Way::Unknown) && !self.credential.is_anonymous() {
            let ping = Request::get(RequestKind::Ping, self.host.url(""), self.limits.error);
            let answer = self.send("", &ping).await?;
            *way = Challenge::of(&answer.headers).map_or(Way::NoLogin, Way::Login);
        }
        Ok(match &*way {
            Way::Unknown | Way::NoLogin => None,
            Way::Login(challenge) => Some(challenge.clone()),
        })
    }

    async fn token(&self, repository: &Repository, realm: &str, service: Option<&str>) -> Result<HeaderValue, Failure> {
        let slot = self.slot(repository);
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        match &*slot {
            Some(token) if token.until > now => Ok(token.header.clone()),
            _ => {
                let (header, life) = self.fetch_token(repository, realm, service).await?;
                // Renewed at four fifths of its life, so that it does not run out on the way.
                *slot = Some(Token { header: header.clone(), until: now + life * 4 / 5 });
                Ok(header)
            }
        }
    }

    async fn fetch_token(
        &self,
        repository: &Repository,
        realm: &str,
        service: Option<&str>,
    ) -> Result<(HeaderValue, Duration), Failure> {
        let mut parameters = vec![("scope", scope(repository))];
        parameters.extend(service.map(|service| ("service", service.to_owned())));
        let url = token_service(&self.host.base, realm)?;
        let mut request = Request::get(RequestKind::Token, url, self.limits.token);
        match &self.credential {
            Credential::Direct(_) => {
                request.url.query_pairs_mut().extend_pairs(&parameters);
                request.authorization = self.credential.basic();
            }
            Credential::IdentityToken(IdentityToken(token)) => {
                parameters.push(("grant_type", "refresh_token".to_owned()));
                parameters.push(("client_id", "fairlead".to_owned()));
                parameters.push(("refresh_token", token.clone()));
                request.method = Method::POST;
                request.form = Some(parameters);
            }
        }
        let answer = self.send(&repository.path, &request).await?;
        // So says OAuth of a refresh token that is no longer good.
        let refused = answer.status == StatusCode::BAD_REQUEST && request.form.is_some();
        let status = if refused { StatusCode::UNAUTHORIZED } else { answer.status };
        let answer = Answer { status, ..answer }.success("the registry's token service")?;
        let unreadable = || Failure::unreadable("the registry's token service answers without a token");
        let answer: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        let token = answer.access_token.or(answer.token).filter(|token| !token.is_empty()).ok_or_else(unreadable)?;
        let header = secret_header(&format!("Bearer {token}")).ok_or_else(unreadable)?;
        let life = answer.expires_in.unwrap_or(SHORTEST_LIFE).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        Ok((header, Duration::from_secs(life)))
    }

    /// Forgets the token for a repository, if it is still the one that was refused.
    async fn forget(&self, repository: &Repository, refused: Option<&HeaderValue>) {
        let slot = self.slot(repository);
        let mut slot = slot.lock().await;
        if slot.as_ref().map(|token| &token.header) == refused {
            *slot = None;
        }
    }

    fn slot(&self, repository: &Repository) -> Arc<AsyncMutex<Option<Token>>> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(repository.path.clone()).or_default())
    }
}
