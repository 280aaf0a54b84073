//! What a log promises, on the file system of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::Streams;
use crate::broker::{Cursor, Found, Log, LogReader, Record, StreamDefinition, StreamStore};
use crate::codec::{Encoding, PayloadRef};
use crate::protocol::{Format, Qos, TopicFilter, TopicName};

/// A directory that is gone in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("babelmq-log-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn open(&self, definition: &StreamDefinition) -> Log {
        Streams::open(&self.0).unwrap().open(definition).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.0.join("streams/orders")
    }

    fn segments(&self) -> usize {
        let is_segment = |path: &Path| path.extension().is_some_and(|kind| kind == "segment");
        fs::read_dir(self.folder())
            .unwrap()
            .filter(|entry| is_segment(&entry.as_ref().unwrap().path()))
            .count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn orders() -> StreamDefinition {
    StreamDefinition::new("orders", TopicFilter::parse("orders/#").unwrap()).unwrap()
}

fn topic(seq: u64) -> String {
    format!("orders/{}", seq % 7)
}

fn payload(seq: u64) -> String {
    format!("\"{seq}{}\"", "x".repeat(seq as usize % 90))
}

/// Appends messages up to a number, ten at a time; message n is published at time 10 n.
fn append(log: &mut Log, to: u64) {
    while log.reader.next() <= to {
        let next = log.reader.next();
        let texts: Vec<_> = (next..=to.min(next + 9))
            .map(|seq| (seq, topic(seq), payload(seq), seq.to_string()))
            .collect();
        let records: Vec<_> = texts
            .iter()
            .map(|(seq, topic, payload, id)| Record {
                seq: *seq,
                time: seq * 10,
                topic: TopicName::parse(topic).unwrap(),
                id: seq.is_multiple_of(3).then_some(id.as_str()),
                payload: spelled(*seq, payload),
            })
            .collect();
        log.writer.append(&records).unwrap();
    }
}

/// Its payload, of which kind, QoS and properties differ from one message to the next.
fn spelled(seq: u64, payload: &str) -> PayloadRef<'_> {
    let of = |count: u64| (seq % count) as usize;
    let (json, xml) = (Format::Json, Format::Xml);
    let encoding =
        [Encoding::Value(json), Encoding::Body(xml), Encoding::Text, Encoding::Bytes][of(4)];
    let properties = [&b""[..], &b""[..], b"\x26\x00\x01a\x00\x01b"][of(3)];
    PayloadRef::new(payload.as_bytes(), encoding)
        .with_qos(
            [None, Some(Qos::AtMostOnce), Some(Qos::AtLeastOnce), Some(Qos::ExactlyOnce)]
                [of(5).min(3)],
        )
        .with_properties(properties)
}

/// Reads to the end, and compares each message with what was published.
fn read(cursor: &mut dyn Cursor) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(next) = cursor.read().unwrap() {
        let Found::Record(record) = next else { panic!("{next:?}") };
        let seq = record.seq;
        assert_eq!(record.topic.as_str(), topic(seq));
        assert_eq!(record.payload, spelled(seq, &payload(seq)));
        assert_eq!(record.id.map(str::to_owned), seq.is_multiple_of(3).then(|| seq.to_string()));
        assert_eq!(record.time, seq * 10);
        found.push(seq);
    }
    found
}

fn all(reader: &dyn LogReader) -> Vec<u64> {
    read(&mut *reader.cursor(1))
}

