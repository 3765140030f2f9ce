//! One queue for each branch that is written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use tokio::sync::oneshot;

use super::engine::Inner;
use super::observe::GitObserver;
use super::round::Round;
use super::tips::RepositoryKey;
use crate::adapters::fence::{NotLeading, Pass};
use crate::model::{ApplicationId, CommitId, CommitVia, GitBranch, GitPlan, GitWritten, PolicyId, Reason};
use crate::pipeline::git::Standing;
use crate::ports::GitError;

/// Between two tries on a branch that moves.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A repository, with the branch that is read and the one that is written.
#[derive(Debug, Clone)]
pub(super) struct QueueKey {
    /// The repository as its login sees it.
    repository: RepositoryKey,
    /// The repository and the branch that is read, by its name, as the first of all says it.
    pub base: GitBranch,
    /// The branch that is made anew, where it is another one.
    pub write: Option<String>,
    /// Who makes the commits.
    pub via: CommitVia,
}

/// What tells one queue from another: whose project it is for, and how the address is spelled, does not matter.
type QueueName = (RepositoryKey, Option<String>, Option<String>, CommitVia);

/// A plan that waits to be written.
pub(super) struct Pending {
    /// The plan.
    pub plan: GitPlan,
    /// Nothing is pushed for it when this holds no more.
    pub pass: Pass,
    /// The commits that brought it, as far as we pushed them, and whether the server took the last.
    pub pushed: Vec<CommitId>,
    /// Whether the server said that it took one of them.
    pub taken: bool,
    /// Whether it is written for the sake of others only, because it stands on their branch. Nobody waits for it.
    pub beside: bool,
    answer: oneshot::Sender<Result<GitWritten, GitError>>,
    _place: Option<Place>,
}

/// All queues.
pub(super) struct Queues {
    inner: Arc<Inner>,
    window: Duration,
    waiting: Arc<Mutex<HashMap<QueueName, Vec<Pending>>>>,
    standing: Arc<Mutex<Standing>>,
    /// The branches that were written directly, and for whom last.
    direct: Mutex<HashMap<(RepositoryKey, String), PolicyId>>,
    length: Arc<Length>,
}

struct Length {
    plans: AtomicUsize,
    observer: Arc<dyn GitObserver>,
}

/// One place in the length of all queues.
struct Place(Arc<Length>);

impl Queues {
    /// No plans so far.
    pub fn new(inner: Arc<Inner>, window: Duration, observer: Arc<dyn GitObserver>) -> Self {
        let length = Arc::new(Length { plans: AtomicUsize::new(0), observer });
        Self { inner, window, waiting: Arc::default(), standing: Arc::default(), direct: Mutex::default(), length }
    }

    /// Writes `plan` with all others for its branch, as long as `pass` holds.
    pub async fn write(&self, plan: GitPlan, pass: Pass) -> Result<GitWritten, GitError> {
        let mut base = plan.base.clone();
        if base.branch.is_none() {
            base.branch = Some(self.inner.tip(&base, Timestamp::MIN).await?.branch);
        }
        let write = plan.write_branch.clone().filter(|branch| Some(branch) != base.branch.as_ref());
        for branch in base.branch.iter().chain(&write) {
            check_branch(branch)?;
        }
        let stands = GitPlan { base: base.clone(), write_branch: write.clone(), ..plan.clone() };
        let repository = self.inner.key(&base).await?;
        self.only_way(&repository, &stands)?;
        // Whoever writes the branch from now on writes this plan, too; so two who share it do not take each other's changes away.
        let before = self.standing().put(stands.clone());
        let (answer, receive) = oneshot::channel();
        let shown = base.to_string();
        let key = QueueKey { repository, base, write, via: plan.commit.via };
        let place = Some(Place::taken(self.length.clone()));
        let pending = Pending { plan, pass, pushed: Vec::new(), taken: false, beside: false, answer, _place: place };
        self.put(key, pending);
        let gone = |_| GitError::new(Reason::GitFailed, format!("writing to `{shown}` was broken off"));
        let written = receive.await.map_err(gone).flatten();
        if written.is_err() {
            self.standing().take_back(&stands, before);
        }
        written
    }

    /// Refuses a branch that is written directly and made anew as well: each would take away what the other wrote.
    fn only_way(&self, repository: &RepositoryKey, plan: &GitPlan) -> Result<(), GitError> {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        let name = |branch: &Option<String>| Some((repository.clone(), branch.clone()?));
        let Some(write) = name(&plan.write_branch) else {
            direct.extend(name(&plan.base.branch).map(|name| (name, plan.policy.clone())));
            return Ok(());
        };
        // What it wrote directly once, before it was changed, does not matter any more.
        direct.retain(|_, policy| *policy != plan.policy);
        if let Some(policy) = direct.get(&write) {
            let message = format!(
                "`{}` is written directly for the policy `{policy}`, and would be made anew for `{}`; let `writeBranch` name another one",
                write.1, plan.policy
            );
            return Err(GitError::new(Reason::BranchNotOurs, message));
        }
        drop(direct);
        self.standing().check(plan)
    }

