//! The real binary, with the rights of the chart's ServiceAccount.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::eventually::{Deadline, eventually};
use crate::process::{Process, folder};
use crate::servers::{free_address, http_client, write};

/// A running `fairlead run`, killed when dropped. When its test fails, its last words are shown.
#[derive(Debug)]
pub struct Fairlead {
    settings: Settings,
    process: Process,
}

/// How it is started.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) plain_http: Vec<String>,
    pub(crate) listen: String,
    pub(crate) webhooks: Option<Webhooks>,
    pub(crate) configured: Configured,
    /// Arguments and variables in place of the harness's own.
    pub(crate) command: Option<CommandLine>,
}

/// What a Deployment says of how it is started.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// What an administrator sets beside.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// The registries configuration.
    pub registries: Option<String>,
    /// Variables of its environment.
    pub environment: Vec<(&'static str, String)>,
    /// The secrets of webhooks, each with its source; without any, none are taken.
    pub webhooks: Vec<(&'static str, &'static str)>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// What this process is called, where a scene has several.
    pub name: &'static str,
    /// The kubeconfig in place of the scene's own.
    pub kubeconfig: Option<PathBuf>,
}

/// Where it takes webhooks, and with which secrets.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    listen: String,
    secrets: PathBuf,
}

impl Settings {
    pub(crate) fn new(namespace: &str, kubeconfig: PathBuf, plain_http: Vec<String>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            kubeconfig,
            plain_http,
            listen: free_address(),
            webhooks: None,
            configured: Configured::default(),
            command: None,
        }
    }

    /// The same, taking webhooks; each secret is that of a source.
    pub(crate) fn with_webhooks(mut self, secrets: &[(&str, &str)]) -> Self {
        let path = folder().join(format!("{}-webhooks", self.namespace));
        std::fs::create_dir_all(&path).expect("the temporary folder takes folders");
        for (source, secret) in secrets {
            std::fs::write(path.join(source), secret).expect("the temporary folder takes files");
        }
        self.webhooks = Some(Webhooks { listen: free_address(), secrets: path });
        self
    }

    /// The same, set up by an administrator.
    pub(crate) fn with(self, configured: Configured) -> Self {
        let settings = if configured.webhooks.is_empty() { self } else { self.with_webhooks(&configured.webhooks) };
        Self { configured, ..settings }
    }

    /// Runs `fairlead explain` on an Application to its end, and gives what it says.
    pub(crate) async fn explain(&self, application: &str, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(binary());
        command.args(["explain", application, "--namespace", &self.namespace]).args(arguments);
        for address in &self.plain_http {
            command.args(["--plain-http", address]);
        }
        command.env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1").env_remove("KUBERNETES_SERVICE_HOST");
        let output = command.output().await.expect("the binary runs");
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\n{complained}");
        said.into_owned()
    }

    fn start(&self) -> Process {
        let mut command = Command::new(binary());
        if let Some(CommandLine { arguments, environment }) = &self.command {
            command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        } else {
            self.describe(&mut command);
        }
        let kubeconfig = self.configured.kubeconfig.as_ref().unwrap_or(&self.kubeconfig);
        command.env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1").env_remove("KUBERNETES_SERVICE_HOST");
        Process::start(&format!("fairlead-{}{}", self.namespace, self.configured.name), command)
    }

    fn describe(&self, command: &mut Command) {
        command.args(["run", "--log-format", "text", "--listen", &self.listen, "--watch-namespace", &self.namespace]);
        for address in &self.plain_http {
            command.args(["--plain-http", address]);
        }
        if let Some(text) = &self.configured.registries {
            command.arg("--registries-conf").arg(write(&format!("{}-registries.conf", self.namespace), text));
        }
        if let Some(webhooks) = &self.webhooks {
            command.args(["--webhook-listen", &webhooks.listen, "--webhook-secrets"]).arg(&webhooks.secrets);
        }
        command
            .args(&self.configured.arguments)
            .env("FAIRLEAD_GIT_STATE_DIR", folder().join(format!("{}-git", self.namespace)))
            .env("FAIRLEAD_LOG", env::var("FAIRLEAD_LOG").unwrap_or_else(|_| "info,fairlead=debug".to_owned()))
            .envs(self.configured.environment.iter().map(|(name, value)| (name, value)));
    }
}

