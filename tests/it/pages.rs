//! What the pages of the project name is there: files and folders, and in the lists of places
//! functions and types.

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"];
/// Folders of the project; what begins with one of these is a path.
const FOLDERS: &[&str] =
    &["bench", "benches", "clients", "crates", "docs", "examples", "packaging", "src", "tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands in backticks on a page.
fn names(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2).filter(|name| !name.contains(char::is_whitespace))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter))
}

#[test]
fn files_that_the_pages_name_are_there() {
    let mut pages: Vec<PathBuf> = PAGES.iter().map(PathBuf::from).collect();
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    pages.extend(docs.map(|entry| entry.unwrap().path()).filter(is_page));
    let mut paths = 0;
    for page in pages {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for name in names(&text) {
            let is_path = name.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
            if is_path && !name.contains(['*', '{', '<', '#']) {
                paths += 1;
                let is_there = root().join(name).exists();
                assert!(is_there, "{} names {name}, which is not there", page.display());
            }
        }
    }
    assert!(paths > 50, "only {paths} paths were looked for");
}

#[test]
fn places_that_a_contributor_is_sent_to_are_there() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let lists = page.split_once("\n## Adding a limit").unwrap().1;
    let lists = lists.split_once("\n## Fuzzing").unwrap().0;
    let house = house();
    let mut places = 0;
    let mut missing = Vec::new();
    for name in names(lists).filter(|name| is_identifier(name)) {
        places += 1;
        let is_there = |part: &str| house.iter().any(|file| declares(file, part));
        if !name.split("::").all(is_there) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "CONTRIBUTING.md names what is not there: {missing:?}");
    assert!(places > 60, "only {places} places were looked for");
}

/// Whether a source declares a function, a type, a constant, a macro, a variant or a field.
fn declares(source: &str, name: &str) -> bool {
    source.match_indices(name).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + name.len()..]);
        let is_whole = !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let word = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
        let declaring =
            ["fn", "struct", "enum", "trait", "const", "static", "type", "let", "class", "def"];
        let is_declared = declaring.contains(&word) || word.ends_with("macro_rules!");
        let begins_line = before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        let is_member = (begins_line || word == "pub" || word.ends_with("pub(super)"))
            && after.starts_with([':', ',', '(', ' ', '=']);
        is_whole && before.ends_with(char::is_whitespace) && (is_declared || is_member)
    })
}

/// The sources that the lists send a contributor to.
fn house() -> Vec<String> {
    let mut folders: Vec<PathBuf> =
        ["src", "crates", "tests", "clients/python/src", "fuzz/src", "packaging", "benches"]
            .iter()
            .map(|folder| root().join(folder))
            .collect();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                texts.push(text);
            }
        }
    }
    texts
}
