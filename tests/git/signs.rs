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

/// A key of `OpenPGP` for each of `users`, in one armour, with their fingerprints.
fn open_pgp(users: &[&str]) -> (tempfile::TempDir, String, Vec<String>) {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("ours");
    for user in users {
        let make = ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", user, "ed25519", "sign"];
        let (well, said) = run("gpg", &make, home.path());
        assert!(well, "{said}");
    }
    let (_, key) = run("gpg", &["--batch", "--armor", "--export-secret-keys"], home.path());
    let (_, list) = run("gpg", &["--batch", "--with-colons", "--list-secret-keys"], home.path());
    let prints = list.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).map(|rest| rest.replace(':', ""));
    let prints = prints.collect();
    (home, key, prints)
}

#[tokio::test]
async fn of_several_openpgp_keys_that_of_the_author_signs() {
    let users = ["Ann <ann@example.com>", "fairlead <fairlead@example.com>", "Bob <bob@example.com>"];
    let (home, key, prints) = open_pgp(&users);
    let (remotes, commit) = written(SigningMethod::OpenPgp, &key).await;
    let commit = commit.expect("a signed commit");
    let repository = remotes.repository();
    let arguments = ["-C", repository.to_str().expect("a readable path"), "verify-commit", "--raw", &commit];
    let (verified, said) = run("git", &arguments, home.path());
    run("gpgconf", &["--kill", "all"], home.path());
    assert!(verified && said.contains(&format!("VALIDSIG {}", prints[1])), "{said}");
}

#[tokio::test]
async fn several_openpgp_keys_of_others_are_refused() {
    let (home, key, _) = open_pgp(&["Ann <ann@example.com>", "Bob <bob@example.com>"]);
    run("gpgconf", &["--kill", "all"], home.path());
    let (remotes, commit) = written(SigningMethod::OpenPgp, &key).await;
    let (reason, message) = commit.expect_err("which one?");
    assert_eq!((reason, remotes.commits("main")), (Reason::SigningFailed, 1));
    insta::assert_snapshot!(message, @"cannot sign the commit with `key` of the Secret `argocd/signing`: it holds 2 keys, of which 0 are good and of the author `fairlead@example.com`; keep only the one that is to sign");
}

/// Set for the process that is killed while it signs: the folder that it works in.
const CHILD: &str = "FAIRLEAD_TEST_SIGNER";

/// The process that is killed. Without the variable there is nothing to do.
#[tokio::test]
async fn the_process_that_is_killed_while_it_signs() {
    let Some(folder) = std::env::var_os(CHILD).map(std::path::PathBuf::from) else { return };
    let key = std::fs::read_to_string(folder.join("key")).expect("ours");
    let _ = written(SigningMethod::OpenPgp, &key).await;
}

#[tokio::test]
async fn a_key_that_a_killed_process_left_is_removed_at_the_next_start() {
    let (home, key, _) = open_pgp(&["fairlead <fairlead@example.com>"]);
    run("gpgconf", &["--kill", "all"], home.path());
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    std::fs::write(place.join("key"), &key).expect("ours");
    // A `gpg` that has the key, and waits before it signs.
    let path = std::env::var("PATH").expect("a path");
    let script = |name: &str, text: &str| {
        let text = format!("#!/bin/sh\nPATH={path}\n{text}\nexec {name} \"$@\"\n");
        std::fs::write(place.join(name), text).expect("ours");
        std::fs::set_permissions(place.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    };
    let f = place.display();
    script(
        "gpg",
        &format!(
            "case \"$*\" in *--detach-sign*) echo $$ > {f}/gpg.pid; echo \"$GNUPGHOME\" > {f}/home; sleep 3600;; esac"
        ),
    );
    script("gpg-agent", &format!("echo $$ > {f}/agent.pid"));
    let mut command = Command::new(std::env::current_exe().expect("a test"));
    command.args(["signs::the_process_that_is_killed_while_it_signs", "--exact"]).env(CHILD, place);
    command.env("PATH", format!("{f}:{path}")).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap_or_default().trim().to_owned();
    while text("home").is_empty() {
        assert_eq!(child.try_wait().expect("our child"), None, "it signs");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().expect("our child");
    child.wait().expect("our child");
    let left = std::path::PathBuf::from(text("home"));
    let files = walkdir::WalkDir::new(&left).into_iter().flatten().filter(|entry| entry.file_type().is_file()).count();
    assert!(files > 0, "a killed process cleans nothing up");
    assert!(left.starts_with("/dev/shm") || !Path::new("/dev/shm").exists(), "{}: no disk", left.display());

    let state = tempfile::tempdir().expect("a folder");
    crate::support::engine(settings(state.path()), GitLogin::anonymous()).await;
    assert!(!left.exists(), "the next start removes it");
    for name in ["gpg.pid", "agent.pid"] {
        let pid = text(name).parse().ok().and_then(rustix::process::Pid::from_raw).expect("an id");
        // It may have noticed by itself.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}
