//! An Argo CD Application → model.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use serde_json::Value;

use crate::api;
use crate::api::annotations::PREFIX;
use crate::model::{
    Application, ApplicationId, Destination, Health, Helm, HelmParameter, Kustomize, Plugin, Progress, Skip, Source,
    SourceKind, Sources, SyncOperation, SyncPhase, UpdaterWrite, Values, Variable,
};

const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// How the field managers of argocd-image-updater begin: its name, by which the API server knows every client.
const UPDATER: &str = "argocd-image-updater";
/// Characters that are kept of why a sync failed.
const MESSAGE: usize = 200;
/// The fields that hold sources, as managed fields name them.
const SOURCES: [&str; 3] = ["f:source", "f:sources", "f:sourceHydrator"];

/// What an Application means for images. Total: what is missing is empty.
pub fn application(object: &api::Application) -> Application {
    let metadata = &object.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let policy = object.spec.sync_policy.as_ref();
    let annotation = |key: &str| metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    Application {
        id: ApplicationId::new(text(&metadata.namespace), text(&metadata.name)),
        uid: text(&metadata.uid),
        resource_version: text(&metadata.resource_version),
        project: object.spec.project.clone(),
        controller_namespace: object.status.as_ref().and_then(|status| status.controller_namespace.clone()),
        labels: metadata.labels.clone().unwrap_or_default(),
        annotated: metadata.annotations.is_some(),
        deleting: metadata.deletion_timestamp.is_some(),
        skipped: annotation(SKIP_RECONCILE).filter(|value| *value == "true").map(|_| Skip::Annotation),
        owner: owner(object),
        tracked_by: annotation(TRACKING_ID)
            .and_then(|id| id.split(':').next())
            .or_else(|| metadata.labels.as_ref()?.get(INSTANCE).map(String::as_str))
            // Outside of its own namespace Argo CD writes `namespace_name`; neither part can hold a `_`.
            .map(|parent| parent.replacen('_', "/", 1)),
        edited_by: edited_by(object),
        resume: annotation(api::RESUME).cloned(),
        updater_annotations: updater_annotations(object),
        updater_write: updater_write(object),
        take_over: annotation(api::TAKE_OVER).is_some_and(|value| value == "true"),
        sources: sources(object),
        live_images: object
            .status
            .as_ref()
            .and_then(|status| status.summary.as_ref())
            .map(|summary| summary.images.clone())
            .unwrap_or_default(),
        automated: policy
            .and_then(|policy| policy.automated.as_ref())
            .is_some_and(|automated| automated.enabled != Some(false)),
        sync_options: policy.and_then(|policy| policy.sync_options.clone()).unwrap_or_default(),
        operating: object.operation.is_some(),
        destination: object.spec.destination.as_ref().map(destination).unwrap_or_default(),
        progress: object.status.as_ref().and_then(progress),
    }
}

fn destination(destination: &api::Destination) -> Destination {
    let api::Destination { server, name, namespace } = destination;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Destination { server: text(server), name: text(name), namespace: text(namespace) }
}

/// What Argo CD says of the Application, cut to what is needed; `None` where it says nothing.
fn progress(status: &api::ApplicationStatus) -> Option<Progress> {
    let api::ApplicationStatus { sync, health, operation_state, reconciled_at, .. } = status;
    if sync.is_none() && health.is_none() && operation_state.is_none() && reconciled_at.is_none() {
        return None;
    }
    Some(Progress {
        synced: sync.as_ref().and_then(|sync| match sync.status.as_str() {
            "Synced" => Some(true),
            "OutOfSync" => Some(false),
            _ => None,
        }),
        health: health.as_ref().map_or(Health::Unknown, |health| match health.status.as_str() {
            "Healthy" => Health::Healthy,
            "Progressing" => Health::Progressing,
            "Degraded" => Health::Degraded,
            "Suspended" => Health::Suspended,
            "Missing" => Health::Missing,
            _ => Health::Unknown,
        }),
        operation: operation_state.as_ref().map(sync_operation),
        reconciled_at: reconciled_at.as_deref().and_then(|time| time.parse().ok()),
    })
}

