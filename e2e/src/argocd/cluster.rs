//! What makes Pods of Deployments, and lets them run.

use std::path::Path;
use std::process::Command;

use crate::argocd::Surroundings;
use crate::process::Process;
use crate::servers::{free_address, port_of};

/// The node that all Pods are on.
pub(crate) const NODE: &str = "node";

/// Starts controllers, scheduler and kwok.
pub(crate) fn start(surroundings: &Surroundings) -> Vec<Process> {
    vec![controllers(surroundings), scheduler(surroundings), kwok(surroundings)]
}

fn controllers(surroundings: &Surroundings) -> Process {
    let folder = crate::process::folder();
    let mut command = Command::new(&surroundings.tools.kube_controller_manager);
    with_kubeconfig(&mut command, &surroundings.kubeconfig)
        .arg(format!("--service-account-private-key-file={}", folder.join("tokens.key").display()))
        .arg(format!("--root-ca-file={}", folder.join("authority.crt").display()))
        .args(["--cluster-cidr=10.1.0.0/16", "--allocate-node-cidrs=false"]);
    Process::start("kube-controller-manager", command)
}

fn scheduler(surroundings: &Surroundings) -> Process {
    let mut command = Command::new(&surroundings.tools.kube_scheduler);
    with_kubeconfig(&mut command, &surroundings.kubeconfig);
    Process::start("kube-scheduler", command)
}

/// What controllers and scheduler have in common.
fn with_kubeconfig<'a>(command: &'a mut Command, kubeconfig: &Path) -> &'a mut Command {
    for option in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{option}={}", kubeconfig.display()));
    }
    command
        .args(["--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false"])
        .arg(format!("--secure-port={}", port_of(&free_address())))
        .arg(format!("--cert-dir={}", crate::process::folder().join("cluster").display()))
}

fn kwok(surroundings: &Surroundings) -> Process {
    let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("argocd/kwok-stages.yaml");
    let mut command = Command::new(&surroundings.tools.kwok);
    command
        .arg(format!("--config={}", stages.display()))
        .arg(format!("--kubeconfig={}", surroundings.kubeconfig.display()))
        .args(["--manage-all-nodes=true", "--cidr=10.2.0.0/16", "--node-ip=127.0.0.1"])
        .arg("--node-lease-duration-seconds=40")
        .arg(format!("--server-address={}", free_address()));
    Process::start("kwok", command)
}
