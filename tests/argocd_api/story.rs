//! A policy, carried out through Argo CD's API from its first look to its quiet life.

use std::sync::Arc;

use fairlead::adapters::memory::{MemoryClock, MemoryPolicies, MemoryRegistry};
use fairlead::lower;
use fairlead::model::{Details, ImageReference, Known, Memory, Reason, Report};
use fairlead::pipeline;
use fairlead::ports::{Clock as _, Ports};
use serde_json::json;

use crate::stand_in::{ArgoCd, Call};
use crate::{Reached, follow, manifest, settings};

const VALUE: &str = "/spec/source/helm/parameters/0/value";
const POLICY: &str = "
metadata: { name: web, namespace: argocd, uid: policy, creationTimestamp: 2026-01-01T00:00:00Z }
spec:
  applications: [{ name: web }]
  images: [{ image: registry.example/app, constraint: ~1.0, target: { helm: { tag: image.tag } } }]
";

fn registry() -> MemoryRegistry {
    let registry = MemoryRegistry::default();
    let repository = "registry.example/app".parse::<ImageReference>().expect("an image").repository;
    for (number, tag) in ["1.0.0", "1.0.2", "2.0.0"].into_iter().enumerate() {
        let digest = format!("sha256:{}", format!("{number}a").repeat(32)).parse().expect("a digest");
        let known = Known { digest, builds: Vec::new(), pushed: None, first_seen: None };
        registry.push(&repository, tag.parse().expect("a tag"), Details::Known(known));
    }
    registry
}

async fn look(reached: &Reached, registry: &MemoryRegistry, memory: &mut Memory) -> Report {
    let document =
        POLICY.replacen("metadata:", "apiVersion: fairlead.dev/v1alpha1\nkind: ImageUpdatePolicy\nmetadata:", 1);
    let lowered = lower::policy(&serde_saphyr::from_str(&document).expect("a policy"));
    let policies = MemoryPolicies(lowered.policy.clone().map(Arc::new).into_iter().collect());
    let clock = MemoryClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
    let ports =
        Ports { applications: &reached.port, policies: &policies, registry, git: None, forge: None, clock: &clock };
    let report = pipeline::reconcile(ports, &lowered, memory, clock.now()).await;
    *memory = pipeline::remembered(&pipeline::status(&report, None));
    report
}

#[tokio::test]
async fn an_image_is_moved_by_one_patch_and_twenty_more_looks_ask_argo_cd_nothing() {
    let argocd = ArgoCd::start("").await;
    let mut web = manifest("web");
    web["status"] = json!({ "sourceType": "Helm", "summary": { "images": ["registry.example/app:1.0.0"] } });
    argocd.put(web);
    let mut reached = follow(&argocd, &settings(&argocd)).await;
    let (registry, mut memory) = (registry(), Memory::default());
    let report = look(&reached, &registry, &mut memory).await;
    assert_eq!(report.images[0].reason, Reason::Updated, "{}", report.images[0].message);
    assert_eq!(argocd.object("web").pointer(VALUE), Some(&json!("1.0.2")));

    reached.change().await;
    argocd.edit("web", |object| object["status"]["summary"]["images"] = json!(["registry.example/app:1.0.2"]));
    reached.change().await;
    let asked = || [Call::List, Call::Get, Call::Patch, Call::Refresh].map(|call| argocd.calls(call).len());
    let before = asked();
    for _ in 0..20 {
        let report = look(&reached, &registry, &mut memory).await;
        assert_eq!(report.images[0].reason, Reason::UpToDate);
    }
    assert_eq!((asked(), before[2]), (before, 1));

    // A person takes it back: it stays back.
    argocd.edit("web", |object| *object.pointer_mut(VALUE).expect("it is there") = json!("1.0.0"));
    reached.change().await;
    let report = look(&reached, &registry, &mut memory).await;
    assert_eq!(report.images[0].reason, Reason::RolledBackByHand);
    assert_eq!((argocd.calls(Call::Patch).len(), argocd.complaints()), (1, Vec::new()));
}
