//! A Git server for SSH, with a host key of its own, which starts what Git asks for.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What a program complains of, in the protocol.
const STDERR: u32 = 1;

/// The server; it ends with its runtime.
pub struct SshServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its line for a file of known hosts.
    pub known_host: String,
}

struct Client {
    folder: PathBuf,
    key: PublicKey,
    channel: Option<Channel<Msg>>,
    variables: bool,
    protocol: String,
}

impl SshServer {
    /// Serves the repositories in `folder` to whoever has the key `key`.
    pub async fn start(folder: &Path, key: &PublicKey) -> Self {
        Self::start_with(folder, key, config(new_key()), true).await
    }

    /// The same, but it takes no variables, as OpenSSH does without `AcceptEnv`: Git speaks the protocol's first version then.
    pub async fn start_without_variables(folder: &Path, key: &PublicKey) -> Self {
        Self::start_with(folder, key, config(new_key()), false).await
    }

    /// The same, with this host key, in OpenSSH's form, and the certificate for it.
    pub async fn start_certified(folder: &Path, key: &PublicKey, host_key: &str, certificate: &str) -> Self {
        let certificate = Certificate::from_openssh(certificate.trim()).expect("a certificate");
        let host_key = PrivateKey::from_openssh(host_key).expect("a key");
        let config = Config { certificates: vec![certificate], ..config(host_key) };
        Self::start_with(folder, key, config, true).await
    }

    async fn start_with(folder: &Path, key: &PublicKey, config: Config, variables: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let line = config.keys[0].public_key().to_openssh().expect("a key");
        let config = Arc::new(config);
        let (folder, key) = (folder.to_owned(), key.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (folder, key) = (folder.clone(), key.clone());
                let client = Client { folder, key, channel: None, variables, protocol: String::new() };
                let config = config.clone();
                tokio::spawn(async move {
                    // A client that does not trust us breaks off.
                    if let Ok(session) = run_stream(config, stream, client).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { port, known_host: format!("[127.0.0.1]:{port} {line}\n") }
    }
}

/// Without a pause before it says that nobody comes in without a key, which every client asks first.
fn config(host_key: PrivateKey) -> Config {
    let (auth_rejection_time, auth_rejection_time_initial) = (Duration::ZERO, Some(Duration::ZERO));
    Config { keys: vec![host_key], auth_rejection_time, auth_rejection_time_initial, ..Config::default() }
}

/// A new key.
pub fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).expect("a key")
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(if key.public_key.key_data() == self.key.key_data() { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name == "GIT_PROTOCOL" && self.variables {
            value.clone_into(&mut self.protocol);
        }
        session.channel_success(channel)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let (name, path) = command.split_once(" '").expect("a command and a quoted path");
        assert!(matches!(name, "git-upload-pack" | "git-receive-pack"), "{name}");
        let path = self.folder.join(path.trim_matches(['\'', '/']));
        let channel = self.channel.take().expect("the session is open");
        let mut child = Command::new("git")
            .args([name.trim_start_matches("git-"), "--"])
            .arg(path)
            .env("GIT_PROTOCOL", &self.protocol)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Git starts");
        tokio::spawn(async move {
            let (mut reader, writer) = channel.split();
            let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
            let mut stderr = child.stderr.take().expect("a pipe");
            let receive = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut reader.make_reader(), &mut stdin).await;
            });
            let (mut output, mut errors) = (writer.make_writer(), writer.make_writer_ext(Some(STDERR)));
            let _ = tokio::join!(tokio::io::copy(&mut stdout, &mut output), tokio::io::copy(&mut stderr, &mut errors));
            let status = child.wait().await.expect("it ends");
            let _ = writer.exit_status(u32::try_from(status.code().unwrap_or(1)).unwrap_or(1)).await;
            let _ = writer.eof().await;
            let _ = writer.close().await;
            receive.abort();
        });
        Ok(())
    }
}
