//! Bounds on calendar versions and build numbers: what is refused, and in which words.

use fairlead::model::{Bounds, CalendarVersion, Number};

#[test]
fn what_is_no_bound_is_an_error() {
    for text in ["", "~2024", "^2024.01", "latest", "2024.13", ">=", "2024,", "1.2.3", "24", "2024.01.15.1.1", "x", "*"]
    {
        assert!(Bounds::<CalendarVersion>::parse(text).is_err(), "{text}");
    }
    for text in ["", "~7", "^7", "v7", "7.1", "-7", ">=", "x", "*", &"1".repeat(41)] {
        assert!(Bounds::<Number>::parse(text).is_err(), "{text}");
    }
}

#[test]
fn messages_mark_the_wrong_part() {
    let calendar =
        |text: &str| Bounds::<CalendarVersion>::parse(text).map_or_else(|error| error.to_string(), |it| it.to_string());
    let number = |text: &str| Bounds::<Number>::parse(text).map_or_else(|error| error.to_string(), |it| it.to_string());
    insta::assert_snapshot!(calendar("~2024.01"), @"cannot read the constraint `~2024.01`: `~2024.01` at character 1 has no meaning for calendar versions");
    insta::assert_snapshot!(calendar(">=2024.01 <2024.13"), @"cannot read the constraint `>=2024.01 <2024.13`: `2024.13` at character 12 is not a version");
    insta::assert_snapshot!(number("^7"), @"cannot read the constraint `^7`: `^7` at character 1 has no meaning for build numbers");
    insta::assert_snapshot!(number(">=100 <v200"), @"cannot read the constraint `>=100 <v200`: `v200` at character 8 is not a version");
}
