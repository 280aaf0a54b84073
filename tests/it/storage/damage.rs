//! Kinds of damage: whatever happens to a file, `export --damaged` gives back every value whose
//! page is still somewhere in it, and nothing that was not published.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use babelmq::Format::Json;

use super::salvage::{file, salvaged};
use super::{run, scratch, serve};
use crate::support::random::Random;
use crate::support::{Client, Field};

const VALUES: usize = 1_000;
const CLEARED: usize = 50;
const PAGE: usize = 4_096;

fn payload(n: usize, word: &str) -> String {
    format!("\"{n} {word} {}\"", "x".repeat(n % 200))
}

/// The bytes of a file with values that were published twice, and topics that were cleared.
fn filled(directory: &Path) -> Vec<u8> {
    let broker = serve(directory, &["--fsync", "always"]);
    let mut client = Client::to(broker.address);
    for word in ["old", "new"] {
        for n in 0..VALUES {
            client.publish(Json, &format!("t/{n}"), payload(n, word).as_bytes());
        }
        client.flush(Json);
    }
    for n in 0..CLEARED {
        client.publish(Json, &format!("cleared/{n}"), b"1");
    }
    client.flush(Json);
    for n in 0..CLEARED {
        let topic = format!("cleared/{n}");
        client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str(&topic))]);
    }
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    fs::read(file(directory)).unwrap()
}

/// What the intact file has of the last values: which page each is in.
struct Pages<'a> {
    /// The leaves, and the last values in each.
    leaves: Vec<(&'a [u8], Vec<usize>)>,
    /// Where the first leaf lies, and the first page that leads to leaves.
    leaf: usize,
    branch: usize,
}

impl Pages<'_> {
    fn of(bytes: &[u8]) -> Pages<'_> {
        let mut leaves = Vec::new();
        let (mut leaf, mut branch) = (None, None);
        for (number, page) in bytes.chunks_exact(PAGE).enumerate().skip(1) {
            let holds =
                |n: &usize| memchr::memmem::find(page, payload(*n, "new").as_bytes()).is_some();
            match page[0] {
                1 => {
                    let values: Vec<usize> = (0..VALUES).filter(holds).collect();
                    if values.len() > 3 {
                        leaf.get_or_insert(number * PAGE);
                    }
                    if !values.is_empty() {
                        leaves.push((page, values));
                    }
                }
                2 if memchr::memmem::find(page, b"t/").is_some() => {
                    branch.get_or_insert(number * PAGE);
                }
                _ => {}
            }
        }
        Pages { leaves, leaf: leaf.unwrap(), branch: branch.unwrap() }
    }

    /// The last values whose pages are still there, wherever.
    fn left(&self, bytes: &[u8]) -> BTreeMap<String, String> {
        let there =
            self.leaves.iter().filter(|(page, _)| memchr::memmem::find(bytes, page).is_some());
        there
            .flat_map(|(_, values)| values)
            .map(|n| (format!("t/{n}"), payload(*n, "new")))
            .collect()
    }
}

type Damage<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;

