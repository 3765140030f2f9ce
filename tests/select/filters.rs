//! What is left out, and by what.

use super::support::{check, chosen, decide, listing, situation, usable, words};
use fairlead::lower::Dialect;
use fairlead::model::{Counts, TagGlob};
use fairlead::select::select;

#[test]
fn allow_finds_a_match_anywhere_unless_it_is_anchored() {
    for (regex, tags, expected) in [
        (r"1\.2", "v1.21 v1.3", "v1.21"),
        (r"^1\.2", "v1.2.0 1.2.0", "1.2.0"),
        (r"^1\.[0-9]+$", "1.2 1.2.1", "1.2"),
        (r"1\.1\.[0-9]+|2\.1\.[0-9]+", "1.1.5 2.1.3 2.2.0", "2.1.3"),
        (r"^(?i)V1", "v1.0.0 2.0.0", "v1.0.0"),
        (r"^\d+$", "1 2 2.1", "2"),
        ("nothing", "1.0 2.0", "-"),
    ] {
        chosen(&format!("allow={regex}"), tags, expected);
    }
}

#[test]
fn ignore_takes_globs_versions_and_ranges() {
    for (ignore, tags, expected) in [
        ("1.0", "1.0 1.0.1 1.0.2 0.9.0", "0.9.0"),
        ("1.0", "1.0-rc.1 0.9.0 1.1.0", "1.1.0"),
        ("1", "1.0.0 1.9.9 0.9.0", "0.9.0"),
        ("1.x", "1.0.0 1.9.9 0.9.0", "0.9.0"),
        ("v1.0", "1.0.1 0.9.0", "0.9.0"),
        ("1.0.1", "1.0.1 v1.0.1 1.0.0", "1.0.0"),
        ("1.0.0", "1.0.1 1.0.0", "1.0.1"),
        (">=2.0", "2.0.0 3.0.0 1.9.0", "1.9.0"),
        ("~1.4", "1.4.2 1.3.0", "1.3.0"),
        (">=1.2 <1.4", "1.3.0 1.1.0", "1.1.0"),
        ("1.2 - 1.4", "1.4.9 1.1.0", "1.1.0"),
        ("1.0*", "1.0 1.0.1 1.1", "1.1"),
        ("1.?.0", "1.2.0 1.2.1", "1.2.1"),
        ("1.[2-3].0", "1.2.0 1.3.0 1.1.0", "1.1.0"),
        ("latest", "latest 1.0", "1.0"),
        ("x", "x 1.0.0", "1.0.0"),
        ("1 || 2", "1.0.0 2.1.0 0.9.0", "0.9.0"),
        ("1.2,1.3", "1.2.0 1.3.0 1.1.0", "1.1.0"),
        ("*", "1.2.0 1.3.0", "-"),
        ("2024-01-01", "2024-01-01 1.0.0", "1.0.0"),
    ] {
        chosen(&format!("ignore={ignore}"), tags, expected);
    }
}

#[test]
fn under_other_strategies_ignore_entries_are_globs_alone() {
    for (rule, tags, expected) in [
        ("Alphabetical; ignore=1.0", "1.0 1.0.1", "1.0.1"),
        ("Alphabetical; ignore=1.0*", "1.0 1.0.1 0.9", "0.9"),
        ("Numeric; ignore=7", "7 8 6", "8"),
        ("Numeric; ignore=8", "7 8 08", "08"),
        ("CalVer; ignore=2024.0*", "2024.01 2024.10 2024.09", "2024.10"),
        ("NewestBuild; ignore=1.0", "1.0|built=2026-01-02 1.0.1|built=2026-01-01", "1.0.1"),
    ] {
        chosen(rule, tags, expected);
    }
}

#[test]
fn globs_match_as_file_names_do_in_go() {
    for (glob, tag, expected) in [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "abc", true),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^b-d]", "abc", false),
        ("ab[^e-g]", "abc", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "ab", false),
        ("a???b", "acccb", true),
        ("a???b", "accb", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        (r"[\]a]", "]", true),
        (r"[\-]", "-", true),
        (r"[x\-]", "x", true),
        (r"[x\-]", "-", true),
        (r"[x\-]", "z", false),
        (r"[\-x]", "x", true),
        ("[^-]", "x", false),
        ("*-rc*", "1.0-rc1", true),
        ("*-rc*", "1.0", false),
        ("sha-???????", "sha-0123abc", true),
        ("", "", true),
        ("", "a", false),
        ("**", "abc", true),
        ("*ab*ab*", "xabyab", true),
        ("*ab*ab*", "xaby", false),
    ] {
        let found = glob.parse::<TagGlob>().is_ok_and(|glob| glob.matches(tag));
        assert_eq!(found, expected, "{glob} {tag}");
    }
}

