//! How a version is picked: the settings of an image over those of all images.

use super::{Findings, Identifier, Text, within};
use crate::api::{AllowTags, PullSecretReference, RuleSpec, StrategySpec};
use crate::lower::annotation;
use crate::lower::constraint::{constraint, ignore};
use crate::lower::credential_source::{Scope, credential_source};
use crate::lower::rule::{Dialect, Placed, allow, unknown_strategy};
use crate::model::{Constraint, CredentialSource, InvalidPlatform, Platform, Problem, Reason, Strategy};

/// Settings as they were written on one level. What is `None` is taken from the level above.
#[derive(Debug, Clone, Default)]
pub(in crate::lower) struct Settings {
    /// A word for a strategy.
    pub strategy: Option<Text>,
    /// `true` or `false`, as Go writes them.
    pub force_update: Option<Text>,
    /// `any` or `regexp:…`.
    pub allow_tags: Option<Text>,
    /// Globs. An empty list is a list.
    pub ignore_tags: Option<Vec<Text>>,
    /// A source of credentials.
    pub pull_secret: Option<Text>,
    /// Platforms.
    pub platforms: Option<Vec<Text>>,
}

impl Settings {
    /// These settings, with what they leave out taken from `base`.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            strategy: self.strategy.or(base.strategy),
            force_update: self.force_update.or(base.force_update),
            allow_tags: self.allow_tags.or(base.allow_tags),
            ignore_tags: self.ignore_tags.or(base.ignore_tags),
            pull_secret: self.pull_secret.or(base.pull_secret),
            platforms: self.platforms.or(base.platforms),
        }
    }
}

/// The rule of one image, in two parts.
#[derive(Debug, Default)]
pub(in crate::lower) struct Rules {
    /// What the image says itself.
    pub own: RuleSpec,
    /// What it takes from the settings of all images.
    pub inherited: RuleSpec,
}

/// The rule that `own` over `base` means, for an image and its constraint that were written at `place`.
///
/// `scope` says which sources of credentials may be named. `None` when a part that counts for
/// the image cannot be read: all such parts are among the findings.
pub(in crate::lower) fn rules(
    own: &Settings,
    base: &Settings,
    identifier: &Identifier,
    place: &str,
    scope: Scope<'_>,
    findings: &mut Findings,
) -> Option<Rules> {
    let mut found = Findings::default();
    let mut reader = Reader { own, base, findings: &mut found, rules: Rules::default() };
    let strategy = reader.strategy();
    reader.allow_tags();
    reader.ignore_tags(strategy.unwrap_or_default());
    reader.platforms();
    reader.force_update();
    reader.pull_secret(scope);
    reader.constraint(strategy, &identifier.image, identifier.constraint.as_deref(), place);
    let rules = reader.rules;
    let usable = found.problems.is_empty();
    found.notes.into_iter().for_each(|note| findings.note(note));
    found.problems.into_iter().for_each(|problem| findings.refuse(problem));
    usable.then_some(rules)
}

struct Reader<'a> {
    own: &'a Settings,
    base: &'a Settings,
    findings: &'a mut Findings,
    rules: Rules,
}

#[derive(Clone, Copy)]
enum Level {
    Own,
    Base,
}

fn pick<'a, T>(own: Option<&'a T>, base: Option<&'a T>) -> Option<(&'a T, Level)> {
    own.map(|text| (text, Level::Own)).or_else(|| base.map(|text| (text, Level::Base)))
}

