//! Go templates of strangers: what they cost is bounded, and a map of texts has the empty text for every key that is not in it.
//!
//! A template is parsed, and its tree is changed before it runs: each list of nodes first pays for the work of its nodes, and each access to a
//! field goes through a function of ours.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gotmpl::parse::{ActionNode, CommandNode, Expr, ListNode, Node, Number, Parser, PipeNode, Pos};
use gotmpl::{MissingKey, Template, TemplateError, Value};

/// Longer templates are refused, in bytes.
const LONGEST: usize = 64 * 1024;
/// More work than any message needs: nodes and expressions, each time that they are met.
const MAXIMUM_WORK: u64 = 100_000;
/// What a call of a function that makes text costs at least: about that of so many expressions.
const CALL: u64 = 20;
/// So many bytes that a function reads or makes cost as much as an expression.
const BYTES_A_STEP: usize = 32;
/// More text than any message needs, in bytes.
const MAXIMUM_BYTES: usize = 256 * 1024;
/// More text than one call of a function needs, in bytes.
const MAXIMUM_ARGUMENTS: usize = 8 * 1024;
/// The widest that the engine pads to, in characters.
const WIDEST: usize = u16::MAX as usize;

/// The functions of Go templates that make text.
const MAKERS: [&str; 6] = ["print", "printf", "println", "html", "js", "urlquery"];
/// All others.
const OTHERS: [&str; 13] = ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "call"];
/// The name of the function that pays; nobody can write it.
const PAY: &str = " pay";
/// The name of the function that gives a field.
const FIELD: &str = " field";

/// Why a template makes no text.
#[derive(Debug)]
pub(super) enum Failure {
    /// An index is behind the end of a list: other facts may have more.
    Short(String),
    /// Anything else, in the words of the template engine.
    Wrong(String),
}

/// A template that can be used again and again.
pub(super) struct Prepared {
    body: ListNode,
    defined: Vec<(String, ListNode)>,
    words: BTreeSet<String>,
}

/// What a template sees.
pub(super) struct Seen {
    /// The facts.
    pub facts: Value,
    /// The maps of texts in them, by their places in memory.
    pub texts: BTreeSet<usize>,
}

impl Prepared {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is none, names a function that is not there, or is too long.
    pub fn new(template: &str) -> Result<Self, Failure> {
        if template.len() > LONGEST {
            return Err(Failure::Wrong(format!("it is longer than {LONGEST} bytes")));
        }
        let mut gathered = Gathered { words: BTreeSet::new() };
        let mut prepared = || -> gotmpl::Result<_> {
            // The engine decides which of two definitions counts, and whether there may be two.
            let engine = Template::new("").parse(template)?;
            let (mut body, _) = Parser::new(template, "{{", "}}")?.parse()?;
            gathered.list(&mut body)?;
            let mut defined = Vec::new();
            for name in engine.templates() {
                let Some(mut list) = engine.lookup(name).cloned() else { continue };
                gathered.list(&mut list)?;
                defined.push((name.to_owned(), list));
            }
            Ok((body, defined))
        };
        let (body, defined) = prepared().map_err(Failure::of)?;
        Ok(Self { body, defined, words: gathered.words })
    }

    /// All texts and names of fields in it: each may be the key of a text.
    pub const fn words(&self) -> &BTreeSet<String> {
        &self.words
    }

    /// The text that it makes.
    ///
    /// # Errors
    /// When it asks for a field that is not there, or costs too much.
    pub fn render(&self, seen: &Seen) -> Result<String, Failure> {
        let purse = Arc::new(Purse(AtomicU64::new(MAXIMUM_WORK)));
        let mut output = Bounded(String::new());
        let mut engine = Template::new("").missing_key(MissingKey::Error).max_range_iters(MAXIMUM_WORK);
        for name in MAKERS {
            let purse = Arc::clone(&purse);
            engine = engine.func(name, move |arguments| made(name, arguments, &purse));
        }
        let (paid, texts) = (Arc::clone(&purse), seen.texts.clone());
        let engine = engine.func(PAY, move |arguments| match arguments {
            [Value::Int(work)] => paid.pay(work.unsigned_abs()).map(|()| text("")),
            _ => Err(TemplateError::Exec("nothing to pay".to_owned())),
        });
        let engine = engine.func(FIELD, move |arguments| field(arguments, &texts)).func("index", indexed);
        let engine = self.defined.iter().fold(engine, |engine, (name, list)| engine.add_parse_tree(name, list.clone()));
        // The body is a definition as others, so that it keeps what was changed in it.
        let made = engine.add_parse_tree(PAY, self.body.clone()).execute_template_fmt(&mut output, PAY, &seen.facts);
        match made {
            Ok(()) => Ok(output.0),
            Err(_) if output.0.len() >= MAXIMUM_BYTES => {
                Err(Failure::Wrong(format!("it makes more than {MAXIMUM_BYTES} bytes of text")))
            }
            Err(_) if purse.is_empty() => Err(Failure::Wrong(format!("it takes more than {MAXIMUM_WORK} steps"))),
            Err(error) => Err(Failure::of(error)),
        }
    }
}

