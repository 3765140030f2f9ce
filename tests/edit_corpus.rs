//! Edits of YAML and JSON text: what holds for every file of a corpus, and for text that nobody would write.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]
#![expect(clippy::panic, reason = "a failed expectation shows the case")]

use std::fmt::Write as _;
use std::sync::LazyLock;

use fairlead::edit::yaml::{EditError, Value, apply, documents, read};
use fairlead::model::{Node, Operation, Pointer, Step};
use proptest::prelude::*;

/// Where scalars stand in a document, by a loader of its own.
fn leaves(value: &serde_json::Value, here: &Pointer, found: &mut Vec<(Pointer, String)>) {
    match value {
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| leaves(value, &here.clone().key(key), found));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &here.clone().index(index), found));
        }
        scalar => found.push((here.clone(), scalar.to_string())),
    }
}

fn load(text: &str) -> Option<serde_json::Value> {
    serde_saphyr::from_str(text).ok()
}

fn corpus() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/edit");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 60, "the corpus has {} files", files.len());
    let mut texts = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a text");
        texts.push((format!("{name} without its last line end"), text.trim_end().to_owned()));
        texts.push((format!("{name} with CRLF"), text.replace('\n', "\r\n")));
        texts.push((format!("{name} with a byte order mark"), format!("\u{feff}{text}")));
        texts.push((name, text));
    }
    texts
}

/// What is left of `before` and `after` when their common beginning and end are taken away.
fn difference<'a>(before: &'a str, after: &'a str) -> (&'a str, &'a str) {
    let start = before.bytes().zip(after.bytes()).take_while(|(old, new)| old == new).count();
    let end = before[start.min(before.len())..].bytes().rev().zip(after.as_bytes()[start..].iter().rev().copied());
    let end = end.take_while(|(old, new)| old == new).count();
    (&before[start..before.len() - end], &after[start..after.len() - end])
}

