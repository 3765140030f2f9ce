//! What Git is told of a repository and its login, out of sight of other processes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::{Address, Transport};
use super::engine::GitSettings;
use super::private::PrivateFile;
use super::proxy;
use crate::model::{GitLogin, GitProxy, GitTls, HostKeys, LoginMethod, Reason};
use crate::ports::GitError;

/// The name under which Git knows the repository.
pub(super) const REMOTE: &str = "origin";

/// The configuration of Git for one repository and login, in files that only this process and its children read.
///
/// Neither the address nor a secret is in arguments, environment or the mirror: the environment names the configuration, and that the login.
pub(super) struct Session {
    configuration: PrivateFile,
    /// Keys and certificates that the configuration names.
    _named: Vec<PrivateFile>,
    except: String,
    /// How the repository is reached.
    pub transport: Transport,
    /// Texts that must not be shown.
    secrets: Vec<String>,
}

impl Session {
    /// The session for `login` at `address`.
    ///
    /// # Errors
    /// `CredentialsUnavailable` when the login, or its proxy, is not one for the address.
    pub fn open(address: &Address, login: &GitLogin, settings: &GitSettings) -> Result<Self, GitError> {
        let mut named = Vec::new();
        let mut secrets = Vec::new();
        let mut text = remote(&address.text);
        let proxy = match address.transport {
            Transport::Http => login.proxy.as_ref().or(settings.proxy.as_ref()),
            Transport::Ssh => login.proxy.as_ref(),
            Transport::Folder => None,
        };
        match address.transport {
            Transport::Http => text += &http(login, proxy, &mut named, &mut secrets)?,
            Transport::Ssh => {
                let mut command = ssh(login, &mut named).map_err(|error| unusable(&error))?;
                if let Some(way) = proxy {
                    command += &proxy::options(&settings.own_program, &address.text, way, &mut named)?;
                }
                let _ = writeln!(text, "[core]\n\tsshCommand = {}", quoted(&command));
            }
            Transport::Folder => {}
        }
        secrets.extend(proxy.into_iter().flat_map(|proxy| proxy::secrets(&proxy.address)));
        let configuration = PrivateFile::new(&text).map_err(|error| unusable(&error))?;
        let except = proxy.map(|proxy| proxy.except.clone()).unwrap_or_default();
        Ok(Self { configuration, _named: named, except, transport: address.transport, secrets })
    }

    /// What the environment of Git says of it.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let protocols = match self.transport {
            Transport::Http => "https:http",
            Transport::Ssh => "ssh",
            Transport::Folder => "file",
        };
        let mut environment = vec![
            ("GIT_CONFIG_GLOBAL", self.configuration.path().into()),
            ("GIT_ALLOW_PROTOCOL", protocols.into()),
            ("GIT_SSH_VARIANT", "ssh".into()),
        ];
        if !self.except.is_empty() {
            environment.push(("no_proxy", self.except.clone().into()));
        }
        environment
    }

    /// `text` without any secret of the login, should a server have said one.
    pub fn conceal(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| secret.len() >= 4) {
            text = text.replace(secret.as_str(), "***");
        }
        text
    }
}

fn unusable(error: &io::Error) -> GitError {
    GitError::new(Reason::GitFailed, format!("cannot hand the login to Git: {error}"))
}

fn remote(address: &str) -> String {
    let address = quoted(address);
    format!("[remote \"{REMOTE}\"]\n\turl = {address}\n\tpromisor = true\n\tpartialclonefilter = blob:none\n")
}

fn http(
    login: &GitLogin,
    proxy: Option<&GitProxy>,
    named: &mut Vec<PrivateFile>,
    secrets: &mut Vec<String>,
) -> Result<String, GitError> {
    let mut text = "[http]\n\tfollowRedirects = false\n\tlowSpeedLimit = 1\n\tlowSpeedTime = 30\n".to_owned();
    if let Some(header) = authorization(login, secrets)? {
        let _ = writeln!(text, "\textraHeader = {}", quoted(&format!("Authorization: {header}")));
    }
    let GitTls { authorities, client, insecure } = &login.tls;
    let mut file = |key: &str, content: &str| -> Result<String, GitError> {
        let file = PrivateFile::new(content).map_err(|error| unusable(&error))?;
        let line = format!("\t{key} = {}\n", quoted(&file.path().to_string_lossy()));
        named.push(file);
        Ok(line)
    };
    if *insecure {
        text += "\tsslVerify = false\n";
    }
    if let Some(authorities) = authorities {
        text += &file("sslCAInfo", authorities)?;
    }
    if let Some(client) = client {
        text += &file("sslCert", &client.certificate)?;
        text += &file("sslKey", client.key.expose())?;
    }
    if let Some(proxy) = proxy {
        let _ = writeln!(text, "\tproxy = {}", quoted(&proxy.address));
    }
    Ok(text)
}

