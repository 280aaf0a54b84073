//! The walls of the house: who may name whom, and how large a room's papers may get.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room of `src`, and the rooms that it may name beside itself. `codec` and `protocol` are a
/// crate of their own, which cannot name any of these.
const ROOMS: &[(&str, &[&str])] = &[
    ("access", &["protocol"]),
    ("broker", &["access", "codec", "protocol"]),
    ("storage", &["broker", "codec", "protocol"]),
    ("backbone", &["broker", "codec", "protocol"]),
    ("wire", &["access", "broker", "codec", "protocol"]),
    ("http", &["access", "broker", "codec", "protocol", "wire"]),
    ("transport", &["access", "broker", "codec", "http", "protocol", "wire"]),
    ("middleware", &["codec", "protocol"]),
    (
        "cli",
        &[
            "access",
            "backbone",
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

pub fn sources(folder: &Path) -> Vec<PathBuf> {
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

pub fn src() -> PathBuf {
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
        name.trim()
            .chars()
            .take_while(|character| character.is_alphanumeric() || *character == '_')
            .collect()
    };
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// The names in `source` that a file of `room` must not name.
fn upward(room: &str, source: &str) -> Vec<String> {
    let (_, allowed) = ROOMS.iter().find(|(name, _)| *name == room).unwrap();
    named(source)
        .into_iter()
        .filter(|name| name != room && !allowed.contains(&name.as_str()))
        .collect()
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

/// What the system has that some rooms do not touch, their tests aside.
#[test]
fn rooms_without_sockets_threads_or_clocks_name_none() {
    const SOCKETS: &[&str] =
        &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "socket2", "mio::"];
    const THREADS_AND_CLOCKS: &[&str] =
        &["std::thread", "thread::spawn", "Instant::now", "SystemTime::now", "std::fs"];
    let rooms = [
        (sources(&src().join("access")), SOCKETS),
        (sources(&src().join("access")), THREADS_AND_CLOCKS),
        (sources(&src().join("broker")), SOCKETS),
        (sources(&src().join("http")), SOCKETS),
        (sources(&src().join("http")), THREADS_AND_CLOCKS),
        (sources(&src().join("wire")), SOCKETS),
        (sources(&src().join("wire")), THREADS_AND_CLOCKS),
        (sources(&codec()), SOCKETS),
        (sources(&codec()), THREADS_AND_CLOCKS),
    ];
    for (files, things) in rooms {
        let is_test = |path: &PathBuf| path.to_str().unwrap().contains("tests");
        for file in files.into_iter().filter(|path| !is_test(path)) {
            let source = fs::read_to_string(&file).unwrap();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code: String = source.lines().map(code).collect::<Vec<_>>().join("\n");
            for thing in things {
                assert!(!code.contains(thing), "{} names {thing}", file.display());
            }
        }
    }
}

/// One room waits without a thread for each thing that it waits for; no other knows how.
#[test]
fn only_the_backbone_is_asynchronous() {
    const ASYNCHRONOUS: &[&str] =
        &["tokio", "async_nats", "futures_util", "async fn", "async move", "async {"];
    let is_of_the_backbone = |path: &PathBuf| path.starts_with(src().join("backbone"));
    let files = [sources(&src()), sources(&codec())].concat();
    let (inside, outside): (Vec<_>, Vec<_>) = files.into_iter().partition(is_of_the_backbone);
    let named = |file: &PathBuf| {
        let source = fs::read_to_string(file).unwrap();
        let code: String = source.lines().map(code).collect::<Vec<_>>().join("\n");
        ASYNCHRONOUS.iter().filter(|thing| code.contains(*thing)).copied().collect::<Vec<_>>()
    };
    for file in outside {
        assert!(named(&file).is_empty(), "{} names {:?}", file.display(), named(&file));
    }
    // They would be found.
    assert!(inside.iter().filter(|file| !named(file).is_empty()).count() > 8);
    // The files from which something is shown: none of what others may name waits.
    for file in ["check.rs", "jetstream.rs", "options.rs"] {
        let source = fs::read_to_string(src().join("backbone").join(file)).unwrap();
        assert!(!source.contains("pub async fn") && !source.contains("pub(crate) async fn"));
    }
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
    check(
        "broker",
        "use crate::{\n    protocol::{Value, Topic},\n    transport,\n};",
        &["transport"],
    );
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
    let face = fs::read_to_string(src().join("lib.rs")).unwrap().lines().count();
    assert!(face < 120, "the face of the library has {face} lines");
}

/// The first sentence of a file's own documentation, without links.
fn first_sentence(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let text = paragraph.join(" ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].replace("[`", "`").replace("`]", "`").trim_end_matches('.').to_owned()
}

/// A line for every file, those of tests aside, under a heading for every folder.
fn map() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = [sources(&codec()), sources(&src())].concat();
    let is_test = |path: &PathBuf| {
        let inside = path.strip_prefix(root).unwrap();
        let mut names = inside.components().map(|part| part.as_os_str().to_str().unwrap());
        names.any(|name| ["tests", "tests.rs", "model", "model.rs", "sealed.rs"].contains(&name))
    };
    files.retain(|path| !is_test(path));
    // The door of a folder stands first.
    let is_door = |path: &PathBuf| path.ends_with("mod.rs") || path.ends_with("lib.rs");
    files.sort_by_key(|path| (path.parent().unwrap().to_owned(), !is_door(path), path.clone()));
    let mut map = String::new();
    let mut folder = PathBuf::new();
    for file in files {
        let inside = file.strip_prefix(root).unwrap();
        if folder != inside.parent().unwrap() {
            folder = inside.parent().unwrap().to_owned();
            map += &format!("\n### `{}`\n\n", folder.display());
        }
        let what = first_sentence(&fs::read_to_string(&file).unwrap());
        assert!(what.len() > 8, "{} does not say what it is", inside.display());
        map += &format!("- `{}`: {what}\n", inside.file_name().unwrap().to_str().unwrap());
    }
    map
}

#[test]
fn the_map_has_a_line_for_every_file() {
    const BEGIN: &str = "each file. -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, found) = page.split_once(BEGIN).expect("the place of the map");
    let map = map();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{map}")).unwrap();
        return;
    }
    for line in map.lines() {
        assert!(
            found.lines().any(|other| other == line),
            "the map in ARCHITECTURE.md lacks: {line}"
        );
    }
    for line in found.lines() {
        assert!(
            map.lines().any(|other| other == line),
            "the map in ARCHITECTURE.md has, and the house has not: {line}"
        );
    }
}

#[test]
fn every_function_on_a_messages_way_is_there() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let way = page.split_once("## Follow one message").unwrap().1.split_once("\n## ").unwrap().0;
    let house: Vec<String> = [sources(&codec()), sources(&src())]
        .concat()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let mut functions = 0;
    // What stands in backticks and is a name of a function or of one of a type.
    for name in way.split('`').skip(1).step_by(2) {
        let last = name.rsplit("::").next().unwrap();
        let is_function = last.starts_with(|first: char| first.is_ascii_lowercase())
            && last.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        let is_field = ["command", "topic", "message"].contains(&last);
        if is_function && !is_field {
            functions += 1;
            let declared = [format!("fn {last}("), format!("fn {last}<")];
            let is_there = house.iter().any(|file| declared.iter().any(|head| file.contains(head)));
            assert!(is_there, "{name} is no function of the house");
        }
    }
    assert!(functions > 20, "only {functions} functions were looked for");
}

/// Whoever wants only to talk to a broker does not build one. Of these crates, nine only build the
/// others.
#[test]
fn a_client_brings_few_crates() {
    let arguments =
        ["tree", "--locked", "--offline", "-e", "normal", "--prefix", "none", "--format", "{p}"];
    let output = std::process::Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--no-default-features", "--features", "middleware"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let crates: std::collections::BTreeSet<&str> = printed
        .lines()
        .filter_map(|line| line.split(" (").next())
        .filter(|name| !name.is_empty())
        .collect();
    let brings = |name: &str| crates.iter().any(|found| found.starts_with(&format!("{name} ")));
    assert!(
        brings("babelmq-codec") && !brings("crossbeam-channel") && !brings("clap"),
        "{crates:?}"
    );
    let others = crates.len() - 1;
    let said = fs::read_to_string(src().join("lib.rs")).unwrap();
    assert!(
        said.contains(&format!("| `middleware` | the client library | {others} |")),
        "{others}: {crates:#?}"
    );
}
