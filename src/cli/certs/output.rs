//! Files that are whole under their names, and that only their owner could ever read where they
//! are secret: each is written under another name, with the permissions that it is to have.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::cli::failure::Failure;

/// A file that is written and does not have its name yet. It is removed where it never gets that.
#[derive(Debug)]
pub(super) struct Unplaced {
    unfinished: PathBuf,
    path: PathBuf,
    /// Whether a file that has the name already gives way.
    replaces: bool,
}

impl Unplaced {
    pub(super) fn write(
        path: &Path,
        text: &str,
        mode: u32,
        replaces: bool,
    ) -> Result<Unplaced, Failure> {
        // In the same directory, so that giving it its name moves no bytes.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", process::id()));
        let unplaced = Unplaced { unfinished: name.into(), path: path.to_owned(), replaces };
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(mode).open(&unplaced.unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })();
        written.map_err(|error| unplaced.failed(error))?;
        Ok(unplaced)
    }

    /// Gives it its name.
    pub(super) fn place(self) -> Result<(), Failure> {
        let placed = if self.replaces {
            fs::rename(&self.unfinished, &self.path)
        } else {
            // Unlike a rename, a link fails where the name is taken.
            fs::hard_link(&self.unfinished, &self.path)
        };
        placed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::Other(format!(
                "{} has come while its contents were made; nothing more was written, and it was \
                 left as it is",
                self.path.display()
            )),
            _ => self.failed(error),
        })
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::File { place: self.path.display().to_string(), error }
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        // It is gone already where it was renamed.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Waits until the names in a directory are on the disk.
pub(super) fn settle(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Failure::File { place: folder.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_name_that_is_taken_is_replaced_only_on_purpose() {
        let folder = std::env::temp_dir().join(format!("babelmq-output-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.key");
        let write = |text, replaces| Unplaced::write(&path, text, 0o600, replaces).unwrap();
        let first = write("1", false);
        let mode = fs::metadata(&first.unfinished).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "before it has its name");
        first.place().unwrap();
        assert!(write("2", false).place().unwrap_err().to_string().contains("a.key"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        drop(write("3", true));
        write("4", true).place().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "4");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
        fs::remove_dir_all(folder).unwrap();
    }
}
