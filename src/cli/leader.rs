//! `--leader-elect` and what belongs to it.

use std::time::Duration;

use crate::controller::Election;
use crate::lower;

/// How several replicas agree on the one that acts.
#[derive(Debug, Clone, clap::Args)]
pub struct LeaderArgs {
    /// Let replicas agree, by a Lease, on the one that acts: `on` or `off`
    #[arg(
        long,
        value_name = "on|off",
        env = "FAIRLEAD_LEADER_ELECT",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "off",
        default_missing_value = "on",
        value_parser = switch
    )]
    leader_elect: bool,
    /// The namespace of the Lease [default: the one that this process runs in]
    #[arg(long, value_name = "NAMESPACE", env = "FAIRLEAD_LEASE_NAMESPACE")]
    lease_namespace: Option<String>,
    /// The name of the Lease: replicas that share a scope share it
    #[arg(long, value_name = "NAME", default_value = "fairlead", env = "FAIRLEAD_LEASE_NAME")]
    lease_name: String,
    /// How long other replicas wait after the last sign of the one that acts; whole seconds
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = lower::duration)]
    lease_duration: Duration,
    /// How long the one that acts goes on after its last sign; less than that
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = lower::duration)]
    renew_deadline: Duration,
    /// How often it gives a sign, and others look for it; less than that
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = lower::duration)]
    retry_period: Duration,
}

impl LeaderArgs {
    /// How replicas agree; `None` where there is one alone.
    ///
    /// # Errors
    /// What is wrong with the durations.
    pub fn election(&self) -> Result<Option<Election>, String> {
        let Self { leader_elect, lease_namespace, lease_name, lease_duration, renew_deadline, retry_period } = self;
        if !leader_elect {
            return Ok(None);
        }
        if lease_duration.is_zero() || lease_duration.subsec_nanos() != 0 {
            return Err(format!("--lease-duration: {lease_duration:?} is not whole seconds; a Lease counts in them"));
        }
        if renew_deadline >= lease_duration {
            return Err(format!(
                "--renew-deadline: {renew_deadline:?} must be less than --lease-duration, {lease_duration:?}"
            ));
        }
        if retry_period.is_zero() || *retry_period >= *renew_deadline / 2 {
            return Err(format!(
                "--retry-period: {retry_period:?} must be less than half of --renew-deadline, {renew_deadline:?}"
            ));
        }
        Ok(Some(Election {
            namespace: lease_namespace.clone(),
            name: lease_name.clone(),
            lease: *lease_duration,
            renew: *renew_deadline,
            retry: *retry_period,
        }))
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither `on` nor `off`")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        leader: LeaderArgs,
    }

    fn election(arguments: &[&str]) -> Result<Option<Election>, String> {
        let line = Line::try_parse_from(["fairlead"].iter().chain(arguments));
        line.map_err(|error| error.to_string())?.leader.election()
    }

    #[test]
    fn one_process_needs_no_election_and_several_ask_for_it_in_every_spelling() {
        for off in [&[][..], &["--leader-elect=off"], &["--leader-elect=false"]] {
            assert_eq!(election(off), Ok(None), "{off:?}");
        }
        for on in [&["--leader-elect"][..], &["--leader-elect=on"], &["--leader-elect=true"]] {
            let found = election(on).expect("it is understood").expect("an election");
            let times = [found.lease, found.renew, found.retry].map(|time| time.as_secs());
            assert_eq!((found.name.as_str(), found.namespace, times), ("fairlead", None, [15, 10, 2]), "{on:?}");
        }
    }

    #[test]
    fn times_that_would_let_two_act_are_refused() {
        let refused = |arguments: &[&str]| election(&[&["--leader-elect"], arguments].concat()).expect_err("a refusal");
        insta::assert_snapshot!(refused(&["--lease-duration=1500ms"]), @"--lease-duration: 1.5s is not whole seconds; a Lease counts in them");
        insta::assert_snapshot!(refused(&["--lease-duration=10s"]), @"--renew-deadline: 10s must be less than --lease-duration, 10s");
        insta::assert_snapshot!(refused(&["--retry-period=5s"]), @"--retry-period: 5s must be less than half of --renew-deadline, 10s");
        let unknown = election(&["--leader-elect=maybe"]).expect_err("a refusal");
        assert!(unknown.contains("`maybe` is neither `on` nor `off`"), "{unknown}");
    }
}
