//! What every adapter of the port `Git` must do, whatever lies behind it.

use async_trait::async_trait;
use fairlead::model::{
    ApplicationId, CommitAuthor, CommitPlan, CommitVia, Edit, Facts, FileChange, GitBranch, GitEntry, GitPlan, Node,
    Operation, Pointer, PolicyId, Reason,
};
use fairlead::ports::Git;
use k8s_openapi::jiff::Timestamp;

/// A remote repository that the contract is tried on, and somebody else who pushes to it.
#[async_trait]
pub trait Remote: Send + Sync {
    /// The repository; its branch is `None`. It exists, has a default branch `main`, and holds [`FILES`] there.
    fn repository(&self) -> GitBranch;

    /// Who is to make the commits.
    fn via(&self) -> CommitVia {
        CommitVia::Git
    }

    /// Commits `text` at `path` to `branch`, as somebody else; the branch is made from `main` where it is missing.
    async fn push(&self, branch: &str, path: &str, text: &str);

    /// The text at `path` of the tip of `branch`, asked of the remote itself.
    async fn text(&self, branch: &str, path: &str) -> Option<String>;

    /// The message of the commit at the tip of `branch`, asked of the remote itself.
    async fn message(&self, branch: &str) -> String;

    /// How many commits `branch` has.
    async fn commits(&self, branch: &str) -> usize;
}

/// What the branch `main` holds to begin with.
pub const FILES: &[(&str, &str)] = &[
    ("values.yaml", "# the values\nimage:\n  tag: \"1.0.0\" # present\nother: 1\n"),
    ("deep/down/values.yaml", "image: {tag: 1.0.0}\r\n"),
    ("README.md", "read me\n"),
];

/// Runs the whole contract. `now` is the time by the clock of `git`.
pub async fn check_git(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    reading(git, remote, now).await;
    writing(git, remote, now).await;
    other_branches(git, remote, now).await;
    creating(git, remote, now).await;
    at_once(git, remote).await;
}

async fn reading(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    let main = remote.repository();
    let tip = git.tip(&main, now()).await.expect("a tip");
    assert_eq!(tip.branch, "main", "a branch that is not named is the default branch");
    let named = git.tip(&on(remote, "main"), now()).await.expect("a tip");
    assert_eq!(named, tip, "the same branch by its name");
    let paths = ["values.yaml", "deep/down/values.yaml", "deep", "none.yaml", "values.yaml/none", ""];
    let entries = git.read(&main, &tip, &paths.map(ToOwned::to_owned)).await.expect("entries");
    let file = |text: &str| GitEntry::File(text.to_owned());
    let folder = |names: &[&str]| GitEntry::Folder(names.iter().map(|name| (*name).to_owned()).collect());
    let expected = [
        file(FILES[0].1),
        file(FILES[1].1),
        folder(&["down"]),
        GitEntry::Missing,
        GitEntry::Other("a path that leads through a file".to_owned()),
        folder(&["README.md", "deep", "values.yaml"]),
    ];
    assert_eq!(entries, expected, "entries come in the order of the paths, byte by byte");
    assert_eq!(git.read(&main, &tip, &[]).await.expect("nothing"), []);

    let missing = git.tip(&on(remote, "no-such-branch"), now()).await.expect_err("no such branch");
    assert_eq!((missing.reason, missing.changed), (Reason::GitBranchNotFound, false));
    let unknown = GitBranch { repository: format!("{}-unknown", main.repository), ..main.clone() };
    let unknown = git.tip(&unknown, now()).await.expect_err("no such repository");
    assert_eq!(unknown.reason, Reason::GitRepositoryNotFound);

    remote.push("main", "README.md", "read me again\n").await;
    let fresh = git.tip(&main, now()).await.expect("a tip");
    let told = git.commit(&main, &fresh).await.expect("a commit");
    assert!(remote.message("main").await.starts_with(&told.subject) && !told.author.contains('<'), "{told:?}");
    assert_ne!(fresh.commit, tip.commit, "a tip is no older than asked for");
    let entries = git.read(&main, &tip, &["README.md".to_owned()]).await.expect("entries");
    assert_eq!(entries, [file("read me\n")], "what was read is the commit that was named");
    let entries = git.read(&main, &fresh, &["README.md".to_owned()]).await.expect("entries");
    assert_eq!(entries, [file("read me again\n")]);
}

