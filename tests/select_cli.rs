//! `fairlead select`, as a person runs it.
#![cfg(feature = "operator")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::io::Write;
use std::process::{Command, Stdio};

/// The exit code and standard output of the command for tags on standard input; standard error where it fails otherwise.
fn run(arguments: &[&str], tags: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.arg("select").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no tags may have closed its input already.
    let _ = child.stdin.take().unwrap().write_all(tags.as_bytes());
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    let text = if code == 1 { output.stderr } else { output.stdout };
    (code, String::from_utf8(text).unwrap())
}

fn json(arguments: &[&str], tags: &str) -> (i32, serde_json::Value) {
    let (code, text) = run(&[arguments, &["-o", "json"]].concat(), tags);
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn check(arguments: &[&str], tags: &str, chosen: Option<&str>, written: Option<&str>) {
    let (code, answer) = json(arguments, tags);
    assert_eq!(code, 0, "{arguments:?}");
    assert_eq!((answer["chosen"].as_str(), answer["written"].as_str()), (chosen, written), "{arguments:?} {answer:#}");
}

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn options_make_the_rule() {
    let tags = "1.0.0\n1.1.0\n2.0.0\n2.1.0-rc1\nlatest\n";
    for (arguments, chosen) in [
        (&[][..], Some("2.0.0")),
        (&["--constraint", "~1.0"], Some("1.0.0")),
        (&["--constraint", ">=1 <2"], Some("1.1.0")),
        (&["--constraint", "*-0"], Some("2.1.0-rc1")),
        (&["--allow-tags", "^1"], Some("1.1.0")),
        (&["--allow-tags", "any"], Some("2.0.0")),
        (&["--ignore-tags", "2.0", "--ignore-tags", "1.1.*"], Some("1.0.0")),
        (&["--strategy", "Alphabetical"], Some("latest")),
        (&["--strategy", "name", "--dialect", "annotation"], Some("latest")),
        (&["--allow-tags", "regexp:^1", "--dialect", "annotation"], Some("1.1.0")),
        (&["--ignore-tags", "2.0,1.1", "--dialect", "annotation"], Some("1.0.0")),
        (&["--extract", r"^(?P<v>1\..*)$"], Some("1.1.0")),
        (&["--current", "1.1.0"], Some("2.0.0")),
        (&["--current", "2.0.0"], Some("2.0.0")),
        (&["--current", "3.0.0"], None),
        (&["--current", "3.0.0", "--allow-downgrade"], Some("2.0.0")),
        (&["--constraint", "9"], None),
        (&["--strategy", "Digest", "--constraint", "latest"], None),
        (&["--strategy", "NewestBuild"], None),
        (&["--pin", "Digest"], None),
        (&["--minimum-age", "1h"], None),
        (&["--minimum-age", "1h", "--current", "1.0.0"], Some("1.0.0")),
    ] {
        check(arguments, tags, chosen, chosen);
    }
}

#[test]
fn dates_digests_and_platforms_come_after_tabs() {
    let tags = format!(
        "1.0\t2026-01-01T00:00:00Z\n1.1\t2026-01-03T00:00:00Z\t{A}\tlinux/arm64\n1.2\t2026-01-02T00:00:00Z\n\n1.3\n"
    );
    let pinned = format!("1.1@{A}");
    for (arguments, chosen, written) in [
        (&["--strategy", "NewestBuild"][..], Some("1.1"), Some("1.1")),
        (&["--strategy", "NewestBuild", "--platforms", "linux/amd64,linux/386"], Some("1.2"), Some("1.2")),
        (&["--strategy", "NewestBuild", "--platforms", "linux/arm64"], Some("1.1"), Some("1.1")),
        (&["--pin", "TagAndDigest"], Some("1.1"), Some(pinned.as_str())),
        (&["--pin", "Digest"], Some("1.1"), Some(A)),
        (&["--strategy", "Digest", "--constraint", "1.1"], Some("1.1"), Some(pinned.as_str())),
        (&["--strategy", "Digest", "--constraint", "1.1", "--current", &pinned], Some("1.1"), Some(pinned.as_str())),
        (
            &["--minimum-age", "24h", "--now", "2026-01-03T12:00:00Z", "--allow-tags", r"1\.[12]"],
            Some("1.2"),
            Some("1.2"),
        ),
    ] {
        check(arguments, &tags, chosen, written);
    }
}

#[test]
fn json_has_one_shape() {
    let (code, answer) = json(
        &["--constraint", "~1.0", "--dialect", "annotation", "--allow-tags", "^[12]"],
        "1.0.0\n1.0.1\n2.0.0\nlatest\n",
    );
    assert_eq!(code, 0);
    insta::assert_snapshot!(format!("{answer:#}"), @r#"
        {
          "chosen": "1.0.1",
          "runnerUp": "1.0.0",
          "written": "1.0.1",
          "counts": {
            "listed": 4,
            "notAllowed": 1,
            "ignored": 0,
            "unusable": 0,
            "outside": 1,
            "wrongPlatform": 0,
            "held": 0,
            "eligible": 2
          },
          "candidates": [
            {
              "tag": "1.0.0",
              "verdict": "Outranked",
              "reason": "Outranked",
              "message": "`1.0.1` is higher"
            },
            {
              "tag": "1.0.1",
              "verdict": "Chosen",
              "reason": "Chosen",
              "message": "the highest that passes the rule"
            },
            {
              "tag": "2.0.0",
              "verdict": "Rejected",
              "reason": "OutsideConstraint",
              "message": "`2.0.0` is outside of `~1.0`"
            },
            {
              "tag": "latest",
              "verdict": "Rejected",
              "reason": "NotAllowed",
              "message": "`^[12]` finds nothing in `latest`"
            }
          ],
          "problems": [
            {
              "reason": "AmbiguousText",
              "message": "`^[12]` is read as a regular expression",
              "place": "--allow-tags",
              "hint": "`regexp:^[12]` says so exactly"
            }
          ]
        }
        "#);
}

#[test]
fn a_rule_that_cannot_be_used_prints_its_problems_in_the_same_shape() {
    let (code, answer) = json(&["--strategy", "Semver", "--constraint", ">>1"], "1.0.0\n");
    assert_eq!(code, 2);
    insta::assert_snapshot!(format!("{answer:#}"), @r#"
        {
          "chosen": null,
          "runnerUp": null,
          "written": null,
          "counts": {
            "listed": 0,
            "notAllowed": 0,
            "ignored": 0,
            "unusable": 0,
            "outside": 0,
            "wrongPlatform": 0,
            "held": 0,
            "eligible": 0
          },
          "candidates": [],
          "problems": [
            {
              "reason": "InvalidStrategy",
              "message": "there is no strategy `Semver`",
              "place": "--strategy",
              "hint": "did you mean `SemVer`?"
            }
          ]
        }
        "#);
    let (code, answer) = json(&["--constraint", "9"], "");
    assert_eq!(code, 0);
    insta::assert_snapshot!(answer["problems"], @r#"[{"reason":"NoTags","message":"the repository has no tags","place":null,"hint":null}]"#);
}

#[test]
fn the_table_is_for_people_and_has_no_colours_in_a_pipe() {
    let (code, text) = run(&["--constraint", "~1.0", "--current", "1.0.1"], "1.0.0\n1.0.1\n2.0.0\nlatest\n");
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r#"
        TAG     REASON             MESSAGE
        1.0.0   Outranked          `1.0.1` is higher
        1.0.1   Chosen             the highest that passes the rule
        2.0.0   OutsideConstraint  `2.0.0` is outside of `~1.0`
        latest  NotAVersion        `latest` is not a semantic version

        chosen: 1.0.1
        "#);
    let (code, text) = run(&["--current", "latest"], "1.0.0\n");
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r#"
        TAG    REASON  MESSAGE
        1.0.0  Chosen  the highest that passes the rule

        note: `latest` has no place in the order of SemVer; `1.0.0` is taken without a comparison
        chosen: 1.0.0
        "#);
    let (code, text) = run(&["--current", "2.0.0"], "1.0.0\n");
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r#"
        TAG    REASON            MESSAGE
        1.0.0  WouldGoBackwards  the highest that passes the rule, but held: `1.0.0` is lower than `2.0.0`, which is in place; `allowDowngrade: true` lets it pass

        WouldGoBackwards: `1.0.0` is lower than `2.0.0`, which is in place; `allowDowngrade: true` lets it pass
        chosen: nothing
        "#);
    let (code, text) = run(&["--strategy", "newest-built", "--platforms", "arm"], "");
    assert_eq!(code, 2);
    insta::assert_snapshot!(text, @r#"
        InvalidStrategy: --strategy: there is no strategy `newest-built`; did you mean `NewestBuild`?
        InvalidPlatform: --platforms: `arm` is not a platform; write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`
        chosen: nothing
        "#);
}

#[test]
fn places_name_the_options() {
    for (arguments, place) in [
        (&["--strategy", "x"][..], "--strategy"),
        (&["--constraint", "x y"], "--constraint"),
        (&["--allow-tags", "("], "--allow-tags"),
        (&["--extract", "("], "--extract"),
        (&["--ignore-tags", "["], "--ignore-tags"),
        (&["--platforms", "x"], "--platforms"),
        (&["--minimum-age", "x"], "--minimum-age"),
        (&["--pin", "x"], "--pin"),
    ] {
        let (code, answer) = json(arguments, "");
        assert_eq!((code, answer["problems"][0]["place"].as_str()), (2, Some(place)), "{answer:#}");
    }
}

#[test]
fn tags_that_cannot_be_read_are_a_failure() {
    insta::assert_snapshot!(run(&[], "1.0\nnot a tag\n").1, @"error: cannot read line 2 of the tags: `not a tag` is not a tag");
    insta::assert_snapshot!(run(&[], "1.0\tyesterday\n").1, @"error: cannot read line 1 of the tags: `yesterday` is not a time in RFC 3339");
    insta::assert_snapshot!(run(&[], "1.0\t\tsha256:1\n").1, @"error: cannot read line 1 of the tags: `sha256:1` is not a digest");
    insta::assert_snapshot!(run(&[], "1.0\t\t\tlinux\n").1, @"error: cannot read line 1 of the tags: `linux` is not a platform");
    insta::assert_snapshot!(run(&["--tags-file", "no-such-file"], "").1, @"error: cannot read the tags from `no-such-file`: No such file or directory (os error 2)");
    for arguments in
        [&["--now", "noon"][..], &["--current", "a b"], &["--output", "xml"], &["--extract", "a", "--allow-tags", "b"]]
    {
        assert_eq!(run(arguments, "").0, 2, "{arguments:?}");
    }
}
