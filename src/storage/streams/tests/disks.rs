//! Logs on disks that lose power, are full, fail or have bits that fall over, beside a naive model.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::Streams;
use super::world::World;
use crate::broker::{Found, Log, LogReader, Record, StoreError, StreamDefinition, StreamStore};
use crate::codec::PayloadRef;
use crate::protocol::{Format, TopicFilter, TopicName};

/// Numbers that look random, the same ones from the same seed.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ (seed << 40);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 8
    }
}

fn orders() -> StreamDefinition {
    let filter = TopicFilter::parse("orders").unwrap();
    StreamDefinition { bytes: Some(60_000), ..StreamDefinition::new("orders", filter).unwrap() }
}

fn open(world: &World) -> Result<Log, StoreError> {
    Streams::on(Arc::new(world.clone()), Path::new("/data"))?.open(&orders())
}

/// Appends messages that hold these numbers.
fn append(log: &mut Log, numbers: &[u64]) -> Result<(), StoreError> {
    let next = log.reader.next();
    let texts: Vec<_> = numbers
        .iter()
        .map(|number| {
            let filler = "x".repeat((number * 31 % 257) as usize);
            (format!("orders/{}", number % 5), format!("{number} {filler}"))
        })
        .collect();
    let records: Vec<_> = texts
        .iter()
        .zip(next..)
        .map(|((topic, payload), seq)| Record {
            seq,
            time: seq,
            topic: TopicName::parse(topic).unwrap(),
            id: Some("id"),
            payload: PayloadRef::new(payload.as_bytes(), Format::Pickle),
        })
        .collect();
    log.writer.append(&records)
}

/// What is there: the number that each message holds; and the messages that are said to be
/// damaged. None is passed over in silence.
fn contents(reader: &dyn LogReader) -> (BTreeMap<u64, u64>, Vec<(u64, u64)>) {
    let (mut found, mut damaged) = (BTreeMap::new(), Vec::new());
    let mut cursor = reader.cursor(1);
    let mut expected = reader.first();
    while let Some(next) = cursor.read().unwrap() {
        match next {
            Found::Record(record) => {
                assert_eq!((record.seq, record.time), (expected, expected), "a hole");
                let text = str::from_utf8(record.payload.source()).unwrap();
                let (number, filler) = text.split_once(' ').unwrap();
                let number: u64 = number.parse().unwrap();
                assert_eq!(filler.len() as u64, number * 31 % 257);
                assert_eq!(record.topic.as_str(), format!("orders/{}", number % 5));
                found.insert(record.seq, number);
                expected += 1;
            }
            Found::Damage(damage) => {
                assert_eq!(damage.from, expected, "a hole");
                damaged.push((damage.from, damage.to));
                expected = damage.to + 1;
            }
        }
    }
    assert_eq!(expected, reader.next());
    (found, damaged)
}

/// Whatever was synchronised is there after a power cut, what is there was written, and it is all
/// of it up to a point.
#[test]
fn what_was_synchronised_survives_a_power_cut_and_nothing_else_turns_up() {
    let (mut number, mut lost, mut cuts) = (0, 0, 0);
    for seed in 0..60 {
        let mut random = random(seed);
        let mut world = World::default();
        // What each message holds, by its number, as long as it was appended.
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut notes, mut synced_notes): (Vec<Vec<u8>>, usize) = Default::default();
        let (mut synced, mut dropped) = (0, 1);
        for cut in 0..20 {
            world.0.lock().power = (cut > 0).then(|| random() % 90);
            let place = format!("seed {seed}, cut {cut}");
            let Ok(mut log) = open(&world) else {
                assert!(cut > 0, "{place}");
                world = world.after_a_cut(&mut random);
                continue;
            };
            let next = log.reader.next();
            assert!(next > synced, "{place}: {next} comes after {synced}");
            lost += model.range(next..).count();
            model.retain(|seq, _| *seq < next);
            let (found, damaged) = contents(&*log.reader);
            assert_eq!(damaged, [], "{place}");
            assert!(log.reader.first() <= dropped, "{place}");
            dropped = log.reader.first();
            model.retain(|seq, _| *seq >= dropped);
            assert_eq!(found, model, "{place}");
            // Of the notes those that were synchronised are there, and perhaps some of the others.
            log.notes.retain(|note| !note.is_empty());
            let mut left = notes.iter().enumerate();
            let mut kept = Vec::new();
            for note in &log.notes {
                kept.push(left.find(|(_, other)| *other == note).expect(&place).0);
            }
            assert!((0..synced_notes).all(|at| kept.contains(&at)), "{place}");
            notes.clone_from(&log.notes);
            (synced_notes, synced) = (0, next.min(synced + 1) - 1);
            loop {
                if random().is_multiple_of(4) {
                    log.writer.prepare();
                }
                let done = match random() % 12 {
                    0..6 => {
                        let numbers: Vec<u64> =
                            (0..1 + random() % 12).map(|at| number + at).collect();
                        number += numbers.len() as u64;
                        let next = log.reader.next();
                        // Where it fails, some of it may be there all the same.
                        model.extend((next..).zip(numbers.iter().copied()));
                        append(&mut log, &numbers)
                    }
                    6 => {
                        let (next, count) = (log.reader.next(), notes.len());
                        log.sync.sync().map(|()| (synced, synced_notes) = (next - 1, count))
                    }
                    7 => {
                        let next = log.reader.next();
                        log.sync.sync_messages().map(|()| synced = next - 1)
                    }
                    8 | 9 => {
                        number += 1;
                        notes.push(number.to_le_bytes().to_vec());
                        log.writer.note(&[&number.to_le_bytes()])
                    }
                    10 => {
                        number += 1;
                        let note = number.to_le_bytes();
                        let replaced = log.writer.replace_notes(&[&note]);
                        if replaced.is_ok() {
                            (notes, synced_notes) = (vec![note.to_vec()], 1);
                        } else {
                            // Those or these.
                            notes.push(note.to_vec());
                            synced_notes = 0;
                        }
                        replaced
                    }
                    _ => {
                        let keep_from = random() % (log.reader.next() + 1);
                        let keep_from = keep_from.saturating_sub(20);
                        log.writer.trim(0, Some(keep_from)).map(|first| dropped = first)
                    }
                };
                dropped = dropped.max(log.reader.first());
                if done.is_err() || cut == 0 && random().is_multiple_of(40) {
                    break;
                }
            }
            drop(log);
            world = world.after_a_cut(&mut random);
            cuts += 1;
        }
    }
    assert!(lost > 1_000 && cuts > 800, "{lost} messages were lost in {cuts} cuts");
}

