//! How to log in to a Git server.

use std::fmt;

use super::SecretRef;

/// A password, token or private key. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Concealed(String);

/// How to log in to one repository, and whom to trust there. Its `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitLogin {
    /// The Secret that it comes from; `None`: no login is known.
    pub secret: Option<SecretRef>,
    /// Who we say we are.
    pub method: LoginMethod,
    /// Whom we trust, for `https://`.
    pub tls: GitTls,
    /// Which host keys we trust, for SSH.
    pub host_keys: HostKeys,
    /// The way there; `None`: directly.
    pub proxy: Option<GitProxy>,
    /// Checks that the one who made the Secret has switched off, in words for people.
    pub warnings: Vec<String>,
}

/// Who we say we are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoginMethod {
    /// Nobody.
    Anonymous,
    /// A user with a password or token.
    Basic {
        /// The user's name; `x-access-token` where a token needs one.
        username: String,
        /// The password, or token.
        password: Concealed,
    },
    /// A token of an installation of a GitHub App; Git takes it as the password of `x-access-token`.
    GitHubApp {
        /// The token. It lives for an hour; ask for the login anew rather than keep it.
        token: Concealed,
        /// The API that it is good for: `https://api.github.com`, or `https://github.example.com/api/v3`.
        api: String,
    },
    /// A token in the header `Authorization: Bearer`.
    Bearer(Concealed),
    /// An SSH key.
    Ssh {
        /// The private key, as `ssh-keygen` writes it.
        private_key: Concealed,
    },
}

/// Whom we trust on `https://`, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GitTls {
    /// Certificates of authorities, in PEM, in place of the system's own; `None`: the system's.
    pub authorities: Option<String>,
    /// A certificate and key of our own, in PEM.
    pub client: Option<ClientCertificate>,
    /// Whether certificates are not checked: only where the Secret itself says so.
    pub insecure: bool,
}

/// A certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: Concealed,
}

/// Which host keys are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostKeys {
    /// Those of a file in the form of `known_hosts`; all others are refused.
    Known(String),
    /// Any: only where the Secret itself says so.
    Unchecked,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitProxy {
    /// Its address: `http://user:password@proxy.example.com:3128`. Its `Debug` shows no password.
    pub address: String,
    /// Hosts that are reached directly, separated by commas.
    pub except: String,
}

impl GitLogin {
    /// Nobody, who trusts what the system trusts and no host key.
    pub const fn anonymous() -> Self {
        Self {
            secret: None,
            method: LoginMethod::Anonymous,
            tls: GitTls { authorities: None, client: None, insecure: false },
            host_keys: HostKeys::Known(String::new()),
            proxy: None,
            warnings: Vec::new(),
        }
    }

    /// The user and password that HTTP's Basic scheme takes, where the login has such.
    pub fn basic(&self) -> Option<(&str, &Concealed)> {
        match &self.method {
            LoginMethod::Basic { username, password } => Some((username, password)),
            LoginMethod::GitHubApp { token, .. } => Some(("x-access-token", token)),
            LoginMethod::Anonymous | LoginMethod::Bearer(_) | LoginMethod::Ssh { .. } => None,
        }
    }
}

impl Concealed {
    /// Conceals `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one that it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Concealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Concealed")
    }
}

impl fmt::Debug for GitProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = super::git::without_password(&self.address);
        formatter.debug_struct("GitProxy").field("address", &address).field("except", &self.except).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_for_debugging_shows_no_secret() {
        let secret = || Concealed::new("geheim");
        let methods = [
            LoginMethod::Basic { username: "bot".to_owned(), password: secret() },
            LoginMethod::GitHubApp { token: secret(), api: "https://api.github.com".to_owned() },
            LoginMethod::Bearer(secret()),
            LoginMethod::Ssh { private_key: secret() },
        ];
        for method in methods {
            let login = GitLogin {
                method,
                tls: GitTls {
                    client: Some(ClientCertificate { certificate: "C".to_owned(), key: secret() }),
                    ..GitTls::default()
                },
                proxy: Some(GitProxy { address: "http://u:geheim@proxy:1".to_owned(), except: String::new() }),
                ..GitLogin::anonymous()
            };
            let shown = format!("{login:?}");
            assert!(shown.contains("Concealed") && !shown.contains("geheim"), "{shown}");
        }
    }

    #[test]
    fn a_token_of_an_app_is_a_password_for_git() {
        let token = Concealed::new("ghs_1");
        let method = LoginMethod::GitHubApp { token: token.clone(), api: "https://api.github.com".to_owned() };
        let login = GitLogin { method, ..GitLogin::anonymous() };
        assert_eq!(login.basic(), Some(("x-access-token", &token)));
        assert_eq!(GitLogin::anonymous().basic(), None);
    }
}
