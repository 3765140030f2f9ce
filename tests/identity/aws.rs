//! AWS: STS, the Pod Identity agent, the metadata service and ECR.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead::model::Cloud;
use sha2::{Digest as _, Sha256};

use crate::jwt;
use crate::stand_in::{Site, World, form, same};
use crate::support::faults::{Reply, Seen, answer, json, status};

const PRIVATE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const PUBLIC: &str = "public.ecr.aws";
const ROLE: &str = "arn:aws:iam::123456789012:role/fairlead";
const AGENT: &str = "pods.eks.amazonaws.com";
const HOUR: i64 = 3600;

/// What AWS answers.
pub fn reply(site: &Site, path: &str, seen: &Seen) -> Result<Reply, String> {
    match (seen.method.as_str(), path) {
        ("POST", "/aws/sts") => assume(site, seen),
        ("GET", "/aws/agent") => {
            jwt::verified(seen.headers.get("authorization").ok_or("no token")?, AGENT, site.now())?;
            Ok(keys(site))
        }
        ("PUT", "/aws/instance/latest/api/token") => {
            seen.headers.get("x-aws-ec2-metadata-token-ttl-seconds").ok_or("no life is asked for")?;
            Ok(Reply::Send(answer(200, &[], &site.give("imds", 300))))
        }
        ("GET", path) if path.starts_with("/aws/instance/latest/meta-data/iam/security-credentials/") => {
            let token =
                seen.headers.get("x-aws-ec2-metadata-token").ok_or("a request without token, as in version 1")?;
            if !site.holds(token) {
                return Err("the token is over".to_owned());
            }
            Ok(if path.ends_with('/') { Reply::Send(answer(200, &[], "node-role")) } else { keys(site) })
        }
        ("GET", "/aws/denied") => Ok(status(403)),
        ("POST", "/aws/ecr") => token(site, seen, "eu-west-1", "ecr", "AmazonEC2ContainerRegistry_V20150921"),
        ("POST", "/aws/ecr-public") => token(site, seen, "us-east-1", "ecr-public", "SpencerFrontendService"),
        _ => Err("nothing is here".to_owned()),
    }
}

/// `AssumeRoleWithWebIdentity`.
fn assume(site: &Site, seen: &Seen) -> Result<Reply, String> {
    let fields = form(&seen.body);
    same("Action", fields.get("Action"), "AssumeRoleWithWebIdentity")?;
    same("Version", fields.get("Version"), "2011-06-15")?;
    same("RoleArn", fields.get("RoleArn"), ROLE)?;
    same("RoleSessionName", fields.get("RoleSessionName"), "fairlead")?;
    jwt::verified(fields.get("WebIdentityToken").ok_or("no token")?, "sts.amazonaws.com", site.now())?;
    let session = site.give("session", HOUR);
    let xml = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<AssumeRoleWithWebIdentityResult>\
         <Credentials><SessionToken>{session}</SessionToken><SecretAccessKey>secret+/{session}=</SecretAccessKey>\
         <Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>ASIA{session}</AccessKeyId></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    Ok(Reply::Send(answer(200, &[("content-type", "text/xml")], &xml)))
}

/// Keys as agents and metadata services give them.
fn keys(site: &Site) -> Reply {
    let session = site.give("session", HOUR);
    json(&format!(
        r#"{{"Code":"Success","AccessKeyId":"ASIA{session}","SecretAccessKey":"secret+/{session}=","Token":"{session}","Expiration":"2099-01-01T00:00:00Z"}}"#
    ))
}

