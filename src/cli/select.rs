//! `fairlead select`: the pure selection on a list of tags, offline, with a verdict for each.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::input::text;
use super::rule::RuleArgs;
use crate::adapters::clock::SystemClock;
use crate::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use crate::lower::{self, Dialect};
use crate::model::{
    Candidate, Counts, Current, Decision, Details, Digest, Known, Listing, Outcome, Platform, Problem, Reason, Rule,
    Severity, Situation, Tag, Verdict,
};
use crate::ports::Clock as _;
use crate::select::{select, verdicts};

/// Choose among tags of a file, and say why for each
///
/// Reads one tag a line: TAG, and after a tab each, as far as they matter, when it was made (RFC 3339), its digest, and its platforms
/// (os/arch, with commas between). Asks nobody and writes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 decided, also when nothing is chosen; 1 the tags cannot be read; 2 the rule cannot be used."
)]
pub struct Args {
    #[command(flatten)]
    rule: RuleArgs,
    /// How old an image must be, for example 24h
    #[arg(long, value_name = "DURATION")]
    minimum_age: Option<String>,
    /// The time of the decision [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// What is in place: a tag, tag@digest, or a digest
    #[arg(long, value_name = "VERSION", value_parser = current)]
    current: Option<Current>,
    /// Let a lower version be taken than the one in place
    #[arg(long)]
    allow_downgrade: bool,
    /// What is written of a version
    #[arg(long, value_name = "FORM", help = "What is written: Tag, Digest or TagAndDigest [default: Tag]")]
    pin: Option<String>,
    /// A regular expression whose named group captures what is compared, for example '^v(?P<version>.*)-prod$'
    #[arg(long, value_name = "REGEX", conflicts_with = "allow_tags")]
    extract: Option<String>,
    /// How texts are read: strictly, as in a policy, or as existing annotations are
    #[arg(long, value_enum, default_value_t = DialectName::Policy)]
    dialect: DialectName,
    /// Where the tags are; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    tags_file: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectName {
    Policy,
    Annotation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// What is printed.
struct Answer {
    chosen: Option<Tag>,
    runner_up: Option<Tag>,
    written: Option<String>,
    counts: Counts,
    verdicts: Vec<Verdict>,
    note: Option<String>,
    problems: Vec<Problem>,
}

/// Why the tags cannot be read.
#[derive(Debug, thiserror::Error)]
enum TagsError {
    #[error("cannot read the tags from `{place}`: {cause}")]
    Unreadable { place: String, cause: io::Error },
    #[error("cannot read line {line} of the tags: {cause}")]
    Line { line: usize, cause: String },
}

/// Runs the command, and tells the exit code.
pub fn run(args: &Args) -> ExitCode {
    let (rule, problems) = rule(args);
    let Some(rule) = rule else {
        let answer = Answer::without_rule(problems);
        return match print(args.output, &answer) {
            Ok(()) => ExitCode::from(2),
            Err(error) => fail(&error),
        };
    };
    let listing = match read(&args.tags_file).and_then(|text| listing(&text, &rule)) {
        Ok(listing) => listing,
        Err(error) => return fail(&error),
    };
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let situation = Situation { current: args.current.clone(), ..Situation::new(now) };
    let answer = Answer::new(&rule, &listing, &situation, problems);
    match print(args.output, &answer) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn rule(args: &Args) -> (Option<Rule>, Vec<Problem>) {
    let dialect = match args.dialect {
        DialectName::Policy => Dialect::Policy,
        DialectName::Annotation => Dialect::Annotation,
    };
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let entries = args.rule.ignore_tags.iter().flat_map(|text| match dialect {
        Dialect::Policy => vec![text.clone()],
        Dialect::Annotation => text.split(',').map(str::to_owned).collect(),
    });
    let spec = RuleSpec {
        strategy: args.rule.strategy.clone().map(StrategySpec),
        constraint: args.rule.constraint.clone(),
        allow_tags: allow_tags(args),
        ignore_tags: some(entries.collect()),
        platforms: some(args.rule.platforms.clone()),
        minimum_age: args.minimum_age.clone(),
        allow_downgrade: Some(args.allow_downgrade),
        pin: args.pin.clone().map(PinSpec),
        ..RuleSpec::default()
    };
    let (rule, problems) = lower::rule(&spec, RULE, None, dialect);
    (rule, problems.into_iter().map(at_option).collect())
}

pub(super) const RULE: &str = "rule";

fn allow_tags(args: &Args) -> Option<AllowTags> {
    let extract = args.extract.clone().map(|extract| AllowTags { extract: Some(extract), ..AllowTags::default() });
    extract.or_else(|| {
        args.rule.allow_tags.clone().map(|text| match text.as_str() {
            "any" => AllowTags { any: Some(true), ..AllowTags::default() },
            _ => AllowTags { regex: Some(text), ..AllowTags::default() },
        })
    })
}

/// The same problem, at the option that the text was given with.
pub(super) fn at_option(mut problem: Problem) -> Problem {
    let options = [
        ("strategy", "--strategy"),
        ("constraint", "--constraint"),
        ("allowTags.extract", "--extract"),
        ("allowTags", "--allow-tags"),
        ("ignoreTags", "--ignore-tags"),
        ("platforms", "--platforms"),
        ("minimumAge", "--minimum-age"),
        ("pin", "--pin"),
    ];
    let field = problem.place.as_deref().and_then(|place| place.strip_prefix(RULE)?.strip_prefix('.'));
    let option = field.and_then(|field| options.iter().find(|(name, _)| field.starts_with(name)));
    if let Some((_, option)) = option {
        problem.place = Some((*option).to_owned());
    }
    problem
}

fn current(text: &str) -> Result<Current, String> {
    let (tag, digest) = match text.split_once('@') {
        Some((tag, digest)) => (Some(tag).filter(|tag| !tag.is_empty()), Some(digest)),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let tag = tag.map(str::parse::<Tag>).transpose().map_err(|error| error.to_string())?;
    let digest = digest.map(str::parse::<Digest>).transpose().map_err(|error| error.to_string())?;
    Ok(Current { tag, digest })
}

fn read(path: &Path) -> Result<String, TagsError> {
    text(path).map_err(|cause| TagsError::Unreadable { place: path.display().to_string(), cause })
}

/// The tags of a text, each once. What the text does not say of a tag counts as asked for in vain.
fn listing(text: &str, rule: &Rule) -> Result<Listing, TagsError> {
    let mut seen = BTreeSet::new();
    let mut candidates = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let candidate = candidate(line, rule).map_err(|cause| TagsError::Line { line: index + 1, cause })?;
        if seen.insert(candidate.tag.clone()) {
            candidates.push(candidate);
        }
    }
    Ok(Listing { candidates, incomplete: None, places: None })
}

fn candidate(line: &str, rule: &Rule) -> Result<Candidate, String> {
    let mut fields = line.split('\t').map(str::trim);
    let mut field = || fields.next().filter(|text| !text.is_empty());
    let tag: Tag = field().unwrap_or_default().parse().map_err(|error: crate::model::InvalidTag| error.to_string())?;
    let made = field().map(|text| text.parse::<Timestamp>().map_err(|_| format!("`{text}` is not a time in RFC 3339")));
    let made = made.transpose()?;
    let digest = field().map(str::parse::<Digest>).transpose().map_err(|error| error.to_string())?;
    let platforms = field().map(|text| text.split(',').map(|one| one.trim().parse::<Platform>()).collect());
    let platforms: Vec<Platform> =
        platforms.transpose().map_err(|error: crate::model::InvalidPlatform| error.to_string())?.unwrap_or_default();
    if rule.needs_digest() && digest.is_none() {
        return Ok(Candidate { tag, details: Details::NotAnImage("no digest is given".to_owned()) });
    }
    // Without platforms the image serves everybody, and the time says when it came.
    let pushed = if platforms.is_empty() { made } else { None };
    let builds = platforms.into_iter().map(|platform| (platform, made)).collect();
    let digest = digest.or_else(|| stand_in(&tag)).ok_or_else(|| format!("`{tag}` has no digest"))?;
    Ok(Candidate { tag, details: Details::Known(Known { digest, builds, pushed, first_seen: None }) })
}

/// A digest that no other tag has; it is never printed.
fn stand_in(tag: &Tag) -> Option<Digest> {
    use fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(tag.as_str()) {
        write!(text, "{byte:02x}").ok()?;
    }
    text.parse().ok()
}

impl Answer {
    fn without_rule(problems: Vec<Problem>) -> Self {
        let counts = Counts::default();
        Self { chosen: None, runner_up: None, written: None, counts, verdicts: Vec::new(), note: None, problems }
    }

    fn new(rule: &Rule, listing: &Listing, situation: &Situation, mut problems: Vec<Problem>) -> Self {
        let Decision { outcome, runner_up, counts, above: _, note } = select(rule, listing, situation);
        let verdicts = verdicts(rule, listing, situation);
        let winner = verdicts.iter().find(|verdict| verdict.reason == Reason::Chosen);
        let chosen = winner.map(|verdict| verdict.tag.clone());
        let written = match &outcome {
            Outcome::Move(choice) | Outcome::Stay(choice) => Some(choice.written(rule.pin)),
            Outcome::Hold { .. } => situation.current.as_ref().filter(|_| chosen.is_some()).map(ToString::to_string),
            Outcome::Nothing { .. } | Outcome::Undecided { .. } | Outcome::NeedDetails(_) => None,
        };
        if let Outcome::Hold { reason, message, .. }
        | Outcome::Nothing { reason, message }
        | Outcome::Undecided { reason, message } = outcome
        {
            problems.push(Problem::new(reason, message));
        }
        Self { chosen, runner_up, written, counts, verdicts, note, problems }
    }

    fn json(&self) -> Value {
        let tag = |tag: &Option<Tag>| tag.as_ref().map(Tag::as_str).map(str::to_owned);
        let candidate = |Verdict { tag, reason, message }: &Verdict| {
            let verdict = match reason {
                Reason::Chosen => "Chosen",
                Reason::Outranked => "Outranked",
                Reason::TooYoung | Reason::RolledBackByHand | Reason::WouldGoBackwards => "Held",
                _ => "Rejected",
            };
            json!({ "tag": tag.as_str(), "verdict": verdict, "reason": reason.as_str(), "message": message })
        };
        let problem = |Problem { reason, message, place, hint }: &Problem| json!({ "reason": reason.as_str(), "message": message, "place": place, "hint": hint });
        let Counts { listed, not_allowed, ignored, unusable, outside, wrong_platform, held, eligible } = self.counts;
        json!({
            "chosen": tag(&self.chosen),
            "runnerUp": tag(&self.runner_up),
            "written": self.written,
            "counts": {
                "listed": listed, "notAllowed": not_allowed, "ignored": ignored, "unusable": unusable,
                "outside": outside, "wrongPlatform": wrong_platform, "held": held, "eligible": eligible,
            },
            "candidates": self.verdicts.iter().map(candidate).collect::<Vec<_>>(),
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let bold = Style::new().bold();
        let width = self.verdicts.iter().map(|verdict| verdict.tag.as_str().len()).chain([3]).max().unwrap_or_default();
        let reasons = self.verdicts.iter().map(|verdict| verdict.reason.as_str().len());
        let reason_width = reasons.chain([6]).max().unwrap_or_default();
        if !self.verdicts.is_empty() {
            writeln!(out, "{bold}{:width$}  {:reason_width$}  MESSAGE{bold:#}", "TAG", "REASON")?;
        }
        for Verdict { tag, reason, message } in &self.verdicts {
            let style = style(*reason);
            writeln!(out, "{:width$}  {style}{:reason_width$}{style:#}  {message}", tag.as_str(), reason.as_str())?;
        }
        if !self.verdicts.is_empty() {
            writeln!(out)?;
        }
        for problem in &self.problems {
            let style = style(problem.reason);
            writeln!(out, "{style}{}{style:#}: {problem}", problem.reason)?;
        }
        if let Some(note) = &self.note {
            writeln!(out, "note: {note}")?;
        }
        match (&self.chosen, &self.written) {
            (Some(chosen), Some(written)) if chosen.as_str() != written => {
                writeln!(out, "chosen: {chosen}, written as {written}")
            }
            (Some(chosen), _) => writeln!(out, "chosen: {chosen}"),
            (None, _) => writeln!(out, "chosen: nothing"),
        }
    }
}

fn style(reason: Reason) -> Style {
    match (reason, reason.severity()) {
        (Reason::Chosen, _) => AnsiColor::Green.on_default().bold(),
        (_, Severity::Fine) => AnsiColor::BrightBlack.on_default(),
        (_, Severity::Waiting) => AnsiColor::Yellow.on_default(),
        (_, Severity::Failing | Severity::Stalled) => AnsiColor::Red.on_default().bold(),
    }
}

fn print(output: Output, answer: &Answer) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => answer.table(&mut out)?,
        Output::Json => writeln!(out, "{:#}", answer.json())?,
    }
    out.flush()
}

fn fail(error: &dyn fmt::Display) -> ExitCode {
    // Nothing is left to be done when standard error is closed.
    let _ = writeln!(anstream::stderr(), "error: {error}");
    ExitCode::FAILURE
}
