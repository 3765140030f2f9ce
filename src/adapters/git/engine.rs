//! The adapter of the port `Git`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::address::Address;
use super::command::{Git, Order, arguments};
use super::copies::{Copies, Limits};
use super::homes::Homes;
use super::mirror::Mirror;
use super::observe::{GitObserver, Nobody};
use super::ownership::Own;
use super::queue::Queues;
use super::reads::Reads;
use super::refs::Refs;
use super::session::{REMOTE, Session};
use super::sign::Signer;
use super::tips::{RepositoryKey, Tips};
use super::tree::hex;
use crate::adapters::fence::Pass;
use crate::model::{
    ApplicationId, CommitId, GitBranch, GitCommit, GitEntry, GitLogin, GitPlan, GitProxy, GitTip, GitWritten, PolicyId,
    Reason,
};
use crate::ports::{Clock, ForgeCommits, Git as GitPort, GitError, GitLogins, Secrets};

/// How long a repository is taken for the one that its login said.
const KEY_HOLDS: SignedDuration = SignedDuration::from_secs(20);

/// By how much one copy may grow where there is room enough.
const MAXIMUM_COPY: u64 = 512 * 1024 * 1024;

/// Limits and places of the engine.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// The `git` executable; a bare name is looked for in `PATH`.
    pub program: PathBuf,
    /// The folder for copies of repositories: ours alone, made where it is not. Nothing in it is needed.
    pub state: PathBuf,
    /// How long plans for one branch are gathered, from the first.
    pub window: Duration,
    /// How long one command of Git may take.
    pub time: Duration,
    /// How often a push is tried on a branch that moves.
    pub attempts: u32,
    /// By how many bytes the copy of one repository may grow before it is made anew.
    pub maximum_copy: u64,
    /// How many bytes all copies may have; those that were not used for longest are removed.
    pub maximum_state: u64,
    /// This program, which `ssh` calls for its connection where a login names a proxy.
    pub own_program: PathBuf,
    /// The proxy for repositories that are reached by HTTP and whose login names none.
    pub proxy: Option<GitProxy>,
    /// Whether a repository may be a folder of this machine.
    pub folders: bool,
}

impl GitSettings {
    /// The usual limits, with copies in `state`.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            program: "git".into(),
            state: state.into(),
            window: Duration::from_secs(1),
            time: Duration::from_secs(90),
            attempts: 12,
            maximum_copy: MAXIMUM_COPY,
            maximum_state: 0,
            own_program: std::env::current_exe().unwrap_or_else(|_| "fairlead".into()),
            proxy: None,
            folders: false,
        }
        .within(2 * 1024 * 1024 * 1024)
    }

    /// The same, in a folder that may not get larger than `bytes`: what a fetch adds is known only when it has ended, so copies may have
    /// three quarters of it all together, and one may grow by a quarter at most.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        Self { maximum_copy: MAXIMUM_COPY.min(bytes / 4), maximum_state: bytes / 4 * 3, ..self }
    }
}

/// The proxy that the environment of this process names for `https://`, as other tools read it. Children of Git see none of it.
pub fn proxy_of_environment() -> Option<GitProxy> {
    let variable =
        |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let address = variable(["HTTPS_PROXY", "https_proxy"])?;
    Some(GitProxy { address, except: variable(["NO_PROXY", "no_proxy"]).unwrap_or_default() })
}

/// Git by its executable.
pub struct GitEngine {
    inner: Arc<Inner>,
    queues: Queues,
    reads: Reads,
}

/// What reading and writing share.
pub(super) struct Inner {
    pub git: Git,
    pub settings: GitSettings,
    pub logins: Arc<dyn GitLogins>,
    pub forge: Arc<dyn ForgeCommits>,
    pub clock: Arc<dyn Clock>,
    pub signer: Signer,
    pub tips: Tips,
    pub own: Own,
    keys: Mutex<HashMap<GitBranch, (Timestamp, RepositoryKey)>>,
    pub copies: Copies,
}

