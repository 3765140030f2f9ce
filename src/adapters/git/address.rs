//! Addresses of repositories, as far as they are safe to hand to Git.

use std::path::Path;

use crate::model::{Concealed, GitBranch, GitLogin, LoginMethod, Reason};
use crate::ports::GitError;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// `https://` or `http://`.
    Http,
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// A folder of this machine.
    Folder,
}

/// An address that is safe to hand to Git, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The address.
    pub text: String,
    /// How it is reached.
    pub transport: Transport,
    /// User and password that stood in it.
    user: Option<(String, Concealed)>,
}

impl Address {
    /// The address of `branch`. Folders are taken where `folders` is true.
    ///
    /// # Errors
    /// When it has another form, which Git would take for an option or a command.
    pub fn new(branch: &GitBranch, folders: bool) -> Result<Self, GitError> {
        let text = branch.repository.as_str();
        let refused = |why: &str| {
            let shown = GitBranch { branch: None, ..branch.clone() };
            GitError::new(Reason::GitRepositoryNotFound, format!("`{shown}` is not the address of a repository: {why}"))
        };
        if text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(refused("it begins with `-`, or holds control characters"));
        }
        let plain = |transport| Ok(Self { text: text.to_owned(), transport, user: None });
        match text.split_once("://") {
            Some(("https" | "http", _)) => url(text).ok_or_else(|| refused("it cannot be read as a URL")),
            Some(("ssh", rest)) if !rest.starts_with(['-', '/']) => plain(Transport::Ssh),
            Some(("file", rest)) if folders && rest.starts_with('/') => plain(Transport::Folder),
            None if text.starts_with('/') && folders => plain(Transport::Folder),
            None if Self::scp(text) => plain(Transport::Ssh),
            _ => Err(refused("it begins with `https://`, `http://` or `ssh://`, or is `user@host:path`")),
        }
    }

    /// Whether it is `user@host:path`. A host that begins with `-` would be an option of `ssh`.
    fn scp(text: &str) -> bool {
        let Some((host, path)) = text.split_once(':') else { return false };
        let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
        !name.is_empty() && !name.starts_with('-') && !host.contains('/') && !path.is_empty() && !path.starts_with(':')
    }

    /// The login, with the user and password of the address where it has none of its own.
    pub fn login(&self, login: GitLogin) -> GitLogin {
        match (&login.method, &self.user) {
            (LoginMethod::Anonymous, Some((username, password))) => GitLogin {
                method: LoginMethod::Basic { username: username.clone(), password: password.clone() },
                ..login
            },
            _ => login,
        }
    }

    /// The address without what spells the same repository in another way: the ending `.git`, a last `/`, and the case of the host.
    pub fn normal(&self) -> String {
        let text = self.text.trim_end_matches('/');
        let text = text.strip_suffix(".git").unwrap_or(text);
        let lower = |host: &str, rest: &str| format!("{}{rest}", host.to_ascii_lowercase());
        match text.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find('/').unwrap_or(rest.len());
                format!("{}://{}", scheme.to_ascii_lowercase(), lower(&rest[..end], &rest[end..]))
            }
            None if self.transport == Transport::Ssh => {
                let end = text.find(':').unwrap_or(text.len());
                lower(&text[..end], &text[end..])
            }
            None => text.to_owned(),
        }
    }

    /// Whether the folder that it names exists; `true` for all others.
    pub fn exists(&self) -> bool {
        self.transport != Transport::Folder || Path::new(self.text.trim_start_matches("file://")).exists()
    }
}

fn url(text: &str) -> Option<Address> {
    let mut url = url::Url::parse(text).ok().filter(url::Url::has_host)?;
    let decode = |text: &str| percent_decoded(text);
    let user = url.password().map(|password| (decode(url.username()), Concealed::new(decode(password))));
    if user.is_none() && url.username().is_empty() {
        return Some(Address { text: text.to_owned(), transport: Transport::Http, user });
    }
    url.set_password(None).ok()?;
    url.set_username("").ok()?;
    Some(Address { text: url.to_string(), transport: Transport::Http, user })
}

/// The text that percent signs stand for.
pub(super) fn percent_decoded(text: &str) -> String {
    let pairs = format!("v={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GitAccess;

    fn address(text: &str) -> Result<Address, GitError> {
        let access = GitAccess::ArgoCd { project: "default".to_owned() };
        Address::new(&GitBranch { repository: text.to_owned(), branch: None, access }, false)
    }

    #[test]
    fn only_addresses_reach_git() {
        for fine in ["https://git.example.com/a.git", "ssh://git@host:22/a", "git@host:a/b.git", "host:a", "http://h/a"]
        {
            assert_eq!(address(fine).map(|address| address.text), Ok(fine.to_owned()));
        }
        for refused in [
            "--upload-pack=touch /tmp/x",
            "ext::sh -c true",
            "-oProxyCommand=x:y",
            "git@-oProxyCommand=x:y",
            "ssh://-oProxyCommand=x/y",
            "file:///srv/a",
            "/srv/a",
            "git://host/a",
            "fd::17",
            "https://",
            "https://host/a\nb",
            "",
        ] {
            assert!(address(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn one_repository_has_many_spellings() {
        for (text, normal) in [
            ("https://Git.Example.com/Org/web.git/", "https://git.example.com/Org/web"),
            ("https://git.example.com/Org/web", "https://git.example.com/Org/web"),
            ("git@Git.Example.com:Org/web.git", "git@git.example.com:Org/web"),
            ("ssh://git@HOST:22/a.git", "ssh://git@host:22/a"),
        ] {
            assert_eq!(address(text).map(|address| address.normal()), Ok(normal.to_owned()));
        }
    }

    #[test]
    fn a_password_in_an_address_is_a_login_and_leaves_it() {
        let address = address("https://bot:p%40ss@git.example.com/a.git").expect("an address");
        assert_eq!(address.text, "https://git.example.com/a.git");
        let login = address.login(GitLogin::anonymous());
        assert_eq!(login.basic(), Some(("bot", &Concealed::new("p@ss"))));
        let own = GitLogin { method: LoginMethod::Bearer(Concealed::new("t")), ..GitLogin::anonymous() };
        assert_eq!(address.login(own.clone()), own);
    }
}
