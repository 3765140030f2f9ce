//! Options of how Applications are reached.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::BoolishValueParser;

use crate::adapters::argocd::{ArgoCdSettings, TokenSource, server_address};
use crate::adapters::instance::OfInstance;
use crate::adapters::kubernetes::{Clients, KubernetesSecrets};
use crate::controller::Reach;
use crate::model::{Concealed, SecretRef};

/// The key of the token in a Secret, where none is named.
const TOKEN_KEY: &str = "argocd.token";

/// How Applications are reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Argo CD's API")]
pub(super) struct ApplicationsArgs {
    /// How Applications are reached: by the Kubernetes API of this cluster, or by Argo CD's own API, wherever that is
    #[arg(long, value_enum, default_value = "kubernetes", env = "APPLICATIONS_API")]
    applications_api: ApplicationsApi,
    /// Argo CD's server: host, host:port or `https://host/path` [default: argocd-server in the namespace of Argo CD]
    #[arg(long, value_name = "ADDRESS", env = "ARGOCD_SERVER")]
    argocd_server_addr: Option<String>,
    /// The path that the server is served under, where it is not in its address
    #[arg(
        long,
        value_name = "PATH",
        alias = "argocd-grpc-web-root-path",
        env = "ARGOCD_ROOT_PATH",
        default_value = ""
    )]
    argocd_root_path: String,
    /// The token of an account of Argo CD; everybody on the machine can read arguments, so rather name a file
    #[arg(long, value_name = "TOKEN", env = "ARGOCD_TOKEN", hide_env_values = true, value_parser = concealed)]
    argocd_auth_token: Option<Concealed>,
    /// The file with the token; a change is in force at once
    #[arg(long, value_name = "FILE", env = "ARGOCD_TOKEN_FILE")]
    argocd_token_file: Option<PathBuf>,
    /// The Secret with the token, in its key `argocd.token` or the one named; a change is in force at once
    #[arg(long, value_name = "NAMESPACE/NAME[#KEY]", env = "ARGOCD_TOKEN_SECRET", value_parser = token_secret)]
    argocd_token_secret: Option<(SecretRef, String)>,
    /// Do not look at the server's certificate
    #[arg(long, value_name = "BOOL", env = "ARGOCD_INSECURE", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    argocd_insecure: bool,
    /// Speak without TLS
    #[arg(long, value_name = "BOOL", env = "ARGOCD_PLAINTEXT", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    argocd_plaintext: bool,
    /// Understood, and without effect: REST is spoken, which every proxy lets through
    #[arg(long, value_name = "BOOL", env = "ARGOCD_GRPC_WEB", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    argocd_grpc_web: bool,
    /// Where several Argo CDs share namespaces: the namespace of the one whose Applications count [default: all count]
    #[arg(long, value_name = "NAMESPACE", env = "FAIRLEAD_CONTROLLER_NAMESPACE")]
    controller_namespace: Option<String>,
    /// Certificates of authorities, in PEM, that are trusted beside the system's
    #[arg(long, value_name = "FILE", env = "ARGOCD_CA_FILE")]
    argocd_ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ApplicationsApi {
    Kubernetes,
    Argocd,
}

impl ApplicationsArgs {
    /// Whether Applications are objects of the cluster that Fairlead talks to.
    pub(super) fn are_in_this_cluster(&self) -> bool {
        self.applications_api == ApplicationsApi::Kubernetes
    }

