//! Whom we trust, whom we tell our secrets, and what failures of servers mean.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fairlead::adapters::git::{GitOperation, GitSettings};
use fairlead::model::{Concealed, GitEntry, GitLogin, GitTls, HostKeys, LoginMethod, Reason};
use fairlead::ports::{Clock as _, Git as _};
use russh::keys::ssh_key::LineEnding;

use crate::server::{Mood, Server, basic};
use crate::ssh::{SshServer, new_key};
use crate::support::{Remotes, alone, at, engine, plan, settings};
use crate::tls;

pub const FILES: &[(&str, &str)] = &[("values.yaml", "tag: 1.0.0\n")];

/// A login with this password.
pub fn bot(password: &str) -> GitLogin {
    let method = LoginMethod::Basic { username: "bot".to_owned(), password: Concealed::new(password) };
    GitLogin { method, ..GitLogin::anonymous() }
}

/// The reason why `address` has no tip for `login`.
pub async fn reason(address: &str, login: GitLogin) -> (Reason, String) {
    let state = tempfile::tempdir().expect("a folder");
    let mut settings = settings(state.path());
    settings.time = Duration::from_secs(20);
    let (engine, _) = engine(settings, login).await;
    let since = fairlead::adapters::clock::SystemClock.now();
    let error = engine.tip(&at(address), since).await.expect_err("no tip");
    (error.reason, error.message)
}

#[tokio::test]
async fn failures_of_a_server_have_their_reasons_and_show_no_secret() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret-canary"))).await;
    let address = format!("http://{}/web.git", server.host);
    let table = [
        (401, Reason::GitDenied),
        (403, Reason::GitDenied),
        (404, Reason::GitRepositoryNotFound),
        (500, Reason::GitUnreachable),
        (503, Reason::GitUnreachable),
        (302, Reason::GitFailed),
    ];
    for (status, expected) in table {
        server.set(Mood::Status(status));
        let (reason, message) = reason(&address, bot("s3cret-canary")).await;
        assert_eq!(reason, expected, "{status}: {message}");
        assert!(!message.contains("canary") && message.contains(&address), "{message}");
        assert_eq!(message.contains("redirects"), status == 302, "{message}");
    }
    server.set(Mood::Kind);
    assert_eq!(reason(&address, bot("wrong")).await.0, Reason::GitDenied);
    assert_eq!(reason(&address, GitLogin::anonymous()).await.0, Reason::GitDenied);
    assert_eq!(reason("http://127.0.0.1:1/web.git", GitLogin::anonymous()).await.0, Reason::GitUnreachable);
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_in_time() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), None).await;
    server.set(Mood::Silent);
    let state = tempfile::tempdir().expect("a folder");
    let mut settings = settings(state.path());
    settings.time = Duration::from_millis(800);
    let (engine, _) = engine(settings, GitLogin::anonymous()).await;
    let address = format!("http://{}/web.git", server.host);
    let since = fairlead::adapters::clock::SystemClock.now();
    assert_eq!(engine.tip(&at(&address), since).await.expect_err("silence").reason, Reason::GitTimeout);
}

#[tokio::test]
async fn a_certificate_counts_where_its_authority_is_known() {
    let remotes = Remotes::new(FILES);
    let server = Server::start(remotes.folder.path(), None).await;
    let host = server.with_tls(tls::config()).await;
    let address = format!("https://{host}/web.git");
    assert_eq!(reason(&address, GitLogin::anonymous()).await.0, Reason::GitNotTrusted);
    let state = tempfile::tempdir().expect("a folder");
    let tls = GitTls { authorities: Some(tls::certificate()), ..GitTls::default() };
    let (engine, _) = engine(settings(state.path()), GitLogin { tls, ..GitLogin::anonymous() }).await;
    let written = engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await.expect("a trusted server");
    assert!(written.pushed);
}

