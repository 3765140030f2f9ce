//! The labels of chosen images, for what messages say of them.

use std::sync::Arc;

use futures::future::join_all;

use super::links;
use super::message::SOURCE;
use super::requests::Bid;
use crate::model::{Application, GitWriteBack, PullRequestPlan, Sources};
use crate::pipeline::pull_request::{Seen, Told};
use crate::pipeline::write::{Desk, Draft};

/// How templates name them.
const FIELD: &str = "Labels";
/// Changes of a pull request that get links: so many find room in its mark.
const MAXIMUM_LINKED: usize = 50;

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

    /// Says of each change of a pull request where people see what is new.
    ///
    /// # Guarantees
    /// What the open pull request tells already stays, and the registry is not asked for it: a quiet look costs nothing, and a registry that fails
    /// changes no text.
    pub(super) async fn link(&self, plan: &mut PullRequestPlan, seen: &Seen, bids: &[Bid<'a>]) {
        if plan.changes.len() > MAXIMUM_LINKED || plan.style.body.is_some() {
            return;
        }
        let links = join_all(plan.changes.iter().map(async |change| {
            let of_application = bids.iter().filter(|bid| bid.application.id == change.application);
            let draft = of_application.flat_map(|bid| &bid.drafts).find(|draft| draft.image.title == change.image)?;
            match seen.told(plan, change) {
                Told::Link(link) => link,
                Told::ByOthers => None,
                Told::Nothing => self.link_of(plan, draft).await,
            }
        }));
        let links = links.await;
        for (change, link) in plan.changes.iter_mut().zip(links) {
            change.link = link;
        }
    }

    async fn link_of(&self, plan: &PullRequestPlan, draft: &Draft<'a>) -> Option<String> {
        let Some(Ok(offer)) = &self.offers[draft.image.index] else { return None };
        // The adapter logs why a label cannot be read.
        let new = offer.labels(self.ports, &draft.choice.as_ref()?.tag).await.ok()?;
        let old = match draft.current().and_then(|current| current.tag.as_ref()) {
            Some(tag) if new.contains_key(SOURCE) => offer.labels(self.ports, tag).await.unwrap_or_default(),
            _ => Arc::default(),
        };
        links::link(&old, &new, plan.at.provider, &plan.at.repository.repository)
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
