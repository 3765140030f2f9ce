//! From the user's text to a rule, and what is said of a text that cannot be read.

use super::support::{chosen, listing, situation, spec, words};
use fairlead::api::{AllowTags, PinSpec, RuleSpec, StrategySpec};
use fairlead::lower::{Dialect, rule};
use fairlead::model::{Reason, Strategy};
use fairlead::select::select;

/// All problems, a line each; `usable` in front when there is a rule all the same.
fn problems(text: &str, dialect: Dialect) -> String {
    let (rule, problems) = rule(&spec(text), "spec.images[0]", None, dialect);
    let word = if rule.is_some() { "usable" } else { "unusable" };
    problems.iter().fold(word.to_owned(), |lines, problem| format!("{lines}\n{}: {problem}", problem.reason))
}

fn reasons(text: &str, dialect: Dialect) -> (bool, Vec<Reason>) {
    let (rule, problems) = rule(&spec(text), "spec.images[0]", None, dialect);
    (rule.is_some(), problems.iter().map(|problem| problem.reason).collect())
}

#[test]
fn a_text_that_cannot_be_read_gives_no_rule() {
    use Reason::{InvalidConstraint, InvalidDuration, InvalidPattern, InvalidPlatform, InvalidStrategy};
    for (text, expected) in [
        ("Semver", vec![InvalidStrategy]),
        ("newest-build", vec![InvalidStrategy]),
        ("latest", vec![InvalidStrategy]),
        ("constraint=latest", vec![InvalidConstraint]),
        ("constraint= ", vec![InvalidConstraint]),
        ("constraint=>=1.2 <<2", vec![InvalidConstraint]),
        ("NewestBuild; constraint=latest", vec![InvalidConstraint]),
        ("Alphabetical; constraint=main", vec![InvalidConstraint]),
        ("Digest", vec![InvalidConstraint]),
        ("Digest; constraint=~1.2", vec![InvalidConstraint]),
        ("CalVer; constraint=~2024", vec![InvalidConstraint]),
        ("Numeric; constraint=1.2", vec![InvalidConstraint]),
        ("allow=(", vec![InvalidPattern]),
        ("allow=(?=x)", vec![InvalidPattern]),
        (r"allow=(a)\1", vec![InvalidPattern]),
        ("allow=regexp:^1", vec![InvalidPattern]),
        ("allow=(a{1000}){1000}", vec![InvalidPattern]),
        ("extract=^v(.*)$", vec![InvalidPattern]),
        ("extract=^v(?P<v>.*$", vec![InvalidPattern]),
        ("ignore=[", vec![InvalidPattern]),
        ("ignore=>=y", vec![InvalidPattern]),
        ("NewestBuild; ignore=>=2", vec![InvalidPattern]),
        ("for=linux", vec![InvalidPlatform]),
        ("for=linux/amd64,arm64", vec![InvalidPlatform]),
        ("age=5 days", vec![InvalidDuration]),
        ("pin=digest", vec![InvalidStrategy]),
        ("Digest; constraint=latest; pin=Tag", vec![InvalidStrategy]),
        (
            "constraint=x1; allow=(; ignore=[; for=a; age=b",
            vec![InvalidPattern, InvalidConstraint, InvalidPattern, InvalidPlatform, InvalidDuration],
        ),
    ] {
        assert_eq!(reasons(text, Dialect::Policy), (false, expected), "{text}");
    }
}

#[test]
fn annotations_may_use_older_and_looser_words() {
    for (word, expected) in [
        ("semver", Strategy::SemVer),
        ("SemVer", Strategy::SemVer),
        ("newest-build", Strategy::NewestBuild),
        ("Newest-Build", Strategy::NewestBuild),
        ("latest", Strategy::NewestBuild),
        ("alphabetical", Strategy::Alphabetical),
        ("name", Strategy::Alphabetical),
        ("NAME", Strategy::Alphabetical),
        (" calver ", Strategy::CalVer),
        ("numeric", Strategy::Numeric),
        ("NewestBuild", Strategy::NewestBuild),
    ] {
        let (rule, problems) = rule(&spec(word), "annotations", None, Dialect::Annotation);
        assert_eq!((rule.map(|rule| rule.strategy), problems), (Some(expected), vec![]), "{word}");
    }
    for word in ["newest", "sem", "date", "", "lastest"] {
        let named = RuleSpec { strategy: Some(StrategySpec(word.to_owned())), ..RuleSpec::default() };
        assert!(rule(&named, "annotations", None, Dialect::Annotation).0.is_none(), "{word}");
    }
}

