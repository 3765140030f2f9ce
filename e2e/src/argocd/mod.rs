//! Argo CD itself, on a cluster whose Pods run: everything that it needs, started once a test process.
//!
//! ```text
//!  Servers (etcd, kube-apiserver, registries) ── kube-controller-manager, kube-scheduler, kwok
//!     │
//!  ArgoCd ── redis, repo-server, plugin, application-controller, applicationset-controller, server
//!     │
//!  Gitea ─── repositories, pull requests, webhooks, a container registry
//!     │
//!  Stage ─── a test's Scene, with a repository of its own and Applications that are synced for real
//! ```

mod api;
mod cluster;
mod files;
mod gitea;
mod objects;
mod outcome;
mod pulls;
mod services;
mod stage;
mod workloads;

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::eventually::Deadline;
use crate::fairlead::kubeconfig;
use crate::process::{Process, folder};
use crate::servers::{ADMINISTRATOR_TOKEN, Servers, Setup, free_address, http_client, runtime};
use crate::tools::{ArgoCdTools, Tools};

pub use api::{ADMINISTRATOR_PASSWORD, Account, ArgoCdApi};
pub use gitea::{Gitea, MAIN, Repository};
pub use pulls::PullRequest;
pub use stage::Stage;

/// The namespace of Argo CD.
pub const NAMESPACE: &str = "argocd";

/// The running servers.
#[derive(Debug)]
pub struct ArgoCd {
    /// Where its API is, `127.0.0.1:…`.
    pub address: String,
    /// Where Applications come from.
    pub gitea: Gitea,
    pub(crate) servers: Servers,
    // Never read: the watchdog ends them with this process.
    _processes: Vec<Process>,
}

/// Where the servers of Argo CD and its friends are.
pub(crate) struct Addresses {
    pub(crate) redis: String,
    pub(crate) repositories: String,
    pub(crate) api: String,
}

/// What every server of the cluster and of Argo CD is started with.
pub(crate) struct Surroundings {
    pub(crate) base: Tools,
    pub(crate) tools: ArgoCdTools,
    pub(crate) addresses: Addresses,
    /// Everything is allowed with it.
    pub(crate) kubeconfig: PathBuf,
}

impl ArgoCd {
    /// The servers of this test process, started at the first call.
    pub async fn shared() -> &'static Self {
        static SERVERS: OnceLock<Option<ArgoCd>> = OnceLock::new();
        let start = || SERVERS.get_or_init(|| std::panic::catch_unwind(Self::start).ok()).as_ref();
        let servers = tokio::task::spawn_blocking(start).await.expect("panics are caught");
        servers.expect("Argo CD did not start; the first message of the first failed test says why")
    }

    fn start() -> Self {
        let base = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let tools = ArgoCdTools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let gitea = std::thread::spawn({
            let binary = tools.gitea.clone();
            move || Gitea::start(&binary)
        });
        let servers = Servers::start(Setup { definitions: definitions(&tools), controllers: true });
        let surroundings = Surroundings {
            base,
            tools,
            addresses: Addresses { redis: free_address(), repositories: free_address(), api: free_address() },
            kubeconfig: kubeconfig("argocd", &servers.api_server, &servers.authority, ADMINISTRATOR_TOKEN),
        };
        let mut processes = cluster::start(&surroundings);
        processes.extend(services::start_stateless(&surroundings));
        let (gitea_process, gitea) = gitea.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        processes.push(gitea_process);
        std::thread::scope(|scope| {
            let done = scope.spawn(|| runtime().block_on(objects::create(&servers, &gitea))).join();
            done.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        });
        processes.extend(services::start_stateful(&surroundings));
        let argocd = Self { address: surroundings.addresses.api, gitea, servers, _processes: processes };
        runtime().block_on(argocd.wait());
        argocd
    }

    async fn wait(&self) {
        let client = http_client(None);
        let deadline = Deadline::seconds(120);
        let url = format!("http://{}/healthz", self.address);
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            let log = folder().join("argocd-server.log");
            assert!(!deadline.passed(), "`{url}` does not answer; its log is `{}`", log.display());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// Argo CD's own definitions of its kinds.
fn definitions(tools: &ArgoCdTools) -> Vec<PathBuf> {
    let folder = tools.argocd.with_file_name("manifests").join("crds");
    ["application", "appproject", "applicationset"].map(|kind| folder.join(format!("{kind}-crd.yaml"))).into()
}
