//! Who may write, and until when: one of several replicas, as long as its lease surely holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future;
use jiff::Timestamp;
use tokio::sync::watch;

use super::clock::uptime;
use super::git::GitEngine;
use crate::model::{
    Application, ApplicationId, ApplicationPlan, CommitId, ForgeRepository, GitBranch, GitCommit, GitEntry, GitPlan,
    GitTip, GitWritten, MergeMethod, PolicyId, PullRequest, PullRequestDraft, Reason, RepositoryRules, SyncWindow,
};
use crate::ports::{
    Applications, ApplicationsError, Forge, ForgeError, Git, GitError, Inventory, PullRequestWritten, WriteError,
};

/// Whether this process may write now.
///
/// # Guarantees
/// It closes by itself: nobody has to notice that the lease was not renewed. Time is [`uptime`], so neither a clock that is set
/// nor a process that was stopped for a while keeps it open.
#[derive(Debug)]
pub struct Fence {
    lead: watch::Sender<Lead>,
}

/// What the fence was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lead {
    /// Open before this moment; `None`: closed.
    until: Option<Duration>,
    /// How often it was opened.
    term: u64,
}

/// What one piece of work may do: write as long as the lead lasts under which it was begun.
///
/// Work that was begun under an earlier lead may not write under the next one: somebody else may have written in between.
#[derive(Debug, Clone)]
pub struct Pass {
    fence: Arc<Fence>,
    term: u64,
}

/// A port of the world, written to only while a pass holds.
///
/// # Guarantees
/// No write begins after the lead, and what is on its way then is broken off.
///
/// # Caveats
/// A request that was sent before may arrive after. So each write carries what it was decided on: the `resourceVersion` of the
/// Application, the tip of the branch. It is refused where the next leader, or anybody else, wrote in between.
#[derive(Debug, Clone)]
pub struct Fenced<P> {
    port: P,
    pass: Pass,
}

/// The lead is over, or too near its end for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead any more")]
pub struct NotLeading;

impl Fence {
    /// One that nobody may pass before it is opened.
    pub fn closed() -> Self {
        Self { lead: watch::Sender::new(Lead { until: None, term: 0 }) }
    }

    /// One that is always open: where there is one process.
    pub fn open() -> Self {
        Self { lead: watch::Sender::new(Lead { until: Some(Duration::MAX), term: 1 }) }
    }

    /// Opens it until `until`, a moment of [`uptime`], or keeps it open for longer.
    pub fn open_until(&self, until: Duration) {
        self.open_at(uptime(), until);
    }

    /// Closes it.
    pub fn close(&self) {
        self.lead.send_modify(|lead| lead.until = None);
    }

    /// Whether it is open now.
    pub fn is_open(&self) -> bool {
        self.remaining(uptime()).is_some()
    }

    /// A pass for work that begins now; `None` when it is closed.
    pub fn pass(self: &Arc<Self>) -> Option<Pass> {
        let (_, term) = self.remaining(uptime())?;
        Some(Pass { fence: Arc::clone(self), term })
    }

    fn open_at(&self, now: Duration, until: Duration) {
        self.lead.send_modify(|lead| {
            if lead.until.is_none_or(|until| until <= now) {
                lead.term += 1;
            }
            lead.until = Some(until);
        });
    }

    /// How long it stays open, and under which term.
    fn remaining(&self, now: Duration) -> Option<(Duration, u64)> {
        let lead = *self.lead.borrow();
        let remaining = lead.until?.checked_sub(now).filter(|left| !left.is_zero())?;
        Some((remaining, lead.term))
    }
}

impl Pass {
    /// One that always holds: for what never writes, and where there is one process.
    pub fn unbounded() -> Self {
        Self { fence: Arc::new(Fence::open()), term: 1 }
    }

    /// Whether it still holds.
    pub fn holds(&self) -> bool {
        self.remaining(uptime()).is_some()
    }

