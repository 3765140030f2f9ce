//! Whether a webhook comes from who knows the secret.
//!
//! Pure: the time is an argument, and so is the secret. Secrets and signatures are compared in a time that does not tell
//! how much of them is right.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::push_event::{Delivery, Source};

/// How far the time of a signature may be from ours.
pub const REPLAY_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// The header of a timed signature.
const TIMED: [&str; 1] = ["x-fairlead-signature"];

/// The secret of one source. While it is being replaced there may be several, any of which will do.
#[derive(Clone)]
pub struct WebhookSecret(Vec<String>);

/// What proves that a request is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Genuine {
    /// It may come again: what it says holds a second time, too.
    Repeatable,
    /// It may come once: `nonce` must not be taken again before `expires`.
    Once {
        /// The signature.
        nonce: [u8; 32],
        /// When the signature has become too old by itself.
        expires: Timestamp,
    },
}

/// A request that proves nothing. Says no more, so that it helps nobody to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not signed with the secret of its source")]
pub struct NotGenuine;

/// How a source proves itself.
enum Proof {
    /// The HMAC-SHA256 of the body, in hexadecimal, in one of these headers.
    BodySignature(&'static [&'static str]),
    /// The secret itself, in one of these headers.
    HeaderToken(&'static [&'static str]),
    /// `X-Fairlead-Signature: t=<seconds>,v1=<hexadecimal>`, over `<seconds>.<body>`.
    TimedSignature,
    /// The secret itself, in the address.
    AddressToken,
}

impl WebhookSecret {
    /// The secret in the content of a file: each line that is not empty is one. `None` where there is none.
    pub fn from_file(content: &str) -> Option<Self> {
        let secrets: Vec<String> =
            content.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(…)")
    }
}

/// The ways of a source; the first that the request uses decides.
const fn proofs(source: Source) -> &'static [Proof] {
    match source {
        Source::Ghcr => &[Proof::BodySignature(&["x-hub-signature-256"])],
        Source::Gitea => &[Proof::BodySignature(&["x-gitea-signature", "x-forgejo-signature", "x-hub-signature-256"])],
        Source::Harbor | Source::Distribution => &[Proof::HeaderToken(&["authorization"])],
        Source::GitLab => &[Proof::HeaderToken(&["x-gitlab-token", "authorization"])],
        Source::Acr => &[Proof::HeaderToken(&["authorization"]), Proof::AddressToken],
        Source::Ecr => &[Proof::HeaderToken(&["x-fairlead-token", "authorization"]), Proof::AddressToken],
        Source::Generic => &[Proof::TimedSignature, Proof::HeaderToken(&["x-fairlead-token", "authorization"])],
        Source::DockerHub | Source::Quay | Source::Aliyun => &[Proof::AddressToken],
    }
}

/// Whether a request proves that it knows the secret of its source, in a way that this source uses.
///
/// # Errors
/// When it does not. A nonce is not judged here: who takes the request remembers it.
pub fn webhook_authenticity(
    source: Source,
    secret: &WebhookSecret,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Genuine, NotGenuine> {
    let used = proofs(source).iter().find_map(|proof| judge(proof, secret, delivery, now));
    used.unwrap_or(Err(NotGenuine))
}

/// Whether the proof that a request uses is a signature of its body, so that the body must be read to judge it.
pub fn needs_body(source: Source, delivery: &Delivery) -> bool {
    let used = proofs(source).iter().find(|proof| match proof {
        Proof::BodySignature(names) | Proof::HeaderToken(names) => header(delivery, names).is_some(),
        Proof::AddressToken => delivery.token.is_some(),
        Proof::TimedSignature => header(delivery, &TIMED).is_some(),
    });
    used.is_some_and(|proof| matches!(proof, Proof::BodySignature(_) | Proof::TimedSignature))
}

fn header<'a>(delivery: &'a Delivery, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| delivery.headers.get(*name)).map(String::as_str)
}

