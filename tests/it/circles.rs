//! No two files name each other, directly or in a longer circle, other than a module and what lies
//! below it: what two files share is in a third, which knows neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A file as the names in it show it.
#[derive(Default)]
struct File {
    /// The modules that it declares.
    children: Vec<String>,
    /// What each `use` brings: the name here, and the path that it stands for.
    uses: BTreeMap<String, Vec<String>>,
    /// All paths of two names or more, those of `use` among them unless they only hand a name on.
    paths: BTreeSet<Vec<String>>,
}

/// The files of the house by their modules; the first name of a module is its crate's.
type House = BTreeMap<Vec<String>, File>;

/// What each module names, and by which path.
type Names = BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>>;

/// The words and signs of a source, `::` as one, without comments, texts and what is for tests.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let raw = ["r", "br"].contains(&tokens.last().map_or("", String::as_str));
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if raw && (rest.starts_with('"') || rest.starts_with("#\"")) {
            let end = if first == '#' { "\"#" } else { "\"" };
            rest[1 + usize::from(first == '#')..]
                .find(end)
                .map_or(rest.len(), |at| at + 1 + usize::from(first == '#') + end.len())
        } else if first == '"' {
            let mut escaped = false;
            let closes = |byte: u8| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            };
            rest.bytes().skip(1).position(closes).map_or(rest.len(), |at| at + 2)
        } else if let Some(after) = rest.strip_prefix("'\\") {
            after[1..].find('\'').map_or(rest.len(), |at| at + 4)
        } else if first == '\'' && rest.chars().nth(2) == Some('\'') {
            rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at)
        } else {
            let length = match rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            tokens.push(rest[..length].to_owned());
            length
        };
        rest = &rest[length..];
    }
    without_tests(&tokens)
}

/// The tokens without what an attribute keeps for tests.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = &tokens[at..(at + 8).min(tokens.len())];
        let is_test = attribute.len() > 4
            && attribute[..4] == ["#", "[", "cfg", "("]
            && attribute.iter().any(|token| token == "test");
        if !is_test {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // Attributes, and then as far as something ends that is not inside of anything.
        let mut depth = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            depth += match token.as_str() {
                "(" | "[" | "{" => 1,
                ")" | "]" | "}" => -1,
                _ => 0,
            };
            if depth == 0 && [";", "}", ","].contains(&token.as_str()) {
                break;
            }
        }
    }
    kept
}

/// Reads the tree of a `use` at `at`, as far as its end: the names that it brings with the paths
/// that they stand for, and where it ends.
fn read_use(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    uses: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => {}
            "{" => {
                while tokens[at] != "}" {
                    at = read_use(tokens, at + 1, &path, uses);
                }
                return at + 1;
            }
            "as" => {
                uses.push((tokens[at + 1].clone(), path));
                return at + 2;
            }
            "," | ";" | "}" => break,
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    path.pop_if(|name| name == "self");
    if path.len() > prefix.len() || path.len() > 1 {
        uses.extend(path.last().cloned().map(|name| (name, path)));
    }
    at
}

/// The names in a source.
fn read(source: &str) -> File {
    let tokens = tokens(source);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let is_name = |at: usize| token(at).starts_with(|first: char| first.is_alphabetic());
    let mut file = File::default();
    let (mut handed_on, mut words) = (Vec::new(), BTreeSet::new());
    // Braces around what is read, and those of a module that the file has inside.
    let (mut depth, mut inside) = (0, None);
    let mut at = 0;
    while at < tokens.len() {
        match token(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inside = inside.filter(|&around| depth > around);
            }
            "mod" if token(at + 2) == ";" => file.children.push(token(at + 1).to_owned()),
            "mod" if token(at + 2) == "{" => inside = inside.or(Some(depth)),
            "use" if token(at + 1) != "<" => {
                let mut uses = Vec::new();
                let is_public = at > 0 && ["pub", ")"].contains(&token(at - 1));
                at = read_use(&tokens, at + 1, &[], &mut uses);
                for (name, mut path) in uses {
                    if inside.is_some() && path[0] == "super" {
                        path[0] = "self".to_owned();
                    }
                    if is_public {
                        handed_on.push((name.clone(), path.clone()));
                    } else {
                        file.paths.insert(path.clone());
                    }
                    file.uses.insert(name, path);
                }
                continue;
            }
            _ if is_name(at) => {
                let mut path = vec![token(at).to_owned()];
                while token(at + 1) == "::" && is_name(at + 2) {
                    path.push(token(at + 2).to_owned());
                    at += 2;
                }
                words.insert(path[0].clone());
                file.paths.extend((path.len() > 1).then_some(path));
            }
            _ => {}
        }
        at += 1;
    }
    // To hand a name on is not to know it.
    let is_used = |(name, _): &(String, Vec<String>)| words.contains(name);
    file.paths.extend(handed_on.into_iter().filter(is_used).map(|(_, path)| path));
    file
}

/// The module whose file defines what `path` is called in `module`; none for what the house does
/// not have, and for a module by itself.
fn definer(house: &House, module: &[String], path: &[String], left: u32) -> Option<Vec<String>> {
    let left = left.checked_sub(1)?;
    let child = [module, &path[..1]].concat();
    let (mut at, mut rest) = match path[0].as_str() {
        "crate" => (module[..1].to_vec(), &path[1..]),
        "self" => (module.to_vec(), &path[1..]),
        "super" => (module[..module.len() - 1].to_vec(), &path[1..]),
        _ if house.contains_key(&child) => (child, &path[1..]),
        name => {
            let stands_for = house[module].uses.get(name)?;
            return definer(house, module, &[stands_for, &path[1..]].concat(), left);
        }
    };
    while let Some((name, after)) = rest.split_first() {
        let child = [&at[..], &rest[..1]].concat();
        if name == "super" {
            at.pop();
        } else if house.contains_key(&child) {
            at = child;
        } else if let Some(stands_for) = house.get(&at)?.uses.get(name) {
            return definer(house, &at, &[stands_for, after].concat(), left);
        } else {
            return Some(at);
        }
        rest = after;
    }
    None
}

