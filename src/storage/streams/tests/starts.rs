//! What a start looks at, and what it believes of a segment's head.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Streams;
use super::super::files::Files;
use super::world::World;
use crate::broker::{Found, Log, LogReader, Record, StreamDefinition, StreamStore};
use crate::codec::PayloadRef;
use crate::protocol::{Format, TopicFilter, TopicName};

/// Bytes of a segment, about, and of its two heads.
const SEGMENT: u64 = 8 << 10;
const HEADS: usize = 128;

fn open(world: &World) -> Log {
    let filter = TopicFilter::parse("orders").unwrap();
    let orders = StreamDefinition::new("orders", filter).unwrap();
    // No test has anything dropped.
    let orders = StreamDefinition { bytes: Some(8 * SEGMENT), ..orders };
    Streams::on(Arc::new(world.clone()), Path::new("/data")).unwrap().open(&orders).unwrap()
}

/// Appends messages, one by one; the time of each is its number.
fn append(log: &mut Log, count: u64, has_ids: bool) {
    for _ in 0..count {
        let seq = log.reader.next();
        let (id, payload) = (format!("id {seq}"), "x".repeat(200));
        let topic = TopicName::parse("orders").unwrap();
        let payload = PayloadRef::new(payload.as_bytes(), Format::Pickle);
        let id = has_ids.then_some(&*id);
        log.writer.append(&[Record { seq, time: seq, topic, id, payload }]).unwrap();
    }
}

fn is_whole(reader: &dyn LogReader, messages: u64) -> bool {
    let mut cursor = reader.cursor(1);
    for expected in 1..=messages {
        let found = cursor.read().unwrap();
        if !matches!(found, Some(Found::Record(record)) if record.seq == expected) {
            return false;
        }
    }
    cursor.read().unwrap().is_none()
}

fn last_segment(world: &World) -> PathBuf {
    let mut paths = world.files().into_iter().map(|(path, _)| path);
    paths.rfind(|path| path.extension().is_some_and(|kind| kind == "segment")).unwrap()
}

/// What opening the log reads, of a process that was killed.
fn read_by_a_start(world: &World) -> u64 {
    // With its files as they are.
    let world = world.with(&last_segment(world), |_| {});
    let log = open(&world);
    let read = world.0.lock().read;
    drop(log);
    read
}

#[test]
fn a_start_looks_at_one_segment_and_at_what_was_not_synchronised() {
    let world = World::default();
    let mut log = open(&world);
    append(&mut log, 300, false);
    log.sync.sync_messages().unwrap();
    append(&mut log, 300, false);
    log.sync.sync().unwrap();
    let read = read_by_a_start(&world);
    assert!(read < 2 * SEGMENT, "{read} bytes behind a synchronisation");
    append(&mut log, 100, false);
    let unsynced = 100 * 250;
    let read = read_by_a_start(&world);
    assert!(read < 2 * SEGMENT + unsynced, "{read} bytes");
    assert!(read > unsynced / 2, "what was not synchronised is looked at: {read}");
    drop(log);
    let read = read_by_a_start(&world);
    assert!(read > unsynced / 2, "nothing more is known of it at the end: {read}");
    let mut log = open(&world);
    append(&mut log, 1, false);
    log.sync.sync().unwrap();
    // It is not long ago that the head was written.
    append(&mut log, 1, false);
    log.sync.sync().unwrap();
    drop(log);
    let read = read_by_a_start(&world);
    assert!(read < 2 * SEGMENT, "{read} bytes after an orderly end");
    assert!(is_whole(&*open(&world).reader, 702));
}

/// The head says of every message whether it was on the disk; damage there is reported, and what is
/// behind is cut off.
#[test]
fn an_orderly_end_says_that_all_was_on_the_disk() {
    let world = World::default();
    let mut log = open(&world);
    for _ in 0..3 {
        append(&mut log, 1, false);
        log.sync.sync().unwrap();
    }
    drop(log);
    let path = last_segment(&world);
    let flip = |bytes: &mut [u8]| *bytes.last_mut().unwrap() ^= 1;
    let log = open(&world.with(&path, flip));
    assert_eq!(log.reader.next(), 4, "the damage is known from a torn end");
    let mut cursor = log.reader.cursor(3);
    assert!(matches!(cursor.read(), Ok(Some(Found::Damage(damage))) if damage.from == 3));
}

