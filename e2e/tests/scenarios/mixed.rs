//! Applications of every kind, written by many workers while others edit them: each differs from its start in the planned
//! places and in what the others did, and nowhere else.

use std::collections::BTreeMap;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use fairlead_e2e::scene::comparable;
use fairlead_e2e::{AuditEntry, Deadline, Image, Scene, eventually};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

const OF_A_KIND: usize = 3;
const ROUNDS: usize = 4;
const EDITS_A_ROUND: usize = 40;

/// A kind of Application.
struct Kind {
    name: &'static str,
    target: fn() -> Value,
    spec: fn(&str) -> Value,
    /// What is planned: the version moves from one tag to another.
    moved: fn(&mut Value, &str, &str),
}

fn source(block: &str, content: &Value) -> Value {
    json!({"repoURL": "https://git.example.com/fleet.git", "path": "apps/web", "targetRevision": "main", block: content})
}

fn parameter(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value, "forceString": true})
}

fn replace(value: &mut Value, from: &str, to: &str) {
    let text = value.as_str().expect("a text");
    assert_eq!(text.matches(from).count(), 1, "{text}");
    *value = json!(text.replace(from, to));
}

fn named<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    let items = list.as_array_mut().expect("a list");
    items.iter_mut().find(|item| item["name"] == name).expect("the item")
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "parameters",
        target: || json!({"helm": {"name": "image.name", "tag": "image.tag"}}),
        spec: |image| {
            let parameters = [parameter("image.name", image), parameter("image.tag", "1.0.0")];
            json!({"source": source("helm", &json!({"parameters": parameters}))})
        },
        moved: |spec, from, to| {
            replace(&mut named(&mut spec["source"]["helm"]["parameters"], "image.tag")["value"], from, to);
        },
    },
    Kind {
        name: "reference",
        target: || json!({"helm": {"spec": "image"}}),
        spec: |image| {
            let parameters = [parameter("image", &format!("{image}:1.0.0"))];
            json!({"source": source("helm", &json!({"parameters": parameters}))})
        },
        moved: |spec, from, to| {
            replace(&mut named(&mut spec["source"]["helm"]["parameters"], "image")["value"], from, to);
        },
    },
    Kind {
        name: "object",
        target: || json!({"helm": {"values": {"tag": "image.tag"}}}),
        spec: |_| json!({"source": source("helm", &json!({"valuesObject": {"image": {"tag": "1.0.0"}}}))}),
        moved: |spec, from, to| replace(&mut spec["source"]["helm"]["valuesObject"]["image"]["tag"], from, to),
    },
    Kind {
        name: "text",
        target: || json!({"helm": {"values": {"tag": "image.tag"}}}),
        spec: |_| json!({"source": source("helm", &json!({"values": "# ours\nimage:\n  tag: '1.0.0'  # moved\n"}))}),
        moved: |spec, from, to| replace(&mut spec["source"]["helm"]["values"], from, to),
    },
    Kind {
        name: "kustomize",
        target: || json!({"kustomize": {}}),
        spec: |image| json!({"source": source("kustomize", &json!({"images": ["first:1", format!("{image}:1.0.0")]}))}),
        moved: |spec, from, to| {
            let images = spec["source"]["kustomize"]["images"].as_array_mut().expect("a list");
            let ours = images.iter_mut().find(|image| image.as_str().is_some_and(|text| text.contains("/app:")));
            replace(ours.expect("our entry"), from, to);
        },
    },
    Kind {
        name: "plugin",
        target: || json!({"plugin": {"tag": "TAG"}}),
        spec: |_| json!({"source": source("plugin", &json!({"env": [{"name": "TAG", "value": "1.0.0"}]}))}),
        moved: |spec, from, to| replace(&mut named(&mut spec["source"]["plugin"]["env"], "TAG")["value"], from, to),
    },
    Kind {
        name: "hydrator",
        target: || json!({"kustomize": {}}),
        spec: |image| {
            let dry = source("kustomize", &json!({"images": ["first:1", format!("{image}:1.0.0")]}));
            json!({"sourceHydrator": {"drySource": dry, "syncSource": {"targetBranch": "live", "path": "web"}}})
        },
        moved: |spec, from, to| {
            let images = spec["sourceHydrator"]["drySource"]["kustomize"]["images"].as_array_mut().expect("a list");
            let ours = images.iter_mut().find(|image| image.as_str().is_some_and(|text| text.contains("/app:")));
            replace(ours.expect("our entry"), from, to);
        },
    },
    Kind {
        name: "several",
        target: || json!({"helm": {"tag": "image.tag"}, "source": {"chart": "two"}}),
        spec: |_| {
            let chart = |name: &str| {
                json!({"repoURL": "https://charts.example.com", "chart": name, "name": name, "targetRevision": "main",
                    "helm": {"parameters": [parameter("image.tag", "1.0.0")]}})
            };
            json!({"sources": [chart("one"), chart("two")]})
        },
        moved: |spec, from, to| {
            let source = named(&mut spec["sources"], "two");
            replace(&mut named(&mut source["helm"]["parameters"], "image.tag")["value"], from, to);
        },
    },
];

/// Numbers that one seed makes again (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit).expect("a small limit")).expect("a small number")
    }
}

