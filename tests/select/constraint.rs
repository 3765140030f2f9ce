//! The constraint language, held against the answers of the library that users know it from.

use fairlead::model::{Fit, LooseVersion, VersionRange};

const TRUTH: &str = include_str!("../data/semver-truth.tsv");

/// Where the answers differ, on purpose: see `docs/reference/differences.md`.
const MENDED: &[&str] = &["^*", "<=*"];

fn inside(constraint: &str, version: &str) -> bool {
    let range: VersionRange = constraint.parse().unwrap_or_else(|error| panic!("{error}"));
    range.fit(&LooseVersion::parse(version).unwrap().version) == Fit::Inside
}

#[test]
fn constraints_mean_what_users_know_them_to_mean() {
    let mut lines = TRUTH.lines().filter(|line| !line.starts_with('#'));
    let versions: Vec<&str> = lines.next().unwrap().split('\t').skip(1).collect();
    let (mut rows, mut wrong) = (0, Vec::new());
    for line in lines {
        let (constraint, answers) = line.split_once('\t').unwrap();
        for (version, answer) in versions.iter().zip(answers.split('\t')) {
            rows += 1;
            if inside(constraint, version) != (answer == "T") && !MENDED.contains(&constraint) {
                wrong.push(format!("{constraint} {version} should be {answer}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(rows > 6000, "{rows}");
}

#[test]
fn every_release_satisfies_the_wildcard_with_any_operator_that_includes_it() {
    for constraint in ["*", "x", "X", "=*", "~*", "^*", "<=*", ">=*", "v*", "*.*.*", "^x", "<= x"] {
        for (version, expected) in [
            ("0.0.0", true),
            ("0.0.1", true),
            ("1.2.3", true),
            ("20240101", true),
            ("18446744073709551615.0.0", true),
            ("1.2.3-rc.1", false),
            ("3.18-alpine", false),
        ] {
            assert_eq!(inside(constraint, version), expected, "{constraint} {version}");
        }
    }
}

#[test]
fn pre_releases_are_named_where_they_are_all_that_keeps_a_version_out() {
    for (constraint, version, expected) in [
        ("*", "1.2.3-rc.1", Fit::PreRelease),
        ("~1.2", "1.2.3-rc.1", Fit::PreRelease),
        ("~1.2", "1.2.0-rc.1", Fit::PreRelease),
        ("~1.2", "1.3.0-rc.1", Fit::Outside),
        ("~1.2-0", "1.2.0-rc.1", Fit::Inside),
        ("<2", "2.0.0-rc.1", Fit::Outside),
        ("<2", "1.9.0-rc.1", Fit::PreRelease),
        ("1.2.3-rc.1", "1.2.3-rc.2", Fit::Outside),
        ("~1.2 || ~1.4-0", "1.4.0-rc.1", Fit::Inside),
        ("~1.2 || ~1.4-0", "1.2.9-rc.1", Fit::PreRelease),
    ] {
        let range: VersionRange = constraint.parse().unwrap();
        assert_eq!(range.fit(&LooseVersion::parse(version).unwrap().version), expected, "{constraint} {version}");
    }
}

#[test]
fn blanks_and_commas_may_stand_anywhere_between() {
    for constraint in [
        ">=1.2 <2",
        ">=1.2, <2",
        ">=1.2,<2",
        ">=1.2 , <2",
        " >=1.2  <2 ",
        ">= 1.2 < 2",
        ">=\t1.2\t<2",
        "1.2 - 1",
        ">=1.2 <=1.x",
        "~1 >=1.2",
        "<2,>=1.2",
        "=>1.2 =<1",
        ">=1.2 <2||>=1.2 <1.5",
        "9 || >=1.2 <2",
        ">=v1.2 <v2",
    ] {
        for (version, expected) in
            [("1.1.9", false), ("1.2.0", true), ("1.9.9", true), ("2.0.0", false), ("1.5.0-rc.1", false)]
        {
            assert_eq!(inside(constraint, version), expected, "{constraint} {version}");
        }
    }
}

#[test]
fn what_is_no_constraint_is_an_error() {
    for text in [
        "",
        " ",
        "||",
        "1 ||",
        "|| 1",
        "latest",
        "V1",
        "1.2.3.4",
        ">1.0<2.0",
        ">=",
        "^",
        "1.2 -",
        "1,",
        ",1",
        "1,,2",
        ">>1",
        "1..2",
        "~~1",
        "==1",
        "1.2.3-01",
        "1 & 2",
        "18446744073709551616",
        "1.2 || || 1.3",
        "1.2.3_1",
        "1.x.y",
        "- 1",
        "<>1",
        ">1.x.x.x",
        ">=1.2 - 2",
        "1|2",
        "１",
        "é",
        "1.2 - ~2",
        "1 -",
        "1.2-",
        "1.2+",
        "!",
        "=",
        "= =1",
    ] {
        assert!(text.parse::<VersionRange>().is_err(), "{text:?}");
    }
}

#[test]
fn messages_mark_the_wrong_part() {
    let message =
        |text: &str| text.parse::<VersionRange>().map_or_else(|error| error.to_string(), |range| range.to_string());
    insta::assert_snapshot!(message(""), @"cannot read the constraint ``: it is empty");
    insta::assert_snapshot!(message(">=1.2 <<2"), @"cannot read the constraint `>=1.2 <<2`: `<<2` at character 7 is not a version");
    insta::assert_snapshot!(message(">=1.2 <latest"), @"cannot read the constraint `>=1.2 <latest`: `latest` at character 8 is not a version");
    insta::assert_snapshot!(message("latest"), @"cannot read the constraint `latest`: `latest` at character 1 is not a version");
    insta::assert_snapshot!(message("~1.2 || "), @"cannot read the constraint `~1.2 || `: a version is missing at character 9");
    insta::assert_snapshot!(message(">=1.2,"), @"cannot read the constraint `>=1.2,`: a version is missing at character 7");
    insta::assert_snapshot!(message(">1.0<2.0"), @"cannot read the constraint `>1.0<2.0`: `<2.0` at character 5 needs a blank or a comma in front of it");
    insta::assert_snapshot!(message("~1.2 ^"), @"cannot read the constraint `~1.2 ^`: `^` at character 6 has no version after it");
    insta::assert_snapshot!(message("1.2 - "), @"cannot read the constraint `1.2 - `: a version is missing at character 7");
    insta::assert_snapshot!(message("~1.99999999999999999999"), @"cannot read the constraint `~1.99999999999999999999`: `1.99999999999999999999` at character 2 is not a version");
    insta::assert_snapshot!(message(&"1".repeat(1025)), @"cannot read the constraint `11111111111111111111111111111111…`: it has 1025 characters; at most 1024 are allowed");
}
