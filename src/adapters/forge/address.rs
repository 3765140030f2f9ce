//! Where the API of a repository's forge is, and what the forge calls the repository.

use url::Url;

use crate::model::{ForgeRepository, PullRequestProvider, Reason};
use crate::ports::ForgeError;

/// Where the API of a repository's forge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// What all paths of the API begin with, without a `/` at its end.
    pub(super) base: Url,
    /// The repository's path: `org/web`, in GitLab `group/sub/web`.
    pub(super) path: Vec<String>,
}

impl Address {
    /// Where the API is: as the setting says, else as the login of a GitHub App does, else as the repository's address does.
    pub(super) fn of(at: &ForgeRepository, of_login: Option<&str>) -> Result<Self, ForgeError> {
        let invalid = |cause: &str| {
            let message = format!("cannot tell where the API of {} for `{at}` is: {cause}", at.provider);
            ForgeError::new(Reason::ForgeRejected, message)
        };
        let (site, path) =
            split(&at.repository.repository).ok_or_else(|| invalid("the repository is no address of a forge"))?;
        let fits = if at.provider == PullRequestProvider::GitLab { path.len() >= 2 } else { path.len() == 2 };
        if !fits {
            return Err(invalid("its path is not `owner/name`"));
        }
        let base = match at.api.as_deref().or(of_login) {
            Some(api) => api.parse().map_err(|_| invalid("the address of the API is none"))?,
            None => default_base(at.provider, &site).ok_or_else(|| invalid("the repository's host is none"))?,
        };
        if !matches!(base.scheme(), "https" | "http") || base.host_str().is_none() {
            return Err(invalid("the address of the API is not on the web"));
        }
        Ok(Self { base, path })
    }

    /// The owner of the repository.
    pub(super) fn owner(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The repository's name alone.
    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The whole path of the repository.
    pub(super) fn full(&self) -> String {
        self.path.join("/")
    }

    /// Where GitHub's GraphQL API is.
    pub(super) fn graphql(&self) -> Url {
        let mut url = self.base.clone();
        let path = url.path().trim_end_matches('/');
        let path = format!("{}/graphql", path.strip_suffix("/v3").unwrap_or(path));
        url.set_path(&path);
        url
    }
}

/// The site that a repository's address names, without user and password, and its path there.
fn split(address: &str) -> Option<(Url, Vec<String>)> {
    let (site, path) = if let Ok(url) = address.parse::<Url>()
        && url.has_host()
    {
        let site = match url.scheme() {
            "https" | "http" => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{}{port}", url.scheme(), url.host_str()?)
            }
            // The port of SSH says nothing of the web's.
            "ssh" | "git+ssh" => format!("https://{}", url.host_str()?),
            _ => return None,
        };
        (site, url.path().to_owned())
    } else {
        let (host, path) = address.split_once(':')?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        (format!("https://{host}"), path.to_owned())
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    let usable = parts.iter().all(|part| !part.is_empty() && part != "." && part != "..");
    Some((site.parse().ok().filter(|_| usable)?, parts))
}

fn default_base(provider: PullRequestProvider, site: &Url) -> Option<Url> {
    let host = site.host_str()?.to_ascii_lowercase();
    let path = match provider {
        PullRequestProvider::GitHub if matches!(host.as_str(), "github.com" | "ssh.github.com" | "www.github.com") => {
            return "https://api.github.com".parse().ok();
        }
        PullRequestProvider::GitHub if host.ends_with(".ghe.com") => return format!("https://api.{host}").parse().ok(),
        PullRequestProvider::GitHub => "api/v3",
        PullRequestProvider::GitLab => "api/v4",
        PullRequestProvider::Gitea => "api/v1",
    };
    site.join(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GitAccess, GitBranch};

    fn of(kind: PullRequestProvider, repository: &str, api: Option<&str>) -> String {
        let access = GitAccess::ArgoCd { project: "default".to_owned() };
        let repository = GitBranch { repository: repository.to_owned(), branch: None, access };
        let at = ForgeRepository { provider: kind, api: api.map(str::to_owned), repository };
        Address::of(&at, None)
            .map_or_else(|error| error.message, |address| format!("{} {}", address.base, address.full()))
    }

    #[test]
    fn the_api_is_where_the_repository_says() {
        use PullRequestProvider::{GitHub, GitLab, Gitea};
        for (kind, repository, expected) in [
            (GitHub, "https://github.com/org/web.git", "https://api.github.com/ org/web"),
            (GitHub, "git@github.com:org/web.git", "https://api.github.com/ org/web"),
            (GitHub, "ssh://git@ssh.github.com:443/org/web.git", "https://api.github.com/ org/web"),
            (GitHub, "https://acme.ghe.com/org/web", "https://api.acme.ghe.com/ org/web"),
            (GitHub, "https://git.example.com:8443/org/web/", "https://git.example.com:8443/api/v3 org/web"),
            (GitLab, "https://user:geheim@gitlab.com/group/sub/web.git", "https://gitlab.com/api/v4 group/sub/web"),
            (GitLab, "ssh://git@git.example.com:2222/group/web.git", "https://git.example.com/api/v4 group/web"),
            (Gitea, "http://127.0.0.1:3000/org/web", "http://127.0.0.1:3000/api/v1 org/web"),
        ] {
            assert_eq!(of(kind, repository, None), expected);
        }
        assert_eq!(
            of(GitLab, "https://example.com/gitlab/org/web", Some("https://example.com/gitlab/api/v4")),
            "https://example.com/gitlab/api/v4 gitlab/org/web"
        );
    }

    #[test]
    fn what_is_no_forge_is_refused_without_its_password() {
        insta::assert_snapshot!(of(PullRequestProvider::GitHub, "/srv/git/web", None), @"cannot tell where the API of GitHub for `/srv/git/web` is: the repository is no address of a forge");
        insta::assert_snapshot!(of(PullRequestProvider::GitHub, "https://user:geheim@github.com/web", None), @"cannot tell where the API of GitHub for `https://github.com/web` is: its path is not `owner/name`");
        insta::assert_snapshot!(of(PullRequestProvider::Gitea, "https://git.example.com/a/../b", Some("ftp://git.example.com")), @"cannot tell where the API of Gitea for `https://git.example.com/a/../b` is: its path is not `owner/name`");
        insta::assert_snapshot!(of(PullRequestProvider::GitLab, "https://gitlab.com/org/web", Some("gitlab")), @"cannot tell where the API of GitLab for `https://gitlab.com/org/web` is: the address of the API is none");
    }

    #[test]
    fn graphql_is_beside_the_other_api() {
        let graphql =
            |base: &str| Address { base: base.parse().expect("an address"), path: Vec::new() }.graphql().to_string();
        assert_eq!(graphql("https://api.github.com"), "https://api.github.com/graphql");
        assert_eq!(graphql("https://git.example.com/api/v3/"), "https://git.example.com/api/graphql");
    }
}
