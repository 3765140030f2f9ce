//! Which Applications an entry of `applicationRefs` reaches, and which of two entries goes first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::api::ApplicationSelector;
use crate::api::image_updater::ApplicationRef;
use crate::lower::policy::labels;
use crate::model::{InvalidPattern, LabelSelector, Problem, Reason, Requirement, TagGlob};

/// Which Applications an entry reaches.
#[derive(Debug)]
pub(super) struct Reach {
    pattern: String,
    glob: TagGlob,
    labels: LabelSelector,
    score: u64,
}

const WILDCARDS: [char; 4] = ['*', '?', '[', ']'];

impl Reach {
    pub fn new(entry: &ApplicationRef, index: usize) -> Result<Self, Problem> {
        let place = format!("spec.applicationRefs[{index}]");
        let pattern = entry.name_pattern.clone();
        let invalid = |message: String| {
            let problem = Problem::new(Reason::InvalidSelector, message).at(format!("{place}.namePattern"));
            problem.hint("write a name or a glob, for example `web-*`")
        };
        if pattern.is_empty() {
            return Err(invalid("the pattern is empty".to_owned()));
        }
        let glob: TagGlob = pattern.parse().map_err(|error: InvalidPattern| invalid(error.to_string()))?;
        let selector = entry.label_selectors.as_ref().map(|selector| labels(selector, &place)).transpose();
        let selector = selector.map_err(|problem| {
            let place = problem.place.clone().unwrap_or_default().replace(".selector.", ".labelSelectors.");
            problem.at(place)
        })?;
        Ok(Self { score: score(entry), pattern, glob, labels: selector.unwrap_or_default() })
    }

    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.glob.matches(name) && self.labels.matches(labels)
    }

    /// Whether it is certain that no Application is reached by both.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.names_are_apart(other) || self.labels_are_apart(other)
    }

    fn names_are_apart(&self, other: &Self) -> bool {
        let literal = |reach: &Self| !reach.pattern.contains(WILDCARDS) && !reach.pattern.contains('\\');
        match (literal(self), literal(other)) {
            (true, _) => !other.glob.matches(&self.pattern),
            (_, true) => !self.glob.matches(&other.pattern),
            (false, false) => {
                let differ = |one: &str, other: &str| !one.starts_with(other) && !other.starts_with(one);
                let (one, another) = (ends(&self.pattern), ends(&other.pattern));
                differ(&one.0, &another.0) || differ(&one.1, &another.1)
            }
        }
    }

    fn labels_are_apart(&self, other: &Self) -> bool {
        let apart = |one: &Requirement, other: &Requirement| match (one, other) {
            (Requirement::In(key, values), Requirement::In(same, others)) => {
                key == same && !values.iter().any(|value| others.contains(value))
            }
            (Requirement::In(key, values), Requirement::NotIn(same, others)) => {
                key == same && values.iter().all(|value| others.contains(value))
            }
            (Requirement::In(key, _) | Requirement::Exists(key), Requirement::DoesNotExist(same)) => key == same,
            _ => false,
        };
        let pairs =
            self.labels.requirements.iter().flat_map(|one| other.labels.requirements.iter().map(move |two| (one, two)));
        pairs.into_iter().any(|(one, two)| apart(one, two) || apart(two, one))
    }

    /// The same reach as an entry of a policy, where a policy has such a pattern.
    pub fn selector(&self, entry: &ApplicationRef) -> Option<ApplicationSelector> {
        let plain = !self.pattern.contains(['[', ']', '{', '}', '\\', '/']) && self.pattern.len() <= 253;
        let selector = entry.label_selectors.clone().filter(|_| !self.labels.requirements.is_empty());
        plain.then(|| ApplicationSelector { name: Some(self.pattern.clone()), selector })
    }
}

/// The entries, the one that goes first first: the highest score, then the order in which they were written.
pub(super) fn order(reaches: &[Reach]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..reaches.len()).collect();
    order.sort_by_key(|index| Reverse(reaches[*index].score));
    order
}

/// How particular an entry is (argocd-image-updater, selection of Applications): a plain name counts most, then a selector, then
/// the literal characters of the pattern.
fn score(entry: &ApplicationRef) -> u64 {
    let exact = if entry.name_pattern.contains(WILDCARDS) { 0 } else { 1_000_000 };
    let selector = entry.label_selectors.as_ref().map_or(0, |selector| {
        let equal = selector.match_labels.as_ref().map_or(0, BTreeMap::len);
        let expressions = selector.match_expressions.as_ref().map_or(0, Vec::len);
        10_000 + 100 * (equal + expressions) as u64
    });
    exact + literal(&entry.name_pattern).chars().count() as u64 + selector
}

/// The pattern without its wildcards and sets.
fn literal(pattern: &str) -> String {
    let mut text = String::new();
    let mut set = false;
    for symbol in pattern.chars() {
        match symbol {
            '[' => set = true,
            ']' => set = false,
            '*' | '?' => {}
            other if !set => text.push(other),
            _ => {}
        }
    }
    text
}

/// What every name begins with, and what it ends with, backwards.
fn ends(pattern: &str) -> (String, String) {
    let special = |symbol: &char| WILDCARDS.contains(symbol) || *symbol == '\\';
    let first = pattern.chars().take_while(|symbol| !special(symbol)).collect();
    let last = pattern.chars().rev().take_while(|symbol| !special(symbol)).collect();
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(pattern: &str, labels: &str) -> Reach {
        let selector = (!labels.is_empty()).then(|| serde_json::from_str(labels).expect("a selector"));
        let entry =
            ApplicationRef { name_pattern: pattern.to_owned(), label_selectors: selector, ..ApplicationRef::default() };
        Reach::new(&entry, 0).expect("a reach")
    }

    #[test]
    fn the_score_is_that_of_argocd_image_updater() {
        for (pattern, labels, expected) in [
            ("web", "", 1_000_003),
            ("web-*", "", 4),
            ("*", "", 0),
            ("web-[ab]?", "", 4),
            ("*", "{}", 10_000),
            ("a*", r#"{"matchLabels":{"a":"b"}}"#, 10_101),
            ("a*", r#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"Exists"}]}"#, 10_201),
        ] {
            assert_eq!(reach(pattern, labels).score, expected, "{pattern} {labels}");
        }
    }

    #[test]
    fn two_entries_are_apart_only_where_that_is_certain() {
        let team = |team: &str| format!(r#"{{"matchLabels":{{"team":"{team}"}}}}"#);
        for (one, labels, other, other_labels, expected) in [
            ("web", String::new(), "api", String::new(), true),
            ("web", String::new(), "web-*", String::new(), true),
            ("web-1", String::new(), "web-*", String::new(), false),
            ("web-*", String::new(), "api-*", String::new(), true),
            ("web-*", String::new(), "web-prod-*", String::new(), false),
            ("*-prod", String::new(), "*-dev", String::new(), true),
            ("*-prod", String::new(), "web-*", String::new(), false),
            ("web-[ab]", String::new(), "web-[cd]", String::new(), false),
            ("*", team("a"), "*", team("b"), true),
            ("*", team("a"), "*", team("a"), false),
            ("*", team("a"), "*", String::new(), false),
            (
                "*",
                team("a"),
                "*",
                r#"{"matchExpressions":[{"key":"team","operator":"DoesNotExist"}]}"#.to_owned(),
                true,
            ),
        ] {
            let (one, other) = (reach(one, &labels), reach(other, &other_labels));
            assert_eq!(one.is_apart_from(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.is_apart_from(&one), expected, "{other:?} {one:?}");
        }
    }
}
