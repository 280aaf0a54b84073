//! Space that is kept aside, so that a disk that the broker has filled can be cleared: what deletes
//! writes as well, before it frees anything.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::directory;

const FILE: &str = "reserve";
/// What opening a database again and a few small commits of deletions need, several times over.
const SIZE: usize = 4 << 20;
const BLOCK: usize = 64 << 10;

/// A file of the data directory that holds nothing but its space.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn in_directory(directory: &Path) -> Reserve {
        Reserve { path: directory.join(FILE) }
    }

    /// Keeps the space aside, unless it is.
    ///
    /// # Errors
    /// There is no room for it, and then nothing is kept aside.
    pub(super) fn keep(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == SIZE as u64) {
            return Ok(());
        }
        self.give_up();
        let kept = fill(&self.path);
        if kept.is_err() {
            self.give_up();
        }
        kept
    }

    /// Gives the space back.
    pub(super) fn give_up(&self) {
        // Where there is none, there is none to give back.
        let _ = fs::remove_file(&self.path);
    }
}

/// A hole would keep no space: it is written.
fn fill(path: &Path) -> io::Result<()> {
    let mut file: File = directory::create(path)?;
    let zeros = vec![0; BLOCK];
    for _ in 0..SIZE / BLOCK {
        file.write_all(&zeros)?;
    }
    file.sync_all()
}