#[test]
fn a_batch_for_which_there_is_no_room_is_refused_as_a_whole_and_goes_in_later() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    append(&mut log, &[1, 2, 3]).unwrap();
    for room in [0, 1, 30, 200, 600, 700] {
        world.0.lock().room = Some(room);
        let numbers: Vec<u64> = (10..30).collect();
        let error = append(&mut log, &numbers).unwrap_err();
        assert!(error.reason().contains("make room on its disk"), "{error}");
        assert_eq!(contents(&*log.reader).0.len(), 3);
        assert!(log.writer.note(&[&[7; 900]]).is_err());
        assert_eq!(
            log.reader.last_of_topic(TopicName::parse("orders/3").unwrap(), 9).unwrap(),
            [3]
        );
    }
    world.0.lock().room = None;
    append(&mut log, &[4]).unwrap();
    log.writer.note(&[b"note"]).unwrap();
    drop(log);
    let mut log = open(&world).unwrap();
    assert_eq!(contents(&*log.reader).0.into_values().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(log.notes, [b"note"]);
    // There is no room for another segment either, and the old one goes on.
    world.0.lock().room = Some(100);
    let many: Vec<u64> = (100..160).collect();
    assert!(append(&mut log, &many).is_err());
    world.0.lock().room = None;
    append(&mut log, &many).unwrap();
    assert_eq!(contents(&*log.reader).0.len(), 64);
}

/// Messages of a batch that was refused stand behind its first one, and are whole: one that is
/// shorter than that comes in its place.
#[test]
fn nothing_of_a_batch_that_was_refused_turns_up_behind_what_comes_next() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    append(&mut log, &[1]).unwrap();
    world.0.lock().room = Some(1_200);
    let (long, short) = (8, 9);
    let numbers: Vec<u64> = (long..long + 20).collect();
    append(&mut log, &numbers).unwrap_err();
    world.0.lock().room = None;
    append(&mut log, &[short]).unwrap();
    let filter = TopicFilter::parse("#").unwrap();
    let contents_and_last = |log: &Log| {
        let numbers: Vec<u64> = contents(&*log.reader).0.into_values().collect();
        (numbers, log.reader.last_of_each(&filter).unwrap())
    };
    let expected = (vec![1, short], vec![1, 2]);
    assert_eq!(contents_and_last(&log), expected);
    drop(log);
    assert_eq!(contents_and_last(&open(&world).unwrap()), expected);
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    append(&mut log, &[1]).unwrap();
    world.0.lock().is_read_only = true;
    let error = append(&mut log, &[2]).unwrap_err();
    assert!(error.reason().contains("must be able to write there"), "{error}");
    assert!(error.reason().contains("/data/streams/orders/"), "{error}");
    assert_eq!(contents(&*log.reader).0.len(), 1);
}

/// After a failure the system may say that all is written because it has given up: it is written
/// again.
#[test]
fn what_a_failed_synchronisation_has_forgotten_is_written_again() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    log.sync.sync().unwrap();
    append(&mut log, &[1, 2, 3]).unwrap();
    world.0.lock().forgets_once = true;
    assert!(log.sync.sync().is_err());
    append(&mut log, &[4]).unwrap();
    log.sync.sync().unwrap();
    let after = world.after_a_cut(&mut random(1));
    assert_eq!(contents(&*open(&after).unwrap().reader).0.len(), 4);
}

