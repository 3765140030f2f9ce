//! The spine on a world in memory: what is written, what is left alone, and what is said about it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]

mod world;

use std::time::Duration;

use fairlead::model::{ApplicationId, Behind, Reason, Report};
use fairlead::pipeline;
use fairlead::ports::RegistryError;
use serde_json::json;
use world::{World, repository_of};

const APP: &str = "registry.example/app";
const RULE: &str = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]";
const TAG: &str = "/spec/source/helm/parameters/0/value";

fn simple() -> World {
    World::new(RULE)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2", "1.2.0", "2.0.0"])
}

#[tokio::test]
async fn the_best_allowed_version_is_written_and_nothing_else() {
    let mut world = simple();
    let before = world.applications.object(&ApplicationId::new("argocd", "app")).unwrap();
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.at("app", TAG)), (Reason::Updated, json!("1.0.2")));
    let mut after = world.applications.object(&ApplicationId::new("argocd", "app")).unwrap();
    *after.pointer_mut(TAG).unwrap() = json!("1.0.0");
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    assert_eq!(after, before);
    insta::assert_snapshot!(report.images[0].message, @"moved from `1.0.0` to `1.0.2`, the choice among 2 allowed tags");
}

#[tokio::test]
async fn twenty_more_looks_write_nothing_and_say_nothing() {
    let mut world = simple();
    world.look().await;
    let told = world.status.clone();
    for _ in 0..20 {
        world.edit("app", |object| object["status"]["summary"]["images"] = json!(["registry.example/app:1.0.2"]));
        let report = world.look().await;
        assert_eq!(pipeline::events(&report, told.as_ref()), []);
        assert!(pipeline::same_but_time(told.as_ref().unwrap(), world.status.as_ref().unwrap()), "{:#?}", world.status);
    }
    assert_eq!(world.applications.writes(), 1);
}

#[tokio::test]
async fn a_newer_version_is_taken_at_the_next_look() {
    let mut world = simple();
    world.look().await;
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    let report = world.look().await;
    assert_eq!((report.images[0].previous.as_deref(), world.at("app", TAG)), (Some("1.0.2"), json!("1.0.3")));
}

#[tokio::test]
async fn a_persons_edit_under_way_survives() {
    let mut world = simple();
    let mut rounds = 0;
    world.applications.intrude(move |object| {
        rounds += 1;
        if rounds <= 2 {
            object["spec"]["source"]["targetRevision"] = json!(format!("person-{rounds}"));
        }
    });
    let report = world.look().await;
    assert_eq!(report.images[0].reason, Reason::Updated);
    assert_eq!(
        (world.at("app", TAG), world.at("app", "/spec/source/targetRevision")),
        (json!("1.0.2"), json!("person-2"))
    );
}

#[tokio::test]
async fn an_application_that_never_rests_is_written_by_its_values() {
    let mut world = simple();
    let mut rounds = 0;
    world.applications.intrude(move |object| {
        rounds += 1;
        object["status"]["reconciledAt"] = json!(format!("2026-06-01T12:00:0{rounds}Z"));
    });
    let report = world.look().await;
    assert_eq!(
        (report.images[0].reason, world.at("app", TAG), world.at("app", "/status/reconciledAt")),
        (Reason::Updated, json!("1.0.2"), json!("2026-06-01T12:00:04Z"))
    );
}

#[tokio::test]
async fn a_value_that_never_rests_is_tried_again_later() {
    let mut world = simple();
    let mut rounds = 0;
    world.applications.intrude(move |object| {
        rounds += 1;
        object["spec"]["source"]["helm"]["parameters"][0]["value"] = json!(format!("0.0.{rounds}"));
    });
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::WriteConflict, 0));
    insta::assert_snapshot!(report.images[0].message, @"`argocd/app` changed meanwhile");
}

