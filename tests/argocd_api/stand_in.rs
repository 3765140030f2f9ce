//! A stand-in of Argo CD's server: its REST API as documented, with what is surprising about it.
//!
//! - Who lacks the right to see an Application is not told so by a list. Without a project, one that is missing is forbidden.
//! - The head of the stream comes with the first event. What happens while nobody listens is never told. It speaks of all namespaces.
//! - A failed `test` is an internal error. Patches of the status are dropped. What is empty or false is left out of what is stored.
//! - Everything that is no API is the page of the user interface, with status 200.

#![allow(clippy::result_large_err, reason = "what goes wrong is an answer")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub const TOKEN: &str = "canary-token";

/// A running server. It stops when it is dropped.
pub struct ArgoCd {
    host: String,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

/// What is answered in place of the real thing.
#[derive(Clone)]
pub enum Fault {
    /// This status and body.
    Says(u16, &'static str),
    /// Nothing, ever.
    Silence,
    /// What was asked for is done, and then nothing is answered.
    DoesAndFallsSilent,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    List,
    Get,
    Refresh,
    Patch,
    Sync,
    Stream,
    Set,
    Project,
}

type Hook = Box<dyn FnMut(&mut Value) + Send>;
type Name = (String, String);

#[derive(Default)]
struct State {
    root: &'static str,
    token: String,
    objects: BTreeMap<Name, Value>,
    sets: BTreeMap<Name, Value>,
    projects: BTreeMap<String, Value>,
    syncs: Vec<Value>,
    version: u64,
    streams: Vec<mpsc::UnboundedSender<String>>,
    calls: Vec<(Call, String, Instant)>,
    complaints: Vec<String>,
    hidden: BTreeSet<String>,
    readonly: BTreeSet<String>,
    invalid: bool,
    deaf: bool,
    faults: BTreeMap<Call, Fault>,
    before_patch: Option<Hook>,
    after_patch: Option<Hook>,
}

impl ArgoCd {
    /// Starts a server that is served under `root`, `""` or `/path`.
    pub async fn start(root: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let state = State { root, token: TOKEN.to_owned(), version: 100, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, state, task: task.abort_handle() }
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Puts an Application in place of the one of its name, and tells of it.
    pub fn put(&self, object: Value) {
        lock(&self.state).store(object);
    }

    /// Changes an Application, and tells of it.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut state = lock(&self.state);
        let mut object = state.objects[&named("argocd", name)].clone();
        edit(&mut object);
        state.store(object);
    }

    /// Takes an Application away, and tells of it.
    pub fn remove(&self, name: &str) {
        let mut state = lock(&self.state);
        let object = state.objects.remove(&named("argocd", name)).expect("it is there");
        state.version += 1;
        state.tell("DELETED", &object);
    }

    /// An Application as it is stored.
    pub fn object(&self, name: &str) -> Value {
        lock(&self.state).objects[&named("argocd", name)].clone()
    }

    /// Puts an ApplicationSet of the namespace `argocd`.
    pub fn put_set(&self, name: &str, set: Value) {
        lock(&self.state).sets.insert(named("argocd", name), set);
    }

    /// Puts a project.
    pub fn put_project(&self, name: &str, project: Value) {
        lock(&self.state).projects.insert(name.to_owned(), project);
    }

    /// The syncs that were asked for.
    pub fn syncs(&self) -> Vec<Value> {
        lock(&self.state).syncs.clone()
    }

    /// Lets the account not see the Applications of a project.
    pub fn hide(&self, project: &str) {
        lock(&self.state).hidden.insert(project.to_owned());
    }

    /// Lets the account not change the Applications of a project.
    pub fn forbid_changes(&self, project: &str) {
        lock(&self.state).readonly.insert(project.to_owned());
    }

    /// Lets no change pass the check of its manifests.
    pub fn find_all_invalid(&self) {
        lock(&self.state).invalid = true;
    }

    /// Lets streams miss everything that happens.
    pub fn be_deaf(&self) {
        lock(&self.state).deaf = true;
    }

    /// Takes this token alone from now on.
    pub fn rotate(&self, token: &str) {
        token.clone_into(&mut lock(&self.state).token);
    }

    /// Somebody who changes each Application right before it is patched.
    pub fn before_patch(&self, hook: impl FnMut(&mut Value) + Send + 'static) {
        lock(&self.state).before_patch = Some(Box::new(hook));
    }

    /// Somebody who changes each Application right after it was patched.
    pub fn after_patch(&self, hook: impl FnMut(&mut Value) + Send + 'static) {
        lock(&self.state).after_patch = Some(Box::new(hook));
    }

    /// Answers so from now on, or rightly.
    pub fn fault(&self, call: Call, fault: impl Into<Option<Fault>>) {
        let mut state = lock(&self.state);
        match fault.into() {
            Some(fault) => drop(state.faults.insert(call, fault)),
            None => drop(state.faults.remove(&call)),
        }
    }

    /// Sends this line to everybody who listens.
    pub fn say(&self, line: &str) {
        lock(&self.state).say(&format!("{line}\n"));
    }

