//! Credentials of Git repositories in Secrets: as Argo CD keeps them, and as a policy names them.
//!
//! The rules are those of Argo CD (`util/db/repository_secrets.go`, `util/git/git.go`), but a template covers whole parts of a path: that for
//! `https://git.example.com/acme` is not one for `https://git.example.com/acme-evil/x`.

use std::collections::BTreeMap;

use crate::model::{ClientCertificate, Concealed, GitProxy, SecretRef};

/// The label by which Argo CD knows its Secrets.
pub const LABEL: &str = "argocd.argoproj.io/secret-type";

/// The field by which the administrator lends the credentials of the hydrator (`repository-write`, `repo-write-creds`) to us: `"true"`.
pub const LENT: &str = "lentToFairlead";

/// The data of a Secret.
type Data = BTreeMap<String, Vec<u8>>;

/// A Secret that carries [`LABEL`].
#[derive(Clone)]
pub struct RepositorySecret {
    /// Its name.
    pub secret: SecretRef,
    /// The label's value: `repository`, `repo-creds`, `repository-write`, `repo-write-creds`, or something that does not concern us.
    pub kind: String,
    /// Its data.
    pub data: Data,
}

/// Credentials, not yet a login: a GitHub App and an identity of a cloud have to ask for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCredentials {
    /// The Secret that says who we are.
    pub secret: SecretRef,
    /// Who we are.
    pub identity: GitIdentity,
    /// A certificate and key of our own.
    pub client: Option<ClientCertificate>,
    /// Whether neither certificates nor host keys are checked.
    pub insecure: bool,
    /// Whether host keys are not checked.
    pub any_host_key: bool,
    /// The way there.
    pub proxy: Option<GitProxy>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitIdentity {
    /// Nobody.
    Nobody,
    /// User and password.
    Basic(String, Concealed),
    /// A token for `Authorization: Bearer`.
    Bearer(Concealed),
    /// An SSH key.
    Ssh(Concealed),
    /// A GitHub App.
    App(GitHubApp),
    /// An identity of a cloud.
    Cloud(CloudAccount),
    /// One that lacks something, in words for people.
    Incomplete(&'static str),
}

/// An identity of a cloud, for which a token has to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CloudAccount {
    /// A service account of Google, by its key: the JSON file.
    Google(Concealed),
    /// The identity that Azure gives this process, for Azure DevOps.
    AzureWorkload,
    /// A service principal of Azure, for Azure DevOps.
    AzurePrincipal(AzurePrincipal),
}

/// A service principal of Azure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AzurePrincipal {
    /// The id of its tenant.
    pub tenant: String,
    /// Its id.
    pub client: String,
    /// Its secret.
    pub secret: Concealed,
    /// Where tokens are given: `https://login.microsoftonline.us`; `None`: where the public cloud gives them.
    pub authority: Option<String>,
}

/// A GitHub App.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitHubApp {
    /// Its number.
    pub id: String,
    /// The number of its installation; `None`: the one of the repository's owner.
    pub installation: Option<String>,
    /// Its RSA key, in PEM.
    pub private_key: Concealed,
    /// The API: `https://api.github.com`, or that of an Enterprise server.
    pub api: String,
}

/// The credentials that Argo CD has for `repository`, as far as Applications of `project` may use them. Those with which its hydrator writes come first,
/// and count only where the administrator lends them by [`LENT`].
///
/// A Secret of the very repository counts: that of the project first, else one without a project. Where it has no credentials, those of the template with
/// the longest address are filled in. `None` where there is nothing at all.
pub fn for_repository(secrets: &[RepositorySecret], repository: &str, project: &str) -> Option<GitCredentials> {
    let of_kinds = |secrets: &[RepositorySecret], exact: &str, template: &str| {
        let exact = exact_match(secrets, exact, repository, project);
        let template = longest_template(secrets, template, repository);
        match (exact, template) {
            (Some(exact), _) if has_credentials(&exact.data) => Some((exact.secret.clone(), exact.data.clone())),
            (Some(exact), Some(template)) => Some((template.secret.clone(), filled(&exact.data, &template.data))),
            (Some(exact), None) => Some((exact.secret.clone(), exact.data.clone())),
            (None, Some(template)) => Some((template.secret.clone(), filled(&Data::new(), &template.data))),
            (None, None) => None,
        }
    };
    let lent: Vec<RepositorySecret> = secrets.iter().filter(|secret| flag(&secret.data, LENT)).cloned().collect();
    let write = of_kinds(&lent, "repository-write", "repo-write-creds")
        .filter(|(_, data)| has_credentials(data) || identity(data) != GitIdentity::Nobody);
    let (secret, data) = write.or_else(|| of_kinds(secrets, "repository", "repo-creds"))?;
    Some(credentials(secret, &data))
}

