//! Where versions are written: plugin variables, chart values, one source of several, the dry source.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use fairlead::model::Reason;
use serde_json::{Value, json};
use world::World;

const APP: &str = "registry.example/app";

/// A look at `spec` with `target`, and one more, which must write nothing. What the Application says then, and what was said.
async fn looked(target: &str, spec: Value, kind: Value) -> (Value, Reason, String, usize) {
    let rule = format!(
        "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app, constraint: ~1.0, target: {target} }}]"
    );
    let mut status = json!({ "summary": { "images": ["registry.example/app:1.0.0"] } });
    status.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    let mut world = World::new(&rule).application("app", spec, status).tags(APP, &["1.0.0", "1.0.2", "2.0.0"]);
    let first = world.look().await;
    let writes = world.applications.writes();
    world.look().await;
    assert_eq!(world.applications.writes(), writes, "{first:#?}");
    (world.at("app", "/spec"), first.images[0].reason, first.images[0].message.clone(), writes)
}

fn with(spec: &Value, pointer: &str, value: Value) -> Value {
    let mut spec = spec.clone();
    *spec.pointer_mut(pointer).unwrap() = value;
    spec
}

#[tokio::test]
async fn plugin_variables_are_written_in_place_or_added() {
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    for (plugin, target, expected) in [
        (
            json!({ "name": "kasane", "env": [variable("A", "b"), variable("TAG", "1.0.0")] }),
            "{ plugin: { tag: TAG } }",
            json!({ "name": "kasane", "env": [variable("A", "b"), variable("TAG", "1.0.2")] }),
        ),
        (
            json!({ "env": [variable("IMAGE", "registry.example/app:1.0.0")] }),
            "{ plugin: { spec: IMAGE } }",
            json!({ "env": [variable("IMAGE", "registry.example/app:1.0.2")] }),
        ),
        (
            json!({ "env": [variable("A", "b")] }),
            "{ plugin: { name: IMAGE, tag: TAG } }",
            json!({ "env": [variable("A", "b"), variable("IMAGE", APP), variable("TAG", "1.0.2")] }),
        ),
        (json!({}), "{ plugin: { tag: TAG } }", json!({ "env": [variable("TAG", "1.0.2")] })),
        (
            json!({ "env": [variable("TAG", "1.0.0"), variable("TAG", "1.0.1")] }),
            "{ plugin: { tag: TAG } }",
            json!({ "env": [variable("TAG", "1.0.0"), variable("TAG", "1.0.2")] }),
        ),
    ] {
        let spec = json!({ "source": { "repoURL": "x", "path": "y", "plugin": plugin } });
        let (after, reason, message, writes) = looked(target, spec.clone(), json!({})).await;
        assert_eq!((after, writes), (with(&spec, "/source/plugin", expected), 1), "{reason} {message}");
    }
}

#[tokio::test]
async fn a_plugin_found_by_argo_cd_gets_its_block() {
    let spec = json!({ "source": { "repoURL": "x", "path": "y" } });
    let (after, ..) = looked("{ plugin: { tag: TAG } }", spec, json!({ "sourceType": "Plugin" })).await;
    assert_eq!(after["source"]["plugin"], json!({ "env": [{ "name": "TAG", "value": "1.0.2" }] }));
}

#[tokio::test]
async fn a_plugin_needs_a_target() {
    let spec = json!({ "source": { "repoURL": "x", "path": "y", "plugin": { "env": [] } } });
    let (after, reason, message, writes) = looked("{}", spec.clone(), json!({})).await;
    assert_eq!((after, reason, writes), (spec, Reason::UnsupportedSourceType, 0));
    insta::assert_snapshot!(message, @"the source of `argocd/app` is of type Plugin, and the target does not say which variables to write; name the variables with `target: { plugin: { tag: … } }`");
}