/// Every kind, and how many hundredths of the values are to come back at least.
fn kinds<'a>(bytes: &'a [u8], pages: &Pages<'a>) -> Vec<(&'static str, usize, Damage<'a>)> {
    let (length, leaf, branch) = (bytes.len(), pages.leaf, pages.branch);
    let cut = |at: usize| -> Damage<'a> { Box::new(move |bytes: &mut Vec<u8>| bytes.truncate(at)) };
    let flip = |at: usize| -> Damage<'a> { Box::new(move |bytes: &mut Vec<u8>| bytes[at] ^= 0x10) };
    let zero = |at: usize, len: usize| -> Damage<'a> {
        Box::new(move |bytes: &mut Vec<u8>| bytes[at..at + len].fill(0))
    };
    // Where its records begin: behind the offsets.
    let count = usize::from(bytes[leaf + 2]);
    let topics = leaf + 4 + 8 * count;
    let payload = leaf + memchr::memmem::find(&bytes[leaf..leaf + PAGE], b"new ").unwrap();
    vec![
        ("nothing at all", 100, Box::new(|_: &mut Vec<u8>| {})),
        ("empty", 0, cut(0)),
        ("one byte", 0, cut(1)),
        ("cut within the header", 0, cut(100)),
        ("cut behind the header", 0, cut(PAGE)),
        ("cut to a quarter", 0, cut(length / 4)),
        ("cut to a half", 0, cut(length / 2)),
        ("cut to three quarters, within a page", 10, cut(length * 3 / 4 + 1_000)),
        ("the last byte is gone", 90, cut(length - 1)),
        ("the header is zero", 100, zero(0, PAGE)),
        ("a bit of the magic number", 100, flip(3)),
        ("a bit of the flags", 100, flip(9)),
        ("a bit of the page size", 100, flip(13)),
        ("a bit of the number of regions", 100, flip(24)),
        ("a bit of the first commit slot's version", 100, flip(64)),
        ("a bit of the first commit slot's root", 100, flip(64 + 10)),
        ("a bit of the second commit slot's root", 100, flip(192 + 10)),
        ("both commit slots are zero", 100, zero(64, 256)),
        ("a bit of a leaf's type", 90, flip(leaf)),
        ("a bit of a leaf's number of records", 90, flip(leaf + 2)),
        ("a bit of a leaf's first offset", 90, flip(leaf + 5)),
        ("a bit of a leaf's topic", 90, flip(topics + 2)),
        ("a bit of a leaf's value", 90, flip(payload)),
        ("a leaf is zero", 90, zero(leaf, PAGE)),
        ("half a leaf is zero", 90, zero(leaf + PAGE / 2, PAGE / 2)),
        ("a bit of a branch's type", 100, flip(branch)),
        ("a bit of a branch's child", 100, flip(branch + 8 + 16 * 3)),
        ("a bit of every byte of a branch", 100, {
            Box::new(move |bytes| {
                bytes[branch..branch + PAGE].iter_mut().for_each(|byte| *byte ^= 1)
            })
        }),
        ("a branch is zero", 100, zero(branch, PAGE)),
        ("a branch leads to itself", 100, {
            Box::new(move |bytes| {
                let own = (branch / PAGE) as u32 - 1;
                let children = branch + 8 + 16 * usize::from(bytes[branch + 2] + 1);
                for child in 0..4 {
                    bytes[children + 8 * child..][..4].copy_from_slice(&own.to_le_bytes());
                }
            })
        }),
        ("every tenth page is zero", 50, {
            Box::new(|bytes| bytes.chunks_mut(PAGE).step_by(10).for_each(|page| page.fill(0)))
        }),
        ("a thousand bits", 0, {
            Box::new(|bytes| {
                let mut random = Random::new(1);
                (0..1_000).for_each(|_| {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                });
            })
        }),
        ("the end is zero", 0, zero(length / 2, length - length / 2)),
        (
            "the halves are swapped",
            95,
            Box::new(move |bytes| bytes.rotate_left(length / 2 / PAGE * PAGE)),
        ),
        ("the pages stand the other way round", 100, {
            Box::new(|bytes| *bytes = bytes.chunks(PAGE).rev().collect::<Vec<_>>().concat())
        }),
        ("garbage is appended", 100, {
            Box::new(|bytes| {
                let mut random = Random::new(2);
                bytes.extend((0..100_001).map(|_| random.below(256) as u8));
            })
        }),
        ("garbage stands before it", 100, {
            Box::new(|bytes| {
                let mut random = Random::new(3);
                *bytes = (0..777)
                    .map(|_| random.below(256) as u8)
                    .chain(bytes.iter().copied())
                    .collect();
            })
        }),
        ("it is there twice", 100, Box::new(|bytes| *bytes = bytes.repeat(2))),
        ("not a database", 0, Box::new(|bytes| *bytes = b"this is no database\n".repeat(1_000))),
        ("ones everywhere", 0, Box::new(|bytes| bytes.fill(0xff))),
        ("a one in each byte", 0, Box::new(|bytes| bytes.fill(1))),
    ]
}

