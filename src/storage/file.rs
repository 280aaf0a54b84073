//! What the database reads and writes: a file, and a file that is not written to yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// A file that is synchronised with the disk, or left to the system.
#[derive(Debug)]
pub(super) struct LockableFile<B = FileBackend> {
    pub(super) file: B,
    pub(super) sync: bool,
    pub(super) lock: bool,
}

impl LockableFile {
    pub(super) fn new(
        file: File,
        sync: bool,
        lock: bool,
    ) -> Result<LockableFile, redb::DatabaseError> {
        Ok(LockableFile { file: FileBackend::new(file)?, sync, lock })
    }
}

/// A backend whose writes wait in memory until they are released, in their order and with the
/// synchronisations between them. What opens a database and finds it damaged has then changed
/// nothing.
#[derive(Debug)]
pub(super) struct HeldBack<B> {
    shared: Arc<Shared<B>>,
}

/// Lets the writes go.
#[derive(Debug)]
pub(super) struct Release<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    backend: B,
    /// None once they are released.
    waiting: Mutex<Option<Waiting>>,
}

/// Bytes in a piece of what was written and is held back.
const BLOCK: usize = 4_096;

/// What was written and is held back.
#[derive(Debug, Default)]
struct Waiting {
    operations: Vec<Operation>,
    /// What the file would hold, where that is not what it holds.
    blocks: HashMap<u64, Box<[u8; BLOCK]>>,
    /// How long the file would be; as long as it is where nobody said otherwise.
    len: Option<u64>,
    /// What lies behind this in the file itself is void; nothing is, where nobody said so.
    cut: Option<u64>,
}

#[derive(Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl<B: StorageBackend> HeldBack<B> {
    pub(super) fn new(backend: B) -> (HeldBack<B>, Release<B>) {
        let shared = Arc::new(Shared { backend, waiting: Mutex::new(Some(Waiting::default())) });
        (HeldBack { shared: shared.clone() }, Release { shared })
    }
}

impl<B: StorageBackend> Release<B> {
    /// From now on writes are written.
    ///
    /// # Errors
    /// What the backend says.
    pub(super) fn release(self) -> io::Result<()> {
        let mut waiting = self.shared.waiting.lock();
        for operation in waiting.take().unwrap_or_default().operations {
            match operation {
                Operation::Write(at, bytes) => self.shared.backend.write(at, &bytes)?,
                Operation::SetLen(len) => self.shared.backend.set_len(len)?,
                Operation::Sync => self.shared.backend.sync_data()?,
            }
        }
        Ok(())
    }
}

impl Waiting {
    /// What the file would hold there.
    fn read(&self, backend: &impl StorageBackend, at: u64, out: &mut [u8]) -> io::Result<()> {
        let end = at + out.len() as u64;
        if end > self.len.map_or_else(|| backend.len(), Ok)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = backend.len()?.min(self.cut.unwrap_or(u64::MAX)).clamp(at, end);
        let (from_file, zeros) = out.split_at_mut((there - at) as usize);
        if !from_file.is_empty() {
            backend.read(at, from_file)?;
        }
        zeros.fill(0);
        for (number, within, range) in pieces(at, out.len()) {
            if let Some(block) = self.blocks.get(&number) {
                let size = range.len();
                out[range].copy_from_slice(&block[within..within + size]);
            }
        }
        Ok(())
    }

    fn write(&mut self, backend: &impl StorageBackend, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at + bytes.len() as u64;
        if end > self.len.map_or_else(|| backend.len(), Ok)? {
            self.len = Some(end);
        }
        for (number, within, range) in pieces(at, bytes.len()) {
            self.block(backend, number)?[within..within + range.len()]
                .copy_from_slice(&bytes[range]);
        }
        self.operations.push(Operation::Write(at, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&mut self, backend: &impl StorageBackend, len: u64) -> io::Result<()> {
        self.cut = Some(self.cut.unwrap_or(u64::MAX).min(len));
        let (last, within) = (len / BLOCK as u64, (len % BLOCK as u64) as usize);
        self.blocks.retain(|number, _| *number <= last);
        if self.blocks.contains_key(&last) {
            self.block(backend, last)?[within..].fill(0);
        }
        self.len = Some(len);
        self.operations.push(Operation::SetLen(len));
        Ok(())
    }

    /// A piece of what the file would hold, to be changed.
    fn block(
        &mut self,
        backend: &impl StorageBackend,
        number: u64,
    ) -> io::Result<&mut [u8; BLOCK]> {
        let start = number * BLOCK as u64;
        let there = backend.len()?.min(self.cut.unwrap_or(u64::MAX)).saturating_sub(start);
        match self.blocks.entry(number) {
            Entry::Occupied(block) => Ok(block.into_mut()),
            Entry::Vacant(place) => {
                let mut block = Box::new([0; BLOCK]);
                let there = there.min(BLOCK as u64) as usize;
                if there > 0 {
                    backend.read(start, &mut block[..there])?;
                }
                Ok(place.insert(block))
            }
        }
    }
}

/// The blocks that `len` bytes from `at` on lie in: each one's number, where in it they begin, and
/// which of them they are.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = at + done as u64;
        let within = (position % BLOCK as u64) as usize;
        let size = (BLOCK - within).min(len - done);
        let piece = (position / BLOCK as u64, within, done..done + size);
        done += size;
        (size > 0).then_some(piece)
    })
}

impl<B: StorageBackend> StorageBackend for HeldBack<B> {
    fn len(&self) -> io::Result<u64> {
        match self.shared.waiting.lock().as_ref().and_then(|waiting| waiting.len) {
            Some(len) => Ok(len),
            None => self.shared.backend.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.shared.waiting.lock() {
            Some(waiting) => waiting.read(&self.shared.backend, offset, out),
            None => self.shared.backend.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match &mut *self.shared.waiting.lock() {
            Some(waiting) => waiting.set_len(&self.shared.backend, len),
            None => self.shared.backend.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match &mut *self.shared.waiting.lock() {
            Some(waiting) => {
                waiting.operations.push(Operation::Sync);
                Ok(())
            }
            None => self.shared.backend.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.shared.waiting.lock() {
            Some(waiting) => waiting.write(&self.shared.backend, offset, data),
            None => self.shared.backend.write(offset, data),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.shared.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.shared.backend.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.backend.unlock_range(start, end)
    }
}

impl<B: StorageBackend> StorageBackend for LockableFile<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync { self.file.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if self.lock {
            self.file.try_lock_range(start, end)
        } else {
            Err(BackendError::Unsupported)
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        if self.lock {
            self.file.try_lock_shared_range(start, end)
        } else {
            Err(BackendError::Unsupported)
        }
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
