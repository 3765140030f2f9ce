//! What every stand-in keeps: branches, pull requests, and what was wrong with requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fairlead::adapters::forge::{ForgeTimeouts, Forges};
use fairlead::model::{
    Concealed, ForgeRepository, GitAccess, GitBranch, GitLogin, LoginMethod, PullRequestDraft, PullRequestProvider,
};
use fairlead::ports::{GitError, GitLogins};
use serde_json::{Value, json};

use crate::support::faults::{Reply, Seen, Server, answer};
use crate::support::ports::HandClock;
use crate::{gitea, github, gitlab};

pub const TOKEN: &str = "canary-token";
pub const BASE_COMMIT: &str = "1111111111111111111111111111111111111111";
pub const HEAD_COMMIT: &str = "2222222222222222222222222222222222222222";

/// A pull request of a stand-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pull {
    pub number: u64,
    pub head: String,
    pub base: String,
    pub title: String,
    pub body: String,
    /// `open`, `closed` or `merged`.
    pub state: &'static str,
    pub labels: Vec<String>,
    pub reviewers: Vec<String>,
    pub comments: Vec<String>,
    /// What was said of an automatic merge.
    pub merge: Option<String>,
    /// Whether its head is the branch of a fork.
    pub fork: bool,
}

/// What a stand-in keeps.
#[derive(Default)]
pub struct State {
    pub pulls: Vec<Pull>,
    pub branches: BTreeMap<String, String>,
    /// Every commit that each branch has named, in order.
    pub history: Vec<(String, String)>,
    /// The wishes for commits by the API, by the commit that was made.
    pub commits: BTreeMap<String, Value>,
    pub labels: Vec<String>,
    /// What was wrong with requests.
    pub complaints: Vec<String>,
    /// What is answered in place of everything.
    pub fault: Option<Reply>,
    /// Whether a pull request may be merged at once.
    pub clean: bool,
    /// Ways to merge that the repository does not allow: `merge`, `squash`, `rebase`.
    pub forbidden: Vec<&'static str>,
    /// Answers that said that nothing changed.
    pub unchanged: usize,
}