impl Fairlead {
    pub(crate) async fn start(settings: Settings) -> Self {
        let mut fairlead = Self::launch(settings);
        fairlead.wait_until_ready().await;
        fairlead
    }

    /// Starts it, and does not wait until it is ready.
    pub(crate) fn launch(settings: Settings) -> Self {
        Self { process: settings.start(), settings }
    }

    /// Kills it without a warning, if it still runs.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`Self::kill`], and does not wait until it is ready.
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = self.settings.start();
    }

    /// Waits until it says that it is ready.
    pub async fn wait_until_ready(&mut self) {
        let url = format!("http://{}/readyz", self.settings.listen);
        let client = http_client(None);
        let deadline = Deadline::seconds(30);
        loop {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.process.ended();
            assert!(ended.is_none(), "`fairlead run` ended: {ended:?}\n{}", self.process.log_tail(40));
            assert!(!deadline.passed(), "`fairlead run` is not ready after 30 s\n{}", self.process.log_tail(40));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.terminate();
        let process = &mut self.process;
        eventually("fairlead ends when asked to", Deadline::seconds(20), async || {
            process.ended().ok_or("it still runs")
        })
        .await
    }

    /// Stops it as it is, as a machine that is starved or put to sleep does.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// The memory that it holds now, in bytes.
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// Whether it says that it acts.
    pub async fn leads(&self) -> bool {
        self.page("/metrics").await.lines().any(|line| line == "fairlead_leader 1")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Where it serves its pages, `host:port`.
    pub fn address(&self) -> &str {
        &self.settings.listen
    }

    /// What one of its pages says: `/metrics`, `/livez`, `/readyz`.
    pub async fn page(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.settings.listen);
        let answer = http_client(None).get(&url).send().await.unwrap_or_else(|cause| panic!("`{url}`: {cause}"));
        answer.error_for_status().expect("the page is there").text().await.expect("the page is text")
    }

    /// Where it takes the webhooks of a source.
    pub fn webhook_url(&self, source: &str) -> String {
        let listen = &self.settings.webhooks.as_ref().expect("it was started with webhooks").listen;
        format!("http://{listen}/webhook/{source}")
    }

    /// Sends a webhook to one of its sources, with the source's secret in a header. Gives the status of the answer.
    pub async fn webhook(&self, source: &str, secret: &str, body: &serde_json::Value) -> u16 {
        let request = http_client(None).post(self.webhook_url(source));
        let answer = request.header("X-Fairlead-Token", secret).json(body).send().await;
        answer.unwrap_or_else(|cause| panic!("webhook of `{source}`: {cause}")).status().as_u16()
    }

    /// All that it logged, in all its lives.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Fairlead {
    #[expect(clippy::print_stderr, reason = "the test framework shows it with the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.process.log_tail(60));
        }
    }
}

/// What a command of the binary prints, with a kubeconfig. It must end well.
pub fn command_line(kubeconfig: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.args(arguments).env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1").env_remove("KUBERNETES_SERVICE_HOST");
    let output = command.output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "`fairlead {arguments:?}`: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The binary under test.
fn binary() -> PathBuf {
    let path = env::var_os("FAIRLEAD_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/fairlead"), PathBuf::from);
    assert!(path.is_file(), "`{}` is not there: run `cargo build`, or name it in FAIRLEAD_BIN", path.display());
    path
}

/// Writes a kubeconfig with a token.
pub(crate) fn kubeconfig(name: &str, server: &str, authority: &str, token: &str) -> PathBuf {
    use base64::Engine;

    let authority = base64::engine::general_purpose::STANDARD.encode(authority);
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e", "namespace": "default"}}],
    });
    let path = folder().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, text.to_string()).expect("the temporary folder takes files");
    path
}
