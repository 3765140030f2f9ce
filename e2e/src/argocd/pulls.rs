//! Pull requests of Gitea, and what people do with them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::argocd::{MAIN, Repository};
use crate::eventually::{Deadline, eventually};

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// What it says.
    pub body: String,
    /// The branch that it would merge.
    pub branch: String,
    /// The tip of that branch.
    pub commit: String,
    /// `open` or `closed`.
    pub state: String,
    /// Whether it was merged.
    pub merged: bool,
}

impl Repository {
    /// All pull requests, oldest first.
    pub async fn pull_requests(&self) -> Vec<PullRequest> {
        let place = self.path("/pulls?state=all&sort=oldest&limit=50");
        let (_, answer) = self.gitea.answer(Method::GET, &place, &Value::Null).await;
        // Before Gitea has taken in the first push there is no list.
        answer.as_array().into_iter().flatten().map(pull_request).collect()
    }

    /// Waits until the pull requests are as wished, and gives the newest: as long as a forge is left alone that answered with a failure, as Gitea does when it is asked
    /// to close what it merges at that moment.
    pub async fn expect_pull_request(&self, what: &str, wish: impl Fn(&PullRequest) -> bool) -> PullRequest {
        eventually(&format!("a pull request: {what}"), Deadline::after(Self::LEFT_ALONE), async || {
            let mut all = self.pull_requests().await;
            let last = all.pop();
            last.clone().filter(|last| wish(last)).ok_or((last, all))
        })
        .await
    }

    /// Merges it, as soon as Gitea has found out that it can be.
    pub async fn merge(&self, number: u64) {
        self.merge_by(number, "merge").await;
    }

    /// The same, with a commit of Gitea's own in the place of ours.
    pub async fn squash(&self, number: u64) {
        self.merge_by(number, "squash").await;
    }

    async fn merge_by(&self, number: u64, method: &str) {
        let place = self.path(&format!("/pulls/{number}/merge"));
        eventually("the pull request is merged", Deadline::after(Self::LAG), async || {
            let (status, answer) = self.gitea.answer(Method::POST, &place, &json!({"Do": method})).await;
            assert!(status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED, "{status}: {answer}");
            if status.is_success() { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// Merges a branch into the first one, as a person does, by a pull request of that person's.
    pub async fn merge_branch(&self, branch: &str) {
        let body = json!({"title": format!("Merge {branch}"), "head": branch, "base": MAIN});
        let place = self.path("/pulls");
        let number = eventually("Gitea takes the pull request", Deadline::after(Self::LAG), async || {
            // Gitea takes in what was pushed to it a little later.
            let (status, answer) = self.gitea.answer(Method::POST, &place, &body).await;
            answer["number"].as_u64().filter(|_| status.is_success()).ok_or((status, answer))
        })
        .await;
        self.merge(number).await;
    }

    /// Lets the repository be merged into by these methods alone.
    pub async fn allow_merges(&self, methods: &[&str]) {
        let allowed = |method: &str| methods.contains(&method);
        let body = json!({
            "has_pull_requests": true,
            "allow_merge_commits": allowed("merge"),
            "allow_squash_merge": allowed("squash"),
            "allow_rebase": allowed("rebase"),
            "default_merge_style": methods[0],
        });
        self.gitea.ask(Method::PATCH, &self.path(""), &body).await;
    }

    /// Closes it without merging.
    pub async fn close(&self, number: u64) {
        self.gitea.ask(Method::PATCH, &self.path(&format!("/pulls/{number}")), &json!({"state": "closed"})).await;
    }
}

fn pull_request(value: &Value) -> PullRequest {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    PullRequest {
        number: value["number"].as_u64().expect("a pull request has a number"),
        title: text("/title"),
        body: text("/body"),
        branch: text("/head/ref"),
        commit: text("/head/sha"),
        state: text("/state"),
        merged: value["merged"].as_bool().unwrap_or_default(),
    }
}