/// A request, taken apart.
pub struct Request {
    pub method: String,
    /// The parts of the path behind the API's base, decoded.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

/// An answer: status and JSON.
pub type Answer = (u16, Value);

/// A stand-in and a client.
pub struct World {
    pub kind: PullRequestProvider,
    pub state: Arc<Mutex<State>>,
    pub server: Server,
    pub clock: Arc<HandClock>,
    pub forges: Forges,
    pub at: ForgeRepository,
}

/// One login for all.
pub struct Logins(pub LoginMethod);

#[async_trait]
impl GitLogins for Logins {
    async fn login(&self, _: &GitBranch) -> Result<GitLogin, GitError> {
        Ok(GitLogin { method: self.0.clone(), ..GitLogin::anonymous() })
    }
}

pub fn basic(token: &str) -> LoginMethod {
    LoginMethod::Basic { username: "fairlead".to_owned(), password: Concealed::new(token) }
}

pub fn draft(head: &str) -> PullRequestDraft {
    PullRequestDraft {
        head: head.to_owned(),
        base: "main".to_owned(),
        title: "Update nginx".to_owned(),
        body: "| a | b |\n\n<!-- mark -->\n".to_owned(),
        labels: vec!["images".to_owned(), "automatic".to_owned()],
        reviewers: vec!["alice".to_owned()],
    }
}

impl World {
    pub async fn new(kind: PullRequestProvider) -> Self {
        let branches = [("main", BASE_COMMIT), ("fairlead-1", HEAD_COMMIT), ("other", HEAD_COMMIT)];
        let branches = branches.map(|(name, commit)| (name.to_owned(), commit.to_owned())).into();
        let state = State { branches, labels: vec!["images".to_owned()], ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let kept = Arc::clone(&state);
        let server = Server::start(move |_, seen| reply(kind, &mut lock(&kept), seen)).await;
        let clock = Arc::<HandClock>::default();
        let at = at(kind, &format!("http://{}/org/web.git", server.host()));
        let forges = forges(&clock, basic(TOKEN));
        Self { kind, state, server, clock, forges, at }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The pull request of a number, as the stand-in has it.
    pub fn pull(&self, number: u64) -> Pull {
        self.state().pulls.iter().find(|pull| pull.number == number).cloned().expect("it is there")
    }

    /// Changes a pull request by hand.
    pub fn by_hand(&self, number: u64, change: impl FnOnce(&mut Pull)) {
        let mut state = self.state();
        change(state.pulls.iter_mut().find(|pull| pull.number == number).expect("it is there"));
    }

    pub fn assert_content(&self) {
        assert_eq!(self.state().complaints, Vec::<String>::new());
    }
}

pub fn at(kind: PullRequestProvider, repository: &str) -> ForgeRepository {
    let access = GitAccess::ArgoCd { project: "default".to_owned() };
    ForgeRepository {
        provider: kind,
        api: None,
        repository: GitBranch { repository: repository.to_owned(), branch: None, access },
    }
}

pub fn forges(clock: &Arc<HandClock>, login: LoginMethod) -> Forges {
    let timeouts = ForgeTimeouts { connect: Duration::from_secs(5), whole: Duration::from_secs(5) };
    let clock = Arc::<HandClock>::clone(clock);
    Forges::new(timeouts, Arc::new(Logins(login)), clock)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reply(kind: PullRequestProvider, state: &mut State, seen: &Seen) -> Reply {
    if let Some(fault) = &state.fault {
        return fault.clone();
    }
    let (scheme, prefix) = match kind {
        PullRequestProvider::GitHub => ("Bearer", "/api/v3/"),
        PullRequestProvider::GitLab => ("Bearer", "/api/v4/"),
        PullRequestProvider::Gitea => ("token", "/api/v1/"),
    };
    let graphql = kind == PullRequestProvider::GitHub && seen.target == "/api/graphql";
    let (status, body) = if seen.headers.get("authorization") != Some(&format!("{scheme} {TOKEN}")) {
        (401, json!({ "message": "Bad credentials" }))
    } else if graphql {
        github::graphql(state, &body_of(seen))
    } else if let Some(rest) = seen.target.strip_prefix(prefix) {
        let request = request(seen, rest);
        match kind {
            PullRequestProvider::GitHub => github::answer(state, &request),
            PullRequestProvider::GitLab => gitlab::answer(state, &request),
            PullRequestProvider::Gitea => gitea::answer(state, &request),
        }
    } else {
        state.complaints.push(format!("{} {}", seen.method, seen.target));
        (404, json!({ "message": "Not Found" }))
    };
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let sum = text.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let tag = format!("W/\"{sum:x}\"");
    if seen.headers.get("if-none-match") == Some(&tag) && status == 200 {
        state.unchanged += 1;
        return Reply::Send(answer(304, &[("etag", &tag)], ""));
    }
    Reply::Send(answer(status, &[("content-type", "application/json"), ("etag", &tag)], &text))
}

fn request(seen: &Seen, rest: &str) -> Request {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let decode = |part: &str| {
        let mut pairs = url::form_urlencoded::parse(part.as_bytes()).into_owned();
        pairs.next().map(|(key, _)| key).unwrap_or_default()
    };
    Request {
        method: seen.method.clone(),
        path: path.split('/').map(decode).collect(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: body_of(seen),
    }
}

fn body_of(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap_or_default()
}

impl State {
    /// Opens a pull request, as a forge does.
    pub fn open(&mut self, head: &str, base: &str, title: &str, body: &str) -> Pull {
        let number = self.pulls.len() as u64 + 1;
        let text = str::to_owned;
        let (head, base, title, body) = (text(head), text(base), text(title), text(body));
        let pull = Pull { number, head, base, title, body, state: "open", ..Pull::default() };
        self.pulls.push(pull.clone());
        pull
    }

    /// The open pull request between two branches of the repository.
    pub fn between(&self, head: &str, base: &str) -> Option<u64> {
        let same = |pull: &&Pull| pull.state == "open" && !pull.fork && pull.head == head && pull.base == base;
        self.pulls.iter().find(same).map(|pull| pull.number)
    }

    pub fn find(&mut self, number: &str) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|pull| pull.number.to_string() == number)
    }

    /// The pull requests that fit, newest first.
    pub fn newest(&self, fits: impl Fn(&Pull) -> bool) -> Vec<Pull> {
        self.pulls.iter().rev().filter(|pull| fits(pull)).cloned().collect()
    }

    /// Says what is wrong with a request.
    pub fn complain(&mut self, request: &Request, what: &str) -> Answer {
        self.complaints.push(format!("{} {}: {what}", request.method, request.path.join("/")));
        (400, json!({ "message": what }))
    }

    /// Moves a branch.
    pub fn set_branch(&mut self, name: &str, commit: &str) {
        self.branches.insert(name.to_owned(), commit.to_owned());
        self.history.push((name.to_owned(), commit.to_owned()));
    }
}

impl Pull {
    /// Takes over title and text from a request's body, where they are under these keys.
    pub fn retell(&mut self, body: &Value, title: &str, text: &str) {
        for (key, place) in [(title, &mut self.title), (text, &mut self.body)] {
            if let Some(text) = body[key].as_str() {
                text.clone_into(place);
            }
        }
    }

    /// Adds labels that it does not have.
    pub fn label(&mut self, names: Vec<String>) {
        let new: Vec<_> = names.into_iter().filter(|name| !self.labels.contains(name)).collect();
        self.labels.extend(new);
    }
}

/// The answer to something that makes something.
pub fn created((status, body): Answer) -> Answer {
    (if status == 200 { 201 } else { status }, body)
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A text of a body.
pub fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}
