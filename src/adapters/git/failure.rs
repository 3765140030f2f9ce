//! What Git's complaints mean.

use super::process::Broken;
use crate::model::Reason;
use crate::ports::GitError;

/// How much of a server's words is shown.
const MAXIMUM_WORDS: usize = 400;

/// Complaints of Git 2.32 and newer, of curl and of OpenSSH in the locale `C`, in lower case; the first that is found counts.
const COMPLAINTS: &[(&str, Reason)] = &[
    ("` answers 407", Reason::GitDenied),
    ("` refuses user and password", Reason::GitDenied),
    ("` refuses to go on without", Reason::GitDenied),
    ("response 407", Reason::GitDenied),
    ("code 407", Reason::GitDenied),
    ("returned error: 407", Reason::GitDenied),
    ("no authentication method was acceptable", Reason::GitDenied),
    ("rejected by the socks5 server", Reason::GitDenied),
    ("the proxy `", Reason::GitUnreachable),
    ("from proxy after connect", Reason::GitUnreachable),
    ("connect tunnel failed", Reason::GitUnreachable),
    ("proxy connect aborted", Reason::GitUnreachable),
    ("socks5 connection", Reason::GitUnreachable),
    ("could not resolve proxy", Reason::GitUnreachable),
    ("host key verification failed", Reason::GitNotTrusted),
    ("remote host identification has changed", Reason::GitNotTrusted),
    ("ssl certificate problem", Reason::GitNotTrusted),
    ("certificate verification failed", Reason::GitNotTrusted),
    ("unable to get local issuer", Reason::GitNotTrusted),
    ("certificate subject name", Reason::GitNotTrusted),
    ("does not match target host name", Reason::GitNotTrusted),
    ("error setting certificate", Reason::GitNotTrusted),
    ("error reading x.509 key", Reason::CredentialsUnavailable),
    ("could not load pem client certificate", Reason::CredentialsUnavailable),
    ("unable to set private key file", Reason::CredentialsUnavailable),
    ("couldn't find remote ref", Reason::GitBranchNotFound),
    ("could not read username", Reason::GitDenied),
    ("could not read password", Reason::GitDenied),
    ("authentication failed", Reason::GitDenied),
    ("returned error: 401", Reason::GitDenied),
    ("returned error: 403", Reason::GitDenied),
    ("permission denied (", Reason::GitDenied),
    ("access denied", Reason::GitDenied),
    ("not authorized", Reason::GitDenied),
    ("returned error: 404", Reason::GitRepositoryNotFound),
    ("repository not found", Reason::GitRepositoryNotFound),
    ("does not appear to be a git repository", Reason::GitRepositoryNotFound),
    ("' not found", Reason::GitRepositoryNotFound),
    ("no such file or directory", Reason::GitRepositoryNotFound),
    ("timed out", Reason::GitTimeout),
    ("operation too slow", Reason::GitTimeout),
    ("could not resolve host", Reason::GitUnreachable),
    ("failed to connect", Reason::GitUnreachable),
    ("couldn't connect to server", Reason::GitUnreachable),
    ("connection refused", Reason::GitUnreachable),
    ("connection reset", Reason::GitUnreachable),
    ("connection closed", Reason::GitUnreachable),
    ("no route to host", Reason::GitUnreachable),
    ("network is unreachable", Reason::GitUnreachable),
    ("empty reply from server", Reason::GitUnreachable),
    ("returned error: 429", Reason::GitUnreachable),
    ("returned error: 5", Reason::GitUnreachable),
    ("[remote rejected]", Reason::GitPushRejected),
    ("pre-receive hook declined", Reason::GitPushRejected),
];

/// What servers say that take only clients with a certificate, in the words of OpenSSL and of `GnuTLS`.
const DEMANDS: &[&str] = &[
    "alert bad certificate",
    "alert certificate",
    "alert handshake failure",
    "alert unknown ca",
    "gnutls_handshake() failed: ca is unknown",
    "gnutls_handshake() failed: certificate",
    "gnutls_handshake() failed: handshake failed",
    "tls fatal alert",
];

/// The class of a complaint.
pub(super) fn class(errors: &str) -> Reason {
    let errors = errors.to_lowercase();
    if demands_certificate(&errors) {
        return Reason::GitDenied;
    }
    let found = COMPLAINTS.iter().find(|(words, _)| errors.contains(words));
    found.map_or(Reason::GitFailed, |(_, reason)| *reason)
}

