//! `Alphabetical`: by the bytes of the tag, or of the part that is extracted.

use super::order::Key;

/// The text itself.
pub(super) fn key(part: &str) -> (Key<'_>, u8) {
    (Key::Text(part), 0)
}
