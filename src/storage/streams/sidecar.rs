//! The index of a segment that is complete, in a file beside it. It can be made anew from the
//! segment at any time, so it is never synchronised with the disk.
//!
//! ```text
//! head        64 bytes: "bmqindx" and a zero byte, version, salt and length of the segment, number
//!             of its first message, counts of places, of buckets and of messages with an id,
//!             CRC-32 of the directory and the places, CRC-32 of the head
//! directory   for each bucket where in the file it ends, 4 bytes
//! places      number, time and offset in the segment of a message, 8 bytes each
//! buckets     the topics whose checksum has the bucket's number in its lowest bits: for each the
//!             number of its last message less that of the segment's first (4 bytes), the offset of
//!             it (4 bytes), the length of the topic (2 bytes), the topic. CRC-32 at the end
//! ```
//!
//! A bucket is read by itself: to look for one topic takes a few kilobytes, however many there are.

use std::io;

use super::files::{Files, Handle, UNFINISHED, discard, read_up_to};
use super::index::{Index, Last, Place};
use super::record::checksum;
use super::segment::Segment;

const MAGIC: &[u8; 8] = b"bmqindx\0";
const VERSION: u32 = 2;
const HEAD: usize = 64;
const SUM: usize = 48;
/// Topics in a bucket, about.
const BUCKET: usize = 64;
const PLACE: usize = 24;
/// More than any index has of either; a count above it is damaged.
const MOST: u32 = 1 << 20;

