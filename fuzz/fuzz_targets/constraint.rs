//! No text makes the constraint parsers panic, and what they read holds together.
#![no_main]

use fairlead::model::{Bounds, CalendarVersion, Fit, LooseVersion, Number, VersionRange};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (constraint, version) = input;
    let _ = Bounds::<CalendarVersion>::parse(constraint);
    let _ = Bounds::<Number>::parse(constraint);
    let Ok(range) = constraint.parse::<VersionRange>() else { return };
    let again: VersionRange = range.to_string().parse().expect("what is printed can be read");
    if let Some(loose) = LooseVersion::parse(version) {
        assert_eq!(range.fit(&loose.version), again.fit(&loose.version));
        // What lies inside is covered; what is covered and is a release lies inside.
        let (inside, covered) = (range.fit(&loose.version) == Fit::Inside, range.covers(&loose.version));
        assert!(covered || !inside);
        assert!(inside || !covered || !loose.version.pre.is_empty());
    }
});