impl Reader<'_> {
    fn spec(&mut self, level: Level) -> &mut RuleSpec {
        match level {
            Level::Own => &mut self.rules.own,
            Level::Base => &mut self.rules.inherited,
        }
    }

    fn strategy(&mut self) -> Option<Strategy> {
        let Some((text, level)) = pick(self.own.strategy.as_ref(), self.base.strategy.as_ref()) else {
            return Some(Strategy::default());
        };
        let found = annotation::strategy(&text.value)
            .ok_or_else(|| unknown_strategy(text.value.trim(), Dialect::Annotation).at(&text.place));
        let strategy = self.findings.keep(found)?;
        if let Some(today) = annotation::todays_name(&text.value) {
            let message = format!("`{}` is an older name of the strategy `{today}`", text.value.trim());
            let note = Problem::new(Reason::OldSpelling, message).at(&text.place);
            self.findings.note(note.hint(format!("write `{today}`")));
        }
        self.spec(level).strategy = Some(StrategySpec(strategy.as_str().to_owned()));
        Some(strategy)
    }

    fn allow_tags(&mut self) {
        let Some((text, level)) = pick(self.own.allow_tags.as_ref(), self.base.allow_tags.as_ref()) else { return };
        let read = annotation::allow_tags(&text.value).and_then(|(tags, note)| {
            allow(&tags, &text.place, Dialect::Annotation)?;
            within(tags.regex.as_deref().unwrap_or_default(), 1024, Reason::InvalidPattern, "the expression")?;
            Ok((tags, note))
        });
        let read = read.map_err(|problem| problem.at(&text.place));
        let Some((tags, note)) = self.findings.keep(read) else { return };
        if let Some(note) = note {
            self.findings.note(note.at(&text.place));
        }
        // The empty expression finds a match in every tag.
        let every = tags.regex.as_deref() == Some("");
        let tags = if every { AllowTags { any: Some(true), ..AllowTags::default() } } else { tags };
        self.spec(level).allow_tags = Some(tags);
    }

    fn ignore_tags(&mut self, strategy: Strategy) {
        let Some((list, level)) = pick(self.own.ignore_tags.as_ref(), self.base.ignore_tags.as_ref()) else { return };
        let mut kept = Vec::new();
        for Placed { value, place } in list.iter().filter(|entry| !entry.value.trim().is_empty()) {
            let entry = value.trim();
            let read = within(entry, 256, Reason::InvalidPattern, "the entry").and_then(|()| ignore(strategy, entry));
            if self.findings.keep(read.map_err(|problem| problem.at(place))).is_some() {
                kept.push(entry.to_owned());
            }
        }
        self.few(&kept, 100, list, Reason::InvalidPattern);
        if !kept.is_empty() || matches!(level, Level::Own) {
            self.spec(level).ignore_tags = Some(kept);
        }
    }

    fn platforms(&mut self) {
        let Some((list, level)) = pick(self.own.platforms.as_ref(), self.base.platforms.as_ref()) else { return };
        let mut kept = Vec::new();
        for Placed { value, place } in list.iter().filter(|entry| !entry.value.trim().is_empty()) {
            let entry = value.trim();
            let read = within(entry, 100, Reason::InvalidPlatform, "the platform").and_then(|()| {
                let wrong = |error: InvalidPlatform| {
                    let problem = Problem::new(Reason::InvalidPlatform, error.to_string());
                    problem.hint("write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`")
                };
                entry.parse::<Platform>().map_err(wrong)
            });
            if self.findings.keep(read.map_err(|problem| problem.at(place))).is_some() {
                kept.push(entry.to_owned());
            }
        }
        self.few(&kept, 20, list, Reason::InvalidPlatform);
        if !kept.is_empty() {
            self.spec(level).platforms = Some(kept);
        }
    }

    fn few(&mut self, kept: &[String], most: usize, list: &[Text], reason: Reason) {
        if let Some(first) = list.first().filter(|_| kept.len() > most) {
            let first_of_all = format!("`{}` and {} more are too many", first.value.trim(), kept.len() - 1);
            let problem = Problem::new(reason, format!("{first_of_all}: a policy holds at most {most}"));
            self.findings.refuse(problem.at(&first.place).hint("say more with fewer"));
        }
    }

    fn force_update(&mut self) {
        let Some((text, level)) = pick(self.own.force_update.as_ref(), self.base.force_update.as_ref()) else { return };
        let read = match text.value.trim() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            other => {
                let message = format!("`{other}` is neither true nor false");
                Err(Problem::new(Reason::InvalidSetting, message).at(&text.place).hint("write `true` or `false`"))
            }
        };
        self.spec(level).force_update = self.findings.keep(read);
    }

    fn pull_secret(&mut self, scope: Scope<'_>) {
        let Some((text, level)) = pick(self.own.pull_secret.as_ref(), self.base.pull_secret.as_ref()) else { return };
        let read = login(&text.value, scope).map_err(|problem| problem.at(&text.place));
        let Some((secret, credentials)) = self.findings.keep(read) else { return };
        let spec = self.spec(level);
        (spec.pull_secret, spec.credentials) = (secret, credentials);
    }

    fn constraint(&mut self, strategy: Option<Strategy>, image: &str, version: Option<&str>, place: &str) {
        let Some(strategy) = strategy else { return };
        let text = version.map(|version| Placed { value: version, place: place.to_owned() });
        let read = constraint(strategy, text, place, Dialect::Annotation)
            .map_err(|problem| advised(problem, strategy, version, image).at(place));
        let Some((read, note)) = self.findings.keep(read) else { return };
        if let Some(note) = note {
            self.findings.note(note);
        }
        let limits = !matches!(read, Constraint::Any);
        self.rules.own.constraint = version.filter(|_| limits).map(|version| version.trim().to_owned());
    }
}

/// The problem of a constraint, with what to do about it where that is known.
fn advised(problem: Problem, strategy: Strategy, version: Option<&str>, image: &str) -> Problem {
    let word = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match (strategy, version) {
        (Strategy::Digest, None) => {
            let message = format!("strategy `digest` follows one tag, and none stands behind `{image}`");
            Problem::new(problem.reason, message).hint(format!("write for example `{image}:latest`"))
        }
        (Strategy::SemVer, Some(tag)) if word(&tag) => {
            problem.hint(format!("to follow the tag `{tag}`, use the strategy `digest`"))
        }
        _ => problem,
    }
}

/// What a source of credentials becomes in a policy: `pullSecret` or `credentials`. No part of the text but names is repeated: it
/// may be a password that was put in the wrong place.
fn login(text: &str, scope: Scope<'_>) -> Result<(Option<PullSecretReference>, Option<String>), Problem> {
    let read = credential_source(text, scope)
        .map_err(|error| Problem::new(Reason::InvalidCredentials, error.to_string()).hint(error.hint()))?;
    Ok(match (read, scope) {
        (CredentialSource::PullSecret(secret), Scope::Policy { namespace, .. }) if secret.namespace == namespace => {
            (Some(PullSecretReference { name: secret.name }), None)
        }
        (source, _) => (None, Some(source.to_string())),
    })
}