/// The credentials in a Secret that a policy names.
pub fn credentials(secret: SecretRef, data: &Data) -> GitCredentials {
    let text = |key: &str| text(data, key);
    let client = text("tlsClientCertData").zip(text("tlsClientCertKey"));
    let client = client.map(|(certificate, key)| ClientCertificate { certificate, key: Concealed::new(key) });
    let proxy = text("proxy").map(|address| GitProxy { address, except: text("noProxy").unwrap_or_default() });
    let insecure = flag(data, "insecure");
    let any_host_key = insecure || flag(data, "insecureIgnoreHostKey");
    GitCredentials { secret, identity: identity(data), client, insecure, any_host_key, proxy }
}

fn identity(data: &Data) -> GitIdentity {
    let text = |key: &str| text(data, key);
    if let Some(password) = text("password") {
        let username = text("username").unwrap_or_else(|| "x-access-token".to_owned());
        return GitIdentity::Basic(username, Concealed::new(password));
    }
    if let Some(token) = text("bearerToken") {
        return GitIdentity::Bearer(Concealed::new(token));
    }
    if let Some(key) = text("sshPrivateKey") {
        return GitIdentity::Ssh(Concealed::new(key));
    }
    if let Some((id, key)) = text("githubAppID").zip(text("githubAppPrivateKey")) {
        let base = text("githubAppEnterpriseBaseUrl").unwrap_or_else(|| "https://api.github.com".to_owned());
        return GitIdentity::App(GitHubApp {
            id,
            installation: text("githubAppInstallationID").filter(|id| id != "0"),
            private_key: Concealed::new(key),
            api: base.trim_end_matches('/').to_owned(),
        });
    }
    if let Some(key) = text("gcpServiceAccountKey") {
        return GitIdentity::Cloud(CloudAccount::Google(Concealed::new(key)));
    }
    if text("useAzureWorkloadIdentity").is_some_and(|value| value == "true") {
        return GitIdentity::Cloud(CloudAccount::AzureWorkload);
    }
    principal(data)
}

/// The service principal of Azure, whose keys are spelled in one way in Secrets of repositories, and in another in templates.
fn principal(data: &Data) -> GitIdentity {
    let text = |name: &str| text(data, &format!("azureServicePrincipal{name}"));
    let client = text("ClientId").or_else(|| text("ClientID"));
    let tenant = text("TenantId").or_else(|| text("TenantID"));
    match (client, text("ClientSecret"), tenant) {
        (None, None, None) => GitIdentity::Nobody,
        (Some(client), Some(secret), Some(tenant)) => {
            let authority = self::text(data, "azureActiveDirectoryEndpoint");
            let principal = AzurePrincipal { tenant, client, secret: Concealed::new(secret), authority };
            GitIdentity::Cloud(CloudAccount::AzurePrincipal(principal))
        }
        (None, _, _) => GitIdentity::Incomplete("a service principal of Azure without `azureServicePrincipalClientId`"),
        (_, None, _) => {
            GitIdentity::Incomplete("a service principal of Azure without `azureServicePrincipalClientSecret`")
        }
        (_, _, None) => GitIdentity::Incomplete("a service principal of Azure without `azureServicePrincipalTenantId`"),
    }
}

