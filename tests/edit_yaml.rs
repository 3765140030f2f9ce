//! Edits of YAML and JSON text: exact bytes before and after, refusals, and properties over a corpus.

#![expect(clippy::panic, reason = "a failed expectation shows the case")]

use std::fmt::Write as _;

use fairlead::edit::yaml::{EditError, apply, documents};
use fairlead::model::{Node, Operation, Pointer, Step};
use proptest::prelude::*;

fn pointer(text: &str) -> Pointer {
    let mut pointer = Pointer::root();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            pointer = pointer.key(key);
        }
        for index in indexes.split(['[', ']']).filter(|index| !index.is_empty()) {
            pointer = if index == "+" { pointer.end() } else { pointer.index(index.parse().expect("a number")) };
        }
    }
    pointer
}

fn set(place: &str, value: &str) -> Operation {
    Operation::Replace(pointer(place), Node::text(value))
}

fn add(place: &str, value: &str) -> Operation {
    Operation::Add(pointer(place), Node::text(value))
}

fn add_node(place: &str, node: Node) -> Operation {
    Operation::Add(pointer(place), node)
}

fn test(place: &str, value: &str) -> Operation {
    Operation::Test(pointer(place), Node::text(value))
}

fn parameter() -> Node {
    Node::map([("name", Node::text("image.tag")), ("value", Node::text("1.10")), ("forceString", Node::Bool(true))])
}

#[track_caller]
fn check(before: &str, operation: Operation, after: &str) {
    check_in(before, 0, &[operation], after);
}

#[track_caller]
fn check_in(before: &str, document: usize, operations: &[Operation], after: &str) {
    match apply(before, document, operations) {
        Ok(text) if text == after => {}
        Ok(text) => panic!("{operations:?} on\n{before}\nshould be\n{after:?}\nis\n{text:?}"),
        Err(error) => panic!("{operations:?} on\n{before}\nfails: {error}"),
    }
}

