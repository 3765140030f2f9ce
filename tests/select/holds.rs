//! Why an image does not move although it could.

use super::support::{check, check_in, decide, listing, sentence, situation, suspended, taken_back, usable};
use fairlead::lower::Dialect;
use fairlead::model::Situation;
use fairlead::select::select;

#[test]
fn nothing_goes_backwards_by_accident() {
    for (rule, tags, current, expected) in [
        ("", "1.0 1.1", "1.0", "move 1.1"),
        ("", "1.0 1.1", "1.1", "stay 1.1"),
        ("", "1.0 1.1", "1.2", "hold 1.1 WouldGoBackwards"),
        ("", "1.0 1.1", "v1.2", "hold 1.1 WouldGoBackwards"),
        ("downgrade", "1.0 1.1", "1.2", "move 1.1"),
        ("constraint=~1.0", "1.0.1 1.1.0", "1.1.0", "hold 1.0.1 WouldGoBackwards"),
        ("constraint=~1.0; downgrade", "1.0.1 1.1.0", "1.1.0", "move 1.0.1"),
        ("ignore=1.1", "1.0 1.1", "1.1", "hold 1.0 WouldGoBackwards"),
        ("", "1.0", "1.1-rc.1", "hold 1.0 WouldGoBackwards"),
        ("", "1.1", "1.1-rc.1", "move 1.1"),
        ("", "1.0 1.1", "latest", "move 1.1"),
        ("", "1.0 1.1", "main", "move 1.1"),
        ("", "latest", "1.0", "nothing NoTagAllowed"),
        ("", "1.0", "20240101", "hold 1.0 WouldGoBackwards"),
        (r"extract=^(?P<v>.*)-prod$", "1.0-prod 1.1-prod", "1.2-prod", "hold 1.1-prod WouldGoBackwards"),
        (r"extract=^(?P<v>.*)-prod$", "1.0-prod 1.1-prod", "1.2", "move 1.1-prod"),
        ("Alphabetical", "a b", "c", "hold b WouldGoBackwards"),
        ("Alphabetical; downgrade", "a b", "c", "move b"),
        ("Alphabetical", "a b", "a", "move b"),
        ("Numeric", "26 226", "95083", "hold 226 WouldGoBackwards"),
        ("Numeric", "26 226", "latest", "move 226"),
        ("CalVer", "2024.01", "2024.02", "hold 2024.01 WouldGoBackwards"),
        ("CalVer", "2024.01", "1.2.3", "move 2024.01"),
        ("NewestBuild", "a|built=2026-01-01 b|built=2026-01-02", "a", "move b"),
        ("NewestBuild", "a|built=2026-01-01 b|built=2026-01-02", "b", "stay b"),
        ("NewestBuild; allow=a", "a|built=2026-01-01 b|built=2026-01-02", "b", "hold a WouldGoBackwards"),
        ("NewestBuild; allow=a; downgrade", "a|built=2026-01-01 b|built=2026-01-02", "b", "move a"),
        ("NewestBuild", "a|built=2026-01-01", "gone", "move a"),
        ("NewestBuild", "a|built=2026-01-01 b|known", "b", "move a"),
        ("NewestBuild; allow=a", "a|built=2026-01-01 b|built=2026-01-02|digest=x", "@x", "hold a WouldGoBackwards"),
        ("NewestBuild; allow=a", "a|built=2026-01-01 b|built=2026-01-02", "@y", "move a"),
        ("Digest; constraint=latest", "latest|digest=x", "1.0@y", "move latest"),
    ] {
        check(rule, tags, current, expected);
    }
}

