//! The demo: a registry in this process, a folder with an Application and a policy, and a story in six steps.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::adapters::clock::SystemClock;
use crate::adapters::directory::{Directory, Mode, TemporaryFolder};
use crate::adapters::embedded;
use crate::model::{Reason, Situation, Verdict};
use crate::ports::{Clock, Policies as _, Question, Registry};
use crate::select;

use super::render::{BAD, BOLD, FAINT, GOOD, PLACE, WAITING, render_change, render_report, styled};
use super::{Round, Session, registry};

/// The repository that the story is about.
const REPOSITORY: &str = "flask-app";
/// When the first image was built; the others one day after another.
const FIRST_BUILD: &str = "2026-03-02T09:00:00Z";

/// One step of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// The tag that is pushed.
    push: &'static str,
    /// What happens.
    headline: &'static str,
    /// Why it ends as it does.
    why: &'static str,
    /// What the Application holds afterwards.
    expected: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        push: "1.0.0",
        headline: "The registry holds 1.0.0, and so does the Application",
        why: "Nothing is newer, so nothing is written.",
        expected: "1.0.0",
    },
    Step {
        push: "1.0.1",
        headline: "1.0.1 is pushed",
        why: "It is within ~1.0, and built later than 1.0.0.",
        expected: "1.0.1",
    },
    Step { push: "1.0.4", headline: "1.0.4 is pushed", why: "Again the newest build within ~1.0.", expected: "1.0.4" },
    Step {
        push: "1.0.3",
        headline: "1.0.3 is pushed, a day after 1.0.4",
        why: "The strategy is NewestBuild: the build date decides, not the number.",
        expected: "1.0.3",
    },
    Step {
        push: "1.2.0",
        headline: "1.2.0 is pushed",
        why: "The newest build of all, but outside of ~1.0: not taken.",
        expected: "1.0.3",
    },
    Step {
        push: "2.0.0",
        headline: "2.0.0 is pushed",
        why: "Outside of ~1.0, too. Such a step is left for a person to take.",
        expected: "1.0.3",
    },
];

