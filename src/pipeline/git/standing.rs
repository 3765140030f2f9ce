//! What stands on branches of our own. Such a branch is made anew from its base, so whoever makes it has to know the changes of all who share it.

use std::collections::BTreeMap;

use super::destination::same_repository;
use crate::model::{ApplicationId, GitPlan, PolicyId, Reason};
use crate::ports::GitError;

/// The plans that stand on branches of our own, as far as this process knows. One policy and Application has one plan a branch.
///
/// After a restart it knows nothing: a branch may lack somebody's change then until that policy is looked at, which writes it again.
#[derive(Debug, Default)]
pub struct Standing {
    plans: BTreeMap<(PolicyId, ApplicationId, String), GitPlan>,
}

impl Standing {
    /// Whether `plan` may be written: a branch of our own is made from one base in one way.
    ///
    /// # Errors
    /// `BranchNotOurs` where it is made for somebody else from another base, or in another way, so that the two would write over each other for ever.
    pub fn check(&self, plan: &GitPlan) -> Result<(), GitError> {
        let own = |other: &GitPlan| other.policy == plan.policy && other.application == plan.application;
        let clash =
            self.plans.values().find(|other| !own(other) && same_branch(other, plan) && !same_origin(other, plan));
        let Some(other) = clash else { return Ok(()) };
        let name = plan.write_branch.as_deref().unwrap_or_default();
        if same_base(other, plan) {
            let message = format!(
                "the commits of `{name}` are made by {} for the policy `{}` and the Application `{}`, and cannot be made by {} as well; give both policies the same `commit.via`, or name a branch for each",
                other.commit.via, other.policy, other.application, plan.commit.via
            );
            return Err(GitError::new(Reason::BranchNotOurs, message));
        }
        let message = format!(
            "`{name}` is made from `{}` for the policy `{}` and the Application `{}`, and cannot be made from `{}` as well; name a branch for each with `{{{{ .TargetKey }}}}`",
            other.base, other.policy, other.application, plan.base
        );
        Err(GitError::new(Reason::BranchNotOurs, message))
    }

    /// A plan is to stand from now on, where it has a branch of our own; gives the one that stood in its place.
    pub fn put(&mut self, plan: GitPlan) -> Option<GitPlan> {
        let key = key(&plan)?;
        self.plans.insert(key, plan)
    }

    /// A plan could not be written; what stood before in its place stands again, unless something else does by now.
    pub fn take_back(&mut self, plan: &GitPlan, before: Option<GitPlan>) {
        let Some(key) = key(plan).filter(|key| self.plans.get(key) == Some(plan)) else { return };
        match before {
            Some(before) => self.plans.insert(key, before),
            None => self.plans.remove(&key),
        };
    }

    /// From now on these plans of a policy stand, and those of Applications that are undecided; no others of it.
    pub fn replace(&mut self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>) {
        self.plans.retain(|(of, application, _), _| of != policy || undecided.contains(application));
        for plan in plans {
            self.put(plan);
        }
    }

    /// What stands on the branch that `plans` are written to, beside them.
    pub fn beside(&self, plans: &[&GitPlan]) -> Vec<GitPlan> {
        let Some(first) = plans.first() else { return Vec::new() };
        let replaced = |other: &GitPlan| {
            plans.iter().any(|plan| plan.policy == other.policy && plan.application == other.application)
        };
        let here = self.plans.values().filter(|other| same_branch(other, first) && same_origin(other, first));
        here.filter(|other| !replaced(other)).cloned().collect()
    }
}

fn key(plan: &GitPlan) -> Option<(PolicyId, ApplicationId, String)> {
    Some((plan.policy.clone(), plan.application.clone(), plan.write_branch.clone()?))
}

fn same_branch(one: &GitPlan, other: &GitPlan) -> bool {
    one.write_branch == other.write_branch && same_repository(&one.base.repository, &other.base.repository)
}

/// Whether two plans can share a branch of our own.
fn same_origin(one: &GitPlan, other: &GitPlan) -> bool {
    same_base(one, other) && one.commit.via == other.commit.via
}

fn same_base(one: &GitPlan, other: &GitPlan) -> bool {
    one.base.branch == other.base.branch
}
