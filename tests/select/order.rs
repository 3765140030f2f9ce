//! Which of the allowed tags is the highest, under every strategy.

use fairlead::lower::Dialect;
use fairlead::model::TagOrder::{LatestFirst, LatestLast, None as Unsorted};
use fairlead::select::select;

use super::support::{check, chosen, listing, situation, usable, words};

#[test]
fn semver_takes_the_highest_release() {
    for (constraint, tags, expected) in [
        ("*", "1.0.0 1.2.0 1.1.9", "1.2.0"),
        ("*", "1.9.0 1.10.0", "1.10.0"),
        ("*", "9.0.0 10.0.0", "10.0.0"),
        ("*", "1.0.0 v1.1.0", "v1.1.0"),
        ("*", "v2 1.9.9", "v2"),
        ("*", "1.0.0 2.0.0-rc.1", "1.0.0"),
        ("*", "1.0.0 latest main stable", "1.0.0"),
        ("*", "latest main", "-"),
        ("*", "2.0.0-rc.1 2.0.0-rc.2", "-"),
        ("*-0", "2.0.0-rc.1 2.0.0-rc.2", "2.0.0-rc.2"),
        ("*-0", "2.0.0-rc.9 2.0.0-rc.10", "2.0.0-rc.10"),
        ("*-0", "2.0.0-rc.1 2.0.0", "2.0.0"),
        ("*-0", "2.0.0-alpha 2.0.0-beta 2.0.0-1", "2.0.0-beta"),
        ("*-0", "2.0.0-rc 2.0.0-rc.1", "2.0.0-rc.1"),
        ("~1.2", "1.2.1 1.2.10 1.3.0", "1.2.10"),
        ("~1.2.3", "1.2.1 1.2.2 1.3.0", "-"),
        ("^1", "1.2.1 1.9.0 2.0.0", "1.9.0"),
        ("^0.2", "0.2.1 0.2.9 0.3.0", "0.2.9"),
        ("1.x", "1.2.1 1.9.0 2.0.0", "1.9.0"),
        ("1.2", "1.2.1 1.2.9 1.3.0", "1.2.9"),
        ("1.2.3", "1.2.2 1.2.3 1.2.4", "1.2.3"),
        (">=1.2 <2.0", "1.1.0 1.9.0 2.0.0 2.1.0", "1.9.0"),
        (">=1.2, <2.0", "1.1.0 1.9.0 2.0.0 2.1.0", "1.9.0"),
        ("1.2 - 1.4", "1.1.0 1.4.9 1.5.0", "1.4.9"),
        ("1.2 - 1.4.5", "1.1.0 1.4.5 1.4.9", "1.4.5"),
        ("^1 || ^3", "1.0.0 2.0.0 3.1.0 4.0.0", "3.1.0"),
        ("!=1.3.0", "1.2.0 1.3.0", "1.2.0"),
        ("<2", "1.9.0 2.0.0 20240101", "1.9.0"),
        ("*", "1.0.0 20240101", "20240101"),
        ("*", "1.2.3 18446744073709551616.0.0", "1.2.3"),
        ("*", "1.2.3 1.2.3.4 1.2.3_5", "1.2.3"),
        ("~3.18-0", "3.18.1-alpine 3.18.4-alpine 3.19.0-alpine", "3.18.4-alpine"),
        ("~3.18", "3.18.1-alpine 3.18.2", "3.18.2"),
    ] {
        chosen(&format!("constraint={constraint}"), tags, expected);
    }
}