#[expect(clippy::cognitive_complexity, reason = "a list of promises, one after the other")]
async fn writing(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    let before = remote.commits("main").await;
    let change = plan(remote, "web", vec![edit("values.yaml", "1.0.0", "1.0.1")]);
    let written = git.write(change.clone()).await.expect("a commit");
    assert_eq!((written.branch.as_str(), written.pushed), ("main", true));
    let tip = git.tip(&remote.repository(), now()).await.expect("a tip");
    assert_eq!(tip.commit, written.commit, "the outcome counts once the remote has it");
    assert_eq!(remote.commits("main").await, before + 1, "one plan is one commit");
    let text = remote.text("main", "values.yaml").await;
    assert_eq!(text.as_deref(), Some("# the values\nimage:\n  tag: \"1.0.1\" # present\nother: 1\n"), "no other byte");
    let message = remote.message("main").await;
    assert_eq!(
        message.trim_end(),
        "build: update of web\n\nto 1.0.1\n\nFairlead-Policy: argocd/policy\nFairlead-Application: argocd/web"
    );

    let stale = git.write(change).await.expect_err("the value is another by now");
    assert!(stale.changed, "{stale}: decided on a state that is gone");
    remote.push("main", "README.md", "moved\n").await;
    let moved = plan(remote, "web", vec![edit("values.yaml", "1.0.1", "1.0.2")]);
    git.write(moved).await.expect("a branch that moved elsewhere is no obstacle");
    assert_eq!(remote.text("main", "README.md").await.as_deref(), Some("moved\n"), "a push by others is kept");

    let halves =
        plan(remote, "web", vec![edit("values.yaml", "1.0.2", "1.0.3"), edit("deep/down/values.yaml", "9", "1.0.3")]);
    let before = remote.commits("main").await;
    assert!(git.write(halves).await.expect_err("one of two is gone").changed);
    assert_eq!(remote.commits("main").await, before, "all or nothing");
    let both = plan(
        remote,
        "web",
        vec![edit("values.yaml", "1.0.2", "1.0.3"), edit("deep/down/values.yaml", "1.0.0", "1.0.3")],
    );
    git.write(both).await.expect("two files");
    assert_eq!(remote.commits("main").await, before + 1, "two files are one commit");
    assert_eq!(remote.text("main", "deep/down/values.yaml").await.as_deref(), Some("image: {tag: 1.0.3}\r\n"));
    let gone = plan(remote, "web", vec![edit("none.yaml", "1.0.0", "1.0.1")]);
    assert!(git.write(gone).await.expect_err("no such file").changed);
    let mut nowhere = plan(remote, "web", vec![edit("values.yaml", "1.0.3", "1.0.4")]);
    nowhere.base = on(remote, "no-such-branch");
    assert_eq!(git.write(nowhere).await.expect_err("no such branch").reason, Reason::GitBranchNotFound);
}

async fn other_branches(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    let mut change = plan(remote, "web", vec![edit("values.yaml", "1.0.3", "1.1.0")]);
    change.write_branch = Some("updates/web".to_owned());
    let main = remote.commits("main").await;
    let first = git.write(change.clone()).await.expect("a branch of our own");
    assert_eq!((first.branch.as_str(), first.pushed), ("updates/web", true));
    assert_eq!(remote.commits("main").await, main, "the branch that was read stays");
    assert_eq!(remote.commits("updates/web").await, main + 1);
    let again = git.write(change).await.expect("it is there already");
    assert_eq!((again.pushed, again.commit), (false, first.commit), "the same change is no second commit");

    let mut newer = plan(remote, "web", vec![edit("values.yaml", "1.0.3", "1.2.0")]);
    newer.write_branch = Some("updates/web".to_owned());
    git.write(newer).await.expect("a newer change");
    assert_eq!(remote.commits("updates/web").await, main + 1, "made anew from the base, not on the older change");
    let tip = git.tip(&on(remote, "updates/web"), now()).await.expect("a tip");
    let entries = git.read(&on(remote, "updates/web"), &tip, &["values.yaml".to_owned()]).await.expect("entries");
    assert!(matches!(&entries[..], [GitEntry::File(text)] if text.contains("1.2.0")), "{entries:?}");
    shared_branches(git, remote).await;
    removing(git, remote, now).await;
}

