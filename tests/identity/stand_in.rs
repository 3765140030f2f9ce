//! One server that stands in for the services of all clouds, by path.

#![allow(clippy::disallowed_methods, reason = "writes the files that clouds put into a Pod")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fairlead::adapters::identity::{CloudIdentities, IdentityEndpoints, IdentitySettings, IdentityTimeouts};
use fairlead::model::Cloud;
use fairlead::ports::{Clock as _, CloudLogin, CloudLoginError, CloudLogins as _};
use tempfile::TempDir;

use crate::support::faults::{Reply, Seen, Server, answer, nobody, status};
use crate::support::ports::HandClock;
use crate::{aws, azure, google, jwt};

/// What the stand-in knows and counts.
#[derive(Default)]
pub struct Site {
    /// The time on both sides.
    pub clock: Arc<HandClock>,
    /// What was wrong with requests.
    pub complaints: Mutex<Vec<String>>,
    /// What was given out, and until when it holds.
    given: Mutex<BTreeMap<String, i64>>,
    /// Logins given out.
    pub logins: AtomicU64,
    /// All services fail.
    down: AtomicBool,
}

/// Logins and their surroundings.
pub struct World {
    /// The stand-in's side.
    pub site: Arc<Site>,
    /// The settings that lead to it.
    pub settings: IdentitySettings,
    server: Server,
    folder: TempDir,
}

impl Site {
    /// Now, in seconds.
    pub fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Gives out something new that holds for so many seconds.
    pub fn give(&self, prefix: &str, seconds: i64) -> String {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{prefix}-{}", given.len());
        given.insert(name.clone(), self.now() + seconds);
        name
    }

    /// Remembers what was given out.
    pub fn gave(&self, name: &str, until: i64) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), until);
    }

    /// Whether something was given out and holds still.
    pub fn holds(&self, name: &str) -> bool {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get(name).is_some_and(|until| self.now() < *until)
    }

    fn reply(&self, seen: &Seen) -> Reply {
        if self.down.load(Ordering::Relaxed) {
            return status(503);
        }
        let path = seen.target.split('?').next().unwrap_or_default();
        let result = match path.split('/').nth(1).unwrap_or_default() {
            "aws" => aws::reply(self, path, seen),
            "google" => google::reply(self, path, seen),
            "azure" => azure::reply(self, path, seen),
            _ => Err("nothing is here".to_owned()),
        };
        result.unwrap_or_else(|complaint| {
            let complaint = format!("{} {path}: {complaint}", seen.method);
            self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
            Reply::Send(answer(400, &[("content-type", "application/json")], r#"{"error":"invalid_request"}"#))
        })
    }
}

impl World {
    /// A process with nothing in its environment.
    pub async fn new() -> Self {
        let site = Arc::<Site>::default();
        let state = Arc::clone(&site);
        let server = Server::start(move |_, seen| state.reply(seen)).await;
        let at =
            |path: &str| Some(format!("http://{}{path}", server.host()).parse().expect("what a test writes is valid"));
        let nowhere = format!("http://{}/", nobody().await).parse::<url::Url>().expect("what a test writes is valid");
        let endpoints = IdentityEndpoints {
            aws_sts: at("/aws/sts"),
            aws_ecr: at("/aws/ecr"),
            aws_ecr_public: at("/aws/ecr-public"),
            aws_container: at("/").expect("it is an address"),
            aws_instance: nowhere.clone(),
            google_token: at("/google/token"),
            google_metadata: nowhere.clone(),
            azure_authority: at("/azure/authority/"),
            azure_instance: nowhere,
            azure_registry: at("/azure/registry/"),
        };
        let timeouts = IdentityTimeouts { back_off: Duration::from_millis(1), ..IdentityTimeouts::default() };
        let settings = IdentitySettings { environment: BTreeMap::new(), endpoints, timeouts };
        Self { site, settings, server, folder: TempDir::new().expect("there is room for a folder") }
    }

    /// Sets a variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file and sets a variable to its path.
    pub fn file(&mut self, variable: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(variable);
        fs::write(&path, text).expect("there is room for a file");
        self.set(variable, path.to_str().expect("a readable path"));
        path
    }

    /// A token of Kubernetes for an audience, that holds for an hour.
    pub fn projected(&self, audience: &str) -> String {
        let claims =
            serde_json::json!({ "aud": audience, "sub": "system:serviceaccount:a:b", "exp": self.site.now() + 3600 });
        jwt::signed(&claims)
    }

    /// The address of a service of the stand-in.
    pub fn at(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.server.host()).parse().expect("what a test writes is valid")
    }

    /// The logins of the process.
    pub fn logins(&self) -> CloudIdentities {
        let clock = Arc::<HandClock>::clone(&self.site.clock);
        CloudIdentities::new(self.settings.clone(), clock).expect("TLS can be set up")
    }

    /// A login of a new process, without complaints of the stand-in.
    pub async fn login(&self, cloud: Cloud, host: &str) -> CloudLogin {
        let result = self.logins().login(cloud, host).await;
        assert_eq!(self.complaints(), Vec::<String>::new());
        let login = result.expect("the login is given");
        assert!(self.site.holds(&login.password), "it is one that was given");
        login
    }

    /// The sentence of a failure, with what changes left out.
    pub async fn failure(&self, cloud: Cloud, host: &str) -> String {
        let error: CloudLoginError = self.logins().login(cloud, host).await.expect_err("no login is given");
        error.to_string().replace(self.folder.path().to_str().expect("a readable path"), "FOLDER")
    }

    /// What was wrong with requests.
    pub fn complaints(&self) -> Vec<String> {
        self.site.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }

    /// Lets all services fail, or serve again.
    pub fn fail(&self, down: bool) {
        self.site.down.store(down, Ordering::Relaxed);
    }
}

/// The fields of a form.
pub fn form(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Complains unless two texts are equal.
pub fn same(what: &str, found: Option<&String>, expected: &str) -> Result<(), String> {
    if found.is_some_and(|found| found == expected) { Ok(()) } else { Err(format!("{what} is not {expected}")) }
}
