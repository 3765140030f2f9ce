//! The API of Argo CD, as people and programs use it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::argocd::ArgoCd;
use crate::servers::http_client;

/// The password of `admin`.
pub const ADMINISTRATOR_PASSWORD: &str = "e2e-administrator-of-argo-cd";

/// An account that has API keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// It may read and update Applications, and nothing else.
    Updater,
    /// It may read Applications, and nothing else.
    Reader,
}

impl Account {
    pub(crate) const ALL: [Self; 2] = [Self::Updater, Self::Reader];

    /// Its name, and that of its role.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Updater => "updater",
            Self::Reader => "reader",
        }
    }

    /// What it may do with Applications.
    pub(crate) const fn rights(self) -> &'static [&'static str] {
        match self {
            Self::Updater => &["get", "update"],
            Self::Reader => &["get"],
        }
    }
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct ArgoCdApi {
    address: String,
    token: String,
}

impl ArgoCd {
    /// Logs in as `admin`.
    pub async fn administrator(&self) -> ArgoCdApi {
        let nobody = ArgoCdApi { address: self.address.clone(), token: String::new() };
        let login = json!({"username": "admin", "password": ADMINISTRATOR_PASSWORD});
        let answer = nobody.ask(Method::POST, "/api/v1/session", &login).await;
        ArgoCdApi { token: answer["token"].as_str().expect("a token").to_owned(), ..nobody }
    }

    /// An API key of an account.
    pub async fn api_key(&self, account: Account) -> String {
        let administrator = self.administrator().await;
        let path = format!("/api/v1/account/{}/token", account.name());
        let answer = administrator.ask(Method::POST, &path, &json!({})).await;
        answer["token"].as_str().expect("a token").to_owned()
    }
}

impl ArgoCdApi {
    /// Sends a request, and gives its answer, which must be a good one.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let mut request = http_client(None).request(method, &url).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let answer = request.send().await.unwrap_or_else(|cause| panic!("`{url}`: {cause}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "`{url}`: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Takes an Application back to an entry of its history, as `argocd app rollback` does.
    pub async fn roll_back(&self, namespace: &str, application: &str, id: i64) {
        let path = format!("/api/v1/applications/{application}/rollback");
        let body = json!({"name": application, "appNamespace": namespace, "id": id});
        self.ask(Method::POST, &path, &body).await;
    }

    /// Syncs an Application, as a person would.
    pub async fn sync(&self, namespace: &str, application: &str) {
        let path = format!("/api/v1/applications/{application}/sync");
        self.ask(Method::POST, &path, &json!({"name": application, "appNamespace": namespace})).await;
    }
}
