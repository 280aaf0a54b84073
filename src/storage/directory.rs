//! The directory around the file: it is made so that a start that is cut short leaves nothing half
//! made, it says that it held a file, and a running broker notices when it is gone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{FILE, cannot};
use crate::broker::StoreError;

/// Says that the directory has held a file. Without it a file that is lost would look like a first
/// start.
const MARKER: &str = "babelmq.directory";
const MARKER_TEXT: &str = "This directory holds the last values of a babelmq broker, in \
last-values.redb.\n\
                           While this file is here, no broker starts without that one. To begin \
                           with nothing, remove both.\n";
/// Behind the name of a file that is being made.
const UNFINISHED: &str = "new";
/// Only the broker's user sees what is kept.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A data directory that is being opened: nobody else makes anything in it meanwhile.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Closing it ends the lock. None where the file system knows no locks of directories.
    _lock: Option<File>,
}

/// What a file is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Directory {
    /// Takes a directory, which is made where there is none, and clears away what a start that was
    /// cut short has left.
    pub(super) fn take(path: &Path) -> Result<Directory, StoreError> {
        make(path).map_err(|error| {
            let reason = format!("cannot make the data directory {}: {error}", path.display());
            StoreError::new(reason).with_source(error)
        })?;
        let lock = File::open(path).map_err(|error| cannot("open", path, error))?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::Error(_)) => None,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::new(format!(
                    "{} is in use by another broker or command; stop that one, or use another data \
                     directory",
                    path.join(FILE).display()
                )));
            }
        };
        for name in [FILE, MARKER] {
            let unfinished = unfinished(path, name);
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot("remove", &unfinished, error));
                }
                _ => {}
            }
        }
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    /// Whether there is a file to be opened; there is none at a first start.
    ///
    /// # Errors
    /// [`StoreError`] where there was a file and is none, or an empty one.
    pub(super) fn has_file(&self) -> Result<bool, StoreError> {
        judge(&self.path)
    }

    /// Where the file is made, to be put into its place when it is whole.
    pub(super) fn unfinished(&self) -> PathBuf {
        unfinished(&self.path, FILE)
    }

    /// Puts the file that was made into its place.
    pub(super) fn put_in_place(&self) -> Result<(), StoreError> {
        put_in_place(&self.path, FILE).map_err(|error| cannot("make", &self.path.join(FILE), error))
    }

    /// Notes that the directory holds a file, unless it is noted.
    pub(super) fn mark(&self) -> io::Result<()> {
        if self.path.join(MARKER).try_exists()? {
            return Ok(());
        }
        let mut file = create(&unfinished(&self.path, MARKER))?;
        file.write_all(MARKER_TEXT.as_bytes())?;
        drop(file);
        put_in_place(&self.path, MARKER)
    }

    /// Others than its owner may look into a directory that was made with such rights; that is said
    /// once.
    pub(super) fn warn_of_rights(&self) {
        let Ok(mode) = fs::metadata(&self.path).map(|metadata| metadata.mode() & 0o777) else {
            return;
        };
        if mode & !DIRECTORY_MODE != 0 {
            tracing::warn!(
                directory = %self.path.display(),
                "the data directory has mode {mode:03o}, so that other users reach what is in it; \
                 `chmod 700` keeps them out"
            );
        }
    }
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Identity> {
        file.metadata().map(|metadata| Identity { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Whether this is still the file that the path names.
    pub(super) fn check(self, path: &Path) -> Result<(), StoreError> {
        let there =
            fs::metadata(path).map(|file| Identity { device: file.dev(), inode: file.ino() });
        let what = match there {
            Ok(there) if there == self => return Ok(()),
            Ok(_) => "another file is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::new(format!(
            "cannot write to {}: the data directory was deleted or replaced under the broker \
             ({what}); put it back, or start \
             the broker again",
            path.display()
        )))
    }
}

/// Whether a directory has a file that can be opened.
///
/// # Errors
/// [`StoreError`] where there was a file and is none, or an empty one.
pub(super) fn judge(directory: &Path) -> Result<bool, StoreError> {
    let (path, marker) = (directory.join(FILE), directory.join(MARKER));
    match fs::metadata(&path) {
        Ok(file) if file.is_file() && file.len() == 0 => Err(StoreError::new(format!(
            "{} is empty (0 bytes), which no broker leaves behind: its values are lost; restore it \
             from a backup, or remove \
             it and {} to begin with nothing",
            path.display(),
            marker.display()
        ))),
        Ok(_) => Ok(true),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("open", &path, error)),
        Err(_) if fs::exists(&marker).is_ok_and(|is_there| is_there) => {
            Err(StoreError::new(format!(
                "{} is missing, and {} says that there was one: its values are lost; restore it from a \
             backup, or remove {} to \
             begin with nothing",
                path.display(),
                marker.display(),
                marker.display()
            )))
        }
        Err(_) => Ok(false),
    }
}

/// Makes a file that is not there yet, for its owner only, whatever the umask takes away or leaves.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Makes a directory, and those above it, for their owner only.
pub(super) fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)),
    }
}

fn unfinished(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.{UNFINISHED}"))
}

/// Gives a file that is whole its name. After a power cut it is there as a whole or not at all.
fn put_in_place(directory: &Path, name: &str) -> io::Result<()> {
    let unfinished = unfinished(directory, name);
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    File::open(directory)?.sync_all()
}
