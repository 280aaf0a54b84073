//! The file system, as much of it as a log uses. Tests put another in its place: one that forgets
//! what was not synchronised, is full, or cannot be written.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::super::directory;

/// A file that is open.
pub(super) type Handle = Arc<dyn LogFile>;

/// Files by their paths.
pub(super) trait Files: Debug + Send + Sync {
    /// The names in a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory, and those above it, unless it is there.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Handle>;
    /// Opens a file that is there, for reading and, if `write`, for writing.
    fn open(&self, path: &Path, write: bool) -> io::Result<Handle>;
    /// How long a file is.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Whether a path still names the file that is open.
    fn names(&self, path: &Path, file: &dyn LogFile) -> io::Result<bool>;
    /// Gives a file or a directory another name, over a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory last.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// What is read and written.
pub(super) trait LogFile: Debug + Send + Sync {
    /// Reads some bytes; none at the end.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of the bytes, or fails, and may have written some of them then.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes what was written last.
    fn sync(&self) -> io::Result<()>;
    /// What the file is, whatever its name: its device and its number there.
    fn identity(&self) -> io::Result<(u64, u64)>;
}

/// Reads until the bytes are full or the file is at its end; says how many there are.
pub(super) fn read_up_to(file: &dyn LogFile, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The whole of a file that is small, or as much of it as `most` bytes.
pub(super) fn read_whole(file: &dyn LogFile, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.len()?.min(most) as usize];
    let read = read_up_to(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a small file in the place of the one before. After a power cut there is the one or the
/// other.
pub(super) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<Handle> {
    let unfinished = path.with_extension(UNFINISHED);
    discard(files, &unfinished)?;
    let file = files.create(&unfinished)?;
    let done = file
        .write_at(bytes, 0)
        .and_then(|()| file.sync())
        .and_then(|()| files.rename(&unfinished, path))
        .and_then(|()| path.parent().map_or(Ok(()), |parent| files.sync_directory(parent)));
    match done {
        Ok(()) => Ok(file),
        Err(error) => {
            // Where that fails as well, the next replacement begins with it.
            let _ = discard(files, &unfinished);
            Err(error)
        }
    }
}

/// Behind the name of a file that is being made.
pub(super) const UNFINISHED: &str = "new";

/// Removes a file, if it is there.
pub(super) fn discard(files: &dyn Files, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Those of the system.
#[derive(Debug)]
pub(super) struct SystemFiles;

impl Files for SystemFiles {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        directory::make(path)
    }

    fn create(&self, path: &Path) -> io::Result<Handle> {
        Ok(Arc::new(directory::create(path)?))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Handle> {
        Ok(Arc::new(OpenOptions::new().read(true).write(write).open(path)?))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn names(&self, path: &Path, file: &dyn LogFile) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == file.identity()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl LogFile for File {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = self.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }
}
