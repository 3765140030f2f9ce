//! Rules, tags and outcomes in one line each.

use fairlead::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, rule};
use fairlead::model::{
    Candidate, Closed, Current, Decision, Details, Known, Listing, Outcome, Platform, Reason, Rule, Situation, Verdict,
};
use fairlead::select::{select, verdicts};
use jiff::Timestamp;

/// A rule's text: `NewestBuild; constraint=~1.0; allow=^1; extract=…; ignore=*-rc*,latest; for=linux/arm64; age=24h; pin=Digest; downgrade`.
pub fn spec(text: &str) -> RuleSpec {
    let mut spec = RuleSpec::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let list = |value: &str| Some(value.split(',').map(str::to_owned).collect());
        let value = |name: &str| part.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        if let Some(value) = value("constraint") {
            spec.constraint = Some(value.to_owned());
        } else if let Some(value) = value("allow") {
            spec.allow_tags = Some(AllowTags { regex: Some(value.to_owned()), ..AllowTags::default() });
        } else if let Some(value) = value("extract") {
            spec.allow_tags = Some(AllowTags { extract: Some(value.to_owned()), ..AllowTags::default() });
        } else if let Some(value) = value("ignore") {
            spec.ignore_tags = list(value);
        } else if let Some(value) = value("for") {
            spec.platforms = list(value);
        } else if let Some(value) = value("age") {
            spec.minimum_age = Some(value.to_owned());
        } else if let Some(value) = value("pin") {
            spec.pin = Some(PinSpec(value.to_owned()));
        } else if part == "downgrade" {
            spec.allow_downgrade = Some(true);
        } else {
            spec.strategy = Some(StrategySpec(part.to_owned()));
        }
    }
    spec
}

pub fn usable(text: &str, dialect: Dialect) -> Rule {
    let (rule, problems) = rule(&spec(text), "spec.images[0]", None, dialect);
    rule.unwrap_or_else(|| panic!("{text}: {problems:?}"))
}

/// Tags, and what is known of them: `1.2 1.3|built=2026-01-02|seen=…|pushed=…|digest=a|for=linux/arm64 chart|broken`.
pub fn listing(text: &str) -> Listing {
    Listing { candidates: text.split_whitespace().map(candidate).collect(), incomplete: None, places: None }
}

fn candidate(text: &str) -> Candidate {
    let mut parts = text.split('|');
    let tag: fairlead::model::Tag = parts.next().unwrap().parse().unwrap();
    let mut details = Details::Unknown;
    let (mut built, mut platforms) = (None, vec!["linux/amd64"]);
    let mut known = Known { digest: digest(tag.as_str()), builds: Vec::new(), pushed: None, first_seen: None };
    for part in parts {
        details = Details::Known(known.clone());
        match part.split_once('=') {
            Some(("built", date)) => built = Some(time(date)),
            Some(("seen", date)) => known.first_seen = Some(time(date)),
            Some(("pushed", date)) => known.pushed = Some(time(date)),
            Some(("digest", name)) => known.digest = digest(name),
            Some(("for", list)) => platforms = list.split(',').collect(),
            _ if part == "broken" => return Candidate { tag, details: Details::NotAnImage("a Helm chart".to_owned()) },
            _ => assert_eq!(part, "known"),
        }
    }
    if details != Details::Unknown {
        let platforms = platforms.into_iter().map(|platform| platform.parse::<Platform>().unwrap());
        known.builds = platforms.map(|platform| (platform, built)).collect();
        details = Details::Known(known);
    }
    Candidate { tag, details }
}

/// A digest that is known by a name.
pub fn digest(name: &str) -> fairlead::model::Digest {
    let number = name.bytes().fold(0_u128, |sum, byte| sum.wrapping_mul(257).wrapping_add(u128::from(byte)));
    format!("sha256:{number:064x}").parse().unwrap()
}

