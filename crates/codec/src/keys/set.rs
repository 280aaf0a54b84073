//! The keys of objects while these are read: whether one was there before.
//!
//! A key is a fingerprint of 64 bits of a seeded hash. A few are compared with each other; more
//! stand in a table. Two keys that share a fingerprint are most likely equal, and are compared by
//! their bytes elsewhere; keys with different ones differ.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Up to this many keys are compared with each other.
const FEW: usize = 24;
/// Places of the smallest table.
const SMALLEST: usize = 128;
/// Places that are looked at for a fingerprint. In tables that are half full it takes a few dozen
/// at most, unless somebody has found out the seed.
const TRIES: usize = 256;
/// Keys of open objects that are told apart in memory that nobody claims: 64 KiB of tables.
const UNCLAIMED: usize = 1024;
/// Bytes of memory that a thread keeps at most from one message to the next.
const KEPT_BYTES: usize = 64 << 10;

thread_local! {
    /// This thread's. Empty while a message is read, and after the thread's destructors.
    static KEPT: Cell<Option<Box<KeySet>>> = const { Cell::new(None) };
}

/// The fingerprints of the keys of all objects that are open.
#[derive(Default)]
pub(crate) struct KeySet {
    /// Those of each object, the innermost last.
    prints: Vec<u64>,
    /// Tables of the objects with many keys, the innermost last; 0 is a free place.
    tables: Vec<u64>,
    hasher: RandomState,
    /// With so many keys, each that is added to an object of many may have been there before.
    most: usize,
}

/// The keys of one object that is open.
#[derive(Clone, Copy, Default)]
pub(crate) struct OpenKeys {
    /// A bit for each fingerprint: where it was not set, there is nothing to compare with. All of
    /// them where there is a table.
    bits: u64,
    /// Where they begin among all.
    first: u32,
    /// Where their table begins, if they have one.
    table: u32,
}

impl OpenKeys {
    /// Whether there are none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.bits == 0
    }
}

impl KeySet {
    /// An empty set, in memory that this thread has used before.
    pub(crate) fn take() -> Box<KeySet> {
        KeySet::of_at_most(usize::MAX)
    }

    /// The same for a reader for which no memory is claimed: of many keys each may have been there
    /// before.
    pub(crate) fn take_unclaimed() -> Box<KeySet> {
        KeySet::of_at_most(UNCLAIMED)
    }

    fn of_at_most(most: usize) -> Box<KeySet> {
        let mut set = KEPT.try_with(Cell::take).ok().flatten().unwrap_or_default();
        set.most = most;
        set
    }

    /// Keeps the memory for the next message.
    pub(crate) fn keep(mut self: Box<KeySet>) {
        self.prints.clear();
        self.tables.clear();
        if (self.prints.capacity() + self.tables.capacity()) * size_of::<u64>() <= KEPT_BYTES {
            let _ = KEPT.try_with(|kept| kept.set(Some(self)));
        }
    }

    /// Gives back the memory that this thread keeps.
    pub(super) fn release() {
        let _ = KEPT.try_with(Cell::take);
    }

    /// Begins an object.
    #[inline(always)]
    pub(crate) fn begin(&self) -> OpenKeys {
        OpenKeys { bits: 0, first: self.prints.len() as u32, table: self.tables.len() as u32 }
    }

    /// Adds a key to the object that was begun last; false where it may have been there before.
    #[inline(always)]
    pub(crate) fn add(&mut self, of: &mut OpenKeys, key: &[u8]) -> bool {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        // No key has the print of a free place.
        let print = hasher.finish().max(1);
        let bit = 1 << (print >> 58);
        if of.bits & bit != 0 && !self.is_new(of, print) {
            return false;
        }
        of.bits |= bit;
        self.prints.push(print);
        true
    }

    /// Whether a fingerprint is not among those of an object.
    #[inline(never)]
    fn is_new(&mut self, of: &mut OpenKeys, print: u64) -> bool {
        let prints = &self.prints[of.first as usize..];
        if prints.len() <= FEW {
            return !prints.contains(&print);
        }
        if self.prints.len() >= self.most {
            return false;
        }
        of.bits = u64::MAX;
        let table = of.table as usize;
        if 2 * prints.len() >= self.tables.len() - table {
            let places = (4 * prints.len()).next_power_of_two().max(SMALLEST);
            self.tables.truncate(table);
            self.tables.resize(table + places, 0);
            let places = &mut self.tables[table..];
            for &print in prints {
                put(places, print);
            }
        }
        put(&mut self.tables[table..], print)
    }

    /// Ends the object that was begun last.
    #[inline(always)]
    pub(crate) fn end(&mut self, of: OpenKeys) {
        self.prints.truncate(of.first as usize);
        self.tables.truncate(of.table as usize);
    }
}

/// Puts a fingerprint into a table that has room for it; false where it is there, or where so many
/// others are in its way that it may be.
fn put(places: &mut [u64], print: u64) -> bool {
    let mask = places.len() - 1;
    for step in 0..TRIES {
        match places.get_mut((print as usize).wrapping_add(step) & mask) {
            Some(free @ 0) => {
                *free = print;
                return true;
            }
            Some(other) if *other != print => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_in_its_object() {
        let mut set = KeySet::take();
        for count in [0, 1, FEW - 1, FEW, FEW + 1, FEW + 2, 63, 64, 65, 500, 5_000] {
            let key = |index: usize| format!("key {index}").into_bytes();
            let mut outer = set.begin();
            assert!((0..count).all(|index| set.add(&mut outer, &key(index))), "{count}");
            // Objects inside have keys of their own, and leave nothing behind.
            for inside in [3, 100] {
                let mut inner = set.begin();
                assert!((0..inside).all(|index| set.add(&mut inner, &key(index))));
                assert!((0..inside).all(|index| !set.add(&mut inner, &key(index))));
                set.end(inner);
            }
            assert!((0..count).all(|index| !set.add(&mut outer, &key(index))), "{count}");
            assert!(set.add(&mut outer, b"") && !set.add(&mut outer, b""));
            set.end(outer);
        }
        assert!(set.prints.is_empty() && set.tables.is_empty());
    }

    #[test]
    fn colliding_places_take_no_longer_than_others() {
        let mut places = vec![0; 4 * TRIES];
        let print = |index: usize| (index << 32) as u64 + 3;
        for index in 0..2 * TRIES {
            assert_eq!(put(&mut places, print(index)), index < TRIES, "{index}");
        }
        // What has found no place may be there.
        assert!((0..2 * TRIES).all(|index| !put(&mut places, print(index))));
        assert!(put(&mut places, u64::MAX) && !put(&mut places, u64::MAX));
    }

    #[test]
    fn no_more_keys_are_told_apart_than_there_is_memory_for() {
        for (mut set, most) in
            [(KeySet::take_unclaimed(), UNCLAIMED), (KeySet::take(), 4 * UNCLAIMED)]
        {
            let mut open = set.begin();
            let new =
                (0..4 * UNCLAIMED as u32).take_while(|key| set.add(&mut open, &key.to_le_bytes()));
            assert_eq!(new.count(), most);
            let bytes = (set.prints.capacity() + set.tables.capacity()) * size_of::<u64>();
            assert!(bytes <= 128 * most, "{bytes} bytes for {most} keys");
            set.keep();
        }
    }
}