#[tokio::test]
async fn values_objects_are_written_in_place_or_added() {
    let tag = "{ helm: { values: { tag: image.tag } } }";
    for (helm, target, expected) in [
        (
            json!({ "valuesObject": { "image": { "tag": "1.0.0", "pull": true } } }),
            tag,
            json!({ "valuesObject": { "image": { "tag": "1.0.2", "pull": true } } }),
        ),
        (
            json!({ "valuesObject": { "replicas": 2 } }),
            tag,
            json!({ "valuesObject": { "replicas": 2, "image": { "tag": "1.0.2" } } }),
        ),
        (
            json!({ "releaseName": "a" }),
            tag,
            json!({ "releaseName": "a", "valuesObject": { "image": { "tag": "1.0.2" } } }),
        ),
        (
            json!({ "valuesObject": { "web": [{ "image": "x" }, { "image": "registry.example/app:1.0.0" }] } }),
            "{ helm: { values: { spec: 'web[1].image' } } }",
            json!({ "valuesObject": { "web": [{ "image": "x" }, { "image": "registry.example/app:1.0.2" }] } }),
        ),
        (
            json!({ "valuesObject": { "a.b": { "name": "registry.example/old", "tag": "1.0.0" } } }),
            r"{ helm: { values: { name: 'a\.b.name', tag: 'a\.b.tag' } } }",
            json!({ "valuesObject": { "a.b": { "name": APP, "tag": "1.0.2" } } }),
        ),
    ] {
        let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": helm } });
        let (after, reason, message, writes) = looked(target, spec.clone(), json!({})).await;
        assert_eq!((after, writes), (with(&spec, "/source/helm", expected), 1), "{reason} {message}");
    }
    let spec = json!({ "source": { "repoURL": "x", "chart": "y" } });
    let (after, ..) = looked(tag, spec, json!({})).await;
    assert_eq!(after["source"]["helm"], json!({ "valuesObject": { "image": { "tag": "1.0.2" } } }));
}

#[tokio::test]
async fn values_that_cannot_be_written_are_named() {
    let say = async |helm: Value, path: &str| {
        let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": helm } });
        let target = format!("{{ helm: {{ values: {{ tag: '{path}' }} }} }}");
        let (after, reason, message, writes) = looked(&target, spec.clone(), json!({})).await;
        assert_eq!((after, reason, writes), (spec, Reason::InvalidTarget, 0));
        message
    };
    insta::assert_snapshot!(say(json!({ "valuesObject": { "tag": 1.0 } }), "tag").await, @"spec.images[0].target.helm.values: `argocd/app` holds something at `tag` of its `valuesObject` that is no text; make it a text of `valuesObject`, or write a parameter");
    insta::assert_snapshot!(say(json!({ "valuesObject": { "a": [] } }), "a[0].tag").await, @"spec.images[0].target.helm.values: `argocd/app` has no place for `a[0].tag` in its `valuesObject`; make it a text of `valuesObject`, or write a parameter");
    insta::assert_snapshot!(say(json!({ "valuesObject": {}, "parameters": [{ "name": "tag", "value": "1" }] }), "tag").await, @"spec.images[0].target.helm.values: `argocd/app` has a Helm parameter `tag`, which goes before Helm values; write the parameter, or remove it");
}

#[tokio::test]
async fn values_in_a_text_are_written_without_touching_the_rest() {
    let tag = "{ helm: { values: { tag: image.tag } } }";
    for (values, target, expected) in [
        (
            "# ours\nimage:\n  tag: '1.0.0'  # moved\n  pull: true\n",
            tag,
            "# ours\nimage:\n  tag: '1.0.2'  # moved\n  pull: true\n",
        ),
        ("replicas: 2\n", tag, "replicas: 2\nimage:\n  tag: 1.0.2\n"),
        ("image:\n  pull: true", tag, "image:\n  pull: true\n  tag: 1.0.2"),
        ("image:\n", tag, "image:\n  tag: 1.0.2\n"),
        ("{\"image\": {\"tag\": \"1.0.0\"}}", tag, "{\"image\": {\"tag\": \"1.0.2\"}}"),
        (
            "web:\n- image: x\n- image: registry.example/app:1.0.0\n",
            "{ helm: { values: { spec: 'web[1].image' } } }",
            "web:\n- image: x\n- image: registry.example/app:1.0.2\n",
        ),
        (
            "a.b: {name: registry.example/old, tag: 1.0.0}\n",
            r"{ helm: { values: { name: 'a\.b.name', tag: 'a\.b.tag' } } }",
            "a.b: {name: registry.example/app, tag: 1.0.2}\n",
        ),
    ] {
        let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": { "values": values } } });
        let (after, reason, message, writes) = looked(target, spec.clone(), json!({})).await;
        assert_eq!((after, writes), (with(&spec, "/source/helm/values", json!(expected)), 1), "{reason} {message}");
    }
}

#[tokio::test]
async fn a_values_object_goes_before_the_text() {
    let helm = json!({ "values": "image: {tag: 1.0.0}\n", "valuesObject": { "image": { "tag": "1.0.1" } } });
    let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": helm } });
    let (after, ..) = looked("{ helm: { values: { tag: image.tag } } }", spec.clone(), json!({})).await;
    assert_eq!(after, with(&spec, "/source/helm/valuesObject/image/tag", json!("1.0.2")));
    // An empty text is none.
    let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": { "values": " \n" } } });
    let (after, ..) = looked("{ helm: { values: { tag: image.tag } } }", spec, json!({})).await;
    let expected = json!({ "values": " \n", "valuesObject": { "image": { "tag": "1.0.2" } } });
    assert_eq!(after["source"]["helm"], expected);
}

