//! `image-list`: which images, with a comma between them.

use std::collections::BTreeMap;

use crate::lower::upstream::{Findings, Identifier, Text, identifier, is_alias, is_version};
use crate::model::{Problem, Reason};

/// One image of the list.
#[derive(Debug)]
pub(super) struct Entry {
    /// The alias as keys hold it.
    pub key: Option<String>,
    /// The alias in the policy: none where it would be none there, or is taken.
    pub alias: Option<String>,
    /// The image and its constraint.
    pub identifier: Identifier,
}

/// The images of the list. What cannot be read is left out, and so is what a comma tore apart.
pub(super) fn image_list(list: &Text, findings: &mut Findings) -> Vec<Entry> {
    let parts = list.value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for part in parts {
        match groups.last_mut() {
            Some(group) if is_torn_off(part) => group.push(part),
            _ => groups.push(vec![part]),
        }
    }
    if groups.is_empty() {
        let problem = Problem::new(Reason::InvalidImage, format!("`{}` names no image", list.value.trim()));
        findings.refuse(problem.at(&list.place).hint("write for example `web=ghcr.io/org/app:~1.2`"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for group in groups {
        let read = match group[..] {
            [part] => entry(part, list, findings),
            _ => Err(torn(&group)),
        };
        let Some(mut entry) = findings.keep(read.map_err(|problem| problem.at(&list.place))) else { continue };
        let name = entry.key.clone().unwrap_or_else(|| entry.identifier.image.clone());
        match seen.get(&name) {
            Some(first) if *first == group[0] => {
                findings.note(note(list, format!("`{first}` stands there twice"), "remove one".to_owned()));
                continue;
            }
            Some(first) if entry.key.is_some() => {
                let message = format!("`{first}` and `{}` have one alias, and share its settings", group[0]);
                findings.note(note(list, message, "give each an alias of its own".to_owned()));
                entry.alias = None;
            }
            Some(_) => {}
            None => {
                seen.insert(name, group[0]);
            }
        }
        entries.push(entry);
    }
    entries
}

/// Whether a part between commas is no image, but the rest of a constraint: `<2` of `>=1.2, <2`.
fn is_torn_off(part: &str) -> bool {
    let bare = part.trim_start_matches(['<', '>', '=', '!', '~', '^', '|', '-', ' ']);
    let operator = &part[..part.len() - bare.len()];
    match operator.trim() {
        // `=image` is an image with an empty alias.
        "" | "=" => is_version(bare),
        _ => true,
    }
}

fn torn(group: &[&str]) -> Problem {
    let message = format!("`{}` is no image: a comma separates images, and tore a constraint apart", group[1]);
    let whole = group.join(" ");
    Problem::new(Reason::InvalidImage, message).hint(format!("write a blank in place of the comma: `{whole}`"))
}

fn entry(part: &str, list: &Text, findings: &mut Findings) -> Result<Entry, Problem> {
    let (alias, image) = match part.split_once('=') {
        Some((alias, _)) if alias.contains([':', '@']) => {
            let message =
                format!("`{part}` is read as an image with a constraint, not as one with the alias `{alias}`");
            findings.note(note(list, message, format!("give it an alias: `ALIAS={part}`")));
            ("", part)
        }
        Some((alias, image)) => (alias.trim(), image.trim()),
        None => ("", part),
    };
    if image.is_empty() {
        let problem = Problem::new(Reason::InvalidImage, format!("there is no image behind `{part}`"));
        return Err(problem.hint(format!("write `{part}IMAGE`")));
    }
    let read = identifier(image)?;
    if read.digest {
        let message = format!("the digest of `{image}` says nothing about which version to take");
        findings.note(note(list, message, "remove it".to_owned()));
    }
    let key = alias.replace('/', "_");
    if !key.is_empty() && !is_alias(&key) {
        let message = format!("`{alias}` cannot be an alias in a policy, so the image has none there");
        let hint =
            "an alias has letters, digits, `.`, `_` and `-`, begins with a letter or digit, and is 63 long at most";
        findings.note(note(list, message, hint.to_owned()));
    }
    let key = Some(key).filter(|key| !key.is_empty());
    Ok(Entry { alias: key.clone().filter(|key| is_alias(key)), key, identifier: read })
}

fn note(list: &Text, message: String, hint: String) -> Problem {
    Problem::new(Reason::AmbiguousText, message).at(&list.place).hint(hint)
}
