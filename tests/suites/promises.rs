//! Code and tests cite the promises of ARCHITECTURE.md by number. These tests check the citations.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where promises may be cited: the folders of the repository, and the documents beside them.
const FOLDERS: [&str; 9] = [
    "benches",
    "cloudformation",
    "deploy",
    "docs",
    "functions",
    "shared",
    "statemachine",
    "tests",
    "training",
];
const DOCUMENTS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "TESTING.md",
];
const EXTENSIONS: [&str; 7] = ["asl", "json", "md", "py", "rs", "yaml", "yml"];

/// What cites a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Code,
    Test,
    Document,
}

/// A file, or the part of it that is one source.
struct Text {
    path: PathBuf,
    source: Source,
    content: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository").into()
}

/// The numbers in the table of the section "The promises".
fn numbers() -> BTreeSet<u32> {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) =
        architecture.split_once("\n## The promises\n").expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();

    let rows: Vec<u32> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    let numbers: BTreeSet<u32> = rows.iter().copied().collect();

    assert_eq!(rows.len(), numbers.len(), "a number is in the table twice: {rows:?}");
    assert_eq!(numbers, (1..=15).collect(), "the promises are numbered from 1 to 15");
    numbers
}

fn texts() -> Vec<Text> {
    let root = root();
    let mut files: Vec<PathBuf> = DOCUMENTS.iter().map(|name| root.join(name)).collect();
    for folder in FOLDERS {
        add_files(&root.join(folder), &mut files);
    }

    let mut texts = Vec::new();
    for file in files {
        let content = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let path = file.strip_prefix(&root).unwrap().to_owned();
        add_text(&mut texts, path, content);
    }

    assert!(texts.len() > 100, "only {} files were found", texts.len());
    texts
}

fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path());
    for path in entries {
        if path.is_dir() {
            add_files(&path, files);
        } else if path
            .extension()
            .and_then(|name| name.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension))
        {
            files.push(path);
        }
    }
}

/// A source file of Rust may end with its own tests.
fn add_text(texts: &mut Vec<Text>, path: PathBuf, content: String) {
    let source = source_of(&path);
    if let (Source::Code, Some((code, tests))) =
        (source, content.split_once("#[cfg(test)]\nmod tests {"))
    {
        texts.push(Text { path: path.clone(), source: Source::Code, content: code.to_owned() });
        texts.push(Text { path, source: Source::Test, content: tests.to_owned() });
        return;
    }

    texts.push(Text { path, source, content });
}

fn source_of(path: &Path) -> Source {
    let is_test = path.starts_with("tests")
        || path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs");
    match path.extension().and_then(|name| name.to_str()) {
        Some("md") => Source::Document,
        _ if is_test => Source::Test,
        _ => Source::Code,
    }
}

/// The numbers that a text cites, as "promise" and a number.
fn cited(content: &str) -> Vec<u32> {
    let content = content.to_lowercase();
    content
        .match_indices("promise ")
        .filter_map(|(at, word)| {
            let rest = &content[at + word.len()..];
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse().ok()
        })
        .collect()
}

/// For each source, the numbers that it cites.
fn citations(texts: &[Text]) -> BTreeMap<Source, BTreeSet<u32>> {
    let mut citations = BTreeMap::<_, BTreeSet<u32>>::new();
    for text in texts {
        citations.entry(text.source).or_default().extend(cited(&text.content));
    }

    citations
}

fn missing(source: Source) -> Vec<u32> {
    let citations = citations(&texts());
    let cited = citations.get(&source).cloned().unwrap_or_default();
    numbers().difference(&cited).copied().collect()
}

#[test]
fn every_promise_is_cited_by_a_test() {
    let missing = missing(Source::Test);
    assert!(missing.is_empty(), "no test cites the promises {missing:?}");
}

#[test]
fn every_promise_is_cited_by_the_code_that_keeps_it() {
    let missing = missing(Source::Code);
    assert!(missing.is_empty(), "no code cites the promises {missing:?}");
}

#[test]
fn every_cited_number_is_a_promise() {
    let numbers = numbers();
    for text in texts() {
        for number in cited(&text.content) {
            let path = text.path.display();
            assert!(numbers.contains(&number), "{path} cites the promise number {number}");
        }
    }
}

#[test]
fn a_citation_has_one_number_so_that_a_search_finds_it() {
    for text in texts() {
        let content = text.content.to_lowercase();
        let plural = content.match_indices("promises ").find(|(at, word)| {
            content[at + word.len()..].starts_with(|c: char| c.is_ascii_digit())
        });

        assert!(plural.is_none(), "{} cites several promises in one word", text.path.display());
    }
}

#[test]
fn a_number_is_read_to_its_end() {
    let word = "promise";
    let text = format!("{word} 1, {word} 12; the {word} of {word} 13.");
    assert_eq!(cited(&text), [1, 12, 13]);
}