/// A day, or a day and a time, in UTC.
pub fn time(text: &str) -> Timestamp {
    let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    text.parse().unwrap()
}

/// What is in place: `1.2`, `1.2@name-of-digest`, `@name-of-digest`, or nothing.
pub fn situation(current: &str) -> Situation {
    let mut situation = Situation::new(time("2026-02-01"));
    let (tag, name) = current.split_once('@').map_or((current, None), |(tag, name)| (tag, Some(name)));
    if !current.is_empty() {
        let tag = (!tag.is_empty()).then(|| tag.parse().unwrap());
        situation.current = Some(Current { tag, digest: name.map(digest) });
    }
    situation
}

pub fn taken_back(current: &str, tag: &str) -> Situation {
    Situation { taken_back: Some(tag.parse().unwrap()), ..situation(current) }
}

pub fn suspended(current: &str) -> Situation {
    let closed = Closed { reason: Reason::Suspended, message: "the policy is suspended".to_owned(), until: None };
    Situation { closed: Some(closed), ..situation(current) }
}

/// A decision in words: `move 1.2`, `stay 1.2`, `hold 1.2 TooYoung until …`, `nothing NoTags`, `need 1.2 1.3`.
pub fn words(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Move(choice) => format!("move {}", choice.tag),
        Outcome::Stay(choice) => format!("stay {}", choice.tag),
        Outcome::Hold { choice, reason, until, .. } => {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            format!("hold {} {reason}{until}", choice.tag)
        }
        Outcome::Nothing { reason, .. } => format!("nothing {reason}"),
        Outcome::Undecided { reason, .. } => format!("undecided {reason}"),
        Outcome::NeedDetails(tags) => {
            format!("need {}", tags.iter().map(fairlead::model::Tag::as_str).collect::<Vec<_>>().join(" "))
        }
    }
}

/// The message of an outcome that has one, else the note.
pub fn sentence(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Hold { message, .. } | Outcome::Nothing { message, .. } | Outcome::Undecided { message, .. } => {
            message.clone()
        }
        Outcome::Move(_) | Outcome::Stay(_) | Outcome::NeedDetails(_) => decision.note.clone().unwrap_or_default(),
    }
}

pub fn decide(rule: &str, tags: &str, situation: &Situation) -> Decision {
    let (rule, listing) = (usable(rule, Dialect::Policy), listing(tags));
    let decision = select(&rule, &listing, situation);
    let counts = decision.counts;
    let sum = counts.not_allowed + counts.ignored + counts.unusable + counts.outside + counts.wrong_platform;
    assert_eq!(sum + counts.held + counts.eligible, counts.listed, "{tags}");
    decision
}

/// One row: a rule, tags, what is in place, and what becomes of it, for the tags in this order and the reverse.
pub fn check(rule: &str, tags: &str, current: &str, expected: &str) {
    check_in(rule, tags, &situation(current), expected);
}

pub fn check_in(rule: &str, tags: &str, situation: &Situation, expected: &str) {
    let row = format!("rule `{rule}`, tags `{tags}`, in place `{:?}`", situation.current);
    assert_eq!(words(&decide(rule, tags, situation)), expected, "{row}");
    let reversed = tags.split_whitespace().rev().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&decide(rule, &reversed, situation)), expected, "reversed: {row}");
}

/// What happens when nothing is in place: the tag alone, or `-`.
pub fn chosen(rule: &str, tags: &str, expected: &str) {
    let expected = if expected == "-" { "nothing NoTagAllowed".to_owned() } else { format!("move {expected}") };
    check(rule, tags, "", &expected);
}

pub fn explained(rule: &str, tags: &str, situation: &Situation) -> String {
    let (rule, listing) = (usable(rule, Dialect::Policy), listing(tags));
    let line = |Verdict { tag, reason, message }: &Verdict| format!("{tag}: {reason}: {message}\n");
    verdicts(&rule, &listing, situation).iter().map(line).collect()
}