/// A repository with a login that is good now.
pub(super) struct Open {
    /// The configuration of Git for it.
    pub session: Session,
    /// Its copy; never shared between logins, and never removed as long as this value lives.
    pub mirror: Arc<Mirror>,
    /// What tells it from others.
    pub key: RepositoryKey,
}

impl GitEngine {
    /// The engine, when Git is there and new enough.
    ///
    /// # Errors
    /// A sentence: Git is missing or too old, or the folder for copies cannot be used.
    pub async fn start(
        settings: GitSettings,
        logins: Arc<dyn GitLogins>,
        forge: Arc<dyn ForgeCommits>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn GitObserver>>,
    ) -> Result<Self, String> {
        prepare_state(&settings.state)?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let observer = observer.unwrap_or_else(|| Arc::new(Nobody));
        let git = Git {
            program: settings.program.clone(),
            time: settings.time,
            path: path.clone(),
            observer: observer.clone(),
        };
        check_version(&git, &settings.state).await?;
        let signer = Signer { secrets, path, homes: Homes::swept(&settings.state) };
        let window = settings.window;
        let limits = Limits { growth: settings.maximum_copy, all: settings.maximum_state };
        let (tips, keys, copies) = (Tips::default(), Mutex::default(), Copies::found(&settings.state, limits));
        let own = Own::default();
        let inner = Arc::new(Inner { git, settings, logins, forge, clock, signer, tips, own, keys, copies });
        Ok(Self { queues: Queues::new(inner.clone(), window, observer), reads: Reads::new(inner.clone()), inner })
    }

    /// [`GitPort::write`], as long as `pass` holds. It is asked again directly before the push, and a push that is on its way when
    /// it ends is killed; then the branch is looked at, and what it says is the answer.
    ///
    /// # Caveats
    /// A server may go on with a push that it holds whole. It is one on the very tip that the plan was tested on, or none.
    pub async fn write_under(&self, plan: GitPlan, pass: Pass) -> Result<GitWritten, GitError> {
        self.queues.write(plan, pass).await
    }

    /// Forgets a policy that is gone: what it had on branches of our own is not written with the changes of others any more.
    pub fn forget(&self, policy: &PolicyId) {
        self.queues.forget(policy);
    }

    /// [`GitPort::remove`], as long as `pass` holds.
    pub async fn remove_under(&self, branch: &GitBranch, commit: &CommitId, pass: Pass) -> Result<bool, GitError> {
        self.inner.remove(branch, commit, &pass).await
    }
}

#[async_trait]
impl GitPort for GitEngine {
    async fn tip(&self, branch: &GitBranch, fresh_since: Timestamp) -> Result<GitTip, GitError> {
        self.inner.tip(branch, fresh_since).await
    }

    async fn read(&self, branch: &GitBranch, tip: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError> {
        self.reads.read(branch, tip, paths).await
    }

    async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError> {
        self.inner.commit(branch, tip).await
    }

    async fn write(&self, plan: GitPlan) -> Result<GitWritten, GitError> {
        self.queues.write(plan, Pass::unbounded()).await
    }

    async fn remove(&self, branch: &GitBranch, commit: &CommitId) -> Result<bool, GitError> {
        self.inner.remove(branch, commit, &Pass::unbounded()).await
    }

    fn stand(&self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>) {
        self.queues.stand(policy, undecided, plans);
    }
}

impl Inner {
    /// Logs in to the repository of `branch`.
    pub async fn open(&self, branch: &GitBranch) -> Result<Open, GitError> {
        let address = Address::new(branch, self.settings.folders)?;
        if !address.exists() {
            let message = format!("there is no repository in the folder `{}`", address.text);
            return Err(GitError::new(Reason::GitRepositoryNotFound, message));
        }
        let login = address.login(self.logins.login(branch).await?);
        for warning in &login.warnings {
            tracing::warn!(repository = %GitBranch { branch: None, ..branch.clone() }, warning, "Git is reached without a check");
        }
        let session = Session::open(&address, &login, &self.settings)?;
        let key = key(&address, &login);
        Ok(Open { session, mirror: self.copies.of(&key.0), key })
    }

