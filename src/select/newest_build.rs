//! `NewestBuild`: by the place in the registry's list where its order is trusted; else by the time of the push where the
//! registry tells it, else by the newest build date among the wanted platforms.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{Details, Known, Platform, Rule, Tag};

use super::order::Key;
use super::sieve::Loss;

/// When the image was pushed or built.
pub(super) fn key<'a>(rule: &Rule, details: &Details) -> Result<(Key<'a>, u8), Loss> {
    match details {
        Details::Unknown => Err(Loss::Unread),
        Details::NotAnImage(_) => Err(Loss::NotAnImage),
        Details::Known(known) => {
            let time = known.pushed.or_else(|| newest_build(known, &rule.platforms));
            time.map(|time| (Key::Built(time), 0)).ok_or(Loss::NoBuildDate)
        }
    }
}

/// Where the tag stands in the list.
pub(super) fn place<'a>(places: &HashMap<Tag, usize>, tag: &Tag) -> Result<(Key<'a>, u8), Loss> {
    places.get(tag).map(|place| (Key::Place(*place), 0)).ok_or(Loss::NoBuildDate)
}

/// The newest build date among the wanted platforms; among all, when none is wanted.
pub(super) fn newest_build(known: &Known, wanted: &[Platform]) -> Option<Timestamp> {
    let builds = known.builds.iter().filter(|(platform, _)| serves(wanted, platform));
    builds.filter_map(|(_, date)| *date).max()
}

/// Whether an image for `offered` serves one of the wanted platforms.
pub(super) fn serves(wanted: &[Platform], offered: &Platform) -> bool {
    wanted.is_empty() || wanted.iter().any(|platform| platform.accepts(offered))
}