#[tokio::test]
async fn an_application_replaced_by_another_of_its_name_is_decided_on_anew() {
    let mut world = simple();
    let mut replaced = false;
    world.applications.intrude(move |object| {
        if !replaced {
            replaced = true;
            object["metadata"]["uid"] = json!("another");
            object["spec"]["source"]["helm"]["parameters"][0]["value"] = json!("1.0.1");
        }
    });
    let report = world.look().await;
    assert_eq!((report.images[0].previous.as_deref(), world.at("app", TAG)), (Some("1.0.1"), json!("1.0.2")));
}

#[tokio::test]
async fn a_failing_registry_is_named_and_the_choice_stays() {
    let mut world = World::new(
        "applications: [{ name: '*' }]\nimages: [{ image: registry.example/app }, { image: registry.example/other }]",
    )
    .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
    .helm("other", &[("image.tag", "1.0.0")], &["registry.example/other:1.0.0"])
    .tags(APP, &["1.0.0", "1.0.2"])
    .tags("registry.example/other", &["1.0.0", "1.1.0"]);
    world.look().await;
    let error = RegistryError::new(Reason::RegistryFailed, "cannot list tags of `registry.example/app`: 500");
    world.registry.fail(&repository_of(APP), Some(error));
    world.push("registry.example/other", "1.2.0", "2026-04-01T00:00:00Z");
    let report = world.look().await;
    assert_eq!(report.images[0].reason, Reason::RegistryFailed);
    assert_eq!(world.status.as_ref().unwrap().images[0].chosen.as_deref(), Some("1.0.2"));
    assert_eq!((world.at("app", TAG), world.at("other", TAG)), (json!("1.0.2"), json!("1.2.0")));
    let (status, reason, message) = world.ready();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "RegistryFailed"));
    insta::assert_snapshot!(message, @"registry.example/app of app: cannot list tags of `registry.example/app`: 500");
    world.registry.fail(&repository_of(APP), None);
    world.look().await;
    assert_eq!(world.ready().0, "True");
}

#[tokio::test]
async fn the_end_of_a_wait_that_a_registry_asks_for_is_told() {
    let mut world = simple();
    let wait = |seconds| RegistryError {
        retry_after: Some(Duration::from_secs(seconds)),
        ..RegistryError::new(
            Reason::RateLimited,
            "cannot list tags of `registry.example/app`: the registry asked to wait",
        )
    };
    world.registry.fail(&repository_of(APP), Some(wait(95)));
    let report = world.look().await;
    let end = Some(world::time("2026-06-01T12:01:40Z"));
    assert_eq!((report.images[0].reason, report.images[0].until), (Reason::RateLimited, end));
    let told = world.status.clone().unwrap().images[0].until.clone().map(|time| time.0);
    assert_eq!((told, world.applications.writes()), (end, 0));
    world.registry.fail(&repository_of(APP), None);
    assert_eq!(world.look().await.images[0].until, None);
}

#[tokio::test]
async fn an_incomplete_list_decides_nothing() {
    let mut world = simple();
    world.registry.cut(&repository_of(APP), "page 2 of 3 is missing");
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::IncompleteList, 0));
    assert_eq!(world.ready().0, "False");
}

#[tokio::test]
async fn a_version_that_a_person_took_back_stays_back_until_something_newer() {
    let mut world = simple();
    world.look().await;
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.0.0"));
    for _ in 0..3 {
        let report = world.look().await;
        assert_eq!((report.images[0].reason, world.at("app", TAG)), (Reason::RolledBackByHand, json!("1.0.0")));
        assert_eq!(report.images[0].held_back.as_ref().map(|held| held.0.as_str()), Some("1.0.2"));
    }
    assert_eq!((world.ready().0.as_str(), world.ready().1.as_str()), ("True", "RolledBackByHand"));
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.3"));
}

