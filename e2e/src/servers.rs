//! etcd, the Kubernetes API server and the registries: started once a test process, shared by its tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::certificates::Certificates;
use crate::eventually::{Deadline, eventually};
use crate::process::{Process, folder};
use crate::registry::{Login, Registry};
use crate::tools::Tools;

/// The token of the tests' own user, who may do everything.
pub const ADMINISTRATOR_TOKEN: &str = "e2e-administrator";
/// The name of that user.
pub const ADMINISTRATOR: &str = "e2e-administrator";

/// What is watched by the audit log: every write, by anybody.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
    resources:
      - group: ""
      - group: argoproj.io
      - group: fairlead.dev
      - group: events.k8s.io
      - group: coordination.k8s.io
  - level: None
"#;

/// The running servers.
#[derive(Debug)]
pub struct Servers {
    /// The address of the API server, `https://127.0.0.1:…`.
    pub api_server: String,
    /// The authority that signed its certificate.
    pub authority: String,
    /// Every write, one JSON object a line.
    pub audit_log: PathBuf,
    /// A registry that lets everybody in.
    pub registry: Registry,
    /// A registry that asks for a name and a password.
    pub closed_registry: Registry,
    etcd_address: String,
    etcd: Mutex<Option<Process>>,
    api_server_process: Mutex<Option<Process>>,
    certificates: Certificates,
    setup: Setup,
    // Never read: the watchdog ends them with this process.
    _registries: [Process; 2],
}

/// What the API server is set up for.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The files that define Argo CD's kinds.
    pub(crate) definitions: Vec<PathBuf>,
    /// Whether controllers run, which make the ServiceAccount that Pods need.
    pub(crate) controllers: bool,
}

impl Servers {
    /// The servers of this test process, started at the first call.
    pub fn shared() -> &'static Self {
        static SERVERS: OnceLock<Option<Servers>> = OnceLock::new();
        let setup = || Setup { definitions: crate::kinds::of_argo_cd(), controllers: false };
        let servers = SERVERS.get_or_init(|| std::panic::catch_unwind(|| Self::start(setup())).ok());
        servers.as_ref().expect("the servers did not start; the first message of the first failed test says why")
    }

    pub(crate) fn start(setup: Setup) -> Self {
        let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let certificates = Certificates::new();
        let etcd_address = format!("http://{}", free_address());
        let etcd = start_etcd(&tools, &etcd_address);
        let login = Login { name: "puller".to_owned(), password: "open sesame".to_owned() };
        let (registry_process, registry) = start_registry(&tools, "registry", None);
        let (closed_process, closed_registry) = start_registry(&tools, "closed-registry", Some(login));
        let address = free_address();
        let mut api_server = start_api_server(&tools, &certificates, &etcd_address, &address, &setup);
        let servers = Self {
            api_server: format!("https://{address}"),
            authority: certificates.authority.clone(),
            audit_log: folder().join("audit.log"),
            registry,
            closed_registry,
            etcd_address,
            etcd: Mutex::new(Some(etcd)),
            api_server_process: Mutex::new(None),
            certificates,
            setup,
            _registries: [registry_process, closed_process],
        };
        servers.prepare(&mut api_server);
        *servers.api_server_process.lock().expect("nobody failed") = Some(api_server);
        servers
    }

    /// Kills etcd and starts it again, over the same data.
    pub fn restart_etcd(&self) {
        let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let mut etcd = self.etcd.lock().expect("nobody failed");
        drop(etcd.take());
        *etcd = Some(start_etcd(&tools, &self.etcd_address));
    }

    /// Kills the API server and starts it again; what it remembers of earlier watches is gone.
    pub fn restart_api_server(&self) {
        let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let mut process = self.api_server_process.lock().expect("nobody failed");
        drop(process.take());
        let address = self.api_server.trim_start_matches("https://");
        *process = Some(start_api_server(&tools, &self.certificates, &self.etcd_address, address, &self.setup));
    }

    /// Waits until the API server answers again.
    pub async fn wait_until_ready(&self) {
        let client = http_client(Some(&self.authority));
        let url = format!("{}/readyz", self.api_server);
        eventually("the API server is ready", Deadline::seconds(60), async || {
            let answer = client.get(&url).bearer_auth(ADMINISTRATOR_TOKEN).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) { Ok(()) } else { Err("not yet") }
        })
        .await;
    }

    /// Drops from etcd whatever is not the newest state: who watches from an older one is answered 410 Gone.
    pub async fn compact(&self) {
        let client = http_client(None);
        let post = async |path: &str, body: serde_json::Value| {
            let answer = client.post(format!("{}/v3/kv/{path}", self.etcd_address)).json(&body).send().await;
            let answer = answer.expect("etcd answers").error_for_status().expect("etcd does it");
            answer.json::<serde_json::Value>().await.expect("etcd answers in JSON")
        };
        let header = post("range", serde_json::json!({"key": "AA=="})).await["header"].clone();
        post("compaction", serde_json::json!({"revision": header["revision"], "physical": true})).await;
    }

    /// Waits until all answer, and teaches the API server our kinds and Argo CD's.
    fn prepare(&self, api_server: &mut Process) {
        let mut work = async || {
            let client = http_client(Some(&self.authority));
            let mut urls = vec![format!("{}/readyz", self.api_server)];
            urls.extend(
                [&self.registry, &self.closed_registry].map(|registry| format!("http://{}/", registry.address)),
            );
            for url in urls {
                wait_for(&client, &url, api_server).await;
            }
            let definitions = format!("{}/apis/apiextensions.k8s.io/v1/customresourcedefinitions", self.api_server);
            for (definition, list) in crate::kinds::definitions(&self.setup.definitions) {
                let request = client.post(&definitions).bearer_auth(ADMINISTRATOR_TOKEN).json(&definition);
                let answer = request.send().await.expect("the API server answers");
                let status = answer.status();
                assert!(status.is_success(), "{list}: {status}: {}", answer.text().await.unwrap_or_default());
                wait_for(&client, &format!("{}{list}", self.api_server), api_server).await;
            }
        };
        // The first caller may be in a runtime of its own, where another cannot be entered.
        std::thread::scope(|scope| {
            let done = scope.spawn(|| runtime().block_on(work())).join();
            done.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        });
    }
}

