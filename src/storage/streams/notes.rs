//! The notes of a log: a journal, in a file of its own.
//!
//! It begins with "bmqnote" and a zero byte, and the version of the format (4 bytes), with 4 bytes
//! that are zero. A note is its length (4 bytes), CRC-32 of the length and the note (4 bytes), and
//! the note.

use std::io;
use std::path::{Path, PathBuf};

use super::super::cannot;
use super::files::{Files, Handle, read_whole, replace};
use crate::broker::StoreError;

const FILE: &str = "consumers.notes";
const MAGIC: &[u8; 8] = b"bmqnote\0";
const VERSION: u32 = 1;
const START: usize = 16;
const HEAD: usize = 8;

/// The journal, to be written.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: Handle,
    len: u64,
    /// Bytes of it when it was last replaced.
    replaced: u64,
    /// Something may be written behind the end.
    is_torn: bool,
}

fn put(notes: &[&[u8]], out: &mut Vec<u8>) {
    for note in notes {
        let length = (note.len() as u32).to_le_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&sum(length, note).to_le_bytes());
        out.extend_from_slice(note);
    }
}

fn sum(length: [u8; 4], note: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(note);
    hasher.finalize()
}

fn start() -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.resize(START, 0);
    out
}

/// The note at the beginning of some bytes, if it is as it was written, and its end.
fn read(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length: [u8; 4] = *bytes.first_chunk()?;
    let expected = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let end = HEAD.checked_add(u32::from_le_bytes(length) as usize)?;
    let note = bytes.get(HEAD..end)?;
    (sum(length, note) == expected).then_some((note, end))
}

impl Notes {
    /// Opens the journal of a log, or makes it; and the notes that are in it.
    pub(super) fn open(
        files: &dyn Files,
        directory: &Path,
    ) -> Result<(Notes, Vec<Vec<u8>>), StoreError> {
        let path = directory.join(FILE);
        let file = match files.open(&path, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace(files, &path, &start()).map_err(|error| cannot("make", &path, error))?
            }
            opened => opened.map_err(|error| cannot("open", &path, error))?,
        };
        let bytes = read_whole(&*file, u64::MAX).map_err(|error| cannot("read", &path, error))?;
        let version = bytes.get(8..12).unwrap_or_default();
        if bytes.starts_with(MAGIC) && version != VERSION.to_le_bytes() {
            return Err(StoreError::new(format!(
                "{} is of another version than {VERSION}, which this babelmq reads; use the \
                 babelmq that wrote it",
                path.display()
            )));
        }
        let (mut notes, mut at, mut end, mut unread) = (Vec::new(), START, START, 0);
        while at < bytes.len() {
            match read(&bytes[at..]) {
                Some((note, length)) => {
                    if at > end {
                        notes.push(Vec::new());
                    }
                    notes.push(note.to_vec());
                    unread += at - end;
                    at += length;
                    end = at;
                }
                None => at += 1,
            }
        }
        if unread > 0 || !bytes.starts_with(MAGIC) {
            tracing::error!(
                file = %path.display(),
                bytes = unread,
                "the journal of a stream's consumers is damaged; they get messages again that they \
                 have acknowledged, and what was reset or retried meanwhile is to be done again"
            );
        }
        if end < bytes.len() {
            tracing::warn!(
                file = %path.display(),
                bytes = bytes.len() - end,
                "the end of the journal of a stream's consumers was cut by a crash, and is left out"
            );
            // What was cut off must not come back between what is added now.
            let cut = file.set_len(end as u64).and_then(|()| file.sync());
            cut.map_err(|error| cannot("write to", &path, error))?;
        }
        let len = end as u64;
        Ok((Notes { path, file, len, replaced: START as u64, is_torn: false }, notes))
    }

    /// Adds notes.
    pub(super) fn add(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        put(notes, &mut bytes);
        if self.is_torn {
            self.file.set_len(self.len).map_err(|error| cannot("write to", &self.path, error))?;
            self.is_torn = false;
        }
        self.file.write_at(&bytes, self.len).map_err(|error| {
            self.is_torn = self.file.set_len(self.len).is_err();
            cannot("write to", &self.path, error)
        })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Puts notes in the place of all before.
    pub(super) fn replace(&mut self, files: &dyn Files, notes: &[&[u8]]) -> Result<(), StoreError> {
        let mut bytes = start();
        put(notes, &mut bytes);
        let replaced = replace(files, &self.path, &bytes);
        self.file = replaced.map_err(|error| cannot("write to", &self.path, error))?;
        (self.len, self.replaced, self.is_torn) = (bytes.len() as u64, bytes.len() as u64, false);
        Ok(())
    }

    /// The file, and how much of it is written.
    pub(super) fn written(&self) -> (Handle, u64) {
        (self.file.clone(), self.len)
    }

    /// Bytes since they were last replaced.
    pub(super) fn noted(&self) -> u64 {
        self.len - self.replaced
    }
}