#[tokio::test]
async fn ssh_takes_our_key_and_only_the_host_key_that_is_known() {
    let (remotes, key) = (Remotes::new(FILES), new_key());
    let server = SshServer::start(remotes.folder.path(), key.public_key()).await;
    let address = format!("ssh://git@127.0.0.1:{}/web.git", server.port);
    let login = |key: &russh::keys::PrivateKey, known: &str| {
        let private_key = Concealed::new(key.to_openssh(LineEnding::LF).expect("a key").as_str());
        let host_keys = HostKeys::Known(known.to_owned());
        GitLogin { method: LoginMethod::Ssh { private_key }, host_keys, ..GitLogin::anonymous() }
    };
    assert_eq!(reason(&address, login(&key, "")).await.0, Reason::GitNotTrusted, "an unknown host");
    let other = new_key().public_key().to_openssh().expect("a key");
    let wrong = format!("[127.0.0.1]:{} {other}\n", server.port);
    assert_eq!(reason(&address, login(&key, &wrong)).await.0, Reason::GitNotTrusted, "another key than the known one");
    assert_eq!(
        reason(&address, login(&new_key(), &server.known_host)).await.0,
        Reason::GitDenied,
        "somebody else's key"
    );
    let state = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(settings(state.path()), login(&key, &server.known_host)).await;
    let written = engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await.expect("a push by SSH");
    assert!(written.pushed);
    assert_eq!(remotes.text("main", "values.yaml").as_deref(), Some("tag: 1.0.1\n"));
}

/// Every process and its environment, and every file below `folder`.
pub fn seen(folder: &std::path::Path) -> Vec<u8> {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        // Our own memory of the test is not what is looked at.
        if entry.file_name().to_string_lossy().parse::<u32>().is_ok_and(|id| id != std::process::id()) {
            for name in ["cmdline", "environ"] {
                seen.extend(std::fs::read(entry.path().join(name)).unwrap_or_default());
            }
        }
    }
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        seen.extend(std::fs::read(entry.path()).unwrap_or_default());
    }
    seen
}

/// Whether `text` is in `bytes`.
pub fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_seen_nowhere_while_a_push_is_held_or_after_it() {
    let remotes = Remotes::new(FILES);
    let canary = "canary-7f3a9e51d2";
    let server = Server::start(remotes.folder.path(), Some(basic("bot", canary))).await;
    let encoded = basic("bot", canary).replace("Basic ", "");
    let address = format!("http://{}/web.git", server.host);
    let state = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(settings(state.path()), bot(canary)).await;
    server.set(Mood::HoldsPushes);
    let writing =
        tokio::spawn(async move { engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await });
    server.arrived().await;
    let held = seen(state.path());
    assert!(held.windows(9).any(|bytes| bytes == b"git\0-c\0co"), "the push is among what is looked at");
    assert!(!has(&held, canary) && !has(&held, &encoded), "while the push is held");
    server.go_on();
    writing.await.expect("no panic").expect("written");
    let after = seen(state.path());
    assert!(!has(&after, canary) && !has(&after, &encoded), "after the push");
}

#[tokio::test]
async fn a_hundred_commands_that_are_killed_leave_no_process() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    // Under a name of their own: other tests of this process leave behind what is theirs.
    let (script, sleeper) = (state.path().join("git"), state.path().join("sleeper"));
    std::os::unix::fs::symlink("/bin/sleep", &sleeper).expect("ours");
    let sleeper = sleeper.display();
    let version = "case \"$*\" in *version*) echo git version 2.39.5; exit;; esac";
    std::fs::write(&script, format!("#!/bin/sh\n{version}\n{sleeper} 3600 & {sleeper} 3600\n")).expect("ours");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    first_process();
    let mut settings = settings(&state.path().join("copies"));
    (settings.program, settings.time) = (script.clone(), Duration::from_millis(60));
    let (engine, _) = engine(settings, GitLogin::anonymous()).await;
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let clock = fairlead::adapters::clock::SystemClock;
    for _ in 0..100 {
        let error = engine.tip(&at(&address), clock.now()).await.expect_err("it never ends");
        assert_eq!(error.reason, Reason::GitTimeout);
    }
    none_left("sleeper", 'Z').await;
    none_left("sleeper", 'S').await;
}

