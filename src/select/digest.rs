//! `Digest`: one tag, whose digest is followed. There is nothing to order.

use crate::model::{Constraint, Rule, Tag};

use super::order::Key;
use super::sieve::Loss;

/// The one place that there is, for the followed tag alone.
pub(super) fn key<'a>(rule: &Rule, tag: &Tag) -> Result<(Key<'a>, u8), Loss> {
    match &rule.constraint {
        Constraint::Followed(followed) if followed == tag => Ok((Key::Followed, 0)),
        _ => Err(Loss::NotFollowed),
    }
}