/// A sidecar that is open, and fits its segment.
#[derive(Debug)]
pub(super) struct Sidecar {
    file: Handle,
    salt: u32,
    first: u64,
    ids: u32,
    places: Vec<Place>,
    /// Where each bucket ends.
    ends: Vec<u32>,
    /// Where the first begins.
    buckets: u32,
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn bucket_of(topic: &str, salt: u32, buckets: usize) -> usize {
    checksum(salt, topic.as_bytes()) as usize & (buckets - 1)
}

/// Writes the sidecar of a segment that is complete.
pub(super) fn write(
    files: &dyn Files,
    segment: &Segment,
    salt: u32,
    index: &Index,
) -> io::Result<()> {
    let count = (index.topics.len() / BUCKET).next_power_of_two();
    let mut buckets = vec![Vec::new(); count];
    for (topic, last) in &index.topics {
        let bucket = &mut buckets[bucket_of(topic, salt, count)];
        bucket.extend_from_slice(&((last.seq - segment.first) as u32).to_le_bytes());
        bucket.extend_from_slice(&last.offset.to_le_bytes());
        bucket.extend_from_slice(&(topic.len() as u16).to_le_bytes());
        bucket.extend_from_slice(topic.as_bytes());
    }
    let mut out = vec![0; HEAD];
    let mut end = HEAD + 4 * count + PLACE * index.places.len();
    for bucket in &mut buckets {
        let sum = checksum(salt, bucket);
        bucket.extend_from_slice(&sum.to_le_bytes());
        end += bucket.len();
        out.extend_from_slice(&(end as u32).to_le_bytes());
    }
    for place in &index.places {
        for number in [place.seq, place.time, place.offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    let sum = checksum(salt, &out[HEAD..]);
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&salt.to_le_bytes());
    out[16..24].copy_from_slice(&segment.len().to_le_bytes());
    out[24..32].copy_from_slice(&segment.first.to_le_bytes());
    out[32..36].copy_from_slice(&(index.places.len() as u32).to_le_bytes());
    out[36..40].copy_from_slice(&(count as u32).to_le_bytes());
    out[40..44].copy_from_slice(&index.ids.to_le_bytes());
    out[44..48].copy_from_slice(&sum.to_le_bytes());
    let sum = checksum(salt, &out[..SUM]);
    out[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
    out.extend(buckets.concat());
    let unfinished = segment.path().with_extension(UNFINISHED);
    discard(files, &unfinished)?;
    let written = files.create(&unfinished)?.write_at(&out, 0);
    let written = written.and_then(|()| files.rename(&unfinished, &segment.sidecar()));
    if written.is_err() {
        // Where that fails too, the next start removes it.
        let _ = discard(files, &unfinished);
    }
    written
}

impl Sidecar {
    /// The sidecar of a segment; `None` if it is missing or does not fit.
    pub(super) fn open(files: &dyn Files, segment: &Segment, salt: u32) -> Option<Sidecar> {
        let file = files.open(&segment.sidecar(), false).ok()?;
        let mut head = [0; HEAD];
        read_up_to(&*file, &mut head, 0).ok()?;
        let is_whole = checksum(salt, &head[..SUM]) == number(&head, SUM)?;
        let fits = head.starts_with(MAGIC)
            && number(&head, 8)? == VERSION
            && number(&head, 12)? == salt
            && long(&head, 16)? == segment.len()
            && long(&head, 24)? == segment.first;
        let (places, buckets) = (number(&head, 32)?, number(&head, 36)?);
        if !is_whole || !fits || places > MOST || !(1..=MOST).contains(&buckets) {
            return None;
        }
        let mut rest = vec![0; 4 * buckets as usize + PLACE * places as usize];
        read_up_to(&*file, &mut rest, HEAD as u64).ok()?;
        if checksum(salt, &rest) != number(&head, 44)? {
            return None;
        }
        let (ends, places) = rest.split_at(4 * buckets as usize);
        Some(Sidecar {
            salt,
            first: segment.first,
            ids: number(&head, 40)?,
            places: places
                .chunks_exact(PLACE)
                .filter_map(|place| {
                    Some(Place {
                        seq: long(place, 0)?,
                        time: long(place, 8)?,
                        offset: long(place, 16)?,
                    })
                })
                .collect(),
            ends: ends.chunks_exact(4).filter_map(|end| number(end, 0)).collect(),
            buckets: (HEAD + rest.len()) as u32,
            file,
        })
    }

    /// How many messages of the segment have an id.
    pub(super) fn ids(&self) -> u32 {
        self.ids
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The last message of a topic; an error if that cannot be known.
    pub(super) fn last(&self, topic: &str) -> Result<Option<Last>, Unreadable> {
        let bucket = bucket_of(topic, self.salt, self.ends.len());
        let mut found = None;
        self.bucket(bucket, &mut |name, last| {
            if name == topic {
                found = Some(last);
            }
        })?;
        Ok(found)
    }

    /// The last message of every topic.
    pub(super) fn each(&self, take: &mut dyn FnMut(&str, Last)) -> Result<(), Unreadable> {
        (0..self.ends.len()).try_for_each(|bucket| self.bucket(bucket, take))
    }

    fn bucket(&self, bucket: usize, take: &mut dyn FnMut(&str, Last)) -> Result<(), Unreadable> {
        let start = if bucket == 0 { self.buckets } else { self.ends[bucket - 1] };
        let mut bytes = vec![0; self.ends[bucket].checked_sub(start).ok_or(Unreadable)? as usize];
        read_up_to(&*self.file, &mut bytes, start.into()).map_err(|_| Unreadable)?;
        let (mut entries, sum) = bytes.split_last_chunk().ok_or(Unreadable)?;
        if checksum(self.salt, entries) != u32::from_le_bytes(*sum) {
            return Err(Unreadable);
        }
        while !entries.is_empty() {
            entries = self.entry(entries, take).ok_or(Unreadable)?;
        }
        Ok(())
    }

    fn entry<'a>(&self, entries: &'a [u8], take: &mut dyn FnMut(&str, Last)) -> Option<&'a [u8]> {
        let (seq, offset) = (number(entries, 0)?, number(entries, 4)?);
        let length = entries.get(8..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))?;
        let (topic, rest) = entries.get(10..)?.split_at_checked(length.into())?;
        take(str::from_utf8(topic).ok()?, Last { seq: self.first + u64::from(seq), offset });
        Some(rest)
    }
}

/// A sidecar that has to be made anew.
#[derive(Debug)]
pub(super) struct Unreadable;
