//! `--registries-conf`, for all commands that speak to registries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::oci::RegistryClient;
use crate::adapters::registries_file::RegistriesFile;
use crate::lower::{InvalidSource, Scope, credential_source};
use crate::model::{CredentialSource, Problem, RegistriesConfiguration};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Which registries there are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RegistriesArgs {
    /// The registries configuration [default: `/app/config/registries.conf`, if it exists]
    #[arg(long, value_name = "PATH", env = "FAIRLEAD_REGISTRIES_CONF")]
    pub registries_conf: Option<PathBuf>,
}

/// What policies may use although it is the administrator's.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AllowedSources {
    /// A source of credentials that every policy may use: `env:NAME`, `ext:/PATH`, `secret:NS/NAME#FIELD`; repeat for several
    #[arg(
        long = "allow-credential-sources",
        value_name = "SOURCE",
        env = "FAIRLEAD_ALLOW_CREDENTIAL_SOURCES",
        value_delimiter = ',',
        value_parser = allowed_source
    )]
    pub sources: Vec<CredentialSource>,
}

fn allowed_source(text: &str) -> Result<CredentialSource, InvalidSource> {
    credential_source(text, Scope::Administrator)
}

/// A configuration, and the file that it was read from.
pub struct Configured {
    file: RegistriesFile,
    /// What it says.
    pub configuration: RegistriesConfiguration,
}

impl RegistriesArgs {
    /// Reads the configuration.
    ///
    /// # Errors
    /// All that is wrong with it, a line each.
    pub fn read(&self) -> Result<Configured, String> {
        let file = RegistriesFile::new(self.registries_conf.clone());
        let configuration = file.read().map_err(|problems| lines(&problems))?;
        Ok(Configured { file, configuration })
    }
}

impl Configured {
    /// Keeps `client` on what the file says. A version that is broken is told of and not used.
    pub async fn follow(self, client: Arc<RegistryClient>, tell: impl Fn(Result<(), &str>)) {
        let tell = |news: Result<&RegistriesConfiguration, &[Problem]>| match news {
            Ok(configuration) => {
                client.configure(configuration.clone());
                tell(Ok(()));
            }
            Err(problems) => tell(Err(&lines(problems))),
        };
        self.file.follow(self.configuration, EVERY, tell).await;
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