    /// Ends all streams.
    pub fn end_streams(&self) {
        lock(&self.state).streams.clear();
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        let mut state = lock(&self.state);
        state.streams.retain(|stream| !stream.is_closed());
        state.streams.len()
    }

    /// The requests of a kind so far, each with its method, path and query behind `/api/v1`.
    pub fn calls(&self, call: Call) -> Vec<String> {
        let state = lock(&self.state);
        state.calls.iter().filter(|(kind, ..)| *kind == call).map(|(_, line, _)| line.clone()).collect()
    }

    /// When the requests of a kind came.
    pub fn moments(&self, call: Call) -> Vec<Instant> {
        let state = lock(&self.state);
        state.calls.iter().filter(|(kind, ..)| *kind == call).map(|(.., at)| *at).collect()
    }

    /// What was wrong with requests.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.state).complaints.clone()
    }
}

impl Drop for ArgoCd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until something is so.
pub async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl State {
    fn store(&mut self, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = named(text(&object, "namespace"), text(&object, "name"));
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}-{}", name.0, self.version));
        }
        let kind = if self.objects.insert(name, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(kind, &object);
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        if !self.deaf && self.sees(object) {
            self.say(&format!("{}\n", json!({ "result": { "type": kind, "application": object } })));
        }
    }

    fn say(&mut self, line: &str) {
        self.streams.retain(|stream| stream.send(line.to_owned()).is_ok());
    }

    fn sees(&self, object: &Value) -> bool {
        !self.hidden.contains(object["spec"]["project"].as_str().unwrap_or_default())
    }

    /// An Application that may be seen, found as the server does it.
    fn found(&self, name: &str, query: &BTreeMap<String, String>) -> Result<Value, Response> {
        let namespace = query.get("appNamespace").map_or("argocd", String::as_str);
        let object = self.objects.get(&named(namespace, name));
        let Some(project) = query.get("project").or_else(|| query.get("projects")) else {
            let seen = object.filter(|object| self.sees(object)).cloned();
            return seen.ok_or_else(|| error(403, 7, "permission denied"));
        };
        let object = object.filter(|object| object["spec"]["project"] == project.as_str() && self.sees(object));
        object.cloned().ok_or_else(|| error(404, 5, &format!("applications.argoproj.io \"{name}\" not found")))
    }

    fn patch(&mut self, name: &str, body: &Value) -> Result<Value, Response> {
        let fields = ["name", "patch", "patchType", "appNamespace", "project"];
        let Some(given) = body.as_object().filter(|given| given.keys().all(|key| fields.contains(&key.as_str())))
        else {
            return Err(error(400, 3, "unknown field"));
        };
        let Some(patch) = given.get("patch").and_then(Value::as_str) else {
            return Err(error(400, 3, "json: cannot unmarshal object into Go value of type string"));
        };
        if given.get("patchType").is_some_and(|kind| kind != "json") || given.get("name") != Some(&json!(name)) {
            self.complaints.push(format!("a patch of {name} by {body}"));
        }
        let query = given.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let mut object = self.found(name, &query)?;
        if self.readonly.contains(object["spec"]["project"].as_str().unwrap_or_default()) {
            return Err(error(403, 7, "permission denied: applications, update, default/web, sub: updater"));
        }
        if let Some(mut hook) = self.before_patch.take() {
            hook(&mut object);
            self.before_patch = Some(hook);
            self.store(object);
            object = self.found(name, &query)?;
        }
        let mut patched = object.clone();
        let operations: json_patch::Patch = serde_json::from_str(patch).map_err(|_| error(400, 3, "no patch"))?;
        if json_patch::patch(&mut patched, &operations).is_err() {
            return Err(error(500, 2, "error applying patch: testing value /metadata/uid failed: test failed"));
        }
        if self.invalid {
            return Err(error(
                400,
                3,
                "application spec for web is invalid: InvalidSpecError: Unable to generate manifests",
            ));
        }
        object["spec"] = patched["spec"].clone();
        leave_out_what_is_empty(&mut object["spec"]);
        for field in ["labels", "annotations", "finalizers"] {
            object["metadata"][field] = patched["metadata"][field].clone();
        }
        self.store(object.clone());
        if let Some(mut hook) = self.after_patch.take() {
            hook(&mut object);
            self.after_patch = Some(hook);
            self.store(object.clone());
        }
        Ok(object)
    }
}