impl Failure {
    fn of(error: TemplateError) -> Self {
        match error {
            TemplateError::IndexOutOfRange { .. } => Self::Short(error.to_string()),
            error => Self::Wrong(error.to_string()),
        }
    }
}

/// Texts in a template, as its tree is changed.
struct Gathered {
    words: BTreeSet<String>,
}

impl Gathered {
    /// Has a list pay for its nodes before these run. What is in lists of its own pays there.
    fn list(&mut self, list: &mut ListNode) -> gotmpl::Result<()> {
        let mut work = 1;
        for node in &mut list.nodes {
            work += self.node(node)?;
        }
        let arguments = vec![Expr::Identifier(list.pos, PAY.into()), Expr::Number(list.pos, Number::Int(work))];
        list.nodes.insert(0, Node::Action(ActionNode { pos: list.pos, pipe: pipe(list.pos, arguments) }));
        Ok(())
    }

    fn node(&mut self, node: &mut Node) -> gotmpl::Result<i64> {
        Ok(1 + match node {
            Node::Text(_) | Node::Break(_) | Node::Continue(_) | Node::Define(_) => 0,
            Node::List(list) => {
                self.list(list)?;
                0
            }
            Node::Action(action) => self.pipe(&mut action.pipe)?,
            Node::Template(call) => call.pipe.as_mut().map_or(Ok(0), |pipe| self.pipe(pipe))?,
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                self.list(&mut branch.body)?;
                branch.else_body.as_mut().map_or(Ok(()), |list| self.list(list))?;
                self.pipe(&mut branch.pipe)?
            }
        })
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> gotmpl::Result<i64> {
        let arguments = pipe.commands.iter_mut().flat_map(|command| &mut command.args);
        let mut work = 0;
        for argument in arguments {
            work += self.expression(argument)?;
        }
        Ok(work)
    }

    fn expression(&mut self, expression: &mut Expr) -> gotmpl::Result<i64> {
        let mut work = 1;
        let accessed = match expression {
            Expr::Dot(_) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => None,
            Expr::String(_, text) => {
                self.words.insert(text.to_string());
                None
            }
            Expr::Identifier(_, name) if MAKERS.contains(&name.as_str()) || OTHERS.contains(&name.as_str()) => None,
            Expr::Identifier(_, name) => return Err(TemplateError::UndefinedFunction(name.to_string())),
            Expr::Pipe(_, pipe) => {
                work += self.pipe(pipe)?;
                None
            }
            Expr::Field(pos, fields) => Some((*pos, Expr::Dot(*pos), std::mem::take(fields))),
            Expr::Variable(_, _, fields) if fields.is_empty() => None,
            Expr::Variable(pos, name, fields) => {
                Some((*pos, Expr::Variable(*pos, name.clone(), Vec::new()), std::mem::take(fields)))
            }
            Expr::Chain(pos, inner, fields) => {
                work += self.expression(inner)?;
                // A call without brackets stays as it is: none of the functions gives something with fields.
                let brackets = !matches!(**inner, Expr::Identifier(..));
                brackets.then(|| (*pos, (**inner).clone(), std::mem::take(fields)))
            }
        };
        if let Some((pos, from, fields)) = accessed {
            work += i64::try_from(fields.len()).unwrap_or(i64::MAX);
            self.words.extend(fields.iter().map(ToString::to_string));
            let fields = fields.iter().map(|name| Expr::String(pos, name.as_str().into()));
            let arguments = [Expr::Identifier(pos, FIELD.into()), from].into_iter().chain(fields).collect();
            *expression = Expr::Pipe(pos, pipe(pos, arguments));
        }
        Ok(work)
    }
}