/// `None` when the request does not use this way.
fn judge(
    proof: &Proof,
    secret: &WebhookSecret,
    delivery: &Delivery,
    now: Timestamp,
) -> Option<Result<Genuine, NotGenuine>> {
    let repeatable = |genuine: bool| if genuine { Ok(Genuine::Repeatable) } else { Err(NotGenuine) };
    match proof {
        Proof::BodySignature(names) => header(delivery, names).map(|text| {
            let given = signature(text.strip_prefix("sha256=").unwrap_or(text)).ok_or(NotGenuine)?;
            repeatable(signs(secret, &[&delivery.body], &given))
        }),
        Proof::HeaderToken(names) => header(delivery, names).map(|text| repeatable(is_token(secret, bare(text)))),
        Proof::AddressToken => delivery.token.as_deref().map(|text| repeatable(is_token(secret, text))),
        Proof::TimedSignature => header(delivery, &TIMED).map(|text| timed(text, secret, delivery, now)),
    }
}

fn timed(text: &str, secret: &WebhookSecret, delivery: &Delivery, now: Timestamp) -> Result<Genuine, NotGenuine> {
    let part = |name: &str| {
        text.split(',').filter_map(|part| part.trim().split_once('=')).find(|(key, _)| *key == name).map(|part| part.1)
    };
    let seconds = part("t").ok_or(NotGenuine)?;
    let nonce = part("v1").and_then(signature).ok_or(NotGenuine)?;
    let signed = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(NotGenuine)?;
    if now.duration_since(signed).abs() > REPLAY_WINDOW
        || !signs(secret, &[seconds.as_bytes(), b".", &delivery.body], &nonce)
    {
        return Err(NotGenuine);
    }
    // From then on the signature is too old for the test above.
    let expires = signed.checked_add(REPLAY_WINDOW + SignedDuration::from_secs(1)).map_err(|_| NotGenuine)?;
    Ok(Genuine::Once { nonce, expires })
}

/// An `Authorization` header without its scheme.
fn bare(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => text,
    }
}

/// Whether one of the secrets signs the parts with `given`. All are tried, so that the time tells nothing.
fn signs(secret: &WebhookSecret, parts: &[&[u8]], given: &[u8; 32]) -> bool {
    secret.0.iter().fold(false, |found, secret| {
        let mac = parts.iter().fold(keyed(secret.as_bytes()), Mac::chain_update);
        found | mac.verify_slice(given).is_ok()
    })
}