/// Waits until no process with this name in this state is left of this process; the kernel keeps 15 signs of a name.
async fn none_left(name: &str, state: char) {
    let me = std::process::id().to_string();
    let name: String = name.chars().take(15).collect();
    let (named, is) = (format!("({name}"), format!("{state} {me} "));
    let ours = |stat: &String| {
        stat.rsplit_once(") ").is_some_and(|(head, rest)| head.ends_with(&named) && rest.starts_with(&is))
    };
    let left = || {
        let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok()).filter(ours).count()
    };
    let gone = async {
        while left() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), gone).await.is_ok(), "{} of `{name}` are left", left());
}

/// As the first process of a container, we get what our children leave behind.
fn first_process() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("Linux");
}

#[tokio::test]
async fn what_a_refused_command_leaves_behind_is_waited_for() {
    // Git is started under its own name, as other tests start it: here it is alone in its process.
    let Some(()) = alone("servers::what_a_refused_command_leaves_behind_is_waited_for") else { return };
    first_process();
    let (remotes, key) = (Remotes::new(FILES), new_key());
    let server = Server::start(remotes.folder.path(), None).await;
    let ssh = SshServer::start(remotes.folder.path(), key.public_key()).await;
    let (http, ssh_address) =
        (format!("http://{}/web.git", server.host), format!("ssh://git@127.0.0.1:{}/web.git", ssh.port));
    for status in [401, 404, 500] {
        server.set(Mood::Status(status));
        for _ in 0..10 {
            reason(&http, GitLogin::anonymous()).await;
        }
    }
    let private_key = Concealed::new(new_key().to_openssh(LineEnding::LF).expect("a key").as_str());
    let host_keys = HostKeys::Known(ssh.known_host.clone());
    let login = GitLogin { method: LoginMethod::Ssh { private_key }, host_keys, ..GitLogin::anonymous() };
    for _ in 0..10 {
        assert_eq!(reason(&ssh_address, login.clone()).await.0, Reason::GitDenied);
    }
    for name in ["git", "git-remote-http", "ssh"] {
        none_left(name, 'Z').await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_commands_that_leave_a_child_leave_no_process() {
    first_process();
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let (script, left) = (state.path().join("git"), state.path().join("leftover"));
    std::os::unix::fs::symlink("/bin/sleep", &left).expect("ours");
    let version = "case \"$*\" in *version*) echo git version 2.39.5; exit;; esac";
    let text = format!("#!/bin/sh\n{version}\n{} 3600 <&- >&- 2>&- &\nexit 128\n", left.display());
    std::fs::write(&script, text).expect("ours");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let mut settings = settings(&state.path().join("copies"));
    settings.program = script;
    let (engine, _) = engine(settings, GitLogin::anonymous()).await;
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let clock = fairlead::adapters::clock::SystemClock;
    for _ in 0..10_000 {
        assert_eq!(
            engine.tip(&at(&address), clock.now()).await.expect_err("it fails").reason,
            Reason::GitFailed,
            "it ends by itself"
        );
    }
    for state in ['S', 'R', 'Z'] {
        none_left("leftover", state).await;
    }
}

#[tokio::test]
async fn a_fetch_that_gets_no_answer_is_left_in_time_and_costs_nothing_later() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), None).await;
    let address = format!("http://{}/web.git", server.host);
    let settings = GitSettings { time: Duration::from_secs(3), ..settings(state.path()) };
    let (engine, counter) = engine(settings, GitLogin::anonymous()).await;
    let tip = engine.tip(&at(&address), fairlead::adapters::clock::SystemClock.now()).await.expect("a tip");
    server.set(Mood::Silent);
    let paths = ["values.yaml".to_owned()];
    let error = engine.read(&at(&address), &tip, &paths).await.expect_err("silence");
    assert_eq!(error.reason, Reason::GitTimeout);
    assert_eq!(counter.count(GitOperation::Fetch), 1, "not again in the same look");
    server.set(Mood::Kind);
    let entries = engine.read(&at(&address), &tip, &paths).await.expect("entries");
    assert_eq!(entries, [GitEntry::File("tag: 1.0.0\n".to_owned())]);
}
