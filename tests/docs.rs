//! Every policy shown in the documentation and the examples is understood, and every link leads somewhere.

#![allow(clippy::disallowed_methods, reason = "the pages are read from disk")]

use std::fs;
use std::path::{Path, PathBuf};

use fairlead::api::{Application, ImageUpdatePolicy};
use fairlead::lower;
use walkdir::WalkDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = WalkDir::new(root().join("docs")).sort_by_file_name().into_iter().filter_map(Result::ok);
    let docs = docs.map(walkdir::DirEntry::into_path).filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    ["README.md", "CONTRIBUTING.md"].iter().map(|page| root().join(page)).chain(docs).collect()
}

/// The fenced blocks of a page that say `language`, with the line each begins on.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some((_, block)) => block.extend([line, "\n"]),
            None if line == format!("```{language}") => open = Some((number + 1, String::new())),
            None => {}
        }
    }
    blocks
}

#[test]
fn every_policy_in_the_documentation_is_understood() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (line, block) in blocks(&text, "yaml") {
            for document in block.split("---\n").filter(|document| document.contains("kind: ImageUpdatePolicy")) {
                let place = format!("{}:{line}", page.display());
                let policy: ImageUpdatePolicy =
                    serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(lower::policy(&policy).problems, [], "{place}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 2, "the pages show {seen} policies");
}

#[test]
fn every_annotated_application_in_the_documentation_is_understood() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (line, block) in blocks(&text, "yaml") {
            for document in block.split("---\n").filter(|document| document.contains("/image-list: ")) {
                let place = format!("{}:{line}", page.display());
                let object: Application =
                    serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{place}: {error}"));
                let id = lower::application(&object).id;
                let found = lower::annotations::translate(&id, &object.metadata.annotations.expect("annotations"));
                assert_eq!((found.spec.is_some(), found.problems), (true, Vec::new()), "{place}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "the pages show {seen} Applications");
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            let path = page.parent().expect("a folder").join(file);
            assert!(path.exists(), "{}: `{target}` leads nowhere", page.display());
        }
    }
}

#[test]
fn the_readme_stays_short() {
    let lines = fs::read_to_string(root().join("README.md")).expect("the README").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn every_test_that_holds_an_invariant_is_there() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let words: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`')).collect();
    let tests = |folder: &str| WalkDir::new(root().join(folder)).into_iter().filter_map(Result::ok);
    let files = tests("tests").chain(tests("e2e/tests")).chain(tests("src")).filter(|file| file.file_type().is_file());
    let all: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let mut held = 0;
    for word in words {
        if word.starts_with("tests/") || word.starts_with("src/") {
            assert!(root().join(word).exists(), "`{word}` is not there");
            held += 1;
        } else if word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            && word.len() > 20
        {
            assert!(all.contains(&format!("fn {word}(")), "there is no test `{word}`");
        }
    }
    assert!(held > 20, "{held}");
}
