//! Finding records in a file wherever they lie, without the tree that leads to them: for a file
//! that is damaged, or a copy that was made while a broker wrote to it.
//!
//! The leaves of the database's tree hold the records, each behind its topic (redb 4, keys and
//! values of any length):
//!
//! ```text
//! byte  0        1, a leaf
//! bytes 2 and 3  how many records; all numbers are unsigned and little-endian
//! then           for each, where its topic ends, in 4 bytes, counted from byte 0
//! then           for each, where its record ends
//! then           the topics, one behind the other, and then the records
//! ```
//!
//! Every place of the file is looked at, so it does not matter what of it is missing or where it
//! was moved to. A record's own checksum, which includes its topic, says whether it is one. The
//! file also holds what was cleared or replaced and not written over yet: of a topic the last
//! publication counts.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record;
use crate::broker::Kept;
use crate::protocol::Topic;

const LEAF: u8 = 1;
/// Where the offsets begin.
const OFFSETS: usize = 4;
/// More records than a leaf has: one that is longer than a page of 4 KiB holds few, and no record
/// is shorter than 21 bytes.
const MOST: usize = 256;
/// Longer than any topic.
const TOPIC: usize = 64 << 10;
/// What is read at a time, and what of it where that fails.
const READ: usize = 1 << 20;
const SECTOR: usize = 4 << 10;

/// The newest intact record of every topic.
pub(super) fn salvage(bytes: &[u8]) -> HashMap<Topic, Kept> {
    let mut found: HashMap<Topic, Kept> = HashMap::new();
    // What lies within an intact record was published, and is no leaf however much it looks like
    // one.
    let mut intact: BTreeMap<usize, usize> = BTreeMap::new();
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(LEAF, rest)) {
        at += next;
        if let Some((_, end)) = intact.range(..=at).next_back()
            && *end > at
        {
            at = *end;
            continue;
        }
        leaf(&bytes[at..], |kept, start, end| {
            intact.insert(at + start, at + end);
            match found.entry(kept.topic.clone()) {
                Entry::Occupied(mut other) if other.get().published < kept.published => {
                    other.insert(kept);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => drop(place.insert(kept)),
            }
        });
        at += 1;
    }
    found
}

/// Takes what is intact of a leaf, if one begins here: each record, where it begins, and where it
/// ends.
fn leaf(bytes: &[u8], mut take: impl FnMut(Kept, usize, usize)) {
    let Some(&[low, high]) = bytes.get(2..OFFSETS) else { return };
    let count = usize::from(u16::from_le_bytes([low, high]));
    if count == 0 || count > MOST {
        return;
    }
    let number = |index: usize| -> Option<usize> {
        let bytes = bytes.get(OFFSETS + 4 * index..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let topics = OFFSETS + 8 * count;
    for index in 0..count {
        // What lies before decides where this one begins; where that is wrong, only this one is not
        // found.
        let topic = (index.checked_sub(1).map_or(Some(topics), number), number(index));
        let record = (number(count + index - 1), number(count + index));
        let ((Some(topic), Some(topic_end)), (Some(record), Some(end))) = (topic, record) else {
            continue;
        };
        if topic < topics || topic_end > record || topic_end.saturating_sub(topic) > TOPIC {
            continue;
        }
        let (Some(topic), Some(bytes)) = (bytes.get(topic..topic_end), bytes.get(record..end))
        else {
            continue;
        };
        if let Ok(topic) = str::from_utf8(topic)
            && let Some(kept) = record::read(topic, bytes)
        {
            take(kept, record, end);
        }
    }
}

/// Whether the database was not closed, by the flags in its header: whoever opens it has to look
/// which commit is the last whole one.
pub(super) fn is_unfinished(bytes: &[u8]) -> bool {
    const FLAGS: usize = 9;
    const RECOVERY_REQUIRED: u8 = 2;
    bytes.get(FLAGS).is_none_or(|flags| flags & RECOVERY_REQUIRED != 0)
}

/// The bytes of a file; zeros where the disk does not give them.
pub(super) fn bytes(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    let mut read = 0;
    for (number, piece) in bytes.chunks_mut(READ).enumerate() {
        let at = (number * READ) as u64;
        if file.read_exact_at(piece, at).is_ok() {
            read += piece.len();
            continue;
        }
        for (number, sector) in piece.chunks_mut(SECTOR).enumerate() {
            match file.read_exact_at(sector, at + (number * SECTOR) as u64) {
                Ok(()) => read += sector.len(),
                Err(_) => sector.fill(0),
            }
        }
    }
    if read == 0 && length > 0 {
        file.read_exact_at(&mut [0], 0)?;
    }
    Ok(bytes)
}