#[tokio::test]
async fn two_images_in_one_text_are_written_at_once() {
    let rule = "applications: [{ name: app }]\nimages:\n- { image: registry.example/app, target: { helm: { values: { tag: web.tag } } } }\n- { image: registry.example/job, target: { helm: { values: { tag: job.tag } } } }";
    let values = "web: {tag: 1.0.0}  # one\njob: {tag: 2.0.0}  # two\n";
    let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": { "values": values } } });
    let mut world = World::new(rule)
        .application("app", spec, json!({}))
        .tags(APP, &["1.0.0", "1.0.2"])
        .tags("registry.example/job", &["2.0.0", "2.1.0"]);
    let report = world.look().await;
    world.look().await;
    assert_eq!((report.images[0].reason, report.images[1].reason), (Reason::Updated, Reason::Updated));
    assert_eq!(world.at("app", "/spec/source/helm/values"), "web: {tag: 1.0.2}  # one\njob: {tag: 2.1.0}  # two\n");
    assert_eq!(world.applications.writes(), 1);
}

#[tokio::test]
async fn a_text_that_cannot_be_changed_alone_is_left() {
    let say = async |values: &str, path: &str| {
        let spec = json!({ "source": { "repoURL": "x", "chart": "y", "helm": { "values": values } } });
        let target = format!("{{ helm: {{ values: {{ tag: '{path}' }} }} }}");
        let (after, reason, message, writes) = looked(&target, spec.clone(), json!({})).await;
        assert_eq!((after, writes), (spec, 0));
        format!("{reason}: {message}")
    };
    insta::assert_snapshot!(say("tag: 1.0\n", "tag").await, @"InvalidTarget: spec.images[0].target.helm.values: `argocd/app` holds something at `tag` of its Helm `values` that is no text; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("a: []\n", "a[0].tag").await, @"InvalidTarget: spec.images[0].target.helm.values: `argocd/app` has no place for `a[0].tag` in its Helm `values`; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("a: &x {tag: 1.0.0}\nb: *x\n", "a.tag").await, @"CannotEditLosslessly: spec.images[0].target.helm.values: `argocd/app` has Helm `values` that cannot be changed there: line 1: `a` has an anchor that is used elsewhere, too; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("tag: 1.0.0\ntag: 1.0.1\n", "tag").await, @"CannotEditLosslessly: spec.images[0].target.helm.values: `argocd/app` has Helm `values` that cannot be changed there: line 2: the key `tag` stands here a second time; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("tag: 1.0.0\n---\ntag: 1.0.1\n", "tag").await, @"CannotEditLosslessly: spec.images[0].target.helm.values: `argocd/app` has Helm `values` that cannot be changed there: line 1: it holds 2 documents, and one is expected; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("tag: {{ .Values.tag }}\n", "tag").await, @"InvalidTarget: spec.images[0].target.helm.values: `argocd/app` holds something at `tag` of its Helm `values` that is no text; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("# nothing\n", "tag").await, @"CannotEditLosslessly: spec.images[0].target.helm.values: `argocd/app` has Helm `values` that cannot be changed there: line 1: it holds 0 documents, and one is expected; make it a text in quotes there, or write a parameter");
    insta::assert_snapshot!(say("tag: >-\n  1.0.0\n", "tag").await, @"CannotEditLosslessly: spec.images[0].target.helm.values: `argocd/app` has Helm `values` that cannot be changed there: line 2: `tag` is a block scalar; make it a text in quotes there, or write a parameter");
}

fn two_charts() -> Value {
    let chart = |chart: &str, tag: &str| {
        json!({ "repoURL": "https://charts.example", "chart": chart, "name": chart, "ref": chart,
            "helm": { "parameters": [{ "name": "image.tag", "value": tag, "forceString": true }] } })
    };
    json!({ "sources": [chart("one", "1.0.0"), chart("two", "1.0.0")] })
}

#[tokio::test]
async fn one_of_several_sources_is_named_in_four_ways() {
    for selector in ["{ name: two }", "{ index: 1 }", "{ ref: two }", "{ chart: two }"] {
        let spec = two_charts();
        let (after, _, message, writes) = looked(&format!("{{ source: {selector} }}"), spec.clone(), json!({})).await;
        let expected = with(&spec, "/sources/1/helm/parameters/0/value", json!("1.0.2"));
        assert_eq!((after, writes), (expected, 1), "{selector} {message}");
    }
}