#[tokio::test]
async fn a_lower_version_is_never_taken_unless_allowed() {
    let rule = |more: &str| {
        format!("applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0{more} }}]")
    };
    let mut world = World::new(&rule(""))
        .helm("app", &[("image.tag", "1.5.0")], &["registry.example/app:1.5.0"])
        .tags(APP, &["1.0.0", "1.0.2", "1.5.0"]);
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::WouldGoBackwards, 0));
    world.rewrite(&rule(", allowDowngrade: true"));
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"));
}

#[tokio::test]
async fn what_runs_stands_in_where_the_application_states_no_version() {
    let live = |images: &[&str]| World::new(RULE).helm("app", &[], images).tags(APP, &["1.0.0", "1.0.2", "1.5.0"]);
    let mut world = live(&["registry.example/app:1.0.2"]);
    assert_eq!((world.look().await.images[0].reason, world.applications.writes()), (Reason::UpToDate, 0));
    let mut world = live(&["registry.example/app:1.0.0"]);
    world.look().await;
    assert_eq!(
        world.at("app", "/spec/source/helm/parameters"),
        json!([{ "name": "image.tag", "value": "1.0.2", "forceString": true }])
    );
    let mut world = live(&["registry.example/app:1.0.0", "registry.example/app:1.5.0"]);
    assert_eq!((world.look().await.images[0].reason, world.applications.writes()), (Reason::WouldGoBackwards, 0));
}

#[tokio::test]
async fn helm_parameters_are_written_as_strings_in_place() {
    for (parameters, target, expected) in [
        (
            json!([{ "name": "image.tag", "value": "1.0.0" }]),
            "{}",
            json!([{ "name": "image.tag", "value": "1.0.2", "forceString": true }]),
        ),
        (
            json!([{ "name": "replicas", "value": "2" }, { "name": "web.tag", "value": "1.0.0", "forceString": false }]),
            "{ helm: { tag: web.tag } }",
            json!([{ "name": "replicas", "value": "2" }, { "name": "web.tag", "value": "1.0.2", "forceString": true }]),
        ),
        (
            json!([{ "name": "ref", "value": "registry.example/app:1.0.0", "forceString": true }]),
            "{ helm: { spec: ref } }",
            json!([{ "name": "ref", "value": "registry.example/app:1.0.2", "forceString": true }]),
        ),
        (
            json!([{ "name": "image.tag", "value": "0.1.0" }, { "name": "image.tag", "value": "1.0.0", "forceString": true }]),
            "{}",
            json!([{ "name": "image.tag", "value": "0.1.0" }, { "name": "image.tag", "value": "1.0.2", "forceString": true }]),
        ),
        (
            json!([]),
            "{ helm: { name: web.name, tag: web.tag } }",
            json!([
                { "name": "web.name", "value": "registry.example/app", "forceString": true },
                { "name": "web.tag", "value": "1.0.2", "forceString": true },
            ]),
        ),
    ] {
        let rule = format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0, target: {target} }}]"
        );
        let source = json!({ "source": { "repoURL": "x", "path": "y", "helm": { "parameters": parameters } } });
        let status = json!({ "sourceType": "Helm", "summary": { "images": ["registry.example/app:1.0.0"] } });
        let mut world = World::new(&rule).application("app", source, status).tags(APP, &["1.0.0", "1.0.2"]);
        let report = world.look().await;
        assert_eq!(world.at("app", "/spec/source/helm/parameters"), expected, "{report:#?}");
        world.look().await;
        assert_eq!(world.applications.writes(), 1, "{expected}");
    }
}