#[test]
fn annotations_filter_where_existing_installations_expect_it() {
    let all = "1.0.0|built=2026-01-01 1.0.1|built=2026-01-02 1.2.0|built=2026-01-03 2.0.0|built=2026-01-04 latest|built=2026-01-05";
    for (text, tags, notes, expected) in [
        ("newest-build; constraint=~1.0", all, 0, "move 1.0.1"),
        ("newest-build; constraint=1.x", all, 0, "move 1.2.0"),
        ("newest-build; constraint=^1", all, 0, "move 1.2.0"),
        ("newest-build; constraint=<2", all, 0, "move 1.2.0"),
        ("newest-build; constraint=1.0 - 1.1", all, 0, "move 1.0.1"),
        ("newest-build; constraint=~1.0 || 2.x", all, 0, "move 2.0.0"),
        ("newest-build; constraint=*", all, 0, "move 2.0.0"),
        ("newest-build; constraint=1.0", all, 1, "move latest"),
        ("newest-build; constraint=latest", all, 1, "move latest"),
        ("latest; constraint=latest", all, 1, "move latest"),
        ("newest-build; constraint=", all, 0, "move latest"),
        ("name; constraint=1.0", "1.0 1.1 1.2", 1, "move 1.2"),
        ("name; constraint=~1.1", "1.0 1.1 1.2", 0, "move 1.1"),
        ("semver; constraint=1.0", "1.0.1 1.1.0", 0, "move 1.0.1"),
        ("semver; constraint=", "1.0.1 1.1.0", 0, "move 1.1.0"),
        ("digest; constraint=latest", "latest|digest=x 1.0", 0, "move latest"),
        ("allow=any", "1.0 2.0", 0, "move 2.0"),
        ("allow=ANY", "1.0 2.0", 0, "move 2.0"),
        ("allow=regexp:^1", "1.0 2.0", 0, "move 1.0"),
        ("allow=RegExp:^1", "1.0 2.0", 0, "move 1.0"),
        (r"allow=1\.1\.[0-9]+|2\.1\.[0-9]+", "1.1.5 2.1.3 3.0.0", 1, "move 2.1.3"),
        ("allow=^(?:1)", "1.0 2.0", 1, "move 1.0"),
        ("ignore=1.0", "1.0 1.0.1 1.0.2 0.9", 0, "move 0.9"),
        ("ignore=, *-rc ,", "1.0 1.1-rc", 0, "move 1.0"),
    ] {
        let (rule, problems) = rule(&spec(text), "annotations", None, Dialect::Annotation);
        let rule = rule.unwrap_or_else(|| panic!("{text}: {problems:?}"));
        assert_eq!(words(&select(&rule, &listing(tags), &situation(""))), expected, "{text}");
        assert_eq!(problems.len(), notes, "{text}: {problems:?}");
        assert!(problems.iter().all(|problem| problem.reason == Reason::AmbiguousText), "{text}");
    }
}

#[test]
fn the_image_wins_over_the_defaults_field_by_field() {
    let defaults =
        spec("NewestBuild; constraint=~1; allow=^1; ignore=a; for=linux/arm64; age=24h; pin=Digest; downgrade");
    let image = RuleSpec { allow_downgrade: Some(false), ..spec("SemVer; constraint=~2; age=1h; pin=Tag") };
    let (both, problems) = rule(&image, "spec.images[0]", Some(&defaults), Dialect::Policy);
    let both = both.unwrap_or_else(|| panic!("{problems:?}"));
    let shown = format!(
        "{} {} {:?} {:?} {} {} {:?}",
        both.strategy,
        both.constraint,
        both.pin,
        both.minimum_age,
        both.allow_downgrade,
        both.ignore.len(),
        both.platforms.len()
    );
    assert_eq!(shown, "SemVer ~2 Tag Some(3600s) false 1 1");
    let pinned = RuleSpec { pin: Some(PinSpec("Tag".to_owned())), ..RuleSpec::default() };
    let (digest, problems) = rule(&spec("Digest; constraint=latest"), "spec.images[0]", Some(&pinned), Dialect::Policy);
    assert!(digest.is_some() && problems.is_empty(), "{problems:?}");
}