/// Whether one of the secrets is `given`. What is compared are their digests, so that not even a length shows.
fn is_token(secret: &WebhookSecret, given: &str) -> bool {
    let digest = keyed(b"token").chain_update(given.as_bytes()).finalize().into_bytes();
    secret
        .0
        .iter()
        .fold(false, |found, secret| found | keyed(b"token").chain_update(secret.as_bytes()).verify(&digest).is_ok())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// 64 hexadecimal digits.
fn signature(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn sign(secret: &str, text: &str) -> String {
        hex(&keyed(secret.as_bytes()).chain_update(text.as_bytes()).finalize().into_bytes())
    }

    fn delivery(headers: &[(&str, &str)], token: Option<&str>) -> Delivery {
        Delivery {
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            token: token.map(str::to_owned),
            body: b"{}".to_vec(),
            ..Delivery::default()
        }
    }

    fn is_genuine(source: Source, headers: &[(&str, &str)], token: Option<&str>) -> bool {
        let secret = WebhookSecret::from_file("new-secret\nold-secret\n").expect("secrets");
        webhook_authenticity(source, &secret, &delivery(headers, token), NOW.parse().expect("a time")).is_ok()
    }

    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign("Jefe", "what do ya want for nothing?"), expected);
        // The example in GitHub's documentation.
        let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign("It's a Secret to Everybody", "Hello, World!"), expected);
    }

    #[test]
    fn a_source_is_believed_by_its_own_ways_alone() {
        let (new, old, wrong) = (sign("new-secret", "{}"), sign("old-secret", "{}"), sign("guess", "{}"));
        let (hub, hub_wrong) = (format!("sha256={new}"), format!("sha256={wrong}"));
        for (source, headers, token, expected) in [
            (Source::Ghcr, vec![("x-hub-signature-256", hub.as_str())], None, true),
            (Source::Ghcr, vec![("x-hub-signature-256", hub_wrong.as_str())], None, false),
            (Source::Ghcr, vec![("x-hub-signature-256", "sha256=")], None, false),
            (Source::Ghcr, vec![("x-hub-signature-256", "sha256=ééééééééééééééééééééééééééééééééé")], None, false),
            (Source::Ghcr, vec![("authorization", "new-secret")], Some("new-secret"), false),
            (Source::Ghcr, vec![], None, false),
            (Source::Gitea, vec![("x-gitea-signature", old.as_str())], None, true),
            (Source::Gitea, vec![("x-forgejo-signature", new.as_str())], None, true),
            (Source::Gitea, vec![("x-gitea-signature", wrong.as_str())], None, false),
            (Source::GitLab, vec![("x-gitlab-token", "new-secret")], None, true),
            (Source::GitLab, vec![("x-gitlab-token", "new-secre")], None, false),
            (Source::GitLab, vec![("x-gitlab-token", "")], None, false),
            (Source::Harbor, vec![("authorization", "old-secret")], None, true),
            (Source::Harbor, vec![("authorization", "Bearer new-secret")], None, true),
            (Source::Harbor, vec![("authorization", "new-secret\nold-secret")], None, false),
            (Source::Distribution, vec![("authorization", "Bearer new-secret")], None, true),
            (Source::Distribution, vec![], Some("new-secret"), false),
            (Source::DockerHub, vec![], Some("new-secret"), true),
            (Source::DockerHub, vec![], Some("guess"), false),
            (Source::DockerHub, vec![("authorization", "new-secret")], None, false),
            (Source::Quay, vec![], Some("old-secret"), true),
            (Source::Aliyun, vec![], Some("new-secret"), true),
            (Source::Ecr, vec![("x-fairlead-token", "new-secret")], None, true),
            (Source::Ecr, vec![], Some("new-secret"), true),
            (Source::Acr, vec![("authorization", "new-secret")], None, true),
            (Source::Acr, vec![("authorization", "guess")], Some("new-secret"), false),
            (Source::Generic, vec![("authorization", "Bearer new-secret")], None, true),
            (Source::Generic, vec![("x-fairlead-signature", new.as_str())], None, false),
        ] {
            assert_eq!(is_genuine(source, &headers, token), expected, "{source} {headers:?} {token:?}");
        }
    }

    #[test]
    fn no_source_is_believed_without_a_proof() {
        for source in Source::ALL {
            assert!(!is_genuine(source, &[], None), "{source}");
            assert!(!is_genuine(source, &[("authorization", "")], Some("")), "{source}");
        }
    }

    #[test]
    fn a_timed_signature_holds_for_five_minutes_and_once() {
        let now: Timestamp = NOW.parse().expect("a time");
        let secret = WebhookSecret::from_file("new-secret").expect("a secret");
        let judge = |seconds: i64, signed: i64| {
            let proof = format!("t={seconds},v1={}", sign("new-secret", &format!("{signed}.{{}}")));
            let delivery = delivery(&[("x-fairlead-signature", &proof)], None);
            webhook_authenticity(Source::Generic, &secret, &delivery, now)
        };
        let second = now.as_second();
        for (seconds, signed, expected) in [
            (second, second, true),
            (second - 300, second - 300, true),
            (second + 300, second + 300, true),
            (second - 301, second - 301, false),
            (second + 301, second + 301, false),
            (second, second - 400, false),
            (i64::MAX, i64::MAX, false),
        ] {
            assert_eq!(judge(seconds, signed).is_ok(), expected, "{}", seconds.wrapping_sub(second));
        }
        let Ok(Genuine::Once { expires, .. }) = judge(second - 60, second - 60) else { panic!("it comes once") };
        assert_eq!(expires.to_string(), "2026-06-01T12:04:01Z");
        assert_eq!(judge(second, second), judge(second, second));
    }

    #[test]
    fn an_empty_file_is_no_secret_and_no_secret_shows() {
        assert!(WebhookSecret::from_file(" \n\n").is_none());
        insta::assert_snapshot!(format!("{:?}", WebhookSecret::from_file("canary").expect("a secret")), @"WebhookSecret(…)");
        insta::assert_snapshot!(NotGenuine, @"the request is not signed with the secret of its source");
    }
}
