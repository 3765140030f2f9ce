//! Applications behind Argo CD's REST API, against a stand-in that does as the real one does, and against servers that do not.

#[path = "../contract/mod.rs"]
#[allow(dead_code, reason = "the part on registries is for others")]
mod contract;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need another part")]
mod support;

mod follows;
mod speaks;
mod stand_in;
mod story;
mod writes;

use std::time::Duration;

use fairlead::adapters::argocd::{ArgoCdApplications, ArgoCdSettings, Timings, TokenSource, server_address};
use fairlead::adapters::kubernetes::Change;
use fairlead::model::{Application, ApplicationId, Concealed};
use fairlead::ports::Applications as _;
use serde_json::{Value, json};
use stand_in::{ArgoCd, TOKEN, until};
use tokio::sync::mpsc;

const NAMESPACE: &str = "argocd";

/// The Applications of one server.
struct Reached {
    port: ArgoCdApplications,
    changes: mpsc::UnboundedReceiver<Change>,
}

fn web() -> ApplicationId {
    ApplicationId::new(NAMESPACE, "web")
}

fn manifest(name: &str) -> Value {
    contract::manifest(NAMESPACE, name)
}

/// Nothing is done by the clock but what a test asks for.
fn timings() -> Timings {
    Timings {
        call: Duration::from_secs(10),
        list: Duration::from_secs(10),
        change: Duration::from_secs(10),
        refresh: Duration::from_millis(50),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(160),
        ..Timings::default()
    }
}

fn settings(argocd: &ArgoCd) -> ArgoCdSettings {
    let server = server_address(argocd.host(), true, "").expect("an address");
    ArgoCdSettings { timings: timings(), ..ArgoCdSettings::new(server, TokenSource::Fixed(Concealed::new(TOKEN))) }
}

fn reach(settings: &ArgoCdSettings, namespaces: &[Option<String>]) -> Reached {
    let (sender, changes) = mpsc::unbounded_channel();
    let port = ArgoCdApplications::start(settings, namespaces, &sender).expect("a client");
    Reached { port, changes }
}

/// All Applications of a server, which are followed when this returns.
async fn follow(argocd: &ArgoCd, settings: &ArgoCdSettings) -> Reached {
    let mut reached = reach(settings, &[None]);
    reached.port.list(NAMESPACE).await.expect("a list");
    until("the stream is asked for", || argocd.listeners() == 1).await;
    // What the first list brings is told, too.
    while reached.changes.try_recv().is_ok() {}
    reached
}

impl Reached {
    /// The next change.
    async fn change(&mut self) -> Change {
        let next = tokio::time::timeout(Duration::from_secs(20), self.changes.recv()).await;
        next.expect("a change within 20 s").expect("it goes on")
    }

    /// What is known of `web`, without asking.
    async fn known(&self) -> Option<Application> {
        let listed = self.port.list(NAMESPACE).await.expect("a list");
        listed.applications.into_iter().find(|found| found.id == web()).map(|found| (*found).clone())
    }

    async fn label(&self) -> Option<String> {
        self.known().await.and_then(|web| web.labels.get("team").cloned())
    }
}

#[tokio::test]
async fn applications_behind_argo_cds_api_keep_the_contract() {
    for root in ["", "/tools/argocd"] {
        let argocd = ArgoCd::start(root).await;
        argocd.put(manifest("web"));
        let server = server_address(&format!("http://{}", argocd.host()), false, root).expect("an address");
        let reached = reach(&ArgoCdSettings { server, ..settings(&argocd) }, &[Some(NAMESPACE.to_owned())]);
        contract::check(&reached.port, NAMESPACE, "web").await;
        assert_eq!(argocd.complaints(), Vec::<String>::new());
    }
}

/// Labels of `web`, one of which people changed.
fn labelled(team: &str) -> impl FnOnce(&mut Value) + use<> {
    let team = team.to_owned();
    move |object| object["metadata"]["labels"] = json!({ "team": team })
}