#[test]
fn equal_versions_have_one_order_and_never_alternate() {
    for (rule, tags, current, expected) in [
        ("", "1.2 1.2.0", "", "move 1.2.0"),
        ("", "1.2.0 v1.2.0", "", "move v1.2.0"),
        ("", "v1.2 1.2.0", "", "move 1.2.0"),
        ("", "1.2 v1.2", "", "move v1.2"),
        ("", "1 1.0 1.0.0", "", "move 1.0.0"),
        ("", "01.2.0 1.2.0", "", "move 1.2.0"),
        ("", "1.2 1.2.0", "1.2", "stay 1.2"),
        ("", "1.2 1.2.0", "1.2.0", "stay 1.2.0"),
        ("", "1.2 1.2.0 v1.2.0", "1.2.0", "stay 1.2.0"),
        ("", "1.2 1.2.0 1.2.1", "1.2", "move 1.2.1"),
        ("", "1.2.0", "1.2", "move 1.2.0"),
        ("ignore=1.2", "1.2 v1.2.0", "1.2", "nothing NoTagAllowed"),
        ("allow=^v", "1.2 v1.2.0", "1.2", "move v1.2.0"),
        ("CalVer", "2024.1 2024.01", "2024.1", "stay 2024.1"),
        ("CalVer", "2024.1 2024.01", "2024.01", "stay 2024.01"),
        ("CalVer", "2024.01.15 20240115", "20240115", "stay 20240115"),
        ("Numeric", "7 007", "7", "stay 7"),
        ("Numeric", "7 007", "007", "stay 007"),
        ("Numeric", "7 007", "", "move 7"),
        ("NewestBuild", "a|built=2026-01-01|digest=x b|built=2026-01-01|digest=x", "a", "stay a"),
        ("NewestBuild", "a|built=2026-01-01|digest=x b|built=2026-01-01|digest=x", "b", "stay b"),
        ("NewestBuild", "a|built=1970-01-01|digest=x b|built=1970-01-01|digest=y", "a", "move b"),
        ("NewestBuild", "a|built=1970-01-01|digest=x b|built=1970-01-01|digest=y", "b", "stay b"),
        (r"extract=^(?P<v>[0-9.]+)-", "1.2.0-a 1.2.0-b", "1.2.0-a", "stay 1.2.0-a"),
        (r"extract=^(?P<v>[0-9.]+)-", "1.2.0-a 1.2.0-b", "", "move 1.2.0-b"),
    ] {
        check(rule, tags, current, expected);
    }
}

#[test]
fn newest_build_takes_the_newest_image() {
    for (rule, tags, expected) in [
        ("", "a|built=2026-01-01 b|built=2026-01-03 c|built=2026-01-02", "b"),
        ("", "1.9|built=2026-01-03 2.0|built=2026-01-02", "1.9"),
        ("", "a|built=2026-01-01 b|built=2026-01-01|digest=b", "b"),
        ("", "a|built=2026-01-01T00:00:00.000000001Z b|built=2026-01-01T00:00:00Z", "a"),
        ("", "a|built=2026-01-01 b|known", "a"),
        ("", "a|known b|broken", "-"),
        ("", "a|pushed=2026-01-05|built=2026-01-01 b|built=2026-01-03|pushed=2026-01-04", "a"),
        ("", "a|pushed=2026-01-05 b|built=2026-01-03", "a"),
        ("for=linux/arm64", "a|built=2026-01-01|for=linux/arm64 b|built=2026-01-03|for=linux/amd64", "a"),
        ("for=linux/arm64", "a|built=2026-01-01|for=linux/arm64/v8 b|built=2026-01-03", "a"),
        ("for=linux/arm64/v8", "a|built=2026-01-01|for=linux/arm64 b|built=2026-01-03", "-"),
        ("for=linux/arm64,linux/amd64", "a|built=2026-01-01|for=linux/arm64 b|built=2026-01-03", "b"),
        ("for=windows/amd64", "a|built=2026-01-01 b|built=2026-01-03", "-"),
        (
            "constraint=~1.0",
            "1.0.1|built=2026-01-01 1.0.0|built=2026-01-02 1.2.0|built=2026-01-03 2.0.0|built=2026-01-04",
            "1.0.0",
        ),
        ("constraint=~1.0", "1.0.1|built=2026-01-01 latest|built=2026-01-09", "1.0.1"),
        ("constraint=1.0", "1.0.1|built=2026-01-01 1.1.0|built=2026-01-02", "1.0.1"),
        ("constraint=1.x", "1.0.1|built=2026-01-01 2.1.0|built=2026-01-02", "1.0.1"),
        ("constraint=~1.0", "1.0.1|built=2026-01-01 1.0.2-rc.1|built=2026-01-02", "1.0.1"),
        ("constraint=~1.0-0", "1.0.1|built=2026-01-01 1.0.2-rc.1|built=2026-01-02", "1.0.2-rc.1"),
        ("allow=^main-", "main-1|built=2026-01-01 dev-2|built=2026-01-02", "main-1"),
        ("ignore=latest", "main-1|built=2026-01-01 latest|built=2026-01-02", "main-1"),
        (
            r"extract=^(?P<v>.*)-prod$; constraint=~1.0",
            "1.0.0-prod|built=2026-01-01 1.2.0-prod|built=2026-01-02",
            "1.0.0-prod",
        ),
    ] {
        chosen(&format!("NewestBuild; {rule}"), tags, expected);
    }
}

