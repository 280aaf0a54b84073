//! The broker's memory survives: restarts, kills, and what can happen to a data directory.
//!
//!     make soak-store KILLS=200 SEED=1
#![cfg(feature = "cli")]

mod archive;
mod backup;
mod damage;
mod directory;
mod first;
mod full;
mod kills;
mod limits;
mod raw;
mod readonly;
mod restart;
mod salvage;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::served::Served;

fn babelmq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
    // What the developer has set is not what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BABELMQ_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// A broker that keeps its last values in a directory.
pub(crate) fn serve(directory: &Path, options: &[&str]) -> Served {
    let directory = directory.to_str().unwrap();
    let arguments =
        [&["serve", "--listen", "127.0.0.1:0", "--data-dir", directory], options].concat();
    Served::start(&mut babelmq(&arguments))
}

/// Runs a command to its end.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        babelmq(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A directory of its own for a test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storage-{name}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A number from the environment, or another one.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        default
    } else {
        text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
    }
}
