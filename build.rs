//! Finds out which commit is being built, for `babelmq --version`. Neither git nor a repository is
//! needed: without them the version stands alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A build for development says nothing: it would have to be made anew after every commit.
    let commit = match std::env::var("PROFILE") {
        Ok(profile) if profile == "release" => commit(),
        _ => None,
    };
    let shown = commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
    println!("cargo::rustc-env=BABELMQ_COMMIT={shown}");
}

/// The commit of the working tree; of a package from the registry, the one that it was packed from.
fn commit() -> Option<String> {
    // Only what exists is watched: cargo takes a file that is missing for one that has changed,
    // every time.
    let packed = Path::new(".cargo_vcs_info.json");
    if let Ok(info) = fs::read_to_string(packed) {
        watch(packed);
        let (_, rest) = info.split_once("\"sha1\":")?;
        return Some(rest.split('"').nth(1)?.get(..9)?.to_owned());
    }
    // A tarball that was unpacked inside of some other repository has no commit.
    if !Path::new(".git").exists() {
        return None;
    }
    // What a commit changes: the log of HEAD, or where none is kept, the branches, each by itself
    // or packed.
    let in_git = |file| {
        git(&["rev-parse", "--git-path", file]).map(PathBuf::from).filter(|path| path.exists())
    };
    in_git("HEAD").iter().for_each(|path| watch(path));
    match in_git("logs/HEAD") {
        Some(log) => watch(&log),
        None => {
            ["refs", "packed-refs"].into_iter().filter_map(in_git).for_each(|path| watch(&path))
        }
    }
    git(&["log", "-1", "--format=%h %cs"])
}

/// Has this script run again when the file, or anything in the directory, changes.
fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
