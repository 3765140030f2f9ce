//! What is about to be written.

use std::fmt;

use super::ApplicationId;

/// A place in a structured document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pointer {
    /// The way from the root.
    pub steps: Vec<Step>,
}

/// One step of a pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a mapping, by key.
    Key(String),
    /// Into a list, by index from 0.
    Index(usize),
    /// Behind the last item of a list.
    End,
}

/// A value in a structured document, as far as we write any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A text; it must read back as a text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order that it is written.
    Map(Vec<(String, Node)>),
}

/// One step of a change, in the sense of JSON Patch (RFC 6902).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Refuse the whole change unless the place holds this value.
    Test(Pointer, Node),
    /// Put a value where there is one.
    Replace(Pointer, Node),
    /// Put a value where there is none; [`Step::End`] appends to a list.
    Add(Pointer, Node),
}

/// One version that is written for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The image's index in the policy.
    pub image: usize,
    /// What was there, in words for people.
    pub from: Option<String>,
    /// What is written, in words for people.
    pub to: String,
    /// How.
    pub operations: Vec<Operation>,
}

/// All edits of one Application, decided on one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationPlan {
    /// The Application.
    pub application: ApplicationId,
    /// The uid of the object that the plan was decided on.
    pub uid: String,
    /// The version of the object that the plan was decided on.
    pub resource_version: String,
    /// What the destination must still be for the plan to be written.
    pub guard: Guard,
    /// The edits; never empty.
    pub edits: Vec<Edit>,
    /// What is asked of Argo CD along with the change: one annotation more. Where there is no Argo CD it is left out.
    pub refresh: Option<Operation>,
    /// The sync that is asked for along with the change. Where there is no Argo CD it is left out.
    pub sync: Option<SyncRequest>,
}

/// A sync that Argo CD is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// Why, for people who look.
    pub reason: String,
    /// How it is done: what the Application lists for every sync.
    pub options: Vec<String>,
    /// Whether the state of an earlier one stands there, to be forgotten.
    pub replaces: bool,
}

/// What the destination must still be for a plan to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The object in exactly the version that was decided on.
    Version,
    /// The same object, with the values that the plan tests; whatever else changes meanwhile.
    Values,
}

impl Pointer {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The place that a path of chart values names: `image.tag`, `containers[0].image`; `\.` is a dot in a key. `None`: no path.
    pub fn from_value_path(path: &str) -> Option<Self> {
        let (mut pointer, mut key, mut characters) = (Self::root(), String::new(), path.chars().peekable());
        let mut after_index = false;
        while let Some(character) = characters.next() {
            match character {
                '\\' => key.push(characters.next()?),
                '.' if key.is_empty() && after_index => after_index = false,
                '.' if key.is_empty() => return None,
                '.' => pointer = pointer.key(std::mem::take(&mut key)),
                '[' => {
                    if !key.is_empty() {
                        pointer = pointer.key(std::mem::take(&mut key));
                    }
                    let digits: String = characters.by_ref().take_while(|character| *character != ']').collect();
                    pointer = pointer.index(digits.parse().ok()?);
                    after_index = true;
                    if !matches!(characters.peek(), None | Some('.' | '[')) {
                        return None;
                    }
                }
                character => key.push(character),
            }
        }
        if !key.is_empty() {
            pointer = pointer.key(key);
        } else if path.ends_with('.') {
            return None;
        }
        (!pointer.steps.is_empty()).then_some(pointer)
    }

    /// The place that `other` names, seen from this one.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// The place under `key`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.steps.push(Step::Key(key.into()));
        self
    }

    /// The place at `index`.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.steps.push(Step::Index(index));
        self
    }

    /// The place behind the last item.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.steps.push(Step::End);
        self
    }

    /// The JSON Pointer of the place (RFC 6901).
    pub fn to_json_pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("/{index}"),
            Step::End => "/-".to_owned(),
        };
        self.steps.iter().map(step).collect()
    }
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A mapping.
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl ApplicationPlan {
    /// Whether every value that the plan replaces is tested by it, so that the version of the object need not be.
    pub fn tests_all(&self) -> bool {
        self.operations().all(|operation| matches!(operation, Operation::Test(..) | Operation::Replace(..)))
    }

    /// The operations of all edits, in order.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.edits.iter().flat_map(|edit| &edit.operations)
    }
}

/// As people write it: `spec.source.helm.parameters[0].value`.
impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::End => formatter.write_str("[+]")?,
            }
        }
        Ok(())
    }
}
