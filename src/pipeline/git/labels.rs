//! The labels of chosen images, for what messages say of them.

use futures::future::join_all;

use crate::model::{Application, GitWriteBack, Sources};
use crate::pipeline::write::{Desk, Draft};

/// How templates name them.
const FIELD: &str = "Labels";

impl<'a> Desk<'a> {
    /// Reads the labels of each image that is chosen for a file in Git, where something of the policy says them.
    ///
    /// # Guarantees
    /// Nothing fails and nothing waits for a later look: a label that cannot be read now is not there.
    pub(super) async fn label(&self, git: &GitWriteBack, application: &Application, drafts: &mut [Draft<'a>]) {
        if self.policy.dry_run || !says_labels(git, application) {
            return;
        }
        let chosen = drafts.iter_mut().filter(|draft| draft.file().is_some());
        join_all(chosen.map(async |draft| {
            let (Some(choice), Some(Ok(offer))) = (&draft.choice, &self.offers[draft.image.index]) else { return };
            // The adapter has logged why not.
            if let Ok(labels) = offer.labels(self.ports, &choice.tag).await {
                draft.labels = labels;
            }
        }))
        .await;
    }
}

/// Whether a template of the policy names labels, or the trailers of a hydrated Application are made of them.
fn says_labels(git: &GitWriteBack, application: &Application) -> bool {
    let request = git.pull_request.as_ref();
    let templates = [
        git.commit.message.as_deref(),
        request.and_then(|request| request.title.as_deref()),
        request.and_then(|request| request.body.as_deref()),
    ];
    let named = templates.into_iter().flatten().any(|template| template.contains(FIELD));
    named || matches!(application.sources, Sources::Hydrated(_))
}