async fn wait_for(client: &reqwest::Client, url: &str, api_server: &mut Process) {
    let deadline = Deadline::seconds(120);
    loop {
        let answer = client.get(url).bearer_auth(ADMINISTRATOR_TOKEN).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        let gone = api_server.ended().is_some();
        assert!(!gone && !deadline.passed(), "`{url}` is not ready\n{}", api_server.log_tail(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A runtime for one thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// A client that trusts `authority` and goes through no proxy.
pub fn http_client(authority: Option<&str>) -> reqwest::Client {
    install_tls();
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    let certificates =
        authority.map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).expect("our own certificate"));
    builder.tls_certs_only(certificates).build().expect("a client can be made")
}

/// Chooses the cryptography of this process; a second call changes nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An address on loopback that nobody listens on.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address").to_string()
}

/// The port of an address.
pub(crate) fn port_of(address: &str) -> &str {
    address.rsplit_once(':').expect("an address has a port").1
}

fn start_etcd(tools: &Tools, address: &str) -> Process {
    let peers = format!("http://{}", free_address());
    let mut command = Command::new(&tools.etcd);
    command
        .arg(format!("--data-dir={}", folder().join("etcd").display()))
        .args(["--unsafe-no-fsync", "--log-level=warn"])
        .arg(format!("--listen-client-urls={address}"))
        .arg(format!("--advertise-client-urls={address}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=default={peers}"));
    Process::start("etcd", command)
}

fn start_api_server(tools: &Tools, certificates: &Certificates, etcd: &str, address: &str, setup: &Setup) -> Process {
    let tokens = format!("{ADMINISTRATOR_TOKEN},{ADMINISTRATOR},{ADMINISTRATOR},system:masters\n");
    let authority = write("authority.crt", &certificates.authority);
    let server = write("server.crt", &certificates.server);
    let server_key = write("server.key", &certificates.server_key);
    let tokens_key = write("tokens.key", &certificates.tokens_key);
    let tokens_public_key = write("tokens.pub", &certificates.tokens_public_key);
    let mut command = Command::new(&tools.kube_apiserver);
    command
        .args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--endpoint-reconciler-type=none", "--profiling=false"])
        .arg(format!("--etcd-servers={etcd}"))
        .arg(format!("--secure-port={}", port_of(address)))
        .arg(format!("--cert-dir={}", folder().join("api-server").display()))
        .arg(format!("--tls-cert-file={server}"))
        .arg(format!("--tls-private-key-file={server_key}"))
        .arg(format!("--client-ca-file={authority}"))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={tokens_public_key}"))
        .arg(format!("--service-account-signing-key-file={tokens_key}"))
        .arg(format!("--token-auth-file={}", write("tokens.csv", &tokens)))
        .arg(format!("--audit-policy-file={}", write("audit-policy.yaml", AUDIT_POLICY)))
        .arg(format!("--audit-log-path={}", folder().join("audit.log").display()))
        .arg("--audit-log-mode=blocking");
    if !setup.controllers {
        // Nobody makes default ServiceAccounts; tokens come from the TokenRequest API all the same.
        command.arg("--disable-admission-plugins=ServiceAccount");
    }
    Process::start("kube-apiserver", command)
}

fn start_registry(tools: &Tools, name: &str, login: Option<Login>) -> (Process, Registry) {
    let address = free_address();
    let authentication = login.as_ref().map_or_else(String::new, |login| {
        let hash = bcrypt::hash(&login.password, 4).expect("a password can be hashed");
        let path = write(&format!("{name}.htpasswd"), &format!("{}:{hash}\n", login.name));
        format!("auth: {{htpasswd: {{realm: fairlead-e2e, path: {path}}}}}\n")
    });
    let process = start_registry_over(tools, name, name, &address, &authentication, "");
    (process, Registry { address, login })
}

/// A registry over the folder `data`, with more settings at the top and within `http`.
pub(crate) fn start_registry_over(
    tools: &Tools,
    name: &str,
    data: &str,
    address: &str,
    settings: &str,
    http: &str,
) -> Process {
    let settings = format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '{address}', secret: e2e{http}}}\n{settings}",
        folder().join(data).display()
    );
    let mut command = Command::new(&tools.registry);
    command.arg("serve").arg(write(&format!("{name}.yaml"), &settings)).env("OTEL_TRACES_EXPORTER", "none");
    Process::start(name, command)
}

/// Writes a file for this test process, and gives its path.
pub(crate) fn write(name: &str, text: &str) -> String {
    let path = folder().join(name);
    fs::write(&path, text).unwrap_or_else(|cause| panic!("cannot write `{}`: {cause}", path.display()));
    display(&path)
}

fn display(path: &Path) -> String {
    path.to_str().expect("the temporary folder has a readable name").to_owned()
}