    /// See the port.
    pub fn stand(&self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>) {
        self.standing().replace(policy, undecided, plans);
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, policy: &PolicyId) {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, of| of != policy);
        self.stand(policy, &[], Vec::new());
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: QueueKey, pending: Pending) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let name = key.name();
        if let Some(waiting) = all.get_mut(&name) {
            waiting.push(pending);
            return;
        }
        all.insert(name, vec![pending]);
        drop(all);
        tokio::spawn(work(self.inner.clone(), key, self.waiting.clone(), self.standing.clone(), self.window));
    }
}

/// Writes what gathers for one branch, until nothing does.
async fn work(
    inner: Arc<Inner>,
    key: QueueKey,
    all: Arc<Mutex<HashMap<QueueName, Vec<Pending>>>>,
    standing: Arc<Mutex<Standing>>,
    window: Duration,
) {
    let name = key.name();
    loop {
        tokio::time::sleep(window).await;
        let pending = {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get_mut(&name) {
                Some(waiting) if !waiting.is_empty() => std::mem::take(waiting),
                _ => {
                    all.remove(&name);
                    return;
                }
            }
        };
        flush(&inner, &key, &standing, pending).await;
    }
}

/// What stands on the branch beside `pending`: it is written again.
fn beside(standing: &Mutex<Standing>, key: &QueueKey, pending: &[Pending]) -> Vec<Pending> {
    let named = |one: &Pending| GitPlan { base: key.base.clone(), write_branch: key.write.clone(), ..one.plan.clone() };
    let plans: Vec<GitPlan> = pending.iter().map(named).collect();
    let plans: Vec<&GitPlan> = plans.iter().collect();
    let beside = standing.lock().unwrap_or_else(PoisonError::into_inner).beside(&plans);
    // It is written for the sake of the others, so their pass is its own.
    let Some(pass) = pending.first().map(|one| one.pass.clone()) else { return Vec::new() };
    let one = |plan| {
        let (answer, _) = oneshot::channel();
        Pending { plan, pass: pass.clone(), pushed: Vec::new(), taken: false, beside: true, answer, _place: None }
    };
    beside.into_iter().map(one).collect()
}

/// Writes `pending`, again and again while the branch moves.
async fn flush(inner: &Inner, key: &QueueKey, standing: &Mutex<Standing>, mut pending: Vec<Pending>) {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        pending.retain(|one| !one.beside);
        let before = pending.len();
        let (held, ended): (Vec<_>, Vec<_>) = pending.into_iter().partition(|one| one.pass.holds());
        pending = held;
        fail(ended, &NotLeading.into());
        if pending.is_empty() {
            return;
        }
        if key.write.is_some() {
            let beside = beside(standing, key, &pending);
            pending.extend(beside);
        }
        match inner.round(key, &mut pending).await {
            Ok(Round::Done) => return,
            Ok(Round::Moved) if attempt >= inner.settings.attempts => {
                let message =
                    format!("`{}` moved {attempt} times while it was written; it is tried again later", key.shown());
                return fail(pending, &GitError::new(Reason::WriteConflict, message));
            }
            Ok(Round::Moved | Round::Ended) => {}
            Err(error) => return fail(pending, &error),
        }
        tracing::debug!(branch = %key.shown(), attempt, plans = before, "the branch or the lead moved while it was written");
        let part = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(pause.mul_f64(part)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn fail(pending: Vec<Pending>, error: &GitError) {
    for one in pending {
        one.answer(Err(error.clone()));
    }
}

impl Pending {
    /// Tells whoever waits.
    pub fn answer(self, answer: Result<GitWritten, GitError>) {
        // Who does not wait any more needs no answer.
        let _ = self.answer.send(answer);
    }
}

impl QueueKey {
    fn name(&self) -> QueueName {
        (self.repository.clone(), self.base.branch.clone(), self.write.clone(), self.via)
    }

    /// The branch that is written, as people write it.
    pub fn shown(&self) -> GitBranch {
        let branch = self.write.clone().or_else(|| self.base.branch.clone());
        GitBranch { branch, ..self.base.clone() }
    }

    /// The name of the branch that is read.
    pub fn base_name(&self) -> &str {
        self.base.branch.as_deref().unwrap_or("HEAD")
    }

    /// The name of the branch that is written.
    pub fn written_name(&self) -> &str {
        self.write.as_deref().unwrap_or_else(|| self.base_name())
    }
}

impl Place {
    fn taken(length: Arc<Length>) -> Self {
        length.observer.queued(length.plans.fetch_add(1, Ordering::Relaxed) + 1);
        Self(length)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.observer.queued(self.0.plans.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}

/// Refuses names that Git does not take for a branch, and those that it takes for something else.
pub(super) fn check_branch(name: &str) -> Result<(), GitError> {
    let forbidden = |sign: char| sign.is_control() || " ~^:?*[\\".contains(sign);
    let part = |part: &str| part.is_empty() || part.starts_with('.') || part.strip_suffix(".lock").is_some();
    let wrong = name.contains(forbidden)
        || name.contains("..")
        || name.contains("@{")
        || name.starts_with('-')
        || name.ends_with('.')
        || name == "@"
        || name.split('/').any(part);
    if wrong {
        return Err(GitError::new(Reason::InvalidTarget, format!("`{name}` is not the name of a branch")));
    }
    Ok(())
}
