//! Writing to Git through the whole pipeline, on repositories in memory: which file, which bytes, when not, and what is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::{ApplicationId, GitEntry, Reason, Report};
use fairlead::pipeline;
use fairlead::ports::GitError;
use serde_json::json;
use world::World;

const REPOSITORY: &str = "https://git.example/web";
const APP: &str = "registry.example/app";
const OVERRIDE: &str = "chart/.argocd-source-app.yaml";

fn policy(git: &str) -> String {
    policy_of("image: registry.example/app, constraint: ~1.0", git)
}

fn policy_of(image: &str, git: &str) -> String {
    format!("applications: [{{ name: app }}]\nimages: [{{ {image} }}]\nwriteBack: {{ method: Git, git: {git} }}")
}

/// A Helm Application that runs 1.0.0, and a repository with `files`.
fn world(policy: &str, files: &[(&str, &str)]) -> World {
    let world = World::new(policy)
        .helm("app", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1", "1.0.2", "1.2.0"]);
    world.git.push(REPOSITORY, "main", "README.md", "read me\n");
    for (path, text) in files {
        world.git.push(REPOSITORY, "main", path, text);
    }
    world
}

fn text(world: &World, path: &str) -> String {
    world.git.text(REPOSITORY, "main", path).unwrap_or_else(|| "missing".to_owned())
}

/// What a look said of its first image, or of the policy.
fn said(report: &Report) -> String {
    let problems = report.problems.iter().map(|problem| format!("{}: {problem}", problem.reason));
    let images = report.images.iter().map(|image| format!("{}: {}", image.reason, image.message));
    problems.chain(images).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_override_file_is_made_and_twenty_more_looks_write_nothing() {
    let mut world = world(&policy("{}"), &[]);
    let report = world.look().await;
    insta::assert_snapshot!(text(&world, OVERRIDE), @"
    helm:
      parameters:
      - name: image.tag
        value: 1.0.2
        forceString: true
    ");
    let image = &report.images[0];
    assert_eq!(image.reason, Reason::Updated);
    insta::assert_snapshot!(image.destination.as_deref().unwrap(), @"https://git.example/web@main:chart/.argocd-source-app.yaml:spec.source.helm.parameters[name=image.tag]");
    let commit = world.git.log(REPOSITORY, "main").pop().unwrap();
    assert_eq!(image.commit.as_deref(), Some(commit.id.as_str()));
    insta::assert_snapshot!(commit.message, @"
    build: automatic update of app

    updates image app tag '1.0.0' to '1.0.2'

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    ");
    assert_eq!(commit.author, "fairlead <fairlead@noreply.invalid>");
    assert_eq!(world.applications.refreshed(), [ApplicationId::new("argocd", "app")]);
    assert_eq!(world.applications.writes(), 0, "the Application itself is not written");
    let told = world.status.clone();
    for _ in 0..20 {
        let report = world.look().await;
        assert_eq!(pipeline::events(&report, told.as_ref()), []);
    }
    let (lookups, writes, commits) = world.git.asked();
    assert_eq!((lookups, writes, commits), (21, 1, 1), "a look costs one look-up of refs while Argo CD has not synced");
    assert_eq!(world.status.unwrap().images[0].commit, Some(commit.id.to_string()));
}

#[tokio::test]
async fn an_override_file_holds_the_parameters_of_the_application_too() {
    let mut world =
        world(&policy("{}"), &[(OVERRIDE, "# by hand\nhelm:\n  # values\n  valueFiles: [a.yaml] # kept\n")]);
    world.edit("app", |object| {
        object["spec"]["source"]["helm"] = json!({ "parameters": [
            { "name": "replicas", "value": "3" },
            { "name": "image.tag", "value": "1.0.1", "forceString": true },
        ] });
    });
    world.look().await;
    insta::assert_snapshot!(text(&world, OVERRIDE), @r#"
    # by hand
    helm:
      # values
      valueFiles: [a.yaml] # kept
      parameters:
        - name: replicas
          value: "3"
        - name: image.tag
          value: 1.0.2
          forceString: true
    "#);
}

#[tokio::test]
async fn a_list_of_an_override_file_gets_what_it_lacks_of_the_application() {
    let before = "helm:\n  parameters:\n  - name: image.tag # ours\n    value: 1.0.0\n    forcestring: true\n  - name: own\n    value: a\n";
    let mut world = world(&policy("{}"), &[(OVERRIDE, before)]);
    world.edit("app", |object| {
        object["spec"]["source"]["helm"] = json!({ "parameters": [
            { "name": "replicas", "value": "3" },
            { "name": "image.tag", "value": "0.9" },
            { "name": "own", "value": "b" },
        ] });
    });
    world.look().await;
    let after = before.replace("1.0.0", "1.0.2") + "  - name: replicas\n    value: \"3\"\n";
    assert_eq!(text(&world, OVERRIDE), after);
    world.look().await;
    assert_eq!((text(&world, OVERRIDE), world.git.asked().2), (after, 1));

    let path = "base/.argocd-source-app.yaml";
    let before = "kustomize:\n  images:\n  - registry.example/app:1.0.0 # ours\n  - nginx:2\n";
    let mut kustomize = World::new(&policy("{}"))
        .kustomize("app", &["nginx:1", "redis=registry.example/redis:7"], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    kustomize.git.push(REPOSITORY, "main", path, before);
    kustomize.look().await;
    let after = before.replace("1.0.0", "1.0.2") + "  - redis=registry.example/redis:7\n";
    assert_eq!(text(&kustomize, path), after);
}

#[tokio::test]
async fn a_file_of_the_existing_updater_is_changed_in_place() {
    let before = "helm:\n  parameters:\n  - name: image.name\n    value: registry.example/app\n    forcestring: true\n  - name: image.tag # the tag\n    value: 1.0.0\n    forcestring: true\n";
    let mut world = world(&policy("{}"), &[(OVERRIDE, before)]);
    world.look().await;
    assert_eq!(text(&world, OVERRIDE), before.replace("1.0.0", "1.0.2"));
}

#[tokio::test]
async fn the_value_in_the_file_counts_and_not_what_the_application_says() {
    let file = "helm:\n  parameters:\n  - {name: image.tag, value: 1.0.2, forceString: true}\n";
    let mut world = world(&policy("{}"), &[(OVERRIDE, file)]);
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.git.asked().1), (Reason::UpToDate, 0));
}

#[tokio::test]
async fn existing_names_of_override_files_are_honoured_and_two_refused() {
    let long = "chart/.argocd-source-argocd_app.yaml";
    let mut one = world(&policy("{}"), &[(long, "# mine\n")]);
    one.look().await;
    insta::assert_snapshot!(text(&one, long), @"
    # mine
    helm:
      parameters:
      - name: image.tag
        value: 1.0.2
        forceString: true
    ");
    assert_eq!(text(&one, OVERRIDE), "missing");
    let mut two = world(&policy("{}"), &[(long, "# mine\n"), (OVERRIDE, "# mine, too\n")]);
    insta::assert_snapshot!(said(&two.look().await), @"AmbiguousFile: `https://git.example/web` holds `chart/.argocd-source-app.yaml` and `chart/.argocd-source-argocd_app.yaml`, and which one counts is not certain; remove one of them");
}

#[tokio::test]
async fn only_the_override_file_that_argo_cd_reads_is_written() {
    let long = "chart/.argocd-source-argocd_app.yaml";
    let held = "helm:\n  parameters:\n  - name: image.tag\n    value: 1.0.0\n    forceString: true\n";
    let looked_after = |by: &str, files: &[(&str, &str)]| {
        let world = world(&policy("{}"), files);
        world.edit("app", |object| object["status"]["controllerNamespace"] = json!(by));
        world
    };
    // The bare name is that of an Application of the other namespace.
    for (files, bare) in [(vec![(OVERRIDE, held)], held), (vec![], "missing")] {
        let mut elsewhere = looked_after("other", &files);
        assert_eq!(elsewhere.look().await.images[0].reason, Reason::Updated);
        assert!(text(&elsewhere, long).contains("1.0.2"));
        assert_eq!(text(&elsewhere, OVERRIDE), bare);
    }
    let mut both = looked_after("argocd", &[(OVERRIDE, held), (long, held)]);
    assert_eq!(both.look().await.images[0].reason, Reason::Updated);
    assert_eq!((text(&both, OVERRIDE), text(&both, long)), (held.replace("1.0.0", "1.0.2"), held.to_owned()));
    let mut dead = looked_after("argocd", &[(long, held)]);
    insta::assert_snapshot!(said(&dead.look().await), @"UnusableFile: Argo CD does not read `chart/.argocd-source-argocd_app.yaml` for `argocd/app`; rename it to `chart/.argocd-source-app.yaml`, or remove it");
    assert_eq!((text(&dead, OVERRIDE), text(&dead, long)), ("missing".to_owned(), held.to_owned()));
}

#[tokio::test]
async fn applications_of_one_name_in_two_namespaces_have_override_files_of_their_own() {
    let world = world(&policy("{}"), &[]).beside_in(
        "team",
        "web",
        "2026-02-01T00:00:00Z",
        &policy_of("image: registry.example/app, constraint: 1.0.1", "{}"),
    );
    world.edit("app", |object| object["status"]["controllerNamespace"] = json!("argocd"));
    let object = world.applications.object(&ApplicationId::new("argocd", "app")).unwrap();
    let mut world = world.application_in("team", "app", object["spec"].clone(), object["status"].clone());
    world.look().await;
    let first = text(&world, OVERRIDE);
    world.turn();
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert_eq!(text(&world, "chart/.argocd-source-team_app.yaml"), first.replace("1.0.2", "1.0.1"));
    assert_eq!(text(&world, OVERRIDE), first);
    for _ in 0..2 {
        world.turn();
        assert_eq!(world.look().await.images[0].reason, Reason::UpToDate);
    }
    assert_eq!(world.git.asked().2, 2);
}

#[tokio::test]
async fn an_override_is_not_written_where_argo_cd_does_not_read_it() {
    let at = |path: &str| world(&policy(&format!("{{ path: '{path}' }}")), &[]);
    insta::assert_snapshot!(said(&at("/overrides").look().await), @"InvalidTarget: spec.writeBack.git.path: Argo CD reads no override of `argocd/app` at `overrides`, but at `chart/.argocd-source-app.yaml` or `chart/.argocd-source-argocd_app.yaml`; leave out `path`; for a values file write `target: HelmValues`");
    insta::assert_snapshot!(said(&at(".argocd-source-other.yaml").look().await), @"InvalidTarget: spec.writeBack.git.path: Argo CD reads no override of `argocd/app` at `chart/.argocd-source-other.yaml`, but at `chart/.argocd-source-app.yaml` or `chart/.argocd-source-argocd_app.yaml`; leave out `path`; for a values file write `target: HelmValues`");
    for path in ["/chart", ".", "./.argocd-source-app.yaml"] {
        let mut world = at(path);
        assert_eq!(world.look().await.images[0].reason, Reason::Updated, "{path}");
        assert!(text(&world, OVERRIDE).contains("1.0.2"), "{path}");
    }
    let mut elsewhere = world(&policy("{ repository: https://git.example/copies, path: /overrides }"), &[]);
    elsewhere.git.push("https://git.example/copies", "main", "README.md", "read me\n");
    assert_eq!(
        elsewhere.look().await.images[0].reason,
        Reason::Updated,
        "what is done with another repository is not known"
    );
}

#[tokio::test]
async fn two_sources_of_one_folder_have_no_override_of_their_own() {
    let image =
        "image: registry.example/app, constraint: ~1.0, target: { source: { name: one }, helm: { tag: image.tag } }";
    let source = |name: &str, path: &str| json!({ "repoURL": REPOSITORY, "path": path, "name": name, "helm": {} });
    let two = |path: &str| {
        World::new(&policy_of(image, "{}"))
            .application(
                "app",
                json!({ "sources": [source("one", "chart"), source("two", path)] }),
                json!({ "sourceTypes": ["Helm", "Helm"], "summary": { "images": ["registry.example/app:1.0.0"] } }),
            )
            .tags(APP, &["1.0.0", "1.0.2"])
    };
    let mut shared = two("./chart/");
    shared.git.push(REPOSITORY, "main", "README.md", "read me\n");
    insta::assert_snapshot!(said(&shared.look().await), @"AmbiguousSource: `spec.sources[0]` and `spec.sources[1]` of `argocd/app` lie in one folder, `chart`, and both would read the override; use `target: HelmValues` with a values file of one of them");
    let mut apart = two("other");
    apart.git.push(REPOSITORY, "main", "README.md", "read me\n");
    assert_eq!(apart.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn a_revert_in_git_is_a_rollback() {
    let mut world = world(&policy("{}"), &[]);
    world.look().await;
    let reverted = text(&world, OVERRIDE).replace("1.0.2", "1.0.0");
    world.git.push(REPOSITORY, "main", OVERRIDE, &reverted);
    for _ in 0..3 {
        let report = world.look().await;
        assert_eq!(report.images[0].reason, Reason::RolledBackByHand, "{}", said(&report));
    }
    world.restart();
    assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert!(text(&world, OVERRIDE).contains("1.0.3"));
}

#[tokio::test]
async fn a_person_who_asks_to_go_on_while_git_is_away_is_heard_when_it_is_back() {
    for (resume, expected) in
        [("app/registry.example/app 1", Reason::Updated), ("app/registry.example/other 1", Reason::RolledBackByHand)]
    {
        let mut world = world(&policy("{}"), &[]);
        world.look().await;
        let reverted = text(&world, OVERRIDE).replace("1.0.2", "1.0.0");
        world.git.push(REPOSITORY, "main", OVERRIDE, &reverted);
        assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
        world.git.fail(REPOSITORY, Some(GitError::new(Reason::GitUnreachable, "away")));
        world.annotate("fairlead.dev/resume", resume);
        for _ in 0..3 {
            assert_eq!(world.look().await.images[0].reason, Reason::GitUnreachable);
            world.restart();
        }
        world.git.fail(REPOSITORY, None);
        assert_eq!(world.look().await.images[0].reason, expected, "{resume}");
        world.git.push(REPOSITORY, "main", OVERRIDE, &reverted);
        for _ in 0..2 {
            world.restart();
            assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand, "{resume}: once");
        }
    }
}

#[tokio::test]
async fn a_person_who_commits_meanwhile_is_seen() {
    let values = "image:\n  tag: 1.0.0\n  name: registry.example/app\nreplicas: 1\n";
    let mut world = world(&policy("{ target: HelmValues }"), &[("chart/values.yaml", values)]);
    world.git.move_before_write("chart/values.yaml", &values.replace("replicas: 1", "replicas: 2"));
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert_eq!(
        text(&world, "chart/values.yaml"),
        values.replace("1.0.0", "1.0.2").replace("replicas: 1", "replicas: 2")
    );

    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    let pinned = values.replace("1.0.0", "1.0.4");
    world.git.move_before_write("chart/values.yaml", &pinned);
    let report = world.look().await;
    assert_eq!(report.images[0].reason, Reason::WouldGoBackwards, "{}", said(&report));
    assert_eq!(text(&world, "chart/values.yaml"), pinned);
}

#[tokio::test]
async fn files_that_never_rest_are_left_for_the_next_look() {
    let mut world = world(&policy("{}"), &[]);
    for _ in 0..5 {
        world.git.fail_write(GitError::changed("it moved"));
    }
    insta::assert_snapshot!(said(&world.look().await), @"WriteConflict: the files changed again and again while they were written; tried again at the next look");
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn failures_are_said_and_forget_nothing() {
    let mut world = world(&policy("{}"), &[]);
    world.git.fail_write(GitError::new(Reason::GitPushRejected, "the branch is protected"));
    insta::assert_snapshot!(said(&world.look().await), @"GitPushRejected: the branch is protected");
    world.look().await;
    let file = text(&world, OVERRIDE).replace("1.0.2", "1.0.0");
    world.git.push(REPOSITORY, "main", OVERRIDE, &file);
    world.git.fail(REPOSITORY, Some(GitError::new(Reason::GitUnreachable, "no route")));
    insta::assert_snapshot!(said(&world.look().await), @"GitUnreachable: no route");
    world.git.fail(REPOSITORY, None);
    world.restart();
    assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
}

#[tokio::test]
async fn a_branch_of_its_own_waits_to_be_merged_without_a_second_commit() {
    let git = "{ target: HelmValues, writeBranch: 'updates-{{ .AppName }}-{{ (index .Images 0).NewTag }}' }";
    let values = "image:\n  tag: 1.0.0\n";
    let mut world = world(&policy(git), &[("chart/values.yaml", values)]);
    let report = world.look().await;
    assert_eq!(report.images[0].reason, Reason::AwaitingMerge);
    assert_eq!(report.images[0].current.as_deref(), Some("1.0.0"));
    assert_eq!(text(&world, "chart/values.yaml"), values);
    let commit = world.git.log(REPOSITORY, "updates-app-1.0.2").pop().unwrap();
    assert_eq!(report.images[0].commit.as_deref(), Some(commit.id.as_str()));
    assert_eq!(world.applications.refreshed(), []);
    let told = world.status.clone();
    for _ in 0..5 {
        let report = world.look().await;
        assert_eq!(report.images[0].reason, Reason::AwaitingMerge);
        assert_eq!(pipeline::events(&report, told.as_ref()), []);
    }
    assert_eq!(world.git.asked().2, 1);
    // Merged: it counts as written, so that taking it back holds.
    world.git.push(REPOSITORY, "main", "chart/values.yaml", &values.replace("1.0.0", "1.0.2"));
    assert_eq!(world.look().await.images[0].reason, Reason::UpToDate);
    world.git.push(REPOSITORY, "main", "chart/values.yaml", values);
    assert_eq!(world.look().await.images[0].reason, Reason::RolledBackByHand);
}

#[tokio::test]
async fn a_newer_version_replaces_the_one_that_waits() {
    let git = "{ target: HelmValues, writeBranch: updates }";
    let mut world = world(&policy(git), &[("chart/values.yaml", "image:\n  tag: 1.0.0\n")]);
    world.look().await;
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(world.look().await.images[0].reason, Reason::AwaitingMerge);
    let file = world.git.text(REPOSITORY, "updates", "chart/values.yaml");
    assert_eq!(file.as_deref(), Some("image:\n  tag: 1.0.3\n"));
}

#[tokio::test]
async fn values_files_keep_what_they_have() {
    let values =
        "# values\r\nimage: &image\r\n  repository: registry.example/app # name\r\n  tag: '1.0.0'\r\nother: 1\r\n";
    let image =
        "image: registry.example/app, constraint: ~1.0, target: { helm: { name: image.repository, tag: image.tag } }";
    let mut world =
        world(&policy_of(image, "{ target: HelmValues, path: env/prod.yaml }"), &[("chart/env/prod.yaml", values)]);
    insta::assert_snapshot!(said(&world.look().await), @"Updated: moved from `1.0.0` to `1.0.2`, the choice among 3 allowed tags, in commit c9dbd68863 of `main`");
    assert_eq!(text(&world, "chart/env/prod.yaml"), values.replace("1.0.0", "1.0.2"));
}

/// Makes the Application a Helm one with this block, beside these files, and says what became of `image.tag` in `chart/values.yaml`.
async fn below(helm: serde_json::Value, git: &str, files: &[(&str, &str)]) -> String {
    let values = [("chart/values.yaml", "image:\n  tag: 1.0.0\n")];
    let mut world = world(&policy(git), &[&values, files].concat());
    world.edit("app", |object| object["spec"]["source"]["helm"] = helm);
    let report = world.look().await;
    let moved = files.iter().chain(&values).find(|(path, before)| text(&world, path) != *before).map(|(path, _)| *path);
    match moved {
        Some(path) => format!("{}: {path}", report.images[0].reason),
        None => said(&report),
    }
}

#[tokio::test]
async fn a_value_that_something_goes_before_is_not_written() {
    const VALUES: &str = "{ target: HelmValues }";
    let parameter = json!({ "parameters": [{ "name": "image.tag", "value": "1.0.0" }] });
    insta::assert_snapshot!(below(parameter, VALUES, &[]).await, @"InvalidTarget: a change of `image.tag` of `chart/values.yaml` would have no effect: the Helm parameter `image.tag` of `argocd/app` goes before it; remove it there, or let that be what is written");
    let object = json!({ "valuesObject": { "image": { "tag": "1.0.0" } } });
    insta::assert_snapshot!(below(object, VALUES, &[]).await, @"InvalidTarget: a change of `image.tag` of `chart/values.yaml` would have no effect: the `valuesObject` of `argocd/app` goes before it; remove it there, or let that be what is written");
    insta::assert_snapshot!(below(json!({ "values": "image: {tag: 1.0.0}" }), VALUES, &[]).await, @"InvalidTarget: a change of `image.tag` of `chart/values.yaml` would have no effect: the Helm `values` of `argocd/app` goes before it; remove it there, or let that be what is written");
    let file = "helm:\n  parameters:\n  - name: image.tag\n    value: 1.0.0\n";
    insta::assert_snapshot!(below(json!({}), VALUES, &[(OVERRIDE, file)]).await, @"InvalidTarget: a change of `image.tag` of `chart/values.yaml` would have no effect: the Helm parameter `image.tag` of `chart/.argocd-source-app.yaml` goes before it; remove it there, or let that be what is written");
    let production = json!({ "valueFiles": ["values-prod.yaml"] });
    let same = ("chart/values-prod.yaml", "image:\n  tag: 1.0.0\n");
    insta::assert_snapshot!(below(production.clone(), VALUES, &[same]).await, @"InvalidTarget: a change of `image.tag` of `chart/values.yaml` would have no effect: `chart/values-prod.yaml`, read later, goes before it; remove it there, or let that be what is written");
    insta::assert_snapshot!(below(json!({ "valueFiles": ["values-*.yaml"] }), VALUES, &[]).await, @"AmbiguousFile: spec.writeBack.git.path: `argocd/app` reads `values-*.yaml` after `chart/values.yaml`, and whether that says something else is not known; name the file to write, for example `path: values.yaml`");
    let written = "Updated: chart/values.yaml";
    let other = ("chart/values-prod.yaml", "replicas: 1\n");
    assert_eq!(below(production.clone(), VALUES, &[other]).await, written);
    let named = "{ target: HelmValues, path: values-prod.yaml }";
    assert_eq!(below(production, named, &[same]).await, "Updated: chart/values-prod.yaml");
    let beside =
        json!({ "parameters": [{ "name": "replicas", "value": "1" }], "valuesObject": { "image": { "name": "a" } } });
    assert_eq!(below(beside, VALUES, &[]).await, written);
}

#[tokio::test]
async fn kustomizations_and_manifests_that_something_goes_before_are_not_written() {
    let file = "images:\n- name: web\n  newName: registry.example/app\n  newTag: 1.0.0\n";
    let mut kustomize = World::new(&policy("{ target: Kustomization }"))
        .kustomize("app", &["web=registry.example/app:1.0.0"], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    kustomize.git.push(REPOSITORY, "main", "base/kustomization.yaml", file);
    insta::assert_snapshot!(said(&kustomize.look().await), @"InvalidTarget: a change of the entry for `web` in `base/kustomization.yaml` would have no effect: `web=registry.example/app:1.0.0` in `kustomize.images` of `argocd/app` goes before it; remove it there, or let that be what is written");
    let manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: { name: app }\nspec:\n  source:\n    repoURL: https://git.example/web\n    path: chart\n    helm:\n      parameters:\n      - { name: image.tag, value: 1.0.0 }\n";
    let left = "helm:\n  parameters:\n  - name: image.tag\n    value: 1.0.0\n";
    let git = "{ target: Application, path: /apps/app.yaml }";
    let mut world = world(&policy(git), &[("apps/app.yaml", manifest), (OVERRIDE, left)]);
    insta::assert_snapshot!(said(&world.look().await), @"InvalidTarget: a change of `spec.source.helm.parameters[name=image.tag]` would have no effect: `helm.parameters` in `chart/.argocd-source-app.yaml` goes before it; remove it there, or let that be what is written");
    assert_eq!(text(&world, "apps/app.yaml"), manifest);
}

#[tokio::test]
async fn helm_reads_the_first_document_of_a_values_file_alone() {
    let values = |text: &str| world(&policy("{ target: HelmValues }"), &[("chart/values.yaml", text)]);
    insta::assert_snapshot!(said(&values("a: b\n---\nimage:\n  tag: 1.0.0\n").look().await), @"UnusableFile: `image.tag` stands in document 2 of `chart/values.yaml`, and Helm reads the first alone; leave one document in the file");
    insta::assert_snapshot!(said(&values("---\n---\nimage:\n  tag: 1.0.0\n").look().await), @"UnusableFile: `chart/values.yaml` begins with an empty document, and Helm reads no other; leave one document in the file");
    assert_eq!(values("---\n...\n").look().await.images[0].reason, Reason::UnusableFile);
    let both = "image:\n  tag: 1.0.0\n---\nimage:\n  tag: 1.0.0\n";
    let mut first = values(both);
    first.look().await;
    assert_eq!(text(&first, "chart/values.yaml"), both.replacen("1.0.0", "1.0.2", 1));
}

#[tokio::test]
async fn a_name_without_registry_stays_where_it_is_the_images() {
    let image =
        "image: registry.example/app, constraint: ~1.0, target: { helm: { name: image.repository, tag: image.tag } }";
    let values = "image:\n  registry: registry.example\n  repository: app\n  tag: 1.0.0\n";
    let mut short = world(&policy_of(image, "{ target: HelmValues }"), &[("chart/values.yaml", values)]);
    short.look().await;
    assert_eq!(text(&short, "chart/values.yaml"), values.replace("1.0.0", "1.0.2"));
    let mut literal = world(
        &policy_of(
            "image: registry.example/app, constraint: ~1.0, target: { helm: { tag: image.tag } }",
            "{ target: HelmValues }",
        ),
        &[("chart/values.yaml", "image.tag: 1.0.0\nimage: {tag: 0.1}\n")],
    );
    literal.look().await;
    assert_eq!(text(&literal, "chart/values.yaml"), "image.tag: 1.0.2\nimage: {tag: 0.1}\n");
}

#[tokio::test]
async fn missing_values_files_are_made_only_when_asked() {
    let image = "image: registry.example/app, constraint: ~1.0, target: { helm: { name: a.name, tag: a.tag } }";
    let mut world = world(&policy_of(image, "{ target: HelmValues }"), &[]);
    insta::assert_snapshot!(said(&world.look().await), @"FileNotFound: `https://git.example/web` has no file `chart/values.yaml`; correct the path, or write `create: true` to make it");
    world.rewrite(&policy_of(image, "{ target: HelmValues, create: true }"));
    world.look().await;
    insta::assert_snapshot!(text(&world, "chart/values.yaml"), @"
    a:
      name: registry.example/app
      tag: 1.0.2
    ");
}

#[tokio::test]
async fn no_file_is_made_in_the_place_of_another() {
    let values = "image:\n  tag: 1.0.0\n";
    let mut through =
        world(&policy("{ target: HelmValues, path: /env/v.yaml/l.yaml, create: true }"), &[("env/v.yaml", values)]);
    insta::assert_snapshot!(said(&through.look().await), @"UnusableFile: `env/v.yaml/l.yaml` of `https://git.example/web` is not edited: it is a path that leads through a file");
    assert_eq!(text(&through, "env/v.yaml"), values);
    let file = |path: &str, key: &str| {
        format!("forceUpdate: true, target: {{ file: {{ path: {path}, keys: {{ tag: {key} }}, create: true }} }}")
    };
    let (one, two) = (file("n", "a"), file("n/b", "b"));
    let mut nested = World::new(&format!("applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, {one} }}, {{ image: registry.example/app, alias: two, {two} }}]\nwriteBack: {{ method: Git, git: {{ target: Files }} }}"))
        .helm("app", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    nested.git.push(REPOSITORY, "main", "README.md", "read me\n");
    let report = nested.look().await;
    assert!(said(&report).contains("`n/b` and `n` cannot both be files"), "{}", said(&report));
    assert_eq!((text(&nested, "n").as_str(), text(&nested, "n/b").as_str()), ("a: 1.0.2\n", "missing"));
}

#[tokio::test]
async fn kustomizations_are_changed_by_entry() {
    let file = "resources: [a.yaml]\nimages:\n- name: app # ours\n  newName: registry.example/app\n  newTag: 1.0.0\n  tagSuffix: -x\n- name: other\n  newTag: \"2\"\nopenapi: {path: x}\n";
    let mut world = world(&policy("{ target: Kustomization }"), &[("base/kustomization.yml", file)]);
    world.edit("app", |object| {
        object["spec"]["source"]["path"] = json!("base");
        object["status"]["sourceType"] = json!("Kustomize");
    });
    world.look().await;
    assert_eq!(text(&world, "base/kustomization.yml"), file.replace("newTag: 1.0.0", "newTag: 1.0.2"));
    world.git.push(REPOSITORY, "main", "base/Kustomization", "{}\n");
    insta::assert_snapshot!(said(&world.look().await), @"AmbiguousFile: `https://git.example/web` holds `base/kustomization.yml` and `base/Kustomization`, and which one counts is not certain; remove one of them");
    world.rewrite(&policy("{ target: Kustomization, path: ../none }"));
    insta::assert_snapshot!(said(&world.look().await), @"FileNotFound: `https://git.example/web` has no file `none/kustomization.yaml`, `none/kustomization.yml`, `none/Kustomization`; correct `writeBack.git.path`");
}

#[tokio::test]
async fn an_image_that_several_entries_are_turned_into_needs_a_target() {
    let file = "images:\n- name: web\n  newName: registry.example/app\n  newTag: 1.0.0\n- name: api\n  newName: registry.example/app\n  newTag: 1.0.0\n";
    let kustomized = |spec: &str, images: &[&str]| {
        let world =
            World::new(spec).kustomize("app", images, &["registry.example/app:1.0.0"]).tags(APP, &["1.0.0", "1.0.2"]);
        world.git.push(REPOSITORY, "main", "base/kustomization.yaml", file);
        world
    };
    let mut two = kustomized(&policy("{ target: Kustomization }"), &[]);
    insta::assert_snapshot!(said(&two.look().await), @"InvalidTarget: spec.images[0].target: `base/kustomization.yaml` turns `web` and `api` into `registry.example/app`; name the entry with `target: { kustomize: { name: … } }`, one image of the policy each");
    assert_eq!(text(&two, "base/kustomization.yaml"), file);
    let image = "image: registry.example/app, constraint: ~1.0, target: { kustomize: { name: api } }";
    let mut one = kustomized(&policy_of(image, "{ target: Kustomization }"), &[]);
    one.look().await;
    assert_eq!(
        text(&one, "base/kustomization.yaml"),
        file.replace("newTag: 1.0.0\n-", "newTag: 1.0.0 \n-")
            .replace("newTag: 1.0.0\n", "newTag: 1.0.2\n")
            .replace("1.0.0 ", "1.0.0")
    );
    let images = ["web=registry.example/app:1.0.0", "api=registry.example/app:1.0.0"];
    insta::assert_snapshot!(said(&kustomized(&policy("{}"), &images).look().await), @"InvalidTarget: spec.images[0].target: `spec.source.kustomize.images` of `argocd/app` turns `web` and `api` into `registry.example/app`; name the entry with `target: { kustomize: { name: … } }`, one image of the policy each");
    let mut empty = kustomized(&policy("{ target: Kustomization }"), &[]);
    empty.git.push(REPOSITORY, "main", "base/kustomization.yaml", "# nothing\n");
    insta::assert_snapshot!(said(&empty.look().await), @"UnusableFile: `base/kustomization.yaml` is no kustomization: it is empty");
}

#[tokio::test]
async fn kustomizations_get_new_entries_and_digests() {
    let image =
        "image: registry.example/app, constraint: ~1.0, pin: TagAndDigest, target: { kustomize: { name: app } }";
    let mut world = world(
        &policy_of(image, "{ target: Kustomization, path: /base }"),
        &[("base/kustomization.yaml", "resources:\n- a.yaml\n")],
    );
    world.look().await;
    insta::assert_snapshot!(text(&world, "base/kustomization.yaml"), @"
    resources:
    - a.yaml
    images:
    - name: app
      newName: registry.example/app
      newTag: 1.0.2
      digest: sha256:2c297a0e5e31b8ae2fd95d65218b8c39ab6cc8bdde0b98b6a30e89ea80d4cc2d
    ");
    world.rewrite(&policy_of(&image.replace("pin: TagAndDigest, ", ""), "{ target: Kustomization, path: /base }"));
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    world.look().await;
    insta::assert_snapshot!(text(&world, "base/kustomization.yaml"), @r#"
    resources:
    - a.yaml
    images:
    - name: app
      newName: registry.example/app
      newTag: 1.0.3
      digest: ""
    "#);
}

#[tokio::test]
async fn any_file_is_changed_by_its_keys() {
    let target = |file: &str| format!("image: registry.example/app, constraint: ~1.0, target: {{ file: {file} }}");
    let deployment = "kind: Service\nmetadata: {name: web}\n---\nkind: Deployment\nspec:\n  containers:\n  - name: side\n    image: other:1\n  - image: registry.example/app:1.0.0 # main\n    name: web\n";
    let spec = target("{ path: deploy/app.yaml, keys: { spec: 'spec.containers[name=web].image' } }");
    let mut yaml = world(&policy_of(&spec, "{ target: Files }"), &[("deploy/app.yaml", deployment)]);
    let report = yaml.look().await;
    assert_eq!(text(&yaml, "deploy/app.yaml"), deployment.replace("app:1.0.0", "app:1.0.2"));
    insta::assert_snapshot!(report.images[0].destination.as_deref().unwrap(), @"https://git.example/web@main:deploy/app.yaml:spec.containers[name=web].image");

    let json = "{\n\t\"images\": {\"web.app\": {\"tag\": \"1.0.0\", \"digest\": \"\"}}\n}\n";
    let keys = target("{ path: images.json, keys: { tag: 'images.\"web.app\".tag' } }");
    let mut file = world(&policy_of(&keys, "{ target: Files }"), &[("images.json", json)]);
    file.look().await;
    assert_eq!(text(&file, "images.json"), json.replace("1.0.0", "1.0.2"));
    let create = target("{ path: new/images.json, keys: { name: a.name, tag: a.tag }, create: true }");
    let mut new = world(&policy_of(&create, "{ target: Files }"), &[]);
    new.look().await;
    insta::assert_snapshot!(text(&new, "new/images.json"), @r#"
    {
      "a": {
        "name": "registry.example/app",
        "tag": "1.0.2"
      }
    }
    "#);
}

#[tokio::test]
async fn the_manifest_of_the_application_is_changed_in_git() {
    let manifest = "# apps\nkind: Namespace\nmetadata: {name: app}\n---\napiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: app\nspec:\n  source:\n    repoURL: https://git.example/web\n    path: chart\n    helm:\n      parameters:\n      - name: image.tag\n        value: \"1.0.0\" # tag\n        forceString: true\n";
    let git = "{ target: Application, path: apps/all.yaml, repository: 'https://git.example/web' }";
    let mut world = world(&policy(git), &[("apps/all.yaml", manifest)]);
    world.look().await;
    assert_eq!(text(&world, "apps/all.yaml"), manifest.replace("1.0.0", "1.0.2"));
    world.git.push(
        REPOSITORY,
        "main",
        "apps/all.yaml",
        "kind: Application\napiVersion: argoproj.io/v1alpha1\nmetadata: {name: other}\n",
    );
    insta::assert_snapshot!(said(&world.look().await), @"FileNotFound: `apps/all.yaml` holds no Application `app`; name its file with `writeBack.git.path`");
}

#[tokio::test]
async fn a_manifest_is_read_as_it_is_written() {
    let image = "image: registry.example/app, constraint: ~1, allowTags: { any: true }, target: { helm: { values: { tag: image.tag } } }";
    let git = "{ target: Application, path: /apps/app.yaml }";
    let manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: { name: app }\nspec:\n  source:\n    repoURL: https://git.example/web\n    path: chart\n    helm:\n      valuesObject:\n        image:\n          tag: 1.9 # plain\n";
    let mut world = world(&policy_of(image, git), &[("apps/app.yaml", manifest)]);
    world.push(APP, "1.10", "2026-04-01T00:00:00Z");
    world.look().await;
    assert_eq!(text(&world, "apps/app.yaml"), manifest.replace("1.9", "\"1.10\""));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", manifest.trim_end().replace('\n', "\n  "));
    let mut world = self::world(&policy(git), &[("apps/app.yaml", &list)]);
    insta::assert_snapshot!(said(&world.look().await), @"UnusableFile: `apps/app.yaml` holds the Application `app` in a List, whose items are not edited; give it a document of its own");
}

#[tokio::test]
async fn sources_that_lie_in_no_git_repository_are_not_taken_for_one() {
    let source = json!({ "repoURL": "oci://registry.example/charts/web", "path": ".", "targetRevision": "1.2.3" });
    for (git, expected) in
        [("{}", "which has no folder in Git"), ("{ target: HelmValues }", "it has no values file in Git")]
    {
        let mut oci = World::new(&policy(git))
            .application(
                "app",
                json!({ "source": source }),
                json!({ "sourceType": "Helm", "summary": { "images": ["registry.example/app:1.0.0"] } }),
            )
            .tags(APP, &["1.0.0", "1.0.2"]);
        let report = oci.look().await;
        assert!(said(&report).contains(expected), "{}", said(&report));
    }
    let mut outside = world(&policy("{}"), &[]);
    outside.edit("app", |object| object["spec"]["source"]["path"] = json!("../x"));
    insta::assert_snapshot!(said(&outside.look().await), @"InvalidTarget: the path of the source of `argocd/app`: `../x` leads out of the repository; correct `path` of the source");
}

#[tokio::test]
async fn values_files_of_another_source_are_found() {
    let values = "image:\n  tag: 1.0.0\n";
    let mut world = world(&policy("{ target: HelmValues }"), &[]);
    world.git.push("https://git.example/env", "live", "prod/values.yaml", values);
    world.edit("app", |object| {
        object["spec"] = json!({ "sources": [
            { "repoURL": "https://charts.example", "chart": "web", "targetRevision": "1.2.3", "helm": { "valueFiles": ["$env/prod/values.yaml"] } },
            { "repoURL": "https://git.example/env", "targetRevision": "live", "ref": "env" },
        ] });
        object["status"]["sourceTypes"] = json!(["Helm", ""]);
    });
    insta::assert_snapshot!(said(&world.look().await), @"Updated: moved from `1.0.0` to `1.0.2`, the choice among 3 allowed tags, in commit b55bbceb79 of `live`");
    assert_eq!(
        world.git.text("https://git.example/env", "live", "prod/values.yaml").as_deref(),
        Some("image:\n  tag: 1.0.2\n")
    );
    world.rewrite(&policy("{}"));
    insta::assert_snapshot!(said(&world.look().await), @"InvalidTarget: spec.writeBack.git.path: the source of `argocd/app` is a chart of a registry or Helm repository, which has no folder in Git; use `target: HelmValues` with a values file of another source, `path: $name/values.yaml`");
    world.rewrite(&policy("{ target: HelmValues, path: $none/values.yaml }"));
    insta::assert_snapshot!(said(&world.look().await), @"InvalidTarget: spec.writeBack.git.path: no source of `argocd/app` has the name `ref: none`");
}

#[tokio::test]
async fn what_cannot_be_written_is_said() {
    let say = async |git: &str, files: &[(&str, &str)]| {
        let mut world = world(&policy(git), files);
        let said = said(&world.look().await);
        assert_eq!(world.git.asked().1, 0, "{said}");
        said
    };
    let values = |text: &'static str| [("chart/values.yaml", text)];
    insta::assert_snapshot!(say("{ branch: none }", &[]).await, @"GitBranchNotFound: cannot read `https://git.example/web@none`: there is no branch `none`");
    insta::assert_snapshot!(say("{ repository: 'https://git.example/none' }", &[]).await, @"GitRepositoryNotFound: cannot read `https://git.example/none`: the repository does not exist");
    insta::assert_snapshot!(say("{ target: HelmValues, path: ../../values.yaml }", &[]).await, @"InvalidTarget: spec.writeBack.git.path: `chart/../../values.yaml` leads out of the repository");
    insta::assert_snapshot!(say("{ target: HelmValues }", &values("a: [\n")).await, @"UnusableFile: `chart/values.yaml` cannot be read: line 1: unclosed bracket '['");
    insta::assert_snapshot!(say("{ target: HelmValues }", &values("image:\n  tag: [1.0.0]\n")).await, @"UnusableFile: `image.tag` of `chart/values.yaml` is no place for a version: a list or mapping stands there; name a key that holds a text");
    insta::assert_snapshot!(say("{ target: HelmValues }", &values("a: &t {tag: 1.0.0}\nimage: *t\n")).await, @"CannotEditLosslessly: `chart/values.yaml` cannot be changed without touching something else: line 2: `image` is an alias; write the value itself there first");
    insta::assert_snapshot!(say("{ target: HelmValues }", &values("image: {tag: 1.0.0}\nimage: {tag: 1.0.0}\n")).await, @"CannotEditLosslessly: `chart/values.yaml` cannot be changed without touching something else: line 2: the key `image` stands here a second time");
    insta::assert_snapshot!(say("{ path: other.yaml }", &[]).await, @"InvalidTarget: spec.writeBack.git.path: Argo CD reads no override of `argocd/app` at `chart/other.yaml`, but at `chart/.argocd-source-app.yaml` or `chart/.argocd-source-argocd_app.yaml`; leave out `path`; for a values file write `target: HelmValues`");
    insta::assert_snapshot!(say("{}", &[(OVERRIDE, "- a list\n")]).await, @"UnusableFile: `chart/.argocd-source-app.yaml` is no override: it is no mapping");
}

#[tokio::test]
async fn links_are_not_followed() {
    let mut world = world(&policy("{ target: HelmValues }"), &[]);
    world.git.put(REPOSITORY, "main", "chart", GitEntry::Other("a link".to_owned()));
    insta::assert_snapshot!(said(&world.look().await), @"UnusableFile: `chart/values.yaml` of `https://git.example/web` is not edited: it is `chart`, a link");
}

#[tokio::test]
async fn revisions_that_are_no_branch_are_refused() {
    let mut world = world(&policy("{}"), &[]);
    for (revision, expected) in
        [("HEAD", Reason::Updated), ("refs/heads/main", Reason::UpToDate), ("v1.*", Reason::InvalidTarget)]
    {
        world.edit("app", |object| object["spec"]["source"]["targetRevision"] = json!(revision));
        let report = world.look().await;
        assert_eq!(report.images[0].reason, expected, "{revision}: {}", said(&report));
    }
    let commit = "a".repeat(40);
    world.edit("app", |object| object["spec"]["source"]["targetRevision"] = json!(commit));
    assert_eq!(world.look().await.images[0].reason, Reason::InvalidTarget);
}

#[tokio::test]
async fn two_hundred_applications_cost_one_look_up_and_are_all_given_at_once() {
    let mut world = World::new(
        "applications: [{ name: '*' }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]\nwriteBack: { method: Git }",
    )
    .tags(APP, &["1.0.0", "1.0.2"]);
    world.git.push(REPOSITORY, "main", "README.md", "read me\n");
    for number in 0..200 {
        world = world.helm(&format!("app{number}"), &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"]);
    }
    let report = world.look().await;
    assert!(report.images.iter().all(|image| image.reason == Reason::Updated));
    assert_eq!(world.git.asked(), (1, 200, 200));
    let report = world.look().await;
    assert!(report.images.iter().all(|image| image.reason == Reason::UpToDate));
    assert_eq!(world.git.asked(), (2, 200, 200));
}

#[tokio::test]
async fn one_key_of_one_file_belongs_to_one_image() {
    let spec = "applications: [{ name: '*' }]\nimages: [{ image: registry.example/app }, { image: registry.example/other }]\nwriteBack: { method: Git, git: { target: HelmValues } }";
    let mut world = World::new(spec)
        .helm("a", &[], &["registry.example/app:1.0.0"])
        .helm("b", &[], &["registry.example/other:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"])
        .tags("registry.example/other", &["1.0.0", "1.0.3"]);
    world.git.push(REPOSITORY, "main", "chart/values.yaml", "image:\n  tag: 1.0.0\n");
    insta::assert_snapshot!(said(&world.look().await), @"
    TargetClaimedTwice: spec.images[0]: spec.images[1] of another Application is written to `https://git.example/web@main:chart/values.yaml#0:image.tag`, too; give each a key of its own
    TargetClaimedTwice: spec.images[1]: spec.images[0] of another Application is written to `https://git.example/web@main:chart/values.yaml#0:image.tag`, too; give each a key of its own
    ");
    assert_eq!(world.git.asked().1, 0);

    let older = "applications: [{ name: b }]\nimages: [{ image: registry.example/app, constraint: 1.0.0 }]\nwriteBack: { method: Git, git: { target: HelmValues } }";
    let mut shared = World::new(&older.replace("name: b", "name: a").replace("constraint: 1.0.0", "constraint: ~1.0"))
        .beside("older", "2025-01-01T00:00:00Z", older)
        .helm("a", &[], &["registry.example/app:1.0.0"])
        .helm("b", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    shared.git.push(REPOSITORY, "main", "chart/values.yaml", "image:\n  tag: 1.0.0\n");
    insta::assert_snapshot!(said(&shared.look().await), @"Conflict: spec.images[0]: the older policy `older` already writes `https://git.example/web@main:chart/values.yaml#0:image.tag`; leave the image to one of the two policies");
}

/// Two images, each at a place of one file, and how the places are spelled.
async fn two_in_one_file(git: &str, file: (&str, &str), targets: [&str; 2]) -> Vec<Reason> {
    let [one, two] = targets;
    let spec = format!(
        "applications: [{{ name: a }}]\nimages: [{{ image: registry.example/app{one} }}, {{ image: registry.example/other{two} }}]\nwriteBack: {{ method: Git, git: {git} }}"
    );
    let live = ["registry.example/app:1.0.0", "registry.example/other:1.0.0"];
    let mut world =
        World::new(&spec).tags(APP, &["1.0.0", "1.0.2"]).tags("registry.example/other", &["1.0.0", "1.0.3"]);
    world = if git.contains("Kustomization") { world.kustomize("a", &[], &live) } else { world.helm("a", &[], &live) };
    world.git.push(REPOSITORY, "main", file.0, file.1);
    let report = world.look().await;
    assert_eq!(text(&world, file.0), file.1);
    report.images.iter().map(|image| image.reason).collect()
}

#[tokio::test]
async fn one_place_is_claimed_once_however_it_is_spelled() {
    let list = ("chart/values.yaml", "c:\n- name: web\n  tag: 1.0.0\n");
    let map = ("chart/values.yaml", "image:\n  tag: 1.0.0\n");
    let tag = |key: &str| format!(", target: {{ helm: {{ tag: '{key}' }} }}");
    for (file, one, two) in [
        (list, "c[0].tag", "c[name=web].tag"),
        (map, "image.tag", "\"image\".tag"),
        (map, "\"image\".\"tag\"", "image.tag"),
    ] {
        let reasons = two_in_one_file("{ target: HelmValues }", file, [&tag(one), &tag(two)]).await;
        assert_eq!(reasons, [Reason::TargetClaimedTwice; 2], "{one} and {two}");
    }
    let kustomization =
        ("base/kustomization.yaml", "images:\n- name: web\n  newName: registry.example/app\n  newTag: 1.0.0\n");
    let reasons =
        two_in_one_file("{ target: Kustomization }", kustomization, ["", ", target: { kustomize: { name: web } }"]);
    assert_eq!(reasons.await, [Reason::TargetClaimedTwice; 2]);
}

#[tokio::test]
async fn one_file_of_two_applications_is_one_however_they_name_it() {
    let spec = |git: &str| {
        format!(
            "applications: [{{ name: '*' }}]\nimages: [{{ image: registry.example/app }}, {{ image: registry.example/other }}]\nwriteBack: {{ method: Git, git: {git} }}"
        )
    };
    for (git, address, folder) in [
        ("{ target: HelmValues, repository: https://git.example/web }", "https://git.example/web.git", "chart"),
        ("{ target: HelmValues }", "https://git.example/web.git", "chart"),
        (
            "{ repository: https://git.example/web, path: /env/.argocd-source-x.yaml }",
            "https://git.example/code",
            "other",
        ),
    ] {
        let mut world = World::new(&spec(git))
            .helm("a", &[], &["registry.example/app:1.0.0"])
            .helm("b", &[], &["registry.example/other:1.0.0"])
            .tags(APP, &["1.0.0", "1.0.2"])
            .tags("registry.example/other", &["1.0.0", "1.0.3"]);
        for name in ["a", "b"] {
            world.edit(name, |object| {
                object["spec"]["source"]["repoURL"] =
                    json!(if git.contains("code") || name == "b" || address.ends_with("code") {
                        address
                    } else {
                        REPOSITORY
                    });
                object["spec"]["source"]["path"] = json!(folder);
            });
        }
        for repository in [REPOSITORY, "https://git.example/web.git"] {
            world.git.push(repository, "main", "chart/values.yaml", "image:\n  tag: 1.0.0\n");
        }
        let report = world.look().await;
        let reasons: Vec<Reason> = report.images.iter().map(|image| image.reason).collect();
        let ours = [Reason::TargetClaimedTwice; 2];
        assert_eq!(
            reasons.iter().filter(|reason| **reason != Reason::ImageNotUsed).copied().collect::<Vec<_>>(),
            ours,
            "{git}: {}",
            said(&report)
        );
        assert_eq!(world.git.asked().1, 0);
    }
}

#[tokio::test]
async fn policies_of_two_namespaces_do_not_write_one_place() {
    let policy = |image: &str| {
        format!(
            "applications: [{{ name: '*' }}]\nimages: [{{ image: registry.example/{image} }}]\nwriteBack: {{ method: Git, git: {{ target: HelmValues }} }}"
        )
    };
    let mut world = World::new(&policy("app"))
        .beside_in("team", "theirs", "2025-01-01T00:00:00Z", &policy("other"))
        .helm("a", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"])
        .tags("registry.example/other", &["1.0.0", "1.0.3"]);
    world = world.application_in(
        "team",
        "b",
        json!({ "source": { "repoURL": "https://git.example/web.git/", "path": "chart" } }),
        json!({ "sourceType": "Helm", "summary": { "images": ["registry.example/other:1.0.0"] } }),
    );
    for repository in [REPOSITORY, "https://git.example/web.git/"] {
        world.git.push(repository, "main", "chart/values.yaml", "image:\n  tag: 1.0.0\n");
    }
    insta::assert_snapshot!(said(&world.look().await), @"Conflict: spec.images[0]: the older policy `team/theirs` already writes `https://git.example/web@main:chart/values.yaml#0:image.tag`; leave the image to one of the two policies");
    world.turn();
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn a_dry_run_tells_and_writes_nothing() {
    let mut world = world(&format!("{}\ndryRun: true", policy("{}")), &[]);
    insta::assert_snapshot!(said(&world.look().await), @"WouldUpdate: would be moved from `1.0.0` to `1.0.2`, the choice among 3 allowed tags");
    assert_eq!(world.git.asked().1, 0);
}

#[tokio::test]
async fn an_explanation_reads_git_and_writes_nothing() {
    let world = world(&policy("{ target: HelmValues }"), &[("chart/values.yaml", "image:\n  tag: 1.0.0\n")]);
    let explained = world.explain("app", Some("1.2.0")).await.unwrap();
    let image = &explained.images[0];
    assert_eq!((image.report.reason, image.runs), (Reason::WouldUpdate, false));
    assert_eq!(image.verdict.as_ref().unwrap().as_ref().unwrap().reason, Reason::OutsideConstraint);
    assert_eq!(world.git.asked().1, 0);
}

#[tokio::test]
async fn messages_are_the_users_and_name_policy_and_application() {
    let git = "{ commit: { messageTemplate: '{{ .Policy }}{{ range .AppChanges }} {{ .Image }} {{ .OldTag }}>{{ .NewTag }}{{ end }}', signOff: true, author: { name: Bot, email: bot@example.com } } }";
    let mut world = world(&policy(git), &[]);
    world.look().await;
    insta::assert_snapshot!(world.git.log(REPOSITORY, "main").pop().unwrap().message, @"
    argocd/web app 1.0.0>1.0.2

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    Signed-off-by: Bot <bot@example.com>
    ");
}

/// Gives the images of some tags a label with the commit that they were built from, and one with the place of that.
fn built_from(world: &World, tags: &[(&str, &str)]) {
    for (tag, revision) in tags {
        let source = ("org.opencontainers.image.source".to_owned(), "https://git.example/code".to_owned());
        let labels = [("org.opencontainers.image.revision".to_owned(), (*revision).to_owned()), source];
        world.registry.label(&world::repository_of(APP), tag.parse().unwrap(), labels.into());
    }
}

#[tokio::test]
async fn labels_of_the_chosen_image_are_told_and_asked_for_once() {
    let git = r#"{ commit: { messageTemplate: '{{ range .AppChanges }}{{ .NewTag }} is {{ index .Labels "org.opencontainers.image.revision" }}.{{ end }}' } }"#;
    let mut world = world(&policy(git), &[]);
    built_from(&world, &[("1.0.0", "0000000a"), ("1.0.1", "0000000b"), ("1.0.2", "0000000c")]);
    world.look().await;
    insta::assert_snapshot!(world.git.log(REPOSITORY, "main").pop().unwrap().message, @"
    1.0.2 is 0000000c.

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    ");
    for _ in 0..5 {
        world.look().await;
    }
    assert_eq!(world.registry.labels_asked(), 1, "of the version that is written alone, when it is written");
}

#[tokio::test]
async fn no_labels_are_asked_for_where_nothing_says_them() {
    let mut silent = world(&policy("{}"), &[]);
    silent.look().await;
    assert_eq!((silent.git.asked().2, silent.registry.labels_asked()), (1, 0));
    let git = "{ commit: { messageTemplate: '{{ range .AppChanges }}{{ .Labels.team }}{{ end }}' } }";
    let mut dry = world(&format!("{}\ndryRun: true", policy(git)), &[]);
    dry.look().await;
    assert_eq!(dry.registry.labels_asked(), 0);
}

#[tokio::test]
async fn labels_that_cannot_be_read_keep_no_change_back() {
    let git =
        "{ commit: { messageTemplate: '{{ range .AppChanges }}{{ .NewTag }}, team ({{ .Labels.team }}){{ end }}' } }";
    let mut world = world(&policy(git), &[]);
    world.registry.fail_details(true);
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert_eq!(world.registry.labels_asked(), 1);
    insta::assert_snapshot!(world.git.log(REPOSITORY, "main").pop().unwrap().message, @"
    1.0.2, team ()

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    ");
}

#[tokio::test]
async fn a_template_that_fails_on_a_change_keeps_it_not_back() {
    let git = "{ commit: { messageTemplate: 'take {{ range .AppChanges }}{{ slice .NewTag 0 7 }}{{ end }}' } }";
    let mut world = world(&policy(git), &[]);
    let report = world.look().await.images.remove(0);
    assert_eq!(report.reason, Reason::Updated);
    let (_, note) = report.message.split_once("; ").expect("a note");
    insta::assert_snapshot!(note, @"with the built-in message, as `commit.messageTemplate` fails: execution error: slice: string index out of range [0:7] with length 5");
    insta::assert_snapshot!(world.git.log(REPOSITORY, "main").pop().unwrap().message, @"
    build: automatic update of app

    updates image app tag '1.0.0' to '1.0.2'

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    ");
}

/// An Application whose dry source is hydrated, with the values file that its policy writes.
fn hydrated(git: &str) -> World {
    let world = world(&policy(git), &[("chart/values.yaml", "image:\n  tag: 1.0.0\n")]);
    world.edit("app", |object| {
        let mut source = object["spec"]["source"].take();
        source["targetRevision"] = json!("main");
        object["spec"] = json!({
            "destination": object["spec"]["destination"],
            "sourceHydrator": { "drySource": source, "syncSource": { "targetBranch": "env/test", "path": "app" } },
        });
    });
    world
}

#[tokio::test]
async fn commits_for_the_hydrator_refer_to_the_code_that_the_image_was_built_from() {
    let mut told = hydrated("{ target: HelmValues }");
    built_from(&told, &[("1.0.2", "0123456789abcdef0123456789abcdef01234567")]);
    assert_eq!(told.look().await.images[0].reason, Reason::Updated);
    insta::assert_snapshot!(told.git.log(REPOSITORY, "main").pop().unwrap().message, @"
    build: automatic update of app

    updates image app tag '1.0.0' to '1.0.2'

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/app
    Argocd-reference-commit-repourl: https://git.example/code
    Argocd-reference-commit-sha: 0123456789abcdef0123456789abcdef01234567
    ");
    let mut silent = hydrated("{ target: HelmValues }");
    silent.look().await;
    assert!(!silent.git.log(REPOSITORY, "main").pop().unwrap().message.contains("Argocd-reference"));
    let mut plain = world(&policy("{}"), &[]);
    built_from(&plain, &[("1.0.2", "0123456789abcdef0123456789abcdef01234567")]);
    plain.look().await;
    assert!(!plain.git.log(REPOSITORY, "main").pop().unwrap().message.contains("Argocd-reference"));
}

#[tokio::test]
async fn an_application_set_that_would_undo_the_manifest_is_no_matter_for_other_files() {
    let mut world = world(&policy("{}"), &[]);
    world.edit("app", |object| {
        object["metadata"]["ownerReferences"] =
            json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "set", "uid": "x", "controller": true }]);
    });
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
}

/// Two sources in two repositories, each with the place of one image, and a project that permits these repositories.
fn two_repositories(git: &str, permitted: &[&str]) -> World {
    let image = |name: &str, index: usize| {
        format!(
            "{{ image: registry.example/{name}, target: {{ source: {{ index: {index} }}, helm: {{ tag: {name}.tag }} }} }}"
        )
    };
    let images = [image("app", 0), image("side", 1)].join(", ");
    let policy =
        format!("applications: [{{ name: app }}]\nimages: [{images}]\nwriteBack: {{ method: Git, git: {git} }}");
    let world = World::new(&policy)
        .helm("app", &[], &["registry.example/app:1.0.0", "registry.example/side:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1"])
        .tags("registry.example/side", &["1.0.0", "1.0.1"]);
    world.git.push(REPOSITORY, "main", "chart/values.yaml", "app: {tag: 1.0.0}\n");
    world.git.push(INFRASTRUCTURE, "main", "chart/values.yaml", "side: {tag: 1.0.0}\n");
    world.edit("app", |object| {
        object["spec"] = json!({ "project": "team", "sources": [
            { "repoURL": REPOSITORY, "path": "chart", "targetRevision": "main" },
            { "repoURL": INFRASTRUCTURE, "path": "chart", "targetRevision": "main" },
        ] });
        object["status"]["sourceTypes"] = json!(["Helm", "Helm"]);
    });
    world.applications.put_project("argocd", "team", json!({ "spec": { "sourceRepos": permitted } }));
    world
}

const INFRASTRUCTURE: &str = "https://bot:hidden@git.example/platform/infra.git";

#[tokio::test]
async fn a_repository_that_the_project_does_not_permit_is_not_written_with_argo_cds_credentials() {
    let mut team = two_repositories("{ target: HelmValues }", &["https://git.example/*"]);
    insta::assert_snapshot!(said(&team.look().await), @"
    Updated: moved from `1.0.0` to `1.0.1`, the choice among 2 allowed tags, in commit d652310132 of `main`
    WriteDenied: the project `team` does not permit the repository `https://git.example/platform/infra.git` (`spec.sourceRepos`), so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by `spec.writeBack.git.secretRef`
    ");
    assert_eq!((team.git.log(REPOSITORY, "main").len(), team.git.log(INFRASTRUCTURE, "main").len()), (2, 1));
    team.look().await;
    assert_eq!(team.git.log(INFRASTRUCTURE, "main").len(), 1);
    for permitted in ["*", "https://bot:hidden@GIT.example/platform/*"] {
        let mut all = two_repositories("{ target: HelmValues }", &["https://git.example/*", permitted]);
        all.look().await;
        assert_eq!(all.git.log(INFRASTRUCTURE, "main").len(), 2, "{permitted}");
    }
    let mut own = two_repositories("{ target: HelmValues, secretRef: { name: ours } }", &["https://git.example/*"]);
    own.look().await;
    assert_eq!(own.git.log(INFRASTRUCTURE, "main").len(), 2, "the Secret is the tenant's own");
    let git = "{ target: HelmValues, writeBranch: 'ours-{{ .AppName }}' }";
    let mut proposed = two_repositories(git, &["https://git.example/*"]);
    let report = proposed.look().await;
    let reasons: Vec<Reason> = report.images.iter().map(|image| image.reason).collect();
    assert_eq!(reasons, [Reason::AwaitingMerge, Reason::WriteDenied]);
    assert_eq!(proposed.git.log(INFRASTRUCTURE, "ours-app").len(), 0);
}

#[tokio::test]
async fn a_policy_that_names_another_repository_than_the_project_permits_writes_nothing() {
    let mut world = world(&policy("{ repository: 'https://git.example/platform/infra' }"), &[]);
    world.git.push("https://git.example/platform/infra", "main", "README.md", "read me\n");
    world.applications.put_project("argocd", "default", json!({ "spec": { "sourceRepos": [REPOSITORY] } }));
    world.look().await;
    insta::assert_snapshot!(said(&world.look().await), @"WriteDenied: the project `default` does not permit the repository `https://git.example/platform/infra` (`spec.sourceRepos`), so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by `spec.writeBack.git.secretRef`");
    assert_eq!(world.git.asked().1, 0);
    world.applications.put_project(
        "argocd",
        "default",
        json!({ "spec": { "sourceRepos": ["https://git.example/**"] } }),
    );
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn an_application_borrows_no_project_that_does_not_take_it() {
    let of = |project: &str| {
        let world = world(&policy("{}"), &[]);
        world.edit("app", |object| object["spec"]["project"] = json!(project));
        world.edit("app", |object| object["status"]["controllerNamespace"] = json!("platform"));
        world
    };
    let mut none = of("nobody");
    insta::assert_snapshot!(said(&none.look().await), @"WriteDenied: Argo CD has no project `nobody`, so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by `spec.writeBack.git.secretRef`");
    let mut foreign = of("infra");
    let project = |namespaces: &[&str]| json!({ "spec": { "sourceRepos": ["*"], "sourceNamespaces": namespaces } });
    foreign.applications.put_project("platform", "infra", project(&["team-*"]));
    insta::assert_snapshot!(said(&foreign.look().await), @"WriteDenied: the project `infra` takes no Applications of the namespace `argocd` (`spec.sourceNamespaces`), so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by `spec.writeBack.git.secretRef`");
    assert_eq!((none.git.asked().1, foreign.git.asked().1), (0, 0));
    foreign.applications.put_project("platform", "infra", project(&["team-*", "argocd"]));
    assert_eq!(foreign.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn a_project_that_takes_signed_commits_only_gets_no_other() {
    let project = json!({ "spec": { "sourceRepos": ["*"], "signatureKeys": [{ "keyID": "4AEE18F83AFDEB23" }] } });
    let mut unsigned = world(&policy("{}"), &[]);
    unsigned.applications.put_project("argocd", "default", project.clone());
    unsigned.look().await;
    insta::assert_snapshot!(said(&unsigned.look().await), @"SignatureDemanded: the project `default` takes only commits that are signed by OpenPGP keys (`spec.signatureKeys`); let Fairlead sign by an OpenPGP key, by `spec.writeBack.git.commit.signing` with `method: OpenPGP`, or GitHub, by `commit.via: GitHubApi`");
    assert_eq!(unsigned.git.log(REPOSITORY, "main").len(), 1);
    for commit in ["signing: { secretRef: { name: key } }", "signing: { method: SSH, secretRef: { name: key } }"] {
        let mut by_ssh = world(&policy(&format!("{{ commit: {{ {commit} }} }}")), &[]);
        by_ssh.applications.put_project("argocd", "default", project.clone());
        let said = said(&by_ssh.look().await);
        assert!(said.contains("Argo CD verifies no signature by an SSH key"), "{said}");
        assert_eq!(by_ssh.look().await.images[0].reason, Reason::SignatureDemanded);
        assert_eq!(by_ssh.git.log(REPOSITORY, "main").len(), 1, "{commit}");
    }
    for commit in ["signing: { method: OpenPGP, secretRef: { name: key } }", "via: GitHubApi"] {
        let mut signed = world(&policy(&format!("{{ commit: {{ {commit} }} }}")), &[]);
        signed.applications.put_project("argocd", "default", project.clone());
        assert_eq!(signed.look().await.images[0].reason, Reason::Updated, "{commit}");
    }
    let mut unreadable = world(&policy("{}"), &[]);
    unreadable.applications.put_project("argocd", "default", json!("unreadable"));
    assert_eq!(unreadable.look().await.images[0].reason, Reason::WriteDenied);
    assert_eq!(unreadable.git.log(REPOSITORY, "main").len(), 1);
}

#[tokio::test]
async fn a_repository_whose_integrity_is_verified_gets_signed_commits_only() {
    let verified = |mode: &str, url: &str| {
        let policy = json!({ "repos": [{ "url": url }], "gpg": { "mode": mode, "keys": ["4AEE18F83AFDEB23"] } });
        json!({ "spec": { "sourceRepos": ["*"], "sourceIntegrity": { "git": { "policies": [policy] } } } })
    };
    for (git, project, expected) in [
        ("{}", verified("head", "https://git.example/*"), Reason::SignatureDemanded),
        ("{ commit: { signing: { secretRef: { name: key } } } }", verified("strict", "*"), Reason::SignatureDemanded),
        ("{ secretRef: { name: ours } }", verified("head", "*"), Reason::SignatureDemanded),
        (
            "{ commit: { signing: { method: OpenPGP, secretRef: { name: key } } } }",
            verified("head", "*"),
            Reason::Updated,
        ),
        ("{}", verified("none", "*"), Reason::Updated),
        ("{}", verified("head", "https://git.example/other"), Reason::Updated),
    ] {
        let mut world = world(&policy(git), &[]);
        world.applications.put_project("argocd", "default", project.clone());
        let report = world.look().await;
        assert_eq!(report.images[0].reason, expected, "{git} {project}: {}", said(&report));
        assert_eq!(world.git.log(REPOSITORY, "main").len(), if expected == Reason::Updated { 2 } else { 1 });
    }
    // Argo CD looks at the address that the Application has.
    let mut spelled = world(&policy("{ repository: 'https://git.example/web' }"), &[]);
    spelled.edit("app", |object| object["spec"]["source"]["repoURL"] = json!("git@git.example:web.git"));
    spelled.applications.put_project("argocd", "default", verified("head", "git@*"));
    insta::assert_snapshot!(said(&spelled.look().await), @"SignatureDemanded: the project `default` takes only commits that are signed by OpenPGP keys (`spec.sourceIntegrity`); let Fairlead sign by an OpenPGP key, by `spec.writeBack.git.commit.signing` with `method: OpenPGP`, or GitHub, by `commit.via: GitHubApi`");
}
