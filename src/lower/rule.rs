//! Rules: how the version of an image is picked.

use crate::api::{AllowTags, RuleSpec};
use crate::model::{
    Allow, Constraint, Ignore, InvalidPattern, Pin, Platform, Problem, Reason, Rule, Strategy, TagGlob,
};

use super::annotation;
use super::constraint::{constraint, ignore};
use super::duration::{self, duration};
use super::nearest::nearest;

/// Where a text comes from, and how strictly it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// An `ImageUpdatePolicy`: words exactly as documented, and a constraint always filters.
    Policy,
    /// Annotations, with all that existing installations write in them.
    Annotation,
}

/// A text, and where the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub value: T,
    pub place: String,
}

/// The rule that `image` states, with what it leaves out taken from `defaults`, and what is wrong with either.
///
/// A part that cannot be read gives no rule: nothing is put in its place. Problems with [`Reason::AmbiguousText`] are notes; the
/// rule stands. `image_place` is where the image is, for example `spec.images[0]`; defaults are at `spec.defaults`.
pub fn rule(
    image: &RuleSpec,
    image_place: &str,
    defaults: Option<&RuleSpec>,
    dialect: Dialect,
) -> (Option<Rule>, Vec<Problem>) {
    let mut reader = Reader { image, image_place, defaults, dialect, problems: Vec::new() };
    let rule = reader.rule();
    let usable = reader.problems.iter().all(|problem| problem.reason == Reason::AmbiguousText);
    (rule.filter(|_| usable), reader.problems)
}

struct Reader<'a> {
    image: &'a RuleSpec,
    image_place: &'a str,
    defaults: Option<&'a RuleSpec>,
    dialect: Dialect,
    problems: Vec<Problem>,
}

const DEFAULTS_PLACE: &str = "spec.defaults";

impl<'a> Reader<'a> {
    /// Reads every part, so that all problems are found at once.
    fn rule(&mut self) -> Option<Rule> {
        let strategy = self.strategy();
        let allow = self.allow();
        let constraint = match strategy {
            Some(strategy) => self.constraint(strategy),
            None => None,
        };
        let ignore = self.ignore(strategy.unwrap_or_default());
        let platforms = self.platforms();
        let minimum_age = self.minimum_age();
        let pin = self.pin(strategy.unwrap_or_default());
        let allow_downgrade = self.field("allowDowngrade", |spec| spec.allow_downgrade.as_ref());
        Some(Rule {
            strategy: strategy?,
            constraint: constraint?,
            allow: allow?,
            ignore,
            platforms,
            minimum_age,
            allow_downgrade: allow_downgrade.is_some_and(|allowed| *allowed.value),
            pin: pin?,
        })
    }

    /// A field of the image, or else of the defaults.
    fn field<T: ?Sized>(&self, name: &str, field: impl Fn(&'a RuleSpec) -> Option<&'a T>) -> Option<Placed<&'a T>> {
        let of = |spec, place: &str| field(spec).map(|value| Placed { value, place: format!("{place}.{name}") });
        of(self.image, self.image_place).or_else(|| self.defaults.and_then(|defaults| of(defaults, DEFAULTS_PLACE)))
    }