#[tokio::test]
async fn kustomize_images_are_parsed_on_both_sides() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (images, target, expected) in [
        (vec!["registry.example/app:1.0.0"], "{}", vec!["registry.example/app:1.0.2"]),
        (vec!["web=registry.example/app:1.0.0"], "{}", vec!["web=registry.example/app:1.0.2"]),
        (
            vec!["registry.example/other:1", "registry.example/app:1.0.0"],
            "{}",
            vec!["registry.example/other:1", "registry.example/app:1.0.2"],
        ),
        (vec![&*format!("registry.example/app@{digest}")], "{}", vec!["registry.example/app:1.0.2"]),
        (vec!["registry.example/other:1"], "{}", vec!["registry.example/other:1", "registry.example/app:1.0.2"]),
        (vec![], "{}", vec!["registry.example/app:1.0.2"]),
        (vec![], "{ kustomize: { name: web } }", vec!["web=registry.example/app:1.0.2"]),
        (vec!["web=web:1.0.0"], "{ kustomize: { name: web } }", vec!["web=registry.example/app:1.0.2"]),
        (vec!["web:1.0.0"], "{ kustomize: { name: web } }", vec!["web=registry.example/app:1.0.2"]),
    ] {
        let rule = format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0, target: {target} }}]"
        );
        let mut world =
            World::new(&rule).kustomize("app", &images, &["registry.example/app:1.0.0"]).tags(APP, &["1.0.0", "1.0.2"]);
        let report = world.look().await;
        assert_eq!(world.at("app", "/spec/source/kustomize/images"), json!(expected), "{images:?} {report:#?}");
        world.look().await;
        assert_eq!(world.applications.writes(), 1, "{expected:?}");
    }
}

#[tokio::test]
async fn registries_with_ports_are_different_images() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: localhost:5000/a, constraint: ~1.0 }]";
    let mut world = World::new(rule)
        .kustomize("app", &["localhost:5000/b:1", "localhost:5000/a:1.0.0"], &["localhost:5000/a:1.0.0"])
        .tags("localhost:5000/a", &["1.0.2"]);
    world.look().await;
    assert_eq!(
        world.at("app", "/spec/source/kustomize/images"),
        json!(["localhost:5000/b:1", "localhost:5000/a:1.0.2"])
    );
}

#[tokio::test]
async fn the_older_policy_keeps_the_place() {
    let mut world = simple().beside("older", "2026-01-01T00:00:00Z", RULE);
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::Conflict, 0));
    insta::assert_snapshot!(report.images[0].message, @"spec.images[0]: the older policy `older` already writes `spec.source.helm.parameters[name=image.tag]` of `argocd/app`; leave the image to one of the two policies");
    let mut world = simple().beside("younger", "2026-01-03T00:00:00Z", RULE);
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
}

#[tokio::test]
async fn two_images_on_one_place_are_refused() {
    let rule =
        "applications: [{ name: app }]\nimages: [{ image: registry.example/app }, { image: registry.example/side }]";
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0", "registry.example/side:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"])
        .tags("registry.example/side", &["1.0.0", "3.0.0"]);
    let report = world.look().await;
    assert_eq!(report.images.iter().map(|image| image.reason).collect::<Vec<_>>(), [Reason::TargetClaimedTwice; 2]);
    insta::assert_snapshot!(report.images[0].message, @"spec.images[0]: spec.images[0] and spec.images[1] are both written to `spec.source.helm.parameters[name=image.tag]` of `argocd/app`; give each a target of its own");
    assert_eq!(world.applications.writes(), 0);
}

#[tokio::test]
async fn names_are_shared_by_images_of_one_repository_alone() {
    let rule = |second: &str| {
        format!(
            "applications: [{{ name: app }}]\nimages:\n- {{ alias: a, image: registry.example/app, constraint: ~1.0, target: {{ helm: {{ name: name, tag: a.tag }} }} }}\n- {{ alias: b, image: {second}, target: {{ helm: {{ name: name, tag: b.tag }} }} }}"
        )
    };
    let world = |second: &str| {
        World::new(&rule(second))
            .helm(
                "app",
                &[("a.tag", "1.0.0"), ("b.tag", "1.0.0")],
                &["registry.example/app:1.0.0", "registry.example/side:1.0.0"],
            )
            .tags(APP, &["1.0.0", "1.0.2", "2.0.0"])
            .tags("registry.example/side", &["1.0.0", "3.0.0"])
    };
    let mut shared = world("registry.example/app");
    let report = shared.look().await;
    assert_eq!(report.images.iter().map(|image| image.reason).collect::<Vec<_>>(), [Reason::Updated; 2]);
    let mut clashing = world("registry.example/side");
    let report = clashing.look().await;
    assert_eq!(report.images.iter().map(|image| image.reason).collect::<Vec<_>>(), [Reason::TargetClaimedTwice; 2]);
    assert_eq!(clashing.applications.writes(), 0);
}

