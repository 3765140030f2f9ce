//! The servers of Argo CD, all from one binary that looks at the name it is called by.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::argocd::{NAMESPACE, Surroundings};
use crate::process::{Process, folder};
use crate::servers::{free_address, port_of};

/// Each name that the binary plays a part under.
const NAMES: [&str; 8] = [
    "argocd",
    "argocd-server",
    "argocd-repo-server",
    "argocd-cmp-server",
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-git-ask-pass",
    "argocd-k8s-auth",
];

/// Starts what needs no objects of the cluster.
pub(crate) fn start_stateless(surroundings: &Surroundings) -> Vec<Process> {
    prepare(surroundings);
    vec![redis(surroundings), plugin(), repo_server(surroundings)]
}

/// Starts what reads its settings from the cluster.
pub(crate) fn start_stateful(surroundings: &Surroundings) -> Vec<Process> {
    vec![controller(surroundings), application_sets(surroundings), server(surroundings)]
}

/// The folder of programs, and all others that the servers want to find.
fn prepare(surroundings: &Surroundings) {
    let bin = root().join("bin");
    for path in ["bin", "tls", "ssh", "gpg", "plugin", "plugin-settings", "tmp", "helm", "assets"] {
        fs::create_dir_all(root().join(path)).expect("the temporary folder takes folders");
    }
    let link = |to: &Path, name: &str| symlink(to, bin.join(name)).expect("the temporary folder takes links");
    for name in NAMES {
        link(&surroundings.tools.argocd, name);
    }
    link(&surroundings.base.helm, "helm");
    link(&surroundings.tools.kustomize, "kustomize");
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("argocd/plugin.yaml");
    fs::copy(plugin, root().join("plugin-settings/plugin.yaml")).expect("the plugin's settings can be copied");
}

fn root() -> PathBuf {
    folder().join("argocd")
}

/// The server called `name`, among folders of its own and with nothing of this machine's.
fn command(name: &str) -> Command {
    let root = root();
    let mut command = Command::new(root.join("bin").join(name));
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", root.join("bin").display()))
        .env("ARGOCD_TLS_DATA_PATH", root.join("tls"))
        .env("ARGOCD_SSH_DATA_PATH", root.join("ssh"))
        .env("ARGOCD_GNUPGHOME", root.join("gpg"))
        .env("ARGOCD_GPG_ENABLED", "false")
        .env("ARGOCD_PLUGINSOCKFILEPATH", root.join("plugin"))
        .env("ARGOCD_ASK_PASS_SOCK", root.join("ask-pass.sock"))
        .env("ARGOCD_CMP_WORKDIR", root.join("tmp"))
        .env("TMPDIR", root.join("tmp"))
        .env("HOME", &root)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for variable in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{variable}_HOME"), root.join("helm").join(variable.to_lowercase()));
    }
    // This machine's own authorities and logins are not the test's.
    for variable in ["GIT_SSL_CAINFO", "SSL_CERT_FILE", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(variable);
    }
    command
}

/// The same, with the cluster; `https://kubernetes.default.svc` is the one of the kubeconfig.
fn cluster_command(name: &str, surroundings: &Surroundings) -> Command {
    let mut command = command(name);
    command
        .env("ARGOCD_FAKE_IN_CLUSTER", "true")
        .env("KUBECONFIG", &surroundings.kubeconfig)
        .arg(format!("--kubeconfig={}", surroundings.kubeconfig.display()))
        .args(["--namespace", NAMESPACE])
        .args(["--loglevel", "info", "--logformat", "text"]);
    command
}

fn redis(surroundings: &Surroundings) -> Process {
    let mut command = Command::new(&surroundings.tools.redis);
    command.arg(&surroundings.addresses.redis);
    Process::start("redis", command)
}

fn plugin() -> Process {
    let mut command = command("argocd-cmp-server");
    command.arg(format!("--config-dir-path={}", root().join("plugin-settings").display()));
    Process::start("argocd-cmp-server", command)
}

fn repo_server(surroundings: &Surroundings) -> Process {
    let mut command = command("argocd-repo-server");
    command
        .args(["--address", "127.0.0.1", "--port", port_of(&surroundings.addresses.repositories)])
        .args(["--metrics-address", "127.0.0.1", "--metrics-port", port_of(&free_address())])
        .args(["--redis", &surroundings.addresses.redis])
        // So that a commit without any news of it is seen within a test's time.
        .args(["--disable-tls", "--revision-cache-expiration", "5s", "--logformat", "text"]);
    Process::start("argocd-repo-server", command)
}

fn controller(surroundings: &Surroundings) -> Process {
    let addresses = &surroundings.addresses;
    let mut command = cluster_command("argocd-application-controller", surroundings);
    command
        .args(["--redis", &addresses.redis, "--repo-server", &addresses.repositories, "--repo-server-plaintext"])
        .args(["--metrics-port", port_of(&free_address()), "--application-namespaces", "*"])
        .args(["--app-resync", "60", "--app-resync-jitter", "0", "--self-heal-timeout-seconds", "1"]);
    Process::start("argocd-application-controller", command)
}

fn application_sets(surroundings: &Surroundings) -> Process {
    let addresses = &surroundings.addresses;
    let mut command = cluster_command("argocd-applicationset-controller", surroundings);
    command
        .args(["--argocd-repo-server", &addresses.repositories, "--repo-server-plaintext"])
        .args(["--metrics-addr", &free_address(), "--probe-addr", &free_address(), "--webhook-addr", &free_address()])
        .args(["--applicationset-namespaces", "*", "--enable-scm-providers=false"]);
    Process::start("argocd-applicationset-controller", command)
}

fn server(surroundings: &Surroundings) -> Process {
    let addresses = &surroundings.addresses;
    let mut command = cluster_command("argocd-server", surroundings);
    command
        .args(["--insecure", "--address", "127.0.0.1", "--port", port_of(&addresses.api)])
        .args(["--metrics-address", "127.0.0.1", "--metrics-port", port_of(&free_address())])
        .args(["--redis", &addresses.redis, "--repo-server", &addresses.repositories, "--repo-server-plaintext"])
        .args(["--application-namespaces", "*"])
        .arg("--staticassets")
        .arg(root().join("assets"));
    Process::start("argocd-server", command)
}