/// A branch goes only from the commit that it is known to stand at.
async fn removing(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    let branch = on(remote, "updates/old");
    let mut change = plan(remote, "old", vec![edit("values.yaml", "1.0.3", "1.4.0")]);
    change.write_branch = branch.branch.clone();
    let written = git.write(change).await.expect("a branch of our own");
    remote.push("updates/old", "README.md", "a person was here\n").await;
    assert_eq!(git.remove(&branch, &written.commit).await, Ok(false), "it stands elsewhere");
    assert!(remote.text("updates/old", "README.md").await.is_some(), "a person's commit stays");
    let tip = git.tip(&branch, now()).await.expect("a tip");
    assert_eq!(git.remove(&branch, &tip.commit).await, Ok(true));
    assert_eq!(remote.text("updates/old", "README.md").await, None);
    assert_eq!(git.tip(&branch, now()).await.expect_err("it is gone").reason, Reason::GitBranchNotFound);
    assert_eq!(git.remove(&branch, &tip.commit).await, Ok(true), "it is gone already");
}

/// Those who share a branch of our own keep each other's changes, as long as they are wanted.
async fn shared_branches(git: &dyn Git, remote: &dyn Remote) {
    remote.push("main", "api.yaml", "image:\n  tag: 1.0.0\n").await;
    let change = |to: &str| {
        let mut plan = plan(remote, "api", vec![edit("api.yaml", "1.0.0", to)]);
        plan.write_branch = Some("updates/web".to_owned());
        plan
    };
    let main = remote.commits("main").await;
    git.write(change("1.0.1")).await.expect("a change beside the other");
    let texts =
        async || (remote.text("updates/web", "values.yaml").await, remote.text("updates/web", "api.yaml").await);
    let (web, api) = texts().await;
    assert!(web.is_some_and(|text| text.contains("1.2.0")), "what stands there stays");
    assert_eq!((api.as_deref(), remote.commits("updates/web").await), (Some("image:\n  tag: 1.0.1\n"), main + 1));

    // From now on that of the first Application is not wanted.
    let named = GitPlan { base: on(remote, "main"), ..change("1.0.2") };
    git.stand(&named.policy.clone(), &[], vec![named]);
    git.write(change("1.0.2")).await.expect("the change alone");
    let (web, api) = texts().await;
    assert!(web.is_some_and(|text| text.contains("1.0.3")), "what is no longer wanted goes");
    assert_eq!(api.as_deref(), Some("image:\n  tag: 1.0.2\n"));

    let mut elsewhere = plan(remote, "other", vec![edit("api.yaml", "1.0.0", "1.0.1")]);
    elsewhere.write_branch = Some("updates/web".to_owned());
    remote.push("release", "api.yaml", "image:\n  tag: 1.0.0\n").await;
    elsewhere.base = on(remote, "release");
    let refused = git.write(elsewhere).await.expect_err("one branch has one base");
    assert_eq!(refused.reason, Reason::BranchNotOurs);
}