#[tokio::test]
async fn two_policies_for_one_entry_of_kustomize_are_noticed() {
    let named = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, target: { kustomize: { name: web } } }]";
    let mut world = World::new(RULE)
        .beside("older", "2026-01-01T00:00:00Z", named)
        .kustomize("app", &["web=registry.example/app:1.0.0"], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    assert_eq!((world.look().await.images[0].reason, world.applications.writes()), (Reason::Conflict, 0));
}

#[tokio::test]
async fn a_parameter_that_belongs_to_another_image_is_left_alone() {
    let mut world = World::new(RULE)
        .helm(
            "app",
            &[("image.name", "registry.example/main"), ("image.tag", "7")],
            &["registry.example/main:7", "registry.example/app:1.0.0"],
        )
        .tags(APP, &["1.0.0", "1.0.2"]);
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::InvalidTarget, 0));
    insta::assert_snapshot!(report.images[0].message, @"spec.images[0].target: `image.name` of `argocd/app` belongs to `registry.example/main`, not to `registry.example/app`; name the parameters of this image with `target: { helm: { name: …, tag: … } }`");
}

#[tokio::test]
async fn the_usual_parameter_of_another_running_image_is_left_alone() {
    let mut world = World::new("applications: [{ name: app }]\nimages: [{ image: registry.example/envoy }]")
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/main:1.0.0", "registry.example/envoy:1.20.0"])
        .tags("registry.example/envoy", &["1.20.0", "1.21.0"]);
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::InvalidTarget, 0), "{report:#?}");
}

#[tokio::test]
async fn what_cannot_be_acted_on_says_why() {
    let status = |kind: &str| json!({ "sourceType": kind, "summary": { "images": ["registry.example/app:1.0.0"] } });
    let source = json!({ "source": { "repoURL": "x", "path": "y" } });
    let two = json!({ "sources": [{ "repoURL": "x", "chart": "a", "name": "one" }, { "repoURL": "x", "chart": "b", "name": "two" }] });
    for (spec, status, expected, message) in [
        (
            source.clone(),
            status("Directory"),
            Reason::UnsupportedSourceType,
            "the source of `argocd/app` is of type Directory, which cannot be written in the Application; Helm and Kustomize sources can be",
        ),
        (
            source.clone(),
            json!({ "summary": { "images": ["registry.example/app:1.0.0"] } }),
            Reason::UnsupportedSourceType,
            "the type of the source of `argocd/app` is not known; Argo CD tells it after its first look; or name it with `target.helm` or `target.kustomize`",
        ),
        (json!({}), json!({}), Reason::UnsupportedSourceType, "`argocd/app` has no source"),
        (
            two,
            json!({ "summary": { "images": ["registry.example/app:1.0.0"] } }),
            Reason::AmbiguousSource,
            "spec.images[0].target.source: more than one source of `argocd/app` fits; it has 0 (`one`, Helm), 1 (`two`, Helm); name one with `target: { source: { index: 0 } }`",
        ),
    ] {
        let mut world = World::new(RULE).application("app", spec, status).tags(APP, &["1.0.2"]);
        let report = world.look().await;
        assert_eq!(
            (report.images[0].reason, report.images[0].message.as_str(), world.applications.writes()),
            (expected, message, 0)
        );
    }
}