#[test]
fn newest_build_asks_for_what_it_has_to_know() {
    for (rule, tags, current, expected) in [
        ("", "a b|built=2026-01-01 c", "", "need a c"),
        ("allow=^v", "a v1 v2", "", "need v1 v2"),
        ("allow=^v", "a v1 v2", "a", "need a v1 v2"),
        ("ignore=*-rc", "a a-rc", "", "need a"),
        ("constraint=~1.0", "1.0.1 1.2.0 latest", "", "need 1.0.1"),
        ("allow=^v", "a b", "a", "nothing NoTagAllowed"),
        ("", "a|known b|broken", "", "nothing NoTagAllowed"),
        ("", "a|broken b", "a", "need b"),
    ] {
        check(&format!("NewestBuild; {rule}"), tags, current, expected);
    }
}

#[test]
fn alphabetical_compares_bytes() {
    for (rule, tags, expected) in [
        ("", "a b", "b"),
        ("", "A a", "a"),
        ("", "9 10", "9"),
        ("", "2024-01-02 2024-01-10", "2024-01-10"),
        ("", "a aa", "aa"),
        ("", "a-1 a.1 a_1", "a_1"),
        ("", "1.9 1.10", "1.9"),
        ("allow=^2024", "2024-01 latest", "2024-01"),
        ("ignore=latest", "2024-01 latest", "2024-01"),
        ("constraint=~1.2", "1.2.9 1.2.10 1.3.0", "1.2.9"),
        ("constraint=~1.2", "main latest", "-"),
        ("constraint=1.2", "1.2.9 1.3.0", "1.2.9"),
        (r"extract=-(?P<part>.*)$", "z-a a-b", "a-b"),
        (r"extract=^(?P<part>[a-z]+)-", "a-1 a-2", "a-2"),
    ] {
        chosen(&format!("Alphabetical; {rule}"), tags, expected);
    }
}

#[test]
fn digest_follows_one_tag() {
    for (rule, tags, current, expected) in [
        ("constraint=latest", "latest|digest=x 1.0|digest=y", "", "move latest"),
        ("constraint=latest", "latest|digest=x", "latest@x", "stay latest"),
        ("constraint=latest", "latest|digest=x", "latest@y", "move latest"),
        ("constraint=latest", "latest|digest=x", "latest", "move latest"),
        ("constraint=latest", "latest|digest=x", "1.0", "move latest"),
        ("constraint=latest", "latest|digest=x", "@x", "move latest"),
        ("constraint=latest; pin=Digest", "latest|digest=x", "@x", "stay latest"),
        ("constraint=latest; pin=Digest", "latest|digest=x", "@y", "move latest"),
        ("constraint=latest", "latest 1.0", "", "need latest"),
        ("constraint=latest", "latest 1.0", "latest@x", "need latest"),
        ("constraint=latest", "1.0 2.0", "", "nothing NoTagAllowed"),
        ("constraint=latest", "latest|broken", "", "nothing NoTagAllowed"),
        ("constraint=latest; ignore=latest", "latest|digest=x", "", "nothing NoTagAllowed"),
        ("constraint=latest; allow=^1", "latest|digest=x", "", "nothing NoTagAllowed"),
        ("constraint=latest; for=linux/arm64", "latest|digest=x", "", "nothing NoTagAllowed"),
        ("constraint=latest; for=linux/amd64", "latest|digest=x", "", "move latest"),
        ("constraint=1.2", "1.2|digest=x 1.2.0|digest=y", "", "move 1.2"),
    ] {
        check(&format!("Digest; {rule}"), tags, current, expected);
    }
}