/// Whether a server seems to demand another certificate of its clients than it got, if any.
fn demands_certificate(errors: &str) -> bool {
    DEMANDS.iter().any(|words| errors.contains(words))
}

/// The failure of `what`, which Git complained of with `errors`.
pub(super) fn failure(what: &str, errors: &str) -> GitError {
    let reason = class(errors);
    let hint = if errors.contains("returned error: 30") || errors.contains("unable to update url base") {
        "; it redirects, which is not followed: write the address that it redirects to"
    } else if demands_certificate(&errors.to_lowercase()) {
        "; does the server demand a certificate of its clients, `tlsClientCertData` with `tlsClientCertKey` of the credentials?"
    } else {
        ""
    };
    GitError::new(reason, format!("{what}: {}{hint}", words(errors)))
}

/// The failure of `what`, which never ended.
pub(super) fn broken(what: &str, cause: &Broken) -> GitError {
    let reason = match cause {
        Broken::Timeout(_) => Reason::GitTimeout,
        Broken::NotLeading(_) => Reason::WriteFailed,
        Broken::Start { .. } | Broken::TooMuch(_) | Broken::Read(_) => Reason::GitFailed,
    };
    GitError::new(reason, format!("{what}: {cause}"))
}

/// What a person needs of a complaint, in one line.
pub(super) fn words(errors: &str) -> String {
    let lines = errors.lines().map(|line| line.trim().trim_end_matches('.'));
    let worth = |line: &&str| {
        !line.is_empty()
            && !line.starts_with("hint:")
            && !line.starts_with("@@@")
            && !line.starts_with("Done")
            && !line.starts_with("To ")
            // What `ssh` says of a connection that our own program did not give it, and has said why.
            && !line.starts_with("mm_receive_fd:")
            && !line.starts_with("proxy dialer did not pass")
    };
    let mut text = lines.filter(worth).collect::<Vec<_>>().join("; ").replace(char::is_control, " ");
    if text.len() > MAXIMUM_WORDS {
        let end = (0..=MAXIMUM_WORDS).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    if text.is_empty() { "Git says nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_have_their_reasons() {
        let table = [
            ("fatal: Authentication failed for 'https://h/a/'", Reason::GitDenied),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Reason::GitDenied),
            ("git@h: Permission denied (publickey).", Reason::GitDenied),
            ("fatal: repository 'https://h/a/' not found", Reason::GitRepositoryNotFound),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Reason::GitUnreachable),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 503", Reason::GitUnreachable),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Reason::GitDenied),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.",
                Reason::GitNotTrusted,
            ),
            (
                "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none",
                Reason::GitNotTrusted,
            ),
            ("ssh: connect to host h port 22: Connection timed out", Reason::GitTimeout),
            (
                "error: the proxy `p:1` answers 407 Proxy Authentication Required\nproxy dialer did not pass back a connection",
                Reason::GitDenied,
            ),
            (
                "fatal: unable to access 'https://h/': Received HTTP code 407 from proxy after CONNECT",
                Reason::GitDenied,
            ),
            ("fatal: unable to access 'https://h/': CONNECT tunnel failed, response 502", Reason::GitUnreachable),
            ("error: no connection to the proxy `p:1`: Connection refused (os error 111)", Reason::GitUnreachable),
            ("fatal: unable to access 'https://h/': User was rejected by the SOCKS5 server (1 1).", Reason::GitDenied),
            (
                "fatal: unable to access 'https://h/': OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
                Reason::GitDenied,
            ),
            ("! a:b [remote rejected] (protected branch)", Reason::GitPushRejected),
            ("fatal: index-pack failed", Reason::GitFailed),
        ];
        for (errors, reason) in table {
            assert_eq!(class(errors), reason, "{errors}");
        }
    }

    #[test]
    fn a_redirect_is_told_with_what_to_do() {
        let error = failure(
            "cannot look at `https://h/a`",
            "fatal: unable to access 'https://h/a/': The requested URL returned error: 301\n",
        );
        insta::assert_snapshot!(error.message, @"cannot look at `https://h/a`: fatal: unable to access 'https://h/a/': The requested URL returned error: 301; it redirects, which is not followed: write the address that it redirects to");
    }
}
