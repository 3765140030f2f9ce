//! Edits of YAML and JSON text: exact bytes before and after, and refusals.

#![expect(clippy::panic, reason = "a failed expectation shows the case")]

use fairlead::edit::yaml::{EditError, apply};
use fairlead::model::{Node, Operation, Pointer};

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

#[test]
fn a_key_that_is_an_alias_is_a_key() {
    let text = "a: &a tag\nimage:\n  *a : 1.0.0\n";
    assert_eq!(
        refusal(text, set("image.tag", "1.0.1")),
        "line 3: the key `tag` is an alias; write the key itself there first"
    );
    assert_eq!(
        refusal(text, add("image.tag", "1.0.1")),
        "line 3: the key `tag` is an alias; write the key itself there first"
    );
    check(text, add("image.other", "b"), "a: &a tag\nimage:\n  *a : 1.0.0\n  other: b\n");
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
        "{\"a\": {\"b\": [{\"name\": \"image.tag\", \"value\": \"1.10\", \"forceString\": true}]}}\n",
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
        "- a: 1\n  b: 2\n- name: image.tag\n  value: \"1.10\"\n  forceString: true\n",
    );
    check(
        "p:\n-   a: 1\n    b: 2\n",
        add_node("p[+]", parameter()),
        "p:\n-   a: 1\n    b: 2\n-   name: image.tag\n    value: \"1.10\"\n    forceString: true\n",
    );
    check(
        "p:\n  - {name: a, value: b}\n",
        add_node("p[+]", parameter()),
        "p:\n  - {name: a, value: b}\n  - {name: image.tag, value: \"1.10\", forceString: true}\n",
    );
    check(
        "p:\n  - name: a\n    # about b\n    value: b\n  # end\nq: 1\n",
        add_node("p[+]", Node::text("x")),
        "p:\n  - name: a\n    # about b\n    value: b\n  - x\n  # end\nq: 1\n",
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
        "helm:\n  parameters: # none\n    - name: image.tag\n      value: \"1.10\"\n      forceString: true\n",
    );
    check("k:\n  images: []\n", add("k.images[+]", "a=b:1"), "k:\n  images:\n    - a=b:1\n");
    check("k:\n  images:\n", add("k.images[+]", "a=b:1"), "k:\n  images:\n    - a=b:1\n");
    check("k: {images: []}\n", add("k.images[+]", "a=b:1"), "k: {images: [a=b:1]}\n");
    check(
        "source:\r\n  path: x\r\n",
        add_node("source.k", Node::map([("images", Node::List(vec![Node::text("a:1")]))])),
        "source:\r\n  path: x\r\n  k:\r\n    images:\r\n      - a:1\r\n",
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
    insta::assert_snapshot!(refused("a: >\n  x\n", "a"), @"line 2: `a` is a block scalar");
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

#[test]
fn a_literal_block_changes_by_lines() {
    let change = |text: &str, value: &str, after: &str| {
        check(text, Operation::Replace(Pointer::root().key("a"), Node::text(value)), after);
    };
    change("a: |\n  x: 1\n\n  # c\n  y: 2\nb: 1\n", "x: 2\n\n# c\ny: 2\n", "a: |\n  x: 2\n\n  # c\n  y: 2\nb: 1\n");
    change("a: |\n  x: 1\n\nb: 1\n", "x: 1\ny: 2\n", "a: |\n  x: 1\n  y: 2\n\nb: 1\n");
    change("a: | # why\n  x: 1\n  \n  y: 1\n", "x: 1\n\ny: 2\n", "a: | # why\n  x: 1\n  \n  y: 2\n");
    change("a: |-\n  x: 1", "x: 2", "a: |-\n  x: 2");
    change("a: |-\n  x: 1", "x: 1\ny: 2", "a: |-\n  x: 1\n  y: 2");
    change("a: |+\n  x: 1\n\n", "x: 2\n\n", "a: |+\n  x: 2\n\n");
    change("a: |2\n    x: 1\n", "  x: 2\n", "a: |2\n    x: 2\n");
    change("a: |\r\n  x: 1\r\n  y: 1\r\n", "x: 1\nz: 3\ny: 1\n", "a: |\r\n  x: 1\r\n  z: 3\r\n  y: 1\r\n");
    change("- 1\n".replace("- 1", "a: |\n\n  x: 1").as_str(), "\nx: 2\n", "a: |\n\n  x: 2\n");
}
