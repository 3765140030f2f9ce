//! What a registry says about logging in: the header `WWW-Authenticate`.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use url::Url;

use super::failure::Failure;
use super::host::is_inner;
use crate::model::Reason;

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user name and password.
    Basic,
    /// With a token that the service at `realm` gives out.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// What the token is for, in the words of that service.
        service: Option<String>,
    },
}

impl Challenge {
    /// The best of what the headers offer: a token rather than a password.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Self> = texts.flat_map(offers).collect();
        let bearer = all.iter().find(|offer| matches!(offer, Self::Bearer { .. })).cloned();
        bearer.or_else(|| all.into_iter().next())
    }
}

/// Checks that a token service may be asked on behalf of a registry: over TLS if the registry is, and not inside of this
/// machine or its link unless the registry is there, too.
pub(super) fn token_service(base: &Url, realm: &str) -> Result<Url, Failure> {
    let refused = |what: &str| Failure::new(Reason::UnreadableAnswer, format!("the registry's token service {what}"));
    let url = Url::parse(realm).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else { return Err(refused("has no address")) };
    if base.scheme() == "https" && url.scheme() != "https" {
        return Err(Failure::new(Reason::TlsFailed, "the registry's token service is not at an `https` address"));
    }
    if is_inner(&url) && !is_inner(base) {
        return Err(refused("is at an address of this machine or its link"));
    }
    Ok(url)
}

fn offers(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for part in split_outside_quotes(header) {
        let (scheme, parameter) = match part.split_once(char::is_whitespace) {
            Some((scheme, rest)) if !scheme.contains('=') => (Some(scheme), rest.trim()),
            None if !part.contains('=') => (Some(part), ""),
            _ => (None, part),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some((name, value)), Some((_, parameters))) = (parameter.split_once('='), found.last_mut()) {
            parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| offer(&scheme, &parameters)).collect()
}

fn offer(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let parameter = |name: &str| {
        parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") }),
        _ => None,
    }
}

/// The parts between commas, where no quotes are open; without spaces around and without empty ones.
pub(super) fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |character: char| {
        let begins_escape = quoted && character == '\\' && !escaped;
        if character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = begins_escape;
        character == ',' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The value without its quotes and their escapes.
pub(super) fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn challenge(headers: &[&'static str]) -> Option<Challenge> {
        let named = |text: &&'static str| (WWW_AUTHENTICATE, HeaderValue::from_static(text));
        Challenge::of(&headers.iter().map(named).collect())
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn a_token_is_preferred_and_unknown_ways_are_passed_over() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(challenge(&[docker]), Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"))));
        assert_eq!(challenge(&[r#"Basic realm="a, b=c""#]), Some(Challenge::Basic));
        assert_eq!(challenge(&["basic"]), Some(Challenge::Basic));
        assert_eq!(challenge(&[r#"Basic realm="x""#, r#"bearer realm="https://t""#]), Some(bearer("https://t", None)));
        assert_eq!(challenge(&[r#"Basic realm="x", Bearer realm="https://t""#]), Some(bearer("https://t", None)));
        assert_eq!(challenge(&[r#"Bearer realm=https://t , service="q\"x""#]), Some(bearer("https://t", Some("q\"x"))));
        assert_eq!(challenge(&["Negotiate", "Bearer"]), None);
        assert_eq!(challenge(&[]), None);
    }

    #[test]
    fn token_services_are_neither_off_tls_nor_inside() {
        let at = |base: &str, realm: &str| {
            let base = Url::parse(base).expect("what a test writes is valid");
            token_service(&base, realm).map_or_else(|failure| failure.cause, |url| url.to_string())
        };
        insta::assert_snapshot!(at("https://ghcr.io", "https://ghcr.io/token"), @"https://ghcr.io/token");
        insta::assert_snapshot!(at("http://127.0.0.1:5000", "http://localhost:5001/token"), @"http://localhost:5001/token");
        insta::assert_snapshot!(at("https://ghcr.io", "http://ghcr.io/token"), @"the registry's token service is not at an `https` address");
        insta::assert_snapshot!(at("http://reg.example", "http://169.254.169.254/"), @"the registry's token service is at an address of this machine or its link");
        insta::assert_snapshot!(at("https://ghcr.io", "/token"), @"the registry's token service has no address");
    }
}
