//! Finds out which commit is being built, for `babelmq --version`. Neither git nor a repository is needed: without them
//! the version stands alone.

use std::fs;
use std::path::Path;
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
    let packed = Path::new(".cargo_vcs_info.json");
    println!("cargo::rerun-if-changed={}", packed.display());
    if let Ok(info) = fs::read_to_string(packed) {
        let (_, rest) = info.split_once("\"sha1\":")?;
        return Some(rest.split('"').nth(1)?.get(..9)?.to_owned());
    }
    // A tarball that was unpacked inside of some other repository has no commit.
    if !Path::new(".git").exists() {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["log", "-1", "--format=%h %cs"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