fn seed() -> u64 {
    let given = env::var("FAIRLEAD_E2E_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    })
}

/// What others do to an Application, the same on the object and on what is expected of it.
fn edit(object: &mut Value, kind: usize, number: usize) {
    let note = format!("edit-{number}");
    let spec = object.get_mut("spec").expect("a spec");
    match (kind, spec.get_mut("sources").and_then(Value::as_array_mut)) {
        (0, _) => object["metadata"]["annotations"][&note] = json!("x"),
        (1, Some(sources)) => sources.reverse(),
        (1, None) => the_source(spec)["targetRevision"] = json!(note),
        (_, Some(sources)) => {
            let one = sources.iter_mut().find(|source| source["name"] == "one").expect("the other source");
            one["helm"]["parameters"].as_array_mut().expect("a list").insert(0, parameter(&note, "x"));
        }
        (_, None) => edit_beside(the_source(spec), &note),
    }
}

/// The only source, be it dry or not.
fn the_source(spec: &mut Value) -> &mut Value {
    if spec.get("sourceHydrator").is_some() { &mut spec["sourceHydrator"]["drySource"] } else { &mut spec["source"] }
}

/// Puts something right beside what is kept up to date.
fn edit_beside(source: &mut Value, note: &str) {
    let list = |source: &mut Value, place: &str, item: Value| {
        let list = source.pointer_mut(place).and_then(Value::as_array_mut);
        list.map(|list| list.insert(0, item)).is_some()
    };
    if let Some(values) = source.pointer_mut("/helm/values") {
        *values = json!(format!("{note}: x\n{}", values.as_str().expect("a text")));
    } else if let Some(image) = source.pointer_mut("/helm/valuesObject/image") {
        image[note] = json!("x");
    } else {
        let done = list(source, "/helm/parameters", parameter(note, "x"))
            || list(source, "/kustomize/images", json!(format!("{note}:1")))
            || list(source, "/plugin/env", json!({"name": note, "value": "x"}));
        assert!(done, "{source}");
    }
}

/// Makes the edit on the fresh object, again where somebody was faster.
async fn edit_live(scene: &Scene, name: &str, kind: usize, number: usize) {
    let applications = scene.applications();
    loop {
        let live = applications.get(name).await.expect("it can be read");
        let mut value = serde_json::to_value(&live).expect("an object is JSON");
        edit(&mut value, kind, number);
        let changed: DynamicObject = serde_json::from_value(value).expect("an object");
        match applications.replace(name, &PostParams::default(), &changed).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(cause) => panic!("`{name}` cannot be edited: {cause}"),
        }
    }
}

async fn create(scene: &Scene, kind: &Kind, name: &str) -> Value {
    let mut spec = (kind.spec)(&scene.image("app"));
    spec["project"] = json!("default");
    spec["destination"] = json!({"server": "https://kubernetes.default.svc", "namespace": "web"});
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "labels": {"kind": kind.name}, "annotations": {"ours": "kept"}},
        "spec": spec, "status": {"sync": {"status": "Synced"}},
    });
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let created = scene.applications().create(&PostParams::default(), &object).await;
    comparable(&created.expect("an Application can be created"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_is_written_alone_while_others_edit() {
    let seed = seed();
    eprintln!("FAIRLEAD_E2E_SEED={seed}");
    let mut numbers = Numbers(seed);
    let scene = Scene::new("mixed").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0"]).await;
    let mut expected: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    for (position, kind) in KINDS.iter().enumerate() {
        for number in 0..OF_A_KIND {
            let name = format!("{}-{number}", kind.name);
            let created = create(&scene, kind, &name).await;
            expected.insert(name, (position, created));
        }
    }
    let _fairlead = scene.start().await;
    for kind in &KINDS {
        let applications = json!([{"selector": {"matchLabels": {"kind": kind.name}}}]);
        let images = json!([{"image": image, "constraint": "~1.0", "forceUpdate": true, "target": (kind.target)()}]);
        scene.policy(kind.name, json!({"applications": applications, "images": images})).await;
    }

    let names: Vec<String> = expected.keys().cloned().collect();
    for round in 1..=ROUNDS {
        let (before, tag) = (format!("1.0.{}", round - 1), format!("1.0.{round}"));
        scene.registry().push(&repository, &tag, &Image::new(&tag)).await;
        for kind in &KINDS {
            scene.touch(kind.name).await;
        }
        for edits in 0..EDITS_A_ROUND {
            let (name, kind) = (&names[numbers.below(names.len())], numbers.below(3));
            let number = round * EDITS_A_ROUND + edits;
            edit_live(&scene, name, kind, number).await;
            edit(&mut expected.get_mut(name).expect("it is known").1, kind, number);
        }
        for (kind, object) in expected.values_mut() {
            (KINDS[*kind].moved)(&mut object["spec"], &before, &tag);
        }
        for (name, (_, object)) in &expected {
            eventually(&format!("`{name}` is as planned"), Deadline::seconds(60), async || {
                let live = scene.read_application(name).await;
                if live == *object { Ok(()) } else { Err(format!("{live:#}\nis not\n{object:#}")) }
            })
            .await;
        }
    }

    let writes = scene.writes().await;
    for name in &names {
        let ours = |write: &&AuditEntry| write.of_application() && write.done() && write.name == *name;
        assert_eq!(writes.iter().filter(ours).count(), ROUNDS, "writes of `{name}`");
    }
}
