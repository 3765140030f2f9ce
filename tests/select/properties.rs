//! What holds for every list of tags and every rule.

use fairlead::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, duration, rule};
use fairlead::model::{
    Candidate, Details, ImageReference, Known, Listing, LooseVersion, Outcome, Reason, Rule, Situation, Tag,
    VersionRange,
};
use fairlead::select::{select, verdicts};
use proptest::prelude::*;

use super::support::{digest, situation, time};

fn tag_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "v?[0-3]\\.[0-3](\\.[0-3])?(-(rc|alpha)\\.[0-9])?",
        1 => "20(24|25)\\.(0[1-9]|1[0-2])(\\.[0-9]{1,2})?",
        1 => "[0-9]{1,9}",
        1 => "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,6}",
        1 => Just("latest".to_owned()),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (tag_text(), 0_u8..6, 1_i64..20, prop::option::of(1_i64..20)).prop_map(|(tag, kind, built, seen)| {
        let day = |day: i64| jiff::Timestamp::from_second(1_769_900_000 - day * 40_000).unwrap();
        let details = match kind {
            0 => Details::NotAnImage("a chart".to_owned()),
            _ => Details::Known(Known {
                digest: digest(&format!("d{}", built % 3)),
                builds: vec![("linux/amd64".parse().unwrap(), (kind > 1).then(|| day(built)))],
                pushed: (kind == 5).then(|| day(built + 1)),
                first_seen: seen.map(day),
            }),
        };
        Candidate { tag: tag.parse().unwrap(), details }
    })
}

fn listing() -> impl Strategy<Value = Listing> {
    prop::collection::vec(candidate(), 0..25).prop_map(|mut candidates| {
        candidates.sort_by(|one, other| one.tag.cmp(&other.tag));
        candidates.dedup_by(|one, other| one.tag == other.tag);
        Listing { candidates, incomplete: None, places: None }
    })
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let strategy = prop::sample::select(vec!["SemVer", "NewestBuild", "Alphabetical", "Digest", "CalVer", "Numeric"]);
    let range = prop::sample::select(vec!["*", "~1", "^0.2", ">=1 <3", "*-0", "1.x || 3"]);
    let ignore = prop::sample::select(vec!["*-rc*", "1.0", "latest", "v*"]);
    let pin = prop::sample::select(vec!["Tag", "Digest", "TagAndDigest"]);
    let age = prop::option::of(prop::sample::select(vec!["24h", "3d"]));
    (strategy, prop::option::of(range), prop::option::of(ignore), pin, age, any::<bool>()).prop_map(
        |(strategy, range, ignore, pin, age, downgrade)| {
            let constraint = match strategy {
                "Digest" => Some("latest".to_owned()),
                "CalVer" | "Numeric" => None,
                _ => range.map(str::to_owned),
            };
            let pin = if strategy == "Digest" { "TagAndDigest" } else { pin };
            let spec = RuleSpec {
                strategy: Some(StrategySpec(strategy.to_owned())),
                constraint,
                ignore_tags: ignore.map(|glob| vec![glob.to_owned()]),
                pin: Some(PinSpec(pin.to_owned())),
                minimum_age: age.map(str::to_owned),
                allow_downgrade: Some(downgrade),
                ..RuleSpec::default()
            };
            rule(&spec, "spec.images[0]", None, Dialect::Policy).0.unwrap()
        },
    )
}

fn a_situation() -> impl Strategy<Value = Situation> {
    (prop::option::of(tag_text()), prop::option::of(tag_text())).prop_map(|(current, back)| Situation {
        taken_back: back.map(|back| back.parse().unwrap()),
        now: time("2026-02-01"),
        ..situation(&current.unwrap_or_default())
    })
}

