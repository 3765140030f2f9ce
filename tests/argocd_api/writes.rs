//! Writing: narrow, tested, read back, and what each refusal means.

use std::time::Duration;

use fairlead::adapters::argocd::{ArgoCdSettings, Timings};
use fairlead::model::{Application, ApplicationPlan, Edit, Guard, Node, Operation, Pointer, Refusal, SyncRequest};
use fairlead::ports::{Applications as _, WriteError};
use serde_json::{Value, json};

use crate::stand_in::{ArgoCd, Call, Fault, until};
use crate::{NAMESPACE, Reached, follow, labelled, manifest, settings, timings, web};

const VALUE: &str = "/spec/source/helm/parameters/0/value";

/// From 1.0.0 to 1.0.1.
async fn plan(reached: &Reached) -> ApplicationPlan {
    let fresh = reached.port.fresh(&web()).await.expect("an answer").expect("it is there");
    let at = Pointer::root().key("spec").key("source").key("helm").key("parameters").index(0).key("value");
    let operations =
        vec![Operation::Test(at.clone(), Node::text("1.0.0")), Operation::Replace(at, Node::text("1.0.1"))];
    ApplicationPlan {
        application: web(),
        uid: fresh.uid.clone(),
        resource_version: fresh.resource_version.clone(),
        guard: Guard::Version,
        edits: vec![Edit { image: 0, from: None, to: "1.0.1".to_owned(), operations }],
        refresh: None,
        sync: None,
    }
}

async fn prepared() -> (ArgoCd, Reached, ApplicationPlan) {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let timings = Timings { change: Duration::from_millis(500), ..timings() };
    let reached = follow(&argocd, &ArgoCdSettings { timings, ..settings(&argocd) }).await;
    let plan = plan(&reached).await;
    (argocd, reached, plan)
}

fn value(argocd: &ArgoCd) -> Value {
    argocd.object("web").pointer(VALUE).cloned().unwrap_or_default()
}

fn words(argocd: &ArgoCd, result: Result<(), WriteError>) -> String {
    result.expect_err("it is refused").to_string().replace(argocd.host(), "HOST")
}