#[tokio::test]
async fn applications_that_are_going_or_skipped_are_left_alone() {
    for (edit, expected) in [
        (json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), Reason::ApplicationDeleting),
        (json!({ "annotations": { "argocd.argoproj.io/skip-reconcile": "true" } }), Reason::ApplicationSkipped),
    ] {
        let mut world = simple();
        world.edit("app", |object| {
            object["metadata"].as_object_mut().unwrap().extend(edit.as_object().unwrap().clone());
        });
        assert_eq!((world.look().await.images[0].reason, world.applications.writes()), (expected, 0));
    }
}

#[tokio::test]
async fn applications_of_another_argo_cd_are_left_alone_where_one_is_named() {
    for (instance, looked_after_by, expected, writes) in [
        (Some("argocd"), Some("other"), Reason::ApplicationSkipped, 0),
        (Some("argocd"), Some("argocd"), Reason::Updated, 1),
        (Some("argocd"), None, Reason::Updated, 1),
        (None, Some("other"), Reason::Updated, 1),
    ] {
        let mut world = simple();
        world.instance = instance;
        world.edit("app", |object| object["status"]["controllerNamespace"] = json!(looked_after_by));
        let report = world.look().await;
        assert_eq!((report.images[0].reason, world.applications.writes()), (expected, writes), "{looked_after_by:?}");
        if writes == 0 {
            insta::assert_snapshot!(report.images[0].message, @"`argocd/app` is looked after by the Argo CD of namespace `other` and is left alone");
        }
    }
}

#[tokio::test]
async fn a_policy_that_does_nothing_says_so() {
    let mut world =
        World::new("applications: [{ name: app-* }]\nimages: [{ image: registry.example/app }]").helm("web", &[], &[]);
    world.look().await;
    insta::assert_snapshot!(format!("{:?}", world.ready()), @r#"("False", "NoApplicationMatched", "spec.applications: no Application in namespace `argocd` matches; 1 is there; names and labels must fit, and a policy acts on Applications of its own namespace only")"#);
    let mut world = World::new(RULE).helm("app", &[("image.tag", "1")], &["registry.example/another:1"]);
    world.look().await;
    insta::assert_snapshot!(format!("{:?}", world.ready()), @r#"("False", "ImageNotUsed", "spec.images[0]: nothing shows that `argocd/app` uses `registry.example/app`; set `forceUpdate: true` if it does without running now")"#);
}

#[tokio::test]
async fn dry_runs_and_suspended_policies_write_nothing() {
    let mut world = simple();
    world.rewrite(&format!("dryRun: true\n{RULE}"));
    let report = world.look().await;
    assert_eq!(
        (report.images[0].reason, report.images[0].chosen.as_deref(), world.applications.writes()),
        (Reason::WouldUpdate, Some("1.0.2"), 0)
    );
    let mut world = simple();
    world.rewrite(&format!("suspend: true\n{RULE}"));
    let report = world.look().await;
    assert_eq!(
        (report.images[0].reason, world.registry.asked(), world.applications.writes()),
        (Reason::Suspended, (0, 0), 0)
    );
    assert_eq!((world.ready().0.as_str(), world.ready().1.as_str()), ("True", "Suspended"));
}

#[tokio::test]
async fn how_far_an_image_lags_is_told_until_it_is_written() {
    let mut world = simple().tags(APP, &["1.0.0", "1.0.1", "1.0.2", "1.2.0"]);
    let lag = |report: &Report| report.images[0].behind;
    world.rewrite(&format!("dryRun: true\n{RULE}"));
    assert_eq!(lag(&world.look().await), Some(Behind { versions: 2, pushed_at: None }));
    // What reads dates tells since when.
    let dated = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, strategy: NewestBuild, constraint: ~1.0 }]\ndryRun: true";
    world.rewrite(dated);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    let told = lag(&world.look().await).expect("it lags");
    assert_eq!(told.pushed_at.map(|at| at.to_string()).as_deref(), Some("2026-04-01T00:00:00Z"));
    world.rewrite(RULE);
    assert_eq!(lag(&world.look().await), None, "it is written");
    assert_eq!(lag(&world.look().await), None, "it is in place");
    world.edit("app", |object| *object.pointer_mut(TAG).unwrap() = json!("1.2.0"));
    let report = world.look().await;
    assert_eq!((report.images[0].reason, lag(&report)), (Reason::WouldGoBackwards, None));
}