#[test]
fn problems_point_at_where_the_text_is() {
    let defaults = spec("constraint=oops; for=a; pin=x");
    let (_, found) = rule(&spec("ignore=ok,["), "spec.images[3]", Some(&defaults), Dialect::Policy);
    let places: Vec<_> = found.into_iter().filter_map(|problem| problem.place).collect();
    assert_eq!(
        places,
        ["spec.defaults.constraint", "spec.images[3].ignoreTags[1]", "spec.defaults.platforms[0]", "spec.defaults.pin"]
    );
    let both = AllowTags { regex: Some("a".to_owned()), extract: Some("b".to_owned()), ..AllowTags::default() };
    for tags in [both, AllowTags::default(), AllowTags { any: Some(false), ..AllowTags::default() }] {
        let spec = RuleSpec { allow_tags: Some(tags), ..RuleSpec::default() };
        let (found, problems) = rule(&spec, "spec.images[0]", None, Dialect::Policy);
        assert!(
            found.is_none() && problems.len() == 1 && problems[0].place.as_deref() == Some("spec.images[0].allowTags")
        );
    }
}

#[test]
fn a_constraint_of_a_policy_always_filters() {
    chosen("NewestBuild; constraint=1.0", "1.0.1|built=2026-01-01 1.2.0|built=2026-01-02", "1.0.1");
    chosen("Alphabetical; constraint=1.0", "1.0.1 1.2.0", "1.0.1");
}