async fn answer(Shared(state): Shared<Arc<Mutex<State>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a small body");
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default());
    let line = format!("{} {path}?{query}", parts.method);
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let root = lock(&state).root;
    let Some(path) = path.strip_prefix(root).and_then(|path| path.strip_prefix("/api/v1/")) else {
        return page();
    };
    let place: Vec<&str> = path.split('/').collect();
    let call = match (parts.method.as_str(), place.as_slice()) {
        ("GET", ["applications"]) => Call::List,
        ("GET", ["applications", _]) if query.contains_key("refresh") => Call::Refresh,
        ("GET", ["applications", _]) => Call::Get,
        ("PATCH", ["applications", _]) => Call::Patch,
        ("POST", ["applications", _, "sync"]) => Call::Sync,
        ("GET", ["projects", _]) => Call::Project,
        ("GET", ["stream", "applications"]) => Call::Stream,
        ("GET", ["applicationsets", _]) => Call::Set,
        _ => return error(404, 5, "Not Found"),
    };
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fault = {
        let mut state = lock(&state);
        state.calls.push((call, line.clone(), Instant::now()));
        if header("authorization") != format!("Bearer {}", state.token) {
            return error(401, 16, &format!("invalid session: token {} is expired", header("authorization")));
        }
        if matches!(call, Call::Patch | Call::Sync) && header("content-type") != "application/json" {
            return error(415, 3, "Invalid content type");
        }
        if matches!(call, Call::Get | Call::Refresh)
            && !(query.contains_key("project") && query.contains_key("appNamespace"))
        {
            state.complaints.push(format!("{line} names no project, or no namespace"));
        }
        state.faults.get(&call).cloned()
    };
    match fault {
        Some(Fault::Says(status, words)) => said(status, words),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::DoesAndFallsSilent) => {
            let _ = done(&state, call, &place, &query, &body).await;
            std::future::pending().await
        }
        None => done(&state, call, &place, &query, &body).await,
    }
}

async fn done(
    state: &Mutex<State>,
    call: Call,
    place: &[&str],
    query: &BTreeMap<String, String>,
    body: &[u8],
) -> Response {
    match call {
        Call::Stream => follow(state, query).await,
        Call::List => {
            let state = lock(state);
            let wanted = |key: &str, object: &Value, field: &str| {
                query.get(key).is_none_or(|wanted| object["metadata"][field] == wanted.as_str())
            };
            let objects = state.objects.values().filter(|object| state.sees(object));
            let items: Vec<&Value> = objects
                .filter(|object| wanted("appNamespace", object, "namespace") && wanted("name", object, "name"))
                .collect();
            let items = if items.is_empty() { Value::Null } else { json!(items) };
            json_of(&json!({ "metadata": { "resourceVersion": state.version.to_string() }, "items": items }))
        }
        Call::Get | Call::Refresh => match lock(state).found(place[1], query) {
            Ok(object) => json_of(&object),
            Err(response) => response,
        },
        Call::Patch => {
            let body = serde_json::from_slice(body).unwrap_or_default();
            match lock(state).patch(place[1], &body) {
                Ok(object) => json_of(&object),
                Err(response) => response,
            }
        }
        Call::Sync => {
            let mut state = lock(state);
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let query = ["appNamespace", "project"]
                .map(|key| (key.to_owned(), body[key].as_str().unwrap_or_default().to_owned()));
            match state.found(place[1], &query.into()) {
                Ok(object) => {
                    state.syncs.push(body);
                    json_of(&object)
                }
                Err(response) => response,
            }
        }
        Call::Project => match lock(state).projects.get(place[1]) {
            Some(project) => json_of(project),
            None => error(403, 7, "permission denied"),
        },
        Call::Set => {
            let namespace = query.get("appsetNamespace").map_or("argocd", String::as_str);
            match lock(state).sets.get(&named(namespace, place[1])) {
                Some(set) => json_of(set),
                None => error(404, 5, "applicationsets.argoproj.io not found"),
            }
        }
    }
}

async fn follow(state: &Mutex<State>, query: &BTreeMap<String, String>) -> Response {
    let (sender, mut events) = mpsc::unbounded_channel();
    {
        let mut state = lock(state);
        if query.get("resourceVersion").is_none_or(String::is_empty) {
            for object in state.objects.values() {
                let _ = sender.send(format!("{}\n", json!({ "result": { "type": "ADDED", "application": object } })));
            }
        }
        state.streams.push(sender);
    }
    let Some(first) = events.recv().await else { return Response::new(Body::empty()) };
    let rest = stream::unfold((Some(first), events), |(first, mut events)| async move {
        let line = match first {
            Some(first) => Some(first),
            None => events.recv().await,
        };
        line.map(|line| (Ok::<_, Infallible>(line), (None, events)))
    });
    Response::new(Body::from_stream(rest))
}

/// As Go writes structs whose fields may be left out.
fn leave_out_what_is_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(leave_out_what_is_empty);
            fields.retain(|_, value| !matches!(value, Value::Bool(false) | Value::Null) && *value != json!(""));
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_what_is_empty),
        _ => {}
    }
}

fn error(status: u16, code: i64, words: &str) -> Response {
    let body = json!({ "error": words, "code": code, "message": words });
    (StatusCode::from_u16(status).expect("a status"), body.to_string()).into_response()
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn said(status: u16, words: &'static str) -> Response {
    (StatusCode::from_u16(status).expect("a status"), words).into_response()
}

fn page() -> Response {
    ([("content-type", "text/html")], "<!doctype html><title>Argo CD</title>").into_response()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn named(namespace: &str, name: &str) -> Name {
    (namespace.to_owned(), name.to_owned())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
