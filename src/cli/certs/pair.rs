//! A certificate and its key as two files beside each other.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::output::Unplaced;
use crate::cli::failure::Failure;

/// Permissions of a certificate, which everybody may see, less those that the umask takes.
const CERT_MODE: u32 = 0o644;
/// Those of a key.
const KEY_MODE: u32 = 0o600;

/// Where the two lie.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// What they hold, in PEM.
pub(super) struct Found {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Pair {
    pub(super) fn new(folder: &Path, name: &str) -> Pair {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        Pair { cert: file("crt"), key: file("key") }
    }

    /// Both files, or nothing where neither is there.
    pub(super) fn read(&self) -> Result<Option<Found>, Failure> {
        match (read(&self.cert)?, read(&self.key)?) {
            (Some(cert), Some(key)) => Ok(Some(Found { cert, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(half(&self.cert, &self.key)),
            (None, Some(_)) => Err(half(&self.key, &self.cert)),
        }
    }

    /// Writes both, under other names than their own, which they take from what is there or not.
    pub(super) fn write(
        &self,
        cert: &str,
        key: &str,
        replaces: bool,
    ) -> Result<[Unplaced; 2], Failure> {
        // The key is placed first: a certificate that is there has one.
        let key = Unplaced::write(&self.key, key, KEY_MODE, replaces)?;
        Ok([key, Unplaced::write(&self.cert, cert, CERT_MODE, replaces)?])
    }
}

fn half(there: &Path, missing: &Path) -> Failure {
    let (there, missing) = (there.display(), missing.display());
    Failure::Other(format!(
        "{there} is there and {missing} is not; bring that back, or remove {there} to make both \
         anew"
    ))
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// What the system says of a file.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    let place = path.display().to_string();
    move |error| Failure::File { place: place.clone(), error }
}
