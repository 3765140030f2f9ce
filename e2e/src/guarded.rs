//! More registries over what the open one holds, each guarded in its own way.

use std::time::Duration;

use crate::certificates::Certificates;
use crate::eventually::Deadline;
use crate::process::Process;
use crate::registry::Login;
use crate::servers::{free_address, http_client, start_registry_over, write};
use crate::token_service::{ISSUER, SERVICE, TokenService};
use crate::tools::Tools;

/// A registry with the repositories of [`Scene::registry`](crate::Scene::registry), killed when dropped.
#[derive(Debug)]
pub struct Guarded {
    /// `127.0.0.1:…`
    pub address: String,
    _process: Process,
}

impl Guarded {
    /// One that believes a token service alone.
    pub async fn by_tokens(name: &str, login: Login) -> (Self, TokenService) {
        let tokens = TokenService::start(login);
        let bundle = write(&format!("{name}-tokens.crt"), &tokens.certificate);
        let settings = format!(
            "auth: {{token: {{realm: '{}', service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {bundle}}}}}\n",
            tokens.realm
        );
        (Self::start(name, &settings, "", None).await, tokens)
    }

    /// One that speaks TLS alone, with a certificate of a private authority. Gives the file with that authority's own.
    pub async fn by_tls(name: &str) -> (Self, String) {
        let certificates = Certificates::new();
        let authority = write(&format!("{name}-authority.crt"), &certificates.authority);
        let certificate = write(&format!("{name}.crt"), &certificates.server);
        let key = write(&format!("{name}.key"), &certificates.server_key);
        let tls = format!(", tls: {{certificate: {certificate}, key: {key}}}");
        (Self::start(name, "", &tls, Some(&certificates.authority)).await, authority)
    }

    async fn start(name: &str, settings: &str, http: &str, authority: Option<&str>) -> Self {
        let tools = tokio::task::spawn_blocking(|| Tools::find(&|_| {})).await.expect("it ends");
        let tools = tools.unwrap_or_else(|text| panic!("{text}"));
        let address = free_address();
        let mut process = start_registry_over(&tools, name, "registry", &address, settings, http);
        let scheme = if authority.is_some() { "https" } else { "http" };
        let (client, deadline) = (http_client(authority), Deadline::seconds(30));
        while client.get(format!("{scheme}://{address}/")).send().await.is_err() {
            let gone = process.ended().is_some();
            assert!(!gone && !deadline.passed(), "the registry `{name}` does not start\n{}", process.log_tail(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { address, _process: process }
    }
}