#[test]
fn whatever_is_damaged_gives_back_each_value_whose_page_is_left_and_no_other() {
    let directory = scratch("damage");
    let bytes = filled(&directory);
    let pages = Pages::of(&bytes);
    assert_eq!(pages.left(&bytes).len(), VALUES);
    for (kind, least, damage) in kinds(&bytes, &pages) {
        let mut damaged = bytes.clone();
        damage(&mut damaged);
        fs::write(file(&directory), &damaged).unwrap();
        let (values, stderr) = salvaged(&directory);
        assert!(fs::read(file(&directory)).unwrap() == damaged, "{kind}: reading changes nothing");
        let left = pages.left(&damaged);
        assert!(left.len() * 100 >= least * VALUES, "{kind}: {} are left", left.len());
        for (topic, payload) in &left {
            assert_eq!(values.get(topic), Some(payload), "{kind}: {topic} {stderr}");
        }
        for (topic, value) in &values {
            match topic.strip_prefix("t/") {
                Some(n) => {
                    let n = n.parse().unwrap();
                    assert!(
                        [payload(n, "old"), payload(n, "new")].contains(value),
                        "{kind}: {topic} {value}"
                    );
                }
                None => {
                    assert!(
                        topic.starts_with("cleared/") && value == "1",
                        "{kind}: {topic} {value}"
                    );
                    assert!(
                        stderr.contains("cleared"),
                        "{kind}: it is said that it may be back: {stderr}"
                    );
                }
            }
        }
        // The plain `export` reads all of it, or says that it is damaged.
        let (code, lines, stderr) = run(&["export", directory.to_str().unwrap()]);
        assert!(!stderr.contains("panicked"), "{kind}: {stderr}");
        match code {
            Some(0) => {
                let values = lines
                    .lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                assert_eq!(values.count(), VALUES, "{kind}");
            }
            _ => {
                assert!(code == Some(1) && stderr.contains("last-values.redb"), "{kind}: {stderr}")
            }
        }
    }
}

#[test]
fn what_is_no_file_is_said() {
    let directory = scratch("no-file");
    for make in [|_: &Path| {}, |path: &Path| fs::create_dir(path).unwrap()] {
        make(&file(&directory));
        for damaged in [false, true] {
            let directory = directory.to_str().unwrap();
            let arguments: &[&str] =
                if damaged { &["export", "--damaged", directory] } else { &["export", directory] };
            let (code, stdout, stderr) = run(arguments);
            assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
            assert!(
                stderr.contains("last-values.redb") && !stderr.contains("panicked"),
                "{stderr}"
            );
        }
    }
}

/// What a later babelmq wrote is neither read nor changed, by whichever command, and it is said
/// what to do.
#[test]
fn a_file_of_a_future_version_is_said_and_left_as_it_is() {
    let directory = scratch("future");
    drop(filled(&directory));
    let database = redb::Database::open(file(&directory)).unwrap();
    let transaction = database.begin_write().unwrap();
    let about = redb::TableDefinition::<&str, u64>::new("about");
    transaction.open_table(about).unwrap().insert("version", 77).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(file(&directory)).unwrap();
    let path = directory.to_str().unwrap();
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", path] as &[&str],
        &["export", path],
        &["export", "--damaged", path],
        &["topics", "--data-dir", path],
        &["compact", path],
        &["import", path],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        for part in [
            "is of version 77",
            "reads versions 1 to 3",
            "use the babelmq that wrote it",
            "`export`",
        ] {
            assert!(stderr.contains(part), "{arguments:?}: no {part:?} in {stderr}");
        }
        assert!(
            fs::read(file(&directory)).unwrap() == before,
            "{arguments:?}: nothing was changed"
        );
    }
}
