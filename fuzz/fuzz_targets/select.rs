//! No listing and no rule make selection panic or ask without end; the order of the list never matters.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use fairlead::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, rule};
use fairlead::model::{Candidate, Current, Details, Known, Listing, Outcome, Situation, Tag};
use fairlead::select::{select, verdicts};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    strategy: u8,
    constraint: Option<&'a str>,
    extract: Option<&'a str>,
    ignore: Option<&'a str>,
    pin: u8,
    aged: bool,
    platforms: bool,
    downgrade: bool,
    current: Option<&'a str>,
    taken_back: Option<&'a str>,
    tags: Vec<(&'a str, Image)>,
}

#[derive(Debug, Arbitrary)]
struct Image {
    kind: u8,
    digest: u8,
    built: Option<u16>,
    pushed: Option<u16>,
    seen: Option<u16>,
}

const STRATEGIES: &[&str] = &["SemVer", "NewestBuild", "Alphabetical", "Digest", "CalVer", "Numeric"];
const PINS: &[&str] = &["Tag", "Digest", "TagAndDigest"];

fn details(image: &Image) -> Details {
    let time = |minutes: Option<u16>| minutes.and_then(|minutes| Timestamp::from_second(i64::from(minutes) * 60).ok());
    let platform = if image.kind % 2 == 0 { "linux/amd64" } else { "linux/arm64/v8" };
    let digest = format!("sha256:{:064x}", image.digest % 4);
    match (image.kind % 8, digest.parse(), platform.parse()) {
        (0, _, _) => Details::NotAnImage("a chart".to_owned()),
        (_, Ok(digest), Ok(platform)) => Details::Known(Known {
            digest,
            builds: vec![(platform, time(image.built))],
            pushed: time(image.pushed),
            first_seen: time(image.seen),
        }),
        _ => Details::Unknown,
    }
}

fuzz_target!(|input: Input<'_>| {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let spec = RuleSpec {
        strategy: Some(StrategySpec(STRATEGIES[usize::from(input.strategy) % STRATEGIES.len()].to_owned())),
        constraint: owned(input.constraint),
        allow_tags: input.extract.map(|text| AllowTags { extract: Some(text.to_owned()), ..AllowTags::default() }),
        ignore_tags: input.ignore.map(|text| vec![text.to_owned()]),
        platforms: input.platforms.then(|| vec!["linux/arm64".to_owned()]),
        minimum_age: input.aged.then(|| "24h".to_owned()),
        allow_downgrade: Some(input.downgrade),
        pin: Some(PinSpec(PINS[usize::from(input.pin) % PINS.len()].to_owned())),
        ..RuleSpec::default()
    };
    let (Some(rule), _) = rule(&spec, "spec.images[0]", None, Dialect::Policy) else { return };
    let tag = |text: &str| text.parse::<Tag>().ok();
    let images: BTreeMap<Tag, Details> =
        input.tags.iter().filter_map(|(text, image)| Some((tag(text)?, details(image)))).collect();
    let mut listing = Listing::of_tags(images.keys().cloned());
    let situation = Situation {
        current: input.current.and_then(tag).map(|tag| Current { tag: Some(tag), digest: None }),
        taken_back: input.taken_back.and_then(tag),
        ..Situation::new(Timestamp::from_second(3_000_000).unwrap_or(Timestamp::UNIX_EPOCH))
    };
    for _ in 0..=images.len() {
        let Outcome::NeedDetails(tags) = select(&rule, &listing, &situation).outcome else { break };
        assert!(!tags.is_empty());
        for candidate in listing.candidates.iter_mut().filter(|candidate| tags.contains(&candidate.tag)) {
            assert_eq!(candidate.details, Details::Unknown);
            candidate.details = images.get(&candidate.tag).cloned().unwrap_or_default();
        }
    }
    let decision = select(&rule, &listing, &situation);
    // The one kind of details that stays unknown is an image that this target could not make.
    assert!(!matches!(decision.outcome, Outcome::NeedDetails(_)));
    let counts = decision.counts;
    let lost = counts.not_allowed + counts.ignored + counts.unusable + counts.outside + counts.wrong_platform;
    assert_eq!(lost + counts.held + counts.eligible, counts.listed);
    assert_eq!(verdicts(&rule, &listing, &situation).len(), listing.candidates.len());
    let backwards = Listing { candidates: listing.candidates.iter().rev().cloned().collect::<Vec<Candidate>>(), incomplete: None, places: None };
    assert_eq!(select(&rule, &backwards, &situation), decision);
});