    /// Ends when it holds no more.
    pub async fn ended(&self) {
        let mut news = self.fence.lead.subscribe();
        while let Some(left) = self.remaining(uptime()) {
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The fence is ours, too: there is always somebody who could tell.
                _ = news.changed() => {}
            }
        }
    }

    /// Makes a call that writes, if the lead still lasts, and breaks it off when the lead ends before its answer.
    ///
    /// # Errors
    /// [`NotLeading`]; whether something was written is not known when the call had begun.
    pub async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, NotLeading> {
        tokio::select! {
            biased;
            () = self.ended() => Err(NotLeading),
            done = call => Ok(done),
        }
    }

    fn remaining(&self, now: Duration) -> Option<Duration> {
        self.fence.remaining(now).filter(|(_, term)| *term == self.term).map(|(remaining, _)| remaining)
    }
}

/// Ends when one of `passes` holds no more; without any, never.
pub(super) async fn any_ended(passes: impl Iterator<Item = &Pass>) {
    let waiting: Vec<_> = passes.map(|pass| Box::pin(pass.ended())).collect();
    if waiting.is_empty() {
        future::pending::<()>().await;
    }
    future::select_all(waiting).await;
}

impl<P> Fenced<P> {
    /// `port` for one piece of work.
    pub const fn new(port: P, pass: Pass) -> Self {
        Self { port, pass }
    }
}

#[async_trait]
impl Applications for Fenced<Arc<dyn Applications>> {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        self.port.list(namespace).await
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        self.port.fresh(id).await
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        let written = self.pass.within(self.port.write(plan)).await;
        written.unwrap_or_else(|cause| Err(unavailable(&plan.application, cause)))
    }

    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError> {
        let written = self.pass.within(self.port.refresh(id)).await;
        written.unwrap_or_else(|cause| Err(unavailable(id, cause)))
    }

    async fn sync_windows(&self, namespace: &str, project: &str) -> Result<Vec<SyncWindow>, String> {
        self.port.sync_windows(namespace, project).await
    }

    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        self.port.repository_rules(application).await
    }
}

#[async_trait]
impl Git for Fenced<Arc<GitEngine>> {
    async fn tip(&self, branch: &GitBranch, fresh_since: Timestamp) -> Result<GitTip, GitError> {
        self.port.tip(branch, fresh_since).await
    }

    async fn read(&self, branch: &GitBranch, tip: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError> {
        self.port.read(branch, tip, paths).await
    }

    async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError> {
        self.port.commit(branch, tip).await
    }

    async fn write(&self, plan: GitPlan) -> Result<GitWritten, GitError> {
        // Not broken off from here: only the engine knows whether the branch holds it by then.
        self.port.write_under(plan, self.pass.clone()).await
    }

    async fn remove(&self, branch: &GitBranch, commit: &CommitId) -> Result<bool, GitError> {
        self.port.remove_under(branch, commit, self.pass.clone()).await
    }

    fn stand(&self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>) {
        self.port.stand(policy, undecided, plans);
    }
}

#[async_trait]
impl Forge for Fenced<Arc<dyn Forge>> {
    async fn find(&self, at: &ForgeRepository, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        self.port.find(at, head, base).await
    }

    async fn open_on(&self, at: &ForgeRepository, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        self.port.open_on(at, base).await
    }

    async fn using(&self, at: &ForgeRepository, branch: &str) -> Result<Vec<u64>, ForgeError> {
        self.port.using(at, branch).await
    }