#[test]
fn calver_reads_years_months_days_and_counters() {
    for (rule, tags, expected) in [
        ("", "2024.01.15 2024.02.01", "2024.02.01"),
        ("", "2024.1.15 2024.10.1", "2024.10.1"),
        ("", "2023.12.31 2024.01.01", "2024.01.01"),
        ("", "2024.01 2024.02", "2024.02"),
        ("", "24.04 23.10", "24.04"),
        ("", "24.04 24.04.1", "24.04.1"),
        ("", "24.04 2024.05", "2024.05"),
        ("", "20240115 20240201", "20240201"),
        ("", "20240115 20240115.2 20240115.10", "20240115.10"),
        ("", "20240115-2 20240115-10", "20240115-10"),
        ("", "2024-01-15 2024-02-01", "2024-02-01"),
        ("", "2024-01-15-2 2024-01-15-10", "2024-01-15-10"),
        ("", "2024.01.15-2 2024.01.15-10", "2024.01.15-10"),
        ("", "2024.01.15.2 2024.01.15.10", "2024.01.15.10"),
        ("", "2024.01-2 2024.01-10", "2024.01-10"),
        ("", "2024.01.2 2024.01.45", "2024.01.45"),
        ("", "v2024.01.15 2024.01.14", "v2024.01.15"),
        ("", "2024.01.15 20240114", "2024.01.15"),
        ("", "2024.01 latest 1.2.3", "2024.01"),
        ("", "2024.13 2024.00 2024", "-"),
        ("", "20241301 20240132 2024-01", "-"),
        ("", "226 26 9999.01", "-"),
        ("", "2024.01.15-rc1 2024.01.15_1", "-"),
        ("constraint=2024", "2023.12 2024.06 2025.01", "2024.06"),
        ("constraint=2024.01", "2024.01.15 2024.02.01", "2024.01.15"),
        ("constraint=>=2024.01 <2024.03", "2024.01.15 2024.02.28 2024.03.01", "2024.02.28"),
        ("constraint=<=2024.02", "2024.02.28 2024.03.01", "2024.02.28"),
        ("constraint=>2024.01", "2024.01.31 2024.02.01", "2024.02.01"),
        ("constraint=>2024.01", "2024.01.31", "-"),
        ("constraint=2024.01 - 2024.02", "2024.01.15 2024.02.28 2024.03.01", "2024.02.28"),
        ("constraint=!=2024.02", "2024.01.15 2024.02.28", "2024.01.15"),
        ("constraint=2023 || 2025", "2023.06 2024.06", "2023.06"),
        (r"extract=^release-(?P<date>.*)$", "release-2024.01 release-2024.02 2025.01", "release-2024.02"),
    ] {
        chosen(&format!("CalVer; {rule}"), tags, expected);
    }
}

