//! What goes before a value of a file, so that writing it would change nothing: Argo CD and Helm read values files first, in order, then
//! the Application's `valuesObject` or `values`, then its parameters (<https://argo-cd.readthedocs.io/en/stable/user-guide/helm/>), and
//! its Kustomize images over those of the file; an override file goes before the Application.

use super::above::Above;
use super::override_file;
use super::snapshot::Snapshot;
use crate::edit::yaml::{Value, documents, read};
use crate::model::{Application, GitBranch, Helm, Pointer, Problem, Reason, Source, Step, Values};
use crate::pipeline::kustomize;
use crate::pipeline::place::{Place, Slot};

/// A source as Argo CD renders it, and the files that go before what is written for it.
pub(super) struct Rendered<'a> {
    application: &'a Application,
    source: Source,
    /// Override files with what they hold, in the order that they are read.
    overrides: Vec<(String, Value)>,
    /// Values files with what they hold, in the order that they are read.
    values: Vec<(String, Value)>,
}

impl<'a> Rendered<'a> {
    /// The source that `above` names. Files that cannot be read hide nothing here: Argo CD says so itself.
    pub fn new(application: &'a Application, above: &Above, branch: &GitBranch, snapshot: &Snapshot) -> Option<Self> {
        let sources = application.sources.each();
        let (_, source) = sources.into_iter().find(|(place, _)| *place == above.source)?;
        let text = |path: &String| {
            let text = snapshot.file(branch, path).ok()?.text?;
            (!documents(&text).is_empty()).then_some((path.clone(), text))
        };
        let (mut source, mut overrides) = (source.clone(), Vec::new());
        for (path, text) in above.overrides.iter().filter_map(text) {
            source = override_file::effective(&path, Some(&text), &source).ok()?;
            overrides.push((path, read(&text, 0).ok()?));
        }
        let values = above.values.iter().filter_map(text);
        let values = values.filter_map(|(path, text)| Some((path, read(&text, 0).ok()?))).collect();
        Some(Self { application, source, overrides, values })
    }

    /// Why a value at `place` of the values file `path`, written as `key`, would have no effect.
    pub fn values(&self, (path, key): (&str, &str), place: &Pointer) -> Option<Problem> {
        let by = self.parameter(place).or_else(|| self.inline(place)).or_else(|| {
            let (file, _) = self.values.iter().rfind(|(_, values)| reaches(values, place))?;
            Some(format!("`{file}`, read later,"))
        })?;
        Some(problem(&format!("`{key}` of `{path}`"), &by))
    }

    /// Why an entry of the kustomization `path` for the image `name` would have no effect.
    pub fn kustomization(&self, path: &str, name: &str) -> Option<Problem> {
        let images = self.source.kustomize.iter().flat_map(|kustomize| kustomize.images.iter().flatten());
        let found = images.rev().find(|image| kustomize::key(image) == name)?;
        let by = format!("`{found}` in `kustomize.images` of {}", self.owner("kustomize", "images"));
        Some(problem(&format!("the entry for `{name}` in `{path}`"), &by))
    }

    /// Why a change of the Application at `place` would have no effect.
    pub fn application(&self, place: &Place) -> Option<Problem> {
        let list = match &place.slot {
            Slot::Helm(_) => ("helm", "parameters"),
            Slot::Kustomize(_) => ("kustomize", "images"),
            Slot::Plugin(_) => ("plugin", "env"),
            Slot::HelmValues(_) | Slot::InlineValues(_) => ("helm", "valuesObject"),
        };
        let file = self.file_with(list)?;
        Some(problem(&format!("`{place}`"), &format!("`{}.{}` in `{file}`", list.0, list.1)))
    }

    fn parameter(&self, place: &Pointer) -> Option<String> {
        let parameters = self.source.helm.iter().flat_map(|helm| helm.parameters.iter().flatten());
        let hides =
            |name: &str| Pointer::from_value_path(name).is_some_and(|other| place.steps.starts_with(&other.steps));
        let found = parameters.map(|parameter| &parameter.name).find(|name| hides(name))?;
        Some(format!("the Helm parameter `{found}` of {}", self.owner("helm", "parameters")))
    }

    fn inline(&self, place: &Pointer) -> Option<String> {
        for (file, root) in &self.overrides {
            let object = || root.get("helm")?.get("valuesObject");
            let text = || read(root.get("helm")?.get("values")?.text()?, 0).ok();
            if object().is_some_and(|values| reaches(values, place))
                || text().is_some_and(|values| reaches(&values, place))
            {
                return Some(format!("the Helm values in `{file}`"));
            }
        }
        let id = &self.application.id;
        match self.source.helm.as_ref()? {
            Helm { values: Some(values), .. } => {
                reaches_object(values, place).then(|| format!("the `valuesObject` of `{id}`"))
            }
            Helm { inline: Some(text), .. } => {
                let reached = read(text, 0).is_ok_and(|values| reaches(&values, place));
                reached.then(|| format!("the Helm `values` of `{id}`"))
            }
            Helm { .. } => None,
        }
    }

    /// Whose list counts: that of the last override file that has one, else that of the Application.
    fn owner(&self, block: &str, list: &str) -> String {
        self.file_with((block, list)).map_or_else(|| format!("`{}`", self.application.id), |file| format!("`{file}`"))
    }

    fn file_with(&self, (block, list): (&str, &str)) -> Option<&str> {
        let has = |root: &Value| root.get(block).and_then(|block| block.get(list)).is_some();
        self.overrides.iter().rfind(|(_, root)| has(root)).map(|(file, _)| file.as_str())
    }
}

fn problem(what: &str, by: &str) -> Problem {
    let message = format!("a change of {what} would have no effect: {by} goes before it");
    Problem::new(Reason::InvalidTarget, message).hint("remove it there, or let that be what is written")
}

/// Whether values say something of a place: something stands there, on the way there is no mapping, or a list that replaces others.
fn reaches(values: &Value, place: &Pointer) -> bool {
    let mut here = values;
    for step in &place.steps {
        match (here, step) {
            (Value::Map(_), Step::Key(key)) => match here.get(key) {
                Some(next) => here = next,
                None => return false,
            },
            (Value::Null, _) if std::ptr::eq(here, values) => return false,
            _ => return true,
        }
    }
    true
}

/// [`reaches`], of a `valuesObject`.
fn reaches_object(values: &Values, place: &Pointer) -> bool {
    let mut here = values;
    for step in &place.steps {
        match (here, step) {
            (Values::Map(entries), Step::Key(key)) => match entries.get(key) {
                Some(next) => here = next,
                None => return false,
            },
            _ => return true,
        }
    }
    true
}
