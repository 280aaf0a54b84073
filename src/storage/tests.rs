//! What lies below the database: what is held back, records, and a power cut, which is simulated:
//! whatever was written and not synchronised may be on the disk, or not, or in part, a sector at a
//! time and in any order.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use super::Storage;
use super::file::HeldBack;
use crate::broker::{Change, Expires, Kept, Store, Stored};
use crate::codec::{Encoding, Part, Payload, PayloadRef};
use crate::protocol::{Format, Topic};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// A disk with a cache that a power cut empties.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// What the program reads.
    cached: Vec<u8>,
    /// What was there at the last synchronisation.
    safe: Vec<u8>,
    /// Sectors that were written since.
    written: Vec<usize>,
    /// After so many more operations there is no power.
    power: Option<u64>,
}

impl Contents {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("there is no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk {
    /// The disk after the power has come back: of each sector that was not safe, the old or the
    /// new.
    fn after_a_cut(&self, random: &mut impl FnMut() -> u64) -> Disk {
        let contents = self.0.lock();
        let mut found = contents.safe.clone();
        // A length is no sector: the file may have grown, and then its new part holds anything that
        // was written to it.
        if random().is_multiple_of(2) {
            found.resize(contents.cached.len(), 0);
        }
        for sector in &contents.written {
            let (start, end) = (
                sector * SECTOR,
                ((sector + 1) * SECTOR).min(found.len()).min(contents.cached.len()),
            );
            if random().is_multiple_of(2) && start < end {
                found[start..end].copy_from_slice(&contents.cached[start..end]);
            }
        }
        Disk(Arc::new(Mutex::new(Contents {
            cached: found.clone(),
            safe: found,
            ..Contents::default()
        })))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.0.lock();
        let range = offset as usize..offset as usize + out.len();
        out.copy_from_slice(contents.cached.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut contents = self.0.lock();
        contents.operate()?;
        contents.cached.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.0.lock();
        contents.operate()?;
        contents.safe = contents.cached.clone();
        contents.written.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut contents = self.0.lock();
        contents.operate()?;
        let (start, end) = (offset as usize, offset as usize + data.len());
        if contents.cached.len() < end {
            contents.cached.resize(end, 0);
        }
        contents.cached[start..end].copy_from_slice(data);
        contents.written.extend(start / SECTOR..end.div_ceil(SECTOR));
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

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

fn stored(topic: &str, number: u64) -> Stored {
    let text = format!("{number:0width$}", width = 1 + (number % 700) as usize);
    let payload = Payload::copy(text.as_bytes(), Format::Json, &Part::Value(0..text.len()));
    Stored::new(Topic::parse(topic).unwrap().name(), payload.borrow(), number)
}

fn load(store: &mut Storage) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    store
        .load(&mut |kept| {
            let text = str::from_utf8(kept.payload.source()).unwrap();
            assert_eq!(text.parse(), Ok(kept.published), "a value of its own");
            found.insert(kept.topic.to_string(), kept.published);
        })
        .unwrap();
    found
}

#[test]
fn what_was_committed_survives_a_power_cut_as_a_whole() {
    let mut random = random(1);
    let mut disk = Disk::default();
    let (mut number, mut cuts_within_a_commit) = (0, 0);
    let mut committed: BTreeMap<String, u64> = BTreeMap::new();
    for cut in 0..150 {
        let mut store =
            Storage::on(disk.clone()).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
        assert_eq!(load(&mut store), committed, "cut {cut}");
        disk.0.lock().power = Some(random() % 200);
        // What the transaction holds that the power cut comes in.
        let mut next = committed.clone();
        loop {
            next.clone_from(&committed);
            let changes: Vec<Change> = (0..random() % 60)
                .map(|_| {
                    number += 1;
                    let topic = format!("t/{}", random() % 300);
                    if random().is_multiple_of(6) {
                        next.remove(&topic);
                        return Change::Forget(Topic::parse(&topic).unwrap());
                    }
                    next.insert(topic.clone(), number);
                    Change::Keep { stored: stored(&topic, number), expires: None }
                })
                .collect();
            if store.write(&changes).and_then(|()| store.commit()).is_err() {
                break;
            }
            committed.clone_from(&next);
        }
        drop(store);
        disk = disk.after_a_cut(&mut random);
        // The commit that was under way is there as a whole or not at all.
        let found = load(
            &mut Storage::on(disk.clone()).unwrap_or_else(|error| panic!("cut {cut}: {error}")),
        );
        assert!(found == committed || found == next, "cut {cut}: a commit is there in part");
        cuts_within_a_commit += usize::from(next != committed);
        committed = found;
    }
    assert!(cuts_within_a_commit > 100);
}

/// Whatever is written while it is held back is read as if it had been written, and is in the end.
#[test]
fn what_is_held_back_is_read_and_written_as_if_it_were_not() {
    let mut random = random(7);
    for _ in 0..200 {
        let (disk, plain) = (Disk::default(), Disk::default());
        let bytes = |random: &mut dyn FnMut() -> u64, len: u64| -> Vec<u8> {
            (0..len).map(|_| 1 + (random() % 255) as u8).collect()
        };
        let before = bytes(&mut random, 20_000);
        for disk in [&disk, &plain] {
            disk.set_len(20_000).unwrap();
            disk.write(0, &before).unwrap();
        }
        let untouched = disk.0.lock().cached.clone();
        let (held_back, release) = HeldBack::new(disk.clone());
        for _ in 0..30 {
            let len = plain.len().unwrap();
            match random() % 5 {
                0 => {
                    let len = random() % 30_000;
                    held_back.set_len(len).unwrap();
                    plain.set_len(len).unwrap();
                }
                1..3 => {
                    let written = random() % 6_000;
                    let at = random() % (len + 1);
                    let bytes = bytes(&mut random, written);
                    held_back.write(at, &bytes).unwrap();
                    plain.write(at, &bytes).unwrap();
                }
                _ => {
                    let at = random() % (len + 1);
                    let mut found = vec![0; (random() % (len - at + 1)) as usize];
                    let mut expected = found.clone();
                    held_back.read(at, &mut found).unwrap();
                    plain.read(at, &mut expected).unwrap();
                    assert!(found == expected);
                }
            }
            assert_eq!(held_back.len().unwrap(), plain.len().unwrap());
            assert!(
                held_back.read(plain.len().unwrap(), &mut [0]).is_err(),
                "behind the end there is nothing"
            );
        }
        assert!(disk.0.lock().cached == untouched, "nothing is written before its time");
        release.release().unwrap();
        assert!(disk.0.lock().cached == plain.0.lock().cached);
        held_back.write(0, b"x").unwrap();
        assert_eq!(disk.0.lock().cached[0], b'x', "from then on it goes through");
    }
}

#[test]
fn a_file_of_another_version_is_refused_and_left_as_it_is() {
    let disk = Disk::default();
    let mut store = Storage::on(disk.clone()).unwrap();
    store.write(&[Change::Keep { stored: stored("t", 1), expires: None }]).unwrap();
    store.commit().unwrap();
    drop(store);
    let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(super::ABOUT)
        .unwrap()
        .insert(super::VERSION, super::FORMAT + 1)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = disk.0.lock().cached.clone();
    let refused = Storage::on(disk.clone()).unwrap_err().to_string();
    for part in ["is of version 4", "reads versions 1 to 3", "export"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(disk.0.lock().cached == before, "nothing was changed");
}

/// What versions 1 and 2 wrote is read, and is of this version from then on: an older program would
/// not know its new records.
#[test]
fn a_file_of_a_version_before_is_read_and_raised() {
    let json = Encoding::Value(Format::Json);
    // Byte for byte what they wrote: JSON, place 7, expires at 99; the same with 5 ms left.
    let first = b"\0\x07\0\0\0\0\0\0\0\x63\0\0\0\0\0\0\0\x9e\x01\x6f\xb6\x37";
    let second = b"\x40\x07\0\0\0\0\0\0\0\x63\0\0\0\0\0\0\0\x5d\x18\xda\xe3\x05\0\0\0\0\0\0\0\x37";
    // A whole body in XML that does not expire.
    let body = b"\x81\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xed\xb1\x2c\xee<frame message='7'/>";
    for (version, record, encoding, expires) in [
        (1, &first[..], json, Some(Expires { at: 99, ttl: None })),
        (2, first, json, Some(Expires { at: 99, ttl: None })),
        (2, second, json, Some(Expires { at: 99, ttl: Some(5) })),
        (2, body, Encoding::Body(Format::Xml), None),
    ] {
        old_file_is_read(version, record, (encoding, expires));
    }
}

fn old_file_is_read(version: u64, record: &[u8], expected: (Encoding, Option<Expires>)) {
    let disk = Disk::default();
    drop(Storage::on(disk.clone()).unwrap());
    let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(super::ABOUT).unwrap().insert(super::VERSION, version).unwrap();
    transaction.open_table(super::VALUES).unwrap().insert("t", record).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let mut store = Storage::on(disk).unwrap();
    assert_eq!(super::version(store.database.as_ref().unwrap()).unwrap(), Some(super::FORMAT));
    let mut kept = Vec::new();
    store.load(&mut |value| kept.push(value)).unwrap();
    let [Kept { topic, payload, published: 7, expires }] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((topic.as_str(), payload.encoding(), *expires), ("t", expected.0, expected.1));
    assert_eq!(payload.borrow(), PayloadRef::new(payload.source(), payload.encoding()));
    // What it had is written as it was.
    let stored = Stored::new(topic.name(), payload.borrow(), 7);
    let mut written = Vec::new();
    super::record::write(&stored, *expires, &mut written);
    assert_eq!(written, record);
}

/// A record is whole, and the one of its topic.
#[test]
fn a_record_that_is_torn_or_of_another_topic_is_none() {
    let mut record = Vec::new();
    let expires = |at, ttl| Some(Expires { at, ttl });
    for (expires, number) in [(None, 3), (expires(77, None), 1_234), (expires(77, Some(50)), 5)] {
        super::record::write(&stored("a/b", number), expires, &mut record);
        let kept = super::record::read("a/b", &record).unwrap();
        assert_eq!((kept.published, kept.expires, kept.topic.as_str()), (number, expires, "a/b"));
        assert!(super::record::read("a/c", &record).is_none());
        for length in 0..record.len() {
            assert!(super::record::read("a/b", &record[..length]).is_none(), "cut to {length}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(super::record::read("a/b", &flipped).is_none(), "bit {bit}");
        }
    }
}

/// A leaf as the database writes it.
fn leaf(records: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (topics, values): (Vec<&[u8]>, Vec<&[u8]>) =
        records.iter().map(|(topic, record)| (topic.as_bytes(), record.as_slice())).unzip();
    let mut bytes = vec![1, 0, records.len() as u8, 0];
    let mut end = 4 + 8 * records.len();
    for part in topics.iter().chain(&values) {
        end += part.len();
        bytes.extend_from_slice(&(end as u32).to_le_bytes());
    }
    bytes.extend(topics.concat());
    bytes.extend(values.concat());
    bytes
}

/// Wherever records lie, and whatever lies around them: of each topic the newest that is intact is
/// found.
#[test]
fn the_newest_intact_record_is_found_wherever_it_lies() {
    let record = |topic: &str, number| {
        let mut record = Vec::new();
        super::record::write(&stored(topic, number), None, &mut record);
        (topic.to_owned(), record)
    };
    let page = |numbers: [u64; 3]| {
        let [a, b, c] =
            [("a", numbers[0]), ("b", numbers[1]), ("c", numbers[2])].map(|(t, n)| record(t, n));
        leaf(&[(&a.0, a.1), (&b.0, b.1), (&c.0, c.1)])
    };
    let found = |bytes: &[u8]| -> BTreeMap<String, u64> {
        let found = super::salvage::salvage(bytes);
        found.into_iter().map(|(topic, kept)| (topic.to_string(), kept.published)).collect()
    };
    let all = |a, b, c| BTreeMap::from([("a".into(), a), ("b".into(), b), ("c".into(), c)]);
    let (old, new) = (page([1, 2, 3]), page([10, 2, 30]));
    let mut random = random(3);
    for before in [0, 1, 511, 4_096] {
        let garbage: Vec<u8> = (0..before).map(|_| random() as u8).collect();
        for (first, second) in [(&old, &new), (&new, &old)] {
            let file = [&garbage, first.as_slice(), &garbage, second, &garbage].concat();
            assert_eq!(found(&file), all(10, 2, 30));
        }
    }
    // Whichever byte is damaged, what is found was written, and no more than two records suffer.
    for byte in 0..new.len() {
        let mut damaged = new.clone();
        damaged[byte] ^= 0x55;
        let file = [old.as_slice(), &damaged].concat();
        let values = found(&file);
        for (topic, numbers) in [("a", [1, 10]), ("b", [2, 2]), ("c", [3, 30])] {
            assert!(
                values.get(topic).is_some_and(|number| numbers.contains(number)),
                "byte {byte}: {values:?}"
            );
        }
        if byte >= 4 {
            assert!(!found(&damaged).is_empty(), "byte {byte}");
        }
    }
    for end in 0..new.len() {
        for number in found(&new[..end]).values() {
            assert!([10, 2, 30].contains(number));
        }
    }
    // What lies within an intact value is that value, and no record, whatever its publisher made it
    // look like.
    let forged = page([99, 99, 99]);
    let payload = Payload::copy(&forged, Format::Pickle, &Part::Value(0..forged.len()));
    let mut outer = Vec::new();
    let stored = Stored::new(Topic::parse("forger").unwrap().name(), payload.borrow(), 5);
    super::record::write(&stored, None, &mut outer);
    assert_eq!(found(&leaf(&[("forger", outer)])), BTreeMap::from([("forger".into(), 5)]));
}
