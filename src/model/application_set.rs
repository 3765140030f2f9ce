//! What an Argo CD ApplicationSet does to the Applications that it makes.

use super::Pointer;

/// An ApplicationSet, as far as it matters for what is written into its Applications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplicationSet {
    /// Whether it leaves Applications alone once they are made (`create-only`, `create-delete`).
    pub creates_only: bool,
    /// Whether it syncs them itself, step by step (`RollingSync`).
    pub rolls: bool,
    /// What else it leaves alone in them.
    pub ignored: Vec<IgnoredDifferences>,
}

/// Places that an ApplicationSet leaves alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoredDifferences {
    /// The one Application that this is for; `None`: all.
    pub application: Option<String>,
    /// JSON pointers.
    pub pointers: Vec<String>,
}

impl ApplicationSet {
    /// Whether what is written to `place` of the Application `name` stays there.
    pub fn leaves(&self, name: &str, place: &Pointer) -> bool {
        let place = place.to_json_pointer();
        let covers = |pointer: &String| {
            !pointer.is_empty()
                && place.strip_prefix(pointer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let ours = self.ignored.iter().filter(|ignored| ignored.application.as_deref().is_none_or(|one| one == name));
        self.creates_only || ours.flat_map(|ignored| &ignored.pointers).any(covers)
    }
}
