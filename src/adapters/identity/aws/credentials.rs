//! Whose keys requests to AWS are signed with: the first of environment, web identity, container and instance that is set up.

use http::Method;
use serde::Deserialize;
use url::{Host, Url};

use super::service;
use crate::adapters::identity::http::{Call, Failure, Way, element};
use crate::adapters::identity::logins::Source;
use crate::adapters::identity::secret::{Secret, read_file};

const AGENT: &str = "the credentials service of the container";
const INSTANCE: &str = "the metadata service of the instance";
const STS: &str = "AWS STS";

/// Keys, for a while or for good.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) key_id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// Keys as the services of containers and instances give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: Secret,
    token: Secret,
}

impl From<Given> for Credentials {
    fn from(given: Given) -> Self {
        Self { key_id: given.access_key_id, secret: given.secret_access_key, session: Some(given.token) }
    }
}

/// The keys of this process. A way that is set up and fails is an error: the next one would be somebody else.
pub(super) async fn find(source: &Source, region: &str) -> Result<Credentials, Failure> {
    if let Some(found) = environment(source)? {
        return Ok(found);
    }
    if let Some(found) = web_identity(source, region).await? {
        return Ok(found);
    }
    if let Some(found) = container(source).await? {
        return Ok(found);
    }
    if source.settings.variable("AWS_EC2_METADATA_DISABLED") != Some("true")
        && let Some(found) = instance(source).await?
    {
        return Ok(found);
    }
    let cause = "this process has no AWS identity: tried environment, web identity, container, instance; set the \
                 annotation `eks.amazonaws.com/role-arn` on its ServiceAccount, or associate that with a role by EKS Pod \
                 Identity";
    Err(Failure::new(cause))
}

fn environment(source: &Source) -> Result<Option<Credentials>, Failure> {
    let variable = |name| source.settings.variable(name);
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (None, None) => Ok(None),
        (Some(key_id), Some(secret)) => {
            let session = variable("AWS_SESSION_TOKEN").map(Secret::new);
            Ok(Some(Credentials { key_id: key_id.to_owned(), secret: Secret::new(secret), session }))
        }
        _ => Err(Failure::new("of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` only one is set")),
    }
}

async fn web_identity(source: &Source, region: &str) -> Result<Option<Credentials>, Failure> {
    const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    let variable = |name| source.settings.variable(name);
    let (Some(role), Some(path)) = (variable("AWS_ROLE_ARN"), variable(FILE)) else { return Ok(None) };
    let token = read_file(FILE, path).await?;
    // A role in one partition cannot be assumed in another, so the region of the process goes first.
    let region = variable("AWS_REGION").unwrap_or(region);
    let url = match &source.settings.endpoints.aws_sts {
        Some(url) => url.clone(),
        None => service("sts", region)?,
    };
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", variable("AWS_ROLE_SESSION_NAME").unwrap_or("fairlead")),
        ("WebIdentityToken", token.expose()),
    ];
    let call = Call::form(STS, url, &fields).header("accept", "application/xml")?;
    let answer = source.http.send(call).await.map_err(|failure| {
        Failure::new(format!("cannot assume `{role}` with the token in `{path}`: {}", failure.cause))
    })?;
    let part = |name| element(answer.text(), name).ok_or_else(|| answer.unreadable());
    let (key_id, secret) = (part("AccessKeyId")?.to_owned(), Secret::new(part("SecretAccessKey")?));
    Ok(Some(Credentials { key_id, secret, session: Some(Secret::new(part("SessionToken")?)) }))
}

async fn container(source: &Source) -> Result<Option<Credentials>, Failure> {
    const FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let variable = |name| source.settings.variable(name);
    let url = match (variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), variable(FULL)) {
        (Some(path), _) => relative(&source.settings.endpoints.aws_container, path)?,
        (None, Some(full)) => {
            let url = Url::parse(full).ok().filter(is_agent);
            url.ok_or_else(|| Failure::new(format!("`{FULL}` is neither https nor an address of this machine")))?
        }
        (None, None) => return Ok(None),
    };
    let token = match (variable(FILE), variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
        (Some(path), _) => Some(read_file(FILE, path).await?),
        (None, token) => token.map(Secret::new),
    };
    let mut call = Call::new(AGENT, Way::Inside, Method::GET, url);
    if let Some(token) = token {
        call = call.header("authorization", token.expose())?;
    }
    let given: Given = source.http.send(call).await?.json()?;
    Ok(Some(given.into()))
}

fn relative(base: &Url, path: &str) -> Result<Url, Failure> {
    let joined = base.join(path).ok().filter(|url| url.origin() == base.origin());
    joined.ok_or_else(|| Failure::new("`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is not a path"))
}

/// Whether an address may be asked for keys: by TLS, or where nobody can listen in.
fn is_agent(url: &Url) -> bool {
    let near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => {
            address.is_loopback() || [[169, 254, 170, 2], [169, 254, 170, 23]].contains(&address.octets())
        }
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.segments() == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023]
        }
        None => false,
    };
    url.scheme() == "https" && url.has_host() || url.scheme() == "http" && near
}

/// Asks with a session token alone: without it, whoever makes a process fetch an address could read the keys.
async fn instance(source: &Source) -> Result<Option<Credentials>, Failure> {
    const ROLES: &str = "latest/meta-data/iam/security-credentials/";
    let base = &source.settings.endpoints.aws_instance;
    let call = |method, path: &str| {
        let url = base.join(path).map_err(|_| Failure::new("the role of the instance has no plain name"))?;
        Ok::<_, Failure>(Call::new(INSTANCE, Way::Inside, method, url))
    };
    let begin = call(Method::PUT, "latest/api/token")?.header("x-aws-ec2-metadata-token-ttl-seconds", "300")?;
    let session = match source.http.send(begin).await {
        Ok(answer) => Secret::new(answer.text().trim()),
        Err(failure) if failure.is_absent() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let ask = |path: &str| call(Method::GET, path)?.header("x-aws-ec2-metadata-token", session.expose());
    let roles = match source.http.send(ask(ROLES)?).await {
        Ok(answer) => answer,
        Err(failure) if failure.is_absent() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let role = roles.text().lines().next().unwrap_or_default().trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if role.is_empty() || !role.bytes().all(plain) {
        return Err(roles.unreadable());
    }
    let given: Given = source.http.send(ask(&format!("{ROLES}{role}"))?).await?.json()?;
    Ok(Some(given.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_near_by_or_by_tls() {
        let allowed = |text: &str| Url::parse(text).is_ok_and(|url| is_agent(&url));
        for text in [
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:1338/x",
            "http://[::1]/x",
            "http://localhost/x",
            "https://agent.example/x",
        ] {
            assert!(allowed(text), "{text}");
        }
        for text in ["http://169.254.169.254/x", "http://10.0.0.1/x", "http://localhost.evil.example/", "file:///x"] {
            assert!(!allowed(text), "{text}");
        }
    }

    #[test]
    fn a_relative_address_stays_where_it_is() {
        let base = Url::parse("http://169.254.170.2").expect("what a test writes is valid");
        let joined = |path| relative(&base, path).map_or_else(|failure| failure.cause, |url| url.to_string());
        insta::assert_snapshot!(joined("/v2/credentials/x"), @"http://169.254.170.2/v2/credentials/x");
        insta::assert_snapshot!(joined("//evil.example/x"), @"`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is not a path");
        insta::assert_snapshot!(joined("http://evil.example/x"), @"`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is not a path");
    }
}
