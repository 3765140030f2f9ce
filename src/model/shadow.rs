//! What a dry run is worth: its choices beside what others wrote.

use jiff::Timestamp;

/// How the choices for one place compare with what others wrote there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    /// What the place held at the last look.
    pub held: Option<String>,
    /// What would have been written then.
    pub would: Option<String>,
    /// How often somebody else wrote what was chosen.
    pub agreements: u32,
    /// How often something else.
    pub differences: u32,
    /// The last of these.
    pub last_difference: Option<Difference>,
}

/// Somebody else wrote another version than the one that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// When that was noticed.
    pub at: Timestamp,
    /// What was chosen.
    pub ours: String,
    /// What was written.
    pub theirs: String,
    /// Why the choice is what it is.
    pub reason: String,
}

/// What a change by somebody else says of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same version.
    Agrees,
    /// Another one.
    Differs,
}