/// The value of the header `Authorization`.
fn authorization(login: &GitLogin, secrets: &mut Vec<String>) -> Result<Option<String>, GitError> {
    let value = match (&login.method, login.basic()) {
        (_, Some((username, password))) => {
            let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
            secrets.extend([password.expose().to_owned(), encoded.clone()]);
            format!("Basic {encoded}")
        }
        (LoginMethod::Bearer(token), _) => {
            secrets.push(token.expose().to_owned());
            format!("Bearer {}", token.expose())
        }
        (LoginMethod::Ssh { .. }, _) => {
            let message = "the credentials are an SSH key, and the repository is reached by HTTP";
            return Err(GitError::new(Reason::CredentialsUnavailable, message));
        }
        _ => return Ok(None),
    };
    if value.chars().any(char::is_control) {
        let message = "the token of the credentials holds a line end or another control character";
        return Err(GitError::new(Reason::CredentialsUnavailable, message));
    }
    Ok(Some(value))
}

/// The command for `ssh`, in words of a shell.
fn ssh(login: &GitLogin, named: &mut Vec<PrivateFile>) -> io::Result<String> {
    let mut command = "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
                       -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no -o ConnectTimeout=20"
        .to_owned();
    match &login.host_keys {
        HostKeys::Known(keys) => {
            let file = PrivateFile::new(keys)?;
            let _ = write!(command, " -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}", shell(file.path()));
            named.push(file);
        }
        HostKeys::Unchecked => command += " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
    }
    if let LoginMethod::Ssh { private_key } = &login.method {
        // OpenSSH takes no key whose last line has no end.
        let file = PrivateFile::new(&format!("{}\n", private_key.expose().trim().replace("\r\n", "\n")))?;
        let _ = write!(command, " -i {}", shell(file.path()));
        named.push(file);
    }
    Ok(command)
}

/// A path for the shell that Git runs `ssh` with.
fn shell(path: &Path) -> String {
    proxy::word(&path.to_string_lossy())
}

/// A value of Git's configuration, whatever is in it.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Concealed, GitAccess, GitBranch};

    fn session(repository: &str, login: &GitLogin) -> Result<Session, GitError> {
        let access = GitAccess::ArgoCd { project: "default".to_owned() };
        let branch = GitBranch { repository: repository.to_owned(), branch: None, access };
        Session::open(&Address::new(&branch, false).expect("an address"), login, &GitSettings::new("/nowhere"))
    }

    #[test]
    fn an_ssh_key_is_no_login_for_http() {
        let method = LoginMethod::Ssh { private_key: Concealed::new("key") };
        let login = GitLogin { method, ..GitLogin::anonymous() };
        let error = session("https://git.example.com/a", &login).err().map(|error| error.to_string());
        insta::assert_snapshot!(error.unwrap_or_default(), @"the credentials are an SSH key, and the repository is reached by HTTP");
    }

    #[test]
    fn no_token_adds_a_header_of_its_own() {
        let method = LoginMethod::Bearer(Concealed::new("t\r\nX-Evil: 1"));
        let login = GitLogin { method, ..GitLogin::anonymous() };
        assert!(session("https://git.example.com/a", &login).is_err());
    }

    #[test]
    fn host_keys_are_checked_unless_the_secret_says_otherwise() {
        let read = |session: Session| std::fs::read_to_string(session.configuration.path()).expect("our own file");
        let strict = read(session("git@host:a", &GitLogin::anonymous()).expect("a session"));
        assert!(strict.contains("StrictHostKeyChecking=yes"), "{strict}");
        let login = GitLogin { host_keys: HostKeys::Unchecked, ..GitLogin::anonymous() };
        assert!(read(session("git@host:a", &login).expect("a session")).contains("StrictHostKeyChecking=no"));
    }

    #[test]
    fn what_a_server_repeats_of_a_login_is_concealed() {
        let method = LoginMethod::Basic { username: "bot".to_owned(), password: Concealed::new("geheim") };
        let session = session("https://git.example.com/a", &GitLogin { method, ..GitLogin::anonymous() });
        let said = session.expect("a session").conceal("no geheim, no Ym90OmdlaGVpbQ==");
        assert_eq!(said, "no ***, no ***");
    }
}
