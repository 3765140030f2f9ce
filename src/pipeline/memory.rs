//! What is remembered from one look to the next. In a cluster it lives in the policy's status, so that a restart forgets nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Digest, Report};

/// What is remembered of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// By name of the Application and title of the image.
    pub images: BTreeMap<(String, String), Remembered>,
    /// When Fairlead first saw a digest, by title of the image; for rules with a minimum age.
    pub seen: BTreeMap<(String, Digest), Timestamp>,
}

/// What is remembered of one image of one Application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The version that Fairlead wrote last.
    pub written: Option<String>,
    /// What the rule picked last.
    pub chosen: Option<String>,
    /// A version that a person took back, and when that was noticed.
    pub held_back: Option<(String, Timestamp)>,
}

impl Memory {
    /// What is remembered of an image.
    pub fn of(&self, application: &str, image: &str) -> Remembered {
        self.images.get(&(application.to_owned(), image.to_owned())).cloned().unwrap_or_default()
    }
}

/// What to remember of a look.
pub fn memory_of(report: &Report) -> Memory {
    let remembered = |image: &crate::model::ImageReport| {
        let key = (image.application.name.clone(), image.image.clone());
        (
            key,
            Remembered {
                written: image.written.clone(),
                chosen: image.chosen.clone(),
                held_back: image.held_back.clone(),
            },
        )
    };
    Memory { images: report.images.iter().map(remembered).collect(), seen: report.seen.clone() }
}