#[test]
fn bad_globs_are_refused() {
    for glob in ["[", "[a", "[]", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", r"a\", r"[\", "[a-"] {
        assert!(glob.parse::<TagGlob>().is_err(), "{glob}");
    }
}

#[test]
fn artefacts_of_cosign_are_never_candidates() {
    let hex = "0123456789abcdef".repeat(4);
    for suffix in ["", ".sig", ".att", ".sbom"] {
        let artefact = format!("sha256-{hex}{suffix}");
        for strategy in ["SemVer", "Alphabetical", "CalVer", "Numeric", "NewestBuild"] {
            check(strategy, &artefact, "", "nothing NoTagAllowed");
        }
        check(&format!("Digest; constraint={artefact}"), &artefact, "", "nothing NoTagAllowed");
    }
    for tag in ["sha256-abc.sig", "sha256", &format!("sha256-{hex}.txt"), &format!("sha512-{hex}.sig")] {
        chosen("Alphabetical", tag, tag);
    }
}

#[test]
fn platforms_matter_only_where_images_are_read() {
    for (rule, tags, expected) in [
        ("for=linux/arm64", "1.0|for=linux/amd64", "move 1.0"),
        ("for=linux/arm64; pin=TagAndDigest", "1.0|for=linux/amd64 0.9|for=linux/arm64", "move 0.9"),
        ("for=linux/arm64; age=1h", "1.0|seen=2026-01-01|for=linux/amd64", "nothing NoTagAllowed"),
        ("for=linux/arm64; pin=Digest", "1.0|for=linux/arm64/v8", "move 1.0"),
    ] {
        check(rule, tags, "", expected);
    }
}

#[test]
fn pins_need_the_digest_of_the_winner_alone() {
    for (rule, tags, current, expected) in [
        ("", "1.0 1.1", "", "move 1.1"),
        ("pin=Tag", "1.0 1.1", "", "move 1.1"),
        ("pin=Digest", "1.0 1.1", "", "need 1.1"),
        ("pin=TagAndDigest", "1.0 1.1", "1.0@x", "need 1.1"),
        ("pin=TagAndDigest", "1.0 1.1|broken", "", "need 1.0"),
        ("pin=TagAndDigest", "1.0 1.1|digest=x", "", "move 1.1"),
        ("pin=TagAndDigest", "1.0 1.1|digest=x", "1.1", "move 1.1"),
        ("pin=TagAndDigest", "1.0 1.1|digest=x", "1.1@x", "stay 1.1"),
        ("pin=TagAndDigest", "1.0 1.1|digest=x", "1.1@y", "move 1.1"),
        ("pin=TagAndDigest", "1.0 1.1|digest=x", "@x", "move 1.1"),
        ("pin=Digest", "1.0 1.1|digest=x", "@x", "stay 1.1"),
        ("pin=Digest", "1.0 1.1|digest=x", "1.1@x", "stay 1.1"),
        ("pin=Digest", "1.0 1.1|digest=x", "@y", "move 1.1"),
        ("pin=Tag", "1.0 1.1", "1.1@x", "stay 1.1"),
        ("pin=Tag", "1.0 1.1", "@x", "move 1.1"),
        ("Alphabetical; pin=Digest", "a b", "", "need b"),
        ("Numeric; pin=Digest", "1 2", "", "need 2"),
        ("CalVer; pin=Digest", "2024.01 2024.02", "", "need 2024.02"),
        ("pin=Digest", "1.2 1.2.0", "1.2@x", "need 1.2"),
        ("pin=Digest", "1.0", "2.0@x", "hold 1.0 WouldGoBackwards"),
    ] {
        check(rule, tags, current, expected);
    }
}

#[test]
fn what_is_written_follows_the_pin() {
    for (rule, expected) in [
        ("pin=Tag", "1.1".to_owned()),
        ("pin=Digest", super::support::digest("x").to_string()),
        ("pin=TagAndDigest", format!("1.1@{}", super::support::digest("x"))),
        ("Digest; constraint=1.1", format!("1.1@{}", super::support::digest("x"))),
    ] {
        let rule = usable(rule, Dialect::Policy);
        match select(&rule, &listing("1.1|digest=x"), &situation("")).outcome {
            fairlead::model::Outcome::Move(choice) => assert_eq!(choice.written(rule.pin), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn counts_say_where_every_tag_went() {
    let tags = "1.0 1.1 1.2-rc1 2.0 latest v1.0-x 1.3-bad 1.4";
    let decision = decide("constraint=<2; allow=^[0-9l]; ignore=*-bad,1.4", tags, &situation(""));
    let expected = Counts {
        listed: 8,
        not_allowed: 1,
        ignored: 2,
        unusable: 1,
        outside: 2,
        wrong_platform: 0,
        held: 0,
        eligible: 2,
    };
    assert_eq!((words(&decision).as_str(), decision.counts), ("move 1.1", expected));
    assert_eq!(decision.runner_up, Some("1.0".parse().unwrap()));
}

#[test]
fn incomplete_lists_decide_nothing() {
    for (rule, tags, current) in [
        ("", "1.0 1.1", ""),
        ("", "1.0 1.1", "1.1"),
        ("", "1.0 1.1", "1.2"),
        ("downgrade", "1.0 1.1", "1.2"),
        ("NewestBuild", "a b", ""),
        ("Digest; constraint=latest", "1.0", "latest@x"),
        ("", "", "1.0"),
    ] {
        let mut listing = listing(tags);
        listing.incomplete = Some("the registry stopped after page 3".to_owned());
        let decision = select(&usable(rule, Dialect::Policy), &listing, &situation(current));
        assert_eq!(words(&decision), "undecided IncompleteList", "{rule} {tags}");
    }
}