#[test]
fn versions_above_the_present_one_are_counted_and_those_that_wait_among_them() {
    for (rule, tags, current, above) in [
        ("", "1.0 1.1 1.2", "1.0", 2),
        ("", "1.0 1.1 1.2", "1.2", 0),
        ("", "1.0 1.1", "1.2", 0),
        ("constraint=~1.0", "1.0.0 1.0.1 1.1.0", "1.0.0", 1),
        ("ignore=1.1", "1.0 1.1 1.2", "1.0", 1),
        ("", "1.0 1.1", "latest", 0),
        ("", "1.0 1.1", "", 0),
        ("NewestBuild", "a|built=2026-01-01 b|built=2026-01-02", "a", 1),
        ("Digest; constraint=latest", "latest|digest=x", "latest@y", 0),
    ] {
        assert_eq!(decide(rule, tags, &situation(current)).above, above, "rule `{rule}`, tags `{tags}`, `{current}`");
    }
    let taken = decide("", "1.3 1.4 1.6", &taken_back("1.4", "1.6"));
    assert_eq!(taken.above, 1);
}

#[test]
fn what_a_person_took_back_waits_for_something_newer() {
    for (rule, tags, current, back, expected) in [
        ("", "1.3 1.4 1.6", "1.4", "1.6", "hold 1.6 RolledBackByHand"),
        ("", "1.3 1.4 1.5 1.6", "1.4", "1.6", "hold 1.6 RolledBackByHand"),
        ("", "1.3 1.4 1.5 1.6 1.7", "1.4", "1.6", "move 1.7"),
        ("", "1.3 1.4 1.5", "1.4", "1.6", "hold 1.5 RolledBackByHand"),
        ("", "1.3 1.4", "1.4", "1.6", "stay 1.4"),
        ("", "1.4 1.6 v1.6.0", "1.4", "1.6", "hold v1.6.0 RolledBackByHand"),
        ("", "1.4 1.6 1.7-rc.1", "1.4", "1.6", "hold 1.6 RolledBackByHand"),
        ("", "1.4 1.6", "1.6", "1.6", "stay 1.6"),
        ("", "1.4 1.6", "", "1.6", "hold 1.6 RolledBackByHand"),
        ("downgrade", "1.3 1.4 1.6", "1.4", "1.6", "hold 1.6 RolledBackByHand"),
        ("", "1.6", "latest", "1.6", "hold 1.6 RolledBackByHand"),
        ("", "1.4 1.6 1.7", "1.4", "oops", "move 1.7"),
        ("Alphabetical", "a b c", "a", "c", "hold c RolledBackByHand"),
        ("Alphabetical", "a b c d", "a", "c", "move d"),
        ("Numeric", "9 10 11", "9", "10", "move 11"),
        ("Numeric", "9 10", "9", "10", "hold 10 RolledBackByHand"),
        ("CalVer", "2024.01 2024.02", "2024.01", "2024.02", "hold 2024.02 RolledBackByHand"),
        ("NewestBuild", "a|built=2026-01-01 b|built=2026-01-02", "a", "b", "hold b RolledBackByHand"),
        ("NewestBuild", "a|built=2026-01-01 b|built=2026-01-02 c|built=2026-01-03", "a", "b", "move c"),
        ("NewestBuild", "a|built=2026-01-01 b", "a", "b", "need b"),
        ("NewestBuild; ignore=b", "a|built=2026-01-01 b", "a", "b", "need b"),
        ("Digest; constraint=latest", "latest|digest=x", "latest@y", "latest", "hold latest RolledBackByHand"),
        ("Digest; constraint=latest", "latest|digest=x", "latest@x", "latest", "stay latest"),
        ("Digest; constraint=latest", "latest", "latest@y", "latest", "need latest"),
        ("pin=Digest", "1.4 1.6", "1.4@x", "1.6", "need 1.4"),
    ] {
        check_in(rule, tags, &taken_back(current, back), expected);
    }
}

