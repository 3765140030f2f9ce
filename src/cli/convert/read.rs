//! Files → the Applications and `ImageUpdaters` in them, each with where it stands.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::adapters::directory::located;
use crate::api::{Application, ImageUpdater};
use crate::edit::yaml::{Lines, documents};
use crate::model::Pointer;

/// What there is to convert.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// Applications, by namespace and name.
    pub applications: Vec<(Application, Origin<'a>)>,
    /// Resources of argocd-image-updater.
    pub updaters: Vec<(ImageUpdater, Origin<'a>)>,
    /// What cannot be read, each with its place.
    pub broken: Vec<String>,
    seen: BTreeSet<(&'static str, String, String)>,
}

/// Where an object stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin<'a> {
    /// The document in its file; `None` for an object of a cluster.
    document: Option<Rc<Document<'a>>>,
    /// The object in its document, which may be a list.
    root: Pointer,
}

#[derive(Debug)]
struct Document<'a> {
    file: String,
    line: usize,
    body: &'a str,
    /// A large list is read a second time, for lines, once at most.
    lines: OnceCell<Lines<'a>>,
}

impl Origin<'_> {
    /// Where `pointer` of the object stands: `file:line`, or nothing for an object of a cluster.
    pub fn place(&self, pointer: impl Fn(Pointer) -> Pointer) -> Option<String> {
        let Document { file, line, body, lines } = &**self.document.as_ref()?;
        let lines = lines.get_or_init(|| Lines::new(body, *line));
        Some(format!("{file}:{}", lines.of(&pointer(self.root.clone())).unwrap_or(*line)))
    }
}

impl<'a> Found<'a> {
    /// Adds what the text of the file `file` holds. A document that cannot be read is named, and the others go on.
    pub fn read(&mut self, file: &str, text: &'a str, namespace: &str) {
        for document in documents(text) {
            let body = &text[document.range.clone()];
            let lines = OnceCell::new();
            let origin = Document { file: file.to_owned(), line: document.line, body, lines };
            let origin = Origin { document: Some(Rc::new(origin)), root: Pointer::root() };
            match serde_saphyr::from_str::<Value>(body) {
                Ok(value) => self.add(value, &origin, namespace),
                // The parser's words may hold a secret.
                Err(_) if body.contains("kind: Secret") => {
                    self.broken.push(format!("{file}:{}: the document cannot be read", document.line));
                }
                Err(error) => {
                    let (line, cause) = located(&error, document.line);
                    self.broken.push(format!("{file}:{line}: {cause}"));
                }
            }
        }
    }

    /// Adds an object, or those of a list.
    fn add(&mut self, mut value: Value, origin: &Origin<'a>, namespace: &str) {
        let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (word("apiVersion"), word("kind"));
        if let (Some(item_kind), Some(Value::Array(items))) = (kind.strip_suffix("List"), value.get_mut("items")) {
            for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
                if let Some(fields) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
                    fields.entry("kind").or_insert_with(|| item_kind.into());
                    fields.entry("apiVersion").or_insert_with(|| version.clone().into());
                }
                let root = origin.root.clone().key("items").index(index);
                self.add(item, &Origin { root, ..origin.clone() }, namespace);
            }
            return;
        }
        match (version.as_str(), kind.as_str()) {
            ("argoproj.io/v1alpha1", "Application") => {
                if let Some(application) = self.object::<Application>("Application", value, origin, namespace) {
                    self.applications.push((application, origin.clone()));
                }
            }
            ("argocd-image-updater.argoproj.io/v1alpha1", "ImageUpdater") => {
                if let Some(updater) = self.object::<ImageUpdater>("ImageUpdater", value, origin, namespace) {
                    self.updaters.push((updater, origin.clone()));
                }
            }
            _ => {}
        }
    }

    fn object<T: DeserializeOwned + kube::Resource>(
        &mut self,
        kind: &'static str,
        value: Value,
        origin: &Origin<'a>,
        namespace: &str,
    ) -> Option<T> {
        let place = || origin.place(|root| root).unwrap_or_default();
        let mut object: T = match serde_json::from_value(value) {
            Ok(object) => object,
            Err(error) => {
                self.broken.push(format!("{}: the {kind} cannot be read: {error}", place()));
                return None;
            }
        };
        let metadata = object.meta_mut();
        let namespace = metadata.namespace.get_or_insert_with(|| namespace.to_owned()).clone();
        let Some(name) = metadata.name.clone().filter(|name| !name.is_empty()) else {
            self.broken.push(format!("{}: the {kind} has no `metadata.name`", place()));
            return None;
        };
        if !self.seen.insert((kind, namespace.clone(), name.clone())) {
            self.broken.push(format!("{}: the {kind} `{namespace}/{name}` stands here a second time", place()));
            return None;
        }
        Some(object)
    }
}
