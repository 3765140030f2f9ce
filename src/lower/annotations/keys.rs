//! The keys of the annotations: which there are, and which of them nothing reads.

use std::collections::{BTreeMap, BTreeSet};

use super::image_list::Entry;
use super::place;
use crate::api::annotations::{
    ALLOW_TAGS, ANNOTATIONS, Annotation, IMAGE_LIST, PREFIX, PULL_SECRET, Scope, Support, UPDATE_STRATEGY,
};
use crate::lower::nearest::nearest;
use crate::lower::upstream::{Findings, Text};
use crate::model::{Problem, Reason};

/// The annotations of argocd-image-updater, by what follows the prefix.
pub(super) struct Keys<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Keys<'a> {
    pub fn new(annotations: &'a BTreeMap<String, String>) -> Self {
        let ours = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str())));
        Self(ours.collect())
    }

    /// The value of a key as it stands.
    pub fn raw(&self, key: &str) -> Option<Text> {
        self.0.get(key).map(|value| Text { value: (*value).to_owned(), place: place(key) })
    }

    /// The value of a key, blanks around it removed; it may be empty.
    pub fn present(&self, alias: Option<&str>, key: &str) -> Option<Text> {
        let text = self.raw(&full(alias, key))?;
        Some(Text { value: text.value.trim().to_owned(), ..text })
    }

    /// The value of a key; an empty one is none.
    pub fn get(&self, alias: Option<&str>, key: &str) -> Option<Text> {
        self.present(alias, key).filter(|text| !text.value.is_empty())
    }

    /// Notes keys that are empty where the same key without an alias is not: v0 took the emptiness for an answer.
    pub fn empty_beside_base(&self, alias: &str, findings: &mut Findings) {
        for key in [UPDATE_STRATEGY, ALLOW_TAGS, PULL_SECRET] {
            let empty = self.present(Some(alias), key).filter(|text| text.value.is_empty());
            if let (Some(empty), Some(base)) = (empty, self.get(None, key)) {
                let message = if key == PULL_SECRET {
                    format!("it is empty, so that of `{key}` holds")
                } else {
                    format!("it is empty, so `{}` of `{key}` holds", base.value)
                };
                let note = Problem::new(Reason::AmbiguousText, message).at(empty.place);
                findings.note(note.hint("remove it, or write out what is meant"));
            }
        }
    }

    /// Notes every key: without a list of images none has a meaning.
    pub fn without_list(&self, findings: &mut Findings) {
        for key in self.0.keys() {
            let message = format!("nothing reads it, because there is no `{IMAGE_LIST}`");
            findings.note(unread(key, message, format!("add `{PREFIX}{IMAGE_LIST}`, or remove it")));
        }
    }

    /// Notes the keys that nothing reads.
    pub fn unread(&self, entries: &[Entry], findings: &mut Findings) {
        let aliases: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.key.as_deref()).collect();
        let live = || ANNOTATIONS.iter().filter(|annotation| annotation.support != Support::Refused);
        let read = |key: &str| {
            live().any(|annotation| {
                let whole = annotation.scope != Scope::Image && annotation.key == key;
                let alias = key.strip_suffix(annotation.key).and_then(|before| before.strip_suffix('.'));
                whole || annotation.scope != Scope::Application && alias.is_some_and(|alias| aliases.contains(alias))
            })
        };
        for key in self.0.keys().filter(|key| !read(key)) {
            findings.note(why_unread(key, &aliases));
        }
    }
}

/// The items of a list with commas, each at the place of the whole.
pub(super) fn items(text: &Text) -> Vec<Text> {
    let items = text.value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| Text { value: item.to_owned(), place: text.place.clone() }).collect()
}

fn full(alias: Option<&str>, key: &str) -> String {
    alias.map_or_else(|| key.to_owned(), |alias| format!("{alias}.{key}"))
}

fn unread(key: &str, message: String, hint: String) -> Problem {
    Problem::new(Reason::UnreadSetting, message).at(place(key)).hint(hint)
}

fn why_unread(key: &str, aliases: &BTreeSet<&str>) -> Problem {
    if let Some(annotation) = ANNOTATIONS.iter().find(|annotation| annotation.key == key) {
        return match annotation.support {
            Support::Refused => gone(key, annotation, "ALIAS"),
            _ => unread(key, "it is read for one image alone".to_owned(), format!("write `ALIAS.{key}`")),
        };
    }
    // `x.helm.image-name` ends like the older `x.image-name`, too.
    let ends = |annotation: &&Annotation| key.strip_suffix(annotation.key).is_some_and(|alias| alias.ends_with('.'));
    let Some(annotation) = ANNOTATIONS.iter().filter(ends).max_by_key(|annotation| annotation.key.len()) else {
        return unread(key, "there is no such key".to_owned(), meant(key, aliases));
    };
    let alias = &key[..key.len() - annotation.key.len() - 1];
    match (annotation.support, annotation.scope) {
        (Support::Refused, _) => gone(key, annotation, alias),
        _ if alias.is_empty() => {
            unread(key, "no alias stands in front of the dot".to_owned(), format!("write `ALIAS.{}`", annotation.key))
        }
        (_, Scope::Application) => {
            let message = "it is read for the whole Application alone".to_owned();
            unread(key, message, format!("write `{}`", annotation.key))
        }
        _ => {
            let message = format!("no image of `{IMAGE_LIST}` has the alias `{alias}`");
            let hint = match nearest(alias, aliases.iter().copied()) {
                Some(known) => format!("did you mean `{known}.{}`?", annotation.key),
                None => format!("write `{alias}=IMAGE` in `{IMAGE_LIST}`"),
            };
            unread(key, message, hint)
        }
    }
}

/// The note on a key that no version of argocd-image-updater reads any more.
fn gone(key: &str, annotation: &Annotation, alias: &str) -> Problem {
    let advice = annotation.long.replace("ALIAS", alias).replacen("Use", "use", 1);
    unread(key, "nothing reads this key any more".to_owned(), advice.trim_end_matches('.').to_owned())
}

/// The key that was likely meant.
fn meant(key: &str, aliases: &BTreeSet<&str>) -> String {
    let keys = |image: bool| {
        let fits = move |annotation: &&Annotation| {
            annotation.support != Support::Refused
                && annotation.scope != if image { Scope::Application } else { Scope::Image }
        };
        ANNOTATIONS.iter().filter(fits).map(|annotation| annotation.key)
    };
    let of_image = aliases.iter().find_map(|alias| {
        let word = nearest(key.strip_prefix(alias)?.strip_prefix('.')?, keys(true))?;
        Some(format!("{alias}.{word}"))
    });
    match of_image.or_else(|| nearest(key, keys(false)).map(str::to_owned)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "the list of keys is in docs/reference/annotations.md".to_owned(),
    }
}