#[tokio::test]
async fn nothing_but_the_planned_value_changes_by_one_patch_that_is_read_back() {
    let (argocd, reached, plan) = prepared().await;
    let before = argocd.object("web");
    let reads = argocd.calls(Call::Get).len();
    reached.port.write(&plan).await.expect("it is written");
    let mut after = argocd.object("web");
    assert_eq!(after.pointer(VALUE), Some(&json!("1.0.1")));
    *after.pointer_mut(VALUE).expect("it is there") = json!("1.0.0");
    for field in ["resourceVersion", "annotations", "finalizers"] {
        after["metadata"][field] = before["metadata"][field].clone();
    }
    let bare = |mut object: Value| {
        object["metadata"].as_object_mut().expect("metadata").retain(|_, value| !value.is_null());
        object
    };
    assert_eq!(bare(after), bare(before));
    assert_eq!(argocd.calls(Call::Patch), ["PATCH /api/v1/applications/web?"]);
    let read = argocd.calls(Call::Get).split_off(reads);
    assert_eq!(read, ["GET /api/v1/applications/web?appNamespace=argocd&project=default"]);
    assert_eq!(argocd.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_persons_edit_under_way_is_a_conflict_and_survives() {
    let (argocd, reached, plan) = prepared().await;
    argocd.before_patch(|object| object["spec"]["source"]["targetRevision"] = json!("of a person"));
    assert_eq!(reached.port.write(&plan).await, Err(WriteError::Conflict(web())));
    assert_eq!(argocd.object("web").pointer("/spec/source/targetRevision"), Some(&json!("of a person")));
    assert_eq!(value(&argocd), "1.0.0");
}

#[tokio::test]
async fn what_the_server_writes_over_is_a_conflict() {
    let (argocd, reached, plan) = prepared().await;
    argocd.after_patch(|object| *object.pointer_mut(VALUE).expect("it is there") = json!("1.0.0"));
    assert_eq!(reached.port.write(&plan).await, Err(WriteError::Conflict(web())));
}

#[tokio::test]
async fn a_change_that_was_made_without_an_answer_is_seen() {
    let (argocd, reached, plan) = prepared().await;
    argocd.fault(Call::Patch, Fault::DoesAndFallsSilent);
    assert_eq!(reached.port.write(&plan).await, Ok(()));
    assert_eq!((value(&argocd), argocd.calls(Call::Patch).len()), (json!("1.0.1"), 1));
}

#[tokio::test]
async fn without_an_answer_and_without_the_change_it_is_tried_at_the_next_look() {
    let (argocd, reached, plan) = prepared().await;
    argocd.fault(Call::Patch, Fault::Silence);
    let silent = words(&argocd, reached.port.write(&plan).await);
    insta::assert_snapshot!(silent, @"cannot change `argocd/web`: `HOST` does not answer in time");
    argocd.fault(Call::Patch, Fault::Says(504, "<html>"));
    let late = words(&argocd, reached.port.write(&plan).await);
    insta::assert_snapshot!(late, @"cannot change `argocd/web`: `HOST` answers 504 Gateway Timeout");
    argocd.fault(Call::Get, Fault::Says(503, "<html>"));
    let result = reached.port.write(&plan).await;
    assert!(matches!(result, Err(WriteError::Unavailable { .. })), "{result:?}");
    assert_eq!(value(&argocd), "1.0.0");
}

#[tokio::test]
async fn what_is_refused_is_told_in_the_servers_words() {
    let (argocd, reached, plan) = prepared().await;
    argocd.find_all_invalid();
    let invalid = words(&argocd, reached.port.write(&plan).await);
    insta::assert_snapshot!(invalid, @"the change of `argocd/web` is refused: `HOST` answers 400 Bad Request (`application spec for web is invalid: InvalidSpecError: Unable to generate manifests`)");
    argocd.forbid_changes("default");
    let denied = words(&argocd, reached.port.write(&plan).await);
    insta::assert_snapshot!(denied, @"not allowed to change `argocd/web`: `HOST` answers 403 Forbidden (`permission denied: applications, update, default/web, sub: updater`); the account of the token lacks a right, or it is not there");
    argocd.rotate("another");
    let result = reached.port.write(&plan).await;
    assert!(matches!(result, Err(WriteError::Denied { .. })), "{result:?}");
    assert_eq!(value(&argocd), "1.0.0");
}

#[tokio::test]
async fn an_application_that_moved_to_another_project_is_found_there() {
    let (argocd, reached, plan) = prepared().await;
    argocd.be_deaf();
    argocd.edit("web", |object| object["spec"]["project"] = json!("team"));
    assert_eq!(reached.port.write(&plan).await, Err(WriteError::Conflict(web())));
    let fresh = reached.port.fresh(&web()).await.expect("an answer").expect("it is there");
    assert_eq!(fresh.project, "team");
    assert_eq!(reached.known().await.map(|known| known.project).as_deref(), Some("default"), "nothing told of it");
}

#[tokio::test]
async fn gone_is_what_argo_cd_says_is_gone_and_not_something_on_the_way() {
    let (argocd, reached, plan) = prepared().await;
    argocd.be_deaf();
    argocd.fault(Call::Get, Fault::Says(404, "<h1>404 page not found</h1>"));
    let error = reached.port.fresh(&web()).await.expect_err("that is no answer of Argo CD");
    insta::assert_snapshot!(error.to_string().replace(argocd.host(), "HOST"), @"cannot read `argocd/web`: `HOST` answers 404 Not Found; is this the address of Argo CD's server?");
    argocd.fault(Call::Get, None);
    argocd.remove("web");
    assert_eq!(reached.port.fresh(&web()).await.expect("an answer"), None);
    assert_eq!(reached.port.write(&plan).await, Err(WriteError::Gone(web())));
}

#[tokio::test]
async fn what_argo_cd_leaves_out_when_it_stores_is_no_conflict() {
    let (argocd, reached, plan) = prepared().await;
    let list = Pointer::root().key("spec").key("source").key("helm").key("parameters").end();
    let parameter =
        Node::map([("name", Node::text("more")), ("value", Node::text("")), ("forceString", Node::Bool(false))]);
    let mut plan = plan;
    plan.edits[0].operations = vec![Operation::Add(list, parameter)];
    assert_eq!(reached.port.write(&plan).await, Ok(()));
    assert_eq!(argocd.object("web").pointer("/spec/source/helm/parameters/1"), Some(&json!({ "name": "more" })));
}

#[tokio::test]
async fn a_refresh_is_asked_for_and_not_waited_for() {
    let (argocd, reached, _) = prepared().await;
    reached.port.refresh(&web()).await.expect("it is taken");
    assert_eq!(
        argocd.calls(Call::Refresh),
        ["GET /api/v1/applications/web?appNamespace=argocd&project=default&refresh=normal"]
    );
    argocd.fault(Call::Refresh, Fault::Silence);
    reached.port.refresh(&web()).await.expect("Argo CD looks, whether it is waited for or not");
    argocd.fault(Call::Refresh, None);
    argocd.remove("web");
    until("it is gone", || reached.port.index().uid(&web()).is_none()).await;
    argocd.be_deaf();
    argocd.put(manifest("web"));
    argocd.hide("default");
    assert!(reached.port.refresh(&web()).await.is_err());
}

#[tokio::test]
async fn who_made_an_application_is_asked_once_for_several_looks() {
    let argocd = ArgoCd::start("").await;
    let mut child = manifest("web");
    child["metadata"]["ownerReferences"] = json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "fleet", "uid": "1", "controller": true }]);
    argocd.put(child);
    argocd.put_set(
        "fleet",
        json!({ "metadata": { "name": "fleet" }, "spec": { "syncPolicy": { "applicationsSync": "create-only" } } }),
    );
    let reached = follow(&argocd, &settings(&argocd)).await;
    for _ in 0..3 {
        let inventory = reached.port.list(NAMESPACE).await.expect("a list");
        assert!(inventory.sets["fleet"].as_ref().is_ok_and(|set| set.creates_only));
    }
    assert_eq!(argocd.calls(Call::Set), ["GET /api/v1/applicationsets/fleet?appsetNamespace=argocd"]);
    let mut orphan = manifest("orphan");
    orphan["metadata"]["ownerReferences"] = json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "none", "uid": "2", "controller": true }]);
    argocd.put(orphan);
    argocd
        .fault(Call::Set, Fault::Says(403, r#"{"error":"permission denied","code":7,"message":"permission denied"}"#));
    until("it is known", || {
        reached.port.index().uid(&fairlead::model::ApplicationId::new(NAMESPACE, "orphan")).is_some()
    })
    .await;
    let inventory = reached.port.list(NAMESPACE).await.expect("a list");
    let cause = inventory.sets["none"].as_ref().expect_err("it may not be read").replace(argocd.host(), "HOST");
    insta::assert_snapshot!(cause, @"not allowed to read it: `HOST` answers 403 Forbidden (`permission denied`); the account of the token lacks a right, or it is not there");
}

#[tokio::test]
async fn a_label_that_changes_meanwhile_is_no_reason_to_give_up_where_values_are_tested() {
    let (argocd, reached, plan) = prepared().await;
    argocd.edit("web", labelled("other"));
    assert_eq!(reached.port.write(&plan).await, Err(WriteError::Conflict(web())));
    let patient = ApplicationPlan { guard: Guard::Values, ..plan };
    assert_eq!(reached.port.write(&patient).await, Ok(()));
    assert_eq!(argocd.object("web").pointer("/metadata/labels/team"), Some(&json!("other")));
}

#[tokio::test]
async fn a_sync_is_asked_for_by_a_call_of_its_own_and_the_change_stands_without_it() {
    let (argocd, reached, plan) = prepared().await;
    let reason = "a newer image, by the policy argocd/web".to_owned();
    let request = SyncRequest { reason, options: vec!["PruneLast=true".to_owned()], replaces: true };
    let annotations = Pointer::root().key("metadata").key("annotations");
    let refresh = Operation::Add(annotations, Node::map([("argocd.argoproj.io/refresh", Node::text("normal"))]));
    let plan = ApplicationPlan { refresh: Some(refresh), sync: Some(request), ..plan };
    assert_eq!(reached.port.write(&plan).await, Ok(()));
    assert_eq!(value(&argocd), "1.0.1");
    let annotation = argocd.object("web").pointer("/metadata/annotations/argocd.argoproj.io~1refresh").cloned();
    assert_eq!(annotation, Some(json!("normal")));
    insta::assert_json_snapshot!(argocd.syncs(), @r#"
    [
      {
        "name": "web",
        "appNamespace": "argocd",
        "project": "default",
        "infos": [
          {
            "name": "Reason",
            "value": "a newer image, by the policy argocd/web"
          }
        ],
        "syncOptions": {
          "items": [
            "PruneLast=true"
          ]
        }
      }
    ]
    "#);
    argocd.edit("web", |object| *object.pointer_mut(VALUE).expect("it is there") = json!("1.0.0"));
    argocd.fault(Call::Sync, Fault::Says(400, r#"{"code":9,"message":"another operation is already in progress"}"#));
    let again = ApplicationPlan { guard: Guard::Values, refresh: None, ..plan };
    assert_eq!(reached.port.write(&again).await, Ok(()));
    assert_eq!((value(&argocd), argocd.syncs().len()), (json!("1.0.1"), 1));
}

#[tokio::test]
async fn the_windows_of_a_project_are_known_or_it_is_said_why_not() {
    let (argocd, reached, _) = prepared().await;
    let window = json!({ "kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"] });
    argocd.put_project("default", json!({ "metadata": { "name": "default" }, "spec": { "syncWindows": [window] } }));
    let windows = reached.port.sync_windows(NAMESPACE, "default").await.expect("they are known");
    assert_eq!(windows.len(), 1);
    let cause = reached.port.sync_windows(NAMESPACE, "team").await.expect_err("it may not be read");
    insta::assert_snapshot!(cause.replace(argocd.host(), "HOST"), @"not allowed to read it: `HOST` answers 403 Forbidden (`permission denied`); the account of the token lacks a right, or it is not there");
    assert_eq!(argocd.calls(Call::Project), ["GET /api/v1/projects/default?", "GET /api/v1/projects/team?"]);
}

#[tokio::test]
async fn what_a_project_says_of_repositories_is_known_or_it_is_said_why_not() {
    let (argocd, reached, _) = prepared().await;
    let application = reached.port.fresh(&web()).await.expect("an answer").expect("it is there");
    let spec = json!({ "sourceRepos": ["https://h/team/*"], "signatureKeys": [{ "keyID": "4AEE18F83AFDEB23" }] });
    argocd.put_project("default", json!({ "metadata": { "name": "default", "namespace": NAMESPACE }, "spec": spec }));
    let rules = reached.port.repository_rules(&application).await.expect("they are known");
    assert_eq!(rules.refusal("https://h/team/a"), None);
    assert_eq!(rules.refusal("https://h/platform/a"), Some(Refusal::NotPermitted));
    assert_eq!(rules.demands_signatures(&["https://h/team/a"]), Some("spec.signatureKeys"));
    argocd.put_project("default", json!({ "metadata": { "name": "default", "namespace": "elsewhere" }, "spec": spec }));
    let rules = reached.port.repository_rules(&application).await.expect("they are known");
    assert_eq!(rules.refusal("https://h/team/a"), Some(Refusal::NotItsNamespace));
    let theirs = Application { project: "team".to_owned(), ..Application::clone(&application) };
    let cause = reached.port.repository_rules(&theirs).await.expect_err("it may not be read");
    assert!(cause.starts_with("not allowed to read it: "), "{cause}");
    let asked = ["default", "default", "team"].map(|name| format!("GET /api/v1/projects/{name}?"));
    assert_eq!(argocd.calls(Call::Project), asked);
}