    /// The way to the Applications of `namespaces` (`None`: all), which is taken at once. `argocd` is the namespace of Argo CD.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub(super) fn reach(
        &self,
        clients: &Clients,
        namespaces: &[Option<String>],
        argocd: &str,
    ) -> Result<Reach, String> {
        let mut reach = self.reach_all(clients, namespaces, argocd)?;
        if let Some(instance) = self.controller_namespace.as_deref().filter(|instance| !instance.trim().is_empty()) {
            reach.applications = Arc::new(OfInstance::new(reach.applications, instance.trim()));
        }
        Ok(reach)
    }

    fn reach_all(&self, clients: &Clients, namespaces: &[Option<String>], argocd: &str) -> Result<Reach, String> {
        match self.applications_api {
            ApplicationsApi::Kubernetes => Ok(Reach::kubernetes(clients, namespaces, argocd)),
            ApplicationsApi::Argocd => {
                let settings = self.settings(clients, argocd)?;
                let reach = Reach::argocd(&settings, namespaces).map_err(|error| error.to_string())?;
                tracing::info!(
                    server = %settings.server,
                    "Applications are reached through Argo CD's API at {}; annotations and ImageUpdaters are not taken up, \
                     write policies in their place, for example by `fairlead convert`",
                    settings.server,
                );
                Ok(reach)
            }
        }
    }

    fn settings(&self, clients: &Clients, argocd: &str) -> Result<ArgoCdSettings, String> {
        let usual = format!("argocd-server.{argocd}");
        let named = self.argocd_server_addr.as_deref().filter(|address| !address.trim().is_empty());
        let server = server_address(named.unwrap_or(&usual), self.argocd_plaintext, &self.argocd_root_path)?;
        let insecure = self.argocd_insecure;
        let settings = ArgoCdSettings { insecure, ..ArgoCdSettings::new(server, self.token(clients)?) };
        match &self.argocd_ca_file {
            Some(file) => settings.trusting(file).map_err(|error| error.to_string()),
            None => Ok(settings),
        }
    }

    /// The token by its nearest source: one that is written down, a file, a Secret.
    fn token(&self, clients: &Clients) -> Result<TokenSource, String> {
        let given = self.argocd_auth_token.clone().filter(|token| !token.expose().trim().is_empty());
        if let Some(token) = given {
            return Ok(TokenSource::Fixed(token));
        }
        if let Some(file) = &self.argocd_token_file {
            return Ok(TokenSource::File(file.clone()));
        }
        if let Some((secret, key)) = self.argocd_token_secret.clone() {
            let secrets = Arc::new(KubernetesSecrets::new(clients.calls.clone()));
            return Ok(TokenSource::Secret { secrets, secret, key });
        }
        Err("Argo CD's API needs the token of an account: name a file with it by `--argocd-token-file`, a Secret by \
             `--argocd-token-secret`, or give it in ARGOCD_TOKEN"
            .to_owned())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is clap's")]
fn concealed(text: &str) -> Result<Concealed, String> {
    Ok(Concealed::new(text))
}

fn token_secret(text: &str) -> Result<(SecretRef, String), String> {
    let (place, key) = text.split_once('#').unwrap_or((text, TOKEN_KEY));
    match place.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') && !key.is_empty() =>
        {
            Ok((SecretRef { namespace: namespace.to_owned(), name: name.to_owned() }, key.to_owned()))
        }
        _ => Err("write NAMESPACE/NAME, or NAMESPACE/NAME#KEY".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        applications: ApplicationsArgs,
    }

    fn parsed(words: &[&str]) -> Result<ApplicationsArgs, String> {
        let words = std::iter::once("fairlead").chain(words.iter().copied());
        Words::try_parse_from(words).map(|words| words.applications).map_err(|error| error.to_string())
    }

    fn clients() -> Clients {
        let config = kube::Config::new("http://127.0.0.1:9".parse().expect("an address"));
        let client = kube::Client::try_from(config).expect("a client");
        Clients { watches: client.clone(), calls: client }
    }

    #[tokio::test]
    async fn the_flags_of_the_older_updater_mean_what_they_meant() {
        let words = [
            "--applications-api",
            "argocd",
            "--argocd-server-addr",
            "argocd.example.com:8080",
            "--argocd-grpc-web",
            "--argocd-plaintext",
            "--argocd-insecure=false",
            "--argocd-auth-token",
            "canary",
        ];
        let arguments = parsed(&words).expect("flags that are known");
        assert_eq!(arguments.applications_api, ApplicationsApi::Argocd);
        assert!(!format!("{arguments:?}").contains("canary"), "a token is not shown");
        let settings = arguments.settings(&clients(), "argocd").expect("settings");
        assert_eq!((settings.server.as_str(), settings.insecure), ("http://argocd.example.com:8080/", false));
        assert!(matches!(settings.token, TokenSource::Fixed(token) if token.expose() == "canary"));
    }

    #[tokio::test]
    async fn what_is_not_said_is_what_a_usual_installation_has() {
        let arguments = parsed(&["--argocd-token-file", "token"]).expect("flags that are known");
        assert_eq!(arguments.applications_api, ApplicationsApi::Kubernetes);
        let settings = arguments.settings(&clients(), "gitops").expect("settings");
        assert_eq!(settings.server.as_str(), "https://argocd-server.gitops/");
        assert!(matches!(settings.token, TokenSource::File(path) if path == Path::new("token")));
        let rooted = parsed(&[
            "--argocd-grpc-web-root-path",
            "/tools/argocd",
            "--argocd-token-secret",
            "fairlead/updater#token",
        ]);
        let settings = rooted.expect("flags that are known").settings(&clients(), "argocd").expect("settings");
        assert_eq!(settings.server.as_str(), "https://argocd-server.argocd/tools/argocd");
        assert!(matches!(settings.token, TokenSource::Secret { secret, key, .. }
            if (secret.namespace.as_str(), secret.name.as_str(), key.as_str()) == ("fairlead", "updater", "token")));
    }

    #[tokio::test]
    async fn what_is_missing_is_said() {
        let missing = parsed(&[]).expect("no flags").settings(&clients(), "argocd").expect_err("no token");
        insta::assert_snapshot!(missing, @"Argo CD's API needs the token of an account: name a file with it by `--argocd-token-file`, a Secret by `--argocd-token-secret`, or give it in ARGOCD_TOKEN");
        let arguments = parsed(&["--argocd-auth-token=x", "--argocd-ca-file=/none.pem"]).expect("flags that are known");
        insta::assert_snapshot!(arguments.settings(&clients(), "argocd").expect_err("no such file"), @"cannot make a client for Argo CD's API: the certificates of authorities in `/none.pem` cannot be read: No such file or directory (os error 2)");
        for wrong in ["updater", "/updater", "a/b/c", "a/", "a/b#"] {
            assert!(parsed(&["--argocd-token-secret", wrong]).is_err(), "{wrong}");
        }
    }
}
