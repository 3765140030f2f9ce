//! Policies → YAML with comments. Pure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::fold::{Comment, Converted, Section};

/// All policies as one text; what has no policy to stand in comes first.
pub(super) fn print(policies: &[Converted], leftovers: &[String]) -> Result<String, String> {
    let mut text = String::new();
    for leftover in leftovers {
        comment(&mut text, 0, leftover);
    }
    for (index, policy) in policies.iter().enumerate() {
        if index > 0 || !leftovers.is_empty() {
            text.push_str("---\n");
        }
        document(&mut text, policy).map_err(|error| format!("cannot print the policy `{}`: {error}", policy.name))?;
    }
    Ok(text)
}

type Printed = Result<(), serde_saphyr::ser_error::Error>;

fn document(text: &mut String, policy: &Converted) -> Printed {
    let Converted { namespace, name, spec, comments } = policy;
    comments_of(text, comments, &Section::Head, 0);
    let head = json!({
        "apiVersion": "fairlead.dev/v1alpha1", "kind": "ImageUpdatePolicy", "metadata": { "name": name, "namespace": namespace },
    });
    text.push_str(&serde_saphyr::to_string(&head)?);
    text.push_str("spec:\n");
    let fields = serde_json::to_value(spec).unwrap_or_default();
    let fields = fields.as_object().cloned().unwrap_or_default();
    let usual = |key: &str, value: &Value| match key {
        "suspend" | "dryRun" => *value == json!(false),
        "interval" => *value == json!("2m"),
        _ => false,
    };
    for (key, value) in fields.into_iter().filter(|(key, value)| !usual(key, value)) {
        match key.as_str() {
            "defaults" => comments_of(text, comments, &Section::Defaults, 2),
            "images" => comments_of(text, comments, &Section::Images, 2),
            "writeBack" => comments_of(text, comments, &Section::WriteBack, 2),
            _ => {}
        }
        match value {
            Value::Array(images) if key == "images" => {
                text.push_str("  images:\n");
                for image in images {
                    let alias = image.get("alias").and_then(Value::as_str).unwrap_or_default().to_owned();
                    comments_of(text, comments, &Section::Image(alias), 4);
                    indented(text, 4, &serde_saphyr::to_string(&vec![image])?);
                }
            }
            value => indented(text, 2, &serde_saphyr::to_string(&Map::from_iter([(key, value)]))?),
        }
    }
    Ok(())
}

fn comments_of(text: &mut String, comments: &[Comment], section: &Section, columns: usize) {
    for found in comments.iter().filter(|comment| comment.section == *section) {
        comment(text, columns, &found.text);
    }
}

/// A comment of one line, whatever the user's text in it holds.
fn comment(text: &mut String, columns: usize, words: &str) {
    // Beside control characters these two end a line for some readers.
    let ends = |symbol: char| symbol.is_control() || matches!(symbol, '\u{2028}' | '\u{2029}');
    let line: String = words.chars().map(|symbol| if ends(symbol) { ' ' } else { symbol }).collect();
    let _ = writeln!(text, "{:columns$}# {line}", "");
}

fn indented(text: &mut String, columns: usize, yaml: &str) {
    for line in yaml.lines() {
        let columns = if line.is_empty() { 0 } else { columns };
        let _ = writeln!(text, "{:columns$}{line}", "");
    }
}
