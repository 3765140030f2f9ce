//! What the cluster has to hold before Argo CD starts.

use serde_json::{Value, json};

use crate::argocd::api::{ADMINISTRATOR_PASSWORD, Account};
use crate::argocd::cluster::NODE;
use crate::argocd::{Gitea, NAMESPACE};
use crate::servers::{ADMINISTRATOR_TOKEN, Servers, http_client};

/// Creates the node, and Argo CD's settings.
pub(crate) async fn create(servers: &Servers, gitea: &Gitea) {
    let client = http_client(Some(&servers.authority));
    for (path, object) in objects(gitea) {
        let request = client.post(format!("{}{path}", servers.api_server)).bearer_auth(ADMINISTRATOR_TOKEN);
        let answer = request.json(&object).send().await.expect("the API server answers");
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status}: {}", answer.text().await.unwrap_or_default());
    }
}

/// Each object, with the path that takes it.
fn objects(gitea: &Gitea) -> Vec<(String, Value)> {
    let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let projects = format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    let mut objects = vec![
        ("/api/v1/nodes".to_owned(), node),
        ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": NAMESPACE}})),
        (secrets.clone(), server_secret()),
        (secrets, repository_credentials(gitea)),
        (projects, project()),
    ];
    objects.extend(settings().into_iter().map(|map| (maps.clone(), map)));
    objects
}

fn settings() -> Vec<Value> {
    let mut policy: Vec<String> = Vec::new();
    let mut general = json!({"application.resourceTrackingMethod": "annotation"});
    for account in Account::ALL {
        let name = account.name();
        general[format!("accounts.{name}")] = json!("apiKey");
        policy
            .extend(account.rights().iter().map(|right| format!("p, role:{name}, applications, {right}, */*, allow")));
        policy.push(format!("p, role:{name}, projects, get, *, allow"));
        policy.push(format!("g, {name}, role:{name}"));
    }
    let map = |name: &str, data: Value| json!({"metadata": {"name": name, "labels": labels()}, "data": data});
    vec![
        map("argocd-cm", general),
        map("argocd-rbac-cm", json!({"policy.csv": policy.join("\n")})),
        map("argocd-cmd-params-cm", json!({})),
        map("argocd-ssh-known-hosts-cm", json!({"ssh_known_hosts": ""})),
        map("argocd-tls-certs-cm", json!({})),
        map("argocd-gpg-keys-cm", json!({})),
    ]
}

fn server_secret() -> Value {
    let hash = bcrypt::hash(ADMINISTRATOR_PASSWORD, 4).expect("a password can be hashed");
    json!({
        "metadata": {"name": "argocd-secret", "labels": labels()},
        "stringData": {
            "admin.password": hash,
            "admin.passwordMtime": "2026-01-01T00:00:00Z",
            "server.secretkey": "e2e-key-of-the-server-of-argo-cd",
        },
    })
}

/// The login for every repository of Gitea.
fn repository_credentials(gitea: &Gitea) -> Value {
    json!({
        "metadata": {"name": "gitea", "labels": {"argocd.argoproj.io/secret-type": "repo-creds"}},
        "stringData": {"type": "git", "url": gitea.url(), "username": gitea.user, "password": gitea.token},
    })
}

/// Everything may go everywhere.
fn project() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
        "spec": {
            "sourceRepos": ["*"],
            "sourceNamespaces": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    })
}

fn labels() -> Value {
    json!({"app.kubernetes.io/part-of": "argocd"})
}