fn sync_operation(state: &api::OperationState) -> SyncOperation {
    let phase = match state.phase.as_str() {
        "Succeeded" => SyncPhase::Succeeded,
        "Failed" | "Error" => SyncPhase::Failed,
        _ => SyncPhase::Running,
    };
    let failed = phase == SyncPhase::Failed;
    let message = if failed { state.message.chars().take(MESSAGE).collect() } else { String::new() };
    SyncOperation { phase, message, started_at: state.started_at.as_deref().and_then(|time| time.parse().ok()) }
}

/// The ApplicationSet that controls the Application.
fn owner(object: &api::Application) -> Option<String> {
    let mut owners = object.metadata.owner_references.iter().flatten();
    let controls = |owner: &&OwnerReference| owner.kind == "ApplicationSet" && owner.controller == Some(true);
    owners.find(controls).map(|owner| owner.name.clone())
}

/// The field manager of the newest change that touched a source.
fn edited_by(object: &api::Application) -> Option<String> {
    let others = source_writes(object).filter(|entry| entry.manager.as_deref() != Some(api::FIELD_MANAGER));
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0)).and_then(|entry| entry.manager.clone())
}

/// The newest change of a source by argocd-image-updater that nobody has written over.
fn updater_write(object: &api::Application) -> Option<UpdaterWrite> {
    let writes = source_writes(object).filter_map(|entry| {
        let manager = entry.manager.clone().filter(|manager| manager.starts_with(UPDATER))?;
        Some(UpdaterWrite { manager, at: entry.time.as_ref()?.0 })
    });
    writes.max_by_key(|write| write.at)
}

/// What the API server keeps of changes of sources.
fn source_writes(object: &api::Application) -> impl Iterator<Item = &ManagedFieldsEntry> {
    object.metadata.managed_fields.iter().flatten().filter(|entry| {
        let spec = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        spec.is_some_and(|spec| SOURCES.iter().any(|field| spec.get(field).is_some()))
    })
}

