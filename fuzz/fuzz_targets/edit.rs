//! An edit touches its value alone, twice is once, and no text makes the editor panic.
#![no_main]

use arbitrary::Arbitrary;
use fairlead::edit::yaml::{Value, apply, documents, line_of, look, read, starts_empty};
use fairlead::model::{Node, Operation, Pointer, Step};
use libfuzzer_sys::fuzz_target;

/// Deeper than this, what is generated is cut off.
const DEPTH: usize = 6;

/// A value, and how it is written.
#[derive(Arbitrary, Debug)]
enum Shape {
    Plain(u8),
    Number(u16),
    Single(u8),
    Double(u8),
    Nothing,
    Map(Vec<(Shape, Tail)>),
    List(Vec<(Shape, Tail)>),
    FlowMap(Vec<Shape>),
    FlowList(Vec<Shape>),
}

/// What stands behind a value on its line.
#[derive(Arbitrary, Debug)]
enum Tail {
    None,
    Blanks,
    Comment,
    EmptyLine,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    root: Vec<(Shape, Tail)>,
    windows: bool,
    mark: bool,
    marker: bool,
    choice: u16,
    wanted: &'a str,
    raw: &'a str,
    path: Vec<(u8, bool)>,
}

/// A text in the making, and where its scalars stand.
#[derive(Default)]
struct Text {
    text: String,
    leaves: Vec<(Pointer, std::ops::Range<usize>)>,
}

impl Text {
    fn scalar(&mut self, shape: &Shape, at: &Pointer) {
        let start = self.text.len();
        self.text += &match shape {
            Shape::Plain(value) => format!("v{value}.x"),
            Shape::Number(value) => value.to_string(),
            Shape::Single(value) => format!("'it''s {value}'"),
            Shape::Double(value) => format!("\"a \\\" # {value}\""),
            _ => "~".to_owned(),
        };
        self.leaves.push((at.clone(), start..self.text.len()));
    }

    fn flow(&mut self, shape: &Shape, at: &Pointer, depth: usize) {
        let (members, open, close, keys) = match shape {
            Shape::Map(members) => (members.iter().map(|(shape, _)| shape).collect::<Vec<_>>(), "{", "}", true),
            Shape::List(members) => (members.iter().map(|(shape, _)| shape).collect(), "[", "]", false),
            Shape::FlowMap(members) => (members.iter().collect(), "{ ", " }", true),
            Shape::FlowList(members) => (members.iter().collect(), "[", "]", false),
            scalar => return self.scalar(scalar, at),
        };
        self.text += open;
        for (index, member) in members.into_iter().enumerate().take(if depth < DEPTH { 8 } else { 0 }) {
            if index > 0 {
                self.text += ", ";
            }
            if keys {
                self.text += &format!("k{index}: ");
                self.flow(member, &at.clone().key(format!("k{index}")), depth + 1);
            } else {
                self.flow(member, &at.clone().index(index), depth + 1);
            }
        }
        self.text += close;
    }

    fn block(&mut self, members: &[(Shape, Tail)], keys: bool, at: &Pointer, depth: usize) {
        for (index, (member, tail)) in members.iter().enumerate().take(8) {
            self.text += &"  ".repeat(depth);
            let at = if keys { at.clone().key(format!("k{index}")) } else { at.clone().index(index) };
            self.text += &if keys { format!("k{index}:") } else { "-".to_owned() };
            let nested = match member {
                Shape::Map(members) if !members.is_empty() && depth < DEPTH => Some((members, true)),
                Shape::List(members) if !members.is_empty() && depth < DEPTH => Some((members, false)),
                _ => None,
            };
            if nested.is_none() {
                self.text += " ";
                self.flow(member, &at, depth + 1);
            }
            self.text += match tail {
                Tail::None => "\n",
                Tail::Blanks => "  \n",
                Tail::Comment => " # why: {not, 'a value\n",
                Tail::EmptyLine => "\n\n",
            };
            if let Some((members, keys)) = nested {
                self.block(members, keys, &at, depth + 1);
            }
        }
    }
}

fn at<'a>(value: &'a Value, place: &Pointer) -> Option<&'a Value> {
    place.steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.items()?.get(*index),
        Step::End => None,
    })
}

/// Texts that are made: the change is known to the byte.
fn exact(input: &Input<'_>) {
    let mut made = Text::default();
    made.text += if input.mark { "\u{feff}" } else { "" };
    made.text += if input.marker { "--- # first\n" } else { "" };
    made.block(&input.root, true, &Pointer::root(), 0);
    if made.leaves.is_empty() || input.wanted.len() > 200 {
        return;
    }
    let (place, range) = made.leaves[usize::from(input.choice) % made.leaves.len()].clone();
    let [head, tail] = [&made.text[..range.start], &made.text[range.end..]]
        .map(|part| if input.windows { part.replace('\n', "\r\n") } else { part.to_owned() });
    let before = format!("{head}{}{tail}", &made.text[range]);
    let operation = Operation::Replace(place.clone(), Node::text(input.wanted));
    let after =
        apply(&before, 0, std::slice::from_ref(&operation)).unwrap_or_else(|error| panic!("{error} in {before:?}"));
    assert!(after.len() >= head.len() + tail.len(), "{before:?} became {after:?}");
    assert!(after.starts_with(&head) && after.ends_with(&tail), "{before:?} became {after:?}");
    let root = read(&after, 0).expect("what was written can be read");
    assert_eq!(at(&root, &place).and_then(Value::text), Some(input.wanted), "{after:?}");
    assert_eq!(apply(&after, 0, &[operation]).as_deref(), Ok(after.as_str()), "twice is once");
    let parent = Pointer { steps: place.steps[..place.steps.len() - 1].to_vec() };
    let more = Operation::Add(parent.key("added"), Node::text(input.wanted));
    if let Ok(more) = apply(&after, 0, &[more]) {
        let kept = read(&more, 0).expect("what was added can be read");
        assert_eq!(at(&kept, &place).and_then(Value::text), Some(input.wanted), "{more:?}");
        assert!(more.len() > after.len());
    }
}

/// Any text: nothing but an answer, or a refusal.
fn any(input: &Input<'_>) {
    let text = input.raw;
    let _ = (documents(text), starts_empty(text));
    let keys = ["a", "b", "k0", "k1", "image", "tag", "<<", ""];
    let step = |(step, index): &(u8, bool)| match index {
        true => Step::Index(usize::from(step % 4)),
        false => Step::Key(keys[usize::from(*step) % keys.len()].to_owned()),
    };
    let place = Pointer { steps: input.path.iter().take(5).map(step).collect() };
    let _ = (read(text, 0), look(text, 0, &place), line_of(text, 0, &place));
    let replace = Operation::Replace(place.clone(), Node::text(input.wanted));
    if let Ok(after) = apply(text, 0, std::slice::from_ref(&replace)) {
        assert_eq!(apply(&after, 0, &[replace]).as_deref(), Ok(after.as_str()), "twice is once: {text:?}");
    }
    let node = Node::map([("a", Node::List(vec![Node::text(input.wanted)]))]);
    let _ = apply(text, 0, &[Operation::Add(place.clone().end(), node.clone())]);
    let add = Operation::Add(place.key("new"), node);
    if let Ok(after) = apply(text, 0, std::slice::from_ref(&add)) {
        assert!(apply(&after, 0, &[add]).is_err(), "what is there is not added again: {text:?}");
    }
}

fuzz_target!(|input: Input<'_>| {
    exact(&input);
    any(&input);
});