    fn note<T>(&mut self, found: Result<T, Problem>) -> Option<T> {
        found.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn strategy(&mut self) -> Option<Strategy> {
        let Some(Placed { value, place }) = self.field("strategy", |spec| spec.strategy.as_ref()) else {
            return Some(Strategy::default());
        };
        let text = value.0.as_str();
        let found = match self.dialect {
            Dialect::Policy => Strategy::ALL.iter().copied().find(|strategy| strategy.as_str() == text),
            Dialect::Annotation => annotation::strategy(text),
        };
        self.note(found.ok_or_else(|| unknown_strategy(text, self.dialect).at(place)))
    }

    fn constraint(&mut self, strategy: Strategy) -> Option<Constraint> {
        let text = self.field("constraint", |spec| spec.constraint.as_deref());
        let missing = format!("{}.constraint", self.image_place);
        match constraint(strategy, text, &missing, self.dialect) {
            Ok((constraint, note)) => {
                self.problems.extend(note);
                Some(constraint)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn allow(&mut self) -> Option<Allow> {
        let Some(Placed { value, place }) = self.field("allowTags", |spec| spec.allow_tags.as_ref()) else {
            return Some(Allow::Any);
        };
        let lowered = match (self.dialect, value) {
            (Dialect::Annotation, AllowTags { any: None, regex: Some(text), extract: None }) => {
                annotation::allow_tags(text).map(|(tags, note)| {
                    self.problems.extend(note.map(|note| note.at(&place)));
                    tags
                })
            }
            (_, tags) => Ok(tags.clone()),
        };
        let allow = lowered.map_err(|problem| problem.at(&place)).and_then(|tags| allow(&tags, &place, self.dialect));
        self.note(allow)
    }

    fn ignore(&mut self, strategy: Strategy) -> Vec<Ignore> {
        let Some(Placed { value, place }) = self.field("ignoreTags", |spec| spec.ignore_tags.as_ref()) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (index, text) in value.iter().enumerate() {
            let text = text.trim();
            if !text.is_empty() {
                entries.extend(
                    self.note(ignore(strategy, text).map_err(|problem| problem.at(format!("{place}[{index}]")))),
                );
            }
        }
        entries
    }

    fn platforms(&mut self) -> Vec<Platform> {
        let Some(Placed { value, place }) = self.field("platforms", |spec| spec.platforms.as_ref()) else {
            return Vec::new();
        };
        let mut platforms = Vec::new();
        for (index, text) in value.iter().enumerate() {
            let platform = text.parse::<Platform>().map_err(|error| {
                let problem = Problem::new(Reason::InvalidPlatform, error.to_string()).at(format!("{place}[{index}]"));
                problem.hint("write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`")
            });
            platforms.extend(self.note(platform));
        }
        platforms
    }

    fn minimum_age(&mut self) -> Option<std::time::Duration> {
        let Placed { value, place } = self.field("minimumAge", |spec| spec.minimum_age.as_deref())?;
        let age = duration(value)
            .map_err(|error| Problem::new(Reason::InvalidDuration, error.to_string()).at(place).hint(duration::HINT));
        self.note(age).filter(|age| !age.is_zero())
    }

    /// Under `Digest` the digest is always written; a `Tag` from the defaults gives way, one beside it contradicts it.
    fn pin(&mut self, strategy: Strategy) -> Option<Pin> {
        let digest = strategy == Strategy::Digest;
        let Some(Placed { value, place }) = self.field("pin", |spec| spec.pin.as_ref()) else {
            return Some(if digest { Pin::TagAndDigest } else { Pin::Tag });
        };
        let text = value.0.as_str();
        let pin = match Pin::ALL.iter().copied().find(|pin| pin.as_str() == text) {
            Some(Pin::Tag) if digest && self.image.pin.is_none() => Ok(Pin::TagAndDigest),
            Some(Pin::Tag) if digest => {
                let message = "pin `Tag` contradicts strategy `Digest`, which writes a digest";
                Err(Problem::new(Reason::InvalidStrategy, message)
                    .at(place)
                    .hint("write TagAndDigest, or leave it out"))
            }
            Some(pin) => Ok(pin),
            None => {
                let problem = Problem::new(Reason::InvalidStrategy, format!("there is no pin `{text}`")).at(place);
                Err(match nearest(text, Pin::ALL.iter().map(|pin| pin.as_str())) {
                    Some(word) => problem.hint(format!("did you mean `{word}`?")),
                    None => problem.hint("write Tag, Digest or TagAndDigest"),
                })
            }
        };
        self.note(pin)
    }
}

/// The problem of a word for no strategy.
pub(super) fn unknown_strategy(text: &str, dialect: Dialect) -> Problem {
    let problem = Problem::new(Reason::InvalidStrategy, format!("there is no strategy `{text}`"));
    let words: Vec<&str> = match dialect {
        Dialect::Policy => Strategy::ALL.iter().map(|strategy| strategy.as_str()).collect(),
        Dialect::Annotation => annotation::STRATEGIES.iter().map(|(word, _)| *word).collect(),
    };
    let meant = annotation::strategy(text).filter(|_| dialect == Dialect::Policy).map(Strategy::as_str);
    match meant.or_else(|| nearest(text, words.iter().copied())) {
        Some(word) => problem.hint(format!("did you mean `{word}`?")),
        None => problem.hint(format!("write one of {}", words.join(", "))),
    }
}

/// Which tags are looked at, or why that cannot be said.
pub(super) fn allow(tags: &AllowTags, place: &str, dialect: Dialect) -> Result<Allow, Problem> {
    let AllowTags { any, regex, extract } = tags;
    let wrong = |error: InvalidPattern, field: &str, hint: &str| {
        // An annotation has no fields of its own below `allow-tags`.
        let place = if dialect == Dialect::Policy { format!("{place}.{field}") } else { place.to_owned() };
        let hint = if matches!(error, InvalidPattern::TooLarge { .. }) { "repeat less, or less often" } else { hint };
        Problem::new(Reason::InvalidPattern, error.to_string()).at(place).hint(hint)
    };
    match (any.unwrap_or(false), regex, extract) {
        (true, None, None) => Ok(Allow::Any),
        (false, Some(regex), None) => match regex.strip_prefix("regexp:") {
            Some(rest) if dialect == Dialect::Policy => {
                let message = format!("the regular expression `{regex}` can match no tag, for tags have no colon");
                let problem = Problem::new(Reason::InvalidPattern, message).at(format!("{place}.regex"));
                Err(problem.hint(format!("leave out `regexp:` and write `{rest}`")))
            }
            _ => regex.parse().map(Allow::Matching).map_err(|error| wrong(error, "regex", REGEX_HINT)),
        },
        (false, None, Some(extract)) => {
            extract.parse().map(Allow::Extracting).map_err(|error| wrong(error, "extract", EXTRACT_HINT))
        }
        _ => {
            let message = "exactly one of `any: true`, `regex` and `extract` must be given";
            Err(Problem::new(Reason::InvalidPattern, message).at(place))
        }
    }
}

const REGEX_HINT: &str = "write RE2 syntax, for example `^1\\.[0-9]+$`; look-around and back-references do not exist";
const EXTRACT_HINT: &str = "name the part to compare, for example `^v(?P<version>.*)-prod$`";

/// A glob, or why it is none.
pub(super) fn glob(text: &str) -> Result<TagGlob, Problem> {
    text.parse().map_err(|error: InvalidPattern| {
        let problem = Problem::new(Reason::InvalidPattern, error.to_string());
        problem.hint("`*`, `?` and `[a-z]` are special; a `\\` in front makes them literal")
    })
}
