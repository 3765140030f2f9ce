//! The Lease (`coordination.k8s.io/v1`) on which replicas agree.
//!
//! Every change of it is an update of the very version that was read: of two who try, the API server lets one through.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use rand::Rng;

use super::{code, words};
use crate::adapters::clock::SystemClock;
use crate::api::FIELD_MANAGER;
use crate::ports::Clock;

/// One Lease.
pub struct LeaseClient {
    api: Api<Lease>,
    name: String,
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseRecord(Lease);

/// What a holder writes into a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Who holds it from now on; empty: nobody.
    pub holder: &'a str,
    /// How long others must wait after they saw the last renewal.
    pub lasts: Duration,
    /// How often it has changed hands.
    pub transitions: i32,
    /// Whether the holder is a new one.
    pub new: bool,
}

/// Why a Lease was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It is not the version that was read any more, is gone, or is there already: read it anew.
    #[error("somebody else changed it")]
    Changed,
    /// Anything else; whether it was written is not known.
    #[error("{0}")]
    Unavailable(String),
}

impl LeaseClient {
    /// The Lease `name` of a namespace; without one, of the namespace that this process runs in.
    pub fn new(client: Client, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
        Self { api: Api::namespaced(client, &namespace), name: name.to_owned() }
    }

    /// The Lease as it is; `None` when there is none.
    pub async fn read(&self) -> Result<Option<LeaseRecord>, LeaseError> {
        self.api.get_opt(&self.name).await.map(|found| found.map(LeaseRecord)).map_err(|error| refusal(&error))
    }

    /// Creates the Lease.
    pub async fn create(&self, claim: &Claim<'_>) -> Result<LeaseRecord, LeaseError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = claimed(Lease { metadata, spec: None }, claim);
        self.api.create(&parameters(), &lease).await.map(LeaseRecord).map_err(|error| refusal(&error))
    }

    /// Updates the Lease, if it is still the version that was read.
    pub async fn update(&self, record: &LeaseRecord, claim: &Claim<'_>) -> Result<LeaseRecord, LeaseError> {
        let lease = claimed(record.0.clone(), claim);
        self.api.replace(&self.name, &parameters(), &lease).await.map(LeaseRecord).map_err(|error| refusal(&error))
    }
}

impl LeaseRecord {
    /// Its version; another one means that somebody wrote it.
    pub fn version(&self) -> &str {
        self.0.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Who holds it; empty: nobody.
    pub fn holder(&self) -> &str {
        self.spec().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
    }

    /// How long it lasts after a renewal, if it says so.
    pub fn lasts(&self) -> Option<Duration> {
        let seconds = self.spec().and_then(|spec| spec.lease_duration_seconds)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    /// How often it has changed hands.
    pub fn transitions(&self) -> i32 {
        self.spec().and_then(|spec| spec.lease_transitions).unwrap_or_default()
    }

    fn spec(&self) -> Option<&LeaseSpec> {
        self.0.spec.as_ref()
    }
}

impl From<Lease> for LeaseRecord {
    fn from(lease: Lease) -> Self {
        Self(lease)
    }
}

/// A name for this process that no other one has: the machine's, or Pod's, and something random.
pub fn identity() -> String {
    let machine = rustix::system::uname();
    format!("{}_{:016x}", machine.nodename().to_string_lossy(), rand::rng().random::<u64>())
}

/// The Lease with a claim in it. Times in it are for people: nobody decides by another machine's clock.
fn claimed(mut lease: Lease, claim: &Claim<'_>) -> Lease {
    let now = MicroTime(SystemClock.now());
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(claim.holder.to_owned());
    spec.lease_duration_seconds = Some(i32::try_from(claim.lasts.as_secs().max(1)).unwrap_or(i32::MAX));
    spec.lease_transitions = Some(claim.transitions);
    spec.renew_time = Some(now.clone());
    if claim.new {
        spec.acquire_time = Some(now);
    }
    lease
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn refusal(error: &kube::Error) -> LeaseError {
    match code(error) {
        404 | 409 => LeaseError::Changed,
        _ => LeaseError::Unavailable(words(error)),
    }
}
