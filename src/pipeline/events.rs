//! Report → events. An event tells of a change or of a new problem, never of a look.

use super::status::{Ready, ready};
use crate::api::ImageUpdatePolicyStatus;
use crate::model::{ApplicationId, ImageReport, Reason, Report, Severity, State};

/// Something to tell people who look at an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The object it is told on.
    pub object: EventObject,
    /// Whether it is bad news.
    pub warning: bool,
    /// The word for it.
    pub reason: Reason,
    /// One sentence.
    pub note: String,
}

/// The object that an event is told on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventObject {
    /// The policy itself.
    Policy,
    /// One of its Applications.
    Application(ApplicationId),
}

/// The events of a look: one on the Application and one on the policy for each version written, each new hold and each rollout that goes wrong, and one on the policy when
/// it stops or starts being ready, or is not ready for another reason.
pub fn events(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) -> Vec<Event> {
    let mut events = Vec::new();
    let news = report.images.iter().filter(|image| image.state() == State::Updated || is_new_hold(image, previous));
    for image in news {
        let warning = image.state() != State::Updated;
        let note = format!("{}: {}", image.image, image.message);
        let object = EventObject::Application(image.application.clone());
        events.push(Event { object, warning, reason: image.reason, note });
        let note = format!("{} of {}: {}", image.image, image.application.name, image.message);
        events.push(Event { object: EventObject::Policy, warning, reason: image.reason, note });
    }
    events.extend(turn(report, previous));
    events
}

fn is_new_hold(image: &ImageReport, previous: Option<&ImageUpdatePolicyStatus>) -> bool {
    let before = previous.into_iter().flat_map(|status| &status.images);
    let mut before =
        before.filter(|before| before.application == image.application.name && before.alias == image.image);
    let told = |reason: Reason| {
        use Reason::{
            AnotherUpdaterWrites, AwaitingMerge, PullRequestClosed, PullRequestOpen, RolledBackByHand, RolloutDegraded,
            RolloutStuck, Superseded, WouldGoBackwards,
        };
        let requested = matches!(reason, AwaitingMerge | PullRequestOpen | PullRequestClosed);
        let holds = matches!(reason, RolledBackByHand | WouldGoBackwards);
        requested || holds || matches!(reason, RolloutDegraded | RolloutStuck | Superseded | AnotherUpdaterWrites)
    };
    told(image.reason) && !before.any(|before| before.reason == image.reason.as_str() && before.chosen == image.chosen)
}

fn turn(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) -> Option<Event> {
    let Ready { severity, reason, message } = ready(report);
    let before =
        previous.into_iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == "Ready");
    let bad = severity >= Severity::Failing;
    let was_bad = before.is_some_and(|before| before.status == "False");
    let same = before.is_some_and(|before| before.reason == reason.as_str());
    match (bad, was_bad) {
        (true, true) if same => None,
        (true, _) => Some(Event { object: EventObject::Policy, warning: true, reason, note: message }),
        (false, true) => {
            Some(Event { object: EventObject::Policy, warning: false, reason, note: format!("ready again: {message}") })
        }
        (false, false) => None,
    }
}
