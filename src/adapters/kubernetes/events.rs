//! Kubernetes Events.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as KubernetesEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};

use super::index::ApplicationIndex;
use super::words;
use crate::adapters::fence::Pass;
use crate::api::{self, FIELD_MANAGER, ImageUpdatePolicy};
use crate::model::{ApplicationId, PolicyId, Problem, Reason, Report};
use crate::pipeline::{Event, EventObject};

const MAXIMUM_NOTE: usize = 1000;
/// Events written at once for one policy.
const CONCURRENCY: usize = 8;

/// Tells the events of a look on their objects. One that cannot be told is logged; the status says the same.
///
/// Each is an object of its own: kube's recorder folds events of one reason into the first one's text for six minutes, and here the
/// text is what differs.
pub async fn publish_events(
    client: &Client,
    index: &ApplicationIndex,
    report: &Report,
    uid: &str,
    events: &[Event],
    pass: &Pass,
) {
    let api: Api<KubernetesEvent> = Api::namespaced(client.clone(), &report.policy.namespace);
    let told = events.iter().filter_map(|event| Some((event, reference(index, report, uid, event)?)));
    let objects: Vec<_> = told
        .map(|(event, regarding)| (event.reason, object(&report.policy.namespace, report.checked_at, event, regarding)))
        .collect();
    let publish =
        |(reason, object): (Reason, KubernetesEvent)| publish(api.clone(), report.policy.clone(), reason, object, pass);
    stream::iter(objects).map(publish).buffer_unordered(CONCURRENCY).collect::<Vec<()>>().await;
}

/// Tells one event on an Application. One that cannot be told is logged.
pub async fn publish_on_application(
    client: &Client,
    application: &ApplicationId,
    uid: &str,
    problem: &Problem,
    warning: bool,
    at: Timestamp,
    pass: &Pass,
) {
    let regarding = ObjectReference {
        api_version: Some(api::Application::api_version(&()).into_owned()),
        kind: Some(api::Application::kind(&()).into_owned()),
        namespace: Some(application.namespace.clone()),
        name: Some(application.name.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    let event = Event {
        object: EventObject::Application(application.clone()),
        warning,
        reason: problem.reason,
        note: problem.to_string(),
    };
    let api: Api<KubernetesEvent> = Api::namespaced(client.clone(), &application.namespace);
    let object = object(&application.namespace, at, &event, regarding);
    let error = match pass.within(api.create(&PostParams::default(), &object)).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => words(&error),
        Err(cause) => cause.to_string(),
    };
    tracing::warn!(%application, reason = %event.reason, error, "cannot publish an event of {application}");
}

async fn publish(api: Api<KubernetesEvent>, policy: PolicyId, reason: Reason, object: KubernetesEvent, pass: &Pass) {
    let error = match pass.within(api.create(&PostParams::default(), &object)).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => words(&error),
        Err(cause) => cause.to_string(),
    };
    tracing::warn!(%policy, %reason, error, "cannot publish an event of {policy}");
}

fn reference(index: &ApplicationIndex, report: &Report, uid: &str, event: &Event) -> Option<ObjectReference> {
    let (api_version, kind, name, uid) = match &event.object {
        EventObject::Policy => (
            ImageUpdatePolicy::api_version(&()),
            ImageUpdatePolicy::kind(&()),
            report.policy.name.clone(),
            uid.to_owned(),
        ),
        EventObject::Application(id) => {
            (api::Application::api_version(&()), api::Application::kind(&()), id.name.clone(), index.uid(id)?)
        }
    };
    Some(ObjectReference {
        api_version: Some(api_version.into_owned()),
        kind: Some(kind.into_owned()),
        namespace: Some(report.policy.namespace.clone()),
        name: Some(name),
        uid: Some(uid),
        ..ObjectReference::default()
    })
}

fn object(namespace: &str, at: Timestamp, event: &Event, regarding: ObjectReference) -> KubernetesEvent {
    let note: String = event.note.chars().take(MAXIMUM_NOTE).collect();
    let time = Time(at);
    let prefix = regarding.name.as_deref().unwrap_or_default().chars().take(200).collect::<String>();
    KubernetesEvent {
        metadata: ObjectMeta {
            generate_name: Some(format!("{prefix}.")),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(event.reason.to_string()),
        message: Some(note),
        involved_object: regarding,
        count: Some(1),
        first_timestamp: Some(time.clone()),
        last_timestamp: Some(time),
        source: Some(EventSource { component: Some(FIELD_MANAGER.to_owned()), host: None }),
        reporting_component: Some("fairlead.dev/controller".to_owned()),
        ..KubernetesEvent::default()
    }
}