#[test]
fn young_images_wait_and_older_ones_go_meanwhile() {
    // Now is 2026-02-01T00:00:00Z.
    for (tags, current, expected) in [
        ("1.1|seen=2026-01-01", "1.0", "move 1.1"),
        ("1.1|seen=2026-01-31", "1.0", "move 1.1"),
        ("1.1|seen=2026-01-31T00:00:01Z", "1.0", "hold 1.1 TooYoung until 2026-02-01T00:00:01Z"),
        ("1.0 1.1|seen=2026-01-31T12:00:00Z", "1.0", "hold 1.1 TooYoung until 2026-02-01T12:00:00Z"),
        ("1.0 1.1|seen=2026-01-31T12:00:00Z", "1.1", "stay 1.1"),
        ("1.0 1.1|seen=2026-01-01 1.2|seen=2026-01-31T12:00:00Z", "1.0", "move 1.1"),
        (
            "1.0 1.1|seen=2026-01-01 1.2|seen=2026-01-31T12:00:00Z",
            "1.1",
            "hold 1.2 TooYoung until 2026-02-01T12:00:00Z",
        ),
        ("1.0 1.1|seen=2026-01-01 1.2|seen=2026-01-31T12:00:00Z", "", "move 1.1"),
        ("1.0 1.1 1.2", "1.0", "need 1.2"),
        ("1.0 1.1 1.2|seen=2026-01-31T12:00:00Z", "1.0", "need 1.1"),
        ("1.0 1.1 1.2|seen=2026-01-01", "1.0", "move 1.2"),
        ("1.0", "1.0", "stay 1.0"),
        ("1.0", "1.1", "hold 1.0 WouldGoBackwards"),
        ("1.1|built=2025-01-01", "1.0", "move 1.1"),
        ("1.1|pushed=2025-01-01", "1.0", "move 1.1"),
        ("1.1|built=2025-01-01|seen=2026-01-31T12:00:00Z", "1.0", "hold 1.1 TooYoung until 2026-02-01T12:00:00Z"),
        ("1.1|built=2025-01-01|pushed=2026-01-31T12:00:00Z", "1.0", "hold 1.1 TooYoung until 2026-02-01T12:00:00Z"),
        ("1.1|built=2026-02-03", "1.0", "hold 1.1 TooYoung until 2026-02-04T00:00:00Z"),
        ("1.1|known", "1.0", "hold 1.1 TooYoung"),
        ("1.1|broken 1.0", "1.0", "stay 1.0"),
    ] {
        check("age=24h", tags, current, expected);
    }
}

#[test]
fn the_age_is_that_of_the_image_behind_the_tag() {
    for (rule, tags, current, expected) in [
        (
            "NewestBuild; age=24h",
            "a|built=2026-01-01 b|built=2026-01-31T12:00:00Z",
            "a",
            "hold b TooYoung until 2026-02-01T12:00:00Z",
        ),
        ("NewestBuild; age=24h", "a|built=2026-01-01 b|built=2026-01-31T12:00:00Z|seen=2026-01-02", "a", "move b"),
        (
            "Digest; constraint=l; age=24h",
            "l|digest=x|seen=2026-01-31T12:00:00Z",
            "l@y",
            "hold l TooYoung until 2026-02-01T12:00:00Z",
        ),
        ("Digest; constraint=l; age=24h", "l|digest=x|seen=2026-01-31T12:00:00Z", "l@x", "stay l"),
        ("Digest; constraint=l; age=24h", "l|digest=x|seen=2026-01-01", "l@y", "move l"),
        (
            "pin=TagAndDigest; age=24h",
            "1.0|digest=x 1.1|digest=y|seen=2026-01-31T12:00:00Z",
            "1.1@z",
            "hold 1.1 TooYoung until 2026-02-01T12:00:00Z",
        ),
        (
            "pin=TagAndDigest; age=24h; downgrade",
            "1.0|digest=x|seen=2026-01-01 1.1|digest=y|seen=2026-01-31T12:00:00Z",
            "1.1@z",
            "hold 1.1 TooYoung until 2026-02-01T12:00:00Z",
        ),
        ("age=500w", "1.1|seen=2026-01-01", "1.0", "hold 1.1 TooYoung until 2035-08-02T00:00:00Z"),
        ("age=0s", "1.1", "1.0", "move 1.1"),
    ] {
        check(rule, tags, current, expected);
    }
}

