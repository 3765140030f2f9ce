//! Where Argo CD's server is.

use url::Url;

/// The address of a server that is named as the command line of Argo CD does it: `host`, `host:port`, or with `https://` in front. A path
/// behind it, or `root_path`, is the one that the server is served under.
///
/// # Errors
/// What is wrong with it.
pub fn server_address(server: &str, plaintext: bool, root_path: &str) -> Result<Url, String> {
    let wrong = |cause: &str| format!("cannot use `{}` as the address of Argo CD's server: {cause}", shown(server));
    let text = match server.trim() {
        "" => return Err(wrong("it is empty")),
        text if text.contains("://") => text.to_owned(),
        text if plaintext => format!("http://{text}"),
        text => format!("https://{text}"),
    };
    let mut url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
    match (url.scheme(), plaintext) {
        ("http", _) | ("https", false) => {}
        ("https", true) => return Err(wrong("it says `https`, and plaintext is asked for; leave one of the two out")),
        (scheme, _) => return Err(wrong(&format!("`{scheme}` is not spoken; write `https` or `http`"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a login does not belong there; give a token"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("`?` and `#` mean nothing there"));
    }
    let path = format!("{}/{}", url.path(), root_path);
    let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    url.set_path(&path.join("/"));
    Ok(url)
}

/// An address without what may be a login.
fn shown(server: &str) -> String {
    match server.split_once('@') {
        Some((front, host)) => {
            let scheme = front.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
            format!("{scheme}***@{host}")
        }
        None => server.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_as_people_do() {
        for (server, plaintext, root, expected) in [
            ("argocd-server.argocd", false, "", "https://argocd-server.argocd/"),
            ("argocd-server.argocd", true, "", "http://argocd-server.argocd/"),
            (" argocd.example.com:8443 ", false, "", "https://argocd.example.com:8443/"),
            ("https://example.com/tools/argocd/", false, "", "https://example.com/tools/argocd"),
            ("example.com", false, "/argocd/", "https://example.com/argocd"),
            ("example.com/tools", false, "argocd", "https://example.com/tools/argocd"),
            ("http://127.0.0.1:31880", false, "", "http://127.0.0.1:31880/"),
            ("[::1]:8080", true, "", "http://[::1]:8080/"),
        ] {
            let found = server_address(server, plaintext, root).map(|url| url.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{server}");
        }
    }

    #[test]
    fn what_is_no_address_is_said() {
        let wrong = |server, plaintext| server_address(server, plaintext, "").err().unwrap_or_default();
        insta::assert_snapshot!(wrong(" ", false), @"cannot use ` ` as the address of Argo CD's server: it is empty");
        insta::assert_snapshot!(wrong("https://argocd.example.com", true), @"cannot use `https://argocd.example.com` as the address of Argo CD's server: it says `https`, and plaintext is asked for; leave one of the two out");
        insta::assert_snapshot!(wrong("grpc://argocd.example.com", false), @"cannot use `grpc://argocd.example.com` as the address of Argo CD's server: `grpc` is not spoken; write `https` or `http`");
        insta::assert_snapshot!(wrong("https://me:canary@argocd.example.com", false), @"cannot use `https://***@argocd.example.com` as the address of Argo CD's server: a login does not belong there; give a token");
        insta::assert_snapshot!(wrong("argocd.example.com?a=b", false), @"cannot use `argocd.example.com?a=b` as the address of Argo CD's server: `?` and `#` mean nothing there");
        insta::assert_snapshot!(wrong("argocd:port", false), @"cannot use `argocd:port` as the address of Argo CD's server: invalid port number");
    }
}
