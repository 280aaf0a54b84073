//! A log, damaged on the disk, to its messages.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use babelmq::TopicFilter;
use babelmq::broker::{Found, Log, Record, StreamDefinition, StreamStore};
use babelmq::codec::{Encoding, PayloadRef};
use babelmq::protocol::{Format, Qos, TopicName};
use babelmq::storage::Streams;

use crate::{Bound, linear};

/// A block to read into, for the start and for each of the ends that read; and the index.
const BOUND: Bound = Bound { base: 2 << 20, per_byte: 64 };

/// A directory of its own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("babelmq-fuzz-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn open(&self) -> Log {
        let filter = TopicFilter::parse("#").expect("a filter");
        let definition = StreamDefinition::new("s", filter).expect("a name");
        let streams = Streams::open(&self.0).expect("a folder");
        streams.open(&definition).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first byte of the input is how many bytes of it, times 16, are published, in messages as
/// long as the next byte says. What is left changes the file, five bytes each time: where, to
/// what, and whether that byte is overwritten, taken out or cut off behind. Whatever is read then
/// was published, and what cannot be read is said.
pub fn segment(input: &[u8]) {
    let [count, size, rest @ ..] = input else { return };
    let (published, changes) = rest.split_at(rest.len().min(usize::from(*count) * 16));
    let payloads: Vec<&[u8]> = published.chunks(usize::from(*size) + 1).collect();
    let folder = Folder::new();
    let mut log = folder.open();
    for (payload, seq) in payloads.iter().zip(1..) {
        let record = Record {
            seq,
            time: seq,
            topic: TopicName::judged(if payload.len() % 2 == 0 { "a" } else { "b/c" }),
            id: None,
            payload: spelled(seq, payload),
        };
        log.writer.append(&[record]).expect("a disk");
        if payload.first() == Some(&0) {
            log.sync.sync().expect("a disk");
        }
    }
    drop(log);
    let path = folder.0.join("streams/s/00000000000000000001.segment");
    let len = change(&path, changes);
    linear("a segment", len, BOUND, || read(&folder.open(), &payloads));
    // What the first start has cut off or left is what the second finds.
    read(&folder.open(), &payloads);
}

/// A payload as it is published: its kind, QoS and properties follow from its number and its first
/// byte.
fn spelled(seq: u64, payload: &[u8]) -> PayloadRef<'_> {
    let kinds = [
        Encoding::Value(Format::Pickle),
        Encoding::Text,
        Encoding::Bytes,
        Encoding::Body(Format::Xml),
    ];
    let of = |count: u64| (seq % count) as usize;
    let qos = [None, Some(Qos::AtMostOnce), Some(Qos::AtLeastOnce)][of(3)];
    let properties = if payload.first() == Some(&0xff) { payload } else { &[] };
    PayloadRef::new(payload, kinds[of(4)]).with_qos(qos).with_properties(properties)
}

/// Changes a file as the input says; returns how long it is.
fn change(path: &Path, changes: &[u8]) -> usize {
    let mut bytes = fs::read(path).expect("a segment");
    for change in changes.chunks_exact(5) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if at >= bytes.len() {
            continue;
        }
        match change[4] % 4 {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, change[2]),
            _ => bytes[at] = change[2],
        }
    }
    fs::write(path, &bytes).expect("a disk");
    bytes.len()
}

fn read(log: &Log, payloads: &[&[u8]]) {
    let (mut cursor, mut expected) = (log.reader.cursor(1), 1);
    while let Some(found) = cursor.read().unwrap_or_else(|error| panic!("{error}")) {
        match found {
            Found::Record(record) => {
                assert_eq!((record.seq, record.time), (expected, expected), "a hole");
                let payload = payloads[record.seq as usize - 1];
                assert_eq!(record.payload, spelled(record.seq, payload));
                expected += 1;
            }
            Found::Damage(damage) => {
                assert_eq!(damage.from, expected, "a hole");
                expected = damage.to + 1;
            }
        }
    }
    assert_eq!(expected, log.reader.next());
    assert!(expected <= payloads.len() as u64 + 1);
}
