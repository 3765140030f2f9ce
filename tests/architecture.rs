//! Holds the shape of the source: who names whom, and what the core does without.
//!
//! The order of the layers is told in `src/lib.rs`; a module names only modules of a lower layer.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "reads the source, and fails when it cannot")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// The layers, lowest first. Modules of one layer do not name each other.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["select", "edit", "api"],
    &["lower"],
    &["ports"],
    &["pipeline"],
    &["adapters", "telemetry"],
    &["controller", "local"],
    &["cli"],
    &["main", "lib"],
];

/// Modules that run without waiting for anything.
const WITHOUT_ASYNC: [&str; 5] = ["model", "select", "edit", "api", "lower"];

/// Words of serialisation, which the model must not know.
const SERIALISATION: [&str; 6] = ["serde", "serde_json", "serde_saphyr", "Serialize", "Deserialize", "JsonSchema"];

/// Crates of the world, which the core must not need.
const WORLD: [&str; 14] = [
    "tokio",
    "hyper",
    "reqwest",
    "rustls",
    "ring",
    "git2",
    "gix",
    "axum",
    "tower",
    "kube-client",
    "kube-runtime",
    "oci-client",
    "tracing",
    "clap",
];

/// How many lines of code a file may have, tests and comments left out.
const LINES_A_FILE: usize = 400;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn a_module_names_only_lower_layers() {
    let mut wrong = Vec::new();
    for file in sources() {
        for named in file.names() {
            let (from, to) = (layer(file.top()), layer(&named));
            if named != file.top() && to >= from {
                wrong.push(format!("src/{}: `{}` names `{named}`", file.path.display(), file.top()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_has_a_layer() {
    let known: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    let found: BTreeSet<String> = sources().iter().map(|file| file.top().to_owned()).collect();
    let strange: Vec<&String> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?} stand in no layer: add them to LAYERS, and to the map in src/lib.rs");
}

#[test]
fn every_source_file_is_compiled() {
    let mut reached = BTreeSet::new();
    for root in ["lib.rs", "main.rs"] {
        reach(Path::new(root), &mut reached);
    }
    let there: BTreeSet<PathBuf> = sources().into_iter().map(|file| file.path).collect();
    let dead: Vec<_> = there.difference(&reached).collect();
    assert!(dead.is_empty(), "no `mod` leads to {dead:?}");
}

#[test]
fn the_core_waits_for_nothing() {
    for file in sources().iter().filter(|file| WITHOUT_ASYNC.contains(&file.top())) {
        let words = words(file.tokens());
        let found = ["async", "await"].iter().find(|word| words.contains(**word));
        assert_eq!(found, None, "in src/{}", file.path.display());
    }
}

#[test]
fn the_model_knows_no_serialisation() {
    for file in sources().iter().filter(|file| file.top() == "model") {
        let words = words(file.tokens());
        let found = SERIALISATION.iter().find(|word| words.contains(**word));
        assert_eq!(found, None, "in src/{}", file.path.display());
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for file in sources() {
        let name = file.path.to_str().expect("a readable path").to_owned();
        let code = file.code_lines();
        if let Some((_, reason)) = LONG_FILES.iter().find(|(long, _)| *long == name) {
            assert!(code > LINES_A_FILE, "src/{name} is short now: take it off LONG_FILES ({reason})");
            continue;
        }
        assert!(code <= LINES_A_FILE, "src/{name} has {code} lines of code, more than {LINES_A_FILE}: cut it in two");
    }
}

#[test]
fn the_core_builds_without_the_world() {
    let arguments = ["tree", "--offline", "--locked", "-p", "fairlead", "--no-default-features"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["-e", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes text");
    let crates: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("fairlead") && crates.contains("semver"), "{crates:?}");
    let found: Vec<&&str> = WORLD.iter().filter(|name| crates.contains(**name)).collect();
    assert_eq!(found, Vec::<&&str>::new(), "see `cargo tree --no-default-features -e normal -i <crate>`");
}

#[test]
fn every_spelling_of_a_path_is_seen() {
    let text = "
        use crate::{model::Reason, lower as below};
        use super::super::ports;
        use super::sibling;
        fn f() -> crate::api::Application { println!(\"{}\", crate::select::order(vec![super::super::edit::apply()])) }
        mod tests { use super::super::super::pipeline::*; use serde::de; }
    ";
    let source = Source { path: PathBuf::from("cli/run.rs"), text: text.to_owned() };
    let names: Vec<String> = source.names().into_iter().collect();
    assert_eq!(names, ["api", "cli", "edit", "lower", "model", "pipeline", "ports", "select"]);
}

/// One file of `src/`.
struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module directly under the crate that it belongs to.
    fn top(&self) -> &str {
        let first = self.path.components().next().expect("a path has a part").as_os_str();
        first.to_str().expect("a readable name").trim_end_matches(".rs")
    }

    /// Where its content stands: `model/image.rs` is `[model, image]`.
    fn module(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        let mut parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            parts.pop();
        }
        parts
    }

    fn parsed(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|cause| panic!("src/{}: {cause}", self.path.display()))
    }

    fn tokens(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|cause| panic!("src/{}: {cause}", self.path.display()))
    }

    /// The modules directly under the crate that it names, by whatever path.
    fn names(&self) -> BTreeSet<String> {
        let mut names = Names { module: self.module(), found: BTreeSet::new() };
        names.visit_file(&self.parsed());
        let known: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
        names.found.into_iter().filter(|name| known.contains(name.as_str())).collect()
    }

    fn code_lines(&self) -> usize {
        let tests = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        let lines = self.text[..tests].lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
    }
}

/// Collects what paths from the crate's root begin with.
struct Names {
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, path: &[String]) {
        let mut at: Option<Vec<String>> = None;
        for (index, word) in path.iter().enumerate() {
            match (word.as_str(), &mut at) {
                ("crate", None) if index == 0 => at = Some(Vec::new()),
                ("self", None) if index == 0 => at = Some(self.module.clone()),
                ("super", at) => {
                    let place = at.get_or_insert_with(|| self.module.clone());
                    place.pop();
                }
                (_, Some(place)) => place.push(word.clone()),
                // A path of another crate, or of what a `use` has brought in.
                (_, None) => return,
            }
        }
        self.found.extend(at.and_then(|place| place.into_iter().next()));
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |word: &syn::Ident| [before, &[word.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    /// Macros hide their paths in tokens: `crate :: model :: Reason`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut path));
                    }
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.add(&std::mem::take(&mut path));
                    self.add_tokens(group.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.add(&path);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&words);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

/// The place of a module in the order of layers.
fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("`{module}` stands in no layer"))
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let root = source_folder();
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&root) {
        let path = entry.expect("src can be walked").into_path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            files.insert(path.strip_prefix(&root).expect("it lies in src").to_owned(), text);
        }
    }
    files.into_iter().map(|(path, text)| Source { path, text }).collect()
}

/// Follows `mod` declarations from one file.
fn reach(path: &Path, reached: &mut BTreeSet<PathBuf>) {
    reached.insert(path.to_owned());
    let text = fs::read_to_string(source_folder().join(path)).expect("a declared module has a file");
    let own_folder = path.file_stem().is_some_and(|stem| ["mod", "lib", "main"].iter().any(|name| stem == *name));
    let folder = if own_folder { path.with_file_name("") } else { path.with_extension("") };
    let file = Source { path: path.to_owned(), text }.parsed();
    for item in file.items {
        let syn::Item::Mod(declared) = item else { continue };
        if declared.content.is_some() {
            continue;
        }
        let name = declared.ident.to_string();
        let places = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
        let found = places.iter().find(|place| source_folder().join(place).is_file());
        reach(found.unwrap_or_else(|| panic!("`mod {name}` in {} has no file", path.display())), reached);
    }
}

/// Every word in the code, comments left out, and text of documentation too.
fn words(tokens: TokenStream) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) => {
                all.insert(word.to_string());
            }
            TokenTree::Group(group) => all.extend(words(group.stream())),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    all
}
