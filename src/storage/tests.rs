//! A power cut, simulated below the database: whatever was written and not synchronised may be on the disk, or not, or in
//! part, a sector at a time and in any order.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use super::Storage;
use crate::broker::{Change, Store, Stored};
use crate::codec::{Part, Payload};
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
    /// The disk after the power has come back: of each sector that was not safe, the old or the new.
    fn after_a_cut(&self, random: &mut impl FnMut() -> u64) -> Disk {
        let contents = self.0.lock();
        let mut found = contents.safe.clone();
        // A length is no sector: the file may have grown, and then its new part holds anything that was written to it.
        if random().is_multiple_of(2) {
            found.resize(contents.cached.len(), 0);
        }
        for sector in &contents.written {
            let (start, end) =
                (sector * SECTOR, ((sector + 1) * SECTOR).min(found.len()).min(contents.cached.len()));
            if random().is_multiple_of(2) && start < end {
                found[start..end].copy_from_slice(&contents.cached[start..end]);
            }
        }
        Disk(Arc::new(Mutex::new(Contents { cached: found.clone(), safe: found, ..Contents::default() })))
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
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed >> 8
    };
    let mut disk = Disk::default();
    let (mut number, mut cuts_within_a_commit) = (0, 0);
    let mut committed: BTreeMap<String, u64> = BTreeMap::new();
    for cut in 0..150 {
        let mut store = Storage::on(disk.clone()).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
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
                    if random() % 6 == 0 {
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
        let found = load(&mut Storage::on(disk.clone()).unwrap_or_else(|error| panic!("cut {cut}: {error}")));
        assert!(found == committed || found == next, "cut {cut}: a commit is there in part");
        cuts_within_a_commit += usize::from(next != committed);
        committed = found;
    }
    assert!(cuts_within_a_commit > 100);
}
