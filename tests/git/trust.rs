//! What Argo CD's `ConfigMap`s say of servers, and forms of known hosts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use fairlead::adapters::clock::SystemClock;
use fairlead::adapters::git::{ConfigMaps, SecretLogins};
use fairlead::adapters::identity::{CloudIdentities, IdentitySettings};
use fairlead::model::{Concealed, GitLogin, HostKeys, LoginMethod, Reason, SecretRef};
use fairlead::ports::{Git as _, GitLogins as _, SecretData, SecretError, Secrets};
use russh::keys::ssh_key::LineEnding;

use crate::server::Server;
use crate::ssh::{SshServer, new_key};
use crate::support::{Remotes, at, engine, plan, settings};
use crate::tls;

const FILES: &[(&str, &str)] = &[("values.yaml", "tag: 1.0.0\n")];

/// Argo CD's namespace: one repository Secret, and two `ConfigMap`s.
struct ArgoCd {
    secret: BTreeMap<String, Vec<u8>>,
    maps: BTreeMap<&'static str, BTreeMap<String, String>>,
}

#[async_trait]
impl Secrets for ArgoCd {
    async fn read(&self, _: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        Ok(None)
    }

    async fn labelled(&self, namespace: &str, _: &str) -> Result<Vec<(SecretRef, String, SecretData)>, SecretError> {
        let secret = SecretRef { namespace: namespace.to_owned(), name: "repo".to_owned() };
        Ok(vec![(secret, "repository".to_owned(), SecretData(self.secret.clone()))])
    }
}

#[async_trait]
impl ConfigMaps for ArgoCd {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, String> {
        assert_eq!(namespace, "argocd");
        Ok(self.maps.get(name).cloned())
    }
}

/// The login for `repository`, whose Secret holds `more`, beside a `ConfigMap` `name` with one entry.
async fn login(repository: &str, more: &[(&str, &str)], name: &'static str, entry: (&str, &str)) -> GitLogin {
    let url = ("url", repository);
    let secret = more.iter().chain([&url]).map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    let maps = [(name, [(entry.0.to_owned(), entry.1.to_owned())].into())].into();
    let world = Arc::new(ArgoCd { secret, maps });
    let clock = Arc::new(SystemClock);
    let clouds = CloudIdentities::new(IdentitySettings::default(), clock.clone()).expect("TLS can be set up");
    let logins = SecretLogins::new(Arc::<ArgoCd>::clone(&world), world, Arc::new(clouds), clock, "argocd");
    logins.login(&at(repository)).await.expect("a login")
}

/// What comes of a write to `address` with `login`.
async fn written(address: &str, login: GitLogin) -> Result<bool, Reason> {
    let state = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(settings(state.path()), login).await;
    let written = engine.write(plan(address, "web", "values.yaml", "1.0.0", "1.0.1")).await;
    written.map(|written| written.pushed).map_err(|error| error.reason)
}

#[tokio::test]
async fn a_servers_certificate_is_that_of_argo_cds_config_map() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), None).await;
    let address = format!("https://{}/web.git", server.with_tls(tls::config()).await);
    let certificate = tls::certificate();
    let map = "argocd-tls-certs-cm";
    let of_another = login(&address, &[], map, ("git.example.com", &certificate)).await;
    assert_eq!(written(&address, of_another).await, Err(Reason::GitNotTrusted));
    assert_eq!(written(&address, login(&address, &[], map, ("127.0.0.1", &certificate)).await).await, Ok(true));
}

#[tokio::test]
async fn a_hosts_key_is_that_of_argo_cds_config_map() {
    let (remotes, key) = (Remotes::new(FILES), new_key());
    let server = SshServer::start(remotes.folder.path(), key.public_key()).await;
    let address = format!("ssh://git@127.0.0.1:{}/web.git", server.port);
    let private_key = key.to_openssh(LineEnding::LF).expect("a key");
    let secret = [("sshPrivateKey", private_key.as_str())];
    let map = "argocd-ssh-known-hosts-cm";
    let strange = server.known_host.replace("127.0.0.1", "git.example.com");
    let unknown = login(&address, &secret, map, ("ssh_known_hosts", &strange)).await;
    assert_eq!(written(&address, unknown).await, Err(Reason::GitNotTrusted));
    let both = format!("# hosts\n{strange}{}", server.known_host);
    let known = login(&address, &secret, map, ("ssh_known_hosts", &both)).await;
    assert_eq!(written(&address, known).await, Ok(true));
}

/// Runs `ssh-keygen` in `folder`.
fn keygen(folder: &Path, arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("install `ssh-keygen`, which these tests need: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn names_of_known_hosts_may_be_hashed() {
    let (remotes, key, folder) = (Remotes::new(FILES), new_key(), tempfile::tempdir().expect("a folder"));
    let server = SshServer::start(remotes.folder.path(), key.public_key()).await;
    let hashed = |known: &str| {
        std::fs::write(folder.path().join("hosts"), known).expect("ours");
        keygen(folder.path(), &["-H", "-f", "hosts"]);
        let hashed = std::fs::read_to_string(folder.path().join("hosts")).expect("ours");
        assert!(hashed.starts_with("|1|") && !hashed.contains("127.0.0"), "{hashed}");
        hashed
    };
    let address = format!("ssh://git@127.0.0.1:{}/web.git", server.port);
    let private_key = Concealed::new(key.to_openssh(LineEnding::LF).expect("a key").as_str());
    let login = |known: String| GitLogin {
        method: LoginMethod::Ssh { private_key: private_key.clone() },
        host_keys: HostKeys::Known(known),
        ..GitLogin::anonymous()
    };
    let other = hashed(&server.known_host.replace("127.0.0.1", "127.0.0.2"));
    assert_eq!(written(&address, login(other)).await, Err(Reason::GitNotTrusted), "another host");
    assert_eq!(written(&address, login(hashed(&server.known_host))).await, Ok(true));
}

#[tokio::test]
async fn a_host_may_be_known_by_the_authority_that_signed_its_key() {
    let (remotes, key, folder) = (Remotes::new(FILES), new_key(), tempfile::tempdir().expect("a folder"));
    for name in ["authority", "stranger", "host"] {
        keygen(folder.path(), &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name]);
    }
    keygen(
        folder.path(),
        &["-q", "-s", "authority", "-I", "host", "-h", "-n", "127.0.0.1", "-V", "always:forever", "host.pub"],
    );
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("ours");
    let (host, certificate) = (text("host"), text("host-cert.pub"));
    let server = SshServer::start_certified(remotes.folder.path(), key.public_key(), &host, &certificate).await;
    let port = server.port;
    let address = format!("ssh://git@127.0.0.1:{port}/web.git");
    let login = |name: &str| {
        let private_key = Concealed::new(key.to_openssh(LineEnding::LF).expect("a key").as_str());
        let known = format!("@cert-authority [127.0.0.1]:{port} {}", text(name));
        GitLogin {
            method: LoginMethod::Ssh { private_key },
            host_keys: HostKeys::Known(known),
            ..GitLogin::anonymous()
        }
    };
    assert_eq!(written(&address, login("stranger.pub")).await, Err(Reason::GitNotTrusted));
    assert_eq!(written(&address, login("authority.pub")).await, Ok(true));
}