#[test]
fn a_head_that_is_cut_or_damaged_in_one_copy_costs_nothing() {
    let world = World::default();
    let mut log = open(&world);
    append(&mut log, 100, false);
    log.sync.sync().unwrap();
    let path = last_segment(&world);
    let mut before = [0; HEADS];
    world.with(&path, |bytes| before.copy_from_slice(&bytes[..HEADS]));
    append(&mut log, 3, false);
    log.sync.sync().unwrap();
    drop(log);
    assert_eq!(last_segment(&world), path);
    let mut after = [0; HEADS];
    world.with(&path, |bytes| after.copy_from_slice(&bytes[..HEADS]));
    assert_ne!(before, after, "it was written anew");
    assert_eq!(before[..HEADS / 2], after[..HEADS / 2], "the first copy is left alone");
    for cut in 0..=HEADS {
        // One part or the other is the old one.
        for part in [0..cut, cut..HEADS] {
            let world = world.with(&path, |bytes| {
                bytes[part.clone()].copy_from_slice(&before[part.clone()]);
            });
            assert!(is_whole(&*open(&world).reader, 103), "{part:?}");
        }
    }
    for bit in 0..8 * HEADS {
        assert!(is_whole(&*open(&world.with_flipped(&path, bit)).reader, 103), "bit {bit}");
    }
}

fn ids_since(log: &Log, time: u64, most: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut take = |id: &str| ids.push(id.strip_prefix("id ").unwrap().parse().unwrap());
    log.reader.ids_since(time, most, &mut take).unwrap();
    ids
}

#[test]
fn ids_are_looked_for_where_there_are_some() {
    let world = World::default();
    let mut log = open(&world);
    append(&mut log, 10, true);
    append(&mut log, 1_000, false);
    append(&mut log, 300, true);
    append(&mut log, 1_000, false);
    let all: Vec<u64> = (1..=10).chain(1_011..=1_310).collect();
    for round in 0..3 {
        assert_eq!(ids_since(&log, 0, usize::MAX), all, "round {round}");
        assert_eq!(ids_since(&log, 1_100, usize::MAX), all[99..]);
        assert!(ids_since(&log, 1_500, usize::MAX).is_empty());
        let newest = ids_since(&log, 0, 50);
        assert!(newest.len() >= 50 && newest.len() < 150, "{}", newest.len());
        assert!(all.ends_with(&newest));
        // The places of each segment are looked at, and few messages.
        let before = world.0.lock().read;
        assert!(ids_since(&log, 1_500, usize::MAX).is_empty());
        let read = world.0.lock().read - before;
        assert!(read < 5 * SEGMENT, "{read} bytes");
        drop(log);
        if round == 1 {
            // They are made anew.
            for (path, _) in world.files() {
                if path.extension().is_some_and(|kind| kind == "index") {
                    world.remove(&path).unwrap();
                }
            }
        }
        log = open(&world);
    }
}

fn len(world: &World, path: &Path) -> usize {
    world.files().into_iter().find(|file| file.0 == path).unwrap().1
}

/// The zeros ahead of the end are neither messages nor a torn write, wherever a crash leaves them.
#[test]
fn room_is_written_over_and_nobody_reads_it() {
    let world = World::default();
    let mut log = open(&world);
    append(&mut log, 3, false);
    assert!(log.writer.prepare());
    assert!(!log.writer.prepare(), "there is enough");
    log.sync.sync_messages().unwrap();
    let path = last_segment(&world);
    let long = len(&world, &path);
    assert!(long > SEGMENT as usize / 2, "{long}");
    append(&mut log, 3, false);
    log.sync.sync_messages().unwrap();
    assert_eq!(len(&world, &path), long, "the file is no longer than it was");
    assert!(is_whole(&*log.reader, 6));
    // Of a process that was killed.
    let killed = world.with(&path, |_| {});
    let mut again = open(&killed);
    assert!(is_whole(&*again.reader, 6));
    assert_eq!(again.reader.bytes(), log.reader.bytes(), "what was not written does not count");
    append(&mut again, 1, false);
    assert_eq!(len(&killed, &path), long, "the next message goes where there was room");
    drop(again);
    assert!(len(&killed, &path) < long, "an orderly end leaves none");
    assert!(is_whole(&*open(&killed).reader, 7));
    // It goes on in the next segment.
    append(&mut log, 100, false);
    assert_ne!(last_segment(&world), path);
    assert!(is_whole(&*log.reader, 106));
    drop(log);
    assert!(is_whole(&*open(&world).reader, 106));
}

/// Whoever waits for what comes next reads that alone.
#[test]
fn the_last_messages_are_found_without_those_before() {
    let world = World::default();
    let mut log = open(&world);
    for seq in 1..=100 {
        append(&mut log, 1, false);
        let before = world.0.lock().read;
        let mut cursor = log.reader.cursor(seq);
        assert!(matches!(cursor.read(), Ok(Some(Found::Record(record))) if record.seq == seq));
        let read = world.0.lock().read - before;
        assert!(read < 2 * 250, "{read} bytes for message {seq}");
    }
    // A little before, and far before.
    for seq in [90, 100, 84, 1, 50] {
        let mut cursor = log.reader.cursor(seq);
        assert!(matches!(cursor.read(), Ok(Some(Found::Record(record))) if record.seq == seq));
    }
}
