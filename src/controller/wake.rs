//! Which policies a change wakes: just those concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::adapters::kubernetes::{Change, PolicyIndex, PolicyObject};
use crate::model::{ApplicationId, PolicyId, Repository};

/// Passes changes of Applications on to the policies that match them, before or after the change, and their namespaces to `touched`.
pub(super) async fn forward(
    mut changes: mpsc::UnboundedReceiver<Change>,
    policies: Arc<PolicyIndex>,
    namespaces: Vec<Option<String>>,
    wakers: Vec<mpsc::UnboundedSender<ObjectRef<PolicyObject>>>,
    touched: mpsc::UnboundedSender<String>,
) {
    while let Some(change) = changes.recv().await {
        if !change.progress {
            // Nobody listens only while shutting down.
            let _ = touched.send(change.id.namespace.clone());
        }
        for (namespace, waker) in namespaces.iter().zip(&wakers) {
            if namespace.as_ref().is_some_and(|namespace| *namespace != change.id.namespace) {
                continue;
            }
            for policy in matching(&policies, &change) {
                // Nobody listens only while shutting down.
                let _ = waker.send(policy);
            }
        }
    }
}

/// Wakes every policy that is known: whoever looked after them so far does so no more.
pub(super) fn all(
    policies: &PolicyIndex,
    namespaces: &[Option<String>],
    wakers: &[mpsc::UnboundedSender<ObjectRef<PolicyObject>>],
) {
    for object in policies.objects() {
        let of_policy = |scope: &Option<String>| scope.is_none() || *scope == object.namespace();
        for (_, waker) in namespaces.iter().zip(wakers).filter(|(scope, _)| of_policy(scope)) {
            // Nobody listens only while shutting down.
            let _ = waker.send(ObjectRef::from_obj(object.as_ref()));
        }
    }
}

fn matching(policies: &PolicyIndex, change: &Change) -> Vec<ObjectRef<PolicyObject>> {
    let unlabelled = [BTreeMap::new()];
    let labels = if change.labels.is_empty() { unlabelled.as_slice() } else { change.labels.as_slice() };
    let concerned = |object: &Arc<PolicyObject>| {
        object.namespace().as_deref() == Some(change.id.namespace.as_str())
            && (!change.progress || follows(object, &change.id))
            && policies
                .lowered(object)
                .policy
                .as_ref()
                .is_some_and(|policy| labels.iter().any(|labels| policy.matches(&change.id, labels)))
    };
    policies
        .objects()
        .iter()
        .filter(|object| concerned(object))
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}

/// Whether a policy waits for what was written into an Application to run.
fn follows(object: &PolicyObject, application: &ApplicationId) -> bool {
    let status = object.0.as_ref().ok().and_then(|policy| policy.status.as_ref());
    status.is_some_and(|status| status.rollouts.iter().any(|rollout| rollout.application == application.name))
}

/// The policies that log in with a Secret.
pub(super) fn by_secret(policies: &PolicyIndex, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectRef<PolicyObject>> {
    let (namespace, name) = (secret.namespace(), secret.name_any());
    let uses = |object: &Arc<PolicyObject>| {
        policies.lowered(object).policy.as_ref().is_some_and(|policy| {
            policy
                .images
                .iter()
                .filter_map(|image| image.credentials.as_ref()?.secret())
                .any(|secret| secret.name == name && Some(&secret.namespace) == namespace.as_ref())
        })
    };
    policies.objects().iter().filter(|object| uses(object)).map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}

/// The policies with an image of one of these repositories, or one that `asked` says is looked up in one of them, but those
/// that are suspended or going away.
pub(super) fn by_repositories(
    policies: &PolicyIndex,
    repositories: &BTreeSet<Repository>,
    asked: impl Fn(&Repository) -> Repository,
) -> BTreeSet<PolicyId> {
    let objects = policies.objects();
    let present = objects.iter().filter(|object| object.meta().deletion_timestamp.is_none());
    let concerned = present.filter_map(|object| {
        let lowered = policies.lowered(object);
        let policy = lowered.policy.as_ref().filter(|policy| !policy.suspended)?;
        let concerned = |named: &Repository| repositories.contains(named) || repositories.contains(&asked(named));
        let uses = policy.images.iter().any(|image| concerned(&image.reference.repository));
        uses.then(|| lowered.id.clone())
    });
    concerned.collect()
}
