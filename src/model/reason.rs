//! The closed list of words for everything that happens.

use std::fmt;

/// How much a person has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// All is as wished.
    Fine,
    /// A better version exists and is not taken, for a stated reason.
    Waiting,
    /// Something failed that may heal by itself; it is tried again.
    Failing,
    /// A person must change something.
    Stalled,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $severity:ident,)+) => {
        /// One word for one thing that happens; conditions, events, metrics and verdicts use it alike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word, in the form that conditions, events and metric labels carry.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means, one sentence for people.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// How much a person has to do about it.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

reasons! {
    // What became of an image.
    /// The destination holds the version that the rule picks.
    UpToDate = Fine,
    /// A new version was written.
    Updated = Fine,
    /// A new version would be written, but the policy is a dry run.
    WouldUpdate = Waiting,

    // Why an image does not move although it could.
    /// A person took this version back; it is held until something newer appears.
    RolledBackByHand = Waiting,
    /// The best version is younger than the minimum age.
    TooYoung = Waiting,
    /// Now is outside of the policy's schedule windows.
    OutsideWindow = Waiting,
    /// The policy is suspended.
    Suspended = Waiting,
    /// A policy written by hand keeps the image up to date, so the one that is generated from annotations leaves it alone.
    Superseded = Waiting,
    /// argocd-image-updater still writes the Application; `fairlead.dev/take-over: "true"` lets Fairlead write it.
    AnotherUpdaterWrites = Waiting,
    /// The choice is lower than what the destination holds, and `allowDowngrade` is off.
    WouldGoBackwards = Waiting,

    /// The new version is committed to a branch of its own and waits to be merged.
    AwaitingMerge = Waiting,

    // Why there is no choice.
    /// No tag passes the rule.
    NoTagAllowed = Stalled,
    /// The repository has no tags.
    NoTags = Stalled,
    /// The list of candidates is not complete, so nothing is decided.
    IncompleteList = Failing,

    // What is wrong in a user's text.
    /// The object cannot be read.
    UnreadableObject = Stalled,
    /// The image is not an image reference, or has no name.
    InvalidImage = Stalled,
    /// The strategy is unknown.
    InvalidStrategy = Stalled,
    /// The version constraint cannot be read.
    InvalidConstraint = Stalled,
    /// A tag pattern cannot be read.
    InvalidPattern = Stalled,
    /// A platform cannot be read.
    InvalidPlatform = Stalled,
    /// A duration cannot be read.
    InvalidDuration = Stalled,
    /// The administrator's configuration of registries cannot be read.
    InvalidConfiguration = Stalled,
    /// A schedule window cannot be read.
    InvalidSchedule = Stalled,
    /// The selection of Applications cannot be read.
    InvalidSelector = Stalled,
    /// The target is not a place that can be written.
    InvalidTarget = Stalled,
    /// The source of credentials cannot be read, or belongs to the administrator.
    InvalidCredentials = Stalled,
    /// A template cannot be read, or asks for a field that does not exist.
    InvalidTemplate = Stalled,
    /// Two images of the policy have one alias.
    DuplicateAlias = Stalled,
    /// A field asks for something that this version cannot do.
    NotSupportedYet = Stalled,
    /// A text is read as one of its two possible meanings; the exact form says which.
    AmbiguousText = Fine,
    /// A text of argocd-image-updater, in an annotation or a resource of its own, is none that may stand there.
    InvalidSetting = Stalled,
    /// Nothing reads a setting: its key is unknown, no image has its alias, or another one takes its place.
    UnreadSetting = Fine,
    /// An older name or form is understood; the message tells today's.
    OldSpelling = Fine,

    // Applications.
    /// No Application matches the policy.
    NoApplicationMatched = Stalled,
    /// The Application is being deleted and is left alone.
    ApplicationDeleting = Waiting,
    /// Nothing shows that any matching Application uses the image.
    ImageNotUsed = Stalled,
    /// The Application was deleted meanwhile.
    ApplicationGone = Failing,
    /// The Application carries `argocd.argoproj.io/skip-reconcile`, or is another Argo CD's, and is left alone.
    ApplicationSkipped = Waiting,
    /// The ApplicationSet that made the Application would set the change back.
    OwnedByApplicationSet = Stalled,
    /// The Application's source has a type that cannot be written.
    UnsupportedSourceType = Stalled,
    /// More than one source of the Application fits.
    AmbiguousSource = Stalled,
    /// Two images of one policy are written to one place.
    TargetClaimedTwice = Stalled,
    /// An older policy writes the same place.
    Conflict = Stalled,
    /// Every name for the policy that the annotations ask for is taken by policies that people wrote.
    PolicyNameTaken = Stalled,

    // Registries.
    /// The registry cannot be reached.
    RegistryUnreachable = Failing,
    /// The registry did not answer in time.
    RegistryTimeout = Failing,
    /// The registry refuses the credentials, or asks for some.
    RegistryDenied = Stalled,
    /// The repository or tag does not exist, or the credentials do not show it.
    RepositoryNotFound = Stalled,
    /// The registry asks to wait.
    RateLimited = Failing,
    /// The registry answers with an error of its own.
    RegistryFailed = Failing,
    /// The registry's answer cannot be read.
    UnreadableAnswer = Failing,
    /// No trusted TLS connection to the registry can be made.
    TlsFailed = Stalled,
    /// The credentials cannot be read.
    CredentialsUnavailable = Stalled,

    // Writing.
    /// The destination changed again and again while it was written; tried again later.
    WriteConflict = Failing,
    /// The right to write is missing, or the Argo CD project does not permit the repository.
    WriteDenied = Stalled,
    /// The destination refuses the change.
    WriteRejected = Stalled,
    /// The destination cannot be reached.
    WriteFailed = Failing,
    /// The change cannot be made without touching other bytes of the file.
    CannotEditLosslessly = Stalled,
    /// The Kubernetes API server, or the folder, cannot be read.
    SourceUnavailable = Failing,

    // Git.
    /// The Git server cannot be reached.
    GitUnreachable = Failing,
    /// The Git server did not answer in time.
    GitTimeout = Failing,
    /// The Git server refuses the credentials, or asks for some.
    GitDenied = Stalled,
    /// The Git server's certificate or host key is not trusted.
    GitNotTrusted = Stalled,
    /// The repository does not exist, or the credentials do not show it.
    GitRepositoryNotFound = Stalled,
    /// The branch does not exist.
    GitBranchNotFound = Stalled,
    /// The Git server takes no push to the branch: it is protected, or a hook refuses.
    GitPushRejected = Stalled,
    /// Git failed in another way.
    GitFailed = Failing,
    /// The branch that would be written holds commits that are not Fairlead's.
    BranchNotOurs = Stalled,
    /// The commit cannot be signed.
    SigningFailed = Stalled,
    /// The Argo CD project takes signed commits only, and the policy does not sign as Argo CD verifies it.
    SignatureDemanded = Stalled,
    /// The file that would be changed is not in the repository.
    FileNotFound = Stalled,
    // After the write.
    /// The version was written, and its sync failed or the Application is Degraded.
    RolloutDegraded = Failing,
    /// The version was written, and the Application is still not Synced and Healthy after half an hour.
    RolloutStuck = Failing,
    /// More than one file of the repository could be the one to change.
    AmbiguousFile = Stalled,
    /// The file holds something that is no place for a version, or cannot be read.
    UnusableFile = Stalled,
    /// Git is not set up here, so nothing can be read from it or written to it.
    GitNotSetUp = Stalled,

    // Pull requests.
    /// The change waits in an open pull request.
    PullRequestOpen = Waiting,
    /// A person closed the pull request of this change; nothing is offered until something newer appears.
    PullRequestClosed = Waiting,
    /// The forge cannot be reached, or does not answer in time.
    ForgeUnreachable = Failing,
    /// The forge refuses the token, or shows no such repository to it.
    ForgeDenied = Stalled,
    /// The forge asks to wait.
    ForgeRateLimited = Failing,
    /// The forge refuses the pull request as it is.
    ForgeRejected = Stalled,
    /// The forge answers with an error of its own, or with something that cannot be read.
    ForgeFailed = Failing,

    // Why a candidate won or lost.
    /// The rule's choice.
    Chosen = Fine,
    /// Allowed, but another candidate goes first: higher, or built later.
    Outranked = Fine,
    /// Left out by `allowTags`.
    NotAllowed = Fine,
    /// Left out by `ignoreTags`.
    Ignored = Fine,
    /// The text is not a version under the strategy.
    NotAVersion = Fine,
    /// The version is outside of the constraint.
    OutsideConstraint = Fine,
    /// A pre-release, which the constraint does not ask for.
    PreRelease = Fine,
    /// Not the tag that the digest strategy follows.
    NotTheFollowedTag = Fine,
    /// Built for none of the wanted platforms.
    WrongPlatform = Fine,
    /// The image states no build date.
    NoBuildDate = Fine,
    /// The tag holds no runnable image.
    NotAnImage = Fine,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