/// Why the demo came to no end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// This machine lets no registry listen on loopback.
    #[error("cannot start a registry on loopback")]
    Registry(#[source] io::Error),
    /// This machine lets no folder be written.
    #[error("cannot write a temporary folder")]
    Folder(#[source] io::Error),
    /// The folder, just written, cannot be opened.
    #[error(transparent)]
    Open(#[from] crate::adapters::directory::OpenError),
    /// There is no client for registries.
    #[error(transparent)]
    Client(#[from] crate::adapters::oci::SetUpError),
    /// The story went another way.
    #[error("after the push of `{push}` the Application should hold `{expected}`, and does not")]
    Unexpected {
        /// What was pushed.
        push: &'static str,
        /// What should have come of it.
        expected: &'static str,
    },
}

/// Tells the story, piece by piece, to `tell`. Nothing is left behind, also where the future is dropped.
///
/// # Errors
/// When something of this machine stands in the way, or a step ends in another way than told.
pub async fn run(tell: &mut (dyn FnMut(&str) + Send)) -> Result<(), DemoError> {
    let registry = embedded::Registry::start().await.map_err(DemoError::Registry)?;
    let policy = policy_text(registry.host());
    let files = [("application.yaml", APPLICATION), ("policy.yaml", policy.as_str())];
    let folder = TemporaryFolder::new(&files).map_err(DemoError::Folder)?;
    tell(&render_opening(&policy));
    let stage = Stage::new(folder.path(), registry.host())?;
    let mut session =
        Session::new(Arc::clone(&stage.directory), Mode::Write, Arc::clone(&stage.registry), Arc::clone(&stage.clock));
    for (number, step) in STEPS.iter().enumerate() {
        registry.push(REPOSITORY, step.push, &image(number));
        let round = session.round().await;
        tell(&render_step(number, step, &round));
        let held = held(&round);
        if round.failed() || held.as_deref() != Some(step.expected) {
            return Err(DemoError::Unexpected { push: step.push, expected: step.expected });
        }
    }
    let last = STEPS.last().map_or("", |step| step.expected);
    tell(&render_verdicts(&stage.verdicts().await, last));
    tell(&render_closing());
    Ok(())
}

/// What the story is played with.
struct Stage {
    directory: Arc<Directory>,
    registry: Arc<dyn Registry>,
    clock: Arc<dyn Clock>,
}

impl Stage {
    fn new(folder: &Path, host: &str) -> Result<Self, DemoError> {
        let directory = Arc::new(Directory::open(folder, Mode::Write)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = registry(vec![host.to_owned()], Arc::clone(&directory) as _, Arc::clone(&clock))?;
        Ok(Self { directory, registry, clock })
    }

    /// What the rule says of every tag that the registry holds now.
    async fn verdicts(&self) -> Vec<Verdict> {
        let policies = self.directory.list(crate::adapters::directory::DEFAULT_NAMESPACE).await;
        let Some(image) = policies.first().and_then(|policy| policy.images.first()) else { return Vec::new() };
        let now = self.clock.now();
        let question = Question {
            repository: &image.reference.repository,
            credentials: None,
            platforms: &image.rule.platforms,
            dates: true,
        };
        let Ok(listing) = self.registry.tags(&question, now).await else { return Vec::new() };
        let tags: Vec<_> = listing.candidates.iter().map(|candidate| candidate.tag.clone()).collect();
        let mut listing = (*listing).clone();
        if let Ok(detailed) = self.registry.details(&question, &tags, now).await {
            listing.candidates = detailed;
        }
        let situation = Situation { now, current: None, taken_back: None, closed: None };
        select::verdicts(&image.rule, &listing, &situation)
    }
}

/// The image of a step, each built a day after the one before.
fn image(number: usize) -> embedded::Image {
    let first: Timestamp = FIRST_BUILD.parse().expect("the constant is a time");
    let days = i64::try_from(number).unwrap_or_default();
    let created = first.checked_add(SignedDuration::from_hours(24 * days)).ok();
    embedded::Image { created, ..embedded::Image::default() }
}

/// What the Application holds, as the report says.
fn held(round: &Round) -> Option<String> {
    let image = round.reports.first()?.images.first()?;
    image.current.clone()
}

const APPLICATION: &str = "\
# The demo's Application. Comments, quotes and blank lines stay as they are.
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: flask-app
  namespace: argocd
spec:
  project: default
  source:
    repoURL: https://git.example/deployments.git
    path: charts/flask-app
    targetRevision: main

    helm:
      parameters:
        - name: replicaCount
          value: '2'
        # kept up to date by Fairlead
        - name: image.tag
          value: 1.0.0   # the running version
          forceString: true
  destination:
    server: https://kubernetes.default.svc
    namespace: flask
";

fn policy_text(host: &str) -> String {
    format!(
        "apiVersion: fairlead.dev/v1alpha1
kind: ImageUpdatePolicy
metadata:
  name: flask-app
  namespace: argocd
spec:
  applications:
    - name: flask-app
  images:
    - alias: flask
      image: {host}/{REPOSITORY}
      strategy: NewestBuild
      constraint: \"~1.0\"
      target:
        helm:
          tag: image.tag
"
    )
}

fn render_opening(policy: &str) -> String {
    let lines: Vec<_> = policy.lines().map(|line| format!("    {}", styled(FAINT, line))).collect();
    let lines = lines.join("\n");
    format!(
        "{}\n\nA small registry listens on loopback, and a folder holds an Argo CD Application and this policy:\n\n{lines}\n\n",
        styled(BOLD, "Fairlead keeps the container images of Argo CD Applications up to date.")
    )
}

/// A headline, why it ends as it does, the report, and the diff.
fn render_step(number: usize, step: &Step, round: &Round) -> String {
    let mut text = format!("{}\n{}\n", styled(PLACE.bold(), &format!("{}. {}", number + 1, step.headline)), step.why);
    for report in &round.reports {
        text.push_str(&render_report(report));
    }
    for change in &round.changes {
        text.push_str(&render_change(change));
    }
    text.push('\n');
    text
}

/// A line a tag: what the rule says of it.
fn render_verdicts(verdicts: &[Verdict], chosen: &str) -> String {
    let mut text =
        format!("{}\n", styled(PLACE.bold(), &format!("Why {chosen}, and why not 2.0.0? Every tag has its verdict")));
    let width = |texts: Vec<usize>| texts.into_iter().max().unwrap_or_default();
    let tags = width(verdicts.iter().map(|verdict| verdict.tag.as_str().len()).collect());
    let reasons = width(verdicts.iter().map(|verdict| verdict.reason.as_str().len()).collect());
    for Verdict { tag, reason, message } in verdicts {
        let style = match reason {
            Reason::Chosen => GOOD.bold(),
            Reason::Outranked => FAINT,
            Reason::OutsideConstraint => WAITING,
            _ => BAD,
        };
        let word = styled(style, &format!("{:reasons$}", reason.as_str()));
        writeln!(text, "  {:tags$}  {word}  {message}", tag.as_str()).expect("writing into a string never fails");
    }
    text.push('\n');
    text
}

fn render_closing() -> String {
    format!(
        "{}\nThe registry and the folder are gone again. On your own manifests, and without changing a byte:\n\n    {}\n",
        styled(BOLD, "That is all."),
        styled(GOOD, "fairlead reconcile --manifests DIR --once --dry-run")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::directory::Change;
    use crate::api::ImageUpdatePolicy;
    use crate::lower;
    use crate::model::{ApplicationId, ImageReport, PolicyId, Report};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_opening_shows_the_policy_and_the_closing_the_next_command() {
        insta::assert_snapshot!(plain(&render_opening(&policy_text("127.0.0.1:5000"))), @r#"
        Fairlead keeps the container images of Argo CD Applications up to date.

        A small registry listens on loopback, and a folder holds an Argo CD Application and this policy:

            apiVersion: fairlead.dev/v1alpha1
            kind: ImageUpdatePolicy
            metadata:
              name: flask-app
              namespace: argocd
            spec:
              applications:
                - name: flask-app
              images:
                - alias: flask
                  image: 127.0.0.1:5000/flask-app
                  strategy: NewestBuild
                  constraint: "~1.0"
                  target:
                    helm:
                      tag: image.tag
        "#);
        insta::assert_snapshot!(plain(&render_closing()), @r#"
        That is all.
        The registry and the folder are gone again. On your own manifests, and without changing a byte:

            fairlead reconcile --manifests DIR --once --dry-run
        "#);
    }

    #[test]
    fn the_policy_of_the_demo_has_no_problems() {
        let policy: ImageUpdatePolicy = serde_saphyr::from_str(&policy_text("127.0.0.1:5000")).expect("a policy");
        let lowered = lower::policy(&policy);
        assert!(lowered.policy.is_some());
        assert_eq!(lowered.problems, vec![]);
    }

    #[test]
    fn each_image_is_built_after_the_one_before() {
        let built: Vec<_> = (0..STEPS.len()).map(|number| image(number).created).collect();
        assert!(built.is_sorted() && built.iter().all(Option::is_some));
    }

    #[test]
    fn a_step_tells_what_happened_why_and_how_the_file_changed() {
        let image = ImageReport {
            current: Some("1.0.3".to_owned()),
            previous: Some("1.0.4".to_owned()),
            chosen: Some("1.0.3".to_owned()),
            reason: Reason::Updated,
            message: "1.0.3 is the newest build".to_owned(),
            ..ImageReport::new(ApplicationId::new("argocd", "flask-app"), "flask", "127.0.0.1:5000/flask-app")
        };
        let report = Report {
            policy: PolicyId::new("argocd", "flask-app"),
            generation: 1,
            checked_at: Timestamp::UNIX_EPOCH,
            next_check: Timestamp::UNIX_EPOCH,
            problems: vec![],
            applications: 1,
            images: vec![image],
            memory: crate::model::Memory::default(),
        };
        let change = Change {
            file: "application.yaml".to_owned(),
            before: APPLICATION.replace("1.0.0", "1.0.4"),
            after: APPLICATION.replace("1.0.0", "1.0.3"),
        };
        let round = Round { reports: vec![report], problems: vec![], notes: vec![], changes: vec![change] };
        insta::assert_snapshot!(plain(&render_step(3, &STEPS[3], &round)), @r#"
        4. 1.0.3 is pushed, a day after 1.0.4
        The strategy is NewestBuild: the build date decides, not the number.
        argocd/flask-app  1 Application, 1 image
          flask-app  flask  1.0.4 → 1.0.3  Updated  1.0.3 is the newest build
        --- a/application.yaml
        +++ b/application.yaml
        @@ -17,7 +17,7 @@
                   value: '2'
                 # kept up to date by Fairlead
                 - name: image.tag
        -          value: 1.0.4   # the running version
        +          value: 1.0.3   # the running version
                   forceString: true
           destination:
             server: https://kubernetes.default.svc
        "#);
    }

    #[test]
    fn every_tag_has_a_line_with_its_verdict() {
        let verdict = |tag: &str, reason, message: &str| Verdict {
            tag: tag.parse().expect("a tag"),
            reason,
            message: message.to_owned(),
        };
        let verdicts = [
            verdict("1.0.3", Reason::Chosen, "built 2026-03-05"),
            verdict("1.0.4", Reason::Outranked, "built 2026-03-04"),
            verdict("2.0.0", Reason::OutsideConstraint, "2.0.0 is outside of `~1.0`"),
        ];
        insta::assert_snapshot!(plain(&render_verdicts(&verdicts, "1.0.3")), @r#"
        Why 1.0.3, and why not 2.0.0? Every tag has its verdict
          1.0.3  Chosen             built 2026-03-05
          1.0.4  Outranked          built 2026-03-04
          2.0.0  OutsideConstraint  2.0.0 is outside of `~1.0`
        "#);
    }
}
