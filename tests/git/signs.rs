//! Signatures, as Git itself verifies them; needs `ssh-keygen` and `gpg`.

use std::path::Path;
use std::process::Command;

use fairlead::model::{CommitSigning, GitLogin, Reason, SecretRef, SigningMethod};
use fairlead::ports::{Git as _, SecretData};

use crate::support::{Remotes, Vault, engine_with, plan, settings};

const FILES: &[(&str, &str)] = &[("values.yaml", "tag: 1.0.0\n")];

fn run(program: &str, arguments: &[&str], home: &Path) -> (bool, String) {
    let output = Command::new(program).args(arguments).current_dir(home).env("GNUPGHOME", home).output();
    let output = output.unwrap_or_else(|error| panic!("install `{program}`, which these tests need: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// Writes a signed commit with the private key `key`; gives what came of it.
async fn written(method: SigningMethod, key: &str) -> (Remotes, Result<String, (Reason, String)>) {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let secret = SecretRef { namespace: "argocd".to_owned(), name: "signing".to_owned() };
    let data = SecretData([("key".to_owned(), key.as_bytes().to_vec())].into());
    let (engine, _) =
        engine_with(settings(state.path()), GitLogin::anonymous(), Vault(vec![(secret.clone(), data)])).await;
    let mut plan = plan(&address, "web", "values.yaml", "1.0.0", "1.0.1");
    plan.commit.signing = Some(CommitSigning { method, secret, key: "key".to_owned() });
    let written = engine.write(plan).await;
    (remotes, written.map(|written| written.commit.to_string()).map_err(|error| (error.reason, error.message)))
}

#[tokio::test]
async fn git_verifies_a_signature_by_an_ssh_key() {
    let home = tempfile::tempdir().expect("a folder");
    assert!(run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "key"], home.path()).0);
    let key = std::fs::read_to_string(home.path().join("key")).expect("a key");
    let public = std::fs::read_to_string(home.path().join("key.pub")).expect("a key");
    let (remotes, commit) = written(SigningMethod::Ssh, &key).await;
    let commit = commit.expect("a signed commit");
    let signers = home.path().join("signers");
    std::fs::write(&signers, format!("fairlead@example.com {public}")).expect("a file");
    let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    remotes.git(&["-c", &signers, "verify-commit", &commit]);
}

#[tokio::test]
async fn git_verifies_a_signature_by_an_openpgp_key() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("ours");
    let make = [
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-gen-key",
        "fairlead <fairlead@example.com>",
        "ed25519",
        "sign",
    ];
    let (well, said) = run("gpg", &make, home.path());
    assert!(well, "{said}");
    let (_, key) = run("gpg", &["--batch", "--armor", "--export-secret-keys"], home.path());
    let (remotes, commit) = written(SigningMethod::OpenPgp, &key).await;
    let commit = commit.expect("a signed commit");
    let repository = remotes.repository();
    let arguments = ["-C", repository.to_str().expect("a readable path"), "verify-commit", &commit];
    let (verified, said) = run("git", &arguments, home.path());
    run("gpgconf", &["--kill", "all"], home.path());
    assert!(verified, "{said}");
}

#[tokio::test]
async fn nothing_is_pushed_unsigned_when_signing_fails() {
    for method in [SigningMethod::Ssh, SigningMethod::OpenPgp] {
        let (remotes, commit) = written(method, "no key").await;
        let (reason, message) = commit.expect_err("no signature");
        assert_eq!(reason, Reason::SigningFailed, "{message}");
        assert!(message.contains("`key` of the Secret `argocd/signing`"), "{message}");
        assert_eq!(remotes.commits("main"), 1);
    }
}
