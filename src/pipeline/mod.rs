//! The spine: discover → select → write → report. Both the controller and the folder mode call [`reconcile`].
//!
//! Decisions are pure (`discover`, `place`, `keys` and its stores, `kustomize`, `status`, `events`); the only asynchronous places are the
//! asking of a registry (`choose`), the writing (`write`) and the spine.

mod ask;
mod choose;
mod discover;
mod events;
mod explain;
pub mod generated;
pub mod git;
mod guard;
mod helm;
mod inline;
mod keys;
mod kustomize;
mod memory;
mod place;
mod plugin;
pub mod pull_request;
mod rollout;
mod spot;
mod shadow;
mod status;
mod undone;
mod values;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{self, BoxFuture};
use futures::stream;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;

pub use crate::model::Memory;
pub use events::{Event, EventObject, events};
pub use explain::{Explanation, ImageExplanation, explain};
pub use memory::memory_of;
pub use status::{ready, remembered, same_but_time, status};

use crate::lower::Lowered;
use crate::model::{Closed, ImageReport, Policy, Problem, Reason, Report};
use crate::ports::{Inventory, Ports, RegistryError};
use crate::select;
use choose::Offer;
use discover::{Discovered, Elsewhere};
use git::snapshot::Snapshot;
use write::Desk;

/// Registries asked, and Applications written, at once for one policy.
const CONCURRENCY: usize = 8;

type Offers<'a> = Vec<Option<Result<Offer<'a>, RegistryError>>>;

/// Looks at one policy: finds its images, picks their versions, writes what moves, and says what happened.
///
/// # Flow
/// 1. *discover*: Applications, places, present versions; pure.
/// 2. *select*: one question an image to its registry, then a pure decision an Application.
/// 3. *write*: one narrow change an Application, again from its fresh state when it changed meanwhile.
/// 4. *report*: one entry an Application and image, and the problems of the whole.
///
/// # Guarantees
/// It never fails as a whole: what failed for one image stands in the report, and the others went on. Tag lists are no older
/// than `fresh_since`.
pub async fn reconcile(ports: Ports<'_>, lowered: &Lowered, memory: &Memory, fresh_since: Timestamp) -> Report {
    let now = ports.clock.now();
    let mut report = blank(lowered, memory, now);
    let Some(policy) = &lowered.policy else { return report };
    let inventory = match ports.applications.list(&policy.id.namespace).await {
        Ok(inventory) => inventory,
        Err(error) => {
            report.problems.push(Problem::new(Reason::SourceUnavailable, error.to_string()));
            return report;
        }
    };
    let others = ports.policies.list(&policy.id.namespace).await;
    let elsewhere = elsewhere(ports, policy).await;
    let snapshot = read_git(ports, policy, &others, &inventory, &elsewhere, now).await;
    let found = discover::discover(policy, &inventory, &others, &elsewhere, &snapshot);
    let offers = select_offers(ports, policy, &found, memory, fresh_since, now).await;
    report.applications = found.applications.len();
    report.problems.extend(problems_of(policy, &found, &inventory));
    let older: Vec<&Policy> =
        others.iter().map(Arc::as_ref).filter(|other| other.id != policy.id && other.goes_before(policy)).collect();
    let (sets, offers_of_all) = (&inventory.sets, offers.as_slice());
    let desk = Desk { ports, policy, older: &older, sets, offers: offers_of_all, memory, snapshot: &snapshot, now };
    report.images = write_all(desk, found).await;
    report.memory = memory::after(memory, policy, &report.images, |name| inventory.names().any(|known| known == name));
    if lowered.problems.is_empty() {
        memory::keep_watches(&mut report.memory, policy);
    }
    for (image, offer) in policy.images.iter().zip(&offers) {
        let Some(Ok(offer)) = offer else { continue };
        let key = (image.title.clone(), image.reference.repository.to_string());
        report.memory.watches.extend(offer.watch().await.map(|watch| (key, watch)));
    }
    report
}

/// A report that says nothing yet, and forgets nothing.
fn blank(lowered: &Lowered, memory: &Memory, now: Timestamp) -> Report {
    Report {
        policy: lowered.id.clone(),
        generation: lowered.generation,
        checked_at: now,
        next_check: now.checked_add(lowered.interval()).unwrap_or(Timestamp::MAX),
        problems: lowered.problems.clone(),
        applications: 0,
        images: Vec::new(),
        memory: memory.clone(),
    }
}