#[test]
fn numeric_compares_numbers_of_any_length() {
    for (rule, tags, expected) in [
        ("", "9 10", "10"),
        ("", "226 26", "226"),
        ("", "009 10", "10"),
        ("", "95083 95057", "95083"),
        ("", "20240115123000 20240115122959", "20240115123000"),
        ("", "18446744073709551616 18446744073709551615", "18446744073709551616"),
        (
            "",
            "9999999999999999999999999999999999999999 9999999999999999999999999999999999999998",
            "9999999999999999999999999999999999999999",
        ),
        ("", "1 00000000000000000000000000000000000000000002", "1"),
        ("", "7 v8 8.0 8-1 latest", "7"),
        ("", "0 1", "1"),
        ("", "latest main", "-"),
        ("constraint=<100", "99 100", "99"),
        ("constraint=>=100 <200", "99 150 200", "150"),
        ("constraint=100 - 200", "99 200 201", "200"),
        ("constraint=!=7", "6 7", "6"),
        ("constraint=6", "6 7", "6"),
        (r"extract=^main-[0-9a-f]+-(?P<ts>[0-9]+)$", "main-abc-9 main-def-10 dev-abc-11", "main-def-10"),
        (r"extract=^build-(?P<n>.*)$", "build-9 build-10 build-x", "build-10"),
    ] {
        chosen(&format!("Numeric; {rule}"), tags, expected);
    }
}

#[test]
fn semver_compares_what_is_extracted() {
    for (rule, tags, expected) in [
        (r"extract=^v(?P<version>.*)-prod$", "v1.0.0-prod v1.1.0-prod v1.2.0-dev", "v1.1.0-prod"),
        (r"extract=^(?P<v>[0-9.]+)-alpine$; constraint=~3.18", "3.18.4-alpine 3.19.0-alpine 3.18.9", "3.18.4-alpine"),
        (r"extract=^app_(?<version>.*)$", "app_1.9.0 app_1.10.0", "app_1.10.0"),
        (r"extract=^(x)?(?P<v>[0-9.]+)$", "x1.0.0 1.1.0", "1.1.0"),
        (r"extract=^(?P<v>x)?([0-9.]+)$", "1.0.0 1.1.0", "-"),
        (r"extract=^(?P<a>[0-9.]+)-(?P<b>[0-9.]+)$", "1.0.0-9.0.0 2.0.0-1.0.0", "2.0.0-1.0.0"),
    ] {
        chosen(rule, tags, expected);
    }
}

#[test]
fn the_place_in_the_list_stands_in_for_the_build_date_where_it_is_trusted() {
    for (rule, order, tags, current, expected) in [
        ("NewestBuild", LatestFirst, "c a b", "", "move c"),
        ("NewestBuild", LatestLast, "c a b", "", "move b"),
        ("NewestBuild", LatestFirst, "c a b", "b", "move c"),
        ("NewestBuild", LatestFirst, "c a b", "c", "stay c"),
        ("NewestBuild", LatestFirst, "c a b", "gone", "move c"),
        ("NewestBuild; constraint=~1", LatestFirst, "2.0 1.1 1.2", "1.2", "move 1.1"),
        ("NewestBuild; constraint=~1", LatestFirst, "2.0 1.1 1.2", "2.0", "hold 1.1 WouldGoBackwards"),
        ("NewestBuild; ignore=c", LatestFirst, "c a b", "b", "move a"),
        ("NewestBuild; pin=Digest", LatestFirst, "c a b", "b", "need c"),
        ("NewestBuild; for=linux/amd64", LatestFirst, "c a b", "b", "need c"),
        ("NewestBuild; for=linux/amd64", LatestFirst, "c|for=linux/arm64 a|known b", "b", "move a"),
        ("NewestBuild", LatestFirst, "c|broken a b", "b", "move a"),
        ("NewestBuild", Unsorted, "c a b", "b", "need a b c"),
        ("SemVer", LatestLast, "2.0.0 1.0.0", "1.0.0", "move 2.0.0"),
    ] {
        let listing = listing(tags).in_order(order);
        let decision = select(&usable(rule, Dialect::Policy), &listing, &situation(current));
        assert_eq!(words(&decision), expected, "{rule}, {order:?}, `{tags}`, in place `{current}`");
    }
}
