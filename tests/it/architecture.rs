//! The walls of the house: who may name whom, and how large a room's papers may get.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room of `src`, and the rooms that it may name beside itself. `codec` and `protocol` are a crate of their own, which
/// cannot name any of these.
const ROOMS: &[(&str, &[&str])] = &[
    ("broker", &["codec", "protocol"]),
    ("storage", &["broker", "codec", "protocol"]),
    ("transport", &["broker", "codec", "protocol"]),
    ("middleware", &["codec", "protocol"]),
    (
        "cli",
        &[
            "broker",
            "codec",
            "middleware",
            "protocol",
            "storage",
            "transport",
            "Broker",
            "BrokerHandle",
            "Config",
        ],
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn codec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/codec/src")
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// What follows `crate::` in a source: the first names of every path, those in braces each.
fn named(source: &str) -> Vec<String> {
    let code: String = source.lines().map(code).collect::<Vec<_>>().join(" ");
    let mut names = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        // `babelmq_crate::` is another word.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + path.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut item)),
                    _ => item.push(character),
                }
            }
            names.push(item);
        } else {
            names.push(rest.to_owned());
        }
    }
    let first = |name: String| -> String {
        name.trim().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
    };
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// The names in `source` that a file of `room` must not name.
fn upward(room: &str, source: &str) -> Vec<String> {
    let (_, allowed) = ROOMS.iter().find(|(name, _)| *name == room).unwrap();
    named(source).into_iter().filter(|name| name != room && !allowed.contains(&name.as_str())).collect()
}

#[test]
fn no_room_names_one_above_it() {
    let mut paths = 0;
    for (room, _) in ROOMS {
        let files = sources(&src().join(room));
        assert!(!files.is_empty(), "{room} is empty");
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            paths += named(&source).len();
            let wrong = upward(room, &source);
            assert!(wrong.is_empty(), "{} names {wrong:?}", file.display());
        }
    }
    assert!(paths > 50, "only {paths} paths were looked at");
}

#[test]
fn the_protocol_names_nothing_but_itself() {
    let files = sources(&codec().join("protocol"));
    assert!(files.len() > 5);
    for file in files {
        let names = named(&fs::read_to_string(&file).unwrap());
        assert!(names.iter().all(|name| name == "protocol"), "{} names {names:?}", file.display());
    }
}

#[test]
fn every_folder_of_src_is_a_room() {
    for entry in fs::read_dir(src()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let known = match entry.file_type().unwrap().is_dir() {
            true => ROOMS.iter().any(|(room, _)| *room == name),
            false => ["lib.rs", "main.rs"].contains(&name.as_str()),
        };
        assert!(known, "src/{name} is no room that this test knows");
    }
}

#[test]
fn an_upward_path_would_be_found() {
    let check = |room: &str, source: &str, expected: &[&str]| {
        assert_eq!(upward(room, source), expected, "{room}: {source}");
    };
    check("broker", "use crate::{protocol::Value, storage::Storage};", &["storage"]);
    check("broker", "use crate::{\n    protocol::{Value, Topic},\n    transport,\n};", &["transport"]);
    check("broker", "fn x(y: &crate::transport::Session) {}", &["transport"]);
    check("middleware", "use crate::broker::Event;", &["broker"]);
    check("middleware", "use crate::Broker;", &["Broker"]);
    check("transport", "pub(in crate::transport) fn x() {} // crate::cli", &[]);
    check("broker", "use crate::codec::{Document};\nuse crate::protocol::Value;", &[]);
}

#[test]
fn files_are_short() {
    let files = [sources(&src()), sources(&codec())].concat();
    assert!(files.len() > 100);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 700, "{} has {lines} lines", file.display());
    }
    let map = fs::read_to_string(src().join("lib.rs")).unwrap().lines().count();
    assert!(map < 80, "the map has {map} lines");
}