/// What the registries offer for each image that some Application uses. A suspended policy asks for nothing.
async fn select_offers<'a>(
    ports: Ports<'_>,
    policy: &'a Policy,
    found: &Discovered,
    memory: &Memory,
    fresh_since: Timestamp,
    now: Timestamp,
) -> Offers<'a> {
    let closed: Option<Closed> = policy.schedule.as_ref().and_then(|schedule| select::closed(schedule, now));
    let used = |position: usize| !policy.suspended && found.uses(position);
    // Boxed: the compiler cannot see that the bare futures may move between threads.
    let fetch: Vec<BoxFuture<'_, Option<Result<Offer<'a>, RegistryError>>>> = policy
        .images
        .iter()
        .enumerate()
        .map(|(position, image)| {
            if used(position) {
                Offer::fetch(ports, image, memory, fresh_since, now, closed.clone()).map(Some).boxed()
            } else {
                future::ready(None).boxed()
            }
        })
        .collect();
    stream::iter(fetch).buffered(CONCURRENCY).collect().await
}

/// The policies of other namespaces that may write the files that this one writes, and go before it. A namespace whose Applications
/// cannot be read writes nothing, either.
async fn elsewhere(ports: Ports<'_>, policy: &Policy) -> Elsewhere {
    if policy.write_back.git().is_none() {
        return Elsewhere::default();
    }
    let mut policies = ports.policies.all().await;
    let stranger = |other: &Policy| other.id.namespace != policy.id.namespace && !other.suspended;
    policies.retain(|other| stranger(other) && other.write_back.git().is_some() && other.goes_before(policy));
    let namespaces: BTreeSet<&String> = policies.iter().map(|other| &other.id.namespace).collect();
    let inventories =
        future::join_all(namespaces.into_iter().map(|namespace| ports.applications.list(namespace))).await;
    let applications = inventories.into_iter().flatten().flat_map(|inventory| inventory.applications).collect();
    Elsewhere { policies, applications }
}

/// What stands in the files of Git that this policy, and those that go before it, are written to.
async fn read_git(
    ports: Ports<'_>,
    policy: &Policy,
    others: &[Arc<Policy>],
    inventory: &Inventory,
    elsewhere: &Elsewhere,
    now: Timestamp,
) -> Snapshot {
    let older = others.iter().map(Arc::as_ref).filter(|other| other.id != policy.id && other.goes_before(policy));
    let policies: Vec<&Policy> = std::iter::once(policy).chain(older).collect();
    let strangers: Vec<&Policy> = elsewhere.policies.iter().map(Arc::as_ref).collect();
    let applications = (inventory.applications.as_slice(), elsewhere.applications.as_slice());
    Snapshot::read(ports.git, (&policies, applications.0), (&strangers, applications.1), now).await
}

async fn write_all(desk: Desk<'_>, found: Discovered) -> Vec<ImageReport> {
    if let Some(git) = desk.policy.write_back.git().filter(|git| git.write_branch.is_some()) {
        return desk.propose(git, found.applications).await;
    }
    if let Some(git) = desk.ports.git {
        // What it may have had on branches of our own, before it was changed, is wanted no more.
        git.stand(&desk.policy.id, &[], Vec::new());
    }
    // Git gathers what comes together, so all must come; an API server is spared.
    let at_once = if desk.policy.write_back.git().is_some() { found.applications.len().max(1) } else { CONCURRENCY };
    let write: Vec<BoxFuture<'_, Vec<ImageReport>>> =
        found.applications.into_iter().map(|finding| desk.write(finding).boxed()).collect();
    let mut images: Vec<ImageReport> =
        stream::iter(write).buffered(at_once).map(stream::iter).flatten().collect().await;
    images.sort_by(|one, other| (&one.application, &one.image).cmp(&(&other.application, &other.image)));
    images
}

/// What is wrong with the policy as a whole: it matches nothing, or names an image that nothing uses.
fn problems_of(policy: &Policy, found: &Discovered, inventory: &Inventory) -> Vec<Problem> {
    let mut problems = found.problems.clone();
    if found.applications.is_empty() && problems.is_empty() {
        let there = inventory.applications.len();
        let there = if there == 1 { "1 is".to_owned() } else { format!("{there} are") };
        let message = format!("no Application in namespace `{}` matches; {there} there", policy.id.namespace);
        let hint = "names and labels must fit, and a policy acts on Applications of its own namespace only";
        problems.push(Problem::new(Reason::NoApplicationMatched, message).at("spec.applications").hint(hint));
        return problems;
    }
    if policy.suspended {
        problems.push(
            Problem::new(Reason::Suspended, "the policy is suspended: nothing is asked and nothing is written")
                .at("spec.suspend"),
        );
    }
    for (position, image) in policy.images.iter().enumerate() {
        let unused = found.unused(position);
        if let Some(one) = unused.filter(|_| !found.applications.is_empty()) {
            let message = format!(
                "nothing shows that any of the {} matching Applications uses `{}`",
                found.applications.len(),
                image.reference.repository
            );
            let message = if found.applications.len() == 1 { one.message.clone() } else { message };
            let problem = Problem { message, ..one.clone() };
            problems.push(problem);
        }
    }
    problems
}
