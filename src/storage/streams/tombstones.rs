//! Messages that were deleted by themselves: a file of ranges, each the first and the last number
//! (8 bytes each) and CRC-32 of both.

use std::io;
use std::path::{Path, PathBuf};

use super::super::cannot;
use super::files::{Files, Handle, read_whole, replace};
use super::ranges::Ranges;
use crate::broker::StoreError;

const FILE: &str = "deleted";
const ENTRY: usize = 20;
/// Of another kind than all other checksums.
const SALT: u32 = 0x0de1_e7ed;

/// The file, once there is one.
#[derive(Debug)]
pub(super) struct Tombstones {
    path: PathBuf,
    file: Option<Handle>,
    len: u64,
}

fn entry(from: u64, to: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..8].copy_from_slice(&from.to_le_bytes());
    entry[8..16].copy_from_slice(&to.to_le_bytes());
    let sum = sum(&entry);
    entry[16..].copy_from_slice(&sum.to_le_bytes());
    entry
}

fn sum(entry: &[u8; ENTRY]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(SALT);
    hasher.update(&entry[..16]);
    hasher.finalize()
}

fn read(entry: &[u8]) -> Option<(u64, u64)> {
    let entry: &[u8; ENTRY] = entry.first_chunk()?;
    let long = |at: usize| entry[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let is_whole = entry[16..] == sum(entry).to_le_bytes();
    is_whole.then_some((long(0)?, long(8)?))
}

impl Tombstones {
    /// Opens the file, if there is one; and the ranges that are in it, from `first` to below
    /// `next`. What lies outside of them is forgotten for good: those numbers may be given again.
    pub(super) fn open(
        files: &dyn Files,
        directory: &Path,
        first: u64,
        next: u64,
    ) -> Result<(Tombstones, Ranges), StoreError> {
        let path = directory.join(FILE);
        let file = match files.open(&path, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Tombstones { path, file: None, len: 0 }, Ranges::default()));
            }
            opened => opened.map_err(|error| cannot("open", &path, error))?,
        };
        let bytes = read_whole(&*file, u64::MAX).map_err(|error| cannot("read", &path, error))?;
        let (mut ranges, mut damaged, entries) = (Ranges::default(), 0, bytes.len() / ENTRY);
        for (place, bytes) in bytes.chunks(ENTRY).enumerate() {
            match read(bytes) {
                Some((from, to)) => ranges.insert(from, to),
                // The last may be torn.
                None if place + 1 < entries => damaged += 1,
                None => {}
            }
        }
        if damaged > 0 {
            tracing::error!(
                file = %path.display(),
                damaged,
                "the list of the messages that were deleted from a stream is damaged; some of them \
                 are back"
            );
        }
        let all = ranges.clone();
        ranges.forget_below(first);
        ranges.forget_from(next);
        let mut tombstones = Tombstones { path, file: Some(file), len: bytes.len() as u64 };
        if ranges != all || !bytes.len().is_multiple_of(ENTRY) {
            tombstones.replace(files, &ranges)?;
        }
        Ok((tombstones, ranges))
    }

    /// Adds a range.
    pub(super) fn add(&mut self, files: &dyn Files, from: u64, to: u64) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            let mut ranges = Ranges::default();
            ranges.insert(from, to);
            return self.replace(files, &ranges);
        };
        // What a failure left behind the end is written over.
        file.write_at(&entry(from, to), self.len)
            .map_err(|error| cannot("write to", &self.path, error))?;
        self.len += ENTRY as u64;
        Ok(())
    }

    /// Writes the ranges anew.
    pub(super) fn replace(&mut self, files: &dyn Files, ranges: &Ranges) -> Result<(), StoreError> {
        let bytes: Vec<u8> = ranges.iter().flat_map(|(from, to)| entry(from, to)).collect();
        let replaced = replace(files, &self.path, &bytes);
        self.file = Some(replaced.map_err(|error| cannot("write to", &self.path, error))?);
        self.len = bytes.len() as u64;
        Ok(())
    }

    /// The file, and how much of it is written.
    pub(super) fn written(&self) -> Option<(Handle, u64)> {
        self.file.clone().map(|file| (file, self.len))
    }

    /// Entries that are written.
    pub(super) fn entries(&self) -> u64 {
        self.len / ENTRY as u64
    }
}
