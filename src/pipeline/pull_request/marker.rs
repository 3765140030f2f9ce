//! The mark in the text of a pull request that tells ours from others', and what it brings. Forges show nothing of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::{ApplicationId, CommitId, PolicyId, PullRequestChange};

/// The form of the mark. Two dashes may stand in no HTML comment, and the alphabet of base64 has none.
const BEGIN: &str = "<!-- fairlead:pull-request ";
const END: &str = " -->";
const VERSION: u32 = 1;
/// GitHub takes texts of 65,536 characters.
const MAXIMUM_BYTES: usize = 36 * 1024;

/// What is known of a pull request of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    version: u32,
    /// The key of its target.
    pub(super) key: String,
    /// Of all that it brings.
    pub(super) content: String,
    /// Of all that it brings, and how it looks.
    pub(super) fingerprint: String,
    /// Whether it was closed by us, as nothing was left to change.
    #[serde(default)]
    pub(super) obsolete: bool,
    /// Whether the forge was asked to merge it.
    #[serde(default)]
    pub(super) auto_merge: bool,
    /// The commit that we wrote its head branch with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// What it brings; the first of very many.
    changes: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    policy: (String, String),
    application: (String, String),
    image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl Marker {
    /// The mark of a pull request that brings `changes`.
    pub(super) fn new(key: &str, content: String, fingerprint: String, changes: &[PullRequestChange]) -> Self {
        let changes = changes.iter().map(Entry::from).collect();
        Self {
            version: VERSION,
            key: key.to_owned(),
            content,
            fingerprint,
            obsolete: false,
            auto_merge: false,
            commit: None,
            changes,
        }
    }

    /// The mark of the same pull request, when we close it.
    pub(super) fn closed(&self) -> Self {
        Self { obsolete: true, ..self.clone() }
    }

    /// The mark of the same pull request, when the forge was asked to merge it.
    pub(super) fn asked_to_merge(&self) -> Self {
        Self { auto_merge: true, ..self.clone() }
    }

    /// The mark of the same pull request, when its head branch was written; without a commit, when it was not.
    pub(super) fn written(&self, commit: Option<&CommitId>) -> Self {
        let commit = commit.map_or_else(|| self.commit.clone(), |commit| Some(commit.to_string()));
        Self { commit, ..self.clone() }
    }

    /// The commit that we wrote its head branch with, where that is known.
    pub(super) fn commit(&self) -> Option<CommitId> {
        CommitId::new(self.commit.as_deref()?)
    }

    /// The last mark in a text, if it has one that can be read.
    pub(super) fn find(body: &str) -> Option<Self> {
        let (_, after) = body.rsplit_once(BEGIN)?;
        let (text, _) = after.split_once(END)?;
        let bytes = STANDARD.decode(text.trim()).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|marker: &Self| marker.version == VERSION)
    }

    /// `body` with this mark in place of the one that it has.
    pub(super) fn put_into(&self, body: &str) -> String {
        let text = body.rsplit_once(BEGIN).map_or(body, |(before, _)| before);
        format!("{}\n\n{BEGIN}{}{END}\n", text.trim_end(), self.encoded())
    }

    /// What it brings, as far as it says so.
    pub(super) fn changes(&self) -> Vec<PullRequestChange> {
        self.changes.iter().map(PullRequestChange::from).collect()
    }

    /// The mark in base64, with less detail where it would be too long.
    fn encoded(&self) -> String {
        let encode = |marker: &Self| STANDARD.encode(serde_json::to_vec(marker).unwrap_or_default());
        let text = encode(self);
        if text.len() <= MAXIMUM_BYTES {
            return text;
        }
        let mut short = self.clone();
        short.changes.iter_mut().for_each(|entry| entry.link = None);
        loop {
            let text = encode(&short);
            if text.len() <= MAXIMUM_BYTES || short.changes.is_empty() {
                return text;
            }
            short.changes.truncate(short.changes.len() * 4 / 5);
        }
    }
}

impl From<&PullRequestChange> for Entry {
    fn from(change: &PullRequestChange) -> Self {
        let PullRequestChange { policy, application, image, from, to, link } = change;
        Self {
            policy: (policy.namespace.clone(), policy.name.clone()),
            application: (application.namespace.clone(), application.name.clone()),
            image: image.clone(),
            from: from.clone(),
            to: to.clone(),
            link: link.clone(),
        }
    }
}

impl From<&Entry> for PullRequestChange {
    fn from(entry: &Entry) -> Self {
        let Entry { policy, application, image, from, to, link } = entry;
        Self {
            policy: PolicyId::new(&policy.0, &policy.1),
            application: ApplicationId::new(&application.0, &application.1),
            image: image.clone(),
            from: from.clone(),
            to: to.clone(),
            link: link.clone(),
        }
    }
}
