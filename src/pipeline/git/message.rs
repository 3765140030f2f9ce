//! What commits say.

use crate::model::{ApplicationId, GitPlan, PolicyId};

/// The trailer that names a policy.
const POLICY: &str = "Fairlead-Policy";
/// The trailer that names an Application.
const APPLICATION: &str = "Fairlead-Application";

/// Whether a commit with this message is one of ours.
pub fn is_ours(message: &str) -> bool {
    message.lines().any(|line| line.strip_prefix(POLICY).is_some_and(|rest| rest.starts_with(": ")))
}

/// The trailers of one Application's changes.
pub(super) fn trailers(policy: &PolicyId, application: &ApplicationId) -> Vec<(String, String)> {
    vec![(POLICY.to_owned(), policy.to_string()), (APPLICATION.to_owned(), application.to_string())]
}

/// The message of a commit that holds `plans`: of one its own, of several a section for each; then their trailers, each once.
///
/// The `Signed-off-by` trailer is the last, where a plan asks for it.
pub fn combined(plans: &[&GitPlan]) -> String {
    let mut message = match plans {
        [] => String::new(),
        [one] => one.commit.message.trim_end().to_owned(),
        several => {
            let sections = several.iter().map(|plan| section(plan));
            let subject = format!("build: automatic update of {} applications", several.len());
            std::iter::once(subject).chain(sections).collect::<Vec<_>>().join("\n\n")
        }
    };
    let mut lines: Vec<String> = Vec::new();
    let trailers = plans.iter().flat_map(|plan| &plan.commit.trailers);
    let signers = plans.iter().filter(|plan| plan.commit.sign_off).map(|plan| &plan.commit.author);
    let signed = signers.map(|author| ("Signed-off-by".to_owned(), format!("{} <{}>", author.name, author.email)));
    for (key, value) in trailers.cloned().chain(signed) {
        // A value of several lines would end the block of trailers.
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = format!("{key}: {value}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        message = format!("{message}\n\n{}", lines.join("\n"));
    }
    message.push('\n');
    message
}

/// The changes of one of several Applications: its message, under its name where the subject does not say it.
fn section(plan: &GitPlan) -> String {
    let message = plan.commit.message.trim_end();
    let subject = message.lines().next().unwrap_or_default();
    let name = &plan.application.name;
    if subject.contains(name.as_str()) { message.to_owned() } else { format!("{name}: {message}") }
}
