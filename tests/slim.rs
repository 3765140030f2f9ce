//! What a large fleet costs: of an Application only that is kept which decisions are made on.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::alloc::System;
use std::sync::Arc;

use fairlead::{api, lower};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const APPLICATIONS: usize = 5_000;
/// What one may cost, in bytes.
const BOUND: usize = 4_096;

/// An Application as Argo CD leaves it after some months: tens of kilobytes, most of them in the status.
fn object(name: &str) -> String {
    let many = |count: usize, item: Value| Value::Array(vec![item; count]);
    let source = json!({ "repoURL": "https://git.example/fleet.git", "path": format!("apps/{name}"), "targetRevision": "main",
        "helm": { "releaseName": name, "parameters": [
            { "name": "image.name", "value": format!("registry.example/team/{name}"), "forceString": true },
            { "name": "image.tag", "value": "1.0.0", "forceString": true },
        ] } });
    let resource = json!({ "group": "apps", "version": "v1", "kind": "Deployment", "namespace": name, "name": name,
        "status": "Synced", "health": { "status": "Healthy" }, "hook": false, "requiresPruning": false });
    let deployed =
        json!({ "id": 7, "revision": "b".repeat(40), "deployedAt": "2026-06-01T12:00:00Z", "source": source });
    let managed = json!({ "manager": "argocd-controller", "operation": "Update", "time": "2026-06-01T12:00:00Z",
        "fieldsV1": { "f:status": { "f:resources": {}, "f:history": {} }, "f:spec": { "f:source": {} } } });
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {
            "name": name, "namespace": "argocd", "uid": "11111111-2222-3333-4444-555555555555", "resourceVersion": "123456",
            "labels": { "team": "web", "app.kubernetes.io/instance": "fleet" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": source.to_string().repeat(4) },
            "managedFields": many(20, managed),
        },
        "spec": {
            "project": "default", "source": source,
            "destination": { "server": "https://kubernetes.default.svc", "namespace": name },
            "syncPolicy": { "automated": { "prune": true }, "syncOptions": ["CreateNamespace=true"] },
        },
        "status": {
            "sourceType": "Helm", "reconciledAt": "2026-06-01T12:00:00Z", "controllerNamespace": "argocd",
            "sync": { "status": "Synced", "comparedTo": { "source": source } }, "health": { "status": "Healthy" },
            "summary": { "images": [format!("registry.example/team/{name}:1.0.0"), "registry.example/sidecar:2"] },
            "resources": many(60, resource.clone()),
            "history": many(10, deployed),
            "operationState": { "phase": "Succeeded", "startedAt": "2026-06-01T12:00:00Z", "message": "successfully synced",
                "syncResult": { "resources": many(60, resource) } },
        },
    });
    object.to_string()
}

#[test]
fn five_thousand_applications_fit_into_twenty_megabytes() {
    let object = object("application-0");
    let size = object.len();
    assert!(size > 24 * 1024, "{size} bytes are no large Application");
    let mut kept = Vec::with_capacity(APPLICATIONS);
    let region = Region::new(ALLOCATOR);
    for number in 0..APPLICATIONS {
        let text = object.replace("application-0", &format!("application-{number}"));
        let read: api::Application = serde_json::from_str(&text).unwrap();
        kept.push(Arc::new(lower::application(&read)));
    }
    let change = region.change();
    let each = (change.bytes_allocated - change.bytes_deallocated) / APPLICATIONS;
    println!("{each} bytes an Application, of {size} as JSON");
    assert!(each > 500, "{each} bytes: nothing was measured");
    assert!(each < BOUND, "{each} bytes an Application, of {size} as JSON");
    assert_eq!(kept.len(), APPLICATIONS);
}