fn numbers(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

#[test]
fn what_is_appended_is_read_from_any_place_and_again_after_a_restart() {
    let place = Place::new();
    let definition = StreamDefinition { bytes: Some(400_000), ..orders() };
    let mut log = place.open(&definition);
    assert_eq!(all(&*log.reader), numbers(1, 0));
    let mut head = log.reader.cursor(1);
    append(&mut log, 3);
    assert_eq!(read(&mut *head), [1, 2, 3]);
    append(&mut log, 2_000);
    assert_eq!(read(&mut *head), numbers(4, 2_000));
    assert!(place.segments() > 3);
    for round in 0..2 {
        assert_eq!(
            (log.reader.first(), log.reader.next(), log.reader.messages()),
            (1, 2_001, 2_000)
        );
        for seq in [1, 2, 999, 1_000, 1_999, 2_000] {
            let mut cursor = log.reader.cursor(seq);
            assert_eq!(read(&mut *cursor), numbers(seq, 2_000), "round {round}");
            cursor.release();
            cursor.seek(5);
            assert_eq!(read(&mut *cursor), numbers(5, 2_000));
        }
        log.sync.sync().unwrap();
        drop(log);
        log = place.open(&definition);
    }
    append(&mut log, 2_100);
    assert_eq!(all(&*log.reader), numbers(1, 2_100));
}

#[test]
fn limits_drop_from_the_front() {
    let place = Place::new();
    let limited = StreamDefinition { messages: Some(100), bytes: Some(200_000), ..orders() };
    let mut log = place.open(&limited);
    append(&mut log, 99);
    assert!(!log.writer.is_full(10));
    append(&mut log, 100);
    assert!(log.writer.is_full(10));
    append(&mut log, 1_003);
    assert_eq!(log.writer.trim(0, None).unwrap(), 904);
    assert_eq!(all(&*log.reader), numbers(904, 1_003));
    assert!(place.segments() < 4);
    drop(log);
    let mut log = place.open(&limited);
    assert_eq!(all(&*log.reader), numbers(904, 1_003));

    log.writer.define(&StreamDefinition { bytes: Some(50_000), ..orders() }).unwrap();
    append(&mut log, 5_000);
    let first = log.writer.trim(0, None).unwrap();
    assert!(log.reader.bytes() <= 50_000 && log.reader.bytes() > 30_000, "{}", log.reader.bytes());
    assert_eq!(all(&*log.reader), numbers(first, 5_000));
    assert!(log.writer.is_full(50_000));

    let aged = StreamDefinition { age: Some(Duration::from_millis(640)), ..orders() };
    log.writer.define(&aged).unwrap();
    assert_eq!(log.writer.trim(50_500, None).unwrap(), 4_986);
    assert_eq!(log.writer.trim(50_505, None).unwrap(), 4_986, "a little too old is kept a little");
    assert_eq!(log.writer.trim(50_511, None).unwrap(), 4_988);
    assert_eq!(log.writer.trim(50_511, Some(4_995)).unwrap(), 4_995);
    drop(log);
    let mut log = place.open(&aged);
    assert_eq!(all(&*log.reader), numbers(4_995, 5_000));
    assert_eq!(log.writer.trim(1_000_000, None).unwrap(), 5_001);
    assert_eq!(all(&*log.reader), numbers(1, 0));
    drop(log);
    let mut log = place.open(&aged);
    assert_eq!(log.reader.next(), 5_001);
    assert_eq!(log.writer.trim(1_000_000, None).unwrap(), 5_001);
    append(&mut log, 5_002);
    assert_eq!(all(&*log.reader), [5_001, 5_002]);
}

#[test]
fn what_is_deleted_is_passed_over_for_good() {
    let place = Place::new();
    let mut log = place.open(&orders());
    append(&mut log, 50);
    for seq in [1, 7, 8, 9, 50] {
        assert!(log.writer.delete(seq).unwrap());
        assert!(!log.writer.delete(seq).unwrap());
    }
    assert!(!log.writer.delete(51).unwrap());
    let left: Vec<u64> = (2..50).filter(|seq| ![7, 8, 9].contains(seq)).collect();
    for _ in 0..2 {
        assert_eq!(all(&*log.reader), left);
        assert_eq!((log.reader.first(), log.reader.messages()), (2, left.len() as u64));
        assert_eq!(
            log.reader.last_of_topic(TopicName::parse("orders/1").unwrap(), 2).unwrap(),
            [36, 43]
        );
        let each = log.reader.last_of_each(&TopicFilter::parse("orders/+").unwrap()).unwrap();
        assert_eq!(each, numbers(43, 49));
        drop(log);
        log = place.open(&orders());
    }
    append(&mut log, 60);
    assert!(log.reader.cursor(48).read().unwrap().is_some());
    assert_eq!(read(&mut *log.reader.cursor(49)), [49, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60]);
}

#[test]
fn notes_are_kept_in_their_order_and_replaced_as_a_whole() {
    let place = Place::new();
    let mut log = place.open(&orders());
    assert!(log.notes.is_empty());
    log.writer.note(&[b"one", b"two"]).unwrap();
    log.writer.note(&[b"three"]).unwrap();
    assert_eq!(log.writer.noted(), 8 * 3 + 11);
    drop(log);
    let log = place.open(&orders());
    assert_eq!(log.notes, [&b"one"[..], b"two", b"three"]);
    // What is damaged between others leaves a gap that is known.
    let path = place.folder().join("consumers.notes");
    drop(log);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[16 + 8 + 3 + 8] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(place.open(&orders()).notes, [&b"one"[..], b"", b"three"]);
    fs::write(&path, &whole).unwrap();
    let mut log = place.open(&orders());
    log.writer.replace_notes(&[b"all of them"]).unwrap();
    assert_eq!(log.writer.noted(), 0);
    log.writer.note(&[b"and one"]).unwrap();
    log.sync.sync().unwrap();
    drop(log);
    assert_eq!(place.open(&orders()).notes, [&b"all of them"[..], b"and one"]);
    // A torn end is cut.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(place.open(&orders()).notes, [&b"all of them"[..]]);
    let mut log = place.open(&orders());
    log.writer.note(&[b"again"]).unwrap();
    drop(log);
    assert_eq!(place.open(&orders()).notes, [&b"all of them"[..], b"again"]);
}

#[test]
fn streams_are_listed_opened_once_and_removed() {
    let place = Place::new();
    let streams = Streams::open(&place.0).unwrap();
    let dead = StreamDefinition::new("$dead", TopicFilter::parse("$dead/#").unwrap()).unwrap();
    let limited = StreamDefinition {
        age: Some(Duration::from_millis(1_500)),
        bytes: Some(7),
        messages: Some(9),
        ..orders()
    };
    let mut log = streams.open(&orders()).unwrap();
    assert!(streams.open(&orders()).unwrap_err().reason().contains("is open already"));
    append(&mut log, 10);
    log.writer.define(&limited).unwrap();
    drop(streams.open(&dead).unwrap());
    assert_eq!(streams.list().unwrap(), [dead.clone(), limited]);
    let mut cursor = log.reader.cursor(1);
    assert!(cursor.read().unwrap().is_some());
    streams.remove("orders").unwrap();
    assert_eq!(read(&mut *cursor), numbers(2, 10), "a reader that has it open goes on");
    assert_eq!(streams.list().unwrap(), [dead]);
    assert_eq!(streams.open(&orders()).unwrap().reader.next(), 1);
    for name in ["..", ".", "", "a/b", "a~", "$"] {
        assert!(streams.remove(name).is_err(), "{name}");
    }
    assert!(streams.remove("none").is_err());
}

#[test]
fn times_and_topics_are_found_by_what_may_hold_them() {
    let place = Place::new();
    let definition = StreamDefinition { bytes: Some(400_000), ..orders() };
    let mut log = place.open(&definition);
    append(&mut log, 3_000);
    let parse = |text: String| TopicFilter::parse(&text).unwrap();
    for round in 0..3 {
        for seq in [1, 2, 500, 1_234, 2_999, 3_000] {
            assert_eq!(log.reader.at_time(seq * 10).unwrap(), seq);
            assert_eq!(log.reader.at_time(seq * 10 - 9).unwrap(), seq);
        }
        assert_eq!(log.reader.at_time(30_001).unwrap(), 3_001);
        for residue in 0..7 {
            let topic = topic(residue);
            let expected: Vec<u64> = (1..=3_000).filter(|seq| seq % 7 == residue).collect();
            let last =
                |most| log.reader.last_of_topic(TopicName::parse(&topic).unwrap(), most).unwrap();
            assert_eq!(last(1), expected[expected.len() - 1..]);
            assert_eq!(last(200), expected[expected.len() - 200..]);
            assert_eq!(last(10_000), expected);
            assert_eq!(log.reader.last_of_each(&parse(topic.clone())).unwrap(), last(1));
        }
        assert_eq!(
            log.reader.last_of_topic(TopicName::parse("orders/8").unwrap(), 5).unwrap(),
            numbers(1, 0)
        );
        assert_eq!(log.reader.last_of_each(&parse("#".into())).unwrap(), numbers(2_994, 3_000));
        drop(log);
        if round == 0 {
            for entry in fs::read_dir(place.folder()).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|kind| kind == "index") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        log = place.open(&definition);
    }
}