/// The same where nothing more was written since: what could not be made last is not forgotten.
#[test]
fn what_could_not_be_synchronised_is_tried_again_though_nothing_more_is_written() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    log.sync.sync().unwrap();
    append(&mut log, &[1, 2, 3]).unwrap();
    world.0.lock().forgets_once = true;
    assert!(log.sync.sync_messages().is_err());
    log.sync.sync_messages().unwrap();
    log.writer.note(&[b"note"]).unwrap();
    world.0.lock().forgets_once = true;
    assert!(log.sync.sync().is_err());
    log.sync.sync().unwrap();
    for seed in 1..9 {
        let log = open(&world.after_a_cut(&mut random(seed))).unwrap();
        assert_eq!(contents(&*log.reader).0.len(), 3);
        assert_eq!(log.notes, [b"note"]);
    }
}

#[test]
fn what_was_deleted_stays_so_after_a_power_cut_when_that_was_synchronised() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    append(&mut log, &[1, 2, 3, 4, 5, 6]).unwrap();
    for seq in [2, 4, 6] {
        assert!(log.writer.delete(seq).unwrap());
    }
    log.sync.sync().unwrap();
    for seed in 1..9 {
        let log = open(&world.after_a_cut(&mut random(seed))).unwrap();
        let mut cursor = log.reader.cursor(1);
        let left = std::iter::from_fn(|| match cursor.read().unwrap()? {
            Found::Record(record) => Some(record.seq),
            Found::Damage(damage) => panic!("{damage:?}"),
        });
        assert_eq!(left.collect::<Vec<_>>(), [1, 3, 5]);
    }
}

#[test]
fn no_flipped_bit_makes_another_message_and_each_is_reported() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    for batch in 0..30 {
        let numbers: Vec<u64> = (0..10).map(|at| 1_000 + batch * 10 + at).collect();
        append(&mut log, &numbers).unwrap();
        log.sync.sync().unwrap();
    }
    let whole = contents(&*log.reader).0;
    assert_eq!(whole.len(), 300);
    // So that all sidecars are there.
    let filter = TopicFilter::parse("#").unwrap();
    let each = log.reader.last_of_each(&filter).unwrap();
    drop(log);
    let files = world.files();
    let is_kind = |path: &Path, kind: &str| path.extension().is_some_and(|other| other == kind);
    let segments: Vec<_> = files.iter().filter(|file| is_kind(&file.0, "segment")).collect();
    let sidecars: Vec<_> = files.iter().filter(|file| is_kind(&file.0, "index")).collect();
    assert!(segments.len() > 5 && sidecars.len() > 4);
    let (mut random, mut reported, mut cut) = (random(3), 0, 0);
    for _ in 0..1_000 {
        let (path, len) = segments[(random() % segments.len() as u64) as usize];
        let flipped = world.with_flipped(path, (random() % (*len as u64 * 8)) as usize);
        let log = open(&flipped).unwrap();
        let (found, damaged) = contents(&*log.reader);
        // Whatever is found is what was written.
        assert!(found.iter().all(|(seq, number)| whole[seq] == *number));
        let said: u64 = damaged.iter().map(|(from, to)| to - from + 1).sum();
        assert!(said <= 1, "one bit costs one message: {damaged:?}");
        assert_eq!(log.reader.damaged(), said);
        let at_the_end = 301 - log.reader.next();
        assert_eq!(found.len() as u64 + said + at_the_end, 300);
        assert!(at_the_end <= 1);
        (reported, cut) = (reported + said, cut + at_the_end);
    }
    assert!(reported > 900, "{reported} were reported, {cut} cut off");
    for _ in 0..300 {
        let (path, len) = sidecars[(random() % sidecars.len() as u64) as usize];
        let flipped = world.with_flipped(path, (random() % (*len as u64 * 8)) as usize);
        let log = open(&flipped).unwrap();
        assert_eq!(log.reader.last_of_each(&filter).unwrap(), each);
        for seq in [50, 150, 250] {
            let mut cursor = log.reader.cursor(seq);
            assert!(matches!(cursor.read(), Ok(Some(Found::Record(record))) if record.seq == seq));
        }
    }
}

#[test]
fn room_that_finds_no_place_costs_no_message() {
    let world = World::default();
    let mut log = open(&world).unwrap();
    append(&mut log, &[1]).unwrap();
    let size = world.files().iter().map(|file| file.1).sum::<usize>();
    world.0.lock().room = Some(600);
    assert!(!log.writer.prepare());
    assert_eq!(world.files().iter().map(|file| file.1).sum::<usize>(), size, "it is given back");
    assert!(!log.writer.prepare(), "and not tried again with each message");
    append(&mut log, &[2]).unwrap();
    world.0.lock().room = None;
    append(&mut log, &[3]).unwrap();
    drop(log);
    let log = open(&world).unwrap();
    assert_eq!(contents(&*log.reader).0.into_values().collect::<Vec<_>>(), [1, 2, 3]);
}
