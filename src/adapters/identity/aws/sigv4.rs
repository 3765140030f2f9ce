//! Signatures of AWS, version 4.

use std::fmt::Write as _;

use jiff::Timestamp;
use ring::hmac;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::credentials::Credentials;
use crate::adapters::identity::secret::Secret;

/// What is signed. All headers given are signed, and the date, the session and the host with them.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    /// Names in lower case, values on one line.
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) time: Timestamp,
}

/// The headers to add to the request.
pub(super) struct Signed {
    pub(super) date: String,
    pub(super) authorization: Secret,
}

/// Signs a request with somebody's credentials.
pub(super) fn sign(request: &Unsigned<'_>, credentials: &Credentials) -> Signed {
    let date = request.time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &date[..8];
    let (canonical, names) = canonical(request, credentials, &date);
    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{}", credentials.secret.expose()).into_bytes();
    for part in [day, request.region, request.service, "aws4_request", &to_sign] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.key_id,
        hex(&key)
    );
    Signed { date, authorization: Secret::new(authorization) }
}

/// The request in the one form that both sides hash, and the names of its headers.
fn canonical(request: &Unsigned<'_>, credentials: &Credentials, date: &str) -> (String, String) {
    let host = request.url.host_str().unwrap_or_default();
    let host = request.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = request.headers.to_vec();
    headers.extend([("host", host.as_str()), ("x-amz-date", date)]);
    headers.extend(credentials.session.as_ref().map(|session| ("x-amz-security-token", session.expose())));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().flat_map(|(name, value)| [name, ":", value.trim(), "\n"]).collect();
    let mut query: Vec<&str> = request.url.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let (method, path, query) = (request.method, request.url.path(), query.join("&"));
    let body = hex(&Sha256::digest(request.body));
    (format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body}"), names)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs as the published examples are signed.
    fn signature(method: &str, url: &str, service: &str, content_type: Option<&'static str>, body: &str) -> String {
        let url = Url::parse(url).expect("what a test writes is valid");
        let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let time = "2015-08-30T12:36:00Z".parse().expect("what a test writes is valid");
        let region = "us-east-1";
        let request = Unsigned { method, url: &url, headers: &headers, body, region, service, time };
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials { key_id: "AKIDEXAMPLE".to_owned(), secret, session: None };
        sign(&request, &credentials).authorization.expose().to_owned()
    }

    #[test]
    fn published_examples_are_signed_as_published() {
        let form = "application/x-www-form-urlencoded";
        let plain = "https://example.amazonaws.com/";
        let users = "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers";
        insta::assert_snapshot!(signature("GET", plain, "service", None, ""), @"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        insta::assert_snapshot!(signature("POST", plain, "service", None, ""), @"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        insta::assert_snapshot!(signature("POST", plain, "service", Some(form), "Param1=value1"), @"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
        insta::assert_snapshot!(signature("GET", users, "iam", Some("application/x-www-form-urlencoded; charset=utf-8"), ""), @"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }
}