#[tokio::test]
async fn sources_in_another_order_are_never_mistaken() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app, constraint: ~1.0, target: { source: { chart: two } } }]";
    let status = json!({ "summary": { "images": ["registry.example/app:1.0.0"] } });
    let mut world = World::new(rule).application("app", two_charts(), status).tags(APP, &["1.0.0", "1.0.2"]);
    world.applications.intrude(|object| {
        // Every time, so that at last the values alone guard the write.
        object["spec"]["sources"].as_array_mut().unwrap().reverse();
    });
    let report = world.look().await;
    assert_eq!((report.images[0].reason, world.applications.writes()), (Reason::WriteConflict, 0));
    world.applications.intrude(|_| {});
    world.look().await;
    for source in world.at("app", "/spec/sources").as_array().unwrap() {
        let expected = if source["chart"] == "two" { "1.0.2" } else { "1.0.0" };
        assert_eq!(source["helm"]["parameters"][0]["value"], expected, "{source}");
    }
}

#[tokio::test]
async fn sources_go_before_the_single_one_and_the_dry_source_before_all() {
    let kustomize =
        |tag: &str| json!({ "repoURL": "x", "path": "y", "kustomize": { "images": [format!("{APP}:{tag}")] } });
    let spec = json!({ "source": kustomize("1.0.0"), "sources": [kustomize("1.0.1")] });
    let (after, ..) = looked("{}", spec.clone(), json!({})).await;
    assert_eq!(after, with(&spec, "/sources/0/kustomize/images/0", json!("registry.example/app:1.0.2")));

    let dry = json!({ "drySource": kustomize("1.0.0"), "syncSource": { "targetBranch": "live", "path": "y" } });
    let spec = json!({ "source": kustomize("1.0.0"), "sources": [kustomize("1.0.1")], "sourceHydrator": dry });
    let (after, ..) = looked("{}", spec.clone(), json!({ "sourceType": "Directory" })).await;
    let place = "/sourceHydrator/drySource/kustomize/images/0";
    assert_eq!(after, with(&spec, place, json!("registry.example/app:1.0.2")));
}

#[tokio::test]
async fn argo_cd_is_asked_to_look_only_where_a_policy_says_so() {
    let refresh = "argocd.argoproj.io/refresh";
    for (annotations, asked, expected) in [
        (json!({ "ours": "kept" }), "{ refresh: true }", json!({ "ours": "kept", refresh: "normal" })),
        (Value::Null, "{ refresh: true }", json!({ refresh: "normal" })),
        (json!({ "ours": "kept" }), "{}", json!({ "ours": "kept" })),
    ] {
        let rule = format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: registry.example/app }}]\nwriteBack: {{ application: {asked} }}"
        );
        let mut world = World::new(&rule)
            .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
            .tags(APP, &["1.0.0", "1.0.2"]);
        world.edit("app", |object| object["metadata"]["annotations"] = annotations.clone());
        assert_eq!(world.look().await.images[0].reason, Reason::Updated);
        assert_eq!(world.at("app", "/metadata/annotations"), expected);
        // Argo CD takes it away once it has looked; without a change it is not asked again.
        world.edit("app", |object| object["metadata"]["annotations"] = annotations.clone());
        world.look().await;
        assert_eq!((world.at("app", "/metadata/annotations"), world.applications.writes()), (annotations, 1));
    }
}

#[tokio::test]
async fn what_others_annotate_meanwhile_is_kept() {
    let rule = "applications: [{ name: app }]\nimages: [{ image: registry.example/app }]\nwriteBack: { application: { refresh: true } }";
    let mut world = World::new(rule)
        .helm("app", &[("image.tag", "1.0.0")], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.2"]);
    let mut rounds = 0;
    // Every time, so that at last the values alone guard the write.
    world.applications.intrude(move |object| {
        rounds += 1;
        object["metadata"]["annotations"] = json!({ "round": rounds.to_string() });
    });
    assert_eq!(world.look().await.images[0].reason, Reason::Updated);
    assert_eq!(world.at("app", "/metadata/annotations"), json!({ "round": "4" }));
}

#[tokio::test]
async fn a_dry_source_gets_its_helm_block() {
    let dry =
        json!({ "drySource": { "repoURL": "x", "path": "y" }, "syncSource": { "targetBranch": "live", "path": "y" } });
    let spec = json!({ "sourceHydrator": dry });
    let (after, ..) = looked("{ helm: { tag: web.tag } }", spec, json!({ "sourceType": "Directory" })).await;
    assert_eq!(
        after["sourceHydrator"]["drySource"]["helm"],
        json!({ "parameters": [{ "name": "web.tag", "value": "1.0.2", "forceString": true }] })
    );
}
