//! What Argo CD and Fairlead say, waited for.

use ::fairlead::api::{ImageStatus, ImageUpdatePolicy};
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use crate::argocd::Stage;
use crate::eventually::{Deadline, eventually};
use crate::fairlead::Fairlead;
use crate::scene::comparable;

/// Long enough for whatever should happen soon, on a busy machine too.
const SOON: u64 = 60;

impl Stage {
    /// Waits until an Application is Synced and Healthy.
    pub async fn expect_healthy(&self, name: &str) -> Value {
        self.expect_application(name, "it is Synced and Healthy", |application| {
            application["status"]["sync"]["status"] == "Synced"
                && application["status"]["health"]["status"] == "Healthy"
        })
        .await
    }

    /// Waits until an Application is as wished.
    pub async fn expect_application(&self, name: &str, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("Application `{name}`: {what}"), Deadline::seconds(SOON), async || {
            let found = self.scene.applications().get_opt(name).await.expect("Applications can be read");
            let found = found.map_or(Value::Null, |object| comparable(&object));
            if wish(&found) { Ok(found) } else { Err((found["spec"].clone(), found["status"].clone())) }
        })
        .await
    }

    /// Waits until no sync of an Application is under way: another one can begin.
    pub async fn expect_settled_operation(&self, name: &str) {
        self.expect_application(name, "no sync is under way", |application| {
            application["operation"].is_null() && application["status"]["operationState"]["finishedAt"].is_string()
        })
        .await;
    }

    /// What a policy says of its first image.
    pub async fn image_status(&self, policy: &str) -> Option<ImageStatus> {
        self.scene.read_policy(policy).await.status?.images.into_iter().next()
    }

    /// Waits until a policy gives `reason` for its first image, and gives the message.
    pub async fn expect_reason(&self, policy: &str, reason: &str) -> String {
        let found = self.expect_image(policy, &format!("it says {reason}"), |image| image.reason == reason).await;
        found.message
    }

    /// Waits until a policy says of its first image how far its version has come: `Healthy`, `Degraded`, …
    pub async fn expect_rollout(&self, policy: &str, word: &str) {
        self.expect_image(policy, &format!("its rollout is {word}"), |image| {
            image.rollout.as_ref().is_some_and(|rollout| format!("{:?}", rollout.state) == word)
        })
        .await;
    }

    /// Waits until what a policy says of its first image is as wished.
    pub async fn expect_image(&self, policy: &str, what: &str, wish: impl Fn(&ImageStatus) -> bool) -> ImageStatus {
        eventually(&format!("policy `{policy}`: {what}"), Deadline::seconds(SOON), async || {
            match self.image_status(policy).await {
                Some(image) if wish(&image) => Ok(image),
                other => Err((other, self.words().await)),
            }
        })
        .await
    }

    /// Asks for looks at a policy, the only one, until one has begun and ended after now.
    pub async fn look(&self, fairlead: &Fairlead, policy: &str) {
        // The first may have begun before.
        for _ in 0..2 {
            let before = looks(fairlead).await;
            self.scene.touch(policy).await;
            eventually("the policy is looked at", Deadline::seconds(SOON), async || {
                let now = looks(fairlead).await;
                if now > before { Ok(()) } else { Err(now) }
            })
            .await;
        }
    }

    /// What Argo CD says of every Application, and Fairlead of every policy, for the messages of failed tests.
    pub(crate) async fn words(&self) -> Vec<String> {
        let list = self.scene.applications().list(&ListParams::default()).await;
        let applications = list.map(|list| list.items).unwrap_or_default();
        let mut words: Vec<String> = applications.iter().map(application_words).collect();
        let policies = self.scene.objects::<ImageUpdatePolicy>().list(&ListParams::default()).await;
        for policy in policies.map(|list| list.items).unwrap_or_default() {
            let images = policy.status.map(|status| status.images).unwrap_or_default();
            words.extend(images.into_iter().map(|image| format!("{}: {}", image.reason, image.message)));
        }
        words.extend(self.scene.conditions().await);
        words
    }
}

fn application_words(application: &DynamicObject) -> String {
    let at = |path: &str| application.data.pointer(path).map(ToString::to_string).unwrap_or_default();
    format!(
        "{}: {} {} {} {}",
        application.metadata.name.as_deref().unwrap_or_default(),
        at("/status/sync/status"),
        at("/status/health/status"),
        at("/status/conditions"),
        at("/status/operationState/message"),
    )
}

/// How many looks at policies have ended.
async fn looks(fairlead: &Fairlead) -> u64 {
    let page = fairlead.page("/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix("fairlead_reconciles_total "));
    line.map_or(0, |number| number.parse().expect("a count"))
}
