//! AWS: ECR, private and public.

mod credentials;
mod sigv4;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use self::sigv4::{Unsigned, sign};
use super::http::{Call, Failure, Way};
use super::kept::Granted;
use super::logins::Source;
use super::secret::Secret;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const PUBLIC_REGION: &str = "us-east-1";

/// A registry, and who gives logins for it.
#[derive(Debug, PartialEq, Eq)]
struct Registry {
    region: String,
    service: &'static str,
    target: &'static str,
    url: Url,
}

/// The answer for a private registry has a list with one entry, the one for the public registry the entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    authorization_data: OneOrList,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrList {
    One(Token),
    List(Vec<Token>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    authorization_token: Secret,
    expires_at: f64,
}

/// A login for the ECR registry `host`.
pub(super) async fn login(source: &Source, host: &str, now: Timestamp) -> Result<Granted, Failure> {
    let mut registry = Registry::of_host(host)?;
    let endpoints = &source.settings.endpoints;
    let other = if registry.service == "ecr" { &endpoints.aws_ecr } else { &endpoints.aws_ecr_public };
    if let Some(url) = other {
        registry.url = url.clone();
    }
    let credentials = credentials::find(source, &registry.region).await?;
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", registry.target)];
    let Registry { region, service, url, target: _ } = &registry;
    let signed = sign(
        &Unsigned { method: "POST", url, headers: &headers, body: "{}", region, service, time: now },
        &credentials,
    );
    let mut call = Call::new("the API of ECR", Way::Outside, Method::POST, url.clone()).body("{}");
    for (name, value) in headers {
        call = call.header(name, value)?;
    }
    call = call.header("x-amz-date", &signed.date)?.header("authorization", signed.authorization.expose())?;
    if let Some(session) = &credentials.session {
        call = call.header("x-amz-security-token", session.expose())?;
    }
    let hint = format!("does the role allow `{service}:GetAuthorizationToken`?");
    let answer = source.http.send(call).await.map_err(|failure| failure.hint_if_denied(&hint))?;
    let token = match answer.json::<Tokens>()?.authorization_data {
        OneOrList::One(token) => Some(token),
        OneOrList::List(tokens) => tokens.into_iter().next(),
    };
    token.and_then(|token| granted(&token)).ok_or_else(|| answer.unreadable())
}

fn granted(token: &Token) -> Option<Granted> {
    let text = String::from_utf8(STANDARD.decode(token.authorization_token.expose()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond the range of `Timestamp` is refused by it")]
    let expires = Timestamp::from_second(token.expires_at as i64).ok()?;
    Some(Granted { username: username.to_owned(), password: Secret::new(password), expires })
}

impl Registry {
    fn of_host(host: &str) -> Result<Self, Failure> {
        if host == "public.ecr.aws" {
            return Ok(Self {
                region: PUBLIC_REGION.to_owned(),
                service: "ecr-public",
                target: "SpencerFrontendService.GetAuthorizationToken",
                url: service("api.ecr-public", PUBLIC_REGION)?,
            });
        }
        let strange = || Failure::new(format!("`{host}` is not of the form `ACCOUNT.dkr.ecr.REGION.amazonaws.com`"));
        let parts: Vec<&str> = host.split('.').collect();
        let [account, "dkr", kind, region, "amazonaws", "com", ..] = parts.as_slice() else { return Err(strange()) };
        let prefix = match *kind {
            "ecr" => "api.ecr",
            "ecr-fips" => "ecr-fips",
            _ => return Err(strange()),
        };
        let url = service(prefix, region)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let tail = parts.get(6..).unwrap_or_default();
        let right_tail = if region.starts_with("cn-") { tail == ["cn"] } else { tail.is_empty() };
        if !is_account || !right_tail {
            return Err(strange());
        }
        let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
        Ok(Self { region: (*region).to_owned(), service: "ecr", target, url })
    }
}

/// The address of a service in a region.
fn service(prefix: &str, region: &str) -> Result<Url, Failure> {
    let strange = || Failure::new(format!("`{region}` is not the name of an AWS region"));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || !region.bytes().all(plain) {
        return Err(strange());
    }
    let tail = if region.starts_with("cn-") { ".cn" } else { "" };
    Url::parse(&format!("https://{prefix}.{region}.amazonaws.com{tail}/")).map_err(|_| strange())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_says_its_region_and_api() {
        let shown = |host| match Registry::of_host(host) {
            Ok(registry) => format!("{} {} {}", registry.region, registry.service, registry.url),
            Err(failure) => failure.cause,
        };
        insta::assert_snapshot!(shown("123456789012.dkr.ecr.us-west-2.amazonaws.com"), @"us-west-2 ecr https://api.ecr.us-west-2.amazonaws.com/");
        insta::assert_snapshot!(shown("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"), @"us-gov-west-1 ecr https://ecr-fips.us-gov-west-1.amazonaws.com/");
        insta::assert_snapshot!(shown("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"), @"cn-north-1 ecr https://api.ecr.cn-north-1.amazonaws.com.cn/");
        insta::assert_snapshot!(shown("public.ecr.aws"), @"us-east-1 ecr-public https://api.ecr-public.us-east-1.amazonaws.com/");
        insta::assert_snapshot!(shown("1234.dkr.ecr.us-west-2.amazonaws.com"), @"`1234.dkr.ecr.us-west-2.amazonaws.com` is not of the form `ACCOUNT.dkr.ecr.REGION.amazonaws.com`");
        insta::assert_snapshot!(shown("123456789012.dkr.ecr.us-west-2.amazonaws.com.evil.amazonaws.com"), @"`123456789012.dkr.ecr.us-west-2.amazonaws.com.evil.amazonaws.com` is not of the form `ACCOUNT.dkr.ecr.REGION.amazonaws.com`");
        insta::assert_snapshot!(shown("123456789012.dkr.ecr..amazonaws.com"), @"`` is not the name of an AWS region");
    }
}