fn choice(outcome: &Outcome) -> Option<&Tag> {
    match outcome {
        Outcome::Move(choice) | Outcome::Stay(choice) | Outcome::Hold { choice, .. } => Some(&choice.tag),
        Outcome::Nothing { .. } | Outcome::Undecided { .. } | Outcome::NeedDetails(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_list_changes_nothing(rule in a_rule(), listing in listing(), situation in a_situation(), seed in any::<u64>()) {
        let mut shuffled = listing.clone();
        let key = |candidate: &Candidate| candidate.tag.as_str().bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)).rotate_left(7));
        shuffled.candidates.sort_by_key(key);
        prop_assert_eq!(select(&rule, &listing, &situation), select(&rule, &shuffled, &situation));
    }

    #[test]
    fn what_is_written_satisfies_the_rule(rule in a_rule(), listing in listing(), situation in a_situation()) {
        let decision = select(&rule, &listing, &situation);
        if let Outcome::Move(choice) = &decision.outcome {
            // Alone, and with nothing in place, it is taken as well.
            let alone = Listing { candidates: listing.candidates.iter().filter(|one| one.tag == choice.tag).cloned().collect(), incomplete: None, places: None };
            let fresh = Situation { taken_back: situation.taken_back.clone(), ..Situation::new(situation.now) };
            prop_assert_eq!(select(&rule, &alone, &fresh).outcome, decision.outcome);
        }
    }

    #[test]
    fn a_loser_changes_nothing_by_being_there(rule in a_rule(), listing in listing(), situation in a_situation(), index in any::<prop::sample::Index>()) {
        let decision = select(&rule, &listing, &situation);
        if listing.candidates.is_empty() { return Ok(()); }
        let mut fewer = listing.clone();
        let removed = fewer.candidates.remove(index.index(listing.candidates.len()));
        let matters = choice(&decision.outcome) == Some(&removed.tag)
            || situation.current.as_ref().is_some_and(|current| current.tag.as_ref() == Some(&removed.tag))
            || situation.taken_back.as_ref() == Some(&removed.tag)
            || matches!(decision.outcome, Outcome::Nothing { .. });
        let waiting = verdicts(&rule, &listing, &situation).iter().any(|verdict| verdict.tag == removed.tag && matches!(verdict.reason, Reason::TooYoung | Reason::RolledBackByHand | Reason::Chosen));
        if !matters && !waiting {
            prop_assert_eq!(select(&rule, &fewer, &situation).outcome, decision.outcome);
        }
    }

    #[test]
    fn one_write_is_enough(rule in a_rule(), listing in listing(), current in prop::option::of(tag_text())) {
        let before = Situation { now: time("2026-02-01"), ..situation(&current.unwrap_or_default()) };
        if let Outcome::Move(choice) = select(&rule, &listing, &before).outcome {
            let current = Some(fairlead::model::Current { tag: Some(choice.tag.clone()), digest: choice.digest.clone() });
            let after = select(&rule, &listing, &Situation { current, ..before });
            prop_assert!(!matches!(after.outcome, Outcome::Move(_)), "{:?}", after);
        }
    }

    #[test]
    fn asking_comes_to_an_end(rule in a_rule(), listing in listing(), situation in a_situation()) {
        let mut known = listing.clone();
        known.candidates.iter_mut().for_each(|candidate| candidate.details = Details::Unknown);
        for _ in 0..=listing.candidates.len() {
            let Outcome::NeedDetails(tags) = select(&rule, &known, &situation).outcome else { break };
            prop_assert!(!tags.is_empty());
            for tag in tags {
                let place = known.candidates.iter().position(|candidate| candidate.tag == tag).unwrap();
                prop_assert_eq!(&known.candidates[place].details, &Details::Unknown);
                known.candidates[place] = listing.candidates[place].clone();
            }
        }
        let outcome = select(&rule, &known, &situation).outcome;
        prop_assert!(!matches!(outcome, Outcome::NeedDetails(_)));
    }

    #[test]
    fn counts_add_up_and_every_tag_has_a_verdict(rule in a_rule(), listing in listing(), situation in a_situation()) {
        let counts = select(&rule, &listing, &situation).counts;
        let sum = counts.not_allowed + counts.ignored + counts.unusable + counts.outside + counts.wrong_platform + counts.held + counts.eligible;
        prop_assert_eq!(sum, listing.candidates.len());
        let verdicts = verdicts(&rule, &listing, &situation);
        prop_assert_eq!(verdicts.len(), listing.candidates.len());
        prop_assert!(verdicts.iter().filter(|verdict| verdict.reason == Reason::Chosen).count() <= 1);
        prop_assert!(verdicts.iter().all(|verdict| !verdict.message.is_empty()));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", other in "[-0-9v.x*<>=~^!|, a-z\\[\\]\\\\]{0,30}", dialect in any::<bool>()) {
        for text in [text.as_str(), other.as_str()] {
            let _ = LooseVersion::parse(text);
            let _ = text.parse::<VersionRange>();
            let _ = text.parse::<ImageReference>();
            let _ = duration(text);
            for strategy in ["SemVer", "NewestBuild", "Digest", "CalVer", "Numeric", text] {
                let owned = Some(text.to_owned());
                let spec = RuleSpec {
                    strategy: Some(StrategySpec(strategy.to_owned())),
                    constraint: owned.clone(),
                    allow_tags: Some(AllowTags { regex: owned.clone(), ..AllowTags::default() }),
                    ignore_tags: Some(vec![text.to_owned()]),
                    platforms: Some(vec![text.to_owned()]),
                    minimum_age: owned,
                    ..RuleSpec::default()
                };
                let dialect = if dialect { Dialect::Policy } else { Dialect::Annotation };
                let _ = rule(&spec, "spec.images[0]", None, dialect);
            }
        }
    }

    #[test]
    fn a_version_is_never_both_above_and_below(text in "v?[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-[a-z0-9]{1,4})?", other in "[0-9]{1,3}(\\.[0-9]{1,3}){2}") {
        let Some(version) = LooseVersion::parse(&text) else { return Ok(()) };
        let inside = |operator: &str| format!("{operator}{other}").parse::<VersionRange>().unwrap().covers(&version.version);
        prop_assert_eq!(inside("<"), !inside(">="));
        prop_assert_eq!(inside(">"), !inside("<="));
        prop_assert_eq!(inside("="), !inside("!="));
    }
}
