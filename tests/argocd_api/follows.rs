//! Applications are listed once, then followed, and nothing that is missed stays missed.

use std::time::Duration;

use fairlead::adapters::argocd::{ArgoCdSettings, Timings};
use fairlead::ports::{Applications as _, ApplicationsError};
use serde_json::json;

use crate::stand_in::{ArgoCd, Call, Fault, until};
use crate::{NAMESPACE, follow, labelled, manifest, reach, settings, timings, web};

#[tokio::test]
async fn what_changes_is_told_by_the_stream_and_nothing_is_listed_again() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let mut reached = follow(&argocd, &settings(&argocd)).await;

    argocd.edit("web", labelled("other"));
    let change = reached.change().await;
    assert_eq!((&change.id, change.progress, change.labels.len()), (&web(), false, 2), "labels before and after");
    assert_eq!(reached.label().await.as_deref(), Some("other"));

    argocd.edit("web", |object| object["status"] = json!({ "health": { "status": "Degraded" } }));
    assert!(reached.change().await.progress, "what Argo CD says of it");

    argocd.edit("web", |object| object["status"]["resources"] = json!([{ "kind": "Deployment" }]));
    argocd.put(manifest("more"));
    assert_eq!(reached.change().await.id.name, "more", "what does not matter for images is not told");

    argocd.remove("web");
    assert_eq!(reached.change().await.id, web());
    assert_eq!(reached.known().await, None);
    assert_eq!((argocd.calls(Call::List).len(), argocd.calls(Call::Get).len()), (1, 0));
    assert_eq!(argocd.calls(Call::Stream), ["GET /api/v1/stream/applications?resourceVersion=0"]);
}

#[tokio::test]
async fn what_happens_while_nobody_listens_is_found_by_the_next_list() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    argocd.put(manifest("more"));
    let mut reached = follow(&argocd, &settings(&argocd)).await;
    argocd.fault(Call::Stream, Fault::Says(503, "no upstream"));
    argocd.fault(Call::List, Fault::Says(503, "no upstream"));
    argocd.end_streams();
    argocd.edit("web", labelled("other"));
    argocd.remove("more");
    until("it is tried again", || argocd.calls(Call::List).len() > 2).await;
    argocd.fault(Call::Stream, None);
    argocd.fault(Call::List, None);
    let mut told = [reached.change().await.id.name, reached.change().await.id.name];
    told.sort();
    assert_eq!(told, ["more", "web"]);
    assert_eq!(reached.label().await.as_deref(), Some("other"));
    until("the stream is asked for", || argocd.listeners() == 1).await;
    argocd.edit("web", labelled("third"));
    reached.change().await;
    assert_eq!(reached.label().await.as_deref(), Some("third"));
}

#[tokio::test]
async fn what_the_stream_leaves_out_is_found_when_all_is_listed_again() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let resync = Duration::from_millis(300);
    let settings = ArgoCdSettings { timings: Timings { resync, ..timings() }, ..settings(&argocd) };
    let mut reached = follow(&argocd, &settings).await;
    argocd.be_deaf();
    argocd.edit("web", labelled("other"));
    assert_eq!(reached.change().await.id, web());
    assert_eq!(reached.label().await.as_deref(), Some("other"));
}

#[tokio::test]
async fn events_from_before_what_is_known_change_nothing() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let first = argocd.object("web");
    argocd.edit("web", labelled("other"));
    let mut reached = follow(&argocd, &settings(&argocd)).await;
    let say = |kind: &str, object: &serde_json::Value| {
        argocd.say(&json!({ "result": { "type": kind, "application": object } }).to_string());
    };
    say("MODIFIED", &first);
    let mut former = first.clone();
    former["metadata"]["uid"] = json!("another object of the name");
    say("DELETED", &former);
    argocd.put(manifest("more"));
    assert_eq!(reached.change().await.id.name, "more");
    assert_eq!(reached.label().await.as_deref(), Some("other"));
}

#[tokio::test]
async fn an_error_within_the_stream_begins_anew() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let mut reached = follow(&argocd, &settings(&argocd)).await;
    for line in
        [r#"{"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}}"#, "<html>", "{\"result\":"]
    {
        let streams = argocd.calls(Call::Stream).len();
        argocd.say(line);
        until("it listens again", || argocd.calls(Call::Stream).len() > streams && argocd.listeners() == 1).await;
    }
    argocd.edit("web", labelled("other"));
    assert_eq!(reached.change().await.id, web());
    assert!(argocd.calls(Call::Stream).last().is_some_and(|line| line.ends_with("?resourceVersion=101")));
}