fn pipe(pos: Pos, args: Vec<Expr>) -> PipeNode {
    PipeNode { pos, decl: Vec::new(), commands: vec![CommandNode { pos, args }], is_assign: false }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// The fields of a value, one after the other.
fn field(arguments: &[Value], texts: &BTreeSet<usize>) -> gotmpl::Result<Value> {
    let Some((value, names)) = arguments.split_first() else { return Ok(Value::Nil) };
    names.iter().try_fold(value.clone(), |value, name| {
        let name = name.as_str().unwrap_or_default();
        match &value {
            Value::Map(map) => match map.get(name) {
                Some(value) => Ok(value.clone()),
                None if texts.contains(&Arc::as_ptr(map).addr()) => Ok(text("")),
                None => Err(TemplateError::MissingKey { key: name.to_owned() }),
            },
            other => {
                let message = format!("can't evaluate field {name} in type {}", other.type_name());
                Err(TemplateError::Exec(message))
            }
        }
    })
}

/// Go's `index`. What a map of texts has not is the empty text, as in Go.
fn indexed(arguments: &[Value]) -> gotmpl::Result<Value> {
    let Some((value, keys)) = arguments.split_first() else {
        return Err(TemplateError::Exec("index gets no arguments".to_owned()));
    };
    Ok(match keys.iter().try_fold(value.clone(), |value, key| value.index(key))? {
        Value::Nil => text(""),
        value => value,
    })
}

/// A function of Go that makes text, on so much text at most that its use again and again stays harmless.
fn made(name: &str, arguments: &[Value], purse: &Purse) -> gotmpl::Result<Value> {
    let bytes: usize = arguments.iter().map(|argument| argument.to_string().len()).sum();
    if bytes > MAXIMUM_ARGUMENTS {
        let cause = format!("{name} gets {bytes} bytes of text, more than {MAXIMUM_ARGUMENTS}");
        return Err(TemplateError::Exec(cause));
    }
    let padding = if name == "printf" { padding(arguments) } else { 0 };
    if padding > MAXIMUM_ARGUMENTS {
        let cause = format!("printf pads to {padding} characters, more than {MAXIMUM_ARGUMENTS}");
        return Err(TemplateError::Exec(cause));
    }
    purse.pay(CALL + steps(bytes + padding))?;
    let places = (0..arguments.len()).fold(String::new(), |places, index| places + &format!(" (index . {index})"));
    let call = Template::new("").parse(&format!("{{{{ {name}{places} }}}}"))?;
    Ok(Value::String(call.execute_to_string(&Value::List(arguments.into()))?.into()))
}

fn steps(bytes: usize) -> u64 {
    u64::try_from(bytes / BYTES_A_STEP).unwrap_or(u64::MAX)
}

/// How many characters `printf` may add beside its arguments: all widths and precisions of its format.
fn padding(arguments: &[Value]) -> usize {
    let Some((Value::String(format), values)) = arguments.split_first() else { return 0 };
    let stars = values.iter().map(|value| match value {
        Value::Int(width) => usize::try_from(width.unsigned_abs()).unwrap_or(WIDEST).min(WIDEST),
        _ => 0,
    });
    let star = stars.max().unwrap_or(0);
    let verbs = format.split('%').skip(1).map(|verb| {
        let end = verb.find(|character: char| !"+-# .*[]0123456789".contains(character));
        let flags = &verb[..end.unwrap_or(verb.len())];
        let numbers = flags.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty());
        let numbers: usize = numbers.map(|number| number.parse().unwrap_or(WIDEST).min(WIDEST)).sum();
        numbers + star * flags.matches('*').count()
    });
    verbs.sum()
}

/// The work that is left.
struct Purse(AtomicU64);

impl Purse {
    fn pay(&self, work: u64) -> gotmpl::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(work), Ordering::Relaxed);
        if self.is_empty() { Err(TemplateError::RangeIterLimit) } else { Ok(()) }
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Text that does not grow without end.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAXIMUM_BYTES.saturating_sub(self.0.len());
        if text.len() > room {
            self.0.extend(std::iter::repeat_n(' ', room));
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