#[test]
fn every_scalar_of_the_corpus_is_changed_alone_or_refused() {
    let (mut changed, mut refused) = (0, std::collections::BTreeMap::<String, usize>::new());
    for (name, text) in corpus() {
        let is_variant = name.contains(' ');
        let values: &[&str] = if is_variant { &["1.10"] } else { &["9.9.9", "1.10", "with: colon", "it's"] };
        for (number, document) in documents(&text).into_iter().enumerate() {
            let body = &text[document.range.clone()];
            let value = load(body).unwrap_or_else(|| panic!("{name}, document {number} cannot be read"));
            let mut places = Vec::new();
            leaves(&value, &Pointer::root(), &mut places);
            for (place, _) in places {
                for wanted in values {
                    let operation = Operation::Replace(place.clone(), Node::text(*wanted));
                    match apply(&text, number, std::slice::from_ref(&operation)) {
                        Ok(after) => {
                            changed += 1;
                            check_change(&name, &text, &after, number, &operation, wanted);
                        }
                        Err(EditError::Refused { cause, .. }) => {
                            let kind = cause.rsplit('`').next().unwrap_or_default().to_owned();
                            *refused.entry(kind).or_default() += 1;
                        }
                        Err(error) => panic!("{name}: {place}: {error}"),
                    }
                }
            }
        }
    }
    let mut summary = format!("{changed} changed\n");
    for (kind, count) in refused {
        writeln!(summary, "{count} refused:{kind}").expect("writing into a string never fails");
    }
    insta::assert_snapshot!(summary, @"
    3073 changed
    7 refused:
    84 refused: has an anchor that is used elsewhere, too
    105 refused: is a block scalar
    14 refused: is an alias; write the value itself there first
    77 refused: may come from this merge key; write it out in the mapping first
    ");
}

/// Long enough that anything worse than a few passes would show.
#[test]
fn a_file_of_two_megabytes_is_changed_in_one_place() {
    let entry = |number: usize| {
        format!(
            "  app{number}: # number {number}\n    image: {{name: org/app{number}, tag: 1.0.{number}}}\n    text: \"{}\"\n",
            "x".repeat(150)
        )
    };
    let text = (0..9500).fold(String::from("# many\napps:\n"), |text, number| text + &entry(number));
    assert!(text.len() > 2_000_000, "{}", text.len());
    let at = Pointer::root().key("apps").key("app9000").key("image").key("tag");
    let operations = [Operation::Test(at.clone(), Node::text("1.0.9000")), Operation::Replace(at, Node::text("2.0"))];
    let after = apply(&text, 0, &operations).expect("a change");
    assert_eq!(after, text.replace("tag: 1.0.9000}", "tag: \"2.0\"}"));
    assert_eq!(apply(&after, 0, &operations[1..]), Ok(after.clone()), "a second run changes nothing");
}

/// Long enough that a look through the whole text for each alias, or for each key that a merge brings, would show.
#[test]
fn many_aliases_and_merged_keys_are_read_in_few_passes() {
    let begun = std::time::Instant::now();
    let pair = |number: usize| format!("k{number}: &a{number} {{a: b}}\nm{number}: *a{number}\n");
    let pairs = (0..30_000).fold(String::new(), |text, number| text + &pair(number));
    let text = format!("{pairs}image:\n  tag: 1.0.0\n");
    let root = read(&text, 0).expect("it can be read");
    let other = root.get("m29999").and_then(|value| value.get("a"));
    assert_eq!(other.and_then(Value::text), Some("b"), "aliases are followed");
    let at = Pointer::root().key("image").key("tag");
    let after = apply(&text, 0, &[Operation::Replace(at, Node::text("1.0.1"))]);
    assert_eq!(after, Ok(text.replace("1.0.0", "1.0.1")));
    let keys = |name: &str| (0..20_000).fold(String::new(), |text, number| text + &format!("  {name}{number}: 1\n"));
    let text = format!("base: &base\n{}own:\n  <<: *base\n{}", keys("a"), keys("b"));
    let own = read(&text, 0).expect("it can be read");
    let Some(Value::Map(entries)) = own.get("own") else { panic!("a mapping") };
    assert_eq!(entries.len(), 40_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(40), "{:?}", begun.elapsed());
}

/// Whether `after` is `before` with `wanted`, in any spelling, in place of the value `was`, in any spelling, and nothing else.
fn is_replaced(before: &str, after: &str, was: &serde_json::Value, wanted: &str) -> bool {
    if before == after {
        return was == wanted;
    }
    let common = before.bytes().zip(after.bytes()).take_while(|(old, new)| old == new).count();
    let spellings =
        [wanted.to_owned(), serde_json::json!(wanted).to_string(), format!("'{}'", wanted.replace('\'', "''"))];
    let spellings = spellings.iter().flat_map(|spelling| [spelling.clone(), format!(" {spelling}")]);
    for spelling in spellings {
        for start in (common.saturating_sub(spelling.len())..=common).filter(|start| after.is_char_boundary(*start)) {
            let Some(rest) = after[start..].strip_prefix(&spelling) else { continue };
            let Some(head) = before.strip_suffix(rest) else { continue };
            if head.get(..start) == after.get(..start) && head.get(start..).is_some_and(|removed| means(removed, was)) {
                return true;
            }
        }
    }
    false
}

/// Whether a text is one spelling of a scalar, and no more than that.
fn means(text: &str, scalar: &serde_json::Value) -> bool {
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    match scalar {
        serde_json::Value::Null => matches!(text, "" | "~" | "null" | "Null" | "NULL"),
        serde_json::Value::String(string) => {
            let exact = text == string || load(text).as_ref() == Some(scalar);
            // Lines of a literal block, which begin with its indentation.
            exact || lines(text) == lines(string.trim_end())
        }
        scalar => load(text).as_ref() == Some(scalar),
    }
}

fn check_change(name: &str, before: &str, after: &str, number: usize, operation: &Operation, wanted: &str) {
    let Operation::Replace(place, _) = operation else { panic!("a replacement") };
    let all = documents(after);
    assert_eq!(all.len(), documents(before).len(), "{name}: {place}");
    let body = |text: &str| load(&text[documents(text)[number].range.clone()]).expect("a readable document");
    let mut expected = body(before);
    *expected.pointer_mut(&place.to_json_pointer()).expect("the place") = wanted.into();
    assert_eq!(body(after), expected, "{name}: {place}");
    assert_eq!(apply(after, number, std::slice::from_ref(operation)).as_deref(), Ok(after), "{name}: {place} twice");
    let was = load(&before[documents(before)[number].range.clone()]).expect("a readable document");
    let was = was.pointer(&place.to_json_pointer()).expect("the place");
    assert!(is_replaced(before, after, was, wanted), "{name}: {place}: more than the value itself is gone:\n{after}");
    let (old, new) = difference(before, after);
    assert!(new.len() <= wanted.len() + 3 && !new.contains('\n'), "{name}: {place}: {old:?} became {new:?}");
}

#[test]
fn every_collection_of_the_corpus_takes_one_more_or_refuses() {
    let (mut changed, mut refused) = (0, 0);
    for (name, text) in corpus() {
        for (number, document) in documents(&text).into_iter().enumerate() {
            let value = load(&text[document.range]).unwrap_or_else(|| panic!("{name}, document {number}"));
            for place in collections(&value, &Pointer::root()) {
                let here = value.pointer(&place.to_json_pointer()).expect("the place");
                let place = if here.is_array() { place.clone().end() } else { place.clone().key("new.key") };
                let node =
                    Node::map([("a", Node::List(vec![Node::text("1.10"), Node::map([("b", Node::Bool(true))])]))]);
                let operation = Operation::Add(place.clone(), node);
                let after = match apply(&text, number, std::slice::from_ref(&operation)) {
                    Ok(after) => after,
                    Err(EditError::Refused { .. }) => {
                        refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{name}: {place}: {error}"),
                };
                changed += 1;
                let mut expected = value.clone();
                let added = serde_json::json!({"a": ["1.10", {"b": true}]});
                let parent = Pointer { steps: place.steps[..place.steps.len() - 1].to_vec() };
                match expected.pointer_mut(&parent.to_json_pointer()).expect("the place") {
                    serde_json::Value::Array(items) => items.push(added),
                    serde_json::Value::Object(entries) => {
                        entries.insert("new.key".to_owned(), added);
                    }
                    other => *other = serde_json::json!({"new.key": added}),
                }
                let found = load(&after[documents(&after)[number].range.clone()]).expect("a readable document");
                assert_eq!(found, expected, "{name}: {place}:\n{after}");
                let (old, new) = difference(&text, &after);
                let empty = ["", "{", "}", "{}", "[", "]", "[]", "~", "null"];
                let gone: String = old.split_whitespace().collect();
                assert!(empty.contains(&gone.as_str()), "{name}: {place}: `{old}` is gone:\n{after}");
                assert!(!new.is_empty());
                let again = apply(&after, number, std::slice::from_ref(&operation));
                let once = place.steps.last() == Some(&Step::End) || matches!(again, Err(EditError::Changed { .. }));
                assert!(once, "{name}: {place}: twice is {again:?}");
                let crlf = after.matches("\r\n").count();
                let mixed = crlf != 0 && crlf != after.matches('\n').count();
                assert!(!mixed, "{name}: {place}: line ends are mixed:\n{after:?}");
            }
        }
    }
    insta::assert_snapshot!(format!("{changed} changed, {refused} refused"), @"1576 changed, 44 refused");
}

fn collections(value: &serde_json::Value, here: &Pointer) -> Vec<Pointer> {
    let mut found = Vec::new();
    match value {
        serde_json::Value::Object(entries) => {
            found.push(here.clone());
            entries.iter().for_each(|(key, value)| found.extend(collections(value, &here.clone().key(key))));
        }
        serde_json::Value::Array(items) => {
            found.push(here.clone());
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| found.extend(collections(item, &here.clone().index(index))));
        }
        serde_json::Value::Null if !here.steps.is_empty() => found.push(here.clone()),
        _ => {}
    }
    found
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        "[abcé]{1}|spec|kind|items|last|nested|image".prop_map(Step::Key),
        (0..4usize).prop_map(Step::Index),
        Just(Step::End),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let node = prop_oneof![
        "[a-z0-9.:# '\"\\n-]{0,8}".prop_map(Node::Text),
        any::<bool>().prop_map(Node::Bool),
        Just(Node::List(vec![Node::map([("name", Node::text("1.10")), ("b", Node::Bool(true))])])),
        Just(Node::map([("a", Node::map([("b", Node::text("x"))]))])),
        Just(Node::List(vec![])),
    ];
    (prop::collection::vec(any_step(), 0..4), node, 0..3).prop_map(|(steps, node, kind)| {
        let pointer = Pointer { steps };
        match kind {
            0 => Operation::Test(pointer, node),
            1 => Operation::Replace(pointer, node),
            _ => Operation::Add(pointer, node),
        }
    })
}

/// The corpus, read once.
static CORPUS: LazyLock<Vec<(String, String)>> = LazyLock::new(corpus);

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(
        text in "([abcé]: |- |  |\n|\r\n|\t|\\{|\\}|\\[|\\]|, |: |#|'|\"|&a |\\*a|<<: |\\||>-|---\n|[abcé1]|\u{feff}|null|~|\\? ){0,24}",
        operations in prop::collection::vec(any_operation(), 1..3),
        document in 0..2usize,
    ) {
        if let Ok(after) = apply(&text, document, &operations) {
            let replaces = operations.iter().all(|operation| matches!(operation, Operation::Replace(..)));
            let scalars = operations.iter().all(|operation| matches!(operation, Operation::Replace(_, Node::Text(_))));
            if replaces && scalars && operations.len() == 1 {
                prop_assert_eq!(apply(&after, document, &operations), Ok(after));
            }
        }
    }

    #[test]
    fn no_damaged_file_makes_it_panic(
        file in any::<prop::sample::Index>(),
        cut in any::<(prop::sample::Index, u8)>(),
        operations in prop::collection::vec(any_operation(), 1..3),
        document in 0..3usize,
    ) {
        let (_, text) = file.get(&CORPUS);
        let characters: Vec<char> = text.chars().collect();
        let from = cut.0.index(characters.len() + 1);
        let until = (from + usize::from(cut.1)).min(characters.len());
        let damaged: String = characters[..from].iter().chain(&characters[until..]).collect();
        let _ = apply(&damaged, document, &operations);
    }
}