/// The text of a field; `None` where it is missing, empty, or no text.
fn text(data: &Data, key: &str) -> Option<String> {
    let text = str::from_utf8(data.get(key)?).ok()?;
    // Keys and certificates have lines; all else has none, but many a Secret is made from a file that ends with one.
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether a field says yes, in a word that Go takes for it.
fn flag(data: &Data, key: &str) -> bool {
    text(data, key).is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn exact_match<'a>(
    secrets: &'a [RepositorySecret],
    kind: &str,
    repository: &str,
    project: &str,
) -> Option<&'a RepositorySecret> {
    let wanted = normalised(repository);
    let here = |secret: &&RepositorySecret| {
        secret.kind == kind
            && is_git(&secret.data)
            && text(&secret.data, "url").is_some_and(|url| normalised(&url) == wanted)
    };
    let of = |name: Option<&str>| {
        secrets.iter().filter(here).find(|secret| text(&secret.data, "project").as_deref() == name)
    };
    of(Some(project)).or_else(|| of(None))
}

fn longest_template<'a>(secrets: &'a [RepositorySecret], kind: &str, repository: &str) -> Option<&'a RepositorySecret> {
    let wanted = normalised(repository);
    let fitting = secrets.iter().filter(|secret| secret.kind == kind && is_git(&secret.data)).filter_map(|secret| {
        let prefix = normalised(&text(&secret.data, "url")?);
        let rest = wanted.strip_prefix(&prefix)?;
        let border = rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/');
        (border && !prefix.is_empty()).then_some((prefix.len(), secret))
    });
    // Of two that are equally long, the first counts.
    fitting.rev().max_by_key(|(length, _)| *length).map(|(_, secret)| secret)
}

fn is_git(data: &Data) -> bool {
    text(data, "type").is_none_or(|kind| kind == "git")
}

/// Whether a repository's Secret needs no template. As in Argo CD, the key of a Google service account alone does not say so.
fn has_credentials(data: &Data) -> bool {
    const FIELDS: [&str; 10] = [
        "username",
        "password",
        "bearerToken",
        "sshPrivateKey",
        "tlsClientCertData",
        "githubAppPrivateKey",
        "azureServicePrincipalClientId",
        "azureServicePrincipalClientID",
        "azureServicePrincipalClientSecret",
        "githubAppID",
    ];
    FIELDS.iter().any(|key| text(data, key).is_some())
        || text(data, "useAzureWorkloadIdentity").is_some_and(|value| value == "true")
}

/// The fields of a repository's Secret, with those of a template where they are empty; its address and project stay, and whether anything is left unchecked
/// is for it alone to say: Argo CD reads that from no template (`secretToRepoCred`).
fn filled(exact: &Data, template: &Data) -> Data {
    let mut data = exact.clone();
    for (key, value) in template {
        let own = matches!(key.as_str(), "url" | "project" | "name" | "insecure" | "insecureIgnoreHostKey");
        if !own && text(exact, key).is_none() {
            data.insert(key.clone(), value.clone());
        }
    }
    data
}

