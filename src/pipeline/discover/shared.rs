//! One key of one file that several Applications are written to. Two images there would overwrite each other for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Elsewhere, Finding, Use, used};
use crate::model::{Application, Image, Policy, Problem, Reason};
use crate::pipeline::git::file::FilePlace;
use crate::pipeline::git::snapshot::Snapshot;
use crate::pipeline::place::Claim;
use crate::ports::Inventory;

/// What a policy writes to files, by the place that is compared: the claim, and the policy.
type Claimed<'a> = BTreeMap<String, Vec<(Claim, &'a Policy)>>;

/// Refuses images that other Applications' images, of this policy or of one that goes before it, are written over.
pub(super) fn refuse(policy: &Policy, findings: &mut [Finding], theirs: &Claimed<'_>) {
    if policy.write_back.git().is_none() {
        return;
    }
    let mut ours: BTreeMap<String, Vec<(Claim, usize)>> = BTreeMap::new();
    for found in findings.iter().flat_map(|finding| &finding.images) {
        let claims = found.place.iter().flat_map(|used| claims(used, &policy.images[found.image]));
        for claim in claims {
            ours.entry(claim.at.clone()).or_default().push((claim, found.image));
        }
    }
    for found in findings.iter_mut().flat_map(|finding| &mut finding.images) {
        let Ok(used) = &found.place else { continue };
        let image = &policy.images[found.image];
        let place = format!("spec.images[{}]", image.index);
        let problem = claims(used, image).iter().find_map(|claim| {
            if let Some(owner) = owner(theirs, claim) {
                let same = owner.id.namespace == policy.id.namespace;
                let owner = if same { owner.id.name.clone() } else { owner.id.to_string() };
                let message = format!("the older policy `{owner}` already writes `{}`", claim.place);
                return Some(
                    Problem::new(Reason::Conflict, message).hint("leave the image to one of the two policies"),
                );
            }
            let others = ours.get(&claim.at)?.iter();
            let mut others = others.filter(|(other, index)| *index != found.image && other.clashes(claim));
            let (_, other) = others.next()?;
            let other = policy.images[*other].index;
            let message = format!("spec.images[{other}] of another Application is written to `{}`, too", claim.place);
            Some(Problem::new(Reason::TargetClaimedTwice, message).hint("give each a key of its own"))
        });
        if let Some(problem) = problem {
            found.place = Err(problem.at(place));
        }
    }
}

fn owner<'a>(theirs: &Claimed<'a>, claim: &Claim) -> Option<&'a Policy> {
    let there = theirs.get(&claim.at)?;
    there.iter().find(|(other, _)| other.clashes(claim)).map(|(_, owner)| *owner)
}

/// What the image writes where others may write, too.
fn claims(used: &Use, image: &Image) -> Vec<Claim> {
    used.spot.file().map(|file| FilePlace::shared_claims(file, image)).unwrap_or_default()
}

/// What the policies that go before one write to files: those of its namespace, and those of others.
pub(super) fn claimed<'a>(
    older: &[&'a Policy],
    inventory: &Inventory,
    elsewhere: &'a Elsewhere,
    snapshot: &Snapshot,
) -> Claimed<'a> {
    let mut all = Claimed::new();
    let here = older.iter().map(|policy| (*policy, inventory.applications.as_slice()));
    let there = elsewhere.policies.iter().map(|policy| (policy.as_ref(), elsewhere.applications.as_slice()));
    for (policy, applications) in here.chain(there).filter(|(policy, _)| policy.write_back.git().is_some()) {
        for claim in claims_of(policy, applications, snapshot) {
            all.entry(claim.at.clone()).or_default().push((claim, policy));
        }
    }
    all
}

fn claims_of(policy: &Policy, applications: &[Arc<Application>], snapshot: &Snapshot) -> Vec<Claim> {
    let matching = applications.iter().filter(|found| policy.matches(&found.id, &found.labels));
    let uses = matching.flat_map(|application| policy.images.iter().map(move |image| (application, image)));
    let claims = uses.filter_map(|(application, image)| {
        used(policy, image, application, snapshot).ok().map(|used| claims(&used, image))
    });
    claims.flatten().collect()
}
