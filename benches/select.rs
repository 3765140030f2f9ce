//! How long it takes to choose among many tags. `cargo bench --bench select`.
#![allow(missing_docs, clippy::unwrap_used)]

use divan::counter::ItemsCount;
use fairlead::api::{AllowTags, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, rule};
use fairlead::model::{Listing, Rule, Situation};
use fairlead::select::{select, verdicts};

fn main() {
    divan::main();
}

const TAGS: usize = 50_000;

fn listing() -> Listing {
    let tag = |index: usize| match index % 5 {
        0 => format!("v{}.{}.{}", index % 7, index % 113, index),
        1 => format!("{}.{}.{}-rc.{}", index % 7, index % 113, index % 997, index % 9),
        2 => format!("main-{index:08x}"),
        3 => format!("{}.{}-alpine3.{}", index % 7, index % 113, index % 20),
        _ => format!("{}.{}.{}", index % 7, index % 113, index),
    };
    Listing::of_tags((0..TAGS).map(|index| tag(index).parse().unwrap()))
}

fn a_rule(strategy: &str, constraint: Option<&str>) -> Rule {
    let allow_tags = AllowTags { regex: Some(r"^v?[0-9]+\.[0-9]+\.[0-9]+$".to_owned()), ..AllowTags::default() };
    let spec = RuleSpec {
        strategy: Some(StrategySpec(strategy.to_owned())),
        constraint: constraint.map(str::to_owned),
        allow_tags: Some(allow_tags),
        ignore_tags: Some(vec!["*-rc*".to_owned(), "6.112".to_owned()]),
        ..RuleSpec::default()
    };
    rule(&spec, "spec.images[0]", None, Dialect::Policy).0.unwrap()
}

fn now() -> Situation {
    Situation::new("2026-01-01T00:00:00Z".parse().unwrap())
}

#[divan::bench(args = ["SemVer", "Alphabetical"])]
fn choose_among_50_000_tags(bencher: divan::Bencher, strategy: &str) {
    let (listing, rule, situation) = (listing(), a_rule(strategy, Some(">=1.2 <6.100")), now());
    bencher.counter(ItemsCount::new(TAGS)).bench_local(|| select(&rule, &listing, &situation));
}

#[divan::bench]
fn explain_50_000_tags(bencher: divan::Bencher) {
    let (listing, rule, situation) = (listing(), a_rule("SemVer", Some(">=1.2 <6.100")), now());
    bencher.counter(ItemsCount::new(TAGS)).bench_local(|| verdicts(&rule, &listing, &situation));
}
