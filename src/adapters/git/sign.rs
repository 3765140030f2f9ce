//! Signatures of commits.
//!
//! Made by `ssh-keygen` and `gpg`, which know every kind of key; the first comes with the `ssh` that Git needs anyway.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use super::homes::Homes;
use super::private::PrivateFile;
use super::process::{Ended, Group, Run};
use crate::model::{CommitAuthor, CommitSigning, Reason, SigningMethod};
use crate::ports::{GitError, Secrets};

/// How long one program may take.
const TIME: Duration = Duration::from_secs(20);

/// No signature is longer.
const MAXIMUM_OUTPUT: usize = 64 * 1024;

const PAUSE: Duration = Duration::from_millis(20);

/// Signs with keys from Secrets.
pub(super) struct Signer {
    /// Where keys are.
    pub secrets: Arc<dyn Secrets>,
    /// Where programs are found.
    pub path: OsString,
    /// Where `gpg` may have a key.
    pub homes: Homes,
}

impl Signer {
    /// The signature of `text`, in armour.
    ///
    /// # Errors
    /// `SigningFailed`, with the Secret and the program's words.
    pub async fn sign(&self, signing: &CommitSigning, author: &CommitAuthor, text: &[u8]) -> Result<String, GitError> {
        let CommitSigning { method, secret, key } = signing;
        let place = format!("`{key}` of the Secret `{}/{}`", secret.namespace, secret.name);
        let failed =
            |why: String| GitError::new(Reason::SigningFailed, format!("cannot sign the commit with {place}: {why}"));
        let data = self.secrets.read(secret).await.map_err(|error| failed(error.to_string()))?;
        let data = data.ok_or_else(|| failed("the Secret does not exist".to_owned()))?;
        let bytes = data.0.get(key).ok_or_else(|| failed("the Secret has no such key".to_owned()))?;
        let private = str::from_utf8(bytes).map_err(|_| failed("it is no text; use a key in armour".to_owned()))?;
        let signature = match method {
            SigningMethod::Ssh => self.ssh(private, text).await,
            SigningMethod::OpenPgp => self.open_pgp(private, author, text).await,
        };
        signature.map_err(failed)
    }

    async fn ssh(&self, private: &str, text: &[u8]) -> Result<String, String> {
        let key = PrivateFile::new(&format!("{}\n", private.trim().replace("\r\n", "\n")));
        let key = key.map_err(|error| format!("the key cannot be handed on: {error}"))?;
        let arguments = ["-Y", "sign", "-n", "git", "-f"].map(OsString::from).into_iter().chain([key.path().into()]);
        let ended = self.run("ssh-keygen", arguments.collect(), "/dev/null".as_ref(), text.to_vec()).await?;
        signature(ended, "ssh-keygen")
    }

    /// Signs with a home and an agent of its own, which end with this. The agent is a child that does not go its own way, so that none is left.
    async fn open_pgp(&self, private: &str, author: &CommitAuthor, text: &[u8]) -> Result<String, String> {
        let home = self.homes.make();
        let home = home.map_err(|error| format!("no folder for `gpg` can be made: {error}"))?;
        let _agent = self.agent(home.path()).await?;
        let words = |words: &[&str]| {
            let common =
                ["--batch", "--no-autostart", "--no-options", "--quiet", "--no-tty", "--pinentry-mode", "loopback"];
            common.iter().chain(words).map(OsString::from).collect::<Vec<_>>()
        };
        let imported = self.run("gpg", words(&["--import"]), home.path(), private.as_bytes().to_vec()).await?;
        if !imported.success {
            return Err(format!("`gpg` does not take the key: {}", super::failure::words(&imported.errors)));
        }
        let listed = self.run("gpg", words(&["--with-colons", "--list-secret-keys"]), home.path(), Vec::new()).await?;
        let key = chosen(&keys(&String::from_utf8_lossy(&listed.output)), &author.email)?;
        let trust = ["--trust-model", "always", "--sender", &author.email, "--local-user", &key];
        let sign = words(&[&trust[..], &["--detach-sign", "--armor"]].concat());
        signature(self.run("gpg", sign, home.path(), text.to_vec()).await?, "gpg")
    }

