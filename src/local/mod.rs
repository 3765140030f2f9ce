//! The folder mode: the pipeline over a folder of manifests, without a cluster; and the demo.

pub mod demo;
pub mod render;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::adapters::directory::{Change, Directory, Mode, PolicyManifest, Survey};
use crate::adapters::identity::{CloudIdentities, IdentitySettings};
use crate::adapters::oci::{RegistryClient, RegistrySettings, SetUpError};
use crate::adapters::working_copy::WorkingCopies;
use crate::lower;
use crate::model::{PolicyId, Problem, Reason, Report, Severity, State};
use crate::pipeline::{self, Memory};
use crate::ports::{Clock, Ports, Registry, Secrets};

/// Looks at a folder again and again, and remembers between the looks what a cluster would keep in the status.
pub struct Session {
    directory: Arc<Directory>,
    mode: Mode,
    registry: Arc<dyn Registry>,
    clock: Arc<dyn Clock>,
    memories: BTreeMap<PolicyId, Memory>,
    git: WorkingCopies,
}

/// What one look at a folder came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// One report a policy, sorted by namespace and name. Their problems point at files.
    pub reports: Vec<Report>,
    /// What is wrong with objects of ours that could not be read.
    pub problems: Vec<Problem>,
    /// What else was not read, and likely does not concern us.
    pub notes: Vec<Problem>,
    /// The files that were changed, or would have been.
    pub changes: Vec<Change>,
}

impl Session {
    /// A session on `directory`, which was opened in `mode`.
    pub fn new(directory: Arc<Directory>, mode: Mode, registry: Arc<dyn Registry>, clock: Arc<dyn Clock>) -> Self {
        let git = WorkingCopies::new(Vec::new(), mode);
        Self { directory, mode, registry, clock, memories: BTreeMap::new(), git }
    }

    /// The same session, which finds repositories at `copies`: addresses and folders of this machine.
    #[must_use]
    pub fn with_repositories(self, copies: Vec<(String, PathBuf)>) -> Self {
        Self { git: WorkingCopies::new(copies, self.mode), ..self }
    }

    /// One look: asks the registries anew, decides, writes, and tells.
    pub async fn round(&mut self) -> Round {
        let now = self.clock.now();
        let Survey { policies, problems, notes } = self.directory.survey();
        let mut reports = Vec::new();
        for manifest in policies {
            let memory = self.memories.remove(&manifest.id).unwrap_or_default();
            let (mut report, memory) = self.look(&manifest, &memory, now).await;
            self.memories.insert(manifest.id, memory);
            if self.mode == Mode::DryRun {
                report.images.iter_mut().filter(|image| image.reason == Reason::Updated).for_each(|image| {
                    image.reason = Reason::WouldUpdate;
                    image.commit = None;
                });
            }
            reports.push(report);
        }
        let mut changes = self.directory.take_changes();
        changes.extend(self.git.take_changes());
        Round { reports, problems, notes, changes }
    }

    /// One look at one policy.
    async fn look(&self, manifest: &PolicyManifest, memory: &Memory, now: Timestamp) -> (Report, Memory) {
        let Some(policy) = &manifest.policy else {
            return (unusable(manifest, manifest.problems.clone(), now), memory.clone());
        };
        let lowered = lower::policy(policy);
        if lowered.policy.is_none() {
            let problems = lowered.problems.into_iter().map(|problem| manifest.pointing(problem)).collect();
            return (unusable(manifest, problems, now), memory.clone());
        }
        let (applications, policies) = (&*self.directory, &*self.directory);
        let ports = Ports {
            applications,
            policies,
            registry: &*self.registry,
            git: Some(&self.git),
            forge: None,
            clock: &*self.clock,
        };
        let mut report = pipeline::reconcile(ports, &lowered, memory, now).await;
        // A dry run wrote nothing, so there is nothing to remember: the file would look as if a person had taken the version back.
        let memory = if self.mode == Mode::DryRun { memory.clone() } else { pipeline::memory_of(&report) };
        report.problems = report.problems.into_iter().map(|problem| manifest.pointing(problem)).collect();
        (report, memory)
    }
}

/// The report of a policy that cannot be acted on.
fn unusable(manifest: &PolicyManifest, problems: Vec<Problem>, now: Timestamp) -> Report {
    Report {
        policy: manifest.id.clone(),
        generation: 0,
        checked_at: now,
        next_check: now,
        problems,
        applications: 0,
        images: Vec::new(),
        memory: Memory::default(),
    }
}

impl Round {
    /// Whether a policy or an image failed, or an object of ours could not be read.
    pub fn failed(&self) -> bool {
        let fails = |problem: &Problem| problem.reason.severity() >= Severity::Failing;
        let report_fails = |report: &Report| {
            report.problems.iter().any(fails) || report.images.iter().any(|image| image.state() == State::Failed)
        };
        !self.problems.is_empty() || self.reports.iter().any(report_fails)
    }
}

/// The client for registries. `plain_http` are the hosts that are spoken to without TLS.
pub fn registry(
    plain_http: Vec<String>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<RegistryClient>, SetUpError> {
    let settings = RegistrySettings { plain_http, ..RegistrySettings::default() };
    let identities = Arc::new(CloudIdentities::new(IdentitySettings::from_environment(), clock.clone())?);
    Ok(Arc::new(RegistryClient::new(settings, secrets, clock)?.with_cloud_logins(identities)))
}

/// Writes to the terminal; colours are left out where there is none.
pub fn say(text: &str) {
    // Who closes the pipe does not want to read on.
    drop(anstream::stdout().write_all(text.as_bytes()));
}

/// Writes to the terminal what went wrong; colours are left out where there is none.
pub fn complain(text: &str) {
    drop(anstream::stderr().write_all(text.as_bytes()));
}