/// Which modules each module names.
fn names(house: &House) -> Names {
    let mut names = Names::new();
    for (module, file) in house {
        let named = names.entry(module.clone()).or_default();
        for path in &file.paths {
            let found = definer(house, module, path, 16).filter(|found| found != module);
            named.extend(found.map(|found| (found, path.join("::"))));
        }
    }
    names
}

/// The modules that reach each other, sorted: a module stands before those below it.
fn circles_of(names: &Names) -> BTreeSet<Vec<&Vec<String>>> {
    let reached: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = names
        .keys()
        .map(|start| {
            let (mut reached, mut next) = (BTreeSet::new(), vec![start]);
            while let Some(module) = next.pop() {
                next.extend(names[module].keys().filter(|&named| reached.insert(named)));
            }
            (start, reached)
        })
        .collect();
    let circle = |start: &&Vec<String>| -> Vec<&Vec<String>> {
        let there = reached[*start].iter().filter(|module| reached[**module].contains(*start));
        there.copied().collect()
    };
    reached.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// Every circle that is not a module and what lies below it, in words. Those below may name the
/// module, but they are in no circle without it.
fn circles(house: &House) -> Vec<String> {
    let names = names(house);
    let mut downward = names.clone();
    for (module, named) in &mut downward {
        named.retain(|other, _| !module.starts_with(other));
    }
    let is_family =
        |circle: &Vec<&Vec<String>>| circle.iter().all(|module| module.starts_with(circle[0]));
    let strange = circles_of(&names).into_iter().filter(|circle| !is_family(circle));
    let found: BTreeSet<_> = strange.chain(circles_of(&downward)).collect();
    let in_words = |circle: Vec<&Vec<String>>| {
        let mut words = String::new();
        for module in &circle {
            for (other, path) in names[*module].iter().filter(|(other, _)| circle.contains(other)) {
                words += &format!("\n    {} -> {}: {path}", module.join("::"), other.join("::"));
            }
        }
        words
    };
    found.into_iter().map(in_words).collect()
}

/// Reads the file of a module, and those of the modules that it declares; `folder` has the latter.
fn add(house: &mut House, module: &[String], file: &Path, folder: &Path) {
    let read = read(&fs::read_to_string(file).unwrap());
    for name in &read.children {
        let below = folder.join(name);
        let alone = folder.join(format!("{name}.rs"));
        let file = if alone.exists() { alone } else { below.join("mod.rs") };
        add(house, &[module, std::slice::from_ref(name)].concat(), &file, &below);
    }
    house.insert(module.to_vec(), read);
}

#[test]
fn no_two_files_name_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut house = House::new();
    for (name, folder) in [("codec", "crates/codec/src"), ("babelmq", "src")] {
        let folder = root.join(folder);
        add(&mut house, &[name.to_owned()], &folder.join("lib.rs"), &folder);
    }
    let count: usize = names(&house).values().map(BTreeMap::len).sum();
    assert!(count > 500, "only {count} names were found");
    let circles = circles(&house);
    assert!(circles.is_empty(), "files that name each other:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_would_be_found() {
    let check = |sources: &[(&str, &str)], expected: usize| {
        let module = |name: &str| name.split("::").map(str::to_owned).collect();
        let house = sources.iter().map(|(name, source)| (module(name), read(source))).collect();
        let circles = circles(&house);
        assert_eq!(circles.len(), expected, "{sources:?}: {circles:?}");
    };
    // By a `use`, by a path, and by what another file hands on.
    check(&[("c", ""), ("c::a", "use super::b::{self, B};"), ("c::b", "use crate::a::A;")], 1);
    check(
        &[("c", ""), ("c::a", "fn f(_: super::b::B) {}"), ("c::b", "use crate::{a::A as X};")],
        1,
    );
    let face = ("c", "mod a;\nmod b;\npub use a::A;\npub use b::B;");
    check(&[face, ("c::a", "use crate::B;"), ("c::b", "use super::A;")], 1);
    check(&[face, ("c::a", "use crate::B;"), ("c::b", "use std::fmt;")], 0);
    check(&[face, ("c::a", "use crate::b;\nfn f() { b::g() }"), ("c::b", "use super::a::*;")], 1);
    // Comments, texts and tests name nothing.
    let tests = "// use super::a::A;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n";
    check(&[face, ("c::a", "use super::b::B;"), ("c::b", tests)], 0);
    check(&[face, ("c::a", "use super::b::B;"), ("c::b", "const X: &str = \"crate::a::A\";")], 0);
    // A module and what lies below it are one thing, as long as nothing else is in the circle.
    let parent = ("c::p", "mod a;\nmod b;\nuse a::A;\nstruct P;");
    check(&[("c", "mod p;"), parent, ("c::p::a", "use super::P;"), ("c::p::b", "")], 0);
    check(
        &[
            ("c", "mod p;"),
            parent,
            ("c::p::a", "use super::b::B;"),
            ("c::p::b", "use super::a::A;"),
        ],
        1,
    );
    let other = ("c::x", "use crate::p::a::A;");
    let parent = ("c::p", "mod a;\nuse crate::x::X;\nstruct P;");
    check(&[("c", "mod p;\nmod x;"), parent, ("c::p::a", "use super::P;"), other], 1);
}
