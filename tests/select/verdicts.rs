//! A verdict for every candidate, in the order of the listing.

use super::support::{explained, listing, situation, suspended, taken_back, usable};
use fairlead::lower::Dialect;
use fairlead::select::verdicts;

#[test]
fn every_tag_has_its_sentence() {
    let artefact = format!("sha256-{}.sig", "ab".repeat(32));
    let tags = format!("1.0 1.1 1.1.0 2.0 1.2-rc1 latest m1 1.0-bad 0.9 {artefact} 0.8|broken");
    let rule = "constraint=~1; allow=^[^m]; ignore=*-bad,0.9";
    insta::assert_snapshot!(explained(rule, &tags, &situation("1.1")), @r#"
        1.0: Outranked: `1.1` is higher
        1.1: Chosen: the highest that passes the rule
        1.1.0: Outranked: `1.1.0` is the same version as `1.1`, which is in place and stays
        2.0: OutsideConstraint: `2.0` is outside of `~1`
        1.2-rc1: PreRelease: `1.2-rc1` is a pre-release, which `~1` does not ask for; a bound that ends in `-0` does
        latest: NotAVersion: `latest` is not a semantic version
        m1: NotAllowed: `^[^m]` finds nothing in `m1`
        1.0-bad: Ignored: `*-bad` leaves out `1.0-bad`
        0.9: Ignored: `0.9` leaves out `0.9`
        sha256-abababababababababababababababababababababababababababababababab.sig: NotAnImage: `sha256-abababababababababababababababababababababababababababababababab.sig` is a signature or an attestation, by its name
        0.8: OutsideConstraint: `0.8` is outside of `~1`
        "#);
}

#[test]
fn sentences_of_other_strategies() {
    insta::assert_snapshot!(explained("Digest; constraint=latest", "latest|digest=x 1.0", &situation("")), @r#"
        latest: Chosen: the highest that passes the rule
        1.0: NotTheFollowedTag: `1.0` is not `latest`, the tag that is followed
        "#);
    insta::assert_snapshot!(explained("CalVer; constraint=2024", "2024.01 2025.01 1.2.3 2024.1", &situation("")), @r#"
        2024.01: Outranked: `2024.01` is the same version as `2024.1`, which goes first by its text
        2025.01: OutsideConstraint: `2025.01` is outside of `2024`
        1.2.3: NotAVersion: `1.2.3` is not a calendar version
        2024.1: Chosen: the highest that passes the rule
        "#);
    insta::assert_snapshot!(explained("Numeric; extract=^b(?P<n>.*)$", "b7 b8 7 bx", &situation("b9")), @r#"
        b7: Outranked: `b8` is higher
        b8: WouldGoBackwards: the highest that passes the rule, but held: `b8` is lower than `b9`, which is in place; `allowDowngrade: true` lets it pass
        7: NotAllowed: `^b(?P<n>.*)$` extracts nothing from `7`
        bx: NotAVersion: `bx` is not a build number
        "#);
    let tags = "1.0.0|built=2026-01-01 1.0.1|known 1.0.2|built=2026-01-01|for=linux/amd64 2.0.0 main";
    insta::assert_snapshot!(explained("NewestBuild; constraint=~1; for=linux/amd64", tags, &situation("")), @r#"
        1.0.0: Outranked: `1.0.2` was built at the same moment, and goes first by its text
        1.0.1: NoBuildDate: the image of `1.0.1` states no build date
        1.0.2: Chosen: the newest build that passes the rule
        2.0.0: OutsideConstraint: `2.0.0` is outside of `~1`
        main: NotAVersion: `main` is not a semantic version
        "#);
    insta::assert_snapshot!(explained("NewestBuild; for=linux/arm64,linux/arm", "a|built=2026-01-01 b", &situation("")), @r#"
        a: WrongPlatform: `a` is not built for linux/arm64 or linux/arm
        b: NoBuildDate: the build date of `b` is not known yet
        "#);
}

#[test]
fn sentences_of_incomplete_lists_and_broken_images() {
    let mut cut_off = listing("1.0 1.1");
    cut_off.incomplete = Some("the registry stopped after page 3".to_owned());
    let found = verdicts(&usable("", Dialect::Policy), &cut_off, &situation(""));
    let lines: Vec<String> = found.iter().map(|one| format!("{}: {}: {}", one.tag, one.reason, one.message)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
        1.0: Outranked: `1.1` is higher
        1.1: IncompleteList: the highest so far, in a list that is not complete
        "#);
    insta::assert_snapshot!(explained("", "1.1|broken 1.0", &situation("")), @r#"
        1.1: NotAnImage: `1.1` holds no runnable image: a Helm chart
        1.0: Chosen: the highest that passes the rule
        "#);
}

#[test]
fn sentences_of_holds() {
    insta::assert_snapshot!(explained("", "1.4 1.5 1.6", &taken_back("1.4", "1.6")), @r#"
        1.4: Chosen: the highest that passes the rule
        1.5: RolledBackByHand: `1.5` is not newer than `1.6`, which was taken back by hand
        1.6: RolledBackByHand: `1.6` was taken back by hand; it is held until something newer appears
        "#);
    insta::assert_snapshot!(explained("age=24h", "1.0 1.1|seen=2026-01-31T12:00:00Z", &situation("1.0")), @r#"
        1.0: Chosen: the highest that passes the rule
        1.1: TooYoung: `1.1` is younger than 24h; it may be taken from 2026-02-01T12:00:00Z on
        "#);
    insta::assert_snapshot!(explained("pin=Digest", "1.0 1.1", &situation("")), @r#"
        1.0: Outranked: `1.1` is higher
        1.1: Chosen: the highest so far; its details are not known yet
        "#);
    insta::assert_snapshot!(explained("", "1.0 1.1", &suspended("1.0")), @r#"
        1.0: Outranked: `1.1` is higher
        1.1: Suspended: the highest that passes the rule, but held: the policy is suspended
        "#);
}
