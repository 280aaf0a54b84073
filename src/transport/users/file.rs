//! The users file on the disk.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::access::{MAX_USERS_FILE, Policy, UsersError};

/// Why a users file cannot be used. Nothing of such a file holds.
///
/// ```
/// use babelmq::{Broker, Config, StartError};
///
/// let config = Config::listening_on(([127, 0, 0, 1], 0)).users("no.toml");
/// let error = Broker::start(config).unwrap_err();
/// assert!(matches!(error, StartError::Users(_)));
/// assert!(error.to_string().contains("no.toml"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersFileError {
    /// It cannot be read.
    #[non_exhaustive]
    #[error("cannot read the users file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// There is at least one mistake in it. A line for each, as `users.toml:2:14: what`.
    #[non_exhaustive]
    #[error("{}", listed(path, source))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// The mistakes.
        source: UsersError,
    },
}

fn listed(path: &Path, error: &UsersError) -> String {
    let place = path.display();
    let mut lines: Vec<String> = error
        .mistakes()
        .iter()
        .map(|mistake| format!("{place}:{}:{}: {}", mistake.line, mistake.column, mistake.what))
        .collect();
    if error.more() > 0 {
        lines.push(format!("and {} more", error.more()));
    }
    lines.join("\n")
}

/// Reads the policy in a file; its text is given too, so that it can be seen whether it changed.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn load_users(path: &Path) -> Result<(Policy, String), UsersFileError> {
    let unreadable = |source| UsersFileError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let most = MAX_USERS_FILE as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() > MAX_USERS_FILE {
        let what = format!("it is longer than {MAX_USERS_FILE} bytes");
        return Err(unreadable(io::Error::new(ErrorKind::FileTooLarge, what)));
    }
    let policy = Policy::parse(&text)
        .map_err(|source| UsersFileError::Mistakes { path: path.to_owned(), source })?;
    if policy.users().next().is_none() {
        // Most likely somebody is still writing it, and nobody could log in.
        let what = "it has no [[user]]; is it still being written?";
        return Err(unreadable(io::Error::new(ErrorKind::InvalidData, what)));
    }
    Ok((policy, text))
}