fn refusal(before: &str, operation: Operation) -> String {
    match apply(before, 0, &[operation]) {
        Ok(text) => format!("not refused: {text:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_replaced_scalar_keeps_its_quotes_and_everything_around_it() {
    check("a: 1.0.0\n", set("a", "1.0.1"), "a: 1.0.1\n");
    check("a: '1.0'\n", set("a", "1.1"), "a: '1.1'\n");
    check("a: \"1.0\"\n", set("a", "1.1"), "a: \"1.1\"\n");
    check("a: 1.0.0", set("a", "1.0.1"), "a: 1.0.1");
    check("a:   1.0.0   # why\nb: 2\n", set("a", "1.0.1"), "a:   1.0.1   # why\nb: 2\n");
    check("a:\t1.0.0\t\n", set("a", "1.0.1"), "a:\t1.0.1\t\n");
    check(
        "# head\n\na:\n  # in\n  b: x # c\n\n# foot\n",
        set("a.b", "w"),
        "# head\n\na:\n  # in\n  b: w # c\n\n# foot\n",
    );
    check("a: x\r\nb: w\r\n", set("a", "z"), "a: z\r\nb: w\r\n");
    check("\u{feff}a: x\n", set("a", "z"), "\u{feff}a: z\n");
    check("ä: ü # ö\n", set("ä", "é"), "ä: é # ö\n");
    check("a: &tag 1.0.0\n", set("a", "1.0.1"), "a: &tag 1.0.1\n");
    check("a: !!str 1.0\n", set("a", "1.1.0"), "a: !!str 1.1.0\n");
    check("a: one\n  two\nb: c\n", set("a", "three"), "a: three\nb: c\n");
    check("a: 'it''s'\n", set("a", "that's"), "a: 'that''s'\n");
    check("a: \"x\\n\"\n", set("a", "say \"hi\""), "a: \"say \\\"hi\\\"\"\n");
    check("\"a\": x\n'b': w\n", set("b", "z"), "\"a\": x\n'b': z\n");
    check("? a\n: x\n", set("a", "w"), "? a\n: w\n");
    check("a:\n- b: x\n- b: w\n", set("a[1].b", "z"), "a:\n- b: x\n- b: z\n");
    check("- - a\n  - b\n", set("[0][1]", "c"), "- - a\n  - c\n");
    check("a.b: x\na:\n  b: w\n", set("a.b", "z"), "a.b: x\na:\n  b: z\n");
}

#[test]
fn what_would_not_read_back_as_the_same_text_is_quoted() {
    for value in ["1.10", "1e3", "1e50000", "0123", "yes", "null", "2024-01-02", "12:30:45", "1234567", "true", "~", ""]
    {
        check("a: 1.0.0 # c\n", set("a", value), &format!("a: \"{value}\" # c\n"));
        check("a: 1.0.0\nb: 'x'\n", set("a", value), &format!("a: '{value}'\nb: 'x'\n"));
    }
    check("a: 1.10\n", set("a", "1.10"), "a: \"1.10\"\n");
    check("{a: x}\n", set("a", "b,c"), "{a: \"b,c\"}\n");
    check("a: x\n", set("a", "b,c"), "a: b,c\n");
    check("a: x\n", set("a", "b: c"), "a: \"b: c\"\n");
    check("a: 1.0.0\n", Operation::Replace(pointer("a"), Node::Bool(true)), "a: true\n");
}

#[test]
fn nothing_becomes_a_value() {
    check("a:\nb: c\n", set("a", "x"), "a: x\nb: c\n");
    check("a: # why\nb: c\n", set("a", "x"), "a: x # why\nb: c\n");
    check("a: ~\n", set("a", "x"), "a: x\n");
    check("a: &x\n", set("a", "w"), "a: &x w\n");
    check("- a\n-\n", set("[1]", "b"), "- a\n- b\n");
    check("{a: , b: c}\n", set("a", "x"), "{a: x , b: c}\n");
    check("a:\n", add("a", "x"), "a: x\n");
}

#[test]
fn flow_style_and_json_stay_what_they_are() {
    check("a: {b: 'x', c: [1, two]}\n", set("a.c[1]", "three"), "a: {b: 'x', c: [1, three]}\n");
    check("{\"a\": {\"b\": \"1\"},\n \"c\":\"d\"}\n", set("a.b", "2.0"), "{\"a\": {\"b\": \"2.0\"},\n \"c\":\"d\"}\n");
    check("{\"a\": 1}", set("a", "x"), "{\"a\": \"x\"}");
    check("{a: x, b: w}\n", add("c", "z"), "{a: x, b: w, c: z}\n");
    check("{a: x, b: w,}\n", add("c", "z"), "{a: x, b: w, c: z,}\n");
    check("a: [x, w]\n", add("a[+]", "z"), "a: [x, w, z]\n");
    check("a: [x,w]\n", add("a[+]", "z"), "a: [x,w,z]\n");
    check("a: [x]\n", add("a[+]", "1.10"), "a: [x, \"1.10\"]\n");
    check("{\"a\": []}\n", add("a[+]", "x"), "{\"a\": [\"x\"]}\n");
    check(
        "{\"a\": {}}\n",
        add_node("a.b", Node::List(vec![parameter()])),
        concat!("{\"a\": {\"b\": [{\"name\": \"image.tag\", \"value\": \"1.10\", \"forceString\": true}]}}\n"),
    );
    check(
        "{\n  \"a\": \"x\",\n  \"b\": \"w\"\n}\n",
        add("c", "z"),
        "{\n  \"a\": \"x\",\n  \"b\": \"w\",\n  \"c\": \"z\"\n}\n",
    );
    check("a: [\n  x, # one\n  w, # two\n]\n", add("a[+]", "z"), "a: [\n  x, # one\n  w,\n  z, # two\n]\n");
    check("a: [\n  x,\n  w\n]\n", add("a[+]", "z"), "a: [\n  x,\n  w,\n  z\n]\n");
}

#[test]
fn a_key_is_added_behind_the_last_one() {
    check("a: x\n", add("b", "w"), "a: x\nb: w\n");
    check("a: x", add("b", "w"), "a: x\nb: w");
    check("a: x\r\n", add("b", "w"), "a: x\r\nb: w\r\n");
    check("a:\n  b: x # c\n\n# foot\nz: 1\n", add("a.c", "w"), "a:\n  b: x # c\n  c: w\n\n# foot\nz: 1\n");
    check("a:\n    b:\n        c: x\nd: e\n", add("a.f", "w"), "a:\n    b:\n        c: x\n    f: w\nd: e\n");
    check("a:\n- b: x\n  c:\n  - 1\n- b: w\n", add("a[0].d", "z"), "a:\n- b: x\n  c:\n  - 1\n  d: z\n- b: w\n");
    check("a: |\n  text\n\nb: c\n", add("d", "e"), "a: |\n  text\n\nb: c\nd: e\n");
    check("x:\n  a: |\n    text\n\n\ny: 1\n", add("x.b", "c"), "x:\n  a: |\n    text\n  b: c\n\n\ny: 1\n");
    check("x:\n  a: |+\n    text\n\ny: 1\n", add("x.b", "c"), "x:\n  a: |+\n    text\n\n  b: c\ny: 1\n");
    check("x:\n  a: >-\n    text # no comment\n", add("x.b", "c"), "x:\n  a: >-\n    text # no comment\n  b: c\n");
    check("a:\n  b:\nc: d\n", add("a.e", "f"), "a:\n  b:\n  e: f\nc: d\n");
    check(
        "a: &A {x: 1}\nb:\n  <<: *A\n  w: 2\n",
        add("b.z", "3.3.3"),
        "a: &A {x: 1}\nb:\n  <<: *A\n  w: 2\n  z: 3.3.3\n",
    );
    check("a: x\n", add("yes", "1.10"), "a: x\n\"yes\": \"1.10\"\n");
}

#[test]
fn an_item_is_added_behind_the_last_one_in_the_lists_own_style() {
    check("a:\n  - x\n", add("a[+]", "w"), "a:\n  - x\n  - w\n");
    check("a:\n- x\nb: c\n", add("a[+]", "w"), "a:\n- x\n- w\nb: c\n");
    check("a:\n  -   x\n", add("a[+]", "w"), "a:\n  -   x\n  -   w\n");
    check("- x # c\n", add("[+]", "1.10"), "- x # c\n- \"1.10\"\n");
    check("- a\n-\n", add("[+]", "b"), "- a\n-\n- b\n");
    check(
        "- a: 1\n  b: 2\n",
        add_node("[+]", parameter()),
        concat!("- a: 1\n  b: 2\n- name: image.tag\n  value: \"1.10\"\n  forceString: true\n"),
    );
    check(
        "p:\n-   a: 1\n    b: 2\n",
        add_node("p[+]", parameter()),
        concat!("p:\n-   a: 1\n    b: 2\n-   name: image.tag\n    value: \"1.10\"\n    forceString: true\n"),
    );
    check(
        "p:\n  - {name: a, value: b}\n",
        add_node("p[+]", parameter()),
        concat!("p:\n  - {name: a, value: b}\n  - {name: image.tag, value: \"1.10\", forceString: true}\n"),
    );
    check(
        "p:\n  - name: a\n    # about b\n    value: b\n  # end\nq: 1\n",
        add_node("p[+]", Node::text("x")),
        concat!("p:\n  - name: a\n    # about b\n    value: b\n  - x\n  # end\nq: 1\n"),
    );
}

#[test]
fn whole_blocks_are_added_in_the_files_manner() {
    let helm = || Node::map([("parameters", Node::List(vec![parameter()]))]);
    check(
        "spec:\n  source:\n    path: x\n  other: 1\n",
        add_node("spec.source.helm", helm()),
        concat!(
            "spec:\n  source:\n    path: x\n    helm:\n      parameters:\n        - name: image.tag\n          value: \"1.10\"\n",
            "          forceString: true\n  other: 1\n"
        ),
    );
    check(
        "spec:\n    source:\n        path: x\n    list:\n    - a\n",
        add_node("spec.source.helm", helm()),
        concat!(
            "spec:\n    source:\n        path: x\n        helm:\n            parameters:\n            - name: image.tag\n",
            "              value: \"1.10\"\n              forceString: true\n    list:\n    - a\n"
        ),
    );
    let after = "source:\n  helm:\n    parameters:\n      - name: image.tag\n        value: \"1.10\"\n        forceString: true\n  path: x\n";
    for empty in ["", " {}", " ~", " null"] {
        let before = format!("source:\n  helm:{empty}\n  path: x\n");
        check(&before, add_node("source.helm.parameters", Node::List(vec![parameter()])), after);
    }
    check(
        "helm:\n  parameters: [] # none\n",
        add_node("helm.parameters[+]", parameter()),
        concat!("helm:\n  parameters: # none\n    - name: image.tag\n      value: \"1.10\"\n      forceString: true\n"),
    );
    check("k:\n  images: []\n", add("k.images[+]", "a=b:1"), "k:\n  images:\n    - a=b:1\n");
    check("k:\n  images:\n", add("k.images[+]", "a=b:1"), "k:\n  images:\n    - a=b:1\n");
    check("k: {images: []}\n", add("k.images[+]", "a=b:1"), "k: {images: [a=b:1]}\n");
    check(
        "source:\r\n  path: x\r\n",
        add_node("source.k", Node::map([("images", Node::List(vec![Node::text("a:1")]))])),
        concat!("source:\r\n  path: x\r\n  k:\r\n    images:\r\n      - a:1\r\n"),
    );
    check("- helm:\n  path: x\n", add("[0].helm.a", "b"), "- helm:\n    a: b\n  path: x\n");
}

#[test]
fn operations_follow_each_other_and_all_or_none_is_done() {
    let text = "# two\n---\na: 1\n---\na:\n  - name: x\n    value: '1'\n";
    check_in(
        text,
        1,
        &[test("a[0].name", "x"), test("a[0].value", "1"), set("a[0].value", "2"), add("a[+]", "w"), set("a[1]", "z")],
        "# two\n---\na: 1\n---\na:\n  - name: x\n    value: '2'\n  - z\n",
    );
    let failed = apply(text, 1, &[set("a[0].value", "2"), test("a[0].name", "w")]);
    assert!(matches!(failed, Err(EditError::Changed { line: 6, .. })), "{failed:?}");
    check("a: 1.0\n", test("a", "1.0"), "a: 1.0\n");
    check(
        "a: [x, {b: true}]\n",
        Operation::Test(pointer("a"), Node::List(vec![Node::text("x"), Node::map([("b", Node::Bool(true))])])),
        "a: [x, {b: true}]\n",
    );
}

#[test]
fn a_document_that_cannot_be_read_does_not_hinder_the_others() {
    check_in("a: [\n---\nb: x\n---\n\t- :\n", 1, &[set("b", "w")], "a: [\n---\nb: w\n---\n\t- :\n");
    check_in(
        "%YAML 1.2\n---\na: x\n...\n---\nb: x\n...\n",
        1,
        &[set("b", "w")],
        "%YAML 1.2\n---\na: x\n...\n---\nb: w\n...\n",
    );
    check_in("--- {a: x}\n--- {a: w}\n", 1, &[set("a", "z")], "--- {a: x}\n--- {a: z}\n");
}

#[test]
fn many_comments_are_no_obstacle() {
    let comments = "# c\n".repeat(150);
    check(&format!("{comments}a: x\n{comments}"), set("a", "w"), &format!("{comments}a: w\n{comments}"));
}

#[test]
fn what_cannot_be_changed_exactly_is_refused_with_its_line() {
    let refused = |text: &str, place: &str| refusal(text, set(place, "2"));
    insta::assert_snapshot!(refused("a: &x 1\nb: *x\n", "b"), @"line 2: `b` is an alias; write the value itself there first");
    insta::assert_snapshot!(refused("a: &x 1\nb: *x\n", "a"), @"line 1: `a` has an anchor that is used elsewhere, too");
    insta::assert_snapshot!(refused("a: &x\n  c: 1\nb: *x\n", "a.c"), @"line 2: `a` has an anchor that is used elsewhere, too");
    insta::assert_snapshot!(refused("a: &x\n  c: 1\nb:\n  <<: *x\n", "b.c"), @"line 4: `c` may come from this merge key; write it out in the mapping first");
    insta::assert_snapshot!(refused("a: 1\na: 2\n", "a"), @"line 2: the key `a` stands here a second time");
    insta::assert_snapshot!(refused("a: |\n  x\n", "a"), @"line 2: `a` is a block scalar");
    insta::assert_snapshot!(refused("a: !vault x\n", "a"), @"line 1: `a` has the tag `!vault`");
    insta::assert_snapshot!(refused("x: 1\na: [1, 2\n", "x"), @"line 2: unclosed bracket '['");
    insta::assert_snapshot!(refused("a:\n\tb: 1\n", "a.b"), @"line 2: tabs disallowed within this context (block indentation)");
    insta::assert_snapshot!(refused("a: [1]\n", "a"), @"line 1: `a` is a list or mapping and not replaced as a whole");
    insta::assert_snapshot!(refused("a: 1\n", "b"), @"line 1: there is no `b`");
    insta::assert_snapshot!(refused("a: 1\n", "a.b"), @"line 1: there is no `a.b`");
    insta::assert_snapshot!(refused("a: [1]\n", "a[3]"), @"line 1: there is no `a[3]`");
    insta::assert_snapshot!(refused("# nothing\n", "a"), @"there is no document 0; the file has 0");
    insta::assert_snapshot!(refused("{a}\n", "a"), @"line 1: `a` has no `:`");
    insta::assert_snapshot!(refusal("a: 1\n", add("a", "2")), @"line 1: `a` is there already");
    insta::assert_snapshot!(refusal("a: 1\n", add("a.b", "2")), @"line 1: `a` is no mapping");
    insta::assert_snapshot!(refusal("a: [1, 2]\n", add("a[0]", "2")), @"line 1: `a[0]` is not the end of the list");
    insta::assert_snapshot!(refusal("a: 1\n", add("a[+]", "2")), @"line 1: `a` is no list");
    insta::assert_snapshot!(refusal("a: 1\n", add("", "2")), @"line 1: the document as a whole cannot be added");
    insta::assert_snapshot!(refusal("a: 1\n", test("a", "2")), @"line 1: `a` holds something else than expected");
}

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
        for (number, document) in documents(&text).into_iter().enumerate() {
            let body = &text[document.range.clone()];
            let value = load(body).unwrap_or_else(|| panic!("{name}, document {number} cannot be read"));
            let mut places = Vec::new();
            leaves(&value, &Pointer::root(), &mut places);
            for (place, _) in places {
                for wanted in ["9.9.9", "1.10", "with: colon", "it's"] {
                    let operation = Operation::Replace(place.clone(), Node::text(wanted));
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
    insta::assert_snapshot!(summary, @r#"
    1584 changed
    48 refused: has an anchor that is used elsewhere, too
    144 refused: is a block scalar
    16 refused: is an alias; write the value itself there first
    32 refused: may come from this merge key; write it out in the mapping first
    "#);
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
    let (old, new) = difference(before, after);
    assert!(new.len() <= wanted.len() + 3 && !new.contains('\n'), "{name}: {place}: {old:?} became {new:?}");
}

#[test]
fn every_collection_of_the_corpus_takes_one_more_or_refuses() {
    let (mut changed, mut refused) = (0, 0);
    for (name, text) in corpus() {
        for (number, document) in documents(&text).into_iter().enumerate() {
            let value = load(&text[document.range]).expect("a readable document");
            for place in collections(&value, &Pointer::root()) {
                let here = value.pointer(&place.to_json_pointer()).expect("the place");
                let place = if here.is_array() { place.clone().end() } else { place.clone().key("new.key") };
                let node =
                    Node::map([("a", Node::List(vec![Node::text("1.10"), Node::map([("b", Node::Bool(true))])]))]);
                let operation = Operation::Add(place.clone(), node);
                let after = match apply(&text, number, &[operation]) {
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
                let crlf = after.matches("\r\n").count();
                let mixed = crlf != 0 && crlf != after.matches('\n').count();
                assert!(!mixed, "{name}: {place}: line ends are mixed:\n{after:?}");
            }
        }
    }
    insta::assert_snapshot!(format!("{changed} changed, {refused} refused"), @"320 changed, 12 refused");
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
        Just(Node::List(vec![parameter()])),
        Just(Node::map([("a", parameter())])),
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

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
        let corpus = corpus();
        let (_, text) = file.get(&corpus);
        let characters: Vec<char> = text.chars().collect();
        let from = cut.0.index(characters.len());
        let until = (from + usize::from(cut.1)).min(characters.len());
        let damaged: String = characters[..from].iter().chain(&characters[until..]).collect();
        let _ = apply(&damaged, document, &operations);
    }
}