async fn creating(git: &dyn Git, remote: &dyn Remote, now: fn() -> Timestamp) {
    let create = |path: &str| FileChange {
        path: path.to_owned(),
        document: 0,
        operations: Vec::new(),
        create: Some("image:\n  tag: 1.0.0\n".to_owned()),
    };
    let path = "new folder/ü/.argocd-source-web.yaml";
    git.write(plan(remote, "web", vec![create(path)])).await.expect("a new file");
    assert_eq!(remote.text("main", path).await.as_deref(), Some("image:\n  tag: 1.0.0\n"));
    let again = git.write(plan(remote, "web", vec![create(path)])).await.expect_err("it is there by now");
    assert!(again.changed);
    let within = git.write(plan(remote, "web", vec![create("new folder/ü/.argocd-source-web.yaml/below")])).await;
    assert!(within.is_err(), "a file is no folder: {within:?}");
    assert_eq!(remote.text("main", path).await.as_deref(), Some("image:\n  tag: 1.0.0\n"), "and stays what it is");
    let nested = ["one", "one/two"].map(|path| git.write(plan(remote, path, vec![create(path)])));
    let nested = futures::future::join_all(nested).await;
    assert_eq!(nested.iter().filter(|written| written.is_ok()).count(), 1, "not both can be files: {nested:?}");
    remote.push("main", "comments.yaml", "# only a comment\n").await;
    git.tip(&remote.repository(), now()).await.expect("a tip");
    git.write(plan(remote, "web", vec![create("comments.yaml")])).await.expect("a file without a document");
    let text = remote.text("main", "comments.yaml").await;
    assert_eq!(text.as_deref(), Some("# only a comment\nimage:\n  tag: 1.0.0\n"));
}

async fn at_once(git: &dyn Git, remote: &dyn Remote) {
    let lines = |version: &str| (0..20).fold(String::new(), |text, number| text + &format!("app{number}: {version}\n"));
    remote.push("main", "many.yaml", &lines("1.0.0")).await;
    let change = |number: usize| {
        let at = Pointer::root().key(format!("app{number}"));
        let operations =
            vec![Operation::Test(at.clone(), Node::text("1.0.0")), Operation::Replace(at, Node::text("2.0.0"))];
        let file = FileChange { path: "many.yaml".to_owned(), document: 0, operations, create: None };
        plan(remote, &format!("app{number}"), vec![file])
    };
    let written = futures::future::join_all((0..20).map(|number| git.write(change(number)))).await;
    for outcome in &written {
        assert!(outcome.as_ref().is_ok_and(|written| written.pushed), "{outcome:?}");
    }
    assert_eq!(remote.text("main", "many.yaml").await, Some(lines("2.0.0")), "no change of many at once is lost");
}

fn on(remote: &dyn Remote, branch: &str) -> GitBranch {
    GitBranch { branch: Some(branch.to_owned()), ..remote.repository() }
}

/// `image.tag` of a file, from one version to another.
fn edit(path: &str, from: &str, to: &str) -> FileChange {
    let at = Pointer::root().key("image").key("tag");
    let operations = vec![Operation::Test(at.clone(), Node::text(from)), Operation::Replace(at, Node::text(to))];
    FileChange { path: path.to_owned(), document: 0, operations, create: None }
}

fn plan(remote: &dyn Remote, application: &str, files: Vec<FileChange>) -> GitPlan {
    let to = files.iter().flat_map(|file| &file.operations).find_map(|operation| match operation {
        Operation::Replace(_, Node::Text(text)) => Some(text.clone()),
        _ => None,
    });
    let to = to.unwrap_or_else(|| "1.0.0".to_owned());
    let trailer = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    GitPlan {
        application: ApplicationId::new("argocd", application),
        policy: PolicyId::new("argocd", "policy"),
        base: remote.repository(),
        write_branch: None,
        files,
        edits: vec![Edit { image: 0, from: None, to: to.clone(), operations: Vec::new() }],
        commit: CommitPlan {
            via: remote.via(),
            message: format!("build: update of {application}\n\nto {to}\n"),
            template: None,
            facts: Facts { application: application.to_owned(), ..Facts::default() },
            trailers: vec![
                trailer("Fairlead-Policy", "argocd/policy"),
                trailer("Fairlead-Application", &format!("argocd/{application}")),
            ],
            alone: false,
            author: CommitAuthor { name: "fairlead".to_owned(), email: "fairlead@example.com".to_owned() },
            sign_off: false,
            signing: None,
        },
    }
}
