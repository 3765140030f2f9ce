//! The adapters in memory and on a folder keep the contract of their port. The e2e tests run it on a real API server.

#![allow(clippy::disallowed_methods, reason = "tests prepare folders")]

mod contract;
#[path = "contract/git.rs"]
mod git_contract;

use std::sync::Arc;

use async_trait::async_trait;
use contract::{check, check_registry, manifest};
use fairlead::adapters::clock::SystemClock;
use fairlead::adapters::directory::{Directory, Mode};
use fairlead::adapters::embedded;
use fairlead::adapters::memory::{MemoryApplications, MemoryGit, MemoryRegistry};
use fairlead::adapters::oci::{RegistryClient, RegistrySettings};
use fairlead::model::{Details, GitAccess, GitBranch, ImageReference, Known, Tag};
use fairlead::ports::Clock;
use git_contract::{FILES, Remote, check_git};

const NAMESPACE: &str = "contract";

#[tokio::test]
async fn applications_in_memory_keep_the_contract() {
    let applications = MemoryApplications::default();
    applications.put(manifest(NAMESPACE, "web"));
    check(&applications, NAMESPACE, "web").await;
}

#[tokio::test]
async fn applications_in_a_folder_keep_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let yaml = serde_saphyr::to_string(&manifest(NAMESPACE, "web")).expect("YAML");
    std::fs::write(folder.path().join("web.yaml"), yaml).expect("a file");
    let directory = Directory::open(folder.path(), Mode::Write).expect("a folder that can be read");
    check(&directory, NAMESPACE, "web").await;
}

#[tokio::test]
async fn the_registry_in_memory_keeps_the_contract() {
    let registry = MemoryRegistry::default();
    let repository = "registry.example/app".parse::<ImageReference>().expect("an image").repository;
    let digest = format!("sha256:{}", "ab".repeat(32)).parse().expect("a digest");
    let builds = vec![("linux/amd64".parse().expect("a platform"), Some(SystemClock.now()))];
    let known = Known { digest, builds, pushed: None, first_seen: None };
    let tag: Tag = "1.0.0".parse().expect("a tag");
    registry.push(&repository, tag.clone(), Details::Known(known));
    registry.label(&repository, tag, [("version".to_owned(), "1.0.0".to_owned())].into());
    check_registry(&registry, "registry.example/app", SystemClock.now()).await;
}

#[tokio::test]
async fn the_client_keeps_the_contract_on_the_embedded_registry() {
    let registry = embedded::Registry::start().await.expect("a registry");
    let labels = [("version".to_owned(), "1.0.0".to_owned())].into();
    let image = embedded::Image { created: Some(SystemClock.now()), labels, ..embedded::Image::default() };
    registry.push("app", "1.0.0", &image);
    let settings = RegistrySettings { plain_http: vec![registry.host().to_owned()], ..RegistrySettings::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = Arc::new(Directory::open(folder.path(), Mode::DryRun).expect("an empty folder"));
    let client = RegistryClient::new(settings, secrets, Arc::new(SystemClock)).expect("a client");
    check_registry(&client, &format!("{}/app", registry.host()), SystemClock.now()).await;
}

const REPOSITORY: &str = "https://git.example.com/org/web.git";

struct InMemory(MemoryGit);

#[async_trait]
impl Remote for InMemory {
    fn repository(&self) -> GitBranch {
        let access = GitAccess::ArgoCd { project: "default".to_owned() };
        GitBranch { repository: REPOSITORY.to_owned(), branch: None, access }
    }

    async fn push(&self, branch: &str, path: &str, text: &str) {
        self.0.push(REPOSITORY, branch, path, text);
    }

    async fn text(&self, branch: &str, path: &str) -> Option<String> {
        self.0.text(REPOSITORY, branch, path)
    }

    async fn message(&self, branch: &str) -> String {
        self.0.log(REPOSITORY, branch).pop().map(|commit| commit.message).unwrap_or_default()
    }

    async fn commits(&self, branch: &str) -> usize {
        self.0.log(REPOSITORY, branch).len()
    }
}

#[tokio::test]
async fn git_in_memory_keeps_the_contract() {
    let remote = InMemory(MemoryGit::default());
    for (path, text) in FILES {
        remote.0.push(REPOSITORY, "main", path, text);
    }
    check_git(&remote.0, &remote, || SystemClock.now()).await;
}
