//! A segment: a file of messages one behind the other, named after the number of its first.
//!
//! It begins with its head, twice, 64 bytes each, so that a bit that falls over there costs
//! nothing. The second is written again from time to time and says more then; where that write is
//! cut, there is the first:
//!
//! ```text
//! bytes  0 to  7  "bmqlog" and two zero bytes
//! bytes  8 to 11  the version of the format                     all numbers are unsigned,
//! bytes 12 to 15  the salt of all checksums of records          little-endian
//! bytes 16 to 23  the number of its first message
//! bytes 24 to 31  up to which message everything was on the disk when it was written
//! bytes 32 to 35  CRC-32 of the bytes before
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::files::{Files, Handle, LogFile, read_up_to};
use super::index::Index;

const MAGIC: &[u8; 8] = b"bmqlog\0\0";
/// The version of what is in a segment. Whoever changes the format raises it.
pub(super) const VERSION: u32 = 1;
const HEAD: usize = 64;
const SUM: usize = 32;
/// Where the first record begins.
pub(super) const DATA: u64 = 2 * HEAD as u64;
pub(super) const SEGMENT: &str = "segment";
pub(super) const SIDECAR: &str = "index";

/// What the head of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) salt: u32,
    pub(super) first: u64,
    pub(super) synced: u64,
}

/// Why a segment has no head.
#[derive(Debug)]
pub(super) enum NoHead {
    /// Both copies are damaged.
    Damaged,
    /// It is of another version.
    Version(u32),
    Io(io::Error),
}

impl SegmentHead {
    /// Writes both copies.
    pub(super) fn write(&self, file: &dyn LogFile) -> io::Result<()> {
        let copy = self.copy();
        file.write_at(&[copy, copy].concat(), 0)
    }

    /// Writes the second copy alone.
    pub(super) fn note(&self, file: &dyn LogFile) -> io::Result<()> {
        file.write_at(&self.copy(), HEAD as u64)
    }

    fn copy(&self) -> [u8; HEAD] {
        let mut copy = [0; HEAD];
        copy[..8].copy_from_slice(MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[12..16].copy_from_slice(&self.salt.to_le_bytes());
        copy[16..24].copy_from_slice(&self.first.to_le_bytes());
        copy[24..32].copy_from_slice(&self.synced.to_le_bytes());
        let sum = crc32fast::hash(&copy[..SUM]);
        copy[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
        copy
    }

    /// Reads the copy that says the most.
    pub(super) fn read(file: &dyn LogFile) -> Result<SegmentHead, NoHead> {
        let mut copies = [0; 2 * HEAD];
        let read = read_up_to(file, &mut copies, 0).map_err(NoHead::Io)?;
        let mut found: Option<SegmentHead> = None;
        for copy in copies[..read].chunks_exact(HEAD) {
            let Some(copy) = read_copy(copy).transpose()? else { continue };
            if found.is_none_or(|found| found.synced < copy.synced) {
                found = Some(copy);
            }
        }
        found.ok_or(NoHead::Damaged)
    }
}

fn read_copy(copy: &[u8]) -> Option<Result<SegmentHead, NoHead>> {
    let number = |at: usize| copy.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let long = |at: usize| copy.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    if !copy.starts_with(MAGIC) || crc32fast::hash(copy.get(..SUM)?) != number(SUM)? {
        return None;
    }
    match number(8)? {
        VERSION => Some(Ok(SegmentHead { salt: number(12)?, first: long(16)?, synced: long(24)? })),
        other => Some(Err(NoHead::Version(other))),
    }
}

/// A segment, while it is part of a log.
#[derive(Debug)]
pub(super) struct Segment {
    /// The number of its first message.
    pub(super) first: u64,
    path: PathBuf,
    /// Bytes of it that may be read.
    len: AtomicU64,
    /// The index of the segment that is written to; `None` where the sidecar has it.
    pub(super) index: Mutex<Option<Index>>,
    /// Whether it has its place in the directory for good.
    pub(super) is_durable: AtomicBool,
    salt: OnceLock<u32>,
    /// All who read it share what is open.
    file: Mutex<Weak<dyn LogFile>>,
}

impl Segment {
    pub(super) fn new(directory: &Path, first: u64, len: u64) -> Segment {
        Segment {
            first,
            path: directory.join(name(first, SEGMENT)),
            len: AtomicU64::new(len),
            index: Mutex::new(None),
            is_durable: AtomicBool::new(false),
            salt: OnceLock::new(),
            file: Mutex::new(Weak::<std::fs::File>::new()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sidecar(&self) -> PathBuf {
        self.path.with_extension(SIDECAR)
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn set_len(&self, len: u64) {
        self.len.store(len, Ordering::Release);
    }

    /// The file, to be read and written.
    pub(super) fn open(&self, files: &dyn Files) -> io::Result<Handle> {
        let mut file = self.file.lock();
        if let Some(file) = file.upgrade() {
            return Ok(file);
        }
        // Where it cannot be written, it can be read all the same.
        let opened = files.open(&self.path, true).or_else(|_| files.open(&self.path, false))?;
        *file = Arc::downgrade(&opened);
        Ok(opened)
    }

    /// Whoever looks for the file from now on finds this one.
    pub(super) fn adopt(&self, file: &Handle, salt: u32) {
        *self.file.lock() = Arc::downgrade(file);
        self.salt.get_or_init(|| salt);
    }

    /// What it is to be read with; the head is looked at once.
    pub(super) fn salt(&self, file: &dyn LogFile) -> Result<u32, NoHead> {
        if let Some(salt) = self.salt.get() {
            return Ok(*salt);
        }
        let head = SegmentHead::read(file)?;
        Ok(*self.salt.get_or_init(|| head.salt))
    }
}

/// The name of a file of the segment that begins with a number; names sort as the numbers do.
pub(super) fn name(first: u64, extension: &str) -> String {
    format!("{first:020}.{extension}")
}

/// The number that a name begins with, and what kind of file it is.
pub(super) fn read_name(name: &str) -> Option<(u64, &str)> {
    let (first, extension) = name.split_once('.')?;
    let is_number = first.len() == 20 && first.bytes().all(|byte| byte.is_ascii_digit());
    let first = first.parse().ok().filter(|first| is_number && *first > 0)?;
    Some((first, extension))
}