#[test]
fn messages_about_strategies_and_pins_name_the_word_that_was_meant() {
    let policy = |text: &str| problems(text, Dialect::Policy);
    let annotation = |text: &str| problems(text, Dialect::Annotation);
    insta::assert_snapshot!(policy("semver"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `semver`; did you mean `SemVer`?
        "#);
    insta::assert_snapshot!(policy("latest"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `latest`; did you mean `NewestBuild`?
        "#);
    insta::assert_snapshot!(policy("SemVr"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `SemVr`; did you mean `SemVer`?
        "#);
    insta::assert_snapshot!(policy("random"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `random`; write one of SemVer, NewestBuild, Alphabetical, Digest, CalVer, Numeric
        "#);
    insta::assert_snapshot!(annotation("newest-built"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `newest-built`; did you mean `newest-build`?
        "#);
    insta::assert_snapshot!(annotation("random"), @r#"
        unusable
        InvalidStrategy: spec.images[0].strategy: there is no strategy `random`; write one of semver, newest-build, alphabetical, digest, calver, numeric, latest, name
        "#);
    insta::assert_snapshot!(policy("pin=digest"), @r#"
        unusable
        InvalidStrategy: spec.images[0].pin: there is no pin `digest`; did you mean `Digest`?
        "#);
    insta::assert_snapshot!(policy("pin=none"), @r#"
        unusable
        InvalidStrategy: spec.images[0].pin: there is no pin `none`; write Tag, Digest or TagAndDigest
        "#);
    insta::assert_snapshot!(policy("Digest; constraint=latest; pin=Tag"), @r#"
        unusable
        InvalidStrategy: spec.images[0].pin: pin `Tag` contradicts strategy `Digest`, which writes a digest; write TagAndDigest, or leave it out
        "#);
}

#[test]
fn messages_about_constraints_mark_the_wrong_part() {
    let policy = |text: &str| problems(text, Dialect::Policy);
    let annotation = |text: &str| problems(text, Dialect::Annotation);
    insta::assert_snapshot!(policy("constraint=>=1.2 <<2"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint `>=1.2 <<2`: `<<2` at character 7 is not a version; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
        "#);
    insta::assert_snapshot!(policy("constraint= "), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint ``: it is empty; leave it out to allow all
        "#);
    insta::assert_snapshot!(policy("NewestBuild; constraint=latest"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint `latest`: `latest` at character 1 is not a version; a constraint here is a range of semantic versions such as `~1.2`; to pick tags by their text, say which are allowed
        "#);
    insta::assert_snapshot!(policy("Digest"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: strategy Digest needs a constraint: the tag to follow; for example `latest`
        "#);
    insta::assert_snapshot!(policy("Digest; constraint=~1.2"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: `~1.2` is not a tag, and strategy Digest follows one tag; for example `latest`; a range needs another strategy
        "#);
    insta::assert_snapshot!(policy("CalVer; constraint=~2024"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint `~2024`: `~2024` at character 1 has no meaning for calendar versions; write bounds such as `2024`, `>=2024.01 <2025` or `2024.01 - 2024.06`
        "#);
    insta::assert_snapshot!(policy("Numeric; constraint=1.2"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint `1.2`: `1.2` at character 1 is not a version; write bounds such as `>=100 <200`
        "#);
    insta::assert_snapshot!(annotation("newest-build; constraint=latest"), @r#"
        usable
        AmbiguousText: spec.images[0].constraint: `latest` is no range, so under this strategy it leaves out no tag; NewestBuild compares all tags; to keep to some of them, use allow-tags
        "#);
    insta::assert_snapshot!(annotation("newest-build; constraint=1.2"), @r#"
        usable
        AmbiguousText: spec.images[0].constraint: `1.2` is no range, so under this strategy it leaves out no tag; write `~1.2` to filter by version
        "#);
    insta::assert_snapshot!(annotation("newest-build; constraint=~x.y"), @r#"
        unusable
        InvalidConstraint: spec.images[0].constraint: cannot read the constraint `~x.y`: `x.y` at character 2 is not a version; a constraint here is a range of semantic versions such as `~1.2`; to pick tags by their text, say which are allowed
        "#);
}

#[test]
fn messages_about_patterns_platforms_and_ages_say_what_to_write() {
    let policy = |text: &str| problems(text, Dialect::Policy);
    let annotation = |text: &str| problems(text, Dialect::Annotation);
    insta::assert_snapshot!(policy("allow=^1(\\.2"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags.regex: cannot read the regular expression `^1(\.2`: unclosed group; write RE2 syntax, for example `^1\.[0-9]+$`; look-around and back-references do not exist
        "#);
    insta::assert_snapshot!(policy("allow=(?=x)"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags.regex: cannot read the regular expression `(?=x)`: look-around, including look-ahead and look-behind, is not supported; write RE2 syntax, for example `^1\.[0-9]+$`; look-around and back-references do not exist
        "#);
    insta::assert_snapshot!(policy("allow=regexp:^1"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags.regex: the regular expression `regexp:^1` can match no tag, for tags have no colon; leave out `regexp:` and write `^1`
        "#);
    insta::assert_snapshot!(policy("allow=(a{1000}){1000}"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags.regex: the regular expression `(a{1000}){1000}` is too large: it needs more than 1048576 bytes when compiled; repeat less, or less often
        "#);
    insta::assert_snapshot!(policy("extract=^v(.*)$"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags.extract: the regular expression `^v(.*)$` has no named group; name the part to compare, for example `^v(?P<version>.*)-prod$`
        "#);
    insta::assert_snapshot!(policy("ignore=*-rc[0"), @r#"
        unusable
        InvalidPattern: spec.images[0].ignoreTags[0]: cannot read the glob `*-rc[0`: a `[` is not closed by `]`; `*`, `?` and `[a-z]` are special; a `\` in front makes them literal
        "#);
    insta::assert_snapshot!(policy("ignore=>=y"), @r#"
        unusable
        InvalidPattern: spec.images[0].ignoreTags[0]: cannot read the constraint `>=y`: `y` at character 3 is not a version; write a glob such as `*-rc*`, a version such as `1.0`, or a range such as `>=2.0`
        "#);
    insta::assert_snapshot!(policy("NewestBuild; ignore=>=2"), @r#"
        unusable
        InvalidPattern: spec.images[0].ignoreTags[0]: `>=2` is a range of versions, which strategy NewestBuild does not read among tags to ignore; write globs, for example `2.*`
        "#);
    insta::assert_snapshot!(policy("for=linux"), @r#"
        unusable
        InvalidPlatform: spec.images[0].platforms[0]: `linux` is not a platform; write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`
        "#);
    insta::assert_snapshot!(policy("age=5 days"), @r#"
        unusable
        InvalidDuration: spec.images[0].minimumAge: cannot read the duration `5 days`: `5 days` is not a number with a unit; write numbers with ms, s, m, h, d or w, for example `90s`, `1h30m` or `7d`
        "#);
    insta::assert_snapshot!(annotation("allow=^1"), @r#"
        usable
        AmbiguousText: spec.images[0].allowTags: `^1` is read as a regular expression; `regexp:^1` says so exactly
        "#);
    insta::assert_snapshot!(annotation("allow=glob:1*"), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags: there is no function `glob` for allow-tags; did you mean `regexp:1*`?
        "#);
    insta::assert_snapshot!(annotation("allow=regexp:("), @r#"
        unusable
        InvalidPattern: spec.images[0].allowTags: cannot read the regular expression `(`: unclosed group; write RE2 syntax, for example `^1\.[0-9]+$`; look-around and back-references do not exist
        "#);
    let nothing = RuleSpec { allow_tags: Some(AllowTags::default()), ..RuleSpec::default() };
    insta::assert_snapshot!(rule(&nothing, "spec.images[0]", None, Dialect::Policy).1[0], @"spec.images[0].allowTags: exactly one of `any: true`, `regex` and `extract` must be given");
}