#[tokio::test]
async fn digests_are_followed_and_pinned() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, strategy: Digest, constraint: latest }]";
    let mut world = World::new(rule).kustomize("app", &[], &["registry.example/app:latest"]).tags(APP, &["latest"]);
    world.look().await;
    let first = world.at("app", "/spec/source/kustomize/images/0");
    assert!(first.as_str().unwrap().starts_with("registry.example/app:latest@sha256:"), "{first}");
    world.look().await;
    assert_eq!(world.applications.writes(), 1);
    world.push(APP, "latest", "2026-05-01T00:00:00Z");
    world.look().await;
    assert_ne!(world.at("app", "/spec/source/kustomize/images/0"), first);
    for (pin, prefix) in
        [("Digest", "registry.example/app@sha256:"), ("TagAndDigest", "registry.example/app:1.0.2@sha256:")]
    {
        let rule = format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0, pin: {pin} }}]"
        );
        let mut world =
            World::new(&rule).kustomize("app", &[], &["registry.example/app:1.0.0"]).tags(APP, &["1.0.0", "1.0.2"]);
        world.look().await;
        let written = world.at("app", "/spec/source/kustomize/images/0");
        assert!(written.as_str().unwrap().starts_with(prefix), "{written}");
        world.look().await;
        assert_eq!(world.applications.writes(), 1, "{pin}");
    }
}

#[tokio::test]
async fn a_digest_alone_is_known_by_the_tag_it_was_written_for() {
    let rule =
        "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, pin: Digest }]";
    let mut world =
        World::new(rule).kustomize("app", &[], &["registry.example/app:1.0.0"]).tags(APP, &["1.0.0", "1.0.2"]);
    world.look().await;
    assert!(world.status.as_ref().unwrap().images[0].written.as_ref().unwrap().starts_with("1.0.2@sha256:"));
    world.registry.remove(&repository_of(APP), &"1.0.2".parse().unwrap());
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::WouldGoBackwards, 1));
}

#[tokio::test]
async fn a_young_version_waits_and_the_wait_survives_a_restart() {
    let rule =
        "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, minimumAge: 24h }]";
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.2"), "old when first seen, so its build date counts");
    world.push(APP, "1.0.3", "2026-03-01T00:00:00Z");
    let report = world.look().await;
    assert_eq!(
        (report.images[0].reason, report.images[0].until),
        (Reason::TooYoung, Some(world::time("2026-06-02T12:00:00Z")))
    );
    world.clock.advance(jiff::SignedDuration::from_hours(23));
    assert_eq!(world.look().await.images[0].reason, Reason::TooYoung);
    world.clock.advance(jiff::SignedDuration::from_hours(2));
    world.look().await;
    assert_eq!(world.at("app", TAG), json!("1.0.3"));
}

#[tokio::test]
async fn a_thousand_applications_fit_into_a_status() {
    let mut world =
        World::new("applications: [{ name: '*' }]\nimages: [{ image: registry.example/app, constraint: ~1.0 }]")
            .tags(APP, &["1.0.0", "1.0.2"]);
    for index in 0..1000 {
        world = world.helm(
            &format!("application-with-a-long-name-{index:04}"),
            &[("image.tag", "1.0.0")],
            &["registry.example/app:1.0.0"],
        );
    }
    world.look().await;
    let status = world.status.as_ref().unwrap();
    let summary = status.summary.as_ref().unwrap();
    assert!(serde_json::to_vec(status).unwrap().len() < 256 * 1024);
    assert_eq!(
        (summary.applications, summary.images, summary.not_listed),
        (1000, 1000, 1000 - i32::try_from(status.images.len()).unwrap())
    );
    assert_eq!((world.applications.writes(), world.registry.asked().0), (1000, 1));
}
