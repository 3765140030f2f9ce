//! The Kubernetes API server.

mod applications;
mod events;
mod generated;
mod index;
mod lease;
mod patch;
mod policies;
mod secrets;
mod sets;
mod status;
mod touch;
mod upstream;

use std::time::Duration;

use kube::{Client, Config};

pub use applications::KubernetesApplications;
pub use events::{publish_events, publish_on_application};
pub use generated::{NotChanged, change_generated};
pub use index::{ApplicationIndex, Change};
pub(in crate::adapters) use index::{Entry, IndexFeed};
pub use lease::{Claim, LeaseClient, LeaseError, LeaseRecord, identity};
pub use patch::json_patch;
pub use policies::{PolicyIndex, PolicyObject, PolicySettings, id_of, list_policies, list_policy_objects};
pub use secrets::{KubernetesConfigMaps, KubernetesSecrets};
pub(in crate::adapters) use sets::RecentSets;
pub use status::publish_status;
pub use touch::touch_policy;
pub use upstream::{Listed, find_image_updaters, list_applications, list_image_updaters};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Two clients for one API server: watches may be silent for long, calls may not.
#[derive(Clone)]
pub struct Clients {
    /// For watches.
    pub watches: Client,
    /// For everything else. No retries of its own: the pipeline knows better when to ask again.
    pub calls: Client,
}

/// Why no API server can be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor an in-cluster configuration is usable.
    #[error("no usable Kubernetes configuration")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration makes no client.
    #[error("cannot make a Kubernetes client")]
    Client(#[source] Box<kube::Error>),
}

impl Clients {
    /// Clients by `KUBECONFIG` or the in-cluster configuration.
    ///
    /// # Errors
    /// [`ConnectError`] when there is no usable configuration. Nothing is sent yet.
    pub async fn infer() -> Result<Self, ConnectError> {
        let mut config = Config::infer().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client = |config: Config| Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)));
        let watches = client(config.clone())?;
        config.read_timeout = Some(CALL_TIMEOUT);
        config.write_timeout = Some(CALL_TIMEOUT);
        config.default_retry = false;
        Ok(Self { watches, calls: client(config)? })
    }
}

/// What the API server said, or why it said nothing, in one sentence.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn code(error: &kube::Error) -> u16 {
    if let kube::Error::Api(status) = error { status.code } else { 0 }
}