fn updater_annotations(object: &api::Application) -> BTreeMap<String, String> {
    let annotations = object.metadata.annotations.iter().flatten();
    let theirs = annotations.filter(|(key, _)| key.starts_with(PREFIX));
    theirs.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The hydrator alone counts where it is set, then `sources` where there are any, then `source` (Argo CD, sources and types).
fn sources(object: &api::Application) -> Sources {
    let spec = &object.spec;
    let status = object.status.as_ref();
    if let Some(hydrator) = &spec.source_hydrator {
        // The type in the status speaks of the hydrated branch, not of the dry source.
        return Sources::Hydrated(source(&hydrator.dry_source, None));
    }
    if !spec.sources.is_empty() {
        // The status lags behind the spec; types count only when they line up.
        let types =
            status.map(|status| status.source_types.as_slice()).filter(|types| types.len() == spec.sources.len());
        let one = |(index, one)| source(one, types.and_then(|types| types.get(index)).map(String::as_str));
        return Sources::Many(spec.sources.iter().enumerate().map(one).collect());
    }
    let word = status.and_then(|status| status.source_type.as_deref());
    spec.source.as_ref().map_or(Sources::Missing, |one| Sources::Single(source(one, word)))
}

fn source(source: &api::Source, word: Option<&str>) -> Source {
    Source {
        kind: explicit_kind(source).or_else(|| word.and_then(SourceKind::from_word)),
        repo_url: source.repo_url.clone(),
        path: source.path.clone(),
        target_revision: source.target_revision.clone(),
        name: source.name.clone(),
        reference: source.reference.clone(),
        chart: source.chart.clone(),
        helm: source.helm.as_ref().map(helm),
        kustomize: source.kustomize.as_ref().map(|kustomize| Kustomize { images: kustomize.images.clone() }),
        plugin: source.plugin.as_ref().map(|plugin| Plugin { env: plugin.env.as_deref().map(variables) }),
    }
}

fn helm(helm: &api::HelmBlock) -> Helm {
    Helm {
        parameters: helm.parameters.as_deref().map(helm_parameters),
        value_files: helm.value_files.clone().unwrap_or_default(),
        values: helm.values_object.as_ref().map(values),
        inline: helm.values.as_deref().filter(|values| !values.trim().is_empty()).map(Into::into),
    }
}

fn values(value: &Value) -> Values {
    match value {
        Value::String(text) => Values::Text(text.clone()),
        Value::Object(entries) => {
            Values::Map(entries.iter().map(|(key, value)| (key.clone(), values(value))).collect())
        }
        Value::Array(items) => Values::List(items.iter().map(values).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Values::Other,
    }
}

fn variables(env: &[api::PluginVariable]) -> Vec<Variable> {
    env.iter().map(|variable| Variable { name: variable.name.clone(), value: variable.value.clone() }).collect()
}

/// The type that a source's own block or chart states. An empty `helm: {}` states none (Argo CD normalises it away).
fn explicit_kind(source: &api::Source) -> Option<SourceKind> {
    let helm = source.helm.as_ref().is_some_and(|helm| helm.parameters.is_some()) || source.chart.is_some();
    match (helm, &source.kustomize, &source.plugin, &source.directory) {
        (true, ..) => Some(SourceKind::Helm),
        (_, Some(_), ..) => Some(SourceKind::Kustomize),
        (_, _, Some(_), _) => Some(SourceKind::Plugin),
        (_, _, _, Some(_)) => Some(SourceKind::Directory),
        (false, None, None, None) => source.helm.as_ref().map(|_| SourceKind::Helm),
    }
}

fn helm_parameters(parameters: &[api::HelmParameter]) -> Vec<HelmParameter> {
    let parameter = |parameter: &api::HelmParameter| HelmParameter {
        name: parameter.name.clone(),
        value: parameter.value.clone(),
        force_string: parameter.force_string,
    };
    parameters.iter().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Application as Argo CD leaves it, with all that grows.
    fn grown() -> Value {
        let many = |item: Value| Value::Array(vec![item; 200]);
        let managed = serde_json::json!({ "manager": "heavy-manager", "fieldsV1": { "f:spec": { "f:source": {} } } });
        serde_json::json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {
                "name": "web", "namespace": "argocd", "uid": "u", "resourceVersion": "1",
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "heavy-annotation ".repeat(1000) },
                "managedFields": many(managed),
            },
            "spec": {
                "source": { "repoURL": "x", "path": "y", "helm": { "parameters": [] } },
                "syncPolicy": { "automated": {} },
            },
            "status": {
                "sync": { "status": "Synced", "comparedTo": { "source": { "repoURL": "heavy-source" } } },
                "health": { "status": "Healthy" },
                "reconciledAt": "2026-06-01T12:00:00Z",
                "resources": many(serde_json::json!({ "kind": "Deployment", "name": "heavy-resource" })),
                "history": many(serde_json::json!({ "id": 1, "source": { "repoURL": "heavy-history" } })),
                "operationState": {
                    "phase": "Failed", "startedAt": "2026-06-01T11:59:00Z", "message": "failed ".repeat(1000),
                    "syncResult": { "resources": many(serde_json::json!({ "name": "heavy-result" })) },
                },
                "summary": { "images": ["a:1"] },
            },
        })
    }

    #[test]
    fn of_what_grows_nothing_is_kept() {
        let object: api::Application = serde_json::from_value(grown()).expect("an Application");
        let lowered = application(&object);
        let shown = format!("{lowered:?}");
        // One field manager is kept: who changed the sources last.
        assert_eq!(
            (shown.matches("heavy").count(), lowered.edited_by.as_deref()),
            (1, Some("heavy-manager")),
            "{shown}"
        );
        assert!(shown.len() < 2500, "{} characters: {shown}", shown.len());
        let progress = lowered.progress.expect("Argo CD says something");
        assert_eq!((progress.synced, progress.health, lowered.automated), (Some(true), Health::Healthy, true));
        assert_eq!(progress.operation.map(|sync| sync.message.chars().count()), Some(MESSAGE));
    }
}