/// `GetAuthorizationToken`.
fn token(site: &Site, seen: &Seen, region: &str, service: &str, target: &str) -> Result<Reply, String> {
    same("the target", seen.headers.get("x-amz-target"), &format!("{target}.GetAuthorizationToken"))?;
    same("the type", seen.headers.get("content-type"), "application/x-amz-json-1.1")?;
    let session = seen.headers.get("x-amz-security-token");
    let secret = match session {
        Some(session) if site.holds(session) => format!("secret+/{session}="),
        Some(_) => return Err("the session is over".to_owned()),
        None => "secret+/static=".to_owned(),
    };
    check_signature(site, seen, region, service, &secret)?;
    let password = site.give("ecr-password", 12 * HOUR);
    site.logins.fetch_add(1, Ordering::Relaxed);
    let token = STANDARD.encode(format!("AWS:{password}"));
    let entry = format!(r#"{{"authorizationToken":"{token}","expiresAt":{}.5}}"#, site.now() + 12 * HOUR);
    let entry = if service == "ecr" { format!("[{entry}]") } else { entry };
    Ok(json(&format!(r#"{{"authorizationData":{entry}}}"#)))
}

/// Signs the request as it arrived, from the description of version 4 alone, and compares.
fn check_signature(site: &Site, seen: &Seen, region: &str, service: &str, secret: &str) -> Result<(), String> {
    let header = |name: &str| seen.headers.get(name).map(String::as_str).unwrap_or_default();
    let date = header("x-amz-date");
    let sent = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).map_err(|_| "no date")?;
    let sent = sent.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| "no date")?.timestamp().as_second();
    if (sent - site.now()).abs() > 300 {
        return Err("the signature is over".to_owned());
    }
    let authorization = header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
    let part = |name: &str| {
        let mut parts = authorization.split(", ").filter_map(|part| part.split_once('='));
        parts.find(|(known, _)| *known == name).map(|(_, value)| value).ok_or(format!("no {name}"))
    };
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    let (key_id, found) = part("Credential")?.split_once('/').ok_or("no scope")?;
    same("the scope", Some(&found.to_owned()), &scope)?;
    let expected =
        seen.headers.get("x-amz-security-token").map_or("AKIASTATIC".to_owned(), |name| format!("ASIA{name}"));
    same("the key", Some(&key_id.to_owned()), &expected)?;
    let names = part("SignedHeaders")?;
    let needed = seen
        .headers
        .keys()
        .filter(|name| name.starts_with("x-amz-") || ["host", "content-type"].contains(&name.as_str()));
    same("the list of headers", Some(&names.to_owned()), &needed.cloned().collect::<Vec<_>>().join(";"))?;
    let lines: String = names.split(';').flat_map(|name| [name, ":", header(name), "\n"]).collect();
    let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{}", seen.method, seen.target, hash(&seen.body));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(&canonical));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = hmac(&key, part.as_bytes());
    }
    same("the signature", Some(&part("Signature")?.to_owned()), &hex(&hmac(&key, text.as_bytes())))
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// HMAC as its definition says, for keys of at most one block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A process with the role of its ServiceAccount.
pub async fn irsa() -> World {
    let mut world = World::new().await;
    world.set("AWS_ROLE_ARN", ROLE);
    world.file("AWS_WEB_IDENTITY_TOKEN_FILE", &world.projected("sts.amazonaws.com"));
    world
}

#[tokio::test]
async fn static_keys_sign_for_private_and_public_registries() {
    let mut world = World::new().await;
    world.set("AWS_ACCESS_KEY_ID", "AKIASTATIC");
    world.set("AWS_SECRET_ACCESS_KEY", "secret+/static=");
    for host in [PRIVATE, PUBLIC] {
        let login = world.login(Cloud::Aws, host).await;
        assert_eq!((login.username.as_str(), login.expires.as_second()), ("AWS", world.site.now() + 12 * HOUR));
    }
    world.set("AWS_SECRET_ACCESS_KEY", "secret+/wrong=");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: the API of ECR answers 400 Bad Request (`invalid_request`)");
    assert!(world.complaints().iter().all(|complaint| complaint.starts_with("POST /aws/ecr: the signature is not")));
}

#[tokio::test]
async fn a_role_is_assumed_with_the_token_as_it_is_now() {
    let mut world = irsa().await;
    world.login(Cloud::Aws, PRIVATE).await;
    world.site.clock.advance(2 * HOUR);
    world.file("AWS_WEB_IDENTITY_TOKEN_FILE", &world.projected("sts.amazonaws.com"));
    world.login(Cloud::Aws, PRIVATE).await;
    world.file("AWS_WEB_IDENTITY_TOKEN_FILE", &world.projected("somebody.else"));
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: cannot assume `arn:aws:iam::123456789012:role/fairlead` with the token in `FOLDER/AWS_WEB_IDENTITY_TOKEN_FILE`: AWS STS answers 400 Bad Request (`invalid_request`)");
}

#[tokio::test]
async fn the_pod_identity_agent_is_asked_with_its_token() {
    let mut world = World::new().await;
    world.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.at("/aws/agent").as_str());
    world.file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &world.projected(AGENT));
    world.login(Cloud::Aws, PRIVATE).await;
    world.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/credentials");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: `AWS_CONTAINER_CREDENTIALS_FULL_URI` is neither https nor an address of this machine");
}

#[tokio::test]
async fn a_container_is_asked_at_a_relative_address() {
    let mut world = World::new().await;
    world.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/aws/agent");
    world.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", &world.projected(AGENT));
    world.login(Cloud::Aws, PUBLIC).await;
    world.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/aws/denied");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: the credentials service of the container answers 403 Forbidden");
}

#[tokio::test]
async fn an_instance_is_asked_with_a_session_token() {
    let mut world = World::new().await;
    world.settings.endpoints.aws_instance = world.at("/aws/instance/");
    world.login(Cloud::Aws, PRIVATE).await;
    world.set("AWS_EC2_METADATA_DISABLED", "true");
    assert!(world.failure(Cloud::Aws, PRIVATE).await.contains("has no AWS identity"));
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let mut world = World::new().await;
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: this process has no AWS identity: tried environment, web identity, container, instance; set the annotation `eks.amazonaws.com/role-arn` on its ServiceAccount, or associate that with a role by EKS Pod Identity");
    insta::assert_snapshot!(world.failure(Cloud::Aws, "ghcr.io").await, @"cannot log in to `ghcr.io` with the aws identity of this process: `ghcr.io` is not a registry of aws");
    world.set("AWS_ACCESS_KEY_ID", "AKIASTATIC");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` only one is set");
    let mut world = irsa().await;
    world.file("AWS_WEB_IDENTITY_TOKEN_FILE", " \n");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: cannot read `FOLDER/AWS_WEB_IDENTITY_TOKEN_FILE`, which `AWS_WEB_IDENTITY_TOKEN_FILE` names: it is empty");
    world.set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
    insta::assert_snapshot!(world.failure(Cloud::Aws, PRIVATE).await, @"cannot log in to `123456789012.dkr.ecr.eu-west-1.amazonaws.com` with the aws identity of this process: cannot read `/nowhere/token`, which `AWS_WEB_IDENTITY_TOKEN_FILE` names: entity not found");
}
