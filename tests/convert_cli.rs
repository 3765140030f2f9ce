//! `fairlead convert`, as a person runs it.
#![cfg(feature = "operator")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::io::Write;
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error of the command in a folder with these files.
fn run(arguments: &[&str], files: &[(&str, &str)], input: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.arg("convert").args(arguments).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have closed its input already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("{}{}exit code {}", text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

const WEB: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: web-1
  namespace: apps
  annotations:
    argocd-image-updater.argoproj.io/image-list: web=nginx:~1.0, api=ghcr.io/org/api:latest
    argocd-image-updater.argoproj.io/web.allow-tags: ^1\\.0\\.
    argocd-image-updater.argoproj.io/api.update-strategy: digest
    argocd-image-updater.argoproj.io/pull-secret: pull
";

#[test]
fn one_application_becomes_one_policy_with_comments() {
    insta::assert_snapshot!(run(&["a.yaml"], &[("a.yaml", WEB)], ""), @r"
    apiVersion: fairlead.dev/v1alpha1
    kind: ImageUpdatePolicy
    metadata:
      name: web-1
      namespace: apps
    spec:
      applications:
      - name: web-1
      defaults:
        pullSecret:
          name: pull
      images:
        # web-1 (a.yaml:8): web.allow-tags: `^1\.0\.` is read as a regular expression; `regexp:^1\.0\.` says so exactly
        - alias: web
          image: nginx
          constraint: ~1.0
          allowTags:
            regex: ^1\.0\.
        - alias: api
          image: ghcr.io/org/api
          strategy: Digest
          constraint: latest
    exit code 0
    ");
}

#[test]
fn equal_applications_share_a_policy_and_others_have_their_own() {
    let second = WEB.replace("web-1", "web-2");
    let other = WEB.replace("web-1", "web-3").replace("~1.0", "~1.1");
    let elsewhere = WEB.replace("web-1", "web-4").replace("apps", "team");
    let all = [WEB, &second, &other, &elsewhere].join("---\n").replace("^1", "regexp:^1");
    let said = run(&["-"], &[], &all);
    let shape = |line: &&str| ["---", "  name", "  - name", "exit"].iter().any(|start| line.starts_with(start));
    let shape: Vec<&str> = said.lines().filter(shape).collect();
    insta::assert_snapshot!(shape.join("\n"), @"
      name: web
      namespace: apps
      - name: web-1
      - name: web-2
    ---
      name: web-3
      namespace: apps
      - name: web-3
    ---
      name: web-4
      namespace: team
      - name: web-4
    exit code 0
    ");
}

#[test]
fn a_broken_document_is_named_and_the_others_go_on() {
    let text = format!(
        "a: [\n---\nkind: Secret\nstringData: {{ password: [hunter2\n---\n{WEB}---\napiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{ name: [a] }}\n"
    );
    let said = run(&["a.yaml"], &[("a.yaml", &text)], "");
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said.split_once("kind: ImageUpdatePolicy").unwrap().1, @r"

    metadata:
      name: web-1
      namespace: apps
    spec:
      applications:
      - name: web-1
      defaults:
        pullSecret:
          name: pull
      images:
        # web-1 (a.yaml:13): web.allow-tags: `^1\.0\.` is read as a regular expression; `regexp:^1\.0\.` says so exactly
        - alias: web
          image: nginx
          constraint: ~1.0
          allowTags:
            regex: ^1\.0\.
        - alias: api
          image: ghcr.io/org/api
          strategy: Digest
          constraint: latest
    error: a.yaml:1: unclosed bracket '['
    error: a.yaml:2: the document cannot be read
    error: a.yaml:17: the Application cannot be read: invalid type: sequence, expected a string
    exit code 1
    ");
}

#[test]
fn json_and_lists_are_read_as_well() {
    let object = |name: &str, kind: &str| {
        let list = serde_json::json!({ "argocd-image-updater.argoproj.io/image-list": "nginx:1.x" });
        let mut object = serde_json::json!({ "metadata": { "name": name, "annotations": list } });
        if !kind.is_empty() {
            object["apiVersion"] = "argoproj.io/v1alpha1".into();
            object["kind"] = kind.into();
        }
        object
    };
    let list = serde_json::json!({ "kind": "List", "items": [object("a", "Application"), object("b", "AppProject")] });
    let typed = serde_json::json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationList", "items": [object("c", "")] });
    let files = [("a.json", format!("{list:#}")), ("b.json", typed.to_string())];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    insta::assert_snapshot!(run(&["a.json", "b.json", "--namespace", "team"], &files, ""), @"
    apiVersion: fairlead.dev/v1alpha1
    kind: ImageUpdatePolicy
    metadata:
      name: a
      namespace: team
    spec:
      applications:
      - name: a
      - name: c
      images:
        - image: nginx
          constraint: 1.x
    exit code 0
    ");
}

#[test]
fn what_means_nothing_is_told() {
    insta::assert_snapshot!(run(&["a.yaml"], &[("a.yaml", "kind: ConfigMap\n")], ""), @"
    error: there is nothing to convert: no Application carries an image list, and there is no ImageUpdater
    exit code 1
    ");
    insta::assert_snapshot!(run(&["missing.yaml"], &[], ""), @"
    error: cannot read `missing.yaml`: No such file or directory (os error 2)
    exit code 1
    ");
    let wrong = WEB.replace("nginx:~1.0", "nginx:>>1").replace("latest", "~1");
    insta::assert_snapshot!(run(&["a.yaml"], &[("a.yaml", &wrong)], ""), @r"
    # left out: web-1 (a.yaml:7): image-list: cannot read the constraint `>>1`: `>>1` at character 1 is not a version; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
    # left out: web-1 (a.yaml:7): image-list: `~1` is not a tag, and strategy Digest follows one tag; for example `latest`; a range needs another strategy
    # web-1 (a.yaml:8): web.allow-tags: `^1\.0\.` is read as a regular expression; `regexp:^1\.0\.` says so exactly
    error: 2 things could not be carried over: see the comments
    exit code 1
    ");
    let code = run(&["--from", "policies"], &[], "");
    assert!(code.ends_with("exit code 2"), "{code}");
}

const UPDATER: &str = "\
apiVersion: argocd-image-updater.argoproj.io/v1alpha1
kind: ImageUpdater
metadata: { name: fleet, namespace: apps }
spec:
  commonUpdateSettings: { updateStrategy: newest-build }
  writeBackConfig:
    method: git
    gitConfig: { branch: main }
  applicationRefs:
  - namePattern: api-*
    images:
    - alias: api
      imageName: ghcr.io/org/api:~2
      commonUpdateSettings: { updateStrategy: latest }
    - alias: bad
      imageName: ghcr.io/org/bad:~2
      commonUpdateSettings:
        platforms: [arm]
  - namePattern: web-*
    useAnnotations: true
";

#[test]
fn image_updaters_become_policies_and_their_applications_are_theirs() {
    insta::assert_snapshot!(run(&["u.yaml", "a.yaml"], &[("u.yaml", UPDATER), ("a.yaml", WEB)], ""), @r"
    # ImageUpdater fleet (u.yaml:1): Application `web-1`, metadata.annotations[argocd-image-updater.argoproj.io/web.allow-tags]: `^1\.0\.` is read as a regular expression; `regexp:^1\.0\.` says so exactly
    ---
    apiVersion: fairlead.dev/v1alpha1
    kind: ImageUpdatePolicy
    metadata:
      name: fleet-1
      namespace: apps
    spec:
      applications:
      - name: api-*
      # left out: ImageUpdater fleet (u.yaml:18): spec.applicationRefs[0].images[1].commonUpdateSettings.platforms[0]: `arm` is not a platform; write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`
      images:
        # ImageUpdater fleet (u.yaml:14): spec.applicationRefs[0].images[0].commonUpdateSettings.updateStrategy: `latest` is an older name of the strategy `newest-build`; write `newest-build`
        - alias: api
          image: ghcr.io/org/api
          strategy: NewestBuild
          constraint: ~2
      writeBack:
        method: Git
        git:
          branch: main
          credentials: ArgoCD
    ---
    apiVersion: fairlead.dev/v1alpha1
    kind: ImageUpdatePolicy
    metadata:
      name: fleet-2
      namespace: apps
    spec:
      applications:
      - name: web-1
      defaults:
        pullSecret:
          name: pull
      images:
        - alias: web
          image: nginx
          constraint: ~1.0
          allowTags:
            regex: ^1\.0\.
        - alias: api
          image: ghcr.io/org/api
          strategy: Digest
          constraint: latest
    error: one thing could not be carried over: see the comment
    exit code 1
    ");
}

#[test]
fn one_source_alone_is_converted_when_asked_for() {
    let files = [("all.yaml", &*format!("{UPDATER}---\n{WEB}"))];
    let names = |arguments: &[&str]| {
        let said = run(arguments, &files, "");
        said.lines().filter(|line| line.starts_with("  name: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["all.yaml", "--from", "annotations"]), ["  name: web-1"]);
    assert_eq!(names(&["all.yaml", "--from", "imageupdater"]), ["  name: fleet-1", "  name: fleet-2"]);
}
