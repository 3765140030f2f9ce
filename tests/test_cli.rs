//! `fairlead test`, against the embedded registry.

#![allow(clippy::disallowed_methods, reason = "runs the command as a user does")]

#[path = "support/faults.rs"]
#[allow(dead_code, reason = "one answer is enough here")]
mod faults;

use std::process::Command;

use fairlead::adapters::embedded::{Image, Registry};

/// What is printed, with what changes from run to run left out, and the exit code.
async fn run(registry: &Registry, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.arg("test").args(arguments).env_clear().env("LOGIN", "team:s3cret");
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("the command is waited for").expect("the command runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace(registry.host(), "HOST");
    let shown = |line: &str| match line.split_once(": ") {
        Some(("time", _)) => "time:      T".to_owned(),
        Some((name, _)) if name.ends_with("\"seconds\"") => "  \"seconds\": T,".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(shown).collect();
    format!("{}\nexit code {:?}", lines.join("\n"), output.status.code())
}

#[tokio::test]
async fn what_the_registry_still_grants_is_shown() {
    let registry = registry().await;
    let server = faults::Server::start(|_, _| {
        let headers = [("content-type", "application/json"), ("ratelimit-remaining", "76;w=21600")];
        faults::Reply::Send(faults::answer(200, &headers, r#"{"tags":["1.0.0"]}"#))
    });
    let server = server.await;
    let image = format!("{}/team/app", server.host());
    let shown = run(&registry, &[&image, "--plain-http", server.host()]).await.replace(server.host(), "HOST");
    insta::assert_snapshot!(shown, @"
    image:     HOST/team/app
    asked:     http://HOST for `team/app`
    login:     none
    requests:  1 tags
    quota:     76 tags left
    time:      T
    tags:      1 on 1 page
    left out:  none
    chosen:    1.0.0
    exit code Some(0)
    ");
}

async fn registry() -> Registry {
    let registry = Registry::start().await.expect("loopback has a free port");
    for tag in ["1.0.0", "1.0.1", "1.1.0", "latest"] {
        registry.push("team/app", tag, &Image::default());
    }
    registry
}

#[tokio::test]
async fn what_would_be_chosen_is_shown_with_where_and_how_it_was_asked() {
    let registry = registry().await;
    let image = format!("{}/team/app", registry.host());
    let arguments = [image.as_str(), "--plain-http", registry.host(), "--constraint", "~1.0"];
    insta::assert_snapshot!(run(&registry, &arguments).await, @"
    image:     HOST/team/app
    asked:     http://HOST for `team/app`
    login:     none
    requests:  1 tags
    time:      T
    tags:      4 on 1 page
    left out:  1 no versions, 1 outside the constraint
    runner-up: 1.0.0
    chosen:    1.0.1
    exit code Some(0)
    ");
    insta::assert_snapshot!(run(&registry, &[&arguments[..], &["-o", "json"]].concat()).await, @r#"
    {
      "image": "HOST/team/app",
      "endpoint": "http://HOST",
      "repository": "team/app",
      "entry": null,
      "login": null,
      "noIdentity": null,
      "requests": {
        "tags": 1
      },
      "quotas": {},
      "seconds": T,
      "tags": 4,
      "counts": {
        "listed": 4,
        "notAllowed": 0,
        "ignored": 0,
        "unusable": 1,
        "outside": 1,
        "wrongPlatform": 0,
        "held": 0,
        "eligible": 2
      },
      "chosen": "1.0.1",
      "runnerUp": "1.0.0",
      "problem": null
    }
    exit code Some(0)
    "#);
}

#[tokio::test]
async fn a_login_is_named_and_never_shown() {
    let registry = registry().await;
    let image = format!("{}/team/app", registry.host());
    let arguments = [image.as_str(), "--plain-http", registry.host(), "--credentials", "env:LOGIN"];
    let shown = run(&registry, &arguments).await;
    assert!(!shown.contains("s3cret"), "{shown}");
    insta::assert_snapshot!(shown, @"
    image:     HOST/team/app
    asked:     http://HOST for `team/app`, by the entry `HOST`
    login:     `env:LOGIN`, by the entry `HOST`
    requests:  1 ping, 1 tags
    time:      T
    tags:      4 on 1 page
    left out:  1 no versions
    runner-up: 1.0.1
    chosen:    1.1.0
    exit code Some(0)
    ");
}

#[tokio::test]
async fn what_fails_is_said_with_a_hint() {
    let registry = registry().await;
    let host = registry.host();
    let (image, other) = (format!("{host}/team/app"), format!("{host}/team/other"));
    insta::assert_snapshot!(run(&registry, &[&other, "--plain-http", host]).await, @"
    image:     HOST/team/other
    asked:     http://HOST for `team/other`
    login:     none
    requests:  1 tags
    time:      T
    failed:    RepositoryNotFound: cannot list tags of `HOST/team/other`: the registry answers 404 Not Found (`NAME_UNKNOWN`); check the name; some registries say so, too, when the login may not see it
    exit code Some(1)
    ");
    insta::assert_snapshot!(run(&registry, &[&image, "--plain-http", host, "--constraint", ">=9"]).await, @"
    image:     HOST/team/app
    asked:     http://HOST for `team/app`
    login:     none
    requests:  1 tags
    time:      T
    tags:      4 on 1 page
    left out:  1 no versions, 3 outside the constraint
    failed:    NoTagAllowed: none of 4 tags passes the rule: 1 not usable under the strategy, 3 outside of the constraint
    exit code Some(1)
    ");
    insta::assert_snapshot!(run(&registry, &[&image, "--plain-http", host, "--constraint", "oops"]).await, @"
    error: --constraint: cannot read the constraint `oops`: `oops` at character 1 is not a version; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
    exit code Some(2)
    ");
    insta::assert_snapshot!(run(&registry, &[&image, "--credentials", "env:NONE"]).await, @"
    image:     HOST/team/app
    requests:  none
    time:      T
    failed:    CredentialsUnavailable: cannot list tags of `HOST/team/app`: the variable `NONE` is not set; the registries configuration wants it for `HOST`
    exit code Some(1)
    ");
    insta::assert_snapshot!(run(&registry, &[&image, "--credentials", "vault"]).await, @"
    error: --credentials: `vault` names no namespace: write `pullsecret:NAMESPACE/vault`
    exit code Some(2)
    ");
    insta::assert_snapshot!(run(&registry, &[&image, "--registries-conf", "/none.conf"]).await, @"
    error: cannot read `/none.conf`: No such file or directory (os error 2)
    exit code Some(1)
    ");
}
