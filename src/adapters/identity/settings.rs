//! What identities are made from: the environment of the process, and where the services of the clouds are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use url::Url;

/// The variables of the environment that say who this process is.
const VARIABLES: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Where to send what was set for other clouds than the public one.
const ADDRESSES: [&str; 2] = ["AZURE_AUTHORITY_HOST", "GCE_METADATA_HOST"];

/// What identities are made from. Its `Debug` shows the names of variables, not their values.
#[derive(Clone, Default)]
pub struct IdentitySettings {
    /// The variables of the environment, by name. Empty ones count as not set.
    pub environment: BTreeMap<String, String>,
    /// Where the services of the clouds are.
    pub endpoints: IdentityEndpoints,
    /// How long to wait for them.
    pub timeouts: IdentityTimeouts,
}

/// Where the services of the clouds are. `None`: where the cloud says, by TLS alone. An address that is set here is trusted as
/// it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityEndpoints {
    /// STS of AWS.
    pub aws_sts: Option<Url>,
    /// The API of ECR.
    pub aws_ecr: Option<Url>,
    /// The API of the public ECR.
    pub aws_ecr_public: Option<Url>,
    /// What `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is relative to.
    pub aws_container: Url,
    /// The metadata service of an EC2 instance.
    pub aws_instance: Url,
    /// A token service of Google; files of credentials may name what is at its host beside what is at `googleapis.com`.
    pub google_token: Option<Url>,
    /// The metadata server of Google; `GCE_METADATA_HOST` names another.
    pub google_metadata: Url,
    /// Where Azure gives tokens for federated ones; before `AZURE_AUTHORITY_HOST`.
    pub azure_authority: Option<Url>,
    /// The metadata service of an Azure machine.
    pub azure_instance: Url,
    /// Where Azure's registries exchange tokens.
    pub azure_registry: Option<Url>,
}

/// How long to wait for the services of the clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityTimeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For a connection to a metadata service, which is near or not there.
    pub connect_inside: Duration,
    /// For one whole answer.
    pub whole: Duration,
    /// Before the one retry of what a moment may heal.
    pub back_off: Duration,
}

impl IdentitySettings {
    /// What the environment of this process says, and the services where the clouds have them.
    pub fn from_environment() -> Self {
        let names = VARIABLES.iter().chain(&ADDRESSES);
        let value = |name: &&str| std::env::var(name).ok().map(|value| ((*name).to_owned(), value));
        Self { environment: names.filter_map(value).collect(), ..Self::default() }
    }

    /// The value of a variable, where it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for IdentitySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment, endpoints, timeouts } = self;
        let names: Vec<&String> = environment.keys().collect();
        formatter
            .debug_struct("IdentitySettings")
            .field("environment", &names)
            .field("endpoints", endpoints)
            .field("timeouts", timeouts)
            .finish()
    }
}

impl Default for IdentityEndpoints {
    fn default() -> Self {
        let fixed = |address: &str| Url::parse(address).expect("a fixed address can be read");
        Self {
            aws_sts: None,
            aws_ecr: None,
            aws_ecr_public: None,
            aws_container: fixed("http://169.254.170.2"),
            aws_instance: fixed("http://169.254.169.254"),
            google_token: None,
            google_metadata: fixed("http://metadata.google.internal"),
            azure_authority: None,
            azure_instance: fixed("http://169.254.169.254"),
            azure_registry: None,
        }
    }
}

impl Default for IdentityTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            connect_inside: Duration::from_secs(2),
            whole: Duration::from_secs(15),
            back_off: Duration::from_millis(500),
        }
    }
}
