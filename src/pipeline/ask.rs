//! What Argo CD is asked for along with a change of an Application, where a policy wants it.

use super::write::Desk;
use crate::api::REFRESH;
use crate::model::{Application, ApplicationPlan, Guard, Node, Operation, Pointer, SyncPhase, SyncRequest};
use crate::select;

impl Desk<'_> {
    /// Adds to the plan what is asked of Argo CD. Returns why a sync that the policy wants is not among it.
    ///
    /// Where the values alone guard the write nothing is asked: it could overwrite what others annotate or ask meanwhile.
    pub(super) async fn ask(&self, plan: &mut ApplicationPlan, application: &Application) -> Option<String> {
        let resting = plan.guard == Guard::Version;
        plan.refresh = (self.policy.refresh && resting).then(|| refresh(application));
        if !self.policy.sync {
            return None;
        }
        let asked =
            if resting { self.sync(application).await } else { Err("others change it all the time".to_owned()) };
        match asked {
            Ok(request) => {
                plan.sync = Some(request);
                None
            }
            Err(cause) => Some(format!("no sync was asked for: {cause}")),
        }
    }

    async fn sync(&self, application: &Application) -> Result<SyncRequest, String> {
        let earlier = application.progress.as_ref().and_then(|progress| progress.operation.as_ref());
        if application.operating || earlier.is_some_and(|sync| sync.phase == SyncPhase::Running) {
            return Err("another one is under way".to_owned());
        }
        if let Some(owner) = &application.owner
            && self.sets.get(owner).is_none_or(|set| set.as_ref().is_ok_and(|set| set.rolls))
        {
            return Err(format!("the ApplicationSet `{owner}` syncs its Applications step by step"));
        }
        let (namespace, project) = application.at_project();
        let windows = self.ports.applications.sync_windows(namespace, project).await;
        let windows = windows.map_err(|cause| {
            format!("the sync windows of the project `{namespace}/{project}` are not known: {cause}")
        })?;
        if let Some(window) = select::forbidding(&windows, application, self.ports.clock.now()) {
            let what = if window.allows { "allows it only" } else { "denies it" };
            return Err(format!("the project `{project}` {what} in the window `{}`", window.schedule));
        }
        Ok(SyncRequest {
            reason: format!("a newer image, by the policy {}", self.policy.id),
            options: application.sync_options.clone(),
            replaces: earlier.is_some(),
        })
    }
}

/// Asks Argo CD to look at the Application at once.
fn refresh(application: &Application) -> Operation {
    let (annotations, normal) = (Pointer::root().key("metadata").key("annotations"), Node::text("normal"));
    if application.annotated {
        Operation::Add(annotations.key(REFRESH), normal)
    } else {
        Operation::Add(annotations, Node::map([(REFRESH, normal)]))
    }
}
