//! One key of one file that several Applications are written to. Two images there would overwrite each other for ever.

use std::collections::BTreeMap;

use super::{Finding, Use, used};
use crate::model::{Image, Policy, Problem, Reason};
use crate::pipeline::git::snapshot::Snapshot;
use crate::pipeline::place::Claim;
use crate::ports::Inventory;

/// Refuses images that other Applications' images, of this policy or of an older one, are written over.
pub(super) fn refuse(
    policy: &Policy,
    findings: &mut [Finding],
    older: &[&Policy],
    inventory: &Inventory,
    snapshot: &Snapshot,
) {
    if policy.write_back.git().is_none() {
        return;
    }
    let theirs = claims_of_older(older, inventory, snapshot);
    let mut ours: BTreeMap<String, Vec<(Claim, usize)>> = BTreeMap::new();
    for found in findings.iter().flat_map(|finding| &finding.images) {
        let claims = found.place.iter().flat_map(|used| shared_claims(used, &policy.images[found.image]));
        for claim in claims {
            ours.entry(claim.place.clone()).or_default().push((claim, found.image));
        }
    }
    for found in findings.iter_mut().flat_map(|finding| &mut finding.images) {
        let Ok(used) = &found.place else { continue };
        let image = &policy.images[found.image];
        let place = format!("spec.images[{}]", image.index);
        let problem = shared_claims(used, image).iter().find_map(|claim| {
            if let Some((_, owner)) = theirs.iter().find(|(other, _)| other.clashes(claim)) {
                let message = format!("the older policy `{owner}` already writes `{}`", claim.place);
                return Some(
                    Problem::new(Reason::Conflict, message).hint("leave the image to one of the two policies"),
                );
            }
            let others = ours.get(&claim.place)?.iter();
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

/// What the image writes where others may write, too.
fn shared_claims(used: &Use, image: &Image) -> Vec<Claim> {
    let shared = used.spot.file().is_some_and(super::super::git::file::FilePlace::is_shared);
    if shared { used.claims(image) } else { Vec::new() }
}

fn claims_of_older(older: &[&Policy], inventory: &Inventory, snapshot: &Snapshot) -> Vec<(Claim, String)> {
    let mut claims = Vec::new();
    for policy in older.iter().filter(|policy| policy.write_back.git().is_some()) {
        let matching = inventory.applications.iter().filter(|found| policy.matches(&found.id, &found.labels));
        for application in matching {
            for image in &policy.images {
                let Ok(used) = used(policy, image, application, snapshot) else { continue };
                claims.extend(shared_claims(&used, image).into_iter().map(|claim| (claim, policy.id.name.clone())));
            }
        }
    }
    claims
}
