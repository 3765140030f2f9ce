//! No value of an annotation makes lowering panic; without a rule there is a problem that says why.
#![no_main]

use arbitrary::Arbitrary;
use fairlead::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, annotation, duration, rule};
use fairlead::model::Reason;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Values<'a> {
    strategy: Option<&'a str>,
    known_strategy: u8,
    constraint: Option<&'a str>,
    allow_tags: Option<&'a str>,
    extract: Option<&'a str>,
    ignore_tags: Vec<&'a str>,
    platforms: Vec<&'a str>,
    minimum_age: Option<&'a str>,
    pin: Option<&'a str>,
}

const STRATEGIES: &[&str] = &["semver", "newest-build", "alphabetical", "digest", "calver", "numeric", "latest", "name"];

fuzz_target!(|values: Values<'_>| {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let list = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    let known = STRATEGIES[usize::from(values.known_strategy) % STRATEGIES.len()];
    let tags = AllowTags { any: None, regex: owned(values.allow_tags), extract: owned(values.extract) };
    let spec = RuleSpec {
        strategy: Some(StrategySpec(values.strategy.unwrap_or(known).to_owned())),
        constraint: owned(values.constraint),
        allow_tags: (values.allow_tags.is_some() || values.extract.is_some()).then_some(tags),
        ignore_tags: list(&values.ignore_tags),
        platforms: list(&values.platforms),
        minimum_age: owned(values.minimum_age),
        pin: owned(values.pin).map(PinSpec),
        ..RuleSpec::default()
    };
    for dialect in [Dialect::Annotation, Dialect::Policy] {
        let (rule, problems) = rule(&spec, "metadata.annotations", None, dialect);
        assert_eq!(rule.is_none(), problems.iter().any(|problem| problem.reason != Reason::AmbiguousText));
        assert!(problems.iter().all(|problem| problem.place.is_some() && !problem.message.is_empty()));
    }
    if let Some(text) = values.allow_tags {
        let _ = annotation::allow_tags(text);
        let _ = duration(text);
    }
});