#[tokio::test]
async fn a_stream_that_always_ends_is_asked_for_ever_more_slowly() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    argocd.fault(Call::Stream, Fault::Says(200, ""));
    let reached = reach(&settings(&argocd), &[None]);
    until("it was tried six times", || argocd.calls(Call::List).len() >= 6).await;
    let moments = argocd.moments(Call::List);
    let gaps: Vec<Duration> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, least) in gaps.iter().zip([20, 40, 80, 160, 160]) {
        assert!(*gap >= Duration::from_millis(least), "{gaps:?}");
    }
    assert!(reached.known().await.is_some(), "lists alone keep it current");
}

#[tokio::test]
async fn a_list_that_is_not_whole_decides_nothing() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let reached = follow(&argocd, &settings(&argocd)).await;
    for body in ["", "{}", r#"{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"#, "<!doctype html>"] {
        argocd.fault(Call::List, Fault::Says(200, body));
        let lists = argocd.calls(Call::List).len();
        argocd.end_streams();
        until("all is listed again", || argocd.calls(Call::List).len() > lists + 1).await;
        assert!(reached.known().await.is_some(), "{body}");
    }
}

#[tokio::test]
async fn what_is_known_counts_for_a_while_when_argo_cd_is_gone() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let stale = Duration::from_secs(1);
    let settings = ArgoCdSettings { timings: Timings { stale, ..timings() }, ..settings(&argocd) };
    let reached = follow(&argocd, &settings).await;
    argocd.fault(Call::List, Fault::Says(502, "bad gateway"));
    let lists = argocd.calls(Call::List).len();
    argocd.end_streams();
    until("it was tried", || argocd.calls(Call::List).len() > lists + 1).await;
    assert!(reached.known().await.is_some(), "a restart of Argo CD stops nobody");
    let cause = loop {
        match reached.port.list(NAMESPACE).await {
            Err(ApplicationsError::Unavailable { cause, .. }) => break cause,
            answer => assert!(answer.is_ok(), "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    insta::assert_snapshot!(cause.replace(argocd.host(), "HOST"), @"`HOST` answers 502 Bad Gateway");
    argocd.fault(Call::List, None);
    until("it works again", || reached.port.index().is_synced()).await;
    assert!(reached.known().await.is_some());
}

#[tokio::test]
async fn a_token_that_has_ended_ends_what_is_known_at_once() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    let reached = follow(&argocd, &settings(&argocd)).await;
    argocd.rotate("another");
    argocd.end_streams();
    until("it was noticed", || !reached.port.index().is_synced()).await;
    let error = reached.port.list(NAMESPACE).await.expect_err("it is not allowed any more");
    insta::assert_snapshot!(error.to_string().replace(argocd.host(), "HOST"), @"not allowed to read the Applications: `HOST` answers 401 Unauthorized (`invalid session: token Bearer *** is expired`); the token is wrong or has ended");
    argocd.rotate(crate::stand_in::TOKEN);
    until("it works again", || reached.port.index().is_synced()).await;
}

#[tokio::test]
async fn namespaces_are_kept_apart() {
    let argocd = ArgoCd::start("").await;
    for namespace in [NAMESPACE, "team-a", "team-b"] {
        argocd.put(crate::contract::manifest(namespace, "web"));
    }
    let one = reach(&settings(&argocd), &[Some("team-a".to_owned())]);
    let several = reach(&settings(&argocd), &[Some("team-a".to_owned()), Some(NAMESPACE.to_owned())]);
    for (reached, expected) in [(&one, [0, 1, 0]), (&several, [1, 1, 0])] {
        let mut found = Vec::new();
        for namespace in [NAMESPACE, "team-a", "team-b"] {
            found.push(reached.port.list(namespace).await.expect("a list").applications.len());
        }
        assert_eq!(found, expected);
    }
    let mut lists = argocd.calls(Call::List);
    lists.sort();
    assert_eq!(lists, ["GET /api/v1/applications?", "GET /api/v1/applications?appNamespace=team-a"]);
    until("both listen", || argocd.listeners() == 2).await;
    argocd.put(crate::contract::manifest("team-b", "new"));
    argocd.put(crate::contract::manifest("team-a", "new"));
    until("it is there", || one.port.index().uid(&fairlead::model::ApplicationId::new("team-a", "new")).is_some())
        .await;
    assert_eq!(one.port.list("team-b").await.expect("a list").applications.len(), 0);
}

#[tokio::test]
async fn applications_that_may_not_be_seen_are_as_if_they_were_not_there() {
    let argocd = ArgoCd::start("").await;
    argocd.put(manifest("web"));
    argocd.hide("default");
    let reached = reach(&settings(&argocd), &[None]);
    assert_eq!(reached.known().await, None);
    assert!(reached.port.fresh(&web()).await.expect("an answer").is_none());
}
