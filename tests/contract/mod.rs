//! What every adapter of the ports `Applications` and `Registry` must do, whatever lies behind it. Run on those in memory, on a folder
//! and on the embedded registry by `tests/contracts.rs`, and on a real API server and a real registry by the e2e tests.

use fairlead::model::{
    ApplicationId, ApplicationPlan, Details, Edit, Guard, ImageReference, Node, Operation, Pointer, Reason, Tag,
};
use fairlead::ports::{Applications, Question, Registry, WriteError};
use k8s_openapi::jiff::Timestamp;

/// The Application that the contract is tried on. Names differ from test to test, as all may share one server.
pub fn manifest(namespace: &str, name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": name, "namespace": namespace, "labels": { "team": "web" } },
        "spec": {
            "project": "default",
            "destination": { "server": "https://kubernetes.default.svc" },
            "source": {
                "repoURL": "https://git.example/web",
                "path": "chart",
                "helm": { "parameters": [{ "name": "image.tag", "value": "1.0.0", "forceString": true }] },
            },
        },
    })
}

/// Runs the whole contract. `port` must hold [`manifest`] under `name`, and nothing else of that name.
#[expect(clippy::cognitive_complexity, reason = "a list of promises, one after the other")]
pub async fn check(port: &dyn Applications, namespace: &str, name: &str) {
    let id = ApplicationId::new(namespace, name);
    let listed = port.list(namespace).await.expect("a list");
    let found = listed.applications.iter().find(|application| application.id == id).expect("it is listed");
    assert_eq!(found.labels.get("team").map(String::as_str), Some("web"));
    let fresh = port.fresh(&id).await.expect("an answer").expect("it exists");
    assert_eq!((&fresh.uid, &fresh.sources), (&found.uid, &found.sources));
    assert!(port.fresh(&ApplicationId::new(namespace, "missing")).await.expect("an answer").is_none());

    let stale = plan(port, &id, "1.0.0", "1.0.1").await;
    port.write(&stale).await.expect("the first write");
    assert_eq!(value(port, &id).await, "1.0.1");

    assert_eq!(port.write(&stale).await, Err(WriteError::Conflict(id.clone())), "a plan is written once");
    let mut wrong = plan(port, &id, "0.9.0", "1.0.2").await;
    assert!(port.write(&wrong).await.is_err(), "a value that is not there is not replaced");
    wrong.guard = Guard::Values;
    assert!(port.write(&wrong).await.is_err(), "whatever the guard");
    let mut other = plan(port, &id, "1.0.1", "1.0.2").await;
    "00000000-0000-0000-0000-000000000000".clone_into(&mut other.uid);
    assert_eq!(
        port.write(&other).await,
        Err(WriteError::Conflict(id.clone())),
        "another object of the name is left alone"
    );
    assert_eq!(value(port, &id).await, "1.0.1", "what was refused changed nothing");

    let mut gone = plan(port, &id, "1.0.1", "1.0.2").await;
    gone.application = ApplicationId::new(namespace, "missing");
    assert_eq!(port.write(&gone).await, Err(WriteError::Gone(gone.application.clone())));

    let append = plan_of(port, &id, vec![Operation::Add(parameters().end(), parameter("more", "x"))]).await;
    port.write(&append).await.expect("an item at the end");
    assert_eq!(value(port, &id).await, "1.0.1");
}

/// Runs the contract of registries. `image` must have one tag, `1.0.0`, with an image that states its build date and one label, `1.0.0`; beside it there
/// must be no repository with `-unknown` at its end.
pub async fn check_registry(port: &dyn Registry, image: &str, now: Timestamp) {
    let name = |text: &str| text.parse::<ImageReference>().expect("an image").repository;
    let (known, unknown) = (name(image), name(&format!("{image}-unknown")));
    let question = |repository| Question { repository, credentials: None, platforms: &[], dates: true };
    let listing = port.tags(&question(&known), now).await.expect("a list");
    assert_eq!((listing.incomplete.as_ref(), listing.candidates.len()), (None, 1));
    assert!(
        listing.candidates.iter().all(|candidate| candidate.details == Details::Unknown),
        "a list asks for no details"
    );
    let tags: Vec<Tag> = ["1.0.0", "9.9.9"].iter().map(|tag| tag.parse().expect("a tag")).collect();
    let details = port.details(&question(&known), &tags, now).await.expect("details");
    assert_eq!(details.len(), 1, "a tag that is not there is left out");
    assert!(matches!(&details[0].details, Details::Known(known) if known.builds.len() == 1), "{details:?}");
    let labels = port.labels(&question(&known), &tags[0], now).await.expect("labels");
    assert_eq!(labels.values().collect::<Vec<_>>(), ["1.0.0"]);
    assert_eq!(port.labels(&question(&known), &tags[1], now).await.expect("no tag, no labels").len(), 0);
    let refused = port.tags(&question(&unknown), now).await.expect_err("no such repository");
    assert_eq!(refused.reason, Reason::RepositoryNotFound);
}

async fn plan(port: &dyn Applications, id: &ApplicationId, from: &str, to: &str) -> ApplicationPlan {
    let at = |key: &str| parameters().index(0).key(key);
    let operations = vec![
        Operation::Test(at("name"), Node::text("image.tag")),
        Operation::Test(at("value"), Node::text(from)),
        Operation::Replace(at("value"), Node::text(to)),
    ];
    plan_of(port, id, operations).await
}

async fn plan_of(port: &dyn Applications, id: &ApplicationId, operations: Vec<Operation>) -> ApplicationPlan {
    let fresh = port.fresh(id).await.expect("an answer").expect("it exists");
    ApplicationPlan {
        application: id.clone(),
        uid: fresh.uid.clone(),
        resource_version: fresh.resource_version.clone(),
        guard: Guard::Version,
        refresh: None,
        sync: None,
        edits: vec![Edit { image: 0, from: None, to: "1".to_owned(), operations }],
    }
}

async fn value(port: &dyn Applications, id: &ApplicationId) -> String {
    let fresh = port.fresh(id).await.expect("an answer").expect("it exists");
    let (_, source) = fresh.sources.each().into_iter().next().expect("a source");
    let helm = source.helm.as_ref().expect("a Helm block");
    helm.parameters.as_ref().expect("parameters")[0].value.clone()
}

fn parameters() -> Pointer {
    Pointer::root().key("spec").key("source").key("helm").key("parameters")
}

fn parameter(name: &str, value: &str) -> Node {
    Node::map([("name", Node::text(name)), ("value", Node::text(value))])
}
