//! A label selector in one line, as `kubectl --selector` takes it.

use crate::model::{LabelSelector, Requirement};

/// What a line such as `team=web,tier!=cache,env in (a,b),!legacy` means.
///
/// # Errors
/// A sentence that names the part that cannot be read.
pub fn label_selector(text: &str) -> Result<LabelSelector, String> {
    let parts = parts(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
    Ok(LabelSelector { requirements: parts.map(requirement).collect::<Result<_, _>>()? })
}

/// The parts between commas that stand in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let wrong = || format!("`{part}` is no part of a label selector; write for example `team=web,tier!=cache`");
    let key = |key: &str| {
        let key = key.trim();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if key.is_empty() || !key.bytes().all(allowed) { Err(wrong()) } else { Ok(key.to_owned()) }
    };
    if let Some((before, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        return match before.split_whitespace().collect::<Vec<_>>()[..] {
            [name, "in"] => Ok(Requirement::In(key(name)?, values)),
            [name, "notin"] => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((name, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Ok(Requirement::In(key(name)?, vec![value.trim().to_owned()]));
    }
    match part.strip_prefix('!') {
        Some(name) => Ok(Requirement::DoesNotExist(key(name)?)),
        None => Ok(Requirement::Exists(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_means_what_kubectl_means_by_it() {
        let read =
            label_selector("team=web, tier != cache,env in (a, b),zone notin (c),shared,!legacy").expect("a selector");
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(
            read.requirements,
            [
                Requirement::In("team".to_owned(), one("web")),
                Requirement::NotIn("tier".to_owned(), one("cache")),
                Requirement::In("env".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
                Requirement::NotIn("zone".to_owned(), one("c")),
                Requirement::Exists("shared".to_owned()),
                Requirement::DoesNotExist("legacy".to_owned()),
            ]
        );
        assert_eq!(label_selector("").map(|selector| selector.requirements), Ok(Vec::new()));
        insta::assert_snapshot!(label_selector("team web").unwrap_err(), @"`team web` is no part of a label selector; write for example `team=web,tier!=cache`");
    }
}