/// The address as Argo CD compares it: in lower case, `user@host:path` with `/`, without `ssh://` and `.git`.
pub fn normalised(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let scp = !address.contains("://") && address.split_once('@').is_some_and(|(user, _)| !user.contains(['/', ':']));
    let address = if scp { address.replacen(':', "/", 1) } else { address };
    let address = address.strip_suffix(".git").unwrap_or(&address);
    address.strip_prefix("ssh://").unwrap_or(address).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, kind: &str, data: &[(&str, &str)]) -> RepositorySecret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let secret = SecretRef { namespace: "argocd".to_owned(), name: name.to_owned() };
        RepositorySecret { secret, kind: kind.to_owned(), data }
    }

    fn found(secrets: &[RepositorySecret], repository: &str, project: &str) -> Option<String> {
        for_repository(secrets, repository, project).map(|found| found.secret.name)
    }

    #[test]
    fn addresses_are_compared_as_argo_cd_does() {
        for same in ["git@Host:A/b.git", "ssh://git@host/a/b", "git@host:a/b", " git@host:a/b.git "] {
            assert_eq!(normalised(same), "git@host/a/b", "{same}");
        }
        assert_eq!(normalised("https://Host/A.git"), "https://host/a");
    }

    #[test]
    fn the_secret_of_the_project_comes_first_and_that_of_another_never() {
        let repository = |name, project: &'static str| {
            secret(name, "repository", &[("url", "https://h/a"), ("password", "p"), ("project", project)])
        };
        let all = [repository("other", "other"), repository("any", ""), repository("own", "own")];
        assert_eq!(found(&all, "https://h/a.git", "own").as_deref(), Some("own"));
        assert_eq!(found(&all[..2], "https://h/a.git", "own").as_deref(), Some("any"));
        assert_eq!(found(&all[..1], "https://h/a.git", "own"), None);
        assert_eq!(found(&all, "https://h/b", "own"), None);
    }

    #[test]
    fn the_longest_template_counts_and_ends_at_a_border() {
        let template = |name, url: &'static str| secret(name, "repo-creds", &[("url", url), ("password", "p")]);
        let all =
            [template("host", "https://h"), template("org", "https://h/acme"), template("slash", "https://h/other/")];
        assert_eq!(found(&all, "https://h/acme/x", "p").as_deref(), Some("org"));
        assert_eq!(found(&all, "https://h/acme-evil/x", "p").as_deref(), Some("host"));
        assert_eq!(found(&all, "https://h/other/x", "p").as_deref(), Some("slash"));
        assert_eq!(found(&all, "https://h.evil/x", "p"), None);
        assert_eq!(
            found(&[secret("oci", "repo-creds", &[("url", "https://h"), ("type", "oci")])], "https://h/x", "p"),
            None
        );
    }

    #[test]
    fn a_template_fills_in_what_the_repository_lacks() {
        let exact = secret("exact", "repository", &[("url", "https://h/a"), ("proxy", "http://own")]);
        let template = secret(
            "template",
            "repo-creds",
            &[("url", "https://h"), ("password", "p"), ("proxy", "http://t"), ("insecure", "true")],
        );
        let merged = for_repository(&[exact.clone(), template], "https://h/a", "p").expect("credentials");
        assert_eq!((merged.secret.name.as_str(), merged.insecure), ("template", false));
        assert_eq!(merged.proxy.map(|proxy| proxy.address).as_deref(), Some("http://own"));
        assert_eq!(merged.identity, GitIdentity::Basic("x-access-token".to_owned(), Concealed::new("p")));
        let alone = for_repository(&[exact], "https://h/a", "p").expect("the repository is known");
        assert_eq!(alone.identity, GitIdentity::Nobody);
    }

    #[test]
    fn a_template_alone_switches_no_check_off() {
        let flags = [("url", "https://h"), ("password", "p"), ("insecure", "true"), ("insecureIgnoreHostKey", "true")];
        let template = secret("template", "repo-creds", &flags);
        let alone = for_repository(std::slice::from_ref(&template), "https://h/a", "p").expect("credentials");
        assert_eq!(alone.identity, GitIdentity::Basic("x-access-token".to_owned(), Concealed::new("p")));
        assert_eq!((alone.insecure, alone.any_host_key), (false, false));
        let exact = secret("exact", "repository", &[("url", "https://h/a"), ("insecureIgnoreHostKey", "true")]);
        let merged = for_repository(&[exact, template], "https://h/a", "p").expect("credentials");
        assert_eq!((merged.insecure, merged.any_host_key), (false, true));
    }

    #[test]
    fn credentials_of_the_hydrator_are_used_where_they_are_lent() {
        let read = secret("read", "repository", &[("url", "https://h/a"), ("password", "r")]);
        let write = |name, kind, url: &'static str, lent| {
            secret(name, kind, &[("url", url), ("password", "w"), ("lentToFairlead", lent)])
        };
        let template = |lent| write("write", "repo-write-creds", "https://h", lent);
        let exact = |lent| write("exact", "repository-write", "https://h/a", lent);
        for (secrets, expected) in [
            (vec![read.clone()], Some("read")),
            (vec![read.clone(), template("")], Some("read")),
            (vec![read.clone(), template("false"), exact("")], Some("read")),
            (vec![read.clone(), template("true")], Some("write")),
            (vec![read.clone(), template("true"), exact("")], Some("write")),
            (vec![read, template("true"), exact("true")], Some("exact")),
            (vec![template(""), exact("")], None),
        ] {
            assert_eq!(found(&secrets, "https://h/a", "p").as_deref(), expected);
        }
    }

    #[test]
    fn of_several_kinds_the_first_counts() {
        let of = |data: &[(&str, &str)]| {
            let all = secret("s", "repository", data);
            credentials(all.secret.clone(), &all.data).identity
        };
        let (ssh, app) = (("sshPrivateKey", "k"), [("githubAppID", "1"), ("githubAppPrivateKey", "k")]);
        assert!(matches!(of(&[ssh, ("password", "p"), ("username", "u")]), GitIdentity::Basic(user, _) if user == "u"));
        assert!(matches!(of(&[ssh, ("bearerToken", "t")]), GitIdentity::Bearer(_)));
        assert!(matches!(of(&[ssh, app[0], app[1]]), GitIdentity::Ssh(_)));
        assert!(
            matches!(of(&app), GitIdentity::App(app) if app.installation.is_none() && app.api == "https://api.github.com")
        );
        let google = ("gcpServiceAccountKey", "{}");
        assert!(matches!(of(&[app[0], app[1], google]), GitIdentity::App(_)));
        let workload = ("useAzureWorkloadIdentity", "true");
        assert_eq!(of(&[google, workload]), GitIdentity::Cloud(CloudAccount::Google(Concealed::new("{}"))));
        let principal = [
            ("azureServicePrincipalClientId", "client"),
            ("azureServicePrincipalClientSecret", "secret"),
            ("azureServicePrincipalTenantId", "tenant"),
        ];
        assert_eq!(
            of(&[workload, principal[0], principal[1], principal[2]]),
            GitIdentity::Cloud(CloudAccount::AzureWorkload)
        );
        assert_eq!(of(&[("useAzureWorkloadIdentity", "false")]), GitIdentity::Nobody);
        assert_eq!(of(&[]), GitIdentity::Nobody);
    }

    #[test]
    fn a_service_principal_is_whole_or_says_what_it_lacks() {
        let of = |names: &[&str]| {
            let data: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
            let all = secret("s", "repo-creds", &data);
            credentials(all.secret.clone(), &all.data).identity
        };
        let (id, id_of_template) = ("azureServicePrincipalClientId", "azureServicePrincipalClientID");
        let (tenant, tenant_of_template) = ("azureServicePrincipalTenantId", "azureServicePrincipalTenantID");
        let key = "azureServicePrincipalClientSecret";
        for names in [[id, key, tenant], [id_of_template, key, tenant_of_template]] {
            let found = of(&names);
            let whole = |principal: &AzurePrincipal| principal.tenant == "x" && principal.authority.is_none();
            assert!(
                matches!(&found, GitIdentity::Cloud(CloudAccount::AzurePrincipal(found)) if whole(found)),
                "{found:?}"
            );
        }
        for (names, lacks) in [([id, key], "TenantId"), ([id, tenant], "ClientSecret"), ([key, tenant], "ClientId")] {
            let found = of(&names);
            let says = |what: &str| what.ends_with(&format!("without `azureServicePrincipal{lacks}`"));
            assert!(matches!(found, GitIdentity::Incomplete(what) if says(what)), "{found:?}");
        }
    }

    #[test]
    fn a_key_of_google_for_writing_counts() {
        let read = secret("read", "repository", &[("url", "https://h/a"), ("password", "r")]);
        let lent = [("url", "https://h/a"), ("gcpServiceAccountKey", "{}"), (LENT, "true")];
        let write = secret("write", "repository-write", &lent);
        assert_eq!(found(&[read, write], "https://h/a", "p").as_deref(), Some("write"));
    }
}