    /// Where `branch` stands, asked for no earlier than `fresh_since`.
    pub async fn tip(&self, branch: &GitBranch, fresh_since: Timestamp) -> Result<GitTip, GitError> {
        let look = async |branches: Vec<Option<String>>| {
            let open = self.open(branch).await?;
            let branches: Vec<Option<&str>> = branches.iter().map(Option::as_deref).collect();
            self.look_up(&open.session, branch, &branches).await
        };
        let key = self.key(branch).await?;
        self.tips.tip(key, branch, fresh_since, || self.clock.now(), look).await
    }

    /// The repository of `branch`, as its login sees it now.
    pub async fn key(&self, branch: &GitBranch) -> Result<RepositoryKey, GitError> {
        let asked = GitBranch { branch: None, ..branch.clone() };
        let now = self.clock.now();
        let known = |keys: &HashMap<GitBranch, (Timestamp, RepositoryKey)>| {
            let (seen, key) = keys.get(&asked)?;
            (now.duration_since(*seen) < KEY_HOLDS).then(|| key.clone())
        };
        if let Some(key) = known(&self.keys.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(key);
        }
        let address = Address::new(branch, self.settings.folders)?;
        let key = key(&address, &address.login(self.logins.login(branch).await?));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, (seen, _)| now.duration_since(*seen) < KEY_HOLDS);
        keys.insert(asked, (now, key.clone()));
        Ok(key)
    }

    /// Where branches of the repository stand; `None`: the one that its `HEAD` names.
    pub async fn look_up(
        &self,
        session: &Session,
        shown: &GitBranch,
        branches: &[Option<&str>],
    ) -> Result<Refs, GitError> {
        let mut words = arguments(["ls-remote", "--symref", "--", REMOTE]);
        let name = |branch: Option<&str>| branch.map_or_else(|| "HEAD".to_owned(), |name| format!("refs/heads/{name}"));
        words.extend(branches.iter().copied().map(name));
        let what = format!("cannot look at `{shown}`");
        let order = Order { what, arguments: words, input: Vec::new(), session: Some(session) };
        let output = self.git.run(&self.settings.state, order).await?;
        Ok(Refs::parse(&String::from_utf8_lossy(&output)))
    }
}

/// A repository as one login sees it, however its address is spelled.
fn key(address: &Address, login: &GitLogin) -> RepositoryKey {
    let secret =
        login.secret.as_ref().map(|secret| format!("{}/{}", secret.namespace, secret.name)).unwrap_or_default();
    let user = login.basic().map(|(user, _)| user.to_owned()).unwrap_or_default();
    let digest = Sha256::digest(format!("{}\0{secret}\0{user}", address.normal()));
    RepositoryKey(hex(&digest[..16]))
}

/// Makes the folder for copies; nobody else may change what is in it.
fn prepare_state(state: &Path) -> Result<(), String> {
    let failed = |why: String| format!("cannot keep copies of repositories in `{}`: {why}", state.display());
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(state).map_err(|error| failed(error.to_string()))?;
    let metadata = std::fs::symlink_metadata(state).map_err(|error| failed(error.to_string()))?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o002 == 0 {
        Ok(())
    } else {
        Err(failed("it belongs to somebody else, or anybody may write in it".to_owned()))
    }
}

/// Git knows `GIT_CONFIG_GLOBAL` since 2.32.
async fn check_version(git: &Git, folder: &Path) -> Result<(), String> {
    let order = Order { what: String::new(), arguments: arguments(["version"]), input: Vec::new(), session: None };
    let ended = git.try_run(folder, order).await.map_err(|error| format!("Git cannot be used: {error}"))?;
    let text = String::from_utf8_lossy(&ended.output).into_owned();
    let version = text.split(' ').nth(2).unwrap_or_default().to_owned();
    let mut numbers = version.split('.').map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= (2, 32) {
        Ok(())
    } else {
        Err(format!("Git {} is too old, or not Git: 2.32 or newer is needed", version.trim()))
    }
}