    async fn open(&self, at: &ForgeRepository, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError> {
        self.pass.within(self.port.open(at, draft)).await?
    }

    async fn update(
        &self,
        at: &ForgeRepository,
        number: u64,
        draft: &PullRequestDraft,
    ) -> Result<PullRequestWritten, ForgeError> {
        self.pass.within(self.port.update(at, number, draft)).await?
    }

    async fn set_body(&self, at: &ForgeRepository, number: u64, body: &str) -> Result<(), ForgeError> {
        self.pass.within(self.port.set_body(at, number, body)).await?
    }

    async fn close(&self, at: &ForgeRepository, number: u64, body: &str, comment: &str) -> Result<(), ForgeError> {
        self.pass.within(self.port.close(at, number, body, comment)).await?
    }

    async fn merge_when_ready(
        &self,
        at: &ForgeRepository,
        pull_request: &PullRequest,
        method: MergeMethod,
    ) -> Result<(), ForgeError> {
        self.pass.within(self.port.merge_when_ready(at, pull_request, method)).await?
    }
}

fn unavailable(application: &ApplicationId, cause: NotLeading) -> WriteError {
    WriteError::Unavailable { application: application.clone(), cause: cause.to_string() }
}

impl From<NotLeading> for ForgeError {
    fn from(cause: NotLeading) -> Self {
        Self::new(Reason::WriteFailed, format!("nothing is changed at the forge: {cause}"))
    }
}

impl From<NotLeading> for GitError {
    fn from(cause: NotLeading) -> Self {
        Self::new(Reason::WriteFailed, format!("nothing is written to Git: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_fence_closes_by_itself_and_time_that_was_slept_counts() {
        let fence = Fence::closed();
        assert_eq!(fence.remaining(seconds(100)), None);
        fence.open_at(seconds(100), seconds(110));
        assert_eq!(fence.remaining(seconds(104)), Some((seconds(6), 1)));
        fence.open_at(seconds(104), seconds(114));
        assert_eq!(fence.remaining(seconds(113)), Some((seconds(1), 1)));
        assert_eq!(fence.remaining(seconds(114)), None);
        assert_eq!(fence.remaining(seconds(4000)), None);
    }

    #[test]
    fn work_of_an_earlier_lead_may_not_write_under_the_next_one() {
        let fence = Arc::new(Fence::closed());
        fence.open_at(seconds(100), seconds(110));
        let pass = Pass { fence: Arc::clone(&fence), term: 1 };
        assert_eq!(pass.remaining(seconds(109)), Some(seconds(1)));
        fence.open_at(seconds(120), seconds(130));
        assert_eq!(pass.remaining(seconds(121)), None);
        assert_eq!(fence.remaining(seconds(121)), Some((seconds(9), 2)));
        fence.close();
        fence.open_at(seconds(122), seconds(132));
        assert_eq!(fence.remaining(seconds(123)), Some((seconds(9), 3)), "closed by hand counts, too");
    }

    #[tokio::test]
    async fn a_call_is_given_up_with_the_lead_and_not_begun_after_it() {
        let fence = Arc::new(Fence::closed());
        assert!(fence.pass().is_none());
        fence.open_until(uptime() + Duration::from_millis(30));
        let pass = fence.pass().expect("it is open");
        assert_eq!(pass.within(future::pending::<()>()).await, Err(NotLeading), "it closed by itself");
        fence.open_until(uptime() + seconds(3600));
        let pass = fence.pass().expect("it is open");
        assert_eq!(pass.within(async { 7 }).await, Ok(7));
        let closing = async {
            tokio::task::yield_now().await;
            fence.close();
        };
        let (given_up, ()) = tokio::join!(pass.within(future::pending::<()>()), closing);
        assert_eq!(given_up, Err(NotLeading), "it was closed");
        let begun = std::cell::Cell::new(false);
        assert_eq!(pass.within(async { begun.set(true) }).await, Err(NotLeading));
        assert!(!begun.get());
        assert_eq!(Pass::unbounded().within(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn a_call_that_takes_longer_than_one_renewal_goes_on() {
        let fence = Arc::new(Fence::closed());
        fence.open_until(uptime() + Duration::from_millis(30));
        let pass = fence.pass().expect("it is open");
        let (renew, renewed) = tokio::sync::oneshot::channel();
        let first = uptime() + Duration::from_millis(30);
        let call = async {
            renewed.await.expect("it is renewed");
            while uptime() < first + Duration::from_millis(20) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            7
        };
        let renewal = async {
            fence.open_until(uptime() + seconds(3600));
            renew.send(()).expect("the call waits");
        };
        let (done, ()) = tokio::join!(pass.within(call), renewal);
        assert_eq!(done, Ok(7));
    }
}