    /// An agent for `home`, ready to be spoken with.
    async fn agent(&self, home: &Path) -> Result<Group, String> {
        let asked = self.run("gpgconf", vec!["--list-dirs".into(), "agent-socket".into()], home, Vec::new()).await?;
        let socket = PathBuf::from(String::from_utf8_lossy(&asked.output).trim());
        let mut command = Command::new("gpg-agent");
        command.args(["--daemon", "--no-detach", "--quiet", "--allow-loopback-pinentry"]).env_clear();
        command.envs(self.environment(home)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = command.process_group(0).kill_on_drop(true).spawn();
        let mut agent = Group::of(agent.map_err(|error| format!("`gpg-agent` cannot be started: {error}"))?);
        for _ in 0..TIME.as_millis() / PAUSE.as_millis() {
            if socket.exists() {
                return Ok(agent);
            }
            if let Ok(Some(status)) = agent.child.try_wait() {
                return Err(format!("`gpg-agent` ends with {status}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err("`gpg-agent` does not become ready".to_owned())
    }

    async fn run(&self, program: &str, arguments: Vec<OsString>, home: &Path, input: Vec<u8>) -> Result<Ended, String> {
        let environment = self.environment(home);
        let folder = PathBuf::from("/");
        let run = Run {
            program: program.into(),
            arguments,
            environment,
            folder,
            input,
            time: TIME,
            maximum_output: MAXIMUM_OUTPUT,
        };
        run.ended().await.map_err(|error| format!("`{program}`: {error}"))
    }

    fn environment(&self, home: &Path) -> Vec<(&'static str, OsString)> {
        vec![("PATH", self.path.clone()), ("LC_ALL", "C".into()), ("HOME", home.into()), ("GNUPGHOME", home.into())]
    }
}

fn signature(ended: Ended, program: &str) -> Result<String, String> {
    let Ended { success, output, errors } = ended;
    let text = String::from_utf8_lossy(&output).into_owned();
    if success && text.starts_with("-----BEGIN ") {
        return Ok(text);
    }
    let hint = if errors.contains("passphrase") { "; a key with a passphrase cannot be used" } else { "" };
    Err(format!("`{program}` makes no signature: {}{hint}", super::failure::words(&errors)))
}

/// A private key of `OpenPGP`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Key {
    fingerprint: String,
    /// Whether it is neither expired nor revoked.
    good: bool,
    /// `Name <mail>`, or a mail alone.
    users: Vec<String>,
}

/// The keys of a list, from lines of fields between colons: `sec` begins a key, the next `fpr` has its fingerprint, `uid` a user.
fn keys(list: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for line in list.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or_default();
        match (field(0), keys.last_mut()) {
            ("sec", _) => keys.push(Key { good: !matches!(field(1), "e" | "r" | "i" | "d"), ..Key::default() }),
            ("fpr", Some(key)) if key.fingerprint.is_empty() => field(9).clone_into(&mut key.fingerprint),
            ("uid", Some(key)) => key.users.push(field(9).replace("\\x3a", ":")),
            _ => {}
        }
    }
    keys
}

/// The fingerprint of the key that signs: the only one, or the only good one of the author.
fn chosen(keys: &[Key], mail: &str) -> Result<String, String> {
    if let [key] = keys {
        return Ok(key.fingerprint.clone());
    }
    let of_author = |user: &String| {
        let found = user.rsplit_once('<').map_or(user.as_str(), |(_, rest)| rest.trim_end_matches('>'));
        found.eq_ignore_ascii_case(mail)
    };
    let theirs: Vec<&Key> = keys.iter().filter(|key| key.good && key.users.iter().any(of_author)).collect();
    match theirs.as_slice() {
        [key] => Ok(key.fingerprint.clone()),
        _ => Err(format!(
            "it holds {} keys, of which {} are good and of the author `{mail}`; keep only the one that is to sign",
            keys.len(),
            theirs.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "sec:u:255:22:AAAA:1:::u:::scESC:::+::ed25519:::0:\nfpr:::::::::A1:\ngrp:::::::::X:\nuid:u::::1::H::Ann <ann@example.com>::::::::::0:\n\
                        ssb:u:255:22:BBBB:1::::::s:::+::ed25519::\nfpr:::::::::A2:\n\
                        sec:e:255:22:CCCC:1:::u:::scESC:::+::ed25519:::0:\nfpr:::::::::B1:\nuid:e::::1::H::Bot <bot@example.com>::::::::::0:\n\
                        sec:u:255:22:DDDD:1:::u:::scESC:::+::ed25519:::0:\nfpr:::::::::C1:\nuid:u::::1::H::Bot <BOT@example.com>::::::::::0:\n";

    #[test]
    fn the_key_of_the_author_signs_where_there_are_several() {
        let keys = keys(LIST);
        assert_eq!(keys.len(), 3);
        assert_eq!(chosen(&keys, "ann@example.com").as_deref(), Ok("A1"));
        assert_eq!(chosen(&keys, "bot@example.com").as_deref(), Ok("C1"), "the other one is expired");
        assert_eq!(chosen(&keys[..1], "bot@example.com").as_deref(), Ok("A1"), "one alone is meant");
        let error = chosen(&keys, "eve@example.com");
        insta::assert_snapshot!(error.unwrap_err(), @"it holds 3 keys, of which 0 are good and of the author `eve@example.com`; keep only the one that is to sign");
    }
}