#[test]
fn a_closed_schedule_or_a_suspended_policy_holds_moves_alone() {
    for (rule, tags, current, expected) in [
        ("", "1.0 1.1", "1.0", "hold 1.1 Suspended"),
        ("", "1.0 1.1", "", "hold 1.1 Suspended"),
        ("", "1.0 1.1", "1.1", "stay 1.1"),
        ("", "1.0 1.1", "1.2", "hold 1.1 WouldGoBackwards"),
        ("", "latest", "1.2", "nothing NoTagAllowed"),
        ("pin=Digest", "1.0", "", "need 1.0"),
    ] {
        check_in(rule, tags, &suspended(current), expected);
    }
}

#[test]
fn messages_say_why_and_until_when() {
    let say = |rule: &str, tags: &str, situation: &Situation| sentence(&decide(rule, tags, situation));
    insta::assert_snapshot!(say("", "1.1", &situation("1.2")), @"`1.1` is lower than `1.2`, which is in place; `allowDowngrade: true` lets it pass");
    insta::assert_snapshot!(say("NewestBuild; allow=a", "a|built=2026-01-01 b|built=2026-01-02|digest=x", &situation("@x")), @"`a` is lower than `b`, which is in place; `allowDowngrade: true` lets it pass");
    insta::assert_snapshot!(say("", "1.4 1.6", &taken_back("1.4", "1.6")), @"`1.6` was taken back by hand; it is held until something newer appears");
    insta::assert_snapshot!(say("", "1.4 1.5", &taken_back("1.4", "1.6")), @"`1.5` is not newer than `1.6`, which was taken back by hand");
    insta::assert_snapshot!(say("age=24h", "1.1|seen=2026-01-31T12:00:00Z", &situation("1.0")), @"`1.1` is younger than 24h; it may be taken from 2026-02-01T12:00:00Z on");
    insta::assert_snapshot!(say("age=1h30m", "1.1|known", &situation("1.0")), @"`1.1` must be older than 1h 30m, and nothing says how old it is");
    insta::assert_snapshot!(say("age=24h", "1.1|seen=2026-01-01 1.2|seen=2026-01-31T12:00:00Z", &situation("latest")), @"`latest` has no place in the order of SemVer; `1.1` is taken without a comparison; `1.2` is younger than 24h; it may be taken from 2026-02-01T12:00:00Z on");
    insta::assert_snapshot!(say("", "1.1", &situation("latest")), @"`latest` has no place in the order of SemVer; `1.1` is taken without a comparison");
    insta::assert_snapshot!(say("", "1.1", &situation("@x")), @"no listed tag is known to have the present digest; `1.1` is taken without a comparison");
    insta::assert_snapshot!(say("", "1.1", &suspended("1.0")), @"the policy is suspended");
    insta::assert_snapshot!(say("", "", &situation("")), @"the repository has no tags");
    insta::assert_snapshot!(say("constraint=~1.2; allow=^[^m]; ignore=*-x", "main latest 2.0 1.2-x", &situation("")), @"none of 4 tags passes the rule: 1 not allowed, 1 ignored, 1 not usable under the strategy, 1 outside of the constraint");
    insta::assert_snapshot!(say("", "latest", &situation("")), @"none of 1 tag passes the rule: 1 not usable under the strategy");
    insta::assert_snapshot!(say("NewestBuild; for=linux/arm64", "a|built=2026-01-01 b|built=2026-01-01", &situation("")), @"none of 2 tags passes the rule: 2 for other platforms");
    let mut cut_off = listing("1.0");
    cut_off.incomplete = Some("the registry stopped after page 3".to_owned());
    insta::assert_snapshot!(sentence(&select(&usable("", Dialect::Policy), &cut_off, &situation(""))), @"the list of tags is not complete: the registry stopped after page 3; nothing is decided");
}
